# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan as people read it: actions, counts and a diff, the same in check mode and in a real run. No secret passes here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import record_name, record_of
from ansible_collections.fleetpost.mail.plugins.module_utils._dovecot import masked_user_value
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Address,
    Alias,
    Dkim,
    Domain,
    Forward,
    Host,
    Mailbox,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import Owner
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import Plan
from ansible_collections.fleetpost.mail.plugins.module_utils._report_certificates import certificate_actions, certificates_shown
from ansible_collections.fleetpost.mail.plugins.module_utils._report_filters import changed_lists, filters_by_name, shown_filters
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import shown_signing
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import (
    ChownTree,
    MakeDirectory,
    PutBack,
    Remove,
    RemoveKey,
    SetOwnership,
    WriteKey,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import TableChange

# Seconds; the default of mail_domain_dns as well.
RECORD_TTL = 3600

# A diff longer than this is cut, with a line that says how many lines it goes on for.
DIFF_LINES = 400


class Action(NamedTuple):
    """One change of a domain: done, or what would be done. `domain` is empty for what belongs to the host."""

    domain: str
    action: str
    detail: str


def actions_of(layout: Layout, plan: Plan, present: Host, desired: Host) -> list[Action]:
    """Every change of the plan, sorted by domain. A new domain is one action, its mailboxes are counted in its detail."""
    found = [*_owner_actions(present, desired), *_domain_actions(present, desired), *_address_actions(present, desired)]
    found += (_removal_action(removal) for removal in plan.removals)
    found += _login_actions(layout, plan, present, desired)
    found += _key_actions(plan, found)
    found += (Action(*action) for action in certificate_actions(plan, present, desired))
    found += _directory_actions(layout, plan, found)
    return sorted(found)


def _owner_actions(present: Host, desired: Host) -> Iterator[Action]:
    for name, owner in desired.owners.items():
        there = present.owners.get(name)
        if there is owner:
            continue
        differences = _differences(there or Owner(name), owner)
        yield Action("", "change owner" if there else "create owner", f"{name}: {differences}" if differences else name)
    for name in present.owners.keys() - desired.owners.keys():
        yield Action("", "remove owner", name)


def _domain_actions(present: Host, desired: Host) -> Iterator[Action]:
    sizes: Counter[str] | None = None
    for name, domain in desired.domains.items():
        there = present.domains.get(name)
        if there is domain:
            continue
        if there is None:
            sizes = sizes or Counter(domain_of(address) for address in desired.addresses)
            yield Action(name, "create", _described(domain, sizes[name]))
        elif there != domain:
            yield Action(name, "change", _differences(there, domain))


def _described(domain: Domain, addresses: int) -> str:
    parts = [f"owner {domain.owner}", f"unknown addresses: {domain.default_action}"]
    if domain.forward_to:
        parts[-1] += f" {domain.forward_to}"
    if domain.ip_addresses:
        parts.append(f"sends from {', '.join(domain.ip_addresses)}")
    if domain.dkim:
        parts.append(f"signs with {shown_signing(domain.dkim)}")
    if domain.dmarc:
        parts.append(f"DMARC {domain.dmarc}")
    if domain.certificate:
        parts.append(f"certificate {domain.certificate}")
    parts.extend(shown_filters(domain))
    if not domain.enabled:
        parts.append(f"disabled ({domain.disabled_action})")
    if domain.suspended:
        parts.append(f"suspended ({domain.suspended_reason})" if domain.suspended_reason else "suspended")
    if addresses:
        parts.append(f"{addresses} address{'es' if addresses != 1 else ''}")
    return ", ".join(parts)


_HIDDEN_FIELDS = ("name", "address", "removal", "old_mailbox", "lists")


def _differences(there: Domain | Address | Owner, wanted: Domain | Address | Owner) -> str:
    before, after = _fields_of(there), _fields_of(wanted)
    parts = [
        f"{field}: {_shown(before.get(field))} -> {_shown(value)}"
        for field, value in after.items()
        if field not in _HIDDEN_FIELDS and before.get(field) != value
    ]
    if isinstance(there, Domain) and isinstance(wanted, Domain) and there.lists != wanted.lists:
        parts.extend(changed_lists(there.lists, wanted.lists))
    if not isinstance(there, Owner) and there.removal:
        parts.insert(0, "comes back, its removal was not finished")
    return ", ".join(parts)


def _fields_of(one: Domain | Address | Owner) -> dict[str, Any]:
    """Field -> value, with each filter as a field of its own."""
    fields = one._asdict()
    if isinstance(one, Owner):
        # No number is no limit, and zero is one.
        return {name: str(value) if isinstance(value, int) and name.startswith("max_") else value for name, value in fields.items()}
    fields.update(filters_by_name(fields.pop("filters", ())))
    return fields


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Dkim):
        return shown_signing(value)
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    return str(value) if value else "none"


_KINDS = {Mailbox: "mailbox", Alias: "alias", Forward: "forward"}


def _address_actions(present: Host, desired: Host) -> Iterator[Action]:
    for name, address in desired.addresses.items():
        there = present.addresses.get(name)
        domain = domain_of(name)
        if there is address or domain not in present.domains:
            continue
        kind = _KINDS[type(address)]
        if there is None:
            yield Action(domain, f"create {kind}", name)
        elif type(there) is not type(address):
            yield Action(domain, f"create {kind}", f"{name}, which was {_an(_KINDS[type(there)])}")
        elif there != address:
            yield Action(domain, f"change {kind}", f"{name}: {_differences(there, address)}")


def _an(kind: str) -> str:
    return f"an {kind}" if kind == "alias" else f"a {kind}"


def _removal_action(removal: Remove) -> Action:
    fate = _fate(removal, removal.target)
    if "@" not in removal.name:
        return Action(removal.name, "remove", fate)
    detail = f"{removal.name}, {fate}" if removal.source else removal.name
    return Action(domain_of(removal.name), "remove mailbox" if removal.source else "remove address", detail)


def _fate(removal: Remove, target: str) -> str:
    return {
        "keep": f"its mail is kept in {target}",
        "archive": f"its mail is archived in {removal.removal.archive_dir}/{target.rpartition('/')[2]}.tar.gz",
        "delete": "its mail is deleted",
    }[removal.removal.removed_mail]


def _login_actions(layout: Layout, plan: Plan, present: Host, desired: Host) -> Iterator[Action]:
    """Lines of ``users`` that change although nothing of the mailbox does: a password, or an owner's ids."""
    after = {name: value for change in plan.changes if change.path == layout.users for name, value in change.after.items()}
    for name, value in after.items():
        there, domain = present.addresses.get(name), domain_of(name)
        unchanged = there is not None and there is desired.addresses.get(name)
        if value is None or not unchanged:
            continue
        is_password = present.hashes.get(name) != desired.hashes.get(name)
        if is_password or present.domains.get(domain) is desired.domains.get(domain):
            yield Action(domain, "change password" if is_password else "mend login", name)


def _key_actions(plan: Plan, found: list[Action]) -> Iterator[Action]:
    """Key files that are written or removed although nothing else of their domain changes."""
    changed = {action.domain for action in found}
    yield from (action for action in key_file_actions(plan) if action.domain not in changed)


def key_file_actions(plan: Plan) -> Iterator[Action]:
    """Every key file that is written or removed."""
    for step in plan.steps:
        if isinstance(step, WriteKey):
            yield Action(step.domain, "write key" if step.is_secret else "write key record", f"{step.path}: {step.shown}")
        elif isinstance(step, RemoveKey):
            yield Action(step.domain, "remove key", step.path)


def _directory_actions(layout: Layout, plan: Plan, found: list[Action]) -> Iterator[Action]:
    """Directories, tables and keys that are put right although nothing else of their domain changes."""
    changed = {action.domain for action in found}
    for step in plan.steps:
        if isinstance(step, PutBack):
            yield Action(domain_of(step.name), "put mail back", f"{step.target}, from {step.source}")
        if not isinstance(step, (MakeDirectory, SetOwnership, ChownTree)):
            continue
        domain = step.domain if isinstance(step, SetOwnership) else ""
        if step.path.startswith(layout.mail_root):
            domain = step.path[len(layout.mail_root) + 1 :].partition("/")[0]
        if not domain:
            if not isinstance(step, MakeDirectory):
                yield Action("", "mend ownership", step.path)
        elif domain not in changed:
            yield Action(domain, "make directory" if isinstance(step, MakeDirectory) else "mend ownership", step.path)


def changed_domains(actions: list[Action]) -> list[str]:
    return sorted({action.domain for action in actions if action.domain})


def key_records(desired: Host, names: Iterable[str]) -> list[dict[str, Any]]:
    """The TXT records of the DKIM keys of some domains, as far as the keys are made; those of retired keys are over."""
    keys = (
        (name, key)
        for name in names
        if name in desired.domains and (dkim := desired.domains[name].dkim)
        for key in dkim.keys + (() if dkim.stage == "retired" else dkim.other)
    )
    return [
        {"record": record_name(key.selector, name), "type": "TXT", "ttl": RECORD_TTL, "value": [record_of(desired.keys[key.file])]}
        for name, key in keys
        if key.file in desired.keys and desired.keys[key.file].public_key
    ]


def counts_of(present: Host, desired: Host) -> dict[str, dict[str, int]]:
    """How many domains, mailboxes and other addresses are created, changed, removed and there afterwards."""
    present_mailboxes = {name: one for name, one in present.addresses.items() if isinstance(one, Mailbox)}
    mailboxes = {name: one for name, one in desired.addresses.items() if isinstance(one, Mailbox)}
    present_others = {name: one for name, one in present.addresses.items() if not isinstance(one, Mailbox)}
    others = {name: one for name, one in desired.addresses.items() if not isinstance(one, Mailbox)}
    return {
        "domains": _counted(present.domains, desired.domains),
        "mailboxes": _counted(present_mailboxes, mailboxes),
        "aliases_and_forwards": _counted(present_others, others),
    }


def _counted(before: Any, after: Any) -> dict[str, int]:
    created = after.keys() - before.keys()
    return {
        "created": len(created),
        "changed": sum(1 for name, value in after.items() if name not in created and before[name] != value),
        "removed": len(before.keys() - after.keys()),
        "total": len(after),
    }


def diff_of(root: str, plan: Plan) -> list[dict[str, str]]:
    """What ``--diff`` shows: for each table the lines that change, cut after DIFF_LINES, and the directories."""
    shown = [_table_diff(root, change) for change in plan.changes if change.after or change.is_new]
    shown += _keys_diff(root, plan)
    certificates = certificates_shown(plan)
    shown += [_diff(root, "certificates", *certificates)] if any(certificates) else []
    shown += _directories_diff(root, plan)
    return shown


def _table_diff(root: str, change: TableChange) -> dict[str, str]:
    before, after = [], []
    for key in sorted(change.after):
        old, new = change.table.values.get(key), change.after[key]
        old_line = None if old is None else _line(change, key, old)
        new_line = None if new is None else _line(change, key, new)
        if old_line is not None:
            before.append(old_line)
        if new_line is not None:
            after.append(f"{new_line}  (new password)" if new_line == old_line else new_line)
    if change.is_new:
        after.insert(0, "(new table)")
    return _diff(root, change.path, before, after)


def _line(change: TableChange, key: str, value: str) -> str:
    return change.table.line(key, masked_user_value(value) if change.is_secret else value)


def _diff(root: str, path: str, before: list[str], after: list[str]) -> dict[str, str]:
    full = root.rstrip("/") + path if path.startswith("/") else path
    return {"before_header": full, "after_header": full, "before": _cut(before), "after": _cut(after)}


def _cut(lines: list[str]) -> str:
    shown = lines[:DIFF_LINES]
    if len(lines) > DIFF_LINES:
        shown.append(f"... and {len(lines) - DIFF_LINES} more lines")
    return "".join(f"{line}\n" for line in shown)


def _keys_diff(root: str, plan: Plan) -> Iterator[dict[str, str]]:
    """Keys in words: what is made in the run is not known before, and a private key is shown nowhere."""
    before = [step.path for step in plan.steps if isinstance(step, RemoveKey)]
    after = [f"{step.path}: {step.shown}" for step in plan.steps if isinstance(step, WriteKey)]
    if before or after:
        yield _diff(root, "DKIM keys", before, after)


def _directories_diff(root: str, plan: Plan) -> Iterator[dict[str, str]]:
    made = [step for step in plan.steps if isinstance(step, MakeDirectory)]
    mended = [step for step in plan.steps if isinstance(step, (SetOwnership, ChownTree))]
    returned = [step for step in plan.steps if isinstance(step, PutBack)]
    removed = [step for step in plan.removals if step.source]
    after = [f"{step.path}/ {_rights(step)}" for step in made]
    after += [f"{step.path} {_rights(step)}" for step in mended]
    # When a removal begins is not known before: check mode must show the same.
    after += [f"{step.source}/: {_fate(step, step.target.rpartition('.')[0] + '.TIMESTAMP')}" for step in removed]
    after += [f"{step.target}/" for step in returned]
    before = [f"{step.path} (other owner or mode)" for step in mended]
    before += [f"{step.source}/" for step in removed]
    before += [f"{step.source}/" for step in returned]
    if before or after:
        yield _diff(root, "mail directories and ownership", before, after)


def _rights(step: MakeDirectory | SetOwnership | ChownTree) -> str:
    uid, gid, mode = step.ownership
    return f"{uid}:{gid} {mode:04o}"
