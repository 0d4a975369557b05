# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The fields of ``domains`` and ``addresses`` that say how mail is filtered <-> the model (grammar: docs/tables.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import (
    AS_THE_DOMAIN,
    NO_FILTERS,
    SPAM_ACTIONS,
    Filters,
    MailboxFilters,
    outgoing_limit,
    reject_threshold,
    threshold,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import MEND

F = TypeVar("F", Filters, MailboxFilters)

_POINTS = re.compile(r"[0-9]{1,3}\.[0-9]\Z")
_WHOLE = re.compile(r"[0-9]{1,7}\Z")


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("this is none of yes, no")
    return text == "yes"


def _spam_action(text: str) -> str:
    if text not in SPAM_ACTIONS:
        raise ValueError(f"this is none of {', '.join(SPAM_ACTIONS)}")
    return text


def _points(grammar: Callable[[float], float]) -> Callable[[str], float]:
    """Exim counts in tenths, by leaving out the dot: the one decimal must be there."""

    def read(text: str) -> float:
        if not _POINTS.match(text):
            raise ValueError("this is no number with one decimal, such as 5.0")
        return grammar(float(text))

    return read


def _limit(text: str) -> int:
    if not _WHOLE.match(text):
        raise ValueError("this is no whole number")
    return outgoing_limit(int(text))


# In the order of the fields of Filters and MailboxFilters.
_READERS: Mapping[str, Callable[[str], Any]] = {
    "greylist": _yes_or_no,
    "spam": _yes_or_no,
    "spam_action": _spam_action,
    "spam_score": _points(threshold),
    "spam_reject": _points(reject_threshold),
    "av": _yes_or_no,
    "limit": _limit,
}
FILTER_FIELDS = tuple(_READERS)
_NAMES = frozenset(FILTER_FIELDS)


def read_filters(fields: Mapping[str, str]) -> Filters:
    """The filters in the fields of a line of ``domains``. Raises MailError for a value that this version does not know."""
    return NO_FILTERS if _NAMES.isdisjoint(fields) else _read(NO_FILTERS, fields)


def read_mailbox_filters(fields: Mapping[str, str]) -> MailboxFilters:
    """What the fields of a mailbox in ``addresses`` say that differs from its domain. Raises MailError."""
    return AS_THE_DOMAIN if _NAMES.isdisjoint(fields) else _read(AS_THE_DOMAIN, fields)


def _read(default: F, fields: Mapping[str, str]) -> F:
    said = {}
    for option, (name, read) in zip(default._fields, _READERS.items()):
        if name in fields:
            try:
                said[option] = read(fields[name])
            except ValueError as error:
                raise MailError(f"{name}={fields[name][:40]}: {error}", remedy=MEND) from None
    return default._replace(**said)


def filter_fields(filters: Filters) -> dict[str, str]:
    """What a line of ``domains`` says of its filters: only what is not the default."""
    return _fields(filters, NO_FILTERS)


def mailbox_filter_fields(filters: MailboxFilters) -> dict[str, str]:
    """What the line of a mailbox says that differs from its domain."""
    return _fields(filters, AS_THE_DOMAIN) if filters is not AS_THE_DOMAIN else {}


def _fields(filters: F, default: F) -> dict[str, str]:
    return {name: _text(value) for name, value, usual in zip(FILTER_FIELDS, filters, default) if value != usual}


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.1f}" if isinstance(value, float) else str(value)
