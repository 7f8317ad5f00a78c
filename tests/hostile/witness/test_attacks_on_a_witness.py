"""What thieves, hosts and copies try at a witness, a real process: each is refused by name, and nothing changes."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from tests.support.witness import Party, Witness, post, running_witness
from waykeep.authority import controls, witnessing
from waykeep.authority.keys import commitment
from waykeep.authority.witnessing import (
    MAX_REQUEST,
    NONCE_BYTES,
    AdvanceEpoch,
    AdvanceOwner,
    Close,
    NameStateKey,
    Resume,
    RetireStateKeys,
)
from waykeep.errors import AuthorityError, WaykeepError
from waykeep.formats import problem

replace = msgspec.structs.replace
CONTENDERS = 1000


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    with running_witness(tmp_path_factory.mktemp("witness"), tokens=40) as found:
        yield found


@pytest.fixture
def party(witness: Witness, request: pytest.FixtureRequest) -> Iterator[Party]:
    """An owner whose journal is at 5."""
    with Party(witness, str(len(witness.tokens))) as found:
        found.register()
        found.ask(found.journal(None, 5))
        yield found


@contextmanager
def refused(rule: str, party: Party) -> Iterator[None]:
    """The block is refused by this rule, and the witness holds what it held."""
    before = party.client.read().held
    with pytest.raises(WaykeepError) as caught:
        yield
    assert caught.value.rule == rule
    assert party.client.read().held == before


# -- replays -----------------------------------------------------------------------------------------------------------


def test_a_replayed_answer_passes_for_no_other_request(party: Party) -> None:
    first, second = (party.request(party.journal(5, 6), party.state, nonce) for nonce in (1, 2))
    ((_, answer),) = post(party.witness.url, [first])
    nonce = (2).to_bytes(NONCE_BYTES, "big")
    for asked, with_nonce in ((second, nonce), (first, nonce), (None, nonce)):
        with pytest.raises(AuthorityError) as caught:
            witnessing.open_answer(answer, [party.witness.key], party.pseudonym, with_nonce, asked)
        assert caught.value.rule == "witness-answer"


def test_a_replayed_request_changes_nothing(party: Party) -> None:
    """Each request of an owner's life, sent again by a host that kept them all."""
    head = party.head
    kept = [
        party.request(party.journal(5, 6), party.state),
        party.request(AdvanceOwner(head(1), head(2)), party.control),
        party.request(NameStateKey(party.key("second").public), party.control),
        party.request(RetireStateKeys((party.key("second").public,)), party.control),
        party.request(Resume(head(6), head(5), head(2), head(3), 1), party.control),
        party.request(party.journal(5, 6, owner=3), party.state),
        party.request(AdvanceEpoch(None, head(1)), party.control),
        party.request(AdvanceEpoch(head(1), head(2)), party.control),
        party.request(Close(party.next.public), party.control),
        party.request(party.rotation(), party.next),
        party.request(AdvanceOwner(head(2, "rotated"), head(3, "rotated")), party.next),
    ]
    url = party.witness.url
    assert [status for status, _ in post(url, kept)] == [200] * len(kept)
    held = party.client.read().held
    for _ in range(2):
        for status, _ in post(url, kept):
            assert status in (200, 403, 409)
            assert party.client.read().held == held


def test_a_resume_that_is_replayed(party: Party) -> None:
    head = party.head
    resume = Resume(head(5), None, head(1), head(2), 1)
    party.ask(resume)
    party.ask(party.journal(None, 3, owner=2))
    with refused("witness-resume", party):
        party.ask(resume)


def test_a_resume_signed_for_another_head(party: Party) -> None:
    head = party.head
    for replaces in (head(4), head(6), head(5, "fork"), None):
        with refused("witness-resume", party):
            party.ask(Resume(replaces, head(2), head(1), head(2), 1))


def test_a_resume_by_a_state_key(party: Party) -> None:
    with refused("witness-signer", party):
        party.ask(Resume(party.head(5), None, party.head(1), party.head(2), 1), party.state)


# -- copies and keys ---------------------------------------------------------------------------------------------------


def test_a_copy_of_an_old_state_that_grew_past_the_witnessed_number(party: Party) -> None:
    with refused("witness-head", party):
        party.ask(party.journal(3, 9, "copy"))
    with refused("witness-head", party):
        party.client.ask(
            witnessing.AdvanceJournal(party.head(5, "copy"), party.head(9, "copy"), party.head(1)), party.state
        )


def test_a_state_key_that_moves_the_owner_head(party: Party) -> None:
    for action in (
        AdvanceOwner(party.head(1), party.head(2)),
        AdvanceEpoch(None, party.head(1)),
        NameStateKey(party.key("friend").public),
        RetireStateKeys(()),
        Close(party.state.public),
    ):
        with refused("witness-signer", party):
            party.ask(action, party.state)


def test_a_state_key_that_goes_on_after_a_revocation_that_its_host_withholds(party: Party) -> None:
    party.ask(AdvanceOwner(party.head(1), party.head(2)))
    with refused("witness-owner-head", party):
        party.ask(party.journal(5, 6))


def test_a_retired_state_key(party: Party) -> None:
    party.ask(RetireStateKeys((party.state.public,)))
    with refused("witness-state-key", party):
        party.ask(party.journal(5, 6))
    with refused("witness-state-key", party):
        party.ask(NameStateKey(party.state.public))


def test_a_closed_witness_that_is_asked_again(party: Party) -> None:
    successor = party.key("successor").public
    party.ask(Close(successor))
    for action in (
        party.journal(5, 6),
        AdvanceOwner(party.head(1), party.head(2)),
        NameStateKey(party.key("friend").public),
        party.registration("token"),
        Close(party.key("other").public),
    ):
        with refused("witness-closed", party):
            party.ask(action)
    assert party.ask(Close(successor)).held.successor == successor


def test_a_stolen_control_key_after_the_rotation(party: Party) -> None:
    """Whatever the thief did before: the paper takes the pseudonym back, and the thief's keys are worth nothing."""
    thief = party.key("thief")
    party.ask(NameStateKey(thief.public))
    party.ask(AdvanceOwner(party.head(1), party.head(40, "thief")))
    party.ask(Close(thief.public))
    assert party.ask(party.rotation()).held.state_keys == ()
    for action in (
        AdvanceOwner(party.head(2, "rotated"), party.head(3)),
        NameStateKey(thief.public),
        Close(thief.public),
    ):
        with refused("witness-signer", party):
            party.ask(action, party.control)
    with refused("witness-state-key", party):
        party.ask(party.journal(5, 6), thief)
    with refused("witness-rotate", party):
        forged = controls.rotation(thief, party.SALT, commitment(party.SALT, thief.public))
        party.ask(replace(party.rotation(), rotations=(forged,)), thief)


# -- strangers ---------------------------------------------------------------------------------------------------------


def test_a_forged_token(witness: Witness) -> None:
    before = witness.counts()
    with Party(witness, "forger") as forger:
        for token in ("", "A" * 43, witness.tokens[-1][:-1], "x" * 256):
            with pytest.raises(WaykeepError) as caught:
                forger.ask(forger.registration(token))
            assert caught.value.rule == "witness-token"
    assert witness.counts() == before


def test_a_token_that_is_used_twice(witness: Witness) -> None:
    token = witness.tokens.pop()
    with Party(witness, "first") as first, Party(witness, "second") as second:
        first.ask(first.registration(token))
        with pytest.raises(WaykeepError) as caught:
            second.ask(second.registration(token))
        assert caught.value.rule == "witness-token"
        assert first.ask(first.registration(token)).held.owner == first.head(1)


def test_a_pseudonym_of_somebody_else_is_not_taken_over(party: Party) -> None:
    token, other = party.witness.tokens.pop(), party.key("other")
    with refused("witness-pseudonym", party):
        party.ask(replace(party.registration(token), control=other.public), other)
    with refused("witness-registered", party):
        party.ask(party.registration(token))
    party.witness.tokens.append(token)


def test_a_request_for_another_witness(party: Party) -> None:
    envelope = witnessing.request(
        party.key("witness").public, party.pseudonym, bytes(NONCE_BYTES), party.journal(5, 6), party.state
    )
    ((status, body),) = post(party.witness.url, [envelope])
    assert (status, problem.decode(body).rule) == (403, "witness-mismatch")


def test_an_oversize_body(party: Party) -> None:
    good = party.request(party.journal(5, 6), party.state)
    ((status, body),) = post(party.witness.url, [good + b" " * MAX_REQUEST])
    assert (status, problem.decode(body).rule) == (413, "too-large")


def test_slow_bodies_keep_nobody_waiting(party: Party) -> None:
    """Many that never end: who asks beside them is answered. That they are ended, unit tests show without waiting."""
    host, _, port = party.witness.url.removeprefix("http://").partition(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(200)]
    try:
        for connection in slow:
            connection.sendall(b"POST /v1/requests HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{")
        assert party.ask(party.journal(5, 6)).held.journal == party.head(6)
    finally:
        for connection in slow:
            connection.close()


# -- at once -----------------------------------------------------------------------------------------------------------


def test_of_a_thousand_chains_at_once_exactly_one_wins(party: Party) -> None:
    """Each contender is a copy that wants its own next record witnessed, and then the one after."""
    head, owner = party.head, party.head(1)

    def step(before: int, number: int) -> list[bytes]:
        return [
            party.request(
                witnessing.AdvanceJournal(
                    head(before, str(contender) if before > 5 else ""), head(number, str(contender)), owner
                ),
                party.state,
                contender,
            )
            for contender in range(CONTENDERS)
        ]

    won: list[set[int]] = []
    for bodies in (step(5, 6), step(6, 7)):
        answers = post(party.witness.url, bodies, connections=100)
        won.append({contender for contender, (status, _) in enumerate(answers) if status == 200})
        rules = {problem.decode(body).rule for status, body in answers if status != 200}
        assert rules == {"witness-head"}
    (winner,) = won[0]
    assert won[1] == {winner}
    assert party.client.read().held.journal == head(7, str(winner))
