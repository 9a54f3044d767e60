"""What a picture costs SpecDETR, beside a plain restatement of the release with equal weights.

    python -m benchmarks.objects_cost

One picture of 128 x 128 pixels, 30 bands and 8 classes on two threads, the best of `--repeats`, each side in a process of its own. The restatement
samples each level by `grid_sample`, stacks what it read, and holds the perceptrons' hidden layers whole, as the release does on a CPU.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

from benchmarks.measure import MIB, peak_bytes, run_fresh, tell

BANDS, CLASSES, SIDE = 30, 8, 128


def plain_attention(self: Any, query: Any, tokens: Any, shape: tuple[int, int], centres: Any, reach: Any = None) -> Any:
    """`DeformableAttention.forward` as it is written in the release: both levels are maps."""
    import torch

    from hsikit.nn.specdetr.sampling import LEVELS, sample_points

    images, queries, width = query.shape
    heads, points, deep = self.heads, self.points, width // self.heads
    value = self.value(tokens)
    offsets = self.offsets(query).view(images, queries, heads, LEVELS, points, 2)
    weights = self.weights(query).view(images, queries, heads, LEVELS * points).softmax(-1)
    read = []
    for level, (part, size) in enumerate(((value[:, :-1], shape), (value[:, -1:], (1, 1)))):
        pixels = part.view(images, *size, heads, deep).permute(0, 3, 4, 1, 2).reshape(images * heads, deep, *size)
        moved = offsets[:, :, :, level]
        near = centres[:, :, None, None] + (moved if reach is None else moved * reach[:, :, None, None])
        places = (near, 0.5 + moved)[level]
        read.append(sample_points(pixels, places.transpose(1, 2).reshape(images * heads, queries, points, 2)))
    shares = weights.transpose(1, 2).reshape(images * heads, 1, queries, LEVELS * points)
    found = (torch.stack(read, -2).flatten(-2) * shares).sum(-1)
    return self.out(found.view(images, width, queries).transpose(1, 2))


def plain_perceptron(self: Any, query: Any) -> Any:
    return self.down(self.up(query).relu())


def look(options: argparse.Namespace) -> None:
    """One side, in this process."""
    import torch

    from hsikit.nn.specdetr.network import Layer, build_network
    from hsikit.nn.specdetr.sampling import DeformableAttention

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    network = build_network(options.preset, BANDS, CLASSES).eval()
    for parameter in network.parameters():
        parameter.data += 0.01 * torch.randn_like(parameter)
    if options.side == "plain":
        DeformableAttention.forward, Layer._perceptron = plain_attention, plain_perceptron  # type: ignore[method-assign, assignment]
    picture, valid = torch.rand(1, BANDS, SIDE, SIDE), torch.ones(1, SIDE, SIDE, dtype=torch.bool)
    before, seconds = peak_bytes(), []
    with torch.inference_mode():
        for _ in range(options.repeats):
            began = time.perf_counter()
            proposals, found = network(picture, valid)
            seconds.append(time.perf_counter() - began)
    count = sum(parameter.numel() for parameter in network.parameters())
    answer = [float(proposals.logits.double().mean()), float(found.boxes.double().mean())]
    tell(seconds=min(seconds), peak=peak_bytes(), before=before, parameters=count, answer=answer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--preset", choices=("paper", "small"), help="one side alone, in this process")
    parser.add_argument("--side", choices=("ours", "plain"), default="ours")
    options = parser.parse_args()
    if options.preset:
        look(options)
        return
    print(f"one picture of {SIDE} x {SIDE} x {BANDS}, {options.threads} threads; memory is the whole process's")
    print(f"{'preset':8} {'parameters':>12} {'ours':>8} {'plain':>8} {'share':>6} {'ours':>10} {'plain':>10}   answers differ by")
    for preset in ("paper", "small"):
        sides = {}
        for side in ("ours", "plain"):
            given = ("--preset", preset, "--side", side, "--repeats", options.repeats, "--threads", options.threads)
            sides[side] = run_fresh("benchmarks.objects_cost", *given, threads=options.threads)
        ours, plain = sides["ours"], sides["plain"]
        apart = max(abs(a - b) for a, b in zip(ours["answer"], plain["answer"], strict=True))
        print(
            f"{preset:8} {ours['parameters']:12,} {ours['seconds']:6.2f} s {plain['seconds']:6.2f} s {ours['seconds'] / plain['seconds']:6.2f} "
            f"{ours['peak'] / MIB:6.0f} MiB {plain['peak'] / MIB:6.0f} MiB   {apart:.1g}"
        )


if __name__ == "__main__":
    main()
