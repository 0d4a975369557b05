# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A Sieve script sends as what its mailbox may send over SMTP, and as nobody else."""

from __future__ import annotations

from email.utils import getaddresses
from typing import NamedTuple

import pytest
from hosts import POSTMASTER, Host, header, once
from lab import Received, new_token, wait_for_sink, wait_until
from mail import OUTSIDE, Letter, letter, send, sink_messages_with, wait_for_completion
from sessions import sieve

ME = "info@boxes"
SECRETARY = "secretary@boxes"
OTHER = "info@reject"  # of the same owner
ANOTHERS = "info@old"  # of another owner
CEO = "ceo@bank.test"
NOBODY = "<>"
SINK = "sieve@sink.test"
REQUIRE = 'require ["enotify", "reject", "vacation"];\n'
VACATION = 'vacation :handle "TOKEN" :subject "TOKEN"'
NOTIFY = 'notify :message "TOKEN"'


class Row(NamedTuple):
    """What a script does with a message from outside, and who hears of it: by which envelope sender and From: address, or not at all."""

    what: str
    script: str
    envelope: str = NOBODY
    from_: str = ""  # refused, if empty
    mailbox: str = ME
    to: str = ""  # the mailbox, if empty
    reaches: str = SINK
    sender: str = OUTSIDE
    author: str = OUTSIDE


ROWS = [
    # answers: without an envelope sender
    Row("vacation", f'{VACATION} "away";', NOBODY, ME, reaches=OUTSIDE),
    Row("vacation of an alias", f'{VACATION} :addresses "alias@boxes" "away";', NOBODY, "alias@boxes", to="alias@boxes", reaches=OUTSIDE),
    Row("vacation from an alias", f'{VACATION} :from "alias@boxes" "away";', NOBODY, "alias@boxes", reaches=OUTSIDE),
    Row("vacation with a name", f'{VACATION} :from "Info <{ME}>" "away";', NOBODY, ME, reaches=OUTSIDE),
    Row("vacation of a domain without an owner", f'{VACATION} "away";', NOBODY, "info@one", "info@one", reaches=OUTSIDE),
    Row("reject", 'reject "TOKEN";', NOBODY, "postmaster@boxes", reaches=OUTSIDE),
    # mail of its own
    Row("notify", f'{NOTIFY} "mailto:{SINK}";', ME, ME),
    Row("notify from an alias", f'{NOTIFY} :from "alias@boxes" "mailto:{SINK}";', ME, "alias@boxes"),
    Row("notify of mail to a tagged address", f'{NOTIFY} "mailto:{SINK}";', "info+tag@boxes", "info+tag@boxes", to="info+tag@boxes"),
    Row("notify in other letters", f'{NOTIFY} :from "INFO@Boxes" "mailto:{SINK}";', ME, ME, to="INFO@Boxes"),
    Row("notify from a further sender", f'{NOTIFY} :from "{OTHER}" "mailto:{SINK}";', SECRETARY, OTHER, SECRETARY),
    Row("notify from any of a further domain", f'{NOTIFY} :from "x@partner.test" "mailto:{SINK}";', SECRETARY, "x@partner.test", SECRETARY),
    # other people's mail
    Row("redirect", f'redirect "{SINK}";', ME, OUTSIDE),
    Row("redirect of a bounce", f'redirect "{SINK}";', NOBODY, OUTSIDE, sender=""),
    Row("redirect of another domain's mail", f'redirect "{SINK}";', ME, ANOTHERS, author=ANOTHERS),
    Row("redirect of a domain without an owner", f'redirect "{SINK}";', "info@one", OUTSIDE, "info@one"),
    # attempts
    Row("notify from another domain", f'{NOTIFY} :from "{OTHER}" "mailto:{SINK}";'),
    Row("notify from a domain of another owner", f'{NOTIFY} :from "{ANOTHERS}" "mailto:{SINK}";'),
    Row("notify from outside", f'{NOTIFY} :from "{CEO}" "mailto:{SINK}";'),
    Row("notify from the neighbour's further sender", f'{NOTIFY} :from "x@partner.test" "mailto:{SINK}";'),
    Row("notify from another of a further sender's domain", f'{NOTIFY} :from "second@reject" "mailto:{SINK}";', mailbox=SECRETARY),
    Row("notify between domains without an owner", f'{NOTIFY} :from "info@two" "mailto:{SINK}";', mailbox="info@one"),
    Row("notify with another's address as name", f'{NOTIFY} :from "\\"{OTHER}\\" <{ME}>" "mailto:{SINK}";'),
    Row("notify that claims to be a redirect", f'{NOTIFY} :from "{OTHER}" "mailto:{SINK}?X-Sieve-Redirected-From={ME}";'),
    Row("notify from the host's postmaster", f'{NOTIFY} :from "{POSTMASTER}" "mailto:{SINK}";'),
    Row("vacation from another domain", f'{VACATION} :from "{OTHER}" "away";'),
    Row("vacation from a domain of another owner", f'{VACATION} :from "{ANOTHERS}" "away";'),
    Row("vacation from outside", f'{VACATION} :from "{CEO}" "away";'),
    Row("vacation of another's address", f'{VACATION} :addresses "{OTHER}" "away";', to=OTHER),
    Row("vacation with a second From:", f"{VACATION} :mime text:\nFrom: {OTHER}\n\nTOKEN\n.\n;"),
    Row(
        "vacation that claims to be a redirect",
        f'{VACATION} :from "{OTHER}" :mime text:\nX-Sieve: x\nX-Sieve-Redirected-From: {ME}\n\nTOKEN\n.\n;',
    ),
]


def _letter(host: Host, row: Row) -> Letter:
    """To the mailbox, though its header may say another: a vacation answers what is addressed to an address that it knows."""
    to = row.to or row.mailbox
    headers = f"From: {row.author}\nTo: {to}\n"
    return letter(host, row.mailbox if to == OTHER else to, sender=row.sender, headers=headers)


def _script(host: Host, letters: dict[Row, Letter], mailbox: str) -> str:
    """One script for a mailbox: what it does depends on the message."""
    parts = [
        f'if header :is "subject" "{one.token}" {{\n{host.full(row.script).replace("TOKEN", one.token)}\n}}\n'
        for row, one in letters.items()
        if row.mailbox == mailbox
    ]
    return REQUIRE + "".join(parts)


@once
def _sent(host: Host) -> dict[Row, tuple[str, list[Received]]]:
    """Token of each row's message, and what left the host because of it."""
    letters = {row: _letter(host, row) for row in ROWS}
    sessions = {mailbox: sieve(host, host.full(mailbox)) for mailbox in {row.mailbox for row in ROWS}}
    try:
        for mailbox, session in sessions.items():
            session.activate("judged", _script(host, letters, mailbox))
        answers = send(list(letters.values()))
        assert {answer.answer[:3] for answer in answers} == {"250"}
        wait_for_completion(host, [answer.queue_id for answer in answers])
    finally:
        for session in sessions.values():
            session.deactivate()
    for row in ROWS:
        if row.from_:
            wait_for_sink(letters[row].token)
    return {row: (one.token, sink_messages_with(one.token)) for row, one in letters.items()}


def _seen(host: Host, message: Received) -> tuple[str, list[str], list[str]]:
    """Envelope sender, From: addresses, recipients; all in small letters."""
    addresses = getaddresses(header(message.content, "From"))
    return host.short(message.mail_from.lower()), [host.short(address.lower()) for _name, address in addresses], message.rcpt_tos


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.what.replace(" ", "-"))
def test_a_script_sends_as_its_mailbox_alone(mail_host: Host, row: Row) -> None:
    _token, messages = _sent(mail_host)[row]
    assert [_seen(mail_host, one) for one in messages] == ([(row.envelope, [row.from_], [row.reaches])] if row.from_ else [])


def test_a_refused_script_keeps_the_message_and_only_the_log_tells(mail_host: Host) -> None:
    row = next(row for row in ROWS if row.what == "notify from another domain")
    token, _messages = _sent(mail_host)[row]
    assert mail_host.log_of(mail_host.full(f"rejected by non-SMTP ACL: 550 5.7.1 {ME} may not send as {OTHER}"))
    assert mail_host.message(mail_host.full(ME), token)
    told = mail_host.bash('grep -rlF -e "$1" /var/vmail/reject.*/', token, check=False).stdout
    assert not told, "it came back to the forged sender"


def test_a_bounce_of_what_a_script_sent_comes_back_to_its_mailbox(mail_host: Host) -> None:
    one = letter(mail_host, ME)
    session = sieve(mail_host, mail_host.full(ME))
    session.activate("judged", REQUIRE + f'{NOTIFY} "mailto:somebody@refuse.test";'.replace("TOKEN", one.token))
    try:
        send([one])
        wait_until(
            "the bounce",
            lambda: [text for text in mail_host.contents(mail_host.full(ME)) if "To: somebody@refuse.test" in text and one.token in text],
        )
    finally:
        session.deactivate()


def test_a_script_cannot_change_headers(mail_host: Host) -> None:
    """Or a redirect could get another author than the message had."""
    extensions = next(line for line in sieve(mail_host, mail_host.full(ME)).capabilities if line.startswith('"SIEVE"'))
    assert "editheader" not in extensions and "vacation" in extensions


@pytest.mark.parametrize(
    ("claimed", "from_"),
    [(ANOTHERS, ANOTHERS), (ANOTHERS, ME), (ME, OTHER), ("nobody@nowhere.test", ME)],
    ids=["another-owner's", "another-owner's-with-own-From", "own-with-another-From", "unknown"],
)
def test_a_process_gains_nothing_by_calling_itself_a_script(mail_host: Host, claimed: str, from_: str) -> None:
    """alice owns boxes and reject."""
    token = new_token()
    message = mail_host.full(f"From: {from_}\nTo: {SINK}\n") + f"Subject: {token}\n\n{token}\n"
    command = ("runuser", "-u", "alice", "--", "env", mail_host.full(f"SIEVE_USER={claimed}"), "/usr/sbin/sendmail", "-i", SINK)
    assert mail_host.run(*command, stdin=message, check=False).status != 0
