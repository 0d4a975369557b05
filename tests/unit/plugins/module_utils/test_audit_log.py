# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each change is one line that says what, when and by whom, whatever is in it."""

from __future__ import annotations

import dataclasses
import json
import os
import stat
import syslog
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._audit_log import append
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import DEBIAN, Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import RunBy
from ansible_collections.fleetpost.mail.plugins.module_utils._version import VERSION

CHANGE = {"domain": "a.test", "action": "change", "detail": "owner: alice -> bob"}
BY = RunBy("root", "alice", job="4711", module="mail_domains")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log/mail-domains.log"


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What the syslog of this machine is told."""
    told: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda priority, message: told.append((priority, message)))
    return told


@pytest.fixture
def layout(log: Path) -> Layout:
    log.parent.mkdir()
    return dataclasses.replace(DEBIAN, audit_log=str(log))


def lines_of(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def test_a_line_tells_what_was_done_when_and_by_whom(layout: Layout, log: Path) -> None:
    append(Tree(), layout, [{"domain": "a.test", "action": "created"}, {"domain": "b.test", "action": "removed"}], BY)
    first, second = lines_of(log)
    assert (first["domain"], first["action"], first["user"], first["pid"]) == ("a.test", "created", "root", os.getpid())
    assert (first["sudo_user"], first["job"], first["version"]) == ("alice", "4711", VERSION)
    assert "acting_as" not in first
    assert str(first["time"]).endswith("Z")
    assert second["domain"] == "b.test"


def test_lines_are_added_after_those_that_are_there(layout: Layout, log: Path) -> None:
    for number in range(3):
        append(Tree(), layout, [{**CHANGE, "number": number}], BY)
    assert [line["number"] for line in lines_of(log)] == [0, 1, 2]


def test_no_change_writes_nothing(layout: Layout, log: Path) -> None:
    append(Tree(), layout, [], BY)
    assert not log.exists()


def test_the_file_is_readable_by_its_group_only_and_keeps_the_mode_it_was_given(layout: Layout, log: Path) -> None:
    append(Tree(), layout, [CHANGE], BY)
    assert stat.S_IMODE(log.stat().st_mode) == 0o640
    log.chmod(0o600)
    append(Tree(), layout, [CHANGE], BY)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_nothing_in_a_value_begins_a_line_or_reaches_a_terminal(layout: Layout, log: Path) -> None:
    odd = 'x\n{"domain": "forged.test"}\r\x1b[2J\x00\x85\u2028\udcff"'
    append(Tree(), layout, [{**CHANGE, "detail": odd}], BY)
    raw = log.read_bytes()
    assert raw.count(b"\n") == 1
    assert all(byte == 10 or 32 <= byte < 127 for byte in raw)
    assert lines_of(log)[0]["detail"] == odd


def test_a_half_line_of_a_killed_writer_does_not_swallow_the_next(layout: Layout, log: Path) -> None:
    log.write_text('{"half')
    append(Tree(), layout, [{**CHANGE, "whole": 1}], BY)
    assert json.loads(log.read_text().splitlines()[1])["whole"] == 1


@pytest.mark.parametrize("kind", ["link", "fifo", "directory"])
def test_only_a_regular_file_is_written_to(layout: Layout, log: Path, tmp_path: Path, kind: str) -> None:
    (tmp_path / "elsewhere").write_text("kept")
    if kind == "link":
        log.symlink_to(tmp_path / "elsewhere")
    elif kind == "fifo":
        os.mkfifo(log)
    else:
        log.mkdir()
    with pytest.raises(MailError):
        append(Tree(), layout, [CHANGE], BY)
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_an_images_log_belongs_to_the_group_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    group = 4711 if os.geteuid() == 0 else os.getegid()
    (tmp_path / "etc/group").write_text(f"root:x:0:\nadm:x:{group}:syslog\n")
    append(Tree(str(tmp_path)), DEBIAN, [CHANGE], BY)
    assert (tmp_path / "var/log/mail-domains.log").stat().st_gid == group
