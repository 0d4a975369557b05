# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lines of the log of changes, also of the files that logrotate has put aside. Changes nothing."""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterator
from typing import IO, cast

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import open_entry

# As logrotate calls them: .1 is the newest, or the date of its rotation (dateext).
_ROTATED = re.compile(r"(?:\.(?P<number>[0-9]{1,4})|-(?P<date>[0-9]{8}(?:-?[0-9]{2,10})?))(?P<zipped>\.gz)?\Z")
# Longer lines are none of ours, or hold lists that no history can show.
LONGEST_LINE = 1 << 20


def log_lines(tree: Tree, layout: Layout, with_zipped: bool) -> Iterator[bytes]:
    """The lines of all files of the log, the oldest file first. with_zipped: also of those that are compressed.

    One line at a time is in memory. What cannot be read is left out: a log is not what a host stands or falls with.
    """
    above, _slash, base = layout.audit_log.rpartition("/")
    if not tree.exists(above):
        return
    directory = tree.open_directory(above)
    try:
        for name in _in_order(os.listdir(directory), base):
            is_zipped = name.endswith(".gz")
            if with_zipped or not is_zipped:
                yield from _lines_of(directory, name, is_zipped)
    finally:
        os.close(directory)


def _in_order(names: list[str], base: str) -> list[str]:
    """The files of the log, the oldest first."""
    dated, numbered = [], []
    for name in names:
        found = _ROTATED.fullmatch(name, len(base)) if name.startswith(base) else None
        if found and found["date"]:
            dated.append(name)
        elif found:
            numbered.append((-int(found["number"]), name))
    return [*sorted(dated), *(name for _age, name in sorted(numbered)), *([base] if base in names else [])]


def _lines_of(directory: int, name: str, is_zipped: bool) -> Iterator[bytes]:
    try:
        descriptor = open_entry(directory, name, name)
    except (OSError, MailError):
        return
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        return
    with os.fdopen(descriptor, "rb") as file:
        try:
            yield from _bounded(cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if is_zipped else file)
        except (OSError, EOFError, zlib.error):
            return


def _bounded(file: IO[bytes]) -> Iterator[bytes]:
    """The whole lines of a file that are not too long."""
    is_whole = True
    while line := file.readline(LONGEST_LINE):
        ends = line.endswith(b"\n")
        if is_whole and ends:
            yield line
        is_whole = ends
