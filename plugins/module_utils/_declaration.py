# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a user wrote -> a Declaration, with every error of every entry and its option path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._allowed_options import refused_in_entries
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import DEFAULT_ACME_MAX_ORDERS
from ansible_collections.fleetpost.mail.plugins.module_utils._converter import Converter
from ansible_collections.fleetpost.mail.plugins.module_utils._declared_filters import declared_filters, declared_lists
from ansible_collections.fleetpost.mail.plugins.module_utils._declared_owners import declared_owner
from ansible_collections.fleetpost.mail.plugins.module_utils._declared_signing import declared_dkim, declared_dmarc
from ansible_collections.fleetpost.mail.plugins.module_utils._declared_ssl import declared_ssl
from ansible_collections.fleetpost.mail.plugins.module_utils._dmarc import DEFAULT_TEMPLATE
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import MailboxFilters
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DEFAULT_ARCHIVE_DIR,
    DEFAULT_PRUNE_LIMIT,
    FORWARD_ACTIONS,
    Declaration,
    DeclaredDomain,
    DeclaredMailbox,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import DeclaredOwner
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import DOMAIN_ENTRY, MAILBOX_ENTRY, OWNER, Spec

Entry = Mapping[str, Any]

_LONGEST_REASON = 200


def declaration_of_domains(entries: Iterable[Any], options: Entry) -> Declaration:
    """The declaration of `mail_domains`: a list of domain entries, each with its mailboxes."""
    reader = _Reader(options)
    entries = list(entries)
    reader.errors.extend(refused_in_entries(entries, options.get("acting_as")))
    for index, entry in enumerate(entries):
        reader.domain_entry(entry, f"domains[{index}]")
    for index, owner in enumerate(options.get("owners") or ()):
        reader.owner_entry(owner, f"owners[{index}]")
    generation = options.get("restore_generation")
    return reader.declaration(options)._replace(
        prune=bool(options.get("prune")) and generation is None,
        prune_limit=options.get("prune_limit") or DEFAULT_PRUNE_LIMIT,
        restore_generation=generation,
    )


def declaration_of_domain(options: Entry) -> Declaration:
    """The declaration of `mail_domain`: one domain, present or absent."""
    reader = _Reader(options)
    if options["state"] == "absent":
        name = reader.convert(_names.domain_name, options["name"], "name")
        return reader.declaration(options)._replace(absent_domains=(name,) if name else ())
    reader.domain(options, "")
    return reader.declaration(options)


def declaration_of_owner(options: Entry) -> Declaration:
    """The declaration of `mail_owner`: the limits of one owner, present or absent."""
    reader = _Reader()
    reader.owner(options, "")
    return reader.declaration(options)


def declaration_of_dkim(options: Entry) -> Declaration:
    """The declaration of `mail_domain_dkim`: the signing of one domain, whose other options stay as they are."""
    reader = _Reader()
    name = reader.convert(_names.domain_name, options["domain"], "domain")
    dkim = declared_dkim(options, "", reader)
    if name:
        reader.domains.append(DeclaredDomain("", name, dkim=dkim))
    return reader.declaration(options)._replace(existing_only=True)


def declaration_of_certificate(options: Entry) -> Declaration:
    """The declaration of `mail_domain_cert`: the certificate of one domain, or of the host under its own name."""
    reader = _Reader()
    name = reader.convert(_names.domain_name, options["domain"], "domain")
    ssl = declared_ssl(options, {}, "", reader)
    if name:
        reader.domains.append(DeclaredDomain("", name, ssl=ssl))
    return reader.declaration(options)._replace(existing_only=True)


def declaration_of_mailbox(options: Entry) -> Declaration:
    """The declaration of `mailbox`: one address, present or absent; its list of aliases is the whole list."""
    reader = _Reader()
    address = reader.convert(_names.address, options["address"], "address")
    if address and options["state"] == "present":
        reader.mailbox(options, "", address, "address")
    declared = reader.declaration(options)._replace(exact_aliases=True)
    if options["state"] == "absent" and address:
        return declared._replace(absent_addresses=(address,))
    return declared


def domain_patterns(names: Iterable[str]) -> list[str]:
    """Domain names in their stored form, and patterns with ``*`` and ``?``. Raises MailErrors with every wrong name."""
    reader = _Reader()
    found = reader.convert_list(lambda name: name.lower() if set("*?") & set(name) else _names.domain_name(name), names, "names")
    if reader.errors:
        raise MailErrors(reader.errors)
    return list(found or ())


def job_of(options: Entry) -> str:
    """The controller's job, empty when none is said. Raises MailError."""
    try:
        return _names.job_id(options["job_id"]) if options.get("job_id") else ""
    except ValueError as error:
        raise MailError(str(error), "job_id") from None


class _Reader(Converter):
    """Collects entries and errors; a name that is used twice is an error that names both places."""

    def __init__(self, options: Entry = MappingProxyType({})) -> None:
        super().__init__()
        self.dmarc_template = options.get("dmarc_template") or DEFAULT_TEMPLATE
        self.ssl_defaults = options.get("ssl_defaults") or {}
        self.domains: list[DeclaredDomain] = []
        self.mailboxes: list[DeclaredMailbox] = []
        self.owners: list[DeclaredOwner] = []
        self._claims: dict[str, str] = {}

    def declaration(self, options: Entry) -> Declaration:
        archive_dir = options.get("archive_dir")
        if archive_dir:
            self.convert(_names.absolute_path, archive_dir, "archive_dir")
        return Declaration(
            tuple(self.domains),
            tuple(self.mailboxes),
            errors=tuple(self.errors),
            removed_mail=options.get("removed_mail"),
            archive_dir=archive_dir or DEFAULT_ARCHIVE_DIR,
            acme_max_orders=options.get("acme_max_orders", DEFAULT_ACME_MAX_ORDERS),
            owners=tuple(self.owners),
        )

    def owner_entry(self, entry: Any, where: str) -> None:
        checked = self._checked(entry, where, OWNER, _OWNER_CHECKS)
        if checked is not None:
            self.owner(checked, f"{where}.")

    def owner(self, entry: Entry, prefix: str) -> None:
        """One owner whose types are right; `prefix` is its option path with a dot."""
        owner = declared_owner(entry, prefix, self)
        if owner:
            self._claim(f"the owner {owner.name}", f"{prefix}name")
            self.owners.append(owner)

    def domain_entry(self, entry: Any, where: str) -> None:
        checked = self._checked(entry, where, DOMAIN_ENTRY, _DOMAIN_CHECKS)
        if checked is None:
            return
        name = self.domain(checked, f"{where}.")
        mailboxes = checked.get("mailboxes")
        if name and mailboxes:
            for index, mailbox in enumerate(mailboxes):
                self._mailbox_entry(mailbox, f"{where}.mailboxes[{index}]", name)

    def domain(self, entry: Entry, prefix: str) -> str | None:
        """One domain entry whose types are right; `prefix` is its option path with a dot."""
        where = f"{prefix}name"
        name = self.convert(_names.domain_name, entry.get("name") or entry.get("domain") or "", where)
        owner = self.convert(_names.owner_name, entry.get("owner"), f"{prefix}owner")
        forward_to = self._forward_to(entry, f"{prefix}forward_to")
        ips = entry.get("ip_addresses")
        ips = self.convert_list(_names.ip_address, ips, f"{prefix}ip_addresses") if ips is not None else None
        reason = self.convert(_reason, entry.get("suspended_reason"), f"{prefix}suspended_reason")
        filters, lists = declared_filters(entry, prefix, self), declared_lists(entry, prefix, self)
        if not name:
            return None
        dkim, dmarc, ssl = entry.get("dkim"), entry.get("dmarc"), entry.get("ssl")
        self._claim(name, where)
        self.domains.append(
            DeclaredDomain(
                prefix,
                name,
                owner,
                entry.get("enabled"),
                entry.get("disabled_action"),
                entry.get("default_action"),
                forward_to,
                ips,
                entry.get("mailboxes") is not None,
                declared_dkim(dkim, f"{prefix}dkim.", self) if dkim is not None else None,
                declared_dmarc(dmarc, name, self.dmarc_template, f"{prefix}dmarc.", self.errors) if dmarc is not None else None,
                declared_ssl(ssl, self.ssl_defaults, f"{prefix}ssl.", self) if ssl is not None else None,
                filters,
                lists,
                entry.get("mailbox_filters"),
                entry.get("suspended"),
                reason,
            )
        )
        return name

    def _forward_to(self, entry: Entry, where: str) -> str | None:
        text = entry.get("forward_to")
        if not text:
            return None
        action = entry.get("default_action")
        if action is not None and action not in FORWARD_ACTIONS:
            remedy = "Remove forward_to, or choose forward_to_address or forward_to_domain"
            self.errors.append(MailError(f"forward_to has no meaning with default_action: {action}", where, remedy))
            return None
        wants_address = action == "forward_to_address" or (action is None and "@" in text)
        return self.convert(_names.forward_address if wants_address else _names.domain_name, text, where)

    def _mailbox_entry(self, entry: Any, where: str, domain: str) -> None:
        checked = self._checked(entry, where, MAILBOX_ENTRY, _MAILBOX_CHECKS)
        if checked is None:
            return
        name = self.convert(_names.local_part, checked["name"] or "", f"{where}.name")
        if name:
            self.mailbox(checked, f"{where}.", f"{name}@{domain}", "name")

    def mailbox(self, entry: Entry, prefix: str, address: str, named_by: str) -> None:
        """One mailbox entry whose types are right; `named_by` is the option that holds its name."""
        domain = address.rpartition("@")[2]
        self._claim(address, f"{prefix}{named_by}")
        aliases = entry.get("aliases")
        if aliases is not None:
            aliases = self.convert_list(lambda text: _alias(text, domain), aliases, f"{prefix}aliases")
            for index, alias in enumerate(aliases or ()):
                self._claim(alias, f"{prefix}aliases[{index}]")
        if entry.get("password") is not None and entry.get("password_hash") is not None:
            self.errors.append(MailError("password and password_hash exclude each other", f"{prefix}password_hash"))
        forward_to, senders, filters = entry.get("forward_to"), entry.get("senders"), entry.get("filters")
        self.mailboxes.append(
            DeclaredMailbox(
                prefix,
                address,
                self.convert(_password, entry.get("password"), f"{prefix}password"),
                self.convert(_names.password_hash, entry.get("password_hash"), f"{prefix}password_hash"),
                entry.get("update_password") or "on_create",
                self.convert(_names.quota, entry.get("quota"), f"{prefix}quota"),
                entry.get("enabled"),
                aliases,
                self.convert_list(_names.forward_address, forward_to, f"{prefix}forward_to") if forward_to is not None else None,
                entry.get("keep_copy"),
                self.convert_list(_names.sender_pattern, senders, f"{prefix}senders") if senders is not None else None,
                MailboxFilters(**declared_filters(filters, f"{prefix}filters.", self)) if filters is not None else None,
            )
        )

    def _claim(self, name: str, where: str) -> None:
        first = self._claims.setdefault(name, where)
        if first is not where:
            self.errors.append(MailError(f"{name} is declared twice, first at {first}", where))

    def _checked(self, entry: Any, where: str, spec: Spec, checks: Mapping[str, Check]) -> Entry | None:
        """The entry with its types right. ansible-core's validator is asked only where a quick look is not enough."""
        if not isinstance(entry, dict):
            self.errors.append(MailError(f"this is no dictionary but {type(entry).__name__}", where))
            return None
        if isinstance(entry.get("name"), str) and all(_is_right(checks.get(key), value) for key, value in entry.items()):
            return entry
        if isinstance(entry.get("name"), bool):
            self.errors.append(MailError("YAML reads this name as a boolean", f"{where}.name", "Put it in quotes"))
            return None
        result = ArgumentSpecValidator(spec).validate(entry)
        if result.error_messages:
            self.errors.extend(MailError(message, where) for message in result.error_messages)
            return None
        return dict(result.validated_parameters)


Check = Callable[[Any], bool]


def _is_right(check: Check | None, value: Any) -> bool:
    """Whether a value of a known option needs no conversion."""
    return check is not None and (value is None or check(value))


def _is_list_of_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(element, str) for element in value)


_CHECKS: dict[str, Check] = {
    "str": lambda value: isinstance(value, str),
    "bool": lambda value: isinstance(value, bool),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "float": lambda value: isinstance(value, (float, int)) and not isinstance(value, bool),
    "path": lambda value: isinstance(value, str) and value.startswith("/"),
    "list": _is_list_of_strings,
    "list of dict": lambda value: isinstance(value, list),
}


def _quick_check(rules: Mapping[str, Any]) -> Check:
    if "choices" in rules:
        choices = frozenset(rules["choices"])
        return lambda value: isinstance(value, (str, int)) and not isinstance(value, bool) and value in choices
    if "options" in rules:
        checks = _quick_checks(rules["options"])
        required = {option for option, rule in rules["options"].items() if rule.get("required")}
        return lambda value: (
            isinstance(value, dict) and required <= value.keys() and all(_is_right(checks.get(key), one) for key, one in value.items())
        )
    return _CHECKS["list of dict" if rules.get("elements") == "dict" else rules["type"]]


def _quick_checks(spec: Spec) -> dict[str, Check]:
    return {option: _quick_check(rules) for option, rules in spec.items()}


_DOMAIN_CHECKS = _quick_checks(DOMAIN_ENTRY)
_MAILBOX_CHECKS = _quick_checks(MAILBOX_ENTRY)
_OWNER_CHECKS = _quick_checks(OWNER)


def _alias(text: str, domain: str) -> str:
    """An alias is a local part, or an address of the mailbox' own domain."""
    local, at, named = text.rpartition("@")
    if not at:
        return f"{_names.local_part(text)}@{domain}"
    if _names.domain_name(named) != domain:
        raise ValueError(f"{_names.printable(text)} is in another domain: declare it there, as a mailbox entry with forward_to")
    return f"{_names.local_part(local)}@{domain}"


def _reason(text: str) -> str:
    if len(text) > _LONGEST_REASON or not text.isprintable():
        raise ValueError(f"a reason is one line of at most {_LONGEST_REASON} printable characters")
    return text.strip()


def _password(text: str) -> str:
    if not text or "\n" in text or "\r" in text or "\x00" in text:
        raise ValueError("a password may not be empty and may not hold a line break")
    return text
