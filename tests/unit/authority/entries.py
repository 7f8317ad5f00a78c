"""Grants, debits and outcomes for an owner of `tests.unit.builders`."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.unit.builders import NOW_MS, Owner, an_owner, key, scoped
from waykeep.authority import dsse, keys, witnessing
from waykeep.authority.asking import Ask
from waykeep.authority.permissions import Granted
from waykeep.authority.records import Debited, RunDone, Spent
from waykeep.authority.scopes import Scope
from waykeep.authority.witnessing import Answer, Held
from waykeep.formats import agefile
from waykeep.formats.ids import PublicKey, b64, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json

HOLDER, OTHER_HOLDER = key("holder"), key("other holder")
RECIPIENT, OTHER_RECIPIENT = agefile.generate()[1], agefile.generate()[1]
BUNDLE = sha256(b"bundle")
DAY_MS = 86_400_000
WITNESS, OTHER_WITNESS = key("witness"), key("other witness")


BITS = 100
"""Of one run of `a_debit`."""


def a_grant(**changes: Any) -> Granted:
    """Two runs within a day, over a second of data; ``changes`` are of its fields, or of its scope's."""
    scope = Scope(
        streams={"location": ("ts_ms",)},
        parameters={"stay_radius_m": (100, 200)},
        from_ms=NOW_MS,
        to_ms=NOW_MS + 1000,
        not_before_ms=NOW_MS,
        until_ms=NOW_MS + DAY_MS,
    )
    grant = Granted(
        holder=HOLDER.public,
        recipient=RECIPIENT,
        algorithm=BUNDLE,
        name="trips 1.0.0",
        purpose="to see",
        scope=scope,
        runs=2,
        bits=1000,
        deadline_ms=1000,
    )
    return scoped(grant, changes)


def a_debit(number: int, request: str = "q", **changes: Any) -> Debited:
    """One run of `a_grant`, which is entry ``number``, before the first record."""
    made = Debited(
        request_id=request.ljust(22, "-"),
        grant=number,
        links=(),
        holder=HOLDER.public,
        recipient=RECIPIENT,
        algorithm=BUNDLE,
        ask=Ask(),
        parameters={"stay_radius_m": 100},
        inputs={"location": ("ts_ms",)},
        from_ms=NOW_MS,
        to_ms=NOW_MS + 1000,
        withheld=(),
        bits=BITS,
        read_to=None,
    )
    return msgspec.structs.replace(made, **changes)


def an_outcome(request: str = "q") -> Spent:
    return Spent(request.ljust(22, "-"), "trips 1.0.0", {"location": 3}, 1, NOW_MS, "{}")


def a_run(run_id: str = "r") -> RunDone:
    return RunDone(run_id.ljust(22, "-"), BUNDLE, "trips 1.0.0", 7, {}, {"location": 1}, 1, NOW_MS, "{}", None)


def granting(name: str, **changes: Any) -> tuple[Owner, int]:
    """An owner whose newest entry is a grant, and its number."""
    owner = an_owner(name)
    return owner, owner.add(a_grant(**changes), owner.device).head.number


def a_close(owner: Owner, successor: str, journal: Head | None = None, **changes: Any) -> bytes:
    """The last answer of `WITNESS`; ``journal`` is what it held, ``changes`` are of the answer."""
    held = Held(owner.state.head, journal, None, 0, (), PublicKey(successor))
    pseudonym = keys.key_digest(owner.turned("control", 0).public)
    answer = Answer(pseudonym, b64(bytes(witnessing.NONCE_BYTES)), sha256(b"the close"), NOW_MS, held)
    return dsse.sign(witnessing.ANSWER_TYPE, encode_json(msgspec.structs.replace(answer, **changes)), WITNESS)
