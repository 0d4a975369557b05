# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file tree, and atomic, durable changes of the files in it."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import stat
from collections import OrderedDict
from collections.abc import Iterator, Sequence

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import (
    DIRECTORY,
    date_after,
    explained,
    failure,
    open_entry,
    rename_without_replacing,
    status_at,
    sync_file_system,
    unsuitable,
)

# Beyond this many files one syncfs costs less than an fsync for each (measured: 45 µs a file instead of 340 µs).
_FEW = 16
_OPEN_PARENTS = 32
_TEMPORARY = re.compile(r"\..+\.fleetpost-(?P<pid>[0-9]+)-[0-9a-f]{16}\Z", re.DOTALL)


class Tree:
    """The file tree below `root`; every method takes absolute paths inside it ("/etc/exim4/domains").

    In the running host's own tree (root ``/``) an administrator's links in the directories above a path are followed as
    usual. Below any other root each component is opened without following links, and a symbolic link anywhere in a
    path is a MailError: a link in an image cannot lead out of it. A path whose last component is a link is never read,
    replaced or removed in either.
    """

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.abspath(root)
        self.is_host = os.path.realpath(self.root) == "/"
        self.may_chown = os.geteuid() == 0
        """Without it ownership is left alone; permission bits are always set."""
        self.skipped_ownership = False
        """True once an owner or group would have been set and could not; the caller warns once."""

    def full(self, path: str) -> str:
        """A path inside the tree as other programs find it."""
        return self.root.rstrip("/") + path

    def read(self, path: str) -> bytes | None:
        """The content of a regular file, or None if there is none. Raises MailError for anything else."""
        with self._parent_if_there(path) as place:
            if place is None:
                return None
            parent, name = place[0], place[1]
            with explained("cannot read", path):
                try:
                    descriptor = open_entry(parent, name, path)
                except FileNotFoundError:
                    return None
                try:
                    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                        raise MailError("is not a regular file", where=path)
                    with os.fdopen(descriptor, "rb", closefd=False) as file:
                        return file.read()
                finally:
                    os.close(descriptor)

    def lstat(self, path: str) -> os.stat_result | None:
        """The status of what stands at `path` itself (of the link, if it is one), or None if nothing does."""
        with self._parent_if_there(path) as place:
            return None if place is None else status_at(place[0], place[1], path)

    def exists(self, path: str) -> bool:
        """Whether anything stands at `path`, a dangling link included."""
        return self.lstat(path) is not None

    def open_directory(self, path: str) -> int:
        """A file descriptor of the directory, for the caller to close. Raises MailError if it is missing or none."""
        with explained("cannot open the directory", path):
            if self.is_host:
                _components(path)
                return os.open(path, DIRECTORY)
            return self._walk(_components(path))

    @contextlib.contextmanager
    def parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The directory above `path` as an open file descriptor, and the name of `path` in it."""
        above, name = _split(path)
        descriptor = self.open_directory(above)
        try:
            yield descriptor, name
        finally:
            os.close(descriptor)

    def write_files(self, files: Sequence[tuple[str, bytes, Ownership]]) -> None:
        """Put each content in place, in the order given, each by one rename of a complete and durable file.

        A failure before the first rename (no space, a missing directory) changes nothing and leaves nothing behind. The
        process or the machine dying in between leaves every path with its old or its new content, and the earlier
        paths of the list are new before the later ones. Raises MailError.
        """
        batch = _Batch(self, bulk=len(files) > _FEW)
        with contextlib.closing(batch):
            for path, content, ownership in files:
                batch.stage(path, content, ownership)
            batch.commit()

    def make_directories(self, directories: Sequence[tuple[str, Ownership]]) -> None:
        """Create directories, a parent before what lies in it; durable when this returns.

        An existing directory must belong to the wanted owner (its permission bits are put right) or be empty and ours:
        that is what a run leaves that died between creating it and giving it away. Anything else is a MailError.
        """
        bulk = len(directories) > _FEW
        devices: dict[int, str] = {}
        with contextlib.closing(_Parents(self)) as parents:
            for path, ownership in directories:
                parent, name = parents.of(path)
                with explained("cannot create the directory", path):
                    device = self._make_directory(parent, name, path, ownership, durable=not bulk)
                devices.setdefault(device, path)
        if bulk:
            for path in devices.values():
                self._sync_file_system(path)

    def ensure_parent(self, path: str) -> None:
        """Create the missing directories above `path`, 0755 and ours, as in a bare image without /run or /var/log."""
        above, _name = _split(path)
        missing: list[str] = []
        while above != "/" and not self.exists(above):
            missing.append(above)
            above, _name = _split(above)
        if missing:
            ours = Ownership(os.geteuid(), os.getegid(), 0o755)
            self.make_directories([(directory, ours) for directory in reversed(missing)])

    def set_ownership(self, path: str, ownership: Ownership) -> None:
        """Set owner, group and mode of a regular file or directory, never through a link. Raises MailError."""
        with self.parent(path) as (parent, name), explained("cannot set the ownership", path):
            descriptor = open_entry(parent, name, path)
            try:
                info = os.fstat(descriptor)
                if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
                    raise MailError("is neither a regular file nor a directory", where=path)
                # Narrowed first: at no moment do the old bits apply to the new owner or group.
                os.fchmod(descriptor, stat.S_IMODE(info.st_mode) & ownership.mode)
                self.own(descriptor, ownership)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def own(self, descriptor: int, ownership: Ownership) -> None:
        """Give an open file to its owner, as far as this process may, and set its mode."""
        info = os.fstat(descriptor)
        if (info.st_uid, info.st_gid) != (ownership.uid, ownership.gid):
            if self.may_chown:
                os.fchown(descriptor, ownership.uid, ownership.gid)
            else:
                self.skipped_ownership = True
        os.fchmod(descriptor, ownership.mode)

    def remove_file(self, path: str) -> bool:
        """Remove a regular file; False if there was none. Raises MailError for anything that is no regular file."""
        with self._parent_if_there(path) as place:
            if place is None:
                return False
            parent, name = place[0], place[1]
            obstacle = unsuitable(parent, name, path)
            if obstacle:
                raise obstacle
            with explained("cannot remove", path):
                try:
                    os.unlink(name, dir_fd=parent)
                except FileNotFoundError:
                    return False
                os.fsync(parent)
            return True

    def rename(self, old: str, new: str) -> None:
        """Move a file or directory within one file system; whatever stands at `new` is never replaced (MailError)."""
        with self.parent(old) as (above, name), self.parent(new) as (new_above, new_name), explained(f"cannot move {old} there", new):
            rename_without_replacing(above, name, new_above, new_name)
            os.fsync(new_above)
            os.fsync(above)

    def _walk(self, components: list[str]) -> int:
        try:
            descriptor = os.open(self.root, DIRECTORY)
        except OSError as error:
            raise failure("cannot open the file tree", self.root, error) from None
        for depth, component in enumerate(components, 1):
            try:
                below = os.open(component, DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
            except OSError as error:
                here = "/" + "/".join(components[:depth])
                raise unsuitable(descriptor, component, here) or error from error
            finally:
                os.close(descriptor)
            descriptor = below
        return descriptor

    @contextlib.contextmanager
    def _parent_if_there(self, path: str) -> Iterator[tuple[int, str] | None]:
        above, name = _split(path)
        descriptor = self._open_if_there(above)
        if descriptor is None:
            yield None
            return
        try:
            yield descriptor, name
        finally:
            os.close(descriptor)

    def _open_if_there(self, path: str) -> int | None:
        try:
            return self.open_directory(path)
        except MailError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return None
            raise

    def _make_directory(self, parent: int, name: str, path: str, ownership: Ownership, durable: bool) -> int:
        created = True
        try:
            os.mkdir(name, 0o700, dir_fd=parent)
        except FileExistsError:
            created = False
        try:
            descriptor = os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        except NotADirectoryError as error:
            raise unsuitable(parent, name, path) or MailError("is not a directory", where=path) from error
        try:
            info = os.fstat(descriptor)
            if not created and self.may_chown:
                _refuse_foreign_directory(descriptor, info, path, ownership)
            self.own(descriptor, ownership)
            if durable:
                os.fsync(descriptor)
                os.fsync(parent)
            return info.st_dev
        finally:
            os.close(descriptor)

    def _sync_file_system(self, path: str) -> None:
        with self.parent(path) as (parent, _name), explained("cannot make durable", path):
            sync_file_system(parent)


class _Parents:
    """The directories above a batch's paths, the most recently used kept open."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._open: OrderedDict[str, int] = OrderedDict()

    def of(self, path: str) -> tuple[int, str]:
        above, name = _split(path)
        descriptor = self._open.get(above)
        if descriptor is None:
            descriptor = self._open[above] = self._tree.open_directory(above)
            if len(self._open) > _OPEN_PARENTS:
                os.close(self._open.popitem(last=False)[1])
        self._open.move_to_end(above)
        return descriptor, name

    def close(self) -> None:
        while self._open:
            os.close(self._open.popitem()[1])


class _Batch:
    """Files written beside their places, then renamed into them."""

    def __init__(self, tree: Tree, bulk: bool) -> None:
        self._tree = tree
        self._bulk = bulk
        self._parents = _Parents(tree)
        self._staged: list[tuple[str, str]] = []
        self._directories: dict[str, int] = {}

    def stage(self, path: str, content: bytes, ownership: Ownership) -> None:
        parent, name = self._parents.of(path)
        obstacle = unsuitable(parent, name, path)
        if obstacle:
            raise obstacle
        above = _split(path)[0]
        with explained("cannot write", path):
            if above not in self._directories:
                self._directories[above] = os.fstat(parent).st_dev
                _remove_strays(parent)
            temporary = f".{name[:40]}.fleetpost-{os.getpid()}-{secrets.token_hex(8)}"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o600, dir_fd=parent)
            self._staged.append((path, temporary))
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                self._tree.own(descriptor, ownership)
                _write_all(file.fileno(), content)
                date_after(descriptor, status_at(parent, name, path))
                if not self._bulk:
                    os.fsync(descriptor)

    def commit(self) -> None:
        if self._bulk:
            self._sync_file_systems()
        self._staged.reverse()
        while self._staged:
            path, temporary = self._staged[-1]
            parent, name = self._parents.of(path)
            with explained("cannot put the new file in place", path):
                os.rename(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
                self._staged.pop()
                if not self._bulk and self._leaves(path):
                    os.fsync(parent)
        if self._bulk:
            self._sync_file_systems()

    def _leaves(self, path: str) -> bool:
        """Whether the next file lies elsewhere: what is renamed later must not be durable earlier."""
        return not self._staged or _split(self._staged[-1][0])[0] != _split(path)[0]

    def _sync_file_systems(self) -> None:
        devices = {device: directory for directory, device in self._directories.items()}
        for directory in devices.values():
            descriptor = self._tree.open_directory(directory)
            try:
                with explained("cannot make durable", directory):
                    sync_file_system(descriptor)
            finally:
                os.close(descriptor)

    def close(self) -> None:
        for path, temporary in self._staged:
            with contextlib.suppress(OSError, MailError):
                os.unlink(temporary, dir_fd=self._parents.of(path)[0])
        self._parents.close()


def _components(path: str) -> list[str]:
    components = path.split("/")[1:] if path != "/" else []
    if not path.startswith("/") or "\0" in path or any(part in ("", ".", "..") for part in components):
        raise MailError("is not a plain absolute path", where=path)
    return components


def _split(path: str) -> tuple[str, str]:
    components = _components(path)
    if not components:
        raise MailError("is the file tree itself", where=path)
    return path[: -len(components[-1]) - 1] or "/", components[-1]


def _refuse_foreign_directory(descriptor: int, info: os.stat_result, path: str, ownership: Ownership) -> None:
    if (info.st_uid, info.st_gid) == (ownership.uid, ownership.gid):
        return
    if info.st_uid != os.geteuid() or os.listdir(descriptor):
        raise MailError(
            f"exists and belongs to uid {info.st_uid}, gid {info.st_gid} instead of {ownership.uid}, {ownership.gid}",
            where=path,
            remedy="Move it away, or give it to that owner if its content is to be used",
        )


def _remove_strays(parent: int) -> None:
    """Remove the temporary files of runs that were killed, and none of another living process."""
    for name in os.listdir(parent):
        stray = _TEMPORARY.match(name)
        if stray and not _is_other_process(int(stray["pid"])):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=parent)


def _is_other_process(pid: int) -> bool:
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
