"""An avatar speaks the same words in the style of each prompt of a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE, Corpus, listen, unposed
from vast_core.media import NEUTRAL, is_silent, read_wave
from vast_core.pipeline import Pipeline
from vast_core.speak.prompt import code_of_track
from vast_core.speak.sound import frames_of
from vast_core.speak.style_model import StyleModel, decode_whole

from .agreement import Match, Movement, matches
from .prompts import Person, Prompt

ROWS = {
    "ours": "in the prompt's style",
    "zero_code": "style code at zero",
    "wrong_prompt": "in the style of another emotion of the same speaker",
    "copy": "the prompt's own expression on the avatar's neutral face",
}
"""What the avatar is shown with, by name; each is measured beside the avatar's face in the neutral prompt's style, and
``copy`` beside the copied neutral prompt: it is the bound that neutral face and expression basis set."""


@attrs.frozen(kw_only=True, eq=False, slots=False)
class Actor:
    """A trained model, the neutral face of an avatar, and the words that it says."""

    pipeline: Pipeline
    model: StyleModel
    identity: Tensor
    """(V, 3)."""
    wave: NDArray[np.float32]
    """(S,)."""

    @cached_property
    def _heard(self) -> Tensor:
        frames = frames_of(len(self.wave), self.pipeline.sizes.fps)
        with torch.no_grad():
            return listen(self.pipeline.audio, self.wave, frames, self.pipeline.device)

    def speak(self, code: Tensor) -> Tensor:
        """Canonical vertices (T, V, 3) in the style ``code`` (1, Z)."""
        return self.pipeline.face.decode(decode_whole(self.model, self._heard, code), self.identity)

    def code(self, prompt: Prompt) -> Tensor:
        """The style code (1, Z) of a prompt, as ``vast synth --style`` reads it."""
        wave = prompt.clip.footage.wave()
        return code_of_track(prompt.track, wave, self.pipeline, self.model, prompt.clip.name)

    def copy(self, prompt: Prompt) -> Tensor:
        """The prompt's own face (T, V, 3), encoded, and decoded on the avatar's neutral face."""
        face, track = self.pipeline.face, prompt.track
        return face.decode(torch.from_numpy(face.encode(track, face.identity([track]))), self.identity)


@attrs.frozen(kw_only=True, eq=False)
class Act:
    """A person's prompts, and what one actor made of them."""

    person: Person
    codes: Mapping[str, Tensor]
    """By emotion, the code (1, Z) of its first clip."""
    found: Mapping[str, Sequence[Sequence[Match]]]
    """For each of :data:`ROWS`, the matches of each emotion."""


def act(actor: Actor, person: Person, seed: int) -> Act:
    """Speak in the style of every prompt, and compare.

    Raises :class:`InputError` if a prompt shows less than a second of a face, or the encoder does not read clips.
    """
    face = actor.pipeline.face
    codes = {emotion: [actor.code(prompt) for prompt in own] for emotion, own in person.prompts.items()}
    shown = {
        emotion: Movement.joined([Movement.of(face, unposed(p.track), p.track.valid) for p in own])
        for emotion, own in person.prompts.items()
    }
    ours = {e: Movement.joined([Movement.of(face, actor.speak(code)) for code in own]) for e, own in codes.items()}
    copied = {
        e: Movement.joined([Movement.of(face, actor.copy(p), p.track.valid) for p in own])
        for e, own in person.prompts.items()
    }
    zero = Movement.of(face, actor.speak(torch.zeros_like(codes[NEUTRAL][0])))
    emotions = person.emotions
    made = {
        "ours": {e: [ours[e]] for e in emotions},
        "zero_code": {e: [zero] for e in emotions},
        "wrong_prompt": {e: [ours[other] for other in emotions if other != e] for e in emotions},
        "copy": {e: [copied[e]] for e in emotions},
    }
    still = {row: (shown[NEUTRAL], copied[NEUTRAL] if row == "copy" else ours[NEUTRAL]) for row in ROWS}
    moved = {emotion: shown[emotion] for emotion in emotions}
    found = {row: matches((person.name, seed), moved, made[row], still[row], face) for row in ROWS}
    return Act(person=person, codes={e: own[0] for e, own in codes.items()}, found=found)


def words(
    corpus: Corpus, sound: Path | None, seconds: float, without: Sequence[str]
) -> tuple[NDArray[np.float32], str]:
    """The sound (S,) that the avatar says, and its name: the file ``sound``, or clips of the corpus one after another.

    Clips of the speakers ``without`` are not used. Raises :class:`InputError` if none has sound, or the file is silent.
    """
    most = round(seconds * SAMPLE_RATE)
    if sound is not None:
        said = read_wave(sound)[:most]
        if is_silent(said):
            raise InputError(f"{sound}: its first {seconds:g} s are silent; name a sound file with speech")
        return said, sound.name
    parts: list[NDArray[np.float32]] = []
    names: list[str] = []
    for clip in corpus.clips():
        if clip.speaker not in without and (wave := clip.footage.wave()) is not None and len(wave):
            parts.append(wave)
            names.append(clip.name)
        if sum(map(len, parts)) >= most:
            break
    if not parts:
        raise InputError("no clip of the corpus has sound for the avatar to say; name a sound file")
    return np.concatenate(parts)[:most], ", ".join(names)
