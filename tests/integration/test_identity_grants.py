"""Grants to others: given, used by their holder with a key file, and taken back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import algorithms
from tests.support.between import LOSE, PASS, Said, between
from tests.support.grants import DEADLINE_MS
from tests.support.identities import choose, upload
from tests.support.people import SOME_DAY_MS, Person, refused
from tests.support.program import waykeep
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority.asking import Ask
from waykeep.authority.permissions import Granted, Withdrawn
from waykeep.device import granting, holder, revoking, tickets
from waykeep.device.account import Account, now_ms
from waykeep.device.granting import To
from waykeep.device.holder import Got, HolderKey
from waykeep.device.scoping import Terms
from waykeep.device.tickets import Opened

WINDOW = (SOME_DAY_MS - SOME_DAY_MS % 86_400_000, SOME_DAY_MS - SOME_DAY_MS % 86_400_000 + 9 * 86_400_000)


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


@pytest.fixture
def researcher(tmp_path: Path) -> tuple[Path, HolderKey]:
    path = tmp_path / "holder.key"
    return path, holder.make(path)


def granted(device: Account, key: HolderKey, runs: int = 2) -> int:
    found, archive = algorithms.slow()
    device.host.put_bundle(found.digest, archive)
    return granting.give(device, grant_of(key, runs))


def grant_of(key: HolderKey, runs: int = 2) -> Granted:
    found, _ = algorithms.slow()
    to = To(key.signer.public, key.recipient, runs, deadline_ms=DEADLINE_MS)
    terms = Terms(first="2016-06-20", after="2016-06-29", until="2090-01-01")
    return granting.propose_grant(found, found.digest, to, terms, [])


def ticket_of(device: Account, number: int) -> Opened:
    return tickets.open_(granting.ticket(device, number))


def used(person: Person, path: Path, ticket: Opened, host: str = "") -> Got:
    url = host or person.stage.host_url
    return holder.use(path, ticket, person.trust, now_ms, ask=Ask(), parameters={}, host_url=url)


def test_a_grant_is_used_and_counted_and_taken_back(
    owner: Person, witness: Witness, researcher: tuple[Path, HolderKey]
) -> None:
    path, key = researcher
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        number = granted(device, key)
        assert granting.give(device, grant_of(key)) == number, "said twice, it is one grant"
        ticket = ticket_of(device, number)
        found = used(owner, path, ticket)
        assert found.rows == [{"rows": 10}] and found.receipt.epochs_missing == ()
        (line,) = granting.listed(device)
        assert (line.number, line.used, line.ended) == (number, 1, "")
        done = revoking.revoke(device, Withdrawn(number))
        assert (done.refusal, done.retired) == ("", 0)
        assert granting.listed(device)[0].ended == "grant-withdrawn"
        with refused("holder-unlisted", "device"):
            used(owner, path, ticket)


def test_a_lost_answer_costs_no_second_run(owner: Person, witness: Witness, researcher: tuple[Path, HolderKey]) -> None:
    path, key = researcher
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        number = granted(device, key, runs=1)
        ticket = ticket_of(device, number)
        with between(owner.stage.host_url) as host:

            def rule(count: int, method: str, path: str) -> Said:
                return LOSE if path.endswith("/cloud") and count == 0 else PASS

            host.rule = rule
            with refused("host-unreachable", "host"):
                used(owner, path, ticket, host.url)
            (asked,) = [p for p in path.parent.iterdir() if p.name.endswith(".asked")]
            before = asked.read_bytes()
            first = used(owner, path, ticket, host.url)
            assert not asked.exists()
        # The same request again is the same run: its id is what the holder kept.
        asked.write_bytes(before)
        again = used(owner, path, ticket)
        assert again.receipt.run_id == first.receipt.run_id == json.loads(before)
        with refused("runs-used-up", "authority"):
            used(owner, path, ticket)


def test_a_key_to_which_nothing_was_granted(
    owner: Person, witness: Witness, researcher: tuple[Path, HolderKey], tmp_path: Path
) -> None:
    _, key = researcher
    with owner.account() as device:
        choose(device, witness)
        ticket = ticket_of(device, granted(device, key))
    stranger = tmp_path / "stranger.key"
    holder.make(stranger)
    with refused("ticket-foreign", "device"):
        used(owner, stranger, ticket)


def test_a_number_of_runs_that_is_none(researcher: tuple[Path, HolderKey]) -> None:
    for runs in (0, -1, 100_001):
        with refused("runs-malformed", "device"):
            grant_of(researcher[1], runs)


def test_the_verbs_of_owner_and_holder(owner: Person, witness: Witness, tmp_path: Path) -> None:
    found, archive = algorithms.slow()
    own = ("--home", str(owner.folder.path), "--key-file", str(owner.key_file), "--json")
    file = tmp_path / "holder.key"
    key = json.loads(waykeep("grant", "key", "--file", str(file), "--json").stdout)
    assert json.loads(waykeep("grant", "key", "--file", str(file), "--json").stdout) == key
    assert file.stat().st_mode & 0o777 == 0o600
    with owner.account() as device:
        upload(device, 0)
        device.host.put_bundle(found.digest, archive)
    token = witness.tokens.pop()
    said = json.loads(waykeep("witness", "use", witness.url, f"--token={token}", f"--key={witness.key}", *own).stdout)
    assert said["key"] == witness.key
    wanted = ("--holder=" + key["holder"], "--recipient", key["recipient"], "--runs", "2", "--until", "2090-01-01")
    number = json.loads(waykeep("grant", "give", found.digest, *wanted, "--deadline=1500ms", *own).stdout)["number"]
    ticket = str(tmp_path / "ticket")
    assert json.loads(waykeep("grant", "ticket", str(number), "-o", ticket, *own).stdout)["number"] == number
    shared = () if os.geteuid() == 0 else ("--shared-uid",)
    use = ("grant", "use", ticket, "--file", str(file), f"--trust-insecure-root={owner.stage.root}", *shared)
    assert json.loads(waykeep(*use, "--json").stdout)["rows"] == [{"rows": 10}]
    assert "the receipt fits them" in waykeep(*use).stdout
    (line,) = json.loads(waykeep("grant", "list", *own).stdout)["grants"]
    assert (line["number"], line["used"]) == (number, 2)
    assert json.loads(waykeep("grant", "revoke", str(number), *own).stdout)["number"] > number
    assert json.loads(waykeep("suspend", *own).stdout)["wakes"] is True
    assert json.loads(waykeep("audit", "--verify", *own).stdout)["findings"] == []
    kinds = {entry["kind"] for entry in json.loads(waykeep("keys", "list", *own).stdout)}
    assert kinds == {"authority", "device", "writer", "epoch", "user cloud", "node", "witness"}
