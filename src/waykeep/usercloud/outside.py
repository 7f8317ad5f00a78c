"""What a user cloud asks of the (untrusted) host: an algorithm's bundle, and to have its service started."""

from __future__ import annotations

import httpcore

from waykeep.errors import UserCloudError
from waykeep.formats import bundle, problem
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest
from waykeep.formats.messages import Address
from waykeep.formats.wire import MIB, decode_json

_UNREACHABLE = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
# The host's address is the host's own word: what is no URL of a web server may be anything else.
_NO_ADDRESS = (httpcore.UnsupportedProtocol, ValueError, TypeError)
_TIMEOUT = {"timeout": {"connect": 10.0, "read": 60.0, "write": 10.0, "pool": 10.0}}


def fetch_bundle(host_url: str, digest: Digest) -> Bundle:
    """The bundle of a digest, checked against it.

    Raises:
        UserCloudError: ``host-unreachable``, ``bundle-changed`` when the host gave another one; and the host's
            refusals.
    """
    found = bundle.load(_ask("GET", f"{host_url}/v1/bundles/{digest}", limit=2 * MIB))
    if found.digest != digest:
        raise UserCloudError(
            "bundle-changed",
            f"found a bundle of digest {found.digest}, not the one asked for",
            hint="the host gave other code than was approved; nothing was run",
            status=409,
        )
    return found


def start_algorithm(host_url: str, digest: Digest) -> Address:
    """Have the host start an algorithm service; where it says that one listens."""
    body = _ask("POST", f"{host_url}/v1/algorithms/{digest}/services", limit=MIB)
    return decode_json(body, Address, what="an address")


def _ask(method: str, url: str, *, limit: int) -> bytes:
    try:
        with httpcore.stream(method, url, extensions=_TIMEOUT) as response:
            parts, size = [], 0
            for part in response.iter_stream():
                size += len(part)
                if size > limit:
                    raise UserCloudError("host-answer-too-large", f"found an answer over {limit} bytes", status=502)
                parts.append(part)
            body, status = b"".join(parts), response.status
    except (*_UNREACHABLE, *_NO_ADDRESS) as error:
        raise UserCloudError(
            "host-unreachable", f"found no answer of the host ({type(error).__name__})", status=502
        ) from None
    if status >= 400:
        raise problem.decode(body)
    return body
