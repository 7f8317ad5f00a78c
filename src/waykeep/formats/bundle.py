"""The algorithm bundle: ``algorithm.toml``, Python source and ``libraries.lock`` in one archive with one spelling.

The archive is a ustar tar (POSIX.1-1988) that any ``tar`` lists and unpacks. It is *canonical*: members sorted by
path, regular files only, mode 0644, uid and gid 0, no names, time 0, ended by exactly two zero blocks. So there is one
archive, and one digest, for one set of files, and `unpack` needs no library that understands more of tar than this:
it reads name and size of each header, and then demands that packing what it found gives the same bytes. Links,
devices, sparse files, pax and GNU extensions, absolute paths and ``..`` have no canonical form and fall to that rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

import msgspec

from waykeep.errors import FormatError
from waykeep.formats import ids
from waykeep.formats.ids import Digest
from waykeep.formats.manifest import Manifest, parse_manifest

MANIFEST: Final = "algorithm.toml"
LIBRARIES: Final = "libraries.lock"

MAX_ARCHIVE: Final = 1 << 20
"""The largest archive, in bytes, headers included."""
MAX_FILES: Final = 64
MAX_PATH: Final = 100
"""The longest path, in bytes: what ustar's name field holds without its prefix field."""

_BLOCK = 512
_END = bytes(2 * _BLOCK)
_PART = r"[a-z0-9_][a-z0-9_.-]*"
_PATH = re.compile(rf"{_PART}(/{_PART})*")
_MODULE = re.compile(r"([a-z_][a-z0-9_]*/)*[a-z_][a-z0-9_]*\.py")
_OCTAL = re.compile(rb"[0-7]{11}\0")
_LIBRARY = re.compile(r"([a-z][a-z0-9-]{0,31})==([0-9][0-9a-z.+]{0,31})")


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A bundle that was checked. ``files`` maps path to content, ``libraries`` name to version."""

    digest: Digest
    manifest: Manifest
    files: dict[str, bytes]
    libraries: dict[str, str]

    @property
    def modules(self) -> dict[str, str]:
        """Path of each Python source by dotted module name; a package has the name of its folder."""
        return {_module_name(path): path for path in self.files if path.endswith(".py")}


def pack(files: Mapping[str, bytes]) -> bytes:
    """The canonical archive of ``files``.

    Raises:
        FormatError: ``bundle-path`` for a path that is too long, has other characters than ``a-z 0-9 _ . -``, or is
            both a file and a folder; ``bundle-too-large`` for more than 64 files or 1 MiB.
    """
    if len(files) > MAX_FILES:
        raise FormatError("bundle-too-large", f"found {len(files)} files, at most {MAX_FILES} are taken", status=413)
    paths = sorted(files)
    for path in paths:
        if len(path) > MAX_PATH or _PATH.fullmatch(path) is None:
            raise FormatError("bundle-path", f"found a path other than a-z, 0-9, _, ., - in at most {MAX_PATH} bytes")
        if any(other.startswith(path + "/") for other in paths):
            raise FormatError("bundle-path", "found a path that is both a file and a folder")
    padded = [content + bytes(-len(content) % _BLOCK) for content in (files[path] for path in paths)]
    size = len(paths) * _BLOCK + sum(map(len, padded)) + len(_END)
    if size > MAX_ARCHIVE:
        raise FormatError(
            "bundle-too-large", f"found an archive of {size} bytes, at most {MAX_ARCHIVE} are taken", status=413
        )
    parts = [_header(path, len(files[path])) + body for path, body in zip(paths, padded, strict=True)]
    return b"".join(parts) + _END


def unpack(archive: bytes) -> dict[str, bytes]:
    """The files of a canonical archive.

    Raises:
        FormatError: ``bundle-too-large``, ``bundle-malformed`` (no tar, cut short), ``bundle-path``,
            ``bundle-not-canonical`` (anything that `pack` would have written otherwise).
    """
    if len(archive) > MAX_ARCHIVE:
        raise FormatError(
            "bundle-too-large", f"found an archive of {len(archive)} bytes, at most {MAX_ARCHIVE} are taken", status=413
        )
    if len(archive) % _BLOCK or not archive.endswith(_END):
        raise FormatError("bundle-malformed", "found bytes that do not end as a tar of whole blocks does")
    files: dict[str, bytes] = {}
    at, end = 0, len(archive) - len(_END)
    while at < end:
        header = archive[at : at + _BLOCK]
        path, size = _name_and_size(header)
        at += _BLOCK
        stop = at + size
        if stop > end:
            raise FormatError("bundle-malformed", "found a file that is longer than the archive")
        if path in files:
            raise FormatError("bundle-not-canonical", "found a path twice")
        files[path] = archive[at:stop]
        if len(files) > MAX_FILES:
            raise FormatError("bundle-too-large", f"found more than {MAX_FILES} files", status=413)
        at = stop + -size % _BLOCK
    if pack(files) != archive:
        raise FormatError(
            "bundle-not-canonical",
            "found a tar that differs from the canonical one of its files",
            hint="pack the folder with 'waykeep algo pack'",
        )
    return files


def digest(archive: bytes) -> Digest:
    """``sha256:`` and 64 hex digits of the archive's bytes: the name under which an algorithm is approved."""
    return ids.sha256(archive)


def load(archive: bytes) -> Bundle:
    """The bundle in an archive: unpacked, its manifest parsed, its entry and its lock of libraries found.

    Raises:
        FormatError: what `unpack` and `parse_manifest` raise; ``bundle-member`` for a file that is neither manifest,
            lock nor Python source; ``bundle-incomplete`` when one of these or the entry's module is missing;
            ``bundle-libraries`` for a lock that is not sorted lines ``name==version``.
    """
    files = unpack(archive)
    for required in (MANIFEST, LIBRARIES):
        if required not in files:
            raise FormatError("bundle-incomplete", f"found no {required} in the bundle")
    for path in files:
        if path not in (MANIFEST, LIBRARIES) and _MODULE.fullmatch(path) is None:
            raise FormatError("bundle-member", "found a file that is neither manifest, lock nor Python module")
    names = [_module_name(path) for path in files if path.endswith(".py")]
    if len(set(names)) != len(names):
        raise FormatError("bundle-member", "found a module and a package of one name")
    manifest = parse_manifest(files[MANIFEST])
    if manifest.module not in names:
        raise FormatError("bundle-incomplete", f"found no module {manifest.module}, which the manifest names as entry")
    return Bundle(digest(archive), manifest, files, _libraries(files[LIBRARIES]))


def write_libraries(libraries: Mapping[str, str]) -> bytes:
    """``libraries.lock``: one line ``name==version`` for each library, sorted by name."""
    return "".join(f"{name}=={libraries[name]}\n" for name in sorted(libraries)).encode()


def _libraries(data: bytes) -> dict[str, str]:
    lines = data[:4096].decode("ascii", "replace").splitlines()
    found = {match[1]: match[2] for match in map(_LIBRARY.fullmatch, lines) if match}
    if write_libraries(found) != data or any(a >= b for a, b in pairwise(found)):
        raise FormatError("bundle-libraries", f"found a {LIBRARIES} that is not sorted lines name==version")
    return found


def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _name_and_size(header: bytes) -> tuple[str, int]:
    name, size = header[:MAX_PATH].rstrip(b"\0"), header[124:136]
    if header[257:265] != b"ustar\x0000":
        raise FormatError("bundle-malformed", "found a block that is no ustar header")
    if _OCTAL.fullmatch(size) is None:
        raise FormatError("bundle-not-canonical", "found a size that is not eleven octal digits")
    try:
        path = name.decode("ascii")
    except UnicodeDecodeError:
        path = ""
    if _PATH.fullmatch(path) is None:
        raise FormatError("bundle-path", f"found a path other than a-z, 0-9, _, ., - in at most {MAX_PATH} bytes")
    return path, int(size[:11], 8)


def _header(path: str, size: int) -> bytes:
    """A ustar header block (POSIX.1-1988, section 10.1.1): the fields that never vary are spelled out."""
    fields = [
        path.encode().ljust(100, b"\0"),
        b"0000644\0" + b"0000000\0" + b"0000000\0",  # mode, uid, gid
        b"%011o\0" % size,
        b"00000000000\0",  # mtime
        b" " * 8,  # checksum, taken as spaces while it is computed
        b"0",  # regular file
        bytes(100),  # link target
        b"ustar\x0000",
        bytes(32) + bytes(32),  # names of user and group
        bytes(8) + bytes(8),  # device numbers
        bytes(155 + 12),  # prefix, padding
    ]
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
