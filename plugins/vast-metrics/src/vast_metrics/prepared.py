"""Selection of prepared clips, their prompts, and their data for metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor

from vast_core.errors import InputError
from vast_core.interfaces import Performance
from vast_core.media import LipSync
from vast_core.runs import PreparedClip, Store
from vast_core.stages import StageContext

Spreadable = TypeVar("Spreadable")


def spread(clips: Sequence[Spreadable], most: int) -> list[Spreadable]:
    """At most ``most`` of ``clips``, evenly chosen."""
    if len(clips) <= most:
        return list(clips)
    return [clips[place] for place in np.linspace(0, len(clips) - 1, most).astype(int)] if most > 0 else []


def prompt_for(store: Store, clip: PreparedClip) -> PreparedClip:
    """Another clip in the style of ``clip``; among equally good ones training clips come first, then the order decides.

    A clip of the same recording, otherwise of the same style by the same speaker, otherwise of the same style by
    another speaker. A clip without a style label may also be prompted by any other clip of its speaker. Raises
    :class:`InputError` if there is none.
    """
    others = [own for own in store.clips if own.name != clip.name]
    styled = [own for own in others if clip.style is not None and own.style == clip.style]
    for kin in (
        [own for own in others if own.source == clip.source],
        [own for own in styled if own.speaker == clip.speaker],
        styled,
        [own for own in others if clip.style is None and own.speaker == clip.speaker],
    ):
        if kin:
            return min(kin, key=lambda own: own.split != "train")
    raise InputError("no other clip shows this style, so there is no prompt for the model")


def prompt_in(store: Store, target: PreparedClip, style: str, words: Mapping[str, str | None]) -> PreparedClip:
    """A held-out clip in ``style`` with a different sentence than ``target``, by another speaker if possible.

    ``words`` are the transcripts by source. Raises :class:`InputError` if there is none.
    """
    said = [clip for clip in store.of("held_out", style=style) if words[clip.source] != words[target.source]]
    if not said:
        raise InputError(f"no held-out clip in {style} has a different sentence than {target.name}")
    return min(said, key=lambda clip: clip.speaker == target.speaker)


def performance_of(
    context: StageContext, clip: PreparedClip, audio: Tensor | None, frames: int | None = None
) -> Performance:
    """The first ``frames`` of a prepared clip, or all, as tracked; without pose, because no model here moves the head.

    ``audio`` are the features (T, A) of its sound, None if it has none.
    """
    return Performance(
        face=context.pipeline.face,
        fps=context.pipeline.sizes.fps,
        vertices=context.store.vertices(clip)[:frames],
        neutral=context.store.identities[clip.speaker],
        audio=audio,
        name=clip.name,
        speaker=clip.speaker,
        style=clip.style or "",
    )


def lip_sync(context: StageContext, clip: PreparedClip, audio: Tensor) -> LipSync:
    """The audio features ``audio`` (T, A) and the lip opening of a prepared clip."""
    store = context.store
    return LipSync.of(
        clip.name, context.pipeline.face, store.vertices(clip), audio, valid=store.read(clip, "valid").numpy()
    )
