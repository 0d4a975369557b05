# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The state of a certificate as people are told it, and the option ``ssl`` that would make it. No IO."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    ACME_DIRECTORIES,
    DEFAULT_PROPAGATION,
    DNS_PORT,
    Acme,
    Certificate,
    FoundCertificate,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import issuer_of
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._moments import iso_text

_DAY = 86400


def state_of(certificate: Certificate, found: FoundCertificate, layout: Layout, now: float) -> dict[str, Any]:
    """What is known of a certificate: its names, files, issuer and end, and what is wrong with it."""
    copy = next((file for file in (found.exim, found.dovecot) if file and file.pair), None)
    pair = copy.pair if copy else None
    return {
        "name": certificate.name,
        "names": list(certificate.all_names),
        "paths": {"exim": layout.exim_certificate(certificate.name), "dovecot": layout.dovecot_certificate(certificate.name)},
        "provider": certificate.provider,
        "is_host": certificate.is_host,
        "issuer": issuer_of(copy.content) if copy else "",
        "is_self_signed": pair.is_self_signed if pair else False,
        "not_before": iso_text(pair.not_before) if pair else "",
        "not_after": iso_text(pair.not_after) if pair else "",
        "days_left": int((pair.not_after - now) // _DAY) if pair else 0,
        "fingerprint": pair.fingerprint if pair else "",
        "pair_ok": bool(found.exim and found.exim.pair and found.dovecot and found.dovecot.pair),
        "same_on_both": bool(found.exim and found.dovecot and found.exim.content == found.dovecot.content),
        "problems": list(_problems(certificate, found, now)),
    }


def _problems(certificate: Certificate, found: FoundCertificate, now: float) -> Iterator[str]:
    name = certificate.name
    copies = (("Exim", found.exim), ("Dovecot", found.dovecot))
    for server, file in copies:
        if file is None:
            yield f"{server}'s copy of the certificate {name} is not there"
        elif file.pair is None:
            yield f"{server}'s copy of the certificate {name} cannot be used: {file.problem}"
        else:
            missing = [one for one in certificate.all_names if not file.pair.covers(one)]
            if missing:
                yield f"{server}'s copy of the certificate {name} is not for {', '.join(missing[:5])}"
            if file.pair.not_after <= now:
                yield f"{server}'s copy of the certificate {name} expired at {iso_text(file.pair.not_after)}"
            elif certificate.provider != "selfsigned" and file.pair.is_due(certificate.renew_before_days, now):
                yield f"{server}'s copy of the certificate {name} ends at {iso_text(file.pair.not_after)} and was not renewed"
    if found.exim and found.dovecot and found.exim.content != found.dovecot.content:
        yield f"Exim and Dovecot have different copies of the certificate {name}"
    if certificate.provider != "selfsigned" and found.exim and found.exim.pair and found.exim.pair.is_self_signed:
        failed = f"; the last order failed at {certificate.failed}" if certificate.failed else ""
        yield f"a self-signed certificate stands in for {name}{failed}"


def ssl_entry(certificate: Certificate) -> dict[str, Any]:
    """The option ``ssl`` of a domain with this certificate. Secrets are not in it: what is omitted is kept."""
    entry: dict[str, Any] = {
        "alias": certificate.name,
        "alternative_names": list(certificate.names),
        "provider": certificate.provider,
        "renew_before_days": certificate.renew_before_days,
    }
    if certificate.provider != "provided":
        entry.update(key_type=certificate.key_type, key_size=certificate.key_size)
    if certificate.provider == "selfsigned":
        entry["valid_days"] = certificate.valid_days
    if certificate.acme:
        entry.update(_acme_entry(certificate.acme), terms_agreed=True)
    options = ("certificate_path", "chain_path", "private_key_path")
    entry.update((option, path) for option, path in zip(options, certificate.paths) if path)
    return entry


def _acme_entry(acme: Acme) -> Iterator[tuple[str, Any]]:
    known = {url: name for name, url in ACME_DIRECTORIES.items()}
    yield "acme_directory", known.get(acme.directory, acme.directory)
    yield "challenge", acme.challenge
    yield "challenge_method", acme.method
    for option, value in (("email", acme.email), ("webroot", acme.webroot), ("ca_certificate", acme.ca_certificate)):
        if value:
            yield option, value
    if acme.dns_server:
        rfc2136: dict[str, Any] = {"server": acme.dns_server, "tsig_name": acme.tsig_name, "tsig_algorithm": acme.tsig_algorithm}
        further = (("port", acme.dns_port, DNS_PORT), ("propagation_seconds", acme.propagation, DEFAULT_PROPAGATION))
        rfc2136.update((option, value) for option, value, default in further if value != default)
        yield "rfc2136", rfc2136
