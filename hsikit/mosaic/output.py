"""Writing a mosaic: the raster, its style and areas, which map gives each pixel, and a STAC item that names them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.convert.staged import write_staged
from hsikit.convert.write import Progress
from hsikit.errors import GridError, OptionError, OutputError
from hsikit.geo.area import PixelAreas, pixel_areas
from hsikit.geo.grid import Grid, Window
from hsikit.layers import Features, Layer
from hsikit.mosaic.compose import Composition
from hsikit.mosaic.maps import Map
from hsikit.mosaic.seams import Seam
from hsikit.mosaic.tally import Tally
from hsikit.mosaic.virtual import write_tile_index, write_vrt
from hsikit.version import __version__
from hsikit.writers import Asset, Provenance, write_bundle, write_item, write_raster, write_table
from hsikit.writers.failures import writing
from hsikit.writers.qgis import bundle_paths, style
from hsikit.writers.raster import format_of

VRT, GTI, RASTER = "virtual raster", "tile index", "raster"
GTI_ENDING = ".gti.gpkg"
"""By this GDAL knows a GeoPackage for a raster."""
WRITTEN = (".tif", ".tiff", ".zarr")
CODES = 256


def kind_of(path: Path) -> str:
    """What kind of mosaic a name asks for: `VRT`, `GTI` or `RASTER`.

    Raises:
        OutputError: the name ends in none that is known.
    """
    if path.name.lower().endswith(GTI_ENDING):
        return GTI
    if path.suffix.lower() == ".vrt":
        return VRT
    if path.suffix.lower() in WRITTEN:
        return RASTER
    raise OutputError(path, "no kind of mosaic has that ending", f"Known are .vrt, {GTI_ENDING}, .tif and .zarr")


def output_paths(path: Path, source_layer: bool) -> list[Path]:
    """Everything that may be written for a mosaic, the mosaic first."""
    main = path.with_name(path.name[: -len(GTI_ENDING)] + ".gpkg") if path.name.lower().endswith(GTI_ENDING) else path
    beside = [main.with_suffix(".json"), main.with_suffix(".qml")]
    if kind_of(path) == RASTER:
        beside += bundle_paths(path)[1:]
    if source_layer:
        beside += [path.with_name(f"{path.stem}_source{path.suffix}"), path.with_name(f"{path.stem}_source.csv")]
    return [path, *beside]


def write_output(
    mosaic: Composition, maps: Sequence[Map], path: Path, told: Mapping[str, str], seams: Sequence[Seam], *, source_layer: bool, overwrite: bool,
    progress: Progress | None,
) -> list[Path]:  # fmt: skip
    """Writes a mosaic and what lies beside it; all appear, or none.

    Args:
        mosaic: its pixels.
        maps: that it is made of.
        path: the mosaic.
        told: how it was made, for tags and provenance.
        seams: where maps meet.
        source_layer: whether to write which map gives each pixel.
        overwrite: whether existing outputs are replaced.
        progress: told of rows.

    Returns:
        The files, the mosaic first.

    Raises:
        OptionError: a virtual raster or tile index cannot say what is asked for.
        OutputError: it cannot be written.
    """
    kind = kind_of(path)
    if kind != RASTER:
        _require_paintable(mosaic, maps, kind, path, seams)

    def write(staged: Path) -> Sequence[Path]:
        return _Writing(mosaic, maps, path, staged, told).write(kind, source_layer, progress)

    return write_staged(path, write, overwrite=overwrite)


def _require_paintable(mosaic: Composition, maps: Sequence[Map], kind: str, path: Path, seams: Sequence[Seam]) -> None:
    """Refuses what maps painted over each other cannot show.

    Raises:
        OptionError: ranks of single pixels, or masked pixels that would have to yield.
        GridError: a map that is not on the lattice.
    """
    if mosaic.ranking.of_pixels:
        raise OptionError("rule", f"ranks single pixels ({mosaic.ranking.told}), and a {kind} can only lay one map over another", "Write a .tif or .zarr")
    apart = next((one for one, place in zip(maps, mosaic.places, strict=True) if not place.aligned), None)
    if apart is not None:
        raise GridError(apart.path, f"does not lie on the pixels of the mosaic, and a {kind} resamples nothing", "Write a .tif or .zarr")
    hidden = next((seam for seam in seams if seam.hides), None) if mosaic.masked_yields else None
    if hidden is not None:
        pair = f"{maps[hidden.first - 1].path} and {maps[hidden.second - 1].path}"
        wrong = f"a {kind} cannot let masked pixels yield, and {hidden.hides} of {pair} would hide values"
        raise OptionError("masked", wrong, "Write a .tif or .zarr, or let them stay (--masked stay)")


class _Writing:
    """One mosaic on its way to the disk.

    Args:
        mosaic: its pixels.
        maps: that it is made of.
        path: where it will finally lie.
        staged: where it is made.
        told: how it was made.
    """

    def __init__(self, mosaic: Composition, maps: Sequence[Map], path: Path, staged: Path, told: Mapping[str, str]) -> None:
        self.mosaic, self.maps, self.path, self.staged, self.told = mosaic, maps, path, staged, told
        self.layer, self.grid = mosaic.layer, mosaic.grid
        self._assets: list[Asset] = []
        self._areas: dict[str, Any] = {}

    def write(self, kind: str, source_layer: bool, progress: Progress | None) -> list[Path]:
        """Everything; the mosaic first."""
        if progress is not None and kind == RASTER:
            progress.begin("", self.grid.shape[0] * (1 + source_layer), 0)
        made = self._raster(progress) if kind == RASTER else self._painted(kind)
        if source_layer:
            made += self._sources(progress)
        return [*made, *self._item()]

    @property
    def _tags(self) -> dict[str, str]:
        facts = {f"mosaic_{key.replace(' ', '_')}": text for key, text in self.told.items()}
        return {"hsikit_version": __version__, "hsikit_method": "mosaic", "hsikit_layer": self.layer.name, **facts}

    def _raster(self, progress: Progress | None) -> list[Path]:
        """The raster, and for classes its style and areas."""
        pixels: Composition | Tally = self.mosaic
        if self.layer.legend is not None:
            pixels = Tally(self.mosaic, _areas_of(self.grid), CODES)
        made = write_raster(self.layer, self.grid, pixels, self.staged, tags=self._tags, rows_done=_rows(progress))
        self._assets.append(Asset(self.layer.name, self.path, self.layer, format_of(self.path, self.layer) == "cog"))
        if self.layer.legend is not None and isinstance(pixels, Tally):
            found = pixels.by_code()
            bundle = write_bundle(self.path, self.staged.parent, self.layer.legend, found)
            self._assets += [Asset(f"{self.layer.name} {final.suffix[1:]}", final) for _, final in bundle]
            made += [staged for staged, _ in bundle]
            names = {entry.code: entry.name for entry in self.layer.legend.classes}
            self._areas = {names[code]: {"pixels": count, "hectares": hectares} for code, (count, hectares) in found.items() if code in names}
        return made

    def _painted(self, kind: str) -> list[Path]:
        """The virtual raster or tile index, and for classes the style."""
        order, home = self.mosaic.ranking.order, self.path.absolute().parent
        if kind == VRT:
            write_vrt(self.maps, self.mosaic.places, order, self.layer, self.grid, self.staged, home, self._tags)
        else:
            write_tile_index(self.maps, order, self.layer, self.grid, self.staged, home, self._tags)
        self._assets.append(Asset(self.layer.name, self.path, self.layer))
        if self.layer.legend is None:
            return [self.staged]
        sheet = self.staged.parent / output_paths(self.path, False)[2].name
        with writing(sheet):
            sheet.write_text(style(self.layer.legend), encoding="utf-8")
        self._assets.append(Asset(f"{self.layer.name} qml", self.path.with_name(sheet.name)))
        return [self.staged, sheet]

    def _sources(self, progress: Progress | None) -> list[Path]:
        """Which map gives each pixel, and a table of the maps."""
        count = len(self.maps)
        layer = Layer("source", dtype="uint16" if count < 2**16 else "uint32", nodata=0, description="number of the map that gives the pixel, see the table")
        final = self.path.with_name(f"{self.path.stem}_source{self.path.suffix}")
        pixels = Tally(_Numbers(self.mosaic, layer.dtype), _areas_of(self.grid), count + 1)
        made = write_raster(layer, self.grid, pixels, self.staged.parent / final.name, tags={**self._tags, "hsikit_layer": "source"}, rows_done=_rows(progress))
        table = self.staged.parent / f"{self.path.stem}_source.csv"
        made += write_table(_map_table(self.maps, pixels), table)
        self._assets += [Asset("source", final, layer, format_of(final, layer) == "cog"), Asset("source table", self.path.with_name(table.name))]
        return made

    def _item(self) -> list[Path]:
        """The STAC item; its time is that of the scenes where they have one in common."""
        times = {one.seen.acquired for one in self.maps}
        inputs = {f"map {number}": str(one.path) for number, one in enumerate(self.maps, start=1)}
        facts = {**self.told, **({"areas": {self.layer.name: self._areas}} if self._areas else {})}
        if known := sorted(times - {""}):
            facts["acquired"] = {"first": known[0], "last": known[-1]}
        provenance = Provenance("mosaic", inputs, parameters=facts, version=__version__)
        final = output_paths(self.path, False)[1]
        acquired = next(iter(times)) if len(times) == 1 else ""
        return write_item(self.staged.parent / final.name, self.grid, self._assets, provenance, acquired=acquired, final=final)


class _Numbers:
    """Which map gives each pixel, as a layer."""

    def __init__(self, mosaic: Composition, dtype: str) -> None:
        self._mosaic, self._dtype = mosaic, dtype

    def read(self, window: Window) -> NDArray[Any]:
        """See `hsikit.layers.Pixels`."""
        return self._mosaic.numbers(window)[None].astype(self._dtype)


def _areas_of(grid: Grid) -> PixelAreas:
    found = pixel_areas(grid)
    if found is None:
        raise GridError("the mosaic", "has no georeference", "Give maps with one")
    return found


def _map_table(maps: Sequence[Map], counted: Tally) -> Features:
    """One row for each map: its number in the source layer, its file, how its scene was seen, and what it gives."""
    return Features({
        "number": np.arange(1, len(maps) + 1),
        "map": np.array([str(one.path) for one in maps], object),
        "acquired": np.array([one.seen.acquired for one in maps], object),
        "cloud_cover": np.array([one.seen.cloud_cover for one in maps]),
        "view_zenith": np.array([one.seen.view_zenith for one in maps]),
        "pixels": counted.pixels[1:],
        "hectares": counted.hectares[1:],
    })  # fmt: skip


def _rows(progress: Progress | None) -> Any:
    return None if progress is None else lambda rows: progress.advance("writing", rows)
