"""A study as people run it: a researcher's verbs, those of two who take part, and what both are told when refused."""

from __future__ import annotations

import base64
import datetime
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import algorithms, stages
from tests.support.grants import choose, with_rows
from tests.support.people import Person
from tests.support.program import waykeep
from tests.support.stages import Watched
from tests.support.studies import details_of
from tests.support.witness import running_witness
from waykeep.authority.participation import Contributed, StudyDebited
from waykeep.errors import AuthorityError, DeviceError, FormatError, HostError, PrivacyError

TOML = """\
title = "How much is recorded"
purpose = "To see that it works."
ethics = "none is needed"
consent = "You agree to be counted."
consent_version = "2"
minimum = 2
target = 100
starts = {starts}
period = "2h"
gather = "60m"
answer = "30m"
deadline = "2s"
repetitions = 2
periods = 2

[questions.rows]
asks = "How many places were recorded?"
algorithm = "{algorithm}"
value = "rows"
maximum = 40
epsilon = 3.0
unit = "places"
from = "2016-06-20"
to = "2016-06-22"
parameters = {{rounds = 0}}
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Watched]:
    with stages.running() as found:
        found.start_aggregator()
        yield found


@pytest.fixture(scope="module")
def members(stage: Watched, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Person]]:
    """Two who have 50 rows and a witness, and said nothing of studies yet."""
    with running_witness(tmp_path_factory.mktemp("witness"), tokens=20) as witness:
        people = [Person(stage, f"member{number}") for number in range(2)]
        for person in people:
            with person.account() as device:
                with_rows(person, device)
                choose(device, witness)
                device.status()
        yield people


class Desk:
    """A researcher's folder and command line."""

    def __init__(self, stage: Watched, folder: Path) -> None:
        self.stage, self.folder = stage, folder
        self.key, self.toml = folder / "researcher.key", folder / "study.toml"
        self.study, self.release = folder / "town.study", folder / "town.release"
        self.places = ("--host", stage.host_url, "--aggregator", stage.aggregator_url)
        self.root = ("--trust-insecure-root", stage.root)

    def say(self, *arguments: str, code: int = 0) -> str:
        found = waykeep("study", *arguments, code=code)
        return found.stderr if code else " ".join(found.stdout.split())

    def json(self, *arguments: str) -> Any:
        return json.loads(waykeep("study", *arguments, "--json").stdout)

    def create(self, **changes: str) -> Any:
        """Write the file, and make the study."""
        starts = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=5)
        bundle, archive = algorithms.slow()
        (self.folder / "slow.tar").write_bytes(archive)
        waykeep("algo", "publish", str(self.folder / "slow.tar"), "--host", self.stage.host_url)
        self.toml.write_text(TOML.format(starts=starts.isoformat(timespec="seconds"), algorithm=bundle.digest))
        for old, new in changes.items():
            self.toml.write_text(self.toml.read_text().replace(f"{old} = ", f"{old} = {new} #"))
        waykeep("grant", "key", "--file", str(self.key))
        more = ("--key", str(self.key), "-o", str(self.study), "--host", self.stage.host_url)
        return self.json("create", str(self.toml), *more)

    def run(self, repetition: int = 1) -> tuple[str, ...]:
        more = ("--key", str(self.key), "-o", str(self.release), "--repetition", str(repetition))
        return ("run", str(self.study), *more, *self.places, *self.root)


@pytest.fixture
def desk(stage: Watched, tmp_path: Path) -> Desk:
    return Desk(stage, tmp_path)


def own(person: Person) -> tuple[str, ...]:
    return ("--home", str(person.folder.path), "--key-file", str(person.key_file))


def test_a_study_from_its_file_to_its_picture(desk: Desk, members: list[Person], tmp_path: Path) -> None:
    made, poster = desk.create(), tmp_path / "poster.png"
    digest = made["digest"]
    assert desk.json("publish", str(desk.study), "--host", desk.stage.host_url) == {"digest": digest}
    shown = desk.say("show", str(desk.study), "--host", desk.stage.host_url, "--qr", str(poster))
    assert "How many places were recorded?" in shown and "waykeep:join?" in shown and digest in shown

    # Nobody joins by accident, nor beyond a budget.
    first, second = members
    asked = ("study", "join", "--qr", str(poster))
    refused = waykeep(*asked, *own(first), code=AuthorityError.exit_code)
    assert "log-budget" in refused.stderr and "waykeep budget set" in refused.stderr
    for person in members:
        waykeep("budget", "set", "40", *own(person))
    refused = waykeep(*asked, *own(first), code=DeviceError.exit_code)
    assert "not-agreed" in refused.stderr and "You agree to be counted." in refused.stdout
    assert "leav" in refused.stdout, "what leaving does is said before"
    said = waykeep(*asked, "--yes", *own(first)).stdout
    assert "You joined “How much is recorded”" in said
    joined = json.loads(waykeep("study", "join", digest, "--json", *own(second)).stdout)
    assert joined["digest"] == digest and joined["set_aside"] == made["set_aside"] == 2 * made["cost"]
    budget = " ".join(waykeep("budget", *own(first)).stdout.split())
    assert "How much is recorded" in budget and "█" in budget

    # One query, and what came of it, on any machine.
    release = desk.json(*desk.run())["release"]
    (value,) = release["answers"][0]["values"]
    assert abs(value - 80) <= 20 * 14, "50 rows each, of which 40 count, and noise of a scale of 13.3"
    assert release["cohort"] == 2
    assert "Right: made by an aggregator" in desk.say("verify", str(desk.release), *desk.root)
    for name, begins in (("town.png", b"\x89PNG"), ("town.svg", b"<?xml")):
        picture = tmp_path / name
        told = desk.say("result", str(desk.release), "-o", str(picture))
        assert "places" in told and "± holds the noise 19 times of 20" in told
        assert picture.read_bytes().startswith(begins)
    assert [len(details_of(person, kind)) for person in members for kind in (StudyDebited, Contributed)] == [1] * 4
    state = json.loads(waykeep("study", "status", "--json", *own(first)).stdout)
    assert [(each["digest"], each["ended"], each["debited"]) for each in state] == [(digest, "", release["cost"])]

    # A release of which a figure was changed is not believed.
    published = json.loads(desk.release.read_bytes())
    envelope = json.loads(published["release"])
    payload = base64.b64decode(envelope["payload"])
    assert b'"cohort":2,' in payload
    changed = base64.b64encode(payload.replace(b'"cohort":2,', b'"cohort":9,')).decode()
    published["release"] = published["release"].replace(envelope["payload"], changed)
    desk.release.write_text(json.dumps(published))
    assert "signature" in desk.say("verify", str(desk.release), *desk.root, code=AuthorityError.exit_code)

    # Whoever leaves is not in the next one, and whoever answered says no for the rest of the period: it has too few.
    left = waykeep("study", "leave", digest, *own(first)).stdout
    assert "You left" in left and "is not given back" in left
    desk.release.unlink()
    ended = desk.say(*desk.run(2), code=DeviceError.exit_code)
    assert "without a release: too-few; of those rung last: left 1, refused 1" in " ".join(ended.split())
    assert not desk.release.exists()
    desk.say("stop", str(desk.study), "--key", str(desk.key), "--host", desk.stage.host_url)
    assert "study-stopped" in desk.say(*desk.run(2), code=HostError.exit_code)


def test_they_are_told_what_is_wrong(desk: Desk, members: list[Person], tmp_path: Path) -> None:
    desk.create()
    desk.toml.write_text(desk.toml.read_text().replace("epsilon = 3.0", "epsilon = -3.0"))
    wrong = tmp_path / "wrong.study"
    more = ("--key", str(desk.key), "-o", str(wrong), "--host", desk.stage.host_url)
    assert "epsilon-malformed" in desk.say("create", str(desk.toml), *more, code=PrivacyError.exit_code)
    assert not wrong.exists()
    assert "host-missing" in desk.say("show", str(desk.study), "--qr", str(wrong), code=DeviceError.exit_code)
    assert "release-missing" in desk.say("result", str(wrong), code=DeviceError.exit_code)
    for arguments, rule, code in (
        (("study", "join"), "join-what", DeviceError.exit_code),
        (("study", "join", "--file", str(desk.toml), "--yes"), "found a signed statement", FormatError.exit_code),
        (("study", "leave", "sha256:" + "0" * 64), "study-not-joined", DeviceError.exit_code),
        (("budget", "set", "nan"), "budget-malformed", DeviceError.exit_code),
        (("budget", "set", "3", "--per", "1h"), "budget-malformed", DeviceError.exit_code),
    ):
        assert rule in waykeep(*arguments, *own(members[0]), code=code).stderr, arguments
