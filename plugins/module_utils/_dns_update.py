# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of a dynamic update (RFC 2136), signed with TSIG (RFC 8945): to bytes, and what their replies say. No IO."""

from __future__ import annotations

import binascii
import struct
from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _dns_wire
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_changes import Change, Key, RecordSet
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_packets import Server
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import rdata_text
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._libraries import library

# A message has at most 65,535 bytes; a name, a type and a TTL stand before each record.
_LARGEST_UPDATE = 48000
_RECORD_OVERHEAD = 270

# RFC 2136 section 2.2. The four that say that a prerequisite did not hold.
PREREQUISITE_FAILED = frozenset([3, 6, 7, 8])
REFUSED = 5
NOTAUTH = 9
_NOTZONE = 10


Originals = tuple[Any, ...]
"""The records of one set as they were read, of dnspython: only those can be removed, or be a prerequisite."""


_UNREADABLE = (struct.error, IndexError, ValueError)


class Provider(NamedTuple):
    """A primary server that takes dynamic updates. zone: empty when it is asked for. key: of dnspython, a secret, or None."""

    server: Server
    zone: str = ""
    key: Any = None

    def __repr__(self) -> str:
        return f"Provider({self.server})"


class Signed(NamedTuple):
    """A message and what its reply is checked with."""

    wire: bytes
    mac: bytes


def tsig_key(name: str, secret: str, algorithm: str) -> Any:
    """The key of RFC 8945. Raises MailError, which never shows the secret."""
    try:
        octets = binascii.a2b_base64(secret.encode("ascii", "strict"))
        if not octets or binascii.b2a_base64(octets, newline=False) != "".join(secret.split()).encode():
            raise ValueError
    except (ValueError, binascii.Error):
        remedy = "Take what stands between the quotes after secret in the key's file (tsig-keygen, ddns-confgen)"
        raise MailError("this is not the base64 of a TSIG secret", "provider.tsig_secret", remedy) from None
    try:
        return library("dns.tsig").Key(library("dns.name").from_text(name.lower()), octets, library("dns.name").from_text(algorithm))
    except library("dns.exception").DNSException:
        raise MailError(f"{name!r} is no name of a TSIG key", "provider.tsig_name") from None


def signed_query(name: str, record_type: str, number: int, provider: Provider) -> Signed:
    """A question to the primary server itself, as the holder of the key sees its zones."""
    message = library("dns.message").make_query(f"{name.rstrip('.')}.", record_type, use_edns=0, payload=1232)
    message.flags = 0
    return _signed(message, number, provider)


def _signed(message: Any, number: int, provider: Provider) -> Signed:
    message.id = number
    if provider.key is not None:
        message.use_tsig(provider.key, algorithm=provider.key.algorithm)
    return Signed(message.to_wire(), message.mac or b"")


def read_reply(wire: bytes, sent: Signed, provider: Provider) -> Any:
    """A message of dnspython. Raises MailError when the signature of either side is not right, or when it cannot be read."""
    tsig, where = library("dns.tsig"), "provider.server"
    keyring = {provider.key.name: provider.key} if provider.key is not None else None
    try:
        message = library("dns.message").from_wire(wire, keyring=keyring, request_mac=sent.mac, ignore_trailing=True)
    except tsig.PeerBadKey:
        name = _key_name(provider)
        remedy = "Check tsig_name and tsig_algorithm; the server must have that key"
        raise MailError(f"{provider.server} does not know the TSIG key {name} (BADKEY)", "provider.tsig_name", remedy) from None
    except tsig.PeerBadSignature:
        message = f"{provider.server} has another secret or algorithm for the TSIG key {_key_name(provider)} (BADSIG)"
        raise MailError(message, "provider.tsig_secret", "Check tsig_secret and tsig_algorithm") from None
    except tsig.PeerBadTime:
        raise MailError(f"the clocks of this host and of {provider.server} differ too much (BADTIME)", where, "Set the clocks") from None
    except (library("dns.message").UnknownTSIGKey, tsig.BadSignature, tsig.BadTime, tsig.BadKey, tsig.BadAlgorithm, tsig.PeerError):
        raise MailError(f"the reply of {provider.server} is not signed with the TSIG key {_key_name(provider)}", where) from None
    except (*_UNREADABLE, library("dns.exception").DNSException) as error:
        raise _unsigned(wire, provider) or MailError(
            f"{provider.server} sends a message that cannot be read ({type(error).__name__})", where
        ) from None
    if provider.key is not None and not message.had_tsig:
        raise _not_signed(message, provider)
    return message


def _unsigned(wire: bytes, provider: Provider) -> MailError | None:
    """What is wrong with a reply that could be read if it had been signed."""
    if provider.key is None:
        return None
    try:
        message = library("dns.message").from_wire(wire, ignore_trailing=True)
    except (*_UNREADABLE, library("dns.exception").DNSException):
        return None
    return _not_signed(message, provider)


def _not_signed(message: Any, provider: Provider) -> MailError:
    said = _dns_wire.rcode_text(message.rcode())
    remedy = "It must know the TSIG key"
    return MailError(f"{provider.server} does not sign its replies (it answers {said})", "provider.server", remedy)


def _key_name(provider: Provider) -> str:
    return provider.key.name.to_text(omit_final_dot=True) if provider.key is not None else "(none)"


def record_set_of(message: Any, name: str, record_type: str) -> tuple[RecordSet, Originals]:
    """What a reply holds for exactly this name, without following a CNAME: as values, and as records of dnspython."""
    owner = library("dns.name").from_text(name)
    for rrset in message.answer:
        if rrset.name == owner and int(rrset.rdtype) == _dns_wire.TYPES[record_type]:
            return RecordSet(tuple(_dns_wire.canonical(rdata) for rdata in rrset), rrset.ttl), tuple(rrset)
        if rrset.name == owner and int(rrset.rdtype) == _dns_wire.TYPES["CNAME"]:
            return RecordSet(alias=_dns_wire.name_text(rrset[0].target).rstrip(".")), ()
    return RecordSet(), ()


def signed_update(zone: str, changes: Iterable[Change], originals: Mapping[Key, Originals], number: int, provider: Provider) -> Signed:
    """One atomic update. Its prerequisites are the record sets as they were read (RFC 2136 sections 2.4.2 and 2.4.3)."""
    message = library("dns.update").UpdateMessage(zone)
    for change in changes:
        owner = f"{change.name}."
        records = originals[change.name, change.type]
        if records:
            message.present(owner, *records)
        else:
            message.absent(owner, change.type)
        for record in records:
            if _dns_wire.canonical(record) in change.removed:
                message.delete(owner, record)
        for value in change.added:
            message.add(owner, change.after.ttl, library("dns.rdata").from_text("IN", change.type, rdata_text(change.type, value)))
    return _signed(message, number, provider)


def signed_test(zone: str, key: Key, present: RecordSet, records: Originals, number: int, provider: Provider) -> Signed:
    """An update that changes nothing and succeeds only if a record set stands at the name itself (RFC 2136 section 2.4)."""
    message = library("dns.update").UpdateMessage(zone)
    if present.alias:
        message.present(f"{key[0]}.", "CNAME")
    else:
        message.present(f"{key[0]}.", *records)
    return _signed(message, number, provider)


def batches(changes: Collection[Change]) -> list[tuple[str, list[Change]]]:
    """The updates to send: one a zone, or several when a message cannot hold it, which never splits a domain's record set."""
    found: list[tuple[str, list[Change]]] = []
    sizes: dict[str, tuple[int, list[Change]]] = {}
    for change in changes:
        octets = sum(_RECORD_OVERHEAD + len(value) for value in (*change.before.values, *change.removed, *change.added))
        size, batch = sizes.get(change.zone, (0, []))
        if not batch or size + octets > _LARGEST_UPDATE:
            size, batch = 0, []
            found.append((change.zone, batch))
        batch.append(change)
        sizes[change.zone] = (size + octets + _RECORD_OVERHEAD, batch)
    return found


def refusal(rcode: int, zone: str, provider: Provider) -> MailError:
    """What a server's "no" to an update means."""
    name, server = zone.rstrip("."), provider.server
    if rcode == REFUSED:
        key = f"the TSIG key {_key_name(provider)}" if provider.key is not None else "this host (no TSIG key is given)"
        remedy = "Allow it in the zone's update-policy or allow-update"
        return MailError(f"{server} refuses to let {key} update the zone {name} (REFUSED)", "provider", remedy)
    if rcode == NOTAUTH:
        remedy = "Name its primary server, or the right zone"
        return MailError(f"{server} is not authoritative for the zone {name} (NOTAUTH)", "provider.zone", remedy)
    if rcode == _NOTZONE:
        return MailError(f"a record is not in the zone {name} (NOTZONE)", "provider.zone", "Name the right zone, or none to have it found")
    return MailError(f"{server} does not update the zone {name}: it answers {_dns_wire.rcode_text(rcode)}", "provider.server")
