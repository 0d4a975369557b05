# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a mail host its DNS records tell: its name and addresses, its domains, and their DKIM keys."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _names, _observe, _servers
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import key_of_record, record_in_zone_text
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import MailHost, dkim_keys
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._lock import host_lock
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Domain, PublicKey
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_layout import find_layout
from ansible_collections.fleetpost.mail.plugins.module_utils._rights import rights_of

_NAME = re.compile(r"^primary_hostname\s*=\s*(\S+)", re.MULTILINE)
_ADDRESSES = re.compile(r"^MD_HOSTIPS\s*=[ \t]*(.*)$", re.MULTILINE)


class Given(NamedTuple):
    """What the options say about the mail host in place of what is found."""

    name: str = ""
    addresses: tuple[str, ...] = ()


class View(NamedTuple):
    """What was read. problems: domain -> what keeps its records from being known."""

    domains: Mapping[str, Domain]
    host: MailHost
    keys: Mapping[str, PublicKey]
    problems: Mapping[str, list[str]]


def read_view(
    root: str, layout_name: str, lock_timeout: float, acting_as: str, names: Collection[str] | None, given: Given, kinds: Collection[str]
) -> View:
    """The domains `names` of a host, None for all of them, and what their records need, as far as the user in whose name it acts may
    see them. Raises MailError.
    """
    tree = Tree(root)
    layout = find_layout(tree, layout_name)
    with host_lock(tree, layout, lock_timeout, shared=True):
        host = _observe.read_host(_observe.read_tables(tree, layout), layout)
        rights = rights_of(acting_as, host)
        chosen = {
            name: domain
            for name, domain in sorted(host.domains.items())
            if rights.see(domain) and (domain.removal is None if names is None else name in names)
        }
        keys, problems = read_records(tree, layout, chosen.values()) if "dkim" in kinds else ({}, {})
        # A host without domains may have no server yet.
        mail_host = read_mail_host(tree, layout, given, kinds) if chosen else MailHost("")
    return View(chosen, mail_host, keys, problems)


def read_mail_host(tree: Tree, layout: Layout, given: Given, kinds: Collection[str]) -> MailHost:
    """The host as its Exim configuration has it. Raises MailError for what that does not tell and no option says."""
    configuration = (tree.read(layout.exim_conf) or b"").decode("utf-8", "replace")
    found = _NAME.search(configuration)
    name = given.name or (found.group(1).lower().rstrip(".") if found else "")
    if not name:
        remedy = "Run the role fleetpost.mail.exim first, or say the name in mail_host"
        raise MailError("the name of the mail host is not known: there is no primary_hostname", layout.exim_conf, remedy)
    addresses: tuple[str, ...] = ()
    if {"a", "aaaa"}.intersection(kinds):
        addresses = given.addresses or _own_addresses(tree, configuration)
        if not addresses:
            raise MailError("the addresses of the mail host are not known", "mail_host_addresses", "Say them")
    certificate = b""
    if "tlsa" in kinds:
        path = f"{layout.ssl_dir}/{name}.pem"
        certificate = tree.read(path) or b""
        if not certificate:
            raise MailError("there is no certificate to make a TLSA record of", path, "Run the role fleetpost.mail.exim first")
    return MailHost(name, addresses, certificate)


def _own_addresses(tree: Tree, configuration: str) -> tuple[str, ...]:
    """The addresses that the role was told that mail leaves from, or else those of the running host that others can reach."""
    found = _ADDRESSES.search(configuration)
    told = [word for word in re.split(r"[,;\s]+", found.group(1)) if _is_address(word)] if found else []
    if told:
        return tuple(_names.ip_address(word) for word in told)
    if not tree.is_host:
        return ()
    own = (ipaddress.ip_address(address) for address in _servers.host_addresses())
    return tuple(str(one) for one in sorted(own, key=lambda one: (one.version, one)) if not (one.is_loopback or one.is_link_local))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def read_records(tree: Tree, layout: Layout, domains: Iterable[Domain]) -> tuple[dict[str, PublicKey], dict[str, list[str]]]:
    """The keys in the ``.txt`` files of domains, and domain -> what is wrong with them."""
    keys: dict[str, PublicKey] = {}
    problems: dict[str, list[str]] = {}
    for domain in domains:
        needed = dkim_keys(domain)
        for key in dkim_keys(domain, with_retired=True):
            path = layout.key_record(key.file)
            found = key_of_record(record_in_zone_text((tree.read(path) or b"").decode("utf-8", "replace")))
            if found is not None:
                keys[key.file] = found
            elif key in needed:
                problems.setdefault(domain.name, []).append(f"the DKIM record of selector {key.selector} is not in {path}")
    return keys, problems
