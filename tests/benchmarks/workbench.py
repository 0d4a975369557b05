# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file tree to work in, declarations of any size, and the whole `ansible-playbook` process with a clock beside it."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
OWNERS = 50
EXIM_UID = 110

_BCRYPT = "{BLF-CRYPT}$2y$05$" + "abcdefghijklmnopqrstuv" + "ABCDEFGHIJKLMNOPQRSTUVWXYZ01234"
_RECAP = re.compile(r"changed=(\d+)\s+unreachable=0\s+failed=0")

# Stands in for the interpreter of the module: runs it, and adds the peak of its resident memory (KiB) to a file.
_MEASURING_PYTHON = """\
#!{python} -ES
import os, resource, subprocess, sys
code = subprocess.call([{python!r}, *sys.argv[1:]])
if any("AnsiballZ" in word for word in sys.argv[1:]):
    with open({log!r}, "a") as log:
        print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=log)
sys.exit(code)
"""


class Play(NamedTuple):
    """A playbook beside this file. takes_variables: it wants the domains as host variables rather than as a file."""

    playbook: str
    takes_variables: bool = False


BY_SRC = Play("by_src.yml")


class Declared(NamedTuple):
    """The same domains twice: in a JSON file, and as variables of an inventory's host (also JSON)."""

    file: Path
    inventory: Path


class Taken(NamedTuple):
    """Seconds on the clock, and of processor time in all processes together."""

    seconds: float
    processor: float


class Workbench:
    """A temporary directory with a tree of a Debian mail host; removed at the end."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="fleetpost-benchmark-"))
        self._trees = 0
        self.tree = self.directory / "tree-0"
        self._memory_log = self.directory / "memory"
        self._measuring_python = self.directory / "python"
        self._measuring_python.write_text(_MEASURING_PYTHON.format(python=sys.executable, log=str(self._memory_log)))
        self._measuring_python.chmod(0o755)
        (self.directory / "ansible.cfg").write_text("[defaults]\n")
        self._program = shutil.which("ansible-playbook") or str(Path(sys.executable).with_name("ansible-playbook"))

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        shutil.rmtree(self.directory)

    def reset(self) -> None:
        """Makes the tree of a host with both servers and the owners, and without any domain.

        The one before is only left: for some seconds ext4 makes new files twenty times as slowly where many were removed.
        """
        self._trees += 1
        self.tree = self.directory / f"tree-{self._trees}"
        for directory in ("etc/exim4", "etc/dovecot", "usr/lib"):
            (self.tree / directory).mkdir(parents=True)
        users = ["root:x:0:0::/root:/bin/sh", "vmail:x:800:800::/var/vmail:/usr/sbin/nologin"]
        users.append(f"Debian-exim:x:{EXIM_UID}:{EXIM_UID}::/var/spool/exim4:/usr/sbin/nologin")
        users += [f"{owner(index)}:x:{2000 + index}:{2000 + index}::/home:/bin/sh" for index in range(OWNERS)]
        files = {
            "etc/passwd": "\n".join(users),
            "etc/group": f"root:x:0:\nDebian-exim:x:{EXIM_UID}:\ndovecot:x:111:",
            "etc/dovecot/dovecot.conf": "",
            "usr/lib/os-release": "ID=debian",
        }
        for name, content in files.items():
            (self.tree / name).write_text(content + "\n")

    def declare(self, count: int, changed: bool = False, owners: Sequence[Mapping[str, object]] = (), **options: object) -> Declared:
        """A declaration of `count` domains, each with the further options; with `changed` one in the middle has another default action.

        owners: what the file says of owners.
        """
        directory = self.directory / "-".join(
            [str(count), *(["changed"] if changed else []), *(["owners"] if owners else []), *sorted(options)]
        )
        declared = Declared(directory / "domains.json", directory / "inventory" / "hosts")
        if not directory.exists():
            entries = [{**_entry(index), **options} for index in range(count)]
            if changed:
                entries[count // 2]["default_action"] = "discard"
            variables = declared.inventory.with_name("host_vars") / "localhost.json"
            variables.parent.mkdir(parents=True)
            variables.write_text(json.dumps({"benchmark_domains": entries}))
            declared.inventory.write_text("localhost\n")
            declared.file.write_text(json.dumps({"domains": entries, "owners": owners}))
        return declared

    def run(self, play: Play, declared: Declared, check: bool = False, changes: bool | None = None, **variables: object) -> Taken:
        """How long the whole process of a playbook takes. changes: whether it must say that it changed something.

        The further variables are the playbook's, with benchmark_ before their names.
        """
        return self._play(play, declared, sys.executable, check, changes, variables)

    def peak_memory(self, play: Play, declared: Declared) -> float:
        """The most memory that the module's process holds, in MiB."""
        self._memory_log.unlink(missing_ok=True)
        self._play(play, declared, str(self._measuring_python), False, None, {})
        return max(int(line) for line in self._memory_log.read_text().split()) / 1024

    def _play(self, play: Play, declared: Declared, python: str, check: bool, changes: bool | None, further: Mapping[str, object]) -> Taken:
        variables = {
            **{f"benchmark_{name}": value for name, value in further.items()},
            "benchmark_tree": str(self.tree),
            "benchmark_file": str(declared.file),
            "ansible_python_interpreter": python,
        }
        inventory = str(declared.inventory) if play.takes_variables else "localhost,"
        command = [self._program, "-i", inventory, "-c", "local", "-e", json.dumps(variables)]
        command += ["--check"] if check else []
        command.append(str(HERE / play.playbook))
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(self.directory / "ansible.cfg"),
            "ANSIBLE_HOME": str(self.directory / "home"),
            "ANSIBLE_REMOTE_TMP": str(self.directory / "remote"),
            "ANSIBLE_LIBRARY": str(HERE / "library"),
            "ANSIBLE_NOCOLOR": "1",
        }
        began, used = time.perf_counter(), _processor_time()
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        taken = Taken(time.perf_counter() - began, _processor_time() - used)
        recap = _RECAP.search(done.stdout)
        if done.returncode or not recap or changes not in (None, recap.group(1) != "0"):
            raise SystemExit(f"{play.playbook} did not do what it should:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return taken


def _processor_time() -> float:
    """Processor time of all processes that this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def owner(index: int) -> str:
    return f"owner{index % OWNERS:02d}"


def _entry(index: int) -> dict[str, object]:
    return {
        "name": f"d{index:05d}.example.com",
        "owner": owner(index),
        "ip_addresses": [f"192.0.2.{1 + index % 200}"],
        "default_action": "reject",
        "mailboxes": [
            {"name": "info", "password_hash": _BCRYPT, "quota": "1G"},
            {"name": "sales", "password_hash": _BCRYPT},
        ],
    }
