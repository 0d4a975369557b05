# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Carries the declaration of mail_domains to the host as one file.

A list of ten thousand dictionaries with secrets as module arguments would cost minutes in ansible-core's masking; a file
that only its owner reads costs nothing, and no secret is ever an argument.
"""

from __future__ import annotations

import json
from typing import Any

from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase

_MODULE = "fleetpost.mail.mail_domains"


class ActionModule(ActionBase):
    """Reads `domains` or `src` on the controller and hands the module a file on the host."""

    TRANSFERS_FILES = True
    _requires_connection = True
    _supports_check_mode = True
    _supports_diff = True
    _domains: Any = None

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        arguments = self._arguments_without_domains()
        if arguments.get("src") is not None and arguments.get("acting_as") not in (None, "", "root"):
            raise AnsibleActionFail("src: not available to you")
        try:
            if arguments.get("restore_generation") is None and (
                self._domains is not None or not boolean(arguments.get("remote_src", False), strict=False)
            ):
                content = self._content(arguments.get("src"))
                arguments.update(src=self._carry(content), remote_src=True)
            result.update(self._execute_module(module_name=_MODULE, module_args=arguments, task_vars=task_vars))
        finally:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result

    def _arguments_without_domains(self) -> dict[str, Any]:
        """The task's other arguments.

        The domains are taken out of the task itself, because ansible-core sends its arguments to callbacks, which may
        show them; a task that is tried again finds them here.
        """
        if self._task.args.get("domains") is not None:
            self._domains = self._task.args["domains"]
            self._task.args = {name: value for name, value in self._task.args.items() if name != "domains"}
        arguments = dict(self._task.args)
        given = (self._domains, arguments.get("src"), arguments.get("restore_generation"))
        if sum(one is not None for one in given) != 1:
            raise AnsibleActionFail("exactly one of domains, src and restore_generation is needed")
        return arguments

    def _content(self, src: str | None) -> bytes:
        """The declaration as JSON."""
        if src is None:
            if not isinstance(self._domains, (list, tuple)):
                raise AnsibleActionFail(f"domains must be a list, not {type(self._domains).__name__}")
            return _as_json(self._domains)
        path = self._find_needle("files", src)
        if path.endswith(".json"):
            with open(self._loader.get_real_file(path, decrypt=True), "rb") as file:
                return file.read()
        try:
            return _as_json(self._loader.load_from_file(path, cache="none"))
        except AnsibleError as error:
            reason = str(error)
        # Out here: ansible-core up to 2.18 shows the traceback of whatever is being handled.
        raise AnsibleActionFail(f"src: {path} cannot be read as YAML: {reason}")

    def _carry(self, content: bytes) -> str:
        """Puts the declaration into the task's own temporary directory on the host, readable by its owner alone."""
        shell = self._connection._shell
        path: str = shell.join_path(shell.tmpdir, "declaration.json")
        self._transfer_data(path, content)
        self._fixup_perms2((shell.tmpdir, path), execute=False)
        if not self._is_become_unprivileged():
            self._remote_chmod((path,), "0600")
        return path


def _as_json(value: Any) -> bytes:
    """JSON of what Ansible made of YAML: vaulted strings are decrypted, dates and the like are their text."""
    return json.dumps(value, default=str).encode()
