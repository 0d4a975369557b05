# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends real messages to the demo's hosts and shows what was answered and where they arrived.

swaks sends, the mail directories and the sink's records tell where a message is, dkimpy verifies signatures, openssl tells what certificate
is shown; none of the collection's own code judges.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from typing import NamedTuple

PEER = "demo-peer"
PASSWORD = "correct horse"
HOSTS = {"demo-deb12": "demo12.test", "demo-deb13": "demo13.test"}
ARRIVAL_SECONDS = 20


class Letter(NamedTuple):
    """One message. {z} stands for the host's zone. login: the mailbox that submits it, empty for mail from outside.

    signatures: how many it carries when it arrives outside; each must be valid.
    """

    what: str
    sender: str
    to: str
    answer: str
    arrives: str
    login: str = ""
    signatures: int = 0


LETTERS = (
    Letter("to a mailbox", "visitor@outside.test", "info@shop.{z}", "250", "info@shop.{z}"),
    Letter("to its alias", "visitor@outside.test", "sales@shop.{z}", "250", "info@shop.{z}"),
    Letter("to a plus address", "visitor@outside.test", "info+list@shop.{z}", "250", "info@shop.{z}"),
    Letter("unknown, action reject", "visitor@outside.test", "nobody@shop.{z}", "550", ""),
    Letter("unknown, action discard", "visitor@outside.test", "nobody@news.{z}", "250", ""),
    Letter("unknown, forward to domain", "visitor@outside.test", "sales@brand.{z}", "250", "info@shop.{z}"),
    Letter("unknown in that domain too", "visitor@outside.test", "nobody@brand.{z}", "550", ""),
    Letter("unknown, forward to address", "visitor@outside.test", "anybody@old.{z}", "250", "info@shop.{z}"),
    Letter("to a disabled domain", "visitor@outside.test", "info@closed.{z}", "550", ""),
    Letter("to a forwarding address", "visitor@outside.test", "press@team.{z}", "250", "agency@sink.test"),
    Letter("out, from the first address", "info@shop.{z}", "friend@sink.test", "250", "friend@sink.test", "info@shop.{z}", 2),
    Letter("out, from the second address", "editor@news.{z}", "friend@sink.test", "250", "friend@sink.test", "editor@news.{z}"),
    Letter("out, with somebody else's From:", "editor@news.{z}", "friend@sink.test", "550", "", "info@shop.{z}"),
    Letter("relayed for a stranger", "visitor@outside.test", "friend@sink.test", "550", ""),
)


# A name that clients ask for, and who issued the certificate that they see: the authority, nobody else, or for the host itself nobody else.
NAMES = (("imap.shop.{z}", "Pebble"), ("mail.news.{z}", "mail.news.{z}"), ("other.{z}", "{host}.test"))


class Sent(NamedTuple):
    letter: Letter
    token: str
    answer: str


def inside(container: str, *command: str) -> str:
    """What a command in a container prints; its exit status is judged by what it says."""
    return subprocess.run(["podman", "exec", container, *command], capture_output=True, text=True, check=False).stdout


def send(host: str, zone: str, number: int, letter: Letter) -> Sent:
    token = f"demo{time.time_ns()}{number:02d}"
    options = ["--server", f"{host}.test", "--from", letter.sender.format(z=zone), "--to", letter.to.format(z=zone)]
    options += ["--h-Subject", token, "--body", "Sent by the demo of fleetpost.mail."]
    if letter.login:
        options += ["--port", "587", "--tls", "--auth", "PLAIN"]
        options += ["--auth-user", letter.login.format(z=zone), "--auth-password", PASSWORD]
    return Sent(letter, token, last_answer(inside(PEER, "swaks", *options)))


def last_answer(transcript: str) -> str:
    """The server's answer that decided: the first refusal, or else the one to the end of the message."""
    answers = re.findall(r"^<[-~*]{1,2}[ *]*(\d{3}[ -].*)$", transcript, re.MULTILINE)
    refusals = [answer for answer in answers if answer[0] in "45"]
    accepted = [answer for answer in answers if answer.startswith("250 OK id=")]
    return (refusals or accepted or ["no answer"])[0]


def places(host: str) -> list[tuple[str, str]]:
    """(token, place) of every message of the tour that arrived, in a mailbox or outside."""
    found = []
    listing = inside(host, "grep", "-rHoE", "^Subject: demo[0-9]+", "/var/vmail")
    for path, token in re.findall(r"^/var/vmail/(.+?):Subject: (demo\d+)$", listing, re.MULTILINE):
        domain, mailbox = path.split("/")[:2]
        found.append((token, f"{mailbox}@{domain}"))
    records = inside(PEER, "sh", "-c", "cat /var/lib/sink/*.json 2>/dev/null")
    for record in read_records(records):
        token = re.search(r"^Subject: (demo\d+)", record["content"], re.MULTILINE)
        if token:
            found.append((token[1], f"{record['rcpt_tos'][0]}, sent by {record['peer_ip']} ({record['helo']})"))
    return found


def read_records(text: str) -> list[dict[str, str]]:
    decoder, position, records = json.JSONDecoder(), 0, []
    while position < len(text):
        record, position = decoder.raw_decode(text, position)
        records.append(record)
        while position < len(text) and text[position].isspace():
            position += 1
    return records


def signatures(tokens: list[str]) -> dict[str, list[str]]:
    """Token -> the valid signatures of its message outside, as dkimpy judges them there with what the name servers show."""
    found = {}
    for line in inside(PEER, "python3", "/usr/local/lib/judge.py", *tokens).splitlines():
        judged = json.loads(line)
        found[judged["subject"]] = [
            f"{one['domain']} ({one['algorithm']}, valid)" for one in judged["signatures"] if set(one["answers"].values()) == {"ok"}
        ]
    return found


def wait_for_arrivals(host: str, expected: set[str]) -> dict[str, str]:
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while True:
        arrived = dict(places(host))
        if expected <= arrived.keys() or time.monotonic() > deadline:
            return arrived
        time.sleep(0.5)


def tour(host: str, zone: str) -> int:
    """Sends every letter, prints the table, returns how many did not go as they should."""
    sent = [send(host, zone, number, letter) for number, letter in enumerate(LETTERS)]
    arrived = wait_for_arrivals(host, {one.token for one in sent if one.letter.arrives})
    versions = [inside(host, "exim4", "--version").split()[2], inside(host, "dovecot", "--version").split()[0]]
    print(f"\n{host}: Exim {versions[0]}, Dovecot {versions[1]}\n")
    rows = [("what was sent", "to", "the server answered", "where it arrived")]
    judged = signatures([one.token for one in sent])
    wrong = 0
    for one in sent:
        place = arrived.get(one.token, "nowhere")
        expected = one.letter.arrives.format(z=zone) or "nowhere"
        as_expected = one.answer.startswith(one.letter.answer) and place.startswith(expected)
        valid = judged.get(one.token, [])
        as_expected = as_expected and len(valid) == one.letter.signatures
        if valid:
            place += f", signed by {' and '.join(valid)}"
        wrong += not as_expected
        answer = re.sub(r"^250 OK id=.*", "250 OK", one.answer)
        rows.append((one.letter.what, one.letter.to.format(z=zone), answer, place if as_expected else f"{place}  <- NOT AS EXPECTED"))
    print_table(rows)
    print(f"\n{inbox(host, zone)}")
    return wrong


def print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for number, row in enumerate(rows):
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
        if number == 0:
            print("  " + "  ".join("-" * width for width in widths))


_IMAP = """
import imaplib, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
with imaplib.IMAP4_SSL(sys.argv[1], 993, ssl_context=context) as session:
    session.login(sys.argv[2], sys.argv[3])
    print(session.select("INBOX", readonly=True)[1][0].decode())
"""


def inbox(host: str, zone: str) -> str:
    user = f"info@shop.{zone}"
    count = inside(PEER, "python3", "-c", _IMAP, f"{host}.test", user, PASSWORD).strip()
    return f"Read over IMAP (port 993, TLS): {user} has {count or 'no readable'} messages."


_SHOWN = """
for port in 465 993; do
    openssl s_client -connect "$1:$port" -servername "$2" </dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -nameopt multiline |
        sed -n 's/^ *commonName *= *//p' | tail -n 1
done
"""


def certificates(host: str, zone: str) -> int:
    """Shows who issued what both servers show for some names; returns how many are not as they should be."""
    rows = [("a client asks for", "Exim shows a certificate of", "Dovecot shows a certificate of")]
    wrong = 0
    for name, issuer in NAMES:
        asked, expected = name.format(z=zone), issuer.format(z=zone, host=host)
        shown = inside(PEER, "bash", "-c", _SHOWN, "bash", f"{host}.test", asked).splitlines()
        as_expected = len(shown) == 2 and all(one.startswith(expected) for one in shown)
        wrong += not as_expected
        rows.append((asked, *(shown if as_expected else ["NOT AS EXPECTED", " ".join(shown)])))
    print()
    print_table(rows)
    return wrong


def main() -> None:
    wrong = sum(tour(host, zone) + certificates(host, zone) for host, zone in HOSTS.items())
    total = (len(LETTERS) + len(NAMES)) * len(HOSTS)
    print(f"\n{total - wrong} of {total} messages and certificates are as they should be.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
