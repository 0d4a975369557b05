# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Private keys for tests, each made once in a test process by the library that the tests compare with."""

from __future__ import annotations

import base64
from functools import cache
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._model import PublicKey
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa


@cache
def key_of(kind: str, number: int = 0) -> Any:
    """The key of a kind (``rsa1024``, ``rsa2048``, ``ed25519``) and a number."""
    if kind == "ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65537, int(kind[3:]))


def pem(kind: str, number: int = 0, form: str = "PKCS8") -> str:
    """A private key; `form` is one of serialization.PrivateFormat."""
    encoding, private = serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form)
    return key_of(kind, number).private_bytes(encoding, private, serialization.NoEncryption()).decode()


def public(kind: str, number: int = 0, service_type: str = "email") -> PublicKey:
    """What the library says of its public side, in the form of RFC 6376 and RFC 8463."""
    key = key_of(kind, number).public_key()
    if kind == "ed25519":
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return PublicKey("ed25519", 256, service_type, base64.b64encode(raw).decode())
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey("rsa", key.key_size, service_type, base64.b64encode(der).decode())


def long_public(length: int) -> PublicKey:
    """A public RSA key of any length, which nobody has the private side of: making one takes seconds."""
    numbers = rsa.RSAPublicNumbers(65537, (1 << (length - 1)) + 1)
    der = numbers.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return PublicKey("rsa", length, "email", base64.b64encode(der).decode())
