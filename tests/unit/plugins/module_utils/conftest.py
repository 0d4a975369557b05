# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import os

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _acme
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.certificate_world import ready_for_acme
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_certbot import FakeCertbot
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import FakeHost


@pytest.fixture
def quick_disk(monkeypatch):
    """Takes the waiting for a disk out of tests that make many runs; no test can see whether a change is durable."""
    monkeypatch.setattr(os, "fsync", lambda _descriptor: None)


@pytest.fixture
def host(tmp_path, quick_disk):
    return FakeHost(tmp_path)


@pytest.fixture
def certbot(host, monkeypatch):
    """certbot on the host, and its authority, which certifies everything."""
    ready_for_acme(host)
    found = FakeCertbot(host)
    monkeypatch.setattr(_acme, "run_tool", found)
    return found
