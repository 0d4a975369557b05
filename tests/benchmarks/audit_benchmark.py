# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the report of an audit takes for a large fleet, how much memory, and how the page does in a browser.

Events as the callback plugin notes them, of 200 hosts with 500 domains each: one in a hundred is not healthy, and one in two hundred would
change. Then the same with no domain healthy. Each report is written by a process of its own.

    ./dev bench audit            100,000 domains, about a minute
    ./dev bench audit --quick    20 hosts with 50 domains

The browser's part is left out where there is no chromium.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_files import write_report
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_fleet import host_of
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_mending import Commands
from ansible_collections.fleetpost.mail.plugins.plugin_utils._audit_spool import Spool
from ansible_collections.fleetpost.mail.tests.unit.plugins.plugin_utils.browser import PROGRAM, Browser

AT = "2026-11-27T08:00:00Z"


def note(spool: Spool, hosts: int, domains: int, unhealthy_every: int) -> None:
    for number in range(hosts):
        name = f"mx{number:03d}.example.net"
        names = [f"d{number * domains + index:06d}.example.com" for index in range(domains)]
        actions = [{"domain": one, "action": "change", "detail": "default_action: reject -> discard"} for one in names[::200]]
        diff = {"path": "/etc/exim4/domains", "before": "".join(f"{one}: reject\n" for one in names[::200])}
        diff["after"] = diff["before"].replace("reject", "discard")
        planned = {"actions": actions, "diff": [diff] if actions else [], "waiting": [], "warnings": []}
        spool.add(name, {"kind": "domains", "is_whole": True, **planned})
        status = list(_status(names, unhealthy_every))
        certificates = [_certificate(one, index) for index, one in enumerate(names)]
        spool.add(name, {"kind": "health", "status": status, "certificates": certificates})


def _status(names: list[str], unhealthy_every: int) -> Iterator[dict[str, Any]]:
    for index, name in enumerate(names):
        problems = [f"its owner user{index} is no system user"] if index % unhealthy_every == 0 else []
        yield {
            "name": name,
            "is_on": index % 50 != 0,
            "healthy": not problems,
            "problems": problems,
            "mailboxes": 3,
            "signing_since": f"2026-{1 + index % 10:02d}-11T08:00:00Z",
        }


def _certificate(name: str, index: int) -> dict[str, Any]:
    return {"domains": [name], "problems": [], "not_after": f"2027-{1 + index % 12:02d}-11T08:00:00Z"}


def write(directory: Path) -> None:
    """One report, in this process; prints seconds and the peak of its memory in MiB."""
    began = time.perf_counter()
    commands = Commands(("-i", "hosts.yml"))
    hosts = [host_of(name, events, commands) for name, events in Spool(directory / "spool").hosts()]
    write_report(directory, sorted(hosts), AT, ["drift"])
    taken = time.perf_counter() - began
    print(json.dumps([taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))


def browse(page: Path, words: str) -> tuple[float, float, int]:
    """Seconds to open the page and to answer a search, and the number of elements in it."""
    with Browser() as browser:
        opened = browser.open(page)
        began = time.perf_counter()
        browser.value(
            "new Promise((done) => {"
            "document.querySelector('input[value=all]').checked = true;"
            f"const field = document.getElementById('words'); field.value = '{words}';"
            "new MutationObserver(() => done(true)).observe(document.getElementById('count'), {childList: true});"
            "field.dispatchEvent(new Event('input', {bubbles: true})); })"
        )
        searched = time.perf_counter() - began
        return opened, searched, browser.value("document.getElementsByTagName('*').length")


def measure(what: str, hosts: int, domains: int, unhealthy_every: int) -> None:
    with tempfile.TemporaryDirectory(prefix="fleetpost-benchmark-") as directory:
        spool = Path(directory) / "spool"
        note(Spool(spool), hosts, domains, unhealthy_every)
        done = subprocess.run([sys.executable, __file__, "--write", directory], check=True, capture_output=True, text=True)
        taken, memory = json.loads(done.stdout)
        sizes = ", ".join(
            f"{name} {(Path(directory) / name).stat().st_size / 1e6:.1f} MB" for name in ("audit.html", "audit.json", "audit.xml")
        )
        print(f"{what:48}{taken:>7.2f} s{memory:>8.0f} MiB   {sizes}")
        if PROGRAM:
            opened, searched, elements = browse(Path(directory) / "audit.html", f"{hosts * domains - 1:06d}")
            print(f"{'  in a browser':48}{opened:>7.2f} s to open, {searched:.2f} s to search, {elements:,} elements")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="20 hosts with 50 domains")
    parser.add_argument("--write", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        write(Path(options.write))
        return
    hosts, domains = (20, 50) if options.quick else (200, 500)
    measure(f"{hosts * domains:,} domains, one in a hundred not healthy", hosts, domains, 100)
    measure(f"{hosts * domains:,} domains, none healthy", hosts, domains, 1)


if __name__ == "__main__":
    main()
