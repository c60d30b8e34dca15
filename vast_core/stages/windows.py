"""Training batches of the style stage: windows of clips to reconstruct, and prompts of their styles."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Self

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import SAMPLE_RATE, listen
from ..mesh.motion import head_motion, rest_pose
from ..registry.core_stages import StyleStage
from ..runs.store import PreparedClip
from ..training.motion import face_weights
from ..training.parts import Part
from .context import StageContext
from .restyling import RandomStyle, Restyling

LIP_SHARES = (0.18, 0.27, 0.5)
"""Shares of a clip's frames by the opening of the lips: shut below the first, parted above the last, limit between."""

KEPT_BYTES = 6 * 10**9
"""Rows of clips that are kept in memory; clips beyond are read again."""

MOST_MEANS = 5_000
"""Clips, evenly chosen, whose mean expressions are known from the start."""

SILENCE = 0.8
"""Seconds of silence before the rows that teach rest, which last half as long."""


@attrs.frozen(kw_only=True, eq=False)
class StyleBatch:
    """Windows to reconstruct, and prompts of their styles."""

    expression: Tensor
    """(B, T, E)."""
    audio: Tensor
    """(B, T, A); if the audio features are trained, the waves (B, S) for :meth:`Windows.features`."""
    mask: Tensor
    """(B, T)."""
    motion: Tensor | None
    """(B, T, 3, 4): motion of the head; None unless the decoder predicts it."""
    prompt: Tensor
    """(B, T, E), of the prompt's own length."""
    prompt_audio: Tensor
    """(B, T, A), or waves as for ``audio``."""
    prompt_mask: Tensor
    """(B, T)."""
    heard: Tensor
    """(B,)."""
    labels: Sequence[str | None]
    """Label of each of the B prompts that is given only as a label; None for the others."""
    shut: Tensor
    """(B, T): frames in which the lips are shut; none in rows that are restyled."""
    parted: Tensor
    """(B, T): frames in which they are clearly parted; none in rows that are restyled."""
    limit: Tensor
    """(B, 1): opening that separates these, as by ``lip_opening``."""
    spoken: AnySound | None
    """Further rows: styles to be spoken with any sound; None without ``any_sound``."""


@attrs.frozen(kw_only=True, eq=False)
class AnySound:
    """Prompts, possibly of clips without sound, and unrelated sound to speak in their style."""

    audio: Tensor
    """(N, T, A), or waves as in :class:`StyleBatch`."""
    mask: Tensor
    """(N, T)."""
    prompt: Tensor
    """(N, T, E), of the prompt's own length."""
    prompt_audio: Tensor
    prompt_mask: Tensor
    heard: Tensor
    """(N,)."""


def chances(clips: Sequence[PreparedClip]) -> NDArray[np.float64]:
    """How probably each clip is drawn, (N,): by length within a group, and each group by its weight."""
    total: dict[str, int] = {}
    for clip in clips:
        total[clip.group] = total.get(clip.group, 0) + clip.frames
    share = np.array([clip.weight * clip.frames / total[clip.group] for clip in clips])
    if not share.sum():
        raise InputError("every clip with sound has weight 0; give a corpus of the union a weight above 0")
    return np.asarray(share / share.sum(), np.float64)


@attrs.frozen
class Window:
    """Some consecutive frames of a clip, possibly in another style."""

    clip: PreparedClip
    start: int
    stop: int
    style: RandomStyle | None = None


@attrs.frozen
class _Rows:
    """A part of a batch."""

    windows: Sequence[Window]
    frames: int
    """Length to which they are padded: that of the longest window of the whole batch."""

    @classmethod
    def of(cls, batch: Sequence[Window], rows: slice) -> Self:
        return cls(batch[rows], max(window.stop - window.start for window in batch))


class Windows:
    """Draws training batches; the batch depends only on seed and step."""

    def __init__(self, context: StageContext) -> None:
        self._store, self._settings = context.store, context.options("style", StyleStage)
        self._seed, self._device = context.run.recipe.seed, context.device
        self._fps, pipeline = context.run.recipe.fps, context.pipeline
        self._trained_audio = pipeline.audio if pipeline.audio.trainable else None
        self._audio, self._sizes = pipeline.audio, pipeline.sizes
        self._moves_head, self._reads = pipeline.decoder.moves_head, pipeline.style.reads
        self._clips = [clip for clip in context.store.of("train") if clip.heard]
        if not self._clips:
            raise InputError("no training clip has sound, which the style stage needs")
        self._chances = chances(self._clips)
        self._face, self._identity = pipeline.face, torch.stack(list(context.store.identities.values())).mean(0)
        self._silent = [clip for clip in context.store.of("train") if not clip.heard]
        self._rows: OrderedDict[str, Mapping[str, Tensor]] = OrderedDict()
        self._kept = 0
        by_style: dict[tuple[str, str], list[PreparedClip]] = {}
        for clip in context.store.of("train"):
            by_style.setdefault(self._style_of(clip), []).append(clip)
            if self._reads == "labels" and clip.style is None:
                raise InputError(
                    f"{clip.name}: the corpus gives it no style label, and the style encoder reads nothing else; "
                    "label the clips, or name an encoder that reads clips"
                )
        self._by_style = by_style
        every = list(context.store.of("train"))
        means = torch.stack([self._centre(clip) for clip in every[:: -(-len(every) // MOST_MEANS)]])
        self.weights = face_weights(means, pipeline.sizes.lower_face).to(self._device)
        """Weights (E,) of coefficients in statistics of motion."""
        self._restyling = Restyling(means, pipeline.sizes.lower_face) if self._settings.restyled else None

    @staticmethod
    def _style_of(clip: PreparedClip) -> tuple[str, str]:
        """Key of a clip's style: its label, or without one, its recording, whose parts certainly share a style."""
        return ("clip", clip.source) if clip.style is None else ("style", clip.style)

    def clips(self, most: int = 500) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Expression (T, E), audio features (T, A) and mask (T,) of up to ``most`` training clips, evenly chosen.

        In a union of corpora they are of the first, whose lips the run is for. Each is followed by silence, in which
        the face rests: footage hardly shows what lips do when nothing at all is heard.
        """
        main = [clip for clip in self._clips if clip.group == self._store.main_group] or self._clips
        chosen = [self._load(clip) for clip in main[:: -(-len(main) // most)]]
        silence = self._silence()
        still = torch.ones(len(silence), dtype=torch.bool)
        followed = []
        for rows in chosen:
            resting = rows["expression"][rows["shut"]].mean(0).expand(len(silence), -1)
            faces = torch.cat([rows["expression"], resting])
            followed.append((faces, torch.cat([rows["audio"], silence]), torch.cat([rows["valid"], still])))
        return followed

    def _silence(self) -> Tensor:
        """Audio features (T, A) of digital silence, then of noise at -60 dB; T = 0 if the features are trained."""
        if self._trained_audio is not None:
            return torch.zeros(0, self._sizes.audio)
        samples = round(2 * SILENCE * SAMPLE_RATE)
        hiss = 1e-3 * np.random.default_rng(self._seed).standard_normal(samples)
        inside, frames = slice(round(SILENCE * self._fps), None), round(1.5 * SILENCE * self._fps)
        waves = (np.zeros(samples), hiss)
        heard = [listen(self._audio, wave.astype(np.float32), frames, self._device)[inside] for wave in waves]
        return torch.cat(heard)

    def prompts(self, most: int = 1000) -> list[tuple[Tensor, Tensor, Tensor]]:
        """The same of up to ``most`` clips of all corpora, with and without sound, evenly chosen."""
        clips = list(self._store.of("train"))
        chosen = [self._load(clip) for clip in clips[:: -(-len(clips) // most)]]
        return [(rows["expression"], rows["audio"], rows["valid"]) for rows in chosen]

    def __call__(self, step: int, part: Part) -> StyleBatch:
        """A part of the batch of a step."""
        chance = np.random.default_rng((self._seed, step))
        settings = self._settings
        targets: list[Window] = []
        prompts: list[Window] = []
        heard: list[bool] = []
        labels: list[str | None] = []
        for index in chance.choice(len(self._clips), settings.batch, p=self._chances):
            clip = self._clips[index]
            target = self._place(clip, settings.frames, chance, 0, clip.frames)
            targets.append(target)
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
                spans = ((0, target.start), (target.stop, clip.frames))
                apart = [span for span in spans if span[1] - span[0] >= least]
                if apart:
                    low, high = apart[int(chance.integers(len(apart)))]
            prompts.append(self._place(other, length, chance, low, high))
            heard.append(other.heard and chance.random() >= settings.silent_prompt)
            labels.append(self._label(other, chance))
            if self._restyling is not None and labels[-1] is None and chance.random() < settings.restyled:
                style = self._restyling.draw(chance)
                targets[-1], prompts[-1] = (attrs.evolve(window, style=style) for window in (targets[-1], prompts[-1]))
        rows = part.rows(settings.batch, "stages.style.batch")
        said, shown = _Rows.of(targets, rows), _Rows.of(prompts, rows)
        own = torch.tensor([window.style is None for window in said.windows], device=self._device)[:, None]
        return StyleBatch(
            expression=self._joined(said, "expression"),
            audio=self._sound(said),
            mask=self._joined(said, "valid"),
            motion=self._joined(said, "motion") if self._moves_head else None,
            prompt=self._joined(shown, "expression"),
            prompt_audio=self._sound(shown),
            prompt_mask=self._joined(shown, "valid"),
            heard=torch.tensor(heard[rows], device=self._device),
            labels=labels[rows],
            shut=self._joined(said, "shut") & own,
            parted=self._joined(said, "parted") & own,
            limit=torch.stack([self._load(window.clip)["limit"] for window in said.windows]).to(self._device),
            spoken=self._any_sound(chance, part) if settings.any_sound else None,
        )

    def _any_sound(self, chance: np.random.Generator, part: Part) -> AnySound:
        """Half of the prompts are of clips without sound, if there are any."""
        settings = self._settings
        said: list[Window] = []
        prompts: list[Window] = []
        for row in range(settings.any_sound_rows):
            index, other = chance.choice(len(self._clips), 2, p=self._chances)
            said.append(self._place(self._clips[index], settings.frames, chance, 0, self._clips[index].frames))
            silent = self._silent and row % 2 == 0
            clip = self._silent[chance.integers(len(self._silent))] if silent else self._clips[other]
            prompt = self._place(clip, settings.prompt_frames, chance, 0, clip.frames)
            if self._restyling is not None and chance.random() < settings.restyled:
                prompt = attrs.evolve(prompt, style=self._restyling.draw(chance))
            prompts.append(prompt)
        heard = [window.clip.heard and chance.random() >= settings.silent_prompt for window in prompts]
        rows = part.rows(settings.any_sound_rows, "stages.style.any_sound_rows")
        spoken, shown = _Rows.of(said, rows), _Rows.of(prompts, rows)
        return AnySound(
            audio=self._sound(spoken),
            mask=self._joined(spoken, "valid"),
            prompt=self._joined(shown, "expression"),
            prompt_audio=self._sound(shown),
            prompt_mask=self._joined(shown, "valid"),
            heard=torch.tensor(heard[rows], device=self._device),
        )

    def features(self, sound: Tensor, frames: int) -> Tensor:
        """Audio features (B, T, A) of a batch's ``audio``, with a gradient if they are trained."""
        if self._trained_audio is None:
            return sound
        margin = self._margin(self._trained_audio.receptive_field)
        rows: Tensor = self._trained_audio(sound, margin + frames)
        return rows[:, margin:].float()

    def _margin(self, seconds: float) -> int:
        return math.ceil(seconds * self._fps) + 1

    def _label(self, clip: PreparedClip, chance: np.random.Generator) -> str | None:
        """The label if the prompt is given only as a label, else None."""
        if self._reads == "clips" or clip.style is None:
            return None
        return clip.style if self._reads == "labels" or chance.random() < self._settings.label_prompt else None

    def _place(self, clip: PreparedClip, frames: int, chance: np.random.Generator, low: int, high: int) -> Window:
        """A window of at most ``frames``, between the frames ``low`` and ``high``, that shows a face."""
        known = self._rows.get(clip.file)  # the rest is read by the process whose row it is
        valid = self._store.read(clip, "valid") if known is None else known["valid"]
        start = int(chance.integers(low, max(high - frames, low) + 1))
        stop = min(start + frames, high)
        if not valid[start:stop].any():  # no face in this window: move to where one is seen
            seen = valid.nonzero().flatten()
            start = int(seen[int(chance.integers(len(seen)))])
            stop = min(start + frames, clip.frames)
        return Window(clip, start, stop)

    def _centre(self, clip: PreparedClip) -> Tensor:
        """The mean expression (E,) of a clip, without keeping its rows."""
        return self._store.read(clip, "expression")[self._store.read(clip, "valid")].mean(0)

    def _load(self, clip: PreparedClip) -> Mapping[str, Tensor]:
        if clip.file in self._rows:
            self._rows.move_to_end(clip.file)
        else:
            rows = {name: self._store.read(clip, name) for name in ("expression", "audio", "valid")}
            expression, valid = rows["expression"], rows["valid"]
            rows["centre"] = expression[valid].mean(0, keepdim=True)
            rows |= self._lips(expression, valid)
            if self._moves_head:
                pose = self._store.read(clip, "pose")
                rows["motion"] = head_motion(pose, rest_pose(pose))
            if self._trained_audio is not None and clip.heard:
                rows["wave"] = self._store.wave(clip)
            self._rows[clip.file] = rows
            self._kept += _bytes(rows)
            while self._kept > KEPT_BYTES and len(self._rows) > 1:
                _, oldest = self._rows.popitem(last=False)
                self._kept -= _bytes(oldest)
        return self._rows[clip.file]

    def _lips(self, expression: Tensor, valid: Tensor) -> dict[str, Tensor]:
        """Frames (T,) of a clip in which the lips are shut or parted, and the opening (1,) that separates these."""
        opening = self._face.lip_opening(self._face.decode(expression, self._identity))
        low, limit, middle = torch.quantile(opening[valid], torch.tensor(LIP_SHARES))
        return {"shut": valid & (opening <= low), "parted": valid & (opening > middle), "limit": limit[None]}

    def _joined(self, part: _Rows, name: str) -> Tensor:
        rows = [self._load(window.clip)[name][window.start : window.stop] for window in part.windows]
        if name == "expression":
            rows = [
                row if window.style is None else window.style.of(row, self._load(window.clip)["centre"][0])
                for row, window in zip(rows, part.windows, strict=True)
            ]
        return _padded(rows, part.frames).to(self._device)

    def _sound(self, part: _Rows) -> Tensor:
        """Audio features (B, T, A), or the waves (B, S) that those depend on, silent beyond their clips."""
        if self._trained_audio is None:
            return self._joined(part, "audio")
        margin = self._margin(self._trained_audio.receptive_field)
        waves = []
        for window in part.windows:
            wave = self._load(window.clip).get("wave", torch.zeros(0))
            first, last = window.start - margin, window.stop + margin
            low = round(first / self._fps * SAMPLE_RATE)
            high = low + round((last - first) / self._fps * SAMPLE_RATE)
            inside = wave[max(low, 0) : max(high, 0)]
            before = min(max(-low, 0), high - low)
            waves.append(nn.functional.pad(inside, (before, high - low - before - len(inside))))
        return _padded(waves, round((part.frames + 2 * margin) / self._fps * SAMPLE_RATE)).to(self._device)


def _bytes(rows: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in rows.values())


def _padded(rows: Sequence[Tensor], length: int) -> Tensor:
    """Rows (T, ...) of up to ``length`` frames or samples as one tensor (B, length, ...)."""
    joined = rows[0].new_zeros(len(rows), length, *rows[0].shape[1:])
    for place, row in zip(joined, rows, strict=True):
        place[: len(row)] = row
    return joined
