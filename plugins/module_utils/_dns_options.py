# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of mail_domain_dns as values, with every error and its option path. No IO."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils import _names
from ansible_collections.fleetpost.mail.plugins.module_utils._converter import Converter
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_changes import Terms
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_packets import Server, server_of
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_records import Wishes
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_update import Provider, tsig_key
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import LibraryError, MailError, MailErrors

_STS_ID = re.compile(r"[A-Za-z0-9]{1,32}\Z")
_REPORTS = re.compile(r"(?:mailto:[^\s,;@]+@[^\s,;@]+|https://[^\s,;]+)\Z")
_MX = re.compile(r"(\d{1,5})\s+(\S+)\Z")
_PORTS = 65536
_LARGEST_TTL = 2**31 - 1


class Options(NamedTuple):
    """What a task asks for. names: None for all domains. provider: None when nothing is to be published.

    acting_as, job: what the log says of who runs it.
    """

    names: tuple[str, ...] | None
    state: str
    wishes: Wishes
    terms: Terms
    mail_host: str
    mail_host_addresses: tuple[str, ...]
    resolvers: tuple[str, ...]
    seconds: float
    withdraws: bool
    fails: bool
    provider: Provider | None
    root: str = "/"
    layout: str = "auto"
    acting_as: str = ""
    job: str = ""


def options_of(parameters: Mapping[str, Any]) -> Options:
    """The options as values. Raises MailErrors with all that is wrong with them."""
    reader = Converter()
    wishes = _wishes(reader, parameters)
    ttl = parameters["ttl"]
    if ttl is not None and not 0 <= ttl <= _LARGEST_TTL:
        reader.errors.append(MailError(f"{ttl} is no time to live: 0 to {_LARGEST_TTL} seconds (RFC 2181 section 8)", "ttl"))
    if not parameters["timeout"] > 0:
        reader.errors.append(MailError("a time limit is more than 0 seconds", "timeout"))
    options = Options(
        reader.convert_list(_names.domain_name, parameters["domains"], "domains"),
        parameters["state"],
        wishes,
        Terms(ttl, tuple(parameters["replace"])),
        reader.convert(_names.domain_name, parameters["mail_host"] or None, "mail_host") or "",
        reader.convert_list(_names.ip_address, parameters["mail_host_addresses"], "mail_host_addresses") or (),
        resolvers_of(parameters["resolvers"], reader),
        parameters["timeout"],
        parameters["withdraw_dns"],
        parameters["fail_on_difference"],
        _provider(reader, parameters["provider"]),
        parameters.get("root", "/"),
        parameters.get("layout", "auto"),
        parameters.get("acting_as") or "",
        reader.convert(_names.job_id, parameters.get("job_id") or None, "job_id") or "",
    )
    reader.errors.extend(_contradictions(options))
    if reader.errors:
        raise MailErrors(reader.errors)
    return options


def resolvers_of(texts: Iterable[str] | None, reader: Converter) -> tuple[str, ...]:
    reader.convert_list(server_of, texts, "resolvers")
    return tuple(texts or ())


def _wishes(reader: Converter, parameters: Mapping[str, Any]) -> Wishes:
    kinds = tuple(dict.fromkeys(parameters["records"]))
    identifier = reader.convert(_sts_id, parameters["mta_sts_id"] or None, "mta_sts_id") or ""
    if "mta_sts" in kinds and not parameters["mta_sts_id"]:
        remedy = "Give the id of the policy that is served at https://mta-sts.DOMAIN/.well-known/mta-sts.txt, and a new one when it changes"
        reader.errors.append(MailError("an MTA-STS record needs an id", "mta_sts_id", remedy))
    rua = reader.convert_list(_report_address, parameters["tls_rpt_rua"], "tls_rpt_rua") or ()
    return Wishes(
        kinds,
        reader.convert_list(_mx, parameters["mx"], "mx") or (),
        parameters["spf_all"],
        identifier,
        rua or Wishes().tls_rpt_rua,
    )


def _sts_id(text: str) -> str:
    if not _STS_ID.match(text):
        raise ValueError(f"{_names.printable(text)} is no id of a policy: 1 to 32 letters and digits (RFC 8461 section 3.1)")
    return text


def _report_address(text: str) -> str:
    if not _REPORTS.match(text):
        raise ValueError(f"{_names.printable(text)} is no place for reports: write mailto:ADDRESS or https://PLACE (RFC 8460 section 3)")
    return text


def _mx(text: str) -> str:
    found = _MX.match(text.strip())
    if not found or int(found.group(1)) > 65535:
        raise ValueError(f"{_names.printable(text)} is no MX record: write a preference and a name, such as 10 mx.example.com")
    return f"{int(found.group(1))} {_names.domain_name(found.group(2).rstrip('.'))}."


def _provider(reader: Converter, given: Mapping[str, Any] | None) -> Provider | None:
    if given is None:
        return None
    server = reader.convert(_provider_server, given["server"], "provider.server")
    if not 0 < given["port"] < _PORTS:
        reader.errors.append(MailError(f"{given['port']} is no port", "provider.port"))
    if bool(given["tsig_name"]) != bool(given["tsig_secret"]):
        missing = "tsig_secret" if given["tsig_name"] else "tsig_name"
        reader.errors.append(MailError("a TSIG key is a name and a secret, and this one is empty", f"provider.{missing}"))
    zone = reader.convert(_zone, given["zone"] or None, "provider.zone") or ""
    key = None
    if given["tsig_name"] and given["tsig_secret"]:
        try:
            key = tsig_key(given["tsig_name"], given["tsig_secret"], given["tsig_algorithm"])
        except LibraryError:
            raise
        except MailError as error:
            reader.errors.append(error)
    return Provider(server._replace(port=given["port"]), zone, key) if server else None


def _provider_server(text: str) -> Server:
    if "@" in text:
        raise ValueError(f"{_names.printable(text)} is no address or name: the port has an option of its own")
    return _server(text)


def _server(text: str) -> Server:
    """A name is looked up later."""
    try:
        return server_of(text)
    except ValueError:
        return Server(_names.domain_name(text.rstrip(".")))


def _zone(text: str) -> str:
    """Zones may be what no mail domain is: a single label, or labels with underscores."""
    name = text.rstrip(".").lower()
    labels = name.split(".")
    if not all(re.match(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z", label) for label in labels):
        return _names.domain_name(name)
    return name


def _contradictions(options: Options) -> Iterable[MailError]:
    if options.state == "absent" and options.names is None:
        yield MailError("records are taken out of the DNS only for domains that are named", "domains")
    if options.state == "absent" and not options.withdraws:
        remedy = "Say withdraw_dns: true if that is meant"
        yield MailError("records are taken out of the DNS only when withdraw_dns says so", "state", remedy)
    if options.withdraws and options.provider is None:
        yield MailError("records can be taken out of the DNS only through a provider", "withdraw_dns", "Add provider")
