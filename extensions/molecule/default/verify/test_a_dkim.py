# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose mail is signed, with which key, and that other programs verify it; and whose mail is never signed."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hosts import Host, once
from lab import PEER, new_token, run_in, wait_for_sink
from mail import OUTSIDE, Letter, letter, login, send, sink_messages_with, wait_for_completion
from sessions import sieve
from signatures import Signature, private_key, publish, signatures_of

# label -> selector and file of each key, and the algorithms that its mail is signed with
KEY_FILES = {
    "signed": {"dkim": "signed.ZONE"},
    "old": {"old": "old.ZONE"},
    "dual": {"dkim": "dual.ZONE", "dkim-ed25519": "dual.ZONE.dkim-ed25519"},
}
ALGORITHMS = {
    "signed": {"dkim": "rsa-sha256"},
    "old": {"old": "rsa-sha256"},
    "dual": {"dkim": "rsa-sha256", "dkim-ed25519": "ed25519-sha256"},
}
RELAY_CLIENT = ("--local-interface", "198.51.100.152")


@once
def _published(host: Host) -> bool:
    for label, files in KEY_FILES.items():
        publish(host, host.domain(label), [file.replace("ZONE", host.zone) for file in files.values()])
    return True


def _sendmail(host: Host, user: str, from_: str, *headers: str) -> str:
    """A message to the sink by a system user's sendmail: its token."""
    token = new_token()
    lines = [f"From: {host.full(from_)}", "To: x@sink.test", f"Subject: {token}", *headers, "", token, ""]
    host.run("runuser", "-u", user, "--", "/usr/sbin/sendmail", "-i", "x@sink.test", stdin="\n".join(lines), check=False)
    return token


# --- signed


class Way(NamedTuple):
    """A way to send as a domain whose mail is signed: by its login, by a script of its owner, through a server we relay for."""

    label: str
    how: str


WAYS = [*(Way(label, "login") for label in KEY_FILES), Way("signed", "sendmail"), Way("old", "sendmail"), Way("signed", "relay")]
_OWNERS = {"signed": "alice", "old": "bob"}


def _login_letter(host: Host, label: str) -> Letter:
    return letter(host, "x@sink.test", *login(host.full(f"info@{label}")), sender=f"info@{label}")


@once
def _sent(host: Host) -> dict[Way, tuple[str, list[Signature]]]:
    """Way -> token and signatures."""
    _published(host)
    tokens = {way: _sendmail(host, _OWNERS[way.label], f"info@{way.label}") for way in WAYS if way.how == "sendmail"}
    letters = {way: _login_letter(host, way.label) for way in WAYS if way.how == "login"}
    letters |= {way: letter(host, "x@sink.test", *RELAY_CLIENT, sender=f"info@{way.label}") for way in WAYS if way.how == "relay"}
    send(list(letters.values()))
    tokens |= {way: one.token for way, one in letters.items()}
    for token in tokens.values():
        wait_for_sink(token)
    found = signatures_of(list(tokens.values()))
    return {way: (token, found[token]) for way, token in tokens.items()}


@pytest.mark.parametrize("way", WAYS, ids=lambda way: f"{way.label}-by-{way.how}")
def test_mail_of_a_domain_carries_a_valid_signature_of_each_of_its_keys(mail_host: Host, way: Way) -> None:
    signatures = _sent(mail_host)[way][1]
    assert all(signature.is_valid for signature in signatures), signatures
    assert {signature.selector: signature.algorithm for signature in signatures} == ALGORITHMS[way.label]
    assert len(signatures) == len(ALGORITHMS[way.label])
    assert {signature.domain for signature in signatures} == {mail_host.domain(way.label)}


@pytest.mark.parametrize("label", KEY_FILES)
def test_opendkim_verifies_the_mail(mail_host: Host, label: str) -> None:
    token = _sent(mail_host)[Way(label, "login")][0]
    content = sink_messages_with(token)[0].content.encode("latin-1")
    done = run_in(PEER, "opendkim-testmsg", "-C", stdin=content, check=False)
    assert done.status == 0 and not done.text, done.text


@pytest.mark.parametrize(("label", "selector"), [(label, selector) for label in KEY_FILES for selector in KEY_FILES[label]])
def test_opendkim_finds_the_published_key(mail_host: Host, label: str, selector: str) -> None:
    """And that the private key of the host belongs to it; not so of Ed25519, which its version 2 does not know."""
    _published(mail_host)
    with_key = ' -k "$file"' if selector != "dkim-ed25519" else ""
    script = (
        f'umask 077; file=$(mktemp); cat >"$file"; opendkim-testkey -vvv -d "$1" -s "$2"{with_key}; status=$?; rm "$file"; exit "$status"'
    )
    key = private_key(mail_host, KEY_FILES[label][selector].replace("ZONE", mail_host.zone))
    done = run_in(PEER, "bash", "-c", script, "bash", mail_host.domain(label), selector, stdin=key, check=False)
    assert done.status == 0 and "key OK" in done.text, done.text


def test_a_signature_covers_what_a_reader_sees(mail_host: Host) -> None:
    """RFC 6376 section 5.4: From: at least, and so often that none can be added."""
    token = _sent(mail_host)[Way("signed", "login")][0]
    content = sink_messages_with(token)[0].content
    signed = content.partition(" h=")[2].partition(";")[0].lower().replace("\r\n", "").replace("\t", "").replace(" ", "").split(":")
    assert {"from", "to", "subject", "date", "message-id"} <= set(signed), signed
    assert signed.count("from") >= 2, "a second From: could be added without breaking the signature"


def test_mail_of_a_domain_without_dkim_is_unsigned(mail_host: Host) -> None:
    one = _login_letter(mail_host, "reject")
    wait_for_completion(mail_host, [send([one])[0].queue_id])
    assert signatures_of([one.token]) == {one.token: []}


# --- never signed


def _unsigned(host: Host, letters: list[Letter]) -> None:
    """All of them are taken, arrive outside, and none has a signature."""
    sessions = send(letters)
    wait_for_completion(host, [session.queue_id for session in sessions])
    assert [session.answer[:3] for session in sessions] == ["250"] * len(letters), [session.answer for session in sessions]
    tokens = [one.token for one in letters]
    assert signatures_of(tokens) == {token: [] for token in tokens}


def test_a_login_gets_no_signature_of_another_domain(mail_host: Host) -> None:
    """With the other's From:, in each place where a reader would see it, and with the login's own envelope or the other's."""
    rows = [
        ("info@reject", "info@reject", "From: info@signed\n"),
        ("info@reject", "info@signed", "From: info@signed\n"),
        ("info@reject", "", "From: info@signed\n"),
        ("info@old", "info@old", "From: info@signed\n"),
        ("info@old", "info@old", "From: info@old, info@signed\nSender: info@old\n"),
        ("info@old", "info@old", "From: info@old\nFrom: info@signed\n"),
    ]
    letters = [
        letter(mail_host, "x@sink.test", *login(mail_host.full(user)), sender=sender, headers=headers) for user, sender, headers in rows
    ]
    sessions = send(letters)
    assert {session.answer[:3] for session in sessions} == {"550"}, [session.answer for session in sessions]


def test_a_login_that_may_use_another_senders_address_signs_nothing_in_its_own_name(mail_host: Host) -> None:
    """secretary@boxes may write as info@reject: neither of the two domains has a key."""
    one = letter(mail_host, "x@sink.test", *login(mail_host.full("secretary@boxes")), sender="info@reject")
    _unsigned(mail_host, [one])


# An alias, a forward, a default action: each leads outside.
PASSED_ON = ["out@signed", "alias@signed", "press@signed", "anybody@dual"]


@pytest.mark.parametrize("sender", ["", OUTSIDE, "the same as From:"], ids=["bounce", "outside", "forged"])
def test_mail_from_outside_that_is_passed_on_gets_no_signature(mail_host: Host, sender: str) -> None:
    letters = []
    for recipient in PASSED_ON:
        from_ = f"info@{recipient.partition('@')[2]}"
        envelope = from_ if sender == "the same as From:" else sender
        letters.append(letter(mail_host, recipient, sender=envelope, headers=f"From: {from_}\nTo: {recipient}\n"))
    letters.append(letter(mail_host, PASSED_ON[0], headers=f"From: {OUTSIDE}\nTo: {PASSED_ON[0]}\n"))
    _unsigned(mail_host, letters)


def test_mail_of_a_login_to_an_address_that_is_passed_on_is_not_signed_by_the_one_who_passes_it_on(mail_host: Host) -> None:
    one = letter(mail_host, "anybody@dual", *login(mail_host.full("info@reject")), sender="info@reject")
    _unsigned(mail_host, [one])


def test_a_sieve_redirect_gets_no_signature(mail_host: Host) -> None:
    """Dovecot redirects as root or as the mailbox's owner: to Exim it looks as if a script of the owner had sent it."""
    session = sieve(mail_host, mail_host.full("sieve@signed"))
    session.activate("redirect", 'redirect "sieved@sink.test";')
    letters = [letter(mail_host, "sieve@signed", headers=f"From: {from_}\nTo: sieve@signed\n") for from_ in ("info@signed", OUTSIDE)]
    try:
        send(letters)
        for one in letters:
            assert wait_for_sink(one.token)[0].rcpt_tos == ["sieved@sink.test"]
    finally:
        session.deactivate()
    found = signatures_of([one.token for one in letters])
    assert found == {one.token: [] for one in letters}


def test_a_system_users_script_gets_no_signature_of_a_domain_that_is_not_its_own(mail_host: Host) -> None:
    attempts = [
        _sendmail(mail_host, "bob", "info@signed"),
        _sendmail(mail_host, "bob", "info@signed", "X-Sieve-Redirected-From: info@signed"),
        _sendmail(mail_host, "bob", "bob@HOST", f"Sender: {mail_host.full('info@signed')}"),
        _sendmail(mail_host, "alice", "info@old"),
        _sendmail(mail_host, "alice", "info@dual"),
        _sendmail(mail_host, "alice", OUTSIDE),
    ]
    mail_host.run_queue()
    found = signatures_of(attempts)
    # A refused message comes back to the user with the token in its text, not in its subject.
    assert [found.get(token, "refused") for token in attempts] == ["refused", "refused", [], "refused", "refused", []]


def test_what_a_signature_of_outside_says_is_left_alone(mail_host: Host) -> None:
    """Mail that comes signed and is passed on keeps its signature, and gets none of ours."""
    signature = "v=1; a=rsa-sha256; c=relaxed/relaxed; d=outside.test; s=theirs; h=from; bh=AAAA; b=AAAA"
    one = letter(mail_host, "press@signed", headers=f"DKIM-Signature: {signature}\nFrom: {OUTSIDE}\nTo: press@signed\n")
    send([one])
    wait_for_sink(one.token)
    assert [(found.domain, found.selector) for found in signatures_of([one.token])[one.token]] == [("outside.test", "theirs")]
