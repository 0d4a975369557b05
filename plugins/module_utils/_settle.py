# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host once the removals under way are over, or taken back. No IO."""

from __future__ import annotations

from ansible_collections.fleetpost.mail.plugins.module_utils._certifying import kept_certificates
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Address, Alias, Domain, Host, domain_of


def settle(host: Host, restored: frozenset[str] = frozenset()) -> Host:
    """The host once the removals under way are over: without them, and with those of `restored` (names) as they were."""
    domains = {name: revived_domain(domain) for name, domain in host.domains.items() if not domain.removal or name in restored}
    removed_domains = host.domains.keys() - domains.keys()
    addresses = {
        name: _settled_address(address, name in restored)
        for name, address in host.addresses.items()
        if (not address.removal or name in restored) and domain_of(name) not in removed_domains
    }
    certificates = kept_certificates(host.domains, domains, host.certificates)
    return Host(domains, addresses, host.hashes, certificates=certificates, owners=host.owners)


def _settled_address(address: Address, restored: bool) -> Address:
    if isinstance(address, Alias) and address.old_mailbox and not restored:
        return Alias(address.address, address.to)
    return revived_address(address) if address.removal else address


def revived_domain(domain: Domain) -> Domain:
    """The domain as it was before its removal began."""
    return domain._replace(removal=None, enabled=domain.removal.was_enabled) if domain.removal else domain


def revived_address(address: Address) -> Address:
    """The address as it was before its removal began."""
    if address.removal is None:
        return address
    if isinstance(address, Alias):
        return address._replace(removal=None)
    return address._replace(removal=None, enabled=address.removal.was_enabled)
