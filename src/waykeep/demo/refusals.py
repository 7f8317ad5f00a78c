"""Things that must be refused, each really tried: nothing here is told what the answer should be."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import waykeep
from waykeep.attestation.evidence import USER_CLOUD
from waykeep.authority import segment
from waykeep.authority.keys import SigningKey
from waykeep.channel.client import AttestedClient
from waykeep.demo.people import Person
from waykeep.demo.report_data import Refusal
from waykeep.demo.stage import Stage
from waykeep.device.account import now_ms
from waykeep.device.hostclient import HostClient
from waykeep.errors import WaykeepError
from waykeep.formats import streams, table
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest, sha256
from waykeep.formats.messages import Accept, Accepted
from waykeep.formats.segment import SegmentHeader
from waykeep.formats.wire import decode_json, encode_json

_DAY_MS = 86_400_000


def not_approved(person: Person, found: Bundle) -> Refusal:
    return attempt(
        "an algorithm that was not approved",
        f"{person.name}'s device asks for a run of {found.manifest.name}, of which no approval is in the owner log.",
        "user cloud",
        lambda: person.device.run(found.digest, {}, streams.MIN_TS_MS, streams.MAX_TS_MS),
    )


def one_byte_changed(stage: Stage, person: Person, digest: Digest) -> Refusal:
    """The host's operator flips one bit of an approved bundle where it lies, and a run of it is asked for."""
    path = stage.store / "bundles" / digest.removeprefix("sha256:")
    original = path.read_bytes()
    changed = bytearray(original)
    changed[original.index(b"def ")] ^= 0x20
    path.write_bytes(changed)
    try:
        return attempt(
            "an approved algorithm with one byte changed",
            "The operator changes one byte of the bundle in the store, then a run of the approved digest is asked for.",
            "user cloud",
            lambda: person.device.run(digest, {}, streams.MIN_TS_MS, streams.MAX_TS_MS),
        )
    finally:
        path.write_bytes(original)


def other_measurement(stage: Stage, person: Person) -> Refusal:
    """The operator starts a node with changed user-cloud code, on the same store and with the same software root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        shutil.copytree(
            Path(waykeep.__file__).parent, folder / "code" / "waykeep", ignore=shutil.ignore_patterns("__pycache__")
        )
        changed = folder / "code" / "waykeep" / "usercloud" / "cloud.py"
        changed.write_bytes(changed.read_bytes() + b"\n")
        other = Stage(folder, source=folder / "code")
        other.store = stage.store
        # The same software root, and where there are uids, the same for each owner.
        shutil.copytree(stage.state, other.state, dirs_exist_ok=True)
        with other:
            host = HostClient(other.host_url, person.device.owner, person.device.signer)
            try:
                return attempt(
                    "a user cloud with another measurement",
                    "The operator starts a node whose user-cloud code has one byte more; the device appraises it.",
                    "device",
                    lambda: AttestedClient(
                        host.cloud(),
                        workload=USER_CLOUD,
                        binding=person.device.owner,
                        trust=person.device.profile.trust,
                        clock=now_ms,
                    ).close(),
                )
            finally:
                host.close()


def other_owner(knocker: Person, owner: Person) -> Refusal:
    def knock() -> None:
        with AttestedClient(
            owner.device.host.cloud(),
            workload=USER_CLOUD,
            binding=owner.device.owner,
            trust=knocker.device.profile.trust,
            clock=now_ms,
            signer=knocker.device.signer,
        ) as client:
            client.request("GET", "/v1/status")

    return attempt(
        "one owner knocking at the other's user cloud",
        f"{knocker.name}'s device connects to {owner.name}'s user cloud and signs a request with its own key.",
        "user cloud",
        knock,
    )


def forged_segment(stage: Stage, person: Person) -> Refusal:
    """The host knows the epoch's public recipient and the stream's columns, so it can make everything but the
    signature.
    """
    epoch = person.device.epoch()
    wanted, moment = streams.schema("location"), streams.MIN_TS_MS + _DAY_MS
    values = {"ts_ms": moment, "write_ms": moment, "lat_e7": 0, "lon_e7": 0, "zone": ""}
    rows = wanted.empty_table().from_pylist([{name: values.get(name) for name in wanted.names}], schema=wanted)
    parquet = table.to_parquet(rows)
    header = SegmentHeader(
        owner=person.device.owner,
        kind="recorded",
        stream="location",
        epoch=epoch.number,
        number=0,
        recipient=epoch.recipient,
        payload=sha256(parquet),
        payload_length=len(parquet),
        rows=1,
    )
    name = os.urandom(16).hex() + ".age"
    path = stage.store / "owners" / person.device.owner / "segments" / name
    path.write_bytes(segment.seal(header, parquet, SigningKey(os.urandom(32))))

    def accept() -> None:
        body = person.device.cloud().request("POST", "/v1/segments", encode_json(Accept((name,))))
        answer = decode_json(body, Accepted)
        if answer.outcome[name] != "accepted":
            raise WaykeepError(answer.outcome[name], answer.detail[name])

    try:
        return attempt(
            "a segment forged by the host",
            "The operator encrypts a made-up position to the epoch's public recipient and puts it among the uploads.",
            "user cloud",
            accept,
        )
    finally:
        path.unlink()


def attempt(what: str, tried: str, by: str, act: Callable[[], object]) -> Refusal:
    """Try something; what refused it, or that nothing did."""
    try:
        act()
    except WaykeepError as error:
        return Refusal(what, tried, by, error.rule, error.message)
    return Refusal(what, tried, by, "", "it was not refused")
