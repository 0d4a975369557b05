# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exim's tables of lists <-> the model: ``domainips`` and the tables in ``lists/``, one line a domain (grammar: docs/tables.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import NO_LISTS, Lists
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Domain
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import MEND, Table

_SEPARATOR = " ; "
_SENDERS = "# ITEM: an address, *@DOMAIN for all of a domain, *@*.DOMAIN for all domains below one"
_HOSTS = "# ITEM: an IPv4 or IPv6 address, or a network such as 192.0.2.0/24"


def _header(name: str, *lines: str) -> str:
    return "\n".join((f"# fleetpost.mail table {name} format 1", *lines, "", ""))


LIST_HEADERS: Mapping[str, str] = {
    "domainips": _header("domainips", "# The addresses that a domain's mail is sent from: DOMAIN: IPV4 ; IPV6"),
    "allow_senders": _header("allow_senders", "# Senders that a domain's filters let through: DOMAIN: ITEM ; ITEM", _SENDERS),
    "block_senders": _header("block_senders", "# Senders that a domain refuses: DOMAIN: ITEM ; ITEM", _SENDERS),
    "allow_hosts": _header("allow_hosts", "# Hosts whose mail a domain's filters let through: DOMAIN: ITEM ; ITEM", _HOSTS),
    "block_hosts": _header("block_hosts", "# Hosts that a domain refuses: DOMAIN: ITEM ; ITEM", _HOSTS),
}

GRAMMARS: Mapping[str, Callable[[str], str]] = {
    "allow_senders": _names.listed_sender,
    "block_senders": _names.listed_sender,
    "allow_hosts": _names.listed_host,
    "block_hosts": _names.listed_host,
}


class FoundLists(NamedTuple):
    """What the tables of lists say, by domain; only domains that have a line."""

    ip_addresses: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    lists: Mapping[str, Lists] = MappingProxyType({})


NO_FOUND_LISTS = FoundLists()


def read_lists(tables: Mapping[str, Table], paths: Mapping[str, str]) -> FoundLists:
    """What all tables of lists say. A line whose key is no domain name is not ours: it is kept and not read.

    Raises MailError with file and line number for an item that is not in its stored form: Exim could take it for something else.
    """
    lists: dict[str, Lists] = {}
    for name, grammar in GRAMMARS.items():
        table = tables[name]
        for domain, value in table.values.items():
            if not _names.is_stored_form(_names.domain_name, domain):
                continue
            items = [item.strip() for item in value.split(";")]
            wrong = [item for item in items if not _names.is_stored_form(grammar, item)]
            if wrong:
                error = MailError(f"{_names.printable(wrong[0])} is no item of {name}", remedy=MEND)
                raise table.misread(domain, paths[name], error)
            lists[domain] = lists.get(domain, NO_LISTS)._replace(**{name: tuple(sorted(set(items)))})
    addresses = {domain: _addresses_of(value) for domain, value in tables["domainips"].values.items()}
    return FoundLists(addresses, lists)


def _addresses_of(value: str) -> tuple[str, ...]:
    return tuple(part for part in value.replace(";", " ").split() if part)


def list_of(domain: Domain, name: str) -> tuple[str, ...]:
    """What the line of a domain in one of the tables lists; nothing for no line."""
    items: tuple[str, ...] = domain.ip_addresses if name == "domainips" else getattr(domain.lists, name)
    return items


def list_value(items: tuple[str, ...]) -> str | None:
    """The value of a line, None for no line."""
    return _SEPARATOR.join(items) if items else None
