"""Canaries: the values that must not be seen outside, in every form in which they could leak.

The demo takes some real values (places, the phone's user ids, keys), writes down how they would look if somebody had
stored, sent or merely remembered them, and `waykeep.demo.scan` looks for these bytes. A label says whose value it is
and which; it never holds the value, since labels are printed.

**Odds of a false alarm.** In `N` random bytes a pattern of `n` bytes turns up by chance with about `N / 256**n`. One
int32 has `n = 4`: in 100 MB of ciphertext each would be found with 2 %, and three hundred of them six times over. So
no pattern here is a single int32: two successive values of a column (as Parquet and Arrow lay them out) or the two
values of a row make `n = 8`, like a float64, and 4,000 such patterns in 1 GB give 4,000 * 1e9 / 2**64 = 2e-7. The
shortest base64 pattern has 10 characters of 6 bits: by the same sum 3e-6, if all of the 1 GB were base64.
Decimals are compared with other *numbers*, not with random bytes: a place with five decimals is one of 1e7, so
counting only numbers that do not continue to the left, a log that prints 1,000 numbers of that length meets one of
100 patterns with 1 %; numbers with six or more decimals, as phones write them, do so ten times less often.
"""

from __future__ import annotations

import base64
import math
import struct
import uuid
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias, TypeVar

import msgspec

_T = TypeVar("_T")

Kind: TypeAlias = Literal["decimal", "int32", "float64", "base64", "user-id", "key"]

MINIMUM_PATTERN = 7
"""Bytes: below this neither the odds nor the search (`waykeep.demo.matcher`) work."""

_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


class Canary(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value in one family of forms.

    Attributes:
        kind: The family of forms.
        label: Whose value and which, for people; never the value.
        patterns: The bytes to look for; finding any one of them finds the canary.
    """

    kind: Kind
    label: str
    patterns: tuple[bytes, ...]


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A position in both forms that Waykeep handles.

    Attributes:
        lat, lon: Degrees, as the phone wrote them.
        lat_e7, lon_e7: Degrees times 1e7, as the tables hold them.
    """

    lat: float
    lon: float
    lat_e7: int
    lon_e7: int

    @classmethod
    def from_degrees(cls, lat: float, lon: float) -> Place:
        """The place of a recorded position; latitude in [-90, 90], longitude in [-180, 180] degrees.

        Raises:
            ValueError: The position is not on Earth.
        """
        if not (abs(lat) <= 90 and abs(lon) <= 180):
            raise ValueError("a place has a latitude within 90 and a longitude within 180 degrees")
        return cls(lat, lon, round(lat * 1e7), round(lon * 1e7))


def track_canaries(name: str, track: Sequence[Place], count: int = 8) -> list[Canary]:
    """Canaries from a track: `count` pairs of successive places, spread evenly over it.

    Args:
        name: Whose track, for the labels.
        track: Places in the order of their column.
        count: How many pairs, 1 or more. Each makes about 90 patterns.

    Raises:
        ValueError: The track has no two successive places that differ and are precise enough to tell apart from
            other numbers (so that a scan cannot come out clean because it looked for nothing).
    """
    usable = [i for i in range(len(track) - 1) if _distinctive(track[i]) and _distinctive(track[i + 1])]
    usable = [i for i in usable if track[i] != track[i + 1]]
    if not usable or count < 1:
        raise ValueError("found no two successive places that are precise enough, expected some")
    chosen = sorted({usable[(2 * k + 1) * len(usable) // (2 * count)] for k in range(count)})
    return [c for n, i in enumerate(chosen, 1) for c in place_canaries(f"{name}, place {n}", track[i], track[i + 1])]


def place_canaries(label: str, place: Place, following: Place) -> list[Canary]:
    """The canaries of one place, one of each kind of coordinate.

    Args:
        label: Whose place and which.
        place: The place itself.
        following: The next value of the column, so that a column can be recognised by two values.
    """
    texts = _unique(t for v in ((place.lat, place.lat_e7), (place.lon, place.lon_e7)) for t in _decimals(*v))
    pairs = (
        (place.lat_e7, following.lat_e7),
        (place.lon_e7, following.lon_e7),
        (place.lat_e7, place.lon_e7),
        (place.lon_e7, place.lat_e7),
    )
    ints = _unique(pattern for pair in pairs for pattern in _integers(*pair))
    degrees = _unique((place.lat, place.lon, place.lat_e7 / 1e7, place.lon_e7 / 1e7))
    floats = tuple(struct.pack(order + "d", value) for value in degrees for order in "<>")
    long_enough = (pattern for pattern in (*texts, *ints, *floats) if len(pattern) >= 8)
    return [
        Canary("decimal", label, texts),
        Canary("int32", label, ints),
        Canary("float64", label, floats),
        Canary("base64", label, _unique(b for p in long_enough for b in base64_patterns(p))),
    ]


def user_id_canary(label: str, user: uuid.UUID) -> Canary:
    """A phone's user id as text with and without dashes, in either case, as 16 bytes, and in base64."""
    lower = (str(user).encode(), user.hex.encode())
    plain = (*lower, *(text.upper() for text in lower), user.bytes)
    return Canary("user-id", label, _unique((*plain, *(b for p in plain for b in base64_patterns(p)))))


def secret_canary(label: str, secret: bytes) -> Canary:
    """A secret as it is, in hexadecimal of either case, and in base64.

    Args:
        label: Whose secret and which.
        secret: At least 16 bytes: a raw key, or a passphrase or key as text.

    Raises:
        ValueError: The secret is shorter.
    """
    if len(secret) < 16:
        raise ValueError("a secret to look for has at least 16 bytes")
    text = secret.hex().encode()
    return Canary("key", label, _unique((secret, text, text.upper(), *base64_patterns(secret))))


def age_identity_canary(label: str, identity: str) -> Canary:
    """An age identity (`AGE-SECRET-KEY-1...`): as text in either case, and its 32 bytes like any other secret.

    The text is Bech32 (BIP 173): five bits a character after the last `1`, six characters of checksum at the end.

    Raises:
        ValueError: The text is not an age X25519 identity.
    """
    head, _, data = identity.strip().lower().rpartition("1")
    if head != "age-secret-key-" or len(data) != 58 or not set(data) <= set(_BECH32):
        raise ValueError("expected an age identity, AGE-SECRET-KEY-1 and 58 characters")
    number = 0
    for character in data[:-6]:
        number = number << 5 | _BECH32.index(character)
    raw = (number >> 4).to_bytes(32, "big")
    text = identity.strip().encode()
    return Canary("key", label, _unique((text.upper(), text.lower(), *secret_canary(label, raw).patterns)))


def base64_patterns(data: bytes) -> tuple[bytes, ...]:
    """The characters that base64 makes of `data` wherever it lies in a longer text, plain and URL-safe.

    Base64 turns three bytes into four characters, so there are three alignments. At each, the characters that also
    carry bits of a neighbour are left off.
    """
    found: list[bytes] = []
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data)
        first = math.ceil(before * 8 / 6)
        whole = encoded[first : (before + len(data)) * 8 // 6]
        found += [whole, whole.translate(bytes.maketrans(b"+/", b"-_"))]
    return _unique(found)


def _distinctive(place: Place) -> bool:
    """Whether a place can be told from other numbers: not near a zero, and written with at least five decimals."""
    far = all(abs(value) >= 1_000_000 for value in (place.lat_e7, place.lon_e7))
    return far and all(value % 1000 for value in (place.lat_e7, place.lon_e7))


def _decimals(degrees: float, e7: int) -> Iterable[bytes]:
    """Texts of a value, without sign (some formats write W and S): as written, cut and rounded, and as an integer.

    A text that starts with another one of these is left off, as whoever finds the short one finds both.
    """
    value = abs(degrees)
    texts = {repr(value), f"{abs(e7) / 1e7:.7f}", *(f"{value:.{digits}f}" for digits in (5, 6, 7))}
    cut = f"{value:.7f}"[:-2]
    texts = {text for text in (*texts, cut) if "e" not in text and len(text.partition(".")[2]) >= 5}
    kept = {text for text in texts if not any(text != other and text.startswith(other) for other in texts)}
    return (text.encode() for text in (*sorted(kept), str(abs(e7))) if len(text) >= MINIMUM_PATTERN)


def _integers(first: int, second: int) -> Iterable[bytes]:
    """Two values side by side: 32 and 64 bits wide in both byte orders, and as MessagePack writes them."""
    for order, code in (("<", "i"), (">", "i"), ("<", "q"), (">", "q")):
        yield struct.pack(f"{order}2{code}", first, second)
    yield msgspec.msgpack.encode(first) + msgspec.msgpack.encode(second)


def _unique(items: Iterable[_T]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(items))
