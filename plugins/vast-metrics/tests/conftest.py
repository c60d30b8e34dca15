"""A face of 12 vertices that is only what metrics ask of a face."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vast_core.interfaces import Face, Performance, Sizes


class SmallFace(Face):
    """Vertices 0-3 lips (0 upper, 1 lower inner lip), 4-7 upper face, 8 and 9 the outer eye corners."""

    def __init__(self, millimetres: float = 10.0) -> None:
        super().__init__()
        self.triangles = np.array([[0, 1, 2]])
        self.lips = np.array([0, 1, 2, 3])
        self.upper_face = np.array([4, 5, 6, 7])
        self.millimetres = millimetres

    @classmethod
    def from_config(cls, config, sizes):
        return cls()

    def lip_opening(self, vertices):
        opening = (vertices[..., 0, :] - vertices[..., 1, :]).norm(dim=-1)
        return opening / (vertices[..., 8, :] - vertices[..., 9, :]).norm(dim=-1)

    def track(self, frames, fps):
        raise NotImplementedError

    def identity(self, tracks):
        raise NotImplementedError

    def fit(self, tracks, identities):
        raise NotImplementedError

    def encode(self, track, identity):
        raise NotImplementedError

    def decode(self, expression, identity):
        raise NotImplementedError

    def unwrap(self, frames, vertices):
        raise NotImplementedError

    def draw(self, vertices, size, texture=None):
        raise NotImplementedError


@pytest.fixture
def sizes():
    return Sizes(fps=25.0, image=64, audio=8, expression=4, lower_face=2, vertices=12, style=4, context=4)


@pytest.fixture
def face():
    return SmallFace()


@pytest.fixture
def neutral():
    return torch.randn(12, 3, generator=torch.Generator().manual_seed(7))


@pytest.fixture
def speech(neutral):
    """(100, 12, 3): the neutral face with smooth, seeded motion of every vertex."""
    time = torch.arange(100)[:, None, None] / 25.0
    draw = torch.Generator().manual_seed(3)
    speed = 1 + 4 * torch.rand(1, 12, 3, generator=draw)
    phase = 6.28 * torch.rand(1, 12, 3, generator=draw)
    return neutral + 0.3 * torch.sin(6.28 * speed * time + phase)


@pytest.fixture
def performance(face, neutral):
    def make(vertices=None, **rest):
        return Performance(**{"face": face, "fps": 25.0, "neutral": neutral, "vertices": vertices} | rest)

    return make
