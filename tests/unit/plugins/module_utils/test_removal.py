# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of mail that is removed, judged by the files alone."""

from __future__ import annotations

import json
import os
import tarfile

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, OTHER_HASH

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root")

COM = {
    "name": "example.com",
    "owner": "alice",
    "mailboxes": [
        {"name": "info", "password_hash": HASH, "aliases": ["sales"]},
        {"name": "desk", "password_hash": HASH},
    ],
    **{name: ["agency.test"] for name in ("allow_senders", "block_senders")},
    **{name: ["192.0.2.9"] for name in ("allow_hosts", "block_hosts")},
}


@pytest.fixture
def peopled(host):
    host.domains(COM, {"name": "example.net"})
    host.deliver("info@example.com", content="for info")
    host.deliver("desk@example.com", content="for desk")
    return host


def set_aside(host):
    return sorted(path.name for path in host.path("/var/vmail/.removed").iterdir() if path.is_dir())


def archives(host, directory="/var/backups/mail-domains"):
    return sorted(path.name for path in host.path(directory).iterdir()) if host.path(directory).exists() else []


def test_removing_a_domain_takes_all_of_its_lines(peopled):
    peopled.domain("example.com", state="absent")
    assert [line.partition(":")[0] for line in peopled.table("domains")] == ["example.net"]
    for name in ("addresses", "users", "disabled_domains", *peopled.layout.domain_lists):
        assert peopled.table(name) == []


def test_kept_mail_belongs_to_root_and_is_out_of_sight(peopled):
    peopled.domain("example.com", state="absent")
    (name,) = set_aside(peopled)
    assert name.startswith("example.com.")
    tree = f"/var/vmail/.removed/{name}"
    assert peopled.text(f"{tree}/info/Maildir/new/mail-1") == "for info"
    assert {peopled.owner(f"/{path}")[:2] for path in peopled.entries() if path.startswith(tree[1:])} == {(0, 0)}
    assert peopled.owner("/var/vmail/.removed") == (0, 0, 0o700)
    assert not peopled.path("/var/vmail/example.com").exists()


def test_archived_mail_is_one_file_for_root_alone(peopled):
    outcome = peopled.domain("example.com", state="absent", removed_mail="archive")
    (name,) = archives(peopled)
    path = f"/var/backups/mail-domains/{name}"
    assert peopled.owner(path) == (0, 0, 0o600)
    with tarfile.open(peopled.path(path)) as tar:
        contents = {member.name.partition("/")[2]: tar.extractfile(member).read() for member in tar if member.isfile()}
    assert list(contents)[:2] == ["manifest.json", "mail_domains.json"]
    mail = {name: content for name, content in contents.items() if name.startswith("mail/")}
    assert mail == {"mail/info/Maildir/new/mail-1": b"for info", "mail/desk/Maildir/new/mail-1": b"for desk"}
    assert set_aside(peopled) == []
    assert outcome.failures == []


def test_an_archive_goes_where_the_user_says(peopled):
    peopled.path("/srv").mkdir()
    peopled.domain("example.com", state="absent", removed_mail="archive", archive_dir="/srv/mail archive")
    assert len(archives(peopled, "/srv/mail archive")) == 1


def test_deleted_mail_is_gone(peopled):
    peopled.domain("example.com", state="absent", removed_mail="delete")
    assert set_aside(peopled) == []
    assert archives(peopled) == []
    assert not any("mail-1" in name for name in peopled.entries())


def test_removing_a_mailbox_takes_its_aliases_and_leaves_the_others(peopled):
    peopled.mailbox("info@example.com", state="absent", removed_mail="delete")
    assert peopled.table("addresses") == ["desk@example.com: mailbox"]
    assert [line.partition(":")[0] for line in peopled.table("users")] == ["desk@example.com"]
    assert not peopled.path("/var/vmail/example.com/info").exists()
    assert peopled.text("/var/vmail/example.com/desk/Maildir/new/mail-1") == "for desk"


def test_removing_an_alias_leaves_its_mailbox(peopled):
    peopled.mailbox("sales@example.com", state="absent")
    assert peopled.table("addresses") == ["desk@example.com: mailbox", "info@example.com: mailbox"]
    assert not peopled.path("/var/vmail/.removed").exists()


def test_what_is_not_there_is_removed_already(peopled):
    assert not peopled.mailbox("nobody@example.com", state="absent").changed
    assert not peopled.mailbox("nobody@elsewhere.test", state="absent").changed
    assert not peopled.domain("elsewhere.test", state="absent").changed


def test_a_mailbox_becomes_an_alias_in_one_step_and_its_mail_is_set_aside(peopled):
    outcome = peopled.mailbox("info@example.com", aliases=["sales", "desk"], removed_mail="keep")
    assert "desk@example.com: alias to=info@example.com" in peopled.table("addresses")
    assert [name.partition("@")[0] for name in set_aside(peopled)] == ["desk"]
    assert ("example.com", "create alias", "desk@example.com, which was a mailbox") in outcome.actions


def test_an_alias_becomes_a_mailbox_again(peopled):
    peopled.mailbox("info@example.com", aliases=["desk"], removed_mail="delete")
    peopled.mailbox("desk@example.com", password_hash=OTHER_HASH)
    assert "desk@example.com: mailbox" in peopled.table("addresses")
    assert OTHER_HASH in peopled.table("users")[0]
    assert peopled.owner("/var/vmail/example.com/desk") == (1001, 1001, 0o700)


def test_a_removed_domain_can_be_made_again_and_has_no_old_mail(peopled):
    peopled.domain("example.com", state="absent")
    peopled.domains({**COM, "owner": "bob"})
    assert not any("mail-1" in name for name in peopled.entries() if name.startswith("var/vmail/example.com"))


def test_pruning_says_what_it_removes(peopled):
    outcome = peopled.domains({"name": "example.net"}, prune=True, prune_limit="100%", removed_mail="delete")
    assert outcome.actions == [("example.com", "remove", "its mail is deleted")]
    assert outcome.counts["domains"] == {"created": 0, "changed": 0, "removed": 1, "total": 1}
    assert outcome.counts["mailboxes"]["removed"] == 2


# links


@pytest.mark.parametrize("how", ["keep", "archive", "delete"])
def test_no_removal_follows_a_link_in_the_mail(peopled, how, tmp_path):
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "file").write_text("precious")
    os.chown(victim, 1001, 1001)
    os.chown(victim / "file", 1001, 1001)
    new = peopled.path("/var/vmail/example.com/info/Maildir/new")
    (new / "directory").symlink_to(victim)
    (new / "file").symlink_to(victim / "file")
    peopled.domain("example.com", state="absent", removed_mail=how)
    assert (victim / "file").read_text() == "precious"
    assert {(path.stat().st_uid, path.stat().st_gid) for path in (victim, victim / "file")} == {(1001, 1001)}
    for name in archives(peopled):
        with tarfile.open(peopled.path(f"/var/backups/mail-domains/{name}")) as tar:
            assert not [member for member in tar if member.isfile() and tar.extractfile(member).read() == b"precious"]


# failures


def failing(peopled):
    """The directory of archives is one that anybody may write to, so that archiving must fail."""
    peopled.path("/srv/open").mkdir(parents=True)
    peopled.path("/srv/open").chmod(0o777)
    return {"removed_mail": "archive", "archive_dir": "/srv/open"}


def test_a_domain_whose_archive_fails_comes_back_with_its_mail(peopled):
    before = peopled.entries("/run", "/var/log", "/var/lib", "/srv", "/var/vmail/.removed")
    outcome = peopled.domain("example.com", state="absent", **failing(peopled))
    (failure,) = outcome.failures
    assert failure.message.startswith("example.com was not removed: ")
    assert "could replace an archive" in failure.message
    assert peopled.entries("/run", "/var/log", "/var/lib", "/srv", "/var/vmail/.removed") == before


def test_a_mailbox_whose_archive_fails_comes_back_with_its_mail_and_login(peopled):
    before = peopled.entries("/run", "/var/log", "/var/lib", "/srv", "/var/vmail/.removed")
    outcome = peopled.mailbox("desk@example.com", state="absent", **failing(peopled))
    assert [failure.message.partition(":")[0] for failure in outcome.failures] == ["desk@example.com was not removed"]
    assert peopled.entries("/run", "/var/log", "/var/lib", "/srv", "/var/vmail/.removed") == before


def test_a_disabled_domain_whose_archive_fails_comes_back_disabled(peopled):
    peopled.domain("example.com", enabled=False, disabled_action="defer")
    before = peopled.entries("/run", "/var/log", "/var/lib", "/srv", "/var/vmail/.removed")
    peopled.domain("example.com", state="absent", **failing(peopled))
    assert peopled.entries("/run", "/var/log", "/var/lib", "/srv", "/var/vmail/.removed") == before


def test_the_log_of_changes_does_not_claim_a_removal_that_failed(peopled):
    peopled.mailbox("desk@example.com", state="absent", **failing(peopled))
    actions = [json.loads(line)["action"] for line in peopled.text("/var/log/mail-domains.log").splitlines()]
    assert "remove mailbox" not in actions


def test_a_removal_that_failed_can_be_tried_again(peopled):
    peopled.domain("example.com", state="absent", **failing(peopled))
    peopled.path("/srv/open").chmod(0o700)
    outcome = peopled.domain("example.com", state="absent", removed_mail="archive", archive_dir="/srv/open")
    assert outcome.failures == []
    assert len(archives(peopled, "/srv/open")) == 1


def test_an_alias_whose_old_mail_cannot_be_archived_is_an_alias_and_the_next_run_goes_on(peopled):
    options = failing(peopled)
    outcome = peopled.mailbox("info@example.com", aliases=["sales", "desk"], **options)
    assert [failure.message.partition(":")[0] for failure in outcome.failures] == ["desk@example.com was not removed"]
    peopled.path("/srv/open").chmod(0o700)
    peopled.domains()
    assert "desk@example.com: alias to=info@example.com" in peopled.table("addresses")
    assert len(archives(peopled, "/srv/open")) == 1


def test_a_link_in_the_place_of_the_removed_mail_is_refused(peopled, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    peopled.path("/var/vmail/.removed").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MailError, match="symbolic link"):
        peopled.domain("example.com", state="absent")
    assert len(peopled.table("addresses")) == 3
    assert peopled.text("/var/vmail/example.com/info/Maildir/new/mail-1") == "for info"
    assert list((tmp_path / "elsewhere").iterdir()) == []
