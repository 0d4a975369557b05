# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import (
    parse_fields,
    parse_table,
    render_fields,
    sort_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

HEADER = "# fleetpost.mail table domains format 1\n# keys: owner\n\n"
PATH = "/etc/exim4/domains"


def parse(text, separator=": ", name="domains"):
    source = text if text is None or isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
    return parse_table(name, PATH, source, HEADER, separator)


def error_of(text, separator=": "):
    with pytest.raises(MailError) as caught:
        parse(text, separator)
    return caught.value


# byte-exact

KEYS = st.from_regex(r"[a-z0-9_*][a-z0-9._@*-]{0,12}", fullmatch=True)
VALUES = st.from_regex(r"([!-9;-~]([ -9;-~]{0,20}[!-9;-~])?)?", fullmatch=True).filter(lambda text: '"' not in text)
COMMENTS = st.lists(
    st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12).map(lambda text: f"#{text}\n"),
        st.just("\n"),
    ),
    max_size=3,
).map("".join)


@st.composite
def tables(draw):
    entries = draw(st.dictionaries(KEYS, st.tuples(COMMENTS, VALUES), max_size=6))
    text = HEADER
    for key in sorted(entries, key=sort_key):
        comments, value = entries[key]
        text += comments + f"{key}: {value}".rstrip() + "\n"
    return text + draw(COMMENTS)


@settings(max_examples=200, deadline=None)
@given(tables())
def test_a_sorted_table_is_written_byte_for_byte_as_it_was_read(text):
    assert parse(text).with_values({}) == text


@settings(max_examples=100, deadline=None)
@given(tables(), KEYS, VALUES)
def test_changing_one_line_changes_no_other_line(text, key, value):
    table = parse(text)
    changed = table.with_values({key: value})
    line = table.line(key, value)
    before = [one for one in text.split("\n") if one != table.line(key, table.values.get(key, value))]
    assert [one for one in changed.split("\n") if one != line] == [one for one in before if one != line]
    assert parse(changed).values == {**table.values, key: value}


@settings(max_examples=100, deadline=None)
@given(tables(), st.data())
def test_removing_a_line_keeps_every_comment(text, data):
    table = parse(text)
    if not table.values:
        return
    key = data.draw(st.sampled_from(sorted(table.values)))
    removed = table.with_values({key: None})
    comments = sorted(line for line in text.split("\n") if line.startswith("#"))
    assert sorted(line for line in removed.split("\n") if line.startswith("#")) == comments
    assert key not in parse(removed).values


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_whatever_stands_in_a_file_is_either_kept_in_full_or_an_error(source):
    try:
        table = parse(source)
    except MailError:
        return
    assert table.source is not None
    assert table.source.encode("utf-8", "surrogateescape") == source
    written = table.with_values({})
    assert sorted(written.split()) == sorted(table.source.split())
    assert parse(written.encode("utf-8", "surrogateescape")).values == table.values


def test_a_missing_file_is_a_table_with_its_header_only():
    table = parse(None)
    assert table.with_values({"a.test": "owner=x"}) == f"{HEADER}a.test: owner=x\n"
    assert table.source is None


def test_an_empty_file_is_a_table_without_lines():
    assert parse("").values == {}


def test_lines_are_sorted_by_domain_and_then_by_local_part():
    table = parse("z@a.test: mailbox\n")
    text = table.with_values({"b@b.test": "mailbox", "a@b.test": "mailbox", "a@a.test": "mailbox"})
    assert [line.partition(":")[0] for line in text.splitlines()] == ["a@a.test", "z@a.test", "a@b.test", "b@b.test"]


# comments and layout

COMMENTED = HEADER + "# about b\n\n# more\nb.test: owner=b\n# about d\nd.test: owner=d\n# the end\n"


def test_a_comment_moves_with_the_line_below_it():
    text = parse(COMMENTED).with_values({"c.test": "owner=c", "a.test": "owner=a"})
    assert text == (
        HEADER + "# about b\n\na.test: owner=a\n# more\nb.test: owner=b\nc.test: owner=c\n# about d\nd.test: owner=d\n# the end\n"
    )


def test_the_header_stays_on_top():
    assert parse(COMMENTED).with_values({"a.test": "owner=a"}).startswith(HEADER)


def test_the_comment_of_a_removed_line_goes_to_the_end():
    text = parse(COMMENTED).with_values({"b.test": None})
    assert text == HEADER + "# about b\n\n# about d\nd.test: owner=d\n# more\n# the end\n"


def test_hand_written_spacing_of_an_untouched_line_is_kept():
    text = HEADER + "a.test:\towner=a   note=x  \nB.test :owner=b\n"
    with pytest.raises(MailError):
        parse(text)
    text = HEADER + "a.test:\towner=a   note=x  \nB.test : owner=b\n"
    assert parse(text).with_values({"c.test": "owner=c"}) == text + "c.test: owner=c\n"


def test_keys_are_read_in_lower_case():
    assert parse("Example.COM: owner=a\n").values == {"example.com": "owner=a"}


def test_a_continued_line_is_one_entry():
    table = parse("a.test: owner=a\n  enabled=no\n\tdisabled=defer\n")
    assert table.values == {"a.test": "owner=a enabled=no disabled=defer"}


def test_a_continued_line_that_does_not_change_keeps_its_lines():
    text = "b.test: owner=a\n  enabled=no\n"
    assert parse(text).with_values({"a.test": "owner=x"}) == "a.test: owner=x\n" + text


def test_a_continued_line_that_changes_becomes_one_line():
    assert parse("a.test: owner=a\n  enabled=no\n").with_values({"a.test": "owner=b"}) == "a.test: owner=b\n"


def test_a_blank_line_of_spaces_is_a_comment():
    text = "a.test: owner=a\n  \t\nb.test: owner=b\n"
    assert parse(text).with_values({}) == text


@pytest.mark.parametrize("last", ["b.test: owner=b", "b.test: owner=b\n  enabled=no", "# the end", HEADER.split("\n", maxsplit=1)[0]])
def test_a_missing_last_line_end_joins_no_two_lines(last):
    table = parse(last)
    written = table.with_values({"a.test": "owner=a", "c.test": "owner=c"})
    assert parse(written).values == {**table.values, "a.test": "owner=a", "c.test": "owner=c"}
    assert last + "\n" in written


def test_windows_line_ends_are_read_and_kept():
    text = "# a comment\r\n\r\na.test: owner=a\r\nb.test: owner=b\r\n"
    table = parse(text)
    assert table.values == {"a.test": "owner=a", "b.test": "owner=b"}
    assert table.with_values({"b.test": "owner=c"}) == text.replace("b.test: owner=b\r\n", "b.test: owner=c\n")


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x1e", "\x85", "\u2028", "\u2029", "\r"])
def test_only_a_line_feed_ends_a_line(character):
    text = f"# note{character}evil.test: owner=mallory\na.test: owner=a\n"
    table = parse(text)
    assert list(table.values) == ["a.test"]
    assert table.with_values({}) == text


def test_bytes_that_are_no_utf_8_are_kept_in_comments():
    source = b"# caf\xe9\na.test: owner=a\n"
    table = parse(source)
    assert table.with_values({"b.test": "owner=b"}).encode("utf-8", "surrogateescape") == source + b"b.test: owner=b\n"


def test_a_key_with_colons_is_written_in_quotes():
    assert parse("").with_values({"2001:db8::1": "mail.a.test"}) == '"2001:db8::1": mail.a.test\n'


def test_a_quoted_key_is_read_without_its_quotes():
    text = '"2001:db8::1": mail.a.test\n'
    table = parse(text)
    assert table.values == {"2001:db8::1": "mail.a.test"}
    assert table.with_values({}) == text


# passwd-files


def test_a_passwd_file_has_no_space_behind_its_colon():
    table = parse("a@a.test:{X}h:1:2::/home::q=1\n", ":")
    assert table.values == {"a@a.test": "{X}h:1:2::/home::q=1"}
    assert table.with_values({"b@a.test": "x"}) == "a@a.test:{X}h:1:2::/home::q=1\nb@a.test:x\n"


def test_a_passwd_file_has_no_continued_lines():
    error = error_of("a@a.test:x\n  more\n", ":")
    assert error.where == f"{PATH}:2"


# what cannot be read


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a.test: owner=a\nwhat is this\n", 2, "it is not KEY: VALUE"),
        ("a.test\n", 1, "it is not KEY: VALUE"),
        ("a.test:owner=a\n", 1, "it is not KEY: VALUE"),
        (": owner=a\n", 1, "it is not KEY: VALUE"),
        ("  owner=a\n", 1, "continues no entry"),
        ("a.test: owner=a\n# between\n  enabled=no\n", 3, "continues no entry"),
        ("# one\n# two\na.test: x=1\nb.test: x=1\nA.test: x=1\n", 5, "a.test stands twice (first in line 3)"),
        ("a.test: owner=a\x00b\n", 1, "NUL"),
        ('"unclosed: owner=a\n', 1, "it is not KEY: VALUE"),
        ("\ufeffa b: owner=a\n", 1, "it is not KEY: VALUE"),
        ("<<<<<<< HEAD\na.test: x=1\n", 1, "it is not KEY: VALUE"),
    ],
)
def test_a_line_that_cannot_be_read_is_told_with_file_line_and_reason(text, line, why):
    error = error_of(text)
    assert error.where == f"{PATH}:{line}"
    assert why in error.message


@pytest.mark.parametrize("header", ["# fleetpost.mail table domains format 2\n", "# fleetpost.mail table domains format 12\r\n"])
def test_a_table_of_another_format_is_refused_with_what_to_do(header):
    error = error_of(header)
    assert "in format 1" in error.message
    assert "Run the roles" in error.remedy


def test_a_table_that_says_it_is_another_one_is_refused():
    assert "table addresses" in error_of("# fleetpost.mail table addresses format 1\n").message


def test_only_the_first_line_tells_the_format():
    assert parse("# mine\n# fleetpost.mail table domains format 2\n").values == {}


# fields


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z_][a-z0-9_-]{0,8}", fullmatch=True),
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=12),
        max_size=5,
    )
)
def test_fields_are_read_as_they_were_written(fields):
    assert parse_fields(render_fields(fields)) == fields


@pytest.mark.parametrize(
    ("value", "shown"),
    [("", '""'), ("a b", '"a b"'), ("a;b", '"a;b"'), ('a"b', '"a\\"b"'), ("a\\b", '"a\\\\b"'), ("a,b", "a,b")],
)
def test_a_value_is_quoted_where_exim_needs_it(value, shown):
    assert render_fields({"key": value}) == f"key={shown}"


@pytest.mark.parametrize("text", ["owner", "=x", "owner=a owner=b", 'owner="a', 'owner="a"b', 'a="1" a="2"', 'a="1" b'])
def test_what_is_no_list_of_fields_is_an_error(text):
    with pytest.raises(MailError, match=r"is not a field|repeats a field"):
        parse_fields(text)


def test_a_long_broken_field_is_shortened_in_its_error():
    with pytest.raises(MailError) as caught:
        parse_fields("x" * 500)
    assert len(str(caught.value)) < 200
