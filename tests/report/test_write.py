"""The page as a whole: self-contained, well formed, accessible, safe with hostile names, equal to its numbers; and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hsikit.errors import GridError, MapError, ModelError, OptionError, OutputError
from hsikit.metrics.area_accuracy import area_accuracy
from hsikit.report import write_report
from hsikit.sensors import open_source
from tests.laws.scenes import NODATA, SCALE, write_codes
from tests.products.geotiff import write_geotiff

from .conftest import HOSTILE, Reported
from .page import Page


def numbers_in(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        for part in value.values():
            yield from numbers_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from numbers_in(part)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield float(value)


def test_it_needs_nothing_else(reported: Reported) -> None:
    page = Page(reported.page)
    addresses = [attributes[name] for _, attributes in page.elements for name in ("src", "href", "srcset", "action", "poster") if name in attributes]
    assert addresses and all(address.startswith(("data:image/", "#")) for address in addresses)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.elements}
    assert "url(" not in reported.page and "@import" not in reported.page and not re.search(r"https?://", re.sub(r"data:[^\"]*", "", reported.page))


def test_it_is_well_formed_and_can_be_read_by_all(reported: Reported) -> None:
    page = Page(reported.page)
    assert not page.unclosed
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    targets = [attributes["href"].removeprefix("#") for attributes in page.all("a")]
    assert len(ids) == len(set(ids)) and set(targets) == set(ids)
    assert len(page.all("h1")) == 1 and len(page.all("table")) == len(page.all("caption")) > 4
    assert page.all("html")[0]["lang"] == "en" and "width=device-width" in str(page.all("meta"))
    assert len(page.all("img")) >= 6 and all(len(attributes["alt"]) > 15 for attributes in page.all("img"))


def test_hostile_names_are_text(reported: Reported) -> None:
    page = Page(reported.page)
    assert all(page.text.count(name) >= 4 for name in HOSTILE)
    assert not page.all("script") and not page.all("b") and not any("onload" in attributes for _, attributes in page.elements)


def test_the_numbers_are_those_of_run_json(reported: Reported) -> None:
    page, known = Page(reported.page), set(numbers_in(reported.numbers))
    assert len(page.values) > 50 and set(page.values) <= known
    own = reported.numbers["assessment"]["rows"][0]
    assert own["overall"] in page.values and f"{100 * own['overall']:.1f} %" in page.text
    assert reported.numbers["report"] == "report.html"


def test_the_scores_are_those_of_the_model_folder(reported: Reported) -> None:
    facts = json.loads((reported.model / "model.json").read_text())["training"]
    found = reported.numbers["assessment"]
    assert found["rows"][0]["overall"] == facts["scores"]["overall"] and found["confusion"] == facts["scores"]["confusion"]
    assert {row["name"] for row in found["rows"][1:]} == set(facts["floors"])
    low, high = found["rows"][0]["overall_interval"]
    assert low <= facts["scores"]["overall"] <= high
    assert [diagram["name"] for diagram in found["diagrams"]] == ["before", "after"]


def test_areas_are_counted_in_the_map(reported: Reported) -> None:
    import rasterio

    with rasterio.open(reported.map) as data:
        codes, counts = np.unique(data.read(1), return_counts=True)
    for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
        facts = next((facts for facts in reported.numbers["classes"] if facts["code"] == code), None)
        if facts is not None:
            assert facts["pixels"] == count and facts["hectares"] == pytest.approx(0.09 * count, rel=2e-3)
    assert reported.numbers["nodata"] == counts[codes == 0][0]


def test_without_a_scene_it_says_so(reported: Reported, tmp_path: Path) -> None:
    write_report(reported.crop, reported.kept, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "the scene was not given" in page.text and len(page.all("img")) == 4  # map, labels, bars, reliability
    assert "different halves of each class" in page.text and "Labels in one place cannot calibrate another" in page.text


def test_a_report_is_replaced_only_when_told(reported: Reported, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    write_report(reported.map, reported.model, output)
    older = output.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        write_report(reported.map, reported.model, output)
    with pytest.raises(OutputError, match=r"run\.json: exists already"):
        write_report(reported.map, reported.model, tmp_path / "second.html")
    with pytest.raises(OutputError, match="something else than this report"):
        write_report(reported.map, reported.model, tmp_path / "second.html", overwrite=True)
    with pytest.raises(MapError):
        write_report(tmp_path / "none.tif", reported.model, output, overwrite=True)
    assert output.read_bytes() == older
    write_report(reported.crop, reported.kept, output, overwrite=True)
    assert output.read_bytes() != older and sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "run.json"]


@pytest.mark.parametrize("name", ["report", "report.pdf", "nowhere/report.html"])
def test_other_names_are_refused(reported: Reported, tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError):
        write_report(reported.map, reported.model, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_map_without_names_is_refused(reported: Reported, tmp_path: Path) -> None:
    plain = write_codes(tmp_path / "plain.tif", reported.made.truth)
    with pytest.raises(MapError, match="names no classes"):
        write_report(plain, reported.model, tmp_path / "report.html")


def test_a_model_of_other_classes_is_refused(reported: Reported, tmp_path: Path) -> None:
    shutil.copytree(reported.model, tmp_path / "other")
    facts = json.loads((tmp_path / "other" / "model.json").read_text())
    facts["classes"][0]["name"] = "something else"
    (tmp_path / "other" / "model.json").write_text(json.dumps(facts))
    with pytest.raises(ModelError, match=r"something else.*are not those of the map"):
        write_report(reported.map, tmp_path / "other", tmp_path / "report.html")


def test_another_model_of_the_same_classes_is_told(reported: Reported, tmp_path: Path) -> None:
    write_report(reported.map, reported.kept, tmp_path / "report.html")
    assert "name another model of the same classes" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "name another model" not in reported.page


@pytest.mark.parametrize("moved", [0.5, 30.0 * 20])
def test_a_scene_of_another_grid_is_refused(reported: Reported, tmp_path: Path, moved: float) -> None:
    from affine import Affine

    made, transform = reported.made, Affine(30.0, 0.0, 365_000.0 + moved, 0.0, -30.0, 5_808_000.0)
    other = write_geotiff(tmp_path / "other.tif", made.values, made.nm, scale=SCALE, nodata=NODATA, transform=transform)
    with pytest.raises(GridError, match="does not lie on its pixels"):
        write_report(reported.map, reported.model, tmp_path / "report.html", scene=open_source(other))


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"scores": 3, "names": []}'])
@pytest.mark.parametrize("which", ["evaluation", "accuracy"])
def test_files_of_other_kinds_are_refused(reported: Reported, tmp_path: Path, which: str, text: str) -> None:
    (tmp_path / "some.json").write_text(text)
    with pytest.raises(OptionError, match=r"some\.json"):
        write_report(reported.map, reported.model, tmp_path / "report.html", **{which: tmp_path / "some.json"})
    with pytest.raises(OptionError, match=r"none\.json: it cannot be read"):
        write_report(reported.map, reported.model, tmp_path / "report.html", **{which: tmp_path / "none.json"})


def test_a_network_has_its_training_curve_and_its_parameters_counted(reported: Reported, tmp_path: Path) -> None:
    shutil.copytree(reported.model, tmp_path / "network")
    facts = json.loads((tmp_path / "network" / "model.json").read_text())
    facts["options"] |= {"parameters": 12523, "parameters_tuned": 947}
    facts["history"] = {"loss": [2.0, 1.0, 0.5], "validation loss": [2.5, None, 0.75]}
    (tmp_path / "network" / "model.json").write_text(json.dumps(facts))
    write_report(reported.map, tmp_path / "network", tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "#training" in [attributes["href"] for attributes in page.all("a")]
    assert "947 of 12,523 (7.6 %)" in page.text and "parameters tuned" not in page.text
    assert any("loss from 2 to 0.5; validation loss from 2.5 to 0.75" in attributes["alt"] for attributes in page.all("img"))
    assert "training" not in [attributes.get("id") for attributes in Page(reported.page).all("section")]


def test_areas_of_another_map_are_told(reported: Reported, tmp_path: Path) -> None:
    found = area_accuracy(np.eye(3, dtype=int) * 20 + 1, [1000, 2000, 1500], HOSTILE, 0.09)
    assert found.hectares is not None
    document = {"map": "older.tif", "points": 69, "unit": "ha", **found.to_json(), "area": found.hectares.to_json(), "notes": ["By strata"]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    write_report(reported.map, reported.model, tmp_path / "report.html", accuracy=tmp_path / "a.json")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "are those of the map older.tif" in page.text and "By strata." in page.text
    assert float(found.hectares.value[0]) in page.values and float(found.overall.half_width) in page.values


def test_an_older_model_folder_says_what_it_does_not_keep(reported: Reported, tmp_path: Path) -> None:
    shutil.copytree(reported.model, tmp_path / "older")
    facts = json.loads((tmp_path / "older" / "model.json").read_text())
    for name in ("tested_scenes", "calibration", "fitted"):
        facts["training"].pop(name)
    (tmp_path / "older" / "model.json").write_text(json.dumps(facts))
    write_report(reported.map, tmp_path / "older", tmp_path / "report.html", scene=open_source(reported.scene))
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    for said in ("does not keep the test pixels apart", "does not keep their labels", "No reliability diagram"):
        assert said in text
    facts.pop("training")
    (tmp_path / "older" / "model.json").write_text(json.dumps(facts))
    write_report(reported.map, tmp_path / "older", tmp_path / "report.html", overwrite=True)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Nothing is known of what it is worth" in text and "does not say how the labels were split" in text
