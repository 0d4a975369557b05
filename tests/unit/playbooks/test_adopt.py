# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbook adopt as users run it: three hosts, each a tree of its own on this machine.

The runs build on each other, as an administrator's do, and are judged afterwards: each process costs seconds.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils import foreign_hosts
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import FakeHost
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.foreign_hosts import ForeignHost
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem

ROOT = Path(__file__).resolve().parents[3]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
VAULT = Path(sys.executable).with_name("ansible-vault")
MARKER = "s3cr3tmark"
HASH = f"{{BLF-CRYPT}}$2y$05${MARKER}"
SECRETS = (MARKER, foreign_hosts.HASH, foreign_hosts.CRYPT, pem("ed25519", 0).splitlines()[1], pem("rsa2048", 0).splitlines()[1])

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
]

DOMAIN = {
    "name": "example.com",
    "owner": "alice",
    "dkim": {},
    "suspended": True,
    # What a host says is never a template on the controller.
    "suspended_reason": "{{ lookup('ansible.builtin.pipe', 'touch pwned') }}",
    "mailboxes": [
        {"name": "no", "password_hash": HASH, "aliases": ["1e3"], "quota": "1G"},
        {"name": "info", "password_hash": HASH, "forward_to": ["a@agency.test"]},
    ],
}
MODULE = {
    "fleetpost.mail.mail_domains": {
        "domains": "{{ mail_domains_host_list }}",
        "owners": "{{ mail_domains_owners | default([]) }}",
        "root": "{{ declared_root }}",
        "layout": "debian",
    },
}
RUNS = {"check": True, "run": False, "again": False, "again_check": True}
DECLARE = [
    {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            *({**MODULE, "check_mode": check, "register": name} for name, check in RUNS.items()),
            {
                "ansible.builtin.copy": {
                    "content": "{{ {" + ", ".join(f"'{name}': {name}.changed" for name in RUNS) + "} | to_json }}",
                    "dest": "{{ playbook_dir }}/{{ inventory_hostname }}.json",
                    "mode": "0644",
                }
            },
        ],
    }
]


class Adopted:
    """An inventory with three hosts, and runs of playbooks over it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.outputs: dict[str, str] = {}
        self.codes: dict[str, int] = {}
        self.saved: dict[str, str] = {}
        hosts = {}
        for name, kind in (("ours", "tables"), ("isp", "ispmanager"), ("panel", "hestia")):
            root = directory / "trees" / name
            if kind == "tables":
                tree = FakeHost(root)
                tree.domains(DOMAIN, owners=[{"name": "alice", "max_domains": 5}])
            else:
                ForeignHost(root, kind)
                root = FakeHost(directory / "trees" / f"new-{name}").root
            hosts[name] = {"adopt_from": kind, "adopt_root": str(directory / "trees" / name), "declared_root": str(root)}
        common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "adopt_layout": "debian"}
        (directory / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": hosts, "vars": common}}))
        (directory / "declare.yml").write_text(yaml.safe_dump(DECLARE))
        (directory / "password").write_text("vault password\n")
        collections = directory / "collections" / "ansible_collections" / "fleetpost"
        collections.mkdir(parents=True)
        (collections / "mail").symlink_to(ROOT)
        self.environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(directory / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(directory / "tmp" / "local"),
            "ANSIBLE_REMOTE_TEMP": str(directory / "tmp" / "remote"),
            "TMPDIR": str(directory / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
            "ANSIBLE_VAULT_PASSWORD_FILE": str(directory / "password"),
        }
        (directory / "tmp").mkdir()

    def run(self, label: str, playbook: str, *options: str) -> None:
        command = [PLAYBOOK, "-i", "hosts.yml", "-vvv", "--diff", playbook, *options]
        done = subprocess.run(command, env=self.environment, check=False, capture_output=True, text=True, cwd=self.directory)
        self.outputs[label], self.codes[label] = done.stdout + done.stderr, done.returncode
        self.saved[label] = "".join(path.read_text() for path in self.files())

    def files(self) -> list[Path]:
        return sorted((self.directory / "host_vars").rglob("*.yml"))

    def path(self, host: str, name: str) -> Path:
        return self.directory / "host_vars" / host / name

    def changes(self, host: str) -> dict[str, bool]:
        """Which of the runs of mail_domains with what was saved changed something."""
        found: dict[str, bool] = json.loads((self.directory / f"{host}.json").read_text())
        return found

    def recap(self, label: str) -> dict[str, str]:
        """host -> how many tasks changed something."""
        lines = self.outputs[label].rpartition("PLAY RECAP")[2].splitlines()
        return {line.split()[0]: line.partition("changed=")[2].split()[0] for line in lines if "changed=" in line}


@pytest.fixture(scope="module")
def adopted(tmp_path_factory):
    run = Adopted(tmp_path_factory.mktemp("adopt"))
    run.run("check", "fleetpost.mail.adopt", "--check", "--limit", "ours")
    run.run("adopt", "fleetpost.mail.adopt")
    subprocess.run([VAULT, "encrypt", *run.directory.rglob("mail_domains_vault.yml")], env=run.environment, check=True, capture_output=True)
    run.run("again", "fleetpost.mail.adopt")
    run.run("declare", "declare.yml")
    edited = run.path("isp", "mail_domains.yml")
    edited.write_text(edited.read_text() + "# mine\n")
    run.run("refused", "fleetpost.mail.adopt", "--limit", "isp")
    run.run("overwritten", "fleetpost.mail.adopt", "--limit", "isp", "-e", "adopt_overwrite=true")
    return run


def test_check_mode_saves_nothing_and_shows_it(adopted):
    assert adopted.codes["check"] == 0, adopted.outputs["check"]
    assert adopted.saved["check"] == ""
    assert not (adopted.directory / "trees" / "ours" / "declaration.json").exists()
    assert "vault_mail_hashes_example_com['info']" in adopted.outputs["check"]


def test_every_host_gets_two_files(adopted):
    assert adopted.codes["adopt"] == 0, adopted.outputs["adopt"]
    names = {path.relative_to(adopted.directory / "host_vars").as_posix(): stat.S_IMODE(path.stat().st_mode) for path in adopted.files()}
    hosts = ("isp", "ours", "panel")
    assert names == {
        f"{host}/{name}": mode for host in hosts for name, mode in (("mail_domains.yml", 0o644), ("mail_domains_vault.yml", 0o600))
    }


def test_a_saved_host_changes_nothing_in_check_mode_and_in_a_run(adopted):
    assert adopted.codes["declare"] == 0, adopted.outputs["declare"]
    assert adopted.changes("ours") == dict.fromkeys(RUNS, False)


@pytest.mark.parametrize("name", ["isp", "panel"])
def test_what_others_set_up_is_made_once(adopted, name):
    assert adopted.changes(name) == {"check": True, "run": True, "again": False, "again_check": False}


def test_what_was_saved_and_encrypted_is_not_saved_again(adopted):
    assert adopted.codes["again"] == 0, adopted.outputs["again"]
    assert adopted.recap("again") == {"isp": "0", "ours": "0", "panel": "0"}
    assert adopted.path("ours", "mail_domains_vault.yml").read_text().startswith("$ANSIBLE_VAULT;")


def test_an_edited_file_is_left_alone(adopted):
    assert adopted.codes["refused"] != 0
    assert "files that are not what this host has" in adopted.outputs["refused"]
    assert "# mine" in adopted.saved["refused"]


def test_unless_it_is_to_be_overwritten_and_then_it_alone(adopted):
    assert adopted.codes["overwritten"] == 0, adopted.outputs["overwritten"]
    assert "# mine" not in adopted.saved["overwritten"]
    assert adopted.path("isp", "mail_domains_vault.yml").read_text().startswith("$ANSIBLE_VAULT;")


def test_what_looks_like_a_template_is_text(adopted):
    assert not list(adopted.directory.rglob("pwned"))
    assert "!unsafe" in adopted.path("ours", "mail_domains.yml").read_text()


def test_no_secret_is_ever_shown(adopted):
    for label, output in adopted.outputs.items():
        assert not [secret for secret in SECRETS if secret in output], label
    assert not [secret for secret in SECRETS for path in adopted.files() if secret in path.read_text()]


def test_nothing_is_left_on_the_host_or_here(adopted):
    left = [path for path in adopted.directory.rglob("declaration.json") if path.is_file()]
    assert left == []
    assert not [path for tree in (adopted.directory / "trees").iterdir() for path in tree.iterdir() if path.name.startswith("ansible.")]


def test_what_is_not_taken_over_is_shown(adopted):
    assert "example.net has no mailbox whose uid tells its owner" in adopted.outputs["adopt"]
