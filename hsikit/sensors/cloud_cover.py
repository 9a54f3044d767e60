"""How much of a scene lies under clouds, as the metadata of products states it."""

from __future__ import annotations

import math
from typing import Any


def cloud_cover(stated: Any, whole: float = 100.0) -> dict[str, str]:
    """The cloud cover as an entry of `SceneInfo.attrs`; nothing where none is stated, or what stands for "not assessed", such as -1.

    Args:
        stated: what the product says: a number or its text.
        whole: what it says of a scene that is all clouds: 100, or 1 where shares are stated.

    Returns:
        `cloud_cover` in percent, or nothing.
    """
    try:
        percent = float(stated) * 100 / whole
    except (TypeError, ValueError):
        return {}
    return {"cloud_cover": f"{percent:.4f}"} if math.isfinite(percent) and 0 <= percent <= 100 else {}
