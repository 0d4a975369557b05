# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DMARC records of templates and of options, and what is none."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _exim
from ansible_collections.fleetpost.mail.plugins.module_utils._declared_signing import declared_dmarc
from ansible_collections.fleetpost.mail.plugins.module_utils._dmarc import DEFAULT_TEMPLATE, record_of_options, record_of_template
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Domain
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import DMARC
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import parse_table

ALL = {
    "policy": "quarantine",
    "subdomain_policy": "reject",
    "adkim": "s",
    "aspf": "r",
    "pct": 50,
    "rua": ["dmarc@example.com", "mailto:reports@agency.test!10m"],
    "ruf": ["{owner_email}"],
}


def of(template):
    return record_of_template(template, "example.com")


# templates


def test_the_default_asks_for_nothing_but_says_that_there_is_a_policy():
    assert of(DEFAULT_TEMPLATE) == "v=DMARC1; p=none"


def test_a_template_is_filled_in_wherever_a_placeholder_stands():
    template = "v=DMARC1; p=none; rua=mailto:{owner_email},mailto:dmarc@{domain}"
    assert of(template) == "v=DMARC1; p=none; rua=mailto:postmaster@example.com,mailto:dmarc@example.com"


@pytest.mark.parametrize("template", ["v=DMARC1; p=none;", " v=DMARC1; p=none ; ", "\nv=DMARC1; p=none\n"])
def test_the_end_of_a_template_may_have_what_yaml_and_people_add(template):
    assert of(template) == "v=DMARC1; p=none"


@pytest.mark.parametrize(
    "tag",
    [
        *("p=none", "p=quarantine", "p=reject"),
        *("sp=none", "sp=quarantine", "sp=reject", "np=reject"),
        *("adkim=r", "adkim=s", "aspf=r", "aspf=s"),
        *("pct=0", "pct=7", "pct=100"),
        *("fo=0", "fo=1:d:s", "rf=afrf", "ri=86400", "t=y", "t=n", "psd=u"),
        *("rua=mailto:a@x.test", "rua=MAILTO:a@x.test!10M", "ruf=mailto:a@x.test,mailto:b@x.test", "rua=mailto:a@x.test , mailto:b@x.test"),
    ],
)
def test_every_tag_of_the_standard_is_taken_as_it_stands(tag):
    record = f"v=DMARC1; {tag}" if tag.startswith("p=") else f"v=DMARC1; p=none; {tag}"
    assert of(record) == record


@pytest.mark.parametrize("record", ["v=DMARC1;p=none;rua=mailto:a@x.test", "v = DMARC1 ; p = none"])
def test_white_space_is_left_as_it_was_written(record):
    assert of(record) == record


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("", "does not begin with v=DMARC1"),
        ("p=none", "does not begin with v=DMARC1"),
        ("v=DMARC2; p=none", "does not begin with v=DMARC1"),
        ("v=spf1 -all", "does not begin with v=DMARC1"),
        ("p=none; v=DMARC1", "does not begin with v=DMARC1"),
        ("v=DMARC1", "needs a policy"),
        ("v=DMARC1; rua=mailto:a@x.test; p=none", "needs a policy"),
        ("v=DMARC1; P=none", "needs a policy"),
        ("v=DMARC1; p=", "p= is not allowed"),
        ("v=DMARC1; p=block", "p=block is not allowed"),
        ("v=DMARC1; p=None", "p=None is not allowed"),
        ("v=DMARC1; p=none; sp=all", "sp=all is not allowed"),
        ("v=DMARC1; p=none; adkim=strict", "adkim=strict is not allowed"),
        ("v=DMARC1; p=none; aspf=x", "aspf=x is not allowed"),
        ("v=DMARC1; p=none; pct=101", "pct=101 is not allowed"),
        ("v=DMARC1; p=none; pct=-1", "pct=-1 is not allowed"),
        ("v=DMARC1; p=none; pct=5%", "pct=5% is not allowed"),
        ("v=DMARC1; p=none; fo=2", "fo=2 is not allowed"),
        ("v=DMARC1; p=none; rf=iodef", "rf=iodef is not allowed"),
        ("v=DMARC1; p=none; ri=daily", "ri=daily is not allowed"),
        ("v=DMARC1; p=none; t=x", "t=x is not allowed"),
        ("v=DMARC1; p=none; policy=reject", "'policy' is no tag"),
        ("v=DMARC1; p=none; reject", "'reject' is no tag"),
        ("v=DMARC1; p=none; =reject", "without a name"),
        ("v=DMARC1; p=none; p=reject", "a tag twice"),
        ("v=DMARC1; p=none; v=DMARC1", "a tag twice"),
        ("v=DMARC1; p=none; rua=", "is no mailto: address"),
        ("v=DMARC1; p=none; rua=a@x.test", "is no mailto: address"),
        ("v=DMARC1; p=none; rua=https://x.test/", "is no mailto: address"),
        ("v=DMARC1; p=none; rua=mailto:a@x.test,", "is no mailto: address"),
        ("v=DMARC1; p=none; rua=mailto:a@x.test!big", "is no mailto: address"),
        ("v=DMARC1; p=none; ruf=mailto:nobody", "has no @"),
        ("v=DMARC1; p=none; rua=mailto:a@-x-.test", "-x-.test"),
    ],
)
def test_what_is_no_dmarc_record_is_an_error(template, complaint):
    with pytest.raises(ValueError) as error:
        of(template)
    assert complaint in str(error.value)


@pytest.mark.parametrize("text", ["{name}", "{domain", "domain}", "{{domain}}", "{ domain }", "{DOMAIN}", "{0}", "{dom{domain}ain}"])
def test_a_placeholder_that_there_is_not_is_an_error(text):
    with pytest.raises(ValueError, match="holds a placeholder that is neither"):
        of(f"v=DMARC1; p=none; rua=mailto:{text}@x.test")


@pytest.mark.parametrize("mark", ['"', "\\", "\n", "\r", "\t", "\0", "\x7f", "é", "\u2028"])
def test_what_would_leave_its_place_in_a_table_or_a_zone_is_an_error(mark):
    with pytest.raises(ValueError) as error:
        of(f"v=DMARC1; p=none; rua=mailto:a{mark}@x.test")
    assert str(error.value).isprintable()


def test_a_long_record_is_told_in_short():
    with pytest.raises(ValueError) as error:
        of("x" * 5000)
    assert len(str(error.value)) < 200


# options


def test_all_options_make_one_record_in_the_order_of_the_standard():
    assert record_of_options(ALL, "example.com") == (
        "v=DMARC1; p=quarantine; sp=reject; adkim=s; aspf=r; pct=50;"
        " rua=mailto:dmarc@example.com,mailto:reports@agency.test!10m; ruf=mailto:postmaster@example.com"
    )


def test_every_option_of_the_module_has_its_tag():
    assert set(ALL) == DMARC.keys() - {"state", "template"}


@pytest.mark.parametrize("option", ["subdomain_policy", "adkim", "aspf", "pct", "rua", "ruf"])
def test_an_option_that_is_not_given_has_no_tag(option):
    assert record_of_options({"policy": "none", option: None}, "example.com") == "v=DMARC1; p=none"


def test_an_empty_list_of_reports_is_no_tag():
    assert record_of_options({"policy": "none", "rua": []}, "example.com") == "v=DMARC1; p=none"


def test_no_percentage_is_zero_and_not_left_out():
    assert record_of_options({"policy": "none", "pct": 0}, "example.com") == "v=DMARC1; p=none; pct=0"


@pytest.mark.parametrize("options", [{"rua": ["a@x.test"]}, {"pct": 50}, {"subdomain_policy": "reject"}])
def test_options_without_a_policy_are_an_error(options):
    with pytest.raises(ValueError, match="needs a policy"):
        record_of_options(options, "example.com")


@pytest.mark.parametrize(
    "address",
    [
        *("a@x.test; sp=none", "a@x.test;p=none", "mailto:a@x.test; p=none", "a@x.test,mailto:b@y.test", "mailto:a@x.test,b@y.test"),
        *('a@x.test"', "a@x.test\\", "a@x.test\nv=DMARC1", "{domain", "a b@x.test", "", "https://x.test/report", "a@x.test!"),
    ],
)
def test_one_address_cannot_be_anything_else(address):
    with pytest.raises(ValueError):
        record_of_options({"policy": "none", "rua": [address]}, "example.com")


# as an option of a domain


def declared(entry, default=DEFAULT_TEMPLATE, prefix="domains[3].dmarc."):
    errors = []
    return declared_dmarc(entry, "example.com", default, prefix, errors), [(error.where, error.message) for error in errors]


def test_an_empty_dictionary_is_the_default_of_the_host():
    assert declared({}, "v=DMARC1; p=none; rua=mailto:{owner_email}") == ("v=DMARC1; p=none; rua=mailto:postmaster@example.com", [])


def test_an_entry_has_the_template_or_the_options_that_it_gives():
    assert declared({"template": "v=DMARC1; p=reject"}) == ("v=DMARC1; p=reject", [])
    assert declared({"policy": "reject"}) == ("v=DMARC1; p=reject", [])


def test_absent_is_no_record_whatever_else_is_said():
    assert declared({"state": "absent", "policy": "reject", "template": "nonsense"}) == ("", [])


@pytest.mark.parametrize(
    ("entry", "default", "where"),
    [
        ({"template": "v=DMARC1"}, DEFAULT_TEMPLATE, "domains[3].dmarc.template"),
        ({"template": "v=DMARC1; p=none", "pct": 5}, DEFAULT_TEMPLATE, "domains[3].dmarc.template"),
        ({"policy": "none", "rua": ["nobody"]}, DEFAULT_TEMPLATE, "domains[3].dmarc"),
        ({}, "v=DMARC1", "dmarc_template"),
    ],
)
def test_an_error_names_the_option_that_is_wrong(entry, default, where):
    record, errors = declared(entry, default)
    assert record is None
    assert [place for place, _message in errors] == [where]


@pytest.mark.parametrize("record", ["v=DMARC1; p=none", record_of_options(ALL, "example.com"), "v=DMARC1;p=none"])
def test_a_record_stands_in_the_domains_table_as_it_is(record):
    line = f"example.com: {_exim.domain_value(Domain('example.com', dmarc=record), None)}\n"
    found = _exim.read_domains(parse_table("domains", "/d", line.encode(), "", ": "), "/d")
    assert found["example.com"].dmarc == record
