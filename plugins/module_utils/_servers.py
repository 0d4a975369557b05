# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running servers of this host: what Dovecot's and Exim's own tools are asked to do, and what /proc tells."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import fnmatch
import functools
import hmac
import ipaddress
import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterator, Sequence

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_processes import (
    Process,
    carriers,
    end_reception,
    exim_processes,
    is_reception,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._tools import TOOL_ENVIRONMENT, TOOL_PATH, last_line, run_tool

# Dovecot's own default of BLF-CRYPT is 5 rounds, 4 ms of a guesser's time.
_ROUNDS = {"BLF-CRYPT": ("-r", "10")}
_BCRYPT_BYTES = 72
_CRYPT_SCHEMES = ("BLF-CRYPT", "SHA512-CRYPT", "SHA256-CRYPT")
_CRYPT_DATA_BYTES = 1 << 18
_HASH = re.compile(r"\{(?P<scheme>[A-Z0-9.-]+)\}(?P<hash>[!-~]+)")
_FEW_MASKS = 8
_NOBODY_KICKED = 68  # EX_NOHOST, Dovecot 2.3; 2.4 tells success
_MESSAGES_AT_ONCE = 500
_QUEUE_PAUSE = 0.3
# " 1m   271 1xVMsm-00050I-30 <sender@example.com>", below it the recipients.
_QUEUE_HEAD = re.compile(r"\s*[0-9]+[smhdw]\s+\S+\s+(?P<id>[0-9A-Za-z]{6}-[0-9A-Za-z]{6,11}-[0-9A-Za-z]{2,4})\s+<")


def dovecot_version() -> str | None:
    """The version of the installed Dovecot ("2.3.19.1"), None if none is installed. Raises MailError."""
    if shutil.which("dovecot", path=TOOL_PATH) is None:
        return None
    answer = run_tool(["dovecot", "--version"])
    version = re.match(r"[0-9]+(\.[0-9]+)+", answer.stdout)
    if answer.returncode != 0 or version is None:
        raise MailError("Dovecot does not tell its version", remedy="See what `dovecot --version` prints")
    return version[0]


def hash_password(password: str, scheme: str) -> str:
    """The hash of a password with its scheme in front, "{BLF-CRYPT}$2y$...", made by Dovecot's own tool.

    BLF-CRYPT with 10 rounds, every other scheme with Dovecot's default cost. Raises MailError for a password that the
    scheme cannot take whole, a scheme that Dovecot does not know, and where Dovecot is not installed.
    """
    if not _is_askable(password):
        raise MailError("a password must be text, not empty, and without line breaks")
    if scheme == "BLF-CRYPT" and len(password.encode()) > _BCRYPT_BYTES:
        raise MailError(
            f"BLF-CRYPT uses only the first {_BCRYPT_BYTES} bytes of a password, and this one is longer",
            remedy="Use a shorter one, or the scheme ARGON2ID",
        )
    # Twice: asked once only, doveadm goes on with the empty password and tells success.
    answer = run_tool(["doveadm", "pw", "-s", scheme, *_ROUNDS.get(scheme, ())], f"{password}\n{password}\n")
    made = _HASH.fullmatch(answer.stdout.strip())
    if answer.returncode != 0 or answer.stderr.strip() or made is None:
        raise MailError(
            f"doveadm could not hash a password with the scheme {scheme}",
            remedy="`doveadm pw -l` lists the schemes that this Dovecot knows",
        )
    return made[0]


def password_matches(password: str, password_hash: str) -> bool:
    """Whether a hash ("{SCHEME}...") is of this password. A disabled hash ("!{SCHEME}...") matches none.

    crypt(3) answers for its own schemes; for others doveadm does, and the hash, never the password, is an argument of a
    process for that moment. Raises MailError where doveadm is needed and not installed.
    """
    parts = _HASH.fullmatch(password_hash)
    if parts is None or not _is_askable(password):
        return False
    if parts["scheme"] in _CRYPT_SCHEMES:
        made = _crypt(password, parts["hash"])
        if made is not None:
            return hmac.compare_digest(made, parts["hash"].encode())
    return run_tool(["doveadm", "pw", "-t", password_hash], f"{password}\n").returncode == 0


def end_sessions(masks: Sequence[str]) -> None:
    """End the open IMAP, POP3 and ManageSieve sessions of the users that a mask names ("*@example.com").

    A Dovecot that does not run or is not installed has no sessions. Raises MailError when it cannot be asked.
    """
    if shutil.which("doveadm", path=TOOL_PATH) is None:
        return
    wanted = [mask.lower() for mask in masks]
    if len(wanted) > _FEW_MASKS:
        # One look instead of thousands of processes: hardly any of many domains has a session open.
        users = _logged_in()
        wanted = [mask for mask in wanted if any(fnmatch.fnmatchcase(user, mask) for user in users)]
    for mask in wanted:
        answer = run_tool(["doveadm", "kick", mask])
        if _does_not_run(answer):
            return
        if answer.returncode not in (0, _NOBODY_KICKED):
            raise MailError(f"Dovecot did not end the sessions of {mask}: {last_line(answer.stderr)}")


def flush_queue(layout: Layout, domains: Collection[str], limit: float = 120.0) -> int:
    """Try now to deliver every queued message with a recipient in one of the domains, frozen or not; wait until done.

    A message that another Exim process is delivering is waited for, and tried if it is still queued then. What is
    deferred, or arrives meanwhile, stays queued. limit: seconds for all of it. Returns how many of these messages stay
    queued. Raises MailError when the time is over (deliveries that have begun go on) or when Exim refuses.
    """
    deadline = time.monotonic() + limit
    wanted = frozenset(domain.lower() for domain in domains)
    tried: set[str] = set()
    while True:
        queued = _queued_messages(layout, wanted)
        busy = {message for message in queued if _is_being_delivered(layout, message)}
        ready = [message for message in queued if message not in busy and message not in tried]
        if not ready and not busy:
            return len(queued)
        if time.monotonic() >= deadline:
            raise MailError(
                f"{len(ready) + len(busy)} queued messages of these domains were still being delivered after {limit:g} s",
                remedy="Run again when their deliveries have finished (exiwhat shows what they do)",
            )
        for batch in _batches(ready, _MESSAGES_AT_ONCE):
            _deliver(layout, batch, max(0.1, deadline - time.monotonic()))
        tried.update(ready)
        if not ready:
            time.sleep(_QUEUE_PAUSE)


def wait_for_exim(layout: Layout, started_before: float, limit: float) -> None:
    """Wait until no Exim process is left that may deliver or accept mail here by the tables as they were before a moment.

    started_before: that moment, in seconds since the epoch. limit: seconds to wait. From half of it on, SMTP
    connections that are older are ended: Exim answers 421 and the sender keeps its message. Deliveries, and local
    programs handing over mail, are never interrupted. Raises MailError naming those that remain.
    """
    begin = time.monotonic()
    own_addresses = host_addresses()
    pause = 0.02
    while True:
        old = carriers(exim_processes(layout.exim_binary, own_addresses), started_before)
        now = time.monotonic()
        if not old:
            return
        if now >= begin + limit:
            raise _still_running(old, limit)
        if now >= begin + limit / 2:
            for process in filter(is_reception, old):
                end_reception(process)
        time.sleep(pause)
        pause = min(0.2, pause * 1.5)


def host_addresses() -> frozenset[str]:
    """The IPv4 and IPv6 addresses that are this host's own, in canonical text form. Raises MailError."""
    try:
        with open("/proc/net/fib_trie", encoding="ascii") as file:
            addresses = set(_local_addresses(file))
    except OSError as error:
        raise MailError(f"cannot read the host's addresses: {error.strerror}", where="/proc/net/fib_trie") from error
    with contextlib.suppress(FileNotFoundError), open("/proc/net/if_inet6", encoding="ascii") as file:
        addresses.update(str(ipaddress.IPv6Address(int(line.split()[0], 16))) for line in file)
    return frozenset(addresses)


def _local_addresses(fib_trie: Iterator[str]) -> Iterator[str]:
    """The routes "/32 host LOCAL" of the kernel's table: an address, and below it what it is."""
    address = ""
    for line in fib_trie:
        words = line.split()
        if words[:1] == ["|--"]:
            address = words[1]
        elif words[:3] == ["/32", "host", "LOCAL"]:
            yield address


def _is_askable(password: str) -> bool:
    """Whether doveadm reads it as it is: one line of UTF-8, which a lone surrogate (from JSON's \\ud800) is not."""
    try:
        password.encode()
    except UnicodeEncodeError:
        return False
    return bool(password) and not any(char in password for char in "\0\r\n")


def _crypt(password: str, setting: str) -> bytes | None:
    """What crypt(3) makes of a password, None where there is no such library (Python 3.13 has no module for it)."""
    library = _libcrypt()
    if library is None:
        return None
    answer: bytes | None = library.crypt_r(password.encode(), setting.encode(), ctypes.create_string_buffer(_CRYPT_DATA_BYTES))
    return answer or b"*"


@functools.cache
def _libcrypt() -> ctypes.CDLL | None:
    for name in ("libcrypt.so.1", "libcrypt.so.2"):
        with contextlib.suppress(OSError):
            library = ctypes.CDLL(name)
            library.crypt_r.restype = ctypes.c_char_p
            return library
    return None


def _logged_in() -> frozenset[str]:
    answer = run_tool(["doveadm", "who", "-1"])
    if _does_not_run(answer):
        return frozenset()
    if answer.returncode != 0:
        raise MailError(f"Dovecot does not tell who is logged in: {last_line(answer.stderr)}")
    return frozenset(line.split()[0].lower() for line in answer.stdout.splitlines() if line.strip())


def _does_not_run(answer: subprocess.CompletedProcess[str]) -> bool:
    return any(reason in answer.stderr for reason in ("No such file or directory", "Connection refused"))


def _queued_messages(layout: Layout, domains: frozenset[str]) -> list[str]:
    """The ids of the queued messages with an undelivered recipient in one of the domains."""
    # Not `exim -R`: what it selects by is limited to 256 characters.
    found = []
    message = ""
    answer = run_tool([layout.exim_binary, "-bpru"])
    if answer.returncode != 0:
        raise MailError(f"Exim does not tell what is queued: {last_line(answer.stderr)}")
    for line in answer.stdout.splitlines():
        head = _QUEUE_HEAD.match(line)
        if head:
            message = head["id"]
        elif message and line.strip().rpartition("@")[2].lower() in domains:
            found.append(message)
            message = ""
    return found


def _deliver(layout: Layout, messages: Sequence[str], limit: float) -> None:
    # Never killed, by us or with us: a delivery that ends between the mailbox and Exim's journal is made twice.
    command = [layout.exim_binary, "-M", *messages]
    nothing = subprocess.DEVNULL
    try:
        delivery = subprocess.Popen(
            command, stdin=nothing, stdout=nothing, stderr=nothing, env=TOOL_ENVIRONMENT, cwd="/", start_new_session=True
        )
        code = delivery.wait(limit)
    except subprocess.TimeoutExpired:
        raise MailError(
            f"the queued messages of these domains were not all tried after {limit:.1f} s",
            remedy="Run again when their deliveries have finished (exiwhat shows what they do)",
        ) from None
    except OSError as error:
        raise MailError(f"cannot run {layout.exim_binary}: {error.strerror}") from None
    if code != 0:
        raise MailError(f"Exim refused to deliver queued messages (exit code {code})", remedy="See Exim's main log")


def _is_being_delivered(layout: Layout, message: str) -> bool:
    """Whether another process holds the lock that Exim keeps on a message's data file during a delivery."""
    # With split_spool_directory the sixth character of the id names the directory.
    for directory in ("input", f"input/{message[5]}"):
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(f"{layout.exim_spool}/{directory}/{message}-D", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1)
            except OSError:
                return True
            finally:
                os.close(descriptor)
    return False


def _batches(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def _still_running(processes: Sequence[Process], limit: float) -> MailError:
    shown = ", ".join(f"{process.pid} ({' '.join(process.words)[:80]})" for process in processes[:5])
    more = f" and {len(processes) - 5} more" if len(processes) > 5 else ""
    return MailError(
        f"Exim processes that began before the change were still running after {limit:g} s: {shown}{more}",
        remedy="Run again when their deliveries have finished (exiwhat shows what they do)",
    )
