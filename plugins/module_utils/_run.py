# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one straight line: declared and observed -> merged -> planned -> (check mode stops here) -> applied -> outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _apply, _audit_log, _observe, _servers
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import BusyError, MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._lock import host_lock
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import merge, settle, wanted_passwords
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Declaration,
    Facts,
    Host,
    Observed,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import Plan, plan, setup_warnings
from ansible_collections.fleetpost.mail.plugins.module_utils._report import (
    Action,
    actions_of,
    counts_of,
    diff_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import PutBack, Remove
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import Removing


class Request(NamedTuple):
    """How a run is done: the tree, the lock's patience in seconds, check mode, and the scheme for plain passwords."""

    root: str = "/"
    layout: str = "auto"
    lock_timeout: float = 60.0
    check_mode: bool = False
    password_scheme: str = "BLF-CRYPT"


class Outcome(NamedTuple):
    """What a run did, or in check mode would do. failures: removals that did not work out, whose lines are back."""

    changed: bool
    actions: list[Action]
    counts: Mapping[str, Mapping[str, int]]
    diff: list[dict[str, str]]
    warnings: list[str]
    failures: Sequence[_apply.Failure] = ()


class Line(NamedTuple):
    """One walk down the straight line, as far as the plan."""

    present: Host
    desired: Host
    facts: Facts
    plan: Plan
    warnings: list[str]


def run(declaration: Declaration, request: Request) -> Outcome:
    """Makes the host match the declaration, or in check mode says what that would take. Raises MailError."""
    tree = Tree(request.root)
    layout = _observe.find_layout(tree, request.layout)
    new_hashes = _hash_passwords(tree, layout, declaration, request)
    with host_lock(tree, layout, request.lock_timeout, shared=request.check_mode):
        line = walk_to_plan(tree, layout, declaration, request, new_hashes)
        outcome = _outcome(layout, line, request)
        if request.check_mode or line.plan.is_empty:
            return outcome
        _apply.walk_steps(tree, layout, line.plan.steps)
        failures = _apply.set_aside(tree, layout, line.plan.removals, time.time()) if line.plan.removals else []
    if line.plan.removals:
        failures = _finish(tree, layout, line, request, failures)
    failed = {failure.name for failure in failures}
    _audit_log.append(tree, layout, [action._asdict() for action in outcome.actions if not action.is_removal_of(failed)])
    if tree.skipped_ownership:
        outcome.warnings.append("ownership was left alone: this process may not change it")
    return outcome._replace(failures=failures)


def _hash_passwords(tree: Tree, layout: Layout, declaration: Declaration, request: Request) -> dict[str, str]:
    """Hashes what needs a hash before the lock is taken, because it is slow; the merge later takes what still matters."""
    if not any(mailbox.password is not None for mailbox in declaration.mailboxes):
        return {}
    host = _observe.read_host(_observe.read_tables(tree, layout), layout)
    hashes = {}
    for wanted in wanted_passwords(host, declaration):
        if wanted.current and _servers.password_matches(wanted.password, wanted.current):
            continue
        if request.check_mode or declaration.errors:
            hashes[wanted.address] = f"{{{request.password_scheme}}}not-hashed-in-check-mode"
        else:
            hashes[wanted.address] = _servers.hash_password(wanted.password, request.password_scheme)
    return hashes


def walk_to_plan(tree: Tree, layout: Layout, declaration: Declaration, request: Request, new_hashes: Mapping[str, str]) -> Line:
    tables = _observe.read_tables(tree, layout)
    present = _observe.read_host(tables, layout)
    owners = {domain.owner for domain in present.domains.values()} | {layout.default_owner}
    owners.update(domain.owner for domain in declaration.domains if domain.owner)
    facts = _observe.gather_facts(tree, layout, owners, strict=not request.check_mode)
    desired, warnings = merge(present, declaration, facts, new_hashes)
    observed = Observed(tables, present, _observe.read_trees(tree, layout, present, desired))
    removing = Removing(declaration.removed_mail or "keep", declaration.archive_dir, _apply.now_text())
    made = plan(layout, observed, desired, facts, removing)
    return Line(present, desired, facts, made, [*warnings, *setup_warnings(layout, observed)])


def _outcome(layout: Layout, line: Line, request: Request) -> Outcome:
    return Outcome(
        not line.plan.is_empty,
        actions_of(layout, line.plan, line.present, line.desired),
        counts_of(line.present, line.desired),
        diff_of(request.root, line.plan),
        line.warnings,
    )


def _finish(tree: Tree, layout: Layout, line: Line, request: Request, failures: list[_apply.Failure]) -> list[_apply.Failure]:
    """The second half of removals: what was set aside is disposed of, then the lines are dropped or come back."""
    failed = {failure.name for failure in failures}
    failures = failures + _apply.dispose(tree, [removal for removal in line.plan.removals if removal.name not in failed])
    failed = {failure.name for failure in failures}
    finished = frozenset(removal.name for removal in line.plan.removals if removal.name not in failed)
    with host_lock(tree, layout, request.lock_timeout):
        tables = _observe.read_tables(tree, layout)
        present = _observe.read_host(tables, layout)
        # What another run is at keeps its tombstone until that one is through.
        busy = {failure.name for failure in failures if isinstance(failure.error, BusyError)}
        failures = [failure for failure in failures if failure.name not in busy]
        to_restore = [removal for removal in line.plan.removals if removal.name in failed - busy]
        restored, failures = _put_back(tree, present, line.facts, to_restore, failures)
        desired = settle(present, restored)
        observed = Observed(tables, present, _observe.read_trees(tree, layout, present, desired))
        made = plan(layout, observed, desired, line.facts, Removing("keep", "", "", finished))
        _apply.walk_steps(tree, layout, made.steps)
    return failures


def _put_back(
    tree: Tree, present: Host, facts: Facts, removals: Sequence[Remove], failures: list[_apply.Failure]
) -> tuple[frozenset[str], list[_apply.Failure]]:
    """The names whose mail is back in its place; what cannot be put back keeps its tombstone for the next run."""
    restored = set()
    for removal in removals:
        domain = present.domains.get(domain_of(removal.name) or removal.name)
        owner = facts.users.get(domain.owner) if domain else None
        if owner is None:
            continue
        try:
            if removal.source is not None:
                _apply.put_back(tree, PutBack(removal.name, removal.target, removal.source, owner))
            restored.add(removal.name)
        except MailError as error:
            failures = [*failures, _apply.Failure(removal.name, error)]
    return frozenset(restored), failures
