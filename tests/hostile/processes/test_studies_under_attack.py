"""A host, an aggregator's operator and a researcher who try to learn more of somebody than a study's releases."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import waykeep
from tests.support import stages
from tests.support.asking import Asked, ring
from tests.support.people import Person, refused
from tests.support.stages import kill
from tests.support.studies import MOST, Field, details_of
from tests.support.waiting import until
from tests.support.witness import running_witness
from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority import studies
from waykeep.authority.participation import Contributed, Intended, StudyDebited
from waykeep.authority.studies import Parts
from waykeep.channel.client import AttestedClient
from waykeep.device import researcher
from waykeep.device.account import now_ms
from waykeep.device.hostclient import HostClient
from waykeep.device.researcher import Places
from waykeep.errors import WaykeepError
from waykeep.formats.ids import query_binding, sha256
from waykeep.formats.messages import Address, OpenQuery, Rings, StartQuery
from waykeep.formats.wire import encode_json
from waykeep.privacy.mechanisms import Mechanism
from waykeep.supervisor.measure import reference_values


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with running_witness(tmp_path_factory.mktemp("witness"), tokens=60) as witness, stages.running() as stage:
        yield Field(stage, witness)


def counts(person: Person) -> list[int]:
    """Intents, debits and answers in somebody's journal."""
    return [len(details_of(person, kind)) for kind in (Intended, StudyDebited, Contributed)]


def test_an_aggregator_with_another_measurement_gets_nothing(field: Field) -> None:
    envelope = field.study(title="other code")
    people = [field.member(f"code{n}", envelope) for n in range(2)]
    with tempfile.TemporaryDirectory(prefix="waykeep-source-") as name:
        package = Path(name) / "waykeep"
        shutil.copytree(Path(waykeep.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        text = (package / "aggregator" / "query.py").read_bytes()
        (package / "aggregator" / "query.py").write_bytes(text[:-1] + b" ")
        with stages.running(source=Path(name), root_of=field.stage) as other:
            url = other.start_aggregator()
            with refused("workload-measurement-unknown", "attestation"):
                places = Places(field.stage.host_url, url)
                researcher.run(envelope, 0, field.key, places, field.stage.trust(), now_ms)
            # A researcher who is in league with it believes it; those who take part do not.
            changed = reference_values(package)
            asked = Asked(field, envelope, url=url, parts=Parts(changed.supervisor, changed.workloads[AGGREGATOR]))
            assert ring(field, envelope, asked.address) == {"workload-measurement-unknown": 2}
            asked.close()
    assert [counts(person) for person in people] == [[0, 0, 0]] * 2


def test_the_right_one_asked_twice_with_shifted_cohorts_learns_no_more_than_one_release(field: Field) -> None:
    envelope = field.study(title="shifted")
    people = [field.member(f"shift{n}", envelope, rows=4) for n in range(2)]
    checked, _ = researcher.verify(field.run(envelope), field.stage.trust())
    assert checked.release.answers[0].values == (8,)
    # Somebody more joins, so that the difference would be theirs. Those who were asked say no: it is their period.
    later = field.member("shift-later", envelope, rows=9)
    asked = Asked(field, envelope)
    assert ring(field, envelope, asked.address) == {"refused": 2, "gathering": 1}
    asked.freeze()
    assert (asked.status.phase, asked.status.ended) == ("ended", "too-few")
    asked.close()
    assert [counts(person) for person in people] == [[1, 1, 1]] * 2
    assert counts(later) == [1, 0, 0]


def test_one_restarted_in_the_middle_is_another_query_and_gets_nothing_of_who_was_debited(field: Field) -> None:
    now = now_ms()
    envelope = field.study(
        title="restarted",
        starts_ms=now - 1000,
        period_ms=12_000,
        periods=100,
        repetitions=1,
        gather_ms=8000,
        answer_ms=3500,
        deadline_ms=300,
    )
    people = [field.member(f"restart{n}", envelope, rows=4) for n in range(2)]
    study = studies.open_(envelope).study
    until(lambda: (now_ms() - study.starts_ms) % study.period_ms < 3000, "a period has just begun", 30)
    asked = Asked(field, envelope)
    assert ring(field, envelope, asked.address) == {"gathering": 2}
    asked.freeze()
    assert ring(field, envelope, asked.address) == {"answered": 2}
    # All have answered, and are killed before anybody could have fetched what came of it.
    for process in field.stage.forked():
        kill(process)
    asked.close()
    assert [counts(person) for person in people] == [[1, 1, 1]] * 2
    period = (now_ms() - study.starts_ms) // study.period_ms
    until(lambda: (now_ms() - study.starts_ms) // study.period_ms > period, "the next period", 30)
    again = Asked(field, envelope)
    assert ring(field, envelope, again.address) == {"refused": 2}
    again.freeze()
    assert again.status.ended == "too-few"
    again.close()
    assert [counts(person) for person in people] == [[1, 1, 1]] * 2


def test_one_restarted_before_anybody_was_debited_tries_again_in_the_next_period(field: Field) -> None:
    envelope = field.study(
        title="tried again",
        starts_ms=now_ms(),
        period_ms=9000,
        periods=100,
        gather_ms=5000,
        answer_ms=3500,
        deadline_ms=300,
    )
    people = [field.member(f"again{n}", envelope, rows=4) for n in range(2)]
    study = studies.open_(envelope).study
    until(lambda: (now_ms() - study.starts_ms) % study.period_ms < 1500, "a period has just begun", 30)
    asked = Asked(field, envelope)
    assert ring(field, envelope, asked.address) == {"gathering": 2}
    kill(field.stage.listener(asked.address.port))
    asked.close()
    period = (now_ms() - study.starts_ms) // study.period_ms
    until(lambda: (now_ms() - study.starts_ms) // study.period_ms > period, "the next period", 30)
    checked, _ = researcher.verify(field.run(envelope), field.stage.trust())
    assert checked.release.answers[0].values == (8,)
    assert [counts(person) for person in people] == [[2, 1, 1]] * 2


def test_sybils_make_a_cohort_and_learn_one_bounded_noisy_number(field: Field) -> None:
    """Whoever knows what all others contributed knows the victim's answer with noise: what the owner agreed to."""
    question = field.question(mechanism=Mechanism("laplace", 200.0))
    envelope = field.study(title="sybils", questions=(question,), minimum=3)
    victim = field.member("victim", envelope, rows=200)
    for n in range(2):
        field.member(f"sybil{n}", envelope, rows=0)
    checked, _ = researcher.verify(field.run(envelope), field.stage.trust())
    (value,) = checked.release.answers[0].values
    assert value is not None
    (sent,) = details_of(victim, Contributed)
    assert sent.answers == (((0, MOST),),)
    # Of 200 rows 40 were sent, and noise of a scale of 200 hides even those: 20 scales away but once in 10**8.
    assert abs(value - MOST) < 20 * 200


def test_a_host_that_rings_twice_at_once_and_again_later_has_one_answer(field: Field) -> None:
    envelope = field.study(title="rung twice", deadline_ms=1000)
    people = [field.member(f"twice{n}", envelope, rows=3) for n in range(2)]
    asked = Asked(field, envelope)
    assert ring(field, envelope, asked.address) == {"gathering": 2}
    asked.freeze()
    host = HostClient(field.stage.host_url, None, field.key)
    refusals: list[str] = []

    def once_more() -> None:
        try:
            host.ring(sha256(envelope), Rings(0, asked.address))
        except WaykeepError as error:
            refusals.append(error.rule)

    first = threading.Thread(target=lambda: ring(field, envelope, asked.address))
    first.start()
    time.sleep(0.2)
    once_more()
    first.join()
    assert refusals == ["rings-under-way"]
    assert asked.status.phase == "released"
    host.close()
    try:
        # An aggregator that is still there, or is gone already, has nothing to say but that it is over.
        (outcome,) = ring(field, envelope, asked.address)
        assert outcome in ("refused", "query-over", "unreachable"), outcome
    finally:
        asked.close()
    assert [counts(person) for person in people] == [[1, 1, 1]] * 2


def test_a_host_that_names_another_address_reaches_nobody(field: Field) -> None:
    envelope, other = field.study(title="another address"), field.study(title="somebody else's")
    person = field.member("misled", envelope, other, rows=3)
    with person.account() as device:
        device.status()
        own = device.host.cloud()
    assert ring(field, envelope, own) == {"workload-mismatch": 1}
    assert ring(field, envelope, Address("127.0.0.1", 1)) == {"unreachable": 1}
    asked = Asked(field, other)
    assert ring(field, envelope, asked.address) == {"binding-mismatch": 1}
    asked.close()
    assert counts(person) == [0, 0, 0]


def test_an_aggregator_that_was_not_given_its_study_says_so(field: Field) -> None:
    envelope = field.study(title="unstarted")
    person = field.member("early", envelope)
    address = researcher.open_query(field.stage.aggregator_url, OpenQuery(sha256(envelope), 0))
    assert ring(field, envelope, address) == {"query-unstarted": 1}
    assert counts(person) == [0, 0, 0]
    with AttestedClient(
        address,
        workload=AGGREGATOR,
        binding=query_binding(sha256(envelope), 0),
        trust=field.stage.trust(),
        clock=now_ms,
        signer=field.key,
    ) as client:
        other = encode_json(StartQuery(field.study(title="another").decode(), field.stage.trust().to_message()))
        with refused("study-mismatch", "aggregator"):
            client.request("POST", "/v1/query", other)
        with refused("release-missing", "aggregator"):
            client.request("GET", "/v1/release")
