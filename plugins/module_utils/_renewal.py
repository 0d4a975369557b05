# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Installs what certbot has renewed: after orders of a run, and as the hook that certbot calls (role acme).

Only certificates of our own table are looked at. Each is one file for each server, replaced by one rename; Dovecot is asked whether it
would start with them, and reloaded once.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _audit_log
from ansible_collections.fleetpost.mail.plugins.module_utils._acme import ORDERING, trusted_environment
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_files import look_at_certificates
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_goals import usable_lineage
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_lines import certificates_there, note_failures
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Certificate, FoundCertificate
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import marked
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._install import install_for_dovecot, show_certificates
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._lock import host_lock
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import iso_text
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_layout import find_layout
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import RunBy, run_by
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import ownership_of

_DOVECOT_OWNERSHIP = Ownership(0, 0, 0o600)
_LOCK_SECONDS = 300.0
_HOOK = "mail-domain-certificates"


class _Fresh(NamedTuple):
    """A certificate that is to be installed: key and chain, and until when the old and the new one are valid."""

    name: str
    content: bytes
    ends: list[str | None]


def install_renewed(
    tree: Tree, layout: Layout, lock_timeout: float, failed: Mapping[str, str] = MappingProxyType({}), by: RunBy | None = None
) -> list[str]:
    """Gives both servers what certbot keeps and they do not show yet. Returns the names of these certificates. Raises MailError.

    failed: certificates whose order was tried just now -> the moment it failed, empty for those that were got. It is noted in the
    table, so that the next run begins with others. by: who ordered them; the hook when it is omitted.
    """
    with host_lock(tree, layout, lock_timeout):
        if failed:
            note_failures(tree, layout, failed)
        certificates = [one for one in certificates_there(tree, layout).values() if one.acme and not one.is_removing]
        found = look_at_certificates(tree, layout, [one.name for one in certificates], True)
        fresh = list(_fresh(certificates, found, time.time()))
        if fresh:
            # The table is readable by Exim's group, and so are Exim's copies.
            status = tree.lstat(layout.certificates)
            readers = ownership_of(status) if status else Ownership(0, 0, 0o640)
            files = [(layout.dovecot_certificate(one.name), one.content, _DOVECOT_OWNERSHIP) for one in fresh]
            install_for_dovecot(tree, layout, files)
            tree.write_files([(layout.exim_certificate(one.name), one.content, readers) for one in fresh])
        if fresh or (tree.is_host and tree.exists(layout.reload_marker)):
            show_certificates(tree, layout)
    entries = [
        {"domain": "", "action": "install certificate", "detail": one.name, "certificate": one.name, "changes": {"not_after": one.ends}}
        for one in fresh
    ]
    _audit_log.append(tree, layout, entries, by or run_by(_HOOK))
    return [one.name for one in fresh]


def _fresh(certificates: Collection[Certificate], found: Mapping[str, FoundCertificate], now: float) -> Iterator[_Fresh]:
    """Each certificate that a server does not have as certbot keeps it."""
    for certificate in certificates:
        there = found[certificate.name]
        lineage = usable_lineage(certificate, there, now)
        content = marked(certificate.name, lineage.content) if lineage else None
        if content and any(copy is None or copy.content != content for copy in (there.exim, there.dovecot)):
            old = next((copy.pair for copy in (there.exim, there.dovecot) if copy and copy.pair), None)
            ends = [iso_text(pair.not_after) if pair else None for pair in (old, lineage.pair if lineage else None)]
            yield _Fresh(certificate.name, content, ends)


def main(arguments: Sequence[str]) -> int:
    """The command ``mail-domain-certificates``: installs what certbot has renewed; with ``--prepare`` only sees to what certbot
    needs before that.
    """
    if os.environ.get(ORDERING):
        return 0
    tree = Tree()
    try:
        layout = find_layout(tree, "auto")
        if arguments[:1] == ["--prepare"]:
            trusted_environment(tree, layout, [one.acme for one in certificates_there(tree, layout).values() if one.acme])
        else:
            for name in install_renewed(tree, layout, _LOCK_SECONDS):
                sys.stdout.write(f"installed the certificate {name}\n")
    except MailError as error:
        sys.stderr.write(f"mail-domain-certificates: {error}\n")
        return 1
    return 0
