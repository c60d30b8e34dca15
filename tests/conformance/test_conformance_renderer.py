"""The rules of renderers: a sound component keeps all of them, and each broken one falls to its own rule alone."""

from __future__ import annotations

from typing import ClassVar

import attrs
import pytest
import torch
from torch import nn

from vast_core import Component
from vast_core.interfaces import Objective, Renderer, RendererOutput
from vast_core.testing.kit import Subject, check, rules


def painter_config():
    """Made in a function, as what stands in a module with torch is no light declaration."""

    @attrs.frozen(kw_only=True)
    class PainterConfig:
        size: int = attrs.field(default=16, validator=[attrs.validators.instance_of(int), attrs.validators.ge(8)])
        """Y = X of the crop, in pixels."""

        def sizes(self) -> dict[str, int]:
            return {"image": self.size}

    return PainterConfig


COMPONENT = Component(
    kind="renderer",
    name="painter",
    target="painter:Painter",
    config=painter_config(),
    summary="the textured mesh over the background, corrected by one convolution that remembers",
)


class Painter(Renderer):
    """frame = composite + hole (memory + tint), where the memory halves at each frame and a convolution adds to it."""

    def __init__(self, audio):
        super().__init__()
        self.look, self.listen = nn.Conv2d(9, 3, 3, padding=1), nn.Linear(audio, 3)

    @classmethod
    def from_config(cls, config, sizes):
        return cls(sizes.audio)

    def forward(self, scene, state=None):
        frames, state = self.paint(scene, state)
        return RendererOutput(frames.clamp(0, 1), state)

    def paint(self, scene, state=None):
        seen = torch.cat([scene.background, scene.mesh, scene.texture], 2)
        looked = self.look(seen.flatten(0, 1)).float().unflatten(0, seen.shape[:2])
        memory = torch.zeros_like(looked[:, 0]) if state is None else state["memory"]
        memories = []
        for now in looked.unbind(1):
            memory = (memory + now) / 2
            memories.append(memory)
        tint = self.listen(scene.audio).float()[..., None, None]
        base = scene.background + scene.coverage * (scene.texture - scene.background)
        return base + scene.hole * (torch.stack(memories, 1) + tint), {"memory": memory}

    def loss(self, batch):
        return ((self.paint(batch.scene)[0] - batch.frames).abs() * batch.scene.hole).mean()

    def training_objectives(self, batch, progress):
        loss = self.loss(batch)
        yield Objective("picture", loss, list(self.parameters()), {"l1": loss.detach()})


class DrawsEightAtMost(Painter):
    def paint(self, scene, state=None):
        frames, state = super().paint(scene, state)
        return frames[:, :8], state


class Rounds(Painter):
    def forward(self, scene, state=None):
        out = super().forward(scene, state)
        rounded = out.frames.bfloat16() if torch.is_autocast_enabled("cpu") else out.frames
        return RendererOutput(rounded, out.state)


class Overshoots(Painter):
    def forward(self, scene, state=None):
        return RendererOutput(*self.paint(scene, state))


class SeesNoMesh(Painter):
    def paint(self, scene, state=None):
        blank = torch.zeros_like(scene.mesh)
        return super().paint(attrs.evolve(scene, mesh=blank, texture=blank), state)


class Grains(Painter):
    def forward(self, scene, state=None):
        out = super().forward(scene, state)
        return RendererOutput((out.frames + 1e-6 * torch.rand_like(out.frames)).clamp(0, 1), out.state)


class DimsInPlace(Painter):
    def forward(self, scene, state=None):
        scene.mesh.mul_(0.5)
        return super().forward(scene, state)


class SeesTheNeighbours(Painter):
    def forward(self, scene, state=None):
        out = super().forward(scene, state)
        return RendererOutput(0.9 * out.frames + 0.1 * out.frames.mean(0, keepdim=True), out.state)


class Forgets(Painter):
    def forward(self, scene, state=None):
        return super().forward(scene)


class CarriesAllItHasHeard(Painter):
    def paint(self, scene, state=None):
        frames, state = super().paint(scene, state)
        return frames, state | {"heard": scene.audio}


class LeavesATensorBehind(Painter):
    def __init__(self, audio):
        super().__init__(audio)
        self.offset = torch.zeros(1, 1, 3, 1, 1)

    def paint(self, scene, state=None):
        frames, state = super().paint(scene, state)
        return frames + self.offset, state


class ReadsATensorToBeMade(Painter):
    def __init__(self, audio):
        super().__init__(audio)
        self.start = float(self.listen.bias.detach().mean())


class OnlyDraws(Painter):
    trainable: ClassVar[bool] = False


class NamesTwoAlike(Painter):
    def training_objectives(self, batch, progress):
        for part in (self.look, self.listen):
            yield Objective("picture", self.loss(batch), list(part.parameters()))


class LogsTheGraph(Painter):
    def training_objectives(self, batch, progress):
        loss = self.loss(batch)
        yield Objective("picture", loss, list(self.parameters()), {"l1": loss})


class StepsTwice(Painter):
    def training_objectives(self, batch, progress):
        yield from super().training_objectives(batch, progress)
        yield Objective("again", self.loss(batch), list(self.listen.parameters()))


class HasAnIdleLayer(Painter):
    def __init__(self, audio):
        super().__init__(audio)
        self.idle = nn.Linear(audio, 3)


class StepsByItself(Painter):
    """Its own optimiser; sound."""

    def training_objectives(self, batch, progress):
        for objective in super().training_objectives(batch, progress):
            yield attrs.evolve(objective, optimiser=self.optimiser)

    def optimiser(self, parameters):
        return torch.optim.SGD(parameters, lr=0.02, momentum=0.9)


class StepsAnothersToo(StepsByItself):
    def optimiser(self, parameters):
        return super().optimiser([*parameters, nn.Parameter(torch.zeros(3))])


class Unlearns(Painter):
    def loss(self, batch):
        return -super().loss(batch)


class PromisesACloseUp(Painter):
    draws_close_up = True


class ClosesUpOnTheBackground(PromisesACloseUp):
    def forward(self, scene, state=None):
        out = super().forward(scene, state)
        return attrs.evolve(out, close_up=(scene.close_up.own + scene.background) / 2)


MUTANTS = {
    "as many frames": DrawsEightAtMost,
    "close up": PromisesACloseUp,
    "close up alone": ClosesUpOnTheBackground,
    "float32": Rounds,
    "within black and white": Overshoots,
    "looks at the mesh": SeesNoMesh,
    "repeatable": Grains,
    "leaves the scene alone": DimsInPlace,
    "batch independence": SeesTheNeighbours,
    "chunks equal the whole": Forgets,
    "state of tensors": CarriesAllItHasHeard,
    "moves to another device": LeavesATensorBehind,
    "shape without data": ReadsATensorToBeMade,
    "trainable is declared": OnlyDraws,
    "losses": NamesTwoAlike,
    "terms": LogsTheGraph,
    "own parameters": StepsTwice,
    "gradients": HasAnIdleLayer,
    "own optimiser": StepsAnothersToo,
    "learns": Unlearns,
}


def outcomes(implementation):
    return check(Subject.of(COMPONENT, implementation=implementation))


def test_a_sound_component_keeps_every_rule():
    found = outcomes(Painter)
    assert {o.rule.name: o.detail for o in found if o.state == "broken"} == {}
    assert {o.rule.name for o in found if o.state == "kept"} >= set(MUTANTS) - {
        "own optimiser",
        "close up",
        "close up alone",
    }


def test_one_that_steps_by_itself_keeps_the_rules_of_training():
    found = check(Subject.of(COMPONENT, implementation=StepsByItself), only=["own optimiser", "learns", "gradients"])
    assert [o.state for o in found] == ["kept"] * 3, found


def test_each_rule_has_its_mutant():
    assert {rule.name for rule in rules("renderer") if rule.check.__module__.endswith(".renderer")} == set(MUTANTS)


@pytest.mark.parametrize("rule", MUTANTS)
def test_a_mutant_falls_to_its_own_rule_alone(rule):
    assert {o.rule.name: o.detail for o in outcomes(MUTANTS[rule]) if o.state == "broken"}.keys() == {rule}
