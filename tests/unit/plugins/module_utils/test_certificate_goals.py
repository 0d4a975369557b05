# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both servers shall have, decided from what stands there, what certbot keeps and what the user gave."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_goals import Goal, goal_of, usable_lineage
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    ACME_DIRECTORIES,
    Acme,
    Certificate,
    FoundCertificate,
    FoundFile,
    Lineage,
    Provided,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import marked, pair_of, subjects_of
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import (
    NAME,
    NOW,
    certificate,
    chain_pem,
    issued,
    key_pem,
    pem,
    root,
    self_signed,
)

SELF, BY_ACME, PROVIDED = Certificate(NAME), Certificate(NAME, provider="acme", acme=Acme()), Certificate(NAME, provider="provided")
SERVER = ACME_DIRECTORIES["letsencrypt"]
OWN, OTHER = marked(NAME, self_signed(days=(0, 3650))), marked(NAME, self_signed(days=(0, 3600), key=("ecdsa256", 2)))
MADE = marked(NAME, self_signed(key=("ecdsa256", 3), days=(0, 3650)))


def file(content):
    if content is None:
        return None
    try:
        return FoundFile(content, Ownership(0, 0, 0o600), pair_of(content))
    except ValueError as error:
        return FoundFile(content, Ownership(0, 0, 0o600), None, str(error))


def found(exim=None, dovecot=None, *lineages):
    return FoundCertificate(file(exim), file(dovecot), lineages)


def lineage(content, server=SERVER, is_ours=True, name=NAME):
    return Lineage(name, server, is_ours, content, pair_of(content) if content else None, "" if content else "broken")


def goal(wanted, there, **how):
    return goal_of(wanted, there, NOW, **how)


# whatever happens


PLACES = [None, b"nonsense", OWN, marked(NAME, issued()), marked(NAME, issued(days=(-90, -1))), issued("other.test")]


@pytest.mark.parametrize("wanted", [SELF, BY_ACME, PROVIDED], ids=["selfsigned", "acme", "provided"])
@pytest.mark.parametrize(
    ("exim", "dovecot"), list(itertools.product(PLACES, PLACES)), ids=[f"{one}-{other}" for one in range(6) for other in range(6)]
)
def test_a_certificate_always_has_a_pair_that_servers_can_load_or_one_is_made(wanted, exim, dovecot):
    there = found(exim, dovecot)
    first = goal(wanted, there)
    content = first.content or goal(wanted, there, made=MADE).content
    assert pair_of(content)
    again = goal(wanted, found(content, content))
    assert again.content == content


# self-signed


def test_what_is_as_asked_stays_whichever_server_has_it():
    assert goal(SELF, found(OWN, None)) == goal(SELF, found(None, OWN)) == goal(SELF, found(b"x", OWN)) == Goal(OWN)
    assert goal(SELF, found(OWN, OTHER)).content == OWN


@pytest.mark.parametrize(
    "wanted",
    [
        SELF._replace(names=("imap.example.com",)),
        SELF._replace(key_type="rsa", key_size=2048),
        SELF._replace(key_size=384),
        SELF._replace(name="smtp.example.com"),
    ],
)
def test_what_is_not_as_asked_is_made_anew(wanted):
    assert goal(wanted, found(OWN, OWN)) == Goal(None)


@pytest.mark.parametrize(
    "content",
    [None, b"nonsense", marked(NAME, issued()), marked(NAME, self_signed(days=(-90, 20)))],
    ids=["nothing", "nonsense", "issued", "due"],
)
def test_what_is_not_self_signed_or_is_due_is_made_anew(content):
    assert goal(SELF, found(content, content)) == Goal(None)


def test_what_was_made_in_this_run_is_taken():
    assert goal(SELF, found(OWN, OWN), made=MADE) == Goal(MADE)
    assert goal(SELF, found(OWN, OWN), force=True) == Goal(None)


# from an authority


def test_what_certbot_keeps_is_shown():
    assert goal(BY_ACME, found(None, None, lineage(issued()))) == Goal(marked(NAME, issued()))


@pytest.mark.parametrize(
    "there", [OWN, marked(NAME, issued(days=(-89, 1))), marked(NAME, issued(days=(-90, -1)))], ids=["self-signed", "due", "expired"]
)
def test_while_certbot_keeps_nothing_whatever_is_there_stays_and_one_is_ordered(there):
    assert goal(BY_ACME, found(there, there)) == Goal(there, orders=True)


def test_where_nothing_is_there_one_stands_in_and_one_is_ordered():
    assert goal(BY_ACME, found()) == Goal(None, orders=True)
    assert goal(BY_ACME, found(), made=MADE) == Goal(MADE, orders=True)


def test_what_is_due_is_shown_and_ordered():
    old = issued(days=(-70, 20))
    assert goal(BY_ACME, found(None, None, lineage(old))) == Goal(marked(NAME, old), orders=True)
    assert goal(BY_ACME._replace(renew_before_days=10), found(None, None, lineage(old))) == Goal(marked(NAME, old))


def test_force_orders_and_shows_what_there_is_meanwhile():
    assert goal(BY_ACME, found(None, None, lineage(issued())), force=True) == Goal(marked(NAME, issued()), orders=True)


@pytest.mark.parametrize(
    "wrong",
    [
        lineage(b""),
        lineage(issued(), server=ACME_DIRECTORIES["letsencrypt-staging"]),
        lineage(issued("imap.example.com")),
        lineage(issued(days=(-90, -1))),
        lineage(issued(days=(9, 90))),
        lineage(issued(key=("rsa1024", 0))),
        lineage((key_pem() + pem(certificate(), root("other"))).encode()),
    ],
    ids=["broken", "another authority", "not covering", "expired", "of the future", "weak", "wrong chain"],
)
def test_a_lineage_that_cannot_be_used_is_passed_over(wrong):
    right = lineage(issued(days=(-20, 70)), name=f"{NAME}-0001")
    assert usable_lineage(BY_ACME, found(None, None, wrong), NOW) is None
    assert usable_lineage(BY_ACME, found(None, None, wrong, right), NOW) == right


def test_what_expired_is_no_lineage_to_renew_even_while_it_is_shown():
    old = issued(days=(-90, -1))
    assert usable_lineage(BY_ACME, found(marked(NAME, old), marked(NAME, old), lineage(old)), NOW) is None


def test_the_first_of_several_is_the_newest_and_counts():
    one, two = lineage(issued(days=(-1, 89))), lineage(issued(days=(-20, 70)), name=f"{NAME}-0001")
    assert usable_lineage(BY_ACME, found(None, None, one, two), NOW) == one


def test_a_wildcard_of_certbots_covers_a_name():
    assert usable_lineage(BY_ACME, found(None, None, lineage(issued("*.example.com"))), NOW)


def test_for_other_providers_certbots_certificates_are_nothing():
    assert goal(SELF, found(OWN, OWN, lineage(issued()))) == Goal(OWN)
    assert goal(PROVIDED, found(OWN, OWN, lineage(issued()))).content == OWN


# provided


GIVEN = Provided(key_pem().encode(), (chain_pem() + pem(root())).encode())


def test_what_is_given_is_shown_without_its_root():
    assert goal(PROVIDED, found(OWN, OWN), provided=GIVEN) == Goal(marked(NAME, issued()))


def test_what_is_given_again_is_what_is_there_to_the_byte():
    by_hand = b"# by hand\n" + issued()
    assert goal(PROVIDED, found(by_hand, None), provided=GIVEN) == Goal(by_hand)
    assert goal(PROVIDED, found(None, by_hand), provided=GIVEN) == Goal(by_hand)


def test_where_nothing_is_given_what_is_there_stays():
    there = marked(NAME, issued())
    assert goal(PROVIDED, found(there, None)) == Goal(there)


def test_what_is_lost_is_told_and_one_stands_in():
    assert goal(PROVIDED, found()).content is None
    lost = goal(PROVIDED, found(b"x", b"y"), made=MADE)
    assert lost.content == MADE
    assert "was provided and is lost" in lost.notes[0]


def test_what_expired_in_its_place_stays_with_a_note_given_again_or_not():
    old = marked(NAME, issued(days=(-90, -1)))
    again = Provided(key_pem().encode(), chain_pem(days=(-90, -1)).encode())
    for given in (None, again):
        answer = goal(PROVIDED, found(old, old), provided=given)
        assert (answer.content, answer.faults) == (old, ())
        assert "has expired" in answer.notes[0]


FAULTY = {
    "expired": Provided(key_pem().encode(), chain_pem(days=(-90, -1)).encode()),
    "names": Provided(key_pem().encode(), chain_pem("imap.example.com").encode()),
    "key": Provided(key_pem("ecdsa256", 1).encode(), chain_pem().encode()),
    "no key": Provided(b"nonsense", chain_pem().encode()),
    "no certificate": Provided(key_pem().encode(), b"nonsense"),
    "order": Provided(key_pem().encode(), pem(certificate(), root(), certificate()).encode()),
    "problem": Provided(problem="there is no file /x on the host"),
    "incomplete": Provided(key_pem().encode(), pem(certificate()).encode()),
}


@pytest.mark.parametrize("case", FAULTY)
def test_what_cannot_be_used_is_a_fault_and_never_what_is_shown(case):
    trusted = subjects_of(pem(root("other")).encode())
    answer = goal(PROVIDED, found(OWN, OWN), provided=FAULTY[case], trusted=trusted)
    assert len(answer.faults) == 1
    assert answer.content == OWN
    assert goal(PROVIDED, found(), provided=FAULTY[case], trusted=trusted).content is None


@pytest.mark.parametrize(
    ("trusted", "is_complete"), [(root(), True), (root("other"), False), (None, True)], ids=["trusted", "not trusted", "not known"]
)
def test_a_chain_must_lead_to_a_root_that_the_host_trusts_where_that_is_known(trusted, is_complete):
    given = Provided(key_pem().encode(), chain_pem().encode())
    subjects = subjects_of(pem(trusted).encode()) if trusted else None
    faults = goal(PROVIDED, found(), provided=given, trusted=subjects).faults
    assert faults == (
        ()
        if is_complete
        else ("the chain is not complete: the certificate of CN=Test Root is missing, and is no root that this host trusts",)
    )


def test_names_that_are_not_in_what_stands_there_are_a_fault():
    there = marked(NAME, issued())
    more = PROVIDED._replace(names=("imap.example.com",))
    for given in (None, GIVEN):
        assert "imap.example.com" in goal(more, found(there, there), provided=given).faults[0]
