"""`python -m tests.products`: what each reader was held to, as a table."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from hsikit.sensors.products import PRODUCTS
from tests.products.case import Case
from tests.products.checks import CHECKS
from tests.products.registry import CASES


def state_of(case: Case) -> str:
    """What the reading of a case's product was held against."""
    states = {product.name: product.state for product in PRODUCTS}
    return case.state or states.get(case.driver, "general format")


def table() -> tuple[str, int]:
    """The table in Markdown, and how many conditions failed."""
    lines = [" | ".join(["| product", "state", *CHECKS]) + " |", "|---" * (len(CHECKS) + 2) + "|"]
    failed = 0
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            built = case.build(Path(folder))
            cells = []
            for check in CHECKS.values():
                try:
                    cells.append(check(built, case.driver) or "yes")
                except Exception as error:  # a table of results: every failure is a cell
                    cells.append("no")
                    failed += 1
                    print(f"{case.name}: {type(error).__name__}: {str(error)[:300]}", file=sys.stderr)
        lines.append(" | ".join([f"| {case.name}", state_of(case), *cells]) + " |")
    return "\n".join(lines), failed


if __name__ == "__main__":
    text, number = table()
    print(text)
    sys.exit(bool(number))
