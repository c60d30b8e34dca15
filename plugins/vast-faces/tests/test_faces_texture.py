"""Unwrapping and drawing, checked by drawing a known texture first."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vast_core.mesh import canonical_face, rasterise, sample_texture
from vast_faces.config import LandmarksConfig
from vast_faces.landmarks import LandmarkFace
from vast_faces.texture import texture_layout

FACE = canonical_face()
SIZE = 320
MOUTH_FILLERS = 18
OPEN = np.concatenate([FACE.triangles, FACE.fillers[MOUTH_FILLERS:]])
"""The mesh and the eyes: all but the mouth."""


@pytest.fixture(scope="module")
def face() -> LandmarkFace:
    return LandmarkFace(LandmarksConfig(texture=128))


@pytest.fixture(scope="module")
def paint() -> np.ndarray:
    """A smooth, colourful texture, symmetrical as a face."""
    noise = np.random.default_rng(0).uniform(-1, 1, (128, 128, 3)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 6)
    soft += soft[:, ::-1]
    return (128 + 90 * soft / np.abs(soft).max()).astype(np.uint8)


def vertices(yaw: float, opening: float = 0.0) -> np.ndarray:
    shape = FACE.vertices.copy()
    shape[FACE.lower_face, 1] -= opening
    cosine, sine = np.cos(yaw), np.sin(yaw)
    turned = shape @ np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]]).T
    return (turned * [1, -1, -1] * SIZE / 20 + [SIZE / 2, SIZE / 2, 0]).astype(np.float32)


def picture(points: np.ndarray, paint: np.ndarray) -> np.ndarray:
    raster = rasterise(points, OPEN, (SIZE, SIZE))
    return np.where(raster.coverage[..., None], sample_texture(raster, OPEN, FACE.uv, paint), 255)


def difference(found: np.ndarray, paint: np.ndarray, inner: int) -> float:
    """Mean difference over the mesh's texels, ``inner`` away from its border."""
    inside = cv2.erode(texture_layout(FACE, 128).coverage.astype(np.uint8), np.ones((inner, inner))) > 0
    return float(np.abs(found[inside].astype(float) - paint[inside]).mean())


def test_the_texture_that_was_drawn_is_found_again(face, paint):
    poses = [vertices(yaw) for yaw in (-0.5, -0.2, 0.0, 0.3, 0.5)]
    found = face.unwrap([picture(points, paint) for points in poses], np.stack(poses))
    assert found.shape == (128, 128, 3)
    assert found.dtype == np.uint8
    assert difference(found, paint, 5) < 4
    assert difference(paint[::-1], paint, 5) > 15, "a wrong texture would be noticed"


def test_what_is_hidden_comes_from_the_other_half(face, paint):
    """A head turned far to one side shows the half of its face; the other is its mirror image."""
    points = vertices(0.9)
    found = face.unwrap([picture(points, paint)], points[None])
    assert difference(found, paint, 7) < 10
    assert not (found == 255).all(2).any(), "no background in the face"


def test_every_texel_is_filled_also_beyond_the_mesh(face, paint):
    points = vertices(0.0)
    found = face.unwrap([picture(points, paint)], points[None])
    assert (found.max(2) > 20).all()


def test_at_most_eighty_frames_are_read_into_it_but_all_may_be_given(face, paint):
    points = np.repeat(vertices(0.0)[None], 200, axis=0)
    image = picture(points[0], paint)
    found = face.unwrap((image for _ in range(200)), points)
    np.testing.assert_array_equal(found, face.unwrap([image], points[:1]))


def test_too_few_pictures_are_an_error(face, paint):
    points = np.repeat(vertices(0.0)[None], 4, axis=0)
    with pytest.raises(ValueError, match="4 frames of vertices, but the pictures end before frame 2"):
        face.unwrap([picture(points[0], paint)] * 2, points)


def test_a_face_outside_the_picture_is_filled_from_what_is_in_it(face, paint):
    points = vertices(0.0)
    image = picture(points, paint)
    left = face.unwrap([image[:, : SIZE // 2 + 20]], points[None])
    assert difference(left, paint, 7) < 10


def test_drawing_gives_shape_type_and_coverage(face, paint):
    points = np.stack([vertices(0.0, 1.0), vertices(0.4)])
    drawing = face.draw(points, SIZE, paint)
    assert drawing.mesh.shape == drawing.texture.shape == (2, 3, SIZE, SIZE)
    assert drawing.coverage.shape == (2, 1, SIZE, SIZE)
    assert drawing.mesh.dtype == drawing.texture.dtype == drawing.coverage.dtype == np.uint8
    assert set(np.unique(drawing.coverage)) == {0, 255}
    for layer in (drawing.mesh, drawing.texture):
        assert not layer[np.broadcast_to(drawing.coverage == 0, layer.shape)].any()
    assert (drawing.mesh[:, 0] == drawing.mesh[:, 1]).all(), "grey"
    inside = drawing.coverage[0, 0] > 0
    expected = picture(points[0], paint)
    np.testing.assert_array_equal(drawing.texture[0].transpose(1, 2, 0)[inside], expected[inside])


def test_an_open_mouth_is_drawn_open(face):
    points = vertices(0.0, 1.0)
    x, y = points[[13, 14], :2].mean(0).round().astype(int)
    assert face.draw(points[None], SIZE).coverage[0, 0, y, x] == 0


def eye_middles(points: np.ndarray) -> list[tuple[int, int]]:
    """(x, y) half-way between the lids."""
    return [tuple(points[ring, :2].mean(0).round().astype(int).tolist()) for ring in (FACE.eye_left, FACE.eye_right)]


def blink(points: np.ndarray) -> np.ndarray:
    """The same face, its lids shut: each lid's edge on the line between the corners."""
    shut = points.copy()
    for ring in (FACE.eye_left, FACE.eye_right):
        inner, outer = points[ring[0], :2], points[ring[8], :2]
        share = (points[ring, 0] - inner[0]) / (outer[0] - inner[0])
        shut[ring, 1] = inner[1] + share * (outer[1] - inner[1])
    return shut


def test_eyes_are_in_the_texture_and_holes_in_the_mesh(face, paint):
    points = vertices(0.0, 1.0)
    drawing = face.draw(points[None], SIZE, paint)
    for x, y in eye_middles(points):
        assert drawing.coverage[0, 0, y, x] == 255
        assert drawing.texture[0, :, y, x].min() > 0
        assert drawing.mesh[0, 0, y, x] == 0
    x, y = points[[13, 14], :2].mean(0).round().astype(int)
    assert drawing.coverage[0, 0, y, x] == 0, "an open mouth is open in every layer"


def test_blinks_leave_no_trace_on_the_eyes(face, paint):
    """Shut eyes are seen as black streaks where the lids meet; none may come into the texture."""
    points = vertices(0.0)
    shut = blink(points)
    open_eyes, dark = picture(points, paint), picture(shut, np.zeros_like(paint))
    alone = face.unwrap([open_eyes], points[None])
    found = face.unwrap([open_eyes, dark, open_eyes], np.stack([points, shut, points]))
    eyes = cv2.erode((texture_layout(FACE, 128).triangle >= len(FACE.triangles)).astype(np.uint8), np.ones((3, 3))) > 0
    assert eyes.sum() > 20
    assert np.abs(found[eyes].astype(int) - alone[eyes]).max() <= 1
    skin = texture_layout(FACE, 128).triangle < len(FACE.triangles)
    assert (alone[skin].astype(int) - found[skin]).mean() > 10, "elsewhere every frame counts"


def test_without_a_texture_the_mesh_is_drawn_twice(face):
    drawing = face.draw(vertices(0.0)[None], 64)
    np.testing.assert_array_equal(drawing.mesh, drawing.texture)
