"""The owner's device at work: everything that a verb of the command line does for an owner, without printing."""

from __future__ import annotations

import secrets as randomness
import time
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from waykeep.attestation.appraisal import AttestationResult
from waykeep.authority import access, dsse
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerlog import OwnerState
from waykeep.authority.statements import HEAD_TYPE, Approved, EpochStatement, JournalHead, StateKeyNamed
from waykeep.channel.client import AttestedClient
from waykeep.device import owner
from waykeep.device.chain import OwnerChain, merge, remember
from waykeep.device.hostclient import HostClient
from waykeep.device.keystore import Lock, Secrets, load, save
from waykeep.device.outbox import Outbox
from waykeep.device.owner import NewOwner, Paper
from waykeep.device.profile import Folder, Profile
from waykeep.device.reaching import reach
from waykeep.device.receipts import check_receipt
from waykeep.errors import DeviceError
from waykeep.formats import agefile, table
from waykeep.formats.ids import Digest, PublicKey, b64, numbered, sha256
from waykeep.formats.messages import Accept, Accepted, Head, Run, RunResult, Status, Unlock, Unlocked, Value
from waykeep.formats.wire import MIB, decode_json, encode_json

Clock = Callable[[], int]
ACCEPT_AT_ONCE = 256
SETTLED = ("accepted", "known")
"""Outcomes after which the device need not keep a segment."""


def now_ms() -> int:
    """The device's clock: milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def create(
    folder: Folder,
    profile_of: Callable[[Secrets], Profile],
    lock: Lock,
    name: str,
    clock: Clock = now_ms,
    show: Callable[[Paper], None] = lambda paper: None,
) -> Paper:
    """Make an owner: registered at the host first, then kept on this device. Returns what goes on paper, once.

    The keystore comes last: with it the device has an owner, whose paper was shown. Before that nothing is lost with
    the keys, so where this fails or is cut off, a repetition makes another owner.

    Args:
        show: Shows the paper, before anything depends on it.

    Raises:
        DeviceError: ``folder-in-use``; HostError.
    """
    made = owner.create(name, clock(), randomness.token_bytes)
    profile = profile_of(made.secrets)
    folder.create(profile)
    try:
        _register(profile, made)
        show(made.paper)
        save(folder.keystore, made.secrets, lock)
    except BaseException:
        folder.discard()
        raise
    return made.paper


def _register(profile: Profile, made: NewOwner) -> None:
    host = HostClient(profile.host, made.secrets.owner, made.secrets.device_key)
    try:
        host.register(made.inception)
        host.put_key_list(1, made.key_list)
        recipients = [agefile.recipient_of(made.secrets.log), made.secrets.recovery_recipient]
        for number, entry in enumerate(made.entries):
            host.put("owner-log", numbered(number), agefile.seal(entry, recipients))
        for epoch, secret in made.secrets.epochs.items():
            host.put("keys", f"{int(epoch)}.age", agefile.seal(secret.encode(), recipients))
        host.put("epochs", numbered(1), made.epoch)
    finally:
        host.close()


class Session(NamedTuple):
    """A user cloud that was appraised and unlocked: the attested connection, and the key it signs its journal with."""

    client: AttestedClient
    state_key: PublicKey


class Account:
    """One owner's device. Opens the keystore at once; talks to host and user cloud only when asked.

    Raises:
        DeviceError: ``profile-missing``, ``keystore-locked``.
    """

    def __init__(self, folder: Folder, lock: Lock, clock: Clock = now_ms) -> None:
        self.folder, self._clock = folder, clock
        self.profile = folder.profile()
        self._secrets = load(folder.keystore, lock)
        self.owner = self._secrets.owner
        self.host = HostClient(self.profile.host, self.owner, self._secrets.device_key)
        self.outbox = Outbox(folder.outbox, self.owner, self._secrets.writer_key, self._secrets.queue)
        self._chain = OwnerChain(folder, self.host, self._secrets, clock)
        self._session: Session | None = None

    def close(self) -> None:
        self.host.close()
        self.disconnect()

    def disconnect(self) -> None:
        """Forget the connection to the user cloud; the next request finds, appraises and unlocks it anew."""
        if self._session is not None:
            self._session.client.close()
        self._session = None

    def __enter__(self) -> Account:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self) -> OwnerState:
        """The owner log as the host shows it now. Raises: DeviceError: ``owner-log-rewound``; AuthorityError."""
        return self._chain.state()

    # -- user cloud ----------------------------------------------------------------------------------------------------

    @property
    def appraised(self) -> AttestationResult:
        """What the appraisal of the user cloud found."""
        return self.cloud().result

    def cloud(self) -> AttestedClient:
        """The connection of `connect`."""
        return self.connect().client

    def connect(self) -> Session:
        """The owner's user cloud: located or launched by the host, appraised, and only then unlocked.

        Raises:
            AttestationError: Named by the rule that refused it; no key was handed over.
            DeviceError: ``state-key-refused``.
        """
        if self._session is not None:
            return self._session
        cloud = reach(self.host, self.owner, self.profile.trust, self._clock, self._secrets.device_key)
        try:
            # Its journal is looked at before its key is named: a user cloud that was shown less than this device has
            # seen writes nothing.
            unlocked = self._unlock(cloud)
            if not unlocked.named:
                self._chain.append(StateKeyNamed(unlocked.state_key))
                unlocked = self._unlock(cloud)
            if not unlocked.named:
                raise DeviceError("state-key-refused", "the user cloud does not see its state key in the owner log")
        except BaseException:
            cloud.close()
            raise
        self._session = Session(cloud, unlocked.state_key)
        return self._session

    def _unlock(self, cloud: AttestedClient) -> Unlocked:
        asked = Unlock(self._secrets.log, self._secrets.epochs, self.log().head, self.profile.trust.to_message())
        answer = cloud.request("POST", "/v1/unlock", encode_json(asked))
        unlocked = decode_json(answer, Unlocked, what="an unlock answer")
        self._see_journal(unlocked.journal)
        return unlocked

    def _see_journal(self, head: Head | None) -> None:
        """Remember a journal head, which must not be behind the one that is remembered."""
        remembered = self.folder.heads().journal
        if remembered is not None and (
            head is None or head.number < remembered.number or (head.number == remembered.number and head != remembered)
        ):
            raise DeviceError(
                "journal-rewound",
                f"the user cloud's journal ends before record {remembered.number}, which this device has seen",
                hint="the host lost or withholds records, or shows an old copy; ask its operator for them",
            )
        if head is not None:
            remember(self.folder, journal=head)

    def status(self) -> Status:
        return decode_json(self.cloud().request("GET", "/v1/status"), Status, what="a status")

    # -- data ----------------------------------------------------------------------------------------------------------

    def queue(self, tables: dict[str, pa.Table], source: str) -> int:
        """Queue rows per stream in the outbox; returns how many segments they became."""
        count = 0
        for stream, rows in sorted(tables.items()):
            if rows.num_rows:
                with self.folder.locked():  # a number is given once, also by two imports at a time
                    first = self.folder.heads().segments
                    made = self.outbox.queue(stream, rows, first, source)
                    merge(self.folder, segments=first + made)
                count += made
        return count

    def epoch(self) -> EpochStatement:
        """The current epoch: the newest that the owner log names, with its signed statement from the host."""
        state = self.log()
        number = max(state.epochs)
        envelope = self.host.get("epochs", numbered(number))
        if envelope is None or sha256(envelope) != state.epochs[number].statement:
            raise DeviceError("epoch-withheld", f"the host does not show the statement of epoch {number}")
        return access.epoch(self.owner, state.inception.authority, envelope, number)

    def send(self, progress: Callable[[int, int], None] = lambda done, of: None) -> list[str]:
        """Put what waits into the store, as ciphertext; returns the names. Nothing is forgotten yet.

        Args:
            progress: ``progress(done, of)`` after each segment.
        """
        names, epoch = self.outbox.names(), self.epoch()
        for done, name in enumerate(names):
            self.host.put("segments", name, self.outbox.sealed(name, epoch, self._clock()))
            progress(done + 1, len(names))
        return names

    def settle(self, names: list[str]) -> Accepted:
        """Have the user cloud accept segments that were sent, and forget those that a head signed by it includes."""
        total = Accepted({}, {}, 0, b"")
        for start in range(0, len(names), ACCEPT_AT_ONCE):
            ask = encode_json(Accept(tuple(names[start : start + ACCEPT_AT_ONCE])))
            part = decode_json(self.cloud().request("POST", "/v1/segments", ask), Accepted, what="an upload's answer")
            done = [name for name, outcome in part.outcome.items() if outcome in SETTLED and name in names]
            if done:
                self._take_head(part.head)
            for name in done:
                self.outbox.remove(name)
            total = Accepted(
                total.outcome | part.outcome, total.detail | part.detail, total.rows_new + part.rows_new, part.head
            )
        return total

    def upload(self, progress: Callable[[int, int], None] = lambda done, of: None) -> Accepted:
        """`send`, then `settle`."""
        return self.settle(self.send(progress))

    def _take_head(self, envelope: bytes) -> None:
        """Check a signed journal head and remember it. Nothing leaves the outbox without one."""
        opened = dsse.open_(envelope, HEAD_TYPE, [self.connect().state_key])
        found = decode_json(opened.payload, JournalHead, what="a journal head")
        if found.owner != self.owner:
            raise DeviceError("journal-head-foreign", "found a journal head of another owner")
        self._see_journal(found.head)

    def rows(self, stream: str, from_ms: int, to_ms: int) -> pa.Table:
        """The owner's own rows of a stream with ``from_ms <= ts_ms < to_ms``."""
        body = self.cloud().request("GET", f"/v1/rows?stream={stream}&from_ms={from_ms}&to_ms={to_ms}")
        return table.from_parquet(body)

    # -- algorithms ----------------------------------------------------------------------------------------------------

    def approve(self, approval: Approved) -> int:
        """Append an approval, unless it stands already; its number in the owner log."""
        return self._chain.approve(approval)

    def run(self, digest: Digest, parameters: dict[str, Value], from_ms: int, to_ms: int) -> RunResult:
        """Run an approved algorithm; rows and a receipt that was checked.

        Raises:
            DeviceError: ``receipt-mismatch``; and the refusals of the user cloud.
        """
        asked = Run(b64(randomness.token_bytes(16)), digest, parameters, from_ms, to_ms, self._clock())
        result = decode_json(
            self.cloud().request("POST", "/v1/runs", encode_json(asked)),
            RunResult,
            limit=64 * MIB,
            what="a run's answer",
        )
        check_receipt(result, asked, self.owner, self.connect().state_key)
        self._take_head(result.head)
        return result

    def export_epoch(self, number: int) -> str:
        """An epoch's age secret key, for use with any age program. Raises: DeviceError: ``epoch-unknown``."""
        if str(number) not in self._secrets.epochs:
            raise DeviceError("epoch-unknown", f"this device holds no secret of epoch {number}")
        return self._secrets.epochs[str(number)]

    @property
    def signer(self) -> SigningKey:
        """The device key, which signs this device's requests and entries."""
        return self._secrets.device_key

    @property
    def log_secret(self) -> str:
        return self._secrets.log
