"""Requests for a pseudonym, judged without a witness: heads by number, keys by name."""

from __future__ import annotations

from typing import Any

from tests.unit.builders import key
from waykeep.authority import controls, keys
from waykeep.authority.keys import SigningKey
from waykeep.authority.witnessing import (
    NONCE_BYTES,
    Action,
    AdvanceEpoch,
    AdvanceJournal,
    AdvanceOwner,
    Close,
    Held,
    NameStateKey,
    Register,
    Request,
    Resume,
    RetireStateKeys,
    Rotate,
)
from waykeep.formats.ids import b64, sha256
from waykeep.formats.messages import Head
from waykeep.witness.row import Row
from waykeep.witness.rules import decide

WITNESS = key("witness").public
CONTROL, NEXT, AFTER, STATE, OTHER = key("control"), key("next"), key("after"), key("state"), key("other")
PSEUDONYM = keys.key_digest(CONTROL.public)
SALT = bytes(16)
NEXT_CONTROL, AFTER_CONTROL = keys.commitment(SALT, NEXT.public), keys.commitment(SALT, AFTER.public)


def head(number: int, branch: str = "") -> Head:
    """The head of this number; another one for each ``branch``."""
    return Head(number, sha256(f"{number}{branch}".encode()))


def row(**changes: Any) -> Row:
    """Owner head 3, journal head 5, epoch 1, one state key named; ``changes`` are of what is held."""
    held = {"owner": head(3), "journal": head(5), "epoch": head(1), "resumes": 0, "state_keys": (STATE.public,)}
    return Row(CONTROL.public, NEXT_CONTROL, Held(**{**held, **changes}))


CLOSED = row(successor=OTHER.public)


def asked(action: Action) -> Request:
    return Request(WITNESS, PSEUDONYM, b64(bytes(NONCE_BYTES)), action)


def after(held: Row | None, action: Action, signer: SigningKey = CONTROL) -> Row:
    """What is held after an action."""
    return decide(held, asked(action), signer.public)


REGISTER = Register("token", CONTROL.public, NEXT_CONTROL, row().held)
ADVANCE_OWNER = AdvanceOwner(head(3), head(4))
ADVANCE_EPOCH = AdvanceEpoch(head(1), head(2))
ADVANCE_JOURNAL = AdvanceJournal(head(5), head(6), head(3))
NAME = NameStateKey(OTHER.public)
RETIRE = RetireStateKeys((STATE.public,))
RESUME = Resume(head(5), head(2), head(3), head(4), 1)
TO_NEXT = controls.rotation(NEXT, SALT, AFTER_CONTROL)
ROTATE = Rotate((TO_NEXT,), head(4, "rotated"), head(2))
CLOSE = Close(OTHER.public)
BY_CONTROL = (ADVANCE_OWNER, ADVANCE_EPOCH, NAME, RETIRE, RESUME, CLOSE)
ALL = (REGISTER, *BY_CONTROL, ADVANCE_JOURNAL, ROTATE)


def signer_of(action: Action) -> SigningKey:
    """Who may sign an action."""
    return STATE if isinstance(action, AdvanceJournal) else NEXT if isinstance(action, Rotate) else CONTROL
