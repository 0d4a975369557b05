# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which keys a domain signs with: new ones, those that are there, lost ones, and those that are other than asked."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_domain
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import merge
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Dkim, DkimKey, FoundKey, PublicKey
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import shown_signing
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem, public
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.signing_world import (
    ED25519,
    FACTS,
    LOST,
    NAME,
    RECORD,
    RSA,
    World,
    active,
    both,
    found,
    signing,
    signing_twice,
)

SECOND = f"{NAME}.dkim-ed25519"


def unsigned():
    return World({NAME: None})


def errors_of(world, name=NAME, **options):
    with pytest.raises(MailErrors) as caught:
        world.merged(name, **options)
    return [(error.where, str(error)) for error in caught.value.errors]


# a domain that does not sign yet


def test_a_new_key_is_rsa_of_2048_bits_under_the_selector_dkim():
    world = unsigned()
    assert world.merged().to_make[NAME].key == PublicKey("rsa", 2048, "email")
    world.run()
    assert world.dkim() == active()


def test_a_key_that_is_not_made_yet_is_wanted_and_not_known():
    desired = unsigned().merged()
    assert desired.host.keys == {NAME: PublicKey("rsa", 2048, "email", "")}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"key_length": 1024}, PublicKey("rsa", 1024, "email")),
        ({"key_type": "rsa", "key_length": 4096}, PublicKey("rsa", 4096, "email")),
        ({"key_type": "ed25519"}, PublicKey("ed25519", 256, "email")),
        ({"key_type": "ed25519", "key_length": 1024}, PublicKey("ed25519", 256, "email")),
        ({"service_type": "*"}, PublicKey("rsa", 2048, "*")),
    ],
)
def test_a_new_key_is_as_asked(options, expected):
    assert unsigned().merged(**options).to_make[NAME].key == expected


def test_two_keys_are_an_rsa_key_and_an_ed25519_key_beside_it():
    world = unsigned()
    wanted = world.merged(selector="s1", key_type="both").to_make
    assert {file: one.key.key_type for file, one in wanted.items()} == {NAME: "rsa", f"{NAME}.s1-ed25519": "ed25519"}
    world.run(selector="s1", key_type="both")
    assert world.dkim() == both("s1")


def test_a_key_of_4096_bits_comes_with_a_warning():
    (warning,) = unsigned().merged(key_length=4096).warnings
    assert warning.startswith("key_length: ")
    assert not unsigned().merged(key_length=2048).warnings


def test_the_users_own_key_is_taken_as_it_is():
    wanted = unsigned().merged(private_key=pem("rsa1024"), service_type="*").to_make[NAME]
    assert wanted.key == public("rsa1024", service_type="*")
    assert wanted.private_key == pem("rsa1024")


def test_no_key_is_made_where_none_may_be_made():
    ((where, message),) = errors_of(unsigned(), regenerate="fail")
    assert where == "regenerate"
    assert "example.com has no key for selector dkim" in message
    assert unsigned().merged(regenerate="fail", private_key=pem("ed25519")).to_make


def test_a_key_that_stands_there_is_taken_over():
    world = World({NAME: None}, {NAME: found(RSA._replace(service_type="*", key_length=1024))})
    assert world.merged(key_length=1024).to_make == {}
    world.run(key_length=1024)
    assert world.dkim() == active()
    assert world.keys[NAME].key.service_type == "*"


@pytest.mark.parametrize("key", [RSA._replace(key_length=1024), RSA._replace(key_length=3072), ED25519])
def test_a_key_of_any_kind_that_stands_there_is_taken_over_when_nothing_is_said(key):
    assert World({NAME: None}, {NAME: found(key)}).merged().host.keys == {NAME: key}


@pytest.mark.parametrize("options", [{"key_length": 1024}, {"key_type": "ed25519"}, {"private_key": pem("rsa2048")}])
def test_a_key_that_stands_there_and_is_other_than_asked_is_not_replaced(options):
    world = World({NAME: None}, {NAME: found(RSA)})
    ((where, message),) = errors_of(world, **options)
    assert where == next(iter(options))
    assert "regenerate: always" in message
    assert NAME in world.merged(**options, regenerate="always").to_make


@pytest.mark.parametrize("there", [LOST, FoundKey(None, "is not there", text_ownership=RECORD)])
def test_remains_of_a_key_are_not_replaced_either(there):
    ((where, message),) = errors_of(World({NAME: None}, {NAME: there}))
    assert (where, "ssl/example.com.private" in message) == ("selector", True)
    assert "waits" not in message


def test_a_selector_of_a_domain_that_signs_no_more_takes_the_first_file():
    world = signing()
    world.run(state="absent")
    assert (world.dkim(), world.keys) == (None, {})
    world.run(selector="s2")
    assert world.dkim() == active("s2")


def test_a_domain_that_does_not_sign_may_be_told_so():
    assert unsigned().merged(state="absent").host == unsigned().host


def test_absent_asks_for_no_key_even_when_it_is_lost():
    world = World({NAME: active()}, {NAME: LOST})
    world.run(state="absent")
    assert world.dkim() is None


# a domain that signs


@pytest.mark.parametrize(
    "options",
    [
        *({}, {"selector": "dkim"}, {"key_type": "rsa", "key_length": 2048}, {"service_type": "email"}),
        *({"regenerate": "always"}, {"regenerate": "fail"}, {"rotate": {"to": "dkim"}}),
    ],
)
def test_what_is_as_asked_stays(options):
    world = signing()
    before = world.host
    desired = world.merged(**options)
    assert (desired.host.domains, desired.to_make, desired.waiting) == (before.domains, {}, ())
    assert desired.host.keys == {NAME: RSA}


def test_another_service_type_changes_the_record_and_not_the_key():
    desired = signing().merged(service_type="*")
    assert (desired.host.keys, desired.to_make) == ({NAME: RSA._replace(service_type="*")}, {})


def test_the_service_type_stays_when_it_is_not_mentioned():
    assert signing(RSA._replace(service_type="*")).merged().host.keys[NAME].service_type == "*"


@pytest.mark.parametrize(
    ("options", "has"),
    [
        ({"key_length": 1024}, "an RSA key of 2048 bits"),
        ({"key_type": "ed25519"}, "an RSA key of 2048 bits"),
        ({"key_type": "both"}, "one key"),
        ({"private_key": pem("ed25519")}, "an RSA key of 2048 bits"),
        ({"private_key": pem("rsa2048")}, "another private key"),
    ],
)
def test_another_key_under_the_same_selector_fails_with_the_way_out(options, has):
    ((where, message),) = errors_of(signing(), **options)
    assert where == next(iter(options))
    assert f"selector dkim of example.com has {has}" in message
    assert "rotate: {to: NEW}" in message
    assert errors_of(signing(), **options, regenerate="fail") == [(where, message)]


def test_an_ed25519_key_is_not_replaced_either():
    assert "selector dkim of example.com has an Ed25519 key" in errors_of(signing(ED25519), key_type="rsa")[0][1]


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"key_length": 1024}, ("rsa", 1024)),
        ({"key_type": "ed25519"}, ("ed25519", 256)),
        ({"private_key": pem("ed25519")}, ("ed25519", 256)),
    ],
)
def test_another_key_replaces_it_at_once_when_that_is_said(options, kind):
    world = signing()
    world.run(**options, regenerate="always")
    assert (world.dkim(), world.keys[NAME].key[:2]) == (active(), kind)
    assert world.merged(**options, regenerate="always").to_make == {}


def test_a_second_key_is_added_at_once_when_that_is_said():
    world = signing()
    world.run(key_type="both", regenerate="always")
    assert world.dkim() == both()
    assert (world.keys[NAME].key, world.keys[SECOND].key.key_type) == (RSA, "ed25519")
    assert world.merged(key_type="both", regenerate="always").to_make == {}


def test_the_second_key_goes_at_once_when_that_is_said():
    world = signing_twice()
    ((_where, message),) = errors_of(world, key_type="rsa")
    assert "has an RSA and an Ed25519 key" in message
    world.run(key_type="rsa", regenerate="always")
    assert (world.dkim(), world.keys) == (active(), {NAME: found(RSA)})


@pytest.mark.parametrize("options", [{}, {"key_type": "both"}, {"key_length": 2048}, {"selector": "dkim", "regenerate": "always"}])
def test_two_keys_stay_as_they_are(options):
    desired = signing_twice().merged(**options)
    assert (desired.host.domains[NAME].dkim, desired.to_make) == (both(), {})


def test_an_own_length_stays_when_it_is_not_mentioned():
    assert signing(RSA._replace(key_length=3072)).merged().to_make == {}


def test_another_selector_without_a_rotation_fails_with_the_way_out():
    ((where, message),) = errors_of(signing(), selector="s2")
    assert where == "selector"
    assert "signs with selector dkim; s2 is not published yet" in message
    assert "rotate: {to: s2}" in message


def test_another_selector_signs_at_once_when_that_is_said():
    world = signing()
    world.run(selector="s2", regenerate="always")
    assert world.dkim() == active("s2", f"{NAME}.s2")
    assert list(world.keys) == [f"{NAME}.s2"]
    assert world.keys[f"{NAME}.s2"].key[:2] == ("rsa", 2048)


# lost keys


@pytest.mark.parametrize("there", [LOST, FoundKey(None, "is not there"), FoundKey(None, "is not there", text_ownership=RECORD)])
def test_a_lost_key_is_never_replaced_in_silence(there):
    for regenerate in ("never", "fail"):
        ((where, message),) = errors_of(World({NAME: active()}, {NAME: there}), regenerate=regenerate)
        assert where == "selector"
        assert f"ssl/{NAME}.private, {there.problem}" in message
        assert "Mail of the domain waits until it is back" in message


def test_a_lost_key_is_made_anew_when_that_is_said():
    world = World({NAME: active()}, {NAME: LOST})
    world.run(regenerate="always")
    assert (world.dkim(), world.keys[NAME].key.public_key) == (active(), "NEW1")


def test_a_lost_key_comes_back_with_the_private_key():
    world = World({NAME: active()}, {NAME: LOST})
    assert world.merged(private_key=pem("rsa1024")).to_make[NAME].key == public("rsa1024")
    world.run(private_key=pem("rsa1024"))
    assert world.merged(private_key=pem("rsa1024")).to_make == {}


def test_one_private_key_does_not_stand_for_two_keys():
    ((_where, message),) = errors_of(signing_twice(), private_key=pem("rsa1024"))
    assert "has an RSA and an Ed25519 key" in message
    world = signing_twice()
    world.run(private_key=pem("rsa1024"), regenerate="always")
    assert (world.dkim(), world.keys) == (active(), {NAME: found(public("rsa1024"))})


def test_one_lost_key_of_two_is_told_and_the_other_stays_when_it_is_made_anew():
    world = World({NAME: both()}, {NAME: found(RSA), SECOND: LOST})
    ((_where, message),) = errors_of(world)
    assert f"ssl/{SECOND}.private" in message
    world.run(regenerate="always")
    assert (world.keys[NAME].key, world.keys[SECOND].key.key_type) == (RSA, "ed25519")


def test_a_run_that_does_not_speak_of_a_lost_key_warns():
    world = World({NAME: active()})
    declaration = declaration_of_domain({"state": "present", "name": NAME})
    (warning,) = merge(world.host, declaration, FACTS._replace(keys={NAME: LOST}), {}).warnings
    assert warning == f"{NAME} cannot sign, so its mail waits: ssl/{NAME}.private {LOST.problem}"


@pytest.mark.parametrize(
    ("dkim", "words"),
    [
        (None, ""),
        (active(), "dkim"),
        (both("s1"), "s1 and s1-ed25519"),
        (Dkim((DkimKey("a", "a"),), "published", (DkimKey("b", "b"),)), "a (b published)"),
        (both("b")._replace(stage="retiring", other=both("a").keys, until="X"), "b and b-ed25519 (a and a-ed25519 retiring until X)"),
    ],
)
def test_the_keys_of_a_domain_in_words(dkim, words):
    assert shown_signing(dkim) == words


# files of several domains


def test_a_selector_that_names_another_domains_file_is_an_error_of_its_option():
    world = World({NAME: active(), "example.com.uk": active("dkim", "example.com.uk")}, {NAME: found(RSA), "example.com.uk": found(RSA)})
    ((where, message),) = errors_of(world, rotate={"to": "uk"})
    assert where == "rotate.to"
    assert "belong to the domain example.com.uk" in message
    ((where, _message),) = errors_of(world, selector="uk", regenerate="always")
    assert where == "selector"


def test_a_domain_whose_file_is_a_selector_of_another_takes_a_name_of_its_own():
    world = World({NAME: active("uk", "example.com.uk"), "example.com.uk": None}, {"example.com.uk": found(RSA)})
    world.run("example.com.uk")
    assert world.dkim("example.com.uk") == Dkim((DkimKey("dkim", "example.com.uk.dkim"),))
    assert world.keys["example.com.uk"].key == RSA
    assert world.dkim() == active("uk", "example.com.uk")


def test_a_second_key_never_takes_the_file_of_another_domain():
    other = f"{NAME}.dkim-ed25519"
    world = World({NAME: None, other: active("dkim", other)}, {other: found(RSA)})
    where, message = errors_of(world, key_type="both")[0]
    assert where == "selector"
    assert f"belong to the domain {other}" in message


def test_a_selector_must_leave_room_for_the_second_key():
    assert unsigned().merged(selector="a" * 55, key_type="both").to_make
    ((where, message),) = errors_of(unsigned(), selector="a" * 56, key_type="both")
    assert (where, "longer than 63" in message) == ("selector", True)
    assert unsigned().merged(selector="a" * 63, key_type="rsa").to_make


def test_a_domain_that_is_not_there_is_not_made():
    ((where, message),) = errors_of(World({}), "example.net")
    assert where == "domain"
    assert "example.net is not a mail domain of this host" in message


@pytest.mark.parametrize("kind", [RSA, ED25519])
def test_merging_twice_is_merging_once(kind):
    world = signing(kind)
    world.run()
    desired = world.run()
    assert desired.host.domains == world.host.domains


# keys that an earlier life of the domain has left


def test_a_domain_that_comes_back_after_a_rotation_signs_with_the_key_that_is_published():
    left = {NAME: found(RSA)._replace(selector="dkim"), f"{NAME}.s2": found(ED25519)._replace(selector="s2")}
    desired = World({NAME: None}, left).merged(selector="s2")
    assert desired.host.domains[NAME].dkim == Dkim((DkimKey("s2", f"{NAME}.s2"),))
    assert (desired.host.keys, desired.to_make) == ({f"{NAME}.s2": ED25519}, {})


def test_a_record_that_was_left_without_its_key_is_in_nobodys_way():
    left = {NAME: FoundKey(None, "is not there", text_ownership=RECORD, selector="dkim")}
    assert World({NAME: None}, left).merged(selector="s3").host.domains[NAME].dkim == Dkim((DkimKey("s3", f"{NAME}.s3"),))


def test_a_key_that_stands_there_never_signs_under_another_selector():
    world = World({NAME: None}, {NAME: found(RSA)._replace(selector="mail")})
    ((where, message),) = errors_of(world)
    assert where == "selector"
    assert "selector: mail" in message
    assert world.merged(selector="mail").to_make == {}
