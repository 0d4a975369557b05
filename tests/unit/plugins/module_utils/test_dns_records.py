# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The records a domain needs."""

from __future__ import annotations

import datetime as dt

import dns.zone
import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _specs
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import (
    DEFAULT_KINDS,
    KINDS,
    MailHost,
    Record,
    Wishes,
    dns_records,
    host_records,
    rdata_text,
    records_of,
    retired_records,
    tlsa_value,
    zone_file,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Dkim, DkimKey, Domain, PublicKey
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

HOST = MailHost("mx1.fleet.test", ("192.0.2.1", "2001:db8::1", "192.0.2.2"))
DKIM = DkimKey("dkim", "example.com")
NEXT = DkimKey("s2027a", "example.com.s2027a")
KEYS = {"example.com": PublicKey("rsa", 2048, "email", "AAAA"), "example.com.s2027a": PublicKey("ed25519", 256, "email", "BBBB")}


def values(domain, *kinds, **wishes):
    records = records_of(domain, HOST, KEYS, Wishes(kinds, **wishes))
    return [(record.name, record.type, *record.values) for record in records]


def test_mail_goes_to_the_mail_host_or_to_the_servers_that_are_named():
    domain = Domain("example.com")
    assert values(domain, "mx") == [("example.com", "MX", "10 mx1.fleet.test.")]
    named = ("5 a.test.", "20 b.test.")
    assert values(domain, "mx", mx=named) == [("example.com", "MX", *named)]


def test_spf_allows_the_mail_host():
    assert values(Domain("example.com"), "spf") == [("example.com", "TXT", "v=spf1 a:mx1.fleet.test ~all")]


def test_spf_allows_the_addresses_of_the_domain_instead_when_it_has_some():
    domain = Domain("example.com", ip_addresses=("192.0.2.9", "2001:db8::9"))
    assert values(domain, "spf", spf_all="fail") == [("example.com", "TXT", "v=spf1 ip4:192.0.2.9 ip6:2001:db8::9 -all")]


@pytest.mark.parametrize(("stage", "selectors"), [("active", 1), ("published", 2), ("retiring", 2), ("retired", 1)])
def test_dkim_records_of_keys_that_go_ahead_or_stay_behind_are_needed_too(stage, selectors):
    other = () if stage == "active" else (NEXT,)
    names = [name for name, *_rest in values(Domain("example.com", dkim=Dkim((DKIM,), stage, other)), "dkim")]
    assert names == ["dkim._domainkey.example.com", "s2027a._domainkey.example.com"][:selectors]


def test_a_dkim_record_holds_the_key():
    record = ("dkim._domainkey.example.com", "TXT", "v=DKIM1; h=sha256; k=rsa; s=email; p=AAAA")
    assert values(Domain("example.com", dkim=Dkim((DKIM,))), "dkim") == [record]


def test_only_keys_whose_rotation_is_over_are_retired():
    (record,) = retired_records(Domain("example.com", dkim=Dkim((DKIM,), "retired", (NEXT,))), KEYS)
    assert record.name == "s2027a._domainkey.example.com"
    assert retired_records(Domain("example.com", dkim=Dkim((DKIM,), "retiring", (NEXT,))), KEYS) == []
    assert retired_records(Domain("example.com"), KEYS) == []


def test_a_domain_without_dkim_and_dmarc_needs_no_such_records():
    assert values(Domain("example.com"), "dkim", "dmarc") == []


def test_dmarc_is_the_record_of_the_domain():
    domain = Domain("example.com", dmarc="v=DMARC1; p=reject")
    assert values(domain, "dmarc") == [("_dmarc.example.com", "TXT", "v=DMARC1; p=reject")]


def test_mta_sts_and_tls_reports():
    domain = Domain("example.com")
    assert values(domain, "mta_sts", mta_sts_id="20261123") == [("_mta-sts.example.com", "TXT", "v=STSv1; id=20261123")]
    assert values(domain, "tls_rpt") == [("_smtp._tls.example.com", "TXT", "v=TLSRPTv1; rua=mailto:postmaster@example.com")]


def test_mail_programs_find_the_services_of_the_host():
    assert ("_imaps._tcp.example.com", "SRV", "0 1 993 mx1.fleet.test.") in values(Domain("example.com"), "autoconfig")
    assert len(values(Domain("example.com"), "autoconfig")) == 4


def test_addresses_belong_to_the_host():
    assert host_records(HOST, KINDS[:3]) == [
        Record("mx1.fleet.test", "a", "mx1.fleet.test", "A", ("192.0.2.1", "192.0.2.2")),
        Record("mx1.fleet.test", "aaaa", "mx1.fleet.test", "AAAA", ("2001:db8::1",)),
    ]
    assert host_records(MailHost("mx1.fleet.test", ("192.0.2.1",)), ["aaaa"]) == []


def certificate(key):
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mx1.fleet.test")])
    begin = dt.datetime(2026, 1, 1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin.replace(year=2027))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def test_tlsa_is_the_digest_of_the_public_key_and_stays_with_a_new_certificate():
    key = ec.generate_private_key(ec.SECP256R1())
    text = tlsa_value(b"-----BEGIN PRIVATE KEY-----\nsecret\n-----END PRIVATE KEY-----\n" + certificate(key))
    assert text.startswith("3 1 1 ")
    assert len(text) == 6 + 64
    assert tlsa_value(certificate(key)) == text
    (record,) = host_records(HOST._replace(certificate=certificate(key)), ["tlsa"])
    assert (record.name, record.values) == ("_25._tcp.mx1.fleet.test", (text,))


def test_a_file_without_a_certificate_makes_no_tlsa_record():
    with pytest.raises(ValueError, match="no certificate"):
        tlsa_value(b"-----BEGIN PRIVATE KEY-----\n")


def test_record_sets_are_those_of_other_collections():
    records = records_of(Domain("example.com"), HOST, KEYS, Wishes(("mx", "spf")))
    assert dns_records([*records, *records], 300) == [
        {"record": "example.com", "type": "MX", "ttl": 300, "value": ["10 mx1.fleet.test."]},
        {"record": "example.com", "type": "TXT", "ttl": 300, "value": ["v=spf1 a:mx1.fleet.test ~all"]},
    ]


def test_a_long_txt_is_split_into_strings_and_what_is_special_is_escaped():
    assert rdata_text("TXT", "x" * 256) == f'"{"x" * 255}" "x"'
    assert rdata_text("TXT", 'a"b\\c\u00e9') == '"a\\"b\\\\c\\195\\169"'
    assert rdata_text("TXT", "") == '""'
    assert rdata_text("MX", "10 a.test.") == "10 a.test."


def test_a_zone_file_can_be_loaded_under_any_origin():
    keys = {"example.com": PublicKey("rsa", 4096, "email", "A" * 736)}
    domain = Domain("example.com", dkim=Dkim((DKIM,)), dmarc='v=DMARC1; p=none; rua=mailto:"x;y"@example.com')
    wishes = Wishes(tuple(kind for kind in KINDS if kind != "tlsa"), mta_sts_id="1")
    records = [*records_of(domain, MailHost("mx1.example.com", HOST.addresses), keys, wishes)]
    text = "@ 60 IN SOA ns hostmaster 1 60 60 60 60\n@ 60 IN NS ns\n" + zone_file(records, 300)
    loaded = dns.zone.from_text(text, origin="example.com.", check_origin=False)
    for record in records:
        rdatas = loaded.find_rdataset(f"{record.name}.", record.type)
        if record.type == "TXT":
            assert [b"".join(rdata.strings).decode() for rdata in rdatas] == list(record.values)


def test_the_kinds_of_records_are_those_of_the_option():
    assert _specs.DNS["records"]["choices"] == list(KINDS)
    assert _specs.DNS["replace"]["choices"] == list(KINDS)
    assert _specs.DNS["records"]["default"] == list(DEFAULT_KINDS)
