"""Confinement of a process that runs the code of archives, by Linux's Landlock, which needs no rights.

A confined process, and all that it starts, can neither write, make, rename or remove a file outside the folders that it
is given, nor signal or trace a process outside, which hides their memory and environment, nor open a TCP connection or
port. Where it is root's, it has no capability but to read files. It reads what its user reads. Landlock has no say in
what else that user may: modes and times of its files (chmod, utime), Unix sockets with a path, UDP, limits of its
processes (prlimit). Older kernels do less of this, others nothing: `confine` tells.

The module needs the standard library alone: programs load it by its path, before the code of an archive.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, which all architectures share."""
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES = 0x20080522
_DAC_READ_SEARCH = 1 << 2

_WRITE_FILE, _REMOVE_DIR, _REMOVE_FILE = 1 << 1, 1 << 4, 1 << 5
_MAKE = sum(1 << bit for bit in range(6, 13))
"""To make devices, folders, files, sockets, pipes and links."""
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_TCP = 1 << 0 | 1 << 1
"""To bind and to connect."""
_SCOPES = 1 << 0 | 1 << 1
"""Abstract Unix sockets and signals."""
_RULES_SINCE, _TCP_SINCE, _SCOPES_SINCE = 3, 4, 6
"""Versions of Landlock's interface: of truncation, of TCP, and of scopes (Linux 6.2, 6.7, 6.12)."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Head(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    """The effective, permitted and inheritable ones, the first 32 of each and then the others."""

    _fields_ = (("sets", ctypes.c_uint32 * 6),)


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "nvidia*", "dri", "kfd", "dxg")
"""Patterns of the names in /dev of devices that a worker may need to write to, GPUs included. Disks, terminals and the
kernel's log are devices as well, and their modes would let root's workers through."""


def version() -> int:
    """Return the version of the kernel's interface; 0 where there is none that keeps files."""
    if sys.platform != "linux":
        return 0
    found = int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION_FLAG))
    return found if found >= _RULES_SINCE else 0


def confine(writable: Iterable[str]) -> int:
    """Confine this process from now on; call it while it has one thread.

    Args:
        writable: folders in which it may make, change and remove files; those that do not exist are left out.

    Returns:
        The version of the kernel's interface; 0 if the process is not confined, since the kernel cannot.

    Raises:
        OSError: the kernel refuses what it offers.
    """
    offered = version()
    if not offered:
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    every = _WRITE_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE | _REFER | _TRUNCATE
    rules = _Ruleset(
        fs=every, net=_TCP if offered >= _TCP_SINCE else 0, scoped=_SCOPES if offered >= _SCOPES_SINCE else 0
    )
    size = 24 if offered >= _SCOPES_SINCE else 16 if offered >= _TCP_SINCE else 8
    ruleset = _checked(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0))
    try:
        for folder in writable:
            _allow(libc, ruleset, folder, every)
        for pattern in _DEVICES:
            for device in Path("/dev").glob(pattern):
                _allow(libc, ruleset, str(device), _WRITE_FILE | _TRUNCATE)
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
        _drop_capabilities(libc)
    finally:
        os.close(ruleset)
    return offered


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    """Give root's capabilities up, with which the environment of every process could be read, but that to read files.

    In a container, root may serve from folders that belong to another user.
    """
    head, held = _Head(version=_CAPABILITIES), _Capabilities()
    _checked(libc.capget(ctypes.byref(head), ctypes.byref(held)))
    kept = _Capabilities()
    for half in (0, 1):  # effective and permitted; none is inherited
        kept.sets[half] = held.sets[half] & _DAC_READ_SEARCH
    _checked(libc.capset(ctypes.byref(head), ctypes.byref(kept)))


def _allow(libc: ctypes.CDLL, ruleset: int, folder: str, allowed: int) -> None:
    try:
        parent = os.open(folder, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = _Beneath(allowed=allowed, parent=parent)
        _checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0))
    finally:
        os.close(parent)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
