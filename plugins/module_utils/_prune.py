# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The brake of `prune`: how much one run may remove because it was not listed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Alias, Declaration, Host, domain_of

_LIMIT = re.compile(r"(\d+)\s*(%?)\Z")


def check_limit(host: Host, declaration: Declaration, domains: set[str], addresses: set[str]) -> Iterator[MailError]:
    """An error for domains and one for mailboxes when `prune` would remove more than the limit of what is there.

    The limit is a percentage of what is there (``10%``) or a number; it holds for domains and for mailboxes each.
    Mailboxes of removed domains count. An empty declaration is refused unless the limit is ``100%``.
    """
    found = _LIMIT.match(declaration.prune_limit.strip())
    if not found:
        yield MailError(f"{declaration.prune_limit!r} is no limit: write a number or a percentage such as 10%", "prune_limit")
        return
    if not declaration.domains and declaration.prune_limit.strip() != "100%":
        yield MailError(
            "prune with an empty list would remove every mail domain of the host",
            "domains",
            'If that is what you want, say it with prune_limit: "100%"',
        )
        return
    mailboxes = {name for name, address in host.addresses.items() if not isinstance(address, Alias)}
    removed = {name for name in mailboxes if name in addresses or domain_of(name) in domains}
    for what, gone, there in (("domains", domains, host.domains), ("mailboxes", removed, mailboxes)):
        allowed = len(there) * int(found.group(1)) // 100 if found.group(2) else int(found.group(1))
        if len(gone) > allowed:
            yield MailError(
                f"prune would remove {len(gone)} of {len(there)} {what} ({_some(gone)}), the limit is {declaration.prune_limit}",
                "prune_limit",
                "Check the list, or raise prune_limit for this run",
            )


def _some(names: set[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")
