# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a mail host holds and what a user declares, as plain values.

Named tuples rather than frozen dataclasses: as immutable, but a host of 10,000 domains takes half the memory and a third
of the time to build and to compare.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, Union

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    DEFAULT_ACME_MAX_ORDERS,
    Certificate,
    CertificateFacts,
    DeclaredSsl,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import (
    AS_THE_DOMAIN,
    NO_FILTERS,
    NO_LISTS,
    Filters,
    Lists,
    MailboxFilters,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import DeclaredOwner, Owner
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import Table

DEFAULT_OWNER = "vmail"
DISABLED_ACTIONS = ("reject", "defer", "accept")
DEFAULT_ACTIONS = ("reject", "discard", "forward_to_address", "forward_to_domain")
FORWARD_ACTIONS = ("forward_to_address", "forward_to_domain")
REMOVED_MAIL = ("keep", "archive", "delete")
DEFAULT_ARCHIVE_DIR = "/var/backups/mail-domains"
DEFAULT_PRUNE_LIMIT = "10%"
# Of the role exim's configuration: 1 served the tables, 2 signs as well, 3 shows certificates by name, 4 filters, 5 knows owners.
EXIM_FORMAT = 5
SIGNING_EXIM_FORMAT, CERTIFYING_EXIM_FORMAT, FILTERING_EXIM_FORMAT, OWNING_EXIM_FORMAT = 2, 3, 4, 5
DEFAULT_SELECTOR = "dkim"
DEFAULT_SERVICE_TYPE = "email"
DEFAULT_KEY_LENGTH = 2048
KEY_LENGTHS = (1024, 2048, 4096)
KEY_TYPES = ("rsa", "ed25519", "both")
REGENERATE = ("never", "fail", "always")
DEFAULT_RETIRE_AFTER = 7 * 86400
DKIM_STATES = ("present", "absent")
DKIM_STAGES = ("active", "published", "retiring", "retired")


class Removal(NamedTuple):
    """A removal that has begun: the tombstone in a table's line, so that an interrupted run is finished by the next.

    removed_mail: keep, archive or delete. since: when it began, ``20261123T040000Z``; it names the set-aside mail.
    was_enabled: what comes back if the removal fails. archive_dir: where the archive goes.
    """

    removed_mail: str
    since: str
    was_enabled: bool = True
    archive_dir: str = DEFAULT_ARCHIVE_DIR


class DkimKey(NamedTuple):
    """A key that a domain has for signing: its selector, and the name of its files in ``ssl/`` without .private and .txt."""

    selector: str
    file: str


class Dkim(NamedTuple):
    """How the mail of a domain is signed (RFC 6376).

    keys: what signs, one key or an RSA and an Ed25519 key side by side. other: the keys of a rotation, by `stage`:
    ``published`` (their TXT goes ahead, `keys` still sign), ``retiring`` (they have signed until the switch, their TXT stays),
    ``retired`` (their private part is gone, their TXT may be withdrawn); none in stage ``active``. until: when the next
    stage may begin, ``20261123T040000Z``; empty while that is not known.
    """

    keys: tuple[DkimKey, ...]
    stage: str = "active"
    other: tuple[DkimKey, ...] = ()
    until: str = ""


class PublicKey(NamedTuple):
    """What the TXT record of a DKIM key says.

    key_length: in bits. public_key: the base64 of ``p=``, empty while the key is not made yet.
    """

    key_type: str
    key_length: int
    service_type: str = DEFAULT_SERVICE_TYPE
    public_key: str = ""


class Domain(NamedTuple):
    """A mail domain as it stands on a host; `name` is its A-label. dmarc: its record. certificate: its name, empty for the host's own.

    mailbox_filters: whether its mailboxes may have some of their own. suspended: off, whatever `enabled` says.
    """

    name: str
    owner: str = DEFAULT_OWNER
    enabled: bool = True
    disabled_action: str = "reject"
    default_action: str = "reject"
    forward_to: str = ""
    ip_addresses: tuple[str, ...] = ()
    dkim: Dkim | None = None
    dmarc: str = ""
    removal: Removal | None = None
    certificate: str = ""
    filters: Filters = NO_FILTERS
    lists: Lists = NO_LISTS
    mailbox_filters: bool = True
    suspended: bool = False
    suspended_reason: str = ""

    @property
    def is_on(self) -> bool:
        """Whether its users may log in, and mail comes in."""
        return self.enabled and not self.suspended


class Mailbox(NamedTuple):
    """An address with a Maildir and a login. quota: ``500M``, empty for no limit. keep_copy matters only with forward_to."""

    address: str
    enabled: bool = True
    quota: str = ""
    forward_to: tuple[str, ...] = ()
    keep_copy: bool = True
    senders: tuple[str, ...] = ()
    removal: Removal | None = None
    filters: MailboxFilters = AS_THE_DOMAIN


class Alias(NamedTuple):
    """A further address of a mailbox. old_mailbox: the address was a mailbox, whose mail is still to be set aside."""

    address: str
    to: str
    removal: Removal | None = None
    old_mailbox: Removal | None = None


class Forward(NamedTuple):
    """An address without a mailbox, whose mail goes to other addresses."""

    address: str
    to: tuple[str, ...]
    enabled: bool = True
    removal: Removal | None = None


Address = Union[Mailbox, Alias, Forward]


class Host(NamedTuple):
    """All mail domains and addresses of a host, keyed by name and by full address, and the password hash of each mailbox.

    keys: the DKIM keys that were looked at, keyed by the name of their files; only those that can be read and are whole.
    certificates: by name. owners: those that have limits or a reseller, by name.
    """

    domains: Mapping[str, Domain]
    addresses: Mapping[str, Address]
    hashes: Mapping[str, str]
    keys: Mapping[str, PublicKey] = MappingProxyType({})
    certificates: Mapping[str, Certificate] = MappingProxyType({})
    owners: Mapping[str, Owner] = MappingProxyType({})


NO_HOST = Host(MappingProxyType({}), MappingProxyType({}), MappingProxyType({}))


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
    those fields of `Filters` and `Lists` that were said.
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


class Declaration(NamedTuple):
    """Everything one run asks for.

    exact_aliases: a given list of aliases is the whole list (otherwise it adds, and only ``[]`` or prune removes).
    prune: domains not listed go, and in domains that list mailboxes, addresses not listed. removed_mail: None is "keep"
    and "not said": a mailbox is then turned into an alias only under prune. existing_only: a domain that is not there is an
    error, not a new one. errors: what is wrong with the entries
    themselves; they are reported together with what is wrong with the end state. acme_max_orders: how many certificates are ordered
    in the run at most. restore_generation: the host shall be as it was then, and nothing is declared.
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


class Account(NamedTuple):
    """A system user of the host."""

    uid: int
    gid: int


class Tables(NamedTuple):
    """The tables as they were read, and the directories and files among them that exist (path -> ownership).

    lists: those that hold a list for each domain, by name. names: the text of Dovecot's part of the table certificates, None when
    there is none.
    """

    domains: Table
    lists: Mapping[str, Table]
    addresses: Table
    users: Table
    disabled_domains: Table
    certificates: Table
    owners: Table
    files: Mapping[str, Ownership]
    names: str | None = None


class Trees(NamedTuple):
    """The mail directories that exist (path -> ownership), and which of those asked for already hold something."""

    found: Mapping[str, Ownership]
    occupied: frozenset[str]


class Observed(NamedTuple):
    """What was found on a host: the tables as text, what they mean, and the mail directories.

    former: the tables of the generation that a run goes back to, from which lines come back with all that stood in them.
    """

    tables: Tables
    host: Host
    trees: Trees
    former: Tables | None = None


class FoundKey(NamedTuple):
    """The two files of a DKIM key as they were found.

    key: what they are; None when the private key is not there or cannot be used, and `problem` says which. ownership: of the
    private key. text_ownership: of the record's file, None when it is not there. text_fits: whether its record is that of the key.
    selector: the one that the record's file names, empty when it names none.
    """

    key: PublicKey | None
    problem: str = ""
    ownership: Ownership | None = None
    text_ownership: Ownership | None = None
    text_fits: bool = False
    selector: str = ""

    @property
    def is_there(self) -> bool:
        """Whether at least one of the two files is."""
        return self.ownership is not None or self.text_ownership is not None


class MadeKey(NamedTuple):
    """A DKIM key that is to be written: made in this run, or brought along by the user. private_key: in PEM, a secret."""

    key: PublicKey
    private_key: str


class Sight(NamedTuple):
    """What the authoritative name servers show of the next keys of a domain.

    seen: whether each of them shows every key. wait: for how many seconds a resolver may still hold an older answer. why: what
    is missing, as a sentence; empty when nothing is.
    """

    seen: bool
    wait: int
    why: str


class Facts(NamedTuple):
    """What a plan must know of a host besides its tables; None stands for what cannot be known.

    users: the system users that were asked for, None where there is no such user. ip_addresses: the host's own.
    host_names: names that are the host itself. dovecot: ``2.3`` or ``2.4``. exim_gid, dovecot_gid: groups that read the
    tables. strict: what cannot be known is an error (real runs) and not a warning (check mode). may_chown: whether
    owners can be set at all; where not, a tree is built with the owner it has. exim_uid: the user that reads the DKIM keys.
    exim_format: of the Exim configuration, None where it is not the role's.
    scanners: the options of filters that need a further program which Exim knows of, with the place where it asks that, None where its
    configuration is not the role's. silent: those of them that do not answer, and why, when they were asked.
    now: seconds since the epoch. keys: the DKIM keys that were looked at, by the name of their files. sights: what the DNS shows of
    rotations that were looked up, by domain. certifying: what is known of certificates.
    """

    users: Mapping[str, Account | None]
    ip_addresses: frozenset[str] | None
    host_names: frozenset[str]
    dovecot: str | None
    exim_gid: int | None
    dovecot_gid: int | None
    strict: bool = True
    may_chown: bool = True
    exim_uid: int | None = None
    exim_format: int | None = None
    scanners: Mapping[str, str] | None = None
    silent: Mapping[str, str] = MappingProxyType({})
    now: float = 0.0
    keys: Mapping[str, FoundKey] = MappingProxyType({})
    sights: Mapping[str, Sight] = MappingProxyType({})
    certifying: CertificateFacts = CertificateFacts()

    def attainable(self, wanted: Ownership, there: Ownership) -> Ownership:
        """What can be made of the ownership that is `there`."""
        return wanted if self.may_chown else there._replace(mode=wanted.mode)


def domain_of(address: str) -> str:
    return address.rpartition("@")[2]


def local_part_of(address: str) -> str:
    return address.rpartition("@")[0]
