# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands for a certificate and what is wanted -> what both servers shall have. No IO.

Whatever happens, a certificate has a pair that both servers can load: where nothing better is to be had, a self-signed one
stands in. One name without a file would stop Dovecot's next start for all.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    Certificate,
    FoundCertificate,
    FoundFile,
    Lineage,
    Provided,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import (
    Pair,
    canonical_key,
    certificates_of,
    faults_of,
    is_sound,
    joined,
    keeps,
    marked,
    missing_issuer,
    pair_of,
    without_root,
)


class Goal(NamedTuple):
    """What both servers shall have. content: of the file; None when a self-signed pair is to be made.

    orders: whether the authority is to be asked for one. faults: what is wrong with what the user provided. notes: what else a
    user should know.
    """

    content: bytes | None
    orders: bool = False
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def goal_of(
    certificate: Certificate,
    found: FoundCertificate,
    now: float,
    made: bytes | None = None,
    provided: Provided | None = None,
    trusted: Collection[bytes] | None = None,
    force: bool = False,
) -> Goal:
    """The goal of one certificate. made: a self-signed pair from this run. provided: what the user gave.

    trusted: subjects of the roots that the host trusts, None when they are not known. force: what is there does not count.
    """
    if certificate.provider == "acme":
        return _acme_goal(certificate, found, now, made, force)
    if certificate.provider == "provided":
        return _provided_goal(certificate, found, now, made, provided, trusted)
    if made is not None:
        return Goal(made)
    standing = (file.content for file in _files(found) if file.pair and not force and _is_as_asked(certificate, file.pair, now))
    return Goal(next(standing, None))


def _files(found: FoundCertificate) -> list[FoundFile]:
    """The servers' copies, a damaged one last."""
    files = [file for file in (found.exim, found.dovecot) if file]
    if len(files) == 2 and files[0].content != files[1].content:
        files.sort(key=lambda file: not (file.pair and is_sound(file.content)))
    return files


def _is_as_asked(certificate: Certificate, pair: Pair, now: float) -> bool:
    return (
        pair.is_self_signed
        and set(pair.names) == set(certificate.all_names)
        and (pair.key_type, pair.key_size) == (certificate.key_type, certificate.key_size)
        and not pair.is_due(certificate.renew_before_days, now)
    )


def _standing(found: FoundCertificate, made: bytes | None) -> bytes | None:
    """A pair that goes on being shown, whatever it is, or one that stands in."""
    return next((file.content for file in _files(found) if file.pair), made)


def _acme_goal(certificate: Certificate, found: FoundCertificate, now: float, made: bytes | None, force: bool) -> Goal:
    lineage = usable_lineage(certificate, found, now)
    if lineage is None or lineage.pair is None:
        return Goal(_standing(found, made), orders=True)
    return Goal(marked(certificate.name, lineage.content), force or lineage.pair.is_due(certificate.renew_before_days, now))


def usable_lineage(certificate: Certificate, found: FoundCertificate, now: float) -> Lineage | None:
    """The newest of certbot's certificates that is from the right authority and that a server may show for all names."""
    for lineage in found.lineages:
        if lineage.pair is None or not certificate.acme or lineage.server != certificate.acme.directory:
            continue
        if not all(lineage.pair.covers(name) for name in certificate.all_names) or lineage.pair.not_after <= now:
            continue
        is_shown = any(file.content == marked(certificate.name, lineage.content) for file in _files(found))
        if is_shown or not faults_of(lineage.content, certificate.all_names, now):
            return lineage
    return None


def _provided_goal(
    certificate: Certificate,
    found: FoundCertificate,
    now: float,
    made: bytes | None,
    provided: Provided | None,
    trusted: Collection[bytes] | None,
) -> Goal:
    standing = _standing(found, None)
    if provided is None and standing is None:
        lost = f"the certificate {certificate.name} was provided and is lost; a self-signed one stands in. Declare it once more"
        return Goal(made, notes=(lost,))
    if provided is None:
        return _kept(certificate, standing or b"", now)
    try:
        if provided.problem:
            raise ValueError(provided.problem)
        chain = certificates_of(provided.chain)
        for file in _files(found):
            if file.pair and keeps(file.content, provided.private_key, without_root(chain)):
                return _kept(certificate, file.content, now)
        private_key = canonical_key(provided.private_key)
        content = joined(private_key, without_root(chain))
    except ValueError as error:
        return Goal(standing or made, faults=(str(error),))
    faults = faults_of(joined(private_key, chain), certificate.all_names, now)
    issuer = missing_issuer(chain, trusted) if trusted is not None and not faults else ""
    if issuer:
        faults = [f"the chain is not complete: the certificate of {issuer} is missing, and is no root that this host trusts"]
    return Goal(standing or made, faults=tuple(faults)) if faults else Goal(marked(certificate.name, content))


def _kept(certificate: Certificate, content: bytes, now: float) -> Goal:
    """A pair that stays. When it expires it can be neither renewed nor taken back: it goes on being shown, with a warning."""
    pair = pair_of(content)
    missing = [name for name in certificate.all_names if not pair.covers(name)]
    faults = (f"it is not for {', '.join(missing)}",) if missing and not pair.is_self_signed else ()
    notes = (f"the certificate {certificate.name} has expired. Provide a new one",) if pair.not_after <= now else ()
    return Goal(content, faults=faults, notes=notes)
