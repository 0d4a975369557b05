# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole runs that make, mend, move and remove self-signed certificates, judged by the files alone."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import NAME, issued, self_signed
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.certificate_world import (
    DOMAIN,
    LINE,
    both,
    change,
    directories,
    dovecot,
    exim,
    files,
    pair_on,
    shown_names,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import EXIM_GID, UNSTABLE, FakeHost

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]


@pytest.fixture
def shown(host):
    """A host with one domain that has a certificate."""
    host.domains({"name": DOMAIN, "ssl": {}})
    return host


# new certificates


@pytest.mark.parametrize("layout", ["debian", "redhat"])
def test_a_new_certificate_is_one_file_for_each_server(tmp_path, layout):
    host = FakeHost(tmp_path, layout)
    host.domains({"name": DOMAIN, "ssl": {}})
    assert host.owner(exim(host)) == (0, EXIM_GID, 0o640)
    assert host.owner(dovecot(host)) == (0, 0, 0o600)
    assert host.owner(host.layout.names) == (0, 0, 0o644)
    assert host.owner(host.layout.certificates) == (0, EXIM_GID, 0o640)
    assert host.table("certificates") == [LINE]
    assert host.table("domains")[0].endswith(f" cert={NAME}")
    assert shown_names(host) == [NAME]


def test_what_is_made_is_what_was_asked_for(host):
    ssl = {"key_type": "rsa", "key_size": 2048, "valid_days": 100, "alternative_names": ["imap.example.com", "*.example.com"]}
    host.domains({"name": DOMAIN, "ssl": ssl})
    pair = pair_on(host)
    assert set(pair.names) == {NAME, "imap.example.com", "*.example.com"}
    assert (pair.key_type, pair.key_size, pair.is_self_signed) == ("rsa", 2048, True)
    assert pair.not_after - pair.not_before == 100 * 86400


@pytest.mark.parametrize(
    ("options", "expected"), [({}, ("ecdsa", 256)), ({"key_size": 384}, ("ecdsa", 384)), ({"key_type": "rsa"}, ("rsa", 2048))]
)
def test_openssl_takes_key_and_certificate_for_a_pair(host, options, expected):
    host.domains({"name": DOMAIN, "ssl": options})
    assert pair_on(host)[3:5] == expected
    publics = [
        subprocess.run(["openssl", *command, "-in", host.path(exim(host))], check=True, capture_output=True).stdout
        for command in (["x509", "-noout", "-pubkey"], ["pkey", "-pubout"])
    ]
    assert publics[0] == publics[1]


def test_a_name_longer_than_a_common_name_may_be_is_certified_all_the_same(host):
    name = f"{'a' * 60}.{'b' * 60}.example.com"
    host.domains({"name": DOMAIN, "ssl": {"alias": name}})
    assert pair_on(host, name).names == (name,)


def test_a_second_run_changes_nothing(shown):
    before = shown.identities()
    for _run in range(2):
        assert not shown.domains({"name": DOMAIN, "ssl": {}}).changed
        assert not shown.certificate(DOMAIN).changed
        assert not shown.domain(DOMAIN).changed
    unstable = ("mail-domains.lock",)
    assert {name: one for name, one in shown.identities().items() if not name.endswith(unstable)} == {
        name: one for name, one in before.items() if not name.endswith(unstable)
    }


def test_every_domain_of_a_run_gets_a_key_of_its_own(host):
    names = [f"d{number}.test" for number in range(12)]
    host.domains(*({"name": name, "ssl": {}} for name in names))
    assert len({pair_on(host, f"mail.{name}").fingerprint for name in names}) == 12
    assert len({both(host, f"mail.{name}").split(b"-----")[2] for name in names}) == 12


def test_the_module_of_one_certificate_leaves_the_rest_of_the_domain(host):
    host.domains({"name": DOMAIN, "owner": "alice", "default_action": "discard"})
    host.certificate(DOMAIN)
    assert host.table("domains") == [f"{DOMAIN}: owner=alice enabled=yes disabled=reject action=discard cert={NAME}"]


def test_force_makes_a_new_one_each_time(shown):
    before = pair_on(shown).fingerprint
    assert shown.certificate(DOMAIN, force=True).changed
    assert pair_on(shown).fingerprint != before


@pytest.mark.parametrize(
    ("options", "is_new"),
    [
        ({"alternative_names": ["imap.example.com"]}, True),
        ({"key_type": "rsa"}, True),
        ({"key_size": 384}, True),
        ({"renew_before_days": 5}, False),
    ],
)
def test_a_certificate_is_made_anew_when_it_is_not_what_is_asked_for(shown, options, is_new):
    before = pair_on(shown).fingerprint
    assert change(shown.certificate(DOMAIN, **options)) == ["change certificate"]
    assert (pair_on(shown).fingerprint != before) is is_new
    assert not shown.certificate(DOMAIN, **options).changed


def test_a_self_signed_certificate_is_renewed_when_it_is_due(shown):
    content = b"# fleetpost.mail certificate mail.example.com\n" + self_signed(days=(-90, 20))
    for path in (exim(shown), dovecot(shown)):
        shown.write(path, content)
    assert change(shown.domains({"name": DOMAIN, "ssl": {}})) == ["write certificate"]
    assert both(shown) != content
    assert not shown.domains({"name": DOMAIN, "ssl": {}}).changed


@pytest.mark.parametrize(("dovecot_version", "blocks"), [("2.3", 1), ("2.4", 2)])
def test_dovecot_is_told_every_name_in_the_grammar_of_its_version(tmp_path, dovecot_version, blocks):
    host = FakeHost(tmp_path, dovecot=dovecot_version)
    host.domains({"name": DOMAIN, "ssl": {"alternative_names": ["imap.example.com"]}})
    text = host.text(host.layout.names)
    assert text.count("local_name") == blocks
    assert text.count(f"<{dovecot(host)}" if dovecot_version == "2.3" else f"= {dovecot(host)}") == 2 * blocks


# secrecy


@pytest.mark.parametrize("options", [{}, {"provider": "provided"}], ids=["made", "provided"])
def test_a_private_key_is_readable_by_others_at_no_moment(host, monkeypatch, options):
    if options:
        from_text = issued().decode()
        key, certificate = from_text.split("-----BEGIN CERTIFICATE-----", 1)
        options = {**options, "private_key": key, "certificate": f"-----BEGIN CERTIFICATE-----{certificate}"}
    host.domains({"name": DOMAIN})
    seen = []

    def watched(call):
        def watching(*arguments, **named):
            result = call(*arguments, **named)
            for directory, allowed in zip(directories(host), (0o640, 0o600)):
                found = [path for path in host.path(directory).glob("*") if path.name != "names.conf"]
                seen.extend((path.name, path.stat().st_mode & 0o777 & ~allowed) for path in found if "names.conf" not in path.name)
            return result

        return watching

    for name in ("open", "fchmod", "fchown", "rename", "write"):
        monkeypatch.setattr(os, name, watched(getattr(os, name)))
    mask = os.umask(0)
    try:
        host.certificate(DOMAIN, **options)
    finally:
        os.umask(mask)
    assert len(seen) > 5
    assert {mode for _name, mode in seen} == {0}


# mending


@pytest.mark.parametrize(
    "broken",
    [None, b"", b"nonsense", issued()[:600], issued("other.test", key=("ecdsa256", 1))],
    ids=["gone", "empty", "nonsense", "cut off", "another"],
)
@pytest.mark.parametrize(("of", "action"), [(exim, "write certificate"), (dovecot, "write certificate")])
def test_a_copy_that_was_broken_by_hand_is_mended_from_the_other_servers(shown, of, action, broken):
    right = both(shown)
    shown.path(of(shown)).unlink()
    if broken is not None:
        shown.write(of(shown), broken)
    checked, done = shown.domain(DOMAIN, check=True), shown.domain(DOMAIN)
    assert change(done) == [action]
    assert checked.actions == done.actions
    assert both(shown) == right
    assert not shown.domain(DOMAIN).changed


def test_when_both_copies_are_broken_a_new_one_is_made(shown):
    before = pair_on(shown)
    for path in (exim(shown), dovecot(shown)):
        shown.write(path, b"nonsense")
    assert change(shown.domain(DOMAIN)) == ["write certificate"]
    assert pair_on(shown).names == before.names
    assert pair_on(shown).fingerprint != before.fingerprint


@pytest.mark.parametrize(
    "run", [lambda host: host.domains(), lambda host: host.domain("other.test"), lambda host: host.mailbox("x@other.test", state="absent")]
)
def test_a_file_that_dovecot_would_not_start_without_comes_back_with_any_run(shown, run):
    shown.domains({"name": "other.test"})
    right = both(shown)
    shown.path(dovecot(shown)).unlink()
    assert run(shown).changed
    assert both(shown) == right
    assert not shown.domains().changed


def test_the_list_of_names_comes_back_with_any_run(shown):
    text = shown.text(shown.layout.names)
    shown.write(shown.layout.names, text + "# by hand\n")
    assert change(shown.domains()) == ["write names of certificates"]
    shown.path(shown.layout.names).unlink()
    assert shown.domains().changed
    assert shown.text(shown.layout.names) == text


@pytest.mark.parametrize("of", [exim, dovecot])
def test_another_owner_or_mode_is_mended_and_told(shown, of):
    right = shown.owner(of(shown))
    os.chown(shown.path(of(shown)), 1001, 1001)
    shown.path(of(shown)).chmod(0o644)
    checked, done = shown.domain(DOMAIN, check=True), shown.domain(DOMAIN)
    assert change(done) == ["mend ownership"]
    assert checked.actions == done.actions
    assert shown.owner(of(shown)) == right
    assert not shown.domain(DOMAIN).changed


def test_a_directory_that_is_a_link_is_refused_and_nothing_is_written_behind_it(host, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    host.domains({"name": DOMAIN})
    host.path(host.layout.dovecot_certificates_dir).symlink_to(elsewhere)
    with pytest.raises(MailError, match="symbolic link"):
        host.certificate(DOMAIN)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("of", [exim, dovecot])
def test_a_link_in_the_place_of_a_certificate_is_never_followed(host, of, tmp_path_factory):
    victim = tmp_path_factory.mktemp("elsewhere") / "victim"
    victim.write_text("precious")
    host.domains({"name": DOMAIN})
    host.path(of(host)).parent.mkdir()
    host.path(of(host)).symlink_to(victim)
    with pytest.raises(MailError, match="symbolic link"):
        host.certificate(DOMAIN)
    assert victim.read_text() == "precious"


# files of others


@pytest.mark.parametrize("of", [exim, dovecot])
@pytest.mark.parametrize("content", [b"somebody's", issued(), self_signed()], ids=["nonsense", "issued", "self-signed"])
def test_a_foreign_file_in_the_way_of_a_new_certificate_stays_and_stops_the_run(host, of, content):
    host.write(of(host), content)
    before = host.entries(*UNSTABLE)
    with pytest.raises(MailErrors) as error:
        host.domains({"name": "a.test"}, {"name": DOMAIN, "ssl": {}})
    assert [one.where for one in error.value.errors] == ["domains[1].ssl.alias"]
    assert host.entries(*UNSTABLE) == before


def test_files_that_no_certificate_of_ours_has_are_never_touched(shown):
    for directory in directories(shown):
        shown.write(f"{directory}/somebody.pem", "theirs")
        shown.write(f"{directory}/{NAME}.pem.bak", "theirs")
    before = {name: one for name, one in shown.entries(*UNSTABLE).items() if one.content == b"theirs"}
    assert len(before) == 4
    shown.certificate(DOMAIN, alias="smtp.example.com")
    shown.certificate(DOMAIN, state="absent")
    shown.domain(DOMAIN, state="absent", removed_mail="delete")
    shown.domains(prune=True, prune_limit="100%")
    after = shown.entries(*UNSTABLE)
    assert {name: after[name] for name in before} == before


def test_a_line_that_no_domain_ever_named_stays_with_its_files(shown):
    text = shown.text(shown.layout.certificates) + "hand.test: cert=hand.test provider=selfsigned key=ecdsa:256 note=mine\n"
    shown.write(shown.layout.certificates, text)
    shown.domains()
    assert pair_on(shown, "hand.test").names == ("hand.test",)
    shown.certificate(DOMAIN, state="absent")
    assert files(shown) == ["hand.test"]
    assert shown.table("certificates") == ["hand.test: cert=hand.test provider=selfsigned key=ecdsa:256 note=mine"]
