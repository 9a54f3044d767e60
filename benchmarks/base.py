"""What a pretrained base is worth with few labels: read out, beside the same network without it, and beside methods on spectra.

    python -m benchmarks.base base/ --scene indian-pines --draws 20
    python -m benchmarks.base base/ other/ --scene enmap-potsdam --labels 5 10 --rows base random

Labels lie far from the test pixels: Indian Pines, the column *far* of `benchmarks.accuracy_table` (labels from one half of each class, the
test from the other); Potsdam, whole tiles apart, 12 to train and 6 to test, so many labels of each class from the 12. Rows:

* `base`: the method `encoder` with its head `lda`, the width of the spatial mean chosen inside the labels;
* `random`: the same on the network before any training, as it is drawn;
* `evened`: the same, after its features were evened out on simulated scenes, as at the end of a pretraining: what is gained without training;
* `scratch`: the same network trained on the labels alone, with noise and dropped bands; logits of 3 x 3 pixels are averaged;
* `linear`, `lora`, `dora`, `adaptformer`, `full`: these heads of the method `encoder` on the first base, trained and mapped as
  `hsikit train` and `classify` do it;
* `svm` on single spectra, and `mnf-lda`, as `hsikit train` fits them.

Overall / average accuracy in percent, means over draws; then each row's difference to `base` (the first one named), paired by draw, with
its 95 % interval; then the share of the parameters that each tuned row trains, its head included. Seeds of 900 and above are for choosing,
those below for reporting.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.accuracy_table_columns import far_fifty
from benchmarks.accuracy_table_scenes import load_scene
from benchmarks.cross_sensor import potsdam_draw
from hsikit.engine import compute
from hsikit.metrics.scores import scores
from hsikit.nn.base_files import load_base
from hsikit.nn.body import BandFacts, TaskNetwork, by_blocks, require_halo
from hsikit.nn.dense_classifier import DenseClassifier
from hsikit.nn.encoder import Encoder
from hsikit.nn.fit import fit
from hsikit.nn.tuning import balanced_weights
from hsikit.pretrain.recipe import HYPERSPECTRAL, Recipe
from hsikit.pretrain.run import even_out
from hsikit.pretrain.verb import simulated_supplies
from hsikit.scene import read_window
from hsikit.tasks.band_scale import BandScale, band_facts, scene_scale
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.box_mean import box_mean
from hsikit.tasks.classification.encoder import USUAL_WIDTH, WIDTHS, EncoderClassifier
from hsikit.tasks.classification.encoder_readout import principal_axes, read_out
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.samples import training_samples
from hsikit.tasks.classification.svm import Svm
from hsikit.train.benchmark_statistics import paired_difference
from hsikit.train.labelled import LabelledScene
from hsikit.train.splits import class_halves_draw

HEADS = ("linear", "lora", "dora", "adaptformer", "full")
ROWS = ("base", "random", "evened", "scratch", *HEADS, "svm", "mnf-lda")
SCRATCH: Mapping[str, Any] = {"epochs": 40, "batch": 32, "lr": 2e-3}
Positions = NDArray[np.intp]


def draw(name: str, scene: LabelledScene, labels: int, seed: int) -> tuple[Positions, Positions]:
    """Positions of the training and of the test pixels."""
    if name == "indian-pines":
        if labels > 10:
            if labels != 50:
                raise SystemExit("Indian Pines has draws of up to 10, and of 50 labels")
            made = far_fifty(scene, seed)
            return made.train, made.test
        train, test = class_halves_draw(scene.rows, scene.cols, scene.codes, seed, labels)
    else:
        every, test = potsdam_draw(scene, seed)
        rng = np.random.default_rng((seed, labels))
        train = np.concatenate([rng.permutation(every[scene.codes[every] == code])[:labels] for code in np.unique(scene.codes[every])])
    return np.sort(train), np.sort(test[np.isin(scene.codes[test], scene.codes[train])])


@dataclass(frozen=True, eq=False)
class Readable:
    """Features (n, width) of the label pixels by an encoder, averaged over squares of each of `WIDTHS`, and their principal axes in the scene."""

    features: Mapping[int, NDArray[np.float64]]
    axes: NDArray[np.float64]


class Prepared:
    """A scene in memory, standardised once; answers of networks at its label pixels."""

    def __init__(self, scene: LabelledScene) -> None:
        self.scene, info = scene, scene.source.info
        bands = info.bands.used
        self.scale: BandScale = scene_scale(scene.source, bands, compute)
        self.bands: BandFacts = band_facts(info.bands.take(bands), self.scale)
        self.values = torch.from_numpy(read_window(scene.source, info.grid.whole, bands))
        self.valid = self.values.isfinite().all(0)

    def dense(self, network: TaskNetwork, head: Callable[[torch.Tensor], torch.Tensor], channels: int) -> torch.Tensor:
        """Linear numbers of the features of all pixels (channels, rows, cols), NaN where not valid."""
        halo = require_halo(network.body)
        around = (halo,) * 4
        values = torch.nn.functional.pad(self.values, around, value=float("nan"))
        usable = torch.nn.functional.pad(self.valid, around)
        out = torch.full((channels, *self.valid.shape), float("nan"), dtype=torch.float64)
        for (rows, cols), features in by_blocks(network, values, usable, self.bands, self.scale.standardised):
            out[:, rows, cols] = head(features.flatten(1).T.double()).T.reshape(channels, *features.shape[1:])
        return out

    def readable(self, encoder: Encoder) -> Readable:
        """What the head `lda` stands on."""
        network = TaskNetwork(encoder, torch.nn.Identity()).eval()
        found = self.dense(network, lambda each: each, encoder.width).nan_to_num()
        axes = principal_axes([self.scene], Basis.of(self.scene.source.info), network, {id(self.scene.source): self.scale})
        return Readable({width: self._averaged(found, width) for width in WIDTHS}, axes)

    def _averaged(self, found: torch.Tensor, width: int) -> NDArray[np.float64]:
        radius = width // 2
        pad = (radius,) * 4
        mean = box_mean(torch.nn.functional.pad(found, pad), torch.nn.functional.pad(self.valid, pad), radius)
        return np.asarray(mean[:, self.scene.rows, self.scene.cols].T.numpy())

    def scratch(self, encoder: Encoder, train: Positions, seed: int) -> NDArray[np.integer]:
        """Codes at all label pixels by a network that learned from the labels alone."""
        known, targets = np.unique(self.scene.codes[train], return_inverse=True)
        torch.manual_seed(seed)
        network = TaskNetwork(Encoder(encoder.preset), torch.nn.Linear(encoder.width, len(known)))
        halo = require_halo(network.body)
        side = 2 * halo + 1
        around = (halo,) * 4
        values = torch.nn.functional.pad(self.scale.standardised(self.values).float().nan_to_num(), around)
        usable = torch.nn.functional.pad(self.valid, around)
        cut = [(slice(r, r + side), slice(c, c + side)) for r, c in zip(self.scene.rows[train], self.scene.cols[train], strict=True)]
        codes = torch.full((len(train), side, side), -1)
        codes[:, halo, halo] = torch.from_numpy(targets)
        weights = balanced_weights(torch.from_numpy(targets), len(known))
        model = DenseClassifier(network, self.bands, weights, 0.05, 0.1, 0.1)
        chips = (torch.stack([values[(slice(None), *place)] for place in cut]), torch.stack([usable[place] for place in cut]), codes)
        fit(model, chips, seed=seed, device="cpu", **SCRATCH)
        network.eval()
        logits = self.dense(network, lambda each: network.head.double()(each), len(known)).detach().nan_to_num()
        return known[self._averaged(logits, USUAL_WIDTH).argmax(1)]


def by_lda(prepared: Prepared, read: Readable, train: Positions) -> NDArray[np.integer]:
    """Codes at all label pixels by the head `lda` of the method `encoder`."""
    labelled = prepared.scene.take(np.isin(np.arange(len(prepared.scene)), train))
    samples = training_samples([labelled])
    mine = {width: each[train] for width, each in read.features.items()}
    width, weights, intercepts = read_out(mine, samples, read.axes, [USUAL_WIDTH, *(each for each in WIDTHS if each != USUAL_WIDTH)])
    return np.array(samples.legend.codes)[(read.features[width] @ weights.T + intercepts).argmax(1)]


def by_method(kind: type[Any], scene: LabelledScene, train: Positions, seed: int, **options: Any) -> tuple[NDArray[np.integer], Mapping[str, Any]]:
    """Codes at all label pixels by a method of `hsikit train`, and the settings of its model."""
    method = kind.train([scene.take(np.isin(np.arange(len(scene)), train))], seed=seed, run=compute, **options)
    found = compute(method.bind({"cube": scene.source.info}), {"cube": scene.source}, layers=("map",), at=(scene.rows, scene.cols))
    return np.asarray(found.values["map"][0]), method.settings


def tuned_share(settings: Mapping[str, Any], encoder: Encoder, classes: int) -> float:
    """Percent of the parameters that learned from the labels."""
    head = (encoder.width + 1) * classes
    total = sum(parameter.numel() for parameter in encoder.parameters()) + head
    return 100.0 * settings.get("parameters_tuned", head) / settings.get("parameters", total)


def untrained(encoder: Encoder, seed: int) -> Encoder:
    """The same network as it is drawn."""
    torch.manual_seed(seed)
    return Encoder(encoder.preset).eval()


def measured(
    name: str, folders: list[Path], labels: list[int], seeds: list[int], rows: list[str], scratch_draws: int, tuned_draws: int
) -> tuple[dict[tuple[str, int], list[Any]], dict[str, float]]:
    """(row, labels) -> (overall, average) of each draw; and the share of parameters (%) of each tuned row."""
    scene = load_scene(name)
    prepared = Prepared(scene)
    kept = np.flatnonzero(prepared.valid.numpy()[scene.rows, scene.cols])
    scene = prepared.scene = replace(scene.take(np.isin(np.arange(len(scene)), kept)))
    encoders = {f"base {folder.name}": load_base(folder) for folder in folders}
    features = {row: prepared.readable(encoder) for row, encoder in encoders.items()} if "base" in rows else {}
    first = next(iter(encoders.values()))
    if "random" in rows:
        features["random"] = prepared.readable(untrained(first, 900))
    if "evened" in rows:
        encoder = untrained(first, 900)
        even_out(encoder, simulated_supplies(HYPERSPECTRAL), Recipe())
        features["evened"] = prepared.readable(encoder)
    found: dict[tuple[str, int], list[Any]] = {}
    shares: dict[str, float] = {}
    for count in labels:
        for number, seed in enumerate(seeds):
            train, test = draw(name, scene, count, seed)
            answers = {row: by_lda(prepared, each, train) for row, each in features.items()}
            if "scratch" in rows and number < scratch_draws:
                answers["scratch"] = prepared.scratch(first, train, seed)
            for head in (head for head in HEADS if head in rows and number < tuned_draws):
                answers[head], settings = by_method(EncoderClassifier, scene, train, seed, base=str(folders[0]), head=head)
                shares[head] = tuned_share(settings, first, len(np.unique(scene.codes[train])))
            answers |= {row: by_method(kind, scene, train, seed)[0] for row, kind in (("svm", Svm), ("mnf-lda", MnfLda)) if row in rows}
            for row, codes in answers.items():
                got = scores(scene.codes[test], codes[test], np.unique(scene.codes[np.concatenate([train, test])]).tolist())
                found.setdefault((row, count), []).append((100 * got.overall, 100 * got.average))
            told = ", ".join(f"{row} {each[-1][0]:.1f}" for (row, n), each in found.items() if n == count)
            print(f"{name}, {count} labels, seed {seed}: {told}", file=sys.stderr, flush=True)
    return found, shares


def report(name: str, found: Mapping[tuple[str, int], list[Any]], shares: Mapping[str, float]) -> str:
    """The table in Markdown."""
    rows, labels = list(dict.fromkeys(row for row, _ in found)), list(dict.fromkeys(count for _, count in found))
    lines = [f"| {name}, labels of each class | {' | '.join(map(str, labels))} |", "|---" * (len(labels) + 1) + "|"]
    for row in rows:
        means = [np.mean(found[row, count], axis=0) for count in labels]
        lines.append(f"| {row} | {' | '.join(f'{oa:.1f} / {aa:.1f}' for oa, aa in means)} |")
    for row in rows[1:]:
        cells = []
        for count in labels:
            mine, base = np.array(found[row, count]), np.array(found[rows[0], count])[: len(found[row, count])]
            if len(mine) < 2:
                cells.append("")
                continue
            apart = [paired_difference(base[:, k].tolist(), mine[:, k].tolist()) for k in (0, 1)]
            cells.append("; ".join(f"{each.mean:+.1f} ({each.low:+.1f} to {each.high:+.1f})" for each in apart) + f", {len(mine)} draws")
        lines.append(f"| {rows[0]} minus {row}, OA; AA | {' | '.join(cells)} |")
    lines += [f"{head} trains {share:.1f} % of the parameters" for head, share in shares.items()]
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bases", nargs="+", type=Path, help="base folders; the first one's network is drawn anew for `random` and `scratch`")
    parser.add_argument("--scene", choices=("indian-pines", "enmap-potsdam"), default="indian-pines")
    parser.add_argument("--labels", nargs="+", type=int, default=[5, 10, 50])
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    parser.add_argument("--scratch-draws", type=int, default=5, help="draws of the row `scratch`, which takes minutes each")
    parser.add_argument("--tuned-draws", type=int, default=5, help="draws of the rows of tuned heads")
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=list(ROWS))
    given = parser.parse_args()
    seeds = list(range(given.first, given.first + given.draws))
    made = measured(given.scene, given.bases, given.labels, seeds, given.rows, given.scratch_draws, given.tuned_draws)
    print(report(given.scene, *made))


if __name__ == "__main__":
    main()
