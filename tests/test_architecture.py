"""What docs/architecture.md promises of the code: who imports whom, how large things are, and what loads when."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FILE, LONGEST_FUNCTION = 500, 60

# part of hsikit -> the parts that it may import. `errors`, `version` and `registry` may be imported by all.
BASIC = {"errors", "version", "registry"}
GROUND = {"geo", "layers", "scene"}
ARROWS: dict[str, set[str]] = {
    "errors": set(),
    "version": set(),
    "registry": set(),
    "geo": set(),
    "spectral": set(),
    "metrics": set(),
    "nn": set(),
    "layers": {"geo"},
    "scene": {"geo"},
    "cards": set(),
    "method": GROUND,
    "models": {*GROUND, "method", "writers"},
    "cube_coords": {"scene", "geo"},
    "cube": {"scene", "geo", "accessor", "cube_coords"},
    "library": {"scene", "spectral", "sensors", "viz", "writers", "convert"},
    "check": {"scene", "geo", "sensors", "train"},
    "targets": {"scene", "library", "models", "spectral", "sensors", "convert", "tasks"},
    "transfer": {"scene", "cube", "spectral", "sensors", "convert", "models", "tasks", "train"},
    "transfer_scores": {"convert", "metrics", "tasks", "train", "transfer"},
    "batch": {*GROUND, "api", "check", "prepared", "library", "method", "models", "engine", "sensors", "spectral", "targets", "tasks", "writers", "transfer"},
    "ranking": {*GROUND, "api", "engine", "library", "metrics", "sensors", "targets", "tasks", "train"},
    "mosaic": {*GROUND, "batch", "convert", "metrics", "sensors", "writers"},
    "convert": {*GROUND, "library", "spectral", "sensors", "writers"},
    "accessor": {"viz", "spectral", "geo", "cube", "cube_coords", "scene", "sensors", "convert"},
    "sensors": {"scene", "geo", "spectral", "cube", "library"},
    "viz": {*GROUND, "cube"},
    "writers": GROUND,
    "engine": {*GROUND, "method", "writers", "cube", "spectral"},
    "simulate": {"spectral", "geo", "scene"},
    "train": {*GROUND, "method", "metrics", "nn", "spectral", "writers"},
    "assess": {"geo", "layers", "metrics", "sensors", "train", "writers"},
    "report": {*GROUND, "assess", "metrics", "models", "sensors", "tasks", "train", "viz", "writers"},
    "pretrain": {"geo", "scene", "cube", "nn", "sensors", "simulate", "spectral", "tasks"},
    "tasks": {*GROUND, "train", "simulate", "nn", "spectral", "metrics", "method"},
}
EVERYTHING = {"__init__", "api", "prepared", "demo"}
"""The public API's own modules, which may import every part."""

HEAVY = {"torch", "lightning", "peft", "torchmetrics", "xarray", "rasterio", "geopandas", "sklearn", "scipy", "skimage", "matplotlib", "pandas"}

FILES = sorted([*(ROOT / "hsikit").rglob("*.py"), *(ROOT / "cli").rglob("*.py")])


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def part_of(path: Path) -> str:
    return path.relative_to(ROOT / "hsikit").parts[0].removesuffix(".py")


def imported_modules(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module) of every import in a file, wherever it stands."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def parts_imported(path: Path) -> Iterator[tuple[int, str]]:
    parts = {file.stem if file.parent.name == "hsikit" else part_of(file) for file in FILES if (ROOT / "hsikit") in file.parents}
    for line, module in imported_modules(path):
        pieces = module.split(".")
        if pieces[0] == "hsikit" and len(pieces) > 1 and pieces[1] in parts:
            yield line, pieces[1]


@pytest.mark.parametrize("path", [file for file in FILES if (ROOT / "hsikit") in file.parents], ids=name_of)
def test_imports_follow_the_arrows(path: Path) -> None:
    part = part_of(path)
    if part in EVERYTHING:
        return
    assert part in ARROWS, f"{name_of(path)}: say in ARROWS and docs/architecture.md what {part} may import"
    allowed = ARROWS[part] | BASIC | {part}
    wrong = [f"{name_of(path)}:{line} imports {other}" for line, other in parts_imported(path) if other not in allowed]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("path", [file for file in FILES if (ROOT / "hsikit") in file.parents], ids=name_of)
def test_nothing_below_knows_the_command_line(path: Path) -> None:
    assert not [module for _, module in imported_modules(path) if module.split(".")[0] in ("hsikit_cli", "cli")]


@pytest.mark.parametrize("path", [file for file in FILES if (ROOT / "cli") in file.parents], ids=name_of)
def test_the_command_line_imports_itself_relatively(path: Path) -> None:
    text = ast.parse(path.read_text(encoding="utf-8"))
    absolute = [node.module or "" for node in ast.walk(text) if isinstance(node, ast.ImportFrom) and not node.level]
    assert not [module for module in absolute if module.split(".")[0] in ("cli", "hsikit_cli")]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_nothing_is_unpickled_or_evaluated(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = {module.split(".")[0] for _, module in imported_modules(path)}
    assert not modules & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            plain = isinstance(node.func, ast.Name)
            assert not (plain and name in ("eval", "exec")), f"{name_of(path)}:{node.lineno}"
            allows = [word for word in node.keywords if word.arg == "allow_pickle" and getattr(word.value, "value", None) is not False]
            assert not allows, f"{name_of(path)}:{node.lineno} allows pickles"


def length_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, without its docstring."""
    total = (node.end_lineno or node.lineno) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        total -= (first.end_lineno or first.lineno) - first.lineno + 1
    return total


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_and_functions_fit_in_the_head(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    long = {
        f"{node.name} (line {node.lineno})": length_of(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and length_of(node) > LONGEST_FUNCTION
    }
    assert not long


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_module_says_what_it_does(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not text.strip() or ast.get_docstring(ast.parse(text)), f"{name_of(path)} has no docstring"


@pytest.mark.parametrize("path", [ROOT / "hsikit", ROOT / "cli"], ids=name_of)
def test_no_catch_all_modules(path: Path) -> None:
    assert not [file for file in path.rglob("*.py") if file.stem in ("utils", "util", "helpers", "common", "misc")]


def test_every_package_is_installed_and_holds_something() -> None:
    import tomllib

    named = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in (ROOT / "hsikit").rglob("__init__.py")}
    assert sorted(named) == sorted([*(".".join(folder.relative_to(ROOT).parts) for folder in folders), "hsikit._cards", "hsikit_cli"])
    assert not [name_of(folder) for folder in folders if not any(path.stat().st_size for path in folder.rglob("*.py"))]


FOREIGN = re.compile(r"(?<![\w.])/(root|home|Users|work|tmp)/\w|\bpypi\.org/simple\b|\bfiles\.pythonhosted\.org\b|\b(localhost|127\.0\.0\.1):\d", re.IGNORECASE)
"""Paths of one machine, and hosts of package registries."""


@pytest.mark.parametrize("folder", ["hsikit", "cli", "docs", "datasets", "configs", "benchmarks", "notebooks", "."])
def test_no_path_of_one_machine(folder: str) -> None:
    found = (ROOT / folder).iterdir() if folder == "." else (ROOT / folder).rglob("*")
    texts = [path for path in found if path.is_file() and path.suffix not in {".png", ".pyc"} and path.stat().st_size < 1_000_000]
    assert texts
    assert not [name_of(path) for path in texts if FOREIGN.search(path.read_text(encoding="utf-8"))]


def test_datasets_holds_no_python() -> None:
    assert not list((ROOT / "datasets").rglob("*.py"))


LIGHT = [
    "import hsikit",
    "import hsikit.scene, hsikit.layers, hsikit.method, hsikit.errors, hsikit.geo.grid, hsikit.registry, hsikit.cards",
    "import hsikit.sensors",
    "import hsikit; hsikit.list_methods(); hsikit.list_sensors()",
]


def loaded_by(code: str) -> set[str]:
    """Heavy packages that a fresh interpreter has loaded after `code`."""
    report = f"import sys\n{code}\nprint(*sorted({HEAVY!r} & set(sys.modules)))"
    answer = subprocess.run([sys.executable, "-c", report], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    return set(answer.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("code", LIGHT)
def test_importing_loads_nothing_heavy(code: str) -> None:
    assert loaded_by(code) == set()


HELP = """
import runpy, sys
from importlib import import_module
sys.argv = ["hsikit", *{arguments!r}]
try:
    import_module("hsikit_cli.main").main()
except SystemExit as stop:
    assert not stop.code, stop.code
"""


@pytest.mark.parametrize("arguments", [["--help"], ["methods"], ["train", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    pytest.importorskip("hsikit_cli", reason="hsikit is not installed, so its command line is not either")
    assert loaded_by(HELP.format(arguments=arguments)) == set()
