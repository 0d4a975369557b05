# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes notes of what the tasks of an audit find on each host."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mail_audit
type: aggregate
short_description: Takes notes of what an audit finds
version_added: 1.0.0
description:
  - Keeps what the tasks of the role P(fleetpost.mail.mail_audit#role) find on each host until M(fleetpost.mail.mail_audit_report) writes
    its report. What other tasks do is not looked at.
  - The playbook C(fleetpost.mail.audit) switches it on by itself. For a playbook of your own that uses the role, set the environment
    variable E(ANSIBLE_CALLBACKS_ENABLED) to V(fleetpost.mail.mail_audit).
  - The notes are in ansible-core's temporary directory on the controller, and removed at the end of the run.
author:
  - fleetpost.mail contributors (@fleetpost)
requirements:
  - With a playbook of your own it has to be enabled.
"""

from collections.abc import Mapping
from typing import Any

from ansible.plugins.callback import CallbackBase
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_events import Done, events_of
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_spool import Spool

_ROLE = "fleetpost.mail.mail_audit"


class CallbackModule(CallbackBase):
    """Writes events of the audit into the spool. ansible-core makes warnings of its errors, so the report looks for hosts without notes."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "fleetpost.mail.mail_audit"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self) -> None:
        super().__init__()
        self._spool = Spool()
        self._seen: set[str] = set()

    def v2_runner_on_ok(self, result: Any) -> None:
        if not _is_sum_of_items(result):
            self._note("ok", result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not _is_sum_of_items(result) and not ignore_errors:
            self._note("failed", result)

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._note("unreachable", result)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        self._note("ok", result)

    def v2_runner_item_on_failed(self, result: Any) -> None:
        self._note("failed", result)

    def _note(self, outcome: str, result: Any) -> None:
        task = _of(result, "task")
        if not _is_of_audit(task):
            return
        host = _of(result, "host").get_name()
        if host not in self._seen:
            self._seen.add(host)
            self._spool.add(host, {"kind": "seen"})
        role = task._role.get_name() if task._role else ""
        done = Done(outcome, role.rpartition(".")[2], task.name or task.action, task.action, _values(result))
        for event in events_of(done):
            self._spool.add(host, event)


def _of(result: Any, name: str) -> Any:
    """A part of a result, by its name since ansible-core 2.19 or the one before."""
    return getattr(result, name, None) or getattr(result, f"_{name}")


def _values(result: Any) -> Mapping[str, Any]:
    values: Mapping[str, Any] = result.result if hasattr(result, "result") else result._result
    return values


def _is_sum_of_items(result: Any) -> bool:
    """Whether it is the result of a loop whose items were noted one by one."""
    return _of(result, "task").loop is not None and "results" in _values(result)


def _is_of_audit(task: Any) -> bool:
    """Whether the role mail_audit runs the task, itself or in a role that it includes."""
    while task is not None:
        role = getattr(task, "_role", None)
        if role is not None and role.get_name() == _ROLE:
            return True
        task = getattr(task, "_parent", None)
    return False
