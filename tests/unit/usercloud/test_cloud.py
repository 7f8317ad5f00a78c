"""A user cloud over a real store: locked until it is handed keys, and what it refuses changes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from tests.support.people import refused
from tests.unit.vault.segmenting import LOG, NOW_MS, OWNER, SECRETS, STATE_KEY, rows, uploaded
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.authority import dsse
from waykeep.authority.plans import ReadPlan
from waykeep.authority.records import HEAD_TYPE, JournalHead
from waykeep.authority.statements import NodeApproved, StateKeyNamed
from waykeep.authority.witnessing import Held
from waykeep.channel.trust import Trust
from waykeep.device import owner
from waykeep.device.trusting import default_policy
from waykeep.errors import VaultError
from waykeep.formats import agefile
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head, Unlock
from waykeep.formats.wire import decode_json
from waykeep.usercloud import derived, reading
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.uploads import accept
from waykeep.vault.store import DirectoryStore

HOME = f"owners/{LOG.owner}"
RECIPIENTS = LOG.log_recipients()
TRUST = Trust({"insecure": "A" * 43}, ReferenceValues(supervisor=(), workloads={}), default_policy())
LAST = Head(4, sha256(OWNER.entries[4]))
ASKED = Unlock(SECRETS.logs, SECRETS.epochs, LAST, TRUST.to_message())


class House:
    """A store with this owner's log, and user clouds on it.

    Args:
        folder: Of the store.
    """

    def __init__(self, folder: Path) -> None:
        self.store = DirectoryStore(folder)
        self.store.create_owner(LOG.owner)
        self.segments = folder / HOME / "segments"
        self.head = Head(-1, sha256(b""))
        for envelope in OWNER.entries:
            self.put_entry(envelope)
        self.store.put_new(f"{HOME}/epochs/{numbered(1)}", OWNER.epoch)

    def put_entry(self, envelope: bytes) -> None:
        number = self.head.number + 1
        self.store.put_new(f"{HOME}/owner-log/{numbered(number)}", agefile.seal(envelope, RECIPIENTS))
        self.head = Head(number, sha256(envelope))

    def name(self, cloud: Cloud) -> None:
        """The device names a user cloud's state key in the owner log."""
        body = StateKeyNamed(cloud.state_key.public)
        self.put_entry(owner.entry_after(LOG.owner, self.head, NOW_MS, body, SECRETS.device_key))

    def started(self) -> Cloud:
        return Cloud(LOG.owner, self.store)

    def unlocked(self, *, named: bool = True) -> Cloud:
        cloud = self.started()
        if named:
            self.name(cloud)
        cloud.unlock(ASKED, cloud.look(ASKED))
        return cloud

    def upload(self, name: str, data: bytes | None = None) -> str:
        self.store.put_new(f"{HOME}/segments/{name}", uploaded() if data is None else data)
        return name

    def read(self, cloud: Cloud, *columns: str) -> list[dict[str, object]]:
        plan = ReadPlan({"battery": columns}, NOW_MS, NOW_MS + 10_000)
        return reading.read(cloud, plan).tables["battery"].to_pylist()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


# -- locked and unlocked ----------------------------------------------------------------------------------------------


def test_a_locked_user_cloud_does_nothing(house: House) -> None:
    cloud = house.started()
    for tried in (
        cloud.refresh,
        cloud.status,
        cloud.signed_head,
        lambda: cloud.keys,
        lambda: cloud.log,
        lambda: accept(cloud, (house.upload("a"),)),
        lambda: house.read(cloud),
    ):
        with refused("locked", "user-cloud"):
            tried()


def test_an_unlocked_one_says_what_it_was_handed(house: House) -> None:
    cloud = house.started()
    found = cloud.unlock(ASKED, cloud.look(ASKED))
    assert (found.state_key, found.named, found.journal, found.epochs) == (cloud.state_key.public, False, None, (1,))
    house.name(cloud)
    assert cloud.unlock(ASKED, cloud.look(ASKED)).named


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"epochs": {"2": SECRETS.epochs["1"]}}, "epoch-unknown"),
        ({"epochs": {"one": SECRETS.epochs["1"]}}, "epoch-unknown"),
        ({"epochs": {"-1": SECRETS.epochs["1"]}}, "epoch-unknown"),
        ({"epochs": {"1" * 5000: SECRETS.epochs["1"]}}, "epoch-unknown"),
        ({"epochs": {"\N{ARABIC-INDIC DIGIT ONE}": SECRETS.epochs["1"]}}, "epoch-unknown"),
        ({"epochs": {"1": SECRETS.logs[-1]}}, "epoch-secret-mismatch"),
        ({"log_secrets": (*SECRETS.logs, OWNER.paper.opening)}, "log-secret-mismatch"),
    ],
)
def test_keys_that_the_owner_log_does_not_name(house: House, changes: dict[str, object], rule: str) -> None:
    cloud, asked = house.started(), msgspec.structs.replace(ASKED, **changes)
    with refused(rule, "user-cloud"):
        cloud.unlock(asked, cloud.look(asked))
    with refused("locked", "user-cloud"):
        cloud.status()


def test_more_epochs_are_added_and_none_is_lost(house: House) -> None:
    cloud = house.started()
    none = msgspec.structs.replace(ASKED, epochs={})
    assert cloud.unlock(none, cloud.look(none)).epochs == ()
    assert cloud.unlock(ASKED, cloud.look(ASKED)).epochs == (1,)
    assert cloud.unlock(none, cloud.look(none)).epochs == (1,)


def test_an_unlock_that_is_refused_takes_nothing_away(house: House) -> None:
    cloud = house.unlocked()
    asked = msgspec.structs.replace(ASKED, epochs={"1": SECRETS.logs[-1]})
    with refused("epoch-secret-mismatch", "user-cloud"):
        cloud.unlock(asked, cloud.look(asked))
    assert accept(cloud, (house.upload("a"),)).outcome == {"a": "accepted"}


def test_nothing_is_written_before_the_owner_log_names_the_state_key(house: House) -> None:
    cloud = house.unlocked(named=False)
    with refused("state-key-unnamed", "user-cloud"):
        accept(cloud, (house.upload("a"),))
    assert house.store.names(f"{HOME}/journal") == []


# -- accepting --------------------------------------------------------------------------------------------------------


def test_what_is_accepted_is_in_the_signed_head_and_is_read(house: House) -> None:
    cloud = house.unlocked()
    found = accept(cloud, (house.upload("a"),))
    assert (found.outcome, found.rows_new) == ({"a": "accepted"}, 3)
    payload = dsse.open_(found.head, HEAD_TYPE, [cloud.state_key.public]).payload
    signed = decode_json(payload, JournalHead)
    assert (signed.owner, signed.head, signed.head.number) == (LOG.owner, cloud.status().journal, 0)
    assert house.read(cloud, "ts_ms", "level_pct") == rows().select(["ts_ms", "level_pct"]).to_pylist()


def test_the_same_rows_again_are_known_and_not_kept(house: House) -> None:
    cloud = house.unlocked()
    accept(cloud, (house.upload("a"),))
    head = cloud.status().journal
    assert accept(cloud, (house.upload("b"),)).outcome == {"b": "known"}
    assert accept(cloud, ("a",)).outcome == {"a": "known"}
    assert (cloud.status().journal, sorted(os.listdir(house.segments))) == (head, ["a"])


def test_rows_that_are_new_in_part_are_read_once(house: House) -> None:
    cloud = house.unlocked()
    later = uploaded(rows([NOW_MS + 2000, NOW_MS + 3000]))
    found = accept(cloud, (house.upload("a"), house.upload("b", later), "a"))
    assert (found.outcome, found.rows_new) == ({"a": "accepted", "b": "accepted"}, 4)
    assert [row["ts_ms"] for row in house.read(cloud, "ts_ms")] == [NOW_MS + 1000 * n for n in range(4)]


def test_what_is_refused_changes_nothing_and_stops_nobody_else(house: House) -> None:
    cloud = house.unlocked()
    house.upload("cut", uploaded()[:-1])
    house.upload("stranger", uploaded(key=STATE_KEY))
    house.upload("derived", uploaded(key=cloud.state_key, stream="derived/t", kind="derived", source="derived"))
    names = ("cut", "stranger", "missing", "../a", "derived", house.upload("a"))
    found = accept(cloud, names)
    assert found.outcome == {
        "cut": "age-not-ours",
        "stranger": "signer-unknown",
        "missing": "object-missing",
        "../a": "object-name-malformed",
        "derived": "segment-kind",
        "a": "accepted",
    }
    assert set(found.detail) == set(names) - {"a"}
    assert len(house.read(cloud)) == 3
    assert cloud.status().streams[0].segments == 1


def test_a_segment_whose_epoch_was_not_handed_over(house: House) -> None:
    cloud = house.unlocked()
    accept(cloud, (house.upload("a"),))
    other = house.started()
    house.name(other)
    none = msgspec.structs.replace(ASKED, epochs={})
    other.unlock(none, other.look(none))
    assert house.read(other) == []
    plan = ReadPlan({"battery": ()}, NOW_MS, NOW_MS + 1)
    assert reading.read(other, plan).epochs_missing == (1,)
    with refused("epoch-locked", "user-cloud"):
        reading.read(other, plan, epochs=(1,))
    assert other.status().epochs_missing == (1,)
    assert accept(other, (house.upload("b"),)).outcome == {"b": "age-not-ours"}


# -- against the store ------------------------------------------------------------------------------------------------


def test_another_process_reads_what_was_accepted(house: House) -> None:
    first = house.unlocked()
    accept(first, (house.upload("a"),))
    assert house.read(house.unlocked()) == house.read(first)


def test_of_two_instances_the_second_stops_for_good(house: House) -> None:
    one, other = house.unlocked(), house.unlocked()
    stopped: list[str] = []
    other.on_stop = stopped.append
    accept(one, (house.upload("a"),))
    later = house.upload("b", uploaded(rows([NOW_MS + 5000])))
    again = (lambda: accept(other, (later,)), other.status, other.signed_head, lambda: house.read(other))
    for tried in (lambda: accept(other, (later,)), *again):
        with refused("journal-taken", "vault"):
            tried()
    assert stopped == ["journal-taken"]
    assert accept(one, (later,)).outcome == {"b": "accepted"}


@pytest.mark.parametrize("room", ["owner", "journal"])
def test_an_instance_on_a_fork_stops_for_good(house: House, room: str) -> None:
    """It would stay on it for as long as it is asked something, and so for as long as the host likes."""
    cloud = house.unlocked()
    accept(cloud, (house.upload("a"),))
    stopped: list[str] = []
    cloud.on_stop = stopped.append
    held = Held(cloud.log.head, cloud.journal.head, None, 0, (cloud.state_key.public,))
    cloud.stand(cloud.log, held)
    with refused("journal-behind", "authority"):  # what the host withholds it may still show
        cloud.stand(cloud.log, msgspec.structs.replace(held, journal=Head(7, sha256(b"to come"))))
    assert stopped == []
    fork = msgspec.structs.replace(held, **{room: Head(0, sha256(b"fork"))})
    for tried in (lambda: cloud.stand(cloud.log, fork), cloud.status, cloud.signed_head, lambda: house.read(cloud)):
        with refused(f"{'owner-log' if room == 'owner' else room}-forked", "authority"):
            tried()
    assert stopped == [f"{'owner-log' if room == 'owner' else room}-forked"]


def test_a_segment_that_was_exchanged_in_the_store(house: House) -> None:
    cloud = house.unlocked()
    accept(cloud, (house.upload("a"),))
    (house.segments / "a").unlink()
    house.upload("a", uploaded(rows([NOW_MS])))
    with refused("segment-changed", "vault"):
        house.read(cloud)
    (house.segments / "a").unlink()
    with refused("object-missing", "vault"):
        house.read(cloud)


def test_an_owner_log_that_was_cut_in_the_store(house: House) -> None:
    cloud = house.unlocked()
    house.store.delete(f"{HOME}/owner-log/{numbered(5)}")
    assert cloud.refresh().head.number == 5
    asked = msgspec.structs.replace(ASKED, owner_head=house.head)
    with refused("owner-log-behind", "vault"):
        house.started().look(asked)


def test_derived_segments_that_no_record_names_are_swept_away(house: House) -> None:
    first = house.unlocked()
    accept(first, (house.upload("recorded"),))
    house.upload("uploaded", uploaded(rows([NOW_MS + 9000])))
    house.upload("noise", b"x")
    result = uploaded(key=first.state_key, stream="derived/t", kind="derived", source="derived")
    derived.put(house.store, LOG.owner, "orphan", result)
    with pytest.raises(VaultError, match="name-taken"):
        derived.put(house.store, LOG.owner, "orphan", b"other")
    house.unlocked()
    assert sorted(os.listdir(house.segments)) == ["noise", "recorded", "uploaded"]


def test_unlock_outdated_by_what_was_read_meanwhile(house: House) -> None:
    cloud = house.unlocked()
    before = cloud.log
    house.put_entry(
        owner.entry_after(LOG.owner, house.head, NOW_MS, NodeApproved(agefile.generate()[1], "a"), SECRETS.device_key)
    )
    cloud.refresh()
    with refused("unlock-outdated", "user-cloud"):
        cloud.unlock(ASKED, before)
