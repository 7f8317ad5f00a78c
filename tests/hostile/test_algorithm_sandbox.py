"""A hostile algorithm in a real sandboxed process: each attack is refused under its rule, and nobody is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from tests.hostile.sandbox_attacks import ATTACKS, FORBIDDEN_RESULTS, RAW_ANSWERS, Attack
from tests.hostile.sandbox_harness import DETOUR, ROW, Zygote, make, run
from waykeep.algorithm import pipes, runner, sandbox
from waykeep.errors import AlgorithmError, WaykeepError
from waykeep.formats.table import to_ipc

POINTS = pa.table(
    {
        "ts_ms": pa.array([1_500_000_000_000, 1_500_000_060_000], pa.int64()),
        "lat_e7": pa.array([481_234_567, 481_234_999], pa.int32()),
        "lon_e7": pa.array([115_500_000, 115_500_999], pa.int32()),
    }
)
SECRET = "481234567"
FINDS_ITS_PIPE = """
import struct
ROW = {"done": True, "count": 1, "mode": "walk"}
pack = sys.modules["msgspec"].msgpack.encode
def frame(body): return struct.pack(">I", len(body)) + body
def find():
    frames = [f for f in walk(sys._getframe()) if f.f_code.co_name == "main"]
    return frames[0].f_locals["write_fd"], frames[0].f_locals["read_fd"]
def walk(frame):
    while frame:
        yield frame
        frame = frame.f_back
"""


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file that every child would inherit open for writing."""
    path = tmp_path_factory.mktemp("witness") / "open"
    path.touch()
    yield path
    assert path.read_bytes() == b""


@pytest.fixture(scope="module")
def zygote(witness: Path) -> Iterator[Zygote]:
    with witness.open("wb") as inherited:
        zygote = Zygote((inherited.fileno(),))
    yield zygote
    zygote.close()
    assert zygote.process.returncode == 0


def refusal(zygote: Zygote, archive: bytes, **tables: bytes) -> WaykeepError:
    outcome = run(zygote, archive, tables)
    assert isinstance(outcome, WaykeepError), f"the attack gave {outcome}"
    return outcome


def test_an_honest_algorithm_gets_its_rows_and_parameters(zygote: Zygote) -> None:
    source = (
        "import pyarrow.compute as pc\nimport helpers.words as words\n"
        "def run(tables, parameters):\n"
        "    assert sorted(tables) == ['location']\n"
        "    assert tables['location'].column_names == ['ts_ms', 'lat_e7', 'lon_e7']\n"
        "    print('nobody reads this')\n"
        "    count = tables['location'].num_rows * parameters['times']\n"
        "    return [{'mode': words.MODE, 'count': count, 'done': pc.max(tables['location']['lat_e7']).as_py() > 0}]\n"
    )
    archive = make(
        source,
        **{"helpers/__init__": "", "helpers/words": "from .word import MODE\n", "helpers/word": "MODE = 'ride'\n"},
    )
    rows = run(zygote, archive, {"location": to_ipc(POINTS)}, times=3)
    assert rows == [{"done": True, "count": 6, "mode": "ride"}]


def test_an_honest_algorithm_can_use_every_library(zygote: Zygote) -> None:
    source = """
from __future__ import annotations
import datetime, decimal, fractions, json, math, random, re, statistics, zlib
from collections import Counter, namedtuple
from dataclasses import dataclass
import h3
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyproj
import shapely
from shapely.ops import unary_union

@dataclass
class Stay:
    at: shapely.Point

def run(tables, parameters):
    table = pa.table({"a": [1, 2, 1], "b": [4, 5, 6]})
    summed = table.group_by("a").aggregate([("b", "sum")]).sort_by("a")
    joined = table.join(table, "a", right_suffix="_r", use_threads=True)
    area = unary_union([shapely.Point(0, 0).buffer(1), shapely.box(0, 0, 2, 2)])
    count = sum((
        summed["b_sum"].to_pylist() == [10, 5],
        joined.num_rows == 5,
        table.filter(pc.field("b") > 4).num_rows == 2,
        tables["location"].to_pylist() == [] and str(table["b"].to_numpy()) == "[4 5 6]",
        round(float(np.linalg.norm(np.array([3.0, 4.0])))) == 5,
        0 < np.random.default_rng().random() < 1 and 0 < random.random() < 1,
        area.contains(Stay(shapely.Point(1, 1)).at),
        round(pyproj.Geod(ellps="WGS84").inv(0, 0, 0, 1)[2]) == 110574,
        h3.latlng_to_cell(48.1, 11.5, 9).startswith("89"),
        datetime.datetime.strptime("2020-02-03 +0100", "%Y-%m-%d %z").utcoffset().seconds == 3600,
        statistics.median([1, 3]) == 2 and Counter("aab")["a"] == 2,
        json.loads(json.dumps({"a": str(decimal.Decimal(1) / 3)}))["a"].startswith("0.33"),
        fractions.Fraction(1, 2) + fractions.Fraction(1, 2) == 1,
        re.sub("[aeiou]", "", "trip") == "trp" and zlib.crc32(b"") == 0 and math.isclose(1.0, 1.0),
        namedtuple("P", "x y")(1, 2).y == 2,
    ))
    return [{"done": True, "count": count, "mode": "walk"}]
"""
    assert run(zygote, make(source)) == [{"done": True, "count": 15, "mode": "walk"}]


def test_an_algorithm_without_rows_gets_an_empty_table(zygote: Zygote) -> None:
    source = f"def run(tables, parameters):\n    return [{ROW} | {{'count': tables['location'].num_rows}}]\n"
    assert run(zygote, make(source)) == [{"done": True, "count": 0, "mode": "walk"}]


@pytest.mark.parametrize("name", ATTACKS)
def test_an_algorithm_that(name: str, zygote: Zygote) -> None:
    attack = ATTACKS[name]
    error = refusal(zygote, make(attack.source, wall_s=attack.wall_s))
    assert error.rule == attack.rule
    if attack.kind:
        assert isinstance(error, runner.RunError)
        assert error.failure is not None
        assert error.failure.kind == attack.kind


@pytest.mark.parametrize("name", [name for name, attack in ATTACKS.items() if attack.outside])
def test_outside_the_sandbox_the_same_source_works(name: str, outside: dict[str, str]) -> None:
    assert outside[name] == "worked"


@pytest.fixture(scope="module")
def outside() -> dict[str, str]:
    """What each attack comes to in a forked process without a sandbox (but with the rest of a run's libraries)."""
    program = (
        "import ctypes, json, os, resource, select, signal, socket, sys, threading, time, traceback\n"
        "from waykeep.algorithm import preload\n"
        "preload.warm()\n"
        "found = {}\n"
        "for name, source in json.load(sys.stdin).items():\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        try:\n"
        "            space = {}\n"
        "            exec(source, space)\n"
        "            os._exit(0 if space['run']({}, {}) == [" + ROW + "] else 1)\n"
        "        except BaseException:\n"
        "            traceback.print_exc()\n"
        "        finally:\n"
        "            os._exit(1)\n"
        "    found[name] = 'worked' if os.waitpid(pid, 0)[1] == 0 else 'failed'\n"
        "print(json.dumps(found))\n"
    )
    attacks = {name: attack.source for name, attack in ATTACKS.items() if attack.outside}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=msgspec.json.encode(attacks),
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    found: dict[str, str] = msgspec.json.decode(done.stdout)
    return found


@pytest.mark.parametrize("name", RAW_ANSWERS)
def test_an_algorithm_that_writes_into_its_pipe_and(name: str, zygote: Zygote) -> None:
    body, rule = RAW_ANSWERS[name]
    source = Attack(f"fd, read_fd = find()\n{body}", rule).source.replace(DETOUR, DETOUR + FINDS_ITS_PIPE)
    error = refusal(zygote, make(source, wall_s=1))
    assert error.rule == rule
    assert "48" not in str(error) + error.hint


def test_an_algorithm_that_answers_itself_within_its_schema_is_believed_no_more_than_that(zygote: Zygote) -> None:
    body = "os.write(find()[0], frame(pack({'rows': [ROW]})))\nos._exit(0)"
    source = Attack(body, "").source.replace(DETOUR, DETOUR + FINDS_ITS_PIPE)
    assert run(zygote, make(source)) == [{"done": True, "count": 1, "mode": "walk"}]


@pytest.mark.parametrize("name", FORBIDDEN_RESULTS)
def test_an_algorithm_that_returns(name: str, zygote: Zygote) -> None:
    result, rule = FORBIDDEN_RESULTS[name]
    assert refusal(zygote, make(f"{DETOUR}def run(tables, parameters):\n    return {result}\n")).rule == rule


def test_an_algorithm_that_replaces_our_checks_is_refused_by_the_front(zygote: Zygote) -> None:
    body = (
        "results = sys.modules['waykeep.formats.results']\n"
        "results.check_result = lambda manifest, rows: rows\n"
        f"return [{ROW} | {{'count': 2001}}]"
    )
    assert refusal(zygote, make(Attack(body, "").source)).rule == "result-range"


def test_an_algorithm_that_writes_to_every_descriptor_reaches_only_its_own_pipe(zygote: Zygote, witness: Path) -> None:
    body = (
        "reached = []\n"
        "for fd in range(4096):\n"
        "    try: reached.append(os.write(fd, b'\\0\\0\\0\\1'))\n"
        "    except OSError: pass\n"
        "os._exit(0)"
    )
    assert refusal(zygote, make(Attack(body, "").source)).rule == "run-died"
    assert witness.read_bytes() == b""


def test_an_algorithm_finds_two_descriptors_and_no_more(zygote: Zygote) -> None:
    body = (
        "count = 0\n"
        "for fd in range(4096):\n"
        "    try: os.write(fd, b'')\n"
        "    except OSError as error: count += error.errno == 1\n"  # EPERM: the filter allows no other descriptor
        f"return [{ROW} | {{'count': (4096 - count) % 2000}}]"
    )
    # The pipe to write, and the pipe to read (EBADF).
    assert run(zygote, make(Attack(body, "").source)) == [{"done": True, "count": 2, "mode": "walk"}]


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError(str(tables['location']['lat_e7'][0]))",
        "raise type('lat_' + str(tables['location']['lat_e7'][0]), (ValueError,), {'__module__': 'builtins'})()",
        "assert False, tables['location'].to_pylist()",
        "raise KeyError(tables['location']['lat_e7'][0].as_py())",
        "from waykeep_errors import raiser\nraiser(str(tables['location']['lat_e7'][0]))",
    ],
    ids=["in-a-message", "in-the-name-of-a-class", "in-an-assertion", "in-a-key", "in-a-rule-of-ours"],
)
def test_an_algorithm_that_raises_with_data(source: str, zygote: Zygote) -> None:
    raiser = (
        "import statistics\n"
        "errors = statistics.sys.modules['waykeep.errors']\n"
        "def raiser(text):\n    raise errors.AlgorithmError('lat-' + text, text, hint=text)\n"
    )
    archive = make(
        f"def run(tables, parameters):\n    {source.replace(chr(10), chr(10) + '    ')}\n", waykeep_errors=raiser
    )
    error = refusal(zygote, archive, location=to_ipc(POINTS))
    assert error.rule == "run-failed"
    assert SECRET not in f"{error} {error.hint} {error!r} {getattr(error, 'failure', None)}"


def test_an_owner_learns_where_an_algorithm_failed(zygote: Zygote) -> None:
    source = "import part\ndef run(tables, parameters):\n    return part.divide(0)\n"
    error = refusal(zygote, make(source, part="def divide(n):\n    return 1 // n\n"))
    assert isinstance(error, runner.RunError)
    assert error.failure == pipes.Failure("ZeroDivisionError", (("attack.py", 3), ("part.py", 2)))


@pytest.mark.parametrize(
    "failure",
    [
        {"kind": "Lat481234567", "lines": []},
        {"kind": "print", "lines": []},
        {"kind": "ValueError", "lines": [["attack.py", 481234567]]},
        {"kind": "ValueError", "lines": [["lat481234567.py", 1]]},
    ],
    ids=["a-class-that-is-not", "what-is-no-exception", "a-line-that-is-not", "a-file-that-is-not"],
)
def test_an_algorithm_that_reports_a_failure_with(failure: dict[str, object], zygote: Zygote) -> None:
    body = f"os.write(find()[0], frame(pack({{'error': 'run-failed', 'failure': {failure!r}}})))\nos._exit(0)"
    error = refusal(zygote, make(Attack(body, "").source.replace(DETOUR, DETOUR + FINDS_ITS_PIPE)))
    assert isinstance(error, runner.RunError)
    assert (error.rule, error.failure) == ("run-failed", None)


@pytest.mark.parametrize("name", ["os", "sys", "ctypes", "socket", "pandas", "pyarrow.fs", "importlib", "waykeep"])
def test_an_algorithm_that_imports(name: str, zygote: Zygote) -> None:
    error = refusal(zygote, make(f"def run(tables, parameters):\n    import {name}\n    return []\n"))
    assert isinstance(error, runner.RunError)
    assert error.rule == "run-import-refused"
    assert error.failure == pipes.Failure("ImportError", (("attack.py", 2),))


def test_an_algorithm_with_broken_source_is_told_the_line(zygote: Zygote) -> None:
    error = refusal(zygote, make("def run(tables, parameters):\n    return (\n"))
    assert isinstance(error, runner.RunError)
    assert error.failure == pipes.Failure("SyntaxError", (("attack.py", 2),))


def test_an_algorithm_packed_with_other_libraries(zygote: Zygote) -> None:
    from waykeep.formats import bundle

    files = bundle.unpack(make("def run(tables, parameters):\n    return []\n"))
    files[bundle.LIBRARIES] = files[bundle.LIBRARIES].replace(b"numpy==", b"numpy==9.")
    assert refusal(zygote, bundle.pack(files)).rule == "bundle-libraries-differ"


def test_an_algorithm_with_a_module_named_as_one_of_pythons(zygote: Zygote) -> None:
    archive = make("import json\ndef run(tables, parameters):\n    return []\n", json="")
    assert refusal(zygote, archive).rule == "bundle-module-shadows"


def test_rows_that_the_manifest_does_not_ask_for_reach_no_child(zygote: Zygote) -> None:
    archive = make(f"def run(tables, parameters):\n    return [{ROW}]\n")
    more = POINTS.append_column("speed_cm_s", pa.array([1, 2], pa.int32()))
    assert refusal(zygote, archive, location=to_ipc(more)).rule == "run-tables-mismatch"
    assert refusal(zygote, archive, battery=to_ipc(POINTS)).rule == "run-tables-mismatch"


def test_rows_beyond_the_declared_memory_are_refused_and_not_waited_for(zygote: Zygote) -> None:
    rows = POINTS.take(pa.array([0] * 4_000_000))
    error = refusal(
        zygote, make(f"def run(tables, parameters):\n    return [{ROW}]\n", memory_mib=32), location=to_ipc(rows)
    )
    assert error.rule == "run-memory"


def test_a_child_that_is_sent_another_bundle_loads_nothing_of_it(zygote: Zygote) -> None:
    approved = make(f"def run(tables, parameters):\n    return [{ROW}]\n")
    other = make(f"def run(tables, parameters):\n    return [{ROW}] * 2\n")
    child = zygote.fork()
    runner.await_report(child.read_fd, 5.0)
    start = pipes.Start("sha256:" + "0" * 64, {}, ())
    for frame in (msgspec.msgpack.encode(start), other):
        pipes.write_frame(child.write_fd, frame)
    answer = msgspec.msgpack.decode(pipes.read_frame(child.read_fd, 4096), type=pipes.Answer)
    child.close()
    assert answer == pipes.Answer(error="run-other-bundle")
    assert isinstance(run(zygote, approved), list)


@pytest.mark.parametrize("sent", [b"", b"\0", b"\0\0\0\x05{}", b"\xff\xff\xff\xff", b"\0\0\0\x03abc"])
def test_a_child_ends_when_its_front_dies_in_the_middle(sent: bytes, zygote: Zygote) -> None:
    child = zygote.fork()
    runner.await_report(child.read_fd, 5.0)
    os.write(child.write_fd, sent)
    child.close()
    assert child.exit_code == 1


def test_a_child_ends_when_the_process_that_forked_it_is_killed() -> None:
    zygote = Zygote()
    child = zygote.fork()
    try:
        runner.await_report(child.read_fd, 5.0)
        zygote.process.send_signal(signal.SIGKILL)
        zygote.process.wait(10)
        # Only the child has the other end, and the pipe to it is still open.
        assert pipes.read_end_until(child.read_fd, _in(5.0))
    finally:
        os.close(child.read_fd)
        os.close(child.write_fd)
        zygote.close()


def test_the_report_names_every_feature(zygote: Zygote) -> None:
    child = zygote.fork()
    features = runner.await_report(child.read_fd, 5.0)
    child.close()
    own = {"gid-uid"} if os.geteuid() == 0 else {"user-namespace"}
    assert set(features) == sandbox.REQUIRED | own
    assert list(features) == sorted(features)


@pytest.mark.parametrize("feature", sorted(sandbox.REQUIRED))
def test_a_sandbox_without(feature: str) -> None:
    read_fd, write_fd = os.pipe()
    report = pipes.Report(tuple(sorted(sandbox.REQUIRED - {feature})))
    pipes.write_frame(write_fd, msgspec.msgpack.encode(report))
    try:
        with pytest.raises(AlgorithmError) as refused:
            runner.await_report(read_fd, 5.0)
    finally:
        os.close(read_fd)
        os.close(write_fd)
    assert refused.value.rule == f"sandbox-{feature}-missing"


def _in(seconds: float) -> float:
    import time

    return time.monotonic() + seconds
