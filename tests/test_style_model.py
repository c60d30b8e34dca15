"""Scaling of audio features in the style stage."""

import pytest
import torch

from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.speak.style_model import StyleModel


@pytest.fixture(scope="module")
def pipeline():
    registry = Registry.discover()
    return assemble(load_recipe("vast_tiny", registry, ["audio={use: mel}"]), registry)


def footage(pipeline):
    """Two clips whose first feature varies like 0.8 of most, and whose second is never heard."""
    chance = torch.Generator().manual_seed(0)
    rows = []
    for _ in range(2):
        audio = 0.1 * torch.randn(200, pipeline.sizes.audio, generator=chance)
        audio[:, 0] *= 0.8
        audio[:, 1] = 0.0
        face = torch.randn(200, pipeline.sizes.expression, generator=chance)
        rows.append((face, audio, torch.ones(200, dtype=torch.bool)))
    return rows


def test_features_are_standardised_and_what_was_never_heard_does_not_come_a_hundredfold(pipeline):
    rows = footage(pipeline)
    model = StyleModel(pipeline)
    model.expect(rows, rows)
    heard = model.hear(torch.cat([audio for _, audio, _ in rows]))
    assert torch.allclose(heard.mean(0), torch.zeros(pipeline.sizes.audio), atol=1e-4)
    assert torch.allclose(heard[:, [0, *range(2, pipeline.sizes.audio)]].std(0), torch.ones(1), atol=1e-3)
    new = torch.zeros(1, pipeline.sizes.audio)
    new[0, 1] = 1.0  # ten deviations of the others, were it one of them
    assert 10 < float(model.hear(new)[0, 1]) < 25
