# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the DNS verification of many domains takes, beside a loop that asks dns.resolver one question after the other.

Both ask the same name server on this machine for the same records in the same run: as it is, and through a relay that holds each
answer back for 20 ms. Nothing is judged: the goals stand beside the medians.

    ./dev bench dns              1,000 domains with 4 records each, about two minutes
    ./dev bench dns --quick      100 domains, some 15 seconds
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import heapq
import os
import platform
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

# The collection as `./dev bench` installed it.
sys.path.insert(0, os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").partition(":")[0])

import dns.message
import dns.resolver
import dns.rrset
import dns.version
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import (
    MailHost,
    Record,
    Wishes,
    mx_values,
    records_of,
    zone_file,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_verify import verify
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Dkim, DkimKey, Domain, PublicKey

HOST = MailHost("mx1.bench.test")
ZONE = "bench.test"
DELAY = 0.02
GOALS = {"no delay": 1.5, "20 ms of delay": 50.0}
# What a key of 2048 bits looks like in its record; a random one is as long, and nobody verifies with it.
KEY_OCTETS = 294
LARGEST_DATAGRAM = 65535


class Extent(NamedTuple):
    """How much is measured: the loop with a delay takes 82 s for 4,000 questions, so it runs once."""

    domains: int = 1000
    rounds: int = 5


QUICK = Extent(100, 3)


def wanted_records(count: int) -> list[Record]:
    """What `count` domains need: MX, SPF, DKIM and DMARC."""
    chance = random.Random(count)
    keys, domains = {}, []
    for number in range(count):
        name = f"d{number:05d}.{ZONE}"
        keys[name] = PublicKey("rsa", 2048, "email", base64.b64encode(chance.randbytes(KEY_OCTETS)).decode())
        domains.append(Domain(name, dkim=Dkim((DkimKey("dkim", name),)), dmarc="v=DMARC1; p=none"))
    return [record for domain in domains for record in records_of(domain, HOST, keys, Wishes())]


def with_this_client(records: Sequence[Record], port: int) -> float:
    """Seconds that the collection takes to look everything up and to judge it."""
    began = time.perf_counter()
    verification = verify(records, mx_values(HOST, Wishes()), [f"127.0.0.1@{port}"], 600.0)
    seconds = time.perf_counter() - began
    wrong = [entry for entry in verification if entry["status"] != "ok"]
    if wrong:
        raise SystemExit(f"{len(wrong)} of {len(records)} records were not found as they are: {wrong[0]}")
    return seconds


def one_after_the_other(records: Sequence[Record], port: int) -> float:
    """Seconds that dns.resolver takes only to look everything up."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], port
    began = time.perf_counter()
    for record in records:
        for rdata in resolver.resolve(record.name, record.type):
            rdata.to_text()
    return time.perf_counter() - began


@contextlib.contextmanager
def running(command: Sequence[str], port: int, log: Path) -> Iterator[bool]:
    """Runs a server for the block; False when it does not answer."""
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT) as process:
        try:
            yield _answers(process, port)
        finally:
            process.terminate()


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    question = dns.message.make_query(f"{ZONE}.", "SOA").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.settimeout(0.1)
        for _attempt in range(100):
            if process.poll() is not None:
                return False
            with contextlib.suppress(OSError):
                probe.sendto(question, ("127.0.0.1", port))
                probe.recv(LARGEST_DATAGRAM)
                return True
            time.sleep(0.05)
    return False


@contextlib.contextmanager
def name_server(records: Sequence[Record], directory: Path, port: int) -> Iterator[str]:
    """A server for the records; its name. Where BIND cannot run a small process of this file stands in."""
    head = f"$ORIGIN {ZONE}.\n$TTL 300\n@ IN SOA ns hostmaster 1 60 60 60 60\n@ IN NS ns\nns IN A 127.0.0.1\n"
    (directory / "zone").write_text(head + zone_file(records, 300))
    (directory / "named.conf").write_text(
        f'options {{ directory "{directory}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no;\n'
        f'pid-file "{directory}/pid"; session-keyfile "{directory}/key"; }};\ncontrols {{ }};\n'
        f'zone "{ZONE}" {{ type master; file "zone"; }};\n'
    )
    program = shutil.which("named") or shutil.which("named", path="/usr/sbin")
    if program:
        with running([program, "-g", "-c", str(directory / "named.conf")], port, directory / "log") as is_there:
            if is_there:
                version = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout.partition(" (")[0].strip()
                yield version
                return
        print((directory / "log").read_text()[-500:], file=sys.stderr)
    stand_in = [sys.executable, __file__, "--serve", str(port), str(directory / "zone")]
    with running(stand_in, port, directory / "log") as is_there:
        if not is_there:
            raise SystemExit((directory / "log").read_text())
        yield "a responder of this benchmark, because BIND's named cannot run here"


def serve(port: int, zone: str) -> None:
    """Answers from memory what the zone file holds."""
    answers = {}
    for line in Path(zone).read_text().splitlines()[5:]:
        name, _ttl, _class, kind, text = line.split("\t")
        answer = dns.message.make_response(dns.message.make_query(name, kind))
        answer.answer.append(dns.rrset.from_text(name, 300, "IN", kind, text))
        wire = answer.to_wire()
        answers[_question(wire)] = wire[2:]
    nothing = dns.message.make_response(dns.message.make_query(f"{ZONE}.", "SOA")).to_wire()[2:]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", port))
        while True:
            wire, client = server.recvfrom(LARGEST_DATAGRAM)
            server.sendto(wire[:2] + answers.get(_question(wire), nothing), client)


def _question(wire: bytes) -> bytes:
    end = 12
    while wire[end]:
        end += wire[end] + 1
    return wire[12 : end + 5].lower()


def relay(port: int, server_port: int, delay: float) -> None:
    """Hands questions on and holds each answer back for `delay` seconds, each for itself."""
    clients: dict[bytes, tuple[str, int]] = {}
    held: list[tuple[float, bytes]] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outer, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as inner:
        for one in (outer, inner):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            one.setblocking(False)
        outer.bind(("127.0.0.1", port))
        inner.connect(("127.0.0.1", server_port))
        while True:
            pause = max(0.0, held[0][0] - time.monotonic()) if held else None
            ready, _writable, _failed = select.select([outer, inner], [], [], pause)
            if outer in ready:
                _hand_on(outer, inner, clients)
            if inner in ready:
                _hold(inner, held, delay)
            while held and held[0][0] <= time.monotonic():
                _due, wire = heapq.heappop(held)
                outer.sendto(wire, clients.pop(wire[:2] + _question(wire)))


def _hand_on(outer: socket.socket, inner: socket.socket, clients: dict[bytes, tuple[str, int]]) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            wire, client = outer.recvfrom(LARGEST_DATAGRAM)
            clients[wire[:2] + _question(wire)] = client
            inner.send(wire)


def _hold(inner: socket.socket, held: list[tuple[float, bytes]], delay: float) -> None:
    with contextlib.suppress(BlockingIOError):
        while True:
            wire = inner.recv(LARGEST_DATAGRAM)
            heapq.heappush(held, (time.monotonic() + delay, wire))


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Times(NamedTuple):
    """Seconds of both, one after the other in each round, so that a busy moment of the machine hits both."""

    ours: list[float]
    loop: list[float]

    def line(self, what: str) -> str:
        ratio = median(self.loop) / median(self.ours)
        goal = GOALS[what]
        verdict = "met" if ratio >= goal else "not met"
        return f"{what:16}{_shown(self.ours):>22}{_shown(self.loop):>22}{ratio:>10.1f}{goal:>10.1f}  {verdict}"


def _shown(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"


def measure(records: Sequence[Record], port: int, rounds: int, rounds_of_loop: int) -> Times:
    times = Times([], [])
    for number in range(rounds):
        times.ours.append(with_this_client(records, port))
        if number < rounds_of_loop:
            times.loop.append(one_after_the_other(records, port))
    return times


def _say(line: str) -> None:
    print(line, flush=True)


def run(extent: Extent, directory: Path) -> None:
    """Prints the table, what it was measured on, and how it was."""
    records = wanted_records(extent.domains)
    port, delayed_port = free_port(), free_port()
    with name_server(records, directory, port) as server:
        _say(server)
        _say(f"dnspython {dns.version.version}, Python {platform.python_version()}, {os.cpu_count()} cores, Linux {platform.release()}")
        _say(f"{extent.domains:,} domains, {len(records):,} records; seconds: median (fastest-slowest)")
        _say(f"{'':16}{'state: verified':>22}{'loop of dns.resolver':>22}{'times':>10}{'goal':>10}")
        _say(measure(records, port, extent.rounds, extent.rounds).line("no delay"))
        command = [sys.executable, __file__, "--relay", str(delayed_port), str(port)]
        with running(command, delayed_port, directory / "relay.log") as is_there:
            if not is_there:
                raise SystemExit((directory / "relay.log").read_text())
            _say(measure(records, delayed_port, extent.rounds, 1).line("20 ms of delay"))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="fewer domains and rounds, some 15 seconds")
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "ZONE_FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--relay", nargs=2, type=int, metavar=("PORT", "SERVER_PORT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(int(options.serve[0]), options.serve[1])
    elif options.relay:
        relay(*options.relay, DELAY)
    else:
        with tempfile.TemporaryDirectory(prefix="fleetpost-benchmark-") as directory:
            run(QUICK if options.quick else Extent(), Path(directory))


if __name__ == "__main__":
    main()
