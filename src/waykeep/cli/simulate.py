"""The verb ``waykeep simulate``: people who are not there."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from waykeep.cli import output, paths
from waykeep.errors import DeviceError
from waykeep.formats import table
from waykeep.formats.wire import encode_json
from waykeep.synthetic import people


def simulate(
    *,
    people_: Annotated[int, Parameter(name="--people", validator=validators.Number(gte=1, lte=100_000))] = 10,
    days: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=366))] = 7,
    seed: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=2**63 - 1))] = 1,
    first: Annotated[str, Parameter(help="First day (YYYY-MM-DD, UTC).")] = "2026-06-01",
    output_folder: Annotated[Path, Parameter(name=["--output", "-o"], help="A folder that is not there yet.")],
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> None:
    """Make people, in the streams of real phones and with the truth beside them. The same seed gives the same people.

    Nobody real is in them: they are made from the seed alone, in a town that is nowhere. For each there is a folder
    with a Parquet file of each stream, and truth-trips.parquet and truth-legs.parquet.

    Example: waykeep simulate --people 200 --days 7 --seed 1 -o people
    """
    begin = _day(first)
    folder = paths.expanded(output_folder)
    with paths.writing(folder):
        folder.mkdir(parents=True, exist_ok=False)
    points = 0
    with output.progress("people", quiet=json) as bar:
        task = bar.add_task("people", total=people_)
        for number in range(people_):
            made = people.person(seed, number, days, begin)
            points += made.tables["location"].num_rows
            home = folder / f"{number:05}"
            paths.make_folder(home)
            for stream, rows in made.tables.items():
                paths.write_file(home / f"{stream}.parquet", table.to_parquet(rows))
            for name, rows in made.truth.items():
                paths.write_file(home / f"truth-{name}.parquet", table.to_parquet(rows))
            bar.advance(task)
    said = {"version": people.VERSION, "people": people_, "days": days, "seed": seed, "first": first, "points": points}
    paths.write_file(folder / "synthetic.json", encode_json(said))
    if json:
        output.show_json(said)
    else:
        output.console.print(f"{people_:,} people of {days} days, {points:,} places, in {folder}.", markup=False)


def _day(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise DeviceError(
            "date-malformed", "found text that is no day (YYYY-MM-DD)", hint="write a day as 2026-06-01"
        ) from None
