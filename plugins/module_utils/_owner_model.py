# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the owner of mail domains may have, as plain values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from types import MappingProxyType
from typing import Any, NamedTuple

OWNER_STATES = ("present", "absent")
LARGEST_COUNT = 1_000_000_000


class Owner(NamedTuple):
    """The limits of an owner, a system user; None and empty are no limit.

    reseller: who stands above the owner, empty for nobody but the administrator. max_mailbox_quota, total_quota: ``5G``.
    outgoing_limit: messages an hour of all domains together, 0 for no limit. ssl_allowed: whether its domains may have certificates
    of their own. allowed_ips: addresses and networks that its domains may send from. delegated_domains: what the owner itself may
    create, ``example.com`` or ``*.example.com`` for all names below.
    """

    name: str
    reseller: str = ""
    max_domains: int | None = None
    max_mailboxes: int | None = None
    max_mailbox_quota: str = ""
    total_quota: str = ""
    outgoing_limit: int = 0
    ssl_allowed: bool = True
    allowed_ips: tuple[str, ...] = ()
    delegated_domains: tuple[str, ...] = ()


class DeclaredOwner(NamedTuple):
    """An owner as the user wrote it. changes: the fields of `Owner` that were said. `where` is its option path."""

    where: str
    name: str
    state: str = "present"
    changes: Mapping[str, Any] = MappingProxyType({})


def bytes_of(quota: str) -> int:
    """The bytes of a quota such as ``500M``; 0 for an empty one, which is no limit."""
    return int(quota[:-1]) << 10 * ("KMGT".index(quota[-1]) + 1) if quota else 0


def allows_ip(owner: Owner, address: str) -> bool:
    """Whether the owner's domains may send from an address."""
    found = ip_address(address)
    return not owner.allowed_ips or any(found in ip_network(allowed) for allowed in owner.allowed_ips)


def is_delegated(domain: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns stands for a domain; ``*.example.com`` stands for all names below, not for itself."""
    return any(domain == pattern or (pattern.startswith("*.") and domain.endswith(pattern[1:])) for pattern in patterns)
