"""The trained avatar speaks a held-out sentence in the manner of a held-out prompt: the run's sample video."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch

from ..avatar import choose_avatar, find_clip, footage_of, make_avatar
from ..errors import InputError
from ..interfaces import SAMPLE_RATE
from ..offset import shift_wave
from ..store import PreparedClip
from ..synthesis import BaseClip, speak
from .renderer import load_renderer
from .style import load_face, load_style, prompt_code

if TYPE_CHECKING:
    from . import Context


def inputs(context: Context) -> dict[str, Any]:
    """What the sample video depends on."""
    return {
        "style": context.key("style"),
        "renderer": context.key("renderer"),
        "stage": attrs.asdict(context.run.recipe.stages.synthesize),
    }


def run(context: Context) -> list[Path]:
    """Write ``weights/avatar.safetensors`` and ``samples/<avatar>.mp4``."""
    load_face(context)
    model, renderer = load_style(context), load_renderer(context)
    context.pipeline.face.cpu()
    context.pipeline.audio.to(context.device).eval()
    base = base_clip(context)
    path = context.run.weights / "avatar.safetensors"
    base.save(path, {"components": context.run.components()})
    spoken, prompt = _choose(context)
    clip = find_clip(context.pipeline.corpus, spoken.source)
    wave = clip.footage.wave()
    if wave is None:
        raise InputError(f"{clip.name}: has lost its sound since it was prepared; prepare again")
    fps = context.run.recipe.fps
    wave = shift_wave(wave, spoken.offset_ms)
    seconds = min(spoken.frames / fps, context.run.recipe.stages.synthesize.seconds)
    begin = round(spoken.start / fps * SAMPLE_RATE)
    wave = wave[begin : begin + round(seconds * SAMPLE_RATE)]
    code = prompt_code(model, context.store, [prompt], context.device)
    out = context.run.samples / f"{base.avatar}.mp4"
    with context.console.status(f"{base.avatar} says {spoken.name} in the style of {prompt.name}"):
        footage = footage_of(context, _as_prepared(context, base))
        speak(context.pipeline, model.decoder, renderer, base, footage, wave, code, out)
    context.console.print(f"{base.avatar} says {spoken.name} in the style of {prompt.name}: {out}")
    return [path, out]


def base_clip(context: Context) -> BaseClip:
    """The avatar's longest training piece, ready to be played."""
    avatar = make_avatar(context)
    piece = max(avatar.of("train"), key=lambda p: p.clip.frames)
    clip, store = piece.clip, context.store
    return BaseClip(
        avatar=avatar.name,
        source=clip.source,
        start=clip.start,
        crop=piece.crop,
        identity=store.identities[clip.speaker],
        pose=store.read(clip, "pose", 0, clip.frames),
        displacement=store.read(clip, "displacement", 0, clip.frames).half(),
        texture=torch.from_numpy(avatar.texture),
    )


def _as_prepared(context: Context, base: BaseClip) -> PreparedClip:
    own = [c for c in context.store.of("train", speaker=base.avatar) if c.source == base.source]
    return attrs.evolve(next(c for c in own if c.start == base.start), frames=len(base))


def _choose(context: Context) -> tuple[PreparedClip, PreparedClip]:
    """A held-out sentence of the avatar, and a prompt in another style (never trained on, where there is one)."""
    store = context.store
    avatar, trained = choose_avatar(context), {clip.style for clip in store.of("train")}
    held_out = list(store.of("held_out")) or list(store.of("train"))
    spoken = [c for c in held_out if c.heard and c.speaker == avatar] or [c for c in store.clips if c.heard]
    new = [c for c in held_out if c.style not in trained] or [c for c in held_out if c.speaker != avatar] or held_out
    return max(spoken, key=lambda c: c.frames), max(new, key=lambda c: c.frames)
