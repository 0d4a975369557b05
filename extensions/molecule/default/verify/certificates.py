# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which certificate a host shows: openssl asks as a client does, with a name (SNI) or with none."""

from __future__ import annotations

import hashlib
import re
import ssl
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from hosts import Host
from lab import LabError

# Every port that speaks TLS -> the protocol to say STARTTLS in, empty where TLS comes first.
PORTS = {25: "smtp", 587: "smtp", 465: "", 143: "imap", 993: "", 110: "pop3", 995: "", 4190: "sieve"}
EXIM_DIRECTORY = "/etc/exim4/ssl"
DOVECOT_DIRECTORY = "/etc/dovecot/certs"
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", re.DOTALL)
_AT_ONCE = 4


class Shown(NamedTuple):
    """A certificate as a server showed it. chain: its PEMs, the server's own first, without a root unless that was shown too."""

    chain: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the server's own certificate, in lower-case hexadecimal digits."""
        return hashlib.sha256(ssl.PEM_cert_to_DER_cert(self.chain[0])).hexdigest()

    @property
    def subject(self) -> str:
        return _x509(self.chain[0], "-subject", "-nameopt", "RFC2253").partition("=")[2]

    @property
    def issuer(self) -> str:
        return _x509(self.chain[0], "-issuer", "-nameopt", "RFC2253").partition("=")[2]

    @property
    def names(self) -> list[str]:
        """The DNS names of its subjectAltName, sorted."""
        return sorted(re.findall(r"DNS:([^,\s]+)", _x509(self.chain[0], "-ext", "subjectAltName")))


def _x509(certificate: str, *options: str) -> str:
    done = subprocess.run(["openssl", "x509", "-noout", *options], input=certificate, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def which(host: Host, port: int, name: str | None = None) -> Shown:
    """What a client sees that asks at this port for this name, or for none."""
    starttls = ["-starttls", PORTS[port]] if PORTS[port] else []
    asked = ["-noservername"] if name is None else ["-servername", name]
    command = ["openssl", "s_client", "-connect", f"{host.ip4}:{port}", *starttls, *asked, "-showcerts"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=30, check=False)
    chain = tuple(_CERTIFICATE.findall(done.stdout))
    if not chain:
        raise LabError(f"{' '.join(command)} ended with {done.returncode} and no certificate\n{done.stdout[-500:]}{done.stderr[-500:]}")
    return Shown(chain)


def which_at(host: Host, names: Iterable[str | None], ports: Iterable[int] = tuple(PORTS)) -> dict[tuple[str | None, int], Shown]:
    """`which` for every name at every port, several at once."""
    asked = [(name, port) for name in names for port in ports]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(asked, pool.map(lambda one: which(host, one[1], one[0]), asked), strict=True))


def fingerprint_of(host: Host, path: str) -> str:
    """SHA-256 of the first certificate in a .pem file on the host."""
    printed = host.run("openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", path).stdout
    return printed.strip().partition("=")[2].replace(":", "").lower()


def files_of(certificate: str) -> tuple[str, str]:
    """Where Exim and where Dovecot have a certificate."""
    return f"{EXIM_DIRECTORY}/{certificate}.pem", f"{DOVECOT_DIRECTORY}/{certificate}.pem"
