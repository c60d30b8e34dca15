"""Train style encoder, posterior flow and decoder together to speak any audio in the style of a prompt clip."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import Objective, Posterior
from ..registry.core_stages import StyleStage
from ..runs.store import PreparedClip, Store
from ..runs.weights import save_weights
from ..speak.style_model import StyleModel
from ..speak.trained import load_face
from ..training.bound import beta_at, bound, gaussian_log_likelihood
from ..training.loop import Trainer
from .context import StageContext


def inputs(context: StageContext) -> dict[str, Any]:
    """Inputs of the style stage."""
    return {
        "prepared": context.key("prepare"),
        **context.component_inputs("style", "flow", "decoder"),
        "seed": context.recipe.seed,
    }


@attrs.frozen(kw_only=True, eq=False)
class StyleBatch:
    """Windows to reconstruct, and prompts of their styles."""

    expression: Tensor
    """(B, T, E)."""
    audio: Tensor
    """(B, T, A)."""
    mask: Tensor
    """(B, T)."""
    prompt: Tensor
    """(B, T, E), of the prompt's own length."""
    prompt_audio: Tensor
    """(B, T, A)."""
    prompt_mask: Tensor
    """(B, T)."""
    heard: Tensor
    """(B,)."""


class Windows:
    """Draws training batches; the batch depends only on seed and step."""

    def __init__(self, context: StageContext) -> None:
        self._store, self._settings = context.store, context.options("style", StyleStage)
        self._seed, self._device = context.run.recipe.seed, context.device
        self._clips = [clip for clip in context.store.of("train") if clip.heard]
        if not self._clips:
            raise InputError("no training clip has sound, which the style stage needs")
        frames = np.array([clip.frames for clip in self._clips], float)
        self._chances = frames / frames.sum()
        # about 300 bytes per frame: a hundred hours of footage fit in memory
        self._rows: dict[str, tuple[Tensor, Tensor, Tensor]] = {}
        by_style: dict[tuple[str, str], list[PreparedClip]] = {}
        for clip in context.store.of("train"):
            by_style.setdefault(self._style_of(clip), []).append(clip)
        self._by_style = by_style

    @staticmethod
    def _style_of(clip: PreparedClip) -> tuple[str, str]:
        """Key of a clip's style: its label, or without one, its recording, whose parts certainly share a style."""
        return ("clip", clip.source) if clip.style is None else ("style", clip.style)

    def clips(self, most: int = 500) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Expression (T, E), audio features (T, A) and mask (T,) of up to ``most`` training clips, evenly chosen."""
        every = -(-len(self._clips) // most)
        return [self._load(clip) for clip in self._clips[::every]]

    def __call__(self, step: int) -> StyleBatch:
        """The batch of a step."""
        chance = np.random.default_rng((self._seed, step))
        settings = self._settings
        targets, prompts, heard = [], [], []
        for index in chance.choice(len(self._clips), settings.batch, p=self._chances):
            clip = self._clips[index]
            start, stop = self._place(clip, settings.frames, chance, 0, clip.frames)
            targets.append(self._rows_of(clip, start, stop))
            other = clip
            if chance.random() < settings.cross_prompt:
                same_style = self._by_style[self._style_of(clip)]
                other = same_style[chance.integers(len(same_style))]
            # lengths from a third of the prompt to all of it, because prompts at inference have any length
            least = settings.prompt_frames // 3
            length = int(chance.integers(least, settings.prompt_frames + 1))
            low, high = 0, other.frames
            if other is clip:
                # a prompt that overlaps the target teaches copying, which does not carry over to other clips: take it
                # from before or after the target if either is long enough
                apart = [span for span in ((0, start), (stop, clip.frames)) if span[1] - span[0] >= least]
                if apart:
                    low, high = apart[int(chance.integers(len(apart)))]
            prompts.append(self._rows_of(other, *self._place(other, length, chance, low, high)))
            heard.append(other.heard and chance.random() >= settings.silent_prompt)
        expression, audio, mask = self._pad(targets)
        prompt, prompt_audio, prompt_mask = self._pad(prompts)
        return StyleBatch(
            expression=expression,
            audio=audio,
            mask=mask,
            prompt=prompt,
            prompt_audio=prompt_audio,
            prompt_mask=prompt_mask,
            heard=torch.tensor(heard, device=self._device),
        )

    def _place(
        self, clip: PreparedClip, frames: int, chance: np.random.Generator, low: int, high: int
    ) -> tuple[int, int]:
        """First frame and end of a window of at most ``frames``, between ``low`` and ``high``, that shows a face."""
        valid = self._load(clip)[2]
        start = int(chance.integers(low, max(high - frames, low) + 1))
        stop = min(start + frames, high)
        if not valid[start:stop].any():  # no face in this window: move to where one is seen
            seen = valid.nonzero().flatten()
            start = int(seen[int(chance.integers(len(seen)))])
            stop = min(start + frames, clip.frames)
        return start, stop

    def _rows_of(self, clip: PreparedClip, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        expression, audio, valid = self._load(clip)
        return expression[start:stop], audio[start:stop], valid[start:stop]

    def _load(self, clip: PreparedClip) -> tuple[Tensor, Tensor, Tensor]:
        if clip.file not in self._rows:
            expression, audio, valid = (self._store.read(clip, name) for name in ("expression", "audio", "valid"))
            self._rows[clip.file] = (expression, audio, valid)
        return self._rows[clip.file]

    def _pad(self, windows: Sequence[tuple[Tensor, Tensor, Tensor]]) -> tuple[Tensor, Tensor, Tensor]:
        def joined(part: int) -> Tensor:
            rows = [window[part] for window in windows]
            return nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self._device)

        return joined(0), joined(1), joined(2)


def objectives(
    model: StyleModel, context: StageContext, identity: Tensor, batch: StyleBatch, progress: float
) -> Iterator[Objective]:
    """Eq. 7 on a batch, plus two terms on lips (cm²) and velocity (our choice)."""
    settings, face = context.options("style", StyleStage), context.pipeline.face
    posterior = model.style(batch.prompt, model.hear(batch.prompt_audio), batch.prompt_mask, batch.heard)
    z0 = posterior.sample(torch.randn_like(posterior.mean))
    flowed = model.flow(z0, posterior.context)
    audio = nn.functional.dropout(model.hear(batch.audio), settings.audio_dropout)
    predictions = model.decoder.reconstruct(audio, flowed.z, batch.mask, batch.expression, progress)
    likelihoods = [gaussian_log_likelihood(p, batch.expression, batch.mask, model.log_std) for p in predictions]
    # the last prediction is the output; earlier ones together have half its weight, to guide the parts that make them
    likelihood = likelihoods[-1]
    if len(likelihoods) > 1:
        likelihood = (2 * likelihood + torch.stack(likelihoods[:-1]).mean(0)) / 3
    beta = beta_at(
        round(progress * settings.steps), steps=settings.steps, beta=settings.beta, warmup=settings.beta_warmup
    )
    terms = bound(posterior, z0, flowed, likelihood, flow=model.flow, beta=beta, free_bits=settings.free_bits)
    final = predictions[-1].float()
    both = (batch.mask[:, 1:] & batch.mask[:, :-1])[..., None]
    speed_error = (final.diff(dim=1) - batch.expression.diff(dim=1)) * both
    velocity = speed_error.square().sum() / both.sum().clamp_min(1)
    lips = torch.tensor(face.lips, device=identity.device)
    distance = face.decode(final, identity)[..., lips, :] - face.decode(batch.expression, identity)[..., lips, :]
    lip_error = (distance * (face.millimetres / 10)).square().sum(-1).mean(-1)
    lip = (lip_error * batch.mask).sum() / batch.mask.sum().clamp_min(1)
    loss = terms.loss + settings.velocity * velocity + settings.lips * lip
    logged = {**terms.terms, "velocity": velocity, "lips": lip}
    yield Objective("bound", loss, list(model.parameters()), logged)


def run(context: StageContext) -> list[Path]:
    """Train and write ``weights/style.safetensors``."""
    load_face(context.run.weights, context.pipeline)
    context.pipeline.to(context.device, face=context.device)  # the gradient of the lip loss passes through the face
    model, windows = StyleModel(context.pipeline), Windows(context)
    model.expect(windows.clips())
    identity = torch.stack(list(context.store.identities.values())).mean(0).to(context.device)
    trainer = Trainer(
        run=context.run,
        stage="style",
        key=context.key("style"),
        model=model,
        settings=context.options("style", StyleStage),
        batch_at=windows,
        objectives=lambda batch, progress: objectives(model, context, identity, batch, progress),
        device=context.device,
        console=context.console,
    )
    trainer.fit(context.resume)
    path = context.run.weights / "style.safetensors"
    header = {
        "what": "style",
        "recipe": context.key("style"),
        "components": context.run.components(),
        "sizes": context.pipeline.sizes.known(),
    }
    save_weights(path, model.state_dict(), header)
    return [path]


PROMPT_FRAMES = 1_500
"""Largest number of frames of a prompt that are used."""


@torch.no_grad()
def posterior_of(model: StyleModel, store: Store, clip: PreparedClip, device: torch.device) -> Posterior:
    """q(z0 given X, A) of one prepared clip as prompt, B = 1."""
    expression, audio, valid, heard = _shown(store, clip, device)
    posterior: Posterior = model.style(expression, model.hear(audio), valid, heard)
    return posterior


@torch.no_grad()
def prompt_code(model: StyleModel, store: Store, clip: PreparedClip, device: torch.device) -> Tensor:
    """Style code (1, Z) of one prepared clip as prompt."""
    return model.code(*_shown(store, clip, device))


def _shown(store: Store, clip: PreparedClip, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Expression (1, T, E), audio features (1, T, A), mask (1, T) of a prompt, and whether it has sound (1,)."""
    stop = min(clip.frames, PROMPT_FRAMES)
    expression, audio, valid = (store.read(clip, n, 0, stop)[None].to(device) for n in ("expression", "audio", "valid"))
    return expression, audio, valid, torch.tensor([clip.heard], device=device)
