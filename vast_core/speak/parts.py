"""Load a file of weights into a part of a pipeline, if the same components made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from ..interfaces import SIZE_GIVEN_BY
from ..pipeline import Pipeline
from ..registry.declarations import Part
from ..runs.weights import check_header, load_into, load_weights

__all__ = ["load_part"]


def load_part(module: nn.Module, path: Path, pipeline: Pipeline, *kinds: Part) -> dict[str, Any]:
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
