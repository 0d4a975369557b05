# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Exim processes run on this host, since when, and what each of them does; read from /proc."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import socket
import sys
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import copy_descriptor

_TICKS = os.sysconf("SC_CLK_TCK")
# Exim's options that only look or test: -bp, -bP, -bt, -bh, -be, -bV and their kind. They carry no mail.
_LOOKS = re.compile(r"-b(e|em|f|F|h|hc|i|I.*|p.*|P|rt|rw|s?v|vs|t|V)")
_DAEMON = re.compile(r"-bd.*|-q[a-zA-Z/]*([0-9]+[smhdw])+")
_QUEUE_RUN = re.compile(r"-q[a-zA-Z]*|-[RS][a-z]*")
_ESTABLISHED, _CONNECTING, _LISTEN = "01", "02", "0A"
_MAIL_PORTS = (25, 465, 587)
_DELETED = " (deleted)"


@dataclass(frozen=True)
class Process:
    """One running Exim process."""

    pid: int
    parent: int
    began: float
    """When it was forked, in seconds since the epoch, never later than it really was."""
    start: float
    """The same in seconds since the boot, exactly as the kernel tells it."""
    words: tuple[str, ...]
    """Its command line; a process keeps the one of its parent until it starts another program."""
    listens: bool = False
    """Whether it holds a listening socket; only looked up where the command line is a daemon's."""
    sends: bool = False
    """Whether it holds a connection to another host's mail port; only looked up where it is not a daemon's."""


@dataclass(frozen=True)
class _Socket:
    """One TCP socket of this host, as /proc/net/tcp shows it."""

    state: str
    port: int
    remote_address: str
    remote_port: int


def exim_processes(binary: str, own_addresses: Collection[str]) -> list[Process]:
    """The processes of this pid namespace that run the program `binary`, zombies left out.

    own_addresses: of this host, to tell mail sent to others.
    """
    program = os.path.realpath(binary)
    # starttime counts from the boot, on the clock CLOCK_BOOTTIME; btime of /proc/stat would be whole seconds.
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit() and _runs(entry, program)]
    sockets = _tcp_sockets() if pids else {}
    found = []
    for pid in pids:
        # A process may end between any two of these reads.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            process = _process(pid, boot)
            if process is not None:
                found.append(_with_sockets(process, sockets, own_addresses))
    return found


def daemons(processes: Iterable[Process]) -> frozenset[int]:
    """The pids of the daemons: the one that listens for SMTP, and one that only starts queue runs.

    A child that still serves a connection after its daemon has ended has the daemon's command line, and no socket
    that listens.
    """
    processes = list(processes)
    pids = {process.pid for process in processes}
    return frozenset(
        process.pid
        for process in processes
        if _is_daemon_command(process.words) and process.parent not in pids and (process.listens or not _serves_smtp(process.words))
    )


def carriers(processes: Iterable[Process], started_before: float) -> list[Process]:
    """Those that began before that moment and may still deliver or accept mail here by what a table said then.

    Not the daemons, who only looks or tests, a queue run itself (each message gets a process of its own, which counts),
    and deliveries that have come to sending to other hosts, which may take hours: Exim routes all addresses of a message
    first, then delivers those of this host, then the others.
    """
    processes = list(processes)
    harmless = daemons(processes) | _past_local_deliveries(processes)
    words = {process.pid: process.words for process in processes}
    return [
        process
        for process in processes
        if process.began < started_before
        and process.pid not in harmless
        and not any(map(_LOOKS.fullmatch, process.words))
        and not (any(map(_QUEUE_RUN.fullmatch, process.words)) and words.get(process.parent) != process.words)
    ]


def _past_local_deliveries(processes: Iterable[Process]) -> frozenset[int]:
    """Deliveries with a connection to another host's mail port, and the process that waits for such a one."""
    by_pid = {process.pid: process for process in processes}
    found = set()
    for process in by_pid.values():
        # -MC takes over a connection for a message that it has yet to route.
        if not process.sends or any(word.startswith("-MC") for word in process.words):
            continue
        sender: Process | None = process
        while sender is not None and sender.words == process.words and sender.pid not in found:
            found.add(sender.pid)
            sender = by_pid.get(sender.parent)
    return frozenset(found)


def is_reception(process: Process) -> bool:
    """Whether a process that is no daemon serves an SMTP connection: forked by one, and no other program since."""
    return _serves_smtp(process.words)


def end_reception(process: Process) -> None:
    """Let a process that serves an SMTP connection see its end of input, as if the client had gone.

    Exim then answers 421 and drops what it has of an unfinished message; one that it has read whole it still accepts and
    acknowledges. A signal would not do: SIGTERM during DATA over TLS makes Exim 4.96 and 4.98 remove the spool file of
    the message it has just acknowledged (receive_bomb_out, with a flag that outlives the message).

    Does nothing where this is not to be had (Linux before 5.6, a container without the capability SYS_PTRACE).
    """
    sockets = _tcp_sockets()
    ports = {found.port for found in sockets.values() if found.state == _LISTEN}
    with contextlib.suppress(OSError):
        for inode, number in _open_sockets(process.pid).items():
            connection = sockets.get(inode)
            if connection is not None and connection.state == _ESTABLISHED and connection.port in ports:
                descriptor = copy_descriptor(process.pid, number, lambda: _is_still(process))
                with socket.socket(fileno=descriptor) as client:
                    client.shutdown(socket.SHUT_RD)


def _is_still(process: Process) -> bool:
    now = _process(process.pid, 0.0)
    return now is not None and now.start == process.start


def _is_daemon_command(words: tuple[str, ...]) -> bool:
    return any(map(_DAEMON.fullmatch, words))


def _serves_smtp(words: tuple[str, ...]) -> bool:
    return any(word.startswith("-bd") for word in words)


def _runs(pid: str, program: str) -> bool:
    try:
        return os.readlink(f"/proc/{pid}/exe").removesuffix(_DELETED) == program and _is_of_our_namespace(pid)
    except OSError:
        # A kernel thread, gone by now, or another user's where we are not root.
        return False


def _is_of_our_namespace(pid: str) -> bool:
    """Not a container's process: the host sees those in its /proc, and they run their own Exim on their own files."""
    return os.stat(f"/proc/{pid}/ns/pid").st_ino == os.stat("/proc/self/ns/pid").st_ino


def _process(pid: int, boot: float) -> Process | None:
    with open(f"/proc/{pid}/stat", "rb") as file:
        # proc(5): the name in parentheses may hold anything, so count from the last parenthesis.
        fields = file.read().rpartition(b")")[2].split()
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = tuple(file.read().decode(errors="surrogateescape").rstrip("\0").split("\0"))
    state, parent, start = fields[0], int(fields[1]), int(fields[19]) / _TICKS
    if state in (b"Z", b"X"):
        return None
    return Process(pid, parent, boot + start, start, words)


def _with_sockets(process: Process, sockets: dict[str, _Socket], own_addresses: Collection[str]) -> Process:
    held = [sockets[inode] for inode in _open_sockets(process.pid) if inode in sockets]
    if _is_daemon_command(process.words):
        return replace(process, listens=any(found.state == _LISTEN for found in held))
    return replace(process, sends=any(_leads_to_another_host(found, own_addresses) for found in held))


def _leads_to_another_host(found: _Socket, own_addresses: Collection[str]) -> bool:
    if found.state not in (_CONNECTING, _ESTABLISHED) or found.remote_port not in _MAIL_PORTS:
        return False
    # In the kernel's form: words of 32 bits, each in the byte order of the machine.
    words = [
        int(found.remote_address[start : start + 8], 16).to_bytes(4, sys.byteorder) for start in range(0, len(found.remote_address), 8)
    ]
    address = ipaddress.ip_address(b"".join(words))
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address) not in own_addresses and not (mapped or address).is_loopback


def _open_sockets(pid: int) -> dict[str, int]:
    """The inodes of the sockets that a process holds, each with its descriptor there."""
    sockets = {}
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            if target.startswith("socket:["):
                sockets[target[len("socket:[") : -1]] = int(descriptor)
    return sockets


def _tcp_sockets() -> dict[str, _Socket]:
    """The TCP sockets of our network namespace by their inodes."""
    sockets = {}
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/net/{table}", encoding="ascii") as file:
            next(file)
            for _slot, local, remote, state, *_counters, inode in (line.split()[:10] for line in file):
                address, _colon, port = remote.partition(":")
                sockets[inode] = _Socket(state, int(local.rpartition(":")[2], 16), address, int(port, 16))
    return sockets
