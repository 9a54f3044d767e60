"""The README's commands are those that CI runs, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hsikit.version import __version__

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_first_screen_has_the_two_commands() -> None:
    first = "\n".join(README.splitlines()[:24])
    assert 'pip install -c constraints.txt ".[demo]" && hsikit demo' in first
    assert 'pip install -c constraints.txt -e ".[dev]" && pytest' in first
    assert "CUDA" in first and "pytorch.org" in first


def test_ci_runs_the_readmes_test_command() -> None:
    (command,) = [line for line in README.splitlines() if line.endswith("&& pytest")]
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert f"TEST_COMMAND='{command}'" in script
    assert 'eval "$TEST_COMMAND"' in script


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_versions_agree() -> None:
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"## [{__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
