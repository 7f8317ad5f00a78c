"""A spend: a run of a grant for its holder, in the order that `waykeep.authority.spending` gives.

The record is durable, then witnessed, then the run is done. Whatever is cut off in between is done when the holder asks
again with the same request id: the same data, to the same recipient, and no second debit.
"""

from __future__ import annotations

from waykeep.authority import spending
from waykeep.authority.approvals import granted_reading
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import Debited, Spent
from waykeep.authority.statements import Granted
from waykeep.formats import agefile, results
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import GrantedRows, Spend, SpendResult
from waykeep.formats.wire import encode_json
from waykeep.usercloud import reading
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.computing import Computer, Watch
from waykeep.usercloud.outside import fetch_bundle
from waykeep.usercloud.receipts import done
from waykeep.usercloud.witnessing import Witnessing


class Spender:
    """Runs grants for their holders."""

    def __init__(self, cloud: Cloud, computer: Computer, witnessing: Witnessing) -> None:
        self._cloud, self._computer, self._witnessing = cloud, computer, witnessing

    def spend(self, asked: Spend, holder: PublicKey) -> SpendResult:
        """One run of a grant, or the same again for a request that is repeated.

        Raises:
            AuthorityError: As `spending.standing`, `spending.debit` and `spending.within_window`; ``witness-missing``.
            ChannelError: ``witness-unreachable``. WitnessError: When something else was witnessed. And as `Runner.run`.
        """
        cloud = self._cloud
        with cloud.running(asked.request_id):
            log = cloud.refresh()
            # Before the host learns which digest is asked for, and before the witness is asked.
            spending.find_grant(log, asked, holder)
            time_ms = self._witnessing.stand(log)
            bundle = fetch_bundle(self._computer.host_url, asked.digest)
            parameters = results.check_parameters(bundle.manifest, asked.parameters)
            debited, head = cloud.debit(log, asked, holder, parameters, time_ms)
            time_ms = self._witnessing.witness(log, head)
            spending.within_window(debited, time_ms)
            return self._run(log, log.grants[debited.grant], debited, bundle, time_ms)

    def _run(self, log: OwnerState, grant: Granted, debited: Debited, bundle: Bundle, time_ms: int) -> SpendResult:
        cloud, plan, watch = self._cloud, granted_reading(grant, debited), Watch()
        until = debited.read_to
        found = reading.read(cloud, plan, -1 if until is None else until.number, debited.epochs)
        parameters = debited.parameters
        rows, measured = self._computer.compute(bundle, parameters, found.tables, cloud.keys.trust, time_ms, watch)
        made = done(cloud, log, debited.request_id, debited.algorithm, parameters, plan, found, rows, measured, time_ms)
        name = f"{bundle.manifest.name} {bundle.manifest.version}"
        rows_in = made.receipt.rows_in
        cloud.record_outcome(Spent(debited.request_id, name, rows_in, len(rows), time_ms, made.envelope.decode()))
        answer = GrantedRows(debited.request_id, rows, made.envelope, made.salt)
        return SpendResult(agefile.seal(encode_json(answer), [debited.recipient]))
