# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which layout a host has. Changes nothing."""

from __future__ import annotations

import stat

from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout, layout_for


def find_layout(tree: Tree, choice: str) -> Layout:
    """The layout that the user chose, or that os-release(5) of the tree tells."""
    os_release = _os_release(tree) if choice == "auto" else None
    return layout_for(choice, os_release.decode("utf-8", "replace") if os_release else None)


def _os_release(tree: Tree) -> bytes | None:
    """/etc/os-release is a link to /usr/lib on most distributions, which is read there, so that no link is followed."""
    status = tree.lstat("/etc/os-release")
    is_file = status is not None and stat.S_ISREG(status.st_mode)
    return tree.read("/etc/os-release" if is_file else "/usr/lib/os-release")
