"""A flow by its name, apart from any pipeline."""

from __future__ import annotations

import attrs
import torch

from vast_core.errors import InputError
from vast_core.interfaces import Flow, Sizes
from vast_core.registry import Registry


def named_flow(registry: Registry, name: str, steps: int | None, *, style: int, context: int, seed: int) -> Flow:
    """A new flow for codes of width ``style``, in the defaults of its options but for ``steps``.

    Raises:
        ComponentError: where no installed flow has this name.
        InputError: where ``steps`` is given and the flow has no such option.
    """
    component = registry.get("flow", name)
    if steps is not None and "steps" not in {field.alias for field in attrs.fields(component.config)}:
        raise InputError(f"flow {name!r} has no option `steps`; leave it out, or take a flow that is a chain")
    config = component.config() if steps is None else component.config(steps=steps)
    torch.manual_seed(seed)
    flow = component.load().from_config(config, Sizes(fps=25, style=style, context=context))
    if not isinstance(flow, Flow):
        raise InputError(f"flow {name!r} of {component.provider} is no vast_core.interfaces.Flow")
    return flow
