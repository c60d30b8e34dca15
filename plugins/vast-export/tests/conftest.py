"""An avatar's style model with weights that make every part of it matter, and a sound."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.speak.style_model import StyleModel


@pytest.fixture(scope="module")
def cast():
    registry = Registry.discover()
    pipeline = assemble(load_recipe("vast_tiny", registry), registry)
    pipeline.audio.eval()
    model = StyleModel(pipeline).eval()
    with torch.no_grad():  # off the start, where much of the model is zero
        for parameter in [*model.decoder.parameters(), *model.style.parameters(), *model.flow.parameters()]:
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    model.audio_mean.fill_(0.02)
    model.audio_std.fill_(0.1)
    return SimpleNamespace(pipeline=pipeline, model=model)


@pytest.fixture(scope="module")
def heard(cast):
    """A sound of 2.7 s, and its features (1, T, A)."""
    chance = np.random.default_rng(0)
    wave = (0.1 * chance.standard_normal(43_360) * np.sin(np.arange(43_360) / 3000)).astype(np.float32)
    with torch.no_grad():
        return wave, cast.pipeline.audio(torch.from_numpy(wave)[None], 68)
