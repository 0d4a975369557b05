# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a stranger on port 25 tries: mail to anywhere, and local parts that a shell or a path would understand."""

from __future__ import annotations

import smtplib
from collections.abc import Sequence

import pytest
from hosts import Host
from mail import letter, login, send

SENDERS = ["<someone@outside.test>", "<>", "<info@reject.ZONE>", "<root@HOST>", "<root@localhost>", "<root@[127.0.0.1]>"]

TARGETS = [
    "<user@sink.test>",
    "<user%sink.test@reject.ZONE>",
    "<user%sink.test@HOST>",
    "<user%sink.test>",
    "<sink.test!user@reject.ZONE>",
    "<sink.test!user>",
    '<"user@sink.test"@reject.ZONE>',
    '<"user@sink.test"@HOST>',
    '<"user@sink.test">',
    '<"user%sink.test">',
    "<user@sink.test@reject.ZONE>",
    "<user@sink.test@HOST>",
    "<@reject.ZONE:user@sink.test>",
    "<@HOST,@reject.ZONE:user@sink.test>",
    "<user@[IP4]>",
    "<user@IP4>",
    "<user@sink.test.>",
    "<user@[PEER]>",
    "<user@sink.test>,<info@reject.ZONE>",
    "user@sink.test",
    "<srs0=aaaa=bb=sink.test=user@reject.ZONE>",
]

# To a domain that takes and deletes everything unknown, one that sends it on, a real domain of the outside, and the host.
LOCAL_PARTS = [
    "|/bin/sh",
    '"|/bin/sh -c id"',
    "/etc/passwd",
    '"/etc/passwd"',
    "../../etc/passwd",
    "a/../b",
    "a/b",
    "..",
    "a..b",
    ".a",
    "a.",
    "-f",
    "--help",
    "`id`",
    "$(id)",
    "${run{/bin/false}}",
    '"${run{/bin/false}}"',
    "$local_part",
    "a;b",
    "a&b",
    "a>b",
    "a*b",
    "a?b",
    "~root",
    '"a\\\\b"',
    '"a b"',
    '"a\tb"',
    ":include:/etc/passwd",
    '":include:/etc/passwd"',
    ":fail:",
    ":blackhole:",
    '"a\\"b"',
    "a#b",
    "a!b",
    "a%b",
    "a|b",
    "x" * 65,
]


def _answers(host: Host, sender: str, recipients: Sequence[str]) -> dict[str, str]:
    """The answer to each RCPT, each in a session of its own."""
    found = {}
    for recipient in recipients:
        with smtplib.SMTP(host.ip4, 25, "peer.outside.test", timeout=20) as session:
            session.ehlo()
            code, text = session.docmd("MAIL", f"FROM:{sender}")
            if code == 250:
                code, text = session.docmd("RCPT", f"TO:{recipient}")
            found[recipient] = f"{code} {text.decode(errors='replace')}"
    return found


def _written(host: Host, text: str) -> str:
    return text.replace("ZONE", host.zone).replace("HOST", host.fqdn).replace("IP4", host.ip4).replace("PEER", host.neighbour(2))


@pytest.mark.parametrize("sender", SENDERS)
def test_strangers_cannot_send_to_the_outside(mail_host: Host, sender: str) -> None:
    answers = _answers(mail_host, _written(mail_host, sender), [_written(mail_host, target) for target in TARGETS])
    wrong = {target: answer for target, answer in answers.items() if not answer.startswith("5")}
    assert not wrong


def _odd(host: Host, domain: str) -> dict[str, str]:
    recipients = {part: f"<{part}@{_written(host, domain)}>" for part in LOCAL_PARTS}
    answers = _answers(host, "<someone@outside.test>", list(recipients.values()))
    return {part: answers[recipient] for part, recipient in recipients.items()}


@pytest.mark.parametrize("domain", ["discard.ZONE", "outward.ZONE", "by-reject.ZONE", "HOST"])
def test_local_parts_with_a_meaning_elsewhere_are_refused(mail_host: Host, domain: str) -> None:
    wrong = {part: answer for part, answer in _odd(mail_host, domain).items() if not answer.startswith("5")}
    assert not wrong


def test_honest_local_parts_are_taken(mail_host: Host) -> None:
    parts = ["a", "first.last", "a-b", "a_b", "o'brien", "a=b", "123", "A.B", "a+b+c", "x" * 64]
    answers = _answers(mail_host, "<someone@outside.test>", [f"<{part}@{mail_host.domain('discard')}>" for part in parts])
    assert not {part: answer for part, answer in answers.items() if not answer.startswith("250")}


def test_logins_cannot_send_to_such_local_parts_outside(mail_host: Host) -> None:
    recipients = ["|/bin/sh@sink.test", "/etc/passwd@sink.test", '"../x"@sink.test', "user%sink.test@sink.test"]
    user = mail_host.full("info@reject")
    letters = [letter(mail_host, recipient, *login(user), sender=user) for recipient in recipients]
    answers = {recipient: session.answer for recipient, session in zip(recipients, send(letters))}
    assert not {recipient: answer for recipient, answer in answers.items() if not answer.startswith("5")}


def test_ports_for_submission_take_nothing_without_a_login(mail_host: Host) -> None:
    letters = [
        letter(mail_host, "info@reject", "--port", "587"),
        letter(mail_host, "info@reject", "--port", "587", "--tls"),
        letter(mail_host, "info@reject", "--port", "465", "--tls-on-connect"),
        letter(mail_host, "x@sink.test", "--port", "587", "--tls"),
    ]
    assert [session.answer[:3] for session in send(letters)] == ["530"] * 4
