"""Following faces through a video: shots, cuts, gaps, and selection of the face."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import attrs
import cv2
import numpy as np

from .config import VERTICES, LandmarksConfig
from .tracker import LEFT_EYE, RIGHT_EYE, Floats, Image, Landmarker, Look, Region, region_of

SETTLE = 3
"""Iterations in which a new face is cropped around its points, because the box of the detector is coarse."""
LOOK = 0.5
"""Seconds between two searches for other faces."""
JUMP = 0.8
"""Motion between consecutive frames, in eye distances, that indicates a cut (at 25 fps, two metres per second)."""


@attrs.define(eq=False)
class FollowedFace:
    """Points of one face in the frames that show it."""

    frames: list[int]
    """Their numbers, ascending."""
    points: list[Floats]
    """(468, 3) for each."""
    scores: list[Floats]
    """Expression scores (52,) for each."""
    region: Region
    """Where to look next."""
    mouth: list[float] = attrs.field(factory=list)
    """Confidence that the mouth is visible, for each."""

    @property
    def last(self) -> Floats:
        """The points of the last frame."""
        return self.points[-1]

    @property
    def extent(self) -> float:
        """Sum over the frames of the squared width of the face, in square pixels."""
        return float(sum(float(np.ptp(points[:, 0])) ** 2 for points in self.points))

    def add(self, frame: int, look: Look, scores: Floats) -> None:
        """Append what is seen in frame ``frame``, and its expression scores (52,)."""
        self.frames.append(frame)
        self.points.append(look.points[:VERTICES].copy())
        self.scores.append(scores.copy())
        self.mouth.append(look.mouth)
        self.region = region_of(look.points)


@attrs.frozen(eq=False)
class Followed:
    """The faces followed through a whole clip."""

    faces: list[FollowedFace]
    """In order; no two at the same time, none across a cut."""
    notes: list[tuple[str, ...]]
    """Decisions about each face."""
    frames: int
    """Frames of the clip."""
    seen: int
    """Frames with a face."""


class CutDetector:
    """Distinguishes cuts from motion: at a cut the whole picture changes, and much more than just before."""

    SIZE = 32
    MEMORY = 8
    STANDS_OUT = 3

    def __init__(self, threshold: float) -> None:
        self._threshold = threshold
        self._last: Floats | None = None
        self._changes: deque[float] = deque(maxlen=self.MEMORY)

    def __call__(self, image: Image) -> bool:
        """Whether ``image`` begins a new shot."""
        small = cv2.resize(image, (self.SIZE, self.SIZE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        last, self._last = self._last, small
        if last is None:
            return False
        change = float(np.abs(small - last).mean())
        usual = max(self._changes, default=self._threshold / 2)
        self._changes.append(change)
        return change > self._threshold and change > self.STANDS_OUT * usual


class _Shot:
    """The faces between two cuts."""

    def __init__(self, landmarker: Landmarker, config: LandmarksConfig, fps: float) -> None:
        self._landmarker = landmarker
        self._config = config
        self._gap = round(config.gap * fps)
        self._look = max(1, round(LOOK * fps))
        self._next_look = 0
        self._active: list[FollowedFace] = []
        self.faces: list[FollowedFace] = []
        """All faces of the shot, in order of appearance."""

    def step(self, frame: int, image: Image) -> bool:
        """Follow all faces into the next frame; return whether it shows one."""
        self._active = [face for face in self._active if frame - face.frames[-1] - 1 <= self._gap]
        seen = [face for face in self._active if self._follow(face, frame, image)]
        if len(seen) < max(1, len(self._active)) or frame >= self._next_look:
            self._next_look = frame + self._look
            for detection in self._landmarker.detect(image, self._config.confidence):
                if detection.width >= self._config.min_face and len(seen) < self._config.faces:
                    found = self._acquire(frame, image, detection.region, seen)
                    seen.extend([found] if found is not None else [])
        return bool(seen)

    def _follow(self, face: FollowedFace, frame: int, image: Image) -> bool:
        """Look where the face was in the previous frame; False if it is gone."""
        if face.frames[-1] != frame - 1:
            return False
        look = self._landmarker.landmarks(image, face.region)
        points = look.points
        known = look.presence >= self._config.confidence and _displacement(points, face.last) <= JUMP
        alone = not any(
            other.frames[-1] == frame and _same_place(points, other.last) for other in self._active if other is not face
        )
        if known and alone:
            face.add(frame, look, self._landmarker.scores(points))
        return known and alone

    def _acquire(self, frame: int, image: Image, region: Region, seen: list[FollowedFace]) -> FollowedFace | None:
        """The face in ``region``, new or recently lost; None if it is already followed, or there is none."""
        for _ in range(SETTLE):
            look = self._landmarker.landmarks(image, region)
            points = look.points
            if look.presence < self._config.confidence:
                return None
            region = region_of(points)
        if np.ptp(points[:, 0]) < self._config.min_face or any(_same_place(points, face.last) for face in seen):
            return None
        scores = self._landmarker.scores(points)
        for face in self._active:
            # Anywhere within reach of continuous motion in the elapsed time.
            away = min(frame - face.frames[-1], 3)
            if face not in seen and _displacement(points, face.last) <= JUMP * away:
                face.add(frame, look, scores)
                return face
        face = FollowedFace([], [], [], region)
        face.add(frame, look, scores)
        self._active.append(face)
        self.faces.append(face)
        return face


def follow(landmarker: Landmarker, frames: Iterable[Image], fps: float, config: LandmarksConfig) -> Followed:
    """Follow faces through ``frames`` (Y, X, 3); of simultaneous faces the largest continuous one is kept."""
    cut = CutDetector(config.cut)
    shots: list[_Shot] = []
    shape: tuple[int, ...] | None = None
    number, seen = -1, 0
    for number, image in enumerate(frames):
        changed = cut(image)
        if changed or image.shape != shape:
            shots.append(_Shot(landmarker, config, fps))
            shape = image.shape
        seen += shots[-1].step(number, np.ascontiguousarray(image))
    kept: list[tuple[FollowedFace, tuple[str, ...]]] = []
    for index, shot in enumerate(shots):
        for face, notes in _largest(shot.faces):
            cut_note = (f"frame {face.frames[0]}: follows a cut",) if index and len(shots) > 1 else ()
            kept.append((face, cut_note + notes))
    return Followed([face for face, _ in kept], [notes for _, notes in kept], number + 1, seen)


def _largest(faces: list[FollowedFace]) -> list[tuple[FollowedFace, tuple[str, ...]]]:
    """Faces of one shot without overlap in time, larger ones preferred, in order of time."""
    kept: list[FollowedFace] = []
    beside: dict[int, int] = {}
    for face in sorted(faces, key=lambda face: -face.extent):
        rival = next((other for other in kept if _overlap(face, other)), None)
        if rival is None:
            kept.append(face)
        else:
            beside[id(rival)] = beside.get(id(rival), 0) + 1
    kept.sort(key=lambda face: face.frames[0])
    return [(face, _note(face, beside.get(id(face), 0))) for face in kept]


def _note(face: FollowedFace, others: int) -> tuple[str, ...]:
    if not others:
        return ()
    x, y = face.points[0][:, :2].mean(0)
    return (
        f"frames {face.frames[0]} to {face.frames[-1]}: {others + 1} faces found, the largest continuous one kept "
        f"(at x = {x:.0f}, y = {y:.0f} in frame {face.frames[0]})",
    )


def _overlap(one: FollowedFace, other: FollowedFace) -> bool:
    return one.frames[0] <= other.frames[-1] and other.frames[0] <= one.frames[-1]


def _displacement(points: Floats, before: Floats) -> float:
    """Median distance between two sets of points of a face, in eye distances."""
    eyes = float(np.linalg.norm(before[LEFT_EYE] - before[RIGHT_EYE]))
    moved = np.linalg.norm(points[: len(before), :2] - before[:, :2], axis=1)
    return float(np.median(moved)) / max(eyes, 1e-6)


def _same_place(points: Floats, other: Floats) -> bool:
    """Whether two faces overlap, with centres within a third of the width."""
    apart = np.linalg.norm(points[:VERTICES, :2].mean(0) - other[:, :2].mean(0))
    return bool(apart < np.ptp(other[:, 0]) / 3)
