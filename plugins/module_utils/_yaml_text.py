# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values -> YAML as a person would write it, that YAML 1.1 and 1.2 and Ansible read back as the same values. No IO."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

# Nothing in it means anything to YAML, in a flow sequence either.
_WORD = re.compile(r"[A-Za-z_/](?:[A-Za-z0-9_./@+=-]*[A-Za-z0-9_/])?\Z")
# Of what begins with a digit only what no YAML takes for a number or a date: a size, an IPv4 address.
_SIZE = re.compile(r"[1-9][0-9]*[KMGT]\Z")
_IPV4 = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?:/[0-9]{1,2})?\Z")
# YAML 1.1: https://yaml.org/type/bool.html and null.html. 1.2 knows fewer.
_MISREAD = frozenset(["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"])
_TEMPLATE = re.compile(r"\{[{%#]")
_LONGEST_FLOW = 100


class Template(str):
    """A text that Ansible is to template; any other text that looks like one is marked, so that it never is."""

    __slots__ = ()


def yaml_text(values: Mapping[str, Any]) -> str:
    """The block of a dictionary of strings, numbers, booleans, lists and dictionaries, in their order."""
    return "".join(f"{line}\n" for line in _mapping(values))


def _mapping(values: Mapping[str, Any]) -> Iterator[str]:
    for key, value in values.items():
        inline = _inline(value)
        if inline is not None:
            yield f"{_scalar(key)}: {inline}"
            continue
        yield f"{_scalar(key)}: |" if isinstance(value, str) else f"{_scalar(key)}:"
        yield from (f"  {line}" for line in _block(value))


def _inline(value: Any) -> str | None:
    """A value that stands behind its key; None for what takes lines of its own."""
    if isinstance(value, Mapping):
        return None if value else "{}"
    if isinstance(value, (list, tuple)):
        if any(isinstance(one, (Mapping, list, tuple)) for one in value):
            return None
        flow = f"[{', '.join(map(_scalar, value))}]"
        return flow if len(flow) <= _LONGEST_FLOW else None
    return None if isinstance(value, str) and _is_lines(value) else _scalar(value)


def _block(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield from _mapping(value)
    elif isinstance(value, str):
        yield from value[:-1].split("\n")
    else:
        for one in value:
            first, *rest = _mapping(one) if isinstance(one, Mapping) else [_scalar(one)]
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)


def _is_lines(text: str) -> bool:
    """Whether a literal block shows the text as it is, like a key in PEM."""
    lines = text[:-1].split("\n")
    return len(lines) > 1 and text.endswith("\n") and all(line.isprintable() and line == line.strip() and line for line in lines)


def _scalar(value: Any) -> str:
    if isinstance(value, float):
        # A number of YAML 1.1 has a dot, also before an exponent.
        mantissa, exponent, power = json.dumps(value).partition("e")
        return f"{mantissa}{'' if '.' in mantissa else '.0'}{exponent}{power}"
    if not isinstance(value, str):
        return json.dumps(value)
    is_word = _WORD.match(value) and value.lower() not in _MISREAD
    if is_word or _SIZE.match(value) or _IPV4.match(value):
        return value
    shown = json.dumps(value, ensure_ascii=False)
    quoted = "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in shown)
    return f"!unsafe {quoted}" if _TEMPLATE.search(value) and not isinstance(value, Template) else quoted
