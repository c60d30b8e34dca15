"""The networks on real footage: found faces, jitter, several faces, cuts, and what the pose says."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import torch

from vast_core.errors import InputError
from vast_core.interfaces import FaceTrack, place
from vast_core.mesh import canonical_face
from vast_faces.alignment import split
from vast_faces.config import LandmarksConfig
from vast_faces.landmarks import LandmarkFace
from vast_faces.mouth import SECONDS
from vast_faces.tracker import Landmarker, region_of

SHARED = Path(__file__).resolve().parents[3] / "../shared"
MODELS = Path(os.environ.get("VAST_WEIGHTS", SHARED / "models"))
FOOTAGE = SHARED / "footage"
CLIP, OTHER = FOOTAGE / "talkers/reagan_clip1.mp4", FOOTAGE / "talkers/KristiNoem.mp4"
FPS = 30.0

pytestmark = [
    pytest.mark.skipif(not (MODELS / "face_landmarker.task").is_file(), reason=f"no face_landmarker.task in {MODELS}"),
    pytest.mark.skipif(not CLIP.is_file(), reason=f"no footage in {FOOTAGE}"),
]


def frames(path: Path, count: int) -> Iterator[np.ndarray]:
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number == count:
                return
            yield np.ascontiguousarray(frame.to_ndarray(format="rgb24"))


@pytest.fixture(scope="module")
def face() -> LandmarkFace:
    return LandmarkFace(LandmarksConfig(weights=str(MODELS), threads=1))


@pytest.fixture(scope="module")
def landmarker() -> Landmarker:
    return Landmarker((MODELS / "face_landmarker.task").read_bytes())


@pytest.fixture(scope="module")
def clip() -> list[np.ndarray]:
    return list(frames(CLIP, 60))


@pytest.fixture(scope="module")
def track(face, clip) -> FaceTrack:
    (found,) = face.track(clip, FPS)
    return found


def test_every_frame_of_a_talker_is_tracked(track):
    assert len(track) == 60
    assert track.valid.all()
    assert track.start == 0
    assert track.notes == ()
    assert track.vertices.dtype == track.pose.dtype == np.float32


def test_the_eyes_are_dark_and_lie_where_the_mesh_says(track, clip):
    """The pupils are among the darkest of the face: the mean inside the eye rings is below the cheeks'."""
    ring = canonical_face()
    for t in (0, 30, 59):
        grey = cv2.cvtColor(clip[t], cv2.COLOR_RGB2GRAY).astype(float)
        for eye in (ring.eye_left, ring.eye_right):
            mask = cv2.fillPoly(
                np.zeros(grey.shape, np.uint8), [track.vertices[t, eye, :2].round().astype(np.int32)], 1
            )
            cheek = track.vertices[t, [50, 280], :2].round().astype(int)
            assert grey[mask > 0].mean() < 0.85 * grey[cheek[:, 1], cheek[:, 0]].mean()


def test_the_nose_is_toward_the_viewer_and_the_pose_is_proper(track):
    assert track.vertices[:, 4, 2].max() < track.vertices[:, [127, 356], 2].min(), "z is away from the viewer"
    scale, rotation, _ = split(track.pose)
    np.testing.assert_allclose(np.linalg.det(rotation), 1, atol=1e-5)
    assert (rotation[:, 1, 1] < -0.8).all(), "canonical y is up, image y is down"
    assert (rotation[:, 2, 2] < -0.8).all()
    eyes = np.linalg.norm(track.vertices[:, 33] - track.vertices[:, 263], axis=1)
    np.testing.assert_allclose(eyes / scale, 8.9, atol=1.0)


def test_the_pose_puts_the_neutral_face_over_the_picture(face, track):
    identity = face.identity([track])
    placed = place(torch.from_numpy(identity), torch.from_numpy(track.pose)).numpy()
    eyes = np.linalg.norm(track.vertices[0, 33] - track.vertices[0, 263])
    still = canonical_face().alignment_index
    assert np.linalg.norm(placed[:, still] - track.vertices[:, still], axis=2).mean() < 0.03 * eyes


def test_expression_gives_the_vertices_back(face, track):
    learned = LandmarkFace(LandmarksConfig())
    identity = learned.identity([track])
    learned.fit([track], [identity])
    expression = torch.from_numpy(learned.encode(track, identity))
    placed = place(learned.decode(expression, torch.from_numpy(identity)), torch.from_numpy(track.pose))
    eyes = np.linalg.norm(track.vertices[0, 33] - track.vertices[0, 263])
    assert np.linalg.norm(placed.numpy() - track.vertices, axis=2).mean() < 0.004 * eyes
    real = learned.lip_opening(torch.from_numpy(track.vertices))
    assert torch.corrcoef(torch.stack([real, learned.lip_opening(placed)]))[0, 1] > 0.99


def test_lip_opening_keeps_its_amplitude_through_smoothing(track, clip):
    rough = LandmarkFace(LandmarksConfig(weights=str(MODELS), threads=1, lip_band=0, face_band=0, head_band=0))
    (unsmoothed,) = rough.track(clip, FPS)
    smooth, raw = (rough.lip_opening(torch.from_numpy(t.vertices)) for t in (track, unsmoothed))
    assert torch.corrcoef(torch.stack([smooth, raw]))[0, 1] > 0.985
    assert smooth.std() > 0.96 * raw.std()
    third = [np.abs(np.diff(t.vertices, 3, axis=0)).mean() for t in (track, unsmoothed)]
    assert third[0] < 0.5 * third[1], "and jitter is halved"


def test_a_repeated_image_does_not_jitter(face, landmarker, clip):
    (track,) = face.track([clip[0]] * 40, FPS)
    eyes = np.linalg.norm(track.vertices[0, 33] - track.vertices[0, 263])
    assert track.vertices[5:-5].std(0).mean() / eyes < 0.0001
    region = landmarker.detect(clip[0])[0].region
    points = []
    for _ in range(25):
        found = landmarker.landmarks(clip[0], region).points
        region = region_of(found)
        points.append(found)
    assert np.stack(points[5:]).std(0).mean() / eyes < 0.0002, "already without smoothing"


def test_points_move_with_the_picture(landmarker, clip):
    """A shifted, turned and enlarged picture has its points shifted, turned and enlarged."""
    region = landmarker.detect(clip[0])[0].region
    for _ in range(3):
        points = landmarker.landmarks(clip[0], region).points
        region = region_of(points)
    for degrees, scale, shift in ((0, 1.0, 20), (15, 1.0, 40), (-25, 2.0, 60), (5, 3.5, 0)):
        matrix = cv2.getRotationMatrix2D((128, 128), degrees, scale)
        matrix[:, 2] += shift + 128 * (scale - 1)
        size = int(256 * scale + 2 * shift)
        moved = cv2.warpAffine(clip[0], matrix, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        found_region = landmarker.detect(moved)[0].region
        for _ in range(3):
            look = landmarker.landmarks(moved, found_region)
            found, presence = look.points, look.presence
            found_region = region_of(found)
        assert presence > 0.9
        expected = points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
        eyes = np.linalg.norm(expected[33] - expected[263])
        error = np.linalg.norm(found[:, :2] - expected, axis=1).mean() / eyes
        assert error < 0.02, (degrees, scale, error)


def test_the_mirrored_picture_has_the_mirrored_face(landmarker, clip):
    mirror = canonical_face().mirror
    both = []
    for image in (clip[0], np.ascontiguousarray(clip[0][:, ::-1])):
        region = landmarker.detect(image)[0].region
        for _ in range(3):
            points = landmarker.landmarks(image, region).points
            region = region_of(points)
        both.append(points[:468])
    eyes = np.linalg.norm(both[0][33] - both[0][263])
    expected = np.stack([255 - both[1][mirror, 0], both[1][mirror, 1]], 1)
    assert np.linalg.norm(both[0][:, :2] - expected, axis=1).mean() / eyes < 0.03


def test_of_two_people_side_by_side_the_larger_is_kept(face):
    pairs = zip(frames(CLIP, 25), frames(OTHER, 25), strict=True)
    tiled = [np.concatenate([cv2.resize(one, (180, 180)), other[38:218, 38:218]], axis=1) for one, other in pairs]
    (track,) = face.track(tiled, FPS)
    assert track.vertices[:, :, 0].min() > 180, "the right face is the larger one"
    assert any("2 faces" in note for note in track.notes)
    assert track.valid.all()


def test_two_clips_in_a_row_are_two_tracks(face):
    one, other = face.track([*frames(CLIP, 20), *frames(OTHER, 20)], FPS)
    assert (one.start, len(one), other.start, len(other)) == (0, 20, 20, 20)


def test_noise_has_no_face(face):
    rng = np.random.default_rng(0)
    with pytest.raises(InputError, match="0 of 20 frames"):
        face.track((rng.integers(0, 255, (120, 160, 3), dtype=np.uint8) for _ in range(20)), 25.0)


def test_three_frames_of_a_face_are_not_enough(face, clip):
    blank = np.full_like(clip[0], 90)
    with pytest.raises(InputError, match="3 of 30 frames show a face; a track needs at least 15"):
        face.track([*[blank] * 20, *clip[:3], *[blank] * 7], FPS)


def test_a_short_blackout_is_bridged(face, clip):
    """Frames that are lost, not cut: the picture fades, and comes back the same."""
    blanked = [np.full_like(clip[0], 40) if 20 <= n < 24 else image for n, image in enumerate(clip[:45])]
    tracks = LandmarkFace(LandmarksConfig(weights=str(MODELS), threads=1, cut=1.0)).track(blanked, FPS)
    (track,) = tracks
    np.testing.assert_array_equal(np.flatnonzero(~track.valid), np.arange(20, 24))


@pytest.mark.parametrize("name", ["others/demo1_video.mp4", "others/vr_1_odd_fps.mp4", "others/d18.mp4"])
def test_hard_cases_of_other_sizes(face, name):
    if not (FOOTAGE / name).is_file():
        pytest.skip(f"no {FOOTAGE / name}")
    (track,) = face.track(frames(FOOTAGE / name, 15), 25.0)
    assert track.valid.all()
    eyes = np.linalg.norm(track.vertices[:, 33] - track.vertices[:, 263], axis=1)
    assert eyes.std() / eyes.mean() < 0.05


def test_weights_are_only_needed_for_tracking(monkeypatch, tmp_path):
    monkeypatch.setattr("vast_faces.weights.downloads", lambda: tmp_path)
    monkeypatch.setattr("vast_faces.weights.ADDRESS", "http://127.0.0.1:9/none")
    monkeypatch.delenv("VAST_WEIGHTS", raising=False)
    face = LandmarkFace(LandmarksConfig())
    with pytest.raises(InputError, match="four places"):
        face.track([np.zeros((64, 64, 3), np.uint8)], 25.0)


def covered(frame: np.ndarray, lips: np.ndarray, kind: str) -> np.ndarray:
    """The frame with something in front of the lips (40, 2)."""
    (x, y), width = lips.mean(0), float(np.ptp(lips[:, 0]))
    across, down = np.meshgrid(np.arange(frame.shape[1]) - x, np.arange(frame.shape[0]) - y)
    waves = 1 + 0.15 * np.cos(down / width * 12)[..., None]
    skin = frame[int(y - 0.9 * width), int(x - 0.6 * width)].astype(float)
    shape, colour = {
        "hand": ((np.abs(down) < 0.6 * width) & (across > -0.9 * width), skin * waves),
        "microphone": (np.hypot(across, down - 0.2 * width) < 0.8 * width, [40, 40, 44] * waves),
        "mask": (
            (np.abs(across) < 1.2 * width) & (down > -0.6 * width) & (down < width),
            [150, 190, 225] * np.ones_like(waves),
        ),
        "chin": ((np.abs(across) < 1.2 * width) & (down > 0.9 * width), skin * waves),
    }[kind]
    soft = cv2.GaussianBlur(shape.astype(np.float32), (0, 0), width / 40)[..., None]
    return (frame * (1 - soft) + colour * soft).astype(np.uint8)


@pytest.mark.parametrize("kind", ["hand", "microphone", "mask"])
def test_a_covered_mouth_is_told_from_a_visible_one(face, track, clip, kind):
    lips = track.vertices[:, canonical_face().lips, :2]
    shown = [covered(frame, lips[t], kind) if t >= 25 else frame for t, frame in enumerate(clip[:45])]
    found = face.track(shown, FPS)  # one shot, or one that is kept and one behind what was taken for a cut
    kept = np.concatenate([one.start + np.flatnonzero(one.valid) for one in found])
    np.testing.assert_array_equal(kept, np.arange(len(kept)))
    assert abs(len(kept) - 25) < SECONDS * FPS / 2, "the running median may be late by half its length"
    with pytest.raises(InputError, match="mouth is covered"):
        face.track([covered(frame, lips[t], kind) for t, frame in enumerate(clip[:20])], FPS)


def test_what_covers_the_chin_covers_no_mouth(face, track, clip):
    lips = track.vertices[:, canonical_face().lips, :2]
    (found,) = face.track([covered(frame, lips[t], "chin") for t, frame in enumerate(clip[:20])], FPS)
    assert found.valid.all()
