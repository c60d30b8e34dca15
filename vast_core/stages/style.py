"""Train style encoder, posterior flow and decoder together to speak any audio in the style of a prompt clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from ..errors import InputError
from ..files.remote import fetched
from ..interfaces import DecoderLoss, Objective, Posterior
from ..processes import leads
from ..registry.core_stages import StyleStage
from ..runs.store import PreparedClip, Store
from ..runs.weights import save_weights
from ..speak.sliders import SLIDERS_FILE, Sliders
from ..speak.style import weights_digest
from ..speak.style_model import PROMPT_FRAMES, StyleModel
from ..speak.trained import load_face, load_style_file
from ..training.bound import beta_at, bound, gaussian_log_likelihood
from ..training.loop import Trainer
from ..training.motion import closing_error, mean_over, statistics, statistics_error, velocity_error
from .context import StageContext
from .sliders import factors_of, learn_sliders
from .windows import AnySound, StyleBatch, Windows

__all__ = ["PROMPT_FRAMES", "posterior_of", "prompt_code"]


def inputs(context: StageContext) -> dict[str, Any]:
    """Inputs of the style stage."""
    return {
        "prepared": context.key("prepare"),
        "factors": factors_of(context),
        **context.component_inputs("style", "flow", "decoder"),
        "seed": context.recipe.seed,
    }


def objectives(
    model: StyleModel, context: StageContext, windows: Windows, identity: Tensor, batch: StyleBatch, progress: float
) -> Iterator[Objective]:
    """Eq. 7 on a batch, or its first term without the variational enhancer, plus the terms of
    :mod:`vast_core.training.motion` (our choice)."""
    settings = context.options("style", StyleStage)
    heard = windows.features(batch.prompt_audio, batch.prompt.shape[1])
    posterior = model.posterior(batch.prompt, heard, batch.prompt_mask, batch.heard, batch.labels)
    z0 = model.draw(posterior)
    flowed = model.flow(z0, posterior.context)
    spoken = windows.features(batch.audio, batch.mask.shape[1])
    audio = nn.functional.dropout(model.hear(spoken), settings.audio_dropout)
    own = _decoder_loss(model, audio, model.chosen(z0, flowed), batch, progress)
    if model.enhancer == "variational":
        step = round(progress * settings.steps)
        beta = beta_at(step, steps=settings.steps, beta=settings.beta, warmup=settings.beta_warmup)
        terms = bound(posterior, z0, flowed, -own.loss, flow=model.flow, beta=beta, free_bits=settings.free_bits)
        loss, logged = terms.loss, {**terms.terms, **own.terms}
    else:
        loss = own.loss.float().mean()
        logged = {"reconstruction": loss, **own.terms}
    if own.predictions:
        final = own.predictions[-1].float()
        velocity = velocity_error(final, batch.expression, batch.mask)
        lips, closing = _lips(final, context, identity, batch)
        loss = loss + settings.velocity * velocity + settings.lips * lips
        logged |= {"velocity": velocity, "lips": lips}
        if settings.closing:
            loss, logged["closing"] = loss + settings.closing * closing, closing
    if batch.spoken is not None:
        logged["any sound"] = _any_sound(model, context, windows, batch.spoken)
        loss = loss + settings.any_sound * logged["any sound"]
    yield Objective("bound", loss, list(model.parameters()), logged)


def _decoder_loss(model: StyleModel, audio: Tensor, z: Tensor, batch: StyleBatch, progress: float) -> DecoderLoss:
    """The decoder's own loss, or the negative Gaussian log likelihood of its predictions."""
    given = audio, z, batch.mask, batch.expression, progress
    motion: dict[str, Any] = {} if batch.motion is None else {"motion": batch.motion}
    own: DecoderLoss | None = model.decoder.training_loss(*given, **motion)
    if own is not None:
        return own
    predictions = model.decoder.reconstruct(*given)
    likelihoods = [gaussian_log_likelihood(p, batch.expression, batch.mask, model.log_std) for p in predictions]
    # the last prediction is the output; earlier ones together have half its weight, to guide the parts that make them
    likelihood = likelihoods[-1]
    if len(likelihoods) > 1:
        likelihood = (2 * likelihood + torch.stack(likelihoods[:-1]).mean(0)) / 3
    return DecoderLoss(loss=-likelihood, predictions=predictions)


def _lips(final: Tensor, context: StageContext, identity: Tensor, batch: StyleBatch) -> tuple[Tensor, Tensor]:
    """Mean square errors () of the lip vertices in cm^2, and of closing in (tenths of the eyes' distance)^2."""
    face = context.pipeline.face
    lips = torch.tensor(face.lips, device=identity.device)
    found = face.decode(final, identity)
    distance = found[..., lips, :] - face.decode(batch.expression, identity)[..., lips, :]
    error = (distance * (face.millimetres / 10)).square().sum(-1).mean(-1)
    closing = closing_error(10 * face.lip_opening(found), 10 * batch.limit, batch.shut, batch.parted)
    return mean_over((error * batch.mask).sum(), batch.mask.sum()), closing


def _any_sound(model: StyleModel, context: StageContext, windows: Windows, rows: AnySound) -> Tensor:
    """Square error () of the statistics of a face that speaks other sound in the style of prompts."""
    heard = windows.features(rows.prompt_audio, rows.prompt.shape[1])
    code = model.code(rows.prompt, heard, rows.prompt_mask, rows.heard)
    spoken = model.speak(windows.features(rows.audio, rows.mask.shape[1]), code, rows.mask).expression.float()
    tempo = context.recipe.fps / 10
    wanted = statistics(rows.prompt, rows.prompt_mask, tempo)
    return statistics_error(statistics(spoken, rows.mask, tempo), wanted, windows.weights)


def run(context: StageContext) -> list[Path]:
    """Train and write ``weights/style.safetensors``, and the sliders beside it if clips have factors."""
    load_face(context.run.weights, context.pipeline)
    context.pipeline.to(context.device, face=context.device)  # the gradient of the lip loss passes through the face
    settings = context.options("style", StyleStage)
    model, windows = StyleModel(context.pipeline, settings.enhancer, settings.reconstruct), Windows(context)
    if settings.start is None:
        model.expect(windows.clips(), windows.prompts())
    else:
        _load_start(settings.start, model, context)
        model.adapt(windows.clips())
    identity = torch.stack(list(context.store.identities.values())).mean(0).to(context.device)
    model.to(context.device).eval()
    if settings.steps:
        trainer = Trainer(
            run=context.run,
            stage="style",
            key=context.key("style"),
            model=model,
            settings=settings,
            batch_at=windows,
            objectives=lambda batch, progress: objectives(model, context, windows, identity, batch, progress),
            device=context.device,
            console=context.console,
        )
        trainer.fit(context.resume)
        if not leads():
            return []
        if not model.has_prior:
            model.fit_prior(drawn_codes(model, context.store, context.device))
    path = context.run.weights / "style.safetensors"
    header = {
        "what": "style",
        "recipe": context.key("style"),
        **context.run.made_of(),
        "sizes": context.pipeline.sizes.known(),
        "face": weights_digest(context.pipeline.face),
        "enhancer": model.enhancer,
        "reconstruct": model.reconstruct,
    }
    save_weights(path, model.state_dict(), header)
    return [path, *_write_sliders(model, context)]


def _load_start(start: Path, model: StyleModel, context: StageContext) -> None:
    """Load weights of another run, whose expression basis must be the one in use."""
    header = load_style_file(start, model, context.pipeline)
    made, own = header.get("face"), weights_digest(context.pipeline.face)
    if made != own:
        raise InputError(
            f"stages.style.start: {start} was trained on another expression than this run's; name the face.safetensors "
            "of the same run in stages.prepare.face"
        )
    if header["enhancer"] != model.enhancer or header["reconstruct"] != model.reconstruct:
        raise InputError(
            f"stages.style.start: {start} was trained with enhancer {header['enhancer']} and reconstruct "
            f"{header['reconstruct']}; give stages.style the same"
        )


def _kept_sliders(settings: StyleStage) -> Path | None:
    """The sliders beside weights of another run that are used without training, if there are any."""
    if settings.start is None or settings.steps:
        return None
    beside = fetched(settings.start.with_name(SLIDERS_FILE), missing=True)
    return beside if beside.is_file() else None


def _write_sliders(model: StyleModel, context: StageContext) -> list[Path]:
    """Write ``weights/sliders.safetensors`` if the styles of the corpus have factors, or codes are those of ``start``;
    otherwise remove an older one."""
    digest, given = weights_digest(model), _kept_sliders(context.options("style", StyleStage))
    if given is not None:
        sliders: Sliders | None = attrs.evolve(Sliders.load(given), model=digest)
    else:
        sliders = learn_sliders(context, digest, lambda clip: prompt_code(model, context.store, clip, context.device))
    path = context.run.weights / SLIDERS_FILE
    if sliders is None:
        path.unlink(missing_ok=True)
        return []
    sliders.save(path)
    if given is None:
        shown = ", ".join(f"{name} {own.r2:.2f}" for name, own in sliders.learned.items())
        context.console.print(f"factors of {sliders.styles} styles, R2 in the codes of styles left out: {shown}")
    else:
        context.console.print(f"sliders of {given} are kept: {', '.join(sliders.factors)}")
    return [path]


@torch.no_grad()
def drawn_codes(model: StyleModel, store: Store, device: torch.device, most: int = 500) -> Tensor:
    """Style codes (N, Z) of up to ``most`` training clips, evenly chosen, drawn as in training."""
    clips = list(store.of("train"))
    codes = []
    for clip in clips[:: -(-len(clips) // most)]:
        posterior = posterior_of(model, store, clip, device)
        z0 = model.draw(posterior)
        codes.append(model.chosen(z0, model.flow(z0, posterior.context)))
    return torch.cat(codes)


@torch.no_grad()
def posterior_of(model: StyleModel, store: Store, clip: PreparedClip, device: torch.device) -> Posterior:
    """q(z0 given X, A) of one prepared clip as prompt, B = 1."""
    stop, label = min(clip.frames, PROMPT_FRAMES), None
    if model.style.reads == "labels":
        label = clip.style
        if label is None:
            raise InputError(f"{clip.name}: has no style label, and the style encoder reads only labels")
    expression, valid = (store.read(clip, name, 0, stop)[None].to(device) for name in ("expression", "valid"))
    audio = store.features(clip, model.audio, 0, stop)[None].to(device)
    return model.posterior(expression, audio, valid, torch.tensor([clip.heard], device=device), [label])


@torch.no_grad()
def prompt_code(model: StyleModel, store: Store, clip: PreparedClip, device: torch.device) -> Tensor:
    """Style code (1, Z) of one prepared clip as prompt."""
    return model.code_of(posterior_of(model, store, clip, device))
