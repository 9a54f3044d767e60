"""What a classifier is worth on another sensor than its own: trained on a scene's bands, tested as if others had flown.

    python -m benchmarks.cross_sensor --scene enmap-potsdam
    python -m benchmarks.cross_sensor --scene indian-pines --draws 20

The test pixels are seen through the responses of each sensor: *clean*; *all*, with a smooth error of gain (3 %, over 150 nm), bands
shifted by 1 nm, and noise (signal to noise 250, beyond 1000 nm 120); *hard*, with 6 % over 50 nm, 2 nm, and twice the noise. Noise
comes before the mean of 3 x 3 pixels that all rows judge. Overall / average accuracy in percent, means over draws; the loss is
relative to the row's own clean result on the sensor that it was trained on. A second table has each row's difference to marginal
LDA, paired by draw, with its 95 % interval.

"marginal LDA", "sensor-ensemble, kept" (the default of `classify`) and "adapted" rows go the way of the product: what a model folder keeps of the
training, read out (`classify`) or refitted (`hsikit adapt`) for each sensor. "refitted" rows are independent ones, on all training
spectra. Networks that learn once for any sensor, and their mean with marginal LDA, are described in `benchmarks.cross_sensor_networks`.
"encoder" is the method of that name with its head `lda`, on hsikit's own base or that of `--base`: it learns on the scene's own bands and maps the
whole scene as each sensor would have seen it, standardised by its own mean and deviation. "encoder, adapted" is what `hsikit adapt` makes of it.

Potsdam: whole tiles apart, 12 train and 6 test. Indian Pines: the column *far* of `benchmarks.accuracy_table`.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.sparse import csr_array
from scipy.special import softmax

from benchmarks.accuracy_table_columns import far
from benchmarks.accuracy_table_scenes import load_scene
from benchmarks.cross_sensor_networks import ROWS as NETWORK_ROWS
from benchmarks.cross_sensor_networks import Maker, Posterior, network_makers
from benchmarks.cross_sensor_views import HARDNESS, View, measured, views
from hsikit.engine import compute
from hsikit.geo.grid import Grid
from hsikit.metrics.scores import scores
from hsikit.scene import Bands, SceneInfo, read_window
from hsikit.sensors.array import ArraySource
from hsikit.spectral.band_matrix import BandMatrix
from hsikit.spectral.resample import Resampling
from hsikit.spectral.sensor_change import change_of
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.encoder import EncoderClassifier
from hsikit.tasks.classification.mnf_lda import MnfLda
from hsikit.tasks.classification.refitting import OtherSensor, for_any_sensor, refitted
from hsikit.tasks.classification.sensor_ensemble import SensorEnsemble
from hsikit.tasks.classification.sensor_lessons import Lesson
from hsikit.tasks.classification.shrinkage_lda import fit_lda
from hsikit.tasks.classification.svm import Svm
from hsikit.tasks.classification.transfer import Transfer, gather_transfer
from hsikit.train.benchmark_statistics import paired_difference
from hsikit.train.labelled import LabelledScene

Floats = NDArray[np.float64]
SENSORS = {"enmap-potsdam": ("emit", "prisma", "desis", "sentinel-2", "four bands", "30 % dropped"),
           "indian-pines": ("enmap", "emit", "prisma", "sentinel-2", "four bands", "30 % dropped")}  # fmt: skip
REFERENCE, ENSEMBLE, ENCODER, REFITTED = "marginal LDA", "sensor-ensemble, kept", "encoder", "encoder, adapted"
ALL_ROWS = ("LDA, interpolated", "LDA, refitted", "SVM, refitted", REFERENCE, "svm, adapted", "mnf-lda, adapted", ENSEMBLE, ENCODER, REFITTED, *NETWORK_ROWS)
TILE, TEST_TILES = 32, 6
AVERAGED = 9
"""Pixels whose mean is judged."""
Place = tuple[NDArray[np.intp], NDArray[np.intp]]
Predict = Callable[[Floats], NDArray[np.integer]]


def smooth(values: Floats, valid: NDArray[np.bool_]) -> Floats:
    """Means of 3 x 3 valid pixels, shape (rows, cols, bands)."""
    count = uniform_filter(valid.astype(float), 3, mode="constant")
    filled = uniform_filter(np.where(valid[..., None], values, 0.0), (3, 3, 0), mode="constant")
    return np.asarray(filled / np.maximum(count, 1 / 9)[..., None], np.float64)


def neighbourhoods(place: Place, valid: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], csr_array]:
    """Which pixels lie around some pixels, and the weights that average these into means of 3 x 3 valid ones, as `smooth` does."""
    near = np.zeros(valid.shape, bool)
    parts: list[NDArray[np.intp]] = []
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            row, col = place[0] + down, place[1] + across
            inside = np.flatnonzero((row >= 0) & (row < valid.shape[0]) & (col >= 0) & (col < valid.shape[1]))
            inside = inside[valid[row[inside], col[inside]]]
            parts.append(np.stack([inside, row[inside], col[inside]]))
    index, row, col = np.concatenate(parts, axis=1)
    near[row, col] = True
    number = np.cumsum(near).reshape(near.shape) - 1
    weights = 1.0 / np.bincount(index, minlength=len(place[0]))[index]
    return near, csr_array((weights, (index, number[row, col])), shape=(len(place[0]), int(near.sum())))


def potsdam_draw(scene: LabelledScene, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions of the label pixels of twelve tiles, and of six others."""
    # As the files are named: by column, then row.
    tile = np.array([f"{col // TILE * TILE}_{row // TILE * TILE}" for row, col in zip(scene.rows, scene.cols, strict=True)])
    inside = np.isin(tile, np.random.default_rng(seed).permutation(np.unique(tile))[-TEST_TILES:])
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def rows_of(
    train: LabelledScene, spectra: Floats, codes: NDArray[np.integer], own: Bands, info: SceneInfo, background: Floats | None = None, seed: int = 0
) -> Mapping[str, Callable[[View], Predict]]:
    """The rows of the table: for a sensor, what predicts codes of its spectra (n, D). What takes long to learn does so when first asked for.

    Args:
        train: the labels.
        spectra: their spatial means on the training sensor (n, C).
        codes: their codes.
        own: the training sensor's bands.
        info: of the training scene.
        background: spatial means of pixels without labels that networks know the scene by, shape (m, C); the training spectra if None.
        seed: where the networks' chance starts.
    """
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    known, targets = np.unique(codes, return_inverse=True)
    weights, intercepts = fit_lda(spectra, targets, len(known))
    kept = gather_transfer([train])
    if kept is None:
        raise SystemExit("the scene has no wavelengths")
    marginal = kept.marginal
    order = np.searchsorted(np.array(kept.legend.codes), known)

    def interpolated(view: View) -> Predict:
        def back(values: Floats) -> Floats:
            return np.stack([np.interp(own.wavelength, view.bands.wavelength, row) for row in values])

        return lambda values: known[np.argmax(back(values) @ weights.T + intercepts, axis=1)]

    def refit_lda(view: View) -> Predict:
        again, constants = fit_lda(spectra @ view.weights.T, targets, len(known))
        return lambda values: known[np.argmax(values @ again.T + constants, axis=1)]

    def refit_svm(view: View) -> Predict:
        machine = make_pipeline(StandardScaler(), SVC(C=100.0)).fit(spectra @ view.weights.T, codes)
        return lambda values: np.asarray(machine.predict(values))

    def marginal_lda(view: View) -> Posterior:
        read_out = marginal.seen_by(info.with_(bands=view.bands))
        index = np.searchsorted(view.bands.wavelength, read_out.basis.bands.wavelength)
        weights, intercepts = read_out.arrays["weights"][order], read_out.arrays["intercepts"][order]
        return lambda values: np.asarray(softmax(values[:, index] @ weights.T + intercepts, axis=1))

    def surest(make: Maker) -> Callable[[View], Predict]:
        def predict(view: View) -> Predict:
            posterior = make(view)
            return lambda values: known[np.argmax(posterior(values), axis=1)]

        return predict

    pixels = spectra if background is None else background
    lesson = Lesson(spectra, targets.astype(np.intp), own.wavelength, own.fwhm, pixels.mean(0), np.cov(pixels.T), AVERAGED, seed)
    networks = {name: surest(make) for name, make in network_makers(lesson, marginal_lda).items()}
    refits = {"LDA, interpolated": interpolated, "LDA, refitted": refit_lda, "SVM, refitted": refit_svm}
    ensemble = {ENSEMBLE: surest(kept_ensemble(kept, info, order, seed))}
    return {**refits, REFERENCE: surest(marginal_lda), **adapted_rows(kept), **ensemble, **networks}


def kept_ensemble(kept: Transfer, info: SceneInfo, order: NDArray[np.intp], seed: int) -> Maker:
    """What `hsikit train` leaves in a model folder, and `hsikit classify` reads other sensors out by; it learns when it is first asked for.

    Args:
        kept: what a model folder keeps.
        info: of the training scene.
        order: positions in its legend of the classes that are asked for.
        seed: of everything random.
    """

    @cache
    def made() -> SensorEnsemble:
        return for_any_sensor("svm", kept, seed=seed)[0]

    def make(view: View) -> Posterior:
        import torch

        read_out = made().seen_by(info.with_(bands=view.bands))
        index = np.searchsorted(view.bands.wavelength, read_out.basis.bands.wavelength)
        learned = read_out.tensors("cpu")

        def posterior(values: Floats) -> Floats:
            numbers = torch.from_numpy(values[:, index]) @ learned["projection"].T + learned["offset"]
            return np.asarray(read_out.answers(numbers, learned).exp().numpy()[:, order])

        return posterior

    return make


def adapted_rows(kept: Transfer) -> dict[str, Callable[[View], Predict]]:
    """What `hsikit adapt` makes of models; the machine learns from the means of 3 x 3 pixels, as all rows do."""
    smoothed = replace(kept, arrays={**kept.arrays, "spectra": kept.arrays["neighbourhoods"]})
    machine = Svm(kept.basis, kept.legend, {}, {"C": 100.0, "gamma": "scale"})
    discriminant = MnfLda(kept.basis, kept.legend, {}, {})
    legend = np.array(kept.legend.codes)

    def svm(view: View) -> Predict:
        import torch

        made, _ = refitted(machine, smoothed, other_sensor(view))
        return lambda values: legend[made.decisions(torch.from_numpy(values)).argmax(1).numpy()]

    def mnf_lda(view: View) -> Predict:
        made, _ = refitted(discriminant, kept, other_sensor(view))
        return lambda values: legend[np.argmax(values @ made.arrays["weights"].T + made.arrays["intercepts"], axis=1)]

    return {"svm, adapted": svm, "mnf-lda, adapted": mnf_lda}


def other_sensor(view: View) -> OtherSensor:
    """A view as `hsikit adapt` takes it; all of its bands are covered."""
    return OtherSensor("view", "", view.bands, Resampling(BandMatrix.of(view.weights).weights, np.ones(len(view.bands))))


def encoder_rows(train: LabelledScene, seed: int, base: Path | None, only: Collection[str] | None) -> Mapping[str, Callable[[View], EncoderClassifier]]:
    """Rows of the method `encoder`: for a sensor, the model that maps its scenes."""
    wanted = [row for row in (ENCODER, REFITTED) if only is None or row in only]
    if not wanted:
        return {}
    options = {} if base is None else {"base": str(base)}
    model = EncoderClassifier.train([train], seed=seed, run=compute, **options)
    windows = model.labelled_windows([train], seed=seed)
    assert windows is not None

    def adapted(view: View) -> EncoderClassifier:
        return model.for_sensor(windows, change_of(view.weights, view.bands.wavelength), Basis("", model.basis.quantity, view.bands))

    rows: dict[str, Callable[[View], EncoderClassifier]] = {ENCODER: lambda view: model, REFITTED: adapted}
    return {row: rows[row] for row in wanted}


def mapped(model: EncoderClassifier, info: SceneInfo, values: Floats, place: Place) -> NDArray[np.integer]:
    """A model's answers for pixels of a scene, given its facts and values (rows, cols, D)."""
    source = ArraySource(np.moveaxis(values, -1, 0).astype(np.float32), info)
    found = compute(model.bind({"cube": info}), {"cube": source}, layers=("map",), at=place)
    return np.asarray(found.values["map"][0])


def draw_scores(
    name: str, scene: LabelledScene, seed: int, only: Collection[str] | None = None, sensors: Sequence[str] | None = None, base: Path | None = None
) -> dict[tuple[str, str, str], tuple[float, float]]:
    """(row, sensor, kind) -> overall and average accuracy of one draw; of the reference and `only` some other rows, on the scene's usual sensors or others."""
    info = scene.source.info
    used = info.bands.used
    own = info.bands.take(used)
    values = np.moveaxis(read_window(scene.source, info.grid.whole, used), 0, -1).astype(float)
    valid = np.isfinite(values).all(-1)
    values[~valid] = 0.0
    if name == "indian-pines":
        split = far(scene, seed)
        train, test = split.train, split.test
    else:
        train, test = potsdam_draw(scene, seed)
    mask = np.isin(np.arange(len(scene)), train)
    means = smooth(values, valid)
    labelled = scene.take(mask)
    place, truth = (scene.rows[test], scene.cols[test]), scene.codes[test]
    near, averages = neighbourhoods(place, valid)
    info = info.with_(bands=own, grid=Grid(info.grid.shape))
    rows = rows_of(labelled, means[labelled.rows, labelled.cols], labelled.codes, own, info, means[valid & ~near], seed)
    rows = {row: make for row, make in rows.items() if only is None or row == REFERENCE or row in only}
    encoders = encoder_rows(labelled, seed, base, only)
    codes = tuple(np.unique(np.concatenate([truth, labelled.codes])).tolist())
    found = {}
    for sensor, view in views(own, tuple(sensors or SENSORS[name])).items():
        predict = {row: make(view) for row, make in rows.items()}
        models = {row: make(view) for row, make in encoders.items()}
        for kind in HARDNESS:
            seen = averages @ measured(values[near], own, view, kind, np.random.default_rng(1000 + seed), near)
            for row, answer in predict.items():
                got = scores(truth, answer(seen), codes)
                found[row, sensor, kind] = (got.overall, got.average)
            if not encoders:
                continue
            # The same chance: near the test pixels the scene has the very values that the other rows judge.
            whole = np.full((*valid.shape, len(view.bands)), np.nan)
            whole[valid] = measured(values[valid], own, view, kind, np.random.default_rng(1000 + seed), valid)
            for row, model in models.items():
                got = scores(truth, mapped(model, info.with_(bands=view.bands), whole, place), codes)
                found[row, sensor, kind] = (got.overall, got.average)
    return found


def report(name: str, made: list[dict[tuple[str, str, str], tuple[float, float]]]) -> str:
    """The table in Markdown."""
    sensors = list(dict.fromkeys(sensor for _, sensor, _ in made[0]))
    rows = list(dict.fromkeys(row for row, _, _ in made[0]))
    lines = [f"| {name}, {len(made)} draws | {' | '.join(sensors)} |", "|---" * (len(sensors) + 1) + "|"]
    for row in rows:
        clean = np.mean([draw[row, "its own", "clean"] for draw in made], axis=0)
        for kind in HARDNESS:
            cells = []
            for sensor in sensors:
                mean = np.mean([draw[row, sensor, kind] for draw in made], axis=0)
                cells.append(f"{100 * mean[0]:.1f} / {100 * mean[1]:.1f} ({100 * (mean[0] / clean[0] - 1):+.1f} %)")
            lines.append(f"| {row}, {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def paired_report(name: str, made: list[dict[tuple[str, str, str], tuple[float, float]]], against: str = REFERENCE) -> str:
    """Differences to a row in points of overall and average accuracy, with 95 % intervals, in Markdown."""
    sensors = list(dict.fromkeys(sensor for _, sensor, _ in made[0]))
    lines = [f"| {name}: row minus {against}, OA; AA | {' | '.join(sensors)} |", "|---" * (len(sensors) + 1) + "|"]
    for row in dict.fromkeys(row for row, _, _ in made[0] if row != against):
        for kind in HARDNESS:
            cells = []
            for sensor in sensors:
                apart = [paired_difference(*([100 * draw[which, sensor, kind][measure] for draw in made] for which in (row, against))) for measure in (0, 1)]
                cells.append("; ".join(f"{found.mean:+.1f} ({found.low:+.1f} to {found.high:+.1f})" for found in apart))
            lines.append(f"| {row}, {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scene", choices=list(SENSORS), default="enmap-potsdam")
    parser.add_argument("--folder", type=Path, help="holds the scene's files")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--rows", nargs="+", metavar="NAME", choices=ALL_ROWS, help=f"all by default; {REFERENCE} always: {'; '.join(ALL_ROWS)}")
    parser.add_argument("--sensors", nargs="+", metavar="NAME", help="of `hsikit sensors`; those of the table by default")
    parser.add_argument("--first-seed", type=int, default=0, help="of the draws")
    parser.add_argument("--base", type=Path, help="folder of `hsikit pretrain` that the rows of the encoder stand on")
    parser.add_argument("--against", metavar="NAME", choices=ALL_ROWS, default=REFERENCE, help="row that the second table holds the others against")
    given = parser.parse_args()
    if given.against != REFERENCE and given.rows is not None and given.against not in given.rows:
        parser.error(f"--against {given.against!r}: name it in --rows, too")
    scene = load_scene(given.scene, given.folder)
    made = [draw_scores(given.scene, scene, given.first_seed + draw, given.rows, given.sensors, given.base) for draw in range(given.draws)]
    print(report(given.scene, made), paired_report(given.scene, made, given.against), sep="\n\n")


if __name__ == "__main__":
    main()
