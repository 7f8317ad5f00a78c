"""The device's client of the host.

Ciphertext in and out, and "where is my user cloud?". Nothing the host says is believed.
"""

from __future__ import annotations

from urllib.parse import quote

from waykeep.authority import requests
from waykeep.authority.keys import SigningKey
from waykeep.channel.exchange import Exchanges, TooLarge, Unanswered
from waykeep.errors import HostError, WaykeepError
from waykeep.formats import problem
from waykeep.formats.ids import Digest, OwnerId
from waykeep.formats.messages import Address, Doorbell, Listing, Rings, RungAll
from waykeep.formats.wire import MIB, decode_json, encode_json

MAX_OBJECT = 32 * MIB
MAX_NAMES = 1_000_000
STEP_S, TOTAL_S = 60.0, 600.0
"""How long to wait for each step of an answer, and for all of it, in seconds."""


class HostClient:
    """Talks to one host for one owner. Requests are signed with ``key`` (RFC 9421).

    Raises:
        HostError: ``host-unreachable``, ``host-answer-too-large``; and the host's own refusals.
    """

    def __init__(self, url: str, owner: OwnerId | None = None, key: SigningKey | None = None) -> None:
        self._url, self._owner, self._key = url.rstrip("/"), owner, key
        self._http = Exchanges(step_s=STEP_S, total_s=TOTAL_S)

    def close(self) -> None:
        self._http.close()

    def register(self, inception: bytes) -> None:
        self._ask("POST", "/v1/owners", inception, signed=False)

    def put_key_list(self, number: int, envelope: bytes) -> None:
        self._ask("PUT", f"{self._home}/access/{number:010d}", envelope, signed=False)

    def put(self, room: str, name: str, data: bytes) -> None:
        """Put an object under a new name; the same bytes again are fine."""
        self._ask("PUT", f"{self._home}/{room}/{name}", data)

    def get(self, room: str, name: str) -> bytes | None:
        """An object, or None where the host says that it has none."""
        try:
            return self._ask("GET", f"{self._home}/{room}/{name}")
        except WaykeepError as error:
            if error.status == 404:
                return None
            raise

    def names(self, room: str) -> list[str]:
        """All names in a room, in ascending order. Raises: HostError: ``host-answer-malformed``."""
        found: list[str] = []
        while True:
            after = f"?after={found[-1]}" if found else ""
            page = decode_json(self._ask("GET", f"{self._home}/{room}{after}"), Listing, what="a listing")
            if list(page.names) != sorted(set(page.names)) or (found and page.names and page.names[0] <= found[-1]):
                raise HostError("host-answer-malformed", "found a listing out of order", status=502)
            found += page.names
            if not page.more or not page.names:
                return found
            if len(found) > MAX_NAMES:
                raise HostError("host-answer-too-large", f"found a listing of over {MAX_NAMES} names", status=502)

    def cloud(self, introductions: tuple[str, ...] = ()) -> Address:
        """Where the user cloud listens. Whoever is on no key list shows ``introductions`` that lead to their key."""
        body = encode_json(Doorbell(introductions)) if introductions else b""
        return decode_json(self._ask("POST", f"{self._home}/cloud", body), Address, what="an address")

    def put_bundle(self, digest: Digest, archive: bytes) -> None:
        self._ask("PUT", f"/v1/bundles/{digest}", archive, signed=False)

    def bundle(self, digest: Digest) -> bytes:
        return self._ask("GET", f"/v1/bundles/{digest}", signed=False)

    def bundles(self) -> tuple[str, ...]:
        return decode_json(self._ask("GET", "/v1/bundles", signed=False), Listing, what="a listing").names

    def put_study(self, digest: Digest, envelope: bytes) -> None:
        self._ask("PUT", f"/v1/studies/{digest}", envelope, signed=False)

    def study(self, digest: Digest) -> bytes:
        return self._ask("GET", f"/v1/studies/{digest}", signed=False)

    def stop_study(self, digest: Digest) -> None:
        """By its researcher, whose key signs."""
        self._ask("POST", f"/v1/studies/{digest}/stop")

    def ring(self, digest: Digest, rings: Rings) -> RungAll:
        """Have all members of a study rung; by its researcher. What became of it, `rung` tells."""
        body = self._ask("POST", f"/v1/studies/{digest}/rings", encode_json(rings))
        return decode_json(body, RungAll, what="an answer about rings")

    def rung(self, digest: Digest) -> RungAll:
        body = self._ask("GET", f"/v1/studies/{digest}/rings")
        return decode_json(body, RungAll, what="an answer about rings")

    @property
    def _home(self) -> str:
        return f"/v1/owners/{self._owner}"

    def _ask(self, method: str, path: str, body: bytes = b"", *, signed: bool = True) -> bytes:
        url = self._url + quote(path, safe="/:?=&-._~")
        headers: dict[str, str] = {}
        if signed and self._key is not None:
            headers = requests.sign(requests.Request(method, url, {}, body), self._key)
        try:
            status, answer = self._http.exchange(method, url, headers.items(), body, limit=MAX_OBJECT)
        except TooLarge:
            raise HostError("host-answer-too-large", f"found an answer over {MAX_OBJECT} bytes", status=502) from None
        except Unanswered as error:
            raise HostError(
                "host-unreachable",
                f"found no answer of the host ({error})",
                hint="is it running, and is its address right?",
                status=502,
            ) from None
        if status >= 400:
            raise problem.decode(answer)
        return answer
