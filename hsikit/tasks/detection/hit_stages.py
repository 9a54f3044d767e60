"""From scores to located objects: a false-alarm rate, the scene's own quantile for it, and the pixels above as points."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from hsikit.errors import OptionError
from hsikit.layers import Features, Layer
from hsikit.method import Finish, Partial, Stage, Store, Strips
from hsikit.tasks.detection.components import hits
from hsikit.tasks.detection.quantile import quantile_stages

LAST_QUANTILE = "quantile3"
"""The stage whose result holds the threshold."""


def checked_pfa(pfa: float | None) -> float | None:
    """The false-alarm rate, when it is one; None asks for scores alone.

    Raises:
        OptionError: outside 0 to 1.
    """
    if pfa is not None and not 0 < pfa < 1:
        raise OptionError("--pfa", f"{pfa} is not a false-alarm rate", "Give a share between 0 and 1, such as 1e-3")
    return pfa


def hit_layer(pfa: float) -> Layer:
    """The layer "hits"."""
    return Layer("hits", "vector", description=f"groups of pixels above the threshold of a false-alarm rate of {pfa:g}")


def hit_provenance(pfa: float | None) -> dict[str, str]:
    """What the metadata say of the threshold; nothing where none is asked for."""
    return {} if pfa is None else {"pfa": f"{pfa:g}", "threshold": "the scene's own quantile"}


def hit_findings(store: Store) -> dict[str, str]:
    """What the metadata say of the threshold that was found; nothing where none was asked for."""
    return {"threshold_value": f"{float(store[LAST_QUANTILE]['threshold']):.9g}"} if LAST_QUANTILE in store else {}


def hit_stages(scores: str, pfa: float, **told: float) -> list[Stage]:
    """Stages that find the threshold of a layer and the groups of pixels above it.

    Args:
        scores: a layer of one band of values from 0 up, NaN where there is none.
        pfa: share of the valid pixels that may exceed the threshold.
        told: further numbers that the run reports beside "threshold" and "hits".
    """

    def find(strips: Strips, store: Store) -> tuple[Partial, Mapping[str, Features]]:
        threshold = float(store[LAST_QUANTILE]["threshold"])
        found = hits(((window.row, arrays[scores][0]) for window, arrays in strips.strips(scores)), threshold, strips.grid)
        small = {"threshold": threshold, "hits": len(found), **told}
        return {key: torch.tensor(value) for key, value in small.items()}, {"hits": found}

    return [*quantile_stages(scores, pfa), Finish("hits", (scores,), find)]
