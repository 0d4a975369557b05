# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way of mail_domain_dns: options and host -> records -> verified, published or withdrawn -> result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _audit_log, _dns_verify
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_changes import (
    Change,
    Key,
    Planned,
    RecordSet,
    diff_of,
    plan_publication,
    plan_withdrawal,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_host import Given, View, read_view
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_options import Options, options_of
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_publish import Published, publish
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import (
    DEFAULT_TTL,
    Record,
    dns_records,
    host_records,
    mx_values,
    records_of,
    retired_records,
    zone_file,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import LibraryError, MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_layout import find_layout
from ansible_collections.fleetpost.mail.plugins.module_utils._rights import Refusal, is_administrator
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import run_by


class DnsOutcome(NamedTuple):
    """What a task did, or in check mode would do. failures: of zones that could not be updated while others were."""

    result: dict[str, Any]
    warnings: tuple[str, ...] = ()
    failures: tuple[MailError, ...] = ()
    consequence: str = "the rest was done"


def run_dns(parameters: Mapping[str, Any], check_mode: bool) -> DnsOutcome:
    """Does what a task of mail_domain_dns asks for. Raises MailError."""
    try:
        return _run_dns(parameters, check_mode)
    except LibraryError as error:
        if not check_mode:
            raise
        nothing: dict[str, Any] = {"changed": False, "dns_records": [], "zone_file": "", "changes": [], "diff": []}
        told = {"verification": [], "all_ok": False} if parameters["state"] == "verified" else {}
        return DnsOutcome({**nothing, **told}, (str(error),))


def _run_dns(parameters: Mapping[str, Any], check_mode: bool) -> DnsOutcome:
    options = options_of(parameters)
    place = (options.root, options.layout, parameters["lock_timeout"], parameters["acting_as"] or "")
    given = Given(options.mail_host, options.mail_host_addresses)
    view = read_view(*place, options.names, given, options.wishes.kinds)
    unknown = _unknown(options, view)
    is_restricted = not is_administrator(parameters["acting_as"])
    if is_restricted and unknown:
        raise MailErrors(Refusal(error.where) for error in unknown)
    _check(options, view, [] if check_mode else unknown)
    records = _records(options, view, with_host=not is_restricted)
    outcome = _verified(options, view, records) if options.state == "verified" else _changed(options, view, records, check_mode)
    # In check mode an earlier task may be about to make the domain.
    return outcome._replace(warnings=(*outcome.warnings, *map(str, unknown)))


def _unknown(options: Options, view: View) -> list[MailError]:
    return [
        MailError(f"{name} is no mail domain of this host", f"domains[{index}]")
        for index, name in enumerate(options.names or ())
        if name not in view.domains
    ]


def _check(options: Options, view: View, errors: list[MailError]) -> None:
    remedy = "Run mail_domains, which writes it"
    errors.extend(MailError(problem, name, remedy) for name, problems in view.problems.items() for problem in problems)
    errors.extend(
        MailError("this domain is being removed", name, "Withdraw its records with state: absent, or leave it out")
        for name, domain in view.domains.items()
        if domain.removal and options.state != "absent"
    )
    if errors:
        raise MailErrors(errors)


def _records(options: Options, view: View, with_host: bool) -> list[Record]:
    records = [record for domain in view.domains.values() for record in records_of(domain, view.host, view.keys, options.wishes)]
    if not view.domains or options.state == "absent" or not with_host:
        # The host stays when a domain goes.
        return records
    try:
        return [*records, *host_records(view.host, options.wishes.kinds)]
    except ValueError as error:
        raise MailError(str(error), f"the certificate of {view.host.name}") from None


def _verified(options: Options, view: View, records: Sequence[Record]) -> DnsOutcome:
    verification = _dns_verify.verify(records, _mx(options, view), options.resolvers, options.seconds)
    wrong = [entry for entry in verification if entry["status"] != "ok"]
    result = {**_result(options, records), "verification": verification, "all_ok": not wrong}
    failures = tuple(MailError(_dns_verify.sentence(entry), entry["domain"]) for entry in wrong) if options.fails else ()
    return DnsOutcome(result, (), failures, "nothing was changed")


def _mx(options: Options, view: View) -> Sequence[str]:
    """The MX values that an SPF record may lean on: only those that this task sees to."""
    return mx_values(view.host, options.wishes) if "mx" in options.wishes.kinds else ()


def _result(options: Options, records: Sequence[Record], changes: Sequence[Change] = ()) -> dict[str, Any]:
    ttl = DEFAULT_TTL if options.terms.ttl is None else options.terms.ttl
    return {
        "changed": bool(changes),
        "dns_records": dns_records(records, ttl),
        "zone_file": zone_file(records, ttl),
        "changes": [_shown(change) for change in changes],
        "diff": diff_of(changes, str(options.provider.server)) if options.provider else [],
    }


def _shown(change: Change) -> dict[str, Any]:
    return {
        "zone": change.zone.rstrip("."),
        "record": change.name,
        "type": change.type,
        "added": list(change.added),
        "removed": list(change.removed),
        "ttl": change.after.ttl,
    }


def _changed(options: Options, view: View, records: list[Record], check_mode: bool) -> DnsOutcome:
    if options.provider is None:
        return DnsOutcome(_result(options, records))
    to_withdraw, warnings = _withdrawable(options, view, records)
    to_publish = records if options.state == "present" else []
    mx = _mx(options, view)

    def planner(present: Mapping[Key, RecordSet], zones: Mapping[str, str]) -> Planned:
        known = set(present)
        publication = plan_publication(_within(to_publish, known), present, zones, mx, options.terms)
        withdrawal = plan_withdrawal(_within(to_withdraw, known), present, zones)
        return Planned(publication.changes + withdrawal.changes, publication.errors)

    published = Published()
    if to_publish or to_withdraw:
        server = _dns_verify.address_of(options.provider.server, options.resolvers, options.seconds)
        provider = options.provider._replace(server=server)
        published = publish([*to_publish, *to_withdraw], planner, provider, options.seconds, check_mode)
        _log(options, published.changes, [*to_publish, *to_withdraw], check_mode)
    return DnsOutcome(_result(options, records, published.changes), warnings, published.failures)


def _log(options: Options, changes: Sequence[Change], records: Iterable[Record], check_mode: bool) -> None:
    """Tells the log which record sets were changed, and of which mail domain they are."""
    domains = {(record.name, record.type): record.domain for record in records}
    entries = [
        {
            "domain": domains.get((change.name, change.type), ""),
            "action": "publish record" if change.after.values else "withdraw record",
            "detail": f"{change.type} {change.name} in the zone {change.zone.rstrip('.')}",
            "changes": {
                field: [before, after]
                for field, before, after in (
                    ("values", list(change.before.values), list(change.after.values)),
                    ("ttl", change.before.ttl, change.after.ttl),
                )
                if before != after
            },
        }
        for change in changes
    ]
    tree = Tree(options.root)
    by = run_by("mail_domain_dns", options.acting_as, options.job)
    if check_mode:
        _audit_log.checked(tree, entries, by)
    else:
        _audit_log.append(tree, find_layout(tree, options.layout), entries, by)


def _within(records: Iterable[Record], known: set[Key]) -> list[Record]:
    return [record for record in records if (record.name, record.type) in known]


def _withdrawable(options: Options, view: View, records: Sequence[Record]) -> tuple[list[Record], tuple[str, ...]]:
    """The records that are to go: of domains whose mail still comes here, as their own name servers say; and why others stay."""
    if not options.withdraws:
        return [], ()
    wanted = list(records)
    if options.state == "present":
        wanted = [record for domain in view.domains.values() for record in retired_records(domain, view.keys)]
    elsewhere = _dns_verify.mail_goes_elsewhere(
        {record.domain for record in wanted}, _own_hosts(options, view), options.resolvers, options.seconds
    )
    staying = [record for record in wanted if record.domain in elsewhere]
    warnings = tuple(dict.fromkeys(f"{record.domain}: {elsewhere[record.domain]}, so its records stay" for record in staying))
    return [record for record in wanted if record.domain not in elsewhere], warnings


def _own_hosts(options: Options, view: View) -> set[str]:
    """The names that this host has in MX records: its own, or those of the option when it goes by others there."""
    told = {value.rpartition(" ")[2].rstrip(".") for value in options.wishes.mx}
    return told if told and view.host.name not in told else {view.host.name}
