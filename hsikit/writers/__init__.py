"""Writers: finished layers into files that GIS, Python and the field's own programs open.

Each writer makes exactly the path that it is given, usually in a staging folder; `staging.commit` then lets all outputs of a
run appear by renames. Nothing heavy is imported before something is written.
"""

from hsikit.writers.qgis import write_bundle
from hsikit.writers.raster import FORMATS, SWATH_FORMATS, format_of, raster_paths, write_raster
from hsikit.writers.stac import Asset, Provenance, write_item, write_provenance
from hsikit.writers.staging import check_space, check_target, commit, undo
from hsikit.writers.table import write_table
from hsikit.writers.vector import write_vector

__all__ = [
    "FORMATS",
    "SWATH_FORMATS",
    "Asset",
    "Provenance",
    "check_space",
    "check_target",
    "commit",
    "format_of",
    "raster_paths",
    "undo",
    "write_bundle",
    "write_item",
    "write_provenance",
    "write_raster",
    "write_table",
    "write_vector",
]
