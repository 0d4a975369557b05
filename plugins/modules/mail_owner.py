#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_owner
short_description: Manage what the owner of mail domains may have
version_added: 1.0.0
description:
  - Sets the limits of a system user that owns mail domains, and who stands above it.
  - Limits are held against the end state of every run, also of the administrator's, and inside the lock, so that two runs at once
    cannot pass them. A limit that was never set is no limit, and one that is omitted stays as it is.
  - An owner that is above a limit which was lowered keeps what it has and gets nothing new.
  - Only the administrator can use it, see O(acting_as).
author:
  - fleetpost.mail contributors (@fleetpost)
extends_documentation_fragment:
  - fleetpost.mail.common
  - fleetpost.mail.common.attributes
options:
  name:
    description:
      - The owner, a system user in lower-case letters.
    type: str
    required: true
  state:
    description:
      - V(absent) ends all limits. It is refused while the owner has mail domains, or users as their reseller.
    type: str
    choices: [present, absent]
    default: present
  reseller:
    description:
      - Who stands above the owner and may do for it what it may itself, by O(acting_as). An empty one is nobody but the
        administrator. Resellers have no reseller themselves.
    type: str
  max_domains:
    description:
      - How many mail domains it may have. V(-1) is no limit.
    type: int
  max_mailboxes:
    description:
      - How many mailboxes its domains may have together. V(-1) is no limit.
    type: int
  max_mailbox_quota:
    description:
      - How large the quota of one mailbox may be, such as V(5G); each new mailbox then needs one. V(none) is no limit.
    type: str
  total_quota:
    description:
      - How large the quotas of all its mailboxes may be together; each new mailbox then needs one, and Dovecot, which holds each
        mailbox to its quota, holds their sum. V(none) is no limit.
    type: str
  outgoing_limit:
    description:
      - How many messages an hour all its domains may send together, and each recipient counts. V(0) is no limit.
    type: int
  ssl_allowed:
    description:
      - Whether its domains may have certificates of their own. Yes for a new owner when this is omitted.
    type: bool
  allowed_ips:
    description:
      - Addresses and networks of which its domains may have C(ip_addresses). An empty list is no limit.
    type: list
    elements: str
  delegated_domains:
    description:
      - Domains that the owner may create itself, by O(acting_as). C(*.example.com) stands for all names below C(example.com).
      - Without it the owner can create none.
    type: list
    elements: str
seealso:
  - module: fleetpost.mail.mail_domain
  - module: fleetpost.mail.mail_domains
"""

EXAMPLES = r"""
- name: Alice is a customer of the reseller webfactory
  fleetpost.mail.mail_owner:
    name: alice
    reseller: webfactory
    max_domains: 5
    max_mailboxes: 50
    max_mailbox_quota: 5G
    total_quota: 50G
    outgoing_limit: 1000
    allowed_ips: [192.0.2.10, "2001:db8::/64"]
    delegated_domains: [alice.example, "*.alice.example"]

- name: Bob may have as many domains as he likes from now on
  fleetpost.mail.mail_owner:
    name: bob
    max_domains: -1

- name: Carol has left, and so have her domains
  fleetpost.mail.mail_owner:
    name: carol
    state: absent
"""

RETURN = r"""
changed_domains:
  description: The names of the domains that were changed, or would be. None are, unless an earlier run was interrupted.
  type: list
  elements: str
  returned: always
  sample: []
counts:
  description:
    - How many V(domains), V(mailboxes) and V(aliases_and_forwards) were created, changed and removed, and how many there are
      now.
  type: dict
  returned: always
  sample: {"domains": {"created": 0, "changed": 0, "removed": 0, "total": 12}}
actions:
  description: Every change, done or in check mode planned.
  type: list
  elements: dict
  returned: always
  contains:
    domain:
      description: The mail domain; empty for what belongs to the whole host.
      type: str
      sample: ""
    action:
      description: What is done, V(create owner), V(change owner) or V(remove owner).
      type: str
      sample: change owner
    detail:
      description: Which owner, and what exactly.
      type: str
      sample: "alice: max_domains: 5 -> 10"
errors:
  description: Each error apart, with its C(message), C(where) it is (an option path or a file and line) and a C(remedy).
  type: list
  elements: dict
  returned: failure
"""

from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_owner
from ansible_collections.fleetpost.mail.plugins.module_utils._module import new_module, run_module
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import OWNER


def main() -> None:
    module = new_module(OWNER)
    run_module(module, lambda: declaration_of_owner(module.params))


if __name__ == "__main__":
    main()
