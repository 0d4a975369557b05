# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of a rotation, run after run, as time passes and the DNS changes; no clock and no network is asked."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Dkim, DkimKey, FoundKey, PublicKey, Sight
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import moment_text
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem, public
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.signing_world import (
    ED25519,
    LOST,
    NAME,
    NOW,
    RSA,
    SEEN,
    UNSEEN,
    World,
    active,
    found,
    signing,
    signing_twice,
)

TO = {"rotate": {"to": "s2", "retire_after": "7d"}}
OLD, NEW = DkimKey("dkim", NAME), DkimKey("s2", f"{NAME}.s2")
PUBLISHED = Dkim((OLD,), "published", (NEW,))
DAY = 86400


def started(key=RSA):
    """A domain whose next key is made and not published."""
    world = signing(key)
    world.run(**TO)
    return world


def switched():
    """A domain that signs with the next key since NOW + 300."""
    world = started()
    world.dns = SEEN
    world.run(**TO)
    world.now += SEEN.wait
    world.run(**TO)
    return world


def waiting(desired):
    (one,) = desired.waiting
    return one.stage, one.until, one.reason


def errors_of(world, **options):
    with pytest.raises(MailErrors) as caught:
        world.merged(**options)
    return [(error.where, str(error)) for error in caught.value.errors]


def assert_stays(world, **options):
    """A further run at the same moment changes nothing."""
    before = world.host, dict(world.keys)
    world.run(**options)
    assert (world.host, world.keys) == before


def test_a_rotation_goes_all_the_way_as_the_days_pass():
    world, stages = signing(), []
    for day in range(12):
        world.dns = SEEN if day >= 2 else UNSEEN
        world.run(**TO)
        stages.append((world.dkim().keys[0].selector, world.dkim().stage))
        assert_stays(world, **TO)
        world.now += DAY
    assert stages == [
        *[("dkim", "published")] * 3,
        *[("s2", "retiring")] * 7,
        *[("s2", "retired")] * 2,
    ]
    assert world.dkim() == Dkim((NEW,), "retired", (OLD,))
    assert set(world.keys) == {NEW.file, OLD.file}
    assert world.keys[OLD.file].key is None


# published


def test_it_begins_with_a_new_key_that_does_not_sign_yet():
    world = signing()
    desired = world.run(**TO)
    assert world.dkim() == PUBLISHED
    assert world.keys[NAME].key == RSA
    assert waiting(desired) == ("published", "", "publish the TXT of s2._domainkey.example.com")
    assert desired.looks == ()


@pytest.mark.parametrize(
    ("there", "options", "expected"),
    [
        (RSA, {}, PublicKey("rsa", 2048, "email")),
        (RSA._replace(key_length=1024), {}, PublicKey("rsa", 1024, "email")),
        (RSA, {"key_length": 1024}, PublicKey("rsa", 1024, "email")),
        (RSA, {"key_type": "ed25519"}, PublicKey("ed25519", 256, "email")),
        (ED25519, {}, PublicKey("ed25519", 256, "email")),
        (ED25519, {"key_type": "rsa"}, PublicKey("rsa", 2048, "email")),
        (RSA, {"private_key": pem("ed25519")}, public("ed25519")),
    ],
)
def test_the_new_key_is_like_the_old_one_unless_it_is_said(there, options, expected):
    assert signing(there).merged(**TO, **options).to_make[NEW.file].key == expected


@pytest.mark.parametrize(("world", "key_type"), [(signing, "both"), (signing_twice, None)])
def test_two_keys_are_made_for_the_new_selector(world, key_type):
    world = world()
    desired = world.run(**TO, **({"key_type": key_type} if key_type else {}))
    assert world.dkim().other == (NEW, DkimKey("s2-ed25519", f"{NAME}.s2-ed25519"))
    assert waiting(desired)[2] == "publish the TXT of s2._domainkey.example.com and s2-ed25519._domainkey.example.com"


def test_from_two_keys_to_one():
    world = signing_twice()
    world.run(**TO, key_type="ed25519")
    assert (len(world.dkim().keys), world.dkim().other) == (2, (NEW,))
    assert world.keys[NEW.file].key.key_type == "ed25519"
    assert_stays(world, **TO, key_type="ed25519")


def test_a_key_that_stands_there_for_the_new_selector_is_taken_and_looked_for_at_once():
    world = signing()
    world.keys[NEW.file] = found(RSA._replace(public_key="READY"))
    desired = world.run(**TO)
    assert (world.dkim(), desired.to_make, desired.looks) == (PUBLISHED, {}, (NAME,))


def test_nobody_may_make_the_new_key():
    assert errors_of(signing(), **TO, regenerate="fail")[0][0] == "regenerate"


def test_no_rotation_begins_from_a_lost_key():
    world = signing()
    world.keys[NAME] = LOST
    ((_where, message),) = errors_of(world, **TO)
    assert f"ssl/{NAME}.private" in message


@pytest.mark.parametrize("options", [TO, {}, {"selector": "s2"}])
def test_what_is_to_be_looked_for_is_known(options):
    desired = started().run(**options)
    assert desired.looks == (NAME,)
    assert set(desired.host.keys) == {NAME, NEW.file}


def test_it_waits_while_nobody_has_looked():
    world = started()
    desired = world.run(**TO)
    assert waiting(desired) == ("published", "", "the TXT of s2._domainkey.example.com was not looked for")


def test_it_waits_while_a_name_server_does_not_show_the_key():
    world = started()
    world.dns = UNSEEN
    desired = world.run(**TO)
    assert waiting(desired) == ("published", "", f"publish the TXT of s2._domainkey.example.com: {UNSEEN.why}")
    assert world.dkim() == PUBLISHED


def test_it_waits_until_resolvers_have_forgotten_that_there_was_none():
    world = started()
    world.dns = SEEN
    desired = world.run(**TO)
    assert world.dkim() == PUBLISHED._replace(until=moment_text(NOW + 300))
    assert waiting(desired)[:2] == ("published", moment_text(NOW + 300))
    for second in (1, 299, 299.9):
        world.now = NOW + second
        assert_stays(world, **TO)


def test_a_fraction_of_a_second_is_waited_for_as_well():
    world = started()
    world.dns, world.now = SEEN, NOW + 0.9
    world.run(**TO)
    assert world.dkim().until == moment_text(NOW + 301)


def test_the_moment_is_not_put_off_by_looking_again():
    world = started()
    world.dns = SEEN
    world.run(**TO)
    world.now, world.dns = NOW + 100, SEEN._replace(wait=9999)
    assert_stays(world, **TO)


def test_a_record_that_is_gone_again_begins_the_waiting_anew():
    world = started()
    world.dns = SEEN
    world.run(**TO)
    world.now, world.dns = NOW + 400, UNSEEN
    world.run(**TO)
    assert world.dkim() == PUBLISHED
    world.dns = SEEN
    world.run(**TO)
    assert world.dkim() == PUBLISHED._replace(until=moment_text(NOW + 700))


def test_another_key_under_way_begins_the_waiting_anew():
    world = started()
    world.dns = SEEN
    world.run(**TO)
    world.run(**TO, key_length=1024, regenerate="always")
    assert (world.dkim(), world.keys[NEW.file].key.key_length) == (PUBLISHED, 1024)
    world.now += 1000
    world.run(**TO, key_length=1024)
    assert world.dkim().until == moment_text(NOW + 1300)


def test_a_second_key_under_way_is_published_as_well():
    world = started()
    world.run(**TO, key_type="both", regenerate="always")
    assert [key.selector for key in world.dkim().other] == ["s2", "s2-ed25519"]


def test_the_next_key_is_not_replaced_in_silence():
    ((where, message),) = errors_of(started(), **TO, key_length=1024)
    assert where == "key_length"
    assert "selector s2 of example.com has an RSA key of 2048 bits" in message


@pytest.mark.parametrize("file", [NAME, NEW.file])
def test_no_key_that_is_lost_is_switched_to_or_from(file):
    world = started()
    world.keys[file], world.dns = LOST, SEEN
    for options in (TO, {}):
        ((where, message),) = errors_of(world, **options)
        assert (where, f"ssl/{file}.private" in message) == ("selector", True)
        assert ("Mail of the domain waits" in message) == (file == NAME)


@pytest.mark.parametrize("options", [{}, {"selector": "dkim"}, {"selector": "s2"}])
def test_any_run_that_speaks_of_the_key_moves_it_on(options):
    world = started()
    world.dns = SEEN
    world.run(**options)
    world.now += 300
    world.run(**options)
    assert world.dkim() == Dkim((NEW,), "retiring", (OLD,), moment_text(NOW + 300 + 7 * DAY))


def test_it_is_given_up_by_naming_the_selector_in_use():
    world = started()
    world.run(rotate={"to": "dkim"})
    assert (world.dkim(), world.keys) == (active(), {NAME: found(RSA)})
    assert_stays(world, rotate={"to": "dkim"})


def test_a_rotation_that_was_given_up_can_begin_again():
    world = started()
    world.run(rotate={"to": "dkim"})
    world.run(**TO)
    assert (world.dkim(), world.keys[NEW.file].key.public_key) == (PUBLISHED, "NEW2")


def test_it_is_not_turned_to_a_third_selector():
    ((where, message),) = errors_of(started(), rotate={"to": "s3"})
    assert where == "rotate.to"
    assert "is on its way to s2" in message
    assert "give it up with rotate: {to: dkim}" in message


# retiring


def test_the_switch_is_one_line_and_no_key_changes():
    world = started()
    world.dns = SEEN
    world.run(**TO)
    keys = dict(world.keys)
    world.now += 300
    desired = world.run(**TO)
    assert world.dkim() == Dkim((NEW,), "retiring", (OLD,), moment_text(NOW + 300 + 7 * DAY))
    assert (world.keys, desired.to_make) == (keys, {})
    assert waiting(desired)[2] == "the TXT of dkim stays for messages under way"


def test_the_old_key_stays_as_long_as_it_was_said_at_the_switch():
    world = switched()
    world.now += 7 * DAY - 1
    assert_stays(world, **TO)
    assert world.merged(**TO).waiting
    world.now += 1
    desired = world.run(rotate={"to": "s2", "retire_after": "30d"})
    assert world.dkim() == Dkim((NEW,), "retired", (OLD,))
    assert desired.waiting == ()


def test_nobody_asks_the_dns_once_the_new_key_signs():
    world = switched()
    world.dns = None
    assert world.merged(**TO).looks == ()


def test_a_lost_key_that_signs_no_more_is_no_error():
    world = switched()
    world.keys[NAME] = LOST
    world.run(**TO)
    world.now += 8 * DAY
    world.run(**TO)
    assert world.dkim().stage == "retired"


def test_a_lost_key_that_signs_is_one():
    world = switched()
    world.keys[NEW.file] = FoundKey(None, "is not there")
    assert "Mail of the domain waits" in errors_of(world, **TO)[0][1]


@pytest.mark.parametrize("selector", ["dkim", "s2-ed25519"])
def test_a_selector_in_use_or_just_left_is_not_used_again(selector):
    world = signing_twice()
    world.run(**TO)
    world.dns = SEEN
    world.run(**TO)
    world.now += 300
    world.run(**TO)
    ((where, message),) = errors_of(world, rotate={"to": selector})
    assert where == "rotate.to"
    assert f"uses the selector {selector} or has just left it" in message


def test_the_next_rotation_waits_for_the_old_key_to_retire():
    world = switched()
    before = world.host
    desired = world.run(rotate={"to": "s3"})
    assert (world.host, desired.to_make) == (before, {})
    assert waiting(desired) == (
        "retiring",
        moment_text(NOW + 300 + 7 * DAY),
        "the rotation to s3 begins when dkim is retired",
    )
    world.now += 7 * DAY
    desired = world.run(rotate={"to": "s3"})
    assert world.dkim().stage == "retired", "its TXT would never be withdrawn"
    assert waiting(desired) == ("retired", "", "the rotation to s3 begins in the next run")
    world.run(rotate={"to": "s3"})
    assert world.dkim() == Dkim((NEW,), "published", (DkimKey("s3", f"{NAME}.s3"),))
    assert set(world.keys) == {NEW.file, f"{NAME}.s3"}


# retired


def retired():
    world = switched()
    world.now += 7 * DAY
    world.run(**TO)
    return world


def test_a_rotation_that_is_over_may_stay_in_the_playbook():
    world = retired()
    assert_stays(world, **TO)
    assert world.merged(**TO).waiting == ()


@pytest.mark.parametrize("world", [started, switched, retired])
def test_nothing_said_means_the_selector_in_use(world):
    assert_stays(world())


def test_the_selector_that_was_left_can_be_used_after_the_next_one():
    world = retired()
    assert errors_of(world, rotate={"to": "dkim"})[0][0] == "rotate.to"
    world.dns = SEEN
    for _run in range(3):
        world.run(rotate={"to": "s3", "retire_after": "1d"})
        world.now += DAY
    assert [key.selector for key in world.dkim().other] == ["s2"]
    for _run in range(2):
        world.run(rotate={"to": "dkim"})
    assert world.dkim().other == (DkimKey("dkim", f"{NAME}.dkim"),)


def test_absent_ends_any_stage_at_once():
    for world in (started(), switched(), retired()):
        world.run(state="absent")
        assert (world.dkim(), world.keys) == (None, {})


def test_rotations_of_several_domains_do_not_touch_each_other():
    world = World({NAME: active(), "a.test": active("dkim", "a.test")}, {NAME: found(RSA), "a.test": found(ED25519)}, Sight(False, 0, "x"))
    world.run(**TO)
    world.run("a.test", **TO)
    assert world.dkim() == PUBLISHED
    assert world.dkim("a.test").other == (DkimKey("s2", "a.test.s2"),)
