# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The DNS part of an inventory: what name servers say of the records of each domain."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _dns_verify
from ansible_collections.fleetpost.mail.plugins.module_utils._converter import Converter
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_host import Given, read_mail_host
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_options import resolvers_of
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import DEFAULT_KINDS, Wishes, mx_values, records_of
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Host


def check_dns(
    options: Mapping[str, Any], tree: Tree, layout: Layout, host: Host, names: Iterable[str]
) -> dict[str, tuple[list[dict[str, Any]], list[str]]]:
    """domain -> a verdict for each of its mx, spf, dkim and dmarc records, and each that is not right as a sentence.

    options: ``resolvers`` and ``dns_timeout``. Raises MailError.
    """
    reader = Converter()
    resolvers = resolvers_of(options["resolvers"], reader)
    if reader.errors:
        raise MailErrors(reader.errors)
    found: dict[str, tuple[list[dict[str, Any]], list[str]]] = {name: ([], []) for name in names}
    domains = [host.domains[name] for name in found if not host.domains[name].removal]
    if not domains:
        return found
    mail_host = read_mail_host(tree, layout, Given(), DEFAULT_KINDS)
    wishes = Wishes()
    records = [record for domain in domains for record in records_of(domain, mail_host, host.keys, wishes)]
    for entry in _dns_verify.verify(records, mx_values(mail_host, wishes), resolvers, options["dns_timeout"]):
        entries, problems = found[entry["domain"]]
        entries.append(entry)
        if entry["status"] != "ok":
            problems.append(_dns_verify.sentence(entry))
    return found
