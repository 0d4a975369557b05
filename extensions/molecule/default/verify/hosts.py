# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail host with what the judges ask it: tables, queue, log, mailboxes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pytest
from lab import MailHost, Result, mail_host_named, run_in, wait_until

Found = TypeVar("Found")

POSTMASTER = "hostmaster@sink.test"
MAINLOG = "/var/log/exim4/mainlog"
TABLES = (
    "/etc/exim4/domains",
    "/etc/exim4/domainips",
    *(f"/etc/exim4/lists/{action}_{what}" for action in ("allow", "block") for what in ("hosts", "senders")),
    "/etc/exim4/addresses",
    "/etc/exim4/owners",
    "/etc/dovecot/users",
    "/etc/dovecot/disabled_domains",
)


class Host(MailHost):
    """One mail host of the scenario."""

    __slots__ = ()

    def neighbour(self, number: int) -> str:
        """The IPv4 address with this number in the lab; the peer has 2, and 102 stands on the block list."""
        return f"{self.ip4.rpartition('.')[0]}.{number}"

    def full(self, text: str) -> str:
        """A text with names written out: @reject gets the zone, HOST and IP4 are the host's own.

        A name that has a dot stands for itself.
        """
        text = text.replace("HOST", self.fqdn).replace("IP4", self.ip4)
        return re.sub(r"@([a-z0-9-]+)(?![a-z0-9.-])", rf"@\1.{self.zone}", text, flags=re.IGNORECASE)

    def short(self, text: str) -> str:
        """The reverse of `full`, so that both hosts share one table of what is expected."""
        return text.replace(f".{self.zone}", "").replace(self.fqdn, "HOST")

    def bash(self, script: str, *words: str, **options: Any) -> Result:
        """Run a script; the words are its $1, $2 and so on."""
        return run_in(self.name, "bash", "-c", script, "bash", *words, **options)

    def log_of(self, *words: str) -> list[str]:
        """Lines of Exim's main log with one of the words, such as queue ids."""
        return [line for line in self.log().splitlines() if any(word in line for word in words)]

    def queue(self) -> str:
        """What waits in Exim's queue, as `mailq` shows it; empty when nothing does."""
        return self.run("exim4", "-bp").stdout.strip()

    def run_queue(self) -> None:
        """Try everything that is queued now, frozen or not, and wait for the deliveries."""
        self.run("exim4", "-qff")

    def daemon_pid(self) -> str:
        return self.run("cat", "/run/exim4/exim.pid").stdout.strip()

    def tables(self) -> dict[str, str]:
        """Every table's text by its path."""
        script = 'for table; do printf "\\001%s\\002" "$table"; cat "$table"; done'
        parts = self.bash(script, *TABLES).stdout.split("\001")[1:]
        return {path: text for path, _separator, text in (part.partition("\002") for part in parts)}

    def lines_about(self, name: str) -> list[str]:
        """Lines of all tables in which a name occurs."""
        return [f"{path}: {line}" for path, text in self.tables().items() for line in text.splitlines() if name in line]

    def contents(self, address: str) -> list[str]:
        """The raw messages a mailbox holds, in one look."""
        local, _at, domain = address.partition("@")
        script = (
            'cd "/var/vmail/$1/$2" 2>/dev/null || exit 0; '
            'find Maildir -type f \\( -path "*/new/*" -o -path "*/cur/*" \\) -exec printf "\\001" \\; -exec cat {} \\;'
        )
        return self.bash(script, domain, local).stdout.split("\001")[1:]

    def message(self, address: str, token: str) -> str:
        """The message with the token in a mailbox, as soon as it is there."""

        def look() -> str:
            return next((text for text in self.contents(address) if token in text), "")

        return wait_until(f"the message {token} in {address}", look)


def once(look: Callable[[Host], Found]) -> Callable[[Host], Found]:
    """Do it once for each host; many tests may look at what was found. A failure is kept too, and is every test's."""
    found: dict[Host, Found] = {}
    failures: dict[Host, BaseException] = {}

    def remembered(host: Host) -> Found:
        if host in failures:
            pytest.fail(f"failed before: {failures[host]}")
        if host not in found:
            try:
                found[host] = look(host)
            except (Exception, pytest.fail.Exception) as error:
                failures[host] = error
                raise
        return found[host]

    return remembered


def host_named(name: str) -> Host:
    return Host(*mail_host_named(name))


def header(message: str, name: str) -> list[str]:
    """Every header of that name, unfolded."""
    head = message.replace("\r\n", "\n").partition("\n\n")[0]
    unfolded = re.sub(r"\n[ \t]+", " ", head)
    return [line.partition(":")[2].strip() for line in unfolded.splitlines() if line.lower().startswith(f"{name.lower()}:")]


@contextmanager
def exim_with(host: Host, *macros: str) -> Iterator[None]:
    """Exim with other macros, and with nothing counted yet."""
    restart = "rm -f /var/spool/exim4/db/ratelimit*; systemctl restart exim4"
    host.bash(f'printf "%s\\n" "$@" >/etc/exim4/local/main.conf; {restart}', *macros)
    try:
        wait_for_exim(host)
        yield
    finally:
        host.bash(f"rm -f /etc/exim4/local/main.conf; {restart}")
        wait_for_exim(host)


def wait_for_exim(host: Host) -> None:
    wait_until("Exim", lambda: host.bash("exec 3<>/dev/tcp/127.0.0.1/587", check=False).status == 0)
