# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the judges. What they work with is tests/lab/lab.py (`from lab import swaks, wait_for_sink, ...`).

A test that takes `mail_host` runs once for each mail host; all tests of one host run in one process,
in order, beside those of the other host.
"""

from __future__ import annotations

import pytest
from lab import MAIL_HOSTS, MailHost, mail_host_named, new_token


@pytest.fixture(params=MAIL_HOSTS)
def mail_host(request: pytest.FixtureRequest) -> MailHost:
    """Each mail host in turn."""
    return mail_host_named(request.param)


@pytest.fixture
def token() -> str:
    """A word that is in no other message; put it in the subject."""
    return new_token()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of one host in one process."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        host = callspec.params.get("mail_host") if callspec else None
        item.add_marker(pytest.mark.xdist_group(host or "any"))
