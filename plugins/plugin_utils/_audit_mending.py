# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that mends what an audit found, for each problem in a domain. No IO.

A run of the playbook ``fleetpost.mail.site`` on the host mends nearly all: it makes what is declared and puts right what somebody broke.
What it does not mend is listed here by the words of the problem.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

_NO_USER = re.compile(r"its owner (\S+) is no system user\Z")
_NOT_SHOWN = re.compile(r"Dovecot on port \d+ does not show the certificate ")

# What somebody has to declare, or to do elsewhere, before any run can mend it.
_BY_HAND = (
    re.compile(r"its sending address \S+ is not on this host"),
    re.compile(r"\S+ stands in addresses, but its domain is not in domains"),
    re.compile(r"it asks for \S+, which is not installed"),
    re.compile(r"the mailbox \S+ has no login"),
    re.compile(r"the .* record \S+ \(\w+\) could not be looked up"),
)


class Commands(NamedTuple):
    """Commands for the hosts of an inventory. options: those of the audit's own command line that a further run needs as well."""

    options: tuple[str, ...] = ()

    def site(self, host: str) -> str:
        return shlex.join(["ansible-playbook", *self.options, "fleetpost.mail.site", "--limit", host])

    def module(self, host: str, name: str, arguments: str) -> str:
        return shlex.join(["ansible", *self.options, host, "-m", name, "-a", arguments])

    def audit(self, host: str) -> str:
        return shlex.join(["ansible-playbook", *self.options, "fleetpost.mail.audit", "--limit", host])

    def mending(self, host: str, problems: Iterable[str], would_change: bool) -> list[str]:
        """What mends a domain with these problems, in order; nothing when only its administrator can."""
        found: dict[str, None] = {}
        needs_site = would_change
        for problem in problems:
            user = _NO_USER.match(problem)
            if user:
                found[self.module(host, "ansible.builtin.user", f"name={shlex.quote(user.group(1))}")] = None
            if _NOT_SHOWN.match(problem):
                found[self.module(host, "ansible.builtin.service", "name=dovecot state=reloaded")] = None
            elif not any(pattern.match(problem) for pattern in _BY_HAND):
                needs_site = True
        return [*found, *([self.site(host)] if needs_site else [])]


def options_of(arguments: Mapping[str, Any]) -> tuple[str, ...]:
    """The options of a command line of ansible-playbook that say where hosts and secrets are and who acts on them."""
    words = [word for source in arguments.get("inventory") or () for word in ("-i", str(source))]
    # Other extra variables than files may hold secrets, which a report must not.
    words += [word for value in arguments.get("extra_vars") or () if str(value).startswith("@") for word in ("-e", str(value))]
    for option in ("vault_ids", "vault_password_files"):
        words += [word for value in arguments.get(option) or () for word in (_WITH_VALUE[option], str(value))]
    for option in ("remote_user", "private_key_file", "become_user"):
        if arguments.get(option):
            words += [_WITH_VALUE[option], str(arguments[option])]
    return (*words, *(word for option, word in _FLAGS.items() if arguments.get(option)))


_WITH_VALUE = {
    "vault_ids": "--vault-id",
    "vault_password_files": "--vault-password-file",
    "remote_user": "-u",
    "private_key_file": "--private-key",
    "become_user": "--become-user",
}
_FLAGS = {
    "ask_vault_pass": "--ask-vault-pass",
    "ask_pass": "--ask-pass",
    "become": "--become",
    "become_ask_pass": "--ask-become-pass",
}
