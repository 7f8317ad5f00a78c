from __future__ import annotations

from tests.support.fixtures import owner, owners, stage

__all__ = ["owner", "owners", "stage"]
