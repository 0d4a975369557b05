# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a file or directory is."""

from __future__ import annotations

from typing import NamedTuple


class Ownership(NamedTuple):
    """Owner, group (numeric) and permission bits of a file or directory."""

    uid: int
    gid: int
    mode: int
