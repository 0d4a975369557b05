# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A module that is killed by SIGKILL in the middle of its work: the same task again completes it, with every message there once."""

from __future__ import annotations

import threading
from typing import NamedTuple

from hosts import Host, once
from test_8_modules import HASH

from playbooks import Task, mail_domain, mail_domains, run, start

LABEL = "torn"
MESSAGES = 20000
ARCHIVES = "/var/backups/verify-torn"
_FILL = """
cd /var/vmail/"$1"/info && mkdir -p Maildir/cur Maildir/new Maildir/tmp
for n in $(seq "$2"); do echo "message $n" >Maildir/cur/"$n:2,S"; done && chown -R alice: .
"""
# Waits in the host itself, because the moment is short; ends every Python that the task has started.
_KILL = """
before=" $(pgrep -x python3 | tr '\\n' ' ') "
touch /tmp/verify-armed
for attempt in $(seq 2000000); do
    if {condition}; then
        for pid in $(pgrep -x python3); do case $before in *" $pid "*) ;; *) kill -KILL "$pid" ;; esac; done
        exit 0
    fi
done
exit 1
"""
_STATE = """
cd /var/vmail/"$1"/info/Maildir/cur && find . -type f -printf '%u\\n' | sort | uniq -c | tr -s ' '
cat -- * | sort -u | wc -l
"""


class Kill(NamedTuple):
    """How the killed run ended, and what was there after the next one."""

    status: int
    after: str
    left: str


def _killed(host: Host, task: Task, condition: str, name: str) -> Kill:
    caught = []
    script = _KILL.replace("{condition}", condition.replace("NAME", name))
    watcher = threading.Thread(target=lambda: caught.append(host.bash(script, check=False, timeout=100).status))
    watcher.start()
    killed = start(host, [task]).finish()
    watcher.join()
    assert caught == [0], f"the moment was missed:\n{killed.output[-1500:]}"
    run(host, task)
    state = host.bash(_STATE, name, check=False).stdout
    left = host.bash('ls -A /var/vmail/.removed "$2" 2>/dev/null | grep -- "$1"', name, ARCHIVES, check=False).stdout
    return Kill(killed.status, state, left)


@once
def _kills(host: Host) -> dict[str, Kill]:
    name = host.domain(LABEL)
    run(host, mail_domains(domains=[{"name": name, "owner": "alice", "mailboxes": [{"name": "info", "password_hash": HASH}]}]))
    host.bash(_FILL, name, str(MESSAGES))
    kills = {}
    tree = "/var/vmail/NAME/info/Maildir/cur"
    first = f'[ "$(stat --format %U {tree}/1:2,S)" = bob ]'
    kills["owner"] = _killed(host, mail_domain(name=name, owner="bob"), first, name)
    archived = mail_domain(name=name, state="absent", removed_mail="archive", archive_dir=ARCHIVES)
    kills["archive"] = _killed(host, archived, f"compgen -G '{ARCHIVES}/*.partial' >/dev/null", name)
    source = host.bash('ls "$1"/*.tar.gz', ARCHIVES).stdout.strip()
    staged = "[ -e /var/vmail/.removed/NAME.restoring/mail/info/Maildir/cur ]"
    kills["restore"] = _killed(host, mail_domain(name=name, restore_from=source), staged, name)
    gone = "[ ! -e /var/vmail/NAME ]"
    kills["keep"] = _killed(host, mail_domain(name=name, state="absent", removed_mail="keep"), gone, name)
    source = host.bash('ls -d /var/vmail/.removed/"$1".*Z', name).stdout.strip()
    given = '[ "$(stat --format %U /var/vmail/.removed/NAME.*Z/info/Maildir/cur/1:2,S 2>/dev/null)" = bob ]'
    kills["restore kept"] = _killed(host, mail_domain(name=name, restore_from=source), given, name)
    kills["delete"] = _killed(host, mail_domain(name=name, state="absent", removed_mail="delete"), gone, name)
    host.run("rm", "-r", ARCHIVES)
    return kills


def _whole(owner: str) -> list[str]:
    return [f" {MESSAGES} {owner}", str(MESSAGES)]


def test_each_run_was_killed(mail_host: Host) -> None:
    assert {how: kill.status != 0 for how, kill in _kills(mail_host).items()} == dict.fromkeys(_kills(mail_host), True)


def test_an_owner_change_is_completed_by_the_next_run(mail_host: Host) -> None:
    assert _kills(mail_host)["owner"].after.splitlines() == _whole("bob")


def test_an_archive_is_completed_by_the_next_run(mail_host: Host) -> None:
    kill = _kills(mail_host)["archive"]
    assert len(kill.left.splitlines()) == 1 and kill.left.strip().endswith(".tar.gz")


def test_a_restoration_is_completed_by_the_next_run(mail_host: Host) -> None:
    kills = _kills(mail_host)
    assert kills["restore"].after.splitlines() == _whole("bob")
    assert kills["restore kept"].after.splitlines() == _whole("bob")
    assert ".restoring" not in kills["restore"].left + kills["restore kept"].left


def test_a_removal_is_completed_by_the_next_run(mail_host: Host) -> None:
    kills = _kills(mail_host)
    kept = [line for line in kills["keep"].left.splitlines() if not line.endswith(".gz")]
    assert len(kept) == 2 and kept[1] == f"{kept[0]}.json"
    assert not [line for line in kills["delete"].left.splitlines() if not line.endswith(".gz")]
