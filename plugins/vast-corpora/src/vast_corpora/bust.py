"""Geometry around and behind the face: eyes, teeth, tongue, ears, hair and neck, in one mesh with the face.

All lengths are in canonical centimetres. Parts are drawn in layers, from the hair behind the neck to the face, which
has holes at mouth and eyes. All proportions are our choice.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import numpy as np
from numpy.typing import NDArray

from vast_core.mesh import canonical_face

from .head import turn_jaw
from .look import Look
from .texture import CAVITY, COLLAR, CURTAIN, EAR, EYE, FACE, LOWER_TEETH, NECK, SHELL, TONGUE, UPPER_TEETH, Patch

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

_CURTAIN, _EAR, _NECK, _COLLAR, _SHELL, _CAVITY, _LOWER, _TONGUE, _UPPER, _EYE, _FACE, _LOCK = range(12)
"""Layers, from back to front."""

EYE_RADIUS = 1.25
_RINGS = 6


@attrs.frozen(kw_only=True, eq=False)
class _Part:
    """A part of the mesh at its neutral place."""

    vertices: Array
    triangles: Indices
    uv: NDArray[np.float32]
    layer: int
    follow: Array | float = 1.0
    """How far each vertex moves with the head rather than the shoulders, in [0, 1]."""
    shine: Array | float = 0.0
    shade: Array | float = 1.0
    """Fraction of the light that reaches each vertex."""


def _lattice(rows: int, columns: int) -> Array:
    """(u, v) in [0, 1] of the vertices of a lattice, row by row: (rows * columns, 2)."""
    v, u = np.meshgrid(np.linspace(0, 1, rows), np.linspace(0, 1, columns), indexing="ij")
    return np.stack([u.ravel(), v.ravel()], axis=1)


def _cells(rows: int, columns: int) -> Indices:
    """Two triangles per cell of a lattice."""
    index = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = index[:-1, :-1].ravel(), index[:-1, 1:].ravel(), index[1:, :-1].ravel(), index[1:, 1:].ravel()
    return np.concatenate([np.stack([a, c, b], axis=1), np.stack([b, c, d], axis=1)])


def _sheet(
    rows: int,
    columns: int,
    vertices: Array,
    patch: Patch,
    layer: int,
    *,
    follow: Array | float = 1.0,
    shine: float = 0.0,
    shade: Array | float = 1.0,
) -> _Part:
    """A lattice of ``vertices`` (rows * columns, 3) facing the viewer."""
    triangles = _cells(rows, columns)
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    if float(np.cross(b - a, c - a)[:, 2].sum()) < 0:
        triangles = triangles[:, ::-1]
    uv = patch.place(_lattice(rows, columns))
    return _Part(vertices=vertices, triangles=triangles, uv=uv, layer=layer, follow=follow, shine=shine, shade=shade)


class Bust:
    """The complete head of one speaker."""

    def __init__(self, shape: Array, look: Look) -> None:
        self.face = canonical_face()
        self.shape, self.look = shape, look
        self.oval = self.face.face_oval
        parts = {
            "face": _Part(
                vertices=shape,
                triangles=self.face.triangles,
                uv=FACE.place(self.face.uv),
                layer=_FACE,
                shine=self._gloss(),
            ),
            "cavity": _Part(
                vertices=shape,
                triangles=self.face.fillers[:18],
                uv=CAVITY.place(np.full((len(shape), 2), 0.5)),
                layer=_CAVITY,
            ),
            "shell": self._shell(),
            "neck": self._neck(),
            "collar": self._collar(),
            "upper": self._teeth(upper=True),
            "lower": self._teeth(upper=False),
            "tongue": self._tongue(),
        }
        for side in (-1.0, 1.0):
            parts[f"eye{side:+.0f}"] = self._eye(side)
            if look.length < 0.5:
                parts[f"ear{side:+.0f}"] = self._ear(side)
            else:
                parts[f"lock{side:+.0f}"] = self._lock(side)
        if look.length >= 0.5:
            parts["curtain"] = self._curtain()
        self.slices: dict[str, slice] = {}
        start = 0
        for name, part in parts.items():
            self.slices[name] = slice(start, start + len(part.vertices))
            start += len(part.vertices)

        def spread(value: str) -> Array:
            return np.concatenate([np.broadcast_to(getattr(p, value), len(p.vertices)) for p in parts.values()])

        self.neutral = np.concatenate([part.vertices for part in parts.values()])
        self.triangles = np.concatenate([p.triangles + self.slices[n].start for n, p in parts.items()])
        self.uv = np.concatenate([part.uv for part in parts.values()])
        self.layer, self.follow = spread("layer"), spread("follow")
        self.shine, self.shade = spread("shine"), spread("shade")
        self.turning = {
            name: (self.neutral[self.slices[name]], np.ones(len(parts[name].vertices))) for name in ("lower", "tongue")
        }

    def assemble(self, face: Array, controls: Mapping[str, float], gaze: tuple[float, float]) -> tuple[Array, Array]:
        """Canonical vertices (N, 3) of all parts, and the light (N,) that reaches them.

        ``face`` (V, 3) is the deformed face; ``gaze`` turns the eyes by (right, up) radians.
        """
        vertices, shade = self.neutral.copy(), self.shade.copy()
        vertices[self.slices["face"]] = vertices[self.slices["cavity"]] = face
        jaw = np.array([controls["jaw"]])
        for name, (points, share) in self.turning.items():
            vertices[self.slices[name]] = turn_jaw(points, share, jaw)[0]
        rim = (face - self.shape)[self.oval]
        shell = self.slices["shell"]
        # Parts attached to the rim of the face move with it, less and less toward the back.
        fade = np.linspace(1.0, 0.0, _RINGS) ** 0.7
        rim = np.concatenate([rim, rim[:1]])
        vertices[shell] += (fade[:, None, None] * rim).reshape(-1, 3)
        opening = float(np.linalg.norm(face[13] - face[14]))
        inside = 0.34 + 0.66 * min(opening / 1.3, 1.0)
        for name in ("upper", "lower", "tongue"):
            shade[self.slices[name]] *= inside
        for side, name in ((-1.0, "eye-1"), (1.0, "eye+1")):
            part = self.slices[name]
            centre = self._eye_centre(side)
            offset = vertices[part] - centre
            right, up = gaze
            offset = offset @ np.array(
                [[np.cos(right), 0, -np.sin(right)], [0, 1, 0], [np.sin(right), 0, np.cos(right)]]
            )
            offset = offset @ np.array([[1, 0, 0], [0, np.cos(up), -np.sin(up)], [0, np.sin(up), np.cos(up)]])
            vertices[part] = centre + offset
            ring = self.face.eye_right if side < 0 else self.face.eye_left
            lid = face[ring[9:16], 1].max()
            shade[part] *= np.clip(1.0 - 0.55 * np.exp(-(lid - vertices[part][:, 1]) / 0.16), 0.4, 1.0)
        return vertices, shade

    # ------------------------------------------------------------------------------------------ parts

    def _gloss(self) -> Array:
        gloss = np.ones(len(self.shape))
        gloss[self.face.lips] = 2.2
        gloss[self.face.lips_inner] = 1.0
        return gloss

    def _eye_centre(self, side: float) -> Array:
        ring = self.shape[self.face.eye_right if side < 0 else self.face.eye_left]
        front = ring.mean(axis=0)
        return np.asarray(front + np.array([0.0, -0.02, 0.02 - EYE_RADIUS]))

    def _eye(self, side: float) -> _Part:
        uv = _lattice(13, 13)
        across, up = (uv[:, 0] - 0.5) * 2.4, (0.5 - uv[:, 1]) * 2.4
        direction = np.stack([np.sin(across), np.cos(across) * np.sin(up), np.cos(across) * np.cos(up)], axis=1)
        place = self._eye_centre(side) + EYE_RADIUS * direction
        return _sheet(13, 13, place, EYE, _EYE, shine=0.6)

    def _teeth(self, upper: bool) -> _Part:
        corner = self.shape[[78, 308]]
        line = float(self.shape[13, 1])  # where the lips meet
        depth = float(self.shape[13, 2]) - 0.75
        columns = 17
        across = np.linspace(-1.0, 1.0, columns)
        half = 0.92 * float(corner[1, 0]) if upper else 0.80 * float(corner[1, 0])
        x = half * across
        z = depth - (0.0 if upper else 0.22) - 0.40 * x**2 / half * 1.25
        edge, root = (line - 0.30, line + 1.0) if upper else (line - 0.38, line - 1.45)
        # Texture runs from the gum (v = 0) to the biting edge (v = 1).
        rows = []
        for v in np.linspace(0.0, 1.0, 3):
            y = root + (edge - root) * v + (0.10 if upper else -0.05) * across**2 * v
            rows.append(np.stack([x, np.broadcast_to(y, x.shape), z], axis=1))
        place = np.concatenate(rows)
        patch, layer = (UPPER_TEETH, _UPPER) if upper else (LOWER_TEETH, _LOWER)
        shade = np.tile(1.0 - 0.45 * np.abs(across) ** 2.5, 3) * (1.0 if upper else 0.85)
        return _sheet(3, columns, place, patch, layer, shade=shade, shine=0.5)

    def _tongue(self) -> _Part:
        line, depth = float(self.shape[14, 1]), float(self.shape[14, 2])
        uv = _lattice(5, 9)
        across = 2 * uv[:, 0] - 1
        x = 1.15 * across * (1 - 0.15 * uv[:, 1])
        y = line - 0.55 - 0.55 * uv[:, 1] - 0.25 * across**2
        z = depth - 2.2 + 1.0 * uv[:, 1]
        return _sheet(5, 9, np.stack([x, y, z], 1), TONGUE, _TONGUE, shade=0.35 + 0.4 * uv[:, 1])

    def _ear(self, side: float) -> _Part:
        rows, columns = 5, 13
        uv = _lattice(rows, columns)
        turn, radius = 2 * np.pi * uv[:, 0], uv[:, 1]
        rim = self.shape[self.oval]
        edge = float(np.abs(rim[:, 0]).max())
        out, up = np.cos(turn), np.sin(turn)
        narrow = np.where(up < 0, 1.0 + 0.28 * up, 1.0)
        x = side * (edge - 0.15 + 1.05 * radius * out * narrow + 0.10 * up * radius)
        y = 0.75 + 2.25 * radius * up
        z = -2.6 - 0.9 * radius * out + 0.35 * np.cos(np.pi * radius)
        local = np.stack([0.5 + 0.5 * radius * out, 0.5 - 0.5 * radius * up], axis=1)
        part = _sheet(rows, columns, np.stack([x, y, z], 1), EAR, _EAR, shade=0.86)
        return attrs.evolve(part, uv=EAR.place(local))

    def _shell(self) -> _Part:
        """Rings from the rim of the face outward and backward: hair above, the underside of the jaw below."""
        rim = self.shape[self.oval]
        rim = np.concatenate([rim, rim[:1]])
        x, y = rim[:, 0], rim[:, 1]
        out = np.stack([x, np.maximum(y - 0.5, -3.0)], axis=1)
        out /= np.linalg.norm(out, axis=1, keepdims=True)
        top = np.clip((y - 1.0) / 4.0, 0.0, 1.0)
        low = np.clip((-y - 2.0) / 4.0, 0.0, 1.0)
        # Long hair falls beside the cheeks; there is none under the chin.
        beside = (
            self.look.length * np.clip((np.abs(x) - 3.5) / 2.5, 0.0, 1.0) * (1 - top) * np.clip((y + 6.5) / 3.0, 0, 1)
        )
        low *= 1 - beside
        # Above, the rings end on an ellipse, because heads are rounder than the rim of the face.
        half, height = float(np.abs(x).max()), float(y.max()) - 1.0
        turn = np.arctan2((y - 1.0) / height, x / half)
        crown = np.stack([(half + 0.35) * np.cos(turn), 1.0 + (height + 1.0) * np.sin(turn)], axis=1) - rim[:, :2]
        sideways = 0.8 if self.look.length >= 0.5 else 0.2 + 0.8 * np.sin(turn).clip(0.0, 1.0) ** 2
        volume = self.look.volume * (top * sideways + 0.75 * beside) + 0.25 * (1 - low)
        rings = []
        for step in np.linspace(0.0, 1.0, _RINGS):
            swell = np.sin(step * np.pi / 2 * 1.15)
            ring = rim.copy()
            ring[:, :2] += out * (volume * swell * (1 - low))[:, None]
            ring[:, :2] += crown * (top * swell)[:, None]
            ring[:, 2] -= 5.0 * step**1.5
            under = np.stack([-0.10 * x * step, 0.9 * step + 0 * x, -3.2 * step + 5.0 * step**1.5 + 0 * x], axis=1)
            ring += low[:, None] * under
            rings.append(ring)
        place = np.concatenate(rings)
        triangles = _cells(_RINGS, 37)
        a, b, c = (place[triangles[:, k]] for k in range(3))
        middle = (a + b + c) / 3 - np.array([0.0, 0.0, -2.0])
        wrong = np.einsum("ij,ij->i", np.cross(b - a, c - a), middle) < 0
        triangles[wrong] = triangles[wrong][:, ::-1]
        shade = np.repeat(np.linspace(1.0, 0.72, _RINGS), 37) * np.tile(1.0 - 0.35 * low, _RINGS)
        return _Part(
            vertices=place,
            triangles=triangles,
            uv=SHELL.place(_lattice(_RINGS, 37)),
            layer=_SHELL,
            shade=shade,
            shine=0.25,
        )

    def _neck(self) -> _Part:
        rows, columns = 9, 21
        uv = _lattice(rows, columns)
        turn = (uv[:, 0] - 0.5) * np.radians(220)
        down = uv[:, 1]
        radius = (
            self.look.neck + 0.9 * (down - 0.35) ** 2 + 1.1 * np.maximum(down - 0.7, 0) / 0.3 * np.abs(np.sin(turn))
        )
        y = -5.0 - 10.2 * down - 0.7 * np.cos(turn) * down
        place = np.stack([1.02 * radius * np.sin(turn), y, -2.6 + radius * np.cos(turn)], axis=1)
        shadow = 0.50 + 0.50 * np.clip((-y - 8.8) / 4.0, 0.0, 1.0)
        follow = np.clip(1.0 - down / 0.85, 0.0, 1.0) ** 1.2
        return _sheet(rows, columns, place, NECK, _NECK, follow=follow, shade=shadow, shine=0.5)

    def _collar(self) -> _Part:
        rows, columns = 4, 21
        uv = _lattice(rows, columns)
        turn = (uv[:, 0] - 0.5) * np.radians(230)
        down = uv[:, 1]
        radius = self.look.neck + 1.0 + 0.5 * np.sin(np.pi * down) + 1.1 * np.abs(np.sin(turn)) + 0.6 * down
        y = -13.6 - 1.9 * np.maximum(np.cos(turn), -0.2) - 1.0 * down
        place = np.stack([radius * np.sin(turn), y, -2.2 + radius * np.cos(turn)], axis=1)
        return _sheet(rows, columns, place, COLLAR, _COLLAR, follow=0.0)

    def _lock(self, side: float) -> _Part:
        """Hair that falls from the parting over the temple and beside the cheek."""
        rows, columns = 25, 7
        uv = _lattice(rows, columns)
        rim = self.shape[self.oval]
        half, top = float(np.abs(rim[:, 0]).max()), float(rim[:, 1].max())
        part = self.look.parting
        end = -4.5 - 8.5 * self.look.length
        down, across = uv[:, 1], uv[:, 0]
        knots = np.array([0.0, 0.14, 0.28, 0.42, 0.58, 0.78, 1.0])
        reach = half / 7.7
        inner_x = np.array([part * side, 3.4, 5.9, 6.75, 7.0, 7.1, 7.3]) * reach
        outer_x = np.array([part * side, 4.6, 7.4, 8.7, 9.2, 9.4, 8.7]) * reach + np.linspace(0, 1, 7) * (
            self.look.volume - 1.5
        )
        inner_y = np.array([top + 0.1, top - 1.1, top - 3.6, 1.5, -2.5, 0.5 * (end - 2.5), end])
        outer_y = np.array([top + 1.2, top + 0.7, top - 2.4, 1.8, -2.2, 0.5 * (end - 2.5), end + 0.5])
        depth = np.array([4.4, 4.3, 3.2, 1.6, 0.6, 0.4, 0.8])

        def along(values: Array) -> Array:
            # A polynomial through the knots: the corners of a polyline would show in the lighting.
            return np.asarray(np.polynomial.Polynomial.fit(knots, values, 6)(down))

        x = along(inner_x) * (1 - across) + along(outer_x) * across
        y = along(inner_y) * (1 - across) + along(outer_y) * across
        z = along(depth) - 3.6 * across**2 + 0.5 * np.sin(np.pi * across) * np.minimum(8 * down, 1)
        place = np.stack([side * x, y, z], axis=1)
        follow = np.clip(1.15 - 0.35 * down, 0.0, 1.0)
        shade = 0.80 + 0.20 * np.sin(np.pi * np.clip(across * 1.1, 0, 1)) - 0.15 * down
        sheet = _sheet(rows, columns, place, CURTAIN, _LOCK, follow=follow, shade=shade, shine=0.35)
        # A lock is narrower than the curtain of hair, but its hairs are equally wide.
        return attrs.evolve(sheet, uv=CURTAIN.place(uv * [0.3, 1.0] + [0.35 + 0.35 * side, 0.0]))

    def _curtain(self) -> _Part:
        rows, columns = 9, 15
        uv = _lattice(rows, columns)
        across, down = 2 * uv[:, 0] - 1, uv[:, 1]
        rim = self.shape[self.oval]
        half = float(np.abs(rim[:, 0]).max()) + self.look.volume * 0.9
        width = half * (1.0 + 0.10 * np.sin(down * np.pi) - 0.05 * down) * (1.0 - 0.38 * (1 - down) ** 4)
        end = -5.0 - 8.5 * self.look.length
        y = 4.0 + (end - 4.0) * down + 0.8 * across**2 * (down > 0.9)
        z = -5.0 + 2.0 * down - 1.5 * across**2
        place = np.stack([width * across, y, z], axis=1)
        follow = np.clip(1.25 - down, 0.0, 1.0)
        shade = 0.80 - 0.35 * (1 - np.abs(across)) ** 0.5
        return _sheet(rows, columns, place, CURTAIN, _CURTAIN, follow=follow, shade=shade, shine=0.2)
