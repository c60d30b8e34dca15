"""The canonical face against the topology and symmetry that a human face has."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import attrs
import numpy as np
import pytest
from safetensors import safe_open

import vast_core
from vast_core.mesh import CanonicalFace, canonical_face


@pytest.fixture(scope="module")
def face() -> CanonicalFace:
    return canonical_face()


def edges(triangles: np.ndarray) -> Counter[tuple[int, ...]]:
    """Number of triangles at each edge."""
    pairs = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    return Counter(map(tuple, pairs.tolist()))


def ring_edges(ring: np.ndarray) -> set[tuple[int, ...]]:
    return {tuple(sorted(pair)) for pair in zip(ring.tolist(), np.roll(ring, -1).tolist(), strict=True)}


def test_shapes_and_types(face):
    assert face.vertices.shape == (468, 3)
    assert face.vertices.dtype == np.float32
    assert face.uv.shape == (468, 2)
    assert face.triangles.shape == (852, 3)
    assert face.triangles.dtype == np.int64
    assert face.fillers.shape == (46, 3)
    assert face.alignment_index.shape == face.alignment_weight.shape == (33,)


def test_it_is_cached_and_read_only(face):
    assert canonical_face() is face
    for field in attrs.fields(CanonicalFace):
        assert not getattr(face, field.name).flags.writeable, field.name


def test_axes_and_unit(face):
    nose, forehead, chin = face.vertices[[4, 10, 152]]
    assert face.vertices[:, 2].argmax() == 4, "z is toward the viewer: the tip of the nose is nearest"
    assert forehead[1] > nose[1] > chin[1], "y is up"
    right, left = face.vertices[face.eye_corners]
    assert right[0] < 0 < left[0], "the subject's right eye is at the image's left"
    assert 8 < np.linalg.norm(left - right) < 10, "outer eye corners of an adult are about 9 cm apart"


def test_triangles_face_the_viewer_counter_clockwise(face):
    a, b, c = (face.vertices[face.triangles[:, k]] for k in range(3))
    assert (np.cross(b - a, c - a)[:, 2] > 0).mean() > 0.98


def test_texture_coordinates_run_down_and_right(face):
    assert face.uv.min() >= 0
    assert face.uv.max() <= 1
    assert face.uv[10, 1] < face.uv[152, 1], "forehead above chin"
    assert face.uv[33, 0] < face.uv[263, 0]


def test_the_mesh_without_fillers_has_exactly_four_holes(face):
    """The border of the remaining triangles is the face's rim, the inner lips and the two eyes."""
    border = {edge for edge, count in edges(face.triangles).items() if count == 1}
    rings = (face.face_oval, face.lips_inner, face.eye_left, face.eye_right)
    assert border == set().union(*map(ring_edges, rings))


def test_with_fillers_only_the_rim_is_open(face):
    whole = edges(np.concatenate([face.triangles, face.fillers]))
    assert {edge for edge, count in whole.items() if count == 1} == ring_edges(face.face_oval)
    assert max(whole.values()) == 2, "a surface, not a fan"


def test_the_outer_lip_ring_runs_along_edges(face):
    assert ring_edges(face.lips_outer) <= set(edges(face.triangles))
    assert set(face.lips) == set(face.lips_outer) | set(face.lips_inner)


def test_mirror_is_a_symmetry_of_points_and_triangles(face):
    np.testing.assert_array_equal(face.mirror[face.mirror], np.arange(468))
    np.testing.assert_array_equal(face.vertices[face.mirror], face.vertices * np.float32([-1, 1, 1]))
    triangles = {tuple(sorted(t)) for t in face.triangles.tolist()}
    assert {tuple(sorted(t)) for t in face.mirror[face.triangles].tolist()} == triangles


def test_regions_are_symmetric_and_apart(face):
    for name in ("lips", "brows", "upper_face", "lower_face", "face_oval", "eye_corners", "inner_lip_pair"):
        region = set(getattr(face, name).tolist())
        assert set(face.mirror[list(region)].tolist()) == region, name
    assert set(face.mirror[face.eye_left]) == set(face.eye_right)
    assert not set(face.upper_face) & set(face.lower_face)
    assert set(face.lips) | {152} <= set(face.lower_face)
    assert set(face.brows) | set(face.eye_left) | set(face.eye_right) | {10, 151} <= set(face.upper_face)
    assert not {1, 4, 6, 197} & set(face.upper_face), "the nose is no part of the upper face"


def test_the_file_says_where_it_comes_from():
    with safe_open(Path(vast_core.__file__).with_name("mesh") / "canonical.safetensors", "np") as file:
        header = file.metadata()
    assert header["license"] == "Apache-2.0"
    assert header["sha256"] == "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
    assert "face_landmarker.task" in header["source"]
