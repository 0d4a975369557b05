# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The charts of the audit: when certificates end, and how old the keys are that sign, as SVG within the page. No IO."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from html import escape
from typing import NamedTuple

_DAY = 86400
_WEEKS = 13
_AGES = (("under 1 month", 30), ("1 to 3 months", 91), ("3 to 6 months", 182), ("6 to 12 months", 365), ("1 to 2 years", 730))

_WIDTH, _ROW, _LABEL, _NUMBER = 400, 24, 130, 70


class Bar(NamedTuple):
    """One bar. is_bad: it asks for something to be done."""

    label: str
    number: int
    is_bad: bool = False


def seconds_of(moment: str) -> float:
    """Seconds since the epoch of a moment as modules tell it, ``2026-11-23T04:00:00Z``."""
    return datetime.fromisoformat(f"{moment[:-1]}+00:00").timestamp()


def ends_by_week(moments: Iterable[str], now: float) -> list[Bar]:
    """How many certificates end in which week from now; those that have ended come first."""
    over = later = 0
    weeks = [0] * _WEEKS
    for moment in filter(None, moments):
        left = seconds_of(moment) - now
        week = int(left // (7 * _DAY))
        if left <= 0:
            over += 1
        elif week < _WEEKS:
            weeks[week] += 1
        else:
            later += 1
    bars = [Bar(_week(number, now), count, number < 2 and count > 0) for number, count in enumerate(weeks)]
    return [Bar("ended", over, over > 0), *bars, Bar("later", later)] if over + later + sum(weeks) else []


def _week(number: int, now: float) -> str:
    begins, ends = (time.strftime("%b %d", time.gmtime(now + days * _DAY)) for days in (7 * number, 7 * number + 6))
    return f"{begins} to {ends}"


def ages_of_keys(moments: Iterable[str], now: float) -> list[Bar]:
    """How many domains sign with keys of which age."""
    counts = [0] * (len(_AGES) + 1)
    for moment in filter(None, moments):
        age = (now - seconds_of(moment)) / _DAY
        counts[next((number for number, (_label, days) in enumerate(_AGES) if age < days), len(_AGES))] += 1
    labels = [label for label, _days in _AGES] + ["over 2 years"]
    return [Bar(*one, is_bad=one[0] == labels[-1] and one[1] > 0) for one in zip(labels, counts)] if any(counts) else []


def chart(title: str, unit: str, bars: Sequence[Bar], nothing: str) -> Iterator[str]:
    """A figure with a bar chart. nothing: what is said when there are no bars."""
    yield f"<figure><figcaption>{escape(title)}</figcaption>"
    if not bars:
        yield f"<p>{escape(nothing)}</p></figure>"
        return
    told = "; ".join(f"{one.label}: {one.number:,}" for one in bars if one.number)
    most = max(one.number for one in bars)
    height = _ROW * len(bars)
    yield f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(f"{title}, {unit}: {told}")}">'
    for number, one in enumerate(bars):
        yield from _bar(one, number * _ROW, (_WIDTH - _LABEL - _NUMBER) * one.number / most)
    yield "</svg></figure>"


def _bar(one: Bar, top: int, width: float) -> Iterator[str]:
    middle = top + _ROW / 2
    yield f'<text class="label" x="{_LABEL - 10}" y="{middle}">{escape(one.label)}</text>'
    if one.number:
        kind = "bar bad" if one.is_bad else "bar"
        yield f'<rect class="{kind}" x="{_LABEL}" y="{top + 4}" width="{max(width, 2):.1f}" height="{_ROW - 8}" rx="3"/>'
    mark = " !" if one.is_bad else ""
    yield f'<text class="number" x="{_LABEL + (max(width, 2) if one.number else 0) + 8:.1f}" y="{middle}">{one.number:,}{mark}</text>'
