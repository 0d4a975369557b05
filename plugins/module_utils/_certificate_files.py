# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the files of certificates: the servers' copies, and what certbot keeps. Changes nothing."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Collection, Iterator, Sequence

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    FoundCertificate,
    FoundFile,
    Lineage,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import Pair, certificates_of, joined, pair_of
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import content_at, explained

_SETTING = re.compile(r"^(server|post_hook)\s*=\s*(.+?)\s*$", re.MULTILINE)
_LINEAGE = re.compile(r"(.+?)(?:-\d{4})?\.conf\Z")
_VERSION = re.compile(r"fullchain(\d+)\.pem\Z")
_TRUST_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def look_at_certificates(tree: Tree, layout: Layout, names: Sequence[str], with_acme: bool) -> dict[str, FoundCertificate]:
    """The files of the certificates named. The directories are opened once: ten thousand certificates are twenty thousand files.

    with_acme: some of them are, or may become, certificates that certbot keeps.
    """
    if not names:
        return {}
    lineages = read_lineages(tree, layout, names) if with_acme else {}
    with opened(tree, layout.ssl_dir) as exim, opened(tree, layout.dovecot_certificates_dir) as dovecot:
        found = {}
        for name in names:
            first = _found_file(exim, f"{name}.pem", None)
            second = _found_file(dovecot, f"{name}.pem", first)
            credentials = tree.read(layout.acme_credentials(name)) if with_acme else None
            found[name] = FoundCertificate(first, second, lineages.get(name, ()), credentials)
        return found


@contextlib.contextmanager
def opened(tree: Tree, path: str) -> Iterator[int | None]:
    descriptor = tree.open_directory(path) if tree.exists(path) else None
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _found_file(directory: int | None, name: str, same: FoundFile | None) -> FoundFile | None:
    """A server's copy; `same` is the other server's, which is most often equal and is not parsed twice."""
    if directory is None:
        return None
    content, ownership = content_at(directory, name)
    if ownership is None:
        return None
    if same is not None and same.content == content:
        return same._replace(ownership=ownership)
    return FoundFile(content, ownership, *_pair(content))


def _pair(content: bytes) -> tuple[Pair | None, str]:
    try:
        return pair_of(content), ""
    except ValueError as error:
        return None, str(error)


def read_lineages(tree: Tree, layout: Layout, names: Collection[str]) -> dict[str, tuple[Lineage, ...]]:
    """What certbot keeps under each name, or under the name with a number, as it numbers the next one of a name."""
    directory = f"{layout.certbot_dir}/renewal"
    if not tree.exists(directory):
        return {}
    descriptor = tree.open_directory(directory)
    try:
        files = [(file, _LINEAGE.match(file)) for file in sorted(os.listdir(descriptor))]
    finally:
        os.close(descriptor)
    found: dict[str, list[Lineage]] = {}
    for file, match in files:
        # A name that has a number of its own is found under both.
        for name in {match.group(1), file[:-5]} & set(names) if match else ():
            found.setdefault(name, []).append(_lineage(tree, layout, file[:-5]))
    return {name: tuple(sorted(lineages, key=_age)) for name, lineages in found.items()}


def _age(lineage: Lineage) -> tuple[int, str]:
    return -(lineage.pair.not_before if lineage.pair else 0), lineage.name


def _lineage(tree: Tree, layout: Layout, name: str) -> Lineage:
    configuration = (tree.read(f"{layout.certbot_dir}/renewal/{name}.conf") or b"").decode("utf-8", "replace")
    settings = dict(_SETTING.findall(configuration))
    server, is_ours = settings.get("server", ""), layout.acme_hook in settings.get("post_hook", "")
    try:
        content = _lineage_content(tree, layout, name)
        return Lineage(name, server, is_ours, content, pair_of(content))
    except (MailError, ValueError) as error:
        return Lineage(name, server, is_ours, b"", None, str(error))


def _lineage_content(tree: Tree, layout: Layout, name: str) -> bytes:
    """Key and chain of one version: the link to the chain says which, so that a renewal under way gives the old or the new pair."""
    live = f"{layout.certbot_dir}/live/{name}"
    with explained("cannot look at", f"{live}/fullchain.pem"):
        descriptor = tree.open_directory(live)
        try:
            version = _VERSION.search(os.readlink("fullchain.pem", dir_fd=descriptor))
        finally:
            os.close(descriptor)
    if not version:
        raise MailError("this is no link of certbot's", f"{live}/fullchain.pem")
    archive = f"{layout.certbot_dir}/archive/{name}"
    private_key = tree.read(f"{archive}/privkey{version.group(1)}.pem")
    chain = tree.read(f"{archive}/fullchain{version.group(1)}.pem")
    if private_key is None or chain is None:
        raise MailError(f"version {version.group(1)} is not whole", archive)
    return joined(private_key, certificates_of(chain))


def trust_bundle(tree: Tree) -> bytes:
    """The roots that the host trusts, in PEM; empty where it has no bundle of them."""
    return next((content for content in (users_file(tree, path) for path in _TRUST_BUNDLES) if content), b"")


def users_file(tree: Tree, path: str) -> bytes | None:
    """A file that the user or the distribution put there, None when it is not. On the running host it may be a link."""
    return tree.read(os.path.realpath(path) if tree.is_host else path)
