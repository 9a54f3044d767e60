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
from hsikit.engine.stages import LayerStrips
from hsikit.errors import OutputError
from hsikit.geo.area import class_areas
from hsikit.geo.grid import Grid, Window
from hsikit.layers import Layer
from hsikit.method import Job
from hsikit.version import __version__
from hsikit.writers import Asset, Provenance, format_of, raster_paths, write_bundle, write_item, write_provenance, write_raster, write_table, write_vector
from hsikit.writers.qgis import bundle_paths

ClassAreas = Mapping[int, tuple[int, float | None]]
"""Code -> (pixels, hectares); hectares are None without georeference."""
Pair = tuple[Path, Path]


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
    pairs: list[Pair] = []
    assets: list[Asset] = []
    areas: dict[str, ClassAreas] = {}
    for name, final in reversed(list(paths.items())):
        progress.note(f"writing {final}")
        with _named(final):
            home = folder / name  # two layers may have files of one name in two folders
            home.mkdir(exist_ok=True)
            made, beside_it = _deliver_layer(context, context.job.layer(name), final, home, areas)
        assets += beside_it
        pairs += made
    main = next(iter(paths.values()))
    return [*_describe(context, main, list(reversed(assets)), areas, folder), *pairs], areas


def _deliver_layer(context: Context, layer: Layer, final: Path, folder: Path, areas: dict[str, ClassAreas]) -> tuple[list[Pair], list[Asset]]:
    """One layer and what lies beside it; the layer's own file comes last."""
    if layer.kind != "raster":
        made = (write_vector if layer.kind == "vector" else write_table)(context.features[layer.name], folder / final.name)
        return [(path, final.parent / path.name) for path in made], [Asset(layer.name, final, layer)]
    grid = context.grid.crop(context.area).finer(layer.zoom)
    made = write_raster(layer, grid, FinishedLayer(context.files[layer.name]), folder / final.name, tags=_tags(context, layer))
    pairs: list[Pair] = []
    if layer.legend is not None:
        areas[layer.name] = class_areas(((window, arrays[layer.name][0]) for window, arrays in LayerStrips(context).strips(layer.name)), grid)
        pairs = write_bundle(final, folder, layer.legend, areas[layer.name])
    assets = [Asset(f"{layer.name} {path.suffix[1:]}", path) for _, path in pairs]
    assets.append(Asset(layer.name, final, layer, format_of(final, layer) == "cog", grid if layer.zoom != 1 else None))
    return [*pairs, *((path, final.parent / path.name) for path in reversed(made))], assets


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
    return {**facts, **inputs, **context.job.provenance}


def _describe(context: Context, main: Path, assets: list[Asset], areas: Mapping[str, ClassAreas], folder: Path) -> list[Pair]:
    """The STAC item, or for a scene without georeference a plain provenance file, named after the main output."""
    grid: Grid = context.grid.crop(context.area)
    provenance = Provenance(
        method=context.job.method,
        inputs={role: source.info.name for role, source in context.sources.items()},
        model=context.job.provenance.get("model", ""),
        parameters={**context.job.identity, **({"areas": {name: _areas(context.job.layer(name), found) for name, found in areas.items()}} if areas else {})},
        version=__version__,
        notices=tuple(notice for source in context.sources.values() for notice in source.info.notices),
    )
    final = main.with_suffix(".json")
    staged = folder / final.name
    if grid.georeferenced:
        acquired = context.sources[context.job.reference].info.acquired
        write_item(staged, grid, assets, provenance, acquired=acquired, final=final)
    else:
        write_provenance(staged, provenance, [asset.path.name for asset in assets])
    return [(staged, final)]


def _areas(layer: Layer, areas: ClassAreas) -> dict[str, Any]:
    """Pixels and hectares by class name; the reserved codes have no area."""
    names = {entry.code: entry.name for entry in layer.legend.classes} if layer.legend else {}
    return {names[code]: {"pixels": pixels, "hectares": hectares} for code, (pixels, hectares) in areas.items() if code in names}
