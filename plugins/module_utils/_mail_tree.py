# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail directories, whose content belongs to users and is never trusted: moved, re-owned, counted, deleted.

Everything works from open directories, one at a time, and follows no link; nothing depends on how deep a tree is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import (
    DIRECTORY,
    chown_open,
    explained,
    failure,
    status_at,
)

_ATTEMPTS = 10
_REPLACED = (errno.ENOTDIR, errno.ELOOP, errno.ENOENT)


def set_aside(tree: Tree, source: str, target: str) -> bool:
    """Move the directory `source` to `target` and give all of it to root, so that it counts on nobody's quota.

    The directory above `target` is created (root, 0700) if it is missing; both must be on one file system. Finishes
    what an interrupted call began. True if mail stands at `target` afterwards, False if there was none to set aside.
    Raises MailError, also when both exist already.
    """
    above = posixpath.dirname(target)
    if not _move(tree, source, target, before=lambda: tree.make_directories([(above, Ownership(0, 0, 0o700))])):
        return False
    _chown(tree, target, lambda info: (info.st_uid, info.st_gid) != (0, 0), 0, 0)
    return True


def put_back(tree: Tree, source: str, target: str, uid: int, gid: int, *, top: Ownership | None = None) -> bool:
    """Give the set-aside directory `source` back to its owner and move it to `target`; the reverse of `set_aside`.

    top: ownership of the directory itself where that is not the owner's (a domain's directory is root's).
    It appears at `target` complete. Returns and raises as `set_aside` does.
    """

    return _move(tree, source, target, before=lambda: give(tree, source, uid, gid, top))


def give(tree: Tree, path: str, uid: int, gid: int, top: Ownership | None = None) -> None:
    """Give what is root's in a directory that nobody else can reach to an owner; top: as for `put_back`."""
    _chown(tree, path, lambda info: info.st_uid == 0, uid, gid)
    if top is not None:
        tree.set_ownership(path, top)


def chown_tree(tree: Tree, path: str, from_uid: int, to_uid: int, to_gid: int) -> list[str]:
    """Give what belongs to `from_uid` in a directory, itself included, to another owner; the rest stays as it is.

    No link is followed and no other file system entered. A file with several names is given away when all of them lie
    in this tree (Dovecot copies mail between folders by hard links), and else left alone: it may be somebody's file
    elsewhere. An interrupted call is finished by the next. Returns the paths left alone for that reason and the mount
    points. Raises MailError.
    """
    return _chown(tree, path, lambda info: info.st_uid == from_uid, to_uid, to_gid)


def delete_tree(tree: Tree, path: str) -> bool:
    """Delete a directory with all its content, also while others still write into it; False if it was not there.

    Links are removed, never followed. Raises MailError where another file system is mounted inside, and when it does
    not become empty.
    """
    for _attempt in range(_ATTEMPTS):
        with tree.parent(path) as (parent, name), explained("cannot delete", path):
            with _opened(parent, name, path) as top:
                if top is None:
                    return False
                with contextlib.suppress(MovedError):
                    _delete_content(top, path)
            with contextlib.suppress(FileNotFoundError):
                try:
                    os.rmdir(name, dir_fd=parent)
                except OSError as error:
                    if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
                    continue
            os.fsync(parent)
            return True
    raise MailError("cannot delete: new files keep appearing in it", where=path, remedy="End what writes there")


def usage(tree: Tree, path: str) -> tuple[int, int]:
    """How many bytes the regular files below a directory hold, and how many files; a missing directory holds nothing.

    A file with several names counts once. The tree may change meanwhile.
    """
    size = count = 0
    several: set[tuple[int, int]] = set()
    with _existing(tree, path) as top:
        if top is None:
            return 0, 0
        with contextlib.suppress(MovedError):
            for visit in walk(top, path):
                info = visit.status
                if visit.leaving or not stat.S_ISREG(info.st_mode):
                    continue
                if info.st_nlink > 1:
                    if (info.st_dev, info.st_ino) in several:
                        continue
                    several.add((info.st_dev, info.st_ino))
                size, count = size + info.st_size, count + 1
    return size, count


def names_in(tree: Tree, path: str) -> list[str]:
    """The names of what lies in a directory; none where there is no directory."""
    with _existing(tree, path) as top:
        return [] if top is None else os.listdir(top)


def is_empty_directory(tree: Tree, path: str) -> bool:
    """Whether a directory is there and nothing is in it."""
    with _existing(tree, path) as top:
        return top is not None and not os.listdir(top)


class MovedError(MailError):
    """A directory was moved elsewhere while it was walked."""


@dataclass(frozen=True)
class Visit:
    """One entry met by `walk`."""

    directory: int
    """The open directory it lies in; valid until the next entry is asked for."""
    name: str
    status: os.stat_result
    leaving: bool
    """False when it is met, before a directory is entered; True when a directory has been walked through."""
    trail: tuple[_Level, ...] | list[_Level]

    @property
    def path(self) -> str:
        """Where it lies below the top."""
        return "/".join([level.name for level in self.trail[1:]] + [self.name])


@dataclass
class _Level:
    name: str
    status: os.stat_result
    names: list[str] = field(default_factory=list)


def walk(top: int, path: str) -> Iterator[Visit]:
    """Visit everything below the open directory `top`, sorted, without following links or leaving its file system.

    Only one directory is open at a time: the way back is "..", held against what it was on the way in; if that does not
    fit, MovedError. What vanishes meanwhile is passed over. `path` is for errors.
    """
    current = os.open(".", DIRECTORY, dir_fd=top)
    try:
        trail = [_Level("", os.fstat(current), _names(current))]
        device = trail[0].status.st_dev
        while trail:
            level = trail[-1]
            if level.names:
                name = level.names.pop()
                info = status_at(current, name, path)
                if info is None:
                    continue
                yield Visit(current, name, info, False, trail)
                below = _enter(current, name, info, device)
                if below is not None:
                    os.close(current)
                    current = below
                    trail.append(_Level(name, info, _names(current)))
                continue
            trail.pop()
            if trail:
                current = _go_up(current, trail[-1].status, path)
                yield Visit(current, level.name, level.status, True, trail)
    finally:
        os.close(current)


def _enter(parent: int, name: str, info: os.stat_result, device: int) -> int | None:
    if not stat.S_ISDIR(info.st_mode) or info.st_dev != device:
        return None
    try:
        descriptor = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno in _REPLACED:
            return None
        raise
    if not _same(os.fstat(descriptor), info):
        os.close(descriptor)
        return None
    return descriptor


def _go_up(current: int, expected: os.stat_result, path: str) -> int:
    above = os.open("..", DIRECTORY, dir_fd=current)
    if not _same(os.fstat(above), expected):
        os.close(above)
        raise MovedError("a directory in it was moved meanwhile", where=path, remedy="Run again")
    os.close(current)
    return above


def _names(descriptor: int) -> list[str]:
    return sorted(os.listdir(descriptor), reverse=True)


def _same(one: os.stat_result, other: os.stat_result) -> bool:
    return (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)


@contextlib.contextmanager
def _opened(parent: int, name: str, path: str) -> Iterator[int | None]:
    try:
        descriptor = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except FileNotFoundError:
        yield None
        return
    except OSError as error:
        if error.errno in _REPLACED:
            raise MailError("is not a directory", where=path) from error
        raise failure("cannot open the directory", path, error) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _existing(tree: Tree, path: str) -> Iterator[int | None]:
    if not tree.exists(path):
        yield None
        return
    with contextlib.ExitStack() as stack:
        parent, name = stack.enter_context(tree.parent(path))
        stack.enter_context(explained("cannot read the directory", path))
        yield stack.enter_context(_opened(parent, name, path))


def _move(tree: Tree, source: str, target: str, before: Callable[[], object]) -> bool:
    info, there = tree.lstat(source), tree.lstat(target)
    for path, status in ((source, info), (target, there)):
        if status is not None and not stat.S_ISDIR(status.st_mode):
            raise MailError("is not a directory", where=path)
    if info is None:
        return there is not None
    if there is not None:
        raise MailError(f"exists already, and so does {source}", where=target, remedy="Move one of them away by hand")
    before()
    try:
        tree.rename(source, target)
    except MailError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno in (errno.EXDEV, errno.EBUSY):
            raise MailError(
                f"cannot be moved to {target}, which is on another file system",
                where=source,
                remedy="Use removed_mail: archive or delete",
            ) from error
        raise
    return True


def _chown(tree: Tree, path: str, wanted: Callable[[os.stat_result], bool], uid: int, gid: int) -> list[str]:
    if not tree.may_chown:
        tree.skipped_ownership = True
        return []
    with _existing(tree, path) as top, explained("cannot change the owner in", path):
        if top is None:
            raise MailError("is not there", where=path)
        # From the top down: once a directory has its new owner the old one can no longer move things about in it. Where he did so
        # before, the walk begins anew, and each time more of the tree is out of his reach.
        if wanted(os.fstat(top)):
            os.fchown(top, uid, gid)
        for attempt in range(_ATTEMPTS):
            giving = _Giving(wanted, uid, gid)
            try:
                giving.give_all(top, path)
                break
            except MovedError:
                if attempt == _ATTEMPTS - 1:
                    raise
    return sorted(giving.left_alone)


class _Giving:
    """One pass of giving entries to an owner, and what it left alone."""

    def __init__(self, wanted: Callable[[os.stat_result], bool], uid: int, gid: int) -> None:
        self._wanted = wanted
        self._uid = uid
        self._gid = gid
        self._names: dict[tuple[int, int], list[str]] = {}
        self._mounts: list[str] = []

    @property
    def left_alone(self) -> list[str]:
        return self._mounts + [name for names in self._names.values() for name in names]

    def give_all(self, top: int, path: str) -> None:
        device = os.fstat(top).st_dev
        for visit in walk(top, path):
            if not visit.leaving:
                self.give(visit, device)

    def give(self, visit: Visit, device: int) -> None:
        if visit.status.st_dev != device:
            self._mounts.append(visit.path)
            return
        if not self._wanted(visit.status):
            return
        try:
            descriptor = os.open(visit.name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=visit.directory)
        except FileNotFoundError:
            return
        try:
            # Looked at again through the descriptor: the name may stand for something else by now.
            info = os.fstat(descriptor)
            if self._wanted(info) and info.st_dev == device and self._all_names_met(info, visit):
                chown_open(descriptor, self._uid, self._gid)
        finally:
            os.close(descriptor)

    def _all_names_met(self, info: os.stat_result, visit: Visit) -> bool:
        if stat.S_ISDIR(info.st_mode) or info.st_nlink == 1:
            return True
        names = self._names.setdefault((info.st_dev, info.st_ino), [])
        names.append(visit.path)
        if len(names) < info.st_nlink:
            return False
        del self._names[info.st_dev, info.st_ino]
        return True


def _delete_content(top: int, path: str) -> None:
    device = os.fstat(top).st_dev
    for visit in walk(top, path):
        if visit.status.st_dev != device:
            raise MailError("another file system is mounted there", where=f"{path}/{visit.path}", remedy="Unmount it")
        if visit.leaving:
            _remove(os.rmdir, visit)
        elif not stat.S_ISDIR(visit.status.st_mode):
            _remove(os.unlink, visit)


def _remove(how: Callable[..., None], visit: Visit) -> None:
    # What changed its kind or got new content meanwhile is met again by the next attempt.
    try:
        how(visit.name, dir_fd=visit.directory)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
            raise
