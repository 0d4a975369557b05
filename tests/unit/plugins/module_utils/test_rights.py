# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs in somebody's name: what an owner and a reseller see and change, and every way out that is shut."""

from __future__ import annotations

import importlib
import os

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _module, _specs
from ansible_collections.fleetpost.mail.plugins.module_utils._allowed_options import (
    ALLOWED,
    refused_in_entries,
    refused_options,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._rights import NOT_AVAILABLE
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, UNSTABLE

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

OWNERS = [
    {
        "name": "alice",
        "reseller": "carol",
        "delegated_domains": ["alice.test", "*.alice.test", "shop.bob.test", "other.test"],
        "max_domains": 3,
    },
    {"name": "bob", "reseller": "dave", "delegated_domains": ["*.bob.test"]},
    {"name": "carol", "delegated_domains": ["*.carol.test"]},
]


def box(name="info", **options):
    return {"name": name, "password_hash": HASH, **options}


@pytest.fixture
def shared(host):
    """A host of alice, who is carol's customer, of bob, who is dave's, and of nobody's customer."""
    host.domains(
        {"name": "alice.test", "owner": "alice", "mailboxes": [box(aliases=["sales"])], "ssl": {}},
        {"name": "bob.test", "owner": "bob", "mailboxes": [box()], "ssl": {"alternative_names": ["mail.elsewhere.test"]}},
        {"name": "off.test", "owner": "alice", "suspended": True, "suspended_reason": "not paid"},
        {"name": "host.test", "mailboxes": [box()]},
        owners=OWNERS,
    )
    return host


def refused(function, *arguments, **options):
    """The option paths that are refused, all with the one message; anything else that is wrong fails the test."""
    with pytest.raises(MailErrors) as caught:
        function(*arguments, **options)
    assert {(error.message, error.remedy) for error in caught.value.errors} == {(NOT_AVAILABLE, "")}
    return [error.where for error in caught.value.errors]


class TestWhatIsSeen:
    @pytest.mark.parametrize(
        ("name", "domains"),
        [
            ("alice", ["alice.test", "off.test"]),
            ("carol", ["alice.test", "off.test"]),
            ("bob", ["bob.test"]),
            ("dave", ["bob.test"]),
            ("vmail", ["host.test"]),
            ("stranger", []),
            ("root", ["alice.test", "bob.test", "host.test", "off.test"]),
            ("", ["alice.test", "bob.test", "host.test", "off.test"]),
        ],
    )
    def test_the_domains_of_the_user_and_of_those_below_it(self, shared, name, domains):
        inventory = shared.acts_as(name).info()
        assert [entry["name"] for entry in inventory.domains] == domains
        assert [entry["name"] for entry in inventory.status] == domains

    def test_nothing_of_others_is_in_an_answer(self, shared):
        for option in ({}, {"owner": "bob"}, {"reseller": "dave"}, {"with_mailboxes": True}):
            answer = shared.acts_as("alice").info(**option)
            assert "bob" not in repr(answer._replace(owners=[]))
            assert [owner["name"] for owner in answer.owners] == ["alice"]
            assert "host.test" not in repr(shared.acts_as("alice").info("*", **option))

    def test_counts_diffs_and_actions_are_of_the_part_that_is_seen(self, shared):
        shared.path(f"{shared.layout.mail_root}/bob.test/info").chmod(0o755)
        outcome = shared.acts_as("alice").domain("alice.test", greylisting=True)
        assert outcome.counts["domains"]["total"] == 2
        assert "bob" not in repr(outcome._replace(desired=None))
        assert shared.owner(f"{shared.layout.mail_root}/bob.test/info")[2] == 0o700

    def test_what_is_mended_for_others_is_no_change(self, shared):
        shared.path(f"{shared.layout.mail_root}/bob.test/info").chmod(0o755)
        outcome = shared.acts_as("alice").domain("alice.test")
        assert not outcome.changed
        assert shared.owner(f"{shared.layout.mail_root}/bob.test/info")[2] == 0o700
        assert "bob.test" in shared.text(shared.layout.audit_log).splitlines()[-1]


class TestWhatMayBeDone:
    def test_an_owner_changes_its_domains_and_mailboxes(self, shared):
        alice = shared.acts_as("alice")
        alice.domain("alice.test", spamassassin=True, default_action="discard")
        alice.mailbox("new@alice.test", password_hash=HASH, forward_to=["x@bob.test", "y@elsewhere.test"])
        alice.mailbox("sales@alice.test", state="absent")
        assert "new@alice.test: mailbox forward=x@bob.test,y@elsewhere.test" in shared.table("addresses")

    def test_a_new_domain_among_those_delegated_is_its_own(self, shared):
        shared.acts_as("alice").domains({"name": "shop.alice.test", "mailboxes": [box()]})
        assert "shop.alice.test: owner=alice enabled=yes disabled=reject action=reject" in shared.table("domains")

    def test_a_domain_that_was_removed_may_be_removed_again(self, shared):
        alice = shared.acts_as("alice")
        alice.domain("alice.test", state="absent")
        assert not alice.domain("alice.test", state="absent").changed

    def test_limits_hold(self, shared):
        alice = shared.acts_as("alice")
        alice.domain("a.alice.test")
        with pytest.raises(MailErrors, match="may have 3 mail domains"):
            alice.domain("b.alice.test")

    def test_a_reseller_acts_for_its_customers(self, shared):
        carol = shared.acts_as("carol")
        carol.domain("alice.test", greylisting=True)
        carol.domain("x.carol.test")
        carol.domain("y.carol.test", owner="alice")
        carol.domain("y.carol.test", owner="carol")
        carol.domain("y.carol.test", owner="alice")
        assert [line for line in shared.table("domains") if "carol.test" in line] == [
            "x.carol.test: owner=carol enabled=yes disabled=reject action=reject",
            "y.carol.test: owner=alice enabled=yes disabled=reject action=reject",
        ]

    def test_certificates_of_its_own_names(self, shared):
        shared.acts_as("alice").domain("alice.test", ssl={"alternative_names": ["imap.alice.test", "*.alice.test"]})
        shared.acts_as("alice").certificate("alice.test", state="absent")
        assert not any("alice" in line for line in shared.table("certificates"))
        assert any("bob" in line for line in shared.table("certificates"))

    def test_keys(self, shared):
        shared.acts_as("alice").dkim("alice.test", key_type="ed25519")
        shared.acts_as("alice").dkim("alice.test", state="absent")

    def test_enabled_says_nothing_against_a_suspension(self, shared):
        shared.acts_as("alice").domain("off.test", enabled=True)
        assert shared.table("disabled_domains") == ["off.test:"]

    def test_check_mode_says_the_same(self, shared):
        alice = shared.acts_as("alice")
        planned = alice.domain("alice.test", check=True, greylisting=True)
        done = alice.domain("alice.test", greylisting=True)
        assert planned._replace(desired=None, failures=[]) == done._replace(desired=None)


# What alice tries, and the options that it is refused at.
ATTEMPTS = {
    "change another's domain": (lambda host: host.domain("bob.test", enabled=False), ["name"]),
    "change a domain of nobody": (lambda host: host.domain("host.test", enabled=False), ["name"]),
    "take another's domain over": (lambda host: host.domain("bob.test", owner="alice"), ["name"]),
    "remove another's domain": (lambda host: host.domain("bob.test", state="absent"), ["name"]),
    "ask whether there is a domain by removing it": (lambda host: host.domain("none.test", state="absent"), ["name"]),
    "give a domain away": (lambda host: host.domain("alice.test", owner="bob"), ["owner"]),
    "give a domain to the reseller": (lambda host: host.domain("alice.test", owner="carol"), ["owner"]),
    "create what is not delegated": (lambda host: host.domain("new.test"), ["name"]),
    "create for another": (lambda host: host.domain("x.alice.test", owner="bob"), ["owner"]),
    "create below another's domain, though delegated": (lambda host: host.domain("shop.bob.test"), ["name"]),
    "create below an own domain of a longer name": (lambda host: host.domain("evilalice.test"), ["name"]),
    "a mailbox in another's domain": (lambda host: host.mailbox("x@bob.test", password_hash=HASH), ["address"]),
    "another's password": (lambda host: host.mailbox("info@bob.test", password_hash=HASH, update_password="always"), ["address"]),
    "remove another's mailbox": (lambda host: host.mailbox("info@bob.test", state="absent"), ["address"]),
    "send as another": (lambda host: host.mailbox("info@alice.test", senders=["info@bob.test"]), ["senders[0]"]),
    "send as all of another's": (lambda host: host.mailbox("info@alice.test", senders=["*@bob.test"]), ["senders[0]"]),
    "send as the world": (lambda host: host.mailbox("info@alice.test", senders=["x@gmail.test"]), ["senders[0]"]),
    "a certificate for another's name": (lambda host: host.domain("alice.test", ssl={"alias": "mail.bob.test"}), ["ssl.alias"]),
    "a certificate for a name outside": (
        lambda host: host.domain("alice.test", ssl={"alternative_names": ["imap.alice.test", "www.bank.test"]}),
        ["ssl.alternative_names"],
    ),
    "another's certificate": (lambda host: host.certificate("bob.test", force=True), ["domain"]),
    "the host's certificate": (lambda host: host.certificate("mx1.fleet.test"), ["domain"]),
    "another's keys": (lambda host: host.dkim("bob.test", state="absent"), ["domain"]),
    "its own limits": (lambda host: host.owner_limits("alice", max_domains=-1), ["name"]),
    "limits beside its domains": (
        lambda host: host.domains({"name": "alice.test"}, owners=[{"name": "alice", "max_domains": -1}]),
        ["owners[0].name"],
    ),
    "lift a suspension by removing the domain": (lambda host: host.domain("off.test", state="absent"), ["name"]),
    "one of many": (
        lambda host: host.domains({"name": "alice.test"}, {"name": "bob.test", "mailboxes": [box()]}),
        ["domains[1].name", "domains[1].mailboxes[0].name"],
    ),
}


@pytest.mark.parametrize("check", [False, True], ids=["run", "check"])
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_an_attempt_is_refused_and_changes_nothing(shared, attempt, check):
    act, where = ATTEMPTS[attempt]
    before = shared.entries(*UNSTABLE)
    host = shared.acts_as("alice")
    run = host.run
    host.run = lambda declaration, check_=False: run(declaration, check or check_)
    assert sorted(set(refused(act, host))) == sorted(where)
    assert shared.entries(*UNSTABLE) == before


def test_a_foreign_domain_is_like_one_elsewhere(shared):
    """Neither whether it is there nor what it holds can be told from an answer."""
    alice = shared.acts_as("alice")
    answers = []
    for name in ("bob.test", "nowhere.test"):
        with pytest.raises(MailErrors) as caught:
            alice.domain("alice.test", default_action="forward_to_domain", forward_to=name)
        answers.append(str(caught.value).replace(name, "X"))
    assert answers[0] == answers[1]
    for target in ("info@bob.test", "nobody@bob.test", "x@nowhere.test"):
        alice.domain("alice.test", default_action="forward_to_address", forward_to=target)


def test_others_forwards_do_not_hold_a_domain(shared):
    shared.mailbox("info@bob.test", forward_to=["info@alice.test"])
    shared.acts_as("alice").domain("alice.test", state="absent")


def test_a_key_file_of_another_is_not_taken(shared):
    """The further key of alice.test under the selector x stands where alice.test.x, which is bob's, keeps its first one."""
    shared.domain("alice.test.x", owner="bob", dkim={"key_type": "ed25519"})
    alice = shared.acts_as("alice")
    alice.dkim("alice.test", key_type="ed25519")
    with pytest.raises(MailErrors) as caught:
        alice.dkim("alice.test", rotate={"to": "x", "retire_after": "7d"}, key_type="ed25519")
    assert "bob" not in str(caught.value)


def test_a_name_that_anothers_certificate_has_is_not_taken(shared):
    shared.domain("bob.test", ssl={"alternative_names": ["imap.other.test"]})
    alice = shared.acts_as("alice")
    assert refused(alice.domain, "other.test", ssl={"alternative_names": ["imap.other.test"]}) == ["ssl"]


ADMINISTRATORS = {
    *(
        "root",
        "layout",
        "src",
        "remote_src",
        "archive_dir",
        "export_file",
        "prune",
        "prune_limit",
        "owners",
        "restore_generation",
        "restore_from",
    ),
    *("suspended", "suspended_reason", "ssl_defaults", "acme_max_orders", "resolvers", "dns_timeout", "timeout"),
    *("certificate_path", "chain_path", "private_key_path", "webroot", "ca_certificate", "acme_directory", "challenge"),
    *("challenge_method", "rfc2136", "eab_kid", "eab_hmac_key", "force"),
    *("mail_host", "mail_host_addresses", "mx", "spf_all", "mta_sts_id", "tls_rpt_rua"),
    *_specs.IMPORT,
    *(option for option in _specs.OWNER if option not in ("name", "state", "reseller", "outgoing_limit")),
}


class TestOptions:
    """Of every option of every module it is said whether it is the administrator's."""

    @pytest.mark.parametrize(
        "name",
        [
            *("mail_domain", "mail_domains", "mailbox", "mail_domain_dkim", "mail_domain_cert", "mail_domain_dns", "mail_domain_info"),
            *("mail_domain_import", "mail_owner"),
        ],
    )
    def test_each_is_allowed_or_the_administrators(self, name, monkeypatch):
        class Specified(Exception):
            pass

        def capture(**arguments):
            raise Specified(arguments["argument_spec"])

        monkeypatch.setattr(_module, "AnsibleModule", capture)
        with pytest.raises(Specified) as caught:
            importlib.import_module(f"ansible_collections.fleetpost.mail.plugins.modules.{name}").main()
        options = set(caught.value.args[0])
        assert options - ALLOWED.keys() - ADMINISTRATORS == set()
        assert ALLOWED.keys() & ADMINISTRATORS == set()

    def test_the_options_of_an_entry(self):
        everything = _specs.DOMAIN.keys() | {"mailboxes"}
        (entry,) = [dict.fromkeys(everything, "said")]
        assert {one.where for one in refused_in_entries([entry], "alice")} == {"domains[0].suspended", "domains[0].suspended_reason"}
        ssl = {"ssl": dict.fromkeys(_specs.SSL, "said")}
        refused_ssl = {one.where.rpartition(".")[2] for one in refused_in_entries([ssl], "alice")}
        assert refused_ssl == {name for name in _specs.SSL if name in ADMINISTRATORS}

    def test_what_says_no_more_than_the_default_says_nothing(self):
        said = {"root": "/", "prune": False, "acting_as": "alice", "name": "x", "archive_dir": None}
        assert list(refused_options(said, {"root": "/", "prune": False})) == []
        (refusal,) = refused_options({**said, "root": "/srv"}, {"root": "/", "prune": False})
        assert (refusal.where, refusal.message) == ("root", NOT_AVAILABLE)

    @pytest.mark.parametrize("name", ["", "root", None])
    def test_the_administrator_may_say_everything(self, name):
        assert list(refused_options({"root": "/srv", "acting_as": name}, {})) == []
        assert list(refused_in_entries([{"suspended": True}], name)) == []
