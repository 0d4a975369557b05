# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends real messages to and through the demo's mail hosts and prints what became of each.

Exit status 1 if something arrived elsewhere, or was answered otherwise, than the table's last column says.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab import PASSWORD, LabError, MailHost, Received, Smtp, mail_host_named, new_token, sink_messages, swaks

ARRIVAL_SECONDS = 15
NOWHERE = "nowhere"


class Sample(NamedTuple):
    """One message: labels of domains are completed with the host's zone; `login` is None for mail from outside."""

    what: str
    recipient: str
    answer: str
    arrives: str
    login: str | None = None
    header_from: str | None = None


SAMPLES = [
    Sample("to a mailbox", "info@company", "250", "info@company"),
    Sample("to its alias", "sales@company", "250", "info@company"),
    Sample("to a plus address", "info+news@company", "250", "info@company"),
    Sample("unknown there; reject", "nobody@company", "550", NOWHERE),
    Sample("unknown there; discard", "nobody@campaign", "250", NOWHERE),
    Sample("unknown there; forward_to_address", "anybody@agency", "250", "info@agency"),
    Sample("the same, outside, with SRS", "anybody@moved", "250", "sink"),
    Sample("forward_to_domain company", "press@brand", "250", "press@company"),
    Sample("forward_to_domain, unknown there too", "nobody@brand", "550", NOWHERE),
    Sample("to a disabled domain", "info@former", "550", NOWHERE),
    Sample("out, logged in at company", "friend@sink.test", "250", "sink", login="info@company"),
    Sample("out, logged in at agency", "friend@sink.test", "250", "sink", login="info@agency"),
    Sample("out, with another's From:", "friend@sink.test", "550", NOWHERE, "info@company", "info@agency"),
]


def complete(host: MailHost, address: str) -> str:
    return address if address.endswith(".test") else f"{address}.{host.zone}"


def send(host: MailHost, sample: Sample, token: str) -> Smtp:
    sender = complete(host, sample.login) if sample.login else "someone@outside.test"
    header_from = complete(host, sample.header_from) if sample.header_from else sender
    options = ["--server", host.ip4, "--helo", "demo-peer.test", "--from", sender, "--to", complete(host, sample.recipient)]
    options += ["--header", f"Subject: {token}", "--header", f"From: <{header_from}>"]
    if sample.login:
        options += ["--port", "587", "-tls", "--auth", "PLAIN", "--auth-user", sender, "--auth-password", PASSWORD]
    return swaks(*options)


def refusal_or_acceptance(smtp: Smtp) -> str:
    """The answer that decided: the first refusal, else the one to the message."""
    for reply in smtp.replies():
        if reply[0] in "45":
            return reply
    return smtp.reply_to(".")


def at_the_sink(message: Received) -> str:
    return f"{message.rcpt_tos[0]} from {message.peer_ip} ({message.helo}), sender {message.mail_from}"


def mailboxes(host: MailHost) -> Iterator[str]:
    for domain in ("company", "agency", "campaign", "former"):
        yield f"info@{host.domain(domain)}"
    yield f"press@{host.domain('company')}"


def places(host: MailHost, token: str) -> list[str]:
    """Where a message is by now."""
    found = [address for address in mailboxes(host) if host.has_message(address, token)]
    return found + [at_the_sink(message) for message in sink_messages(token)]


def wait_for_arrival(host: MailHost, sample: Sample, token: str) -> str:
    if sample.arrives == NOWHERE:
        return ", ".join(places(host, token)) or NOWHERE
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        found = places(host, token)
        if found:
            return ", ".join(found)
        time.sleep(0.2)
    return NOWHERE


def is_as_declared(host: MailHost, sample: Sample, answer: str, place: str) -> bool:
    if not answer.startswith(sample.answer):
        return False
    if sample.arrives == "sink":
        return "@sink.test from" in place
    return place == (NOWHERE if sample.arrives == NOWHERE else complete(host, sample.arrives))


def shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def show(host: MailHost) -> bool:
    print(f"\n{host.fqdn}\n")
    print(f"  {'what was sent':38} {'to':32} {'answer':36} where it arrived")
    all_right = True
    sent = []
    for sample in SAMPLES:
        token = new_token()
        sent.append((sample, token, refusal_or_acceptance(send(host, sample, token))))
    for sample, token, answer in sent:
        place = wait_for_arrival(host, sample, token)
        right = is_as_declared(host, sample, answer, place)
        all_right = all_right and right
        mark = " " if right else "!"
        print(f"{mark} {sample.what:38} {complete(host, sample.recipient):32} {shortened(answer, 36):36} {place}")
    return all_right


def main() -> int:
    results = [show(mail_host_named(name)) for name in sys.argv[1:]]
    if not all(results):
        print("\nLines that begin with ! are not as they should be.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except LabError as error:
        sys.exit(str(error))
