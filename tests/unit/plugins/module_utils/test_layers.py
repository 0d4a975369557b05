# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files may touch the world, read from their imports and calls."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PLUGINS = Path(__file__).resolve().parents[4] / "plugins"
FILES = sorted(PLUGINS.glob("*/*.py"))
UTILS = sorted((PLUGINS / "module_utils").glob("_*.py"))
PREFIX = "ansible_collections.fleetpost.mail.plugins.module_utils"

# The ground: what these files do, everybody above does through them.
GROUND = {
    "_files",
    "_lock",
    "_mail_tree",
    "_archive",
    "_unpack",
    "_audit_log",
    "_run_by",
    "_generations",
    "_log_files",
    "_servers",
    "_exim_processes",
    "_system_calls",
    "_dns_streams",
    "_dns_sockets",
    "_tools",
    "_dovecot_service",
    "_workers",
    "_tls_client",
    "_scanner_client",
}
# Above it: those that call the ground.
CALLERS = {
    "_observe",
    "_observe_keys",
    "_observe_layout",
    "_observe_certificates",
    "_certificate_files",
    "_certificate_lines",
    "_key_maker",
    "_certificate_maker",
    "_install",
    "_acme",
    "_renewal",
    "_apply",
    "_capture",
    "_restore",
    "_source",
    "_inventory",
    "_run",
    "_walk",
    "_run_log",
    "_dns_client",
    "_dns_sight",
    "_dns_publish",
    "_dns_host",
    "_dns_verify",
    "_dns_check",
    "_dns_run",
    "_export",
    "_import_run",
}

WORLD = {
    "os",
    "io",
    "pathlib",
    "shutil",
    "tempfile",
    "subprocess",
    "socket",
    "ssl",
    "urllib",
    "http",
    "ctypes",
    "fcntl",
    "pwd",
    "grp",
    "glob",
    "select",
    "signal",
    "threading",
    "multiprocessing",
    "random",
    "secrets",
    "time",
    "datetime",
    "logging",
    "syslog",
    "gzip",
    "sys",
}
# What the callers may import of it all the same, and what for.
GRANTED = {
    ("_observe", "os"),  # names of the kernel, entries of an open directory
    ("_observe", "grp"),
    ("_observe", "pwd"),
    ("_observe", "time"),  # the moment that decides the stage of a rotation, handed on as a value
    ("_observe_keys", "os"),  # entries of ssl/, opened once: ten thousand keys are twenty thousand files
    ("_observe_certificates", "os"),  # entries of an open directory
    ("_certificate_files", "os"),  # entries of directories opened once, and certbot's links
    ("_certificate_maker", "datetime"),  # the moments between which a new certificate is valid
    ("_acme", "os"),  # the number of this process, in the name of its file
    ("_acme", "time"),  # patience with another certbot
    ("_renewal", "os"),  # its environment: whether we called it ourselves
    ("_renewal", "sys"),  # it is a command
    ("_renewal", "time"),  # whether a certificate has expired
    ("_inventory", "time"),  # how many days a certificate is valid
    ("_moments", "time"),  # the calendar; the clock only where a moment is asked for without saying which
    ("_apply", "os"),  # its own priority
    ("_apply", "fcntl"),  # a claim on mail that was set aside
    ("_apply", "time"),
    ("_import_run", "os"),  # entries of an open directory
    ("_import_run", "pwd"),
    ("_run", "time"),  # the moment a run begins, handed on as a value
}
CALLS = {"open", "exec", "eval", "compile", "__import__", "input", "print", "breakpoint"}


def name_of(path):
    return path.stem


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), path.name)


def imported(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield module
            if module == PREFIX:
                yield from (f"{PREFIX}.{alias.name}" for alias in node.names)


def ours(path):
    return {name.rpartition(".")[2] for name in imported(path) if name.startswith(f"{PREFIX}.")}


@pytest.mark.parametrize("path", [path for path in UTILS if path.stem not in GROUND], ids=name_of)
def test_only_the_ground_touches_the_world(path):
    world = {name.partition(".")[0] for name in imported(path)} & WORLD
    assert {name for name in world if (path.stem, name) not in GRANTED} == set()


@pytest.mark.parametrize("path", [path for path in UTILS if path.stem not in GROUND], ids=name_of)
def test_nothing_above_the_ground_opens_or_runs_anything(path):
    called = {node.func.id for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert called & CALLS == set()


@pytest.mark.parametrize("path", [path for path in UTILS if path.stem not in GROUND | CALLERS | {"_module"}], ids=name_of)
def test_the_pure_layers_import_no_layer_that_does_io(path):
    assert ours(path) & (GROUND | CALLERS | {"_module"}) == set()


@pytest.mark.parametrize("path", [path for path in UTILS if path.stem in GROUND], ids=name_of)
def test_the_ground_imports_only_itself_and_plain_values(path):
    assert ours(path) <= GROUND | {"_errors", "_layout", "_model", "_dns_packets", "_ownership", "_version"}


@pytest.mark.parametrize("path", [path for path in UTILS if path.stem != "_module"], ids=name_of)
def test_only_one_file_knows_ansible_module(path):
    assert "ansible.module_utils.basic" not in set(imported(path))


@pytest.mark.parametrize("path", sorted((PLUGINS / "modules").glob("*.py")), ids=name_of)
def test_a_module_is_options_and_one_call(path):
    assert ours(path) <= {"_declaration", "_module", "_source", "_specs", "_dns_run", "_dns_check", "_import_run"}
    documentation = ("DOCUMENTATION", "EXAMPLES", "RETURN")
    code = [node for node in tree_of(path).body if not (isinstance(node, ast.Assign) and node.targets[0].id in documentation)]
    assert sum(node.end_lineno - node.lineno + 1 for node in code) < 80


def carried(module):
    """The files that travel to the host with a module: AnsiballZ follows every import."""
    found, paths = set(), [PLUGINS / "modules" / f"{module}.py"]
    while paths:
        new = ours(paths.pop()) - found
        found |= new
        paths += [PLUGINS / "module_utils" / f"{name}.py" for name in new]
    return found


@pytest.mark.parametrize("module", ["mail_domain", "mail_domain_cert", "mail_domain_dkim", "mail_domains", "mailbox"])
def test_modules_that_publish_nothing_carry_no_code_for_it(module):
    assert not carried(module) & {"_dns_records", "_dns_update", "_dns_publish", "_dns_run", "_dns_check", "_import_run"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_every_file_is_written_in_the_grammar_of_python_3_9(path):
    ast.parse(path.read_text(encoding="utf-8"), path.name, feature_version=(3, 9))


@pytest.mark.parametrize("path", UTILS, ids=name_of)
def test_annotations_of_later_pythons_are_never_evaluated(path):
    tree = tree_of(path)
    assert any(isinstance(node, ast.ImportFrom) and node.module == "__future__" for node in tree.body)
    for node in tree.body:
        if isinstance(node, ast.Assign):
            unions = [one for one in ast.walk(node.value) if isinstance(one, ast.BinOp) and isinstance(one.op, ast.BitOr)]
            assert not any(isinstance(side, ast.Constant) and side.value is None for one in unions for side in (one.left, one.right))


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_longer_than_400_lines_and_no_function_longer_than_50(path):
    text = path.read_text(encoding="utf-8")
    if path.parent.name == "module_utils":
        assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < 50, node.name
