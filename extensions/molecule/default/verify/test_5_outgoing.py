# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that leaves the host: from which address, under which name, with which envelope sender; what comes back."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hosts import POSTMASTER, Host, header, once
from lab import PEER, Received, new_token, run_in, wait_for_sink, wait_until
from mail import OUTSIDE, Letter, letter, login, look_up, send, sink_messages_with, wait_for_completion


class Row(NamedTuple):
    """Who sends where, from which addresses it may leave (v4/v6: of the first, second or own address), and the HELO name."""

    user: str
    recipient: str
    sources: tuple[str, ...]
    helo: str


ROWS = [
    Row("info@one", "x@sink.test", ("first4", "first6"), "out1.HOST"),
    Row("info@one", "x@sink4.test", ("first4",), "out1.HOST"),
    Row("info@one", "x@sink6.test", ("first6",), "out1.HOST"),
    Row("info@two", "x@sink.test", ("second4", "second6"), "out2.HOST"),
    Row("info@two", "x@sink4.test", ("second4",), "out2.HOST"),
    Row("info@two", "x@sink6.test", ("second6",), "out2.HOST"),
    # a domain without IPv6 to a server that has both
    Row("info@four", "x@sink.test", ("first4",), "out1.HOST"),
    # a domain without addresses of its own
    Row("info@reject", "x@sink.test", ("own4", "own6"), "HOST"),
    # a route in place of the DNS
    Row("info@reject", "x@routed.test", ("own4", "own6"), "HOST"),
    Row("info@two", "x@routed.test", ("second4", "second6"), "out2.HOST"),
]


def _from(host: Host, user: str, recipient: str) -> Letter:
    return letter(host, recipient, *login(host.full(user)), sender=user)


@once
def _received(host: Host) -> dict[Row, Received]:
    letters = [_from(host, row.user, row.recipient) for row in ROWS]
    wait_for_completion(host, [session.queue_id for session in send(letters)])
    at_sink = sink_messages_with(*[one.token for one in letters])
    return {row: message for row, one in zip(ROWS, letters) for message in at_sink if one.token in message.content}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.user}-to-{row.recipient}")
def test_mail_leaves_from_its_domains_address(mail_host: Host, row: Row) -> None:
    addresses = {
        "own4": mail_host.ip4,
        "own6": mail_host.ip6,
        "first4": mail_host.source4(1),
        "first6": mail_host.source6(1),
        "second4": mail_host.source4(2),
        "second6": mail_host.source6(2),
    }
    message = _received(mail_host)[row]
    assert message.peer_ip in [addresses[source] for source in row.sources]
    assert message.helo == mail_host.full(row.helo)
    assert look_up("-x", message.peer_ip) == [f"{message.helo}."], "the HELO name is not the address's PTR"
    assert message.tls
    assert message.mail_from == mail_host.full(row.user)


def test_mail_of_a_domain_without_ipv6_never_leaves_over_ipv6(mail_host: Host) -> None:
    one = _from(mail_host, "info@four", "x@sink6.test")
    session = send([one])[0]

    def judged() -> list[str]:
        return [line for line in mail_host.log_of(session.queue_id) if " == " in line or " ** " in line]

    wait_until("the end of the first attempt", judged)
    assert not [message for message in sink_messages_with(one.token) if message.peer_ip.count(":")]
    mail_host.run("exim4", "-Mrm", session.queue_id, check=False)


# --- mail that is forwarded


def test_the_envelope_of_forwarded_mail_is_rewritten_and_its_bounce_comes_back(mail_host: Host) -> None:
    one = letter(mail_host, "onward@boxes")
    send([one])
    rewritten = wait_for_sink(one.token)[0].mail_from
    assert rewritten.upper().startswith("SRS0=")
    assert rewritten.endswith((f"@{mail_host.domain('boxes')}", f"@{mail_host.fqdn}"))
    assert "outside.test" in rewritten and "someone" in rewritten
    bounce = letter(mail_host, rewritten, sender="")
    tampered = letter(mail_host, rewritten.replace("=someone@", "=other@"), sender="")
    changed = letter(mail_host, rewritten.replace("someone", "victim"), sender="")
    no_bounce = letter(mail_host, rewritten)
    answers = [session.answer for session in send([bounce, tampered, changed, no_bounce])]
    assert answers[0].startswith("250"), answers
    assert answers[2].startswith("550") and answers[3].startswith("550"), answers
    returned = wait_for_sink(bounce.token)
    assert [message.rcpt_tos for message in returned] == [[OUTSIDE]]
    assert returned[0].mail_from in ("", "<>")


def test_mail_between_own_addresses_keeps_its_envelope(mail_host: Host) -> None:
    one = letter(mail_host, "inward@boxes")
    send([one])
    assert header(mail_host.message(mail_host.full("info@reject"), one.token), "Return-Path") == [f"<{OUTSIDE}>"]


def test_mail_of_a_login_keeps_its_envelope(mail_host: Host) -> None:
    assert _received(mail_host)[ROWS[0]].mail_from == mail_host.full("info@one")


# --- what is said about mail that comes in


@pytest.mark.parametrize(
    ("sender", "verdict"),
    [("x@outside.test", "spf=pass"), ("x@spffail.test", "spf=fail"), ("x@nospf.test", "spf=none")],
)
def test_incoming_mail_tells_its_spf_result(mail_host: Host, sender: str, verdict: str) -> None:
    one = letter(mail_host, "info@reject", sender=sender)
    send([one])
    results = header(mail_host.message(mail_host.full("info@reject"), one.token), "Authentication-Results")
    assert len(results) == 1, results
    assert results[0].startswith(mail_host.fqdn) and verdict in results[0], results


# Signs like a mail server would (RFC 6376, relaxed/relaxed), with openssl; its key stands in the DNS under outside.test.
_SIGN = r"""
set -eu
exec 9>/tmp/dkim.lock
flock 9
if [ ! -e /root/dkim.key ]; then
    openssl genrsa -out /root/dkim.new 2048 2>/dev/null
    key=$(openssl rsa -in /root/dkim.new -pubout -outform DER 2>/dev/null | base64 -w 0)
    record=$(printf 'v=DKIM1; k=rsa; p=%s' "$key" | fold -w 200 | sed 's/.*/"&"/' | tr '\n' ' ')
    printf 'verify._domainkey.outside IN TXT %s\n' "$record" >>/etc/bind/test.zone
    rndc reload test >/dev/null
    mv /root/dkim.new /root/dkim.key
fi
body=$(printf '%s\r\n' "$2" | openssl dgst -sha256 -binary | base64 -w 0)
unsigned="v=1; a=rsa-sha256; c=relaxed/relaxed; d=outside.test; s=verify; h=from:subject; bh=$body; b="
signature=$(printf 'from:someone@outside.test\r\nsubject:%s\r\ndkim-signature:%s' "$1" "$unsigned" |
    openssl dgst -sha256 -sign /root/dkim.key | base64 -w 0)
printf '%s%s' "$unsigned" "$signature"
"""


@pytest.mark.parametrize(("subject", "verdict"), [("", "dkim=pass"), ("changed ", "dkim=fail")], ids=["signed", "changed"])
def test_incoming_mail_tells_its_dkim_result(mail_host: Host, subject: str, verdict: str) -> None:
    token = new_token()
    signature = run_in(PEER, "bash", "-c", _SIGN, "bash", token, token).stdout
    data = f"DKIM-Signature: {signature}\nFrom: {OUTSIDE}\nSubject: {subject}{token}\n\n{token}\n"
    one = letter(mail_host, "info@reject")._replace(data=data, token=token)
    send([one])
    results = header(mail_host.message(mail_host.full("info@reject"), token), "Authentication-Results")
    assert len(results) == 1 and verdict in results[0], results


def test_results_that_claim_to_be_ours_are_taken_out(mail_host: Host) -> None:
    forged = f"Authentication-Results: {mail_host.fqdn}; dkim=pass header.d=bank.test\nFrom: x@spffail.test\n"
    one = letter(mail_host, "info@reject", sender="x@spffail.test", headers=forged)
    send([one])
    results = header(mail_host.message(mail_host.full("info@reject"), one.token), "Authentication-Results")
    assert len(results) == 1 and "bank.test" not in results[0], results


# --- bounces


def test_a_bounce_reaches_the_mailbox_that_sent(mail_host: Host) -> None:
    one = _from(mail_host, "info@reject", "nobody@refuse.test")
    send([one])
    bounce = mail_host.message(mail_host.full("info@reject"), one.token)
    assert header(bounce, "Return-Path") == ["<>"]
    assert "550 5.1.1 nobody here takes mail" in bounce


def test_a_bounce_to_a_local_user_goes_to_the_postmaster_and_does_not_freeze(mail_host: Host) -> None:
    token = new_token()
    message = f"From: alice@{mail_host.fqdn}\nTo: nobody@refuse.test\nSubject: {token}\n\n{token}\n"
    mail_host.run("runuser", "-u", "alice", "--", "/usr/sbin/sendmail", "-i", "nobody@refuse.test", stdin=message)
    bounce = wait_for_sink(token)[0]
    assert bounce.rcpt_tos == [POSTMASTER]
    assert "frozen" not in mail_host.queue()
