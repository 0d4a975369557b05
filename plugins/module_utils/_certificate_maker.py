# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes self-signed certificates with the library cryptography: RSA on all cores and at low priority."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Certificate
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import joined, marked, private_pem
from ansible_collections.fleetpost.mail.plugins.module_utils._libraries import library
from ansible_collections.fleetpost.mail.plugins.module_utils._workers import all_at_once

# RFC 5280, appendix A: ub-common-name.
_LONGEST_COMMON_NAME = 64
_PUBLIC_EXPONENT = 65537


def make_certificates(wanted: Mapping[str, Certificate]) -> dict[str, bytes]:
    """A self-signed pair for each certificate: what its file shall hold, by name."""
    # Clocks of clients may be an hour behind.
    now = dt.datetime.now(dt.timezone.utc).replace(tzinfo=None, microsecond=0)
    begin = now - dt.timedelta(hours=1)
    rsa = {name: one for name, one in wanted.items() if one.key_type == "rsa"}
    made = all_at_once(lambda one: _made(one, begin), rsa) if rsa else {}
    # An elliptic curve takes a tenth of a millisecond: threads would only wait for each other.
    return {name: made[name] if name in made else _made(one, begin) for name, one in wanted.items()}


def _made(certificate: Certificate, begin: dt.datetime) -> bytes:
    key = _new_key(certificate)
    serialization = library("cryptography.hazmat.primitives.serialization")
    made = _builder(certificate, key, begin).sign(key, library("cryptography.hazmat.primitives.hashes").SHA256())
    return marked(certificate.name, joined(private_pem(key), [made.public_bytes(serialization.Encoding.DER)]))


def _new_key(certificate: Certificate) -> Any:
    if certificate.key_type == "rsa":
        return library("cryptography.hazmat.primitives.asymmetric.rsa").generate_private_key(_PUBLIC_EXPONENT, certificate.key_size)
    ec = library("cryptography.hazmat.primitives.asymmetric.ec")
    return ec.generate_private_key(ec.SECP384R1() if certificate.key_size == 384 else ec.SECP256R1())


def _builder(certificate: Certificate, key: Any, begin: dt.datetime) -> Any:
    """What clients look at is in subjectAltName (RFC 6125 section 6.4.4); a common name is for people."""
    x509, oid = library("cryptography.x509"), library("cryptography.x509.oid")
    common_name = certificate.name if len(certificate.name) <= _LONGEST_COMMON_NAME else certificate.name.partition(".")[0]
    name = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, common_name)])
    names = x509.SubjectAlternativeName([x509.DNSName(one) for one in certificate.all_names])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=certificate.valid_days))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
