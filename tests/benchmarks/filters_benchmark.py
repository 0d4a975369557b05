# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each filter costs: messages a second through the whole path into a mailbox, sent from another host on ten connections at a
time, and what a recipient costs on a host with few and with many mail domains.

Nothing is judged. It uses the scenario's hosts, which must be up (`./dev molecule converge`), and leaves them as they were.

    ./dev bench filters            200 messages a case, some minutes
    ./dev bench filters --quick    60 messages a case
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

from lab import MAIL_HOSTS, PEER, LabError, MailHost, mail_host_named, run_in, wait_until

DOMAIN = "bench.test"
BOX = f"info@{DOMAIN}"
# What the domain's line says besides.
CASES = {
    "no filter": "",
    "greylisting, sender known": "greylist=yes",
    "SpamAssassin": "spam=yes",
    "ClamAV": "av=yes",
    "all": "greylist=yes spam=yes av=yes",
}
MANY = 10000

_SENDER = """
import json, smtplib, sys, threading, time
address, recipient, count, threads = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
text = "From: a@nospf.test\\r\\nTo: b@c.test\\r\\nSubject: x\\r\\nDate: Fri, 27 Nov 2026 00:00:00 +0000\\r\\n"
text += "Message-ID: <%d@nospf.test>\\r\\n\\r\\n"
text += "All work and no play makes Jack a dull boy.\\r\\n" * 200
numbers, failed = iter(range(count)), []
def work():
    session = smtplib.SMTP(address, 25, "peer.outside.test")
    for number in numbers:
        try:
            session.sendmail("bench@nospf.test", [recipient], text % number)
        except Exception as error:
            failed.append(str(error))
    session.quit()
workers = [threading.Thread(target=work) for _ in range(threads)]
began = time.perf_counter()
for worker in workers: worker.start()
for worker in workers: worker.join()
print(json.dumps([time.perf_counter() - began, failed[:3]]))
"""
_ASKING = """
import json, smtplib, sys, time
address, recipient, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
taken = []
for number in range(count // 50):
    session = smtplib.SMTP(address, 25, "peer.outside.test")
    session.ehlo()
    session.mail("bench@nospf.test")
    began = time.perf_counter()
    for _ in range(50): session.rcpt(recipient)
    taken.append((time.perf_counter() - began) / 50)
    session.quit()
print(json.dumps(sorted(taken)[len(taken) // 2] * 1000))
"""


class Extent(NamedTuple):
    messages: int = 200
    rounds: int = 1
    recipients: int = 2000


QUICK = Extent(60, 1, 200)


class Bench:
    """One host with a domain of the benchmark's own, written into its tables and taken away at the end."""

    def __init__(self, host: MailHost, parallel: int) -> None:
        self.host = host
        self.parallel = parallel

    def __enter__(self) -> Bench:
        self._bash("cd /etc/exim4 && cp -p domains domains.bench && cp -p addresses addresses.bench")
        self._bash("cp -p /etc/dovecot/users /root/users.bench")
        ids = self._bash("id -u vmail; id -g vmail").split()
        self._bash(
            'mkdir -p /var/vmail/"$1"/info && chown -R vmail: /var/vmail/"$1"/info && chmod 711 /var/vmail/"$1";'
            'echo "$2: mailbox" >>/etc/exim4/addresses; echo "$2:{PLAIN}x:$3:$4::/var/vmail/$1/info::" >>/etc/dovecot/users',
            DOMAIN,
            BOX,
            *ids,
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self._bash(
            "cd /etc/exim4 && mv domains.bench domains && mv addresses.bench addresses;"
            "mv /root/users.bench /etc/dovecot/users && rm -rf /var/vmail/$1",
            DOMAIN,
        )

    def _bash(self, script: str, *words: str) -> str:
        return run_in(self.host.name, "bash", "-c", script, "bash", *words).stdout

    def say(self, fields: str, domains: int = 0) -> None:
        """Makes the domain's line say this, beside so many other domains."""
        self._bash(
            "cd /etc/exim4 && cp -p domains.bench domains.new;"
            'for ((n = 0; n < $2; n++)); do echo "d$n.bench.test: owner=vmail enabled=yes"; done >>domains.new;'
            'echo "$1" >>domains.new; mv domains.new domains; rm -rf /var/vmail/"$3"/info/Maildir',
            f"{DOMAIN}: owner=vmail enabled=yes disabled=reject action=reject {fields}",
            str(domains),
            DOMAIN,
        )

    def throughput(self, count: int) -> float:
        """Messages a second until the last one is in its mailbox."""
        done = run_in(PEER, "python3", "-c", _SENDER, self.host.ip4, BOX, str(count), str(self.parallel), timeout=900)
        seconds, failed = json.loads(done.stdout)
        if failed:
            raise LabError(f"{self.host.name}: {failed}")
        look = f"[ $(ls /var/vmail/{DOMAIN}/info/Maildir/new 2>/dev/null | wc -l) -ge {count} ]"
        began = time.perf_counter()
        wait_until("the last message", lambda: run_in(self.host.name, "bash", "-c", look, check=False).status == 0, 300)
        return count / (seconds + time.perf_counter() - began)

    def recipient(self, count: int) -> float:
        """Milliseconds that one RCPT takes, from the peer."""
        return float(run_in(PEER, "python3", "-c", _ASKING, self.host.ip4, BOX, str(count), timeout=900).stdout)


def measure(host: MailHost, extent: Extent, parallel: int) -> dict[str, float]:
    found = {}
    with Bench(host, parallel) as bench:
        for case, fields in CASES.items():
            bench.say(fields)
            _pass_greylisting(bench)
            rounds = []
            for _round in range(extent.rounds):
                bench.say(fields)
                rounds.append(bench.throughput(extent.messages))
            found[case] = median(rounds)
            print(f"{host.name}: {case}: {found[case]:.1f} messages a second", file=sys.stderr, flush=True)
        for domains in (10, MANY):
            bench.say("", domains)
            found[f"RCPT with {domains:,} more domains, ms"] = bench.recipient(extent.recipients)
    return found


def _pass_greylisting(bench: Bench) -> None:
    def look() -> bool:
        try:
            return bench.throughput(1) > 0
        except LabError as error:
            if "451" not in str(error):
                raise
            return False

    wait_until("the end of greylisting", look, 60)


def report(found: Sequence[dict[str, float]], extent: Extent, parallel: int) -> Iterator[str]:
    title = f"{extent.messages} messages of 9 kB, {parallel} at a time; messages a second"
    yield f"{title:64}" + "".join(f"{name:>12}" for name in MAIL_HOSTS)
    for case in found[0]:
        digits = 2 if case.startswith("RCPT") else 1
        yield f"{case:64}" + "".join(f"{one[case]:>12.{digits}f}" for one in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer messages")
    parser.add_argument("--parallel", type=int, default=10, help="connections at a time")
    options = parser.parse_args()
    extent = QUICK if options.quick else Extent()
    found = [measure(mail_host_named(name), extent, options.parallel) for name in MAIL_HOSTS]
    print("\n".join(report(found, extent, options.parallel)))


if __name__ == "__main__":
    main()
