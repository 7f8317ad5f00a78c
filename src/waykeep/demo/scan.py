"""Looks for canaries in everything that the host stores, sends, says and remembers.

A place is a file, a file's name, the arguments, environment or a region of memory of a process, or a buffer. What
lies packed in it (`waykeep.demo.unpack`) is looked through as well, and what lies packed in that, four levels deep.
A finding names the canary's label and where it was; the value itself is never printed or kept. What could not be
looked at is counted in the report, so that *nothing found* can be told from *nothing seen*.

Whoever scans several things makes one `Matcher` of the canaries and hands that over, which saves making it each time.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from waykeep.demo.canaries import Canary
from waykeep.demo.findings import Finding, ScanReport, Skipped
from waykeep.demo.matcher import Matcher
from waykeep.demo.places import Buffer, File, Memory, entries_below, readable_regions
from waykeep.demo.scanner import Scanner

__all__ = ["Finding", "ScanReport", "Skipped", "scan_bytes", "scan_file", "scan_folder", "scan_process"]


def scan_bytes(data: bytes, canaries: Sequence[Canary] | Matcher, place: str = "bytes") -> list[Finding]:
    """Looks through a buffer.

    Raises:
        ValueError: There is nothing to look for.
    """
    scan = Scanner(canaries)
    scan.look(place, Buffer(data))
    return list(scan.report().findings)


def scan_file(path: Path, canaries: Sequence[Canary] | Matcher, place: str = "") -> ScanReport:
    """Looks through one regular file.

    Args:
        path: The file.
        canaries: What to look for.
        place: What the report calls it; its name if empty.

    Raises:
        OSError: It cannot be read.
        ValueError: There is nothing to look for, or this is no regular file.
    """
    scan = Scanner(canaries)
    with File(path) as file:
        scan.look(place or path.name, file)
    return scan.report()


def scan_folder(folder: Path, canaries: Sequence[Canary] | Matcher, place: str = "") -> ScanReport:
    """Looks through all regular files below a folder, and through the names of everything there.

    Links are not followed; links, sockets and other special files, and files that vanish or cannot be read meanwhile,
    are counted as skipped.

    Raises:
        OSError: The folder, or one below it, cannot be listed.
        ValueError: There is nothing to look for.
    """
    scan = Scanner(canaries)
    place = place or folder.name
    names: list[str] = []
    for path in sorted(entries_below(folder)):
        name = str(path.relative_to(folder))
        names.append(name)
        try:
            if path.is_symlink() or not path.is_dir():
                with File(path) as file:
                    scan.look(f"{place}/{name}", file)
        except ValueError:
            scan.skip("not a regular file", f"{place}/{name}")
        except OSError as error:
            scan.skip(f"cannot be read ({error.strerror})", f"{place}/{name}")
    scan.look(f"{place}, names of files", Buffer("\n".join(names).encode(errors="surrogateescape")))
    return scan.report()


def scan_process(pid: int, canaries: Sequence[Canary] | Matcher, place: str = "") -> ScanReport:
    """Looks through a process's arguments, environment, and all memory that can be read.

    Regions that the kernel does not hand out, and pages that go away meanwhile, are counted as skipped.

    Args:
        pid: The process; not this one, which holds the canaries.
        canaries: What to look for.
        place: What the report calls it; `process PID` if empty.

    Raises:
        OSError: There is no such process, or this one may not look into it.
        ValueError: There is nothing to look for, or it is this process.
    """
    if pid == os.getpid():
        raise ValueError("a scan does not look into its own process")
    scan = Scanner(canaries)
    place = place or f"process {pid}"
    root = Path("/proc") / str(pid)
    scan.look(f"{place}, arguments", Buffer((root / "cmdline").read_bytes()))
    scan.look(f"{place}, environment", Buffer((root / "environ").read_bytes()))
    descriptor = os.open(root / "mem", os.O_RDONLY | os.O_CLOEXEC)
    try:
        for first, size, name in readable_regions((root / "maps").read_text(errors="replace")):
            scan.look(f"{place}, memory {name}", Memory(descriptor, first, size), base=first)
    finally:
        os.close(descriptor)
    return scan.report()
