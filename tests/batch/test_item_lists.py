"""STAC item collections and YAML files as lists of scenes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hsikit.batch.job_files import read_orders
from hsikit.errors import OptionError


def item(name: str, **assets: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "stac_version": "1.0.0", "id": name, "assets": assets}


def write(path: Path, *items: dict[str, Any]) -> str:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": items}))
    return str(path)


def scenes(jobs: list[str], **more: Any) -> list[str]:
    return [order.scene[0] for order in read_orders(jobs, task="anomaly", output="maps/{stem}.tif", **more)]


def test_assets_by_role_by_name_and_alone(tmp_path: Path) -> None:
    look = {"href": "a.png", "roles": ["thumbnail"]}
    path = write(
        tmp_path / "lists" / "items.json", item("a", look=look, cube={"href": "../a.tif", "roles": ["data"]}),
        item("b", rfl={"href": "https://host/b.nc", "roles": ["reflectance"]}, look=look), item("c", only={"href": "file:///c%20d.tif"}),
    )  # fmt: skip
    assert scenes([path]) == [str(tmp_path / "lists" / ".." / "a.tif"), "https://host/b.nc", "/c d.tif"]
    one = tmp_path / "one.geojson"
    one.write_text(json.dumps(item("a", x={"href": "x.tif", "roles": ["data"]}, y={"href": "y.tif", "roles": ["data"]})))
    assert scenes([str(one)], asset="y") == [str(tmp_path / "y.tif")]
    with pytest.raises(OptionError, match=r"item 'a': it does not say which asset is the scene: x, y\. Choose one by its name with --asset"):
        scenes([str(one)])


@pytest.mark.parametrize(
    ("document", "wrong"),
    [
        ("{", "not JSON"), ("[]", "no collection of STAC items"), ('{"type": "Collection"}', "no collection of STAC items"),
        ('{"type": "FeatureCollection", "features": [1]}', "no collection of STAC items"), ('{"type": "Feature", "id": "z"}', "'z': it has no asset"),
        ('{"type": "FeatureCollection", "features": []}', "no scenes in it"), ('{"type": "Feature", "assets": {"a": {"href": 3}}}', "1: it has no asset"),
    ],
)  # fmt: skip
def test_what_is_no_item_collection(document: str, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "l.json").write_text(document)
    with pytest.raises(OptionError, match=wrong):
        scenes([str(tmp_path / "l.json")])


def test_assets_that_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "l.json", item("a", cube={"href": "a.tif"}))
    with pytest.raises(OptionError, match=r"has no asset 'rfl'\. Its assets are: cube"):
        scenes([path], asset="rfl")
    with pytest.raises(OptionError, match="only a STAC item collection has assets"):
        scenes(["a.tif"], asset="rfl")
    with pytest.raises(OptionError, match="cannot be read"):
        scenes([str(tmp_path / "none.json")])


def test_yaml_says_what_toml_says(tmp_path: Path) -> None:
    (tmp_path / "j.toml").write_text('scenes = ["a.tif"]\noutput = "m/{stem}_{task}.tif"\nmask = ["cloud"]\n[anomaly]\npfa = 1e-4\n[[scene]]\npath = "b.tif"\n')
    (tmp_path / "j.yaml").write_text('scenes: [a.tif]\noutput: "m/{stem}_{task}.tif"\nmask: [cloud]\nanomaly:\n  pfa: 1.0e-4\nscene:\n  - path: b.tif\n')
    assert read_orders([tmp_path / "j.yaml"]) == read_orders([tmp_path / "j.toml"]) and len(read_orders([tmp_path / "j.yaml"])) == 2


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("- a.tif", "no table of names"), ("1: 2", "no table of names"), ("a: [", "not YAML"), ("", "no table of names"), ("when: 2024-99-99", "not YAML"),
        ("anomaly: !!python/object/apply:os.getcwd []", "not YAML"), ("scenes: [a.tif]", "has no task"), ("hunt: {}", r"\[hunt\] is no task"),
    ],
)  # fmt: skip
def test_what_is_no_yaml_list(text: str, wrong: str, tmp_path: Path) -> None:
    (tmp_path / "j.yml").write_text(text)
    with pytest.raises(OptionError, match=wrong):
        read_orders([tmp_path / "j.yml"])


def test_relative_addresses_are_decoded_unless_a_file_is_called_so(tmp_path: Path) -> None:
    (tmp_path / "50%25.tif").touch()
    path = write(tmp_path / "l.json", item("a", a={"href": "sp%20ace/x.tif"}), item("b", b={"href": "./50%25.tif"}), item("c", c={"href": "caf%C3%A9%23.tif"}))
    assert scenes([path]) == [str(tmp_path / name) for name in ("sp ace/x.tif", "50%25.tif", "café#.tif")]
