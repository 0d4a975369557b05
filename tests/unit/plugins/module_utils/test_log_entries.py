# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every change of a run is a line of the log with what was and what is, and none is there that was not made."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _apply, _audit_log
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import provided, secrets_of
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, OTHER_HASH

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

LOG = "/var/log/mail-domains.log"
COM = {
    "name": "example.com",
    "owner": "alice",
    "greylisting": True,
    "block_hosts": ["192.0.2.0/24"],
    "mailboxes": [{"name": "info", "password_hash": HASH, "quota": "1G", "aliases": ["sales"]}],
}


@pytest.fixture
def peopled(host):
    host.domains(COM)
    return host


def lines(host):
    return [json.loads(line) for line in host.text(LOG).splitlines()]


def new_lines(host, change):
    """What a change has added to the log, as action -> changes."""
    before = len(lines(host))
    change()
    return {entry["action"]: entry.get("changes") for entry in lines(host)[before:]}


def test_a_new_domain_is_one_line_with_all_that_was_said_and_its_addresses(peopled):
    (entry,) = lines(peopled)
    assert entry["action"] == "create"
    assert entry["changes"] == {
        "owner": [None, "alice"],
        "enabled": [None, True],
        "disabled_action": [None, "reject"],
        "default_action": [None, "reject"],
        "greylisting": [None, True],
        "block_hosts": [None, ["192.0.2.0/24"]],
        "addresses": [None, {"info@example.com": "mailbox quota=1G", "sales@example.com": "alias to=info@example.com"}],
    }


def test_a_change_says_what_was_and_what_is(peopled):
    wanted = {
        "owner": "bob",
        "enabled": False,
        "greylisting": False,
        "spam_threshold": 7.5,
        "block_hosts": [],
        "ip_addresses": ["192.0.2.1"],
    }
    assert new_lines(peopled, lambda: peopled.domain("example.com", **wanted)) == {
        "change": {
            "owner": ["alice", "bob"],
            "enabled": [True, False],
            "greylisting": [True, False],
            "spam_threshold": [5.0, 7.5],
            "block_hosts": [["192.0.2.0/24"], None],
            "ip_addresses": [None, ["192.0.2.1"]],
        }
    }


def test_each_address_has_its_line(peopled):
    mailbox = {"quota": "2G", "aliases": ["office"], "filters": {"antivirus": True}}
    assert new_lines(peopled, lambda: peopled.mailbox("info@example.com", **mailbox)) == {
        "change mailbox": {"quota": ["1G", "2G"], "antivirus": [None, True]},
        "create alias": {"kind": [None, "alias"], "to": [None, "info@example.com"]},
        "remove address": {"kind": ["alias", None], "to": ["info@example.com", None]},
    }
    assert lines(peopled)[-1]["address"] == "sales@example.com"


def test_a_change_of_kind_names_both(peopled):
    found = new_lines(peopled, lambda: peopled.domains({**COM, "mailboxes": [{"name": "sales", "password_hash": HASH}]}))
    assert found["create mailbox"]["kind"] == ["alias", "mailbox"]


def test_a_password_is_changed_without_a_word_of_it(peopled):
    found = new_lines(peopled, lambda: peopled.mailbox("info@example.com", password_hash=OTHER_HASH, update_password="always"))
    assert found == {"change password": None}
    assert not [secret for secret in (HASH, OTHER_HASH) if secret in peopled.text(LOG)]


def test_a_removed_domain_says_all_that_it_was(peopled):
    (changes,) = new_lines(peopled, lambda: peopled.domain("example.com", state="absent")).values()
    assert changes["owner"] == ["alice", None]
    assert changes["addresses"][0]["info@example.com"] == "mailbox quota=1G"
    assert changes["addresses"][1] is None


def test_every_key_file_has_its_line_also_beside_other_changes(peopled):
    found = new_lines(peopled, lambda: peopled.domain("example.com", owner="bob", dkim={"key_type": "ed25519"}))
    assert found == {
        "change": {"owner": ["alice", "bob"], "dkim": [None, "dkim"]},
        "write key": None,
        "write key record": None,
    }


def test_certificates_say_what_they_were(peopled):
    found = new_lines(peopled, lambda: peopled.domain("example.com", ssl={}))
    assert found["change"] == {"certificate": [None, "mail.example.com"]}
    assert found["create certificate"]["provider"] == [None, "selfsigned"]
    entry = lines(peopled)[-1]
    assert (entry["certificate"], entry["domain"]) == ("mail.example.com", "example.com")
    given = provided("mail.example.com")
    found = new_lines(peopled, lambda: peopled.domain("example.com", ssl=given))
    assert found["change certificate"]["provider"] == ["selfsigned", "provided"]
    assert not [secret for secret in secrets_of([given["private_key"]]) if secret in peopled.text(LOG)]


def test_check_mode_leaves_no_line(peopled):
    assert new_lines(peopled, lambda: peopled.domain("example.com", owner="bob", check=True)) == {}


def test_a_removal_that_failed_is_told_as_such(peopled):
    peopled.path("/srv/open").mkdir(parents=True)
    peopled.path("/srv/open").chmod(0o777)
    found = new_lines(peopled, lambda: peopled.domain("example.com", state="absent", removed_mail="archive", archive_dir="/srv/open"))
    assert list(found) == ["fail"]
    assert lines(peopled)[-1]["detail"].startswith("example.com was not removed: ")


def test_a_run_that_fails_halfway_is_told(peopled, monkeypatch):
    def failing(*_arguments):
        raise MailError("cannot write: No space left on device", "/etc/exim4/domains")

    monkeypatch.setattr(_apply, "walk_steps", failing)
    with pytest.raises(MailError):
        peopled.domain("example.com", owner="bob")
    last = lines(peopled)[-1]
    assert (last["action"], last["generation"]) == ("fail", 2)
    assert last["detail"] == "failed within 1 change of 1 domain: 1 change. /etc/exim4/domains: cannot write: No space left on device"


def test_a_run_that_dies_before_its_removals_has_told_of_the_rest(peopled, monkeypatch):
    def dying(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(_apply, "set_aside", dying)
    with pytest.raises(KeyboardInterrupt):
        peopled.domains({"name": "example.net"}, prune=True, prune_limit="100%")
    assert [(entry["action"], entry["domain"]) for entry in lines(peopled)[1:]] == [("create", "example.net")]


def test_no_host_is_changed_whose_log_cannot_be_written(peopled):
    before = peopled.text(peopled.layout.domains)
    peopled.path(LOG).unlink()
    peopled.path(LOG).mkdir()
    with pytest.raises(MailError) as caught:
        peopled.domain("example.com", owner="bob")
    assert caught.value.where == LOG
    assert peopled.text(peopled.layout.domains) == before


def test_a_check_run_is_told_to_syslog_alone(peopled, monkeypatch):
    told = []
    monkeypatch.setattr(_audit_log, "_tell", lambda _tree, messages, _by, _priority: told.extend(messages))
    peopled.domain("example.com", owner="bob", check=True)
    peopled.domain("example.com", check=True)
    peopled.domain("example.com")
    assert told == ["check mode, 1 change of 1 domain: 1 change", "check mode, no changes"]
