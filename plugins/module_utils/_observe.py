# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads a host into frozen values: tables, mail directories, facts. Changes nothing."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping

from ansible_collections.fleetpost.mail.plugins.module_utils import _dovecot, _exim, _servers
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_table import CERTIFICATES_HEADER, read_certificates
from ansible_collections.fleetpost.mail.plugins.module_utils._directories import unfinished_removals
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_lists import LIST_HEADERS, read_lists
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import EXIM_FORMAT, Account, Facts, Host, Mailbox, Tables, Trees
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_keys import read_keys
from ansible_collections.fleetpost.mail.plugins.module_utils._owners import OWNERS_HEADER, read_owners
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import ownership_of
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import Table, parse_table

_EXIM_FORMAT = re.compile(r"^MD_FORMAT\s*=\s*(\d+)", re.MULTILINE)
# What the configuration says of a scanner that is installed, by the option that needs it.
_SCANNERS = {
    "spamassassin": re.compile(r"^MD_SPAMD\s*=[ \t]*(\S+(?: \d+)?)", re.MULTILINE),
    "antivirus": re.compile(r"^MD_CLAMD\s*=[ \t]*(\S+(?: \d+)?)", re.MULTILINE),
}
_EXIM_NAMES = re.compile(r"^(?:primary_hostname|MD_OWNNAMES)\s*=\s*(.+)$", re.MULTILINE)
_DOVECOT_24 = re.compile(r"^\s*dovecot_config_version\s*=\s*2\.[4-9]", re.MULTILINE)


def read_tables(tree: Tree, layout: Layout, generation: Mapping[str, bytes] | None = None) -> Tables:
    """The tables, or those of a generation (name -> text). Raises MailError with file and line number for what cannot be read."""
    files: dict[str, Ownership] = {}
    for directory in (layout.exim_dir, layout.lists_dir, layout.dovecot_dir):
        found = tree.lstat(directory)
        if found is not None:
            files[directory] = ownership_of(found)

    def table(name: str, path: str, header: str, separator: str = ": ") -> Table:
        directory_is_there = path.rpartition("/")[0] in files
        if generation is not None:
            return parse_table(name, path, generation.get(name), header, separator)
        content = tree.read(path) if directory_is_there else None
        if content is not None:
            status = tree.lstat(path)
            if status is not None:
                files[path] = ownership_of(status)
        return parse_table(name, path, content, header, separator)

    return Tables(
        domains=table("domains", layout.domains, _exim.DOMAINS_HEADER),
        lists={name: table(name, path, LIST_HEADERS[name]) for name, path in layout.domain_lists.items()},
        addresses=table("addresses", layout.addresses, _exim.ADDRESSES_HEADER),
        users=table("users", layout.users, _dovecot.USERS_HEADER, ":"),
        disabled_domains=table("disabled_domains", layout.disabled_domains, _dovecot.DISABLED_DOMAINS_HEADER, ":"),
        certificates=table("certificates", layout.certificates, CERTIFICATES_HEADER),
        owners=table("owners", layout.owners, OWNERS_HEADER),
        files=files,
        names=_names_text(tree, layout, files),
    )


def _names_text(tree: Tree, layout: Layout, files: dict[str, Ownership]) -> str | None:
    content = tree.read(layout.names) if tree.exists(layout.dovecot_certificates_dir) else None
    status = tree.lstat(layout.names) if content is not None else None
    if content is None or status is None:
        return None
    files[layout.names] = ownership_of(status)
    return content.decode("utf-8", "replace")


def read_host(tables: Tables, layout: Layout) -> Host:
    """What the tables mean. Raises MailError for a value that this version does not know."""
    return Host(
        _exim.read_domains(tables.domains, layout.domains, read_lists(tables.lists, layout.domain_lists)),
        _exim.read_addresses(tables.addresses, layout.addresses),
        _dovecot.read_hashes(tables.users),
        certificates=read_certificates(tables.certificates, layout.certificates),
        owners=read_owners(tables.owners, layout.owners),
    )


def read_trees(tree: Tree, layout: Layout, present: Host, desired: Host) -> Trees:
    """The mail directories of the desired host, and which of the new ones already hold something."""
    found: dict[str, Ownership] = {}
    occupied: set[str] = set()
    status = tree.lstat(layout.mail_root)
    if status is None:
        return Trees(found, frozenset())
    found[layout.mail_root] = ownership_of(status)
    root = tree.open_directory(layout.mail_root)
    try:
        for path, is_new in _wanted_directories(layout, present, desired):
            ownership = _directory_at(root, path, layout.mail_root)
            if ownership is not None:
                found[path] = ownership
                if is_new and _holds_mail(root, path[len(layout.mail_root) + 1 :], present):
                    occupied.add(path)
    finally:
        os.close(root)
    return Trees(found, frozenset(occupied))


def _wanted_directories(layout: Layout, present: Host, desired: Host) -> Iterator[tuple[str, bool]]:
    for name in desired.domains:
        yield layout.domain_tree(name), name not in present.domains
    for name, address in desired.addresses.items():
        if isinstance(address, Mailbox):
            # A login without an address is what a run leaves that died before it wrote the address.
            is_new = not isinstance(present.addresses.get(name), Mailbox) and name not in present.hashes
            yield layout.mailbox_tree(name), is_new
    for name, since in unfinished_removals(present, desired):
        yield layout.removed_tree(name, since), False


def _directory_at(root: int, path: str, mail_root: str) -> Ownership | None:
    """The ownership of a directory below the mail root; the directories above a mailbox are root's, so no link is there."""
    try:
        status = os.stat(path[len(mail_root) + 1 :], dir_fd=root, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISDIR(status.st_mode):
        raise MailError("this is not a directory", where=path, remedy="Move it away; a mail directory belongs there")
    return ownership_of(status)


def _holds_mail(root: int, path: str, present: Host) -> bool:
    """Whether there is anything but empty directories, and the mailboxes of logins, as an interrupted run leaves them."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=root)
    try:
        return any(f"{name}@{path}" not in present.hashes and not _is_empty(name, descriptor) for name in os.listdir(descriptor))
    finally:
        os.close(descriptor)


def _scanners(configuration: str) -> dict[str, str]:
    found = {option: line.search(configuration) for option, line in _SCANNERS.items()}
    return {option: line.group(1) for option, line in found.items() if line}


def _is_empty(name: str, parent: int) -> bool:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError:
        return False
    try:
        return not os.listdir(descriptor)
    finally:
        os.close(descriptor)


def gather_facts(tree: Tree, layout: Layout, owners: Iterable[str], strict: bool, key_files: Iterable[str] = ()) -> Facts:
    """What a plan must know of the host. Raises MailError when its Exim configuration is of another format."""
    configuration = (tree.read(layout.exim_conf) or b"").decode("utf-8", "replace")
    found = _EXIM_FORMAT.search(configuration)
    exim_format = int(found.group(1)) if found else None
    if exim_format is not None and not 1 <= exim_format <= EXIM_FORMAT:
        raise MailError(
            f"this Exim configuration has format {exim_format}, these modules know formats up to {EXIM_FORMAT}",
            where=layout.exim_conf,
            remedy="Run the modules and the role fleetpost.mail.exim of one version",
        )
    owners = set(owners)
    users = _users(tree, owners | {layout.exim_user})
    exim_user = users[layout.exim_user]
    return Facts(
        users={name: account for name, account in users.items() if name in owners},
        ip_addresses=_servers.host_addresses() if tree.is_host else None,
        host_names=_host_names(tree, configuration),
        dovecot=_dovecot_version(tree, layout),
        exim_gid=_gid(tree, layout.exim_group),
        dovecot_gid=_gid(tree, layout.dovecot_group),
        strict=strict,
        may_chown=tree.may_chown,
        exim_uid=exim_user.uid if exim_user else None,
        exim_format=exim_format,
        scanners=_scanners(configuration) if exim_format else None,
        now=time.time(),
        keys=read_keys(tree, layout, key_files),
    )


def _host_names(tree: Tree, configuration: str) -> frozenset[str]:
    names = {line.strip().lower() for line in (tree.read("/etc/hostname") or b"").decode("utf-8", "replace").split()}
    for value in _EXIM_NAMES.findall(configuration):
        names.update(name.strip().lower() for name in re.split(r"[:;\s]+", value))
    if tree.is_host:
        names.add(os.uname().nodename.lower())
    return frozenset(name for name in names if "." in name)


def _dovecot_version(tree: Tree, layout: Layout) -> str | None:
    """``2.3`` or ``2.4``, which differ in their configuration language; in another tree it is told by the configuration."""
    if tree.is_host:
        version = _servers.dovecot_version()
    else:
        configuration = tree.read(layout.dovecot_conf)
        if configuration is None:
            return None
        version = "2.4" if _DOVECOT_24.search(configuration.decode("utf-8", "replace")) else "2.3"
    if version is None:
        return None
    major, minor = (int(part) for part in version.split(".")[:2])
    return "2.4" if (major, minor) >= (2, 4) else "2.3"


def _users(tree: Tree, names: set[str]) -> dict[str, Account | None]:
    """The accounts of the tree's own passwd file; of the running host, and of a tree without one, those of the system."""
    passwd = None if tree.is_host else tree.read("/etc/passwd")
    if passwd is None:
        return {name: _system_account(name) for name in names}
    found: dict[str, Account | None] = dict.fromkeys(names)
    for line in passwd.decode("utf-8", "replace").splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and fields[0] in names and fields[2].isdigit() and fields[3].isdigit():
            found[fields[0]] = Account(int(fields[2]), int(fields[3]))
    return found


def _system_account(name: str) -> Account | None:
    with contextlib.suppress(KeyError):
        entry = pwd.getpwnam(name)
        return Account(entry.pw_uid, entry.pw_gid)
    return None


def _gid(tree: Tree, name: str) -> int | None:
    """The id of a server's group. In another tree without that group the files are root's until the server is there."""
    if not tree.is_host:
        for line in (tree.read("/etc/group") or b"").decode("utf-8", "replace").splitlines():
            fields = line.split(":")
            if len(fields) >= 3 and fields[0] == name and fields[2].isdigit():
                return int(fields[2])
        return 0
    with contextlib.suppress(KeyError):
        return grp.getgrnam(name).gr_gid
    return None
