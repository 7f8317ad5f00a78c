"""Somebody to whom an owner granted runs: their key file, and asking for one.

A holder needs no account anywhere: a signing key that asks, and an age identity that results are encrypted to.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa

from waykeep.authority import dsse
from waykeep.authority.asking import Ask, Spend
from waykeep.authority.keys import SigningKey
from waykeep.authority.records import RECEIPT_TYPE, Receipt
from waykeep.channel.trust import Trust
from waykeep.device import files
from waykeep.device.hostclient import HostClient
from waykeep.device.reaching import TIMEOUT_S, reach
from waykeep.device.tickets import Opened, usable
from waykeep.errors import DeviceError, FormatError, WaykeepError
from waykeep.formats import agefile, answers, results, table
from waykeep.formats.ids import OwnerId, b64, sha256, unb64
from waykeep.formats.messages import GrantedRows, SpendResult, Value
from waykeep.formats.wire import MIB, decode_frame, decode_json, encode_json

SALT_BYTES = 16
MAX_ROWS = 64 * MIB


class HolderKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A holder's secrets: 32 bytes of Ed25519, and an age secret key."""

    seed: bytes
    identity: str

    def __repr__(self) -> str:
        return "HolderKey(...)"

    @property
    def signer(self) -> SigningKey:
        return SigningKey(self.seed)

    @property
    def recipient(self) -> str:
        return agefile.recipient_of(self.identity)


def make(path: Path) -> HolderKey:
    """The key in a file, which is made (for its owner's eyes only) if it is missing."""
    if not path.exists():
        files.write(path, encode_json(HolderKey(randomness.token_bytes(32), agefile.generate()[0])))
    return load(path)


def load(path: Path) -> HolderKey:
    """Raises: DeviceError: ``holder-key-missing``, ``holder-key-malformed``."""
    try:
        found = decode_json(path.read_bytes(), HolderKey, what="a holder's key")
        SigningKey(found.seed)
        agefile.parse_identity(found.identity)
    except OSError as error:
        raise DeviceError(
            "holder-key-missing",
            f"cannot read the holder's key file ({error.strerror})",
            hint="make one with 'waykeep grant key --file FILE'",
        ) from None
    except (FormatError, ValueError):
        raise DeviceError("holder-key-malformed", "found a file that is no holder's key") from None
    return found


class Got(msgspec.Struct, frozen=True):
    """What came of a run or a read, and the receipt that fits it."""

    rows: list[results.Row]
    tables: dict[str, pa.Table]
    receipt: Receipt
    envelope: bytes


def use(
    path: Path,
    found: Opened,
    trust: Trust,
    clock: Callable[[], int],
    *,
    ask: Ask,
    parameters: dict[str, Value],
    reviews: tuple[str, ...] = (),
    host_url: str = "",
    show: Callable[[Got], None] = lambda got: None,
) -> Got:
    """One run or read of a grant: what came, and a receipt that fits it.

    The request's id is kept beside the key file before it is sent, and used again until its answer was shown: so a lost
    answer costs no second run.

    Args:
        found: The ticket. host_url: Another address of the owner's host than the ticket's.
        show: Shows what came, before the id is forgotten.

    Raises:
        AttestationError: Named by the rule that refused the user cloud; nothing was asked of it.
        DeviceError: ``holder-key-missing``, ``ticket-foreign``, ``holder-unlisted``, ``receipt-mismatch``,
            ``run-failed``; as user cloud and host refuse.
    """
    key = load(path)
    usable(found, key.signer.public)
    wanted = Spend(b64(bytes(16)), found.number, found.grant.algorithm, parameters, ask, found.ticket.links, reviews)
    kept = path.with_name(f"{path.name}.{sha256(found.owner.encode() + encode_json(wanted))[7:23]}.asked")
    if not kept.exists():
        files.write(kept, encode_json(b64(randomness.token_bytes(16))))
    asked = msgspec.structs.replace(wanted, request_id=decode_json(kept.read_bytes(), str, what="a request's id"))
    sealed = _ask(found, asked, trust, clock, key, host_url or found.ticket.host)
    plain = answers.unpad(agefile.open_(sealed, [key.identity], limit=MAX_ROWS, what="a result"))
    came = decode_frame(plain, GrantedRows, limit=MAX_ROWS, what="a result")
    receipt = check(came, asked, found.owner)
    if came.failed:
        raise DeviceError(
            "run-failed",
            "the run was debited and gave no result; its owner alone is told why",
            hint=f"ask again: it is the same run. To give it up, delete {kept.name}",
            status=409,
        )
    tables = {stream: table.from_ipc(data) for stream, data in came.tables.items()}
    got = Got(came.rows, tables, receipt, came.receipt)
    show(got)
    files.remove(kept)
    return got


def _ask(found: Opened, asked: Spend, trust: Trust, clock: Callable[[], int], key: HolderKey, host_url: str) -> bytes:
    host, signer = HostClient(host_url, found.owner, key.signer), key.signer
    patience_s = TIMEOUT_S + found.grant.deadline_ms / 1000
    try:
        with reach(host, found.owner, trust, clock, signer, found.ticket.introductions, patience_s) as cloud:
            body = cloud.request("POST", "/v1/spends", encode_json(asked), limit=2 * MAX_ROWS)
    except WaykeepError as error:
        if error.status != 401:
            raise
        raise DeviceError(
            "holder-unlisted",
            "found a host that does not let this key ask, or a user cloud that does not know it",
            hint="ask the owner whether the grant still is in force, and whether the number is right",
            status=403,
        ) from None
    finally:
        host.close()
    return decode_json(body, SpendResult, limit=2 * MAX_ROWS, what="a spend's answer").sealed


def check(found: GrantedRows, asked: Spend, owner: OwnerId) -> Receipt:
    """The receipt of a result, which must say what was asked and commit to what came.

    Raises:
        DeviceError: ``receipt-mismatch``; AuthorityError for its signature.
    """
    receipt = decode_json(dsse.peek(found.receipt, RECEIPT_TYPE).payload, Receipt, what="a receipt")
    committed = unb64(found.salt, SALT_BYTES) + results.result_digest_bytes(found.rows, found.tables)
    fits = (
        found.request_id == receipt.run_id == asked.request_id
        and receipt.owner == owner
        and receipt.algorithm == asked.digest
        and receipt.approval == asked.grant
        and asked.ask.from_ms in (None, receipt.from_ms)
        and asked.ask.to_ms in (None, receipt.to_ms)
        and all(repr(receipt.parameters.get(name)) == repr(value) for name, value in asked.parameters.items())
        and (asked.digest is None or receipt.rows_out == len(found.rows))
        and receipt.failed == found.failed
        and receipt.result == sha256(committed)
    )
    if not fits:
        raise DeviceError(
            "receipt-mismatch", "found a receipt that is not of this run and these rows", hint="do not use the result"
        )
    return receipt
