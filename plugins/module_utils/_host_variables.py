# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declaration with its secrets -> two files of host variables that a person likes to edit: the declaration, and the secrets. No IO."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import NO_FILTERS, NO_LISTS
from ansible_collections.fleetpost.mail.plugins.module_utils._model import DEFAULT_KEY_LENGTH, DEFAULT_OWNER, DEFAULT_SERVICE_TYPE
from ansible_collections.fleetpost.mail.plugins.module_utils._yaml_text import Template, yaml_text

Entry = Mapping[str, Any]

# What a domain or mailbox is when nobody says so. Of ssl nothing is left out: there an omitted option is what ssl_defaults say.
_USUAL_DOMAIN: Entry = {
    "owner": DEFAULT_OWNER,
    "enabled": True,
    "disabled_action": "reject",
    "default_action": "reject",
    "forward_to": "",
    "ip_addresses": [],
    "suspended": False,
    "suspended_reason": "",
    **NO_FILTERS._asdict(),
    **{name: list(items) for name, items in NO_LISTS._asdict().items()},
}
_USUAL_MAILBOX: Entry = {
    "enabled": True,
    "quota": "none",
    "aliases": [],
    "forward_to": [],
    "keep_copy": True,
    "senders": [],
    "filters": {},
}
_USUAL_DKIM: Entry = {"key_type": "rsa", "key_length": DEFAULT_KEY_LENGTH, "service_type": DEFAULT_SERVICE_TYPE}

_HEADER = """\
---
# The mail domains of this host, saved by the playbook fleetpost.mail.adopt. Yours to edit; what is not said here is as usual.
# Its secrets are in mail_domains_vault.yml beside it.
"""
_VAULT_HEADER = """\
---
# Secrets that mail_domains.yml refers to, saved by the playbook fleetpost.mail.adopt: keep them with `ansible-vault encrypt`.
"""


class HostVariables(NamedTuple):
    """The texts of two files: one to read and edit, and one that holds nothing but secrets, empty when there are none."""

    variables: str
    vault: str


def host_variables(declaration: Entry) -> HostVariables:
    """The files for a declaration as `mail_domain_info` and `mail_domain_import` export it.

    Raises ValueError for a name that no grammar of ours allows: it would become the name of a variable.
    """
    secrets: dict[str, Any] = {}
    domains = [_domain(entry, secrets) for entry in sorted(declaration["domains"], key=_name)]
    variables: dict[str, Any] = {"mail_domains_host_list": domains}
    owners = sorted(declaration.get("owners") or (), key=_name)
    if owners:
        variables["mail_domains_owners"] = [_ordered(owner) for owner in owners]
    comments = "".join(f"{line}\n" for line in _comments(declaration))
    vault = _VAULT_HEADER + yaml_text(dict(sorted(secrets.items()))) if secrets else ""
    return HostVariables(f"{_HEADER}{comments}{yaml_text(variables)}", vault)


def _comments(declaration: Entry) -> Iterator[str]:
    """What an import left behind stands above what it brought, so that nobody takes the one for all there was."""
    parts = (("Lines that could not be read", "broken"), ("What was not translated, and is to be done by hand", "not_translated"))
    for title, key in parts:
        remarks = declaration.get(key) or ()
        if remarks:
            yield "#"
            yield f"# {title}:"
        for remark in remarks:
            yield f"#   {_one_line(remark['where'])}: {_one_line(remark['message'])}"


def _one_line(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]


def _name(entry: Entry) -> str:
    return str(entry["name"])


def _domain(entry: Entry, secrets: dict[str, Any]) -> dict[str, Any]:
    name = entry["name"]
    if not _names.is_stored_form(_names.domain_name, name):
        raise ValueError(f"{_names.printable(name)} is not a domain name")
    kept = {option: value for option, value in entry.items() if option not in _USUAL_DOMAIN or value != _USUAL_DOMAIN[option]}
    if "dkim" in kept:
        kept["dkim"] = _dkim(kept["dkim"], _variable("key", name), secrets)
    mailboxes = sorted(entry.get("mailboxes") or (), key=_name)
    kept["mailboxes"] = [_mailbox(mailbox, _variable("hashes", name), secrets) for mailbox in mailboxes]
    return _ordered(kept)


def _dkim(entry: Entry, variable: str, secrets: dict[str, Any]) -> dict[str, Any]:
    kept = {option: value for option, value in entry.items() if option not in _USUAL_DKIM or value != _USUAL_DKIM[option]}
    if "private_key" in kept:
        secrets[variable] = kept["private_key"]
        kept["private_key"] = Template(f"{{{{ {variable} }}}}")
    return dict(sorted(kept.items()))


def _mailbox(entry: Entry, variable: str, secrets: dict[str, Any]) -> dict[str, Any]:
    name = entry["name"]
    if not _names.is_local_part(name):
        raise ValueError(f"{_names.printable(name)} is not a local part")
    kept = {option: value for option, value in entry.items() if option not in _USUAL_MAILBOX or value != _USUAL_MAILBOX[option]}
    if "password_hash" in kept:
        secrets.setdefault(variable, {})[name] = kept["password_hash"]
        kept["password_hash"] = Template(f"{{{{ {variable}['{name}'] }}}}")
    return _ordered(kept)


def _ordered(entry: Entry) -> dict[str, Any]:
    """The name first, the mailboxes last, the rest by the alphabet."""
    inner: Iterable[str] = sorted(entry.keys() - {"name", "mailboxes"})
    return {option: entry[option] for option in ("name", *inner, "mailboxes") if option in entry}


def _variable(kind: str, domain: str) -> str:
    """A variable of one domain, its own for each: a single dictionary of all hashes would be templated once for each mailbox.

    Two names never become one: a label neither begins nor ends with a hyphen, so an odd underscore is a dot.
    """
    return f"vault_mail_{kind}_{domain.replace('-', '__').replace('.', '_')}"
