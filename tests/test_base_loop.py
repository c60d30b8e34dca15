"""A clip of footage becomes a base clip that ends as it begins."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vast_core.mesh import canonical_face
from vast_core.stages.base_loop import Loop

CANONICAL = canonical_face()
FACE = SimpleNamespace(
    triangles=CANONICAL.triangles, lips=CANONICAL.lips, eyes=np.union1d(CANONICAL.eye_left, CANONICAL.eye_right)
)
SIZE = 120


def clip(across, down=0.0):
    """A base clip whose head is at these places (T,), in pixels, and its pictures: a dot on the tip of the nose."""
    across = np.asarray(across, np.float32)
    pose = np.zeros((len(across), 3, 4), np.float32)
    pose[:, 0, 0], pose[:, 1, 1], pose[:, 2, 2] = 3, -3, -3
    pose[:, 0, 3], pose[:, 1, 3] = SIZE / 2 + across, SIZE / 2 + down
    base = SimpleNamespace(
        identity=torch.tensor(CANONICAL.vertices),
        displacement=torch.zeros(len(across), *CANONICAL.vertices.shape).half(),
        pose=torch.from_numpy(pose),
    )
    rows, columns = np.mgrid[:SIZE, :SIZE]
    nose = np.einsum("tij,j->ti", pose[:, :, :3], CANONICAL.vertices[1]) + pose[..., 3]
    pictures = [
        np.repeat((255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / 8))[..., None], 3, 2).astype(np.uint8)
        for x, y, _ in nose
    ]
    return base, pictures


def faces(base):
    return np.einsum("tij,vj->tvi", base.pose[:, :, :3], CANONICAL.vertices) + base.pose[:, None, :, 3].numpy()


def places(pictures):
    """Where the dot is, across, in each picture."""
    columns = np.arange(SIZE)
    weight = np.stack([picture[..., 0] for picture in pictures]).astype(float).sum(1)
    return (weight * columns).sum(1) / weight.sum(1)


def test_it_joins_moments_in_which_the_head_is_and_moves_alike():
    time = np.arange(150)
    base, _ = clip(6 * np.sin(2 * np.pi * time / 60))
    loop = Loop.find(faces(base), 25)
    assert loop.fade == 10
    assert (loop.stop - loop.start) % 60 == 0  # half a period is at the same place, too, but moves the other way
    assert len(loop) >= 75


def test_pictures_and_faces_pass_the_join_without_a_jump():
    time = np.arange(120)
    base, pictures = clip(0.05 * time + 4 * np.sin(2 * np.pi * time / 50))
    loop = Loop.find(faces(base), 25)
    drawn = list(loop.pictures(pictures, base, FACE))
    assert len(drawn) == len(loop) == len(loop.mixed(base.pose))
    assert all(np.array_equal(a, b) for a, b in zip(drawn, pictures[loop.start : loop.stop - loop.fade], strict=False))
    tracked = loop.mixed(base.pose)[:, 0, 3].numpy() + 3 * CANONICAL.vertices[1, 0]
    assert np.abs(places(drawn) - tracked).max() < 0.5  # the face is where the tracks say it is
    steps = np.abs(np.diff(np.append(places(drawn), places(drawn)[0])))
    assert steps.max() < 1.3 * np.abs(np.diff(places(pictures))).max()
    # a picture of the join shows one dot, as sharp as the footage's, not two
    assert min(picture.max() for picture in drawn) > 0.9 * min(picture.max() for picture in pictures)


def test_moments_that_are_not_alike_are_joined_more_slowly():
    base, _ = clip(np.linspace(0, 70, 150))
    assert Loop.find(faces(base), 25).fade == 30


@pytest.mark.parametrize("frames", [1, 2, 3, 12])
def test_a_clip_that_is_too_short_is_played_forward_and_back(frames):
    base, pictures = clip(np.arange(frames))
    loop = Loop.find(faces(base), 25)
    order = [*range(frames), *range(frames - 2, 0, -1)]
    assert len(loop) == len(order)
    assert [int(row) for row in loop.mixed(torch.arange(frames))] == order
    assert all(a is pictures[b] for a, b in zip(loop.pictures(pictures, base, FACE), order, strict=True))
