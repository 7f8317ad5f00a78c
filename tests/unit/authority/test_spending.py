"""The decisions of a spend, each refusal by its name: what the witness holds, the grant, the request, the time."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.authority.entries import (
    BITS,
    BUNDLE,
    DAY_MS,
    HOLDER,
    OTHER_HOLDER,
    OTHER_WITNESS,
    RECIPIENT,
    WITNESS,
    a_close,
    a_debit,
    a_grant,
    a_run,
    granting,
)
from tests.unit.builders import NOW_MS, Owner, a_record, an_approval, key, refused
from waykeep.authority import journal, journalstate, spending
from waykeep.authority.asking import Ask, Spend
from waykeep.authority.journalstate import EMPTY, JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.records import Debited, Detail
from waykeep.authority.statements import Resumed, StateKeyRetired
from waykeep.authority.witnessing import Held
from waykeep.errors import AuthorityError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head, Value

OWNER, GRANT = granting("spending")
PARAMETERS: dict[str, Value] = {"stay_radius_m": 100}


def written(*details: Detail) -> JournalState:
    state = EMPTY
    for detail in details:
        state = journal.fold(state, OWNER.state, [a_record(OWNER, state, detail)])
    return state


THREE = written(a_run("one"), a_run("two"), a_run("three"))


def held(**changes: Any) -> Held:
    """What the witness holds when all is well: it was told of the second record."""
    digest = THREE.digest_at(1)
    assert digest is not None
    found = Held(OWNER.state.head, Head(1, digest), None, 0, (OWNER.state_key.public,))
    return msgspec.structs.replace(found, **changes)


def stands(
    whose: Owner = OWNER, state: JournalState = THREE, /, signer: SigningKey = OWNER.state_key, **changes: Any
) -> None:
    spending.standing(whose.state, state, held(**changes), signer.public)


def no_standing(rule: str, /, *args: Any, **changes: Any) -> None:
    with refused(rule, AuthorityError):
        stands(*args, **changes)


# -- standing ----------------------------------------------------------------------------------------------------------


def test_logs_that_the_witness_holds_stand() -> None:
    """A journal that went on since stands too: what was accepted meanwhile is witnessed with the spend."""
    stands()
    stands(journal=None)
    stands(journal=THREE.head)
    stands(OWNER, EMPTY, journal=None)


def test_witness_moved() -> None:
    no_standing("witness-moved", successor=OTHER_WITNESS.public)


def test_owner_log_behind() -> None:
    """The host withholds entries of the owner."""
    no_standing("owner-log-behind", owner=Head(OWNER.state.head.number + 1, sha256(b"to come")))


def test_owner_log_forked() -> None:
    """The host shows another log than the owner's devices see."""
    for number in (OWNER.state.head.number, 2):
        no_standing("owner-log-forked", owner=Head(number, sha256(b"fork")))


def test_owner_log_unwitnessed() -> None:
    before = Head(GRANT - 1, OWNER.state.digest_at(GRANT - 1))
    no_standing("owner-log-unwitnessed", owner=before)


@pytest.mark.parametrize(("in_log", "at_witness"), [(0, 1), (1, 0), (1, 2)])
def test_resume_pending(in_log: int, at_witness: int) -> None:
    owner = OWNER.again()
    for _ in range(in_log):
        owner.add(Resumed(None, None))
    head = owner.state.head
    no_standing("resume-pending", owner, THREE, owner=head, resumes=at_witness)
    stands(owner, owner=head, resumes=in_log)


@pytest.mark.parametrize("state", [EMPTY, written(a_run("one"))], ids=["empty", "shorter"])
def test_journal_behind(state: JournalState) -> None:
    no_standing("journal-behind", OWNER, state)


def test_journal_forked() -> None:
    """An old copy that grew past the witnessed number with other records."""
    no_standing("journal-forked", OWNER, written(a_run("one"), a_run("another"), a_run("more"), a_run("and more")))
    no_standing("journal-forked", journal=Head(1, sha256(b"another")))


def test_journal_forked_where_a_snapshot_does_not_know_the_witnessed_record() -> None:
    """What cannot be told is not taken for right."""
    no_standing("journal-forked", OWNER, journalstate.begin(None, THREE.head, OWNER.state.head.number))


def test_a_journal_that_lacks_what_the_witness_before_was_closed_with() -> None:
    """A thief of the control key could have told the new witness of a shorter journal than the old one held."""
    owner, newest = OWNER.again(), THREE.head
    assert newest is not None
    owner.add(owner.witness(WITNESS))
    owner.add(owner.witness(OTHER_WITNESS, a_close(owner, OTHER_WITNESS.public, journal=newest).decode()))
    head = owner.state.head
    assert owner.state.closed_at == newest
    stands(owner, owner=head)
    no_standing("journal-behind", owner, written(a_run("one"), a_run("two")), owner=head, journal=None)
    other = written(a_run("one"), a_run("another"), a_run("more"))
    no_standing("journal-forked", owner, other, owner=head, journal=None)
    assert owner.add(Resumed(newest, None)).closed_at is None


def test_state_key_retired() -> None:
    no_standing("state-key-retired", signer=key("never named"), state_keys=(key("never named").public,))
    no_standing("state-key-retired", state_keys=())
    no_standing("state-key-retired", state_keys=(key("another").public,))
    owner = OWNER.again()
    head = owner.add(StateKeyRetired(owner.state_key.public)).head
    no_standing("state-key-retired", owner, owner=head)
    owner = OWNER.again()
    head = owner.rotate().head
    no_standing("state-key-retired", owner, owner=head)


# -- the grant and the request -----------------------------------------------------------------------------------------


def asked(**changes: Any) -> Spend:
    """``changes`` are of the request, or of which part it asks for."""
    ask = Ask(**{name: changes.pop(name) for name in Ask.__struct_fields__ if name in changes})
    return msgspec.structs.replace(Spend("q".ljust(22, "-"), GRANT, BUNDLE, {}, ask), **changes)


def decide(
    request: Spend | None = None,
    *,
    owner: Owner = OWNER,
    state: JournalState = THREE,
    holder: SigningKey = HOLDER,
    parameters: dict[str, Value] = PARAMETERS,
    time_ms: int = NOW_MS,
    inputs: dict[str, tuple[str, ...]] | None = None,
    bits: int = BITS,
) -> tuple[Debited, bool]:
    wanted = spending.Wanted({"location": ("ts_ms",)} if inputs is None else inputs, parameters, bits)
    debit = spending.debit(owner.state, state, request or asked(), holder.public, wanted, time_ms, ())
    return debit.made, debit.known


def no_debit(rule: str, *args: Any, **given: Any) -> AuthorityError:
    with pytest.raises(AuthorityError) as caught:
        decide(*args, **given)
    assert caught.value.rule == rule
    return caught.value


def test_a_debit_fixes_the_whole_effect_and_the_journal_takes_it() -> None:
    made, repeated = decide()
    assert (made, repeated) == (a_debit(GRANT, read_to=THREE.head), False)
    after = journal.fold(THREE, OWNER.state, [a_record(OWNER, THREE, made)])
    assert after.used == {OWNER.state.digest_at(GRANT): (1, BITS)}


def test_the_same_request_again_is_the_same_run() -> None:
    """Later, with more data in the journal, and also where all runs are used up by now."""
    made, _ = decide()
    state = journal.fold(THREE, OWNER.state, [a_record(OWNER, THREE, made)])
    for detail in (a_run("four"), a_debit(GRANT, "other", read_to=None)):
        if isinstance(detail, Debited):
            detail = msgspec.structs.replace(detail, read_to=state.head)
        state = journal.fold(state, OWNER.state, [a_record(OWNER, state, detail)])
    assert decide(state=state) == (made, True)
    no_debit("runs-used-up", asked(request_id="x" * 22), state=state)


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [({"from_ms": NOW_MS + 1}, PARAMETERS), ({"to_ms": NOW_MS + 999}, PARAMETERS), ({}, {"stay_radius_m": 200})],
    ids=["from", "to", "parameter"],
)
def test_request_repeated_with_something_else(changes: dict[str, Any], parameters: dict[str, Value]) -> None:
    made, _ = decide()
    state = journal.fold(THREE, OWNER.state, [a_record(OWNER, THREE, made)])
    no_debit("request-repeated", asked(**changes), state=state, parameters=parameters)


def test_request_repeated_by_another_holder_or_for_another_grant() -> None:
    """The id is the first one's: nobody gets at a run of somebody else by naming it."""
    owner = OWNER.again()
    second = owner.add(a_grant(holder=OTHER_HOLDER.public)).head.number
    third = owner.add(a_grant()).head.number
    made, _ = decide()
    state = journal.fold(THREE, owner.state, [a_record(owner, THREE, made)])
    no_debit("request-repeated", asked(grant=second), owner=owner, state=state, holder=OTHER_HOLDER)
    no_debit("request-repeated", asked(grant=third), owner=owner, state=state)


def test_request_repeated_with_a_parameter_of_another_type() -> None:
    """True == 1: a grant may allow both, and they are two requests."""
    owner = OWNER.again()
    number = owner.add(a_grant(parameters={"stay_radius_m": (1, True)})).head.number
    first, _ = decide(asked(grant=number), owner=owner, parameters={"stay_radius_m": 1})
    state = journal.fold(THREE, owner.state, [a_record(owner, THREE, first)])
    no_debit("request-repeated", asked(grant=number), owner=owner, state=state, parameters={"stay_radius_m": True})


@pytest.mark.parametrize("number", [0, 1, GRANT - 1, GRANT + 1, 10**9])
def test_grant_unknown(number: int) -> None:
    no_debit("grant-unknown", asked(grant=number))


def test_grant_unknown_to_another_holder_whether_or_not_it_is_in_force() -> None:
    """Whoever asks for numbers at random learns nothing of other people's grants."""
    refusals = [no_debit("grant-unknown", holder=OTHER_HOLDER)]
    owner = OWNER.again()
    owner.add(Withdrawn(GRANT))
    refusals.append(no_debit("grant-unknown", owner=owner, holder=OTHER_HOLDER))
    refusals.append(no_debit("grant-unknown", asked(grant=GRANT + 5)))
    assert len({(e.message, e.hint, e.status) for e in refusals}) == 1


def test_grant_unknown_for_an_approval_that_was_withdrawn() -> None:
    owner = OWNER.again()
    number = owner.add(an_approval()).head.number
    owner.add(Withdrawn(number))
    no_debit("grant-unknown", asked(grant=number), owner=owner)


def test_a_grant_that_ended_says_how() -> None:
    withdrawn, used_up, void = OWNER.again(), OWNER.again(), OWNER.again()
    withdrawn.add(Withdrawn(GRANT))
    used_up.add(Resumed(None, None))
    void.rotate(GRANT)
    for owner, rule in ((withdrawn, "grant-withdrawn"), (used_up, "grant-used-up"), (void, "grant-void")):
        assert no_debit(rule, owner=owner).hint


def test_algorithm_not_granted() -> None:
    no_debit("algorithm-not-granted", asked(digest=sha256(b"another")))


def test_what_is_asked_for_lies_within_the_grant() -> None:
    no_debit("parameter-not-allowed", parameters={"stay_radius_m": 150})
    no_debit("time-not-allowed", asked(to_ms=NOW_MS + 1001))


# -- time --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("time_ms", "rule"),
    [
        (NOW_MS - 1, "grant-not-yet"),
        (NOW_MS - 365 * DAY_MS, "grant-not-yet"),
        (NOW_MS + DAY_MS, "grant-expired"),
        (NOW_MS + 365 * DAY_MS, "grant-expired"),
    ],
)
def test_outside_the_grants_window_nothing_is_done(time_ms: int, rule: str) -> None:
    """By the witness's clock: before the debit, and again when the witness signed it."""
    no_debit(rule, time_ms=time_ms)
    made, _ = decide()
    with refused(rule, AuthorityError):
        spending.still(OWNER.state, made, time_ms)


@pytest.mark.parametrize("time_ms", [NOW_MS, NOW_MS + DAY_MS - 1])
def test_within_the_grants_window_it_is_done(time_ms: int) -> None:
    made, _ = decide(time_ms=time_ms)
    spending.still(OWNER.state, made, time_ms)
    assert made.recipient == RECIPIENT
