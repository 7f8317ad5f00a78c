"""The threat model names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "threat-model.md").read_text()
NAMED = sorted(set(re.findall(r"`((?:unit|integration|hostile|statistics|vectors)/[a-z0-9_/.]*)`", TEXT)))


def test_it_names_tests() -> None:
    assert len(NAMED) > 10


@pytest.mark.parametrize("name", NAMED)
def test_what_it_names_exists(name: str) -> None:
    place = ROOT / "tests" / name
    assert place.exists()
    assert place.is_file() or any(place.rglob("test_*.py"))
