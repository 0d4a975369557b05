# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DKIM keys that are and that shall be -> the steps for their files.

A key is written before the ``domains`` line that names it, and removed after the line that named it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import zone_text
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Dkim, DkimKey, Facts, FoundKey, Host, MadeKey, PublicKey
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import files_of, private_files_of
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import RemoveKey, SetOwnership, WriteKey
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import Removing

_PRIVATE_MODE = 0o600
_RECORD_OWNERSHIP = Ownership(0, 0, 0o644)
_ABSENT = FoundKey(None)


def key_steps(layout: Layout, desired: Host, facts: Facts, made: Mapping[str, MadeKey]) -> Iterator[WriteKey | SetOwnership]:
    """What makes the files of all keys that were looked at as they shall be."""
    if not facts.keys:
        return
    private = Ownership(facts.exim_uid or 0, facts.exim_gid or 0, _PRIVATE_MODE)
    for domain in desired.domains.values():
        for key in _all_keys(domain.dkim):
            if key.file not in facts.keys and key.file not in desired.keys:
                continue
            found = facts.keys.get(key.file, _ABSENT)
            wanted = desired.keys.get(key.file, found.key)
            if wanted is not None:
                yield from _writes(layout, domain.name, key, wanted, found, made.get(key.file), private)
                yield from _ownerships(layout, domain.name, key, wanted, found, facts, private)


def _all_keys(dkim: Dkim | None) -> tuple[DkimKey, ...]:
    return dkim.keys + dkim.other if dkim else ()


def _writes(
    layout: Layout, domain: str, key: DkimKey, wanted: PublicKey, found: FoundKey, made: MadeKey | None, private: Ownership
) -> Iterator[WriteKey]:
    is_new = found.key is None or found.key.public_key != wanted.public_key
    if is_new:
        content = made.private_key if made else None
        yield WriteKey(domain, layout.private_key(key.file), content, private, True, f"private key, {described(wanted)}")
    if is_new or wanted != found.key or not found.text_fits or found.selector not in ("", key.selector):
        content = zone_text(key.selector, domain, wanted) if wanted.public_key else None
        shown = f"TXT record of {key.selector}._domainkey.{domain}, {described(wanted)}, service type {wanted.service_type}"
        yield WriteKey(domain, layout.key_record(key.file), content, _RECORD_OWNERSHIP, False, shown)


def _ownerships(
    layout: Layout, domain: str, key: DkimKey, wanted: PublicKey, found: FoundKey, facts: Facts, private: Ownership
) -> Iterator[SetOwnership]:
    if found.key is None or found.key.public_key != wanted.public_key or facts.exim_uid is None:
        return
    if found.ownership is not None and found.ownership != facts.attainable(private, found.ownership):
        yield SetOwnership(layout.private_key(key.file), private, domain)
    there = found.text_ownership
    if found.text_fits and found.key == wanted and there is not None and there != facts.attainable(_RECORD_OWNERSHIP, there):
        yield SetOwnership(layout.key_record(key.file), _RECORD_OWNERSHIP, domain)


def described(key: PublicKey) -> str:
    return f"RSA {key.key_length} bits" if key.key_type == "rsa" else "Ed25519"


def key_removals(layout: Layout, present: Host, desired: Host, facts: Facts, removing: Removing) -> list[RemoveKey]:
    """The files of keys that no line names any more. Those of a removed domain go when its mail is deleted, or stay beside it."""
    found = list(_files_over(present, desired, facts, removing))
    if not found:
        return []
    # Somebody may have named one key in the lines of several domains.
    private = {file for domain in desired.domains.values() for file in private_files_of(domain.dkim)}
    records = {file for domain in desired.domains.values() for file in files_of(domain.dkim)}
    steps = [RemoveKey(name, layout.private_key(file)) for name, file, is_private in found if is_private and file not in private]
    return steps + [RemoveKey(name, layout.key_record(file)) for name, file, _is_private in found if file not in records]


def _files_over(present: Host, desired: Host, facts: Facts, removing: Removing) -> Iterator[tuple[str, str, bool]]:
    """Domain, key file, and whether a private key may be there, of all keys that are over for their domain."""
    for name, there in present.domains.items():
        if there.dkim is None:
            continue
        wanted = desired.domains.get(name)
        if wanted is None:
            if removing.is_over(name) and there.removal and there.removal.removed_mail == "delete":
                yield from ((name, file, True) for file in files_of(there.dkim))
        elif wanted.dkim != there.dkim:
            yield from ((name, file, file in private_files_of(there.dkim)) for file in files_of(there.dkim))
        elif there.dkim.stage == "retired":
            # What a run left that died after its line was written.
            yield from ((name, key.file, True) for key in there.dkim.other if facts.keys.get(key.file, _ABSENT).ownership)
