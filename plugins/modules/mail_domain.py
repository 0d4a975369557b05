#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_domain
short_description: Manage one mail domain of an Exim and Dovecot host
version_added: 1.0.0
description:
  - Creates, changes, disables and removes a mail domain. Exim and Dovecot serve the change at once, without a reload.
  - An option that is omitted leaves what is there as it is, or takes its default for a new domain. What is given is
    exactly so.
  - For many domains use M(fleetpost.mail.mail_domains), which does all of them in one run.
author:
  - fleetpost.mail contributors (@fleetpost)
extends_documentation_fragment:
  - fleetpost.mail.common
  - fleetpost.mail.common.removal
  - fleetpost.mail.common.attributes
options:
  name:
    description:
      - The mail domain. An internationalised name may be written with its own letters; it is stored as its A-label.
    type: str
    required: true
    aliases: [domain]
  owner:
    description:
      - The system user that the domain's mail belongs to, so that file-system quotas count for that user.
      - Changing it re-owns the mail. Users with a uid below 100 and the accounts of servers cannot own mail.
      - A new domain belongs to C(vmail) when this is omitted.
    type: str
  enabled:
    description:
      - Whether the domain is on. Nobody logs in to a disabled domain by IMAP, POP3 or SMTP, open sessions end, and
        O(disabled_action) says what happens to incoming mail. Mail already queued waits.
      - A new domain is enabled when this is omitted.
    type: bool
  disabled_action:
    description:
      - What senders to a disabled domain get.
      - V(reject) answers 550 5.2.1, V(defer) answers 450, V(accept) goes on delivering.
      - V(reject) for a new domain when this is omitted.
    type: str
    choices: [reject, defer, accept]
  default_action:
    description:
      - What happens to mail for an address of the domain that does not exist.
      - V(reject) answers 550 5.1.1 before any data. V(discard) accepts and deletes it, with a line in the log.
      - V(forward_to_address) sends it to the one address in O(forward_to). V(forward_to_domain) looks the same local part
        up among the addresses of the mail domain in O(forward_to); what is not there either is rejected.
      - V(reject) for a new domain when this is omitted.
    type: str
    choices: [reject, discard, forward_to_address, forward_to_domain]
  forward_to:
    description:
      - The address, or the mail domain of this host, that O(default_action) forwards to.
      - An address in a mail domain of this host must exist.
    type: str
  ip_addresses:
    description:
      - IPv4 and IPv6 addresses of this host that the domain's mail is sent from. With addresses of one family only, its
        mail leaves over that family only.
      - An empty list sends from the host's own address again.
    type: list
    elements: str
  state:
    description:
      - V(absent) removes the domain with all its addresses. Senders get 450 while its mail is taken care of; if that fails
        the domain comes back.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: fleetpost.mail.mail_domains
  - module: fleetpost.mail.mailbox
  - module: fleetpost.mail.mail_domain_info
"""

EXAMPLES = r"""
- name: A mail domain whose unknown addresses are rejected
  fleetpost.mail.mail_domain:
    name: example.com
    owner: alice

- name: Everything that is not an address of example.net goes to the same address of example.com
  fleetpost.mail.mail_domain:
    name: example.net
    default_action: forward_to_domain
    forward_to: example.com

- name: Mail of example.org leaves from its own addresses
  fleetpost.mail.mail_domain:
    name: example.org
    ip_addresses: [192.0.2.10, "2001:db8::10"]

- name: Nobody logs in, senders are told to try again later
  fleetpost.mail.mail_domain:
    name: example.org
    enabled: false
    disabled_action: defer

- name: Remove a domain and keep an archive of its mail
  fleetpost.mail.mail_domain:
    name: example.net
    state: absent
    removed_mail: archive
    archive_dir: /srv/archive/mail
"""

RETURN = r"""
changed_domains:
  description: The names of the domains that were changed, or would be.
  type: list
  elements: str
  returned: always
  sample: [example.com]
counts:
  description: How many V(domains), V(mailboxes) and V(aliases_and_forwards) were created, changed and removed, and how many there are now.
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
errors:
  description: Each error apart, with its C(message), C(where) it is (an option path or a file and line) and a C(remedy).
  type: list
  elements: dict
  returned: failure
"""

from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_domain
from ansible_collections.fleetpost.mail.plugins.module_utils._module import new_module, run_module
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import DOMAIN, REMOVAL, STATE


def main() -> None:
    module = new_module({**DOMAIN, **STATE, **REMOVAL})
    run_module(module, lambda: declaration_of_domain(module.params))


if __name__ == "__main__":
    main()
