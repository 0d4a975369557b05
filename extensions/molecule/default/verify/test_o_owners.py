# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A shared host: two resellers, five owners, forty domains. Who sees and may do what, tried with every module; suspending; limits."""

from __future__ import annotations

import imaplib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from hosts import Host, once
from lab import wait_until
from mail import letter, login, send_and_find, send_one
from sessions import imap, may_log_in, smtp
from test_8_modules import HASH

from playbooks import Run, Task, mail_domain, mail_domains, mailbox, run, start

# Owner -> its reseller, and eight domains each.
OWNERS = {"kim": "webfactory", "lee": "webfactory", "max": "agency", "noa": "agency", "oli": ""}
NUMBER = 8
NOT_AVAILABLE = "not available to you"


def _name(host: Host, owner: str, number: int) -> str:
    return host.domain(f"own-{owner}{number}")


def _names(host: Host, owner: str) -> list[str]:
    return [_name(host, owner, number) for number in range(NUMBER)]


def _info(**options: Any) -> Task:
    return {"fleetpost.mail.mail_domain_info": {"subset": [], **options}}


def _delegated(host: Host, owner: str) -> list[str]:
    return [host.domain(f"own-{owner}-new"), f"*.{_name(host, owner, 0)}"]


@once
def _shared(host: Host) -> None:
    """Makes the owners and their domains."""
    domains = [
        {"name": name, "owner": owner, "mailboxes": [{"name": "info", "password_hash": HASH, "quota": "100M"}]}
        for owner in OWNERS
        for name in _names(host, owner)
    ]
    owners = [
        {
            "name": owner,
            "reseller": reseller,
            "max_domains": NUMBER + 1,
            "max_mailbox_quota": "1G",
            "delegated_domains": _delegated(host, owner),
            "outgoing_limit": 3 if owner == "noa" else 0,
            "allowed_ips": ["192.0.2.0/24"],
        }
        for owner, reseller in OWNERS.items()
    ]
    run(host, mail_domains(domains=domains, owners=owners))


SEEN = {
    "kim": {"kim"},
    "lee": {"lee"},
    "max": {"max"},
    "noa": {"noa"},
    "oli": {"oli"},
    "webfactory": {"kim", "lee"},
    "agency": {"max", "noa"},
    "somebody": set(),
    "root": set(OWNERS),
}


@once
def _views(host: Host) -> dict[str, dict[str, Any]]:
    _shared(host)
    names = [f"own-*.{host.zone}"]
    done = run(host, *(_info(acting_as=user, names=names) for user in SEEN))
    return dict(zip(SEEN, done.results))


@pytest.mark.parametrize("user", SEEN)
def test_a_user_sees_its_own_domains_and_those_of_its_customers(mail_host: Host, user: str) -> None:
    view = _views(mail_host)[user]
    expected = sorted(name for owner in SEEN[user] for name in _names(mail_host, owner))
    assert [entry["name"] for entry in view["domains"]] == expected
    assert [entry["name"] for entry in view["status"]] == expected
    assert {owner["name"] for owner in view["owners"]} == SEEN[user]


def test_the_domains_of_a_reseller_can_be_asked_for(mail_host: Host) -> None:
    _shared(mail_host)
    done = run(mail_host, _info(reseller="agency"), _info(reseller="agency", owner="noa", enabled=True), _info(owner="lee", enabled=False))
    assert [len(result["status"]) for result in done.results] == [2 * NUMBER, NUMBER, 0]


class Attempt(NamedTuple):
    """What kim tries: a module's task, in which MINE, THEIRS, NOBODYS and FREE stand for names of domains."""

    what: str
    module: str
    options: dict[str, Any]


ATTEMPTS = [
    Attempt("change another's domain", "mail_domain", {"name": "THEIRS", "enabled": False}),
    Attempt("change a domain of no owner", "mail_domain", {"name": "NOBODYS", "enabled": False}),
    Attempt("remove another's domain", "mail_domain", {"name": "THEIRS", "state": "absent", "removed_mail": "delete"}),
    Attempt("take another's domain", "mail_domain", {"name": "THEIRS", "owner": "kim"}),
    Attempt("give a domain away", "mail_domain", {"name": "MINE", "owner": "lee"}),
    Attempt("create a domain that is not delegated", "mail_domain", {"name": "FREE"}),
    Attempt("create a domain below another's", "mail_domain", {"name": "www.THEIRS"}),
    Attempt("create a domain below the host", "mail_domain", {"name": "www.HOST"}),
    Attempt("become the host", "mail_domain", {"name": "HOST"}),
    Attempt("suspend", "mail_domain", {"name": "MINE", "suspended": True}),
    Attempt("lift a suspension", "mail_domain", {"name": "MINE", "suspended": False}),
    Attempt("another file tree", "mail_domain", {"name": "MINE", "root": "/srv"}),
    Attempt("another layout", "mail_domain", {"name": "MINE", "layout": "redhat"}),
    Attempt("archive elsewhere", "mail_domain", {"name": "MINE", "state": "absent", "removed_mail": "archive", "archive_dir": "/home/kim"}),
    Attempt(
        "a file as certificate",
        "mail_domain",
        {"name": "MINE", "ssl": {"provider": "provided", "certificate_path": "/etc/shadow", "private_key_path": "/etc/shadow"}},
    ),
    Attempt("a certificate for another's name", "mail_domain", {"name": "MINE", "ssl": {"alias": "mail.THEIRS"}}),
    Attempt("a certificate for a further name outside", "mail_domain", {"name": "MINE", "ssl": {"alternative_names": ["www.bank.test"]}}),
    Attempt(
        "an authority of her own",
        "mail_domain",
        {"name": "MINE", "ssl": {"provider": "acme", "acme_directory": "https://192.0.2.1/dir", "terms_agreed": True}},
    ),
    Attempt("defaults for certificates", "mail_domain", {"name": "MINE", "ssl_defaults": {"webroot": "/home/kim"}}),
    Attempt("many domains, one of them another's", "mail_domains", {"domains": [{"name": "MINE"}, {"name": "THEIRS"}]}),
    Attempt("prune", "mail_domains", {"domains": [{"name": "MINE"}], "prune": True, "prune_limit": "100%"}),
    Attempt("owners beside domains", "mail_domains", {"domains": [], "owners": [{"name": "kim", "max_domains": -1}]}),
    Attempt("a file of the controller", "mail_domains", {"src": "/etc/passwd"}),
    Attempt("a file of the host", "mail_domains", {"src": "/root/export.json", "remote_src": True}),
    Attempt("suspended in an entry", "mail_domains", {"domains": [{"name": "MINE", "suspended": False}]}),
    Attempt("a mailbox of another's domain", "mailbox", {"address": "new@THEIRS", "password_hash": HASH}),
    Attempt("another's password", "mailbox", {"address": "info@THEIRS", "password": "hers now", "update_password": "always"}),
    Attempt("remove another's mailbox", "mailbox", {"address": "info@THEIRS", "state": "absent", "removed_mail": "delete"}),
    Attempt("send as another", "mailbox", {"address": "info@MINE", "senders": ["info@THEIRS"]}),
    Attempt("send as a bank", "mailbox", {"address": "info@MINE", "senders": ["*@bank.test"]}),
    Attempt("another's signature", "mail_domain_dkim", {"domain": "THEIRS", "state": "absent"}),
    Attempt("another's certificate", "mail_domain_cert", {"domain": "THEIRS", "state": "absent"}),
    Attempt("the host's certificate", "mail_domain_cert", {"domain": "HOST", "valid_days": 1}),
    Attempt("another's records", "mail_domain_dns", {"domains": ["THEIRS"], "state": "verified"}),
    Attempt("name servers of her own", "mail_domain_dns", {"domains": ["MINE"], "resolvers": ["192.0.2.1"]}),
    Attempt("her limits", "mail_owner", {"name": "kim", "max_domains": -1}),
    Attempt("another's limits", "mail_owner", {"name": "lee", "max_domains": 0}),
    Attempt("a copy of everything", "mail_domain_info", {"export_file": "/home/kim/all.json"}),
]


def _filled(host: Host, text: str) -> str:
    names = {"MINE": _name(host, "kim", 0), "THEIRS": _name(host, "lee", 0), "NOBODYS": host.domain("reject")}
    names.update(FREE=host.domain("own-nobody"), HOST=host.fqdn)
    for word, name in names.items():
        text = text.replace(word, name)
    return text


def _as_kim(host: Host, attempt: Attempt) -> Task:
    options = json.loads(_filled(host, json.dumps(attempt.options)))
    return {f"fleetpost.mail.{attempt.module}": {**options, "acting_as": "kim"}, "ignore_errors": True}


class Tried(NamedTuple):
    results: list[dict[str, Any]]
    tables_before: dict[str, str]
    tables_after: dict[str, str]
    log: list[dict[str, Any]]


def _try_all(host: Host, tasks: Sequence[Task]) -> Run:
    return start(host, tasks).finish()


@once
def _tried(host: Host) -> Tried:
    _shared(host)
    before = host.tables()
    lines = len(host.run("cat", "/var/log/mail-domains.log").stdout.splitlines())
    done = _try_all(host, [_as_kim(host, attempt) for attempt in ATTEMPTS])
    log = [json.loads(line) for line in host.run("cat", "/var/log/mail-domains.log").stdout.splitlines()[lines:]]
    return Tried(done.results, before, host.tables(), log)


@pytest.mark.parametrize("number", range(len(ATTEMPTS)), ids=[attempt.what for attempt in ATTEMPTS])
def test_an_attempt_to_break_out_is_refused(mail_host: Host, number: int) -> None:
    results = _tried(mail_host).results
    assert len(results) == len(ATTEMPTS)
    assert NOT_AVAILABLE in results[number]["msg"]
    assert not results[number]["changed"]


def test_no_attempt_changed_anything(mail_host: Host) -> None:
    tried = _tried(mail_host)
    assert tried.tables_before == tried.tables_after
    assert mail_host.run("ls", "/home/kim").stdout == ""


def test_every_attempt_that_reached_the_host_is_logged(mail_host: Host) -> None:
    log = [line for line in _tried(mail_host).log if line["action"] == "refuse"]
    on_host = [attempt for attempt in ATTEMPTS if attempt.options.get("src") is None]
    assert {line["acting_as"] for line in log} == {"kim"}
    assert len(log) >= len(on_host)


def test_whether_anothers_domain_is_there_cannot_be_told(mail_host: Host) -> None:
    _shared(mail_host)
    theirs, nowhere, mine = _name(mail_host, "lee", 0), mail_host.domain("own-nowhere"), _name(mail_host, "kim", 1)
    asked = [
        task
        for name in (theirs, nowhere)
        for task in (
            mail_domain(name=name, acting_as="kim"),
            mail_domain(name=name, state="absent", acting_as="kim"),
            mailbox(address=f"x@{name}", password_hash=HASH, acting_as="kim"),
            mail_domain(name=mine, default_action="forward_to_domain", forward_to=name, acting_as="kim"),
        )
    ]
    messages = [result["msg"] for result in _try_all(mail_host, [{**task, "ignore_errors": True} for task in asked]).results]
    assert [text.replace(theirs, "X") for text in messages[:4]] == [text.replace(nowhere, "X") for text in messages[4:]]


def test_what_a_user_may_do_is_done(mail_host: Host) -> None:
    _shared(mail_host)
    kim, new = _name(mail_host, "kim", 2), _delegated(mail_host, "kim")[0]
    done = run(
        mail_host,
        mail_domain(name=new, greylisting=True, acting_as="kim"),
        mailbox(address=f"info@{new}", password_hash=HASH, quota="1G", acting_as="kim"),
        mail_domain(name=kim, owner="lee", acting_as="webfactory"),
        mail_domain(name=kim, owner="kim", acting_as="webfactory"),
        mail_domain(name=new, acting_as="kim", state="absent", removed_mail="delete"),
        mail_domain(name=new, acting_as="kim", state="absent"),
    )
    assert [result["changed"] for result in done.results] == [True] * 5 + [False]
    assert done.results[0]["counts"]["domains"]["total"] == NUMBER + 1


def test_limits_stop_the_whole_run(mail_host: Host) -> None:
    _shared(mail_host)
    before = mail_host.tables()
    zone = _name(mail_host, "oli", 0)
    entries = [{"name": f"{word}.{zone}"} for word in ("a", "b", "c")]
    done = _try_all(mail_host, [mail_domains(domains=entries, acting_as="oli")])
    assert [error["where"] for error in done.results[0]["errors"]] == ["domains[1].name", "domains[2].name"]
    boxes = [{"name": "big", "password_hash": HASH, "quota": "2G"}]
    done = _try_all(
        mail_host, [mail_domain(name=zone, ip_addresses=[mail_host.ip4]), mail_domains(domains=[{"name": zone, "mailboxes": boxes}])]
    )
    assert "may not send from" in done.results[0]["msg"]
    done = _try_all(mail_host, [mail_domains(domains=[{"name": zone, "mailboxes": boxes}])])
    assert "may have 1G" in done.results[0]["msg"]
    assert mail_host.tables() == before


def _has_ended(session: imaplib.IMAP4) -> bool:
    try:
        session.noop()
    except (imaplib.IMAP4.abort, OSError):
        return True
    return False


def test_a_suspended_domain_is_off_until_the_administrator_says(mail_host: Host) -> None:
    _shared(mail_host)
    name = _name(mail_host, "max", 0)
    user = f"info@{name}"
    open_imap, open_smtp = imap(mail_host, user), smtp(mail_host, user)
    run(mail_host, mail_domain(name=name, suspended=True, suspended_reason="invoice 4711 is not paid"))
    wait_until("the end of the session", lambda: _has_ended(open_imap))
    assert send_one(letter(mail_host, user)).answer.startswith("550 5.2.1")
    assert not may_log_in(mail_host, 993, user) and not may_log_in(mail_host, 587, user)
    assert open_smtp.docmd("MAIL", f"FROM:<{user}>")[0] == 550
    done = run(mail_host, mail_domain(name=name, enabled=True, acting_as="max"), _info(names=[name], acting_as="max"))
    assert not done.results[0]["changed"]
    assert done.results[1]["status"][0]["suspended_reason"] == "invoice 4711 is not paid"
    assert send_one(letter(mail_host, user)).answer.startswith("550 5.2.1")
    run(mail_host, mail_domain(name=name, suspended=False))
    (sent,) = send_and_find(mail_host, [letter(mail_host, user)])
    assert sent.places == [mail_host.short(user)]
    assert may_log_in(mail_host, 993, user)


def test_all_domains_of_an_owner_share_its_outgoing_limit(mail_host: Host) -> None:
    _shared(mail_host)
    answers = []
    for number in (0, 1, 2, 3, 0):
        user = f"info@{_name(mail_host, 'noa', number)}"
        answers.append(send_one(letter(mail_host, "x@sink.test", *login(user), sender=user)).answer[:3])
    assert answers == ["250", "250", "250", "451", "451"]
    assert any("outgoing limit of noa" in line for line in mail_host.log().splitlines())
    other = f"info@{_name(mail_host, 'max', 1)}"
    assert send_one(letter(mail_host, "x@sink.test", *login(other), sender=other)).answer.startswith("250")
