# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody may see and change in whose name a run acts (``acting_as``). No IO.

A run sees the part of a host that its user may see, and merges into that part alone: what belongs to others is not there for it,
as if it were on another host. What it may not name is refused with one message, which does not tell whether there is such a thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Certificate
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    NO_HOST,
    Declaration,
    DeclaredDomain,
    DeclaredMailbox,
    Domain,
    Host,
    Mailbox,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import is_delegated
from ansible_collections.fleetpost.mail.plugins.module_utils._settle import settle

ADMINISTRATOR = "root"
NOT_AVAILABLE = "not available to you"


class Refusal(MailError):
    """Something that the user in whose name a run acts may not see or change. domain: what it was about, for the log."""

    def __init__(self, where: str, domain: str = "") -> None:
        super().__init__(NOT_AVAILABLE, where)
        self.domain = domain


class Rights(NamedTuple):
    """The rights of one user. owners: whose domains these are, None for everybody's."""

    name: str = ADMINISTRATOR
    owners: frozenset[str] | None = None

    def see(self, domain: Domain | None) -> bool:
        return self.owners is None or (domain is not None and domain.owner in self.owners)


def is_administrator(name: str | None) -> bool:
    """Whether a run in this name, or in nobody's, may do everything."""
    return name in (None, "", ADMINISTRATOR)


def rights_of(name: str, host: Host) -> Rights:
    """The rights of a user: its own domains, and those of the users that it is the reseller of."""
    if is_administrator(name):
        return Rights()
    return Rights(name, frozenset([name, *(owner.name for owner in host.owners.values() if owner.reseller == name)]))


class Parts(NamedTuple):
    """A host, taken apart: what a user sees, and the rest."""

    seen: Host
    rest: Host


def parts_of(host: Host, rights: Rights) -> Parts:
    """A certificate that a domain of the rest is shown with, or none at all, belongs to the rest."""
    if rights.owners is None:
        return Parts(host, NO_HOST)
    domains = {name: domain for name, domain in host.domains.items() if rights.see(domain)}
    rest = {name: domain for name, domain in host.domains.items() if name not in domains}
    named = {domain.certificate for domain in domains.values()} - {domain.certificate for domain in rest.values()}
    return Parts(
        Host(
            domains,
            {name: one for name, one in host.addresses.items() if domain_of(name) in domains},
            {name: one for name, one in host.hashes.items() if domain_of(name) in domains},
            certificates={name: one for name, one in host.certificates.items() if name in named},
            owners={name: owner for name, owner in host.owners.items() if name in rights.owners},
        ),
        Host(
            rest,
            {name: one for name, one in host.addresses.items() if domain_of(name) not in domains},
            {name: one for name, one in host.hashes.items() if domain_of(name) not in domains},
            certificates={name: one for name, one in host.certificates.items() if name not in named},
            owners={name: owner for name, owner in host.owners.items() if name not in rights.owners},
        ),
    )


def whole_of(desired: Host, rest: Host) -> Host:
    """The whole host again. Removals under way in the rest are finished, as by any run."""
    if rest is NO_HOST:
        return desired
    settled = settle(rest)
    return Host(
        {**settled.domains, **desired.domains},
        {**settled.addresses, **desired.addresses},
        {**settled.hashes, **desired.hashes},
        desired.keys,
        {**settled.certificates, **desired.certificates},
        {**settled.owners, **desired.owners},
    )


def restricted(declaration: Declaration, host: Host, rights: Rights) -> Declaration:
    """The declaration in which new domains belong to the user unless it says whose.

    Raises MailErrors with a refusal for everything that the user may not name: then nothing else of the host is looked at.
    """
    if rights.owners is None:
        return declaration
    domains = tuple(
        one._replace(owner=rights.name) if one.owner is None and one.name not in host.domains else one for one in declaration.domains
    )
    declaration = declaration._replace(domains=domains)
    refusals = list(_refusals(declaration, host, rights))
    if refusals:
        raise MailErrors([*declaration.errors, *refusals])
    return declaration


def refused_names(there: Host, certificates: Mapping[str, Certificate], rest: Host, places: Mapping[str, str]) -> Iterator[Refusal]:
    """A refusal for each new or changed certificate with a name that a certificate of the rest is shown for.

    places: the option path of each declared domain, with a dot.
    """
    taken = {name for one in rest.certificates.values() for name in one.all_names}
    changed = [one for name, one in certificates.items() if there.certificates.get(name) is not one] if taken else []
    for one in changed:
        if not taken.isdisjoint(one.all_names):
            domain = next((name for name in places if any(_is_within(shown, name) for shown in one.all_names)), "")
            yield Refusal(f"{places.get(domain, '')}ssl", domain)


def _refusals(declaration: Declaration, host: Host, rights: Rights) -> Iterator[Refusal]:
    owned = {one.name: one.owner or "" for one in declaration.domains if one.name not in host.domains}
    for domain in declaration.domains:
        named_by = f"{domain.where}{'domain' if declaration.existing_only else 'name'}"
        yield from _refused_domain(domain, named_by, host, rights)
    for mailbox in declaration.mailboxes:
        yield from _refused_mailbox(mailbox, host, rights, owned)
    for name in declaration.absent_domains:
        there = host.domains.get(name)
        # What is gone already may be removed again by who could have made it.
        if there.suspended or not rights.see(there) if there else not _may_create(name, rights.name, host, rights):
            yield Refusal("name", name)
    for address in declaration.absent_addresses:
        if not rights.see(host.domains.get(domain_of(address))):
            yield Refusal("address", domain_of(address))
    for owner in declaration.owners:
        yield Refusal(f"{owner.where}name")


def _refused_domain(declared: DeclaredDomain, named_by: str, host: Host, rights: Rights) -> Iterator[Refusal]:
    there = host.domains.get(declared.name)
    owners = rights.owners or frozenset()
    if there is not None and not rights.see(there):
        yield Refusal(named_by, declared.name)
    elif declared.owner is not None and declared.owner not in owners:
        yield Refusal(f"{declared.where}owner", declared.name)
    elif there is None and not _may_create(declared.name, declared.owner or rights.name, host, rights):
        yield Refusal(named_by, declared.name)
    if declared.ssl:
        names = [("alias", declared.ssl.alias), *(("alternative_names", name) for name in declared.ssl.changes.get("names", ()))]
        for option, name in names:
            if name and not _is_within(name, declared.name):
                yield Refusal(f"{declared.ssl.where}{option}", declared.name)


def _may_create(name: str, owner: str, host: Host, rights: Rights) -> bool:
    """Whether a new domain is among those left to its owner or to the user, and not below somebody else's."""
    patterns = [pattern for one in (owner, rights.name) if one in host.owners for pattern in host.owners[one].delegated_domains]
    above = [host.domains[parent] for parent in _parents(name) if parent in host.domains]
    return is_delegated(name, patterns) and all(domain.owner == owner for domain in above)


def _parents(name: str) -> Iterator[str]:
    rest = name.partition(".")[2]
    while rest:
        yield rest
        rest = rest.partition(".")[2]


def _is_within(name: str, domain: str) -> bool:
    return name == domain or name.endswith(f".{domain}")


def _refused_mailbox(declared: DeclaredMailbox, host: Host, rights: Rights, new: Mapping[str, str]) -> Iterator[Refusal]:
    domain = domain_of(declared.address)
    if domain not in new and not rights.see(host.domains.get(domain)):
        yield Refusal(f"{declared.where}{'name' if declared.where else 'address'}", domain)
        return
    there = host.addresses.get(declared.address)
    had = there.senders if isinstance(there, Mailbox) else ()
    for index, sender in enumerate(declared.senders or ()):
        if sender not in had and domain_of(sender) not in new and not rights.see(host.domains.get(domain_of(sender))):
            yield Refusal(f"{declared.where}senders[{index}]", domain)
