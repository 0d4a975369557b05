# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One writer at a time, released however it ends, and who holds it is told."""

from __future__ import annotations

import dataclasses
import os
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import DEBIAN, Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._lock import host_lock


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return dataclasses.replace(DEBIAN, lock_file=f"{tmp_path}/mail-domains.lock")


@contextmanager
def held_by_another(layout: Layout, shared: bool = False, seconds: float = 60.0) -> Iterator[int]:
    """Another process holds the lock for so long, or until the block ends."""
    ready, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            with host_lock(Tree(), layout, 5.0, shared=shared):
                os.write(tell, b".")
                time.sleep(seconds)
        finally:
            os._exit(0)
    os.close(tell)
    assert os.read(ready, 1) == b"."
    os.close(ready)
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_the_lock_file_is_ours_alone_and_stays(layout: Layout) -> None:
    with host_lock(Tree(), layout, 0.0):
        info = Path(layout.lock_file).stat()
        assert stat.S_IMODE(info.st_mode) == 0o600
        assert f"pid {os.getpid()} (" in Path(layout.lock_file).read_text()
    assert Path(layout.lock_file).read_text() == ""


def test_a_second_run_gives_up_in_time_and_names_the_holder(layout: Layout) -> None:
    with held_by_another(layout) as pid:
        begin = time.monotonic()
        with (
            pytest.raises(MailError, match=rf"waited: pid {pid} \(.*pytest.*\) since 20.*lock_timeout"),
            host_lock(Tree(), layout, 0.3),
        ):
            pass
        assert 0.3 <= time.monotonic() - begin < 3.0


def test_a_run_waits_for_the_one_before_it(layout: Layout) -> None:
    with held_by_another(layout, seconds=0.5), host_lock(Tree(), layout, 10.0):
        assert f"pid {os.getpid()} " in Path(layout.lock_file).read_text()


def test_the_lock_ends_with_a_killed_process(layout: Layout) -> None:
    with held_by_another(layout) as pid:
        os.kill(pid, signal.SIGKILL)
        with host_lock(Tree(), layout, 5.0):
            pass


def test_a_failing_block_releases_the_lock(layout: Layout) -> None:
    with pytest.raises(KeyError), host_lock(Tree(), layout, 0.0):
        raise KeyError
    with host_lock(Tree(), layout, 0.0):
        pass


def test_check_runs_share_the_lock_and_write_nothing(layout: Layout) -> None:
    Path(layout.lock_file).touch(0o600)
    with held_by_another(layout, shared=True), host_lock(Tree(), layout, 0.0, shared=True):
        assert Path(layout.lock_file).read_text() == ""


def test_a_check_run_waits_for_a_writer_and_a_writer_for_a_check_run(layout: Layout) -> None:
    with held_by_another(layout) as pid, pytest.raises(MailError, match=f"pid {pid} "), host_lock(Tree(), layout, 0.1, shared=True):
        pass
    with held_by_another(layout, shared=True) as pid, pytest.raises(MailError, match=f"pid {pid} "), host_lock(Tree(), layout, 0.1):
        pass


def test_a_check_run_on_a_host_without_a_lock_file_creates_none(layout: Layout) -> None:
    with host_lock(Tree(), layout, 0.0, shared=True):
        assert not Path(layout.lock_file).exists()
    assert not Path(layout.lock_file).exists()


def test_a_lock_file_that_is_removed_meanwhile_is_not_mistaken_for_the_lock(layout: Layout) -> None:
    with held_by_another(layout), host_lock_after_removal(layout):
        pass


@contextmanager
def host_lock_after_removal(layout: Layout) -> Iterator[None]:
    Path(layout.lock_file).unlink()
    with host_lock(Tree(), layout, 0.0):
        assert f"pid {os.getpid()} " in Path(layout.lock_file).read_text()
        with pytest.raises(MailError), host_lock(Tree(), layout, 0.0):
            pass
        yield


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "directory", "fifo"])
def test_what_is_no_lock_file_is_neither_followed_nor_written(layout: Layout, tmp_path: Path, kind: str) -> None:
    elsewhere, lock = tmp_path / "elsewhere", Path(layout.lock_file)
    if kind != "dangling link":
        elsewhere.write_text("kept")
    if "link" in kind and kind != "hard link":
        lock.symlink_to(elsewhere)
    elif kind == "hard link":
        lock.hardlink_to(elsewhere) if hasattr(lock, "hardlink_to") else os.link(elsewhere, lock)
    elif kind == "directory":
        lock.mkdir()
    else:
        os.mkfifo(lock)
    with pytest.raises(MailError), host_lock(Tree(), layout, 0.0):
        pass
    assert elsewhere.read_text() == "kept" if kind != "dangling link" else not elsewhere.exists()


def test_an_image_without_a_run_directory_gets_its_lock_inside(tmp_path: Path) -> None:
    with host_lock(Tree(str(tmp_path)), DEBIAN, 0.0):
        assert (tmp_path / "run/mail-domains.lock").is_file()


def count_five_times(layout: Layout, counter: Path) -> None:
    for _turn in range(5):
        with host_lock(Tree(), layout, 60.0):
            number = int(counter.read_text())
            time.sleep(0.002)
            counter.write_text(str(number + 1))


def test_many_processes_one_after_the_other(layout: Layout, tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    pids = []
    for _run in range(8):
        pid = os.fork()
        if pid == 0:
            try:
                count_five_times(layout, counter)
                os._exit(0)
            finally:
                os._exit(1)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * 8
    assert counter.read_text() == "40"
