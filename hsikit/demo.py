"""The demo: from few labels to a map and its worth, on a real scene and on a simulated one.

Indian Pines (real, without georeference) comes out of the Python package tensorly. The simulated scene has a place on the
ground, so that a first-time user has a map to open in QGIS; its truth is known everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hsikit import api
from hsikit.cards import crosswalk_of, load_card
from hsikit.engine.options import Progress
from hsikit.errors import MissingExtraError, OutputError
from hsikit.layers import Legend
from hsikit.metrics.scores import scores
from hsikit.sensors import open_source
from hsikit.simulate.scene import simulate_scene
from hsikit.viz.maps import class_map
from hsikit.viz.quicklook import quicklook

Say = Callable[[str], None]
PER_CLASS = 10


def run_demo(folder: str | Path, *, seed: int = 0, say: Say = print, note: Say = print, progress: Progress | None = None) -> list[Path]:
    """Runs the demo.

    Args:
        folder: where it writes; made if missing, what it wrote before is replaced.
        seed: of splits, methods and the simulated scene.
        say: told of results.
        note: told of what the user should know.
        progress: told of progress.

    Returns:
        What was written.

    Raises:
        MissingExtraError: tensorly is not installed.
        OutputError: the folder cannot be made.
    """
    home = Path(folder)
    try:
        home.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(home, f"cannot be made ({error.strerror})", "Choose another folder") from None
    return [*_indian_pines(home, seed, say, note, progress), *_simulated(home, seed, say, progress)]


def _indian_pines_files() -> tuple[Path, Path]:
    """The cube and its labels inside the package tensorly, which is located and not imported."""
    spec = find_spec("tensorly")
    if spec is None or spec.origin is None:
        raise MissingExtraError("tensorly", "the demo's real scene comes with it, and it is not installed", 'pip install "hsikit[demo]"')
    data = Path(spec.origin).parent / "datasets" / "data"
    return data / "Indian_pines_corrected.npy", data / "Indian_pines_gt.npy"


def _indian_pines(home: Path, seed: int, say: Say, note: Say, progress: Progress | None) -> list[Path]:
    cube, labels = _indian_pines_files()
    card = load_card("indian-pines")
    source = open_source(cube, sensor=card.sensor, quantity=card.quantity)
    say(f"{card.title}: {card.about.partition(':')[0]}")
    note(f"note: {card.traps[2]}")
    say(f"{PER_CLASS} labels of each class from one half of it; the test lies in the other half, which no label touches")
    trained = {
        name: api.train(
            name, source, labels, split="class-halves", split_options={"per_class": PER_CLASS}, refit=False, seed=seed,
            label_options={"crosswalk": crosswalk_of(card)}, progress=progress,
        )
        for name in ("mnf-lda", "svm")
    }  # fmt: skip
    best = trained["mnf-lda"]
    say(f"{'':<24}overall  average")
    rows = {**{name: model.scores for name, model in trained.items()}, "floor: coordinates only": best.record.floors["nearest-label"]}
    for name, found in rows.items():
        say(f"{name:<24}{found['overall']:7.3f}  {found['average']:7.3f}")
    path = home / "indian_pines_map.tif"
    report = api.run(best, source, path, overwrite=True, progress=progress)
    return [*report.files, _picture(path, best.method.legend, f"Indian Pines, mnf-lda, {PER_CLASS} labels a class")]


def _simulated(home: Path, seed: int, say: Say, progress: Progress | None) -> list[Path]:
    made = simulate_scene(home / "scene.tif", seed=seed, overwrite=True)
    source = open_source(made.scene)
    say("Simulated EnMAP-like scene: fields, water, shade, noise, a hole without data")
    quicklook(source, home / "scene.png")
    model = api.train("mnf-lda", source, made.fields, class_field="class", seed=seed, progress=progress)
    path = home / "map.tif"
    report = api.run(model, source, path, confidence=True, smooth=True, overwrite=True, progress=progress)
    _truth_table(model, made.truth, path, report.areas["map"], say)
    picture = _picture(path, model.method.legend, "Simulated scene, mnf-lda smoothed")
    say(f"open {path} in QGIS: colours, class names and hectares come with it")
    return [made.scene, made.truth, made.fields, home / "scene.png", *report.files, picture]


def _truth_table(model: Any, truth: Path, path: Path, areas: Mapping[int, tuple[int, float | None]], say: Say) -> None:
    """The score on the split beside the share of the whole map that is right, which only a simulation can tell."""
    import rasterio

    with rasterio.open(truth) as known, rasterio.open(path) as mapped:
        reference, codes = known.read(1), mapped.read(1)
    seen = (reference > 0) & (codes > 0)
    names = {entry.code: entry.name for entry in model.method.legend.classes}
    found = scores(reference[seen], codes[seen], sorted(names))
    say(f"score on the split (single places, unsmoothed) {model.scores['overall']:.3f}; right in the whole smoothed map {found.overall:.3f}")
    width = max(len(name) for name in names.values())
    for code, (pixels, hectares) in areas.items():
        if code in names:
            say(f"{names[code]:<{width}}  {pixels:>7} pixels  {hectares or 0:>9.1f} ha")


def _picture(raster: Path, legend: Legend, title: str) -> Path:
    picture = raster.with_suffix(".png")
    class_map(raster, legend, picture, title=title)
    return picture
