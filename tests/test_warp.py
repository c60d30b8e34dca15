"""A face is moved to where it is wanted, and nothing else is."""

from types import SimpleNamespace

import numpy as np
import pytest

from vast_core.mesh import canonical_face
from vast_core.mesh.warp import Wanted, known, warped, with_face

SIZE = 160
CANONICAL = canonical_face()
FACE = SimpleNamespace(
    triangles=CANONICAL.triangles, lips=CANONICAL.lips, eyes=np.union1d(CANONICAL.eye_left, CANONICAL.eye_right)
)


def placed(vertices, scale=4.5, centre=(80.0, 80.0)):
    return (vertices * np.float32([scale, -scale, -scale]) + np.float32([*centre, 0])).astype(np.float32)


NEUTRAL = placed(CANONICAL.vertices)


def opened(by=1.2):
    """The lower lip and chin drop by centimetres."""
    vertices = CANONICAL.vertices.copy()
    middle = vertices[CANONICAL.lips_inner, 1].mean()
    below = np.isin(np.arange(len(vertices)), CANONICAL.lower_face) & (vertices[:, 1] < middle - 0.05)
    vertices[below, 1] -= by
    return placed(vertices)


def dot(at):
    y, x = np.mgrid[:SIZE, :SIZE]
    blob = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / 8)
    return np.repeat(blob[..., None], 3, 2).astype(np.uint8)


def centre_of(picture):
    weight = picture[..., 0].astype(float) ** 2
    y, x = np.mgrid[:SIZE, :SIZE]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("vertex", [17, 152, 1])  # lower lip, chin, tip of the nose
def test_what_is_seen_at_a_vertex_moves_with_it(vertex):
    after = opened()
    moved = warped(dot(NEUTRAL[vertex]), Wanted(after, FACE, SIZE).shift_from(NEUTRAL))
    assert np.abs(centre_of(moved) - after[vertex, :2]).max() < 1.5


def test_the_same_face_leaves_the_picture_as_it_is():
    noise = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    shift = Wanted(NEUTRAL, FACE, SIZE).shift_from(NEUTRAL)
    assert np.abs(shift).max() < 1e-4
    assert np.array_equal(warped(noise, shift), noise)
    assert np.array_equal(with_face(noise, NEUTRAL, NEUTRAL, FACE), noise)


def test_several_faces_at_once_are_as_each_alone():
    wanted = Wanted(NEUTRAL, FACE, SIZE)
    faces = [opened(by) for by in (0.3, 0.8, 1.2)]
    for face, shift in zip(faces, wanted.shifts_from(faces), strict=True):
        assert np.allclose(shift, wanted.shift_from(face), atol=1e-4)


def test_beyond_the_ring_and_at_the_upper_rim_nothing_moves():
    after = opened()
    after[:, 0] += 3  # an error of the tracker that moves everything
    shift = np.abs(Wanted(after, FACE, SIZE).shift_from(NEUTRAL)).max(-1)
    assert shift[[0, -1]].max() == 0
    assert shift[:, [0, -1]].max() == 0
    top = after[10, :2].round().astype(int)  # the middle of the forehead's rim
    assert shift[top[1] - 1, top[0]] < 0.2
    assert shift[after[152, 1].round().astype(int) - 2, top[0]] > 4


def test_a_frame_of_any_size_is_moved_as_its_crop_is():
    scale = 3
    large, after = scale * NEUTRAL, scale * opened()
    frame = np.repeat(np.repeat(dot(NEUTRAL[152]), scale, 0), scale, 1)
    moved = with_face(frame, large, after, FACE)
    weight = moved[..., 0].astype(float) ** 2
    y, x = np.mgrid[: moved.shape[0], : moved.shape[1]]
    found = np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()
    assert np.abs(found - after[152, :2]).max() < 3 * scale


def test_what_is_stretched_out_of_a_closed_mouth_is_unknown():
    after = opened()
    sure = known(Wanted(after, FACE, SIZE).shift_from(NEUTRAL))
    middle = (after[13, :2] + after[14, :2]) / 2
    nose = after[1, :2]
    assert sure[tuple(middle[::-1].round().astype(int))] < 0.5
    assert sure[tuple(nose[::-1].round().astype(int))] > 0.9
    # and a mouth that closes hides what was there, but shows nothing new
    shut = known(Wanted(NEUTRAL, FACE, SIZE).shift_from(after))
    assert shut[tuple(NEUTRAL[17, 1::-1].round().astype(int))] > 0.9
