"""What is hidden of a scene: quality flags, rasters and polygons that the user names, grown by some pixels, and all outside an area.

`open_masks` makes one mask of what the user says. A map keeps it apart from nodata; for training and scoring `MaskedSource`
shows the scene as if nothing had been measured there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.geo.grid import Window, tile_windows
from hsikit.geo.mask import Grown, Mask, Outside, open_mask, open_polygons
from hsikit.scene import QUALITY_FLAGS, Decoding, Indices, Raw, SceneInfo, Source, read_window
from hsikit.sensors.quality import FlagMask, flag_mask, named_flags

Masks = str | Path | Sequence[str | Path] | None
MOST_GROWN = 1000
COUNTED_AT_ONCE = 1 << 20


class SceneMask:
    """Everything that is hidden of one scene. May be used by several threads at once.

    Attributes:
        identity: what tells this mask from another.
        said: by what, in a line for the metadata of products.

    Args:
        whole: the scene.
        parts: the masks by name.
        reach: by how many pixels they are grown together.
        area: what is outside it is hidden too; it does not grow.
    """

    def __init__(self, whole: Window, parts: Mapping[str, Mask], reach: int = 0, area: Mask | None = None) -> None:
        self._whole = whole
        grown = Grown(tuple(parts.values()), whole, reach)
        outside = None if area is None else Outside(area)
        self._all: Mask = grown if outside is None else Grown((grown, outside), whole)
        self._parts = dict(parts) if outside is None else {**parts, "outside the area": outside}
        self.identity = self._all.identity
        self.said = "; ".join([", ".join(Path(name).name for name in self._parts), *([f"grown by {reach} pixels"] if reach else [])])

    def read(self, window: Window) -> NDArray[np.bool_]:
        """True where a pixel is hidden; the window lies inside the scene."""
        return self._all.read(window)

    def shares(self, area: Window | None = None) -> dict[str, float]:
        """Which share of a part of the scene (all of it by default) is hidden, "all", and by what, before it is grown."""
        chosen = area or self._whole
        counts: Counter[str] = Counter({"all": 0})
        for window in tile_windows(chosen, (max(1, COUNTED_AT_ONCE // chosen.cols), chosen.cols)):
            counts["all"] += int(self.read(window).sum())
            for name, part in self._parts.items():
                counts.update(part.counts(window) if isinstance(part, FlagMask) else {name: int(part.read(window).sum())})
        return {name: count / max(1, chosen.size) for name, count in counts.items()}

    def told(self, area: Window | None = None) -> str:
        """The shares in words: "masked: 12.3 % of the pixels (cloud 8.1 %, shadow 5.0 %)"."""
        shares = self.shares(area)
        every = shares.pop("all")
        each = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        return f"masked: {every:.1%} of the pixels ({each})"

    def close(self) -> None:
        """Closes the files of all masks."""
        self._all.close()


def open_masks(info: SceneInfo, masks: Masks = None, dilate: int = 0, aoi: str | Path | None = None,
               others: Sequence[SceneInfo] = ()) -> SceneMask | None:  # fmt: skip
    """Makes one mask of what the user says; None where he hides nothing.

    Args:
        info: the scene.
        masks: quality flags ("cloud,shadow"), rasters or polygon files; one or several.
        dilate: pixels by which all masks are grown.
        aoi: polygons; what lies outside is hidden.
        others: further inputs of a run, whose flags serve where the scene has none.

    Raises:
        OptionError: a flag that the product cannot tell, a file that is missing or cannot be read, or nothing to grow.
        GridError: a file without CRS, or beside the scene.
    """
    given = [] if masks is None else [masks] if isinstance(masks, str | Path) else list(masks)
    if not 0 <= dilate <= MOST_GROWN:
        raise OptionError("--dilate", f"{dilate} is no number of pixels", f"Give 0 to {MOST_GROWN}")
    if dilate and not given:
        raise OptionError("--dilate", "there is no mask to grow", "Name one with --mask")
    if not given and aoi is None:
        return None
    flags, files = _sorted(given)
    with ExitStack() as opened:
        parts: dict[str, Mask] = {",".join(flags): flag_mask(info, flags, others)} if flags else {}
        for file in files:
            parts[file] = open_mask(file, info.grid, "--mask", info.swath)
            opened.callback(parts[file].close)
        area = None if aoi is None else open_polygons(aoi, info.grid, "--aoi", info.swath)
        opened.pop_all()
    return SceneMask(info.grid.whole, parts, dilate, area)


def _sorted(given: Sequence[str | Path]) -> tuple[list[str], list[str]]:
    """The flags and the files among what the user names."""
    flags: dict[str, None] = {}
    files: dict[str, None] = {}
    for one in given:
        named = named_flags(str(one))
        if named is None and not Path(one).exists():
            raise OptionError(one, "is neither a file that exists nor a list of quality flags", f"The flags are {', '.join(QUALITY_FLAGS)}")
        flags.update(dict.fromkeys(named or ()))
        files.update({} if named else {str(one): None})
    return list(flags), list(files)


class MaskedSource:
    """A scene in which what a mask hides is missing; its numbers are physical ones, float32.

    Args:
        base: the scene.
        mask: on its grid.
    """

    def __init__(self, base: Source, mask: SceneMask) -> None:
        self._base, self.mask = base, mask
        self.block = base.block
        self.info = base.info.with_(dtype="float32", nodata=None, identity=(*base.info.identity, ["masked", *mask.identity]))

    def read(self, window: Window, bands: Indices) -> Raw:
        """See `hsikit.scene.Source`."""
        values = read_window(self._base, window, bands)
        values[:, self.mask.read(window)] = np.nan
        return Raw(values, window, Decoding())

    def close(self) -> None:
        """Closes the scene and its masks."""
        self.mask.close()
        self._base.close()
