# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a zone holds and what it should hold -> the changes of its record sets. What is not ours is left alone. No IO."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import DEFAULT_TTL, Record, rdata_text
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_verdicts import (
    OK,
    is_single,
    lacking_mechanisms,
    merged_spf,
    of_kind,
    verdict,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError

# v=spf1, the host, and what is said of all others.
_SPF_TERMS = 3

Key = tuple[str, str]
"""Name without its final dot, and type."""


class RecordSet(NamedTuple):
    """The records of one name and type as a zone holds them, in canonical text. alias: the name is a CNAME for that one."""

    values: tuple[str, ...] = ()
    ttl: int = 0
    alias: str = ""


class Change(NamedTuple):
    """What is to become of one record set. before: as it was read, which must still be so when it is changed."""

    zone: str
    name: str
    type: str
    before: RecordSet
    after: RecordSet

    @property
    def removed(self) -> tuple[str, ...]:
        return tuple(value for value in self.before.values if value not in self.after.values)

    @property
    def added(self) -> tuple[str, ...]:
        """The values that are new, and all of them when their time to live changes."""
        if self.before.ttl != self.after.ttl:
            return self.after.values
        return tuple(value for value in self.after.values if value not in self.before.values)


class Terms(NamedTuple):
    """How records are published. ttl: None keeps what is there. replace: kinds of which other values are replaced by ours."""

    ttl: int | None = None
    replace: Collection[str] = ()


class Planned(NamedTuple):
    """The changes of a run, and what forbids them."""

    changes: tuple[Change, ...] = ()
    errors: tuple[MailError, ...] = ()


def plan_publication(
    records: Iterable[Record], present: Mapping[Key, RecordSet], zones: Mapping[str, str], mx: Sequence[str], terms: Terms
) -> Planned:
    """The changes that make all records present. present: what was read. zones: name -> zone. mx: of the mail host.

    What is in the way of one record keeps back all records of its domain, and those of no other.
    """
    by_domain: defaultdict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_domain[record.domain].append(record)
    wanted: dict[Key, RecordSet] = {}
    errors: list[MailError] = []
    for group in by_domain.values():
        of_domain, found = _wanted_of_domain(group, {**present, **wanted} if wanted.keys() & _keys(group) else present, mx, terms)
        errors.extend(found)
        if not found:
            wanted.update(of_domain)
    return Planned(_changes(wanted, present, zones), tuple(errors))


def _keys(records: Iterable[Record]) -> set[Key]:
    return {(record.name, record.type) for record in records}


def _wanted_of_domain(
    records: Iterable[Record], present: Mapping[Key, RecordSet], mx: Sequence[str], terms: Terms
) -> tuple[dict[Key, RecordSet], list[MailError]]:
    wanted: dict[Key, RecordSet] = {}
    errors = []
    for record in records:
        key = (record.name, record.type)
        try:
            wanted[key] = _with(record, wanted.get(key, present.get(key, RecordSet())), mx, terms)
        except MailError as error:
            errors.append(error)
    return wanted, errors


def plan_withdrawal(records: Iterable[Record], present: Mapping[Key, RecordSet], zones: Mapping[str, str]) -> Planned:
    """The changes after which none of our values is there; whatever else stands at the same names stays."""
    wanted: dict[Key, RecordSet] = {}
    for record in records:
        key = (record.name, record.type)
        before = wanted.get(key, present.get(key, RecordSet()))
        wanted[key] = before._replace(values=tuple(value for value in before.values if not is_ours(record, value)))
    return Planned(_changes(wanted, present, zones))


def is_ours(record: Record, value: str) -> bool:
    """Whether a value in the DNS is one that this host has put there: nothing in it is somebody else's."""
    if not is_single(record.kind):
        return value.lower() in record.values
    if record.kind == "spf":
        # A merged record allows more than ours, and is the administrator's.
        return " ".join(value.lower().split()) == record.values[0].lower()
    return verdict(record, [value]).status == OK


def _changes(wanted: Mapping[Key, RecordSet], present: Mapping[Key, RecordSet], zones: Mapping[str, str]) -> tuple[Change, ...]:
    found = []
    for (name, record_type), after in wanted.items():
        before = present.get((name, record_type), RecordSet())
        if (set(before.values), before.ttl if after.values else 0) != (set(after.values), after.ttl if after.values else 0):
            found.append(Change(zones[name], name, record_type, before, after))
    return tuple(found)


def _with(record: Record, before: RecordSet, mx: Sequence[str], terms: Terms) -> RecordSet:
    """The record set once `record` is in it. Raises MailError when something else of its kind is in the way."""
    where = f"{record.name} {record.type}"
    if before.alias:
        remedy = f"Publish it there, or remove the CNAME: {' | '.join(record.values)}"
        raise MailError(f"this name is a CNAME for {before.alias}", where, remedy)
    judged = verdict(record, before.values, mx)
    ttl = _ttl(record, before, terms)
    if judged.status == OK:
        return before._replace(ttl=ttl)
    rivals = tuple(value for value in _rivals(record, before.values) if not _was_ours(record, value, mx))
    if rivals and record.kind not in terms.replace:
        raise MailError(f"another {record.kind} record is there: {' | '.join(rivals)}", where, _advice(record, rivals, mx))
    gone = of_kind(record.kind, before.values) if record.kind != "tlsa" else ()
    kept = tuple(value for value in before.values if value not in gone)
    return RecordSet(tuple(dict.fromkeys((*kept, *record.values))), ttl)


def _ttl(record: Record, before: RecordSet, terms: Terms) -> int:
    """A record set has one time to live: that of others' records is not ours to change (RFC 2181 section 5.2)."""
    if not before.values:
        return DEFAULT_TTL if terms.ttl is None else terms.ttl
    others = set(before.values) - set(of_kind(record.kind, before.values))
    return before.ttl if terms.ttl is None or others else terms.ttl


def _rivals(record: Record, values: Sequence[str]) -> tuple[str, ...]:
    """Values of the same kind that may be somebody else's."""
    if record.kind == "tlsa":
        return ()
    found = of_kind(record.kind, values)
    if is_single(record.kind):
        return found
    # The same host with another preference, weight or port, or some of our addresses, is ours.
    targets = {value.rpartition(" ")[2] for value in record.values}
    return tuple(value for value in found if value.lower().rpartition(" ")[2] not in targets)


def _was_ours(record: Record, value: str, mx: Sequence[str]) -> bool:
    """Whether a rival is the SPF record that we publish for a domain without sending addresses of its own."""
    hosts = {f"a:{one.partition(' ')[2].rstrip('.')}" for one in mx}
    terms = value.lower().split()
    return record.kind == "spf" and len(terms) == _SPF_TERMS and terms[1] in hosts and terms[2].lstrip("~?-") == "all"


def _advice(record: Record, rivals: Sequence[str], mx: Sequence[str]) -> str:
    replacing = f"to replace it by ours name {record.kind} in replace"
    if record.kind == "spf" and len(rivals) == 1 and lacking_mechanisms(record.values[0], rivals[0], mx):
        return f"Change it to {merged_spf(record.values[0], rivals[0], mx)} so that both may send; {replacing}"
    if record.kind == "mx":
        return f"Mail for {record.domain} goes there. List it in mx if that is right; {replacing}"
    return f"Ours would be {' | '.join(record.values)}; {replacing}"


def diff_of(changes: Iterable[Change], server: str) -> list[dict[str, str]]:
    """What ``--diff`` shows: for each zone the lines that change."""
    by_zone: dict[str, tuple[list[str], list[str]]] = {}
    for change in changes:
        before, after = by_zone.setdefault(change.zone, ([], []))
        before.extend(_lines(change, change.before))
        after.extend(_lines(change, change.after))
    return [
        {
            "before_header": f"zone {zone.rstrip('.')} on {server}",
            "after_header": f"zone {zone.rstrip('.')} on {server}",
            "before": "".join(sorted(before)),
            "after": "".join(sorted(after)),
        }
        for zone, (before, after) in by_zone.items()
    ]


def _lines(change: Change, state: RecordSet) -> list[str]:
    return [f"{change.name}.\t{state.ttl}\tIN\t{change.type}\t{rdata_text(change.type, value)}\n" for value in state.values]
