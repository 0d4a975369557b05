# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table ``owners`` <-> the model (grammar: docs/tables.md)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import outgoing_limit
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import LARGEST_COUNT, Owner
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import MEND, Table, parse_fields, render_fields

OWNERS_HEADER = """\
# fleetpost.mail table owners format 1
# What the owners of mail domains may have: OWNER: FIELDS; what is absent is no limit.
# reseller=NAME domains=NUMBER mailboxes=NUMBER mailbox_quota=5G total_quota=50G limit=MESSAGES an hour ssl=no
# ips=ADDRESS or NETWORK,... delegated=DOMAIN,*.DOMAIN: what the owner itself may create

"""

_WHOLE = re.compile(r"[0-9]{1,10}\Z")


def count(number: int) -> int | None:
    """How many of something there may be; a negative number is no limit. Raises ValueError."""
    if number > LARGEST_COUNT:
        raise ValueError(f"{number} is more than {LARGEST_COUNT}")
    return None if number < 0 else number


def owner_name(text: str) -> str:
    """The name of an owner that has limits: keys of tables are lower-case. Raises ValueError."""
    if text != text.lower():
        raise ValueError(f"{_names.printable(text)} is not lower-case, and limits are kept for lower-case names only")
    return _names.owner_name(text)


def delegated_domain(text: str) -> str:
    """A domain name, or ``*.`` and one for all names below it. Raises ValueError."""
    return f"*.{_names.domain_name(text[2:])}" if text.startswith("*.") else _names.domain_name(text)


def _number(grammar: Callable[[int], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        if not _WHOLE.match(text):
            raise ValueError("this is no whole number")
        return grammar(int(text))

    return read


def _quota(text: str) -> str:
    if not text or not _names.is_stored_form(_names.quota, text):
        raise ValueError("this is no size such as 500M or 2G")
    return text


def _ssl(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError("this is none of yes, no")
    return text == "yes"


def _stored(grammar: Callable[[str], str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not _names.is_stored_form(grammar, text):
            raise ValueError(f"{_names.printable(text)} is not what may stand here")
        return text

    return read


def _list(grammar: Callable[[str], str]) -> Callable[[str], tuple[str, ...]]:
    return lambda text: tuple(sorted({_stored(grammar)(item) for item in text.split(",") if item}))


# In the order of the fields of `Owner` after its name: how it is called in the table, and how it is read.
_FIELDS: Mapping[str, Callable[[str], Any]] = {
    "reseller": _stored(owner_name),
    "domains": _number(count),
    "mailboxes": _number(count),
    "mailbox_quota": _quota,
    "total_quota": _quota,
    "limit": _number(outgoing_limit),
    "ssl": _ssl,
    "ips": _list(_names.listed_host),
    "delegated": _list(delegated_domain),
}


def read_owners(table: Table, path: str) -> dict[str, Owner]:
    """The owners of the table. A line whose key is no name of a user is not ours: it is kept and not read.

    Raises MailError with file and line number for a value that this version does not know: a limit that is not understood would be
    no limit.
    """
    found = {}
    for name, value in table.values.items():
        if not _names.is_stored_form(owner_name, name):
            continue
        try:
            found[name] = _read_owner(name, parse_fields(value))
        except MailError as error:
            raise table.misread(name, path, error) from None
    return found


def _read_owner(name: str, fields: Mapping[str, str]) -> Owner:
    said = {}
    for option, (field, read) in zip(Owner._fields[1:], _FIELDS.items()):
        if field in fields:
            try:
                said[option] = read(fields[field])
            except ValueError as error:
                raise MailError(f"{field}={fields[field][:40]}: {error}", remedy=MEND) from None
    return Owner(name, **said)


def owner_value(owner: Owner, current: str | None) -> str:
    """The value of a line of ``owners``: what is not the default, and unknown fields of the `current` value."""
    default = Owner(owner.name)
    fields = {field: _text(value) for field, value, usual in zip(_FIELDS, owner[1:], default[1:]) if value != usual}
    kept = {key: value for key, value in parse_fields(current or "").items() if key not in _FIELDS}
    return render_fields({**fields, **kept})


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(value) if isinstance(value, tuple) else str(value)
