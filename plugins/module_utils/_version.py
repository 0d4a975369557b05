# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The version of the collection: galaxy.yml does not travel to the hosts."""

from __future__ import annotations

VERSION = "1.0.0-dev"
