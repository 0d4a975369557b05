# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was changed on this host, when and by whom: one JSON line for each change, and the same in words to syslog."""

from __future__ import annotations

import contextlib
import fcntl
import grp
import json
import os
import stat
import syslog
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import RunBy
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import explained

Entry = Mapping[str, Any]

_READERS = "adm"
# Whoever may read the log can hold its lock, and must not be able to stop a run with it.
_LOCK_SECONDS = 5.0
_PAUSE = 0.02
# More changes than that in one run are one line of syslog.
_MANY = 50
# Of a message in bytes: what every syslog takes (RFC 3164 section 4.1), with room for its head.
_LONGEST_MESSAGE = 900
_IDENTITY = "mail-domains"


def append(tree: Tree, layout: Layout, entries: Sequence[Entry], by: RunBy, priority: int = syslog.LOG_NOTICE) -> None:
    """Add one line for each entry, with the time (UTC) and who it was added; nothing for no entries.

    The entries must hold no secret. The file is created root:adm 0640 (root:root where there is no group adm); an
    existing one keeps its owner and mode, as logrotate left them. priority: for syslog. Raises MailError.
    """
    if not entries:
        return
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    known = {**by.known, "pid": os.getpid()}
    # ASCII with escapes: no name, however odd, can begin a line of its own or carry a terminal's control characters.
    lines = "".join(json.dumps({"time": moment, **entry, **known}, ensure_ascii=True, default=str) + "\n" for entry in entries)
    _write(tree, layout.audit_log, lines.encode("ascii"))
    if len(entries) > _MANY:
        _tell(tree, [f"{in_numbers(entries)}; each is in {layout.audit_log}"], by, priority)
    else:
        _tell(tree, [_in_words(entry) for entry in entries], by, priority)


def make_ready(tree: Tree, layout: Layout) -> None:
    """Raises MailError when no line could be written: nobody changes a host whose log cannot be kept."""
    _write(tree, layout.audit_log, b"")


def checked(tree: Tree, entries: Sequence[Entry], by: RunBy) -> None:
    """Tell syslog alone what a check run would change, in numbers."""
    _tell(tree, [f"check mode, {in_numbers(entries)}"], by, syslog.LOG_INFO)


def refused(tree: Tree, layout: Layout, refusals: Sequence[tuple[str, MailError]], by: RunBy, check_mode: bool = False) -> None:
    """Add one line for each attempt that was refused, as its domain (or an empty text) and why. In check mode it is for syslog alone.

    Raises MailError.
    """
    entries = [{"domain": domain, "action": "refuse", "where": error.where, "message": error.message} for domain, error in refusals]
    if check_mode:
        told = [_in_words(entry) for entry in entries] if len(entries) <= _MANY else [f"check mode, {in_numbers(entries)}"]
        _tell(tree, told, by, syslog.LOG_WARNING)
    else:
        append(tree, layout, entries, by, syslog.LOG_WARNING)


def _in_words(entry: Entry) -> str:
    detail = entry.get("detail") or entry.get("message") or ""
    return f"{entry['action']} {entry['domain'] or 'on this host'}{f': {detail}' if detail else ''}"


def in_numbers(entries: Sequence[Entry]) -> str:
    """``3 changes of 2 domains: 2 change mailbox, 1 create``."""
    if not entries:
        return "no changes"
    kinds = Counter(entry["action"] for entry in entries)
    domains = len({entry["domain"] for entry in entries if entry["domain"]})
    shown = ", ".join(f"{count} {action}" for action, count in sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0])))
    return f"{len(entries)} change{'s' * (len(entries) != 1)} of {domains} domain{'s' * (domains != 1)}: {shown}"


def _tell(tree: Tree, messages: Iterable[str], by: RunBy, priority: int) -> None:
    """Tell the syslog of the running host; nobody else's host is it to be told of."""
    if not tree.is_host:
        return
    who = ", ".join(f"{field} {value}" for field, value in by._asdict().items() if value)
    syslog.openlog(_IDENTITY, syslog.LOG_PID, syslog.LOG_MAIL)
    for message in messages:
        syslog.syslog(priority, _plain(f"{message[:_LONGEST_MESSAGE]} ({who})"))
    syslog.closelog()


def _plain(message: str) -> str:
    """A message as one line of printable ASCII."""
    return "".join(char if " " <= char <= "~" else "?" for char in message)


def _write(tree: Tree, path: str, lines: bytes) -> None:
    tree.ensure_parent(path)
    with explained("cannot write the log of changes", path):
        descriptor, is_ours = _open_locked(tree, path)
        try:
            if lines:
                _append(descriptor, lines, is_ours)
        finally:
            os.close(descriptor)


def _open_locked(tree: Tree, path: str) -> tuple[int, bool]:
    """The log, and whether its lock could be had; logrotate may have put another in its place meanwhile."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        descriptor = _open(tree, path)
        is_ours = _lock(descriptor, deadline)
        if not is_ours or _stands_at(tree, path, descriptor):
            return descriptor, is_ours
        os.close(descriptor)


def _lock(descriptor: int, deadline: float) -> bool:
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        if time.monotonic() >= deadline:
            return False
        time.sleep(_PAUSE)


def _stands_at(tree: Tree, path: str, descriptor: int) -> bool:
    ours, there = os.fstat(descriptor), tree.lstat(path)
    return there is not None and (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _open(tree: Tree, path: str) -> int:
    flags = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with tree.parent(path) as (parent, name):
        try:
            descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=parent)
        except FileExistsError:
            descriptor = os.open(name, flags, dir_fd=parent)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise MailError("is not a regular file", where=path) from None
        else:
            tree.own(descriptor, Ownership(0, _readers(tree), 0o640))
    return descriptor


def _append(descriptor: int, lines: bytes, is_ours: bool) -> None:
    """All lines by one write. is_ours: nobody else writes meanwhile, so what a full disk took only the beginning of can be taken back."""
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        lines = b"\n" + lines  # a writer died in the middle of its line
    try:
        rest = memoryview(lines)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        if is_ours:
            os.ftruncate(descriptor, size)
        raise


def _readers(tree: Tree) -> int:
    if tree.is_host:
        try:
            return grp.getgrnam(_READERS).gr_gid
        except KeyError:
            return 0
    for line in (tree.read("/etc/group") or b"").split(b"\n"):
        fields = line.split(b":")
        if len(fields) > 2 and fields[0] == _READERS.encode() and fields[2].isdigit():
            return int(fields[2])
    return 0
