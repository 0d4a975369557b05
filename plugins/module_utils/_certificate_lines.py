# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the table ``certificates``, and changes single lines of it once slow work outside the lock is over. Call it in the lock."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Certificate
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_table import (
    CERTIFICATES_HEADER,
    certificate_values,
    read_certificates,
    without_tombstone,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import ownership_of
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import Table, parse_table


def certificates_there(tree: Tree, layout: Layout) -> dict[str, Certificate]:
    """The certificates of the table by name, those whose files are going as well. Raises MailError."""
    return read_certificates(_table(tree, layout), layout.certificates)


def note_failures(tree: Tree, layout: Layout, failed: Mapping[str, str]) -> None:
    """Notes when the last order of a certificate failed, or an empty text that it did not, so that the next run begins with others.

    failed: moments by name of the certificate.
    """
    table = _table(tree, layout)
    noted = [
        one._replace(failed=failed[one.name])
        for one in read_certificates(table, layout.certificates).values()
        if one.acme and failed.get(one.name, one.failed) != one.failed
    ]
    _write(tree, layout, table, {name: value for one in noted for name, value in certificate_values(one, table.values)})


def drop_tombstones(tree: Tree, layout: Layout, names: Collection[str]) -> None:
    """Drops the lines of certificates whose files are gone, unless somebody has declared them again meanwhile."""
    table = _table(tree, layout)
    there = read_certificates(table, layout.certificates)
    gone = (name for name in names if name in there and there[name].is_removing)
    _write(tree, layout, table, {name: without_tombstone(table.values[name]) for name in gone})


def _table(tree: Tree, layout: Layout) -> Table:
    return parse_table("certificates", layout.certificates, tree.read(layout.certificates), CERTIFICATES_HEADER)


def _write(tree: Tree, layout: Layout, table: Table, values: Mapping[str, str | None]) -> None:
    status = tree.lstat(layout.certificates)
    if values and status:
        content = table.with_values(values).encode("utf-8", "surrogateescape")
        tree.write_files([(layout.certificates, content, ownership_of(status))])
