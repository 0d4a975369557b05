# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option ``ssl`` of a domain -> what is declared, with every error and its option path. No IO."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import (
    ACME_DIRECTORIES,
    DEFAULT_PROPAGATION,
    DNS_PORT,
    TSIG_ALGORITHMS,
    DeclaredSsl,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import certificates_of
from ansible_collections.fleetpost.mail.plugins.module_utils._converter import Converter
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError

_URL = re.compile(r"https://[A-Za-z0-9.\[\]:-]+(?:/[A-Za-z0-9._~%/-]*)?\Z")
_WORD = re.compile(r"[A-Za-z0-9_=+/.-]{1,512}\Z")
_LONGEST_LIFE = 36500
_LONGEST_PROPAGATION = 3600
_LARGEST_PORT = 65535

_ACME_OPTIONS = (
    "email",
    "acme_directory",
    "challenge",
    "challenge_method",
    "webroot",
    "rfc2136",
    "eab_kid",
    "eab_hmac_key",
    "ca_certificate",
)
_TEXT_OPTIONS = ("certificate", "chain", "private_key")
_PATH_OPTIONS = tuple(f"{option}_path" for option in _TEXT_OPTIONS)
_MADE_OPTIONS = ("key_type", "key_size")
# Options that have a meaning with some providers only.
_PROVIDERS_OF = {
    **dict.fromkeys(_ACME_OPTIONS, ("acme",)),
    **dict.fromkeys((*_TEXT_OPTIONS, *_PATH_OPTIONS), ("provided",)),
    **dict.fromkeys(_MADE_OPTIONS, ("selfsigned", "acme")),
    "valid_days": ("selfsigned",),
}


def declared_ssl(entry: Mapping[str, Any], defaults: Mapping[str, Any], prefix: str, reader: Converter) -> DeclaredSsl:
    """The certificate that an entry declares. defaults: what every entry says that does not say otherwise.

    `prefix` is its option path with a dot; what is wrong is added to the errors of `reader`.
    """
    if not entry and not defaults:
        return DeclaredSsl(prefix)
    reader.errors.extend(_contradictions(entry, prefix))
    given = {option: value for option, value in entry.items() if value is not None}
    options = {**_fitting(defaults, given), **given}
    text = _Text(options, prefix, reader)
    alternative_names = reader.convert_list(_certificate_name, options.get("alternative_names"), f"{prefix}alternative_names")
    alternative_names = None if alternative_names is None else tuple(sorted(alternative_names))
    private_key, chain = text.pair()
    changes = {
        "names": alternative_names,
        "provider": options.get("provider"),
        "key_type": options.get("key_type"),
        "key_size": options.get("key_size"),
        "valid_days": text.number("valid_days", _LONGEST_LIFE),
        "renew_before_days": text.number("renew_before_days", _LONGEST_LIFE),
        "paths": text.paths(),
    }
    rfc2136 = options.get("rfc2136") or {}
    return DeclaredSsl(
        prefix,
        options.get("state") or "present",
        reader.convert(_names.domain_name, options.get("alias"), f"{prefix}alias"),
        {name: value for name, value in changes.items() if value is not None},
        {name: value for name, value in text.acme(rfc2136).items() if value is not None},
        private_key,
        chain,
        bool(options.get("terms_agreed")),
        bool(options.get("force")),
        reader.convert(_secret, rfc2136.get("tsig_secret"), f"{prefix}rfc2136.tsig_secret"),
        reader.convert(_secret, options.get("eab_kid"), f"{prefix}eab_kid"),
        reader.convert(_secret, options.get("eab_hmac_key"), f"{prefix}eab_hmac_key"),
    )


def _fitting(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The defaults that have a meaning beside what is given: those of another provider have none."""
    provider = given.get("provider") or defaults.get("provider")
    return {
        option: value
        for option, value in defaults.items()
        if value is not None and (provider is None or provider in _PROVIDERS_OF.get(option, (provider,)))
    }


def _contradictions(entry: Mapping[str, Any], prefix: str) -> Iterator[MailError]:
    provider = entry.get("provider")
    for option in entry if provider is not None else ():
        providers = _PROVIDERS_OF.get(option, ())
        if providers and entry[option] is not None and provider not in providers:
            yield MailError(f"{option} has no meaning with provider: {provider}", f"{prefix}{option}", "Remove it, or change provider")
    texts = [option for option in _TEXT_OPTIONS if entry.get(option) is not None]
    paths = [option for option in _PATH_OPTIONS if entry.get(option) is not None]
    if texts and paths:
        yield MailError(f"{texts[0]} and {paths[0]} exclude each other", f"{prefix}{paths[0]}")
    for option in ("chain", "chain_path"):
        certificate = option.replace("chain", "certificate")
        if entry.get(option) is not None and entry.get(certificate) is None:
            yield MailError(f"{option} goes with {certificate}", f"{prefix}{option}")
    for first, second in (("certificate", "private_key"), ("certificate_path", "private_key_path"), ("eab_kid", "eab_hmac_key")):
        if (entry.get(first) is None) != (entry.get(second) is None):
            yield MailError(f"{first} and {second} go together", f"{prefix}{second if entry.get(first) is not None else first}")
    if (texts or paths) and provider is None:
        yield MailError(f"{(texts + paths)[0]} needs provider: provided", f"{prefix}provider")


class _Text:
    """Reads the options that are texts, numbers and paths."""

    def __init__(self, options: Mapping[str, Any], prefix: str, reader: Converter) -> None:
        self.options = options
        self.prefix = prefix
        self.reader = reader

    def fail(self, message: str, option: str) -> None:
        self.reader.errors.append(MailError(message, f"{self.prefix}{option}"))

    def number(self, option: str, largest: int) -> int | None:
        number = self.options.get(option)
        if number is not None and not 1 <= number <= largest:
            self.fail(f"{number} is not between 1 and {largest} days", option)
            return None
        return number

    def propagation(self, rfc2136: Mapping[str, Any]) -> int:
        seconds = rfc2136.get("propagation_seconds")
        if seconds is not None and not 0 <= seconds <= _LONGEST_PROPAGATION:
            self.fail(f"{seconds} is not between 0 and {_LONGEST_PROPAGATION} seconds", "rfc2136.propagation_seconds")
        return DEFAULT_PROPAGATION if seconds is None else int(seconds)

    def port(self, rfc2136: Mapping[str, Any]) -> int:
        port = rfc2136.get("port")
        if port is not None and not 1 <= port <= _LARGEST_PORT:
            self.fail(f"{port} is no port", "rfc2136.port")
        return DNS_PORT if port is None else int(port)

    def path(self, option: str) -> str | None:
        return self.reader.convert(_names.absolute_path, self.options.get(option), f"{self.prefix}{option}")

    def paths(self) -> tuple[str, str, str] | None:
        if self.options.get("certificate_path") is None:
            return None
        return (self.path("certificate_path") or "", self.path("chain_path") or "", self.path("private_key_path") or "")

    def pair(self) -> tuple[bytes | None, bytes | None]:
        """Private key and chain, as they were given. Whether they fit is judged where they are compared with what is there."""
        certificate, chain, private_key = (self.options.get(option) for option in _TEXT_OPTIONS)
        if not certificate or not private_key:
            return None, None
        for option, text in (("certificate", certificate), ("chain", chain)):
            if text:
                self.reader.convert(_pem, text, f"{self.prefix}{option}")
        return private_key.encode("utf-8", "replace"), f"{certificate}\n{chain or ''}".encode("utf-8", "replace")

    def acme(self, rfc2136: Mapping[str, Any]) -> dict[str, Any]:
        convert, prefix = self.reader.convert, self.prefix
        return {
            "directory": convert(_directory, self.options.get("acme_directory"), f"{prefix}acme_directory"),
            "email": convert(_names.forward_address, self.options.get("email"), f"{prefix}email"),
            "challenge": self.options.get("challenge"),
            "method": self.options.get("challenge_method"),
            "webroot": convert(_webroot, self.options.get("webroot"), f"{prefix}webroot"),
            "ca_certificate": self.path("ca_certificate"),
            "dns_server": convert(_names.ip_address, rfc2136.get("server"), f"{prefix}rfc2136.server"),
            "dns_port": self.port(rfc2136) if rfc2136 else None,
            "tsig_name": convert(_names.tsig_key_name, rfc2136.get("tsig_name"), f"{prefix}rfc2136.tsig_name"),
            "tsig_algorithm": rfc2136.get("tsig_algorithm") or (TSIG_ALGORITHMS[0] if rfc2136 else None),
            "propagation": self.propagation(rfc2136) if rfc2136 else None,
        }


def _certificate_name(text: str) -> str:
    """A host name, or a wildcard for the labels directly below one (RFC 6125 section 6.4.3)."""
    if text.startswith("*."):
        return f"*.{_names.domain_name(text[2:])}"
    return _names.domain_name(text)


def _webroot(text: str) -> str:
    """A path that may stand in a configuration file of certbot's, which ends a value where a comment seems to begin."""
    if any(char.isspace() for char in text):
        raise ValueError(f"{_names.printable(text)} may hold no white space")
    return _names.absolute_path(text)


def _directory(text: str) -> str:
    url = ACME_DIRECTORIES.get(text, text)
    if not _URL.match(url):
        known = ", ".join(ACME_DIRECTORIES)
        raise ValueError(f"{_names.printable(text)} is neither the https URL of an ACME directory nor one of {known}")
    return url


def _pem(text: str) -> str:
    certificates_of(text.encode("utf-8", "replace"))
    return text


def _secret(text: str) -> str:
    """A word that may stand in a configuration file of certbot's. It is never echoed."""
    if not _WORD.match(text):
        raise ValueError("this may hold letters, digits and the characters = + / - _ . only")
    return text
