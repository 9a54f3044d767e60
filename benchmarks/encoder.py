"""What each preset of the encoder costs on one tile, beside the figures of the releases that they come from.

Counted and measured as `benchmarks.adapters` does, with the operations of attention. Under the table: how many times fewer operations the presets
that are to be cheap take than the released LESS ViT-B at its 202 bands and 128 x 128 pixels.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from benchmarks.adapters import RELEASED, anonymous_memory, line, tile
from benchmarks.measure import MIB, run_fresh, tell

if TYPE_CHECKING:
    from hsikit.nn.encoder import Encoder

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "tiny": ("tiny", {}),
    "small": ("small", {}),
    "base": ("base", {}),
    "ranges": ("small", {"adapter": "ranges"}),
    "convnext": ("convnext", {}),
    "poolformer": ("poolformer", {}),
    "davit": ("davit", {}),
    "swin": ("swin", {}),
    "segformer": ("segformer", {}),
    "vit": ("vit", {}),
    "spectralgpt": ("spectralgpt", {}),
    "less": ("less", {}),
    "less-pooled": ("less-pooled", {}),
    "mamba": ("mamba", {}),
    "morpmamba": ("morpmamba", {}),
    "paper": ("morpmamba-paper", {}),
}
"""Rows of the table: preset and changes."""

MORE_RELEASED = (
    ("conv", "SpectralEarth ViT-S", "202 x 128 x 128", 22_530_000, 51.9, 128 * 128, 3.03),
    ("conv", "SpectralEarth ViT-B", "202 x 128 x 128", 87_470_000, 184.0, 128 * 128, 6.49),
    ("joint", "SpectralGPT ViT-B", "12 x 128 x 128", 85_998_000, 212.9, 128 * 128, 7.11),
    ("less", "LESS ViT-S", "202 x 128 x 128", 21_050_000, 481.6, 128 * 128, 23.7),
)
"""As `RELEASED`."""

CHEAP, LESS_GFLOP, LESS_SIZE = ("ranges", "less", "less-pooled"), 1805.0, (202, 128, 128)


def built(name: str) -> Encoder:
    """The encoder of a row."""
    from hsikit.nn.encoder import build_encoder

    preset, changes = ROWS[name]
    return build_encoder(preset, **changes).eval()


def flops(name: str, bands: int, rows: int, cols: int) -> int:
    """Floating point operations of the dense features of one tile."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:  # the CPU's fused attention is not counted
        built(name).dense(*tile(bands, rows, cols, "cpu"))
    return counter.get_total_flops()


def measure(name: str, args: argparse.Namespace) -> None:
    """Tells what one row costs, in this process."""
    import torch

    model = built(name).to(args.device)
    given, small = tile(args.bands, args.rows, args.cols, args.device), tile(args.bands, 8, 8, args.device)
    on_gpu = args.device != "cpu"
    seconds = []
    with torch.no_grad():
        model.dense(*small)
        before = torch.cuda.memory_allocated() if on_gpu else anonymous_memory()
        for _ in range(args.runs):
            start = time.perf_counter()
            model.dense(*given)
            if on_gpu:
                torch.cuda.synchronize()
            seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if on_gpu else 0
    tell(before=before, peak=peak, seconds=min(seconds), parameters=sum(p.numel() for p in model.parameters()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, value in (("bands", 224), ("rows", 128), ("cols", 128), ("runs", 3)):
        parser.add_argument(f"--{option}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--one", choices=ROWS, help="measure this one in this process")
    args = parser.parse_args()
    if args.one:
        measure(args.one, args)
        return
    size = f"{args.bands} x {args.rows} x {args.cols}"
    print(f"{size} on {args.device}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(f"{'':12}{'':30}{'bands and pixels':>18}{'parameters':>13}{'GFLOP':>9}{'kFLOP/pixel':>13}{'ms':>9}{'MiB':>8}")
    for name in ROWS:
        told = run_fresh("benchmarks.encoder", *sys.argv[1:], "--one", name)
        count = flops(name, args.bands, args.rows, args.cols)
        held = (max(told["peak"], 0 if told["peak"] else told["own"]) - told["before"]) / MIB
        print(line(name, "hsikit", size, told["parameters"], count / 1e9, args.rows * args.cols, told["seconds"]) + f"{held:8.0f}", flush=True)
    print("releases:")
    for row in (*MORE_RELEASED, *RELEASED):
        print(line(*row))
    for name in CHEAP:
        print(f"{name}: {LESS_GFLOP * 1e9 / flops(name, *LESS_SIZE):.1f} times fewer operations than LESS ViT-B at {LESS_SIZE[0]} bands")


if __name__ == "__main__":
    main()
