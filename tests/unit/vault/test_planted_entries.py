"""The owner log read from a store in which somebody put what is no entry: under numbers, beside them, and in bulk."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.support.people import refused
from tests.unit.builders import an_approval
from tests.unit.vault.snapshotting import Life
from waykeep.authority.permissions import Withdrawn
from waykeep.formats import agefile, entries
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head
from waykeep.vault.objects import BATCH, Reader
from waykeep.vault.store import DirectoryStore


class Counting(DirectoryStore):
    """Counts what is got and listed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        self.calls["get"] += 1
        return super().get(key)

    def names(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        self.calls["names"] += 1
        return super().names(prefix, after, limit)


class Planted(Life):
    """A life whose next entries lie beside their numbers."""

    def put(self, name: str, data: bytes) -> None:
        self.store.put_new(f"{self.home}/owner-log/{name}", data)

    def seal(self, envelope: bytes) -> bytes:
        return agefile.seal(envelope, [agefile.recipient_of(self.secrets[-1])])

    def junk(self) -> list[bytes]:
        """What nobody opens, what is no envelope, an entry that takes back what is not there, and the first again."""
        refused_entry = self.owner.entry(Withdrawn(999), self.owner.device)
        return [
            agefile.seal(b"noise", [agefile.generate()[1]]),
            *map(self.seal, (b"it opens", refused_entry, self.owner.envelopes[1])),
        ]

    def add_beside(self, junk: bytes, key_list: int = 1, rotations: int = 0) -> Head:
        """One more entry, beside its number; the head then."""
        number = self.log.head.number + 1
        self.put(numbered(number), junk)
        self.owner.add(an_approval(), self.owner.device)
        self.put(entries.beside(number, rotations, key_list), self.seal(self.owner.envelopes[-1]))
        return self.log.head


@pytest.fixture
def life(tmp_path: Path) -> Planted:
    return Planted(tmp_path, store=Counting)


@pytest.mark.parametrize("kind", range(4), ids=["noise", "no envelope", "refused", "out of place"])
def test_the_log_ends_before_what_is_no_entry_and_goes_on_beside_it(life: Planted, kind: int) -> None:
    before = life.log
    life.put(numbered(before.head.number + 1), life.junk()[kind])
    life.put(entries.beside(before.head.number + 1, 0, 1), life.junk()[kind])
    assert life.reader().owner_log(None, before.head) == before
    life.owner.add(an_approval(), life.owner.device)
    life.put(entries.beside(before.head.number + 1, 0, 2), life.seal(life.owner.envelopes[-1]))
    reader = life.reader()
    assert reader.owner_log(before, before.head) == life.log
    assert reader.owner_log(None, life.log.head) == life.log
    assert reader.envelopes == life.owner.envelopes
    assert Reader(life.store, life.owner.id, reader.secrets).all_envelopes(life.log) == life.owner.envelopes


@pytest.mark.parametrize(
    ("kind", "rule"), [(0, "log-secret-missing"), (1, "malformed"), (2, "log-unknown"), (3, "log-order")]
)
def test_what_is_no_entry_where_the_device_knows_one_is_refused(life: Planted, kind: int, rule: str) -> None:
    number = life.log.head.number + 1
    life.put(numbered(number), life.junk()[kind])
    for known in (number, number + 7):
        with refused(rule):
            life.reader().owner_log(
                None, Head(number, sha256(b"known")) if known == number else Head(known, sha256(b""))
            )


def test_without_the_newest_log_secret_nothing_is_judged(life: Planted) -> None:
    """Not even where something beside it opens and folds: with the newest secret, another one may come first."""
    life.renew()
    behind = Reader(life.store, life.owner.id, tuple(life.secrets[:-1]))
    assert behind.owner_log(None, life.log.head) == life.log
    number = life.log.head.number + 1
    life.put(numbered(number), life.junk()[0])
    life.owner.add(an_approval(), life.owner.device)
    both = [agefile.recipient_of(secret) for secret in life.secrets[-2:]]
    life.put(entries.beside(number, 0, 1), agefile.seal(life.owner.envelopes[-1], both))
    with refused("log-secret-missing", "vault"):
        behind.owner_log(None, Head(0, life.log.first))
    assert life.reader().owner_log(None, life.log.head) == life.log


def test_what_was_put_first_is_the_entry(life: Planted) -> None:
    """Under the number before beside it; of those beside it, under the older key list."""
    number = life.log.head.number + 1
    other = life.owner.again()
    life.add_beside(life.junk()[0], key_list=3)
    other.add(an_approval(name="another 1.0.0"), other.device)
    later = life.seal(other.envelopes[-1])
    for name in (entries.beside(number, 0, 4), entries.beside(number, 1, 5), f"{numbered(number)}-0000000000000000"):
        life.put(name, later)
    assert life.reader().owner_log(None, life.log.head) == life.log
    life.owner.add(an_approval(), life.owner.device)
    life.publish()
    following = life.owner.again()
    following.envelopes.pop()
    following.add(an_approval(name="yet another 1.0.0"), following.device)
    life.put(entries.beside(life.log.head.number, 0, 1), life.seal(following.envelopes[-1]))
    assert life.reader().owner_log(None, life.log.head) == life.log


def test_of_many_planted_under_key_lists_of_a_thief_few_are_looked_at_and_the_paper_s_is_found(life: Planted) -> None:
    number = life.log.head.number + 1
    noise = life.junk()[0]
    for key_list in range(40):
        life.put(entries.beside(number, 0, key_list), noise)
    life.add_beside(noise, key_list=41, rotations=1)
    assert isinstance(life.store, Counting)
    life.store.calls.clear()
    assert life.reader().owner_log(None, life.log.head) == life.log
    # All entries, what lies under the two numbers that hold none, and beside one the first of each authority.
    assert life.store.calls["get"] <= number + entries.MAX_BESIDE + 6
    assert life.store.calls["names"] <= 2


def test_an_authority_s_seventeenth_name_is_not_looked_at(life: Planted) -> None:
    number, before = life.log.head.number + 1, life.log
    for key_list in range(entries.MAX_BESIDE):
        life.put(entries.beside(number, 0, key_list), life.junk()[0])
    life.add_beside(life.junk()[0], key_list=entries.MAX_BESIDE)
    assert life.reader().owner_log(None, before.head) == before


def test_a_log_with_many_planted_costs_a_few_looks_for_each(life: Planted) -> None:
    junk = life.junk()[2]
    for _ in range(BATCH // 8):
        life.add_beside(junk)
    assert isinstance(life.store, Counting)
    life.store.calls.clear()
    assert life.reader().owner_log(None, life.log.head) == life.log
    assert life.store.calls["get"] < 6 * life.log.head.number


def test_a_store_that_fails_beside_a_number_is_not_taken_for_what_is_no_entry(life: Planted, tmp_path: Path) -> None:
    number = life.log.head.number + 1
    life.put(numbered(number), life.junk()[0])
    (tmp_path / life.home / "owner-log" / entries.beside(number, 0, 1)).symlink_to(tmp_path)
    with refused("store-failed", "vault"):
        life.reader().owner_log(None, life.log.head)
    with refused("store-failed", "vault"):
        life.owner.add(an_approval(), life.owner.device)
        life.reader().all_envelopes(life.log)
