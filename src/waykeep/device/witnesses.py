"""Choosing a witness, moving to another, doing without. Every step may be repeated after it was cut off."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from waykeep.authority.journalstate import JournalState
from waykeep.authority.keys import key_digest
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import WAIVER, AuthorityRotated, WitnessNamed, WitnessWaived
from waykeep.authority.witnessing import Close, Held, Register
from waykeep.channel.exchange import Exchanges, TooLarge, Unanswered
from waykeep.channel.witness import WitnessClient
from waykeep.device import journals
from waykeep.device.account import Account
from waykeep.device.heads import see_journal
from waykeep.device.witnessing import newest_epoch, rotation, state_keys_in_force
from waykeep.errors import ChannelError, DeviceError, FormatError, WaykeepError, WitnessError
from waykeep.formats.ids import PublicKey, b64, parse_public_key
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json

MAX_KEY_ANSWER = 1024
TIMEOUT_S = 10.0
MAX_VOID = 4
"""Void witnesses that are told: a thief could have named any number."""


class _Key(msgspec.Struct, frozen=True):
    key: str


def key_of(url: str, expected: str = "") -> PublicKey:
    """The key of the witness at an address: what its operator told, or else what answers there now.

    Raises:
        DeviceError: ``witness-key-mismatch``, ``witness-url-malformed``. ChannelError: ``witness-unreachable``.
    """
    wanted = parse_public_key(expected) if expected else None
    if len(url) > 256:
        raise DeviceError("witness-url-malformed", "found a witness's address over 256 characters")
    malformed = DeviceError(
        "witness-url-malformed", "found an address at which no witness answers", hint="such as http://127.0.0.1:8471"
    )
    http = Exchanges(step_s=TIMEOUT_S, total_s=TIMEOUT_S)
    try:
        _, body = http.exchange("GET", url.rstrip("/") + "/v1/key", limit=MAX_KEY_ANSWER)
        found = parse_public_key(decode_json(body, _Key, limit=MAX_KEY_ANSWER, what="a witness's key").key)
    except Unanswered as error:
        if error.address:
            raise malformed from None
        raise ChannelError("witness-unreachable", f"found no witness at this address ({error})", status=502) from None
    except (TooLarge, FormatError):
        raise malformed from None
    finally:
        http.close()
    if wanted is not None and found != wanted:
        raise DeviceError(
            "witness-key-mismatch",
            "found another witness at this address than the one of the key given",
            hint="compare the key with its operator on another way",
            status=409,
        )
    return found


def use(account: Account, url: str, key: PublicKey, token: str) -> int:
    """Choose the owner's first witness: registered there as the logs are, and then named; the entry's number.

    Raises:
        DeviceError: ``witness-in-use`` when another is named. WitnessError: ``witness-token``. AuthorityError.
    """
    log = account.log()
    if log.witness is not None:
        if log.witness.key != key:
            raise DeviceError(
                "witness-in-use", "found another witness in your log", hint="use 'waykeep witness move'", status=409
            )
        number = max(e.number for _, e, _ in log.entries if e.body == log.witness)
    else:
        _register_as_it_is(account, log, url, key, token)
        number = _name(account, url, key, "")
    account.witness.follow(account.log())
    return number


def move(account: Account, url: str, key: PublicKey, token: str) -> int:
    """Move to another witness: the old one is closed, and its signed close goes into the log; the entry's number.

    Raises as `use`; WitnessError: ``witness-closed`` when the old one was closed for yet another.
    """
    log = account.log()
    if log.witness is None:
        raise DeviceError("witness-missing", "found no witness to move from", hint="try 'waykeep witness use'")
    if log.witness.key == key:
        account.witness.follow(log)
        return max(e.number for _, e, _ in log.entries if e.body == log.witness)
    client = account.witness.connected(log)
    if client.read().held.successor is None:
        account.witness.follow(log)
    answer, closed = account.witness.ask(log, Close(key))
    closed_with = msgspec.structs.replace(answer.held, successor=None)
    _register(account, log, url, key, token, closed_with, lambda head: head == closed_with.journal)
    number = _name(account, url, key, closed.decode())
    account.witness.follow(account.log())
    return number


def replace_dead(account: Account, url: str, key: PublicKey, token: str) -> int:
    """Name another witness where the old one is dead; every grant counts as used up then. Raises as `use`."""
    account.witness.loud = False  # or somebody else's: what it holds is no reason to stay with it
    log = account.log()
    if log.witness is None or log.witness.key != key:
        _register_as_it_is(account, log, url, key, token)
        _name(account, url, key, "")
    log = account.log()
    account.witness.follow(log)
    return max(e.number for _, e, _ in log.entries if e.body == log.witness)


def waive(account: Account) -> int:
    """Do without a witness, under the words of `WAIVER`; the entry's number."""
    log = account.log()
    if log.waived:
        return max(e.number for _, e, _ in log.entries if isinstance(e.body, WitnessWaived))
    return account.owner_log.append(WitnessWaived(WAIVER))


def _register_as_it_is(account: Account, log: OwnerState, url: str, key: PublicKey, token: str) -> None:
    """Have a new witness hold both logs as they are, and as this device remembers them."""
    state, _ = journals.read(account.host, account.keys.secrets, log)
    see_journal(account.folder, state.head)
    held = Held(log.head, state.head, newest_epoch(log), len(log.resumed), state_keys_in_force(log))
    # No grant is in force that was not given since, so an older record of this journal sets nothing back.
    _register(account, log, url, key, token, held, lambda head: head is None or _has(state, head))


def rotate_void(account: Account, log: OwnerState) -> tuple[str, ...]:
    """Rotate also at witnesses whose naming the last rotation made void.

    A user cloud that the host shows the log of before still asks them, and an honest one would have it go on.

    Returns:
        Addresses of those that could not be told, of the newest `MAX_VOID`.
    """
    turned = log.entries[log.rotated - 1][1].body
    first = turned.void_from if isinstance(turned, AuthorityRotated) and turned.void_from is not None else log.rotated
    bodies = [entry.body for _, entry, _ in log.entries[first - 1 : log.rotated - 1]]
    void = {body.key: body for body in bodies if isinstance(body, WitnessNamed)}
    if log.witness is not None:
        void.pop(log.witness.key, None)
    untold = []
    for named in list(void.values())[-MAX_VOID:]:
        with WitnessClient(named.url, named.key, key_digest(named.control)) as client:
            try:
                client.ask(rotation(log), account.keys.secrets.control_key)
            except WaykeepError:
                if not _was_told(client, log):
                    untold.append(named.url)
    return tuple(untold)


def _was_told(client: WitnessClient, log: OwnerState) -> bool:
    """Whether a witness holds the last rotation, or an entry after it: this was cut off before, and is repeated."""
    try:
        held = client.read().held.owner
    except WaykeepError:
        return False
    return held.number >= log.rotated and log.holds(held)


def _has(state: JournalState, head: Head) -> bool:
    return state.digest_at(head.number) == head.digest


def _register(
    account: Account,
    log: OwnerState,
    url: str,
    key: PublicKey,
    token: str,
    held: Held,
    as_good: Callable[[Head | None], bool],
) -> None:
    control = account.keys.secrets.control_key
    with WitnessClient(url, key, key_digest(control.public)) as client:
        try:
            client.ask(Register(token, control.public, log.next_control, held), control)
        except WitnessError as error:
            # Registered before this was cut off, and the logs went on since; they must still be the same.
            found = client.read().held if error.rule == "witness-registered" else None
            same = found is not None and log.holds(found.owner) and found.resumes == held.resumes
            # Whoever knows the first control key could have registered it first, with a journal that was set back.
            if found is None or not same or not as_good(found.journal):
                raise


def _name(account: Account, url: str, key: PublicKey, closed: str) -> int:
    secrets = account.keys.secrets
    control = secrets.control_key.public
    return account.owner_log.append(WitnessNamed(key, url, control, b64(secrets.control_salt), closed))
