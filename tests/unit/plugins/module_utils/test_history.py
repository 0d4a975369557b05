# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the log says of each domain, whatever else is in its files."""

from __future__ import annotations

import gzip
import json
import os

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._audit_log import append
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._history import histories
from ansible_collections.fleetpost.mail.plugins.module_utils._log_files import LONGEST_LINE, log_lines
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import RunBy
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

LOG = "/var/log/mail-domains.log"


def line(number, domain="example.com", **more):
    return json.dumps({"time": f"2026-11-{number:02}T04:00:00Z", "domain": domain, "action": "change", "detail": "", **more}) + "\n"


@pytest.fixture
def peopled(host):
    host.domains({"name": "example.com", "owner": "alice"}, {"name": "example.net"})
    return host


def history(host, limit=100):
    (status,) = host.info("example.com", with_use=False, history_limit=limit).status
    return status["history"]


def days(host, limit=100):
    return [int(entry["time"][8:10]) for entry in history(host, limit)]


def test_each_domain_has_its_own_changes_the_oldest_first(peopled):
    peopled.mailbox("info@example.com", password_hash=HASH)
    peopled.domain("example.net", owner="bob")
    first, second = history(peopled)
    assert (first["action"], second["action"], second["address"]) == ("create", "create mailbox", "info@example.com")
    assert first["changes"]["owner"] == [None, "alice"]
    assert "history" not in peopled.info("example.com", with_use=False).status[0]


def test_all_files_of_the_log_are_read_in_their_order(peopled):
    for number, name in ((10, ".10.gz"), (11, ".2.gz"), (12, ".1"), (13, "")):
        content = line(number).encode()
        peopled.write(f"{LOG}{name}", gzip.compress(content) if name.endswith("gz") else content)
    for name in (".old", ".1.bak", "2.gz", ".3.gz.tmp", "-copy"):
        peopled.write(f"{LOG}{name}", line(20))
    assert days(peopled) == [10, 11, 12, 13]


def test_files_with_dates_are_read_as_well(peopled):
    for number, name in ((1, "-20260901.gz"), (2, "-20261001"), (3, "")):
        content = line(number).encode()
        peopled.write(f"{LOG}{name}", gzip.compress(content) if name.endswith("gz") else content)
    assert days(peopled) == [1, 2, 3]


def test_a_history_is_no_longer_than_asked_for(peopled):
    peopled.write(LOG, "".join(line(number) for number in range(1, 29)))
    assert days(peopled, limit=3) == [26, 27, 28]


BROKEN = [
    "{\n",
    "\n",
    "\x00\xff\n",
    '[1, {"domain": "example.com"}]\n',
    '{"domain": "example.com"}\n',
    '{"time": 3, "domain": "example.com", "action": "change"}\n',
    '{"time": "x", "domain": "example.com", "action": ["change"]}\n',
    "[" * 5000 + '"domain": "example.com"\n',
    '{"x": ' + "9" * 5000 + ', "domain": "example.com"\n',
    '{"time": "2026-11-23T04:00:00Z", "domain": "example.com", "action": "ch',
]


@pytest.mark.parametrize("broken", BROKEN)
def test_what_is_broken_is_left_out(peopled, broken):
    peopled.write(LOG, line(1) + (broken if broken.endswith("\n") else broken + "\n") + line(2))
    assert days(peopled) == [1, 2]
    peopled.write(LOG, line(1) + line(2) + broken)
    assert days(peopled) == [1, 2]


def test_a_line_that_is_too_long_is_left_out_with_all_of_it(peopled):
    peopled.write(LOG, line(1) + "x" * LONGEST_LINE + line(2) + line(3))
    assert days(peopled) == [1, 3]


@pytest.mark.parametrize("content", [b"no gzip", gzip.compress(line(5).encode() * 5000)[:200], b""])
def test_a_broken_file_does_not_hide_the_others(peopled, content):
    peopled.write(f"{LOG}.2.gz", content)
    peopled.write(LOG, line(9))
    assert days(peopled)[-1] == 9


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_only_regular_files_are_read(peopled, kind):
    path = peopled.path(f"{LOG}.1")
    if kind == "link":
        peopled.write("/elsewhere", line(1))
        path.symlink_to(peopled.path("/elsewhere"))
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    peopled.write(LOG, line(2))
    assert days(peopled) == [2]


def test_no_value_passes_for_the_domain_of_a_line(peopled):
    forged = line(1, domain="example.net", detail='x", "domain": "example.com", "y": "')
    peopled.write(LOG, forged + line(2))
    assert days(peopled) == [2]


def test_a_renewal_between_runs_is_told_of_the_domains_that_show_the_certificate():
    renewal = line(1, domain="", certificate="mail.example.com").encode()
    certificates = {"example.com": "mail.example.com", "b.test": "mail.example.com", "c.test": ""}
    assert set(histories([renewal], certificates, 10)) == {"example.com", "b.test"}


def test_the_last_change_is_told_from_the_files_that_are_not_compressed(peopled):
    def last(**options):
        return peopled.info("example.com", with_use=False, **options).status[0]["last_change"]

    peopled.path(LOG).unlink()
    assert last() == ""
    peopled.write(f"{LOG}.2.gz", gzip.compress(line(1).encode()))
    assert last() == ""
    assert last(history_limit=1) == "2026-11-01T04:00:00Z"
    peopled.write(f"{LOG}.1", line(2))
    assert last() == "2026-11-02T04:00:00Z"
    peopled.write(LOG, line(3) + line(4, domain="example.net"))
    assert last() == last(history_limit=1) == "2026-11-03T04:00:00Z"


def test_what_was_written_is_what_is_read(host):
    tree = Tree(str(host.root))
    append(tree, host.layout, [{"domain": "a.test", "action": "change", "detail": "x\n\udcff"}] * 3, RunBy("root"))
    assert len(list(log_lines(tree, host.layout, True))) == 3
