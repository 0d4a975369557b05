# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What zones hold and should hold -> the changes of their record sets."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_changes import (
    Change,
    RecordSet,
    Terms,
    diff_of,
    plan_publication,
    plan_withdrawal,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import Record

MX = Record("example.com", "mx", "example.com", "MX", ("10 mx1.fleet.test.",))
SPF = Record("example.com", "spf", "example.com", "TXT", ("v=spf1 a:mx1.fleet.test ~all",))
DKIM = Record("example.com", "dkim", "dkim._domainkey.example.com", "TXT", ("v=DKIM1; h=sha256; k=rsa; s=email; p=QUJD",))
DMARC = Record("example.com", "dmarc", "_dmarc.example.com", "TXT", ("v=DMARC1; p=none",))
TLSA = Record("mx1.fleet.test", "tlsa", "_25._tcp.mx1.fleet.test", "TLSA", ("3 1 1 ab",))
A = Record("mx1.fleet.test", "a", "mx1.fleet.test", "A", ("192.0.2.1", "192.0.2.2"))
SRV = Record("example.com", "autoconfig", "_imaps._tcp.example.com", "SRV", ("0 1 993 mx1.fleet.test.",))
ALL = [MX, SPF, DKIM, DMARC, TLSA, A, SRV]
ZONES = {record.name: "zone." for record in ALL}


def plan(record, *there, alias="", **terms):
    present = {(record.name, record.type): RecordSet(there, 300 if there else 0, alias)}
    return plan_publication([record], present, ZONES, MX.values, Terms(**terms))


def values_after(*arguments, **options):
    planned = plan(*arguments, **options)
    assert planned.errors == ()
    return [(change.after.values, change.after.ttl) for change in planned.changes]


def withdrawn(record, *there):
    changes = plan_withdrawal([record], {(record.name, record.type): RecordSet(there, 300)}, ZONES).changes
    return [change.removed for change in changes]


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.kind)
def test_what_is_missing_is_added(record):
    assert values_after(record) == [(record.values, 3600)]
    assert values_after(record, ttl=60) == [(record.values, 60)]


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.kind)
def test_what_is_right_stays_as_it_is(record):
    assert values_after(record, *record.values) == []


@pytest.mark.parametrize("record", [SPF, DKIM, DMARC], ids=lambda record: record.kind)
def test_other_txt_records_stay_beside_ours_with_their_time_to_live(record):
    present = {(record.name, "TXT"): RecordSet(("x=1",), 77)}
    (change,) = plan_publication([record], present, ZONES, (), Terms(ttl=60)).changes
    assert (change.after, change.removed, change.added) == (RecordSet(("x=1", *record.values), 77), (), record.values)


@pytest.mark.parametrize(
    ("record", "there"),
    [
        (MX, "10 other.test."),
        (SPF, "v=spf1 include:other.test -all"),
        (DKIM, "v=DKIM1; p=QUJE"),
        (DMARC, "v=DMARC1; p=reject"),
        (A, "192.0.2.9"),
        (SRV, "0 1 993 other.test."),
    ],
    ids=lambda one: one.kind if isinstance(one, Record) else "",
)
def test_another_record_of_the_kind_is_an_error_unless_it_may_be_replaced(record, there):
    planned = plan(record, there)
    assert planned.changes == () or all(not change.removed and not change.added for change in planned.changes)
    (error,) = planned.errors
    assert error.where == f"{record.name} {record.type}"
    assert there in error.message
    assert f"name {record.kind} in replace" in error.remedy
    assert values_after(record, there, replace=[record.kind]) == [(record.values, 300)]


def test_the_advice_for_spf_is_the_record_that_allows_both():
    (error,) = plan(SPF, "v=spf1 include:other.test -all").errors
    assert "Change it to v=spf1 include:other.test a:mx1.fleet.test -all" in error.remedy


def test_spf_that_somebody_merged_is_left_alone():
    assert values_after(SPF, "v=spf1 include:other.test a:mx1.fleet.test -all") == []


def test_two_spf_records_are_an_error_and_replaced_by_one():
    there = ("v=spf1 -all", "v=spf1 a:mx1.fleet.test ~all")
    assert len(plan(SPF, *there).errors) == 1
    assert values_after(SPF, *there, "x", replace=["spf"]) == [(("x", *SPF.values), 300)]


def test_our_host_with_another_preference_and_some_of_our_addresses_are_ours():
    assert values_after(MX, "20 mx1.fleet.test.") == [(MX.values, 300)]
    assert values_after(A, "192.0.2.1") == [(A.values, 300)]
    assert values_after(SRV, "5 5 993 MX1.fleet.test.") == [(SRV.values, 300)]


def test_a_tlsa_record_is_added_to_others():
    assert values_after(TLSA, "3 1 1 cd") == [(("3 1 1 cd", "3 1 1 ab"), 300)]


def test_a_name_that_is_a_cname_is_an_error():
    (error,) = plan(DKIM, alias="keys.other.test").errors
    assert error.message == "this name is a CNAME for keys.other.test"


def test_a_time_to_live_that_is_said_sends_all_values_again_where_it_is_another():
    assert values_after(MX, *MX.values, ttl=300) == []
    (change,) = plan(MX, *MX.values, ttl=60).changes
    assert (change.removed, change.added, change.after.ttl) == ((), MX.values, 60)


def test_errors_of_all_records_come_together():
    present = {
        ("example.com", "MX"): RecordSet(("1 other.test.",), 1),
        ("_dmarc.example.com", "TXT"): RecordSet(("v=DMARC1; p=reject",), 1),
    }
    assert len(plan_publication([MX, DMARC, SPF], present, ZONES, (), Terms()).errors) == 2


@pytest.mark.parametrize("record", ALL, ids=lambda record: record.kind)
def test_our_values_are_withdrawn(record):
    assert withdrawn(record, *record.values) == [record.values]
    assert withdrawn(record) == []


@pytest.mark.parametrize(
    ("record", "there"),
    [
        (MX, "10 other.test."),
        (MX, "20 mx1.fleet.test."),
        (SPF, "v=spf1 include:other.test a:mx1.fleet.test ~all"),
        (SPF, "x=1"),
        (DKIM, "v=DKIM1; p=QUJE"),
        (DMARC, "v=DMARC1; p=reject"),
    ],
)
def test_what_is_not_ours_is_not_withdrawn(record, there):
    assert withdrawn(record, there) == []
    assert withdrawn(record, there, *record.values) == [record.values]


def test_a_dkim_record_that_was_written_by_hand_is_ours_by_its_key():
    assert withdrawn(DKIM, "p=QUJD") == [("p=QUJD",)]


def test_a_diff_shows_the_lines_of_each_zone():
    change = Change("example.com.", "example.com", "MX", RecordSet(("5 a.test.",), 60), RecordSet(("10 b.test.",), 60))
    assert diff_of([change], "192.0.2.53") == [
        {
            "before_header": "zone example.com on 192.0.2.53",
            "after_header": "zone example.com on 192.0.2.53",
            "before": "example.com.\t60\tIN\tMX\t5 a.test.\n",
            "after": "example.com.\t60\tIN\tMX\t10 b.test.\n",
        }
    ]
