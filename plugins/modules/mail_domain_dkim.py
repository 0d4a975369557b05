#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_domain_dkim
short_description: Manage the DKIM key of one mail domain
version_added: 1.0.0
description:
  - Makes, takes over, changes and removes the key that a domain's mail is signed with (RFC 6376), and rotates it in stages.
  - The same as the option C(dkim) of M(fleetpost.mail.mail_domain) and M(fleetpost.mail.mail_domains), for a domain that is there.
  - Keys are files that Exim's user alone can read, beside their TXT records in the format of opendkim-genkey(8). Exim signs with a
    new key at once, without a reload.
author:
  - fleetpost.mail contributors (@fleetpost)
extends_documentation_fragment:
  - fleetpost.mail.common
  - fleetpost.mail.common.look
  - fleetpost.mail.common.attributes
options:
  domain:
    description: The mail domain.
    type: str
    required: true
    aliases: [name]
  state:
    description:
      - V(absent) ends signing at once and removes the keys. Their TXT records stay until M(fleetpost.mail.mail_domain_dns)
        withdraws them, which has to happen first, as long as the keys are known.
    type: str
    choices: [present, absent]
    default: present
  selector:
    description:
      - The name under which the key is published, C(SELECTOR._domainkey.DOMAIN).
      - V(dkim) for a domain that does not sign yet when this is omitted. Another selector than the one in use needs O(rotate),
        because a key that nobody has published verifies nothing.
    type: str
  key_type:
    description:
      - V(both) signs twice, with an RSA key under the selector and an Ed25519 key (RFC 8463) under C(SELECTOR-ed25519), because not
        every receiver knows the latter.
      - V(rsa) for a new key when this is omitted.
    type: str
    choices: [rsa, ed25519, both]
  key_length:
    description:
      - The length of the RSA key in bits. 4096 is accepted with a warning, because its record does not fit one UDP packet
        everywhere and some receivers do not verify it.
      - 2048 for a new key when this is omitted.
    type: int
    choices: [1024, 2048, 4096]
  service_type:
    description:
      - The C(s=) of the record, V(email), or V(*) for all services. V(email) for a new key when this is omitted.
    type: str
  private_key:
    description:
      - A private key of your own in PEM form, RSA or Ed25519, instead of one that is made on the host. It also brings back a key
        that was lost. It is never shown.
    type: str
  regenerate:
    description:
      - V(never) makes a key where a selector has none, and never replaces one. Asking for another length or type under the same
        selector is an error, and so is a key that was lost.
      - V(fail) makes no key at all.
      - V(always) replaces at once a key that is lost or other than asked, so mail fails to verify until the new record is known
        everywhere. A key that is as asked stays.
    type: str
    choices: [never, fail, always]
    default: never
  rotate:
    description:
      - Change to a new selector without one message that is unsigned or cannot be verified. Each run moves as far as it may
        and returns in RV(waiting) what it waits for; a run every day is a complete rotation.
      - The other options then describe the key of the new selector. Leave the option as it is when the rotation is over, it
        has no effect then. Naming the selector in use gives a rotation up that has not switched yet.
    type: dict
    suboptions:
      to:
        description: The new selector, one that the domain has not used before.
        type: str
        required: true
      retire_after:
        description: How long the old record stays after the switch, for messages under way, such as V(7d) or V(12h).
        type: str
        default: 7d
seealso:
  - module: fleetpost.mail.mail_domain
  - module: fleetpost.mail.mail_domain_dns
"""

EXAMPLES = r"""
- name: Sign with a key of 2048 bits under the selector dkim
  fleetpost.mail.mail_domain_dkim:
    domain: example.com

- name: Sign twice, with RSA and with Ed25519
  fleetpost.mail.mail_domain_dkim:
    domain: example.net
    selector: s2026
    key_type: both

- name: Change to a new key; run this every day until it waits for nothing more
  fleetpost.mail.mail_domain_dkim:
    domain: example.com
    rotate:
      to: s2027a

- name: Bring a key along from another server
  fleetpost.mail.mail_domain_dkim:
    domain: example.org
    selector: mail
    private_key: "{{ vault_example_org_dkim_key }}"
"""

RETURN = r"""
dns_records:
  description: The TXT records that must be published for the keys that sign or are to sign next, and those of retiring keys.
  type: list
  elements: dict
  returned: success
  sample: [{"record": "dkim._domainkey.example.com", "type": "TXT", "ttl": 3600, "value": ["v=DKIM1; k=rsa; p=MIIBIjANBg..."]}]
changed_domains:
  description: The names of the domains that were changed, or would be.
  type: list
  elements: str
  returned: always
  sample: [example.com]
counts:
  description:
    - How many V(domains), V(mailboxes) and V(aliases_and_forwards) were created, changed and removed, and how many there are
      now.
  type: dict
  returned: always
  sample: {"domains": {"created": 1, "changed": 0, "removed": 0, "total": 12}}
actions:
  description: Every change, done or in check mode planned, sorted by domain. A new domain is one action.
  type: list
  elements: dict
  returned: always
  contains:
    domain:
      description: The mail domain; empty for what belongs to the whole host.
      type: str
      sample: example.com
    action:
      description: What is done, such as V(create), V(change), V(remove), V(create mailbox) or V(change alias).
      type: str
      sample: change
    detail:
      description: What exactly. Never a secret.
      type: str
      sample: "default_action: reject -> discard"
waiting:
  description:
    - Changes of DKIM keys that are under way, with their C(stage), the moment of the next one (C(until), empty while that is
      not known) and what they wait for (C(reason)).
  type: list
  elements: dict
  returned: always
  sample: [{"domain": "example.com", "stage": "published", "until": "", "reason": "publish the TXT of s2._domainkey.example.com"}]
errors:
  description: Each error apart, with its C(message), C(where) it is (an option path or a file and line) and a C(remedy).
  type: list
  elements: dict
  returned: failure
"""

from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_dkim
from ansible_collections.fleetpost.mail.plugins.module_utils._module import new_module, run_module
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import DKIM, LOOK


def main() -> None:
    module = new_module({"domain": {"type": "str", "required": True, "aliases": ["name"]}, **DKIM, **LOOK})
    run_module(module, lambda: declaration_of_dkim(module.params), with_dns_records=True)


if __name__ == "__main__":
    main()
