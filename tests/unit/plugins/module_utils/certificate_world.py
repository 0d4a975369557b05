# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests of certificates on a fake host look at, and hosts that have one already."""

from __future__ import annotations

from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import Pair, is_marked, pair_of
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import NAME
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import FakeHost

DOMAIN = "example.com"
ACME = {"provider": "acme", "terms_agreed": True}
TSIG = {"server": "192.0.2.53", "tsig_name": "mail", "tsig_secret": "c2VjcmV0LW9mLXRzaWc="}
BY_DNS = {**ACME, "challenge": "dns-01", "rfc2136": TSIG}
LINE = f"{NAME}: cert={NAME} provider=selfsigned key=ecdsa:256"


def exim(host: FakeHost, name: str = NAME) -> str:
    return host.layout.exim_certificate(name)


def dovecot(host: FakeHost, name: str = NAME) -> str:
    return host.layout.dovecot_certificate(name)


def both(host: FakeHost, name: str = NAME) -> bytes:
    """The file of a certificate, which must be ours and the same for both servers."""
    content = host.path(exim(host, name)).read_bytes()
    assert host.path(dovecot(host, name)).read_bytes() == content
    assert is_marked(content)
    return content


def pair_on(host: FakeHost, name: str = NAME) -> Pair:
    return pair_of(both(host, name))


def files(host: FakeHost) -> list[str]:
    """The names of all certificates with a file, each of which both servers must have."""
    found = [sorted(path.stem for path in host.path(directory).glob("*.pem")) for directory in directories(host)]
    assert found[0] == found[1]
    return found[0]


def directories(host: FakeHost) -> tuple[str, str]:
    return host.layout.ssl_dir, host.layout.dovecot_certificates_dir


def shown_names(host: FakeHost) -> list[str]:
    """The names that Dovecot has a block for."""
    return [line.split()[1] for line in host.text(host.layout.names).splitlines() if line.startswith("local_name")]


def change(outcome: object) -> list[str]:
    """What the actions of a run did, without where and how."""
    return [action.action for action in outcome.actions]  # type: ignore[attr-defined]


def ready_for_acme(host: FakeHost) -> None:
    """What the role acme puts there."""
    host.write("/usr/bin/certbot", "#!/bin/sh\n")
    host.write(host.layout.acme_hook, "#!/usr/bin/python3\n")
