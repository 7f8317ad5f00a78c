"""From what a person types to an approval or a run's request."""

from __future__ import annotations

import datetime
import re

from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import Approved
from waykeep.errors import DeviceError
from waykeep.formats import results
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest
from waykeep.formats.manifest import Boolean, Integer
from waykeep.formats.messages import Value
from waykeep.formats.streams import parse_stream

_INTEGER = re.compile(r"-?[0-9]{1,18}")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def propose(found: Bundle, digest: Digest, first: str, after: str, store: str, settings: list[str]) -> Approved:
    """The approval of a bundle as it asks, within ``first`` to ``after`` (days, UTC).

    Args:
        settings: ``NAME=VALUE`` texts; a parameter without one is allowed its default only.

    Raises:
        DeviceError: ``bundle-changed``, ``date-malformed``, ``setting-malformed``, ``window-empty``; AlgorithmError:
            ``parameter-*``.
    """
    if found.digest != digest:
        raise DeviceError("bundle-changed", "the host gave another bundle than the one of this digest")
    allowed: dict[str, tuple[Value, ...]] = {p.name: (p.default,) for p in found.manifest.parameters}
    given: dict[str, list[Value]] = {}
    for text in settings:
        for name, value in parameters_of(found, [text]).items():
            given.setdefault(name, []).append(value)
    allowed |= {name: tuple(values) for name, values in given.items()}
    from_ms, to_ms = _window(day_ms(first), day_ms(after))
    return Approved(
        algorithm=digest,
        name=f"{found.manifest.name} {found.manifest.version}",
        parameters=allowed,
        inputs={asked.stream: asked.columns for asked in found.manifest.inputs},
        from_ms=from_ms,
        to_ms=to_ms,
        store_as=parse_stream(f"derived/{store}") if store else "",
    )


def parameters_of(found: Bundle, settings: list[str]) -> dict[str, Value]:
    """Parameters from ``NAME=VALUE`` texts, typed by the manifest. Raises as `propose` does."""
    domains = {p.name: p.domain for p in found.manifest.parameters}
    values: dict[str, Value] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals:
            raise DeviceError("setting-malformed", "found a setting that is not NAME=VALUE")
        domain = domains.get(name)
        if isinstance(domain, Integer) and _INTEGER.fullmatch(value):
            values[name] = int(value)
        elif isinstance(domain, Boolean) and value in ("true", "false"):
            values[name] = value == "true"
        else:
            values[name] = value
    results.check_parameters(found.manifest, values)
    return values


def window_of(log: OwnerState, digest: Digest, first: str, after: str) -> tuple[int, int]:
    """The window of a run: the days given, or else that of the newest approval of the algorithm.

    Raises:
        DeviceError: ``date-malformed``, ``window-empty``.
    """
    approved = [a for a in log.approvals.values() if a.algorithm == digest]
    from_ms, to_ms = (
        (approved[-1].from_ms, approved[-1].to_ms) if approved else (day_ms("2001-01-01"), day_ms("2100-01-01"))
    )
    return _window(day_ms(first) if first else from_ms, day_ms(after) if after else to_ms)


def _window(from_ms: int, to_ms: int) -> tuple[int, int]:
    if from_ms >= to_ms:
        raise DeviceError(
            "window-empty",
            "found a window without a day in it",
            hint="--from lies before --to, which is the day after the last",
        )
    return from_ms, to_ms


def day_ms(text: str) -> int:
    """Milliseconds since 1970 of a day's begin in UTC. Raises: DeviceError: ``date-malformed``."""
    try:
        # `fromisoformat` alone also takes 20160620 and 2016-W25-1.
        day = datetime.date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        raise DeviceError(
            "date-malformed", "found text that is no day (YYYY-MM-DD)", hint="write a day as 2016-06-20"
        ) from None
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp() * 1000)
