"""Make the run's sample video: the avatar speaks a held-out sentence in the style of a held-out prompt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InputError
from ..files.atomic import replacing, write_picture
from ..files.names import safe_name
from ..interfaces import SAMPLE_RATE, listen, place
from ..media.sync import shift_wave
from ..mesh.scene import Image
from ..registry.core_stages import SynthesizeStage
from ..report import Figure, Section, Text
from ..report import Video as Playable
from ..runs.directory import Run
from ..runs.store import PreparedClip
from ..speak.base_clip import BASE_VIDEO, BaseClip, Video
from ..speak.consenting import plain_consent
from ..speak.marks import Marks, marks_key
from ..speak.perform import perform, write_video
from ..speak.sliders import Sliders, load_sliders
from ..speak.sound import Sound
from ..speak.style import Style
from ..speak.style_model import StyleModel, decode_whole
from ..speak.trained import load_face, load_renderer, load_style
from .avatar_pictures import as_base, choose_avatar, find_clip, footage_of, make_avatar
from .base_loop import Loop
from .context import StageContext
from .style import prompt_code

SHOWN = "shown.json"
"""What the sample video and the picture of styles show, beside them."""
STYLES_PICTURE = "styles.png"
STRIP_ROWS, STRIP_COLUMNS, STRIP_HEIGHT, STRIP_SECONDS = 3, 6, 192, 3.0
"""Layout of the picture of the same words in several styles: rows, columns, pixels and seconds."""


def inputs(context: StageContext) -> dict[str, Any]:
    """Inputs of the sample video."""
    marks = marks_key(context.recipe, context.run.registry)
    consent = {name: repr(own) for name, own in context.consents.items()}
    return {"style": context.key("style"), "renderer": context.key("renderer"), "marks": marks, "consent": consent}


def run(context: StageContext) -> list[Path]:
    """Write ``weights/avatar.safetensors`` with its own video ``base.mp4``, and ``samples/<avatar>.mp4``."""
    weights, pipeline = context.run.weights, context.pipeline.to(context.device)
    load_face(weights, pipeline)
    model, renderer = load_style(weights, pipeline), load_renderer(weights, pipeline)
    video = context.run.path / BASE_VIDEO
    base = base_clip(context, video)
    path = weights / "avatar.safetensors"
    recipe, registry = context.recipe, context.run.registry
    always = {section.name: section.provider for section in registry.sections if section.always}
    consent = plain_consent(base.avatar, context.consents)
    base.save(path, {**context.run.made_of(), "sections": always, "consent": consent})
    spoken, prompts = _choose(context)
    wave = _sound(context, spoken)
    fps = context.run.recipe.fps
    codes = {
        f"in the style of {prompt.name}": prompt_code(model, context.store, prompt, context.device)
        for prompt in prompts
    }

    def frames(code: Tensor, sound: NDArray[np.float32]) -> Iterator[Image]:
        return perform(pipeline, model, renderer, base, base.play(video), Sound.of(sound), code)

    out = context.run.samples / f"{safe_name(base.avatar)}.mp4"
    marks = Marks.of(base.avatar, recipe, context.run.path, registry)
    style, code = next(iter(codes.items()))
    what = f"{base.avatar} says {spoken.name} {style}"
    with context.console.status(what):
        write_video(frames(code, wave), fps, wave, out, marks)
    context.console.print(f"{what}: {out}")
    picture = context.run.samples / STYLES_PICTURE
    with context.console.status("the same words in other styles"):
        brief = wave[: round(STRIP_SECONDS * SAMPLE_RATE)]
        if len(codes) < STRIP_ROWS and (sliders := load_sliders(weights, model)):
            heard = listen(pipeline.audio, brief, round(len(brief) / SAMPLE_RATE * fps), context.device)
            codes |= _from_sliders(sliders, model, heard, code, STRIP_ROWS - len(codes))
        _write_strip(picture, [[_reduced(frame) for frame in frames(code, brief)] for code in codes.values()])
    shown = context.run.samples / SHOWN
    with replacing(shown) as temporary:
        told = {"video": out.name, "what": what, "rows": list(codes), "marks": marks.lines()}
        temporary.write_text(json.dumps(told), encoding="utf-8")
    return [path, video, out, picture, shown]


def report(run: Run) -> Iterator[Section]:
    """The sample video and the picture of styles, with what they show."""
    shown = json.loads((run.samples / SHOWN).read_text(encoding="utf-8"))
    rows = "; ".join(shown["rows"])
    yield Section(
        "The avatar speaks",
        [
            Playable(f"{shown['what']}.", run.samples / shown["video"]),
            Figure(f"The same words at the same times, by row: {rows}.", (run.samples / STYLES_PICTURE).read_bytes()),
            Text(" ".join(shown["marks"])),
        ],
        first=True,
    )


def _from_sliders(sliders: Sliders, model: StyleModel, heard: Tensor, code: Tensor, count: int) -> dict[str, Tensor]:
    """``count`` further codes: the code (1, Z) with a slider at its end, of those that move the face most; each with
    its name.

    ``heard`` has audio features (T, A) to speak.
    """
    style = Style(code=code[0].cpu(), model=sliders.model, source="")
    moved = {
        (name, end): sliders.moved(style, {name: end}).code[None].to(code)
        for name in sliders.factors
        for end in (-1.0, 1.0)
    }
    plain = decode_whole(model, heard, code)
    motion = {key: float((decode_whole(model, heard, other) - plain).square().mean()) for key, other in moved.items()}
    most = sorted(moved, key=lambda key: -motion[key])
    ends: dict[str, float] = {}
    for name, end in most:
        ends.setdefault(name, end)
    return {f"the first with {name} {end:+g}": moved[name, end] for name, end in list(ends.items())[:count]}


def _sound(context: StageContext, spoken: PreparedClip) -> NDArray[np.float32]:
    """Sound (S,) of a prepared clip, cut to the length in the recipe."""
    fps = context.run.recipe.fps
    wave = find_clip(context.pipeline.corpus, spoken.source).footage.wave()
    if wave is None:
        raise InputError(f"{spoken.source}: has no sound any more; prepare again")
    wave = shift_wave(wave, spoken.offset_ms)
    seconds = min(spoken.frames / fps, context.options("synthesize", SynthesizeStage).seconds)
    begin = round(spoken.start / fps * SAMPLE_RATE)
    return wave[begin : begin + round(seconds * SAMPLE_RATE)]


def _write_strip(path: Path, rows: list[list[Image]]) -> None:
    """A picture with one row of frames per style, at the times at which the first row moves most."""
    first = np.stack(rows[0]).astype(np.int16)
    motion = np.abs(first - np.median(first, axis=0).astype(np.int16)).mean((1, 2, 3))
    parts = np.array_split(np.arange(len(first)), STRIP_COLUMNS)
    moments = [int(part[motion[part].argmax()]) for part in parts if len(part)]
    write_picture(path, np.vstack([np.hstack([row[m] for m in moments]) for row in rows]))


def _reduced(frame: Image) -> Image:
    size = (STRIP_HEIGHT * frame.shape[1] // frame.shape[0], STRIP_HEIGHT)
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA))


def base_clip(context: StageContext, video: Path) -> BaseClip:
    """The avatar's longest training piece, as a loop, as base clip; its frames are written to ``video``."""
    avatar = make_avatar(context)
    piece = max(avatar.of("train"), key=lambda p: p.clip.frames)
    clip, face, fps = piece.clip, context.pipeline.face, context.recipe.fps
    base = as_base(context, avatar, piece, Video(digest="", size=(0, 0)))
    loop = Loop.find(place(base.identity + base.displacement.float(), base.pose).numpy(), fps)
    with context.console.status("keeping the avatar's own video"):
        pictures = loop.pictures(footage_of(context, clip), base, face)
        own = Video.write(video, fps, pictures, len(loop), clip.source)
    return attrs.evolve(
        base,
        start=clip.start + loop.start,
        video=own,
        pose=loop.mixed(base.pose),
        displacement=loop.mixed(base.displacement),
    )


def _choose(context: StageContext) -> tuple[PreparedClip, list[PreparedClip]]:
    """A held-out sentence of the avatar, and prompts in other styles, if possible styles never trained on."""
    store = context.store
    avatar, trained = choose_avatar(context), {clip.style for clip in store.of("train")}
    held_out = list(store.of("held_out")) or list(store.of("train"))
    spoken = [c for c in held_out if c.heard and c.speaker == avatar] or [c for c in store.clips if c.heard]
    new = [c for c in held_out if c.style not in trained] or [c for c in held_out if c.speaker != avatar] or held_out
    by_style: dict[str, PreparedClip] = {}
    for clip in sorted(new, key=lambda c: -c.frames):
        by_style.setdefault(clip.style or clip.speaker, clip)
    return max(spoken, key=lambda c: c.frames), list(by_style.values())[:STRIP_ROWS]
