# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DKIM keys and records as values, held against the library cryptography and opendkim-genkey's files."""

from __future__ import annotations

import base64
import re
import time

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import (
    key_of_record,
    public_key_of,
    record_in_zone_text,
    record_name,
    record_of,
    same_key,
    tags,
    zone_text,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._model import PublicKey
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import long_public, pem, public
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa, x25519
from hypothesis import given, settings
from hypothesis import strategies as st

KINDS = ["rsa1024", "rsa2048", "ed25519"]
PUBLIC_KEYS = [*(public(kind) for kind in KINDS), long_public(4096), public("rsa1024", service_type="*")]

# What opendkim-genkey(8) of OpenDKIM 2.11 writes; the key is cut short.
GENKEY = """\
dkim._domainkey\tIN\tTXT\t( "v=DKIM1; h=sha256; k=rsa; s=email; "
\t  "p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQ"
\t  "C7" )  ; ----- DKIM key dkim for example.com
"""


def described(key):
    return f"{key.key_type} {key.key_length} {key.service_type}"


# records


@pytest.mark.parametrize("key", PUBLIC_KEYS, ids=described)
def test_the_record_of_a_key_shows_that_key(key):
    assert key_of_record(record_of(key)) == key


@pytest.mark.parametrize("key", PUBLIC_KEYS, ids=described)
def test_the_file_of_a_key_holds_its_record(key):
    assert record_in_zone_text(zone_text("dkim", "example.com", key)) == record_of(key)


@pytest.mark.parametrize("key", PUBLIC_KEYS, ids=described)
def test_no_string_in_the_file_is_longer_than_dns_allows(key):
    strings = re.findall(r'"([^"]*)"', zone_text("dkim", "example.com", key))
    assert max(map(len, strings)) <= 255


def test_the_file_has_the_form_of_opendkim_genkey():
    key = PublicKey("rsa", 1024, "email", "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC7")
    expected = GENKEY.replace('"\n\t  "C7"', 'C7"')
    assert zone_text("dkim", "example.com", key) == expected


def test_the_record_has_the_tags_of_rfc_6376_in_the_order_of_opendkim_genkey():
    assert list(tags(record_of(public("ed25519")))) == ["v", "h", "k", "s", "p"]


def test_the_name_of_a_record_is_below_domainkey():
    assert record_name("s1.eu", "example.com") == "s1.eu._domainkey.example.com"


@pytest.mark.parametrize(
    "text",
    [
        GENKEY,
        GENKEY.replace("\n\t  ", " "),
        GENKEY.replace("( ", "").replace(" )", ""),
        GENKEY.replace("; ", "\\; "),
        GENKEY.replace("\n", "\r\n"),
    ],
    ids=["as written", "one line", "no brackets", "escaped semicolons", "line ends of Windows"],
)
def test_every_quoting_of_the_file_says_the_same_key(text):
    found = key_of_record(record_in_zone_text(text))
    assert (found.key_type, found.service_type) == ("rsa", "email")
    assert found.public_key == "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQC7"


def test_a_note_with_quotes_of_its_own_does_not_hide_the_key():
    text = GENKEY.replace("k=rsa; ", 'k=rsa; n="hello"; ')
    assert key_of_record(record_in_zone_text(text)).public_key.endswith("C7")


@pytest.mark.parametrize("text", ["", "no quotes at all", '"', '"open', '"\\', "( )", "\0\0"])
def test_a_file_without_a_record_holds_none(text):
    assert key_of_record(record_in_zone_text(text)) is None


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (" v = DKIM1 ; k = rsa ; s = * ; p = AA AA\t\r\n AAAA ", ("rsa", "*", "AAAAAAAA")),
        ("k=ed25519;p=AAAA", ("ed25519", "*", "AAAA")),
        ("v=DKIM1;p=AAAA", ("rsa", "*", "AAAA")),
        ("v=DKIM1;;p=AAAA;", ("rsa", "*", "AAAA")),
        ("v=DKIM1; t=y; g=*; p=AA==", ("rsa", "*", "AA==")),
    ],
)
def test_a_record_is_read_with_any_white_space_and_with_what_it_leaves_out(record, expected):
    found = key_of_record(record)
    assert (found.key_type, found.service_type, found.public_key) == expected


@pytest.mark.parametrize("record", ["v=DKIM1; k=rsa; p=", "v=DKIM1; p= ", "v=DKIM1; k=rsa", "v=DKIM2; p=AAAA", "v=spf1 -all", ""])
def test_what_is_revoked_or_no_dkim_record_shows_no_key(record):
    assert key_of_record(record) is None


@pytest.mark.parametrize("public_key", ["AAAA", "MIIB", "MA==", "%%%%", "é", "A", "MIGf", "MIH/////", "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"])
def test_a_record_with_a_broken_key_is_no_crash(public_key):
    assert key_of_record(f"v=DKIM1; p={public_key}") == PublicKey("rsa", 0, "*", public_key)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_no_bytes_in_a_record_are_a_crash(noise):
    assert key_of_record(f"v=DKIM1; p=MA{base64.b64encode(noise).decode()}").key_type == "rsa"


def test_two_records_show_the_same_key_whatever_else_they_say():
    one, other = public("rsa1024"), public("rsa1024", 1)
    assert same_key(one, one._replace(service_type="*", public_key=one.public_key.rstrip("=")))
    assert not same_key(one, other)
    assert not same_key(one, one._replace(key_type="ed25519"))


# private keys


@pytest.mark.parametrize(
    ("kind", "form"),
    [
        ("rsa1024", "TraditionalOpenSSL"),
        ("rsa2048", "TraditionalOpenSSL"),
        ("rsa1024", "PKCS8"),
        ("rsa2048", "PKCS8"),
        ("ed25519", "PKCS8"),
    ],
)
def test_a_private_key_is_read_as_the_library_reads_it(kind, form):
    assert public_key_of(pem(kind, form=form).encode()) == public(kind)


def test_what_is_read_carries_the_service_type_that_is_asked():
    assert public_key_of(pem("ed25519").encode(), "*") == public("ed25519", service_type="*")


@pytest.mark.parametrize("exponent", [3, 65537])
def test_the_exponent_is_part_of_the_key(exponent):
    key = rsa.generate_private_key(exponent, 1024)
    public_der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert public_key_of(written(key).encode()).public_key == base64.b64encode(public_der).decode()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: f"\n\n  {text}\n \t\n",
        lambda text: text.rstrip("\n"),
        lambda text: text.replace("\n", " "),
    ],
    ids=["line ends of Windows", "blank lines around", "no last line end", "one line"],
)
def test_the_lines_of_a_pem_file_may_be_broken_in_any_way(change):
    assert public_key_of(change(pem("rsa1024")).encode()) == public("rsa1024")


def written(key, form="PKCS8", encryption=None):
    form = getattr(serialization.PrivateFormat, form)
    return key.private_bytes(serialization.Encoding.PEM, form, encryption or serialization.NoEncryption()).decode()


def damaged():
    """Name, text of what is no private key that can sign."""
    lines = pem("rsa1024", form="TraditionalOpenSSL").splitlines()
    ed_lines = pem("ed25519").splitlines()
    text = "\n".join(lines)
    whole = serialization.load_pem_private_key(text.encode(), None)
    for form in ("PKCS8", "TraditionalOpenSSL"):
        yield f"encrypted {form}", written(whole, form, serialization.BestAvailableEncryption(b"secret"))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    yield "empty", ""
    yield "a public key", whole.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    yield "dsa", written(dsa.generate_private_key(1024))
    yield "ec", written(ec.generate_private_key(ec.SECP256R1()))
    yield "x25519", written(x25519.X25519PrivateKey.generate())
    yield "no last line", "\n".join(lines[:-1])
    yield "a line lost", "\n".join(lines[:4] + lines[5:])
    yield "cut off and closed", "\n".join([*lines[:4], lines[-1]])
    yield "half a line lost", text.replace(lines[3], lines[3][:31])
    yield "no content", f"{lines[0]}\n{lines[-1]}"
    yield "white space for content", f"{lines[0]}\n\n\n{lines[-1]}"
    yield "two keys", f"{text}\n{text}"
    yield "text in front", f"Bag Attributes\n{text}"
    yield "another end", text.replace("END RSA", "END")
    yield "another beginning", text.replace("BEGIN RSA", "BEGIN")
    yield "both of the other form", text.replace("RSA PRIVATE", "PRIVATE")
    yield "Ed25519 as PKCS #1", "\n".join(ed_lines).replace("PRIVATE", "RSA PRIVATE")
    der = base64.b64decode(ed_lines[1])
    short = base64.b64encode(der[:1] + bytes([44]) + der[2:13] + bytes([32, 4, 30]) + der[18:]).decode()
    yield "Ed25519 with a short seed", f"{ed_lines[0]}\n{short}\n{ed_lines[-1]}"
    yield "quotes", text.replace("M", '"', 1)
    yield "null bytes", text.replace("\n", "\0", 2)
    yield "zeros", f"{lines[0]}\n{base64.b64encode(bytes(600)).decode()}\n{lines[-1]}"
    yield "a length without end", f"{lines[0]}\n{base64.b64encode(bytes([0x30, 0xFF]) + bytes([0xFF]) * 200).decode()}\n{lines[-1]}"
    yield "an indefinite length", f"{lines[0]}\n{base64.b64encode(bytes([0x30, 0x80, 0x02, 0x01, 0x00])).decode()}\n{lines[-1]}"


@pytest.mark.parametrize("text", [pytest.param(text, id=name) for name, text in damaged()])
def test_what_cannot_sign_is_refused_and_nothing_of_it_is_told(text):
    with pytest.raises(ValueError) as error:
        public_key_of(text.encode())
    shown = str(error.value)
    assert not [line for line in text.split() if len(line) > 20 and line in shown]
    assert shown.isprintable()


def test_every_cut_of_a_key_is_refused():
    text = pem("rsa1024", form="TraditionalOpenSSL").strip()
    for length in range(0, len(text) - 1, 7):
        with pytest.raises(ValueError):
            public_key_of(text[:length].encode())


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_content_of_a_pem_file_is_a_crash(data):
    der = bytearray(base64.b64decode("".join(pem("rsa1024").splitlines()[1:-1])))
    for _change in range(data.draw(st.integers(1, 4))):
        der[data.draw(st.integers(0, 60))] = data.draw(st.integers(0, 255))
    text = b"-----BEGIN PRIVATE KEY-----\n" + base64.b64encode(bytes(der)) + b"\n-----END PRIVATE KEY-----\n"
    try:
        found = public_key_of(text)
    except ValueError as error:
        assert base64.b64encode(bytes(der))[:20].decode() not in str(error)
    else:
        assert found.key_type in ("rsa", "ed25519")


@pytest.mark.parametrize(
    "text",
    [b"-----BEGIN PRIVATE KEY-----" + b"\n" * 65000 + b"!", b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 65000 + b"!", b"-----BEGIN " * 6000],
    ids=["blank lines", "one letter", "beginnings"],
)
def test_a_hostile_file_takes_no_time(text):
    began = time.process_time()
    with pytest.raises(ValueError):
        public_key_of(text)
    assert time.process_time() - began < 0.5


def test_a_hostile_record_file_takes_no_time():
    began = time.process_time()
    for text in ('"' * 65000, '"\\' * 32000, '"a' * 32000, "p=" * 32000, '"' + "\\a" * 32000):
        key_of_record(record_in_zone_text(text))
    assert time.process_time() - began < 1.0


def test_an_ed25519_key_signs_for_what_its_record_shows():
    found = public_key_of(pem("ed25519").encode())
    key = serialization.load_pem_private_key(pem("ed25519").encode(), None)
    ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(found.public_key)).verify(key.sign(b"mail"), b"mail")
