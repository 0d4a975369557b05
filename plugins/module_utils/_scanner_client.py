# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the scanners of this host whether they answer, as Exim would (clamd(8), and the protocol of spamd)."""

from __future__ import annotations

import socket
from collections.abc import Mapping

_SECONDS = 5.0
# What is said, and how the answer begins.
_GREETINGS = {
    "antivirus": (b"nPING\n", b"PONG"),
    "spamassassin": (b"PING SPAMC/1.2\r\n\r\n", b"SPAMD/"),
}


def silent_scanners(places: Mapping[str, str]) -> dict[str, str]:
    """Option -> why its scanner does not answer, for those that do not.

    places: option -> where Exim asks: a socket file, or an address, a space and a port.
    """
    found = {option: _problem(place, *_GREETINGS[option]) for option, place in places.items()}
    return {option: problem for option, problem in found.items() if problem}


def _problem(place: str, greeting: bytes, expected: bytes) -> str:
    try:
        with _connected(place) as connection:
            connection.sendall(greeting)
            answer = connection.recv(64)
    except (OSError, ValueError) as error:
        return f"nothing answers at {place}: {getattr(error, 'strerror', None) or error}"
    return "" if answer.startswith(expected) else f"what answers at {place} is something else"


def _connected(place: str) -> socket.socket:
    if not place.startswith("/"):
        address, _space, port = place.partition(" ")
        return socket.create_connection((address, int(port)), _SECONDS)
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(_SECONDS)
        connection.connect(place)
    except OSError:
        connection.close()
        raise
    return connection
