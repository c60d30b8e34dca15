"""Scenes and batches for the rules of renderers, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import attrs
import torch
from torch import Tensor

from ..interfaces import CloseUp, RendererBatch, Scene, Sizes, place
from ..mesh.close_up import REMEMBERED


def make_batch(sizes: Sizes, batch: int = 1, frames: int = 3, seed: int = 0) -> RendererBatch:
    """A training batch of smooth noise with a round hole, a smaller round mesh, and mouth and eyes inside the mesh."""
    draw, size = torch.Generator().manual_seed(seed), sizes.image

    def picture() -> Tensor:
        coarse = torch.rand(batch * frames, 3, size // 4, size // 4, generator=draw)
        return torch.nn.functional.interpolate(coarse, size=(size, size)).view(batch, frames, 3, size, size)

    def disc(radius: float) -> Tensor:
        axis = (torch.arange(size) - (size - 1) / 2) / size
        return (axis[:, None].square() + axis.square() <= radius**2).float().expand(batch, frames, 1, size, size)

    hole, coverage, mouth, real = disc(0.4).clone(), disc(0.3).clone(), disc(0.1), picture()
    scene = Scene(
        background=real * (1 - hole),
        hole=hole,
        mesh=picture() * coverage,
        texture=picture() * coverage,
        coverage=coverage,
        audio=torch.randn(batch, frames, sizes.audio, generator=draw),
        **_geometry(sizes, batch, frames, seed),
        reference=real[:, 0],
        own=picture(),
        close_up=CloseUp(
            place=torch.tensor([size / 4, size / 4, size / 2]).expand(batch, frames, 3).clone(),
            own=picture(),
            known=disc(0.4).clone(),
            remembered=torch.stack([picture() for _ in range(REMEMBERED)], dim=2),
            likeness=torch.full((batch, frames, REMEMBERED), 1 / REMEMBERED),
            lips=disc(0.2).clone(),
            opening=disc(0.1).clone(),
            region=disc(0.35).clone(),
        ),
    )
    up, down = (mouth.roll(rows * size // 6, -2).clone() for rows in (-1, 1))
    edge = size // 4
    middle = real[..., edge : size - edge, edge : size - edge].flatten(0, 1)
    enlarged = torch.nn.functional.interpolate(middle, size=(size, size), mode="bilinear").view(real.shape)
    return RendererBatch(scene=scene, frames=real, face=coverage.clone(), mouth=down, eyes=up, close_up=enlarged)


def _geometry(sizes: Sizes, batch: int, frames: int, seed: int) -> dict[str, Any]:
    """A face of points that tremble around the middle of the pictures; the first is the reference."""
    draw, size, count = torch.Generator().manual_seed(seed + 1000), sizes.image, sizes.vertices
    rest = torch.randn(batch, 1, count, 3, generator=draw)
    canonical = rest + 0.1 * torch.randn(batch, frames, count, 3, generator=draw)
    linear = 0.1 * size * torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    pose = torch.cat([linear, torch.tensor([[size / 2], [size / 2], [0.0]])], 1).expand(batch, frames, 3, 4).clone()
    return {
        "vertices": place(canonical, pose),
        "pose": pose,
        "expression": torch.randn(batch, frames, sizes.expression, generator=draw),
        "reference_vertices": place(rest, pose[:, :1])[:, 0],
    }


def sample_scene(sizes: Sizes, batch: int = 1, frames: int = 3, seed: int = 0) -> Scene:
    """The scene of :func:`make_batch`."""
    return make_batch(sizes, batch, frames, seed).scene


_TIMELESS = ("reference", "reference_vertices")
"""Fields of a scene without an axis of frames."""


def tensors_of(given: Scene | RendererBatch | CloseUp) -> Iterator[tuple[str, Tensor]]:
    """Name and value of every tensor."""
    for field in attrs.fields(type(given)):
        value = getattr(given, field.name)
        if isinstance(value, Tensor):
            yield field.name, value
        elif isinstance(value, CloseUp):
            yield from ((f"{field.name}.{name}", tensor) for name, tensor in tensors_of(value))
        elif value is not None:
            yield from tensors_of(value)


Given = TypeVar("Given", Scene, CloseUp)


def mapped(given: Given, change: Callable[[str, Tensor], Tensor]) -> Given:
    """A scene or close-up with every tensor changed."""
    fields: dict[str, Any] = {field.name: getattr(given, field.name) for field in attrs.fields(type(given))}
    for name, value in fields.items():
        if isinstance(value, Tensor):
            fields[name] = change(name, value)
        elif value is not None:
            fields[name] = mapped(value, change)
    return type(given)(**fields)


def joined(one: Given, other: Given) -> Given:
    """Two scenes as one batch."""
    fields: dict[str, Any] = {}
    for field in attrs.fields(type(one)):
        first, second = getattr(one, field.name), getattr(other, field.name)
        fields[field.name] = torch.cat([first, second]) if isinstance(first, Tensor) else joined(first, second)
    return type(one)(**fields)


def copied(scene: Scene) -> Scene:
    """A scene of copies."""
    return mapped(scene, lambda name, tensor: tensor.clone())


def part_of(scene: Scene, start: int, stop: int, axis: int = 1) -> Scene:
    """Part of a scene, from ``start`` to ``stop`` along an axis."""
    whole = _TIMELESS if axis == 1 else ()
    return mapped(
        scene, lambda name, value: value.clone() if name in whole else value.narrow(axis, start, stop - start).clone()
    )
