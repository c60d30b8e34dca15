"""Every registered flow conforms, and every bug that others shipped is caught under its own rule."""

import math
from typing import ClassVar

import pytest
import torch
from torch import nn
from torch.nn import functional

from vast_core.interfaces import Flow, FlowOutput, Sizes
from vast_core.registry import Registry
from vast_core.testing.flow import RULES, Nonconforming, check_flow

FLOWS = Registry.discover().components("flow")
SIZES = Sizes(fps=25, image=64, audio=4, expression=4, lower_face=2, vertices=3, style=6, context=5)


def test_all_first_party_flows_are_registered():
    assert {"none", "householder", "planar"} <= {component.name for component in FLOWS}


@pytest.mark.parametrize("component", FLOWS, ids=lambda component: component.name)
def test_registered_flow_conforms(component):
    check_flow(lambda: component.load().from_config(component.config(), SIZES))


@pytest.mark.parametrize("name", ["householder", "planar"])
@pytest.mark.parametrize("steps", [1, 2, 3, 16])
def test_chain_of_any_length_conforms(name, steps):
    component = next(component for component in FLOWS if component.name == name)
    check_flow(lambda: component.load().from_config(component.config(steps=steps), SIZES))


class Mutant(Flow):
    """A planar map written out once more, with a fault that a subclass adds."""

    def __init__(self):
        super().__init__()
        self.read = nn.Linear(5, 13)

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def read_out(self, context):
        values = self.read(context.to(self.read.weight.dtype))
        return values.split((6, 6, 1), -1)

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


class WrongSign(Mutant):
    def log_det(self, slope, bent):
        return -super().log_det(slope, bent)


class LengthForSquare(Mutant):
    def u_hat(self, u, w):
        along = (w * u).sum(-1, keepdim=True)
        return u + (functional.softplus(along) - 1 - along) * w / w.norm(dim=-1, keepdim=True).clamp_min(1e-9)


class Unconstrained(Mutant):
    def u_hat(self, u, w):
        return u - 2 * w

    def log_det(self, slope, bent):
        return torch.log((1 + slope * (1 - bent.square())).abs())


class SummedOverBatch(Mutant):
    def log_det(self, slope, bent):
        return super().log_det(slope, bent).sum()


class SameForEachRow(Mutant):
    def log_det(self, slope, bent):
        return super().log_det(slope, bent).mean().expand(len(bent))


class RightWherePositive(Mutant):
    def log_det(self, slope, bent):
        return torch.log1p(slope * (1 - bent.square()) * (bent > 0))


class NarrowZeros(Mutant):
    def log_det(self, slope, bent):
        return super().log_det(slope, bent) + torch.zeros(len(bent), dtype=torch.float32)

    def forward(self, z, context):
        output = super().forward(z, context)
        return FlowOutput(output.z, output.log_det.float())


class Overflowing(Mutant):
    def u_hat(self, u, w):
        along = (w * u).sum(-1, keepdim=True)
        m = -1 + torch.log(1 + torch.exp(along))
        return u + (m - along) * w / w.square().sum(-1, keepdim=True).clamp_min(1e-9)


class MixesRows(Mutant):
    def forward(self, z, context):
        output = super().forward(z, context)
        return FlowOutput(output.z + output.z.mean(0).detach() * 0 + z.mean(0), output.log_det)


class FalselyVolumePreserving(Mutant):
    volume_preserving: ClassVar[bool] = True


class WrongInverse(Mutant):
    def inverse(self, z, context):
        return 2 * z - self(z, context).z


class IgnoresContext(Mutant):
    def read_out(self, context):
        return super().read_out(torch.zeros_like(context) + 0 * context)


class Forgetful(Mutant):
    def __init__(self):
        super().__init__()
        self.scale = [float(torch.rand(()))]

    def read_out(self, context):
        return super().read_out(context * self.scale[0])


class Noisy(Mutant):
    def forward(self, z, context):
        return super().forward(z + torch.randn_like(z), context)


class DeadParameter(Mutant):
    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(3))


class RoundedByAutocast(Mutant):
    def forward(self, z, context):
        output = super().forward(z, context)
        return FlowOutput(output.z, output.log_det.to(z.dtype))


class Reflection(Mutant):
    """One Householder map, with a fault that a subclass adds."""

    volume_preserving: ClassVar[bool] = True
    orthogonal: ClassVar[bool] = True
    floor = 1e-30

    def forward(self, z, context):
        v = self.read_out(context)[0]
        v, z = v.float() if v.dtype == torch.bfloat16 else v, z.to(torch.promote_types(v.dtype, torch.float32))
        z = z - 2 * v * (v * z).sum(-1, keepdim=True) / (v.square().sum(-1, keepdim=True) + self.floor)
        return FlowOutput(z, z.new_zeros(len(z)))


class HalfReflection(Reflection):
    floor = 0.7


class Unguarded(Reflection):
    floor = 0.0

    def read_out(self, context):
        return (nn.functional.linear(context.to(self.read.weight.dtype), self.read.weight) + 0 * self.read.bias).split(
            (6, 6, 1), -1
        )


@pytest.mark.parametrize(
    ("mutant", "rule"),
    [
        (WrongSign, "log_det"),
        (LengthForSquare, "bijective"),
        (Unconstrained, "bijective"),
        (SummedOverBatch, "shape"),
        (SameForEachRow, "rows"),
        (RightWherePositive, "log_det"),
        (NarrowZeros, "dtype"),
        (Overflowing, "finite"),
        (MixesRows, "rows"),
        (FalselyVolumePreserving, "volume"),
        (WrongInverse, "inverse"),
        (IgnoresContext, "context"),
        (Forgetful, "state"),
        (Noisy, "deterministic"),
        (DeadParameter, "gradient"),
        (RoundedByAutocast, "autocast"),
        (HalfReflection, "log_det"),
        (Unguarded, "finite"),
    ],
)
def test_mutant_is_caught_under_its_rule(mutant, rule):
    with pytest.raises(Nonconforming) as caught:
        check_flow(mutant)
    assert rule in RULES
    assert caught.value.rule == rule, str(caught.value)


def test_translation_is_not_orthogonal():
    class Shift(Reflection):
        def forward(self, z, context):
            output = super().forward(z, context)
            return FlowOutput(output.z + 0.5, output.log_det)

    with pytest.raises(Nonconforming, match=r"\[orthogonal\] .* 0 goes to a point"):
        check_flow(Shift)


def test_not_a_flow_is_refused():
    with pytest.raises(Nonconforming, match=r"\[type\]"):
        check_flow(lambda: nn.Linear(6, 6))


def test_the_unspoilt_reflection_conforms():
    check_flow(Reflection)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    check_flow(Reflection)
    assert torch.equal(torch.rand(2), expected)
    assert math.isfinite(expected.sum())
