"""The demo's verb."""

from __future__ import annotations

from pathlib import Path


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
