# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/adopting.md says of every field that is known what becomes of it, and names every variable of the playbook."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _hestia, _ispmanager

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "adopting.md").read_text()
PLAYBOOK = (ROOT / "playbooks" / "adopt.yml").read_text()


@pytest.mark.parametrize("field", sorted(_hestia._DOMAIN_FIELDS | _hestia._ACCOUNT_FIELDS | _ispmanager._UNREAD.keys()))
def test_every_field_is_in_a_table(field):
    assert any(re.search(rf"`{field}(?:='\w+')?`", line) for line in PAGE.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("variable", sorted(set(re.findall(r"(adopt_\w+) \| default\(", PLAYBOOK))))
def test_every_variable_that_may_be_set_is_named(variable):
    assert f"`{variable}`" in PAGE
