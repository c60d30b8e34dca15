"""A recipe assembled without data: the shape at every joint, parameters and memory."""

from __future__ import annotations

from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from .console import Terminal
from .errors import InputError
from .interfaces import SAMPLE_RATE, CloseUp, Scene
from .mesh.close_up import REMEMBERED
from .pipeline import Pipeline, assemble
from .recipe.model import Recipe
from .registry.core_stages import RendererStage, StyleStage, TrainingStage
from .registry.declarations import Part
from .registry.registry import Registry

__all__ = [
    "Joint",
    "check_recipe",
    "walk",
]


def check_recipe(recipe: Recipe, registry: Registry) -> None:
    """Assemble ``recipe`` on torch's meta device and print stages, shapes at the joints, parameters and memory."""
    console = Terminal()
    table = Table("stage", "package", "what it does", title=f"{recipe.name}: its stages", title_justify="left")
    for stage in recipe.run:
        stage.load()
        table.add_row(stage.name, stage.provider or "vast itself", stage.summary)
    console.print(table)
    with torch.device("meta"):
        pipeline = assemble(recipe, registry)
        joints, kept = walk(pipeline)
    if joints:
        table = Table("joint", "axes", "shape", title="shapes at every joint", title_justify="left")
        for joint, axes, tensor in joints:
            table.add_row(joint, axes, " x ".join(map(str, tensor.shape)))
        console.print(table)
    if pipeline.parts:
        table = Table("part", "component", "parameters", title="parts", title_justify="left")
        for kind, part in pipeline.parts.items():
            count = sum(p.numel() for p in part.parameters())
            table.add_row(kind, recipe.part(kind).component.name, f"{count:,}")
        console.print(table)
    if recipe.runs("style"):
        words = recipe.options("style", StyleStage).enhancer_in_words(
            recipe.part("flow").component.name, pipeline.flow.orthogonal
        )
        console.print(f"stage style: {words}")
    trained: dict[str, tuple[Part, ...]] = {"style": ("style", "flow", "decoder"), "renderer": ("renderer",)}
    if recipe.runs("style") and pipeline.audio.trainable:
        trained["style"] = ("audio", *trained["style"])
    for name, kinds in trained.items():
        if recipe.runs(name):
            parameters = sum(p.numel() for kind in kinds for p in pipeline.parts[kind].parameters())
            # float32 weights, gradients, Adam's two moments and the moving average, plus the tensors kept for backward
            total = 5 * 4 * parameters + kept[name]
            console.print(
                f"stage {name}: about {total / 1e9:.2f} GB while training, plus 0.7 GB for the program itself"
            )


Joint = tuple[str, str, Tensor]
"""Name, axes and tensor of what one part passes to the next."""


def walk(pipeline: Pipeline) -> tuple[list[Joint], dict[str, int]]:
    """Pass meta tensors through all parts of the recipe; gives the joints and the bytes kept by autograd, by stage."""
    kept = {"style": 0, "renderer": 0}

    def counting(stage: str) -> torch.autograd.graph.saved_tensors_hooks:
        def pack(tensor: Tensor) -> Tensor:
            kept[stage] += tensor.numel() * tensor.element_size()
            return tensor

        return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)

    joints: list[Joint] = []
    if "audio" in pipeline.parts:
        batch, frames = _window(pipeline, "style", StyleStage)
        wave = torch.zeros(batch, round(frames / pipeline.sizes.fps * SAMPLE_RATE))
        audio = pipeline.audio(wave, frames)
        joints += [("wave", "B S", wave), _fit("audio features", "B T A", audio, batch, frames, pipeline.sizes.audio)]
        if {"face", "style", "flow", "decoder"} <= pipeline.parts.keys():
            with counting("style"):
                joints += _walk_style(pipeline, audio)
            vertices = pipeline.face.decode(joints[-1][2], torch.zeros(pipeline.sizes.vertices, 3))
            joints.append(("vertices", "B T V 3", vertices))
    if {"audio", "renderer"} <= pipeline.parts.keys():
        with counting("renderer"):
            joints += _walk_renderer(pipeline)
    return joints, kept


def _window(pipeline: Pipeline, stage: str, config: type[TrainingStage]) -> tuple[int, int]:
    """B and T of a training stage's batch; one clip of one second if the recipe does not run that stage."""
    options = pipeline.recipe.options(stage, config)
    return (options.batch, options.frames) if pipeline.recipe.runs(stage) else (1, round(pipeline.sizes.fps))


def _fit(joint: str, axes: str, tensor: Tensor, *expected: int) -> Joint:
    """A joint; raises :class:`InputError` if its shape differs from the recipe's sizes."""
    if tuple(tensor.shape) != expected:
        raise InputError(
            f"{joint} ({axes}): the component gives {tuple(tensor.shape)}, the recipe's sizes ask for {expected}"
        )
    return joint, axes, tensor


def _walk_style(pipeline: Pipeline, audio: Tensor) -> list[Joint]:
    sizes, (batch, frames) = pipeline.sizes, audio.shape[:2]
    mask = torch.ones(batch, frames, dtype=torch.bool)
    expression = torch.zeros(batch, frames, sizes.expression)
    if pipeline.style.reads == "labels":
        posterior = pipeline.style.read_labels([(*pipeline.style.vocabulary, "neutral")[0]] * batch)
    else:
        posterior = pipeline.style(expression, audio, mask, torch.ones(batch, dtype=torch.bool))
    flowed = pipeline.flow(posterior.mean, posterior.context)
    before = pipeline.recipe.options("style", StyleStage).reconstruct == "z0"
    code = posterior.mean if before else flowed.z
    noise = pipeline.decoder.noise
    given = {"noise": torch.zeros(batch, frames, noise)} if noise else {}
    decoded = pipeline.decoder(audio, code, mask, **given).expression
    return [
        ("expression", "B T E", expression),
        _fit("style mean", "B Z", posterior.mean, batch, sizes.style),
        _fit("context", "B H", posterior.context, batch, sizes.context),
        _fit("z_K", "B Z", flowed.z, batch, sizes.style),
        _fit("log_det", "B", flowed.log_det, batch),
        _fit("decoded expression", "B T E", decoded, batch, frames, sizes.expression),
    ]


def _walk_renderer(pipeline: Pipeline) -> list[Joint]:
    sizes, (batch, frames) = pipeline.sizes, _window(pipeline, "renderer", RendererStage)
    images = torch.zeros(batch, frames, 3, sizes.image, sizes.image)
    mask = images[:, :, :1]
    geometry: dict[str, Any] = {}
    if "face" in pipeline.parts:
        geometry = {
            "vertices": torch.zeros(batch, frames, sizes.vertices, 3),
            "pose": torch.zeros(batch, frames, 3, 4),
            "expression": torch.zeros(batch, frames, sizes.expression),
            "reference": images[:, 0],
            "reference_vertices": torch.zeros(batch, sizes.vertices, 3),
        }
    if pipeline.renderer.draws_close_up:
        geometry["own"] = images
    close_up = CloseUp(
        place=torch.zeros(batch, frames, 3),
        own=images,
        known=mask,
        remembered=images[:, :, None].expand(-1, -1, REMEMBERED, -1, -1, -1),
        likeness=torch.zeros(batch, frames, REMEMBERED),
        lips=mask,
        opening=mask,
        region=mask,
    )
    scene = Scene(
        background=images,
        hole=mask,
        mesh=images,
        texture=images,
        coverage=mask,
        audio=torch.zeros(batch, frames, sizes.audio),
        **geometry,
        close_up=close_up if pipeline.renderer.draws_close_up else None,
    )
    rendered = pipeline.renderer(scene).frames
    return [("scene's pictures", "B T C Y X", images), _fit("rendered frames", "B T C Y X", rendered, *images.shape)]
