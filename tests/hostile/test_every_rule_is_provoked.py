"""Every rule that a trusted room can refuse by is provoked by a test that names it.

Rules are read from the source (the first text of a refusal) and from the docstrings, tests from the tree: whoever adds
a rule adds its test, and whoever renames one finds where it is promised.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import waykeep

PACKAGE = Path(waykeep.__file__).parent
TESTS = Path(__file__).parents[1]
ROOMS = ("formats", "authority", "attestation", "vault", "witness")
MODULES = sorted(
    [path for room in ROOMS for path in (PACKAGE / room).glob("*.py") if path.name != "__init__.py"]
    + [PACKAGE / "channel" / name for name in ("sessions.py", "trust.py")]
)
NUMBERED = ("authority/ownerlog.py", "authority/journal.py", "attestation/appraisal.py")
RULE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
REFUSES = re.compile(r"[A-Za-z]*Error|_check|_require")


def texts(node: ast.AST) -> set[str]:
    return {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def raised(path: Path) -> set[str]:
    """The rules of a module: the texts of its refusals that have the form of one."""
    found = set()
    for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
        if isinstance(call.func, ast.Name) and REFUSES.fullmatch(call.func.id):
            plain = (a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str))
            found |= {text for text in plain if RULE.fullmatch(text) and ("-" in text or text == "malformed")}
    return found


def promised(path: Path) -> set[str]:
    """The rules that the numbered list of a module's docstring names."""
    text = ast.get_docstring(ast.parse(path.read_text())) or ""
    lines = re.findall(r"^\d+\. +((?:``[a-z0-9-]+``(?:, |: ))+)", text, re.MULTILINE)
    return {rule for line in lines for rule in re.findall(r"``([a-z0-9-]+)``", line)}


def provoked() -> set[str]:
    """Every text of the tests that is a rule and stands in a call of theirs, be it a check or a parameter."""
    files = [path for path in TESTS.rglob("*.py") if path != Path(__file__)]
    calls = (
        n for path in files for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.Call | ast.Compare)
    )
    return {text for call in calls for text in texts(call) if RULE.fullmatch(text)}


PROVOKED = provoked()
RAISED = sorted({(rule, str(path.relative_to(PACKAGE))) for path in MODULES for rule in raised(path)})


def test_rules_are_found() -> None:
    """Else all below would pass for nothing."""
    assert len(RAISED) > 60
    assert ("log-signer", "authority/ownerlog.py") in RAISED
    assert ("sandbox-missing", "attestation/appraisal.py") in RAISED
    assert ("request-replayed", "channel/sessions.py") in RAISED
    assert "no-such-rule-anywhere".replace("-anywhere", "") not in PROVOKED


@pytest.mark.parametrize(("rule", "module"), RAISED)
def test_every_rule_is_provoked(rule: str, module: str) -> None:
    assert rule in PROVOKED, f"no test provokes {rule} of {module}"


@pytest.mark.parametrize("module", NUMBERED)
def test_every_numbered_rule_is_raised(module: str) -> None:
    rules = promised(PACKAGE / module)
    assert len(rules) >= 6
    # The owner log's rules are its fold's; what one entry does to the state lies beside it.
    beside = [PACKAGE / module.replace("ownerlog", other) for other in ("effects", "memberships")]
    assert rules <= raised(PACKAGE / module).union(*map(raised, filter(Path.exists, beside)))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_every_rule_is_documented_where_it_is_raised(path: Path) -> None:
    """In a docstring of its module: of the function that refuses, or of the module's numbered list."""
    tree = ast.parse(path.read_text())
    kinds = ast.Module | ast.FunctionDef | ast.ClassDef
    documented = " ".join(ast.get_docstring(n) or "" for n in ast.walk(tree) if isinstance(n, kinds))
    missing = {rule for rule in raised(path) if f"``{rule}``" not in documented}
    assert not missing
