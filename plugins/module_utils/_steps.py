# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps a plan consists of: plain data that `_apply` carries out one after the other."""

from __future__ import annotations

from typing import NamedTuple, Union

from ansible_collections.fleetpost.mail.plugins.module_utils._model import Account, Removal
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership


class MakeDirectory(NamedTuple):
    path: str
    ownership: Ownership


class WriteTable(NamedTuple):
    """Replace a table by one rename."""

    path: str
    content: str
    ownership: Ownership


class WriteKey(NamedTuple):
    """Write one file of a DKIM key: the private key or its record. is_secret: the content is shown nowhere.

    shown: what the file will be, in words. content: None while the key is still to be made, in check mode.
    """

    domain: str
    path: str
    content: str | None
    ownership: Ownership
    is_secret: bool
    shown: str


class RemoveKey(NamedTuple):
    """Remove one file of a DKIM key that is over."""

    domain: str
    path: str


class WriteCertificate(NamedTuple):
    """Write a server's copy of a certificate, key and chain in one file, or what goes with the certificates.

    content: a secret, shown nowhere; None while it is still to be made, in check mode. certificate: its name, empty for what
    belongs to all. shown: what the file will be, in words.
    """

    path: str
    content: bytes | None
    ownership: Ownership
    certificate: str
    shown: str


class RemoveCertificate(NamedTuple):
    """Remove one file of a certificate that is over."""

    path: str
    certificate: str


class ReloadDovecot(NamedTuple):
    """Let Dovecot read which certificates it shows; sessions go on."""


class SetOwnership(NamedTuple):
    """Set owner and mode of a table, a directory or the file of a DKIM key; `domain` is named for the latter alone."""

    path: str
    ownership: Ownership
    domain: str = ""


class ChownTree(NamedTuple):
    """Give what `from_uid` owns in a mail directory to another owner, the directory itself first."""

    path: str
    from_uid: int
    ownership: Ownership


class EndSessions(NamedTuple):
    """End the IMAP and POP3 sessions of the users that the masks match (``*@example.com``)."""

    masks: tuple[str, ...]


class Remove(NamedTuple):
    """Finish a removal that has its tombstone: set the mail aside, then archive or delete it.

    name: of the domain or the address. source: its mail directory, None for an address that has none. target: where
    the mail is set aside.
    """

    name: str
    removal: Removal
    source: str | None
    target: str


class PutBack(NamedTuple):
    """Bring mail that was set aside back to its place: what was to go is wanted again, or what was removed is restored.

    origin: what it is restored from, empty when a removal was not finished.
    """

    name: str
    source: str
    target: str
    owner: Account
    origin: str = ""


Step = Union[
    PutBack,
    MakeDirectory,
    WriteTable,
    WriteKey,
    RemoveKey,
    WriteCertificate,
    RemoveCertificate,
    ReloadDovecot,
    SetOwnership,
    ChownTree,
    EndSessions,
]
