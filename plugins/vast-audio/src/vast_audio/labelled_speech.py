"""Speech with the time of every phone, to train and judge acoustic models: read, held out, and spoilt on purpose.

A folder of speech has a ``MANIFEST.tsv`` with the columns file, speaker, seconds, transcript and phones, the last as
``SIL:0.00-0.31 HH:0.31-0.40 ...`` (ARPAbet without stress, seconds).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE, Clip, Phone
from vast_core.media import read_wave
from vast_core.phones import PHONE_INDEX

UNKNOWN = -100
"""Label of a time that no phone covers; ignored by losses and figures."""


@attrs.frozen(kw_only=True, eq=False)
class Utterance:
    """Something said, and when each phone of it is said."""

    source: str
    """What it belongs to, for the figures: a folder's name, or ``synthetic``."""
    key: str
    """Speaker, or transcript where its source has few speakers; decides whether it is held out."""
    wave: NDArray[np.float32]
    """(S,), mono at 16 kHz."""
    phones: tuple[Phone, ...]

    @property
    def held_out(self) -> bool:
        """Whether it is kept from training: one key in ten, by its SHA-256."""
        return int(hashlib.sha256(self.key.encode()).hexdigest(), 16) % 10 == 0

    def labels(self, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Index of the phone at each of ``seconds``, ascending; :data:`UNKNOWN` where there is none."""
        starts = np.array([phone.start for phone in self.phones])
        ends = np.array([phone.end for phone in self.phones])
        index = np.array([PHONE_INDEX[phone.label] for phone in self.phones])
        number = np.searchsorted(starts, seconds, side="right") - 1
        covered = (number >= 0) & (seconds < ends[number])
        return np.where(covered, index[number], UNKNOWN)


def read_folder(folder: Path) -> Iterator[Utterance]:
    """Every utterance that a folder's ``MANIFEST.tsv`` lists.

    A sub-folder is a source of its own. Raises :class:`vast_core.errors.InputError`, naming the line, for a bad
    manifest, and :class:`vast_core.errors.MediaError` for a file that cannot be read.
    """
    manifest = folder / "MANIFEST.tsv"
    if not manifest.is_file():
        raise InputError(
            f"{manifest}: no such file; a folder of speech needs one (file, speaker, seconds, transcript, phones)"
        )
    rows: list[list[str]] = []
    for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines()[1:], start=2):
        rows.append(line.split("\t"))
        if len(rows[-1]) != 5:
            raise InputError(
                f"{manifest}:{number}: {len(rows[-1])} columns, not 5 (file, speaker, seconds, transcript, phones)"
            )
    speakers = Counter((_source(folder, file), speaker) for file, speaker, *_ in rows)
    many = Counter(source for source, _ in speakers)
    for number, (file, speaker, _, transcript, phones) in enumerate(rows, start=2):
        source = _source(folder, file)
        yield Utterance(
            source=source,
            key=speaker if many[source] > 20 else transcript,
            wave=read_wave(folder / file),
            phones=tuple(_phone(text, f"{manifest}:{number}") for text in phones.split()),
        )


def read_clips(clips: Iterable[Clip]) -> Iterator[Utterance]:
    """Every different sentence that a corpus has sound and phones of."""
    seen: set[tuple[str, str]] = set()
    for clip in clips:
        said = (clip.speaker, clip.transcript or clip.name)
        if clip.phones and said not in seen:
            seen.add(said)
            wave = clip.footage.wave()
            if wave is not None:
                yield Utterance(source="synthetic", key=said[1], wave=wave, phones=clip.phones)


def _source(folder: Path, file: str) -> str:
    return file.split("/")[0] if "/" in file else folder.resolve().name


def _phone(text: str, where: str) -> Phone:
    label, _, times = text.partition(":")
    start, _, end = times.partition("-")
    try:
        phone = Phone(label=label, start=float(start), end=float(end))
    except ValueError:
        raise InputError(f"{where}: {text!r} is not PHONE:start-end in seconds") from None
    if label not in PHONE_INDEX:
        raise InputError(f"{where}: unknown phone {label!r}; write ARPAbet without stress, or SIL")
    return phone


# ------------------------------------------------------------------------------------------- augmentation


def stretched(utterance: Utterance, factor: float) -> Utterance:
    """``utterance`` played ``factor`` times slower: longer, lower, with a longer vocal tract.

    Samples are interpolated linearly, which near 8 kHz dulls a little; for spoiling that is good enough.
    """
    samples = int(len(utterance.wave) * factor)
    wave = np.interp(np.arange(samples) / factor, np.arange(len(utterance.wave)), utterance.wave).astype(np.float32)
    phones = tuple(Phone(label=p.label, start=p.start * factor, end=p.end * factor) for p in utterance.phones)
    return attrs.evolve(utterance, wave=wave, phones=phones)


def joined(utterances: Sequence[Utterance]) -> Utterance:
    """One after the other."""
    phones: list[Phone] = []
    start = 0.0
    for utterance in utterances:
        phones += [Phone(label=p.label, start=p.start + start, end=p.end + start) for p in utterance.phones]
        start += len(utterance.wave) / SAMPLE_RATE
    return Utterance(source="", key="", wave=np.concatenate([u.wave for u in utterances]), phones=tuple(phones))


def spoilt(wave: NDArray[np.float32], rng: np.random.Generator, others: NDArray[np.float32]) -> NDArray[np.float32]:
    """``wave`` (S,) as rooms, microphones and telephones would have it; ``others`` (S,) is heard behind it at times."""
    samples = len(wave)
    if rng.random() < 0.3:
        length = int(rng.uniform(0.05, 0.4) * SAMPLE_RATE)
        room = rng.standard_normal(length, np.float32) * np.float32(1e-3) ** (
            np.arange(length, dtype=np.float32) / length
        )
        room *= rng.uniform(0.05, 0.6) / np.sqrt(np.square(room).sum())
        room[0] = 1.0
        size = _fast_size(samples + length)
        wave = _inverse(np.fft.rfft(wave, size) * np.fft.rfft(room, size), size)[:samples]
    if rng.random() < 0.5:
        wave = _coloured(wave, rng)
    power = float(np.mean(np.square(wave))) + 1e-12
    if rng.random() < 0.75:
        noise = _noise(samples, rng)
        wave = wave + noise * np.float32(np.sqrt(power) * 10 ** (-rng.uniform(8, 45) / 20))
    if rng.random() < 0.15:
        behind = np.sqrt(power / (float(np.mean(np.square(others))) + 1e-12)) * 10 ** (-rng.uniform(12, 30) / 20)
        wave = wave + others * np.float32(behind)
    if rng.random() < 0.2:
        # as a recording made far too loud: little but the signs of the samples is left
        wave = np.clip(wave * np.float32(10 ** rng.uniform(0.5, 4) / np.sqrt(power)), -1, 1)
    gain = 10 ** (rng.normal(-23, 7) / 20) / np.sqrt(float(np.mean(np.square(wave))) + 1e-12)
    heard: NDArray[np.float32] = np.clip(wave * np.float32(gain), -1, 1)
    return heard


def _coloured(wave: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """A random smooth filter, and at times the band of a telephone."""
    size = _fast_size(len(wave) + 512)
    hertz = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    points = np.array([0, 200, 500, 1000, 2000, 3500, 5500, 8000])
    decibels = np.interp(hertz, points, rng.normal(0, 4, len(points)))
    if rng.random() < 0.4:
        low, high = rng.uniform(50, 350), rng.uniform(3200, 7000)
        decibels -= 40 * np.clip((hertz - high) / 300, 0, 1) + 30 * np.clip((low - hertz) / low, 0, 1)
    gains = (10 ** (decibels / 20)).astype(np.float32)
    return _inverse(np.fft.rfft(wave, size) * gains, size)[: len(wave)]


def _noise(samples: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Noise of unit power whose spectrum falls by 0 to 9 dB an octave."""
    size = _fast_size(samples)
    white = np.fft.rfft(rng.standard_normal(size, np.float32))
    white *= np.maximum(np.arange(len(white), dtype=np.float32), 20) ** np.float32(-rng.uniform(0, 1.5))
    noise = _inverse(white, size)[:samples]
    return noise / np.float32(np.sqrt(np.mean(np.square(noise))))


def _inverse(spectrum: NDArray[np.complexfloating], size: int) -> NDArray[np.float32]:
    wave: NDArray[np.float32] = np.fft.irfft(spectrum, size).astype(np.float32, copy=False)
    return wave


def _fast_size(samples: int) -> int:
    """The least size of at least ``samples`` that is 1, 3, 5 or 15 times a power of 2, so that its FFT is fast."""
    return min(factor << max(0, math.ceil(math.log2(samples / factor))) for factor in (1, 3, 5, 15))
