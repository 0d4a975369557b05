# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One DNS message over a TCP connection of its own (RFC 7766): what no datagram can carry."""

from __future__ import annotations

import contextlib
import selectors
import socket

from ansible_collections.fleetpost.mail.plugins.module_utils._dns_packets import (
    BUFFER,
    HEADER,
    NO_ROUTE,
    PATIENCE,
    RESPONSE,
    SILENT,
    Reply,
    Request,
    Server,
    id_of,
)


class Stream:
    """A message on its way; `reply` is there once `is_done`."""

    def __init__(self, selector: selectors.BaseSelector, index: int, request: Request, now: float, deadline: float) -> None:
        # What goes by TCP from the start is an update, which a signed zone may take long for.
        self.until = deadline if request.by_tcp else min(now + PATIENCE, deadline)
        self.is_done = False
        self.index = index
        self.reply = Reply(b"", SILENT)
        self._selector = selector
        self._request = request
        self._to_send = len(request.wire).to_bytes(2, "big") + request.wire
        self._received = b""
        self._socket: socket.socket | None = None
        try:
            self._socket = connected(request.server, socket.SOCK_STREAM)
        except OSError:
            self._end(Reply(b"", NO_ROUTE))
            return
        selector.register(self._socket, selectors.EVENT_WRITE, self)

    def advance(self, now: float) -> None:
        if now >= self.until and not self.is_done:
            self._end(Reply(b"", SILENT))

    def ready(self) -> None:
        try:
            self._go_on()
        except BlockingIOError:
            return
        except OSError as error:
            self._end(Reply(b"", explained(error)))

    def _go_on(self) -> None:
        if self._socket is None:
            raise AssertionError("a stream that has ended goes on")
        if self._to_send:
            self._to_send = self._to_send[self._socket.send(self._to_send) :]
            if not self._to_send:
                self._selector.modify(self._socket, selectors.EVENT_READ, self)
            return
        part = self._socket.recv(BUFFER)
        self._received += part
        length = int.from_bytes(self._received[:2], "big")
        wire = self._received[2 : 2 + length]
        if len(self._received) > 2 and len(wire) == length:
            is_reply = length >= HEADER and id_of(wire) == id_of(self._request.wire) and wire[2] & RESPONSE
            self._end(Reply(wire) if is_reply else Reply(b"", "answers something else by TCP"))
        elif not part:
            self._end(Reply(b"", "closes the TCP connection without an answer"))

    def _end(self, reply: Reply) -> None:
        self.reply = reply
        self.is_done = True
        self.until = 0.0
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None


def connected(server: Server, kind: int) -> socket.socket:
    """A non-blocking socket. Raises OSError when there is no way to the server."""
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    found = socket.socket(family, kind)
    try:
        found.setblocking(False)
        if kind == socket.SOCK_DGRAM:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        with contextlib.suppress(BlockingIOError):
            found.connect((server.address, server.port))
    except OSError:
        found.close()
        raise
    return found


def explained(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection: no name server listens there"
    return f"cannot be reached: {error.strerror or error}"
