# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs with certificates of an authority: what certbot is asked, what it keeps, and what the servers have meanwhile."""

from __future__ import annotations

import os

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import NAME, provided
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.certificate_world import (
    ACME,
    BY_DNS,
    DOMAIN,
    TSIG,
    both,
    change,
    dovecot,
    exim,
    files,
    pair_on,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_certbot import REFUSED, keep
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import UNSTABLE

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"


@pytest.fixture
def certified(host, certbot):
    """A host with one domain whose certificate an authority issued."""
    host.domains({"name": DOMAIN, "ssl": ACME})
    certbot.orders.clear()
    certbot.commands.clear()
    return host


def marked(content, name=NAME):
    return f"# fleetpost.mail certificate {name}\n".encode() + content


# orders


def test_a_certificate_is_ordered_once_and_shown(host, certbot):
    outcome = host.domains({"name": DOMAIN, "ssl": ACME})
    assert outcome.failures == []
    assert change(outcome) == ["create", "create certificate", "order certificate"]
    assert [order["domains"] for order in certbot.orders] == [NAME]
    assert not pair_on(host).is_self_signed
    again = host.domains({"name": DOMAIN, "ssl": ACME})
    assert (again.changed, again.actions) == (False, [])
    assert len(certbot.orders) == 1


def test_an_order_that_fails_leaves_a_self_signed_one_and_is_told_and_noted(host, certbot):
    certbot.refuses[NAME] = REFUSED.format(NAME)
    outcome = host.domains({"name": DOMAIN, "ssl": ACME}, {"name": "b.test", "ssl": ACME})
    (failure,) = outcome.failures
    assert f"did not certify {NAME}" in str(failure)
    assert "NXDOMAIN" in str(failure)
    assert pair_on(host).is_self_signed
    assert not pair_on(host, "mail.b.test").is_self_signed
    failed = {line.partition(":")[0]: "failed=2" in line for line in host.table("certificates")}
    assert failed == {NAME: True, "mail.b.test": False}


def test_an_order_that_failed_is_tried_again_and_its_note_goes_with_success(host, certbot):
    certbot.refuses[NAME] = REFUSED.format(NAME)
    host.domains({"name": DOMAIN, "ssl": ACME})
    certbot.refuses.clear()
    assert host.domains({"name": DOMAIN, "ssl": ACME}).failures == []
    assert "failed=" not in host.table("certificates")[0]
    assert not pair_on(host).is_self_signed


def test_what_was_shown_before_stays_while_an_order_fails(host, certbot):
    host.domains({"name": DOMAIN, "ssl": provided()})
    before = both(host)
    certbot.refuses[NAME] = REFUSED.format(NAME)
    assert len(host.domains({"name": DOMAIN, "ssl": ACME}).failures) == 1
    assert both(host) == before


def test_a_run_orders_no_more_than_it_may_and_those_that_failed_come_last(host, certbot):
    entries = [{"name": f"d{number}.test", "ssl": ACME} for number in range(4)]
    certbot.refuses["mail.d0.test"] = REFUSED.format("mail.d0.test")
    outcome = host.domains(*entries, acme_max_orders=2)
    assert [order["domains"] for order in certbot.orders] == ["mail.d0.test", "mail.d1.test"]
    assert [waiting.domain for waiting in outcome.waiting] == ["mail.d2.test", "mail.d3.test"]
    assert all(pair_on(host, f"mail.d{number}.test").is_self_signed for number in (0, 2, 3))
    host.domains(*entries, acme_max_orders=2)
    assert [order["domains"] for order in certbot.orders][2:] == ["mail.d2.test", "mail.d3.test"]
    host.domains(*entries, acme_max_orders=2)
    assert [order["domains"] for order in certbot.orders][4:] == ["mail.d0.test"]


def test_more_names_are_one_more_order_and_fewer_are_none(certified, certbot):
    certified.certificate(DOMAIN, alternative_names=["imap.example.com"])
    assert [order["domains"] for order in certbot.orders] == [f"{NAME},imap.example.com"]
    assert set(pair_on(certified).names) == {NAME, "imap.example.com"}
    certified.certificate(DOMAIN, alternative_names=[])
    assert len(certbot.orders) == 1
    assert certified.table("certificates")[0].startswith(f"{NAME}: cert={NAME}")


def test_another_authority_is_asked_anew_under_the_same_name(certified, certbot):
    certified.certificate(DOMAIN, acme_directory="letsencrypt-staging")
    assert [(order["server"], order["cert-name"]) for order in certbot.orders] == [(STAGING, NAME)]


def test_force_orders_a_renewal(certified, certbot):
    certified.certificate(DOMAIN, force=True)
    assert [order.get("force-renewal") for order in certbot.orders] == ["true"]


def test_a_certificate_that_certbot_did_not_renew_is_ordered_by_a_run(certified, certbot):
    keep(certified, NAME, version=2, days=(-70, 20))
    certified.domains({"name": DOMAIN, "ssl": {}})
    assert [order.get("force-renewal") for order in certbot.orders] == ["true"]


def test_a_run_about_other_domains_orders_nothing(host, certbot):
    certbot.refuses[NAME] = REFUSED.format(NAME)
    host.domains({"name": DOMAIN, "ssl": ACME})
    assert not host.domain("b.test", enabled=False).failures
    assert len(certbot.orders) == 1


# what certbot keeps


def test_what_certbot_keeps_already_is_taken_without_an_order(host, certbot):
    content = keep(host, NAME)
    host.domains({"name": DOMAIN, "ssl": ACME})
    assert both(host) == marked(content)
    assert certbot.orders == []


def test_what_certbot_keeps_under_a_number_is_ours_too_and_the_newest_counts(host, certbot):
    keep(host, NAME, days=(-9, 81))
    newest = keep(host, f"{NAME}-0001", NAME, days=(-1, 89), key=("ecdsa256", 6))
    host.domains({"name": DOMAIN, "ssl": ACME})
    assert both(host) == marked(newest)
    assert certbot.orders == []


@pytest.mark.parametrize(
    "how",
    [
        {"server": STAGING},
        {"days": (-90, -1)},
        {"key": ("rsa1024", 0)},
        {"link": "nowhere.pem"},
        {"link": "../../archive/mail.example.com/fullchain7.pem"},
        {"names": ("imap.example.com",)},
    ],
    ids=["another authority", "expired", "weak", "no link of certbot's", "version that is not whole", "other names"],
)
def test_what_certbot_keeps_and_cannot_be_used_is_ordered_anew_and_the_old_one_goes_on_being_shown(certified, certbot, how):
    before = both(certified)
    certbot.refuses[NAME] = REFUSED.format(NAME)
    names = how.pop("names", ())
    keep(certified, NAME, *names, version=3, **how)
    outcome = certified.domains({"name": DOMAIN, "ssl": {}})
    assert change(outcome) == ["order certificate"]
    assert both(certified) == before


def test_a_lineage_of_somebody_else_is_never_ordered_over_or_deleted(host, certbot):
    keep(host, NAME, "imap.example.com", is_ours=False)
    before = {name: one for name, one in host.entries().items() if "letsencrypt" in name}
    host.domains({"name": DOMAIN, "ssl": ACME})
    assert [order["cert-name"] for order in certbot.orders] == [f"{NAME}-0001"]
    host.certificate(DOMAIN, state="absent")
    assert [command[-1] for command in certbot.commands if command[1] == "delete"] == [f"{NAME}-0001"]
    after = host.entries()
    assert {name: after[name] for name in before} == before


def test_a_renewal_under_way_gives_the_old_pair_or_the_new_one(certified):
    """certbot writes the four files of a version one after the other, and moves the links after that."""
    before = both(certified)
    keep(certified, NAME, version=9, key=("ecdsa256", 8))
    live = certified.path(f"/etc/letsencrypt/live/{NAME}")
    (live / "fullchain.pem").unlink()
    (live / "fullchain.pem").symlink_to(f"../../archive/{NAME}/fullchain1.pem")
    assert not certified.domains({"name": DOMAIN, "ssl": {}}).changed
    assert both(certified) == before


def test_what_certbot_renewed_and_its_hook_did_not_install_is_installed_by_a_run(certified, certbot):
    content = keep(certified, NAME, version=2, key=("ecdsa256", 8))
    assert change(certified.domains({"name": DOMAIN, "ssl": {}})) == ["write certificate"]
    assert both(certified) == marked(content)
    assert certbot.orders == []


def test_broken_copies_are_mended_from_what_certbot_keeps(certified, certbot):
    before = both(certified)
    for path in (exim(certified), dovecot(certified)):
        certified.write(path, "nonsense")
    certified.domains({"name": DOMAIN, "ssl": {}})
    assert both(certified) == before
    assert certbot.orders == []


@pytest.mark.parametrize(
    "leave",
    [
        lambda host: host.certificate(DOMAIN, state="absent"),
        lambda host: host.domain(DOMAIN, state="absent"),
        lambda host: host.certificate(DOMAIN, provider="selfsigned"),
        lambda host: host.certificate(DOMAIN, **provided()),
        lambda host: host.certificate(DOMAIN, alias="smtp.example.com"),
    ],
    ids=["ssl absent", "domain absent", "selfsigned", "provided", "alias"],
)
def test_certbot_forgets_what_nobody_has_any_more(certified, certbot, leave):
    leave(certified)
    assert [command[-1] for command in certbot.commands if command[1] == "delete"] == [NAME]


# secrets for dns-01


CREDENTIALS = "/etc/letsencrypt/fleetpost-mail/mail.example.com.ini"


def test_the_tsig_key_stands_in_a_file_for_root_alone(host, certbot):
    host.domains({"name": DOMAIN, "ssl": {**BY_DNS, "alternative_names": ["*.example.com"]}})
    assert host.owner(CREDENTIALS) == (0, 0, 0o600)
    assert f"dns_rfc2136_secret = {TSIG['tsig_secret']}\n" in host.text(CREDENTIALS)
    assert certbot.orders[0]["dns-rfc2136-credentials"] == CREDENTIALS
    assert TSIG["tsig_secret"] not in host.text(host.layout.certificates)


@pytest.mark.usefixtures("certbot")
def test_an_omitted_secret_is_the_one_that_is_there(host):
    host.domains({"name": DOMAIN, "ssl": BY_DNS})
    without = {**BY_DNS, "rfc2136": {**TSIG, "tsig_secret": None}}
    assert not host.domains({"name": DOMAIN, "ssl": without}).changed
    host.domains({"name": DOMAIN, "ssl": {**without, "rfc2136": {**without["rfc2136"], "server": "192.0.2.54", "port": 5353}}})
    text = host.text(CREDENTIALS)
    assert "dns_rfc2136_server = 192.0.2.54\n" in text
    assert "dns_rfc2136_port = 5353\n" in text
    assert f"dns_rfc2136_secret = {TSIG['tsig_secret']}\n" in text


@pytest.mark.usefixtures("certbot")
@pytest.mark.parametrize(
    "leave",
    [
        lambda host: host.certificate(DOMAIN, state="absent"),
        lambda host: host.domain(DOMAIN, state="absent"),
        lambda host: host.certificate(DOMAIN, provider="selfsigned"),
        lambda host: host.certificate(DOMAIN, challenge="http-01"),
    ],
    ids=["ssl absent", "domain absent", "selfsigned", "http-01"],
)
def test_the_tsig_key_goes_when_nothing_needs_it_any_more(host, leave):
    host.domains({"name": DOMAIN, "ssl": BY_DNS})
    leave(host)
    assert not host.path(CREDENTIALS).exists()


def test_without_a_secret_dns_01_is_an_error(host, certbot):
    with pytest.raises(MailErrors, match="TSIG") as error:
        host.domains({"name": DOMAIN, "ssl": {**BY_DNS, "rfc2136": {**TSIG, "tsig_secret": None}}})
    assert [one.where for one in error.value.errors] == ["domains[0].ssl.rfc2136"]
    assert certbot.commands == []


# hosts that are not ready


def test_without_certbot_a_run_stops_and_a_check_run_warns(host):
    before = host.entries(*UNSTABLE)
    with pytest.raises(MailErrors, match=r"role fleetpost\.mail\.acme"):
        host.domains({"name": DOMAIN, "ssl": ACME})
    assert any("certbot is not installed" in warning for warning in host.domains({"name": DOMAIN, "ssl": ACME}, check=True).warnings)
    assert host.entries(*UNSTABLE) == before


def test_the_hosts_own_certificate_may_come_from_an_authority(host, certbot):
    host.certificate("mx1.fleet.test", **ACME)
    assert [order["domains"] for order in certbot.orders] == ["mx1.fleet.test"]
    assert files(host) == ["mx1.fleet.test"]
    assert not host.certificate("mx1.fleet.test", **ACME).changed
    assert host.table("certificates")[0].startswith("mx1.fleet.test: cert=mx1.fleet.test provider=acme key=rsa:2048 host=yes")


# told back


SSL = {
    "self-signed": {"key_type": "rsa", "valid_days": 99, "alternative_names": ["imap.example.com"]},
    "acme": {**ACME, "email": "a@b.test", "renew_before_days": 9},
    "webroot": {**ACME, "challenge_method": "webroot", "webroot": "/srv/a#b", "key_size": 384},
    "dns-01": {**BY_DNS, "alternative_names": ["*.example.com"], "acme_directory": "https://ca.test:14000/dir"},
    "provided": provided(),
    "paths": {"provider": "provided", "certificate_path": "/srv/c", "private_key_path": "/srv/k", "chain_path": "/srv/i"},
}


@pytest.mark.usefixtures("certbot")
@pytest.mark.parametrize("case", SSL)
def test_what_info_tells_of_a_certificate_changes_nothing_when_it_is_declared(host, case):
    for path, option in (("/srv/c", "certificate"), ("/srv/i", "chain"), ("/srv/k", "private_key")):
        host.write(path, provided()[option])
    host.domains({"name": DOMAIN, "ssl": SSL[case]}, {"name": "b.test"})
    host.certificate("mx1.fleet.test", key_type="ecdsa")
    told = host.info(with_use=False).domains
    assert "ssl" in told[1]
    assert "ssl" not in told[0]
    outcome = host.domains(*told)
    assert (outcome.changed, outcome.actions, outcome.warnings) == (False, [], [])
    assert not [state["problems"] for state in host.info().certificates if state["problems"]]
    copied = host.domains(told[0], {**told[1], "ssl": {**told[1]["ssl"], "state": "present"}}, prune=True, prune_limit="0")
    assert not copied.changed
