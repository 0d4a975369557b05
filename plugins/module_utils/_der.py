# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Elements of DER (ITU-T X.690, definite lengths), for what must be read ten thousand times in a run. No IO."""

from __future__ import annotations


def extent(der: bytes, position: int, tag: int) -> tuple[int, int]:
    """Where the content of the element at `position` begins and ends.

    Raises ValueError for another tag, IndexError for what is cut off.
    """
    if der[position] != tag:
        raise ValueError("this is not what its PEM header says")
    length, start = der[position + 1], position + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[start : start + octets], "big")
        start += octets
    if start + length > len(der):
        raise IndexError
    return start, start + length


def value(der: bytes, position: int, tag: int) -> bytes:
    start, end = extent(der, position, tag)
    return der[start:end]


def tagged(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = (length.bit_length() + 7) // 8
    return bytes((tag, 0x80 | octets)) + length.to_bytes(octets, "big") + content
