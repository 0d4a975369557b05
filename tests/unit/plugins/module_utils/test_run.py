# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs over a file tree, judged by the files alone."""

from __future__ import annotations

import json
import os
import re
import shutil

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._model import EXIM_FORMAT
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import (
    DOVECOT_GID,
    EXIM_GID,
    HASH,
    OTHER_HASH,
    FakeHost,
)

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

COM = {
    "name": "example.com",
    "owner": "alice",
    "mailboxes": [
        {"name": "info", "password_hash": HASH, "quota": "1G", "aliases": ["sales"], "senders": ["*@example.net"]},
        {"name": "press", "forward_to": ["a@agency.test", "b@agency.test"], "keep_copy": False},
        {"name": "copy", "password_hash": HASH, "forward_to": ["info@example.com"], "enabled": False},
    ],
}
NET = {"name": "example.net", "default_action": "forward_to_domain", "forward_to": "example.com", "block_hosts": ["192.0.2.99"]}
ORG = {"name": "example.org", "enabled": False, "disabled_action": "defer", "ip_addresses": ["192.0.2.10", "2001:db8::10"]}


@pytest.fixture(params=["debian", "redhat"])
def each_host(request, tmp_path):
    return FakeHost(tmp_path, request.param)


def test_a_fresh_host_gets_its_tables(each_host):
    each_host.domains(COM, NET, ORG)
    assert each_host.table("domains") == [
        "example.com: owner=alice enabled=yes disabled=reject action=reject",
        "example.net: owner=vmail enabled=yes disabled=reject action=forward_to_domain to=example.com",
        "example.org: owner=vmail enabled=no disabled=defer action=reject",
    ]
    assert each_host.table("domainips") == ["example.org: 192.0.2.10 ; 2001:db8::10"]
    assert each_host.table("addresses") == [
        "copy@example.com: mailbox enabled=no forward=info@example.com",
        "info@example.com: mailbox quota=1G senders=*@example.net",
        "press@example.com: forward to=a@agency.test,b@agency.test",
        "sales@example.com: alias to=info@example.com",
    ]
    locked = f"!{HASH}"
    assert each_host.table("users") == [
        f"copy@example.com:{locked}:1001:1001::/var/vmail/example.com/copy::",
        f"info@example.com:{HASH}:1001:1001::/var/vmail/example.com/info::userdb_quota_storage_size=1G",
    ]
    assert each_host.table("disabled_domains") == ["example.org:"]


def test_every_table_begins_with_its_name_and_format(host):
    host.domains()
    paths = {name: getattr(host.layout, name) for name in ("domains", "addresses", "users", "disabled_domains", "certificates")}
    for name, path in {**paths, **host.layout.domain_lists}.items():
        assert host.text(path).startswith(f"# fleetpost.mail table {name} format 1\n")


def test_an_empty_list_makes_the_tables_that_are_missing_and_only_once(host):
    assert host.domains().changed
    assert not host.domains().changed


def test_owners_and_modes_are_those_of_the_documentation(each_host):
    each_host.domains(COM, ORG)
    layout = each_host.layout
    for path in (layout.domains, *layout.domain_lists.values(), layout.addresses):
        assert each_host.owner(path) == (0, EXIM_GID, 0o640)
    for path in (layout.users, layout.disabled_domains):
        assert each_host.owner(path) == (0, DOVECOT_GID, 0o640)
    assert each_host.owner("/var/vmail") == (0, 0, 0o711)
    assert each_host.owner("/var/vmail/example.com") == (0, 0, 0o711)
    assert each_host.owner("/var/vmail/example.com/info") == (1001, 1001, 0o700)
    assert not each_host.path("/var/vmail/example.com/press").exists()


def test_the_quota_field_follows_the_version_of_dovecot(tmp_path):
    host = FakeHost(tmp_path, dovecot="2.3")
    host.domains(COM)
    assert host.table("users")[1].endswith("::userdb_quota_rule=*:storage=1G")


def test_the_quota_field_changes_with_an_upgrade_of_dovecot(tmp_path):
    FakeHost(tmp_path, dovecot="2.3").domains(COM)
    host = FakeHost(tmp_path, dovecot="2.4")
    assert host.domains().changed
    assert host.table("users")[1].endswith("::userdb_quota_storage_size=1G")


def test_a_second_run_touches_nothing(each_host):
    each_host.domains(COM, NET, ORG)
    before = each_host.identities()
    outcome = each_host.domains(COM, NET, ORG)
    after = each_host.identities()
    lock = str(each_host.path("/run/mail-domains.lock"))
    assert {**before, lock: None} == {**after, lock: None}
    assert (outcome.changed, outcome.actions, outcome.diff) == (False, [], [])


def test_a_check_run_touches_nothing(host):
    host.domains(COM, NET)
    before = host.identities()
    outcome = host.domains({**COM, "owner": "bob"}, ORG, check=True, prune=True, prune_limit="100%")
    assert outcome.changed
    assert host.identities() == before


def test_a_check_run_on_a_bare_tree_touches_nothing_and_warns(tmp_path):
    host = FakeHost(tmp_path)
    for directory in (host.layout.exim_dir, host.layout.dovecot_dir):
        shutil.rmtree(host.path(directory))
    host.write("/etc/passwd", "root:x:0:0::/:/bin/sh\n")
    before = host.identities()
    outcome = host.domains(COM, NET, check=True)
    assert outcome.changed
    assert host.identities() == before
    assert "domains[1].owner: vmail is no system user of this host yet" in "\n".join(outcome.warnings)
    assert "/etc/exim4 is not there yet: the role fleetpost.mail.exim makes it" in outcome.warnings


def test_a_real_run_on_a_bare_tree_says_which_role_to_run(host):
    shutil.rmtree(host.path(host.layout.exim_dir))
    with pytest.raises(MailError, match=r"Run the role fleetpost\.mail\.exim first"):
        host.domains(COM)


STARTS = {
    "fresh": ([], {}),
    "unchanged": ([COM, NET, ORG], {}),
    "changed": ([{**COM, "owner": "bob"}, {**NET, "enabled": False}, {**ORG, "enabled": True, "ip_addresses": []}], {}),
    "mailboxes": ([{"name": "example.com", "mailboxes": [{"name": "new", "password_hash": HASH, "aliases": ["n2"]}]}], {}),
    "pruned": ([COM], {"prune": True, "prune_limit": "100%"}),
    "archived": ([{"name": "example.net", "default_action": "reject"}], {"prune": True, "prune_limit": "100%", "removed_mail": "archive"}),
    "password": (
        [{"name": "example.com", "mailboxes": [{"name": "info", "password_hash": OTHER_HASH, "update_password": "always"}]}],
        {},
    ),
}


@pytest.mark.parametrize("start", STARTS)
def test_a_check_run_tells_exactly_what_the_real_run_does(host, start):
    entries, options = STARTS[start]
    if start != "fresh":
        host.domains(COM, NET, ORG)
        host.deliver("info@example.com")
    checked = host.domains(*entries, check=True, **options)
    done = host.domains(*entries, **options)
    assert checked.diff == done.diff
    assert (checked.changed, checked.counts) == (done.changed, done.counts)
    assert [action[:2] for action in checked.actions] == [action[:2] for action in done.actions]


def test_the_diff_of_a_removal_does_not_depend_on_the_clock(host):
    host.domains(COM)
    (diff,) = [one for one in host.domain("example.com", state="absent").diff if "directories" in one["after_header"]]
    assert diff["after"].endswith("/var/vmail/example.com/: its mail is kept in /var/vmail/.removed/example.com.TIMESTAMP\n")


@pytest.mark.parametrize("start", STARTS)
def test_after_a_run_the_same_run_has_nothing_to_do(host, start):
    entries, options = STARTS[start]
    host.domains(COM, NET, ORG)
    host.domains(*entries, **options)
    again = host.domains(*entries, **options)
    assert (again.changed, again.actions, again.diff) == (False, [], [])


@pytest.mark.parametrize("start", STARTS)
def test_the_diff_shows_just_what_happens_to_the_tables(host, start):
    entries, options = STARTS[start]
    host.domains(COM, NET, ORG)
    tables = ("domains", *host.layout.domain_lists, "addresses", "disabled_domains")
    before = {name: set(host.table(name)) for name in tables}
    outcome = host.domains(*entries, **options)
    diffs = {diff["after_header"]: diff for diff in outcome.diff}
    for name in tables:
        after = set(host.table(name))
        diff = diffs.get(str(host.path(host.table_path(name))), {"before": "", "after": ""})
        shown_before, shown_after = set(diff["before"].splitlines()), set(diff["after"].splitlines())
        assert shown_before - shown_after == before[name] - after
        assert shown_after - shown_before == after - before[name]


def test_one_entry_does_what_mail_domain_does(tmp_path):
    bulk, single = FakeHost(tmp_path / "bulk"), FakeHost(tmp_path / "single")
    options = {"owner": "alice", "enabled": False, "disabled_action": "accept", "ip_addresses": ["192.0.2.1"]}
    one, other = bulk.domains({"name": "example.com", **options}), single.domain("example.com", **options)
    assert one[:3] == other[:3]
    assert bulk.entries("/var/log", "/run") == single.entries("/var/log", "/run")


# filters

FILTERED = {
    "name": "example.com",
    "owner": "alice",
    "greylisting": True,
    "spamassassin": True,
    "spam_action": "tag",
    "spam_threshold": 7.5,
    "spam_reject_threshold": 15,
    "antivirus": True,
    "outgoing_limit": 200,
    "allow_senders": ["x@b.test", ".b.test", "B.test"],
    "block_senders": ["c.test"],
    "allow_hosts": ["192.0.2.9/32", "192.0.2.0/29"],
    "block_hosts": ["2001:DB8::/32"],
    "mailboxes": [
        {"name": "info", "password_hash": HASH, "filters": {"greylisting": False, "spam_threshold": 9, "spam_reject_threshold": 0}},
        {"name": "own", "password_hash": HASH, "filters": {"spam_action": "junk", "antivirus": False, "outgoing_limit": 20}},
        {"name": "as", "password_hash": HASH, "filters": {}},
    ],
}


def test_filters_stand_in_the_lines_that_exim_reads(each_host):
    each_host.domains(FILTERED)
    filters = "greylist=yes spam=yes spam_action=tag spam_score=7.5 spam_reject=15.0 av=yes limit=200"
    assert each_host.table("domains") == [f"example.com: owner=alice enabled=yes disabled=reject action=reject {filters}"]
    assert each_host.table("addresses") == [
        "as@example.com: mailbox",
        "info@example.com: mailbox greylist=no spam_score=9.0 spam_reject=0.0",
        "own@example.com: mailbox spam_action=junk av=no limit=20",
    ]
    assert {name: each_host.table(name) for name in each_host.layout.domain_lists} == {
        "domainips": [],
        "allow_senders": ["example.com: *@*.b.test ; *@b.test ; x@b.test"],
        "block_senders": ["example.com: *@c.test"],
        "allow_hosts": ["example.com: 192.0.2.0/29 ; 192.0.2.9"],
        "block_hosts": ["example.com: 2001:db8::/32"],
    }
    again = each_host.domains(FILTERED)
    assert (again.changed, again.actions, again.diff) == (False, [], [])


def test_actions_say_what_changes_in_filters(host):
    (action,) = host.domains(FILTERED).actions
    assert action.detail == (
        "owner alice, unknown addresses: reject, greylisting, spamassassin, spam_action tag, spam_threshold 7.5, "
        "spam_reject_threshold 15.0, antivirus, outgoing_limit 200, 3 in allow_senders, 1 in block_senders, 2 in allow_hosts, "
        "1 in block_hosts, 3 addresses"
    )
    change = {"name": "example.com", "antivirus": False, "outgoing_limit": 0, "spam_threshold": 6, "allow_senders": ["y@b.test", "b.test"]}
    box = {"name": "own", "filters": {"spam_action": "reject", "outgoing_limit": 0}}
    assert [action.detail for action in host.domains({**change, "mailboxes": [box]}).actions] == [
        "spam_threshold: 7.5 -> 6.0, antivirus: yes -> no, outgoing_limit: 200 -> none, allow_senders: +y@b.test -*@*.b.test -x@b.test",
        "own@example.com: spam_action: junk -> reject, antivirus: no -> as the domain, outgoing_limit: 20 -> none",
    ]


def test_a_domain_whose_mailboxes_may_not_differ_says_so_in_its_line(host):
    entry = {"name": "example.com", "mailbox_filters": False}
    assert host.domains(entry).actions[0].detail == "owner vmail, unknown addresses: reject, no mailbox_filters"
    assert host.table("domains") == ["example.com: owner=vmail enabled=yes disabled=reject action=reject mailbox_filters=no"]
    assert not host.domains(*host.info(with_use=False).domains).changed
    assert host.domains({**entry, "mailbox_filters": True}).actions[0].detail == "mailbox_filters: no -> yes"
    assert host.table("domains") == ["example.com: owner=vmail enabled=yes disabled=reject action=reject"]


def test_lists_in_another_order_by_hand_are_the_same_lists(host):
    host.domains(FILTERED)
    path = host.table_path("allow_senders")
    host.write(path, host.text(path).replace("*@*.b.test ; *@b.test ; x@b.test", "x@b.test;*@b.test ; *@*.b.test ; x@b.test"))
    before = host.text(path)
    assert not host.domains(FILTERED).changed
    assert not host.domains(*host.info(with_use=False).domains).changed
    assert host.text(path) == before


def test_a_list_without_its_domain_goes_when_the_domain_comes(host):
    host.domains()
    path = host.table_path("block_hosts")
    host.write(path, host.text(path) + "example.net: 192.0.2.9\n")
    assert not host.domains().changed
    host.domain("example.net")
    assert host.table("block_hosts") == []


def test_lists_need_their_directory_and_all_else_does_not(host):
    host.domains(COM)
    shutil.rmtree(host.path(host.layout.lists_dir))
    assert not host.domains(COM).changed
    with pytest.raises(MailError, match=r"/etc/exim4/lists is not there\. Run the role fleetpost\.mail\.exim first"):
        host.domains(COM, NET)
    assert host.domains(COM, NET, check=True).changed


# what others wrote

FOREIGN = """\
# fleetpost.mail table domains format 1
# my notes

# alice's shop: call her before a change
example.com: owner=alice enabled=yes disabled=reject action=reject greylist=yes note="two words"
# a pattern that Exim knows and we do not
*.example.com: whatever this is
"""


def test_comments_and_unknown_keys_survive_a_run(host):
    host.write(host.layout.domains, FOREIGN)
    host.domains(COM | {"enabled": False}, NET)
    changed = "enabled=no disabled=reject action=reject greylist=yes"
    assert changed in host.text(host.layout.domains)
    lines = host.text(host.layout.domains).splitlines()
    assert lines[:2] == FOREIGN.splitlines()[:2]
    shop = lines.index("# alice's shop: call her before a change")
    assert lines[shop + 1] == f'example.com: owner=alice {changed} note="two words"'
    pattern = lines.index("# a pattern that Exim knows and we do not")
    assert lines[pattern + 1] == "*.example.com: whatever this is"


def test_unknown_parts_of_a_login_survive_a_run(host):
    host.domains(COM)
    line = host.table("users")[1]
    ours = line.replace("::/var", ":Info, Desk:/var").replace("::userdb", "::nopassword=n userdb")
    host.write(host.layout.users, host.text(host.layout.users).replace(line, ours))
    host.mailbox("info@example.com", quota="2G")
    new = host.table("users")[1]
    assert ":Info, Desk:/var/vmail/example.com/info::" in new
    assert set(new.rpartition("::")[2].split()) == {"nopassword=n", "userdb_quota_storage_size=2G"}


BROKEN = {
    "domains": ("a.test: owner=alice\nthis is broken\n", "/etc/exim4/domains:2"),
    "domains field": ("# x\na.test: owner=alice nonsense\n", "/etc/exim4/domains:2"),
    "domains value": ("a.test: owner=alice enabled=maybe\n", "/etc/exim4/domains:1"),
    "domains threshold": ("a.test: owner=alice spam_score=high\n", "/etc/exim4/domains:1"),
    "domainips": ("a.test: 192.0.2.1\na.test: 192.0.2.2\n", "/etc/exim4/domainips:2"),
    "allow_senders": ("\na.test: x@b.test\nb.test: x@b.test ; ^.*\n", "/etc/exim4/lists/allow_senders:3"),
    "block_hosts": ("a.test: 192.0.2.1/24\n", "/etc/exim4/lists/block_hosts:1"),
    "addresses": ("a@a.test: mailbox\n\nb@a.test: postbox\n", "/etc/exim4/addresses:3"),
    "users": ("# logins\nnobody\n", "/etc/dovecot/users:2"),
    "disabled_domains": ("a.test\n", "/etc/dovecot/disabled_domains:1"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("check", [False, True])
def test_a_broken_line_stops_before_anything_is_written(host, case, check):
    text, where = BROKEN[case]
    host.write(host.table_path(case.partition(" ")[0]), text)
    before = host.entries("/run")
    with pytest.raises(MailError) as caught:
        host.domains(COM, NET, check=check)
    assert caught.value.where == where
    assert host.entries("/run") == before


def test_a_table_of_another_format_stops_before_anything_is_written(host):
    host.write(host.layout.addresses, "# fleetpost.mail table addresses format 2\n")
    before = host.entries("/run")
    with pytest.raises(MailError, match="in format 1"):
        host.domains(COM)
    assert host.entries("/run") == before


def test_an_exim_configuration_of_another_format_stops_before_anything_is_written(host):
    host.write(host.layout.exim_conf, f"MD_FORMAT = {EXIM_FORMAT + 1}\n")
    before = host.entries("/run")
    with pytest.raises(MailError, match=r"role fleetpost\.mail\.exim of one version"):
        host.domains(COM)
    assert host.entries("/run") == before


def test_a_domain_does_not_filter_with_an_exim_configuration_that_cannot(host):
    host.write(host.layout.exim_conf, "MD_FORMAT = 3\n")
    host.domains(COM)
    with pytest.raises(MailError, match="does not filter"):
        host.domains({**COM, "greylisting": True})
    assert "does not filter" in host.domains({**COM, "greylisting": True}, check=True).warnings[0]


@pytest.mark.parametrize(("line", "option"), [("MD_SPAMD", "spamassassin"), ("MD_CLAMD", "antivirus")])
@pytest.mark.parametrize("left", ["", "# {line} = was here\n", "{line} =\n", "{line}_TIMEOUT = 5\n"])
def test_a_scanner_is_there_when_the_exim_configuration_names_it(host, line, option, left):
    host.domains({**COM, option: True})
    text = re.sub(f"^{line} = .*\n", left.format(line=line), host.text(host.layout.exim_conf), flags=re.MULTILINE)
    host.write(host.layout.exim_conf, text)
    with pytest.raises(MailError, match="is not installed on this host"):
        host.domains({**COM, option: True})
    assert not host.domains(COM).changed
    (problem,) = host.info("example.com", with_use=False).status[0]["problems"]
    assert problem.endswith("which is not installed on this host")


def test_a_domain_does_not_sign_with_an_exim_configuration_that_cannot(host):
    host.write(host.layout.exim_conf, "MD_FORMAT = 1\n")
    host.domains(COM)
    with pytest.raises(MailError, match="does not sign"):
        host.domains({**COM, "dkim": {}})
    assert "does not sign" in host.domains({**COM, "dkim": {}}, check=True).warnings[0]


@pytest.mark.parametrize("table", ["domains", "addresses", "users"])
def test_a_link_in_the_place_of_a_table_is_refused(host, table, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    host.path(getattr(host.layout, table)).symlink_to(victim)
    with pytest.raises(MailError, match="symbolic link"):
        host.domains(COM)
    assert victim.read_text() == "precious\n"


@pytest.mark.parametrize("path", ["/var/vmail", "/var/vmail/example.com", "/var/vmail/example.com/info"])
def test_a_link_planted_in_the_mail_tree_is_refused(host, path, tmp_path):
    host.domains(COM)
    elsewhere = tmp_path / "elsewhere"
    os.renames(host.path(path), elsewhere)
    os.makedirs(host.path(path).parent, exist_ok=True)
    host.path(path).symlink_to(elsewhere)
    before = host.entries("/run")
    with pytest.raises(MailError, match=r"symbolic link|not a directory"):
        host.domains({**COM, "owner": "bob"})
    assert host.entries("/run") == before


def test_mail_of_somebody_else_is_never_adopted_by_a_new_domain(host):
    host.write("/var/vmail/example.com/info/Maildir/new/1", "secret")
    before = host.entries("/run")
    with pytest.raises(MailError, match="already holds mail"):
        host.domains(COM)
    assert host.entries("/run") == before


def test_mail_of_somebody_else_is_never_adopted_by_a_new_mailbox(host):
    host.domains(COM)
    host.write("/var/vmail/example.com/new/Maildir/new/1", "secret")
    with pytest.raises(MailError, match="already holds mail"):
        host.mailbox("new@example.com", password_hash=HASH)


# ownership


def test_a_new_owner_gets_the_mail_and_the_logins(host):
    host.domains(COM)
    message = host.deliver("info@example.com")
    host.domains({"name": "example.com", "owner": "bob"})
    assert host.owner(message)[:2] == (1002, 1002)
    assert host.owner("/var/vmail/example.com/info") == (1002, 1002, 0o700)
    assert host.owner("/var/vmail/example.com") == (0, 0, 0o711)
    assert all(":1002:1002:" in line for line in host.table("users"))


def test_a_new_owner_gets_nothing_that_a_link_points_to(host, tmp_path):
    host.domains(COM)
    message = host.deliver("info@example.com")
    victim = tmp_path / "victim"
    victim.write_text("precious\n")
    os.chown(victim, 1001, 1001)
    host.path(message).with_name("link").symlink_to(victim)
    host.domains({"name": "example.com", "owner": "bob"})
    assert victim.stat().st_uid == 1001


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/etc/exim4/domains", 0o644),
        ("/etc/dovecot/users", 0o666),
        ("/var/vmail", 0o777),
        ("/var/vmail/example.com", 0o755),
        ("/var/vmail/example.com/info", 0o755),
    ],
)
def test_rights_that_drifted_are_mended(host, path, mode):
    host.domains(COM)
    before = host.entries("/run", "/var/log")
    host.path(path).chmod(mode)
    os.chown(host.path(path), 1002, 1002)
    checked, done = host.domains(check=True), host.domains()
    assert (checked.changed, checked.diff) == (True, done.diff)
    assert host.entries("/run", "/var/log") == before
    assert [action.action for action in done.actions] == ["mend ownership"]


def test_a_directory_that_vanished_is_made_again(host):
    host.domains(COM)
    before = host.entries("/run", "/var/log")
    host.path("/var/vmail/example.com/info").rmdir()
    assert [action.action for action in host.domains().actions] == ["make directory"]
    assert host.entries("/run", "/var/log") == before


def test_a_login_that_drifted_is_mended(host):
    host.domains(COM)
    before = host.text(host.layout.users)
    host.write(host.layout.users, before.replace(":1001:1001:", ":0:0:"))
    assert "mend login" in [action.action for action in host.domains().actions]
    assert host.text(host.layout.users) == before


# without the right to chown


def as_nobody(action):
    """Runs in a process of its own without root's rights; returns what `action` returned, by way of JSON."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgid(12345)
        os.setuid(12345)
        try:
            result = json.dumps(action())
        except BaseException as error:
            result = json.dumps(repr(error))
        os.write(write, result.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        text = answer.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def test_without_the_right_to_chown_a_tree_is_built_all_the_same(host):
    for path in [host.root, *host.root.rglob("*")]:
        os.chown(path, 12345, 12345)
    os.chmod(host.root.parent, 0o755)
    for parent in host.root.parents:
        if parent.stat().st_mode & 0o777 == 0o700:
            parent.chmod(0o711)

    def twice():
        first, second = host.domains(COM, NET), host.domains(COM, NET)
        return [first.changed, first.warnings, second.changed, [list(action) for action in second.actions]]

    changed, warnings, again, actions = as_nobody(twice)
    assert changed
    assert warnings == ["ownership was left alone: this process may not change it"]
    assert (again, actions) == (False, [])
