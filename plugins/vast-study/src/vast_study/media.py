"""Videos for judges: H.264 and AAC, which every browser plays, without any trace of their origin.

Pictures keep their size and frame rate, and sound its loudness, because both are judged. Sound becomes 48 kHz in two
channels (a single channel goes to both ears), and is cut or padded with silence to the length of the pictures. Metadata
of the source are not read, and the file does not name its encoder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import av
import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext
from numpy.typing import NDArray

from vast_core.errors import MediaError
from vast_core.files import replacing
from vast_core.media import EXACT_COLOUR, VideoFile, is_silent, read_wave

ENCODING = "2"
"""Changed whenever the same source would give a different file."""

RATE = 48_000
GAP = 16
"""Pixels between two videos side by side."""
_QUALITY = {"crf": "16", "preset": "medium"}
"""Visually lossless, so that the encoder is not what is judged."""


@attrs.frozen(kw_only=True)
class Written:
    """Properties of a written video."""

    seconds: float
    sound: float | None
    """Seconds of sound in the source; None if it had none."""


def write_medium(source: Path, target: Path, instruction: str = "", beside: Path | None = None) -> Written:
    """Convert a source; ``instruction`` is drawn on every picture.

    With another video ``beside`` it on the right, both have the height of the lower one, and last as long as the
    shorter one. The sound is that of the source.

    Raises :class:`vast_core.errors.MediaError` if the source cannot be read, and
    :class:`vast_core.errors.StorageError` if the target cannot be written.
    """
    video = VideoFile(source, fps=25)
    fps = Fraction(video.native_fps).limit_denominator(1001)
    video = VideoFile(source, fps=float(fps))
    sound = video.sound(RATE, 2)
    with replacing(target) as temporary:
        # bitexact: neither muxer nor encoder writes its name
        options = {"movflags": "+faststart", "fflags": "+bitexact"}
        with av.open(f"file:{temporary}", "w", format="mp4", options=options) as container:
            other = None if beside is None else VideoFile(beside, fps=float(fps))
            frames = _write(container, video, fps, sound, instruction, other)
        os.utime(temporary, (0, 0))  # a server reveals file times, and so the order of systems
    if not frames:
        raise MediaError(f"{source}: has no frames; copy or convert it again")
    return Written(seconds=float(frames / fps), sound=None if sound is None else sound.shape[1] / RATE)


def _write(
    container: Any,
    video: VideoFile,
    fps: Fraction,
    sound: NDArray[np.float32] | None,
    instruction: str,
    other: VideoFile | None,
) -> int:
    pictures = container.add_stream("libx264", rate=fps)
    pictures.options = _QUALITY
    pictures.pix_fmt = "yuv420p"
    context = pictures.codec_context
    context.time_base = 1 / fps
    context.flags |= int(av.codec.context.Flags.bitexact)
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
    y, x = video.size if other is None else _size_beside(video.size, other.size)
    pictures.width, pictures.height = x + x % 2, y + y % 2
    waves = None
    if sound is not None:
        waves = container.add_stream("aac", rate=RATE, layout="stereo")
        waves.codec_context.bit_rate = 192_000
        waves.codec_context.flags |= int(av.codec.context.Flags.bitexact)
    # the encoder writes its name and settings in a message with the first picture
    silent = BitStreamFilterContext("filter_units=remove_types=6", pictures)
    frames, heard = 0, 0
    for image in video.frames() if other is None else _beside(video, other):
        if instruction:
            image = draw_instruction(image, instruction)
        picture = av.VideoFrame.from_ndarray(_even(image), format="rgb24")
        picture = picture.reformat(
            format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation=EXACT_COLOUR
        )
        picture.pts, picture.time_base = frames, 1 / fps
        frames += 1
        for packet in pictures.encode(picture):
            container.mux(silent.filter(packet))
        if waves is not None and sound is not None:
            until = round(frames / fps * RATE)
            container.mux(waves.encode(_part(sound, heard, until)))
            heard = until
    for packet in pictures.encode(None):
        container.mux(silent.filter(packet))
    container.mux(silent.filter(None))
    if waves is not None:
        container.mux(waves.encode(None))
    return frames


def _size_beside(left: tuple[int, int], right: tuple[int, int]) -> tuple[int, int]:
    """Height and width of two pictures side by side, with a gap."""
    y = min(left[0], right[0])
    return y, sum(round(x * y / own) for own, x in (left, right)) + GAP


def _beside(left: VideoFile, right: VideoFile) -> Iterator[NDArray[np.uint8]]:
    """Pictures side by side, on grey."""
    y, x = _size_beside(left.size, right.size)
    for pair in zip(left.frames(), right.frames(), strict=False):  # the longer one is cut
        whole = np.full((y, x, 3), 128, np.uint8)
        for image, at_end in zip(pair, (False, True), strict=True):
            width = round(image.shape[1] * y / image.shape[0])
            fitted = cv2.resize(image, (width, y), interpolation=cv2.INTER_AREA) if image.shape[0] != y else image
            whole[:, x - width if at_end else 0 : x if at_end else width] = fitted
        yield whole


def _even(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Duplicate an odd last row or column, because two pixels share their chroma."""
    y, x = image.shape[:2]
    return np.ascontiguousarray(np.pad(image, ((0, y % 2), (0, x % 2), (0, 0)), mode="edge"))


def _part(sound: NDArray[np.float32], first: int, last: int) -> Any:
    samples = np.zeros((2, last - first), np.float32)
    given = sound[:, first:last]
    samples[:, : given.shape[1]] = given
    part = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
    part.sample_rate, part.pts, part.time_base = RATE, first, Fraction(1, RATE)
    return part


def draw_instruction(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """A picture (Y, X, 3) with text, one line each, white on a dark band across its middle."""
    lines = text.splitlines()
    y, x = image.shape[:2]
    font, margin = cv2.FONT_HERSHEY_DUPLEX, 0.06
    widest = max(cv2.getTextSize(line, font, 1.0, 2)[0][0] for line in lines)
    scale = min((1 - 2 * margin) * x / widest, 0.11 * y / 22)  # 22 pixels is a capital at scale 1
    stroke = max(1, round(1.6 * scale))
    height = round(22 * scale * 1.9)
    top = (y - height * len(lines)) // 2
    drawn = image.copy()
    band = drawn[max(top - height // 2, 0) : top + height * len(lines) + height // 2]
    band[:] = (0.2 * band).astype(np.uint8)
    for number, line in enumerate(lines):
        width = cv2.getTextSize(line, font, scale, stroke)[0][0]
        base = top + height * number + round(0.75 * height)
        cv2.putText(drawn, line, ((x - width) // 2, base), font, scale, (255, 255, 255), stroke, cv2.LINE_AA)
    return drawn


def has_sound(path: Path) -> bool:
    """Whether there is something to hear in a converted video."""
    with av.open(f"file:{path}") as container:
        if not container.streams.audio:
            return False
    return not is_silent(read_wave(path))
