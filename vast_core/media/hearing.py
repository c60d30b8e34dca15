"""The sound of a file: of the track that has some, mixed so that its channels do not cancel out."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any, Literal

import attrs
import av
import numpy as np
from av.container import InputContainer
from numpy.typing import NDArray

from ..errors import MediaError, MediaWarning
from ..interfaces import SAMPLE_RATE, SILENCE_RMS
from .decoding import decoded
from .limits import check_time
from .opening import opened

SOUND_GAP = 0.02
"""Seconds by which decoded sound may drift from its timestamps before it is realigned with them (our choice)."""

LOUDEST = 8.0
"""Largest allowed sample of a float stream: 18 dB over full scale (our choice). Lossy codecs stay far below."""

CANCELLED, CANCELLED_MANY = 0.4, 0.1
"""Level of the mix, relative to the loudest channel, below which channels cancel out: of two, and of more channels.

A mix of two weighs each by 1/2, so that one silent or unrelated channel leaves half the level or more."""

FAINT = 0.1
"""A track is passed over if it is fainter than the loudest by this factor, 20 dB (our choice)."""

_SETTLING = 0.1
"""Seconds of extra sound for the resampler on each side of the sound that is kept."""

Floats = NDArray[np.float32]


@attrs.define
class _Levels:
    """Energy of each channel, in full scale² s."""

    names: tuple[str, ...] = ()
    energy: NDArray[np.float64] = attrs.field(factory=lambda: np.zeros(0))
    seconds: float = 0.0

    def add(self, frame: Any) -> None:
        own = _channels(frame)
        if len(own) < 2:
            return
        names = tuple(channel.name for channel in frame.layout.channels)
        if names != self.names:
            self.names, self.energy, self.seconds = names, np.zeros(len(own)), 0.0
        self.energy += np.square(own).sum(1) / frame.sample_rate
        self.seconds += own.shape[1] / frame.sample_rate

    def alone(self, mixed: float) -> int | None:
        """The channel to take alone, if a mix with the energy ``mixed`` shows that channels cancel out; else None."""
        if not self.seconds:
            return None
        energy = np.where([name.startswith("LFE") for name in self.names], 0.0, self.energy)
        loudest = int(energy.argmax())
        audible = math.sqrt(energy[loudest] / self.seconds) >= SILENCE_RMS
        least = CANCELLED if len(energy) == 2 else CANCELLED_MANY
        return loudest if audible and math.sqrt(mixed / energy[loudest]) < least else None


@attrs.frozen(kw_only=True)
class SoundReader:
    """Reads the sound of one file at a rate, in one or two channels."""

    path: Path
    rate: int = SAMPLE_RATE
    channels: Literal[1, 2] = 1
    start: float | None = None
    """Seconds at which the sound begins; None: at its own first sample."""
    skip: float = 0.0
    """Seconds that are left out after that; they are decoded and dropped."""
    seconds: float = math.inf

    def read(self) -> Floats | None:
        """The sound (C, S); None if there is none. Warns if there was a choice of tracks or channels."""
        with opened(self.path) as container:
            tracks = [number for number, own in enumerate(container.streams.audio) if own.codec_context is not None]
        if not tracks:
            return None
        waves = [self._track(number) for number in tracks]
        levels = [rms(wave) for wave in waves]
        chosen = next(n for n, level in enumerate(levels) if level >= FAINT * max(levels))
        if chosen:
            self._say(
                f"track {tracks[chosen] + 1} of its {len(waves)} sound tracks is used, since those before it are "
                "silent or far fainter"
            )
        return waves[chosen]

    def _track(self, number: int) -> Floats:
        """One track, mixed, or one of its channels if these cancel out in a mix."""
        levels = _Levels()
        wave = self._decoded(number, levels, None)
        alone = levels.alone(float(np.square(wave.mean(0), dtype=np.float64).sum()) / self.rate)
        if alone is None:
            return wave
        self._say(f"its {len(levels.names)} channels cancel out in a mix; channel {alone + 1} is used alone")
        return self._decoded(number, _Levels(), alone)

    def _say(self, what: str) -> None:
        warnings.warn(f"{self.path}: {what}", MediaWarning, stacklevel=2)

    def _decoded(self, track: int, levels: _Levels, channel: int | None) -> Floats:
        with opened(self.path) as container:
            return self._placed(container, container.streams.audio[track], levels, channel)

    def _placed(self, container: InputContainer, stream: Any, levels: _Levels, channel: int | None) -> Floats:
        pieces: list[tuple[float, list[Floats]]] = []
        resampler: av.AudioResampler | None = None
        form, due, origin, shift = None, 0.0, self.start, 0.0

        def convert(frame: Any) -> None:
            for part in resampler.resample(frame) if resampler else ():
                pieces[-1][1].append(self._floats(part.to_ndarray()))

        for frame in decoded(self.path, container, stream):
            time = due if frame.time is None else frame.time + shift
            check_time(self.path, time - (origin or 0.0))
            if time < due - SOUND_GAP and not container.streams.video:  # no pictures to lose the sound from
                shift, time = shift + due - time, due
            current = (frame.format.name, frame.layout.name, frame.sample_rate)
            if frame.format.name.startswith(("flt", "dbl")):
                _check_samples(self.path, frame.to_ndarray(), time)
            if current != form or abs(time - due) > SOUND_GAP:
                convert(None)
                resampler, form, due = None, current, time
            if origin is None:
                origin = time
            if due - origin > self.skip + self.seconds + _SETTLING:
                break
            end = due + frame.samples / frame.sample_rate
            if end - origin > self.skip - _SETTLING:
                if resampler is None:
                    resampler = self._resampler(frame, channel)
                    pieces.append((due, []))
                levels.add(frame)
            convert(frame if channel is None else _only(frame, channel))
            due = end
        convert(None)
        first = (origin or 0.0) + self.skip
        return self._joined([(time - first, np.concatenate(own, 1)) for time, own in pieces if own])

    def _resampler(self, frame: Any, channel: int | None) -> av.AudioResampler:
        # Integers make the resampler scale its down-mix so that it cannot clip; to floats it does not. Two channels are
        # for ears: they keep their loudness, and a single one is doubled, because the resampler would lower it by 3 dB.
        single = self.channels == 1 or channel is not None or frame.layout.nb_channels == 1
        return av.AudioResampler("s32" if self.channels == 1 else "fltp", "mono" if single else "stereo", self.rate)

    def _floats(self, made: NDArray[Any]) -> Floats:
        own = made.astype(np.float32) / 2**31 if made.dtype == np.int32 else made
        return np.repeat(own, self.channels // len(own), axis=0)

    def _joined(self, placed: list[tuple[float, Floats]]) -> Floats:
        at = [round(time * self.rate) for time, _ in placed]
        samples = max((first + own.shape[1] for first, (_, own) in zip(at, placed, strict=True)), default=0)
        limit = samples if self.seconds == math.inf else min(samples, round(self.seconds * self.rate))
        wave = np.zeros((self.channels, max(limit, 0)), np.float32)
        for first, (_, own) in zip(at, placed, strict=True):
            if first + own.shape[1] > 0 and first < wave.shape[1]:
                wave[:, max(first, 0) : first + own.shape[1]] = own[:, max(-first, 0) : wave.shape[1] - first]
        return wave


def read_wave(path: Path, start: float = 0.0, seconds: float = math.inf) -> Floats:
    """The sound (S,), mono, 16 kHz, of a sound or video file, from its own first sample.

    Returns at most ``seconds`` from ``start`` on, and nothing beyond the end of the file. Memory does not grow with the
    file. A part resampled from another rate lies within half a sample of the same part of the whole. Of several tracks,
    the first that is not far fainter than the others is read; channels that cancel out are not mixed. Raises
    :class:`MediaError` if the file has no sound, cannot be read, or holds floats far over full scale.
    """
    wave = SoundReader(path=path, skip=start, seconds=seconds).read()
    if wave is None or (not wave.size and start == 0):
        raise MediaError(f"{path}: has no sound; name a sound file, or a video with sound")
    mono: Floats = wave[0]
    return mono


def is_silent(wave: NDArray[Any]) -> bool:
    """Whether there is nothing to hear in a sound, also because it has no samples."""
    return rms(wave) < SILENCE_RMS


def rms(wave: NDArray[Any]) -> float:
    """Root of the mean square about the mean of each channel, since a constant is not heard; 0 of nothing."""
    return float(np.sqrt(np.var(wave, axis=-1, dtype=np.float64).mean())) if wave.size else 0.0


def _channels(frame: Any) -> NDArray[np.float64]:
    """Samples (C, S) of a decoded frame; 1 is full scale."""
    samples: NDArray[Any] = frame.to_ndarray()
    own = samples if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels).T
    if own.dtype.kind == "f":
        return own.astype(np.float64)
    middle = 128.0 if own.dtype.kind == "u" else 0.0
    return (own - middle) / (2.0 ** (8 * own.dtype.itemsize - 1))


def _only(frame: Any, channel: int) -> Any:
    """One channel of a frame, as a frame."""
    own = _channels(frame)[channel][None]
    single = av.AudioFrame.from_ndarray(np.ascontiguousarray(own), format="dbl", layout="mono")
    single.sample_rate, single.pts, single.time_base = frame.sample_rate, frame.pts, frame.time_base
    return single


def _check_samples(path: Path, samples: NDArray[np.floating[Any]], second: float) -> None:
    """Raise MediaError if a float stream has samples that resampling would turn into clicks or clip."""
    greatest = np.abs(samples).max(initial=0.0)
    if not greatest <= LOUDEST:  # NaN too
        raise MediaError(
            f"{path}: the sound near {second:.2f} s has a sample of {greatest:.6g}, where 1 is full scale; "
            f"write it again (were integers stored as floats?)"
        )
