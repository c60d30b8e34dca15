"""OpenUSD as text: a UsdSkel root with the face, its 52 blend shapes, a joint for the head, and their animation.

https://openusd.org/release/api/_usd_skel__schemas.html. Lengths are in centimetres; time codes are frames.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vast_core import __version__
from vast_core.mesh import canonical_face

from .head import quaternions
from .names import NAMES
from .take import Take

SMALLEST = 1e-4
"""Centimetres; a vertex that moves less is left out of a blend shape."""

_IDENTITY = "((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))"


def write(take: Take, path: Path, sound: str | None = None) -> None:
    """Write the file; ``sound`` is the name of a sound file beside it, which is played with the motion."""
    path.write_text("\n".join(_lines(take, sound)) + "\n", encoding="utf-8", errors="surrogateescape")


def _lines(take: Take, sound: str | None) -> Iterator[str]:
    rate = f"{take.fps:.17g}"
    yield f"""#usda 1.0
(
    defaultPrim = "Avatar"
    doc = "written by vast {__version__}"
    endTimeCode = {len(take) - 1}
    framesPerSecond = {rate}
    metersPerUnit = 0.01
    startTimeCode = 0
    timeCodesPerSecond = {rate}
    upAxis = "Y"
)

def SkelRoot "Avatar" (
    kind = "component"
)
{{
    float3[] extent = {_extent(take)}"""
    yield from _skeleton(take)
    yield from _face(take)
    if sound is not None:
        yield f"""
    def SpatialAudio "Sound"
    {{
        uniform token auralMode = "nonSpatial"
        uniform asset filePath = {_asset(f"./{sound}")}
        uniform token playbackMode = "onceFromStart"
        uniform timecode startTime = 0
    }}"""
    yield "}"


def _asset(path: str) -> str:
    """A path as the format writes it: between three ``@`` if it has one itself."""
    return f"@@@{path.replace('@@@', chr(92) + '@@@')}@@@" if "@" in path else f"@{path}@"


def _skeleton(take: Take) -> Iterator[str]:
    names = ", ".join(f'"{name}"' for name in NAMES)
    turned = quaternions(take.rotation)[:, [3, 0, 1, 2]]  # the real part first
    yield f"""
    def Skeleton "Skeleton" (
        prepend apiSchemas = ["SkelBindingAPI"]
    )
    {{
        uniform matrix4d[] bindTransforms = [{_IDENTITY}]
        uniform token[] joints = ["Head"]
        uniform matrix4d[] restTransforms = [{_IDENTITY}]
        rel skel:animationSource = </Avatar/Speech>
    }}

    def SkelAnimation "Speech"
    {{
        uniform token[] blendShapes = [{names}]
        float[] blendShapeWeights.timeSamples = {{
{_samples(f"[{_numbers(row)}]" for row in take.curves)}
        }}
        uniform token[] joints = ["Head"]
        quatf[] rotations.timeSamples = {{
{_samples(f"[({_numbers(row)})]" for row in turned)}
        }}
        half3[] scales = [(1, 1, 1)]
        float3[] translations.timeSamples = {{
{_samples(f"[({_numbers(row)})]" for row in take.translation)}
        }}
    }}"""


def _face(take: Take) -> Iterator[str]:
    face = canonical_face()
    triangles = np.concatenate([face.triangles, face.fillers[18:]])
    count = len(take.neutral)
    names = ", ".join(f'"{name}"' for name in NAMES)
    targets = ", ".join(f"</Avatar/Face/{name}>" for name in NAMES)
    uv = _tuples(np.stack([face.uv[:, 0], 1 - face.uv[:, 1]], axis=1))
    yield f"""
    def Mesh "Face" (
        prepend apiSchemas = ["SkelBindingAPI"]
    )
    {{
        uniform bool doubleSided = 1
        float3[] extent = [({_numbers(take.neutral.min(0))}), ({_numbers(take.neutral.max(0))})]
        int[] faceVertexCounts = [{", ".join(["3"] * len(triangles))}]
        int[] faceVertexIndices = [{", ".join(map(str, triangles.ravel()))}]
        point3f[] points = [{_tuples(take.neutral)}]
        color3f[] primvars:displayColor = [(0.8, 0.6, 0.5)]
        matrix4d primvars:skel:geomBindTransform = {_IDENTITY}
        int[] primvars:skel:jointIndices = [{", ".join(["0"] * count)}] (
            elementSize = 1
            interpolation = "vertex"
        )
        float[] primvars:skel:jointWeights = [{", ".join(["1"] * count)}] (
            elementSize = 1
            interpolation = "vertex"
        )
        texCoord2f[] primvars:st = [{uv}] (
            interpolation = "vertex"
        )
        uniform token[] skel:blendShapes = [{names}]
        rel skel:blendShapeTargets = [{targets}]
        rel skel:skeleton = </Avatar/Skeleton>
        uniform token subdivisionScheme = "none\""""
    for name, shape in zip(NAMES, take.shapes, strict=True):
        moving = np.flatnonzero(np.linalg.norm(shape, axis=1) > SMALLEST)
        moving = moving if len(moving) else np.array([0])  # tongueOut moves nothing that there is
        yield f"""
        def BlendShape "{name}"
        {{
            uniform vector3f[] offsets = [{_tuples(shape[moving])}]
            uniform int[] pointIndices = [{", ".join(map(str, moving))}]
        }}"""
    yield "    }"


def _extent(take: Take) -> str:
    points = np.einsum("nij,nvj->nvi", take.rotation, take.vertices) + take.translation[:, None]
    return f"[({_numbers(points.min((0, 1)))}), ({_numbers(points.max((0, 1)))})]"


def _samples(values: Iterable[str]) -> str:
    return ",\n".join(f"            {frame}: {value}" for frame, value in enumerate(values))


def _tuples(rows: NDArray[Any]) -> str:
    return ", ".join(f"({_numbers(row)})" for row in rows)


def _numbers(values: NDArray[Any]) -> str:
    return ", ".join(f"{value:.7g}" for value in values)
