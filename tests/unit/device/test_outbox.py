"""The outbox loses nothing: what is queued stays until it is removed, and a retry sends the same bytes."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.support.people import points, refused
from tests.unit.vault.segmenting import EPOCHS, LOG, NOW_MS, SECRETS
from waykeep.authority.statements import EpochStatement
from waykeep.device import outbox
from waykeep.device.outbox import Outbox
from waykeep.formats import agefile
from waykeep.vault import segments

EPOCH = EpochStatement(LOG.owner, 1, EPOCHS[1].recipient, NOW_MS + 1000)


@pytest.fixture
def box(tmp_path: Path) -> Outbox:
    return Outbox(tmp_path, LOG.owner, SECRETS.writer_key, SECRETS.queue)


def files(folder: Path) -> set[str]:
    return {path.suffix for path in folder.iterdir()}


def test_what_was_queued_is_what_a_user_cloud_opens(box: Outbox) -> None:
    rows = points(NOW_MS, 10)
    assert box.queue("location", rows, 7, "imported") == 1
    [name] = box.names()
    found = segments.open_(box.sealed(name, EPOCH, NOW_MS), LOG, EPOCHS)
    assert found.rows.equals(rows)
    assert (found.header.number, found.header.stream, found.header.source) == (7, "location", "imported")


def test_many_rows_become_segments_with_numbers_of_their_own(box: Outbox) -> None:
    rows = points(NOW_MS, outbox.ROWS_PER_SEGMENT + 1)
    assert box.queue("location", rows, 3, "imported") == 2
    found = [segments.open_(box.sealed(name, EPOCH, NOW_MS), LOG, EPOCHS) for name in box.names()]
    assert sorted((f.header.number, f.rows.num_rows) for f in found) == [(3, outbox.ROWS_PER_SEGMENT), (4, 1)]


def test_no_rows_are_no_segment(tmp_path: Path, box: Outbox) -> None:
    assert box.queue("location", points(NOW_MS, 0), 0, "imported") == 0
    assert (box.names(), files(tmp_path)) == ([], set())


def test_a_retry_sends_the_same_bytes(tmp_path: Path, box: Outbox) -> None:
    box.queue("location", points(NOW_MS, 10), 0, "imported")
    [name] = box.names()
    first = box.sealed(name, EPOCH, NOW_MS)
    again = Outbox(tmp_path, LOG.owner, SECRETS.writer_key, SECRETS.queue)
    assert again.names() == [name]
    assert again.sealed(name, EPOCH, NOW_MS) == first
    # Even later: those bytes may lie in the store already.
    assert again.sealed(name, EPOCH, EPOCH.expires_ms + 1) == first
    assert agefile.seal(b"x", [EPOCH.recipient]) != agefile.seal(b"x", [EPOCH.recipient]), "age itself never repeats"


def test_an_expired_epoch_stops_the_upload_and_not_the_recording(tmp_path: Path, box: Outbox) -> None:
    box.queue("location", points(NOW_MS, 10), 0, "imported")
    [name] = box.names()
    with refused("epoch-expired", "device"):
        box.sealed(name, EPOCH, EPOCH.expires_ms)
    assert files(tmp_path) == {".queued"}
    assert box.queue("location", points(NOW_MS, 10), 1, "imported") == 1
    assert len(box.names()) == 2
    later = msgspec.structs.replace(EPOCH, expires_ms=EPOCH.expires_ms + 1)
    assert segments.open_(box.sealed(name, later, EPOCH.expires_ms), LOG, EPOCHS).rows.num_rows == 10


def test_what_is_queued_is_readable_by_nobody_but_its_device(tmp_path: Path, box: Outbox) -> None:
    box.queue("location", points(NOW_MS, 10), 0, "imported")
    [path] = tmp_path.iterdir()
    data = path.read_bytes()
    agefile.check_header(data)
    assert b"PAR1" not in data
    assert b"location" not in data + path.name.encode()
    with refused("age-not-ours", "format"):
        Outbox(tmp_path, LOG.owner, SECRETS.writer_key, agefile.generate()[0]).sealed(box.names()[0], EPOCH, NOW_MS)


def test_a_removed_segment_leaves_nothing(tmp_path: Path, box: Outbox) -> None:
    box.queue("location", points(NOW_MS, 10), 0, "imported")
    box.queue("location", points(NOW_MS, 10), 1, "imported")
    gone, kept = box.names()
    box.sealed(gone, EPOCH, NOW_MS)
    for _ in range(2):
        box.remove(gone)
        assert box.names() == [kept]
    assert [path.stem for path in tmp_path.iterdir()] == [Path(kept).stem]


def test_a_crash_amid_remove_leaves_nothing_to_send_again(tmp_path: Path, box: Outbox) -> None:
    box.queue("location", points(NOW_MS, 10), 0, "imported")
    [name] = box.names()
    box.sealed(name, EPOCH, NOW_MS)
    # The first half of `remove`, then the crash.
    (tmp_path / name).with_suffix(".queued").unlink()
    assert box.names() == []
    assert list(tmp_path.iterdir()) == []


def test_a_crash_amid_a_write_is_no_segment(tmp_path: Path, box: Outbox) -> None:
    box.queue("location", points(NOW_MS, 10), 0, "imported")
    names = box.names()
    (tmp_path / "aa.queued.new").write_bytes(b"age-encryption.org/v1\nhalf")
    (tmp_path / f"{names[0]}.new").write_bytes(b"age-encryption.org/v1\nhalf")
    assert box.names() == names
    assert segments.open_(box.sealed(names[0], EPOCH, NOW_MS), LOG, EPOCHS).rows.num_rows == 10


def test_a_damaged_queue_is_refused_by_type(tmp_path: Path, box: Outbox) -> None:
    box.queue("location", points(NOW_MS, 10), 0, "imported")
    [path] = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with refused("age-not-ours", "format"):
        box.sealed(box.names()[0], EPOCH, NOW_MS)
    assert files(tmp_path) == {".queued"}
