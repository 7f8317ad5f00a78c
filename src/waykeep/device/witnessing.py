"""The device's side of the owner's witness: what the owner log says is told to it, by compare and swap.

Whatever a command adds to the owner log, `OwnerWitness.follow` tells the witness; a command that was cut off before is
made up for by the next one.
"""

from __future__ import annotations

from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import FOREVER, OwnerState
from waykeep.authority.statements import Resumed
from waykeep.authority.witnessing import (
    MAX_STATE_KEYS,
    Action,
    AdvanceEpoch,
    AdvanceOwner,
    Answer,
    Held,
    NameStateKey,
    ReplaceControl,
    Resume,
    RetireStateKeys,
    Rotate,
)
from waykeep.channel.witness import WitnessClient
from waykeep.device.heads import log_rewound
from waykeep.device.keyring import Keyring
from waykeep.errors import AuthorityError, ChannelError, DeviceError, WaykeepError, WitnessError
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import Head

ATTEMPTS = 8
KEPT_STATE_KEYS = 16
"""State keys that stay named at the witness, newest first; an older one's user cloud is long gone."""


class OwnerWitness:
    """The witness that the owner log names.

    Attributes:
        untold: Why it could not be told something, if so. Nothing of the owner's own depends on it.
        loud: Whether what it holds of another log stops a command; not while the paper takes the id back.
    """

    def __init__(self, keys: Keyring) -> None:
        self._keys = keys
        self._client: WitnessClient | None = None
        self.untold: WaykeepError | None = None
        self.loud = True

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = None

    def connected(self, log: OwnerState) -> WitnessClient:
        """Raises: AuthorityError: ``witness-missing``."""
        pseudonym, named = log.pseudonym(), log.witness
        if named is None:
            raise AssertionError("a pseudonym is one at a witness")
        if self._client is None or (self._client.key, self._client.url, self._client.pseudonym) != (
            named.key,
            named.url,
            pseudonym,
        ):
            self.close()
            self._client = WitnessClient(named.url, named.key, pseudonym)
        return self._client

    def follow(self, log: OwnerState) -> Held:
        """Have the witness hold what the owner log says: its head, the newest epoch, a resume, a rotation.

        Raises:
            DeviceError: ``owner-log-rewound`` when it holds entries that the host does not show; ``witness-moving``,
                ``resume-pending``, ``witness-contended``. AuthorityError: ``witness-missing``; and as
                `WitnessClient.ask` does.
        """
        held = self.connected(log).read().held
        for _ in range(ATTEMPTS):
            action = self._next(log, held)
            if action is None:
                return held
            held = self._do(log, action)
        raise DeviceError("witness-contended", "found the witness ahead of this device each time", hint="try again")

    def tell(self, log: OwnerState) -> Held | None:
        """`follow` where there is a witness; where it fails, the reason is kept in `untold`.

        Raises:
            DeviceError: ``owner-log-rewound``, where `loud`: that is no failure of the witness's.
        """
        try:
            held = None if log.witness is None else self.follow(log)
            self.untold = None
            return held
        except (ChannelError, WitnessError, AuthorityError) as error:
            self.untold = error
        except DeviceError as error:
            if error.rule == "owner-log-rewound" and self.loud:
                raise
            self.untold = error
        return None

    def name(self, log: OwnerState, key: PublicKey) -> bool:
        """`tell`, and name a state key; false where it is retired there for good. Raises as `tell`."""
        held = self.tell(log)
        if held is None or key in held.state_keys:
            return True
        try:
            return self._name(log, held, key)
        except (ChannelError, WitnessError, AuthorityError) as error:
            self.untold = error
            return True

    def _name(self, log: OwnerState, held: Held, key: PublicKey) -> bool:
        if len(held.state_keys) >= KEPT_STATE_KEYS:
            known = sorted(held.state_keys, key=lambda k: log.state_keys[k].since if k in log.state_keys else -1)
            self._ask(log, RetireStateKeys(tuple(sorted(known[: 1 - KEPT_STATE_KEYS]))))
        try:
            self._ask(log, NameStateKey(key))
        except WitnessError as error:
            if error.rule != "witness-state-key":
                raise
            return False
        return True

    def retire(self, log: OwnerState, *keys: PublicKey) -> int:
        """Retire these state keys, or else all that log and witness name, so that nothing is spent; how many.

        It does not depend on the host. Raises: ChannelError: ``witness-unreachable``; WitnessError.
        """
        client = self.connected(log)
        gone = set(keys) or {*client.read().held.state_keys, *state_keys_in_force(log)}
        every = sorted(gone)
        for start in range(0, len(every), MAX_STATE_KEYS):
            self.ask(log, RetireStateKeys(tuple(every[start : start + MAX_STATE_KEYS])))
        return len(gone)

    def ask(self, log: OwnerState, action: Action) -> tuple[Answer, bytes]:
        """Ask with the control key of now, and have it replace the one before where the witness knows only that.

        Raises: DeviceError: ``control-missing``; and as `WitnessClient.ask`.
        """
        client, (newest, *before) = self.connected(log), self._keys.control_keys(log)
        if isinstance(action, Rotate):  # by the key that it names
            newest, before = self._keys.secrets.control_key, []
        try:
            return client.ask_envelope(action, newest)
        except WitnessError as error:
            if error.rule != "witness-signer" or not _replaced(client, newest, before):
                raise
        # A device that was revoked may have named state keys of its own, with which the journal could be set back.
        foreign = set(client.read().held.state_keys) - set(state_keys_in_force(log))
        if foreign:
            client.ask(RetireStateKeys(tuple(sorted(foreign))), newest)
        return client.ask_envelope(action, newest)

    def _ask(self, log: OwnerState, action: Action) -> Held:
        return self.ask(log, action)[0].held

    def _do(self, log: OwnerState, action: Action) -> Held:
        try:
            return self._ask(log, action)
        except WitnessError as error:
            # A thief may have led it on with the old key; the paper's takes effect whatever it holds.
            if error.rule == "witness-signer" and log.rotations:
                return self._ask(log, rotation(log))
            if error.rule == "witness-rotate" and isinstance(action, Rotate):
                raise log_rewound("your witness holds an entry of your owner log that the host does not show") from None
            if error.rule not in ("witness-head", "witness-resume", "witness-not-forward"):
                raise
            return self.connected(log).read().held  # another device was faster

    def _next(self, log: OwnerState, held: Held) -> Action | None:
        """What is still to be told."""
        if not log.holds(held.owner) or held.owner.number < log.rotated:
            if log.rotated:
                return rotation(log)  # takes effect whatever it holds, unless it was done
            raise log_rewound(
                f"your witness holds entry {held.owner.number} of your owner log, and the host shows "
                f"{'entries up to ' + str(log.head.number) if held.owner.number > log.head.number else 'another one'}"
            )
        if held.successor is not None:
            raise DeviceError(
                "witness-moving",
                "found a witness that was closed, and no entry yet that names the next one",
                hint="repeat the 'waykeep witness move' that was cut off",
                status=409,
            )
        if len(log.resumed) < held.resumes:
            raise DeviceError(
                "resume-pending",
                "found a resume at your witness that your log does not hold: somebody has your control key",
                hint="run 'waykeep resume'; it enters what is lacking, and every grant counts as used up",
                status=409,
            )
        if len(log.resumed) > held.resumes:
            if held.owner != log.head:
                return _resume(log, held)
            raise DeviceError(
                "resume-pending",
                "found a resume that the witness was not told in time",
                hint="open a new epoch with 'waykeep keys rotate', then try again",
                status=409,
            )
        if held.owner != log.head:
            return AdvanceOwner(held.owner, log.head)
        newest = newest_epoch(log)
        if newest is not None and (held.epoch is None or held.epoch.number < newest.number):
            return AdvanceEpoch(held.epoch, newest)
        return None


def rotation(log: OwnerState) -> Rotate:
    """What tells a witness of the last rotation, whatever it holds."""
    return Rotate(log.controls, log.head, newest_epoch(log), len(log.resumed))


def _replaced(client: WitnessClient, newest: SigningKey, before: list[SigningKey]) -> bool:
    """Have ``newest`` be the control key; whether one of those before could say so."""
    for key in before:
        try:
            client.ask(ReplaceControl(newest.public), key)
        except WitnessError as error:
            if error.rule != "witness-signer":
                raise
            continue
        return True
    return False


def newest_epoch(log: OwnerState) -> Head | None:
    """The newest epoch statement in force, as a witness holds it."""
    if not log.epochs:
        return None
    newest = log.epochs[max(log.epochs)]
    return Head(newest.number, newest.statement)


def state_keys_in_force(log: OwnerState) -> tuple[PublicKey, ...]:
    """The newest state keys in force, in order of their text, as a witness wants them."""
    lives = [(life.since, key) for key, life in log.state_keys.items() if life.until == FOREVER and not life.void]
    return tuple(sorted(key for _, key in sorted(lives)[-KEPT_STATE_KEYS:]))


def _resume(log: OwnerState, held: Held) -> Resume:
    """The next resume that the witness does not hold yet; whatever journal head it holds by now is replaced."""
    number = log.resumed[held.resumes]
    body = log.entries[number - 1][1].body
    ahead = isinstance(body, Resumed) and number > held.owner.number
    head = body.head if ahead and isinstance(body, Resumed) else held.journal
    owner_head = Head(number, log.digest_at(number)) if ahead else log.head
    return Resume(held.journal, head, held.owner, owner_head, held.resumes + 1)
