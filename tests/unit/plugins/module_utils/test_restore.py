# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A removed domain comes back as it was: settings, mail, keys and certificates, judged by the files alone."""

from __future__ import annotations

import json
import os
import tarfile

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import marked
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import issued, provided
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, OTHER_HASH, FakeHost

pytestmark = [pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"), pytest.mark.usefixtures("quick_disk")]

COM = {
    "name": "example.com",
    "owner": "alice",
    "default_action": "forward_to_address",
    "forward_to": "catch@agency.test",
    "dkim": {"key_type": "both", "service_type": "*"},
    "dmarc": {"policy": "reject"},
    "ssl": {"alternative_names": ["imap.example.com"]},
    "greylisting": True,
    "allow_senders": ["agency.test"],
    "outgoing_limit": 100,
    "mailboxes": [
        {"name": "info", "password_hash": HASH, "quota": "1G", "aliases": ["sales"], "senders": ["*@example.net"]},
        {"name": "desk", "password_hash": OTHER_HASH, "enabled": False, "filters": {"greylisting": False}},
        {"name": "press", "forward_to": ["a@agency.test"], "keep_copy": False},
    ],
}
TABLES = ("domains", "addresses", "users", "certificates", "disabled_domains", "allow_senders")


@pytest.fixture
def peopled(host):
    host.domains(COM, {"name": "example.net"})
    path = host.path(host.deliver("info@example.com", "1700000000.M1.host:2,FS"))
    os.utime(path, (1700000000, 1700000000))
    home = host.path("/var/vmail/example.com/info")
    (home / "sieve").mkdir()
    (home / "sieve/main.sieve").write_text("keep;")
    (home / ".dovecot.sieve").symlink_to("sieve/main.sieve")
    folder = home / "Maildir/.Sent/cur"
    folder.mkdir(parents=True)
    os.link(path, folder / "copy:2,S")
    for one in [home, *home.rglob("*")]:
        os.lchown(one, 1001, 1001)
    return host


def removed(host, **options):
    """Removes example.com; the path that it can be brought back from."""
    how = options.setdefault("removed_mail", "archive")
    assert host.domain("example.com", state="absent", **options).failures == []
    directory = "/var/backups/mail-domains" if how == "archive" else "/var/vmail/.removed"
    (found,) = [path for path in host.path(directory).iterdir() if path.suffix != ".json"]
    return f"{directory}/{found.name}"


def seen(host):
    """Everything of example.com that a user or a server could notice."""
    lines = {
        table: [line.replace(" restored=", "\0").partition("\0")[0] for line in host.table(table) if "example.com" in line]
        for table in TABLES
    }
    places = ("var/vmail/example.com", "etc/exim4/ssl", "etc/dovecot/certs")
    files = {name: entry for name, entry in host.entries().items() if name.startswith(places)}
    times = {name: int(host.path(name).lstat().st_mtime) for name in files if name.startswith(places[0]) and name != places[0]}
    return lines, files, times


@pytest.mark.parametrize("how", ["keep", "archive"])
def test_a_domain_comes_back_as_it_was(peopled, how):
    before = seen(peopled)
    source = removed(peopled, removed_mail=how)
    outcome = peopled.domain("example.com", restore_from=source)
    assert outcome.changed
    assert seen(peopled) == before
    copy, message = (
        peopled.path(f"/var/vmail/example.com/info/Maildir/{name}") for name in (".Sent/cur/copy:2,S", "new/1700000000.M1.host:2,FS")
    )
    assert copy.samefile(message)
    assert [path.name for path in peopled.path("/var/vmail/.removed").iterdir()] == []


@pytest.mark.parametrize("how", ["keep", "archive"])
def test_a_second_run_changes_nothing(peopled, how):
    source = removed(peopled, removed_mail=how)
    peopled.domain("example.com", restore_from=source)
    before = peopled.identities()
    assert not peopled.domain("example.com", restore_from=source).changed
    if how == "archive":
        peopled.path(source).unlink()
        del before[str(peopled.path(source))], before[str(peopled.path(source).parent)]
        assert not peopled.domain("example.com", restore_from=source).changed
    after = peopled.identities()
    assert {name: after[name] for name in before if "/run/" not in name} == {
        name: one for name, one in before.items() if "/run/" not in name
    }


def test_an_archive_stays_as_it_is(peopled):
    source = removed(peopled)
    before = peopled.path(source).read_bytes()
    peopled.domain("example.com", restore_from=source)
    assert peopled.path(source).read_bytes() == before


def test_check_mode_says_what_would_come_back_and_writes_nothing(peopled):
    source = removed(peopled)
    before = peopled.identities()
    outcome = peopled.domain("example.com", restore_from=source, check=True)
    after = peopled.identities()
    assert {name for name in before | after if before.get(name) != after.get(name) and "/run/" not in name} == set()
    assert ("example.com", "restore mail", f"/var/vmail/example.com, from {source}") in outcome.actions
    real = peopled.domain("example.com", restore_from=source)
    assert (real.actions, real.diff, real.counts) == (outcome.actions, outcome.diff, outcome.counts)
    shown = str((outcome.actions, outcome.diff, outcome.warnings))
    assert HASH not in shown and "PRIVATE" not in shown


def test_what_is_given_beside_it_wins(peopled):
    source = removed(peopled)
    peopled.domain("example.com", restore_from=source, owner="bob", default_action="reject", dkim={"state": "absent"}, greylisting=False)
    (line,) = [line for line in peopled.table("domains") if line.startswith("example.com")]
    assert "owner=bob" in line and "action=reject" in line and "to=" not in line and "dkim=" not in line and "greylist" not in line
    assert "limit=100" in line
    owners = {entry.uid for name, entry in peopled.entries().items() if name.startswith("var/vmail/example.com/")}
    assert owners == {1002}


def test_another_host_gets_the_keys_and_certificates_too(peopled, tmp_path_factory):
    before = seen(peopled)
    source = removed(peopled)
    other = FakeHost(tmp_path_factory.mktemp("other"))
    other.write(source, peopled.path(source).read_bytes())
    other.path(source).chmod(0o600)
    other.domain("example.com", restore_from=source)
    lines, files, times = seen(other)
    assert (lines, times) == (before[0], before[2])
    assert files == before[1]


def test_a_certificate_that_was_provided_comes_back_although_it_has_expired(host):
    host.domain("example.com", ssl=provided())
    before = marked("mail.example.com", issued(days=(-90, -1)))
    for path in ("/etc/exim4/ssl/mail.example.com.pem", "/etc/dovecot/certs/mail.example.com.pem"):
        host.write(path, before)
    source = removed(host)
    assert not host.path("/etc/exim4/ssl/mail.example.com.pem").exists()
    host.domain("example.com", restore_from=source)
    assert host.path("/etc/exim4/ssl/mail.example.com.pem").read_bytes() == before


def test_a_rotation_goes_on_where_it_was(peopled):
    peopled.dkim("example.com", rotate={"to": "next", "retire_after": "7d"})
    before = seen(peopled)
    source = removed(peopled)
    peopled.domain("example.com", restore_from=source)
    assert seen(peopled)[0]["domains"] == before[0]["domains"]
    assert seen(peopled)[1] == before[1]


def test_kept_mail_without_settings_comes_back_and_its_mailboxes_take_it(peopled):
    source = removed(peopled, removed_mail="keep")
    peopled.path(f"{source}.json").unlink()
    peopled.domain("example.com", restore_from=source, owner="bob")
    peopled.mailbox("info@example.com", password_hash=HASH)
    assert peopled.owner("/var/vmail/example.com/info/Maildir/new/1700000000.M1.host:2,FS")[:2] == (1002, 1002)
    assert len(peopled.table("users")) == 1


# errors


def test_a_domain_that_is_there_is_not_overwritten(peopled):
    source = removed(peopled)
    peopled.domain("example.com")
    with pytest.raises(MailError, match="exists on this host, and was not brought back from"):
        peopled.domain("example.com", restore_from=source)


def test_a_removal_that_is_not_finished_is_finished_first(peopled):
    source = removed(peopled)
    peopled.domain("example.com")
    line = next(line for line in peopled.table("domains") if line.startswith("example.com"))
    tombstone = line.replace("enabled=yes", "enabled=removing was=yes removed=delete since=20261123T040000Z")
    peopled.write("/etc/exim4/domains", peopled.text("/etc/exim4/domains").replace(line, tombstone))
    with pytest.raises(MailError, match="is not finished"):
        peopled.domain("example.com", restore_from=source)
    peopled.domains()
    assert peopled.domain("example.com", restore_from=source).changed


def test_mail_that_stands_in_its_place_is_not_touched(peopled):
    source = removed(peopled)
    peopled.write("/var/vmail/example.com/info/Maildir/new/other", "somebody's")
    before = peopled.entries("/run")
    with pytest.raises(MailError, match="is there already"):
        peopled.domain("example.com", restore_from=source)
    assert peopled.entries("/run") == before


def test_another_key_in_its_place_is_not_overwritten(peopled):
    source = removed(peopled)
    peopled.write("/etc/exim4/ssl/example.com.private", "another")
    with pytest.raises(MailError, match="is another key than that of"):
        peopled.domain("example.com", restore_from=source)
    assert peopled.text("/etc/exim4/ssl/example.com.private") == "another"


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda host, source: host.path(source).unlink(), "is not there"),
        (lambda host, source: host.path(source).write_bytes(b"no archive"), "damaged"),
        (lambda host, source: host.path(source).write_bytes(host.path(source).read_bytes()[:-40]), "damaged"),
        (lambda host, source: host.path(source).chmod(0o666), "others than root"),
        (lambda host, source: os.chown(host.path(source), 1001, 1001), "others than root"),
        (lambda host, source: host.write("/etc/passwd", "vmail:x:900:900::/:/bin/false\n"), "alice is no system user"),
    ],
    ids=["missing", "no archive", "cut off", "writable", "somebody's", "no owner"],
)
def test_what_cannot_be_brought_back_changes_nothing(peopled, change, message):
    source = removed(peopled)
    change(peopled, source)
    before = peopled.entries("/run")
    with pytest.raises(MailError, match=message):
        peopled.domain("example.com", restore_from=source)
    after = peopled.entries("/run")
    empty = {"var/vmail/.removed/example.com.restoring"}
    assert {name for name in before | after if before.get(name) != after.get(name)} <= empty


def test_an_archive_of_another_domain_or_of_a_mailbox_is_refused(peopled):
    source = removed(peopled)
    with pytest.raises(MailError, match="not of example"):
        peopled.domain("example.org", restore_from=source)


def test_a_mailbox_archive_says_all_of_its_mailbox(peopled):
    peopled.mailbox("info@example.com", state="absent", removed_mail="archive")
    (path,) = peopled.path("/var/backups/mail-domains").iterdir()
    with tarfile.open(path) as tar:
        names = [member.name.partition("/")[2] for member in tar]
        (declaration,) = [json.load(tar.extractfile(member)) for member in tar if member.name.endswith("/mail_domains.json")]
    assert names[:3] == ["manifest.json", "mail_domains.json", "mail"]
    (domain,) = declaration["domains"]
    assert domain["name"] == "example.com" and set(domain) == {"name", "mailboxes"}
    (mailbox,) = domain["mailboxes"]
    assert mailbox["password_hash"] == HASH and mailbox["quota"] == "1G" and mailbox["aliases"] == ["sales"]


def test_settings_of_kept_mail_are_for_root_alone(peopled):
    source = removed(peopled, removed_mail="keep")
    assert peopled.owner(f"{source}.json") == (0, 0, 0o600)


def test_without_the_space_for_an_archive_nothing_is_removed(peopled, monkeypatch):
    before = peopled.entries("/run", "/var/log", "/var/vmail/.removed", "/var/lib/mail-domains")
    real = os.fstatvfs

    def full(descriptor):
        found = real(descriptor)
        return os.statvfs_result([*found[:4], 0, *found[5:]])

    monkeypatch.setattr(os, "fstatvfs", full)
    (failure,) = peopled.domain("example.com", state="absent", removed_mail="archive").failures
    assert "0 are free" in str(failure)
    assert peopled.entries("/run", "/var/log", "/var/vmail/.removed", "/var/lib/mail-domains") == before
    assert list(peopled.path("/var/vmail/.removed").iterdir()) == []
