"""The page of a detection: self-contained, safe, equal to its numbers, these to plain NumPy; what it says without truth; and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
from scipy import ndimage
from shapely.geometry import LineString, Point

import hsikit
from hsikit.errors import GridError, HsikitError, LabelError, MapError, OptionError, OutputError
from hsikit.metrics.detection import roc_area_interval, roc_curve
from hsikit.report.mapfile import read_made
from tests.laws.scenes import CRS, NODATA, SCALE, TRANSFORM, write_codes
from tests.products.geotiff import write_geotiff

from .conftest import OBJECTS, ORE, Detected
from .page import Page
from .test_write import numbers_in


@pytest.fixture(autouse=True)
def few_panels(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two pictures of spectra tell as much as twelve, but for the test that compares whole pages."""
    request.getfixturevalue("detected")
    if request.node.name != "test_strips_do_not_show":
        monkeypatch.setattr("hsikit.report.detection.gather.MOST_PANELS", 2)


def report(detected: Detected, name: str, folder: Path, **options: Any) -> tuple[Page, dict[str, Any]]:
    """The page and the numbers of a report of one of the maps."""
    page, numbers = hsikit.write_detection_report(detected.file(f"{name}.tif"), folder / "page.html", overwrite=True, **options)
    return Page(page.read_text(encoding="utf-8")), json.loads(numbers.read_text(encoding="utf-8"))


def scores_of(path: Path) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read()


def test_it_needs_nothing_else_and_is_well_formed(detected: Detected) -> None:
    page = Page(detected.page)
    addresses = [attributes[name] for _, attributes in page.elements for name in ("src", "href", "srcset", "action", "poster") if name in attributes]
    assert addresses and all(address.startswith(("data:image/", "#")) for address in addresses)
    assert not {"script", "link", "iframe", "object", "b"} & {tag for tag, _ in page.elements} and not page.unclosed
    assert not re.search(r"https?://", re.sub(r"data:[^\"]*", "", detected.page))
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    assert {attributes["href"].removeprefix("#") for attributes in page.all("a")} == ids
    assert len(page.all("table")) == len(page.all("caption")) == 3 and all(len(attributes["alt"]) > 15 for attributes in page.all("img"))
    assert page.text.count(ORE) >= 3


def test_the_numbers_are_those_of_run_json(detected: Detected) -> None:
    page = Page(detected.page)
    assert len(page.values) > 20 and set(page.values) <= set(numbers_in(detected.numbers))


def test_what_was_looked_for_and_how(detected: Detected) -> None:
    text, facts = Page(detected.page).text, detected.numbers["made_by"]
    assert facts["method"] == "ace" and facts["targets"] == [ORE] and facts["told"]["shrinkage"] == "0.01"
    assert "all valid pixels" in text and "looking for" in text and "kraut2005" in text
    assert "targets" not in detected.numbers["map"]["parameters"]  # the spectra are drawn, not listed


def test_scores_threshold_and_hits_are_those_of_the_map(detected: Detected) -> None:
    scores = scores_of(detected.file("scores.tif"))[0]
    known, facts = scores[~np.isnan(scores)], detected.numbers["scores"]
    assert (facts["scored"], facts["nodata"]) == (len(known), int(np.isnan(scores).sum()))
    assert facts["counts"] == np.histogram(known, facts["edges"])[0].tolist() and sum(facts["counts"]) == len(known)
    assert facts["targets"] == np.histogram(scores[(detected.planted == 1) & ~np.isnan(scores)], facts["edges"])[0].tolist()
    threshold = np.sort(known.clip(0))[::-1][int(0.006 * len(known))]
    assert facts["threshold"] == threshold and facts["above"] == int((known > threshold).sum())
    labels, count = ndimage.label(np.nan_to_num(scores, nan=-9) > threshold, np.ones((3, 3)))
    found = detected.numbers["found"]
    assert found["count"] == count and found["source"] == "file"
    peaks = ndimage.maximum(scores, labels, np.arange(1, count + 1))
    assert [hit["score"] for hit in found["listed"]] == pytest.approx(sorted(peaks, reverse=True)[:20], abs=1e-7)
    for hit in found["listed"]:
        assert scores[hit["row"], hit["col"]] == pytest.approx(hit["score"], rel=1e-6)
        assert hit["pixels"] == int((labels == labels[hit["row"], hit["col"]]).sum())


def test_the_worth_is_that_of_the_whole_arrays(detected: Detected) -> None:
    scores, worth = scores_of(detected.file("scores.tif"))[0], detected.numbers["worth"]
    target = detected.planted == 1
    curve, own = roc_curve(scores, target), worth["rows"][0]
    assert (worth["targets"], worth["background"], worth["objects"]) == (curve.targets, curve.background, len(OBJECTS))
    assert own["area"] == pytest.approx(curve.area, abs=1e-12) and own["average_precision"] == pytest.approx(curve.average_precision, abs=1e-12)
    assert own["at"] == [curve.detection_at(1e-3), curve.detection_at(1e-4)]
    assert own["interval"] == pytest.approx(roc_area_interval(scores, target), abs=1e-12)
    above = np.nan_to_num(scores, nan=-9) > detected.numbers["scores"]["threshold"]
    assert worth["pixels_found"] == int((above & target).sum()) and worth["false_alarms"] == int((above & ~target).sum())
    labels = ndimage.label(target, np.ones((3, 3)))[0]
    assert worth["objects_found"] == len(set(labels[above & target].tolist()))


def test_the_floor_is_the_spectral_angle(detected: Detected) -> None:
    made, worth = detected.made, detected.numbers["worth"]
    scores = scores_of(detected.file("scores.tif"))[0]
    with rasterio.open(detected.scene) as file:
        stored = file.read().astype(np.float64)
    # Missing bands are interpolated along the wavelength, as the engine does.
    cube = np.where(stored == NODATA, np.nan, stored * SCALE).reshape(len(made.nm), -1)
    for pixel in np.flatnonzero(np.isnan(cube).any(0) & ~np.isnan(scores.ravel())):
        gap = np.isnan(cube[:, pixel])
        cube[gap, pixel] = np.interp(made.nm[gap], made.nm[~gap], cube[~gap, pixel])
    line = next(line for line in detected.numbers["lines"] if line["kind"] == "target")
    target = np.array(line["values"], np.float64)
    cosine = (target @ cube / (np.linalg.norm(target) * np.linalg.norm(cube, axis=0))).reshape(scores.shape)
    cosine[np.isnan(scores)] = np.nan
    floor = worth["rows"][1]
    assert floor["name"] == "spectral-angle" and floor["floor"]
    assert floor["area"] == pytest.approx(roc_curve(cosine, detected.planted == 1).area, abs=2e-5)


def test_spectra_are_those_of_the_scene_and_of_the_target(detected: Detected) -> None:
    from hsikit.sensors import open_source
    from hsikit.targets import read_targets

    lines, listed = detected.numbers["lines"], detected.numbers["found"]["listed"]
    known = read_targets(open_source(detected.scene), detected.library, names=[ORE])
    target = next(line for line in lines if line["kind"] == "target")
    assert target["name"] == ORE
    np.testing.assert_allclose(np.array(target["values"], float), known.values[0], rtol=1e-6)
    first = next(line for line in lines if line["kind"] == "hit")
    stored = detected.made.values[:, listed[0]["row"], listed[0]["col"]].astype(float)
    seen = stored != NODATA
    np.testing.assert_allclose(np.array(first["values"], float)[seen], stored[seen] * SCALE, rtol=1e-5)


def test_hits_are_found_again_without_their_file(detected: Detected, tmp_path: Path) -> None:
    _, again = report(detected, "scores", tmp_path, scene=detected.scene)
    file, own = detected.numbers["found"], again["found"]
    assert own["source"] == "map" and own["count"] == file["count"]
    assert [(hit["row"], hit["col"], hit["pixels"]) for hit in own["listed"]] == [(hit["row"], hit["col"], hit["pixels"]) for hit in file["listed"]]


def test_without_truth_it_says_that_nothing_is_known_of_misses(detected: Detected, tmp_path: Path) -> None:
    page, numbers = report(detected, "scores", tmp_path)
    assert numbers["worth"] is None and "Nothing is known of how many were missed" in page.text
    assert "the scene was not given" in page.text and numbers["lines"] == []
    assert len(page.all("img")) == 2 and "ROC" not in page.text.split("Provenance")[0].replace("With truth", "")


def test_a_map_without_a_threshold_has_no_hits(detected: Detected, tmp_path: Path) -> None:
    page, numbers = report(detected, "plain", tmp_path, truth=detected.file("truth.tif"))
    assert numbers["scores"]["threshold"] is None and numbers["found"]["source"] == "none" and numbers["worth"]["objects_found"] is None
    assert "made without a threshold" in page.text and "the scene was not given, from which spectral-angle" in page.text
    with pytest.raises(OptionError, match="was made without a threshold"):
        report(detected, "plain", tmp_path, hits=detected.file("scores_hits.gpkg"))


def test_anomalies_stand_beside_the_scenes_mean(detected: Detected, tmp_path: Path) -> None:
    page, numbers = report(detected, "rx", tmp_path, scene=detected.scene, truth=detected.file("truth.tif"))
    kinds = [line["kind"] for line in numbers["lines"]]
    assert kinds.count("mean") == 1 and "target" not in kinds and "beside the scene's mean" in page.text
    assert [row["name"] for row in numbers["worth"]["rows"]] == ["rx"] and "itself the floor" in page.text
    mean = np.array(next(line for line in numbers["lines"] if line["kind"] == "mean")["values"], float)
    stored = detected.made.values.astype(float)
    stored[stored == NODATA] = np.nan
    np.testing.assert_allclose(mean, np.nanmean(stored.reshape(len(stored), -1), axis=1) * SCALE, rtol=0.02)


def test_of_several_targets_the_one_that_a_hit_is_most_like(detected: Detected, tmp_path: Path) -> None:
    page, numbers = report(detected, "both", tmp_path, scene=detected.scene, truth=detected.file("truth.tif"))
    scores = scores_of(detected.file("both.tif"))
    for hit in numbers["found"]["listed"]:
        assert hit["like"] == (ORE, "flat")[int(scores[:, hit["row"], hit["col"]].argmax())]
    assert numbers["worth"]["rows"][0]["area"] == pytest.approx(roc_curve(scores.max(0), detected.planted).area, abs=1e-12)
    assert "by the highest of its scores" in page.text


def test_mixtures_are_ranked_by_abundance_over_infeasibility(detected: Detected, tmp_path: Path) -> None:
    _, numbers = report(detected, "mixture", tmp_path, scene=detected.scene, hits=detected.file("mixture_hits.gpkg"), truth=detected.file("truth.tif"))
    abundance, infeasible = (scores_of(detected.file(name))[0].astype(float) for name in ("mixture.tif", "mixture_infeasibility.tif"))
    ranked = abundance / np.maximum(infeasible, 1)
    assert numbers["scores"]["ranked"] and numbers["scores"]["highest"] == pytest.approx(np.nanmax(ranked), rel=1e-6)
    assert numbers["worth"]["rows"][0]["area"] == pytest.approx(roc_curve(ranked.astype(np.float32), detected.planted).area, abs=1e-12)
    for name in ("mixture.tif", "mixture.json"):
        shutil.copy(detected.file(name), tmp_path / name)
    hsikit.write_detection_report(tmp_path / "mixture.tif", tmp_path / "page.html", overwrite=True)
    assert json.loads((tmp_path / "run.json").read_text())["scores"]["threshold"] is None  # without that layer nothing is guessed


def test_truth_as_polygons_is_that_of_the_raster(detected: Detected, tmp_path: Path) -> None:
    _, numbers = report(detected, "scores", tmp_path, truth=detected.file("truth.gpkg"))
    inside = np.zeros(detected.planted.shape, bool)
    for row, col, side in OBJECTS:
        inside[row : row + side, col : col + side] = True
    scores, worth = scores_of(detected.file("scores.tif"))[0], numbers["worth"]
    assert worth["kind"] == "polygons" and worth["objects"] == len(OBJECTS)
    assert worth["rows"][0]["area"] == pytest.approx(roc_curve(scores, inside).area, abs=1e-12)
    assert worth["unscored"] == int((inside & np.isnan(scores)).sum())


def test_a_point_names_one_pixel_and_its_neighbours_are_unknown(detected: Detected, tmp_path: Path) -> None:
    page, numbers = report(detected, "scores", tmp_path, truth=detected.file("points.gpkg"))
    scores = scores_of(detected.file("scores.tif"))[0].copy()
    target = np.zeros(scores.shape, bool)
    for row, col, _ in OBJECTS:
        around = scores[row - 1 : row + 2, col - 1 : col + 2]
        own = around[1, 1]
        around[...], around[1, 1], target[row, col] = np.nan, own, True
    worth = numbers["worth"]
    assert worth["kind"] == "points" and "the eight around each are not scored" in page.text
    assert worth["rows"][0]["area"] == pytest.approx(roc_curve(scores, target).area, abs=1e-12)
    assert worth["background"] == int((~np.isnan(scores) & ~target).sum())


def test_the_pixels_of_the_target_are_not_scored(detected: Detected, tmp_path: Path) -> None:
    from hsikit.sensors import open_source
    from hsikit.targets import read_targets

    pixels = [(30, 40), (31, 41)]
    targets = read_targets(open_source(detected.scene), pixels=pixels)
    hsikit.run(hsikit.make_method("ace", targets=targets, pfa=0.006), detected.scene, tmp_path / "own.tif")
    own = {"scene": detected.scene, "truth": detected.file("truth.tif"), "overwrite": True}
    page, _ = hsikit.write_detection_report(tmp_path / "own.tif", tmp_path / "page.html", **own)
    assert "was taken from pixels of this scene" in page.read_text(encoding="utf-8")
    page, numbers = hsikit.write_detection_report(tmp_path / "own.tif", tmp_path / "page.html", pixels=pixels, **own)
    worth, scores = json.loads(numbers.read_text())["worth"], scores_of(tmp_path / "own.tif")[0]
    scores[tuple(np.transpose(pixels))] = np.nan
    assert (
        worth["taken"] == 2
        and worth["objects"] == len(OBJECTS)
        and worth["rows"][0]["area"] == pytest.approx(roc_curve(scores, detected.planted).area, abs=1e-12)
    )
    assert "was taken from pixels of this scene" not in page.read_text(encoding="utf-8")


def test_a_single_object_has_no_interval(detected: Detected, tmp_path: Path) -> None:
    one = np.where(np.arange(60) < 30, detected.planted, 0)
    one[:40] = 0
    write_codes(tmp_path / "one.tif", one)
    page, numbers = report(detected, "scores", tmp_path, truth=tmp_path / "one.tif")
    assert numbers["worth"]["objects"] == 1 and numbers["worth"]["rows"][0]["interval"] is None
    assert "a single object" in page.text and "At a rate of 0.0001 not one of" in page.text


def test_strips_do_not_show(detected: Detected, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from hsikit.assess import map_raster

    monkeypatch.setattr(map_raster, "STRIP_PIXELS", 60)
    monkeypatch.setattr(map_raster, "BLOCK_PIXELS", 1)
    given = {"scene": detected.scene, "hits": detected.file("scores_hits.gpkg"), "truth": detected.file("truth.tif")}
    page, numbers = report(detected, "scores", tmp_path, **given)
    whole = {key: value for key, value in detected.numbers.items() if key not in ("created", "report")}
    assert {key: value for key, value in numbers.items() if key not in ("created", "report")} == whole
    assert [attributes["src"] for attributes in page.all("img")] == [attributes["src"] for attributes in Page(detected.page).all("img")]


def test_maps_without_georeference_and_as_envi(detected: Detected, tmp_path: Path) -> None:
    from hsikit.geo.grid import Grid
    from hsikit.scene import Decoding
    from hsikit.sensors import open_source
    from hsikit.sensors.array import ArraySource
    from hsikit.targets import read_targets

    source = open_source(detected.scene)
    plain = ArraySource(detected.made.values, source.info.with_(grid=Grid(source.info.grid.shape), nodata=NODATA), Decoding(SCALE, 0.0, NODATA))
    method = hsikit.make_method("ace", targets=read_targets(plain, detected.library, names=[ORE]), pfa=0.006)
    hsikit.run(method, plain, tmp_path / "scores.hdr", named={"hits": tmp_path / "hits.gpkg"})
    with rasterio.open(tmp_path / "truth.tif", "w", driver="GTiff", width=60, height=64, count=1, dtype="uint8") as file:
        file.write(detected.planted, 1)
    given = {"hits": tmp_path / "hits.gpkg", "truth": tmp_path / "truth.tif", "scene": plain}
    _, path = hsikit.write_detection_report(tmp_path / "scores.hdr", tmp_path / "page.html", **given)
    numbers = json.loads(path.read_text())
    assert not numbers["map"]["georeferenced"] and numbers["scores"]["threshold"] == detected.numbers["scores"]["threshold"]
    assert [(hit["row"], hit["col"]) for hit in numbers["found"]["listed"]] == [(hit["row"], hit["col"]) for hit in detected.numbers["found"]["listed"]]
    assert numbers["worth"]["rows"] == detected.numbers["worth"]["rows"]


def test_large_maps_are_shown_by_their_highest_pixels(detected: Detected, monkeypatch: pytest.MonkeyPatch) -> None:
    from hsikit.report.detection import scores as module

    monkeypatch.setattr(module, "MOST_SHOWN", 20)
    with module.open_scores(detected.file("scores.tif")) as opened:
        small = opened.picture()
    scores = np.nan_to_num(scores_of(detected.file("scores.tif"))[0], nan=-np.inf)
    padded = np.pad(scores, ((0, 0), (0, 0)), constant_values=-np.inf).reshape(16, 4, 15, 4).max((1, 3))
    np.testing.assert_array_equal(np.nan_to_num(small, nan=-np.inf), padded)


def learned(detected: Detected, folder: Path) -> None:
    """A map of a model's objects, and their boxes."""
    with rasterio.open(detected.file("scores.tif")) as file:
        scores, profile, tags = file.read(), file.profile, file.tags()
    told = {"hsikit_method": "specdetr", "least": "0.3", "classes": "van, pool", "hsikit_layer": "scores", "layer": "scores"}
    with rasterio.open(folder / "objects.tif", "w", **profile) as file:
        file.write(scores)
        file.update_tags(**{**{key: text for key, text in tags.items() if key.startswith("hsikit")}, **told})
    hits = geopandas.read_file(detected.file("scores_hits.gpkg")).head(2).drop(columns=["peak", "pixels"])
    hits.assign(score=[0.9, 0.4], **{"class": ["van", "pool"]}).to_file(folder / "boxes.gpkg")


def test_objects_of_a_model_are_those_of_its_file(detected: Detected, tmp_path: Path) -> None:
    learned(detected, tmp_path)
    given = {"scene": detected.scene, "truth": detected.file("truth.tif"), "overwrite": True}
    path, numbers = hsikit.write_detection_report(tmp_path / "objects.tif", tmp_path / "page.html", hits=tmp_path / "boxes.gpkg", **given)
    page, told = Page(path.read_text(encoding="utf-8")), json.loads(numbers.read_text())
    assert [(hit["score"], hit["like"], hit["pixels"]) for hit in told["found"]["listed"]] == [(0.9, "van", None), (0.4, "pool", None)]
    assert "objects of the classes van, pool" in page.text and "2 objects of a score of 0.3 or more" in page.text and "has no spectrum of its own" in page.text
    path, _ = hsikit.write_detection_report(tmp_path / "objects.tif", tmp_path / "page.html", **given)
    assert "lie in its own file" in path.read_text(encoding="utf-8")


def test_maps_of_swaths_say_that_they_were_put_in_place(tmp_path: Path) -> None:
    from tests.products.emit import reflectance

    (tmp_path / "product").mkdir()
    product = reflectance(tmp_path / "product").path
    hsikit.run(hsikit.make_method("subspace-rx", components=3, pfa=0.05), product, tmp_path / "map.tif", named={"hits": tmp_path / "hits.gpkg"})
    page, numbers = hsikit.write_detection_report(tmp_path / "map.tif", tmp_path / "page.html", hits=tmp_path / "hits.gpkg")
    assert "put in place from the sensor's own grid" in Page(page.read_text(encoding="utf-8")).text
    assert json.loads(numbers.read_text())["found"]["count"] == len(geopandas.read_file(tmp_path / "hits.gpkg")) > 0
    with pytest.raises(GridError, match=r"lies on the sensor's own grid.*hsikit orthorectify"):
        hsikit.write_detection_report(tmp_path / "map.tif", tmp_path / "page.html", scene=product, overwrite=True)


def refused(detected: Detected, tmp_path: Path, kind: type[HsikitError], said: str, name: str = "scores", **options: Any) -> None:
    with pytest.raises(kind, match=said):
        hsikit.write_detection_report(detected.file(f"{name}.tif"), tmp_path / "page.html", **options)
    assert not (tmp_path / "page.html").exists()


def test_hits_of_another_run_are_refused(detected: Detected, tmp_path: Path) -> None:
    refused(detected, tmp_path, OptionError, "another run", hits=detected.file("rx_hits.gpkg"))
    refused(detected, tmp_path, OptionError, "another run", "rx", hits=detected.file("scores_hits.gpkg"))
    hits = geopandas.read_file(detected.file("scores_hits.gpkg"))
    hits.assign(peak=hits["peak"] * 0.999).to_file(tmp_path / "near.gpkg")
    refused(detected, tmp_path, OptionError, "another run", hits=tmp_path / "near.gpkg")
    hits.to_crs(32632).to_file(tmp_path / "zone.gpkg")
    refused(detected, tmp_path, GridError, "CRS is not that of the map", hits=tmp_path / "zone.gpkg")
    hits.set_geometry(hits.translate(1e5)).to_file(tmp_path / "far.gpkg")
    refused(detected, tmp_path, GridError, "outside of the map", hits=tmp_path / "far.gpkg")


def test_files_that_are_no_hits_are_refused(detected: Detected, tmp_path: Path) -> None:
    refused(detected, tmp_path, OptionError, "is no file of hits", hits=detected.file("points.gpkg"))
    refused(detected, tmp_path, OptionError, "these are points", hits=detected.file("truth.gpkg"))
    refused(detected, tmp_path, OptionError, "cannot be read as hits", hits=detected.file("minerals.csv"))
    refused(detected, tmp_path, OptionError, "does not exist", hits=tmp_path / "none.gpkg")


def test_hits_as_geojson_are_read(detected: Detected, tmp_path: Path) -> None:
    geopandas.read_file(detected.file("scores_hits.gpkg")).to_crs(4326).to_file(tmp_path / "hits.geojson", RFC7946="YES")
    _, numbers = report(detected, "scores", tmp_path, hits=tmp_path / "hits.geojson")
    assert numbers["found"]["count"] == detected.numbers["found"]["count"]


def test_a_choice_of_the_hits_is_told(detected: Detected, tmp_path: Path) -> None:
    geopandas.read_file(detected.file("scores_hits.gpkg")).head(3).to_file(tmp_path / "some.gpkg")
    page, numbers = report(detected, "scores", tmp_path, hits=tmp_path / "some.gpkg")
    groups = detected.numbers["found"]["count"]
    assert (numbers["found"]["count"], numbers["found"]["groups"]) == (3, groups) and f"holds 3 of the {groups} groups" in page.text
    assert "some.gpkg holds" not in Page(detected.page).text


def test_a_map_without_scores_is_refused(detected: Detected, tmp_path: Path) -> None:
    with rasterio.open(detected.file("rx.tif")) as file:
        values, profile, tags = file.read(), file.profile, file.tags()
    with rasterio.open(tmp_path / "empty.tif", "w", **profile) as file:
        file.write(np.full_like(values, np.nan))
        file.update_tags(**tags)
    with pytest.raises(MapError, match=r"empty\.tif: no pixel has a score"):
        hsikit.write_detection_report(tmp_path / "empty.tif", tmp_path / "page.html")


def test_a_scene_of_another_grid_is_refused(detected: Detected, tmp_path: Path) -> None:
    from affine import Affine

    step, _, left, _, _, top = TRANSFORM
    made = detected.made
    write_geotiff(tmp_path / "other.tif", made.values, made.nm, scale=SCALE, nodata=NODATA, transform=Affine(step, 0, left + step / 2, 0, -step, top))
    refused(detected, tmp_path, GridError, "does not lie on its pixels", scene=tmp_path / "other.tif")
    write_geotiff(tmp_path / "few.tif", made.values[:30], made.nm[:30], scale=SCALE, nodata=NODATA)
    refused(detected, tmp_path, MapError, r"few\.tif: has 30 bands, and the map .* was made of band 40", scene=tmp_path / "few.tif")


def test_truth_that_cannot_be_used_is_refused(detected: Detected, tmp_path: Path) -> None:
    from affine import Affine

    write_codes(tmp_path / "nothing.tif", np.zeros((64, 60), np.uint8))
    refused(detected, tmp_path, LabelError, r"nothing\.tif: none of the scored pixels is a target", truth=tmp_path / "nothing.tif")
    write_codes(tmp_path / "all.tif", np.ones((64, 60), np.uint8))
    refused(detected, tmp_path, LabelError, r"all\.tif: none of the scored pixels is background", truth=tmp_path / "all.tif")
    write_codes(tmp_path / "moved.tif", detected.planted, transform=Affine(30, 0, TRANSFORM[2] + 15, 0, -30, TRANSFORM[5]))
    refused(detected, tmp_path, GridError, "does not lie on its pixels", truth=tmp_path / "moved.tif")
    away = geopandas.GeoDataFrame(geometry=[Point(0, 0)], crs=CRS)
    away.to_file(tmp_path / "away.gpkg")
    refused(detected, tmp_path, LabelError, "none of its 1 objects lies on the map", truth=tmp_path / "away.gpkg")
    geopandas.GeoDataFrame(geometry=[LineString([(0, 0), (1, 1)])], crs=CRS).to_file(tmp_path / "lines.gpkg")
    refused(detected, tmp_path, LabelError, "holds lines", truth=tmp_path / "lines.gpkg")
    away.set_crs(None, allow_override=True).to_file(tmp_path / "nowhere.gpkg")
    refused(detected, tmp_path, GridError, "has no CRS, and the map has one", truth=tmp_path / "nowhere.gpkg")
    refused(detected, tmp_path, LabelError, "cannot be read as truth", truth=detected.library)
    refused(detected, tmp_path, LabelError, "does not exist", truth=tmp_path / "none.tif")


def test_other_maps_and_targets_are_refused(detected: Detected, reported: Any, tmp_path: Path) -> None:
    with pytest.raises(MapError, match="holds the layer 'map', not scores"):
        hsikit.write_detection_report(reported.map, tmp_path / "page.html")
    with pytest.raises(MapError, match="does not say that it holds scores"):
        hsikit.write_detection_report(detected.file("truth.tif"), tmp_path / "page.html")
    refused(detected, tmp_path, OptionError, "flat, and .* was made for", scene=detected.scene, target=detected.library, names=["flat"])
    refused(detected, tmp_path, OptionError, "looks for no target", "rx", scene=detected.scene, target=detected.library)
    refused(detected, tmp_path, OptionError, "no scene whose bands", target=detected.library)
    with pytest.raises(OutputError):
        hsikit.write_detection_report(detected.file("scores.tif"), tmp_path / "page.pdf")


def test_the_users_target_is_that_of_the_map(detected: Detected, tmp_path: Path) -> None:
    shutil.copy(detected.file("scores.tif"), tmp_path / "alone.tif")  # without the file that knows the spectrum
    given = {"scene": detected.scene, "truth": detected.file("truth.tif"), "overwrite": True}
    _, path = hsikit.write_detection_report(tmp_path / "alone.tif", tmp_path / "page.html", **given)
    numbers = json.loads(path.read_text())
    assert len(numbers["worth"]["rows"]) == 1 and "does not say which spectrum" in numbers["worth"]["no_floor"]
    _, path = hsikit.write_detection_report(tmp_path / "alone.tif", tmp_path / "page.html", target=detected.library, names=["ore"], **given)
    numbers = json.loads(path.read_text())
    assert numbers["worth"]["rows"][1]["area"] == pytest.approx(detected.numbers["worth"]["rows"][1]["area"], abs=1e-6)


def test_a_map_says_what_it_holds(detected: Detected, reported: Any) -> None:
    assert read_made(detected.file("rx.tif")).holds("scores") and not read_made(reported.map).holds("scores")
