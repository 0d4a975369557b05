# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file that carries a declaration to the host, as the action plugin of mail_domains or a user put it there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import MailError
from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree


def read_source(parameters: Mapping[str, Any]) -> tuple[list[Any], Mapping[str, Any]]:
    """The domain entries, and the options with all owners: those given, or those in the JSON file `src`.

    The file holds a list of domains, or a dictionary with ``domains`` and perhaps ``owners``. There are none where the host shall be
    as it was before.
    """
    if parameters["domains"] is not None or parameters["restore_generation"] is not None:
        return list(parameters["domains"] or ()), parameters
    path = parameters["src"]
    if not parameters["remote_src"]:
        raise MailError("a file on the controller is carried by the action plugin of this collection only", "src")
    content = Tree("/").read(path)
    if content is None:
        raise MailError(f"{path} is not there", "src")
    try:
        found = json.loads(content)
    except ValueError as error:
        raise MailError(f"{path} is not JSON: {error}", "src") from None
    if isinstance(found, dict):
        parameters = {**parameters, "owners": [*(found.get("owners") or ()), *(parameters["owners"] or ())]}
        found = found.get("domains")
    if not isinstance(found, list):
        raise MailError(f"{path} holds neither a list of domains nor a dictionary with the key domains", "src")
    return found, parameters
