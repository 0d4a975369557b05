# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A certificate authority for tests: a root, an intermediate and what they issue. Keys and certificates are made once a process."""

from __future__ import annotations

import datetime as dt
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

NAME = "mail.example.com"
DAY = 86400
# One moment for the whole process, so that what is made once is as old everywhere.
NOW = int(time.time())

_CURVES = {"ecdsa256": ec.SECP256R1, "ecdsa384": ec.SECP384R1, "secp256k1": ec.SECP256K1, "ecdsa224": ec.SECP224R1}


@cache
def key_of(kind: str, number: int = 0) -> Any:
    """The key of a kind (``rsa1024``, ``rsa2048``, ``ecdsa256``, ``ecdsa384``, ``ed25519``, ...) and a number."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(_CURVES[kind]()) if kind in _CURVES else rsa.generate_private_key(65537, int(kind[3:]))


def key_pem(kind: str = "ecdsa256", number: int = 0, form: str = "PKCS8", passphrase: bytes | None = None) -> str:
    """A private key in PEM; `form` is one of serialization.PrivateFormat."""
    protection = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    return key_of(kind, number).private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), protection).decode()


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    names: tuple[str, ...] = (NAME,),
    key: tuple[str, int] = ("ecdsa256", 0),
    days: tuple[float, float] = (-30, 60),
    issuer: str = "intermediate",
    subject: str | None = None,
    digest: str = "SHA256",
    is_ca: bool = False,
) -> Any:
    """A certificate, the same one for the same wishes. days: from and until when it is valid, counted from now.

    issuer: ``root``, ``intermediate``, ``other``, ``rsa`` or ``self``.
    """
    return _certificate(names, key, days, issuer, subject, digest, is_ca)


@cache
def _certificate(
    names: tuple[str, ...],
    key: tuple[str, int],
    days: tuple[float, float],
    issuer: str,
    subject: str | None,
    digest: str,
    is_ca: bool,
) -> Any:
    name = subject or (names[0] if names else NAME)
    issuer_key, issuer_name = ISSUERS[issuer] if issuer != "self" else (key, name)
    moments = [dt.datetime.fromtimestamp(NOW + one * DAY, dt.timezone.utc).replace(microsecond=0) for one in days]
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .public_key(key_of(*key).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moments[0])
        .not_valid_after(moments[1])
        .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
    )
    if names and not is_ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), critical=False)
    signing_key = key_of(*issuer_key)
    if digest != "SHA256":
        made = builder.issuer_name(_name(name)).sign(key_of(*key), hashes.SHA256())
        return _signed_anew(made, digest, issuer_key, issuer_name)
    return builder.issuer_name(_name(issuer_name)).sign(signing_key, None if issuer_key[0] == "ed25519" else hashes.SHA256())


def _signed_anew(made: Any, digest: str, key: tuple[str, int], name: str) -> Any:
    """A certificate that signed itself, signed by somebody else in a way that the library no longer offers."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        for file, text in (
            ("own", pem(made)),
            ("ca", pem(certificate((), key, (-9, 9), "self", name, is_ca=True))),
            ("key", key_pem(*key)),
        ):
            (place / file).write_text(text)
        command = [
            "openssl",
            "x509",
            "-in",
            "own",
            "-CA",
            "ca",
            "-CAkey",
            "key",
            f"-{digest.lower()}",
            "-preserve_dates",
            "-set_serial",
            "7",
        ]
        return x509.load_pem_x509_certificate(subprocess.run(command, cwd=place, capture_output=True, check=True).stdout)


ISSUERS = {
    "root": (("ecdsa256", 90), "Test Root"),
    "intermediate": (("ecdsa256", 91), "Test Intermediate"),
    "other": (("ecdsa256", 92), "Other Root"),
    "rsa": (("rsa2048", 90), "Test RSA"),
}


def root(issuer: str = "root") -> Any:
    """The certificate of a root itself."""
    key, name = ISSUERS[issuer]
    return certificate((), key, (-3000, 3000), issuer, name, is_ca=True)


def intermediate() -> Any:
    """The certificate between the root and what is issued."""
    key, name = ISSUERS["intermediate"]
    return certificate((), key, (-1000, 1000), "root", name, is_ca=True)


def pem(*certificates: Any) -> str:
    """Certificates in PEM, in their order."""
    return "".join(one.public_bytes(serialization.Encoding.PEM).decode() for one in certificates)


def der(one: Any) -> bytes:
    return one.public_bytes(serialization.Encoding.DER)


def chain_pem(*names: str, **how: Any) -> str:
    """A certificate and the intermediate that issued it."""
    return pem(certificate(names or (NAME,), **how), intermediate())


def issued(*names: str, key: tuple[str, int] = ("ecdsa256", 0), **how: Any) -> bytes:
    """Key and chain in one file, as servers take them."""
    return (key_pem(*key) + chain_pem(*names, key=key, **how)).encode()


def self_signed(*names: str, key: tuple[str, int] = ("ecdsa256", 0), **how: Any) -> bytes:
    """The same of a certificate that signed itself."""
    return (key_pem(*key) + pem(certificate(names or (NAME,), key=key, issuer="self", **how))).encode()


def provided(*names: str, key: tuple[str, int] = ("ecdsa256", 0), **how: Any) -> dict[str, str]:
    """The options of a certificate that is provided as text, with the root that no host trusts."""
    own = certificate(names or (NAME,), key=key, **how)
    return {"provider": "provided", "certificate": pem(own), "chain": pem(intermediate(), root()), "private_key": key_pem(*key)}


def secrets_of(texts: Sequence[str | bytes]) -> list[str]:
    """Lines of private keys that may be shown nowhere."""
    found = []
    for text in texts:
        lines = (text if isinstance(text, str) else text.decode()).split("PRIVATE KEY-----")[1].strip().splitlines()
        # The first line of PKCS #8 says no more than the kind of the key.
        found += [line.rstrip("=")[-40:] for line in lines[1:-1] if len(line) > 40]
    return found
