# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mailbox of 1 MB: refused when it is full, put off when that shows only at delivery, and never in the way of others."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator

import pytest
from hosts import Host
from lab import PASSWORD, wait_until
from mail import OUTSIDE, letter, places, send, wait_for_completion
from sessions import imap

FULL = "552 5.2.2"
HALF = "x" * 70 + "\n"


@pytest.fixture
def small(mail_host: Host) -> Iterator[str]:
    """The mailbox, empty before and after."""
    address = mail_host.full("small@boxes")
    _empty(mail_host, address)
    yield address
    _empty(mail_host, address)


def _empty(host: Host, address: str) -> None:
    host.run("doveadm", "expunge", "-u", address, "mailbox", "INBOX", "all", check=False)


def _fill(host: Host, address: str, kilobytes: int) -> None:
    """Put one message into the mailbox, by IMAP."""
    session = imap(host, address)
    session.append("INBOX", None, None, b"Subject: filling\r\n\r\n" + b"y" * 1000 + (b"\r\n" + b"z" * 1022) * (kilobytes - 1))
    session.logout()


def _answer_to_rcpt(host: Host, recipient: str, size: int) -> str:
    with smtplib.SMTP(host.ip4, 25, "peer.outside.test", timeout=30) as session:
        session.ehlo()
        session.docmd("MAIL", f"FROM:<{OUTSIDE}>" + (f" SIZE={size}" if size else ""))
        code, text = session.docmd("RCPT", f"TO:<{recipient}>")
        return f"{code} {text.decode()}"


def test_what_does_not_fit_is_refused_at_rcpt(mail_host: Host, small: str) -> None:
    _fill(mail_host, small, 700)
    assert _answer_to_rcpt(mail_host, small, 100_000).startswith("250")
    assert _answer_to_rcpt(mail_host, small, 600_000).startswith(FULL)
    assert _answer_to_rcpt(mail_host, small.replace("small", "info"), 600_000).startswith("250")


def test_a_full_mailbox_is_refused_at_rcpt(mail_host: Host, small: str) -> None:
    _fill(mail_host, small, 900)
    script = 'cd "$1"/Maildir && cp --preserve=all "$(ls -d {new,cur}/* | head -n 1)" new/1.more && doveadm quota recalc -u "$2"'
    mail_host.bash(script, f"/var/vmail/{mail_host.domain('boxes')}/small", small)
    assert _answer_to_rcpt(mail_host, small, 0).startswith(FULL)
    # the addresses that lead to it as well
    assert _answer_to_rcpt(mail_host, small.replace("small", "small+tag"), 0).startswith(FULL)


def test_what_turns_out_too_large_at_delivery_waits_and_does_not_bounce(mail_host: Host, small: str) -> None:
    _fill(mail_host, small, 700)
    one = letter(mail_host, "small@boxes")
    session = send([one._replace(data=one.data + HALF * 8000)])[0]
    assert session.accepted, session.answer

    def deferred() -> list[str]:
        return [line for line in mail_host.log_of(session.queue_id) if " == " in line]

    assert " 452 4.2.2 " in wait_until("a deferral", deferred)[0]
    assert session.queue_id in mail_host.queue()
    _empty(mail_host, small)
    mail_host.run_queue()
    wait_for_completion(mail_host, [session.queue_id])
    assert places(mail_host, [one.token])[one.token] == ["small@boxes"]
    assert not [line for line in mail_host.log_of(session.queue_id) if " ** " in line]


def test_a_hung_quota_service_holds_nothing_up(mail_host: Host) -> None:
    _answer_to_rcpt(mail_host, mail_host.full("info@boxes"), 0)
    pids = mail_host.run("pgrep", "-f", "quota-status").stdout.split()
    mail_host.run("kill", "-STOP", *pids)
    try:
        begun = time.monotonic()
        letters = [letter(mail_host, "info@boxes,hashed@boxes,secretary@boxes,copy@boxes")]
        sessions = send(letters)
        seconds = time.monotonic() - begun
    finally:
        mail_host.run("kill", "-CONT", *pids)
    assert sessions[0].accepted, sessions[0].answer
    assert seconds < 7, f"four recipients took {seconds:.1f} s"


def test_a_quota_service_that_is_not_there_holds_nothing_up(mail_host: Host) -> None:
    socket = "/run/dovecot/exim-quota"
    mail_host.run("mv", socket, f"{socket}.away")
    try:
        assert _answer_to_rcpt(mail_host, mail_host.full("info@boxes"), 0).startswith("250")
    finally:
        mail_host.run("mv", f"{socket}.away", socket)


def test_users_see_their_quota(mail_host: Host) -> None:
    session = imap(mail_host, mail_host.full("small@boxes"), PASSWORD)
    answer = session.getquotaroot("INBOX")
    session.logout()
    assert b"STORAGE" in repr(answer).encode() and "1024" in repr(answer)
