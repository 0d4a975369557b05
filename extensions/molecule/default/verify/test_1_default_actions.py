# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where mail from outside goes: every default action, every kind of address, every disabled action."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hosts import POSTMASTER, Host, once
from mail import OUTSIDE, Sent, letter, send, send_and_find

UNKNOWN = "550 5.1.1"
DOMAIN_OFF = "550 5.2.1"
DOMAIN_DEFERS = "450 4.2.1"
TAKEN = "250"


class Row(NamedTuple):
    """A recipient, how the answer begins, and every place where the message is afterwards."""

    recipient: str
    answer: str
    places: tuple[str, ...] = ()


ROWS = [
    # reject
    Row("info@reject", TAKEN, ("info@reject",)),
    Row("INFO@REJECT", TAKEN, ("info@reject",)),
    Row("nobody@reject", UNKNOWN),
    # aliases and plus addresses
    Row("sales@reject", TAKEN, ("info@reject",)),
    Row("office@reject", TAKEN, ("info@reject",)),
    Row("info+tag@reject", TAKEN, ("info@reject",)),
    Row("sales+tag@reject", TAKEN, ("info@reject",)),
    Row("nobody+tag@reject", UNKNOWN),
    # discard: never what exists
    Row("nobody@discard", TAKEN),
    Row("info@discard", TAKEN, ("info@discard",)),
    Row("info+tag@discard", TAKEN, ("info@discard",)),
    # forward to an address: never also a copy of what exists
    Row("nobody@address", TAKEN, ("info@reject",)),
    Row("info@address", TAKEN, ("info@address",)),
    Row("sales@address", TAKEN, ("info@address",)),
    Row("nobody@outward", TAKEN, ("catchall@sink.test",)),
    # forward to a domain with each default action: what does not exist there is refused, whatever that domain does with it
    Row("info@by-reject", TAKEN, ("info@reject",)),
    Row("sales@by-reject", TAKEN, ("info@reject",)),
    Row("info+tag@by-reject", TAKEN, ("info@reject",)),
    Row("own@by-reject", TAKEN, ("own@by-reject",)),
    Row("nobody@by-reject", UNKNOWN),
    Row("info@by-discard", TAKEN, ("info@discard",)),
    Row("nobody@by-discard", UNKNOWN),
    Row("info@by-address", TAKEN, ("info@address",)),
    Row("nobody@by-address", UNKNOWN),
    Row("own@by-domain", TAKEN, ("own@by-reject",)),
    Row("info@by-domain", UNKNOWN),
    # forward to a disabled domain: as there
    Row("info@by-off-reject", DOMAIN_OFF),
    Row("nobody@by-off-reject", UNKNOWN),
    Row("info@by-off-defer", DOMAIN_DEFERS),
    Row("nobody@by-off-defer", UNKNOWN),
    Row("info@by-off-accept", TAKEN, ("info@off-accept",)),
    # two domains that point at each other
    Row("only-a@loop-a", TAKEN, ("only-a@loop-a",)),
    Row("only-a@loop-b", TAKEN, ("only-a@loop-a",)),
    Row("nobody@loop-a", UNKNOWN),
    Row("nobody@loop-b", UNKNOWN),
    # disabled domains and a disabled mailbox
    Row("info@off-reject", DOMAIN_OFF),
    Row("nobody@off-reject", DOMAIN_OFF),
    Row("info@off-defer", DOMAIN_DEFERS),
    Row("info@off-accept", TAKEN, ("info@off-accept",)),
    Row("nobody@off-accept", UNKNOWN),
    Row("closed@boxes", DOMAIN_OFF),
    # mailboxes that forward, and addresses that only forward
    Row("info@boxes", TAKEN, ("info@boxes",)),
    Row("alias@boxes", TAKEN, ("info@boxes",)),
    Row("hashed@boxes", TAKEN, ("hashed@boxes",)),
    Row("copy@boxes", TAKEN, ("copy@boxes", "copy@sink.test")),
    Row("onward@boxes", TAKEN, ("onward@sink.test",)),
    Row("inward@boxes", TAKEN, ("info@reject",)),
    Row("press@boxes", TAKEN, ("info@reject", "press@sink.test")),
    # an international domain, by its A-label
    Row("info@xn--bcher-kva", TAKEN, ("info@xn--bcher-kva",)),
    # these two always answer: as addresses of the domain, else at the host's postmaster
    Row("postmaster@reject", TAKEN, (POSTMASTER,)),
    Row("abuse@reject", TAKEN, (POSTMASTER,)),
    Row("Postmaster@discard", TAKEN, (POSTMASTER,)),
    Row("abuse@address", TAKEN, (POSTMASTER,)),
    Row("postmaster@by-reject", TAKEN, (POSTMASTER,)),
    Row("postmaster@post", TAKEN, ("postmaster@post",)),
    Row("abuse@post", TAKEN, ("postmaster@post",)),
    Row("postmaster@off-reject", DOMAIN_OFF),
    # the host's own names
    Row("root@HOST", TAKEN, (POSTMASTER,)),
    Row("postmaster@HOST", TAKEN, (POSTMASTER,)),
    Row("alice@HOST", TAKEN, (POSTMASTER,)),
    Row("root@alias.HOST", TAKEN, (POSTMASTER,)),
    Row("nobody-at-all@HOST", UNKNOWN),
]


@once
def _sent(host: Host) -> dict[Row, Sent]:
    return dict(zip(ROWS, send_and_find(host, [letter(host, row.recipient) for row in ROWS])))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.recipient)
def test_mail_from_outside_goes_where_it_belongs(mail_host: Host, row: Row) -> None:
    sent = _sent(mail_host)[row]
    assert sent.session.answer.startswith(row.answer), f"{row.recipient}: {sent.session.answer}\n{sent.session.transcript}"
    assert sent.places == list(row.places), f"{row.recipient} is elsewhere:\n" + "\n".join(
        mail_host.log_of(sent.session.queue_id or "none")
    )


def test_what_is_discarded_stands_in_the_log(mail_host: Host) -> None:
    session = _sent(mail_host)[Row("nobody@discard", TAKEN)].session
    assert any("blackhole" in line or "discard" in line for line in mail_host.log_of(session.queue_id))


def test_refusals_come_before_any_data(mail_host: Host) -> None:
    refused = [row for row in ROWS if row.answer != TAKEN]
    late = [row.recipient for row in refused if " -> DATA" in _sent(mail_host)[row].session.transcript]
    assert refused and not late


def test_mail_belongs_to_the_owner_of_its_domain(mail_host: Host) -> None:
    script = 'cd /var/vmail; for box; do find "$box" \\( -type f -o -type d \\) -printf "%u %m %y\\n" | sort -u | sed "s|^|$box |"; done'
    owners = {"reject": "alice", "address": "bob", "off-accept": "vmail"}
    boxes = {f"{mail_host.domain(label)}/info": owner for label, owner in owners.items()}
    lines = [line.split() for line in mail_host.bash(script, *boxes).stdout.splitlines()]
    assert {line[0] for line in lines} == set(boxes)
    wrong = [line for line in lines if line[1] != boxes[line[0]] or (line[3] == "d" and line[2] != "700")]
    assert not wrong, f"wrong owner or mode: {wrong}"


def test_one_message_to_many_recipients_is_delivered_to_each_once(mail_host: Host) -> None:
    one = letter(mail_host, "info@reject,sales@reject,nobody@discard,info@address,info@by-reject,copy@boxes,onward@boxes")
    sent = send_and_find(mail_host, [one])[0]
    assert sent.places == ["copy@boxes", "copy@sink.test", "info@address", "info@reject", "onward@sink.test"]


def test_a_sender_nobody_can_answer_and_a_listed_host_are_refused(mail_host: Host) -> None:
    listed = ("--local-interface", mail_host.neighbour(102))
    rows = [
        (letter(mail_host, "info@reject", sender="x@does-not-exist.test"), "550"),
        (letter(mail_host, "info@reject", *listed), "550 5.7.1"),
        (letter(mail_host, "postmaster@reject", *listed), TAKEN),
        (letter(mail_host, "info@reject", "--helo", mail_host.fqdn), "550 5.7.1"),
        (letter(mail_host, "info@reject", sender=""), TAKEN),
        (letter(mail_host, "info@reject", sender=OUTSIDE), TAKEN),
    ]
    answers = [session.answer for session in send([one for one, _wanted in rows])]
    assert [answer[: len(wanted)] for answer, (_one, wanted) in zip(answers, rows)] == [wanted for _one, wanted in rows], answers


def test_a_table_that_is_missing_makes_mail_wait(mail_host: Host) -> None:
    tables = ["/etc/exim4/domains", "/etc/exim4/addresses"]
    for table in tables:
        mail_host.run("mv", table, f"{table}.away")
        try:
            session = send([letter(mail_host, "info@reject")])[0]
        finally:
            mail_host.run("mv", f"{table}.away", table)
        assert session.answer.startswith("4"), f"without {table}: {session.answer}"
