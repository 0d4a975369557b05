# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit sees, on its way from the callback plugin to the report: a file a host, one JSON line an event.

The files are in ansible-core's own temporary directory of the run, which is for its user alone and removed at the end. The callback plugin
runs in the main process and the report in one of its workers: both know the directory by the same constant.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible import constants

Event = dict[str, Any]


class Spool:
    """The events of one run of ansible-playbook."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or Path(vars(constants)["DEFAULT_LOCAL_TMP"]) / "fleetpost-mail-audit"

    def add(self, host: str, event: Event) -> None:
        """Appends an event of a host."""
        self.directory.mkdir(mode=0o700, exist_ok=True)
        name = hashlib.sha256(host.encode()).hexdigest()
        with (self.directory / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"host": host, **event}, default=str) + "\n")

    def hosts(self) -> Iterator[tuple[str, list[Event]]]:
        """Each host with its events in their order; one host at a time is in memory."""
        if not self.directory.is_dir():
            return
        for path in sorted(self.directory.glob("*.jsonl")):
            with path.open(encoding="utf-8") as file:
                events = [json.loads(line) for line in file]
            if events:
                yield events[0]["host"], events
