# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a receiver makes of the DKIM signatures of messages at the sink, by dkimpy (RFC 6376, RFC 8463).

    judge.py WORD...            the messages with one of the words that are there
    judge.py --follow 3 WORD    those that come from now on, each at reception and again 3 s later, until standard input ends

Prints one JSON line a message and look (and "ready" before it follows): `look` (1 or 2), `time`, `subject`, `signatures`,
each with `domain`, `selector`, `algorithm`, and `answers`: server -> "ok" or why not. A signature is tried with each of the
lab's two name servers; no answer is kept from one try to the next.
"""

from __future__ import annotations

import argparse
import json
import select
import sys
import time
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any, NamedTuple

import dkim
import dns.message
import dns.query
import dns.rdatatype
import dns.resolver

DIRECTORY = Path("/var/lib/sink")
POLL_SECONDS = 0.1


class Message(NamedTuple):
    """One message: when the sink took it, and its bytes."""

    time: float
    content: bytes


class Servers:
    """The lab's name servers, asked anew each time."""

    def __init__(self) -> None:
        self.addresses = {name: str(dns.resolver.resolve(name, "A")[0]) for name in ("ns.test", "ns2.test")}

    def text_from(self, server: str) -> Any:
        """dkimpy's way to ask for a TXT record, of this server."""

        def text(name: bytes, timeout: int = 5) -> bytes | None:
            question = dns.message.make_query(name.decode(), dns.rdatatype.TXT)
            answer = dns.query.udp_with_fallback(question, self.addresses[server], timeout=timeout)[0]
            return next((b"".join(record.strings) for found in answer.answer for record in found), None)

        return text


def verify(message: dkim.DKIM, which: int, text: Any) -> str:
    try:
        return "ok" if message.verify(which, dnsfunc=text) else "the signature does not verify"
    except Exception as error:  # whatever it is, it is the verdict
        return f"{type(error).__name__}: {error}"


def look_at(message: Message, look: int, servers: Servers) -> str:
    parsed = message_from_bytes(message.content, policy=policy.compat32)
    signatures = []
    for which, header in enumerate(parsed.get_all("DKIM-Signature", [])):
        tags = dkim.util.parse_tag_value(str(header).encode())
        named = {name: tags.get(tag, b"").decode() for name, tag in (("domain", b"d"), ("selector", b"s"), ("algorithm", b"a"))}
        judged = dkim.DKIM(message.content)
        answers = {server: verify(judged, which, servers.text_from(server)) for server in servers.addresses}
        signatures.append({**named, "answers": answers})
    subject = str(parsed.get("Subject", ""))
    return json.dumps({"look": look, "time": message.time, "subject": subject, "signatures": signatures})


def messages_with(words: list[str], seen: set[str]) -> Iterator[Message]:
    """Messages with one of the words that have come since `seen` was filled."""
    for path in sorted(DIRECTORY.glob("*.json")):
        if path.name not in seen:
            seen.add(path.name)
            record = json.loads(path.read_bytes())
            content = record["content"].encode("latin-1")
            if any(word.encode() in content for word in words):
                yield Message(record["time"], content)


def follow(words: list[str], seconds: float, servers: Servers) -> Iterator[str]:
    seen = {path.name for path in DIRECTORY.glob("*.json")}
    later: list[Message] = []
    yield "ready"
    is_over = False
    while later or not is_over:
        for message in messages_with(words, seen):
            yield look_at(message, 1, servers)
            later.append(message)
        while later and later[0].time + seconds <= time.time():
            yield look_at(later.pop(0), 2, servers)
        if is_over:
            time.sleep(POLL_SECONDS)
        else:
            readable, _writable, _errors = select.select([sys.stdin], [], [], POLL_SECONDS)
            is_over = bool(readable) and not sys.stdin.read(1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("word", nargs="+")
    parser.add_argument("--follow", type=float, metavar="SECONDS")
    options = parser.parse_args()
    servers = Servers()
    if options.follow is None:
        lines = (look_at(message, 1, servers) for message in messages_with(options.word, set()))
    else:
        lines = follow(options.word, options.follow, servers)
    for line in lines:
        print(line, flush=True)


if __name__ == "__main__":
    main()
