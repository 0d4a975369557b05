# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates: what both servers show on every port, how it changes, how it is renewed, and what is mended."""

from __future__ import annotations

import imaplib
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from certificates import DOVECOT_DIRECTORY, EXIM_DIRECTORY, files_of, fingerprint_of, which, which_at
from hosts import Host, once
from lab import ACME_EAB_DIRECTORY, ACME_EAB_HMAC_KEY, ACME_EAB_KEY_ID, LAB_CA_FILE, PEER, LabError, acme_root, run_in, wait_until

from playbooks import Task, mail_domain, mail_domains, run, run_failing

_INFO: Task = {"fleetpost.mail.mail_domain_info": {"subset": ["health"], "check_tls": True}}
_ACME = {"acme_directory": "https://ca.test:14000/dir", "ca_certificate": LAB_CA_FILE, "terms_agreed": True}
_NOBODY = "https://ca.test:14009/dir"


def _declared() -> Task:
    return mail_domains(domains="{{ mail_domains_list }}", ssl_defaults="{{ mail_domains_ssl_defaults }}")


def _certificate(**options: object) -> Task:
    return {"fleetpost.mail.mail_domain_cert": options}


# --- shown

# What a client asks for -> the certificate that it sees, by its name without the zone; the host's own is HOST.
SHOWN = {
    "mail.tls-self": "mail.tls-self",
    "imap.tls-rsa": "mail.tls-rsa",
    "any.tls-rsa": "mail.tls-rsa",
    "MAIL.TLS-HTTP": "mail.tls-http",
    "imap.tls-http": "mail.tls-http",
    "any.tls-dns": "mail.tls-dns",
    "two.labels.tls-dns": "HOST",
    "tls-self": "HOST",
    "unknown": "HOST",
    "": "HOST",
}


@once
def _shown(host: Host) -> dict[tuple[str, int], str]:
    asked = {_full(host, name) if name else None: name for name in SHOWN}
    return {(asked[name], port): one.fingerprint for (name, port), one in which_at(host, asked).items()}


def _full(host: Host, name: str) -> str:
    return host.fqdn if name == "HOST" else f"{name}.{host.zone}"


@pytest.mark.parametrize("name", SHOWN)
def test_both_servers_show_the_certificate_of_the_name_on_every_port(mail_host: Host, name: str) -> None:
    expected = {fingerprint_of(mail_host, path) for path in files_of(_full(mail_host, SHOWN[name]))}
    assert len(expected) == 1
    shown = {port: fingerprint for (asked, port), fingerprint in _shown(mail_host).items() if asked == name}
    assert set(shown) == {25, 465, 587, 143, 993, 110, 995, 4190}
    assert set(shown.values()) == expected, shown


@pytest.mark.parametrize(("name", "port"), [("mail.tls-http", 465), ("mail.tls-http", 993), ("any.tls-dns", 465), ("any.tls-dns", 993)])
def test_the_chain_leads_to_the_authority_and_the_name_is_in_it(mail_host: Host, name: str, port: int) -> None:
    shown = which(mail_host, port, _full(mail_host, name))
    script = """
        cd "$(mktemp -d)" && trap 'rm -r "$PWD"' EXIT; cat >all; csplit --quiet --elide-empty-files all "/-----BEGIN/" "{*}"
        openssl verify -CAfile xx00 -untrusted xx02 -verify_hostname "$1" xx01
    """
    judged = mail_host.bash(script, _full(mail_host, name), stdin=acme_root() + "".join(shown.chain[:2]), check=False)
    assert judged.status == 0, judged.text


@pytest.mark.parametrize("port", [465, 587, 993, 995])
def test_nothing_below_tls_1_2_is_spoken_where_people_log_in(mail_host: Host, port: int) -> None:
    starttls = ["-starttls", "smtp"] if port == 587 else []
    for version, is_spoken in (("-tls1", False), ("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        command = ["openssl", "s_client", "-connect", f"{mail_host.ip4}:{port}", *starttls, version, "-cipher", "ALL:@SECLEVEL=0"]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False)
        assert ("Cipher is (NONE)" not in done.stdout and "BEGIN CERTIFICATE" in done.stdout) is is_spoken, (version, done.stdout[-800:])


# What testssl.sh calls its findings -> how each must begin.
_SCANNED = {
    **dict.fromkeys(("SSLv2", "SSLv3", "TLS1", "TLS1_1"), "not offered"),
    **dict.fromkeys(("TLS1_2", "TLS1_3"), "offered"),
    **{f"cipherlist_{kind}": "not offered" for kind in ("NULL", "aNULL", "EXPORT", "LOW", "3DES_IDEA", "OBSOLETED")},
    "cipherlist_STRONG_FS": "offered",
    "cert_trust": "Ok via SAN",
    "cert_chain_of_trust": "passed",
}


@pytest.mark.parametrize("port", [465, 993])
def test_a_scanner_finds_no_old_protocol_no_weak_cipher_and_a_whole_chain(mail_host: Host, port: int) -> None:
    script = """
        cd "$(mktemp -d)" && trap 'rm -r "$PWD"' EXIT; cat >root.pem
        testssl --quiet --color 0 --warnings off --ip one --protocols --std --server-defaults --add-ca root.pem --jsonfile found "$1" >&2
        cat found
    """
    scan = run_in(PEER, "bash", "-c", script, "bash", f"{_full(mail_host, 'mail.tls-http')}:{port}", stdin=acme_root())
    found = {one["id"].partition(" ")[0]: one["finding"] for one in json.loads(scan.stdout)}
    assert {one: found.get(one, "") for one, wanted in _SCANNED.items() if not found.get(one, "").startswith(wanted)} == {}, scan.stderr


def test_info_tells_that_the_running_servers_show_what_is_on_disk(mail_host: Host) -> None:
    info = run(mail_host, _INFO).results[0]
    states = {one["name"]: one for one in info["certificates"]}
    assert {_full(mail_host, name) for name in ("mail.tls-self", "mail.tls-rsa", "mail.tls-http", "mail.tls-dns")} <= set(states)
    assert [(one["name"], one["problems"]) for one in states.values() if one["problems"] or one["tls"] != {"465": True, "993": True}] == []
    assert states[_full(mail_host, "mail.tls-self")]["domains"] == [mail_host.domain("tls-self"), mail_host.domain("tls-shared")]
    assert states[_full(mail_host, "mail.tls-http")]["issuer"].startswith("CN=Pebble")
    again = run(mail_host, mail_domains(domains=[one for one in info["domains"] if "ssl" in one]), options=["--diff"])
    assert not again.results[0]["changed"], again.output


# --- changed


@contextmanager
def _domain(host: Host, label: str, **options: object) -> Iterator[str]:
    """A domain of the test's own, which is removed in the end."""
    name = host.domain(label)
    run(host, mail_domain(name=name, owner="bob", **options))
    try:
        yield name
    finally:
        run(host, mail_domain(name=name, state="absent", removed_mail="delete"))


def _seen(host: Host, name: str) -> str:
    """The certificate that both servers show for a name."""
    both = {which(host, port, name).fingerprint for port in (465, 993)}
    assert len(both) == 1
    return both.pop()


def _given(host: Host, name: str) -> dict[str, str]:
    """A certificate of the user's own with its chain, as an authority hands it out, and the root in the end."""
    script = """
        cd "$(mktemp -d)" && trap 'rm -r "$PWD"' EXIT
        exec 2>/dev/null
        key=(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes)
        openssl req -x509 "${key[@]}" -days 99 -keyout root.key -out root.pem -subj /CN=root \\
            -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign
        request() { openssl req "${key[@]}" -keyout "$1.key" -out "$1.csr" -subj "/CN=$1"; }
        sign() {
            openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days 98 -extfile <(echo "$3") -out "$1.pem"
        }
        request middle; sign middle root basicConstraints=critical,CA:TRUE
        request leaf; sign leaf middle "subjectAltName=DNS:$1"
        for file in leaf.pem middle.pem root.pem leaf.key; do cat "$file"; echo ----; done
    """
    leaf, middle, root, key, _end = host.bash(script, name).stdout.split("-----\n----\n")
    parts = [f"{part}-----\n" for part in (leaf, middle, root, key)]
    return {"certificate": parts[0], "chain": parts[1] + parts[2], "private_key": parts[3]}


def test_self_signed_to_acme_to_provided_and_back(mail_host: Host) -> None:
    with _domain(mail_host, "web.tls-http", ssl={"alias": f"walk.tls-http.{mail_host.zone}"}) as domain:
        name = f"walk.tls-http.{mail_host.zone}"
        own = _seen(mail_host, name)
        failed = run_failing(mail_host, _certificate(domain=domain, provider="acme", **{**_ACME, "acme_directory": _NOBODY}))
        assert _NOBODY in failed and "did not certify" in failed, failed
        assert _seen(mail_host, name) == own, "an order that failed changed what is shown"
        ordered = run(mail_host, _certificate(domain=domain, provider="acme", **_ACME)).results[0]
        certified = _seen(mail_host, name)
        assert ordered["renewed"] and ordered["certificate"]["issuer"].startswith("CN=Pebble") and certified != own
        assert certified == ordered["certificate"]["fingerprint"]
        given = _given(mail_host, name)
        run(mail_host, _certificate(domain=domain, provider="provided", **given))
        provided = which(mail_host, 993, name)
        assert provided.issuer == "CN=middle" and len(provided.chain) == 2 and _seen(mail_host, name) == provided.fingerprint
        assert not run(mail_host, _certificate(domain=domain, provider="provided", **given)).results[0]["changed"]
        lineages = mail_host.run("certbot", "certificates").stdout
        assert name not in lineages, "certbot goes on renewing what nobody shows"
        run(mail_host, _certificate(domain=domain, provider="selfsigned"))
        assert which(mail_host, 465, name).issuer == f"CN={name}"
    left = mail_host.bash(
        'cat /etc/exim4/certificates /etc/dovecot/certs/names.conf; ls "$1" "$2"', EXIM_DIRECTORY, DOVECOT_DIRECTORY
    ).stdout
    assert name not in left


def test_a_name_in_somebody_elses_domain_is_not_to_be_had(mail_host: Host) -> None:
    name = f"mail.tls-http.{mail_host.zone}"
    said = run_failing(mail_host, mail_domain(name=mail_host.domain("thief"), owner="alice", ssl={"alias": name}))
    assert f"{name} lies in {mail_host.domain('tls-http')}, which belongs to bob, not to alice" in said, said


def test_check_mode_asks_the_authority_nothing_and_says_what_it_would_ask(mail_host: Host) -> None:
    begin = run_in("lab-peer", "date", "+%F %T.%N").stdout.strip()
    before = mail_host.bash('sha256sum "$1"/*.pem "$2"/* /etc/exim4/certificates', EXIM_DIRECTORY, DOVECOT_DIRECTORY).stdout
    done = run(
        mail_host,
        mail_domain(name=mail_host.domain("asked.tls-http"), ssl={"provider": "acme", **_ACME}),
        _certificate(domain=mail_host.domain("tls-http"), force=True),
        options=["--check", "--diff"],
    )
    assert f"order: mail.asked.tls-http.{mail_host.zone} from {_ACME['acme_directory']} by http-01 (standalone)" in done.output
    journal = run_in("lab-peer", "journalctl", "--unit", "pebble", "--since", begin, "--no-pager", "-o", "cat").stdout
    assert [line for line in journal.splitlines() if mail_host.zone in line] == []
    assert mail_host.bash('sha256sum "$1"/*.pem "$2"/* /etc/exim4/certificates', EXIM_DIRECTORY, DOVECOT_DIRECTORY).stdout == before


def test_what_cannot_be_used_is_refused_and_nothing_is_written(mail_host: Host) -> None:
    name = f"mail.tls-self.{mail_host.zone}"
    good, other = _given(mail_host, name), _given(mail_host, "other.test")
    before = _seen(mail_host, name)
    chain = good["chain"].split("-----END CERTIFICATE-----\n")
    wrong = {
        "does not belong": {**good, "private_key": other["private_key"]},
        "did not issue": {**good, "chain": chain[1] + "-----END CERTIFICATE-----\n"},
        "not complete": {**good, "chain": chain[0] + "-----END CERTIFICATE-----\n"},
        "is not for": other,
    }
    for complaint, pair in wrong.items():
        said = run_failing(mail_host, _certificate(domain=mail_host.domain("tls-self"), provider="provided", **pair))
        assert complaint in said, said
    assert _seen(mail_host, name) == before


def test_an_authority_that_wants_a_binding_gets_it_and_the_rest_waits_its_turn(mail_host: Host) -> None:
    options = {**_ACME, "acme_directory": ACME_EAB_DIRECTORY, "eab_kid": ACME_EAB_KEY_ID, "eab_hmac_key": ACME_EAB_HMAC_KEY}
    labels = ["first.tls-http", "second.tls-http"]
    entries = [
        {
            "name": mail_host.domain(label),
            "owner": "bob",
            "ssl": {"provider": "acme", "alias": f"{label.partition('.')[0]}.tls-http.{mail_host.zone}"},
        }
        for label in labels
    ]
    task = mail_domains(domains=entries, ssl_defaults=options, acme_max_orders=1)
    try:
        first = run(mail_host, task).results[0]
        assert [one["domain"] for one in first["waiting"]] == [f"second.tls-http.{mail_host.zone}"]
        second = run(mail_host, task).results[0]
        assert second["changed"] and second["waiting"] == []
        assert not run(mail_host, task).results[0]["changed"]
        issuers = {which(mail_host, 993, f"{label.partition('.')[0]}.tls-http.{mail_host.zone}").issuer for label in labels}
        assert all(issuer.startswith("CN=Pebble") for issuer in issuers)
    finally:
        run(mail_host, *(mail_domain(name=mail_host.domain(label), state="absent", removed_mail="delete") for label in labels))


def test_a_webroot_and_files_that_are_not_ours(mail_host: Host) -> None:
    mail_host.bash("""
        mkdir -p /srv/www
        systemd-run --quiet --unit=lab-web python3 -m http.server 80 --bind :: --directory /srv/www
        echo mine >/etc/exim4/ssl/mine.pem; echo mine >/etc/dovecot/certs/mine.pem
    """)
    try:
        ssl_options = {
            "provider": "acme",
            "challenge_method": "webroot",
            "webroot": "/srv/www",
            "alias": f"mail.tls-web.{mail_host.zone}",
            **_ACME,
        }
        with _domain(mail_host, "tls-web", ssl=ssl_options):
            assert which(mail_host, 993, f"mail.tls-web.{mail_host.zone}").issuer.startswith("CN=Pebble")
        assert mail_host.run("cat", "/etc/exim4/ssl/mine.pem", "/etc/dovecot/certs/mine.pem").stdout == "mine\nmine\n"
    finally:
        mail_host.bash("systemctl stop lab-web; rm -rf /srv/www /etc/exim4/ssl/mine.pem /etc/dovecot/certs/mine.pem", check=False)


def test_private_keys_are_for_the_servers_alone(mail_host: Host) -> None:
    rights = mail_host.bash(
        'stat --format "%a %U %G" "$1"/mail.*.pem; echo; stat --format "%a %U %G" "$2"/mail.*.pem', EXIM_DIRECTORY, DOVECOT_DIRECTORY
    )
    exim, dovecot = rights.stdout.split("\n\n")
    assert set(exim.split("\n")) == {"640 root Debian-exim"} and set(dovecot.strip().split("\n")) == {"600 root root"}
    key = mail_host.bash('sed -n 3p "$1"/mail.tls-http.*.pem', EXIM_DIRECTORY).stdout.strip()
    assert len(key) == 64
    found = mail_host.bash(
        'grep -rlIF -e "$1" /var/log /tmp /var/tmp /run /etc/ansible 2>/dev/null; journalctl --no-pager -o cat | grep -cF -e "$1"',
        key,
        check=False,
    )
    assert found.stdout.strip() == "0", found.stdout


# --- renewed


def _renew(host: Host, *names: str) -> None:
    """A forced renewal of the lineages. The authority refuses one nonce in twenty, and certbot tries again only once."""
    for name in names:
        command = f"certbot renew --force-renewal --no-random-sleep-on-renew --cert-name {name}"
        environment = "REQUESTS_CA_BUNDLE=/etc/letsencrypt/fleetpost-mail/ca-bundle.pem"
        for _attempt in range(5):
            done = host.shell(f"{environment} {command}", check=False, timeout=180)
            if done.status == 0:
                break
        assert done.status == 0, done.text


class _Stream(threading.Thread):
    """Connects as often as it can, and notes what was shown and what failed."""

    def __init__(self, host: Host, port: int, name: str) -> None:
        super().__init__(daemon=True)
        self.host, self.port, self.name_asked = host, port, name
        self.seen: list[str] = []
        self.failures: list[str] = []
        self.is_over = False

    def run(self) -> None:
        while not self.is_over:
            self.look()

    def look(self) -> None:
        try:
            self.seen.append(which(self.host, self.port, self.name_asked).fingerprint)
        except (LabError, subprocess.TimeoutExpired) as error:
            self.failures.append(str(error)[-300:])


def _logged_in(host: Host) -> imaplib.IMAP4_SSL:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    session = imaplib.IMAP4_SSL(host.ip4, 993, ssl_context=context)
    session.login(f"info@tls-http.{host.zone}", "correct horse")
    session.select("INBOX")
    return session


def test_a_forced_renewal_under_connections_refuses_nobody_and_ends_no_session(mail_host: Host) -> None:
    name = f"mail.tls-http.{mail_host.zone}"
    before, exim = _seen(mail_host, name), mail_host.daemon_pid()
    session = _logged_in(mail_host)
    streams = [_Stream(mail_host, port, name) for port in (465, 993, 25)]
    for stream in streams:
        stream.start()
    _renew(mail_host, name)
    after = wait_until("the new certificate", lambda: (found := _seen(mail_host, name)) != before and found)
    time.sleep(1)
    for stream in streams:
        stream.is_over = True
        stream.join(60)
    assert [stream.failures for stream in streams] == [[], [], []]
    assert [set(stream.seen) for stream in streams] == [{before, after}] * 3
    assert session.noop()[0] == "OK" and session.logout()[0] == "BYE"
    assert mail_host.daemon_pid() == exim
    assert {fingerprint_of(mail_host, path) for path in files_of(name)} == {after}


def test_the_timers_unit_renews_what_is_due_and_trusts_the_internal_authority(mail_host: Host) -> None:
    name = f"mail.tls-dns.{mail_host.zone}"
    before, conf = _seen(mail_host, name), f"/etc/letsencrypt/renewal/{name}.conf"
    mail_host.bash('cp -p "$1" /root/kept.conf; sed -i "1i renew_before_expiry = 3650 days" "$1"', conf)
    try:
        for _attempt in range(4):
            mail_host.run("systemctl", "start", "certbot.service", check=False, timeout=240)
            if _seen(mail_host, name) != before:
                break
        assert _seen(mail_host, name) != before, mail_host.run("journalctl", "-u", "certbot", "-n", "40", "--no-pager").stdout
    finally:
        mail_host.bash('sed -i "/^renew_before_expiry = 3650/d" "$1"; rm /root/kept.conf', conf)


def test_a_hook_that_is_killed_leaves_the_old_or_the_new_pair_and_the_next_one_completes_it(mail_host: Host) -> None:
    name = f"mail.tls-http.{mail_host.zone}"
    old = fingerprint_of(mail_host, files_of(name)[0])
    mail_host.run("chmod", "-x", "/usr/local/sbin/mail-domain-certificates")
    try:
        _renew(mail_host, name)
    except AssertionError:
        pass
    finally:
        mail_host.run("chmod", "+x", "/usr/local/sbin/mail-domain-certificates")
    new = fingerprint_of(mail_host, f"/etc/letsencrypt/live/{name}/cert.pem")
    assert new != old
    for milliseconds in (60, 90, 120, 150, 180, 210, 250, 300, 350, 400):
        mail_host.shell(f"timeout -s KILL 0.{milliseconds:03d} /usr/local/sbin/mail-domain-certificates", check=False)
        for path in files_of(name):
            assert fingerprint_of(mail_host, path) in (old, new)
            public = mail_host.bash(
                'openssl x509 -noout -pubkey -in "$1" | sha256sum; openssl pkey -pubout -in "$1" | sha256sum', path
            ).stdout.split("\n")
            assert public[0] == public[1], "a key without its certificate"
        assert which(mail_host, 465, name).fingerprint in (old, new)
    mail_host.run("/usr/local/sbin/mail-domain-certificates")
    wait_until("the new certificate", lambda: _seen(mail_host, name) == new)
    assert not mail_host.run("ls", "/run/mail-domains.reload", check=False).stdout


# --- mended


DAMAGES = {
    "Exim's copy is garbage": 'echo garbage >"$1"',
    "Dovecot's copy is garbage": 'echo garbage >"$2"',
    "both are cut off": 'truncate --size=300 "$1" "$2"',
    "the key is another's": 'sed -i "/PRIVATE/,/PRIVATE/d" "$2"; sed -n "/PRIVATE/,/PRIVATE/p" "${2%/*}"/mail.tls-rsa.*.pem >>"$2"',
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_somebody_broke_is_told_and_mended_and_others_never_notice(mail_host: Host, damage: str) -> None:
    name, other = f"mail.tls-self.{mail_host.zone}", f"mail.tls-rsa.{mail_host.zone}"
    untouched = _seen(mail_host, other)
    mail_host.bash(DAMAGES[damage], *files_of(name))
    info = run(mail_host, _INFO, _declared())
    problems = {one["name"]: one["problems"] for one in info.results[0]["certificates"]}
    assert problems[name] and not problems[other], problems
    assert {fingerprint_of(mail_host, path) for path in files_of(name)} == {_seen(mail_host, name)}
    assert _seen(mail_host, other) == untouched


def test_a_file_that_is_missing_stops_dovecot_for_one_run_at_most(mail_host: Host) -> None:
    name = f"mail.tls-self.{mail_host.zone}"
    mail_host.bash('rm "$1"; systemctl restart dovecot', files_of(name)[1], check=False)
    done = run(mail_host, mail_domains(domains=[]))
    assert done.results[0]["changed"]
    wait_until("Dovecot", lambda: mail_host.run("systemctl", "is-active", "dovecot", check=False).stdout.strip() == "active")
    assert _seen(mail_host, name) == fingerprint_of(mail_host, files_of(name)[0])


def test_a_configuration_that_dovecot_refuses_takes_no_new_certificate(mail_host: Host) -> None:
    script = 'sha256sum "$1"/* "$2"/*.pem'
    before = mail_host.bash(script, DOVECOT_DIRECTORY, EXIM_DIRECTORY).stdout
    mail_host.bash("echo nonsense_setting = 1 >/etc/dovecot/local/broken.conf")
    try:
        said = run_failing(mail_host, _certificate(domain=mail_host.domain("tls-self"), force=True))
        assert "Dovecot refuses its configuration" in said and "nonsense_setting" in said, said
        assert mail_host.bash(script, DOVECOT_DIRECTORY, EXIM_DIRECTORY).stdout == before
    finally:
        mail_host.run("rm", "/etc/dovecot/local/broken.conf")
    assert run(mail_host, _certificate(domain=mail_host.domain("tls-self"), force=True)).results[0]["renewed"]
