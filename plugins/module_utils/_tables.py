# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flat lookup tables: parse and render, byte-exact where nothing changes.

The grammar is docs/tables.md. A table is Exim's ``lsearch`` format (Exim specification, "Single-key lookup types") or,
with ``:`` as the separator, Dovecot's passwd-file. Comments stay with the line below them; what cannot be parsed is an
error with file and line number, because writing over it would lose it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError

FORMAT = 1
MEND = "Mend the line; nothing was changed"

_HEADER = re.compile(r"# fleetpost\.mail table (\S+) format (\d+)\s*\Z")
_KEY = re.compile(r'(?:"((?:[^"\\\n]|\\.)+)"|([^\s:"#][^\s:"]*))\s*:(?:[ \t]+|\Z)(.*)\Z')
_PASSWD = re.compile(r"([^\s:#]+):(.*)\Z")
_FIELD = re.compile(r'\s*([^\s="]+)=("(?:[^"\\]|\\.)*"|[^\s"]\S*|)(?=\s|\Z)')
_QUOTE_NEEDED = re.compile(r'[\s;"\\]')


class Table(NamedTuple):
    """One table as it was read.

    values: key -> text of its value, in the order of the file.
    leading: key -> the comment and blank lines directly above it, only where there are any.
    verbatim: key -> the lines as they stand, only where they are not in canonical form.
    head: everything above the first entry that is not a comment of that entry.
    tail: everything below the last entry.
    source: the whole text, None when the file is not there.
    """

    name: str
    separator: str
    values: dict[str, str]
    leading: dict[str, str]
    verbatim: dict[str, str]
    head: str
    tail: str
    source: str | None

    def line(self, key: str, value: str) -> str:
        """An entry in canonical form, without its line end."""
        shown = f'"{key}"' if self.separator == ": " and ":" in key else key
        return f"{shown}{self.separator}{value}".rstrip()

    def misread(self, key: str, path: str, error: MailError) -> MailError:
        """The error of a value that is not understood, with the file and the line it stands in."""
        reader = _Reader(path, self.separator)
        for number, line in enumerate(_lines(self.source or ""), start=1):
            reader.take(number, line)
        return MailError(error.message, f"{path}:{reader.numbers[key]}", error.remedy)

    def with_values(self, changes: Mapping[str, str | None]) -> str:
        """The text of the table after `changes` (key -> new value, None removes the line), lines sorted by key."""
        values = dict(self.values)
        leading = dict(self.leading)
        tail = ""
        for key, value in changes.items():
            if value is None:
                values.pop(key, None)
                tail += leading.pop(key, "")
            else:
                values[key] = value
        parts = [self.head]
        for key in sorted(values, key=sort_key):
            parts.append(leading.get(key, ""))
            unchanged = key in self.verbatim and key not in changes
            parts.append(self.verbatim[key] if unchanged else self.line(key, values[key]) + "\n")
        return "".join(parts) + tail + self.tail


def sort_key(key: str) -> tuple[str, str]:
    """Tables are sorted by domain first, then by local part."""
    local, _at, domain = key.rpartition("@")
    return domain, local


def parse_table(name: str, path: str, source: bytes | None, header: str, separator: str = ": ") -> Table:
    """The table in the bytes of `path`; None stands for a file that is not there, which is a table with only its header.

    Raises MailError with file and line number for a line that cannot be parsed, a key that stands twice, or a format
    version that this version of the collection does not know.
    """
    if source is None:
        return Table(name, separator, {}, {}, {}, header, "", None)
    text = source.decode("utf-8", "surrogateescape")
    lines = _lines(text)
    _check_format(name, path, lines)
    reader = _Reader(path, separator)
    for number, line in enumerate(lines, start=1):
        reader.take(number, line)
    return Table(name, separator, reader.values, reader.leading, reader.verbatim, reader.head, "".join(reader.pending), text)


def _lines(text: str) -> list[str]:
    """The lines as servers see them: only a line feed ends one. The last one gets its line feed if it has none."""
    lines = [f"{line}\n" for line in text.split("\n")]
    if text.endswith("\n") or not text:
        lines.pop()
    return lines


def _check_format(name: str, path: str, lines: list[str]) -> None:
    found = _HEADER.match(lines[0]) if lines else None
    if found and (found.group(1) != name or int(found.group(2)) != FORMAT):
        raise MailError(
            f"this file says it is table {found.group(1)} in format {found.group(2)}, "
            f"this version of fleetpost.mail knows table {name} in format {FORMAT}",
            where=path,
            remedy="Run the roles of the fleetpost.mail version that you use first",
        )


class _Reader:
    """Collects the entries of one table, line by line."""

    def __init__(self, path: str, separator: str) -> None:
        self.path = path
        self.separator = separator
        self.values: dict[str, str] = {}
        self.leading: dict[str, str] = {}
        self.verbatim: dict[str, str] = {}
        self.head = ""
        self.pending: list[str] = []
        self.numbers: dict[str, int] = {}
        self._last = ""

    def take(self, number: int, line: str) -> None:
        first = line[0]
        if first in "#\n":
            self._comment(number, line)
        elif first in " \t\r\v\f":
            self._continuation(number, line)
        else:
            self._entry(number, line)

    def _comment(self, number: int, line: str) -> None:
        self.pending.append(line)
        if not self.values and (line == "\n" or (number == 1 and _HEADER.match(line))):
            self._end_head()

    def _end_head(self) -> None:
        """What stands above a blank line at the top of a file belongs to the file, not to the entry below it."""
        self.head += "".join(self.pending)
        self.pending.clear()

    def _continuation(self, number: int, line: str) -> None:
        stripped = line.strip()
        if not stripped:
            self._comment(number, line)
        elif self.separator != ": " or not self._last or self.pending:
            raise self._broken(number, "it begins with a space but continues no entry")
        else:
            self.verbatim[self._last] = self.verbatim.get(self._last, self._canonical(self._last)) + line
            self.values[self._last] += f" {stripped}"

    def _entry(self, number: int, line: str) -> None:
        key, value = self._split(number, line)
        if key in self.values:
            raise self._broken(number, f"{key} stands twice (first in line {self.numbers[key]}); servers use the first")
        self.values[key] = value
        self.numbers[key] = number
        self._last = key
        if self.pending:
            self.leading[key] = "".join(self.pending)
            self.pending.clear()
        if line != self._canonical(key):
            self.verbatim[key] = line

    def _canonical(self, key: str) -> str:
        return f"{key}{self.separator}{self.values[key]}\n"

    def _split(self, number: int, line: str) -> tuple[str, str]:
        if "\x00" in line:
            raise self._broken(number, "it holds a NUL byte")
        if self.separator == ":":
            entry = _PASSWD.match(line.rstrip("\r\n"))
            if not entry:
                raise self._broken(number, "it is not NAME:... as a passwd-file wants it")
            return entry.group(1).lower(), entry.group(2)
        if '"' not in line:
            key, separator, value = line.partition(": ")
            if key and separator and " " not in key and "\t" not in key and ":" not in key:
                return key.lower(), value.strip()
        found = _KEY.match(line.rstrip())
        if not found:
            raise self._broken(number, "it is not KEY: VALUE")
        return (found.group(1) or found.group(2)).lower(), found.group(3)

    def _broken(self, number: int, why: str) -> MailError:
        return MailError(
            f"this line cannot be read: {why}",
            where=f"{self.path}:{number}",
            remedy="Mend or remove the line; nothing was changed",
        )


def parse_fields(text: str) -> dict[str, str]:
    """The ``key=value`` fields of a value, quotes removed, in their order. Raises MailError when it is not such."""
    if '"' not in text:
        parts = text.split()
        fields = {}
        for part in parts:
            key, equals, value = part.partition("=")
            if not equals or not key or key in fields:
                raise _wrong_field(part, doubled=key in fields)
            fields[key] = value
        return fields
    return _parse_quoted_fields(text)


def _parse_quoted_fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    position = 0
    end = len(text.rstrip())
    while position < end:
        found = _FIELD.match(text, position)
        if not found or found.group(1) in fields:
            raise _wrong_field(text[position:].strip(), doubled=found is not None)
        value = found.group(2)
        fields[found.group(1)] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        position = found.end()
    return fields


def _wrong_field(part: str, doubled: bool) -> MailError:
    shown = part if len(part) <= 60 else part[:57] + "..."
    why = f"{shown!r} repeats a field" if doubled else f"{shown!r} is not a field of the form key=value"
    return MailError(f"this line cannot be read: {why}", remedy="Mend or remove the line; nothing was changed")


def render_fields(fields: Mapping[str, str]) -> str:
    """Fields as they stand in a table; a value with white space, ``;``, quotes or backslashes is quoted."""
    return " ".join(f"{key}={_quoted(value)}" for key, value in fields.items())


def _quoted(value: str) -> str:
    if value and not _QUOTE_NEEDED.search(value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
