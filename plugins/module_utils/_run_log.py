# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run leaves behind of itself: the tables as they were, and a line in the log for each change."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _audit_log, _generations
from ansible_collections.fleetpost.mail.plugins.module_utils._apply import Failure
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import domain_of
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import Plan
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import RunBy
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import WriteTable


class RunLog:
    """What a run tells the log: each change as soon as it is made, and before it keeps the tables as they were."""

    def __init__(self, tree: Tree, layout: Layout, plan: Plan, entries: Sequence[Mapping[str, Any]], by: RunBy) -> None:
        self._place = (tree, layout)
        self._plan = plan
        self._entries = entries
        self._by = by
        self._further: dict[str, int] = {}

    def begin(self, needed: int | None) -> None:
        """Sees to it that the log can be written, and keeps the tables. needed: the generation that this run goes back to."""
        _audit_log.make_ready(*self._place)
        if needed is not None:
            self._further["restores"] = needed
        if any(isinstance(step, WriteTable) for step in self._plan.steps):
            there = {change.table.name: change.table.source for change in self._plan.changes}
            texts = {name: text.encode("utf-8", "surrogateescape") for name, text in there.items() if text is not None}
            numbers = _audit_log.in_numbers(self._entries)
            changes = numbers if needed is None else f"back to {needed}, {numbers}"
            self._further["generation"] = _generations.keep(*self._place, texts, self._by, changes, needed)

    @contextlib.contextmanager
    def failures_told(self) -> Iterator[None]:
        """Tells of a run that fails halfway; what it had not done the next one does, and tells of it."""
        try:
            yield
        except MailError as error:
            detail = f"failed within {_audit_log.in_numbers(self._entries)}. {error}"
            # On a full disk neither works, and the first error is the one to tell.
            with contextlib.suppress(MailError):
                self._append([{"domain": "", "action": "fail", "detail": detail}])
            raise

    def tell_of_changes(self) -> None:
        """Tells of all but the removals, which take longer."""
        removals = {removal.name for removal in self._plan.removals}
        self._append([entry for entry in self._entries if not _is_removal(entry, removals)])

    def tell_of_removals(self, failures: Sequence[Failure]) -> None:
        """Tells of the removals, and of those that did not work out."""
        removals = {removal.name for removal in self._plan.removals} - {failure.name for failure in failures}
        self._append(
            [entry for entry in self._entries if _is_removal(entry, removals)]
            + [{"domain": domain_of(one.name), "action": "fail", "detail": f"{one.name} was not removed: {one.error}"} for one in failures]
        )

    def _append(self, entries: Sequence[Mapping[str, Any]]) -> None:
        _audit_log.append(*self._place, [{**entry, **self._further} for entry in entries], self._by)


def _is_removal(entry: Mapping[str, Any], names: Collection[str]) -> bool:
    return entry["action"] in ("remove", "remove mailbox", "remove address") and entry.get("address", entry["domain"]) in names
