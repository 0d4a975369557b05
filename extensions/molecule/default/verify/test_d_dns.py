# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS records of mail domains: published by dynamic updates of BIND, looked up at its servers, withdrawn, and every refusal."""

from __future__ import annotations

import base64
import json
from typing import Any, NamedTuple

import pytest
from hosts import Host, once
from lab import PEER, run_in, tsig_secret
from signatures import add_text, frozen_second_server, private_key, provider, record_in_file, texts, update, withdraw

from playbooks import Run, Task, mail_domain, mail_domain_dns, mail_domains, run, run_failing, start

# Nobody has this address.
NOBODY = "198.51.100.250"
FOREIGN = "site-verification=1234"


def _dns(host: Host, *labels: str, **options: Any) -> Task:
    return mail_domain_dns(**{"domains": [host.domain(label) for label in labels], "ttl": 2, **options})


def _publish(host: Host, *labels: str, **options: Any) -> Task:
    return _dns(host, *labels, provider=provider(host), **options)


def _zone(host: Host) -> set[str]:
    """Every record of the host's zone but its SOA."""
    lines = run_in(PEER, "dig", "@ns.test", "+noall", "+answer", host.zone, "AXFR").stdout.splitlines()
    return {" ".join(line.split()) for line in lines if " SOA " not in " ".join(line.split())}


def _dig(name: str, kind: str) -> list[str]:
    return sorted(run_in(PEER, "dig", "+short", "@ns2.test", name, kind).stdout.splitlines())


@once
def _domains(host: Host) -> bool:
    """Domains of these tests: with a key of 4096 bits and a DMARC policy, with Ed25519 beside RSA, and without either."""
    long_key = host.run("openssl", "genrsa", "4096").stdout
    for label in ("long", "pair", "plain"):
        withdraw(host, label)
    run(
        host,
        mail_domains(
            domains=[
                {"name": host.domain("long"), "dkim": {"private_key": long_key}, "dmarc": {"policy": "quarantine"}},
                {"name": host.domain("pair"), "dkim": {"selector": "s1", "key_type": "both"}},
                {"name": host.domain("plain")},
                {"name": f"{host.zone.partition('.')[0]}.dead.test"},
                {"name": f"{host.zone.partition('.')[0]}.unknown-zone.test"},
            ]
        ),
    )
    return True


class Published(NamedTuple):
    """What was returned and what the zone held: before, after check mode, after the run; a second run; and the end."""

    before: set[str]
    checked: Run
    after_check: set[str]
    done: Run
    zone: set[str]
    again: Run
    verified: list[dict[str, Any]]


@once
def _published(host: Host) -> Published:
    _domains(host)
    # Somebody else's record, and a wildcard that reaches the other names.
    add_text(host, host.domain("long"), FOREIGN)
    before = _zone(host)
    task = _publish(host, "long", "pair")
    checked = run(host, task, options=["--check", "--diff"])
    after_check = _zone(host)
    done = run(host, task, options=["--diff"])
    zone = _zone(host)
    again, verified = start(host, [task]).finish(), run(host, _dns(host, "long", "pair", state="verified"))
    return Published(before, checked, after_check, done, zone, again, verified.results[0]["verification"])


def test_check_mode_publishes_nothing_and_announces_what_the_run_publishes(mail_host: Host) -> None:
    published = _published(mail_host)
    assert published.after_check == published.before
    assert published.checked.results[0]["changes"] == published.done.results[0]["changes"] != []
    assert published.checked.diff == published.done.diff


def test_records_are_published_and_another_record_at_the_name_stays(mail_host: Host) -> None:
    _published(mail_host)
    long, pair = mail_host.domain("long"), mail_host.domain("pair")
    assert texts(long) == sorted([FOREIGN, f"v=spf1 a:{mail_host.fqdn} ~all"])
    assert _dig(long, "MX") == _dig(pair, "MX") == [f"10 {mail_host.fqdn}."]
    assert texts(f"_dmarc.{long}") == ["v=DMARC1; p=quarantine"]
    for domain, file in ((long, long), (pair, pair), (pair, f"{pair}.s1-ed25519")):
        selector, record = record_in_file(mail_host, file)
        assert texts(f"{selector}._domainkey.{domain}", "ns2.test") == [record]
    assert _published(mail_host).zone - _published(mail_host).before >= {f"{long}. 2 IN MX 10 {mail_host.fqdn}."}


def test_nothing_else_in_the_zone_is_touched(mail_host: Host) -> None:
    published = _published(mail_host)
    assert published.before - published.zone == set()
    names = {record.split()[0].rstrip(".") for record in published.zone - published.before}
    assert all(name.endswith((mail_host.domain("long"), mail_host.domain("pair"))) for name in names), names


def test_publishing_again_changes_nothing(mail_host: Host) -> None:
    again = _published(mail_host).again
    assert again.status == 0 and not again.results[0]["changed"] and again.results[0]["changes"] == []


def test_a_long_key_is_published_in_several_strings_and_opendkim_finds_it(mail_host: Host) -> None:
    _published(mail_host)
    name = mail_host.domain("long")
    shown = run_in(PEER, "dig", "+short", "+tcp", "@ns.test", f"dkim._domainkey.{name}", "TXT").stdout
    assert shown.count('" "') >= 2, shown
    script = (
        'umask 077; file=$(mktemp); cat >"$file"; opendkim-testkey -vvv -d "$1" -s dkim -k "$file"; status=$?; rm "$file"; exit "$status"'
    )
    done = run_in(PEER, "bash", "-c", script, "bash", name, stdin=private_key(mail_host, name), check=False)
    assert done.status == 0 and "key OK" in done.text, done.text


def test_returned_records_are_as_other_collections_take_them(mail_host: Host) -> None:
    result = _published(mail_host).done.results[0]
    records = {(record["record"], record["type"]): record for record in result["dns_records"]}
    name = mail_host.domain("long")
    assert records[name, "MX"]["value"] == [f"10 {mail_host.fqdn}."] and records[name, "MX"]["ttl"] == 2
    key = records[f"dkim._domainkey.{name}", "TXT"]["value"]
    assert key == [record_in_file(mail_host, name)[1]] and '"' not in key[0] and len(key[0]) > 500
    checked = run_in(
        PEER,
        "named-checkzone",
        mail_host.zone,
        "/dev/stdin",
        stdin=f"$TTL 2\n@ SOA ns.test. a.test. 1 1 1 1 1\n@ NS ns.test.\n{result['zone_file']}",
    )
    assert "OK" in checked.text


# --- verified


def _statuses(verification: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {(entry["domain"].partition(".")[0], entry["kind"]): entry["status"] for entry in verification}


def test_verified_tells_what_is_there_missing_different_or_out_of_reach(mail_host: Host) -> None:
    assert set(_statuses(_published(mail_host).verified).values()) == {"ok"}
    long, pair, dead = mail_host.domain("long"), mail_host.domain("pair"), f"{mail_host.zone.partition('.')[0]}.dead.test"
    record = texts(f"_dmarc.{long}")[0]
    update(
        mail_host,
        f"delete _dmarc.{long} TXT",
        f'add _dmarc.{long} 2 TXT "v=DMARC1; p=reject"',
        f"delete {pair} MX",
        # the same key, written otherwise
        f"delete s1-ed25519._domainkey.{pair} TXT",
        f'add s1-ed25519._domainkey.{pair} 2 TXT "k=ed25519; p=" "{record_in_file(mail_host, f"{pair}.s1-ed25519")[1].partition("p=")[2]}"',
    )
    done, info = run(
        mail_host,
        mail_domain_dns(domains=[long, pair, dead], state="verified", timeout=10),
        {"fleetpost.mail.mail_domain_info": {"names": [long, pair, dead], "check_dns": True, "subset": ["health"], "dns_timeout": 10}},
    ).results
    run(mail_host, _publish(mail_host, "long", "pair", replace=["dmarc"]))
    found = _statuses(done["verification"])
    assert not done["all_ok"] and not done["changed"]
    assert {key: status for key, status in found.items() if key[0] == "long"} == {
        ("long", "mx"): "ok",
        ("long", "spf"): "ok",
        ("long", "dkim"): "ok",
        ("long", "dmarc"): "different",
    }
    assert {key: status for key, status in found.items() if key[0] == "pair"} == {
        ("pair", "mx"): "missing",
        ("pair", "spf"): "ok",
        ("pair", "dkim"): "ok",
    }
    assert {status for key, status in found.items() if key[0] not in ("long", "pair")} == {"unreachable"}
    different = next(entry for entry in done["verification"] if entry["status"] == "different")
    assert (different["expected"], different["found"]) == ([record], ["v=DMARC1; p=reject"])
    problems = {status["name"]: " ".join(status["problems"]) for status in info["status"]}
    assert f"_dmarc.{long}" in problems[long] and "MX" in problems[pair] and "could not be looked up" in problems[dead], problems


def test_verified_asks_every_name_server(mail_host: Host) -> None:
    name = mail_host.domain("plain")
    run(mail_host, _publish(mail_host, "plain"))
    with frozen_second_server(mail_host):
        run(mail_host, mail_domain(name=name, dmarc={"policy": "none"}), _publish(mail_host, "plain"))
        done, here = run(
            mail_host, _dns(mail_host, "plain", state="verified"), _dns(mail_host, "plain", state="verified", resolvers=["198.51.100.2"])
        ).results
    dmarc = next(entry for entry in done["verification"] if entry["kind"] == "dmarc")
    assert dmarc["status"] == "missing" and "ns2.test" in dmarc["server"] + dmarc["why"], dmarc
    assert here["all_ok"]


# --- refused


class Refusal(NamedTuple):
    """Options of a provider that are wrong, and words of the one error that they lead to."""

    options: dict[str, Any]
    words: tuple[str, ...]
    domain: str = ""


REFUSALS = {
    "wrong secret": Refusal({"tsig_secret": base64.b64encode(b"x" * 32).decode()}, ("BADSIG", "tsig_secret")),
    "unknown key": Refusal({"tsig_name": "nobody"}, ("BADKEY", "tsig_name")),
    "refused": Refusal({"tsig_name": "lab-weak", "tsig_secret": tsig_secret("lab-weak")}, ("REFUSED", "lab-weak", "update-policy")),
    "no zone": Refusal({"zone": "plain.{}.test"}, ("NOTAUTH", "plain.", "zone")),
    "other zone": Refusal({}, ("REFUSED", "the zone test"), "{}.unknown-zone.test"),
    "dead server": Refusal({"server": NOBODY}, (NOBODY,)),
    "no server": Refusal({"server": "127.0.0.1", "port": 9}, ("127.0.0.1",)),
    "no such name": Refusal({"server": "no-such-server.test"}, ("no-such-server.test",)),
}


@once
def _refused(host: Host) -> tuple[dict[str, dict[str, Any]], Run]:
    """Each refusal's result, of one playbook that goes on after each."""
    _published(host)
    update(host, f"delete {host.domain('plain')}")
    tasks = []
    for refusal in REFUSALS.values():
        short = host.zone.partition(".")[0]
        domain = refusal.domain.format(short) or host.domain("plain")
        given = provider(host, **refusal.options)
        if "zone" in given:
            given["zone"] = given["zone"].format(short)
        options = {"domains": [domain], "provider": given, "timeout": 2}
        tasks.append({**mail_domain_dns(**options), "ignore_errors": True})
    done = start(host, tasks, "-vvv").finish()
    return dict(zip(REFUSALS, done.results)), done


@pytest.mark.parametrize("case", REFUSALS)
def test_what_goes_wrong_with_an_update_is_one_clear_error(mail_host: Host, case: str) -> None:
    result = _refused(mail_host)[0][case]
    message = result.get("msg", "")
    assert result.get("failed") or "errors" in result, result
    assert "Traceback" not in message and len(result["errors"]) == 1, result
    assert [word for word in REFUSALS[case].words if word not in message] == [], message


def test_a_refused_update_leaves_everything_as_it_was_and_can_be_run_again(mail_host: Host) -> None:
    results, done = _refused(mail_host)
    assert len(results) == len(REFUSALS) and done.status == 0, done.output[-2000:]
    assert not [record for record in _zone(mail_host) if record.startswith(f"{mail_host.domain('plain')}.")]
    assert run(mail_host, _publish(mail_host, "plain")).results[0]["changed"]


def test_no_tsig_secret_is_shown(mail_host: Host) -> None:
    output = _refused(mail_host)[1].output
    secrets = [tsig_secret(mail_host.tsig_name), tsig_secret("lab-weak"), base64.b64encode(b"x" * 32).decode()]
    assert [secret for secret in secrets if secret in output] == []
    log = mail_host.bash("journalctl --no-pager -o cat; cat /var/log/mail-domains.log").stdout
    assert [secret for secret in secrets if secret in log] == []


def test_a_second_spf_record_is_never_made(mail_host: Host) -> None:
    name = mail_host.domain("plain")
    _domains(mail_host)
    run(mail_host, _publish(mail_host, "plain"))
    update(mail_host, f"delete {name} TXT", f'add {name} 2 TXT "v=spf1 ip4:192.0.2.1 -all"', f"delete {name} MX")
    message = run_failing(mail_host, _publish(mail_host, "plain"))
    assert name in message and "v=spf1 ip4:192.0.2.1 -all" in message and f"a:{mail_host.fqdn}" in message, message
    assert texts(name) == ["v=spf1 ip4:192.0.2.1 -all"]
    assert _dig(name, "MX") == [], "half of the records were published"


# --- withdrawn


def test_records_are_withdrawn_only_on_demand_and_only_ours(mail_host: Host) -> None:
    _published(mail_host)
    name = mail_host.domain("long")
    message = run_failing(mail_host, _publish(mail_host, "long", state="absent"))
    assert "withdraw_dns" in message, message
    withdrawal = _publish(mail_host, "long", state="absent", withdraw_dns=True)
    before = _zone(mail_host)
    checked = run(mail_host, withdrawal, options=["--check"]).results[0]
    assert _zone(mail_host) == before and checked["changed"]
    assert run(mail_host, withdrawal).results[0]["changes"] == checked["changes"]
    left = sorted(record for record in _zone(mail_host) if record.split()[0].endswith(f"{name}."))
    assert left == [f'{name}. 2 IN TXT "{FOREIGN}"']


def test_records_stay_while_the_mail_goes_elsewhere(mail_host: Host) -> None:
    _published(mail_host)
    name = mail_host.domain("pair")
    update(mail_host, f"delete {name} MX", f"add {name} 2 MX 10 mx.test.")
    before = _zone(mail_host)
    done = run(mail_host, _publish(mail_host, "pair", state="absent", withdraw_dns=True))
    assert not done.results[0]["changed"] and _zone(mail_host) == before
    warning = " ".join(done.output.partition("[WARNING]")[2].split())
    assert name in warning and "mx.test" in warning, done.output


def test_a_removed_domain_leaves_its_records(mail_host: Host) -> None:
    """Neither removing nor pruning withdraws anything."""
    _domains(mail_host)
    before = _zone(mail_host)
    declared = mail_domains(domains="{{ mail_domains_list }}", prune=True, prune_limit="100%", removed_mail="delete")
    assert run(mail_host, declared).results[0]["counts"]["domains"]["removed"] >= 5
    assert _zone(mail_host) == before
    for label in ("long", "pair", "plain"):
        withdraw(mail_host, label)
    assert json.dumps(sorted(_zone(mail_host))).count(f"pair.{mail_host.zone}") == 0
