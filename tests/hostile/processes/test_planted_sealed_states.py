"""Sealed states that a host plants, keeps, cuts or exchanges: none wakes a user cloud, and its owner still can."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from tests.support import stages
from tests.support.people import SOME_DAY_MS, Person, points, refused
from tests.support.stages import Watched
from waykeep.attestation.evidence import USER_CLOUD
from waykeep.authority import sealing
from waykeep.authority.keys import SigningKey
from waykeep.authority.sealing import SealedState
from waykeep.authority.statements import StateKeyNamed
from waykeep.device.account import Account, now_ms
from waykeep.device.reaching import reach
from waykeep.errors import WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import numbered
from waykeep.formats.messages import Head
from waykeep.supervisor.measure import measure

ALWAYS = (0, 4_000_000_000_000)


@pytest.fixture(scope="module")
def stage() -> Iterator[Watched]:
    with stages.running() as found:
        yield found


class Sleeper:
    """An owner whose user cloud sleeps, and a host that may do what it likes meanwhile."""

    def __init__(self, stage: Watched, name: str) -> None:
        self.stage, self.person = stage, Person(stage, name)
        self.device: Account = self.person.account()
        self.device.queue({"location": points(SOME_DAY_MS, 10)}, "imported")
        self.device.upload()
        self.node = next(iter(self.device.log().nodes))
        self.sleep()

    def sleep(self) -> None:
        self.device.suspend()
        self.stage.forgets(self.person.owner)

    @property
    def name(self) -> str:
        (found,) = (path.name for path in self.person.path("sealed", "").iterdir())
        return found

    def data(self) -> bytes:
        return self.person.path("sealed", self.name).read_bytes()

    def plant(self, data: bytes) -> None:
        """Put something else under the name of what lies there."""
        name = self.name
        self.person.path("sealed", name).unlink()
        self.person.plant("sealed", name, data)

    def made(self, *, node: str = "", measurement: str = "", named: bool = True, journal: Head | None = None) -> bytes:
        """A sealed state by a state key of one's own, which the owner log names, or not."""
        seed, secrets = os.urandom(32), self.person.secrets
        if named:
            self.device.owner_log.append(StateKeyNamed(SigningKey(seed).public))
        return sealing.seal(
            SealedState(seed, secrets.logs, secrets.epochs, self.person.trust.to_message()),
            owner=self.person.owner,
            workload=USER_CLOUD,
            measurement=measurement or measure(USER_CLOUD),
            node=node or self.node,
            owner_head=self.device.log().head,
            journal=journal,
        )

    def wakes(self) -> None:
        """A request that brings no keys. Raises as the user cloud refuses it."""
        with reach(self.device.host, self.device.owner, self.device.profile.trust, now_ms, self.device.signer) as cloud:
            cloud.request("GET", "/v1/status")

    def is_refused(self, rule: str, *, owner_comes: bool = True) -> None:
        with refused(rule):
            self.wakes()
        if owner_comes:
            assert self.device.rows("location", *ALWAYS).num_rows == 10
        self.device.close()


@pytest.fixture
def sleeper(stage: Watched, request: pytest.FixtureRequest) -> Sleeper:
    return Sleeper(stage, f"s{abs(hash(request.node.name)) % 10**8}")


def test_one_that_is_what_it_says_wakes(sleeper: Sleeper) -> None:
    sleeper.plant(sleeper.made(journal=sleeper.person.heads()[1]))
    sleeper.wakes()
    sleeper.device.close()


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("truncated", lambda data: data[:-1]),
        ("cut to its header", lambda data: data[:200]),
        ("changed", lambda data: data[:-1] + bytes([data[-1] ^ 1])),
        ("noise", lambda data: os.urandom(1000)),
        ("empty", lambda data: b""),
    ],
)
def test_a_sealed_state_that_was_damaged(stage: Watched, what: str, change: Callable[[bytes], bytes]) -> None:
    sleeper = Sleeper(stage, f"damaged {what}".replace(" ", "-"))
    sleeper.plant(change(sleeper.data()))
    with pytest.raises(WaykeepError, match=r"sealed-(node|malformed)"):
        sleeper.wakes()
    assert sleeper.device.rows("location", *ALWAYS).num_rows == 10
    sleeper.device.close()


def test_a_sealed_state_of_another_owner(stage: Watched, sleeper: Sleeper) -> None:
    other = Sleeper(stage, "another-owner")
    sleeper.plant(other.data())
    other.device.close()
    sleeper.is_refused("sealed-owner")


def test_a_sealed_state_to_another_node(sleeper: Sleeper) -> None:
    sleeper.plant(sleeper.made(node=agefile.generate()[1]))
    sleeper.is_refused("sealed-node")


def test_a_sealed_state_of_other_code(sleeper: Sleeper) -> None:
    sleeper.plant(sleeper.made(measurement="sha256:" + "0" * 64))
    sleeper.is_refused("sealed-measurement")


def test_a_sealed_state_made_by_somebody_else(sleeper: Sleeper) -> None:
    """A thief of the log secret knows everything that is in it, but for a state key that the owner log names."""
    sleeper.plant(sleeper.made(named=False))
    sleeper.is_refused("sealed-foreign")


def test_a_sealed_state_that_knows_of_more_records_than_the_store_shows(sleeper: Sleeper) -> None:
    head = sleeper.person.heads()[1]
    assert head is not None
    for room in ("journal", "snapshots"):
        for path in sleeper.person.path(room, "").iterdir():
            path.unlink()
    # The owner's device has seen that record too, and says so before it hands over a key.
    sleeper.is_refused("sealed-ahead", owner_comes=False)


def test_a_sealed_state_that_knows_of_more_entries_than_the_store_shows(sleeper: Sleeper) -> None:
    newest = sleeper.person.heads()[0].number
    sleeper.person.path("owner-log", numbered(newest)).unlink()
    for path in sleeper.person.path("snapshots", "").iterdir():
        path.unlink()
    sleeper.is_refused("owner-log-behind", owner_comes=False)


def test_an_old_sealed_state_that_the_host_kept_wakes_under_the_newest_log(sleeper: Sleeper) -> None:
    old = sleeper.data()
    sleeper.device.queue({"location": points(SOME_DAY_MS + 100_000, 10)}, "imported")
    sleeper.device.upload()
    sleeper.sleep()
    sleeper.plant(old)
    sleeper.wakes()
    assert sleeper.device.status().streams[0].rows == 20
    sleeper.device.close()


def test_a_flood_of_names_hides_nothing(sleeper: Sleeper) -> None:
    for number in range(200):
        sleeper.person.plant("sealed", f"{number:016x}-{number:010d}.age", b"x")
    sleeper.wakes()
    sleeper.device.close()
