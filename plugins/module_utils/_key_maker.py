# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes DKIM keys with the library cryptography, and checks those that users bring along."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import public_key_of
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._libraries import library
from ansible_collections.fleetpost.mail.plugins.module_utils._model import MadeKey
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import WantedKey
from ansible_collections.fleetpost.mail.plugins.module_utils._workers import all_at_once

_PUBLIC_EXPONENT = 65537


def make_keys(wanted: Mapping[str, WantedKey]) -> dict[str, MadeKey]:
    """The keys, by file. Raises MailErrors for private keys that users brought along and that are damaged."""
    serialization = library("cryptography.hazmat.primitives.serialization")
    rsa = library("cryptography.hazmat.primitives.asymmetric.rsa")
    ed25519 = library("cryptography.hazmat.primitives.asymmetric.ed25519")

    def make(one: WantedKey) -> MadeKey:
        if one.private_key:
            return _checked(one, one.private_key, serialization)
        if one.key.key_type == "rsa":
            # Exim reads both forms; the older one is what opendkim-genkey writes.
            pem = _pem(rsa.generate_private_key(_PUBLIC_EXPONENT, one.key.key_length), "TraditionalOpenSSL", serialization)
        else:
            pem = _pem(ed25519.Ed25519PrivateKey.generate(), "PKCS8", serialization)
        return MadeKey(public_key_of(pem, one.key.service_type), pem.decode())

    return all_at_once(make, wanted)


def _pem(key: Any, form: str, serialization: Any) -> bytes:
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, getattr(serialization.PrivateFormat, form), serialization.NoEncryption())
    return pem


def _checked(wanted: WantedKey, private_key: str, serialization: Any) -> MadeKey:
    """A key of the user's, after OpenSSL has looked at it once."""
    try:
        serialization.load_pem_private_key(private_key.encode(), None)
    except (ValueError, TypeError):
        raise MailError("this private key is damaged: its numbers do not fit each other", f"{wanted.where}private_key") from None
    return MadeKey(wanted.key, private_key)
