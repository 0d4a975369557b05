# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the files of an audit: the page, JSON and JUnit XML. The only file of the report that writes."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_fleet import Host
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_html import Assets, page
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_machines import as_values, junit

_ASSETS = Path(__file__).with_name("audit_page")
NAMES = {"html": "audit.html", "json": "audit.json", "junit": "audit.xml"}


def assets() -> Assets:
    return Assets((_ASSETS / "page.css").read_text(encoding="utf-8"), (_ASSETS / "page.js").read_text(encoding="utf-8"))


def write_report(directory: Path, hosts: Sequence[Host], at: str, fail_on: Collection[str]) -> dict[str, str]:
    """Writes all files into the directory, which is made when it is not there; returns their paths. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    contents: dict[str, Iterable[str]] = {
        "html": page(hosts, at, fail_on, assets()),
        "json": [json.dumps(as_values(hosts, at, fail_on), ensure_ascii=False, separators=(",", ":"))],
        "junit": (f"{line}\n" for line in junit(hosts, at, fail_on)),
    }
    return {kind: _write(directory / NAMES[kind], content) for kind, content in contents.items()}


def _write(path: Path, content: Iterable[str]) -> str:
    """Puts a whole file in the place of what was there, for its user alone: names of customers are in it."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as file:
            file.writelines(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return str(path)
