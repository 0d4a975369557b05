# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many DNS messages at once: one loop over datagrams, with TCP for what a datagram cannot carry. Bytes in, bytes out.

One socket a server, connected, so that the kernel drops what others send; a window of messages in flight, repeated with
growing pauses, until each has its reply or the time is over. A loop over non-blocking sockets costs less than threads or
dnspython's asynchronous resolvers, which are slower than asking one question after the other.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence

from ansible_collections.fleetpost.mail.plugins.module_utils._dns_packets import (
    BUFFER,
    NO_ROUTE,
    PATIENCE,
    SILENT,
    TIME_OVER,
    Reply,
    Request,
    Server,
    answers,
    id_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_streams import Stream, connected, explained

# More at once would overflow the usual receive buffers (212,992 bytes, some 770 for each small datagram).
_WINDOW = 200
_SMALLEST_WINDOW = 8
_OPEN_SERVERS = 200
_OPEN_STREAMS = 20
_FIRST_PAUSE = 0.6
_SHORTEST_PAUSE = 0.25
_LONGEST_PAUSE = 2.0
_TRUNCATED = 0x02


def exchange(requests: Sequence[Request], deadline: float, silence: float = 5.0) -> list[Reply]:
    """The reply to each request, in their order.

    deadline: of the monotonic clock. silence: seconds after which a server that never answered is taken for dead, so that
    the rest of its questions need not wait.
    """
    loop = _Loop(requests, deadline, silence)
    try:
        loop.run()
    finally:
        loop.close()
    return [reply or Reply(b"", TIME_OVER) for reply in loop.replies]


def deadline_in(seconds: float) -> float:
    return time.monotonic() + seconds


def seconds_until(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def distinct_ids(count: int) -> list[int]:
    """Message ids that nobody can foresee (RFC 5452 section 9.2); there are no more than 65,536."""
    return random.SystemRandom().sample(range(65536), count)


def nameserver_lines() -> list[str]:
    """The addresses that resolv.conf(5) of this host names."""
    with contextlib.suppress(OSError), open("/etc/resolv.conf", encoding="utf-8", errors="replace") as file:
        words = (line.split() for line in file)
        return [line[1] for line in words if len(line) > 1 and line[0] == "nameserver"]
    return []


class _Flight:
    """A datagram that has no reply yet."""

    __slots__ = ("first", "index", "pause", "sent", "tries")

    def __init__(self, index: int, now: float, pause: float) -> None:
        self.index = index
        self.first = now
        self.sent = now
        self.pause = pause
        self.tries = 1


class _Loop:
    def __init__(self, requests: Sequence[Request], deadline: float, silence: float) -> None:
        self.requests = requests
        self.replies: list[Reply | None] = [None] * len(requests)
        self.silence = silence
        self.selector = selectors.DefaultSelector()
        self._deadline = deadline
        self._open: list[_Channel] = []
        self._streams: list[Stream] = []
        self._to_stream = deque(index for index, request in enumerate(requests) if request.by_tcp)
        by_server: dict[Server, _Channel] = {}
        for index, request in enumerate(requests):
            if not request.by_tcp:
                by_server.setdefault(request.server, _Channel(self, request.server)).waiting.append(index)
        self._to_open = deque(by_server.values())

    def run(self) -> None:
        while True:
            now = time.monotonic()
            self._advance(now)
            if now >= self._deadline or not (self._open or self._streams):
                return
            due = min([self._deadline, *(one.due(now) for one in self._open), *(one.until for one in self._streams)])
            for key, _events in self.selector.select(max(0.0, due - now)):
                key.data.ready()

    def _advance(self, now: float) -> None:
        for channel in self._open:
            channel.advance(now)
        for stream in self._streams:
            stream.advance(now)
        self._open = [channel for channel in self._open if not channel.is_done]
        for stream in self._streams:
            if stream.is_done:
                self.replies[stream.index] = stream.reply
        self._streams = [stream for stream in self._streams if not stream.is_done]
        while self._to_open and len(self._open) < _OPEN_SERVERS:
            channel = self._to_open.popleft()
            channel.open(now)
            if not channel.is_done:
                self._open.append(channel)
        while self._to_stream and len(self._streams) < _OPEN_STREAMS:
            index = self._to_stream.popleft()
            self._streams.append(Stream(self.selector, index, self.requests[index], now, self._deadline))

    def by_tcp(self, index: int) -> None:
        self._to_stream.append(index)

    def close(self) -> None:
        for channel in self._open:
            channel.close()
        for stream in self._streams:
            stream.close()
        self.selector.close()


class _Channel:
    """The datagrams to and from one server."""

    def __init__(self, loop: _Loop, server: Server) -> None:
        self.waiting: deque[int] = deque()
        self._loop = loop
        self._server = server
        self._socket: socket.socket | None = None
        self._flights: dict[int, _Flight] = {}
        self._due: list[tuple[float, int]] = []
        self._window = _WINDOW
        self._pause = _FIRST_PAUSE
        self._round_trip = 0.0
        self._has_answered = False
        self._last_heard = 0.0

    @property
    def is_done(self) -> bool:
        return not self.waiting and not self._flights

    def open(self, now: float) -> None:
        self._last_heard = now
        try:
            self._socket = connected(self._server, socket.SOCK_DGRAM)
        except OSError:
            self._give_up(NO_ROUTE)
            return
        self._loop.selector.register(self._socket, selectors.EVENT_READ, self)
        self._fill(now)

    def close(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(KeyError, ValueError):
                self._loop.selector.unregister(self._socket)
            self._socket.close()
            self._socket = None

    def due(self, now: float) -> float:
        """When there is something to do although nothing was received."""
        if self.waiting and len(self._flights) < self._window:
            return now + 0.001
        return min(self._due[0][0] if self._due else now, self._last_heard + self._limit)

    @property
    def _limit(self) -> float:
        return PATIENCE if self._has_answered else self._loop.silence

    def advance(self, now: float) -> None:
        """Repeats what is overdue, gives up what will not come, and sends more."""
        if self._flights and now >= self._last_heard + self._limit:
            self._give_up(SILENT)
        while self._due and self._due[0][0] <= now:
            due, number = heapq.heappop(self._due)
            flight = self._flights.get(number)
            if flight is None or flight.sent + flight.pause > due:
                continue
            if now - flight.first >= PATIENCE:
                del self._flights[number]
                self._loop.replies[flight.index] = Reply(b"", SILENT)
                continue
            self._window = max(_SMALLEST_WINDOW, self._window // 2)
            flight.tries += 1
            flight.sent, flight.pause = now, min(_LONGEST_PAUSE, flight.pause * 2)
            self._send(number, flight)
        self._fill(now)
        if self.is_done:
            self.close()

    def _fill(self, now: float) -> None:
        while self.waiting and len(self._flights) < self._window:
            if not self._flights and not self._has_answered:
                self._last_heard = now
            index = self.waiting.popleft()
            number = id_of(self._loop.requests[index].wire)
            flight = self._flights[number] = _Flight(index, now, self._pause)
            if not self._send(number, flight):
                return

    def _send(self, number: int, flight: _Flight) -> bool:
        heapq.heappush(self._due, (flight.sent + flight.pause, number))
        if self._socket is None:
            return False
        try:
            self._socket.send(self._loop.requests[flight.index].wire)
        except BlockingIOError:
            # It counts as lost and is repeated.
            return False
        except OSError as error:
            self._give_up(explained(error))
            return False
        return True

    def ready(self) -> None:
        now = time.monotonic()
        for _packet in range(_WINDOW):
            if self._socket is None:
                return
            try:
                wire = self._socket.recv(BUFFER)
            except BlockingIOError:
                break
            except OSError as error:
                self._give_up(explained(error))
                return
            self._take(wire, now)
        self._fill(now)

    def _take(self, wire: bytes, now: float) -> None:
        number = id_of(wire)
        flight = self._flights.get(number)
        if flight is None or not answers(wire, self._loop.requests[flight.index].wire):
            return
        del self._flights[number]
        self._has_answered, self._last_heard = True, now
        self._window = min(_WINDOW, self._window + 1)
        if flight.tries == 1:
            self._learn(now - flight.sent)
        if wire[2] & _TRUNCATED:
            self._loop.by_tcp(flight.index)
        else:
            self._loop.replies[flight.index] = Reply(wire)

    def _learn(self, seconds: float) -> None:
        """The pause before a repetition follows the time that answers take (as RFC 6298 does for TCP)."""
        self._round_trip = seconds if not self._round_trip else 0.875 * self._round_trip + 0.125 * seconds
        self._pause = min(_FIRST_PAUSE, max(_SHORTEST_PAUSE, 3 * self._round_trip))

    def _give_up(self, why: str) -> None:
        for index in [*(flight.index for flight in self._flights.values()), *self.waiting]:
            self._loop.replies[index] = Reply(b"", why)
        self._flights.clear()
        self.waiting.clear()
        self.close()
