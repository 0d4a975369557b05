# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The argument specs of what users declare, as data; the documentation of each module and this file are held equal by tests."""

from __future__ import annotations

from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    CERTIFICATE_KEY_TYPES,
    CHALLENGE_METHODS,
    CHALLENGES,
    DEFAULT_ACME_MAX_ORDERS,
    DEFAULT_PROPAGATION,
    DNS_PORT,
    PROVIDERS,
    TSIG_ALGORITHMS,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dmarc import DEFAULT_TEMPLATE
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import SPAM_ACTIONS, Lists
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DEFAULT_ACTIONS,
    DISABLED_ACTIONS,
    DKIM_STATES,
    KEY_LENGTHS,
    KEY_TYPES,
    REGENERATE,
    REMOVED_MAIL,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import OWNER_STATES

Spec = dict[str, dict[str, Any]]

COMMON: Spec = {
    "root": {"type": "path", "default": "/"},
    "layout": {"type": "str", "choices": ["auto", "debian", "redhat"], "default": "auto"},
    "lock_timeout": {"type": "float", "default": 60.0},
    "acting_as": {"type": "str"},
    "job_id": {"type": "str"},
}

REMOVAL: Spec = {
    "removed_mail": {"type": "str", "choices": list(REMOVED_MAIL)},
    "archive_dir": {"type": "path"},
}

RESTORATION: Spec = {"restore_from": {"type": "path"}}

PASSWORD_SCHEME: Spec = {
    "password_scheme": {
        "type": "str",
        "choices": ["BLF-CRYPT", "SHA512-CRYPT", "ARGON2ID"],
        "default": "BLF-CRYPT",
        "no_log": False,
    },
}

FILTERS: Spec = {
    "greylisting": {"type": "bool"},
    "spamassassin": {"type": "bool"},
    "spam_action": {"type": "str", "choices": list(SPAM_ACTIONS)},
    "spam_threshold": {"type": "float"},
    "spam_reject_threshold": {"type": "float"},
    "antivirus": {"type": "bool"},
    "outgoing_limit": {"type": "int"},
}

LISTS: Spec = {name: {"type": "list", "elements": "str"} for name in Lists._fields}

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
    "filters": {"type": "dict", "options": FILTERS},
}

MAILBOX_ENTRY: Spec = {"name": {"type": "str", "required": True}, **MAILBOX}

DKIM: Spec = {
    "state": {"type": "str", "choices": list(DKIM_STATES), "default": "present"},
    "selector": {"type": "str"},
    "key_type": {"type": "str", "choices": list(KEY_TYPES), "no_log": False},
    "key_length": {"type": "int", "choices": list(KEY_LENGTHS), "no_log": False},
    "service_type": {"type": "str"},
    "private_key": {"type": "str", "no_log": True},
    "regenerate": {"type": "str", "choices": list(REGENERATE), "default": "never"},
    "rotate": {
        "type": "dict",
        "options": {"to": {"type": "str", "required": True}, "retire_after": {"type": "str", "default": "7d"}},
    },
}

_POLICIES = ["none", "quarantine", "reject"]

DMARC: Spec = {
    "state": {"type": "str", "choices": list(DKIM_STATES), "default": "present"},
    "template": {"type": "str"},
    "policy": {"type": "str", "choices": _POLICIES},
    "subdomain_policy": {"type": "str", "choices": _POLICIES},
    "rua": {"type": "list", "elements": "str"},
    "ruf": {"type": "list", "elements": "str"},
    "pct": {"type": "int"},
    "adkim": {"type": "str", "choices": ["r", "s"]},
    "aspf": {"type": "str", "choices": ["r", "s"]},
}

DMARC_TEMPLATE: Spec = {"dmarc_template": {"type": "str", "default": DEFAULT_TEMPLATE}}

# How a rotation asks whether its TXT records are out.
LOOK: Spec = {
    "resolvers": {"type": "list", "elements": "str"},
    "dns_timeout": {"type": "float", "default": 20.0},
}

RFC2136: Spec = {
    "server": {"type": "str", "required": True},
    "port": {"type": "int", "default": DNS_PORT},
    "tsig_name": {"type": "str", "required": True},
    "tsig_secret": {"type": "str", "no_log": True},
    "tsig_algorithm": {"type": "str", "choices": list(TSIG_ALGORITHMS), "default": TSIG_ALGORITHMS[0]},
    "propagation_seconds": {"type": "int", "default": DEFAULT_PROPAGATION},
}

# What may be said once for all certificates of a host.
SSL_DEFAULTS: Spec = {
    "provider": {"type": "str", "choices": list(PROVIDERS)},
    "key_type": {"type": "str", "choices": list(CERTIFICATE_KEY_TYPES), "no_log": False},
    "key_size": {"type": "int", "no_log": False},
    "valid_days": {"type": "int"},
    "renew_before_days": {"type": "int"},
    "email": {"type": "str"},
    "acme_directory": {"type": "str"},
    "challenge": {"type": "str", "choices": list(CHALLENGES)},
    "challenge_method": {"type": "str", "choices": [method for methods in CHALLENGE_METHODS.values() for method in methods]},
    "webroot": {"type": "path"},
    "rfc2136": {"type": "dict", "options": RFC2136},
    "terms_agreed": {"type": "bool"},
    "eab_kid": {"type": "str"},
    "eab_hmac_key": {"type": "str", "no_log": True},
    "ca_certificate": {"type": "path"},
}

SSL: Spec = {
    "state": {"type": "str", "choices": list(DKIM_STATES), "default": "present"},
    "alias": {"type": "str"},
    "alternative_names": {"type": "list", "elements": "str"},
    **SSL_DEFAULTS,
    "certificate": {"type": "str"},
    "chain": {"type": "str"},
    "private_key": {"type": "str", "no_log": True},
    "certificate_path": {"type": "path"},
    "chain_path": {"type": "path"},
    "private_key_path": {"type": "path", "no_log": False},
    "force": {"type": "bool", "default": False},
}

# What concerns the certificates of all domains of a run.
CERTIFYING: Spec = {
    "ssl_defaults": {"type": "dict", "options": SSL_DEFAULTS},
    "acme_max_orders": {"type": "int", "default": DEFAULT_ACME_MAX_ORDERS},
}

DOMAIN: Spec = {
    "name": {"type": "str", "required": True, "aliases": ["domain"]},
    "owner": {"type": "str"},
    "enabled": {"type": "bool"},
    "disabled_action": {"type": "str", "choices": list(DISABLED_ACTIONS)},
    "default_action": {"type": "str", "choices": list(DEFAULT_ACTIONS)},
    "forward_to": {"type": "str"},
    "ip_addresses": {"type": "list", "elements": "str"},
    "suspended": {"type": "bool"},
    "suspended_reason": {"type": "str"},
    "dkim": {"type": "dict", "options": DKIM},
    "dmarc": {"type": "dict", "options": DMARC},
    "ssl": {"type": "dict", "options": SSL},
    **FILTERS,
    "mailbox_filters": {"type": "bool"},
    **LISTS,
}

# The entries of mailboxes are validated one by one, so that an error says which one it is in.
DOMAIN_ENTRY: Spec = {**DOMAIN, "mailboxes": {"type": "list", "elements": "dict"}}

OWNER: Spec = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": list(OWNER_STATES), "default": "present"},
    "reseller": {"type": "str"},
    "max_domains": {"type": "int"},
    "max_mailboxes": {"type": "int"},
    "max_mailbox_quota": {"type": "str"},
    "total_quota": {"type": "str"},
    "outgoing_limit": {"type": "int"},
    "ssl_allowed": {"type": "bool"},
    "allowed_ips": {"type": "list", "elements": "str"},
    "delegated_domains": {"type": "list", "elements": "str"},
}

DOMAINS: Spec = {
    "domains": {
        "type": "list",
        "elements": "dict",
        "options": {**DOMAIN, "mailboxes": {"type": "list", "elements": "dict", "options": MAILBOX_ENTRY}},
    },
    "owners": {"type": "list", "elements": "dict", "options": OWNER},
    "src": {"type": "path"},
    "remote_src": {"type": "bool", "default": False},
    "prune": {"type": "bool", "default": False},
    "prune_limit": {"type": "str", "default": "10%"},
    "restore_generation": {"type": "int"},
}

IMPORT: Spec = {
    "kind": {"type": "str", "required": True, "choices": ["ispmanager", "hestia"]},
    "exim_dir": {"type": "path"},
    "password_file": {"type": "path", "default": "/etc/dovecot/passwd", "no_log": False},
    "quota_unit": {"type": "str", "choices": ["B", "K", "M", "G"], "default": "M"},
    "hestia_dir": {"type": "path", "default": "/usr/local/hestia"},
    "home_dir": {"type": "path", "default": "/home"},
    "export_file": {"type": "path"},
}

STATE: Spec = {"state": {"type": "str", "choices": ["present", "absent"], "default": "present"}}

_RECORD_KINDS = ["mx", "a", "aaaa", "spf", "dkim", "dmarc", "mta_sts", "tls_rpt", "tlsa", "autoconfig"]

PROVIDER: Spec = {
    "type": {"type": "str", "required": True, "choices": ["rfc2136"]},
    "server": {"type": "str", "required": True},
    "port": {"type": "int", "default": 53},
    "zone": {"type": "str"},
    "tsig_name": {"type": "str"},
    "tsig_secret": {"type": "str", "no_log": True},
    "tsig_algorithm": {
        "type": "str",
        "choices": list(TSIG_ALGORITHMS),
        "default": TSIG_ALGORITHMS[0],
    },
}

DNS: Spec = {
    "domains": {"type": "list", "elements": "str", "aliases": ["domain"]},
    "state": {"type": "str", "choices": ["present", "absent", "verified"], "default": "present"},
    "records": {"type": "list", "elements": "str", "choices": _RECORD_KINDS, "default": ["mx", "spf", "dkim", "dmarc"]},
    "ttl": {"type": "int"},
    "mail_host": {"type": "str"},
    "mail_host_addresses": {"type": "list", "elements": "str"},
    "mx": {"type": "list", "elements": "str"},
    "spf_all": {"type": "str", "choices": ["fail", "softfail", "neutral"], "default": "softfail"},
    "mta_sts_id": {"type": "str"},
    "tls_rpt_rua": {"type": "list", "elements": "str"},
    "provider": {"type": "dict", "options": PROVIDER, "required_together": [["tsig_name", "tsig_secret"]]},
    "replace": {"type": "list", "elements": "str", "choices": _RECORD_KINDS, "default": []},
    "withdraw_dns": {"type": "bool", "default": False},
    "resolvers": {"type": "list", "elements": "str"},
    "timeout": {"type": "float", "default": 30.0},
    "fail_on_difference": {"type": "bool", "default": False},
}
