"""From a study.toml to a study: what is no study is refused by name, and says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import algorithms
from tests.unit.builders import refused
from tests.unit.studying import RESEARCHER
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority import studies
from waykeep.authority.studies import Parts, Study
from waykeep.device import drafting
from waykeep.errors import WaykeepError
from waykeep.formats import study_file
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import sha256
from waykeep.privacy import ledger, mechanisms

REFERENCES = ReferenceValues(("supervisor code",), {AGGREGATOR: ("aggregator code",)})
FILE = """\
title = "How far"
purpose = "To plan."
ethics = "board, number 7"
consent = "You agree."
consent_version = "1"
minimum = 100
target = 1000
starts = 2026-12-01T00:00:00Z
period = "7d"
gather = "24h"
answer = "24h"
periods = 4
repetitions = 2

[questions.distance]
asks = "How many metres by each mode?"
algorithm = "mode-share"
value = "distance_m"
keys = ["mode"]
maximum = 100000
most_cells = 3
total = 150000
mechanism = "laplace"
epsilon = 0.5
unit = "km"
per = 1000
from = "2026-11-01"
to = "2026-12-01"
precision = "50m"
times = "1m"

[questions.distance.parameters]
stay_minutes = 10
"""


def bundle_of(name: str) -> Bundle:
    return algorithms.shipped(name)[0]


def drafted(text: str = FILE) -> Study:
    return drafting.draft(study_file.parse(text.encode()), bundle_of, REFERENCES)


def changed(before: str, after: str) -> str:
    assert before in FILE
    return FILE.replace(before, after)


def test_a_file_becomes_a_study() -> None:
    study = drafted()
    (question,) = study.questions
    assert (study.minimum, study.periods, study.repetitions, study.period_ms) == (100, 4, 2, 7 * 86_400_000)
    assert study.aggregator == Parts(("supervisor code",), ("aggregator code",))
    assert question.algorithm == algorithms.shipped("mode-share")[0].digest
    assert question.keys[0].words == ("walking", "running", "cycling", "vehicle", "still", "unknown")
    assert question.bounds.cells == 6 and question.bounds.total == 150_000
    # All parameters, each with one value; nothing is stored.
    assert question.parameters["stay_minutes"] == 10 and question.parameters["gap_minutes"] == 30
    assert not question.scope.stores and question.scope.level > 0 and question.scope.step_ms == 60_000
    assert mechanisms.epsilon(question.mechanism, question.bounds, ledger.DELTA) == pytest.approx(0.5)
    envelope = drafting.sign(study, RESEARCHER)
    assert studies.open_(envelope).study == study


def test_the_noise_follows_from_an_accuracy() -> None:
    study = drafted(changed("epsilon = 0.5", "offset = 5000\nalpha = 0.05"))
    # -ln(0.05) * 300,000 / 5000
    assert mechanisms.epsilon(study.questions[0].mechanism, study.questions[0].bounds, 1e-6) == pytest.approx(
        179.74, 1e-3
    )


def test_an_aggregator_may_be_named() -> None:
    study = drafted(FILE + '\n[aggregator]\nsupervisors = ["a"]\naggregators = ["b", "c"]\n')
    assert study.aggregator == Parts(("a",), ("b", "c"))


@pytest.mark.parametrize(
    ("before", "after", "rule"),
    [
        ("epsilon = 0.5", "epsilon = -0.5", "epsilon-malformed"),
        ("epsilon = 0.5", "epsilon = 0.0", "epsilon-malformed"),
        ("epsilon = 0.5", "epsilon = inf", "study-file-malformed"),
        ("epsilon = 0.5", "epsilon = nan", "study-file-malformed"),
        ("epsilon = 0.5", "epsilon = true", "study-file-malformed"),
        ("epsilon = 0.5", "epsilon = 1e-300", "scale-malformed"),
        ("epsilon = 0.5", "offset = 0\nalpha = 0.05", "offset-malformed"),
        ("epsilon = 0.5", "offset = -5\nalpha = 0.05", "offset-malformed"),
        ("epsilon = 0.5", "offset = inf\nalpha = 0.05", "study-file-malformed"),
        ("epsilon = 0.5", "offset = 5\nalpha = 0.0", "alpha-malformed"),
        ("epsilon = 0.5", "offset = 5\nalpha = 1.0", "alpha-malformed"),
        ("epsilon = 0.5", "offset = 5\nalpha = -0.1", "alpha-malformed"),
        ("epsilon = 0.5", "offset = 5\nalpha = nan", "study-file-malformed"),
        ("epsilon = 0.5", "offset = 5", "study-noise"),
        ("epsilon = 0.5", "alpha = 0.05", "study-noise"),
        ("epsilon = 0.5", "", "study-noise"),
        ("epsilon = 0.5", "epsilon = 0.5\noffset = 5\nalpha = 0.05", "study-noise"),
        ("maximum = 100000", "maximum = 0", "bounds-malformed"),
        ("maximum = 100000", "maximum = -5", "bounds-malformed"),
        ("maximum = 100000", "maximum = 1.5", "study-file-malformed"),
        ("maximum = 100000", "maximum = inf", "study-file-malformed"),
        ("maximum = 100000", "maximum = 100000\nminimum = 1", "bounds-malformed"),
        ("most_cells = 3", "most_cells = 0", "bounds-malformed"),
        ("total = 150000", "total = 5", "bounds-malformed"),
        ("total = 150000", "total = 0", "bounds-malformed"),
        ('value = "distance_m"', 'value = "speed"', "study-question"),
        ('value = "distance_m"', 'value = "mode"', "study-question"),
        ('keys = ["mode"]', 'keys = ["hour"]', "study-question"),
        ('keys = ["mode"]', 'keys = ["distance_m"]', "study-question"),
        ('keys = ["mode"]', 'keys = ["duration_s"]', "bounds-malformed"),
        ("stay_minutes = 10", "stay_minutes = 1", "parameter-range"),
        ("stay_minutes = 10", "unknown = 1", "parameter-unknown"),
        ('period = "7d"', 'period = "soon"', "duration-malformed"),
        ('period = "7d"', 'period = "1d"', "study-times"),
        ("repetitions = 2", "repetitions = 5", "study-times"),
        ("minimum = 100", "minimum = 1", "study-cohort"),
        ("minimum = 100", "minimum = 2000", "study-cohort"),
        ("minimum = 100", "minimum = 0", "study-file-malformed"),
        ("starts = 2026-12-01T00:00:00Z", "starts = 2026-12-01T00:00:00", "study-file-malformed"),
        ("starts = 2026-12-01T00:00:00Z", "starts = 5", "study-file-malformed"),
        ('title = "How far"', 'title = "How far"\nsurprise = 1', "study-file-malformed"),
        ('title = "How far"', 'title = "\\u202e"', "study-malformed"),
        ('title = "How far"', "title =", "study-file-malformed"),
        ('from = "2026-11-01"', 'from = "2026-12-24"', "window-empty"),
    ],
)
def test_bad_input_is_refused_by_name(before: str, after: str, rule: str) -> None:
    with refused(rule):
        drafted(changed(before, after))


@pytest.mark.parametrize("data", [b"\xff", b"a" * 70_000, b"x = " + b"[" * 3000, b"a." * 3000 + b"b = 1"])
def test_what_is_no_file_is_refused(data: bytes) -> None:
    with refused("study-file-malformed"):
        study_file.parse(data)


def test_a_bundle_is_found_beside_the_file_or_at_a_host(tmp_path: Path) -> None:
    archive = algorithms.shipped("trips")[1]
    seen: list[Path] = []

    def pack(folder: Path) -> bytes:
        seen.append(folder)
        return archive

    found = drafting.bundles_beside(tmp_path, "", pack)
    assert found("trips").digest == sha256(archive) and seen == [tmp_path / "trips"]
    with refused("host-missing"):
        found(sha256(archive))
    with pytest.raises(WaykeepError):
        drafting.bundles_beside(tmp_path, "http://127.0.0.1:1", pack)(sha256(archive))
