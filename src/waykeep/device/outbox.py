"""The outbox: segments that this device has not seen accepted.

A recording is queued under a key of the device's own, under a random name chosen once. It is encrypted to the epoch
when it is uploaded, and those bytes are kept too, so that a retry sends the same. Only a journal head signed by the
user cloud's state key removes it.
"""

from __future__ import annotations

import secrets as randomness
from pathlib import Path

import msgspec
import pyarrow as pa

from waykeep.authority.keys import SigningKey
from waykeep.authority.segment import seal
from waykeep.authority.statements import EpochStatement
from waykeep.device import files
from waykeep.errors import DeviceError
from waykeep.formats import agefile, segment, table
from waykeep.formats.ids import OwnerId, sha256
from waykeep.formats.segment import SegmentHeader
from waykeep.formats.wire import MIB, decode_frame

ROWS_PER_SEGMENT = 50_000
_QUEUED, _SEALED = ".queued", ".age"


class Queued(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A segment before it is encrypted to an epoch."""

    stream: str
    number: int
    rows: int
    source: str
    parquet: bytes


class Outbox:
    """The outbox of one writer.

    Args:
        secret: The age secret key that protects what is queued.
    """

    def __init__(self, folder: Path, owner: OwnerId, writer: SigningKey, secret: str) -> None:
        self._folder, self._owner, self._writer, self._secret = folder, owner, writer, secret

    def queue(self, stream: str, rows: pa.Table, first_number: int, source: str) -> int:
        """Queue a stream's rows, durably; returns how many segments they became."""
        count = 0
        for start in range(0, rows.num_rows, ROWS_PER_SEGMENT):
            part = rows.slice(start, ROWS_PER_SEGMENT)
            item = Queued(stream, first_number + count, part.num_rows, source, table.to_parquet(part))
            data = agefile.seal(msgspec.msgpack.encode(item), [agefile.recipient_of(self._secret)])
            files.write(self._folder / f"{randomness.token_hex(16)}{_QUEUED}", data)
            count += 1
        return count

    def names(self) -> list[str]:
        """Names of what waits, as they will be called in the store. What a crash left behind goes."""
        files.sweep(self._folder)
        waiting = {path.stem for path in self._folder.glob(f"*{_QUEUED}")}
        for path in self._folder.glob(f"*{_SEALED}"):
            if path.stem not in waiting:  # a crash between the two halves of `remove`
                files.remove(path)
        return sorted(stem + _SEALED for stem in waiting)

    def sealed(self, name: str, epoch: EpochStatement, now_ms: int) -> bytes:
        """The segment's age file; made on the first try and the same on each retry.

        Raises:
            DeviceError: ``epoch-expired``: it stops the upload, never the recording.
        """
        path = self._folder / name
        if path.exists():
            return path.read_bytes()
        if now_ms >= epoch.expires_ms:
            raise DeviceError(
                "epoch-expired",
                f"epoch {epoch.number} has expired; what is recorded stays queued",
                hint="a device of the owner has to sign a new epoch",
            )
        queued = (self._folder / name).with_suffix(_QUEUED).read_bytes()
        plain = agefile.open_(queued, [self._secret], limit=segment.MAX_SEGMENT + MIB, what="a queued segment")
        item = decode_frame(plain, Queued, limit=segment.MAX_SEGMENT, what="a queued segment")
        header = SegmentHeader(
            owner=self._owner,
            kind="recorded",
            stream=item.stream,
            epoch=epoch.number,
            number=item.number,
            recipient=epoch.recipient,
            payload=sha256(item.parquet),
            payload_length=len(item.parquet),
            rows=item.rows,
            source=item.source,
        )
        data = seal(header, item.parquet, self._writer)
        files.write(path, data)
        return data

    def remove(self, name: str) -> None:
        """Forget a segment that a signed head includes."""
        files.remove((self._folder / name).with_suffix(_QUEUED))
        files.remove(self._folder / name)
