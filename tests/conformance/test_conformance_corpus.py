"""The rules of corpora: a sound component keeps all of them, and each broken one falls to its own rule alone."""

from __future__ import annotations

import itertools

import attrs
import numpy as np
import pytest

from vast_core import Component
from vast_core.interfaces import Clip, Corpus, FaceTrack, Phone
from vast_core.testing.kit import Subject, check, rules

CALLS = itertools.count()
FRAMES, ROWS, COLUMNS = 10, 24, 32


def beeps_config():
    """Made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class BeepsConfig:
        clips: int = attrs.field(default=4, validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])
        """How many there are, in two styles by turns."""

    return BeepsConfig


COMPONENT = Component(
    kind="corpus",
    name="beeps",
    target="beeps:Beeps",
    config=beeps_config(),
    summary="a grey that grows lighter, with a tone",
)


class Beep:
    """Frames that grow lighter, and a tone whose pitch is the clip's number."""

    def __init__(self, number, fps):
        self.number, self.fps = number, fps

    def frames(self):
        for frame in range(FRAMES):
            yield np.full((ROWS, COLUMNS, 3), 10 * frame + self.number, np.uint8)

    def wave(self):
        samples = np.arange(round(FRAMES / self.fps * 16_000))
        return (0.5 * np.sin(samples * (1 + self.number) / 20)).astype(np.float32)


class Beeps(Corpus):
    """Clips of one speaker, in two styles by turns."""

    def __init__(self, count, fps):
        self.count, self.fps = count, fps

    @classmethod
    def from_config(cls, config, sizes):
        return cls(config.clips, sizes.fps)

    def clips(self):
        return [self.clip(number) for number in range(self.count)]

    def clip(self, number, style=None):
        return Clip(
            name=f"beep-{number}",
            speaker="machine",
            footage=Beep(number, self.fps),
            digest=f"beep {number} {self.fps}",
            split="train",
            style=style or ("plain", "shrill")[number % 2],
            transcript=f"beep {number}",
            phones=(Phone(label="B", start=0, end=0.1), Phone(label="IY", start=0.1, end=0.3)),
            track=FaceTrack(
                vertices=np.zeros((FRAMES, 3, 3), np.float32),
                pose=np.zeros((FRAMES, 3, 4), np.float32),
                valid=np.ones(FRAMES, bool),
            ),
            size=(ROWS, COLUMNS),
        )

    def counterfactual(self, clip, style):
        return attrs.evolve(clip, name=f"{clip.name}-as-{style}", style=style)


class Empty(Beeps):
    def clips(self):
        return []


class TurnsAround(Beeps):
    def clips(self):
        clips = super().clips()
        return clips[::-1] if next(CALLS) % 2 else clips


class NamesAllAlike(Beeps):
    def clip(self, number, style=None):
        return attrs.evolve(super().clip(number, style), name="beep", digest="beep", footage=Beep(0, self.fps))


class ListensFirst(Beeps):
    def clip(self, number, style=None):
        clip = super().clip(number, style)
        return attrs.evolve(clip, digest=f"{number} {clip.footage.wave().sum():.6f}")


class CountsDigests(Beeps):
    def clip(self, number, style=None):
        return attrs.evolve(super().clip(number, style), digest=f"{number} {next(CALLS)}")


class DigestsTheConfig(Beeps):
    def clip(self, number, style=None):
        return attrs.evolve(super().clip(number, style), digest=f"{self.count} {self.fps}")


class Splits(Beeps):
    def clip(self, number, style=None):
        return attrs.evolve(super().clip(number, style), split="test")


class Filmed(Beeps):
    footage = Beep

    def clip(self, number, style=None):
        return attrs.evolve(super().clip(number, style), footage=self.footage(number, self.fps))


class FromBgr(Filmed):
    class footage(Beep):
        def frames(self):
            return (frame[..., ::-1] for frame in super(type(self), self).frames())


class SaysColumnsFirst(Beeps):
    def clip(self, number, style=None):
        return attrs.evolve(super().clip(number, style), size=(COLUMNS, ROWS))


class Integers(Filmed):
    class footage(Beep):
        def wave(self):
            return super().wave().astype(np.float64) * 32767


class At48kHz(Filmed):
    class footage(Beep):
        def wave(self):
            return super().wave().repeat(3)


class PlaysOnce(Filmed):
    class footage(Beep):
        def __init__(self, number, fps):
            super().__init__(number, fps)
            self.left = super().frames()

        def frames(self):
            return self.left


class TurnsBack(Beeps):
    def clip(self, number, style=None):
        clip = super().clip(number, style)
        return attrs.evolve(clip, phones=clip.phones[::-1])


class Stresses(Beeps):
    def clip(self, number, style=None):
        clip = super().clip(number, style)
        return attrs.evolve(clip, phones=tuple(attrs.evolve(p, label=f"{p.label}1") for p in clip.phones))


class MissesAFrame(Beeps):
    def clip(self, number, style=None):
        clip = super().clip(number, style)
        track = FaceTrack(vertices=clip.track.vertices[1:], pose=clip.track.pose[1:], valid=clip.track.valid[1:])
        return attrs.evolve(clip, track=track)


class SaysSomethingElse(Beeps):
    def counterfactual(self, clip, style):
        return self.clip(self.count, style)


MUTANTS = {
    "some clips": Empty,
    "fixed order": TurnsAround,
    "unique names": NamesAllAlike,
    "reads no footage": ListensFirst,
    "stable digests": CountsDigests,
    "telling digests": DigestsTheConfig,
    "splits": Splits,
    "pictures": FromBgr,
    "declared size": SaysColumnsFirst,
    "sound": Integers,
    "as long as the pictures": At48kHz,
    "read as often as asked": PlaysOnce,
    "phones in time": TurnsBack,
    "phone labels": Stresses,
    "true track": MissesAFrame,
    "counterfactuals": SaysSomethingElse,
}


def outcomes(implementation):
    return check(Subject.of(COMPONENT, implementation=implementation))


def test_a_sound_component_keeps_every_rule():
    found = outcomes(Beeps)
    assert {o.rule.name: o.detail for o in found if o.state == "broken"} == {}
    assert {o.rule.name for o in found if o.state == "kept"} >= set(MUTANTS)


def test_each_rule_has_its_mutant():
    assert {rule.name for rule in rules("corpus") if rule.check.__module__.endswith(".corpus")} == set(MUTANTS)


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_mutant_falls_to_its_own_rule_alone(rule):
    assert {o.rule.name: o.detail for o in outcomes(MUTANTS[rule]) if o.state == "broken"}.keys() == {rule}
