# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lets pytest import ansible_collections.fleetpost.mail from a checkout of any name, anywhere."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[2]


_PATIENCE = 5.0


def _wait_for_threads() -> None:
    """A thread that was joined may still be ending, in a lock of OpenSSL's that a forked process would wait for to no end."""
    deadline = time.monotonic() + _PATIENCE
    while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < deadline:
        time.sleep(0.001)


os.register_at_fork(before=_wait_for_threads)


def _register_package(name: str, *paths: Path) -> None:
    if name in sys.modules:
        return
    package = ModuleType(name)
    package.__path__ = [str(path) for path in paths]
    sys.modules[name] = package
    if "." in name:
        parent, child = name.rsplit(".", 1)
        setattr(sys.modules[parent], child, package)


_register_package("ansible_collections")
_register_package("ansible_collections.fleetpost")
_register_package("ansible_collections.fleetpost.mail", ROOT)
