# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""File system calls relative to open directories, some of which Python has no function for, and their errors."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import functools
import os
import stat
from collections.abc import Callable, Iterator

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_RENAME_NOREPLACE = 1
_AT_EMPTY_PATH = 0x1000
_LARGEST = 65536
_PIDFD_GETFD = 438  # the same on every architecture
_REMEDIES = {
    errno.ENOSPC: "Free some space on that file system and run again",
    errno.EDQUOT: "Raise the disk quota there and run again",
    errno.EROFS: "Mount that file system writable and run again",
    errno.EACCES: "Run as root (become: true)",
    errno.EPERM: "Run as root (become: true), and see whether the file is immutable (lsattr)",
}


@contextlib.contextmanager
def explained(action: str, path: str) -> Iterator[None]:
    """Turn an OSError of the block into a MailError of what failed (`action`, "cannot write") and on what (`path`)."""
    try:
        yield
    except OSError as error:
        raise failure(action, path, error) from error


def failure(action: str, path: str, error: OSError) -> MailError:
    """The MailError with what failed, on which path, and the system's own reason."""
    return MailError(f"{action}: {error.strerror or error}", where=path, remedy=_REMEDIES.get(error.errno or 0, ""))


def status_at(parent: int, name: str, path: str) -> os.stat_result | None:
    """The status of `name` itself in the open directory `parent`, None if it is missing. `path` is for errors."""
    try:
        return os.lstat(name, dir_fd=parent)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise failure("cannot look at", path, error) from error


def unsuitable(parent: int, name: str, path: str) -> MailError | None:
    """Why `name` is no regular file to read or replace; None if it is one, or missing."""
    info = status_at(parent, name, path)
    if info is None or stat.S_ISREG(info.st_mode):
        return None
    if stat.S_ISLNK(info.st_mode):
        return MailError("is a symbolic link, which is not followed here", where=path, remedy="Put the real one there")
    return MailError("is not a regular file", where=path)


def open_entry(parent: int, name: str, path: str) -> int:
    """Open a file or directory for reading, never through a link and never waiting (for the writer of a pipe).

    Raises MailError for a link, and OSError otherwise.
    """
    try:
        return os.open(name, _READ, dir_fd=parent)
    except OSError as error:
        raise unsuitable(parent, name, path) or error from error


def ownership_of(status: os.stat_result) -> Ownership:
    return Ownership(status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))


def content_at(directory: int, name: str) -> tuple[bytes, Ownership | None]:
    """The content of a small regular file in an open directory with its ownership; nothing and None where there is none."""
    try:
        descriptor = os.open(name, _READ, dir_fd=directory)
    except OSError:
        return b"", None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return b"", None
        return os.read(descriptor, min(status.st_size + 1, _LARGEST)), ownership_of(status)
    finally:
        os.close(descriptor)


def date_after(descriptor: int, replaced: os.stat_result | None) -> None:
    """Give a new file a later time than the one it replaces, in whole seconds.

    By these and the size alone Dovecot's passwd-file driver sees that there is a new file: two changes in one second that leave the
    size as it is, such as those of a password or an owner, would be one to it for good.
    """
    if replaced is not None and int(replaced.st_mtime) >= int(os.fstat(descriptor).st_mtime):
        moment = int(replaced.st_mtime) + 1
        os.utime(descriptor, (moment, moment))


def sync_file_system(descriptor: int) -> None:
    """Make all of the file system of an open file durable: syncfs(2), or sync(2) where the C library lacks it."""
    if not hasattr(_libc(), "syncfs"):
        os.sync()
    elif _libc().syncfs(descriptor) != 0:
        raise _last_error()


def chown_open(descriptor: int, uid: int, gid: int) -> None:
    """Give away what an O_PATH descriptor stands for: a link itself, a device without opening it."""
    if _libc().fchownat(descriptor, b"", ctypes.c_uint(uid), ctypes.c_uint(gid), _AT_EMPTY_PATH) != 0:
        raise _last_error()


def rename_without_replacing(old_parent: int, old_name: str, new_parent: int, new_name: str) -> None:
    """renameat2(2) with RENAME_NOREPLACE; where that is not to be had, a look and a rename."""
    if hasattr(_libc(), "renameat2"):
        old, new = os.fsencode(old_name), os.fsencode(new_name)
        if _libc().renameat2(old_parent, old, new_parent, new, _RENAME_NOREPLACE) == 0:
            return
        error = _last_error()
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise error
    with contextlib.suppress(FileNotFoundError):
        os.lstat(new_name, dir_fd=new_parent)
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    os.rename(old_name, new_name, src_dir_fd=old_parent, dst_dir_fd=new_parent)


def copy_descriptor(pid: int, number: int, is_expected: Callable[[], bool]) -> int:
    """A descriptor of ours for what is open in another process as `number`: pidfd_getfd(2), Linux 5.6.

    is_expected: asked once the process is held and its number can no longer become another one's. Raises OSError, also
    without the right to trace that process.
    """
    process = os.pidfd_open(pid)
    try:
        if not is_expected():
            raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH))
        descriptor: int = _libc().syscall(_PIDFD_GETFD, process, number, 0)
        if descriptor < 0:
            raise _last_error()
        return descriptor
    finally:
        os.close(process)


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
