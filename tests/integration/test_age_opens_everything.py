"""Debian's `age` opens what lies in the store, with the keys that the owner holds and no code of Waykeep's."""

from __future__ import annotations

import base64
import io
import json
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support import algorithms
from tests.support.people import SOME_DAY_MS, Person, points
from tests.support.program import waykeep

COUNT = 500


def age(secret: str, sealed: Path) -> subprocess.CompletedProcess[bytes]:
    """``age -d -i - FILE`` with the secret key on standard input."""
    command = ["age", "--decrypt", "--identity", "-", str(sealed)]
    return subprocess.run(command, input=secret.encode() + b"\n", capture_output=True, timeout=30, check=False)


def opened(secret: str, sealed: Path) -> bytes:
    found = age(secret, sealed)
    assert found.returncode == 0, found.stderr
    return found.stdout


def parquet_of(plaintext: bytes) -> tuple[dict[str, object], bytes]:
    """Header and Parquet of a segment, as ``docs/spec.md`` lays them out; nothing here knows Waykeep."""
    assert plaintext[:8] == b"WKSEG1\n\0"
    length = int.from_bytes(plaintext[8:12], "big")
    header = _payload(plaintext[12 : 12 + length])
    body = plaintext[12 + length :]
    size = int(str(header["payload_length"]))
    assert body[size:].strip(b"\0") == b""
    return header, body[:size]


def _payload(envelope: bytes) -> dict[str, object]:
    found = json.loads(base64.b64decode(json.loads(envelope)["payload"]))
    assert isinstance(found, dict)
    return found


@pytest.fixture
def uploaded(owner: Person) -> Person:
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, COUNT)}, "imported")
        device.upload()
    return owner


def test_the_exported_epoch_key_opens_a_segment_and_pyarrow_reads_it(uploaded: Person) -> None:
    home, key_file = str(uploaded.folder.path), str(uploaded.key_file)
    exported = waykeep("keys", "export", "1", "--home", home, "--key-file", key_file)
    secret = exported.stdout.strip()
    assert secret.startswith("AGE-SECRET-KEY-1")
    (segment,) = uploaded.path("segments", "").iterdir()
    header, parquet = parquet_of(opened(secret, segment))
    assert (header["owner"], header["stream"], header["epoch"], header["rows"]) == (
        uploaded.owner,
        "location",
        1,
        COUNT,
    )
    table = pq.read_table(io.BytesIO(parquet))
    assert table.to_pylist() == points(SOME_DAY_MS, COUNT).to_pylist()


def test_a_derived_segment_opens_the_same_way(uploaded: Person) -> None:
    counting = algorithms.slow()
    before = set(uploaded.path("segments", "").iterdir())
    with uploaded.account() as device:
        algorithms.approve(device, counting, SOME_DAY_MS, SOME_DAY_MS + 60_000, store="counts")
        device.run(counting[0].digest, {}, SOME_DAY_MS, SOME_DAY_MS + 60_000)
        secret = device.export_epoch(1)
    (derived,) = set(uploaded.path("segments", "").iterdir()) - before
    header, parquet = parquet_of(opened(secret, derived))
    assert (header["kind"], header["stream"]) == ("derived", "derived/counts")
    assert pq.read_table(io.BytesIO(parquet)).to_pylist() == [{"rows": 60}]


def test_the_opening_secret_on_paper_opens_the_epoch_key_the_logs_and_through_it_the_data(uploaded: Person) -> None:
    paper = uploaded.paper.opening
    epoch_secret = opened(paper, uploaded.path("keys", "1.age")).decode()
    with uploaded.account() as device:
        assert epoch_secret == device.export_epoch(1)
    (segment,) = uploaded.path("segments", "").iterdir()
    assert parquet_of(opened(epoch_secret, segment))[0]["rows"] == COUNT
    for entry in uploaded.path("owner-log", "").iterdir():
        assert _payload(opened(paper, entry))
    for record in uploaded.path("journal", "").iterdir():
        assert json.loads(opened(paper, record))["detail"]["type"] == "accepted"


def test_the_log_key_opens_no_data_and_the_epoch_key_no_log(uploaded: Person) -> None:
    """A user cloud of some epochs, or a reader of the logs, is given the one and not the other."""
    (segment,) = uploaded.path("segments", "").iterdir()
    (record,) = uploaded.path("journal", "").iterdir()
    secrets = uploaded.secrets
    assert age(secrets.logs[-1], segment).returncode != 0
    assert age(secrets.epochs["1"], record).returncode != 0
    assert age(secrets.queue, segment).returncode != 0
