"""Products that consist of an XML file with the metadata and rasters beside it, named alike: what DLR's and other readers share."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element

from hsikit.errors import SceneError
from hsikit.geo.grid import IDENTITY, Grid
from hsikit.sensors.archive import Delivery
from hsikit.sensors.probe import Probe
from hsikit.sensors.rasters import RasterFacts, factors, raster_facts

RASTER = r"(_COG)?\.(TIFF?|GEOTIFF)"
"""How the names of rasters end; those of cloud-optimised copies have a mark before."""
HEAD = 4096  # bytes in which a root element and its namespaces fit


class Fields:
    """The fields of an XML file by their paths.

    Args:
        root: its root element.
        name: the file, for messages.
    """

    def __init__(self, root: Element, name: str) -> None:
        self.root, self.name = root, name

    def text(self, path: str) -> str:
        """A field's text, "" where there is none."""
        return (self.root.findtext(path) or "").strip()

    def need(self, path: str) -> str:
        """A field's text.

        Raises:
            SceneError: there is none.
        """
        found = self.text(path)
        if not found:
            raise SceneError(self.name, f"has no field {path}", "Fetch the product again")
        return found

    def number(self, path: str) -> float:
        """A field's number.

        Raises:
            SceneError: there is none.
        """
        return self._number(path, self.need(path))

    def optional_number(self, path: str) -> float | None:
        """A field's number; None where there is no field, or no finite number in it."""
        try:
            found = float(self.text(path))
        except ValueError:
            return None
        return found if math.isfinite(found) else None

    def column(self, path: str) -> list[float]:
        """The numbers of all fields of that path, in their order.

        Raises:
            SceneError: one of them is no number.
        """
        return [self._number(path, (element.text or "").strip()) for element in self.root.findall(path)]

    def row(self, path: str) -> list[float]:
        """The numbers of one field that lists several, by commas or spaces; none where there is no such field.

        Raises:
            SceneError: one of them is no number.
        """
        return [self._number(path, word) for word in re.split(r"[,;\s]+", self.text(path)) if word]

    def _number(self, path: str, text: str) -> float:
        try:
            found = float(text)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            raise SceneError(self.name, f"its field {path} is no number ({text[:40]!r})", "Fetch the product again")
        return found


def bears_metadata(probe: Probe, marks: Sequence[bytes], pattern: str, image: str) -> bool:
    """Whether a path is a product of this kind: its XML file, its image with the XML beside, or a folder or archive with both.

    Args:
        probe: the path.
        marks: what the beginning of the XML file holds, one of them.
        pattern: of the XML file's name.
        image: what the image's name holds.
    """
    if probe.container == "xml":
        return any(mark in probe.head for mark in marks)
    if probe.container == "tiff" and image not in probe.path.name.upper():
        return False
    name = metadata_name(probe.delivery, pattern, image)
    return name is not None and any(mark in probe.delivery.read(name)[:HEAD] for mark in marks)


def metadata_name(delivery: Delivery, pattern: str, image: str) -> str | None:
    """The XML file of a product; None where there is none.

    Args:
        delivery: its files; of a single file, the neighbours are searched for one that is named alike.
        pattern: of the XML file's name.
        image: what the image's name holds, in capitals.
    """
    found = delivery.all(pattern)
    if delivery.kind != "file":
        return found[0] if found else None
    name = delivery.path.name
    if name in found or image not in name.upper():
        return name
    stem = name[: name.upper().index(image)]
    return next((each for each in found if each.startswith(stem)), found[0] if len(found) == 1 else None)


def only_product(delivery: Delivery, pattern: str) -> None:
    """Refuses a folder or archive with several products.

    Raises:
        SceneError: there are several.
    """
    found = delivery.all(pattern) if delivery.kind != "file" else []
    if len(found) > 1:
        raise SceneError(delivery.path, f"holds {len(found)} products", f"Open one of them by its metadata, such as {found[0]}")


def raster_name(delivery: Delivery, metadata: str, what: str) -> str | None:
    """The raster of a product whose name ends with `what` (a regular expression); None where there is none."""
    found = delivery.all(rf".*{what}{RASTER}")
    stem = re.sub(r"METADATA.*", "", PurePosixPath(metadata).name, flags=re.IGNORECASE)
    return next((name for name in found if PurePosixPath(name).name.startswith(stem)), found[0] if len(found) == 1 else None)


def need_raster(delivery: Delivery, metadata: str, what: str) -> tuple[str, RasterFacts]:
    """Name of such a raster within the delivery, and what it says of itself.

    Raises:
        SceneError: there is none, or it cannot be opened.
    """
    name = raster_name(delivery, metadata, what)
    if name is None:
        raise SceneError(delivery.path, f"lacks its raster {what} as GeoTIFF", "Fetch the whole product again, in the format GeoTIFF")
    return name, raster_facts(delivery.gdal(name), f"{delivery.path}: {name}")


def same_pixels(scene: Grid, raster: RasterFacts, name: str) -> None:
    """Refuses a layer that does not lie on the scene's pixels.

    Raises:
        SceneError: it has another shape.
        GridError: it lies elsewhere.
    """
    if raster.grid.shape != scene.shape:
        raise SceneError(name, f"has {raster.grid.shape} pixels, and the image {scene.shape} (rows, columns)", "Fetch the product again")
    if scene.transform != IDENTITY:
        factors(scene, raster.grid, name)


def open_metadata(path: Path, metadata: str, image: str) -> tuple[Delivery, str, Fields]:
    """The delivery of a product, the name of its metadata, and their fields.

    Args:
        path: a folder, an archive, the metadata, or the image beside them.
        metadata: pattern of the metadata's name.
        image: pattern of the image's name.

    Raises:
        SceneError: there are none, or those of several products.
    """
    delivery = Delivery(path)
    only_product(delivery, metadata)
    name = metadata_name(delivery, metadata, image)
    if name is None:
        raise SceneError(path, "lacks its METADATA.XML", "Put it beside the image, or fetch the whole product again")
    return delivery, name, Fields(delivery.xml(name), f"{path}: {name}")
