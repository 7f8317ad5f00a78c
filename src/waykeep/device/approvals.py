"""From what a person types to an approval or a run's request."""

from __future__ import annotations

import re

from waykeep.authority.permissions import Approved
from waykeep.device.scoping import Terms, scope_of
from waykeep.errors import DeviceError
from waykeep.formats import results
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest
from waykeep.formats.manifest import Boolean, Integer
from waykeep.formats.messages import Value
from waykeep.formats.streams import parse_stream

_INTEGER = re.compile(r"-?[0-9]{1,18}")


def propose(found: Bundle, digest: Digest, terms: Terms, settings: list[str], store: str = "") -> Approved:
    """The approval of a bundle as it asks, within some terms.

    Args:
        settings: ``NAME=VALUE`` texts; a parameter without one is allowed its default only.
        store: Name of the derived stream in which results are kept, or empty.

    Raises:
        DeviceError: ``bundle-changed``, ``setting-malformed``; AlgorithmError: ``parameter-*``; and as `scope_of`.
    """
    require(found, digest)
    return Approved(
        algorithm=digest,
        name=f"{found.manifest.name} {found.manifest.version}",
        scope=scope_of(terms, inputs_of(found), allowed_of(found, settings)),
        store_as=store_as(store),
    )


def require(found: Bundle, digest: Digest) -> None:
    """Raises: DeviceError: ``bundle-changed`` unless the bundle has this digest."""
    if found.digest != digest:
        raise DeviceError("bundle-changed", "the host gave another bundle than the one of this digest")


def inputs_of(found: Bundle) -> dict[str, tuple[str, ...]]:
    """Per stream the columns that a bundle asks for."""
    return {asked.stream: asked.columns for asked in found.manifest.inputs}


def store_as(name: str) -> str:
    """The derived stream of a name. Raises: FormatError: ``stream-unknown``."""
    return parse_stream(f"derived/{name}") if name else ""


def allowed_of(found: Bundle, settings: list[str]) -> dict[str, tuple[Value, ...]]:
    """Per parameter the values that settings allow, or its default. Raises as `propose` does."""
    allowed: dict[str, tuple[Value, ...]] = {p.name: (p.default,) for p in found.manifest.parameters}
    given: dict[str, list[Value]] = {}
    for text in settings:
        for name, value in parameters_of(found, [text]).items():
            given.setdefault(name, []).append(value)
    return allowed | {name: tuple(values) for name, values in given.items()}


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
