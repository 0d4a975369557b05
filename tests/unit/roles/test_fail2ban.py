# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter for fail2ban finds the address that Exim saw, and none that a client only speaks of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FILTER = (Path(__file__).resolve().parents[3] / "roles" / "exim" / "templates" / "fail2ban-filter.j2").read_text(encoding="utf-8")
# As fail2ban reads a setting of several lines, and without the date, which it takes away.
EXPRESSIONS = [line.strip() for line in FILTER.partition("failregex = ")[2].partition("ignoreregex")[0].splitlines() if line.strip()]
FAILED = "535 Incorrect authentication data"


def found(line: str) -> str:
    for expression in EXPRESSIONS:
        match = re.search(expression.replace("<HOST>", r"(?P<host>[0-9a-fA-F.:]+)"), line)
        if match:
            return match["host"]
    return ""


@pytest.mark.parametrize(
    ("line", "host"),
    [
        (f" dovecot_plain authenticator failed for (a.test) [192.0.2.1] I=[192.0.2.9]:587: {FAILED} (set_id=x@y.test)", "192.0.2.1"),
        (f" [123] dovecot_login authenticator failed for a.test (b) [2001:db8::7]:999 I=[2001:db8::1]:465: {FAILED}", "2001:db8::7"),
        (' H=[192.0.2.1] I=[192.0.2.9]:587 rejected connection in "connect" ACL: Too many failed logins from 192.0.2.1', "192.0.2.1"),
        # what a client says of itself
        (f" dovecot_plain authenticator failed for ([203.0.113.5]) [192.0.2.1] I=[192.0.2.9]:587: {FAILED} (set_id=x)", "192.0.2.1"),
        (
            (
                f" dovecot_plain authenticator failed for (a) [192.0.2.1] I=[192.0.2.9]:587: {FAILED} "
                f"(set_id=for b [203.0.113.5] I=[192.0.2.9]:587: {FAILED})"
            ),
            "192.0.2.1",
        ),
        (" 1xWl4m-000000002fo-0O8k <= a@b.test H=(c.test) [192.0.2.1] I=[192.0.2.9]:25 P=esmtp S=513", ""),
        (
            f' 1xWl4m-000000002fo-0O8k <= a@b.test H=(c) [192.0.2.1] I=[192.0.2.9]:25 T="authenticator failed for [203.0.113.5] {FAILED}"',
            "",
        ),
    ],
)
def test_the_address_that_exim_saw_is_found_and_no_other(line: str, host: str) -> None:
    assert found(line) == host
