"""Experiment files name verbs and options that exist."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "configs").rglob("*.toml"))


def test_there_are_experiments() -> None:
    assert CONFIGS


@pytest.mark.parametrize("path", [path for path in CONFIGS if path.parent.name != "configs"], ids=lambda path: path.stem)
def test_an_experiment_names_a_method_and_a_dataset(path: Path) -> None:
    from hsikit.cards import load_card
    from hsikit.registry import METHODS

    method, _, dataset = path.stem.partition("_")
    (entry,) = [entry for entry in METHODS if entry.name == method]
    assert entry.task == path.parent.name
    assert load_card(dataset).name == dataset


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_an_experiment_names_options_that_exist(path: Path) -> None:
    main = pytest.importorskip("hsikit_cli.main", reason="hsikit is not installed, so its command line is not either")
    import typer

    commands = typer.main.get_command(main.app).commands  # type: ignore[attr-defined]
    for verb, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
        known = {parameter.name for parameter in commands[verb].params}
        assert {key.replace("-", "_") for key in table} <= known
