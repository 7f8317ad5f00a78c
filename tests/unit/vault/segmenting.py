"""Segments as a writer makes them, and as one does who departs from the rules in a single point."""

from __future__ import annotations

import msgspec
import pyarrow as pa

from waykeep.authority import dsse, ownerlog
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import StateKeyNamed
from waykeep.device import owner
from waykeep.device.owner import NewOwner
from waykeep.formats import agefile, segment, streams, table
from waykeep.formats.ids import sha256
from waykeep.formats.segment import SEGMENT_TYPE, SegmentHeader
from waykeep.formats.wire import encode_json
from waykeep.vault.segments import EpochKey

NOW_MS = 1_466_380_800_000
STATE_KEY = SigningKey(b"s" * 32)


def stream_of_bytes(first: int) -> owner.Callable[[int], bytes]:
    """Bytes to make an owner of: the same each time, and others for another ``first``."""
    numbers = iter(range(first, 256))
    return lambda count: bytes([next(numbers)]) * count


def make(first: int = 1) -> tuple[NewOwner, OwnerState]:
    """An owner, and their owner log with a state key in it."""
    made = owner.create("phone", NOW_MS, stream_of_bytes(first))
    log = ownerlog.fold(ownerlog.begin(made.secrets.owner, made.entries[0]), made.entries[1:])
    named = owner.entry_after(log.owner, log.head, NOW_MS, StateKeyNamed(STATE_KEY.public), made.secrets.device_key)
    return made, ownerlog.fold(log, [named])


OWNER, LOG = make()
SECRETS = OWNER.secrets
EPOCHS = {1: EpochKey(1, SECRETS.epochs["1"], LOG.epochs[1].recipient)}


def rows(times: list[int] | None = None, stream: str = "battery", **changes: object) -> pa.Table:
    """Rows of a recorded stream, written when they were observed."""
    times = [NOW_MS, NOW_MS + 1000, NOW_MS + 2000] if times is None else times
    wanted = streams.schema(stream)
    given: dict[str, object] = dict.fromkeys(wanted.names, [1] * len(times))
    given |= {"ts_ms": times, "write_ms": times, "zone": ["Europe/Zurich"] * len(times)}
    if "entry" in given:
        given["entry"] = ["{}"] * len(times)
    return pa.table(given | changes, schema=None if changes else wanted)


def header(parquet: bytes, count: int, **changes: object) -> SegmentHeader:
    """The header that this owner's writer puts on a payload of stream ``battery``."""
    made = SegmentHeader(
        owner=SECRETS.owner,
        kind="recorded",
        stream="battery",
        epoch=1,
        number=0,
        recipient=EPOCHS[1].recipient,
        payload=sha256(parquet),
        payload_length=len(parquet),
        rows=count,
        source="imported",
    )
    return msgspec.structs.replace(made, **changes)


def plaintext(parquet: bytes, count: int, key: SigningKey | None = None, **changes: object) -> bytes:
    """The plaintext of a segment; ``key`` signs it, by default the owner's writer."""
    envelope = dsse.sign(SEGMENT_TYPE, encode_json(header(parquet, count, **changes)), key or SECRETS.writer_key)
    return segment.join(envelope, parquet)


def sealed(plain: bytes, recipient: str = EPOCHS[1].recipient) -> bytes:
    """An age file, to the owner's epoch 1 by default."""
    return agefile.seal(plain, [recipient])


def uploaded(found: pa.Table | None = None, key: SigningKey | None = None, **changes: object) -> bytes:
    """An uploaded segment of these rows."""
    found = rows() if found is None else found
    return sealed(plaintext(table.to_parquet(found), found.num_rows, key, **changes))
