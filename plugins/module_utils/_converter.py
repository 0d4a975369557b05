# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turns what users wrote into its stored form by a grammar, and collects every error with its option path. No IO."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError

S = TypeVar("S")
T = TypeVar("T")


class Converter:
    """errors: what was wrong so far."""

    def __init__(self) -> None:
        self.errors: list[MailError] = []

    def convert(self, grammar: Callable[[S], T], said: S | None, where: str) -> T | None:
        """The stored form of what the user wrote; None when nothing was said, or when it is an error (which is noted)."""
        if said is None:
            return None
        try:
            return grammar(said)
        except ValueError as error:
            self.errors.append(MailError(str(error), where))
            return None

    def convert_list(self, grammar: Callable[[str], T], texts: Iterable[str] | None, where: str) -> tuple[T, ...] | None:
        """The same for each of a list, every value once; None when no list was given."""
        if texts is None:
            return None
        found = (self.convert(grammar, text, f"{where}[{index}]") for index, text in enumerate(texts))
        return tuple(dict.fromkeys(one for one in found if one is not None))
