"""Scenes on the sensor's grid that rational polynomials place, or nothing does."""

from __future__ import annotations

from pathlib import Path

from hsikit.geo.grid import Grid
from hsikit.geo.rpc import RationalPolynomials, rpc_swath
from hsikit.sensors.facts import FileFacts


def place_by_rpc(facts: FileFacts, rpc: RationalPolynomials | None, dem: str | Path | None) -> None:
    """Gives a scene without a map grid its swath, and a notice that says how.

    Args:
        facts: of the scene; its grid loses a transform that it may have, which is a fit to the corners of the image.
        rpc: its rational polynomials; None where the product has none.
        dem: heights above the ellipsoid (m), or None.

    Raises:
        SceneError: the polynomials place nothing.
        OptionError: the heights cannot be read.
        GridError: they do not cover the scene.
    """
    facts.grid = Grid(facts.grid.shape)
    if rpc is None:
        facts.notices.append("it lies on the sensor's grid, and has neither positions nor rational polynomials: it has no place on a map")
        return
    facts.swath, notice = rpc_swath(rpc, facts.grid.shape, facts.name, dem)
    facts.notices.append(notice)
