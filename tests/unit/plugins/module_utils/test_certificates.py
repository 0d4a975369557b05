# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file with a key and a chain holds, read as values and compared with what the library cryptography made."""

from __future__ import annotations

import base64
import contextlib
import subprocess

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import (
    Pair,
    canonical_key,
    certificates_of,
    faults_of,
    is_marked,
    issuer_of,
    joined,
    keeps,
    marked,
    missing_issuer,
    pair_of,
    parts_of,
    subjects_of,
    without_root,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils import authority
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import (
    DAY,
    NAME,
    NOW,
    certificate,
    chain_pem,
    der,
    intermediate,
    issued,
    key_pem,
    pem,
    root,
    self_signed,
)
from cryptography.hazmat.primitives import hashes, serialization
from hypothesis import example, given, settings
from hypothesis import strategies as st

KEYS = [("rsa2048", 0), ("ecdsa256", 0), ("ecdsa384", 0)]
EC_PARAMETERS = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"


def block(label, content):
    text = base64.b64encode(content).decode()
    return "\n".join([f"-----BEGIN {label}-----", *(text[at : at + 64] for at in range(0, len(text), 64)), f"-----END {label}-----", ""])


def key_der(kind="ecdsa256"):
    return authority.key_of(kind).private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


# a pair


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_pair_is_read_in_every_form_of_its_key(key, form):
    kind, size = ("rsa", 2048) if key[0].startswith("rsa") else ("ecdsa", int(key[0][-3:]))
    fingerprint = certificate(key=key).fingerprint(hashes.SHA256()).hex()
    pair = pair_of((key_pem(*key, form=form) + chain_pem(key=key)).encode())
    assert pair == Pair((NAME,), NOW - 30 * DAY, NOW + 60 * DAY, kind, size, False, fingerprint)


def test_a_key_without_its_public_numbers_is_loaded_to_see_whose_it_is():
    """SEC 1 makes the public key optional (RFC 5915 section 3), and `openssl ec -no_public` leaves it out."""
    made = subprocess.run(["openssl", "ec", "-no_public"], input=key_pem().encode(), capture_output=True, check=True).stdout
    assert pair_of(made + chain_pem().encode()).names == (NAME,)
    with pytest.raises(ValueError, match="does not belong"):
        pair_of(made + chain_pem(key=("ecdsa256", 1)).encode())


def test_the_parameters_that_openssl_writes_before_a_key_are_passed_over():
    content = (EC_PARAMETERS + key_pem(form="TraditionalOpenSSL") + chain_pem()).encode()
    assert pair_of(content).key_size == 256
    assert canonical_key((EC_PARAMETERS + key_pem(form="TraditionalOpenSSL")).encode()).decode() == key_pem()


def test_the_order_of_key_and_chain_does_not_matter():
    assert pair_of((chain_pem() + key_pem()).encode()) == pair_of(issued())


def test_names_are_in_lower_case_and_without_a_subject_alternative_name_there_are_none():
    assert pair_of(issued("MAIL.Example.COM")).names == (NAME,)
    bare = certificate((), subject=NAME)
    assert pair_of((key_pem() + pem(bare)).encode()).names == ()


def test_a_certificate_that_signed_itself_is_told():
    assert pair_of(self_signed()).is_self_signed
    assert not pair_of(issued()).is_self_signed


def test_line_ends_of_windows_and_texts_between_the_blocks_are_nothing():
    content = f"Bag Attributes\n  x: y\n{key_pem()}subject=CN = {NAME}\n{chain_pem()}".replace("\n", "\r\n").encode()
    assert pair_of(content) == pair_of(issued())


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "there is no certificate"),
        (b"nonsense \xff\x00", "there is no certificate"),
        (key_pem().encode(), "there is no certificate"),
        (pem(certificate()).encode(), "there is no private key"),
        ((key_pem() + key_pem("ecdsa256", 1) + chain_pem()).encode(), "several private keys"),
        ((key_pem("ecdsa256", 1) + chain_pem()).encode(), "does not belong"),
        ((key_pem("rsa2048") + chain_pem()).encode(), "does not belong"),
        ((key_pem("rsa2048", 1) + chain_pem(key=("rsa2048", 0))).encode(), "does not belong"),
        ((key_pem(passphrase=b"geheim") + chain_pem()).encode(), "passphrase"),
        ((key_pem(form="TraditionalOpenSSL", passphrase=b"geheim") + chain_pem()).encode(), "passphrase"),
        (issued()[:-40], "cut off or damaged"),
        (issued()[:300], "cut off or damaged"),
        ((key_pem() + "-----BEGIN CERTIFICATE-----\nAAA\n-----END CERTIFICATE-----\n").encode(), "cut off or damaged"),
        ((key_pem() + block("CERTIFICATE", der(certificate())[:100])).encode(), "damaged"),
        ((key_pem() + block("CERTIFICATE", key_der())).encode(), "damaged|not what its PEM header says"),
        ((key_pem() + block("CERTIFICATE REQUEST", b"x")).encode(), "neither a certificate nor a private key"),
        (issued(key=("ed25519", 0)), "neither RSA nor ECDSA"),
        (issued(key=("ecdsa224", 0)), "neither RSA nor ECDSA"),
        (issued(key=("secp256k1", 0)), "neither RSA nor ECDSA"),
    ],
    ids=[f"case {number}" for number in range(1, 20)],
)
def test_what_no_server_could_use_is_told_with_its_reason(content, why):
    with pytest.raises(ValueError, match=why):
        pair_of(content)


def test_an_error_never_holds_the_key():
    for wrong in (key_pem("ecdsa256", 1) + chain_pem(), key_pem() + key_pem() + chain_pem(), issued().decode()[:-40]):
        with pytest.raises(ValueError, match=r".") as caught:
            pair_of(wrong.encode())
        assert not [line for line in key_pem().splitlines() + key_pem("ecdsa256", 1).splitlines() if line in str(caught.value)]


CURVE, SIGNATURE = bytes.fromhex("06082a8648ce3d030107"), bytes.fromhex("06082a8648ce3d040302")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (CURVE, CURVE[:-1] + b"\x09"),
        (SIGNATURE, SIGNATURE[:-1] + b"\x09"),
        (bytes.fromhex("a003020102"), bytes.fromhex("a003020105")),
        (bytes.fromhex("0603551d11"), bytes.fromhex("0603551d13")),
        (b"\x82\x10" + NAME.encode(), b"\x84\x10" + NAME.encode()),
        (b"\x82\x10mail", b"\x82\x10mai\xff"),
    ],
    ids=["curve", "signature", "version", "doubled extension", "kind of name", "name"],
)
def test_what_the_library_does_not_know_is_no_traceback(old, new):
    assert old in der(certificate())
    faults_of((key_pem() + block("CERTIFICATE", der(certificate()).replace(old, new))).encode(), [NAME], NOW)
    faults_of((block("PRIVATE KEY", key_der().replace(old, new)) + chain_pem()).encode(), [NAME], NOW)
    try:
        canonical_key(block("PRIVATE KEY", key_der().replace(old, new)).encode())
    except ValueError as error:
        assert "damaged" in str(error) or "known" in str(error)


@settings(max_examples=400, deadline=None)
@example([(58, 0)])
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=3))
def test_no_damage_is_a_traceback(changes):
    content = bytearray(der(certificate()))
    for position, value in changes:
        content[position % len(content)] = value
    text = block("CERTIFICATE", bytes(content)).encode()
    for read in (
        lambda: pair_of(key_pem().encode() + text),
        lambda: missing_issuer(certificates_of(text), ()),
        lambda: subjects_of(text),
    ):
        with contextlib.suppress(ValueError):
            read()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 5000), st.integers(0, 5000))
def test_a_file_with_a_part_missing_is_no_traceback(start, length):
    content = issued()
    cut = content[:start] + content[start + length :]
    try:
        pair_of(cut)
    except ValueError as error:
        assert len(str(error)) < 200


# names and time


@pytest.mark.parametrize(
    ("has", "name", "covered"),
    [
        ((NAME,), NAME, True),
        ((NAME,), "imap.example.com", False),
        (("*.example.com",), NAME, True),
        (("*.example.com",), "*.example.com", True),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "a.mail.example.com", False),
        (("example.com",), NAME, False),
        (("*.com",), "example.com", True),
        (("mail.*.com",), NAME, False),
        ((), NAME, False),
    ],
)
def test_a_wildcard_stands_for_one_label(has, name, covered):
    assert Pair(has, 0, 0, "rsa", 2048, False, "").covers(name) is covered


def pair_for(days):
    return Pair((NAME,), 0, days * DAY, "rsa", 2048, False, "")


@pytest.mark.parametrize(
    ("days", "renew_before", "age", "due"),
    [
        (90, 30, 59.9, False),
        (90, 30, 60.1, True),
        (90, 10, 79, False),
        (90, 10, 81, True),
        # never before two thirds of its life are over
        (90, 89, 59.9, False),
        (90, 89, 60.1, True),
        (6, 30, 3.9, False),
        (6, 30, 4.1, True),
        (6, 1, 4.9, False),
        (3650, 30, 3000, False),
        (90, 30, 91, True),
    ],
)
def test_a_certificate_is_renewed_before_its_end_and_never_before_two_thirds_of_its_life(days, renew_before, age, due):
    assert pair_for(days).is_due(renew_before, age * DAY) is due


# chains


def test_the_root_is_not_shown():
    chain = [der(certificate()), der(intermediate())]
    assert without_root([*chain, der(root())]) == chain
    assert without_root(chain) == chain


def test_a_certificate_that_signed_itself_is_no_root_to_leave_out():
    own = [der(certificate(issuer="self"))]
    assert without_root(own) == own


def test_a_chain_is_complete_when_its_end_is_a_root_or_issued_by_one_that_is_trusted():
    trusted = subjects_of(pem(root()).encode())
    chain = [der(certificate()), der(intermediate())]
    assert missing_issuer(chain, trusted) == ""
    assert missing_issuer([*chain, der(root())], ()) == ""
    assert missing_issuer(chain, ()) == "CN=Test Root"
    assert missing_issuer(chain[:1], trusted) == "CN=Test Intermediate"


def test_the_subjects_of_a_bundle_are_all_that_can_be_read_in_it():
    bundle = "# a comment\n" + pem(root()) + block("CERTIFICATE", b"nonsense") + pem(root("other")) + "-----BEGIN CERTIFICATE-----\ncut"
    subjects = subjects_of(bundle.encode())
    assert subjects == {one.subject.public_bytes()[2:] for one in (root(), root("other"))}
    assert subjects_of(b"") == frozenset()


def test_the_issuer_is_told_as_text():
    assert issuer_of(issued()) == "CN=Test Intermediate"


def test_certificates_alone_are_certificates_and_nothing_else():
    assert certificates_of(chain_pem().encode()) == [der(certificate()), der(intermediate())]
    for wrong in (b"", b"nonsense", issued(), chain_pem().encode()[:-30], block("CERTIFICATE", b"nonsense").encode()):
        with pytest.raises(ValueError, match=r"\w"):
            certificates_of(wrong)


# what is written


def test_key_and_chain_are_joined_as_openssl_reads_them(tmp_path):
    content = marked(NAME, joined(key_pem().encode(), [der(certificate()), der(intermediate())]))
    (tmp_path / "pair.pem").write_bytes(content)
    shown = subprocess.run(["openssl", "x509", "-noout", "-subject"], input=content, capture_output=True, check=True).stdout
    assert NAME in shown.decode()
    subprocess.run(["openssl", "pkey", "-noout", "-in", tmp_path / "pair.pem"], check=True)
    assert parts_of(content)[1] == [der(certificate()), der(intermediate())]
    assert content.decode().split("\n", 1)[1] == issued().decode()


def test_a_file_of_ours_says_so_in_its_first_line():
    assert is_marked(marked(NAME, issued()))
    assert not is_marked(issued())
    assert not is_marked(b"")
    assert pair_of(marked(NAME, issued())) == pair_of(issued())


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("form", ["PKCS8", "TraditionalOpenSSL"])
def test_a_file_keeps_a_pair_whatever_the_form_of_the_key(key, form):
    chain = [der(certificate(key=key)), der(intermediate())]
    assert keeps(marked(NAME, issued(key=key)), key_pem(*key, form=form).encode(), chain)


def test_a_file_does_not_keep_another_key_another_chain_or_what_cannot_be_read():
    chain, key = [der(certificate()), der(intermediate())], key_pem().encode()
    assert not keeps(issued(), key, chain[:1])
    assert not keeps(issued(), key, [der(certificate(days=(-1, 89))), der(intermediate())])
    assert not keeps(issued(), key_pem("ecdsa256", 1).encode(), chain)
    assert not keeps(b"nonsense", key, chain)
    assert not keeps(issued(), b"nonsense", chain)
    assert not keeps(issued(), key[:60], chain)


@pytest.mark.parametrize("key", KEYS)
def test_every_form_of_a_key_is_written_as_one(key):
    forms = [key_pem(*key), key_pem(*key, form="TraditionalOpenSSL"), key_pem(*key).replace("\n", "\r\n"), key_pem(*key).replace("\n", " ")]
    assert {canonical_key(form.encode()) for form in forms} == {key_pem(*key).encode()}


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "nonsense",
        pem(certificate()),
        key_pem() + key_pem("ecdsa256", 1),
        key_pem(passphrase=b"geheim"),
        key_pem()[:100],
        block("PRIVATE KEY", key_der()[:-20]),
        key_pem("rsa2048").replace("PRIVATE KEY", "EC PRIVATE KEY"),
    ],
    ids=["empty", "nonsense", "certificate", "two keys", "passphrase", "cut off", "cut off inside", "other label"],
)
def test_what_is_no_key_is_refused_without_being_shown(wrong):
    with pytest.raises(ValueError, match=r"private key|damaged") as caught:
        canonical_key(wrong.encode())
    assert len(str(caught.value)) < 120
    assert not [line for line in wrong.splitlines() if len(line) > 20 and line in str(caught.value)]


def test_a_key_whose_numbers_do_not_fit_is_refused():
    lines = key_pem("rsa2048", form="TraditionalOpenSSL").splitlines()
    lines[12] = lines[12][::-1]
    with pytest.raises(ValueError, match="do not fit"):
        canonical_key("\n".join(lines).encode())
