"""How a speaker looks: skin, hair and surroundings, and the drawing of frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.canonical import canonical_face
from vast_core.rasterise import rasterise, shade, vertex_normals


@attrs.frozen(kw_only=True)
class Look:
    """Colours."""

    skin: tuple[float, float, float] = (0.85, 0.65, 0.55)

    @classmethod
    def draw(cls, index: int, pitch: float, generator: np.random.Generator) -> Self:
        """A speaker's look."""
        return cls()


class Portrait:
    """Draws one speaker."""

    def __init__(self, shape: NDArray[np.float64], look: Look, image: int, scale: float, supersampling: int) -> None:
        self.look, self.image = look, image

    def draw(
        self, vertices: NDArray[np.float32], pose: NDArray[np.float64], controls: Mapping[str, float]
    ) -> NDArray[np.uint8]:
        """One frame (Y, X, 3)."""
        face = canonical_face()
        raster = rasterise(vertices, face.triangles, (self.image, self.image))
        light = shade(raster, face.triangles, vertex_normals(vertices, face.triangles))
        return (255 * light[..., None] * np.array(self.look.skin)).astype(np.uint8)
