# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit as one HTML page without outside resources. No IO.

Everything that comes from hosts is escaped here, or put into the page as text by its script. Should that ever fail, the page's content
security policy lets nothing run or load but the one script and the one style that it names by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_charts import ages_of_keys, chart, ends_by_week, seconds_of
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_fleet import (
    Change,
    Diff,
    Domain,
    Failure,
    Host,
    Totals,
    findings,
    totals_of,
)

# How much is in the page without its script: hosts with details, domains with problems, lines of each diff.
STATIC_HOSTS = 200
STATIC_DOMAINS = 100
STATIC_LINES = 60

# Bits of a domain in the page's data; page.js has the same.
UNHEALTHY, CHANGES, OFF, NEW = 1, 2, 4, 8

_STATES = {
    "ok": ("as declared", "good"),
    "drift": ("would change", "change"),
    "incomplete": ("not audited wholly", "bad"),
    "unreachable": ("not reached", "bad"),
}


class Assets(NamedTuple):
    """The page's own style and script."""

    style: str
    script: str


def page(hosts: Sequence[Host], at: str, fail_on: Collection[str], assets: Assets) -> Iterator[str]:
    """The parts of the page. at: the moment in ISO 8601."""
    totals = totals_of(hosts)
    title = f"Mail audit of {totals.hosts:,} hosts" if totals.hosts != 1 else f"Mail audit of {escape(hosts[0].name)}"
    yield _head(title, assets)
    yield f'<header><h1>{title}</h1><p class="soft">Made at <time datetime="{escape(at)}">{escape(at)}</time>. Nothing was changed.</p>'
    yield from _verdict(findings(hosts), fail_on)
    yield '</header><main><section aria-labelledby="glance"><h2 id="glance">The fleet at a glance</h2>'
    yield from _tiles(totals)
    yield from _charts(hosts, seconds_of(at))
    yield "</section>"
    yield from _hosts(hosts)
    yield from _domains(hosts, totals)
    yield "</main><footer><p>Made by the playbook fleetpost.mail.audit. What tasks hide, such as passwords, is not in it.</p></footer>"
    yield f'<script type="application/json" id="audit-data">{data_of(hosts)}</script>\n'
    yield f"<script>{assets.script}</script></body></html>\n"


def _head(title: str, assets: Assets) -> str:
    policy = (
        f"default-src 'none'; style-src '{_hash(assets.style)}'; script-src '{_hash(assets.script)}'; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="referrer" content="no-referrer">'
        f"<title>{title}</title><style>{assets.style}</style></head>"
        '<body><a class="skip" href="#domains">To the domains</a>'
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _verdict(found: dict[str, str], fail_on: Collection[str]) -> Iterator[str]:
    if not found:
        yield '<div class="verdict is-good"><p><strong>Everything is as it is declared, and healthy.</strong></p></div>'
        return
    fails = any(kind in fail_on for kind in found)
    title = "The audit failed." if fails else "The audit found something."
    yield f'<div class="verdict {"is-bad" if fails else "is-noted"}"><p><strong>{title}</strong></p><ul>'
    for kind, sentence in found.items():
        yield f"<li>{escape(sentence)}{'' if kind in fail_on else ' (does not fail the audit)'}.</li>"
    yield "</ul></div>"


def _tiles(totals: Totals) -> Iterator[str]:
    missed = totals.unreachable + totals.incomplete
    tiles = (
        ("hosts", totals.hosts, ""),
        ("hosts where all is well", totals.well, ""),
        ("hosts that would change", totals.drift, "change"),
        ("hosts not audited wholly", missed, "bad"),
        ("mail domains", totals.domains, ""),
        ("healthy domains", totals.healthy, ""),
        ("domains not healthy", totals.unhealthy, "bad"),
        ("mailboxes", totals.mailboxes, ""),
    )
    yield '<dl class="tiles">'
    for label, number, kind in tiles:
        yield f"<div{f' class={kind!r}' if kind and number else ''}><dt>{label}</dt><dd>{number:,}</dd></div>"
    yield "</dl>"


def _charts(hosts: Sequence[Host], now: float) -> Iterator[str]:
    ends = ends_by_week((end for host in hosts for end in host.ends), now)
    ages = ages_of_keys((domain.signing_since for host in hosts for domain in host.domains), now)
    yield '<div class="charts">'
    yield from chart("Certificates by the week they end in", "certificates", ends, "No certificates were seen.")
    yield from chart("Age of the DKIM keys that sign", "domains", ages, "No domain signs with a key that could be read.")
    yield "</div>"


def _hosts(hosts: Sequence[Host]) -> Iterator[str]:
    yield '<section aria-labelledby="hosts"><h2 id="hosts">Hosts</h2>'
    yield '<div class="table" role="region" aria-labelledby="hosts" tabindex="0"><table>'
    yield '<thead><tr><th scope="col">Host</th><th scope="col">State</th><th scope="col" class="number">Domains</th>'
    yield '<th scope="col" class="number">Not healthy</th><th scope="col" class="number">Would change</th></tr></thead><tbody>'
    detailed = [number for number, host in enumerate(hosts) if _has_details(host)]
    shown = set(detailed[:STATIC_HOSTS])
    for number, host in enumerate(hosts):
        yield _host_row(number, host, number in shown)
    yield "</tbody></table></div>"
    if len(detailed) > len(shown):
        yield f"<p>Details of the first {len(shown)} of {len(detailed):,} hosts follow; all are in the JSON file.</p>"
    for number in detailed[:STATIC_HOSTS]:
        yield from _host(number, hosts[number])
    yield "</section>"


def _has_details(host: Host) -> bool:
    return bool(host.failures or host.changes or host.actions or host.diff or host.problems or host.warnings or host.waiting)


def _host_row(number: int, host: Host, has_details: bool) -> str:
    name = escape(host.name)
    link = f'<a href="#details-{number}">{name}</a>' if has_details else name
    there = sum(1 for domain in host.domains if domain.is_there)
    unhealthy = sum(1 for domain in host.domains if domain.problems and domain.is_there)
    changes = sum(1 for domain in host.domains if domain.actions) + len(host.changes)
    counts = "".join(f'<td class="number">{count:,}</td>' for count in (there, unhealthy, changes))
    return f'<tr id="host-{number}"><th scope="row">{link}</th><td>{_badges(host, unhealthy > 0)}</td>{counts}</tr>'


def _badges(host: Host, has_problems: bool) -> str:
    is_ill = has_problems or bool(host.problems)
    states = [] if is_ill and host.state == "ok" else [_STATES[host.state]]
    return " ".join(_badge(*state) for state in [*states, *([("not healthy", "bad")] if is_ill else [])])


def _badge(text: str, kind: str) -> str:
    return f'<span class="badge {kind}">{text}</span>'


def _host(number: int, host: Host) -> Iterator[str]:
    yield f'<article class="host" id="details-{number}"><h3>{escape(host.name)} {_badge(*_STATES[host.state])}</h3>'
    if host.failures:
        yield "<h4>What could not be looked at</h4><ul>"
        yield from (_failure(failure) for failure in host.failures)
        yield "</ul>"
    yield from _list("What is wrong", (*host.problems, *host.warnings))
    if host.changes or host.actions:
        yield "<h4>What a run would do to the host</h4><ul>"
        yield from (_change(change) for change in host.changes)
        yield from (f"<li>{escape(action)}</li>" for action in host.actions)
        yield "</ul>"
    yield from _list("What waits", host.waiting)
    if host.diff:
        lines = sum(len(diff.lines) for diff in host.diff)
        yield f"<details><summary>What would change in its tables and mail directories ({lines:,} lines)</summary>"
        yield from (_diff(diff) for diff in host.diff)
        yield "</details>"
    yield from _commands("What mends it", host.commands)
    yield from _commands("Look at it again", host.again)
    yield "</article>"


def _failure(failure: Failure) -> str:
    where = ": ".join(part for part in (failure.role, failure.task) if part)
    return f"<li>{escape(where)}<pre>{escape(failure.message)}</pre></li>"


def _change(change: Change) -> str:
    item = f" ({escape(change.item)})" if change.item else ""
    detail = f"<p>{escape(change.detail)}</p>" if change.detail else ""
    diffs = "".join(_diff(diff) for diff in change.diff)
    shown = f"<details><summary>Difference</summary>{diffs}</details>" if diffs else ""
    return f"<li>{escape(change.role)}: {escape(change.task)}{item}{detail}{shown}</li>"


def _diff(diff: Diff) -> str:
    path = f"<p><code>{escape(diff.path)}</code></p>" if diff.path else ""
    lines = diff.lines[:STATIC_LINES]
    rest = len(diff.lines) - len(lines)
    return f"{path}{_lines(lines)}" + (f"<p>{rest:,} more lines are in the JSON file.</p>" if rest else "")


def _lines(lines: Iterable[str]) -> str:
    """Lines of a diff; those of one kind that follow each other are one element."""
    runs: list[tuple[str, list[str]]] = []
    for line in lines:
        tag = {"+": "ins", "-": "del"}.get(line[:1], "span")
        if not runs or runs[-1][0] != tag:
            runs.append((tag, []))
        runs[-1][1].append(escape(line))
    return "<pre>" + "".join(f"<{tag}>{chr(10).join(run)}{chr(10) if tag == 'span' else ''}</{tag}>" for tag, run in runs) + "</pre>"


def _list(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield f"<h4>{title}</h4><ul>"
        yield from (f"<li>{escape(sentence)}</li>" for sentence in sentences)
        yield "</ul>"


def _commands(title: str, commands: Sequence[str]) -> Iterator[str]:
    if commands:
        yield f"<h4>{title}</h4>"
        yield from (f'<pre><code class="command">{escape(command)}</code></pre>' for command in commands)


def _domains(hosts: Sequence[Host], totals: Totals) -> Iterator[str]:
    found = [(number, host, domain) for number, host in enumerate(hosts) for domain in host.domains if domain.problems or domain.actions]
    yield '<section aria-labelledby="domains"><h2 id="domains" tabindex="-1">Domains</h2>'
    yield from _filters(hosts, bool(found))
    static = found[:STATIC_DOMAINS]
    rest = (
        f"The first {len(static)} of {len(found):,} domains with problems or changes; all are in the JSON file. "
        if found[STATIC_DOMAINS:]
        else ""
    )
    yield f'<p id="count" role="status" aria-live="polite">{rest}{totals.domains:,} domains, {len(found):,} with problems or changes.</p>'
    yield '<div id="results">'
    for number, host, domain in static:
        yield from _domain(number, host, domain)
    yield '</div><button type="button" id="more" hidden>Show more</button></section>'


def _filters(hosts: Sequence[Host], has_problems: bool) -> Iterator[str]:
    choices = (
        ("problems", "with problems or changes"),
        ("unhealthy", "not healthy"),
        ("changes", "would change"),
        ("off", "off"),
        ("all", "all"),
    )
    chosen = "problems" if has_problems else "all"
    yield '<form id="filters" role="search" hidden><div class="search"><label for="words">Search in names and problems</label>'
    yield '<input type="search" id="words" name="words" autocomplete="off" spellcheck="false"></div><fieldset><legend>Show</legend>'
    for value, label in choices:
        yield f'<label><input type="radio" name="show" value="{value}"{" checked" if value == chosen else ""}>{label}</label>'
    yield '</fieldset><div class="hosts"><label for="host">Host</label><select id="host" name="host"><option value="">all</option>'
    for number, host in enumerate(hosts):
        yield f'<option value="{number}">{escape(host.name)}</option>'
    yield "</select></div></form>"


def _domain(number: int, host: Host, domain: Domain) -> Iterator[str]:
    badges = [_badge("not healthy", "bad")] if domain.problems else []
    badges += [_badge("would change" if domain.is_there else "would be created", "change")] if domain.actions else []
    badges += [] if domain.is_on else [_badge("off", "off")]
    yield f'<article class="domain"><h3>{escape(domain.name)} {" ".join(badges)}</h3>'
    count = f", {domain.mailboxes} mailbox{'' if domain.mailboxes == 1 else 'es'}" if domain.is_there else ""
    yield f'<p class="soft">on <a href="#host-{number}">{escape(host.name)}</a>{count}</p>'
    yield from _list("What is wrong", domain.problems)
    yield from _list("What a run would do", domain.actions)
    yield _lines(domain.lines) if domain.lines else ""
    yield from _commands("What mends it", domain.commands)
    if domain.problems and not domain.commands:
        yield '<p class="soft">No command mends this by itself: declare or do what is said above.</p>'
    yield "</article>"


def data_of(hosts: Sequence[Host]) -> str:
    """What the page's script works on, as JSON that can stand in a script element."""
    numbers: dict[str, int] = {}
    values = [{"name": host.name, "domains": [_row(domain, numbers) for domain in host.domains]} for host in hosts]
    text = json.dumps({"hosts": values, "commands": list(numbers)}, separators=(",", ":"))
    # Neither the end of the element nor a comment may begin in it, wherever the names come from.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _row(domain: Domain, numbers: dict[str, int]) -> list[Any]:
    flags = (UNHEALTHY if domain.problems else 0) | (CHANGES if domain.actions else 0)
    flags |= (0 if domain.is_on else OFF) | (0 if domain.is_there else NEW)
    row: list[Any] = [domain.name, flags, domain.mailboxes]
    if domain.problems or domain.actions:
        commands = [numbers.setdefault(command, len(numbers)) for command in domain.commands]
        row += [domain.problems, domain.actions, domain.lines, commands]
    return row
