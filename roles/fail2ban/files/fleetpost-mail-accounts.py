# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An action of fail2ban: nobody logs in to a mailbox that is guessed at, for a while. Written by the role fleetpost.mail.fail2ban.

The mailboxes stand in a file of Dovecot's whose users are refused. What is banned comes from a log, so it is what a stranger sent: only
what is strictly an address gets into the file, and no shell is asked. The file is replaced by a rename: Dovecot reads all or nothing.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping
from typing import Any

from fail2ban.server.actions import ActionBase

_ACCOUNT = re.compile(r"[a-z0-9_][a-z0-9._-]{0,63}@[a-z0-9][a-z0-9.-]{0,252}\Z")
_HEADER = """\
# Mailboxes that nobody may log in to for a while, as their passwords were guessed at. Written by fail2ban (jail fleetpost-mail-accounts):
# changes by hand are lost. To let one in again: fail2ban-client set fleetpost-mail-accounts unbanip MAILBOX

"""


class Action(ActionBase):
    """fail2ban calls it in one thread for each jail."""

    def __init__(self, jail: Any, name: str, path: str) -> None:
        super().__init__(jail, name)
        self.path = path
        self._locked: set[str] = set()

    def start(self) -> None:
        """Begin with nobody: an end of fail2ban without stop() may have left some, and it bans anew who is still banned."""
        self._write(set())

    def stop(self) -> None:
        """End with nobody, since nobody would be let in again."""
        self._write(set())

    def ban(self, ticket: Mapping[str, Any]) -> None:
        """Lock the mailbox that the ticket names (fid, fail2ban's word for what is banned)."""
        account = str(ticket["fid"])
        if _ACCOUNT.match(account):
            self._write(self._locked | {account})

    reban = ban

    def unban(self, ticket: Mapping[str, Any]) -> None:
        """Let the mailbox in again."""
        self._write(self._locked - {str(ticket["fid"])})

    def _write(self, locked: set[str]) -> None:
        """Owner and mode stay those of the file that is there, which the role fleetpost.mail.dovecot has made."""
        there = os.stat(self.path)
        directory, name = os.path.split(self.path)
        descriptor, new = tempfile.mkstemp(prefix=f".{name}.", dir=directory)
        try:
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(_HEADER + "".join(f"{account}:\n" for account in sorted(locked)))
                os.fchown(file.fileno(), there.st_uid, there.st_gid)
                os.fchmod(file.fileno(), there.st_mode & 0o777)
            os.replace(new, self.path)
        except BaseException:
            os.unlink(new)
            raise
        self._locked = locked
