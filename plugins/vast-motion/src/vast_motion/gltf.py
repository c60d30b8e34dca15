"""glTF 2.0 in one binary file: the face with its texture, 52 morph targets, and an animation of weights and head.

https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html. Lengths are in metres.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from vast_core import __version__
from vast_core.mesh import canonical_face, vertex_normals

from .head import quaternions
from .names import NAMES
from .take import Take

_FLOAT, _SHORT = 5126, 5123
_VERTICES, _INDICES = 34962, 34963
_KIND = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4"}
METRES = 0.01
"""Metres of a centimetre."""


def write(take: Take, path: Path, sound: str | None = None) -> None:
    """Write the file; ``sound`` is the name of a sound file beside it, noted in ``asset.extras``."""
    face, data = canonical_face(), _Data()
    triangles = np.concatenate([face.triangles, face.fillers[18:]])  # the texture has eyes, but no open mouth
    points = METRES * take.neutral
    attributes = {
        "POSITION": data.floats(points, _VERTICES, bounds=True),
        "NORMAL": data.floats(vertex_normals(points, triangles), _VERTICES),
        "TEXCOORD_0": data.floats(face.uv, _VERTICES),
    }
    indices = data.add(triangles.astype("<u2").ravel(), _SHORT, "SCALAR", _INDICES)
    targets = [{"POSITION": data.floats(METRES * shape, _VERTICES, bounds=True)} for shape in take.shapes]
    times = data.floats(take.times[:, None], bounds=True)
    tracks = {
        "weights": data.floats(take.curves.reshape(-1, 1)),
        "rotation": data.floats(quaternions(take.rotation)),
        "translation": data.floats(METRES * take.translation),
    }
    _, picture = cv2.imencode(".png", take.texture[..., ::-1])
    image = data.view(picture.tobytes())
    extras = {"frames_per_second": take.fps} | ({"sound": sound} if sound else {})
    document = {
        "asset": {"version": "2.0", "generator": f"vast {__version__}", "extras": extras},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "Head", "mesh": 0}],
        "meshes": [
            {
                "name": "Face",
                "primitives": [{"attributes": attributes, "indices": indices, "material": 0, "targets": targets}],
                "weights": [0.0] * len(NAMES),
                "extras": {"targetNames": list(NAMES)},  # by convention; glTF itself has no names for targets
            }
        ],
        "materials": [
            {
                "name": "Skin",
                "doubleSided": True,
                "pbrMetallicRoughness": {
                    "baseColorTexture": {"index": 0},
                    "metallicFactor": 0.0,
                    "roughnessFactor": 0.7,
                },
            }
        ],
        "textures": [{"source": 0, "sampler": 0}],
        "samplers": [{"magFilter": 9729, "minFilter": 9987, "wrapS": 33071, "wrapT": 33071}],
        "images": [{"bufferView": image, "mimeType": "image/png"}],
        "animations": [
            {
                "name": "Speech",
                "samplers": [{"input": times, "output": at, "interpolation": "LINEAR"} for at in tracks.values()],
                "channels": [
                    {"sampler": number, "target": {"node": 0, "path": track}} for number, track in enumerate(tracks)
                ],
            }
        ],
        "accessors": data.accessors,
        "bufferViews": data.views,
        "buffers": [{"byteLength": len(data.bytes)}],
    }
    path.write_bytes(_binary(document, bytes(data.bytes)))


def _binary(document: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


class _Data:
    """The buffer, with views and accessors into it."""

    def __init__(self) -> None:
        self.bytes = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, content: bytes, target: int | None = None) -> int:
        """Append bytes, up to a multiple of 4; returns the index of their view."""
        view = {"buffer": 0, "byteOffset": len(self.bytes), "byteLength": len(content)}
        self.views.append(view if target is None else {**view, "target": target})
        self.bytes += content + bytes(-len(content) % 4)
        return len(self.views) - 1

    def add(self, values: NDArray[Any], component: int, kind: str, target: int | None = None) -> int:
        """Append rows; returns the index of their accessor."""
        view = self.view(np.ascontiguousarray(values).tobytes(), target)
        self.accessors.append({"bufferView": view, "componentType": component, "count": len(values), "type": kind})
        return len(self.accessors) - 1

    def floats(self, values: NDArray[Any], target: int | None = None, *, bounds: bool = False) -> int:
        """Append rows (N, C) as floats of 32 bits, with the least and the greatest of each column if asked for."""
        rows = np.asarray(values, "<f4")
        at = self.add(rows, _FLOAT, _KIND[rows.shape[1]], target)
        if bounds:
            self.accessors[at] |= {"min": rows.min(0).tolist(), "max": rows.max(0).tolist()}
        return at
