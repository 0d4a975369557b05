#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_domain_import
short_description: Read the mail domains of a host that others set up
version_added: 1.0.0
description:
  - Reads the tables of a host with Exim in the style of ispmanager, or the records of HestiaCP, and returns its mail domains in the input
    shape of M(fleetpost.mail.mail_domains).
  - What cannot be read is listed with file and line, and so is what has no counterpart. Nothing is left out in silence.
  - It changes nothing on the host but its export file. Password hashes and private keys are never returned.
  - The page C(docs/adopting.md) of the collection says what becomes of each field, and what is to be done by hand.
author:
  - fleetpost.mail contributors (@fleetpost)
extends_documentation_fragment:
  - fleetpost.mail.common
options:
  kind:
    description:
      - What set the host up.
      - With V(ispmanager) C(domains), C(domainips), C(aliases), C(passwd) and C(ssl) in O(exim_dir) are read, and O(password_file).
      - With V(hestia) the records in O(hestia_dir), and the files in the home directories that are made from them.
    type: str
    required: true
    choices: [ispmanager, hestia]
  exim_dir:
    description:
      - The directory of Exim's tables. When it is omitted, C(/etc/exim4) or C(/etc/exim), by O(layout).
    type: path
  password_file:
    description:
      - With V(ispmanager) the file with lines C(ADDRESS:HASH).
    type: path
    default: /etc/dovecot/passwd
  quota_unit:
    description:
      - With V(ispmanager) what a quota is counted in that has no unit of its own. V(B) stands for bytes.
    type: str
    choices: [B, K, M, G]
    default: M
  hestia_dir:
    description:
      - With V(hestia) the directory of the panel.
    type: path
    default: /usr/local/hestia
  home_dir:
    description:
      - With V(hestia) the directory of the users' homes.
    type: path
    default: /home
  export_file:
    description:
      - Also write the declaration, with password hashes and DKIM keys, to this JSON file on the host, readable by root alone.
        M(fleetpost.mail.mail_domains) takes it with O(fleetpost.mail.mail_domains#module:remote_src=true).
    type: path
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
  - module: fleetpost.mail.mail_domain_info
"""

EXAMPLES = r"""
- name: What would be taken over from HestiaCP
  fleetpost.mail.mail_domain_import:
    kind: hestia
  register: found

- name: Show what would not
  ansible.builtin.debug:
    msg: "{{ found.broken + found.not_translated }}"

- name: Keep what is needed to set the domains up again, with the passwords
  fleetpost.mail.mail_domain_import:
    kind: ispmanager
    password_file: /etc/dovecot/dovecot-passwd
    export_file: /root/mail-domains.json
"""

RETURN = r"""
domains:
  description:
    - The domains in the input shape of M(fleetpost.mail.mail_domains), sorted by name, without secrets. What is as usual is left out.
  type: list
  elements: dict
  returned: success
  sample: [{"name": "example.com", "owner": "alice", "mailboxes": [{"name": "info", "quota": "1024M", "aliases": ["sales"]}]}]
broken:
  description: What cannot be read. Each has its C(message) and C(where) it stands, a file and line.
  type: list
  elements: dict
  returned: success
  sample: [{"where": "/etc/exim4/aliases:3", "message": "'sa les@example.com' is not a local part"}]
not_translated:
  description: What can be read and has no counterpart, or needs a decision. Each has its C(message) and C(where) it stands.
  type: list
  elements: dict
  returned: success
  sample: [{"where": "/etc/exim4/ssl/example.com.crt", "message": "example.com has a certificate: declare ssl for it"}]
maildirs:
  description: Where the mail of each mailbox is that was taken over, with its C(address) and C(path).
  type: list
  elements: dict
  returned: success
  sample: [{"address": "info@example.com", "path": "/home/alice/mail/example.com/info"}]
errors:
  description: Each error apart, with its C(message), C(where) it is and a C(remedy).
  type: list
  elements: dict
  returned: failure
"""

from ansible_collections.fleetpost.mail.plugins.module_utils._import_run import import_domains
from ansible_collections.fleetpost.mail.plugins.module_utils._module import import_module, new_module
from ansible_collections.fleetpost.mail.plugins.module_utils._specs import IMPORT


def main() -> None:
    import_module(new_module(IMPORT), import_domains)


if __name__ == "__main__":
    main()
