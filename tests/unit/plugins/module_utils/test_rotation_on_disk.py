# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rotations over a file tree with a clock and a DNS of their own, and runs with keys that die at every change they make."""

from __future__ import annotations

import itertools
import os
from types import SimpleNamespace

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _observe, _run
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import key_of_record, public_key_of, record_in_zone_text
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Sight
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, UNSTABLE, FakeHost
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem, public
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.signing_world import NOW, SEEN, UNSEEN
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.test_interrupted import dies_at, state

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

NAME = "example.com"
DAY = 86400
LINE = f"{NAME}: owner=vmail enabled=yes disabled=reject action=reject"
TO = {"rotate": {"to": "s2"}, "private_key": pem("ed25519", 2)}
OWN = {"private_key": pem("ed25519")}


class Outside:
    """What is not of the host: the time, and what name servers show. asked: what they were asked for."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.sight = UNSEEN
        self.has_resolver = True
        self.asked: list[dict[str, list[object]]] = []

    def resolvers(self) -> tuple[str, ...]:
        if not self.has_resolver:
            raise MailError("this host has no resolver")
        return ("192.0.2.53",)

    def sights(self, wanted, _resolvers, _seconds) -> dict[str, Sight]:
        self.asked.append(wanted)
        return dict.fromkeys(wanted, self.sight)


@pytest.fixture
def outside(monkeypatch):
    found = Outside()
    monkeypatch.setattr(_observe, "time", SimpleNamespace(time=lambda: found.now))
    monkeypatch.setattr(_run, "dkim_sights", found.sights)
    monkeypatch.setattr(_run, "system_resolvers", found.resolvers)
    return found


def fields(host):
    """What the first domain's line says of its keys."""
    return host.table("domains")[0][len(LINE) + 1 :]


def files(host):
    return sorted(path.name for path in host.path(host.layout.ssl_dir).iterdir())


def start(root, stage, outside):
    """A host in a stage of the rotation from dkim to s2."""
    outside.now, outside.sight = float(NOW), UNSEEN
    host = FakeHost(root)
    host.domains({"name": "a.test"})
    if stage != "none":
        host.domains({"name": NAME, "dkim": OWN if stage != "unsigned" else None})
    if stage in ("published", "retiring", "retired"):
        host.dkim(NAME, **TO)
    if stage in ("retiring", "retired"):
        outside.sight = SEEN
        host.dkim(NAME, **TO)
        outside.now += 300
        host.dkim(NAME, **TO)
    if stage == "retired":
        outside.now += 7 * DAY
        host.dkim(NAME, **TO)
    return host


def test_a_rotation_is_told_by_the_line_and_the_files(host, outside):
    host.domains({"name": NAME, "dkim": OWN})
    assert fields(host) == f"dkim=dkim dkim_key={NAME}.private"

    host.dkim(NAME, **TO)
    ahead = f"dkim=dkim dkim_key={NAME}.private dkim_stage=published dkim_other=s2 dkim_other_key={NAME}.s2.private"
    assert fields(host) == ahead
    keys = [f"{NAME}.private", f"{NAME}.s2.private", f"{NAME}.s2.txt", f"{NAME}.txt"]
    assert files(host) == keys

    outside.sight = SEEN
    host.dkim(NAME, **TO)
    assert fields(host) == f"{ahead} dkim_until=20261123T040500Z"

    outside.now += 300
    before = {name: (host.path(f"{host.layout.ssl_dir}/{name}")).stat().st_ino for name in keys}
    host.dkim(NAME, **TO)
    after = f"dkim=s2 dkim_key={NAME}.s2.private dkim_stage=retiring dkim_other=dkim dkim_other_key={NAME}.private"
    assert fields(host) == f"{after} dkim_until=20261130T040500Z"
    assert {name: (host.path(f"{host.layout.ssl_dir}/{name}")).stat().st_ino for name in keys} == before

    outside.now += 7 * DAY
    host.dkim(NAME, **TO)
    assert fields(host) == after.replace("retiring", "retired")
    assert files(host) == [f"{NAME}.s2.private", f"{NAME}.s2.txt", f"{NAME}.txt"]
    assert not host.dkim(NAME, **TO).changed


def test_the_dns_is_asked_for_the_next_key_once_a_run_and_only_while_it_matters(host, outside):
    host.domains({"name": NAME, "dkim": OWN})
    host.dkim(NAME, **TO)
    assert outside.asked == []
    host.dkim(NAME, **TO)
    assert outside.asked == [{NAME: [(f"s2._domainkey.{NAME}", public("ed25519", 2))]}]
    host.dkim(NAME, rotate={"to": "dkim"})
    host.dkim(NAME)
    host.domain(NAME)
    assert len(outside.asked) == 1


def test_a_host_without_a_resolver_makes_keys_all_the_same_and_waits_for_nothing_else(host, outside):
    outside.has_resolver = False
    host.domains({"name": NAME, "dkim": {"key_type": "ed25519"}})
    assert host.dkim(NAME, **TO).waiting
    (waiting,) = host.dkim(NAME, **TO).waiting
    assert "no resolver" in waiting.reason


def test_one_run_asks_for_all_domains_at_once(host, outside):
    names = ["a.test", "b.test", "c.test"]
    entries = [{"name": name, "dkim": {"rotate": {"to": "s2"}, "key_type": "ed25519"}} for name in names]
    host.domains(*({"name": name, "dkim": {"key_type": "ed25519"}} for name in names))
    host.domains(*entries)
    outcome = host.domains(*entries)
    assert [list(asked) for asked in outside.asked] == [names]
    assert [waiting.domain for waiting in outcome.waiting] == names


@pytest.mark.parametrize("stage", ["active", "published", "retiring", "retired"])
def test_check_mode_tells_the_next_stage_and_changes_nothing(tmp_path, outside, stage):
    host = start(tmp_path, stage, outside)
    outside.sight = SEEN
    outside.now += 8 * DAY
    before = host.entries(*UNSTABLE)
    checked = host.dkim(NAME, check=True, **TO)
    assert host.entries(*UNSTABLE) == before
    done = host.dkim(NAME, **TO)
    assert (checked.actions, checked.diff, checked.waiting, checked.changed) == (done.actions, done.diff, done.waiting, done.changed)


@pytest.mark.parametrize("sight", [UNSEEN, SEEN])
@pytest.mark.parametrize("stage", ["active", "published", "retiring", "retired"])
def test_what_info_tells_of_a_rotation_changes_nothing_when_it_is_declared(tmp_path, outside, stage, sight):
    host = start(tmp_path, stage, outside)
    outside.sight = sight
    host.domain(NAME, dkim={})
    outcome = host.domains(*host.info().domains)
    assert (outcome.changed, outcome.actions, outcome.diff) == (False, [], [])


def test_a_rotation_to_two_keys_and_back_to_one(host, outside):
    host.domains({"name": NAME, "dkim": OWN})
    outside.sight = Sight(True, 0, "")
    there, back = {"rotate": {"to": "s2"}, "key_type": "both", "key_length": 1024}, {"rotate": {"to": "s3"}, "key_type": "ed25519"}
    for options in (there, back):
        for _run_of_a_day in range(10):
            host.dkim(NAME, **options)
            outside.now += DAY
    assert fields(host) == (
        f"dkim=s3 dkim_key={NAME}.s3.private dkim_stage=retired"
        f" dkim_other=s2,s2-ed25519 dkim_other_key={NAME}.s2.private,{NAME}.s2-ed25519.private"
    )
    assert [name for name in files(host) if name.endswith(".private")] == [f"{NAME}.s3.private"]


def test_a_new_key_in_a_run_that_removes_a_domain_as_well(host, outside):
    host.domains({"name": NAME, "dkim": OWN}, {"name": "a.test", "dkim": {"key_type": "ed25519"}})
    host.domains({"name": NAME, "dkim": TO}, prune=True, prune_limit="100%", removed_mail="delete")
    assert files(host) == [f"{NAME}.private", f"{NAME}.s2.private", f"{NAME}.s2.txt", f"{NAME}.txt"]
    assert not host.domains({"name": NAME, "dkim": TO}).changed


def test_an_error_while_a_rotation_is_under_way_changes_nothing(tmp_path, outside):
    host = start(tmp_path, "published", outside)
    before = host.entries(*UNSTABLE)
    with pytest.raises(MailErrors) as error:
        host.domains({"name": "a.test"}, {"name": NAME, "dkim": {"rotate": {"to": "s3"}}})
    assert [one.where for one in error.value.errors] == ["domains[1].dkim.rotate.to"]
    assert host.entries(*UNSTABLE) == before


# runs that die

CASES = {
    "first key": ("unsigned", lambda host: host.dkim(NAME, **OWN)),
    "first key with its domain": (
        "none",
        lambda host: host.domains({"name": NAME, "dkim": OWN, "mailboxes": [{"name": "info", "password_hash": HASH}]}),
    ),
    "another key at once": ("active", lambda host: host.dkim(NAME, private_key=pem("ed25519", 2), regenerate="always")),
    "another selector at once": ("active", lambda host: host.dkim(NAME, selector="s3", private_key=pem("ed25519", 2), regenerate="always")),
    "rotation": ("active", lambda host: host.dkim(NAME, **TO)),
    "switch": ("published", lambda host: host.dkim(NAME, **TO)),
    "giving up": ("published", lambda host: host.dkim(NAME, rotate={"to": "dkim"})),
    "retirement": ("retiring", lambda host: host.dkim(NAME, **TO)),
    "end of signing": ("active", lambda host: host.dkim(NAME, state="absent")),
    "end of the domain": ("retiring", lambda host: host.domain(NAME, state="absent", removed_mail="delete")),
    "another service type": ("active", lambda host: host.dkim(NAME, service_type="*")),
}
# What no line names any more cannot be found by the next run: it stays as a file that nobody uses.
LEAVES_FILES = ("another selector at once", "giving up", "end of signing", "end of the domain")


def prepared(root, case, outside):
    host = start(root, CASES[case][0], outside)
    if case == "switch":
        outside.sight = SEEN
        host.dkim(NAME, **TO)
        outside.now += 300
    if case == "retirement":
        outside.now += 7 * DAY
    return host


def assert_signs(host):
    """Every key that the line signs with is whole and Exim's alone, and no other private key can be read by anybody else."""
    line = next((line for line in host.table("domains") if line.startswith(f"{NAME}:")), "")
    said = dict(field.split("=", 1) for field in line.split()[1:])
    for name in filter(None, said.get("dkim_key", "").split(",")):
        assert public_key_of(host.path(f"{host.layout.ssl_dir}/{name}").read_bytes())
    directory = host.path(host.layout.ssl_dir)
    if directory.exists():
        assert {path.stat().st_mode & 0o077 for path in directory.iterdir() if "private" in path.name} <= {0}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_dies_anywhere_signs_and_is_completed_by_the_next_one(tmp_path, outside, case):
    action = CASES[case][1]
    undisturbed = prepared(tmp_path / "undisturbed", case, outside)
    action(undisturbed)
    for event in itertools.count():
        host = prepared(tmp_path / str(event), case, outside)
        died = dies_at(event, lambda host=host: action(host))
        assert_signs(host)
        action(host)
        found, wanted = state(host), state(undisturbed)
        if case in LEAVES_FILES:
            found = {name: entry for name, entry in found.items() if name in wanted or "/ssl/" not in name}
        assert found == wanted, f"after dying before change {event}"
        if not died:
            assert event >= 1
            return


def test_a_run_that_died_while_it_made_keys_leaves_files_that_fit_each_other(tmp_path, outside):
    for event in itertools.count():
        host = start(tmp_path / str(event), "unsigned", outside)
        died = dies_at(event, lambda host=host: host.dkim(NAME, key_type="ed25519"))
        host.dkim(NAME, key_type="ed25519")
        key = public_key_of(host.text(host.layout.private_key(NAME)).encode())
        assert key_of_record(record_in_zone_text(host.text(host.layout.key_record(NAME)))) == key
        assert not host.dkim(NAME).changed
        assert not [name for name in files(host) if "fleetpost-" in name]
        if not died:
            return
