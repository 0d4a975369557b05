# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be said in a run that acts in somebody's name (``acting_as``). No IO.

Listed is what is allowed: all else is the administrator's, also an option that is yet to be invented.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import Filters, Lists
from ansible_collections.fleetpost.mail.plugins.module_utils._rights import Refusal, is_administrator

_MAILBOX = dict.fromkeys(
    [
        *("name", "password", "password_hash", "update_password", "quota", "enabled", "aliases", "forward_to", "keep_copy", "senders"),
        "filters",
    ]
)
_DKIM = dict.fromkeys(["state", "selector", "key_type", "key_length", "service_type", "private_key", "regenerate", "rotate"])
# A certificate of the usual kind, or one that is brought along: no path, no authority and no name server of one's own choice.
_SSL = dict.fromkeys(
    [
        *("state", "alias", "alternative_names", "provider", "key_type", "key_size", "valid_days", "renew_before_days", "email"),
        *("terms_agreed", "certificate", "chain", "private_key"),
    ]
)
_DOMAIN: Mapping[str, Any] = {
    **dict.fromkeys(
        [
            "name",
            "domain",
            "owner",
            "enabled",
            "disabled_action",
            "default_action",
            "forward_to",
            "ip_addresses",
            "dmarc",
            "mailbox_filters",
        ]
    ),
    **dict.fromkeys([*Filters._fields, *Lists._fields]),
    "dkim": _DKIM,
    "ssl": _SSL,
    "mailboxes": _MAILBOX,
}
_DNS = dict.fromkeys(["domains", "records", "ttl", "provider", "withdraw_dns", "replace", "fail_on_difference"])
_INFO = dict.fromkeys(["names", "subset", "reseller", "check_dns", "check_tls", "history", "history_limit"])

# Of all modules; option -> what is allowed inside it, None for anything.
ALLOWED: Mapping[str, Any] = {
    **dict.fromkeys(["acting_as", "job_id", "lock_timeout", "removed_mail", "password_scheme", "dmarc_template", "address"]),
    **_MAILBOX,
    **_DKIM,
    **_SSL,
    **_DNS,
    **_INFO,
    **_DOMAIN,
}
# How mail_domains gets its entries: its action plugin refuses a `src` of the user's own.
_CARRIED = frozenset(["src", "remote_src"])


def refused_options(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[Refusal]:
    """A refusal for each option of a module that is said and not allowed; what says no more than its default says nothing."""
    if is_administrator(options.get("acting_as")):
        return
    said = {name: value for name, value in options.items() if name not in _CARRIED and value != defaults.get(name)}
    yield from _refused(said, ALLOWED, "")


def refused_in_entries(entries: Iterable[Any], acting_as: str | None) -> Iterator[Refusal]:
    """The same for the entries of `domains`."""
    if not is_administrator(acting_as):
        yield from _refused_inside(list(entries), _DOMAIN, "domains")


def _refused(said: Mapping[str, Any], allowed: Mapping[str, Any], prefix: str) -> Iterator[Refusal]:
    for option, value in said.items():
        if value is None:
            continue
        if option not in allowed:
            yield Refusal(f"{prefix}{option}")
        elif allowed[option] is not None:
            yield from _refused_inside(value, allowed[option], f"{prefix}{option}")


def _refused_inside(value: Any, allowed: Mapping[str, Any], where: str) -> Iterator[Refusal]:
    entries = [(f"{where}[{index}]", one) for index, one in enumerate(value)] if isinstance(value, list) else [(where, value)]
    for place, entry in entries:
        if isinstance(entry, Mapping):
            yield from _refused(entry, allowed, f"{place}.")
