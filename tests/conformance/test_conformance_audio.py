"""The rules of audio features: a sound component keeps all of them, and each broken one falls to its own rule alone."""

from __future__ import annotations

import attrs
import pytest
import torch

from vast_core import Component
from vast_core.interfaces import SAMPLE_RATE, AudioFeatures
from vast_core.testing.kit import Subject, check, rules


def loudness_config():
    """Made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class LoudnessConfig:
        windows: int = attrs.field(default=5, validator=[attrs.validators.instance_of(int), attrs.validators.ge(1)])
        """A."""
        floor: float = attrs.field(default=1e-6, validator=attrs.validators.gt(0))
        """Mean square that counts as silence."""

        def sizes(self) -> dict[str, int]:
            return {"audio": self.windows}

    return LoudnessConfig


COMPONENT = Component(
    kind="audio",
    name="loudness",
    target="loudness:Loudness",
    config=loudness_config(),
    summary="loudness in windows of several lengths",
)


class Loudness(AudioFeatures):
    """Feature a of row t is ln(mean square + floor) over (a + 1) 10 ms around t / fps seconds."""

    def __init__(self, audio, fps, floor):
        super().__init__()
        self.fps, self.floor = fps, floor
        self.register_buffer("reach", 80 * (1 + torch.arange(audio)), persistent=False)
        self.receptive_field = (80 * audio + 0.5) / SAMPLE_RATE

    @classmethod
    def from_config(cls, config, sizes):
        return cls(sizes.audio, sizes.fps, config.floor)

    def times(self, frames):
        return torch.arange(frames, device=self.reach.device, dtype=torch.float64) / self.fps

    def forward(self, wave, frames):
        silence = wave.new_zeros(len(wave), 1)
        energy = torch.cat([silence, wave], 1).double().square().cumsum(1)
        centre = (self.times(frames) * SAMPLE_RATE).round().long()[:, None]
        after, before = ((centre + side * self.reach).clamp(0, wave.shape[1]) for side in (1, -1))
        mean = (energy[:, after] - energy[:, before]).clamp(min=0) / (2 * self.reach)
        return (mean + self.floor).log().float()


class TooWide(Loudness):
    def forward(self, wave, frames):
        rows = super().forward(wave, frames)
        return torch.cat([rows, rows[..., :1]], -1)


class Double(Loudness):
    def forward(self, wave, frames):
        return super().forward(wave, frames).double()


class DividesByHeadroom(Loudness):
    def forward(self, wave, frames):
        peak = torch.nn.functional.pad(wave, (0, 1)).abs().amax(1)
        return super().forward(wave, frames) / (1 - peak).sign()[:, None, None]


class Deaf(Loudness):
    def forward(self, wave, frames):
        return 0 * super().forward(wave, frames)


class Dithers(Loudness):
    def forward(self, wave, frames):
        rows = super().forward(wave, frames)
        return rows + 1e-6 * torch.randn_like(rows)


class HalvesInPlace(Loudness):
    def forward(self, wave, frames):
        return super().forward(wave.mul_(0.5), frames)


class NormalisesByTheBatch(Loudness):
    def forward(self, wave, frames):
        rows = super().forward(wave, frames)
        return rows - 0.5 * rows.mean(0, keepdim=True)


class HoldsTheLastSample(Loudness):
    def forward(self, wave, frames):
        last = wave[:, -1:].expand(-1, 8 * SAMPLE_RATE if wave.shape[1] else 0)
        return super().forward(torch.cat([wave, last], 1), frames)


class UnderstatesItsReceptiveField(Loudness):
    def __init__(self, audio, fps, floor):
        super().__init__(audio, fps, floor)
        self.receptive_field /= 2


class KnowsHowLongTheClipIs(Loudness):
    def forward(self, wave, frames):
        return super().forward(wave, frames) + 1 / frames


class RoundsTheHop(Loudness):
    def times(self, frames):
        return super().times(frames) * self.fps * round(SAMPLE_RATE / self.fps) / SAMPLE_RATE


class LagsBehind(Loudness):
    def __init__(self, audio, fps, floor):
        super().__init__(audio, fps, floor)
        self.receptive_field += 0.2

    def times(self, frames):
        return super().times(frames) - 0.2


class LeavesATensorBehind(Loudness):
    def __init__(self, audio, fps, floor):
        super().__init__(audio, fps, floor)
        self.offset = torch.zeros(audio)

    def forward(self, wave, frames):
        return super().forward(wave, frames) + self.offset


class ReadsATensorToBeMade(Loudness):
    def __init__(self, audio, fps, floor):
        super().__init__(audio, fps, floor)
        self.receptive_field = (int(self.reach.max()) + 0.5) / SAMPLE_RATE


class CountsBlocksInSeconds(Loudness):
    block = 0.32


class ComputesInBlocks(Loudness):
    """Each row is the mean of the rows of its block of 7 frames; sound."""

    block = 7

    def __init__(self, audio, fps, floor):
        super().__init__(audio, fps, floor)
        self.receptive_field += 7 / fps

    def forward(self, wave, frames):
        blocks = -(-frames // 7)
        rows = super().forward(wave, 7 * blocks).unflatten(1, (blocks, 7))
        return rows.mean(2).repeat_interleave(7, 1)[:, :frames]


class KeepsItsBlocksToItself(ComputesInBlocks):
    block = 1


class Weighs(Loudness):
    """Weights of its windows that are learned; sound."""

    trainable = True

    def __init__(self, audio, fps, floor):
        super().__init__(audio, fps, floor)
        self.weigh = torch.nn.Linear(audio, audio)

    def forward(self, wave, frames):
        return self.weigh(super().forward(wave, frames))


class WeighsWithoutAGradient(Weighs):
    def forward(self, wave, frames):
        with torch.no_grad():
            return super().forward(wave, frames)


MUTANTS = {
    "one row a frame": TooWide,
    "float32": Double,
    "finite": DividesByHeadroom,
    "hears": Deaf,
    "repeatable": Dithers,
    "leaves the wave alone": HalvesInPlace,
    "batch independence": NormalisesByTheBatch,
    "silence after the end": HoldsTheLastSample,
    "receptive field is declared": UnderstatesItsReceptiveField,
    "block is declared": CountsBlocksInSeconds,
    "chunks equal the whole": KnowsHowLongTheClipIs,
    "keeps time": RoundsTheHop,
    "row t belongs to t over fps": LagsBehind,
    "moves to another device": LeavesATensorBehind,
    "shape without data": ReadsATensorToBeMade,
}


def outcomes(implementation):
    return check(Subject.of(COMPONENT, implementation=implementation))


def test_a_sound_component_keeps_every_rule():
    found = outcomes(Loudness)
    assert {o.rule.name: o.detail for o in found if o.state == "broken"} == {}
    assert {o.rule.name for o in found if o.state == "kept"} >= set(MUTANTS)


def test_sound_features_that_are_trained_keep_every_rule():
    found = outcomes(Weighs)
    assert {o.rule.name: o.detail for o in found if o.state == "broken"} == {}
    assert "gradients" in {o.rule.name for o in found if o.state == "kept"}


def test_features_that_are_trained_without_a_gradient_fall_to_that_rule_alone():
    found = outcomes(WeighsWithoutAGradient)
    assert {o.rule.name for o in found if o.state == "broken"} == {"gradients"}


def test_each_rule_has_its_mutant():
    assert {rule.name for rule in rules("audio") if rule.check.__module__.endswith(".audio")} == {*MUTANTS, "gradients"}


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_mutant_falls_to_its_own_rule_alone(rule):
    broken = {o.rule.name: o.detail for o in outcomes(MUTANTS[rule]) if o.state == "broken"}
    # a chunk lacks what is read beyond the receptive field
    follows = {"chunks equal the whole"} if rule == "receptive field is declared" else set()
    assert broken.keys() - follows == {rule}


def test_rows_of_blocks_are_those_of_the_whole_where_the_block_is_declared():
    states = []
    for implementation in (ComputesInBlocks, KeepsItsBlocksToItself):
        (outcome,) = check(Subject.of(COMPONENT, implementation=implementation), only=["chunks equal the whole"])
        states.append(outcome.state)
    assert states == ["kept", "broken"]
