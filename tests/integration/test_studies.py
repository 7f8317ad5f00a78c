"""Studies: many people, one number, and nobody's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support import algorithms, node, stages
from tests.support.grants import HOUR_MS
from tests.support.people import refused
from tests.support.studies import MOST, YEAR_MS, Field, details_of
from tests.support.waiting import until
from tests.support.witness import running_witness
from waykeep.authority import queries
from waykeep.authority.keys import SigningKey
from waykeep.authority.participation import Contributed, Intended, StudyDebited
from waykeep.authority.studies import Parts
from waykeep.device import memberships, researcher, studywords
from waykeep.device.account import now_ms
from waykeep.device.hostclient import HostClient
from waykeep.device.researcher import Places
from waykeep.errors import DeviceError
from waykeep.formats.ids import sha256
from waykeep.host.ports import HostLimits
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

PLACES = HostLimits().algorithms
ROUNDS = 10_000_000  # some three tenths of a second


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with running_witness(tmp_path_factory.mktemp("witness"), tokens=50) as witness, stages.running() as stage:
        yield Field(stage, witness)


def test_people_who_sleep_answer_a_study(field: Field) -> None:
    envelope = field.study(title="asleep")
    people = [field.member(f"asleep{n}", envelope, rows=rows) for n, rows in enumerate((5, 10, 200, 0))]
    published = field.run(envelope)
    checked, result = researcher.verify(published, field.stage.trust())
    release = checked.release
    # 200 rows count as MOST, and no rows as the default.
    (answer,) = release.answers
    assert answer.values == (5 + 10 + MOST,)
    assert release.cohort == checked.signed.study.minimum == 2
    assert answer.interval == queries.interval(checked.signed.study.questions[0])
    assert result.workload == "aggregator"
    for person, rule in zip(people, ("", "", "", "no-data"), strict=True):
        assert [len(details_of(person, kind)) for kind in (Intended, StudyDebited, Contributed)] == [1, 1, 1]
        assert details_of(person, Contributed)[0].defaulted == (rule,)


def test_nobody_is_rung_who_did_not_join_and_too_few_end_with_that_word_alone(field: Field) -> None:
    envelope = field.study(title="too few")
    member = field.member("alone", envelope)
    stranger = field.member("stranger")
    others = [p for p in field.stage.forked() if not p.is_cloud]
    with pytest.raises(DeviceError) as caught:
        field.run(envelope)
    assert caught.value.rule == "query-ended" and "too-few" in caught.value.message
    # Nothing is left to fetch: the aggregator gives its place back.
    until(lambda: [p for p in field.stage.forked() if not p.is_cloud] == others, "the aggregator has ended")
    # It said that it takes part, and nothing was debited.
    assert [len(details_of(member, kind)) for kind in (Intended, StudyDebited, Contributed)] == [1, 0, 0]
    assert details_of(stranger, Intended) == []
    with member.account() as device:
        assert memberships.listed(device)[0].debited == 0


def test_whoever_left_is_rung_no_more(field: Field) -> None:
    envelope = field.study(title="leaving", minimum=2)
    stay = [field.member(f"stays{n}", envelope, rows=7) for n in range(2)]
    left = field.member("leaves", envelope, rows=7)
    digest = sha256(envelope)
    with left.account() as device:
        assert memberships.leave(device, digest).debited == 0
        with refused("study-not-joined", "device"):
            memberships.leave(device, digest)
        with refused("log-study", "authority"):
            memberships.join(device, envelope)
    checked, _ = researcher.verify(field.run(envelope), field.stage.trust())
    assert checked.release.answers[0].values == (14,)
    assert details_of(left, Intended) == []
    assert all(details_of(person, Contributed) for person in stay)


def test_a_failing_algorithm_answers_the_default_and_its_owner_is_told(field: Field) -> None:
    broken = algorithms.slow("broken", b"def run(tables, parameters):\n    raise ValueError('home')\n")
    asked = field.question(algorithm=broken[0].digest, bounds=Bounds(1, 0, MOST, default=9), name="broken")
    envelope = field.study(title="failing", questions=(field.question(), asked))
    people = [field.member(f"failing{n}", envelope, rows=3, bundles=[broken]) for n in range(2)]
    checked, _ = researcher.verify(field.run(envelope), field.stage.trust())
    assert [answer.values for answer in checked.release.answers] == [(6,), (18,)]
    for person in people:
        (sent,) = details_of(person, Contributed)
        assert sent.defaulted[0] == "" and sent.defaulted[1] not in ("", "no-data")


def test_every_question_has_its_time_however_many_wait_for_services(field: Field) -> None:
    """All but one of the places are taken, so who answers a second question waits longer for it than it may take."""
    asked = field.question()
    busy = msgspec.structs.replace(asked, scope=msgspec.structs.replace(asked.scope, parameters={"rounds": (ROUNDS,)}))
    envelope = field.study(title="waiting", questions=(busy, field.question(name="second")))
    people = [field.member(f"waiting{n}", envelope, rows=3) for n in range(8)]
    for _ in range(PLACES - 1):
        node.launch_algorithm(field.stage.socket, field.bundle.digest, field.archive)
    checked, _ = researcher.verify(field.run(envelope), field.stage.trust())
    assert [answer.values for answer in checked.release.answers] == [(24,), (24,)]
    assert [details_of(person, Contributed)[0].defaulted for person in people] == [("", "")] * 8


def test_a_study_that_cannot_be_joined_is_refused_by_name(field: Field) -> None:
    person = field.member("careful", asleep=False)
    other_code = field.study(aggregator=Parts(("sha256:" + "0" * 64,), ("sha256:" + "0" * 64,)))
    over = field.study(starts_ms=now_ms() - 6 * HOUR_MS)
    wrong = field.study(questions=(field.question(value="nothing"),))
    stranger = field.study(questions=(field.question(algorithm=sha256(b"never published")),))
    with person.account() as device:
        for envelope, rule in (
            (other_code, "aggregator-unknown"),
            (over, "study-over"),
            (wrong, "study-mismatch"),
            (stranger, "bundle-unknown"),
        ):
            with refused(rule):
                memberships.join(device, envelope)
        for epsilon in (0.0, -1.0, float("nan"), float("inf"), 51.0):
            with refused("budget-malformed", "device"):
                memberships.set_budget(device, epsilon, YEAR_MS, now_ms())
        with refused("budget-malformed", "device"):
            memberships.set_budget(device, 1.0, HOUR_MS, now_ms())
        # What all had learned does not suffice for a study with hardly any noise.
        expensive = field.study(title="expensive", repetitions=3)
        memberships.join(device, expensive)
        with refused("log-budget", "authority"):
            memberships.set_budget(device, 3.0, YEAR_MS, now_ms())
        assert [each.signed.digest for each in memberships.listed(device)] == [sha256(expensive)]


def test_what_people_set_aside_is_shown(field: Field) -> None:
    envelope = field.study(title="shown", questions=(field.question(mechanism=Mechanism("laplace", 80.0)),))
    person = field.member("thrifty", asleep=False)
    with person.account() as device:
        memberships.set_budget(device, 3.0, YEAR_MS, now_ms() - HOUR_MS * 2)
        assert memberships.budget(device, now_ms()) is not None
        memberships.join(device, envelope)
        found = memberships.budget(device, now_ms())
        assert found is not None
        ((line, units),) = found.lines
        assert units == line.signed.study.span.units and found.left == found.total - units
        assert [title for title, _, _ in studywords.bars(found)] == ["shown", "left"]


def test_a_host_that_gives_another_study_is_found_out(field: Field) -> None:
    envelope = field.study(title="given")
    researcher.publish(field.stage.host_url, envelope)
    path = field.stage.store / "studies" / sha256(envelope).removeprefix("sha256:")
    path.write_bytes(field.study(title="other"))
    host = HostClient(field.stage.host_url)
    try:
        with refused("study-changed", "device"):
            memberships.found(host, sha256(envelope))
    finally:
        host.close()


def test_nobody_is_rung_for_a_study_that_was_stopped(field: Field) -> None:
    envelope = field.study(title="stopped")
    signed = researcher.publish(field.stage.host_url, envelope)
    with refused("request-signature", "authority"):
        researcher.stop(signed, SigningKey(bytes(32)), field.stage.host_url)
    researcher.stop(signed, field.key, field.stage.host_url)
    with refused("study-stopped", "host"):
        field.run(envelope)


def test_an_aggregator_that_is_not_there_or_has_nothing_is_told_by_name(field: Field, tmp_path: Path) -> None:
    envelope = field.study(title="nowhere")
    with refused("aggregator-unreachable", "host"):
        places = Places(field.stage.host_url, "http://127.0.0.1:1")
        researcher.run(envelope, 0, field.key, places, field.stage.trust(), now_ms)
    with refused("release-missing", "device"):
        researcher.read(tmp_path / "none")
    (tmp_path / "empty").write_text("{}")
    with refused("malformed", "format"):
        researcher.opened(tmp_path / "empty")
