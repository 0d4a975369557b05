# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer at a time for a host: an advisory lock that ends with its process, however that ends."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import explained, unsuitable

_PAUSE = 0.1
_LONGEST_COMMAND = 200


@contextlib.contextmanager
def host_lock(tree: Tree, layout: Layout, timeout: float, shared: bool = False) -> Iterator[None]:
    """Hold the host's lock for the block.

    timeout: seconds to wait for another run; 0 asks once.
    shared: for check mode: several may hold it at once, and nothing is created or written. Where no lock file exists
        yet no run has ever changed this host, and the block goes on without one.

    The file stays; the lock is released with the block or with the process. Raises MailError naming the holder when
    the time is over, or when something else than our own regular file stands in its place.
    """
    descriptor = _acquire(tree, layout.lock_file, time.monotonic() + timeout, timeout, shared)
    if descriptor is None:
        yield
        return
    try:
        if not shared:
            _write_holder(descriptor, layout.lock_file)
        yield
    finally:
        if not shared:
            # Whoever waits next must not be told of a holder that is gone.
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, 0)
        os.close(descriptor)


def _acquire(tree: Tree, path: str, deadline: float, timeout: float, shared: bool) -> int | None:
    while True:
        descriptor = _open(tree, path, shared)
        if descriptor is None:
            return None
        try:
            locked = _try(descriptor, path, shared)
            if locked and _stands_at(tree, path, descriptor):
                return descriptor
            if not locked and time.monotonic() >= deadline:
                raise _busy(descriptor, path, timeout)
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(max(0.0, min(_PAUSE, deadline - time.monotonic())))


def _open(tree: Tree, path: str, shared: bool) -> int | None:
    if shared and not tree.exists(path):
        return None
    if not shared:
        tree.ensure_parent(path)
    flags = os.O_RDONLY if shared else os.O_RDWR | os.O_CREAT
    with tree.parent(path) as (parent, name):
        obstacle = unsuitable(parent, name, path)
        if obstacle:
            raise obstacle
        with explained("cannot open the lock", path):
            try:
                descriptor = os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600, dir_fd=parent)
            except FileNotFoundError:
                if shared:
                    return None
                raise
    info = os.fstat(descriptor)
    if not stat.S_ISREG(info.st_mode) or info.st_nlink > 1 or info.st_uid not in (0, os.geteuid()):
        os.close(descriptor)
        raise MailError("is not a lock file of ours", where=path, remedy="See what it is and remove it")
    return descriptor


def _try(descriptor: int, path: str, shared: bool) -> bool:
    with explained("cannot lock", path):
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EINTR):
                return False
            raise
    return True


def _stands_at(tree: Tree, path: str, descriptor: int) -> bool:
    """Whether the locked file is still the one at `path`: somebody may have removed it while we waited."""
    ours, there = os.fstat(descriptor), tree.lstat(path)
    return there is not None and (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _write_holder(descriptor: int, path: str) -> None:
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with explained("cannot write the lock's holder", path):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"pid {os.getpid()} ({_command(os.getpid())}) since {since}\n".encode(), 0)


def _busy(descriptor: int, path: str, timeout: float) -> MailError:
    holder = os.pread(descriptor, 1024, 0).decode(errors="replace").strip()
    pids = _flock_pids(os.fstat(descriptor).st_ino)
    # A killed run leaves its name in the file, and check runs, which may hold the lock now, write none.
    if pids and not any(holder.startswith(f"pid {pid} ") for pid in pids):
        holder = ", ".join(f"pid {pid} ({_command(pid)})" for pid in pids)
    holder = holder or "a process that cannot be seen from here"
    return MailError(
        f"another run on this host holds the lock, and held it for the {timeout:g} s this one waited: {holder}",
        where=path,
        remedy="Let it finish, raise lock_timeout, or end that process if it hangs: the lock ends with it",
    )


def _flock_pids(inode: int) -> list[int]:
    """Who holds a lock on the file, as far as /proc/locks shows it."""
    try:
        with open("/proc/locks", encoding="ascii") as file:
            fields = [line.split() for line in file]
    except OSError:
        return []
    return sorted(
        int(field[4])
        for field in fields
        if len(field) > 5 and field[1] == "FLOCK" and field[5].rpartition(":")[2] == str(inode) and int(field[4]) > 0
    )


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(4096).rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return "ended"
    return "".join(char if char.isprintable() else "?" for char in words)[:_LONGEST_COMMAND]
