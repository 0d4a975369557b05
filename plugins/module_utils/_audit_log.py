# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was changed on this host, when and by whom: one JSON line for each change."""

from __future__ import annotations

import grp
import json
import os
import stat
import time
from collections.abc import Mapping, Sequence

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import explained

_READERS = "adm"


def append(tree: Tree, layout: Layout, entries: Sequence[Mapping[str, object]]) -> None:
    """Add one line for each entry, with the time (UTC), the process and the user added; nothing for no entries.

    The entries must hold no secret. The file is created root:adm 0640 (root:root where there is no group adm); an
    existing one keeps its owner and mode, as logrotate left them. Raises MailError.
    """
    if not entries:
        return
    by = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "pid": os.getpid(),
        "user": os.environ.get("SUDO_USER") or os.environ.get("LOGNAME") or "root",
    }
    # ASCII with escapes: no name, however odd, can begin a line of its own or carry a terminal's control characters.
    lines = "".join(json.dumps({**by, **entry}, ensure_ascii=True, default=str) + "\n" for entry in entries)
    path = layout.audit_log
    tree.ensure_parent(path)
    with explained("cannot write the log of changes", path):
        descriptor = _open(tree, path)
        try:
            _write(descriptor, lines.encode("ascii"))
        finally:
            os.close(descriptor)


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


def _write(descriptor: int, lines: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size and os.pread(descriptor, 1, size - 1) != b"\n":
        lines = b"\n" + lines  # a writer died in the middle of its line
    rest = memoryview(lines)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


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
