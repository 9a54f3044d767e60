"""What filling is worth: known bands hidden where nothing was learned, filled, and compared with what they are.

Bad bands cannot be compared with anything. What tells of them is how well known bands are filled that were hidden in the same way: in runs
as long, everywhere or in single pixels, within the spectrum or at its end. It says nothing of a feature that the hidden bands alone
would show, such as that of a gas.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from hsikit.layers import Features
from hsikit.method import Partial, Reduce, Store, Tile, add
from hsikit.tasks.filling.base import BandFilling, Filling, View, whole_hidden
from hsikit.tasks.filling.drills import MOST_LENGTHS, Drill, Family, drills, families
from hsikit.tasks.filling.known import KNOWN, gap_length
from hsikit.tasks.filling.linear import linear_at

if TYPE_CHECKING:
    from torch import Tensor

CHECK = "check"
FAMILIES = MOST_LENGTHS + 2
SUMS = ("count", "error", "bias", "floor", "power", "claimed")
"""Of each family and band: values compared; sums of squared errors, errors, squared errors of interpolation, squares of what is true, and
claimed variances."""


def kinds_of(filling: Filling, store: Store) -> list[Family]:
    """The kinds of drills of a scene."""
    return families(filling.filled, len(filling.bands), gap_length(store[KNOWN]))


def check_stage(method: BandFilling, filling: Filling) -> Reduce:
    """The fold that compares: `store["check"]` has the `SUMS`, each (FAMILIES, C), and what each family is: `length`, `everywhere`, `beyond`."""

    def update(tile: Tile, store: Store) -> Partial:
        device = tile.valid["cube"].device
        total: Partial = {name: torch.zeros(FAMILIES, len(filling.bands), dtype=torch.float64, device=device) for name in SUMS}
        views = list(_views(tile, method, filling))
        if views:
            for drill, kind in _drills(method, filling, store):
                for view, aside in views:
                    _compare(total, view, aside, drill, kind, method, filling, store)
        return total

    def finish(total: Partial, store: Store) -> Partial:
        kinds = kinds_of(filling, store)
        facts = {name: torch.tensor([int(getattr(kind, name)) for kind in kinds], dtype=torch.int64) for name in ("length", "everywhere", "beyond")}
        return {**total, **facts}

    return Reduce(CHECK, ("cube",), update, add, finish, halo=(method.halo, method.halo))


def _drills(method: BandFilling, filling: Filling, store: Store) -> list[tuple[Drill, Family]]:
    kinds = kinds_of(filling, store)
    return [(drill, kinds[drill.family]) for drill in drills(kinds, filling.whole, len(filling.bands), method.most_drills, method.most_everywhere)]


def _views(tile: Tile, method: BandFilling, filling: Filling) -> Iterator[tuple[View, Tensor]]:
    """What is set aside of a tile, and which pixels of the view that is.

    Its pixels in one row for a method that looks at no neighbours, else each square with its surroundings, which may hold the rest of a
    square that the tile cuts.
    """
    values, valid = tile.arrays["cube"], tile.valid["cube"]
    aside = torch.from_numpy(filling.aside.within(tile.windows["cube"])).to(valid.device)
    if not method.halo:
        there = (valid & aside)[tile.cores["cube"]]
        if there.any():
            spectra = values[(slice(None), *tile.cores["cube"])][:, there][:, None]
            every = torch.ones_like(spectra[0], dtype=torch.bool)
            yield whole_hidden(spectra, every, filling.whole), every
        return
    window = tile.windows["cube"]
    for square in filling.aside.squares(tile.core):
        place = square.expand((method.halo, method.halo)).slices((window.row, window.col))
        if valid[square.slices((window.row, window.col))].any():
            yield whole_hidden(values[(slice(None), *place)], valid[place], filling.whole), aside[place]


def _compare(
    total: Partial, view: View, aside: Tensor, drill: Drill, kind: Family, method: BandFilling, filling: Filling, store: Store
) -> None:  # fmt: skip
    """Adds the errors of one run of bands in one view."""
    bands, halo = list(drill.bands), method.halo
    hidden = view.values.clone()
    hidden[bands] = float("nan") if kind.everywhere else torch.where(aside, torch.nan, hidden[bands])
    asked = View(hidden, view.valid, tuple(sorted({*view.whole, *bands})) if kind.everywhere else view.whole)
    truth, valid = (each[bands] if each.dim() == 3 else each for each in view.inner(halo))
    inner, _ = asked.inner(halo)
    floor = linear_at(inner, drill.bands, filling.bands.wavelength)
    found = floor
    if not method.is_floor:
        estimate = method.estimate(asked, filling, store)
        found = estimate.values[bands]
        if estimate.deviation is not None:
            _add(total["claimed"], drill, estimate.deviation[bands].double().square(), counted_of(truth, valid))
    counted = counted_of(truth, valid)
    wrong = found.double() - truth.double()
    for name, part in {
        "count": torch.ones_like(wrong), "error": wrong.square(), "bias": wrong, "floor": (floor.double() - truth.double()).square(),
        "power": truth.double().square(),
    }.items():  # fmt: skip
        _add(total[name], drill, part, counted)


def counted_of(truth: Tensor, valid: Tensor) -> Tensor:
    """The values that can be compared: those that are there, of valid pixels."""
    return valid & ~truth.isnan()


def _add(total: Tensor, drill: Drill, part: Tensor, counted: Tensor) -> None:
    total[drill.family, list(drill.bands)] += torch.where(counted, part, 0.0).flatten(1).sum(1)


def check_table(store: Store, filling: Filling) -> Features:
    """A row for each band that was hidden, for each kind of drill."""
    found = {name: value.cpu().numpy() for name, value in store[CHECK].items()}
    kind, band = np.nonzero(found["count"])
    count, power = found["count"][kind, band], found["power"][kind, band]

    def root(name: str) -> NDArray[np.float64]:
        return np.asarray(np.sqrt(found[name][kind, band] / count))

    columns: dict[str, NDArray[Any]] = {
        "band": np.array(filling.bands.names)[band], "wavelength_nm": filling.bands.wavelength[band], "hidden_bands": found["length"][kind],
        "hidden_everywhere": found["everywhere"][kind], "at_an_end": found["beyond"][kind], "values": count.astype(np.int64), "rmse": root("error"),
        "relative_error": np.sqrt(found["error"][kind, band] / np.maximum(power, np.finfo(float).tiny)), "bias": found["bias"][kind, band] / count,
        "interpolation_rmse": root("floor"),
    }  # fmt: skip
    if found["claimed"].any():
        columns["claimed_sigma"] = root("claimed")
    return Features(columns)


def findings(store: Store) -> dict[str, str]:
    """What the metadata say of the check."""
    return {"fill_check": "; ".join(summaries(store[CHECK])), "filled_values_of_known_bands": str(int(store[KNOWN]["missing"].sum()))}


def summaries(stored: Mapping[str, Any]) -> list[str]:
    """One line for each kind of drill: errors of the method, beside those of interpolation."""
    found = {name: np.asarray(value.cpu() if hasattr(value, "cpu") else value) for name, value in stored.items()}
    lines = []
    for number, (length, everywhere, beyond) in enumerate(zip(found["length"], found["everywhere"], found["beyond"], strict=True)):
        count, error, floor, power, claimed = (float(found[name][number].sum()) for name in ("count", "error", "floor", "power", "claimed"))
        what = f"{length} known band{'s' if length > 1 else ''} hidden {'everywhere' if everywhere else 'in single pixels'}"
        what += " at an end of the spectrum" if beyond else ""
        if not count or not power:
            lines.append(f"{what}: not checked, as no known bands lie so, or no pixel to check them on")
            continue
        said = f"RMSE {np.sqrt(error / count):.4g}, {np.sqrt(error / power):.2%}"
        if error != floor:
            said += f"; interpolation {np.sqrt(floor / count):.4g}, {np.sqrt(floor / power):.2%}" + (", which is better" if floor < error else "")
        lines.append(f"{what}: {said}" + (f"; claimed {np.sqrt(claimed / count):.4g}" if claimed else ""))
    return lines
