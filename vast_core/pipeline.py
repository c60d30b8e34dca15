"""From a recipe to assembled components."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Self, cast

import attrs
import torch
from torch import nn

from .errors import InputError
from .files.remote import fetched
from .interfaces import (
    OPTIONAL_SIZES,
    SIZE_GIVEN_BY,
    AudioFeatures,
    Corpus,
    Decoder,
    Face,
    Flow,
    Metric,
    Renderer,
    Sizes,
    StyleEncoder,
)
from .recipe.model import Recipe, Use
from .registry.declarations import Part
from .registry.registry import Registry
from .runs.keys import paths_in

__all__ = [
    "NETWORKS",
    "Pipeline",
    "assemble",
    "work_out_sizes",
]

NETWORKS: tuple[Part, ...] = ("face", "audio", "style", "flow", "decoder", "renderer")
"""The parts that are networks. The position of a part here determines its initial weights."""


@attrs.define(eq=False, slots=False)
class Pipeline:
    """The assembled components of a recipe. The corpus is made on first use, because it may touch files.

    Accessing a part that the recipe lacks raises :class:`RecipeError`.
    """

    recipe: Recipe
    sizes: Sizes
    parts: Mapping[Part, nn.Module]
    """The components that are networks, by kind."""
    metrics: tuple[Metric, ...]
    device: torch.device = attrs.field(init=False, factory=lambda: torch.device("cpu"))
    """Device of all parts except the face; see :meth:`to`."""

    def to(self, device: torch.device, *, face: torch.device | None = None) -> Self:
        """Move the parts to their devices, in evaluation mode; returns the pipeline itself.

        All parts go to ``device``, except the face, which draws and decodes on the CPU. Training that needs a gradient
        through ``face.decode`` passes ``face=device``.
        """
        self.device = device
        for kind, part in self.parts.items():
            part.to((face or torch.device("cpu")) if kind == "face" else device).eval()
        return self

    @cached_property
    def corpus(self) -> Corpus:
        """Source of the clips."""
        return cast(Corpus, make(self.recipe.part("corpus"), self.sizes))

    @property
    def face(self) -> Face:
        """Tracks, encodes and draws faces."""
        return cast(Face, self._part("face"))

    @property
    def audio(self) -> AudioFeatures:
        """Computes audio features."""
        return cast(AudioFeatures, self._part("audio"))

    @property
    def style(self) -> StyleEncoder:
        """Encodes the style of a prompt."""
        return cast(StyleEncoder, self._part("style"))

    @property
    def flow(self) -> Flow:
        """Maps the style code."""
        return cast(Flow, self._part("flow"))

    @property
    def decoder(self) -> Decoder:
        """Decodes audio and style to expression."""
        return cast(Decoder, self._part("decoder"))

    @property
    def renderer(self) -> Renderer:
        """Draws the avatar."""
        return cast(Renderer, self._part("renderer"))

    def _part(self, kind: Part) -> nn.Module:
        self.recipe.part(kind)
        return self.parts[kind]


def make(use: Use, sizes: Sizes) -> Any:
    """Make the component that a recipe names, with its options; what they name by URL is fetched."""
    for path in paths_in(use.config):
        fetched(path)
    return use.component.load().from_config(use.config, sizes)


def work_out_sizes(recipe: Recipe) -> Sizes:
    """Collect every width that the recipe's parts give, from their configs.

    Raises :class:`InputError` if two parts give the same width, or a part does not give a width that it must give.
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
        if owner is not None and name not in given and name not in OPTIONAL_SIZES:
            raise InputError(f"{giver} {owner.component.name!r} lacks the size {name!r} in sizes() of its config")
    return Sizes(fps=recipe.fps, **{name: width for name, (_, width) in given.items()})


def assemble(recipe: Recipe, registry: Registry) -> Pipeline:
    """Build every component that ``recipe`` names; initial weights depend on ``recipe.seed``."""
    sizes = work_out_sizes(recipe)
    parts: dict[Part, nn.Module] = {}
    for number, kind in enumerate(NETWORKS):
        use = recipe.use(kind)
        if use is not None:
            torch.manual_seed(recipe.seed * 1_009 + number)  # a part's initial weights do not depend on others
            parts[kind] = make(use, sizes)
    metrics = tuple(make(use, sizes) for use in recipe.metrics)
    pipeline = Pipeline(recipe=recipe, sizes=sizes, metrics=metrics, parts=parts)
    registry.notify("vast_pipeline_built", pipeline=pipeline, recipe=recipe)
    return pipeline
