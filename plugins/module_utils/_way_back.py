# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""There and a former host -> desired: the host as its tables were before one of the last runs. No IO.

What is no table does not come back by itself: mail, DKIM keys and certificates are as they are, and what is lost of them is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import TypeVar

from ansible_collections.fleetpost.mail.plugins.module_utils._certifying import Certifier
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import record_name
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._filtering import check_domain_filters, check_mailbox_filters
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import Desired
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DEFAULT_KEY_LENGTH,
    Alias,
    Declaration,
    DeclaredDomain,
    DeclaredMailbox,
    Domain,
    Facts,
    Forward,
    Host,
    MadeKey,
    Mailbox,
    PublicKey,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import is_moment
from ansible_collections.fleetpost.mail.plugins.module_utils._prune import check_limit
from ansible_collections.fleetpost.mail.plugins.module_utils._settle import settle
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import WantedKey, files_of
from ansible_collections.fleetpost.mail.plugins.module_utils._validate import Found, check_declared_domain, check_targets

T = TypeVar("T")

_ED25519_LENGTH = 256


def key_files_of_change(there: Host, former: Host) -> Iterator[str]:
    """The DKIM key files of the domains that sign otherwise in the former host."""
    for name, domain in former.domains.items():
        current = there.domains.get(name)
        if current is None or current.dkim != domain.dkim:
            yield from files_of(domain.dkim)
            yield from files_of(current.dkim if current else None)


def certificates_of_change(there: Host, former: Host) -> list[str]:
    """The certificates that are others in the former host."""
    return [name for name, one in former.certificates.items() if there.certificates.get(name) != one]


def restored(
    layout: Layout,
    there: Host,
    former: Host,
    declaration: Declaration,
    facts: Facts,
    made: tuple[Mapping[str, MadeKey], Mapping[str, bytes]],
    kept: Collection[str],
) -> Desired:
    """The desired host. made: new DKIM keys by file, and new self-signed certificates by name. kept: what mail was set aside.

    What was on its way out in the former host is gone. Raises MailErrors with everything that is wrong with the end state.
    """
    restorer = _Restorer(layout, there, settle(former), facts, made[0])
    restorer.check_limits(declaration)
    for domain in restorer.domains.values():
        if domain is not there.domains.get(domain.name):
            restorer.check_domain(domain)
            restorer.take_keys(domain)
    restorer.check_addresses()
    restorer.tell_of_mail(kept)
    certifier = Certifier(there, facts, made[1])
    certifier.certificates.update((name, _same(there.certificates.get(name), one)) for name, one in former.certificates.items())
    certified = certifier.result(restorer.domains, declaration.acme_max_orders)
    owners = {name: _same(there.owners.get(name), owner) for name, owner in former.owners.items()}
    host = Host(restorer.domains, restorer.addresses, restorer.hashes, restorer.keys, certified.certificates, owners)
    restorer.take(Found(tuple(certifier.errors), tuple(certifier.warnings)))
    restorer.take(check_targets(there, host, {}))
    if restorer.errors:
        raise MailErrors(restorer.errors)
    return Desired(host, tuple(dict.fromkeys(restorer.warnings)), restorer.to_make, (), certified.waiting, certified)


def _same(there: T | None, wanted: T) -> T:
    """What is there, where it is as wanted: what is the same object is unchanged."""
    return there if there is not None and there == wanted else wanted


class _Restorer:
    """Collects the former host, and what keeps it from coming back."""

    def __init__(self, layout: Layout, there: Host, former: Host, facts: Facts, made: Mapping[str, MadeKey]) -> None:
        self.layout = layout
        self.there = there
        self.facts = facts
        self.made = made
        self.domains = {name: _same(there.domains.get(name), domain) for name, domain in former.domains.items()}
        self.addresses = {name: _same(there.addresses.get(name), address) for name, address in former.addresses.items()}
        self.hashes = {**there.hashes, **former.hashes}
        self.keys: dict[str, PublicKey] = {}
        self.to_make: dict[str, WantedKey] = {}
        self.errors: list[MailError] = []
        self.warnings: list[str] = []

    def take(self, found: Found) -> None:
        self.errors.extend(found.errors)
        self.warnings.extend(found.warnings)

    def check_limits(self, declaration: Declaration) -> None:
        """The brake of `prune` holds for what came after the generation and goes with it."""
        present = settle(self.there)
        domains = set(present.domains.keys() - self.domains.keys())
        addresses = {
            name
            for name, address in present.addresses.items()
            if not isinstance(address, Alias)
            and (name not in self.addresses or (isinstance(address, Mailbox) and not isinstance(self.addresses[name], Mailbox)))
        }
        self.errors.extend(check_limit(present, declaration, domains, addresses))

    def check_domain(self, domain: Domain) -> None:
        """What must hold of a domain that changes: owner and sending addresses that there are, and programs for its filters."""
        current = self.there.domains.get(domain.name)
        declared = DeclaredDomain(
            f"{domain.name} ",
            domain.name,
            ip_addresses=None if current and current.ip_addresses == domain.ip_addresses else domain.ip_addresses,
            filters={} if current and current.filters == domain.filters else domain.filters._asdict(),
            lists={} if current and current.lists == domain.lists else domain.lists._asdict(),
        )
        self.take(check_declared_domain(current, domain, declared, self.facts))
        self.take(check_domain_filters(declared, self.facts))

    def take_keys(self, domain: Domain) -> None:
        """The keys that a domain signs with, or is about to. What is lost is made anew under its selector."""
        current = self.there.domains.get(domain.name)
        dkim = domain.dkim
        if dkim is None or (current and current.dkim == dkim):
            return
        for keys in (dkim.keys, dkim.other if dkim.stage == "published" else ()):
            for index, key in enumerate(keys):
                found = self.facts.keys.get(key.file)
                if found and found.key:
                    self.keys[key.file] = found.key
                    continue
                asked = PublicKey("ed25519", _ED25519_LENGTH) if index else PublicKey("rsa", DEFAULT_KEY_LENGTH)
                if key.file in self.made:
                    asked = self.made[key.file].key
                else:
                    self.to_make[key.file] = WantedKey(asked)
                self.keys[key.file] = asked
                self.warnings.append(
                    f"{domain.name}: the key of selector {key.selector} is lost and made anew ({asked.key_type}, {asked.key_length} bits). "
                    f"Publish the new TXT of {record_name(key.selector, domain.name)}: its mail fails DKIM until then"
                )

    def check_addresses(self) -> None:
        for name, address in self.addresses.items():
            current = self.there.addresses.get(name)
            if address is current:
                continue
            if isinstance(address, Mailbox):
                filters = None if isinstance(current, Mailbox) and current.filters == address.filters else address.filters
                self.take(check_mailbox_filters(DeclaredMailbox(f"{name} ", name, filters=filters), self.facts))
            elif isinstance(address, Forward) and isinstance(current, Mailbox) and current.removal is None:
                remedy = "Remove the mailbox with state: absent, which says what becomes of its mail, and go back then"
                self.errors.append(MailError("was a forward without a mailbox then, and has a mailbox now", name, remedy))

    def tell_of_mail(self, kept: Collection[str]) -> None:
        """What comes back begins empty, be its old mail kept or not."""
        new = [name for name in self.domains if name not in self.there.domains]
        new += [
            name
            for name, address in self.addresses.items()
            if isinstance(address, Mailbox) and domain_of(name) in self.there.domains and name not in self.there.addresses
        ]
        for name in new:
            places = [entry for entry in kept if entry.startswith(f"{name}.") and is_moment(entry[len(name) + 1 :])]
            if places:
                how = "doveadm import" if "@" in name else "restore_from of mail_domain, or doveadm import,"
                place = f"{self.layout.removed_dir}/{max(places)}"
                self.warnings.append(f"{name} comes back without its old mail, which is kept in {place}: {how} brings it back")
