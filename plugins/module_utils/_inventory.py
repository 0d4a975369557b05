# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has: the way from its files to the result of `mail_domain_info`."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _mail_tree, _observe
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._gather import declaration_of, problems_of, sizes_of
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._lock import host_lock
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Declaration, Host, Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._report import actions_of
from ansible_collections.fleetpost.mail.plugins.module_utils._run import Prepared, Request, walk_to_plan
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import shown_signing


class Question(NamedTuple):
    """What is asked: domains by name (none: all) and owner, whether their use is counted, and a file to export to."""

    names: Collection[str] = ()
    owner: str | None = None
    with_use: bool = True
    export_file: str | None = None


DnsCheck = Callable[[Tree, Layout, Host, Collection[str]], Mapping[str, tuple[list[dict[str, Any]], list[str]]]]
"""What name servers say of domains: a verdict for each record, and problems as sentences. Handed in: no other module carries it."""


class Inventory(NamedTuple):
    """The answer. domains: in mail_domains' input shape. status: one dictionary a domain. changed: the export was written."""

    domains: list[dict[str, Any]]
    status: list[dict[str, Any]]
    changed: bool


def take_inventory(request: Request, question: Question, check_dns: DnsCheck | None = None) -> Inventory:
    """What the host has, and with `check_dns` what the DNS says of it. Raises MailError."""
    tree = Tree(request.root)
    layout = _observe.find_layout(tree, request.layout)
    with host_lock(tree, layout, request.lock_timeout, shared=True):
        line = walk_to_plan(tree, layout, Declaration(), request._replace(check_mode=True), Prepared(), every_key=True)
    host = line.present._replace(keys={file: found.key for file, found in line.facts.keys.items() if found.key})
    names = sorted(
        name
        for name, domain in host.domains.items()
        if (not question.names or name in question.names) and question.owner in (None, domain.owner)
    )
    drift = actions_of(layout, line.plan, host, line.desired.host)
    problems = problems_of(host, line.facts, drift, line.warnings)
    status = _status(tree, layout, host, names, problems, question.with_use)
    if check_dns:
        _add_dns(status, check_dns(tree, layout, host, names))
    changed = False
    if question.export_file:
        entries = declaration_of(host, names, with_hashes=True)
        changed = _export(tree, question.export_file, entries, request.check_mode)
    return Inventory(declaration_of(host, names), status, changed)


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
