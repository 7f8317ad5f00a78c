"""The JSON of a recording: cut into entries without reading them, then each entry read once and strictly.

Strictly means that no two readers can differ about an entry: UTF-8, no name twice in one object, no half of a surrogate
pair, no number that is no number (RFC 8259 and I-JSON, RFC 7493). One bad entry is refused alone, and only a file that
is no JSON at all, or too large, is refused whole. ``NaN`` and ``Infinity`` are no JSON, but Python's ``json`` writes
them, so they cost their entry only.

msgspec does the work at some 200 MB/s; Python's reader, which tells more, is asked only where msgspec objects or could
have missed a name that stands twice.
"""

from __future__ import annotations

import json
import math
import re

import msgspec

from waykeep.errors import DeviceError

MAX_BYTES = 256 << 20
"""The largest recording, in bytes."""
MAX_ENTRIES = 2_000_000
"""The most entries of one recording."""
MAX_ENTRY_BYTES = 256 << 10
"""The largest entry, in bytes; those of phones have one or two thousand."""
MAX_DEPTH = 64
"""How deep objects and lists may be nested in an entry."""

_MAX_COMMAS = 16_000_000
"""With more, msgspec could make so many entries at once that they fill the memory before they are counted."""
_MAX_DIGITS = 4_300
"""Of an integer, its sign included: more neither msgspec nor Python reads, as it takes time quadratic in them."""
_SPACE = re.compile(r"[ \t\r\n]*")
_SPACE_BYTES = re.compile(rb"[ \t\r\n]*")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_DECODER = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()


def split(data: bytes) -> list[msgspec.Raw]:
    """Cut a recording into the JSON texts of its entries.

    Raises:
        DeviceError: ``recording-too-large``; ``recording-not-json``; ``recording-not-entries`` when it is no array, or
            an array that holds other things but not one object.
    """
    if len(data) > MAX_BYTES:
        raise DeviceError("recording-too-large", f"found {len(data)} bytes, at most {MAX_BYTES} are read", status=413)
    start = _SPACE_BYTES.match(data).end()  # type: ignore[union-attr]  # matches nothing at all, too
    if data[start : start + 1] != b"[":
        _refuse_other(data)
    try:
        if data.count(b",") > _MAX_COMMAS:
            raise msgspec.DecodeError
        texts = msgspec.json.decode(data, type=list[msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        texts = _split_slowly(data, start + 1)
    if len(texts) > MAX_ENTRIES:
        raise _too_many()
    if texts and not any(bytes(text).startswith(b"{") for text in texts):
        raise DeviceError("recording-not-entries", "found a list without one object, expected a list of entries")
    return texts


def _refuse_other(data: bytes) -> None:
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        raise _not_json() from None
    raise DeviceError(
        "recording-not-entries",
        "found JSON that is not a list, expected a list of entries",
        hint="an e-mission dump is [{metadata: ..., data: ...}, ...]",
    )


def _split_slowly(data: bytes, position: int) -> list[msgspec.Raw]:
    # Bytes that are no UTF-8 become halves of surrogate pairs and back again: `read` refuses their entry alone.
    text = data.decode("utf-8", "surrogateescape")
    reader = json.JSONDecoder(parse_int=float)
    texts: list[msgspec.Raw] = []
    position = _skip(text, position)
    if text.startswith("]", position):
        position += 1
    else:
        position = _read_items(reader, text, position, texts)
    if _skip(text, position) != len(text):
        raise _not_json()
    return texts


def _read_items(reader: json.JSONDecoder, text: str, position: int, texts: list[msgspec.Raw]) -> int:
    while True:
        if len(texts) == MAX_ENTRIES:
            raise _too_many()
        try:
            end = reader.raw_decode(text, position)[1]
        except json.JSONDecodeError:
            raise _not_json() from None
        except RecursionError:
            raise DeviceError("recording-not-json", "found lists or objects nested too deep to be read") from None
        texts.append(msgspec.Raw(text[position:end].encode("utf-8", "surrogateescape")))
        position = _skip(text, end)
        if text.startswith("]", position):
            return position + 1
        if not text.startswith(",", position):
            raise _not_json()
        position = _skip(text, position + 1)


def _skip(text: str, position: int) -> int:
    return _SPACE.match(text, position).end()  # type: ignore[union-attr]  # matches nothing at all, too


def _not_json() -> DeviceError:
    return DeviceError(
        "recording-not-json", "found bytes that are no JSON, or not all of it", hint="is it the whole file?"
    )


def _too_many() -> DeviceError:
    return DeviceError("recording-too-large", f"found more than {MAX_ENTRIES} entries", status=413)


def read(text: bytes) -> tuple[object, DeviceError | None]:
    """Read one entry's JSON.

    Returns:
        Its value, and what is wrong with it as JSON, if anything: ``entry-malformed``, ``value-not-finite`` or
        ``value-out-of-range``. A value with a fault is good for naming the entry (its key), for nothing else; it is
        None where the text cannot be read at all.
    """
    if len(text) > MAX_ENTRY_BYTES:
        return None, DeviceError("entry-malformed", f"found {len(text)} bytes, an entry has at most {MAX_ENTRY_BYTES}")
    value: object = None
    fault: DeviceError | None = None
    try:
        value = _DECODER.decode(text)
        # A name that stands twice is lost by decoding, and its colon with it. Only an escape could make up for it.
        plain = b"\\" not in text or b"\\u" not in text  # the first is far faster, and nearly always true
        sure = plain and text.count(b":") == _ENCODER.encode(value).count(b":")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        sure = False
    if not sure:
        try:
            value, fault = _read_slowly(text)
        except RecursionError:
            return None, _too_deep()
    if text.count(b"{") + text.count(b"[") > MAX_DEPTH and _deeper_than(value, MAX_DEPTH):
        fault = _too_deep()
    return value, fault


def _read_slowly(text: bytes) -> tuple[object, DeviceError | None]:
    found: set[str] = set()

    def number(digits: str) -> float:
        result = float(digits)
        if not math.isfinite(result):
            found.add("not finite")
        return result

    def whole(digits: str) -> int:
        if len(digits) > _MAX_DIGITS:
            found.add("digits")
            return 0
        return int(digits)

    def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(pairs)
        if len(result) != len(pairs):
            found.add("twice")
        return result

    try:
        value = json.loads(
            text.decode(), object_pairs_hook=members, parse_constant=number, parse_float=number, parse_int=whole
        )
    except UnicodeDecodeError:
        return None, DeviceError("entry-malformed", "found bytes that are not UTF-8")
    except json.JSONDecodeError:
        return None, DeviceError("entry-malformed", "found text that is no JSON")
    if _HALF_PAIR.search(json.dumps(value, ensure_ascii=False)):
        return value, DeviceError("entry-malformed", "found half of a surrogate pair, expected whole characters")
    if "twice" in found:
        return value, DeviceError("entry-malformed", "found a name that stands twice in one object")
    if "not finite" in found:
        return value, DeviceError("value-not-finite", "found a number that is infinite or not a number")
    if "digits" in found:
        return value, DeviceError("value-out-of-range", f"found a number of more than {_MAX_DIGITS} digits")
    return value, None


def _too_deep() -> DeviceError:
    return DeviceError("entry-malformed", f"found lists or objects nested more than {MAX_DEPTH} deep")


def _deeper_than(value: object, levels: int) -> bool:
    level = [value]
    for _ in range(levels):
        inner: list[object] = []
        for item in level:
            inner.extend(item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
        level = inner
    return any(isinstance(item, dict | list) for item in level)
