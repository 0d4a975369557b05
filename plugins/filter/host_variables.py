# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter that writes a declaration as host variables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.fleetpost.mail.plugins.module_utils._host_variables import host_variables

DOCUMENTATION = r"""
name: host_variables
short_description: Write mail domains as the texts of files with host variables
version_added: 1.0.0
author:
  - fleetpost.mail contributors (@fleetpost)
description:
  - Turns what M(fleetpost.mail.mail_domain_info) and M(fleetpost.mail.mail_domain_import) write to their C(export_file) into YAML that
    is made to be read and edited, with the variables of the role P(fleetpost.mail.mail_domains#role).
  - The playbook C(fleetpost.mail.adopt) uses it.
  - What is as usual is left out. Password hashes and private keys are replaced by variables of their own, which stand in a second text.
  - Texts that YAML or Ansible would take for something else are quoted or marked, so that nothing a host says is ever a template.
positional: _input
options:
  _input:
    description: A dictionary with C(domains), and if need be C(owners), C(broken) and C(not_translated). The latter two become comments.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Save the mail domains of a host
  ansible.builtin.copy:
    content: "{{ (lookup('ansible.builtin.file', 'export.json') | from_json | fleetpost.mail.host_variables).variables }}"
    dest: host_vars/mail1.example.net/mail_domains.yml
    mode: "0644"
  delegate_to: localhost
"""

RETURN = r"""
_value:
  description: A dictionary with the text C(variables), and C(vault), which is secret and empty when there are no secrets.
  type: dict
"""


def _host_variables(declaration: Any) -> dict[str, str]:
    if not isinstance(declaration, dict) or "domains" not in declaration:
        raise AnsibleFilterError("host_variables: this is no dictionary with domains")
    try:
        return host_variables(declaration)._asdict()
    except ValueError as error:
        reason = str(error)
    raise AnsibleFilterError(f"host_variables: {reason}")


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The one filter of this file."""
        return {"host_variables": _host_variables}
