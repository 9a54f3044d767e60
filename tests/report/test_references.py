"""References: whole BibTeX, one for each method, and hsikit as its citation file says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hsikit.registry import METHODS
from hsikit.report.references import DETECTORS, HSIKIT, OF_METHOD, WORKS, bibliography, cited

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("key", WORKS)
def test_an_entry_is_whole(key: str) -> None:
    text = WORKS[key].bibtex()
    assert text.count("{") == text.count("}") and text.startswith(f"@{WORKS[key].kind}{{{key},\n") and text.endswith("\n}")
    names = re.findall(r"^  (\w+) +=", text, flags=re.M)
    assert {"author", "title"} <= set(names) and len(names) == len(set(names))
    doi = dict(WORKS[key].fields).get("doi")
    assert doi is None or re.fullmatch(r"10\.\d{4,}/\S+", doi)


def test_every_classifier_has_its_works() -> None:
    assert {entry.name for entry in METHODS if entry.task == "classification"} <= set(OF_METHOD)
    assert all(key in WORKS for keys in OF_METHOD.values() for key in keys)


def test_detectors_have_their_works() -> None:
    assert set(DETECTORS) <= {entry.name for entry in METHODS if "detection" in entry.task}
    assert all(key in WORKS for keys in DETECTORS.values() for key in keys)
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "hsikit" / "tasks" / "detection").glob("*.py"))
    for key in ("reed1990", "kelly1986", "kraut2005", "kruse1993"):
        assert f"doi:{dict(WORKS[key].fields)['doi']}" in sources


def test_dois_are_those_of_the_methods_own_modules() -> None:
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "hsikit" / "tasks" / "classification").glob("*.py"))
    for key in ("green1988", "ledoit2004", "perona1990", "melgani2004", "breiman2001", "ham2005"):
        assert f"doi:{dict(WORKS[key].fields)['doi']}" in sources


def test_hsikit_is_cited_as_its_citation_file_says() -> None:
    text, fields = (ROOT / "CITATION.cff").read_text(encoding="utf-8"), dict(HSIKIT.fields)
    said = dict(re.findall(r"^(title|version|license): \"?([^\"\n]+)\"?$", text, flags=re.M))
    assert fields["title"].strip("{}") == said["title"]
    assert (fields["version"], fields["license"]) == (said["version"], said["license"])
    assert fields["author"].strip("{}") in text


def test_a_work_comes_once() -> None:
    assert bibliography(["ham2005", "ham2005"]).count("@article") == 1
    assert cited(["ham2005", "breiman2001"]) == " (Ham et al., 2005; Breiman, 2001)" and cited([]) == ""
