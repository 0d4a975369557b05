# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail that keeps coming in the background, each message with what the server answered to it."""

from __future__ import annotations

import contextlib
import itertools
import re
import smtplib
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple

from hosts import Host
from lab import new_token
from mail import OUTSIDE

_PAUSE = 0.05


class Try(NamedTuple):
    """One message: whom for, its token, and the answer that decided; empty when the connection ended without one."""

    recipient: str
    token: str
    answer: str

    @property
    def is_accepted(self) -> bool:
        return self.answer.startswith("250")

    @property
    def queue_id(self) -> str:
        match = re.search(r"OK id=(\S+)", self.answer)
        return match[1] if match else ""


class Stream(threading.Thread):
    """Sends small messages to the recipients in turn, each over a connection of its own, until it is stopped."""

    def __init__(self, host: Host, recipients: Sequence[str]) -> None:
        super().__init__(daemon=True)
        self._host = host
        self._recipients = [host.full(recipient) for recipient in recipients]
        self._over = threading.Event()
        self.tries: list[Try] = []

    def run(self) -> None:
        for recipient in itertools.cycle(self._recipients):
            if self._over.is_set():
                return
            token = new_token()
            self.tries.append(Try(self._host.short(recipient), token, self._send(recipient, token)))
            time.sleep(_PAUSE)

    def stop(self) -> list[Try]:
        self._over.set()
        self.join(60)
        return self.tries

    def _send(self, recipient: str, token: str) -> str:
        message = f"From: {OUTSIDE}\r\nTo: {recipient}\r\nSubject: {token}\r\nMessage-ID: <{token}@outside.test>\r\n\r\n{token}\r\n"
        try:
            with smtplib.SMTP(self._host.ip4, 25, "peer.outside.test", timeout=60) as session:
                session.ehlo()
                for command in (f"MAIL FROM:<{OUTSIDE}>", f"RCPT TO:<{recipient}>"):
                    code, text = session.docmd(command)
                    if code != 250:
                        return f"{code} {text.decode()}"
                code, text = session.data(message)
                return f"{code} {text.decode()}"
        except smtplib.SMTPResponseException as error:
            return f"{error.smtp_code} {error.smtp_error!r}"
        except (smtplib.SMTPServerDisconnected, ConnectionError):
            return ""


class SlowSender:
    """A message whose end is held back after the recipient was accepted."""

    def __init__(self, host: Host, recipient: str) -> None:
        self.token = new_token()
        self._session = smtplib.SMTP(host.ip4, 25, "peer.outside.test", timeout=60)
        self._session.ehlo()
        self._session.docmd(f"MAIL FROM:<{OUTSIDE}>")
        code, text = self._session.docmd(f"RCPT TO:<{host.full(recipient)}>")
        assert code == 250, text
        assert self._session.docmd("DATA")[0] == 354
        self._session.send(f"From: {OUTSIDE}\r\nSubject: {self.token}\r\n\r\nthe first half\r\n")

    def finish(self) -> str:
        """Send the rest: the server's answer, empty when it has hung up."""
        try:
            self._session.send("the second half\r\n.\r\n")
            code, text = self._session.getreply()
        except (smtplib.SMTPServerDisconnected, OSError):
            return ""
        # A connection that stays open would hold the removal up until it is ended.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            self._session.quit()
        return f"{code} {text.decode()}"
