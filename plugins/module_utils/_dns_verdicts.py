# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what stands in the DNS is what a domain needs, judged as receivers do and not by text. No IO."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import is_for_mail, key_of_record, same_key, tags
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import Record

OK = "ok"
MISSING = "missing"
DIFFERENT = "different"
UNREACHABLE = "unreachable"

# Kinds of which a name has at most one TXT record, how that begins, and what receivers do with several.
_VERSIONS = {"spf": "v=spf1", "dkim": "v=DKIM1", "dmarc": "v=DMARC1", "mta_sts": "v=STSv1", "tls_rpt": "v=TLSRPTv1"}
_SEVERAL = {
    "spf": "receivers then fail with a permanent error (RFC 7208 section 4.5)",
    "dkim": "what receivers then do is undefined (RFC 6376 section 3.6.2.2)",
    "dmarc": "receivers then apply none (RFC 7489 section 6.6.3)",
    "mta_sts": "senders then apply none (RFC 8461 section 3.1)",
    "tls_rpt": "senders then report nothing (RFC 8460 section 3)",
}
_TITLES = {"spf": "SPF", "dkim": "DKIM", "dmarc": "DMARC", "mta_sts": "MTA-STS", "tls_rpt": "TLS reporting"}


class Verdict(NamedTuple):
    """status: ok, missing or different. found: the values that were judged. why: what differs, and what to do."""

    status: str
    found: tuple[str, ...] = ()
    why: str = ""


def is_single(kind: str) -> bool:
    """Whether a name has at most one record of this kind, among other TXT records that do not matter."""
    return kind in _VERSIONS


def of_kind(kind: str, values: Iterable[str]) -> tuple[str, ...]:
    """Those values of a record set that receivers take for this kind."""
    if not is_single(kind):
        return tuple(values)
    return tuple(value for value in values if _begins(kind, value))


def _begins(kind: str, value: str) -> bool:
    if kind == "spf":
        return value.lower().split(" ", 1)[0] == "v=spf1"
    if kind == "dkim":
        # The version may be left out (RFC 6376 section 3.6.1).
        found = tags(value)
        return "p" in found and found.get("v", "DKIM1") == "DKIM1"
    version = _VERSIONS[kind].partition("=")[2]
    return value.partition(";")[0].replace(" ", "").lower() == f"v={version.lower()}"


def verdict(record: Record, values: Sequence[str], mx: Sequence[str] = ()) -> Verdict:
    """What the values that a server shows are worth. mx: the MX values of the domain, which an SPF record may lean on."""
    found = of_kind(record.kind, values)
    if not found:
        return Verdict(MISSING, (), _not_of_kind(record, values))
    if not is_single(record.kind):
        return _set_verdict(record, found)
    if len(found) > 1:
        return Verdict(DIFFERENT, found, f"{len(found)} {_TITLES[record.kind]} records stand at {record.name}; {_SEVERAL[record.kind]}")
    why = _difference(record, found[0], mx)
    return Verdict(DIFFERENT if why else OK, found, why)


def _not_of_kind(record: Record, values: Sequence[str]) -> str:
    if not values or not is_single(record.kind):
        return ""
    return f"the TXT records at {record.name} are no {_TITLES[record.kind]} records"


def _set_verdict(record: Record, found: tuple[str, ...]) -> Verdict:
    wanted, there = set(record.values), {_canonical(record.type, value) for value in found}
    # A second TLSA record is how a key is changed (RFC 7671 section 8.1).
    if wanted == there or (record.kind == "tlsa" and wanted <= there):
        return Verdict(OK, found)
    lacking = ", ".join(sorted(wanted - there))
    more = ", ".join(sorted(there - wanted))
    parts = [f"{lacking} is not there" if lacking else "", f"{more} is there too" if more and record.kind != "tlsa" else ""]
    return Verdict(DIFFERENT, found, "; ".join(filter(None, parts)))


def _canonical(record_type: str, value: str) -> str:
    if record_type in ("A", "AAAA"):
        with contextlib.suppress(ValueError):
            return str(ipaddress.ip_address(value))
    return value.lower()


def _difference(record: Record, found: str, mx: Sequence[str]) -> str:
    """What makes a single record another one than that which is needed; empty when nothing does."""
    (wanted,) = record.values
    if record.kind == "spf":
        lacking = lacking_mechanisms(wanted, found, mx)
        advice = f"make it: {merged_spf(wanted, found, mx)}"
        return f"it does not allow {' '.join(lacking)}; {advice}" if lacking else ""
    if record.kind == "dkim":
        return _dkim_difference(wanted, found)
    return "" if _plain_tags(wanted) == _plain_tags(found) else "it says something else"


def _dkim_difference(wanted: str, found: str) -> str:
    ours, theirs = key_of_record(wanted), key_of_record(found)
    if theirs is None:
        return "the key there is revoked (an empty p=)"
    if ours is not None and same_key(ours, theirs):
        return "" if is_for_mail(found) else "its s= or h= keeps receivers of mail from using the key"
    return "it shows another key"


def _plain_tags(text: str) -> dict[str, str]:
    """Tags without what means nothing: case (but in reporting addresses) and spaces."""
    return {
        name.lower(): value.replace(" ", "") if name.lower() in ("rua", "ruf", "id") else value.lower()
        for name, value in tags(text).items()
    }


def lacking_mechanisms(wanted: str, found: str, mx: Sequence[str] = ()) -> list[str]:
    """The mechanisms of our SPF record that another one does not allow."""
    allowed = _allowing(found)
    hosts = {value.partition(" ")[2].rstrip(".") for value in mx}
    return [ours for ours in _allowing(wanted) if not any(_covers(theirs, ours, hosts) for theirs in allowed)]


def _allowing(text: str) -> list[str]:
    """The mechanisms that pass, in lower case and without "+", up to "all", which ends the evaluation (RFC 7208 section 5.1)."""
    found = []
    for term in text.lower().split()[1:]:
        if term.lstrip("+-~?") == "all":
            if term in ("all", "+all"):
                found.append("all")
            break
        if term[0] not in "-~?" and "=" not in term.partition(":")[0]:
            found.append(term.lstrip("+"))
    return found


def _covers(theirs: str, ours: str, mx_hosts: Iterable[str]) -> bool:
    if theirs in (ours, "all"):
        return True
    kind, _colon, value = ours.partition(":")
    if kind == "a":
        return theirs == "mx" and value in mx_hosts
    if theirs.partition(":")[0] != kind:
        return False
    try:
        return ipaddress.ip_address(value) in ipaddress.ip_network(theirs.partition(":")[2], strict=False)
    except ValueError:
        return False


def merged_spf(wanted: str, found: str, mx: Sequence[str] = ()) -> str:
    """The SPF record that is there, with what ours needs put in ahead of its end."""
    terms = found.split()
    end = next(
        (index for index, term in enumerate(terms) if index and (term.lower().lstrip("+-~?") == "all" or _is_modifier(term))),
        len(terms),
    )
    return " ".join([*terms[:end], *lacking_mechanisms(wanted, found, mx), *terms[end:]])


def _is_modifier(term: str) -> bool:
    return "=" in term.partition(":")[0].partition("/")[0]
