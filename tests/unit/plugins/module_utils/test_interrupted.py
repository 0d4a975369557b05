# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that die at every change of the file system they make, and what the next run makes of that."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import tarfile

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _archive, _files, _mail_tree
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, UNSTABLE, FakeHost

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

COM = {
    "name": "example.com",
    "owner": "alice",
    "dkim": {"key_type": "ed25519"},
    "ssl": {},
    "mailboxes": [
        {"name": "info", "password_hash": HASH, "quota": "1G", "aliases": ["sales"]},
        {"name": "desk", "password_hash": HASH},
        {"name": "press", "forward_to": ["a@agency.test"], "keep_copy": False},
    ],
}
NET = {"name": "example.net", "enabled": False, "ip_addresses": ["192.0.2.1"]}
ALL = {"prune": True, "prune_limit": "100%"}

CASES = {
    "create": lambda host: host.domains(COM, NET),
    "change owner": lambda host: host.domains({"name": "example.com", "owner": "bob"}),
    "remove a domain, keep": lambda host: host.domain("example.com", state="absent"),
    "remove a domain, archive": lambda host: host.domain("example.com", state="absent", removed_mail="archive"),
    "remove a mailbox": lambda host: host.mailbox("info@example.com", state="absent", removed_mail="archive"),
    "mailbox to alias": lambda host: host.mailbox("desk@example.com", aliases=["info"], removed_mail="archive"),
    "restore from an archive": lambda host: host.domain("example.com", restore_from=host.source),
    "restore from kept mail": lambda host: host.domain("example.com", restore_from=host.source),
    "prune": lambda host: host.domains({"name": "example.net", "enabled": True}, **ALL, removed_mail="delete"),
    "go back to an empty host": lambda host: host.restore(1, prune_limit="100%"),
    "go back to more": lambda host: host.restore(2, prune_limit="100%"),
}


def start(root, case):
    """A host on which the run of a case has something to do."""
    host = FakeHost(root)
    if case != "create":
        host.domains(COM, NET)
        host.deliver("info@example.com")
        host.deliver("desk@example.com", "mail-2")
    if case.startswith("restore"):
        how, directory = ("archive", "/var/backups/mail-domains") if "archive" in case else ("keep", "/var/vmail/.removed")
        host.domain("example.com", state="absent", removed_mail=how)
        (name,) = [path.name for path in host.path(directory).iterdir() if path.suffix != ".json"]
        host.source = f"{directory}/{name}"
    if case == "go back to more":
        host.domain("example.net", state="absent")
        host.domain("example.com", owner="bob")
    return host


def dies_at(event, action):
    """Runs `action` in a process that ends without a word before its n-th change of the file system; False if it had fewer."""
    pid = os.fork()
    if pid == 0:
        counter = itertools.count()

        def dying(call):
            def counted(*args, **kwargs):
                if next(counter) == event:
                    os._exit(77)
                return call(*args, **kwargs)

            return counted

        for module, name in (
            *((os, name) for name in ("rename", "mkdir", "rmdir", "unlink", "fchown", "utime", "symlink")),
            (_files, "rename_without_replacing"),
            (_archive, "rename_without_replacing"),
            (_mail_tree, "chown_open"),
        ):
            setattr(module, name, dying(getattr(module, name)))
        try:
            action()
        except BaseException:
            os._exit(1)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in (0, 77)
    return status == 77


def state(host, case=""):
    """The tree without what must differ: the time of a removal, the packing of an archive, and keys that were made."""
    found = {}
    for name, entry in host.entries(*UNSTABLE).items():
        content = entry.content
        if case == "prune" and name.startswith("etc/exim4/ssl/"):
            continue  # keys that nobody uses any more are what a run may leave (docs/tables.md)
        if name.startswith(("etc/exim4/ssl/", "etc/dovecot/certs/")) and not name.endswith(".conf"):
            content = b"made"
        if name.endswith(".tar.gz"):
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                members = [(member.name, _without_keys(member, tar)) for member in tar]
            content = re.sub(r"\.?\d{8}T\d{6}Z", ".TIME", repr(members)).encode()
        if name.startswith("var/vmail/.removed/") and name.endswith(".json"):
            content = repr(sorted(json.loads(content))).encode()
        if name == "etc/exim4/domains":
            content = re.sub(rb"\d{8}T\d{6}Z", b"TIME", content)
        found[re.sub(r"\.\d{8}T\d{6}Z", ".TIME", name)] = entry._replace(content=content)
    return found


def _without_keys(member, tar):
    return tar.extractfile(member).read() if member.isfile() and not re.search("/(ssl|certs)/", member.name) else None


def words(line):
    key, _colon, value = line.partition(":")
    return key, value.split()


def assert_served(host, case):
    """Every address that Exim knows has what Dovecot needs for it, and a domain's line stands for all of its addresses."""
    if not host.path(host.layout.domains).exists():
        return
    addresses = dict(words(line) for line in host.table("addresses"))
    logins = {line.partition(":")[0] for line in host.table("users")}
    for address, value in addresses.items():
        if value[0] == "mailbox" and "enabled=removing" not in value and domain_enabled(host, address) != "removing":
            assert address in logins
            assert host.path(host.layout.mailbox_tree(address)).is_dir()
        if value[0] == "alias":
            assert next(field for field in value if field.startswith("to="))[3:] in addresses
    if case == "create" and domain_enabled(host, "example.com"):
        assert set(addresses) == {f"{name}@example.com" for name in ("info", "desk", "press", "sales")}


def domain_enabled(host, name):
    for line in host.table("domains"):
        key, value = words(line)
        if key == name.rpartition("@")[2]:
            return dict(field.split("=") for field in value)["enabled"]
    return None


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_dies_anywhere_is_completed_by_the_next_one(tmp_path, case):
    undisturbed = start(tmp_path / "undisturbed", case)
    CASES[case](undisturbed)
    for event in itertools.count():
        host = start(tmp_path / str(event), case)
        died = dies_at(event, lambda host=host: CASES[case](host))
        assert_served(host, case)
        CASES[case](host)
        assert state(host, case) == state(undisturbed, case), f"after dying before change {event}"
        if not died:
            assert event > 2
            return


@pytest.mark.parametrize("case", ["remove a domain, archive", "mailbox to alias"])
def test_a_removal_that_died_is_completed_by_any_run(tmp_path, case):
    undisturbed = start(tmp_path / "undisturbed", case)
    CASES[case](undisturbed)
    for event in itertools.count():
        host = start(tmp_path / str(event), case)
        died = dies_at(event, lambda host=host: CASES[case](host))
        began = any("removed=" in line for line in host.table("domains") + host.table("addresses"))
        host.domains()
        if began or not died:
            assert state(host) == state(undisturbed), f"after dying before change {event}"
        if not died:
            return


@pytest.mark.parametrize("how", ["keep", "archive"])
def test_a_domain_that_comes_back_before_its_removal_is_over_has_its_mailboxes(tmp_path, how):
    for event in itertools.count():
        host = start(tmp_path / str(event), how)
        died = dies_at(event, lambda host=host: host.domain("example.com", state="absent", removed_mail=how))
        if not died:
            return
        if domain_enabled(host, "example.com") == "removing" and len(host.table("users")) == 2:
            host.domain("example.com")
            assert domain_enabled(host, "example.com") == "yes"
            assert len(host.table("addresses")) == 4
            if how == "keep":
                assert host.text("/var/vmail/example.com/info/Maildir/new/mail-1")
                assert host.owner("/var/vmail/example.com/info")[0] == host.owner("/var/vmail/example.com/desk")[0] != 0
            assert not host.domains().changed


def test_a_run_that_died_leaves_no_file_behind_once_the_next_one_is_through(tmp_path):
    for event in range(4, 12, 3):
        host = start(tmp_path / str(event), "create")
        dies_at(event, lambda host=host: CASES["create"](host))
        CASES["create"](host)
        assert not [name for name in host.entries() if "fleetpost-" in name]
