# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of steps and the lines of tables, as data."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _dovecot, _exim
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import CertificateFacts
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_table import certificate_values
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_lists import list_of, list_value
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import Lists
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import DEBIAN
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Account,
    Alias,
    Domain,
    Facts,
    Forward,
    Host,
    Mailbox,
    Observed,
    Ownership,
    Removal,
    Tables,
    Trees,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owners import owner_value
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import plan
from ansible_collections.fleetpost.mail.plugins.module_utils._report import DIFF_LINES, actions_of, diff_of
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import (
    ChownTree,
    EndSessions,
    MakeDirectory,
    ReloadDovecot,
    SetOwnership,
    WriteTable,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import Removing
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import parse_table
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH

FACTS = Facts({"alice": Account(1001, 1001), "bob": Account(1002, 1002), "vmail": Account(900, 900)}, None, frozenset(), "2.4", 120, 121)
REMOVING = Removing("keep", "/var/backups/mail-domains", "20261123T040000Z")
DIRECTORIES = {path: Ownership(0, 0, 0o755) for path in (DEBIAN.exim_dir, DEBIAN.lists_dir, DEBIAN.dovecot_dir)}
LISTS = Lists(block_hosts=("198.51.100.0/24", "2001:db8::/32"))
EMPTY = Host({}, {}, {})

HOST = Host(
    {"a.test": Domain("a.test", "alice", ip_addresses=("192.0.2.1",), lists=LISTS), "b.test": Domain("b.test")},
    {
        "info@a.test": Mailbox("info@a.test", quota="1G"),
        "sales@a.test": Alias("sales@a.test", "info@a.test"),
        "press@a.test": Forward("press@a.test", ("x@agency.test",)),
    },
    {"info@a.test": HASH},
)


def observed_of(host, found=None, files=None):
    """A host whose tables say just what `host` is, with everything where it belongs."""
    users = {
        name: _dovecot.user_value(
            one, host.hashes[name], FACTS.users[host.domains[name.rpartition("@")[2]].owner], DEBIAN.mailbox_tree(name), "2.4", None
        )
        for name, one in host.addresses.items()
        if isinstance(one, Mailbox)
    }
    domains = {name: _exim.domain_value(one, None) for name, one in host.domains.items()}
    lists = {
        table: {name: list_value(items) for name, one in host.domains.items() if (items := list_of(one, table))}
        for table in DEBIAN.domain_lists
    }
    addresses = {name: _exim.address_value(one, None) for name, one in host.addresses.items()}
    certificates = dict(line for one in host.certificates.values() for line in certificate_values(one, {}))
    disabled = {name: "" for name, one in host.domains.items() if not one.enabled}

    def table(name, path, values, separator=": "):
        text = "".join(f"{key}{separator}{value}".rstrip() + "\n" for key, value in values.items())
        return parse_table(name, path, text.encode(), "", separator)

    tables = Tables(
        table("domains", DEBIAN.domains, domains),
        {name: table(name, path, lists[name]) for name, path in DEBIAN.domain_lists.items()},
        table("addresses", DEBIAN.addresses, addresses),
        table("users", DEBIAN.users, users, ":"),
        table("disabled_domains", DEBIAN.disabled_domains, disabled, ":"),
        table("certificates", DEBIAN.certificates, certificates),
        table("owners", DEBIAN.owners, {name: owner_value(one, None) for name, one in host.owners.items()}),
        {**DIRECTORIES, **(files or {})},
    )
    trees = {"/var/vmail": Ownership(0, 0, 0o711)}
    for name in host.domains:
        trees[DEBIAN.domain_tree(name)] = Ownership(0, 0, 0o711)
    for name, one in host.addresses.items():
        if isinstance(one, Mailbox):
            account = FACTS.users[host.domains[name.rpartition("@")[2]].owner]
            trees[DEBIAN.mailbox_tree(name)] = Ownership(account.uid, account.gid, 0o700)
    return Observed(tables, host, Trees({**trees, **(found or {})}, frozenset()))


def planned(present, desired, facts=FACTS, removing=REMOVING, **options):
    return plan(DEBIAN, observed_of(present, **options), desired, facts, removing)


def without(host, name):
    return Host(
        {key: one for key, one in host.domains.items() if key != name},
        {key: one for key, one in host.addresses.items() if key != name and key.rpartition("@")[2] != name},
        host.hashes,
    )


def shape(made):
    return [(type(step).__name__, getattr(step, "path", "").rpartition("/")[2]) for step in made.steps]


def written(made, name):
    for step in made.steps:
        if isinstance(step, WriteTable) and step.path.endswith(f"/{name}"):
            return step.content.splitlines()
    return None


def test_what_is_as_it_should_be_needs_no_step():
    assert planned(HOST, HOST).is_empty


def test_dovecot_is_told_what_a_run_that_died_did_not_tell_it():
    known = FACTS._replace(certifying=CertificateFacts(reload_is_due=True))
    assert planned(HOST, HOST, known).steps == (ReloadDovecot(),)


def test_additions_begin_with_dovecot_and_end_with_the_domains_line():
    assert shape(planned(EMPTY, HOST)) == [
        ("MakeDirectory", "a.test"),
        ("MakeDirectory", "b.test"),
        ("MakeDirectory", "info"),
        ("WriteTable", "users"),
        ("WriteTable", "domainips"),
        ("WriteTable", "block_hosts"),
        ("WriteTable", "addresses"),
        ("WriteTable", "domains"),
    ]


def test_a_removal_begins_with_the_tombstone_and_drops_no_line():
    made = planned(HOST, without(HOST, "a.test"))
    line = "a.test: owner=alice enabled=removing disabled=reject action=reject was=yes removed=keep since=20261123T040000Z"
    assert line in written(made, "domains")
    assert written(made, "addresses") is None
    assert written(made, "domainips") is None
    assert written(made, "block_hosts") is None
    assert written(made, "users") == [
        line.replace("{", "!{", 1) for line in [f"info@a.test:{HASH}:1001:1001::/var/vmail/a.test/info::userdb_quota_storage_size=1G"]
    ]
    assert written(made, "disabled_domains") == ["a.test:"]
    assert [removal.name for removal in made.removals] == ["a.test"]


def test_a_finished_removal_drops_all_lines_the_domains_line_last():
    made = planned(HOST, without(HOST, "a.test"), removing=REMOVING._replace(finished=frozenset({"a.test"})))
    assert shape(made)[-1] == ("WriteTable", "domains")
    assert all("a.test" not in "".join(written(made, name)) for name in ("users", "domainips", "block_hosts", "addresses", "domains"))
    assert made.removals == ()


def test_a_removal_goes_on_with_what_it_began_with():
    removal = Removal("archive", "20200101T000000Z", False, "/srv/archive")
    present = HOST._replace(domains={**HOST.domains, "b.test": Domain("b.test", removal=removal)})
    made = planned(present, without(HOST, "b.test"))
    assert [(one.removal, one.target) for one in made.removals] == [(removal, "/var/vmail/.removed/b.test.20200101T000000Z")]
    assert written(made, "domains") is None


def test_a_mailbox_on_its_way_out_is_a_tombstone_and_may_not_log_in():
    made = planned(HOST, without(HOST, "info@a.test"))
    lines = written(made, "addresses")
    assert "info@a.test: mailbox was=yes removed=keep since=20261123T040000Z enabled=removing quota=1G" in lines
    assert written(made, "users")[0].startswith("info@a.test:!{BLF-CRYPT}")


def test_a_mailbox_becomes_an_alias_by_one_line_that_remembers_the_old_mailbox():
    desired = HOST._replace(addresses={**HOST.addresses, "info@a.test": Alias("info@a.test", "press@a.test")})
    made = planned(HOST, desired)
    assert written(made, "addresses")[0] == "info@a.test: alias to=press@a.test was=mailbox removed=keep since=20261123T040000Z"
    assert [(one.name, one.source) for one in made.removals] == [("info@a.test", "/var/vmail/a.test/info")]


def test_sessions_end_when_a_domain_is_disabled_and_only_after_the_tables_say_so():
    desired = HOST._replace(domains={**HOST.domains, "a.test": HOST.domains["a.test"]._replace(enabled=False)})
    made = planned(HOST, desired)
    assert made.steps[-1] == EndSessions(("*@a.test",))


@pytest.mark.parametrize(
    ("mailbox", "masks"),
    [(Mailbox("info@a.test", enabled=False, quota="1G"), ("info@a.test",)), (Mailbox("info@a.test", quota="2G"), None)],
)
def test_sessions_of_a_mailbox_end_only_when_it_is_disabled(mailbox, masks):
    made = planned(HOST, HOST._replace(addresses={**HOST.addresses, "info@a.test": mailbox}))
    assert next((step.masks for step in made.steps if isinstance(step, EndSessions)), None) == masks


def test_a_new_owner_gets_the_mail_between_the_logins_and_the_domains_line():
    desired = HOST._replace(domains={**HOST.domains, "a.test": HOST.domains["a.test"]._replace(owner="bob")})
    made = planned(HOST, desired)
    assert shape(made) == [("WriteTable", "users"), ("ChownTree", "info"), ("WriteTable", "domains"), ("EndSessions", "")]
    assert made.steps[1] == ChownTree("/var/vmail/a.test/info", 1001, Ownership(1002, 1002, 0o700))


@pytest.mark.parametrize("path", ["/var/vmail", "/var/vmail/a.test"])
def test_rights_above_the_mailboxes_are_given_back_to_root(path):
    made = planned(HOST, HOST, found={path: Ownership(1001, 1001, 0o777)})
    assert made.steps == (SetOwnership(path, Ownership(0, 0, 0o711)),)


def test_rights_of_a_mailbox_are_mended_without_walking_through_its_mail():
    made = planned(HOST, HOST, found={"/var/vmail/a.test/info": Ownership(1001, 1001, 0o755)})
    assert made.steps == (SetOwnership("/var/vmail/a.test/info", Ownership(1001, 1001, 0o700)),)


def test_rights_of_a_table_are_mended_without_writing_it():
    made = planned(HOST, HOST, files={DEBIAN.users: Ownership(0, 0, 0o644)})
    assert made.steps == (SetOwnership(DEBIAN.users, Ownership(0, 121, 0o640)),)


@pytest.mark.parametrize("name", DEBIAN.domain_lists)
def test_rights_of_a_table_of_lists_are_mended_without_writing_it(name):
    path = DEBIAN.domain_lists[name]
    made = planned(HOST, HOST, files={path: Ownership(0, 0, 0o644)})
    assert made.steps == (SetOwnership(path, Ownership(0, 120, 0o640)),)


def test_an_item_of_a_list_is_one_line_of_one_table():
    lists = LISTS._replace(allow_senders=("*@*.example.net", "x@example.net"))
    desired = HOST._replace(domains={**HOST.domains, "a.test": HOST.domains["a.test"]._replace(lists=lists)})
    made = planned(HOST, desired)
    assert shape(made) == [("WriteTable", "allow_senders")]
    assert written(made, "allow_senders") == ["a.test: *@*.example.net ; x@example.net"]
    action = ("a.test", "change", "allow_senders: +*@*.example.net +x@example.net")
    assert actions_of(DEBIAN, made, HOST, desired) == [action]


def test_lists_that_have_no_directory_are_told_with_the_role_that_makes_it():
    observed = observed_of(EMPTY)
    files = {path: one for path, one in observed.tables.files.items() if path != DEBIAN.lists_dir}
    observed = observed._replace(tables=observed.tables._replace(files=files))
    with pytest.raises(MailErrors, match=r"/etc/exim4/lists is not there. Run the role fleetpost\.mail\.exim first"):
        plan(DEBIAN, observed, HOST, FACTS, REMOVING)
    without_lists = HOST._replace(domains={**HOST.domains, "a.test": HOST.domains["a.test"]._replace(lists=Lists())})
    assert ("WriteTable", "block_hosts") not in shape(plan(DEBIAN, observed, without_lists, FACTS, REMOVING))


def test_owners_that_cannot_be_set_are_no_drift():
    facts = FACTS._replace(may_chown=False)
    found = {path: Ownership(5, 5, mode) for path, mode in (("/var/vmail", 0o711), ("/var/vmail/a.test/info", 0o700))}
    assert planned(HOST, HOST, facts=facts, found=found, files={DEBIAN.users: Ownership(5, 5, 0o640)}).is_empty


def test_a_directory_that_is_missing_is_made():
    observed = observed_of(HOST)
    trees = Trees({path: one for path, one in observed.trees.found.items() if not path.endswith("info")}, frozenset())
    made = plan(DEBIAN, observed._replace(trees=trees), HOST, FACTS, REMOVING)
    assert made.steps == (MakeDirectory("/var/vmail/a.test/info", Ownership(1001, 1001, 0o700)),)


@pytest.mark.parametrize("path", ["/var/vmail/a.test", "/var/vmail/a.test/info"])
def test_a_tree_that_holds_mail_is_not_adopted(path):
    observed = observed_of(EMPTY)._replace(trees=Trees({path: Ownership(0, 0, 0o711)}, frozenset({path})))
    with pytest.raises(MailErrors, match="already holds mail"):
        plan(DEBIAN, observed, HOST, FACTS, REMOVING)


@pytest.mark.parametrize(("version", "field"), [("2.3", "userdb_quota_rule=*:storage=1G"), ("2.4", "userdb_quota_storage_size=1G")])
def test_the_quota_stands_as_the_version_of_dovecot_wants_it(version, field):
    made = planned(EMPTY, HOST, facts=FACTS._replace(dovecot=version))
    assert written(made, "users")[-1].endswith(f"::{field}")


def test_a_server_that_is_not_installed_is_told_with_its_role():
    observed = observed_of(EMPTY)
    observed = observed._replace(tables=observed.tables._replace(files={}))
    with pytest.raises(MailErrors, match=r"/etc/exim4 is not there(.|\n)*fleetpost\.mail\.dovecot"):
        plan(DEBIAN, observed, HOST, FACTS, REMOVING)


def test_a_group_that_is_not_there_is_told():
    with pytest.raises(MailErrors, match="there is no group Debian-exim"):
        planned(EMPTY, HOST, facts=FACTS._replace(exim_gid=None))


def test_a_long_diff_is_cut_and_says_how_much_is_missing():
    many = Host({f"d{number:04}.test": Domain(f"d{number:04}.test") for number in range(DIFF_LINES + 50)}, {}, {})
    made = planned(EMPTY, many)
    (domains,) = [one for one in diff_of("/", made) if one["after_header"] == DEBIAN.domains]
    assert domains["after"].splitlines()[-1] == "... and 50 more lines"


def test_a_hash_is_masked_in_a_diff():
    (users,) = [one for one in diff_of("/", planned(EMPTY, HOST)) if one["after_header"] == DEBIAN.users]
    assert users["after"] == "info@a.test:{BLF-CRYPT}********:1001:1001::/var/vmail/a.test/info::userdb_quota_storage_size=1G\n"


def test_a_new_hash_is_told_as_a_new_password():
    desired = HOST._replace(hashes={"info@a.test": HASH.replace("a", "c")})
    made = planned(HOST, desired)
    (users,) = diff_of("/", made)
    assert users["after"] == users["before"].rstrip("\n") + "  (new password)\n"
    assert actions_of(DEBIAN, made, HOST, desired) == [("a.test", "change password", "info@a.test")]
