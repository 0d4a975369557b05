# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several runs on one host at the same time."""

from __future__ import annotations

import os
import traceback

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _apply
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root")


def at_once(*actions):
    """Runs each action in a process of its own, all started together; returns their exit codes."""
    ready, go = os.pipe()
    children = []
    for action in actions:
        pid = os.fork()
        if pid == 0:
            os.close(go)
            os.read(ready, 1)
            try:
                os._exit(action() or 0)
            except BaseException:
                traceback.print_exc()
                os._exit(99)
        children.append(pid)
    os.close(ready)
    os.close(go)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def test_two_runs_on_different_domains_are_both_there_twenty_times_in_a_row(host):
    for number in range(20):
        names = [f"{side}{number}.test" for side in ("left", "right")]
        codes = at_once(*(lambda name=name: host.domain(name, owner="alice") and None for name in names))
        assert codes == [0, 0]
        assert {line.partition(":")[0] for line in host.table("domains")} >= set(names)
    assert len(host.table("domains")) == 40
    assert all(host.path(f"/var/vmail/{side}{number}.test").is_dir() for side in ("left", "right") for number in range(20))


def test_two_runs_on_mailboxes_of_one_domain_lose_nothing(host):
    host.domain("a.test")
    names = [f"box{number}@a.test" for number in range(4)]
    codes = at_once(*(lambda name=name: host.mailbox(name, password_hash=HASH) and None for name in names))
    assert codes == [0, 0, 0, 0]
    assert [line.partition(":")[0] for line in host.table("addresses")] == names
    assert [line.partition(":")[0] for line in host.table("users")] == names


def test_an_inventory_taken_while_others_write_is_never_half_a_host(host):
    host.domain("a.test")

    def write():
        for number in range(6):
            host.mailbox(f"box{number}@a.test", password_hash=HASH, aliases=[f"alias{number}"])

    def look():
        for _attempt in range(20):
            inventory = host.info(with_use=False)
            if any(status["problems"] for status in inventory.status):
                return 3
        return 0

    assert at_once(write, look) == [0, 0]


@pytest.mark.parametrize("how", ["keep", "archive", "delete"])
def test_a_run_beside_a_removal_under_way_leaves_the_removal_alone(host, how, monkeypatch):
    """The other run meets the tombstone while the mail is being archived outside the lock."""
    host.domains({"name": "a.test", "owner": "alice", "mailboxes": [{"name": "info", "password_hash": HASH}]})
    host.deliver("info@a.test")
    dispose = _apply.dispose
    beside = []

    def slowly(tree, removals):
        if not beside:
            beside.append(None)
            beside[0] = host.domain("b.test")
        return dispose(tree, removals)

    monkeypatch.setattr(_apply, "dispose", slowly)
    outcome = host.domain("a.test", state="absent", removed_mail=how)
    assert (outcome.failures, beside[0].failures) == ([], [])
    assert [line.partition(":")[0] for line in host.table("domains")] == ["b.test"]
    assert host.table("users") == []
    left = [path.name for path in host.path("/var/vmail/.removed").iterdir()]
    archives = host.path("/var/backups/mail-domains")
    assert len(left) == (how == "keep")
    assert len(list(archives.iterdir()) if archives.exists() else []) == (how == "archive")
