# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that was set aside, packed into one verified tar.gz."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import io
import os
import posixpath
import stat
import tarfile
import zlib
from collections.abc import Iterator, Mapping

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._mail_tree import Visit, walk
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import (
    DIRECTORY,
    explained,
    rename_without_replacing,
)

_LEVEL = 5
_BLOCK = 1 << 20
# Below the name of the archive, beside its documents.
_MAIL = "mail"


def archive(tree: Tree, source: str, target: str, documents: Mapping[str, bytes]) -> tuple[int, int]:
    """Pack the directory `source`, which nobody may write to any more, into the new file `target` (tar.gz, root, 0600).

    documents: small files by name, which stand ahead of the mail.

    It is written as ``target.partial``, made durable, read back and compared by members and content size, and only then
    renamed. A failure leaves `source` as it is and removes the partial file; a killed run's one is written anew.
    Members lie below the name of `source`, those of the mail below ``mail`` in it; links are stored as links; sockets, pipes and
    devices hold no mail and are left out. The directory of `target` is created (root, 0700) if only itself is missing.

    Returns the number of members and the bytes of content. Raises MailError; an existing `target` is one.
    """
    _prepare_directory(tree, posixpath.dirname(target))
    partial = f"{target}.partial"
    with tree.parent(target) as (parent, name), explained("cannot write the archive", partial):
        _refuse_existing(tree, target)
        with _partial_file(parent, f"{name}.partial", partial) as descriptor:
            written = _pack(tree, source, descriptor, documents)
            os.fsync(descriptor)
            if _read_back(descriptor, partial) != written:
                raise MailError("the archive does not hold what was written to it", where=partial)
            rename_without_replacing(parent, f"{name}.partial", parent, name)
            os.fsync(parent)
    return written


def _prepare_directory(tree: Tree, directory: str) -> None:
    if not tree.exists(directory):
        tree.make_directories([(directory, Ownership(0, 0, 0o700))])
    descriptor = tree.open_directory(directory)
    try:
        info = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    shared = info.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not info.st_mode & stat.S_ISVTX
    if shared or info.st_uid not in (0, os.geteuid()):
        raise MailError(
            "others may write to this directory, and could replace an archive",
            where=directory,
            remedy="Use a directory that only root can write to",
        )


def _refuse_existing(tree: Tree, target: str) -> None:
    if tree.exists(target):
        raise MailError("exists already", where=target, remedy="Move it away, or archive to another directory")


@contextlib.contextmanager
def _partial_file(parent: int, name: str, path: str) -> Iterator[int]:
    """The new file under its own lock, so that a killed run's file is taken over and a living run's is not."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o600, dir_fd=parent)
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode) or info.st_nlink != 1 or info.st_uid != os.geteuid():
            raise MailError("is not an archive of ours", where=path, remedy="See what it is and remove it")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MailError("another run is writing this archive", where=path, remedy="Let it finish") from error
        try:
            os.fchmod(descriptor, 0o600)
            os.ftruncate(descriptor, 0)
            yield descriptor
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=parent)
            raise
    finally:
        os.close(descriptor)


def require_space(tree: Tree, directory: str, size: int) -> None:
    """Raises MailError unless `size` bytes fit on the file system of a directory, which may be still to be made.

    What an archive of mail takes is not known before; that it is packed is left out, so that none fills a file system up.
    """
    while not tree.exists(directory) and directory != "/":
        directory = posixpath.dirname(directory)
    descriptor = tree.open_directory(directory)
    try:
        status = os.fstatvfs(descriptor)
    finally:
        os.close(descriptor)
    free = status.f_bavail * status.f_frsize
    if free < size:
        raise MailError(
            f"{size} bytes of mail may need as much space there, and {free} are free",
            where=directory,
            remedy="Free some space on that file system, or use another one, and run again",
        )


def _pack(tree: Tree, source: str, descriptor: int, documents: Mapping[str, bytes]) -> tuple[int, int]:
    with tree.parent(source) as (parent, name), explained("cannot read the mail to archive", source):
        top = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        try:
            with _packed_tar(descriptor) as tar:
                return _Packing(tar, source, name).pack(top, documents)
        finally:
            os.close(top)


@contextlib.contextmanager
def _packed_tar(descriptor: int) -> Iterator[tarfile.TarFile]:
    # surrogateescape: names are bytes to the system, and what is no UTF-8 goes through both ways as it is.
    with (
        os.fdopen(os.dup(descriptor), "wb") as file,
        gzip.GzipFile("", "wb", _LEVEL, file) as packed,
        tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_BLOCK, errors="surrogateescape") as tar,
    ):
        yield tar


class _Packing:
    """One archive being written."""

    def __init__(self, tar: tarfile.TarFile, source: str, name: str) -> None:
        self._tar = tar
        self._source = source
        self._top = name
        self._name = f"{name}/{_MAIL}"
        self._first_names: dict[tuple[int, int], str] = {}
        self._members = 0
        self._bytes = 0

    def pack(self, top: int, documents: Mapping[str, bytes]) -> tuple[int, int]:
        info = os.fstat(top)
        for name, content in documents.items():
            self._document(f"{self._top}/{name}", content, info)
        self._add(self._member(self._name, tarfile.DIRTYPE, info))
        for visit in walk(top, self._source):
            if visit.leaving:
                continue
            if visit.status.st_dev != info.st_dev:
                raise MailError("another file system is mounted there", where=f"{self._source}/{visit.path}")
            self._entry(visit)
        return self._members, self._bytes

    def _document(self, path: str, content: bytes, info: os.stat_result) -> None:
        member = self._member(path, tarfile.REGTYPE, info)
        member.mode = 0o600
        member.size = len(content)
        self._tar.addfile(member, io.BytesIO(content))
        self._count(len(content))

    def _entry(self, visit: Visit) -> None:
        mode = visit.status.st_mode
        path = f"{self._name}/{visit.path}"
        if stat.S_ISDIR(mode):
            self._add(self._member(path, tarfile.DIRTYPE, visit.status))
        elif stat.S_ISLNK(mode):
            member = self._member(path, tarfile.SYMTYPE, visit.status)
            member.linkname = os.readlink(visit.name, dir_fd=visit.directory)
            self._add(member)
        elif stat.S_ISREG(mode):
            self._file(visit, path)

    def _file(self, visit: Visit, path: str) -> None:
        identity = (visit.status.st_dev, visit.status.st_ino)
        if identity in self._first_names:
            member = self._member(path, tarfile.LNKTYPE, visit.status)
            member.linkname = self._first_names[identity]
            self._add(member)
            return
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(visit.name, flags, dir_fd=visit.directory)
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            member = self._member(path, tarfile.REGTYPE, before)
            member.size = before.st_size
            self._tar.addfile(member, file)
            after = os.fstat(descriptor)
        if identity != (before.st_dev, before.st_ino) or (before.st_size, before.st_mtime_ns) != (
            after.st_size,
            after.st_mtime_ns,
        ):
            raise MailError("was written to while it was archived", where=f"{self._source}/{visit.path}")
        if before.st_nlink > 1:
            self._first_names[identity] = path
        self._count(before.st_size)

    def _member(self, path: str, kind: bytes, info: os.stat_result) -> tarfile.TarInfo:
        member = tarfile.TarInfo(path)
        member.type = kind
        # No set-user-ID bit: an archive unpacked by root would bring a user's program back as root's.
        member.mode = info.st_mode & 0o777
        member.mtime = int(info.st_mtime)
        return member

    def _add(self, member: tarfile.TarInfo) -> None:
        self._tar.addfile(member)
        self._count(0)

    def _count(self, size: int) -> None:
        self._members += 1
        self._bytes += size
        _forget_members(self._tar)


def _read_back(descriptor: int, path: str) -> tuple[int, int]:
    """Members and content bytes of the archive, read to its end so that its checksum counts."""
    members = size = 0
    os.lseek(descriptor, 0, os.SEEK_SET)
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file, gzip.GzipFile("", "rb", fileobj=file) as unpacked:
            with tarfile.open(fileobj=unpacked, mode="r|", bufsize=_BLOCK, errors="surrogateescape") as tar:
                while (member := tar.next()) is not None:
                    members += 1
                    size += member.size
                    _forget_members(tar)
            while unpacked.read(_BLOCK):
                pass
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise MailError(f"the archive cannot be read back: {error}", where=path) from error
    return members, size


def _forget_members(tar: tarfile.TarFile) -> None:
    """tarfile keeps all members it wrote or read; those of a million mails would fill the memory."""
    vars(tar)["members"].clear()
