"""Options that many verbs share: the owner's folder, what opens the keystore, and ``--json``."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waykeep.attestation import insecure
from waykeep.cli import output, paths
from waykeep.device.account import Account
from waykeep.device.keystore import KeyFile, Lock, Passphrase
from waykeep.device.profile import Folder
from waykeep.errors import DeviceError

InsecureRoot = Annotated[
    str,
    # One root in 64 begins with a hyphen.
    Parameter(help="Public software root of platform 'insecure', if you trust it.", allow_leading_hyphen=True),
]
SharedUid = Annotated[
    bool, Parameter(help="Accept a node whose supervisor is not root, so that its processes share a uid.")
]


@Parameter(name="*")
@dataclass(frozen=True)
class Owner:
    """Which owner, and how their keystore opens."""

    home: Annotated[Path, Parameter(help="The owner's folder on this device.", env_var="WAYKEEP_HOME")] = Path(
        "~/.waykeep"
    )
    key_file: Annotated[
        Path | None, Parameter(help="A key file that opens the keystore.", env_var="WAYKEEP_KEY_FILE")
    ] = None
    passphrase_file: Annotated[Path | None, Parameter(help="A file with the passphrase; asked for otherwise.")] = None
    json: Annotated[bool, Parameter(help="Print JSON.")] = False

    @property
    def folder(self) -> Folder:
        folder = Folder(paths.expanded(self.home))
        with paths.reading(folder.path):  # one may not be allowed to look into it
            folder.keystore.exists()
        return folder

    def lock(self, *, create: bool = False) -> Lock:
        """What opens the keystore; with ``create`` a new key file is made, or a passphrase asked for twice."""
        if self.key_file is not None:
            return KeyFile(paths.expanded(self.key_file), create=create)
        if self.passphrase_file is not None:
            return Passphrase(paths.read_text(paths.expanded(self.passphrase_file)).rstrip("\n"))
        if not sys.stdin.isatty():
            raise DeviceError(
                "passphrase-needed",
                "found no terminal to ask for the passphrase on",
                hint="give --key-file or --passphrase-file",
            )
        text = getpass.getpass("Passphrase: ")
        if create and getpass.getpass("Again: ") != text:
            raise DeviceError("passphrase-differs", "found two different passphrases")
        return Passphrase(text)

    @contextmanager
    def new_lock(self) -> Iterator[Lock]:
        """What closes a new keystore.

        Where the block fails, a key file that was made for it is removed again, unless the keystore is there: a
        repetition goes on with it.
        """
        lock = self.lock(create=True)
        try:
            yield lock
        except BaseException:
            if isinstance(lock, KeyFile) and not self.folder.keystore.exists():
                lock.discard()
            raise

    @contextmanager
    def account(self) -> Iterator[Account]:
        """The owner at work. Says first what platform ``insecure`` means, where this device trusts it, and last what
        could not be done beside."""
        folder = self.folder
        if not self.json and insecure.PLATFORM in folder.profile().trust.roots:
            output.banner()
        with Account(folder, self.lock()) as device:
            try:
                yield device
            finally:
                _say(device, as_json=self.json)


def _say(device: Account, *, as_json: bool) -> None:
    untold = device.witness.untold
    if untold is not None:
        words = f"your witness could not be told ({untold.rule}); the next command tries again"
        output.warn(words, as_json=as_json)
    for kind, rule in device.owner_log.dropped:
        words = f"an entry that waited here ({kind}) has no place in the log any more ({rule})"
        output.warn(words, as_json=as_json)


def private_umask() -> None:
    """Files that this process makes are the owner's alone."""
    os.umask(0o077)
