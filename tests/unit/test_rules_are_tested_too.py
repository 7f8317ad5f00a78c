"""Each rule by which the rooms of data, channel and owner refuse is named in some test: no refusal is untested."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

import pytest

import waykeep

PACKAGE = Path(waykeep.__file__).parent
TESTS = Path(__file__).parents[1]
FORMATS = ("ids", "wire", "agefile", "segment", "table", "streams")
SOURCES = sorted(
    [
        *(PACKAGE / "formats" / f"{name}.py" for name in FORMATS),
        *(
            path
            for room in ("vault", "channel", "usercloud", "supervisor", "witness", "privacy", "aggregator")
            for path in (PACKAGE / room).rglob("*.py")
        ),
        *(PACKAGE / "device").glob("*.py"),
    ]
)
EXCEPTIONS = {
    "journal-head-foreign": "only changed code signs another owner's head, and its measurement is refused first",
    "query-mismatch": "only changed code answers for a query that it is not bound to, and it is refused before",
    "state-key-refused": "only changed code ignores the owner log, and its measurement is refused first",
    "too-many": "needs as many algorithm services at once as a node may hold, which a test's machine cannot",
}
"""Rules that no test names, each with the reason why none can."""


def rules_of(source: str) -> set[str]:
    """The first argument of each call of something whose name ends in ``Error``, where it is spelled out."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            refuses = name.endswith("Error") and not hasattr(builtins, name)
            if refuses and isinstance(node.args[0].value, str):
                found.add(node.args[0].value)
    return found


RULES = {rule for path in SOURCES for rule in rules_of(path.read_text())}
TEXT = "\n".join(path.read_text() for path in TESTS.rglob("*.py") if path != Path(__file__))


def named(rule: str) -> bool:
    """Whether a test spells the rule out, as a whole word between quotes."""
    return f'"{rule}"' in TEXT


def test_rules_are_found() -> None:
    assert len(RULES) > 50
    assert {"segment-epoch", "name-taken", "session-unknown", "receipt-mismatch"} <= RULES
    assert rules_of('raise FormatError(\n "too-large", f"x")\nerrors.VaultError("a-b", "")') == {"too-large", "a-b"}
    assert rules_of('print("too-large")\nraise ValueError("x")\nE.Error()') == set()


@pytest.mark.parametrize("rule", sorted(RULES))
def test_a_test_names_the_rule(rule: str) -> None:
    assert named(rule) != (rule in EXCEPTIONS), EXCEPTIONS.get(rule, "no test names it")


def test_each_exception_is_a_rule() -> None:
    assert set(EXCEPTIONS) <= RULES
    assert not named("no-such-" + "rule")
