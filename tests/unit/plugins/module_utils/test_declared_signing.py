# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option dkim as users write it, in each of the modules that have it, and the durations in it."""

from __future__ import annotations

import base64

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import (
    declaration_of_dkim,
    declaration_of_domain,
    declaration_of_domains,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import DeclaredDkim
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import duration, is_moment, moment_text
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import key_of, pem
from cryptography.hazmat.primitives import serialization

FULL = {
    "selector": "S2026",
    "key_type": "rsa",
    "key_length": 1024,
    "service_type": "*",
    "regenerate": "always",
    "rotate": {"to": "S2027a", "retire_after": "12h"},
}


def declared(**options):
    """What an entry of mail_domains declares, and its errors."""
    declaration = declaration_of_domains([{"name": "a.test"}, {"name": "example.com", "dkim": options}], {})
    dkim = declaration.domains[1].dkim if len(declaration.domains) > 1 else None
    return dkim, [(error.where, error.message) for error in declaration.errors]


def test_nothing_said_is_nothing_declared():
    assert declared() == (DeclaredDkim("domains[1].dkim."), [])


def test_a_domain_without_the_option_declares_no_signing():
    assert declaration_of_domains([{"name": "a.test"}], {}).domains[0].dkim is None


def test_all_options_are_taken_and_names_are_in_lower_case():
    expected = DeclaredDkim("domains[1].dkim.", "present", "s2026", "rsa", 1024, "*", None, "always", "s2027a", 12 * 3600)
    assert declared(**FULL) == (expected, [])


@pytest.mark.parametrize(
    ("declaration", "where"),
    [
        (declaration_of_domains([{"name": "example.com", "dkim": FULL}], {}), "domains[0].dkim."),
        (declaration_of_domain({"state": "present", "name": "example.com", "dkim": FULL}), "dkim."),
        (declaration_of_dkim({"state": "present", "domain": "example.com", **FULL}), ""),
    ],
    ids=["mail_domains", "mail_domain", "mail_domain_dkim"],
)
def test_every_module_declares_the_same_and_names_its_own_options(declaration, where):
    assert declaration.errors == ()
    assert declaration.domains[0].dkim == declared(**FULL)[0]._replace(where=where)


def test_the_module_of_one_key_speaks_of_domains_that_are_there():
    assert declaration_of_dkim({"state": "present", "domain": "Example.COM"}).existing_only
    assert declaration_of_dkim({"state": "present", "domain": "Example.COM"}).domains[0].name == "example.com"


def test_a_wrong_domain_is_told_together_with_wrong_options():
    declaration = declaration_of_dkim({"state": "present", "domain": "no domain", "selector": "_"})
    assert sorted(error.where for error in declaration.errors) == ["domain", "selector"]


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"selector": "under_score"}, "selector"),
        ({"selector": ""}, "selector"),
        ({"selector": "a..b"}, "selector"),
        ({"selector": "-a"}, "selector"),
        ({"selector": "../../etc/passwd"}, "selector"),
        ({"selector": "a b"}, "selector"),
        ({"selector": "a,b"}, "selector"),
        ({"selector": "ä"}, "selector"),
        ({"selector": "a\n"}, "selector"),
        ({"selector": "a" * 64}, "selector"),
        ({"service_type": ""}, "service_type"),
        ({"service_type": 'email"'}, "service_type"),
        ({"service_type": "email; p="}, "service_type"),
        ({"service_type": "email\n"}, "service_type"),
        ({"rotate": {"to": "a/b"}}, "rotate.to"),
        ({"rotate": {"to": "b", "retire_after": "soon"}}, "rotate.retire_after"),
        ({"private_key": "-----BEGIN"}, "private_key"),
    ],
)
def test_an_error_names_the_option_of_the_entry(options, where):
    errors = declared(**options)[1]
    assert [place for place, _message in errors] == [f"domains[1].dkim.{where}"]
    assert errors[0][1].isprintable()


@pytest.mark.parametrize("options", [{"key_type": "dsa"}, {"key_length": 512}, {"regenerate": "yes"}, {"rotate": {}}, {"colour": "red"}])
def test_what_the_options_do_not_allow_is_an_error_of_the_entry(options):
    dkim, errors = declared(**options)
    assert dkim is None
    assert errors[0][0] == "domains[1]"


def test_every_error_is_told_at_once():
    options = {"selector": "_", "service_type": "!", "private_key": "x", "rotate": {"to": "_", "retire_after": "_"}}
    assert len(declared(**options)[1]) == 5


@pytest.mark.parametrize("service_type", ["email", "*", "email:tlsrpt", "x-y"])
def test_service_types_are_those_of_the_standard(service_type):
    assert declared(service_type=service_type)[0].service_type == service_type


# private keys


def test_a_private_key_is_kept_with_one_line_end():
    assert declared(private_key=f"\n{pem('ed25519').strip()}  \n\n")[0].private_key == pem("ed25519")


@pytest.mark.parametrize("kind", ["rsa1024", "rsa2048", "ed25519"])
def test_a_private_key_need_not_be_described(kind):
    assert declared(private_key=pem(kind))[1] == []


@pytest.mark.parametrize(
    ("kind", "options", "where"),
    [
        ("rsa1024", {"key_type": "ed25519"}, "key_type"),
        ("ed25519", {"key_type": "rsa"}, "key_type"),
        ("rsa1024", {"key_type": "both"}, "key_type"),
        ("ed25519", {"key_type": "both"}, "key_type"),
        ("rsa1024", {"key_length": 2048}, "key_length"),
    ],
)
def test_a_private_key_of_another_kind_than_described_is_an_error(kind, options, where):
    assert [place for place, _message in declared(private_key=pem(kind), **options)[1]] == [f"domains[1].dkim.{where}"]


def test_the_length_says_nothing_of_an_ed25519_key():
    assert declared(private_key=pem("ed25519"), key_length=2048)[1] == []


def test_an_rsa_key_that_nobody_verifies_is_an_error():
    # Version, modulus of 512 bits and exponent: the library no longer makes such keys.
    der = bytes.fromhex("304b020100024100" + "ff" * 64 + "0203010001")
    text = f"-----BEGIN RSA PRIVATE KEY-----\n{base64.b64encode(der).decode()}\n-----END RSA PRIVATE KEY-----\n"
    ((where, message),) = declared(private_key=text)[1]
    assert where == "domains[1].dkim.private_key"
    assert "512 bits" in message


def test_an_error_of_a_private_key_shows_nothing_of_it():
    text = key_of("rsa1024").private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"s3cr3t")
    )
    shown = str(declared(private_key=text.decode())[1])
    assert not [line for line in text.decode().split() if len(line) > 8 and line in shown]


# moments and durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1s", 1), ("90s", 90), ("15m", 900), ("12h", 43200), ("7d", 604800), ("2w", 1209600), (" 7 D ", 604800), ("520w", 520 * 604800)],
)
def test_a_duration_is_a_number_and_a_unit(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "1.5h", "07d", "7 days", "7y", "1d12h", "7d\n8d", "\u0667d", "9" * 40 + "d"])
def test_what_is_no_duration_is_an_error(text):
    with pytest.raises(ValueError) as error:
        duration(text)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("text", ["3661d", "999999999w", "999999999h"])
def test_a_duration_that_no_table_could_hold_the_end_of_is_an_error(text):
    with pytest.raises(ValueError, match="ten years"):
        duration(text)


def test_a_moment_is_in_utc_to_the_second():
    assert moment_text(1795406400.9) == "20261123T040000Z"


def test_moments_are_in_the_order_of_their_texts():
    moments = [moment_text(seconds) for seconds in range(0, 10**10, 10**7 + 12345)]
    assert moments == sorted(moments)
    assert all(is_moment(moment) for moment in moments)


@pytest.mark.parametrize(
    "text",
    ["", "now", "20261123T040000", "20261123 040000Z", "20261323T040000Z", "20260230T040000Z", "2026123T040000Z", "20261123T040000Z "],
)
def test_what_is_no_moment_is_none(text):
    assert not is_moment(text)
