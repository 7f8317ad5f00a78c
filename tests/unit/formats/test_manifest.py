from __future__ import annotations

import time

import pytest

from waykeep.errors import FormatError
from waykeep.formats import manifest
from waykeep.formats.manifest import Boolean, Choice, Field, Input, Integer, Limits, Output, Parameter, parse_manifest

TEXT = """\
name = "trips"
version = "1.0.0"
author = "José Ångström"
summary = "Finds trips."
entry = "parts.trips:run"

[inputs.location]
columns = ["ts_ms", "lat_e7"]
why = "Where and when."
[inputs."json/stats/pipeline_time"]
columns = ["entry"]
why = "To see more."
[inputs."derived/stays"]
columns = ["start_ms"]
why = "To start from them."

[parameters.radius_m]
type = "integer"
minimum = 25
maximum = 1000
default = 100
unit = "metres"
meaning = "How far."
[parameters.pace]
type = "choice"
values = ["slow", "fast"]
default = "slow"
meaning = "How fast."
[parameters.strict]
type = "boolean"
default = false
meaning = "How strict."

[limits]
memory_mib = 512
cpu_s = 20
wall_s = 30

[output]
meaning = "One row per trip."
max_rows = 500
[output.fields.start_ms]
type = "integer"
minimum = 0
maximum = 4102444800000
unit = "ms since 1970 UTC"
meaning = "When."
[output.fields.mode]
type = "choice"
values = ["walk", "ride"]
meaning = "How."
[output.fields.gap]
type = "boolean"
meaning = "Whether."
"""


def parse(text: str) -> manifest.Manifest:
    return parse_manifest(text.encode())


def refused(rule: str, text: str) -> FormatError:
    with pytest.raises(FormatError) as error:
        parse(text)
    assert error.value.rule == rule
    return error.value


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) >= 1
    return TEXT.replace(old, new, 1)


def test_a_manifest_says_what_stands_in_it() -> None:
    found = parse(TEXT)
    assert (found.name, found.version, found.author, found.summary) == (
        "trips", "1.0.0", "José Ångström", "Finds trips.")  # fmt: skip
    assert (found.module, found.function) == ("parts.trips", "run")
    assert found.inputs[0] == Input("location", ("ts_ms", "lat_e7"), "Where and when.")
    assert [given.stream for given in found.inputs[1:]] == ["json/stats/pipeline_time", "derived/stays"]
    assert found.parameters == (
        Parameter("radius_m", Integer(25, 1000, "metres"), 100, "How far."),
        Parameter("pace", Choice(("slow", "fast")), "slow", "How fast."),
        Parameter("strict", Boolean(), False, "How strict."),
    )
    assert found.limits == Limits(512, 20, 30)
    assert found.output == Output(
        "One row per trip.",
        500,
        (
            Field("start_ms", Integer(0, 4102444800000, "ms since 1970 UTC"), "When."),
            Field("mode", Choice(("walk", "ride")), "How."),
            Field("gap", Boolean(), "Whether."),
        ),
    )
    assert found.input("location") is found.inputs[0]
    assert found.input("battery") is None


def test_a_manifest_without_parameters_has_none() -> None:
    start, end = TEXT.index("[parameters.radius_m]"), TEXT.index("[limits]")
    assert parse(TEXT[:start] + TEXT[end:]).parameters == ()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('author = "José Ångström"', ""),
        ("memory_mib = 512", ""),
        ('type = "boolean"\nmeaning', "meaning"),
        ("[limits]", "[aggregate]\nbound = 1\n[limits]"),
        ("[limits]", "[limits]\nnetwork = true"),
        ('why = "Where and when."', 'why = "Where and when."\nprecision = 5'),
        ("memory_mib = 512", "memory_mib = 1025"),
        ("memory_mib = 512", "memory_mib = 15"),
        ("memory_mib = 512", "memory_mib = true"),
        ("memory_mib = 512", "memory_mib = 512.0"),
        ("cpu_s = 20", "cpu_s = 61"),
        ("cpu_s = 20", "cpu_s = 0"),
        ("wall_s = 30", "wall_s = 121"),
        ("max_rows = 500", "max_rows = 10001"),
        ("max_rows = 500", "max_rows = 0"),
        ("default = 100", "default = 1e2"),
        ("default = false", "default = 0"),
        ("maximum = 4102444800000", f"maximum = {2**63}"),
        ("minimum = 0\n", f"minimum = {-(2**63) - 1}\n"),
        ('type = "choice"', 'type = "float"'),
        ('type = "choice"', 'type = "integer"'),
        ('values = ["walk", "ride"]', "values = []"),
        ('values = ["walk", "ride"]', "values = [1, 2]"),
        ('columns = ["ts_ms", "lat_e7"]', "columns = []"),
        ('columns = ["ts_ms", "lat_e7"]', 'columns = "ts_ms"'),
        ('summary = "Finds trips."', 'summary = ""'),
        ('summary = "Finds trips."', f'summary = "{"a" * 301}"'),
        ('summary = "Finds trips."', "summary = 1979-05-27"),
        ('summary = "Finds trips."', "summary = nan"),
    ],
)
def test_a_manifest_that_does_not_fit(old: str, new: str) -> None:
    refused("manifest-malformed", changed(old, new))


@pytest.mark.parametrize("missing", ["inputs", "output.fields"])
def test_a_manifest_with_none_of(missing: str) -> None:
    lines, keep = [], True
    for line in TEXT.splitlines():
        if line.startswith("["):
            keep = not line.startswith(f"[{missing}.")
        lines += [line] if keep else []
    refused("manifest-malformed", "\n".join(lines))


def test_a_manifest_with_more_fields_than_a_row_may_have() -> None:
    more = "".join(f'[output.fields.f{i}]\ntype = "boolean"\nmeaning = "m"\n' for i in range(30))
    refused("manifest-malformed", TEXT + more)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"name = ",
        b'name = "a"\nname = "b"\n',
        b"[" * 5000,
        b'a = "\x00"',
        b"x = " + b"[" * 400 + b"]" * 90,
    ],
    ids=["nothing", "no-text", "no-value", "a-key-twice", "brackets", "a-zero-byte", "nesting"],
)
def test_bytes_that_are_no_manifest(data: bytes) -> None:
    with pytest.raises(FormatError) as error:
        parse_manifest(data)
    assert error.value.rule == "manifest-malformed"
    assert error.value.message.isprintable()


def test_a_manifest_too_large() -> None:
    refused("manifest-too-large", TEXT + "#\n" * manifest.MAX_MANIFEST)


def test_a_line_too_long() -> None:
    refused("manifest-malformed", TEXT + "#" * 501)


def test_a_manifest_that_is_slow_to_parse_is_not_parsed_for_long() -> None:
    line = "a." * 249 + "b{} = 1\n"
    text = "".join(line.format(i) for i in range(manifest.MAX_MANIFEST // len(line)))
    started = time.process_time()
    refused("manifest-malformed", text)
    assert time.process_time() - started < 2.0  # unbounded, this took 19 s


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "trips"', 'name = "Trips"'),
        ('name = "trips"', 'name = "../trips"'),
        ('name = "trips"', f'name = "{"a" * 33}"'),
        ('version = "1.0.0"', 'version = "1.0"'),
        ('version = "1.0.0"', 'version = "01.0.0"'),
        ('version = "1.0.0"', 'version = "1.0.0-dev"'),
        ('entry = "parts.trips:run"', 'entry = "parts.trips"'),
        ('entry = "parts.trips:run"', 'entry = "parts/trips:run"'),
        ('entry = "parts.trips:run"', 'entry = ".trips:run"'),
        ('entry = "parts.trips:run"', 'entry = "trips:run.more"'),
        ("[parameters.pace]", "[parameters.Pace]"),
        ("[parameters.pace]", '[parameters."a b"]'),
        ("[output.fields.gap]", '[output.fields."gap?"]'),
    ],
)
def test_a_name_in_another_form(old: str, new: str) -> None:
    refused("manifest-name", changed(old, new))


@pytest.mark.parametrize("text", ["two\\nlines", "escape\\u001b[2J", "right\\u202eleft", "hidden\\u200btext", "  "])
@pytest.mark.parametrize(
    "where", ['author = "José Ångström"', 'why = "Where and when."', 'meaning = "When."', 'unit = "metres"']
)
def test_text_that_would_show_as_something_else(where: str, text: str) -> None:
    refused("manifest-text", changed(where, f'{where.split(" = ")[0]} = "{text}"'))


@pytest.mark.parametrize("columns", ['["ts_ms", "ts_ms"]', '["lat"]', '["level_pct"]', '["Lat_e7"]', '[""]'])
def test_columns_that_the_stream_does_not_have(columns: str) -> None:
    refused("manifest-input", changed('["ts_ms", "lat_e7"]', columns))


@pytest.mark.parametrize("stream", ["locations", '"json/"', '"derived/A"', '"../location"', '"json/a/b/c/d/e"'])
def test_a_stream_that_is_none(stream: str) -> None:
    refused("stream-unknown", changed("[inputs.location]", f"[inputs.{stream}]"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("default = 100", "default = 24"),
        ("default = 100", "default = 1001"),
        ('default = "slow"', 'default = "medium"'),
        ("minimum = 25", "minimum = 1001"),
        ('["walk", "ride"]', '["walk", "walk"]'),
        ('["walk", "ride"]', '["walk", "a ride"]'),
        ('["walk", "ride"]', '["walk", ""]'),
    ],
)
def test_a_domain_that_contradicts_itself(old: str, new: str) -> None:
    refused("manifest-domain", changed(old, new))


def test_an_output_that_fits_no_frame() -> None:
    fields = "".join(
        f'[output.fields.{"f" * 29}{i}]\ntype = "choice"\nvalues = ["{"v" * 32}"]\nmeaning = "m"\n'
        for i in range(10, 35)
    )
    refused("manifest-output-too-large", changed("max_rows = 500", "max_rows = 10000") + fields)


def test_domains_know_what_they_hold_and_how_much() -> None:
    assert Integer(-1, 1).size == 3
    assert [Integer(0, 1).holds(v) for v in (0, 1, 2, -1, True, 0.0, "0", None)] == [True, True] + [False] * 6
    assert Choice(("a", "b")).size == 2
    assert [Choice(("a",)).holds(v) for v in ("a", "b", 0, None)] == [True, False, False, False]
    assert Boolean().size == 2
    assert [Boolean().holds(v) for v in (True, False, 0, 1, None)] == [True, True, False, False, False]
