# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""mail_domain_dns and the DNS part of mail_domain_info, from a host's files to name servers and back."""

from __future__ import annotations

import json
import os
import sys
from functools import partial

import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.fleetpost.mail.plugins.module_utils import _dns_client, _dns_host, _dns_verify
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_check import check_dns
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_client import ask_authoritative
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_run import run_dns
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._inventory import Question, take_inventory
from ansible_collections.fleetpost.mail.plugins.module_utils._libraries import library
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import COMMON, DNS
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_dns import KEY, SECRET, NameServer, zone

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root")

DKIM = "example.com: owner=alice enabled=yes disabled=reject action=reject dkim=dkim dkim_key=example.com.private"
KEYS = {"example.com": "QUJD", "example.com.s2": "REVG", "example.com.s1": "R0hJ"}


@pytest.fixture
def peopled(host):
    host.domains({"name": "example.com", "owner": "alice"}, {"name": "example.org"})
    for file, key in KEYS.items():
        host.write(f"{host.layout.ssl_dir}/{file}.txt", f'x IN TXT ( "v=DKIM1; h=sha256; k=rsa; s=email; " "p={key}" )\n')
    signed(host, "")
    return host


def signed(host, more):
    """Writes the line of example.com; `more` has further fields."""
    line = f'{DKIM} {more} dmarc="v=DMARC1; p=none"' if more else f'{DKIM} dmarc="v=DMARC1; p=none"'
    lines = [line if old.startswith("example.com:") else old for old in host.text(host.layout.domains).splitlines()]
    host.write(host.layout.domains, "\n".join(lines) + "\n")


@pytest.fixture
def servers(monkeypatch):
    """A primary server that all the world asks, at whatever port it has."""
    with NameServer(zone("example.com"), zone("example.org"), zone("fleet.test"), key=KEY) as primary:
        monkeypatch.setattr(_dns_verify, "ask_authoritative", partial(ask_authoritative, port=primary.port))
        monkeypatch.setattr(_dns_client, "nameserver_lines", lambda: [primary.address])
        yield primary


def run(host, check_mode=False, **given):
    place = {"root": str(host.root), "layout": "debian"}
    result = ArgumentSpecValidator({**COMMON, **DNS}).validate({**place, **given})
    assert result.error_messages == []
    return run_dns(result.validated_parameters, check_mode)


def provider(servers, **more):
    return {"type": "rfc2136", "server": "127.0.0.1", "port": servers.port, "tsig_name": "mail", "tsig_secret": SECRET, **more}


def failure(*arguments, **options):
    with pytest.raises(MailError) as caught:
        run(*arguments, **options)
    return str(caught.value)


def names(outcome):
    return [record["record"] for record in outcome.result["dns_records"]]


def statuses(outcome):
    return {(entry["domain"], entry["kind"]): entry["status"] for entry in outcome.result["verification"]}


def test_without_a_provider_the_records_are_told_and_nothing_is_changed(peopled):
    before = peopled.identities()
    outcome = run(peopled)
    assert names(outcome) == [
        "example.com",
        "example.com",
        "dkim._domainkey.example.com",
        "_dmarc.example.com",
        "example.org",
        "example.org",
    ]
    assert outcome.result["dns_records"][2]["value"] == ["v=DKIM1; h=sha256; k=rsa; s=email; p=QUJD"]
    assert outcome.result["zone_file"].startswith("example.com.\t3600\tIN\tMX\t10 mx1.fleet.test.\n")
    assert (outcome.result["changed"], outcome.result["changes"], outcome.result["diff"]) == (False, [], [])
    assert peopled.identities() == before


def test_only_the_domains_that_are_named(peopled):
    assert set(names(run(peopled, domain="example.org"))) == {"example.org"}
    assert "domains[1]: gone.test is no mail domain of this host" in failure(peopled, domains=["example.org", "gone.test"])


def test_in_check_mode_a_domain_that_an_earlier_task_would_make_is_a_warning(peopled):
    outcome = run(peopled, True, domains=["example.org", "new.test"])
    assert set(names(outcome)) == {"example.org"}
    assert outcome.warnings == ("domains[1]: new.test is no mail domain of this host",)


def test_a_host_without_domains_needs_no_records(host):
    assert run(host, records=["mx", "a"], mail_host_addresses=["192.0.2.1"]).result["dns_records"] == []
    host.path(host.layout.exim_conf).unlink()
    assert run(host, state="verified").result["verification"] == []
    assert info(host) == []


def test_a_rotation_has_both_keys_in_the_dns(peopled):
    signed(peopled, "dkim_stage=published dkim_other=s2 dkim_other_key=example.com.s2.private")
    assert "s2._domainkey.example.com" in names(run(peopled))


def test_a_record_that_is_not_there_is_an_error(peopled):
    peopled.path(f"{peopled.layout.ssl_dir}/example.com.txt").unlink()
    assert "the DKIM record of selector dkim is not in /etc/exim4/ssl/example.com.txt" in failure(peopled)
    assert names(run(peopled, records=["mx"])) == ["example.com", "example.org"]


def test_the_mail_host_is_that_of_the_exim_configuration_or_the_one_that_is_named(peopled):
    assert run(peopled, mail_host="Mail.fleet.test").result["dns_records"][0]["value"] == ["10 mail.fleet.test."]
    peopled.write(peopled.layout.exim_conf, "MD_FORMAT = 1\n")
    assert "Run the role fleetpost.mail.exim first, or say the name in mail_host" in failure(peopled)


def test_the_addresses_of_the_host_are_those_of_the_role_or_those_that_are_named(peopled):
    assert "mail_host_addresses: the addresses of the mail host are not known" in failure(peopled, records=["a"])
    peopled.write(peopled.layout.exim_conf, "MD_FORMAT = 1\nMD_HOSTIPS     = 192.0.2.1 , 2001:db8::1\nprimary_hostname = mx1.fleet.test\n")
    found = run(peopled, records=["a", "aaaa"]).result["dns_records"]
    assert [(record["record"], record["value"]) for record in found] == [
        ("mx1.fleet.test", ["192.0.2.1"]),
        ("mx1.fleet.test", ["2001:db8::1"]),
    ]
    assert run(peopled, records=["a"], mail_host_addresses=["192.0.2.9"]).result["dns_records"][0]["value"] == ["192.0.2.9"]


def test_an_empty_list_of_addresses_in_the_configuration_does_not_take_the_next_line(peopled):
    peopled.write(peopled.layout.exim_conf, "MD_HOSTIPS     =\n192.0.2.1\nprimary_hostname = mx1.fleet.test\n")
    assert "are not known" in failure(peopled, records=["a"])


def test_on_the_running_host_its_own_addresses_are_taken(peopled, monkeypatch):
    addresses = ["127.0.0.1", "::1", "fe80::1", "2001:db8::1", "192.0.2.7", "10.0.0.1"]
    monkeypatch.setattr(_dns_host._servers, "host_addresses", lambda: frozenset(addresses))
    tree = _dns_host.Tree("/")
    found = _dns_host._own_addresses(tree, "MD_HOSTIPS =\n")
    assert found == ("10.0.0.1", "192.0.2.7", "2001:db8::1")


def test_a_host_without_a_certificate_has_no_tlsa_record(peopled):
    assert "/etc/exim4/ssl/mx1.fleet.test.pem: there is no certificate" in failure(peopled, records=["tlsa"])


def test_publishing_and_verifying(peopled, servers):
    assert set(statuses(run(peopled, state="verified")).values()) == {"missing"}
    told = run(peopled, check_mode=True, provider=provider(servers))
    done = run(peopled, provider=provider(servers))
    log = [json.loads(line) for line in peopled.text("/var/log/mail-domains.log").splitlines()]
    published = [entry for entry in log if entry["action"] == "publish record"]
    assert len(published) == len(done.result["changes"])
    assert published[0]["domain"] == "example.com"
    assert published[0]["changes"]["values"][0] == []
    assert SECRET not in str(log)
    assert told == done
    assert done.result["changed"]
    assert done.result["changes"][0] == {
        "zone": "example.com",
        "record": "example.com",
        "type": "MX",
        "added": ["10 mx1.fleet.test."],
        "removed": [],
        "ttl": 3600,
    }
    assert not run(peopled, provider=provider(servers)).result["changed"]
    verified = run(peopled, state="verified")
    assert (set(statuses(verified).values()), verified.result["all_ok"]) == ({"ok"}, True)


def test_resolvers_are_asked_in_place_of_authoritative_servers(peopled, servers):
    with NameServer(zone("example.com", "@ 5 IN MX 10 mx1.fleet.test.\n"), recursive=True) as resolver:
        outcome = run(peopled, domain="example.com", records=["mx"], state="verified", resolvers=[resolver.address])
    (entry,) = outcome.result["verification"]
    assert (entry["status"], entry["server"]) == ("ok", resolver.address)
    assert servers.asked == []


def test_a_difference_fails_only_when_that_is_asked_for(peopled, servers):
    outcome = run(peopled, state="verified")
    assert (outcome.failures, outcome.result["all_ok"]) == ((), False)
    failing = run(peopled, state="verified", fail_on_difference=True)
    assert str(failing.failures[0]) == "example.com: the mx record example.com (MX) is missing by ns.example.com (127.0.0.1)"


def test_a_provider_may_be_named(peopled, servers):
    options = provider(servers, server="ns.fleet.test")
    assert run(peopled, provider=options).result["changed"]
    assert "provider.server: the name server ns.gone.test was not found" in failure(peopled, provider={**options, "server": "ns.gone.test"})


def test_no_secret_is_in_what_comes_back(peopled, servers):
    assert SECRET not in repr(run(peopled, provider=provider(servers)))


def withdraw(host, servers, **given):
    return run(host, withdraw_dns=True, provider=provider(servers), **given)


def test_records_of_a_domain_are_withdrawn_while_its_mail_comes_here(peopled, servers):
    run(peopled, provider=provider(servers))
    told = withdraw(peopled, servers, check_mode=True, state="absent", domain="example.com")
    done = withdraw(peopled, servers, state="absent", domain="example.com")
    assert told == done
    assert done.result["changes"][0]["removed"] == ["10 mx1.fleet.test."]
    assert servers.values("_dmarc.example.com.", "TXT") == servers.values("example.com.", "MX") == []
    assert servers.values("example.org.", "MX") == ["10 mx1.fleet.test."]
    assert not withdraw(peopled, servers, state="absent", domain="example.com").result["changed"]


def test_records_stay_when_the_mail_goes_elsewhere(peopled, servers):
    run(peopled, provider=provider(servers))
    run(peopled, provider=provider(servers), domain="example.com", mx=["10 new.test"], replace=["mx"])
    outcome = withdraw(peopled, servers, state="absent", domain="example.com")
    assert not outcome.result["changed"]
    assert outcome.warnings == ("example.com: its MX leads to 10 new.test. by ns.example.com (127.0.0.1), so its records stay",)


def test_records_of_keys_whose_rotation_is_over_are_withdrawn_when_that_is_said(peopled, servers):
    signed(peopled, "dkim_stage=retiring dkim_other=s1 dkim_other_key=example.com.s1.private")
    run(peopled, provider=provider(servers))
    signed(peopled, "dkim_stage=retired dkim_other=s1 dkim_other_key=example.com.s1.private")
    assert not run(peopled, provider=provider(servers)).result["changed"]
    (change,) = withdraw(peopled, servers).result["changes"]
    assert (change["record"], change["added"]) == ("s1._domainkey.example.com", [])
    assert servers.values("s1._domainkey.example.com.", "TXT") == []
    assert servers.values("dkim._domainkey.example.com.", "TXT") != []


def test_whether_the_mail_comes_here_must_be_known(peopled, servers, monkeypatch):
    run(peopled, provider=provider(servers))
    monkeypatch.setattr(_dns_client, "nameserver_lines", lambda: ["127.0.0.1@1"])
    with pytest.raises(MailError, match="whether its mail still comes here is not known"):
        withdraw(peopled, servers, state="absent", domain="example.com")


def info(host, **options):
    options = {"resolvers": None, "dns_timeout": 5.0, **options}
    return take_inventory(host.request(), Question(with_use=False), partial(check_dns, options)).status


def test_an_inventory_tells_what_the_dns_says(peopled, servers):
    com, org = info(peopled)
    assert [entry["kind"] for entry in org["dns"]] == ["mx", "spf"]
    assert "the mx record example.org (MX) is missing by ns.example.org (127.0.0.1)" in org["problems"]
    assert not org["healthy"]
    assert {entry["domain"] for entry in com["dns"]} == {"example.com"}
    run(peopled, domain="example.org", provider=provider(servers))
    _com, org = info(peopled)
    assert (org["healthy"], org["problems"], {entry["status"] for entry in org["dns"]}) == (True, [], {"ok"})


def test_an_inventory_may_ask_resolvers(peopled):
    with pytest.raises(MailError, match=r"resolvers\[0\]"):
        info(peopled, resolvers=["x"])
    with NameServer(zone("example.org", "@ 5 IN MX 10 mx1.fleet.test.\n"), recursive=True) as resolver:
        _com, org = info(peopled, resolvers=[resolver.address])
    assert [entry["status"] for entry in org["dns"]] == ["ok", "missing"]


def test_in_check_mode_a_missing_library_is_a_warning_because_a_role_is_about_to_install_it(peopled, servers, monkeypatch):
    library.cache_clear()
    monkeypatch.setitem(sys.modules, "dns.tsig", None)
    outcome = run(peopled, True, provider=provider(servers))
    assert outcome.result["changed"] is False
    assert "python3-dnspython" in outcome.warnings[0]
    assert "python3-dnspython" in failure(peopled, provider=provider(servers))
