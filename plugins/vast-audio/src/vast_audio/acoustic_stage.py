"""The stage ``acoustic``: from the speech of a corpus to the weights of ``audio/ppg``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from rich import box
from rich.progress import track as progress_over
from rich.table import Table as Printed
from rich.text import Text
from torch import Tensor

from vast_core.errors import SURROUNDINGS, InputError
from vast_core.interfaces import SAMPLE_RATE, Clip, Objective
from vast_core.phones import PHONES, VISEME_OF
from vast_core.processes import count, everywhere, leads
from vast_core.runs import cache_root, digest, save_weights
from vast_core.training import Trainer

from .acoustic_model import BANDS, STEP_RATE, AcousticModel
from .alignment import align
from .compression import imitated, start_from
from .config import AcousticStage
from .distillation import TEACHER_LAG, Ahead, PieceDrawer, Pieces, teach, whole
from .evaluation import Noise
from .figures import Tally
from .labelled_speech import Utterance, held_out, labels, quantised
from .ppg import Ppg
from .spectrum import MelEnergy
from .step_windows import StepClock
from .whisper import Encoder, WhisperPhones, mel_filters
from .whisper_weights import DIGEST

if TYPE_CHECKING:
    from vast_core.report import Section
    from vast_core.runs import Run
    from vast_core.stages import StageContext

_CLOCK = StepClock(STEP_RATE)
_FITTED = 8
"""Batches of speech on which the network's initial weights are fitted to Whisper."""
_NOISES: Mapping[str, Noise | None] = {"clean": None, "10 dB noise": Noise(decibels=10.0)}


def inputs(context: StageContext) -> dict[str, Any]:
    """Everything that training depends on."""
    return {
        **context.component_inputs("corpus"),
        "clips": context.clip_inputs(),
        "seed": context.recipe.seed,
        "teacher": DIGEST if context.options("acoustic", AcousticStage).teacher else None,
    }


def run(context: StageContext) -> list[Path]:
    """Align, run the teacher, train and evaluate; write ``weights/ppg.safetensors``."""
    options, console = context.options("acoustic", AcousticStage), context.console
    clips = list(context.pipeline.corpus.clips())
    kept = held_out(clips)
    learned, judged = [c for c in clips if c.name not in kept], [c for c in clips if c.name in kept]
    if not learned:
        raise InputError(f"all {len(clips)} clips of the corpus are held out; none is left for training")
    # read all sound before the long part, so that a bad file does not waste it
    utterances, unheard = list(_read(learned, context)), list(_read(judged, context))
    heard = {}
    if options.teacher:
        heard = teach(utterances, {c.name: c.digest for c in learned}, cache_root() / "teacher" / DIGEST[:16], console)
    known = [u for u in utterances if u.phones or u.name in heard]
    if not known:
        raise InputError("no clip of the corpus has phones or a transcript, and stages.acoustic.teacher is false")
    _name_sources(options, known, context)
    torch.manual_seed(context.recipe.seed)
    model = AcousticModel(dropout=0.1)
    batches = Ahead(PieceDrawer(known, heard, options, context.recipe.seed))
    encoder = WhisperPhones().encoder if options.teacher else None
    if encoder is not None:
        energy = MelEnergy(mel_filters(BANDS).numpy())
        some = torch.cat([inputs_of(model, energy, batches(n).wave, options.frames) for n in range(_FITTED)])
        start_from(model, encoder, some)
    try:
        Trainer(
            run=context.run,
            stage="acoustic",
            key=context.key("acoustic"),
            model=model,
            settings=options,
            batch_at=lambda step, part: batches(step).rows(part.rows(options.batch, "stages.acoustic.batch")),
            objectives=Distillation(model, encoder, options, context.device),
            device=context.device,
            console=console,
            betas=(0.9, 0.98),
        ).fit(context.resume)
    finally:
        batches.close()
    if not leads():
        return []
    model.cpu().eval()
    minutes: dict[str, float] = defaultdict(float)
    for utterance in known:
        minutes[utterance.source] += len(utterance.samples) / SAMPLE_RATE / 60
    figures = judge(model, unheard, with_teacher=options.teacher)
    facts = {
        "digest": digest([(c.name, c.digest) for c in learned]),
        "data": list(options.about),
        "minutes": {source: round(total, 1) for source, total in sorted(minutes.items())},
        "held_out": sorted(kept),
        "figures": figures,
    }
    path = context.run.weights / "ppg.safetensors"
    save(path, model, {"recipe": context.recipe.name, "seed": context.recipe.seed, **attrs.asdict(options)}, facts)
    console.print(_table(figures) if figures else Text(_NO_FIGURES))
    return [path, context.run.write_figures("acoustic", facts)]


def _read(clips: Sequence[Clip], context: StageContext) -> Iterator[Utterance]:
    """The sound and phones of ``clips``, aligned where the corpus knows only the words."""
    quiet = not context.console.is_terminal
    for clip in progress_over(clips, "speech   ", console=context.console, transient=True, disable=quiet):
        wave = clip.footage.wave()
        if wave is None:
            raise InputError(f"{clip.name}: has no sound; remove it from the corpus")
        phones = clip.phones
        if not phones and clip.transcript:
            try:
                phones = align(wave, clip.transcript)
            except SURROUNDINGS:
                raise
            except InputError as error:
                context.console.print(Text(f"{clip.name}: not aligned: {error}", "yellow"))
        yield Utterance(name=clip.name, samples=quantised(wave), phones=phones)


def _name_sources(options: AcousticStage, known: Sequence[Utterance], context: StageContext) -> None:
    """Report sources that the options name but the corpus lacks; a recipe may serve several corpora."""
    sources = {utterance.source for utterance in known}
    for option, named in (("draw", options.draw), ("distrusted", options.distrusted)):
        if absent := sorted(set(named) - sources):
            told = f"stages.acoustic.{option} names {', '.join(absent)}; the corpus has {', '.join(sorted(sources))}"
            context.console.print(Text(told, "yellow"))


class Distillation:
    """Loss of a step: cross entropy of the target and the model's posterior, in nats, plus ``imitation`` times the mean
    square error between the head's input and the output of Whisper's full lower end on the clean sound.

    The cross entropy is a weighted mean over the steps with a known phone; ``closures`` is the weight of P, B and M.
    """

    def __init__(
        self, model: AcousticModel, encoder: Encoder | None, options: AcousticStage, device: torch.device
    ) -> None:
        self._model, self._device, self._imitation = model, device, options.imitation
        weights = [options.closures if VISEME_OF[phone] == "PBM" else 1.0 for phone in PHONES]
        self._weights = torch.tensor(weights, device=device)
        self._energy = MelEnergy(mel_filters(BANDS).numpy()).to(device)
        self._encoder = None if encoder is None else encoder.to(device)

    def __call__(self, batch: Pieces, progress: float) -> Iterator[Objective]:
        """Yield the single objective."""
        model, target = self._model, batch.target.to(self._device)
        hidden = model.lower_end(self._inputs(batch.wave, target.shape[1]))
        predicted = model.head(hidden).float()
        known = target.sum(-1) > 0
        weight = target @ self._weights
        entropy = -(target * predicted.log_softmax(-1)).sum(-1)
        # without any known step the loss is 0
        lost = everywhere((entropy * weight).sum()) / everywhere(weight.sum()).clamp_min(1 / count())
        right = ((predicted.argmax(-1) == target.argmax(-1)) & known).sum() / known.sum().clamp_min(1)
        facts = {"agreement": right}
        if self._encoder is not None:
            wanted = imitated(model, self._encoder, self._inputs(batch.unspoilt, target.shape[1]))
            unlike = (hidden - wanted).float().square().mean()
            facts["unlike"] = unlike
            lost = lost + self._imitation * unlike
        yield Objective("phones", lost, list(model.parameters()), facts)

    def _inputs(self, wave: Tensor, steps: int) -> Tensor:
        return inputs_of(self._model, self._energy, wave.to(self._device), steps)


@torch.no_grad()
def inputs_of(model: AcousticModel, energy: MelEnergy, wave: Tensor, steps: int) -> Tensor:
    """Network input for the first ``steps`` steps of wave (B, S), as one window."""
    return model.features(energy(wave, _CLOCK.samples(np.arange(steps))).unflatten(1, (steps, 2)))


# ------------------------------------------------------------------------------------------------ figures


@torch.no_grad()
def judge(
    model: AcousticModel, utterances: Sequence[Utterance], with_teacher: bool
) -> dict[str, dict[str, dict[str, Any]]]:
    """Figures on ``utterances`` by condition, recogniser and source; see :class:`vast_audio.figures.Figures`."""
    ppg = Ppg(STEP_RATE, 1.0, model).eval()
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
            found = {"ppg": ppg(torch.from_numpy(wave)[None], steps)[0].argmax(-1).numpy()}
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


_HEADINGS = ("source", "sound", "heard by", "phones", "visemes", "P B M", "silence")
_CAPTION = (
    "Held-out speech. Phones and visemes: share of 20 ms steps with speech recognised as the correct phone or viseme "
    "group. P B M: share of those phones recognised as one of them. Silence: share of all steps correctly classified "
    "as silence or speech."
)
_NO_FIGURES = "No speech with known phones is held out, so recognition was not evaluated."


def _rows(figures: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[list[Any]]:
    rows = []
    for condition, whos in figures.items():
        for who, sources in whos.items():
            for source, values in sources.items():
                shares = (values["phone_speech"], values["viseme_speech"], values["recall"]["PBM"], values["silence"])
                rows.append([source, condition, who, *shares])
    return sorted(rows, key=lambda row: str(row[0]))


def _table(figures: Mapping[str, Any]) -> Printed:
    table = Printed(box=box.SIMPLE_HEAD, pad_edge=False, caption=_CAPTION, caption_justify="left")
    for number, heading in enumerate(_HEADINGS):
        table.add_column(heading, justify="left" if number < 3 else "right", overflow="fold")
    for source, sound, who, *shares in _rows(figures):
        table.add_row(Text(source), sound, who, *("–" if share is None else f"{share:.3f}" for share in shares))
    return table


def report(run: Run) -> list[Section]:
    """The figures, for the run's report."""
    from vast_core.report import Section, Table
    from vast_core.report import Text as Paragraphs

    figures = run.figures("acoustic")["figures"]
    told = Table(_HEADINGS, _rows(figures), _CAPTION) if figures else Paragraphs(_NO_FIGURES)
    return [Section("Acoustic model", [told])]


def save(path: Path, model: AcousticModel, how: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write the weights, floating-point tensors as float16, with labels, training options and ``facts`` in the
    header."""
    header = {
        "component": "audio/ppg",
        "phones": list(PHONES),
        "training": how,
        **facts,
    }
    tensors = model.state_dict().items()
    save_weights(path, {name: t.half() if t.is_floating_point() else t for name, t in tensors}, header)
