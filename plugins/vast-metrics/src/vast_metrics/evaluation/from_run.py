"""A finished run: predictions of its style model for other clips, and its avatar's pictures.

Each clip is predicted from its sound in the style of a prompt. Its vertices are compared with the prepared ones; if the
clip shows the run's avatar, the avatar is drawn into the clip's own footage, as by ``vast synth``.
"""

from __future__ import annotations

import zlib
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Self

import attrs
import torch
from rich.console import Console
from torch import Tensor

from vast_core.errors import InputError
from vast_core.files import safe_path
from vast_core.interfaces import AudioFeatures, Face, Performance, Renderer, listen, place
from vast_core.media import VideoWriter, shift_wave
from vast_core.mesh import Crop, hull_masks
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry, RendererStage
from vast_core.runs import PreparedClip, Run
from vast_core.speak.base_clip import BaseClip
from vast_core.speak.perform import perform
from vast_core.speak.sound import Sound
from vast_core.speak.style_model import StyleModel, decode_whole
from vast_core.speak.trained import load_face, load_renderer, load_style
from vast_core.stages import StageContext
from vast_core.stages.avatar_pictures import find_clip, footage_of, image_vertices
from vast_core.stages.style import PROMPT_FRAMES, prompt_code

from ..prepared import performance_of, prompt_for, spread
from .alignment import View
from .engine import Pair
from .protocol import Protocol
from .tracked import mouth_boxes, stacked
from .videos import Wave, sound_of

CPU = torch.device("cpu")

OTHER_PERSON = "the clip does not show the run's avatar but another person"


@attrs.frozen(kw_only=True, eq=False)
class Trained:
    """A finished run with its weights."""

    context: StageContext
    model: StyleModel
    renderer: Renderer | None
    base: BaseClip | None
    """The avatar; None, like the renderer, if the run trained none."""

    @classmethod
    def load(cls, path: Path, registry: Registry, console: Console) -> Self:
        """Load a run's weights.

        Raises :class:`vast_core.errors.InputError` if it is not a run, or its style model is not trained.
        """
        if not (path / "recipe.yaml").is_file():
            raise InputError(
                f"{path}: not the folder of a run: there is no recipe.yaml; give a folder that `vast run` wrote"
            )
        recipe = load_recipe(path / "recipe.yaml", registry)
        context = StageContext(run=Run(path, recipe, registry), pipeline=assemble(recipe, registry), console=console)
        weights, pipeline = path / "weights", context.pipeline.to(context.device)
        load_face(weights, pipeline)
        model = load_style(weights, pipeline)
        avatar = weights / "avatar.safetensors"
        drawn = avatar.is_file() and recipe.renderer is not None
        renderer = load_renderer(weights, pipeline) if drawn else None
        base = BaseClip.load(avatar) if drawn else None
        return cls(context=context, model=model, renderer=renderer, base=base)

    @property
    def face(self) -> Face:
        """The run's own face component."""
        return self.context.pipeline.face

    @property
    def name(self) -> str:
        """The run's name in the results."""
        return self.context.run.path.resolve().name

    def check(self, protocol: Protocol) -> None:
        """Raise :class:`InputError` if the run and the protocol have different frame rates."""
        if self.context.recipe.fps != protocol.fps:
            raise InputError(
                f"the run has {self.context.recipe.fps:g} frames per second, but protocol {protocol.name} has "
                f"{protocol.fps:g}: measure its videos with --tracked, or write a protocol with the run's rate"
            )


@attrs.frozen(kw_only=True, eq=False)
class Spoken:
    """The input of one clip's prediction."""

    name: str
    speaker: str
    style: str
    identity: Tensor
    """(V, 3)."""
    truth: Tensor
    """(T, V, 3), canonical, as tracked."""
    pose: Tensor
    """(T, 3, 4), canonical to the footage."""
    rows: Tensor
    """(T, A): the run's own audio features."""
    wave: Wave
    heard: Tensor
    """(T, A): the protocol's audio features."""
    code: Tensor
    """(1, Z), style code of the prompt."""
    prompt: Performance
    notes: tuple[str, ...] = ()

    def pair(self, run: Trained, protocol: Protocol) -> Pair:
        """The predicted vertices and the tracked ones."""
        face, count = run.face, len(self.truth)
        chance = torch.Generator().manual_seed(zlib.crc32(self.name.encode()))
        noise = [torch.randn(self.code.shape, generator=chance).to(self.code) for _ in range(protocol.takes)]
        codes = [run.model.code_from(own) for own in noise]
        said, *takes = (face.decode(decode_whole(run.model, self.rows, z), self.identity) for z in (self.code, *codes))
        sides = [
            Performance(
                face=face,
                fps=protocol.fps,
                vertices=vertices,
                neutral=self.identity,
                pose=pose,
                audio=self.heard,
                wave=torch.from_numpy(self.wave),
                name=self.name,
                speaker=self.speaker,
                style=self.style,
                prompt=prompt,
                takes=drawn,
            )
            # the run does not predict head motion, so there is no pose
            for vertices, pose, prompt, drawn in ((said, None, self.prompt, takes), (self.truth, self.pose, None, ()))
        ]
        return Pair(prediction=sides[0], reference=sides[1], frames=count, notes=self.notes)


@attrs.frozen(kw_only=True, eq=False, slots=False)
class PreparedClips:
    """The run's own clips."""

    run: Trained
    protocol: Protocol
    audio: AudioFeatures
    """The protocol's audio features."""
    split: str

    def chosen(self) -> list[PreparedClip]:
        """Clips with sound, evenly selected from the split; a quarter show the avatar, which is drawn, too.

        Raises :class:`InputError` if there are none.
        """
        least = self.protocol.min_seconds * self.protocol.fps
        heard = [clip for clip in self.run.context.store.of(self.split) if clip.heard and clip.frames >= least]
        if not heard:
            raise InputError(f"{self.run.context.run.path}: none of its clips in the split {self.split} has sound")
        most = self.protocol.max_clips
        avatar = None if self.run.base is None else self.run.base.avatar
        others = [clip for clip in heard if clip.speaker != avatar]
        drawn = [clip for clip in heard if clip.speaker == avatar]
        own = spread(drawn, max(1, most // 4, most - len(others)))
        picked = {clip.name for clip in (*own, *spread(others, most - len(own)))}
        return [clip for clip in heard if clip.name in picked]

    @cached_property
    def _waves(self) -> dict[str, Wave]:
        return {}

    def _wave(self, clip: PreparedClip) -> Wave | None:
        """The whole sound of a clip's source, with the offset correction of its preparation."""
        if clip.source not in self._waves:
            wave = find_clip(self.run.context.pipeline.corpus, clip.source).footage.wave()
            if wave is None:
                return None
            self._waves.clear()  # a clip and its prompt often have the same source; no others are kept
            self._waves[clip.source] = shift_wave(wave, clip.offset_ms)
        return self._waves[clip.source]

    def _heard(self, clip: PreparedClip, frames: int) -> Tensor | None:
        wave = self._wave(clip) if clip.heard else None
        return None if wave is None else listen(self.audio, wave, clip.start + frames, CPU)[clip.start :]

    def spoken(self, clip: PreparedClip) -> Spoken:
        """The input of a clip's prediction.

        Raises :class:`InputError` if no other clip shows its style, or its sound is missing.
        """
        store, count = self.run.context.store, self._count(clip)
        prompt = prompt_for(self.run.context.store, clip)
        wave, heard = self._wave(clip), self._heard(clip, count)
        if wave is None or heard is None:
            raise InputError("its sound is missing since it was prepared; prepare again")
        sound = sound_of(wave, clip.start, clip.start + count, self.protocol.fps)
        length = min(prompt.frames, PROMPT_FRAMES)
        return Spoken(
            name=clip.name,
            speaker=clip.speaker,
            style=clip.style or "",
            identity=store.identities[clip.speaker],
            truth=store.vertices(clip)[:count],
            pose=store.read(clip, "pose", 0, count),
            rows=store.features(clip, self.run.context.pipeline.audio, 0, count),
            wave=sound if sound is not None else wave,
            heard=heard,
            code=prompt_code(self.run.model, store, prompt, self.run.context.device),
            prompt=performance_of(self.run.context, prompt, self._heard(prompt, length), length),
            notes=(f"in the style of {prompt.name}",),
        )

    def _count(self, clip: PreparedClip) -> int:
        return min(clip.frames, round(self.protocol.max_seconds * self.protocol.fps))

    # ---------------------------------------------------------------------------------------------- drawing

    def pair(self, clip: PreparedClip, folder: Path) -> Pair:
        """A clip's prediction and truth, with pictures if it shows the avatar; their videos are written to
        ``folder``."""
        spoken = self.spoken(clip)
        pair = spoken.pair(self.run, self.protocol)
        if self.run.base is None:
            return attrs.evolve(pair, lacking={"frames": "the run has no trained avatar"})
        if clip.speaker != self.run.base.avatar:
            return attrs.evolve(pair, lacking={"frames": OTHER_PERSON})
        shown = image_vertices(self.run.context, clip)[: pair.frames]
        view = View.of(Crop.around(shown, self.protocol.crop.margin, self.protocol.crop.size))
        videos, frames = self.draw(clip, spoken, folder, view)
        hull = torch.from_numpy(hull_masks(view.vertices(shown), view.size)).float()
        sides = []
        for side, pictures in zip((pair.prediction, pair.reference), frames, strict=True):
            vertices = spoken.truth if side.vertices is None else side.vertices
            placed = view.vertices(place(vertices, spoken.pose).numpy())
            mouth = mouth_boxes(self.run.face, placed)
            sides.append(attrs.evolve(side, frames=pictures, region=hull, mouth=mouth))
        return attrs.evolve(
            pair,
            prediction=sides[0],
            reference=attrs.evolve(sides[1], pose=torch.from_numpy(view.pose(spoken.pose.numpy()))),
            videos=videos,
            notes=(*pair.notes, *self._notes()),
        )

    def _notes(self) -> tuple[str, ...]:
        drawn = "drawn into the clip's footage, with its head pose and blinks"
        if self.run.renderer is not None and self.run.renderer.draws_close_up:
            return drawn, "the face but the mouth is the clip's own, warped, so that pictures tell only of the mouth"
        return (drawn,)

    def draw(
        self, clip: PreparedClip, spoken: Spoken, folder: Path, view: View | None = None
    ) -> tuple[tuple[str, str], list[Tensor | None]]:
        """Write the speaking avatar and the footage below ``folder``: whole frames, with the sound.

        Returns both files, relative to ``folder``, and the crops (T, 3, Y, X) of both if there is a ``view``.
        """
        if self.run.renderer is None:
            raise InputError("the run has no trained avatar")
        context, count = self.run.context, len(spoken.truth)
        speaking = perform(
            context.pipeline,
            self.run.model,
            self.run.renderer,
            self._base(clip, count),
            enumerate(footage_of(context, clip)),
            Sound.of(spoken.wave),
            spoken.code,
        )
        names, crops = [], []
        for side, source in (("generated", speaking), ("reference", footage_of(context, clip))):
            names.append(f"videos/{side}/{safe_path(clip.name)}.mp4")
            cut = []
            with VideoWriter(folder / names[-1], self.protocol.fps, spoken.wave) as writer:
                for frame in islice(source, count):
                    writer.write(frame)
                    if view is not None:
                        cut.append(view.cut(frame))
            crops.append(stacked(cut) if cut else None)
        return (names[0], names[1]), crops

    def show_prompt(self, clip: PreparedClip, folder: Path) -> None:
        """Write the footage of a clip's prompt below ``folder``, under the clip's name."""
        prompt = prompt_for(self.run.context.store, clip)
        count = self._count(prompt)
        wave = self._wave(prompt) if prompt.heard else None
        sound = sound_of(wave, prompt.start, prompt.start + count, self.protocol.fps)
        path = folder / f"videos/prompts/{safe_path(clip.name)}.mp4"
        with VideoWriter(path, self.protocol.fps, sound) as writer:
            for frame in islice(footage_of(self.run.context, prompt), count):
                writer.write(frame)

    def _base(self, clip: PreparedClip, count: int) -> BaseClip:
        """The clip itself as base clip, which the avatar plays while speaking."""
        context, base = self.run.context, self.run.base
        if base is None:
            raise InputError("the run has no trained avatar")
        margin = context.options("renderer", RendererStage).margin
        store, shown = context.store, image_vertices(context, clip)
        return attrs.evolve(
            base,
            source=clip.source,
            start=clip.start,
            crop=Crop.around(shown, margin, context.pipeline.sizes.image),
            identity=store.identities[clip.speaker],
            pose=store.read(clip, "pose", 0, count),
            displacement=store.read(clip, "displacement", 0, count).half(),
        )
