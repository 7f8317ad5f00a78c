"""The bundles of a study, in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import algorithms
from tests.unit.builders import refused
from tests.unit.studying import a_question, a_study
from waykeep.authority.studies import Study
from waykeep.errors import DeviceError
from waykeep.trial import finding


@pytest.fixture
def study() -> Study:
    digests = (algorithms.slow()[0].digest, algorithms.shipped("presence")[0].digest)
    asked = (a_question(name=f"q{number}", algorithm=digest) for number, digest in enumerate(digests))
    return a_study(questions=tuple(asked))


def test_archives_and_folders_are_found_among_what_is_neither(tmp_path: Path, study: Study) -> None:
    (tmp_path / "slow.tar").write_bytes(algorithms.slow()[1])
    (tmp_path / "broken.tar").write_bytes(b"no tar")
    (tmp_path / "notes.txt").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    (tmp_path / "presence").symlink_to(algorithms.SHIPPED / "presence")
    found = finding.find(study, tmp_path, "")
    assert {question.algorithm for question in study.questions} <= found.keys()
    assert {bundle.digest for bundle in found.values()} == found.keys()


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path, study: Study) -> None:
    (tmp_path / "slow.tar").write_bytes(algorithms.slow()[1])
    with pytest.raises(DeviceError, match=study.questions[1].algorithm) as caught:
        finding.find(study, tmp_path, "")
    assert caught.value.rule == "bundles-missing"


def test_a_folder_that_is_none_is_refused(tmp_path: Path, study: Study) -> None:
    with refused("file-unreadable", DeviceError):
        finding.find(study, tmp_path / "nowhere", "")


def test_without_folder_and_host_there_is_nowhere_to_look(study: Study) -> None:
    with refused("host-missing", DeviceError):
        finding.find(study, None, "")
