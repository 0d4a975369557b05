# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys that are made, and those of users that are checked once."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import threading

import pytest
from ansible_collections.fleetpost.mail.plugins.module_utils import _key_maker
from ansible_collections.fleetpost.mail.plugins.module_utils._dkim import public_key_of
from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError, MailErrors
from ansible_collections.fleetpost.mail.plugins.module_utils._key_maker import make_keys
from ansible_collections.fleetpost.mail.plugins.module_utils._libraries import library
from ansible_collections.fleetpost.mail.plugins.module_utils._model import MadeKey, PublicKey
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import WantedKey
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.ready_keys import pem, public

ED25519 = WantedKey(PublicKey("ed25519", 256))


def damaged(kind="rsa1024"):
    """A whole key in every length, of numbers that do not fit each other."""
    lines = pem(kind, form="TraditionalOpenSSL").splitlines()
    der = bytearray(base64.b64decode("".join(lines[1:-1])))
    der[-3] ^= 0xFF
    return f"{lines[0]}\n{base64.b64encode(bytes(der)).decode()}\n{lines[-1]}\n"


@pytest.mark.parametrize("wanted", [PublicKey("rsa", 1024), PublicKey("rsa", 1024, "*"), PublicKey("ed25519", 256)])
def test_a_key_is_made_as_it_is_wanted(wanted):
    (made,) = make_keys({"a": WantedKey(wanted)}).values()
    assert made.key._replace(public_key="") == wanted
    assert public_key_of(made.private_key.encode(), wanted.service_type) == made.key


def test_no_two_keys_are_the_same():
    made = make_keys({str(number): ED25519 for number in range(50)})
    assert list(made) == [str(number) for number in range(50)]
    assert len({one.key.public_key for one in made.values()}) == 50


@pytest.mark.parametrize("kind", ["rsa1024", "ed25519"])
def test_a_users_key_is_taken_as_it_is(kind):
    assert make_keys({"a": WantedKey(public(kind), pem(kind))}) == {"a": MadeKey(public(kind), pem(kind))}


def test_every_damaged_key_is_told_with_its_option_and_nothing_of_it():
    wanted = {str(number): WantedKey(public("rsa1024"), damaged(), f"domains[{number}].dkim.") for number in range(2)}
    with pytest.raises(MailErrors) as caught:
        make_keys({**wanted, "good": ED25519})
    assert [error.where for error in caught.value.errors] == ["domains[0].dkim.private_key", "domains[1].dkim.private_key"]
    assert damaged().splitlines()[1][:30] not in str(caught.value)


def test_nothing_wanted_is_nothing_made():
    assert make_keys({}) == {}


def test_only_the_threads_that_make_keys_give_way(monkeypatch):
    seen = []

    def watched(*arguments):
        seen.append(os.getpriority(os.PRIO_PROCESS, 0))
        return public_key_of(*arguments)

    monkeypatch.setattr(_key_maker, "public_key_of", watched)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    make_keys({"a": ED25519})
    assert seen == [max(10, before)]
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


PROGRAM = """
import os, sys
sys.path.insert(0, {here!r})
import conftest
from ansible_collections.fleetpost.mail.plugins.module_utils._key_maker import make_keys
from ansible_collections.fleetpost.mail.plugins.module_utils._signing import WantedKey
from ansible_collections.fleetpost.mail.plugins.module_utils._model import PublicKey
wanted = {{"a": WantedKey(PublicKey("ed25519", 256))}}
make_keys(wanted)  # the library is loaded while it can be read
os.nice(15)
if os.geteuid() == 0:
    os.setuid(65534)
print(len(make_keys(wanted)))
"""


def test_a_process_of_still_lower_priority_makes_keys_as_well():
    here = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
    found = subprocess.run([sys.executable, "-c", PROGRAM.format(here=here)], capture_output=True, text=True, check=False)
    assert (found.stdout.strip(), found.returncode) == ("1", 0), found.stderr


@pytest.mark.parametrize(("name", "package"), [("cryptography.x509", "python3-cryptography"), ("dns.message", "python3-dnspython")])
def test_a_library_that_is_missing_is_named_with_its_package_and_version(monkeypatch, name, package):
    monkeypatch.setitem(sys.modules, name, None)
    library.cache_clear()
    with pytest.raises(MailError) as error:
        library(name)
    assert f"the Python library {name.partition('.')[0]} cannot be loaded" in error.value.message
    assert package in error.value.remedy
    assert "fleetpost.mail.mail_host" in error.value.remedy
