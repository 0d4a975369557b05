# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail host in a directory: the files that the roles would have put there, and runs of the modules' own line over them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import (
    declaration_of_certificate,
    declaration_of_dkim,
    declaration_of_domain,
    declaration_of_domains,
    declaration_of_mailbox,
    declaration_of_owner,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._inventory import Inventory, Question, take_inventory
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import LAYOUTS
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Declaration
from ansible_collections.fleetpost.mail.plugins.module_utils._run import Outcome, Request, run

HASH = "{BLF-CRYPT}$2y$05$" + "a" * 53
OTHER_HASH = "{BLF-CRYPT}$2y$05$" + "b" * 53
USERS = {
    "root": 0,
    "www-data": 33,
    "daemon9": 99,
    "sshd": 110,
    "vmail": 900,
    "alice": 1001,
    "bob": 1002,
    "carol": 1003,
    "dave": 1004,
    "nobody": 65534,
}
DOVECOT = {"2.3": "protocols = imap\n", "2.4": "dovecot_config_version = 2.4.0\n"}
EXIM = """\
# an Exim configuration
MD_FORMAT = 5
MD_CERTIFICATE = /etc/exim4/ssl/mx1.fleet.test.pem
MD_SPAMD = 127.0.0.1 783
MD_CLAMD = /run/clamav/clamd.ctl
primary_hostname = mx1.fleet.test
"""
EXIM_UID = 119
EXIM_GID = 120
DOVECOT_GID = 121


class Entry(NamedTuple):
    """One file, directory or link of a tree, as far as anybody could tell a difference."""

    mode: int
    uid: int
    gid: int
    content: bytes


class FakeHost:
    """A host below a directory of its own."""

    acting_as = ""

    def __init__(self, root: Path, layout: str = "debian", dovecot: str = "2.4") -> None:
        self.root = root
        self.layout = LAYOUTS[layout]
        for directory in (self.layout.lists_dir, self.layout.dovecot_dir, "/var/log", "/var/backups", "/run"):
            self.path(directory).mkdir(parents=True, exist_ok=True)
        self.write(self.layout.dovecot_conf, DOVECOT[dovecot])
        self.write(self.layout.exim_conf, EXIM)
        self.write("/etc/hostname", "mx1\n")
        users = {**USERS, self.layout.exim_user: EXIM_UID}
        self.write("/etc/passwd", "".join(f"{name}:x:{uid}:{uid}::/:/bin/false\n" for name, uid in users.items()))
        groups = {self.layout.exim_group: EXIM_GID, self.layout.dovecot_group: DOVECOT_GID, "adm": 4}
        self.write("/etc/group", "".join(f"{name}:x:{gid}:\n" for name, gid in groups.items()))

    def path(self, path: str) -> Path:
        return self.root / path.lstrip("/")

    def write(self, path: str, content: str | bytes) -> None:
        self.path(path).parent.mkdir(parents=True, exist_ok=True)
        self.path(path).write_bytes(content if isinstance(content, bytes) else content.encode())

    def text(self, path: str) -> str:
        return self.path(path).read_text()

    def table_path(self, name: str) -> str:
        return self.layout.domain_lists.get(name) or getattr(self.layout, name)

    def table(self, name: str) -> list[str]:
        """The lines of one of the tables, without its comments."""
        return [line for line in self.text(self.table_path(name)).splitlines() if line and not line.startswith("#")]

    def request(self, check: bool = False, lock_timeout: float = 20.0) -> Request:
        return Request(str(self.root), self.layout.name, lock_timeout, check, acting_as=self.acting_as)

    def acts_as(self, name: str) -> FakeHost:
        """The same host for runs in somebody's name."""
        host = copy(self)
        host.acting_as = name
        return host

    def run(self, declaration: Declaration, check: bool = False) -> Outcome:
        return run(declaration, self.request(check))

    def owner_limits(self, name: str, check: bool = False, **options: Any) -> Outcome:
        """A run of mail_owner."""
        return self.run(declaration_of_owner({"state": "present", "name": name, **options}), check)

    def domains(self, *entries: Mapping[str, Any], check: bool = False, **options: Any) -> Outcome:
        """A run of mail_domains."""
        return self.run(declaration_of_domains(entries, options), check)

    def restore(self, generation: int, check: bool = False, **options: Any) -> Outcome:
        """A run of mail_domains that goes back to before an earlier one."""
        return self.domains(check=check, restore_generation=generation, **options)

    @property
    def newest_generation(self) -> int:
        """The number of the tables before the last run that changed one."""
        return max(int(path.name) for path in self.path(self.layout.generations_dir).iterdir())

    def domain(self, name: str, check: bool = False, **options: Any) -> Outcome:
        """A run of mail_domain."""
        return self.run(declaration_of_domain({"state": "present", "name": name, **options}), check)

    def mailbox(self, address: str, check: bool = False, **options: Any) -> Outcome:
        """A run of mailbox."""
        return self.run(declaration_of_mailbox({"state": "present", "address": address, **options}), check)

    def dkim(self, domain: str, check: bool = False, **options: Any) -> Outcome:
        """A run of mail_domain_dkim."""
        return self.run(declaration_of_dkim({"state": "present", "domain": domain, **options}), check)

    def certificate(self, domain: str, check: bool = False, **options: Any) -> Outcome:
        """A run of mail_domain_cert."""
        return self.run(declaration_of_certificate({"state": "present", "domain": domain, **options}), check)

    def info(self, *names: str, check: bool = False, **options: Any) -> Inventory:
        """A run of mail_domain_info."""
        return take_inventory(self.request(check), Question(names=names, **options))

    def deliver(self, address: str, name: str = "mail-1", content: str = "Subject: hello\n") -> str:
        """Puts a message where Dovecot would; returns its path."""
        tree = self.layout.mailbox_tree(address)
        info = self.path(tree).stat()
        for directory in (f"{tree}/Maildir", f"{tree}/Maildir/new"):
            self.path(directory).mkdir(exist_ok=True)
            os.chown(self.path(directory), info.st_uid, info.st_gid)
        path = f"{tree}/Maildir/new/{name}"
        self.write(path, content)
        os.chown(self.path(path), info.st_uid, info.st_gid)
        return path

    def owner(self, path: str) -> tuple[int, int, int]:
        """uid, gid and permission bits."""
        info = self.path(path).lstat()
        return info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)

    def entries(self, *without: str) -> dict[str, Entry]:
        """Everything in the tree, except what lies below the paths `without`."""
        skipped = tuple(path.lstrip("/") for path in without)
        found = {}
        for path in sorted(self.root.rglob("*")):
            name = str(path.relative_to(self.root))
            if not name.startswith(skipped or ("\0",)):
                found[name] = _entry(path)
        return found

    def identities(self) -> dict[str, tuple[int, int]]:
        """Inode and modification time of everything: what even a rewrite with the same content would change."""
        return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns) for path in self.root.rglob("*")}


# What differs between two runs that did the same: when and by which process, and how many there were.
UNSTABLE = ("/run/mail-domains.lock", "/var/log/mail-domains.log", "/var/lib/mail-domains")


def _entry(path: Path) -> Entry:
    info = path.lstat()
    content = b""
    if path.is_symlink():
        content = os.fsencode(path.readlink())
    elif path.is_file():
        content = path.read_bytes()
    return Entry(info.st_mode, info.st_uid, info.st_gid, content)
