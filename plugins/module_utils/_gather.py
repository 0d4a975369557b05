# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host -> the declaration that would make it (the input shape of mail_domains), and the state of each domain. No IO."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_health import ssl_entry
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import (
    AS_THE_DOMAIN,
    NO_FILTERS,
    NO_LISTS,
    Filters,
    MailboxFilters,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._filtering import SCANNERS, may_not_differ
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    KEY_LENGTHS,
    Address,
    Alias,
    Dkim,
    Domain,
    Facts,
    Forward,
    Host,
    Mailbox,
    PublicKey,
    domain_of,
    local_part_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import Owner
from ansible_collections.fleetpost.mail.plugins.module_utils._report import Action

Entry = dict[str, Any]


def declaration_of(host: Host, names: Collection[str], with_hashes: bool = False) -> list[Entry]:
    """The entries of `mail_domains` for the domains `names`; fed back they change nothing.

    What is on its way out has no place in a declaration. with_hashes: password hashes too, for an export.
    """
    aliases: defaultdict[str, list[str]] = defaultdict(list)
    mailboxes: defaultdict[str, list[Mailbox | Forward]] = defaultdict(list)
    for address in sorted(host.addresses.values(), key=lambda one: one.address):
        if address.removal:
            continue
        if isinstance(address, Alias):
            aliases[address.to].append(address.address)
        else:
            mailboxes[domain_of(address.address)].append(address)
    return [
        {
            **_domain_entry(host.domains[name], host),
            "mailboxes": [_mailbox_entry(one, aliases[one.address], host.hashes if with_hashes else {}) for one in mailboxes[name]],
        }
        for name in sorted(names)
        if not host.domains[name].removal
    ]


def _domain_entry(domain: Domain, host: Host) -> Entry:
    entry: Entry = {
        "name": domain.name,
        "owner": domain.owner,
        "enabled": domain.enabled,
        "disabled_action": domain.disabled_action,
        "default_action": domain.default_action,
        "ip_addresses": list(domain.ip_addresses),
    }
    if domain.forward_to:
        entry["forward_to"] = domain.forward_to
    if domain.dkim:
        entry["dkim"] = _dkim_entry(domain.dkim, host.keys)
    if domain.dmarc:
        entry["dmarc"] = {"template": domain.dmarc}
    if domain.certificate in host.certificates:
        entry["ssl"] = ssl_entry(host.certificates[domain.certificate])
    if domain.suspended:
        entry["suspended"] = True
        entry["suspended_reason"] = domain.suspended_reason
    if domain.filters is not NO_FILTERS:
        entry.update(_differing(domain.filters, NO_FILTERS))
    if not domain.mailbox_filters:
        entry["mailbox_filters"] = False
    if domain.lists is not NO_LISTS:
        entry.update((name, list(items)) for name, items in domain.lists._asdict().items() if items)
    return entry


def owner_entry(owner: Owner) -> Entry:
    """The entry of an owner in `owners` of mail_domains; fed back it changes nothing."""
    default = Owner(owner.name)
    said = {option: value for option, value, usual in zip(Owner._fields, owner, default) if value != usual or option == "name"}
    return {option: list(value) if isinstance(value, tuple) else value for option, value in said.items()}


def _differing(filters: Filters | MailboxFilters, usual: Filters | MailboxFilters) -> Entry:
    """The options of filters that are not as usual."""
    return {option: value for option, value, default in zip(usual._fields, filters, usual) if value != default}


def _dkim_entry(dkim: Dkim, keys: Mapping[str, PublicKey]) -> Entry:
    """The options of the keys that sign, or of those that are to sign next. A key that cannot be read says nothing of itself."""
    entry: Entry = {"selector": dkim.keys[0].selector}
    wanted = dkim.other if dkim.stage == "published" else dkim.keys
    if wanted is dkim.other:
        entry["rotate"] = {"to": wanted[0].selector}
    found = [keys[key.file] for key in wanted if key.file in keys]
    if len(found) == len(wanted):
        entry["key_type"] = "both" if len(found) == 2 else found[0].key_type
        entry["service_type"] = found[0].service_type
        if found[0].key_length in KEY_LENGTHS:
            entry["key_length"] = found[0].key_length
    return entry


def _mailbox_entry(address: Mailbox | Forward, aliases: Iterable[str], hashes: Mapping[str, str]) -> Entry:
    domain = domain_of(address.address)
    entry: Entry = {
        "name": local_part_of(address.address),
        "enabled": address.enabled,
        "aliases": [local_part_of(alias) for alias in aliases if domain_of(alias) == domain],
    }
    if isinstance(address, Forward):
        return {**entry, "forward_to": list(address.to), "keep_copy": False}
    entry["quota"] = address.quota or "none"
    entry["forward_to"] = list(address.forward_to)
    entry["senders"] = list(address.senders)
    if address.filters != AS_THE_DOMAIN:
        entry["filters"] = _differing(address.filters, AS_THE_DOMAIN)
    if address.forward_to:
        entry["keep_copy"] = address.keep_copy
    if address.address in hashes:
        entry["password_hash"] = hashes[address.address]
    return entry


def wanted_scanners(host: Host, names: Collection[str]) -> set[str]:
    """The options of filters that need a scanner and that one of the domains `names`, or a mailbox of them, wants."""
    wanted = {option for name in names for option in SCANNERS if getattr(host.domains[name].filters, option)}
    mailboxes = (one for one in host.addresses.values() if isinstance(one, Mailbox) and one.filters is not AS_THE_DOMAIN)
    own = {option for one in mailboxes for option in SCANNERS if getattr(one.filters, option) and domain_of(one.address) in names}
    return wanted | own


def problems_of(host: Host, facts: Facts, drift: Iterable[Action], warnings: Iterable[str]) -> dict[str, list[str]]:
    """domain -> what is wrong with it. drift: what a run without any declaration would mend; warnings: of that run."""
    problems: defaultdict[str, list[str]] = defaultdict(list)
    for action in drift:
        if action.domain:
            problems[action.domain].append(f"{action.action}: {action.detail}")
    for warning in warnings:
        name = warning.partition(" ")[0]
        problems[domain_of(name) or name].append(warning)
    for name, domain in host.domains.items():
        problems[name].extend(_domain_problems(domain, host, facts))
    for name, address in host.addresses.items():
        why = _address_problem(name, address, host)
        if why:
            problems[domain_of(name)].append(why)
    return problems


def _domain_problems(domain: Domain, host: Host, facts: Facts) -> Iterable[str]:
    if domain.removal:
        yield f"its removal began at {domain.removal.since} and is not finished; the next run finishes it"
    if facts.users.get(domain.owner) is None:
        yield f"its owner {domain.owner} is no system user"
    if domain.certificate and domain.certificate not in host.certificates:
        yield f"its certificate {domain.certificate} is not in the table certificates, so the host's own is shown"
    for option, scanner in SCANNERS.items():
        if getattr(domain.filters, option) and facts.scanners is not None and option not in facts.scanners:
            yield f"it asks for {scanner.program}, which is not installed on this host"
        elif getattr(domain.filters, option) and option in facts.silent:
            yield f"it asks for {scanner.program}, and {facts.silent[option]}"
    for address in domain.ip_addresses:
        if facts.ip_addresses is not None and address not in facts.ip_addresses:
            yield f"its sending address {address} is not on this host, so its mail cannot leave"


def _address_problem(name: str, address: Address, host: Host) -> str:
    if isinstance(address, Mailbox) and not address.removal and name not in host.hashes:
        return f"the mailbox {name} has no login: give it a password"
    if may_not_differ(address, host.domains):
        return f"{name} has filters of its own, and mailbox_filters is off"
    if domain_of(name) not in host.domains:
        return f"{name} stands in addresses, but its domain is not in domains"
    return ""


def sizes_of(host: Host) -> dict[str, Counter[str]]:
    """domain -> how many mailboxes, aliases and forwards it has."""
    sizes: defaultdict[str, Counter[str]] = defaultdict(Counter)
    kinds = {Mailbox: "mailboxes", Alias: "aliases", Forward: "forwards"}
    for name, address in host.addresses.items():
        sizes[domain_of(name)][kinds[type(address)]] += 1
    return sizes
