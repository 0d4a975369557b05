# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The way back: what is kept of the last runs, and what a host is after going back to before one."""

from __future__ import annotations

import json
import os
import stat

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _generations
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import RunBy
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import provided
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.certificate_world import ACME
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, OTHER_HASH

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

KEPT = "/var/lib/mail-domains/generations"
COM = {
    "name": "example.com",
    "owner": "alice",
    "mailboxes": [
        {"name": "info", "password_hash": HASH, "quota": "1G", "aliases": ["sales"]},
        {"name": "press", "forward_to": ["a@agency.test"], "keep_copy": False},
    ],
}
NET = {"name": "example.net"}
ALL = {"prune_limit": "100%"}


@pytest.fixture
def peopled(host):
    """Generation 1 is the empty host, and what follows begins with 2."""
    host.domains(COM, NET)
    return host


def numbers(host):
    return sorted(int(path.name) for path in host.path(KEPT).iterdir())


def errors_of(host, generation, **options):
    with pytest.raises(MailError) as caught:
        host.restore(generation, **options)
    return str(caught.value)


# what is kept


def test_the_tables_before_a_run_are_kept_as_they_were_for_root_alone(peopled):
    before = {name: peopled.text(peopled.table_path(name)) for name in ("domains", "addresses", "users", "block_hosts", "certificates")}
    peopled.domains({"name": "example.com", "owner": "bob"})
    assert {name: peopled.text(f"{KEPT}/2/{name}") for name in before} == before
    assert peopled.owner(KEPT) == peopled.owner(f"{KEPT}/2") == (0, 0, 0o700)
    assert {stat.S_IMODE(path.stat().st_mode) for path in peopled.path(f"{KEPT}/2").iterdir()} == {0o600}


def test_only_a_run_that_changes_a_table_makes_one(peopled):
    before = peopled.identities()
    peopled.domains(COM, check=True)
    peopled.domains(COM)
    peopled.domain("example.com", owner="bob", check=True)
    assert peopled.identities() | {str(peopled.path("/run/mail-domains.lock")): None} == before | {
        str(peopled.path("/run/mail-domains.lock")): None
    }
    peopled.path("/var/vmail/example.com/info").chmod(0o755)
    assert peopled.domains(COM).changed
    assert numbers(peopled) == [1]


def test_the_last_ten_are_kept_under_numbers_that_never_come_again(peopled):
    for number in range(12):
        peopled.mailbox("info@example.com", quota=f"{number + 2}G")
    assert numbers(peopled) == list(range(4, 14))


def test_the_one_that_is_gone_back_to_stays_for_the_second_run(peopled):
    for number in range(9):
        peopled.mailbox("info@example.com", quota=f"{number + 2}G")
    assert peopled.restore(1, **ALL).changed
    assert numbers(peopled) == list(range(1, 12))
    assert not peopled.restore(1, **ALL).changed
    peopled.domains(NET)
    assert numbers(peopled) == list(range(3, 13))


def test_what_a_run_left_that_died_goes_with_the_next_one(peopled):
    peopled.write(f"{KEPT}/.new-17/domains", "half")
    peopled.domain("example.com", owner="bob")
    assert {path.name for path in peopled.path(KEPT).iterdir()} == {"1", "2"}


def test_info_tells_which_there_are_and_who_made_them(peopled):
    peopled.domain("example.com", owner="bob")
    first, second = peopled.info(with_use=False).generations
    assert (first["number"], first["changes"]) == (1, "2 changes of 2 domains: 2 create")
    assert (second["number"], second["changes"], second["user"]) == (2, "1 change of 1 domain: 1 change", "root")
    assert second["time"].endswith("Z")


def test_every_line_of_the_log_names_the_generation_before_it(peopled):
    peopled.domain("example.com", owner="bob")
    last = json.loads(peopled.text("/var/log/mail-domains.log").splitlines()[-1])
    assert (last["detail"], last["generation"]) == ("owner: alice -> bob", 2)


# what cannot be gone back to


def test_a_number_that_is_not_there_is_told_with_those_that_are(peopled):
    assert "There are 1; mail_domain_info tells of each" in errors_of(peopled, 7)
    assert "No run has changed a table yet" in errors_of(peopled.__class__(peopled.root / "other"), 1)


@pytest.mark.parametrize("damage", [b"", b"example.com: owner=mallory\n", None])
def test_a_table_that_is_not_as_it_was_written_is_not_used(peopled, damage):
    peopled.domain("example.com", owner="bob")
    path = peopled.path(f"{KEPT}/2/domains")
    path.unlink() if damage is None else path.write_bytes(damage)
    assert "the table domains of generation 2 is damaged" in errors_of(peopled, 2)
    assert "owner=bob" in peopled.table("domains")[0]


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"format": 2}', '{"format": 1}', "[" * 9999])
def test_a_generation_without_a_description_is_none(peopled, text):
    peopled.write(f"{KEPT}/1/generation.json", text)
    assert peopled.info(with_use=False).generations == []
    assert "there is no generation 1" in errors_of(peopled, 1)


def test_a_link_in_their_place_is_not_followed(peopled):
    peopled.path("/elsewhere").mkdir()
    peopled.path(f"{KEPT}/5").symlink_to(peopled.path("/elsewhere"))
    assert [one["number"] for one in peopled.info(with_use=False).generations] == [1]


# the way back


def test_the_host_is_as_it_was_with_check_mode_and_diff(peopled):
    tables = {name: peopled.table(name) for name in ("domains", "addresses", "users", "disabled_domains")}
    peopled.domains({**COM, "owner": "bob", "enabled": False, "mailboxes": [{"name": "info", "quota": "none", "aliases": ["new"]}]})
    checked, outcome = peopled.restore(2, check=True), peopled.restore(2)
    assert (checked.actions, checked.diff, checked.changed) == (outcome.actions, outcome.diff, True)
    assert ("example.com", "change", "owner: bob -> alice, enabled: no -> yes") in outcome.actions
    assert {name: peopled.table(name) for name in tables} == tables
    assert not peopled.restore(2).changed


def test_going_back_can_be_undone(peopled):
    peopled.domain("example.com", owner="bob")
    peopled.restore(2)
    last = json.loads(peopled.text("/var/log/mail-domains.log").splitlines()[-1])
    assert (last["restores"], last["generation"]) == (2, 3)
    assert peopled.info(with_use=False).generations[-1]["changes"] == "back to 2, 1 change of 1 domain: 1 change"
    assert peopled.restore(3).changed
    assert "owner=bob" in peopled.table("domains")[0]


def test_a_password_is_the_one_of_then_and_is_shown_nowhere(peopled):
    peopled.mailbox("info@example.com", password_hash=OTHER_HASH, update_password="always")
    outcome = peopled.restore(2)
    assert outcome.actions == [("example.com", "change password", "info@example.com")]
    assert HASH in peopled.table("users")[0]
    assert HASH not in repr(outcome.diff) + peopled.text("/var/log/mail-domains.log")


def test_what_came_since_goes_within_the_limit_of_prune(peopled):
    peopled.domains({"name": "new.test", "mailboxes": [{"name": "info", "password_hash": HASH}]})
    peopled.deliver("info@new.test")
    message = errors_of(peopled, 2)
    assert "going back to generation 2 would remove 1 of 3 domains (new.test), the limit is 10%" in message
    outcome = peopled.restore(2, prune_limit="1", removed_mail="archive")
    assert [action.action for action in outcome.actions] == ["remove"]
    assert [path.name.startswith("new.test.") for path in peopled.path("/var/backups/mail-domains").iterdir()] == [True]


def test_a_domain_that_comes_back_without_its_kept_mail_says_where_that_is(peopled):
    peopled.deliver("info@example.com")
    peopled.domain("example.com", state="absent")
    (kept,) = (path for path in peopled.path("/var/vmail/.removed").iterdir() if path.is_dir())
    outcome = peopled.restore(2)
    (warning,) = outcome.warnings
    assert warning.startswith(
        f"example.com comes back without its old mail, which is kept in /var/vmail/.removed/{kept.name}: restore_from"
    )
    assert list(peopled.path("/var/vmail/example.com/info").iterdir()) == []


def test_a_mailbox_that_comes_back_says_it_too(peopled):
    peopled.mailbox("info@example.com", state="absent")
    (warning,) = peopled.restore(2).warnings
    assert "info@example.com comes back without its old mail" in warning
    assert "doveadm import" in warning


def test_a_removal_that_was_under_way_then_is_over(peopled):
    domains = peopled.text(peopled.layout.domains)
    tombstone = "example.net: owner=vmail enabled=removing disabled=reject action=reject was=yes removed=keep since=20261123T040000Z"
    peopled.write(peopled.layout.domains, domains.replace(peopled.table("domains")[1], tombstone))
    peopled.domain("example.com", owner="bob")
    assert "enabled=removing" in peopled.text(f"{KEPT}/2/domains")
    peopled.restore(2)
    assert peopled.table("domains") == ["example.com: owner=alice enabled=yes disabled=reject action=reject"]


def test_the_end_state_is_checked_as_in_any_run(peopled):
    peopled.domain("example.com", owner="bob")
    peopled.write("/etc/passwd", peopled.text("/etc/passwd").replace("alice:", "alicia:"))
    assert "example.com owner: alice is no system user of this host" in errors_of(peopled, 2)
    assert peopled.restore(2, check=True).changed


def test_a_target_that_went_with_another_domain_is_missed(peopled):
    peopled.domains({"name": "first.test", "default_action": "forward_to_domain", "forward_to": "example.net"})
    peopled.domain("first.test", default_action="reject")
    for path in (peopled.layout.domains, f"{KEPT}/3/domains"):
        assert "first.test" in peopled.text(path)
    wrong = {name: peopled.text(f"{KEPT}/3/{name}").encode() for name in ("domains", "addresses", "users")}
    wrong["domains"] = "".join(line for line in wrong["domains"].decode().splitlines(True) if "example.net:" not in line).encode()
    tree = _generations.Tree(str(peopled.root))
    _generations.keep(tree, peopled.layout, wrong, RunBy(), "", None)
    assert "forwards to example.net, which is removed in this run" in errors_of(peopled, 4, **ALL)


def test_a_forward_that_has_got_a_mailbox_is_not_undone_in_one_step(peopled):
    peopled.mailbox("press@example.com", password_hash=HASH)
    assert "press@example.com: was a forward without a mailbox then" in errors_of(peopled, 2, **ALL)
    peopled.mailbox("press@example.com", state="absent")
    assert peopled.restore(2, **ALL).changed
    assert "press@example.com: forward to=a@agency.test" in peopled.table("addresses")


def test_what_stands_by_hand_in_a_line_comes_back_with_it(peopled):
    text = peopled.text(peopled.layout.domains).replace("example.com: owner=alice", "example.com: owner=alice contract=2041")
    peopled.write(peopled.layout.domains, text)
    peopled.domain("example.com", state="absent", removed_mail="delete")
    peopled.restore(2)
    assert "contract=2041" in peopled.table("domains")[0]


def test_what_no_generation_can_know_stays(peopled):
    peopled.domain("example.com", owner="bob")
    peopled.write(peopled.layout.domains, peopled.text(peopled.layout.domains) + "# somebody's\n*: owner=nobody\n")
    peopled.restore(2)
    assert "# somebody's\n*: owner=nobody\n" in peopled.text(peopled.layout.domains)


# keys and certificates


def test_keys_that_are_still_there_are_used_as_they_are(host):
    host.domains({"name": "example.com", "dkim": {"key_type": "ed25519"}})
    private = host.text(f"{host.layout.ssl_dir}/example.com.private")
    host.domain("example.com", state="absent")
    outcome = host.restore(2)
    assert host.text(f"{host.layout.ssl_dir}/example.com.private") == private
    assert not [warning for warning in outcome.warnings if "lost" in warning]


def test_a_lost_key_is_made_anew_under_its_selector_and_told(host):
    host.domains({"name": "example.com", "dkim": {"key_type": "both", "selector": "s1"}})
    line = host.table("domains")
    host.domain("example.com", state="absent", removed_mail="delete")
    assert not host.path(f"{host.layout.ssl_dir}/example.com.private").exists()
    checked = host.restore(2, check=True)
    outcome = host.restore(2)
    assert checked.warnings == outcome.warnings
    assert (
        "the key of selector s1 is lost and made anew (rsa, 2048 bits). Publish the new TXT of s1._domainkey.example.com"
        in outcome.warnings[0]
    )
    assert "the key of selector s1-ed25519 is lost and made anew (ed25519, 256 bits)" in outcome.warnings[1]
    assert host.table("domains") == line
    assert "PRIVATE KEY" in host.text(f"{host.layout.ssl_dir}/example.com.private")
    assert host.info(with_use=False).status[0]["healthy"]


def test_a_certificate_of_an_authority_is_ordered_again(host, certbot):
    host.domains({"name": "example.com", "ssl": ACME})
    lines = host.table("certificates")
    host.domain("example.com", state="absent", removed_mail="delete")
    certbot.orders.clear()
    host.restore(2)
    assert [order["domains"] for order in certbot.orders] == ["mail.example.com"]
    assert host.table("certificates") == lines


def test_one_that_was_provided_is_stood_in_for_and_told(host):
    host.domains({"name": "example.com", "ssl": provided("mail.example.com")})
    host.domain("example.com", state="absent", removed_mail="delete")
    outcome = host.restore(2)
    assert "the certificate mail.example.com was provided and is lost; a self-signed one stands in" in outcome.warnings[0]
    assert host.path(host.layout.exim_certificate("mail.example.com")).exists()


def test_a_lost_self_signed_certificate_is_made_anew(host):
    host.domains({"name": "example.com", "ssl": {}})
    lines = host.table("certificates")
    host.domain("example.com", state="absent", removed_mail="delete")
    assert host.table("certificates") == []
    host.restore(2)
    assert host.table("certificates") == lines
    assert host.path(host.layout.exim_certificate("mail.example.com")).exists()
    assert host.path(host.layout.dovecot_certificate("mail.example.com")).exists()
    assert not host.restore(2).changed
