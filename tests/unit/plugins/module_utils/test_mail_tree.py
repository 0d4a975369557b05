# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mail directories are full of what users put there; none of it leads anywhere else."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _mail_tree
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Ownership

ROOT = os.geteuid() == 0
OWNER = 4242 if ROOT else os.geteuid()
OTHER = 4300 if ROOT else os.geteuid()
GROUP = 4343 if ROOT else os.getegid()
ODD_NAMES = [b"new\nline", b"invalid-\xff-utf8", b"caf\xc3\xa9", b"-rf", b" ", b"\\", b"x" * 255, b"*", b"..."]


def tree() -> Tree:
    return Tree()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory and a file elsewhere that belong to somebody and must stay as they are."""
    directory = tmp_path / "outside"
    directory.mkdir(mode=0o755)
    (directory / "secret").write_text("secret")
    return directory


@pytest.fixture
def mail(tmp_path: Path, outside: Path) -> Path:
    """A mail directory with everything that a user could plant."""
    top = tmp_path / "a.test"
    maildir = top / "info/Maildir"
    for folder in ("cur", "new", "tmp"):
        (maildir / folder).mkdir(parents=True)
    (maildir / "cur/1.mail").write_text("mail")
    os.link(maildir / "cur/1.mail", maildir / "new/1.copy")
    for name in ODD_NAMES:
        Path(os.fsdecode(os.path.join(os.fsencode(maildir), name))).write_text("odd")
    (maildir / "to-directory").symlink_to(outside)
    (maildir / "to-file").symlink_to(outside / "secret")
    (maildir / "to-root").symlink_to("/")
    (maildir / "to-itself").symlink_to("to-itself")
    (maildir / "dangling").symlink_to("nowhere")
    os.mkfifo(maildir / "fifo")
    os.mknod(maildir / "socket", stat.S_IFSOCK | 0o600)
    if ROOT:
        os.mknod(maildir / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    own(top, OWNER)
    return top


def own(top: Path, uid: int) -> None:
    os.lchown(top, uid, GROUP)
    for directory, directories, files in os.walk(os.fsencode(top)):
        for name in directories + files:
            os.lchown(os.path.join(directory, name), uid, GROUP)


def entries(top: Path) -> dict[bytes, os.stat_result]:
    found = {b"": os.lstat(top)}
    for directory, directories, files in os.walk(os.fsencode(top)):
        for name in directories + files:
            path = os.path.join(directory, name)
            found[os.path.relpath(path, os.fsencode(top))] = os.lstat(path)
    return found


def owners(top: Path) -> set[int]:
    return {info.st_uid for info in entries(top).values()}


def state(outside: Path) -> list[tuple[int, int, int]]:
    return [(info.st_uid, info.st_gid, info.st_mode) for _name, info in sorted(entries(outside).items())]


def deep_tree(top: Path, depth: int) -> None:
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for level in range(depth):
        with open(os.open(f"file{level}", os.O_CREAT | os.O_WRONLY, dir_fd=here), "wb") as file:
            file.write(b"x")
        os.mkdir("directory-of-some-length", dir_fd=here)
        below = os.open("directory-of-some-length", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


def test_mail_is_set_aside_as_roots_and_nothing_outside_is_touched(mail: Path, outside: Path, tmp_path: Path) -> None:
    before, content = state(outside), entries(mail).keys()
    assert _mail_tree.set_aside(tree(), str(mail), f"{tmp_path}/.removed/a.test.1")
    aside = tmp_path / ".removed/a.test.1"
    assert not mail.exists()
    assert entries(aside).keys() == content
    assert owners(aside) == {os.geteuid()}
    assert stat.S_IMODE((tmp_path / ".removed").stat().st_mode) == 0o700
    assert state(outside) == before


def test_setting_aside_again_finishes_what_an_interrupted_run_began(mail: Path, tmp_path: Path) -> None:
    target = tmp_path / ".removed/a.test.1"
    target.parent.mkdir(mode=0o700)
    mail.rename(target)
    for _run in range(2):
        assert _mail_tree.set_aside(tree(), str(mail), str(target))
        assert owners(target) == {os.geteuid()}


def test_setting_aside_nothing_says_so_and_creates_nothing(tmp_path: Path) -> None:
    assert not _mail_tree.set_aside(tree(), f"{tmp_path}/a.test", f"{tmp_path}/.removed/a.test.1")
    assert list(tmp_path.iterdir()) == []


def test_mail_that_came_back_is_never_mixed_with_what_was_set_aside(mail: Path, tmp_path: Path) -> None:
    (tmp_path / ".removed/a.test.1").mkdir(parents=True)
    with pytest.raises(MailError, match="exists already"):
        _mail_tree.set_aside(tree(), str(mail), f"{tmp_path}/.removed/a.test.1")
    assert owners(mail) == {OWNER}


@pytest.mark.parametrize("planted", ["source", "removed", "target"])
def test_a_link_in_the_place_of_a_directory_is_refused(mail: Path, outside: Path, tmp_path: Path, planted: str) -> None:
    before = state(outside)
    removed = tmp_path / ".removed"
    if planted == "removed":
        removed.symlink_to(outside)
    else:
        removed.mkdir(mode=0o700)
    if planted == "target":
        (removed / "a.test.1").symlink_to(outside)
    source = tmp_path / "linked"
    source.symlink_to(outside)
    with pytest.raises(MailError):
        _mail_tree.set_aside(tree(), str(source if planted == "source" else mail), f"{removed}/a.test.1")
    assert state(outside) == before
    assert owners(mail) == {OWNER}


def test_a_failed_removal_puts_everything_back(mail: Path, tmp_path: Path) -> None:
    content, target = entries(mail).keys(), f"{tmp_path}/.removed/a.test.1"
    _mail_tree.set_aside(tree(), str(mail), target)
    top = Ownership(os.geteuid(), os.getegid(), 0o711)
    for _run in range(2):
        assert _mail_tree.put_back(tree(), target, str(mail), OWNER, GROUP, top=top)
    assert entries(mail).keys() == content
    assert (mail.stat().st_uid, stat.S_IMODE(mail.stat().st_mode)) == (os.geteuid(), 0o711)
    assert owners(mail / "info") == {OWNER}


def test_another_owner_gets_what_was_the_old_ones_and_nothing_else(mail: Path, outside: Path) -> None:
    before = state(outside)
    (mail / "info/roots").write_text("")
    (mail / "roots").mkdir()
    foreign = {b"info/roots", b"roots"} if ROOT else set()
    assert _mail_tree.chown_tree(tree(), str(mail), OWNER, OTHER, GROUP) == []
    assert {name for name, info in entries(mail).items() if info.st_uid != OTHER} == foreign
    assert state(outside) == before


def test_changing_the_owner_can_be_interrupted_and_repeated(mail: Path) -> None:
    own(mail / "info/Maildir/cur", OTHER)
    for _run in range(2):
        _mail_tree.chown_tree(tree(), str(mail), OWNER, OTHER, GROUP)
        assert owners(mail) == {OTHER}


def test_a_file_that_is_also_somewhere_else_keeps_its_owner_and_is_told(mail: Path, outside: Path) -> None:
    os.link(mail / "info/Maildir/cur/1.mail", outside / "backup")
    (outside / "theirs").write_text("owner's, elsewhere")
    os.lchown(outside / "theirs", OWNER, GROUP)
    os.link(outside / "theirs", mail / "info/planted")
    left = _mail_tree.chown_tree(tree(), str(mail), OWNER, OTHER, GROUP)
    assert left == (["info/Maildir/cur/1.mail", "info/Maildir/new/1.copy", "info/planted"] if ROOT else [])
    assert (outside / "theirs").stat().st_uid == OWNER
    assert (outside / "backup").stat().st_uid == OWNER
    assert (mail / "info").stat().st_uid == OTHER


def test_a_set_user_id_program_does_not_become_roots(mail: Path, tmp_path: Path) -> None:
    program = mail / "info/program"
    program.write_text("#!/bin/sh")
    os.chown(program, OWNER, GROUP)
    program.chmod(0o4755)
    _mail_tree.set_aside(tree(), str(mail), f"{tmp_path}/.removed/a.test.1")
    info = (tmp_path / ".removed/a.test.1/info/program").stat()
    assert not (ROOT and info.st_mode & stat.S_ISUID)


def test_without_the_right_to_chown_the_rest_is_done_and_that_is_told(mail: Path, tmp_path: Path) -> None:
    limited = tree()
    limited.may_chown = False
    assert _mail_tree.set_aside(limited, str(mail), f"{tmp_path}/.removed/a.test.1")
    assert limited.skipped_ownership
    assert owners(tmp_path / ".removed/a.test.1") == {OWNER}


def test_deleting_removes_all_of_it_and_nothing_else(mail: Path, outside: Path) -> None:
    before = state(outside)
    assert _mail_tree.delete_tree(tree(), str(mail))
    assert not mail.exists()
    assert state(outside) == before
    assert not _mail_tree.delete_tree(tree(), str(mail))


@pytest.mark.parametrize("kind", ["link", "file"])
def test_what_is_no_directory_is_not_deleted(outside: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.test"
    if kind == "link":
        path.symlink_to(outside)
    else:
        path.write_text("")
    with pytest.raises(MailError, match="not a directory"):
        _mail_tree.delete_tree(tree(), str(path))
    assert (outside / "secret").exists()
    assert path.exists()


def test_deleting_gets_to_its_end_while_others_still_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    top = tmp_path / "a.test"
    (top / "cur").mkdir(parents=True)
    remove, late = os.rmdir, iter(range(5))

    def rmdir(name: str, **how: Any) -> None:
        """In the moment before the tree itself goes, the first times, something more is delivered into it."""
        number = next(late, None) if name == top.name else None
        if number is not None:
            (top / f"folder{number}").mkdir()
            (top / f"folder{number}" / "mail").write_text("late")
        remove(name, **how)

    monkeypatch.setattr(os, "rmdir", rmdir)
    assert _mail_tree.delete_tree(tree(), str(top))
    assert next(late, None) is None
    assert not top.exists()


def test_a_tree_deeper_than_any_path_or_limit_of_open_files_is_handled(tmp_path: Path) -> None:
    depth = 1200
    deep_tree(tmp_path / "a.test", depth)
    assert _mail_tree.usage(tree(), f"{tmp_path}/a.test") == (depth, depth)
    assert _mail_tree.set_aside(tree(), f"{tmp_path}/a.test", f"{tmp_path}/.removed/a.test.1")
    assert _mail_tree.put_back(tree(), f"{tmp_path}/.removed/a.test.1", f"{tmp_path}/a.test", OWNER, GROUP)
    assert _mail_tree.chown_tree(tree(), f"{tmp_path}/a.test", OWNER, OTHER, GROUP) == []
    assert _mail_tree.delete_tree(tree(), f"{tmp_path}/a.test")


def test_thousands_of_files_are_handled(tmp_path: Path) -> None:
    cur = tmp_path / "a.test/cur"
    cur.mkdir(parents=True)
    for number in range(3000):
        (cur / f"{number}").touch()
    assert _mail_tree.usage(tree(), f"{tmp_path}/a.test") == (0, 3000)
    assert _mail_tree.chown_tree(tree(), f"{tmp_path}/a.test", os.geteuid(), OTHER, GROUP) == []
    assert owners(tmp_path / "a.test") == {OTHER}
    assert _mail_tree.delete_tree(tree(), f"{tmp_path}/a.test")


def test_usage_counts_a_file_with_two_names_once_and_no_links(mail: Path) -> None:
    assert _mail_tree.usage(tree(), str(mail)) == (len("mail") + len("odd") * len(ODD_NAMES), 1 + len(ODD_NAMES))
    assert _mail_tree.usage(tree(), f"{mail}/nowhere") == (0, 0)


def test_only_a_directory_without_entries_is_empty(mail: Path) -> None:
    (mail / "empty").mkdir()
    assert _mail_tree.is_empty_directory(tree(), f"{mail}/empty")
    assert not _mail_tree.is_empty_directory(tree(), str(mail))
    assert not _mail_tree.is_empty_directory(tree(), f"{mail}/nowhere")


def test_a_directory_moved_away_while_it_is_walked_does_not_lead_out(mail: Path, outside: Path) -> None:
    top = os.open(mail, os.O_RDONLY)
    try:
        with pytest.raises(MailError, match="moved meanwhile"):
            for visit in _mail_tree.walk(top, str(mail)):
                if visit.name == "cur" and not visit.leaving:
                    (mail / "info/Maildir").rename(outside / "Maildir")
    finally:
        os.close(top)
    assert (outside / "secret").exists()


def test_a_directory_replaced_by_a_link_while_it_is_walked_is_not_entered(mail: Path, outside: Path) -> None:
    met = []
    top = os.open(mail, os.O_RDONLY)
    try:
        for visit in _mail_tree.walk(top, str(mail)):
            met.append(visit.name)
            if visit.name == "cur" and not visit.leaving:
                (mail / "info/Maildir/cur").rename(mail / "info/aside")
                (mail / "info/Maildir/cur").symlink_to(outside)
    finally:
        os.close(top)
    assert "secret" not in met


def test_no_descriptor_is_left_open(mail: Path, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    _mail_tree.usage(tree(), str(mail))
    _mail_tree.chown_tree(tree(), str(mail), OWNER, OTHER, GROUP)
    _mail_tree.set_aside(tree(), str(mail), f"{tmp_path}/.removed/x")
    _mail_tree.delete_tree(tree(), f"{tmp_path}/.removed/x")
    assert len(os.listdir("/proc/self/fd")) == before
