# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a domain signs, and how its keys change: what is there, what is declared and what the DNS shows -> what shall be.

The stages of a rotation (docs/dkim.md) are data in the ``domains`` line. Each run moves a domain as far as it may: from
``active`` to ``published`` (the new key is made, its TXT goes out), to ``retiring`` (the new key signs; the switch is one line),
to ``retired`` (the old private key goes). What it waits for is said, and nothing here waits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._declared import DeclaredDkim, DeclaredDomain
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import public_key_of, record_name
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DEFAULT_KEY_LENGTH,
    DEFAULT_SELECTOR,
    DEFAULT_SERVICE_TYPE,
    Dkim,
    DkimKey,
    Domain,
    Facts,
    Host,
    MadeKey,
    PublicKey,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import moment_text

_KINDS = {"rsa": ("rsa",), "ed25519": ("ed25519",), "both": ("rsa", "ed25519")}
_SECOND_KEY = "-ed25519"
_LONGEST_SELECTOR = 63


class Waiting(NamedTuple):
    """A rotation that cannot go on yet: its stage, the moment of the next one if that is known, and what it waits for."""

    domain: str
    stage: str
    until: str
    reason: str


class WantedKey(NamedTuple):
    """A key that must be made, or checked if the user brought its private key along (PEM, a secret).

    where: the option path of the signing that wants it, with a dot.
    """

    key: PublicKey
    private_key: str | None = None
    where: str = ""


class Signing(NamedTuple):
    """How a domain shall sign. keys: those it needs, by file. to_make: those among them that are not in hand yet.

    looks: whether the DNS must be asked before a rotation can go on.
    """

    dkim: Dkim | None
    keys: Mapping[str, PublicKey]
    to_make: Mapping[str, WantedKey] = MappingProxyType({})
    errors: tuple[MailError, ...] = ()
    waiting: Waiting | None = None
    looks: bool = False


def files_of(dkim: Dkim | None) -> tuple[str, ...]:
    """The names of the files of all keys of a domain."""
    return tuple(key.file for key in dkim.keys + dkim.other) if dkim else ()


def private_files_of(dkim: Dkim | None) -> tuple[str, ...]:
    """The names of the files that hold a private key: of retired keys only the record is left."""
    if dkim is None:
        return ()
    return tuple(key.file for key in (dkim.keys if dkim.stage == "retired" else dkim.keys + dkim.other))


def files_to_look_at(current: Domain | None, declared: DeclaredDomain) -> Iterator[str]:
    """The key files that a declared domain has or may get."""
    yield from files_of(current.dkim if current else None)
    if declared.dkim is None or declared.dkim.state == "absent":
        return
    selector = _wanted_selector(current.dkim if current else None, declared.dkim)
    if current is None or current.dkim is None or selector not in _selectors(current.dkim):
        yield declared.name
        yield f"{declared.name}.{selector}"
    yield f"{declared.name}.{selector}{_SECOND_KEY}"


def _wanted_selector(dkim: Dkim | None, declared: DeclaredDkim) -> str:
    return declared.rotate_to or declared.selector or (dkim.keys[0].selector if dkim else DEFAULT_SELECTOR)


def _selectors(dkim: Dkim) -> tuple[str, ...]:
    """The selectors that name a set of keys; that of an Ed25519 key beside an RSA key follows from it."""
    return tuple(keys[0].selector for keys in (dkim.keys, dkim.other) if keys)


def shown_signing(dkim: Dkim | None) -> str:
    """The signing of a domain in words: its selectors, and the stage of a rotation; empty when it does not sign."""
    if dkim is None:
        return ""
    signs = " and ".join(key.selector for key in dkim.keys)
    if dkim.stage == "active":
        return signs
    return f"{signs} ({' and '.join(key.selector for key in dkim.other)} {dkim.stage}{f' until {dkim.until}' if dkim.until else ''})"


def lost_keys(host: Host, facts: Facts) -> Iterator[str]:
    """Domains whose mail waits, because a key that they sign with was looked at and cannot be used."""
    for name, domain in host.domains.items() if facts.keys else ():
        for key in domain.dkim.keys if domain.dkim else ():
            found = facts.keys.get(key.file)
            if found and found.key is None:
                yield f"{name} cannot sign, so its mail waits: ssl/{key.file}.private {found.problem}"


def merged_signing(
    base: Domain, declared: DeclaredDkim, facts: Facts, made: Mapping[str, MadeKey], files: MutableMapping[str, str]
) -> Signing:
    """How `base` shall sign after `declared`. files: key file -> the domain that has it, of all domains; new ones are added."""
    if declared.state == "absent":
        return Signing(None, {})
    signer = _Signer(base, declared, facts, made, files)
    dkim = signer.merged()
    return Signing(dkim, signer.keys, signer.to_make, tuple(signer.errors), signer.waiting, signer.looks)


class _Signer:
    """Merges the signing of one domain."""

    def __init__(
        self, base: Domain, declared: DeclaredDkim, facts: Facts, made: Mapping[str, MadeKey], files: MutableMapping[str, str]
    ) -> None:
        self.domain = base.name
        self.there = base.dkim
        self.declared = declared
        self.facts = facts
        self.made = made
        self.files = files
        self.keys: dict[str, PublicKey] = {}
        self.to_make: dict[str, WantedKey] = {}
        self.errors: list[MailError] = []
        self.waiting: Waiting | None = None
        self.looks = False

    def fail(self, message: str, option: str, remedy: str = "") -> None:
        self.errors.append(MailError(message, f"{self.declared.where}{option}", remedy))

    def merged(self) -> Dkim:
        there, wanted = self.there, _wanted_selector(self.there, self.declared)
        if there is None:
            return Dkim(self._keys(wanted, ()))
        if wanted == there.keys[0].selector:
            keys = self._keys(wanted, there.keys)
            if there.stage == "published" and self.declared.rotate_to:
                return Dkim(keys)
            if there.stage != "retired":
                self._keep(there.other, is_needed=there.stage == "published")
            return self._moved_on(there._replace(keys=keys))
        if there.stage == "published" and wanted == there.other[0].selector:
            self._keep(there.keys)
            return self._moved_on(there._replace(other=self._keys(wanted, there.other)))
        return self._begun(there, wanted)

    def _begun(self, there: Dkim, wanted: str) -> Dkim:
        """Another selector than those there are: a rotation begins, if nothing is against it."""
        active = there.keys[0].selector
        if not self.declared.rotate_to:
            if self.declared.regenerate == "always":
                return Dkim(self._keys(wanted, ()))
            remedy = f"Change keys without an outage with rotate: {{to: {wanted}}}"
            self.fail(f"{self.domain} signs with selector {active}; {wanted} is not published yet", "selector", remedy)
            return there
        if {wanted, wanted + _SECOND_KEY} & {key.selector for key in there.keys + there.other}:
            self.fail(f"{self.domain} uses the selector {wanted} or has just left it", "rotate.to", "Choose one that was not used before")
            return there
        if there.stage == "published":
            other = there.other[0].selector
            self.fail(f"{self.domain} is on its way to {other}", "rotate.to", f"Let it finish, or give it up with rotate: {{to: {active}}}")
            return there
        self._keep(there.keys)
        if there.stage == "retiring":
            self._keep(there.other, is_needed=False)
            moved = self._moved_on(there)
            begins = "in the next run" if moved.stage == "retired" else f"when {there.other[0].selector} is retired"
            self._wait(moved, f"the rotation to {wanted} begins {begins}")
            return moved
        return self._moved_on(Dkim(there.keys, "published", self._keys(wanted, ())))

    def _moved_on(self, dkim: Dkim) -> Dkim:
        """The next stage, as soon as its time has come."""
        now = moment_text(self.facts.now)
        if dkim.stage == "published" and not self.errors:
            return self._published(dkim, now)
        if dkim.stage == "retiring" and dkim.until <= now:
            for key in dkim.other:
                self.keys.pop(key.file, None)
            return dkim._replace(stage="retired", until="")
        if dkim.stage == "retiring":
            self._wait(dkim, f"the TXT of {dkim.other[0].selector} stays for messages under way")
        return dkim

    def _published(self, dkim: Dkim, now: str) -> Dkim:
        selector = dkim.other[0].selector
        names = " and ".join(record_name(key.selector, self.domain) for key in dkim.other)
        if any(key.file in self.to_make or key.file in self.made for key in dkim.other):
            dkim = dkim._replace(until="")
            self._wait(dkim, f"publish the TXT of {names}")
            return dkim
        sight = self.facts.sights.get(self.domain)
        if sight is None:
            self.looks = True
            self._wait(dkim, f"the TXT of {names} was not looked for")
            return dkim
        if not sight.seen:
            dkim = dkim._replace(until="")
            self._wait(dkim, f"publish the TXT of {names}: {sight.why}")
            return dkim
        if not dkim.until:
            dkim = dkim._replace(until=moment_text(math.ceil(self.facts.now + sight.wait)))
        if now < dkim.until:
            self._wait(dkim, f"the TXT of {selector} is out; resolvers may remember for {sight.wait} s that it was not")
            return dkim
        until = moment_text(self.facts.now + self.declared.retire_after)
        switched = Dkim(dkim.other, "retiring", dkim.keys, until)
        self._wait(switched, f"the TXT of {dkim.keys[0].selector} stays for messages under way")
        return switched

    def _wait(self, dkim: Dkim, reason: str) -> None:
        self.waiting = Waiting(self.domain, dkim.stage, dkim.until, reason)

    def _keep(self, keys: tuple[DkimKey, ...], is_needed: bool = True) -> None:
        """Keys that stay as they are. is_needed: they sign, or will; nothing waits for one that no longer does and is gone."""
        for key in keys:
            found = self.facts.keys.get(key.file)
            if found and found.key:
                self.keys[key.file] = found.key
            elif is_needed:
                self._fail_lost(key, found.problem if found else "is not there")

    def _keys(self, selector: str, there: tuple[DkimKey, ...]) -> tuple[DkimKey, ...]:
        """The keys of a selector as they are declared; `there` is what it has now."""
        kinds = self._kinds(selector, there)
        if there and len(there) != len(kinds) and self.declared.regenerate != "always":
            self._fail_other(selector, "one key" if len(there) == 1 else "an RSA and an Ed25519 key", "key_type")
            return there
        keys = (*there, *(self._new_key(selector, index) for index in range(len(there), len(kinds))))[: len(kinds)]
        for key, kind in zip(keys, kinds):
            self.keys[key.file] = self._key(key, kind, is_there=key in there)
        return keys

    def _kinds(self, selector: str, there: tuple[DkimKey, ...]) -> tuple[str, ...]:
        if self.declared.private_key:
            return (public_key_of(self.declared.private_key.encode()).key_type,)
        if self.declared.key_type:
            return _KINDS[self.declared.key_type]
        like = there or (self.there.keys if self.there else self._standing(selector))
        found = [self.facts.keys.get(key.file) for key in like]
        kinds = tuple(one.key.key_type for one in found if one and one.key)
        return kinds if kinds and len(kinds) == len(like) else ("rsa", "ed25519")[: max(1, len(like))]

    def _standing(self, selector: str) -> tuple[DkimKey, ...]:
        """What may stand there for a domain that does not sign yet, and is taken over as it is."""
        file = self._first_files(selector)[0]
        return (DkimKey(selector, file),) if self.files.get(file, self.domain) == self.domain else ()

    def _first_files(self, selector: str) -> tuple[str, ...]:
        """Where the first key of a domain may be, the best place first: a key that stands there belongs to its selector."""
        own = self.facts.keys.get(f"{self.domain}.{selector}")
        is_elsewhere = self._others_selector(selector) or (own and own.is_there)
        return (f"{self.domain}.{selector}",) if is_elsewhere else (self.domain, f"{self.domain}.{selector}")

    def _others_selector(self, selector: str) -> str:
        """The other selector that the files ``DOMAIN`` belong to, empty when there is none."""
        plain = self.facts.keys.get(self.domain)
        return plain.selector if plain and plain.selector != selector else ""

    def _check_standing(self, selector: str) -> None:
        """A domain that has left a key here is not to sign with another one by accident."""
        plain, own = self.facts.keys.get(self.domain), self.facts.keys.get(f"{self.domain}.{selector}")
        other = self._others_selector(selector)
        if other and plain and plain.ownership and not (own and own.is_there):
            remedy = f"Go on with it by selector: {other}, or move both files away"
            self.fail(f"ssl/{self.domain}.private is the key of selector {other}", "selector", remedy)

    def _new_key(self, selector: str, index: int) -> DkimKey:
        """A key with files that no other key has: ``DOMAIN``, if that is free, else ``DOMAIN.SELECTOR``."""
        name = selector + _SECOND_KEY * index
        option = "rotate.to" if self.declared.rotate_to else "selector"
        if len(name) > _LONGEST_SELECTOR:
            self.fail(f"{name} is longer than {_LONGEST_SELECTOR} characters, as a label of a name may be", option, _CHOOSE)
        if not index and not self.there:
            self._check_standing(selector)
        for file in (f"{self.domain}.{name}",) if index or self.there else self._first_files(selector):
            if self.files.get(file, self.domain) == self.domain:
                self.files[file] = self.domain
                return DkimKey(name, file)
        self.fail(f"the files {self.domain}.{name}.* belong to the domain {self.files[f'{self.domain}.{name}']}", option, _CHOOSE)
        return DkimKey(name, f"{self.domain}.{name}")

    def _key(self, key: DkimKey, kind: str, is_there: bool) -> PublicKey:
        found = self.facts.keys.get(key.file)
        there = found.key if found else None
        asked = self._asked(kind, there)
        if there is None and (is_there or (found and found.is_there)):
            return self._replacement(asked, key, lambda: self._fail_lost(key, found.problem if found else "is not there"))
        if there is None:
            if self.declared.regenerate == "fail" and not asked.public_key:
                self.fail(
                    f"{self.domain} has no key for selector {key.selector}", "regenerate", "Give one with private_key, or let it be made"
                )
            return self._made(key, asked)
        if (there.key_type, there.key_length) != (asked.key_type, asked.key_length):
            option = "key_length" if there.key_type == asked.key_type else "key_type"
            option = "private_key" if self.declared.private_key else option
            return self._replacement(asked, key, lambda: self._fail_other(key.selector, _described(there), option))
        if asked.public_key not in ("", there.public_key):
            return self._replacement(asked, key, lambda: self._fail_other(key.selector, "another private key", "private_key"))
        return there._replace(service_type=asked.service_type)

    def _asked(self, kind: str, there: PublicKey | None) -> PublicKey:
        service_type = self.declared.service_type or (there.service_type if there else DEFAULT_SERVICE_TYPE)
        if self.declared.private_key:
            return public_key_of(self.declared.private_key.encode(), service_type)
        if kind != "rsa":
            return PublicKey(kind, 256, service_type)
        length = self.declared.key_length or (there.key_length if there and there.key_type == kind else self._length_of_old_key())
        return PublicKey(kind, length, service_type)

    def _length_of_old_key(self) -> int:
        found = self.facts.keys.get(self.there.keys[0].file) if self.there else None
        return found.key.key_length if found and found.key and found.key.key_type == "rsa" else DEFAULT_KEY_LENGTH

    def _replacement(self, asked: PublicKey, key: DkimKey, complain: Callable[[], None]) -> PublicKey:
        """A key in the place of one that is lost or other than asked: only when the user says so."""
        found = self.facts.keys.get(key.file)
        restores = asked.public_key and not (found and found.key)
        if self.declared.regenerate != "always" and not restores:
            complain()
            return asked
        return self._made(key, asked)

    def _made(self, key: DkimKey, asked: PublicKey) -> PublicKey:
        made = self.made.get(key.file)
        if made and made.key._replace(public_key="") == asked._replace(public_key="") and asked.public_key in ("", made.key.public_key):
            return made.key
        self.to_make[key.file] = WantedKey(asked, self.declared.private_key, self.declared.where)
        return asked

    def _fail_lost(self, key: DkimKey, problem: str) -> None:
        message = f"the key of {self.domain} for selector {key.selector}, ssl/{key.file}.private, {problem}"
        signs = self.there is not None and key in self.there.keys
        waits = "Mail of the domain waits until it is back. " if signs else ""
        # The option holds one key, so it cannot stand for one of a pair.
        is_pair = self.there is not None and any(key in keys and len(keys) > 1 for keys in (self.there.keys, self.there.other))
        given = "" if is_pair else ", or give it with private_key"
        self.fail(message, "selector", f"{waits}Put it back{given}; or have a new one made with regenerate: always, and publish that")

    def _fail_other(self, selector: str, what: str, option: str) -> None:
        self.fail(
            f"selector {selector} of {self.domain} has {what}, and replacing it would break the mail that is under way",
            option,
            "Change to a new selector without an outage with rotate: {to: NEW}, or replace it at once with regenerate: always",
        )


def _described(key: PublicKey) -> str:
    return f"an RSA key of {key.key_length} bits" if key.key_type == "rsa" else "an Ed25519 key"


_CHOOSE = "Choose another selector"
