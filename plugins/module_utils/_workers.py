# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Work of the processor on all cores and at low priority. Making keys releases the interpreter's lock, so threads do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors

_PRIORITY = 10

Wanted = TypeVar("Wanted")
Made = TypeVar("Made")


def all_at_once(make: Callable[[Wanted], Made], wanted: Mapping[str, Wanted]) -> dict[str, Made]:
    """What `make` makes of each. Raises MailErrors with the MailError of every one that failed, or whatever else was raised first."""
    with ThreadPoolExecutor(_cores(), initializer=_lower_priority) as pool:
        futures = {name: pool.submit(make, one) for name, one in wanted.items()}
    errors = [error for error in (future.exception() for future in futures.values()) if error]
    unexpected = [error for error in errors if not isinstance(error, MailError)]
    if unexpected:
        raise unexpected[0]
    if errors:
        raise MailErrors([error for error in errors if isinstance(error, MailError)])
    return {name: future.result() for name, future in futures.items()}


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _lower_priority() -> None:
    """For this thread alone, which is what Linux makes of it: the rest of the run is not to wait for busy servers."""
    # Raising it, from a process that is lower still, is for root alone.
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), max(_PRIORITY, os.getpriority(os.PRIO_PROCESS, 0)))
