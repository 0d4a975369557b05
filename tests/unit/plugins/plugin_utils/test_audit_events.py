# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which results of tasks an audit remembers, and what of them."""

from __future__ import annotations

import json

import pytest
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_events import Done, events_of
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_spool import Spool


def events(result, outcome="ok", action="ansible.builtin.copy"):
    return list(events_of(Done(outcome, "exim", "Write it", action, result)))


def test_what_changes_nothing_is_not_remembered():
    assert events({"changed": False, "msg": "all is well"}) == []


def test_a_change_is_remembered_with_its_difference_and_without_the_arguments():
    result = {
        "changed": True,
        "diff": {"before": "a\n", "after": "b\n", "after_header": "/etc/x"},
        "invocation": {"module_args": {"content": "b"}},
    }
    (event,) = events(result)
    assert event == {
        "kind": "change",
        "role": "exim",
        "task": "Write it",
        "item": "",
        "detail": "",
        "diff": [{"path": "/etc/x", "before": "a\n", "after": "b\n"}],
    }


def test_a_censored_result_says_only_that_it_is():
    (event,) = events({"changed": True, "censored": "hidden", "diff": {"before": "", "after": "hunter2"}})
    assert "hunter2" not in json.dumps(event)
    assert event["detail"] == "not shown, because it may hold a secret"
    (event,) = events({"censored": "hidden", "msg": "hunter2"}, "failed")
    assert "hunter2" not in event["message"]


@pytest.mark.parametrize(
    ("diff", "shown"),
    [
        (None, []),
        ({"before": "same", "after": "same"}, []),
        (
            [{"before": {"mode": "0644"}, "after": {"mode": "0600"}}],
            [{"path": "", "before": '{\n "mode": "0644"\n}\n', "after": '{\n "mode": "0600"\n}\n'}],
        ),
        ({"prepared": "The following packages will be installed"}, [{"path": "", "prepared": "The following packages will be installed"}]),
        ("text", []),
    ],
)
def test_every_kind_of_diff_is_shown_in_one_shape(diff, shown):
    assert events({"changed": True, "diff": diff})[0]["diff"] == shown


def test_an_item_of_a_loop_has_its_label():
    assert events({"changed": True, "item": {"secret": 1}, "_ansible_item_label": "heloips"})[0]["item"] == "heloips"


def test_the_message_of_a_debug_task_that_says_what_a_run_would_do_is_its_detail():
    assert (
        events({"changed": True, "msg": "A run would install it"}, action="ansible.builtin.debug")[0]["detail"] == "A run would install it"
    )


def test_a_failure_tells_all_that_the_task_said_once():
    (event,) = events({"msg": "went wrong", "stderr": "went wrong", "module_stderr": "traceback"}, "failed")
    assert event["message"] == "went wrong\ntraceback"


def test_what_the_modules_tell_is_taken_as_it_is():
    whole = {"changed": True, "actions": [{"domain": "a.test"}], "diff": [], "waiting": [1], "warnings": ["b"], "counts": {}}
    assert events(whole, action="fleetpost.mail.mail_domains") == [
        {"kind": "domains", "is_whole": True, "actions": [{"domain": "a.test"}], "diff": [], "waiting": [1], "warnings": ["b"]}
    ]
    assert events({**whole, "changed": False}, action="fleetpost.mail.mail_domain_cert")[0]["is_whole"] is False
    told = {"status": [{"name": "a.test"}], "certificates": [], "domains": [{"password_hash": "x"}]}
    assert events(told, action="fleetpost.mail.mail_domain_info") == [
        {"kind": "health", "status": [{"name": "a.test"}], "certificates": []}
    ]


def test_a_failed_run_of_mail_domains_is_a_failure_and_tells_what_it_would_have_done():
    kinds = [event["kind"] for event in events({"msg": "no", "actions": [], "diff": []}, "failed", "fleetpost.mail.mail_domains")]
    assert kinds == ["failure", "domains"]


def test_an_endless_message_is_cut():
    assert len(events({"msg": "x" * 100_000}, "failed")[0]["message"]) < 5_000


def test_the_spool_gives_back_each_host_with_its_events(tmp_path):
    spool = Spool(tmp_path / "spool")
    assert list(spool.hosts()) == []
    for name in ("a/../b", "c"):
        spool.add(name, {"kind": "seen"})
        spool.add(name, {"kind": "failure", "message": "ü\n"})
    found = dict(spool.hosts())
    assert sorted(found) == ["a/../b", "c"]
    assert [event["kind"] for event in found["c"]] == ["seen", "failure"]
    assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700
