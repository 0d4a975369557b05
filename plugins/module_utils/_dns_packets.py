# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes over the wire of the DNS: servers and messages as bytes. No IO."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._names import printable

# A resolver may work on one question for as long as this (RFC 1035 section 7.2, RFC 8767 section 6).
PATIENCE = 10.0
HEADER = 12
RESPONSE = 0x80
BUFFER = 65535

NO_ROUTE = "cannot be reached from this host: there is no route to it"
SILENT = "does not answer"
TIME_OVER = "did not answer before the time limit"


class Server(NamedTuple):
    """A name server's IP address and port."""

    address: str
    port: int = 53

    @property
    def is_address(self) -> bool:
        """Whether the address is one, and not a name that is still to be looked up."""
        return _is_address(self.address)

    def __str__(self) -> str:
        return self.address if self.port == 53 else f"{self.address}@{self.port}"


def server_of(text: str) -> Server:
    """A server written as ``ADDRESS`` or ``ADDRESS@PORT``. Raises ValueError."""
    address, _at, port = text.partition("@")
    if not is_server(text):
        raise ValueError(f"{printable(text)} is not the IP address of a name server, as ADDRESS or ADDRESS@PORT")
    return Server(address, int(port or 53))


def is_server(text: str) -> bool:
    """Whether a text is ``ADDRESS`` or ``ADDRESS@PORT``; a link-local address with its interface is none."""
    address, at, port = text.partition("@")
    return _is_address(address) and (not at or (port.isdigit() and 0 < int(port) < 65536))


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


class Request(NamedTuple):
    """A message for a server; the ids of all messages of one exchange differ. by_tcp: a datagram is not tried."""

    server: Server
    wire: bytes
    by_tcp: bool = False


class Reply(NamedTuple):
    """What came back. failure: why nothing did, as the end of a sentence about the server; empty otherwise."""

    wire: bytes
    failure: str = ""


def id_of(wire: bytes) -> int:
    return int.from_bytes(wire[:2], "big")


def answers(reply: bytes, request: bytes) -> bool:
    """Whether a datagram is the reply to a request of the same id: it repeats the question (RFC 5452 section 9.1)."""
    if len(reply) < HEADER or not reply[2] & RESPONSE:
        return False
    if reply[4:6] == b"\0\0":
        # A server that could not read the question repeats none, and has nothing to tell but that.
        return bool(reply[3] & 0x0F)
    end = HEADER
    while request[end]:
        end += request[end] + 1
    end += 5
    return reply[HEADER:end].lower() == request[HEADER:end].lower() and reply[4:6] == request[4:6]
