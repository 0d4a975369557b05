# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of a host with Exim in the style of ispmanager -> what was found. No IO.

What is documented: the four answers to mail for unknown addresses (www.ispmanager.com/docs/ispmanager/create-a-mail-domain), the lists of
the host in ``whitelist`` and ``blacklist`` (www.ispmanager.ru/docs/ispmanager/konfiguraczionnyj-fajl-exim). A public note on such a host
shows lines of ``domainips`` and certificates as ``ssl/NAME.crt``. The lines of the other tables are documented nowhere that could be
found. They are read as administrators of such hosts describe them, and whatever does not look like that is noted:

    domains     DOMAIN:TARGET::DISABLED                TARGET is :fail:, :blackhole:, an address, or @DOMAIN
    domainips   DOMAIN:ADDRESS
    aliases     ADDRESS:TARGETS:FURTHER                both with commas between addresses
    passwd      ADDRESS:UID:GID:QUOTA:HOME:DISABLED:   QUOTA in megabytes unless it is said otherwise; 0 is none
    passwords   ADDRESS:HASH[:...]                     HASH is {SCHEME}hash or of crypt(3)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import selector_in_zone_text
from ansible_collections.fleetpost.mail.plugins.module_utils._foreign import Findings, FoundAddress, pairs
from ansible_collections.fleetpost.mail.plugins.module_utils._model import DEFAULT_SELECTOR, domain_of

# A special item of Exim's redirect router, with the text that senders are told, before the other fields.
_SPECIAL = re.compile(r"(:(?:fail|blackhole|defer|unknown):)[ \t]*([^:]*)(?::(.*))?\Z")
_ON = frozenset(["", "no", "0", "off"])
_OFF = frozenset(["yes", "1", "on"])
_OURS = "# fleetpost.mail table"
_UNREAD = {
    "whitelist": "senders and hosts that are always let through on this host: see exim_allow_senders and exim_allow_hosts",
    "blacklist": "senders and hosts that are always refused on this host: see exim_block_senders and exim_block_hosts",
    "greylist": "what is greylisted: see the option greylisting of each domain",
}


class IspmanagerPlaces(NamedTuple):
    """Where the tables are. quota_unit: of numbers in ``passwd`` that say none, one of B, K, M, G."""

    exim_dir: str
    password_file: str
    quota_unit: str = "M"


def read_ispmanager(findings: Findings, places: IspmanagerPlaces) -> None:
    """Adds what the tables say to the findings."""
    first = (findings.text(f"{places.exim_dir}/domains") or "").split("\n", 1)[0]
    if first.startswith(_OURS):
        findings.breaks(f"{places.exim_dir}/domains:1", "this is a table of this collection: take over its tables, not foreign ones")
        return
    for where, key, value in pairs(findings, f"{places.exim_dir}/domains"):
        _read_domain(findings, where, key, value)
    for where, key, value in pairs(findings, f"{places.exim_dir}/domainips"):
        _read_sending_addresses(findings, where, key, value)
    _read_mailboxes(findings, places)
    for where, key, value in pairs(findings, f"{places.exim_dir}/aliases"):
        _read_alias(findings, where, key, value)
    for name in findings.domains:
        _read_ssl(findings, f"{places.exim_dir}/ssl", name)
    for file, what in _UNREAD.items():
        if (findings.text(f"{places.exim_dir}/{file}") or "").strip():
            findings.loses(f"{places.exim_dir}/{file}", what)


def _read_domain(findings: Findings, where: str, key: str, value: str) -> None:
    name = findings.add_domain(key, where)
    if not name:
        return
    special = _SPECIAL.match(value)
    if special:
        target, told, rest = special.group(1), special.group(2).strip(), special.group(3) or ""
        if told:
            findings.loses(where, f"{name} tells senders to unknown addresses something of its own")
    else:
        target, _colon, rest = value.partition(":")
        target, told = target.strip(), ""
    if target in (":defer:", ":unknown:"):
        findings.loses(where, f"{name} answers mail for unknown addresses with {target}; here it is rejected")
        target = ""
    findings.unknown_mail(name, target, where)
    flags = [field.strip().lower() for field in rest.split(":")]
    if len(flags) == 1:
        flags = ["", *flags]
    if not _is_on(findings, flags[1], f"{name}: field 4", where):
        findings.domains[name].options["enabled"] = False
    for number, flag in enumerate(flags):
        if flag and number != 1:
            findings.loses(where, f"{name}: field {number + 3} says {_names.printable(flag)}, which is not known")


def _is_on(findings: Findings, flag: str, what: str, where: str) -> bool:
    if flag not in _ON | _OFF:
        findings.loses(where, f"{what} says {_names.printable(flag)}, which is neither yes nor no: taken as no, so it is on")
    return flag not in _OFF


def _read_sending_addresses(findings: Findings, where: str, key: str, value: str) -> None:
    name = findings.convert(_names.domain_name, key, where)
    if name and name not in findings.domains:
        findings.breaks(where, f"{name} is none of the domains that were taken over")
    elif name:
        # An IPv6 address holds colons, so a list has other separators.
        found = [findings.convert(_names.ip_address, text, where) for text in re.split(r"[\s,;]+", value) if text]
        addresses = [address for address in found if address]
        if addresses:
            findings.domains[name].options["ip_addresses"] = addresses


def _read_mailboxes(findings: Findings, places: IspmanagerPlaces) -> None:
    hashes = _read_hashes(findings, places.password_file)
    owners: dict[str, Counter[str]] = {name: Counter() for name in findings.domains}
    for where, key, value in pairs(findings, f"{places.exim_dir}/passwd"):
        address = findings.convert(_names.address, key, where)
        if not address:
            continue
        fields = [field.strip() for field in value.split(":")]
        if len(fields) < 4:
            findings.breaks(where, f"{address} has {len(fields)} fields, at least uid, gid, quota and home are needed")
            continue
        owner = _owner(findings, fields[0], address, where)
        if owner and domain_of(address) in owners:
            owners[domain_of(address)][owner] += 1
        _read_mailbox(findings, where, address, fields, hashes, places.quota_unit)
    for address in hashes.keys() - findings.addresses.keys():
        findings.loses(places.password_file, f"{address} has a password and is no mailbox that was taken over")
    for name, counted in owners.items():
        _settle_owner(findings, name, counted)


def _read_hashes(findings: Findings, path: str) -> Mapping[str, str]:
    """address -> hash. Nothing of a line that is wrong is told: any part of it may be the secret."""
    hashes: dict[str, str] = {}
    for number, line in enumerate((findings.text(path) or "").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        key, _colon, rest = line.partition(":")
        try:
            address = _names.address(key.strip())
        except ValueError:
            findings.breaks(f"{path}:{number}", "this line does not begin with an address and a colon")
            continue
        try:
            found = _names.password_hash(rest.split(":")[0].strip())
        except ValueError as error:
            findings.breaks(f"{path}:{number}", f"the password of {address}: {error}")
            continue
        hashes.setdefault(address, found)
    return hashes


def _read_mailbox(findings: Findings, where: str, address: str, fields: list[str], hashes: Mapping[str, str], unit: str) -> None:
    if address not in hashes:
        findings.left_out.add(address)
        findings.loses(where, f"{address} has no password that can be taken over, so it is left out: declare it with a new one")
        return
    found = FoundAddress(where, hashes[address], home=fields[3])
    if not findings.add_address(address, found):
        return
    found.quota = _quota(findings, fields[2], unit, address, where)
    found.enabled = _is_on(findings, fields[4].lower() if len(fields) > 4 else "", f"{address}: field 6", where)
    for number, field in enumerate(fields[5:], 7):
        if field:
            findings.loses(where, f"{address}: field {number} says {_names.printable(field)}, which is not known")
    for file, what in (("message.txt", "an automatic reply"), (".dovecot.sieve", "a Sieve script")):
        path = f"{found.home}/{file}"
        if _names.is_stored_form(_names.absolute_path, path) and findings.exists(path):
            findings.loses(path, f"{address} has {what}, which is not taken over")


def _quota(findings: Findings, text: str, unit: str, address: str, where: str) -> str:
    """A number of `unit`, or one with a unit of its own."""
    if text.isascii() and text.isdigit() and len(text) < 19:
        number = int(text)
        if unit == "B":
            # Never less than it was.
            number, unit = -(-number // 1024), "K"
        text = f"{number}{unit}" if number else "0"
    try:
        return _names.quota(text)
    except ValueError:
        findings.breaks(where, f"the quota of {address} is {_names.printable(text)}, which is none: taken over without")
        return ""


def _owner(findings: Findings, text: str, address: str, where: str) -> str | None:
    uid = int(text) if text.isascii() and text.isdigit() and len(text) < 11 else None
    owner = findings.source.user(uid) if uid is not None else None
    if owner is None:
        findings.loses(where, f"{address} belongs to the uid {_names.printable(text)}, which is no user of this host")
    return owner


def _settle_owner(findings: Findings, name: str, counted: Counter[str]) -> None:
    """A domain has one owner here: that of most of its mailboxes, and of equally many the first by the alphabet."""
    domain = findings.domains[name]
    if not counted:
        findings.loses(domain.where, f"{name} has no mailbox whose uid tells its owner: it will belong to vmail")
        return
    owner = min(counted, key=lambda one: (-counted[one], one))
    domain.options["owner"] = owner
    if len(counted) > 1:
        findings.loses(domain.where, f"the mailboxes of {name} belong to {', '.join(sorted(counted))}; here they all belong to {owner}")


def _read_alias(findings: Findings, where: str, key: str, value: str) -> None:
    address = findings.convert(_names.address, key, where)
    if not address:
        return
    if address in findings.left_out:
        findings.loses(where, f"{address} is a mailbox that is left out, and so is where its mail goes besides")
        return
    texts = [text for field in value.split(":") for text in field.split(",")]
    # A word without an @ in a field says what kind of list it is.
    words = [text.strip() for text in texts if text.strip() and "@" not in text]
    for word in words:
        findings.loses(where, f"{address}: {_names.printable(word)} is no address: left out")
    targets = findings.targets((text for text in texts if "@" in text), where)
    others = [target for target in targets if target.lower() != address]
    mailbox = findings.addresses.get(address)
    if mailbox and mailbox.password_hash and not mailbox.targets:
        mailbox.targets, mailbox.keep_copy = others, len(others) < len(targets) or not others
    elif others:
        findings.add_address(address, FoundAddress(where, targets=others))
    else:
        findings.loses(where, f"{address} goes nowhere: left out")


def _read_ssl(findings: Findings, directory: str, name: str) -> None:
    """Keys as opendkim-genkey(8) names them, and a certificate that needs a decision."""
    key = f"{directory}/{name}.private"
    if findings.exists(key):
        record = findings.text(f"{directory}/{name}.txt") or ""
        selector = selector_in_zone_text(record)
        if not selector:
            findings.loses(key, f"nothing says under which selector {name} signs: taken to be {DEFAULT_SELECTOR}")
        findings.dkim(name, selector or DEFAULT_SELECTOR, key)
    certificate = f"{directory}/{name}.crt"
    if findings.exists(certificate):
        findings.loses(certificate, f"{name} has a certificate: declare ssl for it, with provider acme or provided")
