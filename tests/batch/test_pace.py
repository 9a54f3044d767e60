"""The model of time and memory: by hand, its laws, its file; archives on a cluster."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsikit.batch.calibration import Spent, costs_of, padded, sampled, smallest
from hsikit.batch.pace import MARK, Pace, read_pace, write_pace
from hsikit.batch.sizing import parse_rate, parse_size, size_archive
from hsikit.engine.plan import Plan
from hsikit.errors import OptionError, OutputError
from hsikit.geo.grid import Window

PACE = Pace("classify", "a.tif", 1000, 500, 200, 1, 2.0, 0.5, 3e-6, 1e-6, 8e-6, 1e-6, 1.25, 1.5, 300.0, 0.5, 2.0, 300, 500)


def test_a_scene_by_hand() -> None:
    assert PACE.seconds(10**6, threads=1, cores=2) == pytest.approx(0.5 + 1.25 * 8 + 1)  # computing
    assert PACE.seconds(10**6, threads=4, cores=8) == pytest.approx(0.5 + 1.25 * 3 + 1)  # reading
    assert PACE.seconds(10**6, threads=4, cores=2) == pytest.approx(0.5 + 5 + 1)  # the cores
    assert PACE.seconds(10**6, threads=4, cores=8, sharing=3) == pytest.approx(0.5 + 1.25 * 5 + 1)  # one disk for three
    assert PACE.processor_seconds(10**6) == pytest.approx(0.5 + 2 + 8 + 1)


@given(st.integers(1, 10**8), st.integers(1, 64), st.integers(1, 64), st.integers(1, 64), st.integers(1, 64))
def test_more_hands_never_take_longer(pixels: int, threads: int, cores: int, sharing: int, more: int) -> None:
    base = PACE.seconds(pixels, threads=threads, cores=cores, sharing=sharing)
    assert PACE.seconds(pixels, threads=threads + more, cores=cores + more, sharing=sharing) <= base
    assert PACE.seconds(pixels, threads=threads, cores=cores, sharing=sharing + more) >= base
    assert base >= PACE.fixed + pixels * PACE.tail


def test_its_file(tmp_path: Path) -> None:
    path = tmp_path / "pace.json"
    write_pace(path, PACE)
    write_pace(path, replace(PACE, threads=2))
    assert read_pace(path) == replace(PACE, threads=2) and [file.name for file in tmp_path.iterdir()] == ["pace.json"]
    good = json.loads(path.read_text())
    for change, said in (({"read": -1}, "'?read'?"), ({"task": 3}, "task"), ({"more": 1}, "more"), ({MARK: 9}, "this version"), ({"peak": True}, "peak")):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(OptionError, match=said):
            read_pace(path)
    for text in ("[]", "no", json.dumps({**good, "wait": float("nan")})):
        path.write_text(text)
        with pytest.raises(OptionError, match="it is no pace"):
            read_pace(path)
    with pytest.raises(OptionError, match="cannot be read"):
        read_pace(tmp_path / "none.json")
    (tmp_path / "mine.json").write_text("{}")
    with pytest.raises(OutputError, match="exists already"):
        write_pace(tmp_path / "mine.json", PACE)
    write_pace(tmp_path / "mine.json", PACE, overwrite=True)


def test_costs_lie_on_a_line() -> None:
    """A scene of fixed and linear costs gives back what it was made with, a disturbed sample among quiet ones."""

    def run(pixels: int, late: float = 1.0) -> Spent:
        return Spent(
            1, pixels, 0.2 + late * 6e-6 * pixels, 0.1 + late * 1e-6 * pixels, 0.05 + 7e-6 * pixels, 2e-6 * pixels, 1e-6 * pixels, 0, 3 * pixels, pixels
        )

    costs = costs_of(run(1000), [run(50_000, 1.5), run(50_000), run(50_000, 1.1)], threads=1, tile=0)
    assert costs.read == pytest.approx(2e-6) and costs.wait == pytest.approx(1e-6) and costs.work == pytest.approx(6e-6)
    assert costs.tail == pytest.approx(1e-6) and costs.fixed == pytest.approx(0.3) and costs.output == pytest.approx(3)
    assert 1.0 <= costs.stretch <= 1.01


def test_the_tail_counts_by_whole_blocks_and_the_first_tiles_reading_is_no_lag() -> None:
    def run(pixels: int, blocks: int) -> Spent:
        # 1 us to read and 4 us to compute a pixel; nothing is computed while the first 10,000 pixels are read.
        return Spent(1, pixels, 4e-6 * pixels + 1e-6 * min(pixels, 10_000), 2e-7 * blocks, 5e-6 * pixels, 1e-6 * pixels, 1e-6 * pixels, padded=blocks)

    costs = costs_of(run(100, 65_536), [run(20_000, 327_680)], threads=1, tile=10_000)
    assert costs.tail == pytest.approx(2e-7) and costs.stretch == pytest.approx(1, abs=0.01)
    assert costs_of(run(100, 65_536), [run(20_000, 327_680)], threads=1, tile=0).stretch > 1.1
    assert padded((1, 257)) == 256 * 512


@given(st.integers(1, 3000), st.integers(1, 900), st.integers(1, 512), st.sampled_from([1, 16, 256, 4000]))
def test_samples_lie_in_the_area_apart_and_evenly(rows: int, cols: int, tile: int, block: int) -> None:
    area, plan = Window(40, 7, rows, cols), Plan((min(tile, rows), min(tile, cols)), 1, {}, 0, 0, 0, 0)
    parts = sampled(area, plan, block)
    assert all(part.intersect(area) == part and part.cols == cols for part in parts)
    assert all(one.row_end <= two.row for one, two in pairwise(parts))
    middle = sum(part.row + part.rows / 2 for part in parts) / len(parts) - area.row
    assert abs(middle - rows / 2) <= max(block if block < rows else 1, 1) + 1
    assert smallest(area, plan).intersect(area) == smallest(area, plan)


def test_an_archive_by_hand() -> None:
    found = size_archive(PACE, 100, (1000, 1000, 200), workers=8, threads=2)
    assert found.scene_seconds == pytest.approx(0.5 + 5 + 1)  # two cores for 2 s of reading and 8 s of computing
    assert found.seconds == pytest.approx(2 + 13 * 6.5)
    assert size_archive(replace(PACE, stretch=1.0), 3, (1000, 1000, 200), threads=2).limit == "cores"
    assert found.processor_hours == pytest.approx(100 * 11.5 / 3600)
    assert found.traffic_in == pytest.approx(100 * 300e6 * 1.5) and found.traffic_out == pytest.approx(50e6) and found.working == pytest.approx(16e6)
    assert found.memory == 8 * (300 + 2 * 200)  # strips are twice as wide
    full = size_archive(PACE, 100, (1000, 1000, 200), workers=8, threads=2, bandwidth=45e6)
    assert full.limit == "storage" and full.seconds == pytest.approx(1000) and full.bandwidth == pytest.approx(45e6)
    assert size_archive(replace(PACE, tail=1e-4), 3, (10, 10, 200), workers=8).limit == "writing"
    assert size_archive(PACE, 3, (10, 10, 200), workers=8).workers == 3


def test_sizes_that_are_none() -> None:
    assert parse_size("2000x1000 x 200") == (2000, 1000, 200) and parse_rate("1.5K") == 1536
    for text in ("2000x1000", "0x1x1", "axbxc", "2000x1000x200x1"):
        with pytest.raises(OptionError, match="no size of scenes"):
            parse_size(text)
    with pytest.raises(OptionError, match="no amount of bytes"):
        parse_rate("fast")
    with pytest.raises(OptionError, match="200 bands, and these scenes have 199"):
        size_archive(PACE, 3, (10, 10, 199))
    for name in ("scenes", "workers", "threads", "bandwidth"):
        with pytest.raises(OptionError, match="not above 0"):
            size_archive(PACE, **{"scenes": 3, "size": (10, 10, 200), name: 0})
