"""The fuzzer of products: how a child ended is told, what is found is kept, and a run goes on where it ended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import fuzz_products
from benchmarks.fuzz_products import Result, append, chosen_cases, run_case
from tests.products.registry import CASES

LINES = "import os, signal, sys\nfirst, stop = int(sys.argv[1]), int(sys.argv[2])\n"
BAD = 3


def child(monkeypatch: pytest.MonkeyPatch, at_bad: str) -> None:
    """Children that say "error" of every seed, and do something else at one of them."""
    script = f"{LINES}for seed in range(first, stop):\n    if seed == {BAD}:\n        {at_bad}\n    print(seed, 'flip a', 'error', sep='\\t', flush=True)\n"
    monkeypatch.setattr(fuzz_products, "_command", lambda case, start, stop: [sys.executable, "-c", script, str(start), str(stop)])


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("os.kill(os.getpid(), signal.SIGPROF)", "a hang (20 s of processor time)"),
        ("os.kill(os.getpid(), signal.SIGALRM)", "a hang (waited for 300 s)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "a crash (-11)"),
        ("os._exit(7)", "a crash (7)"),
        ("signal.pause()", "outlived its limits"),
    ],
)
def test_the_end_of_a_child_is_a_finding_and_the_run_goes_on(monkeypatch: pytest.MonkeyPatch, ending: str, told: str) -> None:
    child(monkeypatch, ending)
    monkeypatch.setattr(fuzz_products, "BATCH_SECONDS", 2)
    result = run_case(CASES[0], range(1, 8))
    assert result.findings == [f"{CASES[0].name} seed {BAD}: {told}"]
    assert result.counts == {"error": 6, "finding": 1}


def test_only_the_processor_s_time_counts_against_an_opening() -> None:
    script = "from benchmarks.fuzz_products import _limit\nimport time\n_limit(0.3, 60)\n{}\nprint('done')"
    ended = {}
    for name, work in (("waits", "time.sleep(1)"), ("works", "while True: pass")):
        ended[name] = fuzz_products.subprocess.run([sys.executable, "-c", script.format(work)], capture_output=True, text=True, check=False)
    assert ended["waits"].stdout == "done\n"
    assert fuzz_products.HANGS[ended["works"].returncode].startswith("a hang")


def test_findings_are_rows_of_a_table_that_grows(tmp_path: Path) -> None:
    table = tmp_path / "findings.md"
    for name in ("one", "two"):
        result = Result(name, range(5, 8))
        result.add(5, "flip a.h5", "error")
        result.add(6, "flip a.h5", "cube")
        result.add(7, "flip a.h5", "KeyError: 'a|b'")
        append(table, result.row())
    lines = table.read_text().splitlines()
    assert lines[-2:] == [rf"| {name} | 5 to 7 | 1 | 1 | {name} seed 7 (flip a.h5): KeyError: 'a\|b' |" for name in ("one", "two")]
    assert sum(line.startswith("| product") for line in lines) == 1
    assert "HDF5" in table.read_text()


def test_a_run_goes_on_from_a_case() -> None:
    names = [case.name for case in CASES]
    assert [case.name for case in chosen_cases(None, names[4])] == names[4:]
    assert [case.name for case in chosen_cases([names[1], names[6]], names[4])] == [names[6]]
    assert len(chosen_cases(None, None)) == len(names)
    with pytest.raises(SystemExit, match="no case is called 'none'"):
        chosen_cases(None, "none")
