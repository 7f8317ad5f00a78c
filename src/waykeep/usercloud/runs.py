"""One run of an approved algorithm: steps 4 to 7 of the main job, in the order that makes each safe.

Authorized before anything is fetched; the bundle is checked against its digest; the granted rows alone are read; the
algorithm service is appraised before a row is sent; the result is checked again here; what is kept and the receipt are
durable before the owner sees them.
"""

from __future__ import annotations

import secrets

import pyarrow as pa

from waykeep.authority import segment
from waykeep.authority.approvals import ReadPlan, authorize
from waykeep.authority.records import RunDone, SegmentEntry
from waykeep.errors import UserCloudError, WaykeepError
from waykeep.formats import manifest as manifests
from waykeep.formats import results, table
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Run, RunResult
from waykeep.formats.segment import SegmentHeader
from waykeep.usercloud import derived, reading
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.computing import Computer, Watch
from waykeep.usercloud.outside import fetch_bundle
from waykeep.usercloud.receipts import done
from waykeep.vault import segments
from waykeep.vault.segments import Segment


class Runner:
    """Runs algorithms for the owner of one cloud."""

    def __init__(self, cloud: Cloud, computer: Computer) -> None:
        self._cloud, self._computer = cloud, computer
        self._derived = 0

    def run(self, asked: Run) -> RunResult:
        """Run, and return rows and receipt.

        Raises:
            AuthorityError: ``algorithm-not-approved``, ``parameter-not-approved``, ``time-not-approved``.
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
        authorize(log, asked, {})
        bundle = fetch_bundle(self._computer.host_url, asked.digest)
        parameters = results.check_parameters(bundle.manifest, asked.parameters)
        plan = authorize(log, asked, parameters)
        watch.lap("authorize")
        found = reading.read(cloud, plan)
        watch.lap("read")
        rows, measured = self._computer.compute(
            bundle, parameters, found.tables, cloud.keys.trust, asked.time_ms, watch
        )
        made = done(cloud, log, asked.run_id, asked.digest, parameters, plan, found, rows, measured, asked.time_ms)
        stored = self._store(plan, bundle, rows) if plan.store_as else None
        name = f"{bundle.manifest.name} {bundle.manifest.version}"
        head = self._record(
            RunDone(
                run_id=asked.run_id,
                algorithm=asked.digest,
                name=name,
                approval=plan.approval,
                parameters=parameters,
                rows_in=made.receipt.rows_in,
                rows_out=len(rows),
                time_ms=asked.time_ms,
                receipt=made.envelope.decode(),
                stored=stored,
            )
        )
        watch.lap("record")
        return RunResult(rows, made.envelope, made.salt, watch.stages, head)

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

    def _store(self, plan: ReadPlan, bundle: Bundle, rows: list[results.Row]) -> SegmentEntry:
        """Keep the result as a derived segment.

        Durable before the record that names it; unnamed ones are swept away.
        """
        cloud = self._cloud
        epoch = cloud.keys.epochs[max(cloud.keys.epochs)]
        names = [field.name for field in bundle.manifest.output.fields]
        kept = pa.table({name: pa.array([row[name] for row in rows], _arrow(bundle, name)) for name in names})
        parquet = table.to_parquet(kept)
        header = SegmentHeader(
            owner=cloud.owner,
            kind="derived",
            stream=plan.store_as,
            epoch=epoch.number,
            number=self._derived,
            recipient=epoch.recipient,
            payload=sha256(parquet),
            payload_length=len(parquet),
            rows=kept.num_rows,
            source="derived",
        )
        self._derived += 1
        name = f"{secrets.token_hex(16)}.age"
        derived.put(cloud.store, cloud.owner, name, segment.seal(header, parquet, cloud.state_key))
        found = Segment(header, cloud.state_key.public, kept)
        return segments.entry(name, found, kept.num_rows, window=(plan.from_ms, plan.to_ms))


def _arrow(bundle: Bundle, name: str) -> pa.DataType:
    domain = next(f.domain for f in bundle.manifest.output.fields if f.name == name)
    if isinstance(domain, manifests.Integer):
        return pa.int64()
    return pa.bool_() if isinstance(domain, manifests.Boolean) else pa.string()
