"""The bundles that a study names by their digests: in a folder, or at a host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from waykeep.algorithm import author
from waykeep.authority.studies import Study
from waykeep.device import drafting
from waykeep.errors import DeviceError, WaykeepError
from waykeep.formats import bundle as bundles
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest


def find(study: Study, folder: Path | None, host_url: str) -> dict[Digest, Bundle]:
    """All bundles of a study.

    Args:
        folder: Holds archives (``*.tar``), and folders to pack; what does not load is passed over. None for a host.

    Raises: DeviceError: ``bundles-missing``, ``file-unreadable``; and as `drafting.bundles_beside`.
    """
    wanted = {question.algorithm for question in study.questions}
    if folder is None:
        at_host = drafting.bundles_beside(Path(), host_url, author.pack_folder)
        return {digest: at_host(digest) for digest in sorted(wanted)}
    found = {bundle.digest: bundle for bundle in _in_folder(folder)}
    missing = sorted(wanted - found.keys())
    if missing:
        raise DeviceError(
            "bundles-missing",
            f"found no bundle of {', '.join(missing)} in {folder.name or folder}",
            hint="name the folder with the very code that the study was made of, or its host",
        )
    return found


def _in_folder(folder: Path) -> Iterator[Bundle]:
    try:
        members = sorted(folder.iterdir())
    except OSError as error:
        raise DeviceError("file-unreadable", f"cannot read {folder.name or folder} ({error.strerror})") from None
    for path in members:
        if not path.is_dir() and path.suffix != ".tar":
            continue
        try:
            yield bundles.load(author.pack_folder(path) if path.is_dir() else path.read_bytes())
        except (WaykeepError, OSError):
            continue
