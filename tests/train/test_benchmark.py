"""Cells of a benchmark: what they hold, that a killed run goes on, and that what fails is said."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsikit.engine import compute
from hsikit.errors import LabelError, OptionError, OutputError
from hsikit.tasks.classification.nearest_label import NearestLabel
from hsikit.tasks.classification.smooth import smooth
from hsikit.tasks.classification.svm import Svm
from hsikit.train.benchmark import run_benchmark
from hsikit.train.benchmark_cells import Cell
from hsikit.train.benchmark_plan import Plan, make_plan
from hsikit.train.labelled import LabelledScene
from hsikit.train.pipeline import train_classifier
from tests.tasks.classification.scenes import fields, labelled, source

RUN = partial(compute, threads=1)
VALUES, TRUTH = fields(48, 50, 3, 6, noise=1.5)
LABELS = labelled(source(VALUES), TRUTH, 120)
FEW = {"per_class": 12}


def bench(folder: Path, plan: Plan, scenes: list[LabelledScene] | None = None, progress: Any = None) -> list[Cell]:
    return run_benchmark(scenes or [LABELS], plan, folder, run=RUN, smooth=smooth, progress=progress)


def plan_of(*methods: Any, splits: tuple[Any, ...] = ("class-halves",), seeds: tuple[int, ...] = (0, 1), **more: Any) -> Plan:
    return make_plan(methods, splits, seeds, split_options=FEW, **more)


def scored(cells: list[Cell]) -> list[tuple[Any, ...]]:
    """What two runs must agree on: all but the times."""
    return [(cell.split, cell.row, cell.seed, cell.error, cell.ece, cell.draw, cell.scores and cell.scores.confusion.tolist()) for cell in cells]


class Killed(BaseException):
    """As an interrupt would."""


class Counting:
    """A progress that counts, and may be killed after so many cells."""

    def __init__(self, most: int = 10_000) -> None:
        self.most, self.total, self.done, self.said = most, 0, 0, list[str]()

    def begin(self, plan: str, total: int, done: int) -> None:
        self.total, self.done = total, done

    def advance(self, stage: str, steps: int = 1) -> None:
        self.said.append(stage)
        if len(self.said) == self.most:
            raise Killed

    def note(self, message: str) -> None:
        self.said.append(message)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int]]]:
    """Method and seed of every training."""
    calls: list[tuple[str, int]] = []

    def counted(original: Callable[..., Any]) -> Callable[..., Any]:
        def train(cls: type[Any], scenes: Any, *, seed: int = 0, **more: Any) -> Any:
            calls.append((cls.name, seed))
            return original.__func__(cls, scenes, seed=seed, **more)  # type: ignore[attr-defined]

        return train

    for kind in (Svm, NearestLabel):
        monkeypatch.setattr(kind, "train", classmethod(counted(kind.train)))
    yield calls


def test_a_cell_holds_what_training_and_scoring_by_hand_give(tmp_path: Path) -> None:
    cells = bench(tmp_path / "out", plan_of(("svm", {"C": 10.0})))
    assert [(cell.row, cell.seed) for cell in cells] == [(row, seed) for seed in (0, 1) for row in ("nearest-label", "svm", "svm:C=10.0")]
    for cell in cells:
        kind, options = (NearestLabel, {}) if cell.row == "nearest-label" else (Svm, {"C": 10.0} if "C" in cell.row else {})
        _, record = train_classifier(
            kind, [LABELS], split="class-halves", seed=cell.seed, refit=False, floors=False, run=RUN, options=options, split_options=FEW
        )
        assert cell.scores is not None and cell.scores.to_json() == record.scores
        assert cell.trained == 36 and not cell.untrained and not cell.untested and not cell.error


def test_the_calibration_error_of_a_method_that_is_always_sure_is_its_error(tmp_path: Path) -> None:
    cell = bench(tmp_path / "out", plan_of("nearest-label", seeds=(3,)))[0]
    assert cell.row == "nearest-label" and cell.scores is not None and cell.ece == pytest.approx(1 - cell.scores.overall)


def test_a_smoothed_and_a_plain_row_share_one_training(tmp_path: Path, trained: list[tuple[str, int]]) -> None:
    cells = bench(tmp_path / "out", plan_of("svm", seeds=(5,), smooth="both"))
    by_row = {cell.row: cell for cell in cells}
    assert set(by_row) == {"nearest-label", "svm", "svm+smooth"} and sorted(trained) == [("nearest-label", 5), ("svm", 5)]
    plain, smoothed = by_row["svm"], by_row["svm+smooth"]
    assert plain.scores is not None and smoothed.scores is not None
    assert plain.train_seconds == smoothed.train_seconds and plain.draw == smoothed.draw
    assert smoothed.scores.overall > plain.scores.overall, "the fields are square and the noise is strong"


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path, trained: list[tuple[str, int]]) -> None:
    plan = plan_of("svm", seeds=(0, 1, 2))
    whole = scored(bench(tmp_path / "whole", plan))
    trained.clear()
    with pytest.raises(Killed):
        bench(tmp_path / "killed", plan, progress=Counting(most=3))
    assert trained == [("nearest-label", 0), ("svm", 0), ("nearest-label", 1)]
    assert len(list((tmp_path / "killed/cells").iterdir())) == 3
    trained.clear()
    watch = Counting()
    assert scored(bench(tmp_path / "killed", plan, progress=watch)) == whole
    assert trained == [("svm", 1), ("nearest-label", 2), ("svm", 2)]
    assert (watch.total, watch.done, len(watch.said)) == (6, 3, 3)
    trained.clear()
    assert scored(bench(tmp_path / "killed", plan)) == whole and trained == []


def test_a_broken_cell_is_computed_again(tmp_path: Path, trained: list[tuple[str, int]]) -> None:
    plan = plan_of("svm", seeds=(0,))
    whole = scored(bench(tmp_path / "out", plan))
    for path, text in zip(sorted((tmp_path / "out/cells").iterdir()), ("{", "[]"), strict=True):
        path.write_text(text)
    trained.clear()
    assert scored(bench(tmp_path / "out", plan)) == whole and len(trained) == 2


@pytest.mark.parametrize("change", ["labels", "scene", "option", "split", "seed", "version"])
def test_whatever_a_number_follows_from_makes_another_cell(
    tmp_path: Path, trained: list[tuple[str, int]], change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, scenes = plan_of("svm", seeds=(0,)), [LABELS]
    bench(tmp_path / "out", plan, scenes)
    trained.clear()
    if change == "labels":
        scenes = [labelled(LABELS.source, TRUTH, 121)]  # type: ignore[arg-type]
    elif change == "scene":
        scenes = [labelled(source(VALUES, quantity="radiance"), TRUTH, 120)]
    elif change == "version":
        monkeypatch.setattr(sys.modules["hsikit.train.benchmark_cells"], "__version__", "another")
    else:
        plan = {
            "option": lambda: plan_of(("svm", {"C": 1.0}), seeds=(0,)),
            "split": lambda: plan_of("svm", splits=(("class-halves", {"per_class": 13}),), seeds=(0,)),
            "seed": lambda: plan_of("svm", seeds=(1,)),
        }[change]()
    bench(tmp_path / "out", plan, scenes)
    assert ("svm", plan.seeds[0]) in trained
    trained.clear()
    bench(tmp_path / "out", plan, scenes)
    assert trained == []


def test_a_method_that_fails_leaves_the_others_alone_and_is_tried_again(tmp_path: Path) -> None:
    plan = plan_of(("mnf-lda", {"components": 4000}), seeds=(0, 1), smooth="both")
    cells = bench(tmp_path / "out", plan)
    failed = [cell for cell in cells if cell.error]
    assert {cell.row for cell in failed} == {"mnf-lda:components=4000", "mnf-lda:components=4000+smooth"} and len(failed) == 4
    assert all("4000" in cell.error and cell.scores is None for cell in failed)
    assert all(cell.scores is not None for cell in cells if not cell.error) and len(cells) == 8
    watch = Counting()
    bench(tmp_path / "out", plan, progress=watch)
    assert (watch.total, watch.done) == (8, 4) and all(said.endswith("failed") for said in watch.said)


def test_a_split_that_would_fall_back_is_an_error(tmp_path: Path, trained: list[tuple[str, int]]) -> None:
    corner = np.zeros_like(TRUTH)
    corner[:4, :4], corner[20:, :] = 1, np.where(TRUTH[20:] == 1, 2, TRUTH[20:])
    one_place = _labelled_where(corner)
    cells = bench(tmp_path / "out", plan_of("svm", splits=(("blocks", {"block": 12}),), seeds=(0,)), [one_place])
    assert trained == [] and len(cells) == 2
    assert all("blocks of 12 pixels" in cell.error and "lose classes" in cell.error for cell in cells)


def _labelled_where(codes: np.ndarray) -> LabelledScene:
    """Labels at every pixel with a code and data."""
    everything = labelled(source(VALUES), TRUTH, 10_000)
    kept = everything.take(codes[everything.rows, everything.cols] > 0)
    return LabelledScene(kept.source, kept.rows, kept.cols, codes[kept.rows, kept.cols].astype(np.uint8), kept.groups, kept.legend, "labels.tif")


def test_classes_that_nothing_trains_are_named_and_left_out(tmp_path: Path) -> None:
    corner = np.where(TRUTH == 1, 0, TRUTH)
    corner[:3, :3] = 1
    plan = plan_of("svm", splits=(("class-halves", {"guard": 2, "allow_lost": True, "per_class": 40}),), seeds=(0,))
    for cell in bench(tmp_path / "out", plan, [_labelled_where(corner)]):
        assert cell.untrained == ("class 1",) and not cell.untested and cell.scores is not None
        support = dict(zip(cell.scores.codes, cell.scores.support.tolist(), strict=True))
        assert support.get(1, 0) == 0 and support[2] > 0 and support[3] > 0


def test_scenes_are_left_out_in_turn_and_coordinates_are_no_floor_there(tmp_path: Path) -> None:
    values, truth = fields(40, 42, 3, 6, noise=1.0)
    scenes = [LABELS, labelled(source(values, name="east.tif"), truth, 60)]
    cells = bench(tmp_path / "out", make_plan(["svm"], ["scene"], [0, 1]), scenes)
    assert [cell.row for cell in cells] == ["svm", "svm"] and not any(cell.error for cell in cells)
    assert [int(cell.scores.support.sum()) + cell.scores.unscored for cell in cells if cell.scores] == [len(scene) for scene in scenes]


def test_a_scene_that_is_not_there_is_a_mistake_of_the_command(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="nowhere"):
        bench(tmp_path / "out", make_plan(["svm"], ["scene:nowhere"], [0]))


def test_what_is_learned_without_labels_is_learned_once(tmp_path: Path, trained: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of("svm", splits=("class-halves", "random"), seeds=(4, 5), smooth="both")
    plain = scored(bench(tmp_path / "plain", plan))
    refits: list[int] = []

    def refit(self: Svm, scenes: Any, *, seed: int = 0, **more: Any) -> Svm:
        model, counted = Svm.train(scenes, seed=seed, **more), trained.pop()
        assert counted == ("svm", seed)
        refits.append(seed)
        return model

    monkeypatch.setattr(Svm, "reuses_unlabelled", True)
    monkeypatch.setattr(Svm, "refit", refit)
    trained.clear()
    cells = bench(tmp_path / "reused", plan)
    assert [call for call in trained if call[0] == "svm"] == [("svm", 4)] and refits == [4, 5, 4, 5]
    assert scored(cells) == plain
    assert all((cell.shared_seconds > 0) == cell.row.startswith("svm") for cell in cells)
    trained.clear()
    refits.clear()
    bench(tmp_path / "reused", plan)
    assert trained == [] and refits == []


def test_folders_that_are_something_else_are_refused(tmp_path: Path) -> None:
    plan = plan_of("svm", seeds=(0,))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("mine")
    with pytest.raises(OutputError, match=r"mine.*did not make"):
        bench(tmp_path / "mine", plan)
    with pytest.raises(OutputError, match=r"thesis.*not a folder"):
        bench(tmp_path / "mine/thesis.tex", plan)
    with pytest.raises(OutputError, match="does not exist"):
        bench(tmp_path / "nowhere/out", plan)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]
    (tmp_path / "empty").mkdir()
    assert len(bench(tmp_path / "empty", plan)) == 2


def test_one_class_is_nothing_to_tell_apart(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="at least 2 classes"):
        bench(tmp_path / "out", plan_of("svm"), [LABELS.take(LABELS.codes == 1)])
    assert not (tmp_path / "out").exists()


def test_cells_survive_their_file(tmp_path: Path) -> None:
    for cell in bench(tmp_path / "out", plan_of(("mnf-lda", {"components": 4000}), seeds=(0,))):
        again = Cell.from_json(json.loads(json.dumps(cell.to_json())))
        assert again.to_json() == cell.to_json()
