"""The terms on how a face moves, against numpy and against faces whose motion is known."""

import numpy as np
import pytest
import torch

from vast_core.stages.restyling import Restyling
from vast_core.training.motion import (
    closing_error,
    face_weights,
    statistics,
    statistics_error,
    velocity_error,
)

CHANCE = np.random.default_rng(2)


def sequence(frames, width=4):
    return CHANCE.standard_normal((frames, width)) @ np.diag([1.0, 0.3, 2.0, 0.05])[:width, :width]


def padded(rows, length):
    """One batch of sequences (T, E) of several lengths, junk beyond their ends, and its mask."""
    batch = torch.full((len(rows), length, rows[0].shape[1]), 1e3)
    mask = torch.zeros(len(rows), length, dtype=torch.bool)
    for number, row in enumerate(rows):
        batch[number, : len(row)] = torch.from_numpy(row).float()
        mask[number, : len(row)] = True
    return batch, mask


def test_statistics_are_those_of_numpy_whatever_lies_beyond_the_ends():
    rows = [sequence(40), sequence(25)]
    found = statistics(*padded(rows, 60), tempo=2.5).numpy()
    for row, (mean, deviation, speed) in zip(rows, found, strict=True):
        np.testing.assert_allclose(mean, row.mean(0), atol=1e-5)
        np.testing.assert_allclose(deviation, np.sqrt(row.var(0) + 1e-4), rtol=1e-4)
        moved = np.sqrt((np.diff(row, axis=0) ** 2).mean(0) + 1e-4)
        np.testing.assert_allclose(speed, 2.5 * moved, rtol=1e-4)


def test_a_gap_without_a_face_is_no_motion():
    row = sequence(30)
    batch, mask = padded([row], 30)
    mask[0, 10:14] = False
    kept = np.concatenate([np.diff(row[:10], axis=0), np.diff(row[14:], axis=0)])
    speed = statistics(batch, mask, tempo=1.0)[0, 2].numpy()
    np.testing.assert_allclose(speed, np.sqrt((kept**2).mean(0) + 1e-4), rtol=1e-4)
    target = torch.zeros_like(batch)
    assert float(velocity_error(batch, target, mask)) == pytest.approx((kept**2).sum() / len(kept), rel=1e-4)


def test_their_error_asks_a_lazy_face_to_move_more():
    wanted = statistics(*padded([sequence(80)], 80), tempo=1.0)
    lazy = torch.from_numpy(0.5 * sequence(80)).float()[None].requires_grad_()
    evenly = torch.ones(4)
    error = statistics_error(statistics(lazy, torch.ones(1, 80, dtype=torch.bool), 1.0), wanted, evenly)
    error.backward()
    centred = lazy.detach() - lazy.detach().mean(1, keepdim=True)
    assert float((lazy.grad * centred).sum()) < 0  # descent makes it larger
    assert float(statistics_error(wanted, wanted, evenly)) == 0


def test_a_face_at_rest_has_a_finite_gradient():
    still = torch.zeros(1, 10, 3, requires_grad=True)
    statistics(still, torch.ones(1, 10, dtype=torch.bool), 1.0).sum().backward()
    assert torch.isfinite(still.grad).all()


def test_lips_on_the_wrong_side_of_the_limit_count():
    opening = torch.tensor([[0.1, 0.5, 0.5, 0.1]])
    shut = torch.tensor([[True, True, False, False]])
    parted = torch.tensor([[False, False, True, True]])
    found = closing_error(opening, torch.tensor([[0.3]]), shut, parted)
    assert float(found) == pytest.approx((0.2**2 + 0.2**2) / 4)
    none = torch.zeros(1, 4, dtype=torch.bool)
    assert float(closing_error(opening, torch.tensor([[0.3]]), none, none)) == 0


def test_offsets_are_spread_like_the_means_of_clips():
    means = torch.from_numpy(sequence(300)).float()
    restyling = Restyling(means, lower_face=2)
    chance = np.random.default_rng(1)
    drawn = [restyling.draw(chance) for _ in range(4000)]
    offsets = torch.stack([style.offset for style in drawn])
    np.testing.assert_allclose(np.cov(offsets.T.numpy()), np.cov(means.T.numpy(), ddof=0), atol=0.15)
    gains = torch.stack([style.gain for style in drawn]).log()
    assert gains[:, 0].equal(gains[:, 1])
    assert gains[:, 2].equal(gains[:, 3])
    np.testing.assert_allclose(gains.std(0), [0.15, 0.15, 0.35, 0.35], rtol=0.1)
    assert abs(float(np.corrcoef(gains[:, 0], gains[:, 2])[0, 1])) < 0.1


def test_a_style_moves_the_mean_by_its_offset_and_the_deviation_by_its_gain():
    row = torch.from_numpy(sequence(200)).float()
    style = Restyling(torch.stack([row.mean(0), row.mean(0) + 1]), lower_face=2).draw(np.random.default_rng(3))
    changed = style.of(row, row.mean(0))
    torch.testing.assert_close(changed.mean(0), row.mean(0) + style.offset)
    torch.testing.assert_close(changed.std(0), row.std(0) * style.gain)


def test_both_halves_of_the_face_count_alike():
    means = torch.from_numpy(sequence(500)).float()
    weight = face_weights(means, lower_face=2)
    counted = weight * means.var(0, correction=0)
    assert float(counted[:2].sum()) == pytest.approx(float(counted[2:].sum()), rel=1e-5)
    assert float(counted.sum()) == pytest.approx(float(means.var(0, correction=0).sum()), rel=1e-5)
    assert face_weights(means, lower_face=4).equal(torch.ones(4))
    assert face_weights(torch.zeros(3, 4), lower_face=2).equal(torch.ones(4))
