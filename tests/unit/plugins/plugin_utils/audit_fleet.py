# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small fleet for the tests of the audit, from events as the callback plugin notes them."""

from __future__ import annotations

from typing import Any

from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_fleet import Host, host_of
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_mending import Commands

AT = "2026-11-27T08:00:00Z"
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"
COMMANDS = Commands(("-i", "hosts.yml"))


def health(*domains: dict[str, Any], certificates: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    status = [{"is_on": True, "mailboxes": 2, "signing_since": "", "problems": [], **domain} for domain in domains]
    return {"kind": "health", "status": status, "certificates": list(certificates)}


def planned(*actions: tuple[str, str, str], diff: tuple[dict[str, str], ...] = (), is_whole: bool = True) -> dict[str, Any]:
    told = [dict(zip(("domain", "action", "detail"), action)) for action in actions]
    return {"kind": "domains", "is_whole": is_whole, "actions": told, "diff": list(diff), "waiting": [], "warnings": []}


def change(task: str = "Write the configuration", **more: Any) -> dict[str, Any]:
    return {"kind": "change", "role": "exim", "task": task, "item": "", "detail": "", "diff": [], **more}


def failure(message: str = "no such package", kind: str = "failure") -> dict[str, Any]:
    return {"kind": kind, "role": "exim", "task": "Install the packages", "message": message}


def host(name: str, *events: dict[str, Any]) -> Host:
    return host_of(name, [{"kind": "seen"}, *events], COMMANDS)


def well(name: str = "well.test") -> Host:
    return host(name, planned(), health({"name": f"a.{name}"}, {"name": f"b.{name}", "is_on": False}))


def fleet() -> list[Host]:
    """One host that is well, one that would change, one with problems, one that failed on the way, one that was not reached."""
    return [
        well(),
        host(
            "drift.test",
            change(diff=[{"path": "/etc/exim4/exim4.conf", "before": "a = 1\n", "after": "a = 2\n"}]),
            planned(("changed.test", "change", "default_action: reject -> discard"), ("new.test", "create", "owner bob")),
            health({"name": "changed.test"}),
        ),
        host("ill.test", planned(), health({"name": "ill-domain.test", "problems": [f"its owner carol is {HOSTILE}"]})),
        host("failed.test", failure(HOSTILE), health({"name": "kept.test"})),
        host("lost.test", failure("no route to host", "unreachable")),
    ]
