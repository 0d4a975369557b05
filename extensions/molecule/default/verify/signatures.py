# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's judge says of DKIM signatures, and the lab's DNS by hand: nsupdate, dig, the second name server."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from hosts import Host
from lab import PEER, run_in, tsig_secret, wait_until

KEYS = "/etc/exim4/ssl"
_JUDGE = ("python3", "/usr/local/lib/judge.py")
_STRING = re.compile(r'"([^"]*)"')


class Signature(NamedTuple):
    """One signature of a message, and what dkimpy says with the key that each name server shows."""

    domain: str
    selector: str
    algorithm: str
    answers: dict[str, str]

    @property
    def is_valid(self) -> bool:
        return set(self.answers.values()) == {"ok"} and len(self.answers) == 2


class Verdict(NamedTuple):
    """One look at one message: the first is at reception."""

    look: int
    time: float
    subject: str
    signatures: list[Signature]

    @property
    def is_valid(self) -> bool:
        return bool(self.signatures) and all(signature.is_valid for signature in self.signatures)


def _verdict(line: str) -> Verdict:
    fields = json.loads(line)
    return Verdict(**{**fields, "signatures": [Signature(**one) for one in fields["signatures"]]})


def signatures_of(tokens: Sequence[str]) -> dict[str, list[Signature]]:
    """Token, which is the subject -> the signatures of its message at the sink, judged now; [] for one that is unsigned."""
    lines = run_in(PEER, *_JUDGE, *tokens).stdout.splitlines()
    return {verdict.subject: verdict.signatures for verdict in map(_verdict, lines)}


class Judge:
    """Judges messages with a word as they come, and each again some seconds later."""

    def __init__(self, word: str, seconds: float) -> None:
        command = ["podman", "exec", "--interactive", PEER, *_JUDGE, "--follow", str(seconds), word]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def verdicts(self) -> list[Verdict]:
        """All of them, when the last message has had its second look."""
        output, _errors = self._process.communicate(timeout=60)
        assert self._process.returncode == 0, output
        return [_verdict(line) for line in output.splitlines()]


def private_key(host: Host, file: str) -> str:
    return host.run("cat", f"{KEYS}/{file}.private").stdout


def record_in_file(host: Host, file: str) -> tuple[str, str]:
    """The selector and the text of the TXT record in a key's .txt file."""
    text = host.run("cat", f"{KEYS}/{file}.txt").stdout
    return text.partition("._domainkey")[0], "".join(_STRING.findall(text))


def key_in(record: str) -> str:
    """The key itself in the text of a TXT record."""
    return re.sub(r"\s", "", record.partition("p=")[2].partition(";")[0])


def update(host: Host, *lines: str) -> None:
    """Change the host's zone with nsupdate, such as "delete x.d12.test TXT"."""
    commands = ["server ns.test", f"zone {host.zone}", *(f"update {line}" for line in lines), "send", ""]
    run_in(PEER, "nsupdate", "-y", f"hmac-sha256:{host.tsig_name}:{tsig_secret(host.tsig_name)}", stdin="\n".join(commands))


def provider(host: Host, **options: Any) -> dict[str, Any]:
    """The option `provider` for the host's zone."""
    key = {"tsig_name": host.tsig_name, "tsig_secret": tsig_secret(host.tsig_name)}
    return {"type": "rfc2136", "server": "ns.test", **key, **options}


def withdraw(host: Host, label: str) -> None:
    """Take everything out of the DNS that was published for a domain of the host."""
    name = f"{label}.{host.zone}."
    lines = run_in(PEER, "dig", "@ns.test", "+noall", "+answer", "+onesoa", host.zone, "AXFR").stdout.splitlines()
    names = {line.split()[0] for line in lines}
    ours = sorted(found for found in names if found == name or found.endswith(f".{name}"))
    if ours:
        update(host, *(f"delete {found}" for found in ours))


def texts(name: str, server: str = "ns.test") -> list[str]:
    """The TXT records that a name server shows, their strings joined."""
    lines = run_in(PEER, "dig", "+short", f"@{server}", name, "TXT").stdout.splitlines()
    return sorted("".join(_STRING.findall(line)) for line in lines)


def add_text(host: Host, name: str, text: str, server: str = "ns2.test") -> None:
    """Publish a TXT record, in strings of at most 255 bytes, and wait until a name server shows it: by default the second, so both."""
    strings = " ".join(f'"{text[start : start + 255]}"' for start in range(0, len(text), 255))
    update(host, f"add {name} 2 TXT {strings}")
    wait_until(f"{name} in the DNS", lambda: text in texts(name, server))


def publish(host: Host, domain: str, files: Sequence[str]) -> None:
    """Publish keys by hand, as their .txt files say."""
    for file in files:
        selector, record = record_in_file(host, file)
        add_text(host, f"{selector}._domainkey.{domain}", record)


@contextmanager
def frozen_second_server(host: Host) -> Iterator[None]:
    """The second name server shows what it has, whatever is changed in the host's zone."""
    run_in(PEER, "ns2", "freeze", host.zone)
    try:
        yield
    finally:
        run_in(PEER, "ns2", "thaw", host.zone)
