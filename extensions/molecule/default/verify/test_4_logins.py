# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""TLS on every port, and who may log in where."""

from __future__ import annotations

import imaplib
import poplib
import smtplib
from concurrent.futures import ThreadPoolExecutor

import pytest
from hosts import Host, once
from lab import PASSWORD, PEER, acme_root, run_in
from sessions import LOGINS, SieveSession, any_certificate, may_log_in

STARTTLS = {25: "smtp", 587: "smtp", 465: "", 143: "imap", 993: "", 110: "pop3", 995: "", 4190: "sieve"}

GOOD = ["info@reject", "INFO@Reject", "hashed@boxes", "info@xn--bcher-kva", "second@reject"]
BAD = [
    ("info@reject", "wrong"),
    ("nobody@reject", PASSWORD),
    ("sales@reject", PASSWORD),
    ("press@boxes", PASSWORD),
    ("closed@boxes", PASSWORD),
    ("info@off-reject", PASSWORD),
    ("info@off-defer", PASSWORD),
    ("info@off-accept", PASSWORD),
]
# One of each service is enough for a refusal: every one costs the time that Dovecot holds it back.
BAD_PORTS = [993, 995, 4190, 587]


@once
def _handshakes(host: Host) -> dict[tuple[int, str], str]:
    """openssl's verdict on each port and address family, with nothing trusted but the host's own certificate, or who issued it."""
    lines = host.run("cat", "/etc/exim4/certificates").stdout.splitlines()
    is_ordered = any("host=yes" in line and "provider=acme" in line for line in lines)
    certificate = acme_root() if is_ordered else host.run("openssl", "x509", "-in", "/etc/ssl/private/mail-host.pem").stdout
    path = f"/tmp/{host.name}.pem"
    run_in(PEER, "tee", path, stdin=certificate)
    script = 'path=$1 name=$2; while read -r port address starttls; do printf "%s %s " "$port" "$address"; '
    script += 'timeout 20 openssl s_client -connect "$address:$port" ${starttls:+-starttls "$starttls"} -CAfile "$path" '
    script += '-verify_hostname "$name" -verify_return_error -brief </dev/null 2>&1 | tr "\\n" " "; echo; done'
    addresses = (host.ip4, f"[{host.ip6}]")
    wanted = "".join(f"{port} {address} {starttls}\n" for port, starttls in STARTTLS.items() for address in addresses)
    lines = run_in(PEER, "bash", "-c", script, "bash", path, host.fqdn, stdin=wanted).stdout.rstrip("\n").split("\n")
    found = {}
    for line in lines:
        port, address, verdict = line.split(" ", 2)
        found[int(port), "IPv6" if ":" in address else "IPv4"] = verdict
    return found


@pytest.mark.parametrize("family", ["IPv4", "IPv6"])
@pytest.mark.parametrize("port", STARTTLS)
def test_every_port_answers_with_the_hosts_certificate(mail_host: Host, port: int, family: str) -> None:
    verdict = _handshakes(mail_host)[port, family]
    assert "Verification: OK" in verdict, verdict
    assert "TLSv1.2" in verdict or "TLSv1.3" in verdict, verdict


@pytest.mark.parametrize("user", GOOD)
def test_mailboxes_log_in_everywhere(mail_host: Host, user: str) -> None:
    refused = [port for port in LOGINS if not may_log_in(mail_host, port, mail_host.full(user))]
    assert not refused


@once
def _attempts(host: Host) -> dict[tuple[str, str, int], bool]:
    attempts = [(user, password, port) for user, password in BAD for port in BAD_PORTS]
    with ThreadPoolExecutor(len(attempts)) as pool:
        results = pool.map(lambda attempt: may_log_in(host, attempt[2], host.full(attempt[0]), attempt[1]), attempts)
        return dict(zip(attempts, results))


@pytest.mark.parametrize(("user", "password"), BAD)
def test_others_do_not(mail_host: Host, user: str, password: str) -> None:
    entered = [port for port in BAD_PORTS if _attempts(mail_host)[user, password, port]]
    assert not entered


def test_nothing_is_said_of_passwords_before_tls(mail_host: Host) -> None:
    with imaplib.IMAP4(mail_host.ip4) as session:
        assert "LOGINDISABLED" in session.capabilities
        assert not [word for word in session.capabilities if word.startswith("AUTH=")]
        with pytest.raises(imaplib.IMAP4.error):
            session.login(mail_host.full("info@reject"), PASSWORD)
    assert "SASL" not in poplib.POP3(mail_host.ip4).capa() or not poplib.POP3(mail_host.ip4).capa()["SASL"]
    with pytest.raises(poplib.error_proto):
        poplib.POP3(mail_host.ip4).user(mail_host.full("info@reject"))
    assert '"SASL" ""' in SieveSession(mail_host).capabilities
    with smtplib.SMTP(mail_host.ip4, 587, "peer.outside.test") as session:
        session.ehlo()
        assert not session.has_extn("auth")
        assert session.docmd("AUTH", "PLAIN AGEAYg==")[0] == 503


def test_port_25_takes_no_password_at_all(mail_host: Host) -> None:
    with smtplib.SMTP(mail_host.ip4, 25, "peer.outside.test") as session:
        session.ehlo()
        assert not session.has_extn("auth")
        session.starttls(context=any_certificate())
        session.ehlo()
        assert not session.has_extn("auth")
        assert session.docmd("AUTH", "PLAIN AGEAYg==")[0] == 503


def test_what_is_put_into_a_mailbox_by_imap_is_there_by_pop3(mail_host: Host) -> None:
    user = mail_host.full("second@reject")
    with imaplib.IMAP4_SSL(mail_host.ip4, ssl_context=any_certificate()) as session:
        session.login(user, PASSWORD)
        folders = b" ".join(line for line in session.list()[1] if isinstance(line, bytes))
        assert all(name in folders for name in (b"Junk", b"Sent", b"Drafts", b"Trash"))
        session.append("INBOX", None, None, b"Subject: put here\r\n\r\ntext\r\n")
    box = poplib.POP3_SSL(mail_host.ip4, context=any_certificate())
    box.user(user)
    box.pass_(PASSWORD)
    assert any(b"Subject: put here" in box.retr(number + 1)[1] for number in range(box.stat()[0]))
    box.quit()
