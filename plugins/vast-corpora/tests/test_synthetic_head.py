"""Styles, articulation and the head: each factor does what it says, and only where it says."""

import attrs
import numpy as np
import pytest

from vast_core.interfaces import Phone
from vast_core.mesh import canonical_face
from vast_core.phones import PHONES
from vast_corpora.articulation import CONTROLS, DIPHTHONGS, TARGETS, articulate, head_motion
from vast_corpora.head import pose_face, speaker_shape
from vast_corpora.style import FACTORS, RANGES, Style, draw_styles

FACE = canonical_face()
TIMES = np.arange(0, 2.0, 0.01)
INNER = [191, 80, 81, 82, 13, 312, 311, 310, 415], [95, 88, 178, 87, 14, 317, 402, 318, 324]


def said(*labels, length=0.15):
    """The phones one after another, between half a second of silence."""
    times = 0.5 + length * np.arange(len(labels) + 1)
    phones = [Phone(label=label, start=times[k], end=times[k + 1]) for k, label in enumerate(labels)]
    return [
        Phone(label="SIL", start=0.0, end=0.5),
        *phones,
        Phone(label="SIL", start=times[-1], end=2.0),
    ]


def spoken(phones, **factors):
    curves = articulate(phones, Style(**factors), TIMES, np.random.default_rng(0))
    return pose_face(speaker_shape(None), curves)


def held(**controls):
    """The canonical face with controls held."""
    curves = {name: np.array([controls.get(name, 0.0)]) for name in CONTROLS}
    return pose_face(speaker_shape(None), curves)[0]


def gap(vertices):
    return np.linalg.norm(vertices[..., 13, :] - vertices[..., 14, :], axis=-1)


def width(vertices):
    return vertices[..., 291, 0] - vertices[..., 61, 0]


def test_every_phone_has_a_target():
    assert set(TARGETS) | set(DIPHTHONGS) == set(PHONES)
    assert not set(TARGETS) & set(DIPHTHONGS)


def test_neutral_controls_leave_the_neutral_face():
    np.testing.assert_allclose(held(), speaker_shape(None), atol=1e-9)


@pytest.mark.parametrize("name", sorted(set(CONTROLS) - {"close"}))
def test_each_control_moves_something_and_nothing_tears(name):
    moved = held(**{name: 0.5}) - held()
    assert np.abs(moved).max() > 0.05
    edges = np.concatenate([FACE.triangles[:, [0, 1]], FACE.triangles[:, [1, 2]], FACE.triangles[:, [2, 0]]])
    before = np.linalg.norm(np.diff(held()[edges], axis=1)[:, 0], axis=1)
    after = np.linalg.norm(np.diff(held(**{name: 0.5})[edges], axis=1)[:, 0], axis=1)
    assert (after - before).max() < 0.7


@pytest.mark.parametrize("name", ["smile", "brow", "lid"])
def test_left_and_right_are_mirror_images(name):
    left, right = held(**{f"{name}_left": 0.7}), held(**{f"{name}_right": 0.7})
    np.testing.assert_allclose(left[FACE.mirror] * [-1, 1, 1], right, atol=0.05)


def test_left_is_the_speakers_left():
    moved = np.abs(held(brow_left=1.0) - held()).sum(axis=1)
    assert moved[336] > 0.3  # inner end of the left brow
    assert moved[107] < 0.1


def test_the_jaw_opens_the_mouth_and_lowers_the_chin():
    shut, opened = held(), held(jaw=1.0)
    assert gap(opened) > 1.2
    assert opened[152, 1] < shut[152, 1] - 1.0
    np.testing.assert_allclose(opened[[1, 168, 10, 33, 263]], shut[[1, 168, 10, 33, 263]], atol=1e-6)


@pytest.mark.parametrize("jaw", [0.0, 0.4, 1.0, 1.6])
@pytest.mark.parametrize("other", ["round", "raise", "lower", "smile_left", "spread"])
def test_a_seal_closes_the_whole_opening_whatever_else_the_lips_do(jaw, other):
    face = held(jaw=jaw, close=1.0, **{other: 1.0})
    upper, lower = (face[list(ring)] for ring in INNER)
    np.testing.assert_allclose(upper, lower, atol=1e-6)


def test_a_labiodental_brings_the_lower_lip_under_the_teeth():
    face = held(jaw=0.15, tuck=1.0)
    assert face[14, 2] < face[13, 2] - 0.15
    assert 0.02 < gap(face) < 0.4


def test_rounding_narrows_and_protrudes_and_spreading_widens():
    assert width(held(round=1.0)) < width(held()) - 1.0
    assert held(round=1.0)[13, 2] > held()[13, 2] + 0.3
    assert width(held(spread=1.0)) > width(held()) + 0.5


def test_shut_lids_meet():
    face = held(lid_left=1.0, lid_right=1.0)
    # Speakers' eyes are wider than the canonical ones by a little more than the lids' full travel closes.
    for upper, lower in ((386, 374), (159, 145)):
        assert face[upper, 1] - face[lower, 1] < 0.3 * (held()[upper, 1] - held()[lower, 1])


# -------------------------------------------------------------------------------------------- styles


def test_styles_cover_every_range_evenly():
    styles = draw_styles(20, np.random.default_rng(3))
    for name in FACTORS:
        low, high = RANGES[name]
        stratum = np.floor((np.array([getattr(s, name) for s in styles]) - low) / (high - low) * 20)
        assert sorted(stratum) == list(range(20))


def test_neutral_lies_within_every_range():
    for name, (low, high) in RANGES.items():
        assert low <= getattr(Style(), name) <= high


def _rising(values):
    assert (np.diff(values) > 0).all(), values


def steps(name):
    return np.linspace(*RANGES[name], 5)


def test_jaw_scales_the_opening():
    _rising([gap(spoken(said("AA"), jaw=v)).max() for v in steps("jaw")])


def test_rounding_narrows_a_rounded_vowel():
    _rising([-width(spoken(said("UW"), rounding=v)).min() for v in steps("rounding")])


def test_spreading_widens_a_spread_vowel():
    _rising([width(spoken(said("IY"), spreading=v)).max() for v in steps("spreading")])


def test_smile_lifts_both_corners():
    _rising([spoken(said("T"), smile=v)[0, [61, 291], 1].min() for v in steps("smile")])


def test_asymmetry_favours_the_left_when_positive():
    faces = [spoken(said("T"), smile=0.6, asymmetry=v)[0] for v in steps("asymmetry")]
    _rising([face[291, 1] - face[61, 1] for face in faces])
    _rising([face[105 + 229, 1] - face[105, 1] for face in faces])  # 334 and 105 are the tops of the brows


def test_brow_sets_its_rest_height():
    _rising([spoken(said("T"), brow=v)[0, 105, 1] for v in steps("brow")])


def test_emphasis_raises_the_brows_on_the_long_vowel_only():
    phones = [
        Phone(label="SIL", start=0.0, end=0.3),
        Phone(label="IH", start=0.3, end=0.36),
        Phone(label="T", start=0.36, end=0.45),
        Phone(label="AH", start=0.45, end=0.52),
        Phone(label="T", start=0.52, end=1.1),
        Phone(label="AA", start=1.1, end=1.4),
        Phone(label="SIL", start=1.4, end=2.0),
    ]
    still, lively = spoken(phones, emphasis=0.0), spoken(phones, emphasis=1.0)
    rise = lively[:, 105, 1] - still[:, 105, 1]
    assert rise.max() > 0.3
    assert abs(TIMES[rise.argmax()] - 1.25) < 0.02
    assert rise[TIMES < 0.6].max() < 0.05


def test_lip_raise_lifts_the_upper_lip():
    _rising([spoken(said("AA"), lip_raise=v)[60, 0, 1] for v in steps("lip_raise")])


def test_eyes_open_with_their_factor():
    faces = [spoken(said("T"), eyes=v)[0] for v in steps("eyes")]
    _rising([face[386, 1] - face[374, 1] for face in faces])


def test_lag_delays_the_lips_by_its_seconds():
    punctual, late = (gap(spoken(said("AA"), lag=v)) for v in (0.0, 0.08))
    np.testing.assert_allclose(late[8:], punctual[:-8], atol=1e-6)


def test_head_scales_the_motion_of_the_head():
    phones = said("AA")
    calm, lively = (head_motion(phones, Style(head=v), TIMES, np.random.default_rng(0))[0].std() for v in (0.5, 1.5))
    assert lively == pytest.approx(3 * calm)


def test_blinks_are_the_same_in_every_style():
    phones = said("AA")
    calm, other = (
        articulate(phones, style, TIMES, np.random.default_rng(7))["lid_left"]
        for style in (Style(), Style(jaw=1.6, brow=1.0, lag=0.08, emphasis=1.0))
    )
    np.testing.assert_array_equal(calm, other)
    assert calm.max() > 0.8


def test_coarticulation_rounds_the_lips_before_the_vowel():
    rounded = spoken(said("S", "UW"), spreading=1.0)
    spread = spoken(said("S", "IY"), spreading=1.0)
    within_s = (TIMES > 0.55) & (TIMES < 0.63)
    assert width(rounded)[within_s].mean() < width(spread)[within_s].mean() - 0.1


def test_phones_of_no_length_and_long_silence_stay_finite():
    phones = [
        Phone(label="SIL", start=0.0, end=1.0),
        Phone(label="P", start=1.0, end=1.0),
        Phone(label="SIL", start=1.0, end=900.0),
    ]
    times = np.linspace(0, 890, 50)
    curves = articulate(phones, attrs.evolve(Style()), times, np.random.default_rng(0))
    assert all(np.isfinite(course).all() for course in curves.values())
