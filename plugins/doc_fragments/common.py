# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by the modules."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options:
  root:
    description:
      - The file tree to work in. Any other than V(/) is for building images and for tests.
      - Users then come from its C(/etc/passwd) if it has one, symbolic links below it are refused, no running server is
        touched, and sending addresses are not checked.
    type: path
    default: /
  layout:
    description:
      - Where Exim keeps its files and what its user is called.
      - V(auto) decides by C(/etc/os-release).
    type: str
    choices: [auto, debian, redhat]
    default: auto
  lock_timeout:
    description:
      - How many seconds to wait for another run on the same host before giving up with the name of its process.
    type: float
    default: 60.0
"""

    REMOVAL = r"""
options:
  removed_mail:
    description:
      - What happens to the mail of what is removed.
      - V(keep) sets it aside below C(/var/vmail/.removed), where it belongs to root and expires after the retention of the
        role P(fleetpost.mail.mail_domains#role). V(archive) packs it into O(archive_dir), V(delete) deletes it.
      - When it is omitted mail is kept.
    type: str
    choices: [keep, archive, delete]
  archive_dir:
    description:
      - Where archives go, as C(NAME.TIMESTAMP.tar.gz), readable by root alone.
      - When it is omitted, C(/var/backups/mail-domains).
    type: path
"""

    PASSWORD_SCHEME = r"""
options:
  password_scheme:
    description:
      - The scheme that plain passwords are hashed with, by Dovecot's own C(doveadm pw) on the host.
      - Existing hashes of another scheme stay as they are. V(BLF-CRYPT) takes passwords of up to 72 bytes.
    type: str
    choices: [BLF-CRYPT, SHA512-CRYPT, ARGON2ID]
    default: BLF-CRYPT
"""

    LOOK = r"""
options:
  resolvers:
    description:
      - Name servers to ask while keys change, V(ADDRESS) or V(ADDRESS@PORT). They find the authoritative servers, which decide.
      - The host's own when this is omitted.
    type: list
    elements: str
  dns_timeout:
    description:
      - For how many seconds at most the name servers are asked, in all.
    type: float
    default: 20.0
"""

    ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Says what it would change and changes nothing.
  diff_mode:
    support: full
    description: Shows the lines of the tables and the directories that change; never a secret.
  idempotent:
    support: full
    description: A second run with the same options changes nothing.
"""
