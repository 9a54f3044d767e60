"""The traps of a scene and its labels, each looked for and told with the option that cures it: what `hsikit check` prints.

`check_scene` samples the scene and never raises for what it finds: a trap is a `Finding`.
"""

from __future__ import annotations

from hsikit.check.finding import Finding
from hsikit.check.scene import check_scene

__all__ = ["Finding", "check_scene"]
