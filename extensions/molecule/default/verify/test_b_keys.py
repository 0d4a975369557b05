# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DKIM keys as files: made by a run alone, readable by Exim alone, and mail that waits while one is gone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hosts import Host, once
from lab import wait_until
from mail import letter, login, send, sink_messages_with, wait_for_completion
from signatures import KEYS, private_key, publish, signatures_of

from playbooks import Run, Task, mail_domain, mail_domains, run, run_failing

_INFO: Task = {"fleetpost.mail.mail_domain_info": {"subset": ["health"]}}


def _declared() -> Task:
    return mail_domains(domains="{{ mail_domains_list }}")


def _rights(host: Host, *files: str) -> dict[str, str]:
    """File in ssl/ -> its mode and owner."""
    lines = host.run("stat", "--format", "%n %a %U %G", *(f"{KEYS}/{file}" for file in files)).stdout.splitlines()
    return {path.rpartition("/")[2]: rights for path, _space, rights in (line.partition(" ") for line in lines)}


# --- made


@contextmanager
def _watched(host: Host) -> Iterator[subprocess.Popen[str]]:
    """While the block runs, every private key that anybody else than its owner could open is noted, under whatever name."""
    watcher = subprocess.Popen(
        ["podman", "exec", "--interactive", host.name, "python3", "-u", "-c", _WATCH],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert watcher.stdout is not None
    assert watcher.stdout.readline() == "watching\n"
    try:
        yield watcher
    finally:
        if watcher.poll() is None:
            watcher.kill()


# Looks at ssl/ and at the places for temporary files as often as it can; reads as nobody does what any user could read.
_WATCH = r"""
import json, os, select, stat, sys
DIRECTORIES = ["/etc/exim4/ssl", "/etc/exim4", "/tmp", "/var/tmp", "/dev/shm", "/run"]
seen, bad, looks = set(), set(), 0
print("watching", flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    looks += 1
    for directory in DIRECTORIES[:1] if looks % 20 else DIRECTORIES:
        for entry in os.scandir(directory):
            try:
                descriptor = os.open(entry.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                status = os.fstat(descriptor)
                if stat.S_ISREG(status.st_mode):
                    seen.add(entry.name)
                    if status.st_mode & 0o077 and b"PRIVATE KEY" in os.read(descriptor, 8192) and not entry.name.endswith(".pem"):
                        bad.add("%s %o" % (entry.path, status.st_mode))
            finally:
                os.close(descriptor)
print(json.dumps({"seen": sorted(seen), "bad": sorted(bad), "looks": looks}))
"""
_NEW = {"fresh": {}, "fresh2": {"key_type": "both"}}


def _new_domains(host: Host) -> Task:
    own = {"name": host.domain("own"), "dkim": {"private_key": _own_key(host), "key_length": 4096}}
    return mail_domains(domains=[*({"name": host.domain(label), "dkim": dkim} for label, dkim in _NEW.items()), own])


@once
def _own_key(host: Host) -> str:
    """A private key that the user has brought along."""
    return host.run("openssl", "genrsa", "4096").stdout


class _Made:
    """A run that makes keys, first in check mode; what was seen meanwhile."""

    def __init__(self, host: Host) -> None:
        before = host.run("ls", KEYS).stdout
        self.checked = run(host, _new_domains(host), options=["--check", "--diff", "-vvv"])
        self.left_by_check = host.run("ls", KEYS).stdout != before
        with _watched(host) as watcher:
            self.done = run(host, _new_domains(host), options=["--diff", "-vvv"])
            output, _errors = watcher.communicate("stop\n", timeout=30)
        self.watched = json.loads(output)
        self.again = run(host, _new_domains(host), options=["--diff"])
        self.files = host.run("ls", KEYS).stdout.split()
        self.keys = {file: host.run("cat", f"{KEYS}/{file}").stdout for file in self.files if file.endswith(".private")}

    def outputs(self) -> str:
        return self.checked.output + self.done.output + self.again.output


_made = once(_Made)


def _results(done: Run) -> list[object]:
    return [done.results[0][key] for key in ("actions", "counts", "changed_domains")]


def _shown(done: Run) -> list[str]:
    return [line for line in done.output.splitlines() if line.startswith(("+", "-"))]


def test_check_mode_makes_no_key_and_announces_what_the_run_does(mail_host: Host) -> None:
    made = _made(mail_host)
    assert not made.left_by_check
    assert _results(made.checked) == _results(made.done)
    assert _shown(made.checked) == _shown(made.done)
    assert any("private key, RSA 2048 bits" in line for line in _shown(made.checked))
    warning = " ".join(made.done.output.partition("[WARNING]")[2].partition("changed: ")[0].split())
    assert "dkim.key_length" in warning and "4096 bits" in warning, warning


def test_a_second_run_makes_no_key(mail_host: Host) -> None:
    assert not _made(mail_host).again.results[0]["changed"]


def test_private_keys_are_exims_alone_at_every_moment(mail_host: Host) -> None:
    made = _made(mail_host)
    rights = _rights(mail_host, *made.files)
    private = {file: right for file, right in rights.items() if file.endswith(".private")}
    records = {file: right for file, right in rights.items() if file.endswith(".txt")}
    assert len(private) >= 8 and set(private.values()) == {"600 Debian-exim Debian-exim"}, private
    assert set(records.values()) == {"644 root root"}, records
    assert {file.rpartition(".")[0] for file in private} == {file.rpartition(".")[0] for file in records}
    assert made.watched["bad"] == []
    assert f"{mail_host.domain('fresh2')}.private" in made.watched["seen"] and made.watched["looks"] > 100, made.watched


def _secret_parts(keys: dict[str, str]) -> list[str]:
    """Of each key a piece of the base64 that is in the private part only, as PEM breaks it."""
    return [
        lines[1] if len(lines) == 3 else lines[len(lines) * 2 // 3] for lines in (key.split("\n") for key in map(str.strip, keys.values()))
    ]


def test_no_private_key_is_in_any_output_log_or_file_left_behind(mail_host: Host) -> None:
    made = _made(mail_host)
    parts = _secret_parts(made.keys)
    assert len(parts) >= 8 and min(map(len, parts)) >= 60
    outputs = made.outputs()
    assert "PRIVATE KEY-----" not in outputs
    assert [part for part in parts if part in outputs] == []
    script = r"""
        searched=(/{etc,home,root,run,tmp,dev/shm,usr/local} /var/{log,spool,backups,tmp,vmail})
        { grep -rlIF -e "$1" "${searched[@]}"; grep -rlIxE -e "-----BEGIN (RSA )?PRIVATE KEY-----" "${searched[@]}"; } 2>/dev/null | sort -u
        journalctl --no-pager -o cat | grep -F -e "$1" -e "PRIVATE KEY-----" | sed "s/.*/syslog/"
    """
    found = mail_host.bash(script, "\n".join(parts), check=False).stdout.split()
    allowed = [f"{KEYS}/{file}" for file in made.keys]
    assert [path for path in found if path not in allowed and not path.endswith((".pem", "snakeoil.key", "_key"))] == []
    assert set(allowed) <= set(found), "the search finds nothing"


def test_removed_signing_leaves_no_key(mail_host: Host) -> None:
    _made(mail_host)
    labels = [*_NEW, "own"]
    run(mail_host, mail_domains(domains=[{"name": mail_host.domain(label), "dkim": {"state": "absent"}} for label in labels]))
    left = [
        file for file in mail_host.run("ls", KEYS).stdout.split() if file.startswith(tuple(mail_host.domain(label) for label in labels))
    ]
    run(mail_host, *(mail_domain(name=mail_host.domain(label), state="absent", removed_mail="delete") for label in labels))
    assert left == []


# --- damaged


@contextmanager
def _damaged(host: Host, script: str) -> Iterator[str]:
    """The key of old, $1, after a script has changed it; it is put back in the end."""
    path = f"{KEYS}/{host.domain('old')}.private"
    host.run("cp", "-p", path, "/root/kept.private")
    host.bash(script, path)
    try:
        yield path
    finally:
        host.run("mv", "/root/kept.private", path)


def _queued(host: Host) -> tuple[str, str]:
    """A message of old and its queue id, after Exim has tried to deliver it."""
    one = letter(host, "x@sink.test", *login(host.full("info@old")), sender="info@old")
    session = send([one])[0]
    assert session.answer.startswith("250"), session.answer
    wait_until("the first attempt", lambda: [line for line in host.log_of(session.queue_id) if " == " in line or "Completed" in line])
    return one.token, session.queue_id


def _assert_waits(host: Host, token: str, queue_id: str) -> None:
    host.run_queue()
    assert queue_id in host.queue()
    assert sink_messages_with(token) == [], "it left without a signature"


def _assert_leaves_signed(host: Host, token: str, queue_id: str) -> None:
    host.run_queue()
    wait_for_completion(host, [queue_id])
    signatures = signatures_of([token])[token]
    assert [one.domain for one in signatures] == [host.domain("old")] and all(one.is_valid for one in signatures), signatures


# What happens to the key, and what the message of the run calls it.
LOSSES = {
    "missing": ('rm "$1"', "is not there"),
    "damaged": ('truncate --size=300 "$1"', "cannot be used"),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_mail_waits_for_a_key_that_is_lost_and_the_run_says_how_to_go_on(mail_host: Host, loss: str) -> None:
    publish(mail_host, mail_host.domain("old"), [mail_host.domain("old")])
    script, problem = LOSSES[loss]
    with _damaged(mail_host, script) as path:
        queued = _queued(mail_host)
        other = letter(mail_host, "x@sink.test", *login(mail_host.full("info@signed")), sender="info@signed")
        wait_for_completion(mail_host, [send([other])[0].queue_id])
        message = run_failing(mail_host, _declared())
        info = run(mail_host, _INFO).results[0]
        _assert_waits(mail_host, *queued)
    status = {one["name"]: one for one in info["status"]}
    for said in (message, " ".join(status[mail_host.domain("old")]["problems"])):
        assert mail_host.domain("old") in said and problem in said, said
    assert path.rpartition("/")[2] in message and "private_key" in message and "regenerate: always" in message, message
    assert not status[mail_host.domain("old")]["healthy"]
    assert [name for name, one in status.items() if not one["healthy"]] == [mail_host.domain("old")]
    _assert_leaves_signed(mail_host, *queued)


@pytest.mark.parametrize("script", ['chown root:root "$1"', 'chmod 644 "$1"'], ids=["closed", "open"])
def test_a_run_repairs_the_rights_of_a_key(mail_host: Host, script: str) -> None:
    file = f"{mail_host.domain('old')}.private"
    before = private_key(mail_host, mail_host.domain("old"))
    with _damaged(mail_host, script):
        queued = _queued(mail_host) if "chown" in script else None
        info = run(mail_host, _INFO, _declared())
        problems = next(one["problems"] for one in info.results[0]["status"] if one["name"] == mail_host.domain("old"))
        assert problems and any(file in problem for problem in problems), problems
        assert info.results[1]["changed"]
        assert _rights(mail_host, file)[file] == "600 Debian-exim Debian-exim"
        assert private_key(mail_host, mail_host.domain("old")) == before
        if queued:
            assert sink_messages_with(queued[0]) == [], "it left without a signature"
            _assert_leaves_signed(mail_host, *queued)


def test_a_record_file_that_is_lost_is_written_again(mail_host: Host) -> None:
    path = f"{KEYS}/{mail_host.domain('signed')}.txt"
    before = mail_host.run("cat", path).stdout
    mail_host.run("rm", path)
    done = run(mail_host, _declared())
    assert done.results[0]["changed_domains"] == [mail_host.domain("signed")]
    assert mail_host.run("cat", path).stdout == before


def test_another_key_under_the_same_selector_is_refused_with_the_way_out(mail_host: Host) -> None:
    message = run_failing(mail_host, mail_domain(name=mail_host.domain("old"), dkim={"selector": "old", "key_length": 2048}))
    assert "rotate" in message and "regenerate: always" in message and "1024" in message, message
