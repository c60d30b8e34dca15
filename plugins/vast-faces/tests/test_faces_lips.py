"""Lips that a prediction presses through each other are parted; all others stay as they are."""

import numpy as np
import torch

from vast_core.interfaces import Sizes
from vast_core.mesh import canonical_face
from vast_faces.config import LandmarksConfig
from vast_faces.landmarks import LandmarkFace
from vast_faces.lips import SHUT

CANONICAL = canonical_face()
FACE = LandmarkFace.from_config(LandmarksConfig(), Sizes(fps=25))
RING = CANONICAL.lips_inner.copy()
TRIANGLES = CANONICAL.triangles.copy()


def inside(vertices):
    """Area within the ring of the inner lips, by the shoelace formula, with its sign."""
    x, y = vertices[RING, 0].double(), vertices[RING, 1].double()
    return float((x * y.roll(-1) - x.roll(-1) * y).sum() / 2)


def pressed(amount):
    """The canonical face, whose upper lip moves down by ``amount`` centimetres and whose lower one moves up."""
    found = torch.from_numpy(CANONICAL.vertices.copy()).float()
    middle = found[RING, 1].mean()
    near = (1 - (found[:, :2] - torch.tensor([0.0, float(middle)])).norm(dim=1) / 3).clamp_min(0)
    found[:, 1] -= amount * near * (found[:, 1] - middle).sign()
    return found


def test_lips_pressed_through_each_other_are_parted():
    sign = np.sign(inside(pressed(-0.5)))
    assert sign * inside(pressed(0.5)) < 0, "pressed that far, the ring is turned inside out"
    assert sign * inside(FACE.settled(pressed(0.5))) > 0


def test_lips_that_are_open_and_what_is_far_from_them_stay():
    open_mouth, shut = pressed(-0.5), pressed(0.5)
    assert torch.equal(FACE.settled(open_mouth), open_mouth)
    far = (shut - shut[RING].mean(0)).norm(dim=1) > 3.5
    torch.testing.assert_close(FACE.settled(shut)[far], shut[far], atol=0.01, rtol=0)


def test_no_triangle_of_the_lips_is_turned_over():
    def areas(vertices):
        a, b, c = (vertices[TRIANGLES[:, corner], :2] for corner in range(3))
        return (b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]

    lips = np.isin(TRIANGLES, CANONICAL.lips).all(1)
    rest, plain, settled = (areas(v)[lips] for v in (pressed(0.0), pressed(0.35), FACE.settled(pressed(0.35))))
    assert (rest * settled < 0).sum() <= (rest * plain < 0).sum()


def test_frames_are_settled_one_by_one():
    both = torch.stack([pressed(0.5), pressed(-0.5)])
    found = FACE.settled(both)
    torch.testing.assert_close(found[0], FACE.settled(both[0]))
    torch.testing.assert_close(found[1], both[1])
    gaps = found[0, RING[11:][::-1].copy(), 1] - found[0, RING[1:10], 1]
    assert float(gaps.min()) > 0.99 * SHUT
