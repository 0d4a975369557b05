# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what is declared and observed to the plan: the first half of the one straight line, without any change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _generations, _observe
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import Declaration
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import Desired, merge
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    NO_HOST,
    Account,
    Facts,
    Host,
    MadeKey,
    Observed,
    Sight,
    Tables,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import moment_text
from ansible_collections.fleetpost.mail.plugins.module_utils._observe_certificates import gather_certificate_facts
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import Plan, plan, setup_warnings
from ansible_collections.fleetpost.mail.plugins.module_utils._restore import check_source
from ansible_collections.fleetpost.mail.plugins.module_utils._restoring import Restoration, completed, declared_with, known, without_placed
from ansible_collections.fleetpost.mail.plugins.module_utils._rights import Parts, parts_of, restricted, rights_of, whole_of
from ansible_collections.fleetpost.mail.plugins.module_utils._run_by import RunBy, run_by
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import files_of, files_to_look_at
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import Removing
from ansible_collections.fleetpost.mail.plugins.module_utils._undo import certificates_of_change, key_files_of_change, undone


class Request(NamedTuple):
    """How a run is done: the tree, the lock's patience in seconds, check mode, the scheme for plain passwords, and whom and for how
    long a rotation of DKIM keys asks for its TXT records (no resolvers: those of the host). acting_as: in whose name it acts, empty
    for the administrator's. job, module: what the log says of what runs it.
    """

    root: str = "/"
    layout: str = "auto"
    lock_timeout: float = 60.0
    check_mode: bool = False
    password_scheme: str = "BLF-CRYPT"
    resolvers: Sequence[str] = ()
    dns_timeout: float = 20.0
    acting_as: str = ""
    job: str = ""
    module: str = ""

    @property
    def by(self) -> RunBy:
        """Who runs it."""
        return run_by(self.module, self.acting_as, self.job)


class Prepared(NamedTuple):
    """What was made ready outside the lock, because it takes long: password hashes, DKIM keys, certificates, what the DNS shows, and
    the mail of a domain that is brought back.
    """

    hashes: Mapping[str, str] = MappingProxyType({})
    keys: Mapping[str, MadeKey] = MappingProxyType({})
    sights: Mapping[str, Sight] = MappingProxyType({})
    certificates: Mapping[str, bytes] = MappingProxyType({})
    restoration: Restoration | None = None


class Line(NamedTuple):
    """One walk down the straight line, as far as the plan.

    present: what is there; seen: the part of it in which the run may act. desired: of that part. whole: all of the host as it shall be.
    restoring: the domain that is to be brought back, None when it is.
    """

    present: Host
    seen: Host
    desired: Desired
    whole: Host
    facts: Facts
    plan: Plan
    warnings: list[str]
    restoring: Restoration | None = None

    @property
    def sees_all(self) -> bool:
        """Whether the run acts in the administrator's name."""
        return self.seen is self.present

    @property
    def mail_owner(self) -> Account | None:
        """Whom the mail that is brought back belongs to."""
        return self.facts.users.get(self.desired.host.domains[self.restoring.name].owner) if self.restoring else None

    @property
    def stages(self) -> bool:
        """Whether mail must be unpacked first."""
        return self.restoring is not None and not self.restoring.is_ready_for(self.mail_owner)

    @property
    def makes(self) -> bool:
        """Whether something must be made first, outside the lock."""
        return bool(self.desired.to_make or self.desired.certified.to_make or self.stages)


class _Former(NamedTuple):
    """The host as it was before one of the last runs; an empty one without tables when no run is to be undone."""

    tables: Tables | None
    host: Host


class _Start(NamedTuple):
    """What a walk begins with. declaration: what its user may declare. parts: of the present host, what it sees and the rest."""

    tree: Tree
    layout: Layout
    request: Request
    declaration: Declaration
    prepared: Prepared
    present: Host
    parts: Parts
    former: _Former
    restoring: Restoration | None


def walk_to_plan(
    tree: Tree, layout: Layout, declaration: Declaration, request: Request, prepared: Prepared, every_key: bool = False
) -> Line:
    """The walk as far as the plan. every_key: look at keys and certificates of all domains, and not of the declared ones alone."""
    tables = _observe.read_tables(tree, layout)
    present = _observe.read_host(tables, layout)
    start = _start(tree, layout, declaration, request, prepared, present)
    facts, parts, restoring = _facts(start, every_key), start.parts, start.restoring
    desired = _desired(start, facts)
    whole = whole_of(desired.host, parts.rest)
    trees = _observe.read_trees(tree, layout, present, whole)
    observed = Observed(tables, present, without_placed(restoring, trees, layout) if restoring else trees, start.former.tables)
    removing = Removing(declaration.removed_mail or "keep", declaration.archive_dir, moment_text())
    certified = desired.certified._replace(certificates=whole.certificates)
    planned = plan(layout, observed, whole, facts, removing, start.prepared.keys, certified)
    warnings = [*desired.warnings, *setup_warnings(layout, observed)]
    if restoring:
        planned = completed(restoring, planned, whole, facts, layout)
        warnings += [f"a link in the mail was left out, which leads elsewhere: {path}" for path in restoring.left_out]
    return Line(present, parts.seen, desired, whole, facts, planned, warnings, restoring)


def _start(tree: Tree, layout: Layout, declaration: Declaration, request: Request, prepared: Prepared, present: Host) -> _Start:
    rights = rights_of(request.acting_as, present)
    declaration = restricted(declaration, present, rights)
    restoring = prepared.restoration if prepared.restoration and not prepared.restoration.is_over(present) else None
    if restoring:
        check_source(tree, restoring)
        declaration = declared_with(restoring, declaration)
        prepared = prepared._replace(keys={**restoring.keys, **prepared.keys})
    former = _former(tree, layout, declaration.restore_generation)
    return _Start(tree, layout, request, declaration, prepared, present, parts_of(present, rights), former, restoring)


def _former(tree: Tree, layout: Layout, generation: int | None) -> _Former:
    if generation is None:
        return _Former(None, NO_HOST)
    tables = _observe.read_tables(tree, layout, _generations.tables_of(tree, layout, generation))
    return _Former(tables, _observe.read_host(tables, layout))


def _facts(start: _Start, every_key: bool) -> Facts:
    """What must be known of the host besides its tables, for what is declared or changes."""
    tree, layout, declared, present, former = start.tree, start.layout, start.declaration.domains, start.present, start.former.host
    owners = {domain.owner for host in (present, former) for domain in host.domains.values()} | {layout.default_owner}
    owners.update(domain.owner for domain in declared if domain.owner)
    owners.update(owner.name for owner in start.declaration.owners)
    files = [file for domain in declared for file in files_to_look_at(present.domains.get(domain.name), domain)]
    files += start.restoring.key_files if start.restoring else ()
    if every_key:
        files += [file for domain in present.domains.values() for file in files_of(domain.dkim)]
    files += key_files_of_change(present, former)
    facts = _observe.gather_facts(tree, layout, owners, strict=not start.request.check_mode, key_files=files)
    with_former = present._replace(certificates={**present.certificates, **former.certificates}) if former.certificates else present
    changing = certificates_of_change(present, former)
    certifying = gather_certificate_facts(tree, layout, with_former, declared, every=every_key, further=changing)
    return facts._replace(sights=start.prepared.sights, certifying=certifying)


def _desired(start: _Start, facts: Facts) -> Desired:
    """The host as it should be, as far as the run may see it: as declared, or as it was."""
    declaration, prepared, seen = start.declaration, start.prepared, start.parts.seen
    if declaration.restore_generation is not None:
        made, kept = (prepared.keys, prepared.certificates), _generations.kept_mail(start.tree, start.layout)
        return undone(start.layout, seen, start.former.host, declaration, facts, made, kept)
    facts = known(start.restoring, facts, seen) if start.restoring else facts
    return merge(seen, declaration, facts, prepared.hashes, prepared.keys, prepared.certificates, start.parts.rest)
