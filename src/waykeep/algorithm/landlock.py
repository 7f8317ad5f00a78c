"""Landlock: the calling process gives up the file system, TCP, and signals and sockets of others, for good.

A ruleset that handles every right the kernel knows and holds no rule denies all of them. It needs no privilege, only
``no_new_privs``. Source: ``Documentation/userspace-api/landlock.rst`` and ``include/uapi/linux/landlock.h``.
"""

from __future__ import annotations

import ctypes
import os
import struct

from waykeep.algorithm import libc

# These numbers are the same on every architecture (asm-generic/unistd.h).
_CREATE_RULESET, _RESTRICT_SELF = 444, 446
_CREATE_RULESET_VERSION = 1

_FS_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16, 6: 16, 7: 16}
"""Number of file system rights by ABI; each is a bit from 0 up (2 adds refer, 3 truncate, 5 ioctl on devices)."""
_TCP_RIGHTS = 0b11
"""Bind and connect, from ABI 4."""
_SCOPES = 0b11
"""Abstract Unix sockets and signals outside the domain, from ABI 6."""


def abi() -> int:
    """The kernel's Landlock ABI, 0 when it has none or it is switched off at boot."""
    try:
        return libc.syscall(_CREATE_RULESET, None, 0, _CREATE_RULESET_VERSION)
    except OSError:
        return 0


def restrict(version: int) -> None:
    """Deny everything that Landlock of this ABI can deny. Cannot be undone.

    Args:
        version: What `abi` said, at least 1. A newer kernel than this module knows is used as ABI 7.

    Raises:
        OSError: The kernel refused.
    """
    known = min(version, max(_FS_RIGHTS))
    attributes = struct.pack(
        "=QQQ", (1 << _FS_RIGHTS[known]) - 1, _TCP_RIGHTS if known >= 4 else 0, _SCOPES if known >= 6 else 0
    )
    # An older kernel refuses a structure longer than its own, unless the rest is zero; it is.
    buffer = ctypes.create_string_buffer(attributes, len(attributes))
    ruleset = libc.syscall(_CREATE_RULESET, buffer, len(attributes), 0)
    try:
        libc.syscall(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
