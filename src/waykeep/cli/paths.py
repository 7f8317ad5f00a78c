"""Files and addresses that a person names: what cannot be read, written or asked is refused by name, with a hint."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from waykeep.errors import DeviceError


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turns what the system refuses in the block into a refusal. Raises: DeviceError: ``file-unreadable``."""
    try:
        yield
    except OSError as error:
        raise DeviceError(
            "file-unreadable",
            f"cannot read {path.name or path} ({error.strerror or type(error).__name__})",
            hint="is the path right, and may you read what is there?",
        ) from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns what the system refuses in the block into a refusal. Raises: DeviceError: ``file-unwritable``."""
    try:
        yield
    except OSError as error:
        raise DeviceError(
            "file-unwritable",
            f"cannot write {path.name or path} ({error.strerror or type(error).__name__})",
            hint="name a path in a folder that exists and that you may write to",
        ) from None


def read_file(path: Path) -> bytes:
    """A file's bytes. Raises: DeviceError: ``file-unreadable``."""
    with reading(path):
        return path.read_bytes()


def read_text(path: Path) -> str:
    """A file's UTF-8 text. Raises: DeviceError: ``file-unreadable``."""
    try:
        return read_file(path).decode()
    except UnicodeDecodeError:
        raise DeviceError(
            "file-unreadable", f"found no UTF-8 text in {path.name}", hint="save the file as UTF-8 text"
        ) from None


def write_file(path: Path, data: bytes) -> None:
    """Replaces a file's bytes. Raises: DeviceError: ``file-unwritable``."""
    with writing(path):
        path.write_bytes(data)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """A folder and those above it, where they are missing. Raises: DeviceError: ``file-unwritable``."""
    with writing(path):
        path.mkdir(mode=mode, parents=True, exist_ok=True)


@contextmanager
def opened(path: Path | None) -> Iterator[Callable[[bytes], None]]:
    """A file that is open for writing before the work is done whose outcome goes into it.

    The file keeps what it held until something is written; one made here for nothing is removed again.

    Args:
        path: None where nothing is to be kept; then the function that is given does nothing.

    Raises:
        DeviceError: ``file-unwritable``.
    """
    if path is None:
        yield lambda data: None
        return
    with writing(path):
        new = not path.exists()
        file = path.open("ab", buffering=0)
    written = False

    def write(data: bytes) -> None:
        nonlocal written
        with writing(path):
            if path.is_file():  # and not, say, a pipe
                file.truncate(0)
            file.write(data)
        written = True

    try:
        yield write
    finally:
        file.close()
        if new and not written:
            path.unlink(missing_ok=True)


def expanded(path: Path) -> Path:
    """A path whose ``~`` is somebody's home. Raises: DeviceError: ``file-unreadable``."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise DeviceError(
            "file-unreadable", "found a path in the home of nobody", hint="write the path without '~'"
        ) from None


def host_address(text: str) -> str:
    """A host's address as given. Raises: DeviceError: ``host-address-malformed``."""
    try:
        found = urlsplit(text)
        good = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
        good = good and found.username is None and not found.query and not found.fragment
    except ValueError:  # a port that is none, half an IPv6 address
        good = False
    if not good:
        raise DeviceError(
            "host-address-malformed",
            "found a host's address that is not http://NAME:PORT or https://NAME:PORT",
            hint="give it as http://127.0.0.1:8470",
        )
    return text
