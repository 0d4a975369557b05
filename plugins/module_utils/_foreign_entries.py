# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found on a foreign host -> entries that mail_domains accepts. What it would refuse is noted and left out. No IO."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_domains
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._foreign import Findings, FoundAddress
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import merge
from ansible_collections.fleetpost.mail.plugins.module_utils._model import NO_HOST, Facts, domain_of, local_part_of
from ansible_collections.fleetpost.mail.plugins.module_utils._validate import without_plus

Entry = dict[str, Any]

_PLACE = re.compile(r"domains\[(\d+)\](?:\.mailboxes\[(\d+)\])?(?:\.(\w+))?")
# Of a host on which everything is there: whether it really is, the run says that makes the domains.
_ANY_HOST = Facts(MappingProxyType({}), None, frozenset(), None, None, None, strict=False)


def entries_of(findings: Findings) -> list[Entry]:
    """The entries, with secrets. Alters the findings: what has no place in them is noted there."""
    _leave_out_missing_targets(findings)
    while True:
        entries = _entries(findings)
        errors = _errors_of(entries)
        if not errors:
            return entries
        for error in errors:
            _leave_out(error, entries, findings)
        _leave_out_missing_targets(findings)


def without_secrets(entries: list[Entry]) -> list[Entry]:
    """The entries as a result may show them."""
    return [_without_secrets(entry) for entry in entries]


def _without_secrets(entry: Entry) -> Entry:
    shown = {option: value for option, value in entry.items() if option != "dkim"}
    if "dkim" in entry:
        shown["dkim"] = {option: value for option, value in entry["dkim"].items() if option != "private_key"}
    mailboxes = entry["mailboxes"]
    shown["mailboxes"] = [{option: value for option, value in one.items() if option != "password_hash"} for one in mailboxes]
    return shown


def _leave_out_missing_targets(findings: Findings) -> None:
    """Forwards to addresses that do not exist here bounce today; mail_domains refuses them."""
    changed = True
    while changed:
        changed = False
        for address, found in list(findings.addresses.items()):
            changed |= _leave_out_missing(address, found, findings)
    for name, domain in findings.domains.items():
        target = domain.options.get("forward_to", "")
        is_there = target in findings.domains if "@" not in target else not _is_missing(target, findings)
        if target and (not is_there or target == name):
            findings.loses(domain.where, f"{name} sends mail for unknown addresses to {target}, which is not there: here it is rejected")
            del domain.options["forward_to"], domain.options["default_action"]


def _leave_out_missing(address: str, found: FoundAddress, findings: Findings) -> bool:
    missing = [target for target in found.targets if _is_missing(target, findings) or without_plus(target) == address]
    for target in missing:
        findings.loses(found.where, f"{address} forwards to {target}, which is not there: left out")
    found.targets = [target for target in found.targets if target not in missing]
    if not found.targets and not found.password_hash:
        del findings.addresses[address]
        return True
    return False


def _is_missing(target: str, findings: Findings) -> bool:
    return domain_of(target) in findings.domains and without_plus(target) not in findings.addresses


def _entries(findings: Findings) -> list[Entry]:
    aliases: defaultdict[str, list[str]] = defaultdict(list)
    others: list[tuple[str, FoundAddress]] = []
    for address, found in sorted(findings.addresses.items()):
        mailbox = _mailbox_of_alias(address, found, findings)
        if mailbox:
            aliases[mailbox].append(local_part_of(address))
        else:
            others.append((address, found))
    mailboxes: defaultdict[str, list[Entry]] = defaultdict(list)
    for address, found in others:
        mailboxes[domain_of(address)].append(_mailbox_entry(address, found, aliases[address]))
    return [{"name": name, **findings.domains[name].options, "mailboxes": mailboxes[name]} for name in sorted(findings.domains)]


def _mailbox_of_alias(address: str, found: FoundAddress, findings: Findings) -> str:
    """The mailbox of the same domain that an address is just another name of; empty for anything else."""
    if found.password_hash or len(found.targets) != 1 or not found.enabled or domain_of(found.targets[0]) != domain_of(address):
        return ""
    target = found.targets[0].lower()
    return target if target in findings.addresses and findings.addresses[target].password_hash else ""


def _mailbox_entry(address: str, found: FoundAddress, aliases: list[str]) -> Entry:
    entry: Entry = {"name": local_part_of(address)}
    if found.password_hash:
        entry["password_hash"] = found.password_hash
    if found.quota:
        entry["quota"] = found.quota
    if not found.enabled:
        entry["enabled"] = False
    if aliases:
        entry["aliases"] = aliases
    if found.targets:
        entry["forward_to"] = found.targets
        if not found.keep_copy or not found.password_hash:
            entry["keep_copy"] = False
    if found.outgoing_limit and found.password_hash:
        entry["filters"] = {"outgoing_limit": found.outgoing_limit}
    return entry


def _errors_of(entries: list[Entry]) -> tuple[MailError, ...]:
    """What our own modules refuse in the entries."""
    declaration = declaration_of_domains(entries, {})
    # Whether a key can be taken over is judged by the host it comes to.
    declaration = declaration._replace(domains=tuple(domain._replace(dkim=None) for domain in declaration.domains))
    try:
        merge(NO_HOST, declaration, _ANY_HOST, {})
    except MailErrors as error:
        return error.errors
    return ()


def _leave_out(error: MailError, entries: list[Entry], findings: Findings) -> None:
    """Takes out of the findings what an error is about: an address, an option of a domain, or a domain."""
    place = _PLACE.match(error.where)
    if not place:
        raise error
    entry = entries[int(place.group(1))]
    name, option = entry["name"], place.group(3)
    if name not in findings.domains:
        return
    if place.group(2) is not None:
        address = f"{entry['mailboxes'][int(place.group(2))]['name']}@{name}"
        if address in findings.addresses:
            findings.loses(findings.addresses.pop(address).where, f"{address} is left out: {error.message}")
        return
    domain = findings.domains[name]
    if option in domain.options:
        findings.loses(domain.where, f"{option} of {name} is left out: {error.message}")
        for gone in ("default_action", "forward_to") if option in ("default_action", "forward_to") else (option,):
            domain.options.pop(gone, None)
        return
    findings.loses(domain.where, f"{name} is left out with its addresses: {error.message}")
    del findings.domains[name]
    for address in [one for one in findings.addresses if domain_of(one) == name]:
        del findings.addresses[address]


def maildirs(findings: Findings) -> Iterator[dict[str, str]]:
    """Where the mail of each mailbox is that was taken over."""
    for address, found in sorted(findings.addresses.items()):
        if found.password_hash and found.home:
            yield {"address": address, "path": found.home}
