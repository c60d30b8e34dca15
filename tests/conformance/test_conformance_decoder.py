"""The rules of decoders: a sound one keeps all of them, and each broken one falls to its own rule alone."""

import attrs
import pytest
import torch
from torch import nn

from vast_core import Component
from vast_core.interfaces import Decoder, DecoderLoss, DecoderOutput
from vast_core.testing.kit import Subject, check, rules


def no_options():
    """Made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class NoOptions:
        """None."""

    return NoOptions


COMPONENT = Component(kind="decoder", name="taps", target="taps:Taps", config=no_options(), summary="a filter")
PAST = 3


class Taps(Decoder):
    """A filter over 3 frames before and 2 after, its gain by style, and a sum of its own past; sound."""

    lookahead = 2

    def __init__(self, sizes):
        super().__init__()
        self.filter = nn.Conv1d(sizes.audio, sizes.expression, PAST + 1 + 2)
        self.gain = nn.Linear(sizes.style, sizes.expression)

    @classmethod
    def from_config(cls, config, sizes):
        return cls(sizes)

    def start(self, audio):
        return {
            "past": audio.new_zeros(len(audio), PAST, audio.shape[-1]),
            "sum": audio.new_zeros(len(audio), self.gain.out_features),
        }

    def clean(self, audio, mask):
        return torch.where(mask[..., None], audio, 0.0)

    def faces(self, audio, style, mask, state=None, future=None):
        """Faces without and with the past, and the state after them."""
        audio = self.clean(audio, mask)
        state = self.start(audio) if state is None else state
        future = audio[:, :0] if future is None else future
        past = torch.cat([state["past"], audio], 1)
        sound = torch.cat([past, future, audio.new_zeros(len(audio), 2 - future.shape[1], audio.shape[-1])], 1)
        plain = self.filter(sound.mT).mT.float().tanh() * (1 + self.gain(style).float().tanh())[:, None]
        decay = 0.9 ** torch.arange(mask.shape[1] + 1, device=mask.device)
        total = self.recursive(plain, state["sum"], decay)
        following = {"past": past[:, past.shape[1] - PAST :], "sum": total[:, -1]}
        return plain, plain + 0.1 * total, following

    def recursive(self, plain, last, decay):
        rows = []
        for frame in plain.unbind(1):
            last = 0.9 * last + frame
            rows.append(last)
        return torch.stack(rows, 1)

    def forward(self, audio, style, mask, state=None, future=None):
        _, face, following = self.faces(audio, style, mask, state, future)
        return DecoderOutput(face, following)

    def reconstruct(self, audio, style, mask, target, progress):
        plain, face, _ = self.faces(audio, style, mask)
        return [plain, face]


class Wide(Taps):
    def forward(self, audio, style, mask, state=None, future=None):
        output = super().forward(audio, style, mask, state, future)
        return DecoderOutput(torch.cat([output.expression] * 2, -1), output.state)

    def reconstruct(self, audio, style, mask, target, progress):
        return [torch.cat([face] * 2, -1) for face in super().reconstruct(audio, style, mask, target, progress)]


class DropsAFrame(Taps):
    def forward(self, audio, style, mask, state=None, future=None):
        output = super().forward(audio, style, mask, state, future)
        return DecoderOutput(output.expression[:, 1:], output.state)


class Doubles(Taps):
    def forward(self, audio, style, mask, state=None, future=None):
        output = super().forward(audio, style, mask, state, future)
        return DecoderOutput(output.expression.double(), output.state)


class AddsToFloat32(Taps):
    """index_add() takes no bfloat16 into float32."""

    def faces(self, audio, style, mask, state=None, future=None):
        plain, face, following = super().faces(audio, style, mask, state, future)
        gain = self.gain(style)
        rows = torch.arange(len(gain), device=gain.device)
        return plain, face + torch.zeros(gain.shape, device=gain.device).index_add(0, rows, gain)[:, None], following


class LooksAtTheData(Taps):
    def clean(self, audio, mask):
        return super().clean(audio, mask) if mask.any() else audio


class KeepsATensorToItself(Taps):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.scale = torch.ones(sizes.audio)

    def clean(self, audio, mask):
        return super().clean(audio * self.scale, mask)


class Noisy(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        noise = torch.randn(style.shape[-1], device=style.device)
        return super().faces(audio, style + noise, mask, state, future)


class ZeroesInPlace(Taps):
    def clean(self, audio, mask):
        audio *= mask[..., None]
        return audio


class AddsIntoItsState(Taps):
    def recursive(self, plain, last, decay):
        rows = super().recursive(plain, last, decay)
        if not torch.is_grad_enabled():
            last += 1
        return rows


class CountsInItsState(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        plain, face, following = super().faces(audio, style, mask, state, future)
        frames = mask.shape[1] + (0 if state is None else state["frames"])
        return plain, face, {**following, "frames": frames}


class NormalisesOverTheBatch(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        return super().faces(audio, style - style.mean(0), mask, state, future)


class ReadsMaskedFrames(Taps):
    """Its padding is silent, so that nobody noticed."""

    def clean(self, audio, mask):
        return audio


class KnowsTheLength(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        plain, face, following = super().faces(audio, style, mask, state, future)
        share = mask.float().mean(1)[:, None, None]
        return plain, face * share, following


class UnderstatesItsLookahead(Taps):
    lookahead = 1


class LookaheadInSeconds(Taps):
    lookahead = 0.08


class ForgetsItsPast(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        state = None if state is None else {**state, "sum": torch.zeros_like(state["sum"])}
        return super().faces(audio, style, mask, state, future)


class IgnoresTheFuture(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        return super().faces(audio, style, mask, state, None)


class OfOneStyle(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        return super().faces(audio, 0 * style, mask, state, future)


class Deaf(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        return super().faces(0 * audio, style, mask, state, None)


class FinalFaceFirst(Taps):
    def reconstruct(self, audio, style, mask, target, progress):
        return super().reconstruct(audio, style, mask, target, progress)[::-1]


class AlwaysShownTheTruth(Taps):
    def reconstruct(self, audio, style, mask, target, progress):
        plain, face = super().reconstruct(audio, style, mask, target, progress)
        return [plain, face + 0.1 * target]


class StartsFromNothing(Taps):
    """Divides by the frames of each clip that are masked."""

    def start_from(self, clips):
        with torch.no_grad():
            mean = torch.stack([face[~mask].mean(0) for _, face, mask in clips]).mean(0)
            self.filter.bias.copy_(mean)


class StartsWithAnotherLayer(Taps):
    def start_from(self, clips):
        self.added = nn.Linear(1, 1)


class CentresTheClips(Taps):
    def start_from(self, clips):
        for _, face, _ in clips:
            face -= face.mean(0)


class AdaptsToNothing(Taps):
    def adapt_to(self, clips, styles):
        StartsFromNothing.start_from(self, clips)


class Unguarded(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        return super().faces(audio, style / style.norm(dim=-1, keepdim=True), mask, state, future)


class InfiniteGradientOfSilence(Taps):
    def faces(self, audio, style, mask, state=None, future=None):
        plain, face, following = super().faces(audio, style, mask, state, future)
        weight = self.filter.weight[..., PAST].mT
        loud = (self.clean(audio, mask) @ weight).square().sum(-1, keepdim=True).sqrt()
        return plain, face + loud, following


class DeadParameter(Taps):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.unused = nn.Linear(3, 3)


class Forgetful(Taps):
    def __init__(self, sizes):
        super().__init__(sizes)
        self.register_buffer("reach", torch.rand(sizes.style), persistent=False)

    def faces(self, audio, style, mask, state=None, future=None):
        return super().faces(audio, style * self.reach, mask, state, future)


class Draws(Taps):
    """Noise scatters the face, the head turns with it, and the loss is its own; sound."""

    noise = 3
    moves_head = True

    def __init__(self, sizes):
        super().__init__(sizes)
        self.scatter, self.turn = nn.Linear(3, sizes.expression), nn.Linear(sizes.expression, 12)

    def forward(self, audio, style, mask, state=None, future=None, noise=None):
        face, _, following = self.faces(audio, style, mask, state, future)
        face = face + self.scattered(noise[:, : mask.shape[1]])
        return DecoderOutput(face, following, self.pose(face))

    def scattered(self, noise):
        return self.scatter(noise).float()

    def pose(self, face):
        still = torch.eye(3, 4, device=face.device)
        return still + 0.1 * self.turn(face).float().tanh().unflatten(-1, (3, 4))

    def training_loss(self, audio, style, mask, target, progress, motion):
        face = self.faces(audio, style, mask)[0] + self.scattered(torch.randn(*mask.shape, 3, device=mask.device))
        error = (face - target).square().mean(-1) + (self.pose(face) - motion).square().mean((-1, -2))
        return DecoderLoss(loss=self.mean(error, mask), predictions=[face])

    def mean(self, error, mask):
        return (error * mask).sum(1) / mask.sum(1).clamp_min(1)


class IgnoresItsNoise(Draws):
    def forward(self, audio, style, mask, state=None, future=None, noise=None):
        return super().forward(audio, style, mask, state, future, 0 * noise)


class KeepsTheFirstNoise(Draws):
    """Of each chunk; whole clips never show it."""

    def scattered(self, noise):
        return super().scattered(noise[:, :1].expand_as(noise))


class GivesAngles(Draws):
    def forward(self, audio, style, mask, state=None, future=None, noise=None):
        output = super().forward(audio, style, mask, state, future, noise)
        return attrs.evolve(output, pose=output.pose[..., :2, :])


class CountsPaddingInItsLoss(Draws):
    def mean(self, error, mask):
        return error.mean(1)


class MovesTheHeadUntaught(Taps):
    moves_head = True

    def forward(self, audio, style, mask, state=None, future=None):
        output = super().forward(audio, style, mask, state, future)
        still = torch.eye(3, 4, device=mask.device).expand(*mask.shape, 3, 4)
        return DecoderOutput(output.expression, output.state, still)

    def training_loss(self, audio, style, mask, target, progress, motion):
        return None


OF_DRAWS = {
    IgnoresItsNoise: "noise used",
    KeepsTheFirstNoise: "chunks equal the whole",
    GivesAngles: "head pose",
    CountsPaddingInItsLoss: "training loss",
    MovesTheHeadUntaught: "training loss",
}
"""Each broken decoder that draws or moves the head, and the rule that catches it, alone."""

BROKEN = {
    Wide: "shapes",
    DropsAFrame: "shapes",
    Doubles: "float32",
    AddsToFloat32: "autocast",
    LooksAtTheData: "shape without data",
    KeepsATensorToItself: "moves to another device",
    Noisy: "repeatable",
    ZeroesInPlace: "inputs untouched",
    AddsIntoItsState: "inputs untouched",
    CountsInItsState: "state",
    NormalisesOverTheBatch: "batch independence",
    ReadsMaskedFrames: "masked frames",
    KnowsTheLength: "padding",
    UnderstatesItsLookahead: "lookahead",
    LookaheadInSeconds: "lookahead",
    ForgetsItsPast: "chunks equal the whole",
    IgnoresTheFuture: "chunks equal the whole",
    OfOneStyle: "style used",
    Deaf: "audio used",
    FinalFaceFirst: "reconstruct",
    AlwaysShownTheTruth: "reconstruct",
    StartsFromNothing: "start from",
    StartsWithAnotherLayer: "start from",
    CentresTheClips: "start from",
    AdaptsToNothing: "start from",
    Unguarded: "finite",
    InfiniteGradientOfSilence: "finite",
    DeadParameter: "gradients",
    Forgetful: "weights tell all",
}
"""Each broken decoder, and the rule that catches it, alone."""


def broken(implementation):
    outcomes = check(Subject.of(COMPONENT, implementation=implementation))
    return {outcome.rule.name: outcome.detail for outcome in outcomes if outcome.state == "broken"}


@pytest.mark.parametrize("decoder", [Taps, Draws])
def test_a_sound_decoder_keeps_every_rule(decoder):
    assert broken(decoder) == {}


@pytest.mark.parametrize("mutant", [*BROKEN, *OF_DRAWS], ids=lambda mutant: mutant.__name__)
def test_a_broken_decoder_falls_to_its_rule_alone(mutant):
    found = broken(mutant)
    assert list(found) == [(BROKEN | OF_DRAWS)[mutant]], found


def test_every_rule_of_decoders_has_a_broken_one():
    own = [rule.name for rule in rules("decoder") if rule.check.__module__ != "vast_core.testing.declaration"]
    assert set(own) == {*BROKEN.values(), *OF_DRAWS.values()}
