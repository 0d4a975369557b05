# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._layout import DEBIAN, REDHAT, layout_for

VARS = Path(__file__).resolve().parents[4] / "roles" / "mail_host" / "vars"

FIELDS = {
    "mail_host_exim_dir": "exim_dir",
    "mail_host_exim_conf": "exim_conf",
    "mail_host_exim_user": "exim_user",
    "mail_host_exim_group": "exim_group",
    "mail_host_exim_service": "exim_service",
    "mail_host_exim_binary": "exim_binary",
    "mail_host_exim_spool": "exim_spool",
    "mail_host_dovecot_dir": "dovecot_dir",
    "mail_host_dovecot_conf": "dovecot_conf",
    "mail_host_dovecot_group": "dovecot_group",
    "mail_host_mail_root": "mail_root",
    "mail_host_removed_dir": "removed_dir",
    "mail_host_owner": "default_owner",
    "mail_host_lock": "lock_file",
    "mail_host_log": "audit_log",
}


@pytest.mark.parametrize(("family", "layout"), [("Debian", DEBIAN), ("RedHat", REDHAT)])
@pytest.mark.parametrize("variable", FIELDS)
def test_the_roles_know_the_same_places(family, layout, variable):
    values = {}
    for name in ("main", family):
        values |= yaml.safe_load((VARS / f"{name}.yml").read_text())
    assert values[variable] == getattr(layout, FIELDS[variable])


@pytest.mark.parametrize(
    ("os_release", "layout"),
    [
        ('ID=debian\nVERSION_ID="13"\n', DEBIAN),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", DEBIAN),
        ('ID="rhel"\n', REDHAT),
        ('ID="almalinux"\nID_LIKE="rhel centos fedora"\n', REDHAT),
        ("ID=fedora\n", REDHAT),
    ],
)
def test_auto_goes_by_the_family_of_the_distribution(os_release, layout):
    assert layout_for("auto", os_release) is layout


@pytest.mark.parametrize("os_release", [None, "", "ID=arch\n", "PRETTY_NAME=debian\n"])
def test_a_distribution_of_neither_family_is_told_what_to_say(os_release):
    with pytest.raises(MailError) as caught:
        layout_for("auto", os_release)
    assert caught.value.where == "layout"
    assert "layout: debian" in caught.value.remedy


def test_a_layout_can_be_chosen_whatever_the_distribution():
    assert layout_for("redhat", "ID=debian\n") is REDHAT


def test_the_tree_of_an_address_lies_in_the_tree_of_its_domain():
    assert DEBIAN.mailbox_tree("info@example.com") == f"{DEBIAN.domain_tree('example.com')}/info"
