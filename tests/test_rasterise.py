"""The rasteriser against closed forms and OpenCV's own warps."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from vast_core.mesh import canonical_face, interpolate, rasterise, sample_texture, shade, vertex_normals

ONE = np.array([[0, 1, 2]])
QUAD = np.array([[0, 1, 2], [0, 2, 3]])


def sphere(radius: float, centre: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """The half of a sphere that faces the viewer, in the image frame."""
    angle, tilt = np.meshgrid(np.linspace(0, 2 * np.pi, 49)[:-1], np.linspace(0, np.pi / 2, 25), indexing="xy")
    unit = np.stack([np.sin(tilt) * np.cos(angle), np.sin(tilt) * np.sin(angle), -np.cos(tilt)], -1).reshape(-1, 3)
    at = np.arange(24 * 48).reshape(24, 48)
    right, down = np.roll(at, -1, 1), at + 48
    faces = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((at, right, down), (right, right + 48, down))])
    vertices = unit * radius + np.array([*centre, 0])
    normals = np.cross(vertices[faces[:, 1]] - vertices[faces[:, 0]], vertices[faces[:, 2]] - vertices[faces[:, 0]])
    outward = (normals * unit[faces].mean(1)).sum(1) > 0
    faces[~outward] = faces[~outward][:, ::-1]
    return vertices, faces


def frontal(size: int) -> np.ndarray:
    return canonical_face().vertices * np.array([1, -1, -1]) * size / 19 + np.array([size / 2, size / 2, 0])


def test_weights_give_back_the_pixel():
    """Interpolating the corners' own positions gives each pixel its coordinates: the barycentric identity."""
    corners = np.array([[3.3, 2.7, 5.0], [55.2, 9.1, 1.0], [20.6, 47.9, 9.0]])
    raster = rasterise(corners, ONE, (60, 70))
    found = interpolate(raster, ONE, corners)
    y, x = np.nonzero(raster.coverage)
    np.testing.assert_allclose(found[y, x, :2], np.stack([x, y], 1), atol=1e-3)
    np.testing.assert_allclose(raster.weights[raster.coverage].sum(1), 1, atol=1e-5)
    assert raster.weights.min() >= 0
    assert not raster.weights[~raster.coverage].any()


@pytest.mark.parametrize("third", [(20.6, 47.9, 0), (20.6, 2.7, 0), (3.3, 47.9, 0), (90.0, -30.0, 0)])
def test_a_pixel_is_drawn_where_its_centre_is_inside(third):
    """Compared with OpenCV's point-in-polygon test."""
    corners = np.array([[3.3, 2.7, 0], [55.2, 9.1, 0], third])
    coverage = rasterise(corners, ONE, (60, 70)).coverage
    polygon = corners[:, :2].astype(np.float32)
    for y in range(60):
        for x in range(70):
            distance = cv2.pointPolygonTest(polygon, (float(x), float(y)), True)
            if abs(distance) > 1e-3:
                assert coverage[y, x] == (distance > 0), (x, y, distance)


@pytest.mark.parametrize("front", [0, 1])
def test_the_nearer_triangle_hides_the_farther(front):
    near, far = np.array([[5, 5, -4], [40, 5, -4], [5, 40, -4]]), np.array([[30, 30, 3], [2, 30, 3], [30, 2, 3]])
    vertices = np.concatenate([near, far] if front == 0 else [far, near])
    raster = rasterise(vertices, np.arange(6).reshape(2, 3), (50, 50))
    assert raster.triangle[18, 18] == front
    assert raster.triangle[10, 10] == front
    assert set(np.unique(raster.triangle)) == {-1, 0, 1}


def test_neighbours_leave_no_gap():
    face = canonical_face()
    whole = np.concatenate([face.triangles, face.fillers])
    coverage = rasterise(frontal(256), whole, (256, 256)).coverage
    _, parts = cv2.connectedComponents((~coverage).astype(np.uint8))
    assert parts.max() == 1, "one background, no hole"


def test_the_mouth_is_a_hole_without_fillers():
    face = canonical_face()
    vertices = frontal(256)
    x, y = vertices[face.inner_lip_pair, :2].mean(0).round().astype(int)
    assert not rasterise(vertices, face.triangles, (256, 256)).coverage[y, x]


def test_a_sub_pixel_move_moves_the_texture_by_as_much():
    """A picture on a square that moves by 0.3 pixels equals OpenCV's own shift by 0.3 pixels."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.uniform(0, 255, (40, 40, 3)).astype(np.float32), (0, 0), 2)
    uv = np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    for dx, dy in ((0.0, 0.0), (0.3, 0.0), (0.25, -0.6)):
        corners = np.concatenate([uv * 40 - 0.5 + np.array([10 + dx, 10 + dy]), np.zeros((4, 1))], 1)
        drawn = sample_texture(rasterise(corners, QUAD, (60, 60)), QUAD, uv, picture)
        matrix = np.array([[1, 0, 10 + dx], [0, 1, 10 + dy]])
        expected = cv2.warpAffine(picture, matrix, (60, 60), flags=cv2.INTER_LINEAR)
        # OpenCV's warps interpolate at steps of 1/32 pixel.
        np.testing.assert_allclose(drawn[13:47, 13:47], expected[13:47, 13:47], atol=0.5)
        assert drawn.dtype == np.float32


def test_texture_keeps_its_type_and_is_black_outside():
    uv = np.array([[0, 0], [1, 0], [1, 1]])
    raster = rasterise(np.array([[5, 5, 0], [20, 5, 0], [20, 20, 0]]), ONE, (30, 30))
    drawn = sample_texture(raster, ONE, uv, np.full((8, 8, 3), 200, np.uint8))
    assert drawn.dtype == np.uint8
    assert (drawn[raster.coverage] == 200).all()
    assert not drawn[~raster.coverage].any()
    assert sample_texture(raster, ONE, uv, np.full((8, 8, 1), 200, np.uint8)).shape == (30, 30, 1)


def test_normals_of_a_sphere_are_its_radii():
    vertices, faces = sphere(50, (64, 64))
    normals = vertex_normals(vertices, faces)
    rim_excluded = vertices[:, 2] < -5
    expected = (vertices - np.array([64, 64, 0])) / 50
    np.testing.assert_allclose(normals[rim_excluded], expected[rim_excluded], atol=0.04)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_an_unused_vertex_has_no_normal():
    normals = vertex_normals(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9]]), ONE)
    np.testing.assert_array_equal(normals[3], 0)
    np.testing.assert_array_equal(normals[0], [0, 0, 1])


def test_shading_of_a_sphere_follows_lamberts_law():
    vertices, faces = sphere(50, (64, 64))
    raster = rasterise(vertices, faces, (128, 128))
    light = np.array([0.5, -0.4, -0.8])
    found = shade(raster, faces, vertex_normals(vertices, faces), light=tuple(light), ambient=0.2)
    y, x = np.indices((128, 128)) - 64.0
    inside = x**2 + y**2 < 46**2
    normal = np.stack([x, y, -np.sqrt(np.maximum(50**2 - x**2 - y**2, 0))], -1) / 50
    expected = 0.2 + 0.8 * np.clip(normal @ (light / np.linalg.norm(light)), 0, 1)
    np.testing.assert_allclose(found[inside], expected[inside], atol=0.02)
    assert not found[~raster.coverage].any()


def test_shading_is_smooth_across_triangles():
    face = canonical_face()
    vertices = frontal(256)
    raster = rasterise(vertices, face.triangles, (256, 256))
    image = shade(raster, face.triangles, vertex_normals(vertices, face.triangles))
    forehead = image[60:75, 110:146]
    assert np.abs(np.diff(forehead, axis=1)).max() < 0.02


def test_triangles_beyond_the_image_and_edge_on_do_no_harm():
    vertices = np.array([[-1e9, 5, 0], [1e9, 5, 0], [10, 1e9, 0], [400, 400, 1], [10, 10, -1]])
    triangles = np.array([[0, 1, 2], [3, 3, 3], [4, 4, 4]])
    raster = rasterise(vertices, triangles, (20, 30))
    assert (raster.triangle[8:, 1:] >= 0).all()
    assert np.isfinite(raster.weights).all()


def test_an_empty_mesh_gives_an_empty_image():
    raster = rasterise(np.zeros((3, 3)), np.zeros((0, 3), int), (8, 9))
    assert not raster.coverage.any()
    assert interpolate(raster, np.zeros((0, 3), int), np.zeros((3, 2))).shape == (8, 9, 2)


def test_bad_vertices_are_named():
    vertices = np.zeros((4, 3))
    vertices[2, 1] = np.nan
    with pytest.raises(ValueError, match="vertex 2 is not finite"):
        rasterise(vertices, ONE, (8, 8))
    with pytest.raises(ValueError, match=r"\(4, 2\)"):
        rasterise(vertices[:, :2], ONE, (8, 8))
