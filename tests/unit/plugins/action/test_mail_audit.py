# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The audit as users run it: its playbook over several trees and a host that does not answer.

The playbook is the collection's own, with trees for hosts: `module_defaults` name them. The roles of the servers need a real host, so one
role of this test stands for them: a declaration that differs from what is there, a file, a secret, a handler, and a step that fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.fleetpost.mail.plugins.action.mail_audit_report import SPEC
from ansible_collections.fleetpost.mail.plugins.modules import mail_audit_report
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, FakeHost

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root")

ROOT = Path(__file__).resolve().parents[4]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
MARKER = "s3cr3tmark"
DOMAIN = {"name": "example.com", "owner": "alice", "mailboxes": [{"name": "info", "password_hash": HASH}]}
OTHER = {"name": "example.org", "owner": "bob"}

TASKS = [
    {"name": "Make the mail domains as they are declared", "fleetpost.mail.mail_domains": {"domains": "{{ declared }}"}},
    {
        "name": "Write the configuration",
        "ansible.builtin.copy": {"content": "new\n", "dest": "{{ audit_root }}/etc/exim4/{{ item }}.conf", "mode": "0644"},
        "loop": ["one", "two"],
        "notify": "Restart the server",
        "when": "drifts | default(false)",
    },
    {
        "name": "Write a password",
        "ansible.builtin.copy": {"content": MARKER, "dest": "{{ audit_root }}/etc/exim4/password", "mode": "0600"},
        "no_log": True,
        "when": "drifts | default(false)",
    },
    {"name": "Be told that nothing may be changed", "ansible.builtin.assert": {"that": "mail_host_check_mode"}},
    {"name": "Fail", "ansible.builtin.fail": {"msg": "no such package"}, "when": "fails | default(false)"},
]
HANDLERS = [
    {"name": "Restart the server", "ansible.builtin.copy": {"content": "x", "dest": "{{ audit_root }}/restarted", "mode": "0644"}},
]


class Fleet:
    """Trees that hosts of an inventory stand for, and runs of the audit over them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.hosts: dict[str, FakeHost] = {}
        self.inventory: dict[str, dict[str, object]] = {}
        self.output = ""
        collections = directory / "collections" / "ansible_collections" / "fleetpost"
        collections.mkdir(parents=True)
        (collections / "mail").symlink_to(ROOT)
        for part, content in (("tasks", TASKS), ("handlers", HANDLERS)):
            (directory / "roles" / "server" / part).mkdir(parents=True)
            (directory / "roles" / "server" / part / "main.yml").write_text(yaml.safe_dump(content))
        (play,) = yaml.safe_load((ROOT / "playbooks" / "audit.yml").read_text())
        play["module_defaults"] = {"group/fleetpost.mail.mail": {"root": "{{ audit_root }}", "layout": "debian"}}
        (directory / "audit.yml").write_text(yaml.safe_dump([play]))
        shutil.copytree(ROOT / "playbooks" / "callback_plugins", directory / "callback_plugins")

    def add(self, name: str, there: list[dict], declared: list[dict], **variables: object) -> FakeHost:
        (self.directory / name).mkdir()
        host = self.hosts[name] = FakeHost(self.directory / name)
        host.domains(*there)
        self.inventory[name] = {"ansible_connection": "local", "audit_root": str(host.root), "declared": declared, **variables}
        return host

    def add_lost(self, name: str) -> None:
        self.inventory[name] = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 1, "audit_root": "/nowhere"}

    def audit(self, *options: str, callbacks: str = "", **variables: object) -> subprocess.CompletedProcess[str]:
        (self.directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": self.inventory}}))
        given = {"mail_audit_roles": [{"name": "server", "is_wanted": True}], "ansible_python_interpreter": sys.executable, **variables}
        environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(self.directory / "collections"),
            "ANSIBLE_ROLES_PATH": str(self.directory / "roles"),
            "ANSIBLE_LOCAL_TEMP": str(self.directory / "local_tmp"),
            "ANSIBLE_NOCOLOR": "1",
            **({"ANSIBLE_CALLBACKS_ENABLED": callbacks} if callbacks else {}),
        }
        words = [PLAYBOOK, "-i", "hosts.yml", "audit.yml", "-e", json.dumps(given), *options]
        done = subprocess.run(words, env=environment, check=False, capture_output=True, text=True, cwd=self.directory)
        self.output = done.stdout + done.stderr
        return done

    def report(self, name: str = "audit.json") -> str:
        path = self.directory / "mail-audit" / name
        assert path.exists(), self.output
        return path.read_text()

    @property
    def values(self) -> dict:
        return json.loads(self.report())


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    fleet = Fleet(tmp_path_factory.mktemp("fleet"))
    changed = {**DOMAIN, "mailboxes": [{"name": "info", "quota": "2G"}]}
    fleet.add("drift.test", [DOMAIN], [changed, OTHER], drifts=True)
    fleet.add("well.test", [DOMAIN, OTHER], [DOMAIN, OTHER])
    ill = fleet.add("ill.test", [DOMAIN, OTHER], [DOMAIN], fails=True)
    ill.write("/etc/passwd", ill.text("/etc/passwd").replace("bob:", "bobby:"))
    fleet.add_lost("alost.test")
    fleet.before = {name: host.entries("/run", "/var/log") for name, host in fleet.hosts.items()}
    fleet.done = fleet.audit()
    fleet.found = {host["name"]: host for host in fleet.values["hosts"]}
    return fleet


def test_nothing_is_changed_on_any_host_although_the_run_has_no_check(fleet):
    assert {name: host.entries("/run", "/var/log") for name, host in fleet.hosts.items()} == fleet.before


def test_every_host_is_in_the_report_and_the_run_fails_for_what_it_found(fleet):
    assert {name: host["state"] for name, host in fleet.found.items()} == {
        "alost.test": "unreachable",
        "drift.test": "drift",
        "ill.test": "incomplete",
        "well.test": "ok",
    }
    assert fleet.done.returncode == 2
    assert "1 host of 4 would be changed by a run; 1 mail domain of 5 is not healthy; 2 hosts of 4 could not be audited" in fleet.output


def test_what_would_change_is_told_of_roles_and_domains(fleet):
    drift = fleet.found["drift.test"]
    tasks = [(change["role"], change["task"], change["item"]) for change in drift["changes"]]
    assert tasks == [
        ("server", "Write the configuration", "one"),
        ("server", "Write the configuration", "two"),
        ("server", "Write a password", ""),
        ("server", "Restart the server", ""),
    ]
    assert drift["changes"][0]["diff"][0]["lines"] == ["@@ -0,0 +1 @@", "+new"]
    assert {domain["name"]: domain["actions"] for domain in drift["domains"]} == {
        "example.com": ["change mailbox: info@example.com: quota: none -> 2G"],
        "example.org": ["create: owner bob, unknown addresses: reject"],
    }
    assert drift["commands"] == [f"ansible-playbook -i {fleet.directory}/hosts.yml fleetpost.mail.site --limit drift.test"]


def test_what_failed_or_did_not_answer_says_why(fleet):
    assert fleet.found["ill.test"]["failures"] == [{"role": "server", "task": "Fail", "message": "no such package"}]
    assert "Connection refused" in fleet.found["alost.test"]["failures"][0]["message"]


def test_problems_of_domains_are_told_on_a_host_where_a_role_failed_as_well(fleet):
    problems = {domain["name"]: domain["problems"] for domain in fleet.found["ill.test"]["domains"]}
    assert problems["example.com"] == []
    assert "its owner bob is no system user" in problems["example.org"]


def test_a_task_that_hides_its_secret_hides_it_from_the_report(fleet):
    assert fleet.found["drift.test"]["changes"][2]["detail"] == "not shown, because it may hold a secret"
    for name in ("audit.html", "audit.json", "audit.xml"):
        assert MARKER not in fleet.report(name)
        assert HASH[-20:] not in fleet.report(name)


def test_no_notes_are_left_on_the_controller(fleet):
    assert [path for path in (fleet.directory / "local_tmp").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("fail_on", "code"),
    [(["drift"], 2), (["unhealthy"], 0), (["unreachable"], 0), ([], 0)],
)
def test_it_fails_on_what_it_is_told_to(tmp_path, fail_on, code):
    fleet = Fleet(tmp_path)
    fleet.add("drift.test", [DOMAIN], [DOMAIN, OTHER])
    assert fleet.audit(audit_fail_on=fail_on).returncode == code, fleet.output
    assert fleet.values["findings"] == {"drift": "1 host of 1 would be changed by a run"}


def test_when_no_host_answers_there_is_a_report_and_the_run_fails(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.add_lost("lost.test")
    assert fleet.audit().returncode == 2
    assert fleet.values["totals"]["unreachable"] == 1


def test_a_fleet_that_is_well_is_green_with_check_and_in_batches_too(tmp_path):
    fleet = Fleet(tmp_path)
    for name in ("a.test", "b.test", "c.test"):
        fleet.add(name, [DOMAIN], [DOMAIN])
    text = (tmp_path / "audit.yml").read_text()
    (tmp_path / "audit.yml").write_text(text.replace("strategy:", "serial: 2\n  strategy:"))
    assert fleet.audit("--check").returncode == 0, fleet.output
    assert [host["state"] for host in fleet.values["hosts"]] == ["ok", "ok", "ok"]
    assert fleet.values["findings"] == {}


def test_without_the_callback_plugin_the_audit_fails_and_is_never_green(tmp_path):
    fleet = Fleet(tmp_path)
    fleet.add("a.test", [DOMAIN], [DOMAIN])
    shutil.rmtree(tmp_path / "callback_plugins")
    assert fleet.audit(audit_fail_on=[]).returncode == 2
    assert "nothing was noted of any host: run the playbook fleetpost.mail.audit" in fleet.output


@pytest.mark.parametrize("is_beside", [False, True])
def test_with_the_callback_plugin_enabled_by_hand_as_well_it_is_in_the_report_once(tmp_path, is_beside):
    fleet = Fleet(tmp_path)
    fleet.add("drift.test", [DOMAIN], [DOMAIN, OTHER], drifts=True, fails=True)
    if not is_beside:
        shutil.rmtree(tmp_path / "callback_plugins")
    fleet.audit(callbacks="fleetpost.mail.mail_audit")
    (host,) = fleet.values["hosts"]
    assert (len(host["changes"]), len(host["failures"]), len(host["domains"])) == (4, 1, 2)


def test_the_options_of_the_report_are_documented_as_they_are_specified():
    documented = yaml.safe_load(mail_audit_report.DOCUMENTATION)["options"]
    assert {name: {key: value for key, value in rules.items() if key != "description"} for name, rules in documented.items()} == SPEC
    assert set(yaml.safe_load(mail_audit_report.RETURN)) == {"files", "findings", "totals"}
