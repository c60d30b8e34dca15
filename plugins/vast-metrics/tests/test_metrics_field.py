"""Measures of the field: closed forms, plain loops and other libraries; frame rate, size and shape of the picture."""

import itertools
import json
import statistics

import attrs
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from vast_core.errors import NotComputed
from vast_core.interfaces import Performance, Sizes, place
from vast_core.mesh import canonical_face
from vast_core.phones import PHONE_INDEX, PHONES
from vast_metrics.field import composites, published, quality, steady
from vast_metrics.field.measure import Sides
from vast_metrics.field.signals import angles, at_rate, loudness, pauses, speech
from vast_metrics.plugin import vast_components

RIGHT_BROW, LEFT_BROW = [46, 53, 52, 65, 55, 70, 63, 105, 66, 107], [276, 283, 282, 295, 285, 300, 293, 334, 296, 336]
RIGHT_EYE = [33, 7, 163, 144, 145, 153, 154, 155, 133, 173, 157, 158, 159, 160, 161, 246]
LEFT_EYE = [263, 249, 390, 373, 374, 380, 381, 382, 362, 398, 384, 385, 386, 387, 388, 466]
INNER = [(191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318)]
FIELD = [*composites.PUBLISHED, *composites.STEADY]


class Mask:
    """The canonical face, as far as the measures ask of it."""

    def __init__(self):
        face = canonical_face()
        self.lips, self.upper_face = face.lips.copy(), face.upper_face.copy()
        self.template, self.millimetres = None, 10.0
        self.eyes = np.concatenate([face.eye_right, face.eye_left])

    def lip_opening(self, vertices):
        apart = (vertices[..., 33, :] - vertices[..., 263, :]).norm(dim=-1)
        return (vertices[..., 13, :] - vertices[..., 14, :]).norm(dim=-1) / apart


def clip(fps=25.0, seconds=4.0, size=(480, 640), scale=12.0, seed=0, wide=1.0, raised=0.2):
    """A canonical face that talks, raises its brows and turns, smooth in time, in any video; and its angles."""
    draw = np.random.default_rng(seed)
    rates, phases = draw.uniform(0.2, 1.2, 8), draw.uniform(0, 6, 8)
    time = np.arange(round(seconds * fps)) / fps
    waves = np.sin(2 * np.pi * rates[:, None] * time + phases[:, None])
    face = canonical_face()
    vertices = np.repeat(face.vertices[None].astype(np.float64), len(time), 0)
    upper = [index for index, _ in INNER]
    lower = [index for _, index in INNER]
    vertices[:, upper, 1] += 0.2 * wide * (1 + waves[0])[:, None]
    vertices[:, lower, 1] -= 0.3 * wide * (1 + waves[0])[:, None]
    vertices[:, RIGHT_BROW, 1] += raised * waves[1][:, None]
    vertices[:, LEFT_BROW, 1] += 1.5 * raised * waves[2][:, None]
    turns = np.stack([8 * waves[3], 12 * waves[4], 5 * waves[5]], 1)
    rotations = Rotation.from_euler("ZYX", turns[:, ::-1], degrees=True).as_matrix()
    pose = np.zeros((len(time), 3, 4))
    pose[:, :, :3] = scale * np.diag([1.0, -1.0, -1.0]) @ rotations
    pose[:, 0, 3], pose[:, 1, 3] = size[1] / 2 + scale * waves[6], size[0] / 2 + 0.5 * scale * waves[7]
    vertices, pose = torch.from_numpy(vertices).float(), torch.from_numpy(pose).float()
    sample = np.arange(round(seconds * 16000)) / 16000
    level = np.where(sample % 2 < 1.2, 0.2 + 0.1 * np.sin(2 * np.pi * rates[0] * sample + phases[0]), 1e-5)
    wave = level * np.random.default_rng(1).standard_normal(len(level))
    return Performance(
        face=Mask(), fps=fps, vertices=vertices, neutral=torch.tensor(face.vertices), pose=pose,
        landmarks=place(vertices, pose)[..., :2], size=size, wave=torch.from_numpy(wave).float(),
        name=f"clip {seed}", speaker="ada",
    ), turns  # fmt: skip


@pytest.fixture(scope="module")
def spoken():
    return clip()


def value(kind, performance):
    return kind().value(performance)


# ------------------------------------------------------------------------------------------ as published


def test_lip_dynamics_by_a_plain_loop(spoken):
    performance, _ = spoken
    points = performance.landmarks.numpy() * np.array([256 / 640, 256 / 480])
    spreads = []
    for a, b in itertools.combinations(canonical_face().lips, 2):
        spreads.append(np.std([np.hypot(*(frame[a] - frame[b])) for frame in points]))
    assert len(spreads) == 780
    assert value(published.LipDynamics, performance) == pytest.approx(np.mean(spreads), rel=1e-5)


def test_brow_dynamics_by_a_plain_loop(spoken):
    performance, _ = spoken
    changes, before = [], None
    for frame in performance.landmarks.double().numpy():
        eyes = frame[RIGHT_EYE].mean(0), frame[LEFT_EYE].mean(0)
        unit = np.hypot(*(eyes[0] - eyes[1]))
        now = [np.hypot(*(frame[b].mean(0) - e)) / unit for b, e in zip((RIGHT_BROW, LEFT_BROW), eyes, strict=True)]
        changes += [] if before is None else [abs(n - b) for n, b in zip(now, before, strict=True)]
        before = now
    assert value(published.BrowDynamics, performance) == pytest.approx(np.mean(changes), rel=1e-6)


def test_head_motion_by_the_angles_of_which_it_was_made(spoken):
    performance, turns = spoken
    assert angles(performance) == pytest.approx(turns, abs=1e-3)
    points = performance.landmarks.numpy()
    centre = [(frame.max(0) + frame.min(0)) / 2 for frame in points]
    std = statistics.fmean(statistics.pstdev(turns[:, axis]) for axis in range(3))
    jerk = statistics.fmean(statistics.pvariance(np.diff(turns[:, axis])) for axis in range(3))
    place_ = statistics.fmean(statistics.pvariance([float(at[axis]) for at in centre]) for axis in range(2))
    assert value(published.HeadMotion, performance) == pytest.approx((std * jerk + place_) ** 0.5, rel=1e-4)


def test_a_still_head_and_a_still_face_have_none():
    performance, _ = clip()
    still = attrs.evolve(
        performance,
        **{name: getattr(performance, name)[:1].expand_as(getattr(performance, name)) for name in ("vertices", "pose")},
        landmarks=performance.landmarks[:1].expand_as(performance.landmarks),
    )
    for kind in (published.LipDynamics, published.BrowDynamics, published.HeadMotion, published.SilentLips):
        assert value(kind, still) == pytest.approx(0, abs=1e-9)
    for kind in (steady.LipDynamics, steady.BrowDynamics, steady.HeadDynamics, steady.SilentLips):
        assert value(kind, still) == pytest.approx(0, abs=1e-6)


def openings(performance):
    """The mean vertical distance of the eight pairs, in the stretched frame, over that of the eye corners."""
    points = performance.landmarks.double().numpy() * np.array([256 / 640, 256 / 480])
    return np.array(
        [
            statistics.fmean(abs(f[a][1] - f[b][1]) for a, b in INNER) / np.hypot(*(f[33] - f[263]))
            for f in points
        ]
    )  # fmt: skip


def test_silent_lips_by_a_plain_loop(spoken):
    performance, _ = spoken
    quiet = (np.arange(100) / 25 % 2) >= 1.2  # as it was made
    found = openings(performance)[quiet]
    expected = statistics.median(abs(own - statistics.fmean(found)) for own in found)
    assert expected > 1e-3
    assert value(published.SilentLips, performance) == pytest.approx(expected, rel=1e-5)


def test_lip_sync_by_a_plain_loop(spoken):
    performance, _ = spoken
    spoken_frames = np.flatnonzero((np.arange(100) / 25 % 2) < 1.2)
    points, opening = performance.landmarks.double().numpy() / np.array([640, 480]), []
    for frame in points[spoken_frames]:
        upper, lower = (np.mean([frame[pair[side]][1] for pair in INNER]) for side in (0, 1))
        left, right = (np.mean([frame[corner][0] for corner in ends]) for ends in ((33, 133), (362, 263)))
        opening.append(abs(upper - lower) / abs(right - left))
    wave = performance.wave.double().numpy()
    levels = [np.sqrt(np.mean(np.square(np.pad(wave, 400)[s : s + 800]))) for s in range(0, len(wave), 800)]
    heard = np.interp(np.arange(100) / 25, np.arange(len(levels)) * 0.05, levels)[spoken_frames]
    units = [(np.array(side) - min(side)) / (max(side) - min(side)) for side in (opening, heard)]
    expected = np.abs(units[0] - units[1]).mean()
    assert value(published.LipSync, performance) == pytest.approx(expected, rel=1e-4)


def test_loudness_of_a_steady_tone():
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    assert loudness(tone, 25, 25.0)[2:-2] == pytest.approx(0.5 / 2**0.5, rel=0.02)


def test_pauses_are_long_and_speech_bridges_gaps():
    wave = np.repeat([0.1, 0, 0.1, 0, 0.1, 0], np.array([10, 2, 10, 7, 10, 8]) * 640) * np.tile([1.0, -1.0], 15040)
    quiet = np.flatnonzero(pauses(wave, 47, 25.0))
    assert quiet.tolist() == [*range(39, 47)]  # 0.32 s; 0.28 s is no pause
    assert np.flatnonzero(~speech(wave, 47, 25.0)).tolist() == [*range(22, 29), *range(39, 47)]


def test_other_meshes_and_unknown_videos_are_not_measured(spoken):
    performance, _ = spoken
    for kind in composites.PUBLISHED:
        with pytest.raises(NotComputed, match="--tracked"):
            value(kind, attrs.evolve(performance, landmarks=None))
        with pytest.raises(NotComputed, match="another"):
            value(kind, attrs.evolve(performance, landmarks=performance.landmarks[:, :9]))
    for kind in (published.SilentLips, published.LipSync, steady.SilentLips, steady.LoudLips):
        with pytest.raises(NotComputed, match="no sound"):
            value(kind, attrs.evolve(performance, wave=None))
        wave = torch.zeros(64000) if kind in (published.LipSync, steady.LoudLips) else torch.ones(64000)
        with pytest.raises(NotComputed, match=r"no pause|has speech"):
            value(kind, attrs.evolve(performance, wave=wave))


# ------------------------------------------------------------------------------------------------ mended

PAIRS = list(zip(composites.PUBLISHED, composites.STEADY, strict=True))


@pytest.mark.parametrize(("plain", "mended"), PAIRS, ids=lambda kind: kind.__name__)
def test_the_mended_form_does_not_depend_on_size_or_shape(plain, mended, spoken):
    """The same head, in a video that is taller and larger: it stands at the same place beside its own size."""
    performance, _ = spoken
    other, _ = clip(size=(1280, 720), scale=30.0)
    assert value(mended, other) == pytest.approx(value(mended, performance), rel=1e-3)
    if plain is not published.LipSync:  # its extremes hide the scale
        assert (
            value(plain, other) != pytest.approx(value(plain, performance), rel=0.03) or plain is published.BrowDynamics
        )


@pytest.mark.parametrize(("plain", "mended"), PAIRS, ids=lambda kind: kind.__name__)
def test_the_mended_form_does_not_depend_on_the_rate(plain, mended, spoken):
    performance, _ = spoken
    fast, _ = clip(fps=50.0)
    assert value(mended, fast) == pytest.approx(value(mended, performance), rel=0.03)
    if plain is published.BrowDynamics:
        assert value(plain, fast) == pytest.approx(value(plain, performance) / 2, rel=0.03)


def test_lip_dynamics_of_a_single_moving_vertex():
    """Only pairs with that vertex spread, and each by what the law of cosines says: here all are far away in z."""
    performance, _ = clip()
    lips = canonical_face().lips
    vertices = torch.zeros(100, 468, 3)
    vertices[:, RIGHT_EYE, 0], vertices[:, LEFT_EYE, 0] = -3.0, 3.0
    swing = torch.sin(torch.arange(100) / 5)
    vertices[:, lips[0], 2] = 100 + swing
    found = value(steady.LipDynamics, attrs.evolve(performance, vertices=vertices))
    assert found == pytest.approx(39 / 780 * float(swing.std(correction=0)) / 6, rel=1e-5)


def test_brow_speed_of_a_ramp():
    performance, _ = clip(raised=0.0, wide=0.0)
    vertices = performance.vertices.clone()
    brows = torch.as_tensor([v for v in canonical_face().upper_face if v not in set(RIGHT_EYE + LEFT_EYE)])
    vertices[:, brows, 2] = (
        1000.0 + torch.arange(100.0)[:, None] / 25 * 2
    )  # 2 cm a second, from so far that only z counts
    eyes = vertices[0, RIGHT_EYE].mean(0) - vertices[0, LEFT_EYE].mean(0)
    found = value(steady.BrowDynamics, attrs.evolve(performance, vertices=vertices))
    assert found == pytest.approx(2 / float(eyes.norm()), rel=0.02)


def test_shut_lips_of_a_loud_sound_are_right(spoken):
    """Lips that shut for M agree better with the sound once its phones are known."""
    performance, _ = spoken
    chances = torch.zeros(100, len(PHONES))
    chances[:, PHONE_INDEX["AA"]] = 1
    shut = slice(4, 14)
    chances[shut] = 0
    chances[shut, PHONE_INDEX["M"]] = 1
    vertices = performance.vertices.clone()
    vertices[shut, 13] = vertices[shut, 14]
    closed = attrs.evolve(performance, vertices=vertices)
    deaf, told = (value(steady.LoudLips, attrs.evolve(closed, audio=audio)) for audio in (None, chances))
    assert told < 0.8 * deaf
    assert value(steady.LoudLips, attrs.evolve(closed, audio=torch.rand(100, 40))) == deaf  # no phones


def test_one_frame_that_jumps_counts_little(spoken):
    performance, _ = spoken
    vertices = performance.vertices.clone()
    vertices[10, [lower for _, lower in INNER], 1] -= 5
    landmarks = place(vertices, performance.pose)[..., :2]
    jumped = attrs.evolve(performance, vertices=vertices, landmarks=landmarks)
    moved = [abs(value(kind, jumped) - value(kind, performance)) for kind in (published.LipSync, steady.LoudLips)]
    assert moved[0] > 5 * moved[1]


def test_interpolation_in_time_is_numpys():
    values = np.random.default_rng(0).standard_normal((31, 2))
    found = at_rate(values, 30.0)
    expected = np.interp(np.arange(26) / 25, np.arange(31) / 30, values[:, 1])
    assert found.shape == (26, 2)
    assert found[:, 1] == pytest.approx(expected)


# ------------------------------------------------------------------------------- scores and composites


def test_a_score_is_of_the_means():
    metric = steady.LipDynamics()
    found = metric.pool([Sides(1.0, 2.0), Sides(2.0, 2.0)])
    assert found == {"lip_dynamics": 1.5, "lip_dynamics_score": 0.75}
    assert metric.pool([Sides(3.0, 1.0)])["lip_dynamics_score"] == -1.0
    with pytest.raises(NotComputed, match="nothing to compare"):
        metric.pool([Sides(3.0, 0.0)])


@pytest.mark.parametrize("kind", [composites.THEval, composites.Liveliness])
def test_a_composite_is_the_mean_of_what_is_computed(kind, spoken):
    (name,) = (measure.name for measure in kind.measures)
    config = next(c.config for c in vast_components() if c.name == name)
    metric = kind.from_config(config(), Sizes(fps=25.0))
    real, _ = spoken
    made, _ = clip(wide=0.4, raised=0.5, seed=0)
    members = composites.PUBLISHED if kind is composites.THEval else composites.STEADY
    scores = [1 - abs(value(own, made) - value(own, real)) / value(own, real) for own in members]
    assert metric(made, real)[name] == pytest.approx(np.mean(scores))
    assert metric(real, real)[name] == 1
    deaf = attrs.evolve(made, wave=None)
    assert metric(deaf, attrs.evolve(real))[name] == pytest.approx(np.mean(scores[:3]))
    with pytest.raises(NotComputed):
        metric(*[attrs.evolve(side, wave=None, landmarks=None, pose=None, face=Blank()) for side in (made, real)])


@pytest.mark.parametrize("kind", [composites.THEval, composites.Liveliness])
def test_a_composite_computes_nothing_that_its_measures_have_computed(kind, spoken, monkeypatch):
    known = {component.name: component for component in vast_components()}
    members = composites.PUBLISHED if kind is composites.THEval else composites.STEADY
    computed = []
    for member in members:
        monkeypatch.setattr(member, "value", lambda self, _: computed.append(type(self)) or 1.0)
    clips = [attrs.evolve(spoken[0]) for _ in range(2)]
    for own in (*members, kind):
        made = own.from_config(known[own.measures[0].name].config(), Sizes(fps=25.0))
        made.part(*clips)
    assert sorted(computed, key=members.index) == [member for member in members for _ in clips]


class Blank(Mask):
    def __init__(self):
        super().__init__()
        self.eyes = np.zeros(0, int)


def test_the_quality_measures_say_what_is_missing_and_use_what_is_installed(spoken, monkeypatch, tmp_path):
    performance, _ = spoken
    frames = torch.rand(100, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    seen = attrs.evolve(performance, frames=frames, mouth=torch.tensor([30.0, 40.0, 12.0, 6.0]).expand(100, 4))
    config = next(c.config for c in vast_components() if c.name == "theval_mouth_quality")()
    with pytest.raises(NotComputed, match=r"pyiqa is not installed\n.*non-commercial") as told:
        quality.MouthQuality(config).value(seen)
    assert "musiq" in str(told.value)
    (tmp_path / "pyiqa.py").write_text(  # a stand-in with its interface, which notes what it is given
        "import json, pathlib, torch\n"
        "def create_metric(name, device):\n"
        "    def score(picture):\n"
        "        with pathlib.Path(__file__).with_name('seen').open('a') as file:\n"
        "            file.write(json.dumps([name, list(picture.shape)]) + '\\n')\n"
        "        return picture.mean(dim=(1, 2, 3), keepdim=True)\n"
        "    return score\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = [kind(config).value(seen) for kind in composites.QUALITY]
    mouth = frames[::5, :, 27:53, 14:46]
    assert found == pytest.approx([float(part.mean()) for part in (frames[::5], mouth, frames[::5])])
    asked = {tuple(map(str, json.loads(line))) for line in (tmp_path / "seen").read_text().splitlines()}
    assert asked == {
        ("topiq_iaa", "[1, 3, 64, 64]"),
        ("topiq_nr-face", "[1, 3, 64, 64]"),
        ("musiq", "[1, 3, 26, 32]"),
    }
