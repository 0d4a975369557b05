# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ssl as users write it, in each of the modules that have it."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import ACME_DIRECTORIES, DeclaredSsl
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import (
    declaration_of_certificate,
    declaration_of_domain,
    declaration_of_domains,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import certificate, chain_pem, key_pem, pem
from hypothesis import example, given
from hypothesis import strategies as st

TSIG = {"server": "192.0.2.53", "tsig_name": "Mail.", "tsig_secret": "c2VjcmV0"}
GIVEN = {"provider": "provided", "certificate": pem(certificate()), "private_key": key_pem()}
PATHS = {"provider": "provided", "certificate_path": "/srv/c", "private_key_path": "/srv/k"}
FULL = {
    "alias": "Mail.Example.COM",
    "alternative_names": ["Imap.example.com", "*.Example.com"],
    "provider": "acme",
    "key_type": "rsa",
    "key_size": 3072,
    "renew_before_days": 20,
    "email": "hostmaster@Example.com",
    "acme_directory": "letsencrypt-staging",
    "challenge": "dns-01",
    "challenge_method": "rfc2136",
    "rfc2136": {**TSIG, "port": 5353, "tsig_algorithm": "hmac-sha512", "propagation_seconds": 0},
    "terms_agreed": True,
    "eab_kid": "kid-1",
    "eab_hmac_key": "a2V5_-",
    "ca_certificate": "/etc/ssl/own ca.pem",
    "force": True,
}


def declared(defaults=None, **options):
    """What an entry of mail_domains declares, and its errors."""
    declaration = declaration_of_domains([{"name": "a.test"}, {"name": "example.com", "ssl": options}], {"ssl_defaults": defaults})
    ssl = declaration.domains[1].ssl if len(declaration.domains) > 1 else None
    return ssl, [(error.where, error.message) for error in declaration.errors]


def wheres(defaults=None, **options):
    return [where.removeprefix("domains[1].ssl.") for where, _message in declared(defaults, **options)[1]]


def test_nothing_said_is_nothing_declared():
    assert declared() == (DeclaredSsl("domains[1].ssl."), [])
    assert declaration_of_domains([{"name": "a.test"}], {}).domains[0].ssl is None


def test_all_options_are_taken_and_names_are_in_lower_case():
    ssl, errors = declared(**FULL)
    assert errors == []
    assert ssl == DeclaredSsl(
        "domains[1].ssl.",
        "present",
        "mail.example.com",
        {"names": ("*.example.com", "imap.example.com"), "provider": "acme", "key_type": "rsa", "key_size": 3072, "renew_before_days": 20},
        {
            "directory": ACME_DIRECTORIES["letsencrypt-staging"],
            "email": "hostmaster@example.com",
            "challenge": "dns-01",
            "method": "rfc2136",
            "ca_certificate": "/etc/ssl/own ca.pem",
            "dns_server": "192.0.2.53",
            "dns_port": 5353,
            "tsig_name": "mail",
            "tsig_algorithm": "hmac-sha512",
            "propagation": 0,
        },
        terms_agreed=True,
        force=True,
        tsig_secret="c2VjcmV0",
        eab_kid="kid-1",
        eab_hmac_key="a2V5_-",
    )


@pytest.mark.parametrize(
    ("declaration", "where"),
    [
        (declaration_of_domains([{"name": "example.com", "ssl": FULL}], {}), "domains[0].ssl."),
        (declaration_of_domain({"state": "present", "name": "example.com", "ssl": FULL}), "ssl."),
        (declaration_of_certificate({"state": "present", "domain": "example.com", **FULL}), ""),
    ],
    ids=["mail_domains", "mail_domain", "mail_domain_cert"],
)
def test_every_module_declares_the_same_and_names_its_own_options(declaration, where):
    assert declaration.errors == ()
    assert declaration.domains[0].ssl == declared(**FULL)[0]._replace(where=where)


def test_the_module_of_one_certificate_speaks_of_domains_that_are_there():
    assert declaration_of_certificate({"state": "present", "domain": "Example.COM"}).existing_only
    wrong = declaration_of_certificate({"state": "present", "domain": "a_b", "alias": "x"})
    assert [error.where for error in wrong.errors] == ["domain", "alias"]


def test_a_name_server_has_its_usual_port_and_algorithm():
    acme = declared(provider="acme", rfc2136=TSIG)[0].acme
    assert (acme["dns_port"], acme["tsig_algorithm"], acme["propagation"]) == (53, "hmac-sha256", 10)


def test_what_is_provided_is_handed_on_as_it_was_given():
    ssl, errors = declared(**GIVEN, chain=chain_pem())
    assert errors == []
    assert (ssl.private_key, ssl.chain) == (key_pem().encode(), f"{pem(certificate())}\n{chain_pem()}".encode())
    assert "paths" not in ssl.changes
    assert declared(**PATHS)[0].changes["paths"] == ("/srv/c", "", "/srv/k")
    assert declared(**PATHS, chain_path="/srv/i")[0].changes["paths"] == ("/srv/c", "/srv/i", "/srv/k")


# contradictions

OF_ACME = ("email", "acme_directory", "challenge", "challenge_method", "rfc2136", "ca_certificate")


@pytest.mark.parametrize(
    ("options", "where"),
    [
        *(
            ({"provider": "selfsigned", option: FULL[option]}, option)
            for option in ("email", "acme_directory", "challenge", "challenge_method", "rfc2136", "ca_certificate")
        ),
        ({"provider": "selfsigned", "eab_kid": "a", "eab_hmac_key": "b"}, "eab_kid"),
        ({"provider": "selfsigned", "webroot": "/srv"}, "webroot"),
        ({"provider": "acme", "valid_days": 9}, "valid_days"),
        ({**GIVEN, "valid_days": 9}, "valid_days"),
        ({**GIVEN, "key_type": "rsa"}, "key_type"),
        ({**GIVEN, "key_size": 2048}, "key_size"),
        ({**GIVEN, "provider": "acme"}, "certificate"),
        ({**PATHS, "provider": "selfsigned"}, "certificate_path"),
        ({**GIVEN, "provider": None}, "provider"),
        ({**PATHS, "provider": None}, "provider"),
        ({**GIVEN, **PATHS}, "certificate_path"),
        ({**GIVEN, "chain_path": "/srv/i"}, "chain_path"),
        ({**GIVEN, "private_key": None}, "private_key"),
        ({**GIVEN, "certificate": None}, "certificate"),
        ({**PATHS, "private_key_path": None}, "private_key_path"),
        ({**PATHS, "certificate_path": None}, "certificate_path"),
        ({"provider": "provided", "chain": chain_pem()}, "chain"),
        ({"provider": "provided", "chain_path": "/srv/i"}, "chain_path"),
        ({"provider": "acme", "eab_kid": "kid"}, "eab_hmac_key"),
        ({"provider": "acme", "eab_hmac_key": "key"}, "eab_kid"),
    ],
    ids=[f"case {number}" for number in range(1, 27)],
)
def test_a_contradiction_is_told_with_its_option(options, where):
    assert where in wheres(**options)


def test_everything_that_is_wrong_is_told_at_once():
    found = wheres(provider="selfsigned", email="nobody", alias="x", alternative_names=["ok.test", "no"], valid_days=0)
    assert set(found) == {"email", "alias", "alternative_names[1]", "valid_days"}


@pytest.mark.parametrize(
    ("option", "value", "where"),
    [
        ("valid_days", 0, "valid_days"),
        ("valid_days", -1, "valid_days"),
        ("valid_days", 36501, "valid_days"),
        ("renew_before_days", 0, "renew_before_days"),
        ("renew_before_days", 99999, "renew_before_days"),
        *(("rfc2136", {**TSIG, "port": port}, "rfc2136.port") for port in (0, -5, 65536, 1234567)),
        *(("rfc2136", {**TSIG, "propagation_seconds": seconds}, "rfc2136.propagation_seconds") for seconds in (-1, 3601)),
    ],
)
def test_a_number_that_cannot_be_is_told_with_its_option(option, value, where):
    assert wheres(**{option: value}) == [where]


# defaults


def test_defaults_are_what_an_entry_does_not_say_otherwise():
    ssl = declared({"provider": "acme", "email": "a@b.test", "terms_agreed": True}, email="c@d.test")[0]
    assert ssl.changes["provider"] == "acme"
    assert ssl.acme["email"] == "c@d.test"
    assert ssl.terms_agreed


@pytest.mark.parametrize("options", [{"provider": "selfsigned"}, GIVEN, PATHS], ids=["selfsigned", "provided", "paths"])
def test_defaults_without_a_meaning_for_the_provider_are_nothing(options):
    defaults = {key: value for key, value in FULL.items() if key not in ("alias", "alternative_names", "force")}
    ssl, errors = declared(defaults, **options)
    assert errors == []
    assert (ssl.acme, ssl.tsig_secret, ssl.eab_kid, ssl.eab_hmac_key) == ({}, None, None, None)
    assert ssl.changes["provider"] == options["provider"]
    assert ("key_type" in ssl.changes) == (options["provider"] == "selfsigned")


def test_a_lifetime_by_default_is_for_self_signed_ones_alone():
    assert declared({"valid_days": 100}, provider="acme", terms_agreed=True)[0].changes == {"provider": "acme"}
    assert declared({"valid_days": 100})[0].changes["valid_days"] == 100


def test_a_wrong_default_is_told():
    assert wheres({"provider": "acme", "email": "nobody"}) == ["email"]


def test_absent_needs_nothing_else():
    ssl, errors = declared({"provider": "acme"}, state="absent")
    assert (ssl.state, errors) == ("absent", [])


# hostile values

CONTROL = ["\n", "\r", "\0", "\x1b", "\u2028"]
HOSTILE_NAMES = [
    "",
    ".",
    "..",
    "../x",
    "/etc/passwd",
    "a;b.test",
    "a b.test",
    "a\nb.test",
    "a.test\n",
    "*.*.test",
    "a.*.test",
    "*",
    "*.",
    "**.test",
    "*a.test",
    "*.test",
    "$(id).test",
    "`id`.test",
    "${x}.test",
    "a{.test",
    'a".test',
    "a,b.test",
    "-a.test",
    "a..test",
    "a.test/x",
    "%2e.test",
    "a" * 64 + ".test",
    "a_b.test",
    "localhost",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_what_is_no_name_never_passes(name):
    assert wheres(alternative_names=["ok.test", name]) == ["alternative_names[1]"]
    assert wheres(alias=name) == ["alias"]


@pytest.mark.parametrize("name", ["*.example.com", "*.com.test"])
def test_a_wildcard_is_a_further_name_and_never_names_files(name):
    assert declared(alternative_names=[name])[1] == []
    assert wheres(alias=name) == ["alias"]


PATH_OPTIONS = ["webroot", "ca_certificate", "certificate_path", "chain_path", "private_key_path"]


@pytest.mark.parametrize("option", PATH_OPTIONS)
@pytest.mark.parametrize("value", ["", "srv", "./srv", "/srv/../etc", "/srv//x", "/srv/.", "/", *(f"/srv/a{char}b" for char in CONTROL)])
def test_what_is_no_absolute_path_never_passes(option, value):
    base = {"provider": "acme"} if option in PATH_OPTIONS[:2] else {**PATHS}
    assert option in wheres(**{**base, option: value})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("email", f"a{char}@b.test") for char in [*CONTROL, " ", ",", ";"]),
        *(("email", text) for text in ("", "a", "a@", "@b.test", "a@b", "a@b.test\nserver = https://evil.test", "a@b.test, c@d.test")),
        *(
            ("acme_directory", text)
            for text in (
                "",
                "letsencrypt2",
            )
        ),
        *(
            ("acme_directory", text)
            for text in ("http://ca.test/dir", "ftp://ca.test", "https://", "https:///x", "file:///etc", "https://u:p@ca.test/")
        ),
        *(
            ("acme_directory", f"https://ca.test/{text}")
            for text in ("a b", "a\nb", "a;b", "a#b", "a?x=1", 'a"b', "a\u2028b", "${x}", "[x]", "a,b")
        ),
        *(("acme_directory", f"https://ca.test{text}") for text in ("\n", "\nx = y", " ", "\0")),
    ],
)
def test_what_could_be_more_than_one_setting_never_passes(option, value):
    assert wheres(provider="acme", **{option: value}) == [option]


@pytest.mark.parametrize("char", [*CONTROL, " ", "#", ";", "'", '"', "[", "\\", "$", "ü"])
def test_a_secret_holds_nothing_that_could_end_it_and_is_never_echoed(char):
    secret = f"geheimes{char}wort"
    for option, options in (
        ("rfc2136.tsig_secret", {"rfc2136": {**TSIG, "tsig_secret": secret}}),
        ("rfc2136.tsig_name", {"rfc2136": {**TSIG, "tsig_name": secret}}),
        ("eab_hmac_key", {"eab_kid": "kid", "eab_hmac_key": secret}),
        ("eab_kid", {"eab_kid": secret, "eab_hmac_key": "key"}),
    ):
        ((where, message),) = declared(provider="acme", **options)[1]
        assert where == f"domains[1].ssl.{option}"
        assert "tsig_name" in option or "geheimes" not in message


@pytest.mark.parametrize("server", ["", "ns1.test", "192.0.2.53\nx = y", "192.0.2.53:53", "fe80::1%eth0", "0.0.0.0", "192.0.2.0/24"])
def test_a_name_server_is_an_address(server):
    assert wheres(provider="acme", rfc2136={**TSIG, "server": server}) == ["rfc2136.server"]


@given(st.text(max_size=12))
@example("a b")
@example("a\nb")
@example("\u2028")
def test_no_text_reaches_a_file_of_certbot_with_a_line_end_in_it(text):
    options = {
        "email": f"a@{text}",
        "acme_directory": f"https://{text}",
        "webroot": f"/{text}",
        "ca_certificate": f"/{text}",
        "rfc2136": {"server": text, "tsig_name": text, "tsig_secret": text},
        "eab_kid": text,
        "eab_hmac_key": text,
    }
    ssl = declaration_of_certificate({"state": "present", "domain": "example.com", "provider": "acme", **options}).domains[0].ssl
    values = [*ssl.acme.values(), ssl.tsig_secret, ssl.eab_kid, ssl.eab_hmac_key]
    assert not [value for value in values if isinstance(value, str) and (len(value.splitlines()) > 1 or not value.isprintable())]


@pytest.mark.parametrize("option", ["certificate", "chain"])
@pytest.mark.parametrize("value", ["nonsense", key_pem(), pem(certificate())[:200]], ids=["nonsense", "a key", "cut off"])
def test_what_is_no_certificate_is_told_and_not_shown(option, value):
    ((where, message),) = declared(**{**GIVEN, option: value})[1]
    assert where == f"domains[1].ssl.{option}"
    assert len(message) < 120
    assert not [line for line in value.splitlines() if len(line) > 30 and line in message]
