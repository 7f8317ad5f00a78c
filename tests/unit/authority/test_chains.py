"""Which chain a request goes by and what is left of it: each refusal by its name, and siblings who share."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.authority.entries import BITS, BUNDLE, DAY_MS, HOLDER, RECIPIENT, a_debit, a_grant, granting
from tests.unit.builders import NOW_MS, Owner, a_record, key, refused
from waykeep.authority import chains, journal, reviews, spending
from waykeep.authority.asking import Ask, Spend
from waykeep.authority.chains import Used
from waykeep.authority.journalstate import EMPTY, JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.links import Chain, Link, narrow
from waykeep.authority.permissions import (
    AlgorithmRevoked,
    EverythingRevoked,
    HolderRevoked,
    Lifted,
    LinkRevoked,
    Withdrawn,
    Withheld,
)
from waykeep.authority.reviews import Review, vouch
from waykeep.authority.scopes import Scope
from waykeep.authority.spending import Wanted
from waykeep.authority.statements import Body, Resumed
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, sha256

OWNER, GRANT = granting("chaining", runs=5, bits=1000)
ANNE, BERT, CARL = key("anne"), key("bert"), key("carl")


def links(*to: SigningKey, owner: Owner = OWNER, grant: int = GRANT, **changes: Any) -> tuple[str, ...]:
    """Links from `HOLDER` to the last of ``to``; ``changes`` are of each."""
    found, by, before = list[str](), HOLDER, owner.state.digest_at(grant)
    for holder in to:
        made = Link(owner.id, grant, before, holder.public, RECIPIENT, Scope())
        found.append(narrow(msgspec.structs.replace(made, **changes), by).decode())
        by, before = holder, sha256(found[-1].encode())
    return tuple(found)


def find(
    passed: tuple[str, ...] = (),
    holder: SigningKey = HOLDER,
    *,
    owner: Owner = OWNER,
    grant: int = GRANT,
    algorithm: Digest = BUNDLE,
    quoted: int | None = None,
) -> Chain:
    return chains.find(owner.state, grant, algorithm, passed, holder.public, quoted=quoted)


def not_found(rule: str, *asked: Any, **given: Any) -> AuthorityError:
    with pytest.raises(AuthorityError) as caught:
        find(*asked, **given)
    assert caught.value.rule == rule
    return caught.value


def test_a_chain_of_three_is_found_and_has_a_budget_at_each() -> None:
    found = find(links(ANNE, BERT, CARL), CARL)
    assert (found.holder, len(found.budgets)) == (CARL.public, 4)
    assert {(budget.runs, budget.bits) for budget in found.budgets} == {(5, 1000)}


def test_grant_unknown_to_whoever_holds_no_part_of_it() -> None:
    """A stranger learns nothing, not even whether there is such a grant, with or without links of their own."""
    stranger = key("stranger")
    own = Link(OWNER.id, GRANT, OWNER.state.digest_at(GRANT), stranger.public, RECIPIENT, Scope())
    told = [
        not_found("grant-unknown", (), stranger),
        not_found("grant-unknown", (), stranger, grant=GRANT + 1),
        not_found("grant-unknown", (narrow(own, stranger).decode(),), stranger),
        not_found("grant-unknown", ("no link",), stranger),
        not_found("grant-unknown", links(ANNE), stranger),
        not_found("grant-unknown", links(ANNE), HOLDER),
        not_found("grant-unknown", links(ANNE, BERT), ANNE),
    ]
    assert len({(error.message, error.hint, error.status) for error in told}) == 1


def test_a_cut_chain_and_one_in_another_order() -> None:
    whole = links(ANNE, BERT, CARL)
    not_found("grant-unknown", whole[:2], CARL)
    not_found("grant-unknown", whole[1:], CARL)
    not_found("link-order", (whole[0], whole[2]), CARL)
    not_found("grant-unknown", (whole[1], whole[0], whole[2]), CARL)
    not_found("link-order", (whole[0], whole[0], whole[1], whole[2]), CARL)


def test_a_chain_for_another_owner() -> None:
    other, number = granting("somebody else")
    not_found("link-foreign", links(ANNE, owner=other, grant=number), ANNE)


@pytest.mark.parametrize(
    ("taken", "rule"),
    [
        (Withdrawn(GRANT), "grant-withdrawn"),
        (AlgorithmRevoked(BUNDLE), "grant-withdrawn"),
        (HolderRevoked(HOLDER.public), "grant-withdrawn"),
        (EverythingRevoked(), "grant-withdrawn"),
        (Resumed(None, None), "grant-used-up"),
        (HolderRevoked(ANNE.public), "link-barred"),
        (HolderRevoked(BERT.public), "link-barred"),
        (LinkRevoked(GRANT, HOLDER.public, ANNE.public), "link-barred"),
        (LinkRevoked(GRANT, ANNE.public, BERT.public), "link-barred"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_was_taken_back(taken: Body, rule: str) -> None:
    """In force for the next request; what was debited before stays in order."""
    owner = OWNER.again()
    passed = links(ANNE, BERT)
    before = owner.state.head.number
    owner.add(taken, owner.device)
    not_found(rule, passed, BERT, owner=owner)
    assert find(passed, BERT, owner=owner, quoted=before).holder == BERT.public
    assert not_found(rule, passed, BERT, owner=owner, quoted=owner.state.head.number)


def test_what_was_taken_back_of_others_leaves_a_chain_alone() -> None:
    owner = OWNER.again()
    for taken in (
        LinkRevoked(GRANT, HOLDER.public, CARL.public),
        LinkRevoked(GRANT, BERT.public, ANNE.public),
        HolderRevoked(CARL.public),
        AlgorithmRevoked(sha256(b"another")),
    ):
        owner.add(taken, owner.device)
    assert find(links(ANNE, BERT), BERT, owner=owner).holder == BERT.public


def test_a_grant_that_is_given_after_everything_was_taken_back_is_in_force() -> None:
    owner = OWNER.again()
    owner.add(EverythingRevoked(), owner.device)
    owner.add(HolderRevoked(ANNE.public), owner.device)
    number = owner.add(a_grant(), owner.device).head.number
    assert find(links(ANNE, owner=owner, grant=number), ANNE, owner=owner, grant=number).holder == ANNE.public


def test_a_link_of_a_grant_that_is_none_cannot_be_taken_back() -> None:
    with refused("log-unknown"):
        OWNER.again().add(LinkRevoked(GRANT + 3, HOLDER.public, ANNE.public), OWNER.device)


# -- budgets -----------------------------------------------------------------------------------------------------------


def spend(state: JournalState, request: str, passed: tuple[str, ...], holder: SigningKey, bits: int = BITS) -> Any:
    debit = a_debit(GRANT, request, read_to=state.head, links=passed, holder=holder.public, bits=bits)
    return journal.fold(state, OWNER.state, [a_record(OWNER, state, debit)])


def test_siblings_share_what_their_parent_has_left() -> None:
    """Anne may have five runs pass, and gives three to Bert and three to Carl: the sixth of six is refused."""
    to_bert = (*links(ANNE), *links(ANNE, BERT, runs=3)[1:])
    first = links(ANNE)
    before = sha256(first[0].encode())
    to_bert, to_carl = (
        (*first, narrow(Link(OWNER.id, GRANT, before, to.public, RECIPIENT, Scope(), 3), ANNE).decode())
        for to in (BERT, CARL)
    )
    state = EMPTY
    for number in range(3):
        state = spend(state, f"b{number}", to_bert, BERT)
    with refused("journal-debit"):
        spend(state, "b3", to_bert, BERT)
    for number in range(2):
        state = spend(state, f"c{number}", to_carl, CARL)
    with refused("journal-debit"):
        spend(state, "c2", to_carl, CARL)
    with refused("runs-used-up"):
        chains.debited(state.used, find(to_carl, CARL), BITS)
    assert state.used[OWNER.state.digest_at(GRANT)] == state.used[before] == Used(5, 5 * BITS)
    assert sorted(used.runs for used in state.used.values()) == [2, 3, 5, 5]


def test_bits_used_up() -> None:
    chain = find(links(ANNE, bits=250), ANNE)
    used: dict[Digest, Used] = {}
    for _ in range(2):
        used |= chains.debited(used, chain, BITS)
    with refused("bits-used-up"):
        chains.debited(used, chain, BITS)
    used |= chains.debited(used, chain, 50)
    with refused("bits-used-up"):
        chains.debited(used, chain, 1)
    assert chains.debited(used, find(), BITS), "the grant itself has some left"


def test_debit_mismatch() -> None:
    chain = find()
    chains.check_debit(chain, a_debit(GRANT))
    for changes in ({"recipient": "age1other"}, {"from_ms": NOW_MS - 1}, {"to_ms": NOW_MS + 2000}):
        with refused("debit-mismatch"):
            chains.check_debit(chain, a_debit(GRANT, **changes))


def test_a_moving_window_is_never_longer_than_it_may_be() -> None:
    owner, number = granting("moving", last_ms=3_600_000, from_ms=None, to_ms=None)
    chain = find(owner=owner, grant=number)
    chains.check_debit(chain, a_debit(number, from_ms=NOW_MS, to_ms=NOW_MS + 3_600_000))
    with refused("debit-mismatch"):
        chains.check_debit(chain, a_debit(number, from_ms=NOW_MS, to_ms=NOW_MS + 3_600_001))


# -- time, reviews -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("now_ms", "rule"), [(NOW_MS - 1, "grant-not-yet"), (NOW_MS, ""), (NOW_MS + DAY_MS, "grant-expired")]
)
def test_the_witness_time(now_ms: int, rule: str) -> None:
    scope = find().scope
    if not rule:
        chains.in_time(scope, now_ms)
        return
    with refused(rule):
        chains.in_time(scope, now_ms)


def test_each_link_can_expire_earlier() -> None:
    found = find(links(ANNE, scope=Scope(until_ms=NOW_MS + 10)), ANNE)
    chains.in_time(found.scope, NOW_MS + 9)
    with refused("grant-expired"):
        chains.in_time(found.scope, NOW_MS + 10)


def test_review_missing() -> None:
    one, other, third = (key(f"reviewer {n}") for n in range(3))
    by_one, by_other = (vouch(Review(BUNDLE, NOW_MS + 10, "read"), by) for by in (one, other))
    either, both = ((one.public, other.public),), ((one.public,), (other.public,))
    reviews.check((), [], BUNDLE, NOW_MS)
    reviews.check(either, [by_other], BUNDLE, NOW_MS)
    reviews.check(both, [by_one, by_other], BUNDLE, NOW_MS)
    late = vouch(Review(BUNDLE, NOW_MS, "read"), one)
    foreign = vouch(Review(sha256(b"another"), NOW_MS + 10, "read"), one)
    for vetted, shown in [
        (either, []),
        (either, [vouch(Review(BUNDLE, NOW_MS + 10, "read"), third)]),
        (both, [by_one, by_one]),
        (either, [late]),
        (either, [foreign]),
        (either, [*[foreign] * reviews.MAX_REVIEWS, by_one]),
    ]:
        with refused("review-missing"):
            reviews.check(vetted, shown, BUNDLE, NOW_MS)
    for shown in ([by_one[:-9] + b'A"}]}'], [b"none"]):
        with pytest.raises(Exception, match=r".") as caught:
            reviews.check(either, shown, BUNDLE, NOW_MS)
        assert getattr(caught.value, "rule", "")


def test_request_outdated() -> None:
    """What the owner withholds meanwhile is not given for a debit of before; nor is more given once it is lifted."""
    owner = OWNER.again()
    made = a_debit(GRANT)
    spending.still(owner.state, made, NOW_MS)
    number = owner.add(Withheld(NOW_MS, NOW_MS + 5, None, ""), owner.device).head.number
    with refused("request-outdated"):
        spending.still(owner.state, made, NOW_MS)
    later = msgspec.structs.replace(made, withheld=(number,))
    spending.still(owner.state, later, NOW_MS)
    owner.add(Lifted(number), owner.device)
    with refused("request-outdated"):
        spending.still(owner.state, later, NOW_MS)


def test_what_is_asked_for_narrows_once_more() -> None:
    asked = Spend("q" * 22, GRANT, BUNDLE, {}, Ask(from_ms=NOW_MS + 1, step_ms=1000))
    wanted = Wanted({"location": ("ts_ms",)}, {}, 1)
    found = spending.debit(OWNER.state, EMPTY, asked, HOLDER.public, wanted, NOW_MS, ())
    assert (found.plan.from_ms, found.plan.step_ms, found.made.ask) == (NOW_MS + 1, 1000, asked.ask)
