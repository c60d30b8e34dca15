"""A flow by its name, without a pipeline."""

from __future__ import annotations

import attrs
import torch

from vast_core.errors import InputError
from vast_core.interfaces import Flow, Sizes
from vast_core.registry import Registry


def named_flow(registry: Registry, name: str, steps: int | None, *, style: int, context: int, seed: int) -> Flow:
    """A new flow for codes of width ``style``, with default options except for ``steps``.

    Raises:
        ComponentError: if no installed flow has this name.
        InputError: if ``steps`` is given and the flow has no such option.
    """
    component = registry.get("flow", name)
    if steps is not None and "steps" not in {field.alias for field in attrs.fields(component.config)}:
        raise InputError(f"flow {name!r} has no option `steps`; omit it, or choose a flow that is a chain")
    config = component.config() if steps is None else component.config(steps=steps)
    torch.manual_seed(seed)
    flow = component.load().from_config(config, Sizes(fps=25, style=style, context=context))
    if not isinstance(flow, Flow):
        raise InputError(f"flow {name!r} of {component.provider} is not a vast_core.interfaces.Flow")
    return flow
