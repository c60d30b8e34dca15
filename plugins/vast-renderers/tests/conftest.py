"""Scenes to draw, small and made from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from vast_core.interfaces import RendererBatch, Scene, Sizes

AUDIO = 5


@pytest.fixture
def sizes() -> Sizes:
    return Sizes(fps=25.0, image=32, audio=AUDIO, expression=6, lower_face=3, vertices=9, style=4, context=4)


def _disc(size: int, radius: float) -> Tensor:
    axis = torch.arange(size) - (size - 1) / 2
    return ((axis[:, None].square() + axis.square()) <= radius**2).float()


@pytest.fixture
def make_batch() -> Callable[..., RendererBatch]:
    """Frames of noise with a disc of a hole, a smaller disc of a mesh, and in that a mouth and an eye."""

    def make(frames: int, batch: int = 1, size: int = 32, seed: int = 0) -> RendererBatch:
        generator = torch.Generator().manual_seed(seed)
        shape = (batch, frames)

        def noise(*more: int) -> Tensor:
            return torch.rand(*shape, *more, generator=generator)

        hole = _disc(size, 0.4 * size).expand(*shape, 1, size, size)
        coverage = _disc(size, 0.3 * size).expand(*shape, 1, size, size)
        real = noise(3, size, size)
        scene = Scene(
            background=real * (1 - hole),
            hole=hole,
            mesh=noise(3, size, size) * coverage,
            texture=noise(3, size, size) * coverage,
            coverage=coverage,
            audio=noise(AUDIO),
        )
        mouth = _disc(size, 0.1 * size).expand(*shape, 1, size, size)
        eyes = mouth.roll(-(size // 5), dims=-2)
        return RendererBatch(scene=scene, frames=real, face=coverage, mouth=mouth, eyes=eyes)

    return make


@pytest.fixture
def cut() -> Callable[..., Scene]:
    """The frames ``start`` to ``stop`` of a scene."""

    def slice_scene(scene: Scene, start: int, stop: int) -> Scene:
        return Scene(
            background=scene.background[:, start:stop],
            hole=scene.hole[:, start:stop],
            mesh=scene.mesh[:, start:stop],
            texture=scene.texture[:, start:stop],
            coverage=scene.coverage[:, start:stop],
            audio=scene.audio[:, start:stop],
        )

    return slice_scene


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Tensors this small lose more to the handing out of work than they gain, most of all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
