# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of hosts that others set up, and runs of mail_domain_import over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._import_run import import_domains
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import COMMON, IMPORT
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, OTHER_HASH
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem

CRYPT = "$6$salt$" + "c" * 86
PASSWD = "".join(f"{name}:x:{uid}:{uid}::/home/{name}:/bin/false\n" for name, uid in {"alice": 1001, "bob": 1002}.items())

ISPMANAGER = {
    "/etc/passwd": PASSWD,
    "/etc/exim4/domains": (
        "example.com::fail:::no\nexample.net:info@example.com::no\nexample.org::blackhole:::yes\nshop.example:@example.com::no\n"
    ),
    "/etc/exim4/domainips": "example.com :192.0.2.10\n",
    "/etc/exim4/aliases": (
        "sales@example.com:info@example.com:\n"
        "press@example.com:info@example.com,agency@example.edu:\n"
        "info@example.com:info@example.com,copy@example.edu:\n"
        "office@example.net:info@example.com:\n"
    ),
    "/etc/exim4/passwd": (
        "info@example.com:1001:1001:500:/var/www/alice/email/example.com/info:no:\n"
        "bob@example.org:1002:1002:0:/var/www/bob/email/example.org/bob:yes:\n"
    ),
    "/etc/dovecot/passwd": f"info@example.com:{HASH}\nbob@example.org:{CRYPT}:1002:1002::/home\n",
    "/etc/exim4/ssl/example.com.private": pem("ed25519", 0),
    "/etc/exim4/ssl/example.com.txt": 's2020._domainkey\tIN\tTXT\t( "v=DKIM1; k=ed25519; p=" )\n',
}

_DOMAIN = "ANTIVIRUS='no' ANTISPAM='no' REJECT='no' DKIM='no' WEBMAIL='' SSL='no' LETSENCRYPT='no' CATCHALL='' ACCOUNTS='1' "
_ACCOUNT = "ALIAS='' AUTOREPLY='no' FWD='' FWD_ONLY='' QUOTA='unlimited' U_DISK='3' SUSPENDED='no' TIME='10:00:00' DATE='2024-01-01'"


def _row(usual: str, **fields: str) -> str:
    """A row of HestiaCP's records: the usual fields, and those that differ."""
    merged = dict(part.split("=", 1) for part in usual.split())
    merged.update({name: f"'{value}'" for name, value in fields.items()})
    return " ".join(f"{name}={value}" for name, value in merged.items()) + "\n"


def hestia_domain(name: str, **fields: str) -> str:
    return _row(_DOMAIN, DOMAIN=name, **fields)


def hestia_account(name: str, **fields: str) -> str:
    return _row(_ACCOUNT, **{"ACCOUNT": name, "MD5": HASH, **fields})


RECORDS = "/usr/local/hestia/data/users"
CONF = "/home/alice/conf/mail/example.com"
HESTIA = {
    f"{RECORDS}/alice/mail.conf": (
        hestia_domain("example.com", ANTISPAM="yes", REJECT="yes", ANTIVIRUS="yes", DKIM="yes", CATCHALL="info@example.com")
        + hestia_domain("example.net", SUSPENDED="yes", RATE_LIMIT="50")
    ),
    f"{RECORDS}/alice/mail/example.com.conf": (
        hestia_account("info", ALIAS="sales,contact", QUOTA="1024", FWD="copy@example.edu")
        + hestia_account("press", FWD="info@example.com,a@example.edu", FWD_ONLY="yes")
        + hestia_account("old", SUSPENDED="yes", MD5=OTHER_HASH)
    ),
    f"{RECORDS}/alice/mail/example.net.conf": hestia_account("desk", SUSPENDED="yes"),
    f"{RECORDS}/bob/mail.conf": hestia_domain("exämple.test", CATCHALL=":blackhole:"),
    f"{RECORDS}/bob/mail/exämple.test.conf": hestia_account("bob", RATE_LIMIT="30"),
    f"{CONF}/ip": "192.0.2.10\n",
    f"{CONF}/dkim.pem": pem("rsa2048", 0),
    f"{CONF}/aliases": "*@example.com:info@example.com\nsales@example.com:info@example.com\ncontact@example.com:info@example.com\n",
}


class ForeignHost:
    """Files below a directory. Further ones take the place of those that are there; None removes one."""

    def __init__(self, root: Path, kind: str, **files: str) -> None:
        self.root = root
        self.kind = kind
        self.write({**(ISPMANAGER if kind == "ispmanager" else HESTIA), **files})

    def write(self, files: dict[str, str]) -> None:
        for path, content in files.items():
            place = self.root / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(content)

    def read(self, check: bool = False, **options: Any) -> dict[str, Any]:
        """A run of mail_domain_import."""
        defaults = {name: rule.get("default") for name, rule in {**COMMON, **IMPORT}.items()}
        return import_domains({**defaults, "kind": self.kind, "root": str(self.root), "layout": "debian", **options}, check)

    def entry(self, name: str, **options: Any) -> dict[str, Any]:
        (entry,) = [one for one in self.read(**options)["domains"] if one["name"] == name]
        return entry

    def remarks(self, **options: Any) -> list[str]:
        """Everything that was not taken over, as a person reads it."""
        found = self.read(**options)
        return [f"{one['where']}: {one['message']}" for one in (*found["broken"], *found["not_translated"])]
