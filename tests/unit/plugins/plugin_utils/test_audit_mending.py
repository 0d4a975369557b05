# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that mend problems, held against the problems that the modules really tell."""

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _certificate_health, _dns_verify, _gather
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Certificate, FoundCertificate
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import NO_FILTERS
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import DEBIAN
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Domain, Facts, Host, Mailbox
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_mending import Commands, options_of

COMMANDS = Commands(("-i", "hosts.yml"))
SITE = "ansible-playbook -i hosts.yml fleetpost.mail.site --limit mx1.test"


def mending(*problems, would_change=False):
    return COMMANDS.mending("mx1.test", problems, would_change)


def told(domain, **facts):
    """The problems that mail_domain_info would tell of a domain."""
    known = Facts(users={"alice": (1, 1)}, ip_addresses=frozenset(), host_names=frozenset(), dovecot=None, exim_gid=None, dovecot_gid=None)
    address = f"info@{domain.name}"
    host = Host({domain.name: domain}, {address: Mailbox(address)}, {})
    return _gather.problems_of(host, known._replace(**facts), [], [])[domain.name]


def test_an_owner_who_is_no_user_is_created_and_a_run_follows():
    (problem, login) = told(Domain("a.test", "carol"))
    commands = ["ansible -i hosts.yml mx1.test -m ansible.builtin.user -a name=carol", SITE]
    assert mending(problem) == commands
    assert mending(problem, login, would_change=True) == commands


@pytest.mark.parametrize(
    "problem",
    [
        *told(Domain("a.test", "alice", ip_addresses=("192.0.2.1",))),
        *told(Domain("a.test", "alice", filters=NO_FILTERS._replace(spamassassin=True)), scanners={}),
        _gather._address_problem("x@b.test", Mailbox("x@b.test"), Host({}, {}, {"x@b.test": ""})),
        _dns_verify.sentence({"kind": "mx", "record": "a.test", "type": "MX", "status": "unreachable", "server": "", "why": "timeout"}),
    ],
)
def test_what_somebody_has_to_declare_has_no_command(problem):
    assert mending(problem) == []


def test_a_run_mends_what_it_can():
    certificate = Certificate("mail.a.test", (), "acme")
    problems = _certificate_health.state_of(certificate, FoundCertificate(None, None), DEBIAN, 0.0)["problems"]
    assert problems
    assert mending(*problems) == [SITE]
    missing = {"kind": "mx", "record": "a.test", "type": "MX", "status": "missing", "server": "", "why": ""}
    assert mending(_dns_verify.sentence(missing)) == [SITE]
    assert mending("mend ownership: /var/vmail/a.test") == [SITE]


def test_a_server_that_shows_an_old_certificate_is_reloaded():
    assert mending("Dovecot on port 993 does not show the certificate mail.a.test for mail.a.test: it shows another certificate") == [
        "ansible -i hosts.yml mx1.test -m ansible.builtin.service -a 'name=dovecot state=reloaded'"
    ]


def test_a_hostile_name_stays_one_word_of_the_command():
    assert COMMANDS.site("a; rm -rf /") == "ansible-playbook -i hosts.yml fleetpost.mail.site --limit 'a; rm -rf /'"
    (command, _site) = mending("its owner $(reboot) is no system user")
    assert command.endswith("""-a 'name='"'"'$(reboot)'"'"''""")


def test_the_options_of_the_audit_are_repeated_but_no_variable_that_may_be_secret():
    arguments = {
        "inventory": ("/srv/my hosts.yml",),
        "extra_vars": ("@vars.yml", "password=x"),
        "vault_ids": ["prod@prompt"],
        "become": True,
        "ask_vault_pass": False,
        "remote_user": "admin",
        "become_user": None,
    }
    assert options_of(arguments) == ("-i", "/srv/my hosts.yml", "-e", "@vars.yml", "--vault-id", "prod@prompt", "-u", "admin", "--become")
    assert options_of({}) == ()
