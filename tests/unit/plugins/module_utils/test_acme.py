# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What certbot is told, and what its answers mean."""

from __future__ import annotations

import os
import subprocess

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _acme
from ansible_collections.fleetpost.mail.plugins.module_utils._acme import (
    ORDERING,
    failure_of,
    forget_lineages,
    order_certificates,
    trusted_environment,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import ACME_DIRECTORIES, Acme, Certificate, Order
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import NAME, pem, root
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_certbot import LETSENCRYPT, REFUSED, keep

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

PLAIN = Certificate(NAME, provider="acme", acme=Acme())
BY_DNS = Acme(challenge="dns-01", method="rfc2136", dns_server="192.0.2.53", tsig_name="mail", propagation=25)
ALWAYS = {
    "non-interactive": "true",
    "agree-tos": "true",
    "server": LETSENCRYPT,
    "cert-name": NAME,
    "domains": NAME,
    "renew-with-new-domains": "true",
    "post-hook": "/usr/local/sbin/mail-domain-certificates",
}
ECDSA = {"key-type": "ecdsa", "elliptic-curve": "secp256r1"}
NOBODY = {"register-unsafely-without-email": "true"}
STANDALONE = {"preferred-challenges": "http-01", "authenticator": "standalone"}


def ordered(host, certbot, certificate, is_renewal=False, **how):
    """The options that certbot reads for an order."""
    (answer,) = order_certificates(Tree(str(host.root)), host.layout, [Order(certificate, is_renewal, **how)], [])
    assert answer.error is None
    return certbot.orders[-1]


# orders


@pytest.mark.parametrize(
    ("certificate", "how", "expected"),
    [
        (PLAIN, {}, {**ECDSA, **NOBODY, **STANDALONE}),
        (PLAIN._replace(acme=Acme(email="a@b.test")), {}, {**ECDSA, "email": "a@b.test", **STANDALONE}),
        (PLAIN._replace(key_size=384), {}, {**ECDSA, "elliptic-curve": "secp384r1", **NOBODY, **STANDALONE}),
        (PLAIN._replace(key_type="rsa", key_size=3072), {}, {"key-type": "rsa", "rsa-key-size": "3072", **NOBODY, **STANDALONE}),
        (PLAIN, {"is_renewal": True}, {**ECDSA, **NOBODY, **STANDALONE, "force-renewal": "true"}),
        (PLAIN, {"eab_kid": "k", "eab_hmac_key": "h"}, {**ECDSA, **NOBODY, **STANDALONE, "eab-kid": "k", "eab-hmac-key": "h"}),
        (
            PLAIN._replace(names=("*.example.com", "x.test")),
            {},
            {**ECDSA, **NOBODY, **STANDALONE, "domains": f"{NAME},*.example.com,x.test"},
        ),
        (
            PLAIN._replace(acme=Acme(method="webroot", webroot="/srv/a b")),
            {},
            {**ECDSA, **NOBODY, "preferred-challenges": "http-01", "authenticator": "webroot", "webroot-path": "/srv/a b"},
        ),
        (
            PLAIN._replace(acme=BY_DNS),
            {},
            {
                **ECDSA,
                **NOBODY,
                "preferred-challenges": "dns-01",
                "authenticator": "dns-rfc2136",
                "dns-rfc2136-credentials": f"/etc/letsencrypt/fleetpost-mail/{NAME}.ini",
                "dns-rfc2136-propagation-seconds": "25",
            },
        ),
    ],
    ids=["plain", "email", "p-384", "rsa", "renewal", "eab", "names", "webroot", "dns"],
)
def test_certbot_reads_what_an_order_wants(host, certbot, certificate, how, expected):
    assert ordered(host, certbot, certificate, **how) == {**ALWAYS, **expected}


def test_secrets_are_in_a_file_for_root_alone_and_in_no_argument_and_the_file_is_gone_afterwards(host, certbot, monkeypatch):
    seen = []

    def watching(command, **how):
        path = command[command.index("--config") + 1]
        seen.append((list(command), os.stat(path).st_mode & 0o777))
        return certbot(command, **how)

    monkeypatch.setattr(_acme, "run_tool", watching)
    ordered(host, certbot, PLAIN, eab_kid="kid", eab_hmac_key="geheim")
    ((command, mode),) = seen
    assert mode == 0o600
    assert "geheim" not in " ".join(command)
    assert not list(host.path("/run").glob("*.ini"))


def test_the_file_is_gone_after_a_failure_too(host, certbot):
    certbot.refuses[NAME] = REFUSED.format(NAME)
    (answer,) = order_certificates(Tree(str(host.root)), host.layout, [Order(PLAIN, False)], [])
    assert "NXDOMAIN" in str(answer.error)
    assert not list(host.path("/run").glob("*.ini"))


def test_orders_after_one_that_failed_are_made_all_the_same(host, certbot):
    certbot.refuses[NAME] = REFUSED.format(NAME)
    other = PLAIN._replace(name="mail.b.test")
    answers = order_certificates(Tree(str(host.root)), host.layout, [Order(PLAIN, False), Order(other, False)], [])
    assert [answer.error is None for answer in answers] == [False, True]


def test_our_own_orders_tell_the_hook_to_leave_the_installing_to_us(host, certbot):
    ordered(host, certbot, PLAIN)
    assert certbot.environments[0][ORDERING]


@pytest.mark.parametrize(
    ("kept", "name"),
    [
        ([], NAME),
        ([(NAME, True)], NAME),
        ([(NAME, False)], f"{NAME}-0001"),
        ([(NAME, False), (f"{NAME}-0001", True)], f"{NAME}-0001"),
        ([(NAME, False), (f"{NAME}-0001", False)], f"{NAME}-0002"),
        ([(f"www.{NAME}", False)], NAME),
    ],
)
def test_lineages_of_others_are_never_ordered_over(host, certbot, kept, name):
    for lineage, is_ours in kept:
        keep(host, lineage, NAME, is_ours=is_ours)
    assert ordered(host, certbot, PLAIN)["cert-name"] == name


@pytest.mark.parametrize(
    "passing",
    ["Another instance of Certbot is already running.", "urn:ietf:params:acme:error:badNonce :: JWS has an invalid anti-replay nonce"],
)
def test_what_is_over_by_itself_is_waited_for(host, certbot, monkeypatch, passing):
    monkeypatch.setattr(_acme.time, "sleep", lambda _seconds: certbot.refuses.clear())
    certbot.refuses[NAME] = passing
    ordered(host, certbot, PLAIN)
    assert len(certbot.orders) == 2


LOST = "An unexpected error occurred:\nAttributeError: can't set attribute\n"


def test_words_of_the_authority_that_certbot_loses_are_found_in_its_log(host, certbot):
    certbot.refuses[NAME] = LOST
    logged = "acme.messages.Error: urn:ietf:params:acme:error:rateLimited :: too many certificates\n\nDuring handling of the above\n"
    host.write(host.layout.certbot_log, f"2026-11-27 01:20:00,000:DEBUG:x\n{logged}{LOST}")
    (answer,) = order_certificates(Tree(str(host.root)), host.layout, [Order(PLAIN, False)], [])
    assert "rateLimited :: too many certificates" in str(answer.error)
    assert "a later run tries again" in str(answer.error)
    host.path(host.layout.certbot_log).unlink()
    (answer,) = order_certificates(Tree(str(host.root)), host.layout, [Order(PLAIN, False)], [])
    assert "AttributeError" in str(answer.error)


def test_a_lost_nonce_is_tried_again_whatever_certbot_says_of_it(host, certbot, monkeypatch):
    monkeypatch.setattr(_acme.time, "sleep", lambda _seconds: certbot.refuses.clear())
    certbot.refuses[NAME] = LOST
    host.write(
        host.layout.certbot_log, "acme.messages.Error: urn:ietf:params:acme:error:badNonce :: JWS has an invalid anti-replay nonce\n"
    )
    ordered(host, certbot, PLAIN)
    assert len(certbot.orders) == 2


def test_another_certbot_is_not_waited_for_for_ever(host, certbot, monkeypatch):
    moments = iter(range(0, 10000, 20))
    monkeypatch.setattr(_acme.time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(_acme.time, "sleep", lambda _seconds: None)
    certbot.refuses[NAME] = "Another instance of Certbot is already running."
    (answer,) = order_certificates(Tree(str(host.root)), host.layout, [Order(PLAIN, False)], [])
    assert "already running" in str(answer.error)


# forgetting


def test_only_lineages_of_ours_are_forgotten(host, certbot):
    keep(host, NAME, is_ours=False)
    keep(host, f"{NAME}-0001", NAME)
    keep(host, "mail.b.test")
    assert forget_lineages(Tree(str(host.root)), host.layout, [NAME]) == {}
    assert [command[-1] for command in certbot.commands] == [f"{NAME}-0001"]


def test_what_certbot_does_not_forget_is_told(host, certbot, monkeypatch):
    keep(host, NAME)
    monkeypatch.setattr(_acme, "run_tool", lambda command, **_how: subprocess.CompletedProcess(command, 1, "", "disk full\n"))
    (error,) = forget_lineages(Tree(str(host.root)), host.layout, [NAME]).values()
    assert f"certbot keeps {NAME}" in str(error)
    assert "disk full" in str(error)


def test_a_certbot_that_cannot_be_run_is_told_and_stops_nothing(host, certbot, monkeypatch):
    def missing(*_arguments, **_how):
        raise MailError("cannot run certbot: No such file or directory")

    keep(host, NAME)
    monkeypatch.setattr(_acme, "run_tool", missing)
    (error,) = forget_lineages(Tree(str(host.root)), host.layout, [NAME]).values()
    assert "certbot" in str(error)


# answers

AUTHENTICATION = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
Requesting a certificate for mail.example.com and imap.example.com

Certbot failed to authenticate some domains (authenticator: standalone). The Certificate Authority reported these problems:
  Domain: imap.example.com
  Type:   connection
  Detail: 192.0.2.1: Fetching http://imap.example.com/.well-known/acme-challenge/x: Connection refused

  Domain: mail.example.com
  Type:   unauthorized
  Detail: 192.0.2.1: Invalid response from http://mail.example.com/.well-known/acme-challenge/y: 404

Hint: The Certificate Authority failed to download the challenge files.

Some challenges have failed.
Ask for help or search for solutions at https://community.letsencrypt.org.
"""
RATE_LIMIT = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
An unexpected error occurred:
too many certificates (5) already issued for this exact set of domains in the last 168h: mail.example.com, retry after 2026-11-27
Ask for help or search for solutions at https://community.letsencrypt.org.
"""
DOWN = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log
An unexpected error occurred:
requests.exceptions.ConnectionError: HTTPSConnectionPool(host='ca.test', port=14000): Max retries exceeded with url: /dir
Ask for help or search for solutions at https://community.letsencrypt.org.
"""


def failure(said, acme=None):
    return failure_of(PLAIN._replace(acme=acme or Acme()), said)


def test_every_name_that_was_not_proved_is_told_in_the_authoritys_own_words():
    error = failure(AUTHENTICATION)
    assert error.message.startswith(f"{LETSENCRYPT} did not certify {NAME}: imap.example.com: 192.0.2.1: Fetching")
    assert "Connection refused (connection)" in error.message
    assert "mail.example.com: 192.0.2.1: Invalid response" in error.message
    assert "port 80" in error.remedy


@pytest.mark.parametrize(
    ("acme", "said", "advice"),
    [
        (Acme(), AUTHENTICATION, "nobody but certbot"),
        (Acme(method="webroot", webroot="/var/www/acme"), AUTHENTICATION, "/var/www/acme"),
        (BY_DNS, AUTHENTICATION, "TSIG key"),
        (Acme(), REFUSED.format(NAME), "A or AAAA record"),
        (Acme(), RATE_LIMIT, "Wait as long as it says"),
        (Acme(), DOWN, f"this host reaches {LETSENCRYPT}"),
    ],
    ids=["standalone", "webroot", "dns-01", "no address", "rate limit", "down"],
)
def test_what_to_do_depends_on_what_failed(acme, said, advice):
    assert advice in failure(said, acme).remedy


def test_an_unexpected_error_is_told_and_not_what_certbot_always_says():
    assert "too many certificates (5)" in failure(RATE_LIMIT).message
    assert "Max retries exceeded" in failure(DOWN).message
    for said in (AUTHENTICATION, RATE_LIMIT, DOWN):
        assert "community.letsencrypt.org" not in str(failure(said))
        assert "\n" not in str(failure(said))


@pytest.mark.parametrize("said", ["", "\n\n", "x" * 5000, "bell \x07 and \x1b[31mred\n", "Domain: a\nType: b\n"])
def test_whatever_is_said_is_one_line_that_can_be_shown(said):
    error = failure(said)
    assert str(error).isprintable()
    assert len(error.message) < 700


# trust


def environment(host, *acmes):
    return trusted_environment(Tree(str(host.root)), host.layout, acmes)


BUNDLE, VARIABLES = "/etc/letsencrypt/fleetpost-mail/ca-bundle.pem", "/etc/letsencrypt/fleetpost-mail/environment"
INTERNAL = Acme(ca_certificate="/etc/ssl/internal.pem")


def test_without_an_authority_of_its_own_certbot_needs_nothing(host):
    assert environment(host, Acme(), Acme()) == {}
    assert not host.path("/etc/letsencrypt").exists()


def test_certbot_trusts_the_hosts_roots_and_the_internal_authority(host):
    host.write("/etc/ssl/certs/ca-certificates.crt", pem(root("other")))
    host.write(INTERNAL.ca_certificate, pem(root()))
    assert environment(host, Acme(), INTERNAL, INTERNAL) == {"REQUESTS_CA_BUNDLE": str(host.path(BUNDLE))}
    assert [text in host.text(BUNDLE) for text in (pem(root()), pem(root("other")))] == [True, True]
    assert host.text(VARIABLES) == f"REQUESTS_CA_BUNDLE={host.path(BUNDLE)}\n"
    before = host.identities()
    environment(host, INTERNAL)
    assert host.identities() == before


def test_trust_ends_with_the_last_certificate_of_the_authority(host):
    host.write(INTERNAL.ca_certificate, pem(root()))
    environment(host, INTERNAL)
    assert environment(host, Acme()) == {}
    assert not host.path(VARIABLES).exists()


def test_an_authority_whose_file_is_not_there_is_an_error_with_its_path(host):
    with pytest.raises(MailError, match="no such file") as error:
        environment(host, INTERNAL)
    assert error.value.where == INTERNAL.ca_certificate


def test_the_known_authorities_are_asked_over_https():
    assert all(url.startswith("https://") for url in ACME_DIRECTORIES.values())
