"""A recording made to harm: by its size, its nesting, its numbers, or by saying two things at once."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any

import pytest

from tests.unit.device.recording import START, USER, dump, entry
from waykeep.device.importers import emission, entries
from waykeep.errors import DeviceError

GOOD = json.dumps(entry(at=START + 1)).encode()


def refused_whole(data: bytes) -> str:
    with pytest.raises(DeviceError) as caught:
        emission.read(data)
    return caught.value.rule


def refused_alone(text: bytes) -> tuple[str, str]:
    """Key and rule of the refusal of an entry that stands between two good ones."""
    found = emission.read(b"[" + GOOD + b"," + text + b"," + GOOD.replace(b"1466000001", b"1466000002") + b"]")
    assert found.kept == {"location": 2}
    (refusal,) = found.refused
    assert refusal.index == 1
    return refusal.key, refusal.rule


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" \n",
        b"[",
        b"[" + GOOD,
        b"[" + GOOD + b",",
        b"[" + GOOD + b",]",
        b"[," + GOOD + b"]",
        b"[" + GOOD + GOOD + b"]",
        b"[" + GOOD + b"]]",
        b"[" + GOOD + b"] x",
        b"[" + GOOD[:-1] + b"]",
        b"[" + GOOD[: len(GOOD) // 2],
        b"\xef\xbb\xbf[" + GOOD + b"]",
        ("[" + GOOD.decode() + "]").encode("utf-16"),
        b"\x1f\x8b\x08\x00gzip",
        b"PK\x03\x04",
        b"lat,lon\n1,2\n",
        GOOD + b"\n" + GOOD,
        b"NaN",
        b"{",
        b'[{"a": 01}]',
        b'[{"a": nan}]',
        b"[{'a': 1}]",
        b'[{"a": "\x01"}]',
        b'[{"a": "\\x41"}]',
        b'["\\ud800", {"a": tru}]',
    ],
)
def test_bytes_that_are_no_json(data: bytes) -> None:
    assert refused_whole(data) == "recording-not-json"


def test_a_refusal_of_the_file_tells_nothing_of_it() -> None:
    with pytest.raises(DeviceError) as caught:
        emission.read(dump(entry())[:-20])
    assert "51.4" not in str(caught.value) and USER not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["latitude", "accuracy", "ts", "unheard_of"])
def test_numbers_that_are_none_cost_their_entry(number: float, field: str) -> None:
    text = json.dumps(entry(**{field: number})).encode()
    assert refused_alone(text) == ("background/location", "value-not-finite")


@pytest.mark.parametrize("digits", [b"1e309", b"-1e309", b"1" + b"0" * 309 + b".0"])
def test_numbers_beyond_every_float_are_infinite(digits: bytes) -> None:
    text = GOOD.replace(b'"accuracy": 12.5', b'"accuracy": ' + digits)
    assert refused_alone(text) == ("background/location", "value-not-finite")


@pytest.mark.parametrize("count", [20, 309, 4_300, 4_301, 200_000])
@pytest.mark.parametrize("field", [b'"accuracy": 12.5', b'"heading": 270.0', b'"read_ts": 0'])
def test_integers_of_very_many_digits(count: int, field: bytes) -> None:
    text = GOOD.replace(field, field.split(b":")[0] + b": " + b"9" * count)
    if b"read_ts" in field and count <= 4_300:
        assert emission.read(b"[" + text + b"]").kept == {"location": 1}  # it can be read, and is not kept
    else:
        assert refused_alone(text) == ("background/location", "value-out-of-range")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"latitude"', b'"latitude": 10, "latitude"'),
        (b'"latitude"', b'"latitude": 10, "l\\u0061titude"'),
        (b'"latitude"', b'"x": "\\u003a\\u003a", "latitude": "::", "latitude"'),
        (b'"latitude"', b'"x": "\\u003a", "latitude": 10, "latitude"'),  # as many colons as an honest one
        (b'"key"', b'"key": "background/battery", "key"'),
        (b'"data"', b'"data": {}, "data"'),
        (b'"$oid"', b'"$oid": "", "$oid"'),
        (b'"latitude"', b'"x": {"": 1, "": 1}, "latitude"'),
        (b'"latitude"', b'"x" :1 , "x"\t: 1, "latitude"'),
    ],
)
def test_an_entry_that_says_two_things_at_once(old: bytes, new: bytes) -> None:
    assert old in GOOD
    assert refused_alone(GOOD.replace(old, new)) == ("background/location", "entry-malformed")


@pytest.mark.parametrize(
    "text",
    [
        b'"\xff"',
        b'"\xc3"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\\ud83dx"',
        b'"\xff\\ud800"',
    ],
)
@pytest.mark.parametrize("field", [b'"platform": "android"', b'"time_zone": "Europe/London"'])
def test_text_that_is_no_unicode_costs_its_entry(text: bytes, field: bytes) -> None:
    key, rule = refused_alone(GOOD.replace(field, field.split(b":")[0] + b": " + text))
    assert rule == "entry-malformed"
    assert key in ("", "background/location")


def test_not_even_a_name_may_be_half_a_character() -> None:
    assert refused_alone(GOOD.replace(b'"platform"', b'"\\ud800"'))[1] == "entry-malformed"


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
@pytest.mark.parametrize("extra", [b"", b', "y": NaN'])
def test_nesting_costs_its_entry(opening: bytes, extra: bytes) -> None:
    closing = b"]" if opening == b"[" else b"}"
    inner = b"0"

    def nested(depth: int) -> bytes:
        # The entry and its data are two levels of their own.
        deep = opening * (depth - 2) + inner + closing * (depth - 2)
        return GOOD.replace(b'"latitude"', b'"x": ' + deep + extra + b', "latitude"')

    expected = "value-not-finite" if extra else None
    if expected is None:
        assert emission.read(b"[" + nested(entries.MAX_DEPTH) + b"]").kept == {"location": 1}
    else:
        assert refused_alone(nested(entries.MAX_DEPTH))[1] == expected
    for depth in (entries.MAX_DEPTH + 1, 500):
        assert refused_alone(nested(depth))[1] == "entry-malformed"


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
def test_nesting_without_end_is_refused_and_does_not_crash(opening: bytes) -> None:
    for prefix in (b"", b"[", b"[" + GOOD + b","):
        assert refused_whole(prefix + opening * 1_000_000) == "recording-not-json"
    closing = b"".join({b"[": b"]", b"{": b"}"}[bytes([c])] for c in reversed(opening) if c in b"[{")
    balanced = b"[" + GOOD + b"," + opening * 100_000 + b"0" + closing * 100_000 + b"]"
    assert refused_whole(balanced) == "recording-not-json"


def test_wide_is_not_deep() -> None:
    text = json.dumps(entry("stats/client_time", points=[[1, [2, {"a": []}]]] * 500)).encode()
    assert emission.read(b"[" + text + b"]").kept == {"json/stats/client_time": 1}


def test_an_entry_that_is_too_large() -> None:
    for key in ("background/location", "stats/client_time"):
        text = json.dumps(entry(key, note="x" * entries.MAX_ENTRY_BYTES)).encode()
        assert refused_alone(text) == ("", "entry-malformed")


def test_a_file_that_is_too_large_is_not_even_looked_at() -> None:
    assert refused_whole(bytes(entries.MAX_BYTES + 1)) == "recording-too-large"


@pytest.mark.parametrize("item", [b"0", b"{}", b'{"a":NaN}'])
def test_more_entries_than_are_taken(item: bytes) -> None:
    data = b"[" + (item + b",") * entries.MAX_ENTRIES + item + b"]"
    assert refused_whole(data) == "recording-too-large"


MEASURED = """
import resource
from waykeep.device.importers import emission
from waykeep.errors import DeviceError
data = b"[" + b"0," * 20_000_000 + b"0]"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    emission.read(data)
except DeviceError as error:
    print(error.rule, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_very_many_tiny_items_do_not_fill_the_memory() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True, timeout=60)
    rule, grown_mib = done.stdout.split()
    assert rule == "recording-too-large"
    # Cut all at once, they would take 1,200 MiB.
    assert int(grown_mib) < 400


def test_a_kept_text_with_a_number_that_only_python_reads_can_stand_twice() -> None:
    text = json.dumps(entry("stats/client_time")).encode().replace(b"0.487", b"9" * 5_000 + b"e-4999")
    found = emission.read(b"[" + text + b"," + text + b"," + text.replace(b"sync", b"other") + b"]")
    assert found.kept == {"json/stats/client_time": 1}
    assert [r.rule for r in found.refused] == ["entry-repeated", "entry-conflicts"]


def test_as_many_streams_as_entries() -> None:
    def keyed(count: int) -> bytes:
        many = [entry("stats/client_time") for _ in range(count)]
        for number, one in enumerate(many):
            one["metadata"]["key"] = f"k{number}"
        return dump(*many)

    assert len(emission.read(keyed(emission.MAX_STREAMS)).tables) == emission.MAX_STREAMS
    assert refused_whole(keyed(emission.MAX_STREAMS + 1)) == "recording-too-large"


def test_as_many_time_zones_as_entries() -> None:
    def zoned(count: int) -> bytes:
        many = [entry(at=START + number) for number in range(count)]
        for number, one in enumerate(many):
            one["metadata"]["time_zone"] = f"Zone/{number}"
        return dump(*many)

    assert emission.read(zoned(emission.MAX_ZONES)).kept == {"location": emission.MAX_ZONES}
    assert refused_whole(zoned(emission.MAX_ZONES + 1)) == "recording-too-large"


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "../a",
        "a/../b",
        "Background/location",
        "background/location\n",
        "background/location\x00",
        "background-location",
        "a/b/c/d/e",
        "a" * 33,
        "a/" + "b" * 49,
        "\x1b[31mred",
        "\u202ekcab",
        "stats/\u0435",
        None,
        7,
        ["a"],
    ],
)
def test_keys_that_no_stream_is_named_after(key: Any) -> None:
    hostile = entry("stats/client_time")
    hostile["metadata"]["key"] = key
    assert refused_alone(json.dumps(hostile).encode()) == ("", "key-malformed")


@pytest.mark.parametrize(
    "text",
    [b"null", b"[]", b"7", b'"entry"', b"{}", b'{"metadata": {}}', b'{"metadata": [], "data": {}}']
    + [json.dumps({**entry(), part: value}).encode() for part in ("metadata", "data") for value in (None, [], "x", 1)],
)
def test_what_is_not_shaped_as_an_entry(text: bytes) -> None:
    assert refused_alone(text)[1] == "entry-malformed"


def test_a_key_of_derived_data_cannot_be_imported_as_such() -> None:
    hostile = entry("stats/client_time")
    hostile["metadata"]["key"] = "derived/trips"
    assert emission.read(dump(hostile)).kept == {"json/derived/trips": 1}


def test_no_reason_tells_a_value() -> None:
    place = 51.477812345
    hostile = [entry(at=START + n, **{field: value}) for n, (field, value) in enumerate(
        [
            ("latitude", place * 2), ("longitude", place * 4), ("latitude", str(place)), ("latitude", [place]),
            ("heading", place * 10), ("accuracy", -place), ("altitude", place * 1e7), ("latitude", math.nan),
        ]
    )]  # fmt: skip
    found = emission.read(dump(*hostile))
    assert len(found.refused) == len(hostile)
    said = " ".join(f"{r.key} {r.rule} {r.reason}" for r in found.refused)
    for one in hostile:
        for value in one["data"].values():
            assert isinstance(value, str | list) or not math.isfinite(value) or f"{value:.5f}"[:6] not in said
    assert USER not in said and "51.47" not in said
