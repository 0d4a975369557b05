#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mailbox
short_description: Manage one mailbox with its aliases and forwards
version_added: 1.0.0
description:
  - Creates, changes and removes one address of a mail domain that is there already.
  - An option that is omitted leaves what is there as it is, or takes its default for a new mailbox. What is given is
    exactly so.
  - For the mailboxes of many domains use M(fleetpost.mail.mail_domains).
author:
  - fleetpost.mail contributors (@fleetpost)
extends_documentation_fragment:
  - fleetpost.mail.common
  - fleetpost.mail.common.removal
  - fleetpost.mail.common.password_scheme
  - fleetpost.mail.common.attributes
options:
  address:
    description:
      - The whole address, such as V(info@example.com). It is stored in lower case.
    type: str
    required: true
  password:
    description:
      - The password in plain text, hashed on the host by Dovecot's own tool. It never leaves the task's transport to the
        host in any other form and is never shown.
      - A new mailbox needs this or O(password_hash).
    type: str
  password_hash:
    description:
      - The hash as C(doveadm pw) prints it, V({SCHEME}hash), or a crypt(3) hash.
    type: str
  update_password:
    description:
      - V(on_create) sets the password of a new mailbox only, so that users can change theirs. V(always) sets it whenever
        it differs.
    type: str
    choices: [on_create, always]
    default: on_create
  quota:
    description:
      - How much mail the mailbox may hold, such as V(500M) or V(2G), in binary units. V(none) lifts the limit.
      - No limit for a new mailbox when this is omitted.
    type: str
  enabled:
    description:
      - Whether its user may log in and mail to it is accepted; senders to a disabled mailbox get 550 5.2.1.
      - A new mailbox is enabled when this is omitted.
    type: bool
  aliases:
    description:
      - The further addresses of this mailbox; the list is the whole list.
      - Local parts, or addresses of the same domain. An empty list removes all.
      - An address that is a mailbox now becomes an alias only when it is said what happens to its mail, with
        O(removed_mail).
    type: list
    elements: str
  forward_to:
    description:
      - Addresses that mail is forwarded to. Targets in mail domains of this host must exist.
      - With O(keep_copy=false) and no password this is an address that only forwards, without a mailbox.
      - An empty list ends forwarding.
    type: list
    elements: str
  keep_copy:
    description:
      - Whether mail that is forwarded is delivered to the mailbox too. Yes for a new mailbox when this is omitted.
    type: bool
  senders:
    description:
      - Further addresses that the user may send as, besides those of its own domain, or V(*@DOMAIN) for all of a domain.
    type: list
    elements: str
  filters:
    description:
      - What differs from the filters of its domain, in the options of M(fleetpost.mail.mail_domain). What is not in it is as
        the domain has it.
      - When it is omitted it stays as it is; what is given is all of it, and an empty dictionary makes everything as in the
        domain.
    type: dict
    suboptions:
      greylisting:
        description:
          - Whether hosts that are not known are asked to try again.
        type: bool
      spamassassin:
        description:
          - Whether its mail is judged by SpamAssassin.
        type: bool
      spam_action:
        description:
          - What becomes of its spam.
        type: str
        choices: [junk, tag, reject]
      spam_threshold:
        description:
          - From how many points on its mail is spam.
        type: float
      spam_reject_threshold:
        description:
          - From how many points on its mail is rejected; V(0) is never.
        type: float
      antivirus:
        description:
          - Whether its mail is scanned by ClamAV.
        type: bool
      outgoing_limit:
        description:
          - How many messages an hour this mailbox alone may send, besides the limit of its domain; V(0) is no limit of its
            own.
        type: int
  state:
    description:
      - V(absent) removes the address and its aliases. O(removed_mail) says what happens to its mail.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: fleetpost.mail.mail_domain
  - module: fleetpost.mail.mail_domains
"""

EXAMPLES = r"""
- name: A mailbox with two more addresses and room for 2 GiB
  fleetpost.mail.mailbox:
    address: info@example.com
    password: "{{ vault_info_password }}"
    quota: 2G
    aliases: [office, contact]

- name: Mail to press goes to two people, without a mailbox of its own
  fleetpost.mail.mailbox:
    address: press@example.com
    forward_to: [carol@example.com, dave@agency.example]
    keep_copy: false

- name: A user who also writes as another domain
  fleetpost.mail.mailbox:
    address: carol@example.com
    senders: [carol@example.org]

- name: Mail to support is never rejected as spam and not delayed, whatever its domain says
  fleetpost.mail.mailbox:
    address: support@example.com
    filters:
      greylisting: false
      spam_action: junk
      spam_reject_threshold: 0

- name: The mailbox of sales becomes an alias of info in one step, its mail is archived
  fleetpost.mail.mailbox:
    address: info@example.com
    aliases: [office, contact, sales]
    removed_mail: archive
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

from ansible_collections.fleetpost.mail.plugins.module_utils._declaration import declaration_of_mailbox
from ansible_collections.fleetpost.mail.plugins.module_utils._module import new_module, run_module
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import MAILBOX, PASSWORD_SCHEME, REMOVAL, STATE


def main() -> None:
    address = {"address": {"type": "str", "required": True}}
    module = new_module(
        {**address, **MAILBOX, **PASSWORD_SCHEME, **STATE, **REMOVAL},
        mutually_exclusive=[("password", "password_hash")],
    )
    run_module(module, lambda: declaration_of_mailbox(module.params))


if __name__ == "__main__":
    main()
