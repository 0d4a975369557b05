# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What records in the DNS are worth."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_client import Answer
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import Record
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_verdicts import merged_spf, verdict
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_verify import sentence, verification_of

MX = Record("example.com", "mx", "example.com", "MX", ("10 mx1.fleet.test.",))
SPF = Record("example.com", "spf", "example.com", "TXT", ("v=spf1 a:mx1.fleet.test ~all",))
SPF_IPS = Record("example.com", "spf", "example.com", "TXT", ("v=spf1 ip4:192.0.2.9 ip6:2001:db8::9 ~all",))
DKIM = Record("example.com", "dkim", "dkim._domainkey.example.com", "TXT", ("v=DKIM1; h=sha256; k=rsa; s=email; p=QUJD",))
DMARC = Record("example.com", "dmarc", "_dmarc.example.com", "TXT", ("v=DMARC1; p=none; rua=mailto:A@example.com",))
STS = Record("example.com", "mta_sts", "_mta-sts.example.com", "TXT", ("v=STSv1; id=a1",))
REPORTS = Record("example.com", "tls_rpt", "_smtp._tls.example.com", "TXT", ("v=TLSRPTv1; rua=mailto:a@example.com",))
TLSA = Record("mx1.fleet.test", "tlsa", "_25._tcp.mx1.fleet.test", "TLSA", ("3 1 1 ab",))
A = Record("mx1.fleet.test", "a", "mx1.fleet.test", "A", ("192.0.2.1", "192.0.2.2"))
ALL = [MX, SPF, DKIM, DMARC, STS, REPORTS, TLSA, A]


def status(record, *values, mx=MX.values):
    return verdict(record, values, mx).status


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.kind)
def test_what_is_needed_is_right(record):
    assert status(record, *record.values) == "ok"


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.kind)
def test_nothing_is_missing(record):
    assert status(record) == "missing"


@pytest.mark.parametrize("record", [SPF, DKIM, DMARC, STS, REPORTS], ids=lambda record: record.kind)
def test_other_txt_records_do_not_matter(record):
    assert status(record, "site-verification=1", *record.values) == "ok"
    assert status(record, "site-verification=1", "v=spf10") == "missing"


@pytest.mark.parametrize("record", [SPF, DKIM, DMARC, STS, REPORTS], ids=lambda record: record.kind)
def test_two_records_of_a_kind_are_wrong_even_if_both_are_right(record):
    judged = verdict(record, [record.values[0], record.values[0] + " "])
    assert (judged.status, "RFC" in judged.why) == ("different", True)


def test_sets_are_compared_as_sets():
    assert status(A, "192.0.2.2", "192.0.2.1") == "ok"
    assert verdict(A, ["192.0.2.1", "192.0.2.7"]).why == "192.0.2.2 is not there; 192.0.2.7 is there too"
    assert status(MX, "10 MX1.fleet.test.") == "ok"
    assert status(MX, "10 mx1.fleet.test.", "20 backup.test.") == "different"


def test_a_second_tlsa_record_is_how_a_key_is_changed():
    assert status(TLSA, "3 1 1 ab", "3 1 1 cd") == "ok"
    assert status(TLSA, "3 1 1 cd") == "different"


@pytest.mark.parametrize(
    "there",
    [
        "v=spf1 a:mx1.fleet.test -all",
        "V=SPF1 A:MX1.Fleet.test ?ALL",
        "v=spf1 include:_spf.other.test +a:mx1.fleet.test redirect=_spf.other.test",
        "v=spf1 mx -all",
        "v=spf1 +all",
    ],
)
def test_spf_that_allows_the_mail_host_is_right(there):
    assert status(SPF, there) == "ok"


@pytest.mark.parametrize(
    ("there", "merged"),
    [
        ("v=spf1 -all", "v=spf1 a:mx1.fleet.test -all"),
        ("v=spf1 include:_spf.other.test ~all", "v=spf1 include:_spf.other.test a:mx1.fleet.test ~all"),
        ("v=spf1 redirect=_spf.other.test", "v=spf1 a:mx1.fleet.test redirect=_spf.other.test"),
        ("v=spf1 -a:mx1.fleet.test -all", "v=spf1 -a:mx1.fleet.test a:mx1.fleet.test -all"),
        ("v=spf1 -all a:mx1.fleet.test", "v=spf1 a:mx1.fleet.test -all a:mx1.fleet.test"),
        ("v=spf1 ip4:192.0.2.0/24", "v=spf1 ip4:192.0.2.0/24 a:mx1.fleet.test"),
        ("v=spf1", "v=spf1 a:mx1.fleet.test"),
    ],
)
def test_spf_that_does_not_allow_the_mail_host_is_different_and_says_what_it_should_be(there, merged):
    judged = verdict(SPF, [there])
    assert judged.status == "different"
    assert judged.why == f"it does not allow a:mx1.fleet.test; make it: {merged}"


def test_mx_in_spf_means_the_mail_host_only_when_mail_goes_there():
    assert status(SPF, "v=spf1 mx -all", mx=["10 elsewhere.test."]) == "different"


def test_a_network_allows_the_addresses_in_it():
    assert status(SPF_IPS, "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/32 -all") == "ok"
    assert merged_spf(SPF_IPS.values[0], "v=spf1 ip4:192.0.2.0/29 ip6:2001:db8::/32 -all") == (
        "v=spf1 ip4:192.0.2.0/29 ip6:2001:db8::/32 ip4:192.0.2.9 -all"
    )


@pytest.mark.parametrize("there", ["k=rsa; p=QUJD", "v=DKIM1;p= QU JD;t=s", "p=QUJD; v=DKIM1; n=made by hand"])
def test_dkim_is_compared_by_its_key(there):
    assert status(DKIM, there) == "ok"


@pytest.mark.parametrize(
    ("there", "why"),
    [
        ("v=DKIM1; k=rsa; p=QUJE", "it shows another key"),
        ("v=DKIM1; k=ed25519; p=QUJD", "it shows another key"),
        ("v=DKIM1; p=", "the key there is revoked (an empty p=)"),
        ("v=DKIM1; p=MAA=", "it shows another key"),
    ],
)
def test_another_dkim_key_is_different(there, why):
    assert verdict(DKIM, [there])[::2] == ("different", why)


def test_dmarc_is_compared_by_its_tags():
    assert status(DMARC, "v=DMARC1;P=None;rua=mailto:A@example.com;") == "ok"
    assert status(DMARC, "v=DMARC1; p=none; rua=mailto:a@example.com") == "different"
    assert status(DMARC, "v=DMARC1; p=reject; rua=mailto:A@example.com") == "different"


FOUND = Answer("found", MX.values, 60, 0, "ns1")
GONE = Answer("none", (), 0, 60, "ns2")
OTHER = Answer("found", ("10 other.test.",), 60, 0, "ns3")
SILENT = Answer("unreachable", server="ns4", why="ns4 does not answer")


@pytest.mark.parametrize(
    ("answers", "status", "server"),
    [
        ([FOUND], "ok", "ns1"),
        ([FOUND, GONE], "missing", "ns2"),
        ([GONE, FOUND, OTHER], "different", "ns3"),
        ([SILENT, FOUND], "ok", "ns1"),
        ([SILENT, GONE], "missing", "ns2"),
        ([SILENT], "unreachable", "ns4"),
    ],
)
def test_of_what_several_servers_say_the_worst_counts(answers, status, server):
    entry = verification_of(MX, answers, MX.values)
    assert (entry["status"], entry["server"]) == (status, server)


def test_a_server_that_could_not_be_asked_is_told_beside_the_others():
    assert verification_of(MX, [FOUND, SILENT], ())["why"] == "by the other servers; ns4 does not answer"


def test_a_verification_has_all_that_a_reader_needs():
    assert verification_of(MX, [OTHER], ()) == {
        "domain": "example.com",
        "kind": "mx",
        "record": "example.com",
        "type": "MX",
        "status": "different",
        "expected": ["10 mx1.fleet.test."],
        "found": ["10 other.test."],
        "server": "ns3",
        "why": "10 mx1.fleet.test. is not there; 10 other.test. is there too",
    }


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (GONE, "the mx record example.com (MX) is missing by ns2"),
        (OTHER, "the mx record example.com (MX) is different by ns3: 10 mx1.fleet.test. is not there; 10 other.test. is there too"),
        (SILENT, "the mx record example.com (MX) could not be looked up: ns4 does not answer"),
    ],
)
def test_a_verdict_as_a_sentence(answer, text):
    assert sentence(verification_of(MX, [answer], ())) == text
