"""What an adapter costs when a map is made: the plain network, with an adapter beside its weights, and with it merged into them.

    OMP_NUM_THREADS=1 python -m benchmarks.merging

Preset `base` on one tile of 224 bands; the adapter's weights are drawn, so that it changes the features. The three take turns; CPU seconds of each
pass, the median of their ratios to the plain network's pass of the same turn, and how far the features lie apart.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys

import torch
from torch import Tensor

from benchmarks.adapters import tile
from benchmarks.measure import Spent
from hsikit.nn.body import TaskNetwork, prepare
from hsikit.nn.encoder import build_encoder
from hsikit.nn.lora import mark_pretrained, merge_adapters

FORMS = ("lora", "dora")


def networks(form: str) -> dict[str, TaskNetwork]:
    """The plain network, the same with an adapter, and with it merged."""
    torch.manual_seed(0)
    encoder = build_encoder("base")
    mark_pretrained(encoder)
    plain = TaskNetwork(encoder, torch.nn.Identity()).eval()
    adapted = copy.deepcopy(plain)
    prepare(adapted, form)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    adapted.eval()
    merged = copy.deepcopy(adapted)
    merge_adapters(merged)
    return {"plain": plain, f"{form} beside": adapted, f"{form} merged": merged}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bands", type=int, default=224)
    parser.add_argument("--side", type=int, default=128, help="of the tile, in pixels")
    parser.add_argument("--turns", type=int, default=9)
    given = parser.parse_args()
    window, wavelength, fwhm, valid = tile(given.bands, given.side, given.side, "cpu")
    print("| network | CPU s a pass | of the plain one | features apart, of their deviation |", "|---|---|---|---|", sep="\n")
    for form in FORMS:
        made = networks(form)
        spent: dict[str, list[float]] = {name: [] for name in made}
        found: dict[str, Tensor] = {}
        with torch.no_grad():
            for turn in range(given.turns + 1):
                for name, network in made.items():
                    clock = Spent()
                    with clock.clock():
                        found[name] = network.encoder.dense(window, wavelength, fwhm, valid)
                    if turn:  # the first one warms up
                        spent[name].append(clock.cpu)
                print(f"{form}: turn {turn} of {given.turns}", file=sys.stderr)
        deviation = float(found["plain"].std())
        for name, seconds in spent.items():
            ratio = statistics.median(mine / plain for mine, plain in zip(seconds, spent["plain"], strict=True))
            apart = "" if name == "plain" else f"{float((found[name] - found[f'{form} beside']).abs().max()) / deviation:.1e}"
            print(f"| {name} | {statistics.median(seconds):.3f} | {ratio:.3f} | {apart if 'merged' in name else ''} |")
        moved = float((found[f"{form} beside"] - found["plain"]).abs().mean()) / deviation
        print(f"{form} moves the features by {moved:.2f} of their deviation", file=sys.stderr)


if __name__ == "__main__":
    main()
