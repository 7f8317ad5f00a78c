"""Platform ``insecure``: the same supervisor, with a software root made per installation instead of hardware.

Its quote proves that whoever holds the root's key says so, and nothing about the machine: the operator can read
everything. No default trusts it; who uses it passes the installation's root by hand. On a machine of one's own that is
a fair choice: what protects then is that nobody else runs the machine.
"""

from __future__ import annotations

import msgspec

from waykeep.attestation.evidence import PlatformEvidence
from waykeep.attestation.verified import PlatformClaims
from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.errors import AttestationError, AuthorityError, FormatError
from waykeep.formats.wire import decode_json, encode_json

PLATFORM = "insecure"
QUOTE_TYPE = "application/vnd.waykeep.insecure-quote+json"

WARNING = (
    "Platform 'insecure': no hardware protects this. If you run this machine yourself, what protects you is that "
    "nobody else does. On a machine of somebody else it protects from nobody: its operator can read your data."
)


class _Quote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    measurement: str
    report_data: str


def quote(root: SigningKey, measurement: str, report_data: bytes) -> bytes:
    """A quote of the software root over the supervisor's measurement and 32 bytes of report data."""
    return dsse.sign(QUOTE_TYPE, encode_json(_Quote(measurement, report_data.hex())), root)


def verify(evidence: PlatformEvidence, root: str) -> PlatformClaims:
    """Verify a quote under the root that the caller passed by hand.

    Raises:
        AttestationError: ``quote-signature`` when the root did not sign it, ``quote-malformed``.
    """
    try:
        payload = dsse.open_(evidence.quote, QUOTE_TYPE, [root]).payload
        found = decode_json(payload, _Quote, limit=4096, what="a quote")
        report_data = bytes.fromhex(found.report_data)
    except AuthorityError as error:
        raise AttestationError(
            "quote-signature",
            f"found a quote that this root did not sign ({error.rule})",
            hint="is it the root of this host?",
        ) from None
    except (FormatError, ValueError):
        raise AttestationError("quote-malformed", "found a quote that does not parse") from None
    return PlatformClaims(
        platform=PLATFORM,
        measurement=found.measurement,
        report_data=report_data,
        debug=False,
        tcb_status="none",
        advisories=(),
    )
