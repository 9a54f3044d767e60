"""From files to tiles: each strip is read once, kept as stored numbers, and decoded into the tiles that need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.engine.state import HIDDEN, INVALID, VALID
from hsikit.geo.grid import Window
from hsikit.geo.relation import Relation
from hsikit.method import Halo, Map, Reduce, Tile, halo_of
from hsikit.scene import Indices, Raw, Source
from hsikit.spectral.gaps import MISSING_ALLOWED, fill_gaps

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.engine.context import Context
    from hsikit.engine.layerfile import LayerFile


@dataclass
class RoleReader:
    """Reads one role in the order of the tiles.

    Attributes:
        source: the open scene.
        bands: positions of the bands that are read.
        area: the part of the role's own grid that the run may need, halo included, cut to the scene.
        segment: rows read at once; 0: one window for each tile (columns).
    """

    source: Source
    bands: Indices
    area: Window
    segment: int
    _held: dict[int, Raw] = field(default_factory=dict)
    _panel: Window | None = None

    def raws(self, need: Window, panel: Window) -> list[Raw]:
        """Stored numbers that cover what lies inside the scene of a window.

        Args:
            need: the window; they come panel by panel, and in each from top to bottom.
            panel: what all tiles of its panel need: as wide are the strips that are read.
        """
        inside, panel = need.intersect(self.area), panel.intersect(self.area)
        if panel != self._panel:
            self._held, self._panel = {}, panel
        if not inside.size:
            return []
        if not self.segment:
            return [self.source.read(inside, self.bands)]
        first, last = inside.row // self.segment, (inside.row_end - 1) // self.segment
        for gone in [number for number in self._held if number < first]:
            del self._held[gone]
        if first in self._held:
            self._held[first] = _trimmed(self._held[first], inside.row)
        for number in range(first, last + 1):
            if number not in self._held:
                rows = Window(number * self.segment, panel.col, self.segment, panel.cols).intersect(panel)
                self._held[number] = self.source.read(rows, self.bands)
        return [self._held[number] for number in range(first, last + 1)]


def _trimmed(raw: Raw, row: int) -> Raw:
    """A strip without the rows above `row`, copied where that lets go of more than half of it."""
    above = row - raw.window.row
    if 2 * above <= raw.window.rows:
        return raw
    rest = Window(row, raw.window.col, raw.window.rows - above, raw.window.cols)
    return Raw(raw.values[:, above:].copy(), rest, raw.decoding)


@dataclass(frozen=True)
class Need:
    """What a stage reads of one role or layer: where it lies on that grid for a given core."""

    halo: Halo
    relation: Relation | None = None
    zoom: Any = 1

    def core(self, core: Window) -> Window:
        """The tile's own pixels on this grid."""
        if self.relation is not None:
            return self.relation.window(core)
        if self.zoom == 1:
            return core
        from hsikit.engine.layerfile import scaled

        return scaled(core, self.zoom)

    def window(self, core: Window) -> Window:
        """The same with its halo."""
        return self.core(core).expand(self.halo)


def decode_into(out: NDArray[np.float32], need: Window, raws: list[Raw]) -> bool:
    """Fills `out` (bands, rows, cols) with a window's values, NaN outside the scene; returns whether anything is missing."""
    missing, covered = False, 0
    for raw in raws:
        part = need.intersect(raw.window)
        if part.size:
            rows, cols = part.slices((need.row, need.col))
            missing |= raw.decode(part, out[:, rows, cols], _convert)
            covered += part.size
    if covered == need.size:
        return missing
    inside = _hull(need, raws)
    rows, cols = inside.slices((need.row, need.col))
    out[:, : rows.start] = out[:, rows.stop :] = np.nan
    out[:, :, : cols.start] = out[:, :, cols.stop :] = np.nan
    return True


def _convert(values: NDArray[Any], out: NDArray[np.float32]) -> None:
    """Torch converts small integers in half of NumPy's time; it takes native, writable arrays without reversed axes."""
    import torch

    if values.dtype.isnative and values.flags.writeable and min(values.strides) >= 0:
        torch.from_numpy(out).copy_(torch.from_numpy(values))
    else:
        np.copyto(out, values, casting="unsafe")


def _hull(need: Window, raws: list[Raw]) -> Window:
    """The part of a window that the strips cover; they are stacked without gaps."""
    if not raws:
        return Window(need.row, need.col, 0, 0)
    top, bottom = raws[0].window, raws[-1].window
    return need.intersect(Window(top.row, top.col, bottom.row_end - top.row, top.cols))


class Assembler:
    """Makes the tiles of one worker in buffers that are used again and again."""

    def __init__(self, context: Context, stage: Map | Reduce, needs: Mapping[str, Need]) -> None:
        self.stage, self.needs = stage, needs
        self.inputs, self.reference = context.job.inputs, context.job.reference
        self.sources, self.files = context.sources, context.files
        self.mask, self.device = context.options.mask, context.options.device
        # A statistic of an area must not see past it, or it would depend on where the last tiles end.
        self.limit = context.area if isinstance(stage, Reduce) else None
        self._buffers: dict[str, Tensor] = {}

    def tile(self, core: Window, raws: Mapping[str, list[Raw]]) -> tuple[Tile | None, NDArray[np.uint8] | None]:
        """The tile of a core, and the state of the core's pixels where the stage reads the reference.

        Where nothing was measured in the core there is no tile: nothing is decoded for it.
        """
        if self.reference in self.stage.reads and self._empty(core, raws[self.reference]):
            return None, np.full(core.shape, INVALID, np.uint8)
        arrays: dict[str, Tensor] = {}
        valid: dict[str, Tensor] = {}
        windows, cores, state = {}, {}, None
        for name in self.stage.reads:
            need = self.needs[name]
            window, own = need.window(core), need.core(core)
            windows[name], cores[name] = window, own.slices((window.row, window.col))
            if name in self.sources:
                arrays[name], valid[name], states = self.role(name, window, raws[name])
                if name == self.reference:
                    state = states[cores[name]]
            else:
                arrays[name] = self._layer(name, window)
        return Tile(arrays, valid, windows, cores, core), state

    def _empty(self, core: Window, raws: list[Raw]) -> bool:
        inside = core.intersect(self.sources[self.reference].info.grid.whole)
        return all(raw.empty(part) for raw in raws if (part := inside.intersect(raw.window)).size)

    def _buffer(self, name: str, shape: tuple[int, int, int]) -> Tensor:
        """A part of a reused buffer: torch's own memory, so that its alignment never changes a sum."""
        import torch

        size = shape[0] * shape[1] * shape[2]
        held = self._buffers.get(name)
        if held is None or held.numel() < size:
            held = self._buffers[name] = torch.empty(size, dtype=torch.float32, pin_memory=self.device.startswith("cuda"))
        return held[:size].view(shape)

    def role(self, role: str, window: Window, raws: list[Raw]) -> tuple[Tensor, Tensor, NDArray[np.uint8]]:
        """One role prepared: values (bands, rows, cols) with NaN where missing, valid (rows, cols), state (rows, cols)."""
        import torch

        spec, info = self.inputs[role], self.sources[role].info
        buffer = self._buffer(role, (len(spec.bands), *window.shape))
        values = buffer.numpy()
        state = np.full(window.shape, VALID, np.uint8)
        gaps = None
        if decode_into(values, window, raws):
            good = info.bands.good[list(spec.bands)]
            gaps = _judge(values, state, good if good.any() else np.ones_like(good), MISSING_ALLOWED if spec.missing is None else spec.missing)
        if role == self.reference and self.mask is not None:
            self._hide(window, info.grid.whole, state)
        if role == self.reference and self.limit is not None:
            _cut_off(window, self.limit, state)
        if spec.fill:
            _tidy(values, state, gaps, info.bands.wavelength[list(spec.bands)])
        valid = torch.from_numpy(state == VALID)
        if self.device != "cpu":
            return buffer.to(self.device), valid.to(self.device), state  # blocking: the buffer is used again
        return buffer, valid, state

    def _hide(self, window: Window, whole: Window, state: NDArray[np.uint8]) -> None:
        inside = window.intersect(whole)
        if inside.size and self.mask is not None:
            part = state[inside.slices((window.row, window.col))]
            part[self.mask.read(inside) & (part == VALID)] = HIDDEN

    def _layer(self, name: str, window: Window) -> Tensor:
        import torch

        return torch.from_numpy(self.files[name].read(window)).to(self.device)


def _cut_off(window: Window, limit: Window, state: NDArray[np.uint8]) -> None:
    """Marks what lies outside an area as not valid."""
    rows, cols = window.intersect(limit).slices((window.row, window.col))
    inside = state[rows, cols].copy()
    state[:] = INVALID
    state[rows, cols] = inside


@dataclass(frozen=True)
class Gaps:
    """Where bands are missing.

    Attributes:
        some: pixels that lack any band.
        all: pixels that lack every band.
    """

    some: NDArray[np.bool_]
    all: NDArray[np.bool_]


def _judge(values: NDArray[np.float32], state: NDArray[np.uint8], good: NDArray[np.bool_], allowed: float) -> Gaps:
    """Marks pixels of which more than a share of the good bands is missing; returns which bands are missing."""
    of_good = _count_missing(values, good, state.shape)
    of_all = of_good if good.all() else of_good + _count_missing(values, ~good, state.shape)
    state[of_good > allowed * int(good.sum())] = INVALID
    return Gaps(of_all > 0, of_all == len(values))


def _count_missing(values: NDArray[np.float32], chosen: NDArray[np.bool_], shape: tuple[int, ...]) -> NDArray[np.uint16]:
    """How many of the chosen bands each pixel lacks; counted in bytes, which is several times faster than in 16 bits."""
    total, absent = np.zeros(shape, np.uint16), np.empty(shape, bool)
    bands = np.flatnonzero(chosen)
    for first in range(0, len(bands), 255):
        count = np.zeros(shape, np.uint8)
        for band in bands[first : first + 255]:
            np.isnan(values[band], out=absent)
            count += absent.view(np.uint8)
        total += count
    return total


def _tidy(values: NDArray[np.float32], state: NDArray[np.uint8], gaps: Gaps | None, wavelength: NDArray[np.float64]) -> None:
    """Pixels that are not valid become NaN throughout; the few gaps of valid ones are interpolated along the wavelength."""
    unusable = state != VALID
    left = unusable if gaps is None else unusable & ~gaps.all
    if left.any():
        np.copyto(values, np.float32(np.nan), where=left)
    if gaps is not None and (holes := gaps.some & ~unusable).any():
        values[:, holes] = fill_gaps(values[:, holes].T, wavelength).T


def needs_of(stage: Map | Reduce, relations: Mapping[str, Relation], files: Mapping[str, LayerFile], sources: Mapping[str, Source]) -> dict[str, Need]:
    """How each read of a stage follows from a core."""
    return {
        name: Need(halo_of(stage, name), relations.get(name)) if name in sources else Need(halo_of(stage, name), zoom=files[name].layer.zoom)
        for name in stage.reads
    }
