"""Speaker leakage: how well a linear probe identifies the speaker from audio features.

Phone posteriors should carry little of it. Any audio components are compared on the same frames of speech. If a
speaker has one recording, as in LibriSpeech's samples, its room and microphone identify the speaker, too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from rich import box
from rich.table import Table
from torch import Tensor

from vast_core.errors import InputError
from vast_core.interfaces import AudioFeatures, Sizes
from vast_core.media import read_manifest, read_wave
from vast_core.registry import Registry

from .linear_probe import Examples, LinearProbe
from .voices import FPS, FRAME, Nearness, Rows, are_posteriors, nearness, same_sentence

SEGMENT = 50
"""Frames of speech that are pooled: 2 s."""
_PARTS = 3
"""Number of parts: training, tuning, test."""
_MOST = 20 * SEGMENT
"""Maximum frames of a speaker in one part: 40 s."""
_LEARNED, _LEAST_LEARNED = 4000, 40
"""Single frames in one part, of all speakers, and the minimum of one speaker."""
_BELOW = 30.0
"""Decibels below loud frames at which speech ends."""
_LEAST = 1e-4
"""Smaller posteriors are raised to this value before their logarithm is taken."""


@attrs.frozen(kw_only=True)
class Told:
    """Share of speakers identified correctly on test data, each speaker weighted equally."""

    frame: float
    """From one frame."""
    segment: float
    """From the mean and standard deviation over 2 s of speech."""


@attrs.frozen(kw_only=True)
class Leakage:
    """Measurements on a folder, by component; ``log ppg`` is the logarithm of ``ppg``."""

    speakers: int
    left_out: tuple[str, ...]
    """Speakers with too little speech."""
    told: Mapping[str, Told]
    voices: Mapping[str, Nearness]
    """Empty if no two speakers say the same phones, or the phones are unknown."""

    @property
    def chance(self) -> float:
        """Accuracy of guessing."""
        return 1 / self.speakers

    def as_json(self) -> dict[str, Any]:
        """Everything, rounded to three digits."""
        return {
            "speakers": self.speakers,
            "left_out": list(self.left_out),
            "chance": round(self.chance, 3),
            "told": {name: _rounded(figures) for name, figures in self.told.items()},
            "voices": {name: _rounded(figures) for name, figures in self.voices.items()},
        }


def _rounded(figures: Told | Nearness) -> dict[str, float | None]:
    return {key: None if value is None else round(value, 3) for key, value in attrs.asdict(figures).items()}


def leakage_table(leakage: Leakage) -> Table:
    """A table with one row per component, to print."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("features")
    for column in ("speaker, 1 frame", "speaker, 2 s", "voices apart", "same viseme"):
        table.add_column(column, justify="right")
    for name, told in leakage.told.items():
        near = leakage.voices.get(name)
        shares = [told.frame, told.segment, near and near.distance, near and near.viseme]
        table.add_row(name, *("" if share is None else f"{share:.3f}" for share in shares))
    table.add_row("guessing", *2 * [f"{leakage.chance:.3f}"])
    return table


def measure(registry: Registry, folder: Path, names: Sequence[str] = ("mel", "ppg")) -> Leakage:
    """Leakage of the audio components ``names`` on a folder with a ``MANIFEST.tsv``.

    Raises :class:`vast_core.errors.InputError` if too few speakers have enough speech.
    """
    features = {name: rows for given in names for name, rows in views(registry, given).items()}
    recordings = read_manifest(folder)
    spoken: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    for recording in recordings:
        if sum(map(len, spoken[recording.speaker])) < 2 * _PARTS * _MOST * FRAME:  # half may be pauses
            spoken[recording.speaker].append(read_wave(folder / recording.file))
    told, left_out = tell_speakers(features, spoken)
    voices = nearness(features, same_sentence(folder, recordings))
    return Leakage(speakers=len(spoken) - len(left_out), left_out=left_out, told=told, voices=voices)


def views(registry: Registry, name: str) -> dict[str, Rows]:
    """A component's rows, and for posteriors also their logarithm, whose small values carry more of the speaker."""
    component = registry.get("audio", name)
    features: AudioFeatures = component.load().from_config(component.config(), Sizes(fps=FPS)).eval()

    def rows(wave: NDArray[np.float32]) -> Tensor:
        with torch.no_grad():
            heard: Tensor = features(torch.from_numpy(wave)[None], max(1, len(wave) // FRAME))[0].float()
        return heard

    found: dict[str, Rows] = {name: rows}
    if are_posteriors(rows(np.zeros(FRAME, np.float32))):
        found[f"log {name}"] = lambda wave: rows(wave).clamp_min(_LEAST).log()
    return found


def tell_speakers(
    features: Mapping[str, Rows], spoken: Mapping[str, Sequence[NDArray[np.float32]]]
) -> tuple[dict[str, Told], tuple[str, ...]]:
    """Probe accuracy of each of ``features``, trained on waves (S,) by speaker, and the names of speakers left out.

    A third of a speaker's recordings is for training, one for tuning, one for testing; fewer than three recordings are
    cut in time, before features are computed, so that no part affects another. Raises
    :class:`vast_core.errors.InputError` if fewer than two speakers have 2 s of speech in each part.
    """
    parts = {speaker: _parts(waves) for speaker, waves in spoken.items()}
    kept = [name for name, found in parts.items() if all(_frames_of_speech(waves) >= SEGMENT for waves in found)]
    if len(kept) < 2:
        raise InputError(
            f"{len(kept)} of {len(parts)} speakers have {SEGMENT / FPS:g} s of speech in each of {_PARTS} parts; "
            "a probe for the speaker needs two speakers"
        )
    told = {}
    for name, rows in features.items():
        learn, tune, test = ([_of_speech(rows, parts[speaker][part]) for speaker in kept] for part in range(_PARTS))
        told[name] = Told(
            frame=LinearProbe.tuned(_single(learn), _single(tune)).accuracy(_single(test)),
            segment=LinearProbe.tuned(_pooled(learn), _pooled(tune)).accuracy(_pooled(test)),
        )
    return told, tuple(name for name in parts if name not in kept)


def speech_frames(wave: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Frames with speech (T,): at most 30 dB below the 95th percentile of power."""
    power = np.square(wave[: len(wave) // FRAME * FRAME].reshape(-1, FRAME), dtype=np.float64).mean(1)
    if not power.any():
        return np.zeros(len(power), np.bool_)
    spoken: NDArray[np.bool_] = power > np.quantile(power, 0.95) * 10 ** (-_BELOW / 10)
    return spoken


def _parts(waves: Sequence[NDArray[np.float32]]) -> list[list[NDArray[np.float32]]]:
    if len(waves) >= _PARTS:
        return [list(waves[part::_PARTS]) for part in range(_PARTS)]
    return [[np.array_split(wave, _PARTS)[part] for wave in waves] for part in range(_PARTS)]


def _frames_of_speech(waves: Sequence[NDArray[np.float32]]) -> int:
    return sum(int(speech_frames(wave).sum()) for wave in waves)


def _of_speech(rows: Rows, waves: Sequence[NDArray[np.float32]]) -> Tensor:
    """The rows (N, A) of frames with speech in ``waves``."""
    found: list[Tensor] = []
    for wave in waves:
        spoken = torch.from_numpy(speech_frames(wave))
        if spoken.any() and sum(map(len, found)) < _MOST:
            found.append(rows(wave)[spoken])
    return torch.cat(found)[:_MOST]


def _single(speakers: Sequence[Tensor]) -> Examples:
    """Single frames; if there are too many, an equal number per speaker is drawn at random."""
    drawn = [_drawn(rows, max(_LEARNED // len(speakers), _LEAST_LEARNED)) for rows in speakers]
    return Examples(rows=torch.cat(drawn), classes=_numbers(drawn))


def _drawn(rows: Tensor, most: int) -> Tensor:
    return rows[torch.from_numpy(np.random.default_rng(0).permutation(len(rows))[:most])]


def _pooled(speakers: Sequence[Tensor]) -> Examples:
    """Mean and standard deviation of consecutive segments of 2 s of speech."""
    segments = [rows[: len(rows) // SEGMENT * SEGMENT].reshape(-1, SEGMENT, rows.shape[1]) for rows in speakers]
    pooled = [torch.cat([rows.mean(1), rows.std(1)], dim=1) for rows in segments]
    return Examples(rows=torch.cat(pooled), classes=_numbers(pooled))


def _numbers(speakers: Sequence[Tensor]) -> Tensor:
    return torch.repeat_interleave(torch.tensor([len(rows) for rows in speakers]))
