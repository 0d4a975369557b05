# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one exception of the collection: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable


class MailError(Exception):
    """An expected failure, shown to the user as one sentence and never as a traceback.

    message: what is wrong, in plain words.
    where: the option path (``domains[3].name``) or file and line it stands at; empty when there is none.
    remedy: what the user can do about it; empty when that is obvious.
    """

    def __init__(self, message: str, where: str = "", remedy: str = "") -> None:
        self.message = message
        self.where = where
        self.remedy = remedy
        super().__init__(message)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}. {self.remedy}" if self.remedy else text


class BusyError(MailError):
    """Another run is at this very work and will finish it."""


class LibraryError(MailError):
    """A Python library is not on the host; in check mode a role may be about to install it."""


class MailErrors(MailError):
    """Everything that is wrong with one run, so that a user mends it in one go.

    consequence: what the errors mean for the host.
    """

    def __init__(self, errors: Iterable[MailError], consequence: str = "nothing was changed") -> None:
        self.errors = tuple(errors)
        super().__init__(_summary(self.errors, consequence))


def _summary(errors: tuple[MailError, ...], consequence: str) -> str:
    if len(errors) == 1:
        return str(errors[0])
    shown = "\n".join(f"  {error}" for error in errors[:_SHOWN])
    rest = len(errors) - _SHOWN
    more = f"\n  ... and {rest} more" if rest > 0 else ""
    return f"{len(errors)} errors, {consequence}:\n{shown}{more}"


_SHOWN = 100
