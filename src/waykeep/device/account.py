"""The owner's device at work: everything that a verb of the command line does for an owner, without printing."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyarrow as pa

from waykeep.attestation.appraisal import AttestationResult
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import FOREVER, OwnerState
from waykeep.authority.permissions import Approved
from waykeep.authority.statements import EpochStatement, StateKeyRetired
from waykeep.channel.client import AttestedClient
from waykeep.device import files, writing
from waykeep.device.appending import OwnerLog
from waykeep.device.chain import OwnerChain
from waykeep.device.connecting import Connector, Session, suspend
from waykeep.device.heads import merge
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.keystore import Lock
from waykeep.device.making import Clock
from waykeep.device.making import create as create
from waykeep.device.making import now_ms as now_ms
from waykeep.device.outbox import Outbox
from waykeep.device.pending import Pending
from waykeep.device.profile import Folder
from waykeep.device.receipts import check_receipt
from waykeep.device.upkeep import Upkeep
from waykeep.device.witnessing import OwnerWitness
from waykeep.errors import ChannelError, DeviceError, HostError, WitnessError
from waykeep.formats import table
from waykeep.formats.ids import Digest, b64
from waykeep.formats.messages import (
    Accept,
    Accepted,
    Run,
    RunResult,
    Status,
    Suspended,
    Value,
)
from waykeep.formats.wire import MIB, decode_json, encode_json

ACCEPT_AT_ONCE = 256
MISSING_HEADER = "waykeep-epochs-missing"
SETTLED = ("accepted", "known")
"""Outcomes after which the device need not keep a segment."""


class Account:
    """One owner's device. Opens the keystore at once; talks to host and user cloud only when asked.

    Raises:
        DeviceError: ``profile-missing``, ``keystore-locked``.
    """

    def __init__(self, folder: Folder, lock: Lock, clock: Clock = now_ms) -> None:
        self.folder, self._clock = folder, clock
        self.profile = folder.profile()
        self.keys = Keyring(folder, lock)
        secrets = self.keys.secrets
        if folder.enrolling.exists():
            raise DeviceError(
                "device-not-added",
                "found a device that was not added to its owner yet",
                hint="'waykeep keys add' its request on another device, then 'waykeep keys enroll --finish' here",
            )
        self.owner = secrets.owner
        self.host = HostClient(self.profile.host, self.owner, secrets.device_key)
        self.outbox = Outbox(folder.outbox, self.owner, secrets.writer_key, secrets.queue)
        self.witness = OwnerWitness(self.keys)
        chain = OwnerChain(folder, self.host, self.keys)
        self.owner_log = OwnerLog(chain, Pending(folder, secrets.queue), self.host, self.keys, self.witness, clock)
        self._mending = False
        self.upkeep = Upkeep(self.owner_log, self.host, self.keys, clock)
        self._connector = Connector(folder, self.profile, self.host, self.keys, self.owner_log, clock)

    def now_ms(self) -> int:
        """This device's clock."""
        return self._clock()

    def close(self) -> None:
        self.host.close()
        self.witness.close()
        self.disconnect()

    def disconnect(self) -> None:
        """Forget the connection to the user cloud; the next request finds, appraises and unlocks it anew."""
        self._connector.disconnect()

    def __enter__(self) -> Account:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self) -> OwnerState:
        """The owner log as the host shows it now. Raises as `OwnerLog.state` does."""
        if not self._mending and self.folder.unfinished.exists():
            with self.unfinished():
                self.upkeep.mend()
        return self.owner_log.state()

    # -- user cloud ----------------------------------------------------------------------------------------------------

    @property
    def appraised(self) -> AttestationResult:
        """What the appraisal of the user cloud found."""
        return self._connector.appraised

    def cloud(self) -> AttestedClient:
        """The connection of `connect`."""
        return self.connect().client

    def connect(self) -> Session:
        """An unlocked session with the owner's user cloud. Raises as `Connector.connect` does."""
        if not self._mending and self.folder.unfinished.exists():
            self.log()
        return self._connector.connect()

    def status(self) -> Status:
        return decode_json(self.cloud().request("GET", "/v1/status"), Status, what="a status")

    def suspend(self, *, forget: bool = False) -> Suspended:
        """Stop the user cloud at once.

        Args:
            forget: Only the owner can start it again: its state keys are retired in the owner log and at the witness,
                whatever copies of a sealed state there are, and then it deletes its own.
        """
        session = self.connect()
        if forget:
            self.retire_state_keys()
        done = suspend(session.client, forget=forget)
        self.disconnect()
        return done

    def retire_state_keys(self) -> None:
        """Retire all state keys in force, in the owner log and then at the witness."""
        for key, life in self.log().state_keys.items():
            if life.until == FOREVER and not life.void:
                self.owner_log.append(StateKeyRetired(key))
        self.retire_at_witness()

    def retire_at_witness(self) -> None:
        """Have the witness take no state key of before, where the log has retired them; else it says so in `untold`."""
        log = self.log()
        try:
            if log.witness is not None:
                self.witness.retire(log)
        except (ChannelError, WitnessError) as error:
            self.witness.untold = error

    def known_log(self) -> OwnerState:
        """`log`, or where the host cannot be reached, what this device has copies of."""
        try:
            return self.log()
        except HostError as error:
            if error.rule != "host-unreachable":
                raise
            return self.owner_log.chain.known()

    @contextmanager
    def unfinished(self) -> Iterator[None]:
        """What is cut off inside, the next command that reads the owner log makes up for (`Upkeep.mend`)."""
        files.write(self.folder.unfinished, b"")
        self._mending = True
        try:
            yield
        finally:
            self._mending = False
        files.remove(self.folder.unfinished)

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
        """The current epoch. Raises as `writing.current` does."""
        return writing.current(self.host, self.log(), self.witness)

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
                self._connector.take_head(part.head)
            for name in done:
                self.outbox.remove(name)
            total = Accepted(
                total.outcome | part.outcome, total.detail | part.detail, total.rows_new + part.rows_new, part.head
            )
        return total

    def upload(self, progress: Callable[[int, int], None] = lambda done, of: None) -> Accepted:
        """`send`, then `settle`."""
        return self.settle(self.send(progress))

    def rows(self, stream: str, from_ms: int, to_ms: int) -> pa.Table:
        """The owner's own rows of a stream with ``from_ms <= ts_ms < to_ms``, all of them.

        Raises:
            DeviceError: ``epochs-missing`` when rows lie in epochs whose keys the user cloud was not handed.
        """
        found, missing = self.read(stream, from_ms, to_ms)
        if missing:
            raise DeviceError(
                "epochs-missing",
                f"found rows in epochs {', '.join(map(str, missing))}, whose keys are not here",
                hint="a device that has them hands them over; 'waykeep keys list' says which are here",
                status=409,
            )
        return found

    def read(self, stream: str, from_ms: int, to_ms: int) -> tuple[pa.Table, tuple[int, ...]]:
        """What can be read of those rows, and the epochs that cannot. Raises: DeviceError: ``rows-malformed``."""
        path = f"/v1/rows?stream={stream}&from_ms={from_ms}&to_ms={to_ms}"
        body, headers = self.cloud().request_with_headers("GET", path)
        texts = [text for text in headers.get(MISSING_HEADER, "-").split(",") if text]
        if not all(text.isascii() and text.isdecimal() for text in texts):
            raise DeviceError("rows-malformed", "found rows that do not say which epochs are missing", status=502)
        return table.from_parquet(body), tuple(map(int, texts))

    # -- algorithms ----------------------------------------------------------------------------------------------------

    def approve(self, approval: Approved) -> int:
        """Append an approval, unless it stands already; its number in the owner log."""
        known = self.log().approvals
        newest = max((number for number, a in known.items() if a.algorithm == approval.algorithm), default=None)
        if newest is not None and encode_json(known[newest]) == encode_json(approval):
            return newest  # a repetition may not know of it
        return self.owner_log.append(approval)

    def run(
        self,
        digest: Digest,
        parameters: dict[str, Value],
        from_ms: int | None = None,
        to_ms: int | None = None,
        reviews: tuple[str, ...] = (),
    ) -> RunResult:
        """Run an approved algorithm; rows and a receipt that was checked.

        Args:
            from_ms, to_ms: Observation times; None leaves them as they are approved.
            reviews: Envelopes of reviewers' statements, where the approval asks for one.

        Raises:
            DeviceError: ``receipt-mismatch``; and the refusals of the user cloud.
        """
        asked = Run(b64(randomness.token_bytes(16)), digest, parameters, from_ms, to_ms, self._clock(), reviews)
        result = decode_json(
            self.cloud().request("POST", "/v1/runs", encode_json(asked)),
            RunResult,
            limit=64 * MIB,
            what="a run's answer",
        )
        check_receipt(result, asked, self.owner, self.connect().state_key)
        self._connector.take_head(result.head)
        return result

    def export_epoch(self, number: int) -> str:
        """An epoch's age secret key, for use with any age program. Raises: DeviceError: ``epoch-unknown``."""
        if str(number) not in self.keys.secrets.epochs:
            raise DeviceError("epoch-unknown", f"this device holds no secret of epoch {number}")
        return self.keys.secrets.epochs[str(number)]

    @property
    def signer(self) -> SigningKey:
        """The device key, which signs this device's requests and entries."""
        return self.keys.secrets.device_key
