# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host can filter as it is declared, and whether thresholds go together. No IO."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import AS_THE_DOMAIN, Filters, MailboxFilters
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    FILTERING_EXIM_FORMAT,
    Address,
    Declaration,
    DeclaredDomain,
    DeclaredMailbox,
    Domain,
    Facts,
    Host,
    Mailbox,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._validate import Found, check_exim, lacking

_NOTHING = Found()
_THRESHOLDS = frozenset(("spam_threshold", "spam_reject_threshold"))
# The options that have an Exim configuration do something; the others only say how.
_SWITCHES = ("greylisting", "spamassassin", "antivirus", "outgoing_limit")


class Scanner(NamedTuple):
    """A program that a filter needs: its name, and the role that installs it."""

    program: str
    role: str


SCANNERS: Mapping[str, Scanner] = {
    "spamassassin": Scanner("SpamAssassin", "fleetpost.mail.spamassassin"),
    "antivirus": Scanner("ClamAV", "fleetpost.mail.clamav"),
}


def check_domain_filters(declared: DeclaredDomain, facts: Facts) -> Found:
    """Whether the host can do what a domain declares of filters and lists."""
    if not declared.filters and not declared.lists:
        return _NOTHING
    return _check({**declared.filters, **declared.lists}, declared.where, facts)


def check_mailbox_filters(declared: DeclaredMailbox, facts: Facts) -> Found:
    """The same of a mailbox."""
    if declared.filters is None or declared.filters == AS_THE_DOMAIN:
        return _NOTHING
    return _check(declared.filters._asdict(), f"{declared.where}filters.", facts)


def _check(said: Mapping[str, Any], prefix: str, facts: Facts) -> Found:
    wanted = [option for option, value in said.items() if value and (option in _SWITCHES or isinstance(value, tuple))]
    if not wanted:
        return _NOTHING
    found = check_exim(facts, FILTERING_EXIM_FORMAT, "was written before filters and does not filter", f"{prefix}{wanted[0]}")
    if found.errors or found.warnings or facts.scanners is None:
        return found
    lacks = [
        lacking(
            facts,
            f"{scanner.program} is not installed on this host",
            f"{prefix}{option}",
            f"Run the role {scanner.role}, then fleetpost.mail.exim",
        )
        for option, scanner in SCANNERS.items()
        if option in wanted and option not in facts.scanners
    ]
    return Found(tuple(error for one in lacks for error in one.errors), tuple(text for one in lacks for text in one.warnings))


def check_end_state(after: Host, declaration: Declaration) -> Iterator[MailError]:
    """What does not go together in the filters of the domains and mailboxes that a run declares."""
    yield from _check_thresholds(after, declaration)
    yield from _check_own_filters(after, declaration)


def may_not_differ(address: Address, domains: Mapping[str, Domain]) -> bool:
    """Whether this is a mailbox with filters of its own in a domain that allows none."""
    domain = domains.get(domain_of(address.address))
    return isinstance(address, Mailbox) and address.filters != AS_THE_DOMAIN and domain is not None and not domain.mailbox_filters


def _check_own_filters(after: Host, declaration: Declaration) -> Iterator[MailError]:
    """A mailbox differs from its domain only where that allows it."""
    declared = {one.address: one for one in declaration.mailboxes if one.filters}
    forbidding = {one.name: one for one in declaration.domains if one.mailbox_filters is False}
    for address in after.addresses.values() if forbidding else [after.addresses[name] for name in declared if name in after.addresses]:
        name = domain_of(address.address)
        if not may_not_differ(address, after.domains):
            continue
        if address.address in declared:
            remedy = f"Leave them out, or let the mailboxes of {name} differ with mailbox_filters: true"
            yield MailError(f"{name} has mailbox_filters: false", f"{declared[address.address].where}filters", remedy)
        elif name in forbidding:
            message, remedy = f"{address.address} has filters of its own", "Take them from it with filters: {}, in the same run or before"
            yield MailError(message, f"{forbidding[name].where}mailbox_filters", remedy)


def _check_thresholds(after: Host, declaration: Declaration) -> Iterator[MailError]:
    """No message may be rejected as spam that is none.

    Held against the end state, for the domains and mailboxes whose thresholds this run declares, and for mailboxes that have a part of
    theirs from such a domain.
    """
    domains = {one.name: one for one in declaration.domains if not _THRESHOLDS.isdisjoint(one.filters)}
    for name, declared in domains.items():
        domain = after.domains.get(name)
        if domain and _is_below(domain.filters):
            yield _below(name, domain.filters, declared.where, declared.filters)
    mailboxes = {one.address: one for one in declaration.mailboxes if one.filters and _has_threshold(one.filters)}
    for address in after.addresses.values() if domains else [after.addresses.get(name) for name in mailboxes]:
        if not isinstance(address, Mailbox) or not _has_threshold(address.filters):
            continue
        name = domain_of(address.address)
        domain = after.domains.get(name)
        effective = _effective(domain.filters, address.filters) if domain else Filters()
        if not _is_below(effective):
            continue
        if address.address in mailboxes:
            where = f"{mailboxes[address.address].where}filters."
            yield _below(address.address, effective, where, _said(address.filters))
        elif name in domains:
            yield _below(address.address, effective, domains[name].where, domains[name].filters)


def _has_threshold(filters: MailboxFilters) -> bool:
    return filters.spam_threshold is not None or filters.spam_reject_threshold is not None


def _said(filters: MailboxFilters) -> dict[str, Any]:
    return {option: value for option, value in filters._asdict().items() if value is not None}


def _effective(filters: Filters, own: MailboxFilters) -> Filters:
    return filters._replace(**_said(own))


def _is_below(filters: Filters) -> bool:
    return 0 < filters.spam_reject_threshold < filters.spam_threshold


def _below(name: str, filters: Filters, prefix: str, said: Mapping[str, Any]) -> MailError:
    option = "spam_reject_threshold" if "spam_reject_threshold" in said else "spam_threshold"
    return MailError(
        f"{name} would reject from {filters.spam_reject_threshold} points on, and what is spam begins at {filters.spam_threshold}",
        f"{prefix}{option}",
        "spam_reject_threshold is 0 for none, or not below spam_threshold",
    )
