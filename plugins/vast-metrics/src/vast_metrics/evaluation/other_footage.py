"""A run's style model on other footage: other people, in their own styles.

The first half of each clip is the prompt, and the second half is predicted from its sound, so the model never sees what
is measured. Faces are tracked by the run's face component, and every speaker has their own neutral face.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.errors import SURROUNDINGS, ComponentError, InputError
from vast_core.interfaces import AudioFeatures, Clip, Corpus, FaceTrack, Performance, Sizes, listen, unposed
from vast_core.media import is_silent
from vast_core.registry import Registry
from vast_core.stages.style import PROMPT_FRAMES

from .engine import Pair
from .from_run import CPU, OTHER_PERSON, Spoken, Trained
from .protocol import Protocol
from .tracked import videos_in
from .videos import Follower, sound_of


def corpus_called(name: str, protocol: Protocol, registry: Registry) -> Corpus:
    """Videos of a folder, or a corpus component of this name with default options.

    Raises :class:`vast_core.errors.InputError` if it is neither, or that corpus needs options.
    """
    if Path(name).exists():
        return videos_in(Path(name), protocol, registry)
    try:
        component = registry.get("corpus", name)
        corpus: Corpus = component.load().from_config(component.config(), Sizes(fps=protocol.fps))
    except (ComponentError, TypeError) as error:
        raise InputError(
            f"--corpus {name}: no such folder, and no corpus without required options ({error})"
        ) from error
    return corpus


@attrs.frozen(kw_only=True, eq=False)
class OtherFootage:
    """Clips of another corpus, with each speaker's neutral face."""

    run: Trained
    protocol: Protocol
    audio: AudioFeatures
    """The protocol's audio features."""
    tracks: dict[str, FaceTrack] = attrs.field(factory=dict)
    """The longest shot of each clip."""
    identities: dict[str, NDArray[np.float32]] = attrs.field(factory=dict)

    def follow(self, clips: list[Clip], leave_out: Callable[[str, str], None]) -> list[Clip]:
        """Track all clips and compute the speakers' neutral faces; return the clips that can be measured."""
        recipe, face = self.run.context.recipe, self.run.face
        # both halves: the prompt, and an equal part to predict
        most = 2 * round(self.protocol.max_seconds * recipe.fps)
        follower = Follower(face=face, parts=recipe, most=most)
        usable = []
        for clip in clips:
            try:
                followed = [clip.track] if clip.track is not None else follower(clip).tracks
                track = max(followed, key=len)
                if len(track) < 2 * self.protocol.min_seconds * recipe.fps:
                    raise InputError(
                        f"its longest shot with a face lasts {len(track) / recipe.fps:.2f} s; at least "
                        f"{2 * self.protocol.min_seconds:g} s are needed, because the first half is the prompt"
                    )
            except SURROUNDINGS:
                raise
            except InputError as error:
                leave_out(clip.name, str(error))
                continue
            self.tracks[clip.name] = track
            usable.append(clip)
        for speaker in dict.fromkeys(clip.speaker for clip in usable):
            own = [self.tracks[clip.name] for clip in usable if clip.speaker == speaker]
            self.identities[speaker] = face.identity(own)
        return usable

    def pair(self, clip: Clip) -> Pair:
        """The second half of a clip, predicted in the style of the first.

        Raises :class:`InputError` if it has no sound.
        """
        context, fps, track = self.run.context, self.protocol.fps, self.tracks[clip.name]
        wave = clip.footage.wave()
        if wave is None or is_silent(wave):
            raise InputError("no sound to predict the face from")
        middle = len(track) // 2
        stop = min(len(track), middle + round(self.protocol.max_seconds * fps))
        first, last = track.start, track.start + stop
        sound = sound_of(wave, first + middle, last, fps)
        rows = listen(context.pipeline.audio, wave, last, context.device)[first:]
        heard = listen(self.audio, wave, last, CPU)[first:]
        identity, vertices = self.identities[clip.speaker], unposed(track)
        shown = slice(max(0, middle - PROMPT_FRAMES), middle)
        prompt = Performance(
            face=self.run.face,
            fps=fps,
            vertices=vertices[shown],
            neutral=torch.from_numpy(identity),
            audio=heard[shown],
            name=f"{clip.name} (first half)",
            speaker=clip.speaker,
            style=clip.style or "",
        )
        spoken = Spoken(
            name=clip.name,
            speaker=clip.speaker,
            style=clip.style or "",
            identity=torch.from_numpy(identity),
            truth=vertices[middle:stop],
            pose=torch.from_numpy(track.pose[middle:stop]),
            rows=rows[middle:],
            wave=wave if sound is None else sound,
            heard=heard[middle:],
            code=self._code(track, identity, rows, shown),
            prompt=prompt,
            notes=(f"frames {first + middle} to {last - 1}, in the style of those before; its sound is not shifted",),
        )
        return attrs.evolve(spoken.pair(self.run, self.protocol), lacking={"frames": OTHER_PERSON})

    @torch.no_grad()
    def _code(self, track: FaceTrack, identity: NDArray[np.float32], rows: Tensor, shown: slice) -> Tensor:
        """The style code (1, Z) of the frames ``shown`` of a track."""
        device = self.run.context.device
        expression = torch.from_numpy(self.run.face.encode(track, identity))[None, shown].to(device)
        mask = torch.from_numpy(track.valid)[None, shown].to(device)
        heard = torch.ones(1, dtype=torch.bool, device=device)
        return self.run.model.code(expression, rows[None, shown].to(device), mask, heard)
