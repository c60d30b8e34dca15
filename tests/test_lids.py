"""Lids of a style and of the base clip together: never through each other, closed in a blink, otherwise free."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch

from vast_core.speak.lids import NARROWEST, Lids

POINTS, FRAMES = 16, 40
BLINK = 20


def ellipse(x, opening):
    turn = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
    return np.stack([x + 1.5 * np.cos(turn), opening * np.sin(turn), 0 * turn], 1)


def people(opening):
    """Two eyes in mixed order, a cheek near them, and a chin (V, 3), in centimetres."""
    eyes = np.concatenate([ellipse(-3, opening), ellipse(3, opening)])[np.random.default_rng(0).permutation(2 * POINTS)]
    return torch.tensor(np.concatenate([eyes, [[3, -1.2, 0], [0, -9, 0]]])).float()


FACE = SimpleNamespace(eyes=np.arange(2 * POINTS), millimetres=10.0)
REST = people(0.5)


@pytest.fixture
def base():
    """A clip whose eyes are at rest but for one blink."""
    own = torch.stack([people(0.5)] * FRAMES)
    own[BLINK] = people(0.01)
    own[:, -1, 1] += torch.arange(FRAMES) / FRAMES  # the chin moves
    return SimpleNamespace(identity=REST, displacement=own - REST)


def openings(shape):
    """The smaller area of both eyes in each frame by OpenCV, relative to rest, negative if a contour is turned."""
    order = [np.arctan2(*(REST[side, :2] - REST[side, :2].mean(0)).numpy()[:, ::-1].T).argsort() for side in sides()]
    areas = [
        [cv2.contourArea(frame[side][turn][:, :2].numpy().astype(np.float32), oriented=True) for frame in shape]
        for side, turn in zip(sides(), order, strict=True)
    ]
    rest = np.pi * 1.5 * 0.5
    return np.sign(areas[0][0]) * np.min(np.sign(areas[0][0]) * np.array(areas), 0) / rest


def sides():
    left = REST[: 2 * POINTS, 0] < 0
    return [torch.nonzero(left)[:, 0], torch.nonzero(~left)[:, 0]]


def styled(opening):
    return torch.stack([people(opening)] * FRAMES)


def test_a_style_that_narrows_the_eyes_leaves_them_open_and_the_blink_closes_them(base):
    found = np.abs(openings(Lids(FACE, base).blinking(styled(0.05), range(FRAMES))))
    assert found[:BLINK].min() > 0.9 * NARROWEST
    assert found[BLINK] < 0.05


def test_lids_are_never_turned_inside_out_though_style_and_clip_both_close_them(base):
    plain = styled(0.05)
    plain[:, : 2 * POINTS] += base.displacement[:, : 2 * POINTS]
    assert openings(plain)[BLINK] * openings(plain)[0] < 0, "added up, they are"
    found = openings(Lids(FACE, base).blinking(styled(0.05), range(FRAMES)))
    assert (found * found[0] > 0).all()


def test_eyes_wide_open_and_what_is_far_from_them_stay_the_styles(base):
    wide = styled(0.8)
    wide[:, -1, 1] += 1
    found = Lids(FACE, base).blinking(wide, range(FRAMES))
    others = torch.arange(FRAMES) != BLINK
    torch.testing.assert_close(found[others], wide[others], atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, -1], wide[:, -1])


def test_the_frames_that_are_played_are_those_that_blink(base):
    found = np.abs(openings(Lids(FACE, base).blinking(styled(0.5)[:3], [BLINK - 1, BLINK, BLINK + 1])))
    assert found[1] < 0.05 < 0.9 < min(found[0], found[2])
