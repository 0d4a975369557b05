# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit found, as values: hosts with their domains, the totals, and whether the run is to fail. No IO."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_mending import Commands
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_spool import Event

KINDS = ("drift", "unhealthy", "unreachable")

# Lines of one file's diff, and of one domain's, before it is cut with a line that says so.
DIFF_LINES = 400
DOMAIN_LINES = 20
# Two whole files are compared line by line only up to so many lines.
_COMPARED_LINES = 20_000


class Diff(NamedTuple):
    """The lines of a file that would change, each beginning with ``+``, ``-``, ``@`` or a space."""

    path: str
    lines: tuple[str, ...]


class Change(NamedTuple):
    """A task of a role that would change something."""

    role: str
    task: str
    item: str
    detail: str
    diff: tuple[Diff, ...]


class Failure(NamedTuple):
    """A task that failed, or did not reach the host: what of the audit is missing."""

    role: str
    task: str
    message: str


class Domain(NamedTuple):
    """A mail domain: what is wrong with it, what would change, and the commands that mend it. is_there: it is on the host now."""

    name: str
    is_there: bool = True
    is_on: bool = True
    mailboxes: int = 0
    signing_since: str = ""
    problems: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()


class Host(NamedTuple):
    """A host. state: ``unreachable`` (nothing is known of it), ``incomplete`` (a part of the audit failed), ``drift`` or ``ok``.

    problems: of certificates that belong to no domain. actions, diff: of the host itself and of its tables. waiting: what the domains'
    keys and certificates wait for. ends: of its certificates. commands: what mends it; again: what looks at it again after a failure.
    """

    name: str
    state: str
    failures: tuple[Failure, ...] = ()
    changes: tuple[Change, ...] = ()
    actions: tuple[str, ...] = ()
    diff: tuple[Diff, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    domains: tuple[Domain, ...] = ()
    ends: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    again: tuple[str, ...] = ()

    @property
    def would_change(self) -> bool:
        return bool(self.changes or self.actions or any(domain.actions for domain in self.domains))

    @property
    def is_audited(self) -> bool:
        return self.state in ("ok", "drift")

    @property
    def is_well(self) -> bool:
        return self.state == "ok" and not self.problems and not any(domain.problems for domain in self.domains)


class Totals(NamedTuple):
    """Counts over the fleet. unhealthy: domains with problems. changing: domains that would change."""

    hosts: int
    well: int
    drift: int
    incomplete: int
    unreachable: int
    domains: int
    healthy: int
    unhealthy: int
    changing: int
    mailboxes: int


def host_of(name: str, events: Sequence[Event], commands: Commands) -> Host:
    """The host that these events are about."""
    kinds: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        kinds[event["kind"]].append(event)
    planned = _planned(kinds["domains"])
    health = kinds["health"][-1] if kinds["health"] else {"status": [], "certificates": []}
    host = Host(
        name,
        "ok",
        tuple(dict.fromkeys(_failures(kinds))),
        tuple(dict.fromkeys(_changes(kinds["change"]))),
        tuple(f"{one['action']}: {one['detail']}" for one in planned["actions"] if not one["domain"]),
        tuple(_diffs(planned["diff"])),
        tuple(problem for one in health["certificates"] if not one["domains"] for problem in one["problems"]),
        tuple(planned["warnings"]),
        tuple(f"{one['domain']} ({one['stage']}): {one['reason']}" for one in planned["waiting"]),
        ends=tuple(one["not_after"] for one in health["certificates"]),
    )
    host = host._replace(domains=tuple(_domains(host, health["status"], planned["actions"], commands)))
    host = host._replace(state=_state(host, bool(kinds["unreachable"] and not kinds["health"])))
    return host._replace(
        commands=(commands.site(name),) if host.would_change or host.problems else (),
        again=(commands.audit(name),) if host.failures else (),
    )


def _failures(kinds: Mapping[str, Sequence[Event]]) -> Iterator[Failure]:
    for event in (*kinds["unreachable"], *kinds["failure"]):
        yield Failure(event["role"], event["task"], event["message"])
    if not kinds["health"] and not kinds["unreachable"] and not kinds["failure"]:
        yield Failure("mail_audit", "", "the audit of this host did not come to its end")


def _state(host: Host, is_lost: bool) -> str:
    if host.failures:
        return "unreachable" if is_lost and not host.would_change else "incomplete"
    return "drift" if host.would_change else "ok"


def _planned(events: Iterable[Event]) -> Event:
    """What the modules would do. A later run of mail_domains is the whole and takes the place of what an earlier one said."""
    planned: Event = {"actions": [], "diff": [], "waiting": [], "warnings": []}
    for event in events:
        if event["is_whole"]:
            planned = {name: list(event[name]) for name in planned}
            continue
        for name, found in planned.items():
            found += [one for one in event[name] if one not in found]
    return planned


def _changes(events: Iterable[Event]) -> Iterator[Change]:
    for event in events:
        yield Change(event["role"], event["task"], event["item"], event["detail"], tuple(_diffs(event["diff"])))


def _diffs(found: Iterable[Mapping[str, str]]) -> Iterator[Diff]:
    for one in found:
        if "prepared" in one:
            lines: Iterable[str] = one["prepared"].splitlines()
        else:
            lines = _unified(one["before"].splitlines(), one["after"].splitlines())
        yield Diff(one["path"], _cut(list(lines), DIFF_LINES))


def _unified(before: list[str], after: list[str]) -> Iterator[str]:
    if len(before) + len(after) > _COMPARED_LINES:
        yield from (f"-{line}" for line in before)
        yield from (f"+{line}" for line in after)
        return
    lines = difflib.unified_diff(before, after, n=1, lineterm="")
    yield from (line for number, line in enumerate(lines) if number > 1)


def _cut(lines: Sequence[str], most: int) -> tuple[str, ...]:
    if len(lines) <= most:
        return tuple(lines)
    return (*lines[:most], f"... and {len(lines) - most} more lines")


def _domains(host: Host, status: Sequence[Mapping[str, Any]], actions: Sequence[Mapping[str, str]], commands: Commands) -> Iterator[Domain]:
    """Those that are there, and those that would be."""
    changes: defaultdict[str, list[str]] = defaultdict(list)
    for one in actions:
        if one["domain"]:
            changes[one["domain"]].append(f"{one['action']}: {one['detail']}" if one["detail"] else one["action"])
    lines = _lines_by_domain(host.diff) if changes else {}
    there = {entry["name"]: entry for entry in status}
    for name in sorted(there.keys() | changes.keys()):
        entry = there.get(name, {})
        problems, wanted = tuple(entry.get("problems", ())), tuple(changes.get(name, ()))
        yield Domain(
            name,
            name in there,
            entry.get("is_on", True),
            entry.get("mailboxes", 0),
            entry.get("signing_since", ""),
            problems,
            wanted,
            _cut(lines.get(name, ()), DOMAIN_LINES) if wanted else (),
            tuple(commands.mending(host.name, problems, bool(wanted))) if problems or wanted else (),
        )


def _lines_by_domain(diffs: Iterable[Diff]) -> dict[str, list[str]]:
    """domain -> the lines of tables that are about it, by the key at their beginning: a domain, or an address in it."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for diff in diffs:
        for line in diff.lines:
            key, colon, _rest = line[1:].partition(":")
            if line[:1] in "+-" and colon:
                found[key.rpartition("@")[2]].append(line)
    return found


def totals_of(hosts: Sequence[Host]) -> Totals:
    domains = [domain for host in hosts for domain in host.domains]
    there = [domain for domain in domains if domain.is_there]
    unhealthy = sum(1 for domain in there if domain.problems)
    states = [host.state for host in hosts]
    return Totals(
        len(hosts),
        sum(1 for host in hosts if host.is_well),
        sum(1 for host in hosts if host.would_change),
        states.count("incomplete"),
        states.count("unreachable"),
        len(there),
        len(there) - unhealthy,
        unhealthy,
        sum(1 for domain in domains if domain.actions),
        sum(domain.mailboxes for domain in there),
    )


def findings(hosts: Sequence[Host]) -> dict[str, str]:
    """Kind (one of KINDS) -> what was found of it in a sentence; a kind of which nothing was found is not there."""
    totals = totals_of(hosts)
    found: dict[str, str] = {}
    if totals.drift:
        found["drift"] = f"{_count(totals.drift, 'host')} of {totals.hosts} would be changed by a run"
    unwell = sum(1 for host in hosts if host.problems)
    if totals.unhealthy or unwell:
        parts = [f"{_count(totals.unhealthy, 'mail domain')} of {totals.domains}"] if totals.unhealthy else []
        parts += [f"the own certificate of {_count(unwell, 'host')}"] if unwell else []
        is_one = totals.unhealthy + unwell == 1
        found["unhealthy"] = f"{' and '.join(parts)} {'is' if is_one else 'are'} not healthy"
    missed = totals.unreachable + totals.incomplete
    if missed:
        found["unreachable"] = f"{_count(missed, 'host')} of {totals.hosts} could not be audited, or not wholly"
    return found


def _count(number: int, name: str) -> str:
    return f"{number:,} {name}{'' if number == 1 else 's'}"
