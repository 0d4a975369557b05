# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain takes of its owner's space before and after each removal, and a file system that is too small for an archive."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
from hosts import Host, once
from mail import letter, send_and_find
from sessions import may_log_in
from test_8_modules import HASH

from playbooks import mail_domain, mail_domains, run, run_failing

LABEL = "heavy"
# As a quota counts: the blocks of whatever a user owns on the file system, wherever it lies.
_BLOCKS = "find /var/vmail /var/backups -user \"$1\" -printf '%i %b\\n' | sort -u | awk '{ sum += $2 } END { print sum * 512 }'"
_FILL = """
mkdir -p /var/vmail/"$1"/info/Maildir/cur && cd /var/vmail/"$1"/info/Maildir/cur
head -c "$2" /dev/urandom >big && chown -R alice: /var/vmail/"$1"/info
"""
_LOOK = """
cd /var/vmail/"$1" && find . -printf '%P %u %m %Ts\\n' | sort
sha256sum info/Maildir/cur/big; grep -h "$1" /etc/exim4/domains /etc/exim4/addresses
"""
_MILLION = 1_000_000
SMALL = "/srv/small"


def _use(host: Host, user: str) -> int:
    return int(host.bash(_BLOCKS, user).stdout.strip() or 0)


def _absent(host: Host) -> str:
    """The domain is not there, whatever a test before left."""
    name = host.domain(LABEL)
    run(host, mail_domain(name=name, state="absent", removed_mail="delete"))
    return name


def _made(host: Host, size: int) -> str:
    name = _absent(host)
    run(host, mail_domains(domains=[{"name": name, "owner": "alice", "mailboxes": [{"name": "info", "password_hash": HASH}]}]))
    host.bash(_FILL, name, str(size))
    return name


@pytest.mark.parametrize("how", ["keep", "archive", "delete"])
def test_removed_mail_does_not_count_on_its_owner(mail_host: Host, how: str) -> None:
    _absent(mail_host)
    before = _use(mail_host, "alice")
    name = _made(mail_host, 5 * _MILLION)
    assert _use(mail_host, "alice") - before >= 5 * _MILLION
    run(mail_host, mail_domain(name=name, state="absent", removed_mail=how))
    assert _use(mail_host, "alice") == before
    mail_host.bash('rm -rf /var/vmail/.removed/"$1".* /var/backups/mail-domains/"$1".*', name)


def test_mail_counts_on_its_new_owner(mail_host: Host) -> None:
    _absent(mail_host)
    before = {user: _use(mail_host, user) for user in ("alice", "bob")}
    name = _made(mail_host, 5 * _MILLION)
    run(mail_host, mail_domain(name=name, owner="bob"))
    assert _use(mail_host, "alice") == before["alice"]
    assert _use(mail_host, "bob") - before["bob"] >= 5 * _MILLION
    run(mail_host, mail_domain(name=name, state="absent", removed_mail="delete"))
    assert _use(mail_host, "bob") == before["bob"]


class Cramped(NamedTuple):
    """A removal whose archive has no place: what the run said, and what was there before and after."""

    said: str
    before: str
    after: str
    left: str
    answer: str
    logs_in: bool


def _cramped(host: Host, size: int) -> Cramped:
    name = _made(host, size)
    files = (_LOOK, name)
    before = host.bash(*files).stdout
    said = run_failing(host, mail_domain(name=name, state="absent", removed_mail="archive", archive_dir=SMALL))
    after, left = host.bash(*files).stdout, host.bash('ls -A "$1" /var/vmail/.removed | grep -- "$2"', SMALL, name, check=False).stdout
    logs_in = may_log_in(host, 993, host.full(f"info@{LABEL}"))
    (sent,) = send_and_find(host, [letter(host, f"info@{LABEL}")])
    run(host, mail_domain(name=name, state="absent", removed_mail="delete"))
    return Cramped(said, before, after, left, sent.session.answer[:3], logs_in)


@once
def _estimated(host: Host) -> Cramped:
    return _cramped(host, 40 * _MILLION)


@once
def _filled(host: Host) -> Cramped:
    """Random mail does not get smaller by packing, so what just fits makes an archive that does not."""
    free = int(host.bash('df --output=avail --block-size=1 "$1" | tail -n 1', SMALL).stdout)
    return _cramped(host, free)


def test_the_space_for_an_archive_is_looked_at_first(mail_host: Host) -> None:
    assert "bytes of mail may need as much space there" in _estimated(mail_host).said


def test_a_file_system_that_fills_up_meanwhile_is_said(mail_host: Host) -> None:
    assert "No space left on device" in _filled(mail_host).said


@pytest.mark.parametrize("look", [_estimated, _filled], ids=["estimated", "filled"])
def test_without_space_for_an_archive_the_domain_is_back_with_its_mail(mail_host: Host, look: Callable[[Host], Cramped]) -> None:
    cramped = look(mail_host)
    assert "was not removed" in cramped.said
    assert cramped.after == cramped.before
    assert not cramped.left
    assert cramped.answer == "250"
    assert cramped.logs_in
