# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each change is one line that says what, when and by whom, whatever is in it."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import stat
import syslog
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _audit_log
from ansible_collections.fleetpost.mail.plugins.module_utils._audit_log import append, checked, make_ready, refused
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


# more than one writer, and what becomes of a half one


def test_lines_of_writers_at_once_are_whole(layout: Layout, log: Path) -> None:
    def write(number: int) -> None:
        append(Tree(), layout, [{**CHANGE, "number": number, "detail": "x" * 5000}] * 20, BY)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(16)))
    numbers = [line["number"] for line in lines_of(log)]
    assert [numbers[index] for index in range(0, 320, 20)] == [numbers[index + 19] for index in range(0, 320, 20)]
    assert len(numbers) == 320


def test_whoever_may_read_the_log_cannot_stop_its_writers(layout: Layout, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_audit_log, "_LOCK_SECONDS", 0.05)
    append(Tree(), layout, [CHANGE], BY)
    with log.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        append(Tree(), layout, [CHANGE], BY)
    assert len(lines_of(log)) == 2


def test_a_log_that_is_rotated_while_its_lock_is_waited_for_is_left_alone(
    layout: Layout, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append(Tree(), layout, [CHANGE], BY)
    rotated = log.with_name("mail-domains.log.1")
    lock = _audit_log._lock

    def lock_after_rotation(descriptor: int, deadline: float) -> bool:
        if not rotated.exists():
            log.rename(rotated)
        return lock(descriptor, deadline)

    monkeypatch.setattr(_audit_log, "_lock", lock_after_rotation)
    append(Tree(), layout, [CHANGE], BY)
    assert (len(lines_of(rotated)), len(lines_of(log))) == (1, 1)


def test_what_a_full_disk_took_only_the_beginning_of_is_taken_back(layout: Layout, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(Tree(), layout, [CHANGE], BY)
    before, write = log.read_bytes(), os.write
    left = [10]

    def full(descriptor: int, content: bytes) -> int:
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[: left.pop()])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(MailError) as caught:
        append(Tree(), layout, [CHANGE], BY)
    assert "cannot write the log of changes: No space left" in str(caught.value)
    assert log.read_bytes() == before


def test_a_log_that_cannot_be_written_is_told_before_anything_is_changed(layout: Layout, log: Path) -> None:
    make_ready(Tree(), layout)
    assert log.read_bytes() == b""
    log.unlink()
    log.mkdir()
    with pytest.raises(MailError):
        make_ready(Tree(), layout)


# syslog


def test_syslog_is_told_each_change_in_words(layout: Layout, quiet: list[tuple[int, str]]) -> None:
    append(Tree(), layout, [CHANGE, {"domain": "", "action": "mend ownership", "detail": "/etc/exim4/domains"}], BY)
    who = "(user root, sudo_user alice, job 4711, module mail_domains)"
    assert quiet == [
        (syslog.LOG_NOTICE, f"change a.test: owner: alice -> bob {who}"),
        (syslog.LOG_NOTICE, f"mend ownership on this host: /etc/exim4/domains {who}"),
    ]


def test_many_changes_are_one_line_of_syslog_and_all_in_the_file(layout: Layout, log: Path, quiet: list[tuple[int, str]]) -> None:
    append(Tree(), layout, [{**CHANGE, "domain": f"d{number % 30}.test"} for number in range(51)], BY)
    ((_priority, message),) = quiet
    assert message.startswith(f"51 changes of 30 domains: 51 change; each is in {log} (user root")
    assert len(lines_of(log)) == 51


def test_a_check_run_is_one_line_of_syslog_and_none_of_the_file(layout: Layout, log: Path, quiet: list[tuple[int, str]]) -> None:
    checked(Tree(), [CHANGE, {**CHANGE, "action": "create mailbox"}], BY)
    checked(Tree(), [], BY)
    assert [message.partition(" (user")[0] for _priority, message in quiet] == [
        "check mode, 2 changes of 1 domain: 1 change, 1 create mailbox",
        "check mode, no changes",
    ]
    assert not log.exists()


def test_nothing_of_a_message_reaches_another_line_or_a_terminal(layout: Layout, quiet: list[tuple[int, str]]) -> None:
    append(Tree(), layout, [{**CHANGE, "detail": "x\n<1>forged\x1b[2J\udcff" + "y" * 5000}], BY)
    ((_priority, message),) = quiet
    assert "x?<1>forged?[2J?y" in message
    assert message.isprintable() and len(message) < 1024


def test_no_other_tree_is_told_to_the_syslog_of_this_host(tmp_path: Path, quiet: list[tuple[int, str]]) -> None:
    append(Tree(str(tmp_path)), DEBIAN, [CHANGE], BY)
    checked(Tree(str(tmp_path)), [CHANGE], BY)
    assert quiet == []


# what was refused


@pytest.mark.parametrize("check_mode", [False, True])
def test_a_refused_attempt_is_told(layout: Layout, log: Path, quiet: list[tuple[int, str]], check_mode: bool) -> None:
    error = MailError("b.test belongs to bob", "domains[0].name", "Ask bob")
    refused(Tree(), layout, [("b.test", error)], BY._replace(acting_as="alice"), check_mode)
    ((priority, message),) = quiet
    assert message.startswith("refuse b.test: b.test belongs to bob (user root, sudo_user alice, acting_as alice")
    assert priority == syslog.LOG_WARNING
    if check_mode:
        assert not log.exists()
        return
    (line,) = lines_of(log)
    assert [line[field] for field in ("action", "domain", "where", "message", "acting_as")] == [
        "refuse",
        "b.test",
        "domains[0].name",
        "b.test belongs to bob",
        "alice",
    ]
