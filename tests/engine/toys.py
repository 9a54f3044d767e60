"""Jobs of every shape, small enough to check by hand, over one odd scene."""

import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from hsikit.geo.grid import Grid, Window
from hsikit.layers import Features, Layer
from hsikit.method import Cost, Finish, Fit, Input, Job, Loop, Map, Reduce
from hsikit.scene import Bands, Decoding, Raw, SceneInfo

ROWS, COLS, BANDS = 83, 61, 7


class Memory:
    """A source over an array in memory that counts what is read."""

    def __init__(self, values, grid=None, block=(1, 61), nodata=-9999.0):
        bands = len(values)
        self.values, self.block, self.reads = values, block, []
        spectral = Bands(np.linspace(450, 900, bands), np.full(bands, 10.0), np.ones(bands, bool), tuple(f"b{i}" for i in range(bands)))
        grid = grid or Grid(values.shape[1:], (30.0, 0, 400_000.0, 0, -30.0, 5_800_000.0), "EPSG:32633")
        self.info = SceneInfo("memory", grid, spectral, str(values.dtype), "memory", identity=("memory", values.tobytes()[:64].hex()), nodata=nodata)

    def read(self, window, bands):
        self.reads.append(window)
        rows, cols = window.slices()
        return Raw(self.values[np.asarray(bands)][:, rows, cols], window, Decoding(nodata=self.info.nodata))

    def close(self):
        pass


def odd_scene(seed=0, rows=ROWS, cols=COLS, bands=BANDS):
    """int16 with a hole, a missing row, and single missing bands."""
    rng = np.random.default_rng(seed)
    values = rng.integers(100, 5000, (bands, rows, cols)).astype("int16")
    values[:, : rows // 5, : cols // 4] = -9999
    values[:, rows // 2] = -9999
    values[3, rows - 5, cols - 4] = -9999
    return values


def job(stages, layers, halo=(0, 0), bands=BANDS, fill=False):
    inputs = {"cube": Input(tuple(range(bands)), fill)}
    return Job("toy", {"stages": [s.name for s in stages]}, "cube", inputs, tuple(layers), tuple(stages), lambda shape: Cost(shape[0] * shape[1] * 64))


def box(values: Tensor, valid: Tensor, radius: int) -> Tensor:
    """Mean over the valid pixels of a window, core only."""
    kernel = torch.ones(1, 1, 2 * radius + 1, 2 * radius + 1)
    total = torch.nn.functional.conv2d(torch.where(valid, values, 0.0).nan_to_num()[:, None], kernel)
    count = torch.nn.functional.conv2d(valid.float()[None, None], kernel)
    return (total / count)[:, 0]


def mean_filter(radius=3):
    def apply(tile, store):
        return {"mean": box(tile.arrays["cube"], tile.valid["cube"], radius)}

    return job([Map("mean", ("cube",), ("mean",), apply, halo=(radius, radius))], [Layer("mean", bands=BANDS)])


def standardise():
    def update(tile, store):
        x = tile.inner("cube")[:, tile.inner_valid("cube")].double().nan_to_num()
        return {"n": torch.tensor(float(x.shape[1]), dtype=torch.float64), "sum": x.sum(1), "square": (x * x).sum(1)}

    def finish(partial, store):
        mean = partial["sum"] / partial["n"]
        return {"mean": mean, "sd": (partial["square"] / partial["n"] - mean**2).sqrt()}

    def apply(tile, store):
        s = store["moments"]
        return {"z": ((tile.inner("cube").double() - s["mean"][:, None, None]) / s["sd"][:, None, None]).float()}

    return job([Reduce("moments", ("cube",), update, finish=finish), Map("z", ("cube",), ("z",), apply)], [Layer("z", bands=BANDS)])


def diffusion(steps_per_map=3, iterations=4):
    """A Loop of few-step Maps: k steps of a local solver on halo k are exact."""

    def start(tile, store):
        return {"y": tile.inner("cube")[:1]}

    def apply(tile, store):
        y = tile.arrays["y"][0]
        for _ in range(steps_per_map):
            known = ~y.isnan()
            full = torch.where(known, y, 0.0)
            total, count = torch.zeros_like(full), torch.zeros_like(full)
            for axis, shift in ((0, 1), (0, -1), (1, 1), (1, -1)):
                near, there = torch.roll(full, shift, axis), torch.roll(known, shift, axis).float()
                total, count = total + near * there, count + there
            y = torch.where(known, 0.5 * full + 0.5 * torch.where(count > 0, total / count.clamp(min=1), full), torch.nan)
        return {"y": y[None][(slice(None), *tile.cores["y"])]}

    loop = Loop("loop", (Map("step", ("y",), ("y",), apply, halo=(steps_per_map + 1, steps_per_map + 1)),), iterations)
    return job([Map("start", ("cube",), ("y",), start), loop], [Layer("y")])


def finer(zoom):
    def apply(tile, store):
        values = tile.inner("cube")[:2]
        fine = Fraction(zoom)
        rows = range(int(tile.core.row * fine + Fraction(1, 2)), int(tile.core.row_end * fine + Fraction(1, 2)))
        cols = range(int(tile.core.col * fine + Fraction(1, 2)), int(tile.core.col_end * fine + Fraction(1, 2)))
        r = torch.tensor([math.ceil((i + Fraction(1, 2)) / fine) - 1 - tile.core.row for i in rows])
        c = torch.tensor([math.ceil((i + Fraction(1, 2)) / fine) - 1 - tile.core.col for i in cols])
        return {"fine": values[:, r][:, :, c]}

    return job([Map("fine", ("cube",), ("fine",), apply)], [Layer("fine", bands=2, zoom=Fraction(zoom))])


def columns():
    """Column statistics: the mean of each detector is subtracted."""

    def apply(tile, store):
        x = tile.inner("cube")
        return {"flat": x - x.nanmean(1, keepdim=True)}

    return job([Map("flat", ("cube",), ("flat",), apply, footprint="columns")], [Layer("flat", bands=BANDS)])


def learning(steps=6):
    """A Fit that walks a number towards the scene's mean, then a Map that subtracts it."""

    def step(state, reader, number, store):
        rng = np.random.default_rng(number)
        window = Window(int(rng.integers(-3, ROWS)), int(rng.integers(-3, COLS)), 8, 8)
        values, valid = reader.window("cube", window)
        found = values[0][valid]
        mean = found.double().mean() if len(found) else state["level"]
        return {"level": state["level"] + 0.3 * (mean - state["level"])}

    def apply(tile, store):
        return {"rest": tile.inner("cube")[:1] - store["fit"]["level"].float()}

    fit = Fit("fit", ("cube",), lambda store: {"level": torch.zeros((), dtype=torch.float64)}, step, steps)
    return job([fit, Map("rest", ("cube",), ("rest",), apply)], [Layer("rest")])


def brightest():
    """Finish: the position of the brightest pixel, from strips."""

    def apply(tile, store):
        return {"first": tile.inner("cube")[:1]}

    def run(strips, store):
        best, place = -np.inf, (0, 0)
        for window, arrays in strips.strips("first"):
            values = np.nan_to_num(arrays["first"][0], nan=-np.inf)
            row, col = np.unravel_index(values.argmax(), values.shape)
            if values[row, col] > best:
                best, place = float(values[row, col]), (window.row + int(row), int(col))
        x, y = strips.grid.centres(*place)
        return {"best": torch.tensor(best)}, {"peak": Features({"value": np.array([best])}, np.array([[x, y]]), strips.grid.crs)}

    stages = [Map("copy", ("cube",), ("first",), apply), Finish("peak", ("first",), run)]
    return job(stages, [Layer("first"), Layer("peak", kind="vector")])


SHAPES = {
    "halo": mean_filter, "statistics": standardise, "loop": diffusion, "zoom 2": lambda: finer(2), "zoom 5/2": lambda: finer(Fraction(5, 2)),
    "columns": columns, "fit": learning, "finish": brightest,
}  # fmt: skip
