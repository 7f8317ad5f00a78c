"""What an owner is shown when an algorithm that they approved comes in another version."""

from __future__ import annotations

import ast

import pytest

from tests.unit.algorithm.samples import MANIFEST, SOURCE, make
from tests.unit.test_rooms import MODULES, imports, room_of
from waykeep.algorithm.difference import Difference, difference, tell
from waykeep.algorithm.difference_manifest import has_more
from waykeep.formats import bundle
from waykeep.formats.bundle import Bundle
from waykeep.formats.manifest import Boolean, Choice, Domain, Integer

KINDS = ("about", "data", "parameters", "outputs", "limits", "libraries", "source", "widened")
BATTERY = '\n[inputs.battery]\ncolumns = ["ts_ms", "level_pct"]\nwhy = "To be kind to it."\n'
STRICT = '\n[parameters.strict]\ntype = "boolean"\ndefault = true\nmeaning = "Whether to be strict."\n'
GAP = '\n[output.fields.gap]\ntype = "boolean"\nmeaning = "Whether there was a gap."\n'
MODE = '\n[parameters.mode]\ntype = "choice"\nvalues = [{}]\ndefault = "a"\nmeaning = "Which."\n'


def manifest(*changes: tuple[str, str], more: str = "") -> Bundle:
    """The sample with its manifest changed."""
    text = MANIFEST
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return make({bundle.MANIFEST: (text + more).encode()})


def compared(before: Bundle, after: Bundle, *kinds: str) -> Difference:
    """Their difference, in which nothing but these kinds changed."""
    found = difference(before, after)
    assert {kind for kind in KINDS if getattr(found, kind)} == set(kinds)
    assert found.wider == ("widened" in kinds)
    page = tell(found)
    assert all(line.isprintable() for line in page.split("\n"))
    assert page.endswith("\n")
    return found


# ---------------------------------------------------------------------------------------------------- the manifest


def test_of_the_same_bundle_nothing_changed() -> None:
    found = compared(make(), make())
    assert tell(found) == f"Nothing changed: both are {make().digest}, the same to the last byte.\n"


def test_both_are_named_with_their_digests() -> None:
    before, after = make(), manifest(('"1.2.3"', '"1.3.0"'))
    page = tell(compared(before, after))
    assert page.startswith(
        f"rows 1.3.0, instead of rows 1.2.3\n  before: {before.digest}\n  now: {after.digest}\n\nWhat is wider"
    )
    assert "Nothing changed but its name or version" in page
    assert page.endswith("\nIts source\n  The same as before.\n")


def test_another_name_the_same_version_and_a_lower_one_are_said() -> None:
    assert "They have different names" in tell(compared(make(), manifest(('"rows"', '"lines"'))))
    assert "Both call themselves the same version" in tell(
        compared(make(), manifest(("To count", "To  count")), "data")
    )
    assert "The second has the lower version" in tell(compared(make(), manifest(('"1.2.3"', '"1.2.2"'))))
    assert "lower" not in tell(compared(make(), manifest(('"1.2.3"', '"1.10.0"'))))


def test_another_author_summary_or_entry_is_said() -> None:
    after = manifest(('"A. Uthor"', '"M. Allory"'), ("Counts your", "Adds your"), ('"rows:run"', '"rows:main"'))
    found = compared(make(), after, "about")
    assert found.about[:3] == ("Another author", "  before: A. Uthor", "  now: M. Allory")
    assert found.about[3:] == (
        *("Another summary", "  before: Counts your positions.", "  now: Adds your positions."),
        *("It begins at another place", "  before: rows:run", "  now: rows:main"),
    )


def test_a_new_column_is_wider_and_a_column_less_is_not() -> None:
    more = manifest(('"lat_e7"]', '"lat_e7", "lon_e7"]'))
    found = compared(make(), more, "data", "widened")
    assert found.data == ("location: newly asked for is how far east or west, to about a centimetre (lon_e7)",)
    assert found.widened == ("It asks for more than before: location (lon_e7).",)
    less = compared(more, make(), "data")
    assert less.data == ("location: no longer asked for is how far east or west, to about a centimetre (lon_e7)",)


def test_a_new_stream_is_wider_and_a_stream_less_is_not() -> None:
    more = manifest(more=BATTERY)
    found = compared(make(), more, "data", "widened")
    assert found.data == (
        "battery is newly asked for: the state of your phone's battery",
        "  - when, to the thousandth of a second (ts_ms)",
        "  - how full the battery was (level_pct)",
        "  Its author says why: To be kind to it.",
    )
    assert found.widened == ("It asks for more than before: battery (ts_ms, level_pct).",)
    less = compared(more, make(), "data")
    assert less.data == ("battery is no longer asked for: the state of your phone's battery",)


def test_a_column_for_another_is_wider() -> None:
    found = compared(make(), manifest(('"lat_e7"]', '"lon_e7"]')), "data", "widened")
    assert found.widened == ("It asks for more than before: location (lon_e7).",)


def test_another_reason_is_said_with_both() -> None:
    found = compared(make(), manifest(("To count them.", "To sell them.")), "data")
    assert found.data == (
        "location: its author gives another reason",
        "  before: To count them.",
        "  now: To sell them.",
    )


def test_another_order_is_said_for_code_may_go_by_it() -> None:
    one, other = STRICT, STRICT.replace("strict", "exact")
    pairs = [
        (make(), manifest(('"ts_ms", "lat_e7"', '"lat_e7", "ts_ms"')), "data", "location: the columns"),
        (manifest(more=one + other), manifest(more=other + one), "parameters", "The parameters"),
        (manifest(more=GAP), manifest(("[output.fields.rows]", GAP + "[output.fields.rows]")), "outputs", "The fields"),
    ]
    for before, after, kind, what in pairs:
        (line,) = getattr(compared(before, after, kind), kind)
        assert line.startswith(what)
        assert line.endswith("come in another order")


def test_a_new_parameter_is_wider_and_a_parameter_less_is_not() -> None:
    more = manifest(more=STRICT)
    found = compared(make(), more, "parameters", "widened")
    assert found.parameters == (
        "strict can newly be set",
        "  yes or no; yes unless you say otherwise",
        "  Whether to be strict.",
    )
    assert found.widened == ("It can be set in more ways than before: strict.",)
    assert compared(more, make(), "parameters").parameters == ("strict can no longer be set",)


def test_a_new_parameter_of_a_single_value_is_not_wider() -> None:
    compared(make(), manifest(more=MODE.format('"a"')), "parameters")


@pytest.mark.parametrize(
    ("line", "how", "wider"),
    [
        ("maximum = 10", "more values", True),
        ("maximum = 8", "fewer values", False),
        ("maximum = 8\nminimum = 0", "other values", True),
        ('maximum = 9\nunit = "days"', "the same values, said otherwise", False),
    ],
)
def test_another_range_of_a_parameter_is_said(line: str, how: str, wider: bool) -> None:
    key = line.split("\n")[-1].split(" =")[0]
    instead = {"unit": ('unit = "times"\n', ""), "minimum": ("minimum = 1\n", "")}
    after = manifest(*([instead[key]] if key in instead else []), ("maximum = 9", line))
    found = compared(make(), after, "parameters", *(["widened"] if wider else []))
    assert found.parameters[:2] == (f"times takes {how}", "  before: a whole number from 1 to 9 (times)")
    assert found.widened == (("It can be set in more ways than before: times.",) if wider else ())


def test_choices_are_compared_as_sets() -> None:
    two = manifest(more=MODE.format('"a", "b"'))
    for values, how, wider in (
        ('"b", "a"', "the same values, said otherwise", False),
        ('"a"', "fewer values", False),
        ('"a", "b", "c"', "more values", True),
        ('"a", "c"', "other values", True),
    ):
        after = manifest(more=MODE.format(values))
        found = compared(two, after, "parameters", *(["widened"] if wider else []))
        assert found.parameters[0] == f"mode takes {how}"


@pytest.mark.parametrize("one", [Integer(0, 1), Choice(("0", "1")), Boolean()])
@pytest.mark.parametrize("other", [Integer(0, 1), Choice(("0", "1")), Boolean()])
def test_a_domain_has_more_where_a_value_is_only_in_it(one: Domain, other: Domain) -> None:
    values = {Integer: (0, 1), Choice: ("0", "1"), Boolean: (False, True)}[type(other)]
    assert has_more(one, other) == any(not one.holds(value) for value in values)


def test_another_default_and_meaning_of_a_parameter_are_said() -> None:
    found = compared(make(), manifest(("default = 2", "default = 3"), ("How often to", "How seldom to")), "parameters")
    assert found.parameters == (
        "times has another value unless you say otherwise",
        "  before: 2",
        "  now: 3",
        "times is said to mean something else",
        "  before: How often to count.",
        "  now: How seldom to count.",
    )


def test_a_new_field_tells_more() -> None:
    found = compared(make(), manifest(more=GAP), "outputs", "widened")
    assert found.outputs == (
        "gap is newly told in each row",
        "  yes or no",
        "  Whether there was a gap.",
        "One run can tell at most 10.0 bits before, 11.0 bits now",
    )
    assert found.widened == ("One run can tell more than before: at most 10.0 bits before, 11.0 bits now.",)
    less = compared(manifest(more=GAP), make(), "outputs")
    assert less.outputs == ("gap is no longer told", "One run can tell at most 11.0 bits before, 10.0 bits now")


def test_more_rows_tell_more() -> None:
    found = compared(make(), manifest(("max_rows = 1", "max_rows = 1000")), "outputs", "widened")
    assert found.outputs == (
        "Rows: at most 1 before, 1,000 now",
        "One run can tell at most 10.0 bits before, 9,967 bits (1.2 KiB) now",
    )


def test_a_difference_of_bits_too_small_to_be_seen_is_said_all_the_same() -> None:
    found = compared(make(), manifest(("maximum = 1000", "maximum = 1001")), "outputs", "widened")
    assert found.outputs[:3] == (
        "rows tells more values",
        "  before: a whole number from 0 to 1,000",
        "  now: a whole number from 0 to 1,001",
    )
    assert found.widened == (
        "One run can tell more than before: at most 10.0 bits before, 10.0 bits now (+0.0014 bits).",
    )


def test_other_meanings_of_the_result_are_said_though_no_wider() -> None:
    found = compared(make(), manifest(('"One row."', '"A row."'), ('"How many."', '"Where."')), "outputs")
    assert found.outputs == (
        *("The result is said to mean something else", "  before: One row.", "  now: A row."),
        *("rows is said to mean something else", "  before: How many.", "  now: Where."),
    )
    assert "Yet what it tells is not the same" in tell(found)


def test_other_limits_are_said() -> None:
    after = manifest(("memory_mib = 64", "memory_mib = 1024"), ("cpu_s = 1", "cpu_s = 2"), ("wall_s = 3", "wall_s = 4"))
    assert compared(make(), after, "limits").limits == (
        "Memory: 64 MiB before, 1,024 MiB now",
        "Time of computing: 1 s before, 2 s now",
        "Time in all: 3 s before, 4 s now",
    )


def test_other_libraries_are_said() -> None:
    before = make({bundle.LIBRARIES: b"h3==4.1.0\nnumpy==1.26.4\npyarrow==15.0.0\n"})
    after = make({bundle.LIBRARIES: b"numpy==2.0.0\npyarrow==15.0.0\nshapely==2.0.1\n"})
    assert compared(before, after, "libraries").libraries == (
        "h3 4.1.0 is gone",
        "numpy 1.26.4 before, 2.0.0 now",
        "shapely 2.0.1 is new",
    )


# ---------------------------------------------------------------------------------------------------------- the page


def test_what_is_wider_comes_first_and_what_is_the_same_is_named() -> None:
    page = tell(compared(make(), manifest(more=BATTERY + STRICT + GAP), "data", "parameters", "outputs", "widened"))
    said = (
        "What is wider than before\n  It asks for more than before: battery (ts_ms, level_pct).\n"
        "  One run can tell more than before",
        "  It can be set in more ways than before: strict.\n",
        "\nWhat it would read of yours\n  battery is newly asked for",
        "\nWhat can be set\n  strict can newly be set\n    yes or no",
        "\nWhat would come out\n  gap is newly told",
        "\nThe same as before\n  About it\n  What holds it\n  What it runs with\n",
        "\nIts source\n  The same as before.\n",
    )
    places = [page.index(part) for part in said]
    assert places == sorted(places)


def test_where_nothing_but_the_source_changed_it_is_said() -> None:
    found = compared(make(), make({"rows.py": SOURCE.replace(b"*", b"+")}), "source")
    page = tell(found)
    assert "  Nothing but its source changed: it reads the same data" in page
    assert "  Nothing: it asks for no more data than before" in page
    assert "Its source\n  rows.py: changed, 1 line added, 1 line removed\n" in page
    assert "\n  -    return [{'rows': tables['location'].num_rows * parameters['times']}]\n" in page
    assert "\n  +    return [{'rows': tables['location'].num_rows + parameters['times']}]\n" in page


def test_no_text_of_an_authors_comes_to_stand_at_the_left_edge() -> None:
    hangul_filler = "\u3164"  # prints as two blank places, and is a letter
    for text in ("What is wider than before, nothing; " * 8, "x" * 300, hangul_filler * 90 + "Nothing"):
        page = tell(compared(make(), manifest(("To count them.", text.strip())), "data"))
        start = page.index("  before: To count them.\n")
        rows = page[start : page.index("\n\nThe same")].split("\n")
        assert len(rows) > 2
        assert all(row.startswith("    ") for row in rows[1:])
        assert all(sum(1 if c.isascii() else 2 for c in row) <= 100 for row in rows)


# ---------------------------------------------------------------------------------------------------------- the room


def test_no_trusted_room_imports_it() -> None:
    own = {"difference", "difference_manifest", "difference_source"}
    for module in MODULES:
        if room_of(module) not in {"cli", "demo"} and module.stem not in own:
            names = set(imports(ast.parse(module.read_text())))
            assert not {name for name in names if name.startswith("waykeep.algorithm.difference")}, module
