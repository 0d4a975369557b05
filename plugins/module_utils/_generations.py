# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables as they were before each of the last runs that changed one: kept for root alone, so that there is a way back.

A generation is a directory with a number. It appears by one rename, and nothing in it is made durable before: what a machine lost
that died at that moment shows by the digests in its ``generation.json``, and it is then used by nobody.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import RunBy
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import DIRECTORY, content_at, explained

KEPT = 10
_FORMAT = 1
_DESCRIPTION = "generation.json"
_UNFINISHED = ".new-"
_FOR_ROOT = 0o700


class Generation(NamedTuple):
    """The tables as they were before a run. time: when that began to change them. run: who ran it. changes: what it was, in numbers."""

    number: int
    time: str
    run: Mapping[str, str]
    changes: str
    digests: Mapping[str, str]

    @property
    def shown(self) -> dict[str, Any]:
        """The generation as results tell it."""
        return {"number": self.number, "time": self.time, **self.run, "changes": self.changes}


def keep(tree: Tree, layout: Layout, tables: Mapping[str, bytes], by: RunBy, changes: str, needed: int | None = None) -> int:
    """Keeps the tables (name -> text) as the newest generation, removes those beyond the last ten, and returns its number.

    needed: a generation that stays in any case, because this run goes back to it. Call it in the host's lock. Raises MailError.
    """
    path = layout.generations_dir
    tree.ensure_parent(path)
    with explained("cannot keep the tables as they were", path):
        with tree.parent(path) as (parent, name), contextlib.suppress(FileExistsError):
            os.mkdir(name, _FOR_ROOT, dir_fd=parent)
        directory = tree.open_directory(path)
        try:
            tree.own(directory, Ownership(0, 0, _FOR_ROOT))
            number = _add(tree, directory, tables, by, changes)
            for old in _numbers(directory)[:-KEPT]:
                if old != needed:
                    _remove(directory, str(old))
        finally:
            os.close(directory)
    return number


def _add(tree: Tree, directory: int, tables: Mapping[str, bytes], by: RunBy, changes: str) -> int:
    for entry in os.listdir(directory):
        if entry.startswith(_UNFINISHED):
            _remove(directory, entry)
    number = max(_numbers(directory), default=0) + 1
    description = {
        "format": _FORMAT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "run": by.known,
        "changes": changes,
        "tables": {name: hashlib.sha256(content).hexdigest() for name, content in tables.items()},
    }
    unfinished = f"{_UNFINISHED}{os.getpid()}"
    os.mkdir(unfinished, _FOR_ROOT, dir_fd=directory)
    below = os.open(unfinished, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    try:
        tree.own(below, Ownership(0, 0, _FOR_ROOT))
        for name, content in {**tables, _DESCRIPTION: json.dumps(description, indent=1).encode()}.items():
            _write(tree, below, name, content)
    finally:
        os.close(below)
    os.rename(unfinished, str(number), src_dir_fd=directory, dst_dir_fd=directory)
    return number


def _write(tree: Tree, directory: int, name: str, content: bytes) -> None:
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)
    with os.fdopen(descriptor, "wb") as file:
        tree.own(descriptor, Ownership(0, 0, 0o600))
        file.write(content)


def _numbers(directory: int) -> list[int]:
    return sorted(int(entry) for entry in os.listdir(directory) if entry.isascii() and entry.isdigit() and str(int(entry)) == entry)


def _remove(directory: int, entry: str) -> None:
    """Removes a generation; directories in it are not ours, and stay."""
    # One that stays is in nobody's way.
    with contextlib.suppress(OSError):
        below = os.open(entry, DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
        try:
            for name in os.listdir(below):
                os.unlink(name, dir_fd=below)
        finally:
            os.close(below)
        os.rmdir(entry, dir_fd=directory)


def generations(tree: Tree, layout: Layout) -> list[Generation]:
    """The generations that can be read, the oldest first. Raises MailError."""
    path = layout.generations_dir
    if not tree.exists(path):
        return []
    with explained("cannot read the generations", path):
        directory = tree.open_directory(path)
        try:
            found = (_described(directory, number) for number in _numbers(directory))
            return [generation for generation in found if generation]
        finally:
            os.close(directory)


def _described(directory: int, number: int) -> Generation | None:
    try:
        below = os.open(str(number), DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
    except OSError:
        return None
    try:
        content, _ownership = content_at(below, _DESCRIPTION)
        description = json.loads(content)
        if description["format"] != _FORMAT:
            return None
        return Generation(number, description["time"], description["run"], description["changes"], description["tables"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    finally:
        os.close(below)


def tables_of(tree: Tree, layout: Layout, number: int) -> dict[str, bytes]:
    """The tables of a generation, name -> text. Raises MailError when it is not there, or not as it was written."""
    there = {generation.number: generation for generation in generations(tree, layout)}
    where = "restore_generation"
    if number not in there:
        shown = f"There are {', '.join(map(str, there))}; mail_domain_info tells of each" if there else "No run has changed a table yet"
        raise MailError(f"there is no generation {number} on this host", where, shown)
    found = {}
    for name, digest in there[number].digests.items():
        content = tree.read(f"{layout.generations_dir}/{number}/{name}")
        if content is None or hashlib.sha256(content).hexdigest() != digest:
            raise MailError(f"the table {name} of generation {number} is damaged", where, "Go back to another one")
        found[name] = content
    return found


def kept_mail(tree: Tree, layout: Layout) -> list[str]:
    """The names of what lies in the directory of mail that was set aside: ``NAME.TIMESTAMP``."""
    if not tree.exists(layout.removed_dir):
        return []
    directory = tree.open_directory(layout.removed_dir)
    try:
        return sorted(os.listdir(directory))
    finally:
        os.close(directory)
