"""Every product is held to the same conditions; `python -m tests.products` prints them as a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from hsikit.sensors.products import METADATA, PRODUCTS, REAL, SPECIFICATION, TELLS, TOLD, load_product
from tests.products.__main__ import state_of
from tests.products.case import Built, Case
from tests.products.checks import CHECKS, opened, tells
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


CIRRUS = ("landsat", "sentinel-2")
"""Multispectral sensors keep their band at 1375 nm, which is there to see cirrus."""


def test_bands_in_water_vapour_are_bad_in_every_spectrometers_product_and_told_once(
    built_once: dict[str, Built], tmp_path_factory: pytest.TempPathFactory
) -> None:
    reached = set()
    for case in CASES:
        info = opened(build(case, built_once, tmp_path_factory)).info
        nm = info.bands.wavelength
        dark = ((nm >= 1350) & (nm <= 1420)) | ((nm >= 1810) & (nm <= 1940))
        if info.quantity in ("radiance", "toa_reflectance", "surface_reflectance") and dark.any():
            assert info.bands.good[dark].all() if case.driver in CIRRUS else not info.bands.good[dark].any(), case.name
            assert sum("water vapour" in notice for notice in info.notices) <= 1, case.name
            reached.add((case.driver, info.quantity))
    assert {driver for driver, quantity in reached if quantity == "radiance"} == {
        "emit", "aviris-netcdf", "tanager", "enmap", "hyperion", "ahsi", "hisui", "prisma", "aviris-classic-envi", "aviris-ng-envi", "aviris-3-envi", "neon",
    }  # fmt: skip


def test_every_reader_has_a_case() -> None:
    assert {product.name for product in PRODUCTS} <= {case.driver for case in CASES}
    assert len({case.name for case in CASES}) == len(CASES)
    assert set(TOLD) <= {product.name for product in PRODUCTS}


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_the_table_says_what_a_reader_s_products_tell(product, built_once: dict[str, Built], tmp_path_factory: pytest.TempPathFactory) -> None:
    own = [build(case, built_once, tmp_path_factory) for case in CASES if case.driver == product.name]
    told = {kind for built in own for kind in tells(opened(built).info)}
    assert list(product.tells) == [kind for kind in TELLS if kind in told]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_a_case_was_held_against_is_said_of_its_reader(case: Case) -> None:
    assert state_of(case) in {state for product in PRODUCTS if product.name == case.driver for _, state in product.states} | {"general format"}


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_the_best_state_of_a_readers_products_stands_first(product) -> None:
    order = [REAL, METADATA, SPECIFICATION]
    states = [state for _, state in product.states]
    assert states == sorted(set(states), key=order.index)
    assert product.state == states[0]


@pytest.mark.parametrize(
    ("name", "state"),
    [
        ("landsat-8-l1tp", REAL), ("landsat-9-l2sp", SPECIFICATION), ("landsat-7-l1tp", SPECIFICATION), ("landsat-5-l2sp", SPECIFICATION),
        ("emit-l2a-masks-v001", REAL), ("emit-l2a-masks-v002", SPECIFICATION), ("sentinel-2-l1c-zip", METADATA), ("sentinel-2-l2a", SPECIFICATION),
        ("enmap-l2a", METADATA), ("enmap-l1b-vnir", SPECIFICATION), ("aviris-ng-l2", REAL), ("aviris-ng-l1", SPECIFICATION),
    ],
)  # fmt: skip
def test_states_are_those_of_products_not_of_readers(name: str, state: str) -> None:
    assert [state_of(case) for case in CASES if case.name == name] == [state]


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.name)
def test_reader_exists(product) -> None:
    reader = load_product(product)
    assert callable(reader.recognises)
    assert callable(reader.open)
