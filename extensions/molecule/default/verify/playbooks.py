# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Running the collection's modules as a user does: ansible-playbook against a host of the scenario."""

from __future__ import annotations

import json
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hosts import Host

Task = dict[str, Any]

_INVENTORY = os.environ.get("LAB_INVENTORY", str(Path(__file__).parent.parent / "inventory" / "hosts.yml"))
_SETTINGS = {
    "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
    "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
    "ANSIBLE_PIPELINING": "true",
    "ANSIBLE_NOCOLOR": "true",
    "ANSIBLE_INTERPRETER_PYTHON": "/usr/bin/python3",
    "ANSIBLE_LOCALHOST_WARNING": "false",
}
_RESULT = re.compile(r"^(?:ok|changed|fatal|failed): \[[^]]+\](?:: FAILED!)?(?: \(item=.*\))? => (?=\{)", re.MULTILINE)
_JSON = json.JSONDecoder()


class Run(NamedTuple):
    """How a playbook ended: the results of its tasks in order, and what it printed."""

    status: int
    results: list[dict[str, Any]]
    output: str

    @property
    def diff(self) -> str:
        """What --diff showed, without paths of temporary files."""
        lines = [line for line in self.output.splitlines() if re.match(r"[-+@ ]", line) and not line.startswith(" _")]
        return "\n".join(lines)


def mail_domain(**options: Any) -> Task:
    return {"fleetpost.mail.mail_domain": options}


def mail_domains(**options: Any) -> Task:
    return {"fleetpost.mail.mail_domains": options}


def mailbox(**options: Any) -> Task:
    return {"fleetpost.mail.mailbox": options}


def mail_domain_dkim(**options: Any) -> Task:
    return {"fleetpost.mail.mail_domain_dkim": options}


def mail_domain_dns(**options: Any) -> Task:
    return {"fleetpost.mail.mail_domain_dns": options}


class Running(NamedTuple):
    """A playbook that has been started."""

    process: subprocess.Popen[str]
    directory: tempfile.TemporaryDirectory[str]

    def finish(self, timeout: float = 240) -> Run:
        """Wait for its end."""
        output, _errors = self.process.communicate(timeout=timeout)
        self.directory.cleanup()
        # From -vvv on a result takes many lines.
        results = [_JSON.raw_decode(output, found.end())[0] for found in _RESULT.finditer(output)]
        return Run(self.process.returncode, results, output)


def start(host: Host, tasks: Sequence[Task], *options: str, aliases: Sequence[str] = ()) -> Running:
    """Start a playbook of these tasks against the host, or against it under several names at the same time."""
    directory = tempfile.TemporaryDirectory(prefix="verify-")
    playbook = Path(directory.name) / "playbook.yml"
    hosts = list(aliases) or [host.name]
    playbook.write_text(json.dumps([{"hosts": hosts, "gather_facts": False, "tasks": list(tasks)}]))
    inventory = Path(directory.name) / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": {alias: {"ansible_host": host.ip4} for alias in aliases}}}))
    command = ["ansible-playbook", "-v", "--inventory", _INVENTORY, "--inventory", str(inventory), *options, str(playbook)]
    process = subprocess.Popen(
        command,
        env={**os.environ, **_SETTINGS},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    return Running(process, directory)


def run(host: Host, *tasks: Task, options: Sequence[str] = ()) -> Run:
    """Run tasks; the test fails when they do."""
    done = start(host, tasks, *options).finish()
    if done.status != 0:
        pytest.fail(f"the playbook failed with {done.status}:\n{done.output[-6000:]}")
    return done


def run_failing(host: Host, *tasks: Task, options: Sequence[str] = ()) -> str:
    """Run tasks that must fail: the message of the failure."""
    done = start(host, tasks, *options).finish()
    if done.status == 0:
        pytest.fail(f"the playbook should have failed:\n{done.output[-3000:]}")
    return str(done.results[-1].get("msg", "")) if done.results else done.output
