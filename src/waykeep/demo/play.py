"""The demo: the main job on real recordings, step by step, with what it took and what was refused."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from pathlib import Path

import msgspec
from rich.console import Console

from waykeep.algorithm import author
from waykeep.attestation import insecure
from waykeep.attestation.evidence import USER_CLOUD
from waykeep.channel.client import AttestedClient
from waykeep.demo import people, refusals, summary
from waykeep.demo.gather import ALGORITHMS, Play, report
from waykeep.demo.people import Person
from waykeep.demo.stage import Stage, free_port
from waykeep.demo.study import Study
from waykeep.demo.wiretap import Wiretap
from waykeep.device.account import now_ms
from waykeep.device.approvals import propose
from waykeep.device.receipts import open_receipt
from waykeep.device.scoping import Terms
from waykeep.errors import DeviceError
from waykeep.formats import bundle as bundles
from waykeep.formats.bundle import Bundle
from waykeep.formats.streams import MAX_TS_MS, MIN_TS_MS


def play(output: Path, recordings: Path | None, *, keep: bool, as_json: bool) -> None:
    """Run the demo; write ``summary.json``, ``trips.geojson`` and ``report.html`` into ``output``.

    Raises:
        DeviceError: ``demo-failed`` when something was not refused, leaked, or did not verify.
    """
    console = Console(highlight=False, stderr=as_json)
    output.mkdir(parents=True, exist_ok=True)
    # Not in `output`: a user cloud has a uid of its own, and must be able to reach the store from the root folder.
    node = Path(tempfile.mkdtemp(prefix="waykeep-demo-"))
    node.chmod(0o711)
    wires = node / "wires"
    for folder in (wires, node / "study"):
        folder.mkdir(mode=0o700)
    stage, kept = Stage(node), False
    try:
        with contextlib.ExitStack() as taps:
            url = _start(stage, wires, taps, console)
            show = Play(console)
            folder = recordings or people.shipped("recordings")
            owners = _owners(stage, url, folder, node, console)
            try:
                found = _main_job(show, owners)
                _refusals(show, stage, owners, found)
                Study(show, stage, owners[0], found[1], node / "study").play()
                _tell(show)
                result = report(show, stage, wires, owners, output)
            finally:
                for person in owners:
                    person.device.close()
        if keep:
            kept = _keep(stage, int(url.rpartition(":")[2]), owners, console)
        if as_json:
            Console().print_json(msgspec.json.encode(result).decode())
        _verdict(result, output, console)
    finally:
        if not kept:
            stage.stop()
            shutil.rmtree(node)


def _start(stage: Stage, wires: Path, taps: contextlib.ExitStack, console: Console) -> str:
    """Start supervisor and host, with a tap on each of the host's sockets; the URL at which the host is reached."""
    console.print(
        "[bold]Waykeep demo[/]: the main job in seven steps, and a study in four more, on real phone recordings.\n"
    )
    console.print(f"[yellow]{insecure.WARNING}[/]\n")
    stage.start_supervisor()
    tapped = stage.folder / "tapped.sock"
    taps.enter_context(Wiretap(stage.socket, wires, "supervisor", tapped))
    port = free_port()
    tap = taps.enter_context(Wiretap(("127.0.0.1", port), wires, "host"))
    url = f"http://{tap.tcp_address[0]}:{tap.tcp_address[1]}"
    stage.start_host(port, tapped, url)
    return url


def _owners(stage: Stage, url: str, folder: Path, node: Path, console: Console) -> list[Person]:
    names = ("Ada", "Ben")
    groups = people.group(folder)
    owners = [people.settle(stage, url, n, f, node / n.lower()) for n, f in zip(names, groups, strict=True)]
    for person in owners:
        refused = people.import_recordings(person)
        console.print(f"{person.name}: {person.entries} entries kept, {len(refused)} refused, from {person.recording}")
        by_rule: dict[str, list[str]] = {}
        for refusal in refused:
            by_rule.setdefault(refusal.rule, []).append(refusal.reason)
        for rule, reasons in sorted(by_rule.items()):
            console.print(f"    [dim]{len(reasons)} x {rule}, such as: {reasons[0]}[/]", markup=True)
    console.print()
    return owners


def _main_job(show: Play, owners: list[Person]) -> list[Bundle]:
    first, watch = owners[0], _Watch()
    names = first.device.send()
    sent = watch.lap()
    show.step(
        1,
        "device",
        True,
        "encrypts and uploads",
        f"{len(names)} segments, age-encrypted; the host sees ciphertext.",
        sent,
    )
    found = [bundles.load(author.pack_folder(people.shipped("algorithms") / name)) for name in ALGORITHMS]
    for each in found:
        first.device.host.put_bundle(each.digest, bundles.pack(each.files))
    for each in found:
        show.console.print(f"    [dim]{each.manifest.name}: {each.manifest.summary}[/]")
    watch.lap()
    show.refused.append(refusals.not_approved(first, found[0]))
    watch.lap()
    for person in owners:
        for each in found:
            person.device.approve(propose(each, each.digest, Terms(), [], each.manifest.name))
    show.step(
        2, "device", True, "approves two digests", "Each approval is a signed entry of the owner's log.", watch.lap()
    )
    # A launch from nothing, which the owner's own connection above made already for the first owner.
    second = owners[1]
    watch.lap()
    with AttestedClient(
        second.device.host.cloud(),
        workload=USER_CLOUD,
        binding=second.device.owner,
        trust=second.device.profile.trust,
        clock=now_ms,
    ) as client:
        show.launch_ms = watch.lap()
        isolated = ", ".join(client.result.isolation)
    detail = (
        f"The host had it started; the device appraised it ({isolated}) before it sent anything, then handed keys over."
    )
    second.device.cloud()
    show.step(3, "host, device", False, "finds, launches, appraises", detail, show.launch_ms)
    watch.lap()
    accepted = first.device.settle(names)
    show.points_per_s = accepted.rows_new / ((sent + watch.lap()) / 1000)
    second.device.upload()
    for person in owners:
        for each in found:
            watch.lap()
            result = person.device.run(each.digest, {}, MIN_TS_MS, MAX_TS_MS)
            show.runs.append((person, each, result, watch.lap()))
    _four_to_seven(show)
    return found


def _four_to_seven(show: Play) -> None:
    person, each, result, _ = show.runs[0]
    stages, name = result.stages, each.manifest.name
    receipt = open_receipt(result.receipt, list(person.device.log().state_keys))
    rows = sum(receipt.rows_in.values())
    show.step(
        4,
        "algorithm service",
        True,
        "starts and is appraised",
        f"A front and a sandboxed child for this one run of {name}; it loaded exactly the approved digest.",
        stages["start"] + stages["attest"],
    )
    detail = f"{rows} rows of {', '.join(receipt.rows_in)}, and no others, over the attested channel."
    show.step(5, "user cloud", True, "decrypts the granted data", detail, stages["read"])
    detail = "The child has no network, files or other processes; front and user cloud both check the answer."
    show.step(6, "algorithm service", True, "computes once and ends", detail, stages["compute"])
    detail = f"{len(result.rows)} trips, a signed receipt, and a derived stream; record durable before the answer."
    show.step(7, "user cloud", True, "returns and stores back", detail, stages["record"])


def _refusals(show: Play, stage: Stage, owners: list[Person], found: list[Bundle]) -> None:
    first, second = owners
    show.refused.append(refusals.one_byte_changed(stage, first, found[0].digest))
    show.refused.append(refusals.other_measurement(stage, first))
    show.refused.append(refusals.other_owner(second, first))
    show.refused.append(refusals.forged_segment(stage, first))


def _tell(show: Play) -> None:
    show.console.print("\n[bold]Refused[/], as it must be:")
    for refusal in show.refused:
        mark = f"[green]{refusal.error}[/]" if refusal.error else "[bold red]NOT REFUSED[/]"
        show.console.print(f"  {refusal.what}: {mark}")


def _keep(stage: Stage, port: int, owners: list[Person], console: Console) -> bool:
    # The taps ended: the host is started again, where everybody knows it.
    stage.stop_host()
    stage.start_host(port)
    console.print("\n[bold]Left running[/]; go on by hand:")
    for person in owners:
        console.print(
            f"  waykeep status --home {person.home} --key-file {person.home.with_suffix('.key')}", soft_wrap=True
        )
    console.print(
        f"  waykeep audit --home {owners[0].home} --key-file {owners[0].home.with_suffix('.key')}", soft_wrap=True
    )
    console.print(f"  kill {stage.pids[0]} {stage.pids[1]}; rm -r {stage.folder}    # to end it", soft_wrap=True)
    return True


def _verdict(result: summary.Summary, output: Path, console: Console) -> None:
    wrong = summary.faults(result)
    if wrong:
        raise DeviceError("demo-failed", "; ".join(wrong))
    console.print(f"\nSee [bold]{output / 'report.html'}[/], trips.geojson and summary.json in the same folder.")


class _Watch:
    """Milliseconds between laps."""

    def __init__(self) -> None:
        self._last = time.perf_counter()

    def lap(self) -> float:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        return passed * 1000
