# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS messages as values: questions to bytes, replies to canonical text. No IO."""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._libraries import library

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33, "TLSA": 52}

NOERROR = 0
NXDOMAIN = 3
AUTHORITATIVE = 0x0400

_RECURSION_DESIRED = 0x0100
_INTERNET = 1
# No fragments (DNS flag day 2020). OPT: root name, type 41, payload size, extended rcode and flags, no options.
_PAYLOAD = 1232
_OPT = struct.pack("!BHHIH", 0, 41, _PAYLOAD, 0, 0)
_LONGEST_CHAIN = 8
_POINTER = 0xC0


class Authority(NamedTuple):
    """A zone's SOA record as a reply shows it. negative_ttl: for how long its "no" may be kept (RFC 2308 section 5)."""

    zone: str
    negative_ttl: int


class Response(NamedTuple):
    """What a reply says about one question.

    rcode: as a number. values: in canonical text, of the record set at the end of a chain of CNAME records. ttl: the longest of
    the chain. alias: where a CNAME leads that the reply does not follow. is_alias: whether the name itself is a CNAME.
    """

    rcode: int
    is_authoritative: bool
    values: tuple[str, ...] = ()
    ttl: int = 0
    alias: str = ""
    is_alias: bool = False
    authority: Authority | None = None


def query(name: str, record_type: str, number: int, recursive: bool) -> bytes:
    """The bytes of a question; `number` is its id."""
    flags = _RECURSION_DESIRED if recursive else 0
    header = struct.pack("!HHHHHH", number, flags, 1, 0, 0, 1)
    return header + name_wire(name) + struct.pack("!HH", TYPES[record_type], _INTERNET) + _OPT


@lru_cache(maxsize=4096)
def name_wire(name: str) -> bytes:
    """A domain name as it stands in a message. Raises ValueError for what is none."""
    if name.isascii() and "\\" not in name and name not in ("", "."):
        labels = name.lower().rstrip(".").encode("ascii").split(b".")
        if all(0 < len(label) < 64 for label in labels) and len(name) < 254:
            return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    try:
        wire: bytes = library("dns.name").from_text(name.lower()).to_wire()
    except library("dns.exception").DNSException as error:
        raise ValueError(f"{name!r} is no domain name: {error}") from None
    return wire


def read_response(wire: bytes, name: str, record_type: str) -> Response:
    """What a reply says about a question. Raises ValueError for what is no DNS message."""
    try:
        return _response(_essence(wire), name, record_type)
    except (library("dns.exception").DNSException, struct.error, IndexError) as error:
        raise ValueError(f"sends a message that cannot be read ({type(error).__name__})") from None


@lru_cache(maxsize=1024)
def _response(essence: bytes, name: str, record_type: str) -> Response:
    """The servers of a zone mostly give the same answer, one after the other, and reading it is what takes the time."""
    return response_of(library("dns.message").from_wire(essence, ignore_trailing=True), name, record_type)


def _essence(wire: bytes) -> bytes:
    """A message without its id and what stands behind its answers: dnspython takes as long for each record there as for these.

    Where there are no answers the authority section stays: its SOA record says for how long.
    """
    questions, answers, authorities, _additional = struct.unpack("!4H", wire[4:12])
    kept = 0 if answers else authorities
    end = 12
    for _question in range(questions):
        end = _end_of_name(wire, end) + 4
    for _record in range(answers + kept):
        end = _end_of_name(wire, end) + 10
        end += int.from_bytes(wire[end - 2 : end], "big")
    return b"\0\0" + wire[2:4] + struct.pack("!4H", questions, answers, kept, 0) + wire[12:end]


def _end_of_name(wire: bytes, position: int) -> int:
    """RFC 1035 section 4.1.4: labels up to an empty one or to a pointer."""
    while wire[position]:
        if wire[position] >= _POINTER:
            return position + 2
        position += wire[position] + 1
    return position + 1


def response_of(message: Any, name: str, record_type: str) -> Response:
    """What a message of dnspython says about a question."""
    owner = library("dns.name").from_text(name)
    number = TYPES[record_type]
    found = {(rrset.name, int(rrset.rdtype)): rrset for rrset in message.answer}
    ttl, followed = 0, 0
    while followed < _LONGEST_CHAIN:
        rrset = found.get((owner, number))
        if rrset is not None:
            break
        alias = found.get((owner, TYPES["CNAME"]))
        if alias is None:
            break
        owner, ttl, followed = alias[0].target, max(ttl, alias.ttl), followed + 1
    else:
        rrset = None
    is_authoritative = bool(message.flags & AUTHORITATIVE)
    if rrset is not None:
        values = tuple(canonical(rdata) for rdata in rrset)
        return Response(message.rcode(), is_authoritative, values, max(ttl, rrset.ttl), is_alias=bool(followed))
    alias_text = name_text(owner) if followed else ""
    return Response(message.rcode(), is_authoritative, (), ttl, alias_text, bool(followed), _authority(message))


def _authority(message: Any) -> Authority | None:
    for rrset in message.authority:
        if int(rrset.rdtype) == TYPES["SOA"]:
            return Authority(name_text(rrset.name), min(rrset.ttl, rrset[0].minimum))
    return None


def canonical(rdata: Any) -> str:
    """The text of a record: strings of a TXT joined and unquoted, names in lower case and with their final dot."""
    kind = int(rdata.rdtype)
    if kind == TYPES["TXT"]:
        return b"".join(rdata.strings).decode("utf-8", "backslashreplace")
    text: str = rdata.to_text()
    return text.lower()


def name_text(name: Any) -> str:
    """A name of dnspython in lower case, with its final dot."""
    text: str = name.to_text()
    return text.lower()


def rcode_text(rcode: int) -> str:
    text: str = library("dns.rcode").to_text(rcode)
    return text
