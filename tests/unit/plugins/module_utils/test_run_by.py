# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs a process, as far as it can be told: by its own environment and by those of its callers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.fleetpost.mail.plugins.module_utils import _run_by
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import RunBy, run_by
from ansible_collections.fleetpost.mail.plugins.module_utils._version import VERSION

ROOT = Path(__file__).resolve().parents[4]
SESSION = "192.0.2.7 50000 192.0.2.1 22"


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """No session of whoever runs these tests."""
    for name in ("SSH_CONNECTION", "SSH_CLIENT", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_run_by, "_MOST_ANCESTORS", 0)


def test_the_version_is_that_of_the_collection():
    assert yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"] == VERSION


def test_what_is_not_known_is_left_out():
    by = run_by("mailbox")
    assert by == RunBy(by.user, module="mailbox")
    assert by.known == {"user": by.user, "module": "mailbox", "version": VERSION}


def test_what_a_task_says_is_told(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "alice")
    by = run_by("mailbox", "bob", "4711")
    assert (by.sudo_user, by.acting_as, by.job) == ("alice", "bob", "4711")


def test_a_user_without_a_name_is_told_by_number(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4294967)
    assert run_by("mailbox").user == "4294967"


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"SSH_CONNECTION": SESSION}, "192.0.2.7"),
        ({"SSH_CLIENT": "2001:DB8::7 50000 22"}, "2001:db8::7"),
        ({"SSH_CONNECTION": "UNKNOWN 65535 UNKNOWN 65535"}, ""),
        ({"SSH_CONNECTION": "nonsense", "SSH_CLIENT": SESSION}, "192.0.2.7"),
        ({"SSH_CONNECTION": ""}, ""),
        ({}, ""),
    ],
)
def test_the_controller_is_the_client_of_the_session(monkeypatch, variables, address):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert run_by("mailbox").controller == address


PROGRAM = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT / "tests" / "unit")!r})
import conftest
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import run_by
print(json.dumps(run_by("mailbox")._asdict()))
"""


@pytest.mark.parametrize("session", [SESSION, ""])
def test_a_callers_session_is_found_when_sudo_has_dropped_the_variable(session):
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SSH_")}
    inner = ["env", "-u", "SSH_CONNECTION", sys.executable, "-c", PROGRAM]
    # A shell stands between them as it does on a host; it waits, so it is still there to be asked.
    script = 'env -u SSH_CONNECTION "$@"; exit $?'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *inner[3:]],
        env={**clean, "SSH_CONNECTION": session},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)["controller"]
    assert found == "192.0.2.7" if session else found != "192.0.2.7"


def test_processes_that_cannot_be_read_end_the_search(monkeypatch):
    monkeypatch.setattr(_run_by, "_MOST_ANCESTORS", 5)
    monkeypatch.setattr(os, "getppid", lambda: 2**22 + 7)
    assert run_by("mailbox").controller == ""
