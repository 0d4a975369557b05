# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds for every host that can be declared: told back it changes nothing, and no secret is ever shown."""

from __future__ import annotations

import json
import os
import re
import tempfile
from pathlib import Path

import pytest
import yaml
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_domains
from ansible_collections.fleetpost.mail.plugins.module_utils._declared import Declaration
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._host_variables import host_variables
from ansible_collections.fleetpost.mail.plugins.module_utils._merge import merge
from ansible_collections.fleetpost.mail.plugins.module_utils._model import (
    Account,
    Facts,
    Host,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import key_pem, provided, secrets_of
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import FakeHost
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

MARKER = "s3cr3tmark"
PRIVATE_KEYS = [pem("ed25519", number) for number in range(3)]
NAMES = ["example.com", "example.net", "exämple.test", "例え.テスト", "straße.test", "sub.example.com"]
# Its usual name lies in another domain, which may be somebody else's.
NESTED = ["sub.example.com"]
LOCAL_PARTS = ["info", "first.last", "a-b_c", "7"]
OUTSIDE = ["a@agency.test", "First.Last+tag@agency.test", "x@xn--exmple-cua.org"]
HASHES = [f"{{BLF-CRYPT}}$2y$05${MARKER}{letter * 10}" for letter in "abc"]
ADDRESSES = ["192.0.2.10", "192.0.2.11", "2001:db8::10", "2001:DB8:0:0::11"]


def maybe(**options):
    """A dictionary with any of the options."""
    return st.fixed_dictionaries({}, optional=options)


def thresholds():
    """None, one or both; the one for rejecting is none or high enough for all."""
    return {
        "spam_threshold": st.sampled_from([0.1, 4, 7.5]),
        "spam_reject_threshold": st.sampled_from([0, 0.0, 8, 15.5]),
    }


def filter_options():
    switches = {name: st.booleans() for name in ("greylisting", "spamassassin", "antivirus")}
    return {
        **switches,
        **thresholds(),
        "spam_action": st.sampled_from(["junk", "tag", "reject"]),
        "outgoing_limit": st.sampled_from([0, 1, 200, 1000000]),
    }


SENDERS = ["Alice@Example.NET", "example.net", "*@example.net", ".example.net", "*@*.exämple.org", "x+y@agency.test"]
HOSTS = ["192.0.2.1", "192.0.2.1/32", "198.51.100.0/24", "2001:DB8::/32", "2001:db8:0::1"]


def list_options():
    senders, hosts = st.lists(st.sampled_from(SENDERS), max_size=4), st.lists(st.sampled_from(HOSTS), max_size=4)
    return {"allow_senders": senders, "block_senders": senders, "allow_hosts": hosts, "block_hosts": hosts}


@st.composite
def mailbox_entries(draw):
    names = draw(st.lists(st.sampled_from(LOCAL_PARTS), unique=True, max_size=4))
    entries = []
    for name in names:
        only_forwards = draw(st.booleans())
        entry = {"name": name, **draw(maybe(enabled=st.booleans()))}
        if only_forwards:
            entry |= {"forward_to": draw(st.lists(st.sampled_from(OUTSIDE), min_size=1, max_size=2)), "keep_copy": False}
        else:
            entry |= {"password_hash": draw(st.sampled_from(HASHES))}
            entry |= draw(
                maybe(
                    quota=st.sampled_from(["500M", "2g", "none", "0"]),
                    forward_to=st.lists(st.sampled_from(OUTSIDE), max_size=2),
                    keep_copy=st.booleans(),
                    senders=st.lists(st.sampled_from([*OUTSIDE, "*@example.net"]), max_size=2),
                    filters=maybe(**filter_options()),
                )
            )
        if draw(st.booleans()):
            entry["aliases"] = [f"{name}.{number}" for number in range(draw(st.integers(0, 3)))]
        entries.append(entry)
    return entries


@st.composite
def dkim_entries(draw):
    """Ed25519 keys, made or brought along: making RSA keys is slow."""
    if draw(st.integers(0, 4)) == 0:
        return {"state": "absent"}
    key = draw(st.sampled_from([{"key_type": "ed25519"}, *({"private_key": text} for text in PRIVATE_KEYS)]))
    how = {"selector": st.sampled_from(["dkim", "s2026", "s1.eu"]), "service_type": st.sampled_from(["email", "*"])}
    return {**key, **draw(maybe(**how, regenerate=st.sampled_from(["never", "fail", "always"])))}


@st.composite
def dmarc_entries(draw):
    if draw(st.booleans()):
        return draw(st.sampled_from([{}, {"state": "absent"}, {"template": "v=DMARC1; p=none; rua=mailto:{owner_email}; ri=3600"}]))
    options = {"subdomain_policy": st.just("none"), "pct": st.integers(0, 100), "aspf": st.just("s"), "adkim": st.just("r")}
    reports = st.lists(st.sampled_from(OUTSIDE), max_size=2, unique=True)
    return {"policy": draw(st.sampled_from(["none", "reject"])), **draw(maybe(**options, rua=reports, ruf=reports))}


SHARED = "secure.shared.test"
PROVIDED = {"alias": SHARED, **provided(SHARED)}


@st.composite
def ssl_entries(draw, name):
    """Certificates that are made, and one that several domains may share."""
    kind = draw(st.integers(0, 5))
    if kind < 2:
        return {"state": "absent"} if kind else PROVIDED
    further = st.lists(st.sampled_from([f"imap.{name}", f"*.{name}", f"{name}.elsewhere.test"]), max_size=3)
    how = {"key_size": st.sampled_from([256, 384]), "valid_days": st.integers(100, 4000), "renew_before_days": st.integers(1, 60)}
    return draw(maybe(alias=st.sampled_from([f"mail.{name}", f"smtp.{name}"]), alternative_names=further, **how))


@st.composite
def declarations(draw, signing=True):
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1, max_size=4))
    entries = []
    for name in names:
        entry = {"name": name}
        entry |= draw(
            maybe(
                owner=st.sampled_from(["alice", "bob", "vmail"]),
                enabled=st.booleans(),
                suspended=st.booleans(),
                disabled_action=st.sampled_from(["reject", "defer", "accept"]),
                ip_addresses=st.lists(st.sampled_from(ADDRESSES), max_size=3),
                mailboxes=mailbox_entries(),
                dmarc=dmarc_entries(),
                **filter_options(),
                **list_options(),
                **({"dkim": dkim_entries(), **({} if name in NESTED else {"ssl": ssl_entries(name)})} if signing else {}),
            )
        )
        action = draw(st.sampled_from([None, "reject", "discard", "forward_to_address", "forward_to_domain"]))
        others = [other for other in names if other != name]
        if action == "forward_to_address":
            entry |= {"default_action": action, "forward_to": draw(st.sampled_from(OUTSIDE))}
        elif action == "forward_to_domain" and others:
            entry |= {"default_action": action, "forward_to": draw(st.sampled_from(others))}
        elif action in ("reject", "discard"):
            entry["default_action"] = action
        if not any(box.get("filters") for box in entry.get("mailboxes") or ()):
            entry |= draw(maybe(mailbox_filters=st.booleans()))
        entries.append(entry)
    return entries


def attempt(host, entries, **options):
    """What a run says, be it only that a forward would lose its target; never the host itself, which holds the hashes."""
    try:
        outcome = host.domains(*entries, **options)
    except MailErrors as error:
        return str(error)
    return outcome._replace(warnings=[], failures=list(outcome.failures), desired=None)


def made(host, entries):
    """The host after a run that is known to go well: no key is asked for where none may be made."""
    for entry in entries:
        if "dkim" in entry and "private_key" not in entry["dkim"]:
            entry["dkim"].pop("regenerate", None)
    return host.domains(*entries)


quick = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@quick
@given(declarations())
def test_what_info_tells_changes_nothing_when_it_is_declared(entries):
    with tempfile.TemporaryDirectory() as directory:
        host = FakeHost(Path(directory))
        made(host, entries)
        outcome = host.domains(*host.info(with_use=False).domains)
        assert (outcome.changed, outcome.actions, outcome.diff) == (False, [], [])


@quick
@given(declarations())
def test_what_info_tells_is_the_whole_host_so_that_pruning_by_it_removes_nothing(entries):
    with tempfile.TemporaryDirectory() as directory:
        host = FakeHost(Path(directory))
        made(host, entries)
        outcome = host.domains(*host.info(with_use=False).domains, prune=True, prune_limit="0")
        assert (outcome.changed, outcome.actions) == (False, [])


@quick
@given(declarations())
def test_what_is_exported_makes_the_same_host_elsewhere(entries):
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        host, copy = FakeHost(Path(one)), FakeHost(Path(other))
        # The key of a certificate that was given as text is in no export.
        entries = [{**entry, "ssl": {}} if entry.get("ssl") is PROVIDED else entry for entry in entries]
        made(host, entries)
        assert host.info(with_use=False, export_file="/etc/export.json").changed
        copy.domains(*json.loads(host.text("/etc/export.json"))["domains"])
        for table in ("domains", *host.layout.domain_lists, "addresses", "disabled_domains", "certificates"):
            assert copy.table(table) == host.table(table)
        assert [line.replace(one, "") for line in copy.table("users")] == host.table("users")


def with_secrets(value, secrets):
    """A value as Ansible would template it that knows the variables `secrets`."""
    if isinstance(value, dict):
        return {key: with_secrets(one, secrets) for key, one in value.items()}
    if isinstance(value, list):
        return [with_secrets(one, secrets) for one in value]
    reference = re.fullmatch(r"\{\{ (\w+)(?:\['(.+)'\])? \}\}", value) if isinstance(value, str) else None
    if reference is None:
        return value
    secret = secrets[reference.group(1)]
    return secret[reference.group(2)] if reference.group(2) else secret


@quick
@given(declarations())
def test_what_is_saved_as_host_variables_changes_nothing(entries):
    with tempfile.TemporaryDirectory() as directory:
        host = FakeHost(Path(directory))
        made(host, entries)
        host.info(with_use=False, export_file="/etc/export.json")
        written = host_variables(json.loads(host.text("/etc/export.json")))
        assert MARKER not in written.variables
        saved = yaml.safe_load(written.variables)["mail_domains_host_list"]
        outcome = host.domains(*with_secrets(saved, yaml.safe_load(written.vault) if written.vault else {}))
        assert (outcome.changed, outcome.actions, outcome.diff) == (False, [], [])


@quick
@given(declarations())
def test_a_second_run_of_any_declaration_changes_nothing(entries):
    with tempfile.TemporaryDirectory() as directory:
        host = FakeHost(Path(directory))
        made(host, entries)
        outcome = host.domains(*entries)
        assert (outcome.changed, outcome.actions) == (False, [])


@quick
@given(declarations(), declarations())
def test_no_hash_and_no_private_key_is_in_what_any_two_runs_return(first, second):
    with tempfile.TemporaryDirectory() as directory:
        host = FakeHost(Path(directory))
        made(host, first)
        shown = [attempt(host, first), host.info(), attempt(host, second, check=True), attempt(host, second)]
        shown += [attempt(host, first, prune=True, prune_limit="100%", removed_mail="delete"), host.info()]
        everything = repr(shown) + host.text("/var/log/mail-domains.log")
        assert not [
            secret
            for secret in (MARKER, *(text.splitlines()[1] for text in PRIVATE_KEYS), *secrets_of([key_pem()]))
            if secret in everything
        ]


@quick
@given(declarations(), declarations())
def test_a_check_run_of_any_change_tells_what_the_run_does(first, second):
    with tempfile.TemporaryDirectory() as directory:
        host = FakeHost(Path(directory))
        made(host, first)
        options = {"prune": True, "prune_limit": "100%", "removed_mail": "delete"}
        checked, done = attempt(host, second, check=True, **options), attempt(host, second, **options)
        assert checked == done
        again = attempt(host, second, **options)
        assert again == done if isinstance(done, str) else not again.changed


def tables_of(host):
    """The lines of all tables; a lost key is the only thing that is another one afterwards, and no table holds it."""
    names = ("domains", *host.layout.domain_lists, "addresses", "users", "disabled_domains", "certificates")
    return {name: host.table(name) for name in names}


def has_lost_a_forward(before, after):
    """Whether a forward has become a mailbox, which is not undone in one step."""
    kinds = [{line.split()[0]: line.split()[1] for line in tables["addresses"]} for tables in (before, after)]
    return any(kind == "forward" and kinds[1].get(address) == "mailbox" for address, kind in kinds[0].items())


@quick
@given(declarations(), declarations(), st.booleans())
def test_going_back_to_before_a_run_makes_the_host_as_it_was(first, second, prunes):
    with tempfile.TemporaryDirectory() as directory:
        host = FakeHost(Path(directory))
        made(host, first)
        before, kept = tables_of(host), host.newest_generation
        # Kept mail has the second of its removal in its name, and a name is there once.
        everything = {"prune_limit": "100%", "removed_mail": "delete"}
        done = attempt(host, second, prune=prunes, **everything)
        if isinstance(done, str) or host.newest_generation == kept:
            return
        after = tables_of(host)
        if has_lost_a_forward(before, after):
            with pytest.raises(MailErrors):
                host.restore(kept + 1, prune_limit="100%")
            return
        checked, back = host.restore(kept + 1, check=True, **everything), host.restore(kept + 1, **everything)
        assert (checked.actions, checked.diff) == (back.actions, back.diff)
        assert tables_of(host) == before
        assert not host.restore(kept + 1, **everything).changed
        host.restore(kept + 2, **everything)
        assert tables_of(host) == after


FACTS = Facts(
    users={name: Account(uid, uid) for name, uid in {"alice": 1001, "bob": 1002, "vmail": 900}.items()},
    ip_addresses=None,
    host_names=frozenset(),
    dovecot="2.4",
    exim_gid=120,
    dovecot_gid=121,
)
EMPTY = Host({}, {}, {})


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(declarations(signing=False))
def test_merging_twice_is_merging_once(entries):
    declaration = declaration_of_domains(entries, {})
    once = merge(EMPTY, declaration, FACTS, {}).host
    assert merge(once, declaration, FACTS, {}).host == once


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(declarations(signing=False))
def test_declaring_nothing_leaves_every_host_as_it_is(entries):
    host = merge(EMPTY, declaration_of_domains(entries, {}), FACTS, {}).host
    assert merge(host, Declaration(), FACTS, {}).host == host
