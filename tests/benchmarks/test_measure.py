"""Measuring a process: what it spends and what it occupies."""

import subprocess
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.measure import MIB, Inside, Spent, run_fresh


def module(tmp_path, monkeypatch, body):
    (tmp_path / "work.py").write_text(textwrap.dedent(body))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{subprocess.os.getcwd()}")
    return "work"


def test_clock_adds_cpu_of_all_blocks():
    spent = Spent()
    for _ in range(2):
        with spent.clock():
            sum(range(300_000))
    assert spent.cpu > 0
    assert spent.wall > 0
    idle = Spent()
    assert (idle.cpu, idle.wall) == (0, 0)


def test_inside_counts_the_calling_threads_alone():
    inside = Inside()

    def work(seconds, *, fail=False):
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            pass
        if fail:
            raise ZeroDivisionError
        return seconds

    timed = inside.timed(work)
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(timed, [0.01, 0.02, 0.03])) == [0.01, 0.02, 0.03]
    with pytest.raises(ZeroDivisionError):
        timed(0.02, fail=True)
    work(0.2)
    assert 0.08 <= inside.seconds < 0.2


def test_peak_is_of_the_process_alone_and_seen_after_memory_is_freed(tmp_path, monkeypatch):
    body = """
        from benchmarks.measure import peak_bytes, tell
        import sys, time
        held = bytearray(int(sys.argv[1]))
        for i in range(0, len(held), 4096):
            held[i] = 1
        time.sleep(0.3)
        del held
        tell(peak=peak_bytes())
    """
    name = module(tmp_path, monkeypatch, body)
    ballast = bytearray(b"1") * (400 * MIB)  # what the parent holds must not count
    small, large = (run_fresh(name, size * MIB) for size in (1, 200))
    assert len(ballast) == 400 * MIB
    assert small["peak"] < 150 * MIB
    assert 195 * MIB < large["peak"] - small["peak"] < 215 * MIB
    assert large["own"] >= 200 * MIB


def test_threads_are_set_for_the_child(tmp_path, monkeypatch):
    name = module(tmp_path, monkeypatch, 'import os\nfrom benchmarks.measure import tell\ntell(threads=os.environ["OMP_NUM_THREADS"])\n')
    assert run_fresh(name, threads=3)["threads"] == "3"


def test_failure_shows_what_the_child_wrote(tmp_path, monkeypatch):
    name = module(tmp_path, monkeypatch, 'raise SystemExit("no such scene")\n')
    with pytest.raises(RuntimeError, match="no such scene"):
        run_fresh(name)
