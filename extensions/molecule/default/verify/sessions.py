# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of mail programs with a host: IMAP, POP3, ManageSieve and SMTP, with Python's own clients."""

from __future__ import annotations

import base64
import imaplib
import poplib
import smtplib
import socket
import ssl
from collections.abc import Callable

from hosts import Host
from lab import PASSWORD

_SECONDS = 40


def any_certificate() -> ssl.SSLContext:
    """TLS without a look at the certificate, which has a test of its own."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def imap(host: Host, user: str, password: str = PASSWORD) -> imaplib.IMAP4:
    """An open session; imaplib.IMAP4.error when the login is refused."""
    session = imaplib.IMAP4_SSL(host.ip4, ssl_context=any_certificate(), timeout=_SECONDS)
    session.login(user, password)
    return session


def _imap_starttls(host: Host, user: str, password: str) -> None:
    with imaplib.IMAP4(host.ip4, timeout=_SECONDS) as session:
        session.starttls(any_certificate())
        session.login(user, password)


def _imap_tls(host: Host, user: str, password: str) -> None:
    imap(host, user, password).logout()


def _pop3_tls(host: Host, user: str, password: str) -> None:
    _pop3(poplib.POP3_SSL(host.ip4, context=any_certificate(), timeout=_SECONDS), user, password)


def _pop3_starttls(host: Host, user: str, password: str) -> None:
    session = poplib.POP3(host.ip4, timeout=_SECONDS)
    session.stls(any_certificate())
    _pop3(session, user, password)


def _pop3(session: poplib.POP3, user: str, password: str) -> None:
    session.user(user)
    session.pass_(password)
    session.quit()


class SieveSession:
    """As much of ManageSieve (RFC 5804) as a login and a script need."""

    def __init__(self, host: Host) -> None:
        self._socket = socket.create_connection((host.ip4, 4190), timeout=_SECONDS)
        self._file = self._socket.makefile("rb")
        self.capabilities = self.answer()

    def answer(self) -> list[str]:
        """Lines up to and with the one that says OK, NO or BYE."""
        lines: list[str] = []
        while not (lines and lines[-1].startswith(("OK", "NO", "BYE"))):
            line = self._file.readline()
            if not line:
                raise EOFError("the server closed the connection")
            lines.append(line.decode().rstrip())
        return lines

    def say(self, line: str) -> list[str]:
        self._socket.sendall(line.encode() + b"\r\n")
        return self.answer()

    def starttls(self) -> None:
        self.say("STARTTLS")
        self._socket = any_certificate().wrap_socket(self._socket)
        self._file = self._socket.makefile("rb")
        self.capabilities = self.answer()

    def login(self, user: str, password: str) -> None:
        secret = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        answer = self.say(f'AUTHENTICATE "PLAIN" "{secret}"')[-1]
        if not answer.startswith("OK"):
            raise PermissionError(answer)

    def activate(self, name: str, script: str) -> None:
        """Store a script and make it the one that runs; one that does not compile is an AssertionError."""
        answer = self.say(f'PUTSCRIPT "{name}" {{{len(script.encode())}+}}\r\n{script}')
        assert answer[-1].startswith("OK"), answer
        assert self.say(f'SETACTIVE "{name}"')[-1].startswith("OK")

    def deactivate(self) -> None:
        """No script runs."""
        assert self.say('SETACTIVE ""')[-1].startswith("OK")


def sieve(host: Host, user: str, password: str = PASSWORD) -> SieveSession:
    """An open session after STARTTLS and login; PermissionError when the login is refused."""
    session = SieveSession(host)
    session.starttls()
    session.login(user, password)
    return session


def _sieve(host: Host, user: str, password: str) -> None:
    sieve(host, user, password)


def smtp(host: Host, user: str, password: str = PASSWORD) -> smtplib.SMTP:
    """An open session on port 587 after STARTTLS and login."""
    session = smtplib.SMTP(host.ip4, 587, "peer.outside.test", timeout=_SECONDS)
    session.starttls(context=any_certificate())
    session.login(user, password)
    return session


def _smtp_starttls(host: Host, user: str, password: str) -> None:
    smtp(host, user, password).quit()


def _smtp_tls(host: Host, user: str, password: str) -> None:
    with smtplib.SMTP_SSL(host.ip4, 465, "peer.outside.test", timeout=_SECONDS, context=any_certificate()) as session:
        session.login(user, password)


Login = Callable[[Host, str, str], None]

# Every way to log in, by its port.
LOGINS: dict[int, Login] = {
    993: _imap_tls,
    143: _imap_starttls,
    995: _pop3_tls,
    110: _pop3_starttls,
    4190: _sieve,
    587: _smtp_starttls,
    465: _smtp_tls,
}
REFUSALS = (imaplib.IMAP4.error, poplib.error_proto, PermissionError, smtplib.SMTPAuthenticationError)


def may_log_in(host: Host, port: int, user: str, password: str = PASSWORD) -> bool:
    """Whether the login succeeds. Any other failure than a refusal is raised."""
    try:
        LOGINS[port](host, user, password)
    except REFUSALS:
        return False
    return True
