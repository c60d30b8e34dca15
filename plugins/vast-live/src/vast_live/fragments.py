"""Moments of an avatar into fragmented MP4, which a browser plays while it grows."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from vast_core.api import Marks
from vast_core.interfaces import SAMPLE_RATE
from vast_core.media import EXACT_COLOUR, h264_encoder

from .boxes import SOUND, VIDEO, Samples, SoundTrack, VideoTrack, avc_units, beginning, fragment

__all__ = ["FragmentWriter"]

SOUND_RATE = 48_000
"""Samples per second of the written sound."""
BLOCK = 1024
"""Samples of an AAC packet."""
KEY_SECONDS = 2
"""Seconds between key frames."""


class FragmentWriter:
    """Pictures and sound to bytes of fragmented MP4 (H.264 and AAC), one fragment a moment.

    The time of a picture is its number / fps, and that of a sound its sample / 16,000, so that they never drift apart.
    """

    def __init__(self, size: tuple[int, int], fps: float, marks: Marks, *, crf: int = 23) -> None:
        """``size`` is (Y, X) of the pictures, ``crf`` 0 (lossless) to 51 (worst); ``marks`` are the avatar's."""
        self._marks = marks
        y, x = size
        self._odd = ((0, y % 2), (0, x % 2), (0, 0))
        self._rate = Fraction(fps).limit_denominator(1001)
        self.moments = 0
        """Moments written so far."""
        self._heard = self._told = 0
        self._last: Any = None
        self._video, self._audio = _video_encoder((y + y % 2, x + x % 2), self._rate, crf), _sound_encoder()
        sequence, picture = (
            next(unit for unit in avc_units(bytes(self._video.extradata)) if unit[0] & 31 == kind) for kind in (7, 8)
        )
        self._track = VideoTrack(
            size=(y + y % 2, x + x % 2), timescale=self._rate.numerator, parameters=(sequence, picture)
        )
        sound = SoundTrack(timescale=SOUND_RATE, config=bytes(self._audio.extradata))
        self.beginning = beginning(self._track, sound, marks.metadata())
        """The bytes before the first fragment."""

    @property
    def mime(self) -> str:
        """The type of the stream with its codecs, as Media Source Extensions want it."""
        return f'video/mp4; codecs="{self._track.codec}, mp4a.40.2"'

    def write(self, frame: NDArray[np.uint8] | None, sound: NDArray[np.float32]) -> bytes:
        """The fragment of a picture (Y, X, 3), RGB, and the sound (S,), 16 kHz, from it to the next.

        Without a picture the last one is shown again. Raises :class:`ValueError` if there is none yet.
        """
        if frame is not None:
            frame = self._marks.frame(frame)
            self._last = av.VideoFrame.from_ndarray(
                np.ascontiguousarray(np.pad(frame, self._odd, mode="edge")), format="rgb24"
            ).reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation=EXACT_COLOUR)
        if self._last is None:
            raise ValueError("the first moment has no picture")
        self._last.pts, self._last.time_base = self.moments, 1 / self._rate
        packets = self._video.encode(self._last)
        self.moments += 1
        heard = av.AudioFrame.from_ndarray(np.ascontiguousarray(sound)[None], format="fltp", layout="mono")
        heard.sample_rate = SAMPLE_RATE
        heard.pts, heard.time_base = self._heard, Fraction(1, SAMPLE_RATE)
        self._heard += len(sound)
        return self._fragment(packets, self._audio.encode(heard))

    def close(self) -> bytes:
        """The fragment of the sound that is left."""
        return self._fragment([], self._audio.encode(None))

    def _fragment(self, pictures: list[Any], sounds: list[Any]) -> bytes:
        runs = []
        if pictures:
            unit = self._rate.denominator
            data = [_with_lengths(bytes(packet)) for packet in pictures]
            runs.append(Samples(VIDEO, pictures[0].pts * unit, unit, data, pictures[0].is_keyframe))
        # the packet before time 0 only primes the decoder
        sounds = [packet for packet in sounds if packet.pts >= 0]
        if sounds:
            runs.append(Samples(SOUND, sounds[0].pts, BLOCK, [bytes(packet) for packet in sounds]))
        if not runs:
            return b""
        self._told += 1
        return fragment(self._told, runs)


def _video_encoder(size: tuple[int, int], rate: Fraction, crf: int) -> Any:
    y, x = size
    encoder: Any = av.CodecContext.create(h264_encoder(), "w")
    encoder.width, encoder.height, encoder.pix_fmt = x, y, "yuv420p"
    encoder.framerate, encoder.time_base = rate, 1 / rate
    encoder.gop_size, encoder.max_b_frames = round(KEY_SECONDS * rate), 0
    encoder.color_range, encoder.colorspace, encoder.color_primaries, encoder.color_trc = 1, 1, 1, 1
    encoder.flags |= av.codec.context.Flags.global_header
    if encoder.codec.name == "libx264":
        encoder.options = {"crf": str(crf), "preset": "superfast", "tune": "zerolatency", "profile": "main"}
        encoder.thread_count = 1
    else:
        encoder.bit_rate = int(0.12 * y * x * float(rate)) + 100_000
    encoder.open()
    return encoder


def _sound_encoder() -> Any:
    encoder: Any = av.CodecContext.create("aac", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SOUND_RATE, "mono", "fltp"
    encoder.time_base, encoder.bit_rate = Fraction(1, SOUND_RATE), 96_000
    encoder.flags |= av.codec.context.Flags.global_header
    encoder.open()
    return encoder


def _with_lengths(annex_b: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in avc_units(annex_b))
