"""Somebody to whom an owner granted runs: their key file, and asking for one.

A holder needs no account anywhere: a signing key that asks, and an age identity that results are encrypted to.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable
from pathlib import Path

import msgspec

from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.authority.records import RECEIPT_TYPE, Receipt
from waykeep.channel.trust import Trust
from waykeep.device import files
from waykeep.device.hostclient import HostClient
from waykeep.device.reaching import reach
from waykeep.errors import DeviceError, FormatError, WaykeepError
from waykeep.formats import agefile, results
from waykeep.formats.ids import Digest, OwnerId, b64, sha256, unb64
from waykeep.formats.messages import GrantedRows, Spend, SpendResult, Value
from waykeep.formats.wire import MIB, decode_json, encode_json

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


def use(
    path: Path,
    host_url: str,
    owner: OwnerId,
    trust: Trust,
    clock: Callable[[], int],
    *,
    grant: int,
    digest: Digest,
    parameters: dict[str, Value],
    window: tuple[int, int],
    show: Callable[[GrantedRows, Receipt], None] = lambda found, receipt: None,
) -> tuple[GrantedRows, Receipt]:
    """One run of a grant: rows, and a receipt that fits them.

    The request's id is kept beside the key file before it is sent, and used again until its answer was shown: so a lost
    answer costs no second run.

    Args:
        show: Shows what came, before the id is forgotten.

    Raises:
        AttestationError: Named by the rule that refused the user cloud; nothing was asked of it.
        DeviceError: ``holder-key-missing``, ``holder-unlisted``, ``receipt-mismatch``; as user cloud and host refuse.
    """
    key = load(path)
    wanted = Spend(b64(bytes(16)), grant, digest, parameters, *window)
    kept = path.with_name(f"{path.name}.{sha256(owner.encode() + encode_json(wanted))[7:23]}.asked")
    if not kept.exists():
        files.write(kept, encode_json(b64(randomness.token_bytes(16))))
    asked = msgspec.structs.replace(wanted, request_id=decode_json(kept.read_bytes(), str, what="a request's id"))
    host = HostClient(host_url, owner, key.signer)
    try:
        with reach(host, owner, trust, clock, key.signer) as cloud:
            body = cloud.request("POST", "/v1/spends", encode_json(asked))
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
    sealed = decode_json(body, SpendResult, limit=MAX_ROWS, what="a spend's answer").sealed
    plain = agefile.open_(sealed, [key.identity], limit=MAX_ROWS, what="a result")
    found = decode_json(plain, GrantedRows, limit=MAX_ROWS, what="a result")
    receipt = check(found, asked, owner)
    show(found, receipt)
    files.remove(kept)
    return found, receipt


def check(found: GrantedRows, asked: Spend, owner: OwnerId) -> Receipt:
    """The receipt of a result, which must say what was asked and commit to the rows that came.

    Raises:
        DeviceError: ``receipt-mismatch``; AuthorityError for its signature.
    """
    receipt = decode_json(dsse.peek(found.receipt, RECEIPT_TYPE).payload, Receipt, what="a receipt")
    fits = (
        found.request_id == receipt.run_id == asked.request_id
        and receipt.owner == owner
        and receipt.algorithm == asked.digest
        and receipt.approval == asked.grant
        and (receipt.from_ms, receipt.to_ms) == (asked.from_ms, asked.to_ms)
        and all(repr(receipt.parameters.get(name)) == repr(value) for name, value in asked.parameters.items())
        and receipt.rows_out == len(found.rows)
        and receipt.result == sha256(unb64(found.salt, SALT_BYTES) + results.result_digest_bytes(found.rows))
    )
    if not fits:
        raise DeviceError(
            "receipt-mismatch", "found a receipt that is not of this run and these rows", hint="do not use the result"
        )
    return receipt
