# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Orders certificates through certbot, which keeps and renews them (RFC 8555). The only file that asks a certificate authority."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_files import read_lineages, trust_bundle, users_file
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import Acme, Certificate, Lineage, Order
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._tools import last_line, run_tool

# In the environment of our own orders: the hook then leaves the installing to us, all at once and with one reload.
ORDERING = "FLEETPOST_MAIL_ORDERING"
_ORDER_SECONDS = 300.0
# What is over by itself: another certbot, and an authority that forgot a nonce (RFC 8555 section 6.5), which certbot tries again once.
_PASSING = re.compile("Another instance of Certbot is already running|badNonce|anti-replay nonce")
_PATIENCE = 60.0
_PAUSE = 3.0
_CURVES = {256: "secp256r1", 384: "secp384r1"}
_PROBLEM = re.compile(r"^\s*Domain:\s*(\S+)\s*^\s*Type:\s*(\S+)\s*^\s*Detail:\s*(.+)$", re.MULTILINE)
_SAID = "An unexpected error occurred:\n{}\n{}"
_UNEXPECTED = re.compile(r"^An unexpected error occurred:\s*^(.+)$", re.MULTILINE)
# certbot 2.1 on Python 3.11 says so of itself where an authority refused a request, and has the authority's words in its log alone.
_LOST = "can't set attribute"
_LOGGED = re.compile(r"^acme\.messages\.Error: (urn:.+)$", re.MULTILINE)
_OWNERSHIP = Ownership(0, 0, 0o600)
_LONGEST = 500


class Ordered(NamedTuple):
    """How an order ended; error is None when certbot has the certificate."""

    certificate: Certificate
    error: MailError | None


def order_certificates(tree: Tree, layout: Layout, orders: Sequence[Order], all_acme: Iterable[Acme]) -> list[Ordered]:
    """Orders one certificate after the other, as certbot wants it, whatever becomes of the others.

    all_acme: of all certificates of the host, whose authorities must be trusted at renewals as well.
    """
    environment = {ORDERING: "yes", **trusted_environment(tree, layout, all_acme)}
    return [Ordered(order.certificate, _ordered(tree, layout, order, environment)) for order in orders]


def _ordered(tree: Tree, layout: Layout, order: Order, environment: dict[str, str]) -> MailError | None:
    try:
        _order(tree, layout, order, environment)
    except MailError as error:
        return error
    return None


def _order(tree: Tree, layout: Layout, order: Order, environment: dict[str, str]) -> None:
    certificate = order.certificate
    lineages = read_lineages(tree, layout, [certificate.name]).get(certificate.name, ())
    # Options in a file that root alone reads: arguments of a process are everybody's to see.
    path = f"{layout.run_dir}/mail-domains-order-{os.getpid()}.ini"
    text = "".join(f"{name} = {value}\n" for name, value in _options(layout, order, _lineage_name(certificate.name, lineages)))
    tree.write_files([(path, text.encode(), _OWNERSHIP)])
    try:
        _certbot(tree, layout, ["certonly", "--config", tree.full(path)], environment, certificate)
    finally:
        tree.remove_file(path)


def _lineage_name(name: str, lineages: Sequence[Lineage]) -> str:
    """The name that certbot keeps it under: that of our own one, or a free one. Those of others are not touched."""
    ours = [lineage.name for lineage in lineages if lineage.is_ours]
    taken = {lineage.name for lineage in lineages}
    free = (one for one in (name, *(f"{name}-{number:04d}" for number in range(1, 1000))) if one not in taken)
    return ours[0] if ours else next(free)


def _options(layout: Layout, order: Order, lineage: str) -> Iterator[tuple[str, str]]:
    certificate = order.certificate
    acme = certificate.acme or Acme()
    yield "non-interactive", "true"
    yield "agree-tos", "true"
    yield "server", acme.directory
    yield "cert-name", lineage
    yield "domains", ",".join(certificate.all_names)
    yield "renew-with-new-domains", "true"
    yield "key-type", certificate.key_type
    if certificate.key_type == "rsa":
        yield "rsa-key-size", str(certificate.key_size)
    else:
        yield "elliptic-curve", _CURVES[certificate.key_size]
    yield ("email", acme.email) if acme.email else ("register-unsafely-without-email", "true")
    if order.is_renewal:
        yield "force-renewal", "true"
    if order.eab_kid:
        yield "eab-kid", order.eab_kid
        yield "eab-hmac-key", order.eab_hmac_key
    yield from _challenge_options(layout, certificate.name, acme)
    # Kept with the lineage: it marks it as ours, and certbot calls it once after a run that renewed any of them.
    yield "post-hook", layout.acme_hook


def _challenge_options(layout: Layout, name: str, acme: Acme) -> Iterator[tuple[str, str]]:
    yield "preferred-challenges", acme.challenge
    if acme.method == "rfc2136":
        yield "authenticator", "dns-rfc2136"
        yield "dns-rfc2136-credentials", layout.acme_credentials(name)
        yield "dns-rfc2136-propagation-seconds", str(acme.propagation)
    else:
        yield "authenticator", acme.method
    if acme.method == "webroot":
        yield "webroot-path", acme.webroot


def _certbot(tree: Tree, layout: Layout, arguments: Sequence[str], environment: dict[str, str], certificate: Certificate) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        answer = run_tool(["certbot", *arguments], limit=_ORDER_SECONDS, environment=environment)
        if answer.returncode == 0:
            return
        said = f"{answer.stdout}\n{answer.stderr}"
        if _LOST in said:
            logged = _LOGGED.findall((tree.read(layout.certbot_log) or b"").decode("utf-8", "replace"))
            said = _SAID.format(logged[-1], said) if logged else said
        if not _PASSING.search(said) or time.monotonic() > deadline:
            raise failure_of(certificate, said)
        time.sleep(_PAUSE)


def failure_of(certificate: Certificate, said: str) -> MailError:
    """The authority's own words, as certbot passes them on, and what to look at."""
    problems = _PROBLEM.findall(said)
    unexpected = _UNEXPECTED.search(said)
    if problems:
        words = "; ".join(f"{domain}: {detail.strip()} ({kind})" for domain, kind, detail in problems)
    else:
        words = unexpected.group(1).strip() if unexpected else last_line(said)
    shown = "".join(char if char.isprintable() else "?" for char in words)[:_LONGEST].rstrip(".")
    acme = certificate.acme or Acme()
    return MailError(
        f"{acme.directory} did not certify {certificate.name}: {shown}",
        remedy=_advice(acme, {kind for _name, kind, _detail in problems}, words),
    )


def _advice(acme: Acme, kinds: set[str], words: str) -> str:
    if re.search(r"rate ?limit|too many", words, re.IGNORECASE):
        return "Wait as long as it says; a later run tries again"
    if not kinds:
        return f"See that this host reaches {acme.directory}, and /var/log/letsencrypt/letsencrypt.log; a later run tries again"
    if acme.challenge == "dns-01":
        return "See that the name server takes updates of this TSIG key for _acme-challenge of the name, and that all its servers show them"
    if "dns" in kinds:
        return "See that the name has an A or AAAA record with an address of this host (dig NAME)"
    place = f"shows what is in {acme.webroot}" if acme.method == "webroot" else "is used by nobody but certbot"
    return f"See that the name leads to this host and to no other, and that port 80 of it is open and {place}"


def forget_lineages(tree: Tree, layout: Layout, names: Sequence[str]) -> dict[str, MailError]:
    """Lets certbot forget those of our certificates that nobody has any more; others of the same name stay.

    Returns what it did not forget, and why, by certificate.
    """
    found = read_lineages(tree, layout, names).items()
    tried = {name: _forgotten(one.name) for name, lineages in found for one in lineages if one.is_ours}
    return {name: error for name, error in tried.items() if error}


def _forgotten(lineage: str) -> MailError | None:
    try:
        answer = run_tool(["certbot", "delete", "--non-interactive", "--cert-name", lineage], limit=_ORDER_SECONDS)
    except MailError as error:
        return error
    if answer.returncode == 0:
        return None
    return MailError(f"certbot keeps {lineage}, which nobody has any more: {last_line(answer.stderr)}")


def trusted_environment(tree: Tree, layout: Layout, all_acme: Iterable[Acme]) -> dict[str, str]:
    """What certbot needs to trust the servers of authorities that the host does not trust by itself.

    It is a file beside its credentials, for our orders, and for the timer's renewals, which read it as environment.
    """
    paths = sorted({acme.ca_certificate for acme in all_acme if acme.ca_certificate})
    bundle, environment = f"{layout.acme_dir}/ca-bundle.pem", f"{layout.acme_dir}/environment"
    if not paths:
        tree.remove_file(environment)
        return {}
    content = b"\n".join([trust_bundle(tree), *(_authority(tree, path) for path in paths)])
    variable = {"REQUESTS_CA_BUNDLE": tree.full(bundle)}
    text = "".join(f"{name}={value}\n" for name, value in variable.items()).encode()
    if tree.read(bundle) != content or tree.read(environment) != text:
        tree.ensure_parent(bundle)
        tree.write_files([(bundle, content, _OWNERSHIP), (environment, text, _OWNERSHIP)])
    return variable


def _authority(tree: Tree, path: str) -> bytes:
    content = users_file(tree, path)
    if content is None:
        raise MailError("there is no such file on the host", path, "It is the ca_certificate of a certificate")
    return content
