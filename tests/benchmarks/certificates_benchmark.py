# Copyright (c) 2026, fleetpost.mail contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What certificates cost: self-signed ones made in one task beside the bare making of as many and the writing of as many files, and
an unchanged host with and without them.

Nothing is judged: the goals stand beside the medians.

    ./dev bench certificates             1,000 fresh certificates, 10,000 unchanged; some minutes
    ./dev bench certificates --quick     50 fresh certificates, 1,000 unchanged; half a minute
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import NamedTuple

from ansible_collections.fleetpost.mail.plugins.module_utils._files import Tree
from ansible_collections.fleetpost.mail.plugins.module_utils._ownership import Ownership
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from workbench import BY_SRC, Taken, Workbench

ALLOWED = 1.0


class Extent(NamedTuple):
    fresh: int = 1000
    unchanged: int = 10000
    rounds: int = 5


QUICK = Extent(50, 1000, 2)


class Fresh(NamedTuple):
    """One round: the bare making on all cores and on one, the writing of the files, and one task without and with certificates."""

    made: float
    alone: float
    written: float
    without: Taken
    having: Taken


def _made(index: int) -> bytes:
    """A key and a certificate signed with it, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"mail.d{index:05d}.example.com")])
    begin = dt.datetime(2026, 1, 1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + dt.timedelta(days=3650))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(f"mail.d{index:05d}.example.com")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def make(count: int, threads: int) -> tuple[float, list[bytes]]:
    """Seconds that the library takes for so many keys and signatures, and what it made."""
    began = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        made = list(pool.map(_made, range(count)))
    return time.perf_counter() - began, made


def write(directory: Path, contents: list[bytes]) -> float:
    """Seconds for two durable files of each, in one batch a server, as a run writes them."""
    tree, began = Tree(str(directory)), time.perf_counter()
    for server in ("exim", "dovecot"):
        (directory / server).mkdir(parents=True)
        tree.write_files([(f"/{server}/{index}.pem", content, Ownership(0, 0, 0o600)) for index, content in enumerate(contents)])
    return time.perf_counter() - began


def measure_fresh(bench: Workbench, extent: Extent) -> list[Fresh]:
    plain, certified = bench.declare(extent.fresh), bench.declare(extent.fresh, ssl={})
    rounds = []
    for number in range(extent.rounds):
        seconds, made = make(extent.fresh, len(os.sched_getaffinity(0)))
        alone, _same = make(extent.fresh, 1)
        written = write(bench.directory / f"files-{number}", made)
        bench.reset()
        without = bench.run(BY_SRC, plain, changes=True)
        bench.reset()
        rounds.append(Fresh(seconds, alone, written, without, bench.run(BY_SRC, certified, changes=True)))
        _say(f"round {number + 1} fresh: {seconds:.2f} s made, {written:.2f} s written, {_more(rounds[-1]):.2f} s more in the task")
    return rounds


def _more(one: Fresh) -> float:
    return one.having.seconds - one.without.seconds


def measure_unchanged(bench: Workbench, extent: Extent) -> tuple[list[Taken], list[Taken]]:
    """Rounds of an unchanged host without certificates and with them, in turns on two trees."""
    plain, certified = bench.declare(extent.unchanged), bench.declare(extent.unchanged, ssl={})
    bench.reset()
    bench.run(BY_SRC, plain, changes=True)
    without_tree = bench.tree
    bench.reset()
    bench.run(BY_SRC, certified, changes=True)
    having_tree = bench.tree
    without, having = [], []
    for number in range(extent.rounds):
        bench.tree = without_tree
        without.append(bench.run(BY_SRC, plain, changes=False))
        bench.tree = having_tree
        having.append(bench.run(BY_SRC, certified, changes=False))
        _say(f"round {number + 1} unchanged: {without[-1].seconds:.2f} s without, {having[-1].seconds:.2f} s with certificates")
    return without, having


def report(extent: Extent, fresh: list[Fresh], unchanged: tuple[list[Taken], list[Taken]]) -> Iterator[str]:
    made, written, more = (median(values) for values in zip(*((one.made, one.written, _more(one)) for one in fresh), strict=True))
    limit = 1.5 * made + written
    without, having = ([median(taken[clock] for taken in cases) for clock in (0, 1)] for cases in unchanged)
    yield f"{'':56}{'seconds':>9}{'at most':>9}"
    yield f"{f'{extent.fresh:,} ECDSA keys and signatures, bare, all cores':56}{made:>9.2f}"
    yield f"{'  the same on one core':56}{median(one.alone for one in fresh):>9.2f}"
    yield f"{f'{2 * extent.fresh:,} files written, bare':56}{written:>9.2f}"
    yield f"{f'{extent.fresh:,} domains fresh, without certificates':56}{median(one.without.seconds for one in fresh):>9.2f}"
    yield f"{f'{extent.fresh:,} domains fresh, with certificates':56}{median(one.having.seconds for one in fresh):>9.2f}"
    yield f"{'  more than without':56}{more:>9.2f}{limit:>9.2f}  {_verdict(more, limit)}"
    yield f"{f'{extent.unchanged:,} domains unchanged, without certificates':56}{without[0]:>9.2f}"
    yield f"{f'{extent.unchanged:,} domains unchanged, each certificate looked at':56}{having[0]:>9.2f}"
    difference, processor = (with_them - without_them for with_them, without_them in zip(having, without, strict=True))
    verdict = f"{_verdict(difference, ALLOWED)}  ({processor:.2f} s of processor time)"
    yield f"{'  more than without':56}{difference:>9.2f}{ALLOWED:>9.2f}  {verdict}"


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
