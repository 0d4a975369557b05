# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Exim processes run on this host, since when, and what each of them does; read from /proc."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import dataclass

from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import copy_descriptor

_TICKS = os.sysconf("SC_CLK_TCK")
# Exim's options that only look or test: -bp, -bP, -bt, -bh, -be, -bV and their kind. They carry no mail.
_LOOKS = re.compile(r"-b(e|em|f|F|h|hc|i|I.*|p.*|P|rt|rw|s?v|vs|t|V)")
_DAEMON = re.compile(r"-bd.*|-q[a-zA-Z/]*([0-9]+[smhdw])+")
_LISTEN, _ESTABLISHED = "0A", "01"
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
    listens: bool
    """Whether it holds a listening socket; only looked up where the command line is a daemon's."""


def exim_processes(binary: str) -> list[Process]:
    """The processes of this pid namespace that run the program `binary`, zombies left out."""
    program = os.path.realpath(binary)
    # starttime counts from the boot, on the clock CLOCK_BOOTTIME; btime of /proc/stat would be whole seconds.
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit() and _runs(entry, program):
            # A process may end between any two of these reads.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                process = _process(int(entry), boot)
                if process is not None:
                    found.append(process)
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
    """Those that began before that moment and may hold mail, or what a table said then: all but daemons and lookers."""
    processes = list(processes)
    kept = daemons(processes)
    return [
        process
        for process in processes
        if process.began < started_before and process.pid not in kept and not any(map(_LOOKS.fullmatch, process.words))
    ]


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
    with contextlib.suppress(OSError):
        for number in _client_sockets(process.pid):
            descriptor = copy_descriptor(process.pid, number, lambda: _is_still(process))
            with socket.socket(fileno=descriptor) as connection:
                connection.shutdown(socket.SHUT_RD)


def _is_still(process: Process) -> bool:
    now = _process(process.pid, process.began - process.start)
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
    return Process(pid, parent, boot + start, start, words, _serves_smtp(words) and _listens(pid))


def _listens(pid: int) -> bool:
    listening = {inode for state, _port, inode in _tcp_sockets(pid) if state == _LISTEN}
    return not listening.isdisjoint(_open_sockets(pid))


def _client_sockets(pid: int) -> list[int]:
    """The descriptors of a process that are connections to a port on which this host listens."""
    sockets = _tcp_sockets(pid)
    ports = {port for state, port, _inode in sockets if state == _LISTEN}
    clients = {inode for state, port, inode in sockets if state == _ESTABLISHED and port in ports}
    return [descriptor for inode, descriptor in _open_sockets(pid).items() if inode in clients]


def _open_sockets(pid: int) -> dict[str, int]:
    sockets = {}
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")
            if target.startswith("socket:["):
                sockets[target[len("socket:[") : -1]] = int(descriptor)
    return sockets


def _tcp_sockets(pid: int) -> list[tuple[str, str, str]]:
    """State, local port and inode of each TCP socket in the network namespace of a process."""
    sockets = []
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/net/{table}", encoding="ascii") as file:
            lines = [line.split() for line in file]
            sockets += [(fields[3], fields[1].rpartition(":")[2], fields[9]) for fields in lines[1:]]
    return sockets
