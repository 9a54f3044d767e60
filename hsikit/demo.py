"""The demo: from few labels to a map and its worth, on a real scene and on a simulated one.

Indian Pines (real, without georeference) comes out of the Python package tensorly. The simulated scene has a place on the
ground, so that a first-time user has a map to open in QGIS; its truth is known everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from hsikit.scene import Source

Say = Callable[[str], None]
PER_CLASS = 10
METHOD, WITHOUT_NETWORK, SIMPLE = "lola-specvit", "mnf-lda-edge", "mnf-lda"
FLOORS = {"nearest-label": "floor: coordinates only", "svm on spectra": "floor: single spectra"}


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
    trained = {}
    for name in (SIMPLE, WITHOUT_NETWORK, METHOD):
        say(f"training {name}" + (", which first learns from the whole scene without labels: some minutes" if name == METHOD else ""))
        trained[name] = api.train(
            name, source, labels, split="class-halves", split_options={"per_class": PER_CLASS}, refit=False, calibrate=name == METHOD,
            seed=seed, label_options={"crosswalk": crosswalk_of(card)}, progress=progress,
        )  # fmt: skip
    _score_table({name: trained[name].scores for name in reversed(trained)}, trained[METHOD].record.floors, say)
    return _map_and_report(home, source, trained[METHOD], say, progress)


def _score_table(methods: Mapping[str, Mapping[str, Any]], floors: Mapping[str, Mapping[str, Any]], say: Say) -> None:
    """The methods' scores on the test part beside those of the floors, and what they mean."""
    say(f"{'':<24}overall  average")
    for name, found in {**methods, **{FLOORS[name]: found for name, found in floors.items()}}.items():
        say(f"{name:<24}{found['overall']:7.3f}  {found['average']:7.3f}")
    better = max(floors, key=lambda name: floors[name]["overall"])
    right = {name: 100 * found["overall"] for name, found in {**methods, better: floors[better]}.items()}
    more = {name: _apart(right[METHOD] - right[name]) for name in right}
    say(
        f"Of 100 test pixels {METHOD} has {right[METHOD]:.0f} right: {more[WITHOUT_NETWORK]} than {WITHOUT_NETWORK}, which judges objects too but has "
        f"no network, {more[SIMPLE]} than {SIMPLE}, and {more[better]} than {FLOORS[better].removeprefix('floor: ')}, the better floor."
    )
    say(
        f"This is one draw of {PER_CLASS} labels a class, and may be a lucky one: between draws the standard deviation is some 7 of 100. "
        "`hsikit benchmark` compares methods over many draws; docs/benchmark.md says how to read it."
    )


def _apart(points: float) -> str:
    return f"{abs(points):.0f} {'more' if points >= 0 else 'fewer'}"


def _map_and_report(home: Path, source: Source, trained: api.Trained, say: Say, progress: Progress | None) -> list[Path]:
    """The map of Indian Pines, its picture, the model folder, and the page about them."""
    path, page = home / "indian_pines_map.tif", home / "indian_pines_report.html"
    made = api.run(trained, source, path, overwrite=True, progress=progress)
    picture = _picture(path, trained.method.legend, f"Indian Pines, {METHOD}, {PER_CLASS} labels a class")
    folder = trained.save(home / "indian_pines_model", overwrite=True)
    report = api.write_report(path, folder, page, scene=source, overwrite=True)
    say(f"open {page} in a browser: the map and what it is worth, on one page to send")
    return [*made.files, picture, folder, *report]


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
