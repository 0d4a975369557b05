# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of the log -> what was changed of each domain. No IO.

A line is data: what is broken is left out, and nothing follows from what it says.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from typing import Any

# In what our own writer has written; a quote within a value stands there with a backslash.
_DOMAIN = re.compile(rb'"domain": "([^"\\]*)"')
_CERTIFICATE = re.compile(rb'"certificate": "([^"\\]*)"')
_TIME = re.compile(rb'"time": "(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:\d\d))"')


def last_changes(lines: Iterable[bytes], certificates: Mapping[str, str]) -> dict[str, str]:
    """The time of the last line of each domain. certificates: domain -> the name of its certificate, of the domains that are asked for."""
    by_certificate = _users(certificates)
    found: dict[str, str] = {}
    for line in lines:
        time = _TIME.search(line)
        for name in _domains_of(line, certificates, by_certificate) if time else ():
            found[name] = time.group(1).decode() if time else ""
    return found


def histories(lines: Iterable[bytes], certificates: Mapping[str, str], limit: int) -> dict[str, list[dict[str, Any]]]:
    """The last `limit` lines of each domain as dictionaries, the oldest first. What is no line of ours is left out."""
    by_certificate = _users(certificates)
    kept: defaultdict[str, deque[dict[str, Any]]] = defaultdict(lambda: deque(maxlen=limit))
    for line in lines:
        names = _domains_of(line, certificates, by_certificate)
        entry = _entry(line) if names else None
        for name in names if entry else ():
            if entry and (entry["domain"] == name or entry.get("certificate") == certificates[name]):
                kept[name].append(entry)
    return {name: list(entries) for name, entries in kept.items()}


def _users(certificates: Mapping[str, str]) -> dict[str, list[str]]:
    users: defaultdict[str, list[str]] = defaultdict(list)
    for name, certificate in certificates.items():
        if certificate:
            users[certificate].append(name)
    return users


def _domains_of(line: bytes, wanted: Mapping[str, str], by_certificate: Mapping[str, list[str]]) -> list[str]:
    """The domains whose line it seems to be: its own, or of a line of no domain those that show the certificate that it is about."""
    found = _DOMAIN.search(line)
    name = found.group(1).decode("ascii", "replace") if found else ""
    if name:
        return [name] if name in wanted else []
    certificate = _CERTIFICATE.search(line) if by_certificate else None
    return by_certificate.get(certificate.group(1).decode("ascii", "replace"), []) if certificate else []


def _entry(line: bytes) -> dict[str, Any] | None:
    """A line as a dictionary, if it is one with what every line has."""
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    needed = ("time", "action", "domain")
    is_entry = isinstance(entry, dict) and all(isinstance(entry.get(field), str) for field in needed)
    return entry if is_entry else None
