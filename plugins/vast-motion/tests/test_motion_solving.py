"""The solver beside those of SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import lsq_linear, minimize

from vast_motion.solving import solve


@pytest.fixture
def problem():
    generator = np.random.default_rng(2)
    shapes = generator.normal(size=(6, 30)) * np.array([5, 1, 1, 0.5, 2, 0.2])[:, None]
    shapes[1] = shapes[0] / 5 + 0.3 * shapes[1]  # two that are much alike
    curves = np.clip(generator.normal(0.4, 0.6, size=(7, 6)), -0.3, 1.4)
    return shapes, curves @ shapes + 0.1 * generator.normal(size=(7, 30))


def test_each_frame_is_the_bounded_least_squares_of_scipy(problem):
    shapes, motion = problem
    found = solve(shapes, motion, sparse=0, smooth=0)
    best = np.stack([lsq_linear(shapes.T, row, (0, 1), tol=1e-12).x for row in motion])
    assert np.allclose(found, best, atol=2e-3)
    assert (found == 0).any()
    assert (found == 1).any()


def test_smoothing_is_that_of_the_equation(problem):
    shapes, motion = problem
    frames, count = len(motion), len(shapes)
    smooth, length = 0.4, np.linalg.norm(shapes, axis=1)
    change = np.sqrt(smooth) * np.kron(np.diff(np.eye(frames), axis=0), np.diag(length))
    matrix = np.concatenate([np.kron(np.eye(frames), shapes.T), change])
    wanted = np.concatenate([motion.ravel(), np.zeros(len(change))])
    best = lsq_linear(matrix, wanted, (0, 1), tol=1e-12).x.reshape(frames, count)
    assert np.allclose(solve(shapes, motion, sparse=0, smooth=smooth), best, atol=2e-3)
    assert (
        np.abs(np.diff(best, axis=0)).sum() < np.abs(np.diff(solve(shapes, motion, sparse=0, smooth=0), axis=0)).sum()
    )


def test_the_price_of_a_curve_is_that_of_the_equation(problem):
    shapes, motion = problem
    length = np.linalg.norm(shapes, axis=1)
    price = 0.05 * np.sqrt(np.mean(length**2)) * length

    def cost(curves, row):
        rest = row - curves @ shapes
        return 0.5 * rest @ rest + price @ curves, price - rest @ shapes.T

    best = [
        minimize(cost, np.full(6, 0.5), (row,), "L-BFGS-B", jac=True, bounds=[(0, 1)] * 6, options={"ftol": 1e-15}).x
        for row in motion
    ]
    assert np.allclose(solve(shapes, motion, sparse=0.05, smooth=0), best, atol=2e-3)


def test_no_frames_and_no_motion_give_no_curves():
    shapes = np.eye(3)
    assert solve(shapes, np.zeros((0, 3))).shape == (0, 3)
    assert not solve(shapes, np.zeros((4, 3))).any()
