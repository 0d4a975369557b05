# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records of a host with HestiaCP -> what was found. No IO.

Its records are ``data/users/USER/mail.conf``, one line a domain, and ``data/users/USER/mail/DOMAIN.conf``, one line an account. The files
in ``/home/USER/conf/mail/DOMAIN`` are made from them (func/rebuild.sh, rebuild_mail_domain_conf) and are only read for what stands there
alone, and to see whether somebody edited them. The meaning of each field is taken from the sources of hestiacp/hestiacp as they were in
August 2026: fields of domains from bin/v-add-mail-domain, of accounts from bin/v-add-mail-account (a quota is megabytes), what they do
from install/deb/exim/exim4.conf.4.95.template (routers aliases, localuser_fwd_only, catchall; dkim_selector; the scores of spam are 5 and
10; limits are for each account and hour), suspending from bin/v-suspend-mail-domain and bin/v-suspend-mail-account.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._foreign import Findings, FoundAddress, pairs

Fields = Mapping[str, str]

_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9_]*)='([^']*)'(?=\s|\Z)")
_SELECTOR = "mail"
_REJECT_SCORE = 10.0
# Counters and times, which are made anew; and what the other fields of a relay belong to.
_COUNTERS = frozenset(["ACCOUNTS", "U_DISK", "TIME", "DATE", "LETSENCRYPT"])
_RELAY = frozenset([f"U_SMTP_RELAY_{part}" for part in ("HOST", "PORT", "USERNAME", "PASSWORD")])
_DOMAIN_FIELDS = frozenset(
    [
        *("DOMAIN", "ANTIVIRUS", "ANTISPAM", "REJECT", "DKIM", "CATCHALL", "RATE_LIMIT", "SUSPENDED", "SSL", "WEBMAIL", "WEBMAIL_ALIAS"),
        "U_SMTP_RELAY",
        *_COUNTERS,
        *_RELAY,
    ]
)
_ACCOUNT_FIELDS = frozenset(
    ["ACCOUNT", "ALIAS", "AUTOREPLY", "FWD", "FWD_ONLY", "MD5", "QUOTA", "RATE_LIMIT", "SUSPENDED", "U_DISK", "TIME", "DATE"]
)


class HestiaPlaces(NamedTuple):
    """Where the panel is, where its users' homes are, and where Exim keeps what holds for all accounts."""

    hestia_dir: str
    home_dir: str
    exim_dir: str


class _Owned(NamedTuple):
    """A domain of a user: name in its stored form and as the panel writes it, the panel's directory and that of its files for Exim."""

    name: str
    written: str
    records: str
    files: str
    home: str


def read_hestia(findings: Findings, places: HestiaPlaces) -> None:
    """Adds what the panel's records say to the findings."""
    users = f"{places.hestia_dir}/data/users"
    names = findings.source.names(users)
    if not names:
        findings.breaks(users, "there are no users of HestiaCP here")
    # Every domain first: a forward may go to any of them.
    owned: list[tuple[_Owned, Fields]] = []
    for user in names:
        owned.extend(_read_domains(findings, places, user, f"{users}/{user}"))
    for domain, fields in owned:
        _read_accounts(findings, domain, fields)
        _look_for_edits(findings, domain, fields)
    limit = findings.text(f"{places.exim_dir}/limit.conf")
    if owned and limit:
        shown = _names.printable(limit.strip())
        findings.loses(f"{places.exim_dir}/limit.conf", f"accounts without a limit of their own may send {shown} messages an hour")


def _read_domains(findings: Findings, places: HestiaPlaces, user: str, records: str) -> list[tuple[_Owned, Fields]]:
    path = f"{records}/mail.conf"
    owner = findings.convert(_names.owner_name, user, records)
    found = []
    for number, line in enumerate((findings.text(path) or "").split("\n"), 1):
        where = f"{path}:{number}"
        fields = _fields(findings, where, line, "DOMAIN", _DOMAIN_FIELDS)
        name = findings.add_domain(fields["DOMAIN"], where) if owner and fields else None
        if owner and fields and name:
            home = f"{places.home_dir}/{owner}"
            domain = _Owned(name, fields["DOMAIN"], records, f"{home}/conf/mail/{fields['DOMAIN']}", home)
            findings.domains[name].options["owner"] = owner
            _read_domain(findings, domain, fields, where)
            found.append((domain, fields))
    return found


def _fields(findings: Findings, where: str, line: str, key: str, known: frozenset[str]) -> Fields:
    """The fields of a line; none for one that is empty or broken, which is noted without telling what is in it."""
    fields = dict(_FIELD.findall(line))
    if not line.strip():
        return {}
    if _FIELD.sub("", line).strip() or not fields.get(key):
        findings.breaks(where, f"this line is not a row of FIELD='VALUE' with {key}")
        return {}
    for field in fields.keys() - known:
        findings.loses(where, f"{fields[key]}: the field {field} is not known")
    return fields


def _read_domain(findings: Findings, domain: _Owned, fields: Fields, where: str) -> None:
    name, options = domain.name, findings.domains[domain.name].options
    if fields.get("SUSPENDED") == "yes":
        options.update(suspended=True, suspended_reason="suspended in HestiaCP")
    if fields.get("ANTISPAM") == "yes":
        options["spamassassin"] = True
        if fields.get("REJECT") == "yes":
            options["spam_reject_threshold"] = _REJECT_SCORE
    if fields.get("ANTIVIRUS") == "yes":
        options["antivirus"] = True
    findings.unknown_mail(name, fields.get("CATCHALL", "").strip(), where)
    _read_sending_address(findings, domain)
    if fields.get("DKIM") == "yes":
        key = f"{domain.files}/dkim.pem"
        findings.dkim(name, _SELECTOR, key if findings.exists(key) else f"{domain.records}/mail/{domain.written}.pem")
    _note_lost(findings, domain, fields, where)


def _read_sending_address(findings: Findings, domain: _Owned) -> None:
    """Nothing of what stands there is told: in a user's home it may be a link to any file."""
    path = f"{domain.files}/ip"
    text = (findings.text(path) or "").strip()
    try:
        if text:
            findings.domains[domain.name].options["ip_addresses"] = [_names.ip_address(text)]
    except ValueError:
        findings.breaks(path, "this is no address that mail can be sent from")


def _note_lost(findings: Findings, domain: _Owned, fields: Fields, where: str) -> None:
    name = domain.name
    if fields.get("SSL") == "yes":
        which = "Let's Encrypt" if fields.get("LETSENCRYPT") == "yes" else "its own"
        findings.loses(f"{domain.files}/ssl", f"{name} has a certificate ({which}): declare ssl for it, with provider acme or provided")
    if fields.get("U_SMTP_RELAY") == "true":
        findings.loses(where, f"{name} sends its mail through a relay, {_names.printable(fields.get('U_SMTP_RELAY_HOST', ''))}")
    if fields.get("WEBMAIL", "") not in ("", "disabled"):
        findings.loses(where, f"{name} has webmail ({_names.printable(fields['WEBMAIL'])}), which is not part of a mail host here")


def _read_accounts(findings: Findings, domain: _Owned, domain_fields: Fields) -> None:
    path = f"{domain.records}/mail/{domain.written}.conf"
    for number, line in enumerate((findings.text(path) or "").split("\n"), 1):
        where = f"{path}:{number}"
        fields = _fields(findings, where, line, "ACCOUNT", _ACCOUNT_FIELDS)
        local = findings.convert(_names.local_part, fields["ACCOUNT"], where) if fields else None
        if fields and local:
            _read_account(
                findings, domain, f"{local}@{domain.name}", {**fields, "DOMAIN_LIMIT": domain_fields.get("RATE_LIMIT", "")}, where
            )


def _read_account(findings: Findings, domain: _Owned, address: str, fields: Fields, where: str) -> None:
    found = FoundAddress(where, home=f"{domain.home}/mail/{domain.written}/{fields['ACCOUNT']}")
    texts = [text.strip() for text in fields.get("FWD", "").split(",")]
    if ":blackhole:" in texts:
        findings.loses(where, f"{address} throws its mail away, which a mailbox cannot do here")
    found.targets = findings.targets((text for text in texts if text != ":blackhole:"), where)
    found.keep_copy = fields.get("FWD_ONLY") != "yes" or not found.targets
    try:
        found.password_hash = _names.password_hash(fields.get("MD5", ""))
    except ValueError as error:
        only_forwards = bool(found.targets) and not found.keep_copy
        what = (
            "taken over as an address that only forwards" if only_forwards else "left out with its aliases: declare it with a new password"
        )
        findings.loses(where, f"{address} is {what}; its password: {error}")
        if not only_forwards:
            return
    if not findings.add_address(address, found):
        return
    found.quota = _quota(findings, fields.get("QUOTA", ""), address, where)
    # Suspending a domain marks all its accounts, and letting it go on unmarks them all.
    found.enabled = fields.get("SUSPENDED") != "yes" or "suspended" in findings.domains[domain.name].options
    findings.limit(found, fields.get("RATE_LIMIT") or fields["DOMAIN_LIMIT"], where)
    if fields.get("AUTOREPLY") == "yes":
        findings.loses(f"{domain.files}/autoreply.{fields['ACCOUNT']}.msg", f"{address} has an automatic reply, which is not taken over")
    for text in fields.get("ALIAS", "").split(","):
        alias = findings.convert(_names.local_part, text.strip(), where) if text.strip() else None
        if alias:
            findings.add_address(f"{alias}@{domain.name}", FoundAddress(where, targets=[address]))


def _quota(findings: Findings, text: str, address: str, where: str) -> str:
    """A number of megabytes; 0 and ``unlimited`` are none."""
    is_number = text.isascii() and text.isdigit() and len(text) < 16
    number = int(text) if is_number else 0
    try:
        return _names.quota(f"{number}M" if number else "0" if is_number else text)
    except ValueError:
        findings.breaks(where, f"the quota of {address} is {_names.printable(text)}, which is none: taken over without")
        return ""


def _look_for_edits(findings: Findings, domain: _Owned, fields: Fields) -> None:
    """Lines of Exim's files that are not made from the records: somebody wrote them by hand."""
    accounts = set()
    expected = set()
    if fields.get("CATCHALL"):
        expected.add((f"*@{domain.name}", fields["CATCHALL"].lower()))
    for line in (findings.text(f"{domain.records}/mail/{domain.written}.conf") or "").split("\n"):
        account = dict(_FIELD.findall(line))
        address = f"{account.get('ACCOUNT', '').lower()}@{domain.name}"
        accounts.add(address)
        expected.add((address, account.get("FWD", "").lower()))
        expected.update((f"{alias.strip().lower()}@{domain.name}", address) for alias in account.get("ALIAS", "").split(","))
    for where, key, value in pairs(findings, f"{domain.files}/aliases"):
        if (key, value.lower()) not in expected:
            findings.loses(where, f"{_names.printable(key)} is not in the records of HestiaCP: written by hand, and not taken over")
    for where, key, _value in pairs(findings, f"{domain.files}/passwd"):
        if f"{key}@{domain.name}" not in accounts:
            findings.loses(where, f"{_names.printable(key)} is not in the records of HestiaCP: written by hand, and not taken over")
