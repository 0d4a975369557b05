# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name server in a thread, on a port of 127.0.0.1: zones, wildcards, dynamic updates, TSIG, and every misbehaviour a test wants."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable, Iterable

import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig
import dns.update
import dns.zone

SOA = "@ 300 IN SOA ns hostmaster 1 60 60 60 30\n@ 300 IN NS ns\nns 300 IN A 127.0.0.1\n"
SECRET = "c2VjcmV0c2VjcmV0c2VjcmV0"
KEY = dns.tsig.Key("mail", SECRET, "hmac-sha256")


def zone(name, text="", soa=SOA):
    return dns.zone.from_text(soa + text, origin=f"{name}.", relativize=False)


class NameServer:
    """Serves while its block runs. `asked` has each question as name, type and transport."""

    def __init__(self, *zones: dns.zone.Zone, key: dns.tsig.Key | None = None, recursive: bool = False) -> None:
        self.zones = {one.origin: one for one in zones}
        self.asked: list[tuple[str, str, str]] = []
        self.updates = 0
        self.key = key
        self.recursive = recursive
        self.refuses_updates = False
        self.signs = True
        self.tsig_error: tuple[str, int] | None = None
        self.before_update: Callable[[], None] = lambda: None
        self.datagrams: Callable[[dns.message.Message, bytes], Iterable[bytes]] = lambda _question, reply: [reply]
        """What is sent in place of a reply by UDP."""
        self._stopping = threading.Event()
        self._udp, self._tcp = _sockets()
        self.port = self._udp.getsockname()[1]
        self.address = f"127.0.0.1@{self.port}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> NameServer:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._udp.close()
        self._tcp.close()

    def values(self, name: str, record_type: str) -> list[str]:
        """What a zone holds at a name, as text."""
        owner = dns.name.from_text(name)
        found = self._zone_of(owner).get_rdataset(owner, record_type)
        return sorted(rdata.to_text() for rdata in found or ())

    def _serve(self) -> None:
        while not self._stopping.is_set():
            ready, _writable, _failed = select.select([self._udp, self._tcp], [], [], 0.02)
            if self._udp in ready:
                wire, client = self._udp.recvfrom(65535)
                with contextlib.suppress(dns.exception.DNSException):
                    question, reply = self._reply(wire, "udp")
                    for datagram in self.datagrams(question, reply):
                        self._udp.sendto(datagram, client)
            if self._tcp in ready:
                connection, _client = self._tcp.accept()
                with connection, contextlib.suppress(OSError, dns.exception.DNSException):
                    connection.settimeout(2)
                    length = int.from_bytes(connection.recv(2, socket.MSG_WAITALL), "big")
                    _question, reply = self._reply(connection.recv(length, socket.MSG_WAITALL), "tcp")
                    connection.sendall(len(reply).to_bytes(2, "big") + reply)

    def _reply(self, wire: bytes, transport: str) -> tuple[dns.message.Message, bytes]:
        if self.tsig_error:
            return self._tsig_error(wire)
        question = dns.message.from_wire(wire, keyring={self.key.name: self.key} if self.key else None)
        reply = dns.message.make_response(question)
        if question.opcode() == dns.opcode.UPDATE:
            reply.set_rcode(self._update(question))
        else:
            asked = question.question[0]
            self.asked.append((asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype), transport))
            self._answer(reply, asked.name, asked.rdtype)
        if not self.signs:
            reply.tsig = None
        return question, reply.to_wire(max_size=65535)

    def _tsig_error(self, wire: bytes) -> tuple[dns.message.Message, bytes]:
        name, error = self.tsig_error or ("", 0)
        reply = dns.message.Message(int.from_bytes(wire[:2], "big"))
        end = 12
        while wire[end]:
            end += wire[end] + 1
        question = dns.message.from_wire(wire[:4] + b"\0\1\0\0\0\0\0\0" + wire[12 : end + 5])
        reply = dns.message.make_response(question)
        reply.set_rcode(dns.rcode.NOTAUTH)
        reply.use_tsig(dns.tsig.Key(name, SECRET), tsig_error=error)
        return question, reply.to_wire()

    def _zone_of(self, name: dns.name.Name) -> dns.zone.Zone | None:
        while name not in self.zones and name != dns.name.root:
            name = name.parent()
        return self.zones.get(name)

    def _answer(self, reply: dns.message.Message, name: dns.name.Name, record_type: int) -> None:
        if self.recursive:
            reply.flags |= dns.flags.RA
        for _link in range(8):
            found = self._zone_of(name)
            if found is None:
                if not reply.answer:
                    reply.set_rcode(dns.rcode.REFUSED)
                return
            if not self.recursive:
                reply.flags |= dns.flags.AA
            node = _node(found, name)
            alias = node and node.get_rdataset(dns.rdataclass.IN, dns.rdatatype.CNAME)
            rdataset = node and node.get_rdataset(dns.rdataclass.IN, record_type)
            if rdataset:
                reply.answer.append(dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset)))
                return
            if not alias:
                break
            reply.answer.append(dns.rrset.from_rdata_list(name, alias.ttl, list(alias)))
            name = alias[0].target
            if not (self.recursive or name.is_subdomain(found.origin)):
                return
        soa = found.get_rdataset(found.origin, "SOA")
        reply.authority.append(dns.rrset.from_rdata_list(found.origin, soa.ttl, list(soa)))
        if node is None and not reply.answer:
            reply.set_rcode(dns.rcode.NXDOMAIN)

    def _update(self, message: dns.update.UpdateMessage) -> int:
        self.before_update()
        found = self.zones.get(message.zone[0].name)
        if found is None:
            return dns.rcode.NOTAUTH
        if self.refuses_updates or (self.key and not message.had_tsig):
            return dns.rcode.REFUSED
        exact: dict[tuple[dns.name.Name, int], set[object]] = {}
        for rrset in message.prerequisite:
            there = set(found.get_rdataset(rrset.name, rrset.rdtype) or ())
            if rrset.deleting == dns.rdataclass.NONE and there:
                return dns.rcode.YXRRSET
            if rrset.deleting == dns.rdataclass.ANY and not there:
                return dns.rcode.NXRRSET
            if rrset.deleting is None:
                exact.setdefault((rrset.name, rrset.rdtype), set()).update(rrset)
        if any(set(found.get_rdataset(name, kind) or ()) != wanted for (name, kind), wanted in exact.items()):
            return dns.rcode.NXRRSET
        for rrset in message.update:
            self.updates += 1
            _apply(found, rrset)
        return dns.rcode.NOERROR


def _apply(found: dns.zone.Zone, rrset: dns.rrset.RRset) -> None:
    rdataset = found.find_rdataset(rrset.name, rrset.rdtype, create=True)
    if rrset.deleting:
        for rdata in rrset:
            rdataset.discard(rdata)
        if not rdataset:
            found.delete_rdataset(rrset.name, rrset.rdtype)
    else:
        rdataset.ttl = rrset.ttl
        for rdata in rrset:
            rdataset.add(rdata)


def _node(found: dns.zone.Zone, name: dns.name.Name) -> dns.node.Node | None:
    """The records at a name, or those of the wildcard that answers for it (RFC 4592)."""
    while True:
        node = found.get_node(name)
        if node is not None or any(other.is_subdomain(name) for other in found.nodes):
            return node
        encloser = name.parent()
        if any(other.is_subdomain(encloser) for other in found.nodes):
            return found.get_node(dns.name.Name([b"*", *encloser.labels]))
        name = encloser


def _sockets() -> tuple[socket.socket, socket.socket]:
    """A port that is free for both."""
    while True:
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.bind(("127.0.0.1", 0))
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            tcp.bind(udp.getsockname())
            tcp.listen(64)
        except OSError:
            udp.close()
            tcp.close()
        else:
            return udp, tcp
