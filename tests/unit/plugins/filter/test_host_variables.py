# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter, as templates call it."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.fleetpost.mail.plugins.filter.host_variables import FilterModule

host_variables = FilterModule().filters()["host_variables"]


def test_it_gives_both_texts():
    assert set(host_variables({"domains": [{"name": "example.com"}]})) == {"variables", "vault"}


@pytest.mark.parametrize("wrong", [[], {}, "text", {"domains": [{"name": "not a domain"}]}])
def test_what_is_no_declaration_is_an_error_in_a_sentence(wrong):
    with pytest.raises(AnsibleFilterError, match=r"^host_variables: "):
        host_variables(wrong)
