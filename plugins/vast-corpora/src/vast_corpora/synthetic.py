"""The embedded corpus: speakers, styles and sentences generated from a seed, with ground truth."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Literal, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.errors import InputError
from vast_core.interfaces import SAMPLE_RATE, Clip, Corpus, FaceTrack, Phone, Sizes

from .appearance import Portrait
from .articulation import Curves, articulate, head_motion
from .config import SyntheticConfig
from .head import pose_face, speaker_shape
from .lazy_clip import LazyClip
from .lines import WRITTEN, Line, recorded_lines
from .look import Look
from .speech import VOICES, Speech, Voice, say
from .style import FACTORS, Style, draw_styles

VERSION = 2
"""Increased whenever the same configuration gives different clips than before."""

_NECK = np.array([0.0, -7.0, -4.5])
"""Canonical point about which the head rotates."""

# First number of every random stream, so that each purpose has its own.
_SPEAKER, _STYLES, _HELD_OUT_STYLES, _SENTENCES, _ASSIGNMENT, _MOTION, _SURFACE = range(7)


@attrs.frozen(kw_only=True, eq=False)
class Speaker:
    """A speaker who can say any sentence in any style."""

    name: str
    index: int
    voice: Voice
    shape: NDArray[np.float64]
    """Neutral face (V, 3), canonical."""
    look: Look
    scale: float
    """Pixels per canonical centimetre, divided by the width of the image."""


@attrs.frozen(kw_only=True)
class Plan:
    """Speaker, style and sentence of a clip: all that it is generated from."""

    name: str
    speaker: int
    sentence: int
    style: str
    moves_like: str
    """Style whose head motion is used: the clip's own, or that of the original of a counterfactual."""
    split: Literal["train", "held_out"]
    factors: Style | None = None
    """Factors instead of those of ``style``, in a counterfactual."""


@attrs.frozen(kw_only=True, eq=False)
class _SyntheticFootage:
    """Frames drawn on access."""

    corpus: SyntheticCorpus
    plan: Plan

    def frames(self) -> Iterator[NDArray[np.uint8]]:
        """Frames (Y, X, 3)."""
        return self.corpus.draw(self.plan)

    def wave(self) -> NDArray[np.float32]:
        """The sound (S,)."""
        return self.corpus.speech(self.plan).wave.copy()


class SyntheticCorpus(Corpus):
    """Several speakers, styles and sentences, generated at run time from a seed; nothing is downloaded."""

    def __init__(self, config: SyntheticConfig, fps: float) -> None:
        self._lines: Sequence[Line] = recorded_lines(config.recordings) if config.recordings else WRITTEN
        if config.held_out_sentences >= len(self._lines):
            raise InputError(
                f"corpus/synthetic: held_out_sentences is {config.held_out_sentences}, but at least one of the "
                f"{len(self._lines)} sentences must be left for training; use at most {len(self._lines) - 1}"
            )
        self.config = config
        self.fps = fps
        self.styles = {"style-00": Style()}
        drawn = draw_styles(config.styles - 1, self._generator(_STYLES))
        drawn += draw_styles(config.held_out_styles, self._generator(_HELD_OUT_STYLES))
        self.styles |= {f"style-{number:02d}": style for number, style in enumerate(drawn, start=1)}
        self.speakers = [self._speaker(index) for index in range(config.speakers)]
        self._plans: dict[str, Plan] = {plan.name: plan for plan in self._all_plans()}
        self._tts = version("hibari-tts")
        self._speeches: dict[tuple[int, int], Speech] = {}
        self._portraits: dict[int, Portrait] = {}

    @classmethod
    def from_config(cls, config: SyntheticConfig, sizes: Sizes) -> Self:
        """Make the corpus; takes milliseconds."""
        return cls(config, sizes.fps)

    @property
    def training_styles(self) -> tuple[str, ...]:
        """Names of the training styles."""
        return tuple(self.styles)[: self.config.styles]

    @property
    def held_out_styles(self) -> tuple[str, ...]:
        """Names of the styles excluded from training."""
        return tuple(self.styles)[self.config.styles :]

    def clips(self) -> Iterator[Clip]:
        """All clips: the avatar's additional footage, training clips, held-out clips."""
        return (self._clip(plan) for plan in self._plans.values())

    def counterfactual(self, clip: Clip, style: str) -> Clip | None:
        """The same sentence by the same speaker with the same head motion and blinks, in another style.

        None for a clip of another corpus. Raises :class:`vast_core.errors.InputError` for an unknown style.
        """
        plan = self._plans.get(clip.name)
        if plan is None:
            return None
        if style not in self.styles:
            raise InputError(f"corpus/synthetic has no style {style!r}; it has {', '.join(self.styles)}")
        return self._clip(attrs.evolve(plan, name=f"{plan.name}-as-{style}", style=style))

    def with_factors(self, clip: Clip, factors: Mapping[str, float]) -> Clip | None:
        """The clip with these factors, and with the same head motion and blinks; its style has no name.

        None for a clip of another corpus. Raises :class:`vast_core.errors.InputError` for an unknown factor.
        """
        plan = self._plans.get(clip.name)
        if plan is None:
            return None
        if unknown := [name for name in factors if name not in FACTORS]:
            raise InputError(f"corpus/synthetic has no factor {unknown[0]!r}; it has {', '.join(FACTORS)}")
        what = ",".join(f"{name}={value:g}" for name, value in factors.items())
        style = attrs.evolve(self._style(plan), **factors)
        return self._clip(attrs.evolve(plan, name=f"{plan.name}-with-{what}", factors=style))

    def _style(self, plan: Plan) -> Style:
        return self.styles[plan.style] if plan.factors is None else plan.factors

    # ------------------------------------------------------------------------------------------ plans

    def _generator(self, *stream: int) -> np.random.Generator:
        return np.random.default_rng([self.config.seed, *stream])

    def _speaker(self, index: int) -> Speaker:
        generator = self._generator(_SPEAKER, index)
        voice = VOICES[index]
        return Speaker(
            name=voice.name.lower(),
            index=index,
            voice=voice,
            shape=speaker_shape(generator),
            look=Look.draw(index, voice.pitch, generator),
            scale=0.0315 * float(generator.uniform(0.96, 1.04)),
        )

    def _all_plans(self) -> Iterator[Plan]:
        order = self._generator(_SENTENCES).permutation(len(self._lines))
        held_out = order[: self.config.held_out_sentences]
        pool = order[self.config.held_out_sentences :][: self.config.pool]
        names = self.training_styles

        def plan(speaker: int, style: str, sentence: int, split: Literal["train", "held_out"], mark: str = "") -> Plan:
            name = f"{self.speakers[speaker].name}-{style}-{mark}{sentence:02d}"
            return Plan(name=name, speaker=speaker, sentence=sentence, style=style, moves_like=style, split=split)

        seconds, number = 0.0, 0
        while seconds < self.config.avatar_seconds:
            sentence = int(pool[number % len(pool)])
            style = names[0] if number % 2 == 0 else names[(1 + number // 2) % len(names)]
            yield plan(0, style, sentence, "train", f"avatar{number:02d}-")
            seconds += self._lines[sentence].seconds
            number += 1
        for speaker in range(len(self.speakers)):
            for index, style in enumerate(names):
                chosen = self._generator(_ASSIGNMENT, speaker, index).permutation(pool)[: self.config.sentences]
                for sentence in chosen:
                    yield plan(speaker, style, int(sentence), "train")
        for index, style in enumerate(names):
            if len(held_out):
                speaker = index % len(self.speakers)
                yield plan(speaker, style, int(held_out[index // len(self.speakers) % len(held_out)]), "held_out")
        for speaker in range(len(self.speakers)):
            for style in self.held_out_styles:
                for sentence in held_out:
                    yield plan(speaker, style, int(sentence), "held_out")

    def _clip(self, plan: Plan) -> Clip:
        return LazyClip(
            make={"phones": lambda: self.speech(plan).phones, "track": lambda: self.track(plan)},
            name=plan.name,
            speaker=self.speakers[plan.speaker].name,
            footage=_SyntheticFootage(corpus=self, plan=plan),
            digest=self._digest(plan),
            split=plan.split,
            style=plan.style if plan.factors is None else None,
            transcript=self._lines[plan.sentence].text or None,
            factors=attrs.asdict(self._style(plan)),
            size=(self.config.image, self.config.image),
        )

    def _digest(self, plan: Plan) -> str:
        facts = (
            VERSION,
            self._tts,
            self.config.seed,
            self.config.image,
            self.config.head_motion,
            self.config.supersampling,
            self.fps,
            plan.speaker,
            VOICES[plan.speaker],
            self._lines[plan.sentence].facts,
            self._style(plan),
            self.styles[plan.moves_like].head,
        )
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    # ------------------------------------------------------------------------------------------ content

    def speech(self, plan: Plan) -> Speech:
        """The sentence in the speaker's voice, generated once for all styles, or the recording."""
        line = self._lines[plan.sentence]
        if line.recording is not None:
            return line.recording.speech()
        key = (plan.speaker, plan.sentence)
        if key not in self._speeches:
            voice = self.speakers[plan.speaker].voice
            self._speeches[key] = say(line.text, voice, self.config.seed)
        return self._speeches[key]

    def track(self, plan: Plan) -> FaceTrack:
        """The ground-truth track."""
        pose, curves = self._motion(plan)
        neutral = self.speakers[plan.speaker].shape
        canonical = pose_face(neutral, curves)
        vertices = canonical @ pose[:, :, :3].transpose(0, 2, 1) + pose[:, None, :, 3]
        return FaceTrack(
            vertices=vertices.astype(np.float32),
            pose=pose.astype(np.float32),
            valid=np.ones(len(pose), np.bool_),
        )

    def draw(self, plan: Plan) -> Iterator[NDArray[np.uint8]]:
        """Frames (Y, X, 3) of ``plan``."""
        speaker = self.speakers[plan.speaker]
        if plan.speaker not in self._portraits:
            still = np.zeros((1, 3))
            rest = _pose(still, still, speaker.scale, self.config.image)[0]
            self._portraits[plan.speaker] = Portrait(
                speaker.shape,
                speaker.look,
                rest,
                self.config.image,
                self.config.supersampling,
                self._generator(_SURFACE, plan.speaker),
            )
        portrait = self._portraits[plan.speaker]
        pose, curves = self._motion(plan)
        faces = pose_face(speaker.shape, curves)
        for frame, face in enumerate(faces):
            yield portrait.draw(face, pose[frame], {name: float(course[frame]) for name, course in curves.items()})

    def _motion(self, plan: Plan) -> tuple[NDArray[np.float64], Curves]:
        """Pose (T, 3, 4) and the control curves."""
        speech = self.speech(plan)
        phones: tuple[Phone, ...] = speech.phones
        times = np.arange(max(1, int(len(speech.wave) * self.fps / SAMPLE_RATE))) / self.fps
        generator = self._generator(_MOTION, plan.speaker, plan.sentence)
        mover, style = self.styles[plan.moves_like], self._style(plan)
        rotation, shift = head_motion(phones, mover, times, generator)
        curves = articulate(phones, style, times, generator)
        amount = self.config.head_motion
        return _pose(amount * rotation, amount * shift, self.speakers[plan.speaker].scale, self.config.image), curves


def _pose(rotation: NDArray[np.float64], shift: NDArray[np.float64], scale: float, image: int) -> NDArray[np.float64]:
    """Pose (T, 3, 4) of a head rotated about its neck by ``rotation`` (T, 3: pitch, yaw, roll) and shifted (T, 3)."""
    (cp, cy, cr), (sp, sy, sr) = np.cos(rotation.T), np.sin(rotation.T)
    zero, one = np.zeros_like(cp), np.ones_like(cp)

    def matrix(*entries: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack(entries, axis=-1).reshape(-1, 3, 3)

    pitch = matrix(one, zero, zero, zero, cp, -sp, zero, sp, cp)
    yaw = matrix(cy, zero, sy, zero, one, zero, -sy, zero, cy)
    roll = matrix(cr, -sr, zero, sr, cr, zero, zero, zero, one)
    turn = yaw @ pitch @ roll
    moved = _NECK + shift - turn @ _NECK
    flip = scale * image * np.array([1.0, -1.0, -1.0])
    # The origin of the canonical face is between the eyes, a little above the middle of the picture.
    centre = np.array([0.5 * image, 0.46 * image, 0.0])
    return np.concatenate([turn * flip[:, None], (moved * flip + centre)[..., None]], axis=2)
