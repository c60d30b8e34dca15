"""Distance between the audio features of two voices that say the same sentence; small if only the words matter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.interfaces import Phone
from vast_core.media import Recording, read_wave
from vast_core.phones import PHONES, SILENCE, VISEME_OF, VISEMES

FPS = 25.0
"""Rows per second, as in the default recipe."""
FRAME = 640
"""Samples between rows."""
Rows = Callable[[NDArray[np.float32]], Tensor]
"""Features (T, A) of a wave (S,), T = S // :data:`FRAME`, at least 1."""
_PAIRS = 100
"""Maximum number of compared pairs of recordings."""
_VISEME = torch.tensor([VISEMES.index(VISEME_OF[phone]) for phone in PHONES])


@attrs.frozen(kw_only=True, eq=False)
class Spoken:
    """One sentence by one speaker."""

    wave: NDArray[np.float32]
    """(S,), mono at 16 kHz."""
    phones: tuple[Phone, ...]
    """In ascending order, without gaps."""


@attrs.frozen(kw_only=True)
class Nearness:
    """Similarity of the features of voices that say the same, over all frames of speech."""

    distance: float
    """Mean absolute difference of two voices in the same phone, divided by that of two different phones of one
    voice."""
    viseme: float | None
    """Share of frames whose most probable phones are in the same viseme group; None if rows are not posteriors."""


def nearness(features: Mapping[str, Rows], pairs: Iterable[tuple[Spoken, Spoken]]) -> dict[str, Nearness]:
    """Nearness by name of ``features``, over ``pairs`` that say the same phones; empty if there are no pairs.

    A frame of the first voice is compared with the second voice at the same fraction of the same phone, interpolated
    linearly, and with a random frame of another phone of the first voice. Silence is excluded.
    """
    moved, apart, alike = (defaultdict[str, list[Tensor]](list) for _ in range(3))
    rng = np.random.default_rng(0)
    for one, other in pairs:
        seconds = np.arange(max(1, len(one.wave) // FRAME)) / FPS
        number, there = _same_moment(seconds, one.phones, other.phones)
        labels = np.array([phone.label for phone in one.phones])[number]
        spoken = np.flatnonzero(labels != SILENCE)
        picked = rng.permutation(spoken)
        differ = torch.from_numpy(labels[spoken] != labels[picked])
        for name, rows in features.items():
            heard = rows(one.wave)
            first, second = heard[spoken], _between(rows(other.wave), there[spoken] * FPS)
            moved[name].append((first - second).abs().mean(1))
            apart[name].append((first - heard[picked]).abs().mean(1)[differ])
            if are_posteriors(heard):
                alike[name].append((_VISEME[first.argmax(1)] == _VISEME[second.argmax(1)]).float())
    return {
        name: Nearness(
            distance=float(torch.cat(moved[name]).mean() / torch.cat(apart[name]).mean()),
            viseme=float(torch.cat(alike[name]).mean()) if name in alike else None,
        )
        for name in moved
    }


def same_sentence(folder: Path, recordings: Sequence[Recording]) -> Iterator[tuple[Spoken, Spoken]]:
    """Up to 100 random pairs of ``recordings`` of a folder in which two speakers say the same phones."""
    said: dict[tuple[str, ...], list[Recording]] = defaultdict(list)
    for recording in recordings:
        if recording.phones and all(recording.speaker != r.speaker for r in said[_labels(recording)]):
            said[_labels(recording)].append(recording)
    pairs = [pair for group in said.values() for pair in combinations(group, 2)]
    for chosen in np.random.default_rng(0).permutation(len(pairs))[:_PAIRS]:
        first, second = (Spoken(wave=read_wave(folder / r.file), phones=r.phones) for r in pairs[int(chosen)])
        yield first, second


def are_posteriors(rows: Tensor) -> bool:
    """Whether rows (T, A) are probabilities of the phones."""
    if rows.shape[1] != len(PHONES):
        return False
    return bool((rows >= 0).all()) and bool(((rows.sum(1) - 1).abs() < 0.01).all())


def _labels(recording: Recording) -> tuple[str, ...]:
    return tuple(phone.label for phone in recording.phones)


def _same_moment(
    seconds: NDArray[np.float64], phones: Sequence[Phone], others: Sequence[Phone]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Index of the phone at each of ``seconds``, and the times (T,) in seconds at the same fraction of the other's
    phone."""
    edges, there = (np.array([p.start for p in said] + [said[-1].end]) for said in (phones, others))
    number = np.clip(np.searchsorted(edges, seconds, side="right") - 1, 0, len(phones) - 1)
    return number, np.interp(seconds, edges, there)


def _between(rows: Tensor, places: NDArray[np.float64]) -> Tensor:
    """Rows (N, A) at fractional ``places`` (N,) of rows (T, A)."""
    places = np.clip(places, 0, len(rows) - 1)
    below = np.minimum(np.floor(places).astype(np.int64), max(len(rows) - 2, 0))
    share = torch.from_numpy(places - below)[:, None].to(rows.dtype)
    return rows[below] * (1 - share) + rows[np.minimum(below + 1, len(rows) - 1)] * share
