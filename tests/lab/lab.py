# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's hosts from outside: run commands, send with swaks, read what the sink took, wait.

Only the standard library and podman: the judges of molecule's verify and the demo use it.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

PASSWORD = "correct horse"
POLL_SECONDS = 0.25

MAIL_HOSTS = os.environ.get("LAB_MAIL_HOSTS", "lab-deb12 lab-deb13").split()
PEER = os.environ.get("LAB_PEER", "lab-peer")

Found = TypeVar("Found")


class Result(NamedTuple):
    """How a command on a host ended; `text` is what it wrote to both outputs."""

    status: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout + self.stderr


class LabError(AssertionError):
    """A command failed that must not, or something awaited did not happen: a failed test, where a test runs."""


def run_in(name: str, *command: str, stdin: str | bytes = "", check: bool = True, timeout: float = 120) -> Result:
    """Run a command in a container. Bytes that are no UTF-8 come back as surrogates."""
    data = stdin if isinstance(stdin, bytes) else stdin.encode("utf-8", "surrogateescape")
    done = subprocess.run(
        ["podman", "exec", "--interactive", name, *command], input=data, capture_output=True, timeout=timeout, check=False
    )
    result = Result(done.returncode, *(part.decode("utf-8", "surrogateescape") for part in (done.stdout, done.stderr)))
    if check and result.status != 0:
        raise LabError(f"{name}: {' '.join(command)} ended with {result.status}\n{result.text}")
    return result


def wait_until(what: str, look: Callable[[], Found], seconds: float = 20) -> Found:
    """What `look` returns as soon as that is true; the test fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds} s in vain for {what}")
        time.sleep(POLL_SECONDS)


class MailHost(NamedTuple):
    """One mail host of the scenario."""

    name: str
    number: int
    zone: str

    @property
    def fqdn(self) -> str:
        return f"{self.name}.test"

    @property
    def ip4(self) -> str:
        return f"198.51.100.{self.number}"

    @property
    def ip6(self) -> str:
        return f"2001:db8:25::{self.number}"

    def source4(self, which: int) -> str:
        """Its further IPv4 address, the first or the second; the HELO name is out1 or out2."""
        return f"198.51.100.{self.number + 90 + 10 * which}"

    def source6(self, which: int) -> str:
        return f"2001:db8:25::{self.number + 90 + 10 * which}"

    @property
    def tsig_name(self) -> str:
        """The key that may update the host's zone, see tests/lab/peer-setup."""
        return f"lab-{self.zone.partition('.')[0]}"

    def domain(self, label: str) -> str:
        """The full name of a domain of domains.yml, such as reject.d12.test."""
        return f"{label}.{self.zone}"

    def run(self, *command: str, **options: Any) -> Result:
        return run_in(self.name, *command, **options)

    def shell(self, script: str, **options: Any) -> Result:
        return run_in(self.name, "bash", "-c", script, **options)

    def log(self) -> str:
        """Exim's main log."""
        return self.run("cat", "/var/log/exim4/mainlog").stdout

    def maildir(self, address: str) -> list[str]:
        """Paths of the messages a mailbox holds."""
        local, domain = address.split("@")
        script = 'cd "/var/vmail/$0/$1" 2>/dev/null && find Maildir -type f \\( -path "*/new/*" -o -path "*/cur/*" \\) || true'
        return self.run("bash", "-c", script, domain, local).stdout.split()

    def messages(self, address: str) -> list[str]:
        """The raw messages a mailbox holds."""
        local, domain = address.split("@")
        return [self.run("cat", f"/var/vmail/{domain}/{local}/{path}").stdout for path in self.maildir(address)]

    def has_message(self, address: str, token: str) -> bool:
        return any(token in message for message in self.messages(address))


def tsig_secret(name: str) -> str:
    """The secret of a TSIG key of the lab, as tests/lab/peer-setup makes it of the key's name."""
    return base64.b64encode(hashlib.sha256(name.encode()).hexdigest().encode()).decode()


# The ACME CAs on the peer (tests/lab/peer/pebble.json): the second one registers nobody without external account binding. The
# certificate of their HTTPS is the internal CA's, which lies on each mail host.
ACME_DIRECTORY = "https://ca.test:14000/dir"
ACME_EAB_DIRECTORY = "https://ca.test:14001/dir"
ACME_EAB_KEY_ID = "lab-eab"
ACME_EAB_HMAC_KEY = "bGFiLWVhYi1rZXktdGhhdC1hbnlib2R5LW1heS1rbm93"
LAB_CA_FILE = "/etc/ssl/lab-ca.pem"
_ACME_MANAGEMENT_PORTS = {ACME_DIRECTORY: 15000, ACME_EAB_DIRECTORY: 15001}


def acme_root(directory: str = ACME_DIRECTORY) -> str:
    """The root that the CA issues from since its last start, in PEM."""
    return _acme_certificate(directory, "roots/0")


def acme_intermediate(directory: str = ACME_DIRECTORY) -> str:
    """The intermediate certificate below that root, in PEM."""
    return _acme_certificate(directory, "intermediates/0")


def _acme_certificate(directory: str, path: str) -> str:
    script = (
        "import ssl, sys, urllib.request; trust = ssl.create_default_context(cafile='/etc/pebble-ca/ca.pem'); "
        "print(urllib.request.urlopen(sys.argv[1], timeout=10, context=trust).read().decode())"
    )
    return run_in(PEER, "python3", "-c", script, f"https://localhost:{_ACME_MANAGEMENT_PORTS[directory]}/{path}").stdout


# Numbers and zones of tests/lab/README.md.
_PLACES = {
    "lab-deb12": (12, "d12.test"),
    "lab-deb13": (13, "d13.test"),
    "demo-deb12": (32, "demo12.test"),
    "demo-deb13": (33, "demo13.test"),
}


def mail_host_named(name: str) -> MailHost:
    return MailHost(name, *_PLACES[name])


def new_token() -> str:
    """A word that is in no other message."""
    return f"token-{os.getpid()}-{time.time_ns():x}-{next(_numbers)}"


_numbers = itertools.count()


class Smtp(NamedTuple):
    """One SMTP session as swaks saw it."""

    transcript: str
    status: int

    def replies(self) -> list[str]:
        """The server's answers in order, such as "250 OK"; only the last line of each."""
        lines = re.findall(r"^<[-~*]{1,2}\*? +(\d{3} .*)$", self.transcript, re.MULTILINE)
        return [line.rstrip() for line in lines]

    def reply_to(self, command: str) -> str:
        """The answer to the last command that begins so: "RCPT", "MAIL", "DATA", "AUTH", or "." for the message."""
        answer = ""
        asked = False
        for line in self.transcript.splitlines():
            said = re.match(r"^ [-~]> (.*)$", line)
            if said:
                asked = said.group(1).strip() == "." if command == "." else said.group(1).startswith(command)
                continue
            got = re.match(r"^<[-~*]{1,2}\*? *(\d{3} .*)$", line)
            if got and asked:
                answer = got.group(1).rstrip()
                asked = False
        return answer

    @property
    def accepted(self) -> bool:
        return self.status == 0


def swaks(*options: str, data: str | None = None, source: str = PEER, timeout: float = 120) -> Smtp:
    """Send with swaks from the peer (or another host). `data` is the whole message, headers included."""
    if data is not None:
        options = (*options, "--data", "-")
    result = run_in(source, "swaks", "--timeout", "60", *options, stdin=data or "", check=False, timeout=timeout)
    return Smtp(result.text, result.status)


class Received(NamedTuple):
    """One message the sink took, see tests/lab/peer/sink.py."""

    time: float
    peer_ip: str
    helo: str
    tls: bool
    mail_from: str
    rcpt_tos: list[str]
    content: str


def sink_messages(token: str) -> list[Received]:
    """Messages at the sink whose content or envelope holds the token, oldest first."""
    script = 'cd /var/lib/sink && grep -lF -e "$0" -- *.json 2>/dev/null | sort | xargs -r -n 1 -I{} sh -c "cat {}; echo"'
    lines = run_in(PEER, "bash", "-c", script, token).stdout.splitlines()
    return [Received(**json.loads(line)) for line in lines if line]


def wait_for_sink(token: str, count: int = 1, seconds: float = 30) -> list[Received]:
    """Messages with the token, as soon as the sink has `count` of them."""

    def look() -> list[Received]:
        found = sink_messages(token)
        return found if len(found) >= count else []

    return wait_until(f"{count} message(s) with {token} at the sink", look, seconds)
