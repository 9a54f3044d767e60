"""Damaged products: bytes are flipped, cut off and shuffled, and opening must give an error of ours or a cube of the right shape.

    python -m benchmarks.fuzz_products --runs 2000 --seed 0
    python -m benchmarks.fuzz_products --cases landsat-8-l2sp --runs 50 --only 17      # one damage again, in this process
    python -m benchmarks.fuzz_products --into findings.md --from enmap-l1c --jobs 2    # goes on, from that product

Each product of `tests/products` is built once; then one of its files is damaged, again and again, in child processes that may take
so much processor time, time and memory. Without `--runs` a product is damaged 2,000 times where real files of it were at hand, 1,000
times where its metadata is real, else 200 times. What is found (a crash, a hang, another error, a wrong shape or axis) is printed with
its seed as each product ends, and added to the table that `--into` names.
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
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
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
"""Processor time and memory that one opening may take."""
WAITED = 300
"""Seconds on the clock after which an opening that uses no processor is a hang, too: generous, for machines with other work."""
BATCH_SECONDS = 3600
"""After which a child is ended that outlived both."""
HANGS = {-signal.SIGPROF: f"a hang ({SECONDS} s of processor time)", -signal.SIGALRM: f"a hang (waited for {WAITED} s)", None: "outlived its limits"}
"""What the end of a child means; None for one that had to be ended."""
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
            _limit(SECONDS, WAITED)
            found = judge(built, path)
            _limit(0, 0)
            shutil.rmtree(into)
            print(f"{seed}\t{how}\t{found}", flush=True)


def _limit(processor: float, clock: float) -> None:
    """Ends this process after so many seconds of work, or of waiting; 0 for never. No handler of Python's: it would wait for the library to return."""
    signal.setitimer(signal.ITIMER_PROF, processor)
    signal.setitimer(signal.ITIMER_REAL, clock)


@dataclass
class Result:
    """What the damages of a case gave.

    Attributes:
        name: of the case.
        seeds: of the damages.
        counts: of "error", "cube" and "finding".
        findings: a line for each.
        seconds: on the clock.
    """

    name: str
    seeds: range
    counts: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, seed: int | str, how: str, found: str) -> None:
        """Counts one damage."""
        self.counts[found if found in FINE else "finding"] += 1
        if found not in FINE:
            self.findings.append(f"{self.name} seed {seed}{f' ({how})' if how else ''}: {found}")

    def row(self) -> str:
        """A line of the table in Markdown."""
        seeds = f"{self.seeds.start} to {self.seeds.stop - 1}"
        found = "<br>".join(line.replace("|", "\\|") for line in self.findings) or "none"
        return f"| {self.name} | {seeds} | {self.counts['error']} | {self.counts['cube']} | {found} |\n"


def run_case(case: Case, seeds: range) -> Result:
    """All damages of a case, in child processes; what was found."""
    result, begun, start = Result(case.name, seeds), time.perf_counter(), seeds.start
    while start < seeds.stop:
        stop = min(start + BATCH, seeds.stop)
        output, code = _child(case, start, stop)
        lines = [line.split("\t") for line in output.splitlines() if line.count("\t") == 2]
        for seed, how, found in lines:
            result.add(seed, how, found)
        start += len(lines)
        if start < stop:  # the child ended at this seed
            result.add(start, "", HANGS.get(code, f"a crash ({code})"))
            start += 1
    result.seconds = time.perf_counter() - begun
    return result


def _child(case: Case, start: int, stop: int) -> tuple[str, int | None]:
    """What a child process printed, and how it ended; None where it had to be ended."""
    with subprocess.Popen(_command(case, start, stop), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
        try:
            return child.communicate(timeout=BATCH_SECONDS)[0], child.returncode
        except subprocess.TimeoutExpired:
            child.kill()
            return child.communicate()[0], None


def _command(case: Case, start: int, stop: int) -> list[str]:
    return [sys.executable, "-m", "benchmarks.fuzz_products", "--cases", case.name, "--worker", str(start), str(stop)]


def chosen_cases(names: Sequence[str] | None, first: str | None) -> list[Case]:
    """The cases of these names, in the order of all; those from `first` on.

    Raises:
        SystemExit: there is no case of a name.
    """
    known = [case.name for case in CASES]
    for name in (*(names or ()), *([first] if first else ())):
        if name not in known:
            raise SystemExit(f"no case is called {name!r}; they are {', '.join(known)}")
    cases = [case for case in CASES if names is None or case.name in names]
    return cases if first is None else [case for case in cases if known.index(case.name) >= known.index(first)]


def append(table: Path, text: str) -> None:
    """Adds lines to the table, which begins with what it was made by."""
    if not table.exists():
        import h5py
        import rasterio

        versions = f"h5py {h5py.version.version} with HDF5 {h5py.version.hdf5_version}, rasterio {rasterio.__version__} with GDAL {rasterio.__gdal_version__}"
        table.write_text(
            f"# Damaged products\n\nMade by `python -m benchmarks.fuzz_products --into {table.name}`; {versions}.\n\n"
            "| product | seeds | errors of ours | right cubes | findings |\n|---|---|---|---|---|\n",
            encoding="utf-8",
        )
    with table.open("a", encoding="utf-8") as file:
        file.write(text)


def main() -> int:
    """Prints a table, and what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="*", metavar="NAME", help="default: all")
    parser.add_argument("--from", dest="first", metavar="NAME", help="the first of the cases, in the order of all: a run that ended there goes on")
    parser.add_argument("--jobs", type=int, default=1, help="cases at the same time")
    parser.add_argument("--into", type=Path, metavar="FILE", help="a table in Markdown to which each case's line is added as it ends")
    parser.add_argument("--runs", type=int, help="damages of each product; default: by what it was held against")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--only", type=int, metavar="SEED", help="one damage, in this process")
    parser.add_argument("--worker", type=int, nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    cases = chosen_cases(given.cases, given.first)
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
    with ThreadPoolExecutor(given.jobs) as pool:
        runs = {case: given.runs or RUNS.get(states.get(case.driver, ""), OTHER_RUNS) for case in cases}
        for done in as_completed([pool.submit(run_case, case, range(given.seed, given.seed + runs[case])) for case in cases]):
            result = done.result()
            found += result.findings
            numbers = f"{len(result.seeds):>6} {result.counts['error']:>7} {result.counts['cube']:>7} {len(result.findings):>9} {result.seconds:>8.1f}"
            print("\n".join([f"{result.name:<36} {numbers}", *(f"  {line}" for line in result.findings)]), flush=True)
            if given.into is not None:
                append(given.into, result.row())
    print(f"{len(found)} findings" if found else "nothing was found")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
