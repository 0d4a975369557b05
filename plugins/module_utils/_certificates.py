# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates with their keys as values: what a file ``NAME.pem`` holds, and whether a server may show it. No IO.

A file holds the private key and the chain, the server's own certificate first (RFC 8446 section 4.4.2), so that one rename
replaces both. An unchanged run reads thousands of them: it parses the certificate, and sees that the key is its own by
finding the certificate's public numbers in the key's DER. A private key is loaded only when it is taken over.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import contextlib
import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._der import extent, value
from ansible_collections.fleetpost.mail.plugins.module_utils._libraries import library

_KEY_BLOCKS = (b"PRIVATE KEY", b"RSA PRIVATE KEY", b"EC PRIVATE KEY")
# What `openssl ecparam` writes before a key.
_IGNORED_BLOCKS = (b"EC PARAMETERS", b"DH PARAMETERS")

_RSA = bytes.fromhex("06092a864886f70d010101")
_ECDSA = bytes.fromhex("06072a8648ce3d0201")
_SUBJECT_ALT_NAME = bytes.fromhex("0603551d11")
# What servers and clients know: P-256, P-384 and P-521 (RFC 8422 section 5.1.1).
_CURVES = {bytes.fromhex("06082a8648ce3d030107"): 256, bytes.fromhex("06052b81040022"): 384, bytes.fromhex("06052b81040023"): 521}
_PASSPHRASE = "the private key has a passphrase, and nobody is there to type it when a server starts"

_SMALLEST_RSA = 2048
_WEAK_HASHES = ("md5", "sha1")
_MARK = "# fleetpost.mail certificate"
_DAY = 86400
# Clocks differ; beyond this a certificate is of the future.
_EARLY_SECONDS = _DAY


class Pair(NamedTuple):
    """A private key and the certificate that belongs to it.

    names: of its subjectAltName, in lower case. not_before, not_after: seconds since the epoch. key_size: in bits. fingerprint:
    SHA-256 of the certificate, in hexadecimal digits.
    """

    names: tuple[str, ...]
    not_before: int
    not_after: int
    key_type: str
    key_size: int
    is_self_signed: bool
    fingerprint: str

    def covers(self, name: str) -> bool:
        """Whether clients accept the certificate for a name; a wildcard stands for one label (RFC 6125 section 6.4.3)."""
        return name in self.names or f"*.{name.partition('.')[2]}" in self.names

    def is_due(self, renew_before_days: int, now: float) -> bool:
        """Whether it is to be renewed: never before two thirds of its life are over, however long the time before its end."""
        life = self.not_after - self.not_before
        return self.not_after - now < min(renew_before_days * _DAY, life / 3)


def pair_of(content: bytes) -> Pair:
    """What a file with a key and its chain holds. Raises ValueError, with what is wrong, for what no server could use."""
    key, chain = parts_of(content)
    certificate = chain[0]
    fields = _fields(certificate)
    if not fields.key_size:
        raise ValueError("the certificate's key is neither RSA nor ECDSA, and no other is understood everywhere")
    if fields.numbers not in key and not _belongs(key, certificate):
        raise ValueError("the private key does not belong to the certificate")
    loaded = _loaded(certificate)
    try:
        names = _names(certificate)
    except IndexError:
        raise ValueError("the certificate is damaged") from None
    return Pair(
        names,
        _seconds(loaded, "before"),
        _seconds(loaded, "after"),
        fields.key_type,
        fields.key_size,
        _is_root(fields),
        hashlib.sha256(certificate).hexdigest(),
    )


def parts_of(content: bytes) -> tuple[bytes, list[bytes]]:
    """The private key and the certificates of a file, as DER. Raises ValueError."""
    keys: list[bytes] = []
    chain: list[bytes] = []
    for label, der in _blocks(content):
        (keys if label in _KEY_BLOCKS else chain).append(der)
    if not chain:
        raise ValueError("there is no certificate in it")
    if len(keys) != 1:
        raise ValueError("there is no private key in it" if not keys else "there are several private keys in it")
    return keys[0], chain


def certificates_of(content: bytes) -> list[bytes]:
    """The certificates of a file that may hold nothing else, as DER. Raises ValueError."""
    found = list(_blocks(content))
    if not found or any(label != b"CERTIFICATE" for label, _der in found):
        raise ValueError("this is no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    for _label, der in found:
        _loaded(der)
    return [der for _label, der in found]


def _blocks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Label and DER of each block of PEM (RFC 7468 section 2); what stands between blocks is passed over. Raises ValueError."""
    parts = content.split(b"-----")
    if len(parts) % 4 != 1:
        raise ValueError("it is cut off or damaged")
    for begin, text, end in zip(parts[1::4], parts[2::4], parts[3::4]):
        label = begin[6:]
        if label in _IGNORED_BLOCKS:
            continue
        if label == b"ENCRYPTED PRIVATE KEY":
            raise ValueError(_PASSPHRASE)
        if begin[:6] != b"BEGIN " or end != b"END " + label:
            raise ValueError("it is cut off or damaged")
        if label != b"CERTIFICATE" and label not in _KEY_BLOCKS:
            raise ValueError(f"it holds a {label[:40].decode('ascii', 'replace')}, which is neither a certificate nor a private key")
        if b"ENCRYPTED" in text[:64]:
            raise ValueError(_PASSPHRASE)
        try:
            yield label, binascii.a2b_base64(text)
        except binascii.Error:
            raise ValueError("it is cut off or damaged") from None


class _Fields(NamedTuple):
    """What is read of a certificate without loading it. numbers: of the public key, as they stand in the private key too."""

    issuer: bytes
    subject: bytes
    key_type: str
    key_size: int
    numbers: bytes


def _fields(certificate: bytes) -> _Fields:
    """The fields of a certificate by their places (RFC 5280 section 4.1). Raises ValueError."""
    try:
        start, _end = extent(certificate, 0, 0x30)
        start, _end = extent(certificate, start, 0x30)
        if certificate[start] == 0xA0:
            _start, start = extent(certificate, start, 0xA0)
        _start, end = extent(certificate, start, 0x02)
        _start, end = extent(certificate, end, 0x30)
        issuer, end = extent(certificate, end, 0x30)
        issuer_end = end
        _start, end = extent(certificate, end, 0x30)
        subject, end = extent(certificate, end, 0x30)
        key = value(certificate, end, 0x30)
        return _Fields(certificate[issuer:issuer_end], certificate[subject:end], *_public_key(key))
    except IndexError:
        raise ValueError("the certificate is damaged") from None


def _public_key(info: bytes) -> tuple[str, int, bytes]:
    """Type, size in bits and numbers of a SubjectPublicKeyInfo."""
    algorithm, place = extent(info, 0, 0x30)
    start, end = extent(info, place, 0x03)
    if info.startswith(_RSA, algorithm):
        numbers = value(info, start + 1, 0x30)
        return "rsa", int.from_bytes(value(numbers, 0, 0x02), "big").bit_length(), numbers
    bits = info[start + 1 : end]
    size = _CURVES.get(info[algorithm + len(_ECDSA) : place], 0) if info.startswith(_ECDSA, algorithm) else 0
    return "ecdsa" if size else "other", size, bits


def subjects_of(content: bytes) -> frozenset[bytes]:
    """The subjects of all certificates in a bundle; what cannot be read in it is passed over."""
    found = set()
    for block in content.split(b"-----BEGIN CERTIFICATE-----")[1:]:
        with contextlib.suppress(ValueError):
            found.add(_fields(binascii.a2b_base64(block.partition(b"-----")[0])).subject)
    return frozenset(found)


def _loaded(certificate: bytes) -> Any:
    try:
        return library("cryptography.x509").load_der_x509_certificate(certificate)
    except _unreadable():
        raise ValueError("the certificate is damaged") from None


def _issuer(certificate: bytes) -> str:
    """The name of who issued it, as text. Raises ValueError."""
    try:
        text: str = _loaded(certificate).issuer.rfc4514_string()
    except _unreadable():
        raise ValueError("the name of its issuer cannot be read") from None
    return text


def _unreadable() -> tuple[type[Exception], ...]:
    """What the library raises for damaged or unknown content; asked for only when something was raised."""
    x509, unsupported = library("cryptography.x509"), library("cryptography.exceptions").UnsupportedAlgorithm
    # KeyError: a type of text in a name, before version 42.
    return ValueError, TypeError, KeyError, unsupported, x509.InvalidVersion, x509.DuplicateExtension


def _names(certificate: bytes) -> tuple[str, ...]:
    """The DNS names of its subjectAltName (RFC 5280 section 4.2.1.6), in lower case. Raises ValueError.

    The library has read all of the certificate by then; asked for one extension it reads all of them again.
    """
    place = certificate.find(_SUBJECT_ALT_NAME)
    if place < 0:
        return ()
    position = place + len(_SUBJECT_ALT_NAME)
    if certificate[position] == 0x01:  # critical
        position += 3
    names = value(value(certificate, position, 0x04), 0, 0x30)
    found, position = [], 0
    while position < len(names):
        start, end = extent(names, position, names[position])
        if names[position] == 0x82:
            found.append(names[start:end].decode("ascii").lower())
        position = end
    return tuple(found)


def _seconds(loaded: Any, side: str) -> int:
    """``not_valid_before`` or ``not_valid_after``: with a time zone from cryptography 42 on, without one before."""
    moment = getattr(loaded, f"not_valid_{side}_utc", None)
    return int(moment.timestamp()) if moment else calendar.timegm(getattr(loaded, f"not_valid_{side}").utctimetuple())


def _belongs(key: bytes, certificate: bytes) -> bool:
    """Whether a key is the certificate's own, by loading both: for keys that do not hold their public numbers."""
    serialization = library("cryptography.hazmat.primitives.serialization")
    form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    try:
        private = serialization.load_der_private_key(key, None).public_key().public_bytes(*form)
        same: bool = private == _loaded(certificate).public_key().public_bytes(*form)
        return same
    except _unreadable():
        raise ValueError("the private key is damaged") from None


def keeps(content: bytes, private_key: bytes, chain: Sequence[bytes]) -> bool:
    """Whether a file holds just this chain with just this key, whatever the form of the latter; nothing is loaded."""
    try:
        _key, there = parts_of(content)
        return there == list(chain) and any(_fields(chain[0]).numbers in der for _label, der in _blocks(private_key))
    except ValueError:
        return False


def issuer_of(content: bytes) -> str:
    """Who issued the certificate of a pair, as text (RFC 4514); empty when that cannot be read."""
    try:
        return _issuer(parts_of(content)[1][0])
    except ValueError:
        return ""


def marked(name: str, content: bytes) -> bytes:
    """The text of ``NAME.pem``: a line that says whose it is, then key and chain. Servers pass over what stands before a block
    (RFC 7468 section 2).
    """
    return f"{_MARK} {name}\n".encode() + content


def is_marked(content: bytes) -> bool:
    """Whether a file was written by us."""
    return content.startswith(_MARK.encode())


def joined(private_key: bytes, chain: Iterable[bytes]) -> bytes:
    """Key (PEM) and chain (DER) as they stand in one file."""
    return b"".join([private_key.strip() + b"\n", *(_pem(certificate) for certificate in chain)])


def _pem(der: bytes, label: bytes = b"CERTIFICATE") -> bytes:
    text = base64.b64encode(der)
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return b"\n".join([b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----", b""])


def canonical_key(private_key: bytes) -> bytes:
    """A private key in PEM (PKCS #8) after OpenSSL has looked at it once. Raises ValueError; never says what was in it."""
    keys = [_pem(der, label) for label, der in _blocks(private_key) if label in _KEY_BLOCKS]
    if len(keys) != 1:
        raise ValueError("this is no private key in PEM form (PKCS #1, PKCS #8 or SEC 1, without a passphrase)")
    serialization = library("cryptography.hazmat.primitives.serialization")
    try:
        return private_pem(serialization.load_pem_private_key(keys[0], None))
    except _unreadable():
        raise ValueError("this private key is damaged: its numbers do not fit each other") from None


def private_pem(key: Any) -> bytes:
    serialization = library("cryptography.hazmat.primitives.serialization")
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return pem


def without_root(chain: Sequence[bytes]) -> list[bytes]:
    """A chain as it is shown: clients have the root themselves."""
    return list(chain[:-1] if len(chain) > 1 and _is_root(_fields(chain[-1])) else chain)


def _is_root(fields: _Fields) -> bool:
    return fields.issuer == fields.subject


def faults_of(content: bytes, names: Collection[str], now: float) -> list[str]:
    """Why a server should not begin to show a pair for the names; empty when nothing is against it."""
    try:
        return [*_faults(pair_of(content), names, now), *_chain_faults(parts_of(content)[1])]
    except ValueError as error:
        return [str(error)]


def is_sound(content: bytes) -> bool:
    """Whether every signature in a pair that can be verified holds: tells a damaged copy from a whole one."""
    _key, chain = parts_of(content)
    last = _loaded(chain[-1])
    return not list(_chain_faults(chain)) and (not _is_root(_fields(chain[-1])) or _signed(last, last))


def _faults(pair: Pair, names: Collection[str], now: float) -> Iterator[str]:
    missing = [name for name in names if not pair.covers(name)]
    if missing:
        has = ", ".join(pair.names[:5]) or "no subjectAltName"
        yield f"it is not for {', '.join(missing[:5])}{' and others' if len(missing) > 5 else ''} (it has {has})"
    if pair.not_after <= now:
        yield "it has expired"
    if pair.not_before > now + _EARLY_SECONDS:
        yield "it is not valid yet"
    if pair.key_type == "rsa" and pair.key_size < _SMALLEST_RSA:
        yield f"its RSA key has {pair.key_size} bits, less than {_SMALLEST_RSA}"


def _chain_faults(chain: Sequence[bytes]) -> Iterator[str]:
    loaded, fields = [_loaded(certificate) for certificate in chain], [_fields(certificate) for certificate in chain]
    for index, certificate in enumerate(loaded):
        algorithm = _hash_of_signature(certificate)
        if not _is_root(fields[index]) and algorithm in _WEAK_HASHES:
            yield f"certificate {index + 1} of the chain is signed with {algorithm.upper()}, which clients refuse"
        if index + 1 == len(chain):
            return
        is_issuer = fields[index].issuer == fields[index + 1].subject
        if not is_issuer or (algorithm not in _WEAK_HASHES and not _signed(certificate, loaded[index + 1])):
            yield (
                f"certificate {index + 2} of the chain did not issue certificate {index + 1}: the server's own comes first, "
                "then the one that issued it, and so on"
            )
            return


def _hash_of_signature(certificate: Any) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except _unreadable():
        return ""
    return algorithm.name if algorithm else ""


def _signed(certificate: Any, issuer: Any) -> bool:
    """Whether `issuer` signed a certificate."""
    try:
        if hasattr(certificate, "verify_directly_issued_by"):
            certificate.verify_directly_issued_by(issuer)
        else:
            _verify(certificate, issuer.public_key())
    except (library("cryptography.exceptions").InvalidSignature, *_unreadable()):
        return False
    return True


def _verify(certificate: Any, key: Any) -> None:
    """What cryptography has a method for from version 40 on."""
    padding = library("cryptography.hazmat.primitives.asymmetric.padding")
    ec = library("cryptography.hazmat.primitives.asymmetric.ec")
    algorithm = certificate.signature_hash_algorithm
    how = (ec.ECDSA(algorithm),) if isinstance(key, ec.EllipticCurvePublicKey) else (padding.PKCS1v15(), algorithm)
    key.verify(certificate.signature, certificate.tbs_certificate_bytes, *how)


def missing_issuer(chain: Sequence[bytes], trusted: Collection[bytes]) -> str:
    """The issuer that a chain lacks on its way to a root of `trusted` (subjects); empty when it is complete."""
    fields = _fields(chain[-1])
    if _is_root(fields) or fields.issuer in trusted:
        return ""
    return _issuer(chain[-1])
