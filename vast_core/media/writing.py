"""Pictures and sound into files (PyAV)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np
from numpy.typing import NDArray

from ..errors import StorageError, VastError
from ..files.atomic import publish
from ..files.names import temporary_name
from ..interfaces import SAMPLE_RATE
from .colour import EXACT_COLOUR

ENCODERS = ("libx264", "libopenh264")
"""H.264 encoders; the first available one is used. PyAV's wheels contain libx264 (GPL), which is called, not linked."""

PRESET_PIXELS = 1280 * 720
"""Pixels of a frame above which encoding is made faster."""

WRITTEN_SAMPLE_RATE = 48_000
"""Samples per second of the written sound. Every player accepts it, and one AAC frame of priming lasts only 21 ms."""


class VideoWriter:
    """Writes an mp4 that any browser plays: H.264 and AAC, yuv420p, BT.709, index in front.

    ::

        with VideoWriter(path, fps=25, wave=wave) as writer:
            for frame in frames:
                writer.write(frame)

    The sound is padded with silence or cut to the length of the pictures. If the size is odd, the last row or column is
    repeated. Memory does not grow with the number of frames. The file gets its name when it is complete; after an
    error nothing is left. Raises :class:`StorageError` if the disk is full or the path cannot be written.
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        wave: NDArray[np.float32] | None = None,
        *,
        sample_rate: int = SAMPLE_RATE,
        crf: int = 18,
        full_colour: bool = False,
        metadata: Mapping[str, str] | None = None,
        finish: Callable[[Path], None] | None = None,
    ) -> None:
        """Prepare to write ``path``; ``wave`` is mono (S,) at ``sample_rate``, ``crf`` 0 (lossless) to 51 (worst).

        ``full_colour`` keeps the colour of every pixel (yuv444p) where the encoder can; browsers do not play that.
        ``metadata`` is written into the container. ``finish`` may change the complete file before it gets its name.
        """
        if wave is not None and wave.ndim != 1:
            raise ValueError(f"{path}: wave is {wave.shape}; give one channel, (S,)")
        self.path = path
        self.frames = 0
        """Frames written so far."""
        self._fps = Fraction(fps).limit_denominator(1001)
        self._wave = wave
        self._sample_rate = sample_rate
        self._crf = crf
        self._metadata = metadata or {}
        self._finish = finish
        self._encoder = h264_encoder()
        self._format = "yuv444p" if full_colour and self._encoder == "libx264" else "yuv420p"
        self._size: tuple[int, int] | None = None
        self._heard = 0
        self._container: Any = None
        self._temporary = path.with_name(temporary_name(path.name))

    def __enter__(self) -> Self:
        try:
            with self._storing():
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._temporary.touch()  # FFmpeg opens its file late; this finds a path that cannot be written now.
                # The format is named, because the name need not end in .mp4.
                self._container = av.open(
                    f"file:{self._temporary}", "w", format="mp4", options={"movflags": "+faststart"}
                )
            self._container.metadata.update(self._metadata)
            self._video: Any = self._container.add_stream(self._encoder, rate=self._fps)
            self._audio: Any = None
            if self._wave is not None:
                self._audio = self._container.add_stream("aac", rate=WRITTEN_SAMPLE_RATE, layout="mono")
                self._audio.codec_context.bit_rate = 128_000
        except BaseException:
            self._discard()
            raise
        return self

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame (Y, X, 3), RGB uint8, of the size of the first."""
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(f"{self.path}: frame {self.frames} is {frame.dtype} {frame.shape}; give uint8 (Y, X, 3)")
        y, x = frame.shape[:2]
        if self._size is None:
            self._start(y, x)
        elif self._size != (y, x):
            raise ValueError(f"{self.path}: frame {self.frames} is {(y, x)}, those before are {self._size}")
        if self._format == "yuv420p" and (y % 2 or x % 2):
            frame = np.pad(frame, ((0, y % 2), (0, x % 2), (0, 0)), mode="edge")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = picture.reformat(
            format=self._format, dst_colorspace="ITU709", dst_color_range="MPEG", interpolation=EXACT_COLOUR
        )
        picture.pts, picture.time_base = self.frames, 1 / self._fps
        self.frames += 1
        self._mux(self._video.encode(picture))
        self._hear()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._discard()
            return
        try:
            if not self.frames:
                raise ValueError(f"{self.path}: no frame was written")
            self._mux(self._video.encode(None))
            if self._audio is not None:
                self._mux(self._audio.encode(None))
            with self._storing():
                self._container.close()
            if self._finish is not None:
                self._finish(self._temporary)
            with self._storing():
                publish(self._temporary, self.path)
        except BaseException:
            self._discard()
            raise

    def _start(self, y: int, x: int) -> None:
        self._size = (y, x)
        halved = self._format == "yuv420p"  # two by two pixels share a colour
        self._video.width, self._video.height = x + halved * (x % 2), y + halved * (y % 2)
        self._video.pix_fmt = self._format
        context = self._video.codec_context
        context.time_base = 1 / self._fps
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        if self._video.codec.name == "libx264":
            # "veryfast" takes a third of the time of "medium" for the same file size and 0.4 dB less. Of high
            # definition it takes longer than all else, so there it is "superfast": half the time, twice the size.
            preset = "superfast" if y * x > PRESET_PIXELS else "veryfast"
            self._video.options = {"crf": str(self._crf), "preset": preset}
            if self._format == "yuv444p":  # kept to be read again and again
                self._video.options |= {"tune": "fastdecode"}
        else:
            # libopenh264 has no constant quality: use the bit rate that crf 18 needs for faces, halved every 6 steps.
            self._video.bit_rate = int(0.12 * y * x * float(self._fps) * 2 ** ((18 - self._crf) / 6)) + 100_000

    def _hear(self) -> None:
        """Encode the sound up to the end of the frames written so far."""
        if self._wave is None:
            return
        until = round(self.frames / self._fps * self._sample_rate)
        part = np.zeros(until - self._heard, np.float32)
        given = self._wave[self._heard : until]
        part[: len(given)] = given
        sound = av.AudioFrame.from_ndarray(part[None], format="fltp", layout="mono")
        sound.sample_rate = self._sample_rate
        sound.pts, sound.time_base = self._heard, Fraction(1, self._sample_rate)
        self._heard = until
        self._mux(self._audio.encode(sound))  # PyAV resamples to the stream's rate and cuts into AAC's blocks.

    def _mux(self, packets: Any) -> None:
        with self._storing():
            self._container.mux(packets)

    @contextmanager
    def _storing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, av.FFmpegError) as error:
            raise StorageError(
                f"{self.path}: cannot be written ({error.strerror}); free space on that disk, or write elsewhere"
            ) from error

    def _discard(self) -> None:
        # The original error is reported; a further one while closing adds nothing.
        if self._container is not None:
            with suppress(OSError, av.FFmpegError):
                self._container.close()
        with suppress(OSError):  # its folder may be missing
            self._temporary.unlink(missing_ok=True)


def h264_encoder() -> str:
    """Name of the H.264 encoder that PyAV has. Raises :class:`VastError` if it has none."""
    for name in ENCODERS:
        if name in av.codecs_available:
            return name
    raise VastError(f"PyAV {av.__version__} has no H.264 encoder ({', '.join(ENCODERS)}); install a wheel from PyPI")
