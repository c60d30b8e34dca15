"""The rules of style encoders: a sound one keeps all of them, and each broken one falls to its own rule alone."""

import attrs
import pytest
import torch
from torch import nn

from vast_core import Component
from vast_core.errors import InputError
from vast_core.interfaces import Posterior, StyleEncoder
from vast_core.testing.kit import Subject, check, rules


def widths():
    """Made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class Widths:
        size: int = attrs.field(default=6, validator=attrs.validators.ge(1))
        """Z."""
        context: int = attrs.field(default=5, validator=attrs.validators.ge(1))
        """H."""

        def sizes(self):
            return {"style": self.size, "context": self.context}

    return Widths


COMPONENT = Component(kind="style", name="mean", target="mean:Mean", config=widths(), summary="means over a prompt")


class Mean(StyleEncoder):
    """Means over the frames that are kept of what a layer makes of each, sound; a subclass adds a fault."""

    def __init__(self, sizes):
        super().__init__()
        self.style = sizes.style
        self.face = nn.Linear(sizes.expression, 16)
        self.sound = nn.Linear(sizes.audio, 16)
        self.no_sound = nn.Parameter(torch.zeros(16))
        self.write = nn.Linear(16, 2 * sizes.style + sizes.context)

    @classmethod
    def from_config(cls, config, sizes):
        return cls(sizes)

    def frames(self, expression, audio, heard):
        sound = torch.where(heard[:, None, None], self.sound(audio), self.no_sound)
        return torch.tanh(self.face(expression) + sound)

    def pooled(self, frames, mask):
        return (frames * mask[..., None]).sum(1) / mask.sum(1, keepdim=True).clamp_min(1)

    def written(self, pooled):
        values = self.write(pooled)
        mean, log_std = values[:, : self.style], values[:, self.style : 2 * self.style]
        return Posterior(mean.float(), log_std.float().tanh(), values[:, 2 * self.style :].float())

    def forward(self, expression, audio, mask, heard):
        return self.written(self.pooled(self.frames(expression, audio, heard), mask))


class WritesTheContextForTheMean(Mean):
    def written(self, pooled):
        posterior = super().written(pooled)
        return Posterior(posterior.context, posterior.log_std, posterior.context)


class NeedsAWindow(Mean):
    def forward(self, expression, audio, mask, heard):
        if mask.shape[1] == 2:
            raise ValueError("a prompt has at least 3 frames")
        return super().forward(expression, audio, mask, heard)


class Doubles(Mean):
    def written(self, pooled):
        posterior = super().written(pooled)
        return Posterior(posterior.mean.double(), posterior.log_std, posterior.context)


class AddsToFloat32(Mean):
    """index_add() takes no bfloat16 into float32."""

    def written(self, pooled):
        rows, values = torch.arange(len(pooled), device=pooled.device), self.write(pooled)
        zeros = torch.zeros(values.shape, device=pooled.device)
        values = zeros.index_add(0, rows, values)
        return Posterior(*values.split((self.style, self.style, values.shape[1] - 2 * self.style), -1))


class CountsItsFrames(Mean):
    def forward(self, expression, audio, mask, heard):
        if int(mask.sum()) > 10**6:
            raise ValueError("the prompt is too long")
        return super().forward(expression, audio, mask, heard)


class KeepsATensorToItself(Mean):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.neutral = torch.zeros(sizes.expression)

    def frames(self, expression, audio, heard):
        return super().frames(expression - self.neutral, audio, heard)


class DropsInEval(Mean):
    def written(self, pooled):
        kept = torch.rand(pooled.shape[-1], device=pooled.device) < 0.5
        return super().written(pooled * kept)


class ZeroesInPlace(Mean):
    def forward(self, expression, audio, mask, heard):
        expression *= mask[..., None]
        return super().forward(expression, audio, mask, heard)


class NormalisesOverTheBatch(Mean):
    def pooled(self, frames, mask):
        pooled = super().pooled(frames, mask)
        return pooled - pooled.mean(0)


class HearsMaskedFrames(Mean):
    """Its padding is silent, so that nobody noticed."""

    def forward(self, expression, audio, mask, heard):
        loud = torch.where(heard[:, None], (audio.square().sum(-1) * ~mask).sum(1, keepdim=True), 0.0)
        posterior = super().forward(expression, audio, mask, heard)
        return Posterior(posterior.mean + loud, posterior.log_std, posterior.context)


class DividesByTheLength(Mean):
    def pooled(self, frames, mask):
        return (frames * mask[..., None]).mean(1)


class HearsWithoutSound(Mean):
    def frames(self, expression, audio, heard):
        return super().frames(expression, audio, heard) + audio.mean(-1, keepdim=True)


class DeafBlind(Mean):
    def frames(self, expression, audio, heard):
        return super().frames(0 * expression, audio, heard)


class BlindWithSound(Mean):
    def frames(self, expression, audio, heard):
        return super().frames(torch.where(heard[:, None, None], 0 * expression, expression), audio, heard)


class NothingOverNothing(Mean):
    def pooled(self, frames, mask):
        return (frames * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


class Unbiased(Mean):
    """The deviation of a single frame, with Bessel's correction, is not a number."""

    def forward(self, expression, audio, mask, heard):
        count = mask.sum(1, keepdim=True)
        mean = (expression * mask[..., None]).sum(1) / count.clamp_min(1)
        square = ((expression - mean[:, None]).square().mean(-1) * mask).sum(1, keepdim=True)
        deviation = torch.where(count == 0, 0.0, (square / (count - 1) + 1e-5).sqrt())
        posterior = super().forward(expression, audio, mask, heard)
        return Posterior(posterior.mean + deviation, posterior.log_std, posterior.context)


class InfiniteGradientOfAStillFace(Mean):
    def forward(self, expression, audio, mask, heard):
        face = self.face(expression) - self.face.bias
        pooled = self.pooled(face, mask).square().sum(-1, keepdim=True).sqrt()
        posterior = super().forward(expression, audio, mask, heard)
        return Posterior(posterior.mean + pooled, posterior.log_std, posterior.context)


class DeadParameter(Mean):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.unused = nn.Linear(3, 3)


class Forgetful(Mean):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.register_buffer("reach", torch.rand(16), persistent=False)

    def pooled(self, frames, mask):
        return super().pooled(frames * self.reach, mask)


class Refuses(Mean):
    """What is not a number where nothing can be read may as well be refused."""

    def forward(self, expression, audio, mask, heard):
        if not mask.is_meta and not mask.any(1).all():
            raise InputError("no frame to read")
        return super().forward(expression, audio, mask, heard)


class Tells(Mean):
    """Reads labels too, by a row of a table each; sound."""

    reads = "both"
    vocabulary = ("happy", "sad")

    def __init__(self, sizes):
        super().__init__(sizes)
        self.table = nn.Embedding(2, 16)

    def read_labels(self, labels):
        if unknown := set(labels) - set(self.vocabulary):
            raise InputError(f"unknown: {unknown}")
        rows = torch.tensor([self.vocabulary.index(label) for label in labels], device=self.table.weight.device)
        return self.written(self.told(rows))

    def told(self, rows):
        return self.table(rows)


class TellsOnly(Tells):
    """Has no need of clips; sound."""

    reads = "labels"
    forward = StyleEncoder.forward

    def __init__(self, sizes):
        super().__init__(sizes)
        del self.face, self.sound, self.no_sound


class ComparesLabels(Tells):
    def told(self, rows):
        told = super().told(rows)
        return told - told.mean(0)


class GuessesUnknownLabels(Tells):
    def read_labels(self, labels):
        return super().read_labels([label if label in self.vocabulary else "happy" for label in labels])


class IgnoresLabels(Tells):
    def told(self, rows):
        return super().told(rows * 0)


OF_LABELS = {ComparesLabels: "labels", GuessesUnknownLabels: "labels", IgnoresLabels: "labels used"}
"""Each broken reader of labels, and the rule that catches it, alone."""


class StartsFromNothing(Mean):
    """Divides by the frames of each clip that are masked."""

    def start_from(self, clips):
        with torch.no_grad():
            rows = torch.stack([face[~mask].mean(0) for _, face, mask in clips])
            self.face.weight.mul_(rows.std())


class StartsWithAnotherLayer(Mean):
    def start_from(self, clips):
        self.added = nn.Linear(1, 1)


class CentresTheClips(Mean):
    def start_from(self, clips):
        for _, face, _ in clips:
            face -= face.mean(0)


BROKEN = {
    WritesTheContextForTheMean: "shapes",
    NeedsAWindow: "shapes",
    Doubles: "float32",
    AddsToFloat32: "autocast",
    CountsItsFrames: "shape without data",
    KeepsATensorToItself: "moves to another device",
    DropsInEval: "repeatable",
    ZeroesInPlace: "inputs untouched",
    NormalisesOverTheBatch: "batch independence",
    HearsMaskedFrames: "masked frames",
    DividesByTheLength: "padding",
    HearsWithoutSound: "unheard sound",
    DeafBlind: "expression used",
    BlindWithSound: "expression used",
    NothingOverNothing: "empty prompt",
    Unbiased: "finite",
    InfiniteGradientOfAStillFace: "finite",
    StartsFromNothing: "start from",
    StartsWithAnotherLayer: "start from",
    CentresTheClips: "start from",
    DeadParameter: "gradients",
    Forgetful: "weights tell all",
}
"""Each broken encoder, and the rule that catches it, alone."""


def broken(implementation):
    outcomes = check(Subject.of(COMPONENT, implementation=implementation))
    return {outcome.rule.name: outcome.detail for outcome in outcomes if outcome.state == "broken"}


@pytest.mark.parametrize("encoder", [Mean, Refuses, Tells, TellsOnly])
def test_a_sound_encoder_keeps_every_rule(encoder):
    assert broken(encoder) == {}


@pytest.mark.parametrize("mutant", [*BROKEN, *OF_LABELS], ids=lambda mutant: mutant.__name__)
def test_a_broken_encoder_falls_to_its_rule_alone(mutant):
    found = broken(mutant)
    assert list(found) == [(BROKEN | OF_LABELS)[mutant]], found


def test_every_rule_of_encoders_has_a_broken_one():
    own = [rule.name for rule in rules("style") if rule.check.__module__ != "vast_core.testing.declaration"]
    assert set(own) == {*BROKEN.values(), *OF_LABELS.values()}
