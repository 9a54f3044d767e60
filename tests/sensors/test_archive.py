"""Deliveries: what is found in folders and archives, and what is refused."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from hsikit.errors import SceneError
from hsikit.sensors import archive
from hsikit.sensors.archive import Delivery, parse_xml


def zipped(path: Path, files: dict[str, bytes], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", **options) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


def tarred(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as file:
        for info, data in members:
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("kind", ["folder", "zip", "tar", "file"])
def test_every_kind_of_delivery_finds_and_reads(tmp_path: Path, kind: str) -> None:
    files = {"A_MTL.txt": b"GROUP = X", "b1.tif": b"II*\0"}
    if kind == "zip":
        path = zipped(tmp_path / "p.zip", {f"top/{name}": data for name, data in files.items()})
    elif kind == "tar":
        path = tarred(tmp_path / "p.tar", [(tarfile.TarInfo(f"top/{name}"), data) for name, data in files.items()])
    else:
        folder = tmp_path / "top"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        path = tmp_path if kind == "folder" else folder / "b1.tif"
    delivery = Delivery(path)
    assert delivery.kind == kind
    name = delivery.need(r"a_mtl\.(txt|json)", "its metadata")
    assert delivery.text(name) == "GROUP = X"
    assert delivery.all(r".*\.tif") == [name.replace("A_MTL.txt", "b1.tif")]
    assert delivery.find("nothing") is None
    assert delivery.gdal(name).endswith("A_MTL.txt")
    assert delivery.gdal(name).startswith(f"/vsi{kind}/") == (kind in ("zip", "tar"))
    assert all(file.exists() for file in delivery.files([name]))
    with pytest.raises(SceneError, match="lacks its pixels"):
        delivery.need(r"pixels\.bin", "its pixels")


@pytest.mark.parametrize("name", ["../evil.xml", "/etc/passwd", "a/../../b.xml", "C:\\evil.xml", "..\\evil.xml", "a}/b.xml"])
def test_names_that_lead_outside_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SceneError, match="leads outside"):
        _ = Delivery(zipped(tmp_path / "p.zip", {name: b"x"})).names
    with pytest.raises(SceneError, match="leads outside"):
        _ = Delivery(tarred(tmp_path / "p.tar", [(tarfile.TarInfo(name), b"x")])).names


def test_links_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("secret")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(SceneError, match="link"):
        _ = Delivery(tarred(tmp_path / "p.tar", [(link, b"")])).names
    entry = zipfile.ZipInfo("secret")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as file:
        file.writestr(entry, "/etc/passwd")
    with pytest.raises(SceneError, match="link"):
        _ = Delivery(tmp_path / "p.zip").names


def test_a_link_to_a_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "product"
    folder.mkdir()
    (folder / "loop").symlink_to(tmp_path)
    (folder / "a.xml").write_bytes(b"<a/>")
    assert Delivery(folder).names == ("a.xml",)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "p.zip", {"MTD.xml": b"\0" * 1000}, compression=zipfile.ZIP_DEFLATED)
    data = bytearray(path.read_bytes())
    declared = (1 << 31).to_bytes(4, "little")
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = data.index(mark) + place
        data[at : at + 4] = declared
    path.write_bytes(bytes(data))
    with pytest.raises(SceneError, match="bomb"):
        _ = Delivery(path).names


def test_more_is_never_read_than_metadata_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = zipped(tmp_path / "p.zip", {"MTD.xml": b"x" * 5000})
    with pytest.raises(SceneError, match="larger than"):
        Delivery(path).read("MTD.xml", most=4999)
    assert len(Delivery(path).read("MTD.xml", most=5000)) == 5000
    monkeypatch.setattr(archive, "MOST_FILES", 3)
    many = zipped(tmp_path / "many.zip", {f"{i}.tif": b"" for i in range(4)})
    with pytest.raises(SceneError, match="more than 3 files"):
        _ = Delivery(many).names


def test_damaged_archives_are_named(tmp_path: Path) -> None:
    whole = zipped(tmp_path / "p.zip", {"MTD.xml": os.urandom(3000)}, compression=zipfile.ZIP_DEFLATED).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:-100])
    with pytest.raises(SceneError, match=r"cut\.zip: is no zip archive"):
        _ = Delivery(tmp_path / "cut.zip").names
    spoilt = bytearray(whole)
    spoilt[200:400] = zlib.compress(b"other")[:200].ljust(200, b"\1")
    (tmp_path / "spoilt.zip").write_bytes(bytes(spoilt))
    with pytest.raises(SceneError, match=r"spoilt\.zip"):
        Delivery(tmp_path / "spoilt.zip").read("MTD.xml")
    (tmp_path / "cut.tar").write_bytes(b"x" * 700)
    with pytest.raises(SceneError, match=r"cut\.tar: is no tar archive"):
        _ = Delivery(tmp_path / "cut.tar").names
    (tmp_path / "p.tar.gz").write_bytes(b"\x1f\x8b" + b"x" * 600)
    with pytest.raises(SceneError, match="compressed tar"):
        Delivery(tmp_path / "p.tar.gz")


ENTITY = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>'
LAUGHS = b'<!DOCTYPE a [<!ENTITY b "ha"><!ENTITY c "&b;&b;&b;&b;">]><a>&c;</a>'


@pytest.mark.parametrize("data", [ENTITY, LAUGHS, b'<!DOCTYPE a SYSTEM "http://example.org/a.dtd"><a/>'])
def test_entities_and_document_types_are_refused(data: bytes) -> None:
    with pytest.raises(SceneError, match="never expanded"):
        parse_xml(data, "MTD.xml")


def test_broken_xml_is_named() -> None:
    with pytest.raises(SceneError, match=r"MTD\.xml: is no valid XML"):
        parse_xml(b"<a><b></a>", "MTD.xml")
    with pytest.raises(SceneError, match=r"MTD\.xml: is no valid XML"):
        parse_xml(b'<?xml version="1.0" encoding="nonsense"?><a/>', "MTD.xml")
    assert parse_xml(b"<a><b>1</b></a>", "MTD.xml").findtext("b") == "1"
