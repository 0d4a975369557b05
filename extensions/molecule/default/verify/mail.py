# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sending with swaks from the outside world, and finding out where a message went."""

from __future__ import annotations

import base64
import json
import re
import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from hosts import MAINLOG, Host
from lab import PASSWORD, PEER, Received, Smtp, new_token, run_in, wait_until

OUTSIDE = "someone@outside.test"
_TOKEN = re.compile(r"token-[0-9]+-[0-9a-f]+-[0-9]+")

# What the last sessions looked like, for the report of a failed test.
transcripts: list[str] = []


class Session(Smtp):
    """One SMTP session as swaks saw it."""

    __slots__ = ()

    @property
    def answer(self) -> str:
        """The answer that decided: the first refusal, or that to the message."""
        refusal = re.search(r"^<[-~*]\* +(\d{3})[ -](.*)$", self.transcript, re.MULTILINE)
        if refusal:
            return f"{refusal[1]} {refusal[2].rstrip()}"
        return self.reply_to(".") or self.transcript.strip()[-200:]

    @property
    def queue_id(self) -> str:
        """Exim's name of the accepted message."""
        match = re.search(r"OK id=(\S+)", self.reply_to("."))
        return match[1] if match else ""


class Letter(NamedTuple):
    """One message to send: swaks' options, and the whole message with its headers (else a small one is made)."""

    options: tuple[str, ...]
    data: str
    token: str


def letter(host: Host, recipient: str, *options: str, sender: str = OUTSIDE, headers: str | None = None) -> Letter:
    """A message from outside to port 25, unless the options say otherwise. Names are written as for `Host.full`.

    headers: lines before Subject; without them a From: with the sender.
    """
    token = new_token()
    lines = f"From: {sender or OUTSIDE}\nTo: {recipient}\n" if headers is None else headers
    data = f"{host.full(lines)}Subject: {token}\nMessage-ID: <{token}@outside.test>\n\n{token}\n"
    address = ("--server", host.ip4, "--helo", "peer.outside.test", "--from", host.full(sender) or "<>", "--to", host.full(recipient))
    return Letter((*address, *options), data, token)


def login(user: str, password: str = PASSWORD) -> tuple[str, ...]:
    """Options of a session on port 587 after STARTTLS, with a login."""
    return ("--port", "587", "--tls", "--auth", "PLAIN", "--auth-user", user, "--auth-password", password)


def send(letters: Sequence[Letter], source: str = PEER) -> list[Session]:
    """Send them one after the other from the peer."""
    steps = []
    for one in letters:
        data = base64.b64encode(one.data.encode("utf-8", "surrogateescape")).decode()
        steps.append(f"printf %s {data} | base64 -d | swaks --timeout 30 --data - {shlex.join(one.options)} 2>&1; printf '\\001%s\\002' $?")
    output = run_in(source, "bash", "-s", stdin="\n".join(steps), timeout=30 + 15 * len(steps)).stdout
    sessions = []
    for part in output.split("\002")[: len(letters)]:
        transcript, _separator, status = part.rpartition("\001")
        sessions.append(Session(transcript, int(status)))
    transcripts.extend(session.transcript for session in sessions)
    return sessions


def send_one(one: Letter) -> Session:
    return send([one])[0]


def wait_for_completion(host: Host, ids: Iterable[str], seconds: float = 40) -> None:
    """Wait until Exim is done with every one of these messages, and with the mail it made of them."""
    wanted = {id_ for id_ in ids if id_}

    def look() -> bool:
        found = host.run("grep", "-hoE", "[^ ]+ Completed", MAINLOG, check=False).stdout
        return wanted <= {line.split()[0] for line in found.splitlines()}

    wait_until(f"the delivery of {', '.join(sorted(wanted))}", look, seconds)


def sink_messages_with(*words: str) -> list[Received]:
    """Messages at the sink whose content or envelope holds one of the words, oldest first."""
    script = (
        'cd /var/lib/sink && find . -name \'*.json\' -exec grep -lF -e "$1" {} + | sort | while read -r name; do cat "$name"; echo; done'
    )
    lines = run_in(PEER, "bash", "-c", script, "bash", "\n".join(words)).stdout.splitlines()
    return [Received(**json.loads(line)) for line in lines if line]


def look_up(*question: str) -> list[str]:
    """What the lab's DNS answers to dig's question, such as "TXT", "example.test"."""
    return run_in(PEER, "dig", "+short", "@127.0.0.1", *question).stdout.splitlines()


def mailboxes_with_tokens(host: Host) -> dict[str, list[str]]:
    """Token -> every mailbox on the host that holds it, and for mail set aside the directory's name."""
    script = (
        'cd /var/vmail && find . -type f \\( -path "*/new/*" -o -path "*/cur/*" \\) -print0'
        " | xargs -0r grep -aoHE -m1 '^Subject: token-[0-9a-f-]+'"
    )
    found = defaultdict(list)
    for line in host.shell(script, check=False).stdout.splitlines():
        path, _separator, subject = line.partition(":Subject: ")
        first, second = path.split("/")[1:3]
        found[subject].append(f".removed/{second}" if first == ".removed" else f"{second}@{first}")
    return found


def places(host: Host, tokens: Sequence[str]) -> dict[str, list[str]]:
    """Token -> where it is: mailboxes of the host and recipients at the sink, short names, sorted."""
    boxes = mailboxes_with_tokens(host)
    found = {token: [host.short(box) for box in boxes.get(token, [])] for token in tokens}
    for message in sink_messages_with(*tokens):
        for token in set(_TOKEN.findall(message.content)) & found.keys():
            found[token].extend(message.rcpt_tos)
    return {token: sorted(where) for token, where in found.items()}


class Sent(NamedTuple):
    """What became of one message: the session, and where it is."""

    letter: Letter
    session: Session
    places: list[str]


def send_and_find(host: Host, letters: Sequence[Letter]) -> list[Sent]:
    """Send them, wait until Exim is done with them, and look everywhere for each."""
    sessions = send(letters)
    wait_for_completion(host, [session.queue_id for session in sessions])
    found = places(host, [one.token for one in letters])
    return [Sent(one, session, found[one.token]) for one, session in zip(letters, sessions)]
