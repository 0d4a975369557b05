# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive read back: its documents, and its mail into a directory that is new. Nothing in it is trusted.

Members are taken one by one, from open directories: regular files, directories, hard links among members, and the links that
Dovecot makes inside a mailbox (the active Sieve script). Nothing is followed, replaced or written elsewhere.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import posixpath
import stat
import tarfile
import zlib
from collections.abc import Iterator

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import (
    DIRECTORY,
    explained,
    open_entry,
    status_at,
    sync_file_system,
)

_BLOCK = 1 << 20
_MAIL = "mail"
_MOST_DOCUMENTS = 64
_LARGEST_DOCUMENT = 1 << 26
_LATEST = 1 << 34
_BELOW = DIRECTORY | os.O_NOFOLLOW
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def identity_of(tree: Tree, path: str) -> tuple[int, int, int]:
    """What tells an archive from another one at the same path: inode, size and time. Raises MailError for what is none."""
    with _opened(tree, path) as descriptor:
        info = os.fstat(descriptor)
    return info.st_ino, info.st_size, info.st_mtime_ns


def read_documents(tree: Tree, path: str) -> dict[str, bytes]:
    """The small files ahead of the mail, by name. Raises MailError; also for a file that another user could have written."""
    found: dict[str, bytes] = {}
    with _opened(tree, path) as descriptor, _members(descriptor, path) as tar:
        while (member := tar.next()) is not None:
            name = member.name.partition("/")[2]
            if name == _MAIL or name.startswith(f"{_MAIL}/") or len(found) > _MOST_DOCUMENTS:
                break
            if member.type == tarfile.REGTYPE and member.size <= _LARGEST_DOCUMENT:
                content = tar.extractfile(member)
                found[name] = content.read() if content else b""
    return found


def unpack_mail(tree: Tree, path: str, target: str) -> list[str]:
    """Unpack the mail into the directory `target`, which is new and ours alone; durable when this returns.

    Modes (without set-user-ID bits) and modification times are those of the members, in whole seconds; owners are not in an archive.
    Returns the links that were left out, because they lead out of their mailbox. Raises MailError.
    """
    with tree.parent(target) as (parent, name), explained("cannot unpack the mail", target):
        os.mkdir(name, 0o700, dir_fd=parent)
        top = os.open(name, _BELOW, dir_fd=parent)
        try:
            with _opened(tree, path) as descriptor, _members(descriptor, path) as tar:
                unpacking = _Unpacking(tar, top)
                unpacking.unpack(path)
            sync_file_system(top)
        finally:
            os.close(top)
    return unpacking.left_out


@contextlib.contextmanager
def _opened(tree: Tree, path: str) -> Iterator[int]:
    with tree.parent(path) as (parent, name), explained("cannot read the archive", path):
        descriptor = open_entry(parent, name, path)
        try:
            info = os.fstat(descriptor)
            if not stat.S_ISREG(info.st_mode):
                raise MailError("is no archive", where=path)
            if info.st_uid not in (0, os.geteuid()) or info.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                remedy = "See that it is the right one, then give it to root and let nobody else write to it (chown root, chmod 600)"
                raise MailError("others than root may have written this archive", where=path, remedy=remedy)
            yield descriptor
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _members(descriptor: int, path: str) -> Iterator[tarfile.TarFile]:
    """The archive as a stream of members; whatever is wrong with it is a MailError."""
    try:
        with (
            os.fdopen(os.dup(descriptor), "rb") as file,
            gzip.GzipFile("", "rb", fileobj=file) as unpacked,
            tarfile.open(fileobj=unpacked, mode="r|", bufsize=_BLOCK, errors="surrogateescape") as tar,
        ):
            yield tar
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, ValueError) as error:
        raise MailError(f"the archive is damaged: {error}", where=path) from error


class _Unpacking:
    """One archive being unpacked into the open directory `top`."""

    def __init__(self, tar: tarfile.TarFile, top: int) -> None:
        self._tar = tar
        self._top = top
        self._current: tuple[tuple[str, ...], int] | None = None
        self._times: list[tuple[tuple[str, ...], int]] = []
        self.left_out: list[str] = []

    def unpack(self, path: str) -> None:
        try:
            while (member := self._tar.next()) is not None:
                parts = _parts(member.name, path)
                if parts[1:2] == (_MAIL,):
                    self._take(member, parts[2:], path)
                # tarfile keeps all members it has read; those of a million mails would fill the memory.
                vars(self._tar)["members"].clear()
            # What lies in a directory changes its time.
            for directory, moment in reversed(self._times):
                os.utime(self._directory(directory), (moment, moment))
        finally:
            self._leave()

    def _take(self, member: tarfile.TarInfo, parts: tuple[str, ...], path: str) -> None:
        if not 0 <= member.mtime <= _LATEST or getattr(member, "sparse", None) is not None:
            raise MailError(f"the archive is damaged at {member.name[:200]!r}", where=path)
        if member.type == tarfile.DIRTYPE:
            self._make_directory(member, parts)
            return
        if not parts:
            raise MailError("the mail in it is no directory", where=path)
        directory, name = self._directory(parts[:-1]), parts[-1]
        if member.type in (tarfile.REGTYPE, tarfile.AREGTYPE):
            self._write(member, directory, name)
        elif member.type == tarfile.LNKTYPE:
            self._link(_parts(member.linkname, path), directory, name, path)
        elif member.type == tarfile.SYMTYPE and _stays_inside(member.linkname, parts):
            os.symlink(member.linkname, name, dir_fd=directory)
            os.utime(name, (member.mtime, member.mtime), dir_fd=directory, follow_symlinks=False)
        else:
            self.left_out.append("/".join(parts))

    def _make_directory(self, member: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        if parts:
            os.mkdir(parts[-1], 0o700, dir_fd=self._directory(parts[:-1]))
        os.fchmod(self._directory(parts), (member.mode & 0o777) | 0o700)
        self._times.append((parts, int(member.mtime)))

    def _write(self, member: tarfile.TarInfo, directory: int, name: str) -> None:
        content = self._tar.extractfile(member)
        with os.fdopen(os.open(name, _NEW, 0o600, dir_fd=directory), "wb") as file:
            while content and (block := content.read(_BLOCK)):
                file.write(block)
            file.flush()
            os.fchmod(file.fileno(), member.mode & 0o777)
            os.utime(file.fileno(), (member.mtime, member.mtime))

    def _link(self, target: tuple[str, ...], directory: int, name: str, path: str) -> None:
        """A further name of a file that was unpacked before."""
        if target[1:2] != (_MAIL,) or len(target) <= 2:
            raise MailError("a link in it leads out of the mail", where=path)
        with self._second_directory(target[2:-1]) as other:
            status = status_at(other, target[-1], path)
            if status is None or not stat.S_ISREG(status.st_mode):
                raise MailError("a link in it is to no file of the archive", where=path)
            os.link(target[-1], name, src_dir_fd=other, dst_dir_fd=directory, follow_symlinks=False)

    def _directory(self, parts: tuple[str, ...]) -> int:
        """The open directory; the last one stays open, as files come one directory after the other."""
        if self._current is None or self._current[0] != parts:
            self._leave()
            self._current = (parts, self._open(parts))
        return self._current[1]

    @contextlib.contextmanager
    def _second_directory(self, parts: tuple[str, ...]) -> Iterator[int]:
        descriptor = self._open(parts)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _open(self, parts: tuple[str, ...]) -> int:
        descriptor = os.open(".", DIRECTORY, dir_fd=self._top)
        for part in parts:
            try:
                below = os.open(part, _BELOW, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor

    def _leave(self) -> None:
        if self._current is not None:
            os.close(self._current[1])
            self._current = None


def _parts(name: str, path: str) -> tuple[str, ...]:
    """The components of a member's name. Raises MailError for one that could lead anywhere else."""
    parts = tuple(name.split("/"))
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise MailError(f"the archive is not safe to unpack: it holds {name[:200]!r}", where=path)
    return parts


def _stays_inside(target: str, parts: tuple[str, ...]) -> bool:
    """Whether a link leads from its place to one further down in its mailbox, as Pigeonhole makes them."""
    if len(parts) < 2 or not target or target.startswith("/"):
        return False
    return posixpath.normpath(target) == target and not target.startswith("..")
