# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS records a mail domain needs, as values, and how a zone file and other collections write them. No IO."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import record_name, record_of
from ansible_collections.fleetpost.mail.plugins.module_utils._libraries import library
from ansible_collections.fleetpost.mail.plugins.module_utils._model import DkimKey, Domain, PublicKey

KINDS = ("mx", "a", "aaaa", "spf", "dkim", "dmarc", "mta_sts", "tls_rpt", "tlsa", "autoconfig")
DEFAULT_KINDS = ("mx", "spf", "dkim", "dmarc")
HOST_KINDS = ("a", "aaaa", "tlsa")
DEFAULT_TTL = 3600

SPF_ALL = {"fail": "-all", "softfail": "~all", "neutral": "?all"}

# A character-string of a TXT record holds at most 255 bytes (RFC 1035 section 3.3).
_STRING_LENGTH = 255
_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)

# RFC 6186 section 3.4 and RFC 8314 section 5.1: the services of this collection's servers, all of the same host.
_SERVICES = (("_submissions", 465), ("_submission", 587), ("_imaps", 993), ("_pop3s", 995))


class MailHost(NamedTuple):
    """The host that the domains' mail goes to. addresses: what its name stands for. certificate: the PEM file that Exim shows."""

    name: str
    addresses: tuple[str, ...] = ()
    certificate: bytes = b""


class Wishes(NamedTuple):
    """What the options say about records.

    mx: whole values, such as ``10 mx.example.com.``; by default the mail host with preference 10. spf_all: how the SPF record ends:
    fail, softfail or neutral. mta_sts_id: of the policy that the administrator serves. tls_rpt_rua: where reports go, with
    ``{domain}`` filled in.
    """

    kinds: tuple[str, ...] = DEFAULT_KINDS
    mx: tuple[str, ...] = ()
    spf_all: str = "softfail"
    mta_sts_id: str = ""
    tls_rpt_rua: tuple[str, ...] = ("mailto:postmaster@{domain}",)


class Record(NamedTuple):
    """A set of records that belongs to a domain, or for a, aaaa and tlsa to the mail host.

    name: without its final dot. values: in canonical text; a TXT unquoted and whole.
    """

    domain: str
    kind: str
    name: str
    type: str
    values: tuple[str, ...]


def records_of(domain: Domain, host: MailHost, keys: Mapping[str, PublicKey], wishes: Wishes) -> list[Record]:
    """The records a domain needs, of the kinds wished for. keys: the DKIM keys by the name of their files."""
    found: list[Record] = []
    for kind in wishes.kinds:
        if kind not in HOST_KINDS:
            found.extend(_OF_KIND[kind](domain, host, keys, wishes))
    return found


def host_records(host: MailHost, kinds: Iterable[str]) -> list[Record]:
    """The records of the mail host itself, of those kinds wished for that are its."""
    by_type = {"a": "A", "aaaa": "AAAA"}
    found = []
    for kind in kinds:
        if kind in by_type:
            values = tuple(address for address in host.addresses if (":" in address) == (kind == "aaaa"))
            if values:
                found.append(Record(host.name, kind, host.name, by_type[kind], values))
        elif kind == "tlsa":
            found.append(Record(host.name, kind, f"_25._tcp.{host.name}", "TLSA", (tlsa_value(host.certificate),)))
    return found


def retired_records(domain: Domain, keys: Mapping[str, PublicKey]) -> list[Record]:
    """The records of keys whose rotation is over: nothing is verified by them any more."""
    if domain.dkim is None or domain.dkim.stage != "retired":
        return []
    return list(_dkim_records(domain, domain.dkim.other, keys))


def dkim_keys(domain: Domain, with_retired: bool = False) -> tuple[DkimKey, ...]:
    """The keys of a domain whose records belong into the DNS; with_retired: and those whose records may still be there."""
    if domain.dkim is None:
        return ()
    is_over = domain.dkim.stage == "retired" and not with_retired
    return domain.dkim.keys if is_over else domain.dkim.keys + domain.dkim.other


def mx_values(host: MailHost, wishes: Wishes) -> tuple[str, ...]:
    return wishes.mx or (f"10 {host.name}.",)


def _mx(domain: Domain, host: MailHost, _keys: Mapping[str, PublicKey], wishes: Wishes) -> Iterator[Record]:
    yield Record(domain.name, "mx", domain.name, "MX", mx_values(host, wishes))


def spf_mechanisms(domain: Domain, host: MailHost) -> tuple[str, ...]:
    """What the SPF record of a domain must allow: its sending addresses, or else those of the mail host (RFC 7208 section 5)."""
    if domain.ip_addresses:
        return tuple(f"ip{'6' if ':' in address else '4'}:{address}" for address in domain.ip_addresses)
    return (f"a:{host.name}",)


def _spf(domain: Domain, host: MailHost, _keys: Mapping[str, PublicKey], wishes: Wishes) -> Iterator[Record]:
    text = " ".join(("v=spf1", *spf_mechanisms(domain, host), SPF_ALL[wishes.spf_all]))
    yield Record(domain.name, "spf", domain.name, "TXT", (text,))


def _dkim(domain: Domain, _host: MailHost, keys: Mapping[str, PublicKey], _wishes: Wishes) -> Iterator[Record]:
    return _dkim_records(domain, dkim_keys(domain), keys)


def _dkim_records(domain: Domain, wanted: Iterable[DkimKey], keys: Mapping[str, PublicKey]) -> Iterator[Record]:
    for key in wanted:
        if key.file in keys:
            yield Record(domain.name, "dkim", record_name(key.selector, domain.name), "TXT", (record_of(keys[key.file]),))


def _dmarc(domain: Domain, _host: MailHost, _keys: Mapping[str, PublicKey], _wishes: Wishes) -> Iterator[Record]:
    if domain.dmarc:
        yield Record(domain.name, "dmarc", f"_dmarc.{domain.name}", "TXT", (domain.dmarc,))


def _mta_sts(domain: Domain, _host: MailHost, _keys: Mapping[str, PublicKey], wishes: Wishes) -> Iterator[Record]:
    yield Record(domain.name, "mta_sts", f"_mta-sts.{domain.name}", "TXT", (f"v=STSv1; id={wishes.mta_sts_id}",))


def _tls_rpt(domain: Domain, _host: MailHost, _keys: Mapping[str, PublicKey], wishes: Wishes) -> Iterator[Record]:
    rua = ",".join(one.replace("{domain}", domain.name) for one in wishes.tls_rpt_rua)
    yield Record(domain.name, "tls_rpt", f"_smtp._tls.{domain.name}", "TXT", (f"v=TLSRPTv1; rua={rua}",))


def _autoconfig(domain: Domain, host: MailHost, _keys: Mapping[str, PublicKey], _wishes: Wishes) -> Iterator[Record]:
    for service, port in _SERVICES:
        yield Record(domain.name, "autoconfig", f"{service}._tcp.{domain.name}", "SRV", (f"0 1 {port} {host.name}.",))


_OF_KIND = {
    "mx": _mx,
    "spf": _spf,
    "dkim": _dkim,
    "dmarc": _dmarc,
    "mta_sts": _mta_sts,
    "tls_rpt": _tls_rpt,
    "autoconfig": _autoconfig,
}


def tlsa_value(pem: bytes) -> str:
    """The TLSA record of a server's public key: DANE-EE, its SPKI, SHA-256 (RFC 7672 section 3.1). Raises ValueError."""
    found = _CERTIFICATE.search(pem)
    if not found:
        raise ValueError("there is no certificate in this file")
    serialization = library("cryptography.hazmat.primitives.serialization")
    certificate = library("cryptography.x509").load_pem_x509_certificate(found.group(0))
    public = certificate.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"3 1 1 {hashlib.sha256(public).hexdigest()}"


def dns_records(records: Iterable[Record], ttl: int) -> list[dict[str, Any]]:
    """The record sets as ``community.dns.*_record_sets`` takes them: no final dot in names, TXT values unquoted."""
    sets: dict[tuple[str, str], list[str]] = {}
    for record in records:
        values = sets.setdefault((record.name, record.type), [])
        values.extend(value for value in record.values if value not in values)
    return [{"record": name, "type": kind, "ttl": ttl, "value": values} for (name, kind), values in sets.items()]


def zone_file(records: Iterable[Record], ttl: int) -> str:
    """The records as lines of a zone file, with absolute names, for any ``$ORIGIN``."""
    lines = dict.fromkeys(
        f"{record.name}.\t{ttl}\tIN\t{record.type}\t{rdata_text(record.type, value)}\n" for record in records for value in record.values
    )
    return "".join(lines)


def rdata_text(record_type: str, value: str) -> str:
    """A value as a zone file has it: a TXT in quoted strings of at most 255 bytes."""
    if record_type != "TXT":
        return value
    octets = value.encode()
    parts = [octets[start : start + _STRING_LENGTH] for start in range(0, len(octets), _STRING_LENGTH)] or [b""]
    return " ".join(f'"{"".join(map(_escaped, part))}"' for part in parts)


def _escaped(octet: int) -> str:
    """RFC 1035 section 5.1."""
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03d}"
