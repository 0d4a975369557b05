# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The least that a module with a declaration can do: take it and end."""

from __future__ import annotations

import json

from ansible.module_utils.basic import AnsibleModule


def main() -> None:
    """Takes the declaration as a file, which it reads, or as a list of dictionaries."""
    module = AnsibleModule(
        argument_spec={"src": {"type": "path"}, "domains": {"type": "list", "elements": "dict"}},
        supports_check_mode=True,
    )
    entries = module.params["domains"]
    if entries is None:
        with open(module.params["src"], "rb") as file:
            entries = json.load(file)["domains"]
    module.exit_json(changed=False, total=len(entries))


if __name__ == "__main__":
    main()
