# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of the end state of a host: owners, addresses, names, and targets of forwards."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._declared import DeclaredDomain
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DEFAULT_OWNER,
    Address,
    Alias,
    Domain,
    Facts,
    Forward,
    Host,
    Mailbox,
    domain_of,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._names import is_reserved

LOWEST_OWNER_UID = 100
_NOBODY_UIDS = (65534, 65535)

# System accounts of servers, whatever their uid: mail that belonged to one could be read by that server.
_DAEMONS = frozenset(
    [
        "Debian-exim",
        "_apt",
        "_chrony",
        "apache",
        "bin",
        "bind",
        "chrony",
        "clamav",
        "clamd",
        "daemon",
        "dbus",
        "debian-spamd",
        "dovecot",
        "dovenull",
        "exim",
        "mail",
        "messagebus",
        "mysql",
        "named",
        "nginx",
        "nobody",
        "nslcd",
        "ntp",
        "opendkim",
        "polkitd",
        "postfix",
        "postgres",
        "redis",
        "root",
        "rpc",
        "rspamd",
        "spamd",
        "sshd",
        "sssd",
        "statd",
        "sys",
        "syslog",
        "systemd-coredump",
        "systemd-journal",
        "systemd-network",
        "systemd-resolve",
        "systemd-timesync",
        "tss",
        "unbound",
        "uuidd",
        "www-data",
    ]
)


class Found(NamedTuple):
    """What a check found: errors stop the run, warnings are shown."""

    errors: tuple[MailError, ...] = ()
    warnings: tuple[str, ...] = ()


_NOTHING = Found()


def lacking(facts: Facts, message: str, where: str, remedy: str) -> Found:
    """Something that the host lacks: an error, and in check mode, where a role may be about to bring it, a warning.

    The warning says no place, so that it is shown once for all domains.
    """
    if facts.strict:
        return Found((MailError(message, where.rstrip("."), remedy),))
    return Found(warnings=(f"{message}. {remedy}",))


def check_exim(facts: Facts, wanted: int, older: str, where: str) -> Found:
    """Whether the host's Exim configuration is of the format `wanted` at least; `older` says what one is that is not."""
    if facts.exim_format is None or facts.exim_format >= wanted:
        return _NOTHING
    return lacking(facts, f"the Exim configuration of this host {older}", where, "Run the role fleetpost.mail.exim first")


def check_declared_domain(current: Domain | None, merged: Domain, declared: DeclaredDomain, facts: Facts) -> Found:
    """The name, the owner when it is new, and the sending addresses when they are declared."""
    errors: list[MailError] = []
    warnings: list[str] = []
    if merged.name in facts.host_names:
        errors.append(MailError(f"{merged.name} is the host's own name, so it cannot be a mail domain", f"{declared.where}name"))
    elif is_reserved(merged.name):
        errors.append(MailError(f"{merged.name} is a reserved name, so it cannot be a mail domain", f"{declared.where}name"))
    if current is None or merged.owner != current.owner:
        found = check_account(merged.owner, f"{declared.where}owner", facts)
        errors.extend(found.errors)
        warnings.extend(found.warnings)
    if declared.ip_addresses:
        _check_ip_addresses(declared, facts, errors, warnings)
    return Found(tuple(errors), tuple(warnings)) if errors or warnings else _NOTHING


def check_account(name: str, where: str, facts: Facts) -> Found:
    """Whether mail can belong to a system user; in check mode one that is not there is a warning."""
    account = facts.users.get(name)
    if account is None:
        message = f"{name} is no system user of this host"
        is_ours = name == DEFAULT_OWNER
        remedy = "Run the role fleetpost.mail.dovecot, which makes it" if is_ours else "Create the user first"
        if facts.strict:
            return Found((MailError(message, where, remedy),))
        return Found(warnings=(f"{where}: {message} yet. {remedy}",))
    if account.uid < LOWEST_OWNER_UID or account.uid in _NOBODY_UIDS or name in _DAEMONS:
        what = "root" if account.uid == 0 else f"a system account (uid {account.uid})"
        return Found((MailError(f"{name} is {what}, which cannot own mail", where, "Choose the customer's user"),))
    return _NOTHING


def _check_ip_addresses(declared: DeclaredDomain, facts: Facts, errors: list[MailError], warnings: list[str]) -> None:
    if facts.ip_addresses is None:
        return
    for index, address in enumerate(declared.ip_addresses or ()):
        if address in facts.ip_addresses:
            continue
        where = f"{declared.where}ip_addresses[{index}]"
        message = f"{address} is not an address of this host, its mail would never leave"
        if facts.strict:
            errors.append(MailError(message, where, "Configure the address on the host first"))
        else:
            warnings.append(f"{where}: {message}")


def check_targets(before: Host, after: Host, where: Mapping[str, str]) -> Found:
    """Every forward and alias of the end state must have its target, none may go in a circle.

    What was as wrong before the run and is not declared in it is a warning: it must not stop the others.
    """
    missing = list(_missing_targets(before, after))
    wrong_before = {name for name, _option, _why in _missing_targets(before, before)} if missing else set()
    errors: list[MailError] = []
    warnings: list[str] = []
    for name, option, why in missing:
        if name in where:
            errors.append(MailError(f"{name} {why}", f"{where[name]}{option}"))
        elif name in wrong_before:
            warnings.append(f"{name} {why}")
        else:
            errors.append(MailError(why, name))
    circles = list(_circles(after))
    old_circles = list(_circles(before)) if circles else []
    for circle in circles:
        message = f"mail would go in a circle: {' -> '.join(circle)}"
        place = next((f"{where[name]}forward_to" for name in circle if name in where), "")
        if not place and set(circle) in map(set, old_circles):
            warnings.append(f"{circle[0]} goes in a circle: {' -> '.join(circle)}")
        else:
            errors.append(MailError(message, place or circle[0]))
    return Found(tuple(errors), tuple(warnings))


def _missing_targets(before: Host, after: Host) -> Iterator[tuple[str, str, str]]:
    for domain in after.domains.values():
        if domain.forward_to:
            why = _domain_target(before, after, domain)
            if why:
                yield domain.name, "forward_to", why
    for address in after.addresses.values():
        for target in _targets(address):
            why = _address_target(before, after, address.address, target)
            if why:
                yield address.address, "" if isinstance(address, Alias) else "forward_to", why


def _targets(address: Address) -> tuple[str, ...]:
    if isinstance(address, Mailbox):
        return address.forward_to
    return (address.to,) if isinstance(address, Alias) else address.to


def _domain_target(before: Host, after: Host, domain: Domain) -> str:
    target = domain.forward_to
    if "@" in target:
        return _address_target(before, after, domain.name, target)
    if target == domain.name:
        return "forwards to itself"
    if target in after.domains:
        return ""
    return f"forwards to {target}, which {_lacking(target in before.domains, 'mail domain')}"


def _address_target(before: Host, after: Host, name: str, target: str) -> str:
    target = without_plus(target)
    if domain_of(target) not in after.domains:
        if domain_of(target) in before.domains:
            return f"forwards to {target}, whose domain is removed in this run"
        return ""
    if target == name:
        return "forwards to itself"
    if target in after.addresses:
        return ""
    return f"forwards to {target}, which {_lacking(target in before.addresses, 'address')}"


def _lacking(was_there: bool, what: str) -> str:
    return "is removed in this run" if was_there else f"is no {what} of this host"


def without_plus(address: str) -> str:
    """The address that mail to `address` belongs to, if that is one of this host."""
    local, _at, domain = address.rpartition("@")
    return f"{local.partition('+')[0].lower()}@{domain}"


def _circles(after: Host) -> Iterator[list[str]]:
    """Circles of addresses that keep no copy, so that no mailbox would ever hold the mail; first and last are the same."""
    settled: set[str] = set()
    for start, address in after.addresses.items():
        if start in settled or not _only_forwards(address):
            continue
        path = [start]
        following = _next(after, start)
        while following and following not in settled and following not in path:
            path.append(following)
            following = _next(after, following)
        # One that forwards to itself is told as such.
        if following in path and following is not None and following != path[-1]:
            yield [*path[path.index(following) :], following]
        settled.update(path)


def _only_forwards(address: Address) -> bool:
    return isinstance(address, Forward) or (isinstance(address, Mailbox) and bool(address.forward_to) and not address.keep_copy)


def _next(after: Host, name: str) -> str | None:
    """The one local address that `name` hands all its mail to, if there is one."""
    address = after.addresses.get(name)
    if address is None or not (_only_forwards(address) or isinstance(address, Alias)):
        return None
    targets = _targets(address)
    if len(targets) != 1:
        return None
    target = without_plus(targets[0])
    return target if target in after.addresses else None
