"""Verbs of studies that ask nobody: what to expect of one, and bounds for the next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter, validators

from waykeep.authority import studies
from waykeep.cli import output, paths
from waykeep.device import bounding, researcher

if TYPE_CHECKING:
    from waykeep.trial.expecting import Expectation, Expected
    from waykeep.trial.simulating import Simulated, Told

Json = Annotated[bool, Parameter(help="Print JSON.")]


def simulate(
    study: Annotated[Path, Parameter(help="The study's file, as 'waykeep study create' wrote it.")],
    *,
    people: Annotated[
        int, Parameter(help="How many are made, and take part.", validator=validators.Number(gte=2, lte=10_000))
    ] = 1000,
    response: Annotated[
        float, Parameter(help="How likely it is that a member answers.", validator=validators.Number(gte=0, lte=1))
    ] = 0.8,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=2**63 - 1))] = 1,
    releases: Annotated[
        int, Parameter(help="How many are drawn.", validator=validators.Number(gte=1, lte=5000))
    ] = 1000,
    host: Annotated[str, Parameter(help="Where the study's algorithms lie.")] = "",
    bundles: Annotated[Path | None, Parameter(help="A folder with them instead: packed, or a folder each.")] = None,
    at: Annotated[str, Parameter(help="Where their town is, as 59.91,10.75: for questions about places.")] = "",
    json: Json = False,
) -> None:
    """Tell how far a study's release will be from the truth, before anybody is asked: synthetic people answer it here.

    The study's algorithms run in this process, outside the sandbox: simulate a study of your own, or one whose code you
    have read. Of a longer window the first 28 days are simulated. Precision is as in a vault. The same seed makes the
    same people; noise comes from no seed.

    Example: waykeep study simulate distance.study --people 1000 --response 0.8 --bundles algorithms
    """
    from waykeep.trial import moving, simulating
    from waykeep.trial.finding import find

    signed = studies.open_(paths.read_file(study))
    found = find(signed.study, None if bundles is None else paths.expanded(bundles), host and paths.host_address(host))
    settings = simulating.Settings(people, response, releases, seed, moving.parse(at) if at else None)
    with output.progress("{task.description}", quiet=json) as bars:
        tasks = {
            "people": bars.add_task("people", total=people),
            "releases": bars.add_task("releases", total=releases * len(signed.study.questions)),
        }
        told = simulating.simulate(signed, found, settings, lambda stage: bars.advance(tasks[stage]))
    if json:
        output.show_json(told)
    else:
        _show(told)


def bounds(
    release: Annotated[Path, Parameter(help="A release, as 'waykeep study run' wrote it.")],
    *,
    question: Annotated[str, Parameter(help="The name of one with one key: a histogram.")],
    quantile: Annotated[float, Parameter(help="The share of people whom the bound shall not cut.")] = 0.95,
    json: Json = False,
) -> None:
    """Suggest a bound of one person's contribution from a release of before, and say what it would take away.

    It computes on what was released already, so it costs nobody's budget anything (post-processing).

    Example: waykeep study bounds release.json --question distances --quantile 0.95
    """
    found = bounding.suggest(researcher.opened(paths.expanded(release)), question, quantile)
    if json:
        output.show_json(found)
        return
    metres = "" if found.metres is None else f", up to {found.metres:,} m"
    output.console.print(f"Bound: bin {found.bin}{metres}.", markup=False)
    output.console.print(
        f"Bias: by the noisy histogram {_percent(found.above)} of the people lie above it, and would be cut."
    )
    if not found.reliable:
        output.warn(f"noise alone makes {_percent(found.noise_only)} of the counts: do not rely on it")


VERBS: tuple[Callable[..., None], ...] = (simulate, bounds)


def _show(told: Simulated) -> None:
    settings, console = told.settings, output.console
    for each in told.questions:
        _show_question(each)
    console.print(
        f"{settings.people:,} synthetic people, {_percent(settings.response)} answer; {settings.releases:,} releases."
    )
    if told.too_few:
        console.print(f"In {_percent(told.too_few)} of the queries too few would answer, and nothing be released.")
    console.print(f"Not simulated: {'; '.join(told.left_out)}.", markup=False)


def _show_question(told: Told) -> None:
    expected, days, console = told.expected, told.days, output.console
    first = "the first " if days.clipped else ""
    title = f"{expected.question}, in {expected.unit}: {first}{days.count} days from {days.first}"
    console.print(title, style="bold", markup=False)
    shown = output.table("", "true", "in bounds", "non-response", "± noise", "rms error", "95 % within")
    for cell in expected.cells:
        shown.add_row(" ".join(cell.cell), *_figures(expected, cell))
    if len(expected.cells) > 1:
        shown.add_row("all cells", *_figures(expected, expected.whole))
    console.print(shown)
    console.print(f"In all: {expected.judgement}.", markup=False, soft_wrap=True)
    if expected.whole.hidden:
        console.print(f"Below the threshold, and so counted as 0: {_percent(expected.whole.hidden)} of the cells.")
    lost = "".join(f"; {count:,} count as the default ({why})" for why, count in expected.defaulted.items())
    console.print(f"The bounds cut {expected.cut:,} of {expected.people:,} people{lost}.\n", markup=False)


def _figures(expected: Expectation, cell: Expected) -> tuple[str, ...]:
    values = (cell.true, cell.clamped, cell.nonresponse, expected.interval, cell.rms, cell.quantile95)
    return tuple(f"{value / expected.per:,.6g}" for value in values)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
