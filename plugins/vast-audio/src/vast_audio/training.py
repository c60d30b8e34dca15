"""Training of the acoustic model: ``python -m vast_audio.training --out FILE [--speech FOLDER ...]``.

Without ``--speech`` the sentences of ``corpus/synthetic`` are learned. Utterances are played faster and slower, joined,
spoilt by rooms, microphones and noise, and cut into pieces of 5 s; one speaker (or, in a source with few
speakers, one sentence) in ten is held out, and the figures over those go into the file's header.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE, Sizes
from vast_core.phones import PHONES, VISEME_OF, VISEMES
from vast_core.registry import Registry
from vast_core.weights import read_header, save_weights

from .acoustic_model import BANDS, STEP_RATE, AcousticModel
from .labelled_speech import UNKNOWN, Utterance, joined, read_clips, read_folder, spoilt, stretched
from .ppg import StepClock, load_model
from .spectrum import MelEnergy

_CLOCK = StepClock(STEP_RATE)
_VISEME = torch.tensor([VISEMES.index(VISEME_OF[phone]) for phone in PHONES])


@attrs.frozen(kw_only=True)
class TrainingConfig:
    """How the acoustic model is trained."""

    steps: int = 6000
    batch: int = 8
    seconds: float = 5.0
    """Length of a piece."""
    rate: float = 2e-3
    """Greatest learning rate; it falls to 0 along a cosine."""
    dropout: float = 0.1
    smoothing: float = 0.05
    """Of the labels, which agree with others' only so far."""
    weights: tuple[tuple[str, float], ...] = ()
    """How often an utterance of a source is drawn, relative to 1 by its length."""
    seed: int = 0


@attrs.frozen(kw_only=True)
class Figures:
    """How well a source's held-out speech is recognised, as shares of steps of 20 ms."""

    phones: float
    """Right among the 40, where somebody speaks."""
    visemes: float
    """In the right viseme group, where somebody speaks."""
    silence: float
    """Told from speech rightly, everywhere."""
    minutes: float
    """Held-out speech."""


class Pieces:
    """Endless batches of spoilt pieces."""

    def __init__(self, utterances: Sequence[Utterance], config: TrainingConfig) -> None:
        self._utterances = utterances
        self._config = config
        self._rng = np.random.default_rng(config.seed)
        odds = dict(config.weights)
        chances = np.array([len(u.wave) * odds.get(u.source, 1.0) for u in utterances])
        self._chances = chances / chances.sum()

    def batch(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Waves (B, S) and labels (B, N) at the steps."""
        pieces = [self._piece() for _ in range(self._config.batch)]
        return np.stack([wave for wave, _ in pieces]), np.stack([labels for _, labels in pieces])

    def _piece(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        samples = round(self._config.seconds * SAMPLE_RATE)
        steps = int(self._config.seconds * STEP_RATE)
        rng = self._rng
        parts: list[Utterance] = []
        while sum(len(part.wave) for part in parts) < samples + 1:
            chosen = self._utterances[int(rng.choice(len(self._utterances), p=self._chances))]
            slower = stretched(chosen, float(np.exp(rng.normal(0.0, 0.09))))
            parts.append(attrs.evolve(slower, wave=slower.wave * np.float32(np.exp(rng.normal(0, 0.3)))))
        whole = joined(parts)
        start = int(rng.integers(len(whole.wave) - samples))
        labels = whole.labels(start / SAMPLE_RATE + np.arange(steps) / STEP_RATE)
        other = self._utterances[int(rng.integers(len(self._utterances)))].wave
        wave = spoilt(whole.wave[start : start + samples], rng, np.resize(other, samples))
        if rng.random() < 0.02:  # nothing at all, or noise alone
            wave = (
                wave * 0 if rng.random() < 0.5 else rng.normal(0, 10 ** rng.uniform(-5, -1), samples).astype(np.float32)
            )
            labels = np.zeros_like(labels)
        return wave, labels


def logits(model: AcousticModel, energy: MelEnergy, wave: Tensor, steps: int) -> Tensor:
    """Logits (B, N, 40) of wave (B, S) at the first ``steps`` steps."""
    numbers = np.arange(-model.margin, steps + model.margin)
    with torch.no_grad():
        features = model.features(energy(wave, _CLOCK.samples(numbers)).unflatten(1, (len(numbers), 2)))
    result: Tensor = model(features)
    return result


def train(utterances: Sequence[Utterance], config: TrainingConfig, start: Path | None = None) -> AcousticModel:
    """A model trained on ``utterances`` as ``config`` says, from the weights ``start`` or from nothing."""
    if not utterances:
        raise InputError("no labelled speech to train on; name a folder of it with --speech")
    torch.manual_seed(config.seed)
    model, energy = AcousticModel(dropout=config.dropout), MelEnergy(BANDS)
    if start is not None:
        load_model(model, start)
    optimiser = torch.optim.AdamW(model.parameters(), lr=config.rate, weight_decay=0.02, betas=(0.9, 0.98))
    pieces = Pieces(utterances, config)
    shown, average, warm = 0.0, math.nan, max(1, min(100, config.steps // 10))
    for step in range(config.steps):
        rate = config.rate * min(1.0, (step + 1) / warm) * 0.5 * (1 + math.cos(math.pi * step / config.steps))
        for group in optimiser.param_groups:
            group["lr"] = rate
        waves, labels = pieces.batch()
        predicted = logits(model, energy, torch.from_numpy(waves), labels.shape[1])
        loss = functional.cross_entropy(
            predicted.flatten(0, 1),
            torch.from_numpy(labels).flatten(),
            ignore_index=UNKNOWN,
            label_smoothing=config.smoothing,
        )
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        optimiser.step()
        average = 0.98 * average + 0.02 * loss.item() if step else loss.item()
        if time.monotonic() - shown > 20:
            shown = time.monotonic()
            sys.stderr.write(f"step {step} of {config.steps}: loss {average:.3f}\n")
    return model.eval()


@torch.no_grad()
def judge(model: AcousticModel, utterances: Iterable[Utterance]) -> dict[str, Figures]:
    """Figures over ``utterances``, by source."""
    energy = MelEnergy(BANDS)
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(5))
    for utterance in utterances:
        steps = int(len(utterance.wave) / SAMPLE_RATE * STEP_RATE)
        said = torch.from_numpy(utterance.labels(np.arange(steps) / STEP_RATE))
        heard = logits(model, energy, torch.from_numpy(utterance.wave)[None], steps)[0].argmax(-1)
        known, spoken = said != UNKNOWN, said > 0
        counts = [
            (heard == said)[spoken].sum(),
            (_VISEME[heard] == _VISEME[said.clamp_min(0)])[spoken].sum(),
            spoken.sum(),
            ((heard == 0) == (said == 0))[known].sum(),
            known.sum(),
        ]
        sums[utterance.source] += torch.stack(counts)
    return {
        source: Figures(
            phones=round(float(right / speech), 3),
            visemes=round(float(alike / speech), 3),
            silence=round(float(told / known), 3),
            minutes=round(float(known / STEP_RATE / 60), 1),
        )
        for source, (right, alike, speech, told, known) in sorted(sums.items())
    }


def save(path: Path, model: AcousticModel, config: TrainingConfig, facts: dict[str, Any]) -> None:
    """Write float16 weights, and in their header the labels, the configuration and ``facts``."""
    how = attrs.asdict(config)
    header = {
        "component": "audio/ppg",
        "phones": list(PHONES),
        "training": how,
        "digest": hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest(),
        **facts,
    }
    save_weights(path, {name: tensor.half() for name, tensor in model.state_dict().items()}, header)


def read_speech(folders: Sequence[Path]) -> list[Utterance]:
    """The utterances of ``folders``, or of the synthetic corpus where there are none."""
    if folders:
        return [utterance for folder in folders for utterance in read_folder(folder)]
    component = Registry.discover().get("corpus", "synthetic")
    sizes = Sizes(fps=25.0, image=128, audio=1, expression=1, lower_face=1, vertices=468, style=1, context=1)
    return list(read_clips(component.load().from_config(component.config(), sizes).clips()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, judge and write an acoustic model."""
    parser = argparse.ArgumentParser(prog="python -m vast_audio.training", description=main.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors file to write")
    parser.add_argument(
        "--speech", type=Path, action="append", default=[], help="folder with a MANIFEST.tsv; may be given again"
    )
    parser.add_argument(
        "--weight", action="append", default=[], metavar="SOURCE=W", help="draw a source W times as often"
    )
    parser.add_argument(
        "--about", action="append", default=[], help="line for the header: which data, under which licence"
    )
    parser.add_argument("--steps", type=int, default=TrainingConfig().steps)
    parser.add_argument("--start", type=Path, help="weights to go on from, written by this program")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    weights = tuple((name, float(weight)) for name, _, weight in (text.partition("=") for text in given.weight))
    config = TrainingConfig(steps=given.steps, seed=given.seed, weights=weights)
    torch.set_num_threads(1)
    speech = read_speech(given.speech)
    learned = [utterance for utterance in speech if not utterance.held_out]
    model = train(learned, config, given.start)
    figures = {source: attrs.asdict(f) for source, f in judge(model, (u for u in speech if u.held_out)).items()}
    minutes: dict[str, float] = defaultdict(float)
    for utterance in learned:
        minutes[utterance.source] += len(utterance.wave) / SAMPLE_RATE / 60
    learned_minutes = {source: round(total, 1) for source, total in sorted(minutes.items())}
    facts: dict[str, Any] = {"data": given.about, "minutes": learned_minutes, "figures": figures}
    if given.start:
        facts["start"] = {key: read_header(given.start).get(key) for key in ("training", "digest", "start")}
    save(given.out, model, config, facts)
    sys.stderr.write(json.dumps({"minutes": learned_minutes, "figures": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
