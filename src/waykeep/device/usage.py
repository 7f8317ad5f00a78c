"""Who used my data: runs and looks of both kinds, from the journal's checked records, by whom or what they went to."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Literal

import msgspec

from waykeep.authority.records import Debited, Detail, Receipt, RunDone, Spent
from waykeep.device import journals, telling
from waykeep.device.account import Account
from waykeep.device.receipts import open_receipt
from waykeep.formats import grid
from waykeep.formats.ids import Digest, PublicKey, sha256

By = Literal["algorithm", "holder", "stream"]
OWN = "your own devices"
LOOK = "looks, without an algorithm"


class Use(msgspec.Struct, frozen=True):
    """What went to one algorithm or holder, or out of one stream.

    Attributes:
        of: Digest, key or stream. name: For people.
        times, failed: How often, and how often of that nothing came of it.
        rows_read, rows_given: In all.
        bits: That others may have learned of it at most, in all.
        level, step_ms: The finest precision that was given.
        last_ms: When it was used last.
        receipts: Digests of the signed receipts, oldest first.
    """

    of: str
    name: str
    times: int
    failed: int
    rows_read: int
    rows_given: int
    bits: int
    level: int
    step_ms: int
    last_ms: int
    receipts: tuple[Digest, ...]

    @property
    def precision(self) -> str:
        """In few words: of places, and of times."""
        place = telling.length(grid.height_m(self.level)) if self.level else "exact"
        return f"{place}; {'exact' if self.step_ms == 1 else telling.duration(self.step_ms)}"


def usage(account: Account, by: By) -> list[Use]:
    """Every use, the newest first, after chains, signatures and receipts were checked. The user cloud is not asked.

    Raises: As `audit.read` does.
    """
    log = account.log()
    _, records = journals.read(account.host, account.keys.secrets, log)
    return summed([detail for _, detail in records], list(log.state_keys), by)


def summed(details: list[Detail], keys: list[PublicKey], by: By) -> list[Use]:
    """Every use that records tell of, the newest first.

    Args:
        details: Of all records, oldest first.
        keys: State keys that receipts are signed with.

    Raises: As `open_receipt` does.
    """
    debits = {detail.request_id: detail for detail in details if isinstance(detail, Debited)}
    found: dict[str, Use] = {}
    for detail, receipt in _outcomes(details, keys):
        debit = debits.get(detail.request_id) if isinstance(detail, Spent) else None
        for one in _by(detail, receipt, debit, by):
            before = found.get(one.of)
            found[one.of] = one if before is None else _added(before, one)
    return sorted(found.values(), key=lambda use: -use.last_ms)


def _outcomes(details: list[Detail], keys: list[PublicKey]) -> Collection[tuple[RunDone | Spent, Receipt]]:
    """One outcome of each request: a debit whose run failed is done again when its holder asks again."""
    found: dict[tuple[type, str], tuple[RunDone | Spent, Receipt]] = {}
    for detail in details:
        if isinstance(detail, RunDone | Spent):
            receipt = open_receipt(detail.receipt.encode(), keys)
            # A holder, who chooses a request's id, must not hide a run of the owner's behind it.
            request = type(detail), detail.request_id if isinstance(detail, Spent) else detail.run_id
            if request not in found or not receipt.failed:
                found.pop(request, None)  # in the order of what is kept
                found[request] = detail, receipt
    return found.values()


def _by(detail: RunDone | Spent, receipt: Receipt, debit: Debited | None, by: By) -> Iterator[Use]:
    def use(of: str, name: str, rows_read: int) -> Use:
        return Use(
            of=of,
            name=name,
            times=1,
            failed=receipt.failed,
            rows_read=rows_read,
            rows_given=detail.rows_out,
            bits=0 if debit is None else debit.bits,
            level=receipt.level,
            step_ms=receipt.step_ms,
            last_ms=detail.time_ms,
            receipts=(sha256(detail.receipt.encode()),),
        )

    rows = sum(detail.rows_in.values())
    match by:
        case "algorithm":
            yield use(receipt.algorithm or LOOK, detail.name, rows)
        case "holder":
            yield use(OWN, OWN, rows) if debit is None else use(debit.holder, f"{debit.holder[:16]}…", rows)
        case "stream":
            for stream, count in detail.rows_in.items():
                yield use(stream, stream, count)


def _added(before: Use, one: Use) -> Use:
    return Use(
        of=one.of,
        name=one.name,
        times=before.times + one.times,
        failed=before.failed + one.failed,
        rows_read=before.rows_read + one.rows_read,
        rows_given=before.rows_given + one.rows_given,
        bits=before.bits + one.bits,
        level=min(before.level, one.level),
        step_ms=min(before.step_ms, one.step_ms),
        last_ms=max(before.last_ms, one.last_ms),
        receipts=(*before.receipts, *one.receipts),
    )
