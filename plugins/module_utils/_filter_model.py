# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the mail of a domain is filtered, and of a mailbox where that differs: plain values, and the grammars of their numbers."""

from __future__ import annotations

from typing import NamedTuple

SPAM_ACTIONS = ("junk", "tag", "reject")
SMALLEST_THRESHOLD = 0.1
LARGEST_THRESHOLD = 999.0
LARGEST_LIMIT = 1_000_000


class Filters(NamedTuple):
    """The filters of a domain.

    spam_threshold: from how many points of SpamAssassin on mail is spam. spam_reject_threshold: from how many on it is rejected,
    whatever `spam_action` says; 0 for none. Both have one decimal. outgoing_limit: how many messages an hour the mailboxes of the
    domain may send together; 0 for no limit.
    """

    greylisting: bool = False
    spamassassin: bool = False
    spam_action: str = "junk"
    spam_threshold: float = 5.0
    spam_reject_threshold: float = 0.0
    antivirus: bool = False
    outgoing_limit: int = 0


class MailboxFilters(NamedTuple):
    """What differs in a mailbox from its domain; None is as the domain. outgoing_limit: of this mailbox alone."""

    greylisting: bool | None = None
    spamassassin: bool | None = None
    spam_action: str | None = None
    spam_threshold: float | None = None
    spam_reject_threshold: float | None = None
    antivirus: bool | None = None
    outgoing_limit: int | None = None


class Lists(NamedTuple):
    """Senders and hosts that a domain lets through its filters, or refuses; each sorted, every item once."""

    allow_senders: tuple[str, ...] = ()
    block_senders: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    block_hosts: tuple[str, ...] = ()


NO_FILTERS = Filters()
AS_THE_DOMAIN = MailboxFilters()
NO_LISTS = Lists()


def threshold(points: float) -> float:
    """A number of points with one decimal. Raises ValueError."""
    if not SMALLEST_THRESHOLD <= points <= LARGEST_THRESHOLD:
        raise ValueError(f"{points} is not a number from {SMALLEST_THRESHOLD} to {LARGEST_THRESHOLD:.0f}")
    if round(points, 1) != points:
        raise ValueError(f"{points} has more than one decimal")
    return float(points)


def reject_threshold(points: float) -> float:
    """The same, or 0 for none."""
    return threshold(points) if points else 0.0


def outgoing_limit(messages: int) -> int:
    """A number of messages an hour, 0 for no limit. Raises ValueError."""
    if not 0 <= messages <= LARGEST_LIMIT:
        raise ValueError(f"{messages} is not a number from 0 to {LARGEST_LIMIT}")
    return messages
