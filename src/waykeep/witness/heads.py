"""Compare and swap of one head."""

from __future__ import annotations

from waykeep.errors import WitnessError
from waykeep.formats.messages import Head


def advance(held: Head | None, extends: Head | None, head: Head, what: str, *, retry: bool = True) -> Head:
    """The head that is held then.

    Args:
        what: Which head, as the refusal says it.
        retry: Whether it is a retry where the new head is held already.

    Raises:
        WitnessError: ``witness-head``, ``witness-not-forward``.
    """
    if retry and held == head:
        return head
    if held != extends:
        number, current = (-1 if found is None else found.number for found in (extends, held))
        where = "behind" if number < current else "ahead of" if number > current else "beside (a fork of)"
        raise WitnessError(
            "witness-head",
            f"found an advance of {what} head {shown(extends)}, which is {where} the {shown(held)} that is held",
            hint="read what the witness holds, and go on from there; a fork needs a resume or a rotation",
            status=409,
        )
    if extends is not None and head.number <= extends.number:
        raise WitnessError(
            "witness-not-forward", f"found {what} head {head.number} to follow {extends.number}", status=409
        )
    return head


def shown(head: Head | None) -> str:
    return "none" if head is None else str(head.number)
