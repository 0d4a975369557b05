# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a scanner answers, asked at sockets of this test's own."""

from __future__ import annotations

import socket
import threading

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._scanner_client import silent_scanners


def _serve(listener: socket.socket, answer: bytes) -> None:
    def once() -> None:
        connection, _address = listener.accept()
        with connection:
            connection.recv(64)
            connection.sendall(answer)

    threading.Thread(target=once, daemon=True).start()


@pytest.mark.parametrize(("answer", "is_silent"), [(b"PONG\n", False), (b"220 smtp\r\n", True), (b"", True)])
def test_clamd_is_asked_at_its_socket(tmp_path, answer, is_silent):
    place = str(tmp_path / "clamd.ctl")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen()
        _serve(listener, answer)
        assert ("antivirus" in silent_scanners({"antivirus": place})) is is_silent


def test_spamd_is_asked_at_its_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1 {listener.getsockname()[1]}"
        _serve(listener, b"SPAMD/1.5 0 PONG\r\n")
        assert silent_scanners({"spamassassin": place}) == {}


def test_what_does_not_answer_is_told_with_its_place(tmp_path):
    assert "nothing answers at" in silent_scanners({"antivirus": str(tmp_path / "none")})["antivirus"]
    assert "nothing answers at 127.0.0.1" in silent_scanners({"spamassassin": "127.0.0.1 1"})["spamassassin"]
    assert "nothing answers at" in silent_scanners({"spamassassin": "nonsense"})["spamassassin"]
