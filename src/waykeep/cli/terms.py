"""Options that say which data, how precisely and until when: shared by the verbs that allow something."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waykeep.cli import paths
from waykeep.device import scoping
from waykeep.formats.ids import parse_public_key


@Parameter(name="*")
@dataclass(frozen=True)
class Terms:
    """What is left out is not narrowed."""

    from_: Annotated[str, Parameter(name="--from", help="First day of data (YYYY-MM-DD, UTC).")] = ""
    to: Annotated[str, Parameter(help="Day after the last (YYYY-MM-DD, UTC).")] = ""
    last: Annotated[str, Parameter(help="Only the newest data, such as 24h or 7d.")] = ""
    area: Annotated[
        list[str] | None, Parameter(help="Only within an area: a GeoJSON file, or H3 cells with commas between.")
    ] = None
    precision: Annotated[str, Parameter(help="Places only to about so many metres, such as 500 or 2km.")] = ""
    times: Annotated[str, Parameter(help="Times only to steps such as 15m, 1h or 1d.")] = ""
    until: Annotated[str, Parameter(help="The day on which it ends (YYYY-MM-DD, UTC).")] = ""
    vetted_by: Annotated[
        list[str] | None,
        Parameter(help="Only if one of these keys reviewed the algorithm (repeat).", allow_leading_hyphen=True),
    ] = None

    def plain(self) -> scoping.Terms:
        """Raises: DeviceError: ``file-unreadable`` for an area's file."""
        return scoping.Terms(
            first=self.from_,
            after=self.to,
            last=self.last,
            until=self.until,
            areas=tuple(_text(given) for given in self.area or ()),
            precision=self.precision,
            times=self.times,
            vetted=tuple(parse_public_key(key) for key in self.vetted_by or ()),
        )


def _text(given: str) -> str:
    path = Path(given)
    return paths.read_text(path) if path.suffix in (".json", ".geojson") else given
