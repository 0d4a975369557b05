# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold of the whole end state, not only of what a run declares."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_domains
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import Declaration
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import merge
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Account,
    Alias,
    Domain,
    Facts,
    Forward,
    Host,
    Mailbox,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, USERS

FACTS = Facts(
    users={**{name: Account(uid, uid) for name, uid in USERS.items()}, "overflow": Account(65535, 65535)},
    ip_addresses=frozenset({"192.0.2.10", "2001:db8::10"}),
    host_names=frozenset({"mx1.fleet.test"}),
    dovecot="2.4",
    exim_gid=120,
    dovecot_gid=121,
)
CHECK = FACTS._replace(strict=False)


def host_of(*things):
    return Host(
        {one.name: one for one in things if isinstance(one, Domain)},
        {one.address: one for one in things if not isinstance(one, Domain)},
        {},
    )


def box(name, **options):
    return {"name": name, "password_hash": HASH, **options}


def declare(host, *entries, facts=FACTS, **options):
    return merge(host, declaration_of_domains(entries, options), facts, {})


def errors_of(host, *entries, **options):
    with pytest.raises(MailErrors) as caught:
        declare(host, *entries, **options)
    return [(error.where, error.message) for error in caught.value.errors]


# targets


def test_a_forward_to_a_local_domain_that_does_not_exist_is_an_error():
    entry = {"name": "a.test", "default_action": "forward_to_domain", "forward_to": "b.test"}
    assert errors_of(host_of(), entry) == [("domains[0].forward_to", "a.test forwards to b.test, which is no mail domain of this host")]


def test_a_forward_to_a_local_address_that_does_not_exist_is_an_error():
    entry = {"name": "a.test", "default_action": "forward_to_address", "forward_to": "info@b.test"}
    found = errors_of(host_of(Domain("b.test")), entry)
    assert found == [("domains[0].forward_to", "a.test forwards to info@b.test, which is no address of this host")]


def test_a_mailbox_that_forwards_to_a_local_address_that_does_not_exist_is_an_error():
    entry = {"name": "a.test", "mailboxes": [box("i", forward_to=["nobody@a.test"])]}
    assert [where for where, _message in errors_of(host_of(), entry)] == ["domains[0].mailboxes[0].forward_to"]


@pytest.mark.parametrize("target", ["info@a.test", "INFO@a.test", "info+tag@a.test", "alias@a.test", "x@agency.test"])
def test_a_target_that_exists_is_fine(target):
    host = host_of(Domain("a.test"), Mailbox("info@a.test"), Alias("alias@a.test", "info@a.test"))
    declare(host, {"name": "b.test", "default_action": "forward_to_address", "forward_to": target})


def test_targets_made_in_the_same_run_are_there():
    declare(
        host_of(),
        {"name": "a.test", "default_action": "forward_to_domain", "forward_to": "b.test"},
        {"name": "b.test", "default_action": "forward_to_address", "forward_to": "info@b.test", "mailboxes": [box("info")]},
    )


def test_a_target_domain_that_is_removed_in_the_same_run_is_an_error():
    host = host_of(Domain("a.test", default_action="forward_to_domain", forward_to="b.test"), Domain("b.test"))
    found = errors_of(host, {"name": "a.test"}, prune=True, prune_limit="100%")
    assert found == [("domains[0].forward_to", "a.test forwards to b.test, which is removed in this run")]


def test_a_target_address_that_is_removed_in_the_same_run_is_an_error():
    host = host_of(
        Domain("a.test", default_action="forward_to_address", forward_to="info@b.test"),
        Domain("b.test"),
        Mailbox("info@b.test"),
    )
    declaration = Declaration(absent_addresses=("info@b.test",))
    with pytest.raises(MailErrors, match=r"a\.test: forwards to info@b\.test, which is removed in this run"):
        merge(host, declaration, FACTS, {})


def test_removing_the_domain_of_somebody_elses_target_is_an_error():
    host = host_of(Domain("a.test"), Forward("x@a.test", ("info@b.test",)), Domain("b.test"), Mailbox("info@b.test"))
    with pytest.raises(MailErrors, match=r"x@a\.test: forwards to info@b\.test, whose domain is removed in this run"):
        merge(host, Declaration(absent_domains=("b.test",)), FACTS, {})


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "a.test", "default_action": "forward_to_domain", "forward_to": "a.test"},
        {"name": "a.test", "mailboxes": [box("i", forward_to=["i@a.test"])]},
        {"name": "a.test", "mailboxes": [box("i", forward_to=["I+tag@a.test"])]},
        {"name": "a.test", "mailboxes": [{"name": "i", "forward_to": ["i@a.test"], "keep_copy": False}]},
    ],
)
def test_a_forward_to_itself_is_an_error(entry):
    ((_where, message),) = errors_of(host_of(), entry)
    assert message.endswith("forwards to itself")


def test_a_circle_of_forwards_is_an_error_that_shows_it():
    boxes = [{"name": one, "forward_to": [f"{next_one}@a.test"], "keep_copy": False} for one, next_one in ("ab", "bc", "ca")]
    ((where, message),) = errors_of(host_of(), {"name": "a.test", "mailboxes": boxes})
    assert where == "domains[0].mailboxes[0].forward_to"
    assert message == "mail would go in a circle: a@a.test -> b@a.test -> c@a.test -> a@a.test"


def test_a_circle_through_an_alias_is_an_error():
    boxes = [{"name": "a", "forward_to": ["x@a.test"], "keep_copy": False}, box("b", forward_to=["a@a.test"], keep_copy=False)]
    boxes[1]["aliases"] = ["x"]
    ((_where, message),) = errors_of(host_of(), {"name": "a.test", "mailboxes": boxes})
    assert "circle" in message


def test_a_circle_with_a_mailbox_that_keeps_a_copy_is_fine():
    boxes = [{"name": "a", "forward_to": ["b@a.test"], "keep_copy": False}, box("b", forward_to=["a@a.test"])]
    declare(host_of(), {"name": "a.test", "mailboxes": boxes})


def test_two_domains_may_forward_to_each_other():
    declare(
        host_of(),
        {"name": "a.test", "default_action": "forward_to_domain", "forward_to": "b.test"},
        {"name": "b.test", "default_action": "forward_to_domain", "forward_to": "a.test"},
    )


OLD_FAULTS = {
    "a forward to nowhere": (Forward("x@a.test", ("nobody@a.test",)), "which is no address of this host"),
    "an alias of nothing": (Alias("x@a.test", "nobody@a.test"), "which is no address of this host"),
    "a forward to itself": (Forward("x@a.test", ("x@a.test",)), "x@a.test"),
}


@pytest.mark.parametrize("case", OLD_FAULTS)
def test_an_old_fault_that_the_run_does_not_touch_is_only_a_warning(case):
    fault, words = OLD_FAULTS[case]
    warnings = declare(host_of(Domain("a.test"), fault), {"name": "b.test"}).warnings
    assert any(words in warning for warning in warnings)


def test_an_old_circle_that_the_run_does_not_touch_is_only_a_warning():
    host = host_of(Domain("a.test"), Forward("x@a.test", ("y@a.test",)), Forward("y@a.test", ("x@a.test",)))
    (warning,) = declare(host, {"name": "b.test"}).warnings
    assert warning == "x@a.test goes in a circle: x@a.test -> y@a.test -> x@a.test"


def test_an_old_fault_that_is_declared_is_an_error():
    host = host_of(Domain("a.test"), Forward("x@a.test", ("nobody@a.test",)))
    entry = {"name": "a.test", "mailboxes": [{"name": "x"}]}
    assert errors_of(host, entry)[0][0] == "domains[0].mailboxes[0].forward_to"


# names


def test_the_hosts_own_name_is_no_mail_domain():
    ((where, message),) = errors_of(host_of(), {"name": "MX1.fleet.test"})
    assert where == "domains[0].name"
    assert "the host's own name" in message


@pytest.mark.parametrize("name", ["printer.local", "a.localhost", "x.invalid", "1.168.192.in-addr.arpa"])
def test_a_reserved_name_is_no_mail_domain(name):
    ((where, message),) = errors_of(host_of(), {"name": name})
    assert where == "domains[0].name"
    assert "reserved" in message


# owners


@pytest.mark.parametrize("owner", ["root", "www-data", "daemon9", "sshd", "nobody", "overflow"])
def test_root_daemons_and_system_users_own_no_mail(owner):
    ((where, message),) = errors_of(host_of(), {"name": "a.test", "owner": owner})
    assert where == "domains[0].owner"
    assert "cannot own mail" in message


def test_an_owner_who_is_no_user_is_an_error():
    assert errors_of(host_of(), {"name": "a.test", "owner": "mallory"}) == [("domains[0].owner", "mallory is no system user of this host")]


def test_an_owner_who_is_no_user_yet_is_a_warning_in_check_mode():
    merged = declare(host_of(), {"name": "a.test", "owner": "mallory"}, facts=CHECK)
    assert merged.warnings == ("domains[0].owner: mallory is no system user of this host yet. Create the user first",)


def test_root_owns_no_mail_in_check_mode_either():
    with pytest.raises(MailErrors):
        declare(host_of(), {"name": "a.test", "owner": "root"}, facts=CHECK)


def test_a_missing_default_owner_is_told_with_the_role_that_makes_it():
    facts = FACTS._replace(users={})
    with pytest.raises(MailErrors, match=r"Run the role fleetpost\.mail\.dovecot"):
        declare(host_of(), {"name": "a.test"}, facts=facts)


def test_an_old_owner_who_vanished_stops_no_other_change():
    host = host_of(Domain("a.test", owner="gone"))
    declare(host, {"name": "a.test", "enabled": False})


# sending addresses


def test_an_address_that_is_not_on_the_host_is_an_error_with_its_position():
    entry = {"name": "a.test", "ip_addresses": ["192.0.2.10", "192.0.2.99", "2001:DB8:0::10"]}
    ((where, message),) = errors_of(host_of(), entry)
    assert where == "domains[0].ip_addresses[1]"
    assert message == "192.0.2.99 is not an address of this host, its mail would never leave"


def test_an_address_that_is_not_on_the_host_yet_is_a_warning_in_check_mode():
    (warning,) = declare(host_of(), {"name": "a.test", "ip_addresses": ["192.0.2.99"]}, facts=CHECK).warnings
    assert warning.startswith("domains[0].ip_addresses[0]: 192.0.2.99 is not an address of this host")


def test_addresses_are_not_checked_in_another_tree():
    facts = FACTS._replace(ip_addresses=None)
    assert declare(host_of(), {"name": "a.test", "ip_addresses": ["192.0.2.99"]}, facts=facts).warnings == ()


def test_everything_that_is_wrong_comes_at_once():
    found = errors_of(
        host_of(),
        {"name": "mx1.fleet.test", "owner": "root"},
        {"name": "a.test", "ip_addresses": ["192.0.2.99"], "default_action": "forward_to_address"},
        {"name": "b.test", "mailboxes": [{"name": "new"}, box("i", forward_to=["x@b.test"])]},
    )
    assert sorted(where for where, _message in found) == [
        "domains[0].name",
        "domains[0].owner",
        "domains[1].forward_to",
        "domains[1].ip_addresses[0]",
        "domains[2].mailboxes[0].password",
        "domains[2].mailboxes[1].forward_to",
    ]


# everything at once


def test_errors_of_entries_and_of_the_end_state_come_together():
    lost = {"name": "a.test", "default_action": "forward_to_domain", "forward_to": "b.test"}
    assert [where for where, _message in errors_of(host_of(), {"name": "bad"}, lost)] == ["domains[0].name", "domains[1].forward_to"]
