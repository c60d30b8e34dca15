"""The synthetic corpus keeps its promises: fixed by its seed, true tracks, counterfactuals by style alone."""

import os
import zipfile
from itertools import islice
from pathlib import Path

import attrs
import cv2
import numpy as np
import pytest

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE, Footage, Sizes
from vast_core.mesh import canonical_face
from vast_corpora.config import SyntheticConfig
from vast_corpora.synthetic import SyntheticCorpus

SMALL = SyntheticConfig(
    speakers=2, styles=4, held_out_styles=2, sentences=2, pool=4, held_out_sentences=2, avatar_seconds=5
)
FACE = canonical_face()


def sizes(fps=25.0):
    return Sizes(fps=fps, image=128, audio=1, expression=1, lower_face=1, vertices=468, style=1, context=1)


def make(config=SMALL, fps=25.0, **changes):
    return SyntheticCorpus.from_config(attrs.evolve(config, **changes), sizes(fps))


@pytest.fixture(scope="module")
def corpus():
    return make()


@pytest.fixture(scope="module")
def clips(corpus):
    return list(corpus.clips())


def opening(track):
    """Inner-lip opening over the distance of the outer eye corners, (T,)."""
    upper, lower = FACE.inner_lip_pair
    right, left = FACE.eye_corners
    distance = np.linalg.norm(track.vertices[:, upper] - track.vertices[:, lower], axis=1)
    return distance / np.linalg.norm(track.vertices[:, right] - track.vertices[:, left], axis=1)


def during(clip, labels, fps=25.0):
    """Frames whose time lies in a phone of ``labels``, with the lips' lag of the clip's style."""
    times = np.arange(len(clip.track)) / fps - clip.factors["lag"]
    inside = np.zeros(len(times), bool)
    for phone in clip.phones:
        if phone.label in labels:
            inside |= (times >= phone.start) & (times < phone.end)
    return inside


def test_clip_names_and_digests_are_unique(clips):
    assert len({clip.name for clip in clips}) == len(clips)
    assert len({clip.digest for clip in clips}) == len({(c.speaker, c.style, c.transcript) for c in clips})


def test_every_part_of_the_plan_is_there(corpus, clips):
    trained = [c for c in clips if c.split == "train" and "avatar" not in c.name]
    assert len(trained) == 2 * 4 * 2
    unseen = [c for c in clips if c.style in corpus.held_out_styles]
    assert len(unseen) == 2 * 2 * 2
    assert {c.split for c in clips} == {"train", "held_out"}


def test_held_out_styles_and_sentences_are_never_trained_on(clips):
    trained = [c for c in clips if c.split == "train"]
    held_out = [c for c in clips if c.split == "held_out"]
    assert not {c.transcript for c in trained} & {c.transcript for c in held_out}
    styles = {c.style for c in trained}
    assert {c.style for c in held_out} - styles == {"style-04", "style-05"}
    assert all(c.factors != d.factors for c in trained for d in held_out if d.style not in styles)


def test_the_avatar_has_the_footage_asked_for(corpus, clips):
    own = [c for c in clips if "avatar" in c.name]
    assert {c.speaker for c in own} == {clips[0].speaker}
    assert sum(len(c.track) for c in own) / 25 >= 5


def test_another_corpus_of_the_same_seed_is_equal(clips):
    again = next(iter(make().clips()))
    first = clips[0]
    assert again.digest == first.digest
    assert again.phones == first.phones
    np.testing.assert_array_equal(again.footage.wave(), first.footage.wave())
    np.testing.assert_array_equal(again.track.vertices, first.track.vertices)
    np.testing.assert_array_equal(next(again.footage.frames()), next(first.footage.frames()))


@pytest.mark.parametrize(
    "changes",
    [{"seed": 2}, {"image": 160}, {"head_motion": 0.5}, {"supersampling": 1}, {"fps": 30.0}],
    ids=lambda changes: next(iter(changes)),
)
def test_digest_changes_with_what_decides_the_content(clips, changes):
    assert next(iter(make(**changes).clips())).digest != clips[0].digest


def test_digest_stays_when_only_the_number_of_clips_changes(clips):
    assert {c.digest for c in make(avatar_seconds=0).clips()} <= {c.digest for c in clips}


def test_a_clip_carries_what_interfaces_promise(clips):
    clip = clips[0]
    assert isinstance(clip.footage, Footage)
    wave, track = clip.footage.wave(), clip.track
    assert wave.dtype == np.float32
    assert track.vertices.shape == (len(track), 468, 3)
    assert track.vertices.dtype == track.pose.dtype == np.float32
    assert clip.phones[0].start == 0
    frames = list(clip.footage.frames())
    assert len(frames) == len(track)
    assert frames[0].shape == (*clip.size, 3)
    assert frames[0].dtype == np.uint8
    assert frames[0].flags.c_contiguous


def test_a_copy_of_a_clip_keeps_its_track(clips):
    copy = attrs.evolve(clips[0], name="another")
    np.testing.assert_array_equal(copy.track.vertices, clips[0].track.vertices)


def test_pose_is_a_similarity_without_reflection(clips):
    turn = clips[0].track.pose[:, :, :3].astype(np.float64)
    square = turn @ turn.transpose(0, 2, 1)
    scale = square[:, 0, 0]
    np.testing.assert_allclose(square, scale[:, None, None] * np.eye(3), atol=1e-4)
    assert (np.linalg.det(turn) > 0).all()
    assert np.ptp(scale) < 1e-4


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
def test_every_rate_gives_the_same_length_and_motion(clips, fps):
    clip = next(iter(make(fps=fps).clips()))
    seconds = len(clip.footage.wave()) / SAMPLE_RATE
    assert 0 <= seconds - len(clip.track) / fps < 1 / fps
    slow, fast = clips[0].track, clip.track
    # Frames at whole fifths of a second exist at every rate of these.
    common = np.arange(0, int(seconds * 5)) / 5
    if fps in (30.0, 60.0):
        same = fast.vertices[np.round(common * fps).astype(int)]
        np.testing.assert_allclose(same, slow.vertices[np.round(common * 25).astype(int)], atol=1e-3)


# --------------------------------------------------------------------------------------- counterfactual


def test_counterfactual_differs_by_style_alone(corpus, clips):
    clip = next(c for c in clips if c.style == "style-01")
    other = corpus.counterfactual(clip, "style-04")
    np.testing.assert_array_equal(other.footage.wave(), clip.footage.wave())
    np.testing.assert_array_equal(other.track.pose, clip.track.pose)
    assert (other.style, other.speaker, other.transcript) == ("style-04", clip.speaker, clip.transcript)
    assert other.factors != clip.factors
    assert other.digest != clip.digest
    moved = np.abs(other.track.vertices - clip.track.vertices).max(axis=(0, 2))
    assert moved[FACE.lips].max() > 1
    nose = [1, 4, 5, 195]
    assert moved[nose].max() < 0.05


def test_counterfactual_in_its_own_style_is_the_clip(corpus, clips):
    clip = clips[3]
    same = corpus.counterfactual(clip, clip.style)
    assert same.digest == clip.digest
    np.testing.assert_array_equal(same.track.vertices, clip.track.vertices)


def test_one_factor_is_changed_and_nothing_else(corpus, clips):
    clip = next(clip for clip in clips if clip.style != "style-00")
    own = attrs.evolve(clip)
    high = corpus.with_factors(clip, {"brow": clip.factors["brow"] + 0.5})
    assert high.factors == {**clip.factors, "brow": clip.factors["brow"] + 0.5}
    assert (high.style, high.speaker, high.transcript) == (None, clip.speaker, clip.transcript)
    assert high.digest != clip.digest
    np.testing.assert_array_equal(high.footage.wave(), clip.footage.wave())
    np.testing.assert_array_equal(high.track.pose, own.track.pose)
    moved = np.abs(high.track.vertices - own.track.vertices).max((0, 2))
    assert moved.max() > 1, "in pixels"
    assert (moved < 1e-4).mean() > 0.3, "the mouth stays as it is"
    same = corpus.with_factors(clip, {"smile": clip.factors["smile"]})
    assert same.digest == clip.digest
    np.testing.assert_array_equal(same.track.vertices, own.track.vertices)
    assert corpus.with_factors(attrs.evolve(clip, name="holiday"), {}) is None
    with pytest.raises(InputError, match="has no factor 'anger'; it has jaw, rounding"):
        corpus.with_factors(clip, {"anger": 1.0})


def test_counterfactual_of_a_foreign_clip_is_unknown(corpus, clips):
    assert corpus.counterfactual(attrs.evolve(clips[0], name="holiday"), "style-00") is None


def test_counterfactual_names_the_styles_there_are(corpus, clips):
    with pytest.raises(InputError, match=r"'angry'.*style-00, style-01"):
        corpus.counterfactual(clips[0], "angry")


def test_nothing_left_to_train_on_is_an_error():
    with pytest.raises(InputError, match="held_out_sentences"):
        make(held_out_sentences=1000)


# --------------------------------------------------------------------------------------------- lips


def test_lips_close_where_the_sound_needs_it_and_open_in_open_vowels(clips):
    closed, opened = [], []
    for clip in clips:
        size = opening(clip.track)
        closed.append(size[during(clip, {"P", "B", "M"})])
        opened.append(size[during(clip, {"AA", "AE"})])
    closed, opened = np.concatenate(closed), np.concatenate(opened)
    assert len(closed) > 50
    assert len(opened) > 50
    assert closed.max() < 0.01
    assert np.median(opened) > 0.1


def test_lips_rest_closed_and_never_pass_through_each_other(clips):
    for clip in clips[:6]:
        canonical = _canonical(clip.track)
        gap = canonical[:, 13, 1] - canonical[:, 14, 1]
        assert gap.min() > -0.02
        if max(clip.factors[name] for name in ("parted", "lip_lower", "lip_raise", "sneer")) < 0.2:
            assert opening(clip.track)[0] < 0.1


def _canonical(track):
    turn, shift = track.pose[:, :, :3], track.pose[:, None, :, 3]
    return (track.vertices - shift) @ np.linalg.inv(turn).transpose(0, 2, 1)


# ------------------------------------------------------------------------------------------- picture


def test_the_picture_shows_lips_where_the_track_has_them(clips):
    for speaker in ("alma", "evan"):
        clip = next(c for c in clips if c.speaker == speaker)
        track = clip.track
        redness = []
        for frame, image in enumerate(islice(clip.footage.frames(), 30)):
            hue = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 1]
            vertices = track.vertices[frame]
            # The middle of the lower lip, between its rings, and the chin below it.
            lip = (vertices[14] + vertices[17]) / 2
            chin = vertices[199]
            (column, row), (chin_column, chin_row) = np.round(lip[:2]).astype(int), np.round(chin[:2]).astype(int)
            redness.append(hue[row, column] - hue[chin_row, chin_column])
        assert np.median(redness) > 5
        assert np.mean(np.array(redness) > 0) > 0.95


def test_speakers_differ_in_face_and_colour(corpus):
    first, second = corpus.speakers
    assert np.linalg.norm(first.shape - second.shape, axis=1).mean() > 0.1
    assert first.look.skin != second.look.skin
    for speaker in corpus.speakers:
        mirrored = speaker.shape[FACE.mirror] * [-1, 1, 1]
        np.testing.assert_allclose(mirrored, speaker.shape, atol=0.02)


def _landmark_network():
    roots = [os.environ.get("VAST_WEIGHTS"), Path(__file__).resolve().parents[4] / "shared" / "models"]
    for root in filter(None, roots):
        task = Path(root) / "face_landmarker.task"
        if task.is_file():
            from ai_edge_litert.interpreter import Interpreter

            network = zipfile.ZipFile(task).read("face_landmarks_detector.tflite")
            interpreter = Interpreter(model_content=network, num_threads=1)
            interpreter.allocate_tensors()
            return interpreter
    pytest.skip("face_landmarker.task is neither in VAST_WEIGHTS nor in ../shared/models")


def test_a_network_trained_on_people_finds_the_same_landmarks(clips):
    network = _landmark_network()
    source = network.get_input_details()[0]["index"]
    landmarks, presence = (network.get_output_details()[k]["index"] for k in (0, 1))
    clip = clips[0]
    track = clip.track
    errors, true, found = [], [], []
    for frame, image in enumerate(clip.footage.frames()):
        if frame % 4:
            continue
        points = track.vertices[frame, :, :2]
        low, high = points.min(0), points.max(0)
        zoom = 256 / (1.5 * (high - low).max())
        matrix = np.hstack([zoom * np.eye(2), (127.5 - zoom * (low + high) / 2)[:, None]])
        crop = cv2.warpAffine(image, matrix, (256, 256), borderMode=cv2.BORDER_REPLICATE)
        network.set_tensor(source, crop[None].astype(np.float32) / 255)
        network.invoke()
        assert float(network.get_tensor(presence).ravel()[0]) > 0  # a logit
        seen = network.get_tensor(landmarks).reshape(478, 3)[:468, :2]
        seen = (seen - matrix[:, 2]) / zoom
        eyes = np.linalg.norm(points[33] - points[263])
        errors.append(np.linalg.norm(seen - points, axis=1) / eyes)
        true.append(np.linalg.norm(points[13] - points[14]) / eyes)
        found.append(np.linalg.norm(seen[13] - seen[14]) / eyes)
    errors = np.array(errors)
    assert errors.mean() < 0.05
    assert errors[:, FACE.lips].mean() < 0.03
    assert np.corrcoef(true, found)[0, 1] > 0.95
