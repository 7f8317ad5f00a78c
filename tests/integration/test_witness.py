"""A witness as a process: its verbs, what it tells its operator, and what is there after it ended."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.program import waykeep
from tests.support.witness import Party, Witness, running_witness
from waykeep.authority import witnessing
from waykeep.authority.witnessing import AdvanceEpoch, AdvanceOwner, Close, Resume, RetireStateKeys
from waykeep.errors import WitnessError
from waykeep.formats import problem
from waykeep.witness import keyfile
from waykeep.witness.register import NAME as REGISTER


@pytest.fixture
def witness(tmp_path: Path) -> Iterator[Witness]:
    with running_witness(tmp_path) as found:
        yield found


@pytest.fixture
def party(witness: Witness) -> Iterator[Party]:
    with Party(witness) as found:
        yield found


def get(witness: Witness, path: str) -> str:
    found = httpx.get(witness.url + path, trust_env=False)
    assert found.status_code == 200
    return found.text


def test_an_owner_registers_advances_resumes_rotates_and_moves(party: Party) -> None:
    party.register()
    head = party.head
    assert party.ask(party.journal(None, 0)).held.journal == head(0)
    assert party.ask(party.journal(0, 4)).held.journal == head(4)
    assert party.ask(AdvanceOwner(head(1), head(2))).held.owner == head(2)
    assert party.ask(AdvanceEpoch(None, head(1, "epoch"))).held.epoch == head(1, "epoch")
    resumed = party.ask(Resume(head(4), head(0), head(2), head(3), 1)).held
    assert (resumed.journal, resumed.owner, resumed.resumes) == (head(0), head(3), 1)
    assert party.ask(RetireStateKeys((party.state.public,))).held.state_keys == ()
    successor = party.key("successor").public
    answer, envelope = party.client.ask_envelope(Close(successor), party.control)
    assert answer.held.successor == successor
    closed = witnessing.open_close(envelope, party.witness.key, party.pseudonym, successor)
    assert closed.held.journal == head(0)
    rotated = party.ask(party.rotation()).held
    assert (rotated.owner, rotated.successor, rotated.journal) == (head(2, "rotated"), None, head(0))
    assert party.client.read().held == rotated


def test_a_restart_has_the_same_key_and_heads(witness: Witness, party: Party) -> None:
    party.register()
    held, key = party.ask(party.journal(None, 0)).held, witness.key
    for end in (witness.stop, witness.kill):
        assert end() in (0, None)
        witness.start()
        assert witness.key == key
        assert party.client.read().held == held
    assert party.ask(party.journal(0, 1)).held.journal == party.head(1)


def test_sigterm_ends_it_cleanly_and_without_words(witness: Witness, party: Party) -> None:
    party.register()
    assert witness.stop() == 0
    assert witness.log == ""
    assert sorted(path.name for path in witness.state.iterdir()) == [keyfile.LOCK, REGISTER, keyfile.NAME]
    assert {path.stat().st_mode & 0o077 for path in (witness.state, *witness.state.iterdir())} == {0}


def test_time_is_that_of_the_witness_and_goes_on(party: Party) -> None:
    party.register()
    first, second = party.client.read().time_ms, party.client.read().time_ms
    assert 1_700_000_000_000 < first <= second


def test_admission_and_status(witness: Witness) -> None:
    assert witness.counts() == {"pseudonyms": 0, "closed": 0, "tokens_left": 3}
    with Party(witness, "one") as one, Party(witness, "two") as two:
        one.register()
        two.register()
        two.ask(Close(one.control.public))
    assert witness.counts() == {"pseudonyms": 2, "closed": 1, "tokens_left": 1}
    place = ("--state", str(witness.state))
    assert waykeep("witness", "status", *place).stdout == "2 pseudonyms, of which 1 are closed; 1 tokens left\n"
    tokens = waykeep("witness", "admit", *place, "--count", "2").stdout.split()
    assert [len(token) for token in tokens] == [43, 43] and len(set(tokens)) == 2
    held = b"".join(path.read_bytes() for path in witness.state.iterdir())
    assert not any(token.encode() in held for token in tokens)


def test_probes_and_counters_name_nobody(witness: Witness, party: Party) -> None:
    party.register()
    with pytest.raises(WitnessError):
        party.ask(party.journal(7, 8))
    party.client.read()
    assert json.loads(get(witness, "/v1/key")) == {"key": witness.key}
    assert get(witness, "/healthz") == get(witness, "/readyz") == '{"status":"ok"}'
    found = get(witness, "/metrics")
    assert 'waykeep_witness_requests_total{action="register",rule="accepted"} 1\n' in found
    assert 'waykeep_witness_requests_total{action="advance-journal",rule="witness-head"} 1\n' in found
    assert 'waykeep_witness_requests_total{action="read",rule="accepted"} 1\n' in found
    for secret in (party.pseudonym.removeprefix("sha256:"), party.control.public, party.state.public, witness.key):
        assert secret not in found


# -- what it refuses to start with -------------------------------------------------------------------------------------


def started(state: Path, *more: str) -> str:
    """The rule by which a witness refuses to start."""
    found = waykeep("witness", "serve", "--state", str(state), "--json", *more, "--port", "0", code=20)
    return problem.decode(found.stderr.encode()).rule


def test_witness_running(witness: Witness) -> None:
    assert started(witness.state) == "witness-running"


def test_witness_key_damaged(tmp_path: Path) -> None:
    (tmp_path / keyfile.NAME).write_bytes(b"short")
    assert started(tmp_path) == "witness-key-damaged"
    assert (tmp_path / keyfile.NAME).read_bytes() == b"short"


def test_witness_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert started(tmp_path / "file" / "below") == "witness-folder"
    found = waykeep("witness", "status", "--state", str(tmp_path), "--json", code=20)
    assert problem.decode(found.stderr.encode()).rule == "witness-folder"


def test_cannot_listen(witness: Witness, tmp_path: Path) -> None:
    assert started(tmp_path / "other", "--listen", "198.51.100.1") == "cannot-listen"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        found = waykeep(
            *("witness", "serve", "--state", str(tmp_path / "third"), "--port", str(taken.getsockname()[1])), code=20
        )
    assert found.stderr.startswith("error: cannot-listen:") and "\nhint: " in found.stderr


def test_help_has_an_example() -> None:
    for verb in ("serve", "admit", "status"):
        assert f"Example: waykeep witness {verb} --state " in waykeep("witness", verb, "--help").stdout
