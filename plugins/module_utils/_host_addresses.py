# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The addresses that are this host's own, without starting a process."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Iterator

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError


def host_addresses() -> frozenset[str]:
    """The IPv4 and IPv6 addresses that are this host's own, in canonical text form. Raises MailError."""
    try:
        with open("/proc/net/fib_trie", encoding="ascii") as file:
            addresses = set(_local_addresses(file))
    except OSError as error:
        raise MailError(f"cannot read the host's addresses: {error.strerror}", where="/proc/net/fib_trie") from error
    with contextlib.suppress(FileNotFoundError), open("/proc/net/if_inet6", encoding="ascii") as file:
        addresses.update(str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in file)
    return frozenset(addresses)


def _local_addresses(fib_trie: Iterable[str]) -> Iterator[str]:
    """The routes "/32 host LOCAL" of the kernel's table: an address, and below it what it is."""
    address = ""
    for line in fib_trie:
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            yield address
