# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import (
    declaration_of_domain,
    declaration_of_domains,
    declaration_of_mailbox,
    domain_patterns,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH

HOSTILE = [
    "a\nb",
    "a:b",
    "${run{/bin/false}}",
    "|/bin/sh",
    ":include:/etc/passwd",
    "/etc/passwd",
    "..",
    "a\x00b",
    "a" * 300,
    "",
]


def errors_of(action, *arguments):
    """where -> message of everything that is wrong."""
    try:
        errors = action(*arguments).errors
    except MailErrors as error:
        errors = error.errors
    return [(one.where, one.message) for one in errors]


def bulk_errors(*entries, **options):
    return errors_of(declaration_of_domains, entries, options)


def domain_errors(**options):
    return errors_of(declaration_of_domain, {"state": "present", "name": "example.com", **options})


def mailbox_errors(**options):
    return errors_of(declaration_of_mailbox, {"state": "present", "address": "info@example.com", **options})


FIELDS = {
    "name": lambda text: {"name": text},
    "owner": lambda text: {"name": "a.test", "owner": text},
    "forward_to": lambda text: {"name": "a.test", "default_action": "forward_to_domain", "forward_to": f"{text}.test"},
    "forward_to address": lambda text: {
        "name": "a.test",
        "default_action": "forward_to_address",
        "forward_to": f"{text}@b.test",
    },
    "ip_addresses[0]": lambda text: {"name": "a.test", "ip_addresses": [text]},
    "allow_senders[1]": lambda text: {"name": "a.test", "allow_senders": ["b.test", text]},
    "block_senders[0]": lambda text: {"name": "a.test", "block_senders": [f"x@{text}"]},
    "allow_hosts[0]": lambda text: {"name": "a.test", "allow_hosts": [text]},
    "block_hosts[1]": lambda text: {"name": "a.test", "block_hosts": ["192.0.2.1", text]},
    "mailboxes[0].name": lambda text: {"name": "a.test", "mailboxes": [{"name": text}]},
    "mailboxes[0].aliases[0]": lambda text: {"name": "a.test", "mailboxes": [{"name": "i", "aliases": [text]}]},
    "mailboxes[0].forward_to[0]": lambda text: {"name": "a.test", "mailboxes": [{"name": "i", "forward_to": [text]}]},
    "mailboxes[0].senders[0]": lambda text: {"name": "a.test", "mailboxes": [{"name": "i", "senders": [f"*@{text}"]}]},
    "mailboxes[0].quota": lambda text: {"name": "a.test", "mailboxes": [{"name": "i", "quota": f"x{text}"}]},
    "mailboxes[0].password_hash": lambda text: {"name": "a.test", "mailboxes": [{"name": "i", "password_hash": text}]},
}


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", FIELDS)
def test_hostile_text_is_one_error_with_the_path_of_its_option(field, text):
    ((where, message),) = bulk_errors(FIELDS[field](text))
    assert where == f"domains[0].{field.partition(' ')[0]}"
    assert message.isprintable()


@pytest.mark.parametrize("text", [*(text for text in HOSTILE[:-1] if text != "/etc/passwd"), "relative", "/srv/../etc"])
def test_a_hostile_archive_directory_is_one_error(text):
    ((where, _message),) = bulk_errors(archive_dir=text, removed_mail="archive")
    assert where == "archive_dir"


@pytest.mark.parametrize("text", HOSTILE)
def test_the_single_modules_name_the_option_alone(text):
    assert [where for where, _message in domain_errors(name=text)] == ["name"]
    assert [where for where, _message in domain_errors(state="absent", name=text)] == ["name"]
    assert [where for where, _message in mailbox_errors(address=f"{text}@example.com")] == ["address"]
    assert [where for where, _message in mailbox_errors(aliases=["ok", text])] == ["aliases[1]"]
    assert [where for where, _message in errors_of(domain_patterns, ["a.test", text])] == ["names[1]"]


def test_all_errors_of_all_entries_come_at_once_with_their_positions():
    found = bulk_errors(
        {"name": "good.test"},
        {"name": "bad", "owner": "no such:user"},
        "not a dictionary",
        {"name": "c.test", "enabled": "perhaps"},
        {"name": "d.test", "mailboxes": [{"name": "a b"}, {"name": "x", "quota": "much", "aliases": ["ok", "n:o"]}]},
        {"owner": "alice"},
        {"name": "e.test", "colour": "green"},
    )
    assert [where for where, _message in found] == [
        "domains[1].name",
        "domains[1].owner",
        "domains[2]",
        "domains[3]",
        "domains[4].mailboxes[0].name",
        "domains[4].mailboxes[1].aliases[1]",
        "domains[4].mailboxes[1].quota",
        "domains[5]",
        "domains[6]",
    ]


def test_many_errors_are_counted_and_the_first_hundred_shown():
    message = str(MailErrors(declaration_of_domains([{"name": "bad"}] * 150, {}).errors))
    assert message.startswith("150 errors, nothing was changed:")
    assert message.endswith("... and 50 more")


@pytest.mark.parametrize("name", [None, ""])
def test_an_entry_without_a_name_is_an_error_and_not_passed_over(name):
    assert len(bulk_errors({"name": name, "owner": "alice"})) == 1
    assert len(bulk_errors({"name": "a.test", "mailboxes": [{"name": name, "password_hash": HASH}]})) == 1


def test_the_other_name_of_name_is_taken_too():
    (domain,) = declaration_of_domains([{"domain": "Example.COM", "owner": "alice"}], {}).domains
    assert (domain.name, domain.owner) == ("example.com", "alice")


def test_types_are_converted_as_ansible_converts_them():
    entry = {"name": "a.test", "enabled": "no", "ip_addresses": "192.0.2.1,192.0.2.2", "mailboxes": [{"name": 7, "quota": 0}]}
    declaration = declaration_of_domains([entry], {})
    assert declaration.domains[0].enabled is False
    assert declaration.domains[0].ip_addresses == ("192.0.2.1", "192.0.2.2")
    assert (declaration.mailboxes[0].address, declaration.mailboxes[0].quota) == ("7@a.test", "")


def test_null_says_nothing():
    entry = dict.fromkeys(["owner", "enabled", "default_action", "forward_to", "ip_addresses", "mailboxes"])
    (domain,) = declaration_of_domains([{"name": "a.test", **entry}], {}).domains
    assert domain == declaration_of_domains([{"name": "a.test"}], {}).domains[0]


def test_an_empty_list_says_something():
    (domain,) = declaration_of_domains([{"name": "a.test", "ip_addresses": [], "mailboxes": []}], {}).domains
    assert (domain.ip_addresses, domain.lists_mailboxes) == ((), True)


TWICE = {
    "a domain": ([{"name": "a.test"}, {"name": "A.test"}], "domains[1].name", "a.test"),
    "an international domain and its A-label": (
        [{"name": "Exämple.test"}, {"name": "xn--exmple-cua.test"}],
        "domains[1].name",
        "xn--exmple-cua.test",
    ),
    "a mailbox": (
        [{"name": "a.test", "mailboxes": [{"name": "info"}, {"name": "INFO"}]}],
        "domains[0].mailboxes[1].name",
        "info@a.test",
    ),
    "a mailbox and an alias": (
        [{"name": "a.test", "mailboxes": [{"name": "info"}, {"name": "desk", "aliases": ["info"]}]}],
        "domains[0].mailboxes[1].aliases[0]",
        "info@a.test",
    ),
    "an alias of two mailboxes": (
        [{"name": "a.test", "mailboxes": [{"name": "a", "aliases": ["x"]}, {"name": "b", "aliases": ["x@a.test"]}]}],
        "domains[0].mailboxes[1].aliases[0]",
        "x@a.test",
    ),
    "a mailbox that is its own alias": (
        [{"name": "a.test", "mailboxes": [{"name": "a", "aliases": ["y", "a"]}]}],
        "domains[0].mailboxes[0].aliases[1]",
        "a@a.test",
    ),
}


@pytest.mark.parametrize("case", TWICE)
def test_what_is_declared_twice_is_an_error_that_names_both_places(case):
    entries, where, name = TWICE[case]
    ((found, message),) = bulk_errors(*entries)
    assert found == where
    assert message.startswith(f"{name} is declared twice, first at domains[0].")


def test_an_alias_in_another_domain_is_an_error_with_what_to_do():
    ((where, message),) = mailbox_errors(aliases=["sales@example.net"])
    assert where == "aliases[0]"
    assert "declare it there" in message


def test_password_and_hash_exclude_each_other():
    entry = {"name": "a.test", "mailboxes": [{"name": "i", "password": "x", "password_hash": HASH}]}
    assert bulk_errors(entry) == [("domains[0].mailboxes[0].password_hash", "password and password_hash exclude each other")]


@pytest.mark.parametrize("password", ["", "one\ntwo", "one\rtwo", "nul\x00"])
def test_a_password_that_no_login_can_send_is_refused_without_being_shown(password):
    ((where, message),) = mailbox_errors(password=password)
    assert where == "password"
    assert "one" not in message


def test_no_password_or_hash_is_ever_in_an_error():
    entry = {"name": "a.test", "mailboxes": [{"name": "x y", "password": "s3cret\n"}, {"name": "z", "password_hash": "s3cret"}]}
    found = bulk_errors(entry, {"name": "a.test", "mailboxes": [{"name": "b", "password": {"s3cret": 1}, "enabled": "s"}]})
    assert "s3cret" not in repr(found)


@pytest.mark.parametrize("action", ["reject", "discard"])
def test_forward_to_is_superfluous_where_nothing_is_forwarded(action):
    ((where, message),) = domain_errors(default_action=action, forward_to="example.net")
    assert where == "forward_to"
    assert "has no meaning" in message


def test_forward_to_address_wants_an_address():
    assert "no @" in domain_errors(default_action="forward_to_address", forward_to="example.net")[0][1]


def test_forward_to_domain_wants_a_domain():
    assert "not a domain name" in domain_errors(default_action="forward_to_domain", forward_to="a@example.net")[0][1]


def test_removing_declares_nothing_else():
    options = {"state": "absent", "name": "Exämple.test", "removed_mail": "delete"}
    declaration = declaration_of_domain(options)
    assert (declaration.absent_domains, declaration.domains) == (("xn--exmple-cua.test",), ())
    assert declaration.removed_mail == "delete"


def test_the_list_of_aliases_of_the_module_mailbox_is_the_whole_list():
    assert declaration_of_mailbox({"state": "present", "address": "a@a.test"}).exact_aliases
    assert not declaration_of_domains([], {}).exact_aliases
