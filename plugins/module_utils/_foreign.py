# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a reader finds on a host that others set up, and how it tells what it cannot take. No IO: files are read by what it is handed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import public_key_of
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import LARGEST_LIMIT
from ansible_collections.fleetpost.mail.plugins.module_utils._model import domain_of

T = TypeVar("T")

# A line of an Exim lsearch file: a key, which may stand in double quotes, a colon with spaces on either side or white space alone, and
# the value (Exim specification, section 9.3).
_PAIR = re.compile(r'(?:"([^"\\]*)"|([^\s:"]+))(?:[ \t]*:[ \t]*|[ \t]+|\Z)(.*)\Z')


class Remark(NamedTuple):
    """Something that was not taken over. where: file and line, or a file. message: a sentence, never with a secret in it."""

    where: str
    message: str


class Source(NamedTuple):
    """How a reader looks at the host. Paths are those of the host.

    read: the text of a file, None where there is none; raises MailError. exists: whether anything stands there. names: the entries of a
    directory, sorted; none where there is none. user: the name of a uid, None for one that has none.
    """

    read: Callable[[str], str | None]
    exists: Callable[[str], bool]
    names: Callable[[str], list[str]]
    user: Callable[[int], str | None]


@dataclass
class FoundAddress:
    """An address: a mailbox if it has a hash, and otherwise one that forwards to `targets`. home: where its mail is."""

    where: str
    password_hash: str = ""
    targets: list[str] = field(default_factory=list)
    keep_copy: bool = True
    quota: str = ""
    enabled: bool = True
    outgoing_limit: int = 0
    home: str = ""


@dataclass
class FoundDomain:
    """A mail domain. options: those of mail_domains that are not as usual."""

    where: str
    options: dict[str, Any] = field(default_factory=dict)


class Findings:
    """What was found so far. Every name in it is in its stored form."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.domains: dict[str, FoundDomain] = {}
        self.addresses: dict[str, FoundAddress] = {}
        self.broken: list[Remark] = []
        self.not_translated: list[Remark] = []
        self.left_out: set[str] = set()
        """Mailboxes without a password that can be taken over: none becomes an address that only forwards, and so loses mail."""

    def breaks(self, where: str, message: str) -> None:
        """Notes a line or value that cannot be read."""
        self.broken.append(Remark(where, message))

    def loses(self, where: str, message: str) -> None:
        """Notes what can be read and has no counterpart."""
        self.not_translated.append(Remark(where, message))

    def convert(self, grammar: Callable[[str], T], text: str, where: str) -> T | None:
        """The stored form of a text; None for what the grammar refuses, which is noted."""
        try:
            return grammar(text)
        except ValueError as error:
            self.breaks(where, str(error))
            return None

    def text(self, path: str) -> str | None:
        """The text of a file; None where there is none, and for one that cannot be read, which is noted."""
        try:
            return self.source.read(path)
        except MailError as error:
            self.breaks(error.where or path, error.message)
            return None

    def exists(self, path: str) -> bool:
        """Whether anything stands at a path; what cannot be looked at is noted."""
        try:
            return self.source.exists(path)
        except MailError as error:
            self.breaks(error.where or path, error.message)
            return False

    def add_domain(self, text: str, where: str) -> str | None:
        """Begins a domain; None for a name that is none, or that was there before."""
        name = self.convert(_names.domain_name, text, where)
        if name and name in self.domains:
            self.breaks(where, f"{name} was there before, at {self.domains[name].where}: this one is left out")
            return None
        if name:
            self.domains[name] = FoundDomain(where)
        return name

    def add_address(self, address: str, found: FoundAddress) -> bool:
        """Adds an address whose name is in its stored form; False for one of no domain here, or that was there before."""
        if domain_of(address) not in self.domains:
            self.breaks(found.where, f"{domain_of(address)} is none of the domains that were taken over, so {address} is left out")
        elif address in self.addresses:
            self.breaks(found.where, f"{address} was there before, at {self.addresses[address].where}: this one is left out")
        else:
            self.addresses[address] = found
            return True
        return False

    def targets(self, texts: Iterable[str], where: str) -> list[str]:
        """The addresses of a list that mail can be forwarded to, each once. Pipes, files and the like are noted."""
        found = (self.convert(_names.forward_address, text.strip(), where) for text in texts if text.strip())
        return list(dict.fromkeys(target for target in found if target))

    def unknown_mail(self, name: str, target: str, where: str) -> None:
        """What becomes of mail to addresses of a domain that do not exist, as Exim's redirect router reads it (chapter 22)."""
        options = self.domains[name].options
        if target == ":blackhole:":
            options["default_action"] = "discard"
        elif target.startswith("@"):
            other = self.convert(_names.domain_name, target[1:], where)
            if other:
                options.update(default_action="forward_to_domain", forward_to=other)
        elif target not in ("", ":fail:"):
            found = self.targets(target.split(","), where)
            if found:
                options.update(default_action="forward_to_address", forward_to=found[0])
            for more in found[1:]:
                self.loses(where, f"{name} sends mail for unknown addresses to {more} as well; here it goes to one address")

    def limit(self, found: FoundAddress, text: str, where: str) -> None:
        """How many messages an hour a mailbox may send."""
        number = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0
        if 0 < number <= LARGEST_LIMIT:
            found.outgoing_limit = number
        elif text:
            self.loses(where, f"{_names.printable(text)} is no number of messages an hour that can be set here")

    def dkim(self, name: str, selector: str, path: str) -> None:
        """The key that a domain signs with, under its selector. A key that is no key is noted, and nothing of it told."""
        pem = self.text(path)
        if pem is None:
            self.loses(path, f"{name} signs its mail, and its key is not there: declare dkim for it")
            return
        try:
            key = public_key_of(pem.encode("utf-8", "replace"))
        except ValueError as error:
            self.breaks(path, f"the DKIM key of {name} cannot be used: {error}")
            return
        options: dict[str, Any] = {"selector": selector, "private_key": pem}
        if key.key_type != "rsa":
            options["key_type"] = key.key_type
        elif key.key_length != 2048:
            options["key_length"] = key.key_length
        self.domains[name].options["dkim"] = options


def pairs(findings: Findings, path: str) -> Iterator[tuple[str, str, str]]:
    """Place, key in lower case and value of each line of an lsearch file that Exim would find. The rest is noted.

    Exim takes the first of two lines with one key, and joins a line that begins with white space to the one above.
    """
    seen: dict[str, str] = {}
    for number, line in _joined_lines(findings.text(path) or ""):
        where = f"{path}:{number}"
        found = _PAIR.match(line)
        if not found:
            findings.breaks(where, "this line is not KEY: VALUE")
            continue
        key = (found.group(1) or found.group(2) or "").lower()
        if key in seen:
            findings.breaks(where, f"Exim never reads this line: one with the same key stands at {seen[key]}")
            continue
        seen[key] = where
        yield where, key, found.group(3).strip()


def _joined_lines(text: str) -> Iterator[tuple[int, str]]:
    joined: list[tuple[int, str]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if line[0] in " \t" and joined:
            joined[-1] = (joined[-1][0], f"{joined[-1][1].rstrip()} {line.strip()}")
        else:
            joined.append((number, line.rstrip("\r")))
    yield from joined
