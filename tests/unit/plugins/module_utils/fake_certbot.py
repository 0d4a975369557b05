# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""certbot on a fake host: what it keeps, and answers to the commands that the collection gives it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ansible_collections.fleetpost.mail.plugins.module_utils._certificate_model import ACME_DIRECTORIES
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.authority import certificate, intermediate, key_pem, pem
from ansible_collections.fleetpost.mail.tests.unit.plugins.module_utils.fake_host import FakeHost

LETSENCRYPT = ACME_DIRECTORIES["letsencrypt"]
REFUSED = """\
Saving debug log to /var/log/letsencrypt/letsencrypt.log

Certbot failed to authenticate some domains (authenticator: standalone). The Certificate Authority reported these problems:
  Domain: {0}
  Type:   dns
  Detail: DNS problem: NXDOMAIN looking up A for {0}

Some challenges have failed.
"""


def keep(
    host: FakeHost,
    lineage: str,
    *names: str,
    version: int = 1,
    server: str = LETSENCRYPT,
    is_ours: bool = True,
    key: tuple[str, int] = ("ecdsa256", 5),
    days: tuple[float, float] = (-1, 89),
    link: str | None = None,
    **how: Any,
) -> bytes:
    """Files as certbot keeps them, one more version of a lineage. Returns what a server would be shown: key and chain."""
    directory, live = host.layout.certbot_dir, host.path(f"{host.layout.certbot_dir}/live/{lineage}")
    chain = pem(certificate(names or (lineage,), key=key, days=days, **how), intermediate())
    host.write(f"{directory}/archive/{lineage}/privkey{version}.pem", key_pem(*key))
    host.write(f"{directory}/archive/{lineage}/fullchain{version}.pem", chain)
    live.mkdir(parents=True, exist_ok=True)
    for file in ("privkey", "fullchain"):
        (live / f"{file}.pem").unlink(missing_ok=True)
        (live / f"{file}.pem").symlink_to(link or f"../../archive/{lineage}/{file}{version}.pem")
    hook = f"post_hook = {host.layout.acme_hook}\n" if is_ours else ""
    text = f"version = 2.1.0\n[renewalparams]\naccount = 0\nserver = {server}\n{hook}key_type = ecdsa\n"
    host.write(f"{directory}/renewal/{lineage}.conf", text)
    return (key_pem(*key) + chain).encode()


class FakeCertbot:
    """Stands where ``run_tool`` of the ACME client does. commands: what it was told. orders: the options of each order."""

    def __init__(self, host: FakeHost) -> None:
        self.host = host
        self.commands: list[Sequence[str]] = []
        self.orders: list[dict[str, str]] = []
        self.environments: list[Mapping[str, str]] = []
        self.refuses: dict[str, str] = {}
        self.key = ("ecdsa256", 5)

    def __call__(
        self, command: Sequence[str], secret: str = "", limit: float = 30.0, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        self.commands.append(command)
        self.environments.append(environment or {})
        if command[1] == "delete":
            return self._delete(command[command.index("--cert-name") + 1])
        text = Path(command[command.index("--config") + 1]).read_text()
        options = dict(line.split(" = ", 1) for line in text.splitlines())
        self.orders.append(options)
        name = options["domains"].partition(",")[0]
        if name in self.refuses:
            return subprocess.CompletedProcess(command, 1, self.refuses[name], "")
        days = (-0.5 + len(self.orders) / 1000, 89.5)
        names = options["domains"].split(",")
        keep(self.host, options["cert-name"], *names, version=len(self.orders), server=options["server"], key=self.key, days=days)
        return subprocess.CompletedProcess(command, 0, "", "")

    def _delete(self, name: str) -> subprocess.CompletedProcess[str]:
        self.host.path(f"{self.host.layout.certbot_dir}/renewal/{name}.conf").unlink()
        return subprocess.CompletedProcess(["certbot"], 0, "", "")
