# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role mail_audit looks at what the playbook site runs, and the roles let it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles" / "mail_audit"
TASKS = sorted(path for path in (ROOT / "roles").glob("*/*/*.yml") if path.parent.name in ("tasks", "handlers"))


def loaded(path):
    return yaml.safe_load(path.read_text())


def words(condition):
    return re.sub(r"\s+|[{}]{2}", "", str(condition).lower())


def test_the_audit_goes_through_the_roles_of_the_site_under_the_same_conditions():
    (site,) = loaded(ROOT / "playbooks" / "site.yml")
    audited = loaded(ROLE / "vars" / "main.yml")["mail_audit_roles"]
    assert [(one["name"], words(one["is_wanted"])) for one in audited] == [
        (one["role"], words(one.get("when", True))) for one in site["roles"]
    ]


def test_defaults_are_those_of_the_specification():
    options = loaded(ROLE / "meta" / "argument_specs.yml")["argument_specs"]["main"]["options"]
    assert {name: rules["default"] for name, rules in options.items()} == loaded(ROLE / "defaults" / "main.yml")


@pytest.mark.parametrize("path", TASKS, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_tasks_ask_for_check_mode_in_a_way_that_an_audit_can_answer(path):
    assert "ansible_check_mode" not in path.read_text(), "ask mail_host_check_mode: an audit is in check mode without --check"


def flat(tasks):
    for task in tasks:
        yield task
        for part in ("block", "rescue", "always"):
            yield from flat(task.get(part, ()))


@pytest.mark.parametrize("path", TASKS, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_what_runs_in_check_mode_as_well_says_that_it_changes_nothing(path):
    for task in flat(loaded(path)):
        if task.get("check_mode") is False:
            assert task.get("changed_when") is False, task["name"]
