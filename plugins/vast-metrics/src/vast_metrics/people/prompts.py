"""Labelled prompts: clips of people, each with an emotion, and a neutral clip beside which the others are seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from vast_core.errors import SURROUNDINGS, InputError
from vast_core.interfaces import Clip, FaceTrack, Sizes
from vast_core.media import NEUTRAL, read_label
from vast_core.registry import Registry

from ..evaluation.videos import Follower

MANIFESTS = ("manifest.csv", "manifest.tsv")
LEAST_EMOTIONS = 2
"""Fewest emotions beside neutral, because a wrong prompt is needed for each."""

FORM = "SPEAKER_EMOTION_NUMBER, such as M030_happy_1 or M030_front_happy_level3_001"


@attrs.frozen(kw_only=True, eq=False)
class Prompt:
    """One clip of a person."""

    clip: Clip
    emotion: str
    track: FaceTrack
    """Its longest shot with a face."""


@attrs.frozen(kw_only=True, eq=False)
class Person:
    """The prompts of one speaker, by emotion; ``neutral`` is the first, and several clips of an emotion are joined."""

    name: str
    prompts: Mapping[str, Sequence[Prompt]]

    @property
    def emotions(self) -> list[str]:
        """All emotions except neutral."""
        return [emotion for emotion in self.prompts if emotion != NEUTRAL]


@attrs.frozen(kw_only=True, eq=False)
class LabelledClips:
    """The clips of a folder by speaker and emotion, and what is left out, with the reasons."""

    speakers: Mapping[str, Mapping[str, Sequence[Clip]]]
    left_out: Mapping[str, str]
    """By name of the clip or the speaker."""

    @property
    def clips(self) -> list[Clip]:
        """All clips of these speakers."""
        return [clip for own in self.speakers.values() for clips in own.values() for clip in clips]

    @classmethod
    def of(cls, folder: Path, fps: float, registry: Registry, chosen: Sequence[str] = ()) -> LabelledClips:
        """The labelled clips in ``folder`` of the speakers ``chosen``, or of all.

        The label is that of ``manifest.csv`` or ``manifest.tsv`` (columns file, speaker, style) if there is one, else
        that of the name. No video is read. Raises :class:`InputError` if no speaker has enough, or one of those chosen
        has not.
        """
        component = registry.get("corpus", "folder")
        manifest = next((name for name in MANIFESTS if (folder / name).is_file()), None)
        config = component.config(path=folder, manifest=manifest)
        found: dict[str, dict[str, list[Clip]]] = {}
        left_out: dict[str, str] = {}
        for clip in component.load().from_config(config, Sizes(fps=fps)).clips():
            label = read_label(Path(clip.name).name)
            emotion = label.emotion if clip.style is None and label is not None else clip.style
            if emotion is None:
                left_out[clip.name] = f"no label: call it {FORM}, or list it in {MANIFESTS[0]}"
            elif not chosen or clip.speaker in chosen:
                found.setdefault(clip.speaker, {}).setdefault(emotion.lower(), []).append(clip)
        if unknown := [name for name in chosen if name not in found]:
            has = f"its speakers are {', '.join(sorted(found))}" if found else "no name there has a label"
            raise InputError(f"{folder}: no labelled clip of {unknown[0]}; {has}")
        reasons = {name: reason for name, own in found.items() if (reason := _lacking(own)) is not None}
        usable = {name: own for name, own in found.items() if name not in reasons}
        if short := [name for name in chosen if name in reasons]:
            raise InputError(f"{folder}: of {short[0]}, {reasons[short[0]]}")
        if not usable:
            why = "\n".join(f"  {name}: {reason}" for name, reason in {**reasons, **left_out}.items())
            raise InputError(f"{folder}: no speaker can be measured:\n{why}")
        return cls(speakers=usable, left_out={**reasons, **left_out})

    def follow(self, follower: Follower) -> tuple[list[Person], dict[str, str]]:
        """Track all clips; returns the people with enough clips that show a face, and all that is left out.

        Raises :class:`InputError` if nobody remains.
        """
        people, left_out = [], dict(self.left_out)
        for name, emotions in self.speakers.items():
            prompts: dict[str, list[Prompt]] = {}
            for emotion in sorted(emotions, key=lambda emotion: (emotion != NEUTRAL, emotion)):
                for clip in emotions[emotion]:
                    try:
                        track = max(follower(clip).tracks, key=len)
                    except SURROUNDINGS:
                        raise
                    except InputError as error:
                        left_out[clip.name] = str(error)
                        continue
                    prompts.setdefault(emotion, []).append(Prompt(clip=clip, emotion=emotion, track=track))
            if (reason := _lacking(prompts)) is None:
                people.append(Person(name=name, prompts=prompts))
            else:
                left_out[name] = f"among the clips that can be tracked, {reason}"
        if not people:
            raise InputError("no speaker can be measured:\n" + "\n".join(f"  {k}: {v}" for k, v in left_out.items()))
        return people, left_out


def _lacking(emotions: Mapping[str, object]) -> str | None:
    """What a speaker lacks; None if nothing."""
    if NEUTRAL not in emotions:
        return f"there is no {NEUTRAL} clip"
    if len(emotions) - 1 < LEAST_EMOTIONS:
        have = ", ".join(sorted(set(emotions) - {NEUTRAL})) or "none"
        return f"at least {LEAST_EMOTIONS} emotions beside {NEUTRAL} are needed; there is {have}"
    return None
