"""A study that nobody is asked: its simulation, and bounds from a release of before, as a researcher runs them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import algorithms
from tests.support.program import waykeep
from tests.support.stages import Watched
from tests.unit.builders import key
from tests.unit.studying import RESEARCHER, a_query, a_question, a_study, signed
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority import dsse, queries, studies
from waykeep.authority.queries import Answer, Published, Release
from waykeep.authority.studies import Axis
from waykeep.device import drafting
from waykeep.device.hostclient import HostClient
from waykeep.formats import study_file
from waykeep.formats.wire import encode_json
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

FILE = """\
title = "How far"
purpose = "To plan."
ethics = "none is needed"
consent = "You agree."
consent_version = "1"
minimum = 10
target = 1000
starts = 2026-12-01T00:00:00Z
period = "7d"
gather = "24h"
answer = "24h"

[questions.distance]
asks = "How far did you travel by each mode?"
algorithm = "mode-share"
value = "distance_m"
keys = ["mode"]
maximum = {maximum}
most_cells = 6
epsilon = 1.0
unit = "km"
per = 1000
from = "2026-06-01"
to = "2026-06-03"
precision = "50m"
"""
MODES = ["walking", "running", "cycling", "vehicle", "still", "unknown"]
Ask = Callable[..., Any]


@pytest.fixture
def simulate(tmp_path: Path) -> Ask:
    """`study simulate` of 20 people and a bound; the JSON that it prints, or its words."""

    def run(maximum: int, *options: str, words: bool = False, code: int = 0) -> Any:
        text = FILE.format(maximum=maximum).encode()
        study = drafting.draft(
            study_file.parse(text),
            lambda name: algorithms.shipped(name)[0],
            ReferenceValues(("supervisor code",), {AGGREGATOR: ("aggregator code",)}),
        )
        file = tmp_path / "study.json"
        file.write_bytes(drafting.sign(study, RESEARCHER))
        given = ("--people", "20", "--releases", "5", *options, *(() if words else ("--json",)))
        found = waykeep("study", "simulate", str(file), *given, code=code)
        return found.stderr if code else found.stdout if words else json.loads(found.stdout)

    return run


def test_a_study_is_simulated_and_a_bound_that_is_too_small_shows(simulate: Ask) -> None:
    place = ("--bundles", str(algorithms.SHIPPED))
    wide, narrow = (simulate(maximum, *place, "--response", "1") for maximum in (1_000_000, 1000))
    assert wide["settings"] == {"people": 20, "response": 1, "releases": 5, "seed": 1, "at": None}
    assert wide["too_few"] == 0
    (free,), (bounded,) = wide["questions"], narrow["questions"]
    assert free["days"] == {"first": "2026-06-01", "count": 2, "clipped": False}
    assert [cell["cell"] for cell in free["expected"]["cells"]] == [[mode] for mode in MODES]
    assert free["expected"]["whole"]["true"] == bounded["expected"]["whole"]["true"] > 20 * 1000
    assert free["expected"]["whole"]["bias"] == 0
    # Of six cells 1000 m each count at most.
    assert 0 < bounded["expected"]["whole"]["clamped"] <= 20 * 6 * 1000
    assert bounded["expected"]["whole"]["bias_share"] < -0.5
    assert bounded["expected"]["cut"] > 10


def test_it_says_so_in_words(simulate: Ask) -> None:
    words = simulate(1000, "--bundles", str(algorithms.SHIPPED), "--response", "0.2", words=True)
    assert "distance, in km: 2 days from 2026-06-01" in words
    assert "bounds take away" in words and "those who do not answer take away" in words
    assert "20 synthetic people, 20 % answer; 5 releases." in words
    assert "of the queries too few would answer" in words


def test_algorithms_are_found_at_a_host(simulate: Ask, stage: Watched) -> None:
    bundle, archive = algorithms.shipped("mode-share")
    host = HostClient(stage.host_url)
    try:
        host.put_bundle(bundle.digest, archive)
    finally:
        host.close()
    found = simulate(100_000, "--host", stage.host_url, "--at", "59.91,10.75")
    assert found["settings"]["at"] == [59.91, 10.75]
    assert found["questions"][0]["expected"]["whole"]["true"] > 0


def test_algorithms_that_are_nowhere_are_refused(simulate: Ask, tmp_path: Path) -> None:
    assert "host-missing" in simulate(1000, code=18)
    assert "bundles-missing" in simulate(1000, "--bundles", str(tmp_path), code=18)


def test_a_bound_is_suggested_from_a_release(tmp_path: Path) -> None:
    histogram = a_question(
        name="bins", keys=(Axis("bin", 4),), bounds=Bounds(4, 0, 1, 1, 1), mechanism=Mechanism("laplace", 4.0)
    )
    envelope = signed(a_study(questions=(histogram,)))
    opened, aggregator = studies.open_(envelope), key("aggregator")
    answer = Answer((50, 43, 7, -3), queries.interval(histogram))
    release = Release(a_query(opened.digest), (answer,), 90, opened.study.cost, {})
    said = dsse.sign(queries.RELEASE_TYPE, encode_json(release), aggregator)
    file = tmp_path / "release.json"
    file.write_bytes(encode_json(Published(envelope.decode(), said.decode(), b"", b"")))
    arguments = ("study", "bounds", str(file), "--question", "bins")
    found = json.loads(waykeep(*arguments, "--quantile", "0.9", "--json").stdout)
    assert (found["bin"], found["metres"], found["above"]) == ("1", None, pytest.approx(0.07))
    printed = waykeep(*arguments)
    assert "Bound: bin 2." in printed.stdout and "0 % of the people lie above it" in " ".join(printed.stdout.split())
    assert "noise alone makes" in printed.stderr
