# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The brake of `prune`: how much one run may remove because it was not listed."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.fleetpost.mail.plugins.module_utils._declared import Declaration
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Alias,
    Host,
    domain_of,
)

_LIMIT = re.compile(r"(\d+)\s*(%?)\Z")


def check_limit(host: Host, declaration: Declaration, domains: set[str], addresses: set[str]) -> Iterator[MailError]:
    """An error for domains and one for mailboxes when `prune`, or the way back to a generation, would remove more than the limit.

    The limit is a percentage of what is there (``10%``) or a number; it holds for domains and for mailboxes each.
    Mailboxes of removed domains count. An empty declaration is refused unless the limit is ``100%``.
    """
    found = _LIMIT.match(declaration.prune_limit.strip())
    if not found:
        yield MailError(f"{declaration.prune_limit!r} is no limit: write a number or a percentage such as 10%", "prune_limit")
        return
    is_back = declaration.restore_generation is not None
    if not declaration.domains and not is_back and declaration.prune_limit.strip() != "100%":
        yield MailError(
            "prune with an empty list would remove every mail domain of the host",
            "domains",
            'If that is what you want, say it with prune_limit: "100%"',
        )
        return
    way = f"going back to generation {declaration.restore_generation}" if is_back else "prune"
    remedy = (
        "See what it would remove with --check --diff and a higher prune_limit"
        if is_back
        else "Check the list, or raise prune_limit for this run"
    )
    mailboxes = {name for name, address in host.addresses.items() if not isinstance(address, Alias)}
    removed = {name for name in mailboxes if name in addresses or domain_of(name) in domains}
    for what, gone, there in (("domains", domains, host.domains), ("mailboxes", removed, mailboxes)):
        allowed = len(there) * int(found.group(1)) // 100 if found.group(2) else int(found.group(1))
        if len(gone) > allowed:
            yield MailError(
                f"{way} would remove {len(gone)} of {len(there)} {what} ({_some(gone)}), the limit is {declaration.prune_limit}",
                "prune_limit",
                remedy,
            )


def _some(names: set[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (", ..." if len(names) > len(shown) else "")
