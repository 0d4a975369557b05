# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks the running servers which certificate they show for a name."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
import ssl
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

_SECONDS = 10.0
_AT_ONCE = 16
_LOOPBACK = ("127.0.0.1", "::1")


def fingerprints_shown(names: Sequence[str], port: int, addresses: Iterable[str]) -> dict[str, str]:
    """Name -> the SHA-256 of the certificate that the server at `port` shows for it, or a sentence why there is none.

    addresses: of this host; the first one that the server answers at is asked.
    """
    address = _answering((*_LOOPBACK, *sorted(addresses, key=_order)), port)
    if address is None:
        return dict.fromkeys(names, f"nothing answers on port {port}")
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(names, pool.map(lambda name: _fingerprint(address, port, name), names)))


def _order(address: str) -> tuple[int, int]:
    found = ipaddress.ip_address(address)
    return found.version, int(found)


def _answering(addresses: Iterable[str], port: int) -> str | None:
    for address in addresses:
        try:
            socket.create_connection((address, port), _SECONDS).close()
        except OSError:
            continue
        return address
    return None


def _fingerprint(address: str, port: int, name: str) -> str:
    # What is shown is compared with what is on disk, so nothing has to be trusted here.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((address, port), _SECONDS) as plain, context.wrap_socket(plain, server_hostname=name) as connection:
            return hashlib.sha256(connection.getpeercert(True) or b"").hexdigest()
    except (OSError, ValueError) as error:
        return f"no TLS for {name} on port {port}: {getattr(error, 'reason', None) or error}"
