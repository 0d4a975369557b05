# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DKIM keys and their TXT records as values (RFC 6376 section 3.6.1, RFC 8463). No IO.

A private key is read by its DER, a tenth of a millisecond, and never through OpenSSL, whose consistency check of an RSA
key takes 36: that is done once, when a key is made or taken over.
"""

from __future__ import annotations

import base64
import binascii
import re

from ansible_collections.fleetpost.mail.plugins.module_utils._der import extent, tagged, value
from ansible_collections.fleetpost.mail.plugins.module_utils._libraries import library
from ansible_collections.fleetpost.mail.plugins.module_utils._model import DEFAULT_SERVICE_TYPE, PublicKey

# The time that these take must not grow with the square of what a damaged file holds: nothing in them can match in two ways,
# and a string that has no end ends with the file.
_PEM = re.compile(rb"-----BEGIN (RSA )?PRIVATE KEY-----\s([A-Za-z0-9+/=\s]+)-----END (?(1)RSA )PRIVATE KEY-----\Z")
_STRING = re.compile(r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|\\?\Z)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_OWNER = re.compile(r"([A-Za-z0-9.-]{1,200})\._domainkey[.\s]")
_SPACE = re.compile(r"\s+")

_RSA_ALGORITHM = bytes.fromhex("300d06092a864886f70d0101010500")
_ED25519_ALGORITHM = bytes.fromhex("300506032b6570")

# A character-string of a TXT record holds at most 255 bytes (RFC 1035 section 3.3).
STRING_LENGTH = 250


def record_of(key: PublicKey) -> str:
    """The text of a key's TXT record, in the order of tags that opendkim-genkey writes."""
    return f"v=DKIM1; h=sha256; k={key.key_type}; s={key.service_type}; p={key.public_key}"


def record_name(selector: str, domain: str) -> str:
    return f"{selector}._domainkey.{domain}"


def key_of_record(record: str) -> PublicKey | None:
    """The key that a TXT record shows; None for what is no DKIM record, and for one that is revoked (an empty ``p=``)."""
    found = tags(record)
    public_key = _SPACE.sub("", found.get("p", ""))
    if found.get("v", "DKIM1") != "DKIM1" or not public_key:
        return None
    key_type = found.get("k", "rsa")
    return PublicKey(key_type, _length(key_type, public_key), found.get("s", "*"), public_key)


def same_key(one: PublicKey, other: PublicKey) -> bool:
    """Whether two records hold the same key, whatever else they say."""
    return (one.key_type, one.public_key.rstrip("=")) == (other.key_type, other.public_key.rstrip("="))


def tags(record: str) -> dict[str, str]:
    """The tags of a tag-list (RFC 6376 section 3.2)."""
    parts = (part.partition("=") for part in record.split(";"))
    return {name.strip(): value.strip() for name, _equals, value in parts if name.strip()}


def is_for_mail(record: str) -> bool:
    """Whether receivers of mail use the key of a record for rsa-sha256 and ed25519-sha256 (RFC 6376 section 3.6.1, ``s=`` and ``h=``)."""
    found = tags(record)
    services = {one.strip() for one in found.get("s", "*").split(":")}
    hashes = {one.strip() for one in found.get("h", "sha256").split(":")}
    return bool(services & {"*", "email"}) and "sha256" in hashes


def canonical_pem(private_key: bytes) -> str:
    """The same private key in lines of 64 characters, which every library reads. Raises ValueError for what is no PEM."""
    found = _pem(private_key)
    name = "RSA PRIVATE KEY" if found.group(1) else "PRIVATE KEY"
    text = _SPACE.sub("", found.group(2).decode())
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {name}-----", *lines, f"-----END {name}-----", ""])


def _pem(private_key: bytes) -> re.Match[bytes]:
    found = _PEM.match(private_key.strip())
    if not found:
        raise ValueError("this is no private key in PEM form (PKCS #1 or PKCS #8 without a passphrase)")
    return found


def _length(key_type: str, public_key: str) -> int:
    if key_type != "rsa":
        return 256
    try:
        return _modulus_length(base64.b64decode(public_key, validate=True))
    except (IndexError, ValueError, binascii.Error):
        return 0


def _modulus_length(subject_public_key_info: bytes) -> int:
    content = value(subject_public_key_info, 0, 0x30)
    key = content[len(_RSA_ALGORITHM) :]
    modulus = value(value(value(key, 0, 0x03)[1:], 0, 0x30), 0, 0x02)
    return int.from_bytes(modulus, "big").bit_length()


def zone_text(selector: str, domain: str, key: PublicKey) -> str:
    """The file ``DOMAIN.txt``: the record as a zone file takes it, as opendkim-genkey(8) writes it."""
    head, _p, public_key = record_of(key).partition("p=")
    text = f"p={public_key}"
    strings = [head, *(text[start : start + STRING_LENGTH] for start in range(0, len(text), STRING_LENGTH))]
    shown = "\n\t  ".join(f'"{string}"' for string in strings)
    return f"{selector}._domainkey\tIN\tTXT\t( {shown} )  ; ----- DKIM key {selector} for {domain}\n"


def record_in_zone_text(text: str) -> str:
    """The record in a file ``DOMAIN.txt``; empty when there is none."""
    return _ESCAPED.sub(r"\1", "".join(_STRING.findall(text)))


def selector_in_zone_text(text: str) -> str:
    """The selector that a file ``DOMAIN.txt`` is about; empty when it names none."""
    found = _OWNER.match(text)
    return found.group(1).lower() if found else ""


def public_key_of(private_key: bytes, service_type: str = DEFAULT_SERVICE_TYPE) -> PublicKey:
    """The public side of an RSA or Ed25519 private key in PEM (PKCS #1 or PKCS #8, not encrypted).

    Raises ValueError for anything else; it never says what was in it.
    """
    found = _pem(private_key)
    try:
        der = binascii.a2b_base64(found.group(2))
        if found.group(1):
            return _rsa_key(der, service_type)
        return _key_of_pkcs8(der, service_type)
    except (IndexError, binascii.Error):
        raise ValueError("this private key is cut off or damaged") from None


def _key_of_pkcs8(der: bytes, service_type: str) -> PublicKey:
    content = value(der, 0, 0x30)
    _start, version_end = extent(content, 0, 0x02)
    if content.startswith(_RSA_ALGORITHM, version_end):
        return _rsa_key(value(content, version_end + len(_RSA_ALGORITHM), 0x04), service_type)
    if content.startswith(_ED25519_ALGORITHM, version_end):
        seed = value(value(content, version_end + len(_ED25519_ALGORITHM), 0x04), 0, 0x04)
        return PublicKey("ed25519", 256, service_type, base64.b64encode(_ed25519_public_key(seed)).decode())
    raise ValueError("this private key is neither RSA nor Ed25519, and no other can sign (RFC 6376, RFC 8463)")


def _rsa_key(pkcs1: bytes, service_type: str) -> PublicKey:
    """PKCS #1 holds version, modulus and public exponent first: the latter two are the public key as they stand."""
    content = value(pkcs1, 0, 0x30)
    _start, version_end = extent(content, 0, 0x02)
    start, modulus_end = extent(content, version_end, 0x02)
    _start, exponent_end = extent(content, modulus_end, 0x02)
    public = tagged(0x30, content[version_end:exponent_end])
    whole = tagged(0x30, _RSA_ALGORITHM + tagged(0x03, b"\0" + public))
    length = int.from_bytes(content[start:modulus_end], "big").bit_length()
    return PublicKey("rsa", length, service_type, binascii.b2a_base64(whole, newline=False).decode())


def _ed25519_public_key(seed: bytes) -> bytes:
    serialization = library("cryptography.hazmat.primitives.serialization")
    ed25519 = library("cryptography.hazmat.primitives.asymmetric.ed25519")
    key = ed25519.Ed25519PrivateKey.from_private_bytes(seed).public_key()
    public: bytes = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return public
