"""What a supervisor refuses before it starts anything."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.people import refused
from waykeep.supervisor import service


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives user clouds uids of their own")
def test_a_store_that_other_uids_cannot_reach(tmp_path: Path) -> None:
    store = tmp_path / "closed" / "store"
    store.mkdir(parents=True)
    for folder in (store, *store.parents):
        if folder.is_relative_to(tmp_path.parent.parent):
            folder.chmod(folder.stat().st_mode | 0o001)
    service._check_reachable(store)
    store.parent.chmod(0o700)
    with refused("store-unreachable", "supervisor"):
        service._check_reachable(store)
