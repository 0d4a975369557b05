# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one straight line: declared and observed -> merged -> planned -> (check mode stops here) -> applied -> outcome."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _apply, _audit_log, _observe, _servers
from ansible_collections.fleetpost.mail.plugins.module_utils._acme import Ordered, forget_lineages, order_certificates
from ansible_collections.fleetpost.mail.plugins.module_utils._capture import Capture
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_lines import drop_tombstones
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_maker import make_certificates
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import Declaration
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import record_name
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_client import system_resolvers
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_sight import dkim_sights
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import BusyError, MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._key_maker import make_keys
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._lock import host_lock
from ansible_collections.fleetpost.mail.plugins.module_utils._log_entries import entries_of
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import Desired, wanted_passwords
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Facts,
    Host,
    Observed,
    PublicKey,
    Sight,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import moment_text
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_certificates import gather_certificate_facts
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_layout import find_layout
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import Plan, plan
from ansible_collections.fleetpost.mail.plugins.module_utils._renewal import install_renewed
from ansible_collections.fleetpost.mail.plugins.module_utils._report import (
    Action,
    actions_of,
    counts_of,
    diff_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._restore import restoration_of, stage, tidy_up
from ansible_collections.fleetpost.mail.plugins.module_utils._rights import Refusal
from ansible_collections.fleetpost.mail.plugins.module_utils._run_log import RunLog
from ansible_collections.fleetpost.mail.plugins.module_utils._settle import settle
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import Waiting
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import PutBack, Remove
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import Removing
from ansible_collections.fleetpost.mail.plugins.module_utils._view import view_of
from ansible_collections.fleetpost.mail.plugins.module_utils._walk import Line, Prepared, Request, walk_to_plan

# How often a run looks again after it has made keys or asked the DNS outside the lock. Twice is enough, unless others run meanwhile.
_ROUNDS = 6


class Outcome(NamedTuple):
    """What a run did, or in check mode would do. failures: removals that did not work out, whose lines are back, and certificates
    that were ordered in vain, in whose place the old ones go on being shown.

    waiting: what cannot go on yet. desired: the host as it is afterwards.
    """

    changed: bool
    actions: list[Action]
    counts: Mapping[str, Mapping[str, int]]
    diff: list[dict[str, str]]
    warnings: list[str]
    desired: Host
    waiting: Sequence[Waiting] = ()
    failures: Sequence[MailError] = ()


def run(declaration: Declaration, request: Request) -> Outcome:
    """Makes the host match the declaration, or in check mode says what that would take. Raises MailError."""
    tree = Tree(request.root)
    layout = find_layout(tree, request.layout)
    prepared = Prepared(_hash_passwords(tree, layout, declaration, request), restoration=restoration_of(tree, layout, declaration))
    for _round in range(_ROUNDS):
        with host_lock(tree, layout, request.lock_timeout, shared=request.check_mode):
            line = walk_to_plan(tree, layout, declaration, request, prepared)
            if not line.desired.looks and (request.check_mode or not line.makes):
                outcome = _outcome(layout, line, request)
                if request.check_mode:
                    _audit_log.checked(tree, [action._asdict() for action in outcome.actions], request.by)
                    return outcome
                log, capture = _walk_steps(tree, layout, line, declaration, request, outcome)
                if prepared.restoration:
                    tidy_up(tree, layout, prepared.restoration)
                if line.plan.is_empty:
                    return outcome
                removals = line.plan.removals
                failures = _apply.set_aside(tree, layout, removals, time.time(), capture) if removals else []
                break
        prepared = _prepare(line.desired, prepared, request)
        if line.restoring and line.mail_owner and line.stages and not request.check_mode:
            prepared = prepared._replace(restoration=stage(tree, layout, line.restoring, line.mail_owner))
    else:
        raise BusyError("other runs changed what this one was about to do", remedy="Run it again")
    plans = [line.plan]
    if line.plan.removals:
        failures, settled = _finish(tree, layout, line, request, failures)
        plans.append(settled)
    log.tell_of_removals(failures)
    if tree.skipped_ownership:
        outcome.warnings.append("ownership was left alone: this process may not change it")
    outcome.warnings.extend(_release(tree, layout, plans, request))
    told = [failure for failure in failures if (domain_of(failure.name) or failure.name) in line.seen.domains]
    not_removed = [MailError(f"{failure.name} was not removed: {failure.error}") for failure in told]
    return outcome._replace(failures=[*not_removed, *_certify(tree, layout, line, request)])


def _walk_steps(
    tree: Tree, layout: Layout, line: Line, declaration: Declaration, request: Request, outcome: Outcome
) -> tuple[RunLog, Capture]:
    """Carries out the steps of the plan. Returns its log, and the settings of what is removed."""
    log = RunLog(tree, layout, line.plan, _entries(layout, line, outcome), request.by)
    capture = Capture(tree, layout, line.present, line.whole.domains.values())
    if not line.plan.is_empty:
        log.begin(declaration.restore_generation)
        with log.failures_told():
            capture.write(line.plan.removals)
            _apply.walk_steps(tree, layout, line.plan.steps)
        log.tell_of_changes()
    return log, capture


def note_refusals(errors: Sequence[MailError], request: Request) -> None:
    """Logs what was refused to whom a run acts for, on this host: another root is among what is refused. Raises MailError."""
    refusals = [(one.domain, one) for one in errors if isinstance(one, Refusal)]
    if refusals:
        tree = Tree("/")
        _audit_log.refused(tree, find_layout(tree, "auto"), refusals, request.by, request.check_mode)


def _release(tree: Tree, layout: Layout, plans: Sequence[Plan], request: Request) -> list[str]:
    """Ends what is left of certificates that nobody has any more, outside the lock as far as it is slow. Returns warnings."""
    lineages = [name for plan in plans for name in plan.lineages_left]
    names = {name for plan in plans for name in plan.certificates_left}
    kept = forget_lineages(tree, layout, lineages) if lineages else {}
    if names - kept.keys():
        with host_lock(tree, layout, request.lock_timeout):
            drop_tombstones(tree, layout, names - kept.keys())
    return [str(error) for error in kept.values()]


def _certify(tree: Tree, layout: Layout, line: Line, request: Request) -> list[MailError]:
    """Orders certificates and installs what was got, outside the lock and while the old ones are shown. Returns what failed."""
    if not line.plan.orders:
        return []
    all_acme = [one.acme for one in line.desired.host.certificates.values() if one.acme]
    ordered: list[Ordered] = []
    failures = []
    try:
        ordered = order_certificates(tree, layout, line.plan.orders, all_acme)
        moment = moment_text()
        tried = {one.certificate.name: moment if one.error else "" for one in ordered}
        install_renewed(tree, layout, request.lock_timeout, tried, request.by)
    except MailError as error:
        failures.append(error)
    return failures + [one.error for one in ordered if one.error]


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


def _prepare(desired: Desired, prepared: Prepared, request: Request) -> Prepared:
    """Makes the keys that are wanted and asks the DNS; the next walk takes what still matters then."""
    keys, certificates = prepared.keys, prepared.certificates
    if not request.check_mode:
        keys = {**keys, **make_keys(desired.to_make)} if desired.to_make else keys
        to_make = desired.certified.to_make
        certificates = {**certificates, **make_certificates(to_make)} if to_make else certificates
    prepared = prepared._replace(keys=keys, certificates=certificates)
    wanted = {name: _records_ahead(desired.host, name) for name in desired.looks}
    if not wanted:
        return prepared
    try:
        sights = dkim_sights(wanted, request.resolvers or system_resolvers(), request.dns_timeout)
    except MailError as error:
        # Rotations wait for a DNS that cannot be asked; all else does not.
        sights = dict.fromkeys(wanted, Sight(False, 0, str(error)))
    return prepared._replace(sights={**prepared.sights, **sights})


def _records_ahead(host: Host, name: str) -> list[tuple[str, PublicKey]]:
    """The records that must be seen before the next keys of a domain may sign."""
    dkim = host.domains[name].dkim
    return [(record_name(key.selector, name), host.keys[key.file]) for key in dkim.other] if dkim else []


def _outcome(layout: Layout, line: Line, request: Request) -> Outcome:
    """What the run does, as far as its user may see it."""
    seen = line.plan if line.sees_all else view_of(layout, (line.seen, line.desired.host)).plan(line.plan)
    return Outcome(
        not seen.is_empty,
        actions_of(layout, seen, line.seen, line.desired.host),
        counts_of(line.seen, line.desired.host),
        diff_of(request.root, seen),
        line.warnings,
        line.desired.host,
        line.desired.waiting,
    )


def _entries(layout: Layout, line: Line, outcome: Outcome) -> list[dict[str, Any]]:
    """What the log tells of the run, also of what its user may not see."""
    actions = outcome.actions if line.sees_all else actions_of(layout, line.plan, line.present, line.whole)
    return entries_of(line.plan, actions, line.present, line.whole)


def _finish(tree: Tree, layout: Layout, line: Line, request: Request, failures: list[_apply.Failure]) -> tuple[list[_apply.Failure], Plan]:
    """The second half of removals: what was set aside is disposed of, then the lines are dropped or come back.

    Returns what failed, and the plan that was carried out at the end.
    """
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
        certifying = gather_certificate_facts(tree, layout, present, ())
        facts = line.facts._replace(keys={}, certifying=certifying._replace(found={}))
        observed = Observed(tables, present, _observe.read_trees(tree, layout, present, desired))
        made = plan(layout, observed, desired, facts, Removing("keep", "", "", finished))
        _apply.walk_steps(tree, layout, made.steps)
    return failures, made


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
