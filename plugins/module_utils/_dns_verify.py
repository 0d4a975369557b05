# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the DNS for the records that domains need, and judges what each server says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._dns_client import (
    UNREACHABLE,
    Answer,
    Question,
    ask,
    ask_authoritative,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_packets import Server
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import Record
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_verdicts import DIFFERENT, MISSING, OK, verdict
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors

Verification = dict[str, Any]

# Of what several servers say the worst counts; one that cannot be asked matters only when none can.
_WORST_FIRST = (DIFFERENT, MISSING, OK, UNREACHABLE)


def verify(records: Sequence[Record], mx: Sequence[str], resolvers: Sequence[str], seconds: float) -> list[Verification]:
    """A verdict for each record, by its authoritative servers, or by `resolvers` when there are any.

    mx: the MX values of the mail host, which an SPF record may lean on. seconds: for everything.
    """
    if not records:
        return []
    questions = [Question(record.name, record.type) for record in records]
    answers: Mapping[Question, Sequence[Answer]]
    if resolvers:
        answers = {question: (answer,) for question, answer in ask(questions, resolvers, seconds).items()}
    else:
        answers = ask_authoritative(questions, (), seconds)
    return [verification_of(record, answers[question], mx) for record, question in zip(records, questions)]


def verification_of(record: Record, answers: Sequence[Answer], mx: Sequence[str]) -> Verification:
    """One record's verdict by what all servers say."""
    judged = [(_status(record, answer, mx), answer) for answer in answers]
    (status, found, why), answer = min(judged, key=lambda one: _WORST_FIRST.index(one[0][0]))
    silent = [other.why for _judgement, other in judged if other.status == UNREACHABLE]
    if status == OK and silent:
        why = f"by the other servers; {'; '.join(silent)}"
    return {
        "domain": record.domain,
        "kind": record.kind,
        "record": record.name,
        "type": record.type,
        "status": status,
        "expected": list(record.values),
        "found": list(found),
        "server": answer.server,
        "why": why,
    }


def _status(record: Record, answer: Answer, mx: Sequence[str]) -> tuple[str, tuple[str, ...], str]:
    if answer.status == UNREACHABLE:
        return UNREACHABLE, (), answer.why
    return verdict(record, answer.values, mx)


def sentence(entry: Verification) -> str:
    """A verdict that is not "ok" as a problem of its domain."""
    name = f"{entry['kind']} record {entry['record']} ({entry['type']})"
    by = f" by {entry['server']}" if entry["server"] else ""
    if entry["status"] == MISSING:
        why = f": {entry['why']}" if entry["why"] else ""
        return f"the {name} is missing{by}{why}"
    if entry["status"] == DIFFERENT:
        return f"the {name} is different{by}: {entry['why']}"
    return f"the {name} could not be looked up: {entry['why']}"


def mail_goes_elsewhere(domains: Iterable[str], hosts: Collection[str], resolvers: Sequence[str], seconds: float) -> dict[str, str]:
    """domain -> where its mail goes, for each of which it does not come to one of `hosts`.

    Only authoritative servers are asked; `resolvers` find them. Raises MailErrors when one cannot be asked.
    """
    questions = {domain: Question(domain, "MX") for domain in domains}
    if not questions:
        return {}
    answers = ask_authoritative(questions.values(), resolvers, seconds)
    found: dict[str, str] = {}
    errors = []
    for domain, question in questions.items():
        heard = [answer for answer in answers[question] if answer.status != UNREACHABLE]
        if not heard:
            why = "; ".join(answer.why for answer in answers[question])
            errors.append(MailError(f"whether its mail still comes here is not known: {why}", domain))
        for answer in heard:
            if not set(hosts).intersection(value.rpartition(" ")[2].rstrip(".") for value in answer.values):
                found[domain] = f"its MX leads to {', '.join(answer.values) or 'nowhere'} by {answer.server}"
    if errors:
        raise MailErrors(errors)
    return found


def address_of(server: Server, resolvers: Sequence[str], seconds: float) -> Server:
    """A server that is named, by its address. Raises MailError when there is none."""
    if server.is_address:
        return server
    questions = [Question(server.address, kind) for kind in ("A", "AAAA")]
    answers = ask(questions, resolvers, seconds)
    for question in questions:
        for value in answers[question].values:
            return server._replace(address=value)
    why = "; ".join(dict.fromkeys(answer.why for answer in answers.values() if answer.why)) or "it has no address"
    raise MailError(f"the name server {server.address} was not found: {why}", "provider.server")
