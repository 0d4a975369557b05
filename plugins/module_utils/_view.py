# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of a plan that a user may see in whose name a run acts; what the run does beside it, for others, is not told. No IO."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Host, domain_of
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import Plan
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import Step
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import TableChange


class View(NamedTuple):
    """The names of domains, certificates and owners that may be seen."""

    layout: Layout
    names: frozenset[str]

    def sees(self, name: str) -> bool:
        """Whether a domain, a certificate, an owner or an address is among them."""
        return name in self.names or domain_of(name) in self.names

    def plan(self, plan: Plan) -> Plan:
        """What of the plan is about these names."""
        return Plan(
            tuple(step for step in plan.steps if self._sees_step(step)),
            tuple(removal for removal in plan.removals if self.sees(removal.name)),
            tuple(change for change in map(self._change, plan.changes) if change.after),
            tuple(order for order in plan.orders if order.certificate.name in self.names),
            tuple(name for name in plan.lineages_left if name in self.names),
        )

    def _change(self, change: TableChange) -> TableChange:
        after = {key: value for key, value in change.after.items() if self.sees(key)}
        interim = {key: value for key, value in change.interim.items() if self.sees(key)}
        return change._replace(after=after, interim=interim, is_new=False)

    def _sees_step(self, step: Step) -> bool:
        for field in ("domain", "name", "certificate"):
            name = getattr(step, field, "")
            if name:
                return self.sees(name)
        path = getattr(step, "path", "")
        below = path[len(self.layout.mail_root) + 1 :] if path.startswith(f"{self.layout.mail_root}/") else ""
        return below.partition("/")[0] in self.names


def view_of(layout: Layout, hosts: Iterable[Host]) -> View:
    """What may be seen of these parts of a host: one as it is, one as it shall be."""
    names: set[str] = set()
    for host in hosts:
        names.update(host.domains, host.owners, *(one.all_names for one in host.certificates.values()))
    return View(layout, frozenset(names))
