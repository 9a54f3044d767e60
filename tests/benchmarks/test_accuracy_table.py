"""The accuracy table: where labels and test pixels lie, the short way against the product, and what is kept."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from benchmarks import accuracy_table, accuracy_table_cells, accuracy_table_columns, accuracy_table_rows
from benchmarks.accuracy_table_cells import Cell, Desk, Task, cells, run_task
from benchmarks.accuracy_table_columns import COLUMNS, Column
from benchmarks.accuracy_table_rows import ROWS
from benchmarks.accuracy_table_scenes import labelled, load_scene
from hsikit.geo.grid import Grid
from hsikit.scene import Bands, SceneInfo
from hsikit.sensors.array import ArraySource
from hsikit.train.splits import along_longer_side

SHAPE = (40, 36)
CLASSES = {1: "one", 2: "two", 3: "three"}


def scene_of(truth, bands=12, seed=0):
    """A scene whose spectra follow the classes, with noise; its first corner holds no data."""
    rng = np.random.default_rng(seed)
    spectra = rng.uniform(200, 900, (len(CLASSES) + 1, bands))
    values = np.moveaxis(spectra[truth] + rng.normal(0, 60, (*truth.shape, bands)), -1, 0).astype(np.float32)
    values[:, :2, :2] = -1
    axis = Bands(np.linspace(450, 900, bands), np.full(bands, 10.0), np.ones(bands, bool), tuple(f"band {k}" for k in range(bands)))
    info = SceneInfo("made", Grid(truth.shape), axis, "float32", "array", nodata=-1)
    return labelled(ArraySource(values, info), truth, CLASSES)


@st.composite
def scenes(draw):
    """Label maps of three classes in patches, with unlabelled pixels between."""
    size = draw(st.integers(4, 9))
    coarse = draw(st.lists(st.integers(0, 3), min_size=size * size, max_size=size * size))
    truth = np.kron(np.array(coarse).reshape(size, size), np.ones((5, 5), int))
    truth[0, :3] = 1, 2, 3
    return scene_of(truth, bands=4)


def places(scene, positions):
    return np.column_stack([scene.rows, scene.cols])[positions]


def nearest(first, second):
    """Chebyshev distance of each of the first places to the nearest of the second, the slow way."""
    return np.abs(first[:, None] - second[None]).max(-1).min(1)


def halves(scene, code):
    ordered = along_longer_side(scene.rows, scene.cols, np.flatnonzero(scene.codes == code))
    return set(ordered[: len(ordered) // 2].tolist()), set(ordered[len(ordered) // 2 :].tolist())


LAWS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@LAWS
@given(scenes(), st.integers(0, 99))
def test_only_the_place_of_the_labels_differs_from_far_to_near(scene, seed):
    far, near = accuracy_table_columns.far(scene, seed), accuracy_table_columns.near(scene, seed)
    assert not set(near.train) & set(near.test)
    for code in scene.counts:
        mine = scene.codes == code
        tested = {int(k) for k in near.test if mine[k]}
        if not tested or code in near.left_out or code in far.left_out:
            continue
        assert tested == {int(k) for k in far.test if mine[k]}
        same = next(half for half in halves(scene, code) if tested <= half)
        assert {int(k) for k in near.train if mine[k]} <= same
        assert not {int(k) for k in far.train if mine[k]} & same
        assert sum(mine[near.train]) == min(10, len(same) - len(tested))


@LAWS
@given(scenes(), st.integers(0, 99))
def test_guarded_test_pixels_lie_seven_or_more_from_every_label(scene, seed):
    far, guarded = accuracy_table_columns.far(scene, seed), accuracy_table_columns.far_guarded(scene, seed)
    apart = nearest(places(scene, far.test), places(scene, far.train)) if len(far.train) else np.zeros(0)
    assert np.array_equal(guarded.train, far.train)
    assert np.array_equal(guarded.test, far.test[apart >= 7])
    assert set(guarded.left_out) == set(scene.counts) - set(scene.codes[guarded.test])


@LAWS
@given(scenes(), st.integers(0, 99))
def test_fifty_labels_come_from_the_other_half_and_leave_half_of_it(scene, seed):
    far, fifty = accuracy_table_columns.far(scene, seed), accuracy_table_columns.far_fifty(scene, seed)
    assert set(far.test) <= set(fifty.test) | {k for k in far.test if scene.codes[k] in fifty.left_out}
    for code in set(scene.codes[fifty.train]):
        drawn = {int(k) for k in fifty.train if scene.codes[k] == code}
        half = next(half for half in halves(scene, code) if drawn <= half)
        assert len(drawn) == min(50, max(1, len(half) // 2))
        assert not half & set(fifty.test.tolist())


@LAWS
@given(st.integers(0, 99), st.integers(0, 50))
def test_blocks_keep_their_guard_and_are_scored_on_the_classes_left(seed, kind):
    truth = np.kron(np.random.default_rng(kind).integers(0, 4, (12, 12)), np.ones((8, 8), int))
    scene = scene_of(truth, bands=4)
    drawn = accuracy_table_columns.blocks24(scene, seed)
    assert nearest(places(scene, drawn.test), places(scene, drawn.train)).min() > 6
    blocks = [{tuple(place) for place in places(scene, part) // 24} for part in (drawn.train, drawn.test)]
    assert not blocks[0] & blocks[1]
    assert max(np.bincount(scene.codes[drawn.train])) <= 10
    assert set(scene.codes[drawn.test]) <= set(scene.codes[drawn.train])
    assert set(drawn.left_out) == set(scene.counts) - set(scene.codes[drawn.test])
    assert drawn.as_split(len(scene), seed).report["block"] == 24


def test_a_tenth_at_random():
    scene = scene_of(np.kron(np.array([[1, 2], [3, 1]]), np.ones((20, 18), int)))
    drawn = accuracy_table_columns.random10(scene, 0)
    share = np.bincount(scene.codes[drawn.train])[1:] / np.bincount(scene.codes)[1:]
    assert share == pytest.approx(0.1, abs=0.005)
    assert len(drawn.train) + len(drawn.test) == len(scene)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Fields of three classes on a tiny scene, and a cache."""
    rng = np.random.default_rng(3)
    truth = np.kron(rng.integers(1, 4, (5, 4)), np.ones((8, 9), int))
    return Desk("indian-pines", scene_of(truth), tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def quick_rows(monkeypatch):
    """The rows' real methods with fewer components, since the tiny scene has twelve bands."""
    options = {"mnf-lda 40/5/standardised": {"components": 6, "width": 5, "standardise": True}}
    usual = {"components": 6, "steps": 50}
    rows = {}
    for name, row in ROWS.items():
        changed = options.get(name, {**row.options, **usual} if row.features is accuracy_table_rows.edge_features else row.options)
        rows[name] = accuracy_table_rows.Row(name, row.kind, changed, row.features, row.edges)
    for module in (accuracy_table_cells, accuracy_table):
        monkeypatch.setattr(module, "ROWS", rows)


LEARNING = [name for name in ROWS if name.startswith("lola")]


@pytest.mark.parametrize(("row", "column", "seed"), [
    *((row, column, 1) for row in ROWS if row not in LEARNING for column in ("far", "blocks24")),
    *((row, "far", 0) for row in LEARNING),  # whose network the table's is
])  # fmt: skip
def test_the_short_way_is_the_product(desk, row, column, seed):
    cell = run_task(desk, Task("check", row, column, seed))
    assert cell.values == {variant: {"pixels": 0, "overall": 0.0, "average": 0.0} for variant in ("plain", "smoothed")}
    assert set(cell.seconds) == {"train", "map", "map_smoothed"}


@pytest.mark.parametrize("row", ["mnf-lda-edge", "svm"])
@pytest.mark.parametrize("column", ["far", "near"])
def test_calibration_is_that_of_the_product(desk, row, column, monkeypatch):
    """The short way's temperature is what the product finds with the same folds."""
    from hsikit.engine import compute
    from hsikit.train.calibrate import find_temperature

    task = Task("calibration", row, column, 0)
    cell, drawn, known = run_task(desk, task), desk.draw(task), accuracy_table_cells.ROWS[row]
    train = accuracy_table_cells.part(desk.scene, drawn.train)
    method = known.kind.train([train], seed=0, run=compute, **known.options)
    theirs = find_temperature(method, [train], drawn.as_split(len(desk.scene), 0), seed=0, run=compute, options=known.options)
    assert cell.facts["temperature"] == pytest.approx(theirs.temperature, rel=1e-3)
    assert cell.facts["held"] == theirs.held > 0
    assert all(0 <= share <= 1 for found in cell.values.values() for share in found.values())


def test_what_is_learned_without_labels_is_learned_once(desk, monkeypatch):
    """A row without a short way, of a method that reuses what needs no label: the same answers, from one training."""
    known = accuracy_table_cells.ROWS["mnf-lda-edge"]
    monkeypatch.setitem(accuracy_table_cells.ROWS, "slow", accuracy_table_rows.Row("slow", known.kind, known.options))
    assert known.kind.reuses_unlabelled
    tasks = [Task("scores", row, "far", seed) for row in ("slow", "mnf-lda-edge") for seed in (3, 4)]
    made = {cell.task: cell.values for cell in cells(desk, tasks, 1)}
    monkeypatch.setattr(known.kind, "train", None)
    assert run_task(desk, tasks[0]).values == made[tasks[0]]
    assert [made[task] for task in tasks[:2]] == [made[task] for task in tasks[2:]]


def test_cells_are_kept_and_a_cut_line_is_made_again(desk, monkeypatch):
    tasks = [Task("scores", "mnf-lda-edge", "far", seed) for seed in range(3)]
    first = {cell.task: cell for cell in cells(desk, tasks, 1)}
    store = desk.cache / "cells.jsonl"
    whole = store.read_text()
    store.write_text(whole[:-40])
    made = []
    monkeypatch.setattr(accuracy_table_cells, "run_task", lambda desk, task: made.append(task) or run_task(desk, task))
    again = {cell.task: cell for cell in cells(desk, tasks, 1)}
    assert len(made) == 1
    assert {task: cell.values for task, cell in again.items()} == {task: cell.values for task, cell in first.items()}
    made.clear()
    assert len(list(cells(desk, tasks, 1))) == 3
    assert not made


def test_another_option_or_another_text_of_a_method_is_another_cell(desk, monkeypatch):
    task = Task("scores", "mnf-lda-edge", "far", 0)
    key = desk.key(task, desk.draw(task))
    monkeypatch.setattr(accuracy_table_cells, "_code", lambda module: "changed")
    assert desk.key(task, desk.draw(task)) != key


def test_the_digest_covers_what_a_method_stands_on(tmp_path, monkeypatch):
    folder = tmp_path / "hsikit" / "tasks"
    folder.mkdir(parents=True)
    (folder / "far_away.py").write_text("from hsikit.tasks import deep\n")
    (folder / "deep.py").write_text("STEPS = 1\n")
    monkeypatch.setattr(accuracy_table_rows, "ROOT", tmp_path)
    before = accuracy_table_rows.code_digest("hsikit.tasks.far_away")
    (folder / "deep.py").write_text("STEPS = 2\n")
    assert accuracy_table_rows.code_digest("hsikit.tasks.far_away") != before


def cell_of(row, seed, plain, smooth, left_out=()):
    values = {"plain": dict(zip(("overall", "average"), plain, strict=True)), "smoothed": dict(zip(("overall", "average"), smooth, strict=True))}
    return Cell(Task("scores", row, "far", seed), f"{row}{seed}", values, {"draw": 0.5}, {"labels": 30, "tested": 90, "left_out": list(left_out)})


@LAWS
@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=2, max_size=12))
def test_differences_are_those_of_scipy(values):
    made = [cell_of("svm", seed, (a, b), (a, b)) for seed, (a, b, _, _) in enumerate(values)]
    made += [cell_of("mnf-lda-edge", seed, (c, d), (c, d)) for seed, (_, _, c, d) in enumerate(reversed(values))][::-1]
    lines = accuracy_table.by_line(made, "far")
    text = accuracy_table.difference(lines, ("svm", "plain"), ("mnf-lda-edge", "plain"), "overall")
    apart = 100 * (np.array([v[0] for v in values]) - np.array([v[2] for v in values][::-1]))
    mean, error = (float(part) for part in text.rstrip(")").split(" ("))
    assert mean == pytest.approx(apart.mean(), abs=0.0051)
    assert error == pytest.approx(stats.sem(apart), abs=0.0051)
    assert accuracy_table.difference(lines, ("svm", "plain"), ("svm", "plain"), "overall") == "–"


def test_the_table_names_rows_differences_and_classes_left_out():
    made = [cell_of("mnf-lda 40/5/standardised", seed, (0.5, 0.6), (0.6 + seed / 10, 0.7), left_out=[2] * seed) for seed in (0, 1)]
    made += [cell_of("svm", seed, (0.4, 0.5), (0.45, 0.5), left_out=[2] * seed) for seed in (0, 1)]
    text = "\n".join(accuracy_table.score_table(made, "far", COLUMNS["indian-pines"]["far"], CLASSES))
    assert "2 draws from seed 0; 30 labels and 90 test pixels a draw" in text
    assert "not scored: two in 1 of 2 draws" in text
    assert "| svm | 40.00 ± 0.00 | 50.00 ± 0.00 | -25.00 (5.00) | -20.00 (0.00) | – | – | – | – | 0.50 |" in text
    assert "| mnf-lda 40/5/standardised, smoothed | 65.00 ± 7.07 | 70.00 ± 0.00 | – | – | – | – | – | – | 0.50 |" in text


def test_the_program_writes_its_table(desk, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(accuracy_table, "load_scene", lambda name, folder: desk.scene)
    target = tmp_path / "table.md"
    words = f"table --columns near --rows svm mnf-lda-edge --draws 2 --check 1 --calibrate 1 --cache {desk.cache} -o {target}"
    monkeypatch.setattr("sys.argv", words.split())
    accuracy_table.main()
    text = target.read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        "## near: 10 labels a class from the half that is tested, the same test pixels",
        "## near: the short way against the product",
        "## near: expected calibration error, 15 bins, %",
    ]
    assert text.count("| mnf-lda-edge, smoothed |") == 3
    assert [path.name for path in tmp_path.iterdir()] == ["table.md"]


@pytest.mark.parametrize(("words", "said"), [("--columns nowhere", "no column 'nowhere'"), ("--rows none", "invalid choice"), ("--draws 0", "1 or more")])
def test_what_there_is_not_is_named(words, said, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", f"table --cache none {words}".split())
    with pytest.raises(SystemExit):
        accuracy_table.main()
    assert said in capsys.readouterr().err


def test_a_column_wants_at_most_the_draws_asked_for(monkeypatch):
    monkeypatch.setitem(COLUMNS, "indian-pines", {"far": Column("t", accuracy_table_columns.far, 4), "near": Column("t", accuracy_table_columns.near, 2)})
    monkeypatch.setattr("sys.argv", ["table", "--cache", "none", "--rows", "svm", "--draws", "3", "--first", "7", "--calibrate", "1"])
    tasks = accuracy_table.wanted(accuracy_table.parse())
    assert [(task.kind, task.column, task.seed) for task in tasks] == [
        *[("scores", "far", seed) for seed in (7, 8, 9)],
        ("calibration", "far", 7),
        *[("scores", "near", seed) for seed in (7, 8)],
        ("calibration", "near", 7),
    ]


def test_a_cell_survives_json():
    cell = cell_of("svm", 3, (0.1, 0.2), (0.3, 0.4), [5])
    assert Cell.from_json(json.loads(cell.to_line())) == cell


def test_potsdam_is_one_scene_with_holes(shared_data: Path):
    scene = load_scene("enmap-potsdam", shared_data / "classification" / "enmap_potsdam")
    assert scene.source.info.grid.shape == (200, 330)
    assert len(scene) > 5000
    for column in COLUMNS["enmap-potsdam"].values():
        drawn = column.draw(scene, 0)
        assert nearest(places(scene, drawn.test), places(scene, drawn.train)).min() > 4
        assert len(set(scene.codes[drawn.test])) >= 4
