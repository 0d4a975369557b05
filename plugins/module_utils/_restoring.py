# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an archive says of a domain, and what a user says beside it -> what is declared. No IO.

Keys and certificates of the archive count as found, so that a domain goes on with them; the plan, which knows that they are not
there, writes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._archived import Settings
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import DeclaredSsl, FoundCertificate, FoundFile
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import pair_of
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_domains
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import Declaration, DeclaredDkim, DeclaredDomain
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import canonical_pem, key_of_record, public_key_of, record_in_zone_text
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Account,
    Domain,
    Facts,
    FoundKey,
    Host,
    MadeKey,
    Trees,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import Plan
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import files_of, private_files_of
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import PutBack

WHERE = "restore_from"
_TSIG_SECRET = re.compile(rb"^dns_rfc2136_secret = (\S+)$", re.MULTILINE)
_CERTIFICATE_BEGINS = b"-----BEGIN CERTIFICATE-----"


class Restoration(NamedTuple):
    """A domain that is brought back. source: the archive, or the directory with kept mail (is_kept). since: when it was removed.

    settings: None where kept mail has none beside it. tree: where the mail stands before it is moved to its place. is_placed: an
    earlier run has moved it. is_staged: `tree` is complete, and belongs to `owner` (not so kept mail, which is given away where it is
    moved). left_out: links in the archive that were not unpacked.
    """

    name: str
    source: str
    is_kept: bool
    since: str
    tree: str
    settings: Settings | None = None
    is_placed: bool = False
    is_staged: bool = False
    owner: Account | None = None
    left_out: Sequence[str] = ()

    def is_ready_for(self, owner: Account | None) -> bool:
        """Whether there is nothing to do any more before the lock is taken."""
        return self.is_placed or (self.is_staged and (self.is_kept or self.owner == owner))

    def is_over(self, host: Host) -> bool:
        """Whether the domain is back. Raises MailError when there is one of its name that is another one."""
        there = host.domains.get(self.name)
        if there is None:
            return False
        if there.removal:
            remedy = "Let any run without restore_from finish it, for example mail_domains with an empty list; then run this again"
            raise MailError(f"the removal of {self.name} is not finished", WHERE, remedy)
        if there.restored != self.since:
            remedy = "Remove that one first, or leave restore_from out"
            raise MailError(f"{self.name} exists on this host, and was not brought back from {self.source}", WHERE, remedy)
        return True

    @property
    def files(self) -> dict[str, bytes]:
        return dict(self.settings.files) if self.settings else {}

    @property
    def key_files(self) -> tuple[str, ...]:
        """The names of the DKIM key files that come back."""
        return files_of(self.settings.dkim) if self.settings else ()

    @property
    def keys(self) -> dict[str, MadeKey]:
        """The DKIM keys of the archive by file, as far as they can be used."""
        found = {}
        for file in private_files_of(self.settings.dkim if self.settings else None):
            try:
                private_key = canonical_pem(self.files[f"ssl/{file}.private"])
                key = public_key_of(private_key.encode())
            except (KeyError, ValueError):
                continue
            record = key_of_record(record_in_zone_text(self.files.get(f"ssl/{file}.txt", b"").decode("utf-8", "replace")))
            found[file] = MadeKey(key._replace(service_type=record.service_type) if record else key, private_key)
        return found


def declared_with(restoration: Restoration, given: Declaration) -> Declaration:
    """What is declared, with the domain of `given` as it was, as far as `given` says nothing else. Raises MailErrors."""
    (domain,) = given.domains
    restored = Domain(domain.name, restored=restoration.since)
    settings = restoration.settings
    if settings is None:
        return given._replace(domains=(domain._replace(base=restored),))
    archived = declaration_of_domains([settings.entry], {})
    if archived.errors or len(archived.domains) != 1:
        raise MailErrors([error_in(restoration, error) for error in archived.errors])
    declared = _over(_with_secrets(archived.domains[0], restoration), domain)
    if domain.dkim is None and settings.dkim:
        declared = declared._replace(dkim=DeclaredDkim(f"{WHERE} ", selector=settings.dkim.keys[0].selector))
    # A mailbox that had lost its login has none to come back with.
    mailboxes = tuple(one._replace(where=f"{WHERE} {one.where}") for one in archived.mailboxes if one.password_hash or one.forward_to)
    base = restored._replace(dkim=settings.dkim)
    return given._replace(domains=(declared._replace(base=base),), mailboxes=mailboxes)


def error_in(restoration: Restoration, error: MailError) -> MailError:
    """An error of what the archive holds, which says so."""
    return MailError(f"{restoration.source} cannot be brought back: {error}", WHERE)


def _over(archived: DeclaredDomain, given: DeclaredDomain) -> DeclaredDomain:
    """What is given wins, option by option."""
    said: dict[str, Any] = {name: value for name, value in given._asdict().items() if value is not None}
    if given.default_action is not None:
        said["forward_to"] = given.forward_to
    said["dkim"] = given.dkim
    said["filters"], said["lists"] = {**archived.filters, **given.filters}, {**archived.lists, **given.lists}
    return archived._replace(**said)


def _with_secrets(declared: DeclaredDomain, restoration: Restoration) -> DeclaredDomain:
    """The certificate with what no declaration holds: a key that was provided as text, and the key for dynamic updates."""
    if declared.ssl is None or declared.ssl.alias is None:
        return declared
    name, ssl = declared.ssl.alias, declared.ssl
    credentials = _TSIG_SECRET.search(restoration.files.get(f"acme/{name}.ini", b""))
    if credentials:
        ssl = ssl._replace(tsig_secret=credentials.group(1).decode("ascii", "replace"))
    return declared._replace(ssl=_with_pair(ssl, restoration.files.get(f"certs/{name}.pem", b"")))


def _with_pair(ssl: DeclaredSsl, content: bytes) -> DeclaredSsl:
    if ssl.changes.get("provider") != "provided" or "paths" in ssl.changes or _CERTIFICATE_BEGINS not in content:
        return ssl
    begin = content.index(_CERTIFICATE_BEGINS)
    return ssl._replace(private_key=content[:begin], chain=content[begin:])


def known(restoration: Restoration, facts: Facts, host: Host) -> Facts:
    """The facts with the keys and certificates of the archive as if they stood there. Raises MailError where others do."""
    others = {file for domain in host.domains.values() for file in files_of(domain.dkim)}
    keys = dict(facts.keys)
    for file, made in restoration.keys.items():
        there = facts.keys.get(file)
        is_another = there and there.is_there and not (there.key and there.key.public_key == made.key.public_key)
        if is_another or file in others:
            remedy = "Move both of its files away; the key of the archive then takes their place"
            raise MailError(f"ssl/{file}.private is there, and is another key than that of {restoration.source}", WHERE, remedy)
        keys[file] = FoundKey(made.key, text_fits=True)
    found = dict(facts.certifying.found)
    for name, certificate in found.items():
        content = restoration.files.get(f"certs/{name}.pem")
        if content and certificate.exim is None and certificate.dovecot is None:
            found[name] = _found(certificate, content)
    return facts._replace(keys=keys, certifying=facts.certifying._replace(found=MappingProxyType(found)))


def _found(there: FoundCertificate, content: bytes) -> FoundCertificate:
    try:
        return there._replace(exim=FoundFile(content, Ownership(0, 0, 0o600), pair_of(content)))
    except ValueError:
        return there


def without_placed(restoration: Restoration, trees: Trees, layout: Layout) -> Trees:
    """The trees found, of which those that an earlier run brought back are nobody else's."""
    top = layout.domain_tree(restoration.name)
    if restoration.is_placed:
        return trees._replace(occupied=frozenset(path for path in trees.occupied if path != top and not path.startswith(f"{top}/")))
    if top in trees.found:
        raise MailError(f"{top} is there already", WHERE, "Move it away, or remove it if it is empty")
    return trees


def completed(restoration: Restoration, plan: Plan, desired: Host, facts: Facts, layout: Layout) -> Plan:
    """The plan, which begins with putting the mail in its place."""
    owner = facts.users.get(desired.domains[restoration.name].owner)
    if restoration.is_placed or owner is None:
        return plan
    step = PutBack(restoration.name, restoration.tree, layout.domain_tree(restoration.name), owner, restoration.source)
    return plan._replace(steps=(step, *plan.steps))


def marker_of(restoration: Restoration, identity: Sequence[int], inode: int) -> dict[str, Any]:
    """What is written down of mail that is about to be put in its place, so that the next run knows it there."""
    return {"source": restoration.source, "identity": list(identity), "inode": inode, "owner": restoration.owner}


def fits(marker: Mapping[str, Any], restoration: Restoration, identity: Sequence[int]) -> bool:
    """Whether a marker is of this very archive or directory."""
    return marker.get("source") == restoration.source and marker.get("identity") == list(identity)
