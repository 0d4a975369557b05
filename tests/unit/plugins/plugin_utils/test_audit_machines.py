# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit for machines."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_machines import as_values, junit
from ansible_collections.fleetpost.mail.tests.unit.plugins.plugin_utils.audit_fleet import AT, HOSTILE, change, fleet, health, host, well

ALL = ("drift", "unhealthy", "unreachable")


def suites(hosts, fail_on=ALL):
    return ET.fromstring("\n".join(junit(hosts, AT, fail_on)))


def test_each_host_is_a_suite_and_each_domain_a_test():
    root = suites(fleet())
    assert [(suite.get("name"), suite.get("tests")) for suite in root] == [
        ("well.test", "3"),
        ("drift.test", "3"),
        ("ill.test", "2"),
        ("failed.test", "2"),
        ("lost.test", "1"),
    ]
    assert {case.get("classname") for case in root[0]} == {"well.test"}


def test_counts_are_those_of_the_elements_as_readers_of_junit_expect():
    root = suites(fleet())
    for one in (root, *root):
        for attribute, tag in (("tests", "testcase"), ("failures", "failure"), ("errors", "error")):
            assert int(one.get(attribute)) == len(list(one.iter(tag)))
    assert (root.get("failures"), root.get("errors")) == ("4", "2")
    for suite in root:
        assert set(suite.attrib) == {"name", "tests", "failures", "errors", "skipped", "time", "timestamp"}


@pytest.mark.parametrize(
    ("fail_on", "failures", "errors"),
    [(ALL, 4, 2), (["drift"], 3, 0), (["unhealthy"], 1, 0), (["unreachable"], 0, 2), ([], 0, 0)],
)
def test_only_what_fails_the_audit_fails_there(fail_on, failures, errors):
    root = suites(fleet(), fail_on)
    assert (root.get("failures"), root.get("errors")) == (str(failures), str(errors))
    assert as_values(fleet(), AT, fail_on)["failed"] is bool(fail_on)


def test_hostile_text_stays_text_and_what_xml_cannot_hold_is_replaced():
    message = f"{HOSTILE}\x00\x1b[31m\ud800\uffff]]>&"
    root = suites([host("a<b>&\"'", {"kind": "failure", "role": "exim", "task": "T", "message": message})])
    (error,) = root.iter("error")
    assert error.text == f"unreachable: exim: T: {HOSTILE}\ufffd\ufffd[31m\ufffd\ufffd]]>&"
    assert root[0].get("name") == "a<b>&\"'"


def test_a_fleet_of_no_hosts_and_one_that_is_well_are_valid():
    assert suites([]).get("tests") == "0"
    assert suites([well()]).get("failures") == "0"


def test_json_has_everything_and_says_which_format_it_is():
    values = json.loads(json.dumps(as_values(fleet(), AT, ALL)))
    assert (values["format"], values["at"], values["fail_on"]) == (1, AT, list(ALL))
    assert values["totals"]["domains"] == 5
    assert values["hosts"][1]["changes"][0] == {
        "role": "exim",
        "task": "Write the configuration",
        "item": "",
        "detail": "",
        "diff": [{"path": "/etc/exim4/exim4.conf", "lines": ["@@ -1 +1 @@", "-a = 1", "+a = 2"]}],
    }
    assert values["hosts"][2]["domains"][0]["problems"] == [f"its owner carol is {HOSTILE}"]


def test_a_change_of_a_host_is_told_with_its_item():
    root = suites([host("a.test", change(item="heloips"), health())])
    assert next(root.iter("failure")).get("message") == "exim: Write the configuration (heloips)"
