"""From a recipe to assembled components, and on through the stages."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import attrs
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from .errors import InputError
from .interfaces import (
    SAMPLE_RATE,
    AudioFeatures,
    Corpus,
    Decoder,
    Face,
    Flow,
    Metric,
    Renderer,
    Scene,
    Sizes,
    StyleEncoder,
)
from .recipe import Recipe, Use
from .registry import Kind, Registry
from .run import Run


@attrs.define(eq=False, slots=False)
class Pipeline:
    """The components of one recipe, assembled; the corpus only when it is asked for, as it may touch files."""

    recipe: Recipe
    sizes: Sizes
    face: Face
    audio: AudioFeatures
    style: StyleEncoder
    flow: Flow
    decoder: Decoder
    renderer: Renderer
    metrics: tuple[Metric, ...]

    @cached_property
    def corpus(self) -> Corpus:
        """Where the clips come from."""
        return cast(Corpus, _make(self.recipe.part("corpus"), self.sizes))

    @property
    def parts(self) -> Mapping[str, nn.Module]:
        """The components that are networks, by kind."""
        return {
            "face": self.face,
            "audio": self.audio,
            "style": self.style,
            "flow": self.flow,
            "decoder": self.decoder,
            "renderer": self.renderer,
        }


def _make(use: Use, sizes: Sizes) -> Any:
    return use.component.load().from_config(use.config, sizes)


def work_out_sizes(recipe: Recipe) -> Sizes:
    """Collect every width from the components' configs.

    Raises :class:`InputError` where a width is given by no component or by two.
    """
    given: dict[str, tuple[str, int]] = {}
    kinds: tuple[Kind, ...] = ("face", "audio", "style", "flow", "decoder", "renderer")
    for kind in kinds:
        use = recipe.part(kind)
        own = use.config.sizes() if hasattr(use.config, "sizes") else {}
        for name, width in own.items():
            who = f"{kind} {use.component.name!r}"
            if name in given:
                raise InputError(f"size {name!r} is given by {given[name][0]} and by {who}; only one may")
            given[name] = (who, width)
    names = {a.name for a in attrs.fields(Sizes)} - {"fps"}
    if unknown := sorted(set(given) - names):
        raise InputError(f"{given[unknown[0]][0]} gives size {unknown[0]!r}; known: {', '.join(sorted(names))}")
    if missing := sorted(names - set(given)):
        raise InputError(f"no component of this recipe gives the size {missing[0]!r}; its config lacks it in sizes()")
    return Sizes(fps=recipe.fps, **{name: width for name, (_, width) in given.items()})


def assemble(recipe: Recipe, registry: Registry) -> Pipeline:
    """Build every component of ``recipe``; the weights start from ``recipe.seed``."""
    sizes = work_out_sizes(recipe)
    kinds: tuple[Kind, ...] = ("face", "audio", "style", "flow", "decoder", "renderer")
    parts = {}
    for number, kind in enumerate(kinds):
        torch.manual_seed(recipe.seed * 1_009 + number)  # a part's start does not depend on the other parts
        parts[kind] = _make(recipe.part(kind), sizes)
    metrics = tuple(_make(use, sizes) for use in recipe.metrics)
    pipeline = Pipeline(recipe=recipe, sizes=sizes, metrics=metrics, **parts)
    registry.notify("vast_pipeline_built", pipeline=pipeline, recipe=recipe)
    return pipeline


def run_recipe(recipe: Recipe, registry: Registry, out: Path, resume: bool, stages: tuple[str, ...] | None) -> Run:
    """Take ``recipe`` through its stages, into the run directory ``out``."""
    from .stages import STAGES, Context
    from .summary import write_run_report

    console = Console()
    chosen = [stage.name for stage in STAGES] if stages is None else list(stages)
    if unknown := [name for name in chosen if name not in {stage.name for stage in STAGES}]:
        raise InputError(f"no stage {unknown[0]!r}; the stages are {', '.join(stage.name for stage in STAGES)}")
    run = Run(out, recipe, registry)
    pipeline = assemble(recipe, registry)
    run.start()
    context = Context(run=run, pipeline=pipeline, console=console, resume=resume)
    for stage in STAGES:
        if stage.name not in chosen:
            continue
        key = context.key(stage.name)
        if run.finished(stage.name, key):
            console.print(f"[dim]{stage.name}: nothing has changed, kept[/dim]")
        else:
            console.print(f"[bold]{stage.name}[/bold]")
            began = time.perf_counter()
            files = stage.run(context)
            run.finish(stage.name, key, time.perf_counter() - began, files)
        registry.notify("vast_stage_finished", run=run, stage=stage.name)
    if context.store.complete:
        write_run_report(run, context.store)
    console.print(f"done: {out / 'report.html'}")
    return run


# ---------------------------------------------------------------------------------------------- check


def check_recipe(recipe: Recipe, registry: Registry) -> None:
    """Assemble ``recipe`` on torch's meta device and print every joint's shape, the parameters and the memory."""
    console = Console()
    with torch.device("meta"):
        pipeline = assemble(recipe, registry)
        joints, kept = _walk(pipeline)
    table = Table("joint", "axes", "shape", title=f"{recipe.name}: shapes at every joint", title_justify="left")
    for joint, axes, tensor in joints:
        table.add_row(joint, axes, " x ".join(map(str, tensor.shape)))
    console.print(table)
    table = Table("part", "component", "parameters", title="parts", title_justify="left")
    for kind, part in pipeline.parts.items():
        count = sum(p.numel() for p in part.parameters())
        table.add_row(kind, recipe.part(cast(Kind, kind)).component.name, f"{count:,}")
    console.print(table)
    for stage, parts in (("style", ("style", "flow", "decoder")), ("renderer", ("renderer",))):
        parameters = sum(p.numel() for name in parts for p in pipeline.parts[name].parameters())
        # float32 weights, gradients, Adam's two moments and the moving average, plus what backward keeps
        total = 5 * 4 * parameters + kept[stage]
        console.print(f"stage {stage}: about {total / 1e9:.2f} GB while training, beside the program's own 0.7 GB")


def _walk(pipeline: Pipeline) -> tuple[list[tuple[str, str, Tensor]], dict[str, int]]:
    """Walk meta tensors through all parts; what autograd keeps is counted by stage."""
    sizes, recipe = pipeline.sizes, pipeline.recipe
    kept = {"style": 0, "renderer": 0}

    def counting(stage: str) -> torch.autograd.graph.saved_tensors_hooks:
        def pack(tensor: Tensor) -> Tensor:
            kept[stage] += tensor.numel() * tensor.element_size()
            return tensor

        return torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor)

    batch, frames = recipe.stages.style.batch, recipe.stages.style.frames
    wave = torch.zeros(batch, round(frames / sizes.fps * SAMPLE_RATE))
    audio = pipeline.audio(wave, frames)
    joints = [("wave", "B S", wave), ("audio features", "B T A", audio)]
    mask = torch.ones(batch, frames, dtype=torch.bool)
    expression = torch.zeros(batch, frames, sizes.expression)
    joints.append(("expression", "B T E", expression))
    with counting("style"):
        posterior = pipeline.style(expression, audio, mask, torch.ones(batch, dtype=torch.bool))
        flowed = pipeline.flow(posterior.mean, posterior.context)
        decoded = pipeline.decoder(audio, flowed.z, mask).expression
    joints += [
        ("style mean", "B Z", posterior.mean),
        ("context", "B H", posterior.context),
        ("z_K", "B Z", flowed.z),
        ("log_det", "B", flowed.log_det),
        ("decoded expression", "B T E", decoded),
    ]
    vertices = pipeline.face.decode(decoded, torch.zeros(sizes.vertices, 3))
    joints.append(("vertices", "B T V 3", vertices))
    batch, frames = recipe.stages.renderer.batch, recipe.stages.renderer.frames
    images = torch.zeros(batch, frames, 3, sizes.image, sizes.image)
    mask_image = images[:, :, :1]
    scene = Scene(
        background=images,
        hole=mask_image,
        mesh=images,
        texture=images,
        coverage=mask_image,
        audio=torch.zeros(batch, frames, sizes.audio),
    )
    joints.append(("scene's pictures", "B T C Y X", images))
    with counting("renderer"):
        rendered = pipeline.renderer(scene).frames
    joints.append(("rendered frames", "B T C Y X", rendered))
    expected = {
        "audio features": (recipe.stages.style.batch, recipe.stages.style.frames, sizes.audio),
        "style mean": (recipe.stages.style.batch, sizes.style),
        "context": (recipe.stages.style.batch, sizes.context),
        "z_K": (recipe.stages.style.batch, sizes.style),
        "log_det": (recipe.stages.style.batch,),
        "decoded expression": (recipe.stages.style.batch, recipe.stages.style.frames, sizes.expression),
        "rendered frames": tuple(images.shape),
    }
    for joint, axes, tensor in joints:
        if joint in expected and tuple(tensor.shape) != expected[joint]:
            raise InputError(
                f"{joint} ({axes}): the component gives {tuple(tensor.shape)}, the recipe's sizes ask for "
                f"{expected[joint]}"
            )
    return joints, kept
