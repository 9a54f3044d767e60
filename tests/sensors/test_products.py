"""Every product is held to the same conditions; `python -m tests.products` prints them as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsikit.sensors.products import PRODUCTS, load_product
from tests.products.case import Built, Case
from tests.products.checks import CHECKS
from tests.products.registry import CASES


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Built]:
    return {}


def build(case: Case, cache: dict[str, Built], factory: pytest.TempPathFactory) -> Built:
    if case.name not in cache:
        folder: Path = factory.mktemp(case.name)
        cache[case.name] = case.build(folder)
    return cache[case.name]


@pytest.mark.parametrize("check", CHECKS, ids=lambda name: name.replace(" ", "-"))
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_product(case: Case, check: str, built_once: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> None:
    CHECKS[check](build(case, built_once, tmp_path_factory), case.driver)


def test_every_reader_has_a_case() -> None:
    assert {product.name for product in PRODUCTS} <= {case.driver for case in CASES}
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_reader_exists(product) -> None:
    reader = load_product(product)
    assert callable(reader.recognises)
    assert callable(reader.open)
