from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

from hsikit.errors import OptionError
from hsikit.nn import rebuilding
from hsikit.nn.body import BandFacts
from hsikit.nn.encoder import build_encoder
from hsikit.nn.rebuilding import (
    OBJECTIVES,
    Example,
    MaskedWindows,
    MultiscaleWindows,
    View,
    all_but_runs,
    build_objective,
    disagreement,
    exchanged,
    group_sums,
    hidden_squares,
    mean_where,
    pooled,
    reduced_example,
    shown_bands,
)

SMALL = {"channels": (16,), "depths": (2,), "width": 16, "band_width": 8}
every_objective = pytest.mark.parametrize("name", OBJECTIVES)


def drawn(seed: int) -> Generator:
    return torch.Generator().manual_seed(seed)


def facts(count: int, fwhm: float = 40.0) -> BandFacts:
    return BandFacts(torch.linspace(450.0, 2400.0, count).double(), torch.full((count,), fwhm).double(), torch.ones(count, dtype=torch.bool))


def example(seed: int = 0, side: int = 8) -> Example:
    values = torch.randn(3, 20, side, side, generator=drawn(seed)).cumsum(1) / 4
    usable = torch.ones(3, side, side, dtype=torch.bool)
    usable[0, :2] = False
    other = View(values[:, ::3].contiguous(), facts(7, 150.0))
    return Example(View(values, facts(20)), other, values + 0.1, usable, torch.eye(20)[:, :5])


def objective(name: str) -> MaskedWindows:
    torch.manual_seed(0)
    return build_objective(name, build_encoder("tiny", **SMALL))


@dataclass(frozen=True)
class Seen:
    """What an encoder was given in one loss.

    Attributes:
        bands: those that it saw of each view.
        adapted: what its adapter made of each view, shape (B, H, W, C).
        maps: what went from there into its stages, hidden pixels replaced.
        hidden: these pixels.
        features: what it made of them, shape (B, width, H, W).
        loss: what came of it.
    """

    bands: list[Tensor]
    adapted: list[Tensor]
    maps: list[Tensor]
    hidden: list[Tensor]
    features: list[Tensor]
    loss: float


HIDDEN = 7777.0
"""A value that no adapter gives: it marks hidden pixels."""


def seen(module: MaskedWindows, given: Example, seed: int, done: float = 0.0) -> Seen:
    with torch.no_grad(), Spy(module.encoder, "adapted") as adapted, Spy(module.encoder, "dense_of") as dense:
        module.hidden_pixel.fill_(HIDDEN)
        loss = module.loss(given, drawn(seed), done)
    maps = [call[0] for call in dense.given]
    return Seen(
        [call[3] for call in adapted.given], [each[0] for each in adapted.gave], maps, [(each == HIDDEN).all(3) for each in maps], dense.gave, float(loss)
    )


class Spy:
    """Keeps what a function of an object is given and gives."""

    def __init__(self, of: object, name: str) -> None:
        self.own, self.given, self.gave = getattr(of, name), list[tuple[Any, ...]](), list[Any]()
        self.patch = mock.patch.object(of, name, self.call)

    def call(self, *given: Any) -> Any:
        self.given.append(given)
        self.gave.append(self.own(*given))
        return self.gave[-1]

    def __enter__(self) -> Spy:
        self.patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.patch.stop()


@every_objective
def test_every_objective_learns_and_all_of_it_learns(name: str) -> None:
    module = objective(name)
    optimizer = torch.optim.AdamW(module.parameters(), 3e-3)
    losses = []
    for step in range(60):
        loss = module.loss(example(step % 3, 16), drawn(step), step / 60)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.85 * np.mean(losses[:10])
    still = [key for key, parameter in module.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not still


@every_objective
def test_a_loss_follows_from_its_generator(name: str) -> None:
    module = objective(name)
    first, again, other = (float(module.loss(example(), drawn(seed)).detach()) for seed in (1, 1, 2))
    assert first == again != other


@every_objective
def test_what_is_not_usable_counts_nowhere(name: str) -> None:
    module, given = objective(name), example()
    spoilt = [each.clone() for each in (given.own.values, given.other.values, given.target)]  # type: ignore[union-attr]
    for each in spoilt:
        each[0, :, :2] = 1e6
    assert given.other is not None
    changed = replace(given, own=replace(given.own, values=spoilt[0]), other=replace(given.other, values=spoilt[1]), target=spoilt[2])
    assert float(module.loss(given, drawn(3)).detach()) == pytest.approx(float(module.loss(changed, drawn(3)).detach()), rel=1e-5)


def test_hidden_bands_and_pixels_are_not_seen() -> None:
    module, given = objective("mae"), example()
    shown = torch.arange(20) % 2 == 0
    hidden = torch.zeros(3, 8, 8, dtype=torch.bool)
    hidden[:, 4:, 4:] = True
    plain = module.features(given.own, shown, hidden, given.usable)
    values = given.own.values.clone()
    values[:, ~shown] += 5.0
    values[:, :, 4:, 4:] += 5.0
    torch.testing.assert_close(module.features(replace(given.own, values=values), shown, hidden, given.usable), plain)


@every_objective
def test_values_are_those_of_the_encoders_own_tokens(name: str) -> None:
    module, given = objective(name), example()
    features = module.encoder.dense(given.own.values, *(getattr(given.own.bands, key) for key in ("wavelength", "fwhm", "valid")))
    wanted = module.value(module.encoder.query(features, given.own.bands.wavelength, given.own.bands.fwhm))[..., 0].permute(0, 3, 1, 2)
    torch.testing.assert_close(module.decode(features, given.own.bands), wanted, atol=1e-5, rtol=1e-4)


WRONG_BAND, OTHER_BAND = 7, 11


def unlike(side: int = 16) -> Example:
    """An example in which no two bands are alike, one does not count, and every component of `detail` holds every other one."""
    given = example(side=side)
    valid = torch.arange(20) != 4
    detail = torch.randn(20, 5, generator=drawn(5)) * valid[:, None]
    target = given.target + torch.arange(20.0)[:, None, None]
    return replace(given, own=replace(given.own, bands=replace(given.own.bands, valid=valid)), target=target, detail=detail)


def block_means(given: Example, side: int) -> np.ndarray:
    """The target at windows of some side: means (B, C, side, side) over what is usable; NaN where nothing is."""
    factor = given.usable.shape[-1] // side
    known = np.where(given.usable[:, None], given.target.double(), np.nan).reshape(3, 20, side, factor, side, factor)
    with warnings.catch_warnings(action="ignore"):
        return np.nanmean(known, (3, 5))


def knowing(given: Example, error: np.ndarray | None = None, side: int | None = None) -> Callable[..., Tensor]:
    """Stands for `Encoder.read_bands`: the target of the bands that are asked for, by their wavelengths, with an error of each band (C,).

    The error is made at windows of one side alone where one is given.
    """
    own = given.own.bands.wavelength.numpy()

    def read_bands(features: Tensor, wavelength: Tensor, fwhm: Tensor, read: object) -> Tensor:
        asked = np.abs(own - wavelength.numpy()[:, None]).argmin(1)
        values = block_means(given, features.shape[-1])
        if error is not None and side in (None, features.shape[-1]):
            values = values + error[:, None, None]
        return torch.from_numpy(np.nan_to_num(values)[:, asked]).float()

    return read_bands


@every_objective
def test_bands_are_compared_with_themselves(name: str) -> None:
    """The release of SatMAE++ compares predictions in the order of groups with targets in the order of bands."""
    module, given = objective(name), unlike()
    module.agreement = 0.0

    def loss() -> float:
        return float(module.loss(given, drawn(1)).detach())

    with mock.patch.object(module.encoder, "read_bands", knowing(given)):
        assert loss() == pytest.approx(0.0, abs=1e-5)
        for order in ([0, 1, 2, 6, 3, 4, 5, *range(7, 20)], list(range(19, -1, -1))):
            decode = module.decode
            with mock.patch.object(module, "decode", lambda *asked, decode=decode, order=order: decode(*asked)[:, order]):
                assert loss() > 1e-2
    swapped = np.arange(20.0)
    swapped[[WRONG_BAND, OTHER_BAND]] = OTHER_BAND, WRONG_BAND
    with mock.patch.object(module.encoder, "read_bands", knowing(given, swapped - np.arange(20))):
        assert loss() > 1e-2


def wanted_losses(name: str, given: Example, error: np.ndarray, hidden: np.ndarray, shown: np.ndarray) -> tuple[float, float]:
    """By NumPy, what the own and the other view's features are worth where each band is rebuilt with a constant error, from what each class says."""
    valid = given.own.bands.valid.numpy()
    counts = usable_blocks(given, hidden.shape[-1])[:, None] & valid[:, None, None]
    unseen = counts & (hidden[:, None] | ~shown[:, None, None])
    squares = np.broadcast_to(error[:, None, None] ** 2, counts.shape)
    own, other = squares[unseen].mean(), squares[counts].mean()
    if name == "detail":
        detail = given.detail.double().numpy()
        wanted = given.target.double().numpy().transpose(0, 2, 3, 1)[given.usable.numpy()] @ detail
        beside = ((error @ detail) ** 2).mean() / (wanted**2).mean()
        return own + beside, other + beside
    if name == "multiscale":
        return 0.6 * own + 0.2 * np.abs(error[valid]).mean() + 0.2 * np.abs(error[valid]).mean(), other
    if name == "spectral-sum":
        filled = np.append(np.where(valid, error, 0.0), 0.0).reshape(7, 3)
        return own + (filled.mean(0) ** 2).mean(), other
    return own, other


def usable_blocks(given: Example, side: int) -> np.ndarray:
    """Where all pixels of a mean of `block_means` are usable."""
    factor = given.usable.shape[-1] // side
    return given.usable.numpy().reshape(3, side, factor, side, factor).all((2, 4))


@every_objective
def test_losses_are_those_of_a_known_error_of_each_band(name: str) -> None:
    module, given = objective(name), unlike()
    error = np.random.default_rng(3).normal(size=20)
    at_work = reduced_example(given, 4) if isinstance(module, MultiscaleWindows) else given
    hidden, shown = module.hidden(at_work.usable, drawn(2)), module.shown(given.own.bands.valid, 0.5, drawn(2))
    features = torch.zeros(3, 16, *at_work.usable.shape[1:])
    wanted = wanted_losses(name, given, error, hidden.numpy(), shown.numpy())
    with torch.no_grad(), mock.patch.object(module.encoder, "read_bands", knowing(given, error)):
        assert float(module.own_loss(at_work, features, hidden, shown)) == pytest.approx(wanted[0], rel=1e-5)
        assert float(module.other_loss(at_work, features)) == pytest.approx(wanted[1], rel=1e-5)


@pytest.mark.parametrize("side", [8, 16])
def test_both_larger_images_are_in_the_loss(side: int) -> None:
    module, given = objective("multiscale"), unlike()
    error = np.random.default_rng(3).normal(size=20)
    with mock.patch.object(module.encoder, "read_bands", knowing(given, error, side)):
        assert float(module.loss(replace(given, other=None), drawn(1)).detach()) == pytest.approx(0.2 * np.abs(np.delete(error, 4)).mean(), rel=1e-5)


def test_squares_are_as_large_on_the_ground_at_a_quarter_of_the_resolution() -> None:
    module = objective("multiscale")
    saw = seen(module, example(side=16), 0)
    assert [tuple(each.shape) for each in saw.hidden] == [(3, 4, 4)] * 2
    assert all((each[1:].float().mean((1, 2)) == 0.25).all() for each in saw.hidden)


def test_only_what_was_hidden_is_scored() -> None:
    module, given = objective("mae"), example()
    hidden = torch.zeros(3, 8, 8, dtype=torch.bool)
    hidden[1, 0, 0] = True
    shown = torch.ones(20, dtype=torch.bool)
    shown[4] = False
    scored = module.unseen(given, hidden, shown)
    assert scored[1, :, 0, 0].all() and scored[1, 4].all() and not scored[1, 5, 1:].any() and not scored[0, :, :2].any()


@pytest.mark.parametrize("share", [0.0, 0.25, 0.9])
def test_bands_are_hidden_in_runs_and_one_is_left(share: float) -> None:
    valid = torch.ones(60, dtype=torch.bool)
    valid[10:20] = False
    counts = []
    for seed in range(200):
        shown = shown_bands(valid, share, drawn(seed))
        assert not shown[~valid].any() and shown.any()
        counts.append(1 - float(shown.sum()) / 50)
    assert np.mean(counts) == pytest.approx(min(share, 0.7), abs=0.08) if share < 0.9 else np.mean(counts) > 0.6
    assert max(counts) <= 0.96
    assert shown_bands(torch.ones(1, dtype=torch.bool), 0.5, drawn(0)).all()


def test_squares_of_pixels() -> None:
    hidden = hidden_squares(torch.ones(5, 16, 16), 0.25, drawn(0))
    assert (hidden.float().mean((1, 2)) == 0.25).all()
    cells = hidden.view(5, 4, 4, 4, 4)
    assert (cells.amin((2, 4)) == cells.amax((2, 4))).all()
    assert hidden_squares(torch.ones(1, 10, 9), 0.5, drawn(0)).shape == (1, 10, 9)


def test_both_mixtures_hold_half_of_each() -> None:
    first, second = torch.zeros(2, 8, 8, 3), torch.ones(2, 8, 8, 3)
    one, another = exchanged(first, second, hidden_squares(torch.ones(2, 8, 8), 0.5, drawn(0)))
    assert float(one.mean()) == float(another.mean()) == 0.5
    torch.testing.assert_close(one + another, torch.ones_like(one))


def one_map_mixed(first: Tensor, second: Tensor, where: Tensor) -> tuple[Tensor, Tensor]:
    """`exchanged` as in the release of SMARTIES: the first map is overwritten before the second is made of it."""
    taken = where[..., None]
    first = torch.where(taken, second, first)
    return first, torch.where(taken, first, second)


def mixtures_hold_all(saw: Seen, usable: Tensor) -> bool:
    """Whether what one mixture lacks of the two views is in the other, and each holds pixels of both, wherever nothing is hidden."""
    (own, other), (first, second) = saw.adapted, saw.maps
    where = usable & ~saw.hidden[0] & ~saw.hidden[1]
    shares = [float((each == own).all(3)[where].float().mean()) for each in (first, second)]
    return torch.allclose((first + second)[where], (own + other)[where]) and all(0.2 < share < 0.8 for share in shares)


def test_mixup_learns_from_both_mixtures() -> None:
    module, given = objective("mixup"), example(side=16)
    for seed in range(5):
        saw = seen(module, given, seed)
        assert mixtures_hold_all(saw, given.usable)
        with mock.patch.object(rebuilding, "exchanged", one_map_mixed):
            assert not mixtures_hold_all(seen(module, given, seed), given.usable)
        assert len(saw.features) == 2
        with torch.no_grad():
            wrong = [(module.decode(each, given.own.bands) - given.target).movedim(1, -1)[given.usable].double().numpy() for each in saw.features]
            agreed = module.apart(*saw.features, given.usable & ~saw.hidden[0] & ~saw.hidden[1])
        wanted = sum((each**2).mean() for each in wrong) + module.agreement * float(agreed)
        assert saw.loss == pytest.approx(wanted, rel=1e-5)


def test_mixup_needs_two_views_and_one_token_a_pixel() -> None:
    with pytest.raises(OptionError, match="two instruments"):
        objective("mixup").loss(replace(example(), other=None), drawn(0))
    module = build_objective("mixup", build_encoder("less", channels=(16,), depths=(1,), width=16, band_width=8))
    with pytest.raises(OptionError, match="tokens"):
        module.loss(example(), drawn(0))


def test_sums_of_groups_with_a_last_one_that_is_not_full() -> None:
    values = torch.arange(7.0)[None, :, None, None].expand(1, 7, 2, 2)
    torch.testing.assert_close(group_sums(values, 3)[0, :, 0, 0], torch.tensor([(0 + 3 + 6) / 3, (1 + 4) / 3, (2 + 5) / 3]))


def test_windows_at_half_the_resolution() -> None:
    given = example()
    small = reduced_example(given, 2)
    assert small.own.values.shape == (3, 20, 4, 4) and not small.usable[0, 0].any() and small.usable[0, 1:].all()
    torch.testing.assert_close(small.target[1, 3, 2, 1], given.target[1, 3, 4:6, 2:4].mean())
    values, usable = torch.ones(1, 1, 4, 4), torch.ones(1, 4, 4, dtype=torch.bool)
    usable[0, 0, 0], values[0, 0, 0, 0] = False, float("nan")
    mean, whole = pooled(values, usable, 2)
    assert float(mean[0, 0, 0, 0]) == 1.0 and whole.tolist() == [[[False, True], [True, True]]]
    with pytest.raises(ValueError, match="reduced 2 times"):
        reduced_example(example(side=7), 2)


def test_any_number_of_scales() -> None:
    torch.manual_seed(0)
    module = MultiscaleWindows(build_encoder("tiny", **SMALL), scales=(2, 4, 8))
    module.loss(example(side=16), drawn(0)).backward()
    assert all(parameter.grad is not None for parameter in module.larger.parameters())
    with pytest.raises(ValueError, match="scales"):
        MultiscaleWindows(build_encoder("tiny", **SMALL), scales=(3,))


@pytest.mark.parametrize(("done", "share"), [(0.0, 0.5), (0.5, 0.625), (1.0, 0.75)])
def test_less_hides_the_share_of_bands_and_places_that_it_says(done: float, share: float) -> None:
    module, given = objective("less"), example(side=16)
    for seed in range(20):
        saw = seen(module, given, seed, done)
        assert [int(bands.sum()) for bands in saw.bands] == [20 - round(20 * share), 7 - round(7 * share)]
        for hidden in saw.hidden:
            assert (hidden[1:].float().mean((1, 2)) == 0.75).all()
    assert len({tuple(seen(module, given, seed, done).bands[0].tolist()) for seed in range(20)}) > 10


def test_the_share_of_bands_is_hidden_to_a_whole_band_and_one_is_left() -> None:
    valid = torch.ones(60, dtype=torch.bool)
    valid[10:20] = False
    for number in (0, 1, 25, 49, 50, 70):
        shown = all_but_runs(valid, number, drawn(number))
        assert int(shown.sum()) == max(50 - number, 1) and not shown[~valid].any()
    runs = [1 + int((all_but_runs(valid, 25, drawn(seed))[valid].long().diff() != 0).sum()) for seed in range(50)]
    assert np.mean(runs) < 20  # of single bands, 26


def test_views_that_agree() -> None:
    where = torch.ones(2, 6, 6, dtype=torch.bool)
    features = torch.randn(2, 6, 6, 4, generator=drawn(0))
    assert float(disagreement(features, 3 * features + 1, where)) == pytest.approx(0.0, abs=1e-4)
    assert float(disagreement(features, torch.randn(2, 6, 6, 4, generator=drawn(1)), where)) > 0.7
    assert float(disagreement(features, features, torch.zeros_like(where))) == 0.0


def test_the_other_view_follows_and_the_own_does_not_give_way() -> None:
    own, other = (torch.randn(1, 6, 6, 3, generator=drawn(seed)).requires_grad_() for seed in (0, 1))
    disagreement(own, other, torch.ones(1, 6, 6, dtype=torch.bool)).backward()
    assert own.grad is None and other.grad is not None and other.grad.any()


def test_means_of_nothing() -> None:
    assert float(mean_where(torch.full((2, 2), float("nan")), torch.zeros(2, 2, dtype=torch.bool))) == 0.0


def test_wrong_options() -> None:
    encoder = build_encoder("tiny", **SMALL)
    with pytest.raises(OptionError, match="detail"):
        build_objective("nothing", encoder)
    for options in ({"bands": 1.0}, {"pixels": -0.1}, {"agreement": -1.0}):
        with pytest.raises(ValueError, match="shares"):
            MaskedWindows(encoder, **options)
