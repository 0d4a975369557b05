# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user wrote of an owner -> what is declared, with every error and its option path. No IO."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._converter import Converter
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import outgoing_limit
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import DeclaredOwner
from ansible_collections.fleetpost.mail.plugins.module_utils._owners import count, delegated_domain, owner_name


def _reseller(text: str) -> str:
    return owner_name(text) if text else ""


_GRAMMARS: Mapping[str, Callable[[Any], Any]] = {
    "reseller": _reseller,
    "max_domains": count,
    "max_mailboxes": count,
    "max_mailbox_quota": _names.quota,
    "total_quota": _names.quota,
    "outgoing_limit": outgoing_limit,
    "ssl_allowed": bool,
}
_LISTS: Mapping[str, Callable[[str], str]] = {"allowed_ips": _names.listed_host, "delegated_domains": delegated_domain}


def declared_owner(entry: Mapping[str, Any], prefix: str, reader: Converter) -> DeclaredOwner | None:
    """The owner of an entry whose types are right; `prefix` is its option path with a dot. Errors go to the reader."""
    name = reader.convert(owner_name, entry["name"], f"{prefix}name")
    changes: dict[str, Any] = {}
    for option, grammar in _GRAMMARS.items():
        if entry.get(option) is not None:
            changes[option] = reader.convert(grammar, entry[option], f"{prefix}{option}")
    for option, grammar in _LISTS.items():
        if entry.get(option) is not None:
            changes[option] = tuple(sorted(reader.convert_list(grammar, entry[option], f"{prefix}{option}") or ()))
    return DeclaredOwner(prefix, name, entry.get("state") or "present", changes) if name else None
