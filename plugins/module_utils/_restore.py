# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Brings the mail of a removed domain back: looks at an archive or at kept mail, makes it ready outside the lock, and tidies up.

Ready mail lies in ``.removed/NAME.restoring`` with a marker that names its inode. From then on it is one rename from its place,
and a run that finds the place taken knows by the marker whether it was an earlier run of the same kind that died.
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _mail_tree
from ansible_collections.fleetpost.mail.plugins.module_utils._apply import claimed
from ansible_collections.fleetpost.mail.plugins.module_utils._archive import require_space
from ansible_collections.fleetpost.mail.plugins.module_utils._archived import Settings, documents_in, settings_of, sidecar_path
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import Declaration
from ansible_collections.fleetpost.mail.plugins.module_utils._directories import DOMAIN_DIRECTORY
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Account,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import is_moment
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._restoring import WHERE, Restoration, error_in, fits, marker_of
from ansible_collections.fleetpost.mail.plugins.module_utils._unpack import identity_of, read_documents, unpack_mail

_ARCHIVE = re.compile(r"(?P<name>.+)\.(?P<since>[0-9]{8}T[0-9]{6}Z)(?:\.tar\.gz)?\Z")
_FOR_ROOT_ALONE = Ownership(0, 0, 0o700)


def restoration_of(tree: Tree, layout: Layout, declaration: Declaration) -> Restoration | None:
    """What `restore_from` of a declaration asks for, as it stands now; None for nothing. Raises MailError."""
    source = declaration.restore_from
    if not source or declaration.errors:
        return None
    name = declaration.domains[0].name
    found = tree.lstat(source)
    named = _ARCHIVE.match(posixpath.basename(source))
    since = named.group("since") if named and is_moment(named.group("since")) else ""
    is_kept = posixpath.dirname(source) == layout.removed_dir
    tree_path = source if is_kept else f"{_staging(layout, name)}/mail"
    restoration = Restoration(name, source, is_kept, since, tree_path)
    if found is None and not is_kept:
        # Who keeps the option and throws the archive away has a domain that is back.
        return restoration
    settings = _settings(tree, restoration)
    if settings and settings.name != name:
        raise MailError(f"{source} is of {settings.name}, not of {name}", WHERE)
    if settings is None and (named is None or named.group("name") != name or not since):
        raise MailError(f"{source} is no kept mail of {name}", WHERE, "Kept mail is called NAME.TIMESTAMP")
    restoration = restoration._replace(settings=settings, since=settings.since if settings else since)
    return _with_state(tree, layout, restoration)


def check_source(tree: Tree, restoration: Restoration) -> None:
    """Raises MailError when there is nothing to bring back from, or too little space for it."""
    if restoration.is_placed:
        return
    if not tree.exists(restoration.source):
        raise MailError(f"{restoration.source} is not there", WHERE)
    if not restoration.is_kept and restoration.settings and not restoration.is_staged:
        require_space(tree, posixpath.dirname(posixpath.dirname(restoration.tree)), restoration.settings.mail_bytes)


def _staging(layout: Layout, name: str) -> str:
    return f"{layout.removed_dir}/{name}.restoring"


def _settings(tree: Tree, restoration: Restoration) -> Settings | None:
    try:
        if not restoration.is_kept:
            return settings_of(read_documents(tree, restoration.source))
        sidecar = tree.read(sidecar_path(restoration.source))
        return settings_of(documents_in(sidecar)) if sidecar is not None else None
    except MailError as error:
        raise error_in(restoration, error) from error


def _identity(tree: Tree, restoration: Restoration) -> tuple[int, ...]:
    return () if restoration.is_kept else identity_of(tree, restoration.source)


def _with_state(tree: Tree, layout: Layout, restoration: Restoration) -> Restoration:
    """The restoration with how far an earlier run came."""
    marker = _marker(tree, layout, restoration.name)
    if not marker or not fits(marker, restoration, _identity(tree, restoration)):
        return restoration
    ready, placed = tree.lstat(restoration.tree), tree.lstat(layout.domain_tree(restoration.name))
    return restoration._replace(
        is_staged=ready is not None and ready.st_ino == marker.get("inode"),
        owner=Account(*marker["owner"]) if marker.get("owner") else None,
        is_placed=ready is None and placed is not None and placed.st_ino == marker.get("inode"),
    )


def _marker(tree: Tree, layout: Layout, name: str) -> dict[str, Any]:
    content = tree.read(f"{_staging(layout, name)}/marker.json")
    try:
        found = json.loads(content) if content else {}
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def stage(tree: Tree, layout: Layout, restoration: Restoration, owner: Account) -> Restoration:
    """Makes the mail ready to be put in its place, outside the lock. Raises MailError, and then leaves nothing behind."""
    staging = _staging(layout, restoration.name)
    tree.ensure_parent(f"{layout.removed_dir}/any")
    tree.make_directories([(layout.removed_dir, _FOR_ROOT_ALONE), (staging, _FOR_ROOT_ALONE)])
    with claimed(tree, staging):
        if restoration.is_kept:
            return _marked(tree, staging, restoration)
        _mail_tree.delete_tree(tree, restoration.tree)
        try:
            left_out = unpack_mail(tree, restoration.source, restoration.tree)
        except MailError as error:
            _mail_tree.delete_tree(tree, restoration.tree)
            raise error_in(restoration, error) from error
        _mail_tree.give(tree, restoration.tree, owner.uid, owner.gid, DOMAIN_DIRECTORY)
        return _marked(tree, staging, restoration._replace(left_out=left_out, owner=owner))


def _marked(tree: Tree, staging: str, restoration: Restoration) -> Restoration:
    info = tree.lstat(restoration.tree)
    if info is None:
        raise MailError(f"{restoration.tree} is not there", WHERE)
    marker = json.dumps(marker_of(restoration, _identity(tree, restoration), info.st_ino))
    tree.write_files([(f"{staging}/marker.json", marker.encode(), Ownership(0, 0, 0o600))])
    return restoration._replace(is_staged=True)


def tidy_up(tree: Tree, layout: Layout, restoration: Restoration) -> None:
    """Removes what is left of a restoration that is over. An archive stays; the settings beside kept mail go with it."""
    if restoration.is_kept and not tree.exists(restoration.source):
        tree.remove_file(sidecar_path(restoration.source))
    _mail_tree.delete_tree(tree, _staging(layout, restoration.name))
