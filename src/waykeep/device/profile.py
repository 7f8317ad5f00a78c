"""The device's folder: keystore, outbox, copy of the owner log, and what the device remembers.

::

    keystore.age      the secrets (`keystore`)
    profile.json      host, trust: nothing secret
    heads.json        the newest owner-log and journal heads that this device has seen
    log/<number>      owner-log objects as they lie in the store (ciphertext)
    enrolling         the device's name, until it was added to its owner
    recovering.age    a recovery under way (`recovery`)
    unfinished        there while a change of keys is under way
    lock              held while one of these is changed
    outbox/           segments that are not accepted yet (`outbox`)
    pending/          entries of the owner log that no host has taken yet (`pending`)
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from waykeep.channel.trust import Trust
from waykeep.device import files
from waykeep.errors import DeviceError, FormatError
from waykeep.formats.ids import OwnerId
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json, encode_json

T = TypeVar("T")


class Profile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which host this device uses, and what it demands of the owner's user cloud."""

    owner: OwnerId
    host: str
    trust: Trust


class Heads(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The newest heads this device has seen. A host that shows less than these has rewound something.

    ``resumed`` is the number of the owner-log entry that last set the journal back: only such an entry lets ``journal``
    go back here.
    """

    owner: Head | None = None
    journal: Head | None = None
    segments: int = 0
    resumed: int = 0


class Folder:
    """A device's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def keystore(self) -> Path:
        return self.path / "keystore.age"

    @property
    def outbox(self) -> Path:
        return self.path / "outbox"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def enrolling(self) -> Path:
        return self.path / "enrolling"

    @property
    def recovering(self) -> Path:
        return self.path / "recovering.age"

    @property
    def unfinished(self) -> Path:
        return self.path / "unfinished"

    @property
    def pending(self) -> Path:
        return self.path / "pending"

    def create(self, profile: Profile) -> None:
        """Make the folder of a new owner. A profile alone is what was left of one who was never made whole.

        Raises:
            DeviceError: ``folder-in-use``.
        """
        kept = (
            self.keystore,
            self.path / "heads.json",
            *self.outbox.glob("*"),
            *self.log.glob("*"),
            *self.pending.glob("*"),
        )
        if any(path.exists() for path in kept):
            raise DeviceError(
                "folder-in-use",
                "found an owner in this folder already",
                hint="choose another with --home, or use this owner; if you repeat a recovery, it is done",
            )
        for folder in (self.path, self.outbox, self.log, self.pending):
            files.make_folder(folder)
        self.save_profile(profile)

    def discard(self) -> None:
        """Remove what `create` made, and the keystore: of an owner whom no host knows, with secrets that nobody saw."""
        for path in (self.keystore, self.path / "profile.json", self.path / "lock"):
            files.remove(path)
        for folder in (self.outbox, self.log, self.pending, self.path):
            with contextlib.suppress(OSError):  # it was there before, and holds something else
                folder.rmdir()

    def save_profile(self, profile: Profile) -> None:
        files.write(self.path / "profile.json", msgspec.json.format(encode_json(profile)))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other commands on it, while something is read, changed and written."""
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def profile(self) -> Profile:
        """Raises: DeviceError: ``profile-missing``, ``profile-malformed``."""
        return self._load("profile.json", Profile)

    def heads(self) -> Heads:
        return self._load("heads.json", Heads) if (self.path / "heads.json").exists() else Heads()

    def save_heads(self, heads: Heads) -> None:
        files.write(self.path / "heads.json", encode_json(heads))

    def _load(self, name: str, kind: type[T]) -> T:
        try:
            return decode_json((self.path / name).read_bytes(), kind, what=name)
        except OSError:
            raise DeviceError(
                "profile-missing",
                "found no owner in this folder",
                hint="make one with 'waykeep init', or name a folder with --home",
            ) from None
        except FormatError as error:
            raise DeviceError("profile-malformed", error.message, hint=f"restore {name} from a backup") from None
