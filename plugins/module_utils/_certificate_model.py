# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates as a host has them and as users declare them, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import Pair
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership

PROVIDERS = ("selfsigned", "acme", "provided")
CERTIFICATE_KEY_TYPES = ("ecdsa", "rsa")
CERTIFICATE_KEY_SIZES = {"ecdsa": (256, 384), "rsa": (2048, 3072, 4096)}
DEFAULT_VALID_DAYS = 3650
DEFAULT_RENEW_BEFORE_DAYS = 30
DEFAULT_ACME_MAX_ORDERS = 20
CHALLENGES = ("http-01", "dns-01")
# The first of each is the default.
CHALLENGE_METHODS = {"http-01": ("standalone", "webroot"), "dns-01": ("rfc2136",)}
ACME_DIRECTORIES = {
    "letsencrypt": "https://acme-v02.api.letsencrypt.org/directory",
    "letsencrypt-staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
}
DNS_PORT = 53
DEFAULT_PROPAGATION = 10
TSIG_ALGORITHMS = ("hmac-sha256", "hmac-sha512", "hmac-sha384", "hmac-sha224", "hmac-sha1")


class Acme(NamedTuple):
    """How a certificate is got from a certificate authority (RFC 8555).

    directory: the URL of the authority's directory. email: of whom it may warn, empty for nobody. method: of the challenge.
    webroot: the directory that a web server of the host shows. ca_certificate: the file with the authority's own root, where the
    host does not trust it anyway. The rest is for dns-01: the name server that takes updates (RFC 2136), the name of its TSIG key,
    and for how many seconds its other servers may take to know.
    """

    directory: str = ACME_DIRECTORIES["letsencrypt"]
    email: str = ""
    challenge: str = "http-01"
    method: str = "standalone"
    webroot: str = ""
    ca_certificate: str = ""
    dns_server: str = ""
    dns_port: int = DNS_PORT
    tsig_name: str = ""
    tsig_algorithm: str = TSIG_ALGORITHMS[0]
    propagation: int = DEFAULT_PROPAGATION


class Certificate(NamedTuple):
    """A certificate that the servers show: for `name`, which its files are called after, and for the further `names`.

    key_size: in bits. paths: files on the host that it is taken from (certificate, chain, private key), for provider
    ``provided``; empty when it was given as text. is_host: it is the host's own, shown where no other is asked for. failed: when
    its last order failed, ``20261123T040000Z``; empty once one has succeeded. is_removing: nobody has it any more, and its files go.
    """

    name: str
    names: tuple[str, ...] = ()
    provider: str = "selfsigned"
    key_type: str = "ecdsa"
    key_size: int = 256
    valid_days: int = DEFAULT_VALID_DAYS
    renew_before_days: int = DEFAULT_RENEW_BEFORE_DAYS
    acme: Acme | None = None
    paths: tuple[str, str, str] = ("", "", "")
    is_host: bool = False
    failed: str = ""
    is_removing: bool = False

    @property
    def all_names(self) -> tuple[str, ...]:
        return (self.name, *self.names)


class DeclaredSsl(NamedTuple):
    """The option ``ssl`` of a domain as the user wrote it; None is what was not said.

    changes: fields of Certificate that are given, by name. acme: the same of Acme. private_key, chain: in PEM, both or neither.
    tsig_secret, eab_hmac_key: secrets for the authority's client alone.
    """

    where: str
    state: str = "present"
    alias: str | None = None
    changes: Mapping[str, Any] = MappingProxyType({})
    acme: Mapping[str, Any] = MappingProxyType({})
    private_key: bytes | None = None
    chain: bytes | None = None
    terms_agreed: bool = False
    force: bool = False
    tsig_secret: str | None = None
    eab_kid: str | None = None
    eab_hmac_key: str | None = None


class Order(NamedTuple):
    """A certificate that is to be ordered from its authority. is_renewal: there is one of it already."""

    certificate: Certificate
    is_renewal: bool
    eab_kid: str = ""
    eab_hmac_key: str = ""


class FoundFile(NamedTuple):
    """A file with a certificate as it was found. pair: None when no server could use it, and `problem` says why."""

    content: bytes
    ownership: Ownership
    pair: Pair | None
    problem: str = ""


class Lineage(NamedTuple):
    """A certificate that certbot keeps and renews.

    server: the URL of the directory it is from. is_ours: our hook is to be called after its renewal, so it was ordered by us.
    content: key and chain, as they are to be served; empty when they cannot be read.
    """

    name: str
    server: str
    is_ours: bool
    content: bytes
    pair: Pair | None
    problem: str = ""


class FoundCertificate(NamedTuple):
    """What was found of one certificate.

    exim, dovecot: the two servers' copies. lineages: of certbot, the newest first. credentials: of its file with a TSIG key.
    """

    exim: FoundFile | None = None
    dovecot: FoundFile | None = None
    lineages: tuple[Lineage, ...] = ()
    credentials: bytes | None = None


class Provided(NamedTuple):
    """What files of the user's own hold: private key and chain, or what is wrong with them. is_missing: one is not there."""

    private_key: bytes = b""
    chain: bytes = b""
    problem: str = ""
    is_missing: bool = False


class CertificateFacts(NamedTuple):
    """What a plan must know of a host's certificates besides their table.

    host: the name of the host's own, empty where the Exim configuration is not the role's. found: the files of those that were
    looked at, by name. files: the names of all that stand among Dovecot's. provided: what the users' own files hold, by their paths.
    trusted: the subjects of the roots that the host trusts, None when nobody asked. acme_lacks: what ACME needs and the host does
    not have, empty for nothing. reload_is_due: an earlier run did not get as far as telling Dovecot.
    """

    host: str = ""
    found: Mapping[str, FoundCertificate] = MappingProxyType({})
    files: frozenset[str] = frozenset()
    provided: Mapping[tuple[str, str, str], Provided] = MappingProxyType({})
    trusted: frozenset[bytes] | None = None
    acme_lacks: str = ""
    reload_is_due: bool = False
