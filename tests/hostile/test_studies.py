"""Messages of studies that somebody made up, changed or sent elsewhere: each is refused by name, and counts nothing."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.support import algorithms
from tests.unit.builders import (
    AGGREGATOR_CODE,
    NOW_MS,
    Installation,
    an_owner,
    key,
    refused,
)
from tests.unit.studying import (
    HOUR_MS,
    RESEARCHER,
    a_query,
    a_question,
    a_study,
    joining,
    opened,
    signed,
)
from waykeep.aggregator import members
from waykeep.attestation import claims as claims_buffer
from waykeep.attestation.claims import Claims
from waykeep.attestation.evidence import AGGREGATOR, USER_CLOUD
from waykeep.authority import dsse, keys, memberships, queries, questions, studies
from waykeep.authority.contributing import check_intent
from waykeep.authority.participation import Intended
from waykeep.authority.permissions import Joined
from waykeep.authority.queries import Answer, Contribution, Intent, Published, Query, Release
from waykeep.device import researcher
from waykeep.errors import AttestationError, AuthorityError, FormatError
from waykeep.formats import agefile, answers, invitation
from waykeep.formats.ids import query_binding, sha256
from waykeep.formats.invitation import Invitation
from waykeep.formats.messages import Intending
from waykeep.formats.wire import encode_json
from waykeep.privacy.bounds import Bounds

STUDY = a_study(aggregator=studies.Parts(("measured-supervisor",), ("measured-aggregator",)))
SIGNED = opened(STUDY)
QUERY = a_query(SIGNED.digest)
MEMBER = key("member/state")


# -- intents -----------------------------------------------------------------------------------------------------------


def an_intending(installation: Installation, query: Query = QUERY, **changes: Any) -> Intending:
    """A member's intent with the evidence of its user cloud."""
    state = changes.pop("key", MEMBER)
    claims = claims_buffer.encode(Claims(keys.spki_digest(changes.pop("named", state).public), query.nonce))
    workload, owner = changes.pop("workload", USER_CLOUD), changes.pop("owner", "a" * 52)
    evidence = installation.evidence(claims, workload=workload, binding=owner)
    made = Intending(queries.intent(query, STUDY, state).decode(), evidence, claims)
    return msgspec.structs.replace(made, **changes)


def appraised(installation: Installation, asked: Intending) -> members.Member:
    return members.appraise(asked, QUERY, STUDY, installation.trust(), NOW_MS)


@pytest.fixture(scope="module")
def installation() -> Installation:
    return Installation()


def test_an_intent_with_its_evidence_is_a_member(installation: Installation) -> None:
    found = appraised(installation, an_intending(installation))
    assert (found.owner, found.key) == ("a" * 52, MEMBER.public)


def test_an_intent_to_another_query_is_refused(installation: Installation) -> None:
    for other in (a_query(SIGNED.digest, 1), a_query(SIGNED.digest, name="another"), a_query(sha256(b"other"))):
        with refused("intent-mismatch", AuthorityError):
            appraised(installation, an_intending(installation, other))
    lapsing = dsse.sign(queries.INTENT_TYPE, encode_json(Intent(QUERY.id, NOW_MS + 9 * HOUR_MS)), MEMBER)
    with refused("intent-mismatch", AuthorityError):
        appraised(installation, an_intending(installation, intent=lapsing.decode()))


def test_evidence_of_another_process_is_no_members(installation: Installation) -> None:
    """A host that holds one user cloud's evidence cannot make a member of a key of its own."""
    with refused("channel-mismatch", AttestationError):
        appraised(installation, an_intending(installation, named=key("another state key")))
    with refused("nonce-mismatch", AttestationError):
        other = an_intending(installation, a_query(SIGNED.digest, name="another"))
        mine = an_intending(installation)
        appraised(installation, Intending(mine.intent, other.evidence, other.claims))
    with refused("workload-mismatch", AttestationError):
        appraised(installation, an_intending(installation, workload="algorithm"))
    with refused("evidence-malformed", AttestationError):
        appraised(installation, an_intending(installation, owner="nobody"))
    with refused("quote-signature", AttestationError):
        appraised(installation, an_intending(Installation("another")))


# -- contributions -----------------------------------------------------------------------------------------------------


def sealed(said: Contribution, to: str, signer: Any = MEMBER, size: int = 0) -> bytes:
    padded = answers.pad(queries.contribution(said, signer), size or queries.contribution_size(STUDY))
    return agefile.seal(padded, [to])


def test_answers_all_have_one_length() -> None:
    found = set()
    for value in (0, 1, 40):
        said = Contribution(QUERY.id, (((0, value),) if value else (),), {"algorithm": "sha256:" + "0" * 64})
        found.add(len(answers.pad(queries.contribution(said, MEMBER), queries.contribution_size(STUDY))))
    assert len(found) == 1


def test_the_largest_answer_fits_and_a_larger_one_is_no_study() -> None:
    bound = Bounds(4096, 0, 10**9, 4096, 10**12)
    study = a_study(questions=tuple(a_question(name=f"q{n}", bounds=bound) for n in range(4)))
    cells = tuple((n, 2 * 10**8) for n in range(4096))
    code = "sha256:" + "0" * 64
    said = Contribution(QUERY.id, (cells,) * 4, {"supervisor": code, "user-cloud": code, "algorithm": code})
    envelope = queries.contribution(said, MEMBER)
    answers.pad(envelope, queries.contribution_size(study))
    assert queries.open_contribution(envelope, QUERY, study) == (said, MEMBER.public)
    axes = (studies.Axis("cell", 4096),)
    five = tuple(a_question(name=f"q{n}", bounds=bound, keys=axes) for n in range(5))
    with refused("study-cells", AuthorityError):
        studies.check(a_study(questions=five))


def test_an_answer_to_another_query_is_refused() -> None:
    secret, recipient = agefile.generate()
    for said in (
        Contribution(a_query(SIGNED.digest, name="another").id, ((),), {}),
        Contribution(QUERY.id, (), {}),
        Contribution(QUERY.id, ((), ()), {}),
    ):
        with refused("contribution-mismatch", AuthorityError):
            members.open_answer(sealed(said, recipient), secret, QUERY, STUDY)


@pytest.mark.parametrize("cells", [((0, 41),), ((0, -1),), ((1, 1),), ((0, 1), (0, 1)), ((0, 10**15),)])
def test_a_user_cloud_that_sends_out_of_bounds_is_refused(cells: tuple[tuple[int, int], ...]) -> None:
    secret, recipient = agefile.generate()
    with refused("contribution-bounds", AuthorityError):
        members.open_answer(sealed(Contribution(QUERY.id, (cells,), {}), recipient), secret, QUERY, STUDY)


def test_an_answer_for_another_recipient_or_cut_or_no_answer_is_refused() -> None:
    secret, recipient = agefile.generate()
    right = sealed(Contribution(QUERY.id, (((0, 3),),), {}), recipient)
    assert members.open_answer(right, secret, QUERY, STUDY)[0].answers == (((0, 3),),)
    with refused("age-not-ours", FormatError):
        members.open_answer(right, agefile.generate()[0], QUERY, STUDY)
    for cut, rule in (
        (right[:-1], "age-not-ours"),
        (right[:40], "age-header-too-large"),
        (b"", "age-malformed"),
        (b"x" * 100, "age-malformed"),
    ):
        with refused(rule, FormatError):
            members.open_answer(cut, secret, QUERY, STUDY)
    with refused("too-large", FormatError):
        members.open_answer(b"age-encryption.org/v1\n" + b"x" * 10**6, secret, QUERY, STUDY)
    with refused("malformed", FormatError):
        members.open_answer(agefile.seal(b"\xff\xff\xff\xff", [recipient]), secret, QUERY, STUDY)


# -- releases ----------------------------------------------------------------------------------------------------------

AGGREGATING = key("aggregator")


def a_release(**changes: Any) -> Release:
    made = Release(QUERY, (Answer((12,), queries.interval(STUDY.questions[0])),), 10, STUDY.cost, {})
    return msgspec.structs.replace(made, **changes)


def published(installation: Installation, release: Release | None = None, **changes: Any) -> Published:
    release = release or a_release()
    query = release.query
    claims = claims_buffer.encode(Claims(keys.spki_digest(query.key), query.nonce))
    envelope = dsse.sign(queries.RELEASE_TYPE, encode_json(release), changes.pop("signer", AGGREGATING))
    evidence = installation.evidence(
        changes.pop("quoted", claims),
        workload=changes.pop("workload", AGGREGATOR),
        measurement=AGGREGATOR_CODE,
        binding=changes.pop("binding", query_binding(query.study, query.repetition)),
    )
    made = Published(signed(STUDY).decode(), envelope.decode(), evidence, claims)
    return msgspec.structs.replace(made, **changes)


def test_a_release_is_checked_with_what_lies_in_it(installation: Installation) -> None:
    checked, result = researcher.verify(published(installation), installation.trust())
    assert checked.release == a_release() and result.measurement == "measured-aggregator"


@pytest.mark.parametrize(
    "changes",
    [
        {"cost": STUDY.cost - 1},
        {"cohort": 1},
        {"cohort": 1001},
        {"answers": ()},
        {"answers": (Answer((12, 13), 241),)},
        {"answers": (Answer((12,), 1),)},
        {"answers": (Answer((None,), queries.interval(STUDY.questions[0])),)},
        {"query": a_query(SIGNED.digest, 2)},
        {"query": a_query(SIGNED.digest, 0, 3)},
        {"query": a_query(sha256(b"another study"))},
    ],
)
def test_a_release_whose_figures_are_not_its_studys_is_refused(
    installation: Installation, changes: dict[str, Any]
) -> None:
    with refused("release-mismatch", AuthorityError):
        researcher.verify(published(installation, a_release(**changes)), installation.trust())


def test_a_release_that_somebody_else_signed_is_refused(installation: Installation) -> None:
    with refused("release-mismatch", AuthorityError):
        researcher.verify(published(installation, signer=key("somebody")), installation.trust())


def test_a_release_by_other_code_or_another_process_is_refused(installation: Installation) -> None:
    trust = installation.trust()
    with refused("workload-mismatch", AttestationError):
        researcher.verify(published(installation, workload=USER_CLOUD), trust)
    with refused("binding-mismatch", AttestationError):
        researcher.verify(published(installation, binding=query_binding(QUERY.study, 1)), trust)
    other = claims_buffer.encode(Claims(keys.spki_digest(key("another").public), QUERY.nonce))
    with refused("claims-mismatch", AttestationError):
        researcher.verify(published(installation, quoted=other), trust)
    with refused("channel-mismatch", AttestationError):
        researcher.verify(published(installation, quoted=other, claims=other), trust)
    stale = claims_buffer.encode(Claims(keys.spki_digest(QUERY.key), b"n" * 32))
    with refused("nonce-mismatch", AttestationError):
        researcher.verify(published(installation, quoted=stale, claims=stale), trust)
    with refused("workload-measurement-unknown", AttestationError):
        renamed = msgspec.structs.replace(STUDY, aggregator=studies.Parts(("measured-supervisor",), ("other code",)))
        query = a_query(sha256(signed(renamed)))
        made = published(installation, a_release(query=query))
        researcher.verify(msgspec.structs.replace(made, study=signed(renamed).decode()), trust)


# -- studies and invitations -------------------------------------------------------------------------------------------


def test_a_study_whose_bounds_were_widened_after_joining_is_another_one() -> None:
    owner, digest, _ = joining(name="widened")
    wider = a_study(questions=(a_question(bounds=Bounds(1, 0, 400)),))
    assert owner.state.member(sha256(signed(wider))) is None
    with refused("study-not-joined", AuthorityError):
        check_intent(owner.state, owner.state.head.number, Intended(sha256(signed(wider)), 0, QUERY.id))
    with refused("intent-mismatch", AuthorityError):
        check_intent(owner.state, owner.state.head.number, Intended(digest, 3, QUERY.id))


def test_log_study_and_log_budget_refuse_entries() -> None:
    owner = an_owner("without a budget")
    with refused("log-budget", AuthorityError):
        owner.add(Joined(signed(STUDY).decode()))
    owner, _, _ = joining(name="twice")
    with refused("log-study", AuthorityError):
        memberships.join(owner.state, Joined(signed(a_study()).decode()), 99)


def test_a_question_that_its_bundle_does_not_answer_is_refused() -> None:
    bundle, _ = algorithms.slow()
    right = a_question(algorithm=bundle.digest)
    questions.check(right, bundle)
    for changes in (
        {"algorithm": sha256(b"another")},
        {"value": "other"},
        {"keys": (studies.Axis("rows", 5),)},
        {"scope": msgspec.structs.replace(right.scope, streams={"location": ("lat_e7",)})},
        {"scope": msgspec.structs.replace(right.scope, parameters={})},
        {"scope": msgspec.structs.replace(right.scope, parameters={"rounds": (-1,)})},
    ):
        with refused("study-mismatch", AuthorityError):
            questions.check(msgspec.structs.replace(right, **changes), bundle)


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "waykeep:join?",
        "waykeep:approve?digest=sha256:" + "0" * 64 + "&host=http://h",
        "waykeep:join?digest=sha256:" + "0" * 63 + "&host=http://h",
        "waykeep:join?digest=sha256:" + "0" * 64,
        "waykeep:join?digest=sha256:" + "0" * 64 + "&host=ftp://h",
        "waykeep:join?digest=sha256:" + "0" * 64 + "&host=http://h/path",
        "waykeep:join?digest=sha256:" + "0" * 64 + "&host=http://h&more=1",
        "waykeep:join?digest=sha256:" + "0" * 64 + "&host=http://u@h",
        "waykeep:join?digest=sha256:" + "0" * 64 + "&host=http://h\n",
    ],
)
def test_an_invitation_that_is_none_is_refused(uri: str) -> None:
    with refused("invitation-malformed", FormatError):
        invitation.parse(uri)


def test_an_invitation_is_what_was_written() -> None:
    made = Invitation(SIGNED.digest, "https://[2001:db8::1]:8470/")
    assert invitation.parse(invitation.write(made)) == made
    assert SIGNED.researcher == RESEARCHER.public
