from __future__ import annotations

import base64
import gzip
import io
import os
import socket
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from waykeep.demo.canaries import Canary
from waykeep.demo.places import Buffer, Memory, readable_regions
from waykeep.demo.scan import ScanReport, scan_bytes, scan_file, scan_folder, scan_process
from waykeep.demo.unpack import unpack

SECRET = b"<the planted secret>"
CANARIES = [Canary("key", "the secret", (SECRET,))]
NOISE = np.random.default_rng(20240611).bytes


def parquet(**columns: pa.Array) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="snappy")
    return file.getvalue()


TEXT = b"%s and %s\n" % (SECRET, bytes(range(256))) * 3
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zlib-0": lambda data: zlib.compress(data, 0),
    "zlib-1": lambda data: zlib.compress(data, 1),
    "zlib-6": lambda data: zlib.compress(data, 6),
    "zlib-9": lambda data: zlib.compress(data, 9),
    "zstd": lambda data: pa.compress(data, "zstd", asbytes=True),
    "lz4": lambda data: pa.compress(data, "lz4", asbytes=True),
    "base64": base64.b64encode,
    "base64url": base64.urlsafe_b64encode,
    "base64 in lines": base64.encodebytes,
    "parquet text": lambda data: parquet(a=pa.array(["x", data.decode("latin-1")])),
    "parquet dictionary": lambda data: parquet(a=pa.array([data, b"y", data]).dictionary_encode()),
    "parquet list": lambda data: parquet(a=pa.array([[1], [2]]), b=pa.array([[data], None])),
}


@pytest.mark.parametrize("how", PACKED)
@pytest.mark.parametrize("before", [0, 1, 4_194_301])
def test_finds_what_is_packed_at_any_offset(how: str, before: int) -> None:
    found = scan_bytes(NOISE(before) + b"(" + PACKED[how](TEXT) + b")", CANARIES)
    # Some forms leave pieces of the text in sight; only what was unpacked counts here.
    form = how.split()[0].removesuffix("url").partition("-")[0]
    assert any(f.place.startswith(f"bytes > {form}@{before + 1:#x}") for f in found)


def test_finds_what_is_packed_again_and_again() -> None:
    data = gzip.compress(base64.b64encode(zlib.compress(pa.compress(TEXT, "zstd", asbytes=True))))
    places = [f.place for f in scan_bytes(b"-" + data, CANARIES)]
    assert "bytes > gzip@0x1 > base64@0x0 > zlib@0x0 > zstd@0x0" in places


@pytest.mark.parametrize("codec", ["gzip", "zstd", "lz4"])
def test_finds_what_comes_before_the_damage(codec: str) -> None:
    data = NOISE(300_000) + TEXT + NOISE(300_000)
    packed = gzip.compress(data) if codec == "gzip" else pa.compress(data, codec, asbytes=True)
    assert scan_bytes(packed[:-200_000], CANARIES)
    assert scan_bytes(packed[:-200_000] + NOISE(100_000), CANARIES)


def test_int64_columns_are_compared_as_int32_too() -> None:
    values = [373898049, 373897128, 373896111]
    canary = Canary("int32", "two values", (np.array(values[:2], "<i4").tobytes(),))
    assert scan_bytes(parquet(lat=pa.array(values, pa.int64())), [canary])
    assert scan_bytes(parquet(lat=pa.array([values[0], None, *values[1:]], pa.int32())), [canary])


def test_a_pattern_between_two_chunks_counts_once() -> None:
    for before in range((4 << 20) - len(SECRET) - 1, (4 << 20) + 2):
        found = scan_bytes(bytes(before) + SECRET + bytes(70), CANARIES)
        assert [(f.offset, f.count) for f in found] == [(before, 1)]


def test_long_base64_is_unpacked_across_chunks_and_only_once() -> None:
    data = NOISE(5_000_000) + gzip.compress(NOISE(100_000) + SECRET)
    found = scan_bytes(b"=" + base64.b64encode(data), CANARIES)
    assert [f.count for f in found if "gzip" in f.place] == [1]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(zlib.compress(bytes((64 << 20) + 1), 1))
    report = scan_file(path, CANARIES)
    assert report.findings == ()
    assert [(s.reason, s.count) for s in report.skipped] == [("packed, longer than the limit", 1)]


def test_a_cut_parquet_file_is_said() -> None:
    out = list(unpack(Buffer(parquet(a=pa.array([1, 2]))[:-1]), 0, "parquet", 1 << 20))
    assert [item.left_out for item in out] == ["begins like Parquet, has no readable end"]


def test_folder_with_names_links_and_special_files(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "file").write_bytes(b"1234567" + SECRET)
    (tmp_path / "in" / SECRET.decode()).mkdir()
    (tmp_path / "outside").write_bytes(SECRET)
    (tmp_path / "in" / "link").symlink_to(tmp_path / "outside")
    os.mkfifo(tmp_path / "in" / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "in" / "socket"))
        report = scan_folder(tmp_path / "in", CANARIES)
    assert {(f.place, f.offset) for f in report.findings} >= {("in/deep/file", 7)}
    assert any(f.place == "in, names of files" for f in report.findings)
    assert not any("link" in f.place for f in report.findings)
    assert sum(s.count for s in report.skipped) == 3
    assert report.places == 2


def test_a_missing_folder_or_process_is_an_error_not_a_clean_report(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        scan_folder(tmp_path / "missing", CANARIES)
    with pytest.raises(FileNotFoundError):
        scan_file(tmp_path / "missing", CANARIES)
    with pytest.raises(FileNotFoundError):
        scan_process(2**22 + 1, CANARIES)
    with pytest.raises(ValueError, match="its own process"):
        scan_process(os.getpid(), CANARIES)


def test_memory_with_a_hole_is_read_around_it(tmp_path: Path) -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    path = tmp_path / "memory"
    path.write_bytes(b"a" * page)
    with path.open("rb") as file:
        memory = Memory(file.fileno(), 0, 3 * page)
        assert memory.read(page - 2, 10) == b"aa" + bytes(8)
        assert memory.lost == page
        assert memory.read(0, 9 * page) == b"a" * page + bytes(2 * page)
        assert memory.lost == 2 * page


def test_regions_that_can_be_read() -> None:
    maps = (
        "00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/a name with blanks\n"
        "00e03000-00e24000 rw-p 00000000 00:00 0 \n"
        "7f0000000000-7f0000001000 ---p 00000000 00:00 0 \n"
        "7f0000002000-7f0000003000 rw-s 00000000 00:05 9   /dev/dri/card0\n"
        "7f0000004000-7f0000005000 rw-s 00000000 00:05 9   /dev/shm/shared\n"
        "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n"
    )
    assert [(hex(first), size, name) for first, size, name in readable_regions(maps)] == [
        ("0x400000", 0x52000, "/usr/bin/a name with blanks"),
        ("0xe03000", 0x21000, "anonymous"),
        ("0x7f0000004000", 0x1000, "/dev/shm/shared"),
    ]


def test_reports_add_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    one = scan_folder(tmp_path, CANARIES)
    both = one + one
    assert (both.places, both.bytes_scanned) == (2, 2 * one.bytes_scanned)
    assert [s.count for s in both.skipped] == [2]
    assert isinstance(both, ScanReport)
