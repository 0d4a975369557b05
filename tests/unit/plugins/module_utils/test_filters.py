# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters, limits and lists: declared, merged, and held against what the host can do. Values in, values out."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_domains, declaration_of_mailbox
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import AS_THE_DOMAIN, NO_FILTERS, Filters, Lists, MailboxFilters
from ansible_collections.fleetpost.mail.plugins.module_utils._gather import problems_of, wanted_scanners
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import merge
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    FILTERING_EXIM_FORMAT,
    Account,
    Domain,
    Facts,
    Host,
    Mailbox,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH

FACTS = Facts(
    users={"vmail": Account(900, 900)},
    ip_addresses=None,
    host_names=frozenset(),
    dovecot="2.4",
    exim_gid=120,
    dovecot_gid=121,
    exim_format=FILTERING_EXIM_FORMAT,
    scanners={"spamassassin": "127.0.0.1 783", "antivirus": "/run/clamav/clamd.ctl"},
)
OLD = FACTS._replace(exim_format=FILTERING_EXIM_FORMAT - 1, scanners={})
BARE = FACTS._replace(scanners={})
CHECK = {"strict": False}

FILTERS = Filters(True, True, "tag", 7.5, 15.0, True, 200)
LISTS = Lists(("x@b.test",), ("*@c.test",), ("192.0.2.1",), ("2001:db8::/32",))
OWN = MailboxFilters(greylisting=False, spam_threshold=9.0)
DOMAIN = Domain("a.test", filters=FILTERS, lists=LISTS)
INFO = Mailbox("info@a.test", filters=OWN)
HOST = Host({"a.test": DOMAIN}, {"info@a.test": INFO}, {"info@a.test": HASH})
EMPTY = Host({}, {}, {})


def bulk(host, *entries, facts=FACTS):
    return merge(host, declaration_of_domains(entries, {}), facts, {})


def domain(host=HOST, facts=FACTS, **options):
    return bulk(host, {"name": "a.test", **options}, facts=facts)


def mailbox(host=HOST, facts=FACTS, **options):
    declaration = declaration_of_mailbox({"state": "present", "address": "info@a.test", **options})
    return merge(host, declaration, facts, {})


def errors_of(action, *arguments, **options):
    with pytest.raises(MailErrors) as caught:
        action(*arguments, **options)
    return [(error.where, error.message) for error in caught.value.errors]


def wrong_options(*entries):
    return [error.where for error in declaration_of_domains(entries, {}).errors]


# what is omitted


def test_a_new_domain_filters_nothing_and_a_new_mailbox_is_as_its_domain():
    entry = {"name": "b.test", "mailboxes": [{"name": "info", "password_hash": HASH}]}
    host = bulk(EMPTY, entry).host
    assert host.domains["b.test"] == Domain("b.test")
    assert host.addresses["info@b.test"] == Mailbox("info@b.test")


def test_what_is_only_named_stays_the_very_same():
    host = bulk(HOST, {"name": "a.test", "mailboxes": [{"name": "info"}]}).host
    assert host.domains["a.test"] is DOMAIN
    assert host.addresses["info@a.test"] is INFO


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"greylisting": False}, FILTERS._replace(greylisting=False)),
        ({"spamassassin": False}, FILTERS._replace(spamassassin=False)),
        ({"spam_action": "reject"}, FILTERS._replace(spam_action="reject")),
        ({"spam_threshold": 3}, FILTERS._replace(spam_threshold=3.0)),
        ({"spam_reject_threshold": 0}, FILTERS._replace(spam_reject_threshold=0.0)),
        ({"spam_reject_threshold": 7.5}, FILTERS._replace(spam_reject_threshold=7.5)),
        ({"antivirus": False}, FILTERS._replace(antivirus=False)),
        ({"outgoing_limit": 0}, FILTERS._replace(outgoing_limit=0)),
    ],
)
def test_an_option_changes_itself_alone(options, expected):
    without_own = HOST._replace(addresses={})
    assert domain(without_own, **options).host.domains["a.test"] == DOMAIN._replace(filters=expected)


@pytest.mark.parametrize("name", Lists._fields)
def test_a_list_changes_itself_alone_and_an_empty_one_empties_it(name):
    item = "192.0.2.7" if name.endswith("hosts") else "y@b.test"
    assert domain(**{name: [item]}).host.domains["a.test"].lists == LISTS._replace(**{name: (item,)})
    assert domain(**{name: []}).host.domains["a.test"].lists == LISTS._replace(**{name: ()})


def test_what_a_mailbox_differs_in_is_exactly_what_is_given():
    assert mailbox(filters={"antivirus": True}).host.addresses["info@a.test"].filters == MailboxFilters(antivirus=True)
    assert mailbox(filters={}).host.addresses["info@a.test"].filters == AS_THE_DOMAIN
    assert mailbox(filters={"greylisting": False, "spam_threshold": 9}).host.addresses["info@a.test"] is INFO


def test_an_address_that_only_forwards_has_no_filters():
    entry = {"name": "press", "forward_to": ["x@agency.test"], "keep_copy": False}
    found = errors_of(domain, mailboxes=[{**entry, "filters": {"greylisting": True}}])
    assert found == [("domains[0].mailboxes[0].filters", "filters belongs to a mailbox, and press@a.test only forwards")]
    assert "press@a.test" in domain(mailboxes=[{**entry, "filters": {}}]).host.addresses


# the forms of things


def test_lists_are_sorted_and_every_item_stands_once():
    senders = ["Zoë.example".replace("ë", "e"), "b@X.test", ".X.test", "*@x.test", "x.test", "B@x.test", "*@*.x.test"]
    hosts = ["192.0.2.0/24", "2001:DB8:0::/32", "192.0.2.1/32", "192.0.2.1", "2001:db8::/32"]
    lists = domain(allow_senders=senders, block_hosts=hosts).host.domains["a.test"].lists
    assert lists.allow_senders == ("*@*.x.test", "*@x.test", "*@zoe.example", "b@x.test")
    assert lists.block_hosts == ("192.0.2.0/24", "192.0.2.1", "2001:db8::/32")


NUMBERS = {
    "spam_threshold": [0, 0.09, 5.25, 999.1, 1000, -1, float("nan"), float("inf")],
    "spam_reject_threshold": [0.05, 5.25, 999.1, -1, float("nan")],
    "outgoing_limit": [-1, 1000001],
}


@pytest.mark.parametrize(("option", "value"), [(option, value) for option, values in NUMBERS.items() for value in values])
def test_a_number_out_of_its_range_is_one_error_at_its_option(option, value):
    assert wrong_options({"name": "a.test", option: value}) == [f"domains[0].{option}"]
    entry = {"name": "a.test", "mailboxes": [{"name": "x"}, {"name": "y"}, {"name": "i", "filters": {option: value}}]}
    assert wrong_options(entry) == [f"domains[0].mailboxes[2].filters.{option}"]


@pytest.mark.parametrize(("option", "value"), [("spam_threshold", 0.1), ("spam_threshold", 999), ("outgoing_limit", 1000000)])
def test_the_ends_of_a_range_belong_to_it(option, value):
    assert wrong_options({"name": "a.test", option: value}) == []


@pytest.mark.parametrize(
    "entry",
    [
        {"spam_threshold": "high"},
        {"spam_action": "delete"},
        {"greylisting": "perhaps"},
        {"allow_hosts": {"a": 1}},
        {"filters": {"greylisting": True}},
    ],
)
def test_a_wrong_type_is_an_error_of_its_entry(entry):
    assert wrong_options({"name": "b.test"}, {"name": "a.test", **entry}) == ["domains[1]"]


@pytest.mark.parametrize("filters", [{"spam_threshold": "high"}, {"allow_hosts": []}, {"spam_action": "delete"}, "none"])
def test_a_wrong_type_in_a_mailbox_is_an_error_of_its_entry(filters):
    assert set(wrong_options({"name": "a.test", "mailboxes": [{"name": "i", "filters": filters}]})) == {"domains[0].mailboxes[0]"}


def test_types_are_converted_as_ansible_converts_them():
    merged = domain(EMPTY, spam_threshold="7.5", greylisting="yes", outgoing_limit="20").host.domains["a.test"]
    assert merged.filters == NO_FILTERS._replace(spam_threshold=7.5, greylisting=True, outgoing_limit=20)


def test_null_says_nothing():
    entry = dict.fromkeys([*Filters._fields, *Lists._fields])
    assert domain(**entry).host.domains["a.test"] is DOMAIN
    assert mailbox(filters=None).host.addresses["info@a.test"] is INFO
    assert mailbox(filters=dict.fromkeys(Filters._fields)).host.addresses["info@a.test"].filters == AS_THE_DOMAIN


# thresholds together


def test_rejecting_below_what_is_spam_is_an_error():
    found = errors_of(domain, EMPTY, spam_reject_threshold=4.9)
    assert found == [
        ("domains[0].spam_reject_threshold", "a.test would reject from 4.9 points on, and what is spam begins at 5.0"),
    ]


def test_thresholds_are_held_against_those_that_are_there():
    without_own = HOST._replace(addresses={})
    assert [where for where, _message in errors_of(domain, without_own, spam_threshold=15.1)] == ["domains[0].spam_threshold"]
    assert domain(without_own, spam_threshold=15).host.domains["a.test"].filters.spam_threshold == 15.0


def test_a_mailbox_is_held_against_its_domain():
    assert errors_of(mailbox, filters={"spam_threshold": 15.1}) == [
        ("filters.spam_threshold", "info@a.test would reject from 15.0 points on, and what is spam begins at 15.1"),
    ]
    assert [where for where, _message in errors_of(mailbox, filters={"spam_reject_threshold": 7.4})] == ["filters.spam_reject_threshold"]
    mailbox(filters={"spam_threshold": 20, "spam_reject_threshold": 0})


def test_a_new_threshold_of_a_domain_is_held_against_its_mailboxes():
    found = errors_of(domain, spam_reject_threshold=8)
    assert found == [
        ("domains[0].spam_reject_threshold", "info@a.test would reject from 8.0 points on, and what is spam begins at 9.0"),
    ]
    domain(spam_reject_threshold=8, mailboxes=[{"name": "info", "filters": {}}])


def test_thresholds_that_were_wrong_before_stop_no_other_change():
    wrong = DOMAIN._replace(filters=FILTERS._replace(spam_reject_threshold=1.0))
    host = HOST._replace(domains={"a.test": wrong})
    domain(host, greylisting=False, enabled=False)
    mailbox(host, filters={"greylisting": True})


# whether mailboxes may differ

SHUT = HOST._replace(domains={"a.test": DOMAIN._replace(mailbox_filters=False)}, addresses={"info@a.test": Mailbox("info@a.test")})


def test_a_mailbox_may_differ_unless_its_domain_says_no():
    assert domain(EMPTY).host.domains["a.test"].mailbox_filters
    assert domain(mailbox_filters=True).host.domains["a.test"] is DOMAIN
    assert not domain(SHUT, greylisting=False).host.domains["a.test"].mailbox_filters
    assert (
        domain(SHUT, mailbox_filters=True, mailboxes=[{"name": "info", "filters": {"greylisting": True}}]).host.domains["a.test"] == DOMAIN
    )


def test_filters_of_a_mailbox_in_a_domain_that_allows_none_are_an_error_at_the_mailbox():
    assert errors_of(mailbox, SHUT, filters={"greylisting": True}) == [("filters", "a.test has mailbox_filters: false")]
    entry = {"name": "new", "password_hash": HASH, "filters": {"outgoing_limit": 5}}
    found = errors_of(domain, EMPTY, mailbox_filters=False, mailboxes=[entry])
    assert found == [("domains[0].mailboxes[0].filters", "a.test has mailbox_filters: false")]
    assert mailbox(SHUT, filters={}).host.addresses["info@a.test"].filters == AS_THE_DOMAIN
    with pytest.raises(MailErrors, match=r"Leave them out, or let the mailboxes of a\.test differ with mailbox_filters: true"):
        mailbox(SHUT, filters={"greylisting": True})


def test_a_domain_forbids_only_when_no_mailbox_differs():
    assert errors_of(domain, mailbox_filters=False) == [("domains[0].mailbox_filters", "info@a.test has filters of its own")]
    shut = domain(mailbox_filters=False, mailboxes=[{"name": "info", "filters": {}}]).host
    assert (shut.domains["a.test"].mailbox_filters, shut.addresses["info@a.test"].filters) == (False, AS_THE_DOMAIN)


def test_what_differed_before_by_hand_stops_no_other_change():
    by_hand = SHUT._replace(addresses={"info@a.test": INFO})
    assert domain(by_hand, antivirus=False).host.addresses["info@a.test"] is INFO
    assert problems_of(by_hand, FACTS, [], [])["a.test"] == ["info@a.test has filters of its own, and mailbox_filters is off"]


# which scanners are asked whether they answer


@pytest.mark.parametrize(
    ("filters", "own", "wanted"),
    [
        (NO_FILTERS, AS_THE_DOMAIN, set()),
        (NO_FILTERS._replace(antivirus=True), AS_THE_DOMAIN, {"antivirus"}),
        (NO_FILTERS, MailboxFilters(spamassassin=True, antivirus=False), {"spamassassin"}),
        (NO_FILTERS._replace(greylisting=True), MailboxFilters(outgoing_limit=1), set()),
    ],
)
def test_a_scanner_is_wanted_by_a_domain_or_by_a_mailbox_of_it(filters, own, wanted):
    domains = {"a.test": Domain("a.test", filters=filters), "b.test": Domain("b.test")}
    host = Host(domains, {"info@a.test": Mailbox("info@a.test", filters=own)}, {})
    assert wanted_scanners(host, ["a.test"]) == wanted
    assert wanted_scanners(host, ["b.test"]) == set()


# what the host can do

SWITCHED_ON = [
    {"greylisting": True},
    {"spamassassin": True},
    {"antivirus": True},
    {"outgoing_limit": 1},
    {"allow_senders": ["b.test"]},
    {"block_hosts": ["192.0.2.1"]},
]


@pytest.mark.parametrize("options", SWITCHED_ON)
def test_an_exim_configuration_that_does_not_filter_is_an_error_with_its_role(options):
    with pytest.raises(MailErrors, match=r"does not filter\. Run the role fleetpost\.mail\.exim first") as caught:
        domain(EMPTY, facts=OLD, **options)
    assert [error.where for error in caught.value.errors] == [f"domains[0].{next(iter(options))}"]
    (warning,) = domain(EMPTY, facts=OLD._replace(**CHECK), **options).warnings
    assert warning.endswith("does not filter. Run the role fleetpost.mail.exim first")


@pytest.mark.parametrize("options", SWITCHED_ON[:4])
def test_a_mailbox_needs_such_a_configuration_too(options):
    found = errors_of(mailbox, facts=OLD, filters=options)
    assert [where for where, _message in found] == [f"filters.{next(iter(options))}"]


@pytest.mark.parametrize(
    "options",
    [{"greylisting": False, "outgoing_limit": 0, "allow_senders": []}, {"spam_action": "tag", "spam_threshold": 4}, {"enabled": False}, {}],
)
def test_what_switches_nothing_on_needs_no_new_configuration(options):
    assert domain(HOST._replace(addresses={}), facts=OLD, **options).warnings == ()


def test_a_configuration_that_is_not_the_roles_is_taken_for_able():
    own = FACTS._replace(exim_format=None, scanners=None)
    assert domain(EMPTY, facts=own, spamassassin=True, antivirus=True).warnings == ()


@pytest.mark.parametrize(
    ("option", "program", "role"), [("spamassassin", "SpamAssassin", "spamassassin"), ("antivirus", "ClamAV", "clamav")]
)
def test_a_scanner_that_is_not_installed_is_an_error_with_its_role(option, program, role):
    with pytest.raises(MailErrors) as caught:
        domain(EMPTY, facts=BARE, **{option: True})
    (error,) = caught.value.errors
    assert (error.where, error.message) == (f"domains[0].{option}", f"{program} is not installed on this host")
    assert error.remedy == f"Run the role fleetpost.mail.{role}, then fleetpost.mail.exim"
    (error,) = errors_of(mailbox, facts=BARE, filters={option: True})
    assert error == (f"filters.{option}", f"{program} is not installed on this host")
    (warning,) = domain(EMPTY, facts=BARE._replace(**CHECK), **{option: True}).warnings
    assert warning == f"{program} is not installed on this host. Run the role fleetpost.mail.{role}, then fleetpost.mail.exim"


def test_a_scanner_that_is_not_installed_any_more_stops_nobody_who_does_not_ask_for_it():
    assert domain(facts=BARE, greylisting=False, spamassassin=False).host.domains["a.test"].filters.antivirus


def test_many_domains_share_one_warning():
    entries = [{"name": f"d{number}.test", "spamassassin": True} for number in range(3)]
    assert len(bulk(EMPTY, *entries, facts=BARE._replace(**CHECK)).warnings) == 1


def test_all_errors_come_at_once_with_their_positions():
    found = errors_of(
        bulk,
        EMPTY,
        {"name": "a.test", "mailboxes": [{"name": "i", "password_hash": HASH, "filters": {"antivirus": True, "spam_reject_threshold": 1}}]},
        {"name": "b.test", "spamassassin": True, "antivirus": True, "spam_reject_threshold": 2},
        {"name": "c.test", "allow_hosts": ["192.0.2.1", "192.0.2.1/24"], "block_senders": ["!b.test"], "spam_threshold": 0},
        facts=BARE,
    )
    assert sorted(where for where, _message in found) == [
        "domains[0].mailboxes[0].filters.antivirus",
        "domains[0].mailboxes[0].filters.spam_reject_threshold",
        "domains[1].antivirus",
        "domains[1].spam_reject_threshold",
        "domains[1].spamassassin",
        "domains[2].allow_hosts[1]",
        "domains[2].block_senders[0]",
        "domains[2].spam_threshold",
    ]
