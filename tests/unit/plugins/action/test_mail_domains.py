# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action plugin and the modules as users run them: a playbook against this machine, in a tree of its own.

One playbook for all that can be judged afterwards from what its tasks returned: each process costs seconds.
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
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH, OTHER_HASH, FakeHost

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root")

ROOT = Path(__file__).resolve().parents[4]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")
VAULT = Path(sys.executable).with_name("ansible-vault")
MARKER = "s3cr3tmark"
BULK = "fleetpost.mail.mail_domains"


def boxed(domain, password_hash=HASH):
    return {"name": domain, "owner": "alice", "mailboxes": [{"name": "info", "password_hash": password_hash}]}


# Every list, dictionary and value below is a template of its own, as inventories are.
TEMPLATES = {
    "hash_of": {"info": f"{{BLF-CRYPT}}$2y$05${MARKER}"},
    "box_names": ["info", "desk"],
    "boxes": [
        {"name": "{{ box_names[0] }}", "password_hash": "{{ hash_of.info }}", "aliases": "{{ extra }}"},
        {"name": "{{ box_names[1] }}", "password_hash": "{{ hash_of['info'] }}", "enabled": "{{ 1 == 2 }}"},
    ],
    "extra": ["{{ 'sales' }}"],
    "templated": [{"name": "{{ 'templated' }}.test", "owner": "{{ owners[0] }}", "mailboxes": "{{ boxes }}"}],
    "owners": ["alice"],
}

WRONG = [{"name": "good.test"}, {"name": "good2.test"}, {"name": "good3.test"}, {"name": "b\nd"}, {"name": "e", "owner": "a b"}]

# name of the register -> what the task does
TASKS = {
    "checked": {BULK: {"domains": "{{ templated }}"}, "check_mode": True, "diff": True},
    "templated_run": {BULK: {"domains": "{{ templated }}"}, "diff": True},
    "again": {BULK: {"domains": "{{ templated }}"}, "diff": True},
    "joined": {BULK: {"domains": "{{ templated + [{'name': 'joined.test'}] }}"}},
    "inline_vault": {BULK: {"domains": "{{ vaulted_list }}"}},
    "json_src": {BULK: {"src": "list.json"}},
    "yaml_src": {BULK: {"src": "list.yml"}},
    "vaulted_json_src": {BULK: {"src": "vaulted.json"}},
    "vaulted_yaml_src": {BULK: {"src": "vaulted.yml"}},
    "remote_src": {BULK: {"src": "{{ playbook_dir }}/remote.json", "remote_src": True}},
    "wrong": {BULK: {"domains": WRONG}},
    "wrong_check": {BULK: {"domains": WRONG}, "check_mode": True},
    "both": {BULK: {"domains": [], "src": "list.json"}},
    "neither": {BULK: {"prune": True}},
    "no_list": {BULK: {"domains": "just text"}},
    "no_file": {BULK: {"src": "nowhere.json"}},
    "no_json": {BULK: {"src": "broken.json"}},
    "no_yaml": {BULK: {"src": "broken.yml"}},
    "empty_prune": {BULK: {"domains": [], "prune": True}},
    "single": {"fleetpost.mail.mail_domain": {"domain": "Exämple.test", "owner": "bob"}},
    "mailbox": {"fleetpost.mail.mailbox": {"address": "new@joined.test", "password_hash": f"{OTHER_HASH}{MARKER}"}},
    "mailbox_both": {"fleetpost.mail.mailbox": {"address": "n@joined.test", "password": "Pass-word-1", "password_hash": HASH}},
    "info": {"fleetpost.mail.mail_domain_info": {"export_file": "/etc/export.json"}},
    "fed_back": {BULK: {"domains": "{{ info.domains }}"}},
    "before_mailbox": {BULK: {"restore_generation": "{{ info.generations[-1].number }}", "prune_limit": "1"}, "diff": True},
    "before_that": {BULK: {"restore_generation": "{{ info.generations[-1].number + 1 }}", "job_id": "4711"}},
    "odd_job": {"fleetpost.mail.mailbox": {"address": "n@joined.test", "password_hash": HASH, "job_id": "a b"}},
    "both_ways": {BULK: {"domains": [], "restore_generation": 1}},
}


class Played:
    """What a playbook's run left behind."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.host = FakeHost(directory / "tree")
        self.remote_tmp = directory / "remote_tmp"
        collections = directory / "collections" / "ansible_collections" / "fleetpost"
        collections.mkdir(parents=True)
        (collections / "mail").symlink_to(ROOT)
        (directory / "password").write_text("vault password\n")
        self.environment = {
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(directory / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(directory / "local_tmp"),
            "ANSIBLE_REMOTE_TEMP": str(self.remote_tmp),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
            "ANSIBLE_VAULT_PASSWORD_FILE": str(directory / "password"),
        }

    def vaulted(self, *command: str) -> str:
        done = subprocess.run([VAULT, *command], env=self.environment, check=True, capture_output=True, text=True, cwd=self.directory)
        return done.stdout

    def play(self, tasks, variables, *options, **environment):
        results = self.directory / "results.json"
        play = {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "vars": variables,
            "module_defaults": {"group/fleetpost.mail.mail": {"root": str(self.host.root), "layout": "debian"}},
            "tasks": [{**task, "register": name, "ignore_errors": True} for name, task in tasks.items()],
        }
        names = ", ".join(f"{name}: {name}" for name in tasks)
        play["tasks"].append(
            {
                "ansible.builtin.copy": {
                    "content": "{{ {" + names.replace(": ", "': ").replace(", ", ", '").join(("'", "")) + "} | to_json }}",
                    "dest": str(results),
                }
            }
        )
        text = yaml.safe_dump([play], allow_unicode=True, sort_keys=False)
        (self.directory / "play.yml").write_text(text.replace("VAULTED_LIST", self.inline))
        done = subprocess.run(
            [PLAYBOOK, "-vv", "--diff", *options, "play.yml", "-e", f"ansible_python_interpreter={sys.executable}"],
            env={**self.environment, **environment},
            check=False,
            capture_output=True,
            text=True,
            cwd=self.directory,
        )
        self.output = done.stdout + done.stderr
        assert results.exists(), self.output
        return json.loads(results.read_text())

    inline = "[]"


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    run = Played(tmp_path_factory.mktemp("play"))
    directory = run.directory
    (directory / "list.json").write_text(json.dumps([boxed("json.test")]))
    (directory / "list.yml").write_text(yaml.safe_dump({"domains": [boxed("yaml.test")]}))
    (directory / "vaulted.json").write_text(json.dumps({"domains": [boxed("vaulted-json.test")]}))
    (directory / "vaulted.yml").write_text(yaml.safe_dump([boxed("vaulted-yaml.test")]))
    (directory / "remote.json").write_text(json.dumps([boxed("remote.test")]))
    (directory / "broken.json").write_text("{")
    (directory / "broken.yml").write_text("a: [")
    run.vaulted("encrypt", "vaulted.json", "vaulted.yml")
    secret = run.vaulted("encrypt_string", f"{{BLF-CRYPT}}$2y$05${MARKER}inline")
    indented = secret.replace("\n ", "\n               ")
    run.inline = f"\n    - name: inline.test\n      mailboxes:\n      - name: info\n        password_hash: {indented}"
    run.results = run.play(TASKS, {**TEMPLATES, "vaulted_list": "VAULTED_LIST"})
    return run


def failed(played, name):
    result = played.results[name]
    assert result["failed"], result
    assert "Traceback" not in json.dumps(result)
    return result["msg"]


def domains(played):
    return {line.partition(":")[0] for line in played.host.table("domains")}


def test_check_mode_with_diff_shows_what_the_run_then_does(played):
    assert played.results["checked"]["changed"]
    assert played.results["checked"]["diff"] == played.results["templated_run"]["diff"]


def test_lists_that_are_templates_within_templates_arrive_as_what_they_say(played):
    assert played.results["templated_run"]["changed"]
    assert {line for line in played.host.table("addresses") if "templated.test" in line} == {
        "desk@templated.test: mailbox enabled=no",
        "info@templated.test: mailbox",
        "sales@templated.test: alias to=info@templated.test",
    }
    (line,) = [line for line in played.host.table("users") if line.startswith("info@templated.test")]
    assert line.startswith(f"info@templated.test:{{BLF-CRYPT}}$2y$05${MARKER}:1001:1001:")


def test_a_second_run_of_the_same_task_changes_nothing(played):
    assert not played.results["again"]["changed"]
    assert played.results["again"]["actions"] == []


def test_a_list_put_together_in_the_task_arrives_whole(played):
    assert played.results["joined"]["changed_domains"] == ["joined.test"]


def test_a_value_vaulted_inline_arrives_decrypted(played):
    (line,) = [line for line in played.host.table("users") if line.startswith("info@inline.test")]
    assert f"$2y$05${MARKER}inline:" in line


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("json_src", "json.test"),
        ("yaml_src", "yaml.test"),
        ("vaulted_json_src", "vaulted-json.test"),
        ("vaulted_yaml_src", "vaulted-yaml.test"),
        ("remote_src", "remote.test"),
    ],
)
def test_every_kind_of_file_is_read(played, name, domain):
    assert played.results[name].get("changed_domains") == [domain], played.results[name]
    assert domain in domains(played)


@pytest.mark.parametrize("name", ["wrong", "wrong_check"])
def test_errors_carry_their_positions_and_nothing_is_written(played, name):
    message = failed(played, name)
    assert [error["where"] for error in played.results[name]["errors"]] == [
        "domains[3].name",
        "domains[4].name",
        "domains[4].owner",
    ]
    assert "domains[3].name: 'b\\nd' is not a domain name" in message
    assert "good.test" not in domains(played)


@pytest.mark.parametrize("name", ["both", "neither", "both_ways"])
def test_exactly_one_of_domains_and_src_is_needed(played, name):
    assert "exactly one of domains, src and restore_generation is needed" in failed(played, name)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no_list", "domains must be a list"),
        ("no_file", "nowhere.json"),
        ("no_json", "is not JSON"),
        ("no_yaml", "broken.yml cannot be read as YAML"),
        ("empty_prune", "prune with an empty list would remove every mail domain of the host"),
        ("mailbox_both", "mutually exclusive"),
        ("odd_job", "job_id: 'a b' is no job"),
    ],
)
def test_what_cannot_be_done_is_told_without_a_traceback(played, name, words):
    assert words in failed(played, name)


def test_the_single_modules_work_on_the_same_host(played):
    assert played.results["single"]["changed_domains"] == ["xn--exmple-cua.test"]
    assert played.results["mailbox"]["actions"] == [{"domain": "joined.test", "action": "create mailbox", "detail": "new@joined.test"}]


def test_what_the_info_module_tells_can_be_fed_back(played):
    assert {entry["name"] for entry in played.results["info"]["domains"]} == domains(played)
    assert not played.results["fed_back"]["changed"]


def test_a_run_is_undone_by_the_number_that_info_tells_and_so_is_that(played):
    assert [one["action"] for one in played.results["before_mailbox"]["actions"]] == ["remove mailbox"]
    assert [one["action"] for one in played.results["before_that"]["actions"]] == ["create mailbox"]


def test_the_log_names_the_module_and_the_job(played):
    log = [json.loads(line) for line in played.host.text("/var/log/mail-domains.log").splitlines()]
    last = [entry for entry in log if entry["domain"] == "joined.test"][-1]
    assert (last["module"], last["job"], last["action"]) == ("mail_domains", "4711", "create mailbox")
    assert {entry["module"] for entry in log} == {"mail_domains", "mail_domain", "mailbox"}


def test_an_export_is_for_root_alone(played):
    assert played.host.owner("/etc/export.json") == (0, 0, 0o600)


def test_no_secret_is_in_any_result_or_output(played):
    assert MARKER not in played.output
    assert MARKER not in json.dumps(played.results)


def test_no_declaration_is_left_behind_on_either_side_not_even_after_a_failure(played):
    left = [path for name in ("remote_tmp", "local_tmp") for path in (played.directory / name).rglob("*") if path.is_file()]
    assert left == []


def test_the_declaration_travels_as_a_file_for_its_owner_alone(tmp_path):
    run = Played(tmp_path)
    task = {BULK: {"domains": [boxed("kept.test")]}, "check_mode": True}
    run.play({"kept": task}, {}, ANSIBLE_KEEP_REMOTE_FILES="1")
    (path,) = run.remote_tmp.rglob("declaration.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert json.loads(path.read_text()) == [boxed("kept.test")]
