# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files are written whole or not at all, wherever a run dies, and never through a link."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Ownership

ROOT = os.geteuid() == 0
UID, GID = (4242, 4343) if ROOT else (os.geteuid(), os.getegid())
TABLE = Ownership(UID, GID, 0o640)
DIRECTORY = Ownership(UID, GID, 0o711)
STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.chown", "os.chmod", "os.listdir", "shutil.rmtree"}


@pytest.fixture(params=["host", "image"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Tree:
    """The same directory as part of the host's own tree, and as a tree of its own."""
    (tmp_path / "etc").mkdir()
    return Tree("/") if request.param == "host" else Tree(str(tmp_path))


@pytest.fixture
def base(tree: Tree, tmp_path: Path) -> str:
    """What the tree calls the test's directory."""
    return str(tmp_path) if tree.is_host else ""


def child_killed_at(step: int, action: Callable[[], object]) -> bool:
    """Run `action` in a child that is killed at its n-th file system call; False once it gets to its end."""
    pid = os.fork()
    if pid == 0:
        seen = 0

        def count(event: str, _arguments: object) -> None:
            nonlocal seen
            if event in STEPS:
                seen += 1
                if seen == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        with contextlib.suppress(BaseException):
            action()
            os._exit(0)
        os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert not os.WIFEXITED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def strays(directory: Path) -> list[str]:
    return [path.name for path in directory.rglob("*") if "fleetpost" in path.name]


def ownership_of(path: Path) -> Ownership:
    info = path.lstat()
    return Ownership(info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode))


def test_a_missing_file_reads_as_none_also_below_a_missing_directory(tree: Tree, base: str) -> None:
    assert tree.read(f"{base}/etc/domains") is None
    assert tree.read(f"{base}/nowhere/at/all") is None
    assert not tree.exists(f"{base}/nowhere/at/all")


def test_what_is_written_is_read_back_with_its_owner_and_mode(tree: Tree, base: str, tmp_path: Path) -> None:
    tree.write_files([(f"{base}/etc/domains", b"a.test: x\n", TABLE), (f"{base}/etc/users", b"", TABLE)])
    assert tree.read(f"{base}/etc/domains") == b"a.test: x\n"
    assert tree.read(f"{base}/etc/users") == b""
    assert ownership_of(tmp_path / "etc/domains") == TABLE
    assert strays(tmp_path) == []


def test_the_umask_has_no_say_in_the_mode(tree: Tree, base: str, tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        tree.write_files([(f"{base}/etc/domains", b"x", TABLE)])
        tree.make_directories([(f"{base}/mail", DIRECTORY)])
    finally:
        os.umask(before)
    assert ownership_of(tmp_path / "etc/domains") == TABLE
    assert ownership_of(tmp_path / "mail") == DIRECTORY


@pytest.mark.parametrize(("number", "stride"), [(3, 1), (18, 5)])
def test_a_run_killed_at_any_step_leaves_old_or_new_files_in_order_and_the_next_run_completes(
    tree: Tree, base: str, tmp_path: Path, number: int, stride: int
) -> None:
    (tmp_path / "var").mkdir()
    names = [f"{'etc' if position % 2 else 'var'}/table{position}" for position in range(number)]
    old, new = b"old " * 3000, b"new " * 3000
    batch = [(f"{base}/{name}", new, TABLE) for name in names]
    step = 1 - stride
    while True:
        for name in names:
            (tmp_path / name).write_bytes(old)
        step += stride
        killed = child_killed_at(step, lambda: tree.write_files(batch))
        contents = [(tmp_path / name).read_bytes() for name in names]
        done = contents.count(new)
        assert contents == [new] * done + [old] * (number - done)
        if not killed:
            break
        tree.write_files(batch)
        assert all((tmp_path / name).read_bytes() == new for name in names)
        assert strays(tmp_path) == []
    assert step > 3 * number
    assert done == number


def test_a_failure_while_writing_changes_nothing_and_leaves_nothing(tree: Tree, base: str, tmp_path: Path) -> None:
    (tmp_path / "etc/domains").write_bytes(b"old")
    batch = [(f"{base}/etc/domains", b"new", TABLE), (f"{base}/etc/users", b"x" * 100_000, TABLE)]

    def write_beyond_the_limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        with pytest.raises(MailError, match="etc/users: cannot write: File too large"):
            tree.write_files(batch)

    assert not child_killed_at(0, write_beyond_the_limit)
    assert (tmp_path / "etc/domains").read_bytes() == b"old"
    assert sorted(path.name for path in (tmp_path / "etc").iterdir()) == ["domains"]


def test_a_missing_directory_fails_before_anything_is_replaced(tree: Tree, base: str, tmp_path: Path) -> None:
    (tmp_path / "etc/domains").write_bytes(b"old")
    with pytest.raises(MailError, match=r"nowhere: .*No such file or directory"):
        tree.write_files([(f"{base}/etc/domains", b"new", TABLE), (f"{base}/nowhere/users", b"new", TABLE)])
    assert (tmp_path / "etc/domains").read_bytes() == b"old"
    assert strays(tmp_path) == []


def test_strays_of_a_living_process_and_other_files_are_left_alone(tree: Tree, base: str, tmp_path: Path) -> None:
    living = tmp_path / f"etc/.users.fleetpost-{os.getppid()}-0123456789abcdef"
    dead = tmp_path / "etc/.users.fleetpost-99999999-0123456789abcdef"
    other = tmp_path / "etc/.users.fleetpost-99999999-mine"
    for path in (living, dead, other):
        path.write_bytes(b"")
    tree.write_files([(f"{base}/etc/domains", b"new", TABLE)])
    assert living.exists()
    assert other.exists()
    assert not dead.exists()


@pytest.mark.parametrize("kind", ["link", "dangling link", "directory", "fifo"])
def test_only_a_regular_file_is_read_replaced_or_removed(tree: Tree, base: str, tmp_path: Path, kind: str) -> None:
    path, elsewhere = tmp_path / "etc/domains", tmp_path / "elsewhere"
    if kind == "link":
        elsewhere.write_bytes(b"kept")
    if "link" in kind:
        path.symlink_to(elsewhere)
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(path)
    message = "symbolic link" if "link" in kind else "not a regular file"
    with pytest.raises(MailError, match=message):
        tree.read(f"{base}/etc/domains")
    with pytest.raises(MailError, match=message):
        tree.write_files([(f"{base}/etc/domains", b"new", TABLE)])
    with pytest.raises(MailError, match=message):
        tree.remove_file(f"{base}/etc/domains")
    assert elsewhere.read_bytes() == b"kept" if kind == "link" else not elsewhere.exists()


def test_in_the_hosts_own_tree_an_administrators_link_above_is_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "vmail").symlink_to("data")
    Tree().write_files([(f"{tmp_path}/vmail/file", b"x", TABLE)])
    assert (tmp_path / "data/file").read_bytes() == b"x"
    os.close(Tree().open_directory(f"{tmp_path}/vmail"))


@pytest.mark.parametrize("target", ["/", "..", "../outside", "/etc", "inside"])
def test_no_link_in_another_tree_leads_anywhere(tmp_path: Path, target: str) -> None:
    image = tmp_path / "image"
    (image / "inside").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (image / "etc").symlink_to(target)
    tree = Tree(str(image))
    calls: list[Callable[[], object]] = [
        lambda: tree.read("/etc/file"),
        lambda: tree.exists("/etc/file"),
        lambda: tree.open_directory("/etc"),
        lambda: tree.write_files([("/etc/file", b"x", TABLE)]),
        lambda: tree.make_directories([("/etc/new", DIRECTORY)]),
        lambda: tree.make_directories([("/etc", DIRECTORY)]),
        lambda: tree.set_ownership("/etc", DIRECTORY),
        lambda: tree.remove_file("/etc/file"),
        lambda: tree.rename("/inside", "/etc/inside"),
        lambda: tree.ensure_parent("/etc/run/lock"),
    ]
    for call in calls:
        with pytest.raises(MailError, match="symbolic link"):
            call()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["etc", "image", "inside", "outside"]


@pytest.mark.parametrize("path", ["etc/domains", "/etc/../domains", "/etc/./domains", "/etc//domains", "/etc/", "/etc/a\0b", "/"])
def test_a_path_that_is_not_plain_is_refused(tree: Tree, path: str) -> None:
    with pytest.raises(MailError):
        tree.write_files([(path, b"x", TABLE)])


def test_a_tree_that_does_not_exist_is_an_error_and_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(MailError, match="cannot open the file tree"):
        Tree(str(tmp_path / "typo")).read("/etc/domains")


def test_directories_are_made_with_their_parents_before_them(tree: Tree, base: str, tmp_path: Path) -> None:
    wanted = [(f"{base}/mail", DIRECTORY)]
    for domain in range(30):
        wanted.append((f"{base}/mail/d{domain}.test", DIRECTORY))
        wanted.append((f"{base}/mail/d{domain}.test/info", Ownership(UID, GID, 0o700)))
    tree.make_directories(wanted)
    tree.make_directories(wanted)
    assert ownership_of(tmp_path / "mail/d29.test") == DIRECTORY
    assert ownership_of(tmp_path / "mail/d29.test/info") == Ownership(UID, GID, 0o700)


def test_a_run_killed_while_making_directories_is_completed_by_the_next(tree: Tree, base: str, tmp_path: Path) -> None:
    step, killed = 0, True
    while killed:
        step += 1
        wanted = [(f"{base}/m{step}", DIRECTORY), (f"{base}/m{step}/info", DIRECTORY)]
        killed = child_killed_at(step, lambda wanted=wanted: tree.make_directories(wanted))  # type: ignore[misc]
        tree.make_directories(wanted)
        assert ownership_of(tmp_path / f"m{step}/info") == DIRECTORY
    assert step > 8


def test_an_existing_directory_gets_its_mode_but_no_new_owner(tree: Tree, base: str, tmp_path: Path) -> None:
    (tmp_path / "mail").mkdir(mode=0o777)
    (tmp_path / "mail/old").write_bytes(b"somebody's")
    ours = Ownership(os.geteuid(), os.getegid(), 0o711)
    tree.make_directories([(f"{base}/mail", ours)])
    assert ownership_of(tmp_path / "mail") == ours
    foreign = Ownership(os.geteuid() + 1, os.getegid(), 0o700)
    if tree.may_chown:
        with pytest.raises(MailError, match="exists and belongs to uid"):
            tree.make_directories([(f"{base}/mail", foreign)])
        assert ownership_of(tmp_path / "mail") == ours
    else:
        tree.make_directories([(f"{base}/mail", foreign)])
        assert tree.skipped_ownership


@pytest.mark.parametrize("kind", ["file", "link to a directory"])
def test_what_is_no_directory_is_not_taken_for_one(tree: Tree, base: str, tmp_path: Path, kind: str) -> None:
    if kind == "file":
        (tmp_path / "mail").write_bytes(b"")
    else:
        (tmp_path / "mail").symlink_to("etc")
    with pytest.raises(MailError):
        tree.make_directories([(f"{base}/mail", DIRECTORY)])


def test_ownership_is_set_on_files_and_directories_and_nothing_else(tree: Tree, base: str, tmp_path: Path) -> None:
    (tmp_path / "etc/domains").write_bytes(b"")
    tree.set_ownership(f"{base}/etc/domains", TABLE)
    tree.set_ownership(f"{base}/etc", DIRECTORY)
    assert ownership_of(tmp_path / "etc/domains") == TABLE
    assert ownership_of(tmp_path / "etc") == DIRECTORY
    os.mkfifo(tmp_path / "etc/fifo")
    (tmp_path / "etc/link").symlink_to("domains")
    for name in ("fifo", "link", "missing"):
        with pytest.raises(MailError):
            tree.set_ownership(f"{base}/etc/{name}", DIRECTORY)
    assert ownership_of(tmp_path / "etc/domains") == TABLE


def test_without_the_right_to_chown_ownership_is_skipped_and_that_is_told(tree: Tree, base: str, tmp_path: Path) -> None:
    tree.may_chown = False
    tree.write_files([(f"{base}/etc/mine", b"x", Ownership(os.geteuid(), os.getegid(), 0o640))])
    assert not tree.skipped_ownership
    tree.write_files([(f"{base}/etc/theirs", b"x", Ownership(os.geteuid() + 1, os.getegid(), 0o640))])
    assert tree.skipped_ownership
    assert ownership_of(tmp_path / "etc/theirs").mode == 0o640


def test_removing_tells_whether_there_was_something(tree: Tree, base: str, tmp_path: Path) -> None:
    (tmp_path / "etc/domains").write_bytes(b"")
    assert tree.remove_file(f"{base}/etc/domains")
    assert not tree.remove_file(f"{base}/etc/domains")
    assert not tree.remove_file(f"{base}/nowhere/domains")


def test_a_rename_never_replaces_anything_not_even_an_empty_directory(tree: Tree, base: str, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    with pytest.raises(MailError, match=r"new: cannot move .*old there: File exists"):
        tree.rename(f"{base}/old", f"{base}/new")
    tree.rename(f"{base}/old", f"{base}/etc/moved")
    assert (tmp_path / "etc/moved").is_dir()
    with pytest.raises(MailError, match="No such file"):
        tree.rename(f"{base}/old", f"{base}/etc/again")


def test_missing_parents_are_made_for_a_bare_image(tree: Tree, base: str, tmp_path: Path) -> None:
    tree.ensure_parent(f"{base}/var/log/mail/x.log")
    assert stat.S_IMODE((tmp_path / "var/log/mail").stat().st_mode) == 0o755
    assert not (tmp_path / "var/log/mail/x.log").exists()


def test_no_descriptor_is_left_open(tree: Tree, base: str) -> None:
    def open_now() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = open_now()
    tree.make_directories([(f"{base}/d{number}", DIRECTORY) for number in range(40)])
    tree.write_files([(f"{base}/d{number}/file", b"x", TABLE) for number in range(40)])
    with pytest.raises(MailError):
        tree.write_files([(f"{base}/d1/file", b"y", TABLE), (f"{base}/missing/file", b"y", TABLE)])
    with pytest.raises(MailError):
        tree.read(f"{base}/d1")
    assert tree.read(f"{base}/d39/file") == b"x"
    assert open_now() == before


def test_a_file_that_replaces_another_is_later_by_a_second_at_least(tmp_path):
    tree, path = Tree(str(tmp_path)), tmp_path / "users"
    moments = []
    for content in (b"one", b"two", b"six"):
        tree.write_files([("/users", content, Ownership(os.geteuid(), os.getegid(), 0o640))])
        moments.append(int(path.stat().st_mtime))
    assert moments == sorted(set(moments))
