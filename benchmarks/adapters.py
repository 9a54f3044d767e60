"""What each spectral adapter costs on one tile, beside the figures of the releases that they come from.

Parameters, floating point operations (two for a multiplication and addition; matrix products, convolutions and attention are counted),
the fastest of some runs, and the memory above what the process held with the adapter and the tile. Each adapter has a process of its
own. The figures of the releases were measured on another machine at their own sizes; operations per pixel can be compared, times cannot.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.measure import MIB, run_fresh, tell

FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "grid": ("grid", {}),
    "hyper": ("hyper", {}),
    "hyper mlp": ("hyper", {"form": "mlp"}),
    "ranges": ("ranges", {}),
    "conv": ("conv", {}),
    "channel": ("channel", {}),
    "pixel": ("pixel", {}),
}
"""Rows of the table: adapter and options."""

RELEASED = (
    ("conv", "SpectralEarth, adapter alone", "202 x 128 x 128", 56_192, 6.74, 128 * 128, 0.73),
    ("hyper", "DOFA-S", "202 x 224 x 224", 34_700_000, 21.6, 224 * 224, 3.98),
    ("ranges", "SMARTIES, MAE", "12 x 224 x 224", 116_500_000, 34.4, 224 * 224, 6.37),
    ("channel", "ChannelViT S/8", "202 x 32 x 32", 21_330_000, 330.0, 32 * 32, 18.4),
    ("pixel", "Meta-Transformer", "200 x 1 x 1", 85_224_976, 34.144, 1, 2.892),
    ("", "LESS ViT-B", "202 x 128 x 128", 72_500_000, 1805.0, 128 * 128, 44.3),
)
"""Adapter, release, its size, parameters, GFLOP, pixels, seconds; whole encoders where nothing else is said."""


def tile(bands: int, rows: int, cols: int, device: str) -> tuple[Any, ...]:
    """A window from 405 to 2495 nm and what is known of its bands."""
    import torch

    generator = torch.Generator().manual_seed(0)
    window = torch.randn(1, bands, rows, cols, generator=generator).to(device)
    wavelength = torch.linspace(405, 2495, bands, device=device)
    return window, wavelength, torch.full_like(wavelength, 2100 / bands), torch.ones(bands, dtype=torch.bool, device=device)


def flops(name: str, bands: int, rows: int, cols: int) -> int:
    """Floating point operations of one tile."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from hsikit.nn.adapters import build_adapter

    adapter, options = FORMS[name]
    model = build_adapter(adapter, **options).eval()
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(*tile(bands, rows, cols, "cpu"))
    return counter.get_total_flops()


def measure(name: str, args: argparse.Namespace) -> None:
    """Tells what one adapter costs, in this process."""
    import torch

    from hsikit.nn.adapters import build_adapter

    adapter, options = FORMS[name]
    model = build_adapter(adapter, **options).eval().to(args.device)
    given = tile(args.bands, args.rows, args.cols, args.device)
    small = tile(args.bands, 8, 8, args.device)
    on_gpu = args.device != "cpu"
    seconds = []
    with torch.no_grad():
        model(*small)
        before = torch.cuda.memory_allocated() if on_gpu else anonymous_memory()
        for _ in range(args.runs):
            start = time.perf_counter()
            model(*given)
            if on_gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if on_gpu else 0
    tell(before=before, peak=peak, seconds=min(seconds), parameters=sum(p.numel() for p in model.parameters()))


def anonymous_memory() -> int:
    """Anonymous memory of this process now."""
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, value in (("bands", 224), ("rows", 128), ("cols", 128), ("runs", 3)):
        parser.add_argument(f"--{option}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", choices=FORMS, help="measure this one in this process")
    args = parser.parse_args()
    if args.one:
        measure(args.one, args)
        return
    pixels = args.rows * args.cols
    size = f"{args.bands} x {args.rows} x {args.cols}"
    print(f"{size} on {args.device}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':12}{'':30}{'bands and pixels':>18}{'parameters':>13}{'GFLOP':>9}{'kFLOP/pixel':>13}{'ms':>9}{'MiB':>8}")
    for name in FORMS:
        told = run_fresh("benchmarks.adapters", *sys.argv[1:], "--one", name)
        count = flops(name, args.bands, args.rows, args.cols)
        held = (max(told["peak"], 0 if told["peak"] else told["own"]) - told["before"]) / MIB
        print(line(name, "hsikit", size, told["parameters"], count / 1e9, pixels, told["seconds"]) + f"{held:8.0f}", flush=True)
    print("releases:")
    for row in RELEASED:
        print(line(*row))


def line(name: str, who: str, size: str, parameters: int, gflop: float, pixels: int, seconds: float) -> str:
    """One row of the table."""
    return f"{name:12}{who:30}{size:>18}{parameters:13,}{gflop:9.2f}{gflop * 1e6 / pixels:13,.0f}{1000 * seconds:9.0f}"


if __name__ == "__main__":
    main()
