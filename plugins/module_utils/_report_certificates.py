# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan does about certificates as people read it. No secret passes here."""

from __future__ import annotations

from collections.abc import Iterator

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Certificate, Order
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_steps import described
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Host
from ansible_collections.fleetpost.mail.plugins.module_utils._plan import Plan
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import RemoveCertificate, WriteCertificate

_HIDDEN_FIELDS = ("name", "is_host", "failed")


def certificate_actions(plan: Plan, present: Host, desired: Host) -> Iterator[tuple[str, str, str]]:
    """Domain (the first that names it, empty for the host's own), action and detail of each change of a certificate."""
    if desired.certificates is present.certificates and not any(_writes(plan)) and not plan.orders:
        return
    users = _first_users(desired)
    told = set()
    for name, certificate in desired.certificates.items():
        there = present.certificates.get(name)
        if there is certificate:
            continue
        told.add(name)
        if there is None:
            yield users.get(name, ""), "create certificate", described(certificate)
        else:
            yield users.get(name, ""), "change certificate", f"{name}: {_differences(there, certificate)}"
    first_writes = {step.certificate: step for step in reversed(list(_writes(plan))) if step.certificate and step.certificate not in told}
    for name, step in first_writes.items():
        yield users.get(name, ""), "write certificate", f"{step.path}: {step.shown}"
    if not told and all(not step.certificate for step in _writes(plan)):
        yield from (("", "write names of certificates", step.path) for step in _writes(plan))
    for order in plan.orders:
        yield users.get(order.certificate.name, ""), "order certificate", ordered(order)
    yield from _removals(plan, _first_users(present))


def _writes(plan: Plan) -> Iterator[WriteCertificate]:
    yield from (step for step in plan.steps if isinstance(step, WriteCertificate))


def _removals(plan: Plan, users: dict[str, str]) -> Iterator[tuple[str, str, str]]:
    yield from ((users.get(name, ""), "remove certificate", name) for name in plan.certificates_left)


def _first_users(host: Host) -> dict[str, str]:
    return {domain.certificate: name for name, domain in sorted(host.domains.items(), reverse=True) if domain.certificate}


def ordered(order: Order) -> str:
    """What an authority is asked for."""
    certificate = order.certificate
    names = ", ".join(certificate.all_names)
    acme = certificate.acme
    return f"{names} from {acme.directory} by {acme.challenge} ({acme.method})" if acme else names


def _differences(there: Certificate, wanted: Certificate) -> str:
    before = certificate_fields(there)
    return ", ".join(
        f"{field}: {before.get(field) or 'none'} -> {value or 'none'}"
        for field, value in certificate_fields(wanted).items()
        if before.get(field) != value
    )


def certificate_fields(certificate: Certificate) -> dict[str, str]:
    """Field -> value as text, those of ACME among them."""
    fields = {field: value for field, value in certificate._asdict().items() if field not in (*_HIDDEN_FIELDS, "acme")}
    fields.update(certificate.acme._asdict() if certificate.acme else {})
    return {field: ", ".join(filter(None, value)) if isinstance(value, tuple) else str(value) for field, value in fields.items()}


def certificates_shown(plan: Plan) -> tuple[list[str], list[str]]:
    """What a diff shows: the files that go, and those that are written with what they will be, then the orders."""
    before = [step.path for step in plan.steps if isinstance(step, RemoveCertificate)]
    after = [f"{step.path}: {step.shown}" for step in _writes(plan)]
    after += [f"order: {ordered(order)}" for order in plan.orders]
    before += [f"certbot's {name}" for name in plan.lineages_left]
    return before, after
