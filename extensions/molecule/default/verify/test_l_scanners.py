# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Scanners that do not answer: with what the role says by default, and with the other value of each."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hosts import Host, exim_with, header
from lab import wait_until
from mail import letter, send_and_find, send_one
from test_i_filters import GTUBE

from playbooks import run

TAKEN = "250"
_INFO = {"fleetpost.mail.mail_domain_info": {"subset": ["health"]}}

# Answers anything with nonsense, at a socket file or a port of the loopback.
_NONSENSE = """
import os, socket, sys
place = sys.argv[1]
if place.startswith("/"):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(place)
    os.chmod(place, 0o666)
else:
    listener = socket.create_server(("127.0.0.1", int(place)))
listener.listen()
while True:
    connection, _address = listener.accept()
    connection.recv(4096)
    connection.sendall(b"220 nonsense\\r\\n")
    connection.close()
"""
# Unit of a scanner -> where it listens.
_PLACES = {"clamav-daemon": "/run/clamav/clamd.ctl", "spamd": "783"}
_STOP = 'systemctl stop "$1.socket" 2>/dev/null; systemctl stop "$1"; '
_DOWN = {
    "stopped": _STOP,
    "hung": 'systemctl kill --signal=STOP "$1"',
    "talking nonsense": _STOP + 'systemd-run --quiet --unit=lab-nonsense python3 -c "$3" "$2"; sleep 2',
}
_UP = """
    systemctl stop lab-nonsense 2>/dev/null; systemctl kill --signal=CONT "$1" 2>/dev/null; rm -f /run/clamav/clamd.ctl.lab
    if [ "$1" = clamav-daemon ]; then systemctl restart "$1.socket" "$1"; else systemctl restart "$1"; fi
"""


@contextmanager
def _down(host: Host, unit: str, how: str) -> Iterator[None]:
    """A scanner that is stopped, that hangs, or in whose place something else answers."""
    host.bash(_DOWN[how], unit, _PLACES[unit], _NONSENSE)
    try:
        yield
    finally:
        host.bash(_UP, unit)


@pytest.mark.parametrize("how", _DOWN)
def test_without_a_virus_scanner_mail_waits_outside_and_the_rest_goes_on(mail_host: Host, how: str) -> None:
    with _down(mail_host, "clamav-daemon", how):
        session = send_one(letter(mail_host, "info@flt-refuse"))
        assert session.answer.startswith("451 4.7.1 The virus scanner"), session.transcript
        assert send_one(letter(mail_host, "info@flt-none")).answer.startswith(TAKEN)
        info = run(mail_host, _INFO).results[0]
    assert [line for line in mail_host.log().splitlines()[-40:] if "clamd does not answer" in line]
    problems = {one["name"]: one["problems"] for one in info["status"]}
    if how != "hung":
        assert [one for one in problems[mail_host.domain("flt-refuse")] if "ClamAV" in one]
    assert not [one for one in problems[mail_host.domain("flt-none")] if "ClamAV" in one]
    wait_until("clamd", lambda: send_one(letter(mail_host, "info@flt-refuse")).answer.startswith(TAKEN))


@pytest.mark.parametrize("how", _DOWN)
def test_without_a_spam_filter_mail_is_taken_and_says_so(mail_host: Host, how: str) -> None:
    with _down(mail_host, "spamd", how):
        made = letter(mail_host, "info@flt-junk")
        (sent,) = send_and_find(mail_host, [made._replace(data=f"{made.data}{GTUBE}\n")])
    assert sent.session.answer.startswith(TAKEN), sent.session.transcript
    assert header(mail_host.message(mail_host.full("info@flt-junk"), made.token), "X-Spam-Status") == ["not judged"]
    assert [line for line in mail_host.log().splitlines()[-40:] if "spamd does not answer" in line]


def test_without_a_virus_scanner_mail_may_be_taken_all_the_same(mail_host: Host) -> None:
    with exim_with(mail_host, "MD_NOCLAMD == accept"), _down(mail_host, "clamav-daemon", "stopped"):
        (sent,) = send_and_find(mail_host, [letter(mail_host, "info@flt-refuse")])
    assert sent.session.answer.startswith(TAKEN), sent.session.transcript
    assert sent.places == ["info@flt-refuse"]
    assert [line for line in mail_host.log().splitlines()[-40:] if "clamd does not answer, and the message is taken unscanned" in line]


def test_without_a_spam_filter_mail_may_wait_outside(mail_host: Host) -> None:
    made = letter(mail_host, "info@flt-junk")
    with exim_with(mail_host, "MD_NOSPAMD == defer"):
        with _down(mail_host, "spamd", "stopped"):
            assert send_one(made).answer.startswith("451 4.7.1 The spam filter does not answer")
            # who does not want it does not wait
            assert send_one(letter(mail_host, "info@flt-none")).answer.startswith(TAKEN)
        (sent,) = wait_until("spamd", lambda: [one for one in send_and_find(mail_host, [made]) if one.session.answer.startswith(TAKEN)])
    assert sent.places == ["info@flt-junk"]
    assert header(mail_host.message(mail_host.full("info@flt-junk"), made.token), "X-Spam-Score")
