"""The spectral angle: how far two spectra point apart, whatever their brightness; no background is looked at.

For a first look, and where a background cannot be measured. Kruse et al., 1993 (doi:10.1016/0034-4257(93)90013-N). The score is the
cosine of the angle, so that more is more alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from hsikit.errors import OptionError
from hsikit.tasks.detection.background import row_chunks
from hsikit.tasks.detection.target_detector import TargetDetector


@dataclass(frozen=True)
class SpectralAngle(TargetDetector):
    """x't / (|x| |t|)."""

    name: ClassVar[str] = "spectral-angle"
    description: ClassVar[str] = "cosine of the angle to the target's spectrum"
    needs_distance: ClassVar[bool] = False
    needs_background: ClassVar[bool] = False
    shrinkage: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shrinkage or self.exclude:
            raise OptionError("-p shrinkage" if self.shrinkage else "-p exclude", "the spectral angle looks at no background", "Leave it out")

    def scores(self, values: Tensor, spectra: Tensor, background: Mapping[str, Tensor]) -> Tensor:
        """See `TargetDetector`."""
        units = spectra.to(values.device) / spectra.to(values.device).norm(dim=1, keepdim=True)
        out = values.new_empty(len(units), *values.shape[1:])
        for rows in row_chunks(values):
            part = values[:, rows].flatten(1).double()
            cosine = (units @ part) / part.norm(dim=0).clamp(min=1e-30)
            out[:, rows] = cosine.view(len(units), -1, values.shape[2]).float()
        return out
