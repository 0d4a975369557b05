# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts certificates in place: written, tried by Dovecot, taken back when it refuses them."""

from __future__ import annotations

from collections.abc import Sequence

from ansible_collections.fleetpost.mail.plugins.module_utils._dovecot_service import configuration_problem, reload_dovecot
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._system_calls import ownership_of

File = tuple[str, bytes, Ownership]


def install_for_dovecot(tree: Tree, layout: Layout, files: Sequence[File]) -> None:
    """Write certificates of Dovecot's, and what names them last. Raises MailError when Dovecot would not start with them; then
    the files are as they were.
    """
    if not tree.is_host:
        tree.write_files(files)
        return
    # A run that dies before the reload leaves this for the next one.
    tree.ensure_parent(layout.reload_marker)
    tree.write_files([(layout.reload_marker, b"", Ownership(0, 0, 0o600))])
    before = [(path, tree.read(path), tree.lstat(path)) for path, _content, _ownership in files]
    tree.write_files(files)
    problem = configuration_problem()
    if problem:
        # What names a file goes back before the file.
        back = [(path, content, ownership_of(status)) for path, content, status in reversed(before) if content is not None and status]
        tree.write_files(back)
        for path, content, _status in before:
            if content is None:
                tree.remove_file(path)
        again = " It did so before as well" if configuration_problem() else ""
        raise MailError(
            f"Dovecot refuses its configuration with the new certificates, so the old ones are back: {problem}.{again}",
            remedy="See doveconf -x >/dev/null",
        )


def show_certificates(tree: Tree, layout: Layout) -> None:
    """Let Dovecot show what was installed. Exim reads its certificates at each connection."""
    if tree.is_host:
        reload_dovecot()
        tree.remove_file(layout.reload_marker)
