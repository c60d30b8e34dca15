"""A face with a new expression, drawn into a frame of the avatar's footage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from .crops import Crop, Floats, Image, hull_mask
from .hearing import Expression
from .meshes import Raster
from .mouths import Mouths
from .packed import Arrays, Packed
from .playing import play
from .warping import with_face


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that is needed to draw one frame, but for the renderer."""

    given: Arrays
    """Inputs of the renderer."""
    under: Image
    """(Y, X, 3): what the drawn picture is pasted over."""
    crop: Crop
    """Where it is pasted."""
    weight: Floats
    """(y, x): how much it counts there."""


class Artist:
    """Draws an avatar, frame after frame of its footage."""

    def __init__(self, packed: Packed) -> None:
        facts, tables = packed.facts, packed.tables
        self._packed, self._mesh = packed, tables
        self._crop = Crop(**facts["crop"])
        self._face, self._renderer = packed.graph("face"), packed.graph("renderer")
        self._mouths = Mouths(facts["mouth"], tables) if facts["draws_close_up"] else None
        poses = tables["pose"]
        self._rest = poses[int(np.square(poses - poses.mean(0)).sum((1, 2)).argmin())]
        self._reference: Floats = np.asarray(tables["reference"] / np.float32(255), np.float32)

    def prepared(self, faces: Iterator[Expression]) -> Iterator[Prepared]:
        """The frames in which the avatar has these faces, ready to be drawn."""
        footage = play(self._packed)
        for face, (number, picture) in zip(faces, footage, strict=False):
            yield self._prepare(face, number, picture)

    def drawn(self, prepared: Iterator[Prepared]) -> Iterator[Image]:
        """The finished frames (Y, X, 3)."""
        state = self._renderer.start()
        for ready in prepared:
            found = self._renderer.run(ready.given, state)
            picture = found["close_up" if self._mouths else "frames"][0, 0].clip(0, 1)
            image = np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0)
            yield ready.crop.paste(ready.under, np.ascontiguousarray(image), ready.weight)

    def _prepare(self, face: Expression, number: int, picture: Image) -> Prepared:
        pose = self._mesh["pose"][number] if face.motion is None else self._moved(face.motion)
        given = {"expression": face.coefficients, "played": np.array([number]), "pose": pose[None]}
        found = self._face.run({name: given[name] for name in self._face.inputs})
        after, before = found["vertices"][0], found["before"][0]
        scene = _Scene(self, face, pose, picture, before, after)
        if self._mouths is None:
            hole = scene.hole()
            return Prepared(scene.fields(self._renderer.inputs), picture, self._crop, _feathered(hole))
        close_up = self._mouths.close_up(picture, before, after, pose, float(found["opening"][0]))
        own = with_face(picture, before, after, self._mesh)
        fields = scene.fields(self._renderer.inputs, close_up)
        return Prepared(fields, own, self._mouths.crop(pose), close_up["region"][0])

    def _moved(self, motion: Floats) -> Floats:
        """The pose (3, 4) of a head that has moved from its rest."""
        pose = self._rest[:, :3] @ motion
        pose[:, 3] += self._rest[:, 3]
        return np.asarray(pose)


class _Scene:
    """One frame, as a renderer sees it; each field is made only if the renderer reads it."""

    def __init__(
        self, artist: Artist, face: Expression, pose: Floats, picture: Image, before: Floats, after: Floats
    ) -> None:
        self._artist, self._facts, self._mesh = artist, artist._packed.facts, artist._mesh
        self._face, self._pose, self._picture = face, pose, picture
        self._before, self._now = artist._crop.vertices(before), artist._crop.vertices(after)
        self._drawing: tuple[Image, Image, Image] | None = None
        self._hole: Floats | None = None

    def fields(self, names: list[str], close_up: dict[str, NDArray[Any]] | None = None) -> Arrays:
        """The inputs of a renderer, of one scene of one frame."""
        found: Arrays = {}
        for name in names:
            if name == "close_up_place":
                value = self._place()
            elif name.startswith("close_up_") and close_up is not None:
                value = close_up[name.removeprefix("close_up_")]
            else:
                value = getattr(self, name)()
            value = np.ascontiguousarray(value, np.float32)
            found[name] = value[None] if name.startswith("reference") else value[None, None]
        return found

    def audio(self) -> Floats:
        return self._face.audio

    def expression(self) -> Floats:
        return np.asarray(self._face.coefficients[0])

    def vertices(self) -> Floats:
        return self._now

    def pose(self) -> Floats:
        return self._artist._crop.pose(self._pose)

    def reference(self) -> Floats:
        return self._artist._reference

    def reference_vertices(self) -> Floats:
        return np.asarray(self._mesh["reference_vertices"], np.float32)

    def mesh(self) -> Floats:
        return np.asarray(self._drawn()[0].astype(np.float32) / 255, np.float32)

    def texture(self) -> Floats:
        return _channels_first(self._drawn()[1])

    def coverage(self) -> Floats:
        return np.asarray(self._drawn()[2][None], np.float32)

    def background(self) -> Floats:
        return np.asarray(_channels_first(self._artist._crop.cut(self._picture)) * (1 - self.hole()), np.float32)

    def hole(self) -> Floats:
        """Where the face is taken out of the footage: its own face and the new one must be covered."""
        if self._hole is None:
            size, radius = self._artist._crop.size, self._facts["erosion"]
            hull = np.maximum(hull_mask(self._before, size), hull_mask(self._now, size))
            grown = np.asarray(cv2.dilate(hull, np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)))
            self._hole = np.asarray(np.maximum(grown[None].astype(np.float32), self.coverage()), np.float32)
        return self._hole

    def _drawn(self) -> tuple[Image, Image, Image]:
        """The shaded mesh (3, Y, X), the textured one (Y, X, 3) with eyes, and where it is (Y, X)."""
        if self._drawing is None:
            size, mesh = self._artist._crop.size, self._mesh
            face = Raster.of(self._now, mesh["triangles"], size)
            eyes = Raster.of(self._now, mesh["between_lids"], size)
            bright = np.rint(face.shaded(self._now) * 255).astype(np.uint8)
            textured = np.where(
                face.coverage[..., None],
                face.textured(mesh["uv"], mesh["texture"]),
                eyes.textured(mesh["uv"], mesh["texture"]),
            )
            cover = (face.coverage | eyes.coverage).astype(np.uint8)
            self._drawing = np.broadcast_to(bright, (3, size, size)), textured, cover
        return self._drawing

    def _place(self) -> Floats:
        """The mouth's square: x, y and side, in pixels of the scene."""
        mouths = self._artist._mouths
        if mouths is None:
            raise TypeError("a renderer that draws no close-up asks for the place of one")
        crop = mouths.crop(self.pose())
        return np.array([crop.x, crop.y, crop.side], np.float32)


def _channels_first(image: Image) -> Floats:
    """A picture (Y, X, 3) as (3, Y, X) in [0, 1]."""
    return np.asarray(image.transpose(2, 0, 1).astype(np.float32) / 255, np.float32)


def _feathered(hole: Floats) -> Floats:
    """Weights (Y, X) that fall to 0 just inside the edge of the hole (1, Y, X)."""
    width = 2 * max(1, hole.shape[-1] // 64) + 1
    inner = cv2.erode(hole[0], np.ones((width, width), np.uint8), borderValue=0.0)
    return np.asarray(cv2.GaussianBlur(inner, (width, width), 0), np.float32)
