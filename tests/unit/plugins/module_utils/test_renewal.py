# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hook does with what certbot has renewed, also when it dies on the way, and how an installation is taken back."""

from __future__ import annotations

import itertools
import json
import os

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _audit_log, _install, _renewal
from ansible_collections.fleetpost.mail.plugins.module_utils._acme import ORDERING
from ansible_collections.fleetpost.mail.plugins.module_utils._certificates import pair_of
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from ansible_collections.fleetpost.mail.plugins.module_utils._renewal import install_renewed
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import NAME, issued
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.certificate_world import (
    ACME,
    DOMAIN,
    both,
    dovecot,
    exim,
    files,
    ready_for_acme,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_certbot import keep
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import EXIM_GID, UNSTABLE, FakeHost
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.test_interrupted import dies_at

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root"),
    pytest.mark.usefixtures("quick_disk"),
]

NAMES = (NAME, "mail.b.test")
RENEWED = {"version": 2, "key": ("ecdsa256", 8), "days": (-0.1, 89)}


def start(root):
    """A host with two certificates of an authority and one of its own."""
    host = FakeHost(root)
    ready_for_acme(host)
    for name in NAMES:
        keep(host, name)
    host.domains({"name": DOMAIN, "ssl": ACME}, {"name": "b.test", "ssl": ACME}, {"name": "c.test", "ssl": {}})
    return host


@pytest.fixture
def certified(tmp_path):
    return start(tmp_path)


def renewed(host, **failed):
    return install_renewed(Tree(str(host.root)), host.layout, 20.0, failed)


def content_of(name, pair):
    return f"# fleetpost.mail certificate {name}\n".encode() + pair


# what is installed


def test_what_certbot_renewed_is_installed_for_both_servers(certified):
    new = keep(certified, NAME, **RENEWED)
    other = both(certified, "mail.b.test")
    assert renewed(certified) == [NAME]
    assert both(certified) == content_of(NAME, new)
    assert both(certified, "mail.b.test") == other
    assert certified.owner(exim(certified)) == (0, EXIM_GID, 0o640)
    assert certified.owner(dovecot(certified)) == (0, 0, 0o600)
    assert renewed(certified) == []


def test_an_unchanged_call_writes_nothing(certified):
    before = certified.entries("/run/mail-domains.lock")
    assert renewed(certified) == []
    assert certified.entries("/run/mail-domains.lock") == before


def test_the_run_after_the_hook_has_nothing_to_do(certified):
    keep(certified, NAME, **RENEWED)
    renewed(certified)
    assert not certified.domains({"name": DOMAIN, "ssl": ACME}, {"name": "b.test", "ssl": ACME}).changed


def test_what_was_installed_is_in_the_log(certified):
    keep(certified, NAME, **RENEWED)
    renewed(certified)
    last = json.loads(certified.text("/var/log/mail-domains.log").splitlines()[-1])
    assert (last["action"], last["detail"]) == ("install certificate", NAME)


@pytest.mark.parametrize("of", [exim, dovecot])
@pytest.mark.parametrize("broken", [None, "nonsense"])
def test_a_copy_that_is_missing_or_broken_is_mended(certified, of, broken):
    right = both(certified)
    certified.path(of(certified)).unlink()
    if broken:
        certified.write(of(certified), broken)
    assert renewed(certified) == [NAME]
    assert both(certified) == right


@pytest.mark.parametrize(
    "how",
    [
        {"server": "https://elsewhere.test/dir"},
        {"days": (-90, -1)},
        {"key": ("rsa1024", 0)},
        {"issuer": "other"},
        {"link": "nowhere"},
    ],
    ids=["another authority", "expired", "weak", "wrong chain", "no link of certbot's"],
)
def test_what_no_server_should_show_is_not_installed(certified, how):
    before = both(certified)
    keep(certified, NAME, **{**RENEWED, **how})
    assert renewed(certified) == []
    assert both(certified) == before


def test_a_certificate_with_a_name_missing_is_not_installed(certified):
    before = both(certified)
    keep(certified, NAME, "imap.example.com", **RENEWED)
    assert renewed(certified) == []
    assert both(certified) == before


def test_only_certificates_of_our_own_table_are_looked_at(certified):
    keep(certified, "www.example.com")
    keep(certified, "mail.c.test")
    keep(certified, "../../outside", "x.test")
    before = certified.entries(*UNSTABLE, "/etc/letsencrypt")
    assert renewed(certified) == []
    assert certified.entries(*UNSTABLE, "/etc/letsencrypt") == before
    assert files(certified) == sorted([*NAMES, "mail.c.test"])


def test_a_host_without_a_table_has_nothing_to_install(tmp_path):
    assert renewed(FakeHost(tmp_path)) == []


def test_failures_are_noted_and_taken_back(certified):
    moment = "20261126T221819Z"
    rest = [line for line in certified.table("certificates") if not line.startswith(f"{NAME}:")]
    renewed(certified, **{NAME: moment})
    assert certified.table("certificates")[-1].endswith(f" failed={moment}")
    assert certified.owner(certified.layout.certificates) == (0, EXIM_GID, 0o640)
    renewed(certified, **{"mail.b.test": ""})
    assert certified.table("certificates")[-1].endswith(f" failed={moment}")
    renewed(certified, **{NAME: ""})
    assert not [line for line in certified.table("certificates") if "failed=" in line]
    assert [line for line in certified.table("certificates") if not line.startswith(f"{NAME}:")] == rest


def test_comments_and_unknown_fields_of_the_table_stay(certified):
    line = f"{NAME}: cert={NAME} provider=acme"
    text = certified.text(certified.layout.certificates).replace(line, f"# mine\n{line} note=x")
    certified.write(certified.layout.certificates, text)
    renewed(certified, **{NAME: "20261126T221819Z"})
    after = certified.text(certified.layout.certificates)
    assert f"# mine\n{line} key=" in after
    assert after.endswith(" failed=20261126T221819Z note=x\n")


# the command


def test_the_command_does_nothing_while_a_run_orders(monkeypatch):
    monkeypatch.setenv(ORDERING, "yes")
    monkeypatch.setattr(_renewal, "Tree", None)
    assert _renewal.main([]) == 0


def test_the_command_says_what_it_installed_and_what_is_wrong(certified, monkeypatch, capsys):
    monkeypatch.setattr(_renewal, "Tree", lambda: Tree(str(certified.root)))
    certified.write("/etc/os-release", "ID=debian\n")
    keep(certified, NAME, **RENEWED)
    assert _renewal.main([]) == 0
    assert capsys.readouterr().out == f"installed the certificate {NAME}\n"
    certified.write(certified.layout.certificates, "nonsense\n")
    assert _renewal.main([]) == 1
    assert "certificates:1" in capsys.readouterr().err


# interrupted


def test_a_renewal_that_dies_anywhere_leaves_old_or_new_pairs_and_the_next_one_completes_it(tmp_path):
    for event in itertools.count():
        host = start(tmp_path / str(event))
        old = {name: both(host, name) for name in NAMES}
        new = {name: content_of(name, keep(host, name, **RENEWED)) for name in NAMES}
        died = dies_at(event, lambda host=host: renewed(host))
        for name, of in itertools.product(NAMES, (exim, dovecot)):
            content = host.path(of(host, name)).read_bytes()
            assert content in (old[name], new[name])
            assert pair_of(content).covers(name)
        renewed(host)
        assert {name: both(host, name) for name in NAMES} == new
        assert not [name for name in host.entries() if "fleetpost-" in name and "letsencrypt" not in name]
        if not died:
            assert event > 4
            return


CASES = {
    "create": lambda host: host.domains({"name": "d.test", "ssl": {"alternative_names": ["imap.d.test"]}}),
    "alias": lambda host: host.domains({"name": "c.test", "ssl": {"alias": "smtp.c.test"}}),
    "further": lambda host: host.domains({"name": "c.test", "ssl": {"alias": "smtp.c.test", "alternative_names": ["mail.c.test"]}}),
    "remove": lambda host: host.certificate("c.test", state="absent"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_dies_anywhere_never_names_a_file_that_is_not_there(tmp_path, case):
    """Dovecot does not start with a name whose file is missing; Exim would turn clients away."""
    for event in itertools.count():
        host = start(tmp_path / str(event))
        died = dies_at(event, lambda host=host: CASES[case](host))
        for line in host.text(host.layout.names).splitlines():
            if "_file = " in line:
                pair_of(host.path(line.rpartition(" ")[2]).read_bytes())
        for line in (line for line in host.table("certificates") if "removing=yes" not in line):
            pair_of(host.path(exim(host, line.partition("cert=")[2].partition(" ")[0])).read_bytes())
        CASES[case](host)
        assert not CASES[case](host).changed
        assert files(host) == sorted({line.partition("cert=")[2].partition(" ")[0] for line in host.table("certificates")})
        assert not [name for name in host.entries() if ".fleetpost-" in name]
        if not died:
            assert event > 2
            return


# taken back


class HostTree(Tree):
    """A tree that is taken for the running host, and whose files are its own all the same."""

    def __init__(self, root):
        super().__init__(root)
        self.is_host = True

    def open_directory(self, path):
        self.is_host = False
        try:
            return super().open_directory(path)
        finally:
            self.is_host = True


@pytest.fixture
def running(certified, monkeypatch):
    """A fake host whose Dovecot refuses what `refuses` says."""
    refuses = []
    monkeypatch.setattr(_install, "configuration_problem", lambda: refuses[0] if refuses else "")
    reloads = []
    monkeypatch.setattr(_install, "reload_dovecot", lambda: reloads.append(None))
    monkeypatch.setattr(_audit_log, "append", lambda *_arguments: None)
    return certified, HostTree(str(certified.root)), refuses, reloads


def test_what_dovecot_refuses_is_taken_back_to_the_byte(running):
    host, tree, refuses, _reloads = running
    refuses.append("ssl_server_cert_file: no start line")
    before = host.entries("/run")
    new = host.layout.dovecot_certificate("new.test")
    changes = [
        (new, issued(), Ownership(0, 0, 0o600)),
        (dovecot(host), b"other", Ownership(0, 0, 0o600)),
        (host.layout.names, b"x", Ownership(0, 0, 0o644)),
    ]
    with pytest.raises(MailError, match="no start line") as error:
        _install.install_for_dovecot(tree, host.layout, changes)
    assert "the old ones are back" in str(error.value)
    assert host.entries("/run") == before


def test_that_dovecot_refused_its_configuration_before_is_said(running):
    host, tree, refuses, _reloads = running
    refuses.append("unknown setting")
    with pytest.raises(MailError, match="did so before"):
        _install.install_for_dovecot(tree, host.layout, [(dovecot(host), b"other", Ownership(0, 0, 0o600))])


def test_what_is_installed_is_shown_once_and_a_run_that_died_before_leaves_word(running):
    host, tree, _refuses, reloads = running
    _install.install_for_dovecot(tree, host.layout, [(dovecot(host), issued(), Ownership(0, 0, 0o600))])
    assert host.path(host.layout.reload_marker).exists()
    assert host.path(dovecot(host)).read_bytes() == issued()
    _install.show_certificates(tree, host.layout)
    assert len(reloads) == 1
    assert not host.path(host.layout.reload_marker).exists()


def test_a_hook_reloads_what_a_run_that_died_did_not(running):
    host, tree, _refuses, reloads = running
    host.write(host.layout.reload_marker, "")
    assert install_renewed(tree, host.layout, 20.0) == []
    assert len(reloads) == 1
    assert not host.path(host.layout.reload_marker).exists()


def test_a_renewal_that_dovecot_refuses_reaches_neither_server(running):
    host, tree, refuses, reloads = running
    before = both(host)
    keep(host, NAME, **RENEWED)
    refuses.append("bad certificate")
    with pytest.raises(MailError, match="bad certificate"):
        install_renewed(tree, host.layout, 20.0)
    assert both(host) == before
    assert reloads == []


def test_in_a_tree_dovecot_is_asked_nothing(certified, monkeypatch):
    monkeypatch.setattr(_install, "configuration_problem", None)
    monkeypatch.setattr(_install, "reload_dovecot", None)
    keep(certified, NAME, **RENEWED)
    assert renewed(certified) == [NAME]
    assert not certified.path(certified.layout.reload_marker).exists()
