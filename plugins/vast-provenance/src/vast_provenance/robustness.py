"""What the watermark survives, how often it is seen where it is not, and what it costs, measured on any videos."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import av
import cv2
import numpy as np
from numpy.typing import NDArray

from vast_core.errors import MediaError
from vast_core.media import h264_encoder, opened

from .detecting import Detector, best, threshold
from .marking import watermarked
from .pattern import phases

__all__ = ["ATTACKS", "Measured", "measure"]

Frames = list[NDArray[np.uint8]]
PIECE = 50
"""Frames of a piece, two seconds."""
LEAST = 64
"""Pixels along the short side of the smallest pictures that are measured."""


@attrs.frozen(kw_only=True)
class Measured:
    """One piece of a video."""

    video: str
    size: tuple[int, int]
    psnr: float
    """dB, of the first frame."""
    milliseconds: float
    """Of a frame to mark."""
    marked: dict[str, float]
    """z of the marked piece after each attack."""
    other: dict[str, NDArray[np.float64]]
    """z of other patterns, which are not there, after each attack."""
    unmarked: float
    """z of the piece without a mark."""
    threshold: float
    """z from which the watermark counts as found."""


def pieces(video: Path, most: int) -> Iterator[Frames]:
    """The frames of a video in pieces of one size, the last of at least half the length.

    Raises :class:`MediaError` if it has no pictures, or smaller ones than can be changed as the web does.
    """
    found: Frames = []
    given = 0
    with opened(video) as container:
        for frame in container.decode(video=0) if container.streams.video else ():
            if min(frame.width, frame.height) < LEAST:
                raise MediaError(f"{video}: its pictures are {frame.width} x {frame.height}; give at least {LEAST}")
            picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            if found and found[0].shape != picture.shape:
                if len(found) >= PIECE // 2:
                    yield found
                    given += 1
                found = []
            if given == most:
                return
            found.append(picture)
            if len(found) == PIECE:
                yield found
                found, given = [], given + 1
    if given < most and (len(found) >= PIECE // 2 or (found and not given)):
        yield found
    elif not given:
        raise MediaError(f"{video}: has no pictures to measure on")


def encoded(frames: Frames, crf: int) -> Frames:
    """The frames after H.264 at ``crf``."""
    store = io.BytesIO()
    y, x = (side - side % 2 for side in frames[0].shape[:2])
    out: Any = av.open(store, "w", format="mp4")
    with out:
        stream = out.add_stream(h264_encoder(), rate=25, options={"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = x, y, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[:y, :x]), format="rgb24")
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))
    store.seek(0)
    written: Any = av.open(store)
    with written:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in written.decode(video=0)]


def halved(frames: Frames) -> Frames:
    """The frames at half their size."""
    y, x = frames[0].shape[:2]
    return [np.asarray(cv2.resize(frame, (x // 2, y // 2), interpolation=cv2.INTER_AREA)) for frame in frames]


def cropped(frames: Frames) -> Frames:
    """The frames without a tenth of their height, from the top, and of their width, from both sides."""
    y, x = (side // 10 for side in frames[0].shape[:2])
    return [np.ascontiguousarray(frame[y:, x // 2 : frame.shape[1] - (x - x // 2)]) for frame in frames]


ATTACKS: dict[str, Callable[[Frames], Frames]] = {
    "as written, crf 18": lambda frames: frames,
    "H.264 at crf 28": lambda frames: encoded(frames, 28),
    "half size": lambda frames: encoded(halved(frames), 18),
    "a tenth cropped": lambda frames: encoded(cropped(frames), 18),
    "encoded again, crf 23": lambda frames: encoded(frames, 23),
    "half size, crf 28": lambda frames: encoded(halved(frames), 28),
    "cropped, crf 28": lambda frames: encoded(cropped(frames), 28),
    "cropped, half size, crf 23, crf 28": lambda frames: encoded(encoded(halved(cropped(frames)), 23), 28),
}
"""What is done to a video that was written at crf 18, by name."""


def measure(videos: Sequence[Path], *, most: int, keys: int, told: Callable[[str], None]) -> Iterator[Measured]:
    """Measure the first ``most`` pieces of each video, with ``keys`` other patterns for false alarms."""
    others = [phases(f"another pattern {number}") for number in range(keys)]
    for video in videos:
        for number, frames in enumerate(pieces(video, most)):
            told(f"{video.name}, piece {number + 1}")
            watermarked(frames[0])  # the pattern of this size is made once
            began = time.perf_counter()
            marked = [watermarked(frame) for frame in frames]
            spent = 1000 * (time.perf_counter() - began) / len(frames)
            error = np.square(marked[0].astype(np.float64) - frames[0]).mean()
            written, plain = encoded(marked, 18), encoded(frames, 18)
            z, wrong = {}, {}
            for attack, change in ATTACKS.items():
                z[attack] = best(_seen(change(written)).spectra(), phases()).z
                waves = _seen(change(plain)).spectra()
                wrong[attack] = np.array([best(waves, other).z for other in others])
            spectra = _seen(frames).spectra()
            yield Measured(
                video=video.name,
                size=(frames[0].shape[0], frames[0].shape[1]),
                psnr=float(10 * np.log10(255**2 / error)),
                milliseconds=spent,
                marked=z,
                other=wrong,
                unmarked=best(spectra, phases()).z,
                threshold=threshold(len(spectra)),
            )


def _seen(frames: Frames) -> Detector:
    detector = Detector()
    for frame in frames[::2]:
        detector.add(np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)))
    return detector
