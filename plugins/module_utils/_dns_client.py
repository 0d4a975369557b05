# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thousands of questions to the DNS in one go: to resolvers, or to the authoritative servers of each name.

Questions go in rounds, each round all at once: what several names have in common (a zone, its servers) is asked once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _dns_wire
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_packets import NO_ROUTE, TIME_OVER, Request, Server, is_server, server_of
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_sockets import (
    deadline_in,
    distinct_ids,
    exchange,
    nameserver_lines,
    seconds_until,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_wire import Response
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError

FOUND = "found"
NONE = "none"
UNREACHABLE = "unreachable"

# Ids are 16 bits, and all of one exchange differ.
_AT_ONCE = 60000
_SILENCE = 5.0
_LONGEST_CHAIN = 4
_MOST_LABELS = 12


class Question(NamedTuple):
    """A name and a type of record, such as ``TXT``."""

    name: str
    type: str


class Answer(NamedTuple):
    """What one server says.

    status: found, none or unreachable. values: canonical text; TXT joined and unquoted, names in lower case with their final
    dot. ttl: in seconds. negative_ttl: for how long a resolver keeps a "none" (RFC 2308), else 0. server: who says it. why: what
    kept the server from answering, as a sentence.
    """

    status: str
    values: tuple[str, ...] = ()
    ttl: int = 0
    negative_ttl: int = 0
    server: str = ""
    why: str = ""


class Zone(NamedTuple):
    """A zone and the addresses of its authoritative servers, each with its name; why: what kept them from being found."""

    name: str
    servers: tuple[tuple[str, Server], ...] = ()
    why: str = ""


class _Heard(NamedTuple):
    """The answer of one server together with the reply it was made from, if there was one."""

    answer: Answer
    response: Response | None = None
    has_route: bool = True


def system_resolvers() -> tuple[str, ...]:
    """The resolvers of this host. Raises MailError when it has none."""
    found = tuple(line for line in dict.fromkeys(nameserver_lines()) if is_server(line))
    if not found:
        raise MailError("this host has no resolver", "/etc/resolv.conf", "Name one in resolvers")
    return found


def _servers(resolvers: Sequence[str]) -> list[Server]:
    if not resolvers:
        return [server_of(text) for text in system_resolvers()]
    return [_server(text, f"resolvers[{index}]") for index, text in enumerate(resolvers)]


def _server(text: str, where: str) -> Server:
    try:
        return server_of(text)
    except ValueError as error:
        raise MailError(str(error), where) from None


def ask(questions: Iterable[Question], servers: Sequence[str], seconds: float) -> dict[Question, Answer]:
    """What resolvers say: each question goes to the first server that can answer it. None: those of the host. seconds: for everything."""
    heard = _resolve(questions, _servers(servers), _Limit(seconds))
    return {question: one.answer for question, one in heard.items()}


def ask_authoritative(
    questions: Iterable[Question], resolvers: Sequence[str], seconds: float, port: int = 53
) -> dict[Question, tuple[Answer, ...]]:
    """What each authoritative server says, one answer for each of their addresses; a CNAME is followed into other zones.

    resolvers: which find the servers; none are those of the host. port: of the authoritative servers. Raises MailError.
    Addresses without a route from here (IPv6 on a host that has none) are left out where another one can be asked.
    """
    lookup = Lookup(resolvers, seconds, port)
    return lookup.ask(questions)


class _Limit:
    """A time limit for everything."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.deadline = deadline_in(seconds)

    @property
    def is_over(self) -> bool:
        return seconds_until(self.deadline) <= 0

    def silence(self, others: int) -> float:
        """For how long a silent server may keep the others waiting."""
        return min(_SILENCE, seconds_until(self.deadline) / (others + 1))

    def sentence(self, server: str, failure: str) -> str:
        if failure == TIME_OVER:
            return f"{server} did not answer within the time limit of {self.seconds:g} s"
        return f"{server} {failure}"


class Lookup:
    """Questions to authoritative servers; what was found of zones and servers is kept for the next ones."""

    def __init__(self, resolvers: Sequence[str], seconds: float, port: int = 53) -> None:
        self._resolvers = _servers(resolvers)
        self._limit = _Limit(seconds)
        self._port = port
        self._zones: dict[str, Zone] = {}
        self._zone_of: dict[str, Zone] = {}

    def ask(self, questions: Iterable[Question]) -> dict[Question, tuple[Answer, ...]]:
        """One answer for each address of each name's authoritative servers."""
        return self._ask(list(dict.fromkeys(questions)), _LONGEST_CHAIN)

    def _ask(self, questions: list[Question], depth: int) -> dict[Question, tuple[Answer, ...]]:
        zones = self.zones({question.name for question in questions})
        asked = [(question, label, server) for question in questions for label, server in zones[question.name].servers]
        heard: defaultdict[Question, list[_Heard]] = defaultdict(list)
        requests = [(question, server, label) for question, label, server in asked]
        for (question, _label, _server), one in zip(asked, _converse(requests, self._limit, recursive=False)):
            heard[question].append(one)
        followed = self._follow(heard, depth)
        found = {}
        for question in questions:
            why = zones[question.name].why
            answers = [Answer(UNREACHABLE, why=why)] if why else []
            for one in _with_route(heard[question]):
                answers.extend(_answers(one, question.type, followed))
            found[question] = tuple(dict.fromkeys(answers))
        return found

    def _follow(self, heard: Mapping[Question, Iterable[_Heard]], depth: int) -> dict[Question, tuple[Answer, ...]]:
        """The answers for targets of CNAME records that lead out of their zone."""
        targets = {
            Question(one.response.alias, question.type): None
            for question, several in heard.items()
            for one in several
            if one.response and one.response.alias
        }
        if not targets:
            return {}
        if not depth:
            why = "the chain of CNAME records is too long"
            return {target: (Answer(UNREACHABLE, why=f"{target.name}: {why}"),) for target in targets}
        return self._ask(list(targets), depth - 1)

    def zones(self, names: Collection[str]) -> dict[str, Zone]:
        """The zone of each name, by the SOA record that a resolver shows for it, with its servers."""
        wanted = [name for name in dict.fromkeys(names) if name not in self._zone_of]
        apex, failures = self._apexes(wanted)
        new = [zone for zone in dict.fromkeys(apex.values()) if zone not in self._zones]
        self._zones.update(self._with_servers(new))
        for name in wanted:
            self._zone_of[name] = self._zones[apex[name]] if name in apex else Zone("", (), failures[name])
        return {name: self._zone_of[name] for name in names}

    def _apexes(self, names: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
        """The name of each name's zone, and why there is none."""
        found: dict[str, str] = {}
        failures: dict[str, str] = {}
        candidates = {name: _absolute(name) for name in names}
        for _round in range(_MOST_LABELS):
            if not candidates:
                break
            heard = _resolve([Question(name, "SOA") for name in candidates.values()], self._resolvers, self._limit)
            following = {}
            for name, candidate in candidates.items():
                one = heard[Question(candidate, "SOA")]
                zone = _apex(candidate, one.response)
                parent = candidate.partition(".")[2]
                if zone:
                    found[name] = zone
                elif one.answer.status == UNREACHABLE:
                    failures[name] = f"the zone of {name} was not found: {one.answer.why}"
                elif parent:
                    following[name] = parent
                else:
                    failures[name] = f"{name} is in no zone of the DNS"
            candidates = following
        failures.update((name, f"the zone of {name} was not found") for name in candidates)
        return found, failures

    def _with_servers(self, zones: Collection[str]) -> dict[str, Zone]:
        servers = _resolve([Question(zone, "NS") for zone in zones], self._resolvers, self._limit)
        names = {name: None for one in servers.values() for name in one.answer.values}
        kinds = ("A", "AAAA")
        addresses = _resolve([Question(name, kind) for name in names for kind in kinds], self._resolvers, self._limit)
        found = {}
        for zone in zones:
            answer = servers[Question(zone, "NS")].answer
            places = [
                (f"{name.rstrip('.')} ({address})", Server(address, self._port))
                for name in sorted(answer.values)
                for kind in kinds
                for address in sorted(addresses[Question(name, kind)].answer.values)
            ]
            why = answer.why or f"no address of a name server of {zone} was found"
            found[zone] = Zone(zone, tuple(places), "" if places else why)
        return found


def _absolute(name: str) -> str:
    return f"{name.rstrip('.').lower()}."


def _apex(name: str, response: Response | None) -> str:
    """The zone of a name by the reply to a question for its SOA record; empty when the reply does not tell."""
    if response is None or response.is_alias:
        return ""
    if response.values:
        return name
    authority = response.authority
    return authority.zone if authority and authority.zone != "." and f".{name}".endswith(f".{authority.zone}") else ""


def _answers(one: _Heard, record_type: str, followed: Mapping[Question, tuple[Answer, ...]]) -> Iterable[Answer]:
    if one.response is None or not one.response.alias:
        return (one.answer,)
    ttl = one.response.ttl
    return (answer._replace(ttl=max(ttl, answer.ttl)) for answer in followed[Question(one.response.alias, record_type)])


def _with_route(several: list[_Heard]) -> list[_Heard]:
    return [one for one in several if one.has_route] or several


def _resolve(questions: Iterable[Question], servers: Sequence[Server], limit: _Limit) -> dict[Question, _Heard]:
    """What the first server says that can answer."""
    pending = list(dict.fromkeys(questions))
    heard: dict[Question, _Heard] = {}
    for position, server in enumerate(servers):
        requests = [(question, server, str(server)) for question in pending]
        for question, one in zip(pending, _converse(requests, limit, recursive=True, others=len(servers) - position - 1)):
            before = heard.get(question)
            heard[question] = _both(before, one) if before and one.answer.status == UNREACHABLE else one
        pending = [question for question in pending if heard[question].answer.status == UNREACHABLE]
        if not pending or limit.is_over:
            break
    return heard


def _both(before: _Heard, one: _Heard) -> _Heard:
    """Two servers that could not answer, as one answer."""
    return _Heard(one.answer._replace(why="; ".join(dict.fromkeys([before.answer.why, one.answer.why]))))


def _converse(requests: Sequence[tuple[Question, Server, str]], limit: _Limit, recursive: bool, others: int = 0) -> list[_Heard]:
    """Asks everything at once; each request has a question, a server, and how to call that in an answer."""
    heard: list[_Heard] = []
    for start in range(0, len(requests), _AT_ONCE):
        part = requests[start : start + _AT_ONCE]
        packets = [
            Request(server, _dns_wire.query(question.name, question.type, number, recursive))
            for (question, server, _label), number in zip(part, distinct_ids(len(part)))
        ]
        replies = exchange(packets, limit.deadline, limit.silence(others))
        for (question, _server, label), reply in zip(part, replies):
            if reply.failure:
                why = limit.sentence(label, reply.failure)
                heard.append(_Heard(Answer(UNREACHABLE, server=label, why=why), None, reply.failure != NO_ROUTE))
            else:
                heard.append(_heard(question, label, reply.wire, recursive))
    return heard


def _heard(question: Question, server: str, wire: bytes, recursive: bool) -> _Heard:
    try:
        response = _dns_wire.read_response(wire, question.name, question.type)
    except ValueError as error:
        return _Heard(Answer(UNREACHABLE, server=server, why=f"{server} {error}"))
    if response.rcode not in (_dns_wire.NOERROR, _dns_wire.NXDOMAIN):
        why = f"{server} answers {_dns_wire.rcode_text(response.rcode)} for {question.name}"
        return _Heard(Answer(UNREACHABLE, server=server, why=why))
    if not (recursive or response.is_authoritative):
        why = f"{server} is named as a server of {question.name} but is not authoritative for it"
        return _Heard(Answer(UNREACHABLE, server=server, why=why))
    if response.values:
        return _Heard(Answer(FOUND, response.values, response.ttl, 0, server), response)
    negative_ttl = response.authority.negative_ttl if response.authority else 0
    return _Heard(Answer(NONE, (), 0, negative_ttl, server), response)
