"""The cloud journal as a device reads it: from the host's objects, believed for their signatures."""

from __future__ import annotations

from waykeep.authority import journal, journalstate
from waykeep.authority.journalstate import JournalState
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import Detail, JournalObject
from waykeep.device.hostclient import HostClient
from waykeep.device.keystore import Secrets
from waykeep.formats import agefile
from waykeep.formats.ids import Digest, numbered, sha256
from waykeep.formats.wire import MIB, decode_json

Records = list[tuple[Digest, Detail]]


def read(host: HostClient, secrets: Secrets, log: OwnerState) -> tuple[JournalState, Records]:
    """The journal that the host shows, folded from its first record. Raises: AuthorityError, FormatError."""
    state = journalstate.EMPTY
    records: Records = []
    while (data := host.get("journal", numbered(len(records)) + ".age")) is not None:
        item = open_(data, secrets)
        state = journal.fold(state, log, [item])
        records.append((sha256(item.envelope.encode()), item.detail))
    return state, records


def open_(data: bytes, secrets: Secrets) -> JournalObject:
    """A journal object. Raises: FormatError."""
    plain = agefile.open_(data, secrets.logs, limit=2 * MIB, what="a journal object")
    return decode_json(plain, JournalObject, limit=2 * MIB, what="a journal object")
