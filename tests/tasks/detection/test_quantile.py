import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsikit.geo.grid import Window
from hsikit.method import Tile
from hsikit.tasks.detection.quantile import exact_quantile, quantile_stages

floats = arrays(np.float32, st.integers(1, 60), elements=st.one_of(st.floats(0, 2.0**127, width=32), st.sampled_from([0.0, 1.0, 2.0, 2.0**-140])))


def threshold(values, share, cuts):
    store = {}
    for stage in quantile_stages("scores", share):
        total = None
        for part in np.array_split(values, cuts):
            shape = (1, 1, len(part))
            whole = {"scores": (slice(0, 1), slice(0, len(part)))}
            tile = Tile({"scores": torch.from_numpy(part.copy()).view(shape)}, {}, {}, whole, Window(0, 0, 1, len(part)))
            partial = stage.update(tile, store)
            total = partial if total is None else stage.merge(total, partial)
        store[stage.name] = stage.finish(total, store)
    return store["quantile3"]


@given(floats, st.floats(0.001, 0.999), st.integers(1, 5))
def test_the_threshold_is_the_exact_order_statistic(values, share, cuts):
    found = threshold(np.append(values, np.float32(np.nan)), share, cuts)
    allowed = int(share * len(values) + 1e-9)
    assert float(found["threshold"]) == float(np.sort(values)[::-1][allowed])
    assert int(found["count"]) == len(values)
    assert int(found["above"]) == (values > np.float32(found["threshold"])).sum() <= allowed


@given(floats, st.floats(0.001, 0.999), st.integers(1, 5))
def test_a_finished_layer_has_the_threshold_of_the_run(values, share, cuts):
    every = np.append(values, np.float32(np.nan))
    found = exact_quantile(lambda: (torch.from_numpy(part.copy()) for part in np.array_split(every, cuts)), share)
    assert {key: float(found[key]) for key in ("threshold", "count", "above")} == {
        key: float(value) for key, value in threshold(every, share, cuts).items() if key != "prefix"
    }
