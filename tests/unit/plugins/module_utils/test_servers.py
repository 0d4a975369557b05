# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What Dovecot's and Exim's own tools are asked, and how their answers, delays and absence are taken."""

from __future__ import annotations

import contextlib
import dataclasses
import ipaddress
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _servers, _tools
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import DEBIAN, Layout

Install = Callable[[str, str], None]
SHA512 = "{SHA512-CRYPT}$6$saltsalt$sfZR6YSW/Dp0uCiyF9fDipa6ORr5LVLOwXNgtzRlXXhkC7xA3w4zy97VIC3vL14AUXGJp3yBjZVztkdiBzJnX1"
BCRYPT = "{BLF-CRYPT}$2y$05$bvIG6Nmid91Mu9RcmmWZfOvo5irzL0Z7pFuFoeQRXchDGecdxcvdW"


@pytest.fixture
def bin_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory in which tools are found, empty at first."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for module in (_servers, _tools):
        monkeypatch.setattr(module, "TOOL_PATH", str(directory))
        monkeypatch.setattr(module, "TOOL_ENVIRONMENT", {"PATH": str(directory), "LC_ALL": "C"})
    return directory


@pytest.fixture
def install(bin_directory: Path) -> Install:
    """Put a tool there: a shell script that keeps its arguments and its input beside itself."""

    def put(name: str, script: str) -> None:
        tool = bin_directory / name
        tool.write_text(f'#!/bin/sh\nPATH=/usr/bin:/bin\nprintf "%s\\n" "$*" >> {tool}.arguments\ncat >> {tool}.input\n{script}\n')
        tool.chmod(0o755)

    return put


@pytest.fixture
def exim(tmp_path: Path) -> Layout:
    """A layout whose Exim is a shell of that name."""
    binary = tmp_path / "exim4"
    shutil.copy(os.path.realpath("/bin/sh"), binary)
    return dataclasses.replace(DEBIAN, exim_binary=str(binary))


@contextlib.contextmanager
def running(
    layout: Layout, script: str, *words: str, keep: tuple[int, ...] = (), connection: socket.socket | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    command = [layout.exim_binary, "-c", f"echo; {script}", *words]
    process = subprocess.Popen(command, stdin=connection, stdout=subprocess.PIPE, pass_fds=keep)
    assert process.stdout is not None
    process.stdout.read(1)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_version_is_the_number_alone(install: Install) -> None:
    install("dovecot", "echo '2.3.19.1 (9b53102964)'")
    assert _servers.dovecot_version() == "2.3.19.1"
    install("dovecot", "echo '2.4.1-4 (7d8c0e5759)'")
    assert _servers.dovecot_version() == "2.4.1"


def test_without_dovecot_there_is_no_version_and_no_session(bin_directory: Path) -> None:
    assert _servers.dovecot_version() is None
    _servers.end_sessions(["*@a.test"])


def test_a_dovecot_that_tells_no_version_is_an_error(install: Install) -> None:
    install("dovecot", "exit 1")
    with pytest.raises(MailError, match="version"):
        _servers.dovecot_version()


def test_a_password_is_hashed_without_ever_being_an_argument(install: Install, bin_directory: Path) -> None:
    install("doveadm", "echo '{BLF-CRYPT}$2y$10$abc'")
    assert _servers.hash_password("geheim: ü{}", "BLF-CRYPT") == "{BLF-CRYPT}$2y$10$abc"
    assert (bin_directory / "doveadm.arguments").read_text() == "pw -s BLF-CRYPT -r 10\n"
    assert (bin_directory / "doveadm.input").read_text() == "geheim: ü{}\n" * 2


def test_a_hash_that_comes_with_a_complaint_is_not_taken(install: Install) -> None:
    install("doveadm", "echo \"Passwords don't match!\" >&2; echo '{BLF-CRYPT}$2y$10$hash-of-nothing'")
    with pytest.raises(MailError, match="could not hash") as caught:
        _servers.hash_password("geheim", "BLF-CRYPT")
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("password", ["", "two\nlines", "two\rlines", "nul\0", "\ud800"])
def test_a_password_that_doveadm_would_not_read_as_it_is_is_refused(install: Install, bin_directory: Path, password: str) -> None:
    install("doveadm", "echo '{BLF-CRYPT}$2y$10$abc'")
    with pytest.raises(MailError):
        _servers.hash_password(password, "BLF-CRYPT")
    assert not _servers.password_matches(password, BCRYPT)
    assert not (bin_directory / "doveadm.input").exists()


def test_a_password_longer_than_bcrypt_reads_is_refused_for_it_alone(install: Install) -> None:
    install("doveadm", "echo '{ARGON2ID}$argon2id$abc'")
    with pytest.raises(MailError, match="first 72 bytes"):
        _servers.hash_password("ü" * 37, "BLF-CRYPT")
    assert _servers.hash_password("ü" * 37, "ARGON2ID") == "{ARGON2ID}$argon2id$abc"


def test_hashing_where_dovecot_is_missing_says_what_to_do(bin_directory: Path) -> None:
    with pytest.raises(MailError, match=r"cannot run doveadm: No such file.*roles"):
        _servers.hash_password("geheim", "BLF-CRYPT")


@pytest.mark.parametrize("hashed", [SHA512, BCRYPT])
def test_crypts_own_hashes_are_compared_without_any_process(bin_directory: Path, hashed: str) -> None:
    assert _servers.password_matches("geheim", hashed)
    assert not _servers.password_matches("Geheim", hashed)
    assert not _servers.password_matches("geheim", f"!{hashed}")


def test_other_hashes_are_compared_by_doveadm(install: Install, bin_directory: Path) -> None:
    install("doveadm", "exit 0")
    assert _servers.password_matches("geheim", "{ARGON2ID}$argon2id$abc")
    assert (bin_directory / "doveadm.input").read_text() == "geheim\n"
    install("doveadm", "exit 75")
    assert not _servers.password_matches("geheim", "{ARGON2ID}$argon2id$abc")


@pytest.mark.parametrize("broken", ["", "plain", "{BLF-CRYPT}", "{BLF-CRYPT}$2y$10$short", "{SHA512-CRYPT}*0", "{X}a b"])
def test_a_broken_hash_matches_nothing(install: Install, broken: str) -> None:
    install("doveadm", "exit 0")
    assert not _servers.password_matches("geheim", broken)


def test_each_mask_is_kicked(install: Install, bin_directory: Path) -> None:
    install("doveadm", "exit 0")
    _servers.end_sessions(["*@a.test", "info@B.test"])
    assert (bin_directory / "doveadm.arguments").read_text() == "kick *@a.test\nkick info@b.test\n"


def test_of_many_masks_only_those_with_a_session_are_kicked(install: Install, bin_directory: Path) -> None:
    install("doveadm", 'test "$1" = who && printf "username  proto pid ip\\ninfo@d77.test imap 1 ::1\\n"; exit 0')
    _servers.end_sessions([f"*@d{number}.test" for number in range(1000)])
    assert (bin_directory / "doveadm.arguments").read_text() == "who -1\nkick *@d77.test\n"


def test_that_nobody_was_logged_in_is_no_failure(install: Install) -> None:
    install("doveadm", "echo no users kicked; exit 68")
    _servers.end_sessions(["*@a.test"])


def test_a_dovecot_that_does_not_run_is_asked_once(install: Install, bin_directory: Path) -> None:
    install("doveadm", "echo 'Fatal: net_connect_unix(/run/dovecot/anvil) failed: Connection refused' >&2; exit 75")
    _servers.end_sessions(["*@a.test", "*@b.test"])
    assert (bin_directory / "doveadm.arguments").read_text() == "kick *@a.test\n"


def test_sessions_that_dovecot_does_not_end_are_an_error(install: Install) -> None:
    install("doveadm", "echo 'Fatal: out of order\x1b[2J' >&2; exit 75")
    with pytest.raises(MailError, match=r"out of order\?\[2J"):
        _servers.end_sessions(["*@a.test"])


QUEUE = """\
 1m   271 1xVMsm-00050I-30 <s@out.test>
          u@xa.test

 2h  2.7K 1xVMsm-00050G-28 <> *** frozen ***
          other@b.test
          U@A.Test
          v@a.test

25d   285 1xVMsk-000000003s1-0W7O <s@a.test> (root)
          u@a.test.example
          a.test@c.test

 0m   285 1xVMsk-000000003s2-0W7O <a@b.test>
          info@d.test
"""


@pytest.fixture
def queue(install: Install, bin_directory: Path, tmp_path: Path) -> Layout:
    """An Exim with a queue; a delivery empties nothing."""
    (bin_directory / "queue").write_text(QUEUE)
    install("exim4", f'test "$1" = -bpru && cat {bin_directory}/queue; exit 0')
    spool = tmp_path / "spool"
    (spool / "input").mkdir(parents=True)
    return dataclasses.replace(DEBIAN, exim_binary=f"{bin_directory}/exim4", exim_spool=str(spool))


def deliveries(layout: Layout) -> list[str]:
    return [line for line in Path(f"{layout.exim_binary}.arguments").read_text().splitlines() if line != "-bpru"]


def test_exactly_the_queued_messages_of_the_domains_are_tried_once(queue: Layout) -> None:
    assert _servers.flush_queue(queue, ["a.test", "d.test", "nothing.test"]) == 2
    assert deliveries(queue) == ["-M 1xVMsm-00050G-28 1xVMsk-000000003s2-0W7O"]


def test_without_queued_messages_of_the_domains_nothing_is_delivered(queue: Layout) -> None:
    assert _servers.flush_queue(queue, ["out.test", "test"]) == 0
    assert deliveries(queue) == []


@pytest.mark.parametrize("directory", ["input", "input/m"])
def test_a_message_that_is_being_delivered_is_waited_for_and_then_tried(queue: Layout, directory: str) -> None:
    data = Path(queue.exim_spool, directory, "1xVMsm-00050G-28-D")
    data.parent.mkdir(exist_ok=True)
    data.write_bytes(b"1xVMsm-00050G-28-D\nbody")
    lock = f"import fcntl; file = open({str(data)!r}, 'r+'); fcntl.lockf(file, fcntl.LOCK_EX, 19); print(); input()"
    with subprocess.Popen([sys.executable, "-c", lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.read(1)
        with pytest.raises(MailError, match=r"1 queued messages .* after 0\.5 s"):
            _servers.flush_queue(queue, ["a.test"], limit=0.5)
        assert deliveries(queue) == []
    assert _servers.flush_queue(queue, ["a.test"]) == 1
    assert deliveries(queue) == ["-M 1xVMsm-00050G-28"]


def test_a_delivery_that_takes_too_long_is_told_and_goes_on(install: Install, queue: Layout, bin_directory: Path) -> None:
    install(
        "exim4", f'test "$1" = -bpru && exec cat {bin_directory}/queue; sleep 1; echo out; echo err >&2; touch {bin_directory}/delivered'
    )
    with pytest.raises(MailError, match=r"not all tried after 0\.[0-9] s"):
        _servers.flush_queue(queue, ["a.test"], limit=0.5)
    deadline = time.monotonic() + 20
    while not (bin_directory / "delivered").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (bin_directory / "delivered").exists()


def test_a_refusal_of_exim_is_an_error(install: Install, queue: Layout, bin_directory: Path) -> None:
    install("exim4", "echo 'exim: permission denied' >&2; exit 1")
    with pytest.raises(MailError, match="permission denied"):
        _servers.flush_queue(queue, ["a.test"])
    install("exim4", f'test "$1" = -bpru && exec cat {bin_directory}/queue; exit 1')
    with pytest.raises(MailError, match="exit code 1"):
        _servers.flush_queue(queue, ["a.test"])


def test_a_host_without_exim_processes_needs_no_waiting(exim: Layout) -> None:
    _servers.wait_for_exim(exim, time.time() + 100, 0.0)


def test_an_older_delivery_is_waited_for(exim: Layout) -> None:
    with running(exim, "sleep 0.7; exit 0", "-Mc"):
        begin = time.monotonic()
        _servers.wait_for_exim(exim, time.time(), 30.0)
        assert time.monotonic() - begin < 20


def test_a_younger_process_is_not_waited_for(exim: Layout) -> None:
    before = time.time() - 1.0
    with running(exim, "while :; do sleep 0.1; done", "-Mc"):
        _servers.wait_for_exim(exim, before, 0.0)


def test_a_delivery_is_never_signalled_and_is_named_in_the_end(exim: Layout) -> None:
    with running(exim, "trap 'echo signalled' TERM ALRM; while :; do sleep 0.1; done", "-Mc") as delivery:
        with pytest.raises(MailError, match=rf"after 1 s: {delivery.pid} \(.*exim4 .*Run again"):
            _servers.wait_for_exim(exim, time.time() + 1, 1.0)
        delivery.kill()
        assert delivery.stdout is not None
        assert delivery.stdout.read() == b""


@pytest.fixture
def connected() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client's connection to a port that listens, and the server's side of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as client:
        server, _address = listener.accept()
        with server:
            yield client, server


def test_an_older_connection_sees_its_end_of_input_after_half_of_the_time(
    exim: Layout, connected: tuple[socket.socket, socket.socket]
) -> None:
    client, server = connected
    with running(exim, "cat; echo 421 >&0", "-bd", connection=server) as reception:
        client.sendall(b"MAIL")
        begin = time.monotonic()
        _servers.wait_for_exim(exim, time.time() + 1, 4.0)
        assert 1.9 < time.monotonic() - begin < 4.0
        assert reception.stdout is not None
        assert reception.stdout.read() == b"MAIL"
        assert client.recv(10) == b"421\n"


def test_a_connection_that_does_not_end_is_named(exim: Layout, connected: tuple[socket.socket, socket.socket]) -> None:
    _client, server = connected
    script = "trap 'echo signalled' TERM ALRM INT HUP; while :; do sleep 0.1; done"
    with running(exim, script, "-bd", connection=server) as reception:
        with pytest.raises(MailError, match=rf"after 1 s: {reception.pid} "):
            _servers.wait_for_exim(exim, time.time() + 1, 1.0)
        reception.kill()
        assert reception.stdout is not None
        assert reception.stdout.read() == b""


def test_the_daemon_that_listens_is_left_alone(exim: Layout) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        descriptor = listener.fileno()
        with running(exim, "while :; do sleep 0.1; done", "-bd", keep=(descriptor,)) as daemon:
            _servers.wait_for_exim(exim, time.time() + 1, 0.4)
            assert daemon.poll() is None


def test_the_hosts_addresses_are_those_one_can_bind_to() -> None:
    addresses = _servers.host_addresses()
    assert "127.0.0.1" in addresses
    for address in addresses:
        parsed = ipaddress.ip_address(address)
        assert str(parsed) == address
        if not parsed.is_link_local:
            with socket.socket(socket.AF_INET if parsed.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM) as probe:
                probe.bind((address, 0))


def test_looking_at_addresses_and_processes_starts_none(exim: Layout) -> None:
    started: list[str] = []
    watching = True

    def watch(event: str, _arguments: object) -> None:
        if watching and event in ("subprocess.Popen", "os.system", "os.fork", "os.posix_spawn"):
            started.append(event)

    sys.addaudithook(watch)
    _servers.host_addresses()
    _servers.wait_for_exim(exim, time.time(), 0.0)
    watching = False
    assert started == []
