# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of dovecot_names.py that runs on the host itself: gives Dovecot certificates of many names and takes the times.

Takes one case as JSON, {"names", "grouped", "split", "limit", "rounds"}, and writes what it measured as JSON.
"""

from __future__ import annotations

import json
import math
import pwd
import resource
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

ETC = Path("/etc/dovecot")
CERTIFICATES = ETC / "certs"
PREFIX = "bench-"
PORT = 993
# Dovecot gives up on a login process without configuration after 30 seconds: what does not answer for that long does not come up.
PATIENCE = 60.0
# Six seconds after a reload Dovecot ends the sessions that it does not mean to keep.
SESSION_PATIENCE = 12.0
USER, PASSWORD = "info@names.test", "correct horse"
LOGINS = 7


class BenchError(Exception):
    """What was to be measured does not work."""


class Case(NamedTuple):
    """One configuration. split: a file for each block; grouped: names on a certificate; limit: vsz_limit of the config service."""

    names: int
    grouped: int
    split: bool
    limit: str
    rounds: int


class Pair(NamedTuple):
    """A key with its certificate, as one PEM file and as the server shows it."""

    pem: str
    der: bytes


def name_of(number: int) -> str:
    return f"mail.d{number:05d}.test"


def new_pair(common_name: str) -> Pair:
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]
    done = _run(*command, "-subj", f"/CN={common_name}", "-keyout", "-", "-out", "-")
    certificate = done.stdout[done.stdout.index("-----BEGIN CERTIFICATE") :]
    # The certificate once more: a file from a CA holds its intermediate too.
    return Pair(done.stdout + certificate, ssl.PEM_cert_to_DER_cert(certificate))


def lay_out(case: Case, pair: Pair, old_language: bool) -> None:
    """Writes the certificates and the blocks, in place of those of an earlier case."""
    for path in CERTIFICATES.glob(f"{PREFIX}*"):
        path.unlink()
    blocks = {}
    for first in range(0, case.names, case.grouped):
        names = [name_of(number) for number in range(first, min(first + case.grouped, case.names))]
        pem = CERTIFICATES / f"{PREFIX}{names[0]}.pem"
        pem.touch(mode=0o600)
        pem.write_text(pair.pem)
        blocks[names[0]] = _block(names, pem, old_language)
    if not case.split:
        blocks = {"names": "".join(blocks.values())}
    for stem, text in blocks.items():
        (CERTIFICATES / f"{PREFIX}{stem}.conf").write_text(text)
    setting = ETC / "local" / f"{PREFIX}limit.conf"
    setting.parent.mkdir(exist_ok=True)
    setting.write_text(f"service config {{\n  vsz_limit = {case.limit}\n}}\n" if case.limit else "")


def _block(names: list[str], pem: Path, old_language: bool) -> str:
    if old_language:
        return f'local_name "{" ".join(names)}" {{\n  ssl_cert = <{pem}\n  ssl_key = <{pem}\n}}\n'
    settings = f"  ssl_server_cert_file = {pem}\n  ssl_server_key_file = {pem}\n"
    return "".join(f"local_name {name} {{\n{settings}}}\n" for name in names)


class Client:
    """A TLS connection to port 993; `seconds` from the first packet to Dovecot's greeting."""

    def __init__(self, name: str | None, patience: float) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        began = time.perf_counter()
        plain = socket.create_connection(("127.0.0.1", PORT), timeout=patience)
        try:
            self._socket = context.wrap_socket(plain, server_hostname=name)
        except OSError:
            plain.close()
            raise
        try:
            self._replies = self._socket.makefile("rb")
            self._replies.readline()
        except OSError:
            self._socket.close()
            raise
        self.seconds = time.perf_counter() - began
        self.certificate = self._socket.getpeercert(True)

    def command(self, words: str) -> bool:
        """Whether an IMAP command ended with OK."""
        try:
            self._socket.sendall(f"a {words}\r\n".encode())
            for line in self._replies:
                if line.startswith(b"a "):
                    return line.startswith(b"a OK")
        except OSError:
            pass
        return False

    def log_in(self) -> None:
        if not self.command(f'LOGIN "{USER}" "{PASSWORD}"'):
            raise BenchError("a login failed")

    def close(self) -> None:
        self._replies.close()
        self._socket.close()


def until_tls(name: str) -> bool:
    """Waits until Dovecot greets over TLS; False when it does not."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with suppress(OSError):
            Client(name, max(0.1, deadline - time.monotonic())).close()
            return True
        time.sleep(0.02)
    return False


def login_times(name: str | None) -> Iterator[tuple[float, float]]:
    """Milliseconds of the handshake with the greeting, and of the whole until the login has succeeded."""
    for _attempt in range(LOGINS):
        began = time.perf_counter()
        client = Client(name, PATIENCE)
        client.log_in()
        yield client.seconds * 1000, (time.perf_counter() - began) * 1000
        client.close()


def reload(name: str, other: Pair) -> dict[str, float]:
    """Puts another certificate in place of one and reloads; what clients see of that."""
    open_session = Client(name, PATIENCE)
    open_session.log_in()
    with _peak_of_config() as peak:
        (CERTIFICATES / f"{PREFIX}{name}.pem").write_text(other.pem)
        began = time.perf_counter()
        _run("doveadm", "reload")
        returned = time.perf_counter() - began
        refused, slowest, shown = 0, 0.0, math.inf
        while time.perf_counter() - began < PATIENCE:
            try:
                client = Client(name, PATIENCE)
            except OSError:
                refused += 1
            else:
                client.close()
                slowest = max(slowest, client.seconds)
                if client.certificate == other.der:
                    shown = time.perf_counter() - began
                    break
            time.sleep(0.02)
    time.sleep(max(0.0, SESSION_PATIENCE - (time.perf_counter() - began)))
    kept = open_session.command("NOOP")
    open_session.close()
    return {"reload": returned, "shown": shown, "slowest": slowest, "refused": refused, "kept": kept, "reload_peak": peak[0]}


@contextmanager
def _peak_of_config() -> Iterator[list[float]]:
    """The most MiB that all processes which read the configuration hold at a time."""
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.1):
            peak[0] = max(peak[0], sum(_memory(("config", "doveconf", "managesieve"), "VmRSS")))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        ended.set()
        watcher.join()


def _memory(programs: tuple[str, ...], field: str) -> list[float]:
    """MiB of each process of these programs, by a field of /proc/PID/status."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
        except OSError:
            continue  # it has ended
        if status["Name"].strip() in programs and field in status:
            found.append(int(status[field].split()[0]) / 1024)
    return found


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return done


def prepare() -> None:
    """One mailbox; its password is not hashed, because a hash would take longer than what is measured."""
    vmail = pwd.getpwnam("vmail")
    home = Path("/var/vmail/names.test/info")
    home.mkdir(parents=True, exist_ok=True)
    shutil.chown(home, vmail.pw_uid, vmail.pw_gid)
    users = ETC / "users"
    kept = [line for line in users.read_text().splitlines() if not line.startswith(f"{USER}:")]
    users.write_text("\n".join([*kept, f"{USER}:{{PLAIN}}{PASSWORD}:{vmail.pw_uid}:{vmail.pw_gid}::{home}::"]) + "\n")


def measure(case: Case) -> dict[str, Any]:
    """What one configuration costs, as lists with a value for each round, as far as it went; `failure` says what ended it."""
    version = _run("dovecot", "--version").stdout.split()[0]
    usual, other = new_pair("usual"), new_pair("other")
    prepare()
    lay_out(case, usual, version.startswith("2.3"))
    taken: dict[str, list[float]] = defaultdict(list)
    failure = ""
    try:
        for number in range(case.rounds):
            _round(case, number, usual, other, taken)
    except BenchError as error:
        failure = str(error)
    return {"version": version, "failure": failure, **taken}


def _round(case: Case, number: int, usual: Pair, other: Pair, taken: dict[str, list[float]]) -> None:
    began = time.perf_counter()
    _run("doveconf", "-x")
    taken["doveconf"].append(time.perf_counter() - began)
    began = time.perf_counter()
    _run("systemctl", "restart", "dovecot")
    if not until_tls("no.name.of.ours.test"):
        raise BenchError(f"no TLS on {PORT} within {time.perf_counter() - began:.0f} s of a restart")
    taken["restart"].append(time.perf_counter() - began)
    _logins(case, number, taken)
    for key, program, field in (
        ("config", "config", "VmRSS"),
        ("config_peak", "config", "VmPeak"),
        ("imap_login", "imap-login", "VmRSS"),
        ("master", "dovecot", "VmRSS"),
    ):
        taken[key].append(max(_memory((program,), field), default=0.0))
    if case.names:
        # The certificate of the last block changes, and back.
        last = name_of((case.names - 1) // case.grouped * case.grouped)
        for key, value in reload(last, usual if number % 2 else other).items():
            taken[key].append(value)


def _logins(case: Case, number: int, taken: dict[str, list[float]]) -> None:
    names: dict[str, str | None] = {"none": None}
    if case.names:
        unused = Client(name_of((case.names // 2 + number) % case.names), PATIENCE)
        taken["unused"].append(unused.seconds * 1000)
        unused.close()
        names.update(first=name_of(0), last=name_of(case.names - 1))
    for key, name in names.items():
        for handshake, whole in login_times(name):
            taken[f"tls_{key}"].append(handshake)
            taken[f"login_{key}"].append(whole)


if __name__ == "__main__":
    # As in a session of ssh, whatever the container started with.
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    json.dump(measure(Case(**json.loads(sys.argv[1]))), sys.stdout)
