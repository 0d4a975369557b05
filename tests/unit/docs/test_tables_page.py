# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/tables.md says what the parser does: its examples are read and written back, its fields are all there are."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _dovecot, _exim
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Acme, Certificate
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_table import (
    CERTIFICATES_HEADER,
    certificate_values,
    read_certificates,
    tombstone_value,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import zone_text
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_filters import FILTER_FIELDS
from ansible_collections.fleetpost.mail.plugins.module_utils._exim_lists import LIST_HEADERS, read_lists
from ansible_collections.fleetpost.mail.plugins.module_utils._filter_model import Filters, MailboxFilters
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import DEBIAN
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    DKIM_STAGES,
    Account,
    Alias,
    Dkim,
    DkimKey,
    Domain,
    Forward,
    Mailbox,
    PublicKey,
    Removal,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._owner_model import Owner
from ansible_collections.fleetpost.mail.plugins.module_utils._owners import OWNERS_HEADER, owner_value, read_owners
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import Table, parse_fields, parse_table

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "tables.md").read_text(encoding="utf-8")
HEADERS = {
    "domains": _exim.DOMAINS_HEADER,
    **LIST_HEADERS,
    "addresses": _exim.ADDRESSES_HEADER,
    "users": _dovecot.USERS_HEADER,
    "disabled_domains": _dovecot.DISABLED_DOMAINS_HEADER,
    "certificates": CERTIFICATES_HEADER,
    "owners": OWNERS_HEADER,
}
REMOVAL = Removal("archive", "20261123T040000Z", False, "/srv/archive")
TOMBSTONE = {"was", "removed", "since", "archive"}


class Example(NamedTuple):
    table: str
    text: str


def _examples(kind: str = "") -> list[Example]:
    found = re.findall(r"^```text (\w+)( \w+)?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return [Example(table, text) for table, word, text in found if word.strip() == kind]


def _read(table: str, text: str) -> Table:
    separator = ":" if table in ("users", "disabled_domains") else ": "
    return parse_table(table, f"/etc/{table}", text.encode(), "", separator)


def _understand(table: Table) -> None:
    """Reads what the entries mean."""
    if table.name == "domains":
        _exim.read_domains(table, "/etc/domains")
    elif table.name in LIST_HEADERS:
        read_lists({**{name: _read(name, "") for name in LIST_HEADERS}, table.name: table}, {table.name: f"/etc/{table.name}"})
    elif table.name == "addresses":
        _exim.read_addresses(table, "/etc/addresses")
    elif table.name == "certificates":
        read_certificates(table, "/etc/certificates")
    elif table.name == "owners":
        read_owners(table, "/etc/owners")
    elif table.name == "users":
        _dovecot.read_hashes(table)


def _fields_after(heading: str) -> dict[str, str]:
    """Field -> default of the first table of fields below a heading or sentence of the page."""
    return {field: row[2].strip("`") for field, row in _rows(heading).items()}


def _rows(heading: str) -> dict[str, list[str]]:
    """Field -> its row in that table."""
    rows = PAGE[PAGE.index(f"\n{heading}\n") :].split("| field |")[1].split("\n\n")[0].splitlines()[2:]
    cells = [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]
    return {cell[0].strip("` "): cell for cell in cells}


@pytest.mark.parametrize("example", _examples(), ids=lambda example: f"{example.table}: {example.text[:50]}")
def test_an_example_is_read_and_written_back_as_it_stands(example: Example) -> None:
    table = _read(example.table, example.text)
    _understand(table)
    assert table.with_values({}) == example.text


def test_every_table_has_an_example() -> None:
    assert {example.table for example in _examples()} == {*HEADERS, "heloips"}


@pytest.mark.parametrize(
    "value",
    [
        (example.table, line)
        for example in _examples()
        for line in example.text.splitlines()
        if example.table in ("domains", "addresses", "certificates", "owners") and not line.startswith("#") and ":   " not in line and line
    ],
    ids=str,
)
def test_a_value_in_an_example_is_how_the_modules_write_it(value: tuple[str, str]) -> None:
    table = _read(value[0], value[1])
    ((key, text),) = table.values.items()
    if value[0] == "certificates":
        found = read_certificates(table, "").get(key, Certificate(key))
        written = dict(certificate_values(found, {}))
        assert written[key] == text if key in read_certificates(table, "") else parse_fields(text).keys() == {"cert"}
    elif value[0] == "owners":
        assert owner_value(read_owners(table, "")[key], text) == text
    elif value[0] == "domains":
        domain = _exim.read_domains(table, "")[key]
        assert _exim.domain_value(domain, text) == text
    else:
        address = _exim.read_addresses(table, "")[key]
        assert _exim.address_value(address, text) == text


def test_the_logins_in_the_examples_are_how_the_modules_write_them() -> None:
    addresses = _exim.read_addresses(_read("addresses", _example("addresses")), "")
    users = _read("users", _example("users"))
    hashes = _dovecot.read_hashes(users)
    for name, value in users.values.items():
        mailbox = addresses[name]
        assert isinstance(mailbox, Mailbox)
        assert _dovecot.user_value(mailbox, hashes[name], Account(1001, 1001), DEBIAN.mailbox_tree(name), "2.4", None) == value


def test_the_quota_field_of_each_version_of_dovecot_is_on_the_page() -> None:
    for version in ("2.3", "2.4"):
        value = _dovecot.user_value(Mailbox("info@example.com", quota="1G"), "{X}y", Account(1, 1), "/h", version, None)
        assert f"`{value.split('::')[2]}`" in PAGE


def _example(table: str) -> str:
    """The example in the section of a table."""
    section = PAGE[PAGE.index(f"\n## {table}\n") :]
    found = re.search(rf"^```text {table}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    assert found
    return found.group(1)


@pytest.mark.parametrize("line", [(example.table, line) for example in _examples("broken") for line in example.text.splitlines()], ids=str)
def test_a_broken_line_stops_with_file_and_line(line: tuple[str, str]) -> None:
    with pytest.raises(MailError) as error:
        _understand(_read(line[0], f"# a comment\n{line[1]}\n"))
    assert error.value.where == f"/etc/{line[0]}:2"


@pytest.mark.parametrize("name", HEADERS)
def test_the_first_line_names_table_and_format(name: str) -> None:
    assert HEADERS[name].startswith(f"# fleetpost.mail table {name} format 1\n")
    with pytest.raises(MailError, match="format 2"):
        _read(name, f"# fleetpost.mail table {name} format 2\n")


def test_a_file_without_the_first_line_is_read() -> None:
    assert _read("domains", "example.com: owner=alice\n").values == {"example.com": "owner=alice"}


FULL_DKIM = Dkim((DkimKey("s2", "a.test.s2"),), "retiring", (DkimKey("dkim", "a.test"),), "20261123T040000Z")
FULL_FILTERS = Filters(True, True, "tag", 7.5, 15.0, True, 200)
FULL_DOMAIN = Domain(
    *("a.test", "alice", False, "defer", "forward_to_domain", "b.test", (), FULL_DKIM, "v=DMARC1; p=none", REMOVAL, "c.test", FULL_FILTERS),
    suspended=True,
    suspended_reason="not paid",
    mailbox_filters=False,
)
FULL_OWNER = Owner("a", "b", 1, 2, "3G", "4G", 5, False, ("192.0.2.1",), ("a.test",))
FULL_ADDRESSES = {
    "mailbox": Mailbox("x@a.test", False, "1G", ("y@b.test",), False, ("*@b.test",), REMOVAL, MailboxFilters(*FULL_FILTERS)),
    "alias": Alias("x@a.test", "y@a.test", None, REMOVAL),
    "forward": Forward("x@a.test", ("y@b.test",), False, REMOVAL),
}


def test_the_fields_of_a_domain_are_those_the_modules_write() -> None:
    written = parse_fields(_exim.domain_value(FULL_DOMAIN, None))
    assert written.keys() == _fields_after("Fields of `domains`:").keys() | TOMBSTONE


def test_the_fields_of_an_owner_are_those_the_modules_write() -> None:
    assert parse_fields(owner_value(FULL_OWNER, None)).keys() == _fields_after("Fields of `owners`:").keys()


@pytest.mark.parametrize("field", ["limit", "ssl"])
def test_a_default_on_the_page_is_what_an_absent_field_of_an_owner_means(field: str) -> None:
    default = _fields_after("Fields of `owners`:")[field]
    assert read_owners(_read("owners", f"a: {field}={default}\n"), "") == read_owners(_read("owners", "a:\n"), "")


def test_the_fields_of_a_certificate_are_those_the_modules_write() -> None:
    acme = Acme(
        "https://ca.test/dir", "x@a.test", "dns-01", "webroot", "/srv/www", "/etc/ssl/ca.pem", "192.0.2.53", 5353, "k", "hmac-sha1", 1
    )
    made = Certificate("mail.a.test", (), "selfsigned", valid_days=90, renew_before_days=9, is_host=True)
    given = Certificate("mail.a.test", (), "provided", paths=("/c", "/h", "/k"))
    ordered = Certificate("mail.a.test", (), "acme", acme=acme, failed="20261123T040000Z")
    values = [value for one in (made, given, ordered) for _name, value in certificate_values(one, {})]
    values.append(tombstone_value(made, None, None))
    assert {field for value in values for field in parse_fields(value)} == _fields_after("Fields of `certificates`:").keys()


_WITH_DEFAULTS = ("provider", "key", "days", "renew", "directory", "challenge", "method", "dns_port", "tsig_algorithm", "propagation")


@pytest.mark.parametrize("field", _WITH_DEFAULTS)
def test_the_default_of_a_certificates_field_is_what_the_parser_takes(field: str) -> None:
    default = _fields_after("Fields of `certificates`:")[field]
    about = "provider=acme " if field not in ("provider", "key", "days") else ""
    absent = read_certificates(_read("certificates", f"a.test: cert=a.test {about}\n"), "")
    assert read_certificates(_read("certificates", f"a.test: cert=a.test {about}{field}={default}\n"), "") == absent


@pytest.mark.parametrize("kind", FULL_ADDRESSES)
def test_the_fields_of_an_address_are_those_the_modules_write(kind: str) -> None:
    found, _space, fields = _exim.address_value(FULL_ADDRESSES[kind], None).partition(" ")
    assert found == kind
    assert parse_fields(fields).keys() == _fields_after(f"### {kind}").keys() | TOMBSTONE


def test_the_fields_of_a_tombstone_are_on_the_page() -> None:
    assert _fields_after("Fields of a tombstone, besides `enabled=removing`:").keys() == TOMBSTONE


def test_what_is_not_on_the_page_is_kept_as_unknown() -> None:
    domain = _exim.read_domains(_read("domains", "a.test: colour=blue\n"), "")["a.test"]
    assert _exim.domain_value(domain, "colour=blue").endswith(" colour=blue")
    assert _exim.address_value(Mailbox("x@a.test"), "mailbox colour=blue") == "mailbox colour=blue"


@pytest.mark.parametrize("field", ["owner", "enabled", "disabled", "action", "suspended", *FILTER_FIELDS, "mailbox_filters"])
def test_a_default_on_the_page_is_what_an_absent_field_of_a_domain_means(field: str) -> None:
    default = _fields_after("Fields of `domains`:")[field]
    assert _domain("") == _domain(f"{field}={default}")


def test_the_default_stage_on_the_page_is_what_an_absent_one_means() -> None:
    default = _fields_after("Fields of `domains`:")["dkim_stage"]
    signing = "dkim=dkim dkim_key=a.test.private"
    assert _domain(signing) == _domain(f"{signing} dkim_stage={default}")


def test_the_stages_on_the_page_are_all_there_are() -> None:
    rows = PAGE[PAGE.index("\n| stage |") :].split("\n\n")[0].splitlines()[3:]
    assert {row.split("|")[1].strip(" `") for row in rows} == {*DKIM_STAGES} - {"active"}


def test_the_record_file_on_the_page_is_how_the_modules_write_it() -> None:
    key = PublicKey("ed25519", 256, "email", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=")
    assert f"```text\n{zone_text('dkim', 'example.com', key)}```" in PAGE


@pytest.mark.parametrize("field", ["enabled", "keep"])
def test_a_default_on_the_page_is_what_an_absent_field_of_a_mailbox_means(field: str) -> None:
    default = _fields_after("### mailbox")[field]
    assert _mailbox("forward=y@b.test") == _mailbox(f"forward=y@b.test {field}={default}")


@pytest.mark.parametrize("field", FILTER_FIELDS)
def test_a_filter_on_the_page_says_the_same_of_a_mailbox(field: str) -> None:
    of_domain, of_mailbox = _rows("Fields of `domains`:"), _rows("### mailbox")
    assert of_domain[field][1] == of_mailbox[field][1]
    assert of_mailbox[field][2] == ("none" if field == "limit" else "as the domain")


@pytest.mark.parametrize("field", ["was", "removed", "archive"])
def test_a_default_on_the_page_is_what_an_absent_field_of_a_tombstone_means(field: str) -> None:
    default = _fields_after("Fields of a tombstone, besides `enabled=removing`:")[field]
    tombstone = "enabled=removing since=20261123T040000Z"
    assert _domain(tombstone) == _domain(f"{tombstone} {field}={default}")


def _domain(fields: str) -> Domain:
    return _exim.read_domains(_read("domains", f"a.test: {fields}\n"), "")["a.test"]


def _mailbox(fields: str) -> object:
    return _exim.read_addresses(_read("addresses", f"x@a.test: mailbox {fields}\n"), "")["x@a.test"]


def test_a_key_with_a_colon_is_quoted() -> None:
    assert _read("heloips", "").line("2001:db8::10", "mail1.example.com") in PAGE
