# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to name servers, over real sockets."""

from __future__ import annotations

import socket
import time

import dns.flags
import dns.message
import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _dns_client
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_client import Question, ask, ask_authoritative
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_packets import server_of
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_dns import SOA, NameServer, zone

MX = Question("example.com", "MX")
TXT = Question("example.com", "TXT")
RECORDS = """\
@ 300 IN MX 10 MX1.Example.com.
@ 120 IN MX 20 mx2
@ 60 IN TXT "v=spf1 " "-all"
@ 60 IN TXT "say \\"hi\\""
alias 50 IN CNAME target
target 70 IN TXT "aim"
six 30 IN AAAA 2001:DB8::0:7
srv 30 IN SRV 0 1 993 Mx1
"""


@pytest.fixture
def server():
    with NameServer(zone("example.com", RECORDS), recursive=True) as one:
        yield one


def ask_one(server, question=TXT, seconds=5.0):
    return ask([question], [server.address], seconds)[question]


def lost(times):
    """Loses the first replies to each question."""
    count = {}

    def send(question, reply):
        key = question.question[0].name
        count[key] = count.get(key, 0) + 1
        return [] if count[key] <= times else [reply]

    return send


def test_values_are_canonical(server):
    assert sorted(ask_one(server, MX).values) == ["10 mx1.example.com.", "20 mx2.example.com."]
    assert sorted(ask_one(server).values) == ['say "hi"', "v=spf1 -all"]
    assert ask_one(server, Question("six.example.com", "AAAA")).values == ("2001:db8::7",)
    assert ask_one(server, Question("srv.example.com", "SRV")).values == ("0 1 993 mx1.example.com.",)


def test_an_answer_tells_its_time_to_live_and_who_gave_it(server):
    answer = ask_one(server)
    assert (answer.status, answer.ttl, answer.negative_ttl, answer.server, answer.why) == ("found", 60, 0, server.address, "")


def test_a_name_that_is_not_there_is_none_for_as_long_as_the_zone_says(server):
    assert ask_one(server, Question("nobody.example.com", "TXT"))[:4] == ("none", (), 0, 30)


def test_a_type_that_is_not_there_is_none(server):
    assert ask_one(server, Question("six.example.com", "MX")).status == "none"


def test_a_cname_in_the_reply_is_followed(server):
    answer = ask_one(server, Question("alias.example.com", "TXT"))
    assert (answer.values, answer.ttl) == (("aim",), 70)


def test_names_may_be_written_with_a_final_dot_and_in_capitals(server):
    assert ask_one(server, Question("EXAMPLE.com.", "TXT")).status == "found"


def test_a_question_is_asked_once_however_often_it_comes(server):
    ask([TXT, MX, TXT], [server.address], 5.0)
    assert len(server.asked) == 2


def test_a_refusal_is_unreachable_with_its_reason(server):
    answer = ask_one(server, Question("elsewhere.test", "TXT"))
    assert (answer.status, answer.why) == ("unreachable", f"{server.address} answers REFUSED for elsewhere.test")


def test_a_lost_datagram_is_sent_again(server):
    server.datagrams = lost(2)
    assert ask_one(server).status == "found"


def test_a_truncated_reply_is_asked_again_by_tcp(server):
    def truncated(question, _reply):
        short = dns.message.make_response(question)
        short.flags |= dns.flags.TC
        return [short.to_wire()]

    server.datagrams = truncated
    assert ask_one(server).status == "found"
    assert [transport for _name, _type, transport in server.asked] == ["udp", "tcp"]


def test_a_forged_reply_is_not_believed(server):
    def forged(question, reply):
        wrong_id = bytes((reply[0] ^ 1,)) + reply[1:]
        other = dns.message.make_query("example.org.", "TXT")
        other.flags |= dns.flags.QR
        still_a_question = dns.message.make_query("example.com.", "TXT")
        other.id = still_a_question.id = question.id
        return [b"", b"short", wrong_id, other.to_wire(), still_a_question.to_wire(), reply]

    server.datagrams = forged
    assert ask_one(server).status == "found"


def test_a_reply_that_is_no_message_is_unreachable(server):
    server.datagrams = lambda _question, reply: [reply[:40]]
    assert "cannot be read" in ask_one(server).why


def test_a_silent_server_ends_with_the_time_limit(server):
    server.datagrams = lambda _question, _reply: []
    began = time.monotonic()
    answer = ask_one(server, seconds=0.5)
    assert time.monotonic() - began < 1.0
    assert answer.status == "unreachable"
    assert answer.why in (f"{server.address} does not answer", f"{server.address} did not answer within the time limit of 0.5 s")


def test_a_slow_server_is_waited_for_and_keeps_no_other_waiting(server):
    def slow(question, reply):
        time.sleep(0.05 if "slow" in question.question[0].name.to_text() else 0)
        return [reply]

    server.datagrams = slow
    answers = ask([Question("slow.example.com", "TXT"), TXT], [server.address], 5.0)
    assert [answer.status for answer in answers.values()] == ["none", "found"]


def test_many_questions_are_under_way_at_once(server):
    """2 % lost, as on a poor network; the loop would take 20 s if it waited for each."""
    count = [0]

    def lossy(_question, reply):
        count[0] += 1
        return [] if count[0] % 50 == 0 else [reply]

    server.datagrams = lossy
    questions = [Question(f"n{number}.example.com", "TXT") for number in range(1000)]
    began = time.monotonic()
    answers = ask(questions, [server.address], 20.0)
    assert {answer.status for answer in answers.values()} == {"none"}
    assert time.monotonic() - began < 10


def test_what_the_time_limit_cuts_off_says_so_and_the_rest_is_answered(server):
    def slow(_question, reply):
        time.sleep(0.01)
        return [reply]

    server.datagrams = slow
    questions = [Question(f"n{number}.example.com", "TXT") for number in range(300)]
    answers = ask(questions, [server.address], 0.5).values()
    cut_off = [answer for answer in answers if answer.status == "unreachable"]
    assert 0 < len(cut_off) < 300
    assert {answer.why for answer in cut_off} == {f"{server.address} did not answer within the time limit of 0.5 s"}


def closed_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def test_a_closed_port_is_told_at_once():
    port = closed_port()
    began = time.monotonic()
    answer = ask([TXT], [f"127.0.0.1@{port}"], 30.0)[TXT]
    assert answer.why == f"127.0.0.1@{port} refuses the connection: no name server listens there"
    assert time.monotonic() - began < 5


def test_the_next_resolver_answers_for_one_that_cannot(server):
    answer = ask([TXT], [f"127.0.0.1@{closed_port()}", server.address], 5.0)[TXT]
    assert (answer.status, answer.server) == ("found", server.address)


def test_the_next_resolver_answers_for_one_that_is_silent(server):
    with NameServer() as silent:
        silent.datagrams = lambda _question, _reply: []
        answer = ask([TXT], [silent.address, server.address], 3.0)[TXT]
    assert (answer.status, answer.server) == ("found", server.address)


def test_what_no_resolver_can_answer_says_why_of_each(server):
    port = closed_port()
    answer = ask([Question("elsewhere.test", "TXT")], [f"127.0.0.1@{port}", server.address], 5.0)
    (answer,) = answer.values()
    assert answer.status == "unreachable"
    assert "no name server listens there" in answer.why
    assert "answers REFUSED" in answer.why


@pytest.mark.parametrize(
    "text", ["", "ns.example.com", "192.0.2.1@", "192.0.2.1@0", "192.0.2.1@99999", "192.0.2.300", "::", "fe80::1%eth0"]
)
def test_a_resolver_is_an_ip_address(text):
    with pytest.raises(ValueError, match="not the IP address"):
        server_of(text)


def test_a_resolver_that_is_none_is_told_with_its_place():
    with pytest.raises(MailError, match=r"resolvers\[1\]: 'ns1' is not the IP address"):
        ask([TXT], ["192.0.2.1", "ns1"], 1.0)


def test_a_resolver_may_have_a_port():
    assert [str(server_of(text)) for text in ("192.0.2.1", "192.0.2.1@5353", "2001:db8::1@53")] == [
        "192.0.2.1",
        "192.0.2.1@5353",
        "2001:db8::1",
    ]


def test_the_resolvers_of_the_host_are_those_of_resolv_conf(monkeypatch):
    monkeypatch.setattr(_dns_client, "nameserver_lines", lambda: ["192.0.2.1", "fe80::1%eth0", "192.0.2.1"])
    assert _dns_client.system_resolvers() == ("192.0.2.1",)
    monkeypatch.setattr(_dns_client, "nameserver_lines", list)
    with pytest.raises(MailError, match="no resolver"):
        _dns_client.system_resolvers()


@pytest.fixture
def world():
    """A resolver that knows two zones, and the server of both, at the port that their addresses are asked at."""
    com = zone("example.com", RECORDS + "out 40 IN CNAME there.example.org.\nlame 5 IN NS ns\n")
    org = zone("example.org", '@ 60 IN TXT "org"\nthere 90 IN TXT "yonder"\n')
    with NameServer(com, org, recursive=True) as resolver, NameServer(com, org) as server:
        yield resolver, server


def ask_world(world, *questions, seconds=5.0):
    resolver, server = world
    return ask_authoritative(questions, [resolver.address], seconds, port=server.port)


def test_authoritative_servers_are_found_and_asked(world):
    (answer,) = ask_world(world, TXT)[TXT]
    assert (answer.status, answer.server) == ("found", "ns.example.com (127.0.0.1)")
    assert world[1].asked == [("example.com.", "TXT", "udp")]


def test_what_names_have_in_common_is_asked_once(world):
    ask_world(world, TXT, MX, Question("a.example.com", "TXT"), Question("b.example.com", "TXT"))
    kinds = [kind for _name, kind, _transport in world[0].asked]
    assert (kinds.count("SOA"), kinds.count("NS"), kinds.count("A")) == (3, 1, 1)


def test_a_name_that_is_not_there_is_none_by_its_zone(world):
    question = Question("a.b.c.example.com", "TXT")
    (answer,) = ask_world(world, question)[question]
    assert (answer.status, answer.negative_ttl) == ("none", 30)


def test_a_cname_into_another_zone_is_asked_of_its_servers(world):
    question = Question("out.example.com", "TXT")
    (answer,) = ask_world(world, question)[question]
    assert (answer.values, answer.ttl, answer.server) == (("yonder",), 90, "ns.example.org (127.0.0.1)")


def test_a_cname_to_itself_ends(world):
    org = zone("loop.test", "a 5 IN CNAME b.other.test.\n")
    other = zone("other.test", "b 5 IN CNAME a.loop.test.\n")
    question = Question("a.loop.test", "TXT")
    with NameServer(org, other, recursive=True) as resolver, NameServer(org) as one, NameServer(other):
        (answer,) = ask_authoritative([question], [resolver.address], 5.0, port=one.port)[question]
    assert answer.status == "unreachable"


def test_every_address_of_every_server_is_asked():
    soa = SOA.replace("@ 300 IN NS ns\n", "@ 300 IN NS ns\n@ 300 IN NS ns2\nns2 300 IN A 127.0.0.2\n")
    found = zone("example.com", RECORDS, soa)
    with NameServer(found, recursive=True) as resolver, NameServer(found) as server:
        answers = ask_authoritative([TXT], [resolver.address], 2.0, port=server.port)[TXT]
    assert [(answer.server, answer.status) for answer in answers] == [
        ("ns.example.com (127.0.0.1)", "found"),
        ("ns2.example.com (127.0.0.2)", "unreachable"),
    ]


def test_an_address_without_a_route_is_left_out_where_another_one_answers(monkeypatch):
    found = zone("example.com", RECORDS + "ns 300 IN AAAA 2001:db8:ffff::1\n")
    connect = socket.socket.connect

    def without_ipv6(self, address):
        if ":" in address[0]:
            raise OSError(101, "Network is unreachable")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", without_ipv6)
    with NameServer(found, recursive=True) as resolver, NameServer(found) as server:
        answers = ask_authoritative([TXT], [resolver.address], 5.0, port=server.port)[TXT]
    assert [answer.status for answer in answers] == ["found"]


def test_a_server_that_is_not_authoritative_is_not_believed(world):
    resolver, _server = world
    (answer,) = ask_authoritative([TXT], [resolver.address], 5.0, port=resolver.port)[TXT]
    assert (answer.status, "is not authoritative" in answer.why) == ("unreachable", True)


def test_a_zone_that_cannot_be_found_says_why(world):
    question = Question("elsewhere.test", "TXT")
    (answer,) = ask_world(world, question)[question]
    assert (answer.status, answer.server) == ("unreachable", "")
    assert answer.why.startswith("the zone of elsewhere.test was not found: 127.0.0.1")
