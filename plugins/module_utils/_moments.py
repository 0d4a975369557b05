# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moments and durations as tables and users write them."""

from __future__ import annotations

import calendar
import re
import time

_DURATION = re.compile(r"([1-9][0-9]{0,8}) ?([smhdw])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_LONGEST = 10 * 366 * 86400
_FORMAT = "%Y%m%dT%H%M%SZ"


def moment_text(seconds: float | None = None) -> str:
    """A moment (seconds since the epoch, None for now) as tombstones, rotations and archives name it: ``20261123T040000Z``."""
    return time.strftime(_FORMAT, time.gmtime(seconds))


def iso_text(seconds: float) -> str:
    """A moment as results tell it: ``2026-11-23T04:00:00Z`` (ISO 8601)."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def is_moment(text: str) -> bool:
    try:
        return moment_text(calendar.timegm(time.strptime(text, _FORMAT))) == text
    except ValueError:
        return False


def duration(text: str) -> int:
    """A duration such as ``7d`` in seconds; units s, m, h, d and w, ten years at most. Raises ValueError."""
    found = _DURATION.match(text.strip().lower())
    if not found:
        raise ValueError(f"{text[:80]!r} is not a duration: write a whole number and s, m, h, d or w, such as 7d")
    seconds = int(found.group(1)) * _SECONDS[found.group(2)]
    if seconds > _LONGEST:
        raise ValueError(f"{text[:80]!r} is longer than ten years")
    return seconds
