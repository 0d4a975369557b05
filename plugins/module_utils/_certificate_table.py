# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table ``certificates`` and Dovecot's ``names.conf`` <-> the model (grammar: docs/tables.md). No IO.

One line a name that is shown with a certificate of its own: that of the certificate itself holds its settings, those of its
further names only ``cert=``. Exim asks for the name a client wants, then for the wildcard of its parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    CERTIFICATE_KEY_TYPES,
    CHALLENGES,
    DEFAULT_RENEW_BEFORE_DAYS,
    DEFAULT_VALID_DAYS,
    PROVIDERS,
    Acme,
    Certificate,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import Layout
from ansible_collections.fleetpost.mail.plugins.module_utils._tables import MEND, Table, parse_fields, render_fields

CERTIFICATES_HEADER = """\
# fleetpost.mail table certificates format 1
# Which certificate the servers show for which name, wildcards included: ssl/CERT.pem here, certs/CERT.pem for Dovecot.
# NAME: cert=CERT, and in the line of the certificate itself provider=selfsigned|acme|provided key=ecdsa:256|rsa:2048
# days=3650 renew=30 host=yes (the host's own) certificate= chain= private_key= (files it is taken from)
# directory=URL email= challenge=http-01|dns-01 method=standalone|webroot|rfc2136 webroot= ca= failed=TIME
# removing=yes: nobody has the certificate of this very name any more, and its files are going
# dns_server= dns_port=53 tsig_name= tsig_algorithm= propagation=10

"""
NAMES_HEADER = """\
# Written by the modules of fleetpost.mail from the table certificates: changes by hand are lost.
"""
# Field of a line -> field of Acme.
_ACME_FIELDS = {
    "directory": "directory",
    "email": "email",
    "challenge": "challenge",
    "method": "method",
    "webroot": "webroot",
    "ca": "ca_certificate",
    "dns_server": "dns_server",
    "dns_port": "dns_port",
    "tsig_name": "tsig_name",
    "tsig_algorithm": "tsig_algorithm",
    "propagation": "propagation",
}
_PATH_FIELDS = ("certificate", "chain", "private_key")
_KNOWN_FIELDS = ("cert", "removing", "provider", "key", "days", "renew", "host", "failed", *_PATH_FIELDS, *_ACME_FIELDS)
_DEFAULT_ACME = Acme()


def read_certificates(table: Table, path: str) -> dict[str, Certificate]:
    """The certificates of the table. Raises MailError with file and line number for a value that this version does not know."""
    settings: dict[str, Mapping[str, str]] = {}
    names: dict[str, list[str]] = {}
    name = ""
    try:
        for name, value in table.values.items():
            fields: Mapping[str, str] = parse_fields(value)
            certificate = _file_name(fields.get("cert", name if _is_removing(fields) else ""))
            if name == certificate or _is_removing(fields):
                settings[name] = fields
            if name != certificate:
                names.setdefault(certificate, []).append(name)
        found = {}
        for name, fields in settings.items():
            found[name] = _certificate(name, tuple(sorted(names.get(name, ()))), fields)
    except MailError as error:
        raise table.misread(name, path, error) from None
    return found


def _is_removing(fields: Mapping[str, str]) -> bool:
    return fields.get("removing") == "yes"


def _file_name(text: str) -> str:
    """The name of a certificate, which names files."""
    if text and _names.is_stored_form(_names.domain_name, text):
        return text
    raise MailError(f"cert={text[:80]} is not the name of a certificate", remedy=MEND)


def _certificate(name: str, names: tuple[str, ...], fields: Mapping[str, str]) -> Certificate:
    provider = fields.get("provider", PROVIDERS[0])
    if provider not in PROVIDERS:
        raise MailError(f"provider={provider[:40]} is none of {', '.join(PROVIDERS)}", remedy=MEND)
    key_type, _colon, size = fields.get("key", "ecdsa:256").partition(":")
    if key_type not in CERTIFICATE_KEY_TYPES:
        raise MailError(f"key={fields['key'][:40]} is no key such as ecdsa:256 or rsa:2048", remedy=MEND)
    return Certificate(
        name,
        names,
        provider,
        key_type,
        _number("key", size),
        _number("days", fields.get("days", str(DEFAULT_VALID_DAYS))),
        _number("renew", fields.get("renew", str(DEFAULT_RENEW_BEFORE_DAYS))),
        _acme(fields) if provider == "acme" else None,
        (fields.get("certificate", ""), fields.get("chain", ""), fields.get("private_key", "")),
        fields.get("host") == "yes",
        fields.get("failed", "") if provider == "acme" else "",
        _is_removing(fields),
    )


def _number(field: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise MailError(f"{field} has {text[:40] or 'nothing'} where a number belongs", remedy=MEND)
    return int(text)


def _acme(fields: Mapping[str, str]) -> Acme:
    given: dict[str, Any] = {name: fields[field] for field, name in _ACME_FIELDS.items() if field in fields}
    numbers: dict[str, Any] = {
        name: _number(name, given.pop(name, str(getattr(_DEFAULT_ACME, name)))) for name in ("dns_port", "propagation")
    }
    acme = _DEFAULT_ACME._replace(**numbers, **given)
    if acme.challenge not in CHALLENGES:
        raise MailError(f"challenge={acme.challenge[:40]} is none of {', '.join(CHALLENGES)}", remedy=MEND)
    return acme


def certificate_values(certificate: Certificate, current: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """The lines of a certificate, name and value; unknown fields of the `current` values are kept."""
    yield certificate.name, _rendered({"cert": certificate.name, **_settings(certificate)}, current.get(certificate.name))
    for name in certificate.names:
        yield name, _rendered({"cert": certificate.name}, current.get(name))


def tombstone_value(certificate: Certificate, current: str | None, after: str | None) -> str:
    """The line of a certificate whose files are going. after: what the line is to say then, as the name may be shown with another.

    Without that it names no certificate, so that no server looks for the file.
    """
    shown = {"cert": parse_fields(after)["cert"]} if after else {}
    return _rendered({**shown, "removing": "yes", **_settings(certificate)}, current)


def without_tombstone(value: str) -> str | None:
    """What a line says once the files are gone, None when it goes as well."""
    certificate = parse_fields(value).get("cert")
    return _rendered({"cert": certificate}, value) if certificate else None


def _settings(certificate: Certificate) -> dict[str, str]:
    fields = {"provider": certificate.provider}
    if certificate.provider != "provided":
        fields["key"] = f"{certificate.key_type}:{certificate.key_size}"
    if certificate.provider == "selfsigned" and certificate.valid_days != DEFAULT_VALID_DAYS:
        fields["days"] = str(certificate.valid_days)
    if certificate.renew_before_days != DEFAULT_RENEW_BEFORE_DAYS:
        fields["renew"] = str(certificate.renew_before_days)
    if certificate.is_host:
        fields["host"] = "yes"
    fields.update((field, path) for field, path in zip(_PATH_FIELDS, certificate.paths) if path)
    if certificate.acme:
        fields.update(_acme_fields(certificate.acme))
    if certificate.failed:
        fields["failed"] = certificate.failed
    return fields


def _acme_fields(acme: Acme) -> Iterator[tuple[str, str]]:
    for field, name in _ACME_FIELDS.items():
        value = getattr(acme, name)
        if field == "directory" or value != getattr(_DEFAULT_ACME, name):
            yield field, str(value)


def _rendered(fields: dict[str, str], current: str | None) -> str:
    kept = {key: value for key, value in parse_fields(current).items() if key not in _KNOWN_FIELDS} if current else {}
    return render_fields({**fields, **kept})


def names_text(layout: Layout, version: str, certificates: Iterable[Certificate]) -> str:
    """Dovecot's ``names.conf``: which file it shows for which name (Dovecot, "SSL configuration", SNI).

    version: ``2.3``, which takes several names in a block, or ``2.4``, which takes one. The host's own certificate has a block
    only for its further names.
    """
    blocks = [NAMES_HEADER]
    for certificate in certificates:
        path = layout.dovecot_certificate(certificate.name)
        names = certificate.names if certificate.is_host else certificate.all_names
        if not names:
            continue
        if version == "2.3":
            quoted = f'"{" ".join(names)}"' if len(names) > 1 else names[0]
            blocks.append(f"local_name {quoted} {{\n  ssl_cert = <{path}\n  ssl_key = <{path}\n}}\n")
        else:
            settings = f"  ssl_server_cert_file = {path}\n  ssl_server_key_file = {path}\n"
            blocks += [f"local_name {name} {{\n{settings}}}\n" for name in names]
    return "".join(blocks)
