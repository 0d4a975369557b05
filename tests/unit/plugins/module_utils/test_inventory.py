# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mail_domain_info tells of a host."""

from __future__ import annotations

import json
import os

import pytest
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root")

COM = {
    "name": "example.com",
    "owner": "alice",
    "mailboxes": [
        {"name": "info", "password_hash": HASH, "aliases": ["sales"]},
        {"name": "press", "forward_to": ["a@agency.test"], "keep_copy": False},
    ],
}


@pytest.fixture
def peopled(host):
    host.domains(COM, {"name": "Exämple.test"})
    return host


def status_of(host, name="example.com"):
    (status,) = host.info(name, with_use=False).status
    return status


def test_a_domain_is_told_in_the_shape_it_is_declared_in(peopled):
    assert peopled.info("example.com").domains == [
        {
            "name": "example.com",
            "owner": "alice",
            "enabled": True,
            "disabled_action": "reject",
            "default_action": "reject",
            "ip_addresses": [],
            "mailboxes": [
                {"name": "info", "enabled": True, "aliases": ["sales"], "quota": "none", "forward_to": [], "senders": []},
                {"name": "press", "enabled": True, "aliases": [], "forward_to": ["a@agency.test"], "keep_copy": False},
            ],
        }
    ]


def test_filters_and_lists_are_told_where_they_are_not_as_usual(host):
    box = {"name": "info", "password_hash": HASH, "filters": {"greylisting": False, "spam_reject_threshold": 0}}
    lists = {"allow_senders": ["*@*.agency.test"], "block_hosts": []}
    host.domains({"name": "example.com", "spam_threshold": 7, "greylisting": True, "antivirus": False, **lists, "mailboxes": [box]})
    (entry,) = host.info().domains
    usual = ("owner", "enabled", "disabled_action", "default_action", "ip_addresses", "mailboxes")
    assert {option: value for option, value in entry.items() if option not in usual} == {
        "name": "example.com",
        "greylisting": True,
        "spam_threshold": 7.0,
        "allow_senders": ["*@*.agency.test"],
    }
    assert entry["mailboxes"][0]["filters"] == {"greylisting": False, "spam_reject_threshold": 0.0}


def test_a_status_counts_and_is_healthy(peopled):
    message = peopled.deliver("info@example.com", content="12345")
    (status,) = peopled.info("example.com").status
    assert status.pop("last_change").endswith("Z")
    assert message.startswith(status["mail_directory"])
    assert status == {
        "name": "example.com",
        "is_on": True,
        "suspended_reason": "",
        "healthy": True,
        "problems": [],
        "mail_directory": "/var/vmail/example.com",
        "signing": "",
        "signing_since": "",
        "mailboxes": 1,
        "aliases": 1,
        "forwards": 1,
        "bytes": 5,
        "files": 1,
    }


def test_how_old_a_key_is_tells_the_older_of_those_that_sign(peopled):
    peopled.dkim("example.com", key_type="both")
    ssl = peopled.path(peopled.layout.ssl_dir)
    (rsa, ed25519) = sorted(ssl.glob("example.com*.private"))
    os.utime(rsa, (0, 1_700_000_000))
    os.utime(ed25519, (0, 1_600_000_000))
    assert status_of(peopled)["signing_since"] == "2020-09-13T12:26:40Z"
    rsa.unlink()
    ed25519.unlink()
    assert status_of(peopled)["signing_since"] == ""


def test_use_is_counted_only_when_it_is_asked_for(peopled):
    assert "bytes" not in status_of(peopled)


def test_domains_and_status_are_those_asked_for_by_name_or_owner(peopled):
    def names(*wanted, **options):
        inventory = peopled.info(*wanted, with_use=False, **options)
        assert [entry["name"] for entry in inventory.domains] == [entry["name"] for entry in inventory.status]
        return [entry["name"] for entry in inventory.domains]

    assert names() == ["example.com", "xn--exmple-cua.test"]
    assert names("xn--exmple-cua.test") == ["xn--exmple-cua.test"]
    assert names(owner="alice") == ["example.com"]
    assert names("example.com", owner="vmail") == []


def test_a_host_without_anything_has_no_domains(host):
    assert host.info() == ([], [], [], [], False, [])


def test_drift_is_a_problem(peopled):
    peopled.path("/var/vmail/example.com/info").chmod(0o755)
    assert status_of(peopled)["problems"] == ["mend ownership: /var/vmail/example.com/info"]
    assert not status_of(peopled)["healthy"]
    assert status_of(peopled, "xn--exmple-cua.test")["healthy"]


def test_an_owner_who_is_gone_is_a_problem(peopled):
    peopled.write("/etc/passwd", peopled.text("/etc/passwd").replace("alice:", "alicia:"))
    assert "its owner alice is no system user" in status_of(peopled)["problems"]


def test_a_mailbox_without_a_login_is_a_problem(peopled):
    peopled.path(peopled.layout.users).unlink()
    assert "the mailbox info@example.com has no login: give it a password" in status_of(peopled)["problems"]


def test_a_forward_to_nowhere_is_a_problem_of_its_domain(peopled):
    path = peopled.layout.addresses
    peopled.write(path, peopled.text(path).replace("a@agency.test", "nobody@example.com"))
    assert status_of(peopled)["problems"] == ["press@example.com forwards to nobody@example.com, which is no address of this host"]


def test_a_circle_of_forwards_is_a_problem_and_does_not_stop_the_module(peopled):
    path = peopled.layout.addresses
    peopled.write(path, peopled.text(path) + "x@example.com: forward to=y@example.com\ny@example.com: forward to=x@example.com\n")
    assert "goes in a circle" in status_of(peopled)["problems"][0]


def test_a_removal_that_is_not_finished_is_a_problem_and_not_declared(peopled):
    path = peopled.layout.domains
    line = "example.com: owner=alice enabled=removing disabled=reject action=reject was=yes removed=keep since=20261123T040000Z"
    peopled.write(path, peopled.text(path).replace("example.com: owner=alice enabled=yes disabled=reject action=reject", line))
    inventory = peopled.info("example.com", with_use=False)
    assert inventory.domains == []
    assert any("began at 20261123T040000Z" in problem for problem in inventory.status[0]["problems"])


def test_no_hash_is_told_but_in_the_export(peopled):
    inventory = peopled.info(export_file="/etc/export.json")
    assert HASH not in repr(inventory)
    assert HASH in peopled.text("/etc/export.json")


def test_an_export_is_changed_only_when_its_content_or_its_rights_are(peopled):
    assert peopled.info(export_file="/etc/export.json").changed
    assert not peopled.info(export_file="/etc/export.json").changed
    peopled.path("/etc/export.json").chmod(0o644)
    assert peopled.info(export_file="/etc/export.json").changed
    assert peopled.owner("/etc/export.json") == (0, 0, 0o600)


def test_an_export_is_not_written_in_check_mode(peopled):
    assert peopled.info(export_file="/etc/export.json", check=True).changed
    assert not peopled.path("/etc/export.json").exists()


def test_an_export_holds_the_domains_asked_for(peopled):
    peopled.info("example.com", export_file="/etc/export.json")
    assert [entry["name"] for entry in json.loads(peopled.text("/etc/export.json"))["domains"]] == ["example.com"]


def test_taking_an_inventory_changes_nothing(peopled):
    before = peopled.identities()
    peopled.info()
    assert peopled.identities() == before
