"""From S3 to S3: the same pixels as on a disk, by the API, the command line and a batch."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import hsikit
from hsikit.convert.write import write_scene
from hsikit.errors import OptionError, OutputError, SceneError
from hsikit.sensors import open_source
from hsikit.simulate.scene import simulate_scene
from hsikit.writers import remote as writers
from tests.cli.verbs import run
from tests.remote_servers import BUCKET, Traffic, bucket, http_server, keys, put  # noqa: F401  # `bucket` is a fixture


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a scene, a model, and the map of it that was made on the disk."""
    folder = tmp_path_factory.mktemp("remote")
    scene = simulate_scene(folder / "scene.tif", rows=90, cols=70, seed=4, fields=folder / "fields.gpkg")
    model = hsikit.train("svm", str(scene.scene), folder / "fields.gpkg", label_options={"class_field": "class"}, calibrate=False)
    model.save(folder / "model")
    hsikit.run(str(folder / "model"), str(folder / "scene.tif"), folder / "map.tif")
    return folder


def pixels(path: str | Path) -> np.ndarray:
    import rasterio

    with rasterio.open(path) as found:
        return np.asarray(found.read())


def fetched(key: str, to: Path) -> Path:
    from hsikit.geo.remote_files import s3_filesystem

    s3_filesystem().get_file(f"{BUCKET}/{key}", str(to))
    return to


def test_a_scene_on_s3_gives_the_map_of_the_disk(bucket: Traffic, made: Path, tmp_path: Path) -> None:  # noqa: F811
    scene = put(made / "scene.tif", "in/scene.tif")
    report = hsikit.run(str(made / "model"), scene, f"s3://{BUCKET}/out/map.tif")
    assert str(report.files[0]) == f"s3://{BUCKET}/out/map.tif"
    assert {"out/map.tif", "out/map.tif.done.json"} <= keys()
    np.testing.assert_array_equal(pixels(fetched("out/map.tif", tmp_path / "map.tif")), pixels(made / "map.tif"))
    assert not list((tmp_path / "scratch").glob("*/.*.hsikit"))


def test_a_run_that_is_killed_between_put_and_record_is_repaired(bucket: Traffic, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    scene, output = put(made / "scene.tif", "scene.tif"), f"s3://{BUCKET}/map.tif"
    place = writers.record_of(hsikit.geo.remote.place_of(output))

    def refuse(method: str, path: str, key: str) -> int | None:
        return 403 if method == "PUT" and path.endswith(place.name) else None

    bucket.refuse = refuse
    with pytest.raises(OutputError):
        hsikit.run(str(made / "model"), scene, output)
    assert "map.tif" in keys() and place.name not in keys()
    bucket.refuse = lambda method, path, key: None
    hsikit.run(str(made / "model"), scene, output)
    assert place.name in keys()
    np.testing.assert_array_equal(pixels(fetched("map.tif", tmp_path / "map.tif")), pixels(made / "map.tif"))
    with pytest.raises(OutputError, match="exists already"):
        hsikit.run(str(made / "model"), scene, output)


def test_the_command_line_takes_addresses(bucket: Traffic, made: Path) -> None:  # noqa: F811
    scene = put(made / "scene.tif", "scene.tif")
    told = run("info", scene)
    assert told.code == 0 and "rows 90" in told.out
    done = run("classify", scene, "--model", made / "model", "-o", f"s3://{BUCKET}/cli.tif")
    assert done.code == 0, done.err
    assert "cli.tif.done.json" in keys()
    absent = run("info", f"s3://{BUCKET}/absent.tif")
    assert absent.code == 2 and "absent.tif" in absent.err and "Traceback" not in absent.err


@pytest.mark.parametrize("name", ["cube.hdr", "cube.nc", "cube.zarr"])
def test_other_formats_on_s3_have_the_pixels_of_the_disk(bucket: Traffic, made: Path, tmp_path: Path, name: str) -> None:  # noqa: F811
    source = open_source(made / "scene.tif")
    write_scene(source, tmp_path / name)
    source.close()
    for file in tmp_path.iterdir():
        if file.name != "scratch":
            put(file, file.name)
    found, here = hsikit.open_scene(f"s3://{BUCKET}/{name}"), hsikit.open_scene(tmp_path / name)
    np.testing.assert_array_equal(found[:, 10:40, 3:60].values, here[:, 10:40, 3:60].values)
    np.testing.assert_array_equal(found.wavelength, here.wavelength)


def test_a_scene_on_http(made: Path) -> None:
    with http_server(made) as (address, _):
        found = hsikit.open_scene(f"{address}/scene.tif")
        here = hsikit.open_scene(made / "scene.tif")
        np.testing.assert_array_equal(found[:, 10:20, 5:30].values, here[:, 10:20, 5:30].values)
        with pytest.raises(OutputError):
            hsikit.run(str(made / "model"), f"{address}/scene.tif", f"{address}/map.tif")
        with pytest.raises(SceneError, match="absent"):
            hsikit.open_scene(f"{address}/absent.tif")


def test_a_batch_from_s3_to_s3_does_each_scene_once(bucket: Traffic, made: Path, tmp_path: Path) -> None:  # noqa: F811
    from hsikit.batch import read_orders, read_status, run_batch
    from hsikit.batch.collection import write_collection

    scenes = [put(made / "scene.tif", f"in/g{number}.tif") for number in (1, 2)]
    orders = read_orders(scenes, model=str(made / "model"), output=f"s3://{BUCKET}/maps/{{stem}}_map.tif")
    with pytest.raises(OptionError, match="ledger"):
        run_batch(orders)
    outcome = run_batch(orders, ledger=tmp_path / "batch.sqlite")
    assert not outcome.failed, outcome.failed
    assert {"maps/g1_map.tif", "maps/g2_map.tif", "maps/g1_map.tif.done.json"} <= keys()
    np.testing.assert_array_equal(pixels(fetched("maps/g2_map.tif", tmp_path / "g2.tif")), pixels(made / "map.tif"))
    status, page = read_status(tmp_path / "batch.sqlite"), tmp_path / "maps.json"
    assert write_collection(page, status) == 2 and f"s3://{BUCKET}/maps/g1_map.json" in page.read_text()
    bucket.clear()
    assert not run_batch(orders, ledger=tmp_path / "batch.sqlite").failed
    assert not [path for method, path, _ in bucket.sent if method == "PUT"]


SIGNATURE, RENEWED = "X-Amz-Signature=SECRET%2Bb", "X-Amz-Signature=SECRET%2Bc"


@pytest.fixture
def signed(made: Path, tmp_path: Path) -> Iterator[str]:
    """Address of a server that gives `a.tif` and `b.tif` to whoever has a signature."""
    (tmp_path / "served").mkdir()
    for name in ("a.tif", "b.tif"):
        shutil.copy(made / "scene.tif", tmp_path / "served" / name)
    with http_server(tmp_path / "served") as (address, traffic):
        traffic.refuse = lambda method, path, key: None if path.partition("?")[2] in (SIGNATURE, RENEWED) else 403
        yield address


def leaks(folder: Path) -> list[Path]:
    """Files in which the signature stands."""
    return [path for path in folder.rglob("*") if path.is_file() and b"SECRET" in path.read_bytes()]


def test_a_batch_of_signed_addresses_keeps_no_signature(signed: str, made: Path, tmp_path: Path) -> None:
    words = ["--model", made / "model", "-o", tmp_path / "maps" / "{stem}.tif", "--summary", tmp_path / "maps.html"]
    scenes = [f"{signed}/{name}?{SIGNATURE}" for name in ("a.tif", "absent.tif")]
    done = run("batch", *scenes, *words)
    assert done.code == 1 and f"failed: {signed}/absent.tif (classify)" in done.text and "SECRET" not in done.text
    np.testing.assert_array_equal(pixels(tmp_path / "maps" / "a.tif"), pixels(made / "map.tif"))
    assert not leaks(tmp_path) and "SECRET" not in run("batch", "status", tmp_path / "maps").text
    again = run("batch", f"{signed}/a.tif?{RENEWED}", *words)
    assert again.code == 0 and "0 done, 1 were done before" in again.text
    again = run("batch", f"{signed}/absent.tif?{SIGNATURE}", *words, "--dry-run")
    assert "cannot be done" in again.text and "SECRET" not in again.text


def test_signed_addresses_of_items_keep_no_signature(signed: str, made: Path, tmp_path: Path) -> None:
    items = [{"type": "Feature", "id": name, "assets": {"data": {"href": f"{signed}/{name}?{SIGNATURE}"}}} for name in ("a.tif", "b.tif")]
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "items.json").write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    done = run("batch", tmp_path / "lists" / "items.json", "--model", made / "model", "-o", tmp_path / "maps" / "{stem}.tif")
    assert done.code == 0 and "2 done" in done.text and leaks(tmp_path) == [tmp_path / "lists" / "items.json"]


def test_a_plan_of_a_signed_address_keeps_no_signature(signed: str, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    done = run("plan", f"{signed}/a.tif?{SIGNATURE}", "--model", made / "model", "--save-pace", tmp_path / "pace.json")
    assert done.code == 0 and "SECRET" not in done.text
    assert json.loads((tmp_path / "pace.json").read_text())["scene"] == f"{signed}/a.tif" and not leaks(tmp_path)


def test_signed_addresses_on_a_cluster(signed: str, made: Path, tmp_path: Path) -> None:
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    words = ["--model", made / "model", "-o", tmp_path / "maps" / "{stem}.tif", "--cluster", "local", "-j", 1]
    done = run("batch", f"{signed}/a.tif?{SIGNATURE}", *words)
    assert done.code == 0 and "1 done" in done.text and not leaks(tmp_path) and "SECRET" not in done.text
    np.testing.assert_array_equal(pixels(tmp_path / "maps" / "a.tif"), pixels(made / "map.tif"))
