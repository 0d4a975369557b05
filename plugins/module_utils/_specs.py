# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specs of what users declare, as data; the documentation of each module and this file are held equal by tests."""

from __future__ import annotations

from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DEFAULT_ACTIONS,
    DISABLED_ACTIONS,
    REMOVED_MAIL,
)

Spec = dict[str, dict[str, Any]]

COMMON: Spec = {
    "root": {"type": "path", "default": "/"},
    "layout": {"type": "str", "choices": ["auto", "debian", "redhat"], "default": "auto"},
    "lock_timeout": {"type": "float", "default": 60.0},
}

REMOVAL: Spec = {
    "removed_mail": {"type": "str", "choices": list(REMOVED_MAIL)},
    "archive_dir": {"type": "path"},
}

PASSWORD_SCHEME: Spec = {
    "password_scheme": {
        "type": "str",
        "choices": ["BLF-CRYPT", "SHA512-CRYPT", "ARGON2ID"],
        "default": "BLF-CRYPT",
        "no_log": False,
    },
}

MAILBOX: Spec = {
    "password": {"type": "str", "no_log": True},
    "password_hash": {"type": "str", "no_log": True},
    "update_password": {"type": "str", "choices": ["on_create", "always"], "default": "on_create", "no_log": False},
    "quota": {"type": "str"},
    "enabled": {"type": "bool"},
    "aliases": {"type": "list", "elements": "str"},
    "forward_to": {"type": "list", "elements": "str"},
    "keep_copy": {"type": "bool"},
    "senders": {"type": "list", "elements": "str"},
}

MAILBOX_ENTRY: Spec = {"name": {"type": "str", "required": True}, **MAILBOX}

DOMAIN: Spec = {
    "name": {"type": "str", "required": True, "aliases": ["domain"]},
    "owner": {"type": "str"},
    "enabled": {"type": "bool"},
    "disabled_action": {"type": "str", "choices": list(DISABLED_ACTIONS)},
    "default_action": {"type": "str", "choices": list(DEFAULT_ACTIONS)},
    "forward_to": {"type": "str"},
    "ip_addresses": {"type": "list", "elements": "str"},
}

# The entries of mailboxes are validated one by one, so that an error says which one it is in.
DOMAIN_ENTRY: Spec = {**DOMAIN, "mailboxes": {"type": "list", "elements": "dict"}}

DOMAINS: Spec = {
    "domains": {
        "type": "list",
        "elements": "dict",
        "options": {**DOMAIN, "mailboxes": {"type": "list", "elements": "dict", "options": MAILBOX_ENTRY}},
    },
    "src": {"type": "path"},
    "remote_src": {"type": "bool", "default": False},
    "prune": {"type": "bool", "default": False},
    "prune_limit": {"type": "str", "default": "10%"},
}

STATE: Spec = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}
