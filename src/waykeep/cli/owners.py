"""Verbs of the owner's device."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import Parameter

from waykeep.attestation import insecure
from waykeep.channel.trust import Trust
from waykeep.cli import output, paths, rows
from waykeep.cli.options import InsecureRoot, Owner, SharedUid, private_umask
from waykeep.device import account, scoping, telling, verifying
from waykeep.device import audit as audits
from waykeep.device.approvals import parameters_of
from waykeep.device.importers import Imported, emission
from waykeep.device.owner import Paper
from waykeep.device.profile import Profile
from waykeep.device.receipts import open_receipt
from waykeep.device.trusting import default_policy
from waykeep.device.usage import By, Use, usage
from waykeep.errors import DeviceError
from waykeep.formats import bundle as bundles
from waykeep.formats.ids import parse_digest, parse_public_key
from waykeep.formats.messages import RunResult, Value
from waykeep.supervisor.measure import reference_values


def init(
    *,
    host: Annotated[str, Parameter(help="The host's address, such as http://127.0.0.1:8470.")],
    trust_insecure_root: InsecureRoot,
    shared_uid: SharedUid = False,
    name: str = "this device",
    owner: Owner = Owner(),
) -> None:
    """Make an owner on this device, and register it at a host. Shows the two recovery secrets, once.

    Example: waykeep init --host http://127.0.0.1:8470 --trust-insecure-root "$(cat state/insecure-root.pub)"
    """
    private_umask()
    root = parse_public_key(trust_insecure_root)
    trust = Trust({insecure.PLATFORM: root}, reference_values(), default_policy(shared_uid=shared_uid))
    paths.host_address(host)
    profile, show = lambda made: Profile(made.owner, host, trust), lambda paper: _show_paper(owner, paper)
    with owner.new_lock() as lock:
        account.create(owner.folder, profile, lock, name, show=show)


def _show_paper(owner: Owner, paper: Paper) -> None:
    owner_id = owner.folder.profile().owner
    output.banner()
    if owner.json:
        output.show_json({"owner": owner_id, "opening_secret": paper.opening, "rotating_secret": paper.rotating})
    else:
        output.console.print(f"You are [bold]{owner_id}[/].\n")
        output.console.print("Write these two on paper, now. They are not shown again, and nobody else has them.")
        output.console.print(f"  opens everything:      {paper.opening}", soft_wrap=True)
        output.console.print(f"  takes your id back:    {paper.rotating}", soft_wrap=True)
    sys.stdout.flush()  # seen, not only written, before the keystore is kept


def import_(files: Annotated[list[Path], Parameter(help="e-mission dumps (JSON).")], *, owner: Owner = Owner()) -> None:
    """Read recordings of e-mission's app into the outbox. Nothing leaves the device until 'waykeep upload'."""
    private_umask()
    report = []
    with owner.account() as device:
        for path in files:
            found = emission.read(paths.read_file(path))
            segments = device.queue(found.tables, "imported")
            report.append({"file": path.name, "kept": found.kept, "refused": found.refused, "segments": segments})
            if not owner.json:
                _show_import(path.name, found, segments)
    if owner.json:
        output.show_json(report)


def _show_import(name: str, found: Imported, segments: int) -> None:
    output.console.print(
        f"[bold]{name}[/]: {sum(found.kept.values())} of {found.entries} entries kept, in {segments} segments"
    )
    shown = output.table("stream", "entries")
    for stream, count in sorted(found.kept.items()):
        shown.add_row(stream, str(count))
    output.console.print(shown)
    for refusal in found.refused:
        output.console.print(
            f"  refused entry {refusal.index} ({refusal.key}): {refusal.rule}: {refusal.reason}", markup=False
        )


def upload(*, owner: Owner = Owner()) -> None:
    """Encrypt what waits to the current epoch, upload it, and have your user cloud accept it."""
    with owner.account() as device, output.progress("uploading", quiet=owner.json) as bar:
        task = bar.add_task("", total=None)
        done = device.upload(lambda count, total: bar.update(task, completed=count, total=total))
    refused = {n: o for n, o in done.outcome.items() if o not in account.SETTLED}
    if owner.json:
        output.show_json({"outcome": done.outcome, "detail": done.detail, "rows_new": done.rows_new})
    else:
        accepted = sum(o == "accepted" for o in done.outcome.values())
        known = sum(o == "known" for o in done.outcome.values())
        output.console.print(f"{accepted} segments accepted with {done.rows_new} new rows; {known} were known already.")
        for name, outcome in refused.items():
            output.console.print(f"  refused {name}: {outcome}: {done.detail.get(name, '')}", markup=False)
    if refused:
        raise DeviceError(
            "segments-refused",
            f"{len(refused)} segments were refused and stay in the outbox",
            hint="see the reasons above",
        )


def status(*, owner: Owner = Owner()) -> None:
    """What your user cloud holds, and what still waits on this device."""
    with owner.account() as device:
        found, waiting, appraised = device.status(), len(device.outbox.names()), device.appraised
    if owner.json:
        output.show_json({"cloud": found, "waiting": waiting, "appraised": appraised})
        return
    output.console.print(
        f"owner {found.owner}, on platform {appraised.platform}; {waiting} segments wait on this device"
    )
    shown = output.table("stream", "segments", "rows", "from (UTC)", "to (UTC)")
    for line in found.streams:
        shown.add_row(
            line.stream, str(line.segments), str(line.rows), output.when(line.first_ms), output.when(line.last_ms)
        )
    output.console.print(shown)
    output.console.print(f"{found.approvals} approvals, {found.runs} runs")
    output.missing(found.epochs_missing)


def run(
    digest: str,
    *,
    from_: Annotated[str, Parameter(name="--from", help="First day (YYYY-MM-DD, UTC).")] = "",
    to: Annotated[str, Parameter(help="Day after the last (YYYY-MM-DD, UTC).")] = "",
    set_: Annotated[list[str] | None, Parameter(name="--set", help="Parameter NAME=VALUE.")] = None,
    review: Annotated[list[Path] | None, Parameter(help="A reviewer's statement, where one is asked for.")] = None,
    receipt: Annotated[Path | None, Parameter(help="Write the signed receipt to this file.")] = None,
    owner: Owner = Owner(),
) -> None:
    """Run an approved algorithm on your data, and print its result."""
    with owner.account() as device, paths.opened(receipt) as keep:
        first, end = (scoping.day_ms(text) if text else None for text in (from_, to))
        scoping.require_time(first, end)
        wanted = parse_digest(digest)
        found = bundles.load(device.host.bundle(wanted))
        values: dict[str, Value] = parameters_of(found, set_ or [])
        result = device.run(wanted, values, first, end, tuple(paths.read_text(path) for path in review or ()))
        missing = open_receipt(result.receipt, [device.connect().state_key]).epochs_missing
        _show_result(found, result, missing, as_json=owner.json)
        keep(result.receipt)


def _show_result(found: bundles.Bundle, result: RunResult, missing: tuple[int, ...], *, as_json: bool) -> None:
    if as_json:
        output.show_json(
            {
                "rows": result.rows,
                "stages_ms": result.stages,
                "receipt": json_module.loads(result.receipt),
                "epochs_missing": missing,
            }
        )
        return
    rows.show(found.manifest.output.fields, result.rows, output.console)
    output.console.print(f"{len(result.rows)} rows; the receipt is signed by your user cloud and fits them.")
    output.missing(missing)


def audit(
    *,
    by: Annotated[By | None, Parameter(help="Who used your data: sums by algorithm, holder or stream.")] = None,
    verify: Annotated[bool, Parameter(help="Check everything from objects and keys, and name what is wrong.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Who was allowed what, and what happened: your logs in plain words, checked on this device.

    With --verify the user cloud is not asked, and nothing that this device has a copy of is taken for what the host
    shows: chains, signatures, receipts, what this device and your witness have seen.

    Example: waykeep audit --by holder
    """
    with owner.account() as device:
        if by is not None:
            _show_usage(usage(device, by), by, as_json=owner.json)
            return
        if verify:
            _verify(verifying.verify(device), as_json=owner.json)
            return
        lines = audits.read(device)
    if owner.json:
        output.show_json(lines)
        return
    shown = output.table("log", "no", "time (UTC)", "what")
    for line in lines:
        shown.add_row(line.chain, str(line.number), output.when(line.time_ms), line.words)
    output.console.print(shown)
    output.console.print("Every signature, chain and receipt in these logs was checked on this device.")


def _show_usage(found: list[Use], by: By, *, as_json: bool) -> None:
    if as_json:
        output.show_json([{**msgspec.structs.asdict(use), "precision": use.precision} for use in found])
        return
    shown = output.table(by, "times", "rows read", "rows given", "precision", "bits at most", "last (UTC)")
    for use in found:
        times = f"{use.times}, {use.failed} failed" if use.failed else str(use.times)
        rows_read, rows_given, bits = (f"{count:,}" for count in (use.rows_read, use.rows_given, use.bits))
        shown.add_row(use.name, times, rows_read, rows_given, use.precision, bits, telling.minute(use.last_ms))
    output.console.print(shown)
    receipts = len({receipt for use in found for receipt in use.receipts})
    output.console.print(
        f"{receipts} signed receipts were checked on this device. Precision is that of places and times;"
    )
    output.console.print("bits count what others may have learned in all.")


def _verify(found: verifying.Verified, *, as_json: bool) -> None:
    if as_json:
        output.show_json(found)
    else:
        output.console.print(
            f"{found.entries} entries of your owner log, {found.records} records of your journal and "
            f"{found.receipts} receipts were checked."
        )
        for line in found.findings:
            output.console.print(f"[bold red]{line.rule}[/]: ", end="")
            output.console.print(line.words, markup=False, soft_wrap=True)
    if found.findings:
        raise DeviceError(
            found.findings[0].rule,
            f"found {len(found.findings)} things that are not as they should be; the first: {found.findings[0].words}",
            hint=verifying.HINTS[found.findings[0].rule],
            status=409,
        )
    if not as_json:
        output.console.print("All is as it was signed, and nothing is missing that was seen.")
