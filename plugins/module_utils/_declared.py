# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user declares, as plain values; None is what was not said."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import DEFAULT_ACME_MAX_ORDERS, DeclaredSsl
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import MailboxFilters
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DEFAULT_ARCHIVE_DIR,
    DEFAULT_PRUNE_LIMIT,
    DEFAULT_RETIRE_AFTER,
    Domain,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import DeclaredOwner


class DeclaredMailbox(NamedTuple):
    """A mailbox entry as the user wrote it, names normalised; None is what was not said. `where` is its option path."""

    where: str
    address: str
    password: str | None = None
    password_hash: str | None = None
    update_password: str = "on_create"
    quota: str | None = None
    enabled: bool | None = None
    aliases: tuple[str, ...] | None = None
    forward_to: tuple[str, ...] | None = None
    keep_copy: bool | None = None
    senders: tuple[str, ...] | None = None
    filters: MailboxFilters | None = None


class DeclaredDkim(NamedTuple):
    """The option ``dkim`` of a domain as the user wrote it; None is what was not said.

    The options of the key are about the selector that is to sign in the end: that of `rotate_to`, if one is given.
    private_key: in PEM, a secret. retire_after: in seconds.
    """

    where: str
    state: str = "present"
    selector: str | None = None
    key_type: str | None = None
    key_length: int | None = None
    service_type: str | None = None
    private_key: str | None = None
    regenerate: str = "never"
    rotate_to: str | None = None
    retire_after: int = DEFAULT_RETIRE_AFTER


class DeclaredDomain(NamedTuple):
    """A domain entry as the user wrote it.

    lists_mailboxes: whether a list of mailboxes was given, even an empty one. dmarc: the record, empty for none. filters, lists:
    those fields of `Filters` and `Lists` that were said. base: what a new domain is without any option, None for the defaults.
    """

    where: str
    name: str
    owner: str | None = None
    enabled: bool | None = None
    disabled_action: str | None = None
    default_action: str | None = None
    forward_to: str | None = None
    ip_addresses: tuple[str, ...] | None = None
    lists_mailboxes: bool = False
    dkim: DeclaredDkim | None = None
    dmarc: str | None = None
    ssl: DeclaredSsl | None = None
    filters: Mapping[str, Any] = MappingProxyType({})
    lists: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    mailbox_filters: bool | None = None
    suspended: bool | None = None
    suspended_reason: str | None = None
    base: Domain | None = None


class Declaration(NamedTuple):
    """Everything one run asks for.

    exact_aliases: a given list of aliases is the whole list (otherwise it adds, and only ``[]`` or prune removes).
    prune: domains not listed go, and in domains that list mailboxes, addresses not listed. removed_mail: None is "keep"
    and "not said": a mailbox is then turned into an alias only under prune. existing_only: a domain that is not there is an
    error, not a new one. errors: what is wrong with the entries
    themselves; they are reported together with what is wrong with the end state. acme_max_orders: how many certificates are ordered
    in the run at most. restore_generation: the host shall be as it was then, and nothing is declared. restore_from: the archive or
    kept mail that the one domain comes back from, empty for none.
    """

    domains: tuple[DeclaredDomain, ...] = ()
    mailboxes: tuple[DeclaredMailbox, ...] = ()
    absent_domains: tuple[str, ...] = ()
    absent_addresses: tuple[str, ...] = ()
    prune: bool = False
    prune_limit: str = DEFAULT_PRUNE_LIMIT
    removed_mail: str | None = None
    archive_dir: str = DEFAULT_ARCHIVE_DIR
    exact_aliases: bool = False
    existing_only: bool = False
    errors: tuple[MailError, ...] = ()
    acme_max_orders: int = DEFAULT_ACME_MAX_ORDERS
    owners: tuple[DeclaredOwner, ...] = ()
    restore_generation: int | None = None
    restore_from: str = ""
