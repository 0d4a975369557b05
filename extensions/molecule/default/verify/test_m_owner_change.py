# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The owner of a domain changes back and forth while mail comes and the old owner does what he can to be in the way."""

from __future__ import annotations

from typing import NamedTuple

from hosts import Host, once
from mail import places, wait_for_completion
from sessions import imap
from streams import Stream, Try
from test_8_modules import HASH
from test_9_under_delivery import _bad_log_lines, _gather, _has_ended

from playbooks import mail_domain, mail_domains, run

ROUNDS = 3
LABEL = "handed"
# Hostile content, as a shell user would leave it; the hard link is to a file that is not the owner's.
_PLANT = """
cd /var/vmail/"$1"/info && mkdir -p Maildir/deep/a/b Maildir/away
ln -s /etc/passwd Maildir/link; ln -s /etc Maildir/directory; ln -s ../../desk Maildir/sideways
for n in $(seq 2000); do echo "$n" >Maildir/deep/a/b/"$n"; done
echo secret >/var/vmail/verify-secret && chmod 600 /var/vmail/verify-secret && ln /var/vmail/verify-secret Maildir/hard
chown -hR alice: . && chown root: /var/vmail/verify-secret
"""
# Directories that are swapped for links to /etc while they are walked, by whoever is the owner at the moment.
_SWAP = """
cd /var/vmail/"$1"/info/Maildir/deep/a || exit 0
while [ -e /tmp/verify-swapping ]; do
    mv b c && ln -s /etc b && rm b && mv c b
done 2>/dev/null
"""
_OWNERS = "cd /var/vmail/\"$1\" && find . -mindepth 1 -printf '%u:%g %y %P\\n' | grep -v '^bob:bob '"


class Change(NamedTuple):
    """All that was sent meanwhile, where it is, and whose everything is in the end."""

    tries: list[Try]
    found: dict[str, list[str]]
    bad_lines: list[str]
    ended: bool
    others: list[str]
    outside: str
    changed: list[bool]


@once
def _change(host: Host) -> Change:
    name = host.domain(LABEL)
    boxes = [{"name": box, "password_hash": HASH} for box in ("info", "desk")]
    # Whatever a run before left that did not come to its end.
    run(host, mail_domain(name=name, state="absent", removed_mail="delete"))
    run(host, mail_domains(domains=[{"name": name, "owner": "alice", "mailboxes": boxes}]))
    host.bash("touch /tmp/verify-swapping")
    streams = [Stream(host, ["info@handed", "desk@handed"]), Stream(host, ["desk@handed", "info+tag@handed"])]
    session = imap(host, host.full("info@handed"))
    session.select("INBOX")
    host.bash(_PLANT, name)
    for user in ("alice", "bob"):
        host.bash(f"runuser -u {user} -- bash -c '{_SWAP}' bash \"$1\" >/dev/null 2>&1 </dev/null &", name)
    for stream in streams:
        stream.start()
    owners = ["bob", "alice"] * ROUNDS + ["bob"]
    try:
        done = run(host, *(mail_domain(name=name, owner=owner) for owner in owners), mail_domain(name=name, owner="bob"))
    finally:
        tries = _gather(streams)
        host.bash("rm -f /tmp/verify-swapping")
    host.run_queue()
    wait_for_completion(host, [one.queue_id for one in tries])
    found = places(host, [one.token for one in tries])
    others = host.bash(_OWNERS, name, check=False).stdout.splitlines()
    outside = host.bash("stat --format '%U %a' /var/vmail/verify-secret /etc/passwd; find /etc -user alice -o -user bob").stdout
    result = Change(
        tries, found, _bad_log_lines(host, tries), _has_ended(session), others, outside, [one["changed"] for one in done.results]
    )
    run(host, mail_domain(name=name, state="absent", removed_mail="delete"))
    host.bash("rm /var/vmail/verify-secret")
    return result


def test_every_accepted_message_is_delivered_while_the_owner_changes(mail_host: Host) -> None:
    change = _change(mail_host)
    accepted = [one for one in change.tries if one.is_accepted]
    assert len(accepted) > 20
    lost = [(one.recipient, one.answer) for one in accepted if not change.found[one.token]]
    assert not lost, lost
    assert not change.bad_lines
    # A delivery that loses its rights between storing a message and saying so is done once more (docs/removing.md).
    twice = [one for one in accepted if len(change.found[one.token]) > 1]
    assert len(twice) <= 2 * ROUNDS + 1, twice


def test_no_message_is_refused_while_the_owner_changes(mail_host: Host) -> None:
    assert not [one for one in _change(mail_host).tries if not one.is_accepted]


def test_everything_belongs_to_the_new_owner_in_the_end(mail_host: Host) -> None:
    # The hard link to a file elsewhere is left alone.
    assert _change(mail_host).others == ["root:root f info/Maildir/hard"]


def test_nothing_outside_of_the_tree_changes_its_owner(mail_host: Host) -> None:
    assert _change(mail_host).outside.splitlines() == ["root 600", "root 644"]


def test_sessions_end_and_the_last_run_changes_nothing(mail_host: Host) -> None:
    change = _change(mail_host)
    assert change.ended
    assert change.changed == [True] * (2 * ROUNDS + 1) + [False]
