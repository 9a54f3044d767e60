"""What the reader itself found worth telling."""

from __future__ import annotations

import re

from hsikit.check.finding import Finding, passed, warned
from hsikit.scene import Handled, PlaceDoubt, SceneInfo

NAME = "reader's notice"
OPTIONS = re.compile(r"\((--[^()]+)\)")
"""The options that a notice names for whoever wants it otherwise."""
LOOK = "Look whether that is right for this scene; hsikit info shows what was read"


def check_notices(info: SceneInfo) -> list[Finding]:
    """A finding for each notice of the reader; those of a place that is told in two ways stand under "half a pixel"."""
    told = [_finding(notice) for notice in info.notices if not isinstance(notice, PlaceDoubt)]
    return told or [passed(NAME, "none" if not info.notices else "no other")]


def _finding(notice: str) -> Finding:
    if isinstance(notice, Handled):
        return passed(NAME, notice)
    options = OPTIONS.findall(notice)
    return warned(NAME, notice, options[-1] if options else LOOK)
