from __future__ import annotations

import numpy as np
import pytest
import torch

from hsikit.nn.adapters.bands import Bands
from hsikit.nn.adapters.ranges import DETAILS, RangesAdapter, range_overlap
from tests.nn.adapters.sensors import bands


def one_band(wavelength: float, fwhm: float) -> Bands:
    return Bands(torch.tensor([wavelength], dtype=torch.float64), torch.tensor([fwhm], dtype=torch.float64))


def test_overlaps_are_integrals_of_response_and_range() -> None:
    """Against dense sums over a Gaussian cut where ours is, with hats from NumPy's interpolation."""
    anchors = RangesAdapter().anchors.numpy()
    found = range_overlap(Bands(torch.tensor([431.0, 800.0, 2100.0]).double(), torch.tensor([10.0, 120.0, 250.0]).double()), torch.tensor(anchors))
    for row, (centre, fwhm) in enumerate([(431.0, 10.0), (800.0, 120.0), (2100.0, 250.0)]):
        sigma = fwhm / 2.354820045
        samples = np.linspace(centre - 3 * sigma, centre + 3 * sigma, 4001)
        response = np.exp(-0.5 * ((samples - centre) / sigma) ** 2)
        hats = np.stack([np.interp(samples, anchors, unit) for unit in np.eye(len(anchors))])
        np.testing.assert_allclose(found[row, :, 0], hats @ response / response.sum(), atol=4e-3)


def test_details_have_mean_0_and_variance_1_under_a_range() -> None:
    """Even ranges, and bands so narrow that they sample the polynomials."""
    anchors = torch.arange(500.0, 1001.0, 100.0, dtype=torch.float64)
    samples = torch.arange(600.05, 800, 0.1, dtype=torch.float64)
    found = range_overlap(Bands(samples, torch.full_like(samples, 1e-3)), anchors)[:, 2].numpy()
    hat = found[:, 0]
    polynomials = found / hat[:, None]
    gram = np.einsum("s,si,sj->ij", hat, polynomials, polynomials) / hat.sum()
    np.testing.assert_allclose(gram, np.eye(DETAILS), atol=1e-4)


def test_a_narrow_band_at_an_anchor_has_its_projection_alone_and_between_two_both() -> None:
    anchors = RangesAdapter().anchors
    alone = range_overlap(one_band(float(anchors[7]), 0.01), anchors)[0, :, 0]
    assert float(alone[7]) > 0.999
    assert float(alone.sum()) == pytest.approx(1)
    between = range_overlap(one_band(float(anchors[7:9].mean()), 0.01), anchors)[0, :, 0]
    torch.testing.assert_close(between[7:9], torch.full((2,), 0.5, dtype=torch.float64), atol=1e-3, rtol=0)


@pytest.mark.parametrize("gap", [slice(0, 0), slice(60, 100), slice(1, 200)])
def test_a_flat_spectrum_has_means_and_no_details_whatever_is_missing(gap: slice) -> None:
    model, whole = RangesAdapter(), bands(224)
    kept = torch.ones(224, dtype=torch.bool)
    kept[gap] = False
    weights, coverage = model.details(Bands(whole.wavelength[kept], whole.fwhm[kept]))
    sums = weights.sum(0).view(DETAILS, -1)
    torch.testing.assert_close(sums[1:], torch.zeros_like(sums[1:]), atol=1e-12, rtol=0)
    assert (sums[0, coverage > 0.5] > 0.9).all()
    assert (sums[0] <= 1).all()
    assert not sums[0, coverage == 0].any()


def test_many_bands_do_not_drown_a_narrow_feature() -> None:
    """A plain mean over 202 bands changes by 1/202 where one band does; the range of that band changes by far more."""
    weights, _ = RangesAdapter().details(bands(202))
    assert weights[:, :20].abs().amax(1).min() > 4 / 202
    assert weights[:, 20:].abs().amax(1).min() > 4 / 202


def test_coverage_is_the_covered_share() -> None:
    _, coverage = RangesAdapter().details(bands(224))
    torch.testing.assert_close(coverage[2:-2], torch.ones(16, dtype=torch.float64), atol=0.02, rtol=0)
    _, single = RangesAdapter().details(one_band(865.0, 20.0))
    assert 0 < float(single.sum()) < 0.5


def test_features_move_without_a_jump_as_a_band_does() -> None:
    torch.manual_seed(0)
    model = RangesAdapter(8)
    pairs = [model.band_weights(one_band(float(centre), 8.0)) for centre in torch.arange(600, 800, 0.5)]
    found = torch.stack([torch.cat([weights[0], offset]) for weights, offset in pairs])
    assert found.diff(dim=0).abs().max() < 0.06 * (found.amax(0) - found.amin(0)).max()


def test_one_range_is_refused() -> None:
    with pytest.raises(ValueError, match="ranges 1 must be 2 or more"):
        RangesAdapter(8, 1)
