"""What is asked of a user cloud under a grant: who asks is known by the request's signature."""

from __future__ import annotations

from typing import Annotated

import msgspec

from waykeep.authority.areas import Area
from waykeep.authority.scopes import Columns
from waykeep.formats import grid
from waykeep.formats.ids import Digest
from waykeep.formats.messages import Millis, Number, Value

MAX_ASKED_AREAS = 4
MAX_ENVELOPES = 1024
"""Links or reviews that are parsed as such before their own rules are asked."""

Envelopes = Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_ENVELOPES)]


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Which part of what is allowed. What it leaves out is as it is allowed; what it names must lie within that.

    Attributes:
        streams: Per stream the columns, for a read. An algorithm gets what its manifest says.
        from_ms, to_ms: Observation times, half open.
        areas: A place must lie in each.
        level, step_ms: As in `waykeep.formats.grid`.
    """

    streams: Annotated[dict[str, Columns], msgspec.Meta(max_length=32)] | None = None
    from_ms: Millis | None = None
    to_ms: Millis | None = None
    areas: Annotated[tuple[Area, ...], msgspec.Meta(max_length=MAX_ASKED_AREAS)] = ()
    level: Annotated[int, msgspec.Meta(ge=0, le=grid.MAX_LEVEL)] | None = None
    step_ms: Millis | None = None


class Spend(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A holder's request for one run of a grant, or one read. The same ``request_id`` again is the same one.

    Attributes:
        digest: Of the algorithm; None for a read.
        links: Envelopes of the chain from the grant's holder to the key that asks.
        reviews: Envelopes of `waykeep.authority.reviews`.
    """

    request_id: Annotated[str, msgspec.Meta(min_length=22, max_length=22)]
    grant: Number
    digest: Digest | None
    parameters: Annotated[dict[str, Value], msgspec.Meta(max_length=64)]
    ask: Ask = Ask()
    links: Envelopes = ()
    reviews: Envelopes = ()
