"""Snapshots of the journal's fold, so that waking is short however long the history.

``snapshots/<record number>.age`` is an index signed by the state key, with the owner log's envelopes packed beside it;
``snapshots/<random>.age`` and ``<random>-ids.age`` are the chunks that it names (`waykeep.vault.chunks`). A new one
writes only what is new. It is believed if a state key signed it that the owner log names now, no rotation came since,
and its record and owner head lie in the store's chains; the packed envelopes are folded from the inception like those
in the store. Whatever is missing, forged or changed costs time, and nothing else: then the journal is folded from its
first record.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection, Iterator

import msgspec

from waykeep.authority import dsse, journalstate, ownerlog
from waykeep.authority.chains import Used
from waykeep.authority.journalstate import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import SNAPSHOT_TYPE, ChunkRef, JournalObject, Snapshot
from waykeep.errors import AuthorityError, FormatError, VaultError
from waykeep.formats import agefile, streams
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import MIB, decode_frame, decode_json, encode_json
from waykeep.vault import catalogue, chunks
from waykeep.vault.chunks import Chunk, Chunks
from waykeep.vault.objects import Reader

MAX_INDEX = 16 * MIB
MAX_PACKED = 8 * MIB
"""Bytes of an owner log that are packed; the rest is read from the store."""
TRIED = 2
"""Indexes that are tried, the newest first."""
MERGED_RECORDS, MERGED_BYTES = 512, MIB // 4
"""A last chunk of less than both is written again with what is new."""
MAX_NAMES = 100_000
_BROKEN = (AuthorityError, FormatError, VaultError)
_INDEX = re.compile(r"[0-9]{10}\.age")


class Packed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an index object holds inside age: the signed index, and the owner log's envelopes from number 0 on."""

    envelope: bytes
    owner_log: tuple[bytes, ...]


def owner_log(reader: Reader, known: Head) -> OwnerState:
    """The owner log, from the envelopes packed in a snapshot and what came since. Raises as `Reader.owner_log` does."""
    for packed in _packed(reader):
        try:
            state = ownerlog.begin(reader.owner, b"".join(packed.owner_log[:1]))
            state = ownerlog.fold(state, packed.owner_log[1:])
            reader.envelopes = list(packed.owner_log)
            return reader.owner_log(state, known)
        except _BROKEN:
            continue  # the store alone decides, and says what is amiss
    return reader.owner_log(None, known)


def read(reader: Reader, log: OwnerState) -> JournalState:
    """The newest snapshot that can be believed, as the state to fold on from; `journalstate.EMPTY` if there is none.

    Raises: VaultError: ``store-failed``.
    """
    try:
        for packed in _packed(reader):
            try:
                return believe(reader, log, packed)
            except _BROKEN as error:
                if error.rule == "store-failed":
                    raise
        return journalstate.EMPTY
    finally:
        reader.packed.clear()


def believe(reader: Reader, log: OwnerState, packed: Packed) -> JournalState:
    """The state at a snapshot.

    Raises:
        VaultError: ``snapshot-unbelieved`` when it is not of these logs, ``store-failed``. AuthorityError and
            FormatError: When it is not signed, or malformed.
    """
    refusal = VaultError("snapshot-unbelieved", "found a snapshot that is not of this owner's logs", status=409)
    opened = dsse.peek(packed.envelope, SNAPSHOT_TYPE, limit=MAX_INDEX)
    index = decode_json(opened.payload, Snapshot, limit=MAX_INDEX, what="a snapshot")
    if not log.signs_now(opened.signer) or index.owner != log.owner or index.rotations != len(log.rotations):
        raise refusal
    record = reader.open("journal", numbered(index.head.number) + ".age")
    if record is None or not log.holds(index.owner_head):
        raise refusal
    item = decode_json(record, JournalObject, limit=2 * MIB, what="a journal object")
    if sha256(item.envelope.encode()) != index.head.digest:
        raise refusal
    return _on(index, reader, log)


def _on(index: Snapshot, reader: Reader, log: OwnerState) -> JournalState:
    """The state whose base is a snapshot."""

    def refold() -> JournalState:
        return reader.journal(journalstate.EMPTY, log, until=index.head)

    used = {of: Used(*spent) for of, spent in index.used.items()}
    return journalstate.begin(Chunks(index, reader, refold), index.head, index.quoted, used, index.learned)


def write(reader: Reader, log: OwnerState, state: JournalState, key: SigningKey) -> JournalState:
    """Write a snapshot of ``state``, durably; the same state on it as its base.

    Raises:
        VaultError: ``store-failed``; ``journal-empty``. What is left of a write that failed the next one deletes.
    """
    if state.head is None:
        raise VaultError("journal-empty", "found no record to write a snapshot of", status=409)
    if not state.digests:
        return state
    recipients = log.log_recipients()
    lines, new = _kept(state)
    for chunk, plain in chunks.cut(new):
        ids = chunk.marks()
        line = chunks.ref(secrets.token_hex(16), plain, ids, chunk)
        for name, content in zip(chunks.objects(line), (plain, ids), strict=True):
            reader.store.put_new(f"{reader.home}/snapshots/{name}", agefile.seal(content, recipients))
        lines.append(line)
    index = _index(log, state, state.head, tuple(lines))
    packed = Packed(dsse.sign(SNAPSHOT_TYPE, encode_json(index), key), _owner_log(reader, log))
    _put(reader, _name(index), agefile.seal(msgspec.msgpack.encode(packed), recipients))
    # The one before stays as well, for whoever finds this one damaged.
    before = [state.base.index] if isinstance(state.base, Chunks) else []
    used = {_name(each) for each in (index, *before)}
    _sweep(reader, used | {name for each in (index, *before) for line in each.chunks for name in chunks.objects(line)})
    return _on(index, reader, log)


def _kept(state: JournalState) -> tuple[list[ChunkRef], Chunk]:
    """The chunks of the snapshot before that stay as they are, and all else as a chunk to be cut."""
    new, base = chunks.after(state), state.base
    if not isinstance(base, Chunks):
        return [], new
    if base.whole is not None:
        # One of its chunks was not what it should be, so all are written anew.
        return [], chunks.join(chunks.after(base.whole), new)
    *lines, last = base.index.chunks
    small = last.last - last.first + 1 < MERGED_RECORDS and last.size < MERGED_BYTES
    held = base.held(last) if small else None
    return ([*lines, last], new) if held is None else (lines, chunks.join(held.chunk, new))


def _index(log: OwnerState, state: JournalState, head: Head, lines: tuple[ChunkRef, ...]) -> Snapshot:
    totals = catalogue.totals(state)
    return Snapshot(
        owner=log.owner,
        head=head,
        quoted=state.quoted,
        owner_head=log.head,
        rotations=len(log.rotations),
        used={of: (spent.runs, spent.bits) for of, spent in state.used.items()},
        learned=state.learned,
        totals={stream: total for stream, total in totals.items() if not streams.is_derived(stream)},
        current=catalogue.current(state),
        epochs=tuple(sorted(catalogue.epochs(state))),
        runs=catalogue.runs(state),
        chunks=lines,
    )


def _owner_log(reader: Reader, log: OwnerState) -> tuple[bytes, ...]:
    """As many envelopes, from number 0 on, as may be packed."""
    left, found = MAX_PACKED, []
    for envelope in reader.all_envelopes(log):
        left -= len(envelope)
        if left < 0:
            break
        found.append(envelope)
    return tuple(found)


def _put(reader: Reader, name: str, data: bytes) -> None:
    key = f"{reader.home}/snapshots/{name}"
    try:
        reader.store.put_new(key, data)
    except VaultError as error:
        if error.rule != "name-taken":
            raise
        # What lay there was not believed, or of another process at this record.
        reader.store.delete(key)
        reader.store.put_new(key, data)


def _sweep(reader: Reader, used: Collection[str]) -> None:
    for name in reader.store.names(f"{reader.home}/snapshots", limit=MAX_NAMES):
        if name not in used:
            reader.store.delete(f"{reader.home}/snapshots/{name}")


def _name(index: Snapshot) -> str:
    return numbered(index.head.number) + ".age"


def _packed(reader: Reader) -> Iterator[Packed]:
    """The newest index objects that open, newest first; each is read once until `read` is done."""
    names = [n for n in reader.store.names(f"{reader.home}/snapshots", limit=MAX_NAMES) if _INDEX.fullmatch(n)]
    for name in sorted(names, reverse=True)[:TRIED]:
        try:
            plain = reader.packed.get(name) or reader.open("snapshots", name, limit=MAX_INDEX)
            if plain is not None:
                reader.packed[name] = plain
                yield decode_frame(plain, Packed, limit=MAX_INDEX, what="a snapshot")
        except (FormatError, VaultError) as error:
            if error.rule == "store-failed":
                raise
