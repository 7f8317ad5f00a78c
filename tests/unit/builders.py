"""Owners, logs, segments and evidence with real keys. Signing keys are seeded by a name; age keys are not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from waykeep.attestation import claims as claims_buffer
from waykeep.attestation import evidence as evidence_format
from waykeep.attestation import insecure
from waykeep.attestation.appraisal import Policy, ReferenceValues
from waykeep.attestation.claims import Claims
from waykeep.attestation.evidence import (
    AGGREGATOR,
    ALGORITHM,
    USER_CLOUD,
    WORKLOAD_TYPE,
    Evidence,
    PlatformEvidence,
    SignerBinding,
    WorkloadClaims,
)
from waykeep.authority import controls, dsse, journal, keys, ownerlog
from waykeep.authority import segment as sealing
from waykeep.authority.journalstate import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Approved, Granted
from waykeep.authority.records import JOURNAL_TYPE, Detail, JournalObject, JournalRecord, SegmentEntry
from waykeep.authority.scopes import Scope
from waykeep.authority.statements import (
    EPOCH_TYPE,
    INCEPTION_TYPE,
    OWNER_ENTRY_TYPE,
    ROTATION_TYPE,
    AuthorityRotated,
    Body,
    DeviceAdded,
    EpochOpened,
    EpochStatement,
    Inception,
    OwnerEntry,
    RecipientsNamed,
    Rotation,
    StateKeyNamed,
    WitnessNamed,
    WriterAdded,
)
from waykeep.channel.trust import Trust
from waykeep.errors import WaykeepError
from waykeep.formats import agefile, streams, table
from waykeep.formats.ids import Digest, OwnerId, PublicKey, b64, owner_id, sha256
from waykeep.formats.segment import SegmentHeader
from waykeep.formats.wire import encode_json
from waykeep.vault.segments import EpochKey

NOW_MS = 1_466_380_800_000
"""2016-06-20 UTC: the clock of every test here."""
SUPERVISOR, CLOUD_CODE, ALGORITHM_CODE = "measured-supervisor", "measured-cloud", "measured-algorithm"
AGGREGATOR_CODE = "measured-aggregator"
ISOLATION = ("not-dumpable", "own-uid")
SANDBOX = ("landlock", "seccomp")
NODE_SECRET, NODE_RECIPIENT = agefile.generate()
"""The node's key of every `Installation` here."""


@contextmanager
def refused(rule: str, kind: type[WaykeepError] = WaykeepError) -> Iterator[None]:
    """The block must raise a typed refusal of exactly this rule."""
    with pytest.raises(kind) as caught:
        yield
    assert caught.value.rule == rule, caught.value


def key(name: str) -> SigningKey:
    """The same key for the same name."""
    return SigningKey(hashlib.sha256(name.encode()).digest())


# -- owners and their logs ---------------------------------------------------------------------------------------------


@dataclass
class Owner:
    """An owner as their device knows them: every secret, and the log so far.

    Attributes:
        turns: How often the authority was replaced. Keys that come next are those of `turned`.
        folded: The state that was asked for last, from which the next one is folded on.
    """

    name: str
    log_secret: str
    recovery_secret: str
    epoch_secrets: dict[int, str]
    envelopes: list[bytes] = field(default_factory=list)
    epochs: dict[int, bytes] = field(default_factory=dict)
    turns: int = 0
    folded: OwnerState | None = field(default=None, repr=False, compare=False)

    @property
    def authority(self) -> SigningKey:
        return self.turned("authority", self.turns)

    @property
    def control(self) -> SigningKey:
        return self.turned("control", self.turns)

    def turned(self, role: str, turn: int) -> SigningKey:
        """The authority or control key after so many rotations."""
        return key(f"{self.name}/{role}" + (f"/{turn}" if turn else ""))

    @property
    def device(self) -> SigningKey:
        return key(f"{self.name}/device")

    @property
    def writer(self) -> SigningKey:
        """An importer."""
        return key(f"{self.name}/writer")

    @property
    def phone(self) -> SigningKey:
        """A writer that signs what it recorded itself."""
        return key(f"{self.name}/phone")

    @property
    def state_key(self) -> SigningKey:
        return key(f"{self.name}/state")

    @property
    def inception(self) -> Inception:
        return Inception(
            version=1,
            authority=self.turned("authority", 0).public,
            next_authority=keys.key_digest(self.turned("authority", 1).public),
            control=self.commitment(0),
            next_control=self.commitment(1),
        )

    def commitment(self, turn: int) -> Digest:
        return keys.commitment(control_salt(turn), self.turned("control", turn).public)

    @property
    def id(self) -> OwnerId:
        return owner_id(encode_json(self.inception))

    @property
    def log_recipients(self) -> tuple[str, str]:
        return agefile.recipient_of(self.log_secret), agefile.recipient_of(self.recovery_secret)

    @property
    def state(self) -> OwnerState:
        kept = self.folded
        if kept is None or [sha256(e) for e in self.envelopes[kept.head.number :][:1]] != [kept.head.digest]:
            kept = ownerlog.begin(self.id, self.envelopes[0])
        self.folded = ownerlog.fold(kept, self.envelopes[kept.head.number + 1 :])
        return self.folded

    @property
    def epoch_keys(self) -> dict[int, EpochKey]:
        return {n: EpochKey(n, s, agefile.recipient_of(s)) for n, s in self.epoch_secrets.items()}

    def entry(self, body: Body, signer: SigningKey | None = None, /, **changes: Any) -> bytes:
        """An envelope that follows the log; ``changes`` replace fields of its entry before it is signed."""
        entry = OwnerEntry(self.id, len(self.envelopes), sha256(self.envelopes[-1]), NOW_MS, body)
        payload = encode_json(msgspec.structs.replace(entry, **changes))
        return dsse.sign(OWNER_ENTRY_TYPE, payload, signer or self.authority)

    def add(self, body: Body, signer: SigningKey | None = None) -> OwnerState:
        return self._put(self.entry(body, signer))

    def _put(self, envelope: bytes) -> OwnerState:
        """The state with one more entry; where the log refuses it, it is as it was."""
        ownerlog.fold(self.state, [envelope])
        self.envelopes.append(envelope)
        return self.state

    def again(self) -> Owner:
        """The same owner, whose log goes another way from here."""
        return replace(
            self, envelopes=list(self.envelopes), epochs=dict(self.epochs), epoch_secrets=dict(self.epoch_secrets)
        )

    def rotation(self, **changes: Any) -> bytes:
        """The envelope of the next public rotation, by the key from the owner's paper."""
        turn = self.turns + 1
        new = self.turned("authority", turn)
        following = keys.key_digest(self.turned("authority", turn + 1).public)
        said = msgspec.structs.replace(Rotation(self.id, turn, new.public, following), **changes)
        return dsse.sign(ROTATION_TYPE, encode_json(said), new)

    def rotated(self, void_from: int | None = None, **changes: Any) -> AuthorityRotated:
        """The body of the next rotation's entry, which the next authority signs."""
        turn = self.turns + 1
        made = AuthorityRotated(
            rotation=self.rotation().decode(),
            control=self.control_rotation(turn),
            void_from=void_from,
        )
        return msgspec.structs.replace(made, **changes)

    def control_rotation(self, turn: int) -> str:
        """The envelope of the rotation to the control key of a turn."""
        return controls.rotation(self.turned("control", turn), control_salt(turn), self.commitment(turn + 1))

    def rotate(self, void_from: int | None = None) -> OwnerState:
        state = self._put(self.entry(self.rotated(void_from), self.turned("authority", self.turns + 1)))
        self.turns += 1
        return state

    def witness(self, named: SigningKey, closed: str = "", turn: int | None = None) -> WitnessNamed:
        """The body that names a witness, under the control key in force or that of a ``turn``."""
        turn = self.turns if turn is None else turn
        control = self.turned("control", turn).public
        return WitnessNamed(named.public, "http://127.0.0.1:1", control, b64(control_salt(turn)), closed)

    def open_epoch(self, number: int) -> OwnerState:
        secret, recipient = agefile.generate()
        self.epoch_secrets[number] = secret
        self.epochs[number] = epoch_statement(self, number, recipient)
        return self.add(EpochOpened(number, sha256(self.epochs[number]), recipient))


def control_salt(turn: int) -> bytes:
    """What opens the commitment to the control key after so many rotations."""
    return bytes([ord("s") + turn]) * controls.SALT_BYTES


def epoch_statement(owner: Owner, number: int, recipient: str, signer: SigningKey | None = None) -> bytes:
    statement = EpochStatement(owner.id, number, recipient, NOW_MS + 86_400_000)
    return dsse.sign(EPOCH_TYPE, encode_json(statement), signer or owner.authority)


def born(name: str = "anna") -> Owner:
    """An owner whose log holds its inception and nothing else."""
    owner = Owner(name, agefile.generate()[0], agefile.generate()[0], {})
    owner.envelopes.append(dsse.sign(INCEPTION_TYPE, encode_json(owner.inception), owner.authority))
    return owner


def an_owner(name: str = "anna") -> Owner:
    """An owner with recipients, a device, two writers, epoch 1 and a state key: a log of seven entries."""
    owner = born(name)
    for body in (
        RecipientsNamed(*owner.log_recipients),
        DeviceAdded(owner.device.public, "laptop"),
        WriterAdded(owner.writer.public, "importer", "imported"),
        WriterAdded(owner.phone.public, "phone", "signed"),
    ):
        owner.add(body)
    owner.open_epoch(1)
    owner.add(StateKeyNamed(owner.state_key.public), owner.device)
    return owner


def an_approval(**changes: Any) -> Approved:
    """Over a second of data; ``changes`` are of its fields, or of its scope's."""
    scope = Scope(
        streams={"location": ("lat_e7", "ts_ms")},
        parameters={"exact": (True,), "mode": ("fast",), "stay_radius_m": (100, 200)},
        from_ms=NOW_MS,
        to_ms=NOW_MS + 1000,
    )
    return scoped(Approved(sha256(b"bundle"), "trips 1.0.0", scope, "derived/trips"), changes)


A = TypeVar("A", Approved, Granted)


def scoped(allowed: A, changes: dict[str, Any]) -> A:
    """With some fields changed: of it, or of its scope."""
    of_scope = {name: value for name, value in changes.items() if name in Scope.__struct_fields__}
    own = {name: value for name, value in changes.items() if name not in of_scope}
    return msgspec.structs.replace(allowed, **{"scope": msgspec.structs.replace(allowed.scope, **of_scope), **own})


# -- journal -----------------------------------------------------------------------------------------------------------


def a_line(name: str = "a.age", **changes: Any) -> SegmentEntry:
    """A line of the catalogue."""
    line = SegmentEntry(
        name=name,
        stream="location",
        kind="recorded",
        epoch=1,
        writer=PublicKey("w" * 43),
        payload=sha256(name.encode()),
        source="imported",
        rows=1,
        rows_new=1,
        first_ms=NOW_MS,
        last_ms=NOW_MS,
        box=(0, 0, 1, 1),
    )
    return msgspec.structs.replace(line, **changes)


def a_record(
    owner: Owner, before: JournalState, detail: Detail, signer: SigningKey | None = None, /, **changes: Any
) -> JournalObject:
    """A record that follows ``before``; ``changes`` replace its fields before it is signed."""
    salt = b"0" * journal.SALT_BYTES
    record = JournalRecord(
        owner=owner.id,
        number=0 if before.head is None else before.head.number + 1,
        previous=None if before.head is None else before.head.digest,
        owner_head=owner.state.head,
        detail=journal.commit(salt, detail),
    )
    payload = encode_json(msgspec.structs.replace(record, **changes))
    return JournalObject(dsse.sign(JOURNAL_TYPE, payload, signer or owner.state_key).decode(), b64(salt), detail)


# -- segments ----------------------------------------------------------------------------------------------------------


def points(count: int = 3, *, first_ms: int = NOW_MS, step_ms: int = 1000, write_ms: int | None = None) -> pa.Table:
    """A track of ``count`` points."""
    times = np.arange(count, dtype="int64") * step_ms + first_ms
    written = times if write_ms is None else np.full(count, write_ms, "int64")
    nothing = pa.nulls(count, pa.int32())
    columns = {
        "ts_ms": times,
        "write_ms": written,
        "lat_e7": np.arange(count, dtype="int32") + 525_000_000,
        "lon_e7": np.arange(count, dtype="int32") + 134_000_000,
        "accuracy_cm": pa.array([500] * count, pa.int32()),
        "altitude_cm": nothing,
        "speed_cm_s": nothing,
        "heading_cdeg": nothing,
        "zone": ["Europe/Berlin"] * count,
    }
    return table.conform(pa.table(columns), "location")


def empty(stream: str) -> pa.Table:
    return streams.schema(stream).empty_table()


def a_header(owner: Owner, parquet: bytes, rows: int, /, **changes: Any) -> SegmentHeader:
    epoch = max(owner.epoch_secrets)
    header = SegmentHeader(
        owner=owner.id,
        kind="recorded",
        stream="location",
        epoch=epoch,
        number=0,
        recipient=agefile.recipient_of(owner.epoch_secrets[epoch]),
        payload=sha256(parquet),
        payload_length=len(parquet),
        rows=rows,
        source="imported",
    )
    return msgspec.structs.replace(header, **changes)


def a_segment(owner: Owner, rows: pa.Table | None = None, signer: SigningKey | None = None, /, **changes: Any) -> bytes:
    """A segment as the owner's importer uploads it; ``changes`` replace fields of its header before it is signed."""
    rows = points() if rows is None else rows
    parquet = table.to_parquet(rows)
    return sealing.seal(a_header(owner, parquet, rows.num_rows, **changes), parquet, signer or owner.writer)


# -- evidence ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Installation:
    """A software root, and a supervisor that it quotes."""

    name: str = "node"
    measurement: str = SUPERVISOR
    quoted_ms: int = NOW_MS - 1000

    @property
    def root(self) -> SigningKey:
        return key(f"{self.name}/root")

    @property
    def signer(self) -> SigningKey:
        return key(f"{self.name}/supervisor")

    def platform(self) -> PlatformEvidence:
        binding = SignerBinding(self.signer.public, self.quoted_ms, NODE_RECIPIENT)
        quote = insecure.quote(self.root, self.measurement, binding.report_data())
        return PlatformEvidence(insecure.PLATFORM, quote, binding)

    def workload(self, claims: bytes, signer: SigningKey | None = None, **changes: Any) -> bytes:
        """Workload evidence for a user cloud of `an_owner`, over a claims buffer."""
        said = WorkloadClaims(
            workload=USER_CLOUD,
            measurement=CLOUD_CODE,
            binding=BOUND,
            report_data=claims_buffer.report_data(claims).hex(),
            isolation=ISOLATION,
            sandbox=(),
        )
        payload = encode_json(msgspec.structs.replace(said, **changes))
        return dsse.sign(WORKLOAD_TYPE, payload, signer or self.signer)

    def evidence(self, claims: bytes, **changes: Any) -> bytes:
        return evidence_format.encode(Evidence(self.platform(), self.workload(claims, **changes)))

    def trust(self, **changes: Any) -> Trust:
        """What a device demands; ``changes`` replace fields of its policy."""
        policy = Policy(
            platforms=(insecure.PLATFORM,),
            max_age_ms=60_000,
            max_skew_ms=5_000,
            isolation=ISOLATION,
            sandbox={USER_CLOUD: (), AGGREGATOR: (), ALGORITHM: SANDBOX},
        )
        code = {USER_CLOUD: (CLOUD_CODE,), ALGORITHM: (ALGORITHM_CODE,), AGGREGATOR: (AGGREGATOR_CODE,)}
        references = ReferenceValues((SUPERVISOR,), code)
        return Trust({insecure.PLATFORM: self.root.public}, references, msgspec.structs.replace(policy, **changes))


BOUND = "b" * 52
"""The owner id that evidence is bound to unless a test says otherwise."""
CHANNEL, NONCE = b"c" * 32, b"n" * 32
CLAIMS = claims_buffer.encode(Claims(CHANNEL, NONCE))
A_DIGEST: Digest = sha256(b"something")
