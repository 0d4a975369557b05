# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Walks the steps of a plan. The order is the plan's; what is here is how each step is done."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import posixpath
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _mail_tree, _servers
from ansible_collections.fleetpost.mail.plugins.module_utils._archive import archive
from ansible_collections.fleetpost.mail.plugins.module_utils._archived import documents_in, sidecar_path
from ansible_collections.fleetpost.mail.plugins.module_utils._capture import Capture
from ansible_collections.fleetpost.mail.plugins.module_utils._directories import DOMAIN_DIRECTORY
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import BusyError, MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._install import install_for_dovecot, show_certificates
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import domain_of
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import (
    ChownTree,
    EndSessions,
    MakeDirectory,
    PutBack,
    ReloadDovecot,
    Remove,
    RemoveCertificate,
    RemoveKey,
    SetOwnership,
    Step,
    WriteCertificate,
    WriteKey,
    WriteTable,
)

# How long running Exim processes may take to end: two minutes cover a large message on a slow line.
DRAIN_SECONDS = 120.0


class Failure(NamedTuple):
    """A removal that did not work out, and why; its line comes back."""

    name: str
    error: MailError


def walk_steps(tree: Tree, layout: Layout, steps: Sequence[Step]) -> None:
    """Carries out the steps in their order; steps of a kind that follow each other go as one batch."""
    for _kind, batch in itertools.groupby(steps, key=type):
        _walk_batch(tree, layout, list(batch))


def _walk_batch(tree: Tree, layout: Layout, steps: Sequence[Step]) -> None:
    first = steps[0]
    if isinstance(first, MakeDirectory):
        tree.ensure_parent(layout.mail_root)
        tree.make_directories([(step.path, step.ownership) for step in steps if isinstance(step, MakeDirectory)])
        return
    if isinstance(first, (WriteTable, WriteKey, WriteCertificate)):
        files = [_file_of(step) for step in steps if isinstance(step, (WriteTable, WriteKey, WriteCertificate))]
        for path in {posixpath.dirname(step.path): step.path for step in steps if isinstance(step, (WriteKey, WriteCertificate))}.values():
            tree.ensure_parent(path)
        if isinstance(first, WriteCertificate) and first.path.startswith(f"{layout.dovecot_dir}/"):
            install_for_dovecot(tree, layout, files)
        else:
            tree.write_files(files)
        return
    for step in steps:
        _walk_single(tree, layout, step)


def _file_of(step: WriteTable | WriteKey | WriteCertificate) -> tuple[str, bytes, Ownership]:
    if step.content is None:
        raise AssertionError(f"{step.path} was not made")
    content = step.content if isinstance(step.content, bytes) else step.content.encode("utf-8", "surrogateescape")
    return step.path, content, step.ownership


def _walk_single(tree: Tree, layout: Layout, step: Step) -> None:
    if isinstance(step, SetOwnership):
        tree.set_ownership(step.path, step.ownership)
    elif isinstance(step, ChownTree):
        _mail_tree.chown_tree(tree, step.path, step.from_uid, step.ownership.uid, step.ownership.gid)
        tree.set_ownership(step.path, step.ownership)
    elif isinstance(step, ReloadDovecot):
        show_certificates(tree, layout)
    elif isinstance(step, (RemoveKey, RemoveCertificate)):
        tree.remove_file(step.path)
    elif isinstance(step, PutBack):
        put_back(tree, step)
    elif isinstance(step, EndSessions) and tree.is_host:
        _servers.end_sessions(list(step.masks))


def set_aside(tree: Tree, layout: Layout, removals: Sequence[Remove], since: float, capture: Capture) -> list[Failure]:
    """Moves the mail of each removal out of the servers' sight, once no Exim process works by the old tables any more.

    since: when the tombstones were written (epoch seconds). capture: writes down what is removed. Returns the removals that failed.
    """
    if tree.is_host:
        try:
            _servers.wait_for_exim(layout, since, DRAIN_SECONDS)
            _servers.flush_queue(layout, sorted({domain_of(removal.name) for removal in removals}))
        except MailError as error:
            return [Failure(removal.name, error) for removal in removals]
    return _failures(removals, lambda removal: _set_one_aside(tree, removal, capture))


def _failures(removals: Sequence[Remove], carry_out: Callable[[Remove], None]) -> list[Failure]:
    """Carries out each removal, whatever becomes of the others, and returns those that failed."""
    return [failure for failure in (_failure(removal, carry_out) for removal in removals) if failure]


def _failure(removal: Remove, carry_out: Callable[[Remove], None]) -> Failure | None:
    try:
        carry_out(removal)
    except MailError as error:
        return Failure(removal.name, error)
    return None


def _set_one_aside(tree: Tree, removal: Remove, capture: Capture) -> None:
    if removal.source is None:
        return
    capture.check_space(removal)
    _mail_tree.set_aside(tree, removal.source, removal.target)


def dispose(tree: Tree, removals: Sequence[Remove]) -> list[Failure]:
    """Archives or deletes what was set aside, outside the lock and at low priority. Returns the removals that failed."""
    if any(removal.removal.removed_mail != "keep" for removal in removals):
        os.nice(10)
    return _failures(removals, lambda removal: _dispose_of(tree, removal))


def _dispose_of(tree: Tree, removal: Remove) -> None:
    if removal.source is None or removal.removal.removed_mail == "keep":
        return
    if tree.exists(removal.target):
        with claimed(tree, removal.target):
            _archive_or_delete(tree, removal)
    tree.remove_file(sidecar_path(removal.target))


@contextlib.contextmanager
def claimed(tree: Tree, path: str) -> Iterator[None]:
    """Holds the mail that was set aside for the block. Raises BusyError when another run, which met our tombstone, has it."""
    descriptor = tree.open_directory(path)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BusyError("another run is at this mail", where=path, remedy="Let it finish") from None
        yield
    finally:
        os.close(descriptor)


def _archive_or_delete(tree: Tree, removal: Remove) -> None:
    if removal.removal.removed_mail == "archive":
        target = f"{removal.removal.archive_dir}/{posixpath.basename(removal.target)}.tar.gz"
        # An archive gets its name only when it is complete: then an earlier run died before it deleted the source.
        if tree.exists(removal.target) and not tree.exists(target):
            tree.ensure_parent(removal.removal.archive_dir)
            archive(tree, removal.target, target, documents_in(tree.read(sidecar_path(removal.target)) or b""))
    _mail_tree.delete_tree(tree, removal.target)


def put_back(tree: Tree, step: PutBack) -> None:
    """Gives mail that was set aside back to its place and owner; nothing to do where none was."""
    # Ahead of the mail: what a run leaves that dies here is written anew by the next removal. A restoration needs it to its end.
    if not step.origin:
        tree.remove_file(sidecar_path(step.source))
    if not tree.exists(step.source):
        return
    top = DOMAIN_DIRECTORY if "@" not in step.name else None
    with claimed(tree, step.source):
        _mail_tree.put_back(tree, step.source, step.target, step.owner.uid, step.owner.gid, top=top)
