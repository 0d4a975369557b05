# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dovecot as a running service: whether it would start, and letting it read its certificates."""

from __future__ import annotations

import shutil

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._tools import TOOL_PATH, last_line, run_tool

_SERVICE = "dovecot"
_SECONDS = 60.0
_NOT_RUNNING = ("not running", "No such file or directory", "Connection refused")


def configuration_problem() -> str:
    """Why Dovecot would not start with what its files say now; empty when nothing is wrong, or no Dovecot is installed.

    ``doveconf -x`` opens every certificate; -n and a reload do not.
    """
    if shutil.which("doveconf", path=TOOL_PATH) is None:
        return ""
    answer = run_tool(["doveconf", "-x"], limit=_SECONDS)
    # What it prints is the configuration, private keys included: only its complaint is shown.
    return last_line(answer.stderr) if answer.returncode != 0 else ""


def reload_dovecot() -> None:
    """Let Dovecot read its configuration and certificates anew; sessions go on.

    One that does not run is left alone, unless systemd would have it run and it failed: a missing certificate is such a
    reason. Raises MailError.
    """
    if shutil.which("doveadm", path=TOOL_PATH) is None:
        return
    answer = run_tool(["doveadm", "reload"], limit=_SECONDS)
    if answer.returncode == 0:
        return
    if not any(reason in answer.stderr for reason in _NOT_RUNNING):
        raise MailError(f"Dovecot was not reloaded: {last_line(answer.stderr)}", remedy=_SEE)
    if shutil.which("systemctl", path=TOOL_PATH) and run_tool(["systemctl", "is-failed", "--quiet", _SERVICE]).returncode == 0:
        started = run_tool(["systemctl", "restart", _SERVICE], limit=_SECONDS)
        if started.returncode != 0:
            raise MailError(f"Dovecot does not start: {last_line(started.stderr)}", remedy=_SEE)


_SEE = f"See journalctl --unit {_SERVICE} --lines 50"
