# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the judges. What they work with is tests/lab/lab.py, hosts.py, mail.py and playbooks.py.

A test that takes `mail_host` runs once for each mail host; all tests of one host run in one process,
in order, beside those of the other host. A failed test shows its last SMTP sessions and the end of the logs.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import mail
import pytest
from hosts import MAINLOG, Host, host_named
from lab import MAIL_HOSTS, new_token
from xdist.scheduler import LoadScopeScheduling

_LOGS = f"tail -n 20 {MAINLOG}; tail -n 5 /var/log/exim4/paniclog; journalctl --unit dovecot --lines 6 --no-pager -o cat"


@pytest.fixture(params=MAIL_HOSTS)
def mail_host(request: pytest.FixtureRequest) -> Host:
    """Each mail host in turn."""
    mail.transcripts.clear()
    return host_named(request.param)


@pytest.fixture
def token() -> str:
    """A word that is in no other message; put it in the subject."""
    return new_token()


class _ByHost(LoadScopeScheduling):
    """One host is one piece of work, whatever the module. (xdist's own groups do nothing with pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return next((name for name in MAIL_HOSTS if f"[{name}" in nodeid), "any")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """All tests of one host run in one process."""
    return _ByHost(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add what the servers said to the report of a failed test."""
    report = yield
    host = getattr(item, "funcargs", {}).get("mail_host")
    if report.failed and isinstance(host, Host):
        if mail.transcripts:
            report.sections.append(("last SMTP sessions", "\n".join(mail.transcripts[-2:])))
        report.sections.append((f"logs of {host.name}", host.bash(f"({_LOGS}) 2>/dev/null", check=False).text))
    return report
