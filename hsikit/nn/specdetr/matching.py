"""Which prediction answers for which object: one for each first, then more that already fit it closely.

After SpecDETR: one round of the Hungarian method on classes and boxes, then up to nine on overlaps alone among the predictions that are left,
keeping pairs that overlap by more than 0.95. What differs: the last round keeps as many as there are places left, not the excess.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsikit.nn.specdetr.boxes import overlaps

ALPHA, GAMMA = 0.25, 2.0
CLASS_COST, BOX_COST, OVERLAP_COST = 2.0, 5.0, 2.0
CLOSE = 0.05
"""One minus the overlap of pairs that later rounds keep."""
ROUNDS, MOST = 10, 100
"""Rounds, and pairs of a picture, at most."""
Indices = NDArray[np.int64]


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, labels: Tensor, truth: Tensor, unit: float) -> tuple[Tensor, Tensor]:
    """Pairs of predictions and objects of one picture.

    Args:
        logits: shape (Q, K).
        boxes: shape (Q, 4).
        labels: classes of the objects, shape (n,).
        truth: their boxes, shape (n, 4).
        unit: pixels of a unit of the cost of boxes.

    Returns:
        Positions of predictions and of objects, of one length; no prediction stands there twice.
    """
    if not len(labels):
        empty = torch.zeros(0, dtype=torch.int64, device=logits.device)
        return empty, empty
    share, general = overlaps(boxes[:, None], truth[None])
    apart = torch.cdist(boxes, truth, p=1) / unit
    cost = CLASS_COST * class_cost(logits)[:, labels] + BOX_COST * apart - OVERLAP_COST * general
    found = rounds(cost.double().cpu().numpy(), 1 - share.double().cpu().numpy())
    return torch.from_numpy(found[0]).to(logits.device), torch.from_numpy(found[1]).to(logits.device)


def class_cost(logits: Tensor) -> Tensor:
    """What the focal loss would gain were a class true, shape (Q, K)."""
    p = logits.sigmoid()
    right = -ALPHA * (1 - p) ** GAMMA * torch.nn.functional.logsigmoid(logits)
    wrong = -(1 - ALPHA) * p**GAMMA * torch.nn.functional.logsigmoid(-logits)
    return right - wrong


def rounds(cost: NDArray[np.float64], far: NDArray[np.float64], most: int = MOST) -> tuple[Indices, Indices]:
    """The Hungarian method on `cost`, then again and again on `far` among the rows that are left.

    Args:
        cost: shape (Q, n).
        far: one minus the overlaps, shape (Q, n).
        most: pairs, at most; all of the first round stay.

    Returns:
        Rows and columns.
    """
    from scipy.optimize import linear_sum_assignment

    rows, columns = (list(part) for part in linear_sum_assignment(cost))
    # Only rows near some object can be kept: the others need not be assigned.
    near = np.flatnonzero((far < CLOSE).any(1))
    for _ in range(ROUNDS - 1):
        left: Any = np.setdiff1d(near, rows)
        if not len(left) or len(rows) >= most:
            break
        more, which = linear_sum_assignment(far[left])
        fits = far[left[more], which] < CLOSE
        if not fits.any():
            break
        free = most - len(rows)
        rows += list(left[more[fits]][:free])
        columns += list(which[fits][:free])
    return np.array(rows, np.int64), np.array(columns, np.int64)
