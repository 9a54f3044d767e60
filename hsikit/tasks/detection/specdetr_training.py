"""How SpecDETR learns: pictures and boxes out of scenes, the background's statistics, and the training itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsikit.errors import LabelError, OptionError, SceneError
from hsikit.geo.grid import Grid, Window, tile_windows
from hsikit.nn.base_files import load_body
from hsikit.nn.body import RANK, TaskNetwork, prepare
from hsikit.nn.fit import Progress, fit
from hsikit.nn.lora import merged_state
from hsikit.nn.snapshots import digest
from hsikit.nn.specdetr.network import PRESETS, SpecDetr, build_network, scale, whiten
from hsikit.nn.specdetr.training import Training
from hsikit.scene import Source, read_window
from hsikit.simulate.point_set import PointSet
from hsikit.tasks.detection.specdetr import SpecDetrDetector

SIDE = 128
"""Of the pictures that scenes are cut into."""
BATCH = 4
MOST_BYTES = 4 << 30
"""Of all pictures, which are held in memory."""
LEARNING: dict[str, dict[str, Any]] = {
    "small": {"steps": 14000, "lr": 1e-3, "clip": 1.0, "side": 20, "cuts": 4, "disturbed": 30, "foreign": 0.5},
    "paper": {"steps": 2500, "lr": 1e-4, "clip": 0.1, "side": 0, "cuts": 1, "disturbed": 200, "foreign": 0.0},
}
"""By preset: steps of 4 pictures, learning rate, longest gradient, squares that pictures are cut to, squares of each, disturbed boxes, share of other
pictures' ground that is mixed in at most."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """What a network learns from.

    Attributes:
        images: float32, 0 where missing, shape (n, C, side, side).
        valid: bool, shape (n, side, side).
        labels: classes of the objects, -1 where there is none, shape (n, most).
        boxes: centre x, centre y, width, height in pixels, shape (n, most, 4).
        names: of the classes.
        wavelength: nm, shape (C,).
        fwhm: nm, shape (C,).
        quantity: of the values.
        unseen: objects that were left out, as nothing is measured where they lie.
    """

    images: Tensor
    valid: Tensor
    labels: Tensor
    boxes: Tensor
    names: tuple[str, ...]
    wavelength: NDArray[np.float64]
    fwhm: NDArray[np.float64]
    quantity: str
    unseen: int = 0

    @classmethod
    def of_set(cls, points: PointSet) -> Pictures:
        """Pictures of a simulated set."""
        labels, boxes = _padded([np.array([(o.label, *o.box) for o in objects], float).reshape(-1, 5) for objects in points.objects])
        images = torch.from_numpy(points.images)
        valid = torch.ones(len(images), *images.shape[2:], dtype=torch.bool)
        return cls(images, valid, labels, boxes, tuple(kind.name for kind in points.classes), points.wavelength, points.fwhm, "surface_reflectance")


def read_boxes(path: str | Path, grid: Grid, class_field: str = "class") -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """True objects out of a vector file.

    Args:
        path: polygons, whose extent is the box; or points, which are boxes of the pixel that they lie in.
        grid: of the scene.
        class_field: attribute of the class.

    Returns:
        The class of each, and left, top, right, bottom in the scene's columns and rows, shape (n, 4); those outside of the scene are left out.

    Raises:
        LabelError: the file cannot be read, has no such attribute, or no object in the scene.
    """
    import geopandas
    from affine import Affine

    try:
        frame = geopandas.read_file(path)
    except Exception as error:
        raise LabelError(path, f"cannot be read as vectors ({error})", "Give a GeoPackage of boxes") from error
    if class_field not in frame.columns:
        known = ", ".join(str(name) for name in frame.columns if name != "geometry") or "none"
        raise LabelError(path, f"has no attribute {class_field!r}", f"It has {known}; give --class-field")
    frame = frame[~(frame.geometry.is_empty | frame.geometry.isna())]
    if frame.crs is not None and grid.crs is not None:
        frame = frame.to_crs(grid.crs)
    left, bottom, right, top = frame.bounds.to_numpy(np.float64).reshape(-1, 4).T
    to_pixels = ~Affine(*grid.drawn)
    corners = [to_pixels * (x, y) for x in (left, right) for y in (bottom, top)]
    cols, rows = np.stack([col for col, _ in corners]), np.stack([row for _, row in corners])
    box = np.stack((cols.min(0), rows.min(0), cols.max(0), rows.max(0)), 1)
    flat = (box[:, 2:] - box[:, :2] < 1e-6).any(1)
    box[flat] = np.concatenate((np.floor(box[flat, :2]), np.floor(box[flat, :2]) + 1), 1)
    centre = (box[:, :2] + box[:, 2:]) / 2
    inside = ((centre > 0) & (centre < (grid.shape[1], grid.shape[0]))).all(1)
    if not inside.any():
        raise LabelError(path, "none of its objects lies in the scene", "See that both are of one place and their CRS are right")
    return tuple(str(value) for value in frame[class_field].to_numpy()[inside]), box[inside]


def cut_pictures(scenes: Sequence[tuple[Source, str | Path]], *, class_field: str = "class", seed: int = 0) -> Pictures:
    """Pictures out of scenes and their objects: all that hold objects, and as many that hold none.

    Objects in whose box no pixel is measured, as a mask hides them or there are no data, are left out.

    Args:
        scenes: open scenes of one sensor, each with the vector file of its objects.
        class_field: attribute of the class.
        seed: of the choice of pictures without objects.

    Raises:
        LabelError: objects that cannot be used.
        SceneError: scenes of several sensors or quantities, or without wavelengths.
        OptionError: more pictures than memory is meant to hold.
    """
    first = scenes[0][0].info
    for source, _ in scenes:
        own = source.info
        if not own.bands.spectral or len(own.bands.used) != len(first.bands.used) or own.quantity != first.quantity:
            raise SceneError(own.name, f"has other bands, or another quantity, than {first.name}, or no wavelengths", "Train on scenes of one sensor")
    found = [read_boxes(path, source.info.grid, class_field) for source, path in scenes]
    side = min(SIDE, *(length for source, _ in scenes for length in source.info.grid.shape))
    rng, windows = np.random.default_rng(seed), []
    for number, (source, _) in enumerate(scenes):
        centre = (found[number][1][:, :2] + found[number][1][:, 2:]) / 2
        around = [_inward(window, source.info.grid.shape, side) for window in tile_windows(source.info.grid.whole, (side, side))]
        holds = [bool(_within(centre, window).any()) for window in around]
        empty = [window for window, held in zip(around, holds, strict=True) if not held]
        kept = [window for window, held in zip(around, holds, strict=True) if held]
        windows += [(number, window) for window in [*kept, *(empty[i] for i in rng.permutation(len(empty))[: len(kept)])]]
    count, bands = len(windows), len(first.bands.used)
    if 4 * count * bands * side**2 > MOST_BYTES:
        raise OptionError("scenes", f"{count} pictures of {bands} bands need more than {MOST_BYTES >> 30} GiB", "Train on fewer or smaller scenes")
    images = np.empty((count, bands, side, side), np.float32)
    for place, (number, window) in enumerate(windows):
        images[place] = read_window(scenes[number][0], window, scenes[number][0].info.bands.used)
    good, valid = first.bands.take(first.bands.used), np.asarray(np.isfinite(images).all(1))
    measured = [place for place in range(count) if valid[place].any()]
    if not measured:
        raise SceneError(first.name, "nothing is measured around its objects", "See that scene and objects are of one place")
    names, tables, unseen = _tables(windows, found, valid)
    if len(measured) < count:
        images, valid, tables = images[measured], valid[measured], [tables[place] for place in measured]
    np.nan_to_num(images, copy=False, posinf=0.0, neginf=0.0)
    shown = torch.from_numpy(images), torch.from_numpy(valid), *_padded(tables)
    return Pictures(*shown, names, good.wavelength.copy(), good.fwhm.copy(), first.quantity, unseen)


def _tables(windows: Sequence[tuple[int, Window]], found: Sequence[tuple[tuple[str, ...], NDArray[np.float64]]],
            valid: NDArray[np.bool_]) -> tuple[tuple[str, ...], list[NDArray[np.float64]], int]:  # fmt: skip
    """Classes of the objects that are measured; (label, left, top, right, bottom) of those in each picture; and how many are measured nowhere."""
    held, seen = [], set[tuple[int, int]]()
    for place, (number, window) in enumerate(windows):
        box = found[number][1]
        apart = box - np.array([window.col, window.row, window.col, window.row])
        inside = [i for i in np.flatnonzero(_within((box[:, :2] + box[:, 2:]) / 2, window)).tolist() if _measured(valid[place], apart[i])]
        seen.update((number, i) for i in inside)
        held.append(([found[number][0][i] for i in inside], apart[inside]))
    if not seen:
        raise LabelError("objects", "nothing is measured where they lie", "See that no mask hides all of them")
    names = tuple(sorted({found[number][0][i] for number, i in seen}))
    tables = [np.column_stack((np.array([names.index(name) for name in own], float), box)) for own, box in held]
    return names, tables, sum(len(own) for own, _ in found) - len(seen)


def _measured(valid: NDArray[np.bool_], box: NDArray[np.float64]) -> bool:
    """Whether any pixel of a box has data."""
    left, top = np.maximum(np.floor(box[:2]), 0).astype(int)
    right, bottom = np.ceil(box[2:]).astype(int)
    return bool(valid[top:bottom, left:right].any())


def _inward(window: Window, shape: tuple[int, int], side: int) -> Window:
    """A window of full size that lies in the scene."""
    return Window(min(window.row, shape[0] - side), min(window.col, shape[1] - side), side, side)


def _within(centre: NDArray[np.float64], window: Window) -> NDArray[np.bool_]:
    x, y = centre.T
    return np.asarray((x >= window.col) & (x < window.col_end) & (y >= window.row) & (y < window.row_end))


def _padded(tables: Sequence[NDArray[np.float64]]) -> tuple[Tensor, Tensor]:
    """Labels and boxes (centre, size) of pictures out of (label, left, top, right, bottom), filled up to one number."""
    most = max(1, *(len(table) for table in tables)) if len(tables) > 1 else max(1, len(tables[0]))
    labels, boxes = torch.full((len(tables), most), -1, dtype=torch.int64), torch.zeros(len(tables), most, 4)
    for number, table in enumerate(tables):
        left, top, right, bottom = table[:, 1:].T
        labels[number, : len(table)] = torch.from_numpy(table[:, 0].astype(np.int64))
        boxes[number, : len(table)] = torch.from_numpy(np.stack(((left + right) / 2, (top + bottom) / 2, right - left, bottom - top), 1)).float()
    return labels, boxes


def train_on_pictures(
    pictures: Pictures,
    *,
    preset: str = "small",
    steps: int | None = None,
    seed: int = 0,
    adapter: str = "",
    encoder: str | Path | None = None,
    rank: int | None = None,
    device: str = "auto",
    workspace: Path | None = None,
    progress: Progress | None = None,
    network: dict[str, Any] | None = None,
) -> SpecDetrDetector:
    """Trains a network.

    Args:
        pictures: what it learns from.
        preset: a key of `hsikit.nn.specdetr.network.PRESETS`: `small` sees the background whitened, `paper` divided by one constant.
        steps: of 4 pictures; the preset's unless told.
        seed: of everything random.
        adapter: name of a spectral adapter, for a network that reads other sensors too; "" for a weight of each band.
        encoder: folder that `hsikit pretrain` wrote: its encoder reads the bands, of any sensor, frozen but for its norms and a LoRA.
        rank: of that LoRA; `hsikit.nn.body.RANK` unless told.
        device: as for `hsikit.nn.fit.fit`.
        workspace: folder for snapshots: the same call after a kill goes on from there.
        progress: told of each step.
        network: sizes in place of the preset's.

    Raises:
        OptionError: an option out of its range.
        LabelError: there is no object.
        ModelError: the encoder is missing or damaged, has learned nothing, or is not exact over tiles.
    """
    if preset not in PRESETS:
        raise OptionError("preset", f"there is no '{preset}'", f"There are {', '.join(PRESETS)}")
    learning = LEARNING[preset]
    wanted = learning["steps"] if steps is None else steps
    if wanted < 1:
        raise OptionError("steps", f"{wanted} is no number of steps", "Give 1 or more")
    if not (pictures.labels >= 0).any():
        raise LabelError("objects", "the pictures hold none", "Give scenes with objects")
    if adapter and encoder:
        raise OptionError("adapter", "an encoder reads bands by its own", "Give --adapter or --encoder")
    if rank is not None and not encoder:
        raise OptionError("rank", "it is that of an encoder's LoRA, and there is no encoder", "Give --encoder too, or leave it out")
    rank = RANK if rank is None else rank
    if rank < 1:
        raise OptionError("rank", f"{rank} is no rank", "Give 1 or more")
    body = load_body(encoder) if encoder else None
    sizes = {"adapter": adapter, "body": body.config() if body else None, **(network or {})}
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = build_network(preset, len(pictures.wavelength), len(pictures.names), **sizes)
        if body:
            assert isinstance(net.embed, TaskNetwork)
            net.embed.encoder.load_state_dict(body.state_dict())
            prepare(net.embed, "lora", rank, 2.0 * rank)
    if not body:
        _see(net, pictures, preset)
    bands = (torch.from_numpy(pictures.wavelength), torch.from_numpy(pictures.fwhm)) if net.shape.any_bands else None
    module = Training(net, learning["side"], learning["cuts"], bands, learning["disturbed"], learning["foreign"])
    epochs = max(1, round(wanted / math.ceil(len(pictures.images) / BATCH)))
    shares = {"network.embed.weight": 0.1, "network.embed.bias": 0.1} if preset == "paper" and not net.shape.any_bands else {}
    arrays = [pictures.images, pictures.valid, pictures.labels, pictures.boxes]
    history = fit(
        module, arrays, epochs=epochs, batch=BATCH, lr=learning["lr"], weight_decay=1e-4, clip=learning["clip"], seed=seed, device=device,
        folder=workspace, progress=progress, shares=shares,
    )  # fmt: skip
    facts = {"preset": preset, "epochs": epochs, "pictures": len(pictures.images), "objects": int((pictures.labels >= 0).sum()), "seed": seed}
    if body:
        facts |= {"encoder": Path(encoder or "").name, "encoder_weights": digest(body.state_dict()), "rank": rank}
        net = _merged(net)
    return SpecDetrDetector(net.eval(), pictures.names, pictures.wavelength, pictures.fwhm, pictures.quantity, {**facts, "losses": list(history.losses)})


def _merged(net: SpecDetr) -> SpecDetr:
    """The network with the LoRA's updates in its weights."""
    plain = SpecDetr(net.shape)
    plain.load_state_dict(merged_state(net))
    return plain


def _see(net: Any, pictures: Pictures, preset: str) -> None:
    """Tells the network of the background; an adapter's network, whose bands are not always these, divides by one constant."""
    seen = pictures.images.permute(0, 2, 3, 1)[pictures.valid]
    if not len(seen):
        raise SceneError("pictures", "no pixel has all its bands", "Leave bands out that are missing")
    if preset == "paper" or net.shape.adapter:
        scale(net, max(1e-12, float(seen.abs().max())))
        return
    mean = seen.double().mean(0)
    total = torch.zeros(len(mean), len(mean), dtype=torch.float64)
    for part in torch.split(seen, 1 << 18):
        apart = part.double() - mean
        total += apart.T @ apart
    whiten(net, mean.float(), total / len(seen))


def train_objects(scenes: Sequence[tuple[Source, str | Path]], *, class_field: str = "class", seed: int = 0, tell: Callable[[str], None] | None = None,
                  **options: Any) -> SpecDetrDetector:  # fmt: skip
    """Trains a detector of objects on scenes.

    Example:
        >>> model = train_objects([(open_source("sim.tif"), "sim_objects.gpkg")], steps=2000)
        >>> hsikit.save_method(model, "model")

    Args:
        scenes: open scenes of one sensor, each with the vector file of its objects.
        class_field: attribute of the class.
        seed: of everything random.
        tell: told what is learned from.
        **options: of `train_on_pictures`.

    Raises:
        LabelError, SceneError, OptionError: as `cut_pictures` and `train_on_pictures`.
    """
    pictures = cut_pictures(scenes, class_field=class_field, seed=seed)
    if tell is not None:
        tell(f"{int((pictures.labels >= 0).sum())} objects of {len(pictures.names)} classes in {len(pictures.images)} pictures")
        if pictures.unseen:
            tell(f"note: {pictures.unseen} objects were left out: they are masked, or have no data")
    return train_on_pictures(pictures, seed=seed, **options)
