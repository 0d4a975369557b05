# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the world can see a DKIM key: what the authoritative name servers show of the keys that are to sign next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import is_for_mail, key_of_record, same_key
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_client import FOUND, UNREACHABLE, Answer, Lookup, Question
from ansible_collections.fleetpost.mail.plugins.module_utils._model import PublicKey, Sight


def dkim_sights(
    wanted: Mapping[str, Sequence[tuple[str, PublicKey]]], resolvers: Sequence[str], seconds: float, port: int = 53
) -> dict[str, Sight]:
    """domain -> what is seen of its records, each a name and the key that it must show.

    resolvers: which find the servers; none are those of the host. seconds: for everything. port: of the authoritative servers.
    Raises MailError.
    """
    if not wanted:
        return {}
    lookup = Lookup(resolvers, seconds, port)
    names = list(dict.fromkeys(name for records in wanted.values() for name, _key in records))
    zones = lookup.zones(names)
    negatives = {name: Question(zones[name].name, "SOA") for name in names if zones[name].name}
    answers = lookup.ask([*(Question(name, "TXT") for name in names), *negatives.values()])
    found = {}
    for domain, records in wanted.items():
        why, wait = "", 0
        for name, key in records:
            shown = answers[Question(name, "TXT")]
            why = why or _what_is_missing(name, key, shown)
            wait = max([wait, *(answer.ttl for answer in shown), *(answer.negative_ttl for answer in shown)])
            if name in negatives:
                wait = max([wait, *(_negative_ttl(answer) for answer in answers[negatives[name]])])
        found[domain] = Sight(not why, wait, why)
    return found


def _what_is_missing(name: str, key: PublicKey, shown: Sequence[Answer]) -> str:
    if not shown:
        return f"no authoritative name server of {name} was found"
    for answer in shown:
        if answer.status == UNREACHABLE:
            return answer.why
        if answer.status != FOUND:
            return f"{answer.server} does not show {name} yet"
        shown_keys = [value for value in answer.values if key_of_record(value)]
        if len(shown_keys) > 1:
            return f"{answer.server} shows several keys at {name}, and what receivers then do is undefined"
        if not any(_shows(value, key) for value in shown_keys):
            return f"{answer.server} shows another key at {name}"
    return ""


def _shows(record: str, key: PublicKey) -> bool:
    found = key_of_record(record)
    return found is not None and same_key(found, key) and is_for_mail(record)


def _negative_ttl(answer: Answer) -> int:
    """For how long a "no" of a zone is kept, by its SOA record (RFC 2308 section 5)."""
    return min(answer.ttl, *(int(value.rpartition(" ")[2]) for value in answer.values)) if answer.values else 0
