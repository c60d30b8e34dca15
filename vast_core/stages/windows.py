"""Training batches of the style stage: windows of clips to reconstruct, and prompts of their styles."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..errors import InputError
from ..interfaces import SAMPLE_RATE
from ..mesh.motion import head_motion, rest_pose
from ..registry.core_stages import StyleStage
from ..runs.store import PreparedClip
from .context import StageContext


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
    """Some consecutive frames of a clip."""

    clip: PreparedClip
    start: int
    stop: int


class Windows:
    """Draws training batches; the batch depends only on seed and step."""

    def __init__(self, context: StageContext) -> None:
        self._store, self._settings = context.store, context.options("style", StyleStage)
        self._seed, self._device = context.run.recipe.seed, context.device
        self._fps, pipeline = context.run.recipe.fps, context.pipeline
        self._trained_audio = pipeline.audio if pipeline.audio.trainable else None
        self._moves_head, self._reads = pipeline.decoder.moves_head, pipeline.style.reads
        self._clips = [clip for clip in context.store.of("train") if clip.heard]
        if not self._clips:
            raise InputError("no training clip has sound, which the style stage needs")
        self._chances = chances(self._clips)
        # about 300 bytes per frame: a hundred hours of footage fit in memory
        self._rows: dict[str, Mapping[str, Tensor]] = {}
        by_style: dict[tuple[str, str], list[PreparedClip]] = {}
        for clip in context.store.of("train"):
            by_style.setdefault(self._style_of(clip), []).append(clip)
            if self._reads == "labels" and clip.style is None:
                raise InputError(
                    f"{clip.name}: the corpus gives it no style label, and the style encoder reads nothing else; "
                    "label the clips, or name an encoder that reads clips"
                )
        self._by_style = by_style

    @staticmethod
    def _style_of(clip: PreparedClip) -> tuple[str, str]:
        """Key of a clip's style: its label, or without one, its recording, whose parts certainly share a style."""
        return ("clip", clip.source) if clip.style is None else ("style", clip.style)

    def clips(self, most: int = 500) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Expression (T, E), audio features (T, A) and mask (T,) of up to ``most`` training clips, evenly chosen."""
        every = -(-len(self._clips) // most)
        chosen = [self._load(clip) for clip in self._clips[::every]]
        return [(rows["expression"], rows["audio"], rows["valid"]) for rows in chosen]

    def __call__(self, step: int) -> StyleBatch:
        """The batch of a step."""
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
        return StyleBatch(
            expression=self._joined(targets, "expression"),
            audio=self._sound(targets),
            mask=self._joined(targets, "valid"),
            motion=self._joined(targets, "motion") if self._moves_head else None,
            prompt=self._joined(prompts, "expression"),
            prompt_audio=self._sound(prompts),
            prompt_mask=self._joined(prompts, "valid"),
            heard=torch.tensor(heard, device=self._device),
            labels=labels,
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
        valid = self._load(clip)["valid"]
        start = int(chance.integers(low, max(high - frames, low) + 1))
        stop = min(start + frames, high)
        if not valid[start:stop].any():  # no face in this window: move to where one is seen
            seen = valid.nonzero().flatten()
            start = int(seen[int(chance.integers(len(seen)))])
            stop = min(start + frames, clip.frames)
        return Window(clip, start, stop)

    def _load(self, clip: PreparedClip) -> Mapping[str, Tensor]:
        if clip.file not in self._rows:
            rows = {name: self._store.read(clip, name) for name in ("expression", "audio", "valid")}
            if self._moves_head:
                pose = self._store.read(clip, "pose")
                rows["motion"] = head_motion(pose, rest_pose(pose))
            if self._trained_audio is not None and clip.heard:
                rows["wave"] = self._store.wave(clip)
            self._rows[clip.file] = rows
        return self._rows[clip.file]

    def _joined(self, windows: Sequence[Window], name: str) -> Tensor:
        rows = [self._load(window.clip)[name][window.start : window.stop] for window in windows]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True).to(self._device)

    def _sound(self, windows: Sequence[Window]) -> Tensor:
        """Audio features (B, T, A), or the waves (B, S) that those depend on, silent beyond their clips."""
        if self._trained_audio is None:
            return self._joined(windows, "audio")
        margin = self._margin(self._trained_audio.receptive_field)
        waves = []
        for window in windows:
            wave = self._load(window.clip).get("wave", torch.zeros(0))
            first, last = window.start - margin, window.stop + margin
            low = round(first / self._fps * SAMPLE_RATE)
            high = low + round((last - first) / self._fps * SAMPLE_RATE)
            inside = wave[max(low, 0) : max(high, 0)]
            before = min(max(-low, 0), high - low)
            waves.append(nn.functional.pad(inside, (before, high - low - before - len(inside))))
        return nn.utils.rnn.pad_sequence(waves, batch_first=True).to(self._device)
