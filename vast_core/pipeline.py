"""From a recipe to assembled components, and on through the stages."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import attrs
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from .declarations import Part, StageSpec
from .errors import ComponentError, InputError
from .interfaces import (
    SAMPLE_RATE,
    SIZE_GIVEN_BY,
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
from .registry import Registry
from .run import Run
from .stage_config import RendererStage, StyleStage, TrainingStage

NETWORKS: tuple[Part, ...] = ("face", "audio", "style", "flow", "decoder", "renderer")
"""The parts that are networks; a part's place here settles the weights that it starts from."""


@attrs.define(eq=False, slots=False)
class Pipeline:
    """The components that a recipe names, assembled; the corpus only when it is asked for, as it may touch files.

    Asking for a part that the recipe lacks raises :class:`RecipeError`.
    """

    recipe: Recipe
    sizes: Sizes
    parts: Mapping[Part, nn.Module]
    """The components that are networks, by kind."""
    metrics: tuple[Metric, ...]

    @cached_property
    def corpus(self) -> Corpus:
        """Where the clips come from."""
        return cast(Corpus, _make(self.recipe.part("corpus"), self.sizes))

    @property
    def face(self) -> Face:
        """What finds, takes apart and draws faces."""
        return cast(Face, self._part("face"))

    @property
    def audio(self) -> AudioFeatures:
        """What is said."""
        return cast(AudioFeatures, self._part("audio"))

    @property
    def style(self) -> StyleEncoder:
        """Reads a manner out of a prompt."""
        return cast(StyleEncoder, self._part("style"))

    @property
    def flow(self) -> Flow:
        """Maps the style code."""
        return cast(Flow, self._part("flow"))

    @property
    def decoder(self) -> Decoder:
        """Audio and style to expression."""
        return cast(Decoder, self._part("decoder"))

    @property
    def renderer(self) -> Renderer:
        """Draws the avatar."""
        return cast(Renderer, self._part("renderer"))

    def _part(self, kind: Part) -> nn.Module:
        self.recipe.part(kind)
        return self.parts[kind]


def _make(use: Use, sizes: Sizes) -> Any:
    return use.component.load().from_config(use.config, sizes)


def work_out_sizes(recipe: Recipe) -> Sizes:
    """Collect every width that the recipe's parts give, from their configs.

    Raises :class:`InputError` where two give the same width, or a part does not give one that is its own to give.
    """
    given: dict[str, tuple[str, int]] = {}
    for kind in NETWORKS:
        use = recipe.use(kind)
        if use is None:
            continue
        own = use.config.sizes() if hasattr(use.config, "sizes") else {}
        for name, width in own.items():
            who = f"{kind} {use.component.name!r}"
            if name in given:
                raise InputError(f"size {name!r} is given by {given[name][0]} and by {who}; only one may")
            given[name] = (who, width)
    if unknown := sorted(given.keys() - SIZE_GIVEN_BY.keys()):
        raise InputError(f"{given[unknown[0]][0]} gives size {unknown[0]!r}; known: {', '.join(sorted(SIZE_GIVEN_BY))}")
    for name, giver in SIZE_GIVEN_BY.items():
        owner = recipe.use(giver)
        if owner is not None and name not in given:
            raise InputError(f"{giver} {owner.component.name!r} lacks the size {name!r} in sizes() of its config")
    return Sizes(fps=recipe.fps, **{name: width for name, (_, width) in given.items()})


def assemble(recipe: Recipe, registry: Registry) -> Pipeline:
    """Build every component that ``recipe`` names; the weights start from ``recipe.seed``."""
    sizes = work_out_sizes(recipe)
    parts: dict[Part, nn.Module] = {}
    for number, kind in enumerate(NETWORKS):
        use = recipe.use(kind)
        if use is not None:
            torch.manual_seed(recipe.seed * 1_009 + number)  # a part's start does not depend on the other parts
            parts[kind] = _make(use, sizes)
    metrics = tuple(_make(use, sizes) for use in recipe.metrics)
    pipeline = Pipeline(recipe=recipe, sizes=sizes, metrics=metrics, parts=parts)
    registry.notify("vast_pipeline_built", pipeline=pipeline, recipe=recipe)
    return pipeline


def run_recipe(
    recipe: Recipe, registry: Registry, out: Path, resume: bool = False, stages: Iterable[str] | None = None
) -> Run:
    """Take ``recipe`` through its stages, or those of them that are named, into the run directory ``out``."""
    from .stages import Context
    from .summary import write_run_report

    console = Console()
    chosen = [(spec, spec.load()) for spec in recipe.chosen(stages)]
    run = Run(out, recipe, registry)
    pipeline = assemble(recipe, registry)
    run.start()
    context = Context(run=run, pipeline=pipeline, console=console, resume=resume)
    for spec, stage in chosen:
        key = context.key(spec.name)
        if not run.finished(spec.name, key):
            registry.notify("vast_stage_starting", run=run, stage=spec.name, key=key)
        if run.finished(spec.name, key):
            console.print(f"[dim]{spec.name}: nothing has changed, kept[/dim]")
        else:
            console.print(f"[bold]{spec.name}[/bold]")
            began = time.perf_counter()
            files = _written(spec, stage.run(context))
            run.finish(spec.name, key, time.perf_counter() - began, files)
        registry.notify("vast_stage_finished", run=run, stage=spec.name)
    store = context.store if recipe.runs("prepare") else None
    write_run_report(run, store if store is not None and store.complete else None)
    console.print(f"done: {out / 'report.html'}")
    return run


def _written(spec: StageSpec, files: object) -> list[Path]:
    """The files of a stage that has run; raises :class:`ComponentError` where it does not give them."""
    who = f"{spec.title} of {spec.provider or 'vast itself'}"
    if isinstance(files, str | Path) or not isinstance(files, Iterable):
        raise ComponentError(f"{who}: its run(context) gave {files!r}, not the list of files that it has written")
    found = [Path(file) for file in files]
    for file in found:
        if not file.exists():
            raise ComponentError(f"{who}: its run(context) names {file} as written, and there is no such file")
    return found


# ---------------------------------------------------------------------------------------------- check


def check_recipe(recipe: Recipe, registry: Registry) -> None:
    """Assemble ``recipe`` on torch's meta device and print stages, shapes at the joints, parameters and memory."""
    console = Console()
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
    trained: dict[str, tuple[Part, ...]] = {"style": ("style", "flow", "decoder"), "renderer": ("renderer",)}
    for name, kinds in trained.items():
        if recipe.runs(name):
            parameters = sum(p.numel() for kind in kinds for p in pipeline.parts[kind].parameters())
            # float32 weights, gradients, Adam's two moments and the moving average, plus what backward keeps
            total = 5 * 4 * parameters + kept[name]
            console.print(f"stage {name}: about {total / 1e9:.2f} GB while training, beside the program's own 0.7 GB")


Joint = tuple[str, str, Tensor]
"""What passes from part to part: name, axes, and the tensor."""


def walk(pipeline: Pipeline) -> tuple[list[Joint], dict[str, int]]:
    """Walk meta tensors through all parts, as far as the recipe has them; what autograd keeps is counted by stage."""
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
    """B and T of a training stage's batch; one clip of a second where the recipe does not run that stage."""
    options = pipeline.recipe.options(config)
    return (options.batch, options.frames) if pipeline.recipe.runs(stage) else (1, round(pipeline.sizes.fps))


def _fit(joint: str, axes: str, tensor: Tensor, *expected: int) -> Joint:
    """A joint; raises :class:`InputError` where its shape is another than the recipe's sizes ask for."""
    if tuple(tensor.shape) != expected:
        raise InputError(
            f"{joint} ({axes}): the component gives {tuple(tensor.shape)}, the recipe's sizes ask for {expected}"
        )
    return joint, axes, tensor


def _walk_style(pipeline: Pipeline, audio: Tensor) -> list[Joint]:
    sizes, (batch, frames) = pipeline.sizes, audio.shape[:2]
    mask = torch.ones(batch, frames, dtype=torch.bool)
    expression = torch.zeros(batch, frames, sizes.expression)
    posterior = pipeline.style(expression, audio, mask, torch.ones(batch, dtype=torch.bool))
    flowed = pipeline.flow(posterior.mean, posterior.context)
    decoded = pipeline.decoder(audio, flowed.z, mask).expression
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
    scene = Scene(
        background=images,
        hole=mask,
        mesh=images,
        texture=images,
        coverage=mask,
        audio=torch.zeros(batch, frames, sizes.audio),
    )
    rendered = pipeline.renderer(scene).frames
    return [("scene's pictures", "B T C Y X", images), _fit("rendered frames", "B T C Y X", rendered, *images.shape)]
