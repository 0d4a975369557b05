# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes while mail keeps coming: every message is delivered once or refused for a reason that is true; none is lost, none bounces."""

from __future__ import annotations

import imaplib
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from hosts import Host, once
from lab import wait_until
from mail import places, wait_for_completion
from sessions import imap
from streams import SlowSender, Stream, Try
from test_8_modules import HASH

from playbooks import mail_domain, mail_domains, mailbox, run, start

ROUNDS = 2
UNKNOWN, REMOVING, NOT_HERE = "550 5.1.1", "450 4.2.1", "550 5.7.1"


def _gather(streams: Sequence[Stream]) -> list[Try]:
    return [one for stream in streams for one in stream.stop()]


def _bad_log_lines(host: Host, tries: Sequence[Try]) -> list[str]:
    """Bounces and frozen messages among what became of them."""
    ids = {one.queue_id for one in tries if one.is_accepted}
    return [line for line in host.log().splitlines() if (" ** " in line or "rozen" in line) and any(id_ in line for id_ in ids)]


class Moves(NamedTuple):
    """All that was sent while addresses moved, and where it is."""

    tries: list[Try]
    found: dict[str, list[str]]
    bad_lines: list[str]


@once
def _moves(host: Host) -> Moves:
    """m goes from mailbox to alias of a and back, n comes and goes, while mail for both keeps coming."""
    moving, target, passing = host.full("m@busy"), host.full("a@busy"), host.full("n@busy")
    boxes = [{"name": name, "password_hash": HASH} for name in ("a", "m")]
    run(host, mail_domains(domains=[{"name": host.domain("busy"), "owner": "alice", "mailboxes": boxes}]))
    streams = [Stream(host, ["m@busy", "n@busy"]), Stream(host, ["m@busy", "a@busy", "m+tag@busy", "n@busy"])]
    for stream in streams:
        stream.start()
    tasks = [
        mailbox(address=target, aliases=["m"], removed_mail="keep"),
        mailbox(address=passing, password_hash=HASH),
        mailbox(address=moving, password_hash=HASH),
        mailbox(address=passing, state="absent", removed_mail="keep"),
    ]
    try:
        run(host, *tasks * ROUNDS)
    finally:
        tries = _gather(streams)
    host.run_queue()
    wait_for_completion(host, [one.queue_id for one in tries])
    found = places(host, [one.token for one in tries])
    bad_lines = _bad_log_lines(host, tries)
    run(host, mail_domain(name=host.domain("busy"), state="absent", removed_mail="delete"))
    host.bash("rm -rf /var/vmail/.removed/*@busy.*")
    return Moves(tries, found, bad_lines)


def test_enough_mail_was_on_its_way_while_addresses_moved(mail_host: Host) -> None:
    accepted = [one for one in _moves(mail_host).tries if one.is_accepted]
    everywhere = {place.partition("/")[0] for one in accepted for place in _moves(mail_host).found[one.token]}
    assert len(accepted) > 30
    assert everywhere >= {"a@busy", "m@busy", ".removed"}, everywhere


def test_every_accepted_message_is_delivered_once_while_addresses_move(mail_host: Host) -> None:
    moves = _moves(mail_host)
    wrong = [
        (one.recipient, one.answer, moves.found[one.token]) for one in moves.tries if one.is_accepted and len(moves.found[one.token]) != 1
    ]
    assert not wrong, (
        "\n".join(map(str, wrong)) + "\n" + "\n".join(mail_host.log_of(*[answer.split("=")[-1] for _one, answer, _two in wrong]))
    )
    assert not moves.bad_lines


def test_mail_is_refused_only_for_reasons_that_are_true_while_addresses_move(mail_host: Host) -> None:
    moves = _moves(mail_host)
    refused = Counter((one.recipient.partition("+")[0], one.answer) for one in moves.tries if not one.is_accepted)
    allowed = {("n@busy", UNKNOWN), ("n@busy", REMOVING)}
    wrong = {key: count for key, count in refused.items() if (key[0], key[1][:9]) not in allowed}
    assert not wrong, "an address that was there all the time was refused"
    assert not [one for one in moves.tries if not one.is_accepted and moves.found[one.token]], "refused and delivered all the same"


class Removal(NamedTuple):
    """All that was sent while a domain was removed, what its archive holds, and what else was seen."""

    tries: list[Try]
    archived: set[str]
    slow: Try
    imap_ended: bool
    archive: str
    left: str
    bad_lines: list[str]


def _has_ended(session: imaplib.IMAP4) -> bool:
    try:
        session.noop()
    except (imaplib.IMAP4.abort, OSError):
        return True
    return False


@once
def _removal(host: Host) -> Removal:
    """A domain is removed while mail comes, a session is open, and one sender is in the middle of a message."""
    name, archives = host.domain("gone"), "/var/backups/verify-gone"
    boxes = [{"name": box, "password_hash": HASH} for box in ("a", "b")]
    run(host, mail_domains(domains=[{"name": name, "owner": "bob", "mailboxes": boxes}]))
    streams = [Stream(host, ["a@gone", "b@gone"]), Stream(host, ["b@gone", "a+tag@gone"])]
    for stream in streams:
        stream.start()
    session = imap(host, host.full("a@gone"))
    session.select("INBOX")
    slow = SlowSender(host, "b@gone")
    wait_until("mail on its way", lambda: sum(one.is_accepted for stream in streams for one in stream.tries) > 10)
    running = start(host, [mail_domain(name=name, state="absent", removed_mail="archive", archive_dir=archives)])
    wait_until("the removal", lambda: any(one.answer.startswith(REMOVING) for stream in streams for one in stream.tries), 60)
    time.sleep(1)
    slow_answer = slow.finish()
    done = running.finish()
    assert done.status == 0, done.output[-3000:]
    wait_until("the end", lambda: any(one.answer.startswith("5") for one in streams[0].tries))
    tries = _gather(streams)
    host.run_queue()
    script = "ls \"$1\"/*.tar.gz >/dev/null && tar -xOzf \"$1\"/*.tar.gz | grep -aoE '^Subject: token-[0-9a-f-]+' | cut -d ' ' -f 2"
    archived = set(host.bash(script, archives).stdout.split())
    archive = host.bash('stat --format "%U %a" "$1"/* && ls "$1"', archives).stdout
    left = host.bash(
        'ls -d /var/vmail/"$1" /var/vmail/.removed/"$1".* 2>/dev/null; grep -rl -- "$1" /etc/exim4 /etc/dovecot', name, check=False
    ).stdout
    host.run("rm", "-r", archives)
    slow_try = Try("b@gone", slow.token, slow_answer)
    return Removal(tries, archived, slow_try, _has_ended(session), archive, left, _bad_log_lines(host, [*tries, slow_try]))


def test_every_message_accepted_while_a_domain_is_archived_is_in_the_archive(mail_host: Host) -> None:
    removal = _removal(mail_host)
    accepted = [one for one in [*removal.tries, removal.slow] if one.is_accepted]
    missing = [one for one in accepted if one.token not in removal.archived]
    assert len(accepted) > 10
    assert not missing, "\n".join(mail_host.log_of(*[one.queue_id for one in missing]))
    assert not removal.bad_lines
    refused = {one.token for one in removal.tries if one.answer and not one.is_accepted}
    assert not removal.archived & refused, "refused and archived all the same"


def test_senders_to_a_domain_that_is_being_removed_are_put_off_and_then_refused(mail_host: Host) -> None:
    removal = _removal(mail_host)
    answers = Counter(one.answer[:9] for one in removal.tries if not one.is_accepted)
    assert set(answers) == {REMOVING, NOT_HERE}, answers


def test_a_message_half_sent_when_its_domain_goes_is_answered(mail_host: Host) -> None:
    assert _removal(mail_host).slow.answer[:3] in ("250", "421", "450", "451")


def test_a_removed_domain_leaves_its_archive_and_nothing_else(mail_host: Host) -> None:
    removal = _removal(mail_host)
    assert removal.imap_ended
    assert removal.archive.splitlines()[0] == "root 600"
    assert len(removal.archive.splitlines()) == 2
    assert mail_host.domain("gone") in removal.archive
    assert not removal.left
