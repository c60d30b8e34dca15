"""The rules of every declaration: a sound one keeps all of them, and each broken one falls to its own rule alone."""

import random
import sys
from collections.abc import Mapping

import attrs
import pytest
import torch
from attrs.validators import ge
from torch import nn

from vast_core import Component
from vast_core.interfaces import Flow, FlowOutput, Posterior, StyleEncoder
from vast_core.testing.kit import Subject, check, rules


class Shift(Flow):
    """z + reach * tanh(W h + b), sound; a subclass adds a fault."""

    def __init__(self, config, style, context):
        super().__init__()
        self.read = nn.Linear(context, style)
        self.reach = getattr(config, "reach", 1.0)

    @classmethod
    def from_config(cls, config, sizes):
        return cls(config, sizes.style, sizes.context)

    def forward(self, z, context):
        z = z.to(torch.promote_types(z.dtype, torch.float32))
        return FlowOutput(z + self.reach * self.read(context).tanh(), z.new_zeros(len(z)))


class Reader(StyleEncoder):
    """Means over a prompt, sound."""

    def __init__(self, sizes):
        super().__init__()
        self.read = nn.Linear(sizes.expression, 2 * sizes.style + sizes.context)
        self.widths = (sizes.style, sizes.style, sizes.context)

    @classmethod
    def from_config(cls, config, sizes):
        return cls(sizes)

    def forward(self, expression, audio, mask, heard):
        frames = self.read(expression).float().tanh() * mask[..., None]
        return Posterior(*(frames.sum(1) / mask.sum(1, keepdim=True).clamp_min(1)).split(self.widths, -1))


def options():
    """Configs, made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class Sound:
        reach: float = attrs.field(default=1.0, validator=ge(0.0))
        """How far."""
        steps: tuple[int, ...] = (1, 2)
        """Of nothing."""

    @attrs.frozen(kw_only=True)
    class RefusesItsDefault:
        reach: float = attrs.field(default=-1.0, validator=ge(0.0))
        """How far."""

    @attrs.frozen(kw_only=True)
    class Undocumented:
        reach: float = attrs.field(default=1.0, validator=ge(0.0))
        # How far.

    @attrs.frozen(kw_only=True)
    class OfATypeUnknownToRecipes:
        phase: complex = 0j
        """Where it starts."""

    @attrs.frozen(kw_only=True)
    class MappingOfUnknownType:
        phases: Mapping[str, object] = attrs.field(factory=dict)
        """Where each starts."""

    def nothing(config, field, value):
        pass

    def careless(config, field, value):
        if value.shape:
            raise ValueError("no shape is wanted")

    @attrs.frozen(kw_only=True)
    class AcceptsAnything:
        name: str = attrs.field(default="a", validator=nothing)
        """What it is called."""

    @attrs.frozen(kw_only=True)
    class BreaksDown:
        name: str | None = attrs.field(default=None, validator=attrs.validators.optional(careless))
        """What it is called."""

    @attrs.frozen(kw_only=True)
    class AddsOne:
        reach: float = attrs.field(default=1.0, converter=lambda reach: reach + 1, validator=ge(0.0))
        """How far."""

    @attrs.frozen(kw_only=True, eq=False)
    class NeverEqual:
        reach: float = attrs.field(default=1.0, validator=ge(0.0))
        """How far."""

    @attrs.frozen(kw_only=True)
    class GivesAWidthOfAnother(Sound):
        def sizes(self):
            return {"style": 6}

    @attrs.frozen(kw_only=True)
    class Widths:
        def sizes(self):
            return {"style": 6, "context": 5}

    @attrs.frozen(kw_only=True)
    class LacksAWidth:
        def sizes(self):
            return {"style": 6}

    @attrs.frozen(kw_only=True)
    class WidthOfTrue:
        def sizes(self):
            return {"style": 6, "context": True}

    @attrs.frozen(kw_only=True)
    class Unchecked:
        parts: int = 2
        """Of nothing."""

    return {name: config for name, config in locals().items() if isinstance(config, type)}


CONFIGS = options()


def subject(config="Sound", implementation=Shift, *, kind="flow", summary="a shift", target="shift:Shift", **given):
    component = Component(kind=kind, name="shift", target=target, config=CONFIGS[config], summary=summary)
    return Subject.of(component, CONFIGS[config](**given), implementation)


def light(path, monkeypatch, line):
    """A subject whose config stands in a module that begins with ``line``."""
    name = f"options_after_{line.partition(' ')[2].replace('.', '_')}"
    body = 'import attrs\n\n@attrs.frozen(kw_only=True)\nclass Light:\n    reach: float = 1.0\n    "How far."\n'
    (path / f"{name}.py").write_text(f"{line}\n{body}")
    monkeypatch.syspath_prepend(path)
    config = __import__(name).Light
    sys.modules.pop(name)
    component = Component(kind="flow", name="shift", target="shift:Shift", config=config, summary="a shift")
    return Subject.of(component, implementation=Shift)


# ------------------------------------------------------------------------------------------------ broken ones


class Duck(nn.Module):
    """Does all that a flow does, and is none."""

    def __init__(self, style, context):
        super().__init__()
        self.read = nn.Linear(context, style)
        self.reach = 1.0

    @classmethod
    def from_config(cls, config, sizes):
        return cls(sizes.style, sizes.context)

    forward = Shift.forward


class Unfinished(Flow):
    @classmethod
    def from_config(cls, config, sizes):
        return cls()


class MakesItsParent(Shift):
    @classmethod
    def from_config(cls, config, sizes):
        return Shift(config, sizes.style, sizes.context)


class OfOneContext(Shift):
    @classmethod
    def from_config(cls, config, sizes):
        if sizes.context != 5:
            raise ValueError("the context must be 5 wide")
        return super().from_config(config, sizes)


class LooksWidthsUp(Shift):
    @classmethod
    def from_config(cls, config, sizes):
        known = sizes.known()
        return cls(config, known["style"], known["context"])


class DividesByParts(Shift):
    @classmethod
    def from_config(cls, config, sizes):
        1 / config.parts
        return super().from_config(config, sizes)


class RefusesWithoutAName(Shift):
    @classmethod
    def from_config(cls, config, sizes):
        if config.parts < 0:
            raise ValueError("negative")
        return super().from_config(config, sizes)


class DrawsElsewhere(Shift):
    def __init__(self, config, style, context):
        super().__init__(config, style, context)
        nn.init.constant_(self.read.bias, random.random())


class KeepsWhatIsNoTensor(Shift):
    def get_extra_state(self):
        return {"version": 1}

    def set_extra_state(self, state):
        pass


class RoundsWhatItReads(Shift):
    def __init__(self, config, style, context):
        super().__init__(config, style, context)
        self.register_buffer("seen", torch.rand(3))
        self.register_load_state_dict_post_hook(type(self).round)

    def round(self, keys):
        self.seen.copy_(self.seen.half())


BROKEN = {
    "two lines": (lambda: subject(summary="a shift\nof codes"), "one line summary"),
    "no line": (lambda: subject(summary=" "), "one line summary"),
    "refuses its default": (lambda: subject("RefusesItsDefault", reach=1.0), "defaults"),
    "undocumented": (lambda: subject("Undocumented"), "option docstrings"),
    "complex": (lambda: subject("OfATypeUnknownToRecipes"), "option types"),
    "mapping to object": (lambda: subject("MappingOfUnknownType"), "option types"),
    "accepts anything": (lambda: subject("AcceptsAnything"), "validators"),
    "breaks down": (lambda: subject("BreaksDown"), "validators"),
    "adds one": (lambda: subject("AddsOne"), "round trip"),
    "never equal": (lambda: subject("NeverEqual"), "round trip"),
    "width of another": (lambda: subject("GivesAWidthOfAnother"), "declared widths"),
    "lacks a width": (lambda: subject("LacksAWidth", Reader, kind="style"), "declared widths"),
    "width of True": (lambda: subject("WidthOfTrue", Reader, kind="style"), "declared widths"),
    "no such module": (lambda: subject(implementation=None, target="nowhere_at_all:Shift"), "importable"),
    "no such class": (lambda: subject(implementation=None, target="vast_core.interfaces:Shift"), "importable"),
    "no class": (lambda: subject(implementation=None, target="vast_core.interfaces:place"), "importable"),
    "duck": (lambda: subject(implementation=Duck), "interface"),
    "unfinished": (lambda: subject(implementation=Unfinished), "interface"),
    "its parent": (lambda: subject(implementation=MakesItsParent), "made"),
    "one context": (lambda: subject(implementation=OfOneContext), "made"),
    "looks widths up": (lambda: subject(implementation=LooksWidthsUp), "missing sizes"),
    "divides": (lambda: subject("Unchecked", DividesByParts), "extreme options"),
    "without a name": (lambda: subject("Unchecked", RefusesWithoutAName), "extreme options"),
    "draws elsewhere": (lambda: subject(implementation=DrawsElsewhere), "seed"),
    "no tensor": (lambda: subject(implementation=KeepsWhatIsNoTensor), "safetensors"),
    "rounds": (lambda: subject(implementation=RoundsWhatItReads), "safetensors"),
}
"""What makes each broken declaration, and the rule that catches it, alone."""


def outcomes(broken):
    return {outcome.rule.name: outcome for outcome in check(broken)}


def details(broken):
    return {name: outcome.detail for name, outcome in outcomes(broken).items() if outcome.state == "broken"}


@pytest.mark.parametrize("mutant", BROKEN)
def test_a_broken_declaration_falls_to_its_rule_alone(mutant):
    make, rule = BROKEN[mutant]
    found = details(make())
    assert list(found) == [rule], found


@pytest.mark.parametrize("line", ["import numpy", "import vast_core.interfaces"])
def test_a_heavy_module_falls_to_its_rule_alone(line, tmp_path, monkeypatch):
    found = details(light(tmp_path, monkeypatch, line))
    assert list(found) == ["light plugin"], found


def test_a_sound_declaration_keeps_every_rule(tmp_path, monkeypatch):
    found = outcomes(subject())
    assert {name: o.detail for name, o in found.items() if o.state == "broken"} == {}
    assert {found[rule].state for _, rule in BROKEN.values()} == {"kept", "not applicable"}
    assert found["importable"].state == "not applicable"
    assert found["option docstrings"].state == "kept"
    assert outcomes(light(tmp_path, monkeypatch, "import attrs"))["light plugin"].state == "kept"
    assert details(subject("Widths", Reader, kind="style")) == {}


def test_every_rule_of_declarations_has_a_broken_one():
    own = {rule.name for rule in rules("flow") if rule.check.__module__ == "vast_core.testing.declaration"}
    assert own == {rule for _, rule in BROKEN.values()} | {"light plugin"}
