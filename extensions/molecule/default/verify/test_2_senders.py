# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may send as whom: logins, local processes, and outside mail that claims to be ours."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hosts import Host, header, once
from lab import Result, new_token, wait_for_sink
from mail import Letter, Sent, letter, login, look_up, send, send_and_find, sink_messages_with

TAKEN = "250"
FORGED = "550 5.7.1"
ME = "info@reject"
OTHER = "info@discard"


class Row(NamedTuple):
    """What is tried: who logs in, the envelope sender, the From: headers as they are, and how the answer begins."""

    what: str
    answer: str
    headers: str
    envelope: str = ME
    user: str = ME


ROWS = [
    Row("its own address", TAKEN, f"From: {ME}\n"),
    Row("its own address in other letters", TAKEN, "From: INFO@Reject\n", envelope="Info@REJECT"),
    Row("another address of its domain", TAKEN, "From: Ceo <ceo@reject>\n", envelope="ceo@reject"),
    Row("two addresses of its domain", TAKEN, f"From: {ME}, second@reject\nSender: {ME}\n"),
    Row("an empty envelope", TAKEN, f"From: {ME}\n", envelope=""),
    Row("a name of words", TAKEN, f'From: "Info, of the Firm (Ltd.)" <{ME}>\n'),
    Row("a name in other letters", TAKEN, f"From: =?utf-8?q?B=C3=BCro?= <{ME}>\n"),
    # another domain's
    Row("another's From:", FORGED, f"From: {OTHER}\n"),
    Row("another's From: and envelope", FORGED, f"From: {OTHER}\n", envelope=OTHER),
    Row("another's envelope", FORGED, f"From: {ME}\n", envelope=OTHER),
    Row("another's From: in other letters", FORGED, "From: INFO@DISCARD\n"),
    Row("another's From: under an empty envelope", FORGED, f"From: {OTHER}\n", envelope=""),
    Row("somebody outside's From:", FORGED, "From: ceo@bank.test\n"),
    Row("somebody outside's envelope", FORGED, f"From: {ME}\n", envelope="ceo@bank.test"),
    Row("a domain below its own", FORGED, "From: x@sub.reject.ZONE\n"),
    Row("a domain that ends like its own", FORGED, "From: x@notreject\n"),
    # several at once
    Row("two From: headers", FORGED, f"From: {ME}\nFrom: {OTHER}\n"),
    Row("two From: headers, the other first", FORGED, f"From: {OTHER}\nFrom: {ME}\n"),
    Row("two From: headers, one in small letters", FORGED, f"From: {ME}\nfrom: {OTHER}\n"),
    Row("two From: headers, one with a space", FORGED, f"From: {ME}\nFrom : {OTHER}\n"),
    Row("two From: headers, both its own", FORGED, f"From: {ME}\nFrom: {ME}\n"),
    Row("a second address", FORGED, f"From: {ME}, {OTHER}\n"),
    Row("a second address first", FORGED, f"From: {OTHER}, {ME}\n"),
    Row("a second address behind a broken one", FORGED, f"From: {ME}, broken@@x, {OTHER}\n"),
    Row("a second address without a comma", FORGED, f"From: <{ME}> <{OTHER}>\n"),
    Row("a second address on a second line", FORGED, f"From: {ME},\n {OTHER}\n"),
    Row("a second address behind a semicolon", FORGED, f"From: {ME}; {OTHER}\n"),
    # groups
    Row("a group", FORGED, f"From: Board: {OTHER};\n"),
    Row("a group with both", FORGED, f"From: Board: {ME}, {OTHER};\n"),
    Row("an empty group", FORGED, "From: undisclosed:;\n"),
    # names that look like an address
    Row("another's address as name", FORGED, f'From: "{OTHER}" <{ME}>\n'),
    Row("another's address as name, without quotes", FORGED, f"From: {OTHER} <{ME}>\n"),
    Row("another's address as name, encoded", FORGED, f"From: =?utf-8?q?info=40discard.ZONE?= <{ME}>\n"),
    Row("another's address as name, in base64", FORGED, f"From: =?utf-8?b?BASE64?= <{ME}>\n"),
    Row("another's address as comment", FORGED, f"From: {ME} ({OTHER})\n"),
    Row("another's address as quoted local part", FORGED, 'From: "info@discard.ZONE"@reject.ZONE\n'),
    Row("an encoded word in place of the address", FORGED, "From: =?utf-8?q?info=40discard.ZONE?=\n"),
    # nothing there
    Row("no From:", FORGED, ""),
    Row("an empty From:", FORGED, "From:\n"),
    Row("an empty From: address", FORGED, "From: <>\n"),
    Row("only a name", FORGED, "From: Somebody\n"),
    # further senders
    Row("a further sender", TAKEN, f"From: {ME}\n", envelope=ME, user="secretary@boxes"),
    Row("any address of a further domain", TAKEN, "From: x@partner.test\n", envelope="y@partner.test", user="secretary@boxes"),
    Row(
        "its own next to a further sender",
        TAKEN,
        f"From: secretary@boxes, {ME}\nSender: secretary@boxes\n",
        "secretary@boxes",
        "secretary@boxes",
    ),
    Row("another address of a further sender's domain", FORGED, "From: second@reject\n", "secretary@boxes", "secretary@boxes"),
    Row("a domain below a further one", FORGED, "From: x@sub.partner.test\n", "secretary@boxes", "secretary@boxes"),
    Row("its neighbour's further sender", FORGED, f"From: {ME}\n", "info@boxes", "info@boxes"),
]


def _letter(host: Host, row: Row) -> Letter:
    encoded = "aW5mb0BkaXNjYXJkLmQxMi50ZXN0" if host.zone == "d12.test" else "aW5mb0BkaXNjYXJkLmQxMy50ZXN0"
    headers = row.headers.replace("ZONE", host.zone).replace("BASE64", encoded)
    return letter(host, "forged@sink.test", *login(host.full(row.user)), sender=row.envelope, headers=headers)


@once
def _sent(host: Host) -> dict[Row, Sent]:
    return dict(zip(ROWS, send_and_find(host, [_letter(host, row) for row in ROWS])))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what.replace(" ", "-"))
def test_a_login_sends_only_as_its_own_domain(mail_host: Host, row: Row) -> None:
    sent = _sent(mail_host)[row]
    assert sent.session.answer.startswith(row.answer), f"{row.user}, envelope {row.envelope!r}, {row.headers!r}: {sent.session.answer}"
    assert sent.places == (["forged@sink.test"] if row.answer == TAKEN else [])


# --- local processes


def _sendmail(host: Host, user: str, envelope: str, sender: str) -> tuple[str, Result]:
    token = new_token()
    message = host.full(f"From: {sender}\nTo: local@sink.test\n") + f"Subject: {token}\n\n{token}\n"
    done = host.run("runuser", "-u", user, "--", "/usr/sbin/sendmail", "-i", "-f", host.full(envelope), "-t", stdin=message, check=False)
    return token, done


def test_a_local_user_sends_as_the_domains_it_owns(mail_host: Host) -> None:
    token, done = _sendmail(mail_host, "alice", ME, f"Alice <{ME}>")
    assert done.status == 0, done.text
    received = wait_for_sink(token)[0]
    assert received.mail_from == mail_host.full(ME)
    assert not header(received.content, "Sender")


@pytest.mark.parametrize(
    ("envelope", "sender"),
    [
        (ME, ME),
        ("bob@HOST", ME),
        ("bob@HOST", f"bob@HOST, {ME}"),
        ("bob@HOST", f'"{ME}" <bob@HOST>'),
        ("bob@HOST", f"Board: {ME};"),
    ],
    ids=["all", "From", "second-address", "name", "group"],
)
def test_a_local_user_cannot_send_as_a_domain_of_another(mail_host: Host, envelope: str, sender: str) -> None:
    token, done = _sendmail(mail_host, "bob", envelope, sender)
    assert done.status != 0, f"accepted: {sender}"
    assert not [message for message in sink_messages_with(token) if token in header(message.content, "Subject")]


def test_a_local_user_sends_as_itself_and_its_envelope_is_its_own(mail_host: Host) -> None:
    token, done = _sendmail(mail_host, "bob", ME, "bob@HOST")
    assert done.status == 0, done.text
    assert wait_for_sink(token)[0].mail_from == f"bob@{mail_host.fqdn}"


def test_a_local_user_with_an_outside_from_is_named_in_sender(mail_host: Host) -> None:
    token, done = _sendmail(mail_host, "bob", "ceo@bank.test", "ceo@bank.test")
    assert done.status == 0, done.text
    received = wait_for_sink(token)[0]
    assert received.mail_from == f"bob@{mail_host.fqdn}"
    assert header(received.content, "Sender") == [f"bob@{mail_host.fqdn}"]


# --- outside mail that claims to be ours, through a forward


def test_a_forward_does_not_lend_its_name_to_a_forged_from(mail_host: Host) -> None:
    honest = letter(mail_host, "out@one")
    forged = letter(mail_host, "out@one", headers="From: The boss <info@one>\n")
    assert [session.answer[:3] for session in send([honest, forged])] == ["250", "250"]
    received = wait_for_sink(honest.token)[0]
    assert received.peer_ip in (mail_host.source4(1), mail_host.source6(1))
    received = wait_for_sink(forged.token)[0]
    domain = received.mail_from.rpartition("@")[2]
    assert domain != mail_host.domain("one"), f"SPF would pass for the forged From:, by {received.mail_from}"
    assert received.peer_ip not in (mail_host.source4(1), mail_host.source6(1)), "it left from the domain's own address"
    assert received.helo == mail_host.fqdn


def test_spf_of_what_a_forward_sends_holds(mail_host: Host) -> None:
    one = letter(mail_host, "onward@boxes")
    send([one])
    received = wait_for_sink(one.token)[0]
    domain = received.mail_from.rpartition("@")[2]
    policy = " ".join(look_up("TXT", domain))
    names = [word[2:].rstrip('"') for word in policy.split() if word.startswith("a:")] or ([domain] if " a " in policy else [])
    addresses = [address for name in names for kind in ("A", "AAAA") for address in look_up(kind, name)]
    assert received.peer_ip in addresses, f"{received.peer_ip} is not allowed by {policy} of {domain}"
