"""By what a witness compares and swaps: from what it holds and a request to what it holds then. No I/O.

A refused request changes nothing. A *retry* asks for what is held already: it is answered again, with what is held now.

1. ``witness-unknown``: Only a registration is for a pseudonym that is not held.
2. ``witness-pseudonym``, ``witness-held``: A registration's pseudonym is the digest of its control key. What it has
   held names no successor, and its state keys in ascending order, each once, the control key not among them.
3. ``witness-signer``: The control key signs everything but an advance of the journal, which only state keys sign, and
   a rotation, which the key signs to which it leads.
4. ``witness-closed``: After a close only a rotation is taken, and the same close again.
5. ``witness-registered``: A pseudonym is registered once. The very same registration is a retry while all is still as
   it says.
6. ``witness-state-key``: The journal is advanced by a key that is named and was never retired; a retired key and the
   control key are never named. Naming a key that is named is a retry.
7. ``witness-owner-head``: An advance of the journal quotes the owner head that is held, a retry too.
8. ``witness-head``: An advance extends the head that is held. It is a retry if its own head is held already.
9. ``witness-not-forward``: Its number is greater than that of the head that it extends.
10. ``witness-resume``: A resume replaces the journal head that is held, and its count is one more than that held. It
    is a retry if journal head, owner head and count are those that it asks for. Its owner head follows 8 and 9.
11. ``witness-rotate``: A rotation opens the commitment that is held, itself or by rotations that this witness missed,
    each signed by its key; both the key and the next commitment are new. It retires every state key, clears the
    successor and those retired before, sets the count of resumes if it names one, keeps the journal head. It is a retry
    while all is still as it left it.
12. A control key that is replaced signs nothing more; the commitment to the next one stays. What is or was a state
    key never becomes one (``witness-state-key``).
13. ``witness-limit``: At most `MAX_STATE_KEYS` keys are named, and at most `MAX_KEYS` are or were. What retires named
    keys, a rotation included, is never refused by this.
"""

from __future__ import annotations

from waykeep.authority import controls, keys
from waykeep.authority.witnessing import (
    MAX_STATE_KEYS,
    AdvanceEpoch,
    AdvanceJournal,
    AdvanceOwner,
    Close,
    NameStateKey,
    Register,
    ReplaceControl,
    Request,
    Resume,
    RetireStateKeys,
    Rotate,
)
from waykeep.errors import AuthorityError, FormatError, WitnessError
from waykeep.formats.ids import Digest, PublicKey
from waykeep.witness.heads import advance, shown
from waykeep.witness.row import Row, check_open, holding, replace

MAX_KEYS = 1024
"""State keys that one pseudonym ever has, named and retired ones together, at most."""
LOOKS_AT_RETIRED = (Register, NameStateKey, ReplaceControl, RetireStateKeys, Rotate)


def decide(row: Row | None, asked: Request, signer: PublicKey) -> Row:
    """What is held after a request; the same object where nothing changes.

    Args:
        row: What is held, None for a pseudonym that is not.
        asked: A request for this witness, of good form.
        signer: The key whose signature of it was verified.

    Raises:
        WitnessError: By the rules above.
    """
    action = asked.action
    if isinstance(action, Register):
        return _register(row, action, asked.pseudonym, signer)
    if row is None:
        raise WitnessError(
            "witness-unknown", "found a pseudonym that is not registered here", hint="register it first", status=404
        )
    if isinstance(action, Rotate):
        return _rotate(row, action, signer)
    if isinstance(action, AdvanceJournal):
        return _advance_journal(row, action, signer)
    if signer != row.control:
        raise _not_by(signer, row, "is the control key's alone")
    if isinstance(action, Close):
        return _close(row, action)
    check_open(row.held)
    held = row.held
    if isinstance(action, AdvanceOwner):
        return holding(row, owner=advance(held.owner, action.extends, action.head, "owner"))
    if isinstance(action, AdvanceEpoch):
        return holding(row, epoch=advance(held.epoch, action.extends, action.head, "epoch"))
    if isinstance(action, NameStateKey):
        return _name(row, action.key)
    if isinstance(action, RetireStateKeys):
        return _retire(row, action.keys)
    if isinstance(action, ReplaceControl):
        return _replace_control(row, action.control)
    return _resume(row, action)


def _register(row: Row | None, action: Register, pseudonym: Digest, signer: PublicKey) -> Row:
    held = action.held
    if pseudonym != keys.key_digest(action.control):
        raise WitnessError("witness-pseudonym", "found a pseudonym that is not the digest of the control key")
    if signer != action.control:
        raise WitnessError("witness-signer", "found a registration that its control key did not sign", status=403)
    if held.successor is not None or list(held.state_keys) != sorted(set(held.state_keys) - {action.control}):
        raise WitnessError(
            "witness-held", "found a successor, or state keys out of order, in what a registration holds"
        )
    made = Row(action.control, action.next_control, held)
    if row is None:
        return made
    check_open(row.held)
    if row != made:
        raise WitnessError(
            "witness-registered",
            "found a registration of a pseudonym that is registered, and holds something else",
            hint="read what the witness holds, and go on from there",
            status=409,
        )
    return row


def _rotate(row: Row, action: Rotate, signer: PublicKey) -> Row:
    held, refused = (
        row.held,
        WitnessError(
            "witness-rotate",
            "found a rotation to a control key that this pseudonym did not commit to, or that was done",
            hint="only the secret on the owner's newest rotating paper rotates",
            status=403,
        ),
    )
    try:
        last = controls.open_(action.rotations[-1])
        newest = controls.newest(action.rotations, row.next_control)
    except (AuthorityError, FormatError):
        raise refused from None
    if signer != last.control:
        raise WitnessError("witness-signer", "found a rotation that the new control key did not sign", status=403)
    after = replace(
        held,
        owner=action.owner_head,
        epoch=action.epoch or held.epoch,
        resumes=held.resumes if action.resumes is None else action.resumes,
        state_keys=(),
        successor=None,
    )
    if (row.control, row.next_control, held) == (last.control, last.next_control, after):
        return row
    if newest is None or last.control == row.control or last.next_control == row.next_control:
        raise refused
    # What was retired before could be named by the old control key alone.
    return Row(last.control, last.next_control, after, frozenset(held.state_keys))


def _advance_journal(row: Row, action: AdvanceJournal, signer: PublicKey) -> Row:
    held = row.held
    if signer == row.control:
        raise _not_by(signer, row, "is a state key's alone")
    if signer not in held.state_keys:
        raise WitnessError(
            "witness-state-key",
            "found a journal head signed by a state key that is not named, or is retired",
            hint="the owner names the state key of a user cloud at the witness",
            status=403,
        )
    check_open(held)
    if action.owner_head != held.owner:
        raise WitnessError(
            "witness-owner-head",
            f"found owner head {action.owner_head.number} quoted, the witness holds {shown(held.owner)}",
            hint="read the newest entries of the owner log first; a host that hides them is no reason to go on",
            status=409,
        )
    return holding(row, journal=advance(held.journal, action.extends, action.head, "journal"))


def _close(row: Row, action: Close) -> Row:
    if row.held.successor == action.successor:
        return row
    check_open(row.held)
    return holding(row, successor=action.successor)


def _name(row: Row, key: PublicKey) -> Row:
    held = row.held
    if key in held.state_keys:
        return row
    if key in row.retired or key == row.control:
        raise WitnessError(
            "witness-state-key",
            "found a key to be named that is retired, or is the control key",
            hint="have the user cloud make a new state key",
            status=409,
        )
    if len(held.state_keys) >= MAX_STATE_KEYS:
        raise _limit(f"{MAX_STATE_KEYS} named state keys", "retire those that are not in use")
    _check_count(len(held.state_keys) + len(row.retired) + 1)
    return holding(row, state_keys=tuple(sorted((*held.state_keys, key))))


def _retire(row: Row, gone: tuple[PublicKey, ...]) -> Row:
    named, retired = set(row.held.state_keys), row.retired | set(gone)
    if retired == row.retired:
        return row
    if not set(gone) <= named | row.retired:
        _check_count(len(named | retired))
    return replace(holding(row, state_keys=tuple(sorted(named - retired))), retired=retired)


def _replace_control(row: Row, control: PublicKey) -> Row:
    if control in row.held.state_keys or control in row.retired:
        raise WitnessError("witness-state-key", "found a state key that was to be the control key", status=409)
    return row if control == row.control else replace(row, control=control)


def _resume(row: Row, action: Resume) -> Row:
    held = row.held
    if (held.journal, held.owner, held.resumes) == (action.head, action.owner_head, action.resumes):
        return row
    if action.replaces != held.journal:
        raise WitnessError(
            "witness-resume",
            f"found a resume that replaces journal head {shown(action.replaces)}, held is {shown(held.journal)}",
            hint="read what the witness holds, and sign a resume of that",
            status=409,
        )
    if action.resumes != held.resumes + 1:
        raise WitnessError(
            "witness-resume", f"found resume {action.resumes}, expected {held.resumes + 1}: was it done?", status=409
        )
    owner = advance(held.owner, action.owner_extends, action.owner_head, "owner", retry=False)
    return holding(row, journal=action.head, owner=owner, resumes=action.resumes)


def _check_count(count: int) -> None:
    if count > MAX_KEYS:
        raise _limit(f"{MAX_KEYS} state keys in all", "move to another witness, where only those in use are named")


def _limit(found: str, hint: str) -> WitnessError:
    return WitnessError(
        "witness-limit", f"found {found}, which is all that a pseudonym may have", hint=hint, status=409
    )


def _not_by(signer: PublicKey, row: Row, whose: str) -> WitnessError:
    kind = "the control key" if signer == row.control else "a state key" if signer in row.held.state_keys else "a key"
    return WitnessError("witness-signer", f"found a request signed by {kind} that {whose}", status=403)
