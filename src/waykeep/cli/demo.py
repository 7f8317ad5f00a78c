"""The demo's verb."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators


def demo(
    *, output: Path = Path("demo-output"), recordings: Path | None = None, keep: bool = False, json: bool = False
) -> None:
    """Show the main job, end to end, on real phone recordings: seven steps and a study, two algorithms, six refusals.

    Args:
        output: Folder for summary.json, trips.geojson and report.html.
        recordings: A folder of e-mission dumps to use instead of the shipped ones.
        keep: Leave host and supervisor running, and print the commands to go on by hand.
        json: Print the summary as JSON.
    """
    from waykeep.cli.paths import make_folder
    from waykeep.demo.play import play

    make_folder(output)
    play(output, recordings, keep=keep, as_json=json)


def study_demo(
    *,
    output: Path = Path("demo-output"),
    people: Annotated[int, Parameter(validator=validators.Number(gte=4, lte=2000))] = 200,
    json: bool = False,
) -> None:
    """Ask a study of synthetic people on this machine: its truth, its release, what it cost, and how long it took.

    Args:
        output: Folder for release.json and release.png.
        people: How many there are.
        json: Print the figures as JSON.
    """
    from waykeep.cli import output as out
    from waykeep.demo.survey import survey

    found = survey(output, people, as_json=json)
    if json:
        out.show_json(found)
