"""Where absorptions are looked for, and what a library spectrum has there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hsikit.errors import OptionError
from hsikit.tasks.minerals.features import Feature, features_of, find_features, profile_of, read_features

NM = np.arange(400.0, 2500.0, 7.5)
SEEN = ~((NM > 1340) & (NM < 1430) | (NM > 1790) & (NM < 1960))


def dips(*told: tuple[float, float, float]) -> np.ndarray:
    """A bright ramp with absorptions of so many (centre, width, depth)."""
    values = 0.4 + 5e-5 * (NM - 400)
    for centre, width, depth in told:
        values = values * (1 - depth * np.exp(-0.5 * ((NM - centre) / width) ** 2))
    return values


def test_the_table_names_ten_minerals() -> None:
    table = read_features()
    assert len(table) == 10 and {feature.group for mineral in table for feature in mineral.features} == {1, 2}
    of = {name: [mineral.name for mineral in table if mineral.match.search(name)] for name in ("Kaolinite CM9", "Calcite.5+Dolomite.5", "Nanohematite BR9")}
    assert of == {"Kaolinite CM9": ["kaolinite"], "Calcite.5+Dolomite.5": [], "Nanohematite BR9": ["hematite"]}


def test_names_choose_between_the_table_and_the_spectrum() -> None:
    spectrum = dips((2200, 25, 0.3))[SEEN]
    table = read_features()
    assert features_of("kaolinite 3", spectrum, NM[SEEN], table) == table[7].features
    assert features_of("stone", spectrum, NM[SEEN], table) == find_features(spectrum, NM[SEEN])


def test_absorptions_are_found_where_they_are() -> None:
    spectrum = dips((600, 20, 0.1), (900, 60, 0.3), (1650, 20, 0.01), (2200, 25, 0.25), (2350, 20, 0.1))
    found = find_features(spectrum[SEEN], NM[SEEN])
    spans = [(feature.group, feature.left[0], feature.right[1], feature.diagnostic) for feature in found]
    assert [(group, diagnostic) for group, _, _, diagnostic in spans] == [(1, True), (1, False), (2, True), (2, False)]
    for (_, low, high, _), centre in zip(spans, (900, 600, 2200, 2350), strict=True):
        assert low < centre - 30 and high > centre + 30 and high - low < 600
    assert find_features(np.full(SEEN.sum(), 0.3), NM[SEEN]) == ()
    assert find_features(np.full(SEEN.sum(), np.nan), NM[SEEN]) == ()


def test_the_wing_of_an_absorption_beyond_the_data_is_not_diagnostic() -> None:
    """An edge in the blue, as of iron: it is larger than the absorption beside it, which is the diagnostic one."""
    edge = 0.3 + 0.7 / (1 + np.exp(-(NM - 520) / 25))
    alone, beside = (find_features((values * edge)[SEEN], NM[SEEN]) for values in (dips(), dips((900, 40, 0.05))))
    assert [feature.diagnostic for feature in alone] == [False]
    spans = [(feature.left[0], feature.diagnostic) for feature in beside]
    assert [diagnostic for _, diagnostic in spans] == [False, True] and spans[0][0] == NM[0] and 700 < spans[1][0] < 880


def test_a_profile_is_the_spectrum_over_a_line_between_shoulders() -> None:
    spectrum = dips((2200, 25, 0.25))
    feature = Feature(2, (2080, 2110), (2290, 2320))
    found = profile_of(feature, spectrum, NM)
    assert found is not None
    first, stop, left, right = found.window
    inside, values = NM[first:stop], spectrum[first:stop]
    assert (inside[0], inside[-1]) == (2080, 2320) and (left, right) == (5, 5)
    line = np.interp(inside, [inside[:5].mean(), inside[-5:].mean()], [values[:5].mean(), values[-5:].mean()])
    inner = slice(5, -5)
    removed = found.centred + (1 - found.area / len(inside))
    np.testing.assert_allclose(removed[inner], (values / line)[inner], atol=1e-12)
    assert found.depth == pytest.approx(0.25, abs=0.005) and abs(found.centred.sum()) < 1e-12


@pytest.mark.parametrize(
    ("feature", "spectrum"),
    [
        (Feature(1, (1300, 1340), (1440, 1480)), dips((1400, 20, 0.5))),  # in the water vapour: a hole
        (Feature(2, (2495, 2600), (2700, 2800)), dips((2200, 25, 0.25))),  # beyond the sensor
        (Feature(2, (2080, 2110), (2115, 2125)), dips((2100, 5, 0.25))),  # too few bands
        (Feature(2, (2080, 2110), (2290, 2320)), dips()),  # no absorption
        (Feature(2, (2080, 2110), (2290, 2320)), np.where(np.abs(NM - 2200) < 20, np.nan, dips((2200, 25, 0.25)))),
        (Feature(2, (2080, 2110), (2290, 2320)), -dips((2200, 25, 0.25))),
    ],
)
def test_what_is_no_profile(feature: Feature, spectrum: np.ndarray) -> None:
    assert profile_of(feature, spectrum[SEEN], NM[SEEN]) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[mineral", "it is not TOML"),
        ("a = 1", "holds no \\[\\[mineral\\]\\]"),
        ('[[mineral]]\nname = "x"', "x: it has no features"),
        ('[[mineral]]\nname = "x"\ncolour = 1\nfeatures = []', "'colour' is not known"),
        ('[[mineral]]\nname = "x"\nmatch = "("\nfeatures = [{}]', "no regular expression"),
        ('[[mineral]]\nname = "x"\nfeatures = [{ group = 1, left = [1, 2] }]', "a feature has no right"),
        ('[[mineral]]\nname = "x"\nfeatures = [{ group = 3, left = [1, 2], right = [3, 4] }]', "group is 1 or 2"),
        ('[[mineral]]\nname = "x"\nfeatures = [{ group = 1, left = [1, 5], right = [3, 4] }]', "does not end before"),
        ('[[mineral]]\nname = "x"\nfeatures = [{ group = 1, left = [2, 1], right = [3, 4] }]', "does not ascend"),
        ('[[mineral]]\nname = "x"\nfeatures = [{ group = 1, left = 1, right = [3, 4] }]', "cannot be used"),
        ('[[mineral]]\nname = "x"\nfeatures = [{ group = 1, left = [1, 2], right = [3, 4], sort = 1 }]', "'sort' is not known"),
    ],
)
def test_a_table_that_cannot_be_used(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(OptionError, match=words):
        read_features(tmp_path / "own.toml")
    with pytest.raises(OptionError, match="cannot be read"):
        read_features(tmp_path / "none.toml")
