# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The two libraries of a managed host, loaded when they are first needed: most runs need neither, and each takes 60 ms."""

from __future__ import annotations

import functools
import importlib
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._errors import LibraryError

# Name of the library: the oldest version that will do, and the packages of Debian and of RHEL.
_LIBRARIES = {"cryptography": ("36", "python3-cryptography", "python3-cryptography"), "dns": ("2.1", "python3-dnspython", "python3-dns")}


@functools.cache
def library(name: str) -> Any:
    """A module of cryptography or of dnspython, such as ``dns.message``. Raises LibraryError that says what to install."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        version, debian, redhat = _LIBRARIES[name.partition(".")[0]]
        raise LibraryError(
            f"the Python library {name.partition('.')[0]} cannot be loaded on this host: {error}",
            remedy=f"Install {debian} (Debian) or {redhat} (RHEL), version {version} or newer; the role fleetpost.mail.mail_host does",
        ) from error
