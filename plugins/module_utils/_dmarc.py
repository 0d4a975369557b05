# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DMARC records (RFC 7489 section 6.3): from a template or from options, checked either way. No IO."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import tags

DEFAULT_TEMPLATE = "v=DMARC1; p=none"

# Option, tag; in the order in which the record shows them.
_TAGS = (
    ("policy", "p"),
    ("subdomain_policy", "sp"),
    ("adkim", "adkim"),
    ("aspf", "aspf"),
    ("pct", "pct"),
    ("rua", "rua"),
    ("ruf", "ruf"),
)
OPTIONS = tuple(option for option, _tag in _TAGS)

_POLICY = re.compile(r"(?:none|quarantine|reject)\Z")
_ALIGNMENT = re.compile(r"[rs]\Z")
_VALUES = {
    "p": _POLICY,
    "sp": _POLICY,
    "np": _POLICY,
    "adkim": _ALIGNMENT,
    "aspf": _ALIGNMENT,
    "pct": re.compile(r"(?:100|[0-9]{1,2})\Z"),
    "fo": re.compile(r"[01ds](?::[01ds])*\Z"),
    "rf": re.compile(r"afrf\Z"),
    "ri": re.compile(r"[0-9]{1,10}\Z"),
    "t": re.compile(r"[yn]\Z"),
    "psd": re.compile(r"[ynu]\Z"),
}
_URI = re.compile(r"mailto:([^,;!\s]+)(?:![0-9]+[kmgt]?)?\Z", re.IGNORECASE)


def record_of_template(template: str, domain: str) -> str:
    """The record of a template with ``{domain}`` and ``{owner_email}`` filled in. Raises ValueError for what is no DMARC record."""
    record = _filled_in(template, domain).strip().rstrip(";").rstrip()
    _check(record)
    return record


def record_of_options(options: Mapping[str, Any], domain: str) -> str:
    """The record of plain options. Raises ValueError when they make none."""
    parts = ["v=DMARC1"]
    for option, tag in _TAGS:
        value = options.get(option)
        if value is None or value == []:
            continue
        parts.append(f"{tag}={_report_uris(value, domain) if isinstance(value, list) else value}")
    record = "; ".join(parts)
    _check(record)
    return record


def _filled_in(text: str, domain: str) -> str:
    return text.replace("{domain}", domain).replace("{owner_email}", f"postmaster@{domain}")


def _report_uris(addresses: Iterable[str], domain: str) -> str:
    written = [_filled_in(address, domain) for address in addresses]
    for address in written:
        if "," in address or ";" in address:
            raise ValueError(f"{_names.printable(address)} is not one address: commas and semicolons end it in a DMARC record")
    return ",".join(address if ":" in address else f"mailto:{address}" for address in written)


def _check(record: str) -> None:
    if not record.isascii() or not record.isprintable() or '"' in record or "\\" in record:
        raise ValueError(f"{_names.printable(record)} holds characters that have no place in a DMARC record")
    if "{" in record or "}" in record:
        raise ValueError(f"{_names.printable(record)} holds a placeholder that is neither {{domain}} nor {{owner_email}}")
    found = list(tags(record).items())
    if len(found) != sum(1 for part in record.split(";") if part.strip()):
        raise ValueError(f"{_names.printable(record)} has a tag twice, or one without a name")
    if found[:1] != [("v", "DMARC1")]:
        raise ValueError(f"{_names.printable(record)} does not begin with v=DMARC1")
    if len(found) < 2 or found[1][0] != "p":
        raise ValueError("a DMARC record needs a policy, p=none, quarantine or reject, right after v=DMARC1")
    for tag, value in found[1:]:
        _check_tag(tag, value)


def _check_tag(tag: str, value: str) -> None:
    if tag in ("rua", "ruf"):
        for uri in value.split(","):
            address = _URI.match(uri.strip())
            if not address:
                raise ValueError(f"{tag}={uri.strip()[:80]} is no mailto: address")
            _names.forward_address(address.group(1))
    elif tag not in _VALUES:
        raise ValueError(f"{_names.printable(tag)} is no tag of a DMARC record")
    elif not _VALUES[tag].match(value):
        raise ValueError(f"{tag}={value[:40]} is not allowed in a DMARC record")
