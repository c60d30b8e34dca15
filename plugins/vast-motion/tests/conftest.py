"""A motion whose curves, head and face are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from vast_core.mesh import canonical_face
from vast_core.speak.moving import Motion
from vast_motion.names import NAMES
from vast_motion.shapes import SOLVED, general_shapes
from vast_motion.take import take_of

FPS, FRAMES = 25.0, 40
IMAGE = np.diag([1.0, -1.0, -1.0])
"""The canonical frame to that of a picture."""


def known_curves(frames=FRAMES):
    """Curves (T, 52) of an open mouth, a smile, and brows that rise."""
    curves = np.zeros((frames, len(NAMES)))
    way = np.linspace(0, 2 * np.pi, frames)
    curves[:, NAMES.index("jawOpen")] = 0.3 - 0.3 * np.cos(3 * way)
    curves[:, NAMES.index("mouthSmileLeft")] = 0.4
    curves[:, NAMES.index("mouthSmileRight")] = 0.6
    curves[:, NAMES.index("browInnerUp")] = 0.5 + 0.5 * np.sin(way)
    return curves


def known_angles(frames=FRAMES):
    """Rotations (T, 3) of the head about y, x and z, in radians."""
    way = np.linspace(0, 2 * np.pi, frames)
    return np.stack([0.3 * np.sin(way), 0.1 * np.cos(way), 0.05 * np.sin(2 * way)], axis=1)


def motion_with(curves, shapes, **changes):
    face, frames = canonical_face(), len(curves)
    neutral = face.vertices * [1.05, 0.97, 1.0]
    turned = Rotation.from_euler("YXZ", known_angles(frames)).as_matrix()
    scale, middle = 12.0, np.array([128.0, 140.0, 0.0])
    place = middle + np.stack([np.linspace(0, 12, frames), np.linspace(0, -24, frames), np.zeros(frames)], axis=1)
    pose = np.concatenate([scale * IMAGE @ turned, place[..., None]], axis=2)
    parts = {
        "fps": FPS,
        "wave": np.sin(np.arange(round(frames / FPS * 16_000)) / 9).astype(np.float32) / 2,
        "expression": np.arange(frames * 4.0).reshape(frames, 4).astype(np.float32),
        "vertices": (neutral + np.einsum("tk,kvc->tvc", curves, shapes)).astype(np.float32),
        "pose": pose.astype(np.float32),
        "neutral": neutral.astype(np.float32),
        "own": np.repeat(neutral[None].astype(np.float32), 3, axis=0),
        "own_pose": np.repeat(np.concatenate([scale * IMAGE, middle[:, None]], axis=1)[None], 3, axis=0),
        "texture": np.random.default_rng(1).integers(0, 255, (32, 32, 3), dtype=np.uint8),
        "triangles": face.triangles,
        "millimetres": 10.0,
        "canonical": True,
    }
    return Motion(**{**parts, **changes})


@pytest.fixture(scope="session")
def samples():
    """What the other fixtures are made of."""
    return SimpleNamespace(curves=known_curves, angles=known_angles, motion=motion_with, fps=FPS, frames=FRAMES)


@pytest.fixture(scope="session")
def motion():
    return motion_with(known_curves(), general_shapes())


@pytest.fixture(scope="session")
def take(motion):
    return take_of(motion, own=False)


@pytest.fixture(scope="session")
def other_face():
    """Shapes (52, V, 3) of a person who moves differently, but not much."""
    generator = np.random.default_rng(3)
    general = general_shapes()
    mixed = general.copy()
    mix = 0.08 * generator.normal(size=(len(SOLVED), len(SOLVED)))
    size = np.linalg.norm(general.reshape(52, -1)[SOLVED], axis=1)
    mixed[SOLVED] += np.einsum("kj,jvc->kvc", mix * size[:, None] / size, general[SOLVED])
    # what no mixture of the general shapes can give
    bump = np.exp(-np.square(canonical_face().vertices - [3.0, -3.0, 3.0]).sum(1) / 4)
    mixed[SOLVED] += 0.15 * size[:, None, None] * generator.normal(size=(len(SOLVED), 1, 3)) * bump[:, None] / 5
    return mixed
