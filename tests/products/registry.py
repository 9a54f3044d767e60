"""All cases, by family."""

from __future__ import annotations

from tests.products import landsat
from tests.products.case import Case

CASES: tuple[Case, ...] = (*landsat.CASES,)
