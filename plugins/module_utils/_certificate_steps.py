# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that are and that shall be -> the steps for their files. No IO.

A file is written before the line or block that names it, and removed after it: Dovecot does not start when one is missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Certificate, FoundCertificate, FoundFile
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_table import names_text
from ansible_collections.fleetpost.mail.plugins.module_utils._certifying import Certified
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._model import Facts, Host, Observed
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._steps import RemoveCertificate, SetOwnership, WriteCertificate
from ansible_collections.fleetpost.mail.plugins.module_utils._table_changes import Removing

_NAMES_OWNERSHIP = Ownership(0, 0, 0o644)
_SECRET_OWNERSHIP = Ownership(0, 0, 0o600)
_NOTHING = FoundCertificate()


def exim_ownership(facts: Facts) -> Ownership:
    return Ownership(0, facts.exim_gid or 0, 0o640)


def certificates_on_host(present: Host, desired: Host, removing: Removing) -> dict[str, Certificate]:
    """The desired certificates, and those of domains whose removal is not over, which may come back."""
    domains = (domain for name, domain in present.domains.items() if name not in desired.domains and not removing.is_over(name))
    pending = {domain.certificate for domain in domains}
    return {**{name: one for name, one in present.certificates.items() if name in pending}, **desired.certificates}


def dovecot_steps(
    layout: Layout, observed: Observed, desired: Host, facts: Facts, removing: Removing, certified: Certified
) -> Iterator[WriteCertificate | SetOwnership]:
    """Dovecot's copies, then which of them it shows for which name."""
    awaited = certified.awaited
    for name, content in certified.contents.items():
        certificate, there = desired.certificates[name], facts.certifying.found[name].dovecot
        yield from _file(layout.dovecot_certificate(name), certificate, content, there, _SECRET_OWNERSHIP, facts, awaited)
    have_file = facts.certifying.files | certified.contents.keys()
    on_host = certificates_on_host(observed.host, desired, removing)
    shown = [on_host[name] for name in sorted(on_host) if name in have_file]
    before, ownership = observed.tables.names, observed.tables.files.get(layout.names)
    text = names_text(layout, facts.dovecot or "2.4", shown) if shown or before is not None else None
    if text is not None and text != before:
        yield WriteCertificate(layout.names, text.encode(), _NAMES_OWNERSHIP, "", "the names that Dovecot shows certificates for")
    elif ownership is not None and ownership != facts.attainable(_NAMES_OWNERSHIP, ownership):
        yield SetOwnership(layout.names, _NAMES_OWNERSHIP)


def exim_steps(layout: Layout, desired: Host, facts: Facts, certified: Certified) -> Iterator[WriteCertificate | SetOwnership]:
    """Exim's copies, and what the ACME client needs to renew them."""
    ownership = exim_ownership(facts)
    awaited = certified.awaited
    for name, content in certified.contents.items():
        certificate, there = desired.certificates[name], facts.certifying.found[name].exim
        yield from _file(layout.exim_certificate(name), certificate, content, there, ownership, facts, awaited)
    for name, credentials in certified.credentials.items():
        if credentials != facts.certifying.found.get(name, _NOTHING).credentials:
            yield WriteCertificate(layout.acme_credentials(name), credentials, _SECRET_OWNERSHIP, name, "the TSIG key for dns-01")


def _file(
    path: str,
    certificate: Certificate,
    content: bytes | None,
    there: FoundFile | None,
    wanted: Ownership,
    facts: Facts,
    awaited: Collection[str],
) -> Iterator[WriteCertificate | SetOwnership]:
    if content is None or there is None or there.content != content:
        stands_in = certificate.name in awaited and not (there and there.pair)
        shown = f"self-signed, until {certificate.name} is certified" if stands_in else described(certificate)
        yield WriteCertificate(path, content, wanted, certificate.name, shown)
    elif there.ownership != facts.attainable(wanted, there.ownership):
        yield SetOwnership(path, wanted)


def described(certificate: Certificate) -> str:
    """A certificate in words."""
    names = ", ".join(certificate.all_names)
    if certificate.provider == "provided":
        return f"provided, for {names}"
    key = f"{certificate.key_type.upper()} {certificate.key_size} bits"
    if certificate.acme:
        return f"{key}, by ACME from {certificate.acme.directory}, for {names}"
    return f"self-signed, {key}, for {names}"


def certificate_removals(layout: Layout, observed: Observed, desired: Host, removing: Removing) -> Iterator[RemoveCertificate]:
    """The files of certificates that are over."""
    on_host = certificates_on_host(observed.host, desired, removing)
    for name, certificate in observed.host.certificates.items():
        if name not in on_host:
            yield RemoveCertificate(layout.dovecot_certificate(name), name)
            yield RemoveCertificate(layout.exim_certificate(name), name)
        if _has_credentials(certificate) and not (name in on_host and _has_credentials(on_host[name])):
            yield RemoveCertificate(layout.acme_credentials(name), name)


def _has_credentials(certificate: Certificate) -> bool:
    return certificate.acme is not None and certificate.acme.method == "rfc2136"


def lineages_left(present: Host, desired: Host, removing: Removing) -> tuple[str, ...]:
    """The certificates that certbot need not keep any longer."""
    on_host = certificates_on_host(present, desired, removing)
    return tuple(
        name
        for name, certificate in present.certificates.items()
        if certificate.provider == "acme" and (name not in on_host or on_host[name].provider != "acme")
    )
