# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Archives that somebody else made: nothing is written outside, nothing is followed, and no rights come out of them."""

from __future__ import annotations

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._unpack import read_documents, unpack_mail

DIRECTORIES = ["a.test/mail", "a.test/mail/info", "a.test/mail/info/cur"]


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.mtime = kind, len(content), 0o644, 1700000000
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def packed(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> str:
    """An archive of a mailbox with these members."""
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as tar:
        for info, content in [*(member(name, tarfile.DIRTYPE, mode=0o700) for name in DIRECTORIES), *members]:
            tar.addfile(info, io.BytesIO(content))
    path.chmod(0o600)
    return str(path)


def outside(tmp_path: Path) -> set[str]:
    return {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if not str(path).startswith(str(tmp_path / "target"))}


@pytest.mark.parametrize(
    "hostile",
    [
        [member("a.test/mail/../../escaped", content=b"x")],
        [member("/escaped", content=b"x")],
        [member("a.test/mail//escaped", content=b"x")],
        [member("a.test/mail/info/cur/..", tarfile.DIRTYPE)],
        [member("a.test/mail/info/link", tarfile.SYMTYPE, linkname="cur"), member("a.test/mail/info/link/x", content=b"x")],
        [member("a.test/mail/info/hard", tarfile.LNKTYPE, linkname="/etc/passwd")],
        [member("a.test/mail/info/hard", tarfile.LNKTYPE, linkname="a.test/mail/../../passwd")],
        [member("a.test/mail/info/hard", tarfile.LNKTYPE, linkname="a.test/ssl/key")],
        [
            member("a.test/mail/info/link", tarfile.SYMTYPE, linkname="cur/1"),
            member("a.test/mail/info/hard", tarfile.LNKTYPE, linkname="a.test/mail/info/link"),
        ],
        [member("a.test/mail/info/cur/1", content=b"one"), member("a.test/mail/info/cur/1", content=b"two")],
        [member("a.test/mail/none/1", content=b"x")],
        [member("a.test/mail", content=b"x")],
        [member("a.test/mail/info/cur/1", content=b"x", mtime=-5)],
        [member("a.test/mail/info/cur/1", content=b"x", mtime=1 << 60)],
    ],
    ids=[
        *("parent", "absolute", "empty part", "dots", "through a link", "link to a file of the system", "link with dots", "link to a key"),
        *("link to a link", "twice", "no directory", "mail is a file", "before time", "after time"),
    ],
)
def test_a_hostile_archive_is_refused_and_writes_nothing_elsewhere(tmp_path: Path, hostile: list[tuple[tarfile.TarInfo, bytes]]) -> None:
    path = packed(tmp_path / "a.tar.gz", *hostile)
    before = outside(tmp_path)
    with pytest.raises(MailError):
        unpack_mail(Tree(), path, f"{tmp_path}/target")
    assert outside(tmp_path) == before


@pytest.mark.parametrize(
    "left",
    [
        member("a.test/mail/info/x", tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("a.test/mail/info/x", tarfile.SYMTYPE, linkname="../desk/mail"),
        member("a.test/mail/info/x", tarfile.SYMTYPE, linkname="cur/../../desk"),
        member("a.test/mail/x", tarfile.SYMTYPE, linkname="info"),
        member("a.test/mail/info/x", tarfile.CHRTYPE, devmajor=1, devminor=3),
        member("a.test/mail/info/x", tarfile.BLKTYPE, devmajor=8, devminor=0),
        member("a.test/mail/info/x", tarfile.FIFOTYPE),
    ],
    ids=["absolute link", "link to another", "link with dots", "link for a mailbox", "device", "disk", "pipe"],
)
def test_links_that_lead_elsewhere_and_devices_are_left_out(tmp_path: Path, left: tuple[tarfile.TarInfo, bytes]) -> None:
    path = packed(tmp_path / "a.tar.gz", left, member("a.test/mail/info/cur/1", content=b"mail"))
    assert unpack_mail(Tree(), path, f"{tmp_path}/target") == [left[0].name[len("a.test/mail/") :]]
    assert (tmp_path / "target/info/cur/1").read_bytes() == b"mail"
    assert not (tmp_path / "target").joinpath(left[0].name[len("a.test/mail/") :]).is_symlink()


def test_what_dovecot_made_comes_out_as_it_was(tmp_path: Path) -> None:
    path = packed(
        tmp_path / "a.tar.gz",
        member("a.test/mail/info/.dovecot.sieve", tarfile.SYMTYPE, linkname="sieve/main.sieve"),
        member("a.test/mail/info/cur/1", content=b"mail", mode=0o600),
        member("a.test/mail/info/cur/2", tarfile.LNKTYPE, linkname="a.test/mail/info/cur/1"),
    )
    assert unpack_mail(Tree(), path, f"{tmp_path}/target") == []
    info = tmp_path / "target/info"
    assert os.readlink(info / ".dovecot.sieve") == "sieve/main.sieve"
    assert (info / "cur/1").samefile(info / "cur/2")
    assert {int(one.lstat().st_mtime) for one in [info, *info.rglob("*")]} == {1700000000}


def test_no_set_user_id_bit_comes_out(tmp_path: Path) -> None:
    unpack_mail(Tree(), packed(tmp_path / "a.tar.gz", member("a.test/mail/info/program", content=b"x", mode=0o6755)), f"{tmp_path}/target")
    assert stat.S_IMODE((tmp_path / "target/info/program").stat().st_mode) == 0o755


def test_what_stands_in_its_place_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "target").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MailError, match="exists"):
        unpack_mail(Tree(), packed(tmp_path / "a.tar.gz"), f"{tmp_path}/target")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_archive_behind_a_link_is_not_read(tmp_path: Path) -> None:
    packed(tmp_path / "a.tar.gz")
    (tmp_path / "link.tar.gz").symlink_to("a.tar.gz")
    with pytest.raises(MailError, match="symbolic link"):
        read_documents(Tree(), f"{tmp_path}/link.tar.gz")
