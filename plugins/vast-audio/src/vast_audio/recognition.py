"""Recognition with an audio component whose columns are phones: posteriors every 20 ms, and the most probable
phones."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray

from vast_core.errors import InputError, MediaError
from vast_core.interfaces import SAMPLE_RATE, AudioFeatures, Phone, Sizes
from vast_core.media import read_wave
from vast_core.phones import PHONES
from vast_core.registry import Registry

from .figures import STEPS_PER_SECOND

STEP = SAMPLE_RATE / STEPS_PER_SECOND
"""Samples between rows."""
_TOLERANCE = 0.01
"""Tolerated deviation of the sum of a row from 1, for half precision."""


@attrs.frozen(kw_only=True, eq=False)
class Window:
    """A part of a file, and its posteriors."""

    start: float
    """Seconds into the file; a multiple of the step."""
    wave: NDArray[np.float32]
    """(S,), mono at 16 kHz."""
    posteriors: NDArray[np.float32]
    """(T, 40); row t belongs to t / 50 seconds after the start."""

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return len(self.wave) / SAMPLE_RATE


@attrs.frozen(kw_only=True, eq=False)
class Recogniser:
    """An audio component at 50 rows per second that outputs the posteriors of the 40 phones."""

    name: str
    features: AudioFeatures

    def posteriors(self, wave: NDArray[np.float32]) -> NDArray[np.float32]:
        """Posteriors (T, 40) of ``wave`` (S,) at 16 kHz; row t belongs to t / 50 seconds, the last is inside the sound.

        Raises :class:`vast_core.errors.InputError` if the rows are not probabilities.
        """
        with torch.inference_mode():
            rows: NDArray[np.float32] = (
                self.features(torch.from_numpy(wave)[None], rows_of(len(wave)))[0].float().numpy()
            )
        if rows.shape[1] != len(PHONES):
            raise InputError(
                f"audio/{self.name} gives {rows.shape[1]} columns, not {len(PHONES)}: these are not phone posteriors"
            )
        wrong = ~((rows.min(1) >= -_TOLERANCE) & (np.abs(rows.sum(1) - 1) <= _TOLERANCE))
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"audio/{self.name} gives no phone posteriors: row {row} ranges from {rows[row].min():.3g} to "
                f"{rows[row].max():.3g} and sums to {rows[row].sum():.3g}, not 1; name one that does, such as ppg"
            )
        return rows

    def window(self, path: Path, start: float, seconds: float) -> Window:
        """``seconds`` of a file from ``start``, rounded down to a step, or as much as there is.

        Only the window, and the sound around it that its rows depend on, is held in memory. Raises
        :class:`vast_core.errors.MediaError` if the file has no sound there.
        """
        first = math.floor(start * STEPS_PER_SECOND + 1e-6)
        # start on a block boundary, because rows are computed by blocks and their windows must be the same
        reach, block = self.features.receptive_field, self.features.block
        begin = max(0, first - math.ceil(reach * STEPS_PER_SECOND)) // block * block
        before = first - begin
        heard = read_wave(path, begin / STEPS_PER_SECOND, before / STEPS_PER_SECOND + seconds + reach)
        wave = heard[round(before * STEP) :][: round(seconds * SAMPLE_RATE)]
        if not len(wave):
            raise MediaError(f"{path}: has no sound at {start:g} s, which is beyond its end; choose an earlier start")
        posteriors = self.posteriors(heard)[before : before + rows_of(len(wave))]
        return Window(start=first / STEPS_PER_SECOND, wave=wave, posteriors=posteriors)

    def timed(self, wave: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
        """The posteriors of ``wave``, and the CPU seconds of one core that they took, without the load of other
        programs."""
        with _one_thread():
            start = time.process_time()
            rows = self.posteriors(wave)
            return rows, time.process_time() - start


def recogniser(
    registry: Registry, name: str, weights: Path | None = None, look_ahead: float | None = None
) -> Recogniser:
    """The audio component ``name`` at 50 rows per second, with default options but the weights of a file and the
    look-ahead in seconds, if given.

    Raises :class:`vast_core.errors.InputError` if its columns cannot be phones, or it has no such option.
    """
    component = registry.get("audio", name)
    options: dict[str, Any] = {}
    for option, value in (("weights", weights), ("look_ahead", look_ahead)):
        if value is None:
            continue
        if option not in {field.alias for field in attrs.fields(component.config)}:
            raise InputError(f"audio/{name} has no option {option}; omit --{option.replace('_', '-')}")
        options[option] = value
    config = component.config(**options)
    width = config.sizes().get("audio") if hasattr(config, "sizes") else None
    if width != len(PHONES):
        raise InputError(
            f"audio/{name} has {width} columns, not one for each of the {len(PHONES)} phones, so it gives no phone "
            "posteriors; name a component that does, such as ppg"
        )
    sizes = Sizes(fps=STEPS_PER_SECOND, audio=len(PHONES))
    features = component.load().from_config(config, sizes).eval()
    return Recogniser(name=name, features=features)


def rows_of(samples: int) -> int:
    """Number of rows inside a sound of ``samples`` samples."""
    return max(1, math.ceil(samples / STEP))


def row_times(rows: int) -> NDArray[np.float64]:
    """Times in seconds of ``rows`` rows."""
    return np.arange(rows) / STEPS_PER_SECOND


def decided(posteriors: NDArray[np.float32]) -> tuple[Phone, ...]:
    """The most probable phone of each row of posteriors (T, 40), equal neighbours merged; from 0 to T / 50 s."""
    best = posteriors.argmax(1)
    edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
    return tuple(
        Phone(label=PHONES[best[first]], start=first / STEPS_PER_SECOND, end=last / STEPS_PER_SECOND)
        for first, last in pairwise(edges)
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
