# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a server should not begin to show a certificate."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import faults_of
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import (
    NAME,
    NOW,
    certificate,
    intermediate,
    issued,
    key_pem,
    pem,
    root,
    self_signed,
)


def faults(content, *names):
    return faults_of(content if isinstance(content, bytes) else content.encode(), names or (NAME,), NOW)


def chained(*certificates, key=("ecdsa256", 0)):
    return key_pem(*key) + pem(*certificates)


@pytest.mark.parametrize(
    "content",
    [
        issued(),
        issued(key=("rsa2048", 0)),
        issued(key=("ecdsa384", 0)),
        issued("*.example.com"),
        self_signed(),
        issued(days=(-1, 5)),
        # clocks differ by hours, not by days
        issued(days=(0.5, 90)),
        chained(certificate(), intermediate(), root()),
        chained(certificate(issuer="root")),
        chained(certificate(issuer="rsa"), certificate((), ("rsa2048", 90), (-9, 9), "rsa", "Test RSA", is_ca=True)),
    ],
    ids=["ecdsa", "rsa", "384", "wildcard", "self-signed", "six days", "half a day early", "with root", "below a root", "rsa authority"],
)
def test_nothing_is_against_a_sound_pair(content):
    assert faults(content) == []


def test_names_that_are_not_in_it_are_told():
    assert faults(issued(NAME, "imap.example.com"), NAME, "smtp.example.com") == [
        "it is not for smtp.example.com (it has mail.example.com, imap.example.com)"
    ]


def test_of_many_missing_names_five_are_told():
    (fault,) = faults(issued(), *(f"n{number}.test" for number in range(9)))
    assert "n4.test and others" in fault
    assert "n5.test" not in fault


def test_a_common_name_alone_covers_nothing():
    assert faults(chained(certificate((), subject=NAME), intermediate())) == [f"it is not for {NAME} (it has no subjectAltName)"]


def test_what_has_expired_or_is_of_the_future_is_told():
    assert faults(issued(days=(-60, -1))) == ["it has expired"]
    assert faults(issued(days=(3, 60))) == ["it is not valid yet"]


def test_a_short_rsa_key_is_told():
    assert faults(issued(key=("rsa1024", 0))) == ["its RSA key has 1024 bits, less than 2048"]


def test_a_signature_with_sha1_is_told():
    assert faults(issued(digest="SHA1"))[0] == "certificate 1 of the chain is signed with SHA1, which clients refuse"


def test_a_root_may_be_signed_with_anything_because_nobody_looks_at_that():
    old_root = certificate((), ("ecdsa256", 90), (-3000, 3000), "root", "Test Root", "SHA1", is_ca=True)
    assert faults(chained(certificate(), intermediate(), old_root)) == []


WRONG_ORDER = (
    "certificate {} of the chain did not issue certificate {}: the server's own comes first, then the one that issued it, and so on"
)


@pytest.mark.parametrize(
    ("chain", "at"),
    [
        ((certificate(), root(), intermediate()), 2),
        ((certificate(), root()), 2),
        ((certificate(), root("other")), 2),
        ((certificate(), certificate()), 2),
        ((certificate(), intermediate(), root("other")), 3),
        # the right name and another key
        ((certificate(), certificate((), ("ecdsa256", 70), (-9, 9), "root", "Test Intermediate", is_ca=True)), 2),
    ],
    ids=["wrong order", "the middle is missing", "unrelated", "twice", "unrelated root", "another key"],
)
def test_a_chain_that_does_not_lead_upwards_is_told_with_its_place(chain, at):
    assert faults(chained(*chain)) == [WRONG_ORDER.format(at, at - 1)]


def test_a_chain_that_begins_with_its_issuer_is_a_key_that_does_not_belong():
    assert faults(chained(intermediate(), certificate())) == ["the private key does not belong to the certificate"]


def test_everything_is_told_at_once():
    content = issued("imap.example.com", key=("rsa1024", 0), days=(-60, -1), issuer="other")
    assert len(faults(content)) == 4


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", issued()[:500], issued(key=("ed25519", 0))], ids=["empty", "nonsense", "cut off", "ed25519"]
)
def test_what_cannot_be_read_is_a_fault(content):
    assert len(faults(content)) == 1
