# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Owners: their table, their limits, and suspended domains, judged by whole runs over a file tree."""

from __future__ import annotations

import os

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import Owner, allows_ip, bytes_of, is_delegated
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

FULL = {
    "reseller": "webfactory",
    "max_domains": 2,
    "max_mailboxes": 3,
    "max_mailbox_quota": "5G",
    "total_quota": "6G",
    "outgoing_limit": 1000,
    "ssl_allowed": False,
    "allowed_ips": ["2001:db8::/64", "192.0.2.10"],
    "delegated_domains": ["*.alice.test", "alice.test"],
}
FULL_LINE = (
    "alice: reseller=webfactory domains=2 mailboxes=3 mailbox_quota=5G total_quota=6G limit=1000 ssl=no "
    "ips=192.0.2.10,2001:db8::/64 delegated=*.alice.test,alice.test"
)


def errors_of(function, *arguments, **options):
    with pytest.raises(MailErrors) as caught:
        function(*arguments, **options)
    return [(error.where, error.message) for error in caught.value.errors]


def of_alice(name, *mailboxes, **options):
    boxes = [{"name": box, "password_hash": HASH, "quota": quota} for box, quota in mailboxes]
    return {"name": name, "owner": "alice", "mailboxes": boxes, **options}


class TestTheTable:
    def test_an_owner_is_one_line_with_what_differs_from_no_limit(self, host):
        assert host.owner_limits("alice", **FULL).changed
        assert host.table("owners") == [FULL_LINE]
        assert not host.owner_limits("alice", **FULL).changed

    def test_what_is_omitted_stays_and_a_limit_can_be_taken_back(self, host):
        host.owner_limits("alice", **FULL)
        outcome = host.owner_limits("alice", max_domains=-1, total_quota="none", allowed_ips=[], reseller="", ssl_allowed=True)
        assert host.table("owners") == [
            "alice: mailboxes=3 mailbox_quota=5G limit=1000 delegated=*.alice.test,alice.test",
        ]
        (action,) = outcome.actions
        assert (action.domain, action.action) == ("", "change owner")
        assert "max_domains: 2 -> none" in action.detail

    def test_no_domains_at_all_is_a_limit(self, host):
        assert "max_domains: none -> 0" in host.owner_limits("alice", max_domains=0).actions[0].detail
        assert host.table("owners") == ["alice: domains=0"]

    def test_owners_of_mail_domains_are_the_same(self, host):
        host.domains(owners=[{"name": "alice", **FULL}])
        assert host.table("owners") == [FULL_LINE]
        assert not host.owner_limits("alice", **FULL).changed

    def test_check_mode_shows_the_line_and_writes_nothing(self, host):
        host.domains()
        outcome = host.owner_limits("alice", check=True, max_domains=2)
        assert outcome.changed
        assert any("alice: domains=2" in entry["after"] for entry in outcome.diff)
        assert host.table("owners") == []

    def test_unknown_fields_and_lines_of_others_stay(self, host):
        host.domains()
        host.write(host.layout.owners, "# ours\nalice: domains=2 colour=blue\nno_user!: x=y\n")
        host.owner_limits("alice", max_domains=3)
        assert host.text(host.layout.owners) == "# ours\nalice: domains=3 colour=blue\nno_user!: x=y\n"

    @pytest.mark.parametrize("fields", ["domains=many", "ssl=perhaps", "total_quota=5", "ips=here", "delegated=*", "limit=-1"])
    def test_a_limit_that_is_not_understood_stops_the_run(self, host, fields):
        host.domains()
        host.write(host.layout.owners, f"alice: {fields}\n")
        with pytest.raises(MailError, match="nothing was changed") as caught:
            host.domain("a.test")
        assert caught.value.where == f"{host.layout.owners}:1"

    def test_wrong_options_come_at_once_with_their_places(self, host):
        wrong = {"name": "Alice", "reseller": "no/body", "max_mailbox_quota": "big", "allowed_ips": ["x"], "delegated_domains": ["*"]}
        places = [where for where, _message in errors_of(host.domains, owners=[wrong])]
        assert places == [
            "owners[0].name",
            "owners[0].reseller",
            "owners[0].max_mailbox_quota",
            "owners[0].allowed_ips[0]",
            "owners[0].delegated_domains[0]",
        ]

    def test_an_owner_is_a_user_who_may_own_mail(self, host):
        assert errors_of(host.owner_limits, "nobody-there")[0][0] == "name"
        assert "cannot own mail" in errors_of(host.owner_limits, "www-data")[0][1]

    def test_the_tables_answer_is_what_mail_domains_takes(self, host):
        host.owner_limits("alice", **FULL)
        owners = host.info().owners
        assert not host.domains(owners=owners).changed
        host.owner_limits("alice", state="absent")
        host.domains(owners=owners)
        assert host.table("owners") == [FULL_LINE]


class TestResellers:
    def test_nobody_is_its_own_reseller(self, host):
        assert errors_of(host.owner_limits, "alice", reseller="alice")[0][0] == "reseller"

    def test_resellers_have_no_reseller(self, host):
        host.domains(owners=[{"name": "alice", "reseller": "bob"}])
        assert errors_of(host.owner_limits, "bob", reseller="carol")[0][0] == "reseller"
        assert errors_of(host.owner_limits, "carol", reseller="alice")[0][0] == "reseller"

    def test_a_reseller_with_users_stays(self, host):
        host.domains(owners=[{"name": "alice", "reseller": "bob"}, {"name": "bob"}])
        assert "reseller of alice" in errors_of(host.owner_limits, "bob", state="absent")[0][1]

    def test_an_owner_with_domains_keeps_its_limits(self, host):
        host.domains(of_alice("a.test"), owners=[{"name": "alice", "max_domains": 1}])
        assert "still owns" in errors_of(host.owner_limits, "alice", state="absent")[0][1]
        host.domain("a.test", state="absent")
        host.owner_limits("alice", state="absent")
        assert host.table("owners") == []


class TestNumbers:
    def test_each_domain_too_many_is_named(self, host):
        host.owner_limits("alice", max_domains=2)
        errors = errors_of(host.domains, *(of_alice(f"{name}.test") for name in "abcd"))
        assert [where for where, _message in errors] == ["domains[2].name", "domains[3].name"]
        assert "may have 2 mail domains and would have 4" in errors[0][1]
        assert host.table("domains") == []

    def test_the_end_state_counts(self, host):
        host.owner_limits("alice", max_domains=2)
        host.domains(of_alice("a.test"), of_alice("b.test"))
        errors_of(host.domains, of_alice("c.test"))
        host.domains(of_alice("b.test"), of_alice("c.test"), prune=True, prune_limit="50%")
        assert [line.partition(":")[0] for line in host.table("domains")] == ["b.test", "c.test"]

    def test_limits_of_the_same_run_count(self, host):
        errors = errors_of(host.domains, of_alice("a.test"), of_alice("b.test"), owners=[{"name": "alice", "max_domains": 1}])
        assert [where for where, _message in errors] == ["domains[1].name"]

    def test_who_is_above_a_lowered_limit_keeps_what_it_has_and_gets_nothing_new(self, host):
        host.domains(of_alice("a.test"), of_alice("b.test"), of_alice("c.test"))
        host.owner_limits("alice", max_domains=1)
        host.domains(of_alice("a.test", greylisting=True), of_alice("b.test"))
        errors_of(host.domains, of_alice("d.test"))
        host.domain("c.test", state="absent")

    def test_a_domain_that_changes_hands_counts_for_its_new_owner(self, host):
        host.owner_limits("alice", max_domains=1, max_mailboxes=1)
        host.domains(of_alice("a.test"), {"name": "b.test", "owner": "bob"})
        assert errors_of(host.domain, "b.test", owner="alice")[0][0] == "name"

    def test_mailboxes_count_in_all_domains_and_other_addresses_do_not(self, host):
        host.owner_limits("alice", max_mailboxes=2)
        forward = {"name": "press", "forward_to": ["x@agency.test"], "keep_copy": False}
        entries = [of_alice("a.test", ("x", "1G")), of_alice("b.test", ("x", "1G"))]
        entries[0]["mailboxes"][0]["aliases"] = ["y", "z"]
        entries[0]["mailboxes"].append(forward)
        host.domains(*entries)
        assert errors_of(host.mailbox, "new@b.test", password_hash=HASH)[0][0] == "address"
        host.mailbox("x@a.test", state="absent")
        host.mailbox("new@b.test", password_hash=HASH)


class TestQuotas:
    def test_a_new_mailbox_needs_a_quota_within_the_limit(self, host):
        host.owner_limits("alice", max_mailbox_quota="2G")
        errors = errors_of(host.domains, of_alice("a.test", ("x", "3G"), ("y", "none"), ("z", "2048M")))
        assert [where for where, _message in errors] == ["domains[0].mailboxes[0].quota", "domains[0].mailboxes[1].quota"]

    def test_a_larger_mailbox_that_is_there_may_become_smaller_and_not_larger(self, host):
        host.domains(of_alice("a.test", ("x", "5G")))
        host.owner_limits("alice", max_mailbox_quota="2G")
        host.mailbox("x@a.test", quota="4G")
        errors_of(host.mailbox, "x@a.test", quota="5G")
        errors_of(host.mailbox, "x@a.test", quota="none")

    def test_the_sum_of_all_quotas_is_limited(self, host):
        host.owner_limits("alice", total_quota="3G")
        host.domains(of_alice("a.test", ("x", "1G")), of_alice("b.test", ("x", "2G")))
        ((where, message),) = errors_of(host.domains, of_alice("b.test", ("y", "1M")))
        assert where == "domains[0].mailboxes[0].quota"
        assert "3.0G together, and may have 3G" in message
        host.domains(of_alice("a.test", ("x", "512M")), of_alice("b.test", ("y", "512M")))

    def test_one_without_a_quota_cannot_be_summed(self, host):
        host.owner_limits("alice", total_quota="3G")
        assert errors_of(host.domains, of_alice("a.test", ("x", "none")))[0][0] == "domains[0].mailboxes[0].quota"

    def test_bytes(self):
        assert (bytes_of("1K"), bytes_of("2G"), bytes_of("")) == (1024, 2 * 2**30, 0)


class TestWhatDomainsMayHave:
    def test_no_certificates_where_they_are_not_allowed(self, host):
        host.owner_limits("alice", ssl_allowed=False)
        assert errors_of(host.domains, of_alice("a.test", ssl={})) == [
            ("domains[0].ssl", "the domains of alice may not have certificates of their own"),
        ]

    def test_one_that_is_there_stays(self, host):
        host.domains(of_alice("a.test", ssl={"alias": "mail.a.test"}))
        host.owner_limits("alice", ssl_allowed=False)
        host.domains(of_alice("a.test", enabled=False))
        assert errors_of(host.domain, "a.test", ssl={"alias": "smtp.a.test"})[0][0] == "ssl"

    def test_sending_addresses_are_those_allowed(self, host):
        host.owner_limits("alice", allowed_ips=["192.0.2.0/28", "2001:db8::10"])
        host.domains(of_alice("a.test", ip_addresses=["192.0.2.10", "2001:db8::10"]))
        assert errors_of(host.domain, "a.test", ip_addresses=["192.0.2.99"]) == [("ip_addresses", "alice may not send from 192.0.2.99")]

    def test_networks(self):
        owner = Owner("alice", allowed_ips=("192.0.2.0/28",))
        assert allows_ip(owner, "192.0.2.15")
        assert not allows_ip(owner, "192.0.2.16")
        assert not allows_ip(owner, "2001:db8::1")
        assert allows_ip(Owner("bob"), "2001:db8::1")

    def test_patterns_of_names(self):
        assert is_delegated("shop.a.test", ["*.a.test"])
        assert is_delegated("x.shop.a.test", ["*.a.test"])
        assert not is_delegated("a.test", ["*.a.test"])
        assert not is_delegated("a.test.evil", ["a.test", "*.a.test"])
        assert not is_delegated("evila.test", ["*.a.test"])


class TestSuspended:
    def test_a_suspended_domain_is_off_whatever_enabled_says(self, host):
        host.domains({"name": "a.test", "enabled": True})
        outcome = host.domain("a.test", suspended=True, suspended_reason="not paid")
        assert "suspended: no -> yes" in outcome.actions[0].detail
        line = 'a.test: owner=vmail enabled=yes disabled=reject action=reject suspended=yes suspended_reason="not paid"'
        assert host.table("domains") == [line]
        assert host.table("disabled_domains") == ["a.test:"]
        assert not host.domain("a.test", enabled=True).changed
        host.domain("a.test", enabled=False)
        host.domain("a.test", enabled=True)
        assert host.table("disabled_domains") == ["a.test:"]
        (status,) = host.info().status
        assert (status["is_on"], status["suspended_reason"]) == (False, "not paid")

    def test_it_comes_back_as_its_owner_left_it(self, host):
        host.domain("a.test", suspended=True, enabled=False)
        host.domain("a.test", suspended=False)
        assert host.table("disabled_domains") == ["a.test:"]
        host.domain("a.test", enabled=True)
        assert host.table("domains") == ["a.test: owner=vmail enabled=yes disabled=reject action=reject"]
        assert host.table("disabled_domains") == []

    def test_a_reason_without_suspension_is_an_error(self, host):
        assert errors_of(host.domain, "a.test", suspended_reason="why")[0][0] == "suspended_reason"

    @pytest.mark.parametrize("reason", ["two\nlines", "x" * 201, "bell \x07"])
    def test_a_reason_is_one_printable_line(self, host, reason):
        assert errors_of(host.domain, "a.test", suspended=True, suspended_reason=reason)[0][0] == "suspended_reason"

    def test_an_exim_that_does_not_know_of_it_is_told(self, host):
        host.write(host.layout.exim_conf, "MD_FORMAT = 4\n")
        assert errors_of(host.domain, "a.test", suspended=True)[0][0] == "suspended"


class TestViews:
    def names(self, host, *names, **options):
        return [entry["name"] for entry in host.info(*names, **options).status]

    def test_filters(self, host):
        host.domains(
            of_alice("a.test"),
            of_alice("shop.a.test", enabled=False),
            {"name": "b.test", "owner": "bob", "suspended": True},
            owners=[{"name": "alice", "reseller": "carol"}],
        )
        assert self.names(host, reseller="carol") == ["a.test", "shop.a.test"]
        assert self.names(host, owner="bob") == ["b.test"]
        assert self.names(host, enabled=False) == ["b.test", "shop.a.test"]
        assert self.names(host, "*.a.test", "b.tes?") == ["b.test", "shop.a.test"]
        assert self.names(host, "*.test", owner="alice", enabled=True) == ["a.test"]

    def test_only_what_is_asked_is_looked_at(self, host):
        host.domains(of_alice("a.test", ("x", "1G")))
        host.deliver("x@a.test", content="12345")
        quick = host.info(with_use=False, with_health=False).status[0]
        assert quick.keys().isdisjoint({"healthy", "problems", "bytes", "mailbox_use"})
        full = host.info(with_mailboxes=True).status[0]
        assert (full["healthy"], full["bytes"]) == (True, 5)
        assert full["mailbox_use"] == [{"address": "x@a.test", "quota": "1G", "bytes": 5, "files": 1}]
