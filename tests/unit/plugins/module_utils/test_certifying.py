# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host's certificates become by what domains declare, and what is refused; no file is looked at."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_goals import Goal
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    Acme,
    Certificate,
    CertificateFacts,
    FoundCertificate,
    FoundFile,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certifying import certificates_to_look_at, credentials_text
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_certificate, declaration_of_domains
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import merge
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Account, Domain, Facts, Host
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import NAME, NOW, provided

DOMAIN, HOST = "example.com", "mx1.fleet.test"
ACME = {"provider": "acme", "terms_agreed": True}
TSIG = {"server": "192.0.2.53", "tsig_name": "mail", "tsig_secret": "c2VjcmV0"}
BY_DNS = {**ACME, "challenge": "dns-01", "rfc2136": TSIG}
GIVEN = {key: value for key, value in provided().items() if value}


def facts(*names, **how):
    certifying = {"host": HOST, "found": {name: FoundCertificate() for name in names or (NAME,)}}
    certifying.update({key: how.pop(key) for key in tuple(how) if key in CertificateFacts._fields})
    users = {name: Account(1000 + index, 1000) for index, name in enumerate(("vmail", "alice", "bob"))}
    return Facts(
        users, None, frozenset({HOST}), "2.4", 120, 121, **{"exim_format": 3, "now": NOW, **how}, certifying=CertificateFacts(**certifying)
    )


def host_with(*certificates, **domains):
    """A host with certificates, each of the domain in whose name it lies, and further domains with the certificate named."""
    found = {name.replace("_", "."): Domain(name.replace("_", "."), "vmail", certificate=one) for name, one in domains.items()}
    for certificate in certificates:
        domain = certificate.name.partition(".")[2]
        found.setdefault(domain, Domain(domain, "vmail", certificate=certificate.name))
    return Host(found, {}, {}, certificates={one.name: one for one in certificates})


EMPTY = host_with()


def desired(there, *entries, known=None, **options):
    named = {entry.get("ssl", {}).get("alias") or f"mail.{entry['name']}" for entry in entries} | set(there.certificates)
    return merge(there, declaration_of_domains(entries, options), known or facts(*named), {})


def certificate_after(there, **ssl):
    (one,) = desired(there, {"name": DOMAIN, "ssl": ssl}).host.certificates.values()
    return one


def errors(there, *entries, **how):
    with pytest.raises(MailErrors) as caught:
        desired(there, *entries, **how)
    return [(error.where, error.message) for error in caught.value.errors]


def wheres(there, *entries, **how):
    return [where for where, _message in errors(there, *entries, **how)]


# what a certificate becomes


def test_nothing_said_is_a_self_signed_one_for_the_usual_name():
    assert certificate_after(EMPTY) == Certificate(NAME)


def test_what_is_not_said_stays():
    there = Certificate(NAME, ("imap.example.com",), "selfsigned", "rsa", 4096, 100, 9)
    assert certificate_after(host_with(there)) is there
    assert certificate_after(host_with(there), valid_days=200) == there._replace(valid_days=200)
    assert certificate_after(host_with(there), alternative_names=[]) == there._replace(names=())


def test_names_are_sorted_and_the_first_is_not_among_them():
    assert certificate_after(EMPTY, alternative_names=["z.test", NAME, "a.test"]).names == ("a.test", "z.test")


def test_another_kind_of_key_has_its_own_smallest_size():
    there = host_with(Certificate(NAME, key_size=384))
    assert certificate_after(there, key_type="rsa")[3:5] == ("rsa", 2048)
    assert certificate_after(there, key_type="ecdsa")[3:5] == ("ecdsa", 384)
    assert certificate_after(there, key_type="rsa", key_size=3072)[3:5] == ("rsa", 3072)


STATES = {
    "selfsigned": (Certificate(NAME), {"provider": "selfsigned"}),
    "acme": (Certificate(NAME, provider="acme", acme=Acme()), ACME),
    "provided": (Certificate(NAME, provider="provided"), GIVEN),
    "paths": (
        Certificate(NAME, provider="provided", paths=("/a", "", "/b")),
        {"provider": "provided", "certificate_path": "/a", "private_key_path": "/b"},
    ),
}


@pytest.mark.parametrize("first", STATES)
@pytest.mark.parametrize("second", STATES)
def test_every_provider_may_follow_every_other_and_leaves_nothing_of_it(first, second):
    there, wanted = host_with(STATES[first][0]), STATES[second]
    after = certificate_after(there, **wanted[1])
    assert after == wanted[0]
    assert certificate_after(host_with(after), **wanted[1]) is after


@pytest.mark.parametrize("first", [one for one in STATES if one != "acme"])
def test_options_without_a_meaning_for_the_provider_that_is_there_are_no_change(first):
    there = STATES[first][0]
    idle = {"email": "a@b.test", "webroot": "/srv"} if first == "selfsigned" else {"valid_days": 10, "key_type": "rsa"}
    assert certificate_after(host_with(there), **idle) is there


def test_a_note_of_failure_goes_with_the_authority():
    there = STATES["acme"][0]._replace(failed="20261126T221819Z")
    assert certificate_after(host_with(there), provider="selfsigned").failed == ""
    assert certificate_after(host_with(there), email="a@b.test").failed == "20261126T221819Z"


def test_another_challenge_has_its_own_first_method():
    there = host_with(Certificate(NAME, provider="acme", acme=Acme(method="webroot", webroot="/srv")))
    assert certificate_after(there).acme.method == "webroot"
    assert certificate_after(there, challenge="dns-01", rfc2136=TSIG).acme.method == "rfc2136"
    back = host_with(certificate_after(there, challenge="dns-01", rfc2136=TSIG))
    assert certificate_after(back, challenge="http-01").acme.method == "standalone"


def test_another_alias_takes_the_settings_along():
    there = Certificate(NAME, ("imap.example.com",), key_type="rsa", key_size=4096)
    assert certificate_after(host_with(there), alias="smtp.example.com") == there._replace(name="smtp.example.com")


def test_absent_is_the_hosts_own():
    after = desired(host_with(Certificate(NAME)), {"name": DOMAIN, "ssl": {"state": "absent"}}).host
    assert after.certificates == {}
    assert after.domains[DOMAIN].certificate == ""


# refused


@pytest.mark.parametrize(
    ("ssl", "where"),
    [
        ({"key_type": "rsa", "key_size": 256}, "key_size"),
        ({"key_size": 2048}, "key_size"),
        ({"provider": "acme"}, "terms_agreed"),
        ({**ACME, "alternative_names": ["*.example.com"]}, "challenge"),
        ({**ACME, "challenge_method": "webroot"}, "webroot"),
        ({**ACME, "challenge_method": "rfc2136"}, "challenge_method"),
        ({**ACME, "challenge": "dns-01"}, "rfc2136"),
        ({**ACME, "challenge": "dns-01", "challenge_method": "standalone", "rfc2136": TSIG}, "challenge_method"),
        ({**BY_DNS, "rfc2136": {**TSIG, "tsig_secret": None}}, "rfc2136"),
        ({"provider": "provided"}, "provider"),
        ({"alias": HOST}, "alias"),
        ({"alternative_names": [HOST]}, "alternative_names"),
    ],
)
def test_a_contradiction_is_told_with_its_option(ssl, where):
    assert f"domains[0].ssl.{where}" in wheres(EMPTY, {"name": DOMAIN, "ssl": ssl})


def test_terms_are_agreed_to_once():
    assert certificate_after(host_with(STATES["acme"][0]), provider="acme", email="a@b.test").acme.email == "a@b.test"


@pytest.mark.parametrize("name", ["mail.example.invalid", "mail.box.localhost", "mail.box.local"])
def test_names_that_no_authority_certifies_are_refused(name):
    found = [message for _where, message in errors(EMPTY, {"name": DOMAIN, "ssl": {**ACME, "alias": name}})]
    assert any("no authority certifies it" in message for message in found)


def test_a_secret_that_is_there_is_enough():
    known = facts(found={NAME: FoundCertificate(credentials=credentials_text(Acme(), "c2VjcmV0"))})
    without = {**BY_DNS, "rfc2136": {**TSIG, "tsig_secret": None}}
    certified = desired(EMPTY, {"name": DOMAIN, "ssl": without}, known=known).certified
    assert certified.credentials[NAME].decode().count("c2VjcmV0") == 1
    assert b"dns_rfc2136_server = 192.0.2.53\n" in certified.credentials[NAME]


@pytest.mark.parametrize("lacks", ["certbot is not installed on this host", "x is not there"])
def test_a_host_that_is_not_ready_is_an_error_and_in_check_mode_a_warning(lacks):
    entry = {"name": DOMAIN, "ssl": ACME}
    assert wheres(EMPTY, entry, known=facts(acme_lacks=lacks)) == ["domains[0].ssl"]
    assert any(lacks in text for text in desired(EMPTY, entry, known=facts(acme_lacks=lacks, strict=False)).warnings)


@pytest.mark.parametrize("found", [1, 2])
def test_an_exim_that_shows_one_certificate_for_all_is_an_error_and_in_check_mode_a_warning(found):
    entry = {"name": DOMAIN, "ssl": {}}
    assert wheres(EMPTY, entry, known=facts(exim_format=found)) == ["domains[0].ssl"]
    assert any(
        "one certificate for all names" in text for text in desired(EMPTY, entry, known=facts(exim_format=found, strict=False)).warnings
    )
    desired(EMPTY, {"name": DOMAIN, "ssl": {"state": "absent"}}, known=facts(exim_format=found))
    desired(EMPTY, entry, known=facts(exim_format=None))


# names


def test_a_name_in_somebody_elses_domain_is_refused():
    shop = {"name": "shop.test", "owner": "bob"}
    for ssl in ({"alias": "mail.shop.test"}, {"alternative_names": ["imap.shop.test"]}, {"alternative_names": ["*.shop.test"]}):
        found = errors(EMPTY, shop, {"name": DOMAIN, "owner": "alice", "ssl": ssl})
        assert found[0][0] == f"domains[1].ssl.{next(iter(ssl))}"
        assert "belongs to bob, not to alice" in found[0][1]
        desired(EMPTY, shop, {"name": DOMAIN, "owner": "bob", "ssl": ssl})


def test_the_nearest_domain_is_the_one_that_a_name_lies_in():
    entries = [{"name": "shop.test", "owner": "bob"}, {"name": "a.shop.test", "owner": "alice"}]
    desired(EMPTY, *entries, {"name": DOMAIN, "owner": "alice", "ssl": {"alias": "mail.a.shop.test"}})
    assert wheres(EMPTY, *entries, {"name": DOMAIN, "owner": "bob", "ssl": {"alias": "mail.a.shop.test"}}) == ["domains[2].ssl.alias"]


def test_a_name_in_no_mail_domain_is_the_administrators():
    assert certificate_after(EMPTY, alias="mail.elsewhere.test", alternative_names=["x.y.test"]).names == ("x.y.test",)


def test_a_domain_that_changes_its_owner_while_others_share_its_certificate_is_refused():
    there = host_with(Certificate("mail.a.test"), b_test="mail.a.test")
    assert wheres(there, {"name": "b.test", "owner": "bob", "ssl": {}}) == ["domains[0].ssl"]


def test_a_name_is_in_one_certificate():
    there = host_with(Certificate("mail.a.test", ("x.test",)))
    for ssl in ({"alias": "x.test"}, {"alternative_names": ["x.test"]}, {"alternative_names": ["mail.a.test"]}):
        found = errors(there, {"name": DOMAIN, "ssl": ssl})
        assert found[0][0] == "domains[0].ssl.alternative_names"
        assert "is shown with the certificate mail.a.test already" in found[0][1]


def test_a_name_may_change_its_certificate_when_the_other_gives_it_up_in_the_same_run():
    there = host_with(Certificate("mail.a.test", ("x.test",)))
    after = desired(there, {"name": DOMAIN, "ssl": {"alternative_names": ["x.test"]}}, {"name": "a.test", "ssl": {"alternative_names": []}})
    assert after.host.certificates[NAME].names == ("x.test",)
    gone = desired(there, {"name": DOMAIN, "ssl": {"alias": "x.test"}}, {"name": "a.test", "ssl": {"state": "absent"}})
    assert list(gone.host.certificates) == ["x.test"]


@pytest.mark.parametrize("copies", [("exim", "dovecot"), ("exim",), ("dovecot",)])
def test_a_file_that_is_not_ours_is_never_taken_over(copies):
    foreign = FoundFile(b"theirs", Ownership(0, 0, 0o600), None, "no certificate")
    known = facts(found={NAME: FoundCertificate(**dict.fromkeys(copies, foreign))})
    assert set(wheres(EMPTY, {"name": DOMAIN, "ssl": {}}, known=known)) == {"domains[0].ssl.alias"}
    desired(host_with(Certificate(NAME)), {"name": DOMAIN, "ssl": {}}, known=known)


# sharing


SHARED = "mail.shared.test"


def shared(*said):
    return [{"name": f"{letter}.test", "ssl": {"alias": SHARED, **one}} for letter, one in zip("abc", said)]


@pytest.mark.parametrize(
    ("one", "other", "option"),
    [
        ({"key_type": "rsa"}, {"key_type": "ecdsa"}, "key_type"),
        ({"alternative_names": ["x.test"]}, {"alternative_names": ["y.test"]}, "alternative_names"),
        ({"provider": "selfsigned"}, {"provider": "provided", **GIVEN}, "provider"),
        ({**ACME, "email": "a@b.test"}, {**ACME, "email": "c@b.test"}, "email"),
        ({**ACME, "acme_directory": "letsencrypt"}, {**ACME, "acme_directory": "letsencrypt-staging"}, "acme_directory"),
        (provided(SHARED), provided(SHARED, key=("rsa2048", 0)), "certificate"),
        (BY_DNS, {**BY_DNS, "rfc2136": {**TSIG, "server": "192.0.2.54"}}, "rfc2136.server"),
    ],
)
def test_domains_that_share_a_certificate_may_not_say_different_things(one, other, option):
    found = errors(EMPTY, *shared(one, other))
    assert ("domains[1].ssl", f"{SHARED} is declared with another {option} at domains[0].ssl") in found


@pytest.mark.parametrize("said", [[{}, ACME], [ACME, {}], [{}, ACME, {}], [ACME, ACME], [{"email": "a@b.test"}, ACME]])
def test_what_one_of_them_says_holds_for_all(said):
    after = desired(EMPTY, *shared(*said))
    assert after.host.certificates[SHARED].provider == "acme"
    assert {domain.certificate for domain in after.host.domains.values()} == {SHARED}
    assert len(after.certified.orders) == 1


def test_names_in_another_order_are_the_same_names():
    after = desired(EMPTY, *shared({"alternative_names": ["x.test", "y.test"]}, {"alternative_names": ["y.test", "x.test"]}))
    assert after.host.certificates[SHARED].names == ("x.test", "y.test")


@pytest.mark.parametrize("field", ["tsig", "eab"])
def test_secrets_of_the_second_one_are_heard(field):
    second = BY_DNS if field == "tsig" else {**ACME, "eab_kid": "kid", "eab_hmac_key": "a2V5"}
    certified = desired(EMPTY, *shared({}, second)).certified
    if field == "tsig":
        assert b"c2VjcmV0" in certified.credentials[SHARED]
    else:
        assert certified.orders[0][2:] == ("kid", "a2V5")


# the host's own


def own(there, known=None, **options):
    return merge(there, declaration_of_certificate({"state": "present", "domain": HOST, **options}), known or facts(HOST), {})


def test_the_hosts_own_is_rsa_unless_it_is_said_otherwise():
    assert own(EMPTY).host.certificates == {HOST: Certificate(HOST, key_type="rsa", key_size=2048, is_host=True)}
    assert own(EMPTY, key_type="ecdsa").host.certificates[HOST][3:5] == ("ecdsa", 256)


def test_the_hosts_own_stays_when_domains_come_and_go():
    there = Host({}, {}, {}, certificates={HOST: Certificate(HOST, is_host=True)})
    after = desired(there, {"name": DOMAIN, "ssl": {}}).host
    assert set(after.certificates) == {HOST, NAME}
    assert set(desired(after, {"name": DOMAIN, "ssl": {"state": "absent"}}).host.certificates) == {HOST}


def test_the_hosts_own_stays_even_when_a_domain_that_was_given_it_by_hand_leaves_it():
    domain = Domain(DOMAIN, "vmail", certificate=HOST)
    there = Host({DOMAIN: domain}, {}, {}, certificates={HOST: Certificate(HOST, is_host=True)})
    assert set(desired(there, {"name": DOMAIN, "ssl": {"state": "absent"}}).host.certificates) == {HOST}


@pytest.mark.parametrize(("options", "where"), [({"state": "absent"}, "state"), ({"alias": "x.test"}, "alias")])
def test_the_host_always_has_a_certificate_for_its_own_name(options, where):
    with pytest.raises(MailErrors) as caught:
        own(EMPTY, **options)
    assert [error.where for error in caught.value.errors] == [where]


def test_a_domain_that_is_not_there_is_an_error_and_in_check_mode_a_warning():
    declaration = declaration_of_certificate({"state": "present", "domain": "gone.test"})
    with pytest.raises(MailErrors, match="not a mail domain of this host"):
        merge(EMPTY, declaration, facts(), {})
    assert "not a mail domain of this host yet" in merge(EMPTY, declaration, facts(strict=False), {}).warnings[0]


# orders


def test_a_run_orders_so_many_and_those_that_failed_last():
    there = host_with(
        *(
            Certificate(f"mail.d{number}.test", provider="acme", acme=Acme(), failed="20261126T221819Z" if number == 0 else "")
            for number in range(4)
        )
    )
    entries = [{"name": f"d{number}.test", "ssl": {}} for number in range(4)]
    certified = desired(there, *entries, acme_max_orders=2).certified
    assert [order.certificate.name for order in certified.orders] == ["mail.d1.test", "mail.d2.test"]
    assert [waiting.domain for waiting in certified.waiting] == ["mail.d3.test", "mail.d0.test"]
    assert certified.awaited == {f"mail.d{number}.test" for number in range(4)}
    assert desired(there, *entries, acme_max_orders=0).certified.orders == ()


def test_what_must_be_made_is_made_once():
    certified = desired(EMPTY, *shared({}, {})).certified
    assert certified.to_make == {SHARED: Certificate(SHARED)}
    assert Goal(None).orders is False


def test_certificates_are_looked_at_when_they_are_declared_or_lack_a_file():
    there = host_with(Certificate(NAME), Certificate("mail.a.test"), Certificate("mail.b.test"))
    declared = declaration_of_domains([{"name": DOMAIN, "ssl": {"alias": "new.example.com"}}, {"name": "a.test"}], {}).domains
    assert set(certificates_to_look_at(there, declared, HOST, {NAME, "mail.a.test", "mail.b.test"})) == {
        NAME,
        "new.example.com",
        "mail.a.test",
    }
    assert set(certificates_to_look_at(there, (), HOST, {NAME})) == {"mail.a.test", "mail.b.test"}
    assert set(certificates_to_look_at(there, (), HOST, set(there.certificates))) == set()
