"""One computation on granted rows: the service is appraised before a row is sent, its result checked again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import msgspec
import pyarrow as pa

from waykeep.attestation.appraisal import AttestationResult
from waykeep.attestation.evidence import ALGORITHM, USER_CLOUD
from waykeep.channel.client import AttestedClient
from waykeep.channel.trust import Trust
from waykeep.formats import manifest as manifests
from waykeep.formats import results, table
from waykeep.formats.bundle import Bundle
from waykeep.formats.messages import Compute, Computed, Value
from waykeep.formats.wire import MIB, decode_frame
from waykeep.usercloud.outside import start_algorithm


class Service:
    """One algorithm service, for its one computation. ``measured`` are the measurements of all code involved."""

    def __init__(self, client: AttestedClient, bundle: Bundle, measured: dict[str, str]) -> None:
        self._client, self._bundle, self.measured = client, bundle, measured

    def compute(
        self,
        parameters: dict[str, Value],
        tables: dict[str, pa.Table],
        stopped_by: Callable[[Callable[[], None]], None],
    ) -> list[results.Row]:
        """The rows, checked against the bundle's schema.

        Args:
            stopped_by: Is told what ends the computation from another thread; the service then ends as well.

        Raises:
            AlgorithmError: For run and result.
        """
        stopped_by(self._client.abort)
        body = msgspec.msgpack.encode(Compute(parameters, {s: table.to_ipc(t) for s, t in tables.items()}))
        limit = manifests.max_result_bytes(self._bundle.manifest) + MIB
        answer = self._client.request("POST", "/v1/compute", body, limit=limit)
        computed = decode_frame(answer, Computed, limit=limit, what="a result")
        # The second of two checks: the front made the first.
        return results.check_result(self._bundle.manifest, computed.rows)


class Computer:
    """Has algorithm services compute.

    Args:
        host_url: Where the host is asked for services.
        measurement: This user cloud's own, for receipts.
    """

    def __init__(self, host_url: str, measurement: str) -> None:
        self.host_url, self._measurement = host_url, measurement

    @contextmanager
    def service(self, bundle: Bundle, trust: Trust, time_ms: int, watch: Watch) -> Iterator[Service]:
        """An algorithm service that was appraised, for one computation.

        Args:
            trust: What the service must prove. time_ms: By which its evidence's age is judged.

        Raises:
            AttestationError: Named by the rule that refused the service; no row was sent.
        """
        address = start_algorithm(self.host_url, bundle.digest)
        watch.lap("start")
        with AttestedClient(
            address,
            workload=ALGORITHM,
            binding=bundle.digest,
            trust=trust,
            clock=lambda: time_ms,
            timeout_s=bundle.manifest.limits.wall_s + 10.0,
        ) as client:
            watch.lap("attest")
            yield Service(client, bundle, self._measured(client.result))

    def compute(
        self,
        bundle: Bundle,
        parameters: dict[str, Value],
        tables: dict[str, pa.Table],
        trust: Trust,
        time_ms: int,
        watch: Watch,
        stopped_by: Callable[[Callable[[], None]], None],
    ) -> tuple[list[results.Row], dict[str, str]]:
        """The rows, checked against the bundle's schema; and the measurements of all code involved.

        Args:
            stopped_by: As in `Service.compute`.

        Raises:
            AttestationError, AlgorithmError: As `service` and `Service.compute`.
        """
        with self.service(bundle, trust, time_ms, watch) as service:
            rows = service.compute(parameters, tables, stopped_by)
        watch.lap("compute")
        return rows, service.measured

    def _measured(self, appraised: AttestationResult) -> dict[str, str]:
        return {
            "supervisor": appraised.supervisor_measurement,
            USER_CLOUD: self._measurement,
            ALGORITHM: appraised.measurement,
        }


class Watch:
    """Milliseconds of each stage, for the report of stages; no decision rests on it.

    Args:
        began: When the first stage did, as `time.perf_counter` has it; now by default.
    """

    def __init__(self, began: float | None = None) -> None:
        self.stages: dict[str, float] = {}
        self._last = time.perf_counter() if began is None else began

    def lap(self, stage: str) -> None:
        """What passed since the last lap was ``stage``."""
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        self.stages[stage] = round(passed * 1000, 2)
