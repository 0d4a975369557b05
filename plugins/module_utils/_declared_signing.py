# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options ``dkim`` and ``dmarc`` of a domain -> what is declared, with every error and its option path."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _dmarc, _names
from ansible_collections.fleetpost.mail.plugins.module_utils._converter import Converter
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import DeclaredDkim
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import canonical_pem, public_key_of
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DEFAULT_RETIRE_AFTER,
    KEY_LENGTHS,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import duration

_SERVICE_TYPE = re.compile(r"(?:\*|[a-z](?:[a-z0-9-]*[a-z0-9])?)(?::(?:\*|[a-z](?:[a-z0-9-]*[a-z0-9])?))*\Z")


def declared_dkim(entry: Mapping[str, Any], prefix: str, reader: Converter) -> DeclaredDkim:
    """The signing that an entry declares. `prefix` is its option path with a dot; what is wrong is added to the errors of `reader`."""
    rotate = entry.get("rotate") or {}
    declared = DeclaredDkim(
        prefix,
        entry.get("state") or "present",
        reader.convert(_names.dkim_selector, entry.get("selector"), f"{prefix}selector"),
        entry.get("key_type"),
        entry.get("key_length"),
        reader.convert(_service_type, entry.get("service_type"), f"{prefix}service_type"),
        reader.convert(_private_key, entry.get("private_key"), f"{prefix}private_key"),
        entry.get("regenerate") or "never",
        reader.convert(_names.dkim_selector, rotate.get("to"), f"{prefix}rotate.to"),
        reader.convert(duration, rotate.get("retire_after"), f"{prefix}rotate.retire_after") or DEFAULT_RETIRE_AFTER,
    )
    if declared.private_key:
        reader.errors.extend(MailError(message, f"{prefix}{option}") for option, message in _contradictions(declared, declared.private_key))
    return declared


def _contradictions(declared: DeclaredDkim, private_key: str) -> list[tuple[str, str]]:
    """Options that do not go with the private key which the user brought along."""
    key = public_key_of(private_key.encode())
    found = []
    if declared.key_type not in (None, key.key_type):
        found.append(("key_type", f"private_key is of type {key.key_type}, not {declared.key_type}"))
    if key.key_type == "rsa" and declared.key_length not in (None, key.key_length):
        found.append(("key_length", f"private_key has {key.key_length} bits, not {declared.key_length}"))
    return found


def _private_key(text: str) -> str:
    key = public_key_of(text.encode("utf-8", "replace"))
    if key.key_type == "rsa" and not KEY_LENGTHS[0] <= key.key_length <= KEY_LENGTHS[-1]:
        raise ValueError(f"an RSA key of {key.key_length} bits: receivers verify 1024 to 4096 (RFC 8301)")
    return canonical_pem(text.encode())


def _service_type(text: str) -> str:
    if not _SERVICE_TYPE.match(text):
        raise ValueError(f"{_names.printable(text)} is no service type: email, or * for all")
    return text


def declared_dmarc(entry: Mapping[str, Any], domain: str, default_template: str, prefix: str, errors: list[MailError]) -> str | None:
    """The DMARC record that an entry declares, empty for none; None when it is wrong, which is added to `errors`."""
    if entry.get("state") == "absent":
        return ""
    options = {option: entry[option] for option in _dmarc.OPTIONS if entry.get(option) is not None}
    if options and entry.get("template") is not None:
        errors.append(MailError(f"template and {next(iter(options))} exclude each other", f"{prefix}template"))
        return None
    try:
        if options:
            return _dmarc.record_of_options(options, domain)
        return _dmarc.record_of_template(entry.get("template") or default_template, domain)
    except ValueError as error:
        own = prefix.rstrip(".") if options else f"{prefix}template"
        errors.append(MailError(str(error), own if options or entry.get("template") else "dmarc_template"))
        return None
