# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user wrote of filters and lists -> those fields of `Filters` and `Lists` that were said. No IO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._converter import Converter
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_lists import GRAMMARS
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import (
    Filters,
    outgoing_limit,
    reject_threshold,
    threshold,
)

_NUMBERS: Mapping[str, Callable[[Any], Any]] = {
    "spam_threshold": threshold,
    "spam_reject_threshold": reject_threshold,
    "outgoing_limit": outgoing_limit,
}
_OPTIONS = frozenset(Filters._fields)
_LISTS = frozenset(GRAMMARS)
_NOTHING_SAID: Mapping[str, Any] = MappingProxyType({})


def declared_filters(entry: Mapping[str, Any], prefix: str, reader: Converter) -> Mapping[str, Any]:
    """The filters among the options of a domain, or in ``filters`` of a mailbox; errors go to the reader."""
    if _OPTIONS.isdisjoint(entry):
        return _NOTHING_SAID
    said = {option: entry[option] for option in Filters._fields if entry.get(option) is not None}
    for option in [option for option in said if option in _NUMBERS]:
        said[option] = reader.convert(_NUMBERS[option], said[option], f"{prefix}{option}")
    return {option: value for option, value in said.items() if value is not None}


def declared_lists(entry: Mapping[str, Any], prefix: str, reader: Converter) -> Mapping[str, tuple[str, ...]]:
    """The lists among the options of a domain, each sorted; errors go to the reader."""
    if _LISTS.isdisjoint(entry):
        return _NOTHING_SAID
    said = {name: reader.convert_list(grammar, entry.get(name), f"{prefix}{name}") for name, grammar in GRAMMARS.items()}
    return {name: tuple(sorted(items)) for name, items in said.items() if items is not None}
