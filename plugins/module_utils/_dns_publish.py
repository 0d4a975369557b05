# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishes records by dynamic updates of their zones' primary server: read, plan, update; and once again what changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._dns_changes import Change, Key, Planned, RecordSet
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_packets import TIME_OVER, Reply, Request
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import Record
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_sockets import deadline_in, distinct_ids, exchange
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_update import (
    PREREQUISITE_FAILED,
    Originals,
    Provider,
    Signed,
    batches,
    read_reply,
    record_set_of,
    refusal,
    signed_query,
    signed_test,
    signed_update,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_wire import (
    AUTHORITATIVE,
    NOERROR,
    NXDOMAIN,
    TYPES,
    name_text,
    rcode_text,
    response_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors

Planner = Callable[[Mapping[Key, RecordSet], Mapping[str, str]], Planned]
"""What was read, and the zone of each name -> the changes."""

_AT_ONCE = 60000
_MOST_LABELS = 12
_NS, _CNAME, _SOA = (TYPES[name] for name in ("NS", "CNAME", "SOA"))


class Published(NamedTuple):
    """The changes that were made, or in check mode would be, and why those of other zones were not."""

    changes: tuple[Change, ...] = ()
    failures: tuple[MailError, ...] = ()


def publish(records: Sequence[Record], planner: Planner, provider: Provider, seconds: float, check_mode: bool) -> Published:
    """Makes the changes that `planner` wants of the record sets of `records`. seconds: for everything.

    What is in the way of one domain, or keeps one zone from being found, holds up no other. Raises MailErrors when nothing was
    changed at all.
    """
    primary = _Primary(provider, seconds)
    reading, planned = _plan(primary, list(dict.fromkeys((record.name, record.type) for record in records)), planner)
    if planned.errors and not planned.changes:
        raise MailErrors(planned.errors)
    if check_mode or not planned.changes:
        return Published(planned.changes, planned.errors)
    published = primary.update(planned.changes, reading.originals)
    if published.conflicts:
        again = _again(primary, published.conflicts, planner)
        published = _Updated(published.made + again.made, published.failures + again.failures, again.conflicts)
    failures = [*planned.errors, *published.failures, *(_conflict(change) for change in published.conflicts)]
    if failures and not published.made:
        raise MailErrors(_distinct(failures))
    return Published(tuple(published.made), tuple(_distinct(failures)))


class _Reading(NamedTuple):
    """What the server has. originals: the same as records of dnspython. zones: name -> zone. errors: of names without a zone there."""

    present: dict[Key, RecordSet]
    originals: dict[Key, Originals]
    zones: dict[str, str]
    errors: list[MailError]


class _Updated(NamedTuple):
    """conflicts: the changes whose record sets were no more what had been read."""

    made: list[Change]
    failures: list[MailError]
    conflicts: list[Change]


def _plan(primary: _Primary, keys: Sequence[Key], planner: Planner) -> tuple[_Reading, Planned]:
    """What only a wildcard makes of a record set may stay so where all is well, and counts for nothing where it is not.

    A wildcard ends where a name begins to exist, be it by another of our records at it or below it (RFC 4592 section 2.2).
    """
    reading = primary.read(keys)
    planned = planner(reading.present, reading.zones)
    if planned.changes or planned.errors:
        reading = primary.without_wildcards(reading)
        planned = planner(reading.present, reading.zones)
    return reading, planned._replace(errors=(*planned.errors, *_distinct(reading.errors)))


def _again(primary: _Primary, conflicts: Iterable[Change], planner: Planner) -> _Updated:
    reading, planned = _plan(primary, [(change.name, change.type) for change in conflicts], planner)
    if planned.errors:
        return _Updated([], list(planned.errors), [])
    return primary.update(planned.changes, reading.originals)


def _conflict(change: Change) -> MailError:
    return MailError("somebody else changes this record at the same time", f"{change.name} {change.type}", "Run again")


def _distinct(errors: Iterable[MailError]) -> list[MailError]:
    return list({str(error): error for error in errors}.values())


class _Primary:
    """A conversation with the server that takes the updates."""

    def __init__(self, provider: Provider, seconds: float) -> None:
        self._provider = provider
        self._seconds = seconds
        self._deadline = deadline_in(seconds)

    def read(self, keys: Sequence[Key]) -> _Reading:
        """The record sets as the server shows them, and their zones: the one that the options name, or what the server says."""
        given = self._provider.zone
        outside = sorted({name for name, _type in keys if given and not f".{name}".endswith(f".{given}")})
        if outside:
            remedy = "Name no zone, so that each is found by its SOA record, or fewer domains"
            others = f", nor are {len(outside) - 1} other names" if len(outside) > 1 else ""
            raise MailError(f"{outside[0]} is not in the zone {given}{others}", "provider.zone", remedy)
        reading = _Reading({}, {}, {}, [])
        for key, message in zip(keys, self._ask(keys)):
            if _is_from_zone(message):
                reading.present[key], reading.originals[key] = record_set_of(message, *key)
                zone = f"{given}." if given else _zone_in(key[0], message)
                if zone:
                    reading.zones[key[0]] = zone
            else:
                reading.errors.append(self._no_zone(key[0], int(message.rcode())))
        reading.zones.update(self._found_zones({name for name, _type in reading.present if name not in reading.zones}, reading.errors))
        for key in [key for key in reading.present if key[0] not in reading.zones]:
            del reading.present[key]
        return reading

    def _found_zones(self, names: Collection[str], errors: list[MailError]) -> dict[str, str]:
        """The zones of names; what has none is added to `errors`."""
        found: dict[str, str] = {}
        candidates = {name: name for name in names}
        for _round in range(_MOST_LABELS):
            asked = list(dict.fromkeys(candidates.values()))
            messages = dict(zip(asked, self._ask([(name, "SOA") for name in asked])))
            following = {}
            for name, candidate in candidates.items():
                response = response_of(messages[candidate], candidate, "SOA")
                zone = _zone_in(candidate, messages[candidate])
                if zone:
                    found[name] = zone
                elif response.is_alias and "." in candidate:
                    following[name] = candidate.partition(".")[2]
                else:
                    errors.append(self._no_zone(name, response.rcode))
            candidates = following
            if not candidates:
                break
        return found

    def _no_zone(self, name: str, rcode: int) -> MailError:
        said = "" if rcode in (NOERROR, NXDOMAIN) else f" (it answers {rcode_text(rcode)})"
        remedy = "Name the primary server of its zone, and see that the zone exists there"
        if self._provider.zone:
            return MailError(f"{self._provider.server} has no zone {self._provider.zone}{said}", "provider.zone", remedy)
        return MailError(f"{self._provider.server} has no zone that {name} is in{said}", "provider.server", remedy)

    def without_wildcards(self, reading: _Reading) -> _Reading:
        """The same without the record sets that no name has, although the server answers as if."""
        present, originals, zones, errors = reading
        above = {key: _wildcards(key[0], zones[key[0]]) for key, found in present.items() if found.values or found.alias}
        asked = list(dict.fromkeys((wildcard, record_type) for (_name, record_type), names in above.items() for wildcard in names))
        wild = {key: record_set_of(message, *key)[0] for key, message in zip(asked, self._ask(asked))}
        doubtful = [key for key, names in above.items() if any(_looks_alike(wild[name, key[1]], present[key]) for name in names)]
        ids = distinct_ids(len(doubtful))
        sent = [signed_test(zones[key[0]], key, present[key], originals[key], number, self._provider) for key, number in zip(doubtful, ids)]
        gone: dict[Key, RecordSet] = {}
        for key, message in zip(doubtful, self._replies(sent, by_tcp=True)):
            rcode = int(message.rcode())
            if rcode in PREREQUISITE_FAILED:
                gone[key] = RecordSet()
            elif rcode != NOERROR:
                raise refusal(rcode, zones[key[0]], self._provider)
        return _Reading({**present, **gone}, {**originals, **dict.fromkeys(gone, ())}, zones, errors)

    def _ask(self, keys: Sequence[Key]) -> list[Any]:
        messages = []
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE]
            ids = distinct_ids(len(part))
            sent = [signed_query(name, record_type, number, self._provider) for (name, record_type), number in zip(part, ids)]
            messages.extend(self._replies(sent))
        return messages

    def _replies(self, sent: Sequence[Signed], by_tcp: bool = False) -> list[Any]:
        """The replies to questions. Raises MailErrors when one has none: without having read everything nothing can be planned."""
        heard = [self._heard(one, reply) for one, reply in zip(sent, self._send(sent, by_tcp))]
        errors = [one for one in heard if isinstance(one, MailError)]
        if errors:
            raise MailErrors(_distinct(errors))
        return heard

    def _send(self, sent: Sequence[Signed], by_tcp: bool) -> list[Reply]:
        return exchange([Request(self._provider.server, one.wire, by_tcp) for one in sent], self._deadline)

    def _heard(self, sent: Signed, reply: Reply) -> Any:
        """A message of dnspython, or the MailError that stands for it."""
        try:
            return self._message(sent, reply)
        except MailError as error:
            return error

    def _message(self, sent: Signed, reply: Reply) -> Any:
        if reply.failure == TIME_OVER:
            remedy = "Run again; a longer timeout may help"
            raise MailError(f"{self._provider.server} did not answer within the time limit of {self._seconds:g} s", "timeout", remedy)
        if reply.failure:
            raise MailError(f"the name server {self._provider.server} {reply.failure}", "provider.server")
        return read_reply(reply.wire, sent, self._provider)

    def update(self, changes: Collection[Change], originals: Mapping[Key, Originals]) -> _Updated:
        """One atomic update a zone, all zones at once."""
        parts = batches(changes)
        ids = distinct_ids(len(parts))
        sent = [signed_update(zone, batch, originals, number, self._provider) for (zone, batch), number in zip(parts, ids)]
        updated = _Updated([], [], [])
        for (zone, batch), one, reply in zip(parts, sent, self._send(sent, by_tcp=True)):
            heard = self._heard(one, reply)
            if isinstance(heard, MailError):
                where = f"{heard.message}, so the zone {zone.rstrip('.')} may or may not have been updated"
                updated.failures.append(MailError(where if reply.failure else heard.message, heard.where, heard.remedy or "Run again"))
                continue
            rcode = int(heard.rcode())
            if rcode == NOERROR:
                updated.made.extend(batch)
            elif rcode in PREREQUISITE_FAILED:
                updated.conflicts.extend(batch)
            else:
                updated.failures.append(refusal(rcode, zone, self._provider))
        return updated


def _wildcards(name: str, zone: str) -> list[str]:
    """The wildcards that could answer for a name of a zone."""
    apex = zone.rstrip(".")
    found = []
    while name != apex and "." in name:
        name = name.partition(".")[2]
        found.append(f"*.{name}")
    return found


def _looks_alike(one: RecordSet, other: RecordSet) -> bool:
    return (set(one.values), one.alias) == (set(other.values), other.alias)


def _is_from_zone(message: Any) -> bool:
    return int(message.rcode()) in (NOERROR, NXDOMAIN) and bool(message.flags & AUTHORITATIVE)


def _zone_in(name: str, message: Any) -> str:
    """The zone of a name by the SOA or NS records beside an authoritative answer; empty when it does not tell.

    What stands beside a CNAME may be about its target.
    """
    if not message.flags & AUTHORITATIVE or any(rrset.rdtype == _CNAME for rrset in message.answer):
        return ""
    for rrset in (*message.answer, *message.authority):
        zone = name_text(rrset.name)
        if rrset.rdtype in (_NS, _SOA) and f".{name}.".endswith(f".{zone}"):
            return zone
    return ""
