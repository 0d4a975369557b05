# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dovecot's passwd-files <-> the model: ``users`` and ``disabled_domains`` (grammar: docs/tables.md).

Dovecot, "Passwd-file": ``user:password:uid:gid:(gecos):home:(shell):extra_fields``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._model import Account, Mailbox
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import Table

USERS_HEADER = """\
# fleetpost.mail table users format 1
# Dovecot's passwd-file of all mailboxes: ADDRESS:{SCHEME}HASH:UID:GID::HOME::EXTRA
# A ! in front of the hash keeps a disabled mailbox from logging in; unknown extra fields are kept.

"""
DISABLED_DOMAINS_HEADER = """\
# fleetpost.mail table disabled_domains format 1
# Domains whose mailboxes may not log in, one DOMAIN: a line.

"""

_QUOTA_FIELDS = {"2.3": "userdb_quota_rule=*:storage=", "2.4": "userdb_quota_storage_size="}


class Login(NamedTuple):
    """What a line of ``users`` says besides what follows from the mailbox: the unlocked hash, gecos, shell, extra fields."""

    password_hash: str
    gecos: str = ""
    shell: str = ""
    extra: tuple[str, ...] = ()


def read_hashes(table: Table) -> dict[str, str]:
    """address -> unlocked password hash of every line of ``users`` that has one."""
    found = {}
    for address, value in table.values.items():
        password = value.partition(":")[0]
        if password:
            found[address] = _unlocked(password)
    return found


def _locked(password_hash: str) -> str:
    """The hash as it stands for a mailbox that may not log in.

    The ``!`` stands before the scheme: Dovecot 2.4 answers a damaged hash after it with a temporary failure.
    """
    return f"!{password_hash}"


def _unlocked(password_hash: str) -> str:
    return password_hash[1:] if password_hash.startswith("!") else password_hash


def user_value(mailbox: Mailbox, password_hash: str, owner: Account, home: str, version: str, current: str | None) -> str:
    """The value of a mailbox' line of ``users``; what the `current` value holds beyond our own fields is kept.

    version: ``2.3`` or ``2.4``; it decides the name of the quota field.
    """
    shown = password_hash if mailbox.enabled else _locked(password_hash)
    extra = _QUOTA_FIELDS[version] + mailbox.quota if mailbox.quota else ""
    plain = f"{shown}:{owner.uid}:{owner.gid}::{home}::{extra}"
    if current is None or current == plain:
        return plain
    login = _login(current)
    fields = " ".join(part for part in (extra, *login.extra) if part)
    return f"{shown}:{owner.uid}:{owner.gid}:{login.gecos}:{home}:{login.shell}:{fields}"


def locked_value(value: str) -> str:
    """A line's value with the login shut: a mailbox on its way out still takes delivery of mail that was accepted."""
    password, colon, rest = value.partition(":")
    return f"{_locked(_unlocked(password))}{colon}{rest}"


def _login(value: str) -> Login:
    """The parts of a line; a scheme's own colons do not occur, and the extra fields may hold any."""
    parts = value.split(":", 6)
    parts += [""] * (7 - len(parts))
    password, _uid, _gid, gecos, _home, shell, extra = parts
    kept = tuple(field for field in extra.split() if not field.startswith(tuple(_QUOTA_FIELDS.values())))
    return Login(password, gecos, shell, kept)


def masked_user_value(value: str) -> str:
    """A line of ``users`` as it may be shown: everything but the hash."""
    password, _colon, rest = value.partition(":")
    lock = "!" if _unlocked(password) != password else ""
    scheme = re.match(r"\{[^}]*\}", _unlocked(password))
    return f"{lock}{scheme.group() if scheme else ''}********:{rest}"
