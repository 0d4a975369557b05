# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who guesses passwords: slowed down, shut out by the firewall, and a mailbox that is guessed at is shut for a while."""

from __future__ import annotations

import imaplib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

import pytest
from hosts import Host
from lab import PASSWORD, PEER, run_in, wait_until
from mail import letter, send_one
from sessions import LOGINS, imap, may_log_in

# As group_vars has them.
_FAILURES = 5
_ACCOUNT_FAILURES = 12
_SESSIONS = 20
_LOCKED = "/etc/dovecot/locked_accounts"
_ADDRESSES, _ACCOUNTS = "fleetpost-mail", "fleetpost-mail-accounts"

# Logs in from an address of the peer: at 993 with each password, all at once or one after the other.
_CLIENT = """
import concurrent.futures, imaplib, json, socket, ssl, sys, time
server, source, user, at_once = sys.argv[1:5]
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE

class Client(imaplib.IMAP4_SSL):
    def _create_socket(self, timeout):
        return context.wrap_socket(socket.create_connection((self.host, self.port), 60, (source, 0)))

def attempt(password):
    begun = time.monotonic()
    try:
        client = Client(server, 993, ssl_context=context)
        try:
            client.login(user, password)
            answer = "in"
        except imaplib.IMAP4.error:
            answer = "refused"
        client.shutdown()
    except OSError:
        answer = "shut out"
    return answer, time.monotonic() - begun

with concurrent.futures.ThreadPoolExecutor(len(sys.argv) if at_once == "yes" else 1) as pool:
    print(json.dumps(list(pool.map(attempt, sys.argv[5:]))))
"""


class Attempt(NamedTuple):
    """How a login ended, and after how many seconds."""

    answer: str
    seconds: float


def _log_in(host: Host, source: str, user: str, *passwords: str, at_once: bool = False) -> list[Attempt]:
    server = host.ip6 if ":" in source else host.ip4
    words = (server, source, host.full(user), "yes" if at_once else "no", *passwords)
    return [Attempt(*one) for one in json.loads(run_in(PEER, "python3", "-c", _CLIENT, *words).stdout)]


def _answers(host: Host, source: str, user: str, *passwords: str, at_once: bool = False) -> list[str]:
    return [one.answer for one in _log_in(host, source, user, *passwords, at_once=at_once)]


def _submit(host: Host, source: str, user: str, password: str) -> str:
    """What a login at 587 shows of itself."""
    server = host.ip6 if ":" in source else host.ip4
    words = ("--server", server, "--port", "587", "--tls", "--local-interface", source, "--timeout", "20", "--quit-after", "AUTH")
    login = ("--auth", "PLAIN", "--auth-user", host.full(user), "--auth-password", password)
    return run_in(PEER, "swaks", *words, *login, check=False).text


def _is_banned(host: Host, jail: str, one: str) -> bool:
    return one in host.run("fail2ban-client", "get", jail, "banip").stdout.split()


@contextmanager
def _unbanned_after(host: Host, jail: str, one: str) -> Iterator[None]:
    try:
        yield
    finally:
        host.run("fail2ban-client", "set", jail, "unbanip", one)


def _guesses(number: int) -> list[str]:
    return [f"guess {one}" for one in range(number)]


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
def test_an_address_that_guesses_is_shut_out_by_the_firewall(mail_host: Host, family: str) -> None:
    source = mail_host.neighbour(7) if family == "IPv4" else "2001:db8:25::7"
    with _unbanned_after(mail_host, _ADDRESSES, source):
        # Names that there are not, and one login at Exim: all count together.
        assert "535" in _submit(mail_host, source, "nobody@guessed", "wrong")
        guesses = _guesses(_FAILURES - 1)
        assert set(_answers(mail_host, source, "nobody@guessed", *guesses, at_once=True)) == {"refused"}
        wait_until("the ban", lambda: _is_banned(mail_host, _ADDRESSES, source))
        assert source in mail_host.run("nft", "list", "ruleset").stdout
        # the right password does not help, at either server; mail goes on, and so does everybody else
        assert _answers(mail_host, source, "second@guessed", PASSWORD) == ["shut out"]
        assert "235" not in _submit(mail_host, source, "second@guessed", PASSWORD)
        options = ("--local-interface", source, *(("--server", mail_host.ip6) if family == "IPv6" else ()))
        assert send_one(letter(mail_host, "info@guessed", *options)).answer.startswith("250")
        assert _answers(mail_host, mail_host.neighbour(2), "second@guessed", PASSWORD) == ["in"]
    assert _answers(mail_host, source, "second@guessed", PASSWORD) == ["in"]


def test_what_a_client_calls_itself_shuts_nobody_out(mail_host: Host) -> None:
    source, victim = mail_host.neighbour(52), "192.0.2.77"
    names = [f"x,{victim}): Password mismatch", f"x> rip={victim}, (x,{victim},<a>): unknown user"] * _FAILURES
    with ThreadPoolExecutor(len(names)) as pool:
        said = list(pool.map(lambda name: _submit(mail_host, source, name, "wrong"), names))
    assert ["535" in one for one in said] == [True] * len(names)
    assert not _is_banned(mail_host, _ADDRESSES, victim)
    assert victim not in mail_host.run("nft", "list", "ruleset").stdout


def test_a_mailbox_that_is_guessed_at_is_shut_for_a_while(mail_host: Host) -> None:
    user, permissions = mail_host.full("info@guessed"), mail_host.run("stat", "-c", "%U %G %a", _LOCKED).stdout
    with _unbanned_after(mail_host, _ACCOUNTS, user):
        source, guesses = mail_host.neighbour(2), _guesses(_ACCOUNT_FAILURES)
        assert set(_answers(mail_host, source, "INFO@guessed", *guesses, at_once=True)) == {"refused"}
        _answers(mail_host, source, "nobody@guessed", *guesses, at_once=True)
        wait_until("the ban", lambda: _is_banned(mail_host, _ACCOUNTS, user))
        assert _locked(mail_host) == [f"{user}:"]
        assert mail_host.run("stat", "-c", "%U %G %a", _LOCKED).stdout == permissions
        # no port lets the owner in, while others log in and mail arrives
        assert [port for port in LOGINS if may_log_in(mail_host, port, user)] == []
        assert may_log_in(mail_host, 993, mail_host.full("second@guessed"))
        assert send_one(letter(mail_host, "info@guessed")).answer.startswith("250")
        # nobody stays locked out because fail2ban is gone; when it comes back, so does the rest of the time
        mail_host.run("systemctl", "stop", "fail2ban")
        try:
            assert _locked(mail_host) == []
            assert may_log_in(mail_host, 993, user)
        finally:
            mail_host.run("systemctl", "start", "fail2ban")
        wait_until("the ban", lambda: _locked(mail_host) == [f"{user}:"])
    wait_until("the end of the ban", lambda: _locked(mail_host) == [])
    assert may_log_in(mail_host, 993, user)


def _locked(host: Host) -> list[str]:
    return [line for line in host.run("cat", _LOCKED).stdout.splitlines() if line and not line.startswith("#")]


def test_an_address_that_goes_on_guessing_waits_longer_each_time(mail_host: Host) -> None:
    attempts = _log_in(mail_host, mail_host.neighbour(52), "nobody@guessed", *_guesses(4))
    assert {one.answer for one in attempts} == {"refused"}
    waits = [one.seconds for one in attempts]
    assert waits[0] >= 1.5
    assert waits[3] > 12, waits
    # the right password from elsewhere does not wait
    (entered,) = _log_in(mail_host, mail_host.neighbour(152), "second@guessed", PASSWORD)
    assert entered.answer == "in"
    assert entered.seconds < 2


def test_a_user_has_so_many_sessions_from_an_address(mail_host: Host) -> None:
    user = mail_host.full("second@guessed")
    with ExitStack() as sessions:
        for _session in range(_SESSIONS):
            sessions.callback(imap(mail_host, user).shutdown)
        with pytest.raises(imaplib.IMAP4.error, match="Maximum number of connections"):
            imap(mail_host, user)
        assert _answers(mail_host, mail_host.neighbour(2), "second@guessed", PASSWORD) == ["in"]
