# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an audit makes of its events: states, totals, findings."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_fleet import DIFF_LINES, findings, totals_of
from ansible_collections.fleetpost.mail.tests.unit.plugins.plugin_utils.audit_fleet import (
    change,
    failure,
    fleet,
    health,
    host,
    planned,
    well,
)


def test_every_host_has_its_state():
    assert {one.name: one.state for one in fleet()} == {
        "well.test": "ok",
        "drift.test": "drift",
        "ill.test": "ok",
        "failed.test": "incomplete",
        "lost.test": "unreachable",
    }


def test_a_host_whose_audit_just_ends_is_incomplete_and_never_well():
    assert host("silent.test").state == "incomplete"
    assert host("silent.test", planned()).failures[0].message == "the audit of this host did not come to its end"


def test_a_host_that_is_lost_on_the_way_is_incomplete():
    lost = host("lost.test", change(), failure("timeout", "unreachable"))
    assert (lost.state, lost.would_change) == ("incomplete", True)


def test_totals_count_domains_that_are_there():
    assert totals_of(fleet())._asdict() == {
        "hosts": 5,
        "well": 1,
        "drift": 1,
        "incomplete": 1,
        "unreachable": 1,
        "domains": 5,
        "healthy": 4,
        "unhealthy": 1,
        "changing": 2,
        "mailboxes": 10,
    }


def test_a_domain_that_would_be_created_is_among_those_of_its_host():
    drift = fleet()[1]
    assert [(domain.name, domain.is_there, domain.actions) for domain in drift.domains] == [
        ("changed.test", True, ("change: default_action: reject -> discard",)),
        ("new.test", False, ("create: owner bob",)),
    ]


def test_a_later_run_of_mail_domains_takes_the_place_of_an_earlier_one_and_the_certificate_of_the_host_is_added():
    seen = host(
        "a.test",
        planned(("a.test", "make directory", "/x"), ("", "mend ownership", "/y")),
        planned(("b.test", "create", "owner bob")),
        planned(("", "renew certificate", "a.test"), is_whole=False),
        health(),
    )
    assert [domain.name for domain in seen.domains] == ["b.test"]
    assert seen.actions == ("renew certificate: a.test",)


def test_a_domain_has_the_lines_of_tables_that_are_about_it():
    tables = (
        {"path": "/etc/exim4/domains", "before": "a.test: x\nb.test: x\n", "after": "a.test: y\nb.test: y\n"},
        {"path": "/etc/exim4/addresses", "before": "", "after": "info@a.test: mailbox\n"},
    )
    seen = host("mx.test", planned(("a.test", "change", ""), ("b.test", "change", ""), diff=tables), health({"name": "a.test"}))
    assert seen.domains[0].lines == ("-a.test: x", "+a.test: y", "+info@a.test: mailbox")


def test_a_long_diff_is_cut_and_says_so():
    long = {"path": "/etc/x", "before": "", "after": "".join(f"{number}\n" for number in range(5_000))}
    (diff,) = host("a.test", change(diff=[long]), health()).changes[0].diff
    assert len(diff.lines) == DIFF_LINES + 1
    assert diff.lines[-1] == "... and 4601 more lines"


def test_the_same_change_in_two_roles_runs_is_one():
    assert len(host("a.test", change(), change(), health()).changes) == 1


def test_a_problem_of_the_hosts_own_certificate_is_one_of_the_host():
    certificate = {"domains": [], "problems": ["it expired"], "not_after": "2026-01-01T00:00:00Z"}
    seen = host("a.test", planned(), health(certificates=(certificate,)))
    assert (seen.problems, seen.is_well, seen.ends) == (("it expired",), False, ("2026-01-01T00:00:00Z",))
    assert findings([seen]) == {"unhealthy": "the own certificate of 1 host is not healthy"}


@pytest.mark.parametrize(
    ("hosts", "kinds"),
    [
        ([well()], []),
        ([fleet()[1]], ["drift"]),
        ([fleet()[2]], ["unhealthy"]),
        ([fleet()[3]], ["unreachable"]),
        ([fleet()[4]], ["unreachable"]),
        (fleet(), ["drift", "unhealthy", "unreachable"]),
    ],
)
def test_findings_are_those_that_a_run_can_fail_on(hosts, kinds):
    assert list(findings(hosts)) == kinds


def test_what_mends_a_host_is_a_run_and_after_a_failure_another_audit():
    assert fleet()[1].commands == ("ansible-playbook -i hosts.yml fleetpost.mail.site --limit drift.test",)
    assert fleet()[4].again == ("ansible-playbook -i hosts.yml fleetpost.mail.audit --limit lost.test",)
    assert well().commands == well().again == ()
