# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has: the way from its files to the result of `mail_domain_info`."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _mail_tree
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_files import look_at_certificates
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_health import state_of
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._gather import declaration_of, problems_of, sizes_of, wanted_scanners
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._lock import host_lock
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Declaration, Facts, Host
from ansible_collections.fleetpost.mail.plugins.module_utils._observe import read_host, read_tables
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_layout import find_layout
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._report import actions_of
from ansible_collections.fleetpost.mail.plugins.module_utils._run import Line, Prepared, Request, walk_to_plan
from ansible_collections.fleetpost.mail.plugins.module_utils._scanner_client import silent_scanners
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import shown_signing
from ansible_collections.fleetpost.mail.plugins.module_utils._tls_client import fingerprints_shown


class Question(NamedTuple):
    """What is asked: domains by name (none: all) and owner, whether their use is counted, a file to export to, and whether the
    running servers are asked which certificates they show.
    """

    names: Collection[str] = ()
    owner: str | None = None
    with_use: bool = True
    export_file: str | None = None
    with_tls: bool = False


# Where TLS begins with the connection.
_TLS_PORTS = {465: "Exim", 993: "Dovecot"}

DnsCheck = Callable[[Tree, Layout, Host, Collection[str]], Mapping[str, tuple[list[dict[str, Any]], list[str]]]]
"""What name servers say of domains: a verdict for each record, and problems as sentences. Handed in: no other module carries it."""


class Inventory(NamedTuple):
    """The answer. domains: in mail_domains' input shape. status: one dictionary a domain. certificates: one a certificate of these
    domains, and of the host. changed: the export was written.
    """

    domains: list[dict[str, Any]]
    status: list[dict[str, Any]]
    certificates: list[dict[str, Any]]
    changed: bool


def take_inventory(request: Request, question: Question, check_dns: DnsCheck | None = None) -> Inventory:
    """What the host has, and with `check_dns` what the DNS says of it. Raises MailError."""
    tree = Tree(request.root)
    layout = find_layout(tree, request.layout)
    with host_lock(tree, layout, request.lock_timeout, shared=True):
        line = walk_to_plan(tree, layout, Declaration(), request._replace(check_mode=True), Prepared(), every_key=True)
    host = line.present._replace(keys={file: found.key for file, found in line.facts.keys.items() if found.key})
    names = sorted(
        name
        for name, domain in host.domains.items()
        if (not question.names or name in question.names) and question.owner in (None, domain.owner)
    )
    drift = actions_of(layout, line.plan, host, line.desired.host)
    facts = line.facts._replace(silent=_silent(line.facts, host, names)) if tree.is_host else line.facts
    problems = problems_of(host, facts, drift, line.warnings)
    certificates = _certificates(layout, line, names, question.with_tls)
    for certificate in certificates:
        for name in certificate["domains"]:
            problems.setdefault(name, []).extend(certificate["problems"])
    status = _status(tree, layout, host, names, problems, question.with_use)
    if check_dns:
        _add_dns(status, check_dns(tree, layout, host, names))
    changed = False
    if question.export_file:
        entries = declaration_of(host, names, with_hashes=True)
        changed = _export(tree, question.export_file, entries, request.check_mode)
    return Inventory(declaration_of(host, names), status, certificates, changed)


def _silent(facts: Facts, host: Host, names: Collection[str]) -> dict[str, str]:
    """Why scanners do not answer. One that nobody here wants is not asked: it may keep us waiting for seconds."""
    wanted = wanted_scanners(host, names)
    return silent_scanners({option: place for option, place in (facts.scanners or {}).items() if option in wanted})


def _certificates(layout: Layout, line: Line, names: Collection[str], with_tls: bool) -> list[dict[str, Any]]:
    """The state of the certificates of the domains, and of those that belong to no domain."""
    users: dict[str, list[str]] = {}
    for name, domain in sorted(line.present.domains.items()):
        if domain.certificate:
            users.setdefault(domain.certificate, []).append(name)
    present = (one for _name, one in sorted(line.present.certificates.items()) if not one.is_removing)
    wanted = [one for one in present if one.name not in users or not set(users[one.name]).isdisjoint(names)]
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


def _status(
    tree: Tree, layout: Layout, host: Host, names: list[str], problems: Mapping[str, list[str]], with_use: bool
) -> list[dict[str, Any]]:
    sizes = sizes_of(host)
    status = []
    for name in names:
        found = list(problems.get(name, ()))
        entry = {
            "name": name,
            "healthy": not found,
            "problems": found,
            "mail_directory": layout.domain_tree(name),
            "signing": shown_signing(host.domains[name].dkim),
            **{kind: sizes[name][kind] if name in sizes else 0 for kind in ("mailboxes", "aliases", "forwards")},
        }
        if with_use:
            entry["bytes"], entry["files"] = _mail_tree.usage(tree, layout.domain_tree(name))
        status.append(entry)
    return status


def _add_dns(status: list[dict[str, Any]], checked: Mapping[str, tuple[list[dict[str, Any]], list[str]]]) -> None:
    for entry in status:
        entry["dns"], problems = checked[entry["name"]]
        entry["problems"].extend(problems)
        entry["healthy"] = not entry["problems"]


def _export(tree: Tree, path: str, entries: list[dict[str, Any]], check_mode: bool) -> bool:
    """Writes the declaration for root alone; True when that changes the file."""
    content = (json.dumps({"domains": entries}, indent=1) + "\n").encode()
    wanted = Ownership(0, 0, 0o600)
    status = tree.lstat(path)
    is_right = status is not None and (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == tuple(wanted)
    if is_right and tree.read(path) == content:
        return False
    if not check_mode:
        tree.write_files([(path, content, wanted)])
    return True
