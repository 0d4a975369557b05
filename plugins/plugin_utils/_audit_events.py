# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Results of tasks -> events of the audit. No IO, and nothing of ansible-core: values only.

An event's ``kind`` is ``seen``, ``unreachable``, ``failure``, ``change``, ``domains`` (what mail_domains would do) or ``health`` (what
mail_domain_info tells). Arguments of tasks are in none of them, and a result that ansible-core has censored says only that it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_spool import Event

LONGEST_MESSAGE = 4_000
LONGEST_TEXT = 400_000
_OF_DOMAINS = "fleetpost.mail.mail_domains"
_OF_CERTIFICATE = "fleetpost.mail.mail_domain_cert"
_OF_HEALTH = "fleetpost.mail.mail_domain_info"


class Done(NamedTuple):
    """A task, or one item of its loop, as it ended on a host: ``ok``, ``failed`` or ``unreachable``. role: without its collection."""

    outcome: str
    role: str
    task: str
    action: str
    result: Mapping[str, Any]


def events_of(done: Done) -> Iterator[Event]:
    """What an audit has to remember of it."""
    result = done.result
    where = {"role": done.role, "task": done.task}
    if done.outcome == "unreachable":
        yield {"kind": "unreachable", **where, "message": _text(result.get("msg"))}
        return
    if done.outcome == "failed":
        yield {"kind": "failure", **where, "message": _failure(result)}
    if done.action == _OF_HEALTH and "status" in result:
        yield {"kind": "health", "status": result["status"], "certificates": result.get("certificates", [])}
    elif done.action in (_OF_DOMAINS, _OF_CERTIFICATE) and "actions" in result:
        yield _planned(done.action == _OF_DOMAINS, result)
    elif done.outcome == "ok" and result.get("changed"):
        yield {"kind": "change", **where, "item": _item(result), **_shown(done.action, result)}


def _planned(is_whole: bool, result: Mapping[str, Any]) -> Event:
    """What mail_domains would do with all domains (it is the whole), or mail_domain_cert with the certificate of the host."""
    return {
        "kind": "domains",
        "is_whole": is_whole,
        "actions": result["actions"],
        "diff": list(_differences(result.get("diff"))),
        "waiting": result.get("waiting", []),
        "warnings": [_text(warning) for warning in result.get("warnings") or ()],
    }


def _shown(action: str, result: Mapping[str, Any]) -> Event:
    if "censored" in result:
        return {"detail": "not shown, because it may hold a secret", "diff": []}
    is_message = action.rpartition(".")[2] == "debug"
    return {"detail": _text(result.get("msg")) if is_message else "", "diff": list(_differences(result.get("diff")))}


def _failure(result: Mapping[str, Any]) -> str:
    if "censored" in result:
        return "it failed; why is not shown, because it may hold a secret"
    parts = [_text(result.get(name)).strip() for name in ("msg", "module_stderr", "stderr")]
    return "\n".join(dict.fromkeys(part for part in parts if part)) or "it failed and gave no reason"


def _item(result: Mapping[str, Any]) -> str:
    return _text(result.get("_ansible_item_label", result.get("item", "")))


def _text(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else _as_json(value)
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]} ..."


def _as_json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False, indent=1, sort_keys=True)


def _differences(diff: Any) -> Iterator[dict[str, str]]:
    """The diffs of a result in one shape: ``path``, ``before`` and ``after``, or ``prepared``."""
    for one in diff if isinstance(diff, (list, tuple)) else [diff]:
        if not isinstance(one, Mapping):
            continue
        path = str(one.get("after_header") or one.get("before_header") or "")
        if "prepared" in one:
            yield {"path": path, "prepared": str(one["prepared"])[:LONGEST_TEXT]}
            continue
        before, after = (_side(one.get(side)) for side in ("before", "after"))
        if before != after:
            yield {"path": path, "before": before, "after": after}


def _side(value: Any) -> str:
    text = value if isinstance(value, str) else "" if value is None else f"{_as_json(value)}\n"
    return text[:LONGEST_TEXT]
