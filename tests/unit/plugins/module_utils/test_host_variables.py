# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of host variables that a declaration becomes."""

from __future__ import annotations

import pytest
import yaml
from ansible_collections.fleetpost.mail.plugins.module_utils._host_variables import host_variables
from ansible_collections.fleetpost.mail.plugins.module_utils._yaml_text import Template, yaml_text
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem
from hypothesis import example, given
from hypothesis import strategies as st


class Loader(yaml.SafeLoader):
    """Reads what Ansible's loader reads."""


Loader.add_constructor("!unsafe", lambda loader, node: loader.construct_scalar(node))


def loaded(text):
    return yaml.load(text, Loader)


def test_a_domain_is_written_as_a_person_would():
    box = {"name": "info", "enabled": True, "aliases": ["sales"], "quota": "1G", "forward_to": [], "senders": [], "password_hash": HASH}
    press = {"name": "press", "enabled": True, "aliases": [], "forward_to": ["a@agency.test"], "keep_copy": False}
    entry = {"name": "my-own.example", "owner": "alice", "enabled": True, "disabled_action": "reject", "default_action": "discard"}
    owners = [{"name": "alice", "max_domains": 5}]
    written = host_variables({"domains": [{**entry, "ip_addresses": ["192.0.2.10"], "mailboxes": [press, box]}], "owners": owners})
    assert written.variables.partition("beside it.\n")[2] == (
        "mail_domains_host_list:\n"
        "  - name: my-own.example\n"
        "    default_action: discard\n"
        "    ip_addresses: [192.0.2.10]\n"
        "    owner: alice\n"
        "    mailboxes:\n"
        "      - name: info\n"
        "        aliases: [sales]\n"
        "        password_hash: \"{{ vault_mail_hashes_my__own_example['info'] }}\"\n"
        "        quota: 1G\n"
        "      - name: press\n"
        "        forward_to: [a@agency.test]\n"
        "        keep_copy: false\n"
        "mail_domains_owners:\n"
        "  - name: alice\n"
        "    max_domains: 5\n"
    )
    assert HASH not in written.variables
    assert loaded(written.vault) == {"vault_mail_hashes_my__own_example": {"info": HASH}}


def test_a_private_key_stands_in_the_vault_as_it_is():
    dkim = {"selector": "mail", "private_key": pem("ed25519", 0), "key_type": "ed25519"}
    written = host_variables({"domains": [{"name": "example.com", "dkim": dkim}]})
    (entry,) = loaded(written.variables)["mail_domains_host_list"]
    assert entry["dkim"] == {"selector": "mail", "key_type": "ed25519", "private_key": "{{ vault_mail_key_example_com }}"}
    assert loaded(written.vault) == {"vault_mail_key_example_com": pem("ed25519", 0)}
    assert "vault_mail_key_example_com: |\n  -----BEGIN" in written.vault


def test_without_secrets_there_is_no_vault():
    assert host_variables({"domains": [{"name": "example.com"}]}).vault == ""


@pytest.mark.parametrize("names", [("a-b.example", "a.b.example"), ("a--b.example", "a-b.example"), ("a_b.example", "a.b.example")])
def test_no_two_domains_share_a_variable(names):
    domains = [{"name": name, "mailboxes": [{"name": "info", "password_hash": name}]} for name in names]
    if "_" in names[0]:
        with pytest.raises(ValueError, match="not a domain name"):
            host_variables({"domains": domains})
    else:
        assert len(loaded(host_variables({"domains": domains}).vault)) == 2


@pytest.mark.parametrize("name", ["x'] }}{{ 1", "a b", "a:b"])
def test_a_name_outside_our_grammar_never_becomes_a_template(name):
    with pytest.raises(ValueError, match="not a local part"):
        host_variables({"domains": [{"name": "example.com", "mailboxes": [{"name": name, "password_hash": HASH}]}]})


@pytest.mark.parametrize("text", ["{{ 1 }}", "a {% raw %}", "{# x #}"])
def test_what_looks_like_a_template_is_marked(text):
    written = host_variables({"domains": [{"name": "example.com", "suspended": True, "suspended_reason": text}]})
    assert "suspended_reason: !unsafe " in written.variables


def test_what_was_left_behind_stands_above_as_comments():
    remark = {"where": "/etc/exim4/aliases:3", "message": "no\nlocal part"}
    written = host_variables({"domains": [], "broken": [remark], "not_translated": [{"where": "a@b.test", "message": "replies"}]})
    assert "#   /etc/exim4/aliases:3: no\\nlocal part\n" in written.variables
    assert "#   a@b.test: replies\n" in written.variables
    assert loaded(written.variables) == {"mail_domains_host_list": []}


@pytest.mark.parametrize(
    "text", ["no", "YES", "On", "y", "null", "1e3", "007", "09", "0x1f", "2026-11-27", "1:30", "1_000", "-1", ".inf", "~", "", "1.5"]
)
def test_what_some_yaml_would_misread_is_quoted(text):
    assert yaml_text({"key": text}) == f'key: "{text}"\n'
    assert yaml_text({text: 1}) == f'"{text}": 1\n'


@pytest.mark.parametrize(
    "text", ["info@example.com", "1G", "192.0.2.10", "198.51.100.0/24", "forward_to_domain", "/etc/ssl/a.pem", "a+b@c.test"]
)
def test_what_is_clear_is_not(text):
    assert yaml_text({"key": [text]}) == f"key: [{text}]\n"


def test_long_lists_take_a_line_for_each_item():
    items = [f"someone-{number}@example.com" for number in range(9)]
    assert yaml_text({"key": items}).splitlines()[:2] == ["key:", "  - someone-0@example.com"]


def test_a_template_stays_one():
    assert yaml_text({"key": Template("{{ one }}")}) == 'key: "{{ one }}"\n'


SCALARS = st.one_of(
    st.text(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False, min_value=-999, max_value=999)
)
LINES = st.lists(st.text("ab- #:|", min_size=1), min_size=1).map(lambda lines: "\n".join(lines) + "\n")
KEYS = st.text(min_size=1)
FLAT = st.dictionaries(KEYS, st.one_of(SCALARS, LINES, st.lists(SCALARS)), min_size=1, max_size=4)
VALUES = st.dictionaries(KEYS, st.one_of(SCALARS, FLAT, st.lists(FLAT, max_size=3)), min_size=1, max_size=4)


@given(VALUES)
@example({"small": 5e-324, "list": [1e-05, 2.5e-07, 1.0]})
def test_whatever_is_written_is_read_back(values):
    assert loaded(yaml_text(values)) == values
