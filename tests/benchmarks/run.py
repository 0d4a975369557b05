# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long mail_domains takes for many domains, beside a module that does nothing and beside loops.

Every number is the whole ``ansible-playbook`` process on this machine, in a temporary file tree. The cases take turns in
each round, so that a busy moment of the machine hits all of them. Nothing is judged: the goals stand beside the medians.

    ./dev bench              1,000 and 10,000 domains, less than 8 minutes on two cores
    ./dev bench --quick      100 and 1,000 domains, about a minute
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

from workbench import BY_SRC, Play, Taken, Workbench

NO_OP_SRC = "src: a module that does nothing"
NO_OP_LIST = "domains: a module that does nothing"
UNCHANGED_SRC = "src: unchanged"
CHANGED_SRC = "src: one changed"
UNCHANGED_LIST = "domains: unchanged"
CASES = (
    NO_OP_SRC,
    "src: fresh",
    UNCHANGED_SRC,
    "src: check mode, one would change",
    CHANGED_SRC,
    NO_OP_LIST,
    "domains: fresh",
    UNCHANGED_LIST,
    "domains: check mode, one would change",
    "domains: one changed",
)
BY_LIST = Play("by_domains.yml", takes_variables=True)
LOOPS = {
    "a loop of mail_domain, no mailboxes": Play("loop_mail_domain.yml", takes_variables=True),
    "a loop of lineinfile, one table": Play("loop_lineinfile.yml", takes_variables=True),
}

Times = defaultdict[tuple[str, int], list[Taken]]


class Extent(NamedTuple):
    """How much is measured. rounds_src, rounds_list: how often the cases by `src` and by `domains` take their turn."""

    sizes: tuple[int, ...] = (1000, 10000)
    rounds_src: int = 5
    rounds_list: int = 3
    loop_items: int = 100


QUICK = Extent((100, 1000), 2, 1, 20)


def measure(bench: Workbench, extent: Extent) -> tuple[Times, dict[str, float]]:
    """All times, and the peaks of memory at the largest size."""
    times: Times = defaultdict(list)
    bench.reset()
    bench.run(BY_SRC, bench.declare(1))
    for number in range(extent.rounds_src):
        for size in extent.sizes:
            _note(times, size, _round_by_src(bench, size), f"round {number + 1} by src")
            if number < extent.rounds_list:
                _note(times, size, _round_by_list(bench, size), f"round {number + 1} by domains")
    for label, play in LOOPS.items():
        bench.reset()
        taken = bench.run(play, bench.declare(extent.loop_items), changes=True)
        times[label, extent.loop_items].append(taken)
        _say(f"{label}: {extent.loop_items} took {taken.seconds:.1f} s")
    largest = bench.declare(extent.sizes[-1])
    bench.reset()
    memory = {what: bench.peak_memory(BY_SRC, largest) for what in ("fresh", "unchanged")}
    return times, memory


def _note(times: Times, size: int, measured: Iterator[tuple[str, Taken]], what: str) -> None:
    began = time.perf_counter()
    for case, taken in measured:
        times[case, size].append(taken)
    _say(f"{size:,} domains, {what}: {time.perf_counter() - began:.0f} s")


def _round_by_src(bench: Workbench, size: int) -> Iterator[tuple[str, Taken]]:
    declared, changed = bench.declare(size), bench.declare(size, changed=True)
    bench.reset()
    yield "src: fresh", bench.run(BY_SRC, declared, changes=True)
    yield NO_OP_SRC, bench.run(Play("no_op_src.yml"), declared, changes=False)
    yield UNCHANGED_SRC, bench.run(BY_SRC, declared, changes=False)
    yield "src: check mode, one would change", bench.run(BY_SRC, changed, check=True, changes=True)
    yield CHANGED_SRC, bench.run(BY_SRC, changed, changes=True)


def _round_by_list(bench: Workbench, size: int) -> Iterator[tuple[str, Taken]]:
    declared, changed = bench.declare(size), bench.declare(size, changed=True)
    bench.reset()
    yield "domains: fresh", bench.run(BY_LIST, declared, changes=True)
    yield NO_OP_LIST, bench.run(Play("no_op_domains.yml", takes_variables=True), declared, changes=False)
    yield UNCHANGED_LIST, bench.run(BY_LIST, declared, changes=False)
    yield "domains: check mode, one would change", bench.run(BY_LIST, changed, check=True, changes=True)
    yield "domains: one changed", bench.run(BY_LIST, changed, changes=True)


def report(times: Times, memory: dict[str, float], extent: Extent) -> Iterator[str]:
    """The table, its goals, and what it was measured on."""
    yield from _machine()
    yield ""
    yield from _case_table(times, extent)
    yield ""
    yield from _loop_table(times, extent)
    yield ""
    yield from _goals(times, memory, extent)


def _machine() -> Iterator[str]:
    version = subprocess.run(["ansible", "--version"], capture_output=True, text=True, check=False).stdout
    ansible = version.splitlines()[0] if version else "ansible-core of unknown version"
    yield f"{ansible}, Python {platform.python_version()}, {os.cpu_count()} cores, Linux {platform.release()}"
    yield "Each domain: owner, address, default action, two mailboxes with hashes. Whole ansible-playbook process, connection local."


def _case_table(times: Times, extent: Extent) -> Iterator[str]:
    heads = "".join(f"{f'{size:,} domains':>22}{'cpu':>7}{'x no-op':>9}{'ms/domain':>11}" for size in extent.sizes)
    yield f"{'seconds: median (fastest-slowest)':38}{heads}"
    for case in CASES:
        cells = []
        for size in extent.sizes:
            seconds = [taken.seconds for taken in times[case, size]]
            shown = f"{median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"
            processor = _median(times, case, size, 1)
            cells.append(f"{shown:>22}{processor:>7.2f}{_ratio(times, case, size):>9.2f}{_above_no_op(times, case, size):>11.2f}")
        yield f"{case:38}" + "".join(cells)
    yield "cpu: processor seconds of all processes. x no-op: against the module that does nothing with the same declaration."
    yield "ms/domain: the time above that module, for each domain."


def _median(times: Times, case: str, size: int, clock: int = 0) -> float:
    """The median of seconds on the clock, or with clock=1 of processor seconds."""
    return median(taken[clock] for taken in times[case, size])


def _no_op_of(case: str) -> str:
    return NO_OP_SRC if case.startswith("src") else NO_OP_LIST


def _ratio(times: Times, case: str, size: int, clock: int = 0) -> float:
    return _median(times, case, size, clock) / _median(times, _no_op_of(case), size, clock)


def _above_no_op(times: Times, case: str, size: int, clock: int = 0) -> float:
    return (_median(times, case, size, clock) - _median(times, _no_op_of(case), size, clock)) / size * 1000


def _loop_table(times: Times, extent: Extent) -> Iterator[str]:
    count = extent.loop_items
    yield f"{'fresh, seconds':38}{count:>12,}" + "".join(f"{size:>12,} *" for size in extent.sizes)
    for label in LOOPS:
        seconds = _median(times, label, count)
        extrapolated = "".join(f"{seconds / count * size:>12,.0f} *" for size in extent.sizes)
        yield f"{label:38}{seconds:>12.1f}{extrapolated}"
    measured = "".join(f"{_median(times, 'src: fresh', size):>12,.1f}  " for size in extent.sizes)
    yield f"{'mail_domains by src, with mailboxes':38}{'':12}{measured}"
    yield f"* extrapolated from {count} items"


def _goals(times: Times, memory: dict[str, float], extent: Extent) -> Iterator[str]:
    small, large = extent.sizes[0], extent.sizes[-1]

    def ratio(clock: int) -> float:
        return _ratio(times, UNCHANGED_SRC, large, clock)

    def unchanged(clock: int) -> float:
        return _median(times, UNCHANGED_LIST, large, clock)

    def one_more(clock: int) -> float:
        return _median(times, CHANGED_SRC, large, clock) - _median(times, UNCHANGED_SRC, large, clock)

    def a_domain(clock: int) -> float:
        return _above_no_op(times, UNCHANGED_SRC, large, clock)

    at_small = _above_no_op(times, UNCHANGED_SRC, small)
    yield f"{f'goals at 10,000 domains, here {large:,}':38}{'at most':>12}{'clock':>12}{'cpu':>12}"
    for label, measured, goal, unit in (
        ("unchanged by src", ratio, 2.5, "times the no-op"),
        ("unchanged by domains", unchanged, 12.0, "s"),
        ("one changed", one_more, 0.3, "s more than unchanged"),
        ("a domain, unchanged by src", a_domain, at_small, f"ms above the no-op (at most: as at {small:,})"),
    ):
        yield f"{label:38}{goal:>12.2f}{measured(0):>12.2f}{measured(1):>12.2f}  {_verdict(measured(0), goal)}  {unit}"
    peak = max(memory.values())
    peaks = ", ".join(f"{what} {value:.0f}" for what, value in memory.items())
    yield f"{'peak memory of the module':38}{120:>12.2f}{peak:>12.2f}{'':12}  {_verdict(peak, 120.0)}  MiB ({peaks})"


def _verdict(measured: float, goal: float) -> str:
    return "met    " if measured <= goal else "not met"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds, about a minute")
    extent = QUICK if parser.parse_args().quick else Extent()
    began = time.perf_counter()
    with Workbench() as bench:
        times, memory = measure(bench, extent)
    print("\n".join(report(times, memory, extent)))
    _say(f"The whole benchmark took {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
