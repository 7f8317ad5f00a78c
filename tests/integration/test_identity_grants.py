"""Grants to others: given, used by their holder with a key file, and taken back."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import algorithms
from tests.support.between import LOSE, PASS, Said, between
from tests.support.identities import choose, upload
from tests.support.people import SOME_DAY_MS, Person, refused
from tests.support.program import waykeep
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority.records import Receipt
from waykeep.authority.statements import Granted
from waykeep.device import granting, holder
from waykeep.device.account import Account, now_ms
from waykeep.device.holder import HolderKey
from waykeep.formats.messages import GrantedRows

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
    return granting.propose_grant(
        found,
        found.digest,
        holder=key.signer.public,
        recipient=key.recipient,
        runs=runs,
        until="2090-01-01",
        first="2016-06-20",
        after="2016-06-29",
        settings=[],
    )


def used(person: Person, path: Path, number: int, host: str = "") -> tuple[GrantedRows, Receipt]:
    return holder.use(
        path,
        host or person.stage.host_url,
        person.owner,
        person.trust,
        now_ms,
        grant=number,
        digest=algorithms.slow()[0].digest,
        parameters={},
        window=WINDOW,
    )


def test_a_grant_is_used_and_counted_and_taken_back(
    owner: Person, witness: Witness, researcher: tuple[Path, HolderKey]
) -> None:
    path, key = researcher
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        number = granted(device, key)
        assert granting.give(device, grant_of(key)) == number, "said twice, it is one grant"
        found, receipt = used(owner, path, number)
        assert found.rows == [{"rows": 10}] and receipt.epochs_missing == ()
        (line,) = granting.listed(device)
        assert (line.number, line.used, line.ended) == (number, 1, "")
        done = granting.revoke(device, number)
        assert (done.refusal, done.retired) == ("", 0)
        assert granting.listed(device)[0].ended == "grant-withdrawn"
        with refused("holder-unlisted", "device"):
            used(owner, path, number)


def test_a_lost_answer_costs_no_second_run(owner: Person, witness: Witness, researcher: tuple[Path, HolderKey]) -> None:
    path, key = researcher
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        number = granted(device, key, runs=1)
        with between(owner.stage.host_url) as host:

            def rule(count: int, method: str, path: str) -> Said:
                return LOSE if path.endswith("/cloud") and count == 0 else PASS

            host.rule = rule
            with refused("host-unreachable", "host"):
                used(owner, path, number, host.url)
            (asked,) = [p for p in path.parent.iterdir() if p.name.endswith(".asked")]
            before = asked.read_bytes()
            first, _ = used(owner, path, number, host.url)
            assert not asked.exists()
        # The same request again is the same run: its id is what the holder kept.
        asked.write_bytes(before)
        again, _ = used(owner, path, number)
        assert again.request_id == first.request_id == json.loads(before)
        with refused("runs-used-up", "authority"):
            used(owner, path, number)


def test_a_key_to_which_nothing_was_granted(
    owner: Person, witness: Witness, researcher: tuple[Path, HolderKey], tmp_path: Path
) -> None:
    _, key = researcher
    with owner.account() as device:
        choose(device, witness)
        number = granted(device, key)
    stranger = tmp_path / "stranger.key"
    holder.make(stranger)
    with refused("holder-unlisted", "device"):
        used(owner, stranger, number)


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
    number = json.loads(waykeep("grant", "give", found.digest, *wanted, *own).stdout)["number"]
    there = ("--owner", owner.owner, "--host", owner.stage.host_url, f"--trust-insecure-root={owner.stage.root}")
    shared = () if os.geteuid() == 0 else ("--shared-uid",)
    use = ("grant", "use", found.digest, "--file", str(file), "--grant", str(number), *there, *shared)
    assert json.loads(waykeep(*use, "--json").stdout)["rows"] == [{"rows": 10}]
    assert "the receipt fits them" in waykeep(*use).stdout
    (line,) = json.loads(waykeep("grant", "list", *own).stdout)
    assert (line["number"], line["used"]) == (number, 2)
    assert json.loads(waykeep("grant", "revoke", str(number), *own).stdout)["number"] > number
    assert json.loads(waykeep("suspend", *own).stdout)["wakes"] is True
    assert json.loads(waykeep("audit", "--verify", *own).stdout)["findings"] == []
    kinds = {entry["kind"] for entry in json.loads(waykeep("keys", "list", *own).stdout)}
    assert kinds == {"authority", "device", "writer", "epoch", "user cloud", "node", "witness"}
