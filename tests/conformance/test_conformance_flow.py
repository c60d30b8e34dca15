"""The rules of flows: sound ones keep all of them, and every bug that others shipped falls to its own rule alone."""

from typing import ClassVar

import attrs
import pytest
import torch
from torch import nn
from torch.nn import functional

from vast_core import Component
from vast_core.interfaces import Flow, FlowOutput
from vast_core.testing.kit import Subject, check, rules


def no_options():
    """Made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class NoOptions:
        """None."""

    return NoOptions


COMPONENT = Component(kind="flow", name="probe", target="probe:Probe", config=no_options(), summary="a flow")
WIDTH = 6


def wide(tensor):
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class Planar(Flow):
    """One planar map, sound; a subclass adds a fault."""

    def __init__(self, style, context):
        super().__init__()
        self.style = style
        self.read = nn.Linear(context, 2 * style + 1)
        nn.init.normal_(self.read.weight, std=0.01)
        nn.init.constant_(self.read.bias, 0.05)

    @classmethod
    def from_config(cls, config, sizes):
        return cls(sizes.style, sizes.context)

    def read_out(self, context):
        values = self.read(context.to(self.read.weight.dtype))
        return values.split((self.style, self.style, 1), -1)

    def u_hat(self, u, w):
        along = (w * u).sum(-1, keepdim=True)
        return u + (functional.softplus(along) - 1 - along) * w / w.square().sum(-1, keepdim=True).clamp_min(1e-9)

    def log_det(self, slope, bent):
        return torch.log1p(slope * (1 - bent.square()))

    def forward(self, z, context):
        with torch.autocast("cpu", enabled=False):
            u, w, b = self.read_out(context)
            z = z.to(u.dtype)
            u = self.u_hat(u, w)
            bent = torch.tanh((w * z).sum(-1) + b[:, 0])
            return FlowOutput(z + u * bent[:, None], self.log_det((w * u).sum(-1), bent))


class Reflection(Flow):
    """One Householder map, sound."""

    volume_preserving: ClassVar[bool] = True
    orthogonal: ClassVar[bool] = True

    def __init__(self, style, context):
        super().__init__()
        self.read = nn.Linear(context, style)

    @classmethod
    def from_config(cls, config, sizes):
        return cls(sizes.style, sizes.context)

    def reflect(self, z, v):
        v = v / v.abs().amax(-1, keepdim=True).clamp_min(1e-12)
        return z - 2 * v * (v * z).sum(-1, keepdim=True) / v.square().sum(-1, keepdim=True).clamp_min(0.5)

    def forward(self, z, context):
        z = self.reflect(wide(z), wide(self.read(context)))
        return FlowOutput(z, z.new_zeros(len(z)))

    def inverse(self, z, context):
        return self(z, context).z


class Shift(Flow):
    """z + tanh(W h + b), sound."""

    def __init__(self, style, context):
        super().__init__()
        self.read = nn.Linear(context, style)

    @classmethod
    def from_config(cls, config, sizes):
        return cls(sizes.style, sizes.context)

    def move(self, context):
        return wide(self.read(context)).tanh()

    def forward(self, z, context):
        z = wide(z) + self.move(context)
        return FlowOutput(z, z.new_zeros(len(z)))


# ------------------------------------------------------------------------------------------------ broken ones


class SummedOverBatch(Planar):
    def log_det(self, slope, bent):
        return super().log_det(slope, bent).sum()


class GivesATuple(Planar):
    def forward(self, z, context):
        output = super().forward(z, context)
        return output.z, output.log_det


class OfOneWidth(Shift):
    def forward(self, z, context):
        return super().forward(z + z.new_zeros(WIDTH), context)


class InHalves(Shift):
    """Cannot split an odd width."""

    def forward(self, z, context):
        one, other = z.view(len(z), 2, -1).unbind(1)
        return super().forward(torch.cat([one, other], -1), context)


class NarrowLogDet(Planar):
    def forward(self, z, context):
        output = super().forward(z, context)
        return FlowOutput(output.z, output.log_det.float())


class RoundedByAutocast(Planar):
    def forward(self, z, context):
        output = super().forward(z, context)
        return FlowOutput(output.z, output.log_det.to(z.dtype))


class LooksAtTheData(Shift):
    def forward(self, z, context):
        if not context.isfinite().all():
            raise ValueError("the context is not finite")
        return super().forward(z, context)


class KeepsATensorToItself(Shift):
    def __init__(self, style, context):
        super().__init__(style, context)
        self.direction = torch.ones(style)

    def forward(self, z, context):
        return super().forward(z + self.direction, context)


class Noisy(Shift):
    def forward(self, z, context):
        return super().forward(z + torch.randn(z.shape[-1], device=z.device), context)


class ClampsInPlace(Shift):
    def forward(self, z, context):
        context.data.clamp_(-3, 3)
        return super().forward(z, context)


class NormalisesOverTheBatch(Shift):
    def forward(self, z, context):
        return super().forward(z, context - context.mean(0))


class WrongSign(Planar):
    def log_det(self, slope, bent):
        return -super().log_det(slope, bent)


class RightWherePositive(Planar):
    def log_det(self, slope, bent):
        return torch.log1p(slope * (1 - bent.square()) * (bent > 0))


class InBits(Planar):
    def log_det(self, slope, bent):
        return super().log_det(slope, bent) / 0.6931471805599453


class HalfReflection(Reflection):
    """The floor under |v|^2 is no guard but another map."""

    volume_preserving: ClassVar[bool] = False
    orthogonal: ClassVar[bool] = False
    inverse = None

    def __init__(self, style, context):
        super().__init__(style, context)
        nn.init.normal_(self.read.weight, std=0.01)
        nn.init.zeros_(self.read.bias)

    def reflect(self, z, v):
        return z - 2 * v * (v * z).sum(-1, keepdim=True) / (v.square().sum(-1, keepdim=True) + 0.7)


class LengthForSquare(Planar):
    def u_hat(self, u, w):
        along = (w * u).sum(-1, keepdim=True)
        return u + (functional.softplus(along) - 1 - along) * w / w.norm(dim=-1, keepdim=True).clamp_min(1e-9)

    def log_det(self, slope, bent):
        return torch.log((1 + slope * (1 - bent.square())).abs().clamp_min(1e-30))


class Unconstrained(Planar):
    def u_hat(self, u, w):
        return u - 0.5 * w

    def log_det(self, slope, bent):
        return torch.log((1 + slope * (1 - bent.square())).abs().clamp_min(1e-30))


class LaysOneHalfOnTheOther(Shift):
    """J is the identity everywhere, and yet two codes go to one place."""

    def forward(self, z, context):
        return super().forward(torch.cat([z[:, :1] - 2 * (z[:, :1] > 0), z[:, 1:]], -1), context)


class FalselyVolumePreserving(Planar):
    volume_preserving: ClassVar[bool] = True


class AlmostZero(Shift):
    volume_preserving: ClassVar[bool] = True

    def forward(self, z, context):
        output = super().forward(z, context)
        return FlowOutput(output.z, output.log_det + 1e-7)


class TranslatesToo(Reflection):
    inverse = None

    def reflect(self, z, v):
        return super().reflect(z, v) + 0.5


class OrthogonalYetNotVolumePreserving(Reflection):
    volume_preserving: ClassVar[bool] = False


class Shears(Reflection):
    inverse = None

    def reflect(self, z, v):
        z = super().reflect(z, v)
        return torch.cat([z[:, :1] + 0.2 * z[:, 1:2], z[:, 1:]], -1)


class WrongInverse(Planar):
    def inverse(self, z, context):
        return 2 * z - self(z, context).z


class StartsFarOff(Shift):
    def __init__(self, style, context):
        super().__init__(style, context)
        self.scale = nn.Parameter(torch.tensor(1.5))

    def forward(self, z, context):
        output = super().forward(z * self.scale.exp(), context)
        return FlowOutput(output.z, output.log_det + z.shape[-1] * self.scale)


class DeadParameter(Shift):
    def __init__(self, style, context):
        super().__init__(style, context)
        self.unused = nn.Parameter(torch.zeros(3))


class DetachesTheContext(Shift):
    def __init__(self, style, context):
        super().__init__(style, context)
        self.before = nn.Linear(context, context)

    def move(self, context):
        return super().move(self.before(context).detach())


class IgnoresContext(Planar):
    def read_out(self, context):
        return super().read_out(0 * context)


class Overflowing(Planar):
    def u_hat(self, u, w):
        along = (w * u).sum(-1, keepdim=True)
        m = -1 + torch.log(1 + torch.exp(along))
        return u + (m - along) * w / w.square().sum(-1, keepdim=True).clamp_min(1e-9)


class Unguarded(Reflection):
    def __init__(self, style, context):
        super().__init__(style, context)
        self.read = nn.Linear(context, style, bias=False)

    def reflect(self, z, v):
        return z - 2 * v * (v * z).sum(-1, keepdim=True) / v.square().sum(-1, keepdim=True)


class InfiniteGradientAtZero(Shift):
    """The length of a vector, whose gradient at zero is not finite."""

    def __init__(self, style, context):
        super().__init__(style, context)
        self.read = nn.Linear(context, style, bias=False)

    def move(self, context):
        v = wide(self.read(context))
        return v / (1 + v.square().sum(-1, keepdim=True).sqrt())


class Forgetful(Shift):
    """Keeps a number that matters out of its state."""

    def __init__(self, style, context):
        super().__init__(style, context)
        self.reach = torch.initial_seed() % 7 + 1

    def move(self, context):
        return self.reach * super().move(context)


BROKEN = {
    SummedOverBatch: "shapes",
    GivesATuple: "shapes",
    OfOneWidth: "shapes",
    InHalves: "shapes",
    NarrowLogDet: "dtype",
    RoundedByAutocast: "autocast",
    LooksAtTheData: "shape without data",
    KeepsATensorToItself: "moves to another device",
    Noisy: "repeatable",
    ClampsInPlace: "inputs untouched",
    NormalisesOverTheBatch: "batch independence",
    WrongSign: "log det",
    RightWherePositive: "log det",
    InBits: "log det",
    HalfReflection: "log det",
    LengthForSquare: "bijective",
    Unconstrained: "bijective",
    LaysOneHalfOnTheOther: "bijective",
    FalselyVolumePreserving: "volume",
    AlmostZero: "volume",
    TranslatesToo: "orthogonal",
    OrthogonalYetNotVolumePreserving: "orthogonal",
    Shears: "orthogonal",
    WrongInverse: "inverse",
    StartsFarOff: "starts gently",
    DeadParameter: "gradients",
    DetachesTheContext: "gradients",
    IgnoresContext: "context used",
    Overflowing: "finite",
    Unguarded: "finite",
    InfiniteGradientAtZero: "finite",
    Forgetful: "weights tell all",
}
"""Each broken flow, and the rule that catches it, alone."""


def broken(implementation):
    outcomes = check(Subject.of(COMPONENT, implementation=implementation))
    return {outcome.rule.name: outcome.detail for outcome in outcomes if outcome.state == "broken"}


@pytest.mark.parametrize("flow", [Planar, Reflection, Shift])
def test_a_sound_flow_keeps_every_rule(flow):
    assert broken(flow) == {}


@pytest.mark.parametrize("mutant", BROKEN, ids=lambda mutant: mutant.__name__)
def test_a_broken_flow_falls_to_its_rule_alone(mutant):
    found = broken(mutant)
    assert list(found) == [BROKEN[mutant]], found


def test_every_rule_of_flows_has_a_broken_flow():
    own = [rule.name for rule in rules("flow") if rule.check.__module__ != "vast_core.testing.declaration"]
    assert set(own) == set(BROKEN.values())


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    broken(Noisy)
    assert torch.equal(torch.rand(2), expected)
