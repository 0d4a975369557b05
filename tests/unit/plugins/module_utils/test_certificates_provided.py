# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs that take over certificates of the user's own, as text and as files, judged by the files alone."""

from __future__ import annotations

import os

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import (
    NAME,
    certificate,
    chain_pem,
    intermediate,
    issued,
    key_pem,
    pem,
    provided,
    root,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.certificate_world import (
    DOMAIN,
    both,
    change,
    dovecot,
    exim,
    pair_on,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import UNSTABLE
from cryptography.hazmat.primitives import serialization

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

CERTIFICATE, CHAIN, KEY = "/srv/tls/cert.pem", "/srv/tls/chain.pem", "/srv/tls/key.pem"
BY_PATHS = {"provider": "provided", "certificate_path": CERTIFICATE, "chain_path": CHAIN, "private_key_path": KEY}


def put(host, *names, key=("ecdsa256", 0), **how):
    """The user's own files."""
    host.write(CERTIFICATE, pem(certificate(names or (NAME,), key=key, **how)))
    host.write(CHAIN, pem(intermediate()))
    host.write(KEY, key_pem(*key))


@pytest.fixture
def by_text(host):
    host.domains({"name": DOMAIN, "ssl": provided()})
    return host


@pytest.fixture
def by_paths(host):
    host.write("/etc/ssl/certs/ca-certificates.crt", pem(root()))
    put(host)
    host.domains({"name": DOMAIN, "ssl": BY_PATHS})
    return host


@pytest.fixture
def no_key_is_loaded(monkeypatch):
    def refused(*_arguments, **_named):
        raise AssertionError("a private key was loaded")

    for name in ("load_pem_private_key", "load_der_private_key"):
        monkeypatch.setattr(serialization, name, refused)


# as text


def test_what_is_provided_is_what_the_servers_have_without_its_root(by_text):
    assert both(by_text).split(b"\n", 1)[1] == issued()
    assert by_text.table("certificates") == [f"{NAME}: cert={NAME} provider=provided"]


@pytest.mark.parametrize("key", [("rsa2048", 0), ("ecdsa384", 0)])
@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_key_may_come_in_any_form_and_is_kept_in_one(host, key, form):
    ssl = {**provided(key=key), "private_key": key_pem(*key, form=form)}
    host.domains({"name": DOMAIN, "ssl": ssl})
    assert both(host).split(b"\n", 1)[1] == issued(key=key)
    assert not host.domains({"name": DOMAIN, "ssl": ssl}).changed


def test_the_chain_may_follow_in_the_certificate(host):
    ssl = {**provided(), "certificate": chain_pem() + pem(root())}
    del ssl["chain"]
    host.domains({"name": DOMAIN, "ssl": ssl})
    assert both(host).split(b"\n", 1)[1] == issued()


@pytest.mark.parametrize("options", [provided(), {}, {"provider": "provided"}], ids=["given again", "omitted", "provider alone"])
def test_an_unchanged_run_writes_nothing_and_loads_no_key(by_text, options, request):
    request.getfixturevalue("no_key_is_loaded")
    before = by_text.entries(*UNSTABLE)
    outcome = by_text.domains({"name": DOMAIN, "ssl": options})
    assert (outcome.changed, outcome.actions, outcome.warnings) == (False, [], [])
    assert by_text.entries(*UNSTABLE) == before


def test_a_new_one_takes_the_place_of_the_old_one(by_text):
    assert change(by_text.certificate(DOMAIN, **provided(key=("rsa2048", 0)))) == ["write certificate"]
    assert pair_on(by_text).key_type == "rsa"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (provided("imap.example.com"), "is not for mail.example.com"),
        (provided(days=(-60, -1)), "expired"),
        (provided(days=(9, 60)), "not valid yet"),
        (provided(key=("rsa1024", 0)), "1024 bits"),
        ({**provided(), "private_key": key_pem("ecdsa256", 1)}, "does not belong"),
        ({**provided(), "private_key": "nonsense"}, "no private key"),
        ({**provided(), "private_key": key_pem(passphrase=b"geheim")}, "passphrase"),
        ({**provided(), "chain": pem(root())}, "did not issue"),
        ({**provided(), "chain": pem(root(), intermediate())}, "did not issue"),
        ({**provided(), "chain": None}, "Test Intermediate is missing"),
        ({**provided(), "chain": pem(intermediate())}, "Test Root is missing"),
    ],
)
@pytest.mark.parametrize("check", [False, True])
def test_what_cannot_be_used_is_refused_by_its_option_and_nothing_is_written(host, options, why, check):
    host.write("/etc/ssl/certs/ca-certificates.crt", pem(root("other")))
    before = host.entries(*UNSTABLE)
    with pytest.raises(MailErrors, match=why) as error:
        host.domains({"name": "a.test"}, {"name": DOMAIN, "ssl": options}, check=check)
    assert {one.where for one in error.value.errors} == {"domains[1].ssl.certificate"}
    assert host.entries(*UNSTABLE) == before


def test_an_incomplete_chain_is_refused_while_a_trusted_root_completes_it(host):
    """What a host trusts is in its bundle; where it has none, nothing is said of roots."""
    ssl = {**provided(), "chain": pem(intermediate())}
    host.write("/etc/ssl/certs/ca-certificates.crt", pem(root("other"), root()))
    assert host.domains({"name": DOMAIN, "ssl": ssl}).warnings == []


def test_names_that_the_certificate_in_place_does_not_have_are_refused(by_text):
    before = by_text.entries(*UNSTABLE)
    for options in ({"alternative_names": ["imap.example.com"]}, {**provided(), "alternative_names": ["imap.example.com"]}):
        with pytest.raises(MailErrors, match=r"imap\.example\.com"):
            by_text.certificate(DOMAIN, **options)
    assert by_text.entries(*UNSTABLE) == before


def test_nothing_provided_is_an_error_for_a_new_certificate(host):
    with pytest.raises(MailErrors, match="none is") as error:
        host.domains({"name": DOMAIN, "ssl": {"provider": "provided"}})
    assert [one.where for one in error.value.errors] == ["domains[0].ssl.provider"]


def test_a_certificate_in_place_that_has_expired_is_a_warning_in_each_run_and_no_other_trouble(by_text):
    expired = b"# fleetpost.mail certificate mail.example.com\n" + issued(days=(-90, -1))
    for path in (exim(by_text), dovecot(by_text)):
        by_text.write(path, expired)
    again = provided(days=(-90, -1))
    for ssl in ({}, again):
        outcome = by_text.domains({"name": DOMAIN, "ssl": ssl})
        assert not outcome.changed
        assert "has expired" in outcome.warnings[0]
    assert both(by_text) == expired


def test_a_lost_one_is_told_and_something_stands_in(by_text):
    for path in (exim(by_text), dovecot(by_text)):
        by_text.path(path).unlink()
    outcome = by_text.domain("b.test")
    assert "was provided and is lost" in outcome.warnings[0]
    assert pair_on(by_text).is_self_signed
    assert by_text.domains({"name": DOMAIN, "ssl": provided()}).warnings == []
    assert both(by_text).split(b"\n", 1)[1] == issued()


def test_a_broken_copy_is_mended_from_what_is_provided(by_text):
    for path in (exim(by_text), dovecot(by_text)):
        by_text.write(path, "nonsense")
    by_text.domains({"name": DOMAIN, "ssl": provided()})
    assert both(by_text).split(b"\n", 1)[1] == issued()


# as files on the host


@pytest.mark.usefixtures("by_paths")
def test_files_of_the_user_are_taken_over_and_stay_as_they_are(host):
    assert both(host).split(b"\n", 1)[1] == issued()
    assert host.text(KEY) == key_pem()
    assert host.table("certificates") == [
        f"{NAME}: cert={NAME} provider=provided certificate={CERTIFICATE} chain={CHAIN} private_key={KEY}"
    ]


@pytest.mark.parametrize("ssl", [BY_PATHS, {}, None], ids=["given again", "empty", "no ssl"])
def test_files_that_are_as_they_were_are_no_change_and_no_key_is_loaded(by_paths, ssl, request):
    request.getfixturevalue("no_key_is_loaded")
    outcome = by_paths.domains({"name": DOMAIN, **({} if ssl is None else {"ssl": ssl})})
    assert (outcome.changed, outcome.actions, outcome.warnings) == (False, [], [])


@pytest.mark.parametrize("ssl", [BY_PATHS, {}, None], ids=["given again", "empty", "no ssl"])
def test_files_that_another_tool_renewed_are_installed_by_a_run_about_the_domain(by_paths, ssl):
    put(by_paths, key=("ecdsa256", 1), days=(-1, 89))
    assert change(by_paths.domains({"name": DOMAIN, **({} if ssl is None else {"ssl": ssl})})) == ["write certificate"]
    assert both(by_paths).split(b"\n", 1)[1] == issued(key=("ecdsa256", 1), days=(-1, 89))


@pytest.mark.parametrize("how", [{"days": (-60, -1)}, {"key": ("rsa1024", 0)}, {"issuer": "other"}], ids=["expired", "weak", "chain"])
def test_files_that_became_unusable_never_take_the_place_of_good_ones(by_paths, how):
    before = both(by_paths)
    put(by_paths, **how)
    with pytest.raises(MailErrors) as error:
        by_paths.domains({"name": DOMAIN, "ssl": {}})
    assert [one.where for one in error.value.errors] == ["domains[0].ssl.certificate_path"]
    outcome = by_paths.domain(DOMAIN, enabled=True)
    assert both(by_paths) == before
    assert "cannot be used" in outcome.warnings[0]
    assert not outcome.changed


@pytest.mark.parametrize("file", [CERTIFICATE, CHAIN, KEY])
def test_a_file_that_is_not_there_is_an_error_and_in_check_mode_a_warning(host, file):
    put(host)
    host.path(file).unlink()
    with pytest.raises(MailErrors, match=f"no file {file}") as error:
        host.domains({"name": DOMAIN, "ssl": BY_PATHS})
    assert [one.where for one in error.value.errors] == ["domains[0].ssl.certificate_path"]
    assert any(file in warning for warning in host.domains({"name": DOMAIN, "ssl": BY_PATHS}, check=True).warnings)


def test_files_that_vanish_later_leave_the_servers_as_they_are(by_paths):
    before = both(by_paths)
    by_paths.path(CERTIFICATE).unlink()
    outcome = by_paths.domain(DOMAIN, enabled=True)
    assert f"no file {CERTIFICATE}" in outcome.warnings[0]
    assert not outcome.changed
    assert both(by_paths) == before


def test_text_takes_the_place_of_files_and_files_that_of_text(by_paths):
    by_paths.certificate(DOMAIN, **provided(key=("rsa2048", 0)))
    assert by_paths.table("certificates") == [f"{NAME}: cert={NAME} provider=provided"]
    assert pair_on(by_paths).key_type == "rsa"
    by_paths.certificate(DOMAIN, **BY_PATHS)
    assert pair_on(by_paths).key_type == "ecdsa"
    assert not by_paths.certificate(DOMAIN, **BY_PATHS).changed
