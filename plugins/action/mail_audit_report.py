# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the report of an audit on the controller, and fails when the audit found what it is to fail on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_files import write_report
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_fleet import KINDS, Host, findings, host_of, totals_of
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_mending import Commands, options_of
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_spool import Spool

SPEC = {
    "directory": {"type": "path", "required": True},
    "fail_on": {"type": "list", "elements": "str", "choices": list(KINDS), "default": list(KINDS)},
}


class ActionModule(ActionBase):
    """Reads what the callback plugin noted; runs on the controller alone, and in check mode as well."""

    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        _validation, options = self.validate_argument_spec(argument_spec=SPEC)
        hosts = _hosts((task_vars or {}).get("ansible_play_hosts_all", ()))
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        try:
            files = write_report(Path(options["directory"]).absolute(), hosts, at, options["fail_on"])
        except OSError as error:
            raise AnsibleActionFail(f"the report could not be written: {error}") from error
        found = findings(hosts)
        result.update(changed=True, files=files, findings=found, totals=totals_of(hosts)._asdict())
        reasons = [found[kind] for kind in found if kind in options["fail_on"]]
        result.update(failed=bool(reasons), msg=f"{'; '.join(reasons or found.values()) or 'all is well'}. The report is {files['html']}")
        return result


def _hosts(expected: Any) -> list[Host]:
    """The hosts of the play, those of which nothing was noted as well. Raises AnsibleActionFail when nothing was noted at all."""
    commands = Commands(options_of(context.CLIARGS))
    found = {name: host_of(name, events, commands) for name, events in Spool().hosts()}
    if not found:
        raise AnsibleActionFail(
            "nothing was noted of any host: run the playbook fleetpost.mail.audit, or for a playbook of your own that uses the role"
            " fleetpost.mail.mail_audit set ANSIBLE_CALLBACKS_ENABLED=fleetpost.mail.mail_audit"
        )
    found.update((name, host_of(name, [], commands)) for name in expected if name not in found)
    return [found[name] for name in sorted(found)]
