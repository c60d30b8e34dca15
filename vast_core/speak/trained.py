"""Load a run's trained parts into the pipeline of its recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..interfaces import Renderer
from ..pipeline import Pipeline
from .parts import load_part
from .style_model import StyleModel

__all__ = ["load_face", "load_renderer", "load_style", "load_style_file"]


def load_face(weights: Path, pipeline: Pipeline) -> None:
    """Load the expression basis, learned by the prepare stage, from a run's folder of weights."""
    load_part(pipeline.face, weights / "face.safetensors", pipeline, "face")


def load_style(weights: Path, pipeline: Pipeline) -> StyleModel:
    """The trained style model on the pipeline's device, ready to use."""
    model = StyleModel(pipeline)
    header = load_style_file(weights / "style.safetensors", model, pipeline)
    # not from the recipe: that of a packed avatar has no options of stages
    model.enhancer, model.reconstruct = header["enhancer"], header["reconstruct"]
    return model.to(pipeline.device).eval()


def load_style_file(file: Path, model: StyleModel, pipeline: Pipeline) -> dict[str, Any]:
    """Load weights that the style stage of any run wrote into ``model``; returns their header."""
    return load_part(model, file, pipeline, "face", "audio", "style", "flow", "decoder")


def load_renderer(weights: Path, pipeline: Pipeline) -> Renderer:
    """The trained renderer on the pipeline's device, ready to use."""
    load_part(pipeline.renderer, weights / "renderer.safetensors", pipeline, "face", "audio", "renderer")
    return pipeline.renderer.to(pipeline.device).eval()
