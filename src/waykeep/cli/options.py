"""Options that many verbs share: the owner's folder, what opens the keystore, and ``--json``."""

from __future__ import annotations

import getpass
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waykeep.device.account import Account
from waykeep.device.keystore import KeyFile, Lock, Passphrase
from waykeep.device.profile import Folder
from waykeep.errors import DeviceError


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
        return Folder(self.home.expanduser())

    def lock(self, *, create: bool = False) -> Lock:
        """What opens the keystore; with ``create`` a new key file is made, or a passphrase asked for twice."""
        if self.key_file is not None:
            return KeyFile(self.key_file.expanduser(), create=create)
        if self.passphrase_file is not None:
            return Passphrase(self.passphrase_file.read_text().rstrip("\n"))
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

    def account(self) -> Account:
        return Account(self.folder, self.lock())


def private_umask() -> None:
    """Files that this process makes are the owner's alone."""
    os.umask(0o077)
