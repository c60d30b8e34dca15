"""Training pieces for the acoustic model: augmented speech, and the phone probabilities of each step.

The target of a step mixes the aligned phone with the output of a larger network, the teacher, on the speech before
augmentation: after G. Hinton, O. Vinyals and J. Dean, Distilling the knowledge in a neural network, 2015.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track as progress_over
from safetensors.numpy import load_file, save_file
from torch import Tensor

from vast_core.errors import InputError
from vast_core.files import replacing
from vast_core.interfaces import SAMPLE_RATE
from vast_core.phones import PHONES, SILENCE

from .acoustic_model import STEP_RATE
from .augmentation import nobody, spoilt, stretched
from .config import AcousticStage
from .labelled_speech import Utterance
from .whisper import STEP, WhisperPhones

TEACHER_LAG = 0.6
"""Steps of 20 ms by which the teacher is ahead: its row n fits the labels at n / 50 + 0.01 to 0.015 s best."""
_TEACHER_SECONDS = 12
_TEACHER_MARGIN = 1.5
_SHORTEST = 4 * STEP
"""Minimum samples of an utterance."""
_NOBODY = 0.04
"""Share of pieces in which nobody speaks."""
_Batch = TypeVar("_Batch")


@attrs.frozen(eq=False)
class Pieces:
    """A batch of pieces of augmented speech."""

    wave: Tensor
    """(B, S), mono at 16 kHz."""
    unspoilt: Tensor
    """(B, S), the same before augmentation."""
    target: Tensor
    """(B, N, 40): phone probabilities of each step; all 0 where the phone is unknown."""

    def rows(self, part: slice) -> Pieces:
        """Some of the pieces."""
        return Pieces(self.wave[part], self.unspoilt[part], self.target[part])


class PieceDrawer:
    """Draws the batch of a step, which depends only on the seed and the number of the step.

    Raises :class:`vast_core.errors.InputError` if there is nothing to draw from.
    """

    def __init__(
        self,
        utterances: Sequence[Utterance],
        heard: Mapping[str, NDArray[np.float16]],
        options: AcousticStage,
        seed: int,
    ) -> None:
        self._utterances, self._heard, self._options, self._seed = utterances, heard, options, seed
        # utterances of hardly a step would become empty when played faster
        lengths = np.array([len(u.samples) if len(u.samples) >= _SHORTEST else 0 for u in utterances])
        chances = lengths * np.array([options.draw.get(u.source, 1.0) for u in utterances])
        if not chances.any():
            raise InputError(
                f"nothing can be drawn from {len(utterances)} clips: each is shorter than "
                f"{_SHORTEST / SAMPLE_RATE:g} s, or its source has 0 in stages.acoustic.draw"
            )
        self._chances = chances / chances.sum()

    def __call__(self, step: int) -> Pieces:
        """The batch of a step."""
        rng = np.random.default_rng((self._seed, step))
        pieces = [self._piece(rng) for _ in range(self._options.batch)]
        return Pieces(
            wave=torch.from_numpy(np.stack([piece[0] for piece in pieces])),
            unspoilt=torch.from_numpy(np.stack([piece[1] for piece in pieces])),
            target=torch.from_numpy(np.stack([piece[2] for piece in pieces])),
        )

    def _draw(self, rng: np.random.Generator) -> Utterance:
        return self._utterances[int(rng.choice(len(self._utterances), p=self._chances))]

    def _piece(self, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """A piece of augmented sound, the same before augmentation, and its target."""
        steps = self._options.frames
        samples = round(steps / STEP_RATE * SAMPLE_RATE)
        if rng.random() < _NOBODY:
            target = np.zeros((steps, len(PHONES)), np.float32)
            target[:, PHONES.index(SILENCE)] = 1
            wave = nobody(samples, rng)
            return wave, wave, target
        waves: list[NDArray[np.float32]] = []
        targets: list[NDArray[np.float32]] = []
        skip = rng.uniform(0, 1)  # into the first utterance, so that pieces start anywhere
        missing = samples
        while missing > 0:
            utterance, factor = self._draw(rng), float(np.exp(rng.normal(0.0, self._options.stretch)))
            wave = stretched(utterance.wave, factor) * np.float32(np.exp(rng.normal(0, 0.3)))
            # whole steps of each utterance, so that steps of the piece align with steps of all its parts
            length = len(wave) // STEP
            start = int(skip * max(0, length - missing // STEP))
            skip = 0.0
            length = min(length, start + -(-missing // STEP)) - start
            waves.append(wave[start * STEP : (start + length) * STEP])
            targets.append(self._target(utterance, (start + np.arange(length)) / STEP_RATE / factor))
            missing -= length * STEP
        wave, target = np.concatenate(waves)[:samples], np.concatenate(targets)[:steps]
        return spoilt(wave, rng, np.resize(self._draw(rng).wave, samples)), wave, target

    def _target(self, utterance: Utterance, seconds: NDArray[np.float64]) -> NDArray[np.float32]:
        """Phone probabilities (N, 40) at ``seconds``."""
        options = self._options
        said = utterance.labels(seconds)
        known = said >= 0
        target = np.zeros((len(said), len(PHONES)), np.float32)
        target[known] = options.smoothing / len(PHONES)
        target[known, said[known]] += 1 - options.smoothing
        if utterance.name in self._heard:
            logits = at_steps(self._heard[utterance.name], seconds * STEP_RATE - TEACHER_LAG)
            heard = np.exp(logits - logits.max(1, keepdims=True))
            heard /= heard.sum(1, keepdims=True)
            share = options.trust * (0.2 if utterance.source in options.distrusted else 1.0)
            # the teacher detects phones in silence, so only the labels count there
            trust = np.where(known, share * (said > 0), 1.0)[:, None].astype(np.float32)
            target = (1 - trust) * target + trust * heard
        return target


def at_steps(rows: NDArray[np.float16], steps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows (N, A) at fractional ``steps``, interpolated; the first and last are extended beyond the ends."""
    place = np.clip(steps, 0, len(rows) - 1)
    below = np.minimum(place.astype(np.int64), max(0, len(rows) - 2))
    above = np.minimum(below + 1, len(rows) - 1)
    share = (place - below)[:, None].astype(np.float32)
    between: NDArray[np.float32] = rows[below].astype(np.float32) * (1 - share) + rows[above].astype(np.float32) * share
    return between


class Ahead(Generic[_Batch]):
    """Draws the next batch on a second thread during the current training step."""

    def __init__(self, batch_at: Callable[[int], _Batch]) -> None:
        self._batch_at = batch_at
        self._thread = ThreadPoolExecutor(1, "batches")
        self._next: tuple[int, Future[_Batch]] | None = None

    def __call__(self, step: int) -> _Batch:
        """The batch of a step."""
        if self._next is not None and self._next[0] == step:
            batch = self._next[1].result()
        else:
            batch = self._batch_at(step)
        self._next = (step + 1, self._thread.submit(self._batch_at, step + 1))
        return batch

    def close(self) -> None:
        """Wait for the thread."""
        self._thread.shutdown(cancel_futures=True)


# ------------------------------------------------------------------------------------------------ teacher


def teach(
    utterances: Sequence[Utterance], digests: Mapping[str, str], cache: Path, console: Console
) -> dict[str, NDArray[np.float16]]:
    """The teacher's logits (N, 40) at 50 Hz for every utterance, by name; cached in ``cache`` by ``digests``.

    Raises :class:`vast_core.errors.WeightsError` if the teacher's weights are missing.
    """
    teacher: WhisperPhones | None = None
    heard: dict[str, NDArray[np.float16]] = {}
    quiet = not console.is_terminal
    for utterance in progress_over(utterances, "teacher  ", console=console, transient=True, disable=quiet):
        path = cache / f"{digests[utterance.name]}.safetensors"
        if path.is_file():
            heard[utterance.name] = load_file(path)["logits"]
            continue
        teacher = teacher or WhisperPhones().eval()
        heard[utterance.name] = whole(teacher, utterance.wave).half().numpy()
        cache.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            save_file({"logits": heard[utterance.name]}, file)
    return heard


@torch.no_grad()
def whole(teacher: WhisperPhones, wave: NDArray[np.float32]) -> Tensor:
    """The teacher's logits (N, 40) for a wave (S,) of any length, window by window, N = S / 320 rounded up."""
    size, margin = int(_TEACHER_SECONDS * STEP_RATE), int(_TEACHER_MARGIN * STEP_RATE)
    steps = -(-len(wave) // STEP)
    parts: list[Tensor] = []
    for start in range(0, max(1, steps), size):
        first, last = max(0, start - margin), min(steps, start + size + margin)
        piece = torch.from_numpy(wave[first * STEP : last * STEP])[None]
        parts.append(teacher(piece)[0, start - first :][: min(size, steps - start)])
    return torch.cat(parts)
