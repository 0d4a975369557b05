# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Domains, keys, a clock and a DNS as values, over which the merge runs again and again as on a host; nothing is on a disk."""

from __future__ import annotations

import itertools
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_dkim
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import Desired, merge
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Dkim,
    DkimKey,
    Domain,
    Facts,
    FoundKey,
    Host,
    MadeKey,
    Ownership,
    PublicKey,
    Sight,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import files_of, files_to_look_at, private_files_of

NOW = 1795406400
"""20261123T040000Z"""
NAME = "example.com"
FACTS = Facts({}, None, frozenset(), "2.4", 120, 121, exim_uid=119)
ABSENT = FoundKey(None, "is not there")
PRIVATE, RECORD = Ownership(119, 120, 0o600), Ownership(0, 0, 0o644)
SEEN = Sight(True, 300, "")
UNSEEN = Sight(False, 300, "192.0.2.53 does not show it yet")
RSA = PublicKey("rsa", 2048, "email", "OLDRSA")
ED25519 = PublicKey("ed25519", 256, "email", "OLDED")
LOST = FoundKey(None, "cannot be used: it is cut off", PRIVATE, RECORD)


def found(key: PublicKey) -> FoundKey:
    """A key as it should be."""
    return FoundKey(key, "", PRIVATE, RECORD, True)


class World:
    """Domains and their keys, by file. dns: what is seen of every rotation; None: nobody has looked."""

    def __init__(self, domains: dict[str, Dkim | None], keys: dict[str, FoundKey] | None = None, dns: Sight | None = None) -> None:
        self.host = Host({name: Domain(name, dkim=dkim) for name, dkim in domains.items()}, {}, {})
        self.keys = keys or {}
        self.dns = dns
        self.now = float(NOW)
        self._numbers = itertools.count(1)

    def dkim(self, name: str = NAME) -> Dkim | None:
        return self.host.domains[name].dkim

    def merged(self, name: str = NAME, made: dict[str, MadeKey] | None = None, **options: Any) -> Desired:
        """What one walk makes of it; it changes nothing."""
        declaration = declaration_of_dkim({"state": "present", "domain": name, **options})
        files = files_to_look_at(self.host.domains.get(name), declaration.domains[0])
        keys = {file: self.keys.get(file, ABSENT) for file in files}
        sights = {name: self.dns} if self.dns else {}
        return merge(self.host, declaration, FACTS._replace(now=self.now, keys=keys, sights=sights), {}, made or {})

    def run(self, name: str = NAME, **options: Any) -> Desired:
        """A whole run: keys that are wanted are made, and everything is written."""
        desired = self.merged(name, **options)
        if desired.to_make:
            made = {file: MadeKey(self._made(one.key), one.private_key or "PEM") for file, one in desired.to_make.items()}
            desired = self.merged(name, made, **options)
            assert not desired.to_make
        self._write(desired)
        return desired

    def _made(self, key: PublicKey) -> PublicKey:
        return key if key.public_key else key._replace(public_key=f"NEW{next(self._numbers)}")

    def _write(self, desired: Desired) -> None:
        self.keys.update({file: found(key) for file, key in desired.host.keys.items()})
        for name, domain in self.host.domains.items():
            now = desired.host.domains[name].dkim
            for file in private_files_of(domain.dkim):
                if file not in private_files_of(now) and file in self.keys:
                    self.keys[file] = ABSENT._replace(text_ownership=RECORD)
            for file in files_of(domain.dkim):
                if file not in files_of(now):
                    self.keys.pop(file, None)
        self.host = desired.host._replace(keys={})


def active(selector: str = "dkim", file: str = NAME) -> Dkim:
    return Dkim((DkimKey(selector, file),))


def both(selector: str = "dkim", file: str = NAME) -> Dkim:
    return Dkim((DkimKey(selector, file), DkimKey(f"{selector}-ed25519", f"{NAME}.{selector}-ed25519")))


def signing(key: PublicKey = RSA, **more: Any) -> World:
    """A domain that signs with one key under the selector dkim."""
    return World({NAME: active()}, {NAME: found(key)}, **more)


def signing_twice() -> World:
    return World({NAME: both()}, {NAME: found(RSA), f"{NAME}.dkim-ed25519": found(ED25519)})
