# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""There and declared -> desired: the whole host as it should be after the run.

The one rule (docs/declaring.md): what is omitted stays as it is, or takes its default when it is new; what is given is
exactly so; nothing goes because it was not mentioned, unless `prune` says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._certifying import Certified, Certifier
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import AS_THE_DOMAIN
from ansible_collections.fleetpost.mail.plugins.module_utils._filtering import check_domain_filters, check_end_state, check_mailbox_filters
from ansible_collections.fleetpost.mail.plugins.module_utils._limits import check_limits, check_owners, merged_owners
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    FORWARD_ACTIONS,
    NO_HOST,
    OWNING_EXIM_FORMAT,
    SIGNING_EXIM_FORMAT,
    Address,
    Alias,
    Declaration,
    DeclaredDkim,
    DeclaredDomain,
    DeclaredMailbox,
    Dkim,
    Domain,
    Facts,
    Forward,
    Host,
    MadeKey,
    Mailbox,
    PublicKey,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._prune import check_limit
from ansible_collections.fleetpost.mail.plugins.module_utils._rights import refused_names
from ansible_collections.fleetpost.mail.plugins.module_utils._settle import revived_address, revived_domain, settle
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import Waiting, WantedKey, files_of, lost_keys, merged_signing
from ansible_collections.fleetpost.mail.plugins.module_utils._validate import Found, check_declared_domain, check_exim, check_targets

_LONG_KEY = 4096


class Desired(NamedTuple):
    """The host as it should be, and what a user should be told of it.

    to_make: the DKIM keys, by file, that must be made first. looks: the domains whose rotation the DNS decides, which has not
    been asked. waiting: what cannot go on yet. certified: the certificates, and what must be made or ordered for them.
    """

    host: Host
    warnings: tuple[str, ...]
    to_make: Mapping[str, WantedKey]
    looks: tuple[str, ...]
    waiting: tuple[Waiting, ...]
    certified: Certified


class WantedPassword(NamedTuple):
    """A plain password that needs a hash, unless it fits the `current` one."""

    address: str
    password: str
    current: str | None


def wanted_passwords(host: Host, declaration: Declaration) -> list[WantedPassword]:
    """The plain passwords of a declaration that matter: of new mailboxes, and with ``update_password: always`` of all."""
    return [
        WantedPassword(declared.address, declared.password, _hash_there(host, declared.address))
        for declared in declaration.mailboxes
        if declared.password is not None and (declared.update_password == "always" or _hash_there(host, declared.address) is None)
    ]


def _hash_there(host: Host, address: str) -> str | None:
    """The hash of a mailbox; a login without one is what an interrupted run left, and is written anew."""
    return host.hashes.get(address) if isinstance(host.addresses.get(address), Mailbox) else None


def merge(
    host: Host,
    declaration: Declaration,
    facts: Facts,
    new_hashes: Mapping[str, str],
    made: Mapping[str, MadeKey] = MappingProxyType({}),
    made_certificates: Mapping[str, bytes] = MappingProxyType({}),
    rest: Host = NO_HOST,
) -> Desired:
    """The desired host. new_hashes: address -> hash of each plain password that got a new one. made: new DKIM keys, by file.

    made_certificates: new self-signed certificates, by name. rest: what stands beside `host` and belongs to others, so that its
    names are taken.

    Raises MailErrors with everything that is wrong with the end state; warnings are for what was wrong before and is
    not of this run, and for what cannot be known yet.
    """
    merger = _Merger(host, declaration, facts, new_hashes, made, Certifier(host, facts, made_certificates), rest)
    for domain in declaration.domains:
        merger.take_domain(domain)
    for mailbox in declaration.mailboxes:
        merger.take_mailbox(mailbox)
    merger.remove()
    return merger.result()


class _Merger:
    """Builds the desired host from a copy of the present one, entry by entry."""

    def __init__(
        self,
        host: Host,
        declaration: Declaration,
        facts: Facts,
        new_hashes: Mapping[str, str],
        made: Mapping[str, MadeKey],
        certifier: Certifier,
        rest: Host,
    ) -> None:
        self.there = host
        self.rest = rest
        self.declaration = declaration
        self.facts = facts
        self.new_hashes = new_hashes
        self.made = made
        self.certifier = certifier
        self.keys: dict[str, PublicKey] = {}
        self.to_make: dict[str, WantedKey] = {}
        self.looks: list[str] = []
        self.waiting: list[Waiting] = []
        self._key_files: dict[str, str] | None = None
        settled = settle(host)
        self.domains: dict[str, Domain] = dict(settled.domains)
        self.addresses: dict[str, Address] = dict(settled.addresses)
        self.hashes = dict(host.hashes)
        self.errors: list[MailError] = list(declaration.errors)
        self.warnings: list[str] = []
        self.where: dict[str, str] = {}
        self._aliases: defaultdict[str, set[str]] = defaultdict(set)
        for name, address in self.addresses.items():
            if isinstance(address, Alias):
                self._aliases[address.to].add(name)
        self._declared = {mailbox.address for mailbox in declaration.mailboxes}
        self._listing = {domain.name for domain in declaration.domains if domain.lists_mailboxes}

    def fail(self, message: str, where: str, remedy: str = "") -> None:
        self.errors.append(MailError(message, where, remedy))

    def _take(self, found: Found) -> None:
        self.errors.extend(found.errors)
        self.warnings.extend(found.warnings)

    def take_domain(self, declared: DeclaredDomain) -> None:
        current = self.there.domains.get(declared.name)
        if self.declaration.existing_only and (current is None or current.removal):
            self._miss(declared)
            return
        if current and current.removal:
            self._revive_addresses(declared.name)
        base = revived_domain(current) if current else Domain(declared.name)
        merged = self._merged_domain(base, declared)
        self.domains[declared.name] = base if merged == base and current is not None else merged
        self.where[declared.name] = declared.where
        self._take(check_declared_domain(current, merged, declared, self.facts))
        self._take(check_domain_filters(declared, self.facts))

    def _miss(self, declared: DeclaredDomain) -> None:
        """A domain that a run speaks of and does not make; in check mode an earlier task may be about to make it."""
        message = f"{declared.name} is not a mail domain of this host"
        if declared.ssl and declared.name == self.facts.certifying.host:
            self.certifier.take_host(declared.ssl)
        elif self.facts.strict:
            self.fail(message, "domain", "Declare it first")
        else:
            self.warnings.append(f"domain: {message} yet")

    def _revive_addresses(self, domain: str) -> None:
        """A domain that comes back before its removal is over comes back with its addresses."""
        for name, address in self.there.addresses.items():
            if domain_of(name) == domain and not address.removal:
                self.addresses[name] = address
                if isinstance(address, Alias):
                    self._aliases[address.to].add(name)

    def _merged_domain(self, base: Domain, declared: DeclaredDomain) -> Domain:
        action = declared.default_action or base.default_action
        forward_to = base.forward_to if action == base.default_action else ""
        if declared.forward_to is not None:
            forward_to = declared.forward_to
        where = f"{declared.where}forward_to"
        if action in FORWARD_ACTIONS and not forward_to:
            what = "an address" if action == "forward_to_address" else "a mail domain of this host"
            self.fail(f"{declared.name} with default_action: {action} needs forward_to, {what}", where)
        elif action not in FORWARD_ACTIONS and forward_to:
            self.fail(f"forward_to has no meaning with default_action: {action}", where, "Remove it or change default_action")
        elif forward_to and ("@" in forward_to) != (action == "forward_to_address"):
            kind = "an address" if action == "forward_to_address" else "a domain"
            self.fail(f"{forward_to} is not {kind}, which default_action: {action} needs", where)
        return Domain(
            base.name,
            base.owner if declared.owner is None else declared.owner,
            base.enabled if declared.enabled is None else declared.enabled,
            declared.disabled_action or base.disabled_action,
            action,
            forward_to,
            base.ip_addresses if declared.ip_addresses is None else declared.ip_addresses,
            base.dkim if declared.dkim is None else self._merged_dkim(base, declared.dkim),
            base.dmarc if declared.dmarc is None else declared.dmarc,
            certificate=base.certificate if declared.ssl is None else self.certifier.take(base, declared.ssl),
            filters=base.filters._replace(**declared.filters) if declared.filters else base.filters,
            lists=base.lists._replace(**declared.lists) if declared.lists else base.lists,
            mailbox_filters=base.mailbox_filters if declared.mailbox_filters is None else declared.mailbox_filters,
            **self._suspension(base, declared),
        )

    def _suspension(self, base: Domain, declared: DeclaredDomain) -> dict[str, Any]:
        suspended = base.suspended if declared.suspended is None else declared.suspended
        reason = base.suspended_reason if declared.suspended_reason is None else declared.suspended_reason
        if declared.suspended_reason and not suspended:
            self.fail(f"{declared.name} is not suspended", f"{declared.where}suspended_reason", "Set suspended: true")
        if suspended and not base.suspended:
            older = "does not know of suspended domains"
            self._take(check_exim(self.facts, OWNING_EXIM_FORMAT, older, f"{declared.where}suspended"))
        return {"suspended": suspended, "suspended_reason": reason if suspended else ""}

    def _merged_dkim(self, base: Domain, declared: DeclaredDkim) -> Dkim | None:
        # An Exim that does not know of DKIM would send unsigned what the table says is signed.
        if declared.state == "present":
            self._take(check_exim(self.facts, SIGNING_EXIM_FORMAT, "was written before DKIM and does not sign", declared.where))
        if self._key_files is None:
            self._key_files = {file: "another domain" for domain in self.rest.domains.values() for file in files_of(domain.dkim)}
            self._key_files.update((file, domain.name) for domain in self.there.domains.values() for file in files_of(domain.dkim))
        signing = merged_signing(base, declared, self.facts, self.made, self._key_files)
        self.errors.extend(signing.errors)
        self.keys.update(signing.keys)
        self.to_make.update(signing.to_make)
        if signing.looks:
            self.looks.append(base.name)
        if signing.waiting:
            self.waiting.append(signing.waiting)
        if any(key.key_length >= _LONG_KEY for key in signing.keys.values()):
            where = f"{declared.where}key_length"
            self.warnings.append(
                f"{where}: the TXT of a key of {_LONG_KEY} bits does not fit one UDP packet everywhere, and some receivers cannot verify it"
            )
        return signing.dkim

    def take_mailbox(self, declared: DeclaredMailbox) -> None:
        address = declared.address
        if domain_of(address) not in self.domains:
            where = f"{declared.where}address" if not declared.where else f"{declared.where}name"
            self.fail(f"{domain_of(address)} is not a mail domain of this host", where, "Declare the domain first")
            return
        current = self.there.addresses.get(address)
        password_hash = self._password_hash(declared, current)
        merged = self._merged_address(declared, current, password_hash)
        self._take(check_mailbox_filters(declared, self.facts))
        self.where[address] = declared.where
        if merged is None:
            return
        if isinstance(merged, Mailbox) and password_hash:
            self.hashes[address] = password_hash
        self.addresses[address] = current if current is not None and merged == current else merged
        if declared.aliases is not None:
            self._take_aliases(declared, declared.aliases)

    def _password_hash(self, declared: DeclaredMailbox, current: Address | None) -> str | None:
        there = self.there.hashes.get(declared.address) if isinstance(current, Mailbox) else None
        if there is not None and declared.update_password == "on_create":
            return there
        return declared.password_hash or self.new_hashes.get(declared.address) or there

    def _merged_address(self, declared: DeclaredMailbox, current: Address | None, password_hash: str | None) -> Address | None:
        if isinstance(current, Mailbox) or password_hash:
            return _merged_mailbox(declared, current)
        forward_to = declared.forward_to
        if forward_to is None and isinstance(current, Forward):
            forward_to = current.to
        only_forwards = isinstance(current, Forward) if declared.keep_copy is None else not declared.keep_copy
        if not forward_to or not only_forwards:
            self.fail(
                f"the new mailbox {declared.address} needs a password or a password_hash",
                f"{declared.where}password",
                "An address that only forwards takes forward_to with keep_copy: false",
            )
            return None
        differs = declared.filters is not None and declared.filters != AS_THE_DOMAIN
        for option, value in (("quota", declared.quota), ("senders", declared.senders), ("filters", differs)):
            if value:
                self.fail(f"{option} belongs to a mailbox, and {declared.address} only forwards", f"{declared.where}{option}")
        base_enabled = current.enabled if isinstance(current, Forward) and not current.removal else True
        return Forward(declared.address, forward_to, base_enabled if declared.enabled is None else declared.enabled)

    def _take_aliases(self, declared: DeclaredMailbox, aliases: tuple[str, ...]) -> None:
        for index, alias in enumerate(aliases):
            self.where[alias] = where = f"{declared.where}aliases[{index}]"
            current = self.addresses.get(alias)
            if isinstance(current, Mailbox) and not self._may_convert(current):
                self.fail(
                    f"{alias} is a mailbox",
                    where,
                    "Say what happens to its mail with removed_mail, and it becomes an alias in one step",
                )
            merged = Alias(alias, declared.address)
            self.addresses[alias] = current if current == merged else merged
        if self.declaration.exact_aliases or self.declaration.prune or not aliases:
            domain = domain_of(declared.address)
            for alias in self._aliases[declared.address].difference(aliases):
                # An alias in another domain cannot be listed here: somebody wrote it by hand.
                if (
                    domain_of(alias) == domain
                    and self.where.get(alias) is None
                    and self.addresses.get(alias) == Alias(alias, declared.address)
                ):
                    del self.addresses[alias]

    def _may_convert(self, mailbox: Mailbox) -> bool:
        pruned = self.declaration.prune and domain_of(mailbox.address) in self._listing
        return self.declaration.removed_mail is not None or pruned

    def remove(self) -> None:
        """Takes out what is declared absent and what `prune` removes."""
        gone_domains = set(self.declaration.absent_domains)
        gone = set(self.declaration.absent_addresses)
        if self.declaration.prune and not self.declaration.errors:
            pruned_domains, pruned = self._pruned()
            self.errors.extend(check_limit(self.there, self.declaration, pruned_domains, pruned))
            gone_domains |= pruned_domains
            gone |= pruned
        for name in gone_domains:
            self.domains.pop(name, None)
        for name in gone:
            self.addresses.pop(name, None)
        if gone_domains:
            there = self.there.domains
            for name in [name for name in self.addresses if domain_of(name) in gone_domains and domain_of(name) in there]:
                del self.addresses[name]
        for target in gone:
            for alias in self._aliases.get(target, ()):
                if self.addresses.get(alias) == Alias(alias, target):
                    del self.addresses[alias]

    def _pruned(self) -> tuple[set[str], set[str]]:
        listed = {domain.name for domain in self.declaration.domains}
        domains = {name for name in self.domains if name not in listed}
        addresses = {
            name
            for name, address in self.addresses.items()
            if domain_of(name) in self._listing and name not in self._declared and not isinstance(address, Alias)
        }
        return domains, addresses

    def result(self) -> Desired:
        certified = self.certifier.result(self.domains, self.declaration.acme_max_orders)
        owners = merged_owners(self.there.owners, self.declaration.owners)
        host = Host(self.domains, self.addresses, self.hashes, self.keys, certified.certificates, owners)
        self._take(Found(tuple(self.certifier.errors), tuple(self.certifier.warnings)))
        self.errors.extend(refused_names(self.there, certified.certificates, self.rest, self.where))
        self._take(check_owners(self.there, host, self.declaration.owners, self.facts))
        self.errors.extend(check_limits(self.there, host, self.where))
        self._take(check_targets(self.there, host, self.where))
        self.errors.extend(check_end_state(host, self.declaration))
        if self.errors:
            raise MailErrors(self.errors)
        self.warnings.extend(lost_keys(self.there, self.facts))
        warnings, waiting = tuple(dict.fromkeys(self.warnings)), (*self.waiting, *certified.waiting)
        return Desired(host, warnings, self.to_make, tuple(self.looks), waiting, certified)


def _merged_mailbox(declared: DeclaredMailbox, current: Address | None) -> Mailbox:
    revived = revived_address(current) if current else None
    base = revived if isinstance(revived, Mailbox) else Mailbox(declared.address)
    forward_to = base.forward_to if declared.forward_to is None else declared.forward_to
    keep_copy = base.keep_copy if declared.keep_copy is None else declared.keep_copy
    return Mailbox(
        declared.address,
        base.enabled if declared.enabled is None else declared.enabled,
        base.quota if declared.quota is None else declared.quota,
        forward_to,
        keep_copy or not forward_to,
        base.senders if declared.senders is None else declared.senders,
        filters=base.filters if declared.filters is None else declared.filters,
    )
