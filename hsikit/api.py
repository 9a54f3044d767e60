"""The public API: what `import hsikit` offers, and all that the command line calls.

A scene is given as a path, a list of tiles on one grid, a cube (`xarray.DataArray`), or an open `Source`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

from hsikit.errors import MethodError, OptionError
from hsikit.pretrain.verb import pretrain
from hsikit.ranking.verb import rank_detectors
from hsikit.registry import list_methods, load_class
from hsikit.scene import Source
from hsikit.sensors import list_sensors, open_source
from hsikit.sensors.libraries import open_library
from hsikit.transfer import adapt, gather_transfer, method_for

if TYPE_CHECKING:
    import xarray as xr

    from hsikit.assess.accuracy import Assessment
    from hsikit.assess.sample import Sample
    from hsikit.check import Finding
    from hsikit.engine import RunReport
    from hsikit.engine.options import OutputGrid, Progress
    from hsikit.method import Job, Method
    from hsikit.sensors.masking import Masks
    from hsikit.train.benchmark_plan import Smoothing
    from hsikit.train.benchmark_statistics import Standing
    from hsikit.train.evaluate import Evaluation
    from hsikit.train.labelled import LabelledScene
    from hsikit.train.record import TrainingRecord

__all__ = [
    "adapt", "assess_map", "benchmark", "check", "describe", "draw_quicklook", "evaluate", "list_methods", "list_sensors", "load_method", "make_method",
    "method_for", "open_library", "open_scene", "pretrain", "rank_detectors", "read_labels", "run", "sample_map", "save_method", "train",
    "write_detection_report", "write_report",
]  # fmt: skip

Scene = Any
"""str | Path | Sequence[str | Path] | xarray.DataArray | Source."""


def open_scene(path: str | Path | Sequence[str | Path], **reading: Any) -> xr.DataArray:
    """Opens a scene as a lazy cube: dims ("wavelength", "y", "x"), wavelengths in nm, NaN where missing.

    Example:
        >>> cube = hsikit.open_scene("scene.tif")

    Args:
        path: a file, a Zarr store, a folder of tiles, or a list of tiles on one grid.
        **reading: `sensor`, `wavelengths`, `scale`, `offset`, `nodata`, `quantity`, `variable`: see `hsikit.sensors.open_source`.

    Raises:
        SceneError: missing, damaged, or of no known kind.
        WavelengthError: no usable wavelengths.
    """
    from hsikit.cube import to_cube

    return to_cube(open_source(path, **reading))


def source_of(scene: Scene, **reading: Any) -> Source:
    """Any form of a scene as a `Source`."""
    if isinstance(scene, str | Path | list | tuple):
        return open_source(scene, **reading)
    if hasattr(scene, "read") and hasattr(scene, "info"):
        return scene  # type: ignore[no-any-return]
    from hsikit.cube import from_cube

    return from_cube(scene)


@contextmanager
def opened(scene: Scene, **reading: Any) -> Iterator[Source]:
    """A scene as a `Source`; what was opened here from a path is closed again."""
    source = source_of(scene, **reading)
    try:
        yield source
    finally:
        if isinstance(scene, str | Path | list | tuple):
            source.close()


def describe(scene: Scene, **reading: Any) -> dict[str, Any]:
    """What a scene is, as JSON-able facts: what `hsikit info` prints."""
    from hsikit.sensors.describe import describe as facts

    with opened(scene, **reading) as source:
        return facts(source)


def check(scene: Scene, labels: Any = None, *, label_options: Mapping[str, Any] | None = None, **reading: Any) -> list[Finding]:
    """Looks for the traps of a scene, and of labels: see `hsikit.check.check_scene`."""
    from hsikit.check import check_scene

    with opened(scene, inspect=False, **reading) as source:
        return check_scene(source, labels, label_options)


def draw_quicklook(scene: Scene, output: str | Path, *, max_size: int = 1024, overwrite: bool = False, **reading: Any) -> str:
    """Writes a PNG of a scene, or of a class map in its own colours; returns what its colours are.

    Raises:
        OutputError: the picture exists, or its folder is missing.
    """
    from hsikit.viz.maps import draw_codes
    from hsikit.viz.quicklook import quicklook
    from hsikit.writers import check_target

    check_target(Path(output), overwrite)
    with opened(scene, **reading) as source:
        return "classes of the map" if draw_codes(source, output, max_size) else quicklook(source, Path(output), max_size=max_size).name


def make_method(name: str, /, **options: Any) -> Method:
    """A method that needs no training, by its name.

    Raises:
        MethodError: there is no such method, or it must be trained first.
        OptionError: an option that it does not have, or a value of another type than the option's.
    """
    kind = load_class(name)
    if hasattr(kind, "from_state"):
        raise MethodError(name, "must be trained on labels first", "Use `hsikit train`, then `hsikit classify --model`; or train-objects, then detect --model")
    try:
        inspect.signature(kind).bind(**options)
    except TypeError:
        known = ", ".join(inspect.signature(kind).parameters) or "none"
        raise OptionError(name, f"has no such options as {', '.join(options) or 'none'}", f"Its options are: {known}") from None
    types = get_type_hints(kind)
    for option, value in options.items():
        if option in types and not _is_a(value, types[option]):
            raise OptionError(f"{name} {option}", f"{value!r} is not of the type {_type_name(types[option])}", "Write it like -p name=value")
    return kind(**options)  # type: ignore[no-any-return]


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value can stand for an option of this type; types beyond numbers, text, tuples and unions of them take anything."""
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_is_a(value, part) for part in parts)
    if origin is tuple:
        return isinstance(value, tuple | list) and (Ellipsis in parts or (len(value) == len(parts) and all(map(_is_a, value, parts))))
    if kind in (int, float) and isinstance(value, bool):
        return False
    if kind in (int, float, bool, str, type(None)):
        return isinstance(value, (int, float) if kind is float else kind) or (kind in (int, float) and hasattr(value, "dtype") and not value.shape)
    return True


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def load_method(folder: str | Path) -> Method:
    """A trained method out of its model folder.

    Raises:
        ModelError: the folder is missing, damaged, or of a newer format.
    """
    from hsikit.models import load_method as load

    return load(folder)


def save_method(method: Method, folder: str | Path, *, record: Any = None, transfer: Any = None, licence: str = "", overwrite: bool = False) -> Path:
    """Writes a model folder (`model.safetensors`, `model.json`)."""
    from hsikit.models import save_method as save

    return save(method, folder, record=record, transfer=transfer, licence=licence, overwrite=overwrite)


def read_labels(scene: Scene, labels: Any, *, mask: Masks = None, dilate: int = 0, aoi: str | Path | None = None, **options: Any) -> LabelledScene:
    """Labels on a scene's grid: see `hsikit.train.labels.read_labels`; pixels where the scene is missing are dropped.

    With `mask`, `dilate` or `aoi` (see `run`) so are the label pixels that these hide, and the labelled scene is one in which what
    is hidden is missing: neither training nor scoring sees it.
    """
    from hsikit.sensors.masking import MaskedSource, open_masks
    from hsikit.train.extract import drop_hidden, drop_invalid
    from hsikit.train.labels import read_labels as read

    source = source_of(scene)
    hidden = open_masks(source.info, mask, dilate, aoi)
    if hidden is None:
        return drop_invalid(read(source, labels, **options))
    found = drop_hidden(read(MaskedSource(source, hidden), labels, **options), hidden)
    return drop_invalid(replace(found, notes=(*found.notes, f"{source.info.name}: {hidden.told()}")))


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained method and how it was trained. Maps scenes like any method.

    Attributes:
        method: the trained method.
        record: split, scores, floors, pixels used.
        transfer: what scenes of other sensors are mapped by; None where nothing was kept.
    """

    method: Any
    record: TrainingRecord
    transfer: Any = None

    def bind(self, inputs: Mapping[str, Any]) -> Job:
        """See `hsikit.method.Method`."""
        return self.method.bind(inputs)  # type: ignore[no-any-return]

    def save(self, folder: str | Path, *, licence: str = "", overwrite: bool = False) -> Path:
        """Writes the model folder."""
        return save_method(self.method, folder, record=self.record, transfer=self.transfer, licence=licence, overwrite=overwrite)

    @property
    def scores(self) -> Mapping[str, Any]:
        """On the split's test part: "overall", "average", "kappa", per-class "f1", the confusion matrix."""
        return self.record.scores


def train(method: str, scenes: Scene, labels: Any, *, split: str = "blocks", split_options: Mapping[str, Any] | None = None, refit: bool = True,
          calibrate: bool = True, seed: int = 0, label_options: Mapping[str, Any] | None = None, class_field: str | None = None,
          pixels: str | Path | None = None, mask: Masks = None, dilate: int = 0, aoi: str | Path | None = None, overwrite: bool = False,
          progress: Progress | None = None, workspace: Path | None = None, spectra: bool = True, any_sensor: bool = True,
          **options: Any) -> Trained:  # fmt: skip
    """Trains a classifier: spatially disjoint split, score beside its floors, a temperature, then a fit on all labels.

    Example:
        >>> model = hsikit.train("mnf-lda", cube, "fields.gpkg", class_field="crop")
        >>> model.scores["overall"]

    Args:
        method: a name of `hsikit methods`.
        scenes: one scene, or a list of scenes (then `labels` is a list of as many).
        labels: polygons or points, a label raster, or an array of the scene's shape; with several scenes one for each.
        split: "blocks", "class-halves", "groups", "leave-polygon-out", "scene", "fixed", or "random" (by name only: it leaks).
        split_options: `guard`, `block`, `test_share`, `per_class`, `allow_lost`, `strict`.
        refit: whether the model is fitted on all labels after it was scored.
        calibrate: whether a temperature is found by folds inside the training part, at a fit and a map of the labels for each.
        seed: of everything random.
        label_options: further arguments of `read_labels` (`crosswalk`, `ignore`, `buffer`, `group_field`, ...).
        class_field: field of the class in vector labels.
        pixels: GeoPackage to write the label pixels to.
        mask: what is neither trained on nor scored: see `run`.
        dilate: as for `run`.
        aoi: as for `run`.
        overwrite: whether that file may be replaced.
        progress: told of progress.
        workspace: folder for snapshots of a network's training: the same call after a kill goes on from there.
        spectra: whether the model keeps labelled spectra, by which `adapt` refits it for other sensors.
        any_sensor: whether two networks learn, for some ten seconds, by which scenes of other sensors are read out; marginal LDA does it alone
            otherwise.
        **options: the method's own.

    Raises:
        LabelError: labels that cannot be used.
        SplitError: nothing to train or to test on.
        OutputError: `pixels` exists (without `overwrite`) or cannot be written.
        OptionError: an option that the method does not have.
    """
    from hsikit.engine import compute
    from hsikit.train.label_export import check_pixels_target
    from hsikit.train.labels import write_label_pixels
    from hsikit.train.pipeline import train_classifier

    kind = load_class(method)
    if not hasattr(kind, "train"):
        raise MethodError(method, "learns nothing from labels", "Choose a classifier of `hsikit methods`")
    for name in {"scenes", "run"} & set(options):
        raise OptionError(name, f"{method} has no such training option")
    if pixels is not None:
        require_new(check_pixels_target(pixels), overwrite)
    fitted: list[LabelledScene] = []
    with _labelled(scenes, labels, label_options, class_field, (mask, dilate, aoi)) as labelled:
        model, record = train_classifier(
            kind, labelled, split=split, refit=refit, calibrate=calibrate, seed=seed, run=compute, options=options, split_options=split_options,
            progress=progress, workspace=workspace, fitted=fitted.extend,
        )  # fmt: skip
        kept = gather_transfer(model, fitted, spectra=spectra, networks=any_sensor, seed=seed, progress=progress)
        if pixels is not None:
            write_label_pixels(labelled, Path(pixels))
        told = dict.fromkeys(note for scene in labelled for note in scene.notes)
    return Trained(model, replace(record, notes=(*told, *record.notes)), kept)


@contextmanager
def _labelled(scenes: Scene, labels: Any, options: Mapping[str, Any] | None, class_field: str | None, hide: tuple[Masks, int, Any],
              progress: Progress | None = None) -> Iterator[list[LabelledScene]]:  # fmt: skip
    """Pairs of scene and labels under one legend, their notes told to `progress`; scenes that were opened here are closed again."""
    from hsikit.train.labels import combine_legends

    mask, dilate, aoi = hide
    pairs = list(zip(scenes, labels, strict=True)) if isinstance(labels, list) and isinstance(scenes, list) else [(scenes, labels)]
    chosen = {**(options or {}), **({"class_field": class_field} if class_field else {}), "mask": mask, "dilate": dilate, "aoi": aoi}
    with ExitStack() as held:
        found = [read_labels(held.enter_context(opened(scene)), label, **chosen) for scene, label in pairs]
        for note in (note for scene in found for note in scene.notes):
            if progress is not None:
                progress.note(f"note: {note}")
        yield combine_legends(found)


def evaluate(model: str | Path | Trained, scenes: Scene, labels: Any, *, split: str | None = None, split_options: Mapping[str, Any] | None = None,
             seed: int = 0, calibrate: bool = True, smooth: bool = False, label_options: Mapping[str, Any] | None = None, class_field: str | None = None,
             mask: Masks = None, dilate: int = 0, aoi: str | Path | None = None, progress: Progress | None = None) -> Evaluation:  # fmt: skip
    """Scores a model on label pixels that it has not seen; with `split`, refits its method on that split and says so.

    Args:
        model: a trained model, or its folder.
        scenes: one scene, or a list of scenes (then `labels` is a list of as many).
        labels: as for `train`.
        split: a split to fit and score the model's method on.
        split_options: as for `train`.
        seed: of the split, of that fit, and of the resamples of the intervals.
        calibrate: with a split, whether a temperature is found inside its training part.
        smooth: whether the class probabilities are smoothed along edges first, as `run` does.
        label_options: as for `train`.
        class_field: field of the class in vector labels.
        mask: what is not scored: see `run`.
        dilate: as for `run`.
        aoi: as for `run`.
        progress: told of progress.

    Raises:
        LabelError: no label pixel is left that the model has not seen.
    """
    from hsikit.engine import compute
    from hsikit.models import load_record
    from hsikit.tasks.classification.smooth import smooth as smoothed
    from hsikit.train.evaluate import evaluate as score
    from hsikit.train.record import TrainingRecord

    known = Trained(load_method(model), load_record(model, TrainingRecord)) if isinstance(model, str | Path) else model  # type: ignore[arg-type]
    with _labelled(scenes, labels, label_options, class_field, (mask, dilate, aoi), progress) as labelled:
        return score(known.method, known.record, labelled, split=split, seed=seed, run=compute, split_options=split_options, calibrate=calibrate,
                     finish=smoothed if smooth else None, progress=progress)  # fmt: skip


def run(method: Any, scene: Any, output: str | Path, *, confidence: bool = False, probabilities: bool = False, smooth: bool = False, sieve: int = 0,
        unknown_below: float = 0.0, refit_statistics: bool = False, named: Mapping[str, str | Path] | None = None, tile: int | None = None,
        memory: int | str | None = None, threads: int | None = None, device: str = "cpu", precision: str = "float32",
        bbox: tuple[float, float, float, float] | None = None, bbox_crs: str | None = None, mask: Masks = None, dilate: int = 0,
        aoi: str | Path | None = None, grid: OutputGrid = "map", overwrite: bool = False, restart: bool = False,
        progress: Progress | None = None) -> RunReport:  # fmt: skip
    """Maps a scene of any size, tile by tile, into finished, georeferenced files.

    Example:
        >>> hsikit.run(model, cube, "map.tif", confidence=True)
        >>> hsikit.run(hsikit.make_method("rx", pfa=1e-3), "scene.tif", "scores.tif")

    Args:
        method: a trained or made method; or the path of a model folder.
        scene: a scene; for methods of several inputs a mapping of role to scene.
        output: the main raster; its ending tells the format (.tif, .zarr, .hdr).
        confidence: also write `STEM_confidence`.
        probabilities: also write `STEM_probabilities`.
        smooth: regularise the class probabilities along edges.
        sieve: patches of fewer pixels take the class of the larger patches that they touch most.
        unknown_below: pixels with a lower confidence become "unknown" (254).
        refit_statistics: learn the scene's statistics anew, and refit what was trained in their space.
        named: paths of further layers, by name.
        tile: rows and columns of a tile, without its halo.
        memory: peak memory of the whole process, in bytes or like "700M"; None: half of what is available.
        threads: compute threads; None: all cores.
        device: "cpu", "cuda", "cuda:1".
        precision: "float32" or "bf16".
        bbox: left, bottom, right, top of the part to run.
        bbox_crs: its CRS; None: the scene's, or longitude and latitude for a swath.
        mask: what to hide: quality flags of the product ("cloud,shadow"), a raster, or polygons; one or several.
        dilate: pixels by which all that is grown.
        aoi: polygons; what lies outside is hidden.
        grid: where the results of a swath lie: on the "map", or on the "sensor"'s own grid.
        overwrite: whether existing outputs may be replaced.
        restart: whether the unfinished part of an earlier run is dropped.
        progress: told of progress.

    Raises:
        OutputError, RunError, SceneError, ModelError, GridError, MemoryPlanError, OptionError: each says what to do.
    """
    from hsikit.prepared import prepare_run

    classifier = {"confidence": confidence, "probabilities": probabilities, "smooth": smooth, "sieve": sieve, "unknown_below": unknown_below,
                  "refit_statistics": refit_statistics}  # fmt: skip
    with prepare_run(
        method, scene, progress, bbox=bbox, bbox_crs=bbox_crs, mask=mask, dilate=dilate, aoi=aoi, memory=memory, device=device, precision=precision,
        classifier=classifier, tile=tile, threads=threads, grid=grid, overwrite=overwrite, restart=restart,
    ) as prepared:  # fmt: skip
        return prepared.write(output, named)


def require_new(path: str | Path, overwrite: bool) -> None:
    """Refuses an output that exists, before any work.

    Raises:
        OutputError: it exists without `overwrite`, or its folder is missing.
    """
    from hsikit.writers import check_target

    check_target(Path(path), overwrite)


def benchmark(scenes: Scene, labels: Any, methods: Sequence[Any], folder: str | Path, *, splits: Sequence[Any] = ("blocks",),
              seeds: Iterable[int] = range(10), smooth: Smoothing = "no", against: str | None = None, split_options: Mapping[str, Any] | None = None,
              label_options: Mapping[str, Any] | None = None, class_field: str | None = None, mask: Masks = None, dilate: int = 0,
              aoi: str | Path | None = None, progress: Progress | None = None) -> list[Standing]:  # fmt: skip
    """Compares classifiers on the same draws: methods x splits x seeds, kept in a folder, ranked, with paired differences.

    A method or split is a name, or (name, options). `mask`, `dilate` and `aoi` are those of `run`. See docs/benchmark.md.

    Raises:
        OptionError, MethodError, LabelError: a plan that cannot be run.
    """
    from hsikit.engine import compute
    from hsikit.tasks.classification.smooth import smooth as smoothed
    from hsikit.train.benchmark import run_benchmark
    from hsikit.train.benchmark_plan import make_plan
    from hsikit.train.benchmark_statistics import standings
    from hsikit.train.benchmark_table import write_results

    plan = make_plan(methods, splits, seeds, smooth=smooth, split_options=split_options, against=against)
    with _labelled(scenes, labels, label_options, class_field, (mask, dilate, aoi), progress) as labelled:
        cells = run_benchmark(labelled, plan, folder, run=compute, smooth=smoothed, progress=progress)
        write_results(folder, plan, cells, labelled)
    return standings(plan, cells)


def sample_map(path: str | Path, output: str | Path, **design: Any) -> Sample:
    """Draws reference points from a class map; arguments and errors are those of `hsikit.assess.sample.sample_map`."""
    from hsikit.assess.sample import sample_map as draw

    return draw(path, output, **design)


def assess_map(path: str | Path, reference: str | Path, **choices: Any) -> Assessment:
    """Accuracy and areas of a map from reference points; arguments and errors are those of `hsikit.assess.accuracy.assess_map`."""
    from hsikit.assess.accuracy import assess_map as assess

    return assess(path, reference, **choices)


def write_report(class_map: str | Path, model: str | Path, output: str | Path, *, scene: Scene | None = None, evaluation: str | Path | None = None,
                 accuracy: str | Path | None = None, overwrite: bool = False, **reading: Any) -> list[Path]:  # fmt: skip
    """Writes one self-contained HTML page about a class map, and `run.json` beside it: see `hsikit.report.write_report`."""
    from hsikit.report import write_report as write

    with ExitStack() as held:
        source = held.enter_context(opened(scene, **reading)) if scene is not None else None
        return write(class_map, model, output, scene=source, evaluation=evaluation, accuracy=accuracy, overwrite=overwrite)


def write_detection_report(scores: str | Path, output: str | Path, *, scene: Scene | None = None, hits: str | Path | None = None,
                           target: Any = None, names: Sequence[str] = (), pixels: Sequence[tuple[int, int]] = (), truth: str | Path | None = None,
                           overwrite: bool = False, **reading: Any) -> list[Path]:  # fmt: skip
    """Writes one self-contained HTML page about a map of scores, and `run.json` beside it: see `hsikit.report.detection.write_detection_report`.

    Example:
        >>> hsikit.write_detection_report("scores.tif", "report.html", scene="scene.tif", truth="truth.gpkg")

    Args:
        scores: a map of `hsikit detect` or `hsikit anomaly`.
        output: the page.
        scene: the scene that it was made from, for quicklook, spectra and floor.
        hits: a file of the run's hits; None: they are found in the map.
        target: what was looked for, as `hsikit.targets.read_targets` takes it; None: the map's own metadata know it.
        names: which of its spectra.
        pixels: (row, column) of the pixels that the target was taken from; they are not scored.
        truth: a raster on the map's grid, or polygons or points of objects.
        overwrite: whether an older report may be replaced.
        **reading: of the scene, as for `open_scene`.
    """
    from hsikit.engine import RunOptions, compute
    from hsikit.report.detection import write_detection_report as write
    from hsikit.targets import read_targets

    def run(method: Any, source: Source, hidden: Any) -> Any:
        found = compute(method.bind({"cube": source.info}), {"cube": source}, layers=["scores"], options=RunOptions(mask=hidden))
        return found.layers["scores"].max(axis=0)

    if names and target is None:
        raise OptionError("names", "they choose spectra of a library, and none is given", "Give a target file")
    if scene is None and (target is not None or len(pixels)):
        raise OptionError("scene", "a target is given, and no scene whose bands it could be brought to", "Give the scene, or leave the target out")
    with ExitStack() as held:
        source = held.enter_context(opened(scene, **reading)) if scene is not None else None
        looked_for = None
        if source is not None and (target is not None or len(pixels)):
            looked_for = read_targets(source, target, names=names) if target is not None else read_targets(source, pixels=pixels)
        return write(scores, output, run, scene=source, hits=hits, target=looked_for, pixels=pixels, truth=truth, overwrite=overwrite)
