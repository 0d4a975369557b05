# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of keys while mail keeps leaving: a message a second, each verified at reception and again when DNS caches have forgotten."""

from __future__ import annotations

import re
import threading
import time
from typing import NamedTuple

from hosts import Host, once
from lab import new_token, wait_for_sink, wait_until
from sessions import smtp
from signatures import KEYS, Judge, Verdict, frozen_second_server, provider, texts, withdraw
from test_8_modules import HASH

from playbooks import Task, mail_domain, mail_domain_dkim, mail_domain_dns, mail_domains, run

# TTLs of the lab are 2 s.
TTL = 2
RETIRE_AFTER = 5
_STAGES = ("published", "retiring", "retired")


class Sender(threading.Thread):
    """Sends a message a second to the sink, logged in as a mailbox, until it is stopped."""

    def __init__(self, host: Host, user: str, word: str) -> None:
        super().__init__(daemon=True)
        self._host = host
        self._user = user
        self._word = word
        self._over = threading.Event()
        self.subjects: list[str] = []
        self.failures: list[str] = []

    def run(self) -> None:
        begin = time.monotonic()
        while not self._over.wait(max(0.0, begin + len(self.subjects) - time.monotonic())):
            subject = f"{self._word} {len(self.subjects)}"
            self.subjects.append(subject)
            text = f"From: {self._user}\r\nTo: x@sink.test\r\nSubject: {subject}\r\n\r\n{subject}\r\n"
            try:
                with smtp(self._host, self._user) as session:
                    session.sendmail(self._user, ["x@sink.test"], text)
            except OSError as error:
                self.failures.append(f"{subject}: {error}")

    def stop(self) -> list[str]:
        self._over.set()
        self.join(60)
        return self.subjects


class Step(NamedTuple):
    """What a run returned, and what the host had afterwards: the domain's line and its files in ssl/."""

    when: str
    changed: bool
    waiting: list[dict[str, str]]
    line: str
    files: list[str]

    @property
    def stage(self) -> str:
        found = re.search(r" dkim_stage=(\w+)", self.line)
        return found[1] if found else "active"

    @property
    def selector(self) -> str:
        found = re.search(r" dkim=(\S+)", self.line)
        return found[1] if found else ""

    @property
    def reason(self) -> str:
        return " ".join(one["reason"] for one in self.waiting)


class Rotation(NamedTuple):
    """The whole change: each run in order, every message that was sent and every verdict on it; the records in the end."""

    steps: list[Step]
    subjects: list[str]
    failures: list[str]
    verdicts: list[Verdict]
    unchecked: list[str]
    left: tuple[list[str], list[str]]

    def step(self, when: str) -> Step:
        return next(step for step in self.steps if step.when == when)


class _Turner:
    """Runs the modules as a scheduler would, and keeps what the one for DKIM said."""

    def __init__(self, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self.task = mail_domain_dkim(domain=name, rotate={"to": "next", "retire_after": f"{RETIRE_AFTER}s"})
        self.dns = _dns(host, name)
        self.steps: list[Step] = []

    def turn(self, when: str, *options: str, publishes: bool = True) -> Step:
        tasks = [self.task, self.dns] if publishes else [self.task]
        result = run(self.host, *tasks, options=options).results[0]
        script = 'grep -h "^$1:" /etc/exim4/domains; cd "$2" && ls | grep -F "$1."'
        line, *files = self.host.bash(script, self.name, KEYS).stdout.splitlines()
        step = Step(when, result["changed"], result["waiting"], line, files)
        self.steps.append(step)
        return step

    def turn_until(self, stage: str, seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while self.turn(f"on the way to {stage}").stage != stage:
            assert time.monotonic() < deadline, f"no {stage} in {seconds} s: {self.steps[-1]}"
            time.sleep(0.5)


def _dns(host: Host, name: str) -> Task:
    """Publishes what is missing, and withdraws the record of a key whose rotation is over."""
    return mail_domain_dns(domain=[name], ttl=TTL, provider=provider(host), withdraw_dns=True)


def _set_up(host: Host, name: str) -> None:
    """A domain that signs with the selector first, whose record is out."""
    if host.lines_about(name):  # of an earlier round of these tests
        _remove(host, name)
    box = {"name": "info", "password_hash": HASH}
    domain = {"name": name, "owner": "alice", "dkim": {"selector": "first"}, "mailboxes": [box]}
    run(host, mail_domains(domains=[domain]), _dns(host, name))
    wait_until("the second name server", lambda: texts(f"first._domainkey.{name}", "ns2.test"))


def _remove(host: Host, name: str) -> None:
    run(host, mail_domain(name=name, state="absent", removed_mail="delete"))
    withdraw(host, "rotating")


@once
def _rotation(host: Host) -> Rotation:
    name, word = host.domain("rotating"), new_token()
    _set_up(host, name)
    judge = Judge(word, TTL + 1)
    sender = Sender(host, f"info@{name}", word)
    sender.start()
    turner = _Turner(host, name)
    try:
        unchecked = turner.turn("check mode", "--check", publishes=False).files
        turner.turn("begin", publishes=False)
        turner.turn("not published", publishes=False)
        with frozen_second_server(host):
            turner.turn("publish")
            time.sleep(TTL)
            turner.turn("second name server frozen")
        wait_until("the second name server", lambda: texts(f"next._domainkey.{name}", "ns2.test"))
        turner.turn("seen everywhere")
        turner.turn_until("retiring")
        turner.turn_until("retired")
        time.sleep(TTL)
        turner.turn("over")
        left = texts(f"first._domainkey.{name}"), texts(f"next._domainkey.{name}")
    finally:
        subjects = sender.stop()
    if subjects:
        wait_for_sink(subjects[-1])
    verdicts = judge.verdicts()
    _remove(host, name)
    return Rotation(turner.steps, subjects, sender.failures, verdicts, unchecked, left)


def test_check_mode_makes_no_key_for_a_rotation(mail_host: Host) -> None:
    rotation = _rotation(mail_host)
    assert not any("next" in file for file in rotation.unchecked)
    assert rotation.step("check mode").changed and rotation.step("check mode").waiting[0]["stage"] == "published"


def test_a_rotation_begins_with_a_key_that_does_not_sign(mail_host: Host) -> None:
    begin = _rotation(mail_host).step("begin")
    name = mail_host.domain("rotating")
    assert (begin.changed, begin.stage, begin.selector) == (True, "published", "first")
    assert {f"{name}.next.private", f"{name}.next.txt", f"{name}.private", f"{name}.txt"} == set(begin.files)
    assert f"next._domainkey.{name}" in begin.reason


def test_the_new_key_does_not_sign_before_every_name_server_shows_it(mail_host: Host) -> None:
    rotation = _rotation(mail_host)
    nothing, frozen = rotation.step("not published"), rotation.step("second name server frozen")
    assert (nothing.changed, nothing.stage, nothing.selector) == (False, "published", "first")
    assert (frozen.changed, frozen.stage, frozen.selector) == (False, "published", "first")
    assert "ns2.test" in frozen.reason or "198.51.100.102" in frozen.reason, frozen.reason
    assert "does not show" in frozen.reason and "does not show" in nothing.reason


def test_the_switch_waits_until_resolvers_have_forgotten(mail_host: Host) -> None:
    seen = _rotation(mail_host).step("seen everywhere")
    assert (seen.stage, seen.selector) == ("published", "first")
    assert seen.changed and " dkim_until=" in seen.line and seen.waiting[0]["until"], seen


def test_one_rename_switches_selector_and_key_together(mail_host: Host) -> None:
    name = mail_host.domain("rotating")
    retiring = next(step for step in _rotation(mail_host).steps if step.stage == "retiring")
    assert (retiring.selector, retiring.changed) == ("next", True)
    assert f" dkim_key={name}.next.private " in retiring.line
    assert f"{name}.private" in retiring.files
    assert retiring.waiting[0]["until"] and "first" in retiring.reason


def test_the_old_private_key_goes_when_the_rotation_is_over(mail_host: Host) -> None:
    rotation = _rotation(mail_host)
    name = mail_host.domain("rotating")
    last = rotation.steps[-1]
    assert (last.stage, last.selector, last.changed, last.waiting) == ("retired", "next", False, [])
    assert f"{name}.private" not in last.files and f"{name}.next.private" in last.files


def test_the_old_record_is_withdrawn_when_the_rotation_is_over(mail_host: Host) -> None:
    old, new = _rotation(mail_host).left
    assert old == [] and len(new) == 1


def test_every_message_of_a_rotation_verifies_at_reception_and_again_a_ttl_later(mail_host: Host) -> None:
    rotation = _rotation(mail_host)
    assert rotation.failures == []
    wrong = [verdict for verdict in rotation.verdicts if not verdict.is_valid]
    assert wrong == []
    looks = {(verdict.subject, verdict.look) for verdict in rotation.verdicts}
    assert looks == {(subject, look) for subject in rotation.subjects for look in (1, 2)}
    assert len(looks) == len(rotation.verdicts), "a message came twice"
    selectors = [verdict.signatures[0].selector for verdict in sorted(rotation.verdicts, key=lambda one: one.time)]
    assert selectors == sorted(selectors, key=("first", "next").index), "after the switch, the old key signed again"
    assert selectors.count("first") > 10 and selectors.count("next") > 10, selectors


def test_a_rotation_has_sent_a_message_a_second(mail_host: Host) -> None:
    verdicts = [verdict for verdict in _rotation(mail_host).verdicts if verdict.look == 1]
    moments = sorted(verdict.time for verdict in verdicts)
    assert len(moments) >= 0.8 * (moments[-1] - moments[0]), "too few for a message a second"
