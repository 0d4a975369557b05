# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of certificates and Dovecot's names, written and read back."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_health import ssl_entry
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    ACME_DIRECTORIES,
    CERTIFICATE_KEY_SIZES,
    CHALLENGE_METHODS,
    TSIG_ALGORITHMS,
    Acme,
    Certificate,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_table import (
    CERTIFICATES_HEADER,
    NAMES_HEADER,
    certificate_values,
    names_text,
    read_certificates,
    tombstone_value,
    without_tombstone,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._converter import Converter
from ansible_collections.fleetpost.mail.plugins.module_utils._declared_ssl import declared_ssl
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import DEBIAN
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import parse_table
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PATH = "/etc/exim4/certificates"
NAME = "mail.example.com"


def table_of(text):
    return parse_table("certificates", PATH, text.encode(), CERTIFICATES_HEADER)


def read(text):
    return read_certificates(table_of(text), PATH)


def written(*certificates, text=""):
    table = table_of(text)
    return table.with_values(dict(pair for one in certificates for pair in certificate_values(one, table.values)))


# round trip

LABELS = st.sampled_from(["mail", "imap", "xn--bcher-kva", "a", "1"])
PLACES = st.builds(
    "/{}/{}".format, st.sampled_from(["srv", "etc/ssl dir", "x=y", 'q"uote', "ü"]), st.sampled_from(["a.pem", "b c;d", "\\e"])
)


@st.composite
def acmes(draw):
    challenge = draw(st.sampled_from(list(CHALLENGE_METHODS)))
    method = draw(st.sampled_from(CHALLENGE_METHODS[challenge]))
    acme = Acme(
        draw(st.sampled_from([*ACME_DIRECTORIES.values(), "https://ca.test:14000/dir"])),
        draw(st.sampled_from(["", "a@b.test"])),
        challenge,
        method,
        draw(PLACES) if method == "webroot" else "",
        draw(st.one_of(st.just(""), PLACES)),
    )
    if method == "rfc2136":
        port, seconds = draw(st.integers(1, 65535)), draw(st.integers(0, 3600))
        acme = acme._replace(
            dns_server="2001:db8::53", dns_port=port, tsig_name="mail_key", tsig_algorithm=draw(st.sampled_from(TSIG_ALGORITHMS))
        )
        acme = acme._replace(propagation=seconds)
    return acme


@st.composite
def certificates(draw):
    name = f"{draw(LABELS)}.{draw(LABELS)}.test"
    further = draw(st.lists(st.builds("{}.{}.example".format, st.sampled_from(["*", "a", "b"]), LABELS), max_size=4, unique=True))
    provider = draw(st.sampled_from(["selfsigned", "acme", "provided"]))
    found = Certificate(name, tuple(sorted(further)), provider, renew_before_days=draw(st.integers(1, 36500)), is_host=draw(st.booleans()))
    if provider == "provided":
        paths = draw(st.one_of(st.just(("", "", "")), st.tuples(PLACES, st.one_of(st.just(""), PLACES), PLACES)))
        return found._replace(paths=paths)
    key_type = draw(st.sampled_from(list(CERTIFICATE_KEY_SIZES)))
    found = found._replace(key_type=key_type, key_size=draw(st.sampled_from(CERTIFICATE_KEY_SIZES[key_type])))
    if provider == "selfsigned":
        return found._replace(valid_days=draw(st.integers(1, 36500)))
    return found._replace(acme=draw(acmes()), failed=draw(st.sampled_from(["", "20261126T221819Z"])))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(certificates())
def test_every_certificate_is_read_as_it_was_written(certificate):
    assert read(written(certificate)) == {certificate.name: certificate}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(certificates())
def test_a_tombstone_says_what_is_going_and_which_certificate_the_name_is_shown_with(certificate):
    going = certificate._replace(names=(), is_removing=True)
    alone = tombstone_value(certificate, f"cert={certificate.name} x=1", None)
    assert read(f"{certificate.name}: {alone}\n") == {certificate.name: going}
    assert ("cert=" in alone, without_tombstone(alone)) == (False, None)
    other = Certificate("other.test", (certificate.name,))
    shown = tombstone_value(certificate, "x=1", "cert=other.test")
    lines = f"other.test: cert=other.test provider=selfsigned key=ecdsa:256\n{certificate.name}: {shown}\n"
    assert read(lines) == {"other.test": other, certificate.name: going}
    assert without_tombstone(shown) == "cert=other.test x=1"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(certificates(), max_size=5, unique_by=lambda one: one.name))
def test_writing_what_was_read_changes_nothing(several):
    several = [one._replace(names=tuple(f"{index}.{name.replace('*', 'x')}" for name in one.names)) for index, one in enumerate(several)]
    text = written(*several)
    assert written(*read(text).values(), text=text) == text


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(certificates())
def test_what_is_told_of_a_certificate_declares_it_again(certificate):
    reader = Converter()
    declared = declared_ssl(ssl_entry(certificate), {}, "ssl.", reader)
    assert [
        error for error in reader.errors if "_path" not in error.where and "webroot" not in error.where and "ca_" not in error.where
    ] == []
    assert declared.alias == certificate.name
    for field, value in declared.changes.items():
        assert getattr(certificate, field) == value
    for field, value in declared.acme.items():
        assert getattr(certificate.acme, field) == value


def test_the_plain_case_is_a_short_line():
    lines = written(Certificate(NAME, ("imap.example.com",))).splitlines()
    assert f"{NAME}: cert={NAME} provider=selfsigned key=ecdsa:256" in lines
    assert f"imap.example.com: cert={NAME}" in lines


def test_fields_that_this_version_does_not_know_are_kept_as_long_as_the_line():
    text = (
        written(Certificate(NAME, ("imap.example.com",)))
        .replace("provider=", "note=mine provider=")
        .replace(f"cert={NAME}\n", f"cert={NAME} x=1\n")
    )
    changed = written(Certificate(NAME, ("imap.example.com",), key_type="rsa", key_size=2048), text=text)
    assert f"{NAME}: cert={NAME} provider=selfsigned key=rsa:2048 note=mine\n" in changed
    assert f"imap.example.com: cert={NAME} x=1\n" in changed


def test_fields_of_another_provider_do_not_stay():
    text = written(Certificate(NAME, provider="acme", acme=Acme(webroot="/srv"), failed="20261126T221819Z"))
    assert written(Certificate(NAME), text=text) == written(Certificate(NAME))


def test_a_line_of_a_certificate_that_has_none_of_its_own_is_nobodys():
    assert read(f"imap.test: cert={NAME}\n") == {}


def test_lines_may_stand_in_any_order_and_hand():
    assert read(f"b.test:   cert={NAME}\n{NAME}: provider=selfsigned cert={NAME}\na.test: cert={NAME}\n") == {
        NAME: Certificate(NAME, ("a.test", "b.test"))
    }


@pytest.mark.parametrize(
    "value",
    [
        "provider=selfsigned",
        "cert=",
        "cert=../evil",
        "cert=/etc/passwd",
        "cert=MAIL.example.com",
        "cert=*.example.com",
        'cert="a b.test"',
        f"cert={NAME} provider=magic",
        f"cert={NAME} key=dsa:1024",
        f"cert={NAME} key=rsa",
        f"cert={NAME} key=rsa:many",
        f"cert={NAME} key=rsa:-1",
        f"cert={NAME} days=x",
        f"cert={NAME} days=1e3",
        f"cert={NAME} days=٣",
        f"cert={NAME} renew=",
        f"cert={NAME} provider=acme challenge=tls-alpn-01",
        f"cert={NAME} provider=acme dns_port=-5",
        f"cert={NAME} provider=acme propagation=9999999",
        "cert",
        f"cert={NAME} cert={NAME}",
    ],
)
def test_a_value_that_cannot_be_is_an_error_with_file_and_line(value):
    with pytest.raises(MailError) as error:
        read(f"# a comment\na.test: cert=a.test\n{NAME}: {value}\n")
    assert error.value.where == f"{PATH}:3"
    assert len(str(error.value)) < 400


# Dovecot's names

HOST = Certificate("mx1.fleet.test", ("mail.fleet.test",), is_host=True)


def test_dovecot_2_3_takes_all_names_of_a_certificate_in_one_block():
    text = names_text(DEBIAN, "2.3", [Certificate(NAME, ("*.example.com", "imap.example.com")), Certificate("mail.b.test")])
    block = "local_name {0} {{\n  ssl_cert = </etc/dovecot/certs/{1}.pem\n  ssl_key = </etc/dovecot/certs/{1}.pem\n}}\n"
    first = block.format(f'"{NAME} *.example.com imap.example.com"', NAME)
    assert text == NAMES_HEADER + first + block.format("mail.b.test", "mail.b.test")


def test_dovecot_2_4_takes_one_name_in_a_block():
    text = names_text(DEBIAN, "2.4", [Certificate(NAME, ("*.example.com",))])
    block = "local_name {0} {{\n  ssl_server_cert_file = {1}\n  ssl_server_key_file = {1}\n}}\n"
    file = f"/etc/dovecot/certs/{NAME}.pem"
    assert text == NAMES_HEADER + block.format(NAME, file) + block.format("*.example.com", file)


@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_the_hosts_own_has_a_block_for_its_further_names_alone(version):
    text = names_text(DEBIAN, version, [HOST, HOST._replace(name="other", names=())])
    assert text.count("local_name") == 1
    assert "local_name mail.fleet.test {" in text
    assert names_text(DEBIAN, version, []) == NAMES_HEADER
