"""Options that say which data, how precisely and until when: shared by the verbs that allow something."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waykeep.cli import paths
from waykeep.device import scoping
from waykeep.formats.ids import Digest, parse_public_key
from waykeep.formats.proposal import Proposal


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


@Parameter(name="*")
@dataclass(frozen=True)
class Proposed:
    """What a QR code proposes. A holder makes it a grant to them."""

    holder: Annotated[str, Parameter(help="Your key, if it shall be granted to you.", allow_leading_hyphen=True)] = ""
    recipient: Annotated[str, Parameter(help="Your age recipient.")] = ""
    runs: Annotated[int | None, Parameter(help="How many times.")] = None
    bits: Annotated[int | None, Parameter(help="Bits of output over all runs.")] = None
    from_: Annotated[str, Parameter(name="--from", help="First day of data (YYYY-MM-DD, UTC).")] = ""
    to: Annotated[str, Parameter(help="Day after the last (YYYY-MM-DD, UTC).")] = ""
    last: Annotated[str, Parameter(help="Only the newest data, such as 24h or 7d.")] = ""
    until: Annotated[str, Parameter(help="The day on which it ends (YYYY-MM-DD, UTC).")] = ""
    precision: Annotated[str, Parameter(help="Places only to about so many metres, such as 500 or 2km.")] = ""
    times: Annotated[str, Parameter(help="Times only to steps such as 15m, 1h or 1d.")] = ""
    deadline: Annotated[str, Parameter(help="Answers come so long after a run began, such as 30s.")] = ""
    store: Annotated[str, Parameter(help="Results are kept in the owner's vault as this derived stream.")] = ""
    purpose: Annotated[str, Parameter(help="What for, in words.")] = ""
    set_: Annotated[list[str] | None, Parameter(name="--set", help="NAME=VALUE (repeat for more).")] = None

    def proposal(self, digest: Digest, host: str) -> Proposal:
        return Proposal(
            digest=digest,
            host=host,
            holder=self.holder,
            recipient=self.recipient,
            runs=self.runs,
            bits=self.bits,
            first=self.from_,
            after=self.to,
            last=self.last,
            until=self.until,
            precision=self.precision,
            times=self.times,
            deadline=self.deadline,
            store=self.store,
            purpose=self.purpose,
            settings=tuple(self.set_ or ()),
        )


def _text(given: str) -> str:
    path = Path(given)
    return paths.read_text(path) if path.suffix in (".json", ".geojson") else given
