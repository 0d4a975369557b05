# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters and lists as people read them in actions. No IO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import NO_FILTERS, Filters, Lists, MailboxFilters
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Domain


def filters_by_name(filters: Filters | MailboxFilters | tuple[()]) -> dict[str, Any]:
    """Option -> value; what a mailbox has from its domain is in words. Nothing of nothing."""
    if not filters:
        return {}
    return {option: "as the domain" if value is None else value for option, value in filters._asdict().items()}


def shown_filters(domain: Domain) -> Iterator[str]:
    """What a new domain filters. Of a list only how many it has: they may be long, and the diff shows them."""
    for option, value, usual in zip(Filters._fields, domain.filters, NO_FILTERS):
        if value != usual:
            yield option if value is True else f"{option} {value}"
    if not domain.mailbox_filters:
        yield "no mailbox_filters"
    for name, items in domain.lists._asdict().items():
        if items:
            yield f"{len(items)} in {name}"


def changed_lists(there: Lists, wanted: Lists) -> Iterator[str]:
    """What is added to each list, and what goes."""
    for name, before, after in zip(Lists._fields, there, wanted):
        added, gone = sorted(set(after) - set(before)), sorted(set(before) - set(after))
        changes = [*(f"+{item}" for item in added), *(f"-{item}" for item in gone)]
        if changes:
            yield f"{name}: {' '.join(changes)}"
