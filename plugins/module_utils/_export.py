# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that a declaration with its secrets is written to."""

from __future__ import annotations

import json
import stat
from collections.abc import Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership


def export(tree: Tree, path: str, declaration: Mapping[str, Any], check_mode: bool) -> bool:
    """Writes the declaration for root alone; True when that changes the file."""
    content = (json.dumps(declaration, indent=1) + "\n").encode()
    wanted = Ownership(0, 0, 0o600)
    status = tree.lstat(path)
    is_right = status is not None and (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == tuple(wanted)
    if is_right and tree.read(path) == content:
        return False
    if not check_mode:
        tree.write_files([(path, content, wanted)])
    return True
