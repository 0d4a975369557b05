# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each table must say differently: key -> value before and after, and the text to write now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, Optional

from ansible_collections.fleetpost.mail.plugins.module_utils import _dovecot, _exim
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_table import (
    certificate_values,
    tombstone_value,
    without_tombstone,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_lists import list_of, list_value
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Account,
    Address,
    Alias,
    Domain,
    Facts,
    Host,
    Mailbox,
    Observed,
    Removal,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owners import owner_value
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import Table

Values = Mapping[str, Optional[str]]

# Stands for the ids of an owner who does not exist yet, in check mode.
_UNKNOWN_ACCOUNT = Account(-1, -1)


class Removing(NamedTuple):
    """How removals are carried out: what becomes of the mail, when it began, and which of them are over."""

    removed_mail: str
    archive_dir: str
    since: str
    finished: frozenset[str] = frozenset()

    def removal_of(self, there: Domain | Address) -> Removal:
        """The removal already under way (of the address, or of the mailbox that an alias took the place of), or a new one."""
        if there.removal:
            return there.removal
        if isinstance(there, Alias):
            return there.old_mailbox or Removal(self.removed_mail, self.since, True, self.archive_dir)
        return Removal(self.removed_mail, self.since, there.enabled, self.archive_dir)

    def is_over(self, name: str) -> bool:
        return name in self.finished or domain_of(name) in self.finished


class TableChange(NamedTuple):
    """The change of one table.

    after: key -> value once everything is done, None for a line that goes. interim: key -> value that stands until a
    removal is over. is_new: the file is made.
    """

    path: str
    table: Table
    after: Values
    interim: Values
    is_new: bool
    is_secret: bool = False

    @property
    def content(self) -> str | None:
        """The text to write now, None when the file stays as it is."""
        now = {**self.after, **self.interim}
        if not self.is_new and all(self.table.values.get(key) == value for key, value in now.items()):
            return None
        return self.table.with_values(now)


def table_changes(layout: Layout, observed: Observed, desired: Host, facts: Facts, removing: Removing) -> tuple[TableChange, ...]:
    """The changes of all tables, in the order in which they are written."""
    differ = _Differ(layout, observed, desired, facts, removing)
    tables = observed.tables
    return tuple(
        TableChange(path, table, after, interim, table.source is None and path.rpartition("/")[0] in tables.files, secret)
        for path, table, (after, interim), secret in (
            (layout.users, tables.users, differ.users(), True),
            (layout.disabled_domains, tables.disabled_domains, differ.disabled_domains(), False),
            *((path, tables.lists[name], differ.lists(name), False) for name, path in layout.domain_lists.items()),
            (layout.addresses, tables.addresses, differ.addresses(), False),
            (layout.certificates, tables.certificates, differ.certificates(), False),
            (layout.owners, tables.owners, (differ.owners(), {}), False),
            (layout.domains, tables.domains, differ.domains(), False),
        )
    )


class _Differ:
    """Compares the present host with the desired one, one table at a time. Unchanged values are the same objects."""

    def __init__(self, layout: Layout, observed: Observed, desired: Host, facts: Facts, removing: Removing) -> None:
        self.layout = layout
        self.tables = observed.tables
        self.former = observed.former
        self.present = observed.host
        self.desired = desired
        self.facts = facts
        self.removing = removing
        self.changed_domains = [
            (name, self.present.domains.get(name), domain)
            for name, domain in desired.domains.items()
            if self.present.domains.get(name) is not domain
        ]
        self.removed_domains = [name for name in self.present.domains if name not in desired.domains]

    def domains(self) -> tuple[Values, Values]:
        after: dict[str, str | None] = {}
        interim: dict[str, str | None] = {}
        values = self.tables.domains.values
        for name, _there, domain in self.changed_domains:
            _note(after, values, name, _exim.domain_value(domain, self._line_of("domains", name)))
        for name in self.removed_domains:
            after[name] = None
            if not self.removing.is_over(name):
                there = self.present.domains[name]
                tombstone = there._replace(removal=self.removing.removal_of(there))
                interim[name] = values[name] if there.removal else _exim.domain_value(tombstone, values[name])
        return after, interim

    def _line_of(self, table: str, name: str) -> str | None:
        """The value of a line whose unknown fields are kept: the one that is there, or that comes back."""
        there = getattr(self.tables, table).values.get(name)
        if there is None and self.former:
            there = getattr(self.former, table).values.get(name)
        return str(there) if there is not None else None

    def lists(self, table: str) -> tuple[Values, Values]:
        """One of the tables that hold a list for each domain."""
        after: dict[str, str | None] = {}
        values = self.tables.lists[table].values
        for name, there, domain in self.changed_domains:
            items = list_of(domain, table)
            if there is None or list_of(there, table) != items:
                _note(after, values, name, list_value(items))
        gone = [name for name in self.removed_domains if name in values]
        after.update(dict.fromkeys(gone))
        return after, self._kept_until_over(gone, values)

    def _kept_until_over(self, names: Iterable[str], values: Mapping[str, str]) -> Values:
        return {name: values[name] for name in names if not self.removing.is_over(name)}

    def addresses(self) -> tuple[Values, Values]:
        after: dict[str, str | None] = {}
        interim: dict[str, str | None] = {}
        values = self.tables.addresses.values
        for name, address in self.desired.addresses.items():
            there = self.present.addresses.get(name)
            if there is address:
                continue
            _note(after, values, name, _exim.address_value(address, self._line_of("addresses", name)))
            old_mailbox = self._old_mailbox(there, address)
            if old_mailbox and isinstance(address, Alias):
                interim[name] = _exim.address_value(address._replace(old_mailbox=old_mailbox), values.get(name))
        for name, there in self.present.addresses.items():
            if name not in self.desired.addresses:
                after[name] = None
                if not self.removing.is_over(name):
                    interim[name] = self._address_tombstone(there, values[name])
        return after, interim

    def _old_mailbox(self, there: Address | None, address: Address) -> Removal | None:
        """The removal of the mailbox that an alias takes the place of."""
        if not isinstance(address, Alias) or self.removing.is_over(address.address):
            return None
        return self.removing.removal_of(there) if there and has_mailbox(there) else None

    def _address_tombstone(self, there: Address, value: str) -> str:
        """In a domain that is going as a whole the address stays as it is until then."""
        if there.removal or domain_of(there.address) not in self.desired.domains:
            return value
        return _exim.address_value(there._replace(removal=self.removing.removal_of(there)), value)

    def owners(self) -> Values:
        after: dict[str, str | None] = dict.fromkeys(name for name in self.present.owners if name not in self.desired.owners)
        values = self.tables.owners.values
        for name, owner in self.desired.owners.items():
            if self.present.owners.get(name) is not owner:
                _note(after, values, name, owner_value(owner, values.get(name)))
        return after

    def certificates(self) -> tuple[Values, Values]:
        after: dict[str, str | None] = {}
        values = self.tables.certificates.values
        changed = [one for name, one in self.desired.certificates.items() if self.present.certificates.get(name) is not one]
        gone = [one for name, one in self.present.certificates.items() if self.desired.certificates.get(name) is not one]
        for one in gone:
            if one.is_removing:
                after[one.name] = without_tombstone(values[one.name])
            else:
                after.update((name, None) for name in one.all_names if name in values)
        for certificate in changed:
            for name, value in certificate_values(certificate, values):
                after.pop(name, None)
                _note(after, values, name, value)
        pending = {self.present.domains[name].certificate for name in self.removed_domains if not self.removing.is_over(name)}
        interim: dict[str, str | None] = {}
        for one in gone:
            if one.name in self.desired.certificates:
                continue
            if one.name in pending:
                interim.update((name, values[name]) for name in one.all_names if after.get(name, "") is None)
            else:
                interim[one.name] = tombstone_value(one, values.get(one.name), after.get(one.name))
        return after, interim

    def users(self) -> tuple[Values, Values]:
        after: dict[str, str | None] = {}
        interim: dict[str, str | None] = {}
        values = self.tables.users.values
        for name, address in self.desired.addresses.items():
            if isinstance(address, Mailbox):
                _note(after, values, name, self._user_value(address, self.desired.hashes.get(name), values.get(name)))
        for name, there in self.present.addresses.items():
            if name in values and has_mailbox(there) and not isinstance(self.desired.addresses.get(name), Mailbox):
                after[name] = None
                if not self.removing.is_over(name):
                    interim[name] = _dovecot.locked_value(values[name])
        return after, interim

    def _user_value(self, mailbox: Mailbox, password_hash: str | None, current: str | None) -> str | None:
        """None keeps a mailbox without a login out of the file: its hash is lost, or its owner is."""
        domain = self.desired.domains.get(domain_of(mailbox.address))
        if not password_hash or not domain:
            return current
        account = self.facts.users.get(domain.owner)
        if account is None:
            if current is not None or self.facts.strict:
                return current
            account = _UNKNOWN_ACCOUNT
        if mailbox.quota and self.facts.dovecot is None and self.facts.strict:
            raise MailError(
                "the version of Dovecot on this host cannot be told, and how a quota is written depends on it",
                mailbox.address,
                "Install Dovecot first, for example with the role fleetpost.mail.dovecot",
            )
        home = self.layout.mailbox_tree(mailbox.address)
        return _dovecot.user_value(
            mailbox, password_hash, account, home, self.facts.dovecot or "2.4", self._line_of("users", mailbox.address)
        )

    def disabled_domains(self) -> tuple[Values, Values]:
        after: dict[str, str | None] = {}
        values = self.tables.disabled_domains.values
        for name, domain in self.desired.domains.items():
            if not domain.is_on:
                _note(after, values, name, values.get(name, ""))
        for name in values:
            if name in self.desired.domains and self.desired.domains[name].is_on:
                after[name] = None
        after.update(dict.fromkeys(name for name in self.removed_domains if name in values))
        return after, {name: "" for name in self.removed_domains if not self.removing.is_over(name)}


def has_mailbox(address: Address) -> bool:
    """Whether there is a mail directory and a login behind an address, be it only an old one."""
    return isinstance(address, Mailbox) or (isinstance(address, Alias) and address.old_mailbox is not None)


def _note(after: dict[str, str | None], values: Mapping[str, str], key: str, value: str | None) -> None:
    if values.get(key) != value:
        after[key] = value
