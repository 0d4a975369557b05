# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the DKIM keys of a host: whether each can be used, and whether its TXT record is its own. Changes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable

from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import (
    key_of_record,
    public_key_of,
    record_in_zone_text,
    same_key,
    selector_in_zone_text,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import FoundKey, PublicKey
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import content_at, ownership_of, status_at, unsuitable

_ABSENT = FoundKey(None, "is not there")


def read_keys(tree: Tree, layout: Layout, files: Iterable[str]) -> dict[str, FoundKey]:
    """The keys of the files named (without suffix). ``ssl/`` is opened once: ten thousand keys are twenty thousand files."""
    names = dict.fromkeys(files)
    if not names or not tree.exists(layout.ssl_dir):
        return dict.fromkeys(names, _ABSENT)
    directory = tree.open_directory(layout.ssl_dir)
    try:
        return {file: _key_at(directory, file) for file in names}
    finally:
        os.close(directory)


def _key_at(directory: int, file: str) -> FoundKey:
    private, ownership = content_at(directory, f"{file}.private")
    text, text_ownership = content_at(directory, f"{file}.txt")
    zone_text = text.decode("utf-8", "replace")
    selector = selector_in_zone_text(zone_text)
    if ownership is None:
        return _unreadable(directory, f"{file}.private")._replace(text_ownership=text_ownership, selector=selector)
    try:
        key = public_key_of(private)
    except ValueError as error:
        return FoundKey(None, f"cannot be used: {error}", ownership, text_ownership, selector=selector)
    record = key_of_record(record_in_zone_text(zone_text)) if text else None
    if record is None:
        return FoundKey(key, "", ownership, text_ownership, selector=selector)
    fits = same_key(record, key)
    return FoundKey(PublicKey(*key[:2], record.service_type, key.public_key), "", ownership, text_ownership, fits, selector)


def _unreadable(directory: int, name: str) -> FoundKey:
    """A private key that could not be opened: most are not there."""
    status = status_at(directory, name, name)
    if status is None:
        return _ABSENT
    obstacle = unsuitable(directory, name, name)
    return FoundKey(None, obstacle.message) if obstacle else FoundKey(None, "cannot be read", ownership_of(status))
