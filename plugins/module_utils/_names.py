# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The strict grammars of everything a user may name: domains, addresses, IP addresses, quotas, hashes.

Each function takes what the user wrote and returns its one stored form, or raises ValueError with a sentence that says
what is wrong. Exim reads these names as lookup data only; nothing that could be an expansion, a pipe, an include or a
path passes here.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

from ansible_collections.fleetpost.mail.plugins.module_utils._idna import a_label, is_a_label

_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{4,253}}\Z)(?:{_LABEL}\.)+(?!\d+\Z){_LABEL}\Z")
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\Z")
_KEY_NAME = re.compile(r"[a-z0-9_][a-z0-9_-]*(?:\.[a-z0-9_][a-z0-9_-]*)*\Z")
_LOCAL_PART = re.compile(r"(?=.{1,64}\Z)[a-z0-9_](?:[a-z0-9_-]|\.(?!\.))*(?<!\.)\Z")
_EXTERNAL_LOCAL_PART = re.compile(r"(?=.{1,64}\Z)[A-Za-z0-9_'+=~*&-]+(?:\.[A-Za-z0-9_'+=~*&-]+)*\Z")
_PREFIX_LENGTH = re.compile(r"[0-9]{1,3}\Z")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}\Z")
_JOB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,63}\Z")
_QUOTA = re.compile(r"([1-9][0-9]{0,14}) ?([KMGT])(?:I?B)?\Z")
_SCHEMED_HASH = re.compile(r"\{([A-Za-z0-9.-]+)\}([\"-9;-z|~][!-9;-z|~]*)\Z")
_CRYPT_HASH = re.compile(r"\$[0-9a-z-]+\$[!-9;-z|~]+\Z")

# Servers count bytes in 64 bits, with a sign.
_LARGEST_QUOTA = 2**63 - 1

# Special-use names: RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476.
_RESERVED_SUFFIXES = {"localhost", "localdomain", "local", "invalid", "onion", "arpa", "alt", "internal"}

_PLAIN_SCHEMES = {"PLAIN", "CLEAR", "CLEARTEXT", "PLAIN-TRUNC"}


def domain_name(text: str) -> str:
    """The A-label form in lower case of a domain name (RFC 5890); U-labels are encoded by IDNA 2008.

    Raises ValueError for what is no fully qualified domain name of letters, digits and hyphens (RFC 1123 section 2.1).
    """
    if _DOMAIN.match(text) and "--" not in text:
        return text
    name = text.lower()
    if not name.isascii():
        name = ".".join(a_label(label) for label in unicodedata.normalize("NFC", name).split("."))
    if not _DOMAIN.match(name):
        raise ValueError(f"{printable(text)} is not a domain name{_domain_reason(name)}")
    for label in name.split("."):
        if label[2:4] == "--" and not is_a_label(label):
            raise ValueError(f"{printable(label)} is not a valid A-label (IDNA 2008)")
    return name


def _domain_reason(name: str) -> str:
    if len(name) > 253:
        return f": it has {len(name)} characters, at most 253 are allowed"
    if "." not in name:
        return ": it has no dot"
    for label in name.split("."):
        if not label:
            return ": it has an empty label (two dots, or one at an end)"
        if len(label) > 63:
            return f": the label {label[:20]}... has {len(label)} characters, at most 63 are allowed"
        if not re.match(rf"{_LABEL}\Z", label):
            return f": the label {printable(label)} may hold only letters, digits and inner hyphens"
    return ""


def is_reserved(domain: str) -> bool:
    """Whether a name is set aside by an RFC for another use, so that it can never be a mail domain."""
    return domain.rpartition(".")[2] in _RESERVED_SUFFIXES


def local_part(text: str) -> str:
    """The stored (lower-case) form of the local part of an address on this host.

    A subset of RFC 5321's dot-atom: letters, digits, dot, underscore, hyphen. What follows a ``+`` belongs
    to the sender (plus-addressing), so no address is declared with one.
    """
    name = text.lower()
    if text.isascii() and _LOCAL_PART.match(name):
        return name
    if "+" in name:
        raise ValueError(f"{printable(text)} holds a +: mail to NAME+ANYTHING goes to NAME, so declare NAME")
    raise ValueError(
        f"{printable(text)} is not a local part: 1 to 64 letters, digits, dots, hyphens or underscores, "
        "beginning with a letter, a digit or an underscore"
    )


def is_local_part(text: str) -> bool:
    """Whether a text is the stored form of a local part."""
    return _LOCAL_PART.match(text) is not None


def address(text: str) -> str:
    """The stored form of an address of this host: lower-case local part, domain as A-label."""
    local, at, domain = text.rpartition("@")
    if not at:
        raise ValueError(f"{printable(text)} is not an address: it has no @")
    return f"{local_part(local)}@{domain_name(domain)}"


def forward_address(text: str) -> str:
    """The stored form of an address anywhere; the local part keeps its case, which belongs to the other side."""
    local, at, domain = text.rpartition("@")
    if not at:
        raise ValueError(f"{printable(text)} is not an address: it has no @")
    if not _EXTERNAL_LOCAL_PART.match(local):
        raise ValueError(f"{printable(text)} is not an address that mail can be forwarded to: {printable(local)} is no local part")
    return f"{local}@{domain_name(domain)}"


def sender_pattern(text: str) -> str:
    """An address, or ``*@DOMAIN`` for every address of a domain."""
    if text.startswith("*@"):
        return f"*@{domain_name(text[2:])}"
    return forward_address(text).lower()


def listed_sender(text: str) -> str:
    """An item of a list of senders: an address, ``*@DOMAIN`` for all of a domain, ``*@*.DOMAIN`` for all domains below one.

    A domain alone stands for all of it, and one with a dot in front for those below it. Stricter than `sender_pattern`: in
    Exim's lists a ``+`` in front begins the name of another list, and a ``*`` stands for any text.
    """
    if text.startswith("*@*."):
        return f"*@*.{domain_name(text[4:])}"
    if text.startswith("*@"):
        return f"*@{domain_name(text[2:])}"
    if text.startswith("."):
        return f"*@*.{domain_name(text[1:])}"
    if "@" not in text:
        return f"*@{domain_name(text)}"
    found = forward_address(text).lower()
    if found.startswith("+") or "*" in found:
        raise ValueError(f"{printable(text)} cannot stand in a list of senders: write an address, DOMAIN or .DOMAIN")
    return found


@lru_cache(maxsize=1024)
def listed_host(text: str) -> str:
    """An item of a list of hosts: the canonical text of an IPv4 or IPv6 address or network (RFC 4632, RFC 5952)."""
    address, slash, length = text.partition("/")
    try:
        if "%" in text or (slash and not _PREFIX_LENGTH.match(length)):
            raise ValueError
        found = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{printable(text)} is not an IPv4 or IPv6 address or network") from None
    if isinstance(found, ipaddress.IPv6Network) and found.network_address.ipv4_mapped:
        raise ValueError(f"{printable(text)} is an IPv4 address written as IPv6: write it as IPv4")
    if ipaddress.ip_address(address) != found.network_address:
        raise ValueError(f"{printable(text)} is not a network: the one that holds {address} is {found}")
    return str(found.network_address if found.prefixlen == found.max_prefixlen else found)


@lru_cache(maxsize=1024)
def ip_address(text: str) -> str:
    """The canonical text of an IPv4 or IPv6 address (RFC 5952)."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{printable(text)} is not an IPv4 or IPv6 address") from None
    mapped = isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped
    if found.is_unspecified or found.is_multicast or mapped or "%" in text:
        raise ValueError(f"{printable(text)} cannot be a sending address")
    return str(found)


def quota(text: str) -> str:
    """A size as ``500M`` or ``2G`` (binary units K, M, G, T); ``0`` and ``none`` mean no limit, stored as an empty string.

    A number without a unit is refused: Dovecot 2.3 takes it for kilobytes and 2.4 for bytes.
    """
    written = text.strip().upper()
    if written in ("0", "NONE", "UNLIMITED", ""):
        return ""
    found = _QUOTA.match(written) if text.isascii() else None
    if not found:
        raise ValueError(f"{printable(text)} is not a quota: write a whole number and K, M, G or T, such as 500M or 2G")
    if int(found.group(1)) << 10 * ("KMGT".index(found.group(2)) + 1) > _LARGEST_QUOTA:
        raise ValueError(f"{printable(text)} is more than any server can count (8 EiB)")
    return found.group(1) + found.group(2)


def owner_name(text: str) -> str:
    """The name of a system user (useradd(8))."""
    if not _USER.match(text):
        raise ValueError(f"{printable(text)} is not the name of a system user")
    return text


def password_hash(text: str) -> str:
    """A hash in Dovecot's form ``{SCHEME}hash``; a bare crypt(3) hash gets ``{CRYPT}``. Never echoes what it was given."""
    if _CRYPT_HASH.match(text):
        return "{CRYPT}" + text
    found = _SCHEMED_HASH.match(text)
    if not found:
        if text.startswith("!"):
            raise ValueError("this hash is locked by its !: write it without, and enabled: false")
        raise ValueError("this is not a password hash: write {SCHEME}hash as `doveadm pw` prints it")
    if found.group(1).upper().partition(".")[0] in _PLAIN_SCHEMES:
        raise ValueError(f"the scheme {found.group(1)} keeps the password readable; hash it with `doveadm pw -s BLF-CRYPT`")
    return text


def dkim_selector(text: str) -> str:
    """A DKIM selector: labels of letters, digits and inner hyphens (RFC 6376 section 3.1), in lower case."""
    name = text.lower()
    if len(name) > 63 or not _SELECTOR.match(name):
        raise ValueError(f"{printable(text)} is not a selector: up to 63 letters, digits, hyphens and dots, such as dkim or s2027a")
    return name


def tsig_key_name(text: str) -> str:
    """The name of a TSIG key (RFC 8945), in lower case: labels of letters, digits, underscores and inner hyphens."""
    name = text.lower().rstrip(".")
    if len(name) > 253 or not _KEY_NAME.match(name):
        raise ValueError(f"{printable(text)} is not the name of a TSIG key")
    return name


def job_id(text: str) -> str:
    """The number or name of a job of a controller such as AWX, as it may stand in a log."""
    if not _JOB.match(text):
        raise ValueError(f"{printable(text)} is no job: up to 64 letters, digits and ._:/@+- are")
    return text


def absolute_path(text: str) -> str:
    """An absolute path without dots, control characters or doubled slashes."""
    if not text.startswith("/") or not text.isprintable() or any(part in ("", ".", "..") for part in text[1:].split("/")):
        raise ValueError(f"{printable(text)} is not an absolute path without . and ..")
    return text


def is_stored_form(grammar: Callable[[str], str], text: str) -> bool:
    """Whether a text is what the grammar makes of it."""
    try:
        return grammar(text) == text
    except ValueError:
        return False


def printable(text: str) -> str:
    """What a user wrote, quoted and shortened so that it can stand in a message."""
    shown = text if len(text) <= 80 else text[:77] + "..."
    return repr(shown)
