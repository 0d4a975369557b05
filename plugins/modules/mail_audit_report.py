#!/usr/bin/python
# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: mail_audit_report
short_description: Write the report of an audit of mail hosts
version_added: 1.0.0
description:
  - Writes what the role P(fleetpost.mail.mail_audit#role) found on all hosts as a page (C(audit.html)), as JSON (C(audit.json)) and as
    JUnit XML (C(audit.xml)) into a directory on the controller.
  - Fails when the audit found what it is to fail on, after the files are written.
  - The role calls it once, at the end of the play.
author:
  - fleetpost.mail contributors (@fleetpost)
options:
  directory:
    description:
      - A directory on the controller, from where C(ansible-playbook) was called. It is made when it is not there, and what an earlier
        audit left there is replaced.
    type: path
    required: true
  fail_on:
    description:
      - What makes the task fail, and with it the run. An empty list is nothing.
      - V(drift) is a host that a run would change, V(unhealthy) a mail domain or a host's own certificate with a problem, V(unreachable)
        a host that could not be audited, or not wholly.
    type: list
    elements: str
    choices: [drift, unhealthy, unreachable]
    default: [drift, unhealthy, unreachable]
attributes:
  check_mode:
    support: full
    description: The report is written in check mode as well, because it says nothing but what was seen.
  diff_mode:
    support: none
    description: The report is no part of a host.
  idempotent:
    support: none
    description: Each report has its own time in it.
seealso:
  - module: fleetpost.mail.mail_domain_info
"""

EXAMPLES = r"""
- name: Write the report, and fail only when a domain is not healthy
  fleetpost.mail.mail_audit_report:
    directory: /srv/audits/mail
    fail_on: [unhealthy]
  run_once: true
"""

RETURN = r"""
files:
  description: The paths of the files that were written.
  type: dict
  returned: always
  sample: {"html": "/srv/audits/mail/audit.html", "json": "/srv/audits/mail/audit.json", "junit": "/srv/audits/mail/audit.xml"}
findings:
  description: Kind, as in O(fail_on), to what was found of it in a sentence. Kinds of which nothing was found are not there.
  type: dict
  returned: always
  sample: {"drift": "1 host of 12 would be changed by a run"}
totals:
  description: How many hosts, domains and mailboxes there are, and how they are.
  type: dict
  returned: always
  sample: {"hosts": 12, "well": 11, "drift": 1, "incomplete": 0, "unreachable": 0, "domains": 340, "healthy": 340, "unhealthy": 0,
    "changing": 2, "mailboxes": 4100}
"""
