# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exim's tables <-> the model: ``domains`` and ``addresses`` (grammar: docs/tables.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_filters import (
    FILTER_FIELDS,
    filter_fields,
    mailbox_filter_fields,
    read_filters,
    read_mailbox_filters,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_lists import NO_FOUND_LISTS, FoundLists
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import NO_FILTERS, NO_LISTS
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DEFAULT_ACTIONS,
    DEFAULT_ARCHIVE_DIR,
    DEFAULT_OWNER,
    DISABLED_ACTIONS,
    DKIM_STAGES,
    REMOVED_MAIL,
    Address,
    Alias,
    Dkim,
    DkimKey,
    Domain,
    Forward,
    Mailbox,
    Removal,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import is_moment
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import MEND, Table, parse_fields, render_fields

DOMAINS_HEADER = """\
# fleetpost.mail table domains format 1
# One mail domain a line, read by Exim at each message and written by the modules of fleetpost.mail.
# Comments, unknown fields and lines of undeclared domains are kept; changes by hand act at once.
# owner=USER enabled=yes|no|removing disabled=reject|defer|accept
# action=reject|discard|forward_to_address|forward_to_domain to=ADDRESS or DOMAIN
# dkim=SELECTOR dkim_key=FILE in ssl/ (two of each, with a comma: two signatures) dmarc="RECORD"
# dkim_stage=published|retiring|retired dkim_other=SELECTOR dkim_other_key=FILE dkim_until=TIME: a change of keys under way
# cert=NAME: the certificate in the table certificates
# suspended=yes suspended_reason="TEXT": switched off by the administrator, whatever enabled says
# greylist=yes spam=yes spam_action=junk|tag|reject spam_score=5.0 spam_reject=15.0 av=yes limit=MESSAGES an hour
# mailbox_filters=no: no mailbox of the domain differs from these

"""
ADDRESSES_HEADER = """\
# fleetpost.mail table addresses format 1
# Every address of every mail domain, one line each: ADDRESS: mailbox|alias|forward FIELDS
# mailbox: enabled=yes|no|removing quota=1G forward=ADDRESS,... keep=yes|no senders=ADDRESS,*@DOMAIN
#   what differs from its domain: greylist=yes|no spam=yes|no spam_action= spam_score= spam_reject= av=yes|no limit=
# alias: to=MAILBOX    forward: to=ADDRESS,...

"""

_DOMAIN_FIELDS = (
    *("owner", "enabled", "disabled", "action", "to"),
    *("dkim", "dkim_key", "dkim_stage", "dkim_other", "dkim_other_key", "dkim_until", "dmarc", "cert"),
    *("suspended", "suspended_reason"),
    *FILTER_FIELDS,
    "mailbox_filters",
)
KEY_SUFFIX = ".private"
_ADDRESS_FIELDS = ("enabled", "quota", "to", "forward", "keep", "senders", *FILTER_FIELDS)
_REMOVAL_FIELDS = ("was", "removed", "since", "archive")


def read_domains(domains: Table, path: str, lists: FoundLists = NO_FOUND_LISTS) -> dict[str, Domain]:
    """The mail domains of the table, with their lists. A line whose key is no domain name is not ours: it is kept and not read."""
    found = {}
    for key, value in domains.values.items():
        if not is_domain(key):
            continue
        try:
            found[key] = _read_domain(key, parse_fields(value), lists)
        except MailError as error:
            raise domains.misread(key, path, error) from None
    return found


def _read_domain(name: str, fields: Mapping[str, str], lists: FoundLists) -> Domain:
    return Domain(
        name,
        fields.get("owner", DEFAULT_OWNER),
        _enabled(fields),
        _one_of(fields, "disabled", DISABLED_ACTIONS),
        _one_of(fields, "action", DEFAULT_ACTIONS),
        fields.get("to", ""),
        lists.ip_addresses.get(name, ()),
        _dkim(fields) if fields.get("dkim") else None,
        fields.get("dmarc", ""),
        _removal(fields) if fields.get("enabled") == "removing" else None,
        _certificate(fields.get("cert", "")),
        read_filters(fields),
        lists.lists.get(name, NO_LISTS),
        _one_of(fields, "mailbox_filters", ("yes", "no")) == "yes",
        _suspended(fields),
        fields.get("suspended_reason", ""),
    )


def _suspended(fields: Mapping[str, str]) -> bool:
    return "suspended" in fields and _one_of(fields, "suspended", ("no", "yes")) == "yes"


def _certificate(name: str) -> str:
    if name and not is_domain(name):
        raise MailError(f"cert={name[:80]} is not the name of a certificate", remedy=MEND)
    return name


def _dkim(fields: Mapping[str, str]) -> Dkim:
    stage, other = _one_of(fields, "dkim_stage", DKIM_STAGES), _dkim_keys(fields, "dkim_other", "dkim_other_key")
    if (stage == "active") != (not other):
        raise MailError(f"dkim_stage={stage} does not go with dkim_other={fields.get('dkim_other', '')}", remedy=MEND)
    keys = _dkim_keys(fields, "dkim", "dkim_key")
    if not keys:
        raise MailError("dkim names no selector", remedy=MEND)
    until = fields.get("dkim_until", "")
    if until and not is_moment(until):
        raise MailError(f"dkim_until={until[:40]} is no moment such as 20261123T040000Z", remedy=MEND)
    return Dkim(keys, stage, other, until)


def _dkim_keys(fields: Mapping[str, str], selectors: str, files: str) -> tuple[DkimKey, ...]:
    """The selectors of one field with the key files of another, in pairs."""
    names, keys = _list(fields.get(selectors)), _list(fields.get(files))
    if len(names) != len(keys):
        raise MailError(f"{selectors} and {files} must name as many selectors as files", remedy=MEND)
    if not all(_names.is_stored_form(_names.dkim_selector, name) for name in names):
        raise MailError(f"{selectors}={fields.get(selectors, '')[:80]} names what is no selector", remedy=MEND)
    if not all(file.endswith(KEY_SUFFIX) and "/" not in file for file in keys):
        raise MailError(f"{files} names a file that is no key in ssl/", remedy=MEND)
    return tuple(DkimKey(name, file[: -len(KEY_SUFFIX)]) for name, file in zip(names, keys))


def is_domain(key: str) -> bool:
    return _names.is_stored_form(_names.domain_name, key)


def _enabled(fields: Mapping[str, str]) -> bool:
    value = fields.get("enabled", "yes")
    if value not in ("yes", "no", "removing"):
        raise _wrong_value("enabled", value, ("yes", "no", "removing"))
    return value == "yes"


def _one_of(fields: Mapping[str, str], key: str, allowed: tuple[str, ...]) -> str:
    value = fields.get(key, allowed[0])
    if value not in allowed:
        raise _wrong_value(key, value, allowed)
    return value


def _removal(fields: Mapping[str, str]) -> Removal:
    return Removal(
        _one_of(fields, "removed", REMOVED_MAIL),
        fields.get("since", "19700101T000000Z"),
        fields.get("was", "yes") != "no",
        fields.get("archive", DEFAULT_ARCHIVE_DIR),
    )


def _wrong_value(key: str, value: str, allowed: tuple[str, ...]) -> MailError:
    return MailError(f"{key}={value[:40]} is none of {', '.join(allowed)}", remedy=MEND)


def read_addresses(table: Table, path: str) -> dict[str, Address]:
    """The addresses of the table. A line whose key is no address of ours is kept and not read.

    Raises MailError with file and line number for a kind or a value that this version does not know.
    """
    found: dict[str, Address] = {}
    for address, value in table.values.items():
        if not _names.is_local_part(address.rpartition("@")[0]):
            continue
        try:
            found[address] = _read_address(address, value)
        except MailError as error:
            raise table.misread(address, path, error) from None
    return found


def _read_address(address: str, value: str) -> Address:
    kind, _space, rest = value.partition(" ")
    reader = _READERS.get(kind)
    if not reader:
        raise _wrong_value("kind", kind, tuple(_READERS))
    return reader(address, parse_fields(rest) if rest else {})


def _read_mailbox(address: str, fields: Mapping[str, str]) -> Mailbox:
    if not fields:
        return Mailbox(address)
    removing = fields.get("enabled") == "removing"
    removal = _removal(fields) if removing else None
    return Mailbox(
        address,
        _enabled(fields),
        fields.get("quota", ""),
        _list(fields.get("forward")),
        fields.get("keep", "yes") != "no",
        _list(fields.get("senders")),
        removal,
        read_mailbox_filters(fields),
    )


def _read_alias(address: str, fields: Mapping[str, str]) -> Alias:
    if "since" not in fields:
        return Alias(address, fields.get("to", ""))
    removal = _removal(fields)
    return Alias(
        address,
        fields.get("to", ""),
        removal if fields.get("enabled") == "removing" else None,
        removal if fields.get("was") == "mailbox" else None,
    )


def _read_forward(address: str, fields: Mapping[str, str]) -> Forward:
    removal = _removal(fields) if fields.get("enabled") == "removing" else None
    return Forward(address, _list(fields.get("to")), _enabled(fields), removal)


_READERS: dict[str, Callable[[str, Mapping[str, str]], Address]] = {
    "mailbox": _read_mailbox,
    "alias": _read_alias,
    "forward": _read_forward,
}


def _list(value: str | None) -> tuple[str, ...]:
    return tuple(part for part in value.split(",") if part) if value else ()


def domain_value(domain: Domain, current: str | None) -> str:
    """The value of a line of ``domains``; unknown fields of the `current` value are kept."""
    enabled = "removing" if domain.removal else "yes" if domain.enabled else "no"
    fields = {
        "owner": domain.owner,
        "enabled": enabled,
        "disabled": domain.disabled_action,
        "action": domain.default_action,
    }
    if domain.forward_to:
        fields["to"] = domain.forward_to
    if domain.dkim:
        fields.update(_dkim_fields(domain.dkim))
    if domain.dmarc:
        fields["dmarc"] = domain.dmarc
    if domain.certificate:
        fields["cert"] = domain.certificate
    if domain.suspended:
        fields["suspended"] = "yes"
        if domain.suspended_reason:
            fields["suspended_reason"] = domain.suspended_reason
    if domain.filters is not NO_FILTERS:
        fields.update(filter_fields(domain.filters))
    if not domain.mailbox_filters:
        fields["mailbox_filters"] = "no"
    if domain.removal:
        fields.update(_removal_fields(domain.removal))
    return render_fields(_with_unknown(fields, current, _DOMAIN_FIELDS))


def _dkim_fields(dkim: Dkim) -> dict[str, str]:
    fields = {
        "dkim": ",".join(key.selector for key in dkim.keys),
        "dkim_key": ",".join(f"{key.file}{KEY_SUFFIX}" for key in dkim.keys),
        "dkim_stage": "" if dkim.stage == "active" else dkim.stage,
        "dkim_other": ",".join(key.selector for key in dkim.other),
        "dkim_other_key": ",".join(f"{key.file}{KEY_SUFFIX}" for key in dkim.other),
        "dkim_until": dkim.until,
    }
    return {name: value for name, value in fields.items() if value}


def address_value(address: Address, current: str | None) -> str:
    """The value of a line of ``addresses``; unknown fields of the `current` value are kept while the kind stays the same."""
    if isinstance(address, Mailbox):
        kind, fields = "mailbox", _mailbox_fields(address)
    elif isinstance(address, Alias):
        kind, fields = "alias", {"to": address.to}
        if address.old_mailbox:
            fields.update(_removal_fields(address.old_mailbox), was="mailbox")
    else:
        kind, fields = "forward", {"to": ",".join(address.to), "enabled": "" if address.enabled else "no"}
    if address.removal:
        fields = {**_removal_fields(address.removal), **fields, "enabled": "removing"}
    current_kind, _space, rest = (current or "").partition(" ")
    said = {key: value for key, value in fields.items() if value}
    shown = _with_unknown(said, rest if current_kind == kind else None, _ADDRESS_FIELDS)
    return f"{kind} {render_fields(shown)}".rstrip()


def _mailbox_fields(mailbox: Mailbox) -> dict[str, str]:
    return {
        "enabled": "" if mailbox.enabled else "no",
        "quota": mailbox.quota,
        "forward": ",".join(mailbox.forward_to),
        "keep": "no" if mailbox.forward_to and not mailbox.keep_copy else "",
        "senders": ",".join(mailbox.senders),
        **mailbox_filter_fields(mailbox.filters),
    }


def _removal_fields(removal: Removal) -> dict[str, str]:
    fields = {"was": "yes" if removal.was_enabled else "no", "removed": removal.removed_mail, "since": removal.since}
    if removal.archive_dir != DEFAULT_ARCHIVE_DIR:
        fields["archive"] = removal.archive_dir
    return fields


def _with_unknown(fields: dict[str, str], current: str | None, known: tuple[str, ...]) -> dict[str, str]:
    if not current:
        return fields
    kept = {key: value for key, value in parse_fields(current).items() if key not in known + _REMOVAL_FIELDS}
    return {**fields, **kept}
