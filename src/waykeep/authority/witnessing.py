"""What is asked of a witness and what it answers: DSSE statements, and the checks of an answer. No I/O.

A witness holds, per *pseudonym* (the digest of an owner's first control key), owner head, journal head and newest epoch
statement, as number and digest each. Every request is bound to one witness, one pseudonym and one nonce; an answer is
signed by the witness over that nonce, its own time and all that it holds then. ``docs/spec.md`` has the rules by which
it compares and swaps; `waykeep.witness.register` follows them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

import msgspec

from waykeep.authority import dsse
from waykeep.authority.controls import MAX_ROTATIONS
from waykeep.authority.keys import SigningKey
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, PublicKey, b64, sha256, unb64
from waykeep.formats.messages import (
    Head,
    Millis,
    Number,
    Small,
)
from waykeep.formats.wire import decode_json, encode_json

REQUEST_TYPE = "application/vnd.waykeep.witness-request+json"
ANSWER_TYPE = "application/vnd.waykeep.witness-answer+json"
NONCE_BYTES = 32
MAX_REQUEST = 32768
MAX_STATE_KEYS = 64
"""State keys that are named and not retired, at most."""

Nonce = Annotated[str, msgspec.Meta(min_length=43, max_length=43)]
Keys = Annotated[tuple[PublicKey, ...], msgspec.Meta(max_length=MAX_STATE_KEYS)]


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Held(_Statement, frozen=True):
    """What the witness holds for a pseudonym.

    Attributes:
        owner, journal, epoch: Newest owner-log entry, journal record and epoch statement; None before there is one.
        resumes: How often the journal head was set back by its owner.
        state_keys: Those that may advance the journal head, sorted.
        successor: The witness that the owner moved to; this one signs nothing more than that.
    """

    owner: Head
    journal: Head | None
    epoch: Head | None
    resumes: Number
    state_keys: Keys
    successor: PublicKey | None = None


class Register(_Statement, frozen=True, tag="register"):
    """A new pseudonym. Signed by ``control``, whose digest the pseudonym is.

    Attributes:
        token: Admits one pseudonym; from the witness's operator.
        control: The first control key.
        next_control: Salted commitment to the next one, as the inception has it.
        held: What to hold from now on: all as it is, also for an owner who comes from another witness.
    """

    token: Small
    control: PublicKey
    next_control: Digest
    held: Held


class AdvanceOwner(_Statement, frozen=True, tag="advance-owner"):
    """By the control key."""

    extends: Head
    head: Head


class AdvanceEpoch(_Statement, frozen=True, tag="advance-epoch"):
    """By the control key."""

    extends: Head | None
    head: Head


class AdvanceJournal(_Statement, frozen=True, tag="advance-journal"):
    """By a named state key, quoting the owner head that the witness holds."""

    extends: Head | None
    head: Head
    owner_head: Head


class NameStateKey(_Statement, frozen=True, tag="name-state-key"):
    """By the control key. A retired key is never named again."""

    key: PublicKey


class RetireStateKeys(_Statement, frozen=True, tag="retire-state-keys"):
    """By the control key. Also of keys that were never named: then they never will be."""

    keys: Keys


class Resume(_Statement, frozen=True, tag="resume"):
    """By the control key: sets the journal head back to what is left, and the owner head on, in one step.

    Attributes:
        replaces: The journal head that the witness holds, whose records were lost.
        head: The newest record that is left, or None.
        owner_extends, owner_head: The owner head that the witness holds, and the log's with the entry of this resume.
        resumes: The count that results: one more than the witness holds.
    """

    replaces: Head | None
    head: Head | None
    owner_extends: Head
    owner_head: Head
    resumes: Number


class Rotate(_Statement, frozen=True, tag="rotate"):
    """By the *next* control key, which only the owner's paper gives.

    It takes effect whatever the witness holds, also where it was closed. All state keys are retired.

    Attributes:
        rotations: From one whose key opens the commitment that the witness holds, to the one of the key that signs;
            those before it are passed over. See `waykeep.authority.controls`.
        owner_head: The owner head from now on.
        epoch: The newest epoch statement from now on, or None to keep what is held.
        resumes: How many the owner log has: those of a thief at the witness alone are forgotten. None keeps them.
    """

    rotations: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=MAX_ROTATIONS)]
    owner_head: Head
    epoch: Head | None = None
    resumes: Number | None = None


class ReplaceControl(_Statement, frozen=True, tag="replace-control"):
    """By the control key: another one from now on, since a device that knows it was revoked.

    The next one, from paper, stays what it is.
    """

    control: PublicKey


class Close(_Statement, frozen=True, tag="close"):
    """By the control key: the owner moves to ``successor``."""

    successor: PublicKey


Action = (
    Register
    | AdvanceOwner
    | AdvanceEpoch
    | AdvanceJournal
    | NameStateKey
    | RetireStateKeys
    | Resume
    | Rotate
    | ReplaceControl
    | Close
)


class Request(_Statement, frozen=True):
    """What is asked of one witness, for one pseudonym."""

    witness: PublicKey
    pseudonym: Digest
    nonce: Nonce
    action: Action


class Read(_Statement, frozen=True):
    """Asks what the witness holds, and the time. Not signed: whoever knows a pseudonym may ask."""

    pseudonym: Digest
    nonce: Nonce


class Answer(_Statement, frozen=True):
    """Signed by the witness. ``request`` is the digest of the request's envelope, None for a read."""

    pseudonym: Digest
    nonce: Nonce
    request: Digest | None
    time_ms: Millis
    held: Held


def request(witness: PublicKey, pseudonym: Digest, nonce: bytes, action: Action, key: SigningKey) -> bytes:
    """The envelope of a request. ``nonce`` has `NONCE_BYTES` bytes, never used before."""
    return dsse.sign(REQUEST_TYPE, encode_json(Request(witness, pseudonym, b64(nonce), action)), key)


def open_request(envelope: bytes, witness: PublicKey) -> tuple[Request, PublicKey]:
    """A request and the key that signed it; whether that key may, the register decides.

    Raises:
        FormatError: ``too-large``, ``malformed``, ``base64-malformed``. AuthorityError: ``witness-mismatch`` for
            another witness; and as `dsse.peek` does.
    """
    opened = dsse.peek(envelope, REQUEST_TYPE, limit=MAX_REQUEST)
    found = decode_json(opened.payload, Request, what="a witness request")
    unb64(found.nonce, NONCE_BYTES)
    if found.witness != witness:
        raise AuthorityError("witness-mismatch", "found a request made for another witness", status=403)
    return found, opened.signer


def answer(asked: Request | Read, envelope: bytes | None, held: Held, time_ms: int, key: SigningKey) -> bytes:
    """The signed answer. Args: envelope: Of the request that is answered, None for a read."""
    digest = None if envelope is None else sha256(envelope)
    return dsse.sign(ANSWER_TYPE, encode_json(Answer(asked.pseudonym, asked.nonce, digest, time_ms, held)), key)


def open_answer(
    envelope: bytes, witnesses: Collection[PublicKey], pseudonym: Digest, nonce: bytes, asked: bytes | None
) -> Answer:
    """The answer to a request of one's own.

    Args:
        asked: The envelope that was sent, or None for a read.

    Raises:
        AuthorityError: ``witness-signature`` when another key signed; ``witness-answer`` when it answers something
            else, such as an earlier request.
        FormatError: As `dsse.open_` does.
    """
    try:
        opened = dsse.open_(envelope, ANSWER_TYPE, witnesses)
    except AuthorityError:
        raise AuthorityError(
            "witness-signature",
            "found an answer that the owner's witness did not sign",
            hint="ask the witness's operator whether its key was lost; a new one is named by moving to it",
            status=502,
        ) from None
    found = decode_json(opened.payload, Answer, what="a witness's answer")
    wanted = None if asked is None else sha256(asked)
    if found.pseudonym != pseudonym or found.nonce != b64(nonce) or found.request != wanted:
        raise AuthorityError(
            "witness-answer",
            "found a witness's answer to another question",
            hint="somebody replays answers",
            status=502,
        )
    return found


def open_close(envelope: bytes, witness: PublicKey, pseudonym: Digest, successor: PublicKey) -> Answer:
    """The last answer of a witness that was closed, as a record of its final heads.

    Raises:
        AuthorityError: ``witness-signature``, ``witness-close`` when it names another owner or successor.
    """
    try:
        opened = dsse.open_(envelope, ANSWER_TYPE, [witness])
    except AuthorityError:
        raise AuthorityError("witness-signature", "found a close that the old witness did not sign") from None
    found = decode_json(opened.payload, Answer, what="a witness's close")
    if found.pseudonym != pseudonym or found.held.successor != successor:
        raise AuthorityError("witness-close", "found a close of another owner, or to another witness")
    return found
