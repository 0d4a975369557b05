# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan must know of a host's certificates, as far as a run is about them. Changes nothing."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Sequence

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_files import (
    look_at_certificates,
    opened,
    trust_bundle,
    users_file,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import CertificateFacts, Provided
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import subjects_of
from ansible_collections.fleetpost.mail.plugins.module_utils._certifying import certificates_to_look_at
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import DeclaredDomain
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Host,
)

_HOST_CERTIFICATE = re.compile(r"^MD_CERTIFICATE\s*=\s*\S*/(\S+)\.pem\s*$", re.MULTILINE)
_CERTBOT = ("/usr/bin/certbot", "/usr/local/bin/certbot", "/snap/bin/certbot")


def gather_certificate_facts(
    tree: Tree, layout: Layout, there: Host, declared: Sequence[DeclaredDomain], every: bool = False, further: Iterable[str] = ()
) -> CertificateFacts:
    """What a plan must know of certificates. every: look at all of them, and not only at what is declared or missing.

    further: the names of others to look at.
    """
    configuration = (tree.read(layout.exim_conf) or b"").decode("utf-8", "replace")
    host = _HOST_CERTIFICATE.search(configuration)
    host_name = host.group(1) if host else ""
    files = _certificate_files(tree, layout)
    some = itertools.chain(certificates_to_look_at(there, declared, host_name, files), further)
    names = list(dict.fromkeys(there.certificates if every else some))
    present = [there.certificates[name] for name in names if name in there.certificates]
    ssl = [domain.ssl for domain in declared if domain.ssl]
    has_acme = any(one.changes.get("provider") == "acme" for one in ssl) or any(one.provider == "acme" for one in present)
    paths = {one.paths for one in present if any(one.paths)} | {one.changes["paths"] for one in ssl if "paths" in one.changes}
    provides = paths or any(one.private_key for one in ssl)
    return CertificateFacts(
        host_name,
        look_at_certificates(tree, layout, names, has_acme),
        files,
        {one: _provided(tree, one) for one in paths},
        (subjects_of(trust_bundle(tree)) or None) if provides else None,
        _acme_lacks(tree, layout) if has_acme else "",
        tree.is_host and tree.exists(layout.reload_marker),
    )


def _certificate_files(tree: Tree, layout: Layout) -> frozenset[str]:
    """The names of all certificates that have a file among Dovecot's: one that is missing stops its next start."""
    with opened(tree, layout.dovecot_certificates_dir) as directory:
        entries = os.listdir(directory) if directory is not None else []
    return frozenset(entry[:-4] for entry in entries if entry.endswith(".pem"))


def _provided(tree: Tree, paths: tuple[str, str, str]) -> Provided:
    try:
        found = [users_file(tree, path) if path else b"" for path in paths]
    except MailError as error:
        return Provided(problem=str(error))
    missing = [path for path, content in zip(paths, found) if content is None]
    if missing:
        return Provided(problem=f"there is no file {missing[0]} on the host", is_missing=True)
    certificate, chain, private_key = (content or b"" for content in found)
    return Provided(private_key, certificate + b"\n" + chain if chain else certificate)


def _acme_lacks(tree: Tree, layout: Layout) -> str:
    """What ACME needs and is not there, as part of a sentence; empty for nothing."""
    if not any(tree.exists(path) for path in _CERTBOT):
        return "certbot is not installed on this host"
    return "" if tree.exists(layout.acme_hook) else f"{layout.acme_hook} is not there, which installs what certbot renews"
