"""Collects what a report says and shows: out of the map, the model folder, the scene, and the files of other verbs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.assess.class_map import open_class_map
from hsikit.errors import ModelError
from hsikit.geo.grid import Grid
from hsikit.layers import MASKED, NODATA, UNKNOWN, Legend
from hsikit.models import load_method, load_record, read_folder
from hsikit.registry import list_methods
from hsikit.report.assessment import areas_of, of_evaluation, of_record, per_class, plain, read_evaluation, split_of_record
from hsikit.report.content import Areas, Assessment, ClassFacts, Content, ModelFacts
from hsikit.report.ground import Pixels, class_spectra, on_map, picture
from hsikit.report.labelled_places import LabelPlaces, places_of
from hsikit.report.mapfile import MapFile, read_map
from hsikit.scene import Bands, Source
from hsikit.tasks.classification.any_sensor import READ_OUT
from hsikit.train.record import TrainingRecord
from hsikit.version import __version__


@dataclass(frozen=True, eq=False)
class Views:
    """What the pictures of a report are drawn from: arrays, beside the plain values of `Content`.

    Attributes:
        grid: the map's.
        codes: every n-th code of the map, uint8 of shape (rows, cols).
        quicklook: shape (rows, cols, 3), 0 to 1, NaN where there is no data; None without a scene.
        bands: of the scene; None without one.
        quantity, units: of the scene's values.
        places: the label pixels.
        legend: the classes.
    """

    grid: Grid
    codes: NDArray[np.uint8]
    quicklook: NDArray[np.float32] | None
    bands: Bands | None
    quantity: str
    units: str
    places: LabelPlaces
    legend: Legend


def gather(
    path: str | Path, model: str | Path, *, scene: Source | None = None, evaluation: str | Path | None = None, accuracy: str | Path | None = None
) -> tuple[Content, Views]:
    """Everything that a report says and shows.

    Args:
        path: the class map.
        model: the folder of the model that made it.
        scene: the scene that it was made from, for the quicklook and the spectra.
        evaluation: a file of `hsikit evaluate -o`; None: the scores kept in the model folder.
        accuracy: a file of `hsikit accuracy --json`.

    Raises:
        MapError: no class map, or one without class names.
        ModelError: no whole model folder, or a model of other classes than the map's.
        GridError: the scene is not that of the map.
        OptionError: a file of another verb is none.
        SceneError: the scene is damaged.
    """
    facts, _ = read_folder(model)
    method = load_method(model)
    if "classes" not in facts:
        raise ModelError(model, f"its method {facts['method']} makes no class map", "Give the folder of a classifier")
    legend = Legend.from_json(facts["classes"])
    mapped = read_map(path)
    mapped.require_legend(legend, model)
    record = load_record(model, TrainingRecord)
    source = on_map(scene, mapped.grid, str(path)) if scene is not None else None
    temperature = float(facts.get("temperature", 1.0))  # models of the first release have none
    places = places_of(record, mapped.grid) if record else LabelPlaces()
    assessed = _assessment(record, evaluation, str(facts["method"]), legend, temperature)
    split = split_of_record(record) if record else None
    areas = areas_of(accuracy, [entry.name for entry in legend.classes if entry.code in mapped.areas]) if accuracy is not None else None
    content = Content(
        title=f"Class map of {_scene_name(mapped, scene)}",
        map=mapped.facts(),
        model=_model_facts(model, facts, record),
        classes=_classes(legend, mapped, record, assessed),
        unknown=mapped.outside.get(UNKNOWN, 0),
        masked=mapped.outside.get(MASKED, 0),
        nodata=mapped.outside.get(NODATA, 0),
        scene=scene.info.name if scene is not None else "",
        composite="",
        places=places.facts(),
        split=split,
        assessment=assessed,
        areas=areas,
        warnings=_warnings(mapped, method, assessed, areas, scene),
        version=__version__,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    views = Views(mapped.grid, mapped.shown, None, None, "", "", places, legend)
    return _with_scene(content, views, source) if source is not None else (content, views)


def _with_scene(content: Content, views: Views, source: Source) -> tuple[Content, Views]:
    """Adds what only the scene can tell: quicklook and spectra."""
    shown, composite = picture(source)
    where, kind = _spectra_places(views.places, views.legend, content.map.name)
    spectra = class_spectra(source, where)
    info = source.info
    wavelengths = tuple(float(nm) for nm in info.bands.wavelength) if spectra else ()
    more = replace(content, composite=composite, spectra=spectra, spectra_of=kind if spectra else "", wavelengths=wavelengths)
    return more, replace(views, quicklook=shown, bands=info.bands, quantity=info.quantity, units=info.units)


def _spectra_places(places: LabelPlaces, legend: Legend, path: str | Path) -> tuple[dict[int, Pixels], str]:
    """Pixels of each class for its spectra, and which they are: labelled ones where the record keeps their classes."""
    if len(places.truth):
        return _by_class(places.test, places.truth), "test"
    if not len(places.training[0]):
        return {}, ""
    with open_class_map(path) as opened:
        mapped = opened.codes_at(*places.training)
    return {code: pixels for code, pixels in _by_class(places.training, mapped).items() if code in legend.codes}, "mapped"


def _by_class(pixels: Pixels, codes: NDArray[np.integer]) -> dict[int, Pixels]:
    return {int(code): (pixels[0][codes == code], pixels[1][codes == code]) for code in np.unique(codes)}


def _assessment(record: TrainingRecord | None, evaluation: str | Path | None, method: str, legend: Legend, temperature: float) -> Assessment | None:
    """What is known of the model's worth: an evaluation, else what its folder keeps."""
    if evaluation is not None:
        return of_evaluation(read_evaluation(evaluation, method, legend))
    return of_record(record, method, legend, temperature) if record is not None else None


def _scene_name(mapped: MapFile, scene: Source | None) -> str:
    """The scene's file name, without its folder."""
    named = scene.info.name if scene is not None else mapped.made_from
    return Path(named).name or mapped.path.name


def _model_facts(folder: str | Path, facts: Mapping[str, Any], record: TrainingRecord | None) -> ModelFacts:
    entry = next(entry for entry in list_methods() if entry.name == facts["method"])
    centres = [nm for nm in facts.get("wavelength", ()) if plain(nm) is not None]
    history = facts.get("history") or {}
    return ModelFacts(
        name=str(folder),
        method=str(facts["method"]),
        line=entry.line,
        paper=entry.paper,
        sensor=str(facts.get("sensor", "")),
        quantity=str(facts.get("quantity", "")),
        units=str(facts.get("units", "")),
        bands=len(facts.get("wavelength", ())),
        wavelengths=(float(centres[0]), float(centres[-1])) if centres else None,
        settings=dict(facts.get("options", {})),
        options=dict(record.options) if record else {},
        version=str(facts.get("hsikit", "")),
        licence=str(facts.get("licence", "")),
        refitted=record.refitted if record else None,
        seed=record.seed if record else None,
        history={str(name): tuple(plain(value) for value in values) for name, values in history.items()},
    )


def _classes(legend: Legend, mapped: MapFile, record: TrainingRecord | None, assessed: Assessment | None) -> tuple[ClassFacts, ...]:
    total = sum(pixels for pixels, _ in mapped.areas.values())
    scored = per_class(assessed) if assessed else {}
    split = {int(row["code"]): row for row in record.report.get("classes", ())} if record else {}
    found = []
    for entry in legend.classes:
        pixels, hectares = mapped.areas.get(entry.code, (0, 0.0 if mapped.grid.georeferenced else None))
        parts = {part: int(split[entry.code][part]) for part in ("train", "test")} if entry.code in split else {}
        found.append(
            ClassFacts(entry.code, entry.name, entry.colour, pixels, hectares, pixels / total if total else None, **parts, **scored.get(entry.code, {}))
        )
    return tuple(found)


def _warnings(mapped: MapFile, method: Any, assessed: Assessment | None, areas: Areas | None,
              scene: Source | None) -> tuple[str, ...]:  # fmt: skip
    """What a reader must know before anything else."""
    found = []
    weights = mapped.table("parameters").get("weights")
    own = method.identity().get("weights") if hasattr(method, "identity") else None
    same_version = str(mapped.fact("version") or "") == __version__  # another version may sum weights up in another way
    if told := mapped.tags.get(READ_OUT):
        found.append(f"The map is of another sensor than the model's: {told}. The scores below are the model's own, on its own sensor.")
    elif same_version and weights and own and weights != own:
        found.append("The map's own metadata name another model of the same classes than the one given here: the scores below may not be its own.")
    if assessed is None:
        found.append("Nothing says what this map is worth: the model folder does not say how the model was trained. `hsikit evaluate` finds it out.")
    if assessed is not None and assessed.split is not None and assessed.split.name == "random":
        found.append("Training and test pixels were drawn at random, so that they lie side by side: the scores below are too high for any other place.")
    made_from = mapped.made_from
    if scene is not None and made_from and Path(made_from).name != Path(scene.info.name).name:
        found.append(f"The map's own metadata name the scene {Path(made_from).name}; quicklook and spectra are of {Path(scene.info.name).name}.")
    if areas is not None and Path(areas.map).name != mapped.path.name:
        found.append(f"The accuracy of the whole map and the areas with intervals are those of the map {Path(areas.map).name}.")
    return tuple(found)
