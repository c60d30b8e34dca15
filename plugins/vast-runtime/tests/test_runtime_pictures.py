"""The runtime's pictures, pixel by pixel those of vast, on faces in many poses and expressions."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from vast_core.mesh import Crop as CoreCrop
from vast_core.mesh import canonical_face, hull_masks, interpolate, rasterise, sample_texture, shade, vertex_normals
from vast_core.mesh import close_up as core_mouths
from vast_core.mesh import warp as core_warp
from vast_runtime.crops import Crop, hull_mask
from vast_runtime.meshes import Raster
from vast_runtime.mouths import Mouths
from vast_runtime.warping import with_face

MESH = canonical_face()
SIZE = 200


def opening_of(vertices):
    upper, lower = MESH.inner_lip_pair.tolist()
    right, left = MESH.eye_corners.tolist()
    opening = torch.linalg.vector_norm(vertices[..., upper, :] - vertices[..., lower, :], dim=-1)
    return opening / torch.linalg.vector_norm(vertices[..., right, :] - vertices[..., left, :], dim=-1)


FACE = SimpleNamespace(
    triangles=MESH.triangles.copy(),
    lips=MESH.lips.copy(),
    eyes=np.union1d(MESH.eye_left, MESH.eye_right),
    lip_opening=opening_of,
)
TABLES = {"triangles": FACE.triangles, "lips": FACE.lips, "eyes": FACE.eyes}


def pose_of(seed, scale=7.0):
    """A head (3, 4) turned a little, in the middle of a picture."""
    chance = np.random.default_rng(seed)
    turn, _ = cv2.Rodrigues(chance.normal(0, 0.25, 3))
    pose = np.empty((3, 4), np.float32)
    pose[:, :3] = scale * np.diag([1, -1, -1]) @ turn
    pose[:, 3] = SIZE / 2 + chance.normal(0, 5), SIZE / 2 + chance.normal(0, 5), 0
    return pose


def face_of(seed, pose):
    """Vertices (V, 3) in pixels, with an open mouth or a moved brow."""
    chance = np.random.default_rng(100 + seed)
    shape = MESH.vertices + np.float32(0.1) * chance.normal(size=MESH.vertices.shape).astype(np.float32)
    shape[MESH.lower_face, 1] -= chance.uniform(0, 0.8)
    return (shape @ pose[:, :3].T + pose[:, 3]).astype(np.float32)


def picture(seed, shape=(SIZE, SIZE + 20, 3)):
    noise = np.random.default_rng(seed).integers(0, 256, (shape[0] // 4, shape[1] // 4, 3), np.uint8)
    return cv2.resize(noise, shape[1::-1], interpolation=cv2.INTER_CUBIC)


each = pytest.mark.parametrize("seed", range(4))


@each
def test_a_mesh_is_drawn_as_by_vast(seed):
    vertices = face_of(seed, pose_of(seed))
    ours, core = Raster.of(vertices, FACE.triangles, SIZE), rasterise(vertices, FACE.triangles, (SIZE, SIZE))
    assert core.coverage.mean() > 0.2
    np.testing.assert_array_equal(ours.drawn, core.triangle)
    np.testing.assert_allclose(ours.weights, core.weights, atol=1e-6)
    bright = shade(core, FACE.triangles, vertex_normals(vertices, FACE.triangles))
    np.testing.assert_allclose(ours.shaded(vertices), bright, atol=1e-6)
    texture = picture(seed, (64, 64, 3))
    wanted = sample_texture(core, FACE.triangles, MESH.uv, texture)
    np.testing.assert_array_equal(ours.textured(MESH.uv, texture), wanted)
    np.testing.assert_allclose(
        ours.interpolate(vertices), interpolate(core, FACE.triangles, vertices), rtol=1e-5, atol=1e-4
    )


@each
@pytest.mark.parametrize("side", [60.0, 130.5, 700.0])
def test_squares_are_cut_and_pasted_as_by_vast(seed, side):
    place = (20.3, -7.6, side, 96)
    ours, core, frame = Crop(*place), CoreCrop(*place), picture(seed)
    weight = hull_mask(face_of(seed, pose_of(seed, 3.0)) - 50, 96).astype(np.float32)
    pose = pose_of(seed)
    np.testing.assert_array_equal(ours.cut(frame), core.cut(frame))
    np.testing.assert_array_equal(
        ours.paste(frame, picture(seed + 9, (96, 96, 3)), weight),
        core.paste(frame, picture(seed + 9, (96, 96, 3)), weight),
    )
    vertices = face_of(seed, pose)
    np.testing.assert_array_equal(ours.vertices(vertices), core.vertices(vertices))
    np.testing.assert_allclose(ours.pose(pose), core.pose(torch.from_numpy(pose)).numpy(), rtol=1e-6)
    np.testing.assert_array_equal(hull_mask(vertices, SIZE), hull_masks(vertices[None], SIZE)[0, 0])


@each
def test_a_face_is_moved_as_by_vast(seed):
    pose, frame = pose_of(seed), picture(seed)
    before, after = face_of(seed, pose), face_of(seed + 50, pose)
    core = core_warp.with_face(frame, before, after, FACE)
    assert (core != frame).mean() > 0.1
    np.testing.assert_array_equal(with_face(frame, before, after, TABLES), core)


@each
@pytest.mark.parametrize("remembered", [2, 9])
def test_a_mouth_is_remembered_as_by_vast(seed, remembered):
    size = 64
    place = core_mouths.MouthPlace.of(FACE, torch.from_numpy(MESH.vertices), 2.0, size)
    poses = [pose_of(number) for number in range(remembered)]
    faces = [face_of(number, pose) for number, pose in enumerate(poses)]
    crops = [place.crop(torch.from_numpy(pose)) for pose in poses]
    near = np.stack([crop.vertices(face) for crop, face in zip(crops, faces, strict=True)])
    own = core_mouths.traits(FACE, near, torch.from_numpy(np.stack(poses)), place)
    bank = core_mouths.Mouths(place, np.stack([picture(n, (size, size, 3)) for n in range(remembered)]), near, own)
    pose, frame = pose_of(seed + 20), picture(seed + 20)
    before, after = face_of(seed + 20, pose), face_of(seed + 70, pose)
    crop = place.crop(torch.from_numpy(pose))
    now, then = crop.vertices(after)[None], crop.vertices(before)[None]
    wanted = core_mouths.traits(FACE, now, torch.from_numpy(pose)[None], place)
    core = core_mouths.close_ups(FACE, bank, now, wanted, [crop.cut(frame)], then)
    told = {"centre": place.centre.tolist(), "side": place.side, "width": place.width, "size": size}
    tables = TABLES | {"mouth_pictures": bank.pictures, "mouth_vertices": bank.vertices, "mouth_traits": bank.traits}
    mouths = Mouths(told, tables)
    opening = float(opening_of(torch.from_numpy(after)))
    ours = mouths.close_up(frame, before, after, pose, opening)
    assert ours.keys() == core.keys()
    for name, value in ours.items():
        np.testing.assert_allclose(value, core[name][0].numpy(), atol=1e-4, err_msg=name)
    assert vars(mouths.crop(pose)) == pytest.approx({"x": crop.x, "y": crop.y, "side": crop.side, "size": crop.size})
