# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long mail_domain_info takes to answer about few and many domains of a host with 10,000.

Every number is the whole ``ansible-playbook`` process. The questions take turns in each round.

    ./dev bench views            10,000 domains of 50 owners and ten resellers, about two minutes
    ./dev bench views --quick    1,000 domains
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from statistics import median
from typing import Any

from workbench import BY_SRC, OWNERS, Play, Workbench, owner

RESELLERS = 10
QUESTIONS: dict[str, dict[str, Any]] = {
    "one domain, the tables alone": {"names": ["d00042.example.com"], "subset": []},
    "one domain, its health": {"names": ["d00042.example.com"], "subset": ["health"]},
    "the customers of a reseller, the tables alone": {"reseller": "reseller3", "subset": []},
    "the customers of a reseller, each mailbox' use": {"reseller": "reseller3", "subset": ["mailboxes"]},
    "all domains, the tables alone": {"subset": []},
    "all domains, their health": {"subset": ["health"]},
    "all domains, their use": {"subset": ["use"]},
}


def owners() -> list[dict[str, str]]:
    return [{"name": owner(index), "reseller": f"reseller{index % RESELLERS}"} for index in range(OWNERS)]


def measure(bench: Workbench, size: int, rounds: int) -> dict[str, list[float]]:
    bench.reset()
    bench.run(BY_SRC, bench.declare(size, owners=owners()), changes=True)
    times: defaultdict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        for what, question in QUESTIONS.items():
            times[what].append(bench.run(Play("view.yml"), bench.declare(1), changes=False, question=question).seconds)
        print(f"round {number + 1}", file=sys.stderr, flush=True)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="1,000 domains")
    size = 1_000 if parser.parse_args().quick else 10_000
    with Workbench() as bench:
        times = measure(bench, size, 3)
    print(f"{f'{size:,} domains on the host':56}seconds")
    for what, taken in times.items():
        print(f"{what:56}{median(taken):>7.2f}")


if __name__ == "__main__":
    main()
