#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_domain_info
short_description: Tell which mail domains a host has and how they are
version_added: 1.0.0
description:
  - Returns the mail domains and mailboxes of a host in the input shape of M(fleetpost.mail.mail_domains), so that feeding
    them back changes nothing, and the state of each domain beside it.
  - Password hashes are never returned.
author:
  - fleetpost.mail contributors (@fleetpost)
extends_documentation_fragment:
  - fleetpost.mail.common
options:
  names:
    description:
      - Only these domains; V(*) and V(?) in a name stand for any letters. All of them when it is omitted.
    type: list
    elements: str
    aliases: [name]
  owner:
    description:
      - Only the domains of this system user.
    type: str
  reseller:
    description:
      - Only the domains of owners with this reseller.
    type: str
  enabled:
    description:
      - Only domains that are on, or only those that are not, be it that they are disabled or suspended.
    type: bool
  subset:
    description:
      - What to look at that takes time with thousands of domains. An empty list is the tables alone.
      - V(use) counts the bytes and files of each domain's mail, which looks at every message. V(mailboxes) does so for each mailbox.
      - V(health) compares keys, certificates, files and directories with what they should be.
    type: list
    elements: str
    choices: [use, health, mailboxes]
    default: [use, health]
  export_file:
    description:
      - Also write the declaration, with password hashes, to this JSON file on the host, readable by root alone.
        M(fleetpost.mail.mail_domains) takes it with O(fleetpost.mail.mail_domains#module:remote_src=true).
    type: path
  check_dns:
    description:
      - Whether to look up the MX, SPF, DKIM and DMARC records of each domain. What is not right is among its problems.
      - M(fleetpost.mail.mail_domain_dns) with O(fleetpost.mail.mail_domain_dns#module:state=verified) looks up further records, and
        for hosts whose MX records have another name.
    type: bool
    default: false
  check_tls:
    description:
      - Whether to ask the running servers, on ports 465 and 993, which certificate they show for each name.
    type: bool
    default: false
  history:
    description:
      - Whether to tell what was changed of each domain, from the log C(/var/log/mail-domains.log) and the files that logrotate has
        put aside, compressed ones included.
    type: bool
    default: false
  history_limit:
    description:
      - How many changes of a domain O(history) tells at most, the last ones.
    type: int
    default: 100
  resolvers:
    description:
      - With O(check_dns) the servers to ask, as C(ADDRESS) or C(ADDRESS@PORT), in the place of the authoritative servers of each
        name. The first one that answers counts.
    type: list
    elements: str
  dns_timeout:
    description:
      - How many seconds looking up may take, for all domains together. What did not answer in that time is V(unreachable).
    type: float
    default: 20.0
attributes:
  check_mode:
    support: full
    description: The export is then not written.
  diff_mode:
    support: none
    description: The module changes nothing but its export file.
  idempotent:
    support: full
    description: The export file is written only when that changes it.
seealso:
  - module: fleetpost.mail.mail_domains
"""

EXAMPLES = r"""
- name: What does this host have
  fleetpost.mail.mail_domain_info:
  register: mail

- name: Which domains are not well
  ansible.builtin.debug:
    msg: "{{ mail.status | rejectattr('healthy') | list }}"

- name: What do the customers of a reseller have, and how full are their mailboxes
  fleetpost.mail.mail_domain_info:
    reseller: webfactory
    subset: [mailboxes]

- name: Which DNS records are not as they should be
  fleetpost.mail.mail_domain_info:
    subset: [health]
    check_dns: true
  register: mail

- name: Show them
  ansible.builtin.debug:
    msg: "{{ mail.status | map(attribute='dns') | flatten | rejectattr('status', 'equalto', 'ok') | list }}"

- name: Who changed this domain, and when
  fleetpost.mail.mail_domain_info:
    names: [example.com]
    subset: []
    history: true

- name: Keep a copy of everything a second host would need
  fleetpost.mail.mail_domain_info:
    subset: []
    export_file: /root/mail-domains.json
"""

RETURN = r"""
domains:
  description: The domains in the input shape of M(fleetpost.mail.mail_domains), sorted by name.
  type: list
  elements: dict
  returned: success
  sample: [{"name": "example.com", "owner": "alice", "enabled": true, "default_action": "reject", "mailboxes": [{"name": "info"}]}]
owners:
  description: The owners with limits in the input shape of M(fleetpost.mail.mail_domains), sorted by name.
  type: list
  elements: dict
  returned: success
  sample: [{"name": "alice", "reseller": "webfactory", "max_domains": 5}]
status:
  description: The state of the same domains and of those whose removal is not finished, sorted by name.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: The mail domain.
      type: str
    is_on:
      description: Whether its users may log in and mail comes in, so neither disabled nor suspended.
      type: bool
    suspended_reason:
      description: Why it is suspended; empty when it is not, or nobody said why.
      type: str
    healthy:
      description: Whether there are no problems.
      type: bool
      returned: with V(health) in O(subset)
    problems:
      description: What is wrong, each in a sentence; what a run would mend begins with the action it would take.
      type: list
      elements: str
      returned: with V(health) in O(subset)
    mail_directory:
      description: Where its mail is.
      type: str
    signing:
      description: The selectors that its mail is signed with, and a change of keys that is under way; empty when it is not signed.
      type: str
      sample: dkim (s2027a published until 20261123T080013Z)
    signing_since:
      description: The time of the file of the key that it is signed with, of two keys the older one; empty when it is not signed.
      type: str
      returned: with V(health) in O(subset)
      sample: "2026-11-23T08:00:13Z"
    mailboxes:
      description: How many mailboxes it has.
      type: int
    aliases:
      description: How many aliases it has.
      type: int
    forwards:
      description: How many addresses it has that only forward.
      type: int
    last_change:
      description:
        - The time of its last line in the log. Empty when there is none in the files that are not compressed; with O(history=true)
          all files are read.
      type: str
      sample: "2026-11-23T04:00:00Z"
    history:
      description:
        - Its lines in the log, the oldest first. docs/log.md says what is in them. A certificate that was renewed between runs is
          in the history of the domains that show it now.
      type: list
      elements: dict
      returned: when O(history=true)
      sample:
        - {"time": "2026-11-23T04:00:00Z", "domain": "example.com", "action": "change", "detail": "owner: alice -> bob",
           "changes": {"owner": ["alice", "bob"]}, "generation": 12, "user": "root", "sudo_user": "carol", "controller": "192.0.2.7",
           "job": "4711", "module": "mail_domains", "version": "1.0.0", "pid": 4242}
    bytes:
      description: The size of its mail in bytes.
      type: int
      returned: with V(use) in O(subset)
    files:
      description: How many files its mail is in.
      type: int
      returned: with V(use) in O(subset)
    mailbox_use:
      description: The C(quota) of each mailbox, and the C(bytes) and C(files) of its mail.
      type: list
      elements: dict
      returned: with V(mailboxes) in O(subset)
      sample: [{"address": "info@example.com", "quota": "1G", "bytes": 52311, "files": 14}]
    dns:
      description:
        - What the DNS says of each record the domain needs, as RV(fleetpost.mail.mail_domain_dns#module:verification) of
          M(fleetpost.mail.mail_domain_dns).
      type: list
      elements: dict
      returned: when O(check_dns=true)
      sample:
        - {"domain": "example.com", "kind": "mx", "record": "example.com", "type": "MX", "status": "ok",
           "expected": ["10 mx1.example.net."], "found": ["10 mx1.example.net."], "server": "ns1.example.net (192.0.2.53)", "why": ""}
generations:
  description:
    - The host's tables as they were before each of the last runs that changed one, the oldest first. With
      O(fleetpost.mail.mail_domains#module:restore_generation) the host becomes as it was then.
  type: list
  elements: dict
  returned: success
  contains:
    number:
      description: Its number.
      type: int
    time:
      description: When the run began to change the tables.
      type: str
      sample: "2026-11-23T04:00:00Z"
    changes:
      description: What the run was about to change, in numbers.
      type: str
      sample: "2 changes of 1 domain: 1 change, 1 create mailbox"
    module:
      description: What was run.
      type: str
      sample: mail_domains
    user:
      description: Who ran it. C(sudo_user), C(acting_as), C(controller), C(job) and C(version) stand beside it where they are known.
      type: str
certificates:
  description: The state of the certificates of these domains, and of those that belong to no domain, such as the host's own.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: The name that its files are called after.
      type: str
      sample: mail.example.com
    names:
      description: All names that it is shown for.
      type: list
      elements: str
    domains:
      description: The mail domains that name it.
      type: list
      elements: str
    is_host:
      description: Whether it is the host's own.
      type: bool
    paths:
      description: Key and chain for C(exim) and for C(dovecot).
      type: dict
    provider:
      description: Where it is to come from.
      type: str
    issuer:
      description: Who issued it (RFC 4514).
      type: str
    is_self_signed:
      description: Whether nobody issued it.
      type: bool
    not_before:
      description: From when it is valid.
      type: str
      sample: "2026-11-26T08:00:13Z"
    not_after:
      description: Until when it is valid.
      type: str
    days_left:
      description: How many whole days that is from now.
      type: int
    fingerprint:
      description: SHA-256 of the certificate.
      type: str
    pair_ok:
      description: Whether both servers have a key and a certificate that belong together.
      type: bool
    same_on_both:
      description: Whether the two servers have the same.
      type: bool
    tls:
      description: Port of a running server to whether it shows this certificate for all its names.
      type: dict
      returned: when O(check_tls=true)
      sample: {"465": true, "993": true}
    problems:
      description: What is wrong with it, each in a sentence. They are among the problems of its domains too.
      type: list
      elements: str
"""

from ansible_collections.fleetpost.mail.plugins.module_utils._dns_check import check_dns
from ansible_collections.fleetpost.mail.plugins.module_utils._module import answer_module, new_module
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import LOOK


def main() -> None:
    answer_module(
        new_module(
            {
                "names": {"type": "list", "elements": "str", "aliases": ["name"]},
                "owner": {"type": "str"},
                "reseller": {"type": "str"},
                "enabled": {"type": "bool"},
                "subset": {"type": "list", "elements": "str", "choices": ["use", "health", "mailboxes"], "default": ["use", "health"]},
                "export_file": {"type": "path"},
                "check_dns": {"type": "bool", "default": False},
                "check_tls": {"type": "bool", "default": False},
                "history": {"type": "bool", "default": False},
                "history_limit": {"type": "int", "default": 100},
                **LOOK,
            }
        ),
        check_dns,
    )


if __name__ == "__main__":
    main()
