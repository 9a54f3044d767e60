"""Every check, in the order in which it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hsikit.check.bands import check_bands
from hsikit.check.finding import Finding
from hsikit.check.labels import check_labels
from hsikit.check.notices import check_notices
from hsikit.check.place import check_place
from hsikit.check.sample import take_sample
from hsikit.check.scale import check_numbers
from hsikit.scene import Source


def check_scene(source: Source, labels: Any = None, label_options: Mapping[str, Any] | None = None) -> list[Finding]:
    """Looks for every known trap in a scene, and in labels.

    Args:
        source: the scene, best opened with `inspect=False`, so that bands that the file does not mark as bad still show.
        labels: as for `hsikit.train.labels.read_labels`; None: only the scene is looked at.
        label_options: its further arguments.

    Raises:
        SceneError: the scene is truncated or damaged.
    """
    sample = take_sample(source)
    found = [*check_numbers(source.info, sample), *check_bands(source.info, sample), *check_place(source.info), *check_notices(source.info)]
    return found if labels is None else [*found, *check_labels(source, labels, label_options or {})]
