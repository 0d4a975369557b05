# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An archive holds all the mail, is complete when it has its name, and is judged here by tar and gzip."""

from __future__ import annotations

import os
import resource
import signal
import stat
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._archive import archive
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree

DOCUMENTS = {"manifest.json": b'{"format": 1}\n', "ssl/a.test.private": b"secret"}
ODD_NAMES = [b"new\nline", b"invalid-\xff-utf8", b"caf\xc3\xa9", b"-rf", b" ", b"x" * 255]
STEPS = {"open", "os.rename", "os.remove", "os.mkdir", "os.chmod", "os.truncate", "os.listdir"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    top = tmp_path / "a.test.20261123T040000Z"
    cur = top / "info/Maildir/cur"
    cur.mkdir(parents=True)
    (cur / "1.mail").write_bytes(b"mail one\n")
    (cur / "empty").write_bytes(b"")
    (cur / "big").write_bytes(os.urandom(3_000_000))
    os.link(cur / "1.mail", top / "info/copy")
    for name in ODD_NAMES:
        Path(os.fsdecode(os.path.join(os.fsencode(cur), name))).write_bytes(name)
    (top / "info/link").symlink_to("/etc/passwd")
    (top / "info/dangling").symlink_to("nowhere")
    (top / "info/program").write_bytes(b"#!/bin/sh\n")
    (top / "info/program").chmod(0o6755)
    (top / "info/empty-directory").mkdir(mode=0o700)
    return top


def in_child(action: Callable[[], object]) -> int:
    """Run `action` in a child process; its wait status, 0 when it went well."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    return os.waitpid(pid, 0)[1]


def unpacked(target: Path, where: Path) -> Path:
    where.mkdir()
    subprocess.run(["gzip", "-t", str(target)], check=True)
    subprocess.run(["tar", "-xzpf", str(target), "-C", str(where)], check=True)
    return where


def content(top: Path) -> dict[bytes, bytes]:
    found = {}
    for directory, directories, files in os.walk(os.fsencode(top)):
        for name in directories + files:
            path = os.path.join(directory, name)
            if os.path.islink(path):
                found[os.path.relpath(path, os.fsencode(top))] = b"-> " + os.readlink(path)
            else:
                found[os.path.relpath(path, os.fsencode(top))] = (
                    b"directory" if os.path.isdir(path) else Path(os.fsdecode(path)).read_bytes()
                )
    return found


def test_tar_unpacks_what_was_archived(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "archive/a.test.tar.gz"
    members, size = archive(Tree(), str(source), str(target), DOCUMENTS)
    wanted = content(source)
    assert content(unpacked(target, tmp_path / "unpacked") / source.name / "mail") == wanted
    assert members == len(wanted) + 1 + len(DOCUMENTS)
    mail = sum(path.lstat().st_size for path in source.rglob("*") if path.is_file() and not path.is_symlink())
    assert size == mail - len(b"mail one\n") + sum(map(len, DOCUMENTS.values()))
    unpacked_info = tmp_path / "unpacked" / source.name / "mail/info"
    assert (unpacked_info / "copy").samefile(unpacked_info / "Maildir/cur/1.mail")


def test_only_root_can_read_an_archive(source: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        archive(Tree(), str(source), f"{tmp_path}/archive/a.tar.gz", DOCUMENTS)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "archive").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "archive/a.tar.gz").stat().st_mode) == 0o600


def test_no_set_user_id_program_comes_out_again(source: Path, tmp_path: Path) -> None:
    archive(Tree(), str(source), f"{tmp_path}/a.tar.gz", DOCUMENTS)
    program = unpacked(tmp_path / "a.tar.gz", tmp_path / "unpacked") / source.name / "mail/info/program"
    assert stat.S_IMODE(program.stat().st_mode) == 0o755


def test_pipes_and_devices_are_left_out(source: Path, tmp_path: Path) -> None:
    os.mkfifo(source / "fifo")
    if os.geteuid() == 0:
        os.mknod(source / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    archive(Tree(), str(source), f"{tmp_path}/a.tar.gz", DOCUMENTS)
    names = subprocess.run(["tar", "-tzf", f"{tmp_path}/a.tar.gz"], check=True, capture_output=True).stdout
    assert b"fifo" not in names
    assert b"null" not in names


def test_an_existing_archive_is_never_replaced(source: Path, tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"older")
    with pytest.raises(MailError, match="exists already"):
        archive(Tree(), str(source), f"{tmp_path}/a.tar.gz", DOCUMENTS)
    assert (tmp_path / "a.tar.gz").read_bytes() == b"older"
    assert not (tmp_path / "a.tar.gz.partial").exists()


def test_no_space_leaves_the_mail_and_no_partial_file(source: Path, tmp_path: Path) -> None:
    def archive_beyond_the_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        with pytest.raises(MailError, match="File too large"):
            archive(Tree(), str(source), f"{tmp_path}/archive/a.tar.gz", DOCUMENTS)

    assert in_child(archive_beyond_the_limit) == 0
    assert list((tmp_path / "archive").iterdir()) == []
    assert (source / "info/Maildir/cur/big").stat().st_size == 3_000_000


@pytest.mark.parametrize("step", range(1, 60, 4))
def test_a_killed_run_leaves_no_incomplete_archive_and_the_next_one_completes(source: Path, tmp_path: Path, step: int) -> None:
    target = tmp_path / "archive/a.tar.gz"

    def archive_until_killed() -> None:
        seen = 0

        def count(event: str, _arguments: object) -> None:
            nonlocal seen
            if event in STEPS:
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        archive(Tree(), str(source), str(target), DOCUMENTS)

    assert in_child(archive_until_killed) in (0, signal.SIGKILL)
    if not target.exists():
        archive(Tree(), str(source), str(target), DOCUMENTS)
    assert content(unpacked(target, tmp_path / "unpacked") / source.name / "mail") == content(source)
    assert [path.name for path in target.parent.iterdir()] == ["a.tar.gz"]


def test_a_link_in_the_place_of_the_source_is_not_followed(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(MailError):
        archive(Tree(), f"{tmp_path}/link", f"{tmp_path}/a.tar.gz", DOCUMENTS)
    with pytest.raises(MailError, match="No such file"):
        archive(Tree(), f"{tmp_path}/missing", f"{tmp_path}/a.tar.gz", DOCUMENTS)
    assert not (tmp_path / "a.tar.gz.partial").exists()


@pytest.mark.parametrize("kind", ["link", "hard link"])
def test_a_planted_partial_file_is_neither_followed_nor_written(source: Path, tmp_path: Path, kind: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_bytes(b"kept")
    if kind == "link":
        (tmp_path / "a.tar.gz.partial").symlink_to(elsewhere)
    else:
        os.link(elsewhere, tmp_path / "a.tar.gz.partial")
    with pytest.raises(MailError):
        archive(Tree(), str(source), f"{tmp_path}/a.tar.gz", DOCUMENTS)
    assert elsewhere.read_bytes() == b"kept"


def test_a_directory_that_others_write_to_takes_no_archive(source: Path, tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(MailError, match="others may write"):
        archive(Tree(), str(source), f"{tmp_path}/shared/a.tar.gz", DOCUMENTS)
    (tmp_path / "shared").chmod(0o1777)
    archive(Tree(), str(source), f"{tmp_path}/shared/a.tar.gz", DOCUMENTS)


def test_many_mails_need_little_memory(tmp_path: Path) -> None:
    cur = tmp_path / "a.test/cur"
    cur.mkdir(parents=True)
    for number in range(5000):
        (cur / f"{number}").touch()
    (cur / "big").write_bytes(bytes(30_000_000))

    def archive_in_little_memory() -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        archive(Tree(), f"{tmp_path}/a.test", f"{tmp_path}/a.tar.gz", DOCUMENTS)
        # Kilobytes. 5,000 kept members alone would take 6 MB more.
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 12_000

    assert in_child(archive_in_little_memory) == 0
