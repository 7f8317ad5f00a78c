"""Verbs of studies for those who ask. `waykeep.cli.studies` takes them along."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waykeep.algorithm import author
from waykeep.attestation import insecure
from waykeep.authority import questions, studies
from waykeep.authority.queries import Checked
from waykeep.channel.trust import Trust
from waykeep.cli import output, paths
from waykeep.cli.options import InsecureRoot, SharedUid, private_umask
from waykeep.device import drafting, holder, plots, researcher, studywords
from waykeep.device.making import now_ms
from waykeep.device.researcher import Places, Progress
from waykeep.device.trusting import default_policy
from waykeep.formats import study_file
from waykeep.formats.ids import parse_public_key
from waykeep.formats.wire import encode_json
from waykeep.privacy import ledger
from waykeep.supervisor.measure import reference_values

ResearcherFile = Annotated[Path, Parameter(name="--key", help="Your key file, made by 'waykeep grant key'.")]
StudyFile = Annotated[Path, Parameter(help="The study's file.")]
ReleaseFile = Annotated[Path, Parameter(help="A release, as 'waykeep study run' wrote it.")]
Json = Annotated[bool, Parameter(help="Print JSON.")]


def create(
    toml: Annotated[Path, Parameter(help="The study.toml.")],
    *,
    key: ResearcherFile,
    output_file: Annotated[Path, Parameter(name=["--output", "-o"], help="Write the signed study here.")],
    host: Annotated[str, Parameter(help="Where bundles lie that the file names by digest.")] = "",
    json: Json = False,
) -> None:
    """Make a study of a file, and sign it. From then on nothing of it can be changed.

    A study.toml:

        title = "How far do you travel?"
        purpose = "To plan bicycle lanes."
        ethics = "approved by the board of …, number …"
        consent = "You agree to …"
        consent_version = "1"
        minimum = 100                    # people, or nothing is released
        target = 1000                    # people, and it is full
        starts = 2026-12-01T00:00:00Z
        period = "7d"                    # in each one query is tried:
        gather = "24h"                   # so long to find out who takes part,
        answer = "24h"                   # and so long to answer
        periods = 4
        repetitions = 1

        [questions.distance]
        asks = "How many kilometres by each mode?"
        algorithm = "sha256:…"           # or a bundle's folder beside this file
        value = "distance_m"
        keys = ["mode"]
        maximum = 100000                 # of one person, in one cell
        most_cells = 3
        total = 150000
        mechanism = "laplace"            # or "gaussian"
        epsilon = 0.5                    # or offset = 5000, alpha = 0.05
        unit = "km"
        per = 1000
        from = "2026-11-01"
        to = "2026-12-01"
        precision = "50m"
        times = "1m"
    """
    private_umask()
    found, folder = study_file.parse(paths.read_file(toml)), paths.expanded(toml).parent
    made = drafting.draft(found, drafting.bundles_beside(folder, host, author.pack_folder), reference_values())
    envelope = drafting.sign(made, holder.load(paths.expanded(key)).signer)
    paths.write_file(output_file, envelope)
    signed = studies.open_(envelope)
    if json:
        whole = made.span.units
        output.show_json(
            {
                "digest": signed.digest,
                "cost": made.cost,
                "cost_epsilon": ledger.epsilon_at(made.cost),
                "set_aside": whole,
                "set_aside_epsilon": ledger.epsilon_at(whole),
            }
        )
        return
    output.console.print(studywords.consent(signed), markup=False, soft_wrap=True)
    output.console.print(f"\nDigest: {signed.digest}", markup=False, soft_wrap=True)


def publish(study: StudyFile, *, host: str, json: Json = False) -> None:
    """Put a study on a host's board, where people find it by its digest."""
    signed = researcher.publish(paths.host_address(host), paths.read_file(study))
    if json:
        output.show_json({"digest": signed.digest})
    else:
        output.console.print(f"Published {signed.digest}.", soft_wrap=True)


def run(
    study: StudyFile,
    *,
    key: ResearcherFile,
    host: Annotated[str, Parameter(help="The host of those who take part.")],
    aggregator: Annotated[str, Parameter(help="Where aggregators are started.")],
    trust_insecure_root: InsecureRoot,
    output_file: Annotated[Path, Parameter(name=["--output", "-o"], help="Write the release here.")],
    repetition: Annotated[int, Parameter(help="Which repetition of the study, from 1 on.")] = 1,
    shared_uid: SharedUid = False,
    json: Json = False,
) -> None:
    """Ask a study once: gather those who take part, have them answer, and write the release.

    An aggregator that ends early ends the query: what people were debited stays debited.
    """
    if not json:
        output.banner()
    trust = _trust(trust_insecure_root, shared_uid=shared_uid)
    signer, envelope = holder.load(paths.expanded(key)).signer, paths.read_file(study)
    places = Places(paths.host_address(host), paths.host_address(aggregator))
    with paths.opened(output_file) as keep, _watching(quiet=json) as progress:
        published = researcher.run(envelope, repetition - 1, signer, places, trust, now_ms, progress)
        keep(encode_json(published))
    _show(researcher.verify(published, trust)[0], as_json=json)


def result(
    release: ReleaseFile,
    *,
    picture: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Draw it here (.png or .svg).")] = None,
    json: Json = False,
) -> None:
    """What a release says, as a table and as a picture. Whether to believe it, 'waykeep study verify' tells."""
    checked = researcher.opened(paths.expanded(release))
    if picture is not None:
        paths.write_file(picture, plots.plot(checked, picture.suffix.removeprefix(".")))
    _show(checked, as_json=json)


def verify(
    release: ReleaseFile, *, trust_insecure_root: InsecureRoot, shared_uid: SharedUid = False, json: Json = False
) -> None:
    """Check a release on any machine: its signatures, its figures, and what code made it."""
    if not json:
        output.banner()
    trust = _trust(trust_insecure_root, shared_uid=shared_uid)
    checked, appraised = researcher.verify(researcher.read(paths.expanded(release)), trust)
    if json:
        output.show_json(
            {"study": checked.signed.digest, "aggregator": appraised.measurement, "release": checked.release}
        )
        return
    output.console.print(f"Right: made by an aggregator measured as {appraised.measurement},", soft_wrap=True)
    output.console.print(f"bound to repetition {checked.release.query.repetition + 1} of {checked.signed.digest}.")
    for part, found in sorted(checked.release.measured.items()):
        output.console.print(f"  {part}: {', '.join(found)}", soft_wrap=True, markup=False)


def stop(study: StudyFile, *, key: ResearcherFile, host: str, json: Json = False) -> None:
    """Have nobody rung for a study any more."""
    signed = studies.open_(paths.read_file(study))
    researcher.stop(signed, holder.load(paths.expanded(key)).signer, paths.host_address(host))
    if json:
        output.show_json({"digest": signed.digest})
    else:
        output.console.print(f"Stopped “{signed.study.title}”.", markup=False)


VERBS: tuple[Callable[..., None], ...] = (create, publish, run, result, verify, stop)


@contextmanager
def _watching(*, quiet: bool) -> Iterator[Callable[[Progress], None]]:
    """A bar: who was rung in a round, and how far the query is."""
    with output.progress("{task.description}", quiet=quiet) as shown:
        task = shown.add_task("gathering", total=None)

        def progress(now: Progress) -> None:
            rung = sum(now.rung.outcomes.values())
            words = f"{now.status.phase}: about {now.status.cohort} take part, {now.status.answered} have answered"
            shown.update(task, description=words, completed=rung, total=rung + now.rung.waiting)

        yield progress


def _trust(root: str, *, shared_uid: bool) -> Trust:
    found = parse_public_key(root)
    return Trust({insecure.PLATFORM: found}, reference_values(), default_policy(shared_uid=shared_uid))


def _show(checked: Checked, *, as_json: bool) -> None:
    study, release = checked.signed.study, checked.release
    if as_json:
        output.show_json({"study": checked.signed.digest, "release": release})
        return
    for question, answer in zip(study.questions, release.answers, strict=True):
        output.console.print(f"[bold]{question.name}[/]: {question.asks}")
        shown = output.table(*(axis.field for axis in question.keys), question.unit or question.value, "±")
        for label, value in zip(questions.labels(question), answer.values, strict=True):
            if value is not None:
                shown.add_row(*label, f"{value / question.per:,.6g}", f"{answer.interval / question.per:,.6g}")
        output.console.print(shown)
        hidden = sum(value is None for value in answer.values)
        if hidden:
            output.console.print(f"{hidden} cells are below the threshold of {question.threshold}.")
    spent = f"epsilon {ledger.epsilon_at(release.cost):.3g} at delta {ledger.DELTA:g}"
    output.console.print(f"About {release.cohort:,} people; ± holds the noise 19 times of 20; each spent {spent}.")
