# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What mail_domain_import makes of hosts that others set up."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from pathlib import Path

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_domains
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils import foreign_hosts
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import HASH
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.foreign_hosts import (
    CONF,
    RECORDS,
    ForeignHost,
    hestia_account,
    hestia_domain,
)
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KINDS = ["ispmanager", "hestia"]
EXIM = "/etc/exim4"


@pytest.fixture
def ispmanager(tmp_path):
    return lambda **files: ForeignHost(tmp_path, "ispmanager", **{f"{EXIM}/{name}": content for name, content in files.items()})


@pytest.fixture
def hestia(tmp_path):
    def with_records(domain="", account="", **files):
        found = ForeignHost(tmp_path, "hestia", **files)
        if domain or account:
            found.write({f"{RECORDS}/alice/mail.conf": domain or hestia_domain("example.com")})
            found.write({f"{RECORDS}/alice/mail/example.com.conf": account or hestia_account("info"), f"{CONF}/aliases": ""})
        return found

    return with_records


class TestBoth:
    @pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root")
    @pytest.mark.parametrize("kind", KINDS)
    def test_mail_domains_takes_what_is_found_and_changes_nothing_the_second_time(self, kind, host, tmp_path):
        foreign = ForeignHost(tmp_path / "foreign", kind)
        (foreign.root / "etc").mkdir(exist_ok=True)
        foreign.read(export_file="/etc/export.json")
        exported = json.loads((foreign.root / "etc/export.json").read_text())
        assert declaration_of_domains(exported["domains"], exported).errors == ()
        assert host.domains(*exported["domains"]).counts["domains"]["created"] == len(exported["domains"])
        assert not host.domains(*exported["domains"]).changed
        assert not host.domains(*exported["domains"], check=True).changed
        assert host.info().domains
        assert any(HASH in line for line in host.table("users"))

    @pytest.mark.skipif(os.geteuid() != 0, reason="ownership needs root")
    @pytest.mark.parametrize("kind", KINDS)
    def test_an_export_is_for_root_alone_and_written_once(self, kind, tmp_path):
        foreign = ForeignHost(tmp_path, kind)
        (tmp_path / "etc").mkdir(exist_ok=True)
        assert foreign.read(check=True, export_file="/etc/export.json")["changed"]
        assert not (tmp_path / "etc/export.json").exists()
        assert foreign.read(export_file="/etc/export.json")["changed"]
        assert not foreign.read(export_file="/etc/export.json")["changed"]
        assert stat.S_IMODE((tmp_path / "etc/export.json").stat().st_mode) == 0o600

    @pytest.mark.parametrize("kind", KINDS)
    def test_no_secret_is_in_a_result(self, kind, tmp_path):
        shown = json.dumps(ForeignHost(tmp_path, kind).read())
        for secret in (HASH, foreign_hosts.CRYPT, pem("ed25519", 0).split("\n")[1], pem("rsa2048", 0).split("\n")[1]):
            assert secret not in shown

    @pytest.mark.parametrize("option", ["exim_dir", "hestia_dir", "export_file"])
    def test_a_path_that_leads_elsewhere_is_refused(self, option, tmp_path):
        with pytest.raises(MailError) as caught:
            ForeignHost(tmp_path, "hestia").read(**{option: "/srv/../etc"})
        assert caught.value.where == option

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.data())
    def test_no_line_whatever_ends_a_run(self, data):
        junk = st.text(st.sampled_from("ab.@:,=' \"#\t\n{}*|/\\0é\x00\x7f\u2028$") | st.characters(codec="utf-8"), max_size=60)
        for kind in KINDS:
            with tempfile.TemporaryDirectory() as directory:
                foreign = ForeignHost(Path(directory), kind)
                files = sorted(path for path in foreign.root.rglob("*") if path.is_file())
                spoiled = data.draw(st.sampled_from(files))
                text = spoiled.read_text()
                place = data.draw(st.integers(0, len(text)))
                spoiled.write_text(text[:place] + data.draw(junk) + text[place:])
                found = foreign.read()
                assert declaration_of_domains(_with_hashes(found["domains"]), {}).errors == ()


def _with_hashes(entries):
    return [{**entry, "mailboxes": [{**box, "password_hash": HASH} for box in entry["mailboxes"]]} for entry in entries]


class TestIspmanager:
    def test_a_mailbox_with_its_aliases_and_its_copy(self, ispmanager):
        (info, press) = ispmanager().entry("example.com")["mailboxes"]
        assert info == {"name": "info", "quota": "500M", "aliases": ["sales"], "forward_to": ["copy@example.edu"]}
        assert press == {"name": "press", "forward_to": ["info@example.com", "agency@example.edu"], "keep_copy": False}

    def test_an_alias_in_another_domain_is_an_address_that_forwards(self, ispmanager):
        office = {"name": "office", "forward_to": ["info@example.com"], "keep_copy": False}
        assert ispmanager().entry("example.net")["mailboxes"] == [office]

    @pytest.mark.parametrize(
        ("value", "options"),
        [
            (":fail:::no", {}),
            (":fail: nobody here::no", {}),
            ("::no", {}),
            ("", {}),
            (":blackhole:::no", {"default_action": "discard"}),
            ("info@example.com::no", {"default_action": "forward_to_address", "forward_to": "info@example.com"}),
            ("a@example.edu", {"default_action": "forward_to_address", "forward_to": "a@example.edu"}),
            ("@example.com::no", {"default_action": "forward_to_domain", "forward_to": "example.com"}),
            (":fail:::yes", {"enabled": False}),
        ],
    )
    def test_mail_for_unknown_addresses(self, ispmanager, value, options):
        foreign = ispmanager(domains=f"example.com::fail:::no\nnew.example:{value}\n", domainips="", aliases="")
        assert foreign.entry("new.example") == {"name": "new.example", **options, "mailboxes": []}

    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ("nobody@example.com::no", "new.example sends mail for unknown addresses to nobody@example.com, which is not there"),
            ("@gone.example::no", "new.example sends mail for unknown addresses to gone.example, which is not there"),
            ("@new.example::no", "new.example sends mail for unknown addresses to new.example, which is not there"),
            (":defer:::no", "new.example answers mail for unknown addresses with :defer:"),
            (":fail: nobody here::no", "new.example tells senders to unknown addresses something of its own"),
            ("|/bin/cat::no", "'|/bin/cat' is not an address: it has no @"),
            ("/dev/null::no", "'/dev/null' is not an address: it has no @"),
            ("a@b.example,c@b.example::no", "new.example sends mail for unknown addresses to c@b.example as well"),
            ("${run{x}}@b.example::no", "no local part"),
            (":fail:::perhaps", "new.example: field 4 says 'perhaps', which is neither yes nor no"),
            (":fail::x:no", "new.example: field 3 says 'x', which is not known"),
        ],
    )
    def test_what_is_not_as_it_was_is_told(self, ispmanager, value, told):
        remarks = ispmanager(domains=f"example.com::fail:::no\nnew.example:{value}\n", aliases="").remarks()
        assert any(told in remark and remark.startswith(f"{EXIM}/domains:2: ") for remark in remarks), remarks

    @pytest.mark.parametrize(
        ("files", "told"),
        [
            ({"domains": "example.com::fail:::no\n-bad-.example:::no\n"}, f"{EXIM}/domains:2: '-bad-.example' is not a domain name"),
            ({"domains": "example.com::fail:::no\nEXAMPLE.com:::no\n"}, f"{EXIM}/domains:2: Exim never reads this line"),
            ({"domainips": "example.com:192.0.2.999\n"}, f"{EXIM}/domainips:1: '192.0.2.999' is not an IPv4 or IPv6 address"),
            ({"domainips": "gone.example:192.0.2.1\n"}, f"{EXIM}/domainips:1: gone.example is none of the domains"),
            ({"aliases": "a@gone.example:info@example.com\n"}, f"{EXIM}/aliases:1: gone.example is none of the domains"),
            ({"aliases": "# x\na b@example.com:info@example.com\n"}, f"{EXIM}/aliases:2: 'a' is not an address: it has no @"),
            ({"aliases": "a@example.com:nobody@example.com\n"}, f"{EXIM}/aliases:1: a@example.com forwards to nobody@example.com"),
            ({"aliases": "a@example.com:b@example.com\nb@example.com:a@example.com\n"}, "mail would go in a circle"),
            ({"aliases": "a@example.com::\n"}, f"{EXIM}/aliases:1: a@example.com goes nowhere"),
            ({"aliases": "a@example.com:info@example.com:fwd\n"}, f"{EXIM}/aliases:1: a@example.com: 'fwd' is no address"),
            ({"passwd": "info@example.com:1001:1001\n"}, f"{EXIM}/passwd:1: info@example.com has 2 fields"),
            ({"passwd": "new@example.com:1001:1001:0:/h:no:\n"}, f"{EXIM}/passwd:1: new@example.com has no password"),
            ({"passwd": "info@example.com:1001:1001:much:/h:no:\n"}, f"{EXIM}/passwd:1: the quota of info@example.com is 'much'"),
            (
                {"passwd": "info@example.com:77:77:0:/h:no:\n"},
                f"{EXIM}/passwd:1: info@example.com belongs to the uid '77', which is no user",
            ),
            ({"passwd": "info@example.com:1001:1001:0:/h:no:x\n"}, f"{EXIM}/passwd:1: info@example.com: field 7 says 'x'"),
            ({"ssl/example.com.private": "x"}, f"{EXIM}/ssl/example.com.private: the DKIM key of example.com cannot be used"),
            ({"ssl/example.com.txt": ""}, f"{EXIM}/ssl/example.com.private: nothing says under which selector example.com signs"),
            ({"ssl/example.com.crt": "x"}, f"{EXIM}/ssl/example.com.crt: example.com has a certificate"),
            ({"whitelist": "a@example.edu\n"}, f"{EXIM}/whitelist: senders and hosts that are always let through"),
            ({"domains": "# fleetpost.mail table domains format 1\n"}, f"{EXIM}/domains:1: this is a table of this collection"),
        ],
    )
    def test_every_line_that_is_not_taken_is_told_with_its_place(self, ispmanager, files, told):
        remarks = ispmanager(**files).remarks()
        assert any(told in remark for remark in remarks), remarks

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("S3cr3t\n", "/etc/dovecot/passwd:1: this line does not begin with an address and a colon"),
            ("{PLAIN}S3cr3t:info@example.com\n", "/etc/dovecot/passwd:1: this line does not begin with an address and a colon"),
            ("info@example.com:S3cr3t\n", "/etc/dovecot/passwd:1: the password of info@example.com: this is not a password hash"),
            ("info@example.com:{PLAIN}S3cr3t\n", "/etc/dovecot/passwd:1: the password of info@example.com: the scheme PLAIN keeps"),
        ],
    )
    def test_of_a_password_that_is_none_nothing_is_told(self, ispmanager, line, told):
        foreign = ispmanager()
        foreign.write({"/etc/dovecot/passwd": line})
        found = foreign.remarks()
        assert any(told in remark for remark in found), found
        assert not any("S3cr3t" in remark for remark in found)
        assert [box["name"] for box in foreign.entry("example.com")["mailboxes"]] == ["press"]

    @pytest.mark.parametrize(
        ("quota", "unit", "found"),
        [
            ("500", "M", "500M"),
            ("0", "M", None),
            ("", "M", None),
            ("2G", "M", "2G"),
            ("1025", "B", "2K"),
            ("1", "B", "1K"),
            ("7", "G", "7G"),
        ],
    )
    def test_quotas_have_a_unit(self, ispmanager, quota, unit, found):
        foreign = ispmanager(passwd=f"info@example.com:1001:1001:{quota}:/h:no:\n")
        assert foreign.entry("example.com", quota_unit=unit)["mailboxes"][0].get("quota") == found

    def test_a_domain_belongs_to_the_owner_of_most_of_its_mailboxes(self, ispmanager):
        foreign = ispmanager(
            passwd="".join(f"{name}@example.com:{uid}:1:0:/h:no:\n" for name, uid in (("a", 1002), ("info", 1001), ("b", 1001)))
        )
        assert foreign.entry("example.com")["owner"] == "alice"
        assert any("belong to alice, bob; here they all belong to alice" in remark for remark in foreign.remarks())

    def test_replies_and_scripts_are_told(self, ispmanager):
        foreign = ispmanager()
        home = "/var/www/alice/email/example.com/info"
        foreign.write({f"{home}/message.txt": "away", f"{home}/.dovecot.sieve": "keep;"})
        assert {f"{home}/message.txt", f"{home}/.dovecot.sieve"} <= {remark.partition(": ")[0] for remark in foreign.remarks()}

    def test_without_its_tables_it_is_an_error(self, tmp_path):
        with pytest.raises(MailError, match="there is no such table"):
            ForeignHost(tmp_path, "ispmanager").read(exim_dir="/etc/nowhere")

    def test_a_link_is_not_followed_and_told(self, ispmanager):
        foreign = ispmanager()
        (foreign.root / "etc/exim4/aliases").unlink()
        (foreign.root / "etc/exim4/aliases").symlink_to("/etc/hostname")
        assert any(remark.startswith(f"{EXIM}/aliases: is a symbolic link") for remark in foreign.remarks())


class TestHestia:
    def test_an_account_with_its_aliases_and_forwards(self, hestia):
        (info, old, press) = hestia().entry("example.com")["mailboxes"]
        assert info == {"name": "info", "quota": "1024M", "aliases": ["contact", "sales"], "forward_to": ["copy@example.edu"]}
        assert old == {"name": "old", "enabled": False}
        assert press == {"name": "press", "forward_to": ["info@example.com", "a@example.edu"], "keep_copy": False}

    def test_a_domain_with_its_filters_its_key_and_its_address(self, hestia):
        entry = hestia().entry("example.com")
        del entry["mailboxes"]
        assert entry == {
            "name": "example.com",
            "owner": "alice",
            "spamassassin": True,
            "spam_reject_threshold": 10.0,
            "antivirus": True,
            "default_action": "forward_to_address",
            "forward_to": "info@example.com",
            "ip_addresses": ["192.0.2.10"],
            "dkim": {"selector": "mail"},
        }

    def test_a_suspended_domain_is_suspended_and_its_accounts_go_on_with_it(self, hestia):
        entry = hestia().entry("example.net")
        assert (entry["suspended"], entry["mailboxes"]) == (True, [{"name": "desk", "filters": {"outgoing_limit": 50}}])

    def test_the_limit_of_an_account_goes_before_that_of_its_domain(self, hestia):
        foreign = hestia(hestia_domain("example.com", RATE_LIMIT="50"), hestia_account("a", RATE_LIMIT="7") + hestia_account("b"))
        assert [box["filters"]["outgoing_limit"] for box in foreign.entry("example.com")["mailboxes"]] == [7, 50]

    @pytest.mark.parametrize(("quota", "found"), [("unlimited", None), ("0", None), ("", None), ("100", "100M"), ("5000", "5000M")])
    def test_quotas_are_megabytes(self, hestia, quota, found):
        assert hestia(account=hestia_account("info", QUOTA=quota)).entry("example.com")["mailboxes"][0].get("quota") == found

    def test_the_key_of_the_records_stands_in_for_the_one_of_exim(self, hestia):
        foreign = hestia(hestia_domain("new.example", DKIM="yes"), **{f"{RECORDS}/alice/mail/new.example.pem": pem("ed25519", 1)})
        assert foreign.entry("new.example")["dkim"] == {"selector": "mail", "key_type": "ed25519"}

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"SSL": "yes", "LETSENCRYPT": "yes"}, f"{CONF}/ssl: example.com has a certificate (Let's Encrypt)"),
            ({"U_SMTP_RELAY": "true", "U_SMTP_RELAY_HOST": "relay.example"}, "example.com sends its mail through a relay, 'relay.example'"),
            ({"WEBMAIL": "roundcube"}, "example.com has webmail ('roundcube')"),
            ({"NEW_FIELD": "1"}, "mail.conf:1: example.com: the field NEW_FIELD is not known"),
            ({"CATCHALL": "nobody@example.com"}, "sends mail for unknown addresses to nobody@example.com, which is not there"),
            ({"DKIM": "yes"}, f"{RECORDS}/alice/mail/example.com.pem: example.com signs its mail, and its key is not there"),
        ],
    )
    def test_what_a_domain_loses_is_told(self, hestia, fields, told):
        foreign = hestia(hestia_domain("example.com", **fields))
        (foreign.root / CONF.lstrip("/") / "dkim.pem").unlink()
        remarks = foreign.remarks()
        assert any(told in remark for remark in remarks), remarks

    @pytest.mark.parametrize(
        ("fields", "told"),
        [
            ({"AUTOREPLY": "yes"}, f"{CONF}/autoreply.info.msg: info@example.com has an automatic reply"),
            ({"FWD": ":blackhole:", "FWD_ONLY": "yes"}, "info@example.com throws its mail away"),
            ({"FWD": "|/bin/cat"}, "'|/bin/cat' is not an address"),
            ({"MD5": "SUSPENDED"}, "info@example.com is left out with its aliases"),
            ({"MD5": "SUSPENDED", "FWD": "a@example.edu", "FWD_ONLY": "yes"}, "taken over as an address that only forwards"),
            ({"QUOTA": "-5"}, "the quota of info@example.com is '-5'"),
            ({"RATE_LIMIT": "many"}, "'many' is no number of messages an hour"),
            ({"ALIAS": "a+b"}, "'a+b' holds a +"),
            ({"ALIAS": "info"}, "info@example.com was there before"),
            ({"ACCOUNT": "-x"}, "'-x' is not a local part"),
        ],
    )
    def test_what_an_account_loses_is_told(self, hestia, fields, told):
        remarks = hestia(account=hestia_account("info", **fields)).remarks()
        assert any(told in remark for remark in remarks), remarks

    def test_a_broken_row_is_told_without_what_is_in_it(self, hestia):
        remarks = hestia(account="ACCOUNT='info' MD5='S3cr3t\n").remarks()
        assert f"{RECORDS}/alice/mail/example.com.conf:1: this line is not a row of FIELD='VALUE' with ACCOUNT" in remarks
        assert not any("S3cr3t" in remark for remark in remarks)

    def test_of_a_sending_address_that_is_none_nothing_is_told(self, hestia):
        remarks = hestia(**{f"{CONF}/ip": "root:S3cr3t:"}).remarks()
        assert f"{CONF}/ip: this is no address that mail can be sent from" in remarks
        assert not any("S3cr3t" in remark for remark in remarks)

    def test_what_somebody_wrote_by_hand_is_told(self, hestia):
        foreign = hestia()
        foreign.write(
            {f"{CONF}/aliases": "list@example.com:a@example.edu\n", f"{CONF}/passwd": f"ghost:{HASH}:alice:mail::/home/alice:0\n"}
        )
        remarks = foreign.remarks()
        for where in (f"{CONF}/aliases:1: 'list@example.com'", f"{CONF}/passwd:1: 'ghost'"):
            assert any(remark.startswith(where) for remark in remarks), remarks

    def test_the_limit_of_the_host_is_told(self, hestia):
        remarks = hestia(**{"/etc/exim4/limit.conf": "200\n"}).remarks()
        assert "/etc/exim4/limit.conf: accounts without a limit of their own may send '200' messages an hour" in remarks

    def test_a_host_without_the_panel_is_told(self, hestia):
        assert hestia().remarks(hestia_dir="/opt/nowhere") == ["/opt/nowhere/data/users: there are no users of HestiaCP here"]
