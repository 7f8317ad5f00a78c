"""Approving as a person does: from a QR code, with what changed since the last version, and with reviews."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import algorithms, stages
from tests.support.grants import WINDOW, with_rows
from tests.support.people import Person
from tests.support.program import waykeep
from tests.support.stages import Watched
from waykeep.algorithm.preload import installed_libraries
from waykeep.authority.permissions import Approved, Granted
from waykeep.device import holder, tickets
from waykeep.errors import AuthorityError, DeviceError
from waykeep.formats import bundle
from waykeep.formats.bundle import Bundle


@pytest.fixture(scope="module")
def stage() -> Iterator[Watched]:
    with stages.running() as found:
        yield found


@pytest.fixture
def person(stage: Watched, request: pytest.FixtureRequest) -> Person:
    made = Person(stage, request.node.name[:40])
    with made.account() as device:
        with_rows(made, device)
    return made


def own(person: Person) -> tuple[str, ...]:
    return ("--home", str(person.folder.path), "--key-file", str(person.key_file))


def newer(more: str = "") -> tuple[Bundle, bytes]:
    """Version 1.1.0 of the slow algorithm, which reads a column more and says so."""
    files = dict(algorithms.slow()[0].files)
    manifest = files[bundle.MANIFEST].decode().replace('"1.0.0"', '"1.1.0"').replace('["ts_ms"]', '["ts_ms", "lat_e7"]')
    files[bundle.MANIFEST] = manifest.encode()
    files["slow.py"] = files["slow.py"].replace(b"pass", b"continue") + more.encode()
    files[bundle.LIBRARIES] = bundle.write_libraries(installed_libraries())
    archive = bundle.pack(files)
    return bundle.load(archive), archive


def publish(person: Person, found: tuple[Bundle, bytes]) -> str:
    with person.account() as device:
        device.host.put_bundle(found[0].digest, found[1])
    return found[0].digest


def test_a_poster_is_approved_and_what_was_typed_counts_more(person: Person, tmp_path: Path) -> None:
    digest = publish(person, algorithms.slow())
    host = ("--host", person.stage.host_url)
    poster = tmp_path / "poster.png"
    terms = ("--from", "2016-06-20", "--to", "2016-06-22", "--store", "counted", "--set", "rounds=0")
    made = json.loads(waykeep("algo", "qr", digest, *host, *terms, "-o", str(poster), "--json").stdout)
    assert made["uri"].startswith("waykeep:approve?digest=sha256:") and poster.read_bytes()[:4] == b"\x89PNG"
    shown = waykeep("algo", "qr", digest, *host, *terms).stdout
    assert "█" in shown or "▀" in shown
    assert made["uri"] in shown.replace("\n", "")

    # Terms from elsewhere are agreed to by a person, or in so many words; never by the lack of a terminal.
    for way in (("--qr", str(poster)), ("--uri", made["uri"]), ("--qr", str(poster), "--json")):
        refused = waykeep("approve", *way, *own(person), code=DeviceError.exit_code)
        assert "not-agreed" in refused.stderr
        assert "--json" in way or "What you would agree to" in refused.stdout
    with person.account() as device:
        assert not device.log().approvals
    typed = ("--to", "2016-06-21", "--yes", "--json")
    done = json.loads(waykeep("approve", "--qr", str(poster), *typed, *own(person)).stdout)
    scope = done["approval"]["scope"]
    assert (scope["from_ms"], scope["to_ms"]) == WINDOW and done["approval"]["store_as"] == "derived/counted"
    for wrong in ((), (digest, "--qr", str(poster))):
        assert "approve-what" in waykeep("approve", *wrong, *own(person), code=DeviceError.exit_code).stderr


def test_a_poster_of_a_study_makes_a_grant_and_its_ticket(person: Person, tmp_path: Path) -> None:
    """The bundle lies at the study's host only; the owner's gets it when it was checked."""
    found, archive = algorithms.slow("study")
    poster, ticket, file = tmp_path / "poster.png", tmp_path / "ticket", tmp_path / "study.key"
    key = holder.make(file)
    with stages.running() as elsewhere:
        other = Person(elsewhere, "researcher")
        with other.account() as device:
            device.host.put_bundle(found.digest, archive)
        asked = ("--holder=" + key.signer.public, "--recipient", key.recipient, "--runs", "3", "--until", "2090-01-01")
        host = ("--host", elsewhere.host_url)
        waykeep("algo", "qr", found.digest, *host, *asked, "--purpose", "to count & compare", "-o", str(poster))
        said = waykeep("approve", "--qr", str(poster), "--yes", "-o", str(ticket), *own(person)).stdout
    assert "Granted study 1.0.0" in said and "to count & compare" in said and "3 times in all" in said
    opened = tickets.read(ticket)
    assert opened.chain.holder == key.signer.public and opened.grant.runs == 3
    with person.account() as device:
        assert isinstance(device.log().entries[-1][1].body, Granted)
        assert bundle.load(device.host.bundle(found.digest)).digest == found.digest


def test_a_new_version_shows_what_changed(person: Person) -> None:
    old, new = publish(person, algorithms.slow()), publish(person, newer())
    first = waykeep("approve", old, "--set", "rounds=0", *own(person)).stdout
    assert "instead of" not in first
    with person.account() as device:
        (approval,) = device.log().approvals.values()
        assert isinstance(approval, Approved)
    host = ("--host", person.stage.host_url)
    uri = json.loads(waykeep("algo", "qr", new, *host, "--json").stdout)["uri"]
    shown = waykeep("approve", "--uri", uri, *own(person), code=DeviceError.exit_code).stdout
    assert "slow 1.1.0, instead of slow 1.0.0" in shown and "What is wider than before" in shown
    assert "lat_e7" in shown and "-        pass" in shown and "+        continue" in shown
    told = waykeep("algo", "diff", old, new, *host).stdout
    assert "slow 1.1.0, instead of slow 1.0.0" in told
    assert json.loads(waykeep("algo", "diff", old, new, *host, "--json").stdout)["widened"]


def test_only_what_somebody_reviewed(person: Person, tmp_path: Path) -> None:
    found, archive = algorithms.slow("reviewed")
    publish(person, (found, archive))
    file, statement = tmp_path / "reviewer.key", tmp_path / "review"
    reviewer = json.loads(waykeep("grant", "key", "--file", str(file), "--json").stdout)["holder"]
    waykeep("approve", found.digest, f"--vetted-by={reviewer}", "--set", "rounds=0", *own(person))
    run = ("run", found.digest, *own(person))
    assert "review-missing" in waykeep(*run, code=AuthorityError.exit_code).stderr
    host = ("--host", person.stage.host_url)
    word = ("--until", "2090-01-01", "--words", "read all of it", "-o", str(statement))
    said = json.loads(waykeep("algo", "review", found.digest, "--file", str(file), *host, *word, "--json").stdout)
    assert (said["reviewer"], said["digest"]) == (reviewer, found.digest)
    assert "rows: 50" in waykeep(*run, "--review", str(statement)).stdout
    old = ("--until", "2020-01-01", "--words", "read", "-o", str(statement))
    assert reviewer in waykeep("algo", "review", found.digest, "--file", str(file), *host, *old).stdout.replace(
        "\n", ""
    )
    assert "review-missing" in waykeep(*run, "--review", str(statement), code=AuthorityError.exit_code).stderr
