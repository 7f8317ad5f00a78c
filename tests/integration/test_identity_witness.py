"""Choosing a witness, moving to another, and what a device makes of one that is down or not the one it knows."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tests.support.between import PASS, Said, between
from tests.support.fixtures import Owners
from tests.support.identities import choose, upload
from tests.support.people import SOME_DAY_MS, Person, points, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority.keys import SigningKey
from waykeep.authority.statements import WAIVER, NodeApproved, WitnessNamed, WitnessWaived
from waykeep.authority.witnessing import Close, NameStateKey
from waykeep.device import identity, witnesses, writing
from waykeep.device.account import Account
from waykeep.formats import agefile
from waykeep.formats.ids import numbered
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


@pytest.fixture(scope="module")
def other(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20, name="other-witness") as found:
        yield found


def test_a_witness_holds_both_logs_from_the_first(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        upload(device, 0)
        choose(device, witness)
        log = device.log()
        held = device.witness.connected(log).read().held
        assert (held.owner, held.resumes, held.successor) == (log.head, 0, None)
        assert held.journal == device.status().journal
        assert held.epoch is not None and held.epoch.digest == log.epochs[1].statement
        assert held.state_keys == (device.connect().state_key,)
        # Again it is the same; nothing is added.
        assert witnesses.use(device, witness.url, witness.key, "no token needed") == log.head.number
        assert device.log().head == log.head


def test_a_choice_that_was_cut_off_between_witness_and_log(owner: Person, witness: Witness) -> None:
    """Registered, and then the log went on before the entry."""
    with owner.account() as device:
        log = device.log()
        witnesses._register_as_it_is(device, log, witness.url, witness.key, witness.tokens.pop())
        device.owner_log.append(NodeApproved(agefile.generate()[1], "cellar"))
        number = witnesses.use(device, witness.url, witness.key, "used up")
        assert device.witness.connected(device.log()).read().held.owner == Head(number, device.log().digest_at(number))


def test_another_witness_is_not_used_beside_the_first(owner: Person, witness: Witness, other: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        with refused("witness-in-use", "device"):
            witnesses.use(device, other.url, other.key, other.tokens[0])


def test_a_token_that_the_witness_did_not_give_out(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        before = device.log().head
        with refused("witness-token", "witness"):
            witnesses.use(device, witness.url, witness.key, "made up")
        assert device.log().head == before


def test_a_witness_of_another_key_or_none_at_all(witness: Witness, stage: Watched) -> None:
    assert witnesses.key_of(witness.url) == witnesses.key_of(witness.url + "/", witness.key) == witness.key
    with refused("witness-key-mismatch", "device"):
        witnesses.key_of(witness.url, SigningKey(bytes(32)).public)
    with refused("public-key-malformed", "format"):
        witnesses.key_of(witness.url, "x")
    for url in ("ftp://x", stage.host_url, "http://" + "x" * 300):
        with refused("witness-url-malformed", "device"):
            witnesses.key_of(url)
    with refused("witness-unreachable", "channel"):
        witnesses.key_of("http://127.0.0.1:1")


def test_a_move_closes_the_old_one_and_goes_on_with_what_it_held(
    owner: Person, witness: Witness, other: Witness
) -> None:
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        old = device.witness.connected(device.log()).read().held
        token = other.tokens.pop()
        number = witnesses.move(device, other.url, other.key, token)
        log = device.log()
        assert log.witness is not None and log.witness.key == other.key and log.witness.closed
        held = device.witness.connected(log).read().held
        assert (held.owner, held.journal, held.state_keys) == (log.head, old.journal, old.state_keys)
        assert witnesses.move(device, other.url, other.key, token) == number
        upload(device, 1)


def test_a_move_that_was_cut_off_at_the_close_is_repeated(owner: Person, witness: Witness, other: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        log = device.log()
        device.witness.connected(log).ask(Close(other.key), device.keys.secrets.control_key)
        with refused("witness-moving", "device"):
            device.witness.follow(log)
        upload_waits(device)
        witnesses.move(device, other.url, other.key, other.tokens.pop())
        upload(device, 1)


def upload_waits(device: Account) -> None:
    """Nothing is sent while no witness confirms the epoch."""
    device.queue({"location": points(SOME_DAY_MS + 3_600_000_000, 1)}, "imported")
    with refused("epoch-unconfirmed", "device"):
        device.upload()
    assert len(device.outbox.names()) == 1


def test_there_is_nothing_to_move_from(owner: Person, other: Witness) -> None:
    with owner.account() as device, refused("witness-missing", "device"):
        witnesses.move(device, other.url, other.key, other.tokens[0])


def test_a_dead_witness_is_replaced_under_the_rules_of_a_resume(owner: Person, stage: Watched, other: Witness) -> None:
    with owner.account() as device:
        with running_witness(stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as dead:
            choose(device, dead)
        number = witnesses.replace_dead(device, other.url, other.key, other.tokens.pop())
        assert witnesses.replace_dead(device, other.url, other.key, "") == number
        body = device.log().entries[number - 1][1].body
        assert isinstance(body, WitnessNamed) and not body.closed
        upload(device, 0)


def test_doing_without_takes_the_owner_s_words(owner: Person) -> None:
    with owner.account() as device:
        assert len({witnesses.waive(device) for _ in range(2)}) == 1
        assert device.log().entries[-1][1].body == WitnessWaived(WAIVER)
        assert device.log().waived


# -- a witness that is down, or holds something else -------------------------------------------------------------------


def test_a_witness_that_is_down_stops_uploads_and_no_reads(owner: Person, stage: Watched) -> None:
    with owner.account() as device, running_witness(stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as witness:
        choose(device, witness)
        upload(device, 0)
        witness.stop()
        device.disconnect()
        assert device.rows("location", 0, 4_000_000_000_000).num_rows == 10
        assert device.witness.untold is not None and device.witness.untold.rule == "witness-unreachable"
        upload_waits(device)
        identity.rotate(device)  # it is in the log, and the witness is told later
        witness.start()
        assert set(device.upload().outcome.values()) == {"accepted"}
        held = device.witness.connected(device.log()).read().held
        assert held.epoch is not None and held.epoch.number == 2


def test_a_writer_kept_on_an_old_epoch_by_its_host(owner: Person, witness: Witness) -> None:
    with owner.account() as device, between(owner.stage.host_url) as host:
        choose(device, witness)
        identity.rotate(device)
        held = device.witness.connected(device.log()).read().held.epoch

        def rule(count: int, method: str, path: str) -> Said:
            return encode_json({"names": [numbered(1)], "more": False}) if path.endswith("/epochs") else PASS

        host.rule = rule
        device.host.close()
        with owner.account(host.url) as writer:
            with refused("epoch-behind-witness", "device"):
                writing.newest(writer.host, owner.owner, held)
            writer.queue({"location": points(SOME_DAY_MS, 1)}, "imported")
            with refused("epoch-behind-witness", "device"):
                writer.upload()
            assert len(writer.outbox.names()) == 1


def test_a_state_key_that_is_retired_at_the_witness_is_replaced(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        before = device.connect().state_key
        assert device.witness.retire(device.log()) == 1
        device.disconnect()
        upload(device, 1)
        after = device.connect().state_key
        assert after != before
        assert not device.log().signs_now(before)
        assert device.witness.connected(device.log()).read().held.state_keys == (after,)
        with refused("witness-state-key", "witness"):
            device.witness.connected(device.log()).ask(NameStateKey(before), device.keys.secrets.control_key)


def test_a_witness_that_holds_entries_which_the_host_does_not_show(owners: Owners, witness: Witness) -> None:
    owner = owners()
    with owner.account() as device:
        choose(device, witness)
        identity.rotate(device)
        head = device.log().head
    newest = owner.path("owner-log", numbered(head.number))
    kept = newest.read_bytes()
    newest.unlink()
    # A device that has not seen it: the witness says what is withheld.
    (owner.folder.log / numbered(head.number)).unlink()
    owner.folder.save_heads(msgspec.structs.replace(owner.folder.heads(), owner=None))
    with owner.account() as device:
        with refused("owner-log-rewound", "device"):
            device.witness.follow(device.log())
        with refused("owner-log-rewound", "device"):
            device.connect()
    newest.write_bytes(kept)
    with owner.account() as device:
        upload(device, 0)
