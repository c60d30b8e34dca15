"""An avatar's parts as graphs, each with real input and with what the avatar itself makes of it.

The real input is a sound, and the avatar's own footage: its pictures, its face in each of them, and the expression of
that face as a prompt for the style.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import attrs
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vast_core.api import Avatar
from vast_core.errors import InputError, VastError
from vast_core.interfaces import SAMPLE_RATE, FaceTrack, place
from vast_core.speak.drawing import WantedFaces, prepare
from vast_core.speak.perform import Cast
from vast_core.speak.sound import frames_of

from .formats import Arrays, used
from .graphs import (
    NEXT,
    PROMPT_SECONDS,
    STATE,
    AudioGraph,
    DecoderGraph,
    FaceGraph,
    Graph,
    RendererGraph,
    StyleGraph,
    fields_of,
    frame_of,
)

DRAWN = 8
"""Frames that are drawn to check the renderer."""

Step = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Inputs of one call, without the state, and the outputs that it must give."""


@attrs.frozen(eq=False)
class Part:
    """A graph, and the calls that it must answer as the avatar does, in order."""

    graph: Graph
    steps: list[Step]

    def error(self, run: Callable[[Arrays], Arrays]) -> float:
        """Largest difference between what a program gives and what the avatar gives."""
        state = {name: tensor.numpy() for name, tensor in self.graph.states.items()}
        worst = 0.0
        for inputs, expected in self.steps:
            found = run({**{name: tensor.numpy() for name, tensor in inputs.items()}, **state})
            state = {name: found[NEXT + name.removeprefix(STATE)] for name in state}
            for name, tensor in expected.items():
                own = found[name][tuple(map(slice, tensor.shape))]  # of the last block of a sound, only what is heard
                difference = np.abs(own - tensor.numpy())
                worst = max(worst, float(difference.max()) if np.isfinite(difference).all() else float("inf"))
        return worst


@torch.no_grad()
def parts_of(avatar: Avatar, wave: NDArray[np.float32]) -> Iterator[Part]:
    """Audio features, style encoder, decoder, face and renderer of an avatar, on the CPU; ``wave`` (S,) is the sound.

    Raises :class:`VastError` that names the component if one of them cannot be exported.
    """
    cast = avatar.cast
    fps = cast.pipeline.sizes.fps
    frames = frames_of(len(wave), fps)
    rows = cast.pipeline.audio(torch.from_numpy(wave)[None], frames).float()
    yield _audio(cast, wave, rows)
    prompt = _prompt(cast)
    sound = rows[:, torch.arange(prompt.shape[1]) % frames]
    everything = torch.ones(prompt.shape[:2], dtype=torch.bool)
    reads_clips = cast.model.style.reads != "labels"
    code = torch.zeros(1, cast.pipeline.sizes.style)
    if reads_clips:
        code = cast.model.code(prompt, sound, everything, torch.ones(1, dtype=torch.bool))
        yield _style(cast, prompt, sound)
    decoder = _decoder(cast, rows, code)
    yield decoder
    expression = torch.cat([outputs["expression"] for _, outputs in decoder.steps], 1)
    face = _face(cast, expression[0])
    yield face
    yield _renderer(cast, rows, expression, face)


def _component(cast: Cast, kind: str) -> str:
    return f"{kind}/{cast.pipeline.recipe.components()[kind].partition(' ')[0]}"


def _audio(cast: Cast, wave: NDArray[np.float32], rows: Tensor) -> Part:
    fps = cast.pipeline.sizes.fps
    module = AudioGraph(cast.pipeline.audio, fps)
    steps: list[Step] = []
    for first in range(0, rows.shape[1], module.frames):
        own = {"wave": torch.from_numpy(window(wave, module, first, fps))[None]}
        steps.append((own, {"rows": rows[:, first : first + module.frames]}))
    silence = torch.zeros(1, module.samples)
    steps.append(({"wave": silence}, {"rows": module(silence)}))
    inputs = {"wave": silence}
    component = _component(cast, "audio")
    return Part(Graph(name="audio", component=component, module=module, inputs=inputs, outputs=["rows"]), steps)


def window(wave: NDArray[np.float32], graph: AudioGraph, first: int, fps: float) -> NDArray[np.float32]:
    """The samples (S,) that the graph hears for the block that begins with the frame ``first``."""
    low = round((first - graph.lead) / fps * SAMPLE_RATE)
    padded = np.zeros(graph.samples, np.float32)
    own = wave[max(low, 0) : low + graph.samples]
    padded[max(-low, 0) : max(-low, 0) + len(own)] = own
    return padded


def _prompt(cast: Cast) -> Tensor:
    """Expression (1, P, E) of the avatar's own footage."""
    base = cast.base
    count = min(len(base), round(PROMPT_SECONDS * cast.pipeline.sizes.fps))
    pose = base.pose[:count]
    vertices = place(base.identity + base.displacement[:count].float(), pose)
    track = FaceTrack(vertices=vertices.numpy(), pose=pose.numpy(), valid=np.ones(count, np.bool_))
    return torch.from_numpy(cast.pipeline.face.encode(track, base.identity.numpy()))[None]


def _style(cast: Cast, prompt: Tensor, sound: Tensor) -> Part:
    length = round(PROMPT_SECONDS * cast.pipeline.sizes.fps)
    steps: list[Step] = []
    for count, heard in ((prompt.shape[1], True), (prompt.shape[1] // 3, True), (prompt.shape[1], False)):
        told = torch.tensor([heard])
        mask = torch.zeros(1, length, dtype=torch.bool)
        mask[:, :count] = True
        inputs = {"expression": _filled(prompt[:, :count], length), "audio": _filled(sound[:, :count], length)}
        code = cast.model.code(prompt[:, :count], sound[:, :count], mask[:, :count], told)
        steps.append(({**inputs, "mask": mask, "heard": told}, {"code": code}))
    graph = Graph(
        name="style",
        component=_component(cast, "style"),
        module=StyleGraph(cast.model),
        inputs=steps[0][0],
        outputs=["code"],
    )
    return Part(graph, steps)


def _filled(rows: Tensor, length: int) -> Tensor:
    return torch.cat([rows, torch.zeros(1, length - rows.shape[1], rows.shape[2])], 1)


def _decoder(cast: Cast, rows: Tensor, code: Tensor) -> Part:
    decoder, component = cast.model.decoder, _component(cast, "decoder")
    if decoder.noise:
        raise VastError(f"{component}: cannot be exported: it draws random numbers with torch's generator")
    frames, later = rows.shape[1], decoder.lookahead
    expected = cast.model.speak(rows, code, torch.ones(1, frames, dtype=torch.bool))
    one = cast.model.speak(rows[:, :1], code, torch.ones(1, 1, dtype=torch.bool))
    states = {STATE + name: torch.zeros_like(tensor) for name, tensor in one.state.items()}
    padded = _filled(rows, frames + later)
    steps: list[Step] = []
    for frame in range(frames):
        given = {"audio": padded[:, frame : frame + 1 + later], "code": code}
        if later:
            given["known"] = (torch.arange(frame + 1, frame + 1 + later) < frames)[None]
        wanted = {"expression": expected.expression[:, frame : frame + 1].float()}
        if expected.pose is not None:
            wanted["pose"] = expected.pose[:, frame : frame + 1]
        steps.append((given, wanted))
    graph = Graph(
        name="decoder",
        component=component,
        module=DecoderGraph(cast.model, list(one.state)),
        inputs={**steps[0][0], **states},
        outputs=[*steps[0][1], *(NEXT + name for name in one.state)],
    )
    return Part(graph, steps)


def _face(cast: Cast, expression: Tensor) -> Part:
    face, base = cast.pipeline.face, cast.base
    module = FaceGraph(face, base)
    steps: list[Step] = []
    for frame, row in enumerate(expression):
        played = frame % len(base)
        shape = face.settled(face.decode(row[None], base.identity))
        shape = module.lids.blinking(shape, [played])
        pose = base.pose[played : played + 1]
        before = place(base.identity + base.displacement[[played]].float(), pose)
        vertices = place(shape, pose)
        outputs = {"shape": shape, "vertices": vertices, "before": before, "opening": face.lip_opening(vertices)}
        steps.append(({"expression": row[None], "played": torch.tensor([played]), "pose": pose}, outputs))
    graph = Graph(
        name="face",
        component=_component(cast, "face"),
        module=module,
        inputs=steps[0][0],
        outputs=["shape", "vertices", "before", "opening"],
    )
    return Part(graph, steps)


def _renderer(cast: Cast, rows: Tensor, expression: Tensor, face: Part) -> Part:
    base, renderer = cast.base, cast.renderer
    drawn = min(DRAWN, rows.shape[1], len(base))
    shots = list(islice(cast.play(), drawn))
    vertices = torch.cat([outputs["vertices"] for _, outputs in face.steps[:drawn]]).numpy()
    wanted = WantedFaces(vertices, base.pose[:drawn], expression[0, :drawn], rows[0, :drawn])
    played, originals = [number for number, _ in shots], [picture for _, picture in shots]
    scene = prepare(cast.pipeline.face, renderer, base, originals, played, wanted).scene
    out = renderer(scene, None)
    pictures = out.close_up if renderer.draws_close_up else out.frames
    states = {STATE + name: torch.zeros_like(tensor) for name, tensor in out.state.items()}
    first, output = frame_of(scene, 0), "close_up" if renderer.draws_close_up else "frames"

    def graph(fields: list[str]) -> Graph:
        every = fields_of(first)
        return Graph(
            name="renderer",
            component=_component(cast, "renderer"),
            module=RendererGraph(renderer, first, fields, list(out.state)),
            inputs={**{name: every[name] for name in fields}, **states},
            outputs=[output, *(NEXT + name for name in out.state)],
        )

    read = [name for name in used(graph(list(fields_of(first)))) if name not in states]
    if not read:
        raise InputError(f"{_component(cast, 'renderer')}: draws the same whatever is to be drawn: nothing to export")
    steps: list[Step] = []
    for number in range(drawn):
        fields = fields_of(frame_of(scene, number))
        steps.append(({name: fields[name] for name in read}, {output: pictures[:, number : number + 1]}))
    return Part(graph(read), steps)
