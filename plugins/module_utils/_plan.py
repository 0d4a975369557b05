# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Present and desired host -> the ordered steps between them, as data.

The order is the commit point's (docs/tables.md, "Order of changes"): Dovecot's side first, then DKIM keys and additions in all of
Exim's tables, the ``domains`` line last of them. A removal is a tombstone in its line first; `plan` called again with
the name among the finished ones then drops the lines.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Order
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_steps import (
    certificate_removals,
    dovecot_steps,
    exim_steps,
    lineages_left,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certifying import Certified
from ansible_collections.fleetpost.mail.plugins.module_utils._directories import adopted_trees, directory_steps, put_back_steps
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._key_steps import key_removals, key_steps
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Alias, Facts, Host, MadeKey, Mailbox, Observed, domain_of
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import (
    EndSessions,
    MakeDirectory,
    ReloadDovecot,
    Remove,
    RemoveCertificate,
    SetOwnership,
    Step,
    WriteCertificate,
    WriteTable,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import (
    Removing,
    TableChange,
    has_mailbox,
    table_changes,
)

_TABLE_MODE = 0o640


class Plan(NamedTuple):
    """What a run does, in order, and what it changes in each table once it is all done.

    orders: certificates that are then ordered from their authorities. lineages_left: those that the ACME client is then to forget.
    """

    steps: tuple[Step, ...]
    removals: tuple[Remove, ...]
    changes: tuple[TableChange, ...]
    orders: tuple[Order, ...] = ()
    lineages_left: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.steps and not self.removals and not self.orders and not self.lineages_left

    @property
    def certificates_left(self) -> list[str]:
        """The certificates that nobody has any more: their files go, and after that their lines, which are tombstones until then."""
        gone = (step.certificate for step in self.steps if isinstance(step, RemoveCertificate) and step.path.endswith(".pem"))
        return list(dict.fromkeys(gone))


def plan(
    layout: Layout,
    observed: Observed,
    desired: Host,
    facts: Facts,
    removing: Removing,
    made: Mapping[str, MadeKey] = MappingProxyType({}),
    certified: Certified | None = None,
) -> Plan:
    """The plan from what was observed to `desired`; nothing is read or written here. made: new DKIM keys, by file.

    certified: the certificates of `desired` with their contents, as far as they were looked at.

    Raises MailErrors when the host is not set up for it, or when old mail stands where a new mailbox would.
    """
    certified = certified or Certified(desired.certificates)
    changes = table_changes(layout, observed, desired, facts, removing)
    writes = [(change.path, change.content) for change in changes]
    tables = [WriteTable(path, content, _table_ownership(layout, path, facts)) for path, content in writes if content is not None]
    errors = [*_unprepared(layout, observed, tables, facts), *adopted_trees(layout, observed, desired)]
    if errors:
        raise MailErrors(errors)
    directories = list(directory_steps(layout, observed, desired, facts))
    certificates = list(dovecot_steps(layout, observed, desired, facts, removing, certified))
    keys = [*key_steps(layout, desired, facts, made), *exim_steps(layout, desired, facts, certified)]
    masks = tuple(_sessions_to_end(observed.host, desired, removing))
    steps: list[Step] = list(put_back_steps(layout, observed, desired, facts))
    steps += [step for step in directories if isinstance(step, MakeDirectory)]
    steps += [table for table in tables if _is_dovecots(layout, table.path)]
    steps += certificates
    steps += [step for step in directories if not isinstance(step, MakeDirectory)]
    steps += sorted(keys, key=lambda step: isinstance(step, SetOwnership))
    steps += [table for table in tables if not _is_dovecots(layout, table.path)]
    steps += _wrong_table_ownerships(layout, observed, facts, [path for path, content in writes if content is None])
    if facts.certifying.reload_is_due or any(isinstance(step, WriteCertificate) for step in certificates):
        steps.append(ReloadDovecot())
    steps += key_removals(layout, observed.host, desired, facts, removing)
    steps += certificate_removals(layout, observed, desired, removing)
    if masks:
        steps.append(EndSessions(masks))
    removals = tuple(_removals(layout, observed.host, desired, removing))
    return Plan(tuple(steps), removals, changes, certified.orders, lineages_left(observed.host, desired, removing))


def _is_dovecots(layout: Layout, path: str) -> bool:
    return path.startswith(f"{layout.dovecot_dir}/")


def _table_ownership(layout: Layout, path: str, facts: Facts) -> Ownership:
    gid = facts.dovecot_gid if _is_dovecots(layout, path) else facts.exim_gid
    return Ownership(0, gid or 0, _TABLE_MODE)


def _unprepared(layout: Layout, observed: Observed, tables: list[WriteTable], facts: Facts) -> Iterator[MailError]:
    """Errors for the servers whose tables must be written and who are not installed; check mode only warns of them."""
    if not facts.strict:
        return
    for directory, group, gid, role in (
        (layout.exim_dir, layout.exim_group, facts.exim_gid, "exim"),
        (layout.dovecot_dir, layout.dovecot_group, facts.dovecot_gid, "dovecot"),
    ):
        if not any(table.path.startswith(f"{directory}/") for table in tables):
            continue
        remedy = f"Run the role fleetpost.mail.{role} first"
        if directory not in observed.tables.files:
            yield MailError(f"{directory} is not there", remedy=remedy)
        elif gid is None:
            yield MailError(f"there is no group {group} on this host, which must be able to read the tables", remedy=remedy)
    lacks_lists = layout.exim_dir in observed.tables.files and layout.lists_dir not in observed.tables.files
    if lacks_lists and any(table.path.startswith(f"{layout.lists_dir}/") for table in tables):
        yield MailError(f"{layout.lists_dir} is not there", remedy="Run the role fleetpost.mail.exim first")


def setup_warnings(layout: Layout, observed: Observed) -> list[str]:
    """What a check run says of a host on which the servers are not installed yet."""
    return [
        f"{directory} is not there yet: the role fleetpost.mail.{role} makes it"
        for directory, role in ((layout.exim_dir, "exim"), (layout.dovecot_dir, "dovecot"))
        if directory not in observed.tables.files
    ]


def _wrong_table_ownerships(layout: Layout, observed: Observed, facts: Facts, unwritten: Iterable[str]) -> Iterator[SetOwnership]:
    for path in unwritten:
        there = observed.tables.files.get(path)
        wanted = _table_ownership(layout, path, facts)
        gid_is_known = (facts.dovecot_gid if _is_dovecots(layout, path) else facts.exim_gid) is not None
        if there and gid_is_known and there != facts.attainable(wanted, there):
            yield SetOwnership(path, wanted)


def _sessions_to_end(present: Host, desired: Host, removing: Removing) -> Iterator[str]:
    """Masks of the sessions that may not go on: disabled or removed domains and mailboxes, and mail that changes owner."""
    ended = set()
    for name, there in present.domains.items():
        wanted = desired.domains.get(name)
        if wanted is there or removing.is_over(name):
            continue
        if wanted is None or (there.is_on and not wanted.is_on) or there.owner != wanted.owner:
            ended.add(name)
            yield f"*@{name}"
    for name, mailbox in present.addresses.items():
        kept = desired.addresses.get(name)
        if kept is mailbox or not isinstance(mailbox, Mailbox) or domain_of(name) in ended or removing.is_over(name):
            continue
        if not isinstance(kept, Mailbox) or (mailbox.enabled and not kept.enabled):
            yield name


def _removals(layout: Layout, present: Host, desired: Host, removing: Removing) -> Iterator[Remove]:
    for name in sorted(present.domains.keys() - desired.domains.keys()):
        if not removing.is_over(name):
            removal = removing.removal_of(present.domains[name])
            yield Remove(name, removal, layout.domain_tree(name), layout.removed_tree(name, removal.since))
    for name, there in present.addresses.items():
        wanted = desired.addresses.get(name)
        if wanted is there or removing.is_over(name) or domain_of(name) not in desired.domains:
            continue
        if wanted is None or (isinstance(wanted, Alias) and has_mailbox(there)):
            removal = removing.removal_of(there)
            source = layout.mailbox_tree(name) if has_mailbox(there) else None
            yield Remove(name, removal, source, layout.removed_tree(name, removal.since))
