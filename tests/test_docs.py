"""The examples of the documentation run, and its list of options is the command line's."""

from __future__ import annotations

import importlib
import re
import shlex
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
WITH_PYTHON = ["README.md", "docs/accuracy.md", "docs/python.md", "docs/questions.md", "docs/spectra.md", "docs/detection.md"]
READING = ["docs/adaptation.md", "docs/benchmark.md"]
"""Pages whose Python reads files and makes no map."""
WITHOUT_FILES = ["docs/gas.md"]
"""Pages whose Python writes nothing."""

ELSEWHERE = {"hsikit demo": "tests/cli/test_demo.py runs it"}
SMALLER = {
    "hsikit simulate scene": ["--rows", "150", "--cols", "140"],
    "hsikit simulate points": ["--pictures", "2"],
    "hsikit train-objects": ["--steps", "2"],
    "hsikit pretrain": ["--steps", "3", "--windows", "2"],
}
"""Commands that are given something more, so that the test is quick."""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.S)


def commands(page: str) -> Iterator[list[str]]:
    """The words of each `hsikit` and `mkdir` command in a page's shell blocks; commands of other programs are left out."""
    for block in blocks(page, "bash"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            if words and words[0] in ("hsikit", "mkdir") and " ".join(words) not in ELSEWHERE:
                yield words


def expanded(words: list[str]) -> list[str]:
    """As a shell would: patterns become names of files."""
    return [name for word in words for name in (sorted(map(str, Path().glob(word))) if "*" in word else [word])]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the pages name."""
    import geopandas

    from tests.cli.conftest import shifted, square, write_fields
    from tests.cli.test_gas import write_line
    from tests.cli.test_minerals import write_library
    from tests.laws.scenes import CRS, NODATA, SCALE, make_scene, write_scene
    from tests.products.emit import reflectance
    from tests.products.envi import write_envi
    from tests.products.geotiff import write_geotiff

    folder = tmp_path_factory.mktemp("shelf")
    made = make_scene(72, 60, 160, seed=1, classes=3, side=12)
    stored: dict[str, Any] = {"scale": SCALE, "nodata": NODATA}
    write_scene(folder, made)
    write_fields(folder / "fields.gpkg", made)
    write_geotiff(folder / "scene2.tif", made.values[:, ::-1], made.nm, **stored)
    write_geotiff(folder / "scene3.tif", made.values, made.nm, transform=shifted(200), **stored)
    fields = geopandas.read_file(folder / "fields.gpkg").to_crs(CRS)
    fields.set_geometry(fields.translate(200 * 30.0)).to_file(folder / "plots.gpkg")
    geopandas.GeoDataFrame(geometry=[square(30, 30)], crs=CRS).to_file(folder / "clouds.gpkg")
    write_envi(folder / "scene.hdr", made.values, wavelength=list(made.nm), data_ignore_value=NODATA, reflectance_scale_factor=1 / SCALE)
    shutil.copy(folder / "scene.tif", folder / "hs.tif")
    pan = np.kron(made.values[1:2], np.ones((1, 3, 3), made.values.dtype))
    write_geotiff(folder / "pan.tif", pan, [550.0], "none", transform=shifted_finer(), nodata=NODATA)
    (folder / "tiles").mkdir()
    write_geotiff(folder / "tiles" / "west.tif", made.values, made.nm, **stored)
    write_geotiff(folder / "tiles" / "east.tif", made.values, made.nm, transform=shifted(60), **stored)
    (folder / "datasets").symlink_to(ROOT / "datasets")
    put_species(folder, made.truth)
    put_vehicles(folder, made.truth.shape)
    write_library(folder / "minerals.csv")
    write_line(folder / "flight")
    product = folder / "product"
    product.mkdir()
    reflectance(product).path.rename(folder / "EMIT_L2A_RFL_001_X.nc")
    return folder


SPECIES = {"barley": "beech", "maize": "pine", "rye": "spruce"}


def put_species(folder: Path, truth: np.ndarray) -> None:
    """The fields as stands of trees, and a table of visits to places of known species."""
    import geopandas

    from hsikit.geo.grid import Grid
    from tests.cli.conftest import NAMES
    from tests.laws.scenes import CRS, TRANSFORM

    stands = geopandas.read_file(folder / "fields.gpkg")
    stands.assign(species=stands["crop"].map(SPECIES)).to_file(folder / "stands.gpkg")
    places = np.random.default_rng(0).permutation(np.argwhere(truth > 0))[:150]
    visits = geopandas.GeoSeries.from_xy(*Grid(truth.shape, TRANSFORM, CRS).centres(places[:, 0], places[:, 1]), crs=CRS).to_crs(4326)
    lines = [f"{x:.7f},{y:.7f},{SPECIES[NAMES[int(truth[row, col])]]}" for (row, col), x, y in zip(places, visits.x, visits.y, strict=True)]
    (folder / "visits.csv").write_text("\n".join(["x,y,species", *lines]) + "\n", encoding="utf-8")


def put_vehicles(folder: Path, shape: tuple[int, int]) -> None:
    """Small objects of known place: pixel by pixel for two scenes, and their outlines."""
    import geopandas

    from tests.cli.conftest import shifted, square
    from tests.laws.scenes import CRS, write_codes

    corners = [(row, col) for row in (20, 30, 50, 62) for col in (18, 40, 52)]
    truth = np.zeros(shape, np.uint8)
    for row, col in corners:
        truth[row : row + 2, col : col + 2] = 1
    write_codes(folder / "vehicles.tif", truth, nodata=None)
    write_codes(folder / "vehicles3.tif", truth, nodata=None, transform=shifted(200))
    geopandas.GeoDataFrame(geometry=[square(row, col, 2) for row, col in corners], crs=CRS).to_file(folder / "vehicles.gpkg")


def interpret(path: Path) -> None:
    """Answers the points of a sample, as an interpreter would: by the map's class where the file shows it, else by turns; one in ten is the last class."""
    import geopandas

    frame = geopandas.read_file(path, layer="sample")
    if frame["reference"].isna().all():
        seen = frame.get("map_class", frame["id"].map(lambda number: sorted(SPECIES.values())[number % 3]))
        frame.assign(reference=seen.where(frame["id"] % 10 > 0, max(seen))).to_file(path, layer="sample", driver="GPKG")


def shifted_finer() -> object:
    from affine import Affine

    from tests.laws.scenes import TRANSFORM

    step, _, left, _, _, top = TRANSFORM
    return Affine(step / 3, 0.0, left, 0.0, -step / 3, top)


@pytest.fixture
def desk(shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the shelf, which is the working folder."""
    place = tmp_path / "desk"
    shutil.copytree(shelf, place, symlinks=True)
    monkeypatch.chdir(place)
    return place


def put_indian_pines(place: Path) -> None:
    """The two files that come with the package tensorly, where the pages expect them."""
    package = find_spec("tensorly")
    if package is None or package.origin is None:
        pytest.skip("the real scene lies in the package tensorly")
    (place / "FOLDER").mkdir()
    for name in ("Indian_pines_corrected.npy", "Indian_pines_gt.npy"):
        for target in (place, place / "FOLDER"):
            (target / name).symlink_to(Path(package.origin).parent / "datasets" / "data" / name)


def put_tuned() -> None:
    """The folders of two customers, each after a step of tuning."""
    import hsikit
    from hsikit.tasks.classification import encoder_tuning

    with mock.patch.object(encoder_tuning, "TUNING", {**encoder_tuning.TUNING, "epochs": 1}):
        for customer, labels, field in (("crops", "fields.gpkg", "crop"), ("trees", "stands.gpkg", "species")):
            made = hsikit.train("encoder", "scene.tif", labels, class_field=field, head="lora", width=1, refit=False, calibrate=False, any_sensor=False)
            made.save(customer)


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))])
def test_the_commands_of_a_page_run(page: str, desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from hsikit_cli.main import main

    if any("pines" in word for words in commands(page) for word in words):
        put_indian_pines(desk)
    for words in commands(page):
        if words[0] == "mkdir":
            (desk / words[1]).mkdir()
            continue
        if "simulate" in words and "scene.tif" in words:  # there is none before this command
            (desk / "scene.tif").unlink()
            (desk / "fields.gpkg").unlink()
        if words[1] == "accuracy" and words[words.index("--reference") + 1].endswith(".gpkg"):
            interpret(Path(words[words.index("--reference") + 1]))
        more = [word for start, extra in SMALLER.items() if " ".join(words).startswith(start) for word in extra]
        with pytest.raises(SystemExit) as ended:
            main(expanded([*words[1:], *more]))
        assert not ended.value.code, f"{page}: {' '.join(words)}\n{capsys.readouterr().err}"


@pytest.mark.parametrize("page", [*WITH_PYTHON, *READING])
def test_the_python_of_a_page_runs(page: str, desk: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    if page == "docs/adaptation.md":
        put_tuned()
    program = compile("\n".join(blocks(page, "python")), page, "exec")
    exec(program, {"x": 365_915.0, "y": 5_807_505.0})
    assert page in READING or (desk / "map.tif").stat().st_size > 0


@pytest.mark.parametrize("page", WITHOUT_FILES)
def test_python_that_writes_nothing_runs(page: str) -> None:
    exec(compile("\n".join(blocks(page, "python")), page, "exec"), {})


def options_page() -> ModuleType:
    """docs/make_options.py as a module."""
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("make_options", ROOT / "docs" / "make_options.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_of_options_is_the_command_lines() -> None:
    stored = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    assert stored == options_page().page(), "run `python docs/make_options.py`"


@pytest.mark.parametrize("page", PAGES)
def test_options_that_a_page_names_exist(page: str) -> None:
    known = {name for _, command in options_page().verbs() for parameter in command.params for name in parameter.opts + parameter.secondary_opts}
    text = re.sub(r"`python -m benchmarks[^`]*`", "", (ROOT / page).read_text(encoding="utf-8"))  # those have options of their own
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text))
    assert named <= {*known, "--help", "--config"}


def first_example(page: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The first Python block of a page, as a module."""
    name = "example_" + page.removesuffix(".md").replace("-", "_")
    (folder / f"{name}.py").write_text(blocks(f"docs/{page}", "python")[0], encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module(name)


def toy_file(path: Path) -> np.ndarray:
    values = np.random.default_rng(0).uniform(0.1, 0.6, (3, 7, 5)).astype(np.float32)
    path.write_bytes(b"TOYCUBE 7 5 860.0 550.0 670.0\n" + values.tobytes())
    return values


def test_the_reader_of_the_page_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hsikit.errors import SceneError
    from hsikit.geo.grid import Window
    from hsikit.scene import read_window
    from hsikit.sensors.facts import Options

    reader, path = first_example("writing-a-reader.md", tmp_path, monkeypatch).ToyReader, tmp_path / "scene.toy"
    values = toy_file(path)
    assert reader.recognises(path, path.read_bytes()[:64])
    source = reader.open(path, Options())
    np.testing.assert_allclose(source.info.bands.wavelength, [550.0, 670.0, 860.0])
    np.testing.assert_array_equal(read_window(source, Window(2, 1, 3, 4)), values[[1, 2, 0], 2:5, 1:5])
    path.write_bytes(path.read_bytes()[:-4])
    with pytest.raises(SceneError, match=r"scene\.toy"):
        reader.open(path, Options())


@pytest.mark.parametrize("tile", [3, 64])
def test_the_method_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tile: int) -> None:
    from hsikit.engine.compute import compute
    from hsikit.sensors.facts import Options

    values = toy_file(tmp_path / "scene.toy")
    source = first_example("writing-a-reader.md", tmp_path, monkeypatch).ToyReader.open(tmp_path / "scene.toy", Options())
    job = first_example("writing-a-method.md", tmp_path, monkeypatch).Ndvi().bind({"cube": source.info})
    result = compute(job, {"cube": source}, tile=tile)
    np.testing.assert_allclose(result.layers["ndvi"][0], (values[0] - values[2]) / (values[0] + values[2]), rtol=1e-5)


def test_the_documentation_names_every_method() -> None:
    from hsikit.registry import METHODS

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{entry.name}`" in readme for entry in METHODS)
