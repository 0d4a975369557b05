# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The changes of a run as the log has them: each action, with what its values were and what they are. No IO, and no secret."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Union

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Certificate
from ansible_collections.fleetpost.mail.plugins.module_utils._exim import address_value
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import NO_FILTERS
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Address, Alias, Dkim, Domain, Forward, Host, Mailbox, domain_of
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import Owner
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import Plan
from ansible_collections.fleetpost.mail.plugins.module_utils._report import Action, key_file_actions
from ansible_collections.fleetpost.mail.plugins.module_utils._report_certificates import certificate_fields
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import shown_signing

Values = dict[str, Any]
Subject = Union[Domain, Address, Certificate, Owner, None]

# What stands in the entry already, and what is no value of the thing itself.
_HIDDEN_FIELDS = ("name", "address", "removal", "old_mailbox")
_FIRST_WORD = re.compile(r"[,:\s]")
_ADDRESS_KINDS = ("mailbox", "alias", "forward", "address")
_KINDS = {Mailbox: "mailbox", Alias: "alias", Forward: "forward"}


def entries_of(plan: Plan, actions: Iterable[Action], present: Host, desired: Host) -> list[dict[str, Any]]:
    """An entry for each action, and one for each key file: a result tells of those only where nothing else of their domain changes."""
    actions = list(actions)
    addresses = _Addresses(present, desired)
    told = set(actions)
    actions += (action for action in key_file_actions(plan) if action not in told)
    return [_entry(action, present, desired, addresses) for action in actions]


def _entry(action: Action, present: Host, desired: Host, addresses: _Addresses) -> dict[str, Any]:
    entry: dict[str, Any] = action._asdict()
    changes: dict[str, list[Any]] = {}
    kind = action.action.rpartition(" ")[2]
    if kind == "certificate":
        name = _certificate_of(action, present, desired)
        entry["certificate"] = name
        if action.action not in ("write certificate", "order certificate"):
            changes = changes_between(present.certificates.get(name), desired.certificates.get(name))
    elif kind in _ADDRESS_KINDS:
        name = _first_word(action.detail)
        entry["address"] = name
        changes = changes_between(present.addresses.get(name), desired.addresses.get(name))
    elif kind == "owner":
        name = _first_word(action.detail)
        entry["owner"] = name
        changes = changes_between(present.owners.get(name), desired.owners.get(name))
    elif action.action in ("create", "change", "remove"):
        changes = changes_between(present.domains.get(action.domain), desired.domains.get(action.domain))
        changes.update(addresses.changes(action.domain))
    return {**entry, "changes": changes} if changes else entry


def _certificate_of(action: Action, present: Host, desired: Host) -> str:
    """The name of the certificate that an action is about: most say it, and what is made is that of its domain or the host's own."""
    name = _first_word(action.detail)
    if name in present.certificates or name in desired.certificates:
        return name
    if action.domain:
        return desired.domains[action.domain].certificate
    return next((one.name for one in desired.certificates.values() if one.is_host), "")


def _first_word(detail: str) -> str:
    """The name that a detail begins with; none has a comma or colon in it."""
    return _FIRST_WORD.split(detail, maxsplit=1)[0]


class _Addresses:
    """The addresses of domains that come or go as a whole, with what their lines say; their passwords are in none."""

    def __init__(self, present: Host, desired: Host) -> None:
        self.present = present
        self.desired = desired
        self._by_domain: dict[int, defaultdict[str, Values]] = {}

    def changes(self, domain: str) -> Iterator[tuple[str, list[Any]]]:
        """The change of the addresses of a domain that only one of the hosts has."""
        if (domain in self.present.domains) != (domain in self.desired.domains):
            before, after = self._of(self.present, domain), self._of(self.desired, domain)
            if before or after:
                yield "addresses", [before, after]

    def _of(self, host: Host, domain: str) -> Values | None:
        if id(host) not in self._by_domain:
            found: defaultdict[str, Values] = defaultdict(dict)
            for name, address in host.addresses.items():
                found[domain_of(name)][name] = address_value(address, None)
            self._by_domain[id(host)] = found
        return self._by_domain[id(host)].get(domain) if domain in host.domains else None


def changes_between(there: Subject, wanted: Subject) -> dict[str, list[Any]]:
    """Field -> its value before and after, for those that differ; None is no value, or not there."""
    before, after = _values_of(there), _values_of(wanted)
    if there is None or wanted is None:
        before, after = _filtering(before), _filtering(after)
    return {field: [before.get(field), after.get(field)] for field in {**before, **after} if before.get(field) != after.get(field)}


def _filtering(values: Values) -> Values:
    """The values of a domain that comes or goes, of its filters only those that do something."""
    usual = {**NO_FILTERS._asdict(), "mailbox_filters": True, "suspended": False} if "owner" in values else {}
    return {field: value for field, value in values.items() if field not in usual or value != usual[field]}


def _values_of(one: Subject) -> Values:
    if one is None:
        return {}
    if isinstance(one, Certificate):
        return {field: value or None for field, value in certificate_fields(one).items()}
    fields = {field: value for field, value in one._asdict().items() if field not in _HIDDEN_FIELDS}
    if isinstance(one, Owner):
        return {field: _plain(value) for field, value in fields.items()}
    if isinstance(one, Domain):
        fields.update(fields.pop("lists")._asdict(), **fields.pop("filters")._asdict())
    else:
        fields = {"kind": _KINDS[type(one)], **fields}
        fields.update(fields.pop("filters", NO_FILTERS)._asdict() if isinstance(one, Mailbox) else ())
    return {field: _plain(value) for field, value in fields.items()}


def _plain(value: Any) -> Any:
    """A value as JSON has it; what is empty is not there."""
    if isinstance(value, Dkim):
        return shown_signing(value)
    if isinstance(value, tuple):
        return list(value) or None
    return None if value == "" else value
