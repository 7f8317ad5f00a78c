"""An attacker cannot have the demo print `plaintext_leaks: 0` over a leak: each kind is planted, and has to be found.

Whoever plants can write a canary in any of its forms into a file of the host, its arguments, environment or memory,
or a socket, and can compress or encode it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import socket
import struct
import subprocess
import sys
import threading
import uuid
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from waykeep.demo.canaries import (
    Canary,
    Place,
    age_identity_canary,
    place_canaries,
    secret_canary,
    track_canaries,
    user_id_canary,
)
from waykeep.demo.matcher import Matcher
from waykeep.demo.scan import Finding, ScanReport, scan_bytes, scan_file, scan_folder, scan_process
from waykeep.demo.wiretap import Wiretap

NOISE = np.random.default_rng(330).bytes
TRACK = [Place.from_degrees(37.3898049 + n * 0.0012347, -122.0857861 - n * 0.0008513) for n in range(60)]
USER = uuid.UUID("0763de67-f61e-3f5d-90e7-518e69793954")
RAW_KEY = hashlib.sha256(b"a key of this test").digest()
# Made once for this test; it opens nothing.
IDENTITY = "AGE-SECRET-KEY-1Q3P6R6WRFQXVGYGXDK2HNPGL6276PUGSLY22VJ5Q530GF50RP2VQYUT06F"

CANARIES = [
    *track_canaries("alice", TRACK),
    user_id_canary("alice's phone", USER),
    secret_canary("alice's epoch key", RAW_KEY),
]
MATCHER = Matcher(CANARIES)
LAT = np.array([place.lat_e7 for place in TRACK], np.int32)
LON = np.array([place.lon_e7 for place in TRACK], np.int32)

PLAIN: dict[str, tuple[str, bytes]] = {
    "decimals in JSON": ("decimal", json.dumps([[place.lon, place.lat] for place in TRACK]).encode()),
    "decimals with 5 digits": ("decimal", "".join(f"{place.lat:.5f};{place.lon:.5f}\n" for place in TRACK).encode()),
    "decimals with 6 digits": ("decimal", "".join(f"{place.lat:.6f} {place.lon:.6f}\n" for place in TRACK).encode()),
    "integers in JSON": ("decimal", json.dumps({"lat_e7": LAT.tolist()}).encode()),
    "int32 column, little endian": ("int32", LAT.astype("<i4").tobytes()),
    "int32 column, big endian": ("int32", LON.astype(">i4").tobytes()),
    "int32 rows": ("int32", np.stack([LAT, LON], axis=1).astype("<i4").tobytes()),
    "float64 column, little endian": ("float64", (LAT / 1e7).astype("<f8").tobytes()),
    "float64 column, big endian": ("float64", (LON / 1e7).astype(">f8").tobytes()),
    "user id as text": ("user-id", str(USER).encode()),
    "user id without dashes": ("user-id", USER.hex.upper().encode()),
    "user id as bytes": ("user-id", USER.bytes),
    "key as bytes": ("key", RAW_KEY),
    "key in hexadecimal": ("key", RAW_KEY.hex().encode()),
}


def parquet(data: bytes) -> bytes:
    """The bytes as a value in a Parquet file; the plain forms of a column are tested apart."""
    file = io.BytesIO()
    pq.write_table(pa.table({"note": pa.array([b"first", data], pa.binary())}), file, compression="snappy")
    return file.getvalue()


WRAPPED: dict[str, Callable[[bytes], bytes]] = {
    "as it is": bytes,
    "gzip": gzip.compress,
    "zlib": zlib.compress,
    "zstd": lambda data: bytes(pa.compress(data, "zstd", asbytes=True)),
    "base64": base64.b64encode,
    "base64 inside": lambda data: base64.urlsafe_b64encode(b"p" + data),
    "parquet": parquet,
    "gzip of base64 of zlib": lambda data: gzip.compress(base64.b64encode(zlib.compress(data))),
}


def kinds(findings: Iterable[Finding]) -> set[str]:
    return {finding.kind for finding in findings}


@pytest.mark.parametrize("form", PLAIN)
@pytest.mark.parametrize("wrapping", WRAPPED)
def test_in_a_file(form: str, wrapping: str, tmp_path: Path) -> None:
    kind, planted = PLAIN[form]
    path = tmp_path / "object"
    path.write_bytes(NOISE(50_001) + WRAPPED[wrapping](planted) + NOISE(50_002))
    assert kind in kinds(scan_file(path, MATCHER).findings)


@pytest.mark.parametrize("value", [struct.pack("<2i", *LAT[:2].tolist()), f"{TRACK[0].lat}".encode()])
@pytest.mark.parametrize("before", range(3))
def test_a_short_piece_of_base64_is_found_by_its_own_patterns(value: bytes, before: int) -> None:
    everywhere = place_canaries("alice, home", TRACK[0], TRACK[1])
    text = b'{"x": "' + base64.b64encode(b"z" * before + value + b"z") + b'"}'
    assert "base64" in kinds(scan_bytes(text, everywhere))


@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BINARY_PACKED", "RLE_DICTIONARY"])
@pytest.mark.parametrize("compression", ["none", "snappy", "gzip", "zstd"])
def test_in_a_column_of_a_parquet_file(encoding: str, compression: str) -> None:
    file = io.BytesIO()
    table = pa.table({"lat_e7": pa.array(LAT), "lon_e7": pa.array(LON.tolist(), pa.int64()), "deg": LAT / 1e7})
    column_encoding = {"lat_e7": encoding, "lon_e7": encoding} if encoding != "RLE_DICTIONARY" else None
    pq.write_table(
        table,
        file,
        compression=compression,
        use_dictionary=encoding == "RLE_DICTIONARY",
        column_encoding=column_encoding,
    )
    found = scan_bytes(NOISE(999) + file.getvalue() + NOISE(999), MATCHER)
    columns = {finding.place.rpartition(" ")[2] for finding in found if "parquet" in finding.place}
    assert columns == {"lat_e7", "lon_e7", "deg"}


def test_an_age_identity_in_a_log(tmp_path: Path) -> None:
    canary = age_identity_canary("alice's identity", IDENTITY)
    (tmp_path / "host.log").write_text(f"loaded {IDENTITY.lower()}\n")
    assert kinds(scan_folder(tmp_path, [canary]).findings) == {"key"}


def test_a_user_id_in_the_name_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "segments" / str(USER)).mkdir(parents=True)
    report = scan_folder(tmp_path, MATCHER)
    assert [finding.place for finding in report.findings] == [f"{tmp_path.name}, names of files"]


CHILD = """
import sys, zlib
planted = zlib.decompress(bytes.fromhex(sys.stdin.readline()))
print("ready", flush=True)
sys.stdin.readline()
"""


def scan_child(arguments: list[str], environment: dict[str, str], planted: bytes) -> ScanReport:
    """Starts a process that holds the planted bytes in memory, and scans it."""
    with subprocess.Popen(
        [sys.executable, "-I", "-c", CHILD, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        # Compressed and in hexadecimal on the way in, so that what it was told does not show it.
        child.stdin.write(zlib.compress(planted).hex() + "\n")
        child.stdin.flush()
        assert child.stdout.readline() == "ready\n"
        report = scan_process(child.pid, MATCHER, "child")
        child.stdin.close()
    return report


@pytest.mark.parametrize("form", ["decimals in JSON", "user id as text", "key in hexadecimal"])
def test_in_the_arguments_of_a_process(form: str) -> None:
    kind, data = PLAIN[form]
    findings = scan_child([data.decode()], {}, b"").findings
    assert kind in kinds(f for f in findings if f.place == "child, arguments")


@pytest.mark.parametrize("form", ["decimals in JSON", "user id as text", "key in hexadecimal"])
def test_in_the_environment_of_a_process(form: str) -> None:
    kind, data = PLAIN[form]
    findings = scan_child([], {"PLANTED": data.decode()}, b"").findings
    assert kind in kinds(f for f in findings if f.place == "child, environment")


@pytest.mark.parametrize("form", ["decimals in JSON", "int32 rows", "float64 column, big endian", "user id as bytes"])
def test_in_the_memory_of_a_process(form: str) -> None:
    kind, data = PLAIN[form]
    findings = scan_child([], {}, data).findings
    assert kind in kinds(f for f in findings if f.place.startswith("child, memory"))


def test_a_process_that_knows_nothing_is_clean() -> None:
    report = scan_child([], {}, b"nothing")
    assert report.findings == ()
    assert report.bytes_scanned > 1_000_000


def test_in_bytes_that_crossed_a_socket(tmp_path: Path) -> None:
    captures = tmp_path / "captures"
    captures.mkdir()

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            while connection.recv(1 << 16):
                pass
            connection.sendall(gzip.compress(str(USER).encode()))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=answer)
        server.start()
        with (
            Wiretap(listener.getsockname(), captures, "host") as tap,
            socket.create_connection(tap.tcp_address) as client,
        ):
            client.sendall(NOISE(70_000) + PLAIN["int32 rows"][1])
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass
        server.join()
    report = scan_folder(captures, MATCHER)
    assert {(finding.kind, finding.place.partition(" ")[0]) for finding in report.findings} == {
        ("int32", "captures/host-0001.up"),
        ("user-id", "captures/host-0001.down"),
    }


def test_random_bytes_are_clean(tmp_path: Path) -> None:
    path = tmp_path / "ciphertext"
    path.write_bytes(NOISE(64 << 20))
    report = scan_file(path, MATCHER)
    assert report.findings == ()
    assert report.bytes_scanned == 64 << 20
    # Streams do begin by chance in so many bytes: that these were tried shows that the search for them was on.
    assert report.bytes_unpacked > 1000


def test_every_canary_is_found_by_every_one_of_its_patterns() -> None:
    for canary in [*CANARIES, age_identity_canary("alice's identity", IDENTITY)]:
        for pattern in canary.patterns:
            found = scan_bytes(b"\n" + pattern + b"\n", [Canary(canary.kind, canary.label, (pattern,))])
            assert found, canary.label
