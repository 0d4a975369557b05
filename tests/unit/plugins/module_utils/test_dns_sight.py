# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the world sees the keys that are to sign next."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _dns_client
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_sight import dkim_sights
from ansible_collections.fleetpost.mail.plugins.module_utils._model import PublicKey, Sight
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_dns import SOA, NameServer, zone

RSA = PublicKey("rsa", 2048, "email", "QUJD")
ED25519 = PublicKey("ed25519", 256, "email", "REVG")
NAME = "s2._domainkey.example.com"
WANTED = {"example.com": [(NAME, RSA)]}
SHOWN = 's2._domainkey 120 IN TXT "k=rsa; " "p=QUJD"\n'


@pytest.fixture
def look():
    """What is seen of a zone whose resolver and server are on this machine."""

    def see(text, wanted=None, soa=SOA, seconds=5.0):
        found = zone("example.com", text, soa)
        with NameServer(found, recursive=True) as resolver, NameServer(found) as server:
            return dkim_sights(wanted or WANTED, [resolver.address], seconds, port=server.port)

    return see


def test_a_key_that_all_servers_show_is_seen_and_resolvers_may_hold_older_answers_for_its_time_to_live(look):
    assert look(SHOWN) == {"example.com": Sight(True, 120, "")}


def test_resolvers_may_hold_a_no_for_as_long_as_the_zone_says(look):
    assert look(SHOWN.replace("120", "5"))["example.com"].wait == 30


def test_a_key_that_is_not_there_yet_is_told_with_the_server(look):
    sight = look("")["example.com"]
    assert (sight.seen, sight.why) == (False, f"ns.example.com (127.0.0.1) does not show {NAME} yet")


@pytest.mark.parametrize("text", ["v=DKIM1; k=rsa; p=QUJE", "v=DKIM1; k=ed25519; p=QUJD", "v=DKIM1; p=", "something else"])
def test_another_key_is_not_the_one(look, text):
    sight = look(f's2._domainkey 120 IN TXT "{text}"\n')["example.com"]
    assert (sight.seen, sight.why) == (False, f"ns.example.com (127.0.0.1) shows another key at {NAME}")


def test_both_keys_must_be_seen(look):
    wanted = {"example.com": [(NAME, RSA), ("s2-ed25519._domainkey.example.com", ED25519)]}
    assert "does not show s2-ed25519._domainkey" in look(SHOWN, wanted)["example.com"].why
    assert look(SHOWN + 's2-ed25519._domainkey 60 IN TXT "k=ed25519; p=REVG"\n', wanted)["example.com"].seen


def test_a_server_that_cannot_be_asked_keeps_the_key_from_being_seen(look):
    soa = SOA.replace("@ 300 IN NS ns\n", "@ 300 IN NS ns\n@ 300 IN NS ns2\nns2 300 IN A 127.0.0.2\n")
    sight = look(SHOWN, soa=soa, seconds=3.0)["example.com"]
    assert (sight.seen, sight.why.startswith("ns2.example.com (127.0.0.2) ")) == (False, True)


def test_a_zone_that_cannot_be_found_is_told(look):
    sight = look("", {"gone.test": [("s2._domainkey.gone.test", RSA)]})["gone.test"]
    assert (sight.seen, "the zone of s2._domainkey.gone.test was not found" in sight.why) == (False, True)


def test_without_resolvers_those_of_the_host_find_the_servers(monkeypatch):
    found = zone("example.com", SHOWN)
    with NameServer(found, recursive=True) as resolver, NameServer(found) as server:
        monkeypatch.setattr(_dns_client, "nameserver_lines", lambda: [resolver.address])
        assert dkim_sights(WANTED, (), 5.0, port=server.port)["example.com"].seen


def test_nothing_wanted_asks_nothing():
    assert dkim_sights({}, ["192.0.2.1"], 1.0) == {}
