# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain and a mailbox are disabled in use, and enabled again: answers, logins, open sessions, queued mail."""

from __future__ import annotations

import imaplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from hosts import Host, once
from lab import wait_until
from mail import letter, places, send, wait_for_completion
from sessions import imap, may_log_in, smtp

from playbooks import mail_domain, mailbox, run

LMTP = "/run/dovecot/exim-lmtp"


@contextmanager
def _deliveries_held(host: Host) -> Iterator[None]:
    """Mail is accepted and waits in the queue, because Dovecot cannot be reached."""
    host.run("mv", LMTP, f"{LMTP}.away")
    try:
        yield
    finally:
        host.run("mv", f"{LMTP}.away", LMTP)


def _has_ended(session: imaplib.IMAP4) -> bool:
    try:
        session.noop()
    except (imaplib.IMAP4.abort, OSError):
        return True
    return False


class Story(NamedTuple):
    """What was seen from the first to the last step; a test looks at one part of it each."""

    answers: dict[str, tuple[str, str]]
    logins: dict[str, dict[int, bool]]
    imap_ended: bool
    other_imap_goes_on: bool
    smtp_answer: str
    queued_ids: list[str]
    queue_while_off: str
    log_while_off: list[str]
    places_at_end: list[list[str]]
    tables_before: list[str]
    tables_after: list[str]
    pids: set[str]


def _answers(host: Host) -> tuple[str, str]:
    """What a domain's and a mailbox' sender is told."""
    sessions = send([letter(host, "info@switch", "--quit-after", "RCPT"), letter(host, "held@boxes", "--quit-after", "RCPT")])
    return sessions[0].reply_to("RCPT"), sessions[1].reply_to("RCPT")


def _logins(host: Host) -> dict[int, bool]:
    ports = (993, 587)
    with ThreadPoolExecutor(len(ports)) as pool:
        return dict(zip(ports, pool.map(lambda port: may_log_in(host, port, host.full("info@switch")), ports)))


@once
def _story(host: Host) -> Story:
    domain, address = host.domain("switch"), host.full("held@boxes")
    letters = [letter(host, "info@switch"), letter(host, "held@boxes")]
    with _deliveries_held(host):
        ids = [session.queue_id for session in send(letters)]
        wait_until("both in the queue", lambda: all(len(host.log_of(id_)) > 1 for id_ in ids))
    before, pid = host.lines_about("switch.") + host.lines_about("held@"), host.daemon_pid()
    open_imap, other_imap = imap(host, host.full("info@switch")), imap(host, host.full("info@address"))
    open_smtp = smtp(host, host.full("info@switch"))
    answers, logins = {"on": _answers(host)}, {"on": _logins(host)}
    for action in ("reject", "defer", "accept"):
        run(host, mail_domain(name=domain, enabled=False, disabled_action=action), mailbox(address=address, enabled=False))
        if action == "reject":
            wait_until("the end of the session", lambda: _has_ended(open_imap))
            host.run_queue()
            queue, log = host.queue(), host.log_of(*ids)
            code, text = open_smtp.docmd("MAIL", f"FROM:<{host.full('info@switch')}>")
            if code == 250:
                code, text = open_smtp.docmd("RCPT", "TO:<x@sink.test>")
        answers[action], logins[action] = _answers(host), _logins(host)
    run(host, mail_domain(name=domain, enabled=True, disabled_action="reject"), mailbox(address=address, enabled=True))
    answers["on again"], logins["on again"] = _answers(host), _logins(host)
    host.run_queue()
    wait_for_completion(host, ids)
    found = places(host, [one.token for one in letters])
    return Story(
        answers=answers,
        logins=logins,
        imap_ended=_has_ended(open_imap),
        other_imap_goes_on=not _has_ended(other_imap),
        smtp_answer=f"{code} {text.decode()}",
        queued_ids=ids,
        queue_while_off=queue,
        log_while_off=log,
        places_at_end=[found[one.token] for one in letters],
        tables_before=before,
        tables_after=host.lines_about("switch.") + host.lines_about("held@"),
        pids={pid, host.daemon_pid()},
    )


def test_senders_to_a_disabled_domain_get_its_disabled_action(mail_host: Host) -> None:
    begins = {state: domain[:9] if domain[0] != "2" else domain[:3] for state, (domain, _box) in _story(mail_host).answers.items()}
    assert begins == {"on": "250", "reject": "550 5.2.1", "defer": "450 4.2.1", "accept": "250", "on again": "250"}


def test_senders_to_a_disabled_mailbox_are_refused(mail_host: Host) -> None:
    begins = {state: box[:3] for state, (_domain, box) in _story(mail_host).answers.items()}
    assert begins == {"on": "250", "reject": "550", "defer": "550", "accept": "550", "on again": "250"}


def test_nobody_logs_in_to_a_disabled_domain_whatever_senders_get(mail_host: Host) -> None:
    yes, no = {993: True, 587: True}, {993: False, 587: False}
    assert _story(mail_host).logins == {"on": yes, "reject": no, "defer": no, "accept": no, "on again": yes}


def test_open_imap_sessions_of_a_disabled_domain_end_and_no_others(mail_host: Host) -> None:
    assert _story(mail_host).imap_ended
    assert _story(mail_host).other_imap_goes_on


def test_an_open_smtp_session_of_a_disabled_domain_sends_nothing_more(mail_host: Host) -> None:
    assert _story(mail_host).smtp_answer.startswith("5")


def test_mail_queued_for_what_is_disabled_waits(mail_host: Host) -> None:
    story = _story(mail_host)
    assert all(id_ in story.queue_while_off for id_ in story.queued_ids), story.queue_while_off
    assert "frozen" not in story.queue_while_off
    assert not [line for line in story.log_while_off if " ** " in line]


def test_enabling_brings_everything_back_unchanged(mail_host: Host) -> None:
    story = _story(mail_host)
    assert story.places_at_end == [["info@switch"], ["held@boxes"]]
    assert story.tables_after == story.tables_before
    assert len(story.pids) == 1, "Exim was restarted"
