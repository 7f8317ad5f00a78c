"""Every verb that a message or a page names is one that there is."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from waykeep.cli.main import app

ROOT = Path(__file__).parents[3]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMED = re.compile(r"\bwaykeep ([a-z]+)(?: ([a-z]+))?")
GROUPS = ("aggregator", "algo", "grant", "host", "keys", "study", "supervisor", "witness")


def unknown(text: str) -> Iterator[str]:
    """What a text calls a verb and is none: an unknown verb, or a group with no verb of its own behind it."""
    for found in NAMED.finditer(text):
        verb, below = found[1], found[2]
        if verb not in app or (verb in GROUPS and (below is None or below not in app[verb])):
            yield found[0]


def texts(path: Path) -> str:
    if path.suffix == ".md":
        return path.read_text()
    nodes = ast.walk(ast.parse(path.read_text()))
    return "\n".join(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_unknown_verbs_are_found() -> None:
    assert list(unknown("see 'waykeep doctor', 'waykeep algo check' and 'waykeep keys'")) == [
        *("waykeep doctor", "waykeep algo check", "waykeep keys")
    ]
    assert list(unknown("waykeep status --home x; waykeep keys export 1; waykeep supervisor serve")) == []
    assert sum(len(NAMED.findall(texts(path))) for path in [*SOURCES, *PAGES]) > 20


@pytest.mark.parametrize("path", [*SOURCES, *PAGES], ids=lambda path: str(path.relative_to(ROOT)))
def test_what_is_called_a_verb_is_one(path: Path) -> None:
    assert list(unknown(texts(path))) == []
