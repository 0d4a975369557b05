# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there and what is declared, merged: values in, values out."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import (
    declaration_of_domain,
    declaration_of_domains,
    declaration_of_mailbox,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import merge, settle, wanted_passwords
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Account,
    Alias,
    Domain,
    Facts,
    Forward,
    Host,
    Mailbox,
    Removal,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, OTHER_HASH, USERS

FACTS = Facts(
    users={name: Account(uid, uid) for name, uid in USERS.items()},
    ip_addresses=frozenset({"192.0.2.10", "2001:db8::10"}),
    host_names=frozenset({"mx1.fleet.test"}),
    dovecot="2.4",
    exim_gid=120,
    dovecot_gid=121,
)
REMOVAL = Removal("archive", "20261123T040000Z", False, "/srv/archive")


def host_of(*things, hashes=None):
    domains = {one.name: one for one in things if isinstance(one, Domain)}
    addresses = {one.address: one for one in things if not isinstance(one, Domain)}
    logins = {name: HASH for name, one in addresses.items() if isinstance(one, Mailbox)}
    return Host(domains, addresses, {**logins, **(hashes or {})})


DOMAIN = Domain("a.test", "alice", False, "defer", "forward_to_address", "x@agency.test", ("192.0.2.10",))
INFO = Mailbox("info@a.test", False, "1G", ("y@agency.test",), False, ("*@b.test",))
SALES = Alias("sales@a.test", "info@a.test")
PRESS = Forward("press@a.test", ("z@agency.test",))
HOST = host_of(DOMAIN, INFO, SALES, PRESS)


def bulk(host, *entries, facts=FACTS, new_hashes=None, **options):
    return merge(host, declaration_of_domains(entries, options), facts, new_hashes or {})


def domain(host, name="a.test", facts=FACTS, **options):
    return merge(host, declaration_of_domain({"state": "present", "name": name, **options}), facts, {})


def mailbox(host, address, facts=FACTS, new_hashes=None, **options):
    declaration = declaration_of_mailbox({"state": "present", "address": address, **options})
    return merge(host, declaration, facts, new_hashes or {})


def errors_of(action, *arguments, **options):
    with pytest.raises(MailErrors) as caught:
        action(*arguments, **options)
    return [(error.where, error.message) for error in caught.value.errors]


# what is omitted


def test_a_new_domain_takes_the_defaults():
    assert domain(host_of()).host.domains == {"a.test": Domain("a.test", "vmail", True, "reject", "reject", "", (), None)}


def test_a_new_mailbox_takes_the_defaults():
    merged = mailbox(HOST, "new@a.test", password_hash=HASH).host
    assert merged.addresses["new@a.test"] == Mailbox("new@a.test", True, "", (), True, ())


def test_a_domain_that_is_only_named_stays_as_it_is():
    assert domain(HOST).host == HOST


def test_a_mailbox_that_is_only_named_stays_as_it_is():
    assert mailbox(HOST, "info@a.test").host == HOST


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"owner": "bob"}, DOMAIN._replace(owner="bob")),
        ({"enabled": True}, DOMAIN._replace(enabled=True)),
        ({"disabled_action": "accept"}, DOMAIN._replace(disabled_action="accept")),
        ({"default_action": "discard"}, DOMAIN._replace(default_action="discard", forward_to="")),
        ({"forward_to": "other@agency.test"}, DOMAIN._replace(forward_to="other@agency.test")),
        ({"ip_addresses": []}, DOMAIN._replace(ip_addresses=())),
    ],
)
def test_an_option_of_a_domain_changes_itself_alone(options, expected):
    assert domain(HOST, **options).host == HOST._replace(domains={"a.test": expected})


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"enabled": True}, INFO._replace(enabled=True)),
        ({"quota": "none"}, INFO._replace(quota="")),
        ({"quota": "2G"}, INFO._replace(quota="2G")),
        ({"senders": []}, INFO._replace(senders=())),
        ({"keep_copy": True}, INFO._replace(keep_copy=True)),
        ({"forward_to": []}, INFO._replace(forward_to=(), keep_copy=True)),
        ({"forward_to": ["w@agency.test"]}, INFO._replace(forward_to=("w@agency.test",))),
    ],
)
def test_an_option_of_a_mailbox_changes_itself_alone(options, expected):
    assert mailbox(HOST, "info@a.test", **options).host.addresses["info@a.test"] == expected


def test_what_is_not_mentioned_is_never_removed():
    assert bulk(HOST, {"name": "b.test", "mailboxes": []}).host.addresses == HOST.addresses


# passwords


def test_an_absent_secret_keeps_the_secret():
    assert mailbox(HOST, "info@a.test", quota="5G").host.hashes == HOST.hashes


def test_a_password_of_a_mailbox_that_is_there_is_set_only_when_it_is_said():
    assert mailbox(HOST, "info@a.test", password_hash=OTHER_HASH).host.hashes == HOST.hashes
    always = mailbox(HOST, "info@a.test", password_hash=OTHER_HASH, update_password="always")
    assert always.host.hashes == {"info@a.test": OTHER_HASH}


def test_a_mailbox_that_lost_its_login_takes_the_password():
    host = HOST._replace(hashes={})
    assert mailbox(host, "info@a.test", password_hash=OTHER_HASH).host.hashes == {"info@a.test": OTHER_HASH}


def test_only_passwords_that_matter_are_hashed():
    entries = [{"name": name, "password": "x", "update_password": when} for name, when in PASSWORDS]
    declaration = declaration_of_domains([{"name": "a.test", "mailboxes": entries}], {})
    host = host_of(DOMAIN, INFO, Mailbox("kept@a.test"), hashes={"half@a.test": OTHER_HASH})
    wanted = [(one.address, one.current) for one in wanted_passwords(host, declaration)]
    assert wanted == [("info@a.test", HASH), ("new@a.test", None), ("half@a.test", None)]


PASSWORDS = [("info", "always"), ("kept", "on_create"), ("new", "on_create"), ("half", "on_create")]


def test_a_login_that_an_interrupted_run_left_does_not_stand_for_a_mailbox():
    host = host_of(DOMAIN, hashes={"info@a.test": OTHER_HASH})
    assert mailbox(host, "info@a.test", new_hashes={"info@a.test": HASH}, password="x").host.hashes == {"info@a.test": HASH}


def test_a_new_mailbox_without_a_password_is_an_error():
    ((where, message),) = errors_of(bulk, HOST, {"name": "a.test", "mailboxes": [{"name": "new"}]})
    assert where == "domains[0].mailboxes[0].password"
    assert message == "the new mailbox new@a.test needs a password or a password_hash"


# aliases and forwards


def test_aliases_in_bulk_are_added():
    merged = bulk(HOST, {"name": "a.test", "mailboxes": [{"name": "info", "aliases": ["desk"]}]}).host
    assert {name for name, one in merged.addresses.items() if isinstance(one, Alias)} == {"sales@a.test", "desk@a.test"}


def test_aliases_of_the_module_mailbox_are_the_whole_list():
    merged = mailbox(HOST, "info@a.test", aliases=["desk"]).host
    assert {name for name, one in merged.addresses.items() if isinstance(one, Alias)} == {"desk@a.test"}


def test_aliases_in_bulk_are_the_whole_list_when_pruning():
    entry = {"name": "a.test", "mailboxes": [{"name": "info", "aliases": ["desk"]}, {"name": "press"}]}
    merged = bulk(HOST, entry, prune=True).host
    assert {name for name, one in merged.addresses.items() if isinstance(one, Alias)} == {"desk@a.test"}


def test_an_empty_list_of_aliases_empties_it():
    merged = bulk(HOST, {"name": "a.test", "mailboxes": [{"name": "info", "aliases": []}]}).host
    assert "sales@a.test" not in merged.addresses


def test_an_alias_somebody_wrote_in_another_domain_is_not_in_any_list():
    foreign = Alias("info@b.test", "info@a.test")
    host = host_of(DOMAIN, Domain("b.test"), INFO, foreign)
    assert mailbox(host, "info@a.test", aliases=[]).host.addresses["info@b.test"] == foreign


def test_an_alias_moves_to_the_mailbox_that_declares_it():
    host = host_of(DOMAIN, INFO, SALES, Mailbox("desk@a.test"))
    merged = mailbox(host, "desk@a.test", aliases=["sales"]).host
    assert merged.addresses["sales@a.test"] == Alias("sales@a.test", "desk@a.test")


def test_a_mailbox_becomes_an_alias_only_when_it_is_said_what_becomes_of_its_mail():
    host = host_of(DOMAIN, INFO, Mailbox("desk@a.test"))
    ((where, message),) = errors_of(mailbox, host, "info@a.test", aliases=["desk"])
    assert (where, message) == ("aliases[0]", "desk@a.test is a mailbox")
    merged = mailbox(host, "info@a.test", aliases=["desk"], removed_mail="keep").host
    assert merged.addresses["desk@a.test"] == Alias("desk@a.test", "info@a.test")


def test_a_mailbox_becomes_an_alias_when_pruning():
    host = host_of(DOMAIN, INFO, Mailbox("desk@a.test"))
    entry = {"name": "a.test", "mailboxes": [{"name": "info", "aliases": ["desk"]}]}
    merged = bulk(host, entry, prune=True, prune_limit="100%").host
    assert merged.addresses["desk@a.test"] == Alias("desk@a.test", "info@a.test")


def test_an_alias_becomes_a_mailbox_with_a_password():
    assert mailbox(HOST, "sales@a.test", password_hash=HASH).host.addresses["sales@a.test"] == Mailbox("sales@a.test")


def test_a_forward_becomes_a_mailbox_with_a_password():
    merged = mailbox(HOST, "press@a.test", password_hash=HASH).host
    assert isinstance(merged.addresses["press@a.test"], Mailbox)


def test_an_address_that_only_forwards_says_so():
    options = {"forward_to": ["x@agency.test"]}
    assert errors_of(mailbox, HOST, "new@a.test", **options)[0][0] == "password"
    merged = mailbox(HOST, "new@a.test", **options, keep_copy=False).host
    assert merged.addresses["new@a.test"] == Forward("new@a.test", ("x@agency.test",))


def test_a_forward_that_is_there_need_not_be_told_again_that_it_only_forwards():
    merged = mailbox(HOST, "press@a.test", forward_to=["x@agency.test"]).host
    assert merged.addresses["press@a.test"] == PRESS._replace(to=("x@agency.test",))


@pytest.mark.parametrize("options", [{"quota": "1G"}, {"senders": ["x@b.test"]}])
def test_what_belongs_to_a_mailbox_is_an_error_for_a_forward(options):
    assert [where for where, _message in errors_of(mailbox, HOST, "press@a.test", **options)] == list(options)


def test_a_mailbox_of_a_domain_that_is_not_there_is_an_error():
    ((where, message),) = errors_of(mailbox, HOST, "info@b.test", password_hash=HASH)
    assert (where, message) == ("address", "b.test is not a mail domain of this host")


# what forward_to needs


@pytest.mark.parametrize("action", ["forward_to_address", "forward_to_domain"])
def test_a_forwarding_domain_needs_a_target(action):
    ((where, message),) = errors_of(domain, host_of(), default_action=action)
    assert where == "forward_to"
    assert "needs forward_to" in message


def test_another_kind_of_forwarding_needs_a_target_of_its_own():
    ((where, _message),) = errors_of(domain, HOST, default_action="forward_to_domain")
    assert where == "forward_to"


def test_forward_to_alone_must_fit_the_action_that_is_there():
    assert "is not an address" in errors_of(domain, HOST, forward_to="b.test")[0][1]
    assert "has no meaning" in errors_of(domain, host_of(Domain("a.test")), forward_to="b.test")[0][1]


# prune

MANY = host_of(*(Domain(f"d{number}.test") for number in range(10)), *(Mailbox(f"m@d{n}.test") for n in range(10)))


def listed(*numbers):
    return [{"name": f"d{number}.test"} for number in numbers]


def test_pruning_removes_the_domains_that_are_not_listed_with_their_addresses():
    merged = bulk(MANY, *listed(*range(9)), prune=True).host
    assert sorted(merged.domains) == [f"d{number}.test" for number in range(9)]
    assert "m@d9.test" not in merged.addresses


def test_pruning_leaves_the_mailboxes_of_domains_that_list_none():
    assert bulk(MANY, *listed(*range(10)), prune=True).host == MANY


def test_pruning_removes_the_mailboxes_that_a_given_list_does_not_hold():
    entries = listed(*range(10))
    entries[0]["mailboxes"] = []
    assert "m@d0.test" not in bulk(MANY, *entries, prune=True).host.addresses


@pytest.mark.parametrize(
    ("limit", "kept", "allowed"),
    [
        ("10%", 9, True),
        ("10%", 8, False),
        ("2", 8, True),
        ("2", 7, False),
        ("0", 9, False),
        ("0%", 10, True),
        ("19%", 8, False),
        ("100%", 1, True),
        (" 20 %", 8, True),
    ],
)
def test_pruning_stops_at_its_limit(limit, kept, allowed):
    options = {"prune": True, "prune_limit": limit}
    if allowed:
        assert len(bulk(MANY, *listed(*range(kept)), **options).host.domains) == kept
    else:
        found = errors_of(bulk, MANY, *listed(*range(kept)), **options)
        assert {where for where, _message in found} == {"prune_limit"}
        assert f"would remove {10 - kept} of 10 domains" in found[0][1]


def test_the_limit_counts_mailboxes_for_themselves():
    host = host_of(Domain("a.test"), *(Mailbox(f"m{number}@a.test") for number in range(10)))
    entry = {"name": "a.test", "mailboxes": [{"name": f"m{number}"} for number in range(8)]}
    ((_where, message),) = errors_of(bulk, host, entry, prune=True)
    assert "would remove 2 of 10 mailboxes (m8@a.test, m9@a.test)" in message


def test_pruning_with_an_empty_list_is_refused_unless_it_is_said():
    ((where, message),) = errors_of(bulk, MANY, prune=True, prune_limit="50%")
    assert (where, message) == ("domains", "prune with an empty list would remove every mail domain of the host")
    assert bulk(MANY, prune=True, prune_limit="100%").host.domains == {}


@pytest.mark.parametrize("limit", ["-1", "ten", "10 percent", "%", "1.5%"])
def test_nonsense_is_no_limit(limit):
    assert errors_of(bulk, MANY, *listed(1), prune=True, prune_limit=limit)[0][0] == "prune_limit"


def test_the_aliases_of_a_pruned_mailbox_go_with_it():
    entry = {"name": "a.test", "mailboxes": [{"name": "press"}]}
    merged = bulk(HOST, entry, prune=True, prune_limit="100%").host
    assert list(merged.addresses) == ["press@a.test"]


# removals under way


def test_a_removal_under_way_is_gone_from_the_desired_host():
    host = host_of(DOMAIN._replace(removal=REMOVAL), INFO, Domain("b.test"), Mailbox("m@b.test", removal=REMOVAL))
    assert bulk(host).host[:2] == ({"b.test": Domain("b.test")}, {})


def test_a_domain_declared_again_comes_back_as_it_was_with_its_addresses():
    host = host_of(DOMAIN._replace(enabled=False, removal=REMOVAL), INFO, SALES)
    merged = domain(host).host
    assert merged.domains == {"a.test": DOMAIN._replace(enabled=False)}
    assert merged.addresses == {INFO.address: INFO, SALES.address: SALES}


def test_a_mailbox_declared_again_comes_back_as_it_was():
    host = host_of(DOMAIN, INFO._replace(removal=REMOVAL))
    assert mailbox(host, "info@a.test").host.addresses["info@a.test"] == INFO


def test_settling_restores_only_what_is_named():
    host = host_of(DOMAIN._replace(removal=REMOVAL), Domain("b.test", removal=REMOVAL))
    assert settle(host, frozenset({"b.test"})).domains == {"b.test": Domain("b.test", enabled=False)}
