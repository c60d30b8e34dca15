"""Frames and sound into an mp4 that any browser plays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from .errors import AvatarError
from .playing import EXACT_COLOUR
from .sound import RATE, Floats

ENCODERS = ("libx264", "libopenh264")
"""H.264 encoders; the first available one is used."""

WRITTEN_RATE = 48_000
"""Samples per second of the written sound, which every player accepts."""


def write_video(
    frames: Iterable[NDArray[np.uint8]], fps: float, wave: Floats, path: Path, metadata: Mapping[str, str]
) -> None:
    """Write frames (Y, X, 3) with their sound (S,) at 16 kHz to ``path``, which has its name once it is complete.

    ``metadata`` says in the container that an avatar speaks.

    Raises :class:`AvatarError` if it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"movflags": "+faststart"}
        with av.open(f"file:{temporary}", "w", format="mp4", options=options) as container:
            container.metadata.update(metadata)
            _encode(container, frames, Fraction(fps).limit_denominator(1001), wave)
        temporary.replace(path)
    except (OSError, av.FFmpegError) as error:
        raise AvatarError(f"{path}: cannot be written ({error.strerror}); is there space?") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _encode(container: Any, frames: Iterable[NDArray[np.uint8]], fps: Fraction, wave: Floats) -> None:
    encoder = next((name for name in ENCODERS if name in av.codecs_available), None)
    if encoder is None:
        raise AvatarError(f"PyAV {av.__version__} has no H.264 encoder; install a wheel of PyPI")
    video = container.add_stream(encoder, rate=fps)
    audio = container.add_stream("aac", rate=WRITTEN_RATE, layout="mono")
    audio.codec_context.bit_rate = 128_000
    heard = 0
    for number, frame in enumerate(frames):
        y, x = frame.shape[:2]
        if number == 0:
            _start(video, x + x % 2, y + y % 2, fps)
        picture = av.VideoFrame.from_ndarray(np.pad(frame, ((0, y % 2), (0, x % 2), (0, 0)), mode="edge"), "rgb24")
        picture = picture.reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation=EXACT_COLOUR
        )
        picture.pts, picture.time_base = number, 1 / fps
        container.mux(video.encode(picture))
        until = round((number + 1) / fps * RATE)
        part = np.zeros((1, until - heard), np.float32)
        given = wave[heard:until]
        part[0, : len(given)] = given
        sound = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = RATE, heard, Fraction(1, RATE)
        container.mux(audio.encode(sound))
        heard = until
    container.mux(video.encode(None))
    container.mux(audio.encode(None))


def _start(video: Any, x: int, y: int, fps: Fraction) -> None:
    video.width, video.height, video.pix_fmt = x, y, "yuv420p"
    context = video.codec_context
    context.time_base = 1 / fps
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
    if video.codec.name == "libx264":
        video.options = {"crf": "18", "preset": "veryfast"}
    else:
        video.bit_rate = int(0.12 * x * y * fps) + 100_000
