"""From working files to products: rasters, features, what lies beside them; all staged, for one commit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hsikit.engine.context import Context
from hsikit.engine.layerfile import LayerFile
from hsikit.engine.options import Progress
from hsikit.engine.placing import SENSOR, MappedLayer, Placement, areas_of, place_features, placement_of
from hsikit.engine.stages import LayerStrips
from hsikit.engine.state import FineState, is_state
from hsikit.errors import OutputError
from hsikit.geo.area import class_areas
from hsikit.geo.grid import Grid, Window
from hsikit.geo.remote import RemotePath
from hsikit.layers import Features, Layer, Pixels
from hsikit.method import Job
from hsikit.version import __version__
from hsikit.writers import Asset, Provenance, format_of, raster_paths, write_bundle, write_item, write_provenance, write_raster, write_table, write_vector
from hsikit.writers.qgis import bundle_paths
from hsikit.writers.stac import DATA, DATA_MASK

ClassAreas = Mapping[int, tuple[int, float | None]]
"""Code -> (pixels, hectares); hectares are None without georeference."""
Pair = tuple[Path, Path]
LEARNED = "learned_unlabelled"
"""What a method says that it learned from the scene's unlabelled pixels."""


@dataclass(frozen=True)
class FinishedLayer:
    """The `Pixels` that a writer copies from: a working file, counted from the corner of the area."""

    file: LayerFile

    def read(self, window: Window) -> NDArray[Any]:
        """See `hsikit.layers.Pixels`."""
        area = self.file.area
        return self.file.read(Window(window.row + area.row, window.col + area.col, *window.shape))


def beside(job: Job, paths: Mapping[str, Path]) -> list[Path]:
    """Final paths of what is written beside the layers: description, styles, attribute tables."""
    main = next(iter(paths.values()))
    found = [main.with_suffix(".json")]
    for name, path in paths.items():
        layer = job.layer(name)
        if layer.kind == "raster":
            found += [other for other in raster_paths(path) if other != path]
        if layer.legend is not None:
            found += bundle_paths(path)
    return found


def deliver(context: Context, paths: Mapping[str, Path], progress: Progress) -> tuple[list[Pair], dict[str, ClassAreas]]:
    """Writes every delivered layer into the working folder.

    Args:
        context: a run whose stages are finished.
        paths: final path of each layer, the main one first.
        progress: told of each file.

    Returns:
        Pairs (staged, final) for `hsikit.writers.commit`, the main output last; and the areas of class maps by layer.
    """
    folder = context.folder / "products"
    folder.mkdir(exist_ok=True)
    info = context.sources[context.job.reference].info
    placement = placement_of(info, context.area) if context.options.grid == "map" else None
    place = _Place(context, placement, swath=info.swath is not None)
    pairs: list[Pair] = []
    assets: list[Asset] = []
    areas: dict[str, ClassAreas] = {}
    for name, final in reversed(list(paths.items())):
        progress.note(f"writing {final}")
        with _named(final):
            home = folder / name  # two layers may have files of one name in two folders
            home.mkdir(exist_ok=True)
            made, beside_it = _deliver_layer(place, context.job.layer(name), final, home, areas, progress)
        assets += beside_it
        pairs += made
    main = next(iter(paths.values()))
    found = [*_describe(place, main, list(reversed(assets)), areas, folder), *pairs]
    if isinstance(main, RemotePath):
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        progress.note(f"putting {len(found)} outputs of {size / 2**20:.1f} MiB, made in {folder}, beside {main}")
    return found, areas


@dataclass(frozen=True)
class _Place:
    """Where the results of a run lie.

    Attributes:
        context: the run.
        placement: how they are put on the map; None where they stay on the reference grid.
        swath: whether that is the sensor's own grid.
    """

    context: Context
    placement: Placement | None
    swath: bool

    def on_map(self, layer: Layer) -> bool:
        """Whether a layer is put on the map."""
        return self.placement is not None and (layer.kind == "vector" or (layer.kind == "raster" and layer.zoom == 1))

    @property
    def grid(self) -> Grid:
        """The grid of the products as a whole."""
        return self.context.grid.crop(self.context.area) if self.placement is None else self.placement.grid

    def tags(self, layer: Layer) -> dict[str, str]:
        """What a product says of its place; a scene on a map grid needs no words."""
        if self.placement is not None and self.on_map(layer):
            return self.placement.tags()
        return {"hsikit_grid": SENSOR} if self.swath else {}


def _deliver_layer(place: _Place, layer: Layer, final: Path, folder: Path, areas: dict[str, ClassAreas], progress: Progress) -> tuple[list[Pair], list[Asset]]:
    """One layer and what lies beside it; the layer's own file comes last."""
    context = place.context
    if layer.kind != "raster":
        features = _placed(place, layer, final, progress)
        made = (write_vector if layer.kind == "vector" else write_table)(features, folder / final.name)
        return [(path, final.parent / path.name) for path in made], [Asset(layer.name, final, layer)]
    pixels = _finished(context, layer)
    grid = context.grid.crop(context.area).finer(layer.zoom)
    if place.placement is not None and place.on_map(layer):
        pixels, grid = MappedLayer(pixels, layer, place.placement.table), place.placement.grid
    elif place.placement is not None:
        progress.note(f"note: {final.name} stays on the sensor's grid: its pixels are finer than those that the lookup table knows")
    made = write_raster(layer, grid, pixels, folder / final.name, tags={**_tags(context, layer), **place.tags(layer)})
    pairs: list[Pair] = []
    if layer.legend is not None:
        areas[layer.name] = _areas_on_reference(context, layer, grid) if isinstance(pixels, FinishedLayer) else areas_of(pixels, grid)
        pairs = write_bundle(final, folder, layer.legend, areas[layer.name])
    assets = [Asset(f"{layer.name} {path.suffix[1:]}", path) for _, path in pairs]
    # An asset without a layer claims no place: one that stays on the sensor's grid beside a map has none.
    described = layer if place.on_map(layer) or place.placement is None else None
    own_grid = grid if layer.zoom != 1 and place.placement is None else None
    assets.append(Asset(layer.name, final, described, format_of(final, layer) == "cog", own_grid, DATA_MASK if is_state(layer) else DATA))
    return [*pairs, *((path, final.parent / path.name) for path in reversed(made))], assets


def _finished(context: Context, layer: Layer) -> Pixels:
    """The pixels of a layer on the grid of the run; the state of those of a finer grid follows from that of the reference pixels."""
    file = context.files[layer.name]
    return FinishedLayer(file) if file.layer.zoom == layer.zoom else FineState(file, layer.zoom)


def _areas_on_reference(context: Context, layer: Layer, grid: Grid) -> ClassAreas:
    return class_areas(((window, arrays[layer.name][0]) for window, arrays in LayerStrips(context).strips(layer.name)), grid)


def _placed(place: _Place, layer: Layer, final: Path, progress: Progress) -> Features:
    """The features of a layer, in the map's CRS where there is a map."""
    found = place.context.features[layer.name]
    if place.placement is None or not place.on_map(layer):
        return found
    placed, lost = place_features(found, place.placement)
    if lost:
        progress.note(f"note: {lost} points of {final.name} are left out: their pixels have no position")
    return placed


@contextmanager
def _named(final: Path) -> Iterator[None]:
    """Lets an error name the output as the user knows it, not the place where it is staged."""
    try:
        yield
    except OutputError as error:
        raise OutputError(final, error.wrong, error.advice) from error


def _tags(context: Context, layer: Layer) -> dict[str, str]:
    """Facts that a raster carries; none of them tells when it was made, so that equal runs make equal files."""
    facts = {"hsikit_version": __version__, "hsikit_method": context.job.method, "hsikit_layer": layer.name}
    inputs = {f"hsikit_input_{role}": Path(source.info.name).name for role, source in context.sources.items()}
    return {**facts, **inputs, **_seen(context), **context.job.provenance, **context.job.findings(context.store)}


def _seen(context: Context) -> dict[str, str]:
    """When the scene was seen, at what angle (degrees from the vertical), and how much of it under clouds (percent), as far as it says."""
    info = context.sources[context.job.reference].info
    cover = "" if info.cloud_cover is None else f"{info.cloud_cover:g}"
    seen = {"acquired": info.acquired, "view_zenith": info.attrs.get("view_zenith", ""), "cloud_cover": cover}
    return {key: text for key, text in seen.items() if text}


def _describe(place: _Place, main: Path, assets: list[Asset], areas: Mapping[str, ClassAreas], folder: Path) -> list[Pair]:
    """The STAC item, or for a scene without georeference a plain provenance file, named after the main output."""
    context, grid = place.context, place.grid
    where = {"grid": place.placement.told if place.placement is not None else SENSOR} if place.swath else {}
    provenance = Provenance(
        method=context.job.method,
        inputs={role: source.info.name for role, source in context.sources.items()},
        model=context.job.provenance.get("model", ""),
        parameters={
            **context.job.identity,
            **{key: text for key, text in context.job.provenance.items() if key == LEARNED},
            **context.job.findings(context.store),
            **where,
            **({"areas": {name: _areas(context.job.layer(name), found) for name, found in areas.items()}} if areas else {}),
        },
        version=__version__,
        notices=tuple(notice for source in context.sources.values() for notice in source.info.notices),
    )
    final = main.with_suffix(".json")
    staged = folder / final.name
    if grid.georeferenced:
        info = context.sources[context.job.reference].info
        write_item(staged, grid, assets, provenance, acquired=info.acquired, cloud_cover=info.cloud_cover, final=final)
    else:
        write_provenance(staged, provenance, [asset.path.name for asset in assets])
    return [(staged, final)]


def _areas(layer: Layer, areas: ClassAreas) -> dict[str, Any]:
    """Pixels and hectares by class name; the reserved codes have no area."""
    names = {entry.code: entry.name for entry in layer.legend.classes} if layer.legend else {}
    return {names[code]: {"pixels": pixels, "hectares": hectares} for code, (pixels, hectares) in areas.items() if code in names}
