# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Publishing by dynamic updates, against a primary server in a thread."""

from __future__ import annotations

import base64
import time
from functools import partial

import dns.rcode
import dns.rdata
import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _dns_publish
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_changes import Change, RecordSet, Terms, plan_publication
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_packets import server_of
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_publish import publish
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import Record
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_update import Provider, batches, tsig_key
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_dns import KEY, SECRET, NameServer, zone

MX = Record("example.com", "mx", "example.com", "MX", ("10 mx1.fleet.test.",))
SPF = Record("example.com", "spf", "example.com", "TXT", ("v=spf1 a:mx1.fleet.test ~all",))
LONG = "v=DKIM1; h=sha256; k=rsa; s=email; p=" + "QUJD" * 98
DKIM = Record("example.com", "dkim", "dkim._domainkey.example.com", "TXT", (LONG,))
ORG = Record("example.org", "mx", "example.org", "MX", ("10 mx1.fleet.test.",))


@pytest.fixture
def primary():
    with NameServer(zone("example.com", '@ 60 IN TXT "other" "s"\n'), zone("example.org"), key=KEY) as one:
        yield one


def provider_of(primary, **more):
    return Provider(server_of(primary.address), key=tsig_key("mail", SECRET, "hmac-sha256"))._replace(**more)


def publish_to(primary, *records, check_mode=False, seconds=5.0, terms=None, **more):
    def planner(present, zones):
        known = [record for record in records if (record.name, record.type) in present]
        return plan_publication(known, present, zones, MX.values, terms or Terms())

    return publish(records, planner, provider_of(primary, **more), seconds, check_mode)


def failure(*arguments, **options):
    with pytest.raises(MailError) as caught:
        publish_to(*arguments, **options)
    return caught.value


def test_records_are_published_beside_those_that_are_there(primary):
    published = publish_to(primary, MX, SPF, DKIM)
    assert [change.type for change in published.changes] == ["MX", "TXT", "TXT"]
    assert primary.values("example.com.", "MX") == ["10 mx1.fleet.test."]
    assert primary.values("example.com.", "TXT") == ['"other" "s"', '"v=spf1 a:mx1.fleet.test ~all"']
    assert primary.values("dkim._domainkey.example.com.", "TXT") == [f'"{LONG[:255]}" "{LONG[255:]}"']


def test_publishing_again_updates_nothing(primary):
    publish_to(primary, MX, SPF, DKIM)
    updates = primary.updates
    assert publish_to(primary, MX, SPF, DKIM).changes == ()
    assert primary.updates == updates


def test_check_mode_tells_and_updates_nothing(primary):
    told = publish_to(primary, MX, SPF, check_mode=True)
    assert primary.updates == 0
    assert told == publish_to(primary, MX, SPF)


def test_what_is_in_the_way_is_told_before_anything_is_updated(primary):
    found = next(iter(primary.zones.values()))
    found.find_rdataset(found.origin, "MX", create=True).add(dns.rdata.from_text("IN", "MX", "5 other.test."))
    assert "another mx record is there: 5 other.test." in str(failure(primary, MX, SPF))
    assert primary.updates == 0


def add_txt_once(primary, text):
    """What somebody else publishes between our reading and our update."""

    def add():
        primary.before_update = lambda: None
        found = next(iter(primary.zones.values()))
        found.find_rdataset(found.origin, "TXT").add(dns.rdata.from_text("IN", "TXT", text))

    return add


def test_a_concurrent_change_is_not_overwritten(primary):
    primary.before_update = add_txt_once(primary, '"meanwhile"')
    assert len(publish_to(primary, SPF).changes) == 1
    assert primary.values("example.com.", "TXT") == ['"meanwhile"', '"other" "s"', '"v=spf1 a:mx1.fleet.test ~all"']


def test_a_concurrent_change_that_is_in_the_way_is_an_error(primary):
    primary.before_update = add_txt_once(primary, '"v=spf1 -all"')
    assert "another spf record is there: v=spf1 -all" in str(failure(primary, SPF))
    assert '"v=spf1 -all"' in primary.values("example.com.", "TXT")


def test_somebody_who_changes_a_record_all_the_time_is_an_error(primary):
    count = iter(range(100))

    def add():
        add_txt_once(primary, f'"{next(count)}"')()
        primary.before_update = add

    primary.before_update = add
    assert "somebody else changes this record at the same time" in str(failure(primary, SPF))


def test_what_only_a_wildcard_shows_is_published():
    wild = '*.w 60 IN MX 10 mx1.fleet.test.\n*.w 60 IN TXT "v=spf1 a:mx1.fleet.test ~all"\n'
    mx, spf = MX._replace(name="a.w.fleet.test"), SPF._replace(name="a.w.fleet.test")
    dmarc = Record("a.w.fleet.test", "dmarc", "_dmarc.a.w.fleet.test", "TXT", ("v=DMARC1; p=none",))
    with NameServer(zone("fleet.test", wild), key=KEY) as primary:
        assert len(publish_to(primary, mx, spf, dmarc).changes) == 3
        assert primary.values("a.w.fleet.test.", "MX") == ["10 mx1.fleet.test."]
        assert primary.values("_dmarc.a.w.fleet.test.", "TXT") == ['"v=DMARC1; p=none"']
        assert publish_to(primary, mx, spf, dmarc).changes == ()


def test_a_wildcard_that_has_all_that_is_needed_is_left_to_it():
    with NameServer(zone("fleet.test", "*.w 60 IN MX 10 mx1.fleet.test.\n"), key=KEY) as primary:
        assert publish_to(primary, MX._replace(name="a.w.fleet.test")).changes == ()


def test_a_wildcard_that_has_something_else_is_not_in_the_way():
    with NameServer(zone("fleet.test", "*.w 60 IN MX 5 other.test.\n*.c 60 IN CNAME other.test.\n"), key=KEY) as primary:
        assert len(publish_to(primary, MX._replace(name="a.w.fleet.test"), MX._replace(name="a.c.fleet.test")).changes) == 2
        assert primary.values("*.w.fleet.test.", "MX") == ["5 other.test."]


def test_a_record_that_stands_beside_an_equal_wildcard_is_there():
    with NameServer(zone("fleet.test", "*.w 60 IN MX 10 mx1.fleet.test.\na.w 60 IN MX 10 mx1.fleet.test.\n"), key=KEY) as primary:
        assert publish_to(primary, MX._replace(name="a.w.fleet.test")).changes == ()


def test_a_name_that_is_a_cname_is_not_touched(primary):
    found = next(iter(primary.zones.values()))
    found.find_rdataset(DKIM.name + ".", "CNAME", create=True).add(dns.rdata.from_text("IN", "CNAME", "keys.other.test."))
    assert "this name is a CNAME for keys.other.test" in str(failure(primary, DKIM))


def test_the_zone_may_be_named(primary):
    published = publish_to(primary, MX, zone="example.com")
    assert published.changes[0].zone == "example.com."
    assert "SOA" not in [kind for _name, kind, _transport in primary.asked]


def test_a_name_outside_the_named_zone_is_an_error(primary):
    error = failure(primary, MX, ORG, zone="example.com")
    assert str(error).startswith("provider.zone: example.org is not in the zone example.com")


def test_a_zone_that_does_not_exist_is_an_error(primary):
    error = failure(primary, MX._replace(name="gone.test"))
    assert str(error).startswith(f"provider.server: {primary.address} has no zone that gone.test is in (it answers REFUSED)")
    error = failure(primary, MX._replace(name="gone.test"), zone="gone.test")
    assert str(error).startswith(f"provider.zone: {primary.address} has no zone gone.test (it answers REFUSED)")


def test_a_server_that_only_knows_from_others_is_no_primary(primary):
    primary.recursive = True
    assert "has no zone that example.com is in" in str(failure(primary, MX))


def test_a_refused_update_is_an_error(primary):
    primary.refuses_updates = True
    error = failure(primary, MX)
    assert str(error).startswith(f"provider: {primary.address} refuses to let the TSIG key mail update the zone example.com (REFUSED)")


def test_an_update_without_a_key_that_needs_one_is_an_error(primary):
    assert "refuses to let this host (no TSIG key is given) update" in str(failure(primary, MX, key=None))


def test_zones_are_updated_each_for_itself():
    with NameServer(zone("example.com"), zone("example.org"), key=KEY) as primary:
        update = primary._update
        primary._update = lambda message: dns.rcode.REFUSED if "org" in message.zone[0].name.to_text() else update(message)
        published = publish_to(primary, MX, ORG)
        assert [change.zone for change in published.changes] == ["example.com."]
        assert ["example.org" in str(error) for error in published.failures] == [True]


@pytest.mark.parametrize(
    ("error", "where", "text"),
    [
        (dns.rcode.BADKEY, "provider.tsig_name", "does not know the TSIG key mail (BADKEY)"),
        (dns.rcode.BADSIG, "provider.tsig_secret", "has another secret or algorithm for the TSIG key mail (BADSIG)"),
        (dns.rcode.BADTIME, "provider.server", "the clocks of this host and of"),
    ],
)
def test_a_key_that_is_not_accepted_is_an_error(primary, error, where, text):
    primary.tsig_error = ("mail", error)
    found = failure(primary, MX)
    assert (found.errors[0].where, text in found.errors[0].message) == (where, True)
    assert SECRET not in str(found)


def test_replies_that_are_not_signed_are_not_believed(primary):
    primary.signs = False
    assert "does not sign its replies" in str(failure(primary, MX))


def test_a_dead_server_is_one_error(primary):
    primary.datagrams = lambda _question, _reply: []
    began = time.monotonic()
    error = failure(primary, MX, SPF, DKIM, ORG, seconds=0.5)
    assert time.monotonic() - began < 2
    assert len(error.errors) == 1
    assert f"{primary.address} did not answer within the time limit of 0.5 s" in str(error)


def test_a_dead_server_is_told_before_the_time_is_over(primary, monkeypatch):
    monkeypatch.setattr(_dns_publish, "exchange", partial(_dns_publish.exchange, silence=0.3))
    primary.datagrams = lambda _question, _reply: []
    assert "does not answer" in str(failure(primary, MX, seconds=60.0))


def test_an_update_without_a_reply_may_or_may_not_have_been_made(primary):
    primary.before_update = lambda: time.sleep(0.6)
    assert "may or may not have been updated" in str(failure(primary, MX, seconds=0.4))


@pytest.mark.parametrize("secret", ["", "***", "c2VjcmV0c2VjcmV", "secret\u00e9"])
def test_a_secret_that_is_no_base64_is_an_error_that_does_not_show_it(secret):
    with pytest.raises(MailError) as caught:
        tsig_key("mail", secret, "hmac-sha256")
    assert caught.value.where == "provider.tsig_secret"
    assert not secret or secret not in str(caught.value)


def test_a_secret_may_have_been_broken_into_lines():
    assert tsig_key("mail", base64.encodebytes(b"x" * 64).decode(), "hmac-sha512").secret == b"x" * 64


def test_a_provider_never_shows_its_key():
    assert SECRET not in repr(Provider(server_of("192.0.2.1"), key=KEY))


def test_an_update_is_split_only_when_a_message_cannot_hold_it():
    def change(number, zone):
        return Change(zone, f"d{number}.{zone}", "TXT", RecordSet(), RecordSet(("x" * 500,), 60))

    changes = [change(number, zone) for number in range(200) for zone in ("a.test.", "b.test.")]
    parts = batches(changes)
    assert [zone for zone, _batch in parts].count("a.test.") == 5
    assert sum(len(batch) for _zone, batch in parts) == 400
    assert batches(changes[:4]) == [("a.test.", changes[0:4:2]), ("b.test.", changes[1:4:2])]


def test_what_is_in_the_way_of_one_domain_holds_up_no_other(primary):
    found = next(iter(primary.zones.values()))
    found.find_rdataset(found.origin, "MX", create=True).add(dns.rdata.from_text("IN", "MX", "5 other.test."))
    other = MX._replace(domain="shop.example.com", name="shop.example.com")
    published = publish_to(primary, MX, SPF, other)
    assert [change.name for change in published.changes] == ["shop.example.com"]
    assert "another mx record is there: 5 other.test." in str(published.failures[0])
