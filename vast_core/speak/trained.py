"""A run's trained parts, read into the pipeline that its recipe describes."""

from __future__ import annotations

from pathlib import Path

from ..interfaces import Renderer
from ..pipeline import Pipeline
from ..runs.weights import load_into, load_weights
from .style_model import StyleModel


def load_face(weights: Path, pipeline: Pipeline) -> None:
    """Load the expression basis that the prepare stage learned, from a run's folder of weights."""
    path = weights / "face.safetensors"
    load_into(pipeline.face, load_weights(path)[0], path)


def load_style(weights: Path, pipeline: Pipeline) -> StyleModel:
    """The trained style model on the pipeline's device, ready to use."""
    path = weights / "style.safetensors"
    model = StyleModel(pipeline)
    load_into(model, load_weights(path)[0], path)
    return model.to(pipeline.device).eval()


def load_renderer(weights: Path, pipeline: Pipeline) -> Renderer:
    """The trained renderer on the pipeline's device, ready to use."""
    path = weights / "renderer.safetensors"
    load_into(pipeline.renderer, load_weights(path)[0], path)
    return pipeline.renderer.to(pipeline.device).eval()
