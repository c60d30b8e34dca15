"""Evaluation of a recogniser on a folder of speech: by source, held out or all, with or without noise."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE, Clip, Sizes
from vast_core.registry import Registry

from .alignment import align
from .figures import STEPS_PER_SECOND, Tally
from .labelled_speech import held_out, labels, source_of
from .recognition import Recogniser, row_times


@attrs.frozen(kw_only=True)
class Noise:
    """Steady noise added to speech; the name of a recording determines its noise."""

    decibels: float
    """Power of the speech, where somebody speaks, relative to the noise, in dB."""
    shape: Literal["speech", "white"] = "speech"
    """``speech`` has the long-term spectrum of the same utterance, so that all bands are equally degraded."""
    seed: int = 0

    def behind(self, wave: NDArray[np.float32], spoken: NDArray[np.bool_], name: str) -> NDArray[np.float32]:
        """``wave`` (S,) with the noise of the recording ``name``; ``spoken`` (S,) marks speech."""
        rng = np.random.default_rng([self.seed, zlib.crc32(name.encode())])
        noise = rng.standard_normal(len(wave))
        if self.shape == "speech":
            noise = np.fft.irfft(np.fft.rfft(noise) * _envelope(wave, spoken), len(wave))
        power = float(np.mean(np.square(wave[spoken], dtype=np.float64))) if spoken.any() else 0.0
        gain = np.sqrt(power / (np.mean(np.square(noise)) + 1e-30)) * 10 ** (-self.decibels / 20)
        noisy: NDArray[np.float32] = (wave + gain * noise).astype(np.float32)
        return noisy


def _envelope(wave: NDArray[np.float32], spoken: NDArray[np.bool_], size: int = 512) -> NDArray[np.float64]:
    """Mean amplitude spectrum of the windows of ``wave`` with speech, at the bins of its own transform."""
    padded = np.pad(wave.astype(np.float64), (0, size))
    starts = np.arange(0, len(wave), size // 2)
    starts = starts[spoken[starts]] if spoken[starts].any() else starts
    windows = padded[starts[:, None] + np.arange(size)] * np.hanning(size)
    mean = np.sqrt(np.square(np.abs(np.fft.rfft(windows))).mean(0))
    bins = np.linspace(0, 1, len(wave) // 2 + 1)
    envelope: NDArray[np.float64] = np.interp(bins, np.linspace(0, 1, len(mean)), mean)
    return envelope


@attrs.frozen(kw_only=True, eq=False)
class Evaluation:
    """Counts by source, and the recordings left out."""

    by_source: dict[str, Tally]
    left_out: dict[str, str]
    """Reason why each recording was left out, by name."""

    @property
    def total(self) -> Tally:
        """The counts of all sources."""
        total = Tally()
        for tally in self.by_source.values():
            total += tally
        return total

    def as_json(self) -> dict[str, Any]:
        """The figures of the total, and of each source in ``by_source``."""
        sources = {source: tally.figures().as_json() for source, tally in self.by_source.items()}
        return {**self.total.figures().as_json(), "by_source": sources}


def chosen_clips(
    registry: Registry, folder: Path, only: Literal["held-out", "all"] = "all", sources: Collection[str] = ()
) -> list[Clip]:
    """The recordings to evaluate in a folder with a ``MANIFEST.tsv``, as ``corpus/speech`` reads them.

    ``only`` "held-out" excludes what training on that corpus uses; ``sources`` names sub-folders, empty for all. Raises
    :class:`vast_core.errors.InputError` if nothing is left.
    """
    component = registry.get("corpus", "speech")
    config = component.config(folders=(folder,), engines=())
    clips: list[Clip] = list(component.load().from_config(config, Sizes(fps=STEPS_PER_SECOND)).clips())
    known = sorted({source_of(clip.name) for clip in clips})
    if unknown := sorted(set(sources) - set(known)):
        raise InputError(f"{folder}: no source is called {unknown[0]!r}; it has {', '.join(known)}")
    kept = held_out(clips) if only == "held-out" else {clip.name for clip in clips}
    chosen = [clip for clip in clips if clip.name in kept and (not sources or source_of(clip.name) in sources)]
    if not chosen:
        raise InputError(f"{folder}: none of its {len(clips)} recordings is held out; use all of them (--only all)")
    return chosen


def evaluate(recogniser: Recogniser, clips: Iterable[Clip], noise: Noise | None = None) -> Evaluation:
    """Evaluate the sound of ``clips``, one after the other.

    Phones that a clip lacks are aligned with its transcript, on the sound without ``noise``; if that fails, the clip is
    left out. Computation is timed on one thread, after a second of silence to warm up.
    """
    recogniser.timed(np.zeros(SAMPLE_RATE, np.float32))
    result = Evaluation(by_source={}, left_out={})
    for clip in clips:
        wave = clip.footage.wave()
        if wave is None:
            raise InputError(f"{clip.name}: has no sound")
        try:
            phones = clip.phones or align(wave, clip.transcript or "")
        except InputError as error:
            result.left_out[clip.name] = str(error)
            continue
        if noise is not None:
            wave = noise.behind(wave, labels(phones, np.arange(len(wave)) / SAMPLE_RATE) > 0, clip.name)
        posteriors, computed = recogniser.timed(wave)
        result.by_source.setdefault(source_of(clip.name), Tally()).add(
            posteriors.argmax(1),
            labels(phones, row_times(len(posteriors))),
            computed=computed,
            sound=len(wave) / SAMPLE_RATE,
        )
    return result
