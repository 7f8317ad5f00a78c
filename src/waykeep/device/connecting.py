"""A session with the owner's user cloud: located or launched by the host, appraised, and only then unlocked."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from waykeep.attestation.appraisal import AttestationResult
from waykeep.authority import dsse
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import HEAD_TYPE, JournalHead
from waykeep.authority.statements import NodeApproved, StateKeyNamed, StateKeyRetired
from waykeep.channel.client import AttestedClient
from waykeep.device import epochs
from waykeep.device.appending import OwnerLog
from waykeep.device.heads import see_journal
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.profile import Folder, Profile
from waykeep.device.reaching import reach
from waykeep.errors import DeviceError, WaykeepError
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import Suspend, Suspended, Unlock, Unlocked
from waykeep.formats.wire import decode_json, encode_json

RESTARTS = 2
"""How often a user cloud is replaced whose state key cannot be used any more."""


class Session(NamedTuple):
    """A user cloud that was appraised and unlocked: the attested connection, and the key it signs its journal with."""

    client: AttestedClient
    state_key: PublicKey


class Connector:
    """Connects one device with its owner's user cloud; kept open between requests."""

    def __init__(
        self,
        folder: Folder,
        profile: Profile,
        host: HostClient,
        keys: Keyring,
        log: OwnerLog,
        clock: Callable[[], int],
    ) -> None:
        self._folder, self._profile, self._host, self._keys = folder, profile, host, keys
        self._log, self._clock = log, clock
        self._session: Session | None = None

    def disconnect(self) -> None:
        """Forget the connection; the next request finds, appraises and unlocks the user cloud anew."""
        if self._session is not None:
            self._session.client.close()
        self._session = None

    def connect(self) -> Session:
        """An unlocked session.

        Raises:
            AttestationError: Named by the rule that refused it; no key was handed over.
            DeviceError: ``state-key-refused``; ``journal-rewound``, ``owner-log-rewound``.
        """
        for _ in range(RESTARTS + 1):
            if self._session is not None:
                return self._session
            cloud = self.reach()
            try:
                key = self._opened(cloud)
            except BaseException:
                cloud.close()
                raise
            if key is not None:
                self._session = Session(cloud, key)
                return self._session
            suspend(cloud, forget=True)
            cloud.close()
        raise DeviceError("state-key-refused", "found no user cloud whose state key can be used")

    def reach(self) -> AttestedClient:
        """An appraised connection to a user cloud that was handed nothing yet."""
        secrets = self._keys.secrets
        try:
            return reach(self._host, secrets.owner, self._profile.trust, self._clock, secrets.device_key)
        except WaykeepError as error:
            if error.status == 401:
                self._log.state()  # says so where this device was revoked
            raise

    def _opened(self, cloud: AttestedClient) -> PublicKey | None:
        """Unlock it, and have its state key named; the key, or None where it was retired and a new one is needed."""
        # Its journal is looked at before its key is named: a user cloud that was shown less than this device has seen
        # writes nothing.
        unlocked, log = self._unlock(cloud)
        again = False
        if not unlocked.named:
            if unlocked.state_key in log.state_keys:
                return None
            self._log.append(StateKeyNamed(unlocked.state_key))
            again = True
        if not log.nodes:
            self._log.append(NodeApproved(cloud.result.node, "the first node"))
            again = True
        if again:
            unlocked, log = self._unlock(cloud)
        if not unlocked.named:
            raise DeviceError("state-key-refused", "the user cloud does not see its state key in the owner log")
        if not self._log.witness.name(log, unlocked.state_key):
            self._log.append(StateKeyRetired(unlocked.state_key))
            return None
        return unlocked.state_key

    def _unlock(self, cloud: AttestedClient) -> tuple[Unlocked, OwnerState]:
        log = self._log.state()
        epochs.learn(self._host, self._keys, log)
        asked = Unlock(self._keys.logs(log), self._keys.epochs(log), log.head, self._profile.trust.to_message())
        answer = cloud.request("POST", "/v1/unlock", encode_json(asked))
        unlocked = decode_json(answer, Unlocked, what="an unlock answer")
        see_journal(self._folder, unlocked.journal)
        return unlocked, log

    def take_head(self, envelope: bytes) -> None:
        """Check a signed journal head and remember it. Nothing leaves the outbox without one."""
        opened = dsse.open_(envelope, HEAD_TYPE, [self.connect().state_key])
        found = decode_json(opened.payload, JournalHead, what="a journal head")
        if found.owner != self._keys.secrets.owner:
            raise DeviceError("journal-head-foreign", "found a journal head of another owner")
        if not self._log.state().holds(found.owner_head):
            raise DeviceError(
                "journal-head-forked",
                f"found a journal head under another entry {found.owner_head.number} than your owner log holds",
                hint="the host shows your user cloud another log than this device; what was uploaded is kept here",
                status=409,
            )
        see_journal(self._folder, found.head)

    @property
    def appraised(self) -> AttestationResult:
        """What the appraisal of the user cloud found."""
        return self.connect().client.result


def suspend(cloud: AttestedClient, *, forget: bool) -> Suspended:
    """Have a user cloud stop at once; with ``forget`` nothing of it can wake."""
    answer = cloud.request("POST", "/v1/suspend", encode_json(Suspend(forget)))
    return decode_json(answer, Suspended, what="a suspend answer")
