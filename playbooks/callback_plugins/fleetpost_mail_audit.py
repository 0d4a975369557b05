# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-core loads callback plugins beside a playbook by itself: so nobody has to enable what the playbook audit needs."""

from __future__ import annotations

from ansible_collections.fleetpost.mail.plugins.callback.mail_audit import CallbackModule

__all__ = ["CallbackModule"]
