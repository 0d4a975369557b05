# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps for the files of keys, as data: what is written, in which order, and what of it is shown."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import zone_text
from ansible_collections.fleetpost.mail.plugins.module_utils._key_steps import key_removals, key_steps
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import DEBIAN
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Dkim,
    DkimKey,
    Domain,
    FoundKey,
    Host,
    MadeKey,
    Ownership,
    Removal,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import plan
from ansible_collections.fleetpost.mail.plugins.module_utils._report import actions_of, diff_of
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import RemoveKey, SetOwnership, WriteKey
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import Removing
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem, public
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.signing_world import (
    ABSENT,
    NAME,
    PRIVATE,
    RECORD,
    active,
    found,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.signing_world import FACTS as NO_OWNERS
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.test_plan import FACTS as OWNERS
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.test_plan import observed_of

FACTS = NO_OWNERS._replace(users=OWNERS.users)
REMOVING = Removing("keep", "/srv", "20261123T040000Z")
KEY, OTHER = public("ed25519"), public("ed25519", 1)
SSL = DEBIAN.ssl_dir
OLD, NEW = DkimKey("dkim", NAME), DkimKey("s2", f"{NAME}.s2")


def host_of(dkim, keys=None, **more):
    return Host({NAME: Domain(NAME, dkim=dkim, **more)}, {}, {}, keys or {})


def steps_of(there, wanted=KEY, made=None, facts=FACTS):
    """The steps for the one key of a domain."""
    desired = host_of(active(), {NAME: wanted} if wanted else {})
    return list(key_steps(DEBIAN, desired, facts._replace(keys={NAME: there}), {NAME: made} if made else {}))


def planned(present, desired, keys, made=None, removing=REMOVING):
    return plan(DEBIAN, observed_of(present), desired, FACTS._replace(keys=keys), removing, made or {})


def shape(steps):
    return [(type(step).__name__, step.path.rpartition("/")[2]) for step in steps if hasattr(step, "path")]


# what is written


def test_a_key_that_is_as_it_should_be_needs_no_step():
    assert steps_of(found(KEY)) == []
    assert steps_of(found(KEY), wanted=None) == []


def test_a_new_key_is_for_exim_alone_and_its_record_for_all():
    private, record = steps_of(ABSENT, made=MadeKey(KEY, pem("ed25519")))
    assert private[:4] == (NAME, f"{SSL}/{NAME}.private", pem("ed25519"), Ownership(119, 120, 0o600))
    assert record[:4] == (NAME, f"{SSL}/{NAME}.txt", zone_text("dkim", NAME, KEY), Ownership(0, 0, 0o644))
    assert (private.is_secret, record.is_secret) == (True, False)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        (KEY, "Ed25519"),
        (public("rsa1024"), "RSA 1024 bits"),
        (public("rsa1024", service_type="*"), "RSA 1024 bits"),
    ],
)
def test_a_key_is_shown_in_words_that_are_known_before_it_is_made(key, words):
    made = steps_of(ABSENT, key, MadeKey(key, "PEM"))
    unmade = steps_of(ABSENT, key._replace(public_key=""))
    assert [step.shown for step in made] == [step.shown for step in unmade]
    assert [step.content for step in unmade] == [None, None]
    assert made[0].shown == f"private key, {words}"
    assert made[1].shown == f"TXT record of dkim._domainkey.{NAME}, {words}, service type {key.service_type}"


@pytest.mark.parametrize("there", [found(KEY)._replace(text_ownership=None, text_fits=False), found(KEY)._replace(text_fits=False)])
@pytest.mark.parametrize("wanted", [KEY, None])
def test_a_record_that_is_missing_or_not_the_keys_is_written_without_touching_the_key(there, wanted):
    (record,) = steps_of(there, wanted)
    assert (record.path, record.content) == (f"{SSL}/{NAME}.txt", zone_text("dkim", NAME, KEY))


def test_another_service_type_writes_the_record_alone():
    (record,) = steps_of(found(KEY), KEY._replace(service_type="*"))
    assert record.path.endswith(".txt")
    assert "s=*" in record.content


def test_another_key_writes_both_files():
    assert shape(steps_of(found(OTHER), KEY, MadeKey(KEY, "PEM"))) == [("WriteKey", f"{NAME}.private"), ("WriteKey", f"{NAME}.txt")]


def test_a_lost_key_of_a_domain_that_is_not_spoken_of_is_left_alone():
    assert steps_of(FoundKey(None, "cannot be used", PRIVATE, RECORD), wanted=None) == []


def test_keys_that_nobody_looked_at_are_left_alone():
    assert list(key_steps(DEBIAN, host_of(active()), FACTS, {})) == []
    assert list(key_steps(DEBIAN, host_of(active()), FACTS._replace(keys={"other": ABSENT}), {})) == []


# ownership

WRONG = [Ownership(0, 120, 0o600), Ownership(119, 0, 0o600), Ownership(119, 120, 0o644), Ownership(119, 120, 0o400)]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_key_of_another_owner_or_mode_is_put_right(wrong):
    assert steps_of(found(KEY)._replace(ownership=wrong)) == [SetOwnership(f"{SSL}/{NAME}.private", PRIVATE, NAME)]


@pytest.mark.parametrize("wrong", [Ownership(119, 0, 0o644), Ownership(0, 0, 0o600), Ownership(0, 0, 0o666)])
def test_a_record_of_another_owner_or_mode_is_put_right(wrong):
    assert steps_of(found(KEY)._replace(text_ownership=wrong)) == [SetOwnership(f"{SSL}/{NAME}.txt", RECORD, NAME)]


def test_what_is_written_anew_is_not_put_right_besides():
    there = found(OTHER)._replace(ownership=WRONG[0], text_ownership=WRONG[0])
    assert {type(step) for step in steps_of(there, KEY, MadeKey(KEY, "PEM"))} == {WriteKey}


def test_a_key_is_put_right_although_its_record_is_written():
    there = found(KEY)._replace(ownership=WRONG[2], text_ownership=WRONG[2])
    steps = steps_of(there, KEY._replace(service_type="*"))
    assert shape(steps) == [("WriteKey", f"{NAME}.txt"), ("SetOwnership", f"{NAME}.private")]


def test_nothing_is_put_right_for_an_exim_that_is_not_installed():
    assert steps_of(found(KEY)._replace(ownership=WRONG[0]), facts=FACTS._replace(exim_uid=None)) == []


def test_a_key_before_exim_is_installed_is_roots_alone():
    private = steps_of(ABSENT, made=MadeKey(KEY, "PEM"), facts=FACTS._replace(exim_uid=None))[0]
    assert private.ownership == Ownership(0, 120, 0o600)


def test_who_may_not_give_files_away_sets_the_mode_alone():
    facts = FACTS._replace(may_chown=False)
    there = found(KEY)._replace(ownership=Ownership(1000, 1000, 0o600), text_ownership=Ownership(1000, 1000, 0o644))
    assert steps_of(there, facts=facts) == []
    assert len(steps_of(there._replace(ownership=Ownership(1000, 1000, 0o640)), facts=facts)) == 1


# order


def test_keys_are_written_before_the_line_that_names_them():
    made = planned(host_of(None), host_of(active(), {NAME: KEY}), {NAME: ABSENT}, {NAME: MadeKey(KEY, "PEM")})
    assert shape(made.steps) == [("WriteKey", f"{NAME}.private"), ("WriteKey", f"{NAME}.txt"), ("WriteTable", "domains")]


def test_ownerships_are_put_right_before_the_line_that_names_the_keys():
    wrong = found(KEY)._replace(ownership=WRONG[0])
    made = planned(host_of(None), host_of(active(), {NAME: KEY}), {NAME: wrong})
    assert shape(made.steps) == [("SetOwnership", f"{NAME}.private"), ("WriteTable", "domains")]


def test_keys_are_removed_after_the_line_that_named_them():
    made = planned(host_of(active()), host_of(None), {NAME: found(KEY)})
    assert shape(made.steps) == [("WriteTable", "domains"), ("RemoveKey", f"{NAME}.private"), ("RemoveKey", f"{NAME}.txt")]


def test_only_the_private_key_goes_when_a_key_retires():
    present, desired = Dkim((NEW,), "retiring", (OLD,), "20261123T040000Z"), Dkim((NEW,), "retired", (OLD,))
    made = planned(host_of(present), host_of(desired, {NEW.file: KEY}), {NAME: found(OTHER), NEW.file: found(KEY)})
    assert shape(made.steps) == [("WriteTable", "domains"), ("RemoveKey", f"{NAME}.private")]


def test_a_switch_writes_and_removes_no_key():
    present, desired = Dkim((OLD,), "published", (NEW,)), Dkim((NEW,), "retiring", (OLD,), "20261123T040000Z")
    keys = {NAME: found(OTHER), NEW.file: found(KEY)}
    made = planned(host_of(present), host_of(desired, {NAME: OTHER, NEW.file: KEY}), keys)
    assert shape(made.steps) == [("WriteTable", "domains")]


# removals


def removed(present, desired, removing=REMOVING, keys=None):
    return [step.path.rpartition("/")[2] for step in key_removals(DEBIAN, present, desired, FACTS._replace(keys=keys or {}), removing)]


@pytest.mark.parametrize(("how", "expected"), [("keep", []), ("archive", []), ("delete", [f"{NAME}.private", f"{NAME}.txt"])])
def test_the_keys_of_a_removed_domain_go_when_its_mail_is_deleted(how, expected):
    present = host_of(active(), removal=Removal(how, "20261123T040000Z"))
    gone = Host({}, {}, {})
    assert removed(present, gone) == []
    assert removed(present, gone, REMOVING._replace(finished=frozenset({NAME}))) == expected


def test_a_key_that_another_line_names_stays():
    shared = {NAME: Domain(NAME, dkim=active()), "a.test": Domain("a.test", dkim=active())}
    present = Host(shared, {}, {})
    desired = Host({**shared, "a.test": Domain("a.test")}, {}, {})
    assert removed(present, desired) == []
    assert removed(present, host_of(None)._replace(domains={name: Domain(name) for name in shared}))[:1] == [f"{NAME}.private"]


def test_a_private_key_that_should_have_gone_when_it_retired_goes_now():
    host = host_of(Dkim((NEW,), "retired", (OLD,)))
    gone = ABSENT._replace(text_ownership=RECORD)
    assert removed(host, host, keys={NAME: found(KEY), NEW.file: found(KEY)}) == [f"{NAME}.private"]
    assert removed(host, host, keys={NAME: gone, NEW.file: found(KEY)}) == []


# what is shown


def test_what_is_written_to_keys_alone_is_an_action_of_the_domain():
    host = host_of(active(), {NAME: KEY})
    made = planned(host, host, {NAME: found(KEY)._replace(text_fits=False)})
    ((domain, action, detail),) = actions_of(DEBIAN, made, host, host)
    assert (domain, action) == (NAME, "write key record")
    assert detail.startswith(f"{SSL}/{NAME}.txt: TXT record of")


def test_a_mended_key_is_an_action_of_its_domain():
    host = host_of(active(), {NAME: KEY})
    made = planned(host, host, {NAME: found(KEY)._replace(ownership=WRONG[0])})
    assert actions_of(DEBIAN, made, host, host) == [(NAME, "mend ownership", f"{SSL}/{NAME}.private")]


def test_a_removed_key_is_an_action_of_its_domain():
    host = host_of(Dkim((NEW,), "retired", (OLD,)))
    made = planned(host, host, {NAME: found(KEY), NEW.file: found(OTHER)})
    assert actions_of(DEBIAN, made, host, host) == [(NAME, "remove key", f"{SSL}/{NAME}.private")]
    assert made.steps == (RemoveKey(NAME, f"{SSL}/{NAME}.private"),)


def test_the_diff_shows_no_private_key():
    made = planned(host_of(None), host_of(active(), {NAME: KEY}), {NAME: ABSENT}, {NAME: MadeKey(KEY, pem("ed25519"))})
    shown = str(diff_of("/", made)) + str(actions_of(DEBIAN, made, host_of(None), host_of(active(), {NAME: KEY})))
    assert pem("ed25519").splitlines()[1] not in shown
    assert f"{SSL}/{NAME}.private: private key, Ed25519" in shown
