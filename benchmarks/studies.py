"""A study of people who all sleep, everything on, against a plain loop over the same rows in one process.

Each of 1,000 synthetic people has a week on their phone, of which a study asks the distance by mode. Once all sleep,
the host rings them, so many at a time: each user cloud wakes, appraises the aggregator over TLS, says that it takes
part, has its debit witnessed, runs the algorithm in its sandbox, and sends a bounded answer; then it sleeps. The clock
runs from the researcher's request to the checked release. The quoting device takes 39 ms a quote, one at a time.

The plain loop reads the same Parquet files, unencrypted, and runs the same function of the same bundle, one person
after the other in one process. Nothing protects anybody there: it says what all the rest costs."""

from __future__ import annotations

import datetime
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from benchmarks._quoting import QUOTE_MS, Slowed
from waykeep.algorithm import author
from waykeep.algorithm.importer import BundleImporter
from waykeep.authority import questions
from waykeep.authority.studies import Study
from waykeep.demo.crowd import Crowd, Member
from waykeep.demo.people import shipped
from waykeep.device import drafting, holder, researcher
from waykeep.device.account import now_ms
from waykeep.device.hostclient import HostClient
from waykeep.device.researcher import Places
from waykeep.formats import bundle as bundles
from waykeep.formats import results, study_file, table
from waykeep.formats.bundle import Bundle
from waykeep.privacy import bounds
from waykeep.supervisor.measure import reference_values

PEOPLE = 1000
DAYS = 7
FIRST = datetime.date(2026, 6, 1)
AT_ONCE = 64
DEADLINE_S = 2
SLEEPERS = 20
LINGER_S = 600.0
"""With room for all of them, nobody sleeps between saying that they take part and answering."""
GOALS = {"people_per_s": "at least 20"}
MEANINGS = {
    "people_per_s": f"people over the time from request to release, {PEOPLE:,} of them, asleep at first",
    "loop_ratio": "ours over the plain loop's people a second",
    "loop_people_per_s": "the plain loop's",
    "people": "who took part",
    "quote_ms": "of the quoting device, one at a time",
    "gather_s": "of that time, until the cohort was frozen: all were woken and have said that they take part",
    "stage_ms": "mean of a person's stages: of the wall's clock, with so many at once on two cores; start is mostly "
    "waiting for a service's place, answer what the study's deadline leaves; sleep is of a few, one at a time",
}
_FILE = """\
title = "A benchmark"
purpose = "To see how fast it is."
ethics = "nobody is real"
consent = "none"
consent_version = "1"
minimum = {people}
target = {people}
starts = {starts}
period = "6h"
gather = "2h"
answer = "2h"
deadline = "{deadline}s"

[questions.distance]
asks = "How far did people travel by each mode?"
algorithm = "mode-share"
value = "distance_m"
keys = ["mode"]
maximum = 60000
most_cells = 3
total = 60000
mechanism = "gaussian"
epsilon = 1.0
from = "2026-06-01"
to = "2026-06-08"
"""


def run(people: int = PEOPLE) -> dict[str, Any]:
    """The figures of ``MEANINGS``."""
    with tempfile.TemporaryDirectory(prefix="waykeep-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "devices").mkdir(mode=0o700)
        with Slowed(folder, linger_s=LINGER_S, rings=AT_ONCE) as stage:
            tokens = stage.start_witness(people)
            stage.start_aggregator()
            crowd = Crowd(stage, folder / "devices", tokens, FIRST, DAYS)
            archive = author.pack_folder(shipped("algorithms") / "mode-share")
            bundle = bundles.load(archive)
            host = HostClient(stage.host_url)
            host.put_bundle(bundle.digest, archive)
            host.close()
            study = _study(people, bundle)
            key = holder.make(folder / "key").signer
            envelope = drafting.sign(study, key)
            researcher.publish(stage.host_url, envelope)
            crowd.gather(1, people, [envelope], 3.0, _said)
            while stage.clouds():
                time.sleep(0.1)
            places, frozen = Places(stage.host_url, stage.aggregator_url), list[float]()
            start = time.perf_counter()

            def progress(now: researcher.Progress) -> None:
                if now.status.phase != "gathering" and not frozen:
                    frozen.append(time.perf_counter() - start)

            published = researcher.run(envelope, 0, key, places, crowd.trust, now_ms, progress)
            took = time.perf_counter() - start
            release = researcher.verify(published, crowd.trust)[0].release
            ours, loop = people / took, _loop(crowd.members, study, bundle, folder)
            return {
                "people_per_s": round(ours, 1),
                "loop_ratio": round(ours / loop, 3),
                "loop_people_per_s": round(loop, 1),
                "people": release.cohort,
                "quote_ms": QUOTE_MS,
                "gather_s": round(frozen[0], 1),
                "stage_ms": _stages(crowd) | {"sleep": _sleep(crowd.members[:SLEEPERS])},
            }


def _study(people: int, bundle: Bundle) -> Study:
    starts = datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()
    text = _FILE.format(people=people, starts=starts, deadline=DEADLINE_S)
    return drafting.draft(study_file.parse(text.encode()), lambda _: bundle, reference_values())


def _said(done: int) -> None:
    if done % 100 == 0:
        sys.stderr.write(f"{done} people joined\n")


def _loop(members: list[Member], study: Study, bundle: Bundle, folder: Path) -> float:
    """People a second of the plain loop; the files are written before the clock runs."""
    manifest, question = bundle.manifest, study.questions[0]
    wanted = {given.stream: list(given.columns) for given in manifest.inputs}
    files = []
    for member in members:
        paths = {stream: folder / f"{member.person.number}-{stream}.parquet" for stream in wanted}
        for stream, path in paths.items():
            path.write_bytes(table.to_parquet(member.person.tables[stream]))
        files.append(paths)
    BundleImporter(bundle).load(manifest.module)
    function = getattr(sys.modules[manifest.module], manifest.function)
    parameters = results.check_parameters(manifest, {})
    sums = [0] * question.bounds.cells
    start = time.perf_counter()
    for paths in files:
        tables = {s: table.from_parquet(path.read_bytes(), columns=wanted[s]) for s, path in paths.items()}
        vector = bounds.clamp(questions.vector(question, function(tables, parameters)), question.bounds)
        sums = [a + b for a, b in zip(sums, vector, strict=True)]
    return len(files) / (time.perf_counter() - start)


def _stages(crowd: Crowd) -> dict[str, float]:
    """What the journals say of each stage, and what the host waited for user clouds to wake."""
    found: dict[str, list[float]] = {}
    for sent in crowd.sent():
        if any(sent.defaulted):
            raise RuntimeError(f"somebody's answer was the default: {sent.defaulted}")
        for name, ms in sent.stages.items():
            found.setdefault(name, []).append(ms)
    means = {name: round(statistics.mean(each), 1) for name, each in found.items()}
    return means | {"answer": round(DEADLINE_S * 1000 - means["run"], 1)}


def _sleep(members: list[Member]) -> float:
    """Milliseconds that being put to sleep takes, one after the other: of those who are awake after the query."""
    found = []
    for member in members:
        with member.account() as device:
            device.connect()
            start = time.perf_counter()
            device.suspend()
            found.append(1000 * (time.perf_counter() - start))
    return round(statistics.mean(found), 1)


if __name__ == "__main__":
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(run(int(sys.argv[1])))).decode() + "\n")
