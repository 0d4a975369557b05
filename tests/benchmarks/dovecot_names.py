# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What certificates of many names cost Dovecot, on a Debian 12 and a Debian 13 that the role has configured.

Start, reload, logins and memory, with the blocks of all names in one file and in a file each. Nothing is judged. The two hosts
are started for this and removed; as root.

    ./dev bench names                         0, 1,000 and 5,000 names, ten to twenty minutes, more on a busy machine
    ./dev bench names --quick                 0 and 200 names, one round; two minutes
    ./dev bench names --limit 2G              with this vsz_limit of Dovecot's config service
    ./dev bench names --sizes 5000 --grouped 10   ten names on a certificate
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
LAB = HERE.parent / "lab"
sys.path.insert(0, str(LAB))

from lab import run_in  # noqa: E402 - found by the line above

# Image and container.
HOSTS = {"debian12": "names-deb12", "debian13": "names-deb13"}
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "fleetpost-mail"
SSH = Path(os.environ.get("LAB_SSH_DIR") or CACHE / "ssh")
A_CASE_AT_MOST = 1800


class Extent(NamedTuple):
    sizes: Sequence[int] = (0, 1000, 5000)
    rounds: int = 3


QUICK = Extent((0, 200), 1)

# What a line of the table says, key of the probe's answer, digits after the point.
LINES = (
    ("doveconf -x, s", "doveconf", 2),
    ("restart until TLS on 993, s", "restart", 2),
    ("doveadm reload, s", "reload", 2),
    ("  until the new certificate, s", "shown", 2),
    ("  slowest connection meanwhile, s", "slowest", 2),
    ("  failed connections meanwhile", "refused", 0),
    ("  open session kept, 1: yes", "kept", 0),
    ("TLS and greeting, no SNI, ms", "tls_none", 1),
    ("  a name's first use", "unused", 1),
    ("  first block", "tls_first", 1),
    ("  last block", "tls_last", 1),
    ("the same and LOGIN, no SNI, ms", "login_none", 1),
    ("  first block", "login_first", 1),
    ("  last block", "login_last", 1),
    ("config process, MiB", "config", 0),
    ("  most address space (vsz_limit)", "config_peak", 0),
    ("  all readers at a reload", "reload_peak", 0),
    ("imap-login process, MiB", "imap_login", 0),
    ("master process, MiB", "master", 0),
)
LEGEND = """\
Memory is resident, that of imap-login for each process; readers at a reload: config, doveconf and managesieve together.
Times of TLS go from connect to the greeting. inf: not within a minute."""


def start_hosts() -> None:
    for image, host in HOSTS.items():
        subprocess.run([LAB / "host", host, image], check=True)
    # tests/lab/host ends what ssh keeps here of an earlier host with the same address.
    variables = {"ansible_ssh_private_key_file": str(SSH / "id_ed25519"), "ansible_control_path": f"{SSH}/%%h"}
    hosts = {host: {"ansible_host": address_of(host)} for host in HOSTS.values()}
    inventory = {"all": {"hosts": hosts, "vars": variables}}
    command = ["ansible-playbook", "--inventory", "/dev/stdin", str(HERE / "names_hosts.yml")]
    environment = {**os.environ, "ANSIBLE_PIPELINING": "1", "ANSIBLE_NOCOLOR": "1"}
    done = subprocess.run(command, input=json.dumps(inventory), env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the role did not configure the hosts:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def address_of(host: str) -> str:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return subprocess.run(["podman", "inspect", "--format", form, host], capture_output=True, text=True, check=True).stdout.strip()


def remove_hosts() -> None:
    command = ["podman", "rm", "--force", "--ignore", "--volumes", "--time", "2", *HOSTS.values()]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)


def measure(host: str, case: dict[str, Any]) -> dict[str, Any]:
    began = time.perf_counter()
    probe = (HERE / "dovecot_names_probe.py").read_text()
    taken = json.loads(run_in(host, "python3", "-", json.dumps(case), stdin=probe, timeout=A_CASE_AT_MOST).stdout)
    _say(f"{host}, {_title(case)}: {time.perf_counter() - began:.0f} s{', ' if taken['failure'] else ''}{taken['failure']}")
    return {**case, **taken}


def cases(extent: Extent, grouped: int, limit: str) -> Iterator[dict[str, Any]]:
    for names in extent.sizes:
        for split in (False, True) if names else (False,):
            yield {"names": names, "grouped": grouped, "split": split, "limit": limit, "rounds": extent.rounds}


def report(taken: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield f"{'medians':36}" + "".join(f"{one['version']:>13}" for one in taken)
    yield f"{'names':36}" + "".join(f"{one['names']:>13,}" for one in taken)
    yield f"{'files':36}" + "".join(f"{_files(one):>13}" for one in taken)
    for title, key, digits in LINES:
        yield f"{title:36}" + "".join(f"{_cell(one, key, digits):>13}" for one in taken)
    for one in taken:
        if one["failure"]:
            yield f"{one['version']}, {_title(one)}: {one['failure']}"
    yield LEGEND


def _cell(one: dict[str, Any], key: str, digits: int) -> str:
    return f"{median(one[key]):.{digits}f}" if one.get(key) else "-"


def _files(case: dict[str, Any]) -> str:
    return "-" if not case["names"] else "each its own" if case["split"] else "one"


def _title(case: dict[str, Any]) -> str:
    if not case["names"]:
        return "no names"
    return f"{case['names']:,} names, {'a file for each block' if case['split'] else 'one file'}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="few names and one round, about two minutes")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of names")
    parser.add_argument("--grouped", type=int, default=1, help="names that share a certificate; Dovecot 2.3 gets one block for them")
    parser.add_argument("--limit", default="", help="vsz_limit of Dovecot's config service; without it, what the role writes")
    options = parser.parse_args()
    extent = QUICK if options.quick else Extent()
    if options.sizes:
        extent = extent._replace(sizes=options.sizes)
    # Ended from outside, it still removes its hosts.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(1))
    try:
        start_hosts()
        # One host after the other: they share the machine's cores.
        taken = [measure(host, case) for host in HOSTS.values() for case in cases(extent, options.grouped, options.limit)]
    finally:
        remove_hosts()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} at the end")
    print("\n".join(report(taken)))


if __name__ == "__main__":
    main()
