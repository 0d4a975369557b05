# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Greylisting, lists, limits, and what goes with filters."""

from __future__ import annotations

import base64
import hashlib
import smtplib
import time

import pytest
from hosts import Host, exim_with, header
from lab import PASSWORD, new_token, wait_until
from mail import letter, login, send_and_find, send_one, sink_messages_with
from sessions import any_certificate
from test_i_filters import EICAR, GTUBE

from playbooks import mail_domain, mailbox, run, run_failing

WAIT = "451 4.7.1 Greylisted"
TAKEN = "250"
UNWANTED = "550 5.7.1"
# Long enough for the lab's delay of 4 seconds.
_PATIENCE = 5.0
_TOO_LATE = 16.0


def _answer(host: Host, recipient: str, sender: str, source: str = "") -> str:
    options = ("--local-interface", source) if source else ()
    server = ("--server", host.ip6) if ":" in source else ()
    return send_one(letter(host, recipient, *options, *server, sender=sender)).answer


def _sender(domain: str = "nospf.test") -> str:
    """Nobody has seen this one before."""
    return f"{new_token()}@{domain}"


def test_a_server_that_nobody_knows_comes_again_and_is_known_then(mail_host: Host) -> None:
    first = _sender(f"{new_token()}.nospf.test")
    second = _sender(first.partition("@")[2])
    assert _answer(mail_host, "info@flt-grey", first).startswith(WAIT)
    assert _answer(mail_host, "info@flt-grey", first).startswith(WAIT)
    time.sleep(_PATIENCE)
    assert _answer(mail_host, "info@flt-grey", first).startswith(TAKEN)
    # at once, also for another sender of the domain, from the same network
    assert _answer(mail_host, "info@flt-grey", first).startswith(TAKEN)
    assert _answer(mail_host, "info@flt-grey", second, mail_host.neighbour(7)).startswith(TAKEN)
    # and still within the delay and after it
    time.sleep(_PATIENCE)
    assert _answer(mail_host, "info@flt-grey", first).startswith(TAKEN)
    # from another network not
    assert _answer(mail_host, "info@flt-grey", first, mail_host.neighbour(52)).startswith(WAIT)


def test_who_comes_back_too_late_begins_anew(mail_host: Host) -> None:
    sender = _sender(f"{new_token()}.nospf.test")
    assert _answer(mail_host, "info@flt-grey", sender).startswith(WAIT)
    time.sleep(_TOO_LATE)
    assert _answer(mail_host, "info@flt-grey", sender).startswith(WAIT)
    time.sleep(_PATIENCE)
    assert _answer(mail_host, "info@flt-grey", sender).startswith(TAKEN)


def test_the_same_with_ipv6(mail_host: Host) -> None:
    sender = _sender(f"{new_token()}.nospf.test")
    assert _answer(mail_host, "info@flt-grey", sender, "2001:db8:25::2").startswith(WAIT)
    time.sleep(_PATIENCE)
    assert _answer(mail_host, "info@flt-grey", sender, "2001:db8:25::7").startswith(TAKEN)
    assert _answer(mail_host, "info@flt-grey", sender, "2001:db8:25::52").startswith(WAIT)


def test_a_domain_that_spf_speaks_for_is_known_by_its_name(mail_host: Host) -> None:
    sender = _sender("outside.test")
    if _answer(mail_host, "info@flt-grey", sender).startswith(WAIT):
        time.sleep(_PATIENCE)
        assert _answer(mail_host, "info@flt-grey", sender).startswith(TAKEN)
    # the same domain over the other family, which it has never used
    assert _answer(mail_host, "info@flt-grey", _sender("outside.test"), "2001:db8:25::2").startswith(TAKEN)
    # and from where SPF does not let it send
    assert _answer(mail_host, "info@flt-grey", sender, mail_host.neighbour(52)).startswith(WAIT)


def test_who_never_waits(mail_host: Host) -> None:
    assert _answer(mail_host, "info@flt-grey", "").startswith(TAKEN)
    assert _answer(mail_host, "info@flt-grey", "friend@outside.test", mail_host.neighbour(52)).startswith(TAKEN)
    assert _answer(mail_host, "postmaster@flt-grey", _sender()).startswith(TAKEN)
    assert _answer(mail_host, "spared@flt-grey", _sender()).startswith(TAKEN)
    assert _answer(mail_host, "info@flt-none", _sender()).startswith(TAKEN)
    user = mail_host.full("info@flt-none")
    assert send_one(letter(mail_host, "info@flt-grey", *login(user), sender="info@flt-none")).answer.startswith(TAKEN)
    assert _answer(mail_host, "info@flt-grey", _sender(), mail_host.neighbour(152)).startswith(TAKEN)


def test_of_two_recipients_one_waits(mail_host: Host) -> None:
    with smtplib.SMTP(mail_host.ip4, 25, "peer.outside.test") as session:
        session.ehlo()
        session.mail(_sender())
        assert session.rcpt(mail_host.full("info@flt-grey"))[0] == 451
        assert session.rcpt(mail_host.full("info@flt-none"))[0] == 250


LISTED = [
    ("someone@bad.test", "", UNWANTED),
    ("good@bad.test", "", TAKEN),
    ("someone@a.bad.test", "", TAKEN),
    ("someone@a.worse.test", "", UNWANTED),
    ("someone@worse.test", "", TAKEN),
    ("enemy@outside.test", "", UNWANTED),
    ("ENEMY@Outside.test", "", UNWANTED),
    ("someone@outside.test", "", TAKEN),
    ("someone@outside.test", "52", TAKEN),
    ("enemy@outside.test", "52", TAKEN),
    ("someone@outside.test", "2001:db8:25::7", TAKEN),
    # a list of the host, and the domain's ahead of it
    ("someone@blocked.test", "", UNWANTED),
    ("ally@blocked.test", "", TAKEN),
]


@pytest.mark.parametrize(("sender", "source", "answer"), LISTED)
def test_what_the_lists_say(mail_host: Host, sender: str, source: str, answer: str) -> None:
    source = mail_host.neighbour(int(source)) if source.isdigit() else source
    assert _answer(mail_host, "info@flt-lists", sender, source).startswith(answer)


def test_hosts_of_a_blocked_network_are_refused(mail_host: Host) -> None:
    run(mail_host, mail_domain(name=mail_host.domain("flt-lists"), allow_hosts=[]))
    try:
        for source in (mail_host.neighbour(52), "2001:db8:25::52"):
            assert _answer(mail_host, "info@flt-lists", "someone@outside.test", source).startswith(UNWANTED)
        # at once, without a reload; other domains are not concerned
        assert _answer(mail_host, "info@flt-none", "someone@outside.test", mail_host.neighbour(52)).startswith(TAKEN)
    finally:
        run(mail_host, mail_domain(name=mail_host.domain("flt-lists"), allow_hosts=["198.51.100.52"]))


def test_an_allowed_sender_is_not_judged_but_scanned(mail_host: Host) -> None:
    for sender, answer in (("friend@friends.test", TAKEN), ("someone@outside.test", UNWANTED)):
        spam = letter(mail_host, "info@flt-lists", sender=sender)
        assert send_one(spam._replace(data=f"{spam.data}{GTUBE}\n")).answer.startswith(answer)
    virus = letter(mail_host, "info@flt-refuse", sender="friend@friends.test")
    assert send_one(virus._replace(data=f"{virus.data}{EICAR}\n")).answer.startswith(UNWANTED)


def _submit(host: Host, user: str, recipients: int) -> list[int]:
    """What Exim answers to so many recipients of a message that a user sends."""
    name = host.full(user)
    with smtplib.SMTP(host.ip4, 587, "peer.outside.test") as session:
        session.starttls(context=any_certificate())
        session.login(name, PASSWORD)
        session.mail(name)
        return [session.rcpt(f"{number}@sink.test")[0] for number in range(recipients)]


def test_a_mailbox_and_its_domain_send_so_much_an_hour(mail_host: Host) -> None:
    mail_host.bash("rm -f /var/spool/exim4/db/ratelimit*")
    assert _submit(mail_host, "info@flt-limit", 5) == [250, 250, 250, 451, 451]
    assert _submit(mail_host, "second@flt-limit", 5) == [250, 250, 250, 451, 451]
    assert set(_submit(mail_host, "info@flt-none", 10)) == {250}
    assert [line for line in mail_host.log().splitlines()[-40:] if "outgoing limit of" in line]


def test_what_users_send_is_scanned(mail_host: Host) -> None:
    for user, recipient, answer in (
        ("info@flt-refuse", "x@sink.test", UNWANTED),
        ("info@flt-none", "x@sink.test", TAKEN),
        ("info@flt-none", "spared@flt-refuse", TAKEN),
        ("info@flt-none", "info@flt-refuse", UNWANTED),
        ("info@flt-none", "info@flt-refuse,x@sink.test", UNWANTED),
    ):
        made = letter(mail_host, recipient, *login(mail_host.full(user)), sender=user)
        assert send_one(made._replace(data=f"{made.data}{EICAR}\n")).answer.startswith(answer)


def test_headers_of_strangers_about_spam_go(mail_host: Host) -> None:
    forged = "From: a@outside.test\nX-Spam-Flag: NO\nX-Spam-Folder: Junk\nX-Spam-Status: No, score=-99\nX-Spam-Score: -99\n"
    made = [letter(mail_host, one, headers=forged) for one in ("info@flt-none", "info@flt-junk")]
    for one in send_and_find(mail_host, made):
        assert one.session.answer.startswith(TAKEN)
    text = mail_host.message(mail_host.full("info@flt-none"), made[0].token)
    assert not [name for name in ("X-Spam-Flag", "X-Spam-Folder", "X-Spam-Status", "X-Spam-Score") if header(text, name)]
    text = mail_host.message(mail_host.full("info@flt-junk"), made[1].token)
    assert len(header(text, "X-Spam-Score")) == 1
    assert header(text, "X-Spam-Folder") == []


def test_a_users_own_script_goes_on_for_what_is_no_spam(mail_host: Host) -> None:
    user = mail_host.full("info@flt-junk")
    script = 'require ["fileinto", "mailbox"]; fileinto :create "Own";'
    home = f"/var/vmail/{user.partition('@')[2]}/info"
    mail_host.bash('printf "%s\\n" "$2" >"$1/.dovecot.sieve" && chown --reference="$1" "$1/.dovecot.sieve"', home, script)
    try:
        clean, spam = letter(mail_host, "info@flt-junk"), letter(mail_host, "info@flt-junk")
        spam = spam._replace(data=f"{spam.data}lab: ten points\n")
        sent = send_and_find(mail_host, [clean, spam])
        assert [one.session.answer[:3] for one in sent] == ["250", "250"]
        found = mail_host.bash(
            'cd "$1/Maildir" && grep -rlF "$2" . | grep /new/; grep -rlF "$3" . | grep /new/', home, clean.token, spam.token
        )
        first, second = found.stdout.splitlines()
        assert "/.Own/" in first
        assert "/.Junk/" in second
    finally:
        mail_host.bash('rm -f "$1/.dovecot.sieve" "$1/.dovecot.svbin"', home)


def test_a_filter_is_switched_at_once_and_for_its_domain_alone(mail_host: Host) -> None:
    pid = mail_host.daemon_pid()
    for switched, answer in ((True, UNWANTED), (False, TAKEN)):
        run(mail_host, mail_domain(name=mail_host.domain("flt-none"), antivirus=switched))
        made = letter(mail_host, "info@flt-none")
        assert send_one(made._replace(data=f"{made.data}{EICAR}\n")).answer.startswith(answer)
    assert mail_host.daemon_pid() == pid


PASSED_ON = [
    # the domain at the end blocks, also where the first would let it wait or let it in
    ("to-lists@flt-none", "someone@bad.test", "", UNWANTED),
    ("to-lists@flt-none", "good@bad.test", "", TAKEN),
    ("to-lists@flt-none", "someone@outside.test", "", TAKEN),
    ("to-lists@flt-grey", "someone@bad.test", "", UNWANTED),
    ("to-lists@flt-none", "ally@blocked.test", "", UNWANTED),
    # each of the two may want greylisting, and lets senders through for itself
    ("to-grey@flt-none", "", "", WAIT),
    ("to-grey@flt-none", "friend@outside.test", "52", TAKEN),
    ("to-none@flt-grey", "", "", WAIT),
    ("outside@flt-grey", "", "", WAIT),
    ("to-none@flt-grey", "friend@outside.test", "52", TAKEN),
    ("to-lists@flt-grey", "friends.test", "", WAIT),
]


@pytest.mark.parametrize(("recipient", "sender", "source", "answer"), PASSED_ON)
def test_the_domain_of_the_mailbox_at_the_end_has_its_say(mail_host: Host, recipient: str, sender: str, source: str, answer: str) -> None:
    sender = sender if "@" in sender else _sender(sender or f"{new_token()}.nospf.test")
    assert _answer(mail_host, recipient, sender, mail_host.neighbour(int(source)) if source else "").startswith(answer)


def test_the_domain_at_the_end_allows_for_itself(mail_host: Host) -> None:
    for recipient, sender, answer in (
        ("to-lists@flt-none", "friend@friends.test", TAKEN),
        ("to-lists@flt-none", "someone@outside.test", UNWANTED),
    ):
        spam = letter(mail_host, recipient, sender=sender)
        assert send_one(spam._replace(data=f"{spam.data}{GTUBE}\n")).answer.startswith(answer)


_SEEN = "/var/spool/exim4/db/seen"
# Sets back the time of an entry; Exim's keys end with a zero byte.
_SET_BACK = """
    tie my %seen, "DB_File", $ARGV[0], O_RDWR, 0640, $DB_HASH or die "$!";
    my $key = "$ARGV[1]\\0";
    die "not there" unless exists $seen{$key};
    $seen{$key} = pack("q", time() - 31 * 86400) . substr($seen{$key}, 8);
"""


def _known(host: Host, sender: str) -> str:
    """The key under which Exim knows the sender's domain, coming from the peer's first network."""
    text = f"{host.neighbour(0)}/28 {sender.partition('@')[2]} {host.domain('flt-grey')}"
    return f"known_{hashlib.sha1(text.encode()).hexdigest().upper()}"


@pytest.mark.parametrize("job", ["exim-tidy-greylisting", "exim4-base"])
def test_what_was_not_seen_for_long_is_tidied_away_every_day(mail_host: Host, job: str) -> None:
    assert mail_host.run("systemctl", "is-enabled", f"{job}.timer").stdout.strip() == "enabled"
    assert mail_host.run("systemctl", "is-active", f"{job}.timer").stdout.strip() == "active"
    old, new = (_sender(f"{new_token()}.nospf.test") for _one in range(2))
    for answer in (WAIT, TAKEN):
        assert [_answer(mail_host, "info@flt-grey", one)[: len(answer)] for one in (old, new)] == [answer, answer]
        time.sleep(_PATIENCE if answer is WAIT else 0)
    mail_host.run("perl", "-MDB_File", "-MFcntl", "-e", _SET_BACK, _SEEN, _known(mail_host, old))
    mail_host.run("systemctl", "start", f"{job}.service")
    keys = mail_host.run("exim_dumpdb", "/var/spool/exim4", "seen").stdout
    assert _known(mail_host, old) not in keys
    assert _known(mail_host, new) in keys


def test_a_domain_may_forbid_its_mailboxes_to_differ(mail_host: Host) -> None:
    said = run_failing(mail_host, mailbox(address=mail_host.full("info@flt-same"), filters={"antivirus": False}))
    assert f"{mail_host.domain('flt-same')} has mailbox_filters: false" in said
    said = run_failing(mail_host, mail_domain(name=mail_host.domain("flt-refuse"), mailbox_filters=False))
    assert f"{mail_host.full('spared@flt-refuse')} has filters of its own" in said


SPOOFED = [
    # envelope sender, From:, source, what is said
    ("someone@outside.test", "info@flt-none", "", UNWANTED),
    ("someone@outside.test", "info@flt-none", "52", UNWANTED),
    ("", "info@flt-none", "", UNWANTED),
    ("info@flt-none", "info@flt-none", "", UNWANTED),
    ("someone@outside.test", "someone@outside.test", "", TAKEN),
]


def test_mail_from_outside_in_the_name_of_a_domain_here_can_be_refused(mail_host: Host) -> None:
    with exim_with(mail_host, "MD_NOSPOOFING = yes"):
        answers = []
        for sender, author, source, _expected in SPOOFED:
            options = ("--local-interface", mail_host.neighbour(int(source))) if source else ()
            spoofed = letter(mail_host, "info@flt-junk", *options, sender=sender, headers=f"From: {author}\nTo: x@outside.test\n")
            answers.append(send_one(spoofed).answer)
        assert [answer.startswith(row[3]) for answer, row in zip(answers, SPOOFED, strict=True)] == [True] * len(SPOOFED), answers
        # A mailing list that leaves the signature whole.
        user = mail_host.full("info@signed")
        sent = letter(mail_host, "list@sink.test", *login(user), sender="info@signed")
        assert send_one(sent).answer.startswith(TAKEN)
        signed = wait_until("the signed letter", lambda: next(iter(sink_messages_with(sent.token)), None))
        back = letter(mail_host, "info@flt-junk", sender="list-bounces@outside.test")
        assert send_one(back._replace(data=signed.content.replace("\r\n", "\n"))).answer.startswith(TAKEN)


def test_who_guesses_passwords_is_shut_out(mail_host: Host) -> None:
    with smtplib.SMTP(mail_host.ip4, 587, "peer.outside.test") as session:
        session.starttls(context=any_certificate())
        session.ehlo()
        answers = [session.docmd("AUTH", "PLAIN " + base64.b64encode(b"\0nobody@flt-none\0wrong").decode())[0] for _attempt in range(4)]
    assert answers == [535, 535, 535, 503]


def _try(host: Host, user: str, password: str) -> int:
    """What Exim answers to a login in a connection of its own."""
    with smtplib.SMTP(host.ip4, 587, "peer.outside.test") as session:
        session.starttls(context=any_certificate())
        session.ehlo()
        secret = base64.b64encode(f"\0{host.full(user)}\0{password}".encode()).decode()
        return session.docmd("AUTH", f"PLAIN {secret}")[0]


def test_an_address_that_goes_on_guessing_is_not_greeted(mail_host: Host) -> None:
    with exim_with(mail_host, "MD_AUTHLIMIT == 2"):
        assert [_try(mail_host, "nobody@flt-none", "wrong") for _connection in range(3)] == [535, 535, 535]
        with pytest.raises(smtplib.SMTPConnectError, match="Too many failed logins"):
            smtplib.SMTP(mail_host.ip4, 587, "peer.outside.test")
        # other ports and other addresses are not concerned
        assert send_one(letter(mail_host, "info@flt-none")).answer.startswith(TAKEN)
    assert [
        line
        for line in mail_host.log().splitlines()[-60:]
        if "authenticator failed for" in line and "535 Incorrect authentication data" in line
    ]


def test_an_account_that_is_guessed_at_is_shut_for_a_while(mail_host: Host) -> None:
    with exim_with(mail_host, "MD_ACCOUNTLIMIT == 2"):
        assert _try(mail_host, "info@flt-none", PASSWORD) == 235
        assert [_try(mail_host, "INFO@flt-none", "wrong") for _connection in range(3)] == [535, 535, 535]
        assert _try(mail_host, "info@flt-none", PASSWORD) == 535
        assert _try(mail_host, "info@flt-refuse", PASSWORD) == 235
    assert _try(mail_host, "info@flt-none", PASSWORD) == 235


def test_a_user_of_the_host_sends_so_much_an_hour(mail_host: Host) -> None:
    command = 'printf "From: info@%s\\nTo: x@sink.test\\n\\nx\\n" "$1" | su alice -s /bin/sh -c "/usr/sbin/sendmail x@sink.test"; echo $?'
    with exim_with(mail_host, "MD_LOCALLIMIT == 2"):
        found = [mail_host.bash(command, mail_host.domain("flt-none"), check=False).stdout.strip() for _message in range(4)]
        assert found[0] == found[1] == "0"
        assert found[3] != "0"
