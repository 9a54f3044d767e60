"""Located objects on a SPOD-like set from a seed: SpecDETR beside pixel detectors whose components are scored from their own pixels.

    python -m benchmarks.objects --seed 0 --model MODEL --test 500

Pixel detectors know the true spectra and each picture's own background; their thresholds, one for each class, and their shrinkage are the best on
the 100 training pictures. `seen` have what the network has: of each class the mean of its training objects' most outlying pixels. A pixel counts
for each class above its threshold, or (`one class`) for the class of the highest score alone. Without --model the network is trained first, on the
training pictures (`--steps`).
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

THRESHOLDS = {
    "ace": np.array([0.02, 0.05, 0.08, 0.12, 0.16, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7]),
    "matched filter": np.array([0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.16, 0.2, 0.3, 0.4, 0.5]),
    "smf": np.array([3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 13.0, 17.0, 22.0, 30.0, 40.0]),
}
SHRINKAGES = (1e-2, 1e-4, 1e-6)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--training", type=int, default=100)
    parser.add_argument("--test", type=int, default=500)
    parser.add_argument("--model", type=Path, default=None)
    parser.add_argument("--steps", type=int, default=None, help="of the training; the preset's unless told")
    parser.add_argument("--save", type=Path, default=None, help="folder for the trained model; a training that was cut off goes on from its side folder")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--only", choices=("classical", "network"), default=None)
    parser.add_argument("--filters", nargs="+", choices=tuple(THRESHOLDS), default=tuple(THRESHOLDS))
    parser.add_argument("--declared", action="store_true", help="objects that vary by 2 %% as a whole and 1 %% by band, in place of as water does")
    return parser.parse_args()


def truth_of(points: Any) -> Any:
    from hsikit.metrics.objects import Boxes

    rows = np.array([(number, planted.label, *planted.box) for number, objects in enumerate(points.objects) for planted in objects], float)
    return Boxes(rows[:, 0].astype(int), rows[:, 1].astype(int), rows[:, 2:], np.ones(len(rows)))


def seen_spectra(points: Any) -> list[Any]:
    """Of each class what its objects look like on average in the pixel of each box that is furthest from the picture's background, (1, bands) each."""
    sums = np.zeros((len(points.classes), points.images.shape[1] + 1))
    for image, objects in zip(points.images, points.objects, strict=True):
        pixels = image.reshape(len(image), -1).T.astype(np.float64)
        apart = np.linalg.solve(np.linalg.cholesky(np.cov(pixels.T)), (pixels - pixels.mean(0)).T)
        distance = (apart * apart).sum(0).reshape(image.shape[1:])
        for planted in objects:
            left, top, right, bottom = planted.box
            row, col = np.unravel_index(distance[top:bottom, left:right].argmax(), (bottom - top, right - left))
            sums[planted.label] += np.append(image[:, top + row, left + col], 1)
    return list((sums[:, :-1] / sums[:, -1:])[:, None])


def class_scores(points: Any, sought: list[Any], detector: str, shrinkage: float) -> Any:
    """Scores of each class, the highest of its spectra, float32 (images, classes, rows, cols)."""
    count, bands, rows, cols = points.images.shape
    spectra = np.concatenate(sought)
    owner = np.repeat(np.arange(len(sought)), [len(each) for each in sought])
    out = np.empty((count, len(points.classes), rows, cols), np.float32)
    for number, image in enumerate(points.images):
        pixels = image.reshape(bands, -1).T.astype(np.float64)
        mean, covariance = pixels.mean(0), np.cov(pixels.T)
        covariance = (1 - shrinkage) * covariance + shrinkage * np.trace(covariance) / bands * np.eye(bands)
        factor = np.linalg.cholesky(covariance)
        z, u = np.linalg.solve(factor, (pixels - mean).T), np.linalg.solve(factor, (spectra - mean).T)
        energy = (u * u).sum(0)[:, None]
        product = u.T @ z
        score = {"matched filter": lambda p=product, e=energy: p / e, "smf": lambda p=product, e=energy: p / np.sqrt(e)}.get(
            detector, lambda p=product, e=energy, z=z: np.sign(p) * p * p / e / (z * z).sum(0)
        )()
        for label in range(len(points.classes)):
            out[number, label] = score[owner == label].max(0).reshape(rows, cols)
    return out


def boxes_of(scores: Any, thresholds: Any, labels: Any) -> Any:
    """Components of each picture and class."""
    from hsikit.metrics.objects import Boxes, component_boxes

    rows = []
    for number, picture in enumerate(scores):
        for label in labels:
            boxes, peaks = component_boxes(picture[label], float(thresholds[label]))
            rows += [(number, label, *box, peak) for box, peak in zip(boxes, peaks, strict=True)]
    table = np.array(rows, float).reshape(-1, 7)
    return Boxes(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2:6], table[:, 6])


def best_thresholds(scores: Any, truth: Any, grid: Any) -> tuple[Any, float]:
    """The threshold of each class that does best, and the mean AP then."""
    from hsikit.metrics.objects import object_scores

    classes = scores.shape[1]
    table = np.array([list_of(object_scores(truth, boxes_of(scores, np.full(classes, level), range(classes))).by_class, classes) for level in grid])
    return grid[table.argmax(0)], float(table.max(0).mean())


def list_of(by_class: dict[int, float], classes: int) -> list[float]:
    return [by_class.get(label, 0.0) for label in range(classes)]


def one_class(scores: Any) -> Any:
    return np.where(scores == scores.max(1, keepdims=True), scores, -np.inf).astype(np.float32)


def tell(name: str, truth: Any, found: Any, classes: int) -> None:
    from hsikit.metrics.objects import bootstrap_ap, object_scores

    scored = object_scores(truth, found)
    low, high = bootstrap_ap(truth, found)
    columns = " ".join(f"{value:6.3f}" for value in (*(scored.by_overlap[level] for level in (0.25, 0.5, 0.75)), scored.by_distance[2.0]))
    each = " ".join(f"{value:.2f}" for value in list_of(scored.by_class, classes))
    print(f"{name:30} {scored.ap:.3f} ({low:.3f} to {high:.3f}) {columns}  {each}", flush=True)


def classical(training: Any, test: Any, filters: Sequence[str]) -> None:
    own, truth = truth_of(training), truth_of(test)
    known = {"": [kind.spectra for kind in training.classes], ", seen": seen_spectra(training)}
    for detector in filters:
        grid = THRESHOLDS[detector]
        for (source, sought), rule in itertools.product(known.items(), (lambda scores: scores, one_class)):
            drawn = []
            for shrinkage in SHRINKAGES:
                levels, reached = best_thresholds(rule(class_scores(training, sought, detector, shrinkage)), own, grid)
                drawn.append((reached, shrinkage, levels))
            _, shrinkage, levels = max(drawn, key=lambda entry: entry[0])
            scores = rule(class_scores(test, sought, detector, shrinkage))
            name = f"{detector}{source}{', one class' if rule is one_class else ''}, {shrinkage:g}"
            tell(name, truth, boxes_of(scores, levels, range(len(test.classes))), len(test.classes))


def told(done: int, of: int, where: str) -> None:
    if done % 500 == 0:
        print(f"{done} of {of}, {where}", flush=True)


def network(options: argparse.Namespace, training: Any, test: Any) -> None:
    import torch

    from hsikit.metrics.objects import Boxes
    from hsikit.models import load_method, save_method
    from hsikit.tasks.detection.specdetr import find_objects
    from hsikit.tasks.detection.specdetr_training import Pictures, train_on_pictures

    if options.model is None:
        began = time.perf_counter()
        workspace = options.save.with_name(f"{options.save.name}.training") if options.save else None
        model = train_on_pictures(Pictures.of_set(training), preset=options.preset, steps=options.steps, workspace=workspace, progress=told)
        print(f"trained in {(time.perf_counter() - began) / 60:.1f} min with {torch.get_num_threads()} threads")
        if options.save:
            save_method(model, options.save)
    else:
        model = load_method(options.model)
    rows, began = [], time.perf_counter()
    valid = torch.ones(test.images.shape[2:], dtype=torch.bool)
    for number, image in enumerate(test.images):
        found = find_objects(model.network, torch.from_numpy(image), valid, least=0.0)
        rows += [(number, *row) for row in found.tolist()]
    seconds = (time.perf_counter() - began) / len(test.images)
    table = np.array(rows)
    boxes = Boxes(table[:, 0].astype(int), table[:, 2].astype(int), table[:, 3:7], table[:, 1])
    tell(f"specdetr, {options.preset}", truth_of(test), boxes, len(test.classes))
    print(f"{sum(p.numel() for p in model.network.parameters()) / 1e6:.2f} M parameters, {seconds:.2f} s for a picture with {torch.get_num_threads()} threads")


def main() -> None:
    from hsikit.simulate.objects import Planting
    from hsikit.simulate.point_set import simulate_points

    options = arguments()
    planting = Planting() if options.declared else None
    training = simulate_points(options.training, seed=options.seed, planting=planting)
    test = simulate_points(options.test, seed=options.seed, part="test", planting=planting)
    print(f"seed {options.seed}: {options.training} training and {options.test} test pictures, {len(truth_of(test))} objects")
    print(f"{'method':30} AP 50:95 (95 % interval)   AP25   AP50   AP75 AP2px  AP of each class")
    if options.only != "classical":
        network(options, training, test)
    if options.only != "network":
        classical(training, test, options.filters)


if __name__ == "__main__":
    main()
