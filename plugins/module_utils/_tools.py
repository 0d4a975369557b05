# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the host's tools: Dovecot's, Exim's, certbot."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError

TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TOOL_ENVIRONMENT = {"PATH": TOOL_PATH, "LC_ALL": "C"}
_TOOL_SECONDS = 30.0


def run_tool(
    command: Sequence[str], secret: str = "", limit: float = _TOOL_SECONDS, environment: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    """Run a tool with `secret` on its standard input; what it prints may hold it and is shown by no error from here.

    limit: seconds. environment: variables besides the usual ones. Raises MailError when it cannot be run or does not end.
    """
    program = os.path.basename(command[0])
    try:
        return subprocess.run(
            command,
            input=secret,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            env={**TOOL_ENVIRONMENT, **environment},
            cwd="/",
            timeout=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MailError(f"{program} did not end within {limit:.1f} s", remedy="See the host's log and its load") from None
    except OSError as error:
        raise MailError(f"cannot run {program}: {error.strerror}", remedy="Run the collection's roles on this host first") from None


def last_line(text: str) -> str:
    """The last line of what a tool said, fit to be shown."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "".join(char if char.isprintable() else "?" for char in lines[-1])[:300] if lines else "no reason given"
