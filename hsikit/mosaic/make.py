"""The maps of many scenes as one: opened, placed, ranked, compared where they meet, and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hsikit.convert.write import Progress
from hsikit.errors import OptionError, OutputError
from hsikit.geo.grid import Grid
from hsikit.geo.remote import RemotePath, place_of
from hsikit.mosaic.alike import common_layer
from hsikit.mosaic.compose import Composition
from hsikit.mosaic.given import maps_in, with_facts
from hsikit.mosaic.lattice import lay_out, target_grid
from hsikit.mosaic.maps import Map, open_map
from hsikit.mosaic.output import GTI, VRT, kind_of, output_paths, write_output
from hsikit.mosaic.rules import ranking_of
from hsikit.mosaic.seam_report import check_report, write_report
from hsikit.mosaic.seams import Seam, find_seams
from hsikit.writers import check_target


@dataclass(frozen=True)
class Made:
    """What became of a mosaic.

    Attributes:
        files: that were written, the mosaic first.
        maps: the files of the maps, by number from 1.
        grid: of the mosaic.
        ranked_by: what decided where several maps have a value, in words.
        seams: pairs of maps that meet.
    """

    files: tuple[Path, ...]
    maps: tuple[Path, ...]
    grid: Grid
    ranked_by: str
    seams: tuple[Seam, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-able form; undefined numbers are None."""
        return {
            "files": [str(path) for path in self.files],
            "maps": [str(path) for path in self.maps],
            "grid": {"shape": list(self.grid.shape), "transform": list(self.grid.transform), "crs": self.grid.crs},
            "ranked_by": self.ranked_by,
            "seams": [{key: None if value != value else value for key, value in asdict(seam).items()} for seam in self.seams],
        }


def make_mosaic(
    maps: Sequence[str | Path],
    output: str | Path,
    *,
    rule: str = "first",
    layer: str | None = None,
    masked: str = "yield",
    crs: str | None = None,
    resolution: float | None = None,
    like: str | Path | None = None,
    resampling: str | None = None,
    facts: str | Path | None = None,
    source_layer: bool = False,
    report: str | Path | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Made:
    """Joins maps by a rule, in bounded memory.

    Example:
        >>> make_mosaic(["may.tif", "june.tif"], "all.tif", rule="most-confident", report="seams.csv")

    Args:
        maps: GeoTIFFs that hsikit wrote; or STAC items or collections of them, or the ledger of a batch.
        output: .vrt or .gti.gpkg over the files of the maps, or .tif or .zarr with pixels of its own.
        rule: which map gives a pixel, one of `hsikit.mosaic.RULES`.
        layer: the layer that is joined, such as "confidence"; that of the files themselves unless told.
        masked: "yield": a masked pixel is one only where no map has a value; "stay": it stays where its map ranks highest.
        crs: of the mosaic; the first map's unless told.
        resolution: side of a pixel in its units.
        like: a raster whose grid is taken over.
        resampling: how maps of other grids are put on the mosaic's: nearest; for numbers also bilinear, cubic or average.
        facts: a CSV file that says of maps when and how their scenes were seen, see `hsikit.mosaic.given.with_facts`.
        source_layer: whether to write, beside a .tif or .zarr, which map gives each pixel, and a table of the maps.
        report: a .csv or .html file of the seams.
        overwrite: whether existing outputs are replaced.
        progress: told of rows and files.

    Raises:
        MapError: a map cannot be read, differs from the first, or lacks what the rule needs.
        GridError: a map lies on another grid, and nothing says how it is put on the mosaic's.
        OptionError: an option makes no sense, alone, beside the others, or for this output.
        OutputError: an output exists without `overwrite`, is one of the maps, or cannot be written.
    """
    target = place_of(output)
    kind = kind_of(target)
    paths = maps_in(maps, layer)
    _check_outputs(target, output_paths(target, source_layer), paths, overwrite)
    if report is not None:
        check_report(Path(report), overwrite)
    if source_layer and kind in (VRT, GTI):
        raise OptionError("source_layer", f"a {kind} has no pixels of its own", "Write a .tif or .zarr")
    with _opened(paths, layer, None if facts is None else Path(facts)) as opened:
        common = common_layer(opened)
        grid, places = lay_out(opened, common, _grid(opened, crs, resolution, like), resampling)
        ranking = ranking_of(rule, opened, places)
        try:
            mosaic = Composition(opened, common, grid, places, ranking, masked)
            _say(progress, f"{len(opened)} maps onto {grid.shape[0]} x {grid.shape[1]} pixels of {grid.crs_name}, ranked by {ranking.told}")
            seams = find_seams(mosaic)
            told = {"rule": rule, "ranked by": ranking.told, "masked": masked, **({"resampling": resampling} if resampling else {})}
            files = write_output(mosaic, opened, target, told, seams, source_layer=source_layer, overwrite=overwrite, progress=progress)
        finally:
            for source in ranking.sources:
                source.close()
        if report is not None:
            files += write_report(seams, opened, Path(report), overwrite=overwrite)
        return Made(tuple(files), tuple(one.path for one in opened), grid, ranking.told, tuple(seams))


def _check_outputs(target: Path, outputs: Sequence[Path], maps: Sequence[Path], overwrite: bool) -> None:
    """Refuses outputs that cannot be written, before any map is opened."""
    if isinstance(target, RemotePath):
        raise OutputError(target, "a mosaic is written to a disk", "Write it here, and copy it")
    inputs = {path.resolve() for path in maps}
    clash = next((path for path in outputs if path.resolve() in inputs), None)
    if clash is not None:
        raise OutputError(clash, "is one of the maps", "Choose another name")
    check_target(target, overwrite, also=outputs[1:])


@contextmanager
def _opened(paths: Sequence[Path], layer: str | None, facts: Path | None) -> Iterator[list[Map]]:
    """All maps, with what a table says of them; no file stays open before it is read."""
    with ExitStack() as stack:
        found = []
        for path in paths:
            one = open_map(path, layer)
            stack.callback(one.source.close)
            one.source.close()
            found.append(one)
        yield found if facts is None else with_facts(found, facts)


def _grid(maps: Sequence[Map], crs: str | None, resolution: float | None, like: str | Path | None) -> Grid | None:
    """The grid that the user names; None where none is named."""
    if like is None:
        return None if crs is None and resolution is None else target_grid(maps, crs, resolution)
    if crs is not None or resolution is not None:
        raise OptionError("like", "names a grid as a whole", "Leave out --dst-crs and --res")
    from hsikit.convert.warp_grid import require_map
    from hsikit.sensors import open_source

    other = open_source(like, inspect=False)
    other.close()
    return require_map(other.info.grid, str(like))


def _say(progress: Progress | None, message: str) -> None:
    if progress is not None:
        progress.note(message)
