"""An attacker cannot have rows accepted that no writer of the owner signed, or other rows than were signed.

The attacker is the host, which knows every public recipient and may put any bytes under any name; a writer of somebody
else; or a writer of this owner whose header says what its payload is not.
"""

from __future__ import annotations

import io
import random
import struct
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, a_header, a_segment, an_owner, key, points, refused
from waykeep.authority import dsse
from waykeep.authority import segment as sealing
from waykeep.authority.keys import SigningKey
from waykeep.authority.statements import StateKeyNamed
from waykeep.errors import AuthorityError, FormatError, VaultError, WaykeepError
from waykeep.formats import agefile, segment, table
from waykeep.formats.ids import sha256
from waykeep.formats.segment import SEGMENT_TYPE
from waykeep.formats.wire import encode_json
from waykeep.vault import segments
from waykeep.vault.segments import Segment

ANNA, BERT = an_owner("anna"), an_owner("bert")
ANNA.open_epoch(2)
RECIPIENTS = {number: epoch.recipient for number, epoch in ANNA.epoch_keys.items()}
ROWS = points(5)
PARQUET = table.to_parquet(ROWS)
GENUINE = a_segment(ANNA, ROWS)


def opened(data: bytes) -> Segment:
    return segments.open_(data, ANNA.state, ANNA.epoch_keys)


def sealed(plaintext: bytes, recipient: str = RECIPIENTS[2]) -> bytes:
    return agefile.seal(plaintext, [recipient])


def plaintext(parquet: bytes = PARQUET, rows: int = 5, signer: SigningKey = ANNA.writer, **changes: Any) -> bytes:
    header = a_header(ANNA, parquet, rows, **changes)
    return segment.join(dsse.sign(SEGMENT_TYPE, encode_json(header), signer), parquet)


def test_genuine_segment_is_opened() -> None:
    found = opened(GENUINE)
    assert (found.rows, found.writer) == (ROWS, ANNA.writer.public)


# -- who wrote it ------------------------------------------------------------------------------------------------------


def test_segment_forged_by_the_host_with_the_public_recipient_is_refused() -> None:
    with refused("signer-unknown", AuthorityError):
        opened(a_segment(ANNA, ROWS, key("host")))


def test_unsigned_segment_is_refused() -> None:
    header = encode_json(a_header(ANNA, PARQUET, 5))
    with refused("malformed", FormatError):
        opened(sealed(segment.join(header, PARQUET)))
    with refused("malformed", FormatError):
        opened(sealed(segment.join(b"", PARQUET)))


def test_bare_parquet_is_no_segment() -> None:
    with refused("segment-malformed", FormatError):
        opened(sealed(PARQUET))


@pytest.mark.parametrize(
    "signer",
    [ANNA.device, ANNA.authority, ANNA.state_key, BERT.writer],
    ids=["device", "authority", "state key", "writer of another"],
)
def test_segment_of_an_unknown_writer_is_refused(signer: SigningKey) -> None:
    with refused("signer-unknown", AuthorityError):
        opened(a_segment(ANNA, ROWS, signer))


def test_segment_that_only_names_the_writer_is_refused() -> None:
    envelope, rest = segment.split(plaintext(signer=key("host")))
    with refused("signature-invalid", AuthorityError):
        opened(sealed(segment.join(envelope.replace(key("host").public.encode(), ANNA.writer.public.encode()), rest)))


def test_a_statement_of_another_type_is_no_header() -> None:
    header = encode_json(a_header(ANNA, PARQUET, 5))
    statement = dsse.sign("application/vnd.waykeep.receipt+json", header, ANNA.writer)
    with refused("statement-type", AuthorityError):
        opened(sealed(segment.join(statement, PARQUET)))


def test_a_writer_cannot_write_derived_data() -> None:
    with refused("signer-unknown", AuthorityError):
        opened(a_segment(ANNA, ROWS, stream="derived/trips", kind="derived", source="derived"))


def test_a_state_key_writes_derived_data_alone() -> None:
    derived = {"stream": "derived/trips", "kind": "derived", "source": "derived"}
    assert opened(a_segment(ANNA, ROWS, ANNA.state_key, **derived)).rows.num_rows == 5
    with refused("signer-unknown", AuthorityError):
        opened(a_segment(ANNA, ROWS, ANNA.state_key))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "derived"},
        {"kind": ""},
        {"source": "signed"},
        {"source": ""},
        {"stream": "derived/trips", "signer": ANNA.state_key, "kind": "recorded", "source": "derived"},
        {"stream": "derived/trips", "signer": ANNA.state_key, "kind": "derived", "source": "signed"},
    ],
)
def test_segment_of_a_kind_or_source_that_is_not_its_writers_is_refused(changes: dict[str, Any]) -> None:
    """An importer cannot pass its rows off as signed by the phone that recorded them."""
    changes = dict(changes)
    signer = changes.pop("signer", ANNA.writer)
    with refused("segment-kind", VaultError):
        opened(a_segment(ANNA, ROWS, signer, **changes))


# -- whose it is, and for when -----------------------------------------------------------------------------------------


def test_segment_of_another_owner_is_refused() -> None:
    with refused("age-not-ours", FormatError):
        opened(a_segment(BERT, ROWS))


def test_segment_of_another_owner_encrypted_to_this_one_is_refused() -> None:
    with refused("segment-owner", VaultError):
        opened(a_segment(ANNA, ROWS, owner=BERT.id))


def test_segment_of_an_unknown_epoch_is_refused() -> None:
    with refused("age-not-ours", FormatError):
        opened(a_segment(ANNA, ROWS, recipient=agefile.generate()[1]))


@pytest.mark.parametrize(
    "changes",
    [
        {"epoch": 1},  # and encrypted to epoch 2
        {"epoch": 3},
        {"epoch": 0},
        {"epoch": 2, "recipient": RECIPIENTS[1]},  # and encrypted to epoch 1
    ],
)
def test_segment_whose_header_names_another_epoch_is_refused(changes: dict[str, Any]) -> None:
    with refused("segment-epoch", VaultError):
        opened(a_segment(ANNA, ROWS, **changes))


def test_segment_whose_header_names_another_recipient_is_refused() -> None:
    with refused("segment-epoch", VaultError):
        opened(sealed(plaintext(recipient=RECIPIENTS[1])))


def test_segment_sealed_again_to_another_epoch_is_refused() -> None:
    """Who holds the key of an old epoch cannot move its segments into a new one."""
    with refused("segment-epoch", VaultError):
        opened(sealed(plaintext(), RECIPIENTS[1]))


def test_segment_of_an_epoch_whose_key_was_not_handed_over_is_refused() -> None:
    with refused("age-not-ours", FormatError):
        segments.open_(GENUINE, ANNA.state, {1: ANNA.epoch_keys[1]})
    with refused("age-not-ours", FormatError):
        segments.open_(GENUINE, ANNA.state, {})


@pytest.mark.parametrize("stream", ["", "locations", "../location", "json/", "derived/", "json/A", "derived/Trips"])
def test_segment_of_an_unknown_stream_is_refused(stream: str) -> None:
    with refused("stream-unknown", FormatError):
        opened(a_segment(ANNA, ROWS, stream=stream))


# -- a header that does not fit ----------------------------------------------------------------------------------------


def test_segment_whose_payload_was_exchanged_is_refused() -> None:
    other = table.to_parquet(points(5, first_ms=NOW_MS + 1))
    envelope, _ = segment.split(plaintext())
    assert len(other) == len(PARQUET)
    with refused("segment-payload", VaultError):
        opened(sealed(segment.join(envelope, other)))


def test_segment_with_another_digest_is_refused() -> None:
    with refused("segment-payload", VaultError):
        opened(a_segment(ANNA, ROWS, payload=sha256(b"other rows")))


@pytest.mark.parametrize("rows", [0, 4, 6])
def test_segment_with_another_count_of_rows_is_refused(rows: int) -> None:
    with refused("segment-payload", VaultError):
        opened(a_segment(ANNA, ROWS, rows=rows))


def test_segment_without_rows_is_refused() -> None:
    with refused("segment-payload", VaultError):
        opened(a_segment(ANNA, ROWS.slice(0, 0)))


@pytest.mark.parametrize(
    ("length", "rule"),
    [
        (len(PARQUET) - 1, "segment-malformed"),
        (len(PARQUET) + 200, "segment-malformed"),
        (segment.MAX_SEGMENT, "segment-malformed"),
        (len(PARQUET) + 1, "segment-payload"),
        (0, "segment-malformed"),
        (-1, "malformed"),  # a slice of the rest would take it
        (-len(PARQUET), "malformed"),
        (1 << 64, "malformed"),
    ],
)
def test_segment_with_another_length_is_refused(length: int, rule: str) -> None:
    with refused(rule):
        opened(a_segment(ANNA, ROWS, payload_length=length))


@pytest.mark.parametrize("changes", [{"rows": -1}, {"rows": segment.MAX_ROWS + 1}, {"number": -1}, {"epoch": -1}])
def test_header_out_of_range_is_refused(changes: dict[str, Any]) -> None:
    with refused("malformed", FormatError):
        opened(a_segment(ANNA, ROWS, **changes))


@pytest.mark.parametrize(
    ("stream", "rule"), [("motion-activity", "columns-mismatch"), ("json/some_key", "columns-mismatch")]
)
def test_segment_whose_columns_are_another_streams_is_refused(stream: str, rule: str) -> None:
    with refused(rule, FormatError):
        opened(a_segment(ANNA, ROWS, stream=stream))


# -- other bytes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("magic", [b"WKSEG2\n\0", b"WKSEG1\n\1", b"wkseg1\n\0", b"PAR1" + b"\0" * 4, b""])
def test_wrong_magic_is_refused(magic: bytes) -> None:
    with refused("segment-malformed", FormatError):
        opened(sealed(magic + plaintext()[8:]))


@pytest.mark.parametrize("cut", range(13))
def test_plaintext_cut_before_its_envelope_is_refused(cut: int) -> None:
    with refused("segment-malformed", FormatError):
        opened(sealed(plaintext()[:cut]))


@pytest.mark.parametrize("length", [0xFFFFFFFF, 8193, 8192])
def test_envelope_longer_than_the_segment_or_its_bound_is_refused(length: int) -> None:
    with refused("segment-malformed", FormatError):
        opened(sealed(plaintext()[:8] + struct.pack(">I", length) + plaintext()[12:]))


def test_envelope_over_its_bound_is_not_written() -> None:
    with refused("segment-malformed", FormatError):
        segment.join(b"{" * 8193, PARQUET)


@pytest.mark.parametrize("at", [-1, -7])
def test_padding_that_was_changed_is_refused(at: int) -> None:
    changed = bytearray(plaintext())
    assert changed[-8:] == bytes(8)
    changed[at] = 1
    with refused("segment-malformed", FormatError):
        opened(sealed(bytes(changed)))


def test_segment_truncated_anywhere_is_refused() -> None:
    for cut in range(0, len(GENUINE), 97):
        with pytest.raises(FormatError) as caught:
            opened(GENUINE[:cut])
        assert caught.value.rule in ("age-malformed", "age-header-too-large", "age-not-ours")
    whole = plaintext()
    for cut in range(0, len(whole), 97):
        if len(whole[cut:].strip(b"\0")):  # what is cut is more than padding
            with pytest.raises((FormatError, VaultError, AuthorityError)):
                opened(sealed(whole[:cut]))


def test_every_flipped_bit_of_a_segment_is_refused() -> None:
    for bit in random.Random(1).sample(range(len(GENUINE) * 8), 150):
        changed = bytearray(GENUINE)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(FormatError):
            opened(bytes(changed))


def test_every_flipped_bit_under_the_encryption_is_refused() -> None:
    """By a writer who signed one thing and sends another, or by whoever holds the epoch's key."""
    whole = plaintext()
    for bit in random.Random(2).sample(range(len(whole) * 8), 200):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WaykeepError):
            opened(sealed(bytes(changed)))


def test_oversized_segment_is_refused_before_it_is_decrypted() -> None:
    with refused("too-large", FormatError):
        opened(GENUINE.ljust(segment.MAX_SEGMENT + 1, b"\0"))


# -- headers of age that take pyrage long ------------------------------------------------------------------------------


def stanzas(count: int, body: int = 32) -> bytes:
    """An age file's header of ``count`` X25519 stanzas that nobody can open, and a MAC."""
    share = b"A" * 43
    lines = b"".join(b"-> X25519 " + share + b"\n" + b"A" * (body * 4 // 3 + 1) + b"\n" for _ in range(count))
    return b"age-encryption.org/v1\n" + lines + b"--- " + share + b"\n" + bytes(100)


@pytest.mark.parametrize("data", [stanzas(17), stanzas(1000), stanzas(17, body=0)], ids=["17", "1000", "17 short"])
def test_age_header_of_too_many_stanzas_is_refused_quickly(data: bytes) -> None:
    began = time.perf_counter()
    with refused("age-header-too-large", FormatError):
        opened(data)
    assert time.perf_counter() - began < 0.1  # a thousand stanzas take pyrage 13 s


def test_age_header_of_five_kib_is_refused_quickly() -> None:
    data = b"age-encryption.org/v1\n-> X25519 " + b"A" * 5120 + b"\n" + b"A" * 43 + b"\n--- " + b"A" * 43 + b"\n"
    began = time.perf_counter()
    with refused("age-header-too-large", FormatError):
        opened(data)
    assert time.perf_counter() - began < 0.1


def test_age_header_without_an_end_is_refused_quickly() -> None:
    with refused("age-header-too-large", FormatError):
        opened(b"age-encryption.org/v1\n" + b"-> X25519 AAAA\n" * 200_000)


def test_sixteen_stanzas_are_taken() -> None:
    with refused("age-not-ours", FormatError):
        opened(stanzas(16))
    strangers = [agefile.generate()[1] for _ in range(agefile.MAX_RECIPIENTS - 1)]
    assert opened(agefile.seal(plaintext(), [*strangers, RECIPIENTS[2]])).rows == ROWS


def test_end_of_header_inside_a_stanza_hides_no_stanzas() -> None:
    """The end that is looked for is the first; what follows it is never parsed as a stanza."""
    hidden = stanzas(3).replace(b"\n--- ", b"\n---\n" + b"-> X25519 A\nA\n" * 500 + b"--- ")
    began = time.perf_counter()
    with refused("age-not-ours", FormatError):
        opened(hidden)
    assert time.perf_counter() - began < 0.1


# -- Parquet that unpacks to more than it should -----------------------------------------------------------------------


def from_writer(parquet: bytes, rows: int, **changes: Any) -> bytes:
    """A segment of hostile Parquet that a writer of the owner signed: so it is parsed."""
    return sealing.seal(a_header(ANNA, parquet, rows, **changes), parquet, ANNA.writer)


def parquet_of(found: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(found, sink, compression="zstd", store_schema=False, **options)
    return sink.getvalue()


def test_parquet_that_repeats_one_long_text_is_refused() -> None:
    """667 bytes that would spell out to 13 GB: the text is written once, and its number 200,000 times."""
    count = 200_000
    times = np.full(count, NOW_MS)
    long = pa.DictionaryArray.from_arrays(np.zeros(count, "int32"), pa.array(["x" * 65536]))
    bomb = pa.table({"ts_ms": times, "write_ms": times, "entry": long, "zone": ["UTC"] * count})
    parquet = parquet_of(bomb)
    assert len(parquet) < 4000
    began = time.perf_counter()
    with refused("too-large", FormatError):
        opened(from_writer(parquet, count, stream="json/some_key"))
    assert time.perf_counter() - began < 2


def test_parquet_of_too_many_rows_is_refused() -> None:
    count = segment.MAX_ROWS + 1
    parquet = parquet_of(pa.table({"ts_ms": np.zeros(count, "int64")}))
    assert len(parquet) < 10_000
    with refused("too-large", FormatError):
        opened(from_writer(parquet, segment.MAX_ROWS))


def test_parquet_of_too_many_columns_is_refused() -> None:
    parquet = parquet_of(pa.table({f"c{n}": pa.array([0]) for n in range(300)}))
    with refused("too-large", FormatError):
        opened(from_writer(parquet, 1))


def test_parquet_of_rows_times_columns_is_refused() -> None:
    count = 300_000
    zeros = pa.array(np.zeros(count, "int64"))
    parquet = parquet_of(pa.table({f"c{n}": zeros for n in range(250)}), row_group_size=count)
    assert len(parquet) < 500_000  # for 600 MB
    with refused("too-large", FormatError):
        opened(from_writer(parquet, count))


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1]]),
        pa.array([{"a": 1}]),
        pa.array([b"x"], pa.binary(1)),
        pa.array([b"x"]),
        pa.array([None], pa.null()),
    ],
    ids=lambda column: str(column.type),
)
def test_parquet_of_columns_that_are_not_flat_is_refused(column: pa.Array) -> None:
    with refused("parquet-malformed", FormatError):
        opened(from_writer(parquet_of(pa.table({"ts_ms": column})), 1))


@pytest.mark.parametrize("parquet", [b"", b"PAR1", b"PAR1" * 2, PARQUET[:-1], PARQUET[1:], b"\0" * 100])
def test_bytes_that_are_no_parquet_are_refused(parquet: bytes) -> None:
    with refused("parquet-malformed", FormatError):
        opened(from_writer(parquet, 5))


def test_parquet_whose_column_names_are_no_text_is_refused() -> None:
    parquet = parquet_of(pa.table({"ts_ms": [1], "zzzz": ["x"]})).replace(b"zzzz", b"\xff\xfe\xff\xfe")
    with refused("parquet-malformed", FormatError):
        opened(from_writer(parquet, 1))


@settings(max_examples=60)
@given(st.data())
def test_damaged_parquet_is_refused_by_type(data: st.DataObject) -> None:
    damaged = bytearray(PARQUET)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        table.conform(table.from_parquet(bytes(damaged)), "location")
    except FormatError as error:
        assert error.rule in ("parquet-malformed", "columns-mismatch", "value-out-of-range", "too-large")


# -- another segment than was accepted ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other", [a_segment(ANNA, points(5, first_ms=NOW_MS + 1)), a_segment(ANNA, ROWS, stream="filtered-location")]
)
def test_segment_that_was_exchanged_after_it_was_accepted_is_refused(other: bytes) -> None:
    """Both are genuine: the host puts one of the owner's segments under the name of another."""
    line = segments.entry("a.age", opened(GENUINE), 5)
    with refused("segment-changed", VaultError):
        segments.read([(line, opened(other))], ANNA.id, "location", (), 0, 2**60)


def test_segment_of_a_state_key_that_is_named_later_is_refused_until_then() -> None:
    owner, successor = an_owner("later"), key("successor")
    derived = {"stream": "derived/trips", "kind": "derived", "source": "derived"}
    data = a_segment(owner, ROWS, successor, **derived)
    with refused("signer-unknown", AuthorityError):
        segments.open_(data, owner.state, owner.epoch_keys)
    owner.add(StateKeyNamed(successor.public), owner.device)
    assert segments.open_(data, owner.state, owner.epoch_keys).writer == successor.public
