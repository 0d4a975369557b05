# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which Exim processes are daemons, which serve SMTP, and which may still act on an older table."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_processes import Process, carriers, daemons, is_reception

DAEMON = ("/usr/sbin/exim4", "-bd", "-q30m")


DELIVERY = ("/usr/sbin/exim4", "-Mc", "1xVLp8-00000000115-2aDG")
QUEUE_RUN = ("/usr/sbin/exim4", "-q")


def process(
    pid: int,
    words: tuple[str, ...] = DAEMON,
    parent: int = 1,
    began: float = 0.0,
    *,
    listens: bool = False,
    sends: bool = False,
) -> Process:
    return Process(pid, parent, began, began, words, listens, sends)


@pytest.mark.parametrize("words", [DAEMON, ("/usr/sbin/exim4", "-bdf", "-q30m"), ("/usr/sbin/exim", "-bd", "-q1h"), ("exim4", "-bd")])
def test_the_process_that_listens_is_the_daemon_and_its_children_are_not(words: tuple[str, ...]) -> None:
    assert daemons([process(10, words, listens=True), process(11, words, parent=10)]) == {10}


def test_a_connection_that_outlived_its_daemon_is_no_daemon() -> None:
    orphan = process(11)
    assert daemons([process(20, listens=True), orphan]) == {20}
    assert carriers([process(20, listens=True), orphan], 1.0) == [orphan]
    assert is_reception(orphan)


def test_a_daemon_that_only_starts_queue_runs_needs_no_socket() -> None:
    assert daemons([process(10, ("/usr/sbin/exim4", "-q30m"))]) == {10}
    assert daemons([process(10, ("/usr/sbin/exim4", "-q"))]) == frozenset()


@pytest.mark.parametrize(
    "words",
    [DELIVERY, ("/usr/sbin/exim4", "-M", "1xVLp8-00050I-30"), ("/usr/sbin/sendmail", "-t", "-i"), ("exim4", "-bs")],
)
def test_deliveries_and_local_senders_are_waited_for_and_no_receptions(words: tuple[str, ...]) -> None:
    carrier = process(12, words, parent=10)
    assert carriers([process(10, listens=True), carrier], 1.0) == [carrier]
    assert not is_reception(carrier)


@pytest.mark.parametrize("option", ["-bp", "-bpc", "-bP", "-bt", "-bh", "-bV", "-be", "-bv"])
def test_who_only_looks_or_tests_is_not_waited_for(option: str) -> None:
    assert carriers([process(10, ("/usr/sbin/exim4", option))], 1.0) == []


def test_only_what_began_before_the_moment_counts() -> None:
    daemon = process(10, listens=True)
    old, new = process(11, parent=10, began=99.9), process(12, parent=10, began=100.0)
    assert carriers([daemon, old, new], 100.0) == [old]


def test_a_queue_run_is_not_waited_for_and_the_delivery_it_began_is() -> None:
    run, delivery = process(20, QUEUE_RUN, parent=10), process(21, QUEUE_RUN, parent=20)
    assert carriers([process(10, listens=True), run, delivery], 1.0) == [delivery]


@pytest.mark.parametrize("words", [DELIVERY, QUEUE_RUN])
def test_a_delivery_that_has_come_to_other_hosts_is_not_waited_for_nor_its_parent(words: tuple[str, ...]) -> None:
    others = [process(10, listens=True), process(20, QUEUE_RUN, parent=10)]
    delivery, transport = process(21, words, parent=20), process(22, words, parent=21, sends=True)
    assert carriers([*others, delivery, transport], 1.0) == []
    unrelated = process(30, (*DELIVERY[:2], "1xVLp8-00000000115-3bEH"), parent=10)
    assert carriers([*others, delivery, transport, unrelated], 1.0) == [unrelated]


def test_a_delivery_that_took_over_a_connection_is_waited_for() -> None:
    taken_over = process(21, ("/usr/sbin/exim4", "-MCS", "-MC", "smtp", "mx.test", "192.0.2.1", "1", "1xVLp8-00050I-30"), sends=True)
    assert carriers([process(10, listens=True), taken_over], 1.0) == [taken_over]
