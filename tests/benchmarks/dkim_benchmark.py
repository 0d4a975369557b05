# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What DKIM costs: keys made in one task beside the bare making of as many keys, and an unchanged host with and without them.

Nothing is judged: the goals stand beside the medians.

    ./dev bench dkim             1,000 fresh keys, 10,000 domains unchanged; three to six minutes
    ./dev bench dkim --quick     50 fresh keys, 1,000 domains unchanged; half a minute
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from workbench import BY_SRC, EXIM_UID, Taken, Workbench

DISTINCT_KEYS = 20


class Extent(NamedTuple):
    fresh: int = 1000
    unchanged: int = 10000
    rounds_fresh: int = 3
    rounds_unchanged: int = 5


QUICK = Extent(50, 1000, 1, 2)


def make_keys(count: int) -> float:
    """Seconds that the library takes to make so many RSA keys of 2048 bits on all cores."""
    began = time.perf_counter()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for made in [pool.submit(rsa.generate_private_key, 65537, 2048) for _number in range(count)]:
            made.result()
    return time.perf_counter() - began


def put_keys(tree: Path, count: int) -> None:
    """Keys for the domains of the workbench, as an earlier run would have left them; twenty different ones are enough."""
    directory = tree / "etc/exim4/ssl"
    directory.mkdir()
    pairs = [_key_pair() for _number in range(DISTINCT_KEYS)]
    for index, (private, public) in enumerate(islice(cycle(pairs), count)):
        name = f"d{index:05d}.example.com"
        path = directory / f"{name}.private"
        path.write_bytes(private)
        path.chmod(0o600)
        os.chown(path, EXIM_UID, EXIM_UID)
        strings = " ".join(f'"{part}"' for part in ("v=DKIM1; h=sha256; k=rsa; s=email; ", f"p={public[:200]}", public[200:]))
        (directory / f"{name}.txt").write_text(f"dkim._domainkey\tIN\tTXT\t( {strings} )  ; ----- DKIM key dkim for {name}\n")


def _key_pair() -> tuple[bytes, str]:
    key = rsa.generate_private_key(65537, 2048)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private, base64.b64encode(public).decode()


def measure_fresh(bench: Workbench, extent: Extent) -> tuple[list[float], list[Taken]]:
    """Rounds of the bare making of keys, each beside one task that makes domains with keys."""
    declared = bench.declare(extent.fresh, dkim={})
    bare, task = [], []
    for number in range(extent.rounds_fresh):
        bare.append(make_keys(extent.fresh))
        bench.reset()
        task.append(bench.run(BY_SRC, declared, changes=True))
        _say(f"round {number + 1} fresh: {bare[-1]:.1f} s bare, {task[-1].seconds:.1f} s in the task")
    return bare, task


def measure_unchanged(bench: Workbench, extent: Extent) -> tuple[list[Taken], list[Taken]]:
    """Rounds of an unchanged host without keys and with them, in turns on two trees."""
    plain, signed = [], []
    without, having = bench.declare(extent.unchanged), bench.declare(extent.unchanged, dkim={})
    bench.reset()
    bench.run(BY_SRC, without, changes=True)
    other = bench.tree
    bench.reset()
    put_keys(bench.tree, extent.unchanged)
    bench.run(BY_SRC, having, changes=True)
    signed_tree, bench.tree = bench.tree, other
    for number in range(extent.rounds_unchanged):
        bench.tree = other
        plain.append(bench.run(BY_SRC, without, changes=False))
        bench.tree = signed_tree
        signed.append(bench.run(BY_SRC, having, changes=False))
        _say(f"round {number + 1} unchanged: {plain[-1].seconds:.2f} s without, {signed[-1].seconds:.2f} s with keys")
    return plain, signed


def report(extent: Extent, fresh: tuple[list[float], list[Taken]], unchanged: tuple[list[Taken], list[Taken]]) -> Iterator[str]:
    bare, task = median(fresh[0]), median(taken.seconds for taken in fresh[1])
    limit = 1.1 * bare + 2
    plain, signed = ([median(taken[clock] for taken in cases) for clock in (0, 1)] for cases in unchanged)
    more = [with_keys - without for with_keys, without in zip(signed, plain)]
    yield f"{'':52}{'seconds':>9}{'at most':>9}"
    yield f"{f'{extent.fresh:,} RSA-2048 keys, bare, all cores':52}{bare:>9.2f}"
    yield f"{f'{extent.fresh:,} domains with fresh keys, one task':52}{task:>9.2f}{limit:>9.2f}  {_verdict(task, limit)}"
    yield f"{f'{extent.unchanged:,} domains unchanged, without keys':52}{plain[0]:>9.2f}"
    yield f"{f'{extent.unchanged:,} domains unchanged, each key looked at':52}{signed[0]:>9.2f}"
    yield f"{'  more than without':52}{more[0]:>9.2f}{1.2:>9.2f}  {_verdict(more[0], 1.2)}  ({more[1]:.2f} s of processor time)"


def _verdict(measured: float, goal: float) -> str:
    return "met" if measured <= goal else "not met"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="smaller sizes and fewer rounds, half a minute")
    extent = QUICK if parser.parse_args().quick else Extent()
    with Workbench() as bench:
        fresh = measure_fresh(bench, extent)
        unchanged = measure_unchanged(bench, extent)
    print("\n".join(report(extent, fresh, unchanged)))


if __name__ == "__main__":
    main()
