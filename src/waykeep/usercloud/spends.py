"""A spend: a run of a grant for its holder, or a read, in the order that `waykeep.authority.spending` gives.

The record is durable, then witnessed, then the run is done. Whatever is cut off in between is done when the holder asks
again with the same request id: the same data, to the same recipient, and no second debit.

What is refused before the debit is refused by name. After it an answer comes at the grant's deadline and in the length
of the largest one, whatever came of it; only what was revoked or withheld meanwhile is refused, at once.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import NamedTuple

import msgspec

from waykeep.authority import chains, spending
from waykeep.authority.asking import Spend
from waykeep.authority.links import Chain
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Granted, kept_as
from waykeep.authority.records import SegmentEntry, Spent
from waykeep.authority.spending import Debit, Wanted
from waykeep.errors import AuthorityError, FormatError, WaykeepError, rule_of
from waykeep.formats import agefile, answers, results, table
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import GrantedRows, SpendResult
from waykeep.usercloud import derived, reading
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.computing import Computer, Watch
from waykeep.usercloud.efforts import Effort
from waykeep.usercloud.keeping import keep
from waykeep.usercloud.outside import fetch_bundle
from waykeep.usercloud.receipts import Done, Made, done
from waykeep.usercloud.witnessing import Witnessing

LATE = "run-late"


class _Ready(NamedTuple):
    """A debit that was witnessed, and what is needed to do it.

    Attributes:
        bundle: None for a read.
        size: Of the answer, in bytes.
        ends: When it is sent, by the monotonic clock.
    """

    debit: Debit
    grant: Granted
    bundle: Bundle | None
    size: int
    time_ms: int
    ends: float


class Spender:
    """Runs grants for their holders."""

    def __init__(self, cloud: Cloud, computer: Computer, witnessing: Witnessing) -> None:
        self._cloud, self._computer, self._witnessing = cloud, computer, witnessing
        self._failed = set[str]()

    def spend(self, asked: Spend, holder: PublicKey) -> SpendResult:
        """One run of a grant, or the same again for a request that is repeated.

        Raises:
            AuthorityError: As `spending.standing`, `spending.debit` and `spending.still`; ``witness-missing``.
            ChannelError: ``witness-unreachable``. WitnessError: When something else was witnessed. UserCloudError:
                ``host-unreachable``, ``bundle-changed``. AlgorithmError: ``parameter-*``.
        """
        with self._cloud.running(asked.request_id):
            ready = self._prepare(asked, holder)
            effort = Effort[Made](lambda effort: self._make(ready, effort))
            made = ready.debit.made
            effort.watch(lambda: spending.still(self._cloud.refresh(), made, ready.time_ms), until=ready.ends)
            log = self._cloud.refresh()
            spending.still(log, made, self._witnessing.stand(log))
            return SpendResult(agefile.seal(self._answer(log, ready, _ended(effort)), [made.recipient]))

    # -- before the debit is witnessed ---------------------------------------------------------------------------------

    def _prepare(self, asked: Spend, holder: PublicKey) -> _Ready:
        cloud = self._cloud
        log = cloud.refresh()
        # Before the host learns which digest is asked for, and before the witness is asked.
        chain = chains.find(log, asked.grant, asked.digest, asked.links, holder)
        grant = log.grants[asked.grant]
        time_ms = self._witnessing.stand(log)
        chains.in_time(chain.scope, time_ms)
        bundle = None if asked.digest is None else fetch_bundle(self._computer.host_url, asked.digest)
        wanted, size = _read(asked, chain, grant.rows) if bundle is None else _run(asked, bundle)
        debit, head = cloud.debit(log, asked, holder, wanted, time_ms)
        time_ms = self._witnessing.witness(log, head)
        spending.still(log, debit.made, time_ms)
        return _Ready(debit, grant, bundle, size, time_ms, time.monotonic() + grant.deadline_ms / 1000)

    # -- after it ------------------------------------------------------------------------------------------------------

    def _make(self, ready: _Ready, effort: Effort[Made]) -> Made:
        made, cloud = ready.debit.made, self._cloud
        until = -1 if made.read_to is None else made.read_to.number
        found = reading.read(cloud, ready.debit.plan, until, made.epochs, ready.grant.rows)
        counts = {s: rows.num_rows for s, rows in found.tables.items()}
        if ready.bundle is None:
            ipc = {s: table.to_ipc(rows) for s, rows in found.tables.items()}
            return Made([], ipc, counts, sum(counts.values()), found.epochs_missing, {})
        rows, measured = self._computer.compute(
            ready.bundle,
            made.parameters,
            found.tables,
            cloud.keys.trust,
            ready.time_ms,
            Watch(),
            effort.stopped_by,
        )
        return Made(rows, {}, counts, len(rows), found.epochs_missing, measured)

    def _answer(self, log: OwnerState, ready: _Ready, came: Made) -> bytes:
        """The padded frame, once what it says is recorded."""
        try:
            return self._recorded(log, ready, came)
        except FormatError:
            return self._recorded(log, ready, _nothing("answer-too-large"))

    def _recorded(self, log: OwnerState, ready: _Ready, came: Made) -> bytes:
        made, cloud, plan = ready.debit.made, self._cloud, ready.debit.plan
        # A receipt is no second answer: how many rows were read is for the owner, and locked epochs are named whether
        # or not they hold something.
        missing = tuple(sorted(log.epochs.keys() - set(made.epochs)))
        shown = msgspec.structs.replace(came, rows_in={}, epochs_missing=missing)
        said = done(
            cloud, log, made.request_id, made.algorithm, made.parameters, made.grant, plan, shown, ready.time_ms
        )
        rows = GrantedRows(made.request_id, came.rows, came.tables, said.envelope, said.salt, bool(came.failed))
        padded = answers.pad(msgspec.msgpack.encode(rows), ready.size)
        self._record(log, ready, came, said)
        return padded

    def _record(self, log: OwnerState, ready: _Ready, came: Made, said: Done) -> None:
        made, bundle, cloud = ready.debit.made, ready.bundle, self._cloud
        if cloud.journal.spent(made.request_id) or (came.failed and made.request_id in self._failed):
            return
        stored: SegmentEntry | None = None
        store_as = kept_as(ready.grant, ready.debit.chain.scope)
        if store_as and bundle is not None and not came.failed:
            stored = keep(cloud, log, ready.debit.plan, store_as, bundle.manifest, came.rows)
        name = ready.grant.name if bundle is None else f"{bundle.manifest.name} {bundle.manifest.version}"
        outcome = Spent(
            request_id=made.request_id,
            name=name,
            rows_in=came.rows_in,
            rows_out=came.rows_out,
            time_ms=ready.time_ms,
            receipt=said.envelope.decode(),
            failed=came.failed,
            stored=stored,
        )
        try:
            cloud.append(outcome)
        except WaykeepError as error:
            if stored is not None and error.rule != "store-failed":  # else the next instance sweeps it
                with suppress(WaykeepError):
                    derived.delete(cloud.store, cloud.owner, stored.name)
            raise
        if came.failed:
            self._failed.add(made.request_id)


def _run(asked: Spend, bundle: Bundle) -> tuple[Wanted, int]:
    if asked.ask.streams is not None:
        raise AuthorityError(
            "stream-not-allowed", "found a request that names streams; an algorithm gets what it asks for", status=403
        )
    parameters = results.check_parameters(bundle.manifest, asked.parameters)
    inputs = {given.stream: given.columns for given in bundle.manifest.inputs}
    return Wanted(inputs, parameters, results.whole_bits(bundle.manifest)), answers.of_algorithm(bundle)


def _read(asked: Spend, chain: Chain, rows: int) -> tuple[Wanted, int]:
    inputs = (chain.scope.streams or {}) if asked.ask.streams is None else asked.ask.streams
    size = answers.of_read(inputs, rows)
    return Wanted(inputs, asked.parameters, 8 * size), size


def _ended(effort: Effort[Made]) -> Made:
    try:
        found = effort.result()
    except Exception as error:  # noqa: BLE001 - outside it looks like any other failure
        return _nothing(rule_of(error))
    return _nothing(LATE) if found is None else found


def _nothing(rule: str) -> Made:
    return Made([], {}, {}, 0, (), {}, rule)
