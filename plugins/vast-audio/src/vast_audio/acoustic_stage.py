"""The stage ``acoustic``: a corpus' speech to the weights of ``audio/ppg``."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from rich.progress import track as progress_over
from rich.table import Table as Printed
from torch import Tensor

from vast_core.atomic import write_text
from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE, Clip, Objective
from vast_core.phones import PHONES
from vast_core.run import cache_root, digest
from vast_core.training import Trainer
from vast_core.weights import save_weights

from .acoustic_model import BANDS, STEP_RATE, AcousticModel
from .alignment import align
from .config import AcousticStage
from .distillation import TEACHER_LAG, Ahead, PieceDrawer, Pieces, teach, whole
from .evaluation import Noise
from .figures import Tally
from .labelled_speech import Utterance, held_out, labels, quantised
from .ppg import StepClock
from .spectrum import MelEnergy
from .whisper import WhisperPhones
from .whisper_weights import DIGEST

if TYPE_CHECKING:
    from vast_core.report import Section
    from vast_core.run import Run
    from vast_core.stages import Context

_CLOCK = StepClock(STEP_RATE)
_NOISES: Mapping[str, Noise | None] = {"clean": None, "10 dB noise": Noise(decibels=10.0)}
_FIGURES = "acoustic.figures.json"


def inputs(context: Context) -> dict[str, Any]:
    """What training depends on."""
    return {
        "clips": [(clip.name, clip.digest, clip.split) for clip in context.pipeline.corpus.clips()],
        "seed": context.recipe.seed,
        "teacher": DIGEST if context.options(AcousticStage).teacher else None,
    }


def run(context: Context) -> list[Path]:
    """Align, ask the teacher, train, judge; write ``weights/ppg.safetensors``."""
    options, console = context.options(AcousticStage), context.console
    clips = list(context.pipeline.corpus.clips())
    kept = held_out(clips)
    learned, judged = [c for c in clips if c.name not in kept], [c for c in clips if c.name in kept]
    if not learned:
        raise InputError(f"all {len(clips)} clips of the corpus are held out; none is left to learn from")
    utterances = list(_read(learned, context))
    heard = {}
    if options.teacher:
        heard = teach(utterances, {c.name: c.digest for c in learned}, cache_root() / "teacher" / DIGEST[:16], console)
    known = [u for u in utterances if u.phones or u.name in heard]
    if not known:
        raise InputError("no clip of the corpus has phones or a transcript, and stages.acoustic.teacher is false")
    model = AcousticModel(dropout=0.1)
    batches = Ahead(PieceDrawer(known, heard, options, context.recipe.seed))
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads - 1))  # one draws the batches
    try:
        Trainer(
            run=context.run,
            stage="acoustic",
            key=context.key("acoustic"),
            model=model,
            settings=options,
            batch_at=batches,
            objectives=Distillation(model, context.device),
            device=context.device,
            console=console,
            betas=(0.9, 0.98),
        ).fit(context.resume)
    finally:
        batches.close()
        torch.set_num_threads(threads)
    model.cpu().eval()
    minutes: dict[str, float] = defaultdict(float)
    for utterance in known:
        minutes[utterance.source] += len(utterance.samples) / SAMPLE_RATE / 60
    figures = judge(model, list(_read(judged, context)), with_teacher=options.teacher)
    facts = {
        "data": list(options.about),
        "minutes": {source: round(total, 1) for source, total in sorted(minutes.items())},
        "held_out": sorted(kept),
        "figures": figures,
    }
    path = context.run.weights / "ppg.safetensors"
    save(path, model, {"recipe": context.recipe.name, "seed": context.recipe.seed, **attrs.asdict(options)}, facts)
    summary = context.run.path / "stages" / _FIGURES
    write_text(summary, json.dumps(facts, indent=1))
    console.print(_table(figures))
    return [path, summary]


def _read(clips: Sequence[Clip], context: Context) -> Iterator[Utterance]:
    """The sound of ``clips`` and their phones, aligned where the corpus knows only the words."""
    for clip in progress_over(clips, "speech   ", console=context.console, transient=True):
        wave = clip.footage.wave()
        if wave is None:
            raise InputError(f"{clip.name}: has no sound; leave it out of the corpus")
        phones = clip.phones
        if not phones and clip.transcript:
            try:
                phones = align(wave, clip.transcript)
            except InputError as error:
                context.console.print(f"[yellow]{clip.name}: not aligned, {error}[/yellow]")
        yield Utterance(name=clip.name, samples=quantised(wave), phones=phones)


class Distillation:
    """What a step minimises: the cross entropy, in nats, of the target with the model's posterior, over known steps."""

    def __init__(self, model: AcousticModel, device: torch.device) -> None:
        self._model, self._device = model, device
        self._ears: dict[float, MelEnergy] = {}

    def __call__(self, batch: Pieces, progress: float) -> Iterator[Objective]:
        """The one objective."""
        target = batch.target.to(self._device)
        energy = MelEnergy(BANDS, warp=batch.warp).to(self._device)
        predicted = logits(self._model, energy, batch.wave.to(self._device), target.shape[1]).float()
        known = target.sum(-1) > 0
        lost = -(target * predicted.log_softmax(-1)).sum(-1)[known].mean()
        right = (predicted.argmax(-1) == target.argmax(-1))[known].float().mean()
        yield Objective("phones", lost, list(self._model.parameters()), {"agreement": right})


def logits(model: AcousticModel, energy: MelEnergy, wave: Tensor, steps: int) -> Tensor:
    """Logits (B, N, 40) of wave (B, S) at the first ``steps`` steps of 20 ms."""
    numbers = np.arange(-model.margin, steps + model.margin)
    with torch.no_grad():
        features = model.features(energy(wave, _CLOCK.samples(numbers)).unflatten(1, (len(numbers), 2)))
    result: Tensor = model(features)
    return result


# ------------------------------------------------------------------------------------------------ figures


@torch.no_grad()
def judge(
    model: AcousticModel, utterances: Sequence[Utterance], with_teacher: bool
) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures on ``utterances`` by condition, recogniser and source; see :class:`vast_audio.figures.Figures`."""
    energy = MelEnergy(BANDS)
    teacher = WhisperPhones().eval() if with_teacher and utterances else None
    tallies: dict[str, dict[str, dict[str, Tally]]] = {}
    for condition, noise in _NOISES.items():
        for utterance in utterances:
            if not utterance.phones:
                continue
            wave = utterance.wave
            steps = int(len(wave) / SAMPLE_RATE * STEP_RATE)
            if noise is not None:
                spoken = labels(utterance.phones, np.arange(len(wave)) / SAMPLE_RATE) > 0
                wave = noise.behind(wave, spoken, utterance.name)
            found = {"ppg": logits(model, energy, torch.from_numpy(wave)[None], steps)[0].argmax(-1).numpy()}
            said = {"ppg": utterance.labels(np.arange(steps) / STEP_RATE)}
            if teacher is not None:
                found["teacher"] = whole(teacher, wave)[:steps].argmax(-1).numpy()
                said["teacher"] = utterance.labels((np.arange(steps, dtype=np.float64) + TEACHER_LAG) / STEP_RATE)
            for who, heard in found.items():
                sources = tallies.setdefault(condition, {}).setdefault(who, {})
                sources.setdefault(utterance.source, Tally()).add(heard, said[who])
    return {
        condition: {
            who: {source: tally.figures().as_json() for source, tally in sorted(sources.items())}
            for who, sources in whos.items()
        }
        for condition, whos in tallies.items()
    }


def _rows(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[list[str]]:
    for condition, whos in figures.items():
        for who, sources in whos.items():
            for source, values in sources.items():
                shares = (values["phone_speech"], values["viseme_speech"], values["recall"]["PBM"], values["silence"])
                yield [source, condition, who, *("-" if v is None else f"{v:.3f}" for v in shares)]


_HEADINGS = ("held-out speech", "condition", "recogniser", "phones", "visemes", "P B M found", "silence told")


def _table(figures: Mapping[str, Any]) -> Printed:
    table = Printed(*_HEADINGS)
    for row in sorted(_rows(figures)):
        table.add_row(*row)
    return table


def report(run: Run) -> list[Section]:
    """The figures, for the run's report."""
    from vast_core.report import Section, Table

    facts = json.loads((run.path / "stages" / _FIGURES).read_text(encoding="utf-8"))
    return [Section("Acoustic model", [Table(_HEADINGS, sorted(_rows(facts["figures"])))])]


def save(path: Path, model: AcousticModel, how: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write float16 weights, and in their header the labels, how they were trained, and ``facts``."""
    header = {
        "component": "audio/ppg",
        "phones": list(PHONES),
        "training": how,
        "digest": digest([how, facts["minutes"], facts["held_out"]]),
        **facts,
    }
    save_weights(path, {name: tensor.half() for name, tensor in model.state_dict().items()}, header)
