# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has: the way from its files to the result of `mail_domain_info`."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _mail_tree
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_files import look_at_certificates
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_health import state_of
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import Declaration
from ansible_collections.fleetpost.mail.plugins.module_utils._export import export
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._gather import (
    declaration_of,
    owner_entry,
    problems_of,
    sizes_of,
    wanted_scanners,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._generations import generations
from ansible_collections.fleetpost.mail.plugins.module_utils._history import histories, last_changes
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._lock import host_lock
from ansible_collections.fleetpost.mail.plugins.module_utils._log_files import log_lines
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Domain,
    Facts,
    Host,
    Mailbox,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import iso_text
from ansible_collections.fleetpost.mail.plugins.module_utils._observe import read_host, read_tables
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_layout import find_layout
from ansible_collections.fleetpost.mail.plugins.module_utils._report import actions_of
from ansible_collections.fleetpost.mail.plugins.module_utils._scanner_client import silent_scanners
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import shown_signing
from ansible_collections.fleetpost.mail.plugins.module_utils._tls_client import fingerprints_shown
from ansible_collections.fleetpost.mail.plugins.module_utils._walk import Line, Prepared, Request, walk_to_plan


class Question(NamedTuple):
    """What is asked: domains by name or pattern (none: all), owner, reseller and whether they are on; whether their use is counted, in
    whole and for each mailbox, and their health is judged; a file to export to, and whether the running servers are asked which
    certificates they show. history_limit: of how many lines of the log for a domain; None for none.
    """

    names: Collection[str] = ()
    owner: str | None = None
    reseller: str | None = None
    enabled: bool | None = None
    with_use: bool = True
    with_health: bool = True
    with_mailboxes: bool = False
    export_file: str | None = None
    with_tls: bool = False
    history_limit: int | None = None


# Where TLS begins with the connection.
_TLS_PORTS = {465: "Exim", 993: "Dovecot"}

DnsCheck = Callable[[Tree, Layout, Host, Collection[str]], Mapping[str, tuple[list[dict[str, Any]], list[str]]]]
"""What name servers say of domains: a verdict for each record, and problems as sentences. Handed in: no other module carries it."""


class Inventory(NamedTuple):
    """The answer. domains, owners: in mail_domains' input shape. status: one dictionary a domain. certificates: one a certificate of
    these domains, and of the host. changed: the export was written. generations: what mail_domains can go back to, the oldest first.
    """

    domains: list[dict[str, Any]]
    owners: list[dict[str, Any]]
    status: list[dict[str, Any]]
    certificates: list[dict[str, Any]]
    changed: bool
    generations: list[dict[str, Any]]


def take_inventory(request: Request, question: Question, check_dns: DnsCheck | None = None) -> Inventory:
    """What the host has, and with `check_dns` what the DNS says of it. Raises MailError."""
    tree = Tree(request.root)
    layout = find_layout(tree, request.layout)
    with host_lock(tree, layout, request.lock_timeout, shared=True):
        line = walk_to_plan(tree, layout, Declaration(), request._replace(check_mode=True), Prepared(), every_key=question.with_health)
    host = line.present._replace(keys={file: found.key for file, found in line.facts.keys.items() if found.key})
    names = [name for name, domain in sorted(line.seen.domains.items()) if _is_asked(question, domain, host)]
    status = _status(layout, host, names)
    certificates = _certificates(layout, line, names, question.with_tls) if question.with_health else []
    if question.with_health:
        _add_health(status, _problems(tree, line, layout, host, names, certificates))
        _add_ages(tree, layout, host, status)
    _add_use(tree, layout, host, status, question)
    if check_dns:
        _add_dns(status, check_dns(tree, layout, host, names))
    _add_history(tree, layout, status, host, question.history_limit)
    owners = [owner_entry(owner) for _name, owner in sorted(line.seen.owners.items())]
    changed = False
    if question.export_file:
        entries = declaration_of(host, names, with_hashes=True)
        changed = export(tree, question.export_file, {"domains": entries, "owners": owners}, request.check_mode)
    kept = [generation.shown for generation in generations(tree, layout)] if line.sees_all else []
    return Inventory(declaration_of(host, names), owners, status, certificates, changed, kept)


def _is_asked(question: Question, domain: Domain, host: Host) -> bool:
    owner = host.owners.get(domain.owner)
    return (
        (not question.names or any(fnmatchcase(domain.name, pattern) for pattern in question.names))
        and question.owner in (None, domain.owner)
        and (question.reseller is None or (owner is not None and owner.reseller == question.reseller))
        and question.enabled in (None, domain.is_on)
    )


def _problems(
    tree: Tree, line: Line, layout: Layout, host: Host, names: Collection[str], certificates: list[dict[str, Any]]
) -> dict[str, list[str]]:
    drift = actions_of(layout, line.plan, host, line.whole)
    facts = line.facts._replace(silent=_silent(line.facts, host, names)) if tree.is_host else line.facts
    problems = problems_of(host, facts, drift, line.warnings)
    for certificate in certificates:
        for name in certificate["domains"]:
            problems.setdefault(name, []).extend(certificate["problems"])
    return problems


def _silent(facts: Facts, host: Host, names: Collection[str]) -> dict[str, str]:
    """Why scanners do not answer. One that nobody here wants is not asked: it may keep us waiting for seconds."""
    wanted = wanted_scanners(host, names)
    return silent_scanners({option: place for option, place in (facts.scanners or {}).items() if option in wanted})


def _certificates(layout: Layout, line: Line, names: Collection[str], with_tls: bool) -> list[dict[str, Any]]:
    """The state of the certificates of the domains, and for the administrator of those that belong to no domain."""
    users: dict[str, list[str]] = {}
    for name, domain in sorted(line.seen.domains.items()):
        if domain.certificate:
            users.setdefault(domain.certificate, []).append(name)
    present = (one for _name, one in sorted(line.present.certificates.items()) if not one.is_removing)
    wanted = [one for one in present if (not set(users[one.name]).isdisjoint(names) if one.name in users else line.sees_all)]
    found = line.facts.certifying.found
    states = [{**state_of(one, found[one.name], layout, line.facts.now), "domains": users.get(one.name, [])} for one in wanted]
    if with_tls:
        _add_tls(states, line.facts)
    return states


def _add_tls(states: list[dict[str, Any]], facts: Facts) -> None:
    """What the running servers really show. A wildcard is asked for by a name that it stands for."""
    asked = {name: name.replace("*", "any-name", 1) for state in states for name in state["names"]}
    for port, server in _TLS_PORTS.items():
        shown = fingerprints_shown(list(asked.values()), port, facts.ip_addresses or ())
        for state in states:
            answers = {name: shown[asked[name]] for name in state["names"]}
            state.setdefault("tls", {})[str(port)] = all(answer == state["fingerprint"] for answer in answers.values())
            wrong = [name for name, answer in answers.items() if answer != state["fingerprint"]]
            if wrong:
                answer = answers[wrong[0]]
                why = answer if " " in answer else "it shows another certificate"
                state["problems"].append(f"{server} on port {port} does not show the certificate {state['name']} for {wrong[0]}: {why}")


def certificate_state(request: Request, name: str) -> dict[str, Any]:
    """The state of the certificate of one domain, or of the host under its own name; empty when there is none."""
    tree = Tree(request.root)
    layout = find_layout(tree, request.layout)
    host = read_host(read_tables(tree, layout), layout)
    domain = host.domains.get(name)
    certificate = host.certificates.get(domain.certificate if domain else name)
    if certificate is None:
        return {}
    found = look_at_certificates(tree, layout, [certificate.name], False)
    return state_of(certificate, found[certificate.name], layout, time.time())


def _status(layout: Layout, host: Host, names: list[str]) -> list[dict[str, Any]]:
    sizes = sizes_of(host)
    return [
        {
            "name": name,
            "is_on": host.domains[name].is_on,
            "suspended_reason": host.domains[name].suspended_reason,
            "mail_directory": layout.domain_tree(name),
            "signing": shown_signing(host.domains[name].dkim),
            **{kind: sizes[name][kind] if name in sizes else 0 for kind in ("mailboxes", "aliases", "forwards")},
        }
        for name in names
    ]


def _add_health(status: list[dict[str, Any]], problems: Mapping[str, list[str]]) -> None:
    for entry in status:
        entry["problems"] = list(problems.get(entry["name"], ()))
        entry["healthy"] = not entry["problems"]


def _add_ages(tree: Tree, layout: Layout, host: Host, status: list[dict[str, Any]]) -> None:
    """Since when the keys sign as they are: the time of their files, of two keys the older one."""
    for entry in status:
        dkim = host.domains[entry["name"]].dkim
        found = [tree.lstat(layout.private_key(key.file)) for key in (dkim.keys if dkim else ())]
        times = [one.st_mtime for one in found if one]
        entry["signing_since"] = iso_text(min(times)) if times else ""


def _add_use(tree: Tree, layout: Layout, host: Host, status: list[dict[str, Any]], question: Question) -> None:
    """What the domains take up, and each of their mailboxes, as far as it is asked."""
    entries = {entry["name"]: entry for entry in status}
    for name, entry in entries.items() if question.with_use else ():
        entry["bytes"], entry["files"] = _mail_tree.usage(tree, layout.domain_tree(name))
    if not question.with_mailboxes:
        return
    for entry in status:
        entry["mailbox_use"] = []
    for address, one in sorted(host.addresses.items()):
        domain = domain_of(address)
        if isinstance(one, Mailbox) and domain in entries:
            size, files = _mail_tree.usage(tree, layout.mailbox_tree(address))
            entries[domain]["mailbox_use"].append({"address": address, "quota": one.quota or "none", "bytes": size, "files": files})


def _add_history(tree: Tree, layout: Layout, status: list[dict[str, Any]], host: Host, limit: int | None) -> None:
    """What the log says of each domain; of all its files only when that is asked for, as unpacking takes its time."""
    certificates = {entry["name"]: host.domains[entry["name"]].certificate for entry in status}
    if limit is None:
        last = last_changes(log_lines(tree, layout, with_zipped=False), certificates)
        for entry in status:
            entry["last_change"] = last.get(entry["name"], "")
        return
    found = histories(log_lines(tree, layout, with_zipped=True), certificates, limit)
    for entry in status:
        entry["history"] = found.get(entry["name"], [])
        entry["last_change"] = entry["history"][-1]["time"] if entry["history"] else ""


def _add_dns(status: list[dict[str, Any]], checked: Mapping[str, tuple[list[dict[str, Any]], list[str]]]) -> None:
    for entry in status:
        entry["dns"], problems = checked[entry["name"]]
        entry["problems"] = [*entry.get("problems", ()), *problems]
        entry["healthy"] = not entry["problems"]
