"""One run of an approved algorithm: steps 4 to 7 of the main job, in the order that makes each safe.

Authorized before anything is fetched; the bundle is checked against its digest; the granted rows alone are read; the
algorithm service is appraised before a row is sent; the result is checked again here; what is kept and the receipt are
durable before the owner sees them.
"""

from __future__ import annotations

from waykeep.authority import approvals
from waykeep.authority.approvals import Allowed
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import RunDone
from waykeep.errors import AuthorityError, UserCloudError, WaykeepError
from waykeep.formats import results
from waykeep.formats.bundle import Bundle
from waykeep.formats.messages import Run, RunResult, Value
from waykeep.usercloud import derived, reading
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.computing import Computer, Watch
from waykeep.usercloud.efforts import Effort
from waykeep.usercloud.keeping import keep
from waykeep.usercloud.outside import fetch_bundle
from waykeep.usercloud.receipts import Made, done


class Runner:
    """Runs algorithms for the owner of one cloud."""

    def __init__(self, cloud: Cloud, computer: Computer) -> None:
        self._cloud, self._computer = cloud, computer

    def run(self, asked: Run) -> RunResult:
        """Run, and return rows and receipt.

        Raises:
            AuthorityError: As `approvals.authorize`; ``approval-withdrawn`` where it was taken back meanwhile.
            UserCloudError: ``run-repeated``; AttestationError: for the service; AlgorithmError: for run and result.
        """
        with self._cloud.running(asked.run_id):
            if self._cloud.journal.ran(asked.run_id):
                raise UserCloudError("run-repeated", "found a run of this id in the journal", status=409)
            return self._run(asked)

    def _run(self, asked: Run) -> RunResult:
        cloud, watch = self._cloud, Watch()
        log = cloud.refresh()
        cloud.require_named()
        # Before the host learns which digest is asked for; parameters are checked once the manifest is known.
        approvals.require(log, asked)
        bundle = fetch_bundle(self._computer.host_url, asked.digest)
        parameters = results.check_parameters(bundle.manifest, asked.parameters)
        inputs = {given.stream: given.columns for given in bundle.manifest.inputs}
        allowed = approvals.authorize(log, asked, inputs, parameters)
        watch.lap("authorize")
        effort = Effort[Made](lambda effort: self._make(asked, bundle, parameters, allowed, watch, effort))
        effort.watch(lambda: _still(cloud.refresh(), allowed))
        came = effort.result()
        if came is None:
            raise AssertionError("it was waited for")
        log = cloud.refresh()
        _still(log, allowed)
        number, plan, kept = allowed
        said = done(cloud, log, asked.run_id, asked.digest, parameters, number, plan, came, asked.time_ms)
        stored = keep(cloud, log, plan, kept, bundle.manifest, came.rows) if kept else None
        head = self._record(
            RunDone(
                run_id=asked.run_id,
                algorithm=asked.digest,
                name=f"{bundle.manifest.name} {bundle.manifest.version}",
                approval=number,
                parameters=parameters,
                rows_in=came.rows_in,
                rows_out=came.rows_out,
                time_ms=asked.time_ms,
                receipt=said.envelope.decode(),
                stored=stored,
            )
        )
        watch.lap("record")
        return RunResult(came.rows, said.envelope, said.salt, watch.stages, head)

    def _make(
        self,
        asked: Run,
        bundle: Bundle,
        parameters: dict[str, Value],
        allowed: Allowed,
        watch: Watch,
        effort: Effort[Made],
    ) -> Made:
        found = reading.read(self._cloud, allowed.plan)
        watch.lap("read")
        trust = self._cloud.keys.trust
        rows, measured = self._computer.compute(
            bundle, parameters, found.tables, trust, asked.time_ms, watch, effort.stopped_by
        )
        counts = {stream: rows.num_rows for stream, rows in found.tables.items()}
        return Made(rows, {}, counts, len(rows), found.epochs_missing, measured)

    def _record(self, done: RunDone) -> bytes:
        """Append the run; the signed head that includes it. What was kept of a run that is not recorded goes."""
        try:
            self._cloud.append(done)
        except WaykeepError as error:
            recorded = error.rule == "store-failed" and self._cloud.may_hold_run(done.run_id)
            if done.stored is not None and not recorded:
                derived.delete(self._cloud.store, self._cloud.owner, done.stored.name)
            raise
        return self._cloud.signed_head()


def _still(log: OwnerState, allowed: Allowed) -> None:
    """Raises: AuthorityError: ``approval-withdrawn`` where approval or data were taken back meanwhile."""
    if allowed.number not in log.approvals or not log.withheld.keys() <= allowed.plan.withheld.keys():
        raise AuthorityError(
            "approval-withdrawn",
            "found a run whose approval or data were taken back meanwhile",
            status=403,
        )
