"""The owner's keys over their life: epochs, more devices, and devices that are revoked."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from tests.support import algorithms
from tests.support.between import LOSE, PASS, Between, Rule, Said, between, cut_after, missing
from tests.support.fixtures import Owners
from tests.support.identities import Device, choose, upload
from tests.support.people import SOME_DAY_MS, Person, points, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.statements import EpochOpened, KeyRevoked, NodeApproved
from waykeep.device import enrolling, handing, identity, keystore, revoking
from waykeep.device.keystore import Secrets
from waykeep.errors import HostError
from waykeep.formats import agefile
from waykeep.formats.ids import numbered, sha256, statement_name

ALWAYS = (0, 4_000_000_000_000)


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


@pytest.fixture
def host(stage: Watched) -> Iterator[Between]:
    with between(stage.host_url) as found:
        yield found


def kinds(person: Person) -> list[str]:
    return [type(entry.body).__name__ for _, entry, _ in person.log().entries]


# -- epochs ------------------------------------------------------------------------------------------------------------


def test_a_new_epoch_takes_what_is_uploaded_from_then_on(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        assert identity.rotate(device) == 2
        upload(device, 1)
        assert {line.epoch for line in owner.journal().segments.values()} == {1, 2}
        assert device.rows("location", *ALWAYS).num_rows == 20
        held = device.witness.connected(device.log()).read().held
        assert held.epoch is not None and held.epoch.number == 2
        assert held.owner == device.log().head
        listed = identity.list_keys(device)
    epochs = {line.key: line for line in listed if line.kind == "epoch"}
    assert (epochs["1"].in_force, epochs["2"].in_force) == (False, True)
    assert epochs["1"].here and epochs["2"].here and epochs["2"].until_ms


def test_an_epoch_whose_key_was_not_given_is_named_and_not_left_out_in_silence(owner: Person) -> None:
    with owner.account() as device:
        upload(device, 0)
        identity.rotate(device)
        upload(device, 1)
        first = device.keys.secrets.epochs["1"]
        device.suspend(forget=True)
        owner.stage.forgets(owner.owner)
        owner.path("keys", "1.age").unlink()
        device.keys.change(lambda kept: msgspec.structs.replace(kept, epochs={"2": kept.epochs["2"]}))
        found, missing_epochs = device.read("location", *ALWAYS)
        assert (found.num_rows, missing_epochs) == (10, (1,))
        with refused("epochs-missing", "device"):
            device.rows("location", *ALWAYS)
        device.keys.add_epoch(1, first)
        identity.hand_over(device)
        assert device.rows("location", *ALWAYS).num_rows == 20


@pytest.mark.parametrize("kind", ["drop", "lose"])
def test_a_rotation_that_is_cut_off_anywhere_is_made_up_for(owners: Owners, host: Between, kind: str) -> None:
    person, cuts = owners(), 0
    with person.account(host.url) as device:
        device.connect()
        while True:
            host.asked.clear()
            host.rule = cut_after(cuts, kind)
            try:
                identity.rotate(device)
                break
            except HostError:
                cuts += 1
            except Exception as error:  # noqa: BLE001 - an entry that waits is one way to be cut off
                assert getattr(error, "rule", "") in ("entry-pending", "host-unreachable"), error
                cuts += 1
            host.rule = lambda count, method, path: PASS
            state = device.log()
            opened = [e.body.number for _, e, _ in state.entries if isinstance(e.body, EpochOpened)]
            assert opened == list(range(1, len(opened) + 1))
            assert device.epoch().number == opened[-1]
        host.rule = lambda count, method, path: PASS
        upload(device)
    assert cuts > 5


def test_bytes_that_somebody_put_where_an_epoch_goes_stop_no_epoch(owner: Person) -> None:
    owner.plant("epochs", numbered(2), b"{}")
    owner.plant("keys", "2.age", agefile.seal(b"x", [agefile.generate()[1]]))
    with owner.account() as device:
        upload(device, 0)
        assert identity.rotate(device) == 2
        name = statement_name(
            2, sha256(next(p for p in owner.path("epochs", "").iterdir() if "-" in p.name).read_bytes())
        )
        assert owner.path("epochs", name).exists()
        assert device.epoch().number == 2


# -- more devices ------------------------------------------------------------------------------------------------------


def test_a_device_is_added_and_both_read_and_write(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        with Device(owner, f"{owner.owner[:8]}-b").added(device).account() as other:
            upload(other, 1)
            assert other.rows("location", *ALWAYS).num_rows == 20
            assert device.rows("location", *ALWAYS).num_rows == 20
            with refused("authority-missing", "device"):
                identity.rotate(other)
            assert other.owner_log.append(NodeApproved(agefile.generate()[1], "cellar")) == owner.log().head.number
            assert other.witness.untold is None
        # What one device opened, the other learns.
        identity.rotate(device)
        with Device(owner, f"{owner.owner[:8]}-b").account() as other:
            upload(other, 2)
            assert other.keys.secrets.epochs.keys() == {"1", "2"}


def test_a_device_with_the_authority_adds_and_revokes(owner: Person) -> None:
    with owner.account() as device:
        second = Device(owner, f"{owner.owner[:8]}-b").added(device, with_authority=True)
    with second.account() as other:
        third = Device(owner, f"{owner.owner[:8]}-c").added(other)
        identity.revoke(other, owner.secrets.device_key.public)
        upload(other)
    with third.account() as other:
        upload(other, 1)
    with owner.account() as device, refused("device-revoked", "device"):
        device.log()


def test_each_step_of_an_enrolment_can_be_repeated(owner: Person) -> None:
    new = Device(owner, f"{owner.owner[:8]}-b")
    line = new.request()
    assert new.request() == line
    with refused("device-not-added", "device"):
        enrolling.finish(new.folder, new.lock)
    with refused("device-not-added", "device"):
        new.account()
    with owner.account() as device:
        numbers = {enrolling.add(device, enrolling.parse_request(line), with_authority=False) for _ in range(2)}
    assert len(numbers) == 1
    assert kinds(owner).count("DeviceAdded") == 2
    heads = {enrolling.finish(new.folder, new.lock).head for _ in range(2)}
    assert heads == {owner.log().head}


def test_what_is_left_for_a_device_by_somebody_else_is_not_taken(owners: Owners) -> None:
    owner, other = owners(), owners()
    new = Device(owner, f"{owner.owner[:8]}-b")
    asked = enrolling.parse_request(new.request())
    with owner.account() as device:
        enrolling.add(device, asked, with_authority=False)
        left = next(p for p in owner.path("keys", "").iterdir() if p.name.startswith("device-"))
        good = left.read_bytes()
        foreign = handing.Bundle(owner.secrets.logs, owner.secrets.epochs, other.secrets.control, bytes(16))
        left.write_bytes(handing.seal_for(foreign, asked.device))
        with refused("bundle-mismatch", "device"):
            enrolling.finish(new.folder, new.lock)
        owner.plant("keys", left.name.replace(".age", "-00000000.age"), good)
        assert enrolling.finish(new.folder, new.lock).head == device.log().head


def test_a_request_to_another_owner(owners: Owners) -> None:
    owner, other = owners(), owners()
    line = Device(owner, f"{owner.owner[:8]}-b").request()
    with other.account() as device, refused("enrolment-foreign", "device"):
        enrolling.add(device, enrolling.parse_request(line), with_authority=False)
    assert kinds(other) == ["RecipientsNamed", "DeviceAdded", "WriterAdded", "EpochOpened"]


# -- revoking ----------------------------------------------------------------------------------------------------------


def test_a_revoked_device_reads_and_writes_nothing_new(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        second = Device(owner, f"{owner.owner[:8]}-b").added(device)
        with second.account() as other:
            upload(other, 1)
            identity.revoke(device, identity.find(device.log(), second.name))
            other.disconnect()  # the revocation gave the user cloud a new state key, and so a new process
            with refused("device-revoked", "device"):
                other.status()
            with refused("device-revoked", "device"):
                other.log()
            other.queue({"location": points(SOME_DAY_MS, 1)}, "imported")
            with refused("device-revoked", "device"):
                other.upload()
            assert len(other.outbox.names()) == 1, "what it recorded stays on it"
        upload(device, 2)
        log = device.log()
    # It was handed neither the new log secret nor the new epoch's.
    known = second_secrets(second)
    assert agefile.recipient_of(known.logs[-1]) != log.log_recipients()[0]
    assert str(max(log.epochs)) not in known.epochs
    for name in ("keys", "owner-log"):
        newest = sorted(owner.path(name, "").iterdir())[-1]
        if name == "owner-log":
            with refused("age-not-ours", "format"):
                agefile.open_(newest.read_bytes(), [*known.logs, *known.epochs.values()], limit=10**6, what="it")


def second_secrets(device: Device) -> Secrets:
    return keystore.load(device.folder.keystore, device.lock)


def test_a_revocation_that_is_cut_off_anywhere_is_made_up_for(owners: Owners, host: Between) -> None:
    """Whatever got through: at last the key is revoked once, and log keys and epoch are newer than that."""
    for cuts in range(0, 40, 3):
        person = owners()
        with person.account(host.url) as device:
            host.rule = lambda count, method, path: PASS
            second = Device(person, f"{person.owner[:8]}-b").added(device)
            key = identity.find(device.log(), second.name)
            host.asked.clear()
            host.rule = cut_after(cuts, LOSE)
            done = True
            try:
                identity.revoke(device, key)
            except Exception as error:  # noqa: BLE001 - however it was cut off
                assert getattr(error, "rule", "") in ("entry-pending", "host-unreachable"), error
                done = False
            host.rule = lambda count, method, path: PASS
        with person.account() as device:
            log = device.log()
        revoked = [e.number for _, e, _ in log.entries if e.body == KeyRevoked(key)]
        if done or revoked:
            assert len(revoked) == 1
            assert max(e.number for _, e, _ in log.entries if e.body == log.recipients[-1]) > revoked[0]
            assert max(e.number for _, e, _ in log.entries if isinstance(e.body, EpochOpened)) > revoked[0]
            assert second.name not in {body.name for body in log.devices.values()}
        if done:
            break
    else:
        pytest.fail("the revocation never got through")


def test_one_s_own_device_is_not_revoked_from_itself(owner: Person) -> None:
    with owner.account() as device, refused("key-own", "device"):
        identity.revoke(device, owner.secrets.device_key.public)


def test_keys_that_nobody_means(owner: Person) -> None:
    with owner.account() as device:
        with refused("key-unknown", "device"):
            identity.find(device.log(), "nobody")
        Device(owner, f"{owner.owner[:8]}-b").added(device)
        new = Device(owner, f"{owner.owner[:8]}-c")
        new.name = f"{owner.owner[:8]}-b"
        new.added(device)
        with refused("key-ambiguous", "device"):
            identity.find(device.log(), new.name)


# -- offline -----------------------------------------------------------------------------------------------------------


def test_what_was_decided_offline_goes_out_with_the_next_command_that_reaches_the_host(
    owner: Person, host: Between
) -> None:
    with owner.account(host.url) as device:
        approved = device.owner_log.append(NodeApproved(agefile.generate()[1], "cellar"))
        host.rule = cut_after(0)
        withdrawn = KeyRevoked(owner.secrets.writer_key.public)
        for _ in range(2):  # said twice, it is one entry
            with refused("entry-pending", "device"):
                device.owner_log.append(withdrawn)
    # Meanwhile another device of the owner goes on.
    with owner.account(owner.stage.host_url) as device:
        items = device.owner_log._pending.items()
        assert [item.body for _, item in items] == [withdrawn]
        log = device.log()
        assert log.entries[-1][1].body == withdrawn and log.head.number == approved + 1
        assert device.owner_log._pending.items() == []
        assert owner.secrets.writer_key.public not in log.writers


def test_an_offline_entry_of_a_device_that_was_revoked_meanwhile_is_kept_and_named(
    owner: Person, host: Between
) -> None:
    with owner.account() as device:
        second = Device(owner, f"{owner.owner[:8]}-b", host.url).added(device)
        with second.account() as other:
            host.rule = cut_after(0)
            with refused("entry-pending", "device"):
                other.owner_log.append(NodeApproved(agefile.generate()[1], "mine"))
        identity.revoke(device, identity.find(device.log(), second.name))
        before = device.log().head
        host.rule = lambda count, method, path: PASS
        with second.account() as other:
            with pytest.raises(Exception, match="device-revoked") as caught:
                other.log()
            assert "1 entries that it made wait here" in str(caught.value)
            assert len(other.owner_log._pending.items()) == 1
        assert device.log().head == before


def test_an_entry_whose_answer_was_lost_is_not_doubled(owner: Person, host: Between) -> None:
    body = NodeApproved(agefile.generate()[1], "cellar")
    with owner.account(host.url) as device:
        device.log()

        def lose_puts(count: int, method: str, path: str) -> Said:
            return LOSE if method == "PUT" else PASS

        host.rule = lose_puts
        with refused("entry-pending", "device"):
            device.owner_log.append(body)
        host.rule = lambda count, method, path: PASS
        number = device.owner_log.append(body)
    assert [e.number for _, e, _ in owner.log().entries if e.body == body] == [number]


def test_an_offline_entry_that_the_log_refuses_by_now_is_dropped_and_said(owner: Person, host: Between) -> None:
    with owner.account(host.url) as device:
        host.rule = cut_after(0)
        with refused("entry-pending", "device"):
            device.owner_log.append(Withdrawn(99))
        host.rule = lambda count, method, path: PASS
        device.log()
        assert device.owner_log.dropped == [("withdrawn", "log-unknown")]
        assert device.owner_log._pending.items() == []


# -- a host that hides or refuses what the owner says ------------------------------------------------------------------


def hides_new_entries(from_number: int) -> Rule:
    def rule(count: int, method: str, path: str) -> Said:
        room, _, name = path.rpartition("/")
        hidden = room.endswith("/owner-log") and name.isdecimal() and int(name) >= from_number
        return missing() if hidden and method == "GET" else PASS

    return rule


def refuses_new_entries(count: int, method: str, path: str) -> Said:
    return HostError("host-full", "no room", status=507) if method == "PUT" and "/owner-log/" in path else PASS


@pytest.mark.parametrize("how", ["hides", "refuses"])
def test_a_host_that_does_not_take_a_revocation_stops_no_owner(
    owner: Person, host: Between, witness: Witness, how: str
) -> None:
    """All state keys are retired at the witness instead: nothing is spent any more."""
    with owner.account(host.url) as device:
        choose(device, witness)
        upload(device)
        algorithms.approve(device, algorithms.slow(), *ALWAYS)
        log = device.log()
        (number,) = log.approvals
        assert device.witness.connected(log).read().held.state_keys == (device.connect().state_key,)
        host.rule = hides_new_entries(log.head.number + 1) if how == "hides" else refuses_new_entries
        done = revoking.revoke(device, Withdrawn(number))
        assert (done.number, done.refusal, done.retired) == (None, "entry-withheld", 1)
        assert device.witness.connected(log).read().held.state_keys == ()
        assert len(device.owner_log._pending.items()) == 1


# -- nodes -------------------------------------------------------------------------------------------------------------


def test_a_node_is_approved_and_withdrawn_with_its_state_keys(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        upload(device)
        (recipient,) = device.log().nodes
        cellar = agefile.generate()[1]
        assert len({identity.approve_node(device, cellar, "cellar") for _ in range(2)}) == 1
        key = device.connect().state_key
        identity.withdraw_node(device, recipient)
        log = device.log()
        assert list(log.nodes) == [cellar] and not log.signs_now(key)
        assert device.witness.connected(log).read().held.state_keys == ()
        device.disconnect()
        upload(device, 1)
        assert device.connect().state_key != key
        assert device.rows("location", *ALWAYS).num_rows == 20
