"""Head and jaw beside SciPy's rotations; frames between frames."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

from vast_core.mesh import canonical_face
from vast_motion.head import JAW, angles, head_of, jaw_of, quaternions
from vast_motion.take import take_of


def test_the_head_is_that_of_the_pose(motion, samples):
    rotation, translation = head_of(motion.pose, motion.own_pose)
    assert np.allclose(rotation, Rotation.from_euler("YXZ", samples.angles()).as_matrix(), atol=1e-6)
    assert np.allclose(translation[-1], [1, 2, 0], atol=1e-5), "to the right and up, in centimetres"
    assert np.allclose(angles(rotation), samples.angles(), atol=1e-6)


def test_angles_and_quaternions_are_those_of_scipy():
    turns = Rotation.random(200, random_state=5)
    matrices = turns.as_matrix()
    found = angles(matrices)
    assert np.allclose(Rotation.from_euler("YXZ", found).as_matrix(), matrices, atol=1e-9)
    assert np.allclose(Rotation.from_quat(quaternions(matrices)).as_matrix(), matrices, atol=1e-9)


def test_neighbouring_quaternions_never_go_the_long_way():
    around = Rotation.from_rotvec(np.linspace(0, 4 * np.pi, 60)[:, None] * [0, 1, 0]).as_matrix()
    found = quaternions(around)
    assert ((found[1:] * found[:-1]).sum(1) > 0).all()


def test_the_jaw_turns_as_the_chin_does():
    neutral = canonical_face().vertices.astype(np.float64)
    turned = Rotation.from_euler("YX", [[0.05, 0.2], [0.0, 0.0], [-0.04, 0.1]]).as_matrix()
    vertices = JAW + (neutral - JAW) @ turned.transpose(0, 2, 1)
    assert np.allclose(jaw_of(vertices, neutral), turned, atol=0.01)
    assert np.allclose(jaw_of(vertices, neutral)[1], np.eye(3))


@pytest.mark.parametrize("fps", [25.0, 30.0, 60.0, 24.0, 29.97])
def test_frames_are_at_exact_times(motion, fps, samples):
    taken = take_of(motion, fps=fps, own=False)
    frames = np.ceil(samples.frames / samples.fps * fps - 1e-6)
    assert len(taken) == len(taken.vertices) == len(taken.rotation) == frames
    assert np.array_equal(taken.times, np.arange(len(taken)) / fps)
    inside = taken.times <= (samples.frames - 1) / samples.fps
    source = np.arange(samples.frames) / samples.fps
    own = take_of(motion, own=False)
    for column in range(52):
        expected = np.interp(taken.times, source, own.curves[:, column])
        assert np.allclose(taken.curves[:, column], expected, atol=1e-9)
    between = Slerp(source, Rotation.from_euler("YXZ", samples.angles()))(taken.times[inside]).as_matrix()
    assert np.allclose(taken.rotation[inside], between, atol=1e-6)
    assert np.allclose(taken.curves[~inside], own.curves[-1]), "the last frame holds"


def test_the_curves_of_a_take_are_those_of_the_motion(take, samples):
    assert np.abs(take.curves - samples.curves()).max() < 0.05
    assert take.error.explained > 0.99
    assert take.error.millimetres < 0.2
    assert "the curves explain 100.0 % of the motion" in str(take.error)
