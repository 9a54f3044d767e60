"""Damaged products: bytes are flipped, cut off and shuffled, and opening must give an error of ours or a cube of the right shape.

    python -m benchmarks.fuzz_products --runs 2000 --seed 0
    python -m benchmarks.fuzz_products --cases landsat-8-l2sp --runs 50 --only 17      # one damage again, in this process

Each product of `tests/products` is built once; then one of its files is damaged, again and again, in child processes that may take
so much time and memory. Without `--runs` a product is damaged 2,000 times where real files of it were at hand, 1,000 times where its
metadata is real, else 200 times. What is found (a crash, a hang, another error, a wrong shape or axis) is printed with its seed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from hsikit.errors import HsikitError
from hsikit.scene import read_window
from hsikit.sensors import open_source
from hsikit.sensors.products import METADATA, PRODUCTS, REAL
from tests.products.case import Built, Case
from tests.products.registry import CASES

RUNS = {REAL: 2000, METADATA: 1000}
OTHER_RUNS = 200
BATCH = 100
SECONDS, BYTES = 20, 4 << 30
"""What one opening may take."""
PLAUSIBLE = (100.0, 50_000.0)  # nm
FINE = ("error", "cube")


def damage(path: Path, rng: np.random.Generator) -> str:
    """Damages one file; returns how."""
    data = bytearray(path.read_bytes())
    kind = ("flip", "flip", "truncate", "shuffle", "zero")[int(rng.integers(5))] if data else "none"
    if kind == "flip":
        for _ in range(int(rng.integers(1, 9))):
            data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    elif kind == "truncate":
        del data[int(rng.integers(len(data))) :]
    elif kind == "shuffle":
        length = int(rng.integers(1, max(2, len(data) // 4)))
        one, two = (int(rng.integers(0, max(1, len(data) - length))) for _ in range(2))
        data[one : one + length], data[two : two + length] = data[two : two + length], data[one : one + length]
    elif kind == "zero":
        start = int(rng.integers(len(data)))
        length = min(int(rng.integers(1, 64)), len(data) - start)
        data[start : start + length] = bytes(length)
    path.write_bytes(bytes(data))
    return f"{kind} {path.name}"


def damaged(built: Built, root: Path, into: Path, seed: int) -> tuple[Path, str]:
    """A copy of a product with one file damaged: what a user would open, and how it was damaged."""
    rng = np.random.default_rng(seed)
    shutil.copytree(root, into)
    files = sorted(path for path in into.rglob("*") if path.is_file())
    how = damage(files[int(rng.integers(len(files)))], rng)
    return into / built.path.relative_to(root), how


def judge(built: Built, path: Path) -> str:
    """What opening and reading gives: "error" (one of ours), "cube" (of the right shape and axis), or what is wrong."""
    try:
        source = open_source(path, **built.options)
        info = source.info
        if (len(info.bands), *info.grid.shape) != built.truth.shape:
            return f"wrong shape {(len(info.bands), *info.grid.shape)} for {built.truth.shape}"
        centres = info.bands.wavelength
        if not np.isnan(built.wavelength).all() and not (np.diff(centres) > 0).all():
            return "axis does not ascend"
        if not np.isnan(built.wavelength).all() and not (centres.min() > PLAUSIBLE[0] and centres.max() < PLAUSIBLE[1]):
            return f"implausible axis {centres.min():g} to {centres.max():g}"
        read_window(source, info.grid.whole)
        if info.quality is not None:
            info.quality.read(info.grid.whole)
        if info.swath is not None:
            info.swath.locate(info.grid.whole)
            if info.swath.table is not None and info.swath.table.grid.whole.size < 10**7:
                info.swath.table.read(info.swath.table.grid.whole)
        source.close()
    except HsikitError:
        return "error"
    except Exception as error:  # what the fuzzer looks for
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return "cube"


def work(case: Case, seeds: range) -> None:
    """Runs damages in this process, a line of output for each."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "whole"
        root.mkdir()
        built = case.build(root)
        for seed in seeds:
            into = Path(folder) / "damaged"
            path, how = damaged(built, root, into, seed)
            signal.alarm(SECONDS)
            found = judge(built, path)
            signal.alarm(0)
            shutil.rmtree(into)
            print(f"{seed}\t{how}\t{found}", flush=True)


def run_case(case: Case, seeds: range) -> tuple[Counter[str], list[str]]:
    """All damages of a case, in child processes; what was found."""
    counts: Counter[str] = Counter()
    findings: list[str] = []
    start = seeds.start
    while start < seeds.stop:
        stop = min(start + BATCH, seeds.stop)
        command = [sys.executable, "-m", "benchmarks.fuzz_products", "--cases", case.name, "--worker", str(start), str(stop)]
        child = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=BATCH * SECONDS * 2, check=False)
        lines = [line.split("\t") for line in child.stdout.splitlines() if line.count("\t") == 2]
        for seed, how, found in lines:
            counts[found if found in FINE else "finding"] += 1
            if found not in FINE:
                findings.append(f"{case.name} seed {seed} ({how}): {found}")
        start += len(lines)
        if start < stop:  # the child died at this seed
            name = "a hang" if child.returncode == -signal.SIGALRM else f"a crash ({child.returncode})"
            counts["finding"] += 1
            findings.append(f"{case.name} seed {start}: {name}")
            start += 1
    return counts, findings


def main() -> int:
    """Prints a table, and what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", default=[case.name for case in CASES], metavar="NAME")
    parser.add_argument("--runs", type=int, help="damages of each product; default: by what it was held against")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--only", type=int, metavar="SEED", help="one damage, in this process")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    cases = [case for case in CASES if case.name in given.cases]
    if given.worker:
        with open(os.devnull, "w") as nothing, contextlib.redirect_stderr(nothing):  # noqa: PTH123
            work(cases[0], range(*given.worker))
        return 0
    if given.only is not None:
        for case in cases:
            work(case, range(given.only, given.only + 1))
        return 0
    states = {product.name: product.state for product in PRODUCTS}
    found: list[str] = []
    print(f"{'product':<36} {'runs':>6} {'errors':>7} {'cubes':>7} {'findings':>9} {'seconds':>8}")
    for case in cases:
        runs, begun = given.runs or RUNS.get(states.get(case.driver, ""), OTHER_RUNS), time.perf_counter()
        counts, findings = run_case(case, range(given.seed, given.seed + runs))
        found += findings
        print(f"{case.name:<36} {runs:>6} {counts['error']:>7} {counts['cube']:>7} {counts['finding']:>9} {time.perf_counter() - begun:>8.1f}", flush=True)
    print("\n".join(found) or "nothing was found")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
