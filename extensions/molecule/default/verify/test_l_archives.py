# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain is removed and brought back: mail programs and files see what was there before, and old passwords and keys work."""

from __future__ import annotations

import re
from typing import NamedTuple

import pytest
from hosts import Host, once
from lab import new_token, wait_for_sink
from mail import letter, login, places, send, wait_for_completion
from sessions import imap, may_log_in, sieve
from signatures import Signature, publish, signatures_of, withdraw
from streams import Stream, Try

from playbooks import mail_domain, mail_domains, run, run_failing

LABEL = "keepsake"
OTHERS = ("staying", "going1", "going2")
PASSWORD = "battery staple"
FLAGS = {"1": r"\Seen \Flagged", "2": r"\Answered $Label1", "3": "", "4": r"\Deleted \Draft"}
FOLDERS = ("Sent", "Projects/2026", "Entw&APw-rfe")
_PLACE = re.compile(rb'UID (\d+) .*INTERNALDATE "([^"]+)"')
ARCHIVES = "/var/backups/verify-keepsake"
_FILES = r"""
cd /var/vmail/"$1" && find . -mindepth 1 ! -name 'dovecot*lock' -printf '%P\t%y\t%u:%g\t%m\t%Ts\t%l\t%n\n' | sort
find . -type f -print0 | sort -z | xargs -0 sha256sum
"""


class Seen(NamedTuple):
    """What an IMAP client is shown, folder by folder: flags, date and content of each message; and the subscriptions."""

    folders: dict[str, list[tuple[str, str, str]]]
    subscribed: list[str]
    validity: dict[str, str]


def _look(host: Host, user: str) -> Seen:
    session = imap(host, user, PASSWORD)
    names = sorted(re.search(rb'"." "?([^"]+)"?$', line)[1].decode() for line in session.list()[1] if b"oselect" not in line.lower())
    folders, validity = {}, {}
    for name in names:
        session.select(f'"{name}"', readonly=True)
        validity[name] = session.status(f'"{name}"', "(UIDVALIDITY UIDNEXT)")[1][0].decode()
        parts = session.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1] if session.search(None, "ALL")[1][0] else []
        found = [part for part in parts if isinstance(part, tuple)]
        folders[name] = [
            (
                " ".join(sorted(re.search(rb"FLAGS \(([^)]*)\)", head)[1].decode().replace(r"\Recent", "").split())),
                b" ".join(_PLACE.search(head).groups()).decode(),
                body.decode(),
            )
            for head, body in found
        ]
    subscribed = sorted(line.decode() for line in session.lsub()[1] if line)
    session.logout()
    return Seen(folders, subscribed, validity)


def _fill(host: Host, user: str) -> None:
    session = imap(host, user, PASSWORD)
    for folder in FOLDERS:
        session.create(folder)
    session.subscribe("Projects/2026")
    for folder in ("INBOX", *FOLDERS):
        for number, flags in FLAGS.items():
            date = f'"0{number}-Feb-2021 10:11:1{number} +0100"'
            session.append(folder, f"({flags})", date, f"Subject: {folder} {number}\r\n\r\nbody {number}\r\n".encode())
    session.select("INBOX")
    session.copy("1:2", "Sent")
    session.logout()
    script = sieve(host, user, PASSWORD)
    script.activate("main", "keep;\n")


def _sent(host: Host) -> list[Signature]:
    one = letter(host, "x@sink.test", *login(host.full(f"info@{LABEL}"), PASSWORD), sender=f"info@{LABEL}")
    send([one])
    wait_for_sink(one.token)
    return signatures_of([one.token])[one.token]


class Trip(NamedTuple):
    """What was seen before and after, for each way there and back."""

    seen: dict[str, tuple[Seen, Seen]]
    files: dict[str, tuple[str, str]]
    tables: dict[str, tuple[list[str], list[str]]]
    logins: list[bool]
    signatures: list[Signature]
    again: list[bool]
    refused: str


def _lines(host: Host) -> list[str]:
    return [re.sub(r" restored=\S+", "", line) for line in host.lines_about(host.domain(LABEL))]


@once
def _trip(host: Host) -> Trip:
    name = host.domain(LABEL)
    boxes = [{"name": "info", "password": PASSWORD, "quota": "100M", "aliases": ["sales"]}, {"name": "desk", "password": PASSWORD}]
    entry = {"name": name, "owner": "alice", "dkim": {"key_type": "both"}, "ssl": {}, "greylisting": False, "mailboxes": boxes}
    run(host, mail_domains(domains=[entry]))
    publish(host, name, [name, f"{name}.dkim-ed25519"])
    user = host.full(f"info@{LABEL}")
    _fill(host, user)
    seen, files, tables, again, refused = {}, {}, {}, [], ""
    for how, directory in (("archive", ARCHIVES), ("keep", "/var/vmail/.removed")):
        before = (_look(host, user), host.bash(_FILES, name).stdout, _lines(host))
        run(host, mail_domain(name=name, state="absent", removed_mail=how, archive_dir=ARCHIVES))
        assert not may_log_in(host, 993, user, PASSWORD)
        source = host.bash('ls -d "$1"/"$2".* | grep -v json', directory, name).stdout.strip()
        back = mail_domain(name=name, restore_from=source)
        again.append(run(host, back, options=["--check"]).results[-1]["changed"])
        assert not _lines(host)
        again.append(run(host, back).results[-1]["changed"])
        # Before anybody logs in: an index that Dovecot finds wanting it writes anew.
        after_files, after_tables = host.bash(_FILES, name).stdout, _lines(host)
        files[how], tables[how] = (before[1], after_files), (before[2], after_tables)
        seen[how] = (before[0], _look(host, user))
        again.append(run(host, back).results[-1]["changed"])
    archive = host.bash('ls "$1"/*.tar.gz', ARCHIVES).stdout.strip()
    refused = run_failing(host, mail_domain(name=name, restore_from=archive))
    logins = [may_log_in(host, port, user, PASSWORD) for port in (993, 995, 587, 4190)]
    signatures = _sent(host)
    run(host, mail_domain(name=name, state="absent", removed_mail="delete"))
    host.run("rm", "-r", ARCHIVES)
    withdraw(host, LABEL)
    return Trip(seen, files, tables, logins, signatures, again, refused)


@pytest.mark.parametrize("how", ["archive", "keep"])
def test_a_mail_program_sees_what_it_saw_before(mail_host: Host, how: str) -> None:
    before, after = _trip(mail_host).seen[how]
    assert {"INBOX", *FOLDERS} <= before.folders.keys()
    assert sum(map(len, before.folders.values())) == 4 * len(FLAGS) + 2
    assert after == before


@pytest.mark.parametrize("how", ["archive", "keep"])
def test_every_file_is_as_it_was(mail_host: Host, how: str) -> None:
    before, after = _trip(mail_host).files[how]
    assert before.count("\n") > 60
    assert "-> " not in before and "dovecot.sieve" in before
    assert after.splitlines() == before.splitlines()


@pytest.mark.parametrize("how", ["archive", "keep"])
def test_every_line_of_the_tables_is_as_it_was(mail_host: Host, how: str) -> None:
    before, after = _trip(mail_host).tables[how]
    assert len(before) > 5
    assert after == before


def test_the_old_password_works_everywhere(mail_host: Host) -> None:
    assert _trip(mail_host).logins == [True] * 4


def test_mail_is_signed_with_the_old_keys(mail_host: Host) -> None:
    signatures = _trip(mail_host).signatures
    assert {one.selector for one in signatures} == {"dkim", "dkim-ed25519"}
    assert all(one.is_valid for one in signatures)


def test_a_second_run_changes_nothing_and_another_archive_is_refused(mail_host: Host) -> None:
    trip = _trip(mail_host)
    assert trip.again == [True, True, False] * 2
    assert "was not brought back from" in trip.refused


class Load(NamedTuple):
    """What was sent to a domain that stays while others were removed."""

    tries: list[Try]
    found: dict[str, list[str]]


@once
def _load(host: Host) -> Load:
    names = [host.domain(label) for label in OTHERS]
    box = [{"name": "info", "password": PASSWORD}]
    run(host, mail_domains(domains=[{"name": name, "owner": "bob", "mailboxes": box} for name in names]))
    host.bash('for n in $(seq 3000); do echo "$n" >"/var/vmail/$1/info/$n"; done; chown -R bob: "/var/vmail/$1/info"', names[1])
    streams = [Stream(host, ["info@staying"]), Stream(host, ["info@staying", "info+tag@staying"])]
    for stream in streams:
        stream.start()
    try:
        run(
            host,
            mail_domain(name=names[1], state="absent", removed_mail="archive", archive_dir=ARCHIVES),
            mail_domain(name=names[2], state="absent", removed_mail="delete"),
            mail_domain(name=names[1], restore_from="{{ found }}") | {"vars": {"found": _found(names[1])}},
            mail_domain(name=names[1], state="absent", removed_mail="delete"),
        )
    finally:
        tries = [one for stream in streams for one in stream.stop()]
    host.run_queue()
    wait_for_completion(host, [one.queue_id for one in tries])
    found = places(host, [one.token for one in tries])
    run(host, mail_domain(name=names[0], state="absent", removed_mail="delete"))
    host.run("rm", "-r", ARCHIVES, check=False)
    return Load(tries, found)


def _found(name: str) -> str:
    return f"{{{{ lookup('ansible.builtin.pipe', 'podman exec ' ~ inventory_hostname ~ ' sh -c \"ls {ARCHIVES}/{name}.*.tar.gz\"') }}}}"


def test_mail_of_another_domain_is_neither_lost_nor_refused_meanwhile(mail_host: Host) -> None:
    load = _load(mail_host)
    assert len(load.tries) > 20
    wrong = [
        (one.recipient, one.answer, load.found[one.token]) for one in load.tries if not one.is_accepted or len(load.found[one.token]) != 1
    ]
    assert not wrong, wrong


def test_what_is_no_archive_is_refused(mail_host: Host) -> None:
    token = new_token()
    mail_host.bash('echo "$1" >/root/"$1".tar.gz', token)
    name = mail_host.domain("nowhere")
    assert "damaged" in run_failing(mail_host, mail_domain(name=name, restore_from=f"/root/{token}.tar.gz"))
    assert not mail_host.lines_about(name)
