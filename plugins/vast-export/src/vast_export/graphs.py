"""The parts of an avatar as modules that take and give plain tensors, one frame at a time.

A part that has a state takes it as inputs ``state_NAME`` and gives it as outputs ``next_NAME``; at the start it is 0.
Only the audio features are computed in blocks, if they are made so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor, nn

from vast_core.interfaces import AudioFeatures, CloseUp, Face, Renderer, Scene, place, sound_around
from vast_core.speak.base_clip import BaseClip
from vast_core.speak.lids import Lids
from vast_core.speak.style_model import StyleModel

GRAPHS = ("audio", "style", "decoder", "face", "renderer")
"""Names of the graphs of an avatar."""

PROMPT_SECONDS = 20.0
"""Longest prompt of the style encoder's graph; a shorter one is filled up with frames that its mask leaves out."""

STATE, NEXT = "state_", "next_"
"""What the names of the inputs and outputs with a state begin with."""

CLOSE_UP = "close_up_"
"""What the names of a scene's inputs from its close-up begin with."""


@attrs.frozen(kw_only=True, eq=False)
class Graph:
    """One part of an avatar, ready to be exported."""

    name: str
    component: str
    """Kind and name of what it is made from, for messages."""
    module: nn.Module
    inputs: Mapping[str, Tensor]
    """An example of each input, in the order of the module's arguments."""
    outputs: Sequence[str]

    @property
    def states(self) -> dict[str, Tensor]:
        """The state at the start, by the names of the inputs."""
        return {name: tensor for name, tensor in self.inputs.items() if name.startswith(STATE)}


class AudioGraph(nn.Module):
    """Features of ``frames`` frames that start a block, from the sound around them.

    The window begins ``lead`` frames before the first of them, with silence before the start of the sound and after its
    end.
    """

    def __init__(self, audio: AudioFeatures, fps: float) -> None:
        super().__init__()
        self.audio, self.frames = audio, audio.block
        start = self.frames * (math.ceil((audio.receptive_field * fps + 2) / self.frames) + 1)
        first, low, high = sound_around(audio, start, start + self.frames, fps)
        self.lead, self.samples = start - first, high - low

    def forward(self, wave: Tensor) -> Tensor:
        """Rows (1, N, A) of ``wave`` (1, S)."""
        return self.audio.rows(wave, self.lead, self.lead + self.frames).float()


class StyleGraph(nn.Module):
    """The style code of a prompt: encoder and flow, at the posterior's mean."""

    def __init__(self, model: StyleModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, expression: Tensor, audio: Tensor, mask: Tensor, heard: Tensor) -> Tensor:
        """Code (1, Z) of expression (1, P, E), audio features (1, P, A), mask (1, P) and heard (1,)."""
        return self.model.code(expression, audio, mask, heard)


class DecoderGraph(nn.Module):
    """One frame of expression, from its audio features and those of the frames that follow."""

    def __init__(self, model: StyleModel, states: Sequence[str]) -> None:
        super().__init__()
        self.model, self.states = model, tuple(states)

    def forward(self, audio: Tensor, code: Tensor, *more: Tensor) -> tuple[Tensor, ...]:
        """Expression (1, 1, E), the head's pose (1, 1, 3, 4) if the decoder moves it, and the next state.

        ``audio`` is (1, 1 + L, A). If L is not 0, ``more`` begins with ``known`` (1, L): which of the frames that
        follow are there; then comes the state.
        """
        later = self.model.decoder.lookahead
        known, state = more[: min(later, 1)], more[min(later, 1) :]
        heard = self.model.hear(audio)
        future = torch.where(known[0][..., None], heard[:, 1:], 0.0) if later else None
        mask = torch.ones(1, 1, dtype=torch.bool, device=audio.device)
        given = dict(zip(self.states, state, strict=True))
        out = self.model.decoder(heard[:, :1], code, mask, given or None, future)
        pose = () if out.pose is None else (out.pose,)
        return (out.expression.float(), *pose, *(out.state[name] for name in self.states))


class FaceGraph(nn.Module):
    """Expression to the face in a frame of the avatar's footage, with lips and lids as when it speaks."""

    def __init__(self, face: Face, base: BaseClip) -> None:
        super().__init__()
        self.face, self.base, self.lids = face, base, Lids(face, base)

    def forward(self, expression: Tensor, played: Tensor, pose: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The face in canonical units and in pixels, the footage's own face in pixels, each (1, V, 3), and how far the
        lips are open (1,).

        ``expression`` is (1, E), ``played`` (1,) the number of the frame, ``pose`` (1, 3, 4) that of the head.
        """
        base = self.base
        shape = self.lids.blinking(self.face.settled(self.face.decode(expression, base.identity)), played)
        vertices = place(shape, pose)
        before = place(base.identity + base.displacement[played].float(), base.pose[played])
        return shape, vertices, before, self.face.lip_opening(vertices)


class RendererGraph(nn.Module):
    """One frame, or its close-up, of the fields of a scene that the renderer reads."""

    def __init__(self, renderer: Renderer, example: Scene, fields: Sequence[str], states: Sequence[str]) -> None:
        super().__init__()
        self.renderer, self.fields, self.states = renderer, tuple(fields), tuple(states)
        self.shapes = {name: tensor.shape for name, tensor in fields_of(example).items()}

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Frames or close-up (1, 1, 3, Y, X), and the next state."""
        tensors = {name: torch.zeros(shape) for name, shape in self.shapes.items()}
        tensors |= dict(zip(self.fields, given, strict=False))
        state = dict(zip(self.states, given[len(self.fields) :], strict=True))
        out = self.renderer(scene_of(tensors), state or None)
        drawn = out.close_up if self.renderer.draws_close_up else out.frames
        return (drawn, *(out.state[name] for name in self.states))


def fields_of(scene: Scene) -> dict[str, Tensor]:
    """The tensors of a scene by name, those of its close-up too."""

    def tensors(of: Any) -> Iterator[tuple[str, Tensor]]:
        for field in attrs.fields(type(of)):
            if isinstance(value := getattr(of, field.name), Tensor):
                yield field.name, value

    close_up = {} if scene.close_up is None else dict(tensors(scene.close_up))
    return dict(tensors(scene)) | {CLOSE_UP + name: value for name, value in close_up.items()}


def scene_of(tensors: Mapping[str, Tensor]) -> Scene:
    """The scene with these :func:`fields_of`."""
    near = {name.removeprefix(CLOSE_UP): value for name, value in tensors.items() if name.startswith(CLOSE_UP)}
    far = {name: value for name, value in tensors.items() if not name.startswith(CLOSE_UP)}
    return Scene(**far, close_up=CloseUp(**near) if near else None)


def frame_of(scene: Scene, number: int) -> Scene:
    """One frame of a scene, as a scene."""
    whole = ("reference", "reference_vertices")
    return scene_of({n: v if n in whole else v[:, number : number + 1] for n, v in fields_of(scene).items()})
