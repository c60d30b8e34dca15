"""Following faces, with a stand-in for the networks that knows where they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from vast_core.errors import InputError
from vast_core.mesh import canonical_face
from vast_faces.config import LandmarksConfig
from vast_faces.shots import CutDetector, Followed, follow
from vast_faces.tracker import Detection, Look, Region, region_of
from vast_faces.tracks import build_tracks

FPS = 25.0
Place = tuple[float, float, float]
"""Centre of a face, and its width, in pixels."""


class Scene:
    """Faces at known places; stands in for the landmarker."""

    def __init__(self, faces: Callable[[int], list[Place]], brightness: Callable[[int], int] = lambda n: 0) -> None:
        self._faces, self._brightness = faces, brightness
        self.mouth: Callable[[int], float] = lambda n: 0.9
        self._now = -1

    def frames(self, count: int) -> Iterator[np.ndarray]:
        for self._now in range(count):
            yield np.full((120, 160, 3), self._brightness(self._now), np.uint8)

    def points(self, place: Place) -> np.ndarray:
        x, y, width = place
        mesh = canonical_face().vertices * np.float32([1, -1, -1]) * np.float32(width / 15.5)
        return np.concatenate([mesh, mesh[:10]]) + np.float32([x, y, 0])

    def detect(self, image: np.ndarray, confidence: float) -> list[Detection]:
        found = [Detection(region_of(self.points(face)), face[2], 0.9) for face in self._faces(self._now)]
        return sorted(found, key=lambda detection: -detection.width)

    def landmarks(self, image: np.ndarray, region: Region) -> Look:
        for face in self._faces(self._now):
            if max(abs(face[0] - region.x), abs(face[1] - region.y)) < region.side / 2:
                return Look(self.points(face), 1.0, self.mouth(self._now), np.zeros(4))
        return Look(self.points((region.x, region.y, region.side)), 0.0, 0.0, np.zeros(4))

    def scores(self, points: np.ndarray) -> np.ndarray:
        """The same for all faces: these tests do not read them."""
        return np.zeros(52, np.float32)


def run(scene: Scene, count: int, **options: float) -> Followed:
    return follow(scene, scene.frames(count), FPS, LandmarksConfig(**options))


def test_one_face_is_followed_from_first_to_last_frame():
    followed = run(Scene(lambda n: [(60 + n, 50, 40)]), 30)
    (face,) = followed.faces
    assert face.frames == list(range(30))
    assert followed.seen == followed.frames == 30
    (track,) = build_tracks(followed, FPS, LandmarksConfig())
    assert track.start == 0
    assert track.valid.all()
    assert track.notes == ()
    np.testing.assert_allclose(track.vertices[:, :, 0].mean(1), 60 + np.arange(30), atol=0.05)


def test_a_short_gap_is_interpolated_and_flagged():
    followed = run(Scene(lambda n: [] if 12 <= n < 20 else [(60 + n, 50, 40)]), 40)
    (track,) = build_tracks(followed, FPS, LandmarksConfig())
    assert len(track) == 40
    np.testing.assert_array_equal(np.flatnonzero(~track.valid), np.arange(12, 20))
    np.testing.assert_allclose(track.vertices[:, 4, 0], 60 + np.arange(40), atol=0.05)
    assert any("8 of 40 frames" in note for note in track.notes)
    assert followed.seen == 32


def test_a_long_gap_ends_the_track_and_another_begins():
    followed = run(Scene(lambda n: [] if 20 <= n < 35 else [(60, 50, 40)]), 60)
    one, other = build_tracks(followed, FPS, LandmarksConfig())
    assert (one.start, len(one)) == (0, 20)
    assert (other.start, len(other)) == (35, 25)


@pytest.mark.parametrize("gap", [0.2, 0.4])
def test_the_gap_is_counted_in_seconds(gap):
    frames = round(gap * FPS)
    inside = run(Scene(lambda n: [] if 20 <= n < 20 + frames else [(60, 50, 40)]), 60, gap=gap)
    beyond = run(Scene(lambda n: [] if 20 <= n < 21 + frames else [(60, 50, 40)]), 60, gap=gap)
    assert len(inside.faces) == 1
    assert len(beyond.faces) == 2


def test_of_two_faces_the_larger_is_kept_and_a_note_says_so():
    followed = run(Scene(lambda n: [(40, 60, 34), (110, 60, 50)]), 30)
    (track,) = build_tracks(followed, FPS, LandmarksConfig())
    assert track.vertices[0, :, 0].mean() == pytest.approx(110, abs=1)
    assert "2 faces" in track.notes[0]
    assert "largest" in track.notes[0]


def test_a_large_face_that_passes_by_does_not_replace_the_lasting_one():
    """The continuous one: a bigger face for ten frames, a smaller one throughout."""
    followed = run(Scene(lambda n: [(40, 60, 45)] + ([(120, 60, 55)] if 30 <= n < 40 else [])), 80)
    (track,) = build_tracks(followed, FPS, LandmarksConfig())
    assert len(track) == 80
    assert track.vertices[35, :, 0].mean() == pytest.approx(40, abs=1)


def test_a_larger_face_that_comes_later_is_noticed():
    followed = run(Scene(lambda n: [(30, 60, 34)] + ([(110, 60, 70)] if n >= 20 else [])), 100)
    track = build_tracks(followed, FPS, LandmarksConfig())[-1]
    assert track.vertices[-1, :, 0].mean() == pytest.approx(110, abs=1)
    assert 20 <= track.start <= 33, "looked for twice a second"


def test_a_cut_starts_a_new_track_though_the_face_stays_in_place():
    followed = run(Scene(lambda n: [(60, 50, 40)], lambda n: 30 if n < 25 else 160), 50)
    one, other = build_tracks(followed, FPS, LandmarksConfig())
    assert (len(one), other.start, len(other)) == (25, 25, 25)
    assert "cut" in other.notes[0]


def test_a_face_that_jumps_starts_a_new_track():
    followed = run(Scene(lambda n: [(40, 50, 36) if n < 25 else (115, 60, 36)]), 50)
    one, other = build_tracks(followed, FPS, LandmarksConfig())
    assert (len(one), other.start) == (25, 25)


def test_a_quick_head_is_no_cut():
    followed = run(Scene(lambda n: [(80 + 30 * np.sin(n * 0.4), 50, 40)]), 50)
    assert len(followed.faces) == 1


def test_a_change_of_size_in_the_stream_is_a_cut():
    scene = Scene(lambda n: [(60, 50, 40)])
    frames = (image if n < 20 else np.zeros((100, 160, 3), np.uint8) for n, image in enumerate(scene.frames(40)))
    assert len(follow(scene, frames, FPS, LandmarksConfig()).faces) == 2


def test_no_face_at_all_is_named_with_numbers():
    with pytest.raises(InputError, match=r"0 of 40 frames show a face"):
        build_tracks(run(Scene(lambda n: []), 40), FPS, LandmarksConfig())


def test_a_face_in_three_frames_only_is_not_enough():
    followed = run(Scene(lambda n: [(60, 50, 40)] if 10 <= n < 13 else []), 60)
    with pytest.raises(InputError, match=r"3 of 60 frames show a face; a track needs at least 12 frames \(0.5 s\)"):
        build_tracks(followed, FPS, LandmarksConfig())


def test_no_frame_at_all():
    with pytest.raises(InputError, match="0 of 0 frames"):
        build_tracks(run(Scene(lambda n: []), 0), FPS, LandmarksConfig())


def test_a_shot_that_is_too_short_is_left_out_and_noted():
    followed = run(Scene(lambda n: [(60, 50, 40)], lambda n: 30 if n < 40 else 160), 45)
    (track,) = build_tracks(followed, FPS, LandmarksConfig())
    assert len(track) == 40
    assert any("frames 40 to 44" in note and "left out" in note for note in track.notes)


def test_a_face_smaller_than_asked_for_is_passed_over():
    with pytest.raises(InputError, match="0 of 30 frames"):
        build_tracks(run(Scene(lambda n: [(60, 50, 20)]), 30), FPS, LandmarksConfig())
    assert run(Scene(lambda n: [(60, 50, 20)]), 30, min_face=10).faces


def test_a_flicker_of_the_whole_picture_is_one_cut_at_most():
    """Steady motion, however strong, is no row of cuts."""
    rng = np.random.default_rng(0)
    cut = CutDetector(0.04)
    found = [cut(rng.integers(0, 255, (90, 90, 3), dtype=np.uint8)) for _ in range(40)]
    assert sum(found) <= 1


def test_frames_with_a_covered_mouth_are_flagged():
    scene = Scene(lambda n: [(60, 50, 40)])
    scene.mouth = lambda n: 0.1 if 50 <= n < 90 else 0.9
    (track,) = build_tracks(run(scene, 150), FPS, LandmarksConfig())
    np.testing.assert_array_equal(np.flatnonzero(~track.valid), np.arange(50, 90))
    assert any("covered in 40 of 150 frames" in note and "2.0 to 3.6 s" in note for note in track.notes)


def test_a_hand_that_passes_by_and_a_doubt_of_one_frame_cover_nothing():
    scene = Scene(lambda n: [(60, 50, 40)])
    scene.mouth = lambda n: 0.1 if 50 <= n < 56 or n % 10 == 0 else 0.9
    (track,) = build_tracks(run(scene, 150), FPS, LandmarksConfig())
    assert track.valid.all()


def test_a_face_whose_mouth_is_covered_most_of_the_time_is_refused():
    scene = Scene(lambda n: [(60, 50, 40)])
    scene.mouth = lambda n: 0.1 if n >= 60 else 0.9
    followed = run(scene, 150)
    with pytest.raises(InputError, match="150 of them one whose mouth is covered most of the time"):
        build_tracks(followed, FPS, LandmarksConfig())
    (track,) = build_tracks(followed, FPS, LandmarksConfig(mouth=0.0))
    assert track.valid.all()


def test_of_two_shots_the_one_with_a_covered_mouth_is_left_out():
    scene = Scene(lambda n: [(60, 50, 40)], lambda n: 200 if n >= 60 else 0)
    scene.mouth = lambda n: 0.1 if n >= 60 else 0.9
    (track,) = build_tracks(run(scene, 120), FPS, LandmarksConfig())
    assert track.start == 0
    assert any("frames 60 to 119" in note and "left out" in note for note in track.notes)
