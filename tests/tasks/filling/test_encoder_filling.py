from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hsikit.errors import ModelError, OptionError
from hsikit.geo.grid import Window
from hsikit.method import Reader
from hsikit.nn.base_files import save_base
from hsikit.nn.encoder import build_encoder
from hsikit.tasks.filling.base import FILLED
from hsikit.tasks.filling.encoder import EncoderFilling
from hsikit.tasks.filling.encoder_training import draw_example, hidden_bands
from hsikit.tasks.filling.interpolate import Interpolate
from tests.tasks.bases import small_base

from .scenes import COLS, NM, ROWS, fill, holed, set_aside, source, spectra

RANGE = ((NM[7] - 1, NM[8] + 1),)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(small_base(tmp_path_factory.mktemp("bases") / "base"))


def test_before_it_has_learned_it_is_the_interpolation(base: str) -> None:
    scene = source(holed(spectra()))
    found = fill(EncoderFilling(base=base, bands=RANGE, steps=1, lr=1e-12), scene).layers
    floor = fill(Interpolate(bands=RANGE), scene).layers
    np.testing.assert_allclose(found["filled"], floor["filled"], atol=1e-5)
    np.testing.assert_array_equal(found["flags"], floor["flags"])


def bent(values: np.ndarray) -> np.ndarray:
    """With a dip in every band but the even ones, as deep as the pixel is bright: what a straight line never finds."""
    out = values.copy()
    out[1::2] *= 0.8
    return out


def test_it_learns_what_interpolation_gets_wrong(base: str) -> None:
    values = bent(spectra())
    values[5, 8:24, 8:20] = np.nan
    done = fill(EncoderFilling(base=base, steps=120, lr=1e-2), source(values))
    table = done.features["check"].columns
    assert np.sqrt((table["rmse"] ** 2).mean()) < 0.7 * np.sqrt((table["interpolation_rmse"] ** 2).mean())
    truth = bent(spectra())[5, 8:24, 8:20]
    error = done.layers["filled"][5, 8:24, 8:20] - truth
    floor = fill(Interpolate(), source(values)).layers["filled"][5, 8:24, 8:20] - truth
    assert np.square(error).mean() < 0.5 * np.square(floor).mean()
    assert (done.layers["flags"][5, 8:24, 8:20] == FILLED).all()


class Whole(Reader):
    """Windows of an array."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.area = torch.from_numpy(values), Window(0, 0, *values.shape[1:])

    def window(self, role: str, window: Window) -> tuple[torch.Tensor, torch.Tensor]:
        out = torch.full((len(self.values), *window.shape), float("nan"))
        inside = window.intersect(self.area)
        out[(slice(None), *inside.slices((window.row, window.col)))] = self.values[(slice(None), *inside.slices())]
        return out, ~out.isnan().all(0)


def test_what_a_step_sees_follows_from_its_number_and_nothing_is_learned_where_it_is_checked(base: str) -> None:
    values = holed(spectra())
    method = EncoderFilling(base=base, bands=RANGE, steps=2)
    scene = source(values)
    store = fill(method, scene).store
    filling = _filling(method, scene)
    coordinates = np.broadcast_to(np.arange(ROWS * COLS, dtype=np.float32).reshape(ROWS, COLS), values.shape).copy()
    coordinates[np.isnan(values)] = np.nan
    first, again, other = (draw_example(filling, Whole(coordinates), store, number, 0, 2) for number in (0, 0, 1))
    torch.testing.assert_close(first.values, again.values, rtol=0, atol=0)
    assert not torch.equal(first.counted, other.counted)
    for example, everywhere in ((first, True), (other, False)):
        counted = example.counted
        assert counted.any() and not counted[:, 7:9].any()
        bands = counted.flatten(2).any(2).any(0)
        assert bool(example.standard.facts.valid[bands].any()) is not everywhere
        places = np.unique(example.values[:, 7][counted.any(1)].round().long().numpy())
        assert not set_aside(ROWS, COLS).flat[places].any()


def _filling(method: EncoderFilling, scene: object) -> object:
    """What the method was given for a scene."""
    held: list[object] = []
    learn = EncoderFilling.learn

    class Watched(EncoderFilling):
        def learn(self, filling):  # type: ignore[no-untyped-def]
            held.append(filling)
            return learn(self, filling)

    Watched(base=method.base, bands=method.bands, steps=method.steps).bind({"cube": scene.info})  # type: ignore[attr-defined]
    return held[0]


def test_a_tuning_goes_on_to_the_bit(base: str) -> None:
    values = holed(spectra())
    scene = source(values)
    method = EncoderFilling(base=base, bands=RANGE, steps=4)
    store = fill(method, scene).store
    (fit,) = method.learn(_filling(method, scene))  # type: ignore[arg-type]
    reader = Whole(values)

    def run(broken: bool) -> dict[str, torch.Tensor]:
        stage = fit
        state = stage.start(store)
        for number in range(4):
            if broken and number == 2:
                (stage,) = method.learn(_filling(method, scene))  # type: ignore[arg-type]
                state = {name: tensor.clone() for name, tensor in state.items()}
            state = stage.step(state, reader, number, store)
        return {name: tensor.clone() for name, tensor in state.items()}

    whole, resumed = run(broken=False), run(broken=True)
    assert whole.keys() == resumed.keys() and any(name.endswith("lora_B.weight") for name in whole)
    for name, tensor in whole.items():
        torch.testing.assert_close(resumed[name], tensor, rtol=0, atol=0)


def test_runs_that_are_hidden_are_as_long_as_asked_for() -> None:
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found = hidden_bands(tuple(range(20)), [3], rng)
        assert len(found) == 3 and np.ptp(found) == 2
        assert len(hidden_bands(tuple(range(4)), [30], rng)) == 2
        assert len(hidden_bands(tuple(range(60)), [1], rng)) == 9


@pytest.mark.parametrize(
    ("options", "said"),
    [({"steps": 0}, "0 is below 1"), ({"lr": 2.0}, "no learning rate"), ({"seed": -1}, "-1 is below 0")],
)
def test_mistakes(base: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        EncoderFilling(base=base, **options)  # type: ignore[arg-type]


def test_a_base_that_has_learned_nothing_is_refused(tmp_path: Path) -> None:
    save_base(tmp_path / "raw", build_encoder("tiny", channels=(16,), depths=(1,), width=16), {})
    with pytest.raises(ModelError, match="not pretrained"):
        EncoderFilling(base=str(tmp_path / "raw"))


def test_every_band_is_asked_for_by_its_wavelength(base: str) -> None:
    """A scene whose bands come in other numbers is filled too."""
    values = spectra()
    found = fill(EncoderFilling(base=base, bands=RANGE, steps=2), source(values)).layers["filled"]
    assert np.isfinite(found).all() and not np.allclose(found[7:9], values[7:9])


def test_bands_on_which_whole_ones_are_checked_are_never_learned(base: str) -> None:
    scene = source(holed(spectra()))
    method = EncoderFilling(base=base, bands=RANGE, steps=2)
    done = fill(method, scene)
    table = done.features["check"].columns
    asked = {int(name[1:]) for name in table["band"][table["hidden_everywhere"] == 1]}
    assert asked
    for number in range(30):
        example = draw_example(_filling(method, scene), Whole(holed(spectra())), done.store, number, 0, 2)  # type: ignore[arg-type]
        assert not example.counted[:, sorted(asked)].any() and example.counted.any()
