# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs of the modules on a host in use: at once, exactly as announced, whole or not at all, nobody else's files."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hosts import TABLES, Host, header
from lab import PASSWORD
from mail import letter, places, send, send_and_find
from sessions import may_log_in

from playbooks import Task, mail_domain, mail_domains, mailbox, run, run_failing, start

# Of PASSWORD: hashing takes time that no test here is about.
HASH = "{SHA512-CRYPT}$6$fleetpostmail$jFoHAEyShav7ehsrwzteLiyfQ8NrG0C0X6FEmH6M6a3Ty6LaLi3TW9QxEiFzhx1nfhEuVuQxbZu5ns9Q9bNgl0"


def _only_declared(removed_mail: str = "delete") -> Task:
    """What the inventory declares and nothing else."""
    return mail_domains(domains="{{ mail_domains_list }}", prune=True, prune_limit="100%", removed_mail=removed_mail)


def test_a_new_domain_works_at_once_without_a_reload(mail_host: Host) -> None:
    name = mail_host.domain("new")
    if mail_host.lines_about(name):  # of an earlier round of these tests
        run(mail_host, _only_declared())
    before = mail_host.daemon_pid()
    done = run(
        mail_host,
        mail_domains(
            domains=[{"name": name, "owner": "alice", "mailboxes": [{"name": "info", "password": PASSWORD, "aliases": ["hello"]}]}]
        ),
    )
    sent = send_and_find(mail_host, [letter(mail_host, "hello@new"), letter(mail_host, "nobody@new")])
    assert done.results[0]["changed_domains"] == [name]
    assert sent[0].places == ["info@new"]
    assert sent[1].session.answer.startswith("550 5.1.1")
    assert may_log_in(mail_host, 993, f"info@{name}") and may_log_in(mail_host, 587, f"info@{name}")
    assert mail_host.daemon_pid() == before
    last = mail_host.run("tail", "-n", "3", "/var/log/mail-domains.log").stdout
    assert name in last and "$" not in last and PASSWORD not in last
    assert all(isinstance(json.loads(line), dict) for line in last.splitlines())


def test_a_second_run_changes_nothing_and_writes_nothing(mail_host: Host) -> None:
    look = ["stat", "--format", "%n %i %Z", *TABLES, "/etc/exim4/exim4.conf", "/etc/dovecot/dovecot.conf", "/var/log/mail-domains.log"]
    before = mail_host.run(*look).stdout
    done = run(mail_host, mail_domains(domains="{{ mail_domains_list }}"), options=["--diff"])
    assert not done.results[0]["changed"] and not done.results[0]["actions"]
    assert mail_host.run(*look).stdout == before


def test_what_the_info_module_returns_changes_nothing_when_it_is_fed_back(mail_host: Host) -> None:
    done = run(
        mail_host,
        {"fleetpost.mail.mail_domain_info": {"export_file": "/root/export.json"}, "register": "mail"},
        mail_domains(domains="{{ mail.domains }}"),
        mail_domains(src="/root/export.json", remote_src=True, prune=True),
    )
    info, again, export = done.results
    assert mail_host.domain("by-domain") in [domain["name"] for domain in info["domains"]]
    assert not again["changed"] and not export["changed"]
    unhealthy = [status for status in info["status"] if not status["healthy"]]
    assert not unhealthy
    assert "$6$" not in json.dumps(info) and "$2y$" not in json.dumps(info)
    assert mail_host.run("stat", "--format", "%a %U", "/root/export.json").stdout.split() == ["600", "root"]


# --- exactly as announced


def _announced_change(host: Host) -> list[Task]:
    """One of everything: a domain and a mailbox created, changed and removed."""
    return [
        mail_domains(
            domains=[
                {
                    "name": host.domain("new"),
                    "owner": "bob",
                    "default_action": "discard",
                    "mailboxes": [{"name": "more", "password_hash": HASH}],
                },
                {"name": host.domain("newer"), "default_action": "forward_to_domain", "forward_to": host.domain("new")},
                {"name": host.domain("address"), "mailboxes": [{"name": "info", "quota": "3G", "aliases": ["hello"]}]},
            ]
        ),
    ]


@contextmanager
def _marks_by_hand(host: Host) -> Iterator[None]:
    """A comment above a line, a comment at the end, and keys that the collection does not know."""
    script = r"""
    set -e
    sed -i "/^address\.$1:/i # ask Bob before changing this" /etc/exim4/domains
    sed -i "/^address\.$1:/s/\$/ note=hand colour=\"dark red\"/" /etc/exim4/domains
    sed -i "/^info@address\.$1:/s/\$/ note=hand/; \$a # the end" /etc/exim4/addresses
    """
    host.bash(script, host.zone)
    try:
        yield
    finally:
        host.bash("sed -i 's/ note=hand//; s/ colour=\"dark red\"//; /^# ask Bob/d; /^# the end/d' /etc/exim4/{domains,addresses}")


def test_check_mode_announces_exactly_what_the_run_does_and_hand_written_parts_stay(mail_host: Host) -> None:
    with _marks_by_hand(mail_host):
        before = mail_host.tables()
        checked = run(mail_host, *_announced_change(mail_host), options=["--check", "--diff"])
        assert mail_host.tables() == before, "check mode wrote"
        done = run(mail_host, *_announced_change(mail_host), options=["--diff"])
        after = mail_host.tables()
    assert checked.diff == done.diff
    assert [checked.results[0][key] for key in ("actions", "counts")] == [done.results[0][key] for key in ("actions", "counts")]
    assert HASH not in done.output and "$6$" not in done.output
    lines = {line for text in after.values() for line in text.splitlines()}
    shown = [line[1:] for line in done.diff.splitlines() if re.match(r"\+\S+\.test: ", line)]
    assert shown and set(shown) <= lines, "the diff shows lines that are in no table"
    _assert_marks(mail_host, after)


def _assert_marks(host: Host, tables: dict[str, str]) -> None:
    domains, addresses = tables["/etc/exim4/domains"].splitlines(), tables["/etc/exim4/addresses"].splitlines()
    place = next(number for number, line in enumerate(domains) if line.startswith(f"{host.domain('address')}:"))
    assert domains[place - 1] == "# ask Bob before changing this"
    assert domains[place].endswith('note=hand colour="dark red"')
    line = next(line for line in addresses if line.startswith(host.full("info@address:")))
    assert "note=hand" in line and "quota=3G" in line
    assert addresses.count("# the end") == 1


def test_a_broken_line_stops_the_run_before_anything_is_written(mail_host: Host) -> None:
    mail_host.bash("echo 'this is no line of a table' >>/etc/exim4/addresses")
    try:
        before = mail_host.tables()
        number = len(before["/etc/exim4/addresses"].splitlines())
        message = run_failing(mail_host, mail_domain(name=mail_host.domain("newest")))
        assert "/etc/exim4/addresses" in message and str(number) in message, message
        assert mail_host.tables() == before
        assert mail_host.run("test", "-e", f"/var/vmail/{mail_host.domain('newest')}", check=False).status != 0
    finally:
        mail_host.run("sed", "-i", "$d", "/etc/exim4/addresses")


def test_all_errors_of_a_list_come_at_once_with_their_places(mail_host: Host) -> None:
    before = mail_host.tables()
    message = run_failing(
        mail_host,
        mail_domains(
            domains=[
                {"name": mail_host.domain("fine")},
                {"name": "not a domain"},
                {"name": mail_host.domain("late"), "owner": "root"},
                {"name": mail_host.fqdn},
                {"name": mail_host.domain("far"), "ip_addresses": ["192.0.2.99"]},
                {"name": mail_host.domain("box"), "mailboxes": [{"name": "|/bin/sh", "password_hash": HASH}]},
                {"name": mail_host.domain("to"), "default_action": "forward_to_domain", "forward_to": mail_host.domain("nowhere")},
            ]
        ),
    )
    places_named = [f"domains[{number}]" for number in range(1, 7)]
    assert [place for place in places_named if place not in message] == [], message
    assert "domains[0]" not in message
    assert mail_host.tables() == before


# --- nobody else's files


_PLANT = r"""
set -e
mkdir -p /home/alice/treasure
echo SECRET-treasure >/home/alice/treasure/file
echo SECRET-single >/home/alice/single
echo SECRET-hard >/home/alice/hard
chown -R alice:alice /home/alice
chmod 755 /home/alice
runuser -u alice -- bash -c '
    cd "/var/vmail/$1/info/Maildir"
    ln -s /home/alice/treasure treasure
    ln -s /home/alice/single cur/single
    ln -s /etc/passwd new/passwd
    ln -s /home/alice/treasure .Folder
    ln /home/alice/hard cur/hard
    mkdir deep && ln -s ../../../../../../home/alice/treasure deep/up
' bash "$1"
"""
_VICTIMS = "cd /home/alice && stat --format '%n %U %a' treasure treasure/file single hard /etc/passwd && cat treasure/file single hard"


def _domain_with_links(host: Host, label: str) -> str:
    """A domain of alice with one message, in whose mailbox she has put links to files elsewhere."""
    run(
        host, mail_domains(domains=[{"name": host.domain(label), "owner": "alice", "mailboxes": [{"name": "info", "password_hash": HASH}]}])
    )
    sent = send_and_find(host, [letter(host, f"info@{label}")])
    assert sent[0].places == [f"info@{label}"]
    host.bash(_PLANT, host.domain(label))
    return host.bash(_VICTIMS).stdout


def test_links_in_a_mailbox_lead_neither_chown_nor_archive_nor_removal_away(mail_host: Host) -> None:
    before = _domain_with_links(mail_host, "links")
    name = mail_host.domain("links")
    run(mail_host, mail_domain(name=name, owner="bob"))
    assert mail_host.bash(_VICTIMS).stdout == before, "chown followed a link"
    owners = mail_host.run("find", f"/var/vmail/{name}/info", "-not", "-name", "hard", "-printf", "%u\n").stdout.split()
    assert set(owners) == {"bob"}
    one = letter(mail_host, "info@links")
    assert send_and_find(mail_host, [one])[0].places == ["info@links"]
    assert may_log_in(mail_host, 993, f"info@{name}")
    archives = "/var/backups/verify-links"
    run(mail_host, mail_domain(name=name, state="absent", removed_mail="archive", archive_dir=archives))
    assert mail_host.bash(_VICTIMS).stdout == before, "the archive or its removal followed a link"
    assert mail_host.run("test", "-e", f"/var/vmail/{name}", check=False).status != 0
    listing = mail_host.bash('tar -tvzf "$1"/*.tar.gz', archives).stdout
    content = mail_host.bash('tar -xOzf "$1"/*.tar.gz', archives).stdout
    assert "treasure" in listing and one.token in content
    assert "SECRET-treasure" not in content and "SECRET-single" not in content and "root:x:0" not in content
    mail_host.run("rm", "-r", archives)


@pytest.mark.parametrize("fate", ["keep", "delete"])
def test_links_in_a_mailbox_do_not_lead_its_removal_away(mail_host: Host, fate: str) -> None:
    before = _domain_with_links(mail_host, fate)
    name = mail_host.domain(fate)
    run(mail_host, mail_domain(name=name, state="absent", removed_mail=fate))
    assert mail_host.bash(_VICTIMS).stdout == before
    kept = mail_host.bash('find /var/vmail/.removed -maxdepth 1 -name "$1.*" -printf "%u %m\n" | sort', name).stdout.split("\n")[:-1]
    assert kept == (["root 600", "root 711"] if fate == "keep" else [])
    if fate == "keep":
        alices = mail_host.bash('find /var/vmail/.removed/"$1".* -user alice -not -name hard', name).stdout
        assert not alices, "mail set aside still counts on its owner's quota"
        mail_host.bash('rm -r /var/vmail/.removed/"$1".*', name)


# --- several at once, and runs that are killed


def test_two_runs_at_once_lose_nothing(mail_host: Host) -> None:
    names = [f"{{{{ inventory_hostname }}}}-{number}.{mail_host.zone}" for number in range(20)]
    done = start(mail_host, [mail_domain(name=name) for name in names], aliases=["first", "second"]).finish()
    assert done.status == 0, done.output[-3000:]
    assert sum(result["changed"] for result in done.results) == 40
    domains = mail_host.tables()["/etc/exim4/domains"]
    expected = [f"{run_}-{number}.{mail_host.zone}:" for run_ in ("first", "second") for number in range(20)]
    assert [name for name in expected if f"\n{name} " not in domains] == []
    found = mail_host.bash("cd /var/vmail && ls -d first-* second-*").stdout.split()
    assert len(found) == 40


# Kills the module's process as soon as one of these happens.
_KILL = r"""
import os, signal, sys, time
watched = sys.argv[1]
def state():
    try:
        info = os.stat(watched)
        return (info.st_ino, info.st_mtime_ns)
    except FileNotFoundError:
        return None
def runs():
    # Ansible hands a module to a Python that has no other argument.
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            words = open("/proc/%s/cmdline" % pid, "rb").read().split(b"\0")
        except OSError:
            continue
        if words == [b"/usr/bin/python3", b""]:
            yield int(pid)
before = state()
deadline = time.monotonic() + 30
print("watching", flush=True)
while state() == before:
    if time.monotonic() > deadline:
        sys.exit("nothing happened to " + watched)
    time.sleep(0.0002)
for pid in list(runs()):
    os.kill(pid, signal.SIGKILL)
print("killed")
"""
_CREATION = ["/var/vmail/{}", "/etc/dovecot/users", "/etc/exim4/addresses", "/etc/exim4/domains"]
_REMOVAL = ["/etc/dovecot/users", "/etc/exim4/domains", "/var/vmail/{}", "/etc/exim4/addresses"]


def _killed_at(host: Host, watched: str, *tasks: Task) -> bool:
    """A run whose module is killed as soon as the watched file changes; whether that came before its end."""
    killer = subprocess.Popen(
        ["podman", "exec", host.name, "python3", "-u", "-c", _KILL, watched], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert killer.stdout is not None
    assert killer.stdout.readline() == "watching\n"
    done = start(host, tasks).finish()
    seen = killer.communicate(timeout=60)[0]
    assert seen == "killed\n", f"{seen}{done.output[-2000:]}"
    return done.status != 0


def test_killed_runs_are_completed_by_the_next(mail_host: Host) -> None:
    """Creation and removal, killed at each step that can be seen from outside; what was served goes on being served."""
    name = mail_host.domain("killed")
    entry = {"name": name, "owner": "alice", "mailboxes": [{"name": f"box{number}", "password_hash": HASH} for number in range(30)]}
    create = mail_domains(domains=[entry])
    remove = _only_declared()
    died = 0
    for moment, later in zip(_CREATION, _REMOVAL):
        died += _killed_at(mail_host, moment.format(name), create)
        session = send([letter(mail_host, "info@reject", "--quit-after", "RCPT")])[0]
        assert session.accepted, f"other mail was refused after a kill at {moment}: {session.answer}"
        run(mail_host, create)
        one = letter(mail_host, "box7@killed")
        assert send_and_find(mail_host, [one])[0].places == ["box7@killed"], f"after a kill at {moment}"
        died += _killed_at(mail_host, later.format(name), remove)
        run(mail_host, remove)
        assert not mail_host.lines_about(name), f"after a kill at {later}"
        left = mail_host.bash('ls -d /var/vmail/"$1" /var/vmail/.removed/"$1".* 2>/dev/null || true', name).stdout
        assert not left, f"after a kill at {later}"
    assert died >= len(_CREATION), "most runs ended before they were killed"
    leftovers = mail_host.bash("find /etc/exim4 /etc/dovecot /var/vmail -maxdepth 1 -name '.*' -not -name .removed -mindepth 1").stdout
    assert not leftovers, "temporary files of killed runs"


def test_pruning_leaves_what_is_declared(mail_host: Host) -> None:
    run(mail_host, _only_declared())
    text = mail_host.tables()["/etc/exim4/domains"]
    assert "new." not in text and "first-" not in text
    again = run(mail_host, _only_declared())
    assert not again.results[0]["changed"]


def test_a_mailbox_can_be_declared_alone(mail_host: Host) -> None:
    address = mail_host.full("single@switch")
    run(mail_host, mailbox(address=address, password_hash=HASH, quota="2G", forward_to=["info@one." + mail_host.zone]))
    one = letter(mail_host, "single@switch")
    assert send_and_find(mail_host, [one])[0].places == ["info@one", "single@switch"]
    run(mail_host, mailbox(address=address, state="absent", removed_mail="delete"))
    session = send([letter(mail_host, "single@switch")])[0]
    assert session.answer.startswith("550 5.1.1")
    assert places(mail_host, [one.token])[one.token] == ["info@one"]
    message = mail_host.message(mail_host.full("info@one"), one.token)
    assert header(message, "Delivery-date")
