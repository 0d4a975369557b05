# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mail directories must be made, re-owned or given back their rights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Union

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Account, Alias, Facts, Host, Mailbox, Observed, domain_of
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import ChownTree, MakeDirectory, PutBack, SetOwnership

# Above the mailboxes everything belongs to root, so that no owner can put a link in the place of a directory.
DOMAIN_DIRECTORY = Ownership(0, 0, 0o711)
_MAILBOX_MODE = 0o700

DirectoryStep = Union[MakeDirectory, ChownTree, SetOwnership]


def directory_steps(layout: Layout, observed: Observed, desired: Host, facts: Facts) -> Iterator[DirectoryStep]:
    """The steps for the mail root, each domain's directory and each mailbox' directory, parents first."""
    found = observed.trees.found
    if desired.domains:
        yield from _directory(layout.mail_root, found.get(layout.mail_root), DOMAIN_DIRECTORY, facts)
    for name in desired.domains:
        path = layout.domain_tree(name)
        yield from _directory(path, found.get(path), DOMAIN_DIRECTORY, facts)
    for name, address in desired.addresses.items():
        domain = desired.domains.get(domain_of(name))
        account = facts.users.get(domain.owner) if domain and isinstance(address, Mailbox) else None
        if account:
            path = layout.mailbox_tree(name)
            there = observed.host.domains.get(domain_of(name))
            before = facts.users.get(there.owner) if there and domain and there.owner != domain.owner else None
            yield from _mailbox_directory(path, found.get(path), account, before, facts)


def _directory(path: str, there: Ownership | None, wanted: Ownership, facts: Facts) -> Iterator[DirectoryStep]:
    if there is None:
        yield MakeDirectory(path, wanted)
    elif there != facts.attainable(wanted, there):
        yield SetOwnership(path, wanted)


def _mailbox_directory(
    path: str, there: Ownership | None, account: Account, before: Account | None, facts: Facts
) -> Iterator[DirectoryStep]:
    """before: the owner as the line in ``domains`` has him, when that changes."""
    wanted = Ownership(account.uid, account.gid, _MAILBOX_MODE)
    if facts.may_chown and there is not None and before is not None and before.uid != account.uid and there.uid == account.uid:
        # An earlier run died in the middle: it begins at the top, and the line in ``domains`` is written last.
        yield ChownTree(path, before.uid, wanted)
    elif facts.may_chown and there is not None and there.uid not in (account.uid, 0):
        yield ChownTree(path, there.uid, wanted)
    else:
        yield from _directory(path, there, wanted, facts)


def put_back_steps(layout: Layout, observed: Observed, desired: Host, facts: Facts) -> Iterator[PutBack]:
    """The steps for mail that an interrupted removal set aside, of domains and mailboxes that are wanted again."""
    found = observed.trees.found
    for name, since in unfinished_removals(observed.host, desired):
        source = layout.removed_tree(name, since)
        target = layout.mailbox_tree(name) if "@" in name else layout.domain_tree(name)
        owner = facts.users.get(desired.domains[domain_of(name)].owner)
        if source in found and target not in found and owner:
            yield PutBack(name, source, target, owner)


def unfinished_removals(present: Host, desired: Host) -> Iterator[tuple[str, str]]:
    """Name and beginning of each removal whose domain or mailbox is wanted again; domains first."""
    for name, domain in present.domains.items():
        if domain.removal and name in desired.domains:
            yield name, domain.removal.since
    for name, there in present.addresses.items():
        removal = there.old_mailbox if isinstance(there, Alias) else there.removal
        if removal and isinstance(desired.addresses.get(name), Mailbox) and domain_of(name) in desired.domains:
            yield name, removal.since


def adopted_trees(layout: Layout, observed: Observed, desired: Host) -> Iterator[MailError]:
    """Errors for new domains and mailboxes whose directory already holds mail of somebody else."""
    occupied = observed.trees.occupied
    if not occupied:
        return
    for name in desired.domains:
        if name not in observed.host.domains and layout.domain_tree(name) in occupied:
            yield _occupied(name, layout.domain_tree(name))
    for name, address in desired.addresses.items():
        there = observed.host.addresses.get(name)
        was_mailbox = isinstance(there, Mailbox) or (isinstance(there, Alias) and there.old_mailbox)
        # In a domain that was brought back, what stands there without an address came back with it.
        domain = observed.host.domains.get(domain_of(name))
        came_back = domain is not None and domain.restored
        if isinstance(address, Mailbox) and not was_mailbox and not came_back and layout.mailbox_tree(name) in occupied:
            yield _occupied(name, layout.mailbox_tree(name))


def _occupied(name: str, path: str) -> MailError:
    return MailError(
        f"{name} is new, but {path} already holds mail, which may be somebody else's",
        remedy="Move that directory away first; once the new one is there its mail can be imported with doveadm import",
    )
