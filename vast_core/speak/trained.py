"""Load a run's trained parts into the pipeline of its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ..interfaces import SIZE_GIVEN_BY, Renderer
from ..pipeline import Pipeline
from ..registry.declarations import Part
from ..runs.weights import check_header, load_into, load_weights
from .style_model import StyleModel

__all__ = ["load_face", "load_renderer", "load_style"]


def load_face(weights: Path, pipeline: Pipeline) -> None:
    """Load the expression basis, learned by the prepare stage, from a run's folder of weights."""
    _load(pipeline.face, weights / "face.safetensors", pipeline, "face")


def load_style(weights: Path, pipeline: Pipeline) -> StyleModel:
    """The trained style model on the pipeline's device, ready to use."""
    model = StyleModel(pipeline)
    header = _load(model, weights / "style.safetensors", pipeline, "face", "audio", "style", "flow", "decoder")
    # not from the recipe: that of a packed avatar has no options of stages
    model.enhancer, model.reconstruct = header["enhancer"], header["reconstruct"]
    return model.to(pipeline.device).eval()


def load_renderer(weights: Path, pipeline: Pipeline) -> Renderer:
    """The trained renderer on the pipeline's device, ready to use."""
    _load(pipeline.renderer, weights / "renderer.safetensors", pipeline, "face", "audio", "renderer")
    return pipeline.renderer.to(pipeline.device).eval()


def _load(module: nn.Module, path: Path, pipeline: Pipeline, *kinds: Part) -> dict[str, Any]:
    """Load ``module`` from a file and return its header; only the components of ``kinds`` must be those that made it.

    Raises :class:`vast_core.errors.WeightsError` if these components or their sizes differ.
    """
    tensors, header = load_weights(path)
    made = pipeline.recipe.components()
    components: dict[str, str] = {kind: made[kind] for kind in kinds if kind in made}
    sizes = {name: width for name, width in pipeline.sizes.known().items() if SIZE_GIVEN_BY.get(name) in kinds}
    check_header(header, components, sizes, path)
    load_into(module, tensors, path)
    return header
