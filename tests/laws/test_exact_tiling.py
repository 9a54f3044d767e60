"""Tiles of any shape, on any number of threads, give what one pass over the whole scene gives: for every method."""

from __future__ import annotations

import atexit
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, partial
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hsikit.engine import RunOptions, compute
from hsikit.engine.compute import Result
from hsikit.engine.plan import plan_run
from hsikit.geo.grid import Grid
from hsikit.method import Halo, Job, Loop, Map, Reduce, Stage
from hsikit.registry import list_methods, load_class
from hsikit.scene import Bands, Decoding, SceneInfo, Source
from hsikit.sensors.array import ArraySource
from hsikit.simulate.gas import gas_scene
from hsikit.tasks.classification.sieve import sieve
from hsikit.tasks.classification.smooth import smooth
from hsikit.tasks.detection.target_spectra import TargetSpectra
from hsikit.tasks.minerals.features import Feature, Mineral
from hsikit.train.labels import read_labels
from tests.tasks.bases import small_base
from tests.tasks.classification.networks import short

from .scenes import SCALE, TRANSFORM, as_source, make_scene

ROWS, COLS, BANDS = 333, 257, 12
CLOSE = 1e-5
OBJECTS = {"components": 8, "steps": 50, "keep": 0.02}
OPTIONS = {
    "random-forest": {"trees": 15},
    "mnf-lda": {"components": 8, "width": 5},
    "marginal-lda": {"width": 5},
    "mnf-lda-edge": OBJECTS,
    "mnf-lda-edge by components": {**OBJECTS, "edges": "components"},
    "lola-specvit": {**OBJECTS, "normalise": "both", "objects": "yes"},
    "lola-specvit by neighbourhood": {**OBJECTS, "objects": "no"},
    "lola-specvit by lora": {**OBJECTS, "head": "lora", "objects": "yes"},
}
"""Training options; what follows "by" tells two models of one method apart."""
EXTRAS = ("confidence", "probabilities", "log_probabilities")
STEPS = 5
FILLED = ((900.0, 1200.0),)
"""Bands that are filled whole, in nm."""
Shape = tuple[int, int]


@cache
def scene():
    return make_scene(ROWS, COLS, BANDS, seed=3)


@cache
def classifier(name: str):
    source = scene().source()
    labelled = read_labels(source, scene().labels(30))
    options = OPTIONS.get(name, {})
    with short(), tempfile.TemporaryDirectory() as folder:
        if name == "encoder":
            options = {"base": str(small_base(Path(folder) / "base"))}
        return load_class(name.partition(" by ")[0]).train([labelled], run=partial(compute, threads=1), **options)


@dataclass(frozen=True)
class Case:
    """A job and what it runs on; made anew for every run, so that no run sees what another left."""

    make: Callable[[], tuple[Job, Mapping[str, Source]]]

    def run(self, shape: Shape, threads: int = 1) -> Result:
        job, sources = self.make()
        wanted = [layer.name for layer in job.layers if layer.kind == "raster" and layer.name != "edges"]
        # The command line knows square tiles only; a plan of the engine's own has any shape.
        with mock.patch("hsikit.engine.compute.plan_run", lambda job, sources, relations, options, tile: plan_run(job, sources, relations, options, shape)):
            return compute(job, sources, layers=wanted, options=RunOptions(threads=threads))

    def changed(self, stage: str, halo: int | Mapping[str, Shape]) -> Case:
        """The same with another halo at one stage: what a mistake in a method would look like."""

        def make() -> tuple[Job, Mapping[str, Source]]:
            job, sources = self.make()
            around = (halo, halo) if isinstance(halo, int) else halo
            stages = _changed(job.stages, stage, around)
            assert stages != job.stages
            return replace(job, stages=stages), sources

        return Case(make)


def _changed(stages: tuple[Stage, ...], name: str, halo: Halo | Mapping[str, Halo]) -> tuple[Stage, ...]:
    """The stages, those within loops too, with another halo at the one of that name."""
    out: list[Stage] = []
    for stage in stages:
        if isinstance(stage, Loop):
            stage = replace(stage, stages=_changed(stage.stages, name, halo))
        elif isinstance(stage, Map | Reduce) and stage.name == name:
            stage = replace(stage, halo=halo)
        out.append(stage)
    return tuple(out)


def classify(name: str, *wraps: Callable[[Job], Job], **options) -> Case:
    def make() -> tuple[Job, Mapping[str, Source]]:
        source = scene().source()
        job = classifier(name).with_options(extras=EXTRAS, **options).bind({"cube": source.info})
        for wrap in wraps:
            job = wrap(job)
        return job, {"cube": source}

    return Case(make)


@cache
def tiny_base() -> str:
    """A base that lasts as long as the tests do."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    return str(small_base(Path(folder.name) / "base"))


def plain(name: str, count: int = BANDS, **options) -> Case:
    def make() -> tuple[Job, Mapping[str, Source]]:
        source = as_source(scene().values[:count], scene().nm[:count], TRANSFORM, "scene.tif")
        more = {"base": tiny_base()} if name == "encoder-filling" else {}
        return load_class(name)(**options, **more).bind({"cube": source.info}), {"cube": source}

    return Case(make)


def find_boxes() -> Case:
    """A network of random weights: what it says means nothing, and must not follow from the tiles all the same."""

    def make() -> tuple[Job, Mapping[str, Source]]:
        import torch

        from hsikit.nn.specdetr.network import build_network
        from hsikit.tasks.detection.specdetr import SpecDetrDetector

        source = scene().source()
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            network = build_network("small", BANDS, 3, width=16, heads=2, encoder=1, decoder=1, hidden=32, queries=30)
        for heads in network.heads:
            torch.nn.init.normal_(heads.label.weight, std=2.0, generator=torch.Generator().manual_seed(2))
            torch.nn.init.normal_(heads.box[-1].weight, std=0.2, generator=torch.Generator().manual_seed(3))
        bands = source.info.bands
        method = SpecDetrDetector(network.eval(), ("a", "b", "c"), bands.wavelength, bands.fwhm, source.info.quantity, {}, least=0.0)
        return method.bind({"cube": source.info}), {"cube": source}

    return Case(make)


def sharpen(ratio: Fraction, shift: Shape = (0, 0)) -> Case:
    """The panchromatic image has the odd size; the cube's pixels are `ratio` times larger, its corner `shift` of the fine pixels away."""

    def make() -> tuple[Job, Mapping[str, Source]]:
        step, _, left, _, _, top = TRANSFORM
        rng = np.random.default_rng(5)
        fine = np.clip(scene().values[1:2].astype(float) * rng.uniform(0.9, 1.1, (ROWS, COLS)), 10, 15_000).astype(np.int16)
        fine[scene().values[1:2] == -9999] = -9999
        rows, cols = (round(size / float(ratio)) + 2 for size in (ROWS, COLS))
        cube = make_scene(rows, cols, 5, seed=4, side=7)
        coarse = (step * float(ratio), 0.0, left + shift[1] * step, 0.0, -step * float(ratio), top - shift[0] * step)
        sources = {"hs": as_source(cube.values, cube.nm, coarse, "hs.tif"), "pan": as_source(fine, np.array([550.0]), TRANSFORM, "pan.tif")}
        job = load_class("brovey")(pan_range=(400.0, 1000.0)).bind({role: source.info for role, source in sources.items()})
        return job, sources

    return Case(make)


def find(name: str, **options) -> Case:
    """A detector that looks for the spectra of two of the scene's pixels."""

    def make() -> tuple[Job, Mapping[str, Source]]:
        source = as_source(scene().values, scene().nm, TRANSFORM, "scene.tif")
        valid = np.argwhere((scene().values != -9999).all(0))
        spectra = scene().values[:, *valid[[len(valid) // 3, len(valid) // 2]].T].T.astype(float)
        bands = source.info.bands
        targets = TargetSpectra(("one", "two"), spectra * SCALE, bands.wavelength, bands.fwhm, source.info.quantity)
        return load_class(name)(targets=targets, **options).bind({"cube": source.info}), {"cube": source}

    return Case(make)


def name_minerals() -> Case:
    """Spectra of some of the scene's pixels, by features wide enough for its few bands."""

    def make() -> tuple[Job, Mapping[str, Source]]:
        source = as_source(scene().values, scene().nm, TRANSFORM, "scene.tif")
        valid = np.argwhere((scene().values != -9999).all(0))
        spectra = scene().values[:, *valid[:: len(valid) // 12].T].T * SCALE
        bands = source.info.bands
        references = TargetSpectra(tuple(f"m{k}" for k in range(len(spectra))), spectra, bands.wavelength, bands.fwhm, source.info.quantity)
        spans = ((1, (400.0, 800.0), (1500.0, 1800.0)), (2, (1300.0, 1600.0), (2400.0, 2500.0)), (2, (400.0, 700.0), (2000.0, 2500.0)))
        table = (Mineral("any", re.compile("m"), tuple(Feature(group, left, right, diagnostic=False) for group, left, right in spans)),)
        method = load_class("minerals")(references=references, table=table, least_fit=0.2)
        return method.bind({"cube": source.info}), {"cube": source}

    return Case(make)


def retrieve_gas(name: str) -> Case:
    """Radiance with a plume, on the sensor's own grid, with a hole and a detector that is blind."""

    def make() -> tuple[Job, Mapping[str, Source]]:
        made = gas_scene(ROWS, COLS, BANDS, seed=3)
        values = made.radiance.copy()
        values[:, : ROWS // 5, : COLS // 4] = values[:, :, 9] = np.nan
        bands = Bands(made.wavelength, made.fwhm, np.ones(BANDS, bool), tuple(f"{nm:g}" for nm in made.wavelength))
        info = SceneInfo("line.nc", Grid((ROWS, COLS)), bands, "float32", "array", quantity="radiance")
        source = ArraySource(values, info, Decoding())
        return load_class(name)(table=made.table).bind({"cube": info}), {"cube": source}

    return Case(make)


DETECTORS = ("ace", "matched-filter", "smf", "cem", "glrt", "spsmf", "spectral-angle", "osp", "msd", "tcimf", "asd")
few_steps = partial(smooth, steps=STEPS, keep=0.3)
CLASSIFIERS = {
    **{name: classify(name) for name in ("svm", "random-forest", "mnf-lda", "marginal-lda", "sensor-ensemble", "nearest-label")},
    "mnf-lda, statistics refitted": classify("mnf-lda", refit_statistics=True),
    **{f"{name}, smooth": classify(name, few_steps) for name in ("svm", "random-forest", "mnf-lda", "nearest-label")},
    **{name: classify(name) for name in OPTIONS if name.startswith(("mnf-lda-edge", "lola-specvit"))},
    "encoder": classify("encoder"),
    **{f"{name}, smooth": classify(name, few_steps) for name in ("mnf-lda-edge", "lola-specvit", "lola-specvit by lora")},
    "mnf-lda, statistics refitted, smooth": classify("mnf-lda", few_steps, refit_statistics=True),
    "svm, unknown": classify("svm", unknown_below=0.5),
}
SIEVED = {
    "svm, sieve": classify("svm", partial(sieve, size=6)),
    "mnf-lda, smooth, sieve": classify("mnf-lda", few_steps, partial(sieve, size=9)),
}
OTHERS = {
    "bicubic 2": plain("bicubic", count=4, zoom=2),
    "bicubic 3": plain("bicubic", count=3, zoom=3),
    "brovey 3": sharpen(Fraction(3)),
    "brovey 5/2": sharpen(Fraction(5, 2)),
    "brovey 3, shifted": sharpen(Fraction(3), (-4, 7)),
    "brovey 5/2, shifted": sharpen(Fraction(5, 2), (3, -1)),
    "rx": plain("rx"),
    "rx with hits": plain("rx", pfa=2e-3),
    "local-rx": plain("local-rx", pfa=2e-3, components=5, inner=5, outer=15),
    "cluster-rx": plain("cluster-rx", pfa=2e-3, clusters=5, components=6),
    "subspace-rx": plain("subspace-rx", pfa=2e-3, components=6, dropped=1),
    "crd": plain("crd", pfa=2e-3, components=5, inner=5, outer=11),
    "kernel-rx": plain("kernel-rx", pfa=2e-3, components=5, landmarks=80),
    "isolation-forest": plain("isolation-forest", pfa=2e-3, components=5, trees=40),
    "encoder-residual": plain("encoder-residual", pfa=2e-3, epochs=1),
    "attribute-filter": plain("attribute-filter", pfa=2e-3, object_size=6),
    "object-anomaly": plain("object-anomaly", pfa=2e-3, object_size=4),
    **{name: find(name) for name in DETECTORS},
    "minerals": name_minerals(),
    **{name: retrieve_gas(name) for name in ("mag1c", "emit-ghg")},
    "pca": plain("pca"),
    "pca, standardised": plain("pca", standardise=True),
    **{f"mnf, {noise}": plain("mnf", noise=noise) for noise in ("horizontal", "vertical", "both")},
    "specdetr": find_boxes(),
    "ace with hits": find("ace", pfa=2e-3, exclude=1e-3),
    "ace against clusters": find("ace", pfa=2e-3, exclude=1e-3, background="clusters", clusters=4),
    "cem against rings": find("cem", pfa=2e-3, exclude=1e-3, background="local", components=5, inner=5, outer=15),
    "hcem": find("hcem", pfa=2e-3, iterations=3),
    "mtmf": find("mtmf", pfa=2e-3, exclude=1e-3),
    "interpolate": plain("interpolate", bands=FILLED),
    "gaussian": plain("gaussian", sigma=True),
    "encoder-filling": plain("encoder-filling", bands=FILLED, steps=4),
}
CASES = {**CLASSIFIERS, **SIEVED, **OTHERS}


@cache
def whole(name: str) -> Result:
    """One pass: a tile that holds the whole scene."""
    return CASES[name].run((512, 512))


def assert_same(tiled: Result, one: Result) -> None:
    """The law."""
    assert tiled.layers.keys() == one.layers.keys()
    for name, values in one.layers.items():
        if name != "map":
            assert_close(name, tiled.layers[name], values)
    if "map" in one.layers:
        assert_same_classes(tiled.layers["map"][0], one.layers["map"][0], one.layers["probabilities"])
    for name, found in one.features.items():
        assert len(tiled.features[name]) == len(found)
        assert_close(name, tiled.features[name].points, found.points)
        for column, numbers in found.columns.items():
            assert_close(column, tiled.features[name].columns[column], numbers)


def assert_close(name: str, tiled: np.ndarray, values: np.ndarray) -> None:
    """Within 1e-5 of the range, and missing where the other is; text and what is not there at all are the same."""
    if values is None or np.asarray(values).dtype.kind not in "fiu":
        assert (tiled is None) if values is None else np.array_equal(tiled, values)
        return
    there = np.isfinite(values)
    np.testing.assert_array_equal(np.isfinite(tiled), there, err_msg=f"{name}: not missing in the same places")
    span = float(np.ptp(values[there].astype(float)))
    np.testing.assert_allclose(tiled[there], values[there], rtol=0, atol=CLOSE * span, err_msg=name)


def assert_same_classes(tiled: np.ndarray, values: np.ndarray, probabilities: np.ndarray) -> None:
    """Equal, but where the two highest probabilities are nearly so."""
    differ = tiled != values
    second, first = np.sort(probabilities[:, differ], 0)[-2:]
    assert (first - second <= CLOSE).all(), f"{int(differ.sum())} pixels have another class"


shapes = st.tuples(st.integers(17, 400), st.integers(17, 400))


SLOW = [name for name in CASES if "lola" in name or name in ("object-anomaly", "attribute-filter", "encoder-residual", "encoder-filling")]


@pytest.mark.parametrize("name", [name for name in CASES if name not in SLOW])
@settings(max_examples=6)
@given(shape=shapes, threads=st.sampled_from([1, 2, 3]))
def test_tiled_equals_whole(name: str, shape: Shape, threads: int) -> None:
    assert_same(CASES[name].run(shape, threads), whole(name))


@pytest.mark.parametrize("name", SLOW)
@settings(max_examples=2)
@given(shape=shapes, threads=st.sampled_from([1, 2, 3]))
def test_tiled_equals_whole_for_slow_methods(name: str, shape: Shape, threads: int) -> None:
    """With fewer examples: each takes seconds."""
    assert_same(CASES[name].run(shape, threads), whole(name))


@settings(max_examples=5)
@given(side=st.integers(17, 400))
def test_square_tiles_as_the_command_line_takes_them(side: int) -> None:
    job, sources = CASES["mnf-lda"].make()
    assert_same(compute(job, sources, layers=list(whole("mnf-lda").layers), options=RunOptions(tile=side, threads=2)), whole("mnf-lda"))


def test_smoothing_as_long_as_by_default() -> None:
    case = classify("mnf-lda", smooth)
    assert_same(case.run((71, 143), 2), case.run((512, 512)))


@pytest.mark.parametrize("name", [name for name in CASES if "rx" not in name])
def test_the_whole_is_worth_comparing_with(name: str) -> None:
    """Holes stay holes, few pixels are near a tie, and a classifier says several things."""
    layers = whole(name).layers
    if "map" in layers:
        codes, probabilities = layers["map"][0], layers["probabilities"]
        np.testing.assert_array_equal(codes == 0, scene().truth == 0)
        assert len(np.unique(codes)) >= 5
        there = np.sort(probabilities[:, codes > 0], 0)
        assert (there[-1] - there[-2] <= CLOSE).mean() < 0.05
    else:
        first = next(iter(layers.values()))
        missing = (first < 0 if first.dtype.kind == "i" else np.isnan(first)).all(0)
        assert 0.02 < missing.mean() < 0.5


@pytest.mark.parametrize(
    ("name", "stage", "halo"),
    [
        ("svm, smooth", "smooth", STEPS - 1),
        ("svm, smooth", "edges", 0),
        ("mnf-lda, statistics refitted", "statistics", 0),
        ("mnf-lda", "classify", 1),
        ("mnf-lda-edge", "edges", 0),
        ("mnf-lda-edge", "part", 1),
        ("mnf-lda-edge", "diffuse-step", 3),
        ("mnf-lda-edge", "smooth-classes-step", 3),
        ("mnf, horizontal", "transform", 0),
        ("mnf, vertical", "transform", 0),
        ("mnf, both", "transform", {"cube": (0, 1)}),
        ("mnf-lda-edge by components", "edges", 0),
        ("lola-specvit", "project", 1),
        ("lola-specvit", "edges", 0),
        ("lola-specvit", "part", 1),
        ("lola-specvit by neighbourhood", "part", 1),
        ("lola-specvit by lora", "project", 1),
        ("lola-specvit by lora", "smooth-classes-step", 3),
        ("svm, sieve", "sieve", 3),
        ("local-rx", "score", 6),
        ("cem against rings", "score", 6),
        ("cem against rings", "score-again", 6),
        ("crd", "score", 4),
        ("mtmf", "noise", 0),
        ("attribute-filter", "shape", 3),
        ("encoder-filling", "fill", 1),
        ("object-anomaly", "local", 6),
        ("object-anomaly", "shape", 4),
        ("bicubic 2", "interpolate", 1),
        ("bicubic 3", "interpolate", 1),
        ("brovey 3", "sharpen", {"hs": (1, 1)}),
        ("brovey 5/2, shifted", "sharpen", {"hs": (1, 1)}),
    ],
)
def test_a_halo_too_small_is_caught(name: str, stage: str, halo: int | Mapping[str, Shape]) -> None:
    """The law would fail (or the method could not run at all) if a method asked for less than it sees."""
    mutant = CASES[name].changed(stage, halo)
    with pytest.raises((AssertionError, IndexError, RuntimeError, ValueError)):
        assert_same(mutant.run((40, 53)), whole(name))


def test_every_method_is_held() -> None:
    told = " ".join(CASES)
    assert [entry.name for entry in list_methods() if entry.name not in told and entry.where.startswith("hsikit.")] == []
