"""Writes docs/readers.md, the list of what is read and of the sensors at hand, from the code itself.

For whoever adds a reader or a table of bands: run `python docs/make_readers.py`. `tests/test_docs.py` holds the page and the code together.
"""

from __future__ import annotations

from pathlib import Path

from hsikit.sensors import FORMATS, list_sensors
from hsikit.sensors.products import METADATA, PRODUCTS, REAL, SPECIFICATION, TELLS

PAGE = Path(__file__).with_name("readers.md")
CONTAINERS = {
    "hdf5": "HDF5, NetCDF-4, or a zip of one", "tiff": "GeoTIFF", "envi": "ENVI", "folder": "folder", "zip": "zip", "tar": "tar", "xml": "its XML file",
    "json": "its JSON file", "text": "its text file", "other": "file",
}  # fmt: skip
STATES = {
    REAL: "held against real files",
    METADATA: "held against real structure and headers, pixels built by us",
    SPECIFICATION: "written after the agency's document; no real file was at hand. Tell us when one does not open",
}

HEAD = """# What is read

Made from the code by `python docs/make_readers.py`. A product is recognised by what is in it, not by its name alone;
`hsikit check` says what to look at before a scene is trusted, [masks](masks.md) how its quality flags are used, and
[geometry](geometry.md) how scenes on the sensor's own grid become maps. What a reader may be told otherwise:
`--scale --offset --nodata --quantity --wavelengths --sensor --variable --res --detector-overlap --dem`. An array, a grid
or a DEM that the format has no use for is refused. Every product was damaged 200 to 2,000 times, byte by byte: opening gave an error that
names what is wrong, or a cube of the right shape and axis ([what was found](../benchmarks/fuzz_products.md)).

## Products

A reader whose products were not all held to the same has a line for each kind.
"""

TOLD = """
## What products tell of their making

What `hsikit info` prints of it is what the product's own metadata say, or files of the same product beside it (EMIT's and AVIRIS's observation,
their uncertainty); what they do not say stays out. A level that stands in the product's name or kind counts as said, and so does
that radiance was not corrected. Angles are those of the scene's centre, or of its middle pixel. Not every kind of a reader's products tells all.
"""

ARCHIVES = """
## In archives

Products of several files are read out of their zip or tar, and an HDF5 or NetCDF-4 file (also one of MATLAB v7.3) out of the zip that
holds it, alone or with texts and pictures beside; nothing is unpacked into your folders. An archive is checked first: names that lead
outside, links, encryption, and sizes that no product has are refused. A scene is known by its archive: when that changes, a run does
not resume.

An HDF5 file that was stored in its zip without compression is read where it lies. A compressed one cannot be: it is unpacked once for
every process that reads it, into a file without a name in the folder for temporary files, and is gone when the scene is closed. The
room is checked first; `TMPDIR` names another folder. Who reads such a scene often unpacks it once instead. A zip with several HDF5
files is refused, with their names.
"""

SENSORS = """
## Sensors

Band centres and widths for files that lack theirs (`--sensor`) and for `hsikit resample --to`. The source of each stands in
its table, `hsikit/sensors/tables/NAME.csv`.

| name | bands | nm | responses | what it is |
|---|---|---|---|---|"""


def page() -> str:
    """The whole page."""
    lines = [HEAD, *(f"* **{state}**: {meaning}." for state, meaning in STATES.items()), ""]
    lines += ["| name | what it is | delivered as | state |", "|---|---|---|---|"]
    for product in PRODUCTS:
        containers = ", ".join(CONTAINERS[container] for container in product.containers)
        lines += [f"| `{product.name}` | {what} | {containers} | {state} |" for what, state in product.states]
    lines += [TOLD, f"| name | {' | '.join(TELLS)} |", "|---" * (len(TELLS) + 1) + "|"]
    lines += [f"| `{product.name}` | {' | '.join('yes' if kind in product.tells else '' for kind in TELLS)} |" for product in PRODUCTS]
    lines += ["", "## General formats", "", "| name | what it is |", "|---|---|"]
    lines += [f"| `{name}` | {form.description} |" for name, form in FORMATS.items()]
    lines += [ARCHIVES.rstrip(), SENSORS]
    for entry in list_sensors():
        responses = "measured" if entry.measured else "Gaussian"
        lines.append(f"| `{entry.name}` | {entry.bands} | {entry.range[0]:.0f} to {entry.range[1]:.0f} | {responses} | {entry.description} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
