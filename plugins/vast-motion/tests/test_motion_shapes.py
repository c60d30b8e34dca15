"""The shapes mean what their names say, and an avatar's own stay near them."""

from __future__ import annotations

import numpy as np
import pytest

from vast_core.errors import InputError
from vast_core.mesh import canonical_face
from vast_motion.names import NAMES, UNSEEN
from vast_motion.shapes import SOLVED, general_shapes, own_shapes, solved_curves
from vast_motion.take import Error, take_of

FACE = canonical_face()
CORNER_LEFT, CORNER_RIGHT, CHIN, UPPER_LIP, LOWER_LIP = 291, 61, 152, 13, 14


def shape(name):
    return general_shapes()[NAMES.index(name)]


def test_there_are_52_names_half_of_which_mirror_each_other():
    assert len(NAMES) == len(set(NAMES)) == 52
    shapes = general_shapes()
    for at, name in enumerate(NAMES):
        other = name.replace("Left", "Right") if "Left" in name else name.replace("Right", "Left")
        mirrored = shapes[NAMES.index(other)][FACE.mirror] * [-1, 1, 1]
        assert np.allclose(shapes[at], mirrored, atol=2e-3), name


def test_shapes_move_what_they_name():
    assert shape("jawOpen")[CHIN, 1] < -2, "the chin goes down by centimetres"
    assert shape("jawOpen")[UPPER_LIP, 1] > -0.3
    assert shape("jawLeft")[CHIN, 0] > 0.4, "left is the person's"
    assert shape("mouthSmileLeft")[CORNER_LEFT, 1] > 0.5
    assert abs(shape("mouthSmileLeft")[CORNER_RIGHT, 1]) < 0.1
    assert shape("mouthFrownRight")[CORNER_RIGHT, 1] < -0.2
    assert shape("mouthPucker")[CORNER_LEFT, 0] < -0.3
    assert shape("mouthPucker")[UPPER_LIP, 2] > 0
    assert shape("mouthUpperUpLeft")[270, 1] > 0.2
    assert shape("browInnerUp")[107, 1] > 0.2
    assert shape("browDownLeft")[336, 1] < -0.2
    assert shape("browOuterUpRight")[70, 1] > 0.2
    assert not shape("tongueOut").any()
    for name in ("cheekPuff", "cheekSquintLeft", "noseSneerRight", "jawForward"):
        assert np.linalg.norm(shape(name), axis=1).max() > 0.3, name


def test_blinks_close_an_eye_and_closed_lips_follow_an_open_jaw():
    def opening(vertices, upper, lower):
        return vertices[upper, 1] - vertices[lower, 1]

    rest = FACE.vertices
    shut = rest + shape("eyeBlinkLeft")
    assert opening(shut, 386, 374) < 0.45 * opening(rest, 386, 374)
    assert opening(shut, 159, 145) == pytest.approx(opening(rest, 159, 145), abs=0.02)
    open_jaw = rest + shape("jawOpen")
    assert opening(open_jaw, UPPER_LIP, LOWER_LIP) > 2
    assert opening(open_jaw + shape("mouthClose"), UPPER_LIP, LOWER_LIP) < 0.6


def test_known_curves_are_found_again(motion, samples):
    moved = (motion.vertices - motion.neutral).astype(np.float64)
    found = solved_curves(moved, general_shapes())
    assert np.abs(found - samples.curves()).max() < 0.05
    assert not found[:, [NAMES.index(name) for name in UNSEEN]].any()
    assert (found[:, NAMES.index("mouthClose")] <= found[:, NAMES.index("jawOpen")] + 1e-9).all()
    assert Error.of(moved, np.einsum("tk,kvc->tvc", found, general_shapes())).explained > 0.99


def test_own_shapes_explain_a_face_that_moves_differently(other_face):
    generator = np.random.default_rng(4)
    curves = np.zeros((160, 52))
    for at in SOLVED:
        curves[:, at] = np.clip(np.interp(np.arange(160), np.arange(0, 160, 8), generator.normal(-0.2, 0.5, 20)), 0, 1)
    moved = np.einsum("tk,kvc->tvc", curves, other_face)
    own = own_shapes(moved[:80], general_shapes())

    def error(shapes):
        return Error.of(moved[80:], np.einsum("tk,kvc->tvc", solved_curves(moved[80:], shapes), shapes))

    assert error(own).explained > 0.5 + 0.5 * error(general_shapes()).explained, "half of the rest, in other frames"
    before, after = (shapes.reshape(52, -1)[SOLVED] for shapes in (general_shapes(), own))
    alike = (before * after).sum(1) / np.linalg.norm(before, axis=1) / np.linalg.norm(after, axis=1)
    assert alike.min() > 0.8


def test_a_face_at_rest_has_no_curves(motion, samples):
    still = samples.motion(np.zeros((5, 52)), general_shapes())
    taken = take_of(still)
    assert np.abs(taken.curves).max() < 1e-3
    assert np.allclose(taken.shapes, general_shapes(), atol=1e-6)


def test_a_mesh_of_its_own_is_refused(samples):
    with pytest.raises(InputError, match="a mesh of 468 vertices of its own; the 52 shapes are known"):
        take_of(samples.motion(samples.curves(4), general_shapes(), canonical=False))
