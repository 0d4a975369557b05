# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Internationalised domain labels as IDNA 2008 has them (RFC 5891 to 5893), by Python's own Unicode tables.

What a registry would never register must not get a second spelling here: a letter that only looks like another one or
folds to it (RFC 5892 section 2.2, "Unstable") is refused and not mapped.
"""

from __future__ import annotations

import unicodedata

# RFC 5892 section 2.1: letters, marks and digits.
_CATEGORIES = {"Ll", "Lo", "Lm", "Mn", "Mc", "Nd"}

# RFC 5892 section 2.6: valid although they fold to something else or are no letters, and not valid although they are.
_VALID = {"\u00df", "\u03c2", "\u3007"}
_INVALID = frozenset("\u0640\u07fa\u302e\u302f\u3031\u3032\u3033\u3034\u3035\u303b")

# RFC 5892 sections 2.7 to 2.9: default-ignorable marks and letters, marks for symbols and notes, old Hangul's jamo.
_IGNORED = (
    (0x034F, 0x034F),
    (0x1100, 0x11FF),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x20D0, 0x20FF),
    (0x3164, 0x3164),
    (0xA960, 0xA97F),
    (0xD7B0, 0xD7FF),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0x1D100, 0x1D1FF),
    (0x1D200, 0x1D24F),
    (0xE0100, 0xE01EF),
)

_ARABIC_DIGITS = range(0x0660, 0x066A)
_EXTENDED_ARABIC_DIGITS = range(0x06F0, 0x06FA)

# RFC 5893 section 2: what a label that runs from right to left may hold, and may end with.
_RTL = {"R", "AL", "AN", "EN", "ES", "CS", "ET", "ON", "BN", "NSM"}
_RTL_END = {"R", "AL", "AN", "EN"}


def a_label(label: str) -> str:
    """The A-label of a lower-case label in NFC; an ASCII label is its own. Raises ValueError with the reason."""
    if label.isascii():
        return label
    if label.startswith("-") or label.endswith("-") or label[2:4] == "--":
        raise ValueError(f"{label!r} has a hyphen where no international label may have one (IDNA 2008)")
    for character in label:
        if not (character.isascii() or _is_valid(character)):
            raise ValueError(f"{label!r} holds {character!r}, which no domain name may hold (IDNA 2008)")
    if unicodedata.category(label[0]).startswith("M"):
        raise ValueError(f"{label!r} begins with a combining mark, which no domain name may (IDNA 2008)")
    if not _is_one_way(label):
        raise ValueError(f"{label!r} mixes directions of writing as no domain name may (RFC 5893)")
    return "xn--" + label.encode("punycode").decode("ascii")


def is_a_label(label: str) -> bool:
    """Whether a label is what its own U-label encodes to (RFC 5891 section 5.4)."""
    if not label.startswith("xn--"):
        return False
    try:
        decoded = label[4:].encode("ascii").decode("punycode")
        return not decoded.isascii() and decoded == unicodedata.normalize("NFC", decoded.lower()) and a_label(decoded) == label
    except ValueError:
        return False


def _is_valid(character: str) -> bool:
    if character in _VALID:
        return True
    if character in _INVALID or any(first <= ord(character) <= last for first, last in _IGNORED):
        return False
    if unicodedata.category(character) not in _CATEGORIES:
        return False
    folded = unicodedata.normalize("NFKC", character).casefold()
    return unicodedata.normalize("NFKC", folded) == character


def _is_one_way(label: str) -> bool:
    directions = [unicodedata.bidirectional(character) for character in label]
    if not {"R", "AL", "AN"}.intersection(directions):
        return True
    last = next(direction for direction in reversed(directions) if direction != "NSM")
    numbers = {"EN", "AN"}.issubset(directions)
    points = [ord(character) for character in label]
    digits = any(point in _ARABIC_DIGITS for point in points) and any(point in _EXTENDED_ARABIC_DIGITS for point in points)
    return directions[0] in ("R", "AL") and set(directions) <= _RTL and last in _RTL_END and not numbers and not digits
