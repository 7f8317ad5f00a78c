"""What entries of both logs say, in plain words."""

from __future__ import annotations

from waykeep.authority import studies
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.participation import Contributed, Intended, StudyDebited
from waykeep.authority.permissions import (
    AlgorithmRevoked,
    Approved,
    BudgetSet,
    EverythingRevoked,
    Granted,
    HolderRevoked,
    Joined,
    Lifted,
    LinkRevoked,
    Taking,
    Withdrawn,
    Withheld,
    kept_as,
)
from waykeep.authority.records import Debited, Detail, RunDone, SegmentsAccepted, Spent
from waykeep.authority.statements import (
    AuthorityRotated,
    Body,
    DeviceAdded,
    EpochOpened,
    KeyRevoked,
    NodeApproved,
    NodeWithdrawn,
    OwnerEntry,
    RecipientsNamed,
    Resumed,
    StateKeyNamed,
    StateKeyRetired,
    WitnessNamed,
    WitnessWaived,
    WriterAdded,
)
from waykeep.device import telling
from waykeep.formats.ids import Digest
from waykeep.formats.messages import Head
from waykeep.privacy import ledger

_TITLES: dict[type, str] = {
    DeviceAdded: "device",
    WriterAdded: "writer",
    KeyRevoked: "key revoked",
    RecipientsNamed: "log keys",
    EpochOpened: "epoch",
    StateKeyNamed: "user cloud",
    StateKeyRetired: "user cloud ended",
    NodeApproved: "node",
    NodeWithdrawn: "node withdrawn",
    WitnessNamed: "witness",
    WitnessWaived: "no witness",
    Resumed: "resume",
    AuthorityRotated: "id taken back",
    Approved: "approval",
    Granted: "grant",
    Joined: "study joined",
    BudgetSet: "budget",
    Withdrawn: "taken back",
    LinkRevoked: "link taken back",
    AlgorithmRevoked: "algorithm taken back",
    HolderRevoked: "holder taken back",
    EverythingRevoked: "everything taken back",
    Withheld: "withheld",
    Lifted: "withheld no longer",
    SegmentsAccepted: "data accepted",
    RunDone: "run",
    Debited: "debit",
    Spent: "run for another",
    Intended: "study asks",
    StudyDebited: "study debit",
    Contributed: "contribution",
}


def title(said: Body | Detail) -> str:
    return _TITLES[type(said)]


def entry(found: OwnerEntry) -> str:
    """What an entry of the owner log says."""
    body = found.body
    match body:
        case DeviceAdded():
            return f"Your device “{body.name}” was added."
        case WriterAdded():
            return f"The writer “{body.name}” may add data ({body.source})."
        case KeyRevoked():
            return f"The key {body.key[:12]}… of a device or writer was revoked: it signs for you no longer."
        case RecipientsNamed():
            return "Your log key and your recovery key were named: they can open your logs."
        case EpochOpened():
            return f"Epoch {body.number} began: new data is encrypted to its key."
        case StateKeyNamed():
            return "Your user cloud started with a new signing key, which your device accepted after appraising it."
        case StateKeyRetired():
            return f"The signing key {body.key[:12]}… of a user cloud was retired."
        case NodeApproved():
            return f"The node “{body.name}” was approved: on it your user cloud may wake without you."
        case NodeWithdrawn():
            return f"The node {body.recipient[:12]}… was withdrawn: your user cloud wakes there no longer."
        case Approved():
            return _approval(body)
        case Granted():
            return _grant(body)
        case Joined():
            signed = studies.open_(body.study.encode())
            return f"You joined the study “{signed.study.title}” ({signed.digest[:19]}…), which may ask until it ends."
        case BudgetSet():
            total = f"epsilon {ledger.epsilon_at(body.total):.2f} at delta {ledger.DELTA:g}"
            return f"All studies together may learn {total} in each {telling.duration(body.period_ms)}."
        case WitnessNamed() | WitnessWaived() | Resumed() | AuthorityRotated():
            return _turning(body, found.number)
        case _:
            return _taking(body)


def _taking(body: Taking) -> str:
    match body:
        case Withdrawn():
            return f"You took back what entry {body.number} allowed."
        case LinkRevoked():
            return f"You took back what {body.issuer[:12]}… passed on of grant {body.grant} to {body.holder[:12]}…."
        case AlgorithmRevoked():
            return f"You took back all that the algorithm {body.algorithm[:19]}… was allowed."
        case HolderRevoked():
            return f"You took back all that the key {body.holder[:12]}… was allowed."
        case EverythingRevoked():
            return "You took back everything that you had allowed."
        case Withheld():
            return f"You withhold {telling.withheld(body)}: no algorithm and nobody else gets it, until you lift it."
        case Lifted():
            return f"You withhold no longer what entry {body.number} took out."


def _turning(body: WitnessNamed | WitnessWaived | Resumed | AuthorityRotated, number: int) -> str:
    match body:
        case WitnessNamed():
            moved = ", to which you moved from the one before" if body.closed else ""
            return f"Your witness is the one at {body.url}{moved}. Nothing is done for others without it."
        case WitnessWaived():
            return f"You do without a witness. {body.words}"
        case Resumed():
            return (
                f"Your journal goes on from {_record(body.head)}; what came after it, up to {_record(body.replaces)}, "
                "was lost. Every grant before this counts as used up."
            )
        case AuthorityRotated():
            void = "" if body.void_from is None or body.void_from == number else body.void_from
            made_void = f" Entries {void} to {number - 1} have no effect." if void else ""
            return f"Your paper took your id back: no device and no user cloud from before is yours.{made_void}"


def _record(head: Head | None) -> str:
    return "the beginning" if head is None else f"record {head.number}"


def _approval(approval: Approved) -> str:
    stream = kept_as(approval, approval.scope)
    kept = f" Results are kept as {stream}." if stream else " Results are not kept."
    return f"You approved {approval.name} ({approval.algorithm[:19]}…) to read {_data(approval)}.{kept}"


def _grant(grant: Granted) -> str:
    until = "ever" if grant.scope.until_ms is None else f"{telling.minute(grant.scope.until_ms)} UTC"
    code = "" if grant.algorithm is None else f" ({grant.algorithm[:19]}…)"
    return (
        f"You granted {grant.name}{code} to the key {grant.holder[:12]}…: {grant.runs} runs until "
        f"{until}, to read {_data(grant)}."
    )


def _data(allowed: Approved | Granted) -> str:
    scope = allowed.scope
    data = ", ".join(f"{stream} ({len(columns)} columns)" for stream, columns in (scope.streams or {}).items())
    return f"{data}, {telling.when(scope)}, {telling.where(scope)}, {telling.precision(scope)}"


def detail(said: Detail, log: OwnerState) -> str:
    """What a record of the journal says."""
    match said:
        case SegmentsAccepted(segments):
            rows = sum(line.rows_new for line in segments)
            writers = {log.writers[line.writer].name for line in segments if line.writer in log.writers}
            streams = ", ".join(sorted({line.stream for line in segments}))
            by = ", ".join(sorted(writers)) or "a writer that was revoked since"
            return f"{rows} new rows were accepted in {len(segments)} segments ({streams}) from {by}."
        case RunDone():
            kept = f" and were kept as {said.stored.stream}" if said.stored else ""
            came = f"{said.name} read {sum(said.rows_in.values())} rows; {said.rows_out} rows came out{kept}."
            return f"{came} Its signed receipt lies in your journal."
        case Debited():
            by = f", passed on {len(said.links)} times" if said.links else ""
            return f"One run of grant {said.grant} was used by the key {said.holder[:12]}…{by}, for one recipient."
        case Spent() if said.failed:
            return f"{said.name} gave nothing ({said.failed}). Its holder is not told why."
        case Spent():
            came = f"{said.name} read {sum(said.rows_in.values())} rows; {said.rows_out} rows were given to the holder."
            return f"{came} Its signed receipt lies in your journal."

        case Intended():
            return f"A query of the study {_study(said.study, log)} was found right, and told that you take part."
        case StudyDebited():
            asked = f"Repetition {said.query.repetition + 1} of the study {_study(said.query.study, log)}"
            return f"{asked} was debited from your budget, for one query and its aggregator."
        case Contributed():
            without = [rule for rule in said.defaulted if rule]
            words = f"; {len(without)} of its questions got the default ({', '.join(sorted(set(without)))})"
            read = f"{sum(said.rows_in.values())} rows were read for the study {_study(said.study, log)}"
            return f"{read}, and a bounded answer was sent{words if without else ''}."


def _study(digest: Digest, log: OwnerState) -> str:
    titles = (signed.study.title for signed in log.joined.values() if signed.digest == digest)
    return f"“{next(titles, digest[:19])}”"


def time_of(said: Detail) -> int | None:
    """When it happened, in ms since 1970, where the record says so."""
    return said.time_ms if isinstance(said, RunDone | Spent | Contributed) else None
