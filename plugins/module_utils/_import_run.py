# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The run of `mail_domain_import`: reads the files of a host that others set up, and changes nothing but its export."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._export import export
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._foreign import Findings, Remark, Source
from ansible_collections.fleetpost.mail.plugins.module_utils._foreign_entries import entries_of, maildirs, without_secrets
from ansible_collections.fleetpost.mail.plugins.module_utils._hestia import HestiaPlaces, read_hestia
from ansible_collections.fleetpost.mail.plugins.module_utils._ispmanager import IspmanagerPlaces, read_ispmanager
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_layout import find_layout

_PATHS = ("exim_dir", "password_file", "hestia_dir", "home_dir", "export_file")


def import_domains(options: Mapping[str, Any], check_mode: bool) -> dict[str, Any]:
    """The result of the module. Raises MailError where there is nothing to read at all."""
    tree = Tree(options["root"])
    options = {**options, **{option: _path(options, option) for option in _PATHS}}
    exim_dir = options["exim_dir"] or find_layout(tree, options["layout"]).exim_dir
    findings = Findings(Source(_reader(tree), tree.exists, _namer(tree), _users(tree)))
    if options["kind"] == "ispmanager":
        if not tree.exists(f"{exim_dir}/domains"):
            raise MailError("there is no such table", f"{exim_dir}/domains", "Say with exim_dir where Exim keeps its tables")
        read_ispmanager(findings, IspmanagerPlaces(exim_dir, options["password_file"], options["quota_unit"]))
    else:
        read_hestia(findings, HestiaPlaces(options["hestia_dir"], options["home_dir"], exim_dir))
    entries = entries_of(findings)
    broken, not_translated = (
        [one._asdict() for one in sorted(remarks, key=_place)] for remarks in (findings.broken, findings.not_translated)
    )
    changed = False
    if options["export_file"]:
        declaration = {"domains": entries, "owners": [], "broken": broken, "not_translated": not_translated}
        changed = export(tree, options["export_file"], declaration, check_mode)
    return {
        "changed": changed,
        "domains": without_secrets(entries),
        "broken": broken,
        "not_translated": not_translated,
        "maildirs": list(maildirs(findings)),
    }


def _place(remark: Remark) -> tuple[str, int, str]:
    """By file, and in it by line."""
    path, _colon, number = remark.where.rpartition(":")
    return (path, int(number), remark.message) if path and number.isdecimal() else (remark.where, 0, remark.message)


def _path(options: Mapping[str, Any], option: str) -> str | None:
    if not options[option]:
        return None
    try:
        return _names.absolute_path(options[option].rstrip("/"))
    except ValueError as error:
        raise MailError(str(error), option) from None


def _reader(tree: Tree) -> Callable[[str], str | None]:
    def read(path: str) -> str | None:
        content = tree.read(path)
        return None if content is None else content.decode("utf-8", "replace")

    return read


def _namer(tree: Tree) -> Callable[[str], list[str]]:
    def names(path: str) -> list[str]:
        if not tree.exists(path):
            return []
        descriptor = tree.open_directory(path)
        try:
            return sorted(os.listdir(descriptor))
        finally:
            os.close(descriptor)

    return names


def _users(tree: Tree) -> Callable[[int], str | None]:
    """Names of uids, by the tree's own passwd file; of the running host, and of a tree without one, by the system."""
    passwd = None if tree.is_host else tree.read("/etc/passwd")
    if passwd is None:
        return _system_user
    found: dict[int, str] = {}
    for line in passwd.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) >= 3 and fields[2].isdecimal():
            found.setdefault(int(fields[2]), fields[0])
    return found.get


def _system_user(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except (KeyError, OverflowError):
        return None
