"""Mosaics beside what they must be: the maps of 18 real EnMAP tiles as one, and the pixel that each rule names in four scenes that overlap.

    python -m benchmarks.mosaic [--data FOLDER]

First table, a line for each kind of output: pixels inside of the tiles' footprints that differ from the tiles, and pixels outside that hold a value,
as GDAL reads them. Second, a line for each rule: pixels of the mosaic, and of the layer that says which map each is from, that differ from a sort of the
arrays which the maps were made of, for masked pixels that yield and that stay. Third, the same for maps that an SVM made of four scenes of
`hsikit simulate scene` with dates, clouds and angles, beside a sort by what was asked of the simulation. All should be 0.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

OUTPUTS = ("all.tif", "all.zarr", "all.vrt", "all.gti.gpkg")


def maps_of(folder: Path, out: Path) -> list[Path]:
    """Maps of the tiles in FOLDER/images by an SVM, each of a run of its own."""
    import hsikit

    reading = {"wavelengths": folder / "enmap_potsdam_srf.csv", "scale": 1e-4}
    scenes = sorted((folder / "images").glob("*.tif"))
    if not scenes:
        raise SystemExit(f"no EnMAP tiles in {folder / 'images'}; give --data")
    whole = hsikit.open_scene(folder / "images", **reading)
    model = hsikit.train("svm", whole, folder / "enmap_landcover_unstyled.tif", split_options={"per_class": 40}, refit=False)
    for scene in scenes:
        hsikit.run(model, hsikit.open_scene(scene, **reading), out / scene.name)
    return [out / scene.name for scene in scenes]


def expected(maps: list[Path], grid: Any) -> tuple[Any, Any]:
    """The mosaic pixel by pixel, and where a tile lies."""
    import rasterio

    values, inside = np.zeros(grid.shape, np.uint8), np.zeros(grid.shape, bool)
    for tile in maps:
        with rasterio.open(tile) as dataset:
            row, col = rasterio.transform.rowcol(grid.affine, *dataset.transform * (0.5, 0.5))
            place = (slice(row, row + dataset.height), slice(col, col + dataset.width))
            values[place], inside[place] = dataset.read(1), True
    return values, inside


def read_map(path: Path) -> Any:
    """A mosaic as GDAL reads it; a Zarr store as its library does."""
    import rasterio
    import xarray

    if path.suffix == ".zarr":
        with xarray.open_zarr(path, mask_and_scale=False) as store:
            return store["map"].to_numpy().squeeze()
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def tiles(folder: Path, place: Path) -> None:
    """The lines of the first table."""
    from hsikit.mosaic import make_mosaic

    maps = maps_of(folder, place)
    print(f"{len(maps)} tiles     {'pixels':>9}{'with a tile':>13}{'differ inside':>15}{'hold a value outside':>22}")
    for name in OUTPUTS:
        made = make_mosaic(maps, place / name, overwrite=True)
        (wanted, inside), found = expected(maps, made.grid), read_map(place / name)
        print(f"{name:13}{found.size:>9}{inside.sum():>13}{(found != wanted)[inside].sum():>15}{(found != 0)[~inside].sum():>22}", flush=True)


def rules(four: Any, place: Path, told: str) -> None:
    """The lines of the second table, and of the third."""
    from hsikit.mosaic import RULES, make_mosaic
    from tests.mosaic.four import scores_of
    from tests.mosaic.maps import read

    print(f"\n{told}\n{'rule':16}{'masked':8}{'pixels':>9}{'differ':>8}{'from another map':>18}")
    for rule in RULES:
        for masked in ("yield", "stay"):
            make_mosaic(four.paths, place / "rule.tif", rule=rule, masked=masked, source_layer=True, overwrite=True)
            codes, numbers = four.expected(scores_of(four, rule), masked == "yield")
            wrong = [(read(place / name) != wanted).sum() for name, wanted in (("rule.tif", codes), ("rule_source.tif", numbers))]
            print(f"{rule:16}{masked:8}{codes.size:>9}{wrong[0]:>8}{wrong[1]:>18}", flush=True)


def main() -> None:
    """Prints the tables."""
    from tests.mosaic.four import make_four
    from tests.mosaic.simulated import make_simulated

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/classification/enmap_potsdam"), help="images, labels and responses of the tiles")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tiles(args.data, place)
        for make, told in ((make_four, "maps made of arrays"), (make_simulated, "maps of simulated scenes")):
            (place / make.__name__).mkdir()
            rules(make(place / make.__name__), place, told)


if __name__ == "__main__":
    main()
