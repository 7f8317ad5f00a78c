"""A study of synthetic people, end to end: what is asked and released, and the truth that only a simulation knows."""

from __future__ import annotations

import datetime
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from rich.console import Console

from waykeep.algorithm import author
from waykeep.authority import questions
from waykeep.authority.queries import Checked
from waykeep.authority.studies import Study
from waykeep.demo.crowd import Crowd
from waykeep.demo.people import shipped
from waykeep.demo.stage import Stage
from waykeep.device import drafting, holder, plots, researcher, studywords
from waykeep.device.account import now_ms
from waykeep.device.hostclient import HostClient
from waykeep.device.researcher import Places, Progress
from waykeep.errors import DeviceError
from waykeep.formats import bundle as bundles
from waykeep.formats import study_file
from waykeep.formats.wire import encode_json
from waykeep.privacy import ledger
from waykeep.supervisor.measure import reference_values
from waykeep.synthetic.people import Person

DAYS = 7
FIRST = datetime.date(2026, 6, 1)
EPSILON = 3.0
SEED = 2026
RINGS = 96
MOST_M = 60_000
ALGORITHMS = ("mode-share", "presence")
FILE = """\
title = "How does this town travel?"
purpose = "To see how far people travel by each mode, and how many are in town on a day."
ethics = "none is needed: nobody here is real"
consent = "You agree that your answer, within its bounds, is added to those of others."
consent_version = "1"
minimum = {minimum}
target = {target}
starts = {starts}
period = "6h"
gather = "2h"
answer = "2h"
deadline = "{deadline}s"

[questions.people]
asks = "How many people were recorded on Wednesday?"
algorithm = "presence"
value = "present"
maximum = 1
mechanism = "laplace"
epsilon = 0.5
from = "2026-06-03"
to = "2026-06-04"

[questions.mode-share]
asks = "How far did people travel by each mode in a week?"
algorithm = "mode-share"
value = "distance_m"
keys = ["mode"]
maximum = {most}
most_cells = 3
total = {most}
mechanism = "gaussian"
epsilon = 1.0
unit = "km"
per = 1000
from = "2026-06-01"
to = "2026-06-08"
"""
_MODES = {"walk": "walking", "bicycle": "cycling", "car": "vehicle", "bus": "vehicle"}


def survey(output: Path, count: int, *, as_json: bool) -> dict[str, Any]:
    """Ask a study of ``count`` people who are asleep; write ``release.json`` and ``release.png`` into ``output``.

    Raises:
        DeviceError: ``demo-failed`` where the release does not verify, or the truth lies far outside its interval.
    """
    console = Console(highlight=False, stderr=as_json)
    watch = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="waykeep-study-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o711)
        (folder / "devices").mkdir(mode=0o700)
        with Stage(folder, rings=RINGS, linger_s=120.0) as stage:
            tokens = stage.start_witness(count)
            stage.start_aggregator()
            crowd = Crowd(stage, folder / "devices", tokens, FIRST, DAYS)
            envelope, study, key = _published(stage, folder, count)
            console.print(f"[bold]A study of {count} synthetic people[/], on one machine, all asleep.\n")
            console.print(
                studywords.consent(researcher.publish(stage.host_url, envelope)), markup=False, soft_wrap=True
            )
            with console.status("people join"):
                crowd.gather(SEED, count, [envelope], EPSILON, lambda done: None)
            while stage.clouds():
                time.sleep(0.05)
            console.print(f"\n{count} people joined and sleep: {time.perf_counter() - watch:.0f} s.")
            start = time.perf_counter()
            with console.status("the study asks") as status:
                published = researcher.run(
                    envelope,
                    0,
                    key,
                    Places(stage.host_url, stage.aggregator_url),
                    crowd.trust,
                    now_ms,
                    lambda now: status.update(_said(now)),
                )
            took = time.perf_counter() - start
            checked, _ = researcher.verify(published, crowd.trust)
            output.mkdir(parents=True, exist_ok=True)
            (output / "release.json").write_bytes(encode_json(published))
            (output / "release.png").write_bytes(plots.plot(checked, "png"))
            truth = true(study, [member.person for member in crowd.members])
            defaults = Counter(
                (question.name, why)
                for sent in crowd.sent()
                for question, why in zip(study.questions, sent.defaulted, strict=True)
                if why
            )
    return _shown(console, checked, truth, took, output) | {"defaults": _told(console, defaults)}


def _published(stage: Stage, folder: Path, count: int) -> tuple[bytes, Study, Any]:
    """The study, its bundles at the host, and the researcher's key."""
    bundled = shipped("algorithms")
    host = HostClient(stage.host_url)
    try:
        for name in ALGORITHMS:
            archive = author.pack_folder(bundled / name)
            host.put_bundle(bundles.load(archive).digest, archive)
    finally:
        host.close()
    starts = datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()
    text = FILE.format(minimum=max(2, count // 2), target=count, starts=starts, deadline=4, most=MOST_M)
    bundle_of = drafting.bundles_beside(bundled, "", author.pack_folder)
    study = drafting.draft(study_file.parse(text.encode()), bundle_of, reference_values())
    key = holder.make(folder / "researcher.key").signer
    return drafting.sign(study, key), study, key


def true(study: Study, people: list[Person]) -> list[list[int]]:
    """What really was, per question and cell, without bounds and noise: known to the simulation only."""
    present = sum(_there(person) for person in people)
    labels = [label[0] for label in questions.labels(study.questions[1])]
    metres = dict.fromkeys(labels, 0)
    for person in people:
        for leg in person.truth["legs"].to_pylist():
            metres[_MODES[leg["mode"]]] += leg["distance_m"]
    return [[present], [metres[label] for label in labels]]


def _there(person: Person) -> bool:
    """Whether the phone recorded anything on the day that is asked for."""
    day = datetime.datetime(2026, 6, 3, tzinfo=datetime.UTC).timestamp() * 1000
    times = person.tables["filtered-location"]["ts_ms"].to_numpy()
    return bool(((times >= day) & (times < day + 86_400_000)).any())


def _said(now: Progress) -> str:
    rung = sum(now.rung.outcomes.values())
    return f"{now.status.phase}: {rung} rung, about {now.status.cohort} take part, {now.status.answered} have answered"


def _told(console: Console, defaults: Counter[tuple[str, str]]) -> dict[str, int]:
    """How often the default was answered, and why: known to the people and the simulation only."""
    told = {f"{question}: {why}": count for (question, why), count in sorted(defaults.items())}
    if told:
        console.print(f"Answers that are the default: {'; '.join(f'{why} {n}' for why, n in told.items())}.")
    return told


def _shown(console: Console, checked: Checked, truth: list[list[int]], took: float, output: Path) -> dict[str, Any]:
    study, release = checked.signed.study, checked.release
    lines: list[dict[str, Any]] = []
    for question, answer, right in zip(study.questions, release.answers, truth, strict=True):
        for label, value, real in zip(questions.labels(question), answer.values, right, strict=True):
            told = {"question": question.name, "cell": " ".join(label), "truth": real, "released": value}
            lines.append(told | {"interval": answer.interval})
    count = release.cohort
    console.print(f"\n{'question':12}{'':10}{'truth':>12}{'released':>12}{'±':>10}   (95 % of the noise)")
    for line in lines:
        asked = next(q for q in study.questions if q.name == line["question"])
        shown = [line[name] / asked.per for name in ("truth", "released", "interval")]
        console.print(
            f"{line['question']:12}{line['cell']:10}{shown[0]:12,.6g}{shown[1]:12,.6g}{shown[2]:10,.6g} {asked.unit}",
            markup=False,
        )
    spent = ledger.epsilon_at(release.cost)
    budget = f"{EPSILON:g} a year, at delta {ledger.DELTA:g}"
    console.print(f"\nEach of about {count} people spent epsilon {spent:.3g} of {budget}.")
    console.print(f"The query took {took:.1f} s: {study.target / took:.1f} people a second.")
    console.print(f"The truth differs also by what phones miss, and by the bound of {MOST_M / 1000:.0f} km a week.")
    console.print(f"Release and picture: {output}", markup=False)
    people = lines[0]
    if people["released"] is None or abs(people["released"] - people["truth"]) > 8 * people["interval"]:
        raise DeviceError("demo-failed", "found a number of people that is far from the truth", status=500)
    return {"seconds": round(took, 2), "epsilon": spent, "cohort": count, "answers": lines}
