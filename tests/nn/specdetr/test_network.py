"""SpecDETR's parts against plain answers, and what must hold whatever the weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hsikit.nn.specdetr.boxes import kept, overlaps, whole_pixels
from hsikit.nn.specdetr.matching import rounds
from hsikit.nn.specdetr.network import SpecDetr, build_network
from hsikit.nn.specdetr.sampling import read_sampled, read_summed, sample_points
from hsikit.nn.specdetr.training import Training, Truth, cut_and_turned, on_foreign_ground


def little(**changes: object) -> SpecDetr:
    torch.manual_seed(0)
    return build_network("small", 6, 3, **{"width": 16, "heads": 2, "encoder": 1, "decoder": 2, "hidden": 24, "queries": 12, **changes}).eval()


def looped(value: np.ndarray, x: float, y: float) -> np.ndarray:
    """Bilinear sampling as it is told: pixel (0, 0) has its centre at (.5, .5), and outside there is nothing."""
    total = np.zeros(value.shape[0])
    for row in range(value.shape[1]):
        for col in range(value.shape[2]):
            total += value[:, row, col] * max(0.0, 1 - abs(x - col - 0.5)) * max(0.0, 1 - abs(y - row - 0.5))
    return total


def test_sampling_equals_a_loop() -> None:
    rng = np.random.default_rng(0)
    value, places = rng.normal(size=(2, 3, 5, 7)), rng.uniform(-2, 9, (2, 4, 3, 2))
    found = sample_points(torch.from_numpy(value), torch.from_numpy(places)).numpy()
    for n, q, p in np.ndindex(2, 4, 3):
        np.testing.assert_allclose(found[n, :, q, p], looped(value[n], *places[n, q, p]), atol=1e-12)


@pytest.mark.parametrize(("kind", "within"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_sums_of_rows_equal_sampled_maps(kind: torch.dtype, within: float) -> None:
    rng, shape = np.random.default_rng(0), (5, 7)
    value, places = torch.tensor(rng.normal(size=(2, 36, 3, 4)), dtype=kind), torch.tensor(rng.uniform(-3, 10, (2, 6, 3, 4, 2)), dtype=kind)
    weights, whole = torch.rand(2, 6, 3, 4, dtype=kind), torch.rand(2, 6, 3, dtype=kind)
    torch.testing.assert_close(read_summed(value, shape, places, weights, whole), read_sampled(value, shape, places, weights, whole), atol=within, rtol=within)


def test_a_network_answers_as_it_learns() -> None:
    network, picture, there = little(), torch.randn(2, 6, 9, 8), torch.ones(2, 9, 8, dtype=torch.bool)
    with torch.no_grad():
        without = network.encode(picture, there)
    torch.testing.assert_close(without, network.encode(picture, there), atol=1e-5, rtol=1e-5)


def test_the_published_network_has_its_parameters() -> None:
    count = sum(p.numel() for p in build_network("paper", 30, 8).parameters())
    assert abs(count / 16.01e6 - 1) < 0.01
    assert sum(p.numel() for p in build_network("small", 30, 8).parameters()) <= 2e6


@pytest.mark.parametrize("absolute", [False, True])
def test_boxes_do_not_know_one_another(absolute: bool) -> None:
    network, order = little(absolute=absolute), torch.tensor([3, 0, 4, 1, 2])
    boxes = torch.rand(1, 5, 4, generator=torch.Generator().manual_seed(1)) * 6 + 2
    with torch.no_grad():
        tokens = network.encode(torch.randn(1, 6, 10, 12), torch.ones(1, 10, 12, dtype=torch.bool))
        one, other = network.decode(tokens, (10, 12), boxes)[-1], network.decode(tokens, (10, 12), boxes[:, order])[-1]
    torch.testing.assert_close(one.boxes[:, order], other.boxes)
    torch.testing.assert_close(one.logits[:, order], other.logits)


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (17, 9)])
def test_any_size_and_missing_pixels(size: tuple[int, int]) -> None:
    network, valid = little(), torch.ones(1, *size, dtype=torch.bool)
    valid[0, 0] = False
    with torch.no_grad():
        proposals, found = network(torch.randn(1, 6, *size), valid)
    assert found.boxes.isfinite().all()
    assert proposals.logits.isfinite().all()
    assert (found.boxes[..., 2:] > 0).all()
    assert (proposals.logits.view(1, *size, 3)[0, 0] < -40).all()


def test_an_adapter_reads_any_bands() -> None:
    network = little(adapter="grid")
    for count in (6, 11):
        bands = torch.linspace(450, 2400, count, dtype=torch.float64), torch.full((count,), 20.0, dtype=torch.float64)
        with torch.no_grad():
            assert network(torch.rand(1, count, 8, 8), torch.ones(1, 8, 8, dtype=torch.bool), bands)[1].boxes.isfinite().all()


def test_more_rounds_keep_close_predictions_up_to_the_places_left() -> None:
    far = np.full((8, 2), 0.9)
    far[:5, 0] = 0.01
    cost = far + 0.1 * np.arange(8)[:, None]
    rows, columns = rounds(cost, far)
    assert sorted(rows[columns == 0]) == [0, 2, 3, 4]  # the first round gave row 1 to the other object
    assert (columns == 1).sum() == 1
    assert len(rounds(cost, far, most=4)[0]) == 4


def test_overlaps_and_what_is_kept() -> None:
    boxes = torch.tensor([[2.0, 2, 2, 2], [3, 2, 2, 2], [10, 10, 1, 1]])
    share, general = overlaps(boxes[:, None], boxes[None])
    assert math.isclose(share[0, 1], 1 / 3, rel_tol=1e-6)
    assert general[0, 2] < 0
    assert kept(boxes, torch.tensor([0.5, 0.9, 0.1]), 0.01).tolist() == [1, 2]


def test_edges_move_to_edges_of_pixels() -> None:
    found = whole_pixels(torch.tensor([[3.4, 3.6, 0.2, 0.3], [4.1, 4.0, 2.1, 1.8]]))
    torch.testing.assert_close(found, torch.tensor([[3.5, 3.5, 1, 1], [4, 4, 2, 2]]))


def test_foreign_ground_holds_no_object_and_is_mixed_by_a_share() -> None:
    generator, count, side = torch.Generator().manual_seed(0), 5, 8
    boxes, labels = 4 + torch.rand(3, count, 4, generator=generator) * 40, torch.zeros(3, count, dtype=torch.int64)
    boxes[..., 2:] = 2.0
    labels[:, -1] = -1
    images = torch.tensor([1.0, 10.0, 100.0])[:, None, None, None].expand(3, 2, 48, 48).clone()
    for picture, own, there in zip(images, boxes, labels, strict=True):
        for x, y in own[there >= 0][:, :2].tolist():
            picture[:, int(y - 1) : int(y + 2), int(x - 1) : int(x + 2)] = 1e6
    whole = (images, torch.ones(3, 48, 48, dtype=torch.bool), Truth(labels, boxes))
    squares, valid, _, _ = cut_and_turned(*whole, side, 40, generator, False)
    mixed, seen = on_foreign_ground(squares, valid, whole, 40, 0.5, generator)
    changed = (mixed != squares).flatten(1).any(1)
    assert 0.3 < float(changed.float().mean()) < 0.6
    assert seen.all()
    ground, own = mixed[squares < 1e6], squares[squares < 1e6]
    assert ((ground >= 0.5 * own) & (ground <= 0.5 * own + 50)).all()
    assert (mixed[squares == 1e6] >= 0.5e6).all()
    again, _ = on_foreign_ground(*cut_and_turned(*whole, side, 40, torch.Generator().manual_seed(0), False)[:2], whole, 40, 0.0001, generator)
    assert float((again / cut_and_turned(*whole, side, 40, torch.Generator().manual_seed(0), False)[0] - 1).abs().max()) < 0.02


def test_it_learns_a_few_pictures_by_heart() -> None:
    """32 x 32 pixels, 2 and 2 layers, width 64: the loss falls to a fraction, and stays a number."""
    torch.manual_seed(0)
    network = build_network("small", 6, 2, encoder=2, decoder=2, hidden=128, queries=30)
    images = 0.1 * torch.randn(2, 6, 32, 32)
    boxes, labels = torch.tensor([[[8.0, 9, 2, 2], [20.5, 20.5, 1, 1]], [[15.0, 6, 2, 2], [5.5, 27.5, 1, 1]]]), torch.tensor([[0, 1], [0, 1]])
    for picture, own in zip(images, boxes, strict=True):
        for number, (x, y, w, h) in enumerate(own.tolist()):
            picture[3 * number : 3 * number + 3, int(y - h / 2) : int(y + h / 2), int(x - w / 2) : int(x + w / 2)] += 2
    module, losses = Training(network, disturbed=8), []
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3)
    for step in range(120):
        loss = module.loss((images, torch.ones(2, 32, 32, dtype=torch.bool), labels, boxes), torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(loss.detach()))
    assert all(math.isfinite(value) for value in losses)
    assert np.mean(losses[-5:]) < 0.5 * losses[0]
