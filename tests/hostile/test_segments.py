"""A writer, or whoever can put objects into the store, uploads a segment that departs from the rules in one point.

Each is refused by name, and by the layer that must: age's header before anything is decrypted, the signature before a
header is believed, the header before Parquet is parsed.
"""

from __future__ import annotations

import time

import msgspec
import pyarrow as pa
import pytest

from tests.support.people import refused
from tests.unit.vault import segmenting
from tests.unit.vault.segmenting import EPOCHS, LOG, NOW_MS, SECRETS, STATE_KEY, header, plaintext, rows, sealed, uploaded
from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.authority.statements import EPOCH_TYPE
from waykeep.errors import WaykeepError
from waykeep.formats import agefile, segment, table
from waykeep.formats.ids import sha256
from waykeep.formats.segment import SEGMENT_TYPE
from waykeep.formats.wire import encode_json
from waykeep.vault import segments
from waykeep.vault.segments import EpochKey, Segment

STRANGER = SigningKey(b"x" * 32)
PARQUET = table.to_parquet(rows())
SECRET_2, RECIPIENT_2 = agefile.generate()
BOTH = EPOCHS | {2: EpochKey(2, SECRET_2, RECIPIENT_2)}


def opened(data: bytes, epochs: dict[int, EpochKey] | None = None) -> Segment:
    return segments.open_(data, LOG, EPOCHS if epochs is None else epochs)


def raw(parquet: bytes, count: int = 3, **changes: object) -> bytes:
    """A segment whose payload is these bytes, whatever they are."""
    return sealed(plaintext(parquet, count, **changes))


def test_an_honest_segment_is_taken() -> None:
    found = opened(uploaded())
    assert (found.header.rows, found.writer) == (3, SECRETS.writer_key.public)
    assert found.rows.equals(rows())


# -- the signature ----------------------------------------------------------------------------------------------------


def test_unsigned() -> None:
    outer = msgspec.json.decode(dsse.sign(SEGMENT_TYPE, encode_json(header(PARQUET, 3)), SECRETS.writer_key))
    with refused("signature-invalid", "authority"):
        opened(sealed(segment.join(encode_json(outer | {"signatures": []}), PARQUET)))


def test_a_header_without_an_envelope() -> None:
    with refused("malformed", "format"):
        opened(sealed(segment.join(encode_json(header(PARQUET, 3)), PARQUET)))


def test_signed_by_a_stranger_in_the_writers_name() -> None:
    outer = msgspec.json.decode(dsse.sign(SEGMENT_TYPE, encode_json(header(PARQUET, 3)), STRANGER))
    outer["signatures"][0]["keyid"] = SECRETS.writer_key.public
    with refused("signature-invalid", "authority"):
        opened(sealed(segment.join(encode_json(outer), PARQUET)))


def test_a_signature_of_another_type() -> None:
    envelope = dsse.sign(EPOCH_TYPE, encode_json(header(PARQUET, 3)), SECRETS.writer_key)
    with refused("statement-type", "authority"):
        opened(sealed(segment.join(envelope, PARQUET)))


@pytest.mark.parametrize(
    "key",
    [STRANGER, SECRETS.device_key, SECRETS.authority_key, STATE_KEY],
    ids=["stranger", "device", "authority", "state key"],
)
def test_a_writer_that_the_owner_log_does_not_name(key: SigningKey) -> None:
    with refused("signer-unknown", "authority"):
        opened(uploaded(key=key))


def test_a_writer_who_signs_a_derived_segment() -> None:
    with refused("signer-unknown", "authority"):
        opened(uploaded(stream="derived/trips", kind="derived", source="derived"))


# -- the header -------------------------------------------------------------------------------------------------------


def test_another_owner() -> None:
    other, _ = segmenting.make(first=100)
    with refused("segment-owner", "vault"):
        opened(uploaded(owner=other.secrets.owner))


def test_another_owners_segment_as_it_is() -> None:
    other, log = segmenting.make(first=100)
    theirs = uploaded(key=other.secrets.writer_key, owner=other.secrets.owner)
    assert segments.open_(theirs, log, EPOCHS).header.owner == other.secrets.owner
    with refused("segment-owner", "vault"):
        opened(theirs)


@pytest.mark.parametrize(
    "changes",
    [{"source": "signed"}, {"source": "derived"}, {"source": ""}, {"kind": "derived"}, {"kind": ""}],
    ids=str,
)
def test_a_kind_or_source_that_is_not_the_writers(changes: dict[str, str]) -> None:
    with refused("segment-kind", "vault"):
        opened(uploaded(**changes))


def test_a_derived_segment_that_calls_itself_recorded() -> None:
    with refused("segment-kind", "vault"):
        opened(uploaded(key=STATE_KEY, stream="derived/trips"))


@pytest.mark.parametrize("stream", ["", "locations", "json/", "json/../location", "derived/Trips", "Battery"])
def test_an_unknown_stream(stream: str) -> None:
    with refused("stream-unknown", "format"):
        opened(uploaded(stream=stream))


@pytest.mark.parametrize(
    "changes",
    [
        {"rows": -1},
        {"rows": segment.MAX_ROWS + 1},
        {"payload_length": -1},
        {"payload_length": segment.MAX_SEGMENT + 1},
        {"epoch": -1},
        {"number": 10**10},
    ],
    ids=str,
)
def test_a_number_out_of_its_range(changes: dict[str, int]) -> None:
    with refused("malformed", "format"):
        opened(uploaded(**changes))


def test_a_header_with_an_unknown_field() -> None:
    more = msgspec.to_builtins(header(PARQUET, 3)) | {"more": 1}
    with refused("malformed", "format"):
        opened(sealed(segment.join(dsse.sign(SEGMENT_TYPE, encode_json(more), SECRETS.writer_key), PARQUET)))


# -- the epoch --------------------------------------------------------------------------------------------------------


def test_an_unknown_epoch() -> None:
    plain = plaintext(PARQUET, 3, epoch=2, recipient=RECIPIENT_2)
    assert opened(sealed(plain, RECIPIENT_2), BOTH).header.epoch == 2
    with refused("age-not-ours", "format"):
        opened(sealed(plain, RECIPIENT_2))


def test_no_epoch_at_hand() -> None:
    with refused("age-not-ours", "format"):
        opened(uploaded(), {})


@pytest.mark.parametrize(
    ("changes", "recipient"),
    [
        ({}, RECIPIENT_2),
        ({"epoch": 2}, EPOCHS[1].recipient),
        ({"epoch": 2, "recipient": RECIPIENT_2}, EPOCHS[1].recipient),
        ({"recipient": RECIPIENT_2}, EPOCHS[1].recipient),
        ({"recipient": RECIPIENT_2}, RECIPIENT_2),
    ],
    ids=["sealed to 2", "number 2", "all of 2", "recipient of 2", "sealed to 2 and says so, but for its number"],
)
def test_a_header_that_names_another_epoch_than_it_is_encrypted_to(changes: dict[str, object], recipient: str) -> None:
    with refused("segment-epoch", "vault"):
        opened(sealed(plaintext(PARQUET, 3, **changes), recipient), BOTH)


# -- the payload ------------------------------------------------------------------------------------------------------


def test_another_payload_digest() -> None:
    with refused("segment-payload", "vault"):
        opened(uploaded(payload=sha256(b"")))


def test_another_payload() -> None:
    other = table.to_parquet(rows([NOW_MS + 1, NOW_MS + 1001, NOW_MS + 2001]))
    assert len(other) == len(PARQUET)
    with refused("segment-payload", "vault"):
        opened(raw(other, payload=sha256(PARQUET)))


@pytest.mark.parametrize("length", [0, len(PARQUET) - 1, segment.MAX_SEGMENT])
def test_another_payload_length(length: int) -> None:
    with refused("segment-malformed", "format"):
        opened(uploaded(payload_length=length))


def test_a_payload_length_that_takes_padding_in() -> None:
    with refused("segment-payload", "vault"):
        opened(uploaded(payload_length=len(PARQUET) + 1))


@pytest.mark.parametrize("count", [0, 2, 4])
def test_another_number_of_rows(count: int) -> None:
    with refused("segment-payload", "vault"):
        opened(uploaded(rows=count))


def test_no_rows() -> None:
    with refused("segment-payload", "vault"):
        opened(uploaded(rows([])))


def test_another_stream() -> None:
    with refused("columns-mismatch", "format"):
        opened(uploaded(stream="motion-activity"))


@pytest.mark.parametrize("at", [-1, -2], ids=["last byte", "last but one"])
def test_padding_that_is_not_zero(at: int) -> None:
    plain = bytearray(plaintext(PARQUET, 3))
    assert plain.endswith(b"\0\0"), "this segment has padding"
    plain[at] = 1
    with refused("segment-malformed", "format"):
        opened(sealed(bytes(plain)))


def test_another_magic() -> None:
    with refused("segment-malformed", "format"):
        opened(sealed(b"WKSEG2" + plaintext(PARQUET, 3)[6:]))


# -- age --------------------------------------------------------------------------------------------------------------

WHOLE = uploaded()


@pytest.mark.parametrize("cut", range(0, len(WHOLE), 97))
def test_cut(cut: int) -> None:
    before_its_end = {"age-malformed"} if cut < 22 else {"age-header-too-large", "age-not-ours"}
    with pytest.raises(WaykeepError) as caught:
        opened(WHOLE[:cut])
    assert caught.value.rule in before_its_end


@pytest.mark.parametrize("at", range(0, len(WHOLE), 97))
def test_one_byte_changed(at: int) -> None:
    changed = WHOLE[:at] + bytes([WHOLE[at] ^ 1]) + WHOLE[at + 1 :]
    with pytest.raises(WaykeepError) as caught:
        opened(changed)
    assert caught.value.rule in ("age-malformed", "age-header-too-large", "age-not-ours")


PLAIN = plaintext(PARQUET, 3)


@pytest.mark.parametrize("cut", range(0, len(PLAIN.rstrip(b"\0")), 97))
def test_cut_before_it_was_sealed(cut: int) -> None:
    with refused("segment-malformed", "format"):
        opened(sealed(PLAIN[:cut]))


@pytest.mark.parametrize(
    "lines",
    [b"-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n", b"-> a\n\n"],
    ids=["of X25519", "short"],
)
def test_an_age_header_of_seventeen_stanzas(lines: bytes) -> None:
    _refused_at_once(b"age-encryption.org/v1\n" + lines * 17 + b"--- " + b"A" * 43 + b"\n" + bytes(1000))


def test_an_age_header_of_five_kibibytes() -> None:
    _refused_at_once(
        b"age-encryption.org/v1\n-> a " + b"a" * 5120 + b"\n\n--- " + b"A" * 43 + b"\n" + bytes(1000),
    )


def test_an_age_header_that_fills_the_segment() -> None:
    _refused_at_once(b"age-encryption.org/v1\n" + b"-> a\n\n" * (segment.MAX_SEGMENT // 7))


def _refused_at_once(data: bytes) -> None:
    before = time.thread_time()
    with refused("age-header-too-large", "format"):
        opened(data, BOTH)
    assert time.thread_time() - before < 0.05, "pyrage saw it"


def test_a_segment_over_the_bound() -> None:
    with refused("too-large", "format"):
        opened(WHOLE.ljust(segment.MAX_SEGMENT + 1, b"\0"))


# -- Parquet ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "parquet",
    [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", PARQUET[:-1], PARQUET[4:], b"PAR1\xff\xff\xff\x7fPAR1"],
    ids=["empty", "magic", "no footer", "cut", "without its begin", "footer longer than the file"],
)
def test_what_is_no_parquet(parquet: bytes) -> None:
    with refused("parquet-malformed", "format"):
        opened(raw(parquet))


def test_a_bomb_of_rows() -> None:
    many = pa.table({"ts_ms": pa.array([NOW_MS]).take(pa.nulls(segment.MAX_ROWS + 1, pa.int64()).fill_null(0))})
    parquet = table.to_parquet(many)
    assert len(parquet) < 1 << 20, "a bomb is small"
    with refused("too-large", "format"):
        opened(raw(parquet, count=1))


def test_a_bomb_of_text() -> None:
    count = 600_000
    entry = pa.DictionaryArray.from_arrays(pa.nulls(count, pa.int32()).fill_null(0), ["a" * 1000])
    parquet = table.to_parquet(pa.table({"entry": entry}))
    assert len(parquet) < 1 << 20, "a bomb is small"
    with refused("too-large", "format"):
        opened(raw(parquet, count=count, stream="json/stats"))


def test_a_bomb_of_columns() -> None:
    with refused("too-large", "format"):
        opened(raw(table.to_parquet(pa.table({f"c{n}": [1] for n in range(257)})), count=1))


@pytest.mark.parametrize(
    "column",
    [pa.array([[1], [1], [1]]), pa.array([{"a": 1}] * 3), pa.array([b"a"] * 3)],
    ids=["lists", "structs", "binary"],
)
def test_columns_that_are_not_flat(column: pa.Array) -> None:
    with refused("parquet-malformed", "format"):
        opened(raw(table.to_parquet(rows(status=column))))


# -- rows -------------------------------------------------------------------------------------------------------------

HONEST = rows()


@pytest.mark.parametrize(
    "found",
    [
        HONEST.drop_columns(["zone"]),
        HONEST.append_column("more", pa.array([1, 1, 1])),
        HONEST.select(HONEST.column_names[::-1]),
        HONEST.rename_columns(["ts", *HONEST.column_names[1:]]),
        rows(level_pct=pa.array(["1", "1", "1"])),
        rows(level_pct=pa.array([1.0, 1.0, 1.0])),
        rows(ts_ms=pa.array([NOW_MS] * 3, pa.timestamp("ms"))),
        rows(status=pa.array([1, 1, 1], pa.int32())),
        rows(zone=pa.array([1, 1, 1])),
    ],
    ids=["one less", "one more", "order", "name", "text", "real", "time", "wider", "a number for a zone"],
)
def test_columns_that_are_not_the_streams(found: pa.Table) -> None:
    with refused("columns-mismatch", "format"):
        opened(uploaded(found))


@pytest.mark.parametrize("column", ["ts_ms", "write_ms", "level_pct", "zone"])
def test_a_null_in_a_required_column(column: str) -> None:
    wanted = rows().schema.field(column).type
    one = rows().column(column).to_pylist()[0]
    values = pa.array([one, None, one], pa.string() if column == "zone" else wanted)
    with refused("columns-mismatch", "format"):
        opened(uploaded(rows(**_plain(column, values))))


def test_a_null_where_the_phone_may_not_know() -> None:
    found = opened(uploaded(rows(**_plain("status", pa.array([1, None, 1], pa.int16())))))
    assert found.rows.column("status").to_pylist() == [1, None, 1]


def _plain(column: str, values: pa.Array) -> dict[str, object]:
    """Every column in its own type, and one of other values."""
    return {name: rows().column(name) for name in rows().column_names} | {column: values}


@pytest.mark.parametrize("value", [0, -1, 978_307_199_999, 4_102_444_800_001, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("column", ["ts_ms", "write_ms"])
def test_a_time_out_of_its_range(column: str, value: int) -> None:
    with refused("value-out-of-range", "format"):
        opened(uploaded(rows(**_plain(column, pa.array([NOW_MS, NOW_MS, value])))))


@pytest.mark.parametrize(
    ("column", "value"),
    [("lat_e7", 900_000_001), ("lat_e7", -900_000_001), ("lon_e7", 1_800_000_001), ("lon_e7", -1_800_000_001)],
)
def test_a_place_off_the_globe(column: str, value: int) -> None:
    places = rows([NOW_MS], "location")
    at = places.column_names.index(column)
    assert opened(uploaded(places, stream="location")).rows.num_rows == 1
    with refused("value-out-of-range", "format"):
        opened(uploaded(places.set_column(at, column, pa.array([value], pa.int32())), stream="location"))
