"""The plan before a batch; the page and the collection after it."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsikit.api import check
from hsikit.batch.collection import write_collection
from hsikit.batch.file_states import state_of
from hsikit.batch.ledger import LEDGER, BatchLedger
from hsikit.batch.orders import make_order
from hsikit.batch.pages import check_pages
from hsikit.batch.plan import plan_batch
from hsikit.batch.status import Status, done_rate, read_status
from hsikit.batch.summary import duration, render, write_summary
from hsikit.engine.resources import available_cores
from hsikit.errors import HsikitError, OutputError

from .conftest import Place
from .test_pace import PACE
from .test_workers import answers


def test_the_plan_opens_every_scene_and_writes_nothing(place: Place, tmp_path: Path) -> None:
    made = place.orders(tmp_path / "maps", "a.tif", "bad.tif", "none.tif", tile=16)
    made += [make_order([str(place.folder / "b.tif")], "anomaly", str(tmp_path / "maps" / "x.tif"), {"bbox": "365300 5807400 365600 5807700"}, "x")]
    plan = plan_batch(made, jobs=2)
    assert not (tmp_path / "maps").exists()
    good, part = plan.good
    assert (good.shape, good.tiles, good.read, good.written) == ((30, 40), 6, 30 * 40 * 10 * 2, 30 * 40)
    assert part.shape == (10, 10) and part.read == 10 * 10 * 10 * 2 and part.written == 10 * 10 * 4
    hidden = replace(made[-1], options={**made[-1].options, "mask": [str(place.folder / "labels.tif")]})
    assert plan_batch([hidden], paces={"anomaly": PACE}).scenes[0].written == 10 * 10 * (4 + 1)
    assert [scene.order.name for scene in plan.scenes if scene.error] == [str(place.folder / "bad.tif"), str(place.folder / "none.tif")]
    assert plan.basis["classify"].startswith("some tiles of") and good.seconds is not None and part.seconds is not None
    assert plan.seconds == plan.start + max((good.seconds + part.seconds) / 2, good.seconds, part.seconds)
    pace = plan.paces["classify"]
    assert (pace.rows, pace.cols, pace.bands, pace.threads) == (30, 40, 10, 1) and plan.start >= pace.start > 0.1
    assert good.seconds == pace.seconds(1200, threads=1, cores=available_cores() / 2, sharing=2)
    assert pace.stored == pytest.approx((place.folder / "a.tif").stat().st_size / 1200) and pace.passes >= 1 and pace.work > 0
    assert 100 * 2**20 < pace.base < good.memory <= pace.peak < 2**31


def test_the_plan_tells_what_check_warns_of(place: Place, tmp_path: Path) -> None:
    order = make_order([str(place.folder / "a.tif")], "anomaly", str(tmp_path / "x.tif"), {"scale": 1.0}, "x")
    (scene,) = plan_batch([order], paces={"anomaly": PACE}).scenes
    said = [f"{found.name}: {found.what}" for found in check(place.folder / "a.tif", scale=1.0) if found.state == "warn"]
    assert not scene.error and scene.warnings and set(scene.warnings) <= set(said)


def test_a_pace_is_used_instead_of_a_calibration(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hsikit.batch.plan.calibrate", None)
    plan = plan_batch(place.orders(tmp_path, "a.tif", "b.tif"), paces={"classify": PACE})
    assert plan.seconds == PACE.start + 2 * PACE.seconds(1200, threads=1, cores=available_cores()) and plan.scenes[0].memory == PACE.peak


def test_what_the_planning_process_holds_is_not_a_workers(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notebook may hold gigabytes: the workers do not."""
    monkeypatch.setattr("hsikit.engine.plan.resident_bytes", lambda: 5 * 2**30)
    plan = plan_batch(place.orders(tmp_path, "a.tif"), memory="2G", paces={"classify": PACE})
    assert [scene.error for scene in plan.scenes] == [""]


def test_more_than_a_thousand_scenes_stay_one_page_and_one_collection(tmp_path: Path) -> None:
    item = {"type": "Feature", "bbox": [0, 0, 1, 1], "properties": {"datetime": "2024-05-06T07:08:09Z"}}
    made = [make_order([f"g{number}.tif"], "anomaly", str(tmp_path / "{stem}_map.tif"), {}, "x") for number in range(1500)]
    with BatchLedger(tmp_path / LEDGER) as ledger:
        ledger.register(made)
        for number, order in enumerate(made[:1200]):
            path = order.output.with_suffix(".json")
            path.write_text(json.dumps({**item, "id": f"g{number}"}))
            ledger.finish(order.output, [state_of(order.output), state_of(path)], 10.0, 2**20)
        for order in made[1490:]:
            ledger.fail(order.output, "it is broken", 1.0, None)
    found = read_status(tmp_path)
    page = render(found, tmp_path)
    read = Page(page)
    assert len(page) < 1000 * len(made) and len(read.links) == 1200 and read.tags.count("tr") == 2 + 10 + 1500
    assert read.words.count("it is broken") == 10
    assert write_collection(tmp_path / "all.json", found) == 1200
    assert len({link["href"] for link in json.loads((tmp_path / "all.json").read_text())["links"]}) == 1200


def test_the_plan_leaves_out_what_is_done_and_takes_its_pace(place: Place, tmp_path: Path) -> None:
    one, two = place.orders(tmp_path, "a.tif", "b.tif")
    with BatchLedger(tmp_path / LEDGER) as ledger:
        ledger.register([one])
        ledger.begin(one, [], state_of(one.output))
        ledger.opened(one, [], 100)
        one.output.write_text("map")
        ledger.finish(one.output, [state_of(one.output)], 50.0, None)
    plan = plan_batch([one, two])
    assert plan.kept == 1 and [scene.order for scene in plan.scenes] == [two] and plan.scenes[0].seconds == pytest.approx(0.5 * 1200)
    assert done_rate(read_status(tmp_path).rows, "anomaly") is None
    two.output.write_text("a stranger's")
    with pytest.raises(OutputError, match="exists already"):
        plan_batch([one, two])


@pytest.fixture(scope="module")
def stood(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Status:
    """Two maps that a worker made, and a failure with a nasty name and message."""
    folder = tmp_path_factory.mktemp("stood")
    made = place.orders(folder, "a.tif", "b.tif", "<i>&.tif")
    with BatchLedger(folder / LEDGER) as ledger:
        ledger.register(made)
        for order in made[:2]:
            ledger.begin(order, [], state_of(order.output))
            said = answers([order])[-1]
            ledger.finish(order.output, [state_of(path) for path in said["files"]], 75.0, 300 * 2**20)
        ledger.fail(made[2].output, "<script>alert(1)</script>", 1.0, None)
    return read_status(folder)


def test_the_sums(stood: Status) -> None:
    assert dict(stood.counts) == {"waiting": 0, "running": 0, "done": 2, "failed": 1} and stood.holder == ""
    assert stood.seconds == 150.0 and stood.peak == 300 * 2**20 and [row.error for row in stood.failures] == ["<script>alert(1)</script>"]


class Page(HTMLParser):
    """Tags, links and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.words.append(data.strip())


def test_the_page_needs_nothing_else_and_is_safe(stood: Status, tmp_path: Path) -> None:
    page = Page(render(stood, stood.ledger.parent))
    assert not {"script", "i", "img", "link"} & set(page.tags) and page.links == ["a.tif", "b.tif"]
    assert {"<script>alert(1)</script>", "2 of 3 scenes are done", "2 min 30 s", "300 MiB", "failed"} <= set(page.words)
    target = tmp_path / "batch.html"
    write_summary(target, stood)
    write_summary(target, replace(stood, holder="process 3 on earth"))
    assert "process 3 on earth is running it" in target.read_text() and [path.name for path in tmp_path.iterdir()] == ["batch.html"]
    for name, text in (("page.html", "<html>mine</html>"), ("page.htm", "\xff")):
        (tmp_path / name).write_text(text, encoding="latin-1")
        with pytest.raises(OutputError, match="exists already"):
            write_summary(tmp_path / name, stood)
        assert (tmp_path / name).read_text(encoding="latin-1") == text
    write_summary(tmp_path / "page.html", stood, overwrite=True)


def test_the_collection_spans_its_items(stood: Status, tmp_path: Path) -> None:
    import pystac

    target = stood.ledger.parent / "collection.json"
    assert write_collection(target, stood) == write_collection(target, stood) == 2
    found = pystac.Collection.from_file(str(target))
    items = list(found.get_items())
    assert sorted(item.id for item in items) == ["a", "b"]
    boxes = np.array([item.bbox for item in items])
    np.testing.assert_allclose(found.extent.spatial.bboxes[0], [*boxes[:, :2].min(0), *boxes[:, 2:].max(0)])
    times = [item.datetime for item in items]
    assert found.extent.temporal.intervals == [[min(times), max(times)]]
    away = tmp_path / "elsewhere.json"
    write_collection(away, stood)
    assert sorted(item.id for item in pystac.Collection.from_file(str(away)).get_items()) == ["a", "b"]


def test_the_collection_is_valid_stac(stood: Status, tmp_path: Path) -> None:
    from jsonschema import Draft7Validator
    from pystac.validation.local_validator import get_local_schema_cache
    from referencing import Registry, Resource

    write_collection(tmp_path / "c.json", stood)
    schemas = get_local_schema_cache()
    registry: Registry[Any] = Registry().with_resources([(uri, Resource.from_contents(schema)) for uri, schema in schemas.items()])
    schema = next(schema for uri, schema in schemas.items() if uri.endswith("/collection.json"))
    assert [error.message for error in Draft7Validator(schema, registry=registry).iter_errors(json.loads((tmp_path / "c.json").read_text()))] == []


def test_a_collection_that_cannot_be(stood: Status, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text('{"type": "Collection"}')
    for name, wrong in (("mine.json", "exists already"), ("c.txt", "ends in .json"), ("none/c.json", "does not exist")):
        with pytest.raises(OutputError, match=wrong):
            write_collection(tmp_path / name, stood)
    assert write_collection(tmp_path / "c.json", replace(stood, rows=stood.failures)) == 0 and not (tmp_path / "c.json").exists()
    assert json.loads((tmp_path / "mine.json").read_text()) == {"type": "Collection"}


def test_pages_are_checked_before_the_batch(place: Place, tmp_path: Path) -> None:
    made = place.orders(tmp_path / "maps", "a.tif")
    check_pages(made, None, tmp_path / "maps" / "s.html", tmp_path / "maps" / "c.json")
    with pytest.raises(OutputError, match=r"a\.json: is an output of the batch"):
        check_pages(made, None, None, tmp_path / "maps" / "a.json")
    with pytest.raises(HsikitError, match=r"ends in \.html"):
        check_pages(made, None, tmp_path / "s.txt", None)
    with pytest.raises(OutputError, match=r"s3://data/c\.json: a page of a batch is written to a local disk"):
        check_pages(made, None, None, Path("s3://data/c.json"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.84, "0.8 s"), (42.4, "42 s"), (59.7, "1 min 0 s"), (320, "5 min 20 s"), (3600, "1 h 0 min"), (12_030, "3 h 20 min"), (705_600, "8 d 4 h")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text
