# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role fail2ban reads in Dovecot's lines, and the action that shuts a mailbox."""

from __future__ import annotations

import configparser
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROLE = Path(__file__).resolve().parents[3] / "roles" / "fail2ban"


def _expressions(by: str) -> list[str]:
    """As fail2ban reads them: its own tags besides what configparser fills in."""
    text = (ROLE / "templates" / "filter.conf.j2").read_text(encoding="utf-8").partition("\n")[2]
    filter_file = configparser.ConfigParser(interpolation=configparser.BasicInterpolation())
    filter_file.read_string(text.replace("{{ mail_host_dovecot_service }}", "dovecot"))
    found = filter_file["Definition"][f"failures_{by}"]
    found = found.replace("<ADDR>", r"(?P<found>[0-9a-fA-F.:]+)").replace("<F-ID>", "(?P<found>").replace("</F-ID>", ")")
    return [line for line in found.splitlines() if line.strip()]


def _found(by: str, line: str) -> str:
    matches = [re.search(expression, line) for expression in _expressions(by)]
    return next((match["found"] for match in matches if match), "")


HEAD = "mail1 dovecot[812]: "
MISMATCH = [
    f"{HEAD}auth: passwd-file(info@a.test,192.0.2.1,<Ki4A0TxhndPGM2Q0>): Password mismatch",
    f"{HEAD}auth: passwd-file(info@a.test,192.0.2.1): Password mismatch",
    f"{HEAD}auth(info@a.test,192.0.2.1,sasl:plain)<bHkZ1DxhWafGM2Q0>: users: Password mismatch",
    f"{HEAD}auth(info@a.test,192.0.2.1,sasl:login): users: Password mismatch",
    "mail1.a.test dovecot: auth(info@a.test,192.0.2.1,sasl:plain): users: Password mismatch",
]
UNKNOWN = [
    f"{HEAD}auth: passwd-file(nobody,2001:db8::7,<Ki4A/TxhndPGM2Q0>): unknown user",
    f"{HEAD}auth(nobody@a.test,2001:db8::7,sasl:plain)<b+kZ1DxhWafGM2Q0>: users: unknown user",
    f"{HEAD}auth: plain(?,2001:db8::7): Username character disallowed by auth_username_chars: 0x3e (username: x>)",
    f"{HEAD}auth(?,2001:db8::7,sasl:plain)<x>: plain: Username character disallowed by auth_username_chars: 0x27 (username: it's)",
]
OTHERS = [
    # a good login, and one to a mailbox that is shut
    f"{HEAD}imap-login: Login: user=<info@a.test>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.9, mpid=8586, TLS, session=<hHtL4DxhB6XGM2QH>",
    f"{HEAD}auth(info@a.test,192.0.2.1,sasl:plain): disabled_domains: unknown user",
    f"{HEAD}auth: User found from deny passdb",
    f"{HEAD}imap-login: Login aborted: Logged out (user disabled, 1 attempts in 17 secs) (user_disabled): user=<x@a.test>, rip=192.0.2.1",
    # what somebody else says
    "mail1 sshd[812]: auth: passwd-file(info@a.test,192.0.2.1): Password mismatch",
    f"{HEAD}lmtp(info@a.test)<1><x>: auth: passwd-file(info@a.test,192.0.2.1): Password mismatch",
]
NAMES = [
    "x,203.0.113.5): Password mismatch",
    "x> dovecot: auth: passwd-file(info@a.test,203.0.113.5): Password mismatch",
    "\n mail1 dovecot: auth: passwd-file(info@a.test,203.0.113.5): Password mismatch",
]


@pytest.mark.parametrize("line", MISMATCH)
def test_a_wrong_password_is_found_by_address_and_by_account(line: str) -> None:
    assert (_found("address", line), _found("account", line)) == ("192.0.2.1", "info@a.test")


@pytest.mark.parametrize("line", UNKNOWN)
def test_a_mailbox_that_there_is_not_counts_by_address_alone(line: str) -> None:
    assert (_found("address", line), _found("account", line)) == ("2001:db8::7", "")


@pytest.mark.parametrize("line", OTHERS)
def test_nothing_else_counts(line: str) -> None:
    assert (_found("address", line), _found("account", line)) == ("", "")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_client_calls_itself_is_not_looked_at(name: str) -> None:
    line = f"{HEAD}auth: plain(?,192.0.2.1): Username character disallowed by auth_username_chars: 0x2c (username: {name})"
    assert (_found("address", line), _found("account", line)) == ("192.0.2.1", "")


@pytest.fixture
def action(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The action over a file of its own; of fail2ban only the class that it extends."""
    actions = ModuleType("fail2ban.server.actions")
    actions.ActionBase = type("ActionBase", (), {"__init__": lambda _self, _jail, _name: None})  # type: ignore[attr-defined]
    for name, module in (("fail2ban", ModuleType("")), ("fail2ban.server", ModuleType("")), ("fail2ban.server.actions", actions)):
        monkeypatch.setitem(sys.modules, name, module)
    specification = importlib.util.spec_from_file_location("accounts", ROLE / "files" / "fleetpost-mail-accounts.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    path = tmp_path / "locked_accounts"
    path.write_text("left@a.test:\n")
    path.chmod(0o640)
    return module.Action("jail", "name", str(path))


def _locked(action: Any) -> list[str]:
    return [line for line in Path(action.path).read_text().splitlines() if line and not line.startswith("#")]


def test_mailboxes_are_shut_and_opened_again(action: Any) -> None:
    action.start()
    assert _locked(action) == []
    action.ban({"fid": "info@a.test"})
    action.ban({"fid": "a@b.test"})
    action.reban({"fid": "a@b.test"})
    assert _locked(action) == ["a@b.test:", "info@a.test:"]
    action.unban({"fid": "info@a.test"})
    action.unban({"fid": "never@a.test"})
    assert _locked(action) == ["a@b.test:"]
    action.stop()
    assert _locked(action) == []


def test_the_file_keeps_its_mode_and_nothing_lies_beside_it(action: Any) -> None:
    action.ban({"fid": "info@a.test"})
    path = Path(action.path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "name",
    ["", "info", "Info@a.test", "a b@c.test", "a@b.test:{PLAIN}x", "a@b.test\n", "a@b.test\nc@d.test", "../x@a.test", "$(id)@a.test", "*"],
)
def test_only_what_is_strictly_an_address_is_written(action: Any, name: str) -> None:
    action.start()
    action.ban({"fid": name})
    assert _locked(action) == []
