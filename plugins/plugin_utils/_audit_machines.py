# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit for machines: JSON, and JUnit XML for continuous integration. No IO."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_fleet import Diff, Domain, Host, findings, totals_of

FORMAT = 1

# What XML 1.0 has no way to write.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_values(hosts: Sequence[Host], at: str, fail_on: Collection[str]) -> dict[str, Any]:
    """The audit as JSON takes it. at: the moment in ISO 8601."""
    found = findings(hosts)
    return {
        "format": FORMAT,
        "at": at,
        "failed": any(kind in fail_on for kind in found),
        "fail_on": list(fail_on),
        "findings": found,
        "totals": totals_of(hosts)._asdict(),
        "hosts": [_host_values(host) for host in hosts],
    }


def _host_values(host: Host) -> dict[str, Any]:
    return {
        **host._asdict(),
        "failures": [failure._asdict() for failure in host.failures],
        "changes": [{**change._asdict(), "diff": _diff_values(change.diff)} for change in host.changes],
        "diff": _diff_values(host.diff),
        "domains": [domain._asdict() for domain in host.domains],
    }


def _diff_values(diffs: Sequence[Diff]) -> list[dict[str, Any]]:
    return [diff._asdict() for diff in diffs]


def junit(hosts: Sequence[Host], at: str, fail_on: Collection[str]) -> Iterator[str]:
    """Lines of JUnit XML: a suite a host, with a test of the host itself and one of each domain.

    What `fail_on` does not name is no failure there either, and told as output.
    """
    suites = [(host, list(_cases(host))) for host in hosts]
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    tests, failures, errors = (
        (sum(counts) for counts in zip(*(_counted(cases, fail_on) for _host, cases in suites))) if suites else (0, 0, 0)
    )
    yield f'<testsuites name="fleetpost.mail.audit" tests="{tests}" failures="{failures}" errors="{errors}">'
    for host, cases in suites:
        tests, failures, errors = _counted(cases, fail_on)
        counts = f'tests="{tests}" failures="{failures}" errors="{errors}" skipped="0"'
        yield f'<testsuite name={_attribute(host.name)} {counts} time="0" timestamp="{at.rstrip("Z")}">'
        for name, found in cases:
            yield from _case(host.name, name, found, fail_on)
        yield "</testsuite>"
    yield "</testsuites>"


def _cases(host: Host) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Name of a test -> kind -> what was found."""
    own: dict[str, list[str]] = {}
    if host.failures:
        own["unreachable"] = [f"{one.role}: {one.task}: {one.message}" for one in host.failures]
    if host.changes or host.actions:
        own["drift"] = [f"{one.role}: {one.task}{f' ({one.item})' if one.item else ''}" for one in host.changes] + list(host.actions)
    if host.problems:
        own["unhealthy"] = list(host.problems)
    yield "host", own
    for domain in host.domains:
        yield domain.name, _found_in(domain)


def _found_in(domain: Domain) -> dict[str, list[str]]:
    found = {"unhealthy": list(domain.problems), "drift": list(domain.actions)}
    return {kind: sentences for kind, sentences in found.items() if sentences}


def _counted(cases: Sequence[tuple[str, Mapping[str, Any]]], fail_on: Collection[str]) -> tuple[int, int, int]:
    """Tests, failures, errors."""
    verdicts = [_verdict(found, fail_on) for _name, found in cases]
    return len(cases), verdicts.count("failure"), verdicts.count("error")


def _verdict(found: Mapping[str, Any], fail_on: Collection[str]) -> str:
    if "unreachable" in found and "unreachable" in fail_on:
        return "error"
    return "failure" if any(kind in fail_on for kind in found) else ""


def _case(host: str, name: str, found: Mapping[str, Sequence[str]], fail_on: Collection[str]) -> Iterator[str]:
    opening = f'<testcase classname={_attribute(host)} name={_attribute(name)} time="0"'
    if not found:
        yield f"{opening}/>"
        return
    yield f"{opening}>"
    text = _text("\n".join(f"{kind}: {sentence}" for kind, sentences in found.items() for sentence in sentences))
    verdict = _verdict(found, fail_on)
    if verdict:
        kinds = [kind for kind in found if kind in fail_on]
        yield f'<{verdict} type="{kinds[0]}" message={_attribute(found[kinds[0]][0])}>{text}</{verdict}>'
    else:
        yield f"<system-out>{text}</system-out>"
    yield "</testcase>"


def _text(text: str) -> str:
    return escape(_NOT_XML.sub("\ufffd", text))


def _attribute(text: str) -> str:
    return quoteattr(_NOT_XML.sub("\ufffd", text))
