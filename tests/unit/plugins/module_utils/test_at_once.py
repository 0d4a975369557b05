# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several runs on one host at the same time."""

from __future__ import annotations

import contextlib
import fcntl
import os
import traceback

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _apply
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
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


def test_two_runs_at_once_cannot_pass_a_limit(host):
    host.owner_limits("alice", max_domains=5)
    names = [f"domain{number}.test" for number in range(12)]

    def create(name):
        try:
            host.domain(name, owner="alice")
        except MailError as error:
            return 1 if "may have 5 mail domains" in str(error) else 2
        return 0

    codes = at_once(*(lambda name=name: create(name) for name in names))
    assert sorted(codes) == [0] * 5 + [1] * 7
    assert len(host.table("domains")) == 5


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
@pytest.mark.parametrize("moment", ["before the mail is claimed", "while it is worked on", "when it is gone"])
def test_a_run_beside_a_removal_under_way_leaves_the_removal_alone(host, how, moment, monkeypatch):
    """The other run meets the tombstone while the mail is being archived or deleted outside the lock."""
    host.domains({"name": "a.test", "owner": "alice", "mailboxes": [{"name": "info", "password_hash": HASH}]})
    host.deliver("info@a.test")
    beside = []

    def interrupted(call, before):
        def slowly(*arguments):
            found = None if before else call(*arguments)
            if not beside:
                beside.append(None)
                beside[0] = host.domain("b.test")
            return call(*arguments) if before else found

        return slowly

    step = "_archive_or_delete" if moment == "while it is worked on" else "dispose"
    monkeypatch.setattr(_apply, step, interrupted(getattr(_apply, step), before=moment != "when it is gone"))
    outcome = host.domain("a.test", state="absent", removed_mail=how)
    assert outcome.failures == []
    assert all(other.failures == [] for other in beside)
    assert [line.partition(":")[0] for line in host.table("domains") if "a.test" in line] == []
    assert host.table("users") == []
    left = [path.name for path in host.path("/var/vmail/.removed").iterdir()]
    archives = host.path("/var/backups/mail-domains")
    assert len(left) == 2 * (how == "keep"), "the mail, and its settings beside it"
    assert len(list(archives.iterdir()) if archives.exists() else []) == (how == "archive")


def test_mail_that_another_run_works_on_is_not_put_back(host, monkeypatch):
    """One run archives; the other, whose own attempt failed, must not bring the mail back meanwhile."""
    host.domains({"name": "a.test", "owner": "alice", "mailboxes": [{"name": "info", "password_hash": HASH}]})
    host.deliver("info@a.test")
    work = _apply._archive_or_delete
    beside = []

    def fails_beside_another(tree, removal):
        if beside:
            return work(tree, removal)
        beside.append(os.open(host.path(removal.target), os.O_RDONLY))
        fcntl.flock(beside[0], fcntl.LOCK_SH)
        raise MailError("no space")

    claimed = _apply.claimed
    monkeypatch.setattr(_apply, "claimed", lambda tree, path: claimed(tree, path) if beside else contextlib.nullcontext())
    monkeypatch.setattr(_apply, "_archive_or_delete", fails_beside_another)
    outcome = host.domain("a.test", state="absent", removed_mail="archive")
    os.close(beside[0])
    assert {failure.message.partition(":")[0] for failure in outcome.failures} == {"a.test was not removed"}
    assert outcome.failures[0].message.endswith(": no space")
    assert "enabled=removing" in host.table("domains")[0]
    assert host.domains().failures == []
    assert host.table("domains") == []
    assert len(list(host.path("/var/backups/mail-domains").iterdir())) == 1
