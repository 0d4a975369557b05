# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of mail_domain_dns."""

from __future__ import annotations

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_options import options_of
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import DNS

PROVIDER = {"type": "rfc2136", "server": "192.0.2.53"}


def parameters(**given):
    result = ArgumentSpecValidator(DNS).validate(given)
    assert result.error_messages == []
    return result.validated_parameters


def options(**given):
    return options_of(parameters(**given))


def errors(**given):
    with pytest.raises(MailErrors) as caught:
        options(**given)
    return {error.where: error.message for error in caught.value.errors}


def test_nothing_said_is_all_domains_by_hand():
    found = options()
    assert (found.names, found.state, found.provider, found.terms.ttl) == (None, "present", None, None)
    assert found.wishes.kinds == ("mx", "spf", "dkim", "dmarc")
    assert found.wishes.tls_rpt_rua == ("mailto:postmaster@{domain}",)


def test_names_are_taken_in_their_stored_form():
    assert options(domain="Ex\u00e4mple.com,B.test").names == ("xn--exmple-cua.com", "b.test")
    assert options(mx=["010  MX.Example.com."]).wishes.mx == ("10 mx.example.com.",)
    assert options(mail_host_addresses=["2001:DB8::0:1"]).mail_host_addresses == ("2001:db8::1",)


def test_a_provider_is_an_address_or_a_name_with_a_port():
    assert str(options(provider={**PROVIDER, "port": 5353}).provider.server) == "192.0.2.53@5353"
    assert options(provider={**PROVIDER, "server": "NS1.example.com."}).provider.server.address == "ns1.example.com"


def test_a_key_needs_both_name_and_secret():
    result = ArgumentSpecValidator(DNS).validate({"provider": {**PROVIDER, "tsig_name": "mail"}})
    assert "tsig_secret" in result.error_messages[0]


def test_a_zone_may_have_underscores_and_one_label():
    assert options(provider={**PROVIDER, "zone": "_domainkey.Example.com."}).provider.zone == "_domainkey.example.com"
    assert options(provider={**PROVIDER, "zone": "test"}).provider.zone == "test"


@pytest.mark.parametrize(
    ("given", "where", "text"),
    [
        ({"domains": ["a.test", "b"]}, "domains[1]", "'b' is not a domain name: it has no dot"),
        ({"mx": ["mx.example.com"]}, "mx[0]", "no MX record"),
        ({"mx": ["70000 mx.example.com"]}, "mx[0]", "no MX record"),
        ({"ttl": -1}, "ttl", "no time to live"),
        ({"timeout": 0}, "timeout", "more than 0 seconds"),
        ({"resolvers": ["ns1.example.com"]}, "resolvers[0]", "not the IP address of a name server"),
        ({"records": ["mta_sts"]}, "mta_sts_id", "needs an id"),
        ({"mta_sts_id": "2026-11"}, "mta_sts_id", "no id of a policy"),
        ({"tls_rpt_rua": ["a@example.com"]}, "tls_rpt_rua[0]", "no place for reports"),
        ({"mail_host": "mx 1"}, "mail_host", "not a domain name"),
        ({"mail_host_addresses": ["x"]}, "mail_host_addresses[0]", "not an IPv4 or IPv6 address"),
        ({"provider": {**PROVIDER, "server": "ns 1"}}, "provider.server", "not a domain name"),
        ({"provider": {**PROVIDER, "server": ""}}, "provider.server", "not a domain name"),
        ({"provider": {**PROVIDER, "server": "192.0.2.53@5353"}}, "provider.server", "the port has an option of its own"),
        ({"provider": {**PROVIDER, "port": 70000}}, "provider.port", "70000 is no port"),
        ({"provider": {**PROVIDER, "tsig_name": "mail", "tsig_secret": ""}}, "provider.tsig_secret", "this one is empty"),
        ({"domains": [""]}, "domains[0]", "not a domain name"),
        ({"provider": {**PROVIDER, "zone": "a..b"}}, "provider.zone", "not a domain name"),
        ({"provider": {**PROVIDER, "tsig_name": "k", "tsig_secret": "?"}}, "provider.tsig_secret", "not the base64"),
        ({"provider": {**PROVIDER, "tsig_name": "a..b", "tsig_secret": "QUJD"}}, "provider.tsig_name", "no name of a TSIG key"),
        ({"state": "absent", "domain": "a.test", "provider": PROVIDER}, "state", "only when withdraw_dns says so"),
        ({"state": "absent", "withdraw_dns": True, "provider": PROVIDER}, "domains", "only for domains that are named"),
        ({"withdraw_dns": True}, "withdraw_dns", "only through a provider"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(given, where, text):
    assert text in errors(**given)[where]


def test_errors_come_together():
    assert set(errors(domains=["x"], ttl=-1, mx=["y"], provider={**PROVIDER, "zone": ".."})) == {
        "domains[0]",
        "ttl",
        "mx[0]",
        "provider.zone",
    }
