# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""There and declared -> the certificates that a host shall have, and what must be made or ordered for them. No IO.

A certificate belongs to the domains that name it: several may share one, and it goes with the last of them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_goals import Goal, goal_of, usable_lineage
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    CERTIFICATE_KEY_SIZES,
    CHALLENGE_METHODS,
    Acme,
    Certificate,
    DeclaredSsl,
    FoundCertificate,
    Order,
    Provided,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import is_marked
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import DeclaredDomain
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    CERTIFYING_EXIM_FORMAT,
    Domain,
    Facts,
    Host,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._names import is_reserved
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import Waiting
from ansible_collections.fleetpost.mail.plugins.module_utils._validate import Found, check_exim, lacking

_NOTHING = FoundCertificate()
_SAID_ONCE = ("private_key", "chain", "terms_agreed", "force", "tsig_secret", "eab_kid", "eab_hmac_key")
# What a field is called where users say it.
_OPTIONS = {
    "names": "alternative_names",
    "paths": "certificate_path",
    "directory": "acme_directory",
    "method": "challenge_method",
    "dns_server": "rfc2136.server",
    "dns_port": "rfc2136.port",
    "tsig_name": "rfc2136.tsig_name",
    "tsig_algorithm": "rfc2136.tsig_algorithm",
    "propagation": "rfc2136.propagation_seconds",
}
# Measured: docs/certificates.md.
_MANY_FOR_23 = 5000
_LATER = "acme_max_orders certificates are ordered in this run already; the next one goes on"


class Certified(NamedTuple):
    """The certificates of a host as they shall be.

    contents: what both servers shall have, of each that was looked at; None while it is still to be made. credentials: files with a
    TSIG key, by certificate. waiting: those that a later run orders.
    """

    certificates: Mapping[str, Certificate]
    contents: Mapping[str, bytes | None] = MappingProxyType({})
    orders: tuple[Order, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    credentials: Mapping[str, bytes] = MappingProxyType({})

    @property
    def awaited(self) -> frozenset[str]:
        """The names of the certificates that an authority is still to certify."""
        return frozenset([order.certificate.name for order in self.orders] + [waiting.domain for waiting in self.waiting])

    @property
    def to_make(self) -> dict[str, Certificate]:
        return {name: self.certificates[name] for name, content in self.contents.items() if content is None}


def certificates_to_look_at(there: Host, declared: Iterable[DeclaredDomain], host: str, files: Collection[str]) -> Iterator[str]:
    """The certificates that declared domains have or may get, and those without a file, which would stop Dovecot's next start.

    host: the name of the host's own. files: the names of all that have a file.
    """
    for domain in declared:
        current = there.domains.get(domain.name)
        if domain.ssl and domain.name == host:
            yield domain.name
        elif current and current.certificate:
            yield current.certificate
        if domain.ssl and domain.ssl.state == "present":
            yield _wanted_name(domain.name, current.certificate if current else "", domain.ssl)
    yield from (name for name in there.certificates if name not in files)


def _wanted_name(domain: str, current: str, declared: DeclaredSsl) -> str:
    return declared.alias or current or f"mail.{domain}"


class Certifier:
    """Collects what the domains of a run declare. errors and warnings: what is wrong with it."""

    def __init__(self, there: Host, facts: Facts, made: Mapping[str, bytes]) -> None:
        self.there = there
        self.facts = facts
        self.made = made
        self.certificates: dict[str, Certificate] = dict(there.certificates)
        self.errors: list[MailError] = []
        self.warnings: list[str] = []
        self._declared: dict[str, DeclaredSsl] = {}
        self._bases: dict[str, Certificate] = {}
        self._said: dict[tuple[str, str], tuple[Any, str]] = {}

    def fail(self, message: str, where: str, remedy: str = "") -> None:
        self.errors.append(MailError(message, where.rstrip("."), remedy))

    def take(self, domain: Domain, declared: DeclaredSsl) -> str:
        """The name of the certificate that a domain has after `declared`, empty for the host's own."""
        self._check_exim(declared)
        if declared.state == "absent":
            return ""
        name = _wanted_name(domain.name, domain.certificate, declared)
        if name in self.facts.host_names:
            remedy = "Without ssl the domain is shown with it; the role's variable mail_host_ssl says where it comes from"
            self.fail(f"{name} is the host's own name, and its certificate the host's own", f"{declared.where}alias", remedy)
        base = self.certificates.get(name) or self.certificates.get(domain.certificate, Certificate(name))
        self._merge(base if base.name == name and not base.is_host else base._replace(name=name, is_host=False), declared)
        return name

    def take_host(self, declared: DeclaredSsl) -> None:
        """The host's own certificate, which clients see that ask for no name or for an unknown one."""
        name = self.facts.certifying.host
        self._check_exim(declared)
        if declared.state == "absent" or declared.alias not in (None, name):
            self.fail(f"the host needs a certificate for its own name, {name}", f"{declared.where}alias" if declared.alias else "state")
            return
        # RSA: the oldest servers that still send mail cannot do elliptic curves.
        default = Certificate(name, key_type="rsa", key_size=2048)
        self._merge(self.certificates.get(name, default)._replace(is_host=True), declared)

    def _check_exim(self, declared: DeclaredSsl) -> None:
        if declared.state == "present":
            self._take(check_exim(self.facts, CERTIFYING_EXIM_FORMAT, "shows one certificate for all names", declared.where))

    def _take(self, found: Found) -> None:
        self.errors.extend(found.errors)
        self.warnings.extend(found.warnings)

    def _merge(self, base: Certificate, declared: DeclaredSsl) -> None:
        if not declared.changes and not declared.acme and not declared.private_key and base is self.there.certificates.get(base.name):
            self._note(base.name, declared)
            return
        changes = dict(declared.changes)
        if "key_type" in changes and "key_size" not in changes and changes["key_type"] != base.key_type:
            changes["key_size"] = CERTIFICATE_KEY_SIZES[changes["key_type"]][0]
        merged = base._replace(**changes)
        merged = _without_meaningless(merged)._replace(
            names=tuple(sorted(set(merged.names) - {merged.name})),
            acme=self._acme(base.acme or Acme(), declared) if merged.provider == "acme" else None,
        )
        if declared.private_key:
            merged = merged._replace(paths=("", "", ""))
        self._compare(merged.name, declared)
        there = self.there.certificates.get(merged.name)
        self.certificates[merged.name] = there if there == merged else merged
        self._bases.setdefault(merged.name, base)
        self._note(merged.name, declared)

    def _note(self, name: str, declared: DeclaredSsl) -> None:
        """Of domains that share a certificate, any may be the one that says all of it."""
        first = self._declared.get(name)
        if first:
            secrets = {field: getattr(first, field) or getattr(declared, field) for field in _SAID_ONCE}
            declared = first._replace(**secrets)
        self._declared[name] = declared

    def _acme(self, base: Acme, declared: DeclaredSsl) -> Acme:
        acme = base._replace(**declared.acme)
        methods = CHALLENGE_METHODS[acme.challenge]
        if acme.method not in methods and "method" not in declared.acme:
            acme = acme._replace(method=methods[0])
        return acme

    def _compare(self, name: str, declared: DeclaredSsl) -> None:
        """Domains that share a certificate say the same of it."""
        said = {**declared.changes, **declared.acme, "certificate": (declared.private_key, declared.chain)}
        for field, value in said.items():
            if value == (None, None):
                continue
            option = _OPTIONS.get(field, field)
            first, where = self._said.setdefault((name, option), (value, declared.where))
            if first != value:
                remedy = "A certificate that domains share is declared in the same way by all of them, or in full by one"
                self.fail(f"{name} is declared with another {option} at {where.rstrip('.')}", declared.where, remedy)

    def _check(self, base: Certificate, merged: Certificate, declared: DeclaredSsl) -> None:
        if merged.key_size not in CERTIFICATE_KEY_SIZES[merged.key_type] and merged.provider != "provided":
            sizes = ", ".join(map(str, CERTIFICATE_KEY_SIZES[merged.key_type]))
            self.fail(f"{merged.key_type} keys have one of the sizes {sizes}", f"{declared.where}key_size")
        for name in () if merged.is_host else merged.names:
            if name in self.facts.host_names:
                self.fail(
                    f"{name} is one of the host's own names", f"{declared.where}alternative_names", "It is in the host's own certificate"
                )
        for name in merged.all_names:
            if is_reserved(name) and not merged.is_host and merged.provider == "acme":
                self.fail(f"{name} is a reserved name, and no authority certifies it", declared.where)
        if merged.provider == "acme" and merged.acme:
            self._check_acme(base, merged, merged.acme, declared)
        if merged.provider == "provided" != base.provider and not declared.private_key and not any(merged.paths):
            remedy = "Give certificate and private_key, or certificate_path and private_key_path"
            self.fail(f"the certificate {merged.name} is to be provided, and none is", f"{declared.where}provider", remedy)

    def _check_acme(self, base: Certificate, merged: Certificate, acme: Acme, declared: DeclaredSsl) -> None:
        where = declared.where
        if base.provider != "acme" and not declared.terms_agreed:
            remedy = "Read the terms of the authority, and set terms_agreed: true"
            self.fail(f"{acme.directory} certifies those only who agree to its terms", f"{where}terms_agreed", remedy)
        if acme.method not in CHALLENGE_METHODS[acme.challenge]:
            methods = " or ".join(CHALLENGE_METHODS[acme.challenge])
            self.fail(f"{acme.challenge} is done by {methods}, not by {acme.method}", f"{where}challenge_method")
        wildcards = [name for name in merged.all_names if name.startswith("*.")]
        if wildcards and acme.challenge != "dns-01":
            self.fail(f"{wildcards[0]} is certified by dns-01 only", f"{where}challenge", "Set challenge: dns-01")
        if acme.method == "webroot" and not acme.webroot:
            self.fail("the method webroot needs the directory that the web server shows", f"{where}webroot")
        has_key = declared.tsig_secret or self.facts.certifying.found.get(merged.name, _NOTHING).credentials
        if acme.method == "rfc2136" and not (acme.dns_server and acme.tsig_name and has_key):
            self.fail("dns-01 needs a name server and its TSIG key", f"{where}rfc2136", "Set server, tsig_name and tsig_secret")
        if self.facts.certifying.acme_lacks:
            remedy = "Run the role fleetpost.mail.acme first"
            self._take(lacking(self.facts, self.facts.certifying.acme_lacks, where, remedy))

    def result(self, domains: Mapping[str, Domain], max_orders: int) -> Certified:
        """The certificates in the end, with those gone that the run's domains have left. domains: of the end state."""
        certificates = kept_certificates(self.there.domains, domains, self.certificates)
        for name, declared in self._declared.items():
            if name in certificates and certificates[name] is not self.there.certificates.get(name):
                self._check(self._bases.get(name, certificates[name]), certificates[name], declared)
        self._check_names(domains, certificates)
        if self.facts.dovecot == "2.3" and len(certificates) > _MANY_FOR_23 > len(self.there.certificates):
            self.warnings.append(
                f"Dovecot 2.3 takes minutes to start with more than {_MANY_FOR_23} certificates: let domains share a name (ssl.alias)"
            )
        goals = {name: self._goal(certificates[name]) for name in self.facts.certifying.found if name in certificates}
        for name, goal in goals.items():
            self._report(name, goal)
        orders = sorted((self._order(certificates[name]) for name, goal in goals.items() if goal.orders), key=_turn)
        contents = {name: goal.content for name, goal in goals.items()}
        later = tuple(Waiting(order.certificate.name, "ordered", "", _LATER) for order in orders[max_orders:])
        return Certified(certificates, contents, tuple(orders[:max_orders]), later, dict(self._credentials(certificates)))

    def _goal(self, certificate: Certificate) -> Goal:
        declared = self._declared.get(certificate.name)
        provided = self.facts.certifying.provided.get(certificate.paths) if any(certificate.paths) else None
        if declared and declared.private_key and declared.chain:
            provided = Provided(declared.private_key, declared.chain)
        if provided and provided.is_missing and not self.facts.strict:
            self.warnings.append(provided.problem)
            provided = None
        found = self.facts.certifying.found[certificate.name]
        made = self.made.get(certificate.name)
        force = declared.force if declared else False
        return goal_of(certificate, found, self.facts.now, made, provided, self.facts.certifying.trusted, force)

    def _report(self, name: str, goal: Goal) -> None:
        self.warnings.extend(goal.notes)
        declared = self._declared.get(name)
        for fault in goal.faults:
            if declared:
                option = "certificate" if declared.private_key else "certificate_path"
                self.fail(f"the certificate for {name} cannot be used: {fault}", f"{declared.where}{option}")
            else:
                self.warnings.append(f"the certificate for {name} cannot be used: {fault}")

    def _order(self, certificate: Certificate) -> Order:
        declared = self._declared.get(certificate.name)
        is_renewal = usable_lineage(certificate, self.facts.certifying.found[certificate.name], self.facts.now) is not None
        return Order(certificate, is_renewal, declared.eab_kid or "" if declared else "", declared.eab_hmac_key or "" if declared else "")

    def _credentials(self, certificates: Mapping[str, Certificate]) -> Iterator[tuple[str, bytes]]:
        for name, declared in self._declared.items():
            certificate = certificates.get(name)
            if certificate and certificate.acme and certificate.acme.method == "rfc2136":
                secret = declared.tsig_secret or _secret_in(self.facts.certifying.found.get(name, _NOTHING).credentials)
                if secret:
                    yield name, credentials_text(certificate.acme, secret)

    def _check_names(self, domains: Mapping[str, Domain], certificates: Mapping[str, Certificate]) -> None:
        # What was right before and has not changed is right.
        owned = {domain.certificate for name, domain in domains.items() if self.there.domains.get(name) is not domain}
        changed = owned | {name for name, one in certificates.items() if self.there.certificates.get(name) is not one}
        if self._declared.keys().isdisjoint(changed):
            return
        users: dict[str, dict[str, None]] = {}
        for domain in domains.values():
            users.setdefault(domain.certificate, {})[domain.owner] = None
        shown: dict[str, str] = {}
        for certificate in sorted(certificates.values(), key=lambda one: one.name in changed):
            declared = self._declared.get(certificate.name) if certificate.name in changed else None
            for name in certificate.all_names:
                other = shown.setdefault(name, certificate.name)
                if not declared:
                    continue
                if other != certificate.name:
                    self.fail(f"{name} is shown with the certificate {other} already", f"{declared.where}alternative_names")
                place = _domain_of(name, domains)
                others = [user for user in users.get(certificate.name, ()) if place and user != place.owner]
                if place and others:
                    remedy = "A name belongs to the owner of its domain"
                    message = f"{name} lies in {place.name}, which belongs to {place.owner}, not to {others[0]}"
                    self.fail(message, _option_of(name, declared), remedy)
            self._check_foreign(certificate)

    def _check_foreign(self, certificate: Certificate) -> None:
        """A file that stands in the place of a new certificate and is not ours stays."""
        declared = self._declared.get(certificate.name)
        found = self.facts.certifying.found.get(certificate.name)
        if not declared or not found or certificate.is_host or certificate.name in self.there.certificates:
            return
        for file, place in ((found.exim, "Exim's ssl/"), (found.dovecot, "Dovecot's certs/")):
            if file and not is_marked(file.content):
                remedy = "Move it away, or choose another alias"
                self.fail(f"{certificate.name}.pem stands in {place} and is not ours", f"{declared.where}alias", remedy)


def _option_of(name: str, declared: DeclaredSsl) -> str:
    """The option that says a name of a certificate, or all of ssl when none does in this run."""
    if name == declared.alias:
        return f"{declared.where}alias"
    return f"{declared.where}alternative_names" if name in declared.changes.get("names", ()) else declared.where


def kept_certificates(
    there: Mapping[str, Domain], domains: Mapping[str, Domain], certificates: Mapping[str, Certificate]
) -> dict[str, Certificate]:
    """The certificates without those that the last domain has left. One that no domain ever named is somebody's, and stays."""
    named = {domain.certificate for domain in domains.values()}
    left = {domain.certificate for domain in there.values()} - named
    left.update(name for name, one in certificates.items() if one.is_removing and name not in named)
    kept = {name: one for name, one in certificates.items() if name not in left or one.is_host}
    # What was going and is named is wanted again.
    kept.update((name, one._replace(is_removing=False)) for name, one in kept.items() if one.is_removing)
    return kept


def _turn(order: Order) -> tuple[str, str]:
    """Those that failed wait longest, so that they do not take the turns of the others run after run."""
    return order.certificate.failed, order.certificate.name


def _domain_of(name: str, domains: Mapping[str, Domain]) -> Domain | None:
    """The mail domain that a name lies in, the nearest one."""
    rest = name[2:] if name.startswith("*.") else name
    while rest:
        if rest in domains:
            return domains[rest]
        rest = rest.partition(".")[2]
    return None


def _without_meaningless(certificate: Certificate) -> Certificate:
    """A certificate without what has no meaning for its provider, and no place in the table."""
    default = Certificate(certificate.name)
    if certificate.provider != "selfsigned":
        certificate = certificate._replace(valid_days=default.valid_days)
    if certificate.provider == "provided":
        certificate = certificate._replace(key_type=default.key_type, key_size=default.key_size)
    else:
        certificate = certificate._replace(paths=default.paths)
    return certificate if certificate.provider == "acme" else certificate._replace(failed="")


def _secret_in(credentials: bytes | None) -> str:
    """The TSIG secret in a file that `credentials_text` has made."""
    found = re.search(rb"^dns_rfc2136_secret = (\S+)$", credentials or b"", re.MULTILINE)
    return found.group(1).decode() if found else ""


def credentials_text(acme: Acme, tsig_secret: str) -> bytes:
    """The file that certbot's plugin dns-rfc2136 reads."""
    settings = {
        "server": acme.dns_server,
        "port": acme.dns_port,
        "name": acme.tsig_name,
        "secret": tsig_secret,
        "algorithm": acme.tsig_algorithm.upper(),
    }
    return "".join(f"dns_rfc2136_{name} = {value}\n" for name, value in settings.items()).encode()
