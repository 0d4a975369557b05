# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the documentation of each module says is what its specification does."""

from __future__ import annotations

import importlib
import json
from pathlib import Path

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.fleetpost.mail.plugins.doc_fragments.common import ModuleDocFragment
from ansible_collections.fleetpost.mail.plugins.module_utils import _module
from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import (
    declaration_of_certificate,
    declaration_of_domain,
    declaration_of_domains,
    declaration_of_mailbox,
)
from ansible_collections.fleetpost.mail.plugins.module_utils._dns_options import options_of
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils import authority

ROOT = Path(__file__).resolve().parents[4]
# A module that is an action plugin alone has its own tests.
NAMES = sorted(path.stem for path in (ROOT / "plugins" / "modules").glob("*.py") if "def main" in path.read_text())
PACKAGE = "ansible_collections.fleetpost.mail.plugins.modules"


class Specified(Exception):
    """Carries what a module hands to AnsibleModule."""


def specification(name, monkeypatch):
    def capture(**arguments):
        raise Specified(arguments)

    monkeypatch.setattr(_module, "AnsibleModule", capture)
    with pytest.raises(Specified) as caught:
        importlib.import_module(f"{PACKAGE}.{name}").main()
    return caught.value.args[0]


def documented(name):
    """The options of a module's documentation with those of its fragments."""
    documentation = yaml.safe_load(importlib.import_module(f"{PACKAGE}.{name}").DOCUMENTATION)
    options = dict(documentation["options"])
    for fragment in documentation["extends_documentation_fragment"]:
        assert fragment.startswith("fleetpost.mail.common")
        part = fragment.removeprefix("fleetpost.mail.common").lstrip(".").upper() or "DOCUMENTATION"
        options.update(yaml.safe_load(getattr(ModuleDocFragment, part))["options"])
    return options


def as_specified(options):
    found = {}
    for name, rules in options.items():
        found[name] = {
            "type": rules.get("type", "str"),
            "required": rules.get("required", False),
            "default": rules.get("default"),
            "choices": rules.get("choices"),
            "elements": rules.get("elements"),
            "aliases": rules.get("aliases", []),
            "options": as_specified(rules.get("suboptions", rules.get("options")) or {}),
        }
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_option_is_documented_as_it_is_specified(name, monkeypatch):
    specified = as_specified(specification(name, monkeypatch)["argument_spec"])
    written = as_specified(documented(name))
    for rules in written.values():
        if rules["type"] == "str" and rules["default"] is not None:
            rules["default"] = str(rules["default"])
    assert written == specified


@pytest.mark.parametrize("name", NAMES)
def test_every_module_supports_check_mode(name, monkeypatch):
    assert specification(name, monkeypatch)["supports_check_mode"] is True


@pytest.mark.parametrize("name", ["mail_domain", "mail_domains", "mailbox"])
def test_every_option_that_says_what_is_wanted_is_null_when_it_is_omitted(name, monkeypatch):
    specified = specification(name, monkeypatch)["argument_spec"]
    with_defaults = {option for option, rules in specified.items() if rules.get("default") is not None}
    how_it_is_done = {"root", "layout", "lock_timeout", "state", "password_scheme", "update_password", "dns_timeout", "dmarc_template"}
    assert with_defaults <= how_it_is_done | {"prune", "prune_limit", "remote_src", "acme_max_orders"}


@pytest.mark.parametrize("name", NAMES)
def test_passwords_and_hashes_are_no_log(name, monkeypatch):
    def secrets_of(spec):
        for option, rules in spec.items():
            if option in ("password", "password_hash", "private_key", "tsig_secret", "eab_hmac_key"):
                yield rules.get("no_log")
            yield from secrets_of(rules.get("options") or {})

    found = list(secrets_of(specification(name, monkeypatch)["argument_spec"]))
    # The defaults of certificates have two, a certificate of a domain has three.
    secrets = {"mailbox": 2, "mail_domains": 8, "mail_domain": 6, "mail_domain_cert": 3, "mail_domain_dkim": 1, "mail_domain_dns": 1}
    assert found == [True] * secrets.get(name, 0)


def examples(name):
    module = importlib.import_module(f"{PACKAGE}.{name}")
    certificate = json.dumps(authority.pem(authority.certificate()))
    secrets = {
        "{{ vault_info_hash }}": "{BLF-CRYPT}$2y$05$abc",
        "{{ vault_tsig_secret }}": "c2VjcmV0",
        "\"{{ lookup('ansible.builtin.file', 'mail.example.org.crt') }}\"": certificate,
        "\"{{ lookup('ansible.builtin.file', 'intermediate.crt') }}\"": certificate,
    }
    text = module.EXAMPLES
    for variable, value in secrets.items():
        text = text.replace(variable, value)
    return yaml.safe_load(text)


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in NAMES for index in range(len(examples(name)))])
def test_every_example_is_valid(name, index, monkeypatch):
    task = examples(name)[index]
    (key,) = [key for key in task if key.startswith("fleetpost.mail.")] or [None]
    if key is None:
        assert set(task) <= {"name", "ansible.builtin.debug", "register", "when", "loop"}
        return
    assert key == f"fleetpost.mail.{name}"
    rules = specification(name, monkeypatch)
    rules.pop("supports_check_mode")
    result = ArgumentSpecValidator(**rules).validate(task[key] or {})
    assert result.error_messages == []
    options = result.validated_parameters
    if name == "mail_domains":
        assert declaration_of_domains(options["domains"] or (), options).errors == ()
    elif name == "mail_domain":
        assert declaration_of_domain(options).errors == ()
    elif name == "mailbox":
        assert declaration_of_mailbox(options).errors == ()
    elif name == "mail_domain_cert":
        assert declaration_of_certificate(options).errors == ()
    elif name == "mail_domain_dns":
        assert options_of(options).state == options["state"]


def test_every_module_belongs_to_the_action_group():
    runtime = yaml.safe_load((ROOT / "meta" / "runtime.yml").read_text())
    assert sorted(runtime["action_groups"]["mail"]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_module_says_what_it_returns(name):
    module = importlib.import_module(f"{PACKAGE}.{name}")
    returned = set(yaml.safe_load(module.RETURN))
    changing = {"changed_domains", "counts", "actions", "errors"}
    further = {
        "mail_domain": {"waiting"},
        "mail_domains": {"waiting"},
        "mail_domain_cert": {"certificate", "renewed"},
        "mail_domain_dkim": {"waiting", "dns_records"},
        "mailbox": set(),
        "mail_owner": set(),
    }
    if name in further:
        assert returned == changing | further[name]
    elif name == "mail_domain_info":
        assert returned == {"domains", "owners", "status", "certificates", "generations"}
    elif name == "mail_domain_import":
        assert returned == {"domains", "broken", "not_translated", "maildirs", "errors"}
    else:
        assert returned == {"dns_records", "zone_file", "changes", "verification", "all_ok", "errors"}


@pytest.mark.parametrize("name", NAMES)
def test_documentation_is_plain_text_with_an_author_and_a_version(name):
    documentation = yaml.safe_load(importlib.import_module(f"{PACKAGE}.{name}").DOCUMENTATION)
    assert documentation["module"] == name
    assert documentation["version_added"] == "1.0.0"
    assert documentation["author"]
    assert not documentation["short_description"].endswith(".")
