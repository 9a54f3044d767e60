from __future__ import annotations

import numpy as np
import pytest
import torch

from hsikit.nn.pooling import GGeM, MeanPool, SequencePool, build_pooling


def tokens(low: float = 0.1) -> torch.Tensor:
    return low + torch.rand(3, 5, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("power", [1.0, 3.0, 7.5])
def test_ggem_is_the_power_mean_of_each_group(power: float) -> None:
    pool, x = GGeM(8, 2, power), tokens()
    with torch.no_grad():
        pool.log_power[1] += 0.3
    powers = np.repeat([power, power * np.exp(0.3)], 4)
    values = x.double().numpy()
    wanted = np.power(np.power(values, powers).mean(1), 1 / powers)
    np.testing.assert_allclose(pool(x).detach(), wanted, rtol=1e-5)


def test_ggem_of_signed_features_is_finite_and_learns() -> None:
    pool, x = GGeM(8, 4), tokens(-0.5).requires_grad_()
    pool(x).sum().backward()
    assert pool.log_power.grad is not None and x.grad is not None
    assert (pool.log_power.grad.abs() > 0).all() and x.grad.isfinite().all()
    assert GGeM(8, 4, power=200.0)(tokens()).isfinite().all()


def test_pooling_over_what_counts_is_pooling_over_that_alone() -> None:
    x, valid = tokens(), torch.tensor([[True, False, True, True, False]] * 3)
    for pool in (GGeM(8), SequencePool(8), MeanPool()):
        torch.testing.assert_close(pool(x, valid), pool(x[:, valid[0]]))


def test_every_token_counts() -> None:
    """The released SpectralGPT leaves out its first token, as if it were one of a class."""
    for pool in (GGeM(8), SequencePool(8), MeanPool()):
        x = tokens().requires_grad_()
        pool(x).sum().backward()
        assert x.grad is not None and (x.grad.abs().amax(2) > 0).all()


@pytest.mark.parametrize("options", [{"groups": 3}, {"power": 0.0}, {"least": 0.0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is not"):
        GGeM(8, **options)  # type: ignore[arg-type]


def test_poolings_have_names() -> None:
    kinds = {name: type(build_pooling(name, 8, 2)) for name in ("mean", "attention", "ggem")}
    assert kinds == {"mean": MeanPool, "attention": SequencePool, "ggem": GGeM}
    with pytest.raises(ValueError, match="no pooling 'max'; there are mean, attention, ggem"):
        build_pooling("max", 8, 2)
