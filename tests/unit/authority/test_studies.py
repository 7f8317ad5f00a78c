"""Studies: what is signed is checked whole, and each thing that is none is refused by name."""

from __future__ import annotations

import base64
from fractions import Fraction
from typing import Any

import msgspec
import pytest

from tests.unit.builders import NOW_MS, key, refused
from tests.unit.studying import DAY_MS, HOUR_MS, RESEARCHER, a_question, a_study, opened, signed
from waykeep.authority import dsse, studies
from waykeep.authority.studies import STUDY_TYPE, Axis, Parts
from waykeep.errors import AuthorityError, FormatError, PrivacyError
from waykeep.formats.ids import sha256
from waykeep.formats.wire import encode_json
from waykeep.privacy import ledger
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

SCOPE = a_question().scope


def test_a_study_is_opened_as_it_was_signed() -> None:
    study = a_study()
    found = studies.open_(signed(study))
    assert found == (sha256(signed(study)), RESEARCHER.public, study)
    # Half an epsilon: an eighth of rho each time.
    assert study.cost == ledger.cost(Fraction(1, 8))
    assert study.span == ledger.Span(NOW_MS, NOW_MS + 3 * DAY_MS, 2 * study.cost)


def test_a_study_changed_after_signing_is_refused() -> None:
    envelope = signed(a_study())
    with refused("signature-invalid", AuthorityError):
        studies.open_(_with_payload(envelope, encode_json(a_study(minimum=3))))


def _with_payload(envelope: bytes, payload: bytes) -> bytes:
    outer = msgspec.json.decode(envelope)
    return encode_json({**outer, "payload": base64.b64encode(payload).decode()})


def test_another_statement_is_no_study() -> None:
    other = dsse.sign("application/vnd.waykeep.other+json", encode_json(a_study()), RESEARCHER)
    with refused("statement-type", AuthorityError):
        studies.open_(other)


def test_a_study_over_32_kib_is_refused() -> None:
    with refused("too-large", FormatError):
        studies.open_(signed(a_study(consent="x" * 40_000)))


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"title": "two\nlines\x07"},
        {"title": " "},
        {"consent": "\u202ehidden"},
        {"questions": (a_question(), a_question())},
        {"questions": (a_question(asks="\x1b[2J"),)},
        {"questions": (a_question(unit="\u200b"),)},
    ],
)
def test_study_malformed(changes: dict[str, Any]) -> None:
    with refused("study-malformed", AuthorityError):
        opened(a_study(**changes))


def test_what_is_no_question_at_all_is_refused() -> None:
    for wrong in ({"questions": []}, {"minimum": 0}, {"repetitions": 0}, {"starts_ms": -1}, {"unknown": 1}):
        payload = encode_json({**msgspec.to_builtins(a_study()), **wrong})
        with refused("malformed", FormatError):
            studies.open_(dsse.sign(STUDY_TYPE, payload, RESEARCHER))


@pytest.mark.parametrize(
    "changes",
    [
        {"streams": None},
        {"streams": {}},
        {"streams": {"location": ()}},
        {"parameters": None},
        {"parameters": {"rounds": (0, 1)}},
        {"from_ms": NOW_MS, "to_ms": NOW_MS},
        {"last_ms": 0},
        {"stores": True},
        {"until_ms": NOW_MS},
        {"not_before_ms": NOW_MS},
        {"vetted": ((RESEARCHER.public,),)},
    ],
)
def test_study_scope(changes: dict[str, Any]) -> None:
    with refused("study-scope", AuthorityError):
        opened(a_study(questions=(a_question(scope=msgspec.structs.replace(SCOPE, **changes)),)))


def test_a_scope_that_is_none_is_refused() -> None:
    with refused("scope-malformed", AuthorityError):
        opened(a_study(questions=(a_question(scope=msgspec.structs.replace(SCOPE, step_ms=7)),)))


@pytest.mark.parametrize(
    ("keys", "bound"),
    [
        ((), Bounds(2, 0, 1, 1, 1)),
        ((Axis("mode", 3, words=("a", "b", "c")),), Bounds(2, 0, 1, 1, 1)),
        ((Axis("mode", 2, words=("a", "b", "c")),), Bounds(2, 0, 1, 1, 1)),
        ((Axis("hour", 24), Axis("mode", 2)), Bounds(24, 0, 1, 1, 1)),
    ],
)
def test_study_cells(keys: tuple[Axis, ...], bound: Bounds) -> None:
    with refused("study-cells", AuthorityError):
        opened(a_study(questions=(a_question(keys=keys, bounds=bound),)))


@pytest.mark.parametrize("bound", [Bounds(1, 0, 0), Bounds(1, 5, 1), Bounds(1, 0, 5, default=9)])
def test_bounds_malformed(bound: Bounds) -> None:
    with refused("bounds-malformed", PrivacyError):
        opened(a_study(questions=(a_question(bounds=bound),)))


@pytest.mark.parametrize("scale", [0.0, -1.0, 1e300])
def test_scale_malformed(scale: float) -> None:
    with refused("scale-malformed", PrivacyError):
        opened(a_study(questions=(a_question(mechanism=Mechanism("laplace", scale)),)))


@pytest.mark.parametrize("scale", ["NaN", "Infinity", "null", "true"])
def test_a_scale_that_is_no_number_is_refused(scale: str) -> None:
    payload = encode_json(a_study()).replace(b'"scale":80.0', f'"scale":{scale}'.encode())
    with refused("malformed", FormatError):
        studies.open_(dsse.sign(STUDY_TYPE, payload, RESEARCHER))


@pytest.mark.parametrize("changes", [{"minimum": 1}, {"minimum": 5, "target": 4}])
def test_study_cohort(changes: dict[str, Any]) -> None:
    with refused("study-cohort", AuthorityError):
        opened(a_study(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"gather_ms": DAY_MS},
        {"answer_ms": DAY_MS - HOUR_MS + 1},
        {"repetitions": 4},
        {"deadline_ms": 600_000, "answer_ms": 600_000},
        {"periods": 10_000, "period_ms": 300 * DAY_MS},
    ],
)
def test_study_times(changes: dict[str, Any]) -> None:
    with refused("study-times", AuthorityError):
        opened(a_study(**changes))


@pytest.mark.parametrize("parts", [Parts((), ("a",)), Parts(("s",), ())])
def test_study_aggregator(parts: Parts) -> None:
    with refused("study-aggregator", AuthorityError):
        opened(a_study(aggregator=parts))


def test_periods_are_by_the_witness() -> None:
    study = a_study()
    assert [studies.period_at(study, NOW_MS + t) for t in (0, DAY_MS - 1, DAY_MS, 3 * DAY_MS - 1)] == [0, 0, 1, 2]
    assert (study.gathers_until(1), study.answers_until(1)) == (
        NOW_MS + DAY_MS + HOUR_MS,
        NOW_MS + DAY_MS + 2 * HOUR_MS,
    )
    for outside in (NOW_MS - 1, NOW_MS + 3 * DAY_MS):
        with refused("study-not-in-time", AuthorityError):
            studies.period_at(study, outside)


@pytest.mark.parametrize(
    ("cells", "right"),
    [
        ((), True),
        (((0, 5),), True),
        (((0, 6),), False),
        (((0, -1),), False),
        (((0, 0),), False),
        (((3, 1),), False),
        (((0, 4), (1, 4)), True),
        (((0, 5), (1, 4)), False),
        (((0, 1), (1, 1), (2, 1)), False),
        (((0, 1), (0, 1)), False),
    ],
)
def test_what_bounds_allow(cells: tuple[tuple[int, int], ...], right: bool) -> None:
    assert studies.within(Bounds(3, 0, 5, 2, 8), cells) is right


def test_a_study_of_another_key_is_another_one() -> None:
    assert sha256(signed(a_study())) != sha256(signed(a_study(), key("another")))
