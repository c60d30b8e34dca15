"""One video to be measured: its frames at the protocol's rate, its sound, and its tracked face."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from vast_core.errors import InputError
from vast_core.files import replacing
from vast_core.interfaces import SAMPLE_RATE, Clip, Face, FaceTrack
from vast_core.recipe import Recipe
from vast_core.runs import cache_root, component_key, digest

Wave = NDArray[np.float32]

FURTHER = "coefficients/"
"""Prefix of the names of a track's further coefficients in its file."""


@attrs.frozen(kw_only=True, eq=False)
class Followed:
    """The faces of a video, one track per shot, and facts about its frames."""

    tracks: tuple[FaceTrack, ...]
    frames: int
    """Frames in the whole video, at the protocol's rate."""
    size: tuple[int, int]
    """(Y, X)."""


@attrs.frozen(kw_only=True, eq=False)
class Follower:
    """Tracks faces, once per video: tracks are cached, because references are shared by many systems."""

    face: Face
    parts: Recipe
    """Has the face component and the frame rate."""
    most: int
    """Maximum number of frames after the first that are tracked."""

    def __call__(self, clip: Clip) -> Followed:
        """The faces of a clip.

        Raises :class:`vast_core.errors.InputError` if there is no face, or the file is damaged.
        """
        use = self.parts.part("face")
        key = digest(
            [component_key(use.component), self.parts.component_data("face"), clip.digest, self.parts.fps, self.most]
        )
        path = cache_root() / "evaluation" / f"{key}.safetensors"
        if not path.is_file():
            _write(path, self._follow(clip))
        return _read(path)

    def _follow(self, clip: Clip) -> Followed:
        frames = _Counted(clip.footage.frames())
        try:
            tracks = self.face.track(islice(frames, self.most), self.parts.fps)
        except InputError as error:
            message = str(error)
            raise type(error)(message if clip.name in message else f"{clip.name}: {message}") from error
        for _ in frames:  # the rest is but counted; a file that breaks off shows here
            pass
        return Followed(tracks=tuple(tracks), frames=frames.count, size=frames.size)


class _Counted(Iterator[NDArray[np.uint8]]):
    """Counts frames while they are read."""

    def __init__(self, frames: Iterator[NDArray[np.uint8]]) -> None:
        self._frames = frames
        self.count, self.size = 0, (0, 0)

    def __next__(self) -> NDArray[np.uint8]:
        frame = next(self._frames)
        self.count, self.size = self.count + 1, (frame.shape[0], frame.shape[1])
        return frame


def _write(path: Path, followed: Followed) -> None:
    arrays = {
        f"{number}.{name}": np.ascontiguousarray(getattr(track, name))
        for number, track in enumerate(followed.tracks)
        for name in ("vertices", "pose", "valid")
    }
    for number, track in enumerate(followed.tracks):
        arrays |= {f"{number}.{FURTHER}{name}": np.ascontiguousarray(k) for name, k in track.coefficients.items()}
    starts = " ".join(str(track.start) for track in followed.tracks)
    meta = {"starts": starts, "frames": str(followed.frames), "size": f"{followed.size[0]} {followed.size[1]}"}
    with replacing(path) as temporary:
        save_file(arrays, temporary, metadata=meta)


def _read(path: Path) -> Followed:
    with safe_open(path, framework="numpy") as file:
        meta, names = file.metadata(), list(file.keys())

        def further(number: int) -> dict[str, NDArray[np.float32]]:
            prefix = f"{number}.{FURTHER}"
            return {key.removeprefix(prefix): file.get_tensor(key) for key in names if key.startswith(prefix)}

        tracks = tuple(
            FaceTrack(
                start=int(start),
                coefficients=further(number),
                **{name: file.get_tensor(f"{number}.{name}") for name in ("vertices", "pose", "valid")},
            )
            for number, start in enumerate(meta["starts"].split())
        )
    rows, columns = map(int, meta["size"].split())
    return Followed(tracks=tracks, frames=int(meta["frames"]), size=(rows, columns))


@attrs.frozen
class Span:
    """Frames ``start`` to ``stop`` of both videos, and the tracks that cover them."""

    start: int
    stop: int
    tracks: tuple[FaceTrack, FaceTrack]
    """Tracks of the generated video and of its reference."""

    def of(self, side: int) -> slice:
        """The slice of a side's track."""
        begin = self.tracks[side].start
        return slice(self.start - begin, self.stop - begin)

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.stop - self.start


def common_span(generated: Sequence[FaceTrack], reference: Sequence[FaceTrack]) -> Span | None:
    """The longest span that one shot of each covers; None if there is none."""
    spans = [
        Span(max(a.start, b.start), min(a.start + len(a), b.start + len(b)), (a, b))
        for a in generated
        for b in reference
    ]
    longest = max(spans, key=lambda span: span.frames, default=None)
    return longest if longest is not None and longest.frames > 0 else None


def sound_of(wave: Wave | None, start: int, stop: int, fps: float) -> Wave | None:
    """The sound of frames ``start`` to ``stop``, padded with silence if it ends early."""
    if wave is None:
        return None
    first, last = (round(frame / fps * SAMPLE_RATE) for frame in (start, stop))
    heard = wave[first:last]
    return np.pad(heard, (0, last - first - len(heard)))
