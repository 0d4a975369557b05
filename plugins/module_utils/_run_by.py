# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On whose behalf a run changes a host, as far as the host can know."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import pwd
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._version import VERSION

_MOST_ANCESTORS = 64
_LARGEST_ENVIRONMENT = 1 << 20
_SSH_VARIABLES = ("SSH_CONNECTION", "SSH_CLIENT")


class RunBy(NamedTuple):
    """Who runs what. user: the account that the run has here. sudo_user: the one that became it by sudo. acting_as: the owner that
    the run may act for alone. controller: the address that the run came from by SSH. job: its number at the controller.
    module: what was run. What is not known is empty.
    """

    user: str = ""
    sudo_user: str = ""
    acting_as: str = ""
    controller: str = ""
    job: str = ""
    module: str = ""

    @property
    def known(self) -> dict[str, str]:
        """What is known of it, and the version that did it."""
        return {**{field: value for field, value in self._asdict().items() if value}, "version": VERSION}


def run_by(module: str, acting_as: str = "", job: str = "") -> RunBy:
    """Who runs this process. Never fails: what cannot be told is left out."""
    return RunBy(_user_name(), os.environ.get("SUDO_USER", ""), acting_as, _controller(), job, module)


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _controller() -> str:
    """The client's address of the SSH session that this process is part of; sudo drops the variable, so its callers are asked too."""
    for environment in _environments():
        for variable in _SSH_VARIABLES:
            address = environment.get(variable, "").partition(" ")[0]
            with contextlib.suppress(ValueError):
                return str(ipaddress.ip_address(address))
    return ""


def _environments() -> Iterator[Mapping[str, str]]:
    """The environment of this process, then of those above it, as far as they can be read."""
    yield os.environ
    pid = os.getppid()
    for _generation in range(_MOST_ANCESTORS):
        if pid <= 1:
            return
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                text = file.read(_LARGEST_ENVIRONMENT).decode("utf-8", "replace")
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
                # The name of a process is in brackets and may hold anything; what follows is its state and its parent.
                pid = int(file.read().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            return
        yield dict(entry.partition("=")[::2] for entry in text.split("\0") if "=" in entry)
