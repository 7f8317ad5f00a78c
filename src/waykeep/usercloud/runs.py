"""One run of an approved algorithm: steps 4 to 7 of the main job, in the order that makes each safe.

Authorized before anything is fetched; the bundle is checked against its digest; the granted rows alone are read; the
algorithm service is appraised before a row is sent; the result is checked again here; what is kept and the receipt are
durable before the owner sees them.
"""

from __future__ import annotations

import secrets
import time

import msgspec
import pyarrow as pa

from waykeep.attestation.appraisal import AttestationResult
from waykeep.attestation.evidence import ALGORITHM, USER_CLOUD
from waykeep.authority import dsse, segment
from waykeep.authority.approvals import ReadPlan, authorize
from waykeep.authority.statements import RECEIPT_TYPE, Receipt, RunDone, SegmentEntry
from waykeep.channel.client import AttestedClient
from waykeep.errors import WaykeepError
from waykeep.formats import manifest as manifests
from waykeep.formats import results, table
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import b64, sha256
from waykeep.formats.messages import Compute, Computed, Run, RunResult, Value
from waykeep.formats.segment import SegmentHeader
from waykeep.formats.wire import MIB, decode_frame, encode_json
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.outside import fetch_bundle, start_algorithm
from waykeep.vault import segments
from waykeep.vault.segments import Segment

SALT_BYTES = 16


class Runner:
    """Runs algorithms for one cloud.

    Args:
        host_url: Where the host is asked for bundles and services.
        measurement: This user cloud's own, for receipts.
    """

    def __init__(self, cloud: Cloud, host_url: str, measurement: str) -> None:
        self._cloud, self._host_url, self._measurement = cloud, host_url, measurement
        self._derived = 0

    def run(self, asked: Run) -> RunResult:
        """Run, and return rows and receipt.

        Raises:
            AuthorityError: ``algorithm-not-approved``, ``parameter-not-approved``, ``time-not-approved``.
            UserCloudError: ``run-repeated``; AttestationError: for the service; AlgorithmError: for run and result.
        """
        with self._cloud.running(asked.run_id):
            return self._run(asked)

    def _run(self, asked: Run) -> RunResult:
        cloud, stages, watch = self._cloud, dict[str, float](), _Watch()
        log = cloud.refresh()
        cloud.require_named()
        # Before the host learns which digest is asked for; parameters are checked once the manifest is known.
        authorize(log, asked, {})
        bundle = fetch_bundle(self._host_url, asked.digest)
        parameters = results.check_parameters(bundle.manifest, asked.parameters)
        plan = authorize(log, asked, parameters)
        stages["authorize"] = watch.lap()
        tables = cloud.read(plan)
        stages["read"] = watch.lap()
        rows, appraised = self._compute(asked, bundle, parameters, tables, stages, watch)
        rows_in = {stream: rows.num_rows for stream, rows in tables.items()}
        salt = secrets.token_bytes(SALT_BYTES)
        receipt = Receipt(
            owner=cloud.owner,
            run_id=asked.run_id,
            algorithm=asked.digest,
            parameters=parameters,
            approval=plan.approval,
            owner_head=log.head,
            inputs=plan.inputs,
            from_ms=plan.from_ms,
            to_ms=plan.to_ms,
            rows_in=rows_in,
            rows_out=len(rows),
            result=sha256(salt + results.result_digest_bytes(rows)),
            time_ms=asked.time_ms,
            measurements={
                "supervisor": appraised.supervisor_measurement,
                USER_CLOUD: self._measurement,
                ALGORITHM: appraised.measurement,
            },
            epochs_missing=cloud.missing_epochs(plan.inputs, plan.from_ms, plan.to_ms),
        )
        envelope = dsse.sign(RECEIPT_TYPE, encode_json(receipt), cloud.state_key)
        stored = self._store(plan, bundle, rows) if plan.store_as else None
        name = f"{bundle.manifest.name} {bundle.manifest.version}"
        head = self._record(
            RunDone(
                run_id=asked.run_id,
                algorithm=asked.digest,
                name=name,
                approval=plan.approval,
                parameters=parameters,
                rows_in=rows_in,
                rows_out=len(rows),
                time_ms=asked.time_ms,
                receipt=envelope.decode(),
                stored=stored,
            )
        )
        stages["record"] = watch.lap()
        return RunResult(rows, envelope, b64(salt), stages, head)

    def _record(self, done: RunDone) -> bytes:
        """Append the run; the signed head that includes it. What was kept of a run that is not recorded goes."""
        try:
            self._cloud.append(done)
        except WaykeepError as error:
            recorded = error.rule == "store-failed" and self._cloud.may_hold_run(done.run_id)
            if done.stored is not None and not recorded:
                self._cloud.delete_derived(done.stored.name)
            raise
        return self._cloud.signed_head()

    def _compute(
        self,
        asked: Run,
        bundle: Bundle,
        parameters: dict[str, Value],
        tables: dict[str, pa.Table],
        stages: dict[str, float],
        watch: _Watch,
    ) -> tuple[list[results.Row], AttestationResult]:
        address = start_algorithm(self._host_url, asked.digest)
        stages["start"] = watch.lap()
        with AttestedClient(
            address,
            workload=ALGORITHM,
            binding=asked.digest,
            trust=self._cloud.keys.trust,
            clock=lambda: asked.time_ms,
            timeout_s=bundle.manifest.limits.wall_s + 10.0,
        ) as service:
            stages["appraise"] = watch.lap()
            body = msgspec.msgpack.encode(Compute(parameters, {s: table.to_ipc(t) for s, t in tables.items()}))
            limit = manifests.max_result_bytes(bundle.manifest) + MIB
            answer = service.request("POST", "/v1/compute", body, limit=limit)
        computed = decode_frame(answer, Computed, limit=limit, what="a result")
        # The second of two checks: the front made the first.
        rows = results.check_result(bundle.manifest, computed.rows)
        stages["compute"] = watch.lap()
        return rows, service.result

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
        cloud.put_derived(name, segment.seal(header, parquet, cloud.state_key))
        found = Segment(header, cloud.state_key.public, kept)
        return segments.entry(name, found, kept.num_rows, window=(plan.from_ms, plan.to_ms))


def _arrow(bundle: Bundle, name: str) -> pa.DataType:
    domain = next(f.domain for f in bundle.manifest.output.fields if f.name == name)
    if isinstance(domain, manifests.Integer):
        return pa.int64()
    return pa.bool_() if isinstance(domain, manifests.Boolean) else pa.string()


class _Watch:
    """Milliseconds between laps, for the report of stages; no decision rests on it."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        return round(passed * 1000, 2)
