# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs that make, take over, mend and remove DKIM keys, judged by the files alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import key_of_record, public_key_of, record_in_zone_text, zone_text
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._report import key_records
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import EXIM_GID, EXIM_UID, HASH, UNSTABLE, FakeHost
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem, public

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

NAME = "example.com"
OWN = {"private_key": pem("ed25519")}
LINE = f"{NAME}: owner=vmail enabled=yes disabled=reject action=reject"


@pytest.fixture
def signing(host):
    """A host with one domain that signs with an Ed25519 key."""
    host.domains({"name": NAME, "dkim": {"key_type": "ed25519"}})
    return host


def private(host, file=NAME):
    return host.layout.private_key(file)


def record(host, file=NAME):
    return host.layout.key_record(file)


def files(host):
    directory = host.path(host.layout.ssl_dir)
    return sorted(path.name for path in directory.iterdir()) if directory.exists() else []


def key_on(host, file=NAME):
    """The key of a private key, which must be that of its record."""
    key = public_key_of(host.text(private(host, file)).encode())
    assert key_of_record(record_in_zone_text(host.text(record(host, file))))._replace(service_type="email") == key
    return key


def inode(host, path):
    return host.path(path).stat().st_ino


# new keys


@pytest.mark.parametrize("layout", ["debian", "redhat"])
def test_a_new_key_belongs_to_exim_alone_and_its_record_to_all(tmp_path, layout):
    host = FakeHost(tmp_path, layout)
    host.domains({"name": NAME, "dkim": {"key_type": "ed25519"}})
    assert host.owner(private(host)) == (EXIM_UID, EXIM_GID, 0o600)
    assert host.owner(record(host)) == (0, 0, 0o644)
    assert host.table("domains") == [f"{LINE} dkim=dkim dkim_key={NAME}.private"]
    assert host.text(record(host)) == zone_text("dkim", NAME, key_on(host))


@pytest.mark.parametrize(("options", "expected"), [({"key_length": 1024}, ("rsa", 1024)), ({"key_type": "ed25519"}, ("ed25519", 256))])
def test_what_is_made_is_a_key_that_openssl_takes_for_one(host, options, expected):
    host.domains({"name": NAME, "dkim": options})
    assert key_on(host)[:2] == expected
    subprocess.run(["openssl", "pkey", "-check", "-noout", "-in", host.path(private(host))], check=True, capture_output=True)


def test_an_rsa_key_is_written_as_opendkim_genkey_writes_it(host):
    host.domains({"name": NAME, "dkim": {"key_length": 1024}})
    assert host.text(private(host)).startswith("-----BEGIN RSA PRIVATE KEY-----\n")


def test_two_keys_are_four_files_and_one_line(host):
    host.domains({"name": NAME, "dkim": {"key_type": "both", "key_length": 1024, "selector": "s1"}})
    second = f"{NAME}.s1-ed25519"
    assert files(host) == [f"{NAME}.private", f"{second}.private", f"{second}.txt", f"{NAME}.txt"]
    assert (key_on(host).key_type, key_on(host, second).key_type) == ("rsa", "ed25519")
    assert host.table("domains") == [f"{LINE} dkim=s1,s1-ed25519 dkim_key={NAME}.private,{second}.private"]


def test_a_second_run_changes_nothing(signing):
    before = signing.identities()
    for _run in range(2):
        assert not signing.dkim(NAME).changed
        assert not signing.domains({"name": NAME, "dkim": {"key_type": "ed25519"}}).changed
        assert not signing.domain(NAME).changed
    assert {name: one for name, one in signing.identities().items() if not name.endswith(".lock")} == {
        name: one for name, one in before.items() if not name.endswith(".lock")
    }


def test_the_module_of_one_key_leaves_the_rest_of_the_domain(host):
    host.domains({"name": NAME, "owner": "alice", "default_action": "discard"})
    host.dkim(NAME, **OWN)
    assert host.table("domains") == [f"{NAME}: owner=alice enabled=yes disabled=reject action=discard dkim=dkim dkim_key={NAME}.private"]


def test_every_domain_of_a_run_gets_a_key_of_its_own(host):
    names = [f"d{number}.test" for number in range(20)]
    host.domains(*({"name": name, "dkim": {"key_type": "ed25519"}} for name in names))
    assert len({key_on(host, name).public_key for name in names}) == 20


def test_the_records_to_publish_are_those_of_the_files(signing):
    outcome = signing.dkim(NAME)
    (found,) = key_records(outcome.desired, [NAME])
    assert found["record"] == f"dkim._domainkey.{NAME}"
    assert found["value"] == [record_in_zone_text(signing.text(record(signing)))]


def test_two_domains_of_one_run_never_take_the_same_file(host):
    host.domains({"name": NAME, "dkim": OWN})
    rotating = {"name": NAME, "dkim": {"rotate": {"to": "uk"}, "key_type": "ed25519"}}
    new = {"name": f"{NAME}.uk", "dkim": {"key_type": "ed25519"}}
    with pytest.raises(MailErrors) as error:
        host.domains(new, rotating)
    assert [one.where for one in error.value.errors] == ["domains[1].dkim.rotate.to"]
    host.domains(rotating, new)
    assert [name for name in files(host) if name.endswith(".private")] == [f"{NAME}.{end}private" for end in ("", "uk.dkim.", "uk.")]


# secrecy


@pytest.mark.parametrize("options", [{"key_type": "ed25519"}, OWN, {"key_type": "both", "key_length": 1024}])
def test_a_private_key_is_readable_by_others_at_no_moment(host, monkeypatch, options):
    host.domains({"name": NAME})
    directory, seen = host.path(host.layout.ssl_dir), []

    def watched(call):
        def watching(*arguments, **named):
            result = call(*arguments, **named)
            found = [path for path in directory.glob("*") if "private" in path.name] if directory.is_dir() else []
            seen.extend((path.name, path.stat().st_mode & 0o077) for path in found)
            return result

        return watching

    for name in ("open", "fchmod", "fchown", "rename", "write"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    mask = os.umask(0)
    try:
        host.dkim(NAME, **options)
    finally:
        os.umask(mask)
    assert len(seen) > 5
    assert {mode for _name, mode in seen} == {0}


def test_no_private_key_is_in_any_result_log_or_other_file(host):
    shown = [host.domains({"name": NAME, "dkim": {**OWN, "selector": "s1"}}, check=True)]
    shown += [host.domains({"name": NAME, "dkim": {**OWN, "selector": "s1"}}), host.dkim(NAME), host.info()]
    shown += [host.dkim(NAME, private_key=pem("rsa1024"), regenerate="always"), host.dkim(NAME, state="absent")]
    shown += [host.domains({"name": NAME, "dkim": {"key_length": 1024}}), host.info()]
    with pytest.raises(MailErrors) as error:
        host.dkim(NAME, private_key=pem("ed25519", 1))
    shown.append(str(error.value))
    secrets = [pem(*kind).splitlines()[1] for kind in (("ed25519",), ("rsa1024",), ("ed25519", 1))]
    secrets.append(host.text(private(host)).splitlines()[1])
    everything = repr(shown) + "".join(str(entry.content) for entry in host.entries(private(host)).values())
    assert not [secret for secret in secrets if secret in everything or secret.rstrip("=")[:40] in everything]
    assert '"create"' in host.text("/var/log/mail-domains.log")


@pytest.mark.parametrize("options", [{"key_type": "ed25519"}, {"key_type": "both"}, OWN, {"private_key": pem("rsa1024")}])
def test_check_mode_makes_no_key_and_tells_what_the_run_does(host, options):
    host.domains({"name": "a.test"})
    before = host.entries(*UNSTABLE)
    entry = {"name": NAME, "dkim": {"key_length": 1024, **options} if "key_type" in options else options}
    checked = host.domains(entry, check=True)
    assert host.entries(*UNSTABLE) == before
    done = host.domains(entry)
    assert (checked.changed, checked.actions, checked.diff, checked.counts) == (True, done.actions, done.diff, done.counts)
    assert checked.waiting == done.waiting


def test_check_mode_shows_no_record_of_a_key_that_is_not_made(host):
    assert key_records(host.domains({"name": NAME, "dkim": {}}, check=True).desired, [NAME]) == []


# taking over and mending


@pytest.mark.parametrize(("kind", "form"), [("rsa1024", "TraditionalOpenSSL"), ("rsa2048", "PKCS8"), ("ed25519", "PKCS8")])
def test_a_key_of_opendkim_genkey_is_taken_over_as_it_stands(host, kind, form):
    text = zone_text("mail", NAME, public(kind)).replace("s=email; ", "")
    host.write(private(host), pem(kind, form=form))
    host.write(record(host), text)
    before = inode(host, private(host))
    host.domains({"name": NAME, "dkim": {"selector": "mail", "key_length": 1024 if kind == "rsa1024" else None, "key_type": None}})
    assert (host.text(private(host)), inode(host, private(host))) == (pem(kind, form=form), before)
    assert host.text(record(host)) == text
    assert host.owner(private(host)) == (EXIM_UID, EXIM_GID, 0o600)
    assert not host.dkim(NAME).changed


@pytest.mark.parametrize(
    ("of", "wrong"),
    [
        *((private, (0, 0, 0o600)), (private, (EXIM_UID, EXIM_GID, 0o644))),
        *((record, (EXIM_UID, 0, 0o644)), (record, (0, 0, 0o600))),
    ],
)
def test_another_owner_or_mode_is_mended_and_told(signing, of, wrong):
    right = signing.owner(of(signing))
    os.chown(signing.path(of(signing)), *wrong[:2])
    os.chmod(signing.path(of(signing)), wrong[2])
    (status,) = signing.info().status
    assert status["problems"] == [f"mend ownership: {of(signing)}"]
    checked, done = signing.dkim(NAME, check=True), signing.dkim(NAME)
    assert checked.actions == done.actions == [(NAME, "mend ownership", of(signing))]
    assert signing.owner(of(signing)) == right
    assert not signing.dkim(NAME).changed


@pytest.mark.parametrize("text", [None, "", "nonsense", *(zone_text("dkim", NAME, public(kind, 7)) for kind in ("ed25519", "rsa1024"))])
def test_a_record_that_is_missing_or_of_another_key_is_written_and_the_key_is_not_touched(signing, text):
    right = signing.text(record(signing))
    before = inode(signing, private(signing))
    signing.path(record(signing)).unlink()
    if text is not None:
        signing.write(record(signing), text)
    ((_domain, action, _detail),) = signing.domain(NAME).actions
    assert action == "write key record"
    assert (signing.text(record(signing)), inode(signing, private(signing))) == (right, before)
    assert not signing.dkim(NAME).changed


def test_another_service_type_and_a_wrong_mode_are_one_run(signing):
    os.chmod(signing.path(private(signing)), 0o644)
    signing.dkim(NAME, service_type="*")
    assert signing.owner(private(signing))[2] == 0o600
    assert not signing.dkim(NAME, service_type="*").changed


@pytest.mark.parametrize("content", [None, "", "nonsense", pem("rsa1024")[:300]])
def test_a_lost_key_stops_the_run_with_the_option_and_comes_back_with_the_private_key(host, content):
    host.domains({"name": "a.test"}, {"name": NAME, "dkim": OWN})
    host.path(private(host)).unlink()
    if content is not None:
        host.write(private(host), content)
    before = host.entries(*UNSTABLE)
    with pytest.raises(MailErrors) as caught:
        host.domains({"name": "a.test", "dkim": {"key_type": "ed25519"}}, {"name": NAME, "dkim": {}})
    assert [error.where for error in caught.value.errors] == ["domains[1].dkim.selector"]
    assert host.entries(*UNSTABLE) == before
    assert "its mail waits" in str(host.info())
    host.dkim(NAME, **OWN)
    assert key_on(host) == public("ed25519")


def test_a_lost_key_is_replaced_when_that_is_said(signing):
    old = key_on(signing)
    signing.path(private(signing)).unlink()
    signing.dkim(NAME, key_type="ed25519", regenerate="always")
    assert key_on(signing) != old


def test_a_private_key_whose_numbers_do_not_fit_is_refused_by_its_option(host):
    text = pem("rsa1024", form="TraditionalOpenSSL")
    lines = text.splitlines()
    lines[8] = lines[8][::-1]
    with pytest.raises(MailErrors) as caught:
        host.domains({"name": "a.test", "dkim": {"key_type": "ed25519"}}, {"name": NAME, "dkim": {"private_key": "\n".join(lines)}})
    assert [error.where for error in caught.value.errors] == ["domains[1].dkim.private_key"]
    assert files(host) == []
    assert not host.path(host.layout.domains).exists()


# what stands in the way

OBSTACLES = {
    "link": lambda path: path.symlink_to("/etc/hostname"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "directory": Path.mkdir,
    "pipe": os.mkfifo,
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
@pytest.mark.parametrize("of", [private, record])
def test_what_is_no_file_is_never_followed_read_or_replaced(host, of, obstacle):
    host.domains({"name": NAME})
    path = host.path(of(host))
    path.parent.mkdir()
    OBSTACLES[obstacle](path)
    before = host.entries(*UNSTABLE)
    with pytest.raises(MailError) as error:
        host.domains({"name": NAME, "dkim": {"key_type": "ed25519"}})
    assert error.value.where == of(host)
    assert ("symbolic link" if "link" in obstacle else "not a regular file") in str(error.value)
    assert host.entries(*UNSTABLE) == before


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_a_key_in_use_that_became_something_else_is_told_as_that(signing, obstacle):
    signing.path(private(signing)).unlink()
    OBSTACLES[obstacle](signing.path(private(signing)))
    with pytest.raises(MailErrors) as error:
        signing.dkim(NAME)
    assert f"ssl/{NAME}.private, is {'a symbolic link' if 'link' in obstacle else 'not a regular file'}" in str(error.value)


def test_a_directory_of_keys_that_is_a_link_out_of_the_tree_is_refused(host, tmp_path):
    host.domains({"name": NAME})
    host.path(host.layout.ssl_dir).symlink_to("/tmp")
    with pytest.raises(MailError, match="symbolic link"):
        host.dkim(NAME, key_type="ed25519")


# removals


def test_signing_ends_with_the_line_and_the_files(signing):
    signing.dkim(NAME, state="absent")
    assert (files(signing), signing.table("domains")) == ([], [LINE])


@pytest.mark.parametrize("how", ["keep", "archive"])
def test_the_key_of_a_removed_domain_stays_and_signs_when_the_domain_comes_back(signing, how):
    key = key_on(signing)
    signing.domain(NAME, state="absent", removed_mail=how)
    assert files(signing) == [f"{NAME}.private", f"{NAME}.txt"]
    signing.domains({"name": NAME, "dkim": {"key_type": "ed25519"}})
    assert key_on(signing) == key


def test_the_key_of_a_domain_whose_mail_is_deleted_goes_with_it(signing):
    signing.domains({"name": "a.test", "dkim": {"key_type": "ed25519"}})
    signing.domain(NAME, state="absent", removed_mail="delete")
    assert files(signing) == ["a.test.private", "a.test.txt"]


def test_the_second_half_of_a_removal_leaves_the_keys_of_the_others(host):
    other = {"name": "a.test", "mailboxes": [{"name": "info", "password_hash": HASH}]}
    host.domains({"name": NAME, "dkim": OWN}, other)
    host.path(record(host)).unlink()
    new = {"name": NAME, "dkim": {"private_key": pem("ed25519", 1), "regenerate": "always"}}
    host.domains(new, prune=True, prune_limit="100%", removed_mail="delete")
    assert key_on(host) == public("ed25519", 1)


def test_the_key_module_brings_back_no_domain_that_is_being_removed(host):
    host.domains({"name": NAME, "dkim": OWN})
    line = host.text(host.layout.domains).replace("enabled=yes", "enabled=removing was=yes removed=keep since=20261123T040000Z")
    host.write(host.layout.domains, line)
    with pytest.raises(MailError, match="is not a mail domain of this host"):
        host.dkim(NAME, state="absent")
    assert host.text(host.layout.domains) == line


def test_a_private_key_in_one_line_is_written_as_every_library_reads_it(host):
    host.domains({"name": NAME, "dkim": {**OWN, "private_key": " ".join(OWN["private_key"].split("\n"))}})
    assert host.text(f"/etc/exim4/ssl/{NAME}.private").strip().splitlines() == OWN["private_key"].strip().splitlines()
