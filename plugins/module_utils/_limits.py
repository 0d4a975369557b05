# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The owners of a host, and what they may have: held against the end state of a run. No IO.

Who is above a limit already, because it was lowered, keeps what is there and gets nothing new.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Domain, Facts, Host, Mailbox, domain_of
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import DeclaredOwner, Owner, allows_ip, bytes_of
from ansible_collections.fleetpost.mail.plugins.module_utils._validate import Found, check_account

Places = Mapping[str, str]
"""Domain or address -> the option path of its entry, with a dot, for what a run declares."""


def merged_owners(there: Mapping[str, Owner], declared: Iterable[DeclaredOwner]) -> dict[str, Owner]:
    """The owners after a run that declares some of them."""
    owners = dict(there)
    for one in declared:
        if one.state == "absent":
            owners.pop(one.name, None)
            continue
        current = owners.get(one.name, Owner(one.name))
        merged = current._replace(**one.changes)
        owners[one.name] = current if merged == current and one.name in owners else merged
    return owners


def check_owners(before: Host, after: Host, declared: Sequence[DeclaredOwner], facts: Facts) -> Found:
    """Whether the declared owners can be what they are to be."""
    errors: list[MailError] = []
    warnings: list[str] = []
    with_domains = {domain.owner for domain in after.domains.values()} if any(one.state == "absent" for one in declared) else set()
    for one in declared:
        if one.state == "absent":
            errors.extend(_left_behind(one, with_domains, after))
            continue
        if one.name not in before.owners:
            found = check_account(one.name, f"{one.where}name", facts)
            errors.extend(found.errors)
            warnings.extend(found.warnings)
        reseller = after.owners[one.name].reseller
        if reseller == one.name or (reseller in after.owners and after.owners[reseller].reseller):
            why = "an owner is not its own reseller" if reseller == one.name else f"{reseller} has a reseller itself"
            errors.append(MailError(why, f"{one.where}reseller", "Resellers stand directly below the administrator"))
        elif reseller and any(other.reseller == one.name for other in after.owners.values()):
            errors.append(
                MailError(f"{one.name} is a reseller itself", f"{one.where}reseller", "Resellers stand directly below the administrator")
            )
    return Found(tuple(errors), tuple(warnings))


def _left_behind(declared: DeclaredOwner, with_domains: set[str], after: Host) -> Iterator[MailError]:
    if declared.name in with_domains:
        yield MailError(
            f"{declared.name} still owns mail domains, which would have no limits any more",
            f"{declared.where}name",
            "Remove them or give them to another owner first",
        )
    users = sorted(name for name, owner in after.owners.items() if owner.reseller == declared.name)
    if users:
        yield MailError(
            f"{declared.name} is the reseller of {', '.join(users[:3])}", f"{declared.where}name", "Give them another one first"
        )


class _Having(NamedTuple):
    """What an owner has in the end. new: what it did not have before, in the order of the end state."""

    domains: list[Domain]
    new_domains: list[Domain]
    mailboxes: list[Mailbox]
    new_mailboxes: list[Mailbox]


def check_limits(before: Host, after: Host, places: Places) -> Iterator[MailError]:
    """An error for each domain and mailbox that is too many, too large, or has what its owner may not have."""
    limited = {name: owner for name, owner in after.owners.items() if owner != Owner(name)}
    if not limited or (before.owners == after.owners and not _anything_changes(before, after)):
        return
    for name, having in _by_owner(before, after, limited).items():
        owner = limited[name]
        yield from _too_many(owner.max_domains, having.domains, having.new_domains, owner, places)
        yield from _too_many(owner.max_mailboxes, having.mailboxes, having.new_mailboxes, owner, places)
        yield from _too_large(owner, before, having.mailboxes, places)
        yield from _too_much(owner, before, after, having.mailboxes, places)
        for domain in having.domains:
            yield from _not_allowed(owner, before.domains.get(domain.name), domain, places)


def _anything_changes(before: Host, after: Host) -> bool:
    return any(before.domains.get(name) is not one for name, one in after.domains.items()) or any(
        before.addresses.get(name) is not one for name, one in after.addresses.items()
    )


def _by_owner(before: Host, after: Host, limited: Mapping[str, Owner]) -> dict[str, _Having]:
    found: defaultdict[str, _Having] = defaultdict(lambda: _Having([], [], [], []))
    for domain in after.domains.values():
        if domain.owner in limited:
            found[domain.owner].domains.append(domain)
            if not _had_domain(before, domain):
                found[domain.owner].new_domains.append(domain)
    for address in after.addresses.values():
        owned = after.domains.get(domain_of(address.address))
        if isinstance(address, Mailbox) and owned and owned.owner in limited:
            found[owned.owner].mailboxes.append(address)
            if not (isinstance(before.addresses.get(address.address), Mailbox) and _had_domain(before, owned)):
                found[owned.owner].new_mailboxes.append(address)
    return found


def _had_domain(before: Host, domain: Domain) -> bool:
    there = before.domains.get(domain.name)
    return there is not None and there.owner == domain.owner


def _too_many(
    limit: int | None, having: Sequence[Domain | Mailbox], new: Sequence[Domain | Mailbox], owner: Owner, places: Places
) -> Iterator[MailError]:
    if limit is None or len(having) <= limit:
        return
    for one in new[-(len(having) - limit) :] if new else ():
        name, what = (one.name, "mail domains") if isinstance(one, Domain) else (one.address, "mailboxes")
        yield MailError(
            f"{owner.name} may have {limit} {what} and would have {len(having)}, of which {name} is too many",
            _place(places, name, "name"),
            "Remove others, or let the administrator raise the limit",
        )


def _place(places: Places, name: str, option: str) -> str:
    """The option path of a declared entry; else the name itself, as somebody else's entry makes it so."""
    if name not in places:
        return name
    # The module mailbox calls the name of its one mailbox the address.
    return f"{places[name]}{option}" if option != "name" or places[name] or "@" not in name else "address"


def _quota_before(before: Host, address: str) -> int | None:
    """The bytes of a mailbox' quota before the run, 0 for no limit; None when there was no such mailbox."""
    there = before.addresses.get(address)
    return bytes_of(there.quota) if isinstance(there, Mailbox) else None


def _grows(before: Host, mailbox: Mailbox) -> bool:
    """Whether a run gives a mailbox more room than it had."""
    there, now = _quota_before(before, mailbox.address), bytes_of(mailbox.quota)
    return there is None or (there != 0 and (now == 0 or now > there))


def _too_large(owner: Owner, before: Host, mailboxes: Iterable[Mailbox], places: Places) -> Iterator[MailError]:
    limit = bytes_of(owner.max_mailbox_quota)
    if not limit:
        return
    for mailbox in mailboxes:
        if (not mailbox.quota or bytes_of(mailbox.quota) > limit) and _grows(before, mailbox):
            yield MailError(
                f"{mailbox.address} would have {mailbox.quota or 'no quota'}, and a mailbox of {owner.name} may have "
                f"{owner.max_mailbox_quota}",
                _place(places, mailbox.address, "quota"),
                f"Give it a quota of at most {owner.max_mailbox_quota}",
            )


def _too_much(owner: Owner, before: Host, after: Host, mailboxes: Sequence[Mailbox], places: Places) -> Iterator[MailError]:
    """The quotas of all mailboxes may not be more than `total_quota`: then Dovecot, which holds each of them, holds their sum."""
    limit = bytes_of(owner.total_quota)
    if not limit:
        return
    growing = [one for one in mailboxes if _grows(before, one) or not _had_domain(before, after.domains[domain_of(one.address)])]
    for mailbox in growing:
        if not mailbox.quota:
            yield MailError(
                f"{mailbox.address} would have no quota, and all mailboxes of {owner.name} together may have {owner.total_quota}",
                _place(places, mailbox.address, "quota"),
                "Give it a quota",
            )
    total = sum(bytes_of(one.quota) for one in mailboxes)
    if total > limit and growing:
        last = growing[-1].address
        yield MailError(
            f"the mailboxes of {owner.name} would have {total / 2**30:.1f}G together, and may have {owner.total_quota}",
            _place(places, last, "quota"),
            "Make quotas smaller, or let the administrator raise the limit",
        )


def _not_allowed(owner: Owner, there: Domain | None, domain: Domain, places: Places) -> Iterator[MailError]:
    """What a domain newly has and its owner may not have."""
    same = there if there and there.owner == domain.owner else None
    if domain.certificate and not owner.ssl_allowed and (same is None or same.certificate != domain.certificate):
        yield MailError(f"the domains of {owner.name} may not have certificates of their own", _place(places, domain.name, "ssl"))
    for address in domain.ip_addresses:
        if not allows_ip(owner, address) and (same is None or address not in same.ip_addresses):
            yield MailError(f"{owner.name} may not send from {address}", _place(places, domain.name, "ip_addresses"))
