# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hook that the role acme installs is the collection's own code, whole and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import jinja2
import yaml

ROOT = Path(__file__).resolve().parents[3]
UTILS = ROOT / "plugins" / "module_utils"
ROLE = ROOT / "roles" / "acme"
FILES = yaml.safe_load((ROLE / "vars" / "main.yml").read_text())["acme_hook_files"]
_IMPORT = re.compile(r"module_utils(?:\.(_\w+) import| import (\([^)]*\)|[^\n]*))")


def _needed(first: str) -> set[str]:
    """A file of the collection with all that it imports of it."""
    found: set[str] = set()
    files = [first]
    while files:
        name = files.pop()
        if name not in found:
            found.add(name)
            for module, several in _IMPORT.findall((UTILS / f"{name}.py").read_text()):
                files += [module] if module else re.findall(r"_\w+", several)
    return found


def _script(tmp_path: Path) -> Path:
    """The hook as the role writes it."""
    environment = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True)
    environment.globals["lookup"] = lambda _plugin, path: Path(path).read_text().rstrip("\n")
    template = environment.from_string((ROLE / "templates" / "mail-domain-certificates.py.j2").read_text())
    variables = {"acme_hook_files": FILES, "acme_hook_sources": "plugins/module_utils", "role_path": str(ROLE), "ansible_managed": "x"}
    path = tmp_path / "mail-domain-certificates"
    path.write_text(template.render(**variables))
    return path


def test_the_hook_holds_all_the_code_that_it_needs_and_no_other() -> None:
    assert sorted(_needed("_renewal")) == FILES


def test_the_code_can_stand_between_three_quotes() -> None:
    assert [name for name in FILES if "'''" in (UTILS / f"{name}.py").read_text()] == []


def test_the_hook_runs_without_the_collection(tmp_path: Path) -> None:
    script = _script(tmp_path)
    assert script.read_text().startswith("#!/usr/bin/python3\n")
    program = (
        f"import sys; sys.argv = ['hook']; sys.path = [one for one in sys.path if 'ansible' not in one]; exec(open({str(script)!r}).read())"
    )
    program = program.replace("exec(", f"__file__ = {str(script)!r}; exec(")
    # What a run of ours says to the hook: it loads all of its code and leaves the installing to us.
    environment = {**os.environ, "FLEETPOST_MAIL_ORDERING": "yes", "PYTHONPATH": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
