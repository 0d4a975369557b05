# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that go, change their name or are shared: what becomes of lines and files. And check mode, and what is shown."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import NAME, issued, key_pem, provided, secrets_of
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.certificate_world import (
    ACME,
    BY_DNS,
    DOMAIN,
    LINE,
    TSIG,
    both,
    change,
    dovecot,
    exim,
    files,
    pair_on,
    shown_names,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_certbot import REFUSED
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, UNSTABLE

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

SHARED = "mail.shared.test"


@pytest.fixture
def shown(host):
    host.domains({"name": DOMAIN, "ssl": {"alternative_names": ["imap.example.com"]}})
    return host


@pytest.fixture
def sharing(host):
    host.domains({"name": "a.test", "ssl": {"alias": SHARED}}, {"name": "b.test", "ssl": {"alias": SHARED}})
    return host


def assert_nothing_left(host):
    assert files(host) == []
    assert host.table("certificates") == []
    assert shown_names(host) == []


def test_without_ssl_a_domain_is_shown_with_the_hosts_own_and_nothing_is_left(shown):
    outcome = shown.certificate(DOMAIN, state="absent")
    assert "remove certificate" in change(outcome)
    assert_nothing_left(shown)
    assert "cert=" not in shown.table("domains")[0]
    assert not shown.certificate(DOMAIN, state="absent").changed


@pytest.mark.parametrize("how", ["keep", "archive", "delete"])
def test_the_certificate_of_a_removed_domain_goes_with_it(shown, how):
    assert shown.domain(DOMAIN, state="absent", removed_mail=how).failures == []
    assert_nothing_left(shown)
    assert not shown.domains().changed


def test_a_pruned_domain_takes_its_certificate_along(shown):
    shown.domains({"name": "b.test", "ssl": {}}, prune=True, prune_limit="100%", removed_mail="delete")
    assert files(shown) == ["mail.b.test"]
    assert shown_names(shown) == ["mail.b.test"]


def test_a_domain_whose_removal_fails_keeps_its_certificate(shown):
    shown.mailbox(f"info@{DOMAIN}", password_hash=HASH)
    shown.path("/srv/open").mkdir(parents=True)
    shown.path("/srv/open").chmod(0o777)
    before = shown.entries("/run", "/var/log", "/var/lib", "/srv", "/var/vmail/.removed")
    assert len(shown.domain(DOMAIN, state="absent", removed_mail="archive", archive_dir="/srv/open").failures) == 1
    assert shown.entries("/run", "/var/log", "/var/lib", "/srv", "/var/vmail/.removed") == before


def test_another_alias_is_a_new_certificate_and_the_end_of_the_old_one(shown):
    outcome = shown.certificate(DOMAIN, alias="smtp.example.com")
    assert change(outcome).count("create certificate") == 1
    assert change(outcome).count("remove certificate") == 1
    assert files(shown) == ["smtp.example.com"]
    assert set(pair_on(shown, "smtp.example.com").names) == {"smtp.example.com", "imap.example.com"}
    assert shown.table("certificates") == [
        "imap.example.com: cert=smtp.example.com",
        "smtp.example.com: cert=smtp.example.com provider=selfsigned key=ecdsa:256",
    ]
    assert not shown.certificate(DOMAIN, alias="smtp.example.com").changed


def test_what_certbot_does_not_forget_is_tried_again(host, certbot, monkeypatch):
    host.domains({"name": DOMAIN, "ssl": ACME})
    with monkeypatch.context() as patch:
        patch.setattr(certbot, "_delete", lambda name: subprocess.CompletedProcess([], 1, "", "it is locked"))
        outcome = host.certificate(DOMAIN, state="absent")
    assert [warning for warning in outcome.warnings if "it is locked" in warning]
    (line,) = host.table("certificates")
    assert "removing=yes" in line
    assert "cert=" not in line
    assert host.domains({"name": "other.test"}).changed
    assert_nothing_left(host)


def test_what_was_going_and_is_declared_again_comes_back(shown):
    line = shown.table("certificates")[1]
    shown.write(shown.layout.certificates, line.replace("cert=mail.example.com", "removing=yes") + "\n")
    shown.path(dovecot(shown)).unlink()
    shown.domains({"name": DOMAIN, "ssl": {}})
    assert shown.table("certificates") == [LINE]
    assert pair_on(shown).names == (NAME,)
    assert not shown.domains({"name": DOMAIN, "ssl": {}}).changed


def test_the_old_name_may_go_on_as_a_further_one(shown):
    shown.certificate(DOMAIN, alias="smtp.example.com", alternative_names=[NAME])
    assert shown.table("certificates")[0] == f"{NAME}: cert=smtp.example.com"
    assert files(shown) == ["smtp.example.com"]


def test_a_further_name_may_become_the_first_one(shown):
    shown.certificate(DOMAIN, alias="imap.example.com", alternative_names=[])
    assert shown.table("certificates") == ["imap.example.com: cert=imap.example.com provider=selfsigned key=ecdsa:256"]
    assert shown_names(shown) == files(shown) == ["imap.example.com"]


def test_fewer_names_are_fewer_lines(shown):
    shown.certificate(DOMAIN, alternative_names=[])
    assert shown.table("certificates") == [LINE]
    assert pair_on(shown).names == (NAME,)


def test_a_name_moves_from_one_certificate_to_another_in_one_run(shown):
    shown.domains({"name": "b.test", "ssl": {}})
    shown.domains(
        {"name": DOMAIN, "ssl": {"alternative_names": []}}, {"name": "b.test", "ssl": {"alternative_names": ["imap.elsewhere.test"]}}
    )
    shown.domains(
        {"name": DOMAIN, "ssl": {"alternative_names": ["imap.elsewhere.test"]}}, {"name": "b.test", "ssl": {"alternative_names": []}}
    )
    assert "imap.elsewhere.test: cert=mail.example.com" in shown.table("certificates")
    assert set(pair_on(shown).names) == {NAME, "imap.elsewhere.test"}
    assert pair_on(shown, "mail.b.test").names == ("mail.b.test",)


# sharing


def test_domains_that_share_a_certificate_have_one_file_and_one_line(sharing):
    assert files(sharing) == [SHARED]
    assert [line.rpartition(" ")[2] for line in sharing.table("domains")] == [f"cert={SHARED}"] * 2
    assert not sharing.domains({"name": "a.test", "ssl": {"alias": SHARED}}, {"name": "b.test", "ssl": {"alias": SHARED}}).changed


@pytest.mark.parametrize(
    "leave",
    [
        lambda host, name: host.certificate(name, state="absent"),
        lambda host, name: host.domain(name, state="absent"),
        lambda host, name: host.certificate(name, alias=f"own.{name}"),
    ],
    ids=["ssl absent", "domain absent", "another alias"],
)
def test_a_shared_certificate_goes_with_the_last_one_that_leaves(sharing, leave):
    content = both(sharing, SHARED)
    leave(sharing, "a.test")
    assert both(sharing, SHARED) == content
    leave(sharing, "b.test")
    assert SHARED not in files(sharing)
    assert SHARED not in shown_names(sharing)
    assert SHARED not in sharing.text(sharing.layout.certificates).split("format")[1].replace("\n#", "")


@pytest.mark.parametrize("order", [0, 1])
def test_one_of_those_that_share_says_it_all_whichever_comes_first(host, order):
    says, follows = {"name": "a.test", "ssl": {"alias": SHARED, **provided(SHARED)}}, {"name": "b.test", "ssl": {"alias": SHARED}}
    outcome = host.domains(*((says, follows) if order == 0 else (follows, says)))
    assert outcome.warnings == []
    assert both(host, SHARED).split(b"\n", 1)[1] == issued(SHARED)


def test_of_those_that_share_the_second_may_force(sharing):
    before = both(sharing, SHARED)
    sharing.domains({"name": "a.test", "ssl": {"alias": SHARED}}, {"name": "b.test", "ssl": {"alias": SHARED, "force": True}})
    assert both(sharing, SHARED) != before


# check mode


CHANGES = {
    "create": ({"name": DOMAIN}, {"name": DOMAIN, "ssl": {"alternative_names": ["imap.example.com"]}}),
    "rsa": ({"name": DOMAIN, "ssl": {}}, {"name": DOMAIN, "ssl": {"key_type": "rsa"}}),
    "alias": ({"name": DOMAIN, "ssl": {}}, {"name": DOMAIN, "ssl": {"alias": "smtp.example.com"}}),
    "absent": ({"name": DOMAIN, "ssl": {}}, {"name": DOMAIN, "ssl": {"state": "absent"}}),
    "provided": ({"name": DOMAIN, "ssl": {}}, {"name": DOMAIN, "ssl": provided()}),
    "another provided": ({"name": DOMAIN, "ssl": provided()}, {"name": DOMAIN, "ssl": provided(key=("rsa2048", 0))}),
    "acme": ({"name": DOMAIN, "ssl": {}}, {"name": DOMAIN, "ssl": ACME}),
    "acme from nothing": ({"name": DOMAIN}, {"name": DOMAIN, "ssl": BY_DNS}),
    "by dns": ({"name": DOMAIN, "ssl": ACME}, {"name": DOMAIN, "ssl": BY_DNS}),
    "back from acme": ({"name": DOMAIN, "ssl": BY_DNS}, {"name": DOMAIN, "ssl": {"provider": "selfsigned"}}),
    "acme absent": ({"name": DOMAIN, "ssl": BY_DNS}, {"name": DOMAIN, "ssl": {"state": "absent"}}),
    "force": ({"name": DOMAIN, "ssl": ACME}, {"name": DOMAIN, "ssl": {"force": True}}),
}


@pytest.mark.parametrize("case", CHANGES)
def test_check_mode_changes_nothing_and_announces_what_the_run_does(host, certbot, case):
    first, second = CHANGES[case]
    host.domains(first)
    before, ordered = host.entries(*UNSTABLE), len(certbot.commands)
    checked = host.domains(second, check=True)
    assert host.entries(*UNSTABLE) == before
    assert len(certbot.commands) == ordered
    done = host.domains(second)
    assert (checked.changed, checked.actions, checked.diff, checked.counts) == (True, done.actions, done.diff, done.counts)
    assert checked.waiting == done.waiting
    if case != "force":
        assert not host.domains(second).changed
        assert host.domains(second).actions == []


# what is shown


def test_no_secret_is_in_any_result_log_or_file_but_its_own(host, certbot):
    eab = "ZWFiLWhtYWMta2V5LW9mLWFuLWFjY291bnQ"
    entries = [
        {"name": "a.test", "ssl": {}},
        {"name": DOMAIN, "ssl": provided()},
        {"name": "c.test", "ssl": {**BY_DNS, "eab_kid": "kid", "eab_hmac_key": eab}},
        {"name": "d.test", "ssl": ACME},
    ]
    certbot.refuses["mail.d.test"] = REFUSED.format("mail.d.test")
    results = [host.domains(*entries, check=True), host.domains(*entries), host.domains(*entries, check=True), host.info()]
    made = [both(host, f"mail.{name}") for name in ("a.test", "example.com", "c.test")]
    wrong = provided(key=("ecdsa256", 1))["private_key"]
    with pytest.raises(MailErrors) as error:
        host.certificate(DOMAIN, **{**provided(), "private_key": wrong})
    results += [host.domain(DOMAIN, ssl={"state": "absent"}), host.domain("c.test", state="absent"), str(error.value)]
    everything = repr(results) + "".join(str(failure) for result in results[:2] for failure in result.failures)
    own = [
        path
        for name in ("a.test", "example.com", "c.test", "d.test")
        for path in (exim(host, f"mail.{name}"), dovecot(host, f"mail.{name}"))
    ]
    # What is removed and kept has its settings beside it, for root alone.
    everything += "".join(str(entry.content) for entry in host.entries(*own, host.layout.certbot_dir, host.layout.removed_dir).values())
    secrets = [*secrets_of([*made, wrong, key_pem()]), TSIG["tsig_secret"], eab]
    assert len(secrets) > 6
    assert not [secret for secret in secrets if secret in everything]
    assert '"create certificate"' in host.text("/var/log/mail-domains.log")


def test_a_status_tells_what_a_certificate_is(shown):
    (state,) = shown.info().certificates
    pair = pair_on(shown)
    assert state["names"] == [NAME, "imap.example.com"]
    assert state["domains"] == [DOMAIN]
    assert (state["fingerprint"], state["is_self_signed"], state["pair_ok"], state["same_on_both"]) == (pair.fingerprint, True, True, True)
    assert state["problems"] == []
    assert state["days_left"] == 3649


def test_a_status_tells_what_is_wrong_with_a_certificate(shown):
    shown.write(exim(shown), issued(days=(-60, -1)))
    shown.path(dovecot(shown)).unlink()
    (state,) = shown.info().certificates
    problems = " ".join(state["problems"])
    assert "Exim's copy of the certificate mail.example.com is not for imap.example.com" in problems
    assert "Exim's copy of the certificate mail.example.com expired" in problems
    assert "Dovecot's copy of the certificate mail.example.com is not there" in problems
    assert not shown.info().status[0]["healthy"]
